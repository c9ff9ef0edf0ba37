/* The in-memory exchange format of DLPack 1.x (and of 0.x, without version). Layout is the public
 * ABI; names are ours. */
#ifndef RUSTORCH_DLPACK_H
#define RUSTORCH_DLPACK_H
#include <stdint.h>

typedef struct { int32_t type, id; } RtDlDevice;                    /* 1 CPU, 2 CUDA, 3 CUDA host, 8 Metal */
typedef struct { uint8_t code, bits; uint16_t lanes; } RtDlType;    /* 0 int 1 uint 2 float 4 bfloat 5 complex 6 bool 10.. 8-bit floats */
typedef struct {
    void      *data;
    RtDlDevice device;
    int32_t    ndim;
    RtDlType   dtype;
    int64_t   *shape, *strides;        /* elements; strides NULL: row-major */
    uint64_t   byte_offset;
} RtDlTensor;
typedef struct RtDlManaged {
    RtDlTensor tensor;
    void *context;
    void (*deleter)(struct RtDlManaged *);
} RtDlManaged;
typedef struct RtDlVersioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct RtDlVersioned *);
    uint64_t flags;                    /* 1 read-only, 2 copied */
    RtDlTensor tensor;
} RtDlVersioned;
#endif
