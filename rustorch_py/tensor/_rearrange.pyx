"""Rearranging one tensor: flip, roll, triangles, diagonals, *_scatter."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from ._node cimport Node
from ._base cimport *
from ._dtype cimport dtype_code, device_code, torch_name
from ._dtype import contiguous_format
from ._plan cimport copy_raw, cast_raw, contiguous_raw, clone_raw, full_
from ._ops cimport clone, contiguous, copy_into, inplace_begin, inplace_end, deliver
from ._neural cimport empty_in_order, suggests_last
from ._view cimport transpose_view, reshape_view
from ._index_kernels cimport copy_geometry, copy_triangle, roll_slabs, sizes
from . import _strided, _view_pieces
from ..errors import DTypeError, DimError, ShapeError, TensorTypeError, TooFewDimsError


# ---- flip, rot90, roll ----------------------------------------------------------------------------------------------
cdef list dim_list(str op, object dims, int nd):
    """Wrapped dimensions, each once."""
    cdef list out = []
    for d in ((dims,) if hasattr(dims, "__index__") else dims):
        d = wrap_dim(op, d, nd)
        if d in out:
            raise ShapeError(f"dim {d} appears multiple times in the list of dims", op=op)
        out.append(d)
    return out


cdef class FlipBackward0(Node):
    cdef list dims

    cdef object apply(self, object g):
        return flip_(<TensorBase>g, self.dims)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return flip_(<TensorBase>g, [d + 1 for d in self.dims])


cdef TensorBase flip_(TensorBase t, list dims):
    cdef int64_t steps[64]
    cdef int64_t at = 0
    cdef int i
    cdef TensorBase out = empty_preserve(t, t.dt)
    cdef FlipBackward0 node
    for i in range(t.nd):
        steps[i] = t.st[i]
    if t.nd:
        for d in dims:
            i = d
            at += (t.sh[i] - 1) * steps[i]
            steps[i] = -steps[i]
    if t.n:
        copy_geometry(out, t, at, steps)
    if t.rg and grad_mode():
        node = FlipBackward0.__new__(FlipBackward0)
        node.dims = dims
        attach1(out, node, t)
    return out


def flip(input, dims):
    """Return a copy of input with the order of elements reversed along `dims`."""
    cdef TensorBase t = as_base("flip", "input", input)
    return flip_(t, dim_list("flip", dims, t.nd))


def flip_method(self, *args, dims=None):
    """Return a copy with the order of elements reversed along `dims` (ints one by one, or a sequence)."""
    cdef TensorBase t = as_base("flip", "self", self)
    if dims is not None and args or dims is None and not args:
        raise TensorTypeError(f"flip() takes the dims one by one or as one sequence, got {len(args)} and dims={dims}", op="flip")
    dims = dims if dims is not None else args[0] if len(args) == 1 and not hasattr(args[0], "__index__") else args
    if not isinstance(dims, (tuple, list)):
        raise TensorTypeError(f"flip(): argument 'dims' must be tuple of ints, not {type(dims).__name__}", op="flip")
    return flip_(t, dim_list("flip", dims, t.nd))


def __reversed__(self):
    """Return the tensor with dimension 0 reversed."""
    cdef TensorBase t = as_base("__reversed__", "self", self)
    return flip_(t, [0]) if t.nd else t


def fliplr(input):
    """Return a copy of input with its columns (dimension 1) reversed."""
    cdef TensorBase t = as_base("fliplr", "input", input)
    if t.nd < 2:
        raise ShapeError("Input must be >= 2-d.", op="fliplr")
    return flip_(t, [1])


def flipud(input):
    """Return a copy of input with its rows (dimension 0) reversed."""
    cdef TensorBase t = as_base("flipud", "input", input)
    if t.nd < 1:
        raise ShapeError("Input must be >= 1-d.", op="flipud")
    return flip_(t, [0])


def rot90(input, k=1, dims=(0, 1)):
    """Return input turned by k times 90 degrees in the plane of two dimensions, from the first towards the second."""
    cdef TensorBase t = as_base("rot90", "input", input)
    cdef int a, b, turns
    if len(dims) != 2:
        raise ShapeError(f"expected total rotation dims == 2, but got dims = {len(dims)}", op="rot90")
    if t.nd < 2:
        raise ShapeError(f"expected total dims >= 2, but got total dims = {t.nd}", op="rot90")
    a, b = wrap_dim("rot90", dims[0], t.nd), wrap_dim("rot90", dims[1], t.nd)
    if a == b:
        raise ShapeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}", op="rot90")
    turns = k % 4
    if turns == 1:
        return transpose_view(flip_(t, [b]), a, b)
    if turns == 2:
        return flip_(t, [a, b])
    if turns == 3:
        return transpose_view(flip_(t, [a]), a, b)
    return clone(t) if is_contig(t) else contiguous(t)


cdef class RollBackward0(Node):
    cdef list shifts, dims

    cdef object apply(self, object g):
        return roll_(<TensorBase>g, [-s for s in self.shifts], self.dims)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return roll_(<TensorBase>g, [-s for s in self.shifts], [d + 1 for d in self.dims])


cdef TensorBase roll_(TensorBase t, list shifts, list dims):
    """Dimensions one by one: each is two slabs that change places."""
    cdef TensorBase out = t, src
    cdef int64_t sh[64]
    cdef int64_t size, s
    cdef int d, k
    cdef RollBackward0 node
    cdef bint last = (t.nd == 4 or t.nd == 5) and suggests_last(t)
    if t.n:
        for k in range(len(dims)):
            src = out
            d = dims[k]
            size = t.sh[d]
            s = shifts[k] % size
            if s < 0:
                s += size
            out = empty_in_order(t.nd, t.sh, t.dt, t.dev, True) if last else empty(t.nd, t.sh, t.dt, t.dev)
            if s and not last and roll_slabs(out, src, d, s):
                continue
            memcpy(sh, t.sh, t.nd * sizeof(int64_t))
            sh[d] = size - s
            copy_raw(view_raw(out, t.nd, sh, out.st, s * out.st[d]), view_raw(src, t.nd, sh, src.st, 0))
            sh[d] = s
            if s:
                copy_raw(view_raw(out, t.nd, sh, out.st, 0), view_raw(src, t.nd, sh, src.st, (size - s) * src.st[d]))
    if out is t:
        out = clone_raw(t)
    if t.rg and grad_mode():
        node = RollBackward0.__new__(RollBackward0)
        node.shifts, node.dims = shifts, dims
        attach1(out, node, t)
    return out


def roll(input, shifts, dims=None):
    """Return input rolled along dimensions; what leaves at the end comes back in front.

    Args:
        shifts: int, or one for each of `dims`.
        dims: int or tuple; without it the flattened input is rolled.
    """
    cdef TensorBase t = as_base("roll", "input", input), flat
    cdef list s = [shifts] if hasattr(shifts, "__index__") else list(shifts)
    cdef list d
    if dims is None or (not hasattr(dims, "__index__") and len(dims) == 0):
        if len(s) != 1:
            raise ShapeError(f"shifts and dimensions must align. shifts: {len(s)}, dims:0", op="roll")
        flat = reshape_view(t, 1, &t.n)
        return reshape_view(roll_(flat, s, [0]), t.nd, t.sh)
    d = [dims] if hasattr(dims, "__index__") else list(dims)
    if len(s) == 0:
        raise ShapeError("`shifts` required", op="roll")
    if len(s) != len(d):
        raise ShapeError(f"shifts and dimensions must align. shifts: {len(s)}, dims:{len(d)}", op="roll")
    if t.n == 0:
        return clone(t)
    if t.nd == 0:
        raise DimError(f"Dimension specified as {d[0]} but tensor has no dimensions", op="roll")
    return roll_(t, s, [wrap_dim("roll", x, t.nd) for x in d])


# ---- triangles ---------------------------------------------------------------------------------------------------------
cdef class TrilBackward0(Node):
    cdef int64_t k

    cdef object apply(self, object g):
        return triangle(<TensorBase>g, False, self.k, "tril")

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.apply(g)


cdef class TriuBackward0(Node):
    cdef int64_t k

    cdef object apply(self, object g):
        return triangle(<TensorBase>g, True, self.k, "triu")

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.apply(g)


cdef int check_matrix(TensorBase t, str op) except -1:
    if t.nd < 2:
        raise ShapeError(f"{op}: input tensor must have at least 2 dimensions", op=op)
    return 0


cdef Node triangle_node(bint upper, int64_t k):
    cdef TrilBackward0 lo
    cdef TriuBackward0 up
    if upper:
        up = TriuBackward0.__new__(TriuBackward0)
        up.k = k
        return up
    lo = TrilBackward0.__new__(TrilBackward0)
    lo.k = k
    return lo


cdef TensorBase triangle(TensorBase t, bint upper, int64_t k, str op):
    cdef TensorBase out
    check_matrix(t, op)
    out = empty_like_shape(t, t.dt)
    copy_triangle(out, contiguous_raw(t), upper, k)
    if t.rg and grad_mode():
        attach1(out, triangle_node(upper, k), t)
    return out


cdef TensorBase triangle_inplace(TensorBase t, bint upper, int64_t k, str op):
    cdef TensorBase r
    cdef Node node = None
    check_matrix(t, op)
    inplace_begin(op, t)
    if is_contig(t):
        copy_triangle(t, t, upper, k)
    else:
        r = empty_like_shape(t, t.dt)
        copy_triangle(r, contiguous_raw(t), upper, k)
        copy_raw(t, r)
    if t.rg and grad_mode():
        node = triangle_node(upper, k)
        attach1(t, node, t)
    inplace_end(t, node)
    return t


def tril(input, diagonal=0, *, out=None):
    """Return the lower triangle of (batches of) matrices, zeros above `diagonal`."""
    return deliver("tril", triangle(as_base("tril", "input", input), False, diagonal, "tril"), out)


def triu(input, diagonal=0, *, out=None):
    """Return the upper triangle of (batches of) matrices, zeros below `diagonal`."""
    return deliver("triu", triangle(as_base("triu", "input", input), True, diagonal, "triu"), out)


def tril_(self, diagonal=0):
    """Set what lies above `diagonal` to zero, in place."""
    return triangle_inplace(as_base("tril_", "self", self), False, diagonal, "tril_")


def triu_(self, diagonal=0):
    """Set what lies below `diagonal` to zero, in place."""
    return triangle_inplace(as_base("triu_", "self", self), True, diagonal, "triu_")


cdef TensorBase triangle_indices(str op, int64_t rows, int64_t cols, int64_t offset, bint upper, object dtype, object device):
    cdef int dt = RT_I64 if dtype is None else dtype_code(op, dtype)
    cdef int64_t i, n = 0, lo, hi, j
    cdef int64_t sh[2]
    cdef TensorBase t
    cdef int64_t *a
    cdef int64_t *b
    if rows < 0 or cols < 0:
        raise ShapeError(f"{'row' if rows < 0 else 'col'} must be non-negative, got{rows if rows < 0 else cols}", op=op)
    if dt != RT_I64 and dt != RT_I32:
        raise DTypeError(f"\"{op}\" not implemented for '{torch_name(dt)}'; use int32 or int64", op=op)
    if rows > <int64_t>1 << 34:
        raise ShapeError(f"{op}: expected at most {1 << 34} rows, got {rows}", op=op)
    for i in range(rows):
        lo = max(i + offset, 0) if upper else 0
        hi = cols if upper else min(i + offset + 1, cols)
        if hi > lo:
            n += hi - lo
    sh[0], sh[1] = 2, n
    t = empty(2, sh, RT_I64, RT_CPU)
    a = <int64_t *>t.ptr
    b = a + n
    for i in range(rows):
        lo = max(i + offset, 0) if upper else 0
        hi = cols if upper else min(i + offset + 1, cols)
        for j in range(lo, hi):
            a[0], b[0] = i, j
            a += 1
            b += 1
    t = cast_raw(t, dt)
    if device_code(op, device) != RT_CPU:
        return <TensorBase?>t.to(device)
    return t


def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """Return the coordinates of the lower triangle of a row x col matrix as a (2, n) tensor."""
    return triangle_indices("tril_indices", row, col, offset, False, dtype, device)


def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """Return the coordinates of the upper triangle of a row x col matrix as a (2, n) tensor."""
    return triangle_indices("triu_indices", row, col, offset, True, dtype, device)


# ---- diagonals ---------------------------------------------------------------------------------------------------------
cdef class DiagEmbedBackward0(Node):
    cdef int64_t offset
    cdef int dim1, dim2

    cdef object apply(self, object g):
        return _strided.diagonal(g, self.offset, self.dim1, self.dim2)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return _strided.diagonal(g, self.offset, self.dim1 + (self.dim1 >= 0), self.dim2 + (self.dim2 >= 0))


cdef TensorBase embed(TensorBase t, int64_t offset, int64_t dim1, int64_t dim2):
    cdef int64_t sh[64]
    cdef int64_t size
    cdef int i, j = 0, a, b, nd = t.nd + 1
    cdef TensorBase out
    cdef DiagEmbedBackward0 node
    if t.nd == 0:
        raise TooFewDimsError("diag_embed(): expected a tensor with at least one dimension, got a 0-dim tensor", op="diag_embed")
    a, b = wrap_dim("diag_embed", dim1, nd), wrap_dim("diag_embed", dim2, nd)
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}", op="diag_embed")
    size = t.sh[t.nd - 1] + (offset if offset >= 0 else -offset)
    for i in range(nd):
        if i == a or i == b:
            sh[i] = size
        else:
            sh[i] = t.sh[j]
            j += 1
    out = full_(nd, sh, 0, t.dt, t.dev)
    copy_raw(<TensorBase?>_strided.diagonal(out, offset, a, b), t)
    if t.rg and grad_mode():
        node = DiagEmbedBackward0.__new__(DiagEmbedBackward0)
        node.offset, node.dim1, node.dim2 = offset, a, b
        attach1(out, node, t)
    return out


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Return matrices with input's last dimension on the diagonal `offset` of dimensions dim1 and dim2."""
    return embed(as_base("diag_embed", "input", input), offset, dim1, dim2)


def diagflat(input, offset=0):
    """Return a matrix with the flattened input on a diagonal."""
    cdef TensorBase t = as_base("diagflat", "input", input)
    return embed(reshape_view(t, 1, &t.n), offset, 0, 1)


def diag(input, diagonal=0, *, out=None):
    """Return the matrix with a vector on its diagonal, or a copy of a matrix's diagonal."""
    cdef TensorBase t = as_base("diag", "input", input)
    if t.nd == 1:
        return deliver("diag", embed(t, diagonal, 0, 1), out)
    if t.nd != 2:
        raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {t.nd}D", op="diag")
    return deliver("diag", clone(<TensorBase?>_strided.diagonal(t, diagonal)), out)


# ---- a copy with one view written ----------------------------------------------------------------------------------
cdef TensorBase write_view(str op, TensorBase t, TensorBase src, object view_of):
    cdef TensorBase out = clone(t), view = <TensorBase?>view_of(out)
    if not same_shape(view, src):
        raise ShapeError(f"expected src to have a size equal to the slice of self. src size = {sizes(src)}, slice size = {sizes(view)}", op=op)
    copy_into(view, src)
    return out


def select_scatter(input, src, dim, index, *, out=None):
    """Return a copy of input with src at one index of `dim`."""
    return deliver("select_scatter", write_view("select_scatter", as_base("select_scatter", "input", input),
                                                as_base("select_scatter", "src", src), lambda t: _view_pieces.select(t, dim, index)), out)


def slice_scatter(input, src, dim=0, start=None, end=None, step=1, *, out=None):
    """Return a copy of input with src in the slice start:end:step of `dim`."""
    cdef TensorBase t = as_base("slice_scatter", "input", input)
    cdef int d = wrap_dim("slice_scatter", dim, t.nd)
    return deliver("slice_scatter", write_view("slice_scatter", t, as_base("slice_scatter", "src", src),
                                               lambda x: x[(slice(None),) * d + (slice(start, end, step),)]), out)


def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1, *, out=None):
    """Return a copy of input with src on a diagonal."""
    return deliver("diagonal_scatter", write_view("diagonal_scatter", as_base("diagonal_scatter", "input", input),
                                                  as_base("diagonal_scatter", "src", src),
                                                  lambda t: _strided.diagonal(t, offset, dim1, dim2)), out)


def narrow_copy(input, dim, start, length, *, out=None):
    """Return a copy of `length` indices of a dimension from `start` on."""
    return deliver("narrow_copy", _view_pieces.narrow(input, dim, start, length).clone(memory_format=contiguous_format), out)


FUNCTIONS = {f.__name__: f for f in (
    flip, fliplr, flipud, rot90, roll, tril, triu, tril_indices, triu_indices, diag_embed, diagflat, diag, select_scatter, slice_scatter,
    diagonal_scatter, narrow_copy)}
METHODS = {**{name: FUNCTIONS[name] for name in (
    "fliplr", "flipud", "rot90", "roll", "tril", "triu", "diag_embed", "diagflat", "diag", "select_scatter", "slice_scatter", "diagonal_scatter",
    "narrow_copy")}, "flip": flip_method, "tril_": tril_, "triu_": triu_, "__reversed__": __reversed__}
