"""What the modules of the neural floor share: reading sizes, dtype checks, 16-bit floats by way of float32."""
from ._cpu cimport rt_num_threads
from ._base cimport TensorBase, RT_F32, RT_F64, F_CONTIG, empty, empty_strided, grad_mode, shape_tuple, view_raw
from ._dtype cimport dtype_of, torch_name
from ._dtype import channels_last, channels_last_3d, contiguous_format
from ._plan cimport contiguous_raw, copy_raw
from ..errors import DeviceError, OutOfMemoryError, TensorTypeError, ShapeError, UnsupportedOpError


cdef int num_threads() noexcept nogil:
    return rt_num_threads()


cdef int read_sizes(object op, object arg, object value, int n, int64_t *out) except -1:
    cdef int i
    cdef object item
    if type(value) is tuple and len(<tuple>value) == n:        # what modules hold
        for i in range(n):
            if type(<object>(<tuple>value)[i]) is not int:
                break
            out[i] = (<tuple>value)[i]
        else:
            return 0
    if type(value) is int or hasattr(value, "__index__"):
        for i in range(n):
            out[i] = value
        return 0
    try:
        value = tuple(value)
    except TypeError:
        raise TensorTypeError(f"{op}(): argument '{arg}' must be int or tuple of ints, not {type(value).__name__}",
                              op=op) from None
    if len(value) != n and len(value) != 1:
        raise ShapeError(f"{op}: expected {arg} to be a single integer value or a list of {n} values to match the "
                         f"dimensions, but got {arg}={list(value)}", op=op)
    for i in range(n):
        item = value[0] if len(value) == 1 else value[i]
        if not hasattr(item, "__index__"):
            raise TensorTypeError(f"{op}(): argument '{arg}' must be tuple of ints, but found element of type "
                                  f"{type(item).__name__} at pos {i}", op=op)
        out[i] = item
    return 0


cdef bint recording(TensorBase a, TensorBase b, TensorBase c) noexcept:
    return grad_mode() and ((a is not None and a.rg) or (b is not None and b.rg) or (c is not None and c.rg))


cdef object float32_of(object t):
    return None if t is None else t.to(dtype_of(RT_F32))


cdef object like_dtype(object t, int dt):
    return t.to(dtype_of(dt))


cdef object bad_dtype(object op, TensorBase t):
    raise UnsupportedOpError(f"\"{op}\" not implemented for '{torch_name(t.dt)}'", op=op)


cdef int need_float(object op, TensorBase t) except -1:
    if t.dt != RT_F32 and t.dt != RT_F64 and (on_cpu(t) or not is_half(t)):
        bad_dtype(op, t)
    return 0


cdef int together(object op, TensorBase x, TensorBase y) except -1:
    if y is not None and y.dev != x.dev:
        raise DeviceError(f"{op}: expected all tensors to be on the same device, but found at least two devices, {(<object>x).device} and "
                          f"{(<object>y).device}", op=op)
    return 0


cdef int no_memory(object op) except -1:
    raise OutOfMemoryError(f"{op}: no memory for the work buffers", op=op)


cdef int add_sizes(list numbers, const int64_t *v, int n) except -1:
    cdef int i
    for i in range(n):
        numbers.append(v[i])
    return 0


cdef object sizes_text(TensorBase t):
    return str(list(shape_tuple(t)))


cdef object dtype_text(TensorBase t):
    return dtype_of(t.dt).name


cdef int axis_of(int i, int nd) noexcept:
    """The dimension that is i-th from the innermost, with channels innermost: 1, nd-1, ..., 2, 0."""
    return 1 if i == 0 else nd - i if i < nd - 1 else 0


cdef bint suggests_last(TensorBase t) noexcept:
    # the rule of c10/core/MemoryFormat.h, is_channels_last_strides: doubtful cases are row-major
    cdef int64_t least = 0
    cdef int i, d
    if (t.nd != 4 and t.nd != 5) or t.st[1] == 0:
        return False
    for i in range(t.nd):
        d = axis_of(i, t.nd)
        if t.sh[d] == 0 or t.st[d] < least or (d == 0 and least == t.st[1]):
            return False
        least = t.st[d]
        if t.sh[d] > 1:
            least *= t.sh[d]
    return True


def suggested_format(x):
    """The memory format that a tensor's strides speak of: channels innermost or row-major."""
    cdef TensorBase t = <TensorBase?>x
    if t.flags & F_CONTIG or not suggests_last(t):
        return contiguous_format
    return channels_last if t.nd == 4 else channels_last_3d


cdef object one_of(object x):
    return x[0] if isinstance(x, (tuple, list)) else x


cdef bint line_lies_last(TensorBase t) except -1:
    cdef int64_t sh[4]
    cdef int64_t st[4]
    if t.nd != 3 or t.flags & F_CONTIG:
        return False
    sh[0], sh[1], sh[2], sh[3] = t.sh[0], t.sh[1], 1, t.sh[2]
    st[0], st[1], st[2], st[3] = t.st[0], t.st[1], t.sh[2] * t.st[2], t.st[2]
    return suggests_last(view_raw(t, 4, sh, st, 0))


cdef void last_strides(int nd, const int64_t *sh, int64_t *st) noexcept:
    cdef int64_t step = 1
    cdef int i, d
    for i in range(nd):
        d = axis_of(i, nd)
        st[d] = step
        step *= sh[d]


cdef TensorBase empty_in_order(int nd, const int64_t *sh, int dt, int dev, bint last):
    cdef int64_t st[5]
    if not last:
        return empty(nd, sh, dt, dev)
    last_strides(nd, sh, st)
    return empty_strided(nd, sh, st, dt, dev)


cdef TensorBase in_order(TensorBase t, bint last):
    cdef TensorBase out
    cdef int64_t st[5]
    cdef int i
    if not last:
        return contiguous_raw(t)
    last_strides(t.nd, t.sh, st)
    for i in range(t.nd):
        if t.sh[i] != 1 and t.st[i] != st[i]:
            out = empty_strided(t.nd, t.sh, st, t.dt, t.dev)
            copy_raw(out, t)
            return out
    return t


cdef object grad_function = None               # autograd's grad, handed in from the floor above


def set_grad_function(fn):
    """Install the function that differentiates recorded operators (called by autograd)."""
    global grad_function
    grad_function = fn


cdef object pull_back(object fn, list inputs, list wanted, object g):
    cdef Py_ssize_t i
    cdef list heads = [], grads = [], leaves = [], out = []
    # a view of each input: one tensor that stands in two places has a gradient for each
    inputs = [x if x is None else x.view_as(x) for x in inputs]
    results = fn(*inputs)
    if not isinstance(results, (tuple, list)):
        results = (results,)
        g = (g,)
    for i in range(len(g)):
        if g[i] is not None and results[i] is not None and results[i].requires_grad:
            heads.append(results[i])
            grads.append(g[i])
    for i in range(len(inputs)):
        if wanted[i] and inputs[i] is not None:
            leaves.append(inputs[i])
    got = iter(grad_function(heads, leaves, grads, create_graph=True, allow_unused=True) if heads else [None] * len(leaves))
    for i in range(len(inputs)):
        out.append(next(got) if wanted[i] and inputs[i] is not None else None)
    return tuple(out)
