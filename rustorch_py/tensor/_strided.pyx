"""Views of any strides: as_strided, diagonal, unfold, and the history of views after in-place writes.

The gradient of such a view adds each element's gradient where it came from.
"""
from ._base cimport *
from ._node cimport Node, edge_target, edge_nr
from ._ops cimport track_view, clone, set_rebase_hook, copy_into, go_on_retaining
from ._plan cimport full_
from ._view cimport parse_shape, select_view, take_geometry, to_c
from ..errors import ShapeError


cdef class AsStridedBackward0(Node):
    """Gradient of an arbitrary strided view: adds each element's gradient where it came from.

    The gradient lives in a flat buffer as long as the input's memory span; overlapping elements add
    up, which is done slab by slab so that no two writes of one copy meet.
    """
    cdef tuple in_shape, in_strides, shape, strides
    cdef int64_t offset                   # of the view's first element from the input's first

    cdef object apply(self, object g):
        return _as_strided_grad(g, self.in_shape, self.in_strides, self.shape, self.strides, self.offset)


cdef int64_t span(tuple shape, tuple strides):
    cdef int64_t n = 1
    for s, d in zip(shape, strides):
        if s == 0:
            return 0
        n += (s - 1) * d
    return n


def _as_strided_grad(g, tuple in_shape, tuple in_strides, tuple shape, tuple strides, offset):
    """Scatter-add g into the flat span of the input, then read it back in the input's geometry."""
    cdef TensorBase gt = <TensorBase?>g, flat, out
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int64_t n = max(span(in_shape, in_strides), offset + span(shape, strides)), low = min(0, offset)
    cdef int nd, i
    sh[0] = n - low
    flat = full_(1, sh, 0, gt.dt, gt.dev)
    # split off the dimensions that make elements meet: strides already covered by smaller ones
    order = sorted(range(len(shape)), key=lambda d: strides[d])
    reach = 1
    loops = []
    keep = []
    for d in order:
        if shape[d] == 1:
            continue
        if strides[d] < reach:
            loops.append(d)
        else:
            keep.append(d)
            reach = strides[d] * (shape[d] - 1) + reach
    indices = [()]
    for d in loops:
        indices = [ix + ((d, i),) for ix in indices for i in range(shape[d])]
    for ix in indices:
        view_offset = offset - low
        part = gt
        fixed = dict(ix)
        for d in range(len(shape) - 1, -1, -1):
            if d in fixed:
                part = select_view(part, d, fixed[d])
                view_offset += fixed[d] * strides[d]
        nd = 0
        for d in range(len(shape)):
            if d not in fixed:
                sh[nd] = shape[d]
                st[nd] = strides[d]
                nd += 1
        target = as_strided_view(flat, nd, sh, st, view_offset)
        target.add_(part)
    nd = to_c(in_shape, sh)
    to_c(in_strides, st)
    out = as_strided_view(flat, nd, sh, st, -low)
    # elements that the input itself reaches more than once share their gradient evenly
    if any(s == 0 and n > 1 for s, n in zip(in_strides, in_shape)):
        count = 1
        for s, m in zip(in_strides, in_shape):
            if s == 0:
                count *= m
        return out / count
    return out


cdef TensorBase as_strided_view(TensorBase t, int nd, const int64_t *sh, const int64_t *st, int64_t offset):
    cdef TensorBase v = view_raw(t, nd, sh, st, offset)
    cdef AsStridedBackward0 node
    track_view(v, t)
    if t.rg and grad_mode():
        node = AsStridedBackward0.__new__(AsStridedBackward0)
        node.in_shape = shape_tuple(t)
        node.in_strides = stride_tuple(t)
        node.shape = shape_tuple(v)
        node.strides = stride_tuple(v)
        node.offset = offset
        attach1(v, node, t)
    return v


def as_strided(input, size, stride, storage_offset_=None):
    """View the storage with any sizes, strides and offset (in elements of the storage)."""
    cdef TensorBase t = as_base("as_strided", "input", input)
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int nd = parse_shape("as_strided", (size,), sh), i
    cdef int64_t first = storage_offset(t) if storage_offset_ is None else storage_offset_, last
    cdef double reach                                       # of the last element, which cannot overflow
    if parse_shape("as_strided", (stride,), st) != nd:
        raise ShapeError(f"mismatch in length of strides and shape: {len(stride)} and {nd}")
    last = first
    reach = first
    for i in range(nd):
        reach += (<double>sh[i] - 1) * <double>st[i]
        if st[i] < 0:
            raise ShapeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
        if sh[i] < 0:
            raise ShapeError(f"as_strided: expected sizes of 0 or more, got {list(size)}")
    for i in range(nd):
        if sh[i] == 0:
            last = -1
            break
        last += (sh[i] - 1) * st[i]
    if last != -1 and reach > 2.0 ** 58:
        raise ShapeError(f"as_strided: Storage size calculation overflowed with sizes={list(size)}, strides={list(stride)} and storage offset {first}")
    if first < 0 or (last + 1) * rt_itemsize(t.dt) > <int64_t>t.stor.nbytes:
        raise ShapeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {first}, and itemsize {rt_itemsize(t.dt)} "
                         f"requiring a storage size of {(last + 1) * rt_itemsize(t.dt)} are out of bounds for storage of size {t.stor.nbytes}")
    return as_strided_view(t, nd, sh, st, first - storage_offset(t))


def _as_strided_method(self, size, stride, storage_offset=None):
    """View the storage with any sizes, strides and offset (in elements of the storage)."""
    return as_strided(self, size, stride, storage_offset)


def as_strided_(self, size, stride, storage_offset=None):
    """Give the tensor itself another size and strides over its storage."""
    return take_geometry(as_base("as_strided_", "self", self), _as_strided_method(self, size, stride, storage_offset))


def diagonal(input, offset=0, dim1=0, dim2=1):
    """View the diagonal of two dimensions as the last dimension."""
    cdef TensorBase t = as_base("diagonal", "input", input)
    cdef int a = wrap_dim("diagonal", dim1, t.nd), b = wrap_dim("diagonal", dim2, t.nd), i, j = 0
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int64_t n, first = 0
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}", op="diagonal")
    n = min(t.sh[a], t.sh[b] - offset) if offset >= 0 else min(t.sh[a] + offset, t.sh[b])
    if n < 0:
        n = 0
    if n:
        first = offset * t.st[b] if offset >= 0 else -offset * t.st[a]
    for i in range(t.nd):
        if i != a and i != b:
            sh[j] = t.sh[i]
            st[j] = t.st[i]
            j += 1
    sh[j] = n
    st[j] = t.st[a] + t.st[b]
    return as_strided_view(t, j + 1, sh, st, first)


def unfold(self, dimension, size, step):
    """View all windows of ``size`` along a dimension, ``step`` apart, as a new last dimension."""
    cdef TensorBase t = as_base("unfold", "self", self)
    cdef int d = wrap_dim("unfold", dimension, t.nd), i
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int64_t length = t.sh[d] if t.nd else 1
    if size < 0 or size > length:
        raise ShapeError(f"maximum size for tensor at dimension {d} is {length} but size is {size}", op="unfold")
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0", op="unfold")
    for i in range(t.nd):
        sh[i] = t.sh[i]
        st[i] = t.st[i]
    if t.nd == 0:
        sh[0] = size
        st[0] = 1
        return as_strided_view(t, 1, sh, st, 0)
    sh[t.nd] = size
    st[t.nd] = t.st[d]
    sh[d] = (length - size) // step + 1
    st[d] = t.st[d] * step
    return as_strided_view(t, t.nd + 1, sh, st, 0)


# ---- history of views after in-place writes (Note [In-place and history] in _ops.pyx) -------------------------------
cdef class CopySlices(Node):
    """Runs `inner` on the gradient of the written region; elsewhere the gradient passes."""
    cdef Node inner
    cdef tuple base_shape, base_strides, shape, strides
    cdef int64_t offset

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, whole, region, first
        cdef int64_t sh[64]
        cdef int64_t st[64]
        cdef int nd, i
        # a private copy in the base's own geometry
        nd = to_c(self.base_shape, sh)
        to_c(self.base_strides, st)
        whole = empty_strided(nd, sh, st, gt.dt, gt.dev)
        copy_into(whole, gt)
        nd = to_c(self.shape, sh)
        to_c(self.strides, st)
        region = as_strided_view(whole, nd, sh, st, self.offset)
        inner_grads = self.inner.apply(clone(region))
        if self.inner.n_edges == 1:
            inner_grads = (inner_grads,)
        first = inner_grads[0]
        if first is None:
            first = full_(nd, sh, 0, gt.dt, gt.dev)
        copy_into(region, first)
        if self.n_edges == 1:
            return whole
        return (whole,) + tuple(inner_grads[1:])

    cdef int release(self) except -1:
        self.inner.release()
        return Node.release(self)


cdef int rebase(TensorBase view, Node node) except -1:
    """`node` was recorded as view's history: move it to the base."""
    cdef TensorBase base = view.base
    cdef CopySlices cs = CopySlices.__new__(CopySlices)
    cs.inner = node
    cs.base_shape = shape_tuple(base)
    cs.base_strides = stride_tuple(base)
    cs.shape = shape_tuple(view)
    cs.strides = stride_tuple(view)
    cs.offset = (view.ptr - base.ptr) // rt_itemsize(base.dt)
    attach1(base, cs, base)
    cs.n_edges = node.n_edges
    if node.n_edges > 1:
        cs.e1 = edge_target(node, 1)
        cs.i1 = edge_nr(node, 1)
    if node.n_edges > 2:
        cs.e2 = edge_target(node, 2)
        cs.i2 = edge_nr(node, 2)
    cs.more = node.more
    base.epoch += 1
    view.fn = None                       # made anew from the base when asked for
    view.out_nr = 0
    view.rg = True
    return 0


cdef Node remake(TensorBase view):
    """History of a view whose base was rewritten: a strided read of the base."""
    cdef TensorBase base = view.base
    cdef AsStridedBackward0 node
    view.base_epoch = base.epoch
    if not base.rg:
        return view.fn
    node = AsStridedBackward0.__new__(AsStridedBackward0)
    node.in_shape = shape_tuple(base)
    node.in_strides = stride_tuple(base)
    node.shape = shape_tuple(view)
    node.strides = stride_tuple(view)
    node.offset = (view.ptr - base.ptr) // rt_itemsize(base.dt)
    attach1(view, node, base)
    if view.flags & F_RETAIN_GRAD:
        go_on_retaining(view)
    return node


set_view_hook(remake)
set_rebase_hook(rebase)


FUNCTIONS = {"as_strided": _as_strided_method, "diagonal": diagonal}
METHODS = {**FUNCTIONS, "as_strided_": as_strided_, "unfold": unfold}
