# C declarations shared by all modules of the ground floor; no Python objects.
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "rustorch/layout.h" nogil:
    enum: RT_MAX_DIM
    enum: RT_MAX_ARGS
    ctypedef struct RtArray:
        char *data
        int32_t dtype
        int32_t ndim
        int64_t shape[64]
        int64_t strides[64]
    ctypedef struct RtIter:
        int ndim
        int nargs, host
        int64_t numel
        char *ptr[8]
        int32_t dtype[8]
        int64_t shape[64]
        int64_t step_bytes[64][8]
    void rt_iter_coalesce(RtIter *it)
    int rt_is_contiguous(int ndim, const int64_t *shape, const int64_t *strides)
    void rt_contiguous_strides(int ndim, const int64_t *shape, int64_t *strides)
    int64_t rt_numel(int ndim, const int64_t *shape)

cdef extern from "rustorch/dtype.h" nogil:
    enum: RT_BOOL, RT_U8, RT_I8, RT_I16, RT_I32, RT_I64, RT_F16, RT_BF16, RT_F32, RT_F64, RT_C64, RT_C128, RT_NDTYPES, RT_NLOOPED
    enum: RT_C32, RT_U16, RT_U32, RT_U64, RT_E4M3FN, RT_E5M2, RT_E4M3FNUZ, RT_E5M2FNUZ, RT_E8M0FNU
    enum: RT_KIND_BOOL, RT_KIND_INT, RT_KIND_FLOAT, RT_KIND_COMPLEX
    int rt_itemsize(int dtype)
    int rt_kind(int dtype)
    int rt_compute_dtype(int dtype)
    int rt_real_dtype(int dtype)

cdef extern from "rustorch/backend.h" nogil:
    int RT_DEVICE(int type, int index)
    int RT_DEVICE_TYPE(int device)
    int RT_DEVICE_INDEX(int device)
