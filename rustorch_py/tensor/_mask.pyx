# build: cold
"""Masks: nonzero and where(condition), masked_fill, masked_select, masked_scatter."""
from libc.stdint cimport int64_t
from ._node cimport Node
from ._backend cimport RT_META
from ._base cimport *
from ._dtype cimport torch_name
from ._plan cimport cast_raw, contiguous_raw, clone_raw, full_, copy_raw, broadcast_shapes, expand_raw
from ._ops cimport (cast, sum_to, expand_to, inplace_begin, inplace_end, recording, deliver, ternary, check_inplace_shape,
                    to_device)
from ._index_kernels cimport true_positions, true_coordinates, take_true, fill_masked, fill_there, run_flat, need_same, RT_IX_SET
from . import _pointwise, _view
from ..errors import DTypeError, ShapeError
include "_row_ids.pxi"


# ---- positions of true elements ------------------------------------------------------------------------
cdef TensorBase coordinates(TensorBase t):
    return true_coordinates(cast_raw(t, RT_BOOL))


def nonzero(input, *, out=None, as_tuple=False):
    """Return the coordinates of the elements that are not zero.

    Args:
        as_tuple: one 1-d tensor for each dimension (fit for indexing) instead of one (n, ndim) tensor.
    """
    cdef TensorBase t = as_base("nonzero", "input", input), c
    cdef int64_t one = 1
    cdef int64_t n, step
    cdef int i
    if not as_tuple:
        return deliver("nonzero", coordinates(t), out)
    if t.nd == 0:
        t = view_raw(t, 1, &one, &one, 0)
    c = coordinates(t)
    n, step = c.sh[0], c.st[0]
    return tuple([view_raw(c, 1, &n, &step, i * c.st[1]) for i in range(t.nd)])


def nonzero_static(input, *, size, fill_value=-1, out=None):
    """Return the first `size` coordinates of elements that are not zero; rows that are missing hold `fill_value`."""
    cdef TensorBase t = as_base("nonzero_static", "input", input), c = coordinates(t), r
    cdef int64_t sh[2]
    if size < 0:
        raise ShapeError("nonzero_static: 'size' must be an non-negative integer", op="nonzero_static")
    sh[0], sh[1] = size, t.nd
    r = full_(2, sh, fill_value, RT_I64, t.dev)
    if sh[0] > c.sh[0]:
        sh[0] = c.sh[0]
    if r.n:
        copy_raw(view_raw(r, 2, sh, r.st, 0), view_raw(c, 2, sh, c.st, 0))
    return deliver("nonzero_static", r, out)


def argwhere(input):
    """Return the coordinates of the elements that are not zero, one row each."""
    return coordinates(as_base("argwhere", "input", input))


def where(condition, input=None, other=None, *, out=None):
    """Take from input where the condition is true, else from other; with the condition alone, return its coordinates.

    Returns:
        a tensor of the broadcast shape, or one 1-d tensor for each dimension (``nonzero(as_tuple=True)``).
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return _pointwise.choose(condition, input, other, out=out)


# ---- masked_fill -------------------------------------------------------------------------------------------
cdef TensorBase bool_mask(str op, object mask):
    cdef TensorBase m = as_base(op, "mask", mask)
    if m.dt != RT_BOOL:
        raise DTypeError(f"{op} only supports boolean masks, but got mask with dtype {torch_name(m.dt)}", op=op)
    return m


cdef TensorBase fill_number(str op, TensorBase t, object value):
    cdef TensorBase v
    if isinstance(value, TensorBase):
        v = <TensorBase>value
        if v.nd:
            raise ShapeError(f"{op} only supports a 0-dimensional value tensor, but got tensor with {v.nd} dimension(s).", op=op)
        if rt_kind(v.dt) == RT_KIND_COMPLEX and rt_kind(t.dt) != RT_KIND_COMPLEX:
            raise DTypeError("value cannot be converted to type without overflow", op=op)
        if v.dev == RT_CPU and not v.rg:
            return cast_raw(v, t.dt)             # it travels with the launch
        return to_device(cast(v, t.dt), t.dev)
    return full_(0, NULL, value, t.dt, RT_CPU if RT_DEVICE_TYPE(t.dev) != RT_SHELL else t.dev)


cdef class MaskedFillBackward0(Node):
    """Gradient of masked_fill: nothing under the mask to self, the sum under it to the value."""
    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, mask = saved(self, 0), a = None, b = None
        if wants_edge(self, 0):
            a = fill_out(gt, mask, fill_number("masked_fill", gt, 0))
        if self.n_edges > 1 and wants_edge(self, 1):
            b = sum_to(<TensorBase>ternary(ROW_WHERE, mask, gt, 0, None, 0), ())
        return a if self.n_edges == 1 else (a, b)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef object a = None, b = None, mask = saved(self, 0)
        if wants_edge(self, 0):
            a = g.masked_fill(mask, 0)
        if self.n_edges > 1 and wants_edge(self, 1):
            b = (<object>ternary(ROW_WHERE, mask, g, 0, None, 0)).reshape(n, -1).sum(1)
        return a if self.n_edges == 1 else (a, b)


cdef int attach_fill(TensorBase out, TensorBase self, TensorBase mask, TensorBase value) except -1:
    cdef Node node = MaskedFillBackward0.__new__(MaskedFillBackward0)
    save(node, 0, mask)
    if value.rg:
        return attach2(out, node, self, value)
    return attach1(out, node, self)


cdef TensorBase fill_out(TensorBase self, TensorBase mask, TensorBase value):
    cdef int64_t sh[64]
    cdef int nd = broadcast_shapes("masked_fill", self, mask, None, sh)
    cdef bint whole = nd == self.nd and rt_numel(nd, sh) == self.n
    cdef TensorBase out = None
    if not whole:
        self = expand_to(self, nd, sh)
    if value.dev == RT_CPU and RT_DEVICE_TYPE(self.dev) != RT_SHELL:
        out = empty(nd, sh, self.dt, self.dev)
        if not fill_there(out, self, mask, value):
            out = None
    if out is None:
        out = clone_raw(self) if self.flags & F_CONTIG else contiguous_raw(self)      # contiguous_raw alone would be self
        fill_masked(out, mask, value)
    if recording(self, value, None):
        attach_fill(out, self, mask, value)
    return out


def masked_fill(input, mask, value):
    """Return a copy of input with `value` where the mask is true.

    Args:
        mask: bool tensor that broadcasts with input.
        value: number or 0-dim tensor.
    """
    cdef TensorBase t = as_base("masked_fill", "input", input)
    return fill_out(t, bool_mask("masked_fill", mask), fill_number("masked_fill", t, value))


def masked_fill_(self, mask, value):
    """Write `value` where the mask is true, in place."""
    cdef TensorBase t = as_base("masked_fill_", "self", self), m = bool_mask("masked_fill_", mask)
    cdef TensorBase v = fill_number("masked_fill_", t, value)
    cdef int64_t sh[64]
    cdef bint rec
    inplace_begin("masked_fill_", t)
    check_inplace_shape("masked_fill_", t, broadcast_shapes("masked_fill_", t, m, None, sh), sh)
    if m.stor is t.stor:
        m = clone_raw(m)
    fill_masked(t, m, v)
    rec = recording(t, v, None)
    if rec:
        attach_fill(t, t, m, v)
    inplace_end(t, t.fn if rec else None)
    return t


def fill_diagonal_(self, fill_value, wrap=False):
    """Write a value on the main diagonal, in place.

    Args:
        wrap: begin the diagonal anew below a tall matrix's last row of it, with one row left out between.
    """
    cdef TensorBase t = as_base("fill_diagonal_", "self", self), mask
    cdef int64_t i, step = 0, size = 0, length = 1, count
    if t.nd < 2:
        raise ShapeError("dimensions must larger than 1", op="fill_diagonal_")
    mask = full_(t.nd, t.sh, False, RT_BOOL, t.dev)
    size = t.sh[0]
    for i in range(t.nd):
        if t.nd > 2 and t.sh[i] != t.sh[0]:
            raise ShapeError("all dimensions of input must be of equal length", op="fill_diagonal_")
        step += mask.st[i]
        if t.sh[i] < size:
            size = t.sh[i]
    if wrap and t.nd == 2:
        length = mask.n
    else:
        length = (size - 1) * step + 1 if size else 0
    count = (length + step - 1) // step if step else length
    if count:
        copy_raw(view_raw(mask, 1, &count, &step, 0), full_(0, NULL, True, RT_BOOL, t.dev))
    return masked_fill_(t, mask, fill_value)


# ---- masked_select and masked_scatter ----------------------------------------------------------------------------
cdef TensorBase broadcast_mask(TensorBase mask, int nd, const int64_t *sh):
    return contiguous_raw(expand_raw(mask, nd, sh))


cdef class MaskedSelectBackward0(Node):
    cdef tuple shape

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, mask = saved(self, 0), zero = zeros_of(self.shape, gt)
        return scatter_out(zero, mask, gt)


cdef TensorBase zeros_of(tuple shape, TensorBase like):
    cdef int64_t sh[64]
    cdef int i
    for i in range(len(shape)):
        sh[i] = shape[i]
    return full_(<int>len(shape), sh, 0, like.dt, like.dev)


cdef TensorBase select_out(TensorBase self, TensorBase mask):
    cdef int64_t sh[64]
    cdef int nd = broadcast_shapes("masked_select", self, mask, None, sh)
    cdef TensorBase out, m
    cdef MaskedSelectBackward0 node
    need_same("masked_select", self, mask)
    self = expand_to(self, nd, sh)
    m = broadcast_mask(mask, nd, sh)
    out = take_true(contiguous_raw(self), m)
    if self.rg and grad_mode():
        node = MaskedSelectBackward0.__new__(MaskedSelectBackward0)
        node.shape = shape_tuple(self)
        save(node, 0, m)
        attach1(out, node, self)
    return out


def masked_select(input, mask, *, out=None):
    """Return the elements of input where the mask is true, as one row."""
    cdef TensorBase m = as_base("masked_select", "mask", mask)
    if m.dt != RT_BOOL:
        raise DTypeError("masked_select: expected BoolTensor for mask", op="masked_select")
    return deliver("masked_select", select_out(as_base("masked_select", "input", input), m), out)


cdef class MaskedScatterBackward0(Node):
    cdef tuple src_shape

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, mask = saved(self, 0), a = None, b = None, picked
        cdef int64_t n = 1
        if wants_edge(self, 0):
            a = fill_out(gt, mask, full_(0, NULL, 0, gt.dt, gt.dev))
        if wants_edge(self, 1):
            picked = select_out(gt, mask)
            for size in self.src_shape:
                n *= size
            if picked.n < n:                               # source had more elements than the mask took
                picked = pad_row(picked, n)
            b = <TensorBase?>_view.reshape(picked, self.src_shape)
        return (a, b)


cdef TensorBase pad_row(TensorBase row, int64_t n):
    """row with zeros behind it, n elements in all."""
    cdef TensorBase zero = full_(1, &n, 0, row.dt, row.dev), mask = full_(1, &n, False, RT_BOOL, row.dev)
    copy_raw(view_raw(mask, 1, &row.n, NULL, 0), full_(0, NULL, True, RT_BOOL, row.dev))
    return scatter_out(zero, mask, row)


cdef int scatter_raw(TensorBase self, TensorBase mask, TensorBase src) except -1:
    """mask: contiguous, self's shape."""
    cdef TensorBase flat, s
    cdef int64_t n = src.n
    need_same("masked_scatter", self, mask)
    need_same("masked_scatter", self, src)
    if src.dt != self.dt:
        raise DTypeError(f"masked_scatter: expected self and source to have same dtypes but got {torch_name(self.dt)} and "
                         f"{torch_name(src.dt)}", op="masked_scatter")
    if self.dev & 255 == RT_META:
        return 0
    flat = true_positions(mask)
    if flat.n > n:
        raise ShapeError(f"masked_scatter: expected at least {flat.n} elements in source, one for each true element of mask; got {n}",
                         op="masked_scatter")
    if flat.n:
        s = clone_raw(src) if src.stor is self.stor else src
        s = contiguous_raw(s)
        run_flat(RT_IX_SET, self, view_raw(s, 1, &n, NULL, 0), flat)
    return 0


cdef int attach_scatter(TensorBase out, TensorBase self, TensorBase mask, TensorBase src) except -1:
    cdef MaskedScatterBackward0 node = MaskedScatterBackward0.__new__(MaskedScatterBackward0)
    node.src_shape = shape_tuple(src)
    save(node, 0, mask)
    return attach2(out, node, self, src)


cdef TensorBase scatter_out(TensorBase self, TensorBase mask, TensorBase src):
    cdef int64_t sh[64]
    cdef int nd = broadcast_shapes("masked_scatter", self, mask, None, sh)
    cdef TensorBase out, m = broadcast_mask(mask, nd, sh)
    self = expand_to(self, nd, sh)
    out = contiguous_raw(self)
    if out is self:
        out = clone_raw(self)
    scatter_raw(out, m, src)
    if recording(self, src, None):
        attach_scatter(out, self, m, src)
    return out


def masked_scatter(input, mask, source):
    """Return a copy of input where source's elements, in order, fill the places where the mask is true."""
    cdef TensorBase t = as_base("masked_scatter", "input", input)
    return scatter_out(t, bool_mask("masked_scatter", mask), as_base("masked_scatter", "source", source))


def masked_scatter_(self, mask, source):
    """Fill the places where the mask is true with source's elements, in place."""
    cdef TensorBase t = as_base("masked_scatter_", "self", self), m = bool_mask("masked_scatter_", mask)
    cdef TensorBase s = as_base("masked_scatter_", "source", source)
    cdef int64_t sh[64]
    cdef bint rec
    inplace_begin("masked_scatter_", t)
    check_inplace_shape("masked_scatter_", t, broadcast_shapes("masked_scatter_", t, m, None, sh), sh)
    m = broadcast_mask(m, t.nd, t.sh)
    scatter_raw(t, m, s)
    rec = recording(t, s, None)
    if rec:
        attach_scatter(t, t, m, s)
    inplace_end(t, t.fn if rec else None)
    return t


FUNCTIONS = {f.__name__: f for f in (nonzero, nonzero_static, argwhere, masked_fill, masked_select, masked_scatter)}
METHODS = {**FUNCTIONS, "masked_fill_": masked_fill_, "masked_scatter_": masked_scatter_, "fill_diagonal_": fill_diagonal_}
FUNCTIONS["where"] = where
