"""Pooling: fixed windows, adaptive windows, power means, and their inverses."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import IntOverflowError, ShapeError, TensorError, TensorTypeError, TensorValueError, TooFewDimsError
from ...tensor import _margins
from ...tensor._autocast import in_float32
from ._util import pair, single, spread, triple, whole

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

avg_pool1d = _t.avg_pool1d
avg_pool2d = _t.avg_pool2d
avg_pool3d = _t.avg_pool3d
adaptive_avg_pool1d = _t.adaptive_avg_pool1d


# The operator is looked up at each call, in `_t`, where the profiler puts its timed stand-in.

def _max_pool(n, name):
    """Build the pair (max_pool, max_pool_with_indices) for n spatial dimensions."""

    def kernel(*args):
        return getattr(_t, name)(*args)

    def with_indices(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
    ):
        return kernel(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)

    def values(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        if n == 3 and not return_indices:
            input = in_float32(input)
        stride = kernel_size if stride is None else stride
        if not return_indices and getattr(input, "requires_grad", None) is False:          # no gradient will ask for the positions
            return getattr(_t, alone)(input, kernel_size, stride, padding, dilation, ceil_mode)
        out = kernel(input, kernel_size, stride, padding, dilation, ceil_mode)
        return out if return_indices else out[0]

    alone = f"max_pool{n}d"
    with_indices.__name__ = with_indices.__qualname__ = f"max_pool{n}d_with_indices"
    with_indices.__doc__ = f"Return the maxima over {n}-dimensional windows and their flat positions."
    values.__name__ = values.__qualname__ = f"max_pool{n}d"
    values.__doc__ = f"""Take the maximum over {n}-dimensional windows.

    Args:
        input: (N, C, *spatial) or (C, *spatial), {n} spatial dimensions.
        kernel_size: window size, a number or one per dimension.
        stride: step; the kernel size if absent.
        padding: implicit minus infinity at both ends, at most half the kernel.
        dilation: distance between the window's elements.
        ceil_mode: round the output size up.
        return_indices: also return the flat positions of the maxima (for max_unpool{n}d).
    """
    return values, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool(1, "max_pool1d_with_indices")
max_pool2d, max_pool2d_with_indices = _max_pool(2, "max_pool2d_with_indices")
max_pool3d, max_pool3d_with_indices = _max_pool(3, "max_pool3d_with_indices")


def _plain_size(n):
    return type(n) is int and n < 1 << 63


def _adaptive_size(input, output_size, n):
    """Fill in None (keep the input's size) in an adaptive output size."""
    if isinstance(output_size, int) and not isinstance(output_size, bool):
        if input.dim() <= n:
            raise TooFewDimsError(f"adaptive pooling: Expected {n + 1}D or {n + 2}D tensor, but got {list(input.shape)}")
        output_size = (output_size,) * n
    if type(output_size) is tuple and len(output_size) == n < input.dim() and all(map(_plain_size, output_size)):
        return output_size
    if not hasattr(output_size, "__len__"):
        raise TensorTypeError(f"adaptive pooling: argument 'output_size' must be tuple of ints, not {type(output_size).__name__}")
    if input.dim() <= len(output_size):
        raise TooFewDimsError(f"Input dimension should be at least {len(output_size) + 1}, got {input.dim()}")
    size = [input.shape[i - len(output_size)] if s is None else s for i, s in enumerate(output_size)]
    for i, s in enumerate(size):
        if isinstance(s, (bool, float)) or not hasattr(s, "__index__") or isinstance(s, _t.Tensor) and s.dtype.is_floating_point:
            raise TensorTypeError(f"adaptive pooling: argument 'output_size' must be tuple of ints, but found element of type {type(s).__name__} at pos {i}")
    if len(size) != n:
        raise ShapeError(f"adaptive pooling: output_size must be {n} numbers, got {output_size}")
    if any(s.__index__() >= 1 << 63 for s in size):
        raise IntOverflowError(f"adaptive pooling: Overflow when unpacking long long: output_size {output_size}")
    return tuple(s.__index__() for s in size)


def adaptive_avg_pool2d(input, output_size):
    """Average over windows chosen so that the output is (height, width); None keeps the input's size."""
    if type(output_size) is int and output_size == 1 and input.dim() == 2:       # one window: any two dimensions have a mean
        return input.mean((-2, -1), keepdim=True)
    return _t.adaptive_avg_pool2d(input, _adaptive_size(input, output_size, 2))


def adaptive_avg_pool3d(input, output_size):
    """Average over windows chosen so that the output is (depth, height, width); None keeps the input's size."""
    if type(output_size) is int and output_size == 1 and input.dim() == 3:
        return input.mean((-3, -2, -1), keepdim=True)
    return _t.adaptive_avg_pool3d(input, _adaptive_size(input, output_size, 3))


def _adaptive_max_pool(n, name):
    def with_indices(input, output_size, return_indices=False):
        return getattr(_t, name)(input, _adaptive_size(input, output_size, n))

    def values(input, output_size, return_indices=False):
        out = getattr(_t, name)(input, _adaptive_size(input, output_size, n))
        return out if return_indices else out[0]

    with_indices.__name__ = with_indices.__qualname__ = f"adaptive_max_pool{n}d_with_indices"
    with_indices.__doc__ = f"Return the maxima over {n}-dimensional adaptive windows and their flat positions."
    values.__name__ = values.__qualname__ = f"adaptive_max_pool{n}d"
    values.__doc__ = f"""Take the maximum over windows chosen so that the output has a given size.

    Args:
        input: (N, C, *spatial) or (C, *spatial), {n} spatial dimensions.
        output_size: a number or one per dimension; None keeps the input's size.
        return_indices: also return the flat positions of the maxima.
    """
    return values, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_pool(1, "adaptive_max_pool1d")
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_pool(2, "adaptive_max_pool2d")
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_pool(3, "adaptive_max_pool3d")


def _lp_pool(input, norm_type, kernel, stride, ceil_mode, max_pool, avg_pool):
    if isinstance(norm_type, (int, float)) and math.isinf(norm_type):
        sign = 1 if norm_type > 0 else -1
        return sign * max_pool(sign * input.abs(), kernel, stride, 0, 1, ceil_mode)
    mean = avg_pool(input.pow(norm_type), kernel, kernel if stride is None else stride, 0, ceil_mode)
    # The power mean of signed values keeps its sign, as in PyTorch.
    return (mean.sign() * _t.relu(mean.abs())).mul(math.prod(kernel)).pow(1.0 / norm_type)


def _windows(op, kernel_size, n):
    """Return a kernel's n sizes; one number stands for all of them, a sequence must have them all."""
    if hasattr(kernel_size, "__len__"):
        if len(kernel_size) != n:
            raise TensorValueError(f"{op}: kernel_size must be a single int or {n} of them, got {kernel_size}", op=op)
        if isinstance(kernel_size, _t.Tensor):
            raise TensorTypeError(f"{op}(): argument 'kernel_size' must be tuple of ints, not Tensor", op=op)
    return whole(op, "kernel_size", kernel_size, n)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Take the p-norm over windows of one dimension."""
    if isinstance(kernel_size, (list, tuple)):
        raise TensorTypeError(f"lp_pool1d: kernel_size must be an int, got {kernel_size}", op="lp_pool1d")
    return _lp_pool(input, norm_type, single(kernel_size), stride, ceil_mode, max_pool1d, avg_pool1d)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Take the p-norm over windows of two dimensions."""
    return _lp_pool(input, norm_type, _windows("lp_pool2d", kernel_size, 2), stride, ceil_mode, max_pool2d, avg_pool2d)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Take the p-norm over windows of three dimensions."""
    return _lp_pool(input, norm_type, _windows("lp_pool3d", kernel_size, 3), stride, ceil_mode, max_pool3d, avg_pool3d)


def _unpool(input, indices, kernel, stride, padding, output_size, n):
    """Scatter values to the flat positions that max pooling returned."""
    count = len(kernel)                              # n, else the size is refused below
    spatial = input.shape[-count:]
    default = [(spatial[d] - 1) * stride[d] + kernel[d] - 2 * padding[d] for d in range(count)]
    if output_size is None:
        size = default
    else:
        size = list(output_size)
        if len(size) == count + 2:
            size = size[2:]
        if len(size) != count:
            raise ValueError(
                f"output_size should be a sequence containing {count} or {count + 2} elements, "
                f"but it has a length of '{len(size)}'"
            )
        for d in range(count):
            low, high = default[d] - stride[d], default[d] + stride[d]
            if not low < size[d] < high:
                raise ValueError(f'invalid output_size "{size}" (dim {d} must be between {low} and {high})')
        if isinstance(output_size, _t.Tensor):
            raise TensorTypeError(f"max_unpool{n}d(): argument 'output_size' must be tuple of ints, not Tensor", op=f"max_unpool{n}d")
    if n == 3:
        return _t.max_unpool3d(input, indices, size, stride, padding)
    return (_t.max_unpool1d, _t.max_unpool2d)[n - 1](input, indices, size)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put pooled values back at their positions, zeros elsewhere."""
    kernel = single(kernel_size)
    return _unpool(input, indices, kernel, kernel if stride is None else single(stride), single(padding), output_size, 1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put pooled values back at their positions, zeros elsewhere."""
    kernel = pair(kernel_size)
    return _unpool(input, indices, kernel, kernel if stride is None else pair(stride), pair(padding), output_size, 2)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put pooled values back at their positions, zeros elsewhere."""
    kernel = triple(kernel_size)
    return _unpool(input, indices, kernel, kernel if stride is None else triple(stride), triple(padding), output_size, 3)


def _fraction_starts(sample, input_size, output_size, kernel):
    """Choose the window starts along a dimension from one uniform draw.

    Source: Graham (2014), Fractional max-pooling, section 2 (pseudorandom sequences).
    """
    starts = []
    if output_size > 1:
        alpha = (input_size - kernel) / (output_size - 1)
        starts = [int((i + sample) * alpha) - int(sample * alpha) for i in range(output_size - 1)]
    return [*starts, input_size - kernel]


def _fractional(input, kernel_size, output_size, output_ratio, samples, n):
    if output_size is None and output_ratio is None:
        raise ValueError(f"fractional_max_pool{n}d requires specifying either an output_size or an output_ratio")
    if input.dim() not in (n + 1, n + 2):
        raise TooFewDimsError(f"fractional_max_pool{n}d: Expected {n + 1}D or {n + 2}D input, got shape {list(input.shape)}", op=f"fractional_max_pool{n}d")
    for name, given in (("kernel_size", kernel_size), ("output_size", output_size)):
        if hasattr(given, "__len__") and len(given) != n:
            raise ShapeError(f"fractional_max_pool{n}d: {name} must either be a single Int or tuple of {n} Ints, got {given}", op=f"fractional_max_pool{n}d")
    kernel = spread(kernel_size, n)
    spatial = tuple(input.shape[-n:])
    if output_size is None:
        ratio = spread(output_ratio, n)
        output_size = tuple(int(s * r) for s, r in zip(spatial, ratio))
    size = spread(output_size, n)
    batched = input.dim() == n + 2
    x = input if batched else input.unsqueeze(0)
    batch, channels = x.shape[:2]
    if samples is None:
        samples = _t.rand(batch, channels, n, dtype=input.dtype, device="cpu" if input.is_meta else input.device)
    for d in range(n):
        if size[d] + kernel[d] - 1 > spatial[d]:
            raise TensorError(
                f"fractional_max_pool{n}d: kernel size {kernel[d]} too large relative to input size {spatial[d]} "
                f"for output size {size[d]}",
                op=f"fractional_max_pool{n}d",
            )
    if samples.dtype != input.dtype:
        raise TensorError(f"fractional_max_pool{n}d: Expect _random_samples to have the same dtype as input", op=f"fractional_max_pool{n}d")
    if tuple(samples.shape) != (batch, channels, n):
        raise ShapeError(f"fractional_max_pool{n}d: Expect _random_samples to be of shape {(batch, channels, n)}, got {tuple(samples.shape)}", op=f"fractional_max_pool{n}d")
    flat = _margins.fractional_max(x, samples, kernel, size) if type(x) is type(samples) is _t.Tensor else None
    if flat is None:
        flat = _fractional_places(x.detach(), samples.tolist(), kernel, size)
    values = x.reshape(batch, channels, math.prod(spatial)).gather(2, flat)
    shape = (batch, channels, *size)
    values, flat = values.reshape(shape), flat.reshape(shape)
    return (values, flat) if batched else (values.squeeze(0), flat.squeeze(0))


def _fractional_places(x, draws, kernel, size):
    """Flat positions of the maxima, for tensors that `_margins.fractional_max` does not read."""
    n, spatial, (batch, channels) = len(size), tuple(x.shape[2:]), x.shape[:2]
    area = math.prod(kernel)
    flat_index = []
    for b in range(batch):
        for c in range(channels):
            grid = [[]]  # per output cell, the window's positions along each dimension
            for d in range(n):
                # PyTorch's order of samples: (width, height) for images, (depth, height, width) for volumes.
                starts = _fraction_starts(draws[b][c][1 - d if n == 2 else d], spatial[d], size[d], kernel[d])
                axis = [[s + k for k in range(kernel[d])] for s in starts]
                grid = [windows + [window] for windows in grid for window in axis]
            for windows in grid:
                cells = [0]
                for d in range(n):
                    cells = [base * spatial[d] + p for base in cells for p in windows[d]]
                flat_index.append(cells)
    index = _t.tensor(flat_index, dtype=_t.int64, device=x.device)
    index = index.reshape(batch, channels, math.prod(size) * area)
    cells = (batch, channels, math.prod(size), area)
    windows = x.reshape(batch, channels, math.prod(spatial)).gather(2, index).reshape(cells)
    return index.reshape(cells).gather(-1, windows.max(-1)[1].unsqueeze(-1)).squeeze(-1)


def fractional_max_pool2d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Return ``fractional_max_pool2d`` and the flat positions of the maxima."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Take maxima over windows at random places whose count is a fraction of the input's size."""
    out = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return out if return_indices else out[0]


def fractional_max_pool3d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Return ``fractional_max_pool3d`` and the flat positions of the maxima."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Take maxima over windows at random places whose count is a fraction of the input's size."""
    out = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return out if return_indices else out[0]
