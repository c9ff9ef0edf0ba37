"""Reductions and normalisations that leave out the elements where ``mask`` is False."""
from . import tensor as _t
from .errors import DTypeError, TensorTypeError

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


def _fill(input, mask, value):
    """input with ``value`` where the mask is False."""
    if mask is None:
        return input
    if not isinstance(mask, _t.Tensor):
        raise TensorTypeError(f"masked: mask must be a tensor, got {type(mask).__name__}")
    mask = mask if mask.dtype is _t.bool else mask != 0
    return _t.where(mask, input, _t.full((), value, dtype=input.dtype, device=input.device))


def _count(input, mask, dim, keepdim):
    """How many elements each result is made of."""
    ones = _t.ones(tuple(input.shape), dtype=_t.int64, device=input.device)
    return _reduce(_fill(ones, mask, 0), "sum", dim, keepdim)


def _reduce(x, name, dim, keepdim, **named):
    fn = getattr(x, name)
    return fn(keepdim=keepdim, dim=tuple(range(x.dim())), **named) if dim is None and x.dim() else \
        fn(**named) if dim is None else fn(dim, keepdim=keepdim, **named)


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
    dims = range(x.dim()) if dim is None else (dim,) if isinstance(dim, int) else dim
    for d in sorted((d % max(x.dim(), 1) for d in dims), reverse=True):
        x = x.prod(d, keepdim=keepdim)
    return x


def cumsum(input, dim, *, dtype=None, mask=None):
    """Sum the elements that the mask keeps, up to each place."""
    return _fill(input.to(dtype or _whole(input.dtype)), mask, 0).cumsum(dim)


def cumprod(input, dim, *, dtype=None, mask=None):
    """Multiply the elements that the mask keeps, up to each place."""
    return _fill(input.to(dtype or _whole(input.dtype)), mask, 1).cumprod(dim)


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
    return x.argmax(dim, keepdim).to(x.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Find where the smallest element that the mask keeps is."""
    x = input.to(dtype or input.dtype)
    x = _fill(x, mask, _extreme(x.dtype, 1))
    return x.argmin(dim, keepdim).to(x.dtype)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Compute the mean of the elements that the mask keeps; NaN where it keeps none."""
    x = input.to(_float_dtype(input, dtype))
    return _reduce(_fill(x, mask, 0), "sum", dim, keepdim) / _count(input, mask, dim, keepdim)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """Find the median of the elements that the mask keeps; NaN where it keeps none."""
    x = input.to(dtype or input.dtype)
    if not x.dtype.is_floating_point:
        raise DTypeError(f"masked.median: expected a floating point dtype, got {x.dtype}", op="masked.median")
    if x.dim() == 0:
        return _fill(x, mask, float("nan"))
    return _fill(x, mask, float("nan")).nanmedian(dim, keepdim)[0] if mask is not None else x.median(dim, keepdim)[0]


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Compute the p-norm of the elements that the mask keeps."""
    from .linalg import vector_norm
    x = input.to(_float_dtype(input, dtype))
    dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    return vector_norm(_fill(x, mask, _INF if ord == -_INF else 0), 2.0 if ord is None else ord, dims, keepdim)


def _variance(input, dim, unbiased, correction, keepdim, dtype, mask):
    x = input.to(_float_dtype(input, dtype))
    if correction is None:
        correction = 1 if unbiased is None else int(bool(unbiased))
    count = _count(input, mask, dim, True)
    middle = _reduce(_fill(x, mask, 0), "sum", dim, True) / count
    gap = _fill(x - middle, mask, 0)
    square = (gap * gap.conj()).real if gap.is_complex() else gap * gap
    total = _reduce(square, "sum", dim, keepdim)
    count = count if keepdim or not x.dim() else count.reshape(total.shape)
    return total / (count - correction).clamp(min=0)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """Compute the variance of the elements that the mask keeps."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """Compute the standard deviation of the elements that the mask keeps."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask).sqrt()


def softmax(input, dim, *, dtype=None, mask=None):
    """Compute the softmax over the elements that the mask keeps; 0 elsewhere."""
    return _t.softmax(_fill(input.to(_float_dtype(input, dtype)), mask, -_INF), dim)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """Compute the logarithm of the softmax over the elements that the mask keeps."""
    return _t.log_softmax(_fill(input.to(_float_dtype(input, dtype)), mask, -_INF), dim)


def softmin(input, dim, *, dtype=None, mask=None):
    """Compute the softmax of the negated elements that the mask keeps."""
    return _t.softmax(-_fill(input.to(_float_dtype(input, dtype)), mask, _INF), dim)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """Divide by the p-norm of the elements that the mask keeps (at least ``eps``)."""
    x = input.to(_float_dtype(input, dtype))
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _fill(x, mask, 0) / size.clamp(min=eps)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """Compute ``log(exp(input) + exp(other))``, masked elements counting as nothing."""
    dtype = dtype or _t.promote_types(input.dtype, other.dtype)
    return _t.logaddexp(_fill(input.to(dtype), input_mask, -_INF), _fill(other.to(dtype), other_mask, -_INF))


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Compute the logarithm of the sum of exponentials of the elements that the mask keeps."""
    if not input.dim():
        return input.to(dtype or input.dtype)
    x = _fill(input, mask, _extreme(input.dtype, -1))
    return _t.logsumexp(x, tuple(range(x.dim())) if dim is None else dim, keepdim).to(dtype or input.dtype)
