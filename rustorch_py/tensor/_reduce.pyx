"""Reductions of the table with their gradients: sum, prod, amax, amin, any, all, nansum, count_nonzero."""
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memset
from ._base cimport *
from ._node cimport Node, call_node
from ._ops cimport (cast, deliver, sum_mask, contiguous, drop_view, recording)
from ._function cimport set_plain_call
from ._plan cimport reduce_raw, dims_mask, full_
from ._dtype cimport dtype_code, dtype_of, torch_name
from ..errors import DimError, DTypeError, UnsupportedOpError
from . import _rows, _pointwise
include "_row_ids.pxi"


cdef tuple keep_shape(TensorBase t, const uint8_t *mask):
    cdef int i
    return tuple([1 if mask[i] else t.sh[i] for i in range(t.nd)])


cdef TensorBase put_back(TensorBase g, tuple kept):
    """g in the shape with reduced dimensions kept as 1."""
    cdef int64_t sh[64]
    cdef int i
    for i in range(len(kept)):
        sh[i] = kept[i]
    return drop_view(contiguous(g), <int>len(kept), sh)


def dtype_for(op, dtype, out):
    """The dtype that a sum or product is made in: the one asked for, or that of ``out``; they must not differ."""
    cdef TensorBase o = as_base(op, "out", out)
    if dtype is None:
        return dtype_of(o.dt)
    if dtype_code(op, dtype) != o.dt:
        raise DTypeError(f"{op}: Expected out tensor to have dtype {dtype_of(dtype_code(op, dtype))}, but got {dtype_of(o.dt)} instead", op=op)
    return dtype


def sum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Sum elements, of all dimensions or of ``dim``. Integers and bool are summed in int64, or in the dtype of ``out``."""
    cdef TensorBase t = as_base("sum", "input", input)
    cdef uint8_t mask[64]
    if out is not None:
        dtype = dtype_for("sum", dtype, out)
    if dtype is not None:
        t = cast(t, dtype_code("sum", dtype))
    dims_mask("sum", dim, t.nd, mask, True)
    cdef TensorBase r = sum_mask(t, mask, keepdim)
    if dim is not None and r.fn is not None:
        call_node(<Node>r.fn, "SumBackward1")
    if dtype is not None and r.dt != t.dt:
        r = cast(r, t.dt)
    return r if out is None else deliver("sum", r, out)


cdef object plain_sum(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t
    cdef uint8_t mask[64]
    if n != 1 or not isinstance(<object>args[0], TensorBase):
        return None
    t = <TensorBase>args[0]
    if t.dt >= RT_NLOOPED:
        return None
    memset(mask, 1, t.nd)
    return sum_mask(t, mask, False)


set_plain_call(sum, plain_sum)


cdef class ProdBackward0(Node):
    cdef tuple dims
    cdef bint keepdim

    cdef object apply(self, object g):
        return _prod_grad(g, saved(self, 0), saved(self, 1), self.dims, self.keepdim)


def _prod_grad(g, x, out, dims, keepdim):
    """Product of all others: out / x where no element is zero, else products from both sides."""
    cdef TensorBase xt = <TensorBase?>x
    cdef object go
    if not keepdim:
        kept = tuple(1 if i in dims else s for i, s in enumerate(shape_tuple(xt)))
        g = put_back(<TensorBase?>g, kept)
        out = put_back(<TensorBase?>out, kept)
    if not grad_mode() and bool((x != 0).all()):
        return g * (out / x).conj()
    if len(dims) != 1:
        # one reduced dimension: move the others together
        others = [i for i in range(xt.nd) if i not in dims]
        flat = x.permute((*others, *dims)).reshape(*[xt.sh[i] for i in others], -1)
        grad = exclusive_product(flat)
        back = grad.reshape((*[xt.sh[i] for i in others], *[xt.sh[i] for i in dims]))
        inverse = [0] * xt.nd
        for i, d in enumerate(list(others) + list(dims)):
            inverse[d] = i
        return g * back.permute(tuple(inverse)).conj()
    moved = x.transpose(dims[0], -1)
    return g * exclusive_product(moved).transpose(dims[0], -1).conj()


cdef object exclusive_product(object x):
    """Product of all other elements along the last dimension, exact with zeros, by doubling."""
    cdef TensorBase t = <TensorBase?>x
    cdef int64_t n = t.sh[t.nd - 1] if t.nd else 1
    if t.nd == 0 or n == 1:
        return _ones_like(x)
    if n == 0:
        return x
    half = n // 2
    left, right = x.narrow(-1, 0, half), x.narrow(-1, half, n - half)
    a = exclusive_product(left) * prod(right, -1, True)
    b = exclusive_product(right) * prod(left, -1, True)
    return _cat((a, b), -1)


cdef object _ones_like(object x):
    cdef TensorBase t = <TensorBase?>x
    return full_(t.nd, t.sh, 1, t.dt, t.dev)


cdef object _cat(tuple pair, int dim):
    """Join two differentiable pieces along the last dimension (the general cat is above this module)."""
    cdef TensorBase a = <TensorBase?>pair[0], b = <TensorBase?>pair[1]
    cdef int64_t sh[64]
    cdef int i
    for i in range(a.nd):
        sh[i] = a.sh[i]
    sh[a.nd - 1] = a.sh[a.nd - 1] + b.sh[b.nd - 1]
    whole = full_(a.nd, sh, 0, a.dt, a.dev)
    (<object>whole).narrow(-1, 0, a.sh[a.nd - 1]).copy_(a)
    (<object>whole).narrow(-1, a.sh[a.nd - 1], b.sh[b.nd - 1]).copy_(b)
    return whole


def prod(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Multiply elements, all or of one dimension; integers in int64, or in the dtype of ``out``."""
    cdef TensorBase t = as_base("prod", "input", input), r
    cdef uint8_t mask[64]
    cdef ProdBackward0 node
    cdef int dt
    if out is not None:
        dtype = dtype_for("prod", dtype, out)
    if dtype is not None:
        t = cast(t, dtype_code("prod", dtype))
    dims_mask("prod", dim, t.nd, mask, True)
    dt = t.dt if rt_kind(t.dt) >= RT_KIND_FLOAT or dtype is not None else RT_I64
    r = reduce_raw(RED_PROD, t, mask, keepdim, RT_I64 if rt_kind(t.dt) <= RT_KIND_INT else rt_compute_dtype(dt), dt, 0)
    if recording(t, None, None):
        node = ProdBackward0.__new__(ProdBackward0)
        node.dims = tuple([i for i in range(t.nd) if mask[i]])
        node.keepdim = keepdim
        save(node, 0, t)
        attach1(r, node, t)
        save_output(node, 1, r)
        if dim is not None:
            call_node(node, "ProdBackward1")
    return r if out is None else deliver("prod", r, out)


cdef class ExtremumBackward0(Node):
    """amax and amin: the gradient is shared evenly by the elements equal to the result."""
    cdef str label
    cdef tuple kept
    cdef list dims

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        x = saved(self, 0)
        out = put_back(saved(self, 1), self.kept)
        g = put_back(<TensorBase?>g, self.kept)
        hit = cast(_rows.eq(x, out), (<TensorBase>g).dt)
        return hit * (g / sum(hit, self.dims, True)) if self.dims else hit * g

    cdef object apply_many(self, object g, Py_ssize_t n):
        x = saved(self, 0)
        out = put_back(saved(self, 1), self.kept)
        g = g.reshape((n,) + self.kept)
        hit = cast(_rows.eq(x, out), (<TensorBase>g).dt)
        return hit * (g / sum(hit, self.dims, True)) if self.dims else hit * g


cdef object extremum(str op, int row, object input, object dim, bint keepdim, object out):
    cdef TensorBase t = as_base(op, "input", input), r
    cdef uint8_t mask[64]
    cdef ExtremumBackward0 node
    cdef int i
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError(f"\"{op}\" not implemented for '{dtype_of(t.dt).name}'", op=op)
    dims_mask(op, dim, t.nd, mask, True)
    for i in range(t.nd):
        if mask[i] and t.sh[i] == 0:
            raise DimError(f"{op}(): Expected reduction dim {i} to have non-zero size.", op=op)
    r = reduce_raw(row, t, mask, keepdim, rt_compute_dtype(t.dt), t.dt, 0)
    if recording(t, None, None):
        node = ExtremumBackward0.__new__(ExtremumBackward0)
        node.label = op.capitalize() + "Backward0"
        node.kept = keep_shape(t, mask)
        node.dims = [i for i in range(t.nd) if mask[i]]
        save(node, 0, t)
        attach1(r, node, t)
        save_output(node, 1, r)
    return r if out is None else deliver(op, r, out)


cdef object plain_extremum(int row, PyObject *const *args, Py_ssize_t n):
    """Of all elements, where nothing is recorded."""
    cdef TensorBase t
    cdef uint8_t mask[64]
    if n != 1 or not isinstance(<object>args[0], TensorBase):
        return None
    t = <TensorBase>args[0]
    if t.n == 0 or t.dt >= RT_NLOOPED or rt_kind(t.dt) == RT_KIND_COMPLEX or recording(t, None, None):
        return None
    memset(mask, 1, t.nd)
    return reduce_raw(row, t, mask, False, rt_compute_dtype(t.dt), t.dt, 0)


cdef object plain_max(PyObject *const *args, Py_ssize_t n):
    return plain_extremum(RED_AMAX, args, n)


cdef object plain_min(PyObject *const *args, Py_ssize_t n):
    return plain_extremum(RED_AMIN, args, n)


def amax(input, dim=(), keepdim=False, *, out=None):
    """Return the maximum of all elements or of ``dim`` (int or tuple); ties share the gradient."""
    return extremum("amax", RED_AMAX, input, dim, keepdim, out)


def amin(input, dim=(), keepdim=False, *, out=None):
    """Return the minimum of all elements or of ``dim`` (int or tuple); ties share the gradient."""
    return extremum("amin", RED_AMIN, input, dim, keepdim, out)


cdef object truth(str op, int row, object input, object dim, bint keepdim, object out):
    cdef TensorBase t = as_base(op, "input", input), r
    cdef uint8_t mask[64]
    if out is not None and as_base(op, "out", out).dt != RT_BOOL and (<TensorBase>out).dt != RT_U8:
        raise DTypeError(f"{op} only supports bool tensor for result, got: {torch_name((<TensorBase>out).dt)}", op=op)
    dims_mask(op, dim, t.nd, mask, dim is None)
    r = reduce_raw(row, t, mask, keepdim, RT_BOOL, RT_U8 if t.dt == RT_U8 else RT_BOOL, 0)
    return r if out is None else deliver(op, r, out)


def any(input, dim=None, keepdim=False, *, out=None):
    """Tell whether some element is not zero."""
    return truth("any", RED_ANY, input, dim, keepdim, out)


def all(input, dim=None, keepdim=False, *, out=None):
    """Tell whether every element is not zero."""
    return truth("all", RED_ALL, input, dim, keepdim, out)


def nansum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Sum with NaN counted as zero."""
    cdef TensorBase t = as_base("nansum", "input", input), r
    cdef uint8_t mask[64]
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        raise DTypeError("nansum does not support complex inputs")
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        return sum(t, dim, keepdim, dtype=dtype, out=out)
    if out is not None:
        dtype = dtype_for("nansum", dtype, out)
    if dtype is not None and (rt_kind(dtype_code("nansum", dtype)) == RT_KIND_COMPLEX or out is not None and rt_kind(dtype_code("nansum", dtype)) < RT_KIND_FLOAT):
        raise UnsupportedOpError(f"\"nansum\" not implemented for '{torch_name(dtype_code('nansum', dtype))}'", op="nansum")
    if not recording(t, None, None) and t.dt < RT_NLOOPED and (dtype is None or rt_kind(dtype_code("nansum", dtype)) == RT_KIND_FLOAT):
        if dtype is not None:
            t = cast(t, dtype_code("nansum", dtype))
        dims_mask("nansum", dim, t.nd, mask, True)
        r = reduce_raw(RED_NANSUM, t, mask, keepdim, rt_compute_dtype(t.dt), t.dt, 0)
        return r if out is None else deliver("nansum", r, out)
    return sum(_pointwise.choose(_rows.isnan(t), 0.0, t), dim, keepdim, dtype=dtype, out=out)


def count_nonzero(input, dim=None):
    """Count elements that are not zero."""
    cdef TensorBase t = as_base("count_nonzero", "input", input)
    cdef uint8_t mask[64]
    dims_mask("count_nonzero", dim, t.nd, mask, True)
    if t.dt == RT_I64 or t.dt == RT_I32 or t.dt == RT_F64:      # as they are: the rest is smaller as bool, or cannot count so far
        return reduce_raw(RED_COUNT_NONZERO, t, mask, False, RT_F64 if t.dt == RT_F64 else RT_I64, RT_I64, 0)
    return reduce_raw(RED_COUNT_NONZERO, cast(t, RT_BOOL), mask, False, RT_I64, RT_I64, 0)


FUNCTIONS = {"sum": sum, "prod": prod, "amax": amax, "amin": amin, "any": any, "all": all, "nansum": nansum, "count_nonzero": count_nonzero}
METHODS = FUNCTIONS
