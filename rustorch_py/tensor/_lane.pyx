# build: isa=words.inc.c sources=order.c cold
"""Work along one dimension: geometry, gathering by position, order."""
from libc.stdint cimport int64_t
from ._cpu cimport isa_level, rt_num_threads
from ._base cimport (TensorBase, empty, empty_like_shape, grad_mode, attach1, save, saved, shape_tuple,
                     view_raw, RT_F16, RT_BF16, RT_F32, RT_I64, RT_KIND_COMPLEX, rt_itemsize, rt_kind)
from ._node cimport Node
from ._plan cimport cast_raw, contiguous_raw, full_
from ._index_kernels cimport on_device, need_same, run_gather, RT_IX_GET, RT_IX_ADD
from ._devices import run as run_on_device
from ._ops cimport deliver

from ..errors import DimError, OutOfMemoryError, TensorTypeError, UnsupportedOpError

cdef extern from "lane.h" nogil:
    int rt_sort_lanes(int dtype, const void *x, RtLane s, int descending, int64_t *idx, void *values, int level, int threads)
    int rt_topk_lanes(int dtype, const void *x, RtLane s, int64_t k, int largest, int in_order, int64_t *idx, int level, int threads)
    int rt_select_lanes(int dtype, const void *x, RtLane s, int64_t k, int how, int64_t *idx, int threads)
    int rt_mode_lanes(int dtype, const void *x, RtLane s, int64_t *idx, int level, int threads)
    void rt_take_lanes(int itemsize, const void *x, RtLane s, const int64_t *idx, int64_t k, void *out, int threads)
    void rt_place_lanes(int itemsize, const void *g, int64_t k, const int64_t *idx, RtLane s, void *out, int threads)
    void rt_put_lanes(int dtype, const void *g, int64_t k, const int64_t *idx, RtLane s, void *out, int threads)


cdef RtLane lane_of(TensorBase t, int dim) noexcept:
    cdef RtLane s
    cdef int i
    s.outer = s.inner = s.L = 1
    if t.nd > 0:
        for i in range(dim):
            s.outer *= t.sh[i]
        s.L = t.sh[dim]
        for i in range(dim + 1, t.nd):
            s.inner *= t.sh[i]
    return s


cdef TensorBase empty_resized(TensorBase t, int dim, int64_t size, int dt):
    cdef int64_t sh[64]
    cdef int i, nd = 0
    for i in range(t.nd):
        if i == dim:
            if size < 0:
                continue
            sh[nd] = size
        else:
            sh[nd] = t.sh[i]
        nd += 1
    return empty(nd, sh, dt, t.dev)


cdef TensorBase computable(TensorBase t):
    if t.dt == RT_F16 or t.dt == RT_BF16:
        return cast_raw(t, RT_F32)
    return t


cdef TensorBase dense(TensorBase t):
    return contiguous_raw(t)


cdef int need_cpu(object op, TensorBase t) except -1:
    if on_device(t):
        raise UnsupportedOpError(f"{op}: has no kernel for this device yet; move the input to 'cpu'", op=op)
    return 0


cdef int need_nonempty_dim(object op, TensorBase t, int dim) except -1:
    if t.nd > 0 and t.sh[dim] == 0:
        raise DimError(f"{op}(): Expected reduction dim {dim} to have non-zero size.", op=op)
    return 0


cdef object out_of_memory(object op):
    return OutOfMemoryError(f"{op}: no room for the scratch arrays of a sort", op=op)


cdef TensorBase in_lanes(TensorBase t, RtLane s, int64_t k):
    """A contiguous tensor as (outer, k, inner)."""
    cdef int64_t sh[3]
    sh[0], sh[1], sh[2] = s.outer, k, s.inner
    return view_raw(t, 3, sh, NULL, 0)


# ---- gathering by position ----
cdef TensorBase take_lane(TensorBase x, TensorBase idx, int dim, str label, TensorBase taken=None):
    cdef TensorBase source = dense(x), out = empty_like_shape(idx, x.dt) if taken is None else taken
    cdef RtLane s = lane_of(x, dim)
    cdef int64_t lanes = s.outer * s.inner, k
    cdef TakeBackward node
    if taken is None and out.n > 0:
        k = idx.n // lanes
        need_same("gather", x, idx)
        if on_device(x):
            run_gather(RT_IX_GET, in_lanes(out, s, k), in_lanes(source, s, s.L), in_lanes(idx, s, k), 1, s.L)
        else:
            with nogil:
                rt_take_lanes(rt_itemsize(x.dt), source.ptr, s, <const int64_t *>idx.ptr, k, out.ptr, rt_num_threads())
    if x.rg and grad_mode():
        node = TakeBackward.__new__(TakeBackward)
        node.dim = dim
        node.label = label
        node.shape = shape_tuple(x)
        save(node, 0, idx)
        attach1(out, node, x)
    return out


cdef class TakeBackward(Node):
    cdef int dim
    cdef str label                        # name of the operator that took
    cdef tuple shape

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        return put_lane(<TensorBase>g, saved(self, 0), self.dim, self.shape, self.label.startswith("Sort") or self.label == "TopkBackward0")


cdef TensorBase put_lane(TensorBase g, TensorBase idx, int dim, tuple shape, bint distinct=False):
    """Sums of g in the places that idx names, or, where no lane's name one twice, g itself."""
    cdef int64_t sh[64]
    cdef int i, nd = len(shape)
    for i in range(nd):
        sh[i] = shape[i]
    cdef TensorBase source = dense(g), out = empty(nd, sh, g.dt, g.dev)
    cdef RtLane s = lane_of(out, dim)
    cdef int64_t lanes = s.outer * s.inner
    cdef PutBackward node
    if out.n > 0 and on_device(g):
        out = full_(nd, sh, 0, g.dt, g.dev)
        run_gather(RT_IX_ADD, in_lanes(out, s, s.L), in_lanes(source, s, g.n // lanes), in_lanes(idx, s, g.n // lanes), 1, s.L)
    elif out.n > 0:
        with nogil:
            if distinct or g.n == lanes:
                rt_place_lanes(rt_itemsize(g.dt), source.ptr, g.n // lanes, <const int64_t *>idx.ptr, s, out.ptr, rt_num_threads())
            else:
                rt_put_lanes(g.dt, source.ptr, g.n // lanes, <const int64_t *>idx.ptr, s, out.ptr, rt_num_threads())
    if g.rg and grad_mode():
        node = PutBackward.__new__(PutBackward)
        node.dim = dim
        save(node, 0, idx)
        attach1(out, node, g)
    return out


cdef class PutBackward(Node):
    cdef int dim

    cdef object apply(self, object g):
        return take_lane(<TensorBase>g, saved(self, 0), self.dim, "GatherBackward0")


# ---- order ----
cdef TensorBase order_sort(TensorBase x, int dim, bint descending, TensorBase values=None):
    cdef TensorBase source = dense(x), idx = empty_like_shape(x, RT_I64)
    cdef RtLane s = lane_of(x, dim)
    cdef int status = 0
    if idx.n > 0 and on_device(x):
        run_on_device("sort", idx, source, descending, s.outer, s.L, s.inner)
    elif idx.n > 0:
        with nogil:
            status = rt_sort_lanes(x.dt, source.ptr, s, descending, <int64_t *>idx.ptr, NULL if values is None else values.ptr, isa_level(),
                                   rt_num_threads())
        if status:
            raise out_of_memory("sort")
    return idx


cdef TensorBase order_topk(TensorBase x, int dim, int64_t k, bint largest, bint in_order):
    cdef TensorBase source = dense(x), idx = empty_resized(x, dim, k, RT_I64)
    cdef RtLane s = lane_of(x, dim)
    cdef int status = 0
    if idx.n > 0 and k == 0:         # of a 0-dim tensor, which stays one element
        idx = full_(idx.nd, idx.sh, 0, RT_I64, x.dev)
    elif idx.n > 0 and on_device(x):
        run_on_device("topk", idx, source, k, largest, in_order, s.outer, s.L, s.inner)
    elif idx.n > 0:
        with nogil:
            status = rt_topk_lanes(x.dt, source.ptr, s, k, largest, in_order, <int64_t *>idx.ptr, isa_level(), rt_num_threads())
        if status:
            raise out_of_memory("topk")
    return idx


cdef TensorBase order_select(TensorBase x, int dim, int64_t k, int how, bint keepdim):
    cdef TensorBase source = dense(x), idx = empty_resized(x, dim, 1 if keepdim else -1, RT_I64)
    cdef RtLane s = lane_of(x, dim)
    cdef int status = 0
    if idx.n > 0 and on_device(x):
        run_on_device("kth", idx, source, k, how, s.outer, s.L, s.inner)
    elif idx.n > 0:
        with nogil:
            status = rt_select_lanes(x.dt, source.ptr, s, k, how, <int64_t *>idx.ptr, rt_num_threads())
        if status:
            raise out_of_memory("kthvalue")
    return idx


cdef TensorBase order_mode(TensorBase x, int dim, bint keepdim):
    cdef TensorBase source = dense(x), idx = empty_resized(x, dim, 1 if keepdim else -1, RT_I64)
    cdef RtLane s = lane_of(x, dim)
    cdef int status = 0
    if idx.n > 0 and on_device(x):
        run_on_device("mode", idx, source, s.outer, s.L, s.inner)
    elif idx.n > 0:
        with nogil:
            status = rt_mode_lanes(x.dt, source.ptr, s, <int64_t *>idx.ptr, isa_level(), rt_num_threads())
        if status:
            raise out_of_memory("mode")
    return idx


# ---- small services ----
def deliver_out(op, result, out):
    """Return result, or ``out`` checked, resized and filled with it: out= of operators written in Python."""
    return result if out is None else deliver(op, result, out)


cdef object into_pair(object op, object kind, object out, TensorBase first, TensorBase second):
    if out is None:
        return kind((first, second))
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TensorTypeError(f"{op}: out must be a pair of tensors, got {type(out).__name__}", op=op)
    return kind((deliver(op, first, out[0]), deliver(op, second, out[1])))


cdef int refuse_complex(object op, TensorBase t) except -1:
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError(f"{op}(): does not support complex input", op=op)
    return 0


cdef TensorBase flat(TensorBase t):
    return t if t.nd == 1 else <TensorBase>(<object>t).reshape(-1)
