"""Reductions and normalisations that leave out the elements where ``mask`` is False."""
from . import tensor as _t
from .errors import DimError, DTypeError, TensorError, TensorTypeError, TensorValueError

__all__ = ["sum", "prod", "cumsum", "cumprod", "amax", "amin", "argmax", "argmin", "mean", "median", "norm", "var", "std", "softmax",
           "log_softmax", "softmin", "normalize", "logaddexp", "logsumexp"]

_INF = float("inf")


def _is_float(dtype):
    return dtype.is_floating_point or dtype.is_complex


def _extreme(dtype, sign):
    """The dtype's largest (sign 1) or smallest value."""
    if _is_float(dtype):
        return sign * _INF
    name = str(dtype).rpartition(".")[2]
    if name == "bool":
        return sign > 0
    bits = int(name.lstrip("uint"))
    if name == "uint8":
        return 255 if sign > 0 else 0
    return (1 << (bits - 1)) - 1 if sign > 0 else -(1 << (bits - 1))


def _dims(x, dim):
    """The dimensions to reduce, in order; all where dim is None or empty."""
    if dim is None or isinstance(dim, (tuple, list)) and not dim:
        return tuple(range(x.dim()))
    if type(dim).__module__ == "numpy":
        raise TensorValueError(f"masked: argument 'dim' must be int or tuple of ints, not {type(dim).__name__}")
    n, found = max(x.dim(), 1), []
    for d in (dim,) if isinstance(dim, int) else dim:
        if d >= n or d < -n:
            raise DimError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
        if not hasattr(d, "__index__"):
            raise TensorTypeError(f"masked: argument 'dim' must be int or tuple of ints, but found element of type {type(d).__name__}")
        if d % n in found:
            raise TensorError(f"dim={d} appears multiple times in the list of dims")
        found.append(d.__index__() % n)
    return tuple(sorted(found))


def _fill(input, mask, value):
    """input with ``value`` where the mask is False."""
    if mask is None:
        return input
    if not isinstance(mask, _t.Tensor):
        raise TensorTypeError(f"masked: mask must be a tensor, got {type(mask).__name__}")
    if mask.dim() > input.dim():
        raise DimError(f"masked: expected a mask that broadcasts to the input of {input.dim()} dimensions, but got one of {mask.dim()}")
    mask = mask if mask.dtype is _t.bool else mask != 0
    return _t.where(mask, input, _t.full((), value, dtype=input.dtype, device=input.device))


def _count(input, mask, dim, keepdim):
    """How many elements each result is made of."""
    ones = _t.ones(tuple(input.shape), dtype=_t.int64, device=input.device)
    return _reduce(_fill(ones, mask, 0), "sum", dim, keepdim)


def _reduce(x, name, dim, keepdim):
    dims = _dims(x, dim)
    return getattr(x, name)(dims, keepdim=bool(keepdim)) if x.dim() else getattr(x, name)()


def _floats(op, input, dtype):
    """input in the dtype asked for, which the operator takes no integers in."""
    x = input.to(dtype or input.dtype)
    if not _is_float(x.dtype):
        raise DTypeError(f"\"masked.{op}\" not implemented for {x.dtype}", op=op)
    return x


def _whole(dtype):
    """Sums of integers and bool are int64."""
    return dtype if _is_float(dtype) else _t.int64


def _float_dtype(input, dtype):
    return dtype or (input.dtype if _is_float(input.dtype) else _t.get_default_dtype())


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Sum the elements that the mask keeps."""
    x = input.to(dtype or _whole(input.dtype))
    return _reduce(_fill(x, mask, 0), "sum", dim, keepdim).to(x.dtype)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Multiply the elements that the mask keeps."""
    x = _fill(input.to(dtype or _whole(input.dtype)), mask, 1)
    for d in reversed(_dims(x, dim)):
        x = x.prod(d, keepdim=bool(keepdim))
    return x


def _scan(op, input, dim, dtype, mask, value):
    x = _fill(input.to(dtype or input.dtype), mask, value)
    if x.dtype is _t.bool:
        raise DTypeError(f"\"masked.{op}\" not implemented for 'Bool'", op=op)
    return getattr(x, op)(_dims(x, dim)[0] if x.dim() else 0, dtype=x.dtype)


def cumsum(input, dim, *, dtype=None, mask=None):
    """Sum the elements that the mask keeps, up to each place."""
    return _scan("cumsum", input, dim, dtype, mask, 0)


def cumprod(input, dim, *, dtype=None, mask=None):
    """Multiply the elements that the mask keeps, up to each place."""
    return _scan("cumprod", input, dim, dtype, mask, 1)


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Find the largest element that the mask keeps."""
    x = input.to(dtype or input.dtype)
    return _reduce(_fill(x, mask, _extreme(x.dtype, -1)), "amax", dim, keepdim)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Find the smallest element that the mask keeps."""
    x = input.to(dtype or input.dtype)
    return _reduce(_fill(x, mask, _extreme(x.dtype, 1)), "amin", dim, keepdim)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Find where the largest element that the mask keeps is."""
    x = input.to(dtype or input.dtype)
    x = _fill(x, mask, _extreme(x.dtype, -1))
    return x.argmax(dim, bool(keepdim)).to(x.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Find where the smallest element that the mask keeps is."""
    x = input.to(dtype or input.dtype)
    x = _fill(x, mask, _extreme(x.dtype, 1))
    return x.argmin(dim, bool(keepdim)).to(x.dtype)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Compute the mean of the elements that the mask keeps; NaN where it keeps none."""
    if not _is_float(dtype or input.dtype):
        raise TensorValueError(f"masked.mean(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {input.dtype}")
    x = input.to(dtype or input.dtype)
    return _reduce(_fill(x, mask, 0), "sum", dim, keepdim) / _count(input, mask, dim, keepdim)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """Find the median of the elements that the mask keeps; NaN where it keeps none."""
    x = input.to(dtype or input.dtype)
    d = _dims(x, dim)[0] if x.dim() else 0
    y = _fill(x if x.dtype.is_floating_point else (x.real if x.is_complex() else x).float(), mask, float("nan"))
    y = y if not y.dim() else y.nanmedian(d, bool(keepdim))[0]
    if x.dtype.is_floating_point:
        return y
    if y.isnan().any():
        raise TensorValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return y.to(x.dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Compute the p-norm of the elements that the mask keeps."""
    from .linalg import vector_norm
    x = _floats("norm", input, dtype)
    low = isinstance(ord, float) and ord == -_INF
    return vector_norm(_fill(x, mask, _INF if low else 0), ord, _dims(x, dim), bool(keepdim))


def _variance(input, dim, unbiased, correction, keepdim, dtype, mask):
    if input.dtype is _t.bool and dtype is None:
        raise DTypeError("masked.var: Subtraction, the `-` operator, with a bool tensor is not supported")
    x = input.to(_float_dtype(input, dtype))
    if correction is None:
        correction = 1 if unbiased is None else int(bool(unbiased))
    count = _count(input, mask, dim, True)
    middle = _reduce(_fill(x, mask, 0), "sum", dim, True) / count
    gap = _fill(x - middle, mask, 0)
    square = (gap * gap.conj()).real if gap.is_complex() else gap * gap
    total = _reduce(square, "sum", dim, keepdim)
    count = count if keepdim or not x.dim() else count.reshape(total.shape)
    return (total / (count - correction).clamp(min=0)).to(x.dtype)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """Compute the variance of the elements that the mask keeps."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """Compute the standard deviation of the elements that the mask keeps."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask).sqrt()


def softmax(input, dim, *, dtype=None, mask=None):
    """Compute the softmax over the elements that the mask keeps; 0 elsewhere."""
    x = _fill(_floats("softmax", input, dtype), mask, -_INF)
    return _t.softmax(x, _dims(x, dim)[0] if x.dim() else 0)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """Compute the logarithm of the softmax over the elements that the mask keeps."""
    x = _fill(_floats("log_softmax", input, dtype), mask, -_INF)
    return _t.log_softmax(x, _dims(x, dim)[0] if x.dim() else 0)


def softmin(input, dim, *, dtype=None, mask=None):
    """Compute the softmax of the negated elements that the mask keeps."""
    x = -_fill(_floats("softmin", input, dtype), mask, _INF)
    return _t.softmax(x, _dims(x, dim)[0] if x.dim() else 0)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """Divide by the p-norm of the elements that the mask keeps (at least ``eps``)."""
    x = _floats("normalize", input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _fill(x, mask, 0) / size.clamp(min=eps)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """Compute ``log(exp(input) + exp(other))``, masked elements counting as nothing."""
    work = _t.promote_types(_float_dtype(input, None), _float_dtype(other, None))
    return _t.logaddexp(_fill(input.to(work), input_mask, -_INF), _fill(other.to(work), other_mask, -_INF)).to(dtype or input.dtype)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Compute the logarithm of the sum of exponentials of the elements that the mask keeps."""
    dims = _dims(input, dim)
    x = _fill(input, mask, _extreme(input.dtype, -1))
    if not isinstance(keepdim, bool):
        raise TensorTypeError(f"logsumexp(): argument 'keepdim' must be bool, not {type(keepdim).__name__}", op="logsumexp")
    return x.to(dtype or input.dtype) if not x.dim() and not x.is_complex() else _t.logsumexp(x, dims, keepdim).to(dtype or input.dtype)
