"""Making tensors: empty, zeros, ones, full, arange, linspace, logspace, eye and their _like and new_ forms."""
from math import comb
from cpython.object cimport PyObject
from libc.math cimport ceil
from libc.string cimport memset
from ._base cimport *
from ._ops cimport alloc_out, deliver, cast, binary
from ._plan cimport fill_value, is_number, copy_raw
from ._dtype cimport dtype_code, dtype_of, torch_name, default_code, default_complex, device_code
from ._function cimport set_plain_call
from ._view cimport parse_shape, plain_sizes
from ._view import broadcast_tensors
from ._view_complex import _complex_of
from . import _rows
from ._dtype import strided, contiguous_format, preserve_format, channels_last
from ._backend cimport RT_CUDA, backend_of, peek_backend
from ._storage cimport borrow_storage
from ._devices import has_kernel, kernel_of, run as run_on_device
from ..errors import BackendUnavailableError, DTypeError, ShapeError, TensorError, TensorTypeError, TensorValueError
include "_row_ids.pxi"


cdef int size_of(object op, tuple size, object kw_size, int64_t *sh) except -1:
    cdef int nd, i
    if kw_size is not None:
        size = (kw_size,)
    nd = parse_shape(op, size, sh)
    for i in range(nd):
        if sh[i] < 0:
            raise ShapeError(f"Trying to create tensor with negative dimension {sh[i]}: {[sh[j] for j in range(nd)]}", op=op)
    return nd


cdef int check_layout(object op, object layout, object pin_memory) except -1:
    if layout is not None and layout is not strided:
        if type(layout) is not type(strided):
            raise TensorTypeError(f"{op}(): argument 'layout' must be torch.layout, not {type(layout).__name__}", op=op)
        raise TensorValueError(f"{op}: only the strided layout exists, got {layout}")
    if pin_memory:
        raise BackendUnavailableError(f"{op}: pin_memory=True needs a CUDA device; without one, and for this function, call pin_memory() "
                                      "of the result", op=op)
    return 0


cdef bint cuda_is_there():
    if peek_backend(RT_CUDA) is NULL:
        try:
            backend_of(RT_CUDA)
        except BackendUnavailableError:
            return False
    return True


cdef TensorBase pinned(object op, TensorBase t):
    """A new tensor of the CPU in page-locked memory, with whatever was there."""
    cdef size_t nbytes = t.stor.nbytes
    if t.dev:
        raise TensorError(f"{op}: Only dense CPU tensors can be pinned", op=op)
    if nbytes:
        block = kernel_of("cuda", "pinned")(nbytes)
        t.stor = borrow_storage(<char *><size_t>block.address, nbytes, 0, block)
        t.ptr = t.stor.ptr
    return t


cdef object finish(object op, TensorBase t, bint requires_grad, object names=None):
    if requires_grad:
        if rt_kind(t.dt) < RT_KIND_FLOAT:
            raise TensorTypeError("Only Tensors of floating point and complex dtype can require gradients")
        t.rg = True
    return t


cdef object restride(TensorBase t, object memory_format):
    """An empty tensor in channels_last order, if asked for."""
    cdef int64_t st[64]
    cdef int i
    cdef int64_t s = 1
    if memory_format is None or memory_format is contiguous_format or memory_format is preserve_format:
        return t
    if t.nd != (4 if memory_format is channels_last else 5):
        raise ShapeError(f"required rank {4 if memory_format is channels_last else 5} tensor to use {memory_format} format")
    st[1] = 1
    s = t.sh[1]
    for i in range(t.nd - 1, 1, -1):
        st[i] = s
        s *= t.sh[i]
    st[0] = s
    set_dims(t, t.nd, t.sh, st)
    return t


cdef TensorBase make(object op, tuple size, object kw_size, object out, object dtype, object layout, object device, object pin_memory):
    cdef int64_t sh[64]
    cdef int nd = size_of(op, size, kw_size, sh)
    cdef int dt
    check_layout(op, layout, pin_memory and not cuda_is_there())
    if pin_memory and out is None:
        return pinned(op, empty(nd, sh, default_code() if dtype is None else dtype_code(op, dtype), device_code(op, device)))
    if out is not None:
        return alloc_out(op, out, nd, sh, (<TensorBase?>out).dt if dtype is None else dtype_code(op, dtype), (<TensorBase?>out).dev)
    dt = default_code() if dtype is None else dtype_code(op, dtype)
    return empty(nd, sh, dt, device_code(op, device))


def empty_(*size_, size=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None, names=None):
    """Return a tensor with whatever was in memory."""
    return finish("empty", restride(make("empty", size_, size, out, dtype, layout, device, pin_memory), memory_format), requires_grad)


def zeros(*size_, size=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Return a tensor of zeros.

    Args:
        *size: ints, or one sequence of ints.
        dtype: default: the default float dtype.
    """
    cdef TensorBase t = make("zeros", size_, size, out, dtype, layout, device, pin_memory)
    fill_value(t, 0)
    return finish("zeros", t, requires_grad)


def ones(*size_, size=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Return a tensor of ones."""
    cdef TensorBase t = make("ones", size_, size, out, dtype, layout, device, pin_memory)
    fill_value(t, 1)
    return finish("ones", t, requires_grad)


cdef TensorBase plain_room(PyObject *const *args, Py_ssize_t n, int dt, int dev):
    """A tensor of the sizes that a call gives by place; None: another call."""
    cdef int64_t sh[16]
    cdef int nd = plain_sizes(args, n, sh), i
    for i in range(nd):
        if sh[i] < 0:
            return None
    return None if nd < 0 else empty(nd, sh, dt, dev)


cdef TensorBase plain_room_like(PyObject *const *args, Py_ssize_t n):
    """`plain_room` of the dtype of the first argument, a tensor of the CPU."""
    if n < 2 or not isinstance(<object>args[0], TensorBase) or (<TensorBase>args[0]).dev != RT_CPU:
        return None
    return plain_room(args + 1, n - 1, (<TensorBase>args[0]).dt, RT_CPU)


cdef object zeroed(TensorBase t):
    if t is not None:
        if RT_DEVICE_TYPE(t.dev) == RT_CPU and t.n <= 4096:
            if t.n:                             # nothing has no address
                memset(t.ptr, 0, <size_t>t.n * rt_itemsize(t.dt))
        else:
            fill_value(t, 0)
    return t


cdef object oned(TensorBase t):
    if t is not None:
        fill_value(t, 1)
    return t


cdef object plain_empty(PyObject *const *args, Py_ssize_t n):
    return plain_room(args, n, default_code(), device_code(None, None))


cdef object plain_zeros(PyObject *const *args, Py_ssize_t n):
    return zeroed(plain_room(args, n, default_code(), device_code(None, None)))


cdef object plain_ones(PyObject *const *args, Py_ssize_t n):
    return oned(plain_room(args, n, default_code(), device_code(None, None)))


cdef object plain_new_empty(PyObject *const *args, Py_ssize_t n):
    return plain_room_like(args, n)


cdef object plain_new_zeros(PyObject *const *args, Py_ssize_t n):
    return zeroed(plain_room_like(args, n))


cdef object plain_new_ones(PyObject *const *args, Py_ssize_t n):
    return oned(plain_room_like(args, n))


set_plain_call(empty_, plain_empty)
set_plain_call(zeros, plain_zeros)
set_plain_call(ones, plain_ones)


def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Return a tensor filled with one value; the dtype follows the value's type."""
    cdef int64_t sh[64]
    value = fill_value
    if isinstance(size, int):
        raise TensorTypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}", op="full")
    cdef int nd = size_of("full", (size,), None, sh), dt
    cdef TensorBase t
    check_layout("full", layout, pin_memory)
    if isinstance(value, TensorBase):
        if (<TensorBase>value).n != 1:
            raise TensorTypeError("full(): argument 'fill_value' must be Number, not Tensor")
        dt = (<TensorBase>value).dt
        value = value.item()
    elif isinstance(value, bool):
        dt = RT_BOOL
    elif isinstance(value, int):
        dt = RT_I64
    elif isinstance(value, complex):
        dt = default_complex()
    elif is_number(value):
        dt = default_code()
    else:
        raise TensorTypeError(f"full(): argument 'fill_value' must be Number, not {type(value).__name__}")
    if dtype is not None:
        dt = dtype_code("full", dtype)
    if out is not None:
        if (<TensorBase?>out).dt != dt:
            raise DTypeError(f"full(): dtype {dtype_of(dt)} does not match dtype of out parameter ({dtype_of((<TensorBase>out).dt)})", op="full")
        t = alloc_out("full", out, nd, sh, dt, (<TensorBase>out).dev)
    else:
        t = empty(nd, sh, dt, device_code("full", device))
    _fill(t, value)
    return finish("full", t, requires_grad)


cdef int _fill(TensorBase t, object value) except -1:
    return fill_value(t, value)


# ---- like -----------------------------------------------------------------------------------------------
cdef TensorBase like(object op, object input, object dtype, object layout, object device, object memory_format):
    cdef TensorBase t = as_base(op, "input", input), r
    cdef int dt = t.dt if dtype is None else dtype_code(op, dtype)
    cdef int dev = t.dev if device is None else device_code(op, device)
    check_layout(op, layout, False)
    if memory_format is None or memory_format is preserve_format:
        if dev == t.dev:
            return empty_preserve(t, dt)
        return empty(t.nd, t.sh, dt, dev)
    return restride(empty(t.nd, t.sh, dt, dev), memory_format)


def empty_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    """Return an uninitialised tensor of input's shape."""
    return finish("empty_like", like("empty_like", input, dtype, layout, device, memory_format), requires_grad)


def zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False, out=None):
    """Return zeros of input's shape."""
    cdef TensorBase t = like("zeros_like", input, dtype, layout, device, memory_format)
    fill_value(t, 0)
    return finish("zeros_like", t, requires_grad)


def ones_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    """Return ones of input's shape."""
    cdef TensorBase t = like("ones_like", input, dtype, layout, device, memory_format)
    fill_value(t, 1)
    return finish("ones_like", t, requires_grad)


def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    """Return input's shape filled with one value."""
    cdef TensorBase t = like("full_like", input, dtype, layout, device, memory_format)
    _fill(t, fill_value.item() if isinstance(fill_value, TensorBase) else fill_value)
    return finish("full_like", t, requires_grad)


# ---- new_ methods ----------------------------------------------------------------------------------------
cdef dict like_self(object self, dict kw):
    cdef TensorBase t = as_base("new", "self", self)
    if kw.get("dtype") is None:
        kw["dtype"] = dtype_of(t.dt)
    if kw.get("device") is None:
        kw["device"] = self.device
    return kw


def new_empty(self, *size_, size=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Return an uninitialised tensor of self's dtype and device."""
    return empty_(*size_, **like_self(self, {"size": size, "dtype": dtype, "device": device, "requires_grad": requires_grad, "layout": layout}))


def new_zeros(self, *size_, size=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Return zeros of self's dtype and device."""
    return zeros(*size_, **like_self(self, {"size": size, "dtype": dtype, "device": device, "requires_grad": requires_grad, "layout": layout}))


def new_ones(self, *size_, size=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Return ones of self's dtype and device."""
    return ones(*size_, **like_self(self, {"size": size, "dtype": dtype, "device": device, "requires_grad": requires_grad, "layout": layout}))


set_plain_call(new_empty, plain_new_empty)
set_plain_call(new_zeros, plain_new_zeros)
set_plain_call(new_ones, plain_new_ones)


def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Return a filled tensor of self's dtype and device."""
    return full(size, fill_value, **like_self(self, {"dtype": dtype, "device": device, "requires_grad": requires_grad, "layout": layout}))


def new_empty_strided(self, size, stride, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Return an uninitialised tensor with given strides, self's dtype and device."""
    return empty_strided_(size, stride, **like_self(self, {"dtype": dtype, "device": device, "requires_grad": requires_grad, "layout": layout}))


def empty_strided_(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return an uninitialised tensor with given strides."""
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int nd = size_of("empty_strided", (size,), None, sh), i
    if parse_shape("empty_strided", (stride,), st) != nd:
        raise ShapeError(f"mismatch in length of strides and shape: {len(stride)} and {nd}")
    for i in range(nd):
        if st[i] < 0:
            raise ShapeError(f"empty_strided: negative strides are not supported, got {list(stride)}")
    return finish("empty_strided", empty_strided(nd, sh, st, default_code() if dtype is None else dtype_code("empty_strided", dtype),
                                                 device_code("empty_strided", device)), requires_grad)


def empty_permuted(size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return an uninitialised tensor whose memory order is ``physical_layout`` (outermost first)."""
    size, order = list(size), list(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise ShapeError(f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {len(size)} "
                         f"is not equal to len(physical_layout) = {len(order)}, or a dimension is duplicated")
    stride, s = [0] * len(size), 1
    for d in reversed(order):
        stride[d] = s
        s *= max(size[d], 1)
    return empty_strided_(size, stride, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


# ---- ranges -------------------------------------------------------------------------------------------------
cdef object plain(object x):
    return x.item() if isinstance(x, TensorBase) else x


def arange(start=None, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return ``start, start + step, ...`` below ``end``; int64 when all are integers."""
    cdef int dt, i
    cdef int64_t sh[1]
    cdef int64_t k, s64, d64
    cdef double s, d
    cdef TensorBase t, r
    if end is None:
        start, end = 0, start
    elif start is None:
        start = 0
    if end is None or step is None:
        raise TensorTypeError("arange(): expected numbers for start, end and step, got None", op="arange")
    start, end, step = plain(start), plain(end), plain(step)
    if isinstance(start, complex) or isinstance(end, complex) or isinstance(step, complex):
        raise TensorValueError("arange(): value cannot be converted to type double without overflow: a complex number", op="arange")
    if step == 0:
        raise ShapeError("step must be nonzero", op="arange")
    if isinstance(start, float) or isinstance(end, float) or isinstance(step, float):
        if not (-1e300 < start < 1e300 and -1e300 < end < 1e300):
            raise ShapeError(f"unsupported range: {start} -> {end}", op="arange")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise ShapeError("upper bound and lower bound inconsistent with step sign", op="arange")
    if dtype is not None:
        dt = dtype_code("arange", dtype)
    elif out is not None:
        dt = (<TensorBase?>out).dt
    elif isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        dt = RT_I64
    else:
        dt = default_code()
    if dt == RT_BOOL or rt_kind(dt) == RT_KIND_COMPLEX:
        raise DTypeError(f"\"arange\" not implemented for '{torch_name(dt)}'", op="arange")
    if rt_kind(dt) <= RT_KIND_INT and int(step) == 0:
        raise TensorValueError(f"step must be nonzero, got {step} for {dtype_of(dt)}", op="arange")
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        sh[0] = (end - start + step - (1 if step > 0 else -1)) // step
    elif dt == RT_I64:
        sh[0] = <int64_t>ceil((int(end) - int(start)) / <double>int(step)) if int(step) else 0
    else:
        sh[0] = <int64_t>ceil((<double>end - <double>start) / <double>step)
    r = place_there("arange", "arange", sh[0], dt, out, device)
    if r is not None:
        if rt_kind(dt) <= RT_KIND_INT:
            run_on_device("arange", r, int(start), int(step), 0.0, 0.0)
        else:
            run_on_device("arange", r, 0, 0, <double>start, <double>step)
        if out is not None:
            bump(r)
            return r
        return finish("arange", r, requires_grad)
    t = empty(1, sh, RT_I64 if rt_kind(dt) <= RT_KIND_INT else RT_F64, 0)
    if rt_kind(dt) <= RT_KIND_INT:
        s64 = int(start)
        d64 = int(step)
        for k in range(sh[0]):
            (<int64_t *>t.ptr)[k] = s64 + k * d64
    else:
        s = start
        d = step
        for k in range(sh[0]):
            (<double *>t.ptr)[k] = s + k * d
    return settle("arange", t, dt, out, device, requires_grad)


cdef TensorBase place_there(object op, object kernel, int64_t n, int dt, object out, object device):
    """The result of n numbers if a kernel of its device makes them; None: they are made on the host, :func:`settle`."""
    cdef int dev = (<TensorBase?>out).dev if out is not None else device_code(op, device)
    cdef TensorBase r
    if RT_DEVICE_TYPE(dev) == RT_CPU or RT_DEVICE_TYPE(dev) == RT_SHELL or dt == RT_BOOL or dt > RT_F64:
        return None
    r = empty(1, &n, dt, dev)
    if not has_kernel(kernel, r):
        return None
    return r if out is None else alloc_out(op, out, 1, &n, dt, dev)


cdef object settle(object op, TensorBase t, int dt, object out, object device, bint requires_grad):
    """Convert the work tensor to its dtype and device, or into out."""
    cdef TensorBase r
    cdef int dev = device_code(op, device)
    if out is not None:
        r = alloc_out(op, out, t.nd, t.sh, dt, (<TensorBase?>out).dev)
        copy_raw(r, t)
        bump(r)
        return r
    r = t
    if t.dt != dt or dev != t.dev:
        r = empty(t.nd, t.sh, dt, dev)
        copy_raw(r, t)
    return finish(op, r, requires_grad)


def range_(start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """Return ``start ... end`` with the end included (deprecated in PyTorch; use arange)."""
    n = int((end - start) / step) + 1
    cdef TensorBase r
    cdef int dt = default_code() if dtype is None else dtype_code("range", dtype)
    if rt_kind(dt) == RT_KIND_FLOAT and out is None:
        r = place_there("range", "arange", n, dt, None, device)
        if r is not None:
            run_on_device("arange", r, 0, 0, <double>start, <double>step)
            return finish("range", r, requires_grad)
    t = arange(n, dtype=dtype_of(RT_F64))
    return settle("range", t * step + start, dt, out, device, requires_grad)


cdef int64_t count_of(object op, object steps) except -1:
    if isinstance(steps, float):
        raise TensorTypeError(f"{op}(): argument 'steps' must be int, not float", op=op)
    if steps < 0:
        raise ShapeError(f"number of steps must be non-negative", op=op)
    return steps


cdef object spaced_there(object op, double start, double end, object steps, double base, int dt, object out, object device, bint requires_grad):
    """linspace, or with a base logspace, by a device's kernel; None: it is made on the host."""
    cdef int64_t n = count_of(op, steps)
    cdef TensorBase r = place_there(op, "spaced", n, dt, out, device)
    if r is None:
        return None
    run_on_device("spaced", r, start, end, (end - start) / (n - 1) if n > 1 else 0.0, base)
    if out is not None:
        bump(r)
        return r
    return finish(op, r, requires_grad)


cdef TensorBase spaced(object op, object start, object end, object steps):
    cdef int64_t sh[1]
    cdef int64_t k, half, n = count_of(op, steps)
    cdef double a, b, d
    cdef TensorBase t
    sh[0] = n
    t = empty(1, sh, RT_F64, 0)
    a = start
    b = end
    d = (b - a) / (n - 1) if n > 1 else 0
    half = n // 2
    for k in range(n):                   # from both ends, so that both are exact
        (<double *>t.ptr)[k] = a + k * d if k < half else b - (n - 1 - k) * d
    if n == 1:
        (<double *>t.ptr)[0] = a
    return t


cdef object end_point(str op, str name, object x):
    """A bound as a number."""
    if isinstance(x, TensorBase) and (<TensorBase>x).nd:
        raise ShapeError(f"{op} only supports 0-dimensional start and end tensors, but got {name} with {(<TensorBase>x).nd} dimension(s)", op=op)
    return plain(x)


def linspace(start, end, steps, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return ``steps`` evenly spaced numbers from start to end, both included."""
    start, end = end_point("linspace", "start", start), end_point("linspace", "end", end)
    cdef int dt = dtype_code("linspace", dtype) if dtype is not None else (<TensorBase>out).dt if out is not None else \
        default_complex() if isinstance(start, complex) or isinstance(end, complex) else default_code()
    cdef TensorBase t
    if rt_kind(dt) != RT_KIND_COMPLEX and (isinstance(start, complex) or isinstance(end, complex)):
        raise TensorValueError(f"linspace(): inferred dtype complex can't be safely cast to {dtype_of(dt)}", op="linspace")
    if rt_kind(dt) == RT_KIND_COMPLEX:
        t = binary(ROW_ADD, spaced("linspace", complex(start).real, complex(end).real, steps),
                   binary(ROW_MUL, spaced("linspace", complex(start).imag, complex(end).imag, steps), 1j, None), None)
        return settle("linspace", t, dt, out, device, requires_grad)
    if rt_kind(dt) <= RT_KIND_INT:                # integer ends first, as PyTorch
        start, end = int(start), int(end)
    found = spaced_there("linspace", start, end, steps, 0, dt, out, device, requires_grad)
    if found is not None:
        return found
    return settle("linspace", spaced("linspace", start, end, steps), dt, out, device, requires_grad)


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return ``base`` raised to evenly spaced exponents."""
    cdef int dt = dtype_code("logspace", dtype) if dtype is not None else (<TensorBase>out).dt if out is not None else default_code()
    start, end = end_point("logspace", "start", start), end_point("logspace", "end", end)
    if isinstance(start, complex) or isinstance(end, complex):
        raise TensorValueError(f"logspace(): inferred dtype complex can't be safely cast to {dtype_of(dt)}", op="logspace")
    if rt_kind(dt) <= RT_KIND_INT:
        start, end = int(start), int(end)
    if base != 0 and rt_kind(dt) != RT_KIND_COMPLEX:
        found = spaced_there("logspace", start, end, steps, base, dt, out, device, requires_grad)
        if found is not None:
            return found
    return settle("logspace", binary(ROW_POW, float(base), spaced("logspace", start, end, steps), None), dt, out, device, requires_grad)


def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return the identity matrix of n rows and m (default n) columns."""
    cdef int64_t i, rows = n, cols = n if m is None else m
    if rows < 0 or cols < 0:
        raise ShapeError(f"n must be greater or equal to 0, got {min(rows, cols)}", op="eye")
    cdef int64_t sh[2]
    cdef TensorBase t
    if out is None and dtype is None and layout is None and device is None:
        sh[0], sh[1] = rows, cols
        t = zeroed(empty(2, sh, default_code(), device_code(None, None)))
    else:
        t = zeros((rows, cols), out=out, dtype=dtype, layout=layout, device=device)
    if t.dt == RT_F32 and t.dev == RT_CPU and t.flags & F_CONTIG:
        for i in range(rows if rows < cols else cols):
            (<float *>t.ptr)[i * (cols + 1)] = 1
    else:
        fill_value(t.diagonal(), 1)
    return finish("eye", t, requires_grad)


cdef enum:
    FEW = 16384            # elements that one loop without a plan puts together


cdef TensorBase interleaved(TensorBase a, TensorBase b):
    """Two dense tensors as the parts of a complex one. Not recorded."""
    cdef TensorBase t = empty(a.nd, a.sh, RT_C64 if a.dt == RT_F32 else RT_C128, RT_CPU)
    cdef const float *re = <const float *>a.ptr
    cdef const float *im = <const float *>b.ptr
    cdef float *z = <float *>t.ptr
    cdef const double *wide_re = <const double *>a.ptr
    cdef const double *wide_im = <const double *>b.ptr
    cdef double *wide = <double *>t.ptr
    cdef int64_t i
    if a.dt == RT_F32:
        for i in range(a.n):
            z[2 * i] = re[i]
            z[2 * i + 1] = im[i]
    else:
        for i in range(a.n):
            wide[2 * i] = wide_re[i]
            wide[2 * i + 1] = wide_im[i]
    return t


def complex_(real, imag, *, out=None):
    """Build a complex tensor from its parts."""
    cdef TensorBase a = as_base("complex", "real", real), b = as_base("complex", "imag", imag)
    if a.dt != b.dt:
        raise DTypeError(f"Expected object of scalar type {dtype_of(a.dt).name} but got scalar type {dtype_of(b.dt).name} for second argument")
    if a.dt != RT_F32 and a.dt != RT_F64 and a.dt != RT_F16:
        raise DTypeError(f"Expected both inputs to be Half, Float or Double tensors but got {dtype_of(a.dt).name} and {dtype_of(b.dt).name}")
    if out is not None and as_base("complex", "out", out).dt != (RT_C64 if a.dt == RT_F32 else RT_C128 if a.dt == RT_F64 else RT_C32):
        raise DTypeError(f"Expected object of scalar type {dtype_of(a.dt).to_complex().name} but got scalar type {out.dtype.name} for argument 'out'", op="complex")
    if not same_shape(a, b):
        a, b = broadcast_tensors(a, b)
    elif out is None and a.n <= FEW and a.dev == RT_CPU and b.dev == RT_CPU and a.dt != RT_F16 and a.flags & b.flags & F_CONTIG \
            and not ((a.rg or b.rg) and grad_mode()):
        return interleaved(a, b)
    return deliver("complex", _complex_of(a, b), out)


def polar(abs, angle, *, out=None):
    """Build a complex tensor from absolute values and angles (radians)."""
    return complex_(_rows.mul(abs, _rows.cos(angle)), _rows.mul(abs, _rows.sin(angle)), out=out)


def combination_places(int64_t n, int64_t r, bint replacement):
    """Every ascending choice of r of n places, as int64 rows (choices, r) in order. replacement: a place may be taken again."""
    cdef int64_t sh[2]
    cdef int64_t m, j, k
    cdef int64_t *row
    cdef int64_t *last
    cdef TensorBase out
    sh[0], sh[1] = comb(n + r - 1 if replacement and n + r else n, r), r
    out = empty(2, sh, RT_I64, RT_CPU)
    if out.n == 0:
        return out
    row = <int64_t *>out.ptr
    with nogil:
        for k in range(r):
            row[k] = 0 if replacement else k
        for m in range(1, sh[0]):
            last, row = row, row + r
            j = r - 1                                     # the last place that may move on
            while last[j] == (n - 1 if replacement else n - r + j):
                j -= 1
            for k in range(j):
                row[k] = last[k]
            row[j] = last[j] + 1
            for k in range(j + 1, r):
                row[k] = row[j] if replacement else row[k - 1] + 1
    return out


FUNCTIONS = {"empty": empty_, "zeros": zeros, "ones": ones, "full": full, "empty_like": empty_like, "zeros_like": zeros_like, "ones_like": ones_like,
             "full_like": full_like, "empty_strided": empty_strided_, "empty_permuted": empty_permuted, "arange": arange, "range": range_,
             "linspace": linspace, "logspace": logspace, "eye": eye, "complex": complex_, "polar": polar}
METHODS = {"new_empty": new_empty, "new_zeros": new_zeros, "new_ones": new_ones, "new_full": new_full, "new_empty_strided": new_empty_strided}
