"""Distances and similarities between vectors."""

from __future__ import annotations

from ... import tensor as _t

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]

cosine_similarity = _t.cosine_similarity
pairwise_distance = _t.pairwise_distance
pdist = _t.pdist
