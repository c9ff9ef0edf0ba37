"""Small helpers that several families of functions share."""

from __future__ import annotations

from ... import tensor as _t


def warn(message, category=UserWarning, stacklevel=3):
    """Warn; the module ``warnings`` is imported only then."""
    import warnings

    warnings.warn(message, category, stacklevel=stacklevel)


def single(x):
    """Return a 1-tuple: of a number, or of a sequence's one element."""
    return tuple(x) if hasattr(x, "__len__") else (x,)


def pair(x):
    """Return a 2-tuple: the number twice, or the sequence."""
    return tuple(x) if hasattr(x, "__len__") else (x, x)


def triple(x):
    """Return a 3-tuple: the number three times, or the sequence."""
    return tuple(x) if hasattr(x, "__len__") else (x, x, x)


def spread(x, n):
    """Return an n-tuple: the number n times, or the sequence (of one or n elements)."""
    if not hasattr(x, "__len__"):
        return (x,) * n
    x = tuple(x)
    return x * n if len(x) == 1 else x


def check_probability(p, name="dropout"):
    """Refuse a probability outside [0, 1]."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"{name} probability has to be between 0 and 1, but got {p}")


def memory_format_of(x):
    """The memory format that a tensor's strides speak of: channels innermost or row-major."""
    return _t._neural.suggested_format(x)
