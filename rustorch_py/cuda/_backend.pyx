# build: sources=launch.c,blaslt.c,device_memory.c,host_memory.c
"""The CUDA back end's upper half: finds the driver, builds kernels when the launcher misses one, registers the door."""
import os
import sys
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset, strncpy
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_SetInterrupt
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from ..tensor._backend cimport RtBackend, register_backend, RT_ERR_DEVICE, RT_ERR_MEMORY, RT_ERR_UNSUPPORTED, RT_NDEVICETYPES
from ..tensor._base cimport TensorBase, empty, RT_U8
from ..tensor._gemm cimport RtFusedGemm, register_fused
from ..tensor._dtype cimport dtype_of
from ..errors import BackendUnavailableError, DeviceError, DTypeError, KernelCompileError, OutOfMemoryError
from ..tensor._devices import begin
from ..tensor._dtype import default_cuda_index
from ..tensor._switches import on_product_switches
from . import _common, _compile, _hand, _libraries, _text

cdef extern from "launch.h" nogil:
    ctypedef uint64_t CuPtr
    ctypedef void *CuHandle
    ctypedef struct RtKey:
        uint8_t kind, device, loop, nargs
        uint16_t id
        uint8_t mode, vector, moving
        uint8_t dtype[8]
        uint8_t host
    ctypedef struct RtCudaStats:
        int64_t in_use, in_use_peak, reserved, reserved_peak, allocs, hits, frees, retries
    ctypedef struct RtCuda:
        int (*driver_version)(int *) noexcept nogil
        int (*device_get)(int *, int) noexcept nogil
        int (*device_name)(char *, int, int) noexcept nogil
        int (*device_memory)(size_t *, int) noexcept nogil
        int (*device_attribute)(int *, int, int) noexcept nogil
        int (*mem_info)(size_t *, size_t *) noexcept nogil
        int (*stream_create)(CuHandle *, unsigned, int) noexcept nogil
        int (*stream_synchronize)(CuHandle) noexcept nogil
        int (*stream_query)(CuHandle) noexcept nogil
        int (*stream_wait)(CuHandle, CuHandle, unsigned) noexcept nogil
        int (*event_create)(CuHandle *, unsigned) noexcept nogil
        int (*event_destroy)(CuHandle) noexcept nogil
        int (*event_record)(CuHandle, CuHandle) noexcept nogil
        int (*event_query)(CuHandle) noexcept nogil
        int (*event_synchronize)(CuHandle) noexcept nogil
        int (*event_elapsed)(float *, CuHandle, CuHandle) noexcept nogil
        int (*module_load)(CuHandle *, const void *) noexcept nogil
        int (*pointer_attribute)(void *, int, CuPtr) noexcept nogil
        int (*capture_begin)(CuHandle, int) noexcept nogil
        int (*capture_end)(CuHandle, CuHandle *) noexcept nogil
        int (*capture_state)(CuHandle, int *) noexcept nogil
        int (*graph_instantiate)(CuHandle *, CuHandle, unsigned long long) noexcept nogil
        int (*graph_launch)(CuHandle, CuHandle) noexcept nogil
        int (*graph_drop)(CuHandle) noexcept nogil
        int (*graph_drop_executable)(CuHandle) noexcept nogil
        int (*module_function)(CuHandle *, CuHandle, const char *) noexcept nogil
    ctypedef struct RtOptimOptions:
        pass
    ctypedef struct RtOptimItem:
        int64_t n
    ctypedef struct RtOptimHead:
        RtOptimOptions o
        const double *factor
        float *found
        char *out
        int64_t count
    ctypedef struct RtOptimMany:
        RtOptimHead h
        int *first
        RtOptimItem *item
    ctypedef struct RtOptimFew:
        RtOptimHead h
        int *first
        RtOptimItem *item
    enum: RT_OPTIM_FEW, RT_OPTIM_MANY, RT_OPTIM_COUNT
    int64_t RT_OPTIM_CHUNK(int method, int64_t itemsize)
    RtCuda rt_cuda
    int rt_cuda_launch(int device, CuHandle function, void *args, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, const char *what)
    int64_t *rt_cuda_fault(int device)
    int rt_cuda_faulted(int device)
    unsigned rt_cuda_blocks(int device, int64_t threads)
    int rt_cuda_launch_cost(int device, int calls, int plain, double *seconds)
    int (*rt_cuda_build)(const RtKey *key, CuHandle *function) noexcept nogil
    int (*rt_cuda_find_put)(int device, CuHandle *function) noexcept nogil
    int rt_cuda_start(int *devices)
    void rt_cuda_direct()
    const RtBackend *rt_cuda_backend()
    char *rt_cuda_error()
    int rt_cuda_check(int status, const char *what)
    int rt_cuda_captures
    int rt_cuda_use(int device)
    CuHandle rt_cuda_stream(int device)
    RtFusedGemm rt_cuda_fused
    void rt_cuda_small_products(int on)
    void rt_cuda_set_stream(int device, CuHandle stream)
    void rt_cuda_trim(int device)
    void rt_cuda_stats(int device, RtCudaStats *out)
    void rt_cuda_reset_peak(int device)
    void rt_cuda_overlap(int on)
    void rt_cuda_debug(int sync)
    int64_t rt_cuda_launches()
    int64_t rt_cuda_waits()
    void rt_cuda_nonblocking(int on)
    void rt_cuda_allocator(int is_asynchronous)
    void rt_cuda_use_stream(int device, CuPtr ptr, CuHandle stream)
    void *rt_cuda_new_heap(int device)
    void rt_cuda_drop_heap(void *heap)
    void rt_cuda_capture_into(int device, void *heap, CuHandle stream)
    void *rt_cuda_host_alloc(size_t nbytes)
    void rt_cuda_host_free(void *ptr)
    int rt_cuda_host_holds(const void *ptr, size_t nbytes)
    void rt_cuda_host_trim()
    void rt_cuda_host_stats(int64_t *in_use, int64_t *reserved)
    enum: CU_POINTER_DEVICE
    enum: CU_NOT_READY, CU_ATTR_SMS, CU_ATTR_MAJOR, CU_ATTR_MINOR, CU_ATTR_CLOCK, CU_ATTR_WARP, CU_ATTR_L2
    enum: CU_ATTR_THREADS_PER_SM, CU_ATTR_SHARED_PER_SM, CU_ATTR_REGISTERS_PER_SM, CU_ATTR_INTEGRATED

cdef extern from "blaslt.h" nogil:
    ctypedef struct RtBlasLt:
        size_t (*version)() noexcept nogil
    ctypedef struct RtBlasStats:
        int64_t products, plans, refused, copies, fused
    enum: RT_BLAS_UNKNOWN, RT_BLAS_CUBLASLT, RT_BLAS_OWN, RT_BLAS_TF32, RT_BLAS_F16_REDUCED, RT_BLAS_BF16_REDUCED, RT_BLAS_NOT_WANTED
    RtBlasLt rt_blaslt
    int (*rt_blaslt_find)() noexcept nogil
    int rt_blaslt_state()
    void rt_blaslt_allow(int flags)
    void rt_blaslt_choose(int n, int plans)
    void rt_blaslt_stats(RtBlasStats *out)

cdef extern from *:
    """
    #define X(result, name, symbol, arguments) symbol,
    static const char *const rt_blaslt_symbols[] = {RT_BLASLT_CALLS(X)};
    #undef X
    enum { RT_BLASLT_NCALLS = sizeof(rt_blaslt_symbols) / sizeof(*rt_blaslt_symbols) };
    static void rt_blaslt_set_call(int i, void *pointer) { memcpy((char *)&rt_blaslt + sizeof(void *) * (size_t)i, &pointer, sizeof pointer); }
    """
    const char **rt_blaslt_symbols
    int RT_BLASLT_NCALLS
    void rt_blaslt_set_call(int i, void *pointer) nogil

cdef extern from *:
    """
    #define X(name, symbol, arguments) symbol,
    static const char *const rt_cuda_symbols[] = {RT_CUDA_CALLS(X)};
    #undef X
    enum { RT_CUDA_NCALLS = sizeof(rt_cuda_symbols) / sizeof(*rt_cuda_symbols) };
    static void rt_cuda_set_call(int i, void *pointer) { memcpy((char *)&rt_cuda + sizeof(void *) * (size_t)i, &pointer, sizeof pointer); }
    """
    const char **rt_cuda_symbols
    int RT_CUDA_NCALLS
    void rt_cuda_set_call(int i, void *pointer) nogil

cdef int devices = 0
cdef dict compilers = {}        # device -> Compiler
cdef dict modules = {}          # (device, text) -> the handle of a loaded module; never unloaded: functions point into it
cdef object software = None     # how images are handed to the software driver; None: a real one
cdef object images = None       # folder of the software device's shared objects


# Note [Driver versions of entry points]: cuda-python exports a symbol's newest form under its plain name, so the structs and
# argument lists of driver.h are those of CUDA 13.
cdef int take_cuda_python() except -1:
    """Fill the table from cuda-python, whose C functions find the driver when they are first called."""
    cdef object api, capsule
    cdef int i
    try:
        from cuda.bindings import cydriver
    except ImportError as error:
        raise BackendUnavailableError("cuda: cuda-python is not installed; pip install 'rustorch_py[cuda]'") from error
    import ctypes
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:                                          # cuda-python's C functions raise where there is none, and hang when asked again
        ctypes.CDLL(driver)
    except OSError as error:
        raise BackendUnavailableError(f"cuda: no NVIDIA driver was found ({driver})") from error
    api = cydriver.__pyx_capi__
    for i in range(RT_CUDA_NCALLS):
        name = rt_cuda_symbols[i].decode()
        capsule = api.get(name)
        if capsule is None:
            raise BackendUnavailableError(f"cuda: this cuda-python has no {name}; pip install -U 'rustorch_py[cuda]'")
        rt_cuda_set_call(i, PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)))
    return 0


cdef int take_library(object path) except -1:
    """Fill the table from a shared library that exports the driver's names."""
    import ctypes
    cdef int i
    library = ctypes.CDLL(path)
    for i in range(RT_CUDA_NCALLS):
        function = getattr(library, rt_cuda_symbols[i].decode())
        rt_cuda_set_call(i, <void *><size_t>ctypes.cast(function, ctypes.c_void_p).value)
    modules["library"] = library
    return 0


def start(library=None):
    """Find the driver and its devices, and register the back end. Called once, at the first use of CUDA.

    Args:
        library: path of a library to use instead of cuda-python: the software device.

    Returns:
        int: the number of devices; 0: none, or no driver, and nothing was registered.
    """
    global devices, software, images
    cdef int n = 0, status
    if devices:
        return devices
    if library is None:
        take_cuda_python()
    else:
        take_library(library)
        software = library
    status = rt_cuda_start(&n)
    if status:
        raise BackendUnavailableError(f"cuda: {rt_cuda_error().decode(errors='replace')}")
    if n:
        global rt_cuda_build, rt_cuda_find_put
        rt_cuda_build, rt_cuda_find_put = build, find_put
        if library is None:
            rt_cuda_direct()
        rt_cuda_allocator(os.environ.get("RUSTORCH_CUDA_ALLOC", "") == "async")
        rt_cuda_overlap(os.environ.get("RUSTORCH_CUDA_OVERLAP", "1") != "0")
        rt_cuda_debug(os.environ.get("RUSTORCH_CUDA_SYNC", "0") not in ("", "0"))
        register_backend(1, rt_cuda_backend())
        global rt_blaslt_find
        rt_blaslt_find = find_blas
        register_fused(1, rt_cuda_fused)
        on_product_switches(switch_products)
        devices = n
        begin()
        from importlib import import_module
        import_module(".ops", __package__)
    return n


# ---- cuBLASLt --------------------------------------------------------------------------------------------
cdef object why_own = None      # why products are our own

cdef int find_blas() noexcept with gil:
    """The first product's call: take cuBLASLt's functions from NVIDIA's library, if there is one."""
    global why_own
    import ctypes
    cdef int i
    cdef list found = []
    try:
        path = _libraries.find("RUSTORCH_CUBLASLT", "libcublasLt.so.13", "cublas", software is None)
        if path is None:
            why_own = "libcublasLt.so.13 was not found"
            return RT_BLAS_OWN
        opened = ctypes.CDLL(path)
        for i in range(RT_BLASLT_NCALLS):
            found.append(ctypes.cast(getattr(opened, rt_blaslt_symbols[i].decode()), ctypes.c_void_p).value)
        for i in range(RT_BLASLT_NCALLS):
            rt_blaslt_set_call(i, <void *><size_t>found[i])
        modules["cublasLt"] = opened
        return RT_BLAS_CUBLASLT
    except Exception as error:
        why_own = str(error)
        return RT_BLAS_OWN


def switch_products(tf32, f16_reduced, bf16_reduced, own):
    """Say what products may do: round float32 to TF32, add split sums of float16 and of bfloat16 in their own dtype; own: without cuBLASLt."""
    rt_blaslt_allow((RT_BLAS_TF32 if tf32 else 0) | (RT_BLAS_F16_REDUCED if f16_reduced else 0) | (RT_BLAS_BF16_REDUCED if bf16_reduced else 0) |
                    (RT_BLAS_NOT_WANTED if own else 0))


def blas_tries(int n, int plans=4096):
    """Choose how plans are made, anew from now on.

    Args:
        n: so many of cuBLASLt's proposals are timed when a large product is planned; 1 takes its first.
        plans: how many are kept.
    """
    rt_blaslt_choose(n, plans)


def small_products(bint on):
    """Let products of small matrices be our own kernel's, or cuBLASLt's as all others."""
    rt_cuda_small_products(on)


def blas():
    """Return who makes products, "cublaslt" or "own", with its version or why, and counters.

    Returns:
        dict: library, version (0: own), why, products (by cuBLASLt), plans, refused (plans that it has no algorithm for), copies
        (operands that did not lie right), fused (products with an epilogue).
    """
    cdef RtBlasStats s
    cdef bint there = rt_blaslt_state() == RT_BLAS_CUBLASLT
    rt_blaslt_stats(&s)
    return {"library": "cublaslt" if there else "own", "version": rt_blaslt.version() if there else 0, "why": why_own if why_own or there else "it is not wanted", "products": s.products,
            "plans": s.plans, "refused": s.refused, "copies": s.copies, "fused": s.fused}


def library():
    """Return the library that stands in for the driver (the software device), or None."""
    return modules.get("library")


def compiler_of(int device):
    """Return the compiler for a device's architecture."""
    cdef int handle = 0, major = 0, minor = 0
    if device not in compilers:
        if software is not None:
            compilers[device] = _compile.Host()
        else:
            check(rt_cuda.device_get(&handle, device), b"cuDeviceGet")
            check(rt_cuda.device_attribute(&major, CU_ATTR_MAJOR, handle), b"cuDeviceGetAttribute")
            check(rt_cuda.device_attribute(&minor, CU_ATTR_MINOR, handle), b"cuDeviceGetAttribute")
            compilers[device] = _compile.Nvrtc(f"sm_{major}{minor}")
    return compilers[device]


cdef object key_fields(const RtKey *key):
    return {"kind": key.kind, "id": key.id, "loop": key.loop, "mode": key.mode, "vector": key.vector, "moving": key.moving, "host": key.host,
            "dtypes": [key.dtype[i] for i in range(key.nargs)]}


cdef object load(int device, bytes image):
    """Load an image on a device; returns the module's handle."""
    global images
    cdef CuHandle module = NULL
    if software is not None:                      # the software driver loads files
        if images is None:
            import tempfile
            images = tempfile.TemporaryDirectory(prefix="rustorch_software_device_")
        path = os.path.join(images.name, f"{len(os.listdir(images.name))}.so")
        with open(path, "wb") as f:
            f.write(image)
        image = os.fsencode(path) + b"\0"
    use(device)
    check(rt_cuda.module_load(&module, <const char *>image), b"cuModuleLoadData")
    return <size_t>module


cdef object module_of(int device, object text, object name):
    """Return the module of a text, loaded once a device."""
    if (device, text) not in modules:
        modules[device, text] = load(device, compiler_of(device).image(text, name))
    return modules[device, text]


def prepare(keys, int device=0):
    """Compile the kernels of many keys together, so that none is compiled when it is first launched.

    Args:
        keys: dicts of the fields of a key, as :func:`._text.kernel_text` takes them.
        device: number.

    Returns:
        int: how many kernels were new to the device.
    """
    found, whole = _common.together(keys)
    new = {name: text for name, text in found.items() if (device, text) not in modules}
    if new:
        # all of them: the text, and so the image that is kept, is the same whatever was launched before
        module = load(device, compiler_of(device).image(whole, f"{len(found)} kernels"))
        for text in new.values():
            modules[device, text] = module
    return len(new)


cdef int told(object error) except -1:
    """Keep an exception's text for the launcher, which cannot raise; returns the status."""
    cdef bytes text
    if isinstance(error, KeyboardInterrupt):      # raised again when Python next looks
        PyErr_SetInterrupt()
        text = b"interrupted while a kernel was compiled"
    else:
        text = str(error).encode()[:1000]
    strncpy(rt_cuda_error(), text, 1023)
    return RT_ERR_UNSUPPORTED if isinstance(error, _text.NoKernel) else RT_ERR_DEVICE


cdef int build(const RtKey *key, CuHandle *function) noexcept with gil:
    """The launcher's call for a kernel that it does not know."""
    cdef bytes what
    try:
        name, text = _text.kernel_text(key_fields(key))
        what = name.encode()
        if (key.device, text) not in modules and compiler_of(key.device).in_groups:
            group = _common.group_of(name)
            if group is not None:
                prepare(group, key.device)
        check(rt_cuda.module_function(function, <CuHandle><size_t>module_of(key.device, text, name), what), b"cuModuleGetFunction")
        return 0
    except BaseException as error:
        return told(error)


cdef int find_put(int device, CuHandle *function) noexcept with gil:
    """The launcher's call for the kernel of small copies."""
    try:
        function[0] = <CuHandle><size_t>hand(device, "put.cuh", "put", ())[0]
        return 0
    except BaseException as error:
        return told(error)


cdef int check(int status, const char *what) except -1:
    cdef int kind = rt_cuda_check(status, what)
    if kind:
        raise (OutOfMemoryError if kind == RT_ERR_MEMORY else DeviceError)(rt_cuda_error().decode(errors="replace"))
    return 0


cdef bint is_done(int status, const char *what) except -1:
    """The answer of a query: False while work is under way."""
    if status != CU_NOT_READY:
        check(status, what)
    return status != CU_NOT_READY


cdef int use(int device) except -1:
    if rt_cuda_use(device):
        raise DeviceError(rt_cuda_error().decode(errors="replace"))
    return 0


cdef dict hands = {}            # (device, file, kernel, types) -> (function, its name)

cdef object hand(int device, str file, str name, tuple types):
    """Find a hand-written kernel; compiled when it is first asked for."""
    cdef CuHandle function = NULL
    try:
        tags = tuple([_text.TAGS[t.code] if hasattr(t, "itemsize") else str(t) for t in types])
        text = _hand.hand_text(file, tags, name)
    except (_text.NoKernel, IndexError) as error:
        raise DTypeError(f"cuda: {name} is not implemented for {', '.join(str(t) for t in types)}", op=name) from error
    end = _hand.suffix(tags)
    full = f"rt_{name}_{end}" if end else f"rt_{name}"
    what = full.encode()
    use(device)
    check(rt_cuda.module_function(&function, <CuHandle><size_t>module_of(device, text, f"{file} {end}"), what), b"cuModuleGetFunction")
    found = hands[device, file, name, types] = (<size_t>function, what)
    return found


cdef Launcher launchers[RT_NDEVICETYPES]
for _i in range(RT_NDEVICETYPES):
    launchers[_i] = NULL


cdef int elsewhere(int device_type, Launcher launcher) except -1:
    launchers[device_type] = launcher
    return 0


cdef class Kernel:
    def __init__(self, file, name, more=()):
        self.file, self.name, self.more = file, name, more

    cdef int launch(self, TensorBase t, int dtype, RtCall *a, int64_t gx=-1, int64_t gy=1, int64_t gz=1, unsigned bx=256, unsigned by=1) except -1:
        cdef int device = t.dev >> 8
        if t.dev & 0xff != 1 and t.dev & 0xff < RT_NDEVICETYPES and launchers[t.dev & 0xff] != NULL:
            return launchers[t.dev & 0xff](self, t, dtype, a, gx, gy, gz, bx, by)
        if t.dev & 0xff != 1 or device >= MAX_DEVICES or dtype >= MAX_DTYPES:
            raise DeviceError(f"{self.name}: expected tensors on a CUDA device, got {(<object>t).device}", op=self.name)
        use(device)
        if self.found[device][dtype] == NULL:
            self.find(device, dtype)
        if gx < 0:
            if a.n[0] <= 0:
                return 0
            gx = rt_cuda_blocks(device, a.n[0])
        if gx == 0 or gy == 0 or gz == 0:
            return 0
        a.what = <int64_t><size_t>self.what[dtype]
        a.fault = rt_cuda_fault(device)
        if rt_cuda_launch(device, self.found[device][dtype], a, <unsigned>gx, <unsigned>gy, <unsigned>gz, bx, by, self.what[dtype]):
            raise DeviceError(rt_cuda_error().decode(errors="replace"))
        return 0

    cdef int find(self, int device, int dtype) except -1:
        function, what = hand(device, self.file, self.name, (dtype_of(dtype), *self.more) if _hand.source(self.file)[1] else ())
        kept.append(what)
        self.what[dtype] = what
        self.found[device][dtype] = <void *><size_t>function
        return 0


cdef list kept = []             # names that kernels point to


cdef int point(Kernel kernel, RtCall *a, int i, TensorBase t, TensorBase first) except -1:
    if t is None:
        a.p[i] = NULL
        return 0
    if t.dev != first.dev:
        raise DeviceError(f"{kernel.name}: expected all tensors on one device, got {(<object>first).device} and {(<object>t).device}", op=kernel.name)
    a.p[i] = t.ptr
    return 0


cdef int attributes[MAX_DEVICES][2]

cdef int attribute(int device, int which) except -1:
    cdef int handle = 0, i = which != CU_ATTR_SMS
    if attributes[device][i] == 0:
        use(device)
        check(rt_cuda.device_get(&handle, device), b"cuDeviceGet")
        check(rt_cuda.device_attribute(&attributes[device][i], which, handle), b"cuDeviceGetAttribute")
    return attributes[device][i]


cdef int started() noexcept:
    return devices


cdef int capturing() noexcept:
    return rt_cuda_captures


cdef size_t stream_handle(int device) noexcept:
    return <size_t>rt_cuda_stream(device)


cdef int processors(int device) except -1:
    return attribute(device, CU_ATTR_SMS)


cdef int threads_at_once(int device) except -1:
    return attribute(device, CU_ATTR_THREADS_PER_SM)


def launch(str file, str name, tuple types, tuple tensors, tuple ints=(), tuple numbers=(), grid=None, block=256):
    """Launch a hand-written kernel (Note [Hand-written kernels] in _hand.py) on the current stream of the first tensor's device.

    Args:
        file: of the folder kernels.
        name: of the kernel, as its file has it in RT_NAME.
        types: dtypes (or numbers and names) for the file's letters.
        tensors: what ``p`` points to: first elements of tensors, all on one device; None: NULL.
        ints, numbers: what ``n`` and ``k`` hold.
        grid: blocks as a number or a tuple of up to three; None: as many as ints[0] threads want (the kernel walks with RT_EACH).
        block: threads of a block, a number or a tuple of two.
    """
    cdef RtCall call
    cdef int i = 0, device = -1
    cdef unsigned gx = 1, gy = 1, gz = 1, bx = 256, by = 1
    cdef TensorBase t
    cdef bytes what
    if len(tensors) > RT_CALL_POINTERS or len(ints) > RT_CALL_INTS or len(numbers) > RT_CALL_NUMBERS:
        raise ValueError(f"launch of {name}: too many arguments")
    for x in tensors:
        call.p[i] = NULL
        if x is not None:
            t = x
            if t.dev & 0xff != 1 or (device >= 0 and t.dev >> 8 != device):
                raise DeviceError(f"{name}: expected all tensors on one CUDA device, got {', '.join(str(v.device) for v in tensors if v is not None)}", op=name)
            device = t.dev >> 8
            call.p[i] = t.ptr
        i += 1
    for i in range(len(ints)):
        call.n[i] = ints[i]
    for i in range(len(numbers)):
        call.k[i] = numbers[i]
    found = hands.get((device, file, name, types))
    if found is None:
        found = hand(device, file, name, types)
    use(device)
    if grid is None:
        if call.n[0] <= 0:
            return
        gx = rt_cuda_blocks(device, call.n[0])
    elif type(grid) is tuple:
        gx, gy, gz = (*grid, 1, 1)[:3]
    else:
        gx = grid
    if gx == 0 or gy == 0 or gz == 0:
        return
    if type(block) is tuple:
        bx, by = block
    else:
        bx = block
    what = found[1]
    call.what = <int64_t><size_t><char *>what
    call.fault = rt_cuda_fault(device)
    if rt_cuda_launch(device, <CuHandle><size_t>found[0], &call, gx, gy, gz, bx, by, what):
        raise DeviceError(rt_cuda_error().decode(errors="replace"))


cdef char *memory(object t):
    return NULL if t is None else (<TensorBase>t).ptr


def run_optim(int device, int method, object dtype, size_t items, int64_t count, size_t options, factor, found, partial):
    """Launch a method of kernels/optim.cuh for a list of parameters.

    Args:
        items, count: address of that many RtOptimItem.
        options: address of an RtOptimOptions; 0: the method reads none.
        factor, found, partial: tensors or None, see RtOptimHead.
    """
    cdef RtOptimItem *it = <RtOptimItem *>items
    cdef RtOptimMany *many = NULL
    cdef RtOptimFew few
    cdef RtOptimHead *head
    cdef int64_t begin = 0, n, i, room, blocks = 0, chunks, chunk = RT_OPTIM_CHUNK(method, dtype.itemsize)
    cdef bytes what
    cdef int *first
    cdef RtOptimItem *item
    cdef char *args
    use(device)
    if count > RT_OPTIM_FEW:
        many = <RtOptimMany *>PyMem_Malloc(sizeof(RtOptimMany))
        if many == NULL:
            raise MemoryError()
    try:
        key = (device, "optim.cuh", "few" if many == NULL else "many", (dtype, method))
        function = hands.get(key)
        if function is None:
            function = hand(device, "optim.cuh", <str>key[2], (dtype, method))
        what = function[1]
        room = RT_OPTIM_FEW if many == NULL else RT_OPTIM_MANY
        if many == NULL:
            memset(&few, 0, sizeof(few))
            head, first, item, args = &few.h, few.first, few.item, <char *>&few
        else:
            memset(many, 0, sizeof(RtOptimMany))
            head, first, item, args = &many.h, many.first, many.item, <char *>many
        if options:
            head.o = (<RtOptimOptions *>options)[0]
        head.factor, head.found, head.out = <const double *>memory(factor), <float *>memory(found), memory(partial)
        while begin < count:
            n = 0
            blocks = 0
            while n < room and begin + n < count:
                chunks = (it[begin + n].n + chunk - 1) // chunk
                if blocks + chunks > 0x7fffffff:
                    break
                item[n] = it[begin + n]
                first[n] = <int>blocks
                blocks += chunks
                n += 1
            if n == 0:
                raise DeviceError("optimizer step: a parameter has too many elements for one launch")
            first[n] = <int>blocks
            head.count = n
            if method == RT_OPTIM_COUNT:
                blocks = (n + 255) // 256
            if blocks and rt_cuda_launch(device, <CuHandle><size_t>function[0], args, <unsigned>blocks, 1, 1, 256, 1, what):
                raise DeviceError(rt_cuda_error().decode(errors="replace"))
            if head.out != NULL:
                head.out += blocks * (8 if dtype.itemsize == 8 else 4)
            begin += n
    finally:
        PyMem_Free(many)


def device_count():
    """Return the number of devices of the started back end."""
    return devices


def properties(int device):
    """Return name, capability, memory and processors of a device as a dict."""
    cdef char name[256]
    cdef int handle = 0, value = 0
    cdef size_t total = 0
    use(device)
    check(rt_cuda.device_get(&handle, device), b"cuDeviceGet")
    check(rt_cuda.device_name(name, 256, handle), b"cuDeviceGetName")
    check(rt_cuda.device_memory(&total, handle), b"cuDeviceTotalMem")
    found = {"name": name.decode(errors="replace"), "total_memory": total}
    for key, attribute in (("major", CU_ATTR_MAJOR), ("minor", CU_ATTR_MINOR), ("multi_processor_count", CU_ATTR_SMS), ("warp_size", CU_ATTR_WARP),
                           ("L2_cache_size", CU_ATTR_L2), ("max_threads_per_multi_processor", CU_ATTR_THREADS_PER_SM), ("clock_rate", CU_ATTR_CLOCK),
                           ("shared_memory_per_multiprocessor", CU_ATTR_SHARED_PER_SM), ("regs_per_multiprocessor", CU_ATTR_REGISTERS_PER_SM),
                           ("is_integrated", CU_ATTR_INTEGRATED)):
        check(rt_cuda.device_attribute(&value, attribute, handle), b"cuDeviceGetAttribute")
        found[key] = value
    return found


def driver_version():
    """Return the driver's CUDA version, such as 13000."""
    cdef int version = 0
    check(rt_cuda.driver_version(&version), b"cuDriverGetVersion")
    return version


def synchronize(int device):
    """Wait for all work on a device."""
    use(device)
    if rt_cuda_backend().synchronize(1 | device << 8):
        raise DeviceError(rt_cuda_error().decode(errors="replace"))


def mem_info(int device):
    """Return (free, total) bytes of a device's memory, as the driver counts them."""
    cdef size_t free_bytes = 0, total = 0
    use(device)
    check(rt_cuda.mem_info(&free_bytes, &total), b"cuMemGetInfo")
    return free_bytes, total


def memory_stats(int device):
    """Return the allocator's counters of a device."""
    cdef RtCudaStats s
    use(device)
    rt_cuda_stats(device, &s)
    return {"allocated": s.in_use, "allocated_peak": s.in_use_peak, "reserved": s.reserved, "reserved_peak": s.reserved_peak,
            "allocations": s.allocs, "hits": s.hits, "frees": s.frees, "retries": s.retries}


def reset_peak(int device):
    """Let the peaks start from what is in use now."""
    use(device)
    rt_cuda_reset_peak(device)


def trim(int device):
    """Give cached large blocks back to the driver."""
    rt_cuda_trim(device)


def launch_cost(int calls, bint plain=False, int device=0):
    """Return the microseconds that a launch keeps the host, of `calls` in a C loop: our way, or by cuLaunchKernel."""
    cdef double seconds = 0
    use(device)
    if rt_cuda_launch_cost(device, calls, plain, &seconds):
        raise DeviceError(rt_cuda_error().decode(errors="replace"))
    return seconds / calls * 1e6


def launches():
    """Return how many kernels were launched in this process."""
    return rt_cuda_launches()


def waits():
    """Return how often the host waited for a copy or a whole device."""
    return rt_cuda_waits()


# ---- memory of the host --------------------------------------------------------------------------------
cdef class HostBlock:
    """Page-locked memory; goes back to its cache with the last tensor on it."""
    cdef readonly size_t address

    def __cinit__(self, size_t nbytes):
        use(default_cuda_index())
        self.address = <size_t>rt_cuda_host_alloc(nbytes)
        if not self.address:
            raise OutOfMemoryError(f"pin_memory: cannot lock {nbytes} bytes: {rt_cuda_error().decode(errors='replace')}", op="pin_memory", nbytes=nbytes)

    def __dealloc__(self):
        if self.address:
            rt_cuda_host_free(<void *>self.address)


def is_pinned(size_t address):
    """Tell whether an address of the host lies in page-locked memory of ours."""
    return rt_cuda_host_holds(<const void *>address, 1) != 0


def host_memory():
    """Return (bytes in use, bytes held) of page-locked memory."""
    cdef int64_t in_use = 0, reserved = 0
    rt_cuda_host_stats(&in_use, &reserved)
    return in_use, reserved


def trim_host():
    """Give cached page-locked memory back."""
    rt_cuda_host_trim()


def waiting(bint on):
    """Let this thread's copies between page-locked memory and devices be waited for, or not."""
    rt_cuda_nonblocking(not on)


def use_stream(int device, size_t block, size_t stream):
    """Note that a block is used on a stream besides its own."""
    rt_cuda_use_stream(device, block, <CuHandle>stream)


def device_of_pointer(size_t address):
    """Return the number of the device that an address of device memory belongs to."""
    cdef int found = 0
    use(default_cuda_index())
    check(rt_cuda.pointer_attribute(&found, CU_POINTER_DEVICE, address), b"cuPointerGetAttribute")
    return found


# ---- graphs --------------------------------------------------------------------------------------------
cdef class Pool:
    """The private memory of one or several graphs: Note [Memory of graphs] in device_memory.c."""
    cdef void *heap
    cdef readonly int device

    def __cinit__(self, int device):
        self.device = device
        self.heap = rt_cuda_new_heap(device)
        if self.heap == NULL:
            raise MemoryError()

    def __dealloc__(self):
        rt_cuda_drop_heap(self.heap)


def begin_capture(int device, size_t stream, Pool pool, int mode):
    """Record from now on what the stream is given, instead of doing it."""
    use(device)
    check(rt_cuda.capture_begin(<CuHandle>stream, mode), b"cuStreamBeginCapture")
    rt_cuda_capture_into(device, pool.heap, <CuHandle>stream)


def end_capture(int device, size_t stream):
    """End a capture; returns the handle of the executable graph."""
    cdef CuHandle graph = NULL, executable = NULL
    rt_cuda_capture_into(device, NULL, NULL)
    use(device)
    check(rt_cuda.capture_end(<CuHandle>stream, &graph), b"cuStreamEndCapture")
    try:
        check(rt_cuda.graph_instantiate(&executable, graph, 0), b"cuGraphInstantiate")
    finally:
        rt_cuda.graph_drop(graph)
    return <size_t>executable


def is_capturing(int device, size_t stream):
    """Tell whether a stream records what it is given."""
    cdef int state = 0
    use(device)
    check(rt_cuda.capture_state(<CuHandle>stream, &state), b"cuStreamIsCapturing")
    return state != 0


def launch_graph(int device, size_t executable, size_t stream):
    """Do what was recorded, on a stream."""
    use(device)
    check(rt_cuda.graph_launch(<CuHandle>executable, <CuHandle>stream), b"cuGraphLaunch")


def drop_graph(int device, size_t executable):
    use(device)
    check(rt_cuda.graph_drop_executable(<CuHandle>executable), b"cuGraphExecDestroy")


cdef dict idle_streams = {}     # (device, priority) -> handles

# Note [Streams are kept]: a stream that nobody holds any more may still be some thread's current one, own cached blocks, or be noted as a
# user of a block, so it is not destroyed but waits for the next :class:`Stream`. What it was given runs on; later work queues behind.
def new_stream(int device, int priority):
    """Return the handle of a stream that does not wait for the default one, a kept one or a new one."""
    cdef CuHandle stream = NULL
    idle = idle_streams.get((device, priority))
    if idle:
        return idle.pop()
    use(device)
    check(rt_cuda.stream_create(&stream, 1, priority), b"cuStreamCreate")
    return <size_t>stream


def drop_stream(int device, int priority, size_t stream):
    """Keep a stream for the next that is asked for."""
    idle_streams.setdefault((device, priority), []).append(stream)


def get_stream(int device):
    """Return the handle of this thread's current stream on a device; 0 is the default one."""
    return <size_t>rt_cuda_stream(device)


def signature(tuple tensors):
    """Describe tensors for a dict of plans.

    Returns:
        dtypes, devices, sizes and strides as bytes; the addresses as a list; whether one of them is not a multiple of 16. None stands for
        no tensor.
    """
    cdef int64_t n[160]
    cdef int i, k = 0
    cdef size_t bits = 0
    cdef TensorBase t
    cdef list pointers = []
    for x in tensors:
        if k + 1 + (0 if x is None else 2 * (<TensorBase?>x).nd) > 160:
            raise ValueError("signature: too many tensors and dimensions")
        if x is None:
            n[k] = -1
            k += 1
            continue
        t = <TensorBase>x
        n[k] = t.dt | (<int64_t>t.dev << 8) | (<int64_t>t.nd << 40)
        k += 1
        for i in range(t.nd):
            n[k] = t.sh[i]
            n[k + 1] = t.st[i]
            k += 2
        pointers.append(<size_t>t.ptr)
        bits |= <size_t>t.ptr
    return PyBytes_FromStringAndSize(<char *>n, k * 8), pointers, bits % 16 != 0


def room(TensorBase like, int64_t nbytes):
    """Return uninitialized bytes on a tensor's device."""
    return empty(1, &nbytes, RT_U8, like.dev)


def enter(int device):
    """Make a device the current one, for libraries that ask the driver for it; returns this thread's stream on it."""
    use(device)
    return <size_t>rt_cuda_stream(device)


def set_stream(int device, size_t stream):
    use(device)
    rt_cuda_set_stream(device, <CuHandle>stream)


def stream_synchronize(int device, size_t stream):
    cdef int status
    use(device)
    with nogil:
        status = rt_cuda.stream_synchronize(<CuHandle>stream)
    check(status, b"cuStreamSynchronize")
    if rt_cuda_faulted(device):
        raise DeviceError(rt_cuda_error().decode(errors="replace"))


def stream_query(int device, size_t stream):
    use(device)
    return is_done(rt_cuda.stream_query(<CuHandle>stream), b"cuStreamQuery")


def stream_wait(int device, size_t stream, size_t event):
    use(device)
    check(rt_cuda.stream_wait(<CuHandle>stream, <CuHandle>event, 0), b"cuStreamWaitEvent")


def new_event(int device, bint timed, bint blocking):
    cdef CuHandle event = NULL
    use(device)
    check(rt_cuda.event_create(&event, (0 if timed else 2) | (1 if blocking else 0)), b"cuEventCreate")
    return <size_t>event


def drop_event(int device, size_t event):
    use(device)
    check(rt_cuda.event_destroy(<CuHandle>event), b"cuEventDestroy")


def record_event(int device, size_t event, size_t stream):
    use(device)
    check(rt_cuda.event_record(<CuHandle>event, <CuHandle>stream), b"cuEventRecord")


def event_query(int device, size_t event):
    use(device)
    return is_done(rt_cuda.event_query(<CuHandle>event), b"cuEventQuery")


def event_synchronize(int device, size_t event):
    cdef int status
    use(device)
    with nogil:
        status = rt_cuda.event_synchronize(<CuHandle>event)
    check(status, b"cuEventSynchronize")


def event_elapsed(size_t start_event, size_t end_event):
    """Return the milliseconds between two recorded events."""
    cdef float milliseconds = 0
    check(rt_cuda.event_elapsed(&milliseconds, <CuHandle>start_event, <CuHandle>end_event), b"cuEventElapsedTime")
    return milliseconds
