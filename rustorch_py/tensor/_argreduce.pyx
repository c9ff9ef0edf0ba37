# build: isa=argreduce.inc.c cold
"""Reductions that pick an element: argmax, max, median, mode, kthvalue, quantile."""
from libc.stdint cimport int64_t
from ._backend cimport RT_META
from ._base cimport (TensorBase, as_base, wrap_dim, empty, shape_tuple, RT_BOOL, RT_I32, RT_I64, RT_F32, RT_F64, rt_kind,
                     RT_KIND_FLOAT, RT_NLOOPED, is_contig, grad_mode, attach1, save, saved, save_output)
from ._lane cimport (RtLane, RT_SELECT_KTH, RT_SELECT_MEDIAN, RT_SELECT_NANMEDIAN, lane_of, empty_resized, computable, dense,
                     take_lane, order_sort, order_select, order_mode, need_nonempty_dim, into_pair, refuse_complex, flat)
from ._index_kernels cimport on_device
from ._devices import run as run_on_device
from ._dtype cimport dtype_of
from ._node cimport Node
from ._ops cimport deliver, recording
from ._cpu cimport isa_level, rt_num_threads
from ._function cimport set_plain_call
from ._reduce cimport extremum, plain_max, plain_min

from ..errors import DimError, TensorError, TensorTypeError, UnsupportedOpError
from ._return_types import named_result
include "_row_ids.pxi"

cdef extern from "lane.h" nogil:
    ctypedef void (*RtArgReduce)(const void *x, RtLane s, int want_min, void *val, int64_t *idx, int threads) noexcept nogil
    ctypedef void (*RtExtremes)(const void *x, int64_t n, void *low, void *high, int threads) noexcept nogil
    ctypedef struct RtArgTable:
        RtArgReduce arg[12]
        RtExtremes both[12]
    const RtArgTable *rt_pick_arg(int level)

_max = named_result("max", "values", "indices")
_min = named_result("min", "values", "indices")
_median = named_result("median", "values", "indices")
_nanmedian = named_result("nanmedian", "values", "indices")
_mode = named_result("mode", "values", "indices")
_kthvalue = named_result("kthvalue", "values", "indices")
_aminmax = named_result("aminmax", "min", "max")


# ---- positions of extremes ----
cdef list memory_order(TensorBase t):
    """The dimensions of a tensor of this memory that lies dense in another order than row-major, by stride; else None."""
    cdef int64_t step = 1
    cdef int i
    cdef list order
    if t.n < 4096 or on_device(t) or is_contig(t):
        return None
    order = sorted(range(t.nd), key=lambda i: (-t.st[i], i))
    for i in reversed(order):
        if t.sh[i] != 1 and t.st[i] != step:
            return None
        step *= t.sh[i]
    return order


cdef object in_its_order(object op, object kind, TensorBase t, int d, bint keepdim, bint want_min, list order):
    """(values, indices), or indices where kind is None, of the tensor as it lies in memory: a copy in row-major order would take longer."""
    cdef object x = t, back = [order.index(i) for i in range(t.nd)]
    x = x.permute(order)
    found = (extreme_index(op, <TensorBase>x, order.index(d), True, want_min),) if kind is None else \
        extreme(op, kind, x, order.index(d), True, None, None, want_min)
    found = [y.permute(back).contiguous() for y in found]
    if not keepdim:
        found = [y.squeeze(d) for y in found]
    return found[0] if kind is None else kind(found)


cdef TensorBase extreme_index(object op, TensorBase t, int dim, bint keepdim, bint want_min):
    """Index of the extreme along `dim`; the first NaN, else the first of equal ones."""
    need_nonempty_dim(op, t, dim)
    cdef TensorBase x = dense(t if on_device(t) else computable(t)), idx = empty_resized(t, dim, 1 if keepdim else -1, RT_I64)
    cdef RtLane s = lane_of(t, dim)
    cdef RtArgReduce kernel
    if idx.n > 0 and on_device(t):
        run_on_device("arg_extreme", idx, x, want_min, s.outer, s.L, s.inner)
    elif idx.n > 0:
        kernel = rt_pick_arg(isa_level()).arg[x.dt]
        with nogil:
            kernel(x.ptr, s, want_min, NULL, <int64_t *>idx.ptr, rt_num_threads())
    return idx


cdef object arg_extreme(object op, object input, object dim, bint keepdim, object out, bint want_min):
    cdef TensorBase t = as_base(op, "input", input), idx
    cdef RtLane s
    cdef int64_t ones[64]
    cdef int i
    cdef RtArgReduce kernel
    refuse_complex(op, t)
    if t.dt == RT_BOOL:
        raise UnsupportedOpError(f"{op}(): does not support bool input", op=op)
    if dim is not None:
        d = wrap_dim(op, dim, t.nd)
        order = memory_order(t)
        idx = extreme_index(op, t, d, keepdim, want_min) if order is None else in_its_order(op, None, t, d, keepdim, want_min, order)
    else:
        if t.n == 0:
            raise DimError(f"{op}(): Expected reduction dim to be specified for input.numel() == 0.", op=op)
        t = dense(t if on_device(t) else computable(t))
        for i in range(t.nd):
            ones[i] = 1
        idx = empty(t.nd if keepdim else 0, ones, RT_I64, t.dev)
        s.outer = s.inner = 1
        s.L = t.n
        if on_device(t):
            run_on_device("arg_extreme", idx, t, want_min, s.outer, s.L, s.inner)
        else:
            kernel = rt_pick_arg(isa_level()).arg[t.dt]
            with nogil:
                kernel(t.ptr, s, want_min, NULL, <int64_t *>idx.ptr, rt_num_threads())
    return deliver(op, idx, out)


def argmax(input, dim=None, keepdim=False, *, out=None):
    """Find the index of the largest element (along ``dim``, or of the flattened tensor).

    Ties give the first; the first NaN wins.
    """
    return arg_extreme("argmax", input, dim, keepdim, out, False)


def argmin(input, dim=None, keepdim=False, *, out=None):
    """Find the index of the smallest element (along ``dim``, or of the flattened tensor)."""
    return arg_extreme("argmin", input, dim, keepdim, out, True)


cdef object extreme(object op, object kind, object input, object dim, bint keepdim, object other, object out, bint want_min):
    cdef TensorBase t = as_base(op, "input", input), idx
    cdef int d
    if isinstance(dim, TensorBase):
        dim, other = None, dim
    if other is not None:
        return input.minimum(other) if want_min and out is None else input.maximum(other) if out is None \
            else deliver(op, <TensorBase>(input.minimum(other) if want_min else input.maximum(other)), out)
    if dim is None:
        refuse_complex(op, t)
        if t.n == 0:
            raise TensorError(f"{op}(): Expected reduction dim to be specified for input.numel() == 0. "
                              "Specify the reduction dim with the 'dim' argument.", op=op)
        return extremum("amin" if want_min else "amax", RED_AMIN if want_min else RED_AMAX, t, None, False, out)
    d = wrap_dim(op, dim, t.nd)
    need_nonempty_dim(op, t, d)
    refuse_complex(op, t)
    if not is_contig(t) and not on_device(t) and not (t.rg and grad_mode()):
        order = memory_order(t)
        if order is not None and out is None:
            return in_its_order(op, kind, t, d, keepdim, want_min, order)
        t = dense(t)                                    # once, for the places and for the values
    idx = extreme_index(op, t, d, keepdim, want_min)
    return into_pair(op, kind, out, take_lane(t, idx, d, "MinBackward0" if want_min else "MaxBackward0"), idx)


def max(input, dim=None, keepdim=False, *, other=None, out=None):
    """Find the largest element, or the larger of two tensors.

    ``max(x)`` is a 0-dim tensor (its gradient is shared by ties), ``max(x, dim)`` a pair
    ``(values, indices)`` whose gradient goes to the index, ``max(x, other)`` is ``maximum``.
    """
    return extreme("max", _max, input, dim, keepdim, other, out, False)


def min(input, dim=None, keepdim=False, *, other=None, out=None):
    """Find the smallest element, or the smaller of two tensors. Forms as in ``max``."""
    return extreme("min", _min, input, dim, keepdim, other, out, True)


set_plain_call(max, plain_max)
set_plain_call(min, plain_min)


cdef tuple both_extremes(TensorBase t, bint keepdim):
    """Minimum and maximum of all elements, read once; None: not here."""
    cdef RtExtremes kernel = rt_pick_arg(isa_level()).both[t.dt] if t.dt < RT_NLOOPED else NULL
    cdef TensorBase low, high
    cdef int64_t ones[64]
    cdef int i
    if kernel == NULL or on_device(t) or not is_contig(t) or t.rg and grad_mode():
        return None
    for i in range(t.nd):
        ones[i] = 1
    low, high = empty(t.nd if keepdim else 0, ones, t.dt, t.dev), empty(t.nd if keepdim else 0, ones, t.dt, t.dev)
    with nogil:
        kernel(t.ptr, t.n, low.ptr, high.ptr, rt_num_threads())
    return low, high


def aminmax(input, *, dim=None, keepdim=False, out=None):
    """Compute minimum and maximum at once: a pair ``(min, max)``."""
    cdef TensorBase t = as_base("aminmax", "input", input)
    if dim is None:
        refuse_complex("aminmax", t)
        if t.n == 0:
            raise TensorError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.", op="aminmax")
        low, high = both_extremes(t, keepdim) or (input.amin(keepdim=keepdim), input.amax(keepdim=keepdim))
    else:
        need_nonempty_dim("aminmax", t, wrap_dim("aminmax", dim, t.nd))
        refuse_complex("aminmax", t)
        low, high = input.amin(dim, keepdim), input.amax(dim, keepdim)
    if out is None:
        return _aminmax((low, high))
    if len(out) != 2:
        raise TensorTypeError(f"aminmax(): expected tuple of 2 elements but got {len(out)}", op="aminmax")
    return _aminmax((deliver("aminmax", low, out[0]), deliver("aminmax", high, out[1])))


# ---- order statistics ----
cdef class MiddleBackward(Node):
    """Median of a row, or of each: the gradient is shared evenly by those equal to it."""
    cdef str label

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        x, middle = saved(self, 0), saved(self, 1)
        if x.ndim > 1:
            middle = middle.unsqueeze(-1)
            hit = x.eq(middle) | (x.isnan() & middle.isnan())
            return (g / hit.sum(-1)).unsqueeze(-1).where(hit, 0)
        hit = x.isnan() if (<object>middle).isnan().item() else x.eq(middle)
        return g.new_zeros(x.shape).masked_fill(hit, g / hit.sum())


cdef TensorBase shared_middle(TensorBase t, TensorBase idx, str label):
    cdef MiddleBackward node = MiddleBackward.__new__(MiddleBackward)
    cdef TensorBase r = take_lane(<TensorBase>(<object>t).detach(), idx, t.nd - 1, label)
    node.label = label
    save(node, 0, t)
    attach1(r, node, t)
    save_output(node, 1, r)
    return r


cdef object middle(object op, object kind, object input, object dim, bint keepdim, object out, int how):
    cdef TensorBase t = as_base(op, "input", input), idx
    cdef int d
    if dim is None and t.n == 0:                        # NaN, or what PyTorch's conversion of NaN gives
        nothing = float("nan") if rt_kind(t.dt) >= RT_KIND_FLOAT else \
            -1 << 63 if t.dt == RT_I64 else -1 << 31 if t.dt == RT_I32 else t.dt == RT_BOOL
        return deliver(op, <TensorBase>input.new_full((), nothing), out)
    if dim is not None:
        d = wrap_dim(op, dim, t.nd)
        need_nonempty_dim(op, t, d)
    refuse_complex(op, t)
    if t.dt == RT_BOOL:
        raise UnsupportedOpError(f"{op}: not implemented for bool", op=op)
    if dim is None:
        t = flat(t)
        if recording(t, None, None) and out is None:
            return shared_middle(t, order_select(t, 0, 0, how, False), op.capitalize() + "Backward0")
        return deliver(op, take_lane(t, order_select(t, 0, 0, how, False), 0, op.capitalize() + "Backward0"), out)
    idx = order_select(t, d, 0, how, keepdim)
    return into_pair(op, kind, out, take_lane(t, idx, d, op.capitalize() + "Backward1"), idx)


def median(input, dim=None, keepdim=False, *, out=None):
    """Find the median, the lower one of an even count; NaN if there is any.

    Without ``dim`` a 0-dim tensor of the flattened input, else a pair ``(values, indices)``.
    """
    return middle("median", _median, input, dim, keepdim, out, RT_SELECT_MEDIAN)


def nanmedian(input, dim=None, keepdim=False, *, out=None):
    """Find the median of the elements that are not NaN; forms as in ``median``."""
    return middle("nanmedian", _nanmedian, input, dim, keepdim, out, RT_SELECT_NANMEDIAN)


def middle_of_rows(input, bint skip_nan):
    """Find the (nan)median along the last dimension; ties share the gradient, as they do in a median of all elements (for vmap)."""
    cdef TensorBase t = as_base("median", "input", input)
    cdef str op = "nanmedian" if skip_nan else "median"
    cdef int how = RT_SELECT_NANMEDIAN if skip_nan else RT_SELECT_MEDIAN
    if t.n == 0 or not recording(t, None, None) or rt_kind(t.dt) != RT_KIND_FLOAT:
        return middle(op, _nanmedian if skip_nan else _median, input, -1, False, None, how)[0]
    return shared_middle(t, order_select(t, t.nd - 1, 0, how, False), op.capitalize() + "Backward0")


cdef object itself(object op, object kind, object input, object out):
    """A 0-dim tensor's only element, at 0."""
    return into_pair(op, kind, out, <TensorBase>input.clone(), <TensorBase>input.new_zeros((), dtype=dtype_of(RT_I64)))


def mode(input, dim=-1, keepdim=False, *, out=None):
    """Find the most frequent value along ``dim`` (the smallest of several) and an index of it."""
    cdef TensorBase t = as_base("mode", "input", input), idx
    cdef int d
    d = wrap_dim("mode", dim, t.nd)
    need_nonempty_dim("mode", t, d)
    if t.nd == 0:
        return itself("mode", _mode, input, out)
    if t.n:
        refuse_complex("mode", t)
    idx = order_mode(t, d, keepdim)
    return into_pair("mode", _mode, out, take_lane(t, idx, d, "ModeBackward0"), idx)


def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    """Find the k-th smallest element along ``dim`` (k counts from 1) and its index."""
    cdef TensorBase t = as_base("kthvalue", "input", input), idx
    cdef int d
    cdef int64_t rank = k, size
    d = wrap_dim("kthvalue", dim, t.nd)
    need_nonempty_dim("kthvalue", t, d)
    size = t.sh[d] if t.nd > 0 else 1
    if rank < 1 or rank > size:
        raise TensorError(f"kthvalue(): selected number k out of range for dimension {d}: k is {rank}, the size {size}", op="kthvalue")
    if t.nd == 0:
        return itself("kthvalue", _kthvalue, input, out)
    refuse_complex("kthvalue", t)
    if t.dt == RT_BOOL:
        raise UnsupportedOpError("kthvalue: not implemented for bool", op="kthvalue")
    idx = order_select(t, d, rank - 1, RT_SELECT_KTH, keepdim)
    return into_pair("kthvalue", _kthvalue, out, take_lane(t, idx, d, "KthvalueBackward0"), idx)


# ---- quantiles ----
cdef object quantile_of(object op, object input, object q, object dim, bint keepdim, object interpolation, object out, bint skip_nan):
    cdef TensorBase t = as_base(op, "input", input), s, low_index
    cdef int d, nd = t.nd
    if t.dt != RT_F32 and t.dt != RT_F64:
        raise TensorError(f"{op}() input tensor must be either float or double dtype", op=op)
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise TensorError(f"{op}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}", op=op)
    if t.n == 0:
        raise TensorError(f"{op}() input tensor must be non-empty", op=op)
    if isinstance(q, TensorBase):
        if (<TensorBase>q).nd > 1:
            raise TensorError(f"{op}() q must be a scalar or 1D tensor", op=op)
        if (<TensorBase>q).dt != t.dt:
            raise TensorError(f"{op}() q tensor must be same dtype as the input tensor", op=op)
        if (<TensorBase>q).n and (<TensorBase>q).dev & 255 != RT_META and not bool(((q >= 0) & (q <= 1)).all()):
            raise TensorError(f"{op}() q values must be in the range [0, 1]", op=op)
    else:
        if not 0 <= q <= 1:
            raise TensorError(f"{op}() q must be in the range [0, 1] but got {q}", op=op)
        q = input.new_full((), q)
    # lanes last: (..., L)
    if dim is None:
        x = input.reshape(-1)
        kept = (1,) * nd
    else:
        d = wrap_dim(op, dim, nd)
        x = input.movedim(d, -1) if nd > 0 else input.reshape(1)
        kept = tuple([1 if i == d else t.sh[i] for i in range(nd)])
    cdef TensorBase lanes = <TensorBase>x
    s = take_lane(lanes, order_sort(lanes, lanes.nd - 1, False), lanes.nd - 1, "SortBackward0")
    sorted_ = <object>s
    lead = shape_tuple(s)[:-1]
    last = s.sh[s.nd - 1] - 1
    points = q.reshape(-1)
    missing = sorted_.detach().isnan()
    if skip_nan:
        ranks = points * (last - missing.sum(-1, keepdim=True)).clamp(min=0).to(sorted_.dtype)
    else:
        ranks = (points * last).expand(lead + (points.shape[0],))
        bad = missing.any(-1, keepdim=True)
        if t.dev & 255 == RT_META or bool(bad.any()):
            ranks = ranks.masked_fill(bad, last)
    if interpolation == "lower":
        ranks = ranks.floor()
    elif interpolation == "higher":
        ranks = ranks.ceil()
    elif interpolation == "nearest":
        ranks = ranks.round()
    below = ranks.detach().floor()
    low_index = dense(<TensorBase>below.long())
    values = <object>take_lane(s, low_index, s.nd - 1, "GatherBackward0")
    if interpolation in ("linear", "midpoint"):
        weight = ranks - below if interpolation == "linear" else values.new_full((), 0.5).expand(values.shape)
        upper = <object>take_lane(s, dense(<TensorBase>ranks.detach().ceil().long()), s.nd - 1, "GatherBackward0")
        values = values.lerp(upper, weight)
    values = values.movedim(-1, 0)
    if keepdim:
        values = values.reshape((points.shape[0],) + kept)
    if (<TensorBase>q).nd == 0:
        values = values.squeeze(0)
    return deliver(op, <TensorBase>values, out)


def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """Compute the q-th quantiles; NaN where a lane holds one.

    Args:
        q: number or 1-d tensor in [0, 1]; a tensor adds a leading dimension to the result.
        dim: dimension to reduce; None: all.
        interpolation: "linear", "lower", "higher", "midpoint" or "nearest".
    """
    return quantile_of("quantile", input, q, dim, keepdim, interpolation, out, False)


def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """Compute the q-th quantiles of the elements that are not NaN."""
    return quantile_of("nanquantile", input, q, dim, keepdim, interpolation, out, True)


FUNCTIONS = {"argmax": argmax, "argmin": argmin, "max": max, "min": min, "aminmax": aminmax, "median": median,
             "nanmedian": nanmedian, "mode": mode, "kthvalue": kthvalue, "quantile": quantile, "nanquantile": nanquantile}
METHODS = dict(FUNCTIONS)
