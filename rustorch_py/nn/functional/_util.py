"""Small helpers that several families of functions share."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import IntOverflowError, ShapeError, TensorTypeError


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


def whole(op, name, x, n):
    """Return n ints: a number n times, or what a sequence of n has. A tensor of numbers is a sequence of them, one of no dimension is neither."""
    if type(x) is int and -1 << 63 <= x < 1 << 63:
        return (x,) * n
    values = tuple(x) if hasattr(x, "__len__") else (x,) * n
    for i, v in enumerate(values):
        if isinstance(v, (bool, float)) or not hasattr(v, "__index__") or isinstance(v, _t.Tensor) and (v.dtype.is_floating_point or v.dtype.is_complex):
            raise TensorTypeError(f"{op}(): argument '{name}' must be tuple of ints, but found element of type {type(v).__name__} at pos {i}", op=op)
        if not -1 << 63 <= v.__index__() < 1 << 63:
            raise IntOverflowError(f"{op}: Overflow when unpacking long long: {name} {x} does not fit 64 bits", op=op)
    if len(values) != n:
        raise ShapeError(f"{op}: It is expected {name} equals to {n}, but got size {len(values)}", op=op)
    return tuple(v.__index__() for v in values)


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
