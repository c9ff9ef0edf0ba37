"""Negative binomial distribution."""
from .. import tensor as T
from ..nn.functional import logsigmoid
from . import constraints
from .distribution import _ProbsOrLogits
from .gamma import Gamma
from .utils import lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(_ProbsOrLogits):
    """Number of successes before `total_count` failures.

    Args:
        total_count: number of failures at which trials stop, >= 0.
        probs: probability of success, in [0, 1).
        logits: its log odds, instead.
    """

    arg_constraints = {"total_count": constraints.greater_than_eq(0), "probs": constraints.half_open_interval(0.0, 1.0),
                       "logits": constraints.real}
    support = constraints.nonnegative_integer
    _params = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(self, total_count, probs=None, logits=None, validate_args=None):
        self._state_either(probs, logits, validate_args, total_count=total_count)

    @property
    def mean(self):
        return self.total_count * T.exp(self.logits)

    @property
    def mode(self):
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self):
        return self.mean / T.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self):
        return Gamma(concentration=self.total_count, rate=T.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape=T.Size()):
        with T.no_grad():
            return T.poisson(self._gamma.sample(sample_shape=sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        log_unnormalized = self.total_count * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        log_choose = T.lgamma(self.total_count + value) - T.lgamma(1.0 + value) - T.lgamma(self.total_count)
        return log_unnormalized + log_choose.masked_fill(self.total_count + value == 0.0, 0.0)
