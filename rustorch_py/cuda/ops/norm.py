"""Normalisation: kernels/norm.cuh."""
from ...tensor._devices import provide
from .._backend import launch
from ._layout import merged
from ._lines import blocks, way_of

CHUNK = 16384                                    # elements of a channel that one block sums up, at least
MOST = 65535                                     # chunks


def _plain(t):
    """t, or a copy, whose plane has one step; with (steps of image, channel, place)."""
    if t.ndim > 2:
        plane = merged(t.shape[2:], t.stride()[2:])
        if len(plane) > 1:
            t = t.detach().contiguous()
            return t, (*t.stride()[:2], 1)
        return t, (*t.stride()[:2], plane[0][1])
    return t, (*t.stride()[:2], 0)


def _sizes(x):
    """channels, images, plane"""
    plane = 1
    for n in x.shape[2:]:
        plane *= n
    return x.shape[1], x.shape[0], plane


def _chunks(channels, elements, per_block):
    """Elements of a chunk and their count: many blocks, but long enough sums."""
    rows = blocks(channels, per_block)
    chunks = max(1, min(-(-elements // CHUNK), -(-2048 // rows), MOST))
    size = -(-elements // chunks)
    return size, -(-elements // size) if size else 1


def row_norm(y, x, weight, bias, mean, rstd, rows, groups, channels, plane, eps, rms):
    n = channels * plane
    way, per_block = way_of(n)
    launch("norm.cuh", "row_norm", (x.dtype,), (y, x, weight, bias, mean, rstd), (way, rows, n, groups, channels, plane, int(rms)), (eps,),
           grid=blocks(rows, per_block))


def row_norm_back(x, g, weight, mean, rstd, gx, gw, gb, rows, groups, channels, plane, rms):
    n = channels * plane
    if gx is not None:
        way, per_block = way_of(n)
        launch("norm.cuh", "row_norm_back", (x.dtype,), (gx, x, g, weight, mean, rstd), (way, rows, n, groups, channels, plane, int(rms)),
               grid=blocks(rows, per_block))
    if gw is not None or gb is not None:
        images, every = rows // groups, groups * channels
        steps = (every * plane, plane, 1)
        _sums(x, g, mean, rstd, gw, gb, (every, images, plane), steps, steps, groups, channels)


def _sums(x, g, mean, rstd, gw, gb, sizes, x_steps, g_steps, mean_step, each):
    """Gradients of weight and bias, and what both were summed up in. Statistics are at image mean_step + channel // each."""
    channels, images, plane = sizes
    if not channels:
        return None
    way, per_block = way_of(images * plane, x_steps[1] == 1 or plane == 1)
    size, chunks = _chunks(channels, images * plane, per_block)
    part = rstd.new_empty((chunks, channels, 2))
    launch("norm.cuh", "channel_sums", (x.dtype,), (x, g, mean, rstd, part),
           (way, channels, images, plane, size, *x_steps, *g_steps, 0, 0, 0, mean_step, each), grid=(blocks(channels, per_block), chunks))
    launch("norm.cuh", "channel_sums_finish", (x.dtype,), (part, gb, gw), (channels, chunks))
    return part


def batch_norm_statistics(x, mean, rstd, running_mean, running_var, momentum, eps):
    """Mean and 1 / deviation of each channel; running statistics of another dtype than the kernel's are moved through copies."""
    x, steps = _plain(x)
    channels, images, plane = _sizes(x)
    if not channels:
        return
    way, per_block = way_of(images * plane, steps[1] == 1 or plane == 1)
    size, chunks = _chunks(channels, images * plane, per_block)
    part = mean.new_empty((chunks, channels, 2))
    launch("norm.cuh", "channel_moments", (x.dtype,), (x, part), (way, channels, images, plane, size, *steps), grid=(blocks(channels, per_block), chunks))
    running = [t if t is None or t.dtype == mean.dtype else t.detach().to(mean.dtype) for t in (running_mean, running_var)]
    launch("norm.cuh", "channel_finish", (x.dtype,), (part, mean, rstd, *running),
           (channels, images * plane, size, chunks, *(0 if t is None else t.stride(0) for t in running)), (momentum, eps))
    for given, moved in zip((running_mean, running_var), running):
        if given is not moved:
            given.data.copy_(moved)


def batch_norm(y, x, mean, rstd, weight, bias):
    if not y.numel():
        return
    x, x_steps = _plain(x)
    _, y_steps = _plain(y)
    launch("norm.cuh", "channel_norm", (x.dtype,), (y, x, mean, rstd, weight, bias),
           (y.numel(), int(y_steps[1] == 1 and y.shape[1] > 1), *_sizes(x), *x_steps, *y_steps))


def batch_norm_back(x, g, weight, mean, rstd, gx, gw, gb, train):
    x, x_steps = _plain(x)
    g, g_steps = _plain(g)
    sizes = _sizes(x)
    part = None
    if gw is not None or gb is not None or train:
        part = _sums(x, g, mean, rstd, gw, gb, sizes, x_steps, g_steps, 0, 1)
    if gx is not None and gx.numel():
        _, y_steps = _plain(gx)
        weight = None if weight is None else weight.contiguous()
        launch("norm.cuh", "channel_norm_back", (x.dtype,), (gx, x, mean, rstd, weight, g, part if train else None),
               (gx.numel(), int(y_steps[1] == 1 and gx.shape[1] > 1), *sizes, *x_steps, *y_steps, *g_steps))


provide("cuda", {f.__name__: f for f in (row_norm, row_norm_back, batch_norm_statistics, batch_norm, batch_norm_back)})
