"""Dropout layers."""

from __future__ import annotations

from .. import functional as F
from ..functional._util import check_probability
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    """Zero elements at random in training.

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    """

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        check_probability(p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Zero elements with probability p and scale the others by 1 / (1 - p), in training.

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    """

    def forward(self, input):
        """Drop elements."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Zero whole channels of (N, C, L) or (C, L).

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    """

    def forward(self, input):
        """Drop channels."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Zero whole channels of (N, C, H, W).

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    """

    def forward(self, input):
        """Drop channels."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Zero whole channels of (N, C, D, H, W).

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    """

    def forward(self, input):
        """Drop channels."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Drop elements to SELU's negative limit, keeping mean and variance.

    Args:
        p: probability of dropping.
        inplace: kept for PyTorch's signature; the result is always a new tensor, as there.
    """

    def forward(self, input):
        """Drop elements."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """Drop whole channels to SELU's negative limit, keeping mean and variance.

    Args:
        p: probability of dropping.
        inplace: kept for PyTorch's signature; the result is always a new tensor, as there.
    """

    def forward(self, input):
        """Drop channels."""
        return F.feature_alpha_dropout(input, self.p, self.training)
