"""Masks for attention that are known by name."""

from __future__ import annotations

from ... import tensor as _t

__all__ = ["causal_lower_right", "causal_upper_left"]


def causal_upper_left(*size):
    """Return the bool mask (L, S) that lets row i see columns up to i."""
    rows, cols = size
    return _t.ones(rows, cols, dtype=_t.bool).tril()


def causal_lower_right(*size):
    """Return the bool mask (L, S) that lets the last row see all columns, the one before all but one, ..."""
    rows, cols = size
    return _t.ones(rows, cols, dtype=_t.bool).tril(cols - rows)
