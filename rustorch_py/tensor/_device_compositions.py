"""Hand-written operators as compositions of recorded ones, for devices without a kernel of their own: Note [Operators of devices]."""
from ..errors import DTypeError, DimError
from ._devices import compose

INF = float("inf")


def _dims(dim, nd):
    """dim (None: all) as a tuple of numbers that count from the front."""
    picked = range(nd) if dim is None or dim == () else dim if isinstance(dim, (tuple, list)) else (dim,)
    for d in picked:
        if not -max(nd, 1) <= d < max(nd, 1):
            raise DimError(f"Dimension out of range (expected to be in range of [{-max(nd, 1)}, {max(nd, 1) - 1}], but got {d})")
    return tuple(d % nd if nd else 0 for d in picked)


def _wide(x):
    """x, 16-bit floats in float32, as the CPU's kernels compute them."""
    return x.float() if x.dtype.itemsize == 2 and x.dtype.is_floating_point else x


def _narrow(x, like):
    return x if x.dtype == like.dtype else x.to(like.dtype)


def _drop(x, dims):
    """x without dims, which have size 1."""
    for d in sorted(dims, reverse=True):
        x = x.squeeze(d) if x.ndim else x
    return x


# ---- moments ----
def _moments(op, input, dim, unbiased, keepdim, correction):
    """(variance, mean) over dim, in the dtype to compute in."""
    if isinstance(dim, bool):                            # var(x, True) is about bias
        dim, unbiased = None, dim
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise DTypeError(f"{op}(): only floating point and complex dtypes are supported, got {input.dtype}", op=op)
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    x = _wide(input)
    dims = _dims(dim, x.ndim)
    count = 1
    for d in dims:
        count *= x.shape[d] if x.ndim else 1
    mean = x.mean(dims or None, True) if x.ndim else x
    gap = x - mean
    square = (gap * gap.conj()).real if x.dtype.is_complex else gap * gap
    total = square.sum(dims, keepdim) if x.ndim else square
    divisor = max(count - correction, 0)
    variance = total / divisor if divisor else total * INF if count else total * float("nan")
    return variance, mean if keepdim else _drop(mean, dims)


def _real(x, like):
    return x if like.dtype.is_complex else _narrow(x, like)


@compose
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    return _real(_moments("var", input, dim, unbiased, keepdim, correction)[0], input)


@compose
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    return _real(_moments("std", input, dim, unbiased, keepdim, correction)[0].sqrt(), input)


@compose
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    variance, mean = _moments("var_mean", input, dim, unbiased, keepdim, correction)
    return _real(variance, input), _narrow(mean, input)


@compose
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    variance, mean = _moments("std_mean", input, dim, unbiased, keepdim, correction)
    return _real(variance.sqrt(), input), _narrow(mean, input)
