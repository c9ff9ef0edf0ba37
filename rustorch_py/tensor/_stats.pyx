# build: isa=stats.inc.c sources=search.c cold
"""Means, variances, histograms."""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.math cimport isfinite, sqrt
from libc.string cimport memcpy, memset
from ._backend cimport RT_CPU, RT_META
from ._base cimport (TensorBase, as_base, wrap_dim, empty, attach1, save, save_output, saved, grad_mode,
                     shape_tuple, RT_F32, RT_F64, RT_I64, rt_kind, rt_compute_dtype, rt_real_dtype,
                     RT_KIND_FLOAT, RT_KIND_COMPLEX, RT_KIND_INT, RT_CUDA, RT_METAL, RT_DEVICE_TYPE)
from ._node cimport Node
from ._dtype cimport dtype_code, dtype_of, torch_name
from ._plan cimport cast_raw, full_, reduce_raw
from ._ops cimport binary, deliver, detach
from ._lane cimport RtLane, computable, dense, need_cpu, flat
from ._index_kernels cimport on_device, need_same, run_flat, RT_IX_ADD
from ._devices import run as run_on_device
from ._cpu cimport isa_level, rt_num_threads

from ..errors import DTypeError, ShapeError, TensorError, TensorTypeError, UnsupportedOpError
from ._return_types import named_result
include "_row_ids.pxi"

cdef extern from "lane.h" nogil:
    ctypedef void (*RtMoments)(const void *x, RtLane s, double divisor, int take_sqrt, void *var, void *mean, int threads) noexcept nogil
    ctypedef struct RtStatsTable:
        RtMoments moments[12]
    const RtStatsTable *rt_pick_stats(int level)
    void rt_hist_uniform(int dtype, const void *x, int64_t n, double lo, double hi, int64_t bins, void *counts)
    int64_t rt_bincount_top(const int64_t *x, int64_t n, int threads)
    void rt_hist_cells(int dtype, const void *edges, int64_t m, const void *x, int64_t step, int64_t n, int64_t *cell, int threads)
    void rt_hist_placed(int dtype, const void *edges, int64_t m, const void *x, int64_t step, int64_t n, const int64_t *place, int64_t *cell)
    void rt_hist_counts(int dtype, const int64_t *cell, int64_t n, const void *w, void *counts)
    enum: RT_FEW_BINS
    int64_t rt_bincount_few(const int64_t *x, int64_t n, int64_t *count)
    void rt_bincount(const int64_t *x, int64_t n, int dtype, const void *w, void *out)
    void rt_search_rows(int dtype, const void *seq, const int64_t *sorter, int64_t rows, int64_t L,
                        const void *v, int64_t m, int right, int64_t *out, int threads)


# ---- which dimensions, and where their elements lie ----
cdef struct Dims:
    uint64_t mask              # bit d: dimension d is reduced
    int64_t count              # elements in a reduced lane


cdef Dims dims_of(object op, TensorBase t, object dim) except *:
    """Read dim=: None or an empty sequence is every dimension."""
    cdef Dims r
    cdef int d, i
    r.mask = 0
    if dim is None:
        r.mask = ~<uint64_t>0
    elif isinstance(dim, (tuple, list)):
        for item in dim:
            d = wrap_dim(op, item, t.nd)
            if r.mask >> d & 1:
                raise TensorError(f"{op}: dim {d} appears multiple times in the list of dims", op=op)
            r.mask |= <uint64_t>1 << d
        if not dim:
            r.mask = ~<uint64_t>0
    else:
        r.mask = <uint64_t>1 << wrap_dim(op, dim, t.nd)
    r.count = 1
    for i in range(t.nd):
        if r.mask >> i & 1:
            r.count *= t.sh[i]
    return r


cdef TensorBase lanes_of(TensorBase t, uint64_t mask, RtLane *s):
    """A dense tensor over t's values whose reduced dimensions are neighbours, and its geometry."""
    cdef int i, first = -1, last = -1
    cdef bint split = False
    for i in range(t.nd):
        if t.sh[i] != 1 and mask >> i & 1:
            if first < 0:
                first = i
            elif last != i - 1:
                split = True
            last = i
        elif t.sh[i] == 1 and first >= 0 and last == i - 1:
            last = i
    s.outer = s.inner = s.L = 1
    if split:
        kept = [i for i in range(t.nd) if not mask >> i & 1]
        gone = [i for i in range(t.nd) if mask >> i & 1]
        for i in range(t.nd):
            if mask >> i & 1:
                s.L *= t.sh[i]
            else:
                s.outer *= t.sh[i]
        return dense(<TensorBase>(<object>t).detach().permute(kept + gone))
    if first >= 0:
        for i in range(t.nd):
            if i < first:
                s.outer *= t.sh[i]
            elif i <= last:
                s.L *= t.sh[i]
            else:
                s.inner *= t.sh[i]
    else:
        s.outer = t.n
    return dense(t)


cdef TensorBase empty_reduced(TensorBase t, uint64_t mask, bint keepdim, int dt):
    cdef int64_t sh[64]
    cdef int i, nd = 0
    for i in range(t.nd):
        if not mask >> i & 1:
            sh[nd] = t.sh[i]
            nd += 1
        elif keepdim:
            sh[nd] = 1
            nd += 1
    return empty(nd, sh, dt, t.dev)


cdef class _Moments:
    """Results of one pass; a pair that Cython functions can return without a tuple of objects."""
    cdef TensorBase var
    cdef TensorBase mean


cdef _Moments moments(object op, TensorBase t, uint64_t mask, bint keepdim, double divisor, bint take_sqrt, bint want_var, bint want_mean):
    need_cpu(op, t)
    cdef _Moments r = _Moments.__new__(_Moments)
    cdef RtLane s
    cdef TensorBase x = lanes_of(computable(t), mask, &s), parts
    cdef int real = rt_real_dtype(x.dt)
    cdef bint cplx = rt_kind(x.dt) == RT_KIND_COMPLEX
    cdef RtMoments kernel = rt_pick_stats(isa_level()).moments[real]
    cdef void *var_ptr = NULL
    cdef void *mean_ptr = NULL
    cdef int64_t i, n
    if want_mean:
        r.mean = empty_reduced(t, mask, keepdim, x.dt)
        mean_ptr = r.mean.ptr
    if want_var:
        r.var = empty_reduced(t, mask, keepdim, real)
        var_ptr = r.var.ptr
    if cplx:                                   # real and imaginary parts are neighbouring lanes
        s.inner *= 2
        if want_var:
            n = 2 * r.var.n
            parts = empty(1, &n, real, t.dev)
            var_ptr = parts.ptr
    if (r.var if want_var else r.mean).n > 0:
        with nogil:
            kernel(x.ptr, s, divisor, take_sqrt and not cplx, var_ptr, mean_ptr, rt_num_threads())
    if cplx and want_var:
        for i in range(r.var.n):
            if real == RT_F32:
                (<float *>r.var.ptr)[i] = (<float *>parts.ptr)[2 * i] + (<float *>parts.ptr)[2 * i + 1]
                if take_sqrt:
                    (<float *>r.var.ptr)[i] = <float>sqrt((<float *>r.var.ptr)[i])
            else:
                (<double *>r.var.ptr)[i] = (<double *>parts.ptr)[2 * i] + (<double *>parts.ptr)[2 * i + 1]
                if take_sqrt:
                    (<double *>r.var.ptr)[i] = sqrt((<double *>r.var.ptr)[i])
    if want_var and r.var.dt != rt_real_dtype(t.dt):
        r.var = cast_raw(r.var, t.dt)
    if want_mean and r.mean.dt != t.dt:
        r.mean = cast_raw(r.mean, t.dt)
    return r


cdef object spread(object g, tuple shape, uint64_t mask, bint keepdim):
    """A reduced gradient, viewed with the reduced dimensions as ones."""
    cdef int i
    if keepdim or (<TensorBase>g).nd == len(shape) or (<TensorBase>g).nd == 0:
        return g
    return g.reshape(tuple([1 if mask >> i & 1 else shape[i] for i in range(len(shape))]))


cdef object spread_many(object g, Py_ssize_t n, tuple shape, uint64_t mask, bint keepdim):
    """The same for n gradients along dimension 0."""
    cdef int i
    if keepdim or (<TensorBase>g).nd == 1 + len(shape):
        return g
    return g.reshape((n,) + tuple([1 if mask >> i & 1 else shape[i] for i in range(len(shape))]))


# ---- mean ----
cdef TensorBase mean_of(TensorBase t, Dims r, bint keepdim):
    cdef int i, acc = rt_compute_dtype(t.dt)
    cdef uint8_t mask[64]
    cdef TensorBase total
    for i in range(t.nd):
        mask[i] = r.mask >> i & 1
    if (RT_DEVICE_TYPE(t.dev) == RT_CUDA or RT_DEVICE_TYPE(t.dev) == RT_METAL) and r.count and rt_kind(t.dt) == RT_KIND_FLOAT:      # a sum's k0 divides it there: one launch
        return mean_recorded(reduce_raw(RED_SUM, t, mask, keepdim, acc, t.dt, <double>r.count), t, r, keepdim)
    total = reduce_raw(RED_SUM, t, mask, keepdim, acc, acc, 0)
    if total.n == 1 and acc == RT_F32 and total.dev == RT_CPU:           # what the row does, without a plan
        (<float *>total.ptr)[0] /= <float>r.count
    elif total.n == 1 and acc == RT_F64 and total.dev == RT_CPU:
        (<double *>total.ptr)[0] /= <double>r.count
    else:
        total = <TensorBase>binary(ROW_DIV, total, <double>r.count, None)
    return mean_recorded(cast_raw(total, t.dt), t, r, keepdim)


cdef TensorBase mean_recorded(TensorBase out, TensorBase t, Dims r, bint keepdim):
    cdef MeanBackward0 node
    if t.rg and grad_mode():
        node = MeanBackward0.__new__(MeanBackward0)
        node.dims, node.keepdim = r, keepdim
        node.shape = shape_tuple(t)
        attach1(out, node, t)
    return out


cdef class MeanBackward0(Node):
    cdef Dims dims
    cdef bint keepdim
    cdef tuple shape

    cdef object own_name(self):
        return "MeanBackward0" if self.dims.mask == ~<uint64_t>0 else "MeanBackward1"

    cdef object apply(self, object g):
        g = spread(g, self.shape, self.dims.mask, self.keepdim)
        return (g / self.dims.count if self.dims.count else g).expand(self.shape)

    cdef object apply_many(self, object g, Py_ssize_t n):
        g = spread_many(g, n, self.shape, self.dims.mask, self.keepdim)
        return (g / self.dims.count if self.dims.count else g).expand((n,) + self.shape)


def mean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Compute the mean over all elements or over ``dim``.

    Args:
        dim: int or tuple; None: all.
        dtype: dtype to compute in; integers need one.
    """
    cdef TensorBase t = as_base("mean", "input", input), result
    cdef Dims r
    if dtype is not None and dtype_code("mean", dtype) != t.dt:
        t = <TensorBase>input.to(dtype)
    elif out is not None and rt_kind(t.dt) == RT_KIND_FLOAT and rt_kind(as_base("mean", "out", out).dt) == RT_KIND_COMPLEX:
        t = <TensorBase>t.to(out.dtype)           # the division is done in out's dtype: of nothing it is nan+nanj
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        raise DTypeError("mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
                         f"Got: {torch_name(t.dt)}", op="mean")
    r = dims_of("mean", t, dim)
    result = mean_of(t, r, keepdim)
    return deliver("mean", result, out)


# ---- variance ----
cdef TensorBase var_recorded(TensorBase out, TensorBase t, Dims r, bint keepdim, double divisor, bint take_sqrt):
    cdef VarBackward0 node
    if t.rg and grad_mode():
        node = VarBackward0.__new__(VarBackward0)
        node.dims, node.keepdim, node.divisor, node.take_sqrt = r, keepdim, divisor, take_sqrt
        save(node, 0, t)
        attach1(out, node, t)
        if take_sqrt:
            save_output(node, 1, out)
    return out


cdef class VarBackward0(Node):
    cdef Dims dims
    cdef bint keepdim, take_sqrt
    cdef double divisor

    cdef object own_name(self):
        return "StdBackward0" if self.take_sqrt else "VarBackward0"

    cdef object apply(self, object g):
        return self.apply_many(g, -1)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef TensorBase t = saved(self, 0)
        cdef double factor = 2.0 / self.divisor          # inf without degrees of freedom, as PyTorch
        if self.take_sqrt:
            result = <object>saved(self, 1)
            g = (g / (result * 2)).masked_fill(result.detach() == 0, 0)
        g = spread(g, shape_tuple(t), self.dims.mask, self.keepdim) if n < 0 else spread_many(g, n, shape_tuple(t), self.dims.mask, self.keepdim)
        return (g * factor) * (<object>t - <object>mean_of(t, self.dims, True))


cdef object variance(object op, object input, object dim, object unbiased, bint keepdim, object correction, object out,
                     bint take_sqrt, bint with_mean):
    cdef TensorBase t = as_base(op, "input", input)
    cdef Dims r
    cdef _Moments m
    cdef double divisor, c = 1
    cdef TensorBase var, mean
    if isinstance(dim, bool):                            # var(x, False): the old signature
        dim, unbiased = None, dim
    if unbiased is not None:
        c = 1 if unbiased else 0
    elif correction is not None:
        c = correction
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        raise DTypeError("std and var only support floating point and complex dtypes", op=op)
    r = dims_of(op, t, dim)
    divisor = r.count - c if r.count > c else 0
    m = moments(op, t, r.mask, keepdim, divisor, take_sqrt, True, with_mean)
    var = var_recorded(m.var, t, r, keepdim, divisor, take_sqrt)
    if not with_mean:
        return deliver(op, var, out)
    mean = mean_recorded(m.mean, t, r, keepdim)
    if out is not None:
        return deliver(op, var, out[0]), deliver(op, mean, out[1])
    return var, mean


def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
    """Compute the variance over all elements or over ``dim``.

    Args:
        dim: int or tuple; None: all.
        unbiased: True: divide by n - 1; the older form of ``correction``.
        correction: the divisor is n - correction; 1 when neither is given.
    """
    return variance("var", input, dim, unbiased, keepdim, correction, out, False, False)


def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
    """Compute the standard deviation; arguments as in ``var``."""
    return variance("std", input, dim, unbiased, keepdim, correction, out, True, False)


def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
    """Compute variance and mean at once; arguments as in ``var``."""
    return variance("var_mean", input, dim, unbiased, keepdim, correction, out, False, True)


def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
    """Compute standard deviation and mean at once; arguments as in ``var``."""
    return variance("std_mean", input, dim, unbiased, keepdim, correction, out, True, True)


# ---- counts ----
cdef object checked_range(object op, double low, double high, double margin):
    """Finite, ascending bounds; equal ones are moved apart by `margin` each."""
    if not (isfinite(low) and isfinite(high)):
        raise TensorError(f"{op}: range of [{low}, {high}] is not finite", op=op)
    if low > high:
        raise TensorError(f"{op}: max must be larger than min, got min {low} and max {high}", op=op)
    return (low - margin, high + margin) if low == high else (low, high)


def histc(input, bins=100, min=0, max=0, *, out=None):
    """Count elements in ``bins`` equal bins of [min, max] (equal bounds: the data's range)."""
    cdef TensorBase t = as_base("histc", "input", input), x, counts
    cdef int64_t n = bins
    cdef double low = min, high = max
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        raise UnsupportedOpError(f'"histogram_cpu" not implemented for \'{torch_name(t.dt)}\'', op="histc")
    if n <= 0:
        raise TensorError(f"histc(): bins must be > 0, got {n}", op="histc")
    x = flat(detach(dense(computable(t))))
    if low == high and x.n > 0 and x.dev & 255 != RT_META:
        low, high = float((<object>x).min()), float((<object>x).max())
    low, high = checked_range("histc", low, high, 1)
    if on_device(t):
        counts = full_(1, &n, 0, RT_I64, t.dev)
        if x.n:
            run_on_device("count_uniform", counts, x, low, high)
        return deliver("histc", cast_raw(counts, t.dt), out)
    counts = empty(1, &n, x.dt, t.dev)
    if counts.n:
        memset(counts.ptr, 0, counts.n * (4 if x.dt == RT_F32 else 8))
    with nogil:
        rt_hist_uniform(x.dt, x.ptr, x.n, low, high, n, counts.ptr)
    return deliver("histc", cast_raw(counts, t.dt) if counts.dt != t.dt else counts, out)


def bincount(input, weights=None, minlength=0):
    """Count how often each non-negative integer occurs, or sum ``weights`` by it.

    Returns:
        int64 counts, or sums in the dtype of ``weights`` (float64 for integers), of length
        ``max(input) + 1`` or ``minlength`` if that is larger.
    """
    cdef TensorBase t = as_base("bincount", "input", input), w = None, out
    cdef int64_t n = minlength, top = -1
    cdef int64_t few[RT_FEW_BINS]
    cdef bint counted = False
    cdef int dt = RT_I64
    if n < 0:
        raise TensorError(f"bincount: minlength should be >= 0, got {n}", op="bincount")
    if rt_kind(t.dt) != RT_KIND_INT:
        raise UnsupportedOpError(f'"bincount_cpu" not implemented for \'{torch_name(t.dt)}\'', op="bincount")
    if t.nd != 1:
        raise TensorError("bincount only supports 1-d non-negative integral inputs.", op="bincount")
    t = dense(cast_raw(t, RT_I64) if t.dt != RT_I64 else t)
    if on_device(t):
        if t.n and (<object>t).min().item() < 0:
            raise TensorError("bincount only supports 1-d non-negative integral inputs.", op="bincount")
        top = (<object>t).max().item() if t.n else -1
    else:
        with nogil:
            if weights is None and t.n >= 4096:
                top = rt_bincount_few(<const int64_t *>t.ptr, t.n, few)
                counted = top >= 0
            if not counted:
                top = rt_bincount_top(<const int64_t *>t.ptr, t.n, rt_num_threads())
        if top < -1:
            raise TensorError("bincount only supports 1-d non-negative integral inputs.", op="bincount")
    if top + 1 > n:
        n = top + 1
    if weights is not None:
        w = as_base("bincount", "weights", weights)
        if w.nd != 1 or w.n != t.n:
            raise ShapeError(f"bincount: weights should be 1-d and have the same length as input, got {shape_tuple(w)} for {t.n}", op="bincount")
        dt = RT_F32 if w.dt == RT_F32 else RT_F64
        need_same("bincount", t, w)
        w = dense(cast_raw(w, dt) if w.dt != dt else w)
    if on_device(t):
        out = full_(1, &n, 0, dt, t.dev)
        if t.n and w is None:
            run_on_device("count_values", out, t)
        elif t.n:
            run_flat(RT_IX_ADD, out, w, t)
        return out
    out = empty(1, &n, dt, t.dev)
    if n:
        memset(out.ptr, 0, n * (4 if dt == RT_F32 else 8))
    if counted:
        memcpy(out.ptr, few, (top + 1) * sizeof(int64_t))
        return out
    with nogil:
        rt_bincount(<const int64_t *>t.ptr, t.n, dt, w.ptr if w is not None else NULL, out.ptr)
    return out


_histogram = named_result("histogram", "hist", "bin_edges")
_histogramdd = named_result("histogramdd", "hist", "bin_edges")


cdef TensorBase uniform_edges(double low, double high, int64_t bins, TensorBase like):
    """bins + 1 edges; the second half is counted from the end, so that both ends are exact."""
    cdef int64_t n = bins + 1, i
    cdef TensorBase out
    if on_device(like):
        at = (<object>full_(1, &n, 1, like.dt, like.dev)).cumsum(0) - 1
        width = (high - low) / bins
        return <TensorBase?>(at * width + low).where(at < n // 2, (at - bins) * width + high)
    out = empty(1, &n, like.dt, like.dev)
    cdef float step32 = <float>(high - low) / <float>bins
    cdef double step = (high - low) / bins
    for i in range(n):
        if like.dt == RT_F32:
            (<float *>out.ptr)[i] = <float>low + step32 * i if i < n // 2 else <float>high - step32 * (bins - i)
        else:
            (<double *>out.ptr)[i] = low + step * i if i < n // 2 else high - step * (bins - i)
    return out


cdef object histogram_nd(object op, TensorBase t, object bins, object bounds, object weight, bint density):
    """Counts of the rows of t (n, d) in a grid, and the list of edges."""
    cdef int64_t n = t.sh[0], d = t.sh[1], j, m
    cdef TensorBase column, edge, place, cells, ok, counts, w = None
    cdef int64_t *to
    if t.dt != RT_F32 and t.dt != RT_F64:
        raise UnsupportedOpError(f'"{op}" not implemented for \'{torch_name(t.dt)}\'', op=op)
    if weight is not None:
        w = as_base(op, "weight", weight)
        if w.dt != t.dt:
            raise DTypeError(f"{op}: if weight is given, input and weight must have the same dtype", op=op)
        need_same(op, t, w)
        w = dense(flat(<TensorBase>(<object>w).detach()))
        if w.n != n:
            raise ShapeError(f"{op}: expected one weight a row: {n}, got {w.n}", op=op)
    if bounds is not None and len(bounds) != 2 * d:
        raise TensorError(f"{op}: range should have {2 * d} elements, but got {len(bounds)}", op=op)
    edges, sizes = [], []
    cells = empty(1, &n, RT_I64, t.dev)
    to = <int64_t *>cells.ptr
    if on_device(t):
        cells = full_(1, &n, 0, RT_I64, t.dev)
    elif n:                                  # without bins there may be no memory
        memset(to, 0, n * sizeof(int64_t))
    for j in range(d):
        column = <TensorBase>(<object>t).detach().select(1, j)
        spec = bins[j]
        if isinstance(spec, TensorBase):
            edge = dense(<TensorBase>spec.detach())
            if edge.nd != 1 or edge.n < 1 or edge.dt != t.dt:
                raise TensorError(f"{op}: bins must be 1-d tensors of the input's dtype with at least one element", op=op)
        else:
            if spec <= 0:
                raise TensorError(f"{op}: bins must be > 0, got {spec}", op=op)
            if bounds is not None:
                low, high = bounds[2 * j], bounds[2 * j + 1]
            elif n == 0:
                low, high = 0.0, 1.0
            else:
                low, high = float((<object>column).min()), float((<object>column).max())
            low, high = checked_range(op, low, high, 0.5)
            edge = uniform_edges(low, high, spec, t)
        edges.append(edge)
        m = edge.n - 1
        sizes.append(m)
        if on_device(t):
            need_same(op, t, edge)
            cells = <TensorBase?>cells_on_device(cells, edge, dense(column), m)
            continue
        if not isinstance(spec, TensorBase):
            with nogil:
                rt_hist_cells(t.dt, edge.ptr, m, column.ptr, column.st[0], n, to, rt_num_threads())
            continue
        column = dense(column)                   # edges that need not be even, or ascend
        place = empty(1, &n, RT_I64, t.dev)
        with nogil:
            rt_search_rows(t.dt, edge.ptr, NULL, 1, edge.n, column.ptr, n, 1, <int64_t *>place.ptr, rt_num_threads())
            rt_hist_placed(t.dt, edge.ptr, m, column.ptr, 1, n, <int64_t *>place.ptr, to)
    total = 1
    for size in sizes:
        total *= size
    m = total
    if on_device(t):
        counts = counted(cells, w, m, t)
    else:
        counts = counted_here(cells, w, m, t)
    hist = (<object>counts).reshape(tuple(sizes))
    if density:
        hist = hist / hist.sum()
        for j, e in enumerate(edges):
            widths = (e[1:] - e[:-1]).reshape((-1,) + (1,) * (int(d) - 1 - j))
            hist = hist / widths
    return hist, edges


cdef object cells_on_device(TensorBase cells, TensorBase edge, TensorBase column, int64_t m):
    """The cell of each row so far, one dimension further; -1: outside."""
    cdef TensorBase place = empty(1, &column.n, RT_I64, column.dev)
    if column.n:
        run_on_device("search", place, edge, None, column, 1, column.n, edge.n, True)
    v, e, to = <object>column, <object>edge, <object>cells
    at = (<object>place - 1).masked_fill(v == e[m], m - 1)                # the last bin is closed
    inside = (to >= 0) & (at >= 0) & (at < m) & (v >= e[0]) & (v <= e[m])
    return (to * m + at).masked_fill(~inside, -1)


cdef TensorBase counted(TensorBase cells, TensorBase w, int64_t m, TensorBase t):
    """How often each cell occurs, or its weights' sum."""
    to = <object>cells
    to = to.masked_fill(to < 0, m)
    share = <object>w if w is not None else to.new_ones(cells.n, dtype=dtype_of(t.dt))
    return <TensorBase?>share.new_zeros(m + 1).index_add(0, to, share)[:m]


cdef TensorBase counted_here(TensorBase cells, TensorBase w, int64_t m, TensorBase t):
    cdef TensorBase counts = empty(1, &m, t.dt, t.dev)
    if m:
        memset(counts.ptr, 0, m * (4 if t.dt == RT_F32 else 8))
    with nogil:
        rt_hist_counts(t.dt, <int64_t *>cells.ptr, cells.n, w.ptr if w is not None else NULL, counts.ptr)
    return counts


def histogram(input, bins=100, *, range=None, weight=None, density=False, out=None):
    """Count the elements of bins: a pair ``(hist, bin_edges)``.

    Args:
        bins: how many equal bins, or a 1-d tensor of ascending edges.
        range: (low, high) of equal bins; None: the data's.
        weight: a weight an element.
        density: scale so that the integral over the bins is 1.
    """
    cdef TensorBase t = as_base("histogram", "input", input)
    hist, edges = histogram_nd("histogram", <TensorBase>input.detach().reshape(-1, 1), (bins,), range, weight, density)
    if out is not None:
        if len(out) != 2:
            raise TensorTypeError(f"histogram(): expected tuple of 2 elements but got {len(out)}", op="histogram")
        return _histogram((deliver("histogram", hist, out[0]), deliver("histogram", edges[0], out[1])))
    return _histogram((hist, edges[0]))


def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Count the rows of ``input`` (..., d) in a d-dimensional grid: a pair ``(hist, bin_edges)``.

    Args:
        bins: one number for all dimensions, a number a dimension, or a tensor of edges a dimension.
        range: low and high of each dimension, in one flat sequence.
        weight, density: as in ``histogram``.
    """
    cdef TensorBase t = as_base("histogramdd", "input", input)
    if t.nd < 2:
        raise ShapeError(f"histogramdd: input must be at least 2-d (..., d), got {shape_tuple(t)}", op="histogramdd")
    cdef int64_t d = t.sh[t.nd - 1]
    if not isinstance(bins, (int, tuple, list)) or isinstance(bins, bool):
        raise TensorTypeError(f"histogramdd(): argument 'bins' must be int, tuple of ints or tuple of Tensors, not {type(bins).__name__}", op="histogramdd")
    if isinstance(bins, int):
        bins = (bins,) * d
    for i, n in enumerate(bins):
        if not isinstance(n, (int, TensorBase)) or isinstance(n, bool):
            raise TensorTypeError(f"histogramdd(): expected int or Tensor as element {i} in argument 'bins', but got {type(n).__name__}", op="histogramdd")
    if len(bins) != d:
        raise TensorError(f"histogramdd: expected bins for {d} dimensions, got {len(bins)}", op="histogramdd")
    hist, edges = histogram_nd("histogramdd", <TensorBase>input.detach().reshape(-1, d), bins, range, weight, density)
    return _histogramdd((hist, tuple(edges)))


FUNCTIONS = {"mean": mean, "var": var, "std": std, "var_mean": var_mean, "std_mean": std_mean, "histc": histc,
             "bincount": bincount, "histogram": histogram, "histogramdd": histogramdd}
METHODS = {"mean": mean, "var": var, "std": std, "histc": histc, "bincount": bincount, "histogram": histogram}
