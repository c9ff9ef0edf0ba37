"""Multivariate normal distribution."""
import math

from .. import linalg, tensor as T
from . import constraints
from .distribution import Distribution
from .utils import _standard_normal, lazy_property

__all__ = ["MultivariateNormal"]


def _batch_mv(bmat, bvec):
    """Matrices (..., n, m) times vectors (..., m)."""
    return T.matmul(bmat, bvec.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(bL, bx):
    """x^T (L L^T)^-1 x for lower triangular L (..., n, n) and x (..., n)."""
    solved = linalg.solve_triangular(bL, bx.unsqueeze(-1), upper=False).squeeze(-1)
    return solved.pow(2).sum(-1)


def _precision_to_scale_tril(P):
    """The lower factor L of L L^T = P^-1, from the Cholesky factor of the flipped P."""
    flipped = linalg.cholesky(T.flip(P, (-2, -1)))
    upper = T.transpose(T.flip(flipped, (-2, -1)), -2, -1)          # P = upper^T upper read backwards: P = M M^T, M^-T is the factor
    return linalg.solve_triangular(upper, T.eye(P.shape[-1], dtype=P.dtype, device=P.device), upper=False)


class _FromMatrix(Distribution):
    """What distributions have that take one of covariance_matrix, precision_matrix and scale_tril."""

    def _factor(self, covariance_matrix, scale_tril, precision_matrix):
        if scale_tril is not None:
            return scale_tril
        return linalg.cholesky(covariance_matrix) if covariance_matrix is not None else _precision_to_scale_tril(precision_matrix)

    def _matrix_shape(self):
        return self._batch_shape + self._event_shape

    @lazy_property
    def scale_tril(self):
        """Return the lower Cholesky factor of the covariance."""
        return self._unbroadcasted_scale_tril.expand(self._matrix_shape())

    @lazy_property
    def covariance_matrix(self):
        """Return the covariance."""
        factor = self._unbroadcasted_scale_tril
        return T.matmul(factor, factor.mT).expand(self._matrix_shape())

    @lazy_property
    def precision_matrix(self):
        """Return the inverse of the covariance."""
        return T.cholesky_inverse(self._unbroadcasted_scale_tril).expand(self._matrix_shape())


class MultivariateNormal(_FromMatrix):
    """Normal vectors with a full covariance; give exactly one of the three matrices.

    Args:
        loc: (..., n) mean.
        covariance_matrix: (..., n, n), positive definite.
        precision_matrix: (..., n, n), its inverse.
        scale_tril: (..., n, n), its lower Cholesky factor: the cheapest, as the others are factored.
    """

    arg_constraints = {"loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
                       "precision_matrix": constraints.positive_definite, "scale_tril": constraints.lower_cholesky}
    support = constraints.real_vector
    has_rsample = True
    _params = {"loc": 1, "covariance_matrix": 2, "scale_tril": 2, "precision_matrix": 2}
    _kept = ("_unbroadcasted_scale_tril",)

    def __init__(self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {name: m for name, m in (("covariance_matrix", covariance_matrix), ("scale_tril", scale_tril),
                                         ("precision_matrix", precision_matrix)) if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        (name, matrix), = given.items()
        if matrix.dim() < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        batch_shape = T.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        self.loc = loc.expand(batch_shape + (-1,))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = self._factor(covariance_matrix, scale_tril, precision_matrix)

    def _matrix_shape(self):
        return self._batch_shape + self._event_shape + self._event_shape

    def _expand_params(self, new, batch_shape):
        for name in ("covariance_matrix", "scale_tril", "precision_matrix"):
            if name in self.__dict__:                # refuses a matrix of another size than the mean, which only broadcasts in its batch
                self.__dict__[name].expand(batch_shape + self._event_shape + self._event_shape)
        super()._expand_params(new, batch_shape)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape=T.Size()):
        eps = _standard_normal(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, eps)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        distance = _batch_mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        half_log_det = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - half_log_det

    def entropy(self):
        half_log_det = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        entropy = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half_log_det
        return entropy if len(self._batch_shape) == 0 else entropy.expand(self._batch_shape)
