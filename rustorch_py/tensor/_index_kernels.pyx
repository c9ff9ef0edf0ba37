# build: isa=select.inc.c sources=index.c,select.c
"""The kernels that move elements by index or mask, behind cdef functions: index.c is linked into this module alone."""
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport malloc, free
from libc.string cimport memcpy
from ._cpu cimport copy_plan, copy_plans, isa_level, rt_num_threads
from ._base cimport *
from ._backend cimport RtBackend, backend_of
from ._dtype cimport device_of
from ._plan cimport add_operand, plan_begin, cast_raw, contiguous_raw, copy_raw, launch
from ..errors import DeviceError, DimError
from ._devices import has_kernel, run as run_on_device

include "_row_ids.pxi"

cdef extern from "index.h" nogil:
    int64_t rt_index_check(int level, const int64_t *idx, int64_t n, int64_t low, int64_t high, int threads)
    void rt_index_offsets(const int64_t *idx, int64_t n, int64_t size, int64_t step_bytes, int add, int64_t *off, int threads)
    void rt_one_hot(const int64_t *index, int64_t n, int64_t classes, int64_t *out, int threads)
    void rt_index_run(int level, int op, int dtype, RtIndexPlan *plan, int threads)
    int rt_gather_run(int level, int op, int dtype, const RtArray *dst, const RtArray *src, const RtArray *index, int dim, int64_t size, int threads)
    void rt_flat_to_offsets(const int64_t *flat, int64_t n, int nd, const int64_t *shape, const int64_t *step_bytes, int64_t *off)
    void rt_masked_fill(int itemsize, RtIter *it, const void *value)
    void rt_triangle(int itemsize, int upper, int64_t batch, int64_t rows, int64_t cols, int64_t k, char *dst, const char *src)
    void rt_roll_slabs(char *dst, const char *src, int64_t slab, int64_t cut, int64_t outer, int threads)
    void rt_cat_slab(char *dst, int64_t dst_step, const char *src, int64_t slab, int64_t outer, int threads)
    void rt_repeat_slab(char *dst, const char *src, int64_t slab, int64_t outer, int64_t times, int threads)

cdef extern from "select.h" nogil:
    int64_t rt_mask_counts(const uint8_t *mask, int64_t n, int64_t piece, int64_t *before, int threads)
    void rt_mask_take(int level, int itemsize, const uint8_t *mask, int64_t n, int64_t piece, const int64_t *before, const void *src,
                      void *out, int threads)
    void rt_mask_positions(int level, const uint8_t *mask, int64_t n, int64_t piece, const int64_t *before, int64_t *out, int threads)
    void rt_mask_coordinates(int level, const uint8_t *mask, int nd, const int64_t *shape, int64_t piece, const int64_t *before,
                             int64_t *out, int threads)


cdef str sizes(TensorBase t):
    cdef int i
    return "[" + ", ".join([str(t.sh[i]) for i in range(t.nd)]) + "]"


cdef object raise_bounds(int64_t i, int64_t dim, int64_t size):
    if size == 0:
        raise DimError("index is out of bounds for dimension with size 0", op="index")
    raise DimError(f"index {i} is out of bounds for dimension {dim} with size {size}", op="index")


# ---- devices ----

cdef bint on_device(TensorBase t) noexcept:
    return RT_DEVICE_TYPE(t.dev) != RT_CPU


cdef int need_same(str op, TensorBase a, TensorBase b) except -1:
    if a.dev != b.dev:
        raise DeviceError(f"Expected all tensors to be on the same device, but found at least two devices, {device_of(a.dev)} and "
                          f"{device_of(b.dev)}! (when checking arguments of {op})", op=op)
    return 0


cdef TensorBase beside(TensorBase x, TensorBase t):
    """x where t is, without history: itself, or a copy."""
    cdef TensorBase out
    if x.dev == t.dev:
        return x
    out = empty(x.nd, x.sh, x.dt, t.dev)
    copy_raw(out, x)
    return out


# ---- kernels behind cdef doors ----

cdef TensorBase flat_index(TensorBase index):
    """`index` as contiguous int64."""
    if index.dt != RT_I64:
        index = cast_raw(index, RT_I64)
    return contiguous_raw(index)


cdef int64_t outside(TensorBase flat, int64_t low, int64_t high) noexcept:
    return rt_index_check(isa_level(), <int64_t *>flat.ptr, flat.n, low, high, rt_num_threads())


def one_hot_rows(TensorBase index, int64_t classes):
    """index (int64, on the CPU, values in [0, classes)) with a last dimension of zeros and a one; unrecorded."""
    cdef int64_t sh[64]
    cdef TensorBase flat = contiguous_raw(index), out
    memcpy(sh, index.sh, index.nd * sizeof(int64_t))
    sh[index.nd] = classes
    out = empty(index.nd + 1, sh, RT_I64, RT_CPU)
    with nogil:
        rt_one_hot(<int64_t *>flat.ptr, flat.n, classes, <int64_t *>out.ptr, rt_num_threads())
    return out


cdef void add_offsets(TensorBase flat, int64_t size, int64_t step_bytes, bint add, TensorBase off) noexcept:
    rt_index_offsets(<int64_t *>flat.ptr, off.n, size, step_bytes, add, <int64_t *>off.ptr, rt_num_threads())


cdef TensorBase checked_index(str op, TensorBase index, int64_t low, int64_t high, int64_t dim, int64_t size):
    cdef TensorBase flat = flat_index(index)
    if on_device(index):                         # the kernel checks
        return flat
    cdef int64_t bad = outside(flat, low, high)
    if bad >= 0:
        raise_bounds((<int64_t *>flat.ptr)[bad], dim, size)
    return flat


cdef bint within(TensorBase index, int64_t low, int64_t high):
    return not on_device(index) and outside(contiguous_raw(index), low, high) < 0


cdef int run_along(int op, TensorBase dst, TensorBase src, TensorBase index, int dim) except -1:
    """`index` (checked, contiguous int64) replaces dimension `dim` of src (GET) or of dst."""
    cdef RtIndexPlan p
    cdef int64_t item = rt_itemsize(dst.dt), n = index.n
    cdef TensorBase off, side = src if op == RT_IX_GET else dst
    cdef int i, nd = side.nd
    if on_device(dst):
        run_on_device("index_along", dst, src, op, index, dim)
        return 0
    if index.stor is not dst.stor:               # the indices are the offsets: a table of a million takes as long as the moves do
        off, p.mul = index, side.st[dim] * item if nd else 0
    else:
        off, p.mul = empty(1, &n, RT_I64, RT_CPU), 1
        rt_index_offsets(<int64_t *>index.ptr, n, side.sh[dim] if nd else 1, side.st[dim] * item if nd else 0, 0, <int64_t *>off.ptr, rt_num_threads())
    p.dst, p.src, p.off, p.n_off = dst.ptr, src.ptr, <int64_t *>off.ptr, n
    p.nb = p.na = 0
    p.j_step = 0
    if op == RT_IX_GET:
        if dst.nd:
            p.j_step = dst.st[dim] * item
    elif src.nd:
        p.j_step = src.st[dim] * item
    for i in range(nd):
        if i < dim:
            p.b_shape[i], p.b_dst[i], p.b_src[i] = side.sh[i], dst.st[i] * item, src.st[i] * item
            p.nb += 1
        elif i > dim:
            p.a_shape[p.na], p.a_dst[p.na], p.a_src[p.na] = side.sh[i], dst.st[i] * item, src.st[i] * item
            p.na += 1
    run_plan(op, dst.dt, &p)
    return 0


cdef void run_plan(int op, int dt, RtIndexPlan *p) noexcept:
    cdef int threads = rt_num_threads()
    if p.n_off > 4096:
        with nogil:
            rt_index_run(isa_level(), op, dt, p, threads)
    else:
        rt_index_run(isa_level(), op, dt, p, threads)


cdef bint run_gather(int op, TensorBase dst, TensorBase src, TensorBase index, int dim, int64_t size) except -1:
    """`index`: int64, any strides. False: one was outside [0, size) (-1: all are known to be inside) and part of the work is undone."""
    cdef RtArray d, s, x
    cdef int threads = rt_num_threads(), good
    if on_device(dst):                           # indices are looked at where they are: Note [Faults] in cuda/launch.c
        run_on_device("gather", dst, src, index, op, dim, size if size >= 0 else (src if op == RT_IX_GET else dst).sh[dim])
        return True
    fill_array(dst, &d)
    fill_array(src, &s)
    fill_array(index, &x)
    if index.n > 4096:
        with nogil:
            good = rt_gather_run(isa_level(), op, dst.dt, &d, &s, &x, dim, size, threads)
    else:
        good = rt_gather_run(isa_level(), op, dst.dt, &d, &s, &x, dim, size, threads)
    return good


cdef int run_flat(int op, TensorBase t, TensorBase other, TensorBase flat) except -1:
    """`flat`: checked positions (may be negative); other: 1-d or 0-dim, walked in step with it."""
    cdef RtIndexPlan p
    cdef int i
    cdef int64_t item = rt_itemsize(t.dt), n = flat.n
    cdef int64_t steps[64]
    cdef TensorBase off, row
    if on_device(t):
        row = contiguous_raw(t)
        step = other.st[other.nd - 1] if other.nd else 0
        if op == RT_IX_GET:
            run_on_device("index", other, row, op, (n,), (step,), (0,), (1,), (flat,), (t.n,), (1,), True)
        else:
            run_on_device("index", row, other, op, (n,), (0,), (step,), (1,), (flat,), (t.n,), (1,), True)
            if row is not t:
                copy_raw(t, row)
        return 0
    p.mul = 1
    if is_contig(t) and flat.stor is not t.stor and flat.stor is not other.stor and outside(flat, 0, t.n) < 0:
        off, p.mul = flat, item
    elif is_contig(t):
        off = empty(1, &n, RT_I64, RT_CPU)
        rt_index_offsets(<int64_t *>flat.ptr, n, t.n, item, 0, <int64_t *>off.ptr, rt_num_threads())
    else:
        off = empty(1, &n, RT_I64, RT_CPU)
        for i in range(t.nd):
            steps[i] = t.st[i] * item
        rt_index_offsets(<int64_t *>flat.ptr, n, t.n, 1, 0, <int64_t *>off.ptr, rt_num_threads())
        rt_flat_to_offsets(<int64_t *>off.ptr, n, t.nd, t.sh, steps, <int64_t *>off.ptr)
    p.off, p.n_off, p.nb, p.na = <int64_t *>off.ptr, n, 0, 0
    p.j_step = other.st[other.nd - 1] * item if other.nd else 0
    if op == RT_IX_GET:
        p.dst, p.src = other.ptr, t.ptr
    else:
        p.dst, p.src = t.ptr, other.ptr
    run_plan(op, t.dt, &p)
    return 0


cdef enum: PIECE = 32768                     # bytes of a mask that a thread takes at a time

cdef TensorBase counts_before(TensorBase mask, int64_t piece, int64_t *total):
    """Counts of true elements before each piece of a contiguous mask."""
    cdef int64_t n = (mask.n + piece - 1) // piece + 1
    cdef TensorBase before = empty(1, &n, RT_I64, RT_CPU)
    with nogil:
        total[0] = rt_mask_counts(<uint8_t *>mask.ptr, mask.n, piece, <int64_t *>before.ptr, rt_num_threads())
    return before


cdef TensorBase true_positions(TensorBase mask):
    cdef TensorBase m = contiguous_raw(mask), before, out
    cdef int64_t n = 0
    if on_device(m):
        out = <TensorBase?>run_on_device("nonzero", view_raw(m, 1, &m.n, NULL, 0))
        return view_raw(out, 1, out.sh, NULL, 0)
    before = counts_before(m, PIECE, &n)
    out = empty(1, &n, RT_I64, RT_CPU)
    if n:
        with nogil:
            rt_mask_positions(isa_level(), <uint8_t *>m.ptr, m.n, PIECE, <int64_t *>before.ptr, <int64_t *>out.ptr, rt_num_threads())
    return out


cdef TensorBase true_coordinates(TensorBase mask):
    cdef TensorBase m, before, out
    cdef int64_t sh[2]
    cdef int64_t st[2]
    cdef int64_t piece, width
    if on_device(mask):
        return <TensorBase?>run_on_device("nonzero", contiguous_raw(mask))
    if mask.nd == 1:
        m = true_positions(mask)
        sh[0], sh[1] = m.n, 1
        st[0], st[1] = 1, m.n                 # as of several dimensions
        return view_raw(m, 2, sh, st, 0)
    m = contiguous_raw(mask)
    width = m.sh[m.nd - 1] if m.nd else 1
    piece = width * (PIECE // width + 1) if width else 1
    sh[1] = m.nd
    before = counts_before(m, piece, &sh[0])
    out = empty(2, sh, RT_I64, RT_CPU)
    st[0], st[1] = 1, sh[0]                   # one coordinate of all elements after the other
    set_dims(out, 2, sh, st)
    if out.n:
        with nogil:
            rt_mask_coordinates(isa_level(), <uint8_t *>m.ptr, m.nd, m.sh, piece, <int64_t *>before.ptr, <int64_t *>out.ptr, rt_num_threads())
    return out


cdef TensorBase take_true(TensorBase t, TensorBase mask):
    """The elements of a contiguous tensor where a contiguous mask of its size is true, as one row."""
    cdef int64_t n = 0
    cdef TensorBase before, out
    cdef int size = rt_itemsize(t.dt)
    if on_device(t):
        before = true_positions(mask)
        out = empty(1, &before.n, t.dt, t.dev)
        run_flat(RT_IX_GET, t, out, before)
        return out
    before = counts_before(mask, PIECE, &n)
    out = empty(1, &n, t.dt, t.dev)
    if n:
        with nogil:
            rt_mask_take(isa_level(), size, <uint8_t *>mask.ptr, mask.n, PIECE, <int64_t *>before.ptr, t.ptr, out.ptr, rt_num_threads())
    return out


cdef int bits_of(int item) noexcept nogil:
    """A dtype of as many bytes, whose loops move elements as they are."""
    return RT_U8 if item == 1 else RT_I16 if item == 2 else RT_I32 if item == 4 else RT_I64 if item == 8 else RT_C128


cdef bint fill_there(TensorBase out, TensorBase t, TensorBase mask, TensorBase value) except -1:
    """out = t with `value`, which is the host's and travels with the launch, where the mask is true, in one pass; False: not on this device."""
    cdef RtIter it
    cdef const RtBackend *backend
    cdef int i, status
    if RT_DEVICE_TYPE(t.dev) == RT_SHELL or value.dev != RT_CPU:
        return False
    if on_device(t):
        if t.dt >= RT_NLOOPED:
            return False
        need_same("masked_fill", t, mask)
        launch(ROW_WHERE * 4, rt_compute_dtype(t.dt), out, mask, value, t, None, None, 0, 0)
        return True
    need_same("masked_fill", t, mask)
    if out.n == 0:
        return True
    it.host = 0
    plan_begin(&it, out)
    add_operand(&it, mask, 1, out.nd, out.sh)
    add_operand(&it, value, 2, out.nd, out.sh)
    add_operand(&it, t, 3, out.nd, out.sh)
    it.nargs = 4
    for i in (0, 2, 3):
        it.dtype[i] = bits_of(rt_itemsize(t.dt))
    rt_iter_coalesce(&it)
    backend = backend_of(RT_CPU)
    if it.numel > 32768:
        with nogil:
            status = backend.elementwise(RT_CPU, ROW_WHERE * 4, it.dtype[0], &it, NULL)
    else:
        status = backend.elementwise(RT_CPU, ROW_WHERE * 4, it.dtype[0], &it, NULL)
    if status:
        raise DeviceError("masked_fill: the back end has no loop for it", op="masked_fill")
    return True


cdef int fill_masked(TensorBase t, TensorBase mask, TensorBase value) except -1:
    cdef RtIter it
    cdef int d, i, j, item = rt_itemsize(t.dt)
    if (on_device(t) or t.flags & F_CONTIG) and fill_there(t, t, mask, value):       # with steps: what is not under the mask stays unread
        return 0
    need_same("masked_fill", t, mask)
    value = beside(value, t)
    if on_device(t):
        if t.n:
            run_on_device("fill", t, mask, value)
        return 0
    it.ndim, it.nargs, it.numel = t.nd, 2, t.n
    it.ptr[0], it.ptr[1] = t.ptr, mask.ptr
    it.dtype[0], it.dtype[1] = t.dt, RT_BOOL
    for d in range(t.nd):
        i = t.nd - 1 - d
        j = mask.nd - 1 - d
        it.shape[d] = t.sh[i]
        it.step_bytes[d][0] = t.st[i] * item
        it.step_bytes[d][1] = mask.st[j] if j >= 0 and mask.sh[j] != 1 else 0
    rt_masked_fill(item, &it, value.ptr)
    return 0


cdef int copy_geometry(TensorBase dst, TensorBase src, int64_t offset, const int64_t *src_steps) except -1:
    """dst (any strides) <- the elements of src's memory at offset + sum(index * step); steps may be 0 or negative."""
    cdef RtIter it
    cdef int d, i, item = rt_itemsize(dst.dt)
    if on_device(dst):
        if dst.n:
            run_on_device("move", dst, view_raw(src, 0, NULL, NULL, offset), tuple([src_steps[i] for i in range(dst.nd)]))
        return 0
    it.ndim, it.nargs, it.numel = dst.nd, 2, dst.n
    it.ptr[0], it.ptr[1] = dst.ptr, src.ptr + offset * item
    it.dtype[0] = it.dtype[1] = dst.dt
    for d in range(dst.nd):
        i = dst.nd - 1 - d
        it.shape[d] = dst.sh[i]
        it.step_bytes[d][0] = dst.st[i] * item
        it.step_bytes[d][1] = src_steps[i] * item
    rt_iter_coalesce(&it)
    if dst.n > 4096:
        with nogil:
            copy_plan(&it)
    else:
        copy_plan(&it)
    return 0


cdef int copy_list(list to, list source) except -1:
    """Copies of tensors of one shape a pair; on a device short ones go in one launch."""
    cdef Py_ssize_t i, n = len(to)
    cdef TensorBase dst = to[0], src
    cdef RtIter *plans
    if n > 1 and on_device(dst) and has_kernel("copies", dst):
        run_on_device("copies", dst, to, source)
        return 0
    # one of them is too little for several threads, and they do not lie in one another's short rows, where threads would meet in cache lines
    if n > 1 and (dst.flags & F_CONTIG or dst.nd and dst.st[dst.nd - 1] == 1 and dst.sh[dst.nd - 1] * rt_itemsize(dst.dt) >= 256) and \
            dst.n < 131072 and dst.n * n >= 131072:
        plans = <RtIter *>malloc(n * sizeof(RtIter))
        if plans != NULL:
            try:
                for i in range(n):
                    dst, src = <TensorBase>to[i], <TensorBase>source[i]
                    if on_device(dst) or src.dev != dst.dev or src.stor is dst.stor or dst.n == 0 or dst.dt >= RT_NLOOPED or src.dt >= RT_NLOOPED:
                        break
                    plan_begin(&plans[i], dst)
                    add_operand(&plans[i], src, 1, dst.nd, dst.sh)
                    plans[i].nargs = 2
                    rt_iter_coalesce(&plans[i])
                else:
                    with nogil:
                        copy_plans(plans, n)
                    return 0
            finally:
                free(plans)
    for i in range(n):
        copy_raw(<TensorBase>to[i], <TensorBase>source[i])
    return 0


cdef int copy_triangle(TensorBase dst, TensorBase src, bint upper, int64_t k) except -1:
    cdef int64_t rows = src.sh[src.nd - 2], cols = src.sh[src.nd - 1]
    if src.n and on_device(src):
        run_on_device("triangle", dst, src, upper, k)
    elif src.n:
        rt_triangle(rt_itemsize(src.dt), upper, src.n // (rows * cols), rows, cols, k, dst.ptr, src.ptr)
    return 0


cdef int cat_slab(TensorBase out, int64_t at, TensorBase t, int dim) except -1:
    cdef int64_t inner = rt_itemsize(t.dt), outer = 1
    cdef int i
    for i in range(dim):
        outer *= t.sh[i]
    for i in range(dim + 1, t.nd):
        inner *= t.sh[i]
    cdef int threads
    if t.n * rt_itemsize(t.dt) > 65536:
        threads = rt_num_threads()
        with nogil:
            rt_cat_slab(out.ptr + at * inner, out.sh[dim] * inner, t.ptr, t.sh[dim] * inner, outer, threads)
    elif t.n:
        rt_cat_slab(out.ptr + at * inner, out.sh[dim] * inner, t.ptr, t.sh[dim] * inner, outer, 1)
    return 0


cdef int repeat_slab(TensorBase out, TensorBase t, int dim, int64_t times) except -1:
    cdef int64_t slab = rt_itemsize(t.dt), outer = 1
    cdef int i, threads = rt_num_threads()
    for i in range(t.nd):
        if i <= dim:
            outer *= t.sh[i]
        else:
            slab *= t.sh[i]
    with nogil:
        rt_repeat_slab(out.ptr, t.ptr, slab, outer, times, threads)
    return 0


cdef bint roll_slabs(TensorBase out, TensorBase t, int dim, int64_t by) except -1:
    """out = t with dimension `dim` rolled by 0 < by < its size; False: not contiguous in this memory, or few long pieces, which copies share out."""
    cdef int64_t inner = rt_itemsize(t.dt), outer = 1
    cdef int i, threads = rt_num_threads()
    if on_device(t) or not is_contig(t) or not is_contig(out):
        return False
    for i in range(t.nd):
        if i < dim:
            outer *= t.sh[i]
        elif i > dim:
            inner *= t.sh[i]
    if outer < 8 * threads and t.n * rt_itemsize(t.dt) > 65536:
        return False
    with nogil:
        rt_roll_slabs(out.ptr, t.ptr, t.sh[dim] * inner, (t.sh[dim] - by) * inner, outer, threads)
    return True
