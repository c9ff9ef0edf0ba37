# build: isa=pool.inc.c cold
"""Pooling: maxima (with positions), averages, adaptive windows, and the inverse of max pooling."""
from libc.stdint cimport int64_t
from libc.stdlib cimport malloc, free
from ._base cimport (TensorBase, Node, empty, attach1, grad_mode, save, saved, as_base, shape_tuple, RT_BF16, RT_F32, RT_F64, RT_I64,
                     RT_KIND_INT, RT_KIND_FLOAT, rt_kind)
from ._cpu cimport isa_level
from ._dtype cimport torch_name
from ._neural cimport num_threads, read_sizes, recording, on_cpu, by_float32, together, add_sizes, float32_of, like_dtype, need_float, sizes_text, suggests_last, line_lies_last, one_of, in_order, empty_in_order
from ._ops cimport deliver
from ._plan cimport contiguous_raw, cast_raw, copy_raw
from ._devices import run as run_on_device
from ..errors import DTypeError, ShapeError, TooFewDimsError, UnsupportedOpError

cdef extern from "pool.h" nogil:
    """
    static inline const RtPoolTable *rt_pool_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_pool_table_avx512;
        if (level == 1) return &rt_pool_table_avx2;
    #endif
        (void)level;
        return &rt_pool_table_base;
    }
    """
    ctypedef struct rt_bf16:
        pass
    ctypedef struct RtPool:
        int64_t planes
        int64_t in_ "in"[3]
        int64_t out[3]
        int64_t dilation[3]
        int64_t stride[3]
        int64_t kernel[3]
        int64_t pad[3]
        const int64_t *lo[3]
        const int64_t *hi[3]
        const int64_t *size[3]
        double divisor
    ctypedef struct RtPoolTable:
        void (*max_f32)(const RtPool *, const float *, float *, int64_t *, int) noexcept nogil
        void (*max_f64)(const RtPool *, const double *, double *, int64_t *, int) noexcept nogil
        void (*max_i64)(const RtPool *, const int64_t *, int64_t *, int64_t *, int) noexcept nogil
        void (*tops_f32)(const RtPool *, const float *, float *, int) noexcept nogil
        void (*tops_f64)(const RtPool *, const double *, double *, int) noexcept nogil
        void (*avg_f32)(const RtPool *, const float *, float *, int) noexcept nogil
        void (*avg_f64)(const RtPool *, const double *, double *, int) noexcept nogil
        void (*avg_d0_f32)(const RtPool *, const float *, float *, int) noexcept nogil
        void (*avg_d0_f64)(const RtPool *, const double *, double *, int) noexcept nogil
        int64_t (*scatter_f32)(int64_t, int64_t, int64_t, const int64_t *, const float *, float *, int, int) noexcept nogil
        int64_t (*scatter_f64)(int64_t, int64_t, int64_t, const int64_t *, const double *, double *, int, int) noexcept nogil
        void (*gather_f32)(int64_t, int64_t, int64_t, const int64_t *, const float *, float *, int) noexcept nogil
        void (*gather_f64)(int64_t, int64_t, int64_t, const int64_t *, const double *, double *, int) noexcept nogil
        void (*max_last_f32)(const RtPool *, int64_t, int64_t, const float *, float *, int64_t *, int) noexcept nogil
        void (*max_last_f64)(const RtPool *, int64_t, int64_t, const double *, double *, int64_t *, int) noexcept nogil
        void (*avg_last_f32)(const RtPool *, int64_t, int64_t, const float *, float *, int) noexcept nogil
        void (*avg_last_f64)(const RtPool *, int64_t, int64_t, const double *, double *, int) noexcept nogil
        void (*avg_last_d0_f32)(const RtPool *, int64_t, int64_t, const float *, float *, int) noexcept nogil
        void (*avg_last_d0_f64)(const RtPool *, int64_t, int64_t, const double *, double *, int) noexcept nogil
        int64_t (*scatter_last_f32)(int64_t, int64_t, int64_t, int64_t, const int64_t *, const float *, float *, int) noexcept nogil
        int64_t (*scatter_last_f64)(int64_t, int64_t, int64_t, int64_t, const int64_t *, const double *, double *, int) noexcept nogil
        void (*gather_last_f32)(int64_t, int64_t, int64_t, int64_t, const int64_t *, const float *, float *, int) noexcept nogil
        void (*gather_last_f64)(int64_t, int64_t, int64_t, int64_t, const int64_t *, const double *, double *, int) noexcept nogil
        void (*max_last_bf16)(const RtPool *, int64_t, int64_t, const rt_bf16 *, rt_bf16 *, int64_t *, int) noexcept nogil
        void (*avg_last_bf16)(const RtPool *, int64_t, int64_t, const rt_bf16 *, rt_bf16 *, int) noexcept nogil
        void (*avg_whole_bf16)(const RtPool *, const rt_bf16 *, rt_bf16 *, int) noexcept nogil
    const RtPoolTable *rt_pool_pick(int level) noexcept nogil
    bint rt_pool_whole(const RtPool *) noexcept nogil


cdef class Windows:
    """The geometry of a pooling: an RtPool and the tables it borrows."""
    cdef RtPool p
    cdef int64_t *block
    cdef int n                     # spatial dimensions
    cdef bint adaptive, count_pad

    def __dealloc__(self):
        free(self.block)

    cdef int tables(self) except -1:
        """Room for lo, hi, size of each dimension; returns with the pointers set."""
        cdef int64_t total = 0
        cdef int64_t *at
        cdef int d
        for d in range(3):
            total += 3 * self.p.out[d]
        at = self.block = <int64_t *>malloc((total + 1) * sizeof(int64_t))
        if at is NULL:
            raise MemoryError()
        for d in range(3):
            self.p.lo[d] = at
            self.p.hi[d] = at + self.p.out[d]
            self.p.size[d] = at + 2 * self.p.out[d]
            at += 3 * self.p.out[d]
        return 0


cdef int read_plane(object op, TensorBase x, int n, RtPool *p) except -1:
    """Input sizes; leading dimensions become planes."""
    cdef int d
    if x.nd != n + 1 and x.nd != n + 2:
        raise (TooFewDimsError if x.nd < n else ShapeError)(f"{op}: Expected {n + 1}D or {n + 2}D input, but got input of size: {sizes_text(x)}", op=op)
    for d in range(3):
        p.in_[d] = p.out[d] = p.dilation[d] = p.stride[d] = p.kernel[d] = 1
        p.pad[d] = 0
    for d in range(n):
        p.in_[3 - n + d] = x.sh[x.nd - n + d]
        if p.in_[3 - n + d] == 0:
            raise ShapeError(f"{op}: Expected input with non-zero size for non-batch dimensions, but got {sizes_text(x)}", op=op)
    p.planes = 1
    for d in range(x.nd - n):
        p.planes *= x.sh[d]
    if x.nd == n + 2 and x.sh[1] == 0:
        raise ShapeError(f"{op}: Expected input with non-zero size for non-batch dimensions, but got {sizes_text(x)}", op=op)
    p.divisor = 0
    return 0


cdef Windows even_windows(object op, TensorBase x, int n, object kernel, object stride, object padding, object dilation,
                          bint ceil_mode, bint average, bint count_pad):
    cdef Windows w = Windows.__new__(Windows)
    cdef RtPool *p = &w.p
    cdef int d, f = 3 - n
    cdef int64_t reach, span, start, end, t, most
    w.n = n
    w.adaptive, w.count_pad = False, count_pad
    read_plane(op, x, n, p)
    read_sizes(op, "kernel_size", kernel, n, &p.kernel[f])
    if stride is None or (isinstance(stride, (list, tuple)) and len(stride) == 0):
        stride = kernel
    read_sizes(op, "stride", stride, n, &p.stride[f])
    read_sizes(op, "padding", padding, n, &p.pad[f])
    read_sizes(op, "dilation", dilation, n, &p.dilation[f])
    for d in range(f, 3):
        if p.kernel[d] <= 0:
            raise ShapeError(f"{op}: kernel size should be greater than zero, but got {kernel}", op=op)
        if p.stride[d] <= 0:
            raise ShapeError(f"{op}: stride should not be zero, but got {stride}", op=op)
        if p.dilation[d] <= 0:
            raise ShapeError(f"{op}: dilation should be greater than zero, but got {dilation}", op=op)
        most = <int64_t>1 << (40 if n == 1 and not average else 31)
        if p.kernel[d] >= most or p.stride[d] >= most or p.pad[d] >= most or p.dilation[d] >= most or <double>p.dilation[d] * <double>p.kernel[d] > 2.0 ** 60:
            raise ShapeError(f"{op}: value cannot be converted to type int without overflow: kernel_size={kernel}, stride={stride}, padding={padding}, "
                             f"dilation={dilation}", op=op)
        reach = p.dilation[d] * (p.kernel[d] - 1) + 1
        if p.pad[d] < 0:
            raise ShapeError(f"{op}: pad must be non-negative, but got pad: {p.pad[d]}", op=op)
        if p.pad[d] > reach // 2:
            raise ShapeError(f"{op}: pad should be at most half of effective kernel size, but got pad={p.pad[d]}, "
                             f"kernel_size={p.kernel[d]} and dilation={p.dilation[d]}", op=op)
        span = p.in_[d] + 2 * p.pad[d] - reach + (p.stride[d] - 1 if ceil_mode else 0)
        p.out[d] = span // p.stride[d] + 1 if span >= 0 else 0
        if ceil_mode and (p.out[d] - 1) * p.stride[d] >= p.in_[d] + p.pad[d]:
            p.out[d] -= 1
        if p.out[d] < 1:
            raise ShapeError(f"{op}: Given input size {sizes_text(x)}, kernel_size={kernel}, the calculated output size is too small",
                             op=op)
    w.tables()
    for d in range(3):
        reach = p.dilation[d] * (p.kernel[d] - 1) + 1
        for t in range(p.out[d]):
            start = t * p.stride[d] - p.pad[d]
            if average:
                end = min(start + p.kernel[d], p.in_[d] + p.pad[d])
                (<int64_t *>p.size[d])[t] = end - start
                start = max(start, 0)
                end = min(end, p.in_[d])
                if not count_pad:
                    (<int64_t *>p.size[d])[t] = max(end - start, 1)
            else:
                end = min(start + reach, p.in_[d])
                while start < 0:
                    start += p.dilation[d]
            (<int64_t *>p.lo[d])[t] = start
            (<int64_t *>p.hi[d])[t] = end
    return w


cdef Windows adaptive_windows(object op, TensorBase x, int n, object output_size):
    cdef Windows w = Windows.__new__(Windows)
    cdef RtPool *p = &w.p
    cdef int d, f = 3 - n
    cdef int64_t t, lo, hi
    w.n = n
    w.adaptive, w.count_pad = True, False
    read_plane(op, x, n, p)
    if output_size is None:
        output_size = [None] * n
    if isinstance(output_size, (list, tuple)) and any(s is None for s in output_size):
        output_size = [x.sh[x.nd - n + k] if s is None else s for k, s in enumerate(output_size)]
    read_sizes(op, "output_size", output_size, n, &p.out[f])
    for d in range(3):
        if d >= f:                            # even windows, or none that are evenly spaced
            p.stride[d] = p.kernel[d] = p.in_[d] // p.out[d] if p.out[d] > 0 and p.in_[d] % p.out[d] == 0 else 0
        if p.out[d] < 0:
            raise ShapeError(f"{op}: elements of output_size must be greater than or equal to 0, got {output_size}", op=op)
    if <double>p.out[0] * <double>p.out[1] * <double>p.out[2] > 2.0 ** 58:
        raise ShapeError(f"{op}: Storage size calculation overflowed with output_size {output_size}", op=op)
    w.tables()
    for d in range(3):
        for t in range(p.out[d]):
            lo = t * p.in_[d] // p.out[d]
            hi = ((t + 1) * p.in_[d] + p.out[d] - 1) // p.out[d]
            (<int64_t *>p.lo[d])[t] = lo
            (<int64_t *>p.hi[d])[t] = hi
            (<int64_t *>p.size[d])[t] = hi - lo
    return w


cdef TensorBase output_of(TensorBase x, Windows w, int dt, bint last):
    cdef int64_t sh[5]
    cdef int d, lead = x.nd - w.n
    for d in range(lead):
        sh[d] = x.sh[d]
    for d in range(w.n):
        sh[lead + d] = w.p.out[3 - w.n + d]
    return empty_in_order(x.nd, sh, dt, x.dev, last)


cdef bint lies_last(TensorBase x, Windows w) noexcept:
    """Whether the channels of a batch of images or volumes are innermost: the result lies as they do."""
    return x.nd == w.n + 2 and w.n >= 2 and suggests_last(x)


cdef tuple numbers_of(Windows w):
    """What a device's kernel computes the windows from."""
    cdef list numbers = []
    add_sizes(numbers, w.p.in_, 3)
    add_sizes(numbers, w.p.out, 3)
    add_sizes(numbers, w.p.kernel, 3)
    add_sizes(numbers, w.p.stride, 3)
    add_sizes(numbers, w.p.pad, 3)
    add_sizes(numbers, w.p.dilation, 3)
    return (*numbers, w.adaptive, w.count_pad, w.p.divisor)


cdef int64_t volume(const int64_t *v) noexcept:
    return v[0] * v[1] * v[2]


cdef bint as_it_lies(TensorBase x) except -1:
    """Whether loops of bfloat16 may read x: on the CPU, and no gradient goes through the float32 between."""
    return x.dt == RT_BF16 and on_cpu(x) and not recording(x, None, None)


# ---- maxima -----------------------------------------------------------------------------------------------
cdef tuple max_pool(object op, object input, TensorBase x, Windows w, bint placed=True):
    """(maxima, their positions in the input plane). placed: the positions are wanted; None for them where nobody does."""
    cdef const RtPoolTable *table = rt_pool_pick(isa_level())
    cdef TensorBase xc, out, idx
    cdef MaxPoolWithIndicesBackward0 node
    cdef int threads = num_threads()
    cdef bint last = lies_last(x, w)
    if last and as_it_lies(x) and volume(w.p.in_) < (<int64_t>1 << 31):
        out = output_of(x, w, x.dt, last)
        idx = output_of(x, w, RT_I64, last) if placed else None
        xc = in_order(x, last)
        if out.n:
            with nogil:
                table.max_last_bf16(&w.p, x.sh[0], x.sh[1], <rt_bf16 *>xc.ptr, <rt_bf16 *>out.ptr, <int64_t *>idx.ptr if placed else NULL, threads)
        return out, idx
    if by_float32(x):
        values, where = max_pool(op, float32_of(input), float32_of(input), w, placed)
        return like_dtype(values, x.dt), where
    if rt_kind(x.dt) == RT_KIND_INT and x.dt != RT_I64:
        xc = cast_raw(x, RT_I64)
        values, where = max_pool(op, xc, xc, w)
        return cast_raw(values, x.dt), where
    if x.dt != RT_I64:
        need_float(op, x)
    elif last and on_cpu(x):                  # no loop for integers: their order is PyTorch's all the same
        xc = contiguous_raw(x)
        values, where = max_pool(op, xc, xc, w)
        return in_order(values, True), in_order(where, True)
    out = output_of(x, w, x.dt, last)
    if not placed and on_cpu(x) and x.dt != RT_I64 and not recording(x, None, None):
        xc = in_order(x, last)
        with nogil:
            if out.n == 0:
                pass
            elif last and x.dt == RT_F32:
                table.max_last_f32(&w.p, x.sh[0], x.sh[1], <float *>xc.ptr, <float *>out.ptr, NULL, threads)
            elif last:
                table.max_last_f64(&w.p, x.sh[0], x.sh[1], <double *>xc.ptr, <double *>out.ptr, NULL, threads)
            elif x.dt == RT_F32:
                table.tops_f32(&w.p, <float *>xc.ptr, <float *>out.ptr, threads)
            else:
                table.tops_f64(&w.p, <double *>xc.ptr, <double *>out.ptr, threads)
        return out, None
    idx = output_of(x, w, RT_I64, last)
    if not on_cpu(x):
        run_on_device("max_pool", out, idx, x, w.n, last, numbers_of(w))
    elif out.n:
        xc = in_order(x, last)
        with nogil:
            if last and x.dt == RT_F32:
                table.max_last_f32(&w.p, x.sh[0], x.sh[1], <float *>xc.ptr, <float *>out.ptr, <int64_t *>idx.ptr, threads)
            elif last:
                table.max_last_f64(&w.p, x.sh[0], x.sh[1], <double *>xc.ptr, <double *>out.ptr, <int64_t *>idx.ptr, threads)
            elif x.dt == RT_F32:
                table.max_f32(&w.p, <float *>xc.ptr, <float *>out.ptr, <int64_t *>idx.ptr, threads)
            elif x.dt == RT_F64:
                table.max_f64(&w.p, <double *>xc.ptr, <double *>out.ptr, <int64_t *>idx.ptr, threads)
            else:
                table.max_i64(&w.p, <int64_t *>xc.ptr, <int64_t *>out.ptr, <int64_t *>idx.ptr, threads)
    if recording(x, None, None):
        node = MaxPoolWithIndicesBackward0.__new__(MaxPoolWithIndicesBackward0)
        node.shape = shape_tuple(x)
        node.planes = w.p.planes
        node.last = last
        node.n = w.n
        node.w = w
        save(node, 0, idx)
        attach1(out, node, x)
    return out, idx


cdef class MaxPoolWithIndicesBackward0(Node):
    cdef tuple shape          # of the input
    cdef int64_t planes
    cdef bint last            # channels innermost
    cdef int n
    cdef Windows w            # None: the positions came from elsewhere

    cdef object apply(self, object g):
        return plane_scatter("max_pool", <TensorBase?>g, saved(self, 0), self.planes, self.shape, True, self.last, self.n, self.w)


cdef object plane_scatter(object op, TensorBase g, TensorBase idx, int64_t planes, tuple shape, bint add, bint last, int n, Windows w):
    """Add (or put) g's elements at the positions idx of zeroed planes; recorded. last: channels innermost; w: the windows that
    the positions are maxima of, or None."""
    cdef TensorBase out, flat
    cdef PlaneScatterBackward0 node
    cdef int64_t sh[8]
    cdef int i
    for i in range(len(shape)):
        sh[i] = shape[i]
    out = empty_in_order(<int>len(shape), sh, g.dt, g.dev, last)
    if on_cpu(g) and last and not add:            # the CPU's loop for channels adds, and positions may stand twice
        flat = empty(out.nd, sh, g.dt, g.dev)
        run_scatter(op, g, idx, planes, shape, False, False, flat)
        copy_raw(out, flat)
    elif on_cpu(g):
        run_scatter(op, g, idx, planes, shape, add, last, out)
    elif w is not None:
        run_on_device("max_pool_back", out, idx, g, n, last, numbers_of(w))
    else:
        run_on_device("plane_put", out, idx, g, n, add, last)
    if recording(g, None, None):
        node = PlaneScatterBackward0.__new__(PlaneScatterBackward0)
        node.shape = shape_tuple(g)
        node.planes = planes
        node.last = last
        node.n = n
        node.w = w
        save(node, 0, idx)
        attach1(out, node, g)
    return out


cdef int run_scatter(object op, TensorBase g, TensorBase idx, int64_t planes, tuple shape, bint add, bint last, TensorBase out) except -1:
    """The CPU's loops."""
    cdef const RtPoolTable *table = rt_pool_pick(isa_level())
    cdef TensorBase gc = in_order(g, last), ic = in_order(idx, last)
    cdef const int64_t *sh = out.sh
    cdef int64_t n_in, n_out, bad
    cdef int threads = num_threads()
    n_in = out.n // planes if planes else 0
    n_out = g.n // planes if planes else 0
    with nogil:
        if last and g.dt == RT_F32:
            bad = table.scatter_last_f32(sh[0], sh[1], n_in, n_out, <int64_t *>ic.ptr, <float *>gc.ptr, <float *>out.ptr, threads)
        elif last:
            bad = table.scatter_last_f64(sh[0], sh[1], n_in, n_out, <int64_t *>ic.ptr, <double *>gc.ptr, <double *>out.ptr, threads)
        elif g.dt == RT_F32:
            bad = table.scatter_f32(planes, n_in, n_out, <int64_t *>ic.ptr, <float *>gc.ptr, <float *>out.ptr, add, threads)
        else:
            bad = table.scatter_f64(planes, n_in, n_out, <int64_t *>ic.ptr, <double *>gc.ptr, <double *>out.ptr, add, threads)
    if bad:
        raise ShapeError(f"{op}: Found an invalid max index: {(<int64_t *>ic.ptr)[bad - 1]} (output volumes are of size "
                         f"{list(shape)})", op=op)
    return 0


cdef object plane_gather(TensorBase x, TensorBase idx, int64_t planes, tuple shape, bint last, int n, Windows w):
    """Pick the positions idx from planes; the gradient of plane_scatter. Recorded."""
    cdef const RtPoolTable *table = rt_pool_pick(isa_level())
    cdef TensorBase xc, ic, out
    cdef int64_t sh[8]
    cdef int64_t n_in, n_out
    cdef int i, threads = num_threads()
    cdef MaxPoolWithIndicesBackward0 node
    for i in range(len(shape)):
        sh[i] = shape[i]
    out = empty_in_order(<int>len(shape), sh, x.dt, x.dev, last)
    n_in = x.n // planes if planes else 0
    n_out = out.n // planes if planes else 0
    if not on_cpu(x):
        run_on_device("plane_pick", out, idx, x, n, last)
    else:
        xc, ic = in_order(x, last), in_order(idx, last)
        with nogil:
            if last and x.dt == RT_F32:
                table.gather_last_f32(sh[0], sh[1], n_in, n_out, <int64_t *>ic.ptr, <float *>xc.ptr, <float *>out.ptr, threads)
            elif last:
                table.gather_last_f64(sh[0], sh[1], n_in, n_out, <int64_t *>ic.ptr, <double *>xc.ptr, <double *>out.ptr, threads)
            elif x.dt == RT_F32:
                table.gather_f32(planes, n_in, n_out, <int64_t *>ic.ptr, <float *>xc.ptr, <float *>out.ptr, threads)
            else:
                table.gather_f64(planes, n_in, n_out, <int64_t *>ic.ptr, <double *>xc.ptr, <double *>out.ptr, threads)
    if recording(x, None, None):
        node = MaxPoolWithIndicesBackward0.__new__(MaxPoolWithIndicesBackward0)
        node.shape = shape_tuple(x)
        node.planes = planes
        node.last = last
        node.n = n
        node.w = w
        save(node, 0, idx)
        attach1(out, node, x)
    return out


cdef class PlaneScatterBackward0(Node):
    cdef tuple shape          # of what was scattered
    cdef int64_t planes
    cdef bint last
    cdef int n
    cdef Windows w

    cdef object apply(self, object g):
        return plane_gather(<TensorBase?>g, saved(self, 0), self.planes, self.shape, self.last, self.n, self.w)


cdef tuple max_pool_even(object op, int n, object input, object kernel, object stride, object padding, object dilation, bint ceil_mode, bint placed=True):
    cdef TensorBase x = as_base(op, "input", input)
    cdef Windows w = even_windows(op, x, n, kernel, stride, padding, dilation, ceil_mode, False, False)
    if n == 1 and line_lies_last(x):                   # as images of one row, which keeps the channels innermost
        found = max_pool_even("max_pool2d", 2, input.unsqueeze(2), (1, one_of(kernel)), None if stride is None else (1, one_of(stride)), (0, one_of(padding)),
                              (1, one_of(dilation)), ceil_mode, placed)
        return found[0].squeeze(2), found[1].squeeze(2) if found[1] is not None else None
    return max_pool(op, input, x, w, placed)


cdef object max_unpool(object op, int n, object input, object indices, object output_size):
    cdef TensorBase x = as_base(op, "input", input), idx = as_base(op, "indices", indices)
    cdef int64_t planes = 1
    cdef int64_t sizes[3]
    cdef int d
    if idx.dt != RT_I64:
        raise DTypeError(f"{op}: elements in indices should be type int64 but got: {torch_name(idx.dt)}", op=op)
    if shape_tuple(idx) != shape_tuple(x):
        raise ShapeError(f"{op}: Expected shape of indices to be: {sizes_text(x)} but got: {sizes_text(idx)}", op=op)
    together(op, x, idx)
    if x.nd != n + 1 and x.nd != n + 2:
        raise ShapeError(f"{op}: Input to {op} should be a {n + 1}d or {n + 2}d Tensor, but got {sizes_text(x)}", op=op)
    if by_float32(x):
        return like_dtype(max_unpool(op, n, float32_of(input), indices, output_size), x.dt)
    need_float(op, x)
    read_sizes(op, "output_size", output_size, n, sizes)
    for d in range(x.nd - n):
        planes *= x.sh[d]
    return plane_scatter(op, x, idx, planes, shape_tuple(x)[:x.nd - n] + tuple([sizes[d] for d in range(n)]), False, n == 2 and suggests_last(x), n, None)


# ---- averages ---------------------------------------------------------------------------------------------
cdef object avg_pool(object op, object input, TensorBase x, Windows w):
    cdef const RtPoolTable *table = rt_pool_pick(isa_level())
    cdef TensorBase xc, out
    cdef int threads = num_threads()
    cdef bint last = lies_last(x, w), whole = rt_pool_whole(&w.p)
    cdef WholeMeanBackward0 node
    if x.dt == RT_BF16 and on_cpu(x) and (whole or last and as_it_lies(x)):
        out = output_of(x, w, x.dt, last)
        xc = in_order(x, last)
        if out.n:
            with nogil:
                if last:
                    table.avg_last_bf16(&w.p, x.sh[0], x.sh[1], <rt_bf16 *>xc.ptr, <rt_bf16 *>out.ptr, threads)
                else:
                    table.avg_whole_bf16(&w.p, <rt_bf16 *>xc.ptr, <rt_bf16 *>out.ptr, threads)
        if recording(x, None, None):
            node = WholeMeanBackward0.__new__(WholeMeanBackward0)
            node.shape = shape_tuple(x)
            node.last = last
            node.divisor = w.p.divisor if w.p.divisor else w.p.size[0][0] * w.p.size[1][0] * w.p.size[2][0]
            attach1(out, node, x)
        return out
    if by_float32(x):
        return like_dtype(avg_pool(op, float32_of(input), float32_of(input), w), x.dt)
    if x.dt == RT_I64:                       # rounded towards zero; exact below 2^53
        return cast_raw(average(cast_raw(x, RT_F64), w, shape_tuple(x), True, lies_last(x, w)), RT_I64)
    need_float(op, x)
    return average(x, w, shape_tuple(x), True, lies_last(x, w))


cdef object average(TensorBase x, Windows w, tuple shape, bint forward, bint last):
    """Averages over windows, or their transpose (which is their gradient); recorded. shape: of the input planes; last: channels
    innermost."""
    cdef TensorBase out
    cdef int64_t sh[8]
    cdef int i
    cdef AvgPoolBackward0 node
    if forward:
        out = output_of(x, w, x.dt, last)
    else:
        for i in range(len(shape)):
            sh[i] = shape[i]
        out = empty_in_order(<int>len(shape), sh, x.dt, x.dev, last)
    if on_cpu(x):
        run_average(in_order(x, last), w, forward, last, out)
    else:
        run_on_device("average_pool", out, x, w.n, last, forward, numbers_of(w))
    if recording(x, None, None):
        node = AvgPoolBackward0.__new__(AvgPoolBackward0)
        node.w = w
        node.shape = shape
        node.forward = forward
        node.last = last
        attach1(out, node, x)
    return out


cdef void run_average(TensorBase xc, Windows w, bint forward, bint last, TensorBase out) noexcept:
    """The CPU's loops."""
    cdef const RtPoolTable *table = rt_pool_pick(isa_level())
    cdef int threads = num_threads()
    with nogil:
        if last:
            if xc.dt == RT_F32:
                (table.avg_last_f32 if forward else table.avg_last_d0_f32)(&w.p, xc.sh[0], xc.sh[1], <float *>xc.ptr, <float *>out.ptr, threads)
            else:
                (table.avg_last_f64 if forward else table.avg_last_d0_f64)(&w.p, xc.sh[0], xc.sh[1], <double *>xc.ptr, <double *>out.ptr, threads)
        elif forward:
            if xc.dt == RT_F32:
                table.avg_f32(&w.p, <float *>xc.ptr, <float *>out.ptr, threads)
            else:
                table.avg_f64(&w.p, <double *>xc.ptr, <double *>out.ptr, threads)
        else:
            if xc.dt == RT_F32:
                table.avg_d0_f32(&w.p, <float *>xc.ptr, <float *>out.ptr, threads)
            else:
                table.avg_d0_f64(&w.p, <double *>xc.ptr, <double *>out.ptr, threads)


cdef class AvgPoolBackward0(Node):
    cdef Windows w
    cdef tuple shape
    cdef bint forward, last

    cdef object apply(self, object g):
        return average(<TensorBase?>g, self.w, self.shape, not self.forward, self.last)


cdef class WholeMeanBackward0(Node):
    """Of averages of whole planes of bfloat16: every element has the same gradient."""
    cdef tuple shape
    cdef bint last
    cdef double divisor

    cdef object own_name(self):
        return "MeanBackward1"

    cdef object apply(self, object g):
        cdef TensorBase each = <TensorBase?>like_dtype(float32_of(g) / self.divisor, (<TensorBase?>g).dt).expand(self.shape)
        return each if grad_mode() else in_order(each, self.last)


cdef object avg_pool_even(object op, int n, object input, object kernel, object stride, object padding, bint ceil_mode,
                          bint count_include_pad, object divisor_override):
    cdef TensorBase x = as_base(op, "input", input)
    cdef Windows w = even_windows(op, x, n, kernel, stride, padding, 1, ceil_mode, True, count_include_pad)
    if n == 1 and line_lies_last(x):                   # as images of one row, which keeps the channels innermost
        return avg_pool_even("avg_pool2d", 2, input.unsqueeze(2), (1, one_of(kernel)), None if stride is None else (1, one_of(stride)), (0, one_of(padding)),
                             ceil_mode, count_include_pad, divisor_override).squeeze(2)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ShapeError(f"{op}: divisor must be not zero", op=op)
        w.p.divisor = divisor_override
    return avg_pool(op, input, x, w)


cdef object avg_pool_adaptive(object op, int n, object input, object output_size):
    cdef TensorBase x = as_base(op, "input", input)
    if n == 1 and line_lies_last(x):
        return avg_pool_adaptive(op, 2, input.unsqueeze(2), (1, one_of(output_size))).squeeze(2)
    return avg_pool(op, input, x, adaptive_windows(op, x, n, output_size))


cdef tuple max_pool_adaptive(object op, int n, object input, object output_size):
    cdef TensorBase x = as_base(op, "input", input)
    if n == 1 and line_lies_last(x):
        found = max_pool_adaptive(op, 2, input.unsqueeze(2), (1, one_of(output_size)))
        return found[0].squeeze(2), found[1].squeeze(2)
    return max_pool(op, input, x, adaptive_windows(op, x, n, output_size))


# ---- public -----------------------------------------------------------------------------------------------
cdef int refuse_whole(TensorBase input) except -1:
    """Refuse maxima over lines of whole numbers on the CPU where no positions are asked for: PyTorch has no loop for them."""
    if on_cpu(input) and rt_kind(input.dt) < RT_KIND_FLOAT:
        raise UnsupportedOpError(f"\"max_pool1d\" not implemented for '{torch_name(input.dt)}': return_indices=True takes whole numbers", op="max_pool1d")
    return 0


def max_pool1d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the maximum of each window of (N, C, L) or (C, L), and its position.

    Args:
        kernel_size, stride, padding, dilation: of the window; stride defaults to kernel_size. Padding counts as -inf.
        ceil_mode: a last, incomplete window gives an output too.
    Returns:
        (maxima, positions in the input plane as int64).
    """
    return max_pool_even("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the maximum of each window of (N, C, H, W) or (C, H, W), and its position. See max_pool1d_with_indices."""
    return max_pool_even("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the maximum of each window of (N, C, D, H, W) or (C, D, H, W), and its position. See max_pool1d_with_indices."""
    return max_pool_even("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the maximum of each window. See max_pool1d_with_indices."""
    refuse_whole(as_base("max_pool1d", "input", input))
    if line_lies_last(<TensorBase>input) and not recording(<TensorBase>input, None, None):
        input = contiguous_raw(<TensorBase>input)                 # row-major without gradients, as PyTorch has a kernel of its own for that
    return max_pool_even("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, False)[0]


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the maximum of each window. See max_pool1d_with_indices."""
    return max_pool_even("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, False)[0]


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the maximum of each window. See max_pool1d_with_indices."""
    return max_pool_even("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, False)[0]


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Average each window of (N, C, L) or (C, L).

    Args:
        count_include_pad: padding counts in the divisor.
    """
    return avg_pool_even("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *, out=None):
    """Average each window of (N, C, H, W) or (C, H, W).

    Args:
        count_include_pad: padding counts in the divisor.
        divisor_override: divide by this instead of the window's size.
    """
    return deliver("avg_pool2d", <TensorBase>avg_pool_even("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode,
                                                       count_include_pad, divisor_override), out)


def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *, out=None):
    """Average each window of (N, C, D, H, W) or (C, D, H, W). See avg_pool2d."""
    return deliver("avg_pool3d", <TensorBase>avg_pool_even("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode,
                                                       count_include_pad, divisor_override), out)


def adaptive_avg_pool1d(input, output_size):
    """Average windows chosen so that the output has the given size."""
    return avg_pool_adaptive("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input, output_size):
    """Average windows chosen so that the output has the given size; None in it keeps the input's size."""
    return avg_pool_adaptive("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input, output_size):
    """Average windows chosen so that the output has the given size; None in it keeps the input's size."""
    return avg_pool_adaptive("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input, output_size):
    """Take maxima of windows chosen so that the output has the given size; returns (maxima, positions)."""
    return max_pool_adaptive("adaptive_max_pool1d", 1, input, output_size)


def adaptive_max_pool2d(input, output_size):
    """Take maxima of windows chosen so that the output has the given size; returns (maxima, positions)."""
    return max_pool_adaptive("adaptive_max_pool2d", 2, input, output_size)


def adaptive_max_pool3d(input, output_size):
    """Take maxima of windows chosen so that the output has the given size; returns (maxima, positions)."""
    return max_pool_adaptive("adaptive_max_pool3d", 3, input, output_size)


def max_unpool1d(input, indices, output_size):
    """Put maxima back at their positions in zeroed planes of ``output_size`` (an inverse of max_pool1d)."""
    return max_unpool("max_unpool1d", 1, input, indices, output_size)


def max_unpool2d(input, indices, output_size):
    """Put maxima back at their positions in zeroed planes of ``output_size`` (an inverse of max_pool2d)."""
    return max_unpool("max_unpool2d", 2, input, indices, output_size)


def max_unpool3d(input, indices, output_size, stride=None, padding=None):
    """Put maxima back at their positions in zeroed planes of ``output_size`` (an inverse of max_pool3d).

    stride and padding are taken for PyTorch's signature; the positions say all.
    """
    return max_unpool("max_unpool3d", 3, input, indices, output_size)


FUNCTIONS = {
    "max_pool1d": max_pool1d, "max_pool2d": max_pool2d, "max_pool3d": max_pool3d,
    "max_pool1d_with_indices": max_pool1d_with_indices, "max_pool2d_with_indices": max_pool2d_with_indices,
    "max_pool3d_with_indices": max_pool3d_with_indices,
    "avg_pool1d": avg_pool1d, "avg_pool2d": avg_pool2d, "avg_pool3d": avg_pool3d,
    "adaptive_avg_pool1d": adaptive_avg_pool1d, "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_avg_pool3d": adaptive_avg_pool3d, "adaptive_max_pool1d": adaptive_max_pool1d,
    "adaptive_max_pool2d": adaptive_max_pool2d, "adaptive_max_pool3d": adaptive_max_pool3d,
    "max_unpool1d": max_unpool1d, "max_unpool2d": max_unpool2d, "max_unpool3d": max_unpool3d,
}
METHODS = {}
# used by nn.functional; no torch-level names
NN_ONLY = ("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool2d",
           "adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d", "max_unpool1d", "max_unpool2d",
           "max_unpool3d")
