"""Generalised Pareto distribution."""
import math

from .. import tensor as T
from ..errors import DTypeError
from . import constraints
from .distribution import Distribution

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Generalised Pareto distribution: the law of excesses over a high threshold.

    Args:
        loc: lower end.
        scale: > 0.
        concentration: tail index; 0 gives an exponential tail, below 0 the support has an upper end.

    Source: J. R. M. Hosking & J. R. Wallis, Parameter and quantile estimation for the generalized Pareto distribution, 1987.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _params = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc, scale, concentration, validate_args=None):
        self._state(validate_args, loc=loc, scale=scale, concentration=concentration)

    def rsample(self, sample_shape=T.Size()):
        return self.icdf(T.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device))

    def _check(self, value):
        if self._validate_args:
            self._validate_sample(value)
        if not self.concentration.is_floating_point():           # PyTorch refuses float16 and float64, too, which are right
            raise DTypeError(f"GeneralizedPareto: expected a concentration of a floating point dtype, got {self.concentration.dtype}")

    def _z(self, x):
        return (x - self.loc) / self.scale

    def _split(self):
        """Is the concentration (nearly) 0, and the concentration with 1 put there."""
        zero = T.isclose(self.concentration, T.zeros_like(self.concentration))
        return zero, T.where(zero, T.ones_like(self.concentration), self.concentration)

    def log_prob(self, value):
        self._check(value)
        z, (zero, k) = self._z(value), self._split()
        log_density = T.where(zero, -z, -(1 / k + 1) * T.log1p(k * z))
        return T.where(self.support.check(value), log_density - T.log(self.scale), T.full_like(z, -math.inf))

    def log_survival_function(self, value):
        """Return log(1 - cdf)."""
        self._check(value)
        z, (zero, k) = self._z(value), self._split()
        return T.where(zero, -z, -T.log1p(k * z) / k)

    def log_cdf(self, value):
        """Return log(cdf)."""
        return T.log1p(-T.exp(self.log_survival_function(value)))

    def cdf(self, value):
        return -T.expm1(self.log_survival_function(value))

    def icdf(self, value):
        if T.bool in (self.loc.dtype, self.concentration.dtype):
            raise DTypeError(f"GeneralizedPareto: expected numbers, got loc of {self.loc.dtype} and concentration of {self.concentration.dtype}")
        zero, k = self._split()
        log_tail = T.log1p(-value)
        return self.loc + self.scale * T.where(zero, -log_tail, T.expm1(-k * log_tail) / k)

    def _where_below(self, limit, moment):
        """moment(concentration) where the concentration is below the limit; NaN, as in PyTorch, where the moment is infinite."""
        finite = self.concentration < limit
        value = moment(T.where(finite, self.concentration, T.zeros_like(self.concentration)))
        return T.where(finite, value, T.full_like(value, math.nan))

    @property
    def mean(self):
        return self._where_below(1, lambda k: self.loc + self.scale / (1 - k))

    @property
    def variance(self):
        return self._where_below(0.5, lambda k: self.scale ** 2 / ((1 - k) ** 2 * (1 - 2 * k)))

    def entropy(self):
        return T.broadcast_to(T.log(self.scale) + self.concentration + 1, self._batch_shape)

    @property
    def mode(self):
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        """Return [loc, inf], or [loc, loc - scale / concentration] where the concentration is negative."""
        upper = T.where(self.concentration < 0, self.loc - self.scale / self.concentration, math.inf)
        return constraints.interval(self.loc, upper)
