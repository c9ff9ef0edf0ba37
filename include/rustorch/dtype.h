/* The list of element types. Order = promotion order inside a category; codes are stable
 * (they are stored in pickles and passed between extension modules). */
#ifndef RUSTORCH_DTYPE_H
#define RUSTORCH_DTYPE_H
#include <stdint.h>
#include <stddef.h>

typedef uint8_t  rt_bool;                                 /* 0 or 1 */
typedef struct { uint16_t bits; } rt_f16;                 /* IEEE binary16 */
typedef struct { uint16_t bits; } rt_bf16;                /* upper half of a binary32 */
typedef struct { uint16_t re, im; } rt_c32;               /* two binary16 */
typedef struct { uint8_t bits; } rt_f8;                   /* one of the five 8-bit floats, by the dtype */
#ifdef __cplusplus
#include "complex_struct.h"
#else
typedef float _Complex  rt_c64;
typedef double _Complex rt_c128;
#endif

/* X(CODE, tag, C type, public name, kind, bytes)
 * kind: 0 bool, 1 integer, 2 real float, 3 complex
 * Loops are compiled for the first twelve (below RT_NLOOPED). The rest are stored types: moved as bytes, converted to and
 * from all others, computed in rt_compute_dtype() by the few operators that take them (tensor/_stored.pxd). */
#define RT_DTYPES(X)                                   \
    X(RT_BOOL, b8,   rt_bool, "bool",       0, 1)      \
    X(RT_U8,   u8,   uint8_t, "uint8",      1, 1)      \
    X(RT_I8,   i8,   int8_t,  "int8",       1, 1)      \
    X(RT_I16,  i16,  int16_t, "int16",      1, 2)      \
    X(RT_I32,  i32,  int32_t, "int32",      1, 4)      \
    X(RT_I64,  i64,  int64_t, "int64",      1, 8)      \
    X(RT_F16,  f16,  rt_f16,  "float16",    2, 2)      \
    X(RT_BF16, bf16, rt_bf16, "bfloat16",   2, 2)      \
    X(RT_F32,  f32,  float,   "float32",    2, 4)      \
    X(RT_F64,  f64,  double,  "float64",    2, 8)      \
    X(RT_C64,  c64,  rt_c64,  "complex64",  3, 8)      \
    X(RT_C128, c128, rt_c128, "complex128", 3, 16)     \
    X(RT_C32,  c32,  rt_c32,  "complex32",  3, 4)      \
    X(RT_U16,  u16,  uint16_t, "uint16",    1, 2)      \
    X(RT_U32,  u32,  uint32_t, "uint32",    1, 4)      \
    X(RT_U64,  u64,  uint64_t, "uint64",    1, 8)      \
    X(RT_E4M3FN,   e4m3fn,   rt_f8, "float8_e4m3fn",   2, 1) \
    X(RT_E5M2,     e5m2,     rt_f8, "float8_e5m2",     2, 1) \
    X(RT_E4M3FNUZ, e4m3fnuz, rt_f8, "float8_e4m3fnuz", 2, 1) \
    X(RT_E5M2FNUZ, e5m2fnuz, rt_f8, "float8_e5m2fnuz", 2, 1) \
    X(RT_E8M0FNU,  e8m0fnu,  rt_f8, "float8_e8m0fnu",  2, 1)

typedef enum {
#define RT_X(code, tag, ctype, name, kind, bytes) code,
    RT_DTYPES(RT_X)
#undef RT_X
    RT_NDTYPES,
    RT_NLOOPED = RT_C128 + 1
} RtDType;

enum { RT_KIND_BOOL = 0, RT_KIND_INT = 1, RT_KIND_FLOAT = 2, RT_KIND_COMPLEX = 3 };

static inline int rt_itemsize(int dtype) {
    static const uint8_t table[RT_NDTYPES] = {
#define RT_X(code, tag, ctype, name, kind, bytes) bytes,
        RT_DTYPES(RT_X)
#undef RT_X
    };
    return table[dtype];
}

static inline int rt_kind(int dtype) {
    static const uint8_t table[RT_NDTYPES] = {
#define RT_X(code, tag, ctype, name, kind, bytes) kind,
        RT_DTYPES(RT_X)
#undef RT_X
    };
    return table[dtype];
}

/* The type in which a 16-bit float or a stored type is computed; every other type is computed in itself. */
static inline int rt_compute_dtype(int dtype) {
    if (dtype < RT_NLOOPED) return (dtype == RT_F16 || dtype == RT_BF16) ? RT_F32 : dtype;
    return dtype == RT_C32 ? RT_C64 : dtype == RT_U16 ? RT_I32 : dtype <= RT_U64 ? RT_I64 : RT_F32;
}

/* The real type of a complex type; identity elsewhere. */
static inline int rt_real_dtype(int dtype) {
    return dtype == RT_C64 ? RT_F32 : dtype == RT_C128 ? RT_F64 : dtype == RT_C32 ? RT_F16 : dtype;
}
#endif
