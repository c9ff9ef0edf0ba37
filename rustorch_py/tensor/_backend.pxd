from libc.stdint cimport int32_t, int64_t, uint8_t
from ._base_c cimport RtIter, RtArray

cdef extern from "rustorch/backend.h" nogil:
    ctypedef struct RtBackend:
        const char *name
        void *(*alloc)(int device, size_t nbytes, size_t *got) noexcept nogil
        void (*free)(int device, void *ptr, size_t got) noexcept nogil
        int (*copy)(int dst_device, void *dst, int src_device, const void *src, size_t nbytes) noexcept nogil
        int (*elementwise)(int device, int kernel, int loop_dtype, RtIter *it, const double *k) noexcept nogil
        int (*reduce)(int device, int row, int acc_dtype, const RtArray *out, const RtArray *arr, const uint8_t *reduced, const double *k) noexcept nogil
        int (*gemm)(int device, const RtArray *out, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta) noexcept nogil
        int (*convert)(int device, RtIter *it) noexcept nogil
        int (*fill)(int device, RtIter *it, const char *value) noexcept nogil
        int (*synchronize)(int device) noexcept nogil
        const char *(*last_error)() noexcept nogil
    enum: RT_CPU, RT_CUDA, RT_METAL, RT_SHELL, RT_META, RT_NDEVICETYPES
    enum: RT_OK, RT_ERR_MEMORY, RT_ERR_UNSUPPORTED, RT_ERR_DEVICE

# The back end of a device; raises BackendUnavailableError when none is registered.
cdef const RtBackend *backend_of(int device) except NULL
cdef const RtBackend *peek_backend(int device_type) noexcept nogil
cdef int register_backend(int device_type, const RtBackend *backend) except -1
