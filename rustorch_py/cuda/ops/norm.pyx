"""Normalisation: rows in registers (kernels/norm_short.cuh) or longer ones (kernels/norm_long.cuh), channels by packs
(kernels/channel_packs.cuh) or of any steps (kernels/norm.cuh)."""
from libc.stdint cimport int64_t
from ...tensor._base cimport TensorBase, empty, rt_itemsize
from ...errors import UnsupportedOpError
from ...tensor._devices import provide
from ...tensor._plan cimport cast_raw, contiguous_raw, copy_raw
from .._backend cimport Kernel, RtCall, point, processors
from ._lines cimport Short, aligned, blocks, divisor, log2_of, kept_in, variant, way_of

cdef enum:
    CHUNK = 16384                                # elements of a channel that one block sums up, at least
    MOST = 65535                                 # chunks
cdef enum:
    OTHER, PLANES, LAST                          # how packs of 16 bytes lie: not, of one channel, of neighbouring ones

cdef Kernel ROW_NORM = Kernel("norm_long.cuh", "row_norm")
cdef Kernel ROW_NORM_BACK = Kernel("norm_long.cuh", "row_norm_back")
cdef dict ROW_NORM_SHORT = {}
cdef dict ROW_NORM_BACK_SHORT = {256: {}, 512: {}, 1024: {}}       # threads of a block
cdef Kernel ROW_SUMS_FINISH = Kernel("norm.cuh", "row_sums_finish")
cdef Kernel MOMENTS_OF_PLANES = Kernel("channel_packs.cuh", "moments_of_planes")
cdef Kernel MOMENTS_OF_LAST = Kernel("channel_packs.cuh", "moments_of_last")
cdef Kernel SUMS_OF_PLANES = Kernel("channel_packs.cuh", "sums_of_planes")
cdef Kernel SUMS_OF_LAST = Kernel("channel_packs.cuh", "sums_of_last")
cdef Kernel NORM_PACKS = Kernel("channel_packs.cuh", "norm_packs")
cdef Kernel NORM_BACK_PACKS = Kernel("channel_packs.cuh", "norm_back_packs")
cdef Kernel SUMS = Kernel("norm.cuh", "channel_sums")
cdef Kernel SUMS_FINISH = Kernel("norm.cuh", "channel_sums_finish")
cdef Kernel MOMENTS = Kernel("norm.cuh", "channel_moments")
cdef Kernel MOMENTS_FINISH = Kernel("norm.cuh", "channel_finish")
cdef Kernel NORM = Kernel("norm.cuh", "channel_norm")
cdef Kernel NORM_BACK = Kernel("norm.cuh", "channel_norm_back")


cdef void add(RtCall *a, int *at, const int64_t *numbers, int count) noexcept:
    """Append whole numbers to what a kernel is given."""
    cdef int i
    for i in range(count):
        a.n[at[0]] = numbers[i]
        at[0] += 1


cdef TensorBase plain(TensorBase t, int64_t *steps):
    """t, or a copy, whose plane has one step; steps: of image, channel, place."""
    cdef int d
    cdef int64_t inner = 0, size = 1
    for d in range(t.nd - 1, 1, -1):
        if t.sh[d] == 1:
            continue
        if size == 1:
            inner = t.st[d]
        elif t.st[d] != inner * size:
            t = contiguous_raw(t)
            inner = 1
            break
        size *= t.sh[d]
    steps[0], steps[1], steps[2] = t.st[0], t.st[1], inner
    return t


cdef void sizes_of(TensorBase x, int64_t *sizes) noexcept:
    """channels, images, plane"""
    cdef int d
    sizes[0], sizes[1], sizes[2] = x.sh[1], x.sh[0], 1
    for d in range(2, x.nd):
        sizes[2] *= x.sh[d]


cdef int64_t chunks_of(int64_t channels, int64_t elements, int64_t per_block, int64_t *count) noexcept:
    """Elements of a chunk and their count: many blocks, but long enough sums."""
    cdef int64_t n = min(min(blocks(elements, CHUNK), blocks(2048, blocks(channels, per_block))), <int64_t>MOST), size
    size = blocks(elements, max(n, <int64_t>1))
    count[0] = blocks(elements, size) if size else 1
    return size


cdef bint in_registers(TensorBase x, bint dense, TensorBase weight, TensorBase bias, int64_t n, int64_t groups, int64_t plane, int few, int many,
                       bint *wide, int64_t *part, Short *found) noexcept:
    """Whether rows fit into registers, and then how they are read: wide: by packs of 16 bytes; part: packs of a plane, or 0. dense: the tensors
    are aligned; few, many: packs a thread."""
    cdef int64_t item = rt_itemsize(x.dt), width = 16 // item
    cdef bint plain = plane == 1 and groups == 1
    wide[0] = dense and n % width == 0
    if wide[0]:
        wide[0] = aligned(weight, width * max(item, <int64_t>4)) and aligned(bias, width * max(item, <int64_t>4)) if plain else plane % width == 0
    part[0] = 0 if plain else plane // width if wide[0] else plane
    return n != 0 and kept_in(n // width if wide[0] else n, few, many, found)


cdef int long_rows(RtCall *a, int64_t rows, int64_t n, int64_t groups, int64_t channels, int64_t plane, bint rms, int64_t *per_block) except -1:
    """The numbers of kernels/norm_long.cuh."""
    if plane > 1 and n >= <int64_t>1 << 31:
        raise UnsupportedOpError(f"group_norm: a group of {n} elements is too large for the device's kernel", op="group_norm")
    a.n[0], a.n[1], a.n[2], a.n[3], a.n[4], a.n[5], a.n[8] = way_of(n, False, per_block), rows, n, groups, channels, plane, rms
    divisor(max(plane, <int64_t>1), a.n + 6)
    return 0


def row_norm(TensorBase y, TensorBase x, TensorBase weight, TensorBase bias, TensorBase mean, TensorBase rstd, int64_t rows, int64_t groups,
             int64_t channels, int64_t plane, double eps, bint rms):
    cdef RtCall a
    cdef int64_t n = channels * plane, per_block, part
    cdef Short found
    cdef bint wide
    point(ROW_NORM, &a, 0, y, y)
    point(ROW_NORM, &a, 1, x, y)
    point(ROW_NORM, &a, 2, weight, y)
    point(ROW_NORM, &a, 3, bias, y)
    point(ROW_NORM, &a, 4, mean, y)
    point(ROW_NORM, &a, 5, rstd, y)
    a.k[0] = eps
    if in_registers(x, aligned(x, 16) and aligned(y, 16), weight, bias, n, groups, plane, 4, 8, &wide, &part, &found):
        a.n[0], a.n[1], a.n[2], a.n[3], a.n[4], a.n[5], a.n[6] = found.log, rows, n, rms, groups, channels, part
        variant(ROW_NORM_SHORT, "norm_short.cuh", "row_norm", wide, found.count).launch(y, x.dt, &a, blocks(rows, found.lines), 1, 1, found.threads)
        return
    long_rows(&a, rows, n, groups, channels, plane, rms, &per_block)
    ROW_NORM.launch(y, x.dt, &a, blocks(rows, per_block))


def row_norm_back(TensorBase x, TensorBase g, TensorBase weight, TensorBase mean, TensorBase rstd, TensorBase gx, TensorBase gw, TensorBase gb,
                  int64_t rows, int64_t groups, int64_t channels, int64_t plane, bint rms):
    cdef RtCall a
    cdef TensorBase part = None
    cdef int64_t n = channels * plane, per_block, every = groups * channels, grid, here, inner
    cdef int64_t sizes[3]
    cdef int64_t steps[3]
    cdef Short found
    cdef bint wide, summed = gw is not None or gb is not None, fits, fused, half = rt_itemsize(x.dt) == 2
    cdef int at_once
    fits = rows and in_registers(x, aligned(x, 16) and aligned(g, 16) and aligned(gx, 16), weight, None, n, groups, plane, 2, 2, &wide, &inner,
                                 &found)
    if fits and half and wide and found.threads > 512:             # too many numbers a thread
        fits = False
    fused = fits and summed and plane == 1 and groups == 1
    point(ROW_NORM_BACK, &a, 0, gx, x)
    point(ROW_NORM_BACK, &a, 1, x, x)
    point(ROW_NORM_BACK, &a, 2, g, x)
    point(ROW_NORM_BACK, &a, 3, weight, x)
    point(ROW_NORM_BACK, &a, 4, mean, x)
    point(ROW_NORM_BACK, &a, 5, rstd, x)
    if fits and (fused or gx is not None):
        grid = blocks(rows, found.lines)
        if fused:                                # blocks walk through rows: 16 or more each, if that leaves no processor without
            here = processors(x.dev >> 8)
            # of threads at once, as registers allow
            at_once = 512 if half else 1024 if found.count == 1 or found.threads > 256 else 768
            grid = min(here * max(<int64_t>1, min(<int64_t>(at_once // found.threads), <int64_t>8)), max(grid // 16, min(grid, here)))
            sizes[0], sizes[1], sizes[2] = grid, 2, n
            part = empty(3, sizes, rstd.dt, rstd.dev)
        point(ROW_NORM_BACK, &a, 6, part, x)
        a.n[0], a.n[1], a.n[2], a.n[3], a.n[4], a.n[5], a.n[6] = found.log, rows, n, rms, groups, channels, inner
        at_once = max(256, found.threads)
        variant(ROW_NORM_BACK_SHORT[at_once], "norm_short.cuh", f"row_norm_back_{at_once}", wide, found.count).launch(x, x.dt, &a, grid, 1, 1, found.threads)
        if fused:
            point(ROW_SUMS_FINISH, &a, 0, part, x)
            point(ROW_SUMS_FINISH, &a, 1, gw, x)
            point(ROW_SUMS_FINISH, &a, 2, gb, x)
            a.n[0], a.n[1] = n, grid
            ROW_SUMS_FINISH.launch(x, x.dt, &a, blocks(2 * n, 32))
            return
    elif gx is not None:
        long_rows(&a, rows, n, groups, channels, plane, rms, &per_block)
        ROW_NORM_BACK.launch(x, x.dt, &a, blocks(rows, per_block))
    if summed:
        sizes[0], sizes[1], sizes[2] = every, rows // groups, plane
        steps[0], steps[1], steps[2] = every * plane, plane, 1
        sums(x, g, mean, rstd, gw, gb, sizes, steps, steps, groups, channels)


cdef TensorBase sums(TensorBase x, TensorBase g, TensorBase mean, TensorBase rstd, TensorBase gw, TensorBase gb, const int64_t *sizes,
                     const int64_t *x_steps, const int64_t *g_steps, int64_t mean_step, int64_t each):
    """Gradients of weight and bias, and what both were summed up in. Statistics are at image mean_step + channel // each."""
    cdef RtCall a
    cdef TensorBase part
    cdef int at = 5, i, kind
    cdef int64_t lie[2]
    cdef int64_t channels = sizes[0], images = sizes[1], plane = sizes[2], per_block, chunks
    cdef int64_t shape[3]
    if not channels:
        return None
    point(SUMS, &a, 0, x, x)
    point(SUMS, &a, 1, g, x)
    point(SUMS, &a, 2, mean, x)
    point(SUMS, &a, 3, rstd, x)
    kind = kind_of(sizes, x, x_steps, g, g_steps) if x.n else OTHER
    if kind == PLANES or kind == LAST and (mean_step == 0 or plane == 1 and mean_step == 1):
        lie[0], lie[1] = mean_step if kind == PLANES else mean_step == 1, each
        return finish_sums(x, pass_over(x, kind, sizes, SUMS_OF_PLANES, SUMS_OF_LAST, &a, 4, rstd.dt, x_steps, g_steps, lie, &per_block), gw, gb)
    a.n[0] = way_of(images * plane, x_steps[1] == 1 or plane == 1, &per_block)
    a.n[1], a.n[2], a.n[3], a.n[4] = channels, images, plane, chunks_of(channels, images * plane, per_block, &chunks)
    shape[0], shape[1], shape[2] = chunks, channels, 2
    part = empty(3, shape, rstd.dt, rstd.dev)
    add(&a, &at, x_steps, 3)
    add(&a, &at, g_steps, 3)
    for i in range(3):
        a.n[at + i] = 0
    a.n[at + 3], a.n[at + 4] = mean_step, each
    point(SUMS, &a, 4, part, x)
    SUMS.launch(x, x.dt, &a, blocks(channels, per_block), chunks)
    return finish_sums(x, part, gw, gb)


cdef TensorBase finish_sums(TensorBase x, TensorBase part, TensorBase gw, TensorBase gb):
    cdef RtCall a
    cdef int64_t per_block
    point(SUMS_FINISH, &a, 0, part, x)
    point(SUMS_FINISH, &a, 1, gb, x)
    point(SUMS_FINISH, &a, 2, gw, x)
    a.n[0], a.n[1], a.n[2] = part.sh[1], part.sh[0], way_of(part.sh[0] * 16, False, &per_block)
    SUMS_FINISH.launch(x, x.dt, &a, blocks(part.sh[1], per_block))
    return part


cdef int kind_of(const int64_t *sizes, TensorBase x, const int64_t *x_steps, TensorBase other=None, const int64_t *other_steps=NULL) noexcept:
    """PLANES or LAST where both tensors are dense in that order and packs of 16 bytes are of one channel, or of neighbouring ones."""
    cdef int64_t channels = sizes[0], images = sizes[1], plane = sizes[2], width = 16 // rt_itemsize(x.dt)
    cdef bint planes, last
    if channels * images * plane // width >= <int64_t>1 << 31 or not aligned(x, 16) or not aligned(other, 16):
        return OTHER
    if images != 1 and (x_steps[0] != channels * plane or other is not None and other_steps[0] != channels * plane):
        return OTHER
    planes = x_steps[1] == plane and x_steps[2] == 1 and (other is None or other_steps[1] == plane and other_steps[2] == 1)
    if planes and plane > 1 and plane % width == 0:
        return PLANES
    last = x_steps[1] == 1 and (other is None or other_steps[1] == 1) and (plane == 1 or x_steps[2] == channels and (other is None or other_steps[2] == channels))
    return LAST if last and channels % width == 0 else OTHER


cdef TensorBase pass_over(TensorBase x, int kind, const int64_t *sizes, Kernel of_planes, Kernel of_last, RtCall *a, int place, int dt, const int64_t *x_steps,
                          const int64_t *more, const int64_t *lie, int64_t *size):
    """A pass over each channel's elements by packs, whose results (of dtype dt), one a chunk, are pointed to at `place`. size: a chunk's elements;
    more: steps of a further tensor, and lie how statistics do (two numbers for planes, one for channels that are last), or NULL."""
    cdef int64_t channels = sizes[0], images = sizes[1], plane = sizes[2], width = 16 // rt_itemsize(x.dt), per_block, rows, chunks, packs, least
    cdef int64_t shape[3]
    cdef int log
    cdef TensorBase part
    cdef Kernel kernel = of_planes if kind == PLANES else of_last
    if kind == PLANES:
        a.n[0] = way_of(images * plane, False, &per_block)
        size[0] = blocks(chunks_of(channels, images * plane, per_block, &chunks), width) * width
        rows = blocks(channels, per_block)
        a.n[1], a.n[2], a.n[3] = channels, images, plane // width
        divisor(plane // width, a.n + 4)
        a.n[6], a.n[7], a.n[8] = size[0] // width, x_steps[0], x_steps[1]
        if more != NULL:
            a.n[9], a.n[10], a.n[11], a.n[12] = more[0], more[1], lie[0], lie[1]
    else:
        packs = channels // width
        log = min(5, log2_of(packs))
        rows, least = blocks(packs, 1 << log), 16 * (256 >> log)
        size[0] = blocks(images * plane, max(<int64_t>1, min(min(images * plane // least, blocks(8 * <int64_t>processors(x.dev >> 8), rows)), <int64_t>MOST)))
        a.n[0], a.n[1], a.n[2], a.n[3] = log, channels, images * plane, size[0]
        if lie != NULL:
            a.n[4] = lie[0]
    chunks = blocks(images * plane, size[0])
    shape[0], shape[1], shape[2] = chunks, channels, 2
    part = empty(3, shape, dt, x.dev)
    point(kernel, a, place, part, x)
    kernel.launch(x, x.dt, a, rows, chunks)
    return part


cdef bint statistics_aligned(int kind, TensorBase x, TensorBase mean, TensorBase rstd, TensorBase weight, TensorBase bias) noexcept:
    """Whether statistics can be read as the packs of neighbouring channels are."""
    cdef int64_t item = rt_itemsize(x.dt), nbytes = 16 // item * max(item, <int64_t>4)
    return kind == PLANES or aligned(mean, nbytes) and aligned(rstd, nbytes) and aligned(weight, nbytes) and aligned(bias, nbytes)


cdef int each(TensorBase x, int kind, const int64_t *sizes, Kernel kernel, RtCall *a) except -1:
    cdef int64_t channels = sizes[0], images = sizes[1], plane = sizes[2], width = 16 // rt_itemsize(x.dt)
    cdef int64_t packs = channels * images * plane // width, many = channels, inner = plane // width
    if kind == LAST:
        many, inner = channels // width, 0
    a.n[0], a.n[1], a.n[4], a.n[7] = packs, many, inner, images * plane
    divisor(many, a.n + 2)
    divisor(max(inner, <int64_t>1), a.n + 5)
    return kernel.launch(x, x.dt, a, blocks(packs, 512))


def batch_norm_statistics(TensorBase x, TensorBase mean, TensorBase rstd, TensorBase running_mean, TensorBase running_var, double momentum, double eps):
    """Mean and 1 / deviation of each channel; running statistics of another dtype than the kernel's are moved through copies."""
    cdef RtCall a
    cdef TensorBase part, moved_mean, moved_var
    cdef int at = 5, kind
    cdef int64_t sizes[3]
    cdef int64_t steps[3]
    cdef int64_t shape[3]
    cdef int64_t per_block, chunks, size
    x = plain(x, steps)
    sizes_of(x, sizes)
    if not sizes[0]:
        return
    kind = kind_of(sizes, x, steps) if x.n else OTHER
    point(MOMENTS, &a, 0, x, mean)
    if kind != OTHER:
        part = pass_over(x, kind, sizes, MOMENTS_OF_PLANES, MOMENTS_OF_LAST, &a, 1, mean.dt, steps, NULL, NULL, &size)
    else:
        a.n[0] = way_of(sizes[1] * sizes[2], steps[1] == 1 or sizes[2] == 1, &per_block)
        size = chunks_of(sizes[0], sizes[1] * sizes[2], per_block, &chunks)
        shape[0], shape[1], shape[2] = chunks, sizes[0], 2
        part = empty(3, shape, mean.dt, mean.dev)
        a.n[1], a.n[2], a.n[3], a.n[4] = sizes[0], sizes[1], sizes[2], size
        add(&a, &at, steps, 3)
        point(MOMENTS, &a, 1, part, mean)
        MOMENTS.launch(mean, x.dt, &a, blocks(sizes[0], per_block), chunks)
    moved_mean = None if running_mean is None else cast_raw(running_mean, mean.dt)
    moved_var = None if running_var is None else cast_raw(running_var, mean.dt)
    point(MOMENTS_FINISH, &a, 0, part, mean)
    point(MOMENTS_FINISH, &a, 1, mean, mean)
    point(MOMENTS_FINISH, &a, 2, rstd, mean)
    point(MOMENTS_FINISH, &a, 3, moved_mean, mean)
    point(MOMENTS_FINISH, &a, 4, moved_var, mean)
    a.n[0], a.n[1], a.n[2], a.n[3] = sizes[0], sizes[1] * sizes[2], size, part.sh[0]
    a.n[4], a.n[5] = 0 if moved_mean is None else moved_mean.st[0], 0 if moved_var is None else moved_var.st[0]
    a.n[6] = way_of(part.sh[0] * 16, False, &per_block)
    a.k[0], a.k[1] = momentum, eps
    MOMENTS_FINISH.launch(mean, x.dt, &a, blocks(sizes[0], per_block))
    if moved_mean is not running_mean:
        copy_raw(running_mean, moved_mean)
    if moved_var is not running_var:
        copy_raw(running_var, moved_var)


def batch_norm(TensorBase y, TensorBase x, TensorBase mean, TensorBase rstd, TensorBase weight, TensorBase bias):
    cdef RtCall a
    cdef int at = 5, kind
    cdef int64_t x_steps[3]
    cdef int64_t y_steps[3]
    cdef int64_t sizes[3]
    if not y.n:
        return
    x = plain(x, x_steps)
    plain(y, y_steps)
    sizes_of(x, sizes)
    point(NORM, &a, 0, y, y)
    point(NORM, &a, 1, x, y)
    point(NORM, &a, 2, mean, y)
    point(NORM, &a, 3, rstd, y)
    point(NORM, &a, 4, weight, y)
    point(NORM, &a, 5, bias, y)
    kind = kind_of(sizes, x, x_steps, y, y_steps)
    if kind != OTHER and statistics_aligned(kind, x, mean, rstd, weight, bias):
        each(x, kind, sizes, NORM_PACKS, &a)
        return
    a.n[0], a.n[1], a.n[2], a.n[3], a.n[4] = y.n, y_steps[1] == 1 and y.sh[1] > 1, sizes[0], sizes[1], sizes[2]
    add(&a, &at, x_steps, 3)
    add(&a, &at, y_steps, 3)
    NORM.launch(y, x.dt, &a)


def batch_norm_back(TensorBase x, TensorBase g, TensorBase weight, TensorBase mean, TensorBase rstd, TensorBase gx, TensorBase gw, TensorBase gb, bint train):
    cdef RtCall a
    cdef TensorBase part = None
    cdef int at = 5, kind
    cdef int64_t x_steps[3]
    cdef int64_t g_steps[3]
    cdef int64_t y_steps[3]
    cdef int64_t sizes[3]
    x = plain(x, x_steps)
    g = plain(g, g_steps)
    sizes_of(x, sizes)
    kind = kind_of(sizes, x, x_steps, g, g_steps) if x.n else OTHER
    if gw is not None or gb is not None or train:
        part = sums(x, g, mean, rstd, gw, gb, sizes, x_steps, g_steps, 0, 1)
    if gx is None or not gx.n:
        return
    plain(gx, y_steps)
    if weight is not None:
        weight = contiguous_raw(weight)
    point(NORM_BACK, &a, 0, gx, x)
    point(NORM_BACK, &a, 1, x, x)
    point(NORM_BACK, &a, 2, mean, x)
    point(NORM_BACK, &a, 3, rstd, x)
    point(NORM_BACK, &a, 4, weight, x)
    point(NORM_BACK, &a, 5, g, x)
    point(NORM_BACK, &a, 6, part if train else None, x)
    if kind != OTHER and kind == kind_of(sizes, gx, y_steps) and statistics_aligned(kind, x, mean, rstd, weight, None):
        each(x, kind, sizes, NORM_BACK_PACKS, &a)
        return
    a.n[0], a.n[1], a.n[2], a.n[3], a.n[4] = gx.n, y_steps[1] == 1 and gx.sh[1] > 1, sizes[0], sizes[1], sizes[2]
    add(&a, &at, x_steps, 3)
    add(&a, &at, y_steps, 3)
    add(&a, &at, g_steps, 3)
    NORM_BACK.launch(x, x.dt, &a)


provide("cuda", {f.__name__: f for f in (row_norm, row_norm_back, batch_norm_statistics, batch_norm, batch_norm_back)})
