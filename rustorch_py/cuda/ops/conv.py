"""Convolutions: cuDNN's (_dnn.py) where it is installed, else kernels/conv.cuh."""
from ...errors import ShapeError
from ...tensor._devices import provide
from ...tensor._dtype import _dtype_by_name
from .. import _dnn
from .._backend import launch, properties

FORWARD, INPUT, WEIGHT = range(3)
TILE_M, TILE_N, TILE_K = 128, 64, 16             # as the kernel has them
FEW = 8                                          # channels of a group that fill no tile
FLOAT32 = _dtype_by_name("float32")


def _five(strides):
    """Strides of images, channels and three dimensions of space."""
    strides = tuple(strides)
    return strides[:2] + (0,) * (5 - len(strides)) + strides[2:]


def _processors(device, found={}):
    if device.index not in found:
        found[device.index] = properties(device.index)["multi_processor_count"] or 1
    return found[device.index]


def _volume(sizes):
    return sizes[0] * sizes[1] * sizes[2]


def convolution(out, mode, a, b, bias, geometry):
    """One of the three products of a convolution into `out`, forward, gradient of the input, of the weight.

    Args:
        a, b: x and weight (forward), gradient of y and weight (input), gradient of y and x (weight).
        geometry: batch, groups, channels in and out a group, then three numbers each: sizes in, out, kernel, stride, padding, dilation.
    """
    if not out.numel() or (_dnn.switches.enabled and _dnn.convolution(out, mode, a, b, bias, geometry)):
        return
    batch, groups, cin, cout = geometry[:4]
    size_in, size_out, kernel, stride = (geometry[4 + 3 * i:7 + 3 * i] for i in range(4))
    if max(size_in + size_out) + max(geometry[13:]) >= 1 << 29:
        raise ShapeError(f"convolution: sizes of 2**29 and more have no kernel on {out.device}, got {max(size_in + size_out)}", op="convolution")
    x, weight, y = (a, b, out) if mode == FORWARD else (out, b, a) if mode == INPUT else (b, out, a)
    read, other = (b, a) if mode == WEIGHT else (a, b)
    steps_x, steps_w, steps_y = _five(x.stride()), _five(weight.stride()), _five(y.stride())
    last = steps_x[1] == 1 and cin * groups > 1 and x.ndim > 3 and steps_x[4] != 1
    steps_read = steps_y if mode == INPUT else steps_x
    classes = _volume(stride) if mode == INPUT else 1
    places = batch * (_volume([-(-n // s) for n, s in zip(size_in, stride)]) if mode == INPUT else _volume(size_out))
    channels, results = (cout, cin) if mode == INPUT else (cin, cout)
    taps = channels * _volume(kernel)
    m, k = (taps, places) if mode == WEIGHT else (places, -(-taps // classes))
    types = (out.dtype,)

    def ints(splits, a_along_k=0, b_along_k=0):
        return (*geometry, *steps_x, *steps_w, *steps_y, mode, splits, 0 if last else 1, int(a_along_k), int(b_along_k))

    if results < FEW or (mode == WEIGHT and channels * _volume(kernel) < FEW):
        if mode == WEIGHT:
            return launch("conv.cuh", "conv_each_weight", types, (read, other, out), ints(1), grid=min(groups * cout * taps, 1 << 20))
        blocks = min(-(-places * groups * results // 256), 8 * 2048)
        return launch("conv.cuh", "conv_each", types, (read, other, out, bias), ints(1), grid=(blocks, min(classes, 65535)))
    tiles_m, tiles_n = -(-m // TILE_M), -(-results // TILE_N)
    blocks = tiles_m * tiles_n * groups * classes
    splits = max(1, min(2 * _processors(out.device) // blocks, k // (8 * TILE_K), 64))      # one wave of blocks, each with work enough
    if mode == WEIGHT:
        along = not last, steps_y[1] != 1
    else:
        along = last and steps_read[1] == 1, min((s for s in steps_w[2:] + (steps_w[0 if mode == INPUT else 1],) if s), default=0) < steps_w[1 if mode == INPUT else 0]
    part = out.new_empty(splits * out.numel(), dtype=FLOAT32 if out.dtype.itemsize < 4 else out.dtype) if splits > 1 else None
    launch("conv.cuh", "conv", types, (read, other, out, bias, part), ints(splits, *along),
           grid=(tiles_m, tiles_n, min(groups * classes * splits, 65535)))
    if splits > 1:
        shape = tuple(out.shape)
        shape = shape[:2] + (1,) * (5 - len(shape)) + shape[2:]
        launch("conv.cuh", "conv_sum", types, (None, None, out, bias, part), (out.numel(), *shape, *_five(out.stride()), splits))


provide("cuda", {"convolution": convolution})
