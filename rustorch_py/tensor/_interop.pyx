# build: cold
"""NumPy, torch, pickle and copy: a tensor's other faces, and storage objects.

Pickles keep sharing: tensors on one storage name the same storage object, which the pickler
writes once.
"""
import copyreg
import importlib
import sys

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy
from ._base cimport *
from ._storage cimport Storage, export_for_good, new_storage, written
from ._dtype cimport dtype_of, dtype_code, default_code, device_of, device_code, torch_name
from ._plan cimport copy_raw, element_to_py, fill_value, number_to
from ._ops cimport to_device, detach, resize_
from . import _create, _data, _dlpack
from ..errors import AutogradError, DimError, DTypeError, MissingDependencyError, TensorError, TensorTypeError, TensorValueError


# ---- NumPy ------------------------------------------------------------------------------------------------
cdef extern from *:
    """
    /* NumPy's table of C functions, found when an array is first asked for: the package is built without NumPy. The
     * positions are part of its binary interface and the same in all of 1.x and 2.x. */
    enum { NP_ARRAY_TYPE = 2, NP_DESCR_FROM_TYPE = 45, NP_NEW_FROM_DESCR = 94, NP_SET_BASE_OBJECT = 282, NP_WRITEABLE = 0x400 };
    static void **rt_numpy;

    static int rt_take_numpy(PyObject *table) {
        rt_numpy = (void **)PyCapsule_GetPointer(table, NULL);
        return rt_numpy ? 0 : -1;
    }
    static int rt_numpy_ready(void) { return rt_numpy != NULL; }

    /* NumPy's number of a dtype, by which a C long is int64 where it has 8 bytes; -1: it has none */
    static int rt_numpy_type(int dt) {
        enum { I64 = sizeof(long) == 8 ? 7 : 9, U64 = sizeof(long) == 8 ? 8 : 10 };
        static const signed char types[] = {0, 2, 1, 3, 5, I64, 23, -1, 11, 12, 14, 15, -1, 4, 6, U64};
        return dt < (int)sizeof types ? types[dt] : -1;
    }

    /* An array over memory that `owner` keeps alive. */
    static PyObject *rt_numpy_array(int type, int nd, const int64_t *shape, const int64_t *step_bytes, void *data, int readonly, PyObject *owner) {
        static char nothing[16];
        PyObject *descr = ((PyObject *(*)(int))rt_numpy[NP_DESCR_FROM_TYPE])(type), *array;
        if (!descr) return NULL;
        array = ((PyObject *(*)(void *, PyObject *, int, const Py_ssize_t *, const Py_ssize_t *, void *, int, PyObject *))rt_numpy[NP_NEW_FROM_DESCR])(
            rt_numpy[NP_ARRAY_TYPE], descr, nd, (const Py_ssize_t *)shape, (const Py_ssize_t *)step_bytes, data ? data : nothing,
            readonly ? 0 : NP_WRITEABLE, NULL);
        if (!array) return NULL;
        Py_INCREF(owner);
        if (((int (*)(PyObject *, PyObject *))rt_numpy[NP_SET_BASE_OBJECT])(array, owner) < 0) { Py_DECREF(array); return NULL; }
        return array;
    }
    """
    int rt_take_numpy(object table) except -1
    bint rt_numpy_ready()
    int rt_numpy_type(int dt)
    object rt_numpy_array(int type, int nd, const int64_t *shape, const int64_t *step_bytes, void *data, int readonly, object owner)


cdef int load_numpy() except -1:
    numpy = importlib.import_module("numpy")
    return rt_take_numpy(importlib.import_module("numpy._core" if hasattr(numpy, "_core") else "numpy.core").multiarray._ARRAY_API)


cdef object as_array(TensorBase t):
    cdef int64_t steps[64]
    cdef int i, kind = rt_numpy_type(t.dt)
    if kind < 0:
        raise TensorTypeError(f"Got unsupported ScalarType {torch_name(t.dt)}; NumPy has no {dtype_of(t.dt).name}, convert with "
                              f"{'.cfloat()' if t.dt == RT_C32 else '.float()'} first", op="numpy")
    if not rt_numpy_ready():
        load_numpy()
    for i in range(t.nd):
        steps[i] = t.st[i] * rt_itemsize(t.dt)
    export_for_good(t.stor)
    return rt_numpy_array(kind, t.nd, t.sh, steps, t.ptr, t.stor.readonly, detach(t))      # t itself may be given other memory (.data, set_)


def numpy(self, *, force=False):
    """Return an array that shares this CPU tensor's memory.

    Args:
        force: detach, move to the CPU and copy as needed, instead of raising.
    Raises:
        RuntimeError: the tensor requires grad and gradients are recorded.
        TypeError: a dtype that NumPy has not (bfloat16, 8-bit floats, complex32), or a tensor on another device.
    """
    cdef TensorBase t = as_base("numpy", "self", self)
    if t.rg:
        if not force and grad_mode():
            raise AutogradError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.", op="numpy")
        t = detach(t)
    if RT_DEVICE_TYPE(t.dev) != RT_CPU:
        if not force:
            raise TensorTypeError(f"can't convert {device_of(t.dev)} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
                                  "host memory first.", op="numpy")
        t = to_device(t, RT_CPU)
    return as_array(t)


def __array__(self, dtype=None, copy=None):
    """Return the tensor as an array, for NumPy's functions."""
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise TensorValueError("__array__: another dtype needs a copy, and copy=False forbids it")
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self, array, context=None, return_scalar=False):
    """Make the result of a NumPy function on tensors a tensor again."""
    if not hasattr(array, "flags") or not hasattr(array, "shape"):
        return array
    if isinstance(array, _data_ndarray()):
        return _data.from_numpy(array)
    return _data.tensor(array)


cdef object _data_ndarray():
    return sys.modules["numpy"].ndarray


# ---- torch ------------------------------------------------------------------------------------------------
cdef object torch_package(str op):
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise MissingDependencyError(f"{op}: PyTorch is not installed; install the extra rustorch-py[torch]", op=op) from None


def from_torch(tensor):
    """Return a tensor that shares memory with a torch.Tensor (detached; requires_grad is kept for leaves)."""
    cdef TensorBase t
    if type(tensor).__module__.partition(".")[0] != "torch" or not hasattr(tensor, "__dlpack__"):
        raise TensorTypeError(f"from_torch: expected a torch.Tensor, got {type(tensor).__name__}", op="from_torch")
    t = <TensorBase?>_dlpack.from_dlpack(tensor.detach())
    t.rg = tensor.requires_grad
    return t


def to_torch(self):
    """Return a torch.Tensor that shares this tensor's memory (detached; requires_grad is kept)."""
    cdef TensorBase t = as_base("to_torch", "self", self)
    torch = torch_package("to_torch")
    return torch.from_dlpack(_dlpack.__dlpack__(detach(t))).requires_grad_(bool(t.rg))


cdef extern from "type_name.h":
    int rt_type_name(PyTypeObject *type, const char *name) except -1


# ---- storage ----------------------------------------------------------------------------------------------
cdef class UntypedStorage:
    """The block of memory under a tensor, as bytes. Equal (``==``) for views of one block.

    Args:
        size: number of bytes (uninitialised), or the bytes themselves as a sequence of ints.
    """
    cdef Storage stor

    def __init__(self, size=0, *, device=None):
        self.stor = <Storage>made_storage(size, RT_U8, device)

    @classmethod
    def from_buffer(cls, buffer, byte_order=None, count=-1, offset=0, *, dtype=None):
        """Copy the elements of a buffer; ``byte_order`` ("native", "little", "big") is needed above one byte an element."""
        return wrap_storage(buffer_storage(buffer, byte_order, count, offset, RT_U8 if dtype is None else dtype_code("from_buffer", dtype)))

    def copy_(self, source, non_blocking=False):
        """Copy the bytes of another storage of the same size."""
        copy_bytes(self.stor, storage_of("copy_", source))
        return self

    def fill_(self, value):
        """Set every byte."""
        fill_value(byte_tensor(self.stor), value)
        written(self.stor)
        return self

    def cpu(self):
        """Return the storage on the host: itself when it is there."""
        return self if RT_DEVICE_TYPE(self.stor.device) == RT_CPU else wrap_storage(host_storage(self.stor))

    def untyped(self):
        """Return the storage itself."""
        return self

    def type(self):
        return "torch.UntypedStorage"

    def nbytes(self):
        """Return the size in bytes."""
        return self.stor.nbytes

    def size(self):
        """Return the size in bytes."""
        return self.stor.nbytes

    def __len__(self):
        return self.stor.nbytes

    def element_size(self):
        return 1

    def data_ptr(self):
        """Return the address of the first byte."""
        export_for_good(self.stor)
        return <size_t>self.stor.ptr

    @property
    def device(self):
        return device_of(self.stor.device)

    @property
    def is_cuda(self):
        return RT_DEVICE_TYPE(self.stor.device) == RT_CUDA

    def is_shared(self):
        return False

    def is_pinned(self, device=None):
        return False

    def tolist(self):
        """Return the bytes as a list of ints."""
        return list(storage_bytes(self.stor))

    def __getitem__(self, i):
        return storage_bytes(self.stor)[i]

    def __setitem__(self, int64_t i, int value):
        if i < 0:
            i += <int64_t>self.stor.nbytes
        if i < 0 or i >= <int64_t>self.stor.nbytes or RT_DEVICE_TYPE(self.stor.device) != RT_CPU:
            raise DimError(f"index {i} out of range for storage of size {self.stor.nbytes}", op="storage")
        (<uint8_t *>self.stor.ptr)[i] = value
        written(self.stor)

    def __eq__(self, other):
        return isinstance(other, UntypedStorage) and (<UntypedStorage>other).stor is self.stor

    def __hash__(self):
        return <Py_ssize_t>(<void *>self.stor) >> 4

    def __reduce__(self):
        return _storage, (self.stor, None)

    def resize_(self, size):
        """Change the size in bytes, keeping what fits. Memory is given back when the last tensor over it goes."""
        cdef Storage s = self.stor, fresh
        cdef size_t n = size, kept
        if s.owner is not None and not isinstance(s.owner, Storage):
            raise TensorError("resize_: the memory belongs to another object and cannot be resized", op="resize_")
        if n <= s.got:                                  # tensors have its address: it stays where it is
            s.nbytes = n
            return self
        fresh = new_storage(n, s.device)
        kept = s.nbytes
        if kept:
            byte_tensor(fresh)[:kept].copy_(byte_tensor(s)[:kept])
        fresh.owner, s.owner = s.owner, fresh           # the old block, which tensors made before still read
        fresh.ptr, s.ptr = s.ptr, fresh.ptr
        fresh.got, s.got = s.got, fresh.got
        fresh.nbytes, s.nbytes = s.nbytes, fresh.nbytes
        s.writes += 1
        return self

    def clone(self):
        """Return a copy of the memory."""
        return wrap_storage(copy_storage(self.stor))

    def __repr__(self):
        return f"[torch.storage.UntypedStorage(device={device_of(self.stor.device)}) of size {self.stor.nbytes}]"


cdef class TypedStorage:
    """The block of memory under a tensor, as elements of one dtype.

    Args:
        size: number of elements (uninitialised), or the elements themselves as a sequence of numbers.
        wrap_storage: take this UntypedStorage's memory, instead of a size.
        dtype: type of the elements (default: the default dtype).
    """
    cdef Storage stor
    cdef int dt

    def __init__(self, size=0, *, wrap_storage=None, dtype=None, device=None):
        self.dt = default_code() if dtype is None else dtype_code("TypedStorage", dtype)
        if wrap_storage is None:
            self.stor = <Storage>made_storage(size, self.dt, device)
            return
        if size != 0 or device is not None:
            raise TensorError("TypedStorage: no size and no device can be given beside wrap_storage", op="TypedStorage")
        if not isinstance(wrap_storage, UntypedStorage):
            raise TensorTypeError(f"TypedStorage: wrap_storage must be UntypedStorage, got {type(wrap_storage).__name__}", op="TypedStorage")
        self.stor = (<UntypedStorage>wrap_storage).stor

    @classmethod
    def from_buffer(cls, buffer, byte_order=None, count=-1, offset=0, *, dtype=None):
        """Copy the elements of a buffer; ``byte_order`` ("native", "little", "big") is needed above one byte an element."""
        cdef int dt = default_code() if dtype is None else dtype_code("from_buffer", dtype)
        return typed(buffer_storage(buffer, byte_order, count, offset, dt), dt)

    def copy_(self, source, non_blocking=False):
        """Copy the elements of another storage of the same length, converting them."""
        cdef TypedStorage s
        if not isinstance(source, TypedStorage):
            copy_bytes(self.stor, storage_of("copy_", source))
            return self
        s = <TypedStorage>source
        if len(s) != len(self):
            raise TensorError(f"copy_: a storage of {len(s)} elements does not fit into one of {len(self)}", op="copy_")
        copy_raw(element_tensor(self.stor, self.dt), element_tensor(s.stor, s.dt))
        written(self.stor)
        return self

    def __reduce__(self):
        return _storage, (self.stor, dtype_of(self.dt))

    def fill_(self, value):
        """Set every element."""
        fill_value(element_tensor(self.stor, self.dt), value)
        written(self.stor)
        return self

    def resize_(self, size):
        """Change the number of elements, keeping what fits."""
        wrap_storage(self.stor).resize_(size * rt_itemsize(self.dt))

    def clone(self):
        """Return a copy of the memory."""
        return typed(copy_storage(self.stor), self.dt)

    def cpu(self):
        """Return the storage on the host: itself when it is there."""
        return self if RT_DEVICE_TYPE(self.stor.device) == RT_CPU else typed(host_storage(self.stor), self.dt)

    def type(self, dtype=None):
        """Return the storage's type by name, or convert the elements to a dtype."""
        if dtype is None:
            return f"torch.{torch_name(self.dt)}Storage"
        return self._to(dtype_code("type", dtype))

    def _to(self, int dt):
        cdef TensorBase t
        if dt == self.dt:
            return self
        t = empty_like_shape(element_tensor(self.stor, self.dt), dt)
        copy_raw(t, element_tensor(self.stor, self.dt))
        return typed(t.stor, dt)

    def float(self):
        """Convert the elements to float32."""
        return self._to(RT_F32)

    def double(self):
        """Convert the elements to float64."""
        return self._to(RT_F64)

    def half(self):
        """Convert the elements to float16."""
        return self._to(RT_F16)

    def bfloat16(self):
        """Convert the elements to bfloat16."""
        return self._to(RT_BF16)

    def long(self):
        """Convert the elements to int64."""
        return self._to(RT_I64)

    def int(self):
        """Convert the elements to int32."""
        return self._to(RT_I32)

    def short(self):
        """Convert the elements to int16."""
        return self._to(RT_I16)

    def char(self):
        """Convert the elements to int8."""
        return self._to(RT_I8)

    def byte(self):
        """Convert the elements to uint8."""
        return self._to(RT_U8)

    def bool(self):
        """Convert the elements to bool."""
        return self._to(RT_BOOL)

    def complex_float(self):
        """Convert the elements to complex64."""
        return self._to(RT_C64)

    def complex_double(self):
        """Convert the elements to complex128."""
        return self._to(RT_C128)

    def is_shared(self):
        return False

    def is_pinned(self, device=None):
        return False

    @property
    def is_cuda(self):
        return RT_DEVICE_TYPE(self.stor.device) == RT_CUDA

    def __setitem__(self, i, value):
        cdef int64_t n = len(self), at
        if isinstance(i, slice):
            for at in range(*i.indices(n)):
                self[at] = value
            return
        at = i
        if at < -n or at >= n:
            raise DimError(f"index {at} out of range for storage of size {n}", op="storage")
        number_to(value, self.dt, self.stor.ptr + (at + n if at < 0 else at) * rt_itemsize(self.dt))
        written(self.stor)

    def untyped(self):
        """Return the same memory as bytes."""
        return wrap_storage(self.stor)

    @property
    def _untyped_storage(self):
        return wrap_storage(self.stor)

    @property
    def dtype(self):
        return dtype_of(self.dt)

    @property
    def device(self):
        return device_of(self.stor.device)

    def nbytes(self):
        """Return the size in bytes."""
        return self.stor.nbytes

    def size(self):
        """Return the number of elements."""
        return len(self)

    def __len__(self):
        return self.stor.nbytes // rt_itemsize(self.dt)

    def element_size(self):
        return rt_itemsize(self.dt)

    def data_ptr(self):
        """Return the address of the first element."""
        export_for_good(self.stor)
        return <size_t>self.stor.ptr

    def tolist(self):
        """Return the elements as a list of numbers."""
        return [self[i] for i in range(len(self))]

    def __getitem__(self, key):
        cdef int64_t n = len(self), i
        if isinstance(key, slice):
            raise TensorError("slices are only supported in UntypedStorage.__getitem__", op="storage")
        i = key
        if i < -n or i >= n:
            raise DimError(f"index {i} out of range for storage of size {n}", op="storage")
        return element_to_py(self.stor.ptr + (i + n if i < 0 else i) * rt_itemsize(self.dt), self.dt)

    def __iter__(self):
        return iter(self.tolist())

    def __eq__(self, other):
        return isinstance(other, TypedStorage) and (<TypedStorage>other).stor is self.stor

    def __hash__(self):
        return <Py_ssize_t>(<void *>self.stor) >> 4

    def __repr__(self):
        values = "".join(f" {v}\n" for v in self.tolist())
        return f"{values}[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


cdef UntypedStorage wrap_storage(Storage s):
    cdef UntypedStorage u = UntypedStorage.__new__(UntypedStorage)
    u.stor = s
    return u


cdef TypedStorage typed(Storage s, int dt):
    cdef TypedStorage u = TypedStorage.__new__(TypedStorage)
    u.stor, u.dt = s, dt
    return u


cdef object made_storage(object size, int dt, object device):
    """A fresh Storage: of a number of elements, or holding a sequence of numbers."""
    cdef int dev = 0 if device is None else device_code("storage", device)
    if isinstance(size, int):
        if size < 0:
            raise TensorError(f"storage: the size must not be negative, got {size}", op="storage")
        return new_storage(<size_t>size * rt_itemsize(dt), dev)
    return (<TensorBase>to_device(<TensorBase?>_data.tensor(list(size), dtype=dtype_of(dt)), dev)).stor


cdef Storage storage_of(object op, object s):
    if isinstance(s, UntypedStorage):
        return (<UntypedStorage>s).stor
    if isinstance(s, TypedStorage):
        return (<TypedStorage>s).stor
    raise TensorTypeError(f"{op}: expected a storage, got {type(s).__name__}", op=op)


cdef int copy_bytes(Storage to, Storage source) except -1:
    if to.nbytes != source.nbytes:
        raise TensorError(f"copy_: a storage of {source.nbytes} bytes does not fit into one of {to.nbytes}", op="copy_")
    copy_raw(byte_tensor(to), byte_tensor(source))
    written(to)
    return 0


cdef Storage buffer_storage(object buffer, object byte_order, int64_t count, int64_t offset, int dt):
    """The elements of a buffer in memory of their own, in this machine's byte order."""
    cdef bytes data = bytes(memoryview(buffer).cast("B"))
    cdef Storage s
    cdef int64_t size = rt_itemsize(dt), unit
    if byte_order not in (None, "native", "little", "big"):
        raise TensorValueError(f"invalid byte_order '{byte_order}' (expected 'big', 'little', or 'native')", op="from_buffer")
    if byte_order is None:
        if size > 1:
            raise TensorTypeError("from_buffer: the argument 'byte_order' is needed for elements of several bytes", op="from_buffer")
        byte_order = "native"
    if not data:
        raise TensorValueError(f"both buffer length (0) and count ({count}) must not be 0", op="from_buffer")
    if offset < 0 or offset >= len(data):
        raise TensorValueError(f"offset must be non-negative and no greater than buffer length ({len(data)}) , but got {offset}", op="from_buffer")
    if count < 0:
        if (len(data) - offset) % size:
            raise TensorValueError(f"buffer size ({len(data)}) must be a multiple of element size ({size})", op="from_buffer")
        count = (len(data) - offset) // size
    if offset + count * size > len(data):
        raise TensorValueError(f"buffer has only {len(data) - offset} elements after offset {offset}, but specified a size of {count}", op="from_buffer")
    data = data[offset:offset + count * size]
    unit = size // 2 if rt_kind(dt) == RT_KIND_COMPLEX else size
    if byte_order != "native" and byte_order != sys.byteorder and unit > 1:
        data = b"".join([data[i:i + unit][::-1] for i in range(0, len(data), unit)])
    s = new_storage(len(data), RT_CPU)
    if len(data):
        memcpy(s.ptr, <const char *>data, len(data))
    return s


cdef TensorBase element_tensor(Storage s, int dt):
    cdef TensorBase t = new_tensor()
    cdef int64_t n = <int64_t>s.nbytes // rt_itemsize(dt)
    t.dt, t.dev, t.stor, t.ptr = dt, s.device, s, s.ptr
    set_dims(t, 1, &n, NULL)
    return t


cdef bytes storage_bytes(Storage s):
    cdef TensorBase t
    if RT_DEVICE_TYPE(s.device) != RT_CPU:
        s = host_storage(s)
    return (<const uint8_t *>s.ptr)[:s.nbytes] if s.nbytes else b""


cdef TensorBase byte_tensor(Storage s):
    return element_tensor(s, RT_U8)


cdef Storage host_storage(Storage s):
    return to_device(byte_tensor(s), RT_CPU).stor


cdef Storage copy_storage(Storage s):
    cdef Storage fresh = new_storage(s.nbytes, s.device)
    if s.nbytes:
        if RT_DEVICE_TYPE(s.device) == RT_CPU:
            memcpy(fresh.ptr, s.ptr, s.nbytes)
        else:
            copy_raw(byte_tensor(fresh), byte_tensor(s))
    return fresh


def untyped_storage(self):
    """Return the block of memory under this tensor."""
    return wrap_storage(as_base("untyped_storage", "self", self).stor)


def storage(self):
    """Return the block of memory under this tensor as elements of its dtype."""
    cdef TensorBase t = as_base("storage", "self", self)
    return typed(t.stor, t.dt)


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Make this tensor share the memory and shape of ``source``, or own nothing.

    Args:
        source: a tensor of the same dtype, a storage (all its elements are taken unless ``size`` is given), or None.
        storage_offset, size, stride: place in the source's storage, in elements; the strides are contiguous ones if absent.
    Raises:
        DTypeError: the source has another dtype.
    """
    cdef TensorBase t = as_base("set_", "self", self), s
    cdef int64_t sh[1]
    if source is None:
        sh[0] = 0
        s = empty(1, sh, t.dt, t.dev)
    elif isinstance(source, UntypedStorage):
        s = element_tensor((<UntypedStorage>source).stor, t.dt)
    elif isinstance(source, TypedStorage):
        s = storage_tensor(source)
    else:
        s = as_base("set_", "source", source)
    if s.dt != t.dt:
        raise DTypeError(f"Could not set tensor of type {dtype_of(s.dt).name} to a tensor of type {dtype_of(t.dt).name}")
    if size is not None:
        s = s.as_strided(size, stride if stride is not None else new_strides(size), storage_offset)
    t.stor = s.stor
    t.ptr = s.ptr
    t.dev = s.dev
    set_dims(t, s.nd, s.sh, s.st)
    return t


cdef tuple new_strides(object size):
    out, s = [], 1
    for n in reversed(tuple(size)):
        out.append(s)
        s *= max(n, 1)
    return tuple(reversed(out))


# ---- pickle -----------------------------------------------------------------------------------------------
def _rebuild_storage(bytes data, device="cpu"):
    """Make a storage from pickled bytes."""
    cdef Storage s = new_storage(len(data), RT_CPU)
    if s.nbytes:
        memcpy(s.ptr, <const char *>data, s.nbytes)
    if device != "cpu":
        return to_device(byte_tensor(s), device_code("unpickle", device)).stor
    return s


def _storage(Storage s, code):
    """Make a storage object from a pickle; ``code`` is the dtype of a typed one."""
    return wrap_storage(s) if code is None else typed(s, dtype_code("unpickle", code))


def _reduce_storage(Storage s):
    return (_rebuild_storage, (storage_bytes(s), str(device_of(s.device))))


copyreg.pickle(Storage, _reduce_storage)
rt_type_name(<PyTypeObject *>UntypedStorage, b"rustorch_py.storage.UntypedStorage")
rt_type_name(<PyTypeObject *>TypedStorage, b"rustorch_py.storage.TypedStorage")


cdef TensorBase blank(object cls):
    """An instance of a Tensor class without data, its __init__ and __new__ not run."""
    cdef object plain = type(new_tensor())
    if cls is None or cls is plain:
        return new_tensor()
    return <TensorBase?>plain.__new__(cls)


cdef int set_geometry(TensorBase t, Storage s, int dt, int64_t offset, tuple size, tuple stride) except -1:
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i, nd = <int>len(size)
    cdef int64_t last = offset
    cdef bint any_ = True
    if nd > RT_MAX_DIM or len(stride) != nd or offset < 0:
        raise TensorValueError("unpickle: damaged tensor geometry", op="unpickle")
    for i in range(nd):
        sh[i], st[i] = size[i], stride[i]
        if sh[i] < 0 or st[i] < 0:
            raise TensorValueError("unpickle: damaged tensor geometry", op="unpickle")
        any_ = any_ and sh[i] != 0
        last += (sh[i] - 1) * st[i]
    if any_ and (last + 1) * rt_itemsize(dt) > <int64_t>s.nbytes:
        raise TensorValueError(f"unpickle: a tensor of shape {size} and strides {stride} at offset {offset} does not fit into a storage of "
                               f"{s.nbytes} bytes", op="unpickle")
    t.dt, t.dev, t.stor = dt, s.device, s
    t.ptr = s.ptr + offset * rt_itemsize(dt)
    set_dims(t, nd, sh, st)
    return 0


def _rebuild_tensor(cls, Storage stor, dtype, offset, size, stride, requires_grad, state=None):
    """Make a tensor of class `cls` (None: Tensor) over a storage; called by unpickling."""
    cdef TensorBase t = blank(cls)
    set_geometry(t, stor, dtype_code("unpickle", dtype), offset, size, stride)
    t.rg = requires_grad
    if state:
        add_attributes(t, state)
    return t


def _rebuild_meta(cls, dtype, size, stride, requires_grad, state=None):
    """Make a tensor on "meta"; called by unpickling."""
    cdef TensorBase t = blank(cls), like = _create.empty_strided_(size, stride, dtype=dtype, device="meta")
    set_geometry(t, like.stor, like.dt, 0, size, stride)
    t.rg = requires_grad
    if state:
        add_attributes(t, state)
    return t


cdef int add_attributes(object t, dict state) except -1:
    t.__dict__.update(state)
    return 0


cdef object attributes(TensorBase t):
    """What the user hung on the tensor, or None."""
    cdef object d = getattr(t, "__dict__", None)
    return dict(d) if d else None


def __reduce_ex__(self, protocol):
    """Pickle storage, geometry, requires_grad and attributes; history is left behind."""
    cdef TensorBase t = as_base("__reduce_ex__", "self", self)
    cdef object cls = type(t)
    if RT_DEVICE_TYPE(t.dev) == RT_META:
        return (_rebuild_meta, (None if cls is type(new_tensor()) else cls, dtype_of(t.dt), shape_tuple(t), stride_tuple(t), bool(t.rg), attributes(t)))
    return (_rebuild_tensor, (None if cls is type(new_tensor()) else cls, t.stor, dtype_of(t.dt), storage_offset(t), shape_tuple(t),
                              stride_tuple(t), bool(t.rg), attributes(t)))


# ---- copy -------------------------------------------------------------------------------------------------
def __deepcopy__(self, memo):
    """Copy data, gradient and attributes; views of one storage stay views of one storage."""
    cdef TensorBase t = as_base("__deepcopy__", "self", self), out
    cdef Storage s
    if id(t) in memo:
        return memo[id(t)]
    if history(t) is not None:
        raise AutogradError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If "
                            "you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage; use "
                            "tensor.detach().clone() to copy the values.", op="deepcopy")
    key = ("storage", id(t.stor))
    s = memo.get(key)
    if s is None:
        s = copy_storage(t.stor)
        memo[key] = s
        memo.setdefault(id(memo), []).append(t.stor)       # the id stays taken while memo lives
    out = blank(type(t))
    memo[id(t)] = out
    set_geometry(out, s, t.dt, storage_offset(t), shape_tuple(t), stride_tuple(t))
    out.rg = t.rg
    if t.grad_ is not None:
        out.grad_ = t.grad_.__deepcopy__(memo)
    attrs = attributes(t)
    if attrs:
        import copy
        add_attributes(out, copy.deepcopy(attrs, memo))
    return out


def storage_tensor(s):
    """Return the 1-d tensor over a storage's memory."""
    return element_tensor(storage_of("storage", s), (<TypedStorage>s).dt if isinstance(s, TypedStorage) else RT_U8)


FUNCTIONS = {"from_torch": from_torch, "to_torch": to_torch, "UntypedStorage": UntypedStorage, "TypedStorage": TypedStorage}
METHODS = {"numpy": numpy, "__array__": __array__, "__array_wrap__": __array_wrap__, "__array_priority__": 1000, "to_torch": to_torch,
           "untyped_storage": untyped_storage, "storage": storage, "_typed_storage": storage, "set_": set_, "__reduce_ex__": __reduce_ex__,
           "__deepcopy__": __deepcopy__}
