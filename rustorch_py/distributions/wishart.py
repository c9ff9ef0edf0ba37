"""Wishart distribution."""
import math
import warnings

from .. import tensor as T
from .._info import finfo
from ..errors import DimError
from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import _FromMatrix
from .utils import _Number

__all__ = ["Wishart"]

_log_2 = math.log(2)


def _mvdigamma(x, p):
    """The derivative of mvlgamma(x, p)."""
    return T.digamma(x.unsqueeze(-1) - T.arange(p, dtype=x.dtype, device=x.device).div(2).expand(x.shape + (-1,))).sum(-1)


def _clamp_above_eps(x):
    return x.clamp(min=finfo(x.dtype).eps)


class Wishart(_FromMatrix, ExponentialFamily):
    """Positive definite matrices: the scatter X^T X of df normal vectors; give exactly one of the three matrices.

    Args:
        df: degrees of freedom, > n - 1; a number or a tensor.
        covariance_matrix: (..., n, n), positive definite.
        precision_matrix: (..., n, n), its inverse.
        scale_tril: (..., n, n), its lower Cholesky factor.

    Source: samples by M. S. Bartlett's decomposition (On the theory of statistical regression, 1933).
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _params = {"df": 0, "covariance_matrix": 2, "scale_tril": 2, "precision_matrix": 2}
    _kept = ("_unbroadcasted_scale_tril",)

    @property
    def arg_constraints(self):
        n = self.event_shape[-1]
        return {"covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
                "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(n - 1)}

    def __init__(self, df, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        given = {name: m for name, m in (("covariance_matrix", covariance_matrix), ("scale_tril", scale_tril),
                                         ("precision_matrix", precision_matrix)) if m is not None}
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        (name, matrix), = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        df = T.tensor(df, dtype=matrix.dtype, device=matrix.device) if isinstance(df, _Number) else df
        batch_shape = T.broadcast_shapes(df.shape, matrix.shape[:-2])
        event_shape = matrix.shape[-2:]
        self.df = df.expand(batch_shape)
        if self.df.le(event_shape[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event_shape[-1] - 1}.")
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        if self.df.lt(event_shape[-1]).any():
            warnings.warn("Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.", stacklevel=2)
        self._unbroadcasted_scale_tril = self._factor(covariance_matrix, scale_tril, precision_matrix)
        self._dist_chi2 = Chi2(df=self._chi2_df(batch_shape))

    def _chi2_df(self, batch_shape):
        n, factor = self._event_shape[-1], self._unbroadcasted_scale_tril
        return self.df.unsqueeze(-1) - T.arange(n, dtype=factor.dtype, device=factor.device).expand(tuple(batch_shape) + (-1,))

    def expand(self, batch_shape, _instance=None):
        new = super().expand(batch_shape, _instance)
        new._dist_chi2 = Chi2(df=new._chi2_df(new._batch_shape))
        return new

    @property
    def mean(self):
        return self.df.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def mode(self):
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        return factor.masked_fill(factor <= 0, float("nan")).view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def variance(self):
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self.df.view(self._batch_shape + (1, 1)) * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett_sampling(self, sample_shape=T.Size()):
        p = self._event_shape[-1]
        noise = _clamp_above_eps(self._dist_chi2.rsample(sample_shape).sqrt()).diag_embed(dim1=-2, dim2=-1)
        i, j = T.tril_indices(p, p, offset=-1)
        noise[..., i, j] = T.randn(T.Size(sample_shape) + self._batch_shape + (p * (p - 1) // 2,), dtype=noise.dtype, device=noise.device)
        chol = self._unbroadcasted_scale_tril @ noise
        return chol @ chol.mT

    def rsample(self, sample_shape=T.Size(), max_try_correction=None):
        """Draw samples; those that rounding made singular are drawn again.

        Args:
            sample_shape: leading shape.
            max_try_correction: how often; 10 by default.
        """
        if 0 in self._batch_shape:
            raise DimError(f"Wishart: cannot draw from a batch of shape {tuple(self._batch_shape)}, which has no distribution")
        # PyTorch redraws what its first check finds regular; dropping one draw gives its numbers for a seed
        self._bartlett_sampling(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        singular = self.support.check(sample).logical_not()
        for _ in range(10 if max_try_correction is None else max_try_correction):
            if not singular.any():
                return sample
            sample = T.where(singular.unsqueeze(-1).unsqueeze(-1), self._bartlett_sampling(sample_shape), sample)
            singular = self.support.check(sample).logical_not()
        if singular.any():
            warnings.warn("Singular sample detected.", stacklevel=2)
        return sample

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        tril = self._unbroadcasted_scale_tril
        return (-nu * (p * _log_2 / 2 + tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)) - T.mvlgamma(nu / 2, p=p)
                + (nu - p - 1) / 2 * T.slogdet(value).logabsdet
                - T.cholesky_solve(value, tril).diagonal(dim1=-2, dim2=-1).sum(dim=-1) / 2)

    def entropy(self):
        nu, p = self.df, self._event_shape[-1]
        log_det = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return ((p + 1) * (p * _log_2 / 2 + log_det) + T.mvlgamma(nu / 2, p=p) - (nu - p - 1) / 2 * _mvdigamma(nu / 2, p=p) + nu * p / 2)

    @property
    def _natural_params(self):
        return 0.5 * self.df, -0.5 * self.precision_matrix

    def _log_normalizer(self, x, y):
        p = self._event_shape[-1]
        return x * (-T.slogdet(-2 * y).logabsdet + _log_2 * p) + T.mvlgamma(x, p=p)
