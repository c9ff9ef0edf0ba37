# build: isa=resize.inc.c cold
"""Images and volumes resized in one pass: a plan holds what a size asks for, forwards and backwards."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free
from ._base cimport TensorBase, Node, attach1, attach2, empty, empty_like_shape, save, saved, wants_edge, as_base, RT_U8, RT_F16, RT_BF16, RT_F32, RT_F64, rt_itemsize
from ._cpu cimport isa_level
from ._plan cimport contiguous_raw
from ._neural cimport num_threads, recording, on_cpu, no_memory, pull_back, suggests_last, in_order, empty_in_order

cdef extern from "resize.h" nogil:
    """
    static inline const RtResizeTable *rt_resize_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_resize_table_avx512;
        if (level == 1) return &rt_resize_table_avx2;
    #endif
        (void)level;
        return &rt_resize_table_base;
    }
    """
    ctypedef struct rt_bf16:
        pass
    ctypedef struct rt_f16:
        pass
    ctypedef struct RtAxis:
        int64_t from_ "from"
        int64_t to
        int64_t fixed
        const int32_t *first
        const int32_t *at
        const float *f32
        const double *f64
        int64_t doubled
        int64_t padded
        const int32_t *pad_at
        const float *pad_f32
        const double *pad_f64
    ctypedef struct RtByteAxis:
        int64_t from_ "from"
        int64_t to
        int64_t taps
        int64_t step
        int shift
        const int32_t *first
        const int16_t *w
    ctypedef struct RtResizeTable:
        void (*mix_f32)(const RtAxis *, int64_t, int64_t, const float *, float *, int) noexcept nogil
        void (*mix_f64)(const RtAxis *, int64_t, int64_t, const double *, double *, int) noexcept nogil
        void (*mix_bf16)(const RtAxis *, int64_t, int64_t, const rt_bf16 *, rt_bf16 *, int) noexcept nogil
        void (*mix_f16)(const RtAxis *, int64_t, int64_t, const rt_f16 *, rt_f16 *, int) noexcept nogil
        void (*pick)(const RtAxis *, int64_t, int64_t, int64_t, const void *, void *, int) noexcept nogil
        void (*bytes)(const RtByteAxis *, int64_t, int64_t, const uint8_t *, uint8_t *, int) noexcept nogil
        void (*grid_f32)(int64_t, int64_t, int64_t, int64_t, int64_t, const float *, const float *, int, float *, int) noexcept nogil
        void (*grid_f64)(int64_t, int64_t, int64_t, int64_t, int64_t, const double *, const double *, int, double *, int) noexcept nogil
        void (*grid_d0_f32)(int64_t, int64_t, int64_t, int64_t, int64_t, const float *, const float *, const float *, int, float *, float *, int) noexcept nogil
        void (*grid_d0_f64)(int64_t, int64_t, int64_t, int64_t, int64_t, const double *, const double *, const double *, int, double *, double *, int) noexcept nogil
    enum: RT_GRID_ALIGNED, RT_GRID_BORDER, RT_GRID_NEAR, RT_GRID_REFLECT, RT_GRID_CUBIC, RT_GRID_LAST
    const RtResizeTable *rt_resize_pick(int level) noexcept nogil


cdef int fill(RtAxis *a, int64_t size, list rows, bint weighted) except -1:
    """The table of one dimension; rows: for each position of the result its taps, (position, weight) pairs."""
    cdef int64_t most = max([len(row) for row in rows], default=0), total = sum([len(row) for row in rows]), i, k, where, at = 0
    cdef int32_t *first
    cdef int32_t *taps
    cdef float *f32 = NULL
    cdef double *f64 = NULL
    cdef list row
    a.from_ = size
    a.to = len(rows)
    a.fixed = most if most and total == most * a.to else 0
    first = <int32_t *>calloc(a.to + 1, sizeof(int32_t))
    taps = <int32_t *>calloc(total + 1, sizeof(int32_t))
    a.first, a.at = first, taps
    if weighted:
        f32 = <float *>calloc(total + 1, sizeof(float))
        f64 = <double *>calloc(total + 1, sizeof(double))
        a.f32, a.f64 = f32, f64
    if not first or not taps or weighted and not (f32 and f64):
        no_memory("interpolate")
    for i in range(a.to):
        row = rows[i]
        for k in range(len(row)):
            where = k * a.to + i if a.fixed else at
            taps[where] = row[k][0]
            if weighted:
                f32[where] = row[k][1]
                f64[where] = row[k][1]
            at += 1
        first[i + 1] = at
    if a.fixed == 1 and a.to == 2 * size:
        a.doubled = all([rows[i][0][0] == i // 2 for i in range(a.to)])
    elif a.fixed == 2 and size == 2 * a.to:
        a.doubled = all([rows[i][0][0] == 2 * i and rows[i][1][0] == 2 * i + 1 for i in range(a.to)])
    elif not a.fixed and 1 <= most <= 2:
        pad(a, rows, most)
    return 0


cdef int pad(RtAxis *a, list rows, int64_t most) except -1:
    """Tables of as many taps for each position, for loops of vectors."""
    cdef int32_t *taps = <int32_t *>calloc(most * a.to, sizeof(int32_t))
    cdef float *f32 = <float *>calloc(most * a.to, sizeof(float))
    cdef double *f64 = <double *>calloc(most * a.to, sizeof(double))
    cdef int64_t i, k
    a.pad_at, a.pad_f32, a.pad_f64 = taps, f32, f64
    if not (taps and f32 and f64):
        no_memory("interpolate")
    for i in range(a.to):
        for k in range(len(rows[i])):
            taps[k * a.to + i], f64[k * a.to + i] = rows[i][k]
            f32[k * a.to + i] = <float>f64[k * a.to + i]
    a.padded = most
    return 0


cdef void empty_axis(RtAxis *a) noexcept:
    free(<void *>a.first)
    free(<void *>a.at)
    free(<void *>a.f32)
    free(<void *>a.f64)
    free(<void *>a.pad_at)
    free(<void *>a.pad_f32)
    free(<void *>a.pad_f64)


cdef class Plan:
    """Tables of the spatial dimensions of one size, mode and dtype: those of the result's positions, and their transpose.

    Args:
        axes: (size of the source, rows) for each spatial dimension; rows: for each position of the result the list of its
            (position of the source, weight) pairs.
        plain: one tap of weight 1 everywhere, so elements of any kind are copied.
        row_major: the result lies so whatever the source's order.
    """
    cdef RtAxis there[3]
    cdef RtAxis back[3]
    cdef int n
    cdef bint plain, row_major

    def __init__(self, axes, plain, row_major):
        cdef int d, lead
        cdef list rows, turned
        cdef bint weighted
        self.n = len(axes)
        self.plain = plain
        self.row_major = row_major
        lead = 3 - self.n
        for d in range(3):
            size, rows = axes[d - lead] if d >= lead else (1, [[(0, 1.0)]])
            weighted = any([w != 1.0 for row in rows for _, w in row])
            turned = [[] for _ in range(size)]
            for i, row in enumerate(rows):
                for at, w in row:
                    turned[at].append((i, w))
            fill(&self.there[d], size, rows, weighted)
            fill(&self.back[d], len(rows), turned, weighted)

    def __dealloc__(self):
        cdef int d
        for d in range(3):
            empty_axis(&self.there[d])
            empty_axis(&self.back[d])


cdef int fill_bytes(RtByteAxis *a, int64_t size, list rows) except -1:
    """The table of one dimension of an image of bytes. The weights are integers of 16 bits: as many bits behind the point as the largest leaves room for."""
    cdef int64_t taps = 0, to = len(rows), i, j, low
    cdef int32_t *first = <int32_t *>calloc(to + 1, sizeof(int32_t))
    cdef int16_t *w
    cdef int shift = 0
    cdef list sums = [], lows = []
    cdef dict here
    cdef double largest = 0, value
    a.from_, a.to, a.first = size, to, first
    for row in rows:
        here = {}                                   # taps beyond the edge fall on the edge's pixel: one weight for all of them
        for at, by in row:
            here[at] = here.get(at, 0.0) + by
        sums.append(here)
        lows.append(min(here, default=size - 1))
        largest = max(largest, max(here.values(), default=0.0))
    for i in range(to - 1, -1, -1):                 # a window's first pixel may have no weight that the next window's has one for
        if i + 1 < to and lows[i] > lows[i + 1]:
            lows[i] = lows[i + 1]
        taps = max(taps, max(sums[i], default=lows[i]) - lows[i] + 1)
    while shift < 22 and <int64_t>(0.5 + largest * (<int64_t>1 << shift + 1)) < 1 << 15:
        shift += 1
    a.shift = shift
    a.step = taps + 3 & ~3
    a.taps = taps if a.step > size else a.step      # loops take four at a time, where the source has as many
    a.w = w = <int16_t *>calloc(to * a.step + 1, sizeof(int16_t))
    if not first or not w:
        no_memory("interpolate")
    for i in range(to):
        here = sums[i]
        low = min(lows[i], size - a.taps)
        first[i] = <int32_t>low
        for j, value in here.items():
            value *= <int64_t>1 << shift
            w[i * a.step + j - low] = <int16_t>(value + 0.5 if value > 0 else value - 0.5)
    return 0


cdef class BytePlan:
    """Tables of the two dimensions of an image of bytes; rows as for `Plan`, None for a dimension that stays as it is."""
    cdef RtByteAxis axes[2]

    def __init__(self, axes):
        cdef int d
        for d in range(2):
            size, rows = axes[d]
            if rows is None:
                self.axes[d].from_ = self.axes[d].to = size
            else:
                fill_bytes(&self.axes[d], size, rows)

    def __dealloc__(self):
        cdef int d
        for d in range(2):
            free(<void *>self.axes[d].first)
            free(<void *>self.axes[d].w)

    cdef TensorBase apply(self, TensorBase x):
        cdef const RtResizeTable *table = rt_resize_pick(isa_level())
        cdef bint last = suggests_last(x)
        cdef TensorBase xc = in_order(x, last), out
        cdef int64_t sh[4]
        cdef int threads = num_threads()
        sh[0], sh[1], sh[2], sh[3] = x.sh[0], x.sh[1], self.axes[0].to, self.axes[1].to
        out = empty_in_order(4, sh, x.dt, x.dev, last)
        if out.n:
            with nogil:
                table.bytes(self.axes, sh[0] if last else sh[0] * sh[1], sh[1] if last else 1, <const uint8_t *>xc.ptr, <uint8_t *>out.ptr, threads)
        return out


cdef object apply_plan(TensorBase x, Plan plan, bint forward):
    """Resize, or its transpose; each the other's gradient. Recorded."""
    cdef const RtResizeTable *table = rt_resize_pick(isa_level())
    cdef RtAxis *axes = &plan.there[0] if forward else &plan.back[0]
    cdef bint last = suggests_last(x) and not (forward and plan.row_major), copied = plan.plain and forward
    cdef TensorBase xc, out
    cdef int64_t sh[5]
    cdef int64_t outer, inner, size = rt_itemsize(x.dt)
    cdef int i, threads = num_threads()
    cdef ResizeBackward0 node
    xc = in_order(x, last)
    sh[0] = x.sh[0]
    sh[1] = x.sh[1]
    for i in range(plan.n):
        sh[2 + i] = axes[3 - plan.n + i].to
    out = empty_in_order(x.nd, sh, x.dt, x.dev, last)
    outer = x.sh[0] if last else x.sh[0] * x.sh[1]
    inner = x.sh[1] if last else 1
    if out.n:
        with nogil:
            if copied:
                table.pick(axes, outer, inner, size, xc.ptr, out.ptr, threads)
            elif x.dt == RT_F32:
                table.mix_f32(axes, outer, inner, <const float *>xc.ptr, <float *>out.ptr, threads)
            elif x.dt == RT_F64:
                table.mix_f64(axes, outer, inner, <const double *>xc.ptr, <double *>out.ptr, threads)
            elif x.dt == RT_F16:
                table.mix_f16(axes, outer, inner, <const rt_f16 *>xc.ptr, <rt_f16 *>out.ptr, threads)
            else:
                table.mix_bf16(axes, outer, inner, <const rt_bf16 *>xc.ptr, <rt_bf16 *>out.ptr, threads)
    if recording(x, None, None):
        node = ResizeBackward0.__new__(ResizeBackward0)
        node.plan = plan
        node.forward = forward
        attach1(out, node, x)
    return out


cdef class ResizeBackward0(Node):
    cdef Plan plan
    cdef bint forward

    cdef object apply(self, object g):
        return apply_plan(<TensorBase?>g, self.plan, not self.forward)


cdef dict plans = {}                    # (arguments, sizes, dtype) -> Plan or BytePlan
cdef enum:
    KEPT = 64


cdef bint numbers(object value, bint whole) noexcept:
    """Is value a plain number or a tuple of such, whose equality says that another one asks for the same?"""
    if type(value) is tuple:
        for v in <tuple>value:
            if type(v) is not int and (whole or type(v) is not float):
                return False
        return True
    return type(value) is int or not whole and type(value) is float


cdef object key_of(TensorBase x, object size, object factor, object mode, object corners, object again, object antialias):
    """What a plan depends on, or None where an argument is of a kind that only the whole reading of the arguments judges."""
    if not on_cpu(x) or x.nd < 3 or x.nd > 5 or (x.dt != RT_F32 and x.dt != RT_BF16 and x.dt != RT_F64 and x.dt != RT_F16 and x.dt != RT_U8):
        return None
    if size is None:
        if not numbers(factor, False):
            return None
    elif factor is not None or not numbers(size, True):
        return None
    if type(mode) is not str or corners is not None and type(corners) is not bool or again is not None and type(again) is not bool:
        return None
    if type(antialias) is not bool:
        return None
    return (mode, size, factor, corners, again, antialias, x.dt, x.nd, x.sh[2], x.sh[3] if x.nd > 3 else 0, x.sh[4] if x.nd > 4 else 0)


def known(input, size, factor, mode, corners, again, antialias):
    """interpolate(input, ...) by the plan that these arguments had before; None: there is none."""
    cdef object plan
    if not isinstance(input, TensorBase):
        return None
    key = key_of(<TensorBase>input, size, factor, mode, corners, again, antialias)
    plan = None if key is None else plans.get(key)
    if plan is None:
        return None
    return apply_plan(<TensorBase>input, <Plan>plan, True) if type(plan) is Plan else (<BytePlan>plan).apply(<TensorBase>input)


cdef int keep(TensorBase x, tuple arguments, object plan) except -1:
    size, factor, mode, corners, again, antialias = arguments
    key = key_of(x, size, factor, mode, corners, again, antialias)
    if key is not None:
        if len(plans) >= KEPT:
            plans.pop(next(iter(plans)), None)
        plans[key] = plan
    return 0


def resize(input, axes, plain, row_major, arguments):
    """Resize the spatial dimensions of (N, C, ...) by tables (see `Plan`), which are kept for calls with these arguments."""
    cdef TensorBase x = as_base("interpolate", "input", input)
    cdef Plan plan = Plan(axes, plain, row_major)
    keep(x, arguments, plan)
    return apply_plan(x, plan, True)


def resize_bytes(input, axes, arguments):
    """Resize images of bytes (N, C, H, W) by tables (see `BytePlan`), which are kept for calls with these arguments."""
    cdef TensorBase x = as_base("interpolate", "input", input)
    cdef BytePlan plan = BytePlan(axes)
    keep(x, arguments, plan)
    return plan.apply(x)


# ---- samples at the places of a grid ---------------------------------------------------------------------------------
def sample_planes(input, grid, aligned, padding, mode, composed):
    """Sample (N, C, H, W) at a grid (N, H', W', 2); None: dtypes or sizes that no loop is for.

    Args:
        aligned: whether -1 and 1 are the centres of the corner pixels.
        padding: "zeros", "border" or "reflection".
        mode: "bilinear", "nearest" or "bicubic".
        composed: the same function of (input, grid) in recorded operators, for gradients of gradients.
    """
    cdef TensorBase x = as_base("grid_sample", "input", input), places = as_base("grid_sample", "grid", grid), xc, gc, out
    cdef const RtResizeTable *table = rt_resize_pick(isa_level())
    cdef int64_t sh[4]
    cdef int64_t n
    cdef int threads = num_threads()
    cdef bint last
    cdef int order
    cdef int how = (RT_GRID_ALIGNED if aligned else 0) | (RT_GRID_BORDER if padding == "border" else RT_GRID_REFLECT if padding == "reflection" else 0) | (RT_GRID_NEAR if mode == "nearest" else RT_GRID_CUBIC if mode == "bicubic" else 0)
    cdef GridSampler2DBackward0 node
    if not on_cpu(x) or not on_cpu(places) or x.dt != places.dt or x.dt != RT_F32 and x.dt != RT_F64:
        return None
    if x.n == 0 or places.n == 0 or x.sh[2] * x.sh[3] >= 1 << 31:
        return None
    last = mode != "bicubic" and suggests_last(x) and x.sh[1] > 1 and x.n < 1 << 31        # they are read as they lie
    xc = in_order(x, last)
    gc = contiguous_raw(places)
    sh[0], sh[1], sh[2], sh[3] = x.sh[0], x.sh[1], places.sh[1], places.sh[2]
    n = sh[2] * sh[3]
    out = empty(4, sh, x.dt, x.dev)
    order = how | (RT_GRID_LAST if last else 0)
    with nogil:
        if x.dt == RT_F32:
            table.grid_f32(sh[0], sh[1], x.sh[2], x.sh[3], n, <const float *>xc.ptr, <const float *>gc.ptr, order, <float *>out.ptr, threads)
        else:
            table.grid_f64(sh[0], sh[1], x.sh[2], x.sh[3], n, <const double *>xc.ptr, <const double *>gc.ptr, order, <double *>out.ptr, threads)
    if recording(x, places, None):
        node = GridSampler2DBackward0.__new__(GridSampler2DBackward0)
        node.how = how
        node.composed = composed
        save(node, 0, x)
        save(node, 1, places)
        attach2(out, node, x, places)
    return out


cdef class GridSampler2DBackward0(Node):
    cdef int how
    cdef object composed

    cdef object apply(self, object g_):
        cdef TensorBase x = saved(self, 0), places = saved(self, 1), g = <TensorBase?>g_, xc, gc, gx = None, gg = None
        cdef const RtResizeTable *table = rt_resize_pick(isa_level())
        cdef int64_t n = places.sh[1] * places.sh[2]
        cdef int threads = num_threads()
        cdef void *to_x = NULL
        cdef void *to_grid = NULL
        if recording(x, places, g):
            return pull_back(self.composed, [x, places], [wants_edge(self, 0), wants_edge(self, 1)], g)
        xc = contiguous_raw(x)
        gc = contiguous_raw(places)
        g = contiguous_raw(g)
        if wants_edge(self, 0):
            gx = empty_like_shape(x, x.dt)
            to_x = gx.ptr
        if wants_edge(self, 1):
            gg = empty_like_shape(places, x.dt)
            to_grid = gg.ptr
        with nogil:
            if x.dt == RT_F32:
                table.grid_d0_f32(x.sh[0], x.sh[1], x.sh[2], x.sh[3], n, <const float *>xc.ptr, <const float *>gc.ptr, <const float *>g.ptr,
                                  self.how, <float *>to_x, <float *>to_grid, threads)
            else:
                table.grid_d0_f64(x.sh[0], x.sh[1], x.sh[2], x.sh[3], n, <const double *>xc.ptr, <const double *>gc.ptr, <const double *>g.ptr,
                                  self.how, <double *>to_x, <double *>to_grid, threads)
        return gx, gg
