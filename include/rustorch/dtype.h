/* The list of element types. Order = promotion order inside a category; codes are stable
 * (they are stored in pickles and passed between extension modules). */
#ifndef RUSTORCH_DTYPE_H
#define RUSTORCH_DTYPE_H
#include <stdint.h>
#include <stddef.h>

typedef uint8_t  rt_bool;                                 /* 0 or 1 */
typedef struct { uint16_t bits; } rt_f16;                 /* IEEE binary16 */
typedef struct { uint16_t bits; } rt_bf16;                /* upper half of a binary32 */
typedef float _Complex  rt_c64;
typedef double _Complex rt_c128;

/* X(CODE, tag, C type, public name, kind, bytes)
 * kind: 0 bool, 1 integer, 2 real float, 3 complex */
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
    X(RT_C128, c128, rt_c128, "complex128", 3, 16)

typedef enum {
#define RT_X(code, tag, ctype, name, kind, bytes) code,
    RT_DTYPES(RT_X)
#undef RT_X
    RT_NDTYPES
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

/* The type in which a 16-bit float is computed; every other type is computed in itself. */
static inline int rt_compute_dtype(int dtype) {
    return (dtype == RT_F16 || dtype == RT_BF16) ? RT_F32 : dtype;
}

/* The real type of a complex type; identity elsewhere. */
static inline int rt_real_dtype(int dtype) {
    return dtype == RT_C64 ? RT_F32 : dtype == RT_C128 ? RT_F64 : dtype;
}
#endif
