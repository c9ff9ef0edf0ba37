"""Hand-written operators as compositions of recorded ones, for devices without a kernel of their own: Note [Operators of devices]."""
from ..errors import DTypeError, DimError
from ._create import arange
from ._devices import compose
from ._dtype import get_default_dtype
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


def _peak(x, dim, keepdim=True):
    """The largest element along dim, no part of the gradient; 0 where it is infinite, so that differences stay numbers."""
    top = _amax(x.detach(), dim, keepdim)
    return where(top.abs() == INF, top.new_zeros(()), top)


# ---- exponentials of differences ----
@compose
def softmax(input, dim, dtype=None):
    input = input if dtype is None else input.to(dtype)
    if input.numel() == 0:
        return input.clone()
    x = _wide(input)
    e = (x - _amax(x.detach(), dim, True)).exp()
    return _narrow(e / e.sum(dim, True), input)


@compose
def log_softmax(input, dim, dtype=None):
    input = input if dtype is None else input.to(dtype)
    if input.numel() == 0:
        return input.clone()
    x = _wide(input)
    y = x - _amax(x.detach(), dim, True)
    return _narrow(y - y.exp().sum(dim, True).log(), input)


@compose
def logsumexp(input, dim, keepdim=False):
    x = _wide(input) if input.dtype.is_floating_point or input.dtype.is_complex else input.to(get_default_dtype())
    if x.numel() == 0:
        return x.exp().sum(dim, keepdim).log()
    top = _peak(x, dim)
    total = (x - top).exp().sum(dim, True).log() + top
    if not keepdim:
        total = _drop(total, _dims(dim, x.ndim))
    return total if not input.dtype.is_floating_point else _narrow(total, input)


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


# ---- normalization ----
def _normal(x, dims, eps):
    """x less its mean, over its deviation, along dims; with both."""
    mean = x.mean(dims, True)
    gap = x - mean
    scale = ((gap * gap).mean(dims, True) + eps).rsqrt()
    return gap * scale, mean, scale


def _affine(y, weight, bias, shape):
    y = y if weight is None else y * weight.to(y.dtype).reshape(shape)
    return y if bias is None else y + bias.to(y.dtype).reshape(shape)


def _channels(x):
    return (1, x.shape[1]) + (1,) * (x.ndim - 2)


@compose
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    count = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
    y, mean, scale = _normal(_wide(input), tuple(range(-count, 0)), eps)
    return _narrow(_affine(y, weight, bias, tuple(input.shape[-count:])), input), mean, scale


@compose
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True):
    return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


@compose
def rms_norm(input, normalized_shape, weight=None, eps=None):
    x = _wide(input)
    count = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
    if eps is None:
        eps = 2.0 ** -52 if x.dtype.itemsize == 8 else 2.0 ** -23
    y = x * ((x * x).mean(tuple(range(-count, 0)), True) + eps).rsqrt()
    return _narrow(_affine(y, weight, None, tuple(input.shape[-count:])), input)


@compose
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True):
    x = _wide(input)
    y = _normal(x.reshape(x.shape[0], num_groups, -1), (2,), eps)[0].reshape(x.shape)
    return _narrow(_affine(y, weight, bias, _channels(x)), input)


@compose
def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=True):
    x = _wide(input)
    if not training:
        shape = _channels(x)
        y = (x - running_mean.to(x.dtype).reshape(shape)) * (running_var.to(x.dtype).reshape(shape) + eps).rsqrt()
        return _narrow(_affine(y, weight, bias, shape), input)
    dims = (0, *range(2, x.ndim))
    y, mean, _ = _normal(x, dims, eps)
    if running_mean is not None:
        count = x.numel() // x.shape[1]
        gap = x.detach() - mean.detach()
        variance = (gap * gap).sum(dims) / max(count - 1, 1)
        running_mean.mul_(1 - momentum).add_(mean.detach().reshape(-1).to(running_mean.dtype) * momentum)
        running_var.mul_(1 - momentum).add_(variance.to(running_var.dtype) * momentum)
    return _narrow(_affine(y, weight, bias, _channels(x)), input)


@compose
def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled=True):
    x = _wide(input)
    if not use_input_stats:
        return batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps)
    dims = tuple(range(2, x.ndim))
    y, mean, _ = _normal(x, dims, eps)
    if running_mean is not None:
        count = x.numel() // (x.shape[0] * x.shape[1])
        gap = x.detach() - mean.detach()
        variance = ((gap * gap).sum(dims) / max(count - 1, 1)).mean(0)
        running_mean.mul_(1 - momentum).add_(mean.detach().reshape(x.shape[:2]).mean(0).to(running_mean.dtype) * momentum)
        running_var.mul_(1 - momentum).add_(variance.to(running_var.dtype) * momentum)
    return _narrow(_affine(y, weight, bias, _channels(x)), input)


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


# ---- losses ----
def _picked(input, target, weight, ignore_index):
    """(-weight input[target], weight of each target), classes along dimension 1 (0 of one sample)."""
    at = 0 if input.ndim == 1 else 1
    shape = [1] * input.ndim
    shape[at] = input.shape[at]
    classes = arange(input.shape[at], device=input.device).reshape(shape)
    goal = target.unsqueeze(at)
    hit = (classes == goal) & (goal != ignore_index)
    share = hit.to(input.dtype) if weight is None else where(hit, weight.reshape(shape), input.new_zeros(()))
    return -where(hit, input, input.new_zeros(())) * share, share, at


def _reduced(loss, weights, reduction):
    return loss if reduction == 0 else loss.sum() / weights if reduction == 1 else loss.sum()


@compose
def nll_loss_nd(input, target, weight=None, reduction=1, ignore_index=-100):
    x = _wide(input)
    loss, share, at = _picked(x, target, None if weight is None else weight.to(x.dtype), ignore_index)
    return _narrow(_reduced(loss.sum(at), share.sum(), reduction), input)


compose(nll_loss_nd, "nll_loss")
compose(nll_loss_nd, "nll_loss2d")


@compose
def cross_entropy_loss(input, target, weight=None, reduction=1, ignore_index=-100, label_smoothing=0.0):
    x = _wide(input)
    at = 0 if x.ndim == 1 else 1
    logs = log_softmax(x, at)
    shape = [1] * x.ndim
    shape[at] = x.shape[at]
    scale = None if weight is None else weight.to(x.dtype).reshape(shape)
    if target.dtype.is_floating_point:                   # probabilities of the classes
        goal = target.to(x.dtype) * (1 - label_smoothing) + label_smoothing / x.shape[at]
        loss = -(logs * goal if scale is None else logs * goal * scale).sum(at)
        count = loss.numel() if loss.ndim else 1
        return _narrow(_reduced(loss, count, reduction), input)
    loss, share, _ = _picked(logs, target, None if scale is None else scale.reshape(-1), ignore_index)
    result = _reduced(loss.sum(at), share.sum(), reduction)
    if label_smoothing:
        smooth = -(logs if scale is None else logs * scale).sum(at)
        smooth = where(target != ignore_index, smooth, smooth.new_zeros(()))
        result = result * (1 - label_smoothing) + _reduced(smooth, share.sum(), reduction) * (label_smoothing / x.shape[at])
    return _narrow(result, input)


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
