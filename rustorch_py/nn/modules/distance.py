"""Distance layers."""

from __future__ import annotations

from .. import functional as F
from .module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """Return the p-norm of ``x1 - x2 + eps`` along the last dimension.

    Args:
        p: order of the norm.
        eps: keeps the gradient finite at zero.
        keepdim: keep the last dimension with size one.
    """

    def __init__(self, p=2.0, eps=1e-06, keepdim=False):
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1, x2):
        """Compute the distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Return the cosine of the angle between vectors.

    Args:
        dim: the dimension of the vectors.
        eps: least norm.
    """

    def __init__(self, dim=1, eps=1e-08):
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1, x2):
        """Compute the cosines."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
