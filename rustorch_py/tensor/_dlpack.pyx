# build: cold
"""DLPack both ways: tensors handed to and taken from other libraries without a copy."""
from cpython.pycapsule cimport PyCapsule_New, PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName
from cpython.ref cimport Py_INCREF, Py_DECREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc, free
from ._base cimport *
from ._storage cimport borrow_storage, export_for_good
from ._dtype cimport dtype_of, device_of, device_code
from ._plan cimport clone_raw
from ._ops cimport detach, to_device
from ._backend cimport backend_of
from ._dtype cimport torch_name
from ._devices import kernel_of, run as run_on_device
from ..errors import AutogradError, DeviceError, DTypeError, TensorError, TensorTypeError, TensorValueError

cdef extern from "dlpack.h" nogil:
    ctypedef struct RtDlDevice:
        int32_t type
        int32_t id
    ctypedef struct RtDlType:
        uint8_t code
        uint8_t bits
        uint16_t lanes
    ctypedef struct RtDlTensor:
        void *data
        RtDlDevice device
        int32_t ndim
        RtDlType dtype
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset
    ctypedef struct RtDlManaged:
        RtDlTensor tensor
        void *context
        void (*deleter)(RtDlManaged *) noexcept
    ctypedef struct RtDlVersioned:
        uint32_t major
        uint32_t minor
        void *context
        void (*deleter)(RtDlVersioned *) noexcept
        uint64_t flags
        RtDlTensor tensor

cdef extern from *:
    """
    /* code and bits by dtype, in the order of rustorch/dtype.h */
    static const unsigned char rt_dl_code[RT_NDTYPES] = {6, 1, 0, 0, 0, 0, 2, 4, 2, 2, 5, 5, 5, 1, 1, 1, 10, 12, 11, 13, 14};
    static const unsigned char rt_dl_bits[RT_NDTYPES] = {8, 8, 8, 16, 32, 64, 16, 16, 32, 64, 64, 128, 32, 16, 32, 64, 8, 8, 8, 8, 8};
    static const int rt_dl_device[RT_NDEVICETYPES] = {1, 2, 8};     /* by RtDeviceType; 0: cannot be exchanged */
    """
    const unsigned char *rt_dl_code
    const unsigned char *rt_dl_bits
    const int *rt_dl_device


# ---- handing out ------------------------------------------------------------------------------------------
cdef void drop_managed(RtDlManaged *m) noexcept with gil:
    Py_DECREF(<object>m.context)
    free(m)


cdef void drop_versioned(RtDlVersioned *m) noexcept with gil:
    Py_DECREF(<object>m.context)
    free(m)


cdef void drop_capsule(object capsule) noexcept:
    """A capsule nobody took: its tensor goes with it."""
    cdef RtDlManaged *m
    cdef RtDlVersioned *v
    if PyCapsule_IsValid(capsule, "dltensor"):
        m = <RtDlManaged *>PyCapsule_GetPointer(capsule, "dltensor")
        if m.deleter is not NULL:
            m.deleter(m)
    elif PyCapsule_IsValid(capsule, "dltensor_versioned"):
        v = <RtDlVersioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        if v.deleter is not NULL:
            v.deleter(v)


cdef void describe(RtDlTensor *d, TensorBase t, int64_t *dims) noexcept:
    cdef int i
    export_for_good(t.stor)
    d.data = t.ptr
    d.device.type = rt_dl_device[RT_DEVICE_TYPE(t.dev)]
    d.device.id = RT_DEVICE_INDEX(t.dev)
    d.ndim = t.nd
    d.dtype.code, d.dtype.bits, d.dtype.lanes = rt_dl_code[t.dt], rt_dl_bits[t.dt], 1
    d.shape, d.strides, d.byte_offset = dims, dims + t.nd, 0
    for i in range(t.nd):
        dims[i] = t.sh[i]
        dims[t.nd + i] = t.st[i] if t.sh[i] > 1 else 1      # some readers refuse odd strides of size-1 dimensions


def __dlpack__(self, *, stream=-1, max_version=None, dl_device=None, copy=None):
    """Return a capsule for another library to share this tensor's memory.

    Args:
        stream: the consumer's stream on a CUDA device: it waits for what this thread's current stream was given. An address, 1 or None for
            the default one, -1: nobody waits. On the CPU None or -1.
        max_version: (major, minor) the consumer understands; from (1, 0) on the capsule carries a version and flags.
        dl_device: (type, id) the consumer wants; a copy is made when this is the CPU and the tensor is elsewhere.
        copy: True always copies, False refuses to.
    Raises:
        BufferError: the tensor requires grad, or the request cannot be met.
    """
    cdef TensorBase t = as_base("__dlpack__", "self", self)
    cdef RtDlManaged *m
    cdef RtDlVersioned *v
    cdef uint64_t flags = 0
    if t.rg:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if rt_dl_device[RT_DEVICE_TYPE(t.dev)] == 0:
        raise BufferError(f"__dlpack__: a {device_of(t.dev)} tensor has no memory to share")
    if stream is not None and type(stream) is not int:
        raise TensorTypeError("stream must be ``int`` or ``none``", op="__dlpack__")
    if stream is not None and stream != -1 and RT_DEVICE_TYPE(t.dev) == RT_CPU:
        raise AssertionError("stream should be None on cpu.")
    if dl_device is not None and tuple(dl_device) != tuple(__dlpack_device__(t)):
        if tuple(dl_device)[0] != 1:
            raise BufferError(f"__dlpack__: cannot export to device {tuple(dl_device)}; move the tensor there first")
        if copy is False:
            raise BufferError("__dlpack__: another device needs a copy, and copy=False forbids it")
        t = to_device(t, RT_CPU)
        flags = 2
    if copy and not flags:
        t = clone_raw(t)
        flags = 2
    if RT_DEVICE_TYPE(t.dev) == RT_CUDA and stream != -1:
        run_on_device("stream_for", t, stream)
    t = detach(t)                                           # self may be given other memory (.data, set_)
    if max_version is not None and max_version[0] >= 1:
        v = <RtDlVersioned *>malloc(sizeof(RtDlVersioned) + (2 * t.nd + 1) * sizeof(int64_t))
        if v is NULL:
            raise MemoryError()
        v.major, v.minor, v.context, v.deleter = 1, 0, <void *>t, drop_versioned
        v.flags = flags | (1 if t.stor.readonly else 0)
        describe(&v.tensor, t, <int64_t *>(v + 1))
        Py_INCREF(t)
        return PyCapsule_New(v, "dltensor_versioned", drop_capsule)
    m = <RtDlManaged *>malloc(sizeof(RtDlManaged) + (2 * t.nd + 1) * sizeof(int64_t))
    if m is NULL:
        raise MemoryError()
    m.context, m.deleter = <void *>t, drop_managed
    describe(&m.tensor, t, <int64_t *>(m + 1))
    Py_INCREF(t)
    return PyCapsule_New(m, "dltensor", drop_capsule)


def __dlpack_device__(self):
    """Return (device type, device id) as DLPack numbers them; (1, 0) is the CPU."""
    cdef TensorBase t = as_base("__dlpack_device__", "self", self)
    return (rt_dl_device[RT_DEVICE_TYPE(t.dev)], RT_DEVICE_INDEX(t.dev))


# ---- taking in -------------------------------------------------------------------------------------------------
cdef class Owner:
    """Keeps a producer's memory alive; tells it when we are done."""
    cdef RtDlManaged *m
    cdef RtDlVersioned *v

    def __dealloc__(self):
        if self.m is not NULL and self.m.deleter is not NULL:
            self.m.deleter(self.m)
        if self.v is not NULL and self.v.deleter is not NULL:
            self.v.deleter(self.v)


cdef int dtype_from(RtDlType d) except -1:
    cdef int i
    if d.lanes != 1:
        raise DTypeError(f"from_dlpack: vector element types (lanes = {d.lanes}) are not supported", op="from_dlpack")
    for i in range(RT_NDTYPES):
        if rt_dl_code[i] == d.code and rt_dl_bits[i] == d.bits:
            return i
    if d.code == 1 and d.bits == 1:
        return RT_BOOL
    raise DTypeError(f"from_dlpack: element type with code {d.code} and {d.bits} bits has no equivalent here", op="from_dlpack")


cdef TensorBase take_capsule(object capsule):
    cdef Owner owner = Owner.__new__(Owner)
    cdef RtDlTensor *d
    cdef RtDlManaged *m
    cdef RtDlVersioned *v
    cdef TensorBase t
    cdef int64_t st[64]
    cdef int64_t extent = 1, n = 1
    cdef bint readonly = False
    cdef int i, dt, dev
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        v = <RtDlVersioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        if v.major != 1:
            raise BufferError(f"from_dlpack: DLPack version {v.major}.{v.minor} is not understood; expected 1.x")
        d = &v.tensor
        readonly = v.flags & 1
    elif PyCapsule_IsValid(capsule, "dltensor"):
        m = <RtDlManaged *>PyCapsule_GetPointer(capsule, "dltensor")
        d = &m.tensor
    else:
        raise TensorError("from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might "
                          "have already constructed a tensor from it once.", op="from_dlpack")
    if d.ndim > RT_MAX_DIM:
        raise TensorError(f"from_dlpack: at most {RT_MAX_DIM} dimensions, got {d.ndim}", op="from_dlpack")
    dt = dtype_from(d.dtype)
    if d.device.type == 1 or d.device.type == 3:
        dev = RT_CPU
    elif d.device.type == 2:
        dev = RT_DEVICE(RT_CUDA, d.device.id)
    elif d.device.type == 8:
        dev = RT_DEVICE(RT_METAL, d.device.id)
    else:
        raise DeviceError(f"from_dlpack: device type {d.device.type} is not supported", op="from_dlpack")
    for i in range(d.ndim):
        n *= d.shape[i]
    if d.strides is NULL:
        rt_contiguous_strides(d.ndim, d.shape, st)
    else:
        for i in range(d.ndim):
            st[i] = d.strides[i]
            if st[i] < 0 and d.shape[i] > 1:
                raise TensorValueError("from_dlpack: negative strides are not supported; copy the array first", op="from_dlpack")
    for i in range(d.ndim):
        extent += (d.shape[i] - 1) * st[i]
    t = new_tensor()
    t.dt, t.dev = dt, dev
    set_dims(t, d.ndim, d.shape, st)
    if PyCapsule_IsValid(capsule, "dltensor"):
        owner.m = m
        PyCapsule_SetName(capsule, "used_dltensor")
    else:
        owner.v = v
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
    t.stor = borrow_storage(<char *>d.data + d.byte_offset, <size_t>extent * rt_itemsize(dt) if n else 0, dev, owner)
    t.stor.readonly = readonly
    t.ptr = t.stor.ptr
    return t


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """Return a tensor that shares memory with another library's tensor.

    Args:
        ext_tensor: object with ``__dlpack__``, or a capsule.
        device: where the result must be; passed to the producer.
        copy: True always copies, False refuses to.
    """
    cdef TensorBase t
    cdef object capsule = ext_tensor, kwargs
    if hasattr(ext_tensor, "__dlpack__"):
        kwargs = {"max_version": (1, 0)}
        if hasattr(ext_tensor, "__dlpack_device__"):
            kind, index = ext_tensor.__dlpack_device__()
            if int(kind) == 2:                             # the producer lets our current stream wait for its own
                backend_of(RT_DEVICE(RT_CUDA, index))
                kwargs["stream"] = kernel_of("cuda", "stream_number")(index)
        if copy is not None:
            kwargs["copy"] = copy
        if device is not None and device_code("from_dlpack", device) == RT_CPU:
            kwargs["dl_device"] = (1, 0)
        try:
            capsule = ext_tensor.__dlpack__(**kwargs)
        except TypeError:                                  # producers older than DLPack 1.0
            capsule = ext_tensor.__dlpack__(**{key: kwargs[key] for key in kwargs if key == "stream"})
    elif type(ext_tensor).__name__ != "PyCapsule":
        raise TensorTypeError(f"from_dlpack: expected an object with __dlpack__ or a capsule, got {type(ext_tensor).__name__}",
                              op="from_dlpack")
    t = take_capsule(capsule)
    if device is not None:
        t = to_device(t, device_code("from_dlpack", device))
    return t


# ---- the CUDA array interface (version 3) ------------------------------------------------------------------
cdef dict TYPESTR = {RT_BOOL: "|b1", RT_U8: "|u1", RT_I8: "|i1", RT_I16: "<i2", RT_I32: "<i4", RT_I64: "<i8", RT_F16: "<f2", RT_BF16: "<V2",
                     RT_F32: "<f4", RT_F64: "<f8", RT_C64: "<c8", RT_C128: "<c16", RT_U16: "<u2", RT_U32: "<u4", RT_U64: "<u8"}


def cuda_array_interface(self):
    """Return a CUDA tensor's address, shape and strides as Numba and CuPy read them.

    Raises:
        AttributeError: the tensor is not on a CUDA device, or the interface has no name for its dtype.
        AutogradError: it requires a gradient.
    """
    cdef TensorBase t = as_base("__cuda_array_interface__", "self", self)
    cdef int i
    if RT_DEVICE_TYPE(t.dev) != RT_CUDA:
        raise AttributeError(f"Can't get __cuda_array_interface__ on non-CUDA tensor type: torch.{torch_name(t.dt)}Tensor. If CUDA data is required use "
                             "tensor.cuda() to copy tensor to device memory.")
    if t.dt not in TYPESTR:
        raise AttributeError(f"__cuda_array_interface__ has no name for {dtype_of(t.dt)}")
    if t.rg:
        raise AutogradError("Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't required, use var.detach() to get "
                            "Variable that doesn't require grad.", op="__cuda_array_interface__")
    return {"typestr": TYPESTR[t.dt], "shape": tuple([t.sh[i] for i in range(t.nd)]), "data": (<size_t>t.ptr if t.n else 0, False), "version": 2,
            "strides": None if t.flags & F_CONTIG else tuple([t.st[i] * rt_itemsize(t.dt) for i in range(t.nd)])}


def from_cuda_array_interface(obj):
    """Return a tensor that shares the CUDA memory of an object with ``__cuda_array_interface__``; the object is kept alive."""
    cdef TensorBase t
    cdef dict found = obj.__cuda_array_interface__
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int64_t extent = 1, n = 1
    cdef int i, nd, dt = -1, dev, size
    for code, name in TYPESTR.items():
        if name[1:] == found["typestr"][1:]:
            dt = code
    if dt < 0 or found["typestr"][:1] == ">":
        raise DTypeError(f"__cuda_array_interface__: type {found['typestr']!r} has no equivalent here", op="as_tensor")
    if found.get("mask") is not None:
        raise TensorTypeError("__cuda_array_interface__: masked arrays are not supported", op="as_tensor")
    shape, steps, size = found["shape"], found.get("strides"), rt_itemsize(dt)
    nd = <int>len(shape)
    if nd > RT_MAX_DIM:
        raise TensorError(f"as_tensor: at most {RT_MAX_DIM} dimensions, got {nd}", op="as_tensor")
    for i in range(nd):
        sh[i] = shape[i]
        n *= sh[i]
    if steps is None:
        rt_contiguous_strides(nd, sh, st)
    else:
        for i in range(nd):
            if steps[i] % size or (steps[i] < 0 and sh[i] > 1):
                raise TensorValueError("__cuda_array_interface__: strides must be whole elements and not negative; copy the array first", op="as_tensor")
            st[i] = steps[i] // size
    for i in range(nd):
        extent += (sh[i] - 1) * st[i]
    backend_of(RT_DEVICE(RT_CUDA, 0))
    dev = RT_DEVICE(RT_CUDA, kernel_of("cuda", "device_of_pointer")(found["data"][0]) if n else 0)
    t = new_tensor()
    t.dt, t.dev = dt, dev
    set_dims(t, nd, sh, st)
    t.stor = borrow_storage(<char *><size_t>found["data"][0], <size_t>extent * size if n else 0, dev, obj)
    t.stor.readonly = bool(found["data"][1])
    t.ptr = t.stor.ptr
    if found.get("stream") is not None and n:
        kernel_of("cuda", "stream_after")(RT_DEVICE_INDEX(dev), found["stream"])
    return t


def to_dlpack(tensor):
    """Return a capsule (DLPack without version) that shares the tensor's memory."""
    return __dlpack__(tensor)


FUNCTIONS = {"from_dlpack": from_dlpack, "to_dlpack": to_dlpack}
METHODS = {"__dlpack__": __dlpack__, "__dlpack_device__": __dlpack_device__}
