"""Copies that rearrange: flip, roll, triangles, repeat_interleave, diagonals embedded."""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset
from ._base cimport (TensorBase, as_base, wrap_dim, empty, empty_like_shape, view_raw, attach1, grad_mode, shape_tuple,
                     RT_I64, RT_I32, rt_itemsize, rt_kind, RT_KIND_INT)
from ._node cimport Node
from ._plan cimport contiguous_raw, copy_raw, fill_value, cast_raw
from ._ops cimport deliver, inplace_begin
from ._lane cimport need_cpu

from ..errors import DimError, ShapeError, TensorError, TensorTypeError


cdef tuple dims_tuple(object op, object dims, int nd):
    """dim= as a tuple of wrapped dimensions, each at most once."""
    if isinstance(dims, int):
        dims = (dims,)
    out = tuple([wrap_dim(op, d, nd) for d in dims])
    if len(set(out)) != len(out):
        raise TensorError(f"{op}: dim appears multiple times in the list of dims {tuple(dims)}", op=op)
    return out


# ---- flip ----
cdef TensorBase flipped(TensorBase t, tuple dims):
    cdef int64_t st[64]
    cdef int64_t offset = 0
    cdef int i
    cdef TensorBase out
    cdef FlipBackward0 node
    need_cpu("flip", t)
    for i in range(t.nd):
        st[i] = t.st[i]
    for i in dims:
        if t.nd and t.sh[i]:
            offset += (t.sh[i] - 1) * t.st[i]
            st[i] = -t.st[i]
    out = empty_like_shape(t, t.dt)
    if t.n:
        copy_raw(out, view_raw(t, t.nd, t.sh, st, offset))
    if t.rg and grad_mode():
        node = FlipBackward0.__new__(FlipBackward0)
        node.dims = dims
        attach1(out, node, t)
    return out


cdef class FlipBackward0(Node):
    cdef tuple dims

    cdef object apply(self, object g):
        return flipped(<TensorBase>g, self.dims)


def flip(input, *dims):
    """Reverse the order of elements along ``dims``; a copy."""
    cdef TensorBase t = as_base("flip", "input", input)
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    return flipped(t, dims_tuple("flip", dims, t.nd))


def fliplr(input):
    """Reverse the second dimension (columns of a matrix)."""
    cdef TensorBase t = as_base("fliplr", "input", input)
    if t.nd < 2:
        raise ShapeError(f"Input must be >= 2-d. (fliplr of {t.nd} dimensions)", op="fliplr")
    return flipped(t, (1,))


def flipud(input):
    """Reverse the first dimension (rows of a matrix)."""
    cdef TensorBase t = as_base("flipud", "input", input)
    if t.nd < 1:
        raise ShapeError("Input must be >= 1-d. (flipud of 0 dimensions)", op="flipud")
    return flipped(t, (0,))


# ---- roll ----
cdef TensorBase rolled(TensorBase t, tuple shifts, tuple dims):
    """Move elements by shifts[i] along dims[i], around the end."""
    cdef TensorBase x = t, out = None
    cdef RollBackward0 node
    cdef int64_t s, n
    cdef int64_t sh[64]
    cdef int d, i
    need_cpu("roll", t)
    for shift, dim in zip(shifts, dims):
        d = dim
        n = x.sh[d]
        out = empty_like_shape(x, x.dt)
        if x.n:
            s = shift % n
            for i in range(x.nd):
                sh[i] = x.sh[i]
            sh[d] = n - s
            copy_raw(view_raw(out, x.nd, sh, out.st, s * out.st[d]), view_raw(x, x.nd, sh, x.st, 0))
            if s:
                sh[d] = s
                copy_raw(view_raw(out, x.nd, sh, out.st, 0), view_raw(x, x.nd, sh, x.st, (n - s) * x.st[d]))
        x = out
    if out is None:
        out = empty_like_shape(t, t.dt)
        copy_raw(out, t)
    if t.rg and grad_mode():
        node = RollBackward0.__new__(RollBackward0)
        node.shifts, node.dims = shifts, dims
        attach1(out, node, t)
    return out


cdef class RollBackward0(Node):
    cdef tuple shifts, dims

    cdef object apply(self, object g):
        return rolled(<TensorBase>g, tuple([-s for s in self.shifts]), self.dims)


def roll(input, shifts, dims=None):
    """Move elements along ``dims`` by ``shifts``, around the end; without ``dims`` in the flattened tensor."""
    cdef TensorBase t = as_base("roll", "input", input)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(shifts) != 1:
            raise TensorError(f"roll: shifts and dimensions must align. shifts: {len(shifts)}, dims:0", op="roll")
        flat = <TensorBase>(<object>t).reshape(-1)
        return (<object>rolled(flat, shifts, (0,))).reshape(shape_tuple(t))
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise TensorError(f"roll: shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}", op="roll")
    if t.nd == 0:
        raise DimError("roll: a 0-dim tensor has no dimension to roll", op="roll")
    return rolled(t, shifts, tuple([wrap_dim("roll", d, t.nd) for d in dims]))


# ---- triangles ----
cdef int keep_triangle(TensorBase out, int64_t k, bint upper) except -1:
    """Zero what lies outside the triangle of each matrix of a contiguous tensor."""
    cdef int64_t rows = out.sh[out.nd - 2], cols = out.sh[out.nd - 1], r, c, size = rt_itemsize(out.dt)
    cdef int64_t total = out.n // cols if cols else 0
    cdef char *p = out.ptr
    with nogil:
        for r in range(total):
            c = r % rows + k + (0 if upper else 1)     # first column above the diagonal's side
            c = 0 if c < 0 else cols if c > cols else c
            if upper:
                memset(p, 0, c * size)
            else:
                memset(p + c * size, 0, (cols - c) * size)
            p += cols * size
    return 0


cdef TensorBase triangle(object op, TensorBase t, int64_t k, bint upper):
    cdef TensorBase out
    cdef TriangleBackward node
    need_cpu(op, t)
    if t.nd < 2:
        raise ShapeError(f"{op}: input tensor must have at least 2 dimensions", op=op)
    out = empty_like_shape(t, t.dt)
    copy_raw(out, t)
    keep_triangle(out, k, upper)
    if t.rg and grad_mode():
        node = TriangleBackward.__new__(TriangleBackward)
        node.k, node.upper = k, upper
        attach1(out, node, t)
    return out


cdef class TriangleBackward(Node):
    cdef int64_t k
    cdef bint upper

    def name(self):
        return "TriuBackward0" if self.upper else "TrilBackward0"

    cdef object apply(self, object g):
        return triangle("triu" if self.upper else "tril", <TensorBase>g, self.k, self.upper)


def tril(input, diagonal=0, *, out=None):
    """Keep the lower triangle of each matrix; zero elsewhere."""
    return deliver("tril", triangle("tril", as_base("tril", "input", input), diagonal, False), out)


def triu(input, diagonal=0, *, out=None):
    """Keep the upper triangle of each matrix; zero elsewhere."""
    return deliver("triu", triangle("triu", as_base("triu", "input", input), diagonal, True), out)


def tril_(self, diagonal=0):
    """Zero what lies above the lower triangle of each matrix, in place."""
    return self.copy_(tril(self, diagonal))


def triu_(self, diagonal=0):
    """Zero what lies below the upper triangle of each matrix, in place."""
    return self.copy_(triu(self, diagonal))


# ---- repeat_interleave ----
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Repeat each element ``repeats`` times in place of itself.

    Args:
        repeats: a number, or a 1-d integer tensor with a count for each position of ``dim``.
        dim: dimension; None: the flattened tensor. ``repeat_interleave(counts)`` alone gives the
            positions 0..n-1, each as often as its count says.
        output_size: size of the result along ``dim``, if known; checked.
    """
    cdef TensorBase t = as_base("repeat_interleave", "input", input), counts, index
    cdef int64_t n, total = 0, i, j, c, at = 0
    cdef int64_t *to
    if repeats is None:
        counts = t
    else:
        if dim is None:
            t = <TensorBase>input.reshape(-1)
            dim = 0
        elif t.nd == 0:
            t = <TensorBase>input.reshape(1)
        dim = wrap_dim("repeat_interleave", dim, t.nd)
        n = t.sh[dim]
        if isinstance(repeats, TensorBase):
            counts = <TensorBase>repeats
        else:
            counts = empty(0, NULL, RT_I64, t.dev)
            (<int64_t *>counts.ptr)[0] = repeats
    if counts.dt != RT_I64 and counts.dt != RT_I32:
        raise TensorError("repeat_interleave: repeats has to be Long or Int tensor", op="repeat_interleave")
    if counts.nd > 1:
        raise ShapeError("repeat_interleave: repeats must be 0-dim or 1-dim tensor", op="repeat_interleave")
    need_cpu("repeat_interleave", counts)
    counts = contiguous_raw(cast_raw(counts, RT_I64))
    if repeats is None:
        n = counts.n
    elif counts.n != n and counts.n != 1:
        raise TensorError(f"repeat_interleave: repeats must have the same size as input along dim, but got repeats.size(0) = {counts.n} "
                          f"and input.size({dim}) = {n}", op="repeat_interleave")
    for i in range(n):
        c = (<int64_t *>counts.ptr)[i if counts.n != 1 or repeats is None else 0]
        if c < 0:
            raise TensorError("repeat_interleave: repeats can not be negative", op="repeat_interleave")
        total += c
    if output_size is not None and output_size != total:
        raise TensorError(f"repeat_interleave: output_size is {output_size}, the repeats sum to {total}", op="repeat_interleave")
    index = empty(1, &total, RT_I64, counts.dev)
    to = <int64_t *>index.ptr
    for i in range(n):
        c = (<int64_t *>counts.ptr)[i if counts.n != 1 or repeats is None else 0]
        for j in range(c):
            to[at] = i
            at += 1
    if repeats is None:
        return index
    return (<object>t).index_select(dim, index)


FUNCTIONS = {"flip": flip, "fliplr": fliplr, "flipud": flipud, "roll": roll, "tril": tril, "triu": triu,
             "repeat_interleave": repeat_interleave}
METHODS = {**FUNCTIONS, "tril_": tril_, "triu_": triu_}
