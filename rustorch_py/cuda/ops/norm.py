"""Normalisation: rows in registers (kernels/norm_short.cuh) or longer ones (kernels/norm_long.cuh), channels by packs
(kernels/channel_packs.cuh) or of any steps (kernels/norm.cuh)."""
from functools import lru_cache

from ...errors import UnsupportedOpError
from ...tensor._devices import provide
from .._backend import alignment, launch
from ._layout import merged
from ._lines import blocks, divisor, processors, short, way_of

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


@lru_cache(4096)
def _plan(n, item, aligned, weights, groups, plane, back):
    """How rows of n elements that fit into registers are read, or None: (by packs, packs of a thread, packs of a plane or 0, log2 of threads, threads of
    a block, its rows). `aligned`, `weights`: to how many bytes rows and weights are."""
    plain, width = plane == 1 and groups == 1, 16 // item
    packs = n % width == 0 and aligned >= 16 and (weights >= width * max(item, 4) if plain else plane % width == 0)
    found = n and short(n // width if packs else n, (4, 8) if not back else (1,) if packs and item == 2 else (2,))
    return (int(packs), found[1], 0 if plain else plane // width if packs else plane, found[0], found[2], found[3]) if found else None


def _by(n, plane):
    if plane > 1 and n >= 1 << 31:
        raise UnsupportedOpError(f"group_norm: a group of {n} elements is too large for the device's kernel", op="group_norm")
    return divisor(max(plane, 1))


def row_norm(y, x, weight, bias, mean, rstd, rows, groups, channels, plane, eps, rms):
    n = channels * plane
    plan = _plan(n, x.dtype.itemsize, alignment(x, y), alignment(weight, bias), groups, plane, False)
    if plan is not None:
        packs, count, inner, log, threads, lines = plan
        launch("norm_short.cuh", "row_norm", (x.dtype, packs, count), (y, x, weight, bias, mean, rstd), (log, rows, n, int(rms), groups, channels, inner), (eps,),
               grid=-(-rows // lines), block=threads)
        return
    way, per_block = way_of(n)
    launch("norm_long.cuh", "row_norm", (x.dtype,), (y, x, weight, bias, mean, rstd), (way, rows, n, groups, channels, plane, *_by(n, plane), int(rms)), (eps,),
           grid=blocks(rows, per_block))


def row_norm_back(x, g, weight, mean, rstd, gx, gw, gb, rows, groups, channels, plane, rms):
    n, here = channels * plane, processors(x.get_device())
    sums = gw is not None or gb is not None
    plan = _plan(n, x.dtype.itemsize, alignment(x, g, gx), alignment(weight), groups, plane, True) if rows else None
    fused = plan is not None and sums and plane == 1 and groups == 1
    if plan is not None and (fused or gx is not None):
        packs, count, inner, log, threads, lines = plan
        grid, part = blocks(rows, lines), None
        if fused:                                # blocks walk through rows: 16 or more each, if that leaves no processor without
            grid = min(here * max(1, min(1024 // threads, 8)), max(grid // 16, min(grid, here)))
            part = rstd.new_empty((grid, 2, n))
        launch("norm_short.cuh", "row_norm_back", (x.dtype, packs, count), (gx, x, g, weight, mean, rstd, part),
               (log, rows, n, int(rms), groups, channels, inner), grid=grid, block=threads)
        if fused:
            launch("norm.cuh", "row_sums_finish", (x.dtype,), (part, gw, gb), (n, grid), grid=blocks(2 * n, 32))
            return
        gx = None
    if gx is not None:
        way, per_block = way_of(n)
        launch("norm_long.cuh", "row_norm_back", (x.dtype,), (gx, x, g, weight, mean, rstd), (way, rows, n, groups, channels, plane, *_by(n, plane), int(rms)),
               grid=blocks(rows, per_block))
    if sums:
        images, every = rows // groups, groups * channels
        steps = (every * plane, plane, 1)
        _sums(x, g, mean, rstd, gw, gb, (every, images, plane), steps, steps, groups, channels)


def _sums(x, g, mean, rstd, gw, gb, sizes, x_steps, g_steps, mean_step, each):
    """Gradients of weight and bias, and what both were summed up in. Statistics are at image mean_step + channel // each."""
    channels, images, plane = sizes
    if not channels:
        return None
    kind = _kind(sizes, (x, x_steps), (g, g_steps)) if x.numel() else 0
    if kind == PLANES or kind and (mean_step == 0 or plane == mean_step == 1):
        lie = (mean_step, each) if kind == PLANES else (int(mean_step == 1),)
        return _finish_sums(x, _pass(x, kind, sizes, x_steps, "sums", (x, g, mean, rstd, rstd), g_steps, lie=lie)[0], gw, gb)
    way, per_block = way_of(images * plane, x_steps[1] == 1 or plane == 1)
    size, chunks = _chunks(channels, images * plane, per_block)
    part = rstd.new_empty((chunks, channels, 2))
    launch("norm.cuh", "channel_sums", (x.dtype,), (x, g, mean, rstd, part),
           (way, channels, images, plane, size, *x_steps, *g_steps, 0, 0, 0, mean_step, each), grid=(blocks(channels, per_block), chunks))
    return _finish_sums(x, part, gw, gb)


def _finish_sums(x, part, gw, gb):
    chunks, channels, _ = part.shape
    way, per_block = way_of(chunks * 16)
    launch("norm.cuh", "channel_sums_finish", (x.dtype,), (part, gb, gw), (channels, chunks, way), grid=blocks(channels, per_block))
    return part


PLANES, LAST = 1, 2


def _kind(sizes, *given):
    """PLANES or LAST where all tensors, each with its steps, are dense in that order and packs of 16 bytes are of one channel, or of
    neighbouring ones; else 0."""
    channels, images, plane = sizes
    width = 16 // given[0][0].dtype.itemsize
    if channels * images * plane // width >= 1 << 31 or alignment(*[t for t, _ in given]) < 16:
        return 0
    first = all(steps[0] == channels * plane for _, steps in given) or images == 1
    if first and plane > 1 and plane % width == 0 and all(steps[1:] == (plane, 1) for _, steps in given):
        return PLANES
    return LAST if first and channels % width == 0 and all(steps[1] == 1 and (plane == 1 or steps[2] == channels) for _, steps in given) else 0


def _pass(x, kind, sizes, x_steps, name, tensors, *more, lie=()):
    """A pass over each channel's elements by packs. Returns the chunks' results, and a chunk's elements; `more`: steps of further tensors; `lie`: numbers
    that say how statistics do."""
    channels, images, plane = sizes
    width = 16 // x.dtype.itemsize
    if kind == PLANES:
        way, per_block = way_of(images * plane)
        size = -(-_chunks(channels, images * plane, per_block)[0] // width) * width
        rows, ints = blocks(channels, per_block), (way, channels, images, plane // width, *divisor(plane // width), size // width, *(n for steps in (x_steps, *more) for n in steps[:2]), *lie)
    else:
        packs = channels // width
        log = min(5, (packs - 1).bit_length())
        rows, least = blocks(packs, 1 << log), 16 * (256 >> log)
        size = -(-images * plane // max(1, min(images * plane // least, -(-8 * processors(x.get_device()) // rows), MOST)))
        ints = (log, channels, images * plane, size, *lie)
    chunks = -(-images * plane // size)
    part = x.new_empty((chunks, channels, 2), dtype=tensors[-1].dtype)
    launch("channel_packs.cuh", f"{name}_of_{'planes' if kind == PLANES else 'last'}", (x.dtype,), (*tensors[:-1], part), ints, grid=(rows, chunks))
    return part, size


def batch_norm_statistics(x, mean, rstd, running_mean, running_var, momentum, eps):
    """Mean and 1 / deviation of each channel; running statistics of another dtype than the kernel's are moved through copies."""
    x, steps = _plain(x)
    channels, images, plane = _sizes(x)
    if not channels:
        return
    kind = _kind((channels, images, plane), (x, steps)) if x.numel() else 0
    if kind:
        part, size = _pass(x, kind, (channels, images, plane), steps, "moments", (x, mean))
    else:
        way, per_block = way_of(images * plane, steps[1] == 1 or plane == 1)
        size, chunks = _chunks(channels, images * plane, per_block)
        part = mean.new_empty((chunks, channels, 2))
        launch("norm.cuh", "channel_moments", (x.dtype,), (x, part), (way, channels, images, plane, size, *steps), grid=(blocks(channels, per_block), chunks))
    way, per_block = way_of(len(part) * 16)
    running = [t if t is None or t.dtype == mean.dtype else t.detach().to(mean.dtype) for t in (running_mean, running_var)]
    launch("norm.cuh", "channel_finish", (x.dtype,), (part, mean, rstd, *running),
           (channels, images * plane, size, len(part), *(0 if t is None else t.stride(0) for t in running), way), (momentum, eps),
           grid=blocks(channels, per_block))
    for given, moved in zip((running_mean, running_var), running):
        if given is not moved:
            given.data.copy_(moved)


def batch_norm(y, x, mean, rstd, weight, bias):
    if not y.numel():
        return
    x, x_steps = _plain(x)
    _, y_steps = _plain(y)
    sizes = _sizes(x)
    kind = _kind(sizes, (x, x_steps), (y, y_steps))
    if kind and _aligned(kind, x, mean, rstd, weight, bias):
        _each(x, kind, sizes, "norm_packs", (y, x, mean, rstd, weight, bias))
        return
    launch("norm.cuh", "channel_norm", (x.dtype,), (y, x, mean, rstd, weight, bias),
           (y.numel(), int(y_steps[1] == 1 and y.shape[1] > 1), *sizes, *x_steps, *y_steps))


def _aligned(kind, x, *statistics):
    """Tell whether statistics can be read as the packs of neighbouring channels are."""
    item = x.dtype.itemsize
    return kind == PLANES or alignment(*statistics) >= 16 // item * max(item, 4)


def _each(x, kind, sizes, kernel, tensors):
    channels, images, plane = sizes
    width = 16 // x.dtype.itemsize
    packs, many, inner = channels * images * plane // width, channels, plane // width
    if kind == LAST:
        many, inner = channels // width, 0
    launch("channel_packs.cuh", kernel, (x.dtype,), tensors, (packs, many, *divisor(many), inner, *divisor(max(inner, 1)), images * plane), grid=blocks(packs, 512))


def batch_norm_back(x, g, weight, mean, rstd, gx, gw, gb, train):
    x, x_steps = _plain(x)
    g, g_steps = _plain(g)
    sizes = _sizes(x)
    part, kind = None, _kind(sizes, (x, x_steps), (g, g_steps)) if x.numel() else 0
    if gw is not None or gb is not None or train:
        part = _sums(x, g, mean, rstd, gw, gb, sizes, x_steps, g_steps, 0, 1)
    if gx is not None and gx.numel():
        _, y_steps = _plain(gx)
        weight = None if weight is None else weight.contiguous()
        tensors = (gx, x, mean, rstd, weight, g, part if train else None)
        if kind and kind == _kind(sizes, (gx, y_steps)) and _aligned(kind, x, mean, rstd, weight):
            _each(x, kind, sizes, "norm_back_packs", tensors)
            return
        launch("norm.cuh", "channel_norm_back", (x.dtype,), tensors,
               (gx.numel(), int(y_steps[1] == 1 and gx.shape[1] > 1), *sizes, *x_steps, *y_steps, *g_steps))


provide("cuda", {f.__name__: f for f in (row_norm, row_norm_back, batch_norm_statistics, batch_norm, batch_norm_back)})
