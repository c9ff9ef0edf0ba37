/* The only door a device has. The floors above call rt_backends[device_type]->...; a device
 * fills one RtBackend and registers it. A NULL slot means: compose from the others or raise
 * UnsupportedOpError. Every call returns 0 or an RtStatus. */
#ifndef RUSTORCH_BACKEND_H
#define RUSTORCH_BACKEND_H
#include "loops.h"

/* RT_SHELL: tensors that a class answers for (vmap's, sparse ones): no back end. RT_META: shapes and dtypes without elements. */
typedef enum { RT_CPU = 0, RT_CUDA = 1, RT_METAL = 2, RT_SHELL = 3, RT_META = 4, RT_NDEVICETYPES = 5 } RtDeviceType;
typedef enum { RT_OK = 0, RT_ERR_MEMORY = 1, RT_ERR_UNSUPPORTED = 2, RT_ERR_DEVICE = 3 } RtStatus;

/* A device is one int in a Tensor: type in the low 8 bits, index above. */
#define RT_DEVICE(type, index) ((type) | ((index) << 8))
#define RT_DEVICE_TYPE(device) ((device) & 255)
#define RT_DEVICE_INDEX(device) ((device) >> 8)

typedef struct RtBackend {
    const char *name;
    void *(*alloc)(int device, size_t nbytes, size_t *got);      /* NULL when there is no memory */
    void  (*free)(int device, void *ptr, size_t got);
    int   (*copy)(int dst_device, void *dst, int src_device, const void *src, size_t nbytes);
    /* kernel: id from the table (rt_rows.h), loop_dtype: the dtype computed in. Operand dtypes
     * may differ from it; the back end converts. */
    int   (*elementwise)(int device, int kernel, int loop_dtype, RtIter *it, const double *k);
    /* reduction row; `reduced` marks the dimensions of `in` that go; out has them as size 1 */
    int   (*reduce)(int device, int row, int acc_dtype, const RtArray *out, const RtArray *in,
                    const uint8_t *reduced, const double *k);
    /* out[b,m,n] = alpha * a[b,m,k] @ b[b,k,n] + beta * out; any strides. conj: bit 0, of a; bit 1, of b. alpha, beta: real and imaginary part */
    int   (*gemm)(int device, const RtArray *out, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta);
    /* operand 0 of the plan from operand 1, strides and dtypes as they are; one device */
    int   (*convert)(int device, RtIter *it);
    /* every element of operand 0 from the bytes of one */
    int   (*fill)(int device, RtIter *it, const char *value);
    int   (*synchronize)(int device);
    const char *(*last_error)(void);
    void *reserved[4];
} RtBackend;
#endif
