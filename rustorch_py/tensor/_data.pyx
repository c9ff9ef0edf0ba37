"""Tensors from Python data, and back: tensor(), as_tensor, asarray, from_numpy, frombuffer, tolist, item.

NumPy is never imported here: arrays are recognised once somebody imported it, and read through
the buffer protocol.
"""
import sys

from cpython.buffer cimport (PyObject_GetBuffer, PyBuffer_Release, Py_buffer, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE,
                             PyBUF_SIMPLE)
from cpython.float cimport PyFloat_CheckExact, PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_FromDouble
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_Check, PyLong_FromLongLong
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.complex cimport PyComplex_Check
from cpython.bool cimport PyBool_Check
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t
from ._base cimport *
from ._storage cimport borrow_storage
from ._dtype cimport dtype_code, dtype_of, default_code, default_complex, promote, device_code, torch_name
from ._plan cimport number_to, element_to_py, contiguous_raw, copy_raw, cast_raw, clone_raw, full_
from ._create cimport check_layout
from ._function cimport set_plain_call
from ._ops cimport cast, clone, to_device, detach, expand_to, inplace_begin, inplace_end
from . import _dlpack
from ..errors import DTypeError, ShapeError, TensorError, TensorTypeError, TensorValueError, AutogradError

cdef extern from *:
    """
    static inline long long rt_as_ll(PyObject *o, int *overflow) { return PyLong_AsLongLongAndOverflow(o, overflow); }
    """
    long long rt_as_ll(object o, int *overflow) except? -1


cdef object _ndarray = None


cdef object ndarray_type():
    global _ndarray
    if _ndarray is None:
        numpy = sys.modules.get("numpy")
        _ndarray = getattr(numpy, "ndarray", None)       # None while NumPy itself is being imported
    return _ndarray


cdef inline bint is_array(object x):
    cdef object kind = ndarray_type()
    return kind is not None and isinstance(x, kind)


# ---- shapes and dtypes of nested data --------------------------------------------------------------
cdef inline bint is_scalar(object x):
    return PyFloat_Check(x) or PyLong_Check(x) or PyComplex_Check(x)


cdef inline bint is_sequence(object x):
    if type(x) is list or type(x) is tuple:
        return True
    if is_scalar(x) or isinstance(x, (str, bytes, dict, set, frozenset, TensorBase)):
        return False
    return hasattr(x, "__len__") and hasattr(x, "__getitem__")


cdef int numpy_code(object x) except -2:
    """dtype of a NumPy scalar or array; -1 when x is neither."""
    cdef object d = getattr(x, "dtype", None)
    if d is None or type(d).__module__.partition(".")[0] != "numpy":
        return -1
    return format_code(d.char, d.itemsize, x)


cdef int nested_shape(object data, int64_t *sh) except -1:
    """Sizes along the first elements; returns the number of dimensions."""
    cdef int nd = 0
    cdef object item = data
    while True:
        if not is_sequence(item):                         # a tensor is a number here, or refused, as in PyTorch
            if isinstance(item, str) and nd:
                raise TensorValueError(f"too many dimensions '{type(item).__name__}'", op="tensor")
            return nd
        if nd >= RT_MAX_DIM:
            too_deep(item)
        sh[nd] = len(item)
        nd += 1
        if sh[nd - 1] == 0:
            return nd
        item = item[0]


cdef object too_deep(object item):
    raise TensorValueError(f"too many dimensions '{type(item).__name__}'", op="tensor")


cdef int infer(object x) except -1:
    """dtype of data, as torch.tensor chooses it."""
    cdef int code = -1, one
    cdef object item
    if type(x) is list or type(x) is tuple:
        for item in x:
            if PyFloat_CheckExact(item):
                one = default_code()
            else:
                one = infer(item)
            code = one if code < 0 else code if code == one else promote(code, one)
            if code == RT_C128:
                break
        return default_code() if code < 0 else code
    if PyBool_Check(x):
        return RT_BOOL
    if PyLong_Check(x):
        return RT_I64
    if PyFloat_CheckExact(x):
        return default_code()
    if PyComplex_Check(x) and type(x) is complex:
        return default_complex()
    if isinstance(x, TensorBase):
        return (<TensorBase>x).dt
    if isinstance(x, (str, bytes)):
        raise TensorTypeError(f"new(): invalid data type '{type(x).__name__}'", op="tensor")
    one = numpy_code(x)
    if one >= 0:
        return one
    if PyFloat_Check(x):
        return default_code()
    if PyComplex_Check(x):
        return default_complex()
    if is_sequence(x):
        return infer(list(x))
    if hasattr(x, "__index__"):
        return RT_I64
    if hasattr(x, "__float__"):
        return default_code()
    raise TensorError(f"Could not infer dtype of {type(x).__name__}", op="tensor")


# ---- storing -------------------------------------------------------------------------------------------
cdef object raise_overflow(int dt):
    raise DTypeError(f"value cannot be converted to type {dtype_of(dt).name} without overflow", op="tensor")


cdef int store(object x, int dt, char *p) except -1:
    """One Python number into one element, refusing what torch.tensor refuses."""
    cdef long long i
    cdef double d
    cdef int over = 0
    if PyFloat_CheckExact(x):
        d = PyFloat_AS_DOUBLE(x)
        if dt == RT_F32:
            (<float *>p)[0] = <float>d
            return 0
        if dt == RT_F64:
            (<double *>p)[0] = d
            return 0
    elif isinstance(x, TensorBase):
        x = (<object>x).item()
    elif not is_scalar(x):
        if numpy_code(x) >= 0:
            if rt_kind(dt) == RT_KIND_INT and rt_kind(numpy_code(x)) >= RT_KIND_FLOAT:
                raise TensorTypeError(f"'numpy.{type(x).__name__}' object cannot be interpreted as an integer", op="tensor")
            x = x.item()
        elif hasattr(x, "__index__"):
            x = x.__index__()
        elif hasattr(x, "__float__"):
            x = float(x)
        elif rt_kind(dt) <= RT_KIND_INT:
            raise TensorTypeError(f"'{type(x).__name__}' object cannot be interpreted as an integer", op="tensor")
        else:
            raise TensorTypeError(f"must be real number, not {type(x).__name__}", op="tensor")
    if dt == RT_BOOL:
        (<uint8_t *>p)[0] = 1 if x else 0
        return 0
    if rt_kind(dt) == RT_KIND_INT:
        if PyComplex_Check(x):
            raise TensorTypeError("'complex' object cannot be interpreted as an integer", op="tensor")
        if dt >= RT_NLOOPED:
            number_to(x, dt, p)
            return 0
        if PyFloat_Check(x):
            d = x
            if not (-9223372036854775808.0 <= d < 9223372036854775808.0):
                raise_overflow(dt)
            i = <long long>d
        else:
            i = rt_as_ll(x, &over)
            if over:
                raise TensorValueError("Overflow when unpacking long long", op="tensor")
        if dt == RT_I64:
            (<int64_t *>p)[0] = i
        elif dt == RT_I32:
            if i < -2147483648 or i > 2147483647:
                raise_overflow(dt)
            (<int32_t *>p)[0] = <int32_t>i
        elif dt == RT_I16:
            if i < -32768 or i > 32767:
                raise_overflow(dt)
            (<int16_t *>p)[0] = <int16_t>i
        elif dt == RT_I8:
            if i < -128 or i > 127:
                raise_overflow(dt)
            (<int8_t *>p)[0] = <int8_t>i
        else:
            if i < -255 or i > 255:                        # negative numbers wrap, as in torch
                raise_overflow(dt)
            (<uint8_t *>p)[0] = <uint8_t>i
        return 0
    if PyComplex_Check(x) and rt_kind(dt) == RT_KIND_FLOAT:
        raise TensorTypeError("must be real number, not complex", op="tensor")
    number_to(x, dt, p)
    return 0


cdef char *store_nested(object x, int dim, int nd, const int64_t *sh, int dt, char *p) except NULL:
    """Write x (dimensions dim..nd) row-major at p; returns where the next element goes."""
    cdef int64_t n, i
    cdef int size = rt_itemsize(dt)
    cdef object item
    if dim == nd:
        store(x, dt, p)
        return p + size
    if not (type(x) is list or type(x) is tuple):
        if isinstance(x, str) and len(x) != sh[dim]:
            wrong_length(sh[dim], dim, len(x))
        if not is_sequence(x):
            raise TensorTypeError("not a sequence", op="tensor")
        x = list(x)
    n = len(x)
    if n != sh[dim]:
        wrong_length(sh[dim], dim, n)
    if dim == nd - 1:
        if dt == RT_I64:
            for item in x:
                if type(item) is int:
                    (<int64_t *>p)[0] = store_int(item)
                else:
                    store_leaf(item, dt, p)
                p += 8
        else:
            for item in x:
                store_leaf(item, dt, p)
                p += size
        return p
    for item in x:
        p = store_nested(item, dim + 1, nd, sh, dt, p)
    return p


cdef inline int64_t store_int(object x) except? -1:
    cdef int over = 0
    cdef long long i = rt_as_ll(x, &over)
    if over:
        raise TensorValueError("Overflow when unpacking long long", op="tensor")
    return i


cdef inline int store_leaf(object x, int dt, char *p) except -1:
    if isinstance(x, TensorBase) and (<TensorBase>x).n != 1:
        if rt_kind(dt) == RT_KIND_INT:
            raise TensorTypeError("only integer tensors of a single element can be converted to an index", op="tensor")
        raise TensorValueError("only one element tensors can be converted to Python scalars; torch.stack joins tensors", op="tensor")
    return store(x, dt, p)


cdef object wrong_length(int64_t want, int dim, int64_t got):
    raise TensorValueError(f"expected sequence of length {want} at dim {dim} (got {got})", op="tensor")


cdef TensorBase from_data(object data, int dt, int dev):
    cdef int64_t sh[64]
    cdef int nd, code
    cdef TensorBase t, src
    if isinstance(data, str):
        raise TensorTypeError(f"new(): invalid data type '{type(data).__name__}'", op="tensor")
    if isinstance(data, TensorBase):
        src = <TensorBase>data
        t = clone_raw(cast_raw(src, src.dt if dt < 0 else dt))
        return to_device(t, dev)
    if is_array(data) or (not is_scalar(data) and numpy_code(data) >= 0 and not is_sequence(data)) or \
            (type(data).__module__ == "numpy" and is_scalar(data)):
        if not is_array(data):                             # NumPy scalar
            code = numpy_code(data)
            t = full_(0, NULL, data.item(), code, RT_CPU)
        else:
            src = share_array(data, False)
            t = clone_raw(src)
            if not is_contig(t):
                src = t
                t = empty_like_shape(src, src.dt)
                copy_raw(t, src)
        t = cast_raw(t, t.dt if dt < 0 else dt)
        return to_device(t, dev)
    if not is_scalar(data) and not isinstance(data, (list, tuple)) and hasattr(data, "__cuda_array_interface__"):
        src = <TensorBase>_dlpack.from_cuda_array_interface(data)
        return to_device(clone_raw(cast_raw(src, src.dt if dt < 0 else dt)), dev if dev else src.dev)
    nd = nested_shape(data, sh)
    if dt < 0:
        dt = infer(data)
    t = empty(nd, sh, dt, RT_CPU)
    if t.n:                                                # as in torch, data without elements are not looked at further
        store_nested(data, 0, nd, sh, dt, t.ptr)
    return to_device(t, dev)


cdef int set_requires_grad(TensorBase t, bint on) except -1:
    if on and rt_kind(t.dt) < RT_KIND_FLOAT:
        raise AutogradError("Only Tensors of floating point and complex dtype can require gradients", op="requires_grad_")
    t.rg = on
    return 0


# ---- arrays and buffers ------------------------------------------------------------------------------------
cdef object unsupported_array(object x):
    kind = x.dtype.type if hasattr(x, "dtype") else type(x)
    raise TensorTypeError(f"can't convert np.ndarray of type {kind.__module__}.{kind.__name__}. The only supported types are: float64, "
                          "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.", op="from_numpy")


cdef int format_code(str fmt, int64_t size, object x) except -1:
    """dtype of a struct format character (as NumPy's dtype.char or the buffer protocol spell it)."""
    if fmt and fmt[0] in "<>!=@|":
        if fmt[0] in ">!" and size > 1:
            raise TensorValueError("given numpy array has byte order different from the native byte order. Conversion between byte "
                                   "orders is currently not supported.", op="from_numpy")
        fmt = fmt[1:]
    if fmt == "?":
        return RT_BOOL
    if fmt in ("b", "h", "i", "l", "q", "p"):
        if size == 1:
            return RT_I8
        if size == 2:
            return RT_I16
        return RT_I32 if size == 4 else RT_I64
    if fmt in ("B", "H", "I", "L", "Q"):
        return RT_U8 if size == 1 else RT_U16 if size == 2 else RT_U32 if size == 4 else RT_U64
    if fmt == "e":
        return RT_F16
    if fmt == "f":
        return RT_F32
    if fmt == "d":
        return RT_F64
    if fmt == "Zf" or fmt == "F":
        return RT_C64
    if fmt == "Zd" or fmt == "D":
        return RT_C128
    unsupported_array(x)


cdef TensorBase share_array(object array, bint warn_readonly):
    cdef Py_buffer view
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i, code, nd
    cdef int64_t extent = 0, n = 1
    cdef TensorBase t
    cdef bint readonly = not array.flags.writeable
    if array.dtype.hasobject or array.dtype.kind not in "biufc":
        unsupported_array(array)
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT | (0 if readonly else PyBUF_WRITABLE))
    try:
        code = format_code((<bytes>view.format).decode(), view.itemsize, array)
        nd = view.ndim
        for i in range(nd):
            sh[i] = view.shape[i]
            n *= sh[i]
        for i in range(nd):
            if view.strides[i] < 0 and n:
                raise TensorValueError("At least one stride in the given numpy array is negative, and tensors with negative strides are "
                                       "not currently supported. (You can probably work around this by making a copy of your array "
                                       " with array.copy().) ", op="from_numpy")
            if view.strides[i] % view.itemsize:
                raise TensorValueError("given numpy array strides not a multiple of the element byte size. Copy the numpy array to "
                                       "reallocate the memory.", op="from_numpy")
            st[i] = view.strides[i] // view.itemsize
            extent += (sh[i] - 1) * view.strides[i]
        t = new_tensor()
        t.dt, t.dev = code, RT_CPU
        set_dims(t, nd, sh, st)
        t.stor = borrow_storage(<char *>view.buf, <size_t>(extent + view.itemsize) if n else 0, RT_CPU, array)
        t.stor.readonly = readonly
        t.ptr = <char *>view.buf
    finally:
        PyBuffer_Release(&view)
    if readonly and warn_readonly:
        import warnings
        warnings.warn("The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing "
                      "to this tensor will result in undefined behavior. You may want to copy the array to protect its data or make "
                      "it writable before converting it to a tensor. This type of warning will be suppressed for the rest of this "
                      "program.", UserWarning, stacklevel=2)
    return t


def from_numpy(array):
    """Return a tensor that shares the array's memory.

    Raises:
        TypeError: not an array, or an element type without a tensor equivalent.
        ValueError: negative strides or foreign byte order.
    """
    if not is_array(array):
        raise TensorTypeError(f"expected np.ndarray (got {type(array).__name__})", op="from_numpy")
    return share_array(array, True)


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """Return a 1-d tensor over the memory of an object with the buffer protocol.

    Args:
        buffer: bytes, bytearray, memoryview, array.array, mmap ...
        dtype: element type.
        count: number of elements; -1 takes what there is.
        offset: bytes to skip at the beginning.
    """
    cdef Py_buffer view
    cdef int code = dtype_code("frombuffer", dtype)
    cdef int64_t size = rt_itemsize(code), length, n = count, skip = offset
    cdef bint readonly
    cdef TensorBase t
    try:
        keep = memoryview(buffer)                           # holds the exporter's lock: it cannot be resized meanwhile
    except TypeError:
        raise TensorValueError(f"could not retrieve buffer from object of type {type(buffer).__name__}", op="frombuffer") from None
    readonly = keep.readonly
    PyObject_GetBuffer(keep, &view, PyBUF_SIMPLE)
    try:
        length = view.len
        if readonly:
            import warnings
            warnings.warn("The given buffer is not writable, and PyTorch does not support non-writable tensors. This means you can "
                          "write to the underlying (supposedly non-writable) buffer using the tensor. You may want to copy the buffer "
                          "to protect its data or make it writable before converting it to a tensor. This type of warning will be "
                          "suppressed for the rest of this program.", UserWarning, stacklevel=1)
        if length == 0 or n == 0:
            raise TensorValueError(f"both buffer length ({length}) and count ({n}) must not be 0", op="frombuffer")
        if skip < 0 or skip >= length:
            raise TensorValueError(f"offset ({skip} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1",
                                   op="frombuffer")
        if n < 0:
            if (length - skip) % size:
                raise TensorValueError(f"buffer length ({length - skip} bytes) after offset ({skip} bytes) must be a multiple of element "
                                       f"size ({size})", op="frombuffer")
            n = (length - skip) // size
        elif n * size > length - skip:
            raise TensorValueError(f"requested buffer length ({n} * {size} bytes) after offset ({skip} bytes) must not be greater than "
                                   f"actual buffer length ({length} bytes)", op="frombuffer")
        t = new_tensor()
        t.dt, t.dev = code, RT_CPU
        set_dims(t, 1, &n, NULL)
        t.stor = borrow_storage(<char *>view.buf, <size_t>length, RT_CPU, keep)
        t.stor.readonly = readonly
        t.ptr = <char *>view.buf + skip
    finally:
        PyBuffer_Release(&view)
    set_requires_grad(t, requires_grad)
    return t


# ---- public makers -------------------------------------------------------------------------------------------
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """Make a tensor from numbers, nested sequences, an array or a tensor; always copies.

    Args:
        data: what to copy. Without dtype, ints become int64, floats the default dtype.
        requires_grad: record operators on the result.
        pin_memory: page-locked memory (:meth:`Tensor.pin_memory`).
    Example:
        >>> tensor([[1, 2], [3, 4]]).shape
        torch.Size([2, 2])
    """
    cdef int dt = -1 if dtype is None else dtype_code("tensor", dtype)
    cdef TensorBase t
    if isinstance(data, TensorBase):
        import warnings
        warnings.warn("To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                      "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).", UserWarning,
                      stacklevel=2)
        t = from_data(data, dt, (<TensorBase>data).dev if device is None else device_code("tensor", device))
    else:
        t = from_data(data, dt, device_code("tensor", device))
    if pin_memory:
        t = (<object>t).pin_memory()
    if requires_grad:
        set_requires_grad(t, True)
    return t


def new_tensor_(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Make a tensor of data with self's dtype and device; always copies."""
    cdef TensorBase like = as_base("new_tensor", "self", self), t
    check_layout("new_tensor", layout, pin_memory)
    t = from_data(data, like.dt if dtype is None else dtype_code("new_tensor", dtype),
                  like.dev if device is None else device_code("new_tensor", device))
    if requires_grad:
        set_requires_grad(t, True)
    return t


def as_tensor(data, dtype=None, device=None):
    """Make a tensor from data without a copy where the memory can be shared (tensors and arrays)."""
    cdef int dt = -1 if dtype is None else dtype_code("as_tensor", dtype)
    cdef TensorBase t
    if isinstance(data, TensorBase):
        t = <TensorBase>data
        if device is not None:
            t = to_device(t, device_code("as_tensor", device))
        return t if dt < 0 else cast(t, dt)
    if is_array(data):
        t = share_array(data, True)
        return to_device(cast_raw(t, t.dt if dt < 0 else dt), device_code("as_tensor", device))
    if not is_scalar(data) and not isinstance(data, (list, tuple)) and hasattr(data, "__cuda_array_interface__"):
        t = <TensorBase>_dlpack.from_cuda_array_interface(data)
        t = cast_raw(t, t.dt if dt < 0 else dt)
        return t if device is None else to_device(t, device_code("as_tensor", device))
    return from_data(data, dt, device_code("as_tensor", device))


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """Make a tensor from a tensor, array, DLPack capsule, buffer, scalar or sequence.

    Args:
        copy: True copies always, False refuses to copy (ValueError), None copies when it must.
    """
    cdef int dt = -1 if dtype is None else dtype_code("asarray", dtype)
    cdef TensorBase t = None, out
    cdef int dev
    if isinstance(obj, TensorBase):
        t = <TensorBase>obj
    elif is_array(obj):
        t = share_array(obj, True)
    elif type(obj).__name__ == "PyCapsule" or (hasattr(obj, "__dlpack__") and numpy_code(obj) < 0):
        t = <TensorBase>_dlpack.from_dlpack(obj)
    elif not is_scalar(obj) and not isinstance(obj, (list, tuple, str)) and numpy_code(obj) < 0:
        try:
            memoryview(obj)
        except TypeError:
            pass
        else:
            t = <TensorBase>frombuffer(obj, dtype=dtype_of(default_code() if dt < 0 else dt))
    if t is None:
        if copy is False:
            raise TensorValueError("can't alias arbitrary sequence into a tensor.", op="asarray")
        out = from_data(obj, dt, device_code("asarray", device))
    else:
        dev = t.dev if device is None else device_code("asarray", device)
        if copy is False:
            if dt >= 0 and dt != t.dt:
                raise TensorValueError(f"can't alias tensor with dtype '{torch_name(t.dt)}' into dtype '{torch_name(dt)}'.", op="asarray")
            if dev != t.dev:
                raise TensorValueError("can't alias tensor across devices.", op="asarray")
        out = to_device(cast(t, t.dt if dt < 0 else dt), dev)
        if copy and out is t:
            out = clone(t)
        if out.rg and not requires_grad:
            out = detach(out)
        elif requires_grad and out is obj and not out.rg:
            out = detach(out)
    if requires_grad and not out.rg:
        set_requires_grad(out, True)
    return out


def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Make a 0-dim tensor from a number, in the default dtype unless told."""
    cdef TensorBase t = full_(0, NULL, s, default_complex() if dtype is None and isinstance(s, complex) else default_code() if dtype is None
                              else dtype_code("scalar_tensor", dtype), device_code("scalar_tensor", device))
    set_requires_grad(t, requires_grad)
    return t


# ---- back to Python -------------------------------------------------------------------------------------------------
def item(self):
    """Return the value of a tensor with one element as a Python number."""
    cdef TensorBase t = as_base("item", "self", self)
    if t.n != 1:
        raise TensorError(f"a Tensor with {t.n} elements cannot be converted to Scalar", op="item")
    if t.dev != RT_CPU:
        t = to_device(t, RT_CPU)
    return element_to_py(t.ptr, t.dt)


cdef object plain_item(PyObject *const *args, Py_ssize_t n):
    # Borrowed throughout, the commonest dtype first: the whole call takes some 25 ns
    if n != 1 or not isinstance(<object>args[0], TensorBase) or (<TensorBase>args[0]).n != 1 or (<TensorBase>args[0]).dev != RT_CPU:
        return None
    if (<TensorBase>args[0]).dt == RT_F32:
        return <double>(<const float *>(<TensorBase>args[0]).ptr)[0]
    return element_to_py((<TensorBase>args[0]).ptr, (<TensorBase>args[0]).dt)


set_plain_call(item, plain_item)


cdef list nested_list(TensorBase t, int dim, const char *p):
    cdef int64_t i, n = t.sh[dim], step = t.st[dim] * rt_itemsize(t.dt)
    cdef list out = PyList_New(n)
    cdef object x
    for i in range(n):
        if dim < t.nd - 1:
            x = nested_list(t, dim + 1, p)
        elif t.dt == RT_F32:
            x = PyFloat_FromDouble((<const float *>p)[0])
        elif t.dt == RT_I64:
            x = PyLong_FromLongLong((<const int64_t *>p)[0])
        else:
            x = element_to_py(p, t.dt)
        Py_INCREF(x)
        PyList_SET_ITEM(out, i, x)
        p += step
    return out


def tolist(self):
    """Return the values as nested lists of Python numbers; a 0-dim tensor gives the number."""
    cdef TensorBase t = as_base("tolist", "self", self)
    if t.dev != RT_CPU:
        t = to_device(t, RT_CPU)
    return element_to_py(t.ptr, t.dt) if t.nd == 0 else nested_list(t, 0, t.ptr)


cdef int each(TensorBase t, object fn, list others) except -1:
    """t[i] = fn(t[i], others[i]...) for every element, in row-major order."""
    cdef TensorBase flat = empty_like_shape(t, t.dt), o
    cdef list columns = []
    cdef int64_t k
    cdef int item = rt_itemsize(t.dt)
    if t.rg:
        raise AutogradError("Can't call apply_() or map_() on a tensor that requires grad. Use tensor.detach() first.", op="apply_")
    if t.dev != RT_CPU:
        raise TensorTypeError("apply_ and map_ work on CPU tensors only", op="apply_")
    copy_raw(flat, t)
    for x in others:
        o = as_base("map_", "tensor", x)
        columns.append(contiguous_raw(expand_to(detach(o), t.nd, t.sh)))
    for k in range(flat.n):
        args = [element_to_py(flat.ptr + k * item, t.dt)]
        for x in columns:
            o = <TensorBase>x
            args.append(element_to_py(o.ptr + k * rt_itemsize(o.dt), o.dt))
        store(fn(*args), t.dt, flat.ptr + k * item)
    inplace_begin("apply_", t)
    copy_raw(t, flat)
    inplace_end(t, None)
    return 0


def apply_(self, callable):
    """Replace every element by ``callable(element)``, one Python call each; CPU only."""
    each(as_base("apply_", "self", self), callable, [])
    return self


def map_(self, tensor, callable):
    """Replace every element by ``callable(element, other element)``; `tensor` broadcasts to this one."""
    each(as_base("map_", "self", self), callable, [tensor])
    return self


def legacy(args, device):
    """Data of ``Tensor(*args)``: sizes, a sequence, an array or a tensor, in the default float dtype."""
    cdef int64_t sh[64]
    cdef int i
    cdef int dev = device_code("Tensor", device)
    cdef object first
    if len(args) == 1 and not isinstance(args[0], int):
        first = args[0]
        if isinstance(first, TensorBase):
            if (<TensorBase>first).dt != default_code():
                raise TensorTypeError(f"expected {torch_name(default_code())} (got {torch_name((<TensorBase>first).dt)})", op="Tensor")
            return alias(<TensorBase>first)
        if type(first).__name__ == "Size":
            args = tuple(first)
        else:
            return from_data(first, default_code(), dev)
    if not args:
        args = (0,)
    if len(args) > RT_MAX_DIM:
        raise ShapeError(f"Tensor: at most {RT_MAX_DIM} dimensions, got {len(args)}", op="Tensor")
    for i in range(len(args)):
        try:
            sh[i] = args[i].__index__()
        except AttributeError:
            raise TensorTypeError(f"new(): expected sizes or one sequence, got {type(args[i]).__name__}", op="Tensor") from None
        if sh[i] < 0:
            raise ShapeError(f"Trying to create tensor with negative dimension {sh[i]}: {list(args)}", op="Tensor")
    return empty(<int>len(args), sh, default_code(), dev)


SLOTS = {"legacy": legacy}
NN_ONLY = ("tensor", "_make_tensor")        # the package rustorch_py.tensor is itself what rustorch_py.tensor(...) calls
FUNCTIONS = {"tensor": tensor, "_make_tensor": tensor, "as_tensor": as_tensor, "asarray": asarray, "from_numpy": from_numpy, "frombuffer": frombuffer,
             "scalar_tensor": scalar_tensor}
METHODS = {"item": item, "tolist": tolist, "new_tensor": new_tensor_, "apply_": apply_, "map_": map_}
