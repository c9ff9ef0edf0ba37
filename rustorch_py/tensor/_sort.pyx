# build: sources=distinct.c,search.c cold
"""Sorting, searching and sets."""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset
from ._cpu cimport rt_num_threads
from ._base cimport (TensorBase, as_base, wrap_dim, empty, empty_like_shape, grad_mode, same_shape, shape_tuple, RT_BOOL, RT_I64, RT_I32, RT_F64, RT_U16, RT_U64,
                     rt_kind, RT_KIND_FLOAT, F_CONTIG)
from ._dtype cimport dtype_of, promote
from ._node cimport Node, call_node
from ._plan cimport cast_raw
from ._ops cimport deliver, detach
from ._lane cimport (dense, take_lane, order_sort, order_topk, into_pair, refuse_complex, flat)
from ._index_kernels cimport on_device, need_same, take_true, true_positions
from ._devices import run as run_on_device

from ..errors import DimError, OutOfMemoryError, ShapeError, TensorError, TensorTypeError, UnsupportedOpError
from ._return_types import named_result

cdef extern from "lane.h" nogil:
    int64_t rt_run_starts(int dtype, const void *x, int64_t n, int64_t width, const int64_t *order, uint8_t *start)
    void rt_run_tables(const uint8_t *start, const int64_t *order, int64_t n, int64_t runs, int64_t *first, int64_t *inverse, int64_t *count)
    ctypedef struct RtCensus:
        pass
    int64_t rt_census_begin(RtCensus *c, int dtype, const void *x, int64_t n, int counts)
    void rt_census_tables(RtCensus *c, int dtype, const void *x, int64_t n, int64_t *first, int64_t *inverse, int64_t *count)
    void rt_census_free(RtCensus *c)
    int rt_sort_items(int dtype, const void *x, int64_t n, int64_t width, int64_t *order)
    void rt_search_rows(int dtype, const void *seq, const int64_t *sorter, int64_t rows, int64_t L,
                        const void *v, int64_t m, int right, int64_t *out, int threads)
    void rt_is_member(int dtype, const void *x, int64_t n, const void *sorted, int64_t m, int invert, uint8_t *out, int threads)

_sort = named_result("sort", "values", "indices")
_topk = named_result("topk", "values", "indices")


# ---- sorting ----
# Results lie in memory as the input does, as PyTorch's: an input in another order is sorted in the order of its memory and seen back in its own.
cdef list own_order(TensorBase t):
    """The dimensions of a tensor that is not in row-major order, by stride; else None."""
    cdef int i
    cdef list order
    if t.flags & F_CONTIG or t.n == 0 or any(t.st[i] == 0 and t.sh[i] != 1 for i in range(t.nd)):
        return None
    order = sorted(range(t.nd), key=lambda i: -t.st[i])
    return None if order == list(range(t.nd)) else order


cdef object back_from(object x, list order):
    return x.permute([order.index(i) for i in range(len(order))])


cdef TensorBase order_key(TensorBase t):
    """What is compared in t's place: unsigned integers that have no loops become int64 of the same order."""
    if t.dt < RT_U16 or t.dt > RT_U64:
        return t
    key = cast_raw(t, RT_I64)
    return <TensorBase>(<object>key ^ -0x8000000000000000) if t.dt == RT_U64 else key


def sort(input, dim=-1, descending=False, *, stable=None, out=None):
    """Sort along ``dim``: a pair ``(values, indices)``.

    Always stable; NaN is the largest value. The gradient goes back to each value's place.
    """
    cdef TensorBase t = as_base("sort", "input", input), key, idx, sorted_ = None
    cdef int d = wrap_dim("sort", dim, t.nd)
    cdef str label = "SortBackward0" if stable is None else "SortBackward1"
    refuse_complex("sort", t)
    order = own_order(t) if out is None else None
    if order is not None:
        values, places = sort(input.permute(order), order.index(d), descending)
        values, places = back_from(values, order), back_from(places, order)
        if (<TensorBase>values).fn is not None:
            call_node(<Node>(<TensorBase>values).fn, label)
        return into_pair("sort", _sort, None, <TensorBase>values, <TensorBase>places)
    key = order_key(t)
    if key is t and (t.dev & 255) == 0:
        sorted_ = empty_like_shape(t, t.dt)                        # written while what is sorted is in the cache
    idx = order_sort(key, d, descending, sorted_)
    return into_pair("sort", _sort, out, take_lane(t, idx, d, label, sorted_), idx)


def argsort(input, dim=-1, descending=False, stable=False):
    """Find the indices that sort along ``dim``."""
    cdef TensorBase t = as_base("argsort", "input", input)
    cdef int d = wrap_dim("argsort", dim, t.nd)
    refuse_complex("argsort", t)
    order = own_order(t)
    if order is not None:
        return back_from(argsort(input.detach().permute(order), order.index(d), descending), order)
    return order_sort(order_key(t), d, descending)


def msort(input, *, out=None):
    """Sort along the first dimension; values only."""
    cdef TensorBase t = as_base("msort", "input", input)
    refuse_complex("msort", t)
    if out is None and own_order(t) is not None:
        return sort(input, 0)[0]
    return deliver("msort", take_lane(t, order_sort(order_key(t), 0, False), 0, "SortBackward0"), out)


def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """Find the k largest (or smallest) elements along ``dim``: a pair ``(values, indices)``.

    Args:
        k: how many; at most the size of ``dim``.
        largest: False: the smallest.
        sorted: False: in order of position instead of value.
    """
    cdef TensorBase t = as_base("topk", "input", input), idx
    cdef int d = wrap_dim("topk", dim, t.nd)
    cdef int64_t count = k, size = t.sh[d] if t.nd > 0 else 1
    refuse_complex("topk", t)
    if t.dt == RT_BOOL:
        raise UnsupportedOpError("topk does not support bool dtypes on CPU", op="topk")
    if count < 0 or count > size:
        raise TensorError(f"topk(): selected index k out of range: k is {count}, the size of dimension {d} is {size}", op="topk")
    idx = order_topk(t, d, count, largest, sorted)
    return into_pair("topk", _topk, out, take_lane(t, idx, d, "TopkBackward0"), idx)


# ---- sets ----
cdef object distinct(object op, object input, bint in_order, bint inverse, bint counts, object dim):
    """Distinct items: of the flattened tensor, or slices along `dim`. in_order: sort first."""
    cdef TensorBase t = as_base(op, "input", input), items, order = None, where_, start = None, inverse_t = None, counts_t = None
    cdef int64_t n, width, runs = -1
    cdef int64_t *place = NULL
    cdef int64_t *first = NULL
    cdef int64_t *inv = NULL
    cdef int64_t *num = NULL
    cdef int d = 0, status
    cdef object values = None
    cdef RtCensus census
    memset(&census, 0, sizeof(census))
    refuse_complex(op, t)
    if dim is None:
        items = dense(flat(order_key(t)))
        n, width = t.n, 1
    else:
        d = wrap_dim(op, dim, t.nd)
        if t.nd == 0:
            raise DimError(f"Dimension specified as {dim} but tensor has no dimensions", op=op)
        items = dense(<TensorBase>(<object>order_key(t)).movedim(d, 0))
        n = t.sh[d]
        if t.n == 0 and n > 0:
            raise TensorError(f"{op}: There are 0 sized dimensions, and they aren't selected, so unique cannot be applied", op=op)
        width = items.n // n if n > 0 else 0
    if on_device(t):
        order, where_, inverse_t, counts_t = distinct_on_device(items, n, width, in_order, inverse, counts)
        if inverse and dim is None:
            inverse_t = <TensorBase>(<object>inverse_t).reshape(input.shape)
        if dim is None:
            values = <object>take_lane(flat(t), where_, 0, "UniqueBackward0")
        else:
            values = input.index_select(d, where_)
        if not (inverse or counts):
            return values
        return (values,) + ((inverse_t,) if inverse else ()) + ((counts_t,) if counts else ())
    if in_order and width == 1:
        with nogil:
            runs = rt_census_begin(&census, items.dt, items.ptr, n, counts)
    try:
        if runs < 0:
            if in_order:
                if width == 1:
                    order = order_sort(<TensorBase>(<object>items).reshape(-1), 0, False)
                else:
                    order = empty(1, &n, RT_I64, t.dev)
                    place = <int64_t *>order.ptr
                    with nogil:
                        status = rt_sort_items(items.dt, items.ptr, n, width, place)
                    if status:
                        raise OutOfMemoryError(f"{op}: no room for the scratch arrays of a sort", op=op)
                place = <int64_t *>order.ptr
            start = empty(1, &n, RT_BOOL, t.dev)
            with nogil:
                runs = rt_run_starts(items.dt, items.ptr, n, width, place, <uint8_t *>start.ptr)
        if in_order:
            where_ = empty(1, &runs, RT_I64, t.dev)
            first = <int64_t *>where_.ptr
        elif dim is None and not (t.rg and grad_mode()):
            values = <object>take_true(dense(flat(t)), start)
        else:
            where_ = true_positions(start)
        if inverse:
            inverse_t = empty(1, &n, RT_I64, t.dev) if dim is not None else empty_like_shape(t, RT_I64)
            inv = <int64_t *>inverse_t.ptr
        if counts:
            counts_t = empty(1, &runs, RT_I64, t.dev)
            num = <int64_t *>counts_t.ptr
        with nogil:
            if start is None:
                rt_census_tables(&census, items.dt, items.ptr, n, first, inv, num)
            else:
                rt_run_tables(<uint8_t *>start.ptr, place, n, runs, first, inv, num)
    finally:
        rt_census_free(&census)
    if values is not None:
        pass
    elif dim is None:
        values = <object>take_lane(flat(t), where_, 0, "UniqueBackward0")
    else:                                         # made with that dimension first, as PyTorch does
        values = input.movedim(d, 0).index_select(0, where_).movedim(0, d) if d else input.index_select(0, where_)
    if not (inverse or counts):
        return values
    return (values,) + ((inverse_t,) if inverse else ()) + ((counts_t,) if counts else ())


cdef tuple distinct_on_device(TensorBase items, int64_t n, int64_t width, bint in_order, bint inverse, bint counts):
    """(order, places of the distinct, inverse, counts) of n items of `width` elements, of recorded operators; waits for their number."""
    rows = (<object>items).reshape(n, width) if width else (<object>items).reshape(n, 0)
    order, inverse_of, counts_of = None, None, None
    if in_order:
        order = rows.new_ones(n, dtype=dtype_of(RT_I64)).cumsum(0) - 1
        for j in range(width - 1, -1, -1):                # stable sorts from the last element on
            order = order[<object>order_sort(dense(<TensorBase>rows.select(1, j)[order]), 0, False)]
        rows = rows[order]
    first = rows.new_ones(n, dtype=dtype_of(RT_BOOL))
    if n > 1:
        first[1:] = (rows[1:] != rows[:-1]).any(1)
    at = first.nonzero().reshape(-1)
    if inverse:
        run = first.long().cumsum(0) - 1
        inverse_of = run if order is None else run.new_zeros(n).scatter(0, order, run)
    if counts:
        ends = at.new_full((at.shape[0],), n)
        ends[:-1] = at[1:]
        counts_of = ends - at
    return order, (at if order is None else order[at]), inverse_of, counts_of


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """Find the distinct elements, or slices along ``dim``, in ascending order.

    Args:
        sorted: kept for compatibility; the result is always sorted.
        return_inverse: also give each element's place in the result.
        return_counts: also give how often each occurs.
    Returns:
        The distinct values, or a tuple of them with what was asked for.
    """
    return distinct("unique", input, True, return_inverse, return_counts, dim)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Keep the first of each run of equal elements (or slices along ``dim``)."""
    return distinct("unique_consecutive", input, False, return_inverse, return_counts, dim)


# ---- searching ----
cdef TensorBase number_like(TensorBase t, object value):
    """A Python number as a 0-dim tensor that promotes with t as a number does."""
    cdef int dt = t.dt if rt_kind(t.dt) >= RT_KIND_FLOAT else RT_F64 if isinstance(value, float) else RT_I64
    return <TensorBase>(<object>t).new_full((), value, dtype=dtype_of(dt))


cdef object search(object op, TensorBase seq, object values, object out_int32, bint right, object side, object sorter, object out):
    cdef TensorBase v, order = None, result
    cdef int64_t rows = 1, L, m
    cdef int dt, i
    if side is not None:
        if side not in ("left", "right"):
            raise TensorError(f"{op}(): side can only be 'left' or 'right' but got {side}", op=op)
        if right and side == "left":
            raise TensorError(f"{op}(): side and right can't be set to opposites, got side of left while right was True", op=op)
        right = side == "right"
    if isinstance(values, TensorBase):
        v = <TensorBase>values
    elif isinstance(values, (int, float)):
        if seq.nd != 1:
            raise ShapeError(f"{op}(): a number needs a 1-d sequence, got {seq.nd} dimensions", op=op)
        v = number_like(seq, values)
    else:
        raise TensorTypeError(f"{op}(): input must be a tensor or a number, got {type(values).__name__}", op=op)
    refuse_complex(op, seq)
    refuse_complex(op, v)
    need_same(op, seq, v)
    if v.n and (seq.dt == RT_BOOL or v.dt == RT_BOOL):
        raise UnsupportedOpError(f'"{op}" not implemented for \'Bool\'', op=op)
    if seq.nd == 0:
        raise ShapeError(f"{op}(): boundaries tensor should have positive dimension, got a 0-d tensor", op=op)
    if seq.nd > 1:
        if v.nd != seq.nd:
            raise ShapeError(f"{op}(): the first N-1 dimensions of the sequence {shape_tuple(seq)} and the input {shape_tuple(v)} must match", op=op)
        for i in range(seq.nd - 1):
            if seq.sh[i] != v.sh[i]:
                raise ShapeError(f"{op}(): the first N-1 dimensions of the sequence {shape_tuple(seq)} and the input {shape_tuple(v)} must match", op=op)
            rows *= seq.sh[i]
    L = seq.sh[seq.nd - 1]
    if sorter is not None:
        order = as_base(op, "sorter", sorter)
        if not same_shape(order, seq):
            raise ShapeError(f"{op}(): boundary and sorter must have the same size, but got {shape_tuple(seq)} and {shape_tuple(order)}", op=op)
        if order.dt != RT_I64:
            raise TensorError(f"{op}(): sorter must be a tensor of long dtype", op=op)
        if order.n and bool((sorter < 0).any() or (sorter >= L).any()):
            raise TensorError(f"{op}(): sorter index out of range", op=op)
        need_same(op, seq, order)
        order = dense(order)
    dt = promote(seq.dt, v.dt)
    if v.dt != dt:
        v = cast_raw(v, dt)
    if seq.dt != dt:
        seq = cast_raw(seq, dt)
    seq, v = dense(seq), dense(v)
    m = v.n // rows if rows > 0 else 0
    result = empty_like_shape(v, RT_I64)
    if result.n > 0 and on_device(v):
        run_on_device("search", result, seq, order, v, rows, m, L, right)
    elif result.n > 0:
        with nogil:
            rt_search_rows(dt, seq.ptr, <int64_t *>order.ptr if order is not None else NULL, rows, L, v.ptr, m, right,
                           <int64_t *>result.ptr, rt_num_threads())
    if out_int32:
        result = cast_raw(result, RT_I32)
    return deliver(op, result, out)


def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None, out=None):
    """Find where values would be inserted to keep the innermost dimension sorted.

    Args:
        sorted_sequence: (..., L), ascending; or 1-d, used for all values.
        input: values (..., m), or a number.
        right: give the last place instead of the first; ``side="right"`` is the same.
        sorter: indices that sort ``sorted_sequence``, when it is not sorted.
    """
    return search("searchsorted", as_base("searchsorted", "sorted_sequence", sorted_sequence), input, out_int32, right, side, sorter, out)


def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """Find each value's bucket between ascending 1-d ``boundaries``."""
    cdef TensorBase b = as_base("bucketize", "boundaries", boundaries)
    if b.nd != 1:
        raise ShapeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({b.nd})", op="bucketize")
    return search("bucketize", b, input, out_int32, right, None, None, out)


def isin(elements, test_elements, *, assume_unique=False, invert=False, out=None):
    """Tell which elements are among ``test_elements``; either may be a number."""
    cdef TensorBase x, s, result
    cdef int dt
    cdef bint negate = invert
    if isinstance(elements, TensorBase):
        x = <TensorBase>elements
        s = <TensorBase>test_elements if isinstance(test_elements, TensorBase) else number_like(x, test_elements)
    elif isinstance(test_elements, TensorBase):
        s = <TensorBase>test_elements
        x = number_like(s, elements)
    else:
        raise TensorTypeError("isin(): at least one of elements and test_elements must be a tensor", op="isin")
    refuse_complex("isin", x)
    refuse_complex("isin", s)
    if x.dt == RT_BOOL or s.dt == RT_BOOL:
        raise TensorError("Unsupported input type encountered for isin(): Bool", op="isin")
    need_same("isin", x, s)
    dt = promote(x.dt, s.dt)
    if x.dt != dt:
        x = cast_raw(x, dt)
    if s.dt != dt:
        s = cast_raw(s, dt)
    s = flat(detach(s))
    s = dense(take_lane(s, order_sort(s, 0, False), 0, "SortBackward0"))
    x = dense(x)
    result = empty_like_shape(x, RT_BOOL)
    if x.n > 0 and on_device(x):
        run_on_device("member", result, x, s, negate)
    elif x.n > 0:
        with nogil:
            rt_is_member(dt, x.ptr, x.n, s.ptr, s.n, negate, <uint8_t *>result.ptr, rt_num_threads())
    return deliver("isin", result, out)


FUNCTIONS = {"sort": sort, "argsort": argsort, "msort": msort, "topk": topk, "unique": unique,
             "unique_consecutive": unique_consecutive, "searchsorted": searchsorted, "bucketize": bucketize, "isin": isin}
METHODS = {"sort": sort, "argsort": argsort, "msort": msort, "topk": topk, "unique": unique,
           "unique_consecutive": unique_consecutive}
