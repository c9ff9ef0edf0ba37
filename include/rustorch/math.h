/* Scalar functions of the operator table, rt_<name>_<tag>, one family a dtype.
 *
 * The elementary functions of float32 and float64 (math_real.h and the headers beside it) are branch-free, so that a
 * loop over them becomes vector code for whatever instruction set the file is compiled for. Their sums of products are
 * fused where the set can, and for AVX-512 arrays of the common ones have forms of their own (kernels/vfun_v16.h): sets agree
 * to the ULP that tests/tensor/test_accuracy.py states. The rest goes to libm or, where libm has nothing, to special.c. */
#ifndef RUSTORCH_MATH_H
#define RUSTORCH_MATH_H
#include <math.h>
#include <complex.h>
#include <string.h>
#include "loops.h"
#undef I

#if defined(__FMA__) || defined(__aarch64__)
#define RT_HAS_FMA 1
RT_INLINE float rt_ma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RT_INLINE double rt_ma_f64(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
RT_INLINE float rt_ma_f32(float a, float b, float c) { return a * b + c; }
RT_INLINE double rt_ma_f64(double a, double b, double c) { return a * b + c; }
#endif
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
#define REAL double
#define M(name) rt_##name##_f64
#define MA rt_ma_f64
#define L(f, d) (d)
#include "math_f64.h"
#include "math_real.h"
#undef REAL
#undef M
#undef MA
#undef L

#define RT_LIBM1(name, f32, f64)                                              \
    RT_INLINE float rt_##name##_f32(float x) { return f32(x); }               \
    RT_INLINE double rt_##name##_f64(double x) { return f64(x); }
#define RT_LIBM2(name, f32, f64)                                              \
    RT_INLINE float rt_##name##_f32(float x, float y) { return f32(x, y); }   \
    RT_INLINE double rt_##name##_f64(double x, double y) { return f64(x, y); }
RT_LIBM1(abs, fabsf, fabs) RT_LIBM1(abs_c, fabsf, fabs) RT_LIBM1(floor, floorf, floor) RT_LIBM1(ceil, ceilf, ceil)
RT_LIBM1(trunc, truncf, trunc) RT_LIBM1(round, rintf, rint)
RT_LIBM2(copysign, copysignf, copysign)
/* Neighbours of floats, by their bits: one more is away from zero, whatever the sign. */
#define RT_NEXTAFTER(T, t, I, U, SIGN, INF)                                                                   \
    RT_INLINE T rt_nextafter_##t(T x, T y) {                                                                  \
        U u = rt_bits_##t(x), v = rt_bits_##t(y);                                                             \
        I a = (I)(u & ~(SIGN)), b = (I)(v & ~(SIGN)), p = u & (SIGN) ? -a : a, q = v & (SIGN) ? -b : b;       \
        U next = a == 0 ? (v & (SIGN)) | 1 : (q > p) == (p > 0) ? u + 1 : u - 1;                              \
        next = (b > (INF)) | (p == q) ? v : next;                                                             \
        return rt_of_bits_##t(a > (INF) ? u : next);                                                          \
    }
RT_NEXTAFTER(float, f32, int32_t, uint32_t, (uint32_t)1 << 31, 0x7f800000)
RT_NEXTAFTER(double, f64, int64_t, uint64_t, (uint64_t)1 << 63, 0x7ff0000000000000)
RT_INLINE uint16_t rt_next_16(uint16_t x, uint16_t y, int infinity) {
    int a = x & 0x7fff, b = y & 0x7fff, p = x & 0x8000 ? -a : a, q = y & 0x8000 ? -b : b;
    if (a > infinity) return x;
    if (b > infinity || p == q) return y;
    return (uint16_t)(a == 0 ? (y & 0x8000) | 1 : x + ((q > p) == (p > 0) ? 1 : -1));
}
RT_INLINE rt_f16 rt_nextafter_f16(rt_f16 x, rt_f16 y) { x.bits = rt_next_16(x.bits, y.bits, 0x7c00); return x; }
RT_INLINE rt_bf16 rt_nextafter_bf16(rt_bf16 x, rt_bf16 y) { x.bits = rt_next_16(x.bits, y.bits, 0x7f80); return x; }
#include "math_pair.h"
RT_INLINE float rt_lgamma_f32(float x) { int sign; return lgammaf_r(x, &sign); }
RT_INLINE double rt_lgamma_f64(double x) { int sign; return lgamma_r(x, &sign); }

/* special.c: functions that libm lacks, in double; sources in that file */
double rt_digamma(double x); double rt_zeta(double s, double q); double rt_polygamma(double n, double x);
double rt_i0(double x); double rt_i0e(double x); double rt_i1(double x); double rt_i1e(double x);
double rt_erfinv(double x); double rt_erfcx(double x); double rt_ndtri(double p); double rt_log_ndtr(double x);
#define RT_SPECIAL1(name)                                                            \
    RT_INLINE float rt_##name##_f32(float x) { return (float)rt_##name((double)x); } \
    RT_INLINE double rt_##name##_f64(double x) { return rt_##name(x); }
RT_SPECIAL1(digamma) RT_SPECIAL1(i0) RT_SPECIAL1(i0e) RT_SPECIAL1(i1) RT_SPECIAL1(i1e)
RT_SPECIAL1(erfcx) RT_SPECIAL1(ndtri) RT_SPECIAL1(log_ndtr)
RT_INLINE double rt_erfinv_f64(double x) { return rt_erfinv(x); }
RT_INLINE float rt_zeta_f32(float x, float y) { return (float)rt_zeta(x, y); }
RT_INLINE double rt_zeta_f64(double x, double y) { return rt_zeta(x, y); }
RT_INLINE float rt_polygamma_f32(float n, float x) { return (float)rt_polygamma(n, x); }
RT_INLINE double rt_polygamma_f64(double n, double x) { return rt_polygamma(n, x); }

#define RT_FLOAT_FUNCTIONS(T, t, TRUNC, HUGE)                                               \
    RT_INLINE T rt_sign_##t(T x) { return (T)((x > 0) - (x < 0)); }                                           \
    RT_INLINE T rt_sgn_##t(T x) { return (T)((x > 0) - (x < 0)); }                                            \
    RT_INLINE T rt_conj_##t(T x) { return x; }                                                                \
    RT_INLINE T rt_angle_##t(T x) { return x != x ? x : (x < 0 ? (T)3.14159265358979323846 : (T)0); }         \
    RT_INLINE int rt_isinf_##t(T x) { return (x == HUGE) | (x == -HUGE); }                                      \
    RT_INLINE int rt_isfinite_##t(T x) { return x - x == 0; }                                                 \
    RT_INLINE int rt_signbit_##t(T x) { return signbit(x) != 0; }                                             \
    RT_INLINE T rt_inf_##t(T x) { (void)x; return HUGE; }                                                     \
    RT_INLINE T rt_lowest_##t(T x) { (void)x; return -HUGE; }                                                 \
    RT_INLINE T rt_highest_##t(T x) { (void)x; return HUGE; }                                                 \
    RT_INLINE int rt_lt_half_##t(T x) { return x < (T)0.5 && x > (T)-0.5; }                                   \
    RT_INLINE int rt_real_ge0_##t(T x) { return x >= 0; }                                                     \
    /* a NaN makes the first choice, one instruction, take x: y is looked at again */                          \
    RT_INLINE T rt_maximum_##t(T x, T y) { T v = x < y ? y : x; return y != y ? y : v; }                      \
    RT_INLINE T rt_minimum_##t(T x, T y) { T v = x > y ? y : x; return y != y ? y : v; }                      \
    RT_INLINE T rt_fmax_##t(T x, T y) { return x != x ? y : (x < y ? y : x); }                                \
    RT_INLINE T rt_fmin_##t(T x, T y) { return x != x ? y : (x > y ? y : x); }                                \
    RT_INLINE int rt_fmax_left_##t(T x, T y) { return x >= y || y != y; }                                     \
    RT_INLINE int rt_fmin_left_##t(T x, T y) { return x <= y || y != y; }                                     \
    RT_INLINE T rt_clamp_##t(T x, T lo, T hi) { T v = x < lo ? lo : x; v = v > hi ? hi : v;                   \
                                                return lo != lo ? lo : hi != hi ? hi : v; }                   \
    RT_INLINE int rt_land_##t(T x, T y) { return (x != 0) & (y != 0); }                                       \
    RT_INLINE int rt_lor_##t(T x, T y) { return (x != 0) | (y != 0); }                                        \
    RT_INLINE int rt_lxor_##t(T x, T y) { return (x != 0) ^ (y != 0); }                                       \
    RT_INLINE T rt_truncdiv_##t(T x, T y) { return TRUNC(x / y); }                                            \
    RT_INLINE T rt_xlogy_##t(T x, T y) { T v = x * rt_log_##t(y); return y != y ? y : x == 0 ? 0 : v; }       \
    RT_INLINE T rt_xlog1py_##t(T x, T y) { T v = x * rt_log1p_##t(y); return y != y ? y : x == 0 ? 0 : v; }   \
    RT_INLINE T rt_logaddexp_##t(T x, T y) {                                                                  \
        T m = x > y ? x : y, d = x > y ? y - x : x - y, v = m + rt_log1p_##t(rt_exp_##t(d));                  \
        v = (x == y) & ((x == HUGE) | (x == -HUGE)) ? x : v; return (x != x) | (y != y) ? x + y : v; }                                \
    RT_INLINE T rt_logaddexp2_##t(T x, T y) {                                                                 \
        T m = x > y ? x : y, d = x > y ? y - x : x - y, v = m + rt_log1p_##t(rt_exp2_##t(d)) * (T)1.4426950408889634; \
        v = (x == y) & ((x == HUGE) | (x == -HUGE)) ? x : v; return (x != x) | (y != y) ? x + y : v; }
RT_FLOAT_FUNCTIONS(float, f32, truncf, INFINITY)
RT_FLOAT_FUNCTIONS(double, f64, trunc, (double)INFINITY)

/* ---- integers: wrap around (built with -fwrapv); a zero divisor is refused above ---------------- */
#define RT_INT_COMMON(T, t)                                                                                   \
    RT_INLINE T rt_sgn_##t(T x) { return (T)((x > 0) - (x < 0)); }                                            \
    RT_INLINE T rt_sign_##t(T x) { return (T)((x > 0) - (x < 0)); }                                           \
    RT_INLINE T rt_conj_##t(T x) { return x; }                                                                \
    RT_INLINE T rt_maximum_##t(T x, T y) { return x < y ? y : x; }                                            \
    RT_INLINE T rt_minimum_##t(T x, T y) { return x > y ? y : x; }                                            \
    RT_INLINE T rt_fmax_##t(T x, T y) { return x < y ? y : x; }                                               \
    RT_INLINE T rt_fmin_##t(T x, T y) { return x > y ? y : x; }                                               \
    RT_INLINE T rt_clamp_##t(T x, T lo, T hi) { T v = x < lo ? lo : x; return v > hi ? hi : v; }              \
    RT_INLINE int rt_land_##t(T x, T y) { return (x != 0) & (y != 0); }                                       \
    RT_INLINE int rt_lor_##t(T x, T y) { return (x != 0) | (y != 0); }                                        \
    RT_INLINE int rt_lxor_##t(T x, T y) { return (x != 0) ^ (y != 0); }                                       \
    RT_INLINE T rt_bitand_##t(T x, T y) { return (T)(x & y); }                                                \
    RT_INLINE T rt_bitor_##t(T x, T y) { return (T)(x | y); }                                                 \
    RT_INLINE T rt_bitxor_##t(T x, T y) { return (T)(x ^ y); }                                                \
    RT_INLINE T rt_round_##t(T x) { return x; }
/* Quotients towards zero. Those of up to 32 bits are made by the next wider float, which the processor divides by vectors: the float next to
 * a quotient that is no whole number lies on the same side of every whole number. What would overflow is divided by 1 in its place. */
#if defined(__CUDACC_RTC__)
#define RT_QUOTIENT(T, F, x, y) (T)((x) / (y))
#else
#define RT_QUOTIENT(T, F, x, y) (T)((F)(x) / (F)(y))
#endif
#define RT_WHOLE(T, F, x, y) (T)((x) / (y))
#define RT_INT_FUNCTIONS(T, t, LO, HI, W, Q, F)                                                               \
    RT_INT_COMMON(T, t)                                                                                       \
    RT_INLINE T rt_lowest_##t(T x) { (void)x; return LO; }                                                    \
    RT_INLINE T rt_highest_##t(T x) { (void)x; return HI; }                                                   \
    RT_INLINE T rt_bitnot_##t(T x) { return (T)~x; }                                                          \
    RT_INLINE T rt_abs_##t(T x) { return (T)(x < 0 ? -x : x); }                                               \
    RT_INLINE T rt_truncdiv_##t(T x, T y) {                                                                   \
        T d = (y == 0) | ((y == (T)-1) & (LO != 0)) ? 1 : y, q = Q(T, F, x, d);                               \
        return y == 0 ? 0 : y == d ? q : (T)(0 - x); }                                                        \
    RT_INLINE T rt_fmod_##t(T x, T y) {                                                                       \
        T d = (y == 0) | ((y == (T)-1) & (LO != 0)) ? 1 : y;                                                  \
        return (T)(x - Q(T, F, x, d) * d); }                                                                  \
    RT_INLINE T rt_floordiv_##t(T x, T y) {                                                                   \
        T d = (y == 0) | ((y == (T)-1) & (LO != 0)) ? 1 : y, q = Q(T, F, x, d), m = (T)(x - q * d);           \
        q = (T)(q - ((m != 0) & ((m < 0) != (d < 0))));                                                       \
        return y == 0 ? 0 : y == d ? q : (T)(0 - x); }                                                        \
    RT_INLINE T rt_remainder_##t(T x, T y) {                                                                  \
        T m = rt_fmod_##t(x, y);                                                                              \
        return (T)((m != 0) & ((m < 0) != (y < 0)) ? m + y : m); }                                            \
    RT_INLINE T rt_pow_##t(T x, T y) { if (y < 0) return x == 1 ? 1 : x == (T)-1 ? ((y & 1) ? (T)-1 : 1) : 0; \
        T r = 1; while (y) { if (y & 1) r = (T)(r * x); x = (T)(x * x); y = (T)(y >> 1); } return r; }        \
    RT_INLINE T rt_gcd_##t(T x, T y) { x = rt_abs_##t(x); y = rt_abs_##t(y); while (y) { T m = rt_fmod_##t(x, y); x = y; y = m; } return x; } \
    RT_INLINE T rt_lcm_##t(T x, T y) { T d = rt_gcd_##t(x, y); return d == 0 ? 0 : rt_abs_##t((T)((x / d) * y)); } \
    RT_INLINE T rt_shl_##t(T x, T y) { W n = (W)y; T v = (T)((W)x << (n & (sizeof(T) * 8 - 1))); return n < sizeof(T) * 8 ? v : 0; }\
    RT_INLINE T rt_shr_##t(T x, T y) { W n = (W)y; T v = (T)(x >> (n & (sizeof(T) * 8 - 1))); return n < sizeof(T) * 8 ? v : (T)(x < 0 ? -1 : 0); }
RT_INT_FUNCTIONS(uint8_t, u8, 0, 255, uint32_t, RT_QUOTIENT, float)
RT_INT_FUNCTIONS(int8_t, i8, INT8_MIN, INT8_MAX, uint32_t, RT_QUOTIENT, float)
RT_INT_FUNCTIONS(int16_t, i16, INT16_MIN, INT16_MAX, uint32_t, RT_QUOTIENT, float)
RT_INT_FUNCTIONS(int32_t, i32, INT32_MIN, INT32_MAX, uint32_t, RT_QUOTIENT, double)
RT_INT_FUNCTIONS(int64_t, i64, INT64_MIN, INT64_MAX, uint64_t, RT_WHOLE, )
RT_INT_COMMON(rt_bool, b8)
RT_INLINE rt_bool rt_lowest_b8(rt_bool x) { (void)x; return 0; }
RT_INLINE rt_bool rt_highest_b8(rt_bool x) { (void)x; return 1; }

#ifdef __cplusplus
RT_COMPLEX_STRUCT_FUNCTIONS(rt_c64, float, f32, f)
RT_COMPLEX_STRUCT_FUNCTIONS(rt_c128, double, f64, )
#endif

/* ---- complex ------------------------------------------------------------------------------------- */
#define RT_COMPLEX_FUNCTIONS(T, t, R, r, S, HUGE)                                                             \
    RT_INLINE T rt_make_##t(R a, R b) { T z; ((R *)&z)[0] = a; ((R *)&z)[1] = b; return z; }                  \
    RT_INLINE R rt_re_##t(T x) { return ((const R *)&x)[0]; }                                                 \
    RT_INLINE R rt_im_##t(T x) { return ((const R *)&x)[1]; }                                                 \
    RT_INLINE R rt_abs_##t(T x) { return rt_hypot_##r(rt_re_##t(x), rt_im_##t(x)); }                          \
    RT_INLINE T rt_abs_c_##t(T x) { return rt_make_##t(rt_abs_##t(x), 0); }                                   \
    RT_INLINE R rt_angle_##t(T x) { return rt_atan2_##r(rt_im_##t(x), rt_re_##t(x)); }                        \
    RT_INLINE T rt_conj_##t(T x) { return rt_make_##t(rt_re_##t(x), -rt_im_##t(x)); }                         \
    /* by zero: each part over zero, so that 1/0 is inf and not nan + nan i */                              \
    RT_INLINE T rt_cdiv_##t(T x, T y) { return y == 0 ? rt_make_##t(rt_re_##t(x) / (R)0, rt_im_##t(x) / (R)0) : x / y; } \
    RT_INLINE T rt_mul_i_##t(T x) { return rt_make_##t(-rt_im_##t(x), rt_re_##t(x)); }                        \
    RT_INLINE T rt_sgn_##t(T x) { R m = rt_abs_##t(x); return m == 0 ? rt_make_##t(0, 0) : rt_make_##t(rt_re_##t(x) / m, rt_im_##t(x) / m); } \
    RT_INLINE int rt_isinf_##t(T x) { return rt_isinf_##r(rt_re_##t(x)) || rt_isinf_##r(rt_im_##t(x)); }      \
    RT_INLINE int rt_isfinite_##t(T x) { return rt_isfinite_##r(rt_re_##t(x)) && rt_isfinite_##r(rt_im_##t(x)); } \
    RT_INLINE int rt_real_ge0_##t(T x) { return rt_re_##t(x) >= 0; }                                          \
    RT_INLINE int rt_lt_half_##t(T x) { return rt_abs_##t(x) < (R)0.5; }                                      \
    RT_INLINE int rt_land_##t(T x, T y) { return (x != 0) & (y != 0); }                                       \
    RT_INLINE int rt_lor_##t(T x, T y) { return (x != 0) | (y != 0); }                                        \
    RT_INLINE int rt_lxor_##t(T x, T y) { return (x != 0) ^ (y != 0); }                                       \
    RT_INLINE T rt_sqrt_##t(T x) { return csqrt##S(x); }                                                      \
    RT_INLINE T rt_exp_##t(T x) { return cexp##S(x); }                                                        \
    RT_INLINE T rt_exp2_##t(T x) { return cexp##S(x * (R)0.6931471805599453); }                               \
    RT_INLINE T rt_expm1_##t(T x) { R a = rt_re_##t(x), b = rt_im_##t(x), e = rt_expm1_##r(a), s = rt_sin_##r(b * (R)0.5); \
        return rt_make_##t(e * rt_cos_##r(b) - 2 * s * s, (e + 1) * rt_sin_##r(b)); }                         \
    RT_INLINE T rt_log_##t(T x) { return clog##S(x); }                                                        \
    RT_INLINE T rt_log2_##t(T x) { T v = clog##S(x); return rt_make_##t(rt_re_##t(v) * (R)1.4426950408889634, rt_im_##t(v) * (R)1.4426950408889634); }   \
    RT_INLINE T rt_log10_##t(T x) { T v = clog##S(x); return rt_make_##t(rt_re_##t(v) * (R)0.43429448190325176, rt_im_##t(v) * (R)0.43429448190325176); } \
    RT_INLINE T rt_log1p_##t(T x) { R a = rt_re_##t(x), b = rt_im_##t(x);                                     \
        if (rt_abs_##t(x) > (R)0.5) return clog##S(rt_make_##t(a + 1, b));                                    \
        return rt_make_##t((R)0.5 * rt_log1p_##r(2 * a + a * a + b * b), rt_atan2_##r(b, 1 + a)); }           \
    RT_INLINE T rt_sin_##t(T x) { return csin##S(x); }   RT_INLINE T rt_cos_##t(T x) { return ccos##S(x); }   \
    RT_INLINE T rt_tan_##t(T x) { return ctan##S(x); }   RT_INLINE T rt_asin_##t(T x) { return casin##S(x); } \
    RT_INLINE T rt_acos_##t(T x) { return cacos##S(x); } RT_INLINE T rt_atan_##t(T x) { return catan##S(x); } \
    RT_INLINE T rt_sinh_##t(T x) { return csinh##S(x); } RT_INLINE T rt_cosh_##t(T x) { return ccosh##S(x); } \
    RT_INLINE T rt_tanh_##t(T x) { return ctanh##S(x); } RT_INLINE T rt_asinh_##t(T x) { return casinh##S(x); } \
    RT_INLINE T rt_acosh_##t(T x) { return cacosh##S(x); } RT_INLINE T rt_atanh_##t(T x) { return catanh##S(x); } \
    RT_INLINE T rt_sigmoid_##t(T x) { return (R)1 / ((R)1 + cexp##S(-x)); }                                   \
    RT_INLINE T rt_pow_##t(T x, T y) { if (y == 0) return 1; if (y == 2) return x * x;                        \
        return (x == 0 && rt_re_##t(y) > 0) ? rt_make_##t(0, 0) : cpow##S(x, y); }
RT_COMPLEX_FUNCTIONS(rt_c64, c64, float, f32, f, INFINITY)
RT_COMPLEX_FUNCTIONS(rt_c128, c128, double, f64, , (double)INFINITY)
#endif
