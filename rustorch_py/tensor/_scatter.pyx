# build: cold
"""Gather, scatter and the index_* family, with their gradients.

Each is linear in what moves, so gradients are calls of siblings: gather <-> scatter_add,
index_select <-> index_add, take <-> put.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from ._node cimport Node
from ._overlap cimport refuse_overlap
from ._base cimport *
from ._dtype cimport torch_name, dtype_of
from ._plan cimport copy_raw, cast_raw, contiguous_raw, clone_raw, full_, is_number
from ._ops cimport (binary, ternary, cast, sum_to, expand_to, inplace_begin, inplace_end, recording, deliver,
                    reduce_sum, to_device)
from ._index_kernels cimport (run_gather, run_along, run_flat, checked_index, within, on_device, need_same, sizes, RT_IX_GET, RT_IX_SET, RT_IX_ADD, RT_IX_MUL,
                      RT_IX_MAX, RT_IX_MIN)
from . import _rows, _view
from ._ops import old_value
from ..errors import DTypeError, DimError, LengthError, ShapeError, TensorTypeError, UnsupportedOpError
include "_row_ids.pxi"


# ---- checks --------------------------------------------------------------------------------------------
cdef TensorBase one_d(TensorBase t):
    """t, or its view as one element in a row when it has no dimension."""
    cdef int64_t one = 1
    return t if t.nd else view_raw(t, 1, &one, &one, 0)


cdef int move_by(int op, str name, TensorBase dst, TensorBase src, TensorBase index, int dim, TensorBase side, bint ours) except -1:
    """Gather or scatter; the index is checked against side's size. ours: nobody sees dst if that fails halfway."""
    cdef int64_t size = side.sh[dim] if side.nd else 1
    cdef TensorBase x
    if index.dt != RT_I64 and index.dt != RT_I32:
        raise DTypeError(f"{name}(): Expected dtype int32/int64 for index", op=name)
    if ours and index.nd:
        x = cast_raw(index, RT_I64)
        if not run_gather(op, dst, src, x, dim, size):
            checked_index(name, x, 0, size, dim, size)
        return 0
    x = checked_index(name, index, 0, size, dim, size)
    run_gather(op, dst, src, one_d(x), dim, -1)
    return 0


cdef int check_sizes(str op, TensorBase self, int dim, TensorBase index, TensorBase src) except -1:
    cdef int i
    cdef int nd = self.nd if self.nd else 1
    need_same(op, self, index)
    if src is not None:
        need_same(op, self, src)
    if index.n == 0:
        return 0
    if (index.nd if index.nd else 1) != nd:
        what = "input" if op == "gather" else "self"
        raise ShapeError(f"Index tensor must have the same number of dimensions as {what} tensor", op=op)
    if src is not None and (src.nd if src.nd else 1) != nd:
        raise ShapeError("Index tensor must have the same number of dimensions as src tensor", op=op)
    for i in range(index.nd):
        if i != dim and index.sh[i] > (self.sh[i] if self.nd else 1):
            raise ShapeError(f"Size does not match at dimension {i} expected index {sizes(index)} to be no larger than self {sizes(self)} "
                             f"apart from dimension {dim}", op=op)
        if src is not None and index.sh[i] > (src.sh[i] if src.nd else 1):
            raise ShapeError(f"Expected index {sizes(index)} to be no larger than self {sizes(self)} apart from dimension {dim} and to be no "
                             f"larger size than src {sizes(src)}", op=op)
    return 0


# ---- gather -----------------------------------------------------------------------------------------------
cdef class GatherBackward0(Node):
    """Gradient of gather: g added at the places read."""
    cdef int dim
    cdef tuple shape
    cdef bint sparse

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g
        if self.sparse:
            from ._sparse import picked_gradient
            return picked_gradient(g, saved(self, 0), self.dim, self.shape)
        return scatter_to(zeros_of(self.shape, gt), self.dim, saved(self, 0), gt, RT_IX_ADD, "scatter_add")

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef TensorBase gt = <TensorBase>g, index = saved(self, 0)
        if index.nd == 0 or not self.shape or self.sparse:
            return NotImplemented
        return scatter_to(zeros_of((n,) + self.shape, gt), self.dim + 1, (<object>index).expand((n,) + shape_tuple(index)), gt, RT_IX_ADD, "scatter_add")


cdef TensorBase zeros_of(tuple shape, TensorBase like):
    cdef int64_t sh[64]
    cdef int i
    for i in range(len(shape)):
        sh[i] = shape[i]
    return full_(<int>len(shape), sh, 0, like.dt, like.dev)


cdef TensorBase gather_(TensorBase self, int dim, TensorBase index, bint sparse=False):
    cdef TensorBase out = empty(index.nd, index.sh, self.dt, self.dev)
    cdef GatherBackward0 node
    check_sizes("gather", self, dim, index, None)
    if out.n:
        move_by(RT_IX_GET, "gather", one_d(out), one_d(self), index, dim, self, True)
    if self.rg and grad_mode():
        node = GatherBackward0.__new__(GatherBackward0)
        node.dim, node.shape, node.sparse = dim, shape_tuple(self), sparse
        save(node, 0, index)
        attach1(out, node, self)
    return out


def gather(input, dim, index, *, sparse_grad=False, out=None):
    """Pick values along `dim`: out[i][j] = input[index[i][j]][j] for dim 0.

    Args:
        index: int64 (or int32), as many dimensions as input, no larger than it except along dim.
        sparse_grad: the input's gradient is a sparse tensor (COO) of the places that were read.
    """
    cdef TensorBase t = as_base("gather", "input", input), x = as_base("gather", "index", index)
    keep_apart("gather", out, t, None, True)
    keep_apart("gather", out, x, None, False)
    return deliver("gather", gather_(t, wrap_dim("gather", dim, t.nd), x, sparse_grad), out)


def take_along_dim(input, indices, dim=None, *, out=None):
    """Pick values along `dim` with indices that broadcast against input; without dim from the flattened input."""
    cdef TensorBase t = as_base("take_along_dim", "input", input), x = as_base("take_along_dim", "indices", indices)
    cdef int64_t a[64]
    cdef int64_t b[64]
    cdef int i
    cdef int64_t d
    if x.dt != RT_I64:
        raise DTypeError(f"torch.take_along_dim(): dtype of indices should be Long but got {torch_name(x.dt)}. You can fix this error by "
                         "adding .to(torch.long) to indices", op="take_along_dim")
    if dim is None:
        d = t.n
        if not within(x, 0, d):
            x = <TensorBase>binary(ROW_REMAINDER, x, d, None)
        return deliver("take_along_dim", gather_(_view.reshape(t, (-1,)), 0, _view.reshape(x, (-1,))), out)
    if t.nd != x.nd:
        raise ShapeError("torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
                         f"{t.nd} dimensions for input, and {x.nd} dimensions for indices", op="take_along_dim")
    d = wrap_dim("take_along_dim", dim, t.nd)
    if t.nd == 0:
        raise DimError(f"Dimension specified as {dim} but tensor has no dimensions", op="take_along_dim")
    if not within(x, 0, t.sh[d]):                 # indices wrap around here, as in torch
        x = <TensorBase>binary(ROW_REMAINDER, x, t.sh[d], None)
    for i in range(t.nd):
        if i == d:
            a[i], b[i] = t.sh[i], x.sh[i]
        else:
            if t.sh[i] != x.sh[i] and t.sh[i] != 1 and x.sh[i] != 1:
                raise ShapeError(f"The size of tensor a ({t.sh[i]}) must match the size of tensor b ({x.sh[i]}) at non-singleton "
                                 f"dimension {i}", op="take_along_dim")
            a[i] = b[i] = x.sh[i] if t.sh[i] == 1 else t.sh[i]
    return deliver("take_along_dim", gather_(expand_to(t, t.nd, a), <int>d, expand_to(x, t.nd, b)), out)


# ---- scatter ------------------------------------------------------------------------------------------------
cdef class ScatterBackward0(Node):
    """Gradient of scatter: self keeps g elsewhere, src reads it there."""
    cdef int dim
    cdef tuple src_shape

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, index = saved(self, 0), a = None, b = None
        if wants_edge(self, 0):
            a = scatter_to(gt, self.dim, index, full_(0, NULL, 0, gt.dt, gt.dev), RT_IX_SET, "scatter")
        if self.n_edges > 1 and wants_edge(self, 1):
            b = pad_to(gather_(gt, self.dim, index), self.src_shape)
        return a if self.n_edges == 1 else (a, b)


cdef class ScatterAddBackward0(Node):
    """Gradient of scatter_add: g to self, g where it was read to src."""
    cdef int dim
    cdef tuple src_shape

    cdef object apply(self, object g):
        cdef TensorBase b = None
        if wants_edge(self, 1):
            b = pad_to(gather_(<TensorBase>g, self.dim, saved(self, 0)), self.src_shape)
        return (g if wants_edge(self, 0) else None, b)


cdef TensorBase pad_to(TensorBase g, tuple shape):
    """g with zeros behind it, where src was larger than the index."""
    if shape is None or shape_tuple(g) == shape:
        return g
    cdef TensorBase out = zeros_of(shape, g)
    return <TensorBase?>out.index_put(tuple([_grid(g, i) for i in range(g.nd)]), g)


def _grid(TensorBase g, int d):
    """0 .. size-1 along dimension d, shaped to broadcast."""
    cdef int64_t n = g.sh[d], i
    cdef TensorBase t = empty(1, &n, RT_I64, RT_CPU)
    for i in range(n):
        (<int64_t *>t.ptr)[i] = i
    return _view.reshape(t, tuple([n if k == d else 1 for k in range(g.nd)]))


cdef int keep_apart(str op, object out, TensorBase first, TensorBase second, bint inputs) except -1:
    """Raise where what is written shares memory with the operands; `inputs`: also where it is one of them."""
    if out is not None and isinstance(out, TensorBase):
        refuse_overlap(op, <TensorBase>out, first, inputs)
        refuse_overlap(op, <TensorBase>out, second, True)
    return 0


cdef int scatter_raw(TensorBase self, int dim, TensorBase index, TensorBase src, int op, str name, bint ours=True) except -1:
    """Write through the index into self; src: a tensor at least as large as index, or 0-dim for one value."""
    cdef int64_t st[64]
    cdef int i
    cdef TensorBase s = src
    cdef bint number = src.nd == 0 and (index.nd != 0 or self.nd != 0)
    if src.dt != self.dt:
        raise DTypeError(f"{name}(): Expected self.dtype to be equal to src.dtype", op=name)
    if (op == RT_IX_MAX or op == RT_IX_MIN) and rt_kind(self.dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError(f'"{name}" not implemented for \'{dtype_of(self.dt).name}\'', op=name)
    check_sizes(name, self, dim, index, None if number else src)
    if index.n == 0:
        return 0
    if s.stor is self.stor:
        s = clone_raw(s)
    if number:
        for i in range(64):
            st[i] = 0
        s = view_raw(s, one_d(index).nd, one_d(index).sh, st, 0)
    return move_by(op, name, one_d(self), one_d(s), index, dim, self, ours)


cdef Node scatter_node(int op, int dim, TensorBase index, TensorBase src):
    cdef ScatterBackward0 node
    cdef ScatterAddBackward0 add
    if op == RT_IX_ADD:
        add = ScatterAddBackward0.__new__(ScatterAddBackward0)
        add.dim, add.src_shape = dim, shape_tuple(src)
        save(add, 0, index)
        return add
    node = ScatterBackward0.__new__(ScatterBackward0)
    node.dim, node.src_shape = dim, shape_tuple(src)
    save(node, 0, index)
    return node


cdef TensorBase fresh(TensorBase t):
    """A row-major copy."""
    return clone_raw(t) if t.flags & F_CONTIG else contiguous_raw(t)


cdef TensorBase scatter_to(TensorBase self, int dim, TensorBase index, TensorBase src, int op, str name):
    """A copy of self, scattered into. Only SET and ADD have gradients here."""
    cdef TensorBase out = fresh(self)
    scatter_raw(out, dim, index, src, op, name)
    if recording(self, src, None):
        attach2(out, scatter_node(op, dim, index, src), self, src)
    return out


cdef TensorBase scatter_into(TensorBase self, int dim, TensorBase index, TensorBase src, int op, str name):
    cdef Node node = None
    inplace_begin(name, self)
    keep_apart(name, self, src, index, True)
    scatter_raw(self, dim, index, src, op, name, False)
    if recording(self, src, None):
        node = scatter_node(op, dim, index, src)
        attach2(self, node, self, src)
    inplace_end(self, node)
    return self


cdef TensorBase source(str op, TensorBase self, TensorBase index, object src, object value):
    """The tensor or number to scatter, in self's dtype when it is a number."""
    if src is None:
        src = value
    if isinstance(src, TensorBase):
        return <TensorBase>src if value is not None else whole(op, index, <TensorBase>src)
    if is_number(src):
        return full_(0, NULL, src, self.dt, self.dev)
    raise TensorTypeError(f"{op}(): argument 'src' must be Tensor or Number, not {type(src).__name__}", op=op)


cdef TensorBase whole(str op, TensorBase index, TensorBase src):
    """src, a tensor that was given as such: a 0-dim one counts as a vector of one element, not as a number."""
    if src.nd == 0 and (index.nd > 1 or index.nd == 1 and index.sh[0] > 1):
        raise ShapeError(f"{op}(): Index tensor must have the same number of dimensions as src tensor, and be no larger: index {sizes(index)}, src []", op=op)
    return src


cdef int old_reduce(object reduce) except -1:
    if reduce is None:
        return RT_IX_SET
    if reduce == "add":
        return RT_IX_ADD
    if reduce == "multiply":
        return RT_IX_MUL
    raise ShapeError("reduce argument must be either add or multiply.", op="scatter")


cdef int refuse_mul_grad(int op, TensorBase self, TensorBase src) except -1:
    if op == RT_IX_MUL and recording(self, src, None):
        raise UnsupportedOpError("scatter: the derivative for reduce='multiply' is not implemented; use scatter_reduce with 'prod'",
                                 op="scatter")
    return 0


def scatter(input, dim, index, src=None, *, value=None, reduce=None, out=None):
    """Return a copy of input with src written at places given by index: out[index[i][j]][j] = src[i][j] for dim 0.

    Args:
        src: tensor at least as large as index, or a number (also as value=).
        reduce: None, "add" or "multiply" (see `scatter_reduce` for the full set).
    """
    cdef TensorBase t = as_base("scatter", "input", input), x = as_base("scatter", "index", index), s = source("scatter", t, x, src, value)
    cdef int op = old_reduce(reduce)
    refuse_mul_grad(op, t, s)
    return deliver("scatter", scatter_to(t, wrap_dim("scatter", dim, t.nd), x, s, op, "scatter"), out)


def scatter_(self, dim, index, src=None, *, value=None, reduce=None):
    """Write src at places given by index, in place; see `scatter`."""
    cdef TensorBase t = as_base("scatter_", "self", self), x = as_base("scatter_", "index", index), s = source("scatter_", t, x, src, value)
    cdef int op = old_reduce(reduce)
    refuse_mul_grad(op, t, s)
    return scatter_into(t, wrap_dim("scatter_", dim, t.nd), x, s, op, "scatter_")


def scatter_add(input, dim, index, src, *, out=None):
    """Return a copy of input with src added at places given by index; repeated places add up in order."""
    cdef TensorBase t = as_base("scatter_add", "input", input), x = as_base("scatter_add", "index", index)
    cdef TensorBase s = whole("scatter_add", x, as_base("scatter_add", "src", src))
    return deliver("scatter_add", scatter_to(t, wrap_dim("scatter_add", dim, t.nd), x, s, RT_IX_ADD, "scatter_add"), out)


def scatter_add_(self, dim, index, src):
    """Add src at places given by index, in place."""
    cdef TensorBase t = as_base("scatter_add_", "self", self), x = as_base("scatter_add_", "index", index)
    return scatter_into(t, wrap_dim("scatter_add_", dim, t.nd), x, whole("scatter_add_", x, as_base("scatter_add_", "src", src)), RT_IX_ADD, "scatter_add_")


# ---- scatter_reduce --------------------------------------------------------------------------------------------
cdef dict REDUCTIONS = {"sum": RT_IX_ADD, "prod": RT_IX_MUL, "mean": RT_IX_ADD, "amax": RT_IX_MAX, "amin": RT_IX_MIN}


cdef object identity_of(str reduce, int dt):
    """The number that leaves a reduction alone."""
    if reduce == "sum" or reduce == "mean":
        return 0
    if reduce == "prod":
        return 1
    if rt_kind(dt) == RT_KIND_FLOAT:
        return float("-inf") if reduce == "amax" else float("inf")
    if dt == RT_BOOL:
        return reduce == "amin"
    bits = 8 * rt_itemsize(dt)
    if dt == RT_U8:
        return 0 if reduce == "amax" else 255
    return -(1 << (bits - 1)) if reduce == "amax" else (1 << (bits - 1)) - 1


cdef TensorBase ones_for(TensorBase index, int dt):
    return full_(index.nd, index.sh, 1, dt, index.dev)


cdef TensorBase counts(TensorBase like, int dim, TensorBase index, bint include_self, int dt):
    """How many values meet at each place; places without any count as one."""
    cdef TensorBase n = full_(like.nd, like.sh, 1 if include_self else 0, dt, like.dev)
    scatter_raw(n, dim, index, ones_for(index, dt), RT_IX_ADD, "scatter_reduce")
    return <TensorBase>ternary(ROW_WHERE, binary(ROW_EQ, n, 0, None), 1, n, None, 0) if not include_self else n


cdef class ScatterReduceBackward0(Node):
    """Gradients of scatter_reduce. Saved: src, index; self and result where they are read."""
    cdef int dim
    cdef str reduce
    cdef bint include_self

    cdef object apply(self, object g):
        cdef TensorBase x, src = saved(self, 1), index = saved(self, 2), ga = <TensorBase>g, gb = None, n, r, hit, one
        cdef int dim = self.dim
        if self.reduce == "sum":
            gb = gather_(ga, dim, index)
        elif self.reduce == "mean":
            ga = <TensorBase>binary(ROW_DIV, g, counts(ga, dim, index, self.include_self, ga.dt), None)
            gb = gather_(ga, dim, index)
        elif self.reduce == "prod":
            x = saved(self, 0)
            one = <TensorBase>ternary(ROW_WHERE, binary(ROW_EQ, x, 0, None), 1, x, None, 0)
            r = reduce_out(one, dim, index, src, "prod", self.include_self)
            ga = <TensorBase>binary(ROW_DIV, binary(ROW_MUL, g, r, None), one, None)
            hit = <TensorBase>binary(ROW_EQ, src, 0, None)
            n = gather_(scatter_to(zeros_of(shape_tuple(x), x), dim, index, cast(narrow_to(hit, index), x.dt), RT_IX_ADD, "scatter_add"),
                        dim, index)
            src = narrow_to(src, index)
            hit = narrow_to(hit, index)
            single = binary(ROW_LOGICAL_AND, hit, binary(ROW_EQ, n, 1, None), None)
            r = reduce_out(x, dim, index, <TensorBase>ternary(ROW_WHERE, single, 1, src, None, 0), "prod", self.include_self)
            whole = gather_(<TensorBase>binary(ROW_MUL, g, reduce_out(x, dim, index, src, "prod", self.include_self), None), dim, index)
            gb = <TensorBase>ternary(ROW_WHERE, single, gather_(<TensorBase>binary(ROW_MUL, g, r, None), dim, index),
                                     binary(ROW_DIV, whole, ternary(ROW_WHERE, hit, 1, src, None, 0), None), None, 0)
        else:
            x, r = saved(self, 0), saved(self, 3)
            own = cast(<TensorBase>binary(ROW_EQ, x, r, None), x.dt)
            src = narrow_to(src, index)
            mine = cast(<TensorBase>binary(ROW_EQ, src, gather_(r, dim, index), None), x.dt)
            n = scatter_to(<TensorBase>own, dim, index, <TensorBase>mine, RT_IX_ADD, "scatter_add")
            g = binary(ROW_DIV, g, n, None)
            ga = <TensorBase>binary(ROW_MUL, own, g, None)
            gb = <TensorBase>binary(ROW_MUL, mine, gather_(<TensorBase>g, dim, index), None)
        if not self.include_self and wants_edge(self, 0):
            ga = scatter_to(ga, dim, index, full_(0, NULL, 0, ga.dt, ga.dev), RT_IX_SET, "scatter")
        return (ga if wants_edge(self, 0) else None,
                pad_to(gb, shape_tuple(saved(self, 1))) if wants_edge(self, 1) else None)


cdef TensorBase narrow_to(TensorBase t, TensorBase index):
    """The part of t that the index walks over."""
    if t.nd == 0 or same_shape(t, index):
        return t
    return <TensorBase?>t[tuple([slice(0, index.sh[i]) for i in range(index.nd)])]


cdef int reduce_raw_(TensorBase out, int dim, TensorBase index, TensorBase src, str reduce, bint include_self, str name) except -1:
    cdef TensorBase n
    if not include_self:
        scatter_raw(out, dim, index, full_(0, NULL, identity_of(reduce, out.dt), out.dt, out.dev), RT_IX_SET, name)
    scatter_raw(out, dim, index, src, <int>REDUCTIONS[reduce], name)
    if reduce == "mean":
        n = counts(out, dim, index, include_self, out.dt)
        if rt_kind(out.dt) >= RT_KIND_FLOAT:
            copy_raw(out, <TensorBase>binary(ROW_DIV, out, n, None))
        else:
            copy_raw(out, <TensorBase>binary(ROW_FLOOR_DIVIDE, out, n, None))
    return 0


cdef int check_reduce(str name, object reduce) except -1:
    if reduce not in REDUCTIONS:
        raise ShapeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}.", op=name)
    return 0


cdef bint reads_self(object reduce):
    """Whether the gradient of this reduction does."""
    return reduce != "sum" and reduce != "mean"


cdef Node reduce_node(TensorBase self, int dim, TensorBase index, TensorBase src, object reduce, bint include_self):
    cdef ScatterReduceBackward0 node = ScatterReduceBackward0.__new__(ScatterReduceBackward0)
    node.dim, node.reduce, node.include_self = dim, reduce, include_self
    if reads_self(reduce):
        save(node, 0, self)
    save(node, 1, src)
    save(node, 2, index)
    return node


cdef TensorBase reduce_out(TensorBase self, int dim, TensorBase index, TensorBase src, object reduce, bint include_self):
    cdef TensorBase out = fresh(self)
    cdef Node node
    check_reduce("scatter_reduce", reduce)
    reduce_raw_(out, dim, index, src, reduce, include_self, "scatter_reduce")
    if recording(self, src, None):
        node = reduce_node(self, dim, index, src, reduce, include_self)
        attach2(out, node, self, src)
        if reads_self(reduce):
            save_output(node, 3, out)
    return out


cdef TensorBase reduce_into(TensorBase self, int dim, TensorBase index, TensorBase src, object reduce, bint include_self, str name):
    cdef TensorBase r
    check_reduce(name, reduce)
    inplace_begin(name, self)
    keep_apart(name, self, src, index, True)
    if recording(self, src, None):
        r = reduce_out(<TensorBase?>old_value(self, src) if reads_self(reduce) else self, dim, index, src, reduce, include_self)
        return <TensorBase?>self.copy_(r)
    reduce_raw_(self, dim, index, src, reduce, include_self, name)
    inplace_end(self, None)
    return self


def scatter_reduce(input, dim, index, src, reduce, *, include_self=True, out=None):
    """Return a copy of input where values of src that meet at a place are reduced.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: count input's own value as one of them.
    """
    cdef TensorBase t = as_base("scatter_reduce", "input", input), x = as_base("scatter_reduce", "index", index)
    cdef TensorBase s = whole("scatter_reduce", x, as_base("scatter_reduce", "src", src))
    return deliver("scatter_reduce", reduce_out(t, wrap_dim("scatter_reduce", dim, t.nd), x, s, reduce, include_self), out)


def scatter_reduce_(self, dim, index, src, reduce, *, include_self=True):
    """Reduce values of src into self, in place; see `scatter_reduce`."""
    cdef TensorBase t = as_base("scatter_reduce_", "self", self), x = as_base("scatter_reduce_", "index", index)
    return reduce_into(t, wrap_dim("scatter_reduce_", dim, t.nd), x, whole("scatter_reduce_", x, as_base("scatter_reduce_", "src", src)), reduce, include_self,
                       "scatter_reduce_")


# ---- index_select and index_* ------------------------------------------------------------------------------------
cdef TensorBase vector_index(str op, TensorBase index, int64_t size, int dim):
    if index.nd > 1:
        raise DimError(f"{op}(): Index is supposed to be a vector, but got dim: {index.nd}", op=op)
    if index.dt != RT_I64 and index.dt != RT_I32:
        raise (DimError if op.startswith("index_fill") else DTypeError)(f"{op}(): Expected dtype int32/int64 for index but got: {torch_name(index.dt)}", op=op)
    return one_d(checked_index(op, index, 0, size, dim, size))


cdef class IndexSelectBackward0(Node):
    cdef int dim
    cdef tuple shape

    cdef object apply(self, object g):
        return add_to(zeros_of(self.shape, <TensorBase>g), self.dim, saved(self, 0), <TensorBase>g)

    cdef object apply_many(self, object g, Py_ssize_t n):
        if not self.shape:
            return NotImplemented
        return add_to(zeros_of((n,) + self.shape, <TensorBase>g), self.dim + 1, saved(self, 0), <TensorBase>g)


cdef TensorBase select_along(TensorBase self, int dim, TensorBase index):
    cdef int64_t sh[64]
    cdef TensorBase x = vector_index("index_select", index, self.sh[dim] if self.nd else 1, dim), out
    cdef IndexSelectBackward0 node
    need_same("index_select", self, index)
    if self.nd == 0 and x.n != 1:
        raise DimError(f"index_select(): Index to scalar can have only 1 value, got {x.n} value(s)", op="index_select")
    memcpy(sh, self.sh, self.nd * sizeof(int64_t))
    if self.nd:
        sh[dim] = x.n
    out = empty(self.nd, sh, self.dt, self.dev)
    if out.n:
        run_along(RT_IX_GET, one_d(out), one_d(self), x, dim)
    if self.rg and grad_mode():
        node = IndexSelectBackward0.__new__(IndexSelectBackward0)
        node.dim, node.shape = dim, shape_tuple(self)
        save(node, 0, index)
        attach1(out, node, self)
    return out


def index_select(input, dim, index, *, out=None):
    """Return the slices of input along `dim` that a 1-d index names."""
    cdef TensorBase t = as_base("index_select", "input", input), x = as_base("index_select", "index", index)
    keep_apart("index_select", out, t, x, True)
    return deliver("index_select", select_along(t, wrap_dim("index_select", dim, t.nd), x), out)


cdef class IndexAddBackward0(Node):
    """Gradient of index_add without alpha (alpha is a product in front)."""
    cdef int dim
    cdef tuple shape

    cdef object apply(self, object g):
        cdef TensorBase b = None
        if wants_edge(self, 1):
            b = sum_to(select_along(<TensorBase>g, self.dim, saved(self, 0)), self.shape)
            if b.nd != len(self.shape):
                b = <TensorBase?>_view.reshape(b, self.shape)
        return (g if wants_edge(self, 0) else None, b)


cdef class IndexCopyBackward0(Node):
    cdef int dim
    cdef tuple shape

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, a = None, b = None, index = saved(self, 0)
        if wants_edge(self, 0):
            a = fill_to(gt, self.dim, index, full_(0, NULL, 0, gt.dt, gt.dev))
        if wants_edge(self, 1):
            b = select_along(gt, self.dim, index)
            if shape_tuple(b) != self.shape:
                b = <TensorBase?>_view.reshape(sum_to(b, self.shape), self.shape)
        return (a, b)


cdef class IndexFillBackward0(Node):
    cdef int dim

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, a = None, b = None, index = saved(self, 0)
        if wants_edge(self, 0):
            a = fill_to(gt, self.dim, index, full_(0, NULL, 0, gt.dt, gt.dev))
        if wants_edge(self, 1):
            a = a if a is not None else fill_to(gt, self.dim, index, full_(0, NULL, 0, gt.dt, gt.dev))
            b = reduce_sum(<TensorBase>binary(ROW_SUB, gt, a, None), None, False)      # each place once, however often named
        return (a if wants_edge(self, 0) else None, b)


cdef int check_slices(str name, TensorBase self, int dim, TensorBase index, TensorBase src) except -1:
    """Whether src has a slice of self's shape for each index. index_copy takes a 0-dim src or self for one of one element."""
    cdef int64_t size = src.sh[dim] if dim < src.nd else 1
    if index.n != size and (src.nd == 0 or name != "index_copy"):
        raise LengthError(f"{name}(): Number of indices ({index.n}) should be equal to source.size(dim): ({size}), for dim: {dim}", op=name)
    if src.nd != self.nd and (name != "index_copy" or src.nd and self.nd):
        raise ShapeError(f"{name}(): source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
                         f"{sizes(self)} source.shape = {sizes(src)}", op=name)
    if _without(src, dim) != _without(self, dim):
        raise ShapeError(f"{name}(): Source/destination tensor must have same slice shapes. Destination slice shape: "
                         f"{_without(self, dim)} at dimension {dim} and source slice shape: {_without(src, dim)} at dimension {dim}.", op=name)
    if index.n != size:
        raise LengthError(f"{name}(): Number of indices ({index.n}) should be equal to source.size(dim) ({size})", op=name)
    return 0


cdef int put_along(int op, TensorBase self, int dim, TensorBase index, TensorBase src, str name) except -1:
    """self[.., index, ..] op= src, src with index.n slices (or one number, 0-dim)."""
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    cdef TensorBase x = vector_index(name, index, self.sh[dim] if self.nd else 1, dim), s = src, t = one_d(self)
    need_same(name, self, index)
    need_same(name, self, src)
    if src.dt != self.dt:
        raise DTypeError(f"{name}(): self ({torch_name(self.dt)}) and source ({torch_name(src.dt)}) must have the same scalar type", op=name)
    if name != "index_fill":
        check_slices(name, self, dim, x, src)
    if s.stor is self.stor:
        s = clone_raw(s)
    for i in range(t.nd):
        sh[i] = x.n if i == dim else t.sh[i]
        st[i] = s.st[i] if s.nd else 0
    s = view_raw(s, t.nd, sh, st, 0)
    if s.n:
        run_along(op, t, s, x, dim)
    return 0


def _without(TensorBase t, int dim):
    return [t.sh[i] for i in range(t.nd) if i != dim]


cdef Node along_node(int op, str name, int dim, TensorBase index, TensorBase src):
    cdef IndexAddBackward0 a
    cdef IndexCopyBackward0 c
    cdef IndexFillBackward0 f
    cdef Node node
    if op == RT_IX_ADD:
        a = IndexAddBackward0.__new__(IndexAddBackward0)
        a.dim, a.shape = dim, shape_tuple(src)
        node = a
    elif name == "index_fill":
        f = IndexFillBackward0.__new__(IndexFillBackward0)
        f.dim = dim
        node = f
    else:
        c = IndexCopyBackward0.__new__(IndexCopyBackward0)
        c.dim, c.shape = dim, shape_tuple(src)
        node = c
    save(node, 0, index)
    return node


cdef TensorBase along_to(int op, str name, TensorBase self, int dim, TensorBase index, TensorBase src):
    cdef TensorBase out = clone_raw(self) if name == "index_fill" else fresh(self)
    put_along(op, out, dim, index, src, name)
    if recording(self, src, None):
        attach2(out, along_node(op, name, dim, index, src), self, src)
    return out


cdef TensorBase along_into(int op, str name, TensorBase self, int dim, TensorBase index, TensorBase src):
    cdef Node node = None
    inplace_begin(name + "_", self)
    keep_apart(name + "_", self, None if name == "index_fill" else src, index, True)
    put_along(op, self, dim, index, src, name)
    if recording(self, src, None):
        node = along_node(op, name, dim, index, src)
        attach2(self, node, self, src)
    inplace_end(self, node)
    return self


cdef TensorBase add_to(TensorBase self, int dim, TensorBase index, TensorBase src):
    return along_to(RT_IX_ADD, "index_add", self, dim, index, src)


cdef TensorBase fill_to(TensorBase self, int dim, TensorBase index, TensorBase value):
    return along_to(RT_IX_SET, "index_fill", self, dim, index, value)


cdef TensorBase scaled(TensorBase src, object alpha):
    return src if alpha == 1 else <TensorBase>binary(ROW_MUL, src, alpha, None)


def index_add(input, dim, index, source, *, alpha=1, out=None):
    """Return a copy of input with alpha * source added to the slices along `dim` that index names."""
    cdef TensorBase t = as_base("index_add", "input", input), x = as_base("index_add", "index", index)
    cdef TensorBase s = scaled(as_base("index_add", "source", source), alpha)
    return deliver("index_add", add_to(t, wrap_dim("index_add", dim, t.nd), x, s), out)


def index_add_(self, dim, index, source, *, alpha=1):
    """Add alpha * source to the slices that index names, in place."""
    cdef TensorBase t = as_base("index_add_", "self", self), x = as_base("index_add_", "index", index)
    return along_into(RT_IX_ADD, "index_add", t, wrap_dim("index_add_", dim, t.nd), x, scaled(as_base("index_add_", "source", source), alpha))


def index_copy(input, dim, index, source, *, out=None):
    """Return a copy of input with the slices along `dim` that index names taken from source."""
    cdef TensorBase t = as_base("index_copy", "input", input), x = as_base("index_copy", "index", index)
    return deliver("index_copy", along_to(RT_IX_SET, "index_copy", t, wrap_dim("index_copy", dim, t.nd), x,
                                          as_base("index_copy", "source", source)), out)


def index_copy_(self, dim, index, source):
    """Copy source into the slices that index names, in place."""
    cdef TensorBase t = as_base("index_copy_", "self", self), x = as_base("index_copy_", "index", index)
    return along_into(RT_IX_SET, "index_copy", t, wrap_dim("index_copy_", dim, t.nd), x, as_base("index_copy_", "source", source))


cdef TensorBase fill_number(TensorBase t, object value):
    cdef TensorBase v
    if isinstance(value, TensorBase):
        v = <TensorBase>value
        if v.nd:
            raise ShapeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {v.nd} dimension(s).", op="index_fill")
        return to_device(cast(v, t.dt), t.dev)
    return full_(0, NULL, value, t.dt, t.dev)


def index_fill(input, dim, index, value):
    """Return a copy of input with the slices along `dim` that index names set to a number or 0-dim tensor."""
    cdef TensorBase t = as_base("index_fill", "input", input), x = as_base("index_fill", "index", index)
    cdef int d = wrap_dim("index_fill", dim, t.nd)
    return along_to(RT_IX_SET, "index_fill", t, d, from_end(x, t.sh[d] if t.nd else 1), fill_number(t, value))


def index_fill_(self, dim, index, value):
    """Set the slices that index names to a value, in place."""
    cdef TensorBase t = as_base("index_fill_", "self", self), x = as_base("index_fill_", "index", index)
    cdef int d = wrap_dim("index_fill_", dim, t.nd)
    return along_into(RT_IX_SET, "index_fill", t, d, from_end(x, t.sh[d] if t.nd else 1), fill_number(t, value))


cdef TensorBase from_end(TensorBase index, int64_t size):
    """Negative indices counted from the end (index_fill allows them)."""
    cdef TensorBase out
    cdef int64_t i
    if index.dt != RT_I64 or index.n == 0:
        return index
    if on_device(index):
        return <TensorBase?>((<object>index) + (<object>index < 0) * size)
    out = contiguous_raw(index)
    if within(out, 0, size):
        return out
    if out is index:
        out = clone_raw(index)
    for i in range(out.n):
        if (<int64_t *>out.ptr)[i] < 0:
            (<int64_t *>out.ptr)[i] += size
    return out


cdef TensorBase spread_index(TensorBase t, int dim, TensorBase index, TensorBase src):
    """A vector index as the index of a scatter with src's shape."""
    vector_index("index_reduce", index, t.sh[dim] if t.nd else 1, dim)
    check_slices("index_reduce", t, dim, index, src)
    if src.nd == 0:
        return <TensorBase?>_view.reshape(index, ())
    return expand_to(<TensorBase?>_view.reshape(index, tuple([-1 if i == dim else 1 for i in range(src.nd)])), src.nd, src.sh)


cdef object index_reduction(object reduce):
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ShapeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.", op="index_reduce")
    return reduce


def index_reduce(input, dim, index, source, reduce, *, include_self=True, out=None):
    """Return a copy of input with source's slices reduced into the slices that index names ("prod", "mean", "amax", "amin")."""
    cdef TensorBase t = as_base("index_reduce", "input", input), x = as_base("index_reduce", "index", index)
    cdef TensorBase s = as_base("index_reduce", "source", source)
    cdef int d = wrap_dim("index_reduce", dim, t.nd)
    return deliver("index_reduce", reduce_out(t, d, spread_index(t, d, x, s), s, index_reduction(reduce), include_self), out)


def index_reduce_(self, dim, index, source, reduce, *, include_self=True):
    """Reduce source's slices into self, in place; see `index_reduce`."""
    cdef TensorBase t = as_base("index_reduce_", "self", self), x = as_base("index_reduce_", "index", index)
    cdef TensorBase s = as_base("index_reduce_", "source", source)
    cdef int d = wrap_dim("index_reduce_", dim, t.nd)
    return reduce_into(t, d, spread_index(t, d, x, s), s, index_reduction(reduce), include_self, "index_reduce_")


# ---- take and put ----------------------------------------------------------------------------------------------
cdef class TakeBackward0(Node):
    cdef tuple shape

    cdef object apply(self, object g):
        return put_to(zeros_of(self.shape, <TensorBase>g), saved(self, 0), <TensorBase>g, True)


cdef class PutBackward0(Node):
    cdef bint accumulate
    cdef tuple shape

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, a = None, b = None, index = saved(self, 0)
        if wants_edge(self, 0):
            a = gt if self.accumulate else put_to(gt, index, full_(index.nd, index.sh, 0, gt.dt, gt.dev), False)
        if wants_edge(self, 1):
            b = <TensorBase?>_view.reshape(take_from(gt, index), self.shape)
        return (a, b)


cdef TensorBase flat_positions(str op, TensorBase t, TensorBase index):
    if index.dt != RT_I64:
        raise DTypeError(f"{op}(): Expected a long tensor for index, but got {torch_name(index.dt)}", op=op)
    if t.n == 0 and index.n:
        raise DimError(f"{op}(): tried to take from an empty tensor", op=op)
    need_same(op, t, index)
    cdef TensorBase flat = contiguous_raw(index)
    return checked_index(op, flat, -t.n, t.n, 0, t.n)


cdef TensorBase take_from(TensorBase self, TensorBase index):
    cdef TensorBase out = empty(index.nd, index.sh, self.dt, self.dev), flat = flat_positions("take", self, index)
    cdef TakeBackward0 node
    cdef int64_t n = out.n
    if n:
        run_flat(RT_IX_GET, self, view_raw(out, 1, &n, NULL, 0), flat)
    if self.rg and grad_mode():
        node = TakeBackward0.__new__(TakeBackward0)
        node.shape = shape_tuple(self)
        save(node, 0, index)
        attach1(out, node, self)
    return out


cdef int put_raw(TensorBase self, TensorBase index, TensorBase src, bint accumulate) except -1:
    cdef TensorBase flat = flat_positions("put_", self, index), s
    cdef int64_t n = src.n
    if src.dt != self.dt:
        raise DTypeError(f"put_(): self and source expected to have the same dtype, but got self.dtype = {torch_name(self.dt)} and "
                         f"source.dtype = {torch_name(src.dt)}", op="put_")
    need_same("put_", self, src)
    if n != index.n:
        raise DimError(f"put_(): Expected source and index to have the same number of elements, but got source.numel() = {n}, "
                         f"index.numel() = {index.n}", op="put_")
    if n:
        s = clone_raw(src) if src.stor is self.stor else src
        s = contiguous_raw(s)
        run_flat(RT_IX_ADD if accumulate else RT_IX_SET, self, view_raw(s, 1, &n, NULL, 0), flat)
    return 0


cdef Node put_node(TensorBase index, TensorBase src, bint accumulate):
    cdef PutBackward0 node = PutBackward0.__new__(PutBackward0)
    node.accumulate, node.shape = accumulate, shape_tuple(src)
    save(node, 0, index)
    return node


cdef TensorBase put_to(TensorBase self, TensorBase index, TensorBase src, bint accumulate):
    cdef TensorBase out = clone_raw(self)
    put_raw(out, index, src, accumulate)
    if recording(self, src, None):
        attach2(out, put_node(index, src, accumulate), self, src)
    return out


def take(input, index, *, out=None):
    """Return the elements of input, seen as one row, at the positions in index; the result has index's shape."""
    cdef TensorBase t = as_base("take", "input", input), x = as_base("take", "index", index)
    keep_apart("take", out, t, x, True)
    return deliver("take", take_from(t, x), out)


def put(input, index, source, accumulate=False):
    """Return a copy of input, seen as one row, with source written (or added) at the positions in index."""
    return put_to(as_base("put", "input", input), as_base("put", "index", index), as_base("put", "source", source), accumulate)


def put_(self, index, source, accumulate=False):
    """Write (or add) source at flat positions, in place."""
    cdef TensorBase t = as_base("put_", "self", self), x = as_base("put_", "index", index), s = as_base("put_", "source", source)
    cdef Node node = None
    inplace_begin("put_", t)
    keep_apart("put_", t, s, x, True)
    put_raw(t, x, s, accumulate)
    if recording(t, s, None):
        node = put_node(x, s, accumulate)
        attach2(t, node, t, s)
    inplace_end(t, node)
    return t


FUNCTIONS = {f.__name__: f for f in (gather, take_along_dim, scatter, scatter_add, scatter_reduce, index_select, index_add, index_copy,
                                     index_fill, index_reduce, take, put)}
METHODS = {**FUNCTIONS, **{f.__name__: f for f in (scatter_, scatter_add_, scatter_reduce_, index_add_, index_copy_, index_fill_,
                                                   index_reduce_, put_)}}
