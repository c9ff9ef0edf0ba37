"""Half-Cauchy distribution."""
import math

from .. import tensor as T
from ._half import Half
from .cauchy import Cauchy

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """The law of |X| for X ~ Cauchy(0, scale).

    Args:
        scale: > 0.
    """

    _base = Cauchy
    _in_own_dtype = True

    @property
    def mean(self):
        return T.full(self._extended_shape(), math.inf, dtype=self.scale.dtype, device=self.scale.device)

    @property
    def variance(self):
        return self.base_dist.variance
