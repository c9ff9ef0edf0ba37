"""The base class of distributions."""
import warnings

from .. import tensor as T
from . import constraints
from .utils import broadcast_all, lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution over tensors.

    A subclass states `arg_constraints`, `support` and, if its parameters only broadcast and expand, `_params`: the expansion
    to another batch shape is then written here once.

    Args:
        batch_shape: shape of independent, differently parameterised distributions.
        event_shape: shape of one sample.
        validate_args: check parameters and values against the constraints; None takes the default (on).

    Attributes:
        _params: names of parameters with the number of event dimensions at their right end, for `expand`.
        _kept: names of attributes that `expand` hands on as they are.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    _params = None
    _kept = ()

    @staticmethod
    def set_default_validate_args(value):
        """Switch checking on or off for distributions made from now on.

        Raises:
            ValueError: value is not a bool.
        """
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: value must be True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape=T.Size(), event_shape=T.Size(), validate_args=None):
        self._batch_shape = T.Size(batch_shape)
        self._event_shape = T.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            try:
                arg_constraints = self.arg_constraints
            except NotImplementedError:
                arg_constraints = {}
                warnings.warn(f"{self.__class__} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or initialize the "
                              "distribution with `validate_args=False` to turn off validation.", stacklevel=2)
            for name, constraint in arg_constraints.items():
                if constraints.is_dependent(constraint):
                    continue
                if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                    continue                        # made from the other parameter, which is checked
                value = getattr(self, name)
                if not constraint.check(value).all():
                    raise ValueError(f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} "
                                     f"to satisfy the constraint {constraint!r}, but found invalid values:\n{value}")
        super().__init__()

    def _state(self, validate_args, **values):
        """Broadcast the parameters, keep them under their names, and take the batch shape from them."""
        tensors = broadcast_all(*values.values())
        self.__dict__.update(zip(values, tensors))
        Distribution.__init__(self, tensors[0].size(), validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        """Return the distribution with its batch expanded to `batch_shape`; parameters become views.

        Args:
            batch_shape: the wanted batch shape; sizes 1 of the present one, and new leading ones, expand.
            _instance: the object to fill, given by subclasses with an `__init__` of their own.
        """
        if self._params is None:
            raise NotImplementedError
        new = self._get_checked_instance(self._home(), _instance)
        batch_shape = T.Size(batch_shape)
        self._expand_params(new, batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_params(self, new, batch_shape):
        for name, event_dims in (self._params or {}).items():
            if name in self.__dict__:
                value = self.__dict__[name]
                new.__dict__[name] = value.expand(batch_shape + value.shape[value.dim() - event_dims:] if event_dims else batch_shape)
        for name in self._kept:
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name]

    @property
    def batch_shape(self):
        """Return the shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self):
        """Return the shape of one sample, without batching."""
        return self._event_shape

    @property
    def arg_constraints(self):
        """Return the constraint of each parameter, by name."""
        raise NotImplementedError

    @property
    def support(self):
        """Return the constraint that samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self):
        """Return the mean."""
        raise NotImplementedError

    @property
    def mode(self):
        """Return the mode."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self):
        """Return the variance."""
        raise NotImplementedError

    @property
    def stddev(self):
        """Return the standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape=T.Size()):
        """Draw samples of shape sample_shape + batch_shape + event_shape, without gradient."""
        with T.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=T.Size()):
        """Draw samples through which gradients flow to the parameters."""
        raise NotImplementedError

    def sample_n(self, n):
        """Draw n samples (deprecated: use ``sample((n,))``)."""
        warnings.warn("`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2)
        return self.sample(T.Size((n,)))

    def log_prob(self, value):
        """Return the log of the density or mass at value."""
        raise NotImplementedError

    def cdf(self, value):
        """Return the cumulative distribution function at value."""
        raise NotImplementedError

    def icdf(self, value):
        """Return the inverse of the cumulative distribution function at value."""
        raise NotImplementedError

    def enumerate_support(self, expand=True):
        """Return all values of a discrete distribution along a new first dimension, expanded to the batch unless told."""
        raise NotImplementedError

    def entropy(self):
        """Return the entropy in nats, of shape batch_shape."""
        raise NotImplementedError

    def perplexity(self):
        """Return exp(entropy)."""
        return T.exp(self.entropy())

    def _extended_shape(self, sample_shape=T.Size()):
        """sample_shape + batch_shape + event_shape"""
        return T.Size(sample_shape) + self._batch_shape + self._event_shape

    def _validate_sample(self, value):
        """Refuse values for log_prob, cdf and icdf that do not fit the shapes or lie outside of the support."""
        if not isinstance(value, T.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event_start = value.dim() - len(self._event_shape)
        if value.shape[event_start:] != self._event_shape:
            raise ValueError(f"The right-most size of value must match event_shape: {value.size()} vs {self._event_shape}.")
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.size()), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.size()} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(f"{self.__class__} does not define `support` to enable sample validation. Please initialize the distribution with "
                          "`validate_args=False` to turn off validation.", stacklevel=3)
            return
        if not support.check(value).all():
            raise ValueError(f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                             f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}")

    def _home(self):
        """The nearest class of this package: its `__init__` is the one that `expand` knows."""
        package = __name__.rpartition(".")[0] + "."
        return next(c for c in type(self).__mro__ if c.__module__.startswith(package))

    def _get_checked_instance(self, cls, _instance=None):
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom __init__ method must also define "
                                      "a custom .expand() method.")
        return self.__new__(type(self)) if _instance is None else _instance

    def __repr__(self):
        values = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = ", ".join(f"{name}: {value if value.numel() == 1 else value.size()}" for name, value in values.items())
        return f"{self.__class__.__name__}({shown})"


class _ProbsOrLogits(Distribution):
    """Takes either probabilities or their logits; the other is computed when read.

    Attributes:
        _is_binary: probabilities of success, not vectors of category probabilities.
    """

    _is_binary = True

    def _state_either(self, probs, logits, validate_args, event_shape=T.Size(), **more):
        """Keep what was given (and `more` parameters that broadcast with it), and take the batch shape from it."""
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        tensors = broadcast_all(*more.values(), value)
        self.__dict__.update(zip([*more, name], tensors))
        if more:
            self.__dict__.update((key, tensor.type_as(tensors[-1])) for key, tensor in zip(more, tensors))
        Distribution.__init__(self, tensors[-1].size(), event_shape, validate_args=validate_args)

    @property
    def _param(self):
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.logits

    def _new(self, *args, **kwargs):
        return self._param.new(*args, **kwargs)

    @property
    def param_shape(self):
        """Return the shape of the parameter that was given."""
        return self._param.size()

    @lazy_property
    def logits(self):
        """Return log odds, or normalised log probabilities."""
        return probs_to_logits(self.probs, is_binary=self._is_binary)

    @lazy_property
    def probs(self):
        """Return probabilities."""
        return logits_to_probs(self.logits, is_binary=self._is_binary)
