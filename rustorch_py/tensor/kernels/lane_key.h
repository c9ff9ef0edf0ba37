/* Every real dtype mapped to unsigned keys whose order is the value's: NaN largest, -0 equal to 0. */
#ifndef RUSTORCH_LANE_KEY_H
#define RUSTORCH_LANE_KEY_H
#include "lane.h"
#include "rustorch/half.h"

RT_INLINE uint64_t key_u(uint64_t bits, int width) {        /* IEEE bits to ordered unsigned */
    uint64_t sign = (uint64_t)1 << (width - 1), all = sign | (sign - 1);
    if (bits == sign) bits = 0;
    return bits & sign ? ~bits & all : bits | sign;
}
RT_INLINE uint64_t key_b8(const rt_bool *x) { return *x; }
RT_INLINE uint64_t key_u8(const uint8_t *x) { return *x; }
RT_INLINE uint64_t key_i8(const int8_t *x) { return (uint8_t)*x ^ 0x80u; }
RT_INLINE uint64_t key_i16(const int16_t *x) { return (uint16_t)*x ^ 0x8000u; }
RT_INLINE uint64_t key_i32(const int32_t *x) { return (uint32_t)*x ^ 0x80000000u; }
RT_INLINE uint64_t key_i64(const int64_t *x) { return (uint64_t)*x ^ ((uint64_t)1 << 63); }
RT_INLINE uint64_t key_f16(const rt_f16 *x) { return (x->bits & 0x7fffu) > 0x7c00u ? 0xffffu : key_u(x->bits, 16); }
RT_INLINE uint64_t key_bf16(const rt_bf16 *x) { return (x->bits & 0x7fffu) > 0x7f80u ? 0xffffu : key_u(x->bits, 16); }
/* Without branches: half of all signs would be guessed wrong. */
RT_INLINE uint64_t key_f32(const float *x) {
    uint32_t u; memcpy(&u, x, 4);
    u = u == 0x80000000u ? 0 : u;
    uint32_t key = u ^ ((uint32_t)((int32_t)u >> 31) | 0x80000000u);
    return (u & 0x7fffffffu) > 0x7f800000u ? 0xffffffffu : key;
}
RT_INLINE uint64_t key_f64(const double *x) {
    uint64_t u; memcpy(&u, x, 8);
    u = u == (uint64_t)1 << 63 ? 0 : u;
    uint64_t key = u ^ ((uint64_t)((int64_t)u >> 63) | (uint64_t)1 << 63);
    return (u & ~((uint64_t)1 << 63)) > 0x7ff0000000000000u ? ~(uint64_t)0 : key;
}
#define REAL_DTYPES(X) \
    X(RT_BOOL, b8, rt_bool) X(RT_U8, u8, uint8_t) X(RT_I8, i8, int8_t) X(RT_I16, i16, int16_t) X(RT_I32, i32, int32_t) \
    X(RT_I64, i64, int64_t) X(RT_F16, f16, rt_f16) X(RT_BF16, bf16, rt_bf16) X(RT_F32, f32, float) X(RT_F64, f64, double)

static inline uint64_t key_at(int dtype, const void *x, int64_t i) {
    switch (dtype) {
#define CASE(code, tag, T) case code: return key_##tag((const T *)x + i);
    REAL_DTYPES(CASE)
#undef CASE
    }
    return 0;
}
/* Of a float dtype: the key that all NaN share; 0 (which no one compares with) elsewhere. */
static inline uint64_t nan_key(int dtype) {
    switch (dtype) {
    case RT_F16: case RT_BF16: return 0xffffu;
    case RT_F32: return 0xffffffffu;
    case RT_F64: return ~(uint64_t)0;
    }
    return 0;
}
static inline int is_nan_key(int dtype, uint64_t key) { uint64_t nan = nan_key(dtype); return nan && key == nan; }

#endif
