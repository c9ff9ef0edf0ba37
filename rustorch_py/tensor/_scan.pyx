# build: isa=scan.inc.c cold
"""Running sums, products, log-sums and extremes along a dimension."""
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, as_base, wrap_dim, empty_like_shape, attach1, save, save_output, saved, grad_mode, RT_I64, RT_F16,
                     RT_BOOL, rt_kind, RT_KIND_INT, RT_KIND_FLOAT, RT_KIND_COMPLEX)
from ._node cimport Node
from ._plan cimport cast_raw
from ._dtype cimport dtype_code, dtype_of
from ._ops cimport deliver
from ._ops import old_value
from ._lane cimport RtLane, lane_of, computable, dense, take_lane, into_pair, refuse_complex
from ._index_kernels cimport on_device
from ._devices import run as run_on_device
from ._cpu cimport isa_level, rt_num_threads

from ..errors import DTypeError, UnsupportedOpError
from ._reduce import dtype_for
from ._return_types import named_result

cdef extern from "lane.h" nogil:
    enum: RT_SCAN_SUM, RT_SCAN_PROD, RT_SCAN_LOGSUMEXP
    ctypedef void (*RtScan)(const void *x, RtLane s, int reverse, void *out, int threads) noexcept nogil
    ctypedef void (*RtScanArg)(const void *x, RtLane s, int want_min, void *val, int64_t *idx, int threads) noexcept nogil
    ctypedef struct RtScanTable:
        RtScan scan[3][12]
        RtScanArg extreme[12]
    const RtScanTable *rt_pick_scan(int level)

_cummax = named_result("cummax", "values", "indices")
_cummin = named_result("cummin", "values", "indices")


cdef TensorBase raw_scan(object op, TensorBase t, int dim, int kind, bint reverse):
    """The scan without history; the result has t's dtype."""
    cdef TensorBase x = dense(t if on_device(t) else computable(t)), out = empty_like_shape(x, x.dt)
    cdef RtLane s = lane_of(t, dim)
    cdef RtScan kernel
    if on_device(t):
        if out.n > 0:
            run_on_device("scan", out, x, kind, reverse, s.outer, s.L, s.inner)
        return out
    kernel = rt_pick_scan(isa_level()).scan[kind][x.dt]
    if kernel == NULL:
        raise UnsupportedOpError(f"{op}: not implemented for this dtype", op=op)
    if out.n > 0:
        with nogil:
            kernel(x.ptr, s, reverse, out.ptr, rt_num_threads())
    return cast_raw(out, t.dt) if out.dt != t.dt else out


# Input of a running sum or product: integers and bool become int64 unless dtype says otherwise.
cdef TensorBase widened(TensorBase t, object dtype):
    if dtype is not None:
        return <TensorBase>(<object>t).to(dtype)
    if rt_kind(t.dt) <= RT_KIND_INT and t.dt != RT_I64:
        return <TensorBase>(<object>t).long()
    return t


cdef object scan_dtype(op, dtype, out):
    """The dtype of a running sum or product that is written to ``out``."""
    dtype = dtype_for(op, dtype, out)
    if dtype_code(op, dtype) == RT_BOOL:
        raise DTypeError(f"\"{op}\" not implemented for 'Bool'", op=op)
    return dtype


# ---- running sum ----
cdef TensorBase scan_sum(TensorBase t, int dim, bint reverse):
    cdef TensorBase out = raw_scan("cumsum", t, dim, RT_SCAN_SUM, reverse)
    cdef CumsumBackward0 node
    if t.rg and grad_mode():
        node = CumsumBackward0.__new__(CumsumBackward0)
        node.dim, node.reverse = dim, reverse
        attach1(out, node, t)
    return out


cdef class CumsumBackward0(Node):
    cdef int dim
    cdef bint reverse

    cdef object apply(self, object g):
        return scan_sum(<TensorBase>g, self.dim, not self.reverse)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return scan_sum(<TensorBase>g, self.dim + 1, not self.reverse) if (<TensorBase>g).nd > 1 else g


def cumsum(input, dim, *, dtype=None, out=None):
    """Compute the running sum along ``dim``; integers are summed as int64 unless ``dtype`` says otherwise."""
    cdef TensorBase t = as_base("cumsum", "input", input)
    cdef int d = wrap_dim("cumsum", dim, t.nd)
    return deliver("cumsum", scan_sum(widened(t, dtype if out is None else scan_dtype("cumsum", dtype, out)), d, False), out)


cdef int own_dtype(str op, TensorBase t, object dtype) except -1:
    """A scan in place sums in the tensor's own dtype."""
    if t.dt == RT_BOOL:
        raise DTypeError(f"\"{op}\" not implemented for 'Bool'", op=op)
    if dtype is not None and dtype_code(op, dtype) != t.dt:
        raise DTypeError(f"{op}(): Bad in-place call: input tensor dtype {dtype_of(t.dt)} and output tensor dtype {dtype} should match", op=op)
    return 0


def cumsum_(self, dim, *, dtype=None):
    """Replace by the running sum along ``dim``."""
    own_dtype("cumsum_", as_base("cumsum_", "self", self), dtype)
    return self.copy_(cumsum(self, dim, dtype=dtype))


# ---- running product ----
cdef TensorBase scan_prod(TensorBase t, int dim):
    cdef TensorBase out = raw_scan("cumprod", t, dim, RT_SCAN_PROD, False)
    cdef CumprodBackward0 node
    if t.rg and grad_mode():
        node = CumprodBackward0.__new__(CumprodBackward0)
        node.dim = dim
        save(node, 0, t)
        attach1(out, node, t)
        save_output(node, 1, out)
    return out


cdef object reverse_sum(object x, int dim):
    return scan_sum(<TensorBase>x, dim, True)


cdef class CumprodBackward0(Node):
    cdef int dim

    cdef object apply(self, object g):
        x, result = <object>saved(self, 0), <object>saved(self, 1)
        if (<TensorBase>x).nd == 0:
            return g
        zero = x.detach() == 0
        if not bool(zero.any()):
            return reverse_sum(g * self.conj(result), self.dim) / self.conj(x)
        if grad_mode():
            return self.all_pairs(x, g)
        # Before a lane's first zero the products past it vanish, so the plain formula holds. At the
        # first zero: the products with a one in its place. After it nothing depends on the element.
        seen = scan_sum(<TensorBase>zero.long(), self.dim, False)
        before, first = <object>seen == 0, (<object>seen == 1) & zero
        head = reverse_sum(g * self.conj(result), self.dim) / self.conj(x.masked_fill(zero, 1))
        at = reverse_sum(g * self.conj(scan_prod(<TensorBase>x.masked_fill(first, 1), self.dim)), self.dim)
        return head.masked_fill(~before, 0) + at.masked_fill(~first, 0)

    cdef object conj(self, object x):
        return x.conj_physical() if rt_kind((<TensorBase>x).dt) == RT_KIND_COMPLEX else x

    cdef object all_pairs(self, object x, object g):
        """Differentiable at zeros: the product over i <= j, i != k, for every pair (k, j)."""
        last = x.movedim(self.dim, -1)
        g_last = g.movedim(self.dim, -1)
        cdef int64_t n = last.shape[-1]
        place = cumsum(last.detach().new_ones(n, dtype=last.real.dtype if last.is_complex() else last.dtype), 0)
        same = place.unsqueeze(0) == place.unsqueeze(1)
        later = place.unsqueeze(1) > place.unsqueeze(0)
        pairs = last.unsqueeze(-2).expand(last.shape + (n,)).masked_fill(same, 1)
        products = scan_prod(<TensorBase>pairs, pairs.dim() - 1)
        return (self.conj(products).masked_fill(later, 0) * g_last.unsqueeze(-2)).sum(-1).movedim(-1, self.dim)


def cumprod(input, dim, *, dtype=None, out=None):
    """Compute the running product along ``dim``; its gradient is right at zeros too."""
    cdef TensorBase t = as_base("cumprod", "input", input)
    cdef int d = wrap_dim("cumprod", dim, t.nd)
    return deliver("cumprod", scan_prod(widened(t, dtype if out is None else scan_dtype("cumprod", dtype, out)), d), out)


def cumprod_(self, dim, *, dtype=None):
    """Replace by the running product along ``dim``."""
    own_dtype("cumprod_", as_base("cumprod_", "self", self), dtype)
    return self.copy_(cumprod(old_value(self), dim, dtype=dtype))


# ---- running log-sum-exp ----
cdef TensorBase scan_lse(TensorBase t, int dim, bint reverse):
    cdef TensorBase out = raw_scan("logcumsumexp", t, dim, RT_SCAN_LOGSUMEXP, reverse)
    cdef LogcumsumexpBackward0 node
    if t.rg and grad_mode():
        node = LogcumsumexpBackward0.__new__(LogcumsumexpBackward0)
        node.dim, node.reverse = dim, reverse
        save(node, 0, t)
        attach1(out, node, t)
        save_output(node, 1, out)
    return out


cdef class LogcumsumexpBackward0(Node):
    cdef int dim
    cdef bint reverse

    cdef object apply(self, object g):
        # sum over j of g[j] exp(x[i] - out[j]), kept in logarithms for each sign of g; a log of zero
        # is a very negative number, so that differences of two stay finite.
        x, result = <object>saved(self, 0), <object>saved(self, 1)
        if rt_kind((<TensorBase>g).dt) == RT_KIND_COMPLEX:
            inner = g.conj_physical().log() - result
            return (<object>scan_lse(<TensorBase>inner, self.dim, not self.reverse) + x).exp().conj_physical()
        size = g.detach().abs().log()
        grad_size = g.abs().log() if grad_mode() and g.requires_grad else size
        tiny = size.new_full((), -3e38 if (<TensorBase>g).dt != RT_F16 else -65504.0)
        up = grad_size.where(g.detach() > 0, tiny) - result
        down = grad_size.where(g.detach() < 0, tiny) - result
        more = (<object>scan_lse(<TensorBase>up, self.dim, not self.reverse) + x).exp()
        less = (<object>scan_lse(<TensorBase>down, self.dim, not self.reverse) + x).exp()
        return more - less


def logcumsumexp(input, dim, *, out=None):
    """Compute the logarithm of the running sum of exponentials along ``dim``, without overflow."""
    cdef TensorBase t = as_base("logcumsumexp", "input", input)
    cdef int d = wrap_dim("logcumsumexp", dim, t.nd)
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        raise UnsupportedOpError("logcumsumexp: not implemented for integers and bool", op="logcumsumexp")
    return deliver("logcumsumexp", scan_lse(t, d, False), out)


# ---- running extremes ----
cdef object scan_extreme(object op, object kind, object input, object dim, object out, bint want_min):
    cdef TensorBase t = as_base(op, "input", input)
    cdef int d = wrap_dim(op, dim, t.nd)
    if t.nd == 0:
        return into_pair(op, kind, out, <TensorBase>input.clone(), <TensorBase>input.new_zeros((), dtype=dtype_of(RT_I64)))
    if t.n:
        refuse_complex(op, t)
    cdef TensorBase x = dense(t if on_device(t) else computable(t)), values = empty_like_shape(x, x.dt), indices = empty_like_shape(x, RT_I64)
    cdef RtLane s = lane_of(t, d)
    cdef RtScanArg kernel
    if x.n > 0 and on_device(t):
        run_on_device("scan_extreme", values, indices, x, want_min, s.outer, s.L, s.inner)
    elif x.n > 0:
        kernel = rt_pick_scan(isa_level()).extreme[x.dt]
        with nogil:
            kernel(x.ptr, s, want_min, values.ptr, <int64_t *>indices.ptr, rt_num_threads())
    if (t.rg and grad_mode()) or values.dt != t.dt:
        values = take_lane(t, indices, d, op.capitalize() + "Backward0")
    return into_pair(op, kind, out, values, indices)


def cummax(input, dim, *, out=None):
    """Compute the running maximum along ``dim`` and where it is (the last of equal ones)."""
    return scan_extreme("cummax", _cummax, input, dim, out, False)


def cummin(input, dim, *, out=None):
    """Compute the running minimum along ``dim`` and where it is (the last of equal ones)."""
    return scan_extreme("cummin", _cummin, input, dim, out, True)


FUNCTIONS = {"cumsum": cumsum, "cumprod": cumprod, "logcumsumexp": logcumsumexp, "cummax": cummax, "cummin": cummin}
METHODS = {**FUNCTIONS, "cumsum_": cumsum_, "cumprod_": cumprod_}
