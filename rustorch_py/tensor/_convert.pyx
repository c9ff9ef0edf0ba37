# build: sources=same.c cold
"""Conversions, copies and what a tensor tells about itself."""
from gc import get_objects
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.object cimport PyObject
from libc.string cimport memcmp, memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close
from ._base cimport *
from ._storage cimport Storage, borrow_storage
from ._neural cimport suggests_last
from ._node cimport Node
from ._overlap cimport refuse_overlap
from ._ops cimport (binary, cast, contiguous, clone, to_device, copy_into, operand, detach as c_detach, inplace_begin, inplace_end, resize_ as c_resize)
from ._plan cimport full_, fill_value, is_number, copy_raw, result_dtype
from ._storage cimport export_for_good
from ._function cimport PlainCall, set_plain_call
from ._dtype cimport dtype, dtype_code, dtype_of, device_code, device_of, torch_name
from ._backend cimport backend_of, peek_backend
from ._devices import kernel_of, run as run_on_device
from ._dtype import (device as device_class, preserve_format, contiguous_format, channels_last, channels_last_3d, strided, promote_types,
                     can_cast, get_default_dtype, set_default_dtype, get_default_device, set_default_device)
from ..errors import AutogradError, BackendUnavailableError, DimError, OutOfMemoryError, ShapeError, TensorError, TensorTypeError, TensorValueError
include "_row_ids.pxi"

cdef bint imaginary_told = False


cdef int tell_of_imaginary(TensorBase t, int dt) except -1:
    """Warn, once, where a program's conversion drops imaginary parts."""
    global imaginary_told
    if rt_kind(t.dt) == RT_KIND_COMPLEX and not imaginary_told and dt != RT_BOOL and rt_kind(dt) != RT_KIND_COMPLEX:
        import warnings
        imaginary_told = True
        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=1)
    return 0


cdef TensorBase given_cast(TensorBase t, int dt):
    tell_of_imaginary(t, dt)
    return cast(t, dt)


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *o)


# ---- what it is ----------------------------------------------------------------------------------------
def size(self, dim=None):
    """Return the shape, or the size of one dimension."""
    cdef TensorBase t = as_base("size", "self", self)
    if dim is None:
        return shape_of(t)
    if t.nd == 0:
        wrap_dim("size", dim, 0)
        raise DimError("Dimension specified as 0 but tensor has no dimensions")
    return t.sh[wrap_dim("size", dim, t.nd)]


def stride(self, dim=None):
    """Return the strides in elements, or one of them."""
    cdef TensorBase t = as_base("stride", "self", self)
    if dim is None:
        return stride_tuple(t)
    return t.st[wrap_dim("stride", dim, t.nd)]


def dim(self):
    """Return the number of dimensions."""
    return as_base("dim", "self", self).nd


def numel(input):
    """Return the number of elements."""
    return as_base("numel", "input", input).n


def element_size(self):
    """Return the bytes of one element."""
    return rt_itemsize(as_base("element_size", "self", self).dt)


def storage_offset_(self):
    """Return the index of the first element in the storage."""
    return storage_offset(as_base("storage_offset", "self", self))


def data_ptr(self):
    """Return the address of the first element."""
    cdef TensorBase t = as_base("data_ptr", "self", self)
    export_for_good(t.stor)
    return <size_t>t.ptr if t.n and t.dev & 255 != RT_META else 0


cdef bint is_channels_last(TensorBase t, int nd) noexcept:
    cdef int64_t expect = 1
    cdef int i, d
    if t.nd != nd:
        return False
    for i in range(nd):
        d = 1 if i == 0 else (nd - i if i < nd - 1 else 0)
        if t.sh[d] != 1:
            if t.st[d] != expect:
                return False
            expect *= t.sh[d]
    return True


def is_contiguous(self, *, memory_format=contiguous_format):
    """Tell whether the elements lie in row-major order, or in that of ``memory_format``."""
    cdef TensorBase t = as_base("is_contiguous", "self", self)
    if memory_format is channels_last:
        return is_channels_last(t, 4)
    if memory_format is channels_last_3d:
        return is_channels_last(t, 5)
    return t.n == 0 or is_contig(t)


def is_floating_point(input):
    """Tell whether the dtype is a real float."""
    return rt_kind(as_base("is_floating_point", "input", input).dt) == RT_KIND_FLOAT


def is_complex(input):
    """Tell whether the dtype is complex."""
    return rt_kind(as_base("is_complex", "input", input).dt) == RT_KIND_COMPLEX


def is_signed(self):
    """Tell whether the dtype has a sign."""
    return dtype_of(as_base("is_signed", "self", self).dt).is_signed


def is_nonzero(input):
    """Tell whether the only element is not zero."""
    cdef TensorBase t = as_base("is_nonzero", "input", input)
    if t.n != 1:
        raise TensorValueError("Boolean value of Tensor with " + ("no values" if t.n == 0 else "more than one value") + " is ambiguous")
    return bool(input.item())


def is_same_size(input, other):
    """Tell whether two tensors have one shape."""
    return bool(same_shape(as_base("is_same_size", "input", input), as_base("is_same_size", "other", other)))


cdef extern from "same.h" nogil:
    int rt_same_f32(const float *a, const float *b, int64_t n)
    int rt_same_f64(const double *a, const double *b, int64_t n)

cdef enum:
    ONE_PASS = 1 << 18        # elements up to which one thread that stops at a difference beats all threads that first write what differs


def equal(input, other):
    """Tell whether two tensors have the same shape and elements."""
    cdef TensorBase a = as_base("equal", "input", input), b
    cdef bint same
    if not isinstance(other, TensorBase):
        raise TensorTypeError(f"equal(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}", op="equal")
    b = <TensorBase>other
    if a.dev != b.dev:
        raise TensorError(f"equal: tensors on different devices, {device_of(a.dev)} and {device_of(b.dev)}", op="equal")
    if not same_shape(a, b):
        return False
    if a.dt == b.dt and a.dev == RT_CPU and a.flags & b.flags & F_CONTIG and 0 < a.n:
        if rt_kind(a.dt) <= RT_KIND_INT:
            return memcmp(a.ptr, b.ptr, a.n * rt_itemsize(a.dt)) == 0
        if (a.dt == RT_F32 or a.dt == RT_F64) and a.n < ONE_PASS:
            with nogil:
                same = rt_same_f32(<const float *>a.ptr, <const float *>b.ptr, a.n) if a.dt == RT_F32 else rt_same_f64(<const double *>a.ptr, <const double *>b.ptr, a.n)
            return same
    return (<object>binary(ROW_EQ, a, b, None).all()).item()


def is_set_to(self, tensor):
    """Tell whether two tensors are the same view of the same memory."""
    cdef TensorBase a = as_base("is_set_to", "self", self), b = as_base("is_set_to", "tensor", tensor)
    return a.stor is b.stor and a.ptr == b.ptr and stride(a) == stride(b) and bool(same_shape(a, b))


def is_inference(self):
    """Tell whether the tensor was made under inference_mode."""
    return bool(as_base("is_inference", "self", self).flags & F_INFERENCE)


def is_pinned(self, device=None):
    """Tell whether the memory is page-locked, as :meth:`pin_memory` makes it; without a CUDA device it never is."""
    cdef TensorBase t = as_base("is_pinned", "self", self)
    return t.dev == RT_CPU and peek_backend(RT_CUDA) is not NULL and t.n > 0 and bool(kernel_of("cuda", "is_pinned")(<size_t>t.ptr))


cdef int memory_file(size_t nbytes) except -2:
    """Open a file without a name in memory; -1: the system has none, or no descriptor is left."""
    import os
    if not hasattr(os, "memfd_create"):
        return -1
    cdef int fd = -1
    try:
        fd = os.memfd_create("rustorch")
        os.ftruncate(fd, nbytes)
    except OSError:
        if fd >= 0:
            close(fd)
        return -1
    return fd


cdef class SharedRegion:
    """Memory that this process shares with those it forks, and with those that get its descriptor; unmapped with its last tensor."""
    cdef void *at
    cdef size_t nbytes
    cdef Storage before                   # what arrays of other libraries still look at, or None
    cdef int fd                           # of the file behind the memory; -1: forked processes only

    def __cinit__(self, size_t nbytes, int fd=-1):
        self.fd = fd if fd >= 0 else memory_file(nbytes)
        self.at = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED | (0 if self.fd >= 0 else MAP_ANONYMOUS), self.fd, 0)
        if self.at == MAP_FAILED:
            self.at = NULL
            raise OutOfMemoryError(f"share_memory_: no room for {nbytes} bytes of shared memory", op="share_memory_")
        self.nbytes = nbytes

    def __dealloc__(self):
        if self.at != NULL:
            munmap(self.at, self.nbytes)
        if self.fd >= 0:
            close(self.fd)


def shared_file(Storage storage):
    """Return (descriptor, bytes) of the file behind a shared storage; None: it is not shared, or with forked processes only."""
    cdef SharedRegion region
    if not isinstance(storage.owner, SharedRegion) or (<SharedRegion>storage.owner).fd < 0:
        return None
    region = <SharedRegion>storage.owner
    return region.fd, region.nbytes


def storage_of_file(int fd, size_t nbytes):
    """Return a storage over the memory behind a descriptor, which it takes over."""
    cdef SharedRegion region = SharedRegion(nbytes, fd)
    return borrow_storage(<char *>region.at, nbytes, RT_CPU, region)


def is_shared(self):
    """Tell whether the memory is shared between processes."""
    return isinstance(as_base("is_shared", "self", self).stor.owner, SharedRegion)


def is_view(self):
    """Tell whether the tensor is a view of another that autograd knows of."""
    return as_base("_is_view", "self", self).base is not None


cdef list tensors_of(Storage s):
    """All tensors over a storage that the garbage collector knows of."""
    return [x for x in get_objects() if isinstance(x, TensorBase) and (<TensorBase>x).stor is s]


def share_memory_(self):
    """Move the memory to where other processes share it: those forked from now on, and those it is sent to by `multiprocessing`.

    All tensors over the same memory move with it; arrays of other libraries keep looking at the memory as it was.

    Raises:
        RuntimeError: something unknown holds the same memory, and would be left behind.
    """
    cdef TensorBase t = as_base("share_memory_", "self", self), other
    cdef Storage s = t.stor, old
    cdef SharedRegion region
    cdef list tensors = [t]
    if RT_DEVICE_TYPE(t.dev) != RT_CPU or s.nbytes == 0 or isinstance(s.owner, SharedRegion):
        return self
    if Py_REFCNT(<PyObject *>s) > 2:        # t's own and the one in this function
        tensors = tensors_of(s)
        if Py_REFCNT(<PyObject *>s) != len(tensors) + 1:
            raise TensorError("share_memory_: something beside tensors holds the same memory; share the memory before", op="share_memory_")
    region = SharedRegion(s.nbytes)
    memcpy(region.at, s.ptr, s.nbytes)
    for other in tensors:
        other.ptr = <char *>region.at + (other.ptr - s.ptr)
    old = Storage.__new__(Storage)          # the block as it was: it goes now, or with the region where its address was given away
    old.device, old.nbytes = s.device, s.nbytes
    old.ptr, s.ptr = s.ptr, <char *>region.at
    old.got, s.got = s.got, 0
    old.owner, s.owner = s.owner, region
    old.kept, s.kept = s.kept, NULL         # a packed form: others may write to what it was made of from now on
    s.readonly = False
    s.writes += 1
    if s.exports:
        region.before = old
    return self


def is_conj(input):
    """Tell whether conjugation is pending: never, it is done at once."""
    as_base("is_conj", "input", input)
    return False


def get_device(self):
    """Return the index of the device, -1 for the CPU."""
    cdef TensorBase t = as_base("get_device", "self", self)
    return -1 if t.dev == 0 else t.dev >> 8


def result_type(tensor1, tensor2):
    """Return the dtype that arithmetic between the two would have."""
    return dtype_of(result_dtype(operand("result_type", tensor1, 0), operand("result_type", tensor2, 0), None))


def is_tensor(obj):
    """Tell whether obj is a tensor."""
    return isinstance(obj, TensorBase)


# ---- to ------------------------------------------------------------------------------------------------
cdef int last_strides(int nd, const int64_t *sh, object fmt, int64_t *st) except -1:
    """Strides of a channels-last order."""
    cdef int i
    cdef int64_t s = sh[1]
    if nd != (4 if fmt is channels_last else 5):
        raise ShapeError(f"required rank {4 if fmt is channels_last else 5} tensor to use {fmt} format")
    st[1] = 1
    for i in range(nd - 1, 1, -1):
        st[i] = s
        s *= sh[i]
    st[0] = s
    return 0


cdef TensorBase with_format(TensorBase t, object fmt, bint like=False):
    """t in the memory order asked for; itself when it is there already; like: or lies as PyTorch's `to` takes for it, gaps and all."""
    cdef TensorBase out
    cdef int64_t st[64]
    if fmt is None or fmt is preserve_format:
        return t
    if fmt is contiguous_format:
        return t if like and not suggests_last(t) else contiguous(t)
    if is_channels_last(t, 4 if fmt is channels_last else 5) or (like and t.nd == (4 if fmt is channels_last else 5) and suggests_last(t)):
        return t
    last_strides(t.nd, t.sh, fmt, st)
    out = empty_strided(t.nd, t.sh, st, t.dt, t.dev)
    return copy_into(out, t)


cdef TensorBase moved(TensorBase t, int dev, bint non_blocking):
    """t on a device. Without waiting where that is asked for and nothing is recorded: a copy to the CPU is then page-locked."""
    cdef TensorBase out
    cdef int there = dev if dev & 255 else t.dev
    if not non_blocking or t.dev == dev or (t.dev & 255 and dev & 255) or there & 255 == RT_SHELL or t.n == 0 or (t.rg and grad_mode()):
        return to_device(t, dev)
    wait = kernel_of(device_of(there).type, "waiting")
    if wait is None or (dev & 255 and not t.flags & F_CONTIG):
        return to_device(t, dev)
    out = empty(t.nd, t.sh, t.dt, dev)
    if dev == RT_CPU:
        pin_storage(out)
    wait(False)
    try:
        copy_raw(out, t)
    finally:
        wait(True)
    return out


cdef int pin_storage(TensorBase t) except -1:
    """Give a new tensor of the CPU page-locked memory instead of its own."""
    cdef size_t nbytes = t.stor.nbytes
    block = kernel_of("cuda", "pinned")(nbytes)
    t.stor = borrow_storage(<char *><size_t>block.address, nbytes, RT_CPU, block)
    t.ptr = t.stor.ptr
    return 0


def to(self, *args, device=None, dtype=None, non_blocking=False, copy=False, memory_format=None):
    """Convert dtype and device: ``to(dtype)``, ``to(device[, dtype])``, ``to(other)`` and keyword forms.

    Returns self when nothing changes, unless ``copy=True``. With ``non_blocking`` a copy between page-locked memory (:meth:`pin_memory`)
    and a device is not waited for: what it reads may be written again, and what it writes read on the host, only after the stream.
    """
    cdef TensorBase t = as_base("to", "self", self), r
    cdef int n = <int>len(args), i = 0
    if n:
        first = args[0]
        if isinstance(first, dtype_class):
            dtype = first
            i = 1
        elif isinstance(first, TensorBase):
            dtype, device = first.dtype, first.device
            i = 1
        elif first is None or isinstance(first, (str, device_class)) or isinstance(first, int):
            device = first
            i = 1
            if n > 1 and (args[1] is None or isinstance(args[1], dtype_class) or args[1] in (float, int)):
                dtype = args[1]
                i = 2
        elif first in (float, int, complex):
            dtype = first
            i = 1
        else:
            raise TensorTypeError(f"to() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})")
        if i < n:
            if not isinstance(args[i], bool):
                raise TensorTypeError(f"to() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})")
            non_blocking = args[i]
        if i + 1 < n:
            copy = args[i + 1]
            if not isinstance(copy, bool):
                raise TensorTypeError(f"to(): argument 'copy' (position {i + 2}) must be bool, not {type(copy).__name__}", op="to")
        if i + 2 < n:
            raise TensorTypeError("to() received an invalid combination of arguments: too many positional arguments")
    r = t
    if device is not None:
        if non_blocking and dtype is not None and r.dev & 255:      # on the host its result could not be read yet
            r = given_cast(r, dtype_code("to", dtype))
        r = moved(r, device_code("to", device), non_blocking and (memory_format is None or memory_format is preserve_format))
    if dtype is not None:
        r = given_cast(r, dtype_code("to", dtype))
    r = with_format(r, memory_format, r is t)
    if copy and r is t:
        r = clone(t)
    return r


cdef object dtype_class = dtype


def type_(self, dtype=None, non_blocking=False):
    """Return the type's name, or convert to a dtype (or a name such as "torch.FloatTensor")."""
    cdef TensorBase t = as_base("type", "self", self)
    if dtype is None:
        return f"torch.{torch_name(t.dt)}Tensor"
    if isinstance(dtype, str):
        name = dtype.rsplit(".", 1)[-1]
        if dtype.startswith("torch.cuda."):
            t = to_device(t, device_code("type", "cuda"))
        for code in range(RT_NDTYPES):
            if name == torch_name(code) + "Tensor":
                return given_cast(t, code)
        raise TensorValueError(f"invalid type: '{dtype}'")
    if isinstance(dtype, type) and hasattr(dtype, "dtype"):        # a legacy type such as FloatTensor
        if getattr(dtype, "is_cuda", False):
            t = to_device(t, device_code("type", "cuda"))
        dtype = dtype.dtype
    return given_cast(t, dtype_code("type", dtype))


def type_as(self, other):
    """Convert to the dtype and device of ``other``."""
    cdef TensorBase o = as_base("type_as", "other", other)
    return to_device(given_cast(as_base("type_as", "self", self), o.dt), o.dev)


def _caster(code, name):
    def convert(self, memory_format=None):
        cdef TensorBase t = as_base(name, "self", self), r = given_cast(t, code)
        return with_format(r, memory_format, r is t)
    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"Convert to {dtype_of(code).name}."
    return convert


CASTS = {name: _caster(code, name) for name, code in
         (("float", RT_F32), ("double", RT_F64), ("half", RT_F16), ("bfloat16", RT_BF16), ("int", RT_I32), ("long", RT_I64),
          ("short", RT_I16), ("char", RT_I8), ("byte", RT_U8), ("bool", RT_BOOL), ("chalf", RT_C32), ("cfloat", RT_C64), ("cdouble", RT_C128))}


def cpu(self, memory_format=None):
    """Copy to the host; a CPU tensor comes back itself."""
    cdef TensorBase t = as_base("cpu", "self", self), r = to_device(t, 0)
    return with_format(r, memory_format, r is t)


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """Copy to a CUDA device (default: the current one)."""
    return with_format(moved(as_base("cuda", "self", self), device_code("cuda", "cuda" if device is None else device), non_blocking), memory_format)


def clone_(input, *, memory_format=None):
    """Return a copy that keeps the history; ``preserve_format`` keeps the stride order."""
    cdef TensorBase t = as_base("clone", "input", input), r
    if memory_format is None or memory_format is preserve_format:
        return clone(t)
    r = with_format(t, memory_format)
    return clone(t) if r is t else r


def contiguous_(self, memory_format=contiguous_format):
    """Return the tensor in row-major order: itself when it already is."""
    return with_format(as_base("contiguous", "self", self), memory_format)


def detach(input):
    """Return the same memory without history."""
    cdef TensorBase t = as_base("detach", "input", input)
    return c_detach(t)


def detach_(self):
    """Cut the tensor off from its history."""
    cdef TensorBase t = as_base("detach_", "self", self)
    if t.base is not None and (t.rg or t.base.rg):
        raise AutogradError("Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, "
                            "and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be "
                            "called on these gradients.")
    t.fn = None
    t.out_nr = 0
    t.rg = False
    t.base = None
    return t


# ---- writing ---------------------------------------------------------------------------------------------
def copy_(self, src, non_blocking=False):
    """Copy ``src`` into this tensor, with broadcasting and conversion; ``non_blocking`` as for :meth:`to`."""
    cdef TensorBase t = as_base("copy_", "self", self), source = operand("copy_", src, 0)
    tell_of_imaginary(source, t.dt)
    refuse_overlap("copy_", t, source, False)
    if not non_blocking:
        return copy_into(t, source)
    wait = None if t.dev == source.dev or source.dt != t.dt else kernel_of(device_of(t.dev if t.dev & 255 else source.dev).type, "waiting")
    if wait is None or not t.flags & source.flags & F_CONTIG or not same_shape(t, source):
        return copy_into(t, source)
    wait(False)
    try:
        return copy_into(t, source)
    finally:
        wait(True)


cdef class FillBackward0(Node):
    cdef object apply(self, object g):
        cdef TensorBase t = <TensorBase>g
        a = full_(t.nd, t.sh, 0, t.dt, t.dev) if wants_edge(self, 0) else None
        if self.n_edges == 1:
            return a
        return (a, g.sum() if wants_edge(self, 1) else None)


def fill_(self, value):
    """Set every element to one number (or 0-dim tensor)."""
    return filled(self, value)


cdef object filled(object self, object value):
    cdef TensorBase t = as_base("fill_", "self", self), v = None
    cdef FillBackward0 node = None
    inplace_begin("fill_", t)
    if isinstance(value, TensorBase):
        v = <TensorBase>value
        if v.nd != 0:
            raise ShapeError(f"fill_ only supports 0-dimension value tensor but got tensor with {v.nd} dimensions.", op="fill_")
        copy_raw(t, v)
    elif is_number(value):
        fill_value(t, value)
    else:
        raise TensorTypeError(f"fill_(): argument 'value' must be Number, not {type(value).__name__}")
    if grad_mode() and (t.rg or (v is not None and v.rg)):
        node = FillBackward0.__new__(FillBackward0)
        if v is None:
            attach1(t, node, t)
        else:
            attach2(t, node, t, v)
    inplace_end(t, node)
    return t


def zero_(self):
    """Set every element to zero."""
    return filled(self, 0)


def zero_each(tensors):
    """zero_() of every tensor of a list: small dense ones, of which nothing is recorded, without a plan."""
    cdef TensorBase t
    for x in tensors:
        t = <TensorBase?>x
        if t.n <= 4096 and t.flags & F_CONTIG and not (t.rg or t.dev & 255):
            inplace_begin("fill_", t)
            memset(t.ptr, 0, t.n * rt_itemsize(t.dt))
            bump(t)
        else:
            filled(t, 0)


def fill(input, value):
    """Return a copy of input's shape filled with one value."""
    return fill_(clone(as_base("fill", "input", input)), value)


def zero(input):
    """Return zeros of input's shape."""
    return fill(input, 0)


def resize_(self, *sizes, memory_format=contiguous_format):
    """Change the shape, with new memory when the old is too small; elements keep their places, read in the memory format named."""
    cdef TensorBase t = as_base("resize_", "self", self)
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int nd = parse_sizes(sizes, sh)
    if t.rg and grad_mode():
        raise AutogradError("cannot resize variables that require grad")
    if memory_format is channels_last or memory_format is channels_last_3d:
        last_strides(nd, sh, memory_format, st)
        c_resize(t, nd, sh)
        set_dims(t, nd, sh, st)
        return t
    if memory_format is preserve_format:
        raise TensorError("resize_: expected a memory format to read the elements in, got torch.preserve_format", op="resize_")
    if nd != t.nd or memcmp(sh, t.sh, nd * sizeof(int64_t)) != 0:      # of the same sizes a tensor keeps its strides
        c_resize(t, nd, sh)
    return t


cdef int parse_sizes(tuple sizes, int64_t *sh) except -1:
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for i, s in enumerate(sizes):
        sh[i] = s
    return <int>len(sizes)


def resize_as_(self, the_template, *, memory_format=contiguous_format):
    """Resize to the shape of another tensor, in the memory format named or, with ``preserve_format``, in the other's."""
    cdef TensorBase like = as_base("resize_as_", "the_template", the_template)
    if memory_format is preserve_format:
        memory_format = channels_last if is_channels_last(like, 4) else channels_last_3d if is_channels_last(like, 5) else contiguous_format
    return resize_(self, shape_tuple(like), memory_format=contiguous_format if memory_format is None else memory_format)


def pin_memory(self, device=None):
    """Return the tensor in page-locked memory: itself if it is there. Without a CUDA device the tensor itself is as good."""
    cdef TensorBase t = as_base("pin_memory", "self", self), out
    if t.dev != RT_CPU:
        raise TensorError(f"cannot pin 'torch.{device_of(t.dev).type}.{torch_name(t.dt)}Tensor' only dense CPU tensors can be pinned", op="pin_memory")
    if t.n == 0 or not cuda_is_there() or is_pinned(t):
        return t
    out = empty_preserve(t, t.dt)
    pin_storage(out)
    copy_raw(out, t)
    return out


cdef bint cuda_is_there():
    """Whether CUDA can be used; looks for it when that was not done yet."""
    if peek_backend(RT_CUDA) is NULL:
        try:
            backend_of(RT_CUDA)
        except BackendUnavailableError:
            return False
    return True


def record_stream(self, stream):
    """Keep the memory from other use until a stream besides its own has done what it was given by the time the tensor goes."""
    cdef TensorBase t = as_base("record_stream", "self", self)
    if t.dev & 255 != RT_CUDA:
        raise TensorError(f"record_stream: expected a tensor on a CUDA device, got one on {device_of(t.dev)}", op="record_stream")
    run_on_device("record_stream", t, <size_t>t.stor.ptr, stream)


# ---- calls without arguments: what programs ask of every tensor ------------------------------------------------
cdef inline TensorBase alone(PyObject *const *args, Py_ssize_t n):
    """The tensor of a method's call without arguments; None: the method itself looks."""
    if n != 1 or not isinstance(<object>args[0], TensorBase) or (<TensorBase>args[0]).dt >= RT_NLOOPED:
        return None
    return <TensorBase>args[0]


cdef object plain_size(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, 1)
    cdef int overflow
    cdef long long d
    if t is None or n > 2:
        return None
    if n == 1:
        return shape_of(t)
    if type(<object>args[1]) is not int:
        return None
    d = PyLong_AsLongLongAndOverflow(<object>args[1], &overflow)
    if overflow or d < -t.nd or d >= t.nd:
        return None
    return t.sh[d + t.nd if d < 0 else d]


cdef object plain_stride(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return None if t is None else stride_tuple(t)


cdef object plain_dim(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return None if t is None else t.nd


cdef object plain_numel(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return None if t is None else t.n


cdef object plain_is_contiguous(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return None if t is None else t.n == 0 or is_contig(t) != 0


cdef object plain_contiguous(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return t if t is not None and is_contig(t) else None


cdef object plain_cpu(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return t if t is not None and t.dev == RT_CPU else None


cdef object plain_detach(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return None if t is None else c_detach(t)


cdef object plain_is_floating_point(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = alone(args, n)
    return None if t is None else rt_kind(t.dt) == RT_KIND_FLOAT


cdef object plain_to(PyObject *const *args, Py_ssize_t n):
    """To one dtype, or to the CPU where the tensor is."""
    cdef TensorBase t = alone(args, 1)
    if t is None or n != 2:
        return None
    if type(<object>args[1]) is dtype:
        return t if (<dtype><object>args[1]).code == t.dt else None
    return t if t.dev == RT_CPU and type(<object>args[1]) is str and <object>args[1] == "cpu" else None


for _method, _address in ((size, <size_t>plain_size), (stride, <size_t>plain_stride), (dim, <size_t>plain_dim), (numel, <size_t>plain_numel),
                          (is_contiguous, <size_t>plain_is_contiguous), (contiguous_, <size_t>plain_contiguous), (cpu, <size_t>plain_cpu),
                          (detach, <size_t>plain_detach), (is_floating_point, <size_t>plain_is_floating_point), (to, <size_t>plain_to)):
    set_plain_call(_method, <PlainCall><size_t>_address)


FUNCTIONS = {"numel": numel, "is_floating_point": is_floating_point, "is_complex": is_complex, "is_nonzero": is_nonzero, "is_same_size": is_same_size,
             "result_type": result_type, "is_tensor": is_tensor, "clone": clone_, "detach": detach, "detach_": detach_, "fill": fill, "fill_": fill_, "zero_": zero_,
             "promote_types": promote_types, "can_cast": can_cast, "get_default_dtype": get_default_dtype,
             "set_default_dtype": set_default_dtype, "get_default_device": get_default_device, "set_default_device": set_default_device,
             "is_conj": is_conj, "is_neg": is_conj, "is_inference": is_inference, "resize_as_": resize_as_}
METHODS = {**CASTS, "size": size, "stride": stride, "dim": dim, "ndimension": dim, "numel": numel, "nelement": numel, "element_size": element_size,
           "storage_offset": storage_offset_, "data_ptr": data_ptr, "is_contiguous": is_contiguous, "is_floating_point": is_floating_point,
           "is_complex": is_complex, "is_signed": is_signed, "is_nonzero": is_nonzero, "is_same_size": is_same_size, "is_set_to": is_set_to,
           "is_inference": is_inference, "is_pinned": is_pinned, "is_shared": is_shared, "_is_view": is_view, "share_memory_": share_memory_, "is_conj": is_conj, "is_neg": is_conj, "get_device": get_device,
           "to": to, "type": type_, "type_as": type_as, "cpu": cpu, "cuda": cuda, "clone": clone_, "contiguous": contiguous_, "detach": detach,
           "detach_": detach_, "copy_": copy_, "fill_": fill_, "zero_": zero_, "resize_": resize_, "resize_as_": resize_as_,
           "pin_memory": pin_memory, "record_stream": record_stream}
