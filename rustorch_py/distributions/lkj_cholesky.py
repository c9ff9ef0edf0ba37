"""LKJ distribution of Cholesky factors of correlation matrices."""
import math

from .. import linalg, tensor as T
from .._info import finfo
from . import constraints
from .beta import Beta
from .distribution import Distribution

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices with density proportional to det^(concentration - 1) of the matrix.

    Args:
        dim: size of the matrices, an int >= 2.
        concentration: > 0; 1 is uniform over correlation matrices.

    Source: D. Lewandowski, D. Kurowicka, H. Joe, Generating random correlation matrices based on vines and extended onion method, 2009.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _params = {"concentration": 0}
    _kept = ("dim",)

    def __init__(self, dim, concentration=1.0, validate_args=None):
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        self.concentration = concentration if isinstance(concentration, T.Tensor) else T.tensor(float(concentration))
        # row i of the factor: its squared length left of the diagonal is Beta(i / 2, concentration + (dim - 1 - i) / 2)
        marginal = self.concentration + 0.5 * (dim - 2)
        offset = T.arange(dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        offset = T.cat([offset.new_zeros((1,)), offset])
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        super().__init__(self.concentration.size(), T.Size((dim, dim)), validate_args)

    def expand(self, batch_shape, _instance=None):
        new = super().expand(batch_shape, _instance)
        new._beta = self._beta.expand(T.Size(batch_shape) + (self.dim,))
        return new

    def sample(self, sample_shape=T.Size()):
        # the onion method: a direction on the sphere and a length for each row; the first row is (1, 0, ...)
        with T.no_grad():
            length = self._beta.sample(sample_shape).unsqueeze(-1)
            normal = T.randn(self._extended_shape(sample_shape), dtype=length.dtype, device=length.device).tril(-1)
            sphere = normal / linalg.vector_norm(normal, dim=-1, keepdim=True)
            sphere[..., 0, :].fill_(0.0)
            w = T.sqrt(length) * sphere
            diagonal = T.clamp(1 - T.sum(w ** 2, dim=-1), min=finfo(w.dtype).tiny).sqrt()
            return w + T.diag_embed(diagonal)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = T.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        unnormalized = T.sum(order * diagonal.log(), dim=-1)
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        normalizer = 0.5 * n * math.log(math.pi) + T.mvlgamma(alpha - 0.5, n) - T.lgamma(alpha) * n
        return unnormalized - normalizer
