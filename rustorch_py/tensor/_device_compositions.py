"""Hand-written operators as compositions of recorded ones, for devices without a kernel of their own: Note [Operators of devices]."""
from ..errors import DTypeError, DimError
from ._create import arange
from ._devices import compose
from ._mask import where
from ._rows import maximum as _maximum_of, minimum as _minimum_of
from ._reduce import amax as _amax, amin as _amin
from ._return_types import named_result

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


# ---- places of extremes ----
def _places(x, best, dim):
    """The first position along dim of what equals best; of NaN where there is one."""
    n = x.shape[dim]
    line = arange(n, device=x.device).reshape([n if d == dim else 1 for d in range(x.ndim)])
    hit = x == best
    hit = hit | (x != x) if x.dtype.is_floating_point else hit
    return _amin(where(hit, line, n), dim, True)


def _arg(op, extreme, input, dim, keepdim):
    x = input.detach()
    if x.numel() == 0 and (dim is None or x.shape[dim] == 0):
        raise DimError(f"{op}(): Expected reduction dim {'to be specified for input.numel() == 0. Specify the reduction dim with the dim argument.' if dim is None else f'{dim} to have non-zero size.'}", op=op)
    if dim is None:
        flat = x.reshape(-1)
        found = _places(flat, extreme(flat, 0, True), 0)
        return found.reshape((1,) * x.ndim if keepdim else ())
    if x.ndim == 0:
        return arange(1, device=x.device).reshape(())
    d, = _dims(dim, x.ndim)
    found = _places(x, extreme(x, d, True), d)
    return found if keepdim else found.squeeze(d)


@compose
def argmax(input, dim=None, keepdim=False):
    return _arg("argmax", _amax, input, dim, keepdim)


@compose
def argmin(input, dim=None, keepdim=False):
    return _arg("argmin", _amin, input, dim, keepdim)


def _extreme(op, extreme, pair, input, dim, keepdim, other):
    if other is not None or hasattr(dim, "dtype"):
        return pair(input, other if other is not None else dim)
    if dim is None:
        return extreme(input)
    place = _arg(op, extreme, input, dim, True)
    if input.ndim == 0:
        return named_result(op, "values", "indices")((input.clone(), place))
    d, = _dims(dim, input.ndim)
    line = arange(input.shape[d], device=input.device).reshape([-1 if i == d else 1 for i in range(input.ndim)])
    values = where(line == place, input, input.new_zeros(())).sum(d, True, dtype=input.dtype)
    return named_result(op, "values", "indices")((values, place) if keepdim else (values.squeeze(d), place.squeeze(d)))


def _max(input, dim=None, keepdim=False, *, other=None):
    return _extreme("max", _amax, _maximum_of, input, dim, keepdim, other)


def _min(input, dim=None, keepdim=False, *, other=None):
    return _extreme("min", _amin, _minimum_of, input, dim, keepdim, other)


compose(_max, "max")                  # by names that are the builtins'
compose(_min, "min")


# ---- masks ----
@compose
def masked_fill(input, mask, value):
    value = value.to(input.dtype) if hasattr(value, "dtype") else input.new_full((), value)
    return where(mask, value, input)


def _below(x, diagonal):
    rows, columns = arange(x.shape[-2], device=x.device).unsqueeze(1), arange(x.shape[-1], device=x.device)
    return columns - rows <= diagonal


@compose
def tril(input, diagonal=0):
    return where(_below(input, diagonal), input, input.new_zeros(()))


@compose
def triu(input, diagonal=0):
    return where(_below(input, diagonal - 1), input.new_zeros(()), input)


# ---- copies ----
@compose
def repeat(self, *repeats):
    if len(repeats) == 1 and isinstance(repeats[0], (tuple, list)):
        repeats = tuple(repeats[0])
    if len(repeats) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    sizes = (1,) * (len(repeats) - self.ndim) + tuple(self.shape)
    pairs = [v for n, s in zip(repeats, sizes) for v in (1, s)]
    wide = [v for n, s in zip(repeats, sizes) for v in (n, s)]
    return self.reshape(pairs).expand(wide).reshape([n * s for n, s in zip(repeats, sizes)])


@compose
def tile(input, dims):
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    return repeat(input, *((1,) * (input.ndim - len(dims)) + dims))


@compose
def tile_method(self, *args, dims=None):
    return tile(self, args[0] if len(args) == 1 and dims is None else args if dims is None else dims)
