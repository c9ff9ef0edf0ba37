/* Before every kernel: what Metal spells otherwise than C. The house's scalar functions are the CPU's text (rustorch/math_*.h), so that what the
 * tests of the CPU say about accuracy is said about the device too; of Metal's library come the square root, roundings, fma, powers, remainders,
 * and the sine of arguments beyond 1e5. metal/_text.py writes includes out (Metal's compiler is given one text), and what RT_TAKE names: macros and
 * functions of headers whose rest is not for Metal. */
#ifndef RUSTORCH_METAL_PRELUDE
#define RUSTORCH_METAL_PRELUDE
#include <metal_stdlib>
#if __METAL_VERSION__ >= 230
#include <metal_simdgroup_matrix>
#endif
using namespace metal;
#define RT_INLINE static inline __attribute__((always_inline, unused))
#define RT_HAS_FMA 1
#ifndef RT_SHARED
#define RT_SHARED(T, name, n) threadgroup T name[n]
#endif
#define RT_SYNC() threadgroup_barrier(mem_flags::mem_threadgroup)
#ifndef INT64_MIN
#define INT8_MIN (-128)
#define INT8_MAX 127
#define INT16_MIN (-32768)
#define INT16_MAX 32767
#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define INT64_MIN (-9223372036854775807l - 1)
#define INT64_MAX 9223372036854775807l
#endif
typedef uint8_t rt_bool;
typedef struct { uint16_t bits; } rt_f16;
typedef struct { uint16_t bits; } rt_bf16;
typedef struct { uint64_t low, high; } rt_c128;       /* moved, never computed with */

#define sqrtf(x) precise::sqrt(x)
#define floorf(x) metal::floor(x)
#define ceilf(x) metal::ceil(x)
#define truncf(x) metal::trunc(x)
#define rintf(x) metal::rint(x)
RT_INLINE float rt_ma_f32(float a, float b, float c) { return metal::fma(a, b, c); }
#define REAL float
#define M(name) rt_##name##_f32
#define MA rt_ma_f32
#define L(f, d) (f)
#include "math_f32.h"
#include "math_real.h"
#undef REAL
#undef M
#undef MA
#undef L
RT_INLINE float rt_abs_f32(float x) { return rt_magnitude_f32(x); }
RT_INLINE float rt_abs_c_f32(float x) { return rt_magnitude_f32(x); }
RT_INLINE float rt_floor_f32(float x) { return floorf(x); }
RT_INLINE float rt_ceil_f32(float x) { return ceilf(x); }
RT_INLINE float rt_trunc_f32(float x) { return truncf(x); }
RT_INLINE float rt_round_f32(float x) { return rintf(x); }
RT_INLINE float rt_copysign_f32(float x, float y) { return rt_with_sign_f32(x, y); }
#define RT_QUOTIENT(T, F, x, y) (T)((x) / (y))
RT_TAKE("math_pair.h", rt_erfinv_f32, RT_REMAINDERS)
RT_TAKE("math.h", RT_NEXTAFTER, RT_FLOAT_FUNCTIONS, RT_INT_COMMON, RT_WHOLE, RT_INT_FUNCTIONS)
RT_INT_FUNCTIONS(uint8_t, u8, 0, 255, uint32_t, RT_QUOTIENT, )
RT_INT_FUNCTIONS(int8_t, i8, INT8_MIN, INT8_MAX, uint32_t, RT_QUOTIENT, )
RT_INT_FUNCTIONS(int16_t, i16, INT16_MIN, INT16_MAX, uint32_t, RT_QUOTIENT, )
RT_INT_FUNCTIONS(int32_t, i32, INT32_MIN, INT32_MAX, uint32_t, RT_QUOTIENT, )
RT_INT_FUNCTIONS(int64_t, i64, INT64_MIN, INT64_MAX, uint64_t, RT_WHOLE, )
RT_INT_COMMON(rt_bool, b8)
RT_TAKE("math.h", rt_lowest_b8, rt_highest_b8)
RT_NEXTAFTER(float, f32, int32_t, uint32_t, (uint32_t)1 << 31, 0x7f800000)
RT_INLINE float rt_pow_f32(float x, float y) {        /* Metal's pow of a number that is not negative, and the rules for signs */
    float a = rt_magnitude_f32(x), fl = floorf(y), fh = floorf(y * 0.5f), v = precise::pow(a, y);
    int whole = fl == y, odd = whole & (fh + fh != y);
    v = (x != x) | (y != y) ? x + y : v;
    v = (x < 0) & (a < INFINITY) & !whole ? NAN : v;
    v = odd ? rt_flip_sign_f32(v, x) : v;
    v = (y == 0) | (x == 1) | ((a == 1) & (rt_magnitude_f32(y) == INFINITY)) ? 1.0f : v;
    return y == 2 ? x * x : v;
}
RT_INLINE float rt_hypot_f32(float x, float y) {
    float a = rt_magnitude_f32(x), b = rt_magnitude_f32(y), hi = a > b ? a : b, lo = a > b ? b : a, r = lo / hi;
    float v = hi * sqrtf(rt_ma_f32(r, r, 1.0f));
    v = hi == 0 ? 0 : v;
    v = (x != x) | (y != y) ? x + y : v;
    return (a == INFINITY) | (b == INFINITY) ? INFINITY : v;
}
#define RT_FAR(x) ((rt_magnitude_f32(x) > RT_TRIG_MAX_f32) & (rt_magnitude_f32(x) < INFINITY))
RT_INLINE float rt_sin_f32(float x) { return RT_FAR(x) ? precise::sin(x) : rt_sin_near_f32(x); }
RT_INLINE float rt_cos_f32(float x) { return RT_FAR(x) ? precise::cos(x) : rt_cos_near_f32(x); }
RT_INLINE float rt_tan_f32(float x) { return RT_FAR(x) ? precise::tan(x) : rt_tan_near_f32(x); }
RT_INLINE float rt_fmod_f32(float x, float y) { return precise::fmod(x, y); }
RT_REMAINDERS(float, f32, rt_fmod_f32, )
RT_FLOAT_FUNCTIONS(float, f32, truncf, INFINITY)

RT_INLINE float rt_bf16_to_f32(rt_bf16 h) { return as_type<float>((uint32_t)h.bits << 16); }
RT_INLINE rt_bf16 rt_f32_to_bf16(float f) {           /* to the nearest, ties to even; a NaN stays one */
    uint32_t u = as_type<uint32_t>(f);
    rt_bf16 h;
    h.bits = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    return h;
}
RT_INLINE float rt_f16_to_f32(rt_f16 h) { return (float)as_type<half>(h.bits); }
RT_INLINE rt_f16 rt_f32_to_f16(float f) {
    rt_f16 h;
    h.bits = as_type<uint16_t>((half)f);
    return h;
}
RT_INLINE int64_t rt_to_i64(float v) { return v >= -9223372036854775808.0f && v < 9223372036854775808.0f ? (int64_t)v : INT64_MIN; }
RT_INLINE int32_t rt_to_i32(float v) { return v > -2147483648.0f && v < 2147483648.0f ? (int32_t)v : INT32_MIN; }
#include "plan.h"
/* Note [Faults] in metal/launch.c: report index, which is not one of size elements (below 0: a number that is no probability) */
RT_INLINE void rt_report(device int64_t *fault, int64_t what, int64_t index, int64_t size) {
    fault[1] = index;
    fault[2] = size;
    fault[3] = what;
    fault[0] = 1;
}
/* where a line of n elements begins, which are inner apart */
RT_INLINE int64_t rt_line_start(int64_t line, int64_t n, int64_t inner) { return line / inner * n * inner + line % inner; }
#endif
