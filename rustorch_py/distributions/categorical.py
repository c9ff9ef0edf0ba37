"""Categorical distribution."""
from .. import tensor as T
from .._info import finfo
from . import constraints
from .distribution import Distribution, _ProbsOrLogits

__all__ = ["Categorical"]


class Categorical(_ProbsOrLogits):
    """An index 0 ... K - 1 drawn with given probabilities.

    Args:
        probs: (..., K) nonnegative weights, normalised here.
        logits: (..., K) unnormalised log probabilities, instead.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _is_binary = False
    _params = {"probs": 1, "logits": 1}
    _kept = ("_num_events",)

    def __init__(self, probs=None, logits=None, validate_args=None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        if value.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        setattr(self, name, value / value.sum(-1, keepdim=True) if logits is None else value - value.logsumexp(dim=-1, keepdim=True))
        self._num_events = value.size(-1)
        Distribution.__init__(self, value.size()[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self):
        return T.full(self._extended_shape(), float("nan"), dtype=self.probs.dtype, device=self.probs.device)

    @property
    def mode(self):
        return self.probs.argmax(dim=-1)

    @property
    def variance(self):
        return self.mean

    def sample(self, sample_shape=T.Size()):
        sample_shape = T.Size(sample_shape)
        drawn = T.multinomial(self.probs.detach().reshape(-1, self._num_events), sample_shape.numel(), True)
        return drawn.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        value = value.long().unsqueeze(-1)
        value, log_pmf = T.broadcast_tensors(value, self.logits)
        return log_pmf.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        logits = T.clamp(self.logits, min=finfo(self.logits.dtype).min)       # 0 * -inf is 0 here
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        values = T.arange(self._num_events, dtype=T.long, device=self._param.device).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + self._batch_shape) if expand else values
