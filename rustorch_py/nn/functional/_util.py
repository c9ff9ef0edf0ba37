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


def in_place(function):
    """Make the in-place variant of a function of one tensor.

    The result is computed from a copy where gradients are recorded, since the function may have
    saved its input, which is overwritten here.
    """

    def variant(input, *args, **kwargs):
        source = input.clone() if input.requires_grad and _t.is_grad_enabled() else input
        return input.copy_(function(source, *args, **kwargs))

    variant.__name__ = variant.__qualname__ = function.__name__ + "_"
    variant.__doc__ = f"Apply ``{function.__name__}`` in place."
    return variant


def check_probability(p, name="dropout"):
    """Refuse a probability outside [0, 1]."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"{name} probability has to be between 0 and 1, but got {p}")
