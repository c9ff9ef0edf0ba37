# build: sources=launch.c,memory.c
"""The Metal back end's upper half: builds kernels when the launcher misses one, launches hand-written ones, registers the door."""
import os
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset, strncpy
from cpython.exc cimport PyErr_SetInterrupt
from ..tensor._backend cimport RtBackend, register_backend, RT_ERR_DEVICE, RT_ERR_UNSUPPORTED
from ..tensor._base cimport TensorBase
from ..tensor._dtype cimport dtype_of
from ..cuda._backend cimport Kernel, RtCall, elsewhere
from ..errors import DeviceError, KernelCompileError, UnsupportedOpError
from ..tensor._devices import begin
from ..cuda import _hand
from . import _text

cdef extern from "launch.h" nogil:
    ctypedef struct RtMetalOperand:
        pass
    int rt_metal_operand(int device, const char *ptr, RtMetalOperand *out)
    ctypedef struct RtKey:
        uint8_t kind, device, loop, nargs
        uint16_t id
        uint8_t mode, vector, moving
        uint8_t dtype[8]
        uint8_t host
    ctypedef struct RtMetalStats:
        int64_t in_use, in_use_peak, reserved, reserved_peak, allocs, hits, frees
    ctypedef struct RtMetalKernel:
        void *pipeline
        unsigned most_threads
    ctypedef struct RtMetalDevice:
        uint64_t working_set, allocated
        int matrices
        char name[128]
    ctypedef struct RtMetalCall:
        int64_t n[120]
        float k[8]
        int64_t what, given
    enum: RT_METAL_INTS, RT_METAL_NUMBERS, RT_METAL_ERROR_ROOM, RT_METAL_THREADS
    int (*rt_metal_build)(const RtKey *key, void **kernel) noexcept nogil
    int (*rt_metal_find_put)(int device, void **kernel) noexcept nogil
    const RtBackend *rt_metal_backend()
    int rt_metal_launch(int device, const RtMetalKernel *kernel, char **pointers, int n, const void *args, size_t nargs, unsigned gx, unsigned gy,
                        unsigned gz, unsigned threads, const char *what)
    int rt_metal_synchronize(int device)
    int rt_metal_fault(int device, int64_t **fault)
    void rt_metal_debug(int sync)
    int64_t rt_metal_launches()
    int64_t rt_metal_waits()
    void rt_metal_trim(int device)
    void rt_metal_stats(int device, RtMetalStats *out)
    void rt_metal_reset_peak(int device)
    ctypedef struct RtMetalCalls:
        char *(*error)() noexcept nogil
        int (*devices)() noexcept nogil
        int (*describe)(int device, RtMetalDevice *out) noexcept nogil
        int (*commit)(int device) noexcept nogil
        void *(*library)(int device, const char *source) noexcept nogil
        void *(*pipeline)(int device, void *library, const char *name, unsigned *most_threads) noexcept nogil
    RtMetalCalls rt_metal

cdef int devices = 0
cdef dict libraries = {}        # (device, text) -> handle of a library; never dropped: kernels are kept, too
cdef dict hands = {}            # (device, file, kernel, types) -> (address of an RtMetalKernel, its name)


cdef object helper = None       # the loaded library

def start(library):
    """Load the helper, look for devices and register the back end. Called once, at the first use of Metal.

    Args:
        library: the helper, a ctypes.CDLL.

    Returns:
        int: the number of devices; 0: none, and nothing was registered.
    """
    global devices, helper, rt_metal, rt_metal_build, rt_metal_find_put
    if devices:
        return devices
    import ctypes
    library.rt_metal_calls.restype = ctypes.c_void_p
    helper = library
    rt_metal = (<RtMetalCalls *><size_t>library.rt_metal_calls())[0]
    cdef int n = rt_metal.devices()
    if n:
        rt_metal_build, rt_metal_find_put = build, find_put
        rt_metal_debug(os.environ.get("RUSTORCH_METAL_SYNC", "0") not in ("", "0"))
        register_backend(2, rt_metal_backend())
        elsewhere(2, launch_borrowed)
        begin()
        from importlib import import_module
        import_module(".ops", __package__)
        devices = n
    return n


cdef object matrices_of(int device):
    """Whether the device's simdgroups multiply matrices."""
    cdef RtMetalDevice d
    return rt_metal.describe(device, &d) == 0 and d.matrices != 0


cdef object library_of(int device, object text, object name):
    """Compile a text; returns the library's handle."""
    source = (_text.prelude() + text).encode()
    cdef void *library = rt_metal.library(device, source)
    if library == NULL:
        raise KernelCompileError(f"metal: kernel {name}: {message()}", op=name)
    return <size_t>library


def prepare(keys, int device=0):
    """Compile the kernels of many keys together, so that none is compiled when it is first launched; those that Metal has not are left out.

    Args:
        keys: dicts of the fields of a key, as :func:`._text.kernel_text` takes them.
        device: number.
    """
    found = _text.together(keys, matrices_of(device))
    library = library_of(device, "\n".join(found.values()), f"{len(found)} kernels")
    for text in found.values():
        libraries[device, text] = library


cdef RtMetalKernel *kernel_of_text(int device, object text, object name) except NULL:
    """Compile a text (once) and make a kernel of it ready."""
    cdef RtMetalKernel *kernel
    found = libraries.get((device, text))
    if found is None:
        found = libraries[device, text] = library_of(device, text, name)
    kernel = <RtMetalKernel *>malloc(sizeof(RtMetalKernel))
    if kernel == NULL:
        raise MemoryError()
    what = (<str>name).encode()
    kernel.most_threads = RT_METAL_THREADS          # no launch of ours has more
    kernel.pipeline = rt_metal.pipeline(device, <void *><size_t>found, what, &kernel.most_threads)
    if kernel.pipeline == NULL:
        free(kernel)
        raise KernelCompileError(f"metal: kernel {name}: {message()}", op=name)
    return kernel


cdef str message():
    return rt_metal.error().decode(errors="replace")


cdef int told(object error) except -1:
    """Keep an exception's text for the launcher, which cannot raise; returns the status."""
    cdef bytes text
    if isinstance(error, KeyboardInterrupt):      # raised again when Python next looks
        PyErr_SetInterrupt()
        text = b"interrupted while a kernel was compiled"
    else:
        text = str(error).encode()[:RT_METAL_ERROR_ROOM - 1]
    strncpy(rt_metal.error(), text, RT_METAL_ERROR_ROOM - 1)
    return RT_ERR_UNSUPPORTED if isinstance(error, _text.NoKernel) else RT_ERR_DEVICE


cdef int build(const RtKey *key, void **kernel) noexcept with gil:
    """The launcher's call for a kernel that it does not know."""
    cdef int i
    try:
        name, text = _text.kernel_text({"kind": key.kind, "id": key.id, "loop": key.loop, "mode": key.mode, "vector": key.vector, "moving": key.moving,
                                        "host": key.host, "dtypes": [key.dtype[i] for i in range(key.nargs)]}, matrices_of(key.device))
        kernel[0] = kernel_of_text(key.device, text, name)
        return 0
    except BaseException as error:
        return told(error)


cdef object hand(int device, str file, str name, tuple types):
    """Find a hand-written kernel; compiled when it is first asked for."""
    try:
        tags = tuple([_text.TAGS[t.code] if hasattr(t, "itemsize") else str(t) for t in types])
        text = _text.hand_text(file, tags)
    except (_text.NoKernel, IndexError) as error:
        raise UnsupportedOpError(f"{name}: not implemented for {', '.join(str(t) for t in types)} on metal; move its inputs to 'cpu'", op=name) from error
    full = "_".join(("rt", name, *tags))
    found = hands[device, file, name, types] = (<size_t>kernel_of_text(device, text, full), full.encode())
    return found


cdef int find_put(int device, void **kernel) noexcept with gil:
    """The launcher's call for the kernel of small writes."""
    try:
        kernel[0] = <void *><size_t>(hands.get((device, "put.metal", "put", ())) or hand(device, "put.metal", "put", ()))[0]
        return 0
    except BaseException as error:
        return told(error)


def launch(str file, str name, tuple types, tuple tensors, tuple ints=(), tuple numbers=(), grid=1, unsigned threads=256):
    """Launch a hand-written kernel behind all that the first tensor's device was given before.

    Args:
        file: of the folder kernels.
        name: of the kernel, as its file has it in RT_NAME.
        types: dtypes (or numbers) for the file's letters.
        tensors: what the buffers 0, 1, ... are: first elements of tensors, all on one device; None: nothing that may be read. The next buffer is
            that of faults, the one behind it an RtMetalCall.
        ints, numbers: what its ``n`` and ``k`` hold.
        grid: threadgroups, a number or a tuple of up to three.
        threads: of a threadgroup.
    """
    cdef RtMetalCall call
    cdef char *pointers[24]
    cdef int64_t *fault = NULL
    cdef int i, n = len(tensors), device = (<TensorBase?>tensors[0]).dev >> 8
    cdef unsigned gx, gy, gz
    if n > 22 or len(ints) > RT_METAL_INTS or len(numbers) > RT_METAL_NUMBERS:
        raise ValueError(f"launch of {name}: too many arguments")
    for i in range(n):
        x = tensors[i]
        if x is not None and (<TensorBase?>x).dev != (2 | device << 8):
            raise DeviceError(f"{name}: expected all tensors on one Metal device, got {', '.join(str(v.device) for v in tensors if v is not None)}", op=name)
        pointers[i] = NULL if x is None else (<TensorBase>x).ptr
    gx, gy, gz = (*grid, 1, 1)[:3] if type(grid) is tuple else (grid, 1, 1)
    if gx == 0 or gy == 0 or gz == 0:
        return
    found = hands.get((device, file, name, types)) or hand(device, file, name, types)
    if rt_metal_fault(device, &fault):
        raise DeviceError(message())
    pointers[n] = <char *>fault
    memset(&call, 0, sizeof(call))
    for i in range(n):
        call.given |= <int64_t>(pointers[i] != NULL) << i
    for i in range(len(ints)):
        call.n[i] = ints[i]
    for i in range(len(numbers)):
        call.k[i] = numbers[i]
    what = <bytes>found[1]
    call.what = <int64_t><size_t><char *>what
    if rt_metal_launch(device, <RtMetalKernel *><size_t>found[0], pointers, n + 1, &call, sizeof(call), gx, gy, gz, threads, what):
        raise DeviceError(message())


cdef int launch_borrowed(Kernel kernel, TensorBase t, int dtype, RtCall *a, int64_t gx, int64_t gy, int64_t gz, unsigned bx, unsigned by) except -1:
    """Launch a kernel of cuda/kernels: Note [Borrowed kernels] in _text.py. Pointers that the operator did not set are NULL."""
    cdef RtMetalCall call
    cdef RtMetalOperand operand
    cdef char *pointers[17]
    cdef int64_t *fault = NULL
    cdef int i, device = t.dev >> 8
    key = (device, kernel.file, kernel.name, dtype, kernel.more)
    found = hands.get(key)
    if found is None:
        what = dtype_of(dtype)
        try:
            text, full = _text.borrowed_text(kernel.file, (_text.TAGS[dtype], *kernel.more) if _hand.source(kernel.file)[1] else (), kernel.name)
        except _text.NoKernel as error:
            raise UnsupportedOpError(f"{kernel.name}: not implemented for {what} on {(<object>t).device}; move its inputs to 'cpu'", op=kernel.name) from error
        found = hands[key] = (<size_t>kernel_of_text(device, text, full), full.encode())
    memset(&call, 0, sizeof(call))
    memset(pointers, 0, sizeof(pointers))
    for i in range(16):
        if a.p[i] != NULL and rt_metal_operand(device, a.p[i], &operand) == 0:
            pointers[i] = a.p[i]
            call.given |= <int64_t>1 << i
    if rt_metal_fault(device, &fault):
        raise DeviceError(message())
    pointers[16] = <char *>fault
    if gx < 0:                                        # threads that walk over n[0] elements
        gx = min((a.n[0] + 255) // 256, 1 << 16)
    if gx <= 0 or gy == 0 or gz == 0:
        return 0
    if by != 1:
        raise UnsupportedOpError(f"{kernel.name}: not implemented on {(<object>t).device}; move its inputs to 'cpu'", op=kernel.name)
    for i in range(RT_METAL_INTS):
        call.n[i] = a.n[i]
    for i in range(RT_METAL_NUMBERS):
        call.k[i] = <float>a.k[i]
    name = <bytes>found[1]
    call.what = <int64_t><size_t><char *>name
    if rt_metal_launch(device, <RtMetalKernel *><size_t>found[0], pointers, 17, &call, sizeof(call), <unsigned>gx, <unsigned>gy, <unsigned>gz, bx, name):
        raise DeviceError(message())
    return 0


def device_count():
    """Return the number of devices of the started back end."""
    return devices


def properties(int device):
    """Return what a device says about itself, a dict: name, memory in bytes."""
    cdef RtMetalDevice d
    if rt_metal.describe(device, &d):
        raise DeviceError(message())
    return {"name": d.name.decode(errors="replace"), "recommended_max_memory": d.working_set, "driver_allocated": d.allocated}


def synchronize(int device):
    """Wait for all work on a device."""
    if rt_metal_synchronize(device):
        raise DeviceError(message())


def commit(int device):
    """Hand over what was encoded, without waiting for it."""
    if rt_metal.commit(device):
        raise DeviceError(message())


def memory_stats(int device):
    """Return the allocator's counters of a device."""
    cdef RtMetalStats s
    rt_metal_stats(device, &s)
    return {"allocated": s.in_use, "allocated_peak": s.in_use_peak, "reserved": s.reserved, "reserved_peak": s.reserved_peak,
            "allocations": s.allocs, "hits": s.hits, "frees": s.frees}


def reset_peak(int device):
    """Let the peaks start from what is in use now."""
    rt_metal_reset_peak(device)


def trim(int device):
    """Give cached large blocks back to the system."""
    rt_metal_trim(device)


def launches():
    """Return how many kernels were launched in this process."""
    return rt_metal_launches()


def waits():
    """Return how often the host waited for a device."""
    return rt_metal_waits()
