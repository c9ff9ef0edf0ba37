"""Continuous Bernoulli distribution."""
import math

from .. import tensor as T
from ..nn.functional import binary_cross_entropy_with_logits
from . import constraints
from .distribution import _ProbsOrLogits
from .exp_family import ExponentialFamily
from .utils import clamp_probs

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(_ProbsOrLogits, ExponentialFamily):
    """Density proportional to probs^x (1 - probs)^(1 - x) on [0, 1].

    Args:
        probs: in [0, 1]; no probability, despite its name.
        logits: its log odds, instead.
        lims: between them, near 1/2 where the closed forms cancel, Taylor expansions are used.

    Source: G. Loaiza-Ganem & J. P. Cunningham, The continuous Bernoulli, 2019.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True
    _params = {"probs": 0, "logits": 0}
    _kept = ("_lims",)

    def __init__(self, probs=None, logits=None, lims=(0.499, 0.501), validate_args=None):
        self._lims = lims
        self._state_either(probs, logits, validate_args)
        if probs is not None:
            self.probs = clamp_probs(self.probs)

    def _outside_unstable_region(self):
        return T.max(T.le(self.probs, self._lims[0]), T.gt(self.probs, self._lims[1]))

    def _cut_probs(self):
        """The probabilities, moved out of the region where Taylor expansions serve."""
        return T.where(self._outside_unstable_region(), self.probs, self._lims[0] * T.ones_like(self.probs))

    def _cont_bern_log_norm(self):
        """log(2 artanh(1 - 2 p) / (1 - 2 p))"""
        cut = self._cut_probs()
        below = T.where(T.le(cut, 0.5), cut, T.zeros_like(cut))
        above = T.where(T.ge(cut, 0.5), cut, T.ones_like(cut))
        log_norm = (T.log(T.abs(T.log1p(-cut) - T.log(cut)))
                    - T.where(T.le(cut, 0.5), T.log1p(-2.0 * below), T.log(2.0 * above - 1.0)))
        x = T.pow(self.probs - 0.5, 2)
        return T.where(self._outside_unstable_region(), log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self):
        cut = self._cut_probs()
        x = self.probs - 0.5
        return T.where(self._outside_unstable_region(), cut / (2.0 * cut - 1.0) + 1.0 / (T.log1p(-cut) - T.log(cut)),
                       0.5 + (1.0 / 3.0 + 16.0 / 45.0 * T.pow(x, 2)) * x)

    @property
    def stddev(self):
        return T.sqrt(self.variance)

    @property
    def variance(self):
        cut = self._cut_probs()
        x = T.pow(self.probs - 0.5, 2)
        return T.where(self._outside_unstable_region(),
                       cut * (cut - 1.0) / T.pow(1.0 - 2.0 * cut, 2) + 1.0 / T.pow(T.log1p(-cut) - T.log(cut), 2),
                       1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape=T.Size()):
        return self.icdf(T.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = T.broadcast_tensors(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._cont_bern_log_norm()

    def cdf(self, value):
        if self._validate_args:
            self._validate_sample(value)
        cut = self._cut_probs()
        cdfs = (T.pow(cut, value) * T.pow(1.0 - cut, 1.0 - value) + cut - 1.0) / (2.0 * cut - 1.0)
        inside = T.where(self._outside_unstable_region(), cdfs, value)
        return T.where(T.le(value, 0.0), T.zeros_like(value), T.where(T.ge(value, 1.0), T.ones_like(value), inside))

    def icdf(self, value):
        cut = self._cut_probs()
        return T.where(self._outside_unstable_region(),
                       (T.log1p(-cut + value * (2.0 * cut - 1.0)) - T.log1p(-cut)) / (T.log(cut) - T.log1p(-cut)), value)

    def entropy(self):
        log_1 = T.log1p(-self.probs)
        return self.mean * (log_1 - T.log(self.probs)) - self._cont_bern_log_norm() - log_1

    @property
    def _natural_params(self):
        return (self.logits,)

    def _log_normalizer(self, x):
        """log((exp(x) - 1) / x); near 0 its Taylor expansion x / 2 + x^2 / 24 - x^4 / 2880"""
        outside = T.max(T.le(x, self._lims[0] - 0.5), T.gt(x, self._lims[1] - 0.5))
        cut = T.where(outside, x, (self._lims[0] - 0.5) * T.ones_like(x))
        return T.where(outside, T.log(T.abs(T.expm1(cut))) - T.log(T.abs(cut)),
                       0.5 * x + T.pow(x, 2) / 24.0 - T.pow(x, 4) / 2880.0)
