"""Copies, conversions, and the pair expand and sum: operators that record themselves and that the rows of `_ops` are made with."""
from libc.stdint cimport int64_t, uint8_t
from ._base cimport (
    TensorBase, RT_I64, RT_KIND_FLOAT, RT_KIND_INT, rt_kind, rt_compute_dtype, F_CONTIG, F_DATA_ALIAS, F_INFERENCE, F_MULTI, alias, attach1, empty,
    empty_strided, grad_mode, same_shape, shape_tuple, view_raw)
from ._node cimport Node
from ._plan cimport cast_raw, clone_raw, contiguous_raw, copy_raw, dims_mask, expand_raw, reduce_raw
from ..errors import ShapeError
include "_row_ids.pxi"


# ---- conversion and copies --------------------------------------------------------------------------------------
cdef class ToCopyBackward0(Node):
    """Gradient of a dtype or device conversion: convert back."""
    cdef int dt, dev

    cdef object apply(self, object g):
        return to_device(cast(<TensorBase>g, self.dt), self.dev)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.apply(g)


cdef TensorBase track_copy(TensorBase out, TensorBase t):
    cdef ToCopyBackward0 node
    if t.rg and grad_mode() and rt_kind(out.dt) >= RT_KIND_FLOAT:
        node = ToCopyBackward0.__new__(ToCopyBackward0)
        node.dt = t.dt
        node.dev = t.dev
        attach1(out, node, t)
    return out


cdef TensorBase cast(TensorBase t, int dt):
    if t.dt == dt:
        return t
    return track_copy(cast_raw(t, dt), t)


cdef TensorBase to_device(TensorBase t, int dev):
    cdef TensorBase out
    if t.dev == dev:
        return t
    cdef int64_t step = 1
    if t.flags & F_CONTIG:
        out = empty_strided(t.nd, t.sh, t.st, t.dt, dev)
    elif is_filled(t):                                  # such as images with their channels innermost: one transfer, and the same order
        out = empty_strided(t.nd, t.sh, t.st, t.dt, dev)
        copy_raw(view_raw(out, 1, &t.n, &step, 0), view_raw(t, 1, &t.n, &step, 0))
        return track_copy(out, t)
    else:
        out = empty(t.nd, t.sh, t.dt, dev)
    copy_raw(out, t)
    return track_copy(out, t)


cdef bint is_filled(TensorBase t) noexcept:
    """Whether the elements are all that lies between the first and the last, each once."""
    cdef int64_t step = 1
    cdef int i, left = 0
    for i in range(t.nd):
        left += t.sh[i] > 1
    while left:
        for i in range(t.nd):
            if t.sh[i] > 1 and t.st[i] == step:
                break
        else:
            return False
        step *= t.sh[i]
        left -= 1
    return t.n == step


cdef class CloneBackward0(Node):
    cdef object apply(self, object g):
        return g

    cdef object apply_many(self, object g, Py_ssize_t n):
        return g


cdef inline TensorBase track_clone(TensorBase out, TensorBase t):
    cdef CloneBackward0 node
    if t.rg and grad_mode():
        node = CloneBackward0.__new__(CloneBackward0)
        attach1(out, node, t)
    return out


cdef TensorBase clone(TensorBase t):
    return track_clone(clone_raw(t), t)


cdef TensorBase contiguous(TensorBase t):
    if t.flags & F_CONTIG:
        return t
    return track_clone(contiguous_raw(t), t)


cdef TensorBase detach(TensorBase t):
    cdef TensorBase v = alias(t)
    if v.flags & F_INFERENCE:            # it may be written: it has no versions that could be stale
        v.flags |= F_DATA_ALIAS
    return v


# ---- expand and sum: each other's gradient ----------------------------------------------------------------------------
cdef class ExpandBackward0(Node):
    cdef tuple shape

    cdef object apply(self, object g):
        return sum_to(<TensorBase>g, self.shape)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return sum_to_many(<TensorBase>g, n, self.shape)


cdef TensorBase expand_to(TensorBase t, int nd, const int64_t *sh):
    cdef ExpandBackward0 node
    cdef TensorBase v
    cdef int i, shift = nd - t.nd
    for i in range(t.nd):
        if t.sh[i] != sh[i + shift] and t.sh[i] != 1:
            raise ShapeError(f"The expanded size of the tensor ({sh[i + shift]}) must match the existing size ({t.sh[i]}) at "
                             f"non-singleton dimension {i + shift}.  Target sizes: {[sh[j] for j in range(nd)]}.  Tensor sizes: "
                             f"{list(shape_tuple(t))}", op="expand")
    v = expand_raw(t, nd, sh)
    if t.rg and grad_mode():
        node = ExpandBackward0.__new__(ExpandBackward0)
        node.shape = shape_tuple(t)
        attach1(v, node, t)
    track_view(v, t)
    return v


cdef TensorBase expand_tuple(TensorBase t, tuple shape):
    cdef int64_t sh[64]
    cdef int i, nd = <int>len(shape)
    for i in range(nd):
        sh[i] = shape[i]
    return expand_to(t, nd, sh)


cdef TensorBase sum_to(TensorBase g, tuple shape):
    cdef uint8_t mask[64]
    cdef int i, nd = <int>len(shape), lead = g.nd - nd
    cdef bint any_ = lead > 0
    cdef TensorBase r
    for i in range(g.nd):
        mask[i] = i < lead or (shape[i - lead] == 1 and g.sh[i] != 1)
        any_ |= mask[i]
    if not any_:
        return g
    r = sum_mask(g, mask, True)
    if lead:
        r = reshape_drop(r, lead)
    return r


cdef TensorBase sum_to_many(TensorBase g, Py_ssize_t n, tuple shape):
    """`sum_to` of each of n gradients along dimension 0."""
    cdef int lead = g.nd - 1 - <int>len(shape)
    cdef tuple wide = (n,) + (1,) * lead + shape
    g = sum_to(g, wide)
    return g if lead == 0 else <TensorBase?>(<object>g).reshape((n,) + shape)


cdef class DropLeadBackward(Node):
    """View without leading size-1 dimensions; the gradient puts them back."""
    cdef tuple shape

    cdef object apply(self, object g):
        cdef TensorBase t = contiguous(<TensorBase>g)
        cdef int64_t sh[64]
        cdef int i
        for i in range(len(self.shape)):
            sh[i] = self.shape[i]
        return drop_view(t, <int>len(self.shape), sh)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return g.reshape((n,) + self.shape)


cdef TensorBase drop_view(TensorBase t, int nd, const int64_t *sh):
    cdef DropLeadBackward node
    cdef TensorBase v = view_raw(t, nd, sh, NULL, 0)
    if t.rg and grad_mode():
        node = DropLeadBackward.__new__(DropLeadBackward)
        node.shape = shape_tuple(t)
        attach1(v, node, t)
    return v


cdef TensorBase reshape_drop(TensorBase t, int lead):
    return drop_view(t, t.nd - lead, t.sh + lead)


cdef TensorBase sum_like(TensorBase g, TensorBase t):
    cdef TensorBase r = g if same_shape(g, t) else sum_to(g, shape_tuple(t))
    return cast(r, t.dt)


cdef class SumBackward0(Node):
    """Gradient of a sum: the incoming gradient, expanded over the summed dimensions."""
    cdef tuple shape
    cdef list dims
    cdef bint keepdim

    cdef object apply(self, object g):
        return unsum(<TensorBase>g, self.shape, self.dims, self.keepdim)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return unsum(<TensorBase>g, (n,) + self.shape, [False] + self.dims, self.keepdim)


cdef TensorBase unsum(TensorBase t, tuple shape, list dims, bint keepdim):
    """A gradient of a sum over dims, seen in the shape of what was summed."""
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i, j = 0, nd = <int>len(shape)
    if t.rg and grad_mode():
        if not keepdim:
            for i in range(nd):
                if dims[i]:
                    sh[i] = 1
                else:
                    sh[i] = t.sh[j]
                    j += 1
            t = drop_view(contiguous(t), nd, sh)
        return expand_tuple(t, shape)
    for i in range(nd):
        sh[i] = shape[i]
        if dims[i]:
            st[i] = 0
            j += keepdim
        else:
            st[i] = t.st[j]
            j += 1
    return view_raw(t, nd, sh, st, 0)


cdef TensorBase sum_mask(TensorBase t, const uint8_t *mask, bint keepdim):
    """Sum in t's own dtype (integers and bool in int64), recorded."""
    cdef SumBackward0 node
    cdef int dt = RT_I64 if rt_kind(t.dt) <= RT_KIND_INT else t.dt
    cdef TensorBase r = reduce_raw(RED_SUM, t, mask, keepdim, rt_compute_dtype(dt), dt, 0)
    cdef int i
    if t.rg and grad_mode():
        node = SumBackward0.__new__(SumBackward0)
        node.shape = shape_tuple(t)
        node.dims = [mask[i] for i in range(t.nd)]
        node.keepdim = keepdim
        attach1(r, node, t)
    return r


cdef TensorBase reduce_sum(TensorBase t, object dims, bint keepdim):
    cdef uint8_t mask[64]
    dims_mask("sum", dims, t.nd, mask, True)
    return sum_mask(t, mask, keepdim)
