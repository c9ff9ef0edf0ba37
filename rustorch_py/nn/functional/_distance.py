"""Distances and similarities between vectors."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import ShapeError

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """Return the cosine of the angle between vectors along ``dim`` (norms at least ``eps``)."""
    x1, x2 = _t.broadcast_tensors(x1, x2)
    n1 = x1.norm(2, dim, keepdim=True).clamp_min(eps)
    n2 = x2.norm(2, dim, keepdim=True).clamp_min(eps)
    return ((x1 / n1) * (x2 / n2)).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """Return the p-norm of ``x1 - x2 + eps`` along the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def pdist(input, p=2.0):
    """Return the p-norm distance of every pair of rows (i < j), in one dimension."""
    if input.dim() != 2:
        raise ShapeError(f"pdist only supports 2D tensors, got: {input.dim()}D", op="pdist")
    n = input.shape[0]
    first = [i for i in range(n) for _ in range(i + 1, n)]
    second = [j for i in range(n) for j in range(i + 1, n)]
    a = _t.tensor(first, dtype=_t.int64, device=input.device)
    b = _t.tensor(second, dtype=_t.int64, device=input.device)
    return (input.index_select(0, a) - input.index_select(0, b)).norm(p, -1)
