"""Distributions with a density exp(<params, statistics> - log normalizer + carrier measure)."""
from .. import autograd, tensor as T
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution of the exponential family; the entropy follows from the log normalizer by Bregman divergence.

    Source: F. Nielsen & R. Nock, Entropies and cross-entropies of exponential families, 2010.
    """

    @property
    def _natural_params(self):
        raise NotImplementedError

    def _log_normalizer(self, *natural_params):
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self):
        raise NotImplementedError

    def entropy(self):
        """Return the entropy, from the log normalizer and its gradient."""
        result = -self._mean_carrier_measure
        natural = [p.detach().requires_grad_() for p in self._natural_params]
        with T.enable_grad():
            log_normalizer = self._log_normalizer(*natural)
            gradients = autograd.grad(log_normalizer.sum(), natural, create_graph=True)
        result = result + log_normalizer
        for param, gradient in zip(natural, gradients):
            result = result - (param * gradient).reshape(self._batch_shape + (-1,)).sum(-1)
        return result
