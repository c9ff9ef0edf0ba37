/* Scalar functions of the operator table, rt_<name>_<tag>, one family a dtype.
 *
 * float32 exp, log, tanh, sigmoid, erf and their kin are branch-free, so that a loop over them
 * becomes vector code for whatever instruction set the file is compiled for; no fused
 * multiply-add is assumed, so all sets give the same bits. The rest goes to libm or, where
 * libm has nothing, to special.h. Accuracy (measured by tests/tensor/test_accuracy.py). */
#ifndef RUSTORCH_MATH_H
#define RUSTORCH_MATH_H
#include <math.h>
#include <complex.h>
#include <string.h>
#include "loops.h"
#undef I

RT_INLINE float rt_bits_f32(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
RT_INLINE uint32_t rt_to_bits_f32(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
RT_INLINE double rt_bits_f64(uint64_t u) { double f; memcpy(&f, &u, 8); return f; }
RT_INLINE uint64_t rt_to_bits_f64(double f) { uint64_t u; memcpy(&u, &f, 8); return u; }

/* ---- float32: exp by 2^n * e^r, |r| <= ln2/2, degree-6 polynomial; 1 ULP --------------------- */
RT_INLINE float rt_exp_f32(float x) {
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;                                  /* NaN passes both */
    const float magic = 12582912.0f;                            /* 1.5 * 2^23: adding it rounds to integer */
    float t = c * 1.44269504088896341f + magic;
    float n = t - magic;
    int32_t i = (int32_t)(rt_to_bits_f32(t) - rt_to_bits_f32(magic));
    float r = c - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;                                 /* ln2 = 0.693359375 - 2.1219444e-4 */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t h = i >> 1;                                         /* two steps, for subnormals and overflow */
    float s1 = rt_bits_f32((uint32_t)(h + 127) << 23), s2 = rt_bits_f32((uint32_t)(i - h + 127) << 23);
    return p * s1 * s2;
}
/* natural logarithm of m * 2^e, m in [sqrt(1/2), sqrt(2)) */
RT_INLINE float rt_log_f32(float x) {
    int sub = x < 1.17549435e-38f;
    float y = sub ? x * 8388608.0f : x;
    uint32_t u = rt_to_bits_f32(y);
    uint32_t off = u - 0x3f3504f3u;                             /* bits of sqrt(1/2) */
    float e = (float)((int32_t)off >> 23) - (sub ? 23.0f : 0.0f);
    float f = rt_bits_f32((off & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float z = f * f;
    float q = p * f * z;
    q = q + e * -2.12194440e-4f;
    q = q - 0.5f * z;
    float v = f + q;
    v = v + e * 0.693359375f;
    v = x == INFINITY ? x : v;
    v = x == 0.0f ? -INFINITY : v;
    return (x < 0.0f || x != x) ? NAN : v;
}
RT_INLINE float rt_log1p_f32(float x) {
    float u = 1.0f + x;
    float d = u - 1.0f;
    float v = rt_log_f32(u) + (x - d) / u;                      /* the rounding of 1+x, put back */
    v = u == INFINITY ? u : v;
    v = u == 0.0f ? -INFINITY : v;
    return (x < 5e-8f && x > -5e-8f) ? x : v;
}
RT_INLINE float rt_expm1_f32(float x) {
    /* |x| < ln2/2: odd-even polynomial keeps the leading x exact; else exp(x) - 1 */
    float p = 1.9875691500e-4f;
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    float small = p * x * x + x;
    float big = rt_exp_f32(x) - 1.0f;
    return (x < 0.34657359f && x > -0.34657359f) ? small : big;
}
RT_INLINE float rt_tanh_f32(float x) {
    float a = x < 0 ? -x : x;
    float z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float small = p * z * x + x;
    float big = 1.0f - 2.0f / (rt_exp_f32(2.0f * a) + 1.0f);
    big = x < 0 ? -big : big;
    return a < 0.625f ? small : (x != x ? x : big);
}
RT_INLINE float rt_sigmoid_f32(float x) { return 1.0f / (1.0f + rt_exp_f32(-x)); }
RT_INLINE float rt_softplus1_f32(float x) {                     /* log(1 + e^x) */
    float a = x < 0 ? -x : x;
    return (x > 0 ? x : (x != x ? x : 0.0f)) + rt_log1p_f32(rt_exp_f32(-a));
}
RT_INLINE float rt_erf_f32(float x) {
    float a = x < 0 ? -x : x;
    /* |x| < 0.921875: x + x*P(x^2); beyond: 1 - exp(Q(|x|)) (minimax, J. M. Maier / N. Juffa form) */
    float s = x * x;
    float p = -5.96761703e-4f;
    p = p * s + 4.99119423e-3f;
    p = p * s - 2.67681349e-2f;
    p = p * s + 1.12819925e-1f;
    p = p * s - 3.76125336e-1f;
    p = p * s + 1.28379166e-1f;
    float small = p * x + x;
    float r = -1.72853470e-5f * a + 3.83197126e-4f;
    float q = -3.88396438e-3f * a + 2.42546219e-2f;
    r = r * s + q;
    r = r * a - 1.06777877e-1f;
    r = r * a - 6.34846687e-1f;
    r = r * a - 1.28717512e-1f;
    r = r * a - a;
    float big = 1.0f - rt_exp_f32(r);
    big = a > 4.0f ? 1.0f : big;
    big = x < 0 ? -big : big;
    return x != x ? x : (a < 0.921875f ? small : big);
}

#define RT_LIBM1(name, f32, f64)                                              \
    RT_INLINE float rt_##name##_f32(float x) { return f32(x); }               \
    RT_INLINE double rt_##name##_f64(double x) { return f64(x); }
#define RT_LIBM1D(name, f64) RT_INLINE double rt_##name##_f64(double x) { return f64(x); }
#define RT_LIBM2(name, f32, f64)                                              \
    RT_INLINE float rt_##name##_f32(float x, float y) { return f32(x, y); }   \
    RT_INLINE double rt_##name##_f64(double x, double y) { return f64(x, y); }
RT_LIBM1(abs, fabsf, fabs) RT_LIBM1(abs_c, fabsf, fabs) RT_LIBM1(floor, floorf, floor) RT_LIBM1(ceil, ceilf, ceil) RT_LIBM1(trunc, truncf, trunc)
RT_LIBM1(round, rintf, rint) RT_LIBM1(sqrt, sqrtf, sqrt) RT_LIBM1(exp2, exp2f, exp2) RT_LIBM1(log2, log2f, log2)
RT_LIBM1(log10, log10f, log10) RT_LIBM1(sin, sinf, sin) RT_LIBM1(cos, cosf, cos) RT_LIBM1(tan, tanf, tan)
RT_LIBM1(asin, asinf, asin) RT_LIBM1(acos, acosf, acos) RT_LIBM1(atan, atanf, atan) RT_LIBM1(sinh, sinhf, sinh)
RT_LIBM1(cosh, coshf, cosh) RT_LIBM1(asinh, asinhf, asinh) RT_LIBM1(acosh, acoshf, acosh) RT_LIBM1(atanh, atanhf, atanh)
RT_LIBM1(erfc, erfcf, erfc)
RT_LIBM1D(exp, exp) RT_LIBM1D(log, log) RT_LIBM1D(log1p, log1p) RT_LIBM1D(expm1, expm1) RT_LIBM1D(tanh, tanh) RT_LIBM1D(erf, erf)
RT_LIBM2(hypot, hypotf, hypot) RT_LIBM2(atan2, atan2f, atan2) RT_LIBM2(copysign, copysignf, copysign)
RT_LIBM2(nextafter, nextafterf, nextafter) RT_LIBM2(fmod, fmodf, fmod)
RT_INLINE double rt_sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }
RT_INLINE double rt_softplus1_f64(double x) { return (x > 0 ? x : (x != x ? x : 0.0)) + log1p(exp(-fabs(x))); }
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
RT_SPECIAL1(erfinv) RT_SPECIAL1(erfcx) RT_SPECIAL1(ndtri) RT_SPECIAL1(log_ndtr)
RT_INLINE float rt_zeta_f32(float x, float y) { return (float)rt_zeta(x, y); }
RT_INLINE double rt_zeta_f64(double x, double y) { return rt_zeta(x, y); }
RT_INLINE float rt_polygamma_f32(float n, float x) { return (float)rt_polygamma(n, x); }
RT_INLINE double rt_polygamma_f64(double n, double x) { return rt_polygamma(n, x); }

#define RT_FLOAT_FUNCTIONS(T, t, POW, FMOD, FLOOR, TRUNC, HUGE)                                               \
    RT_INLINE T rt_pow_##t(T x, T y) { return y == (T)2 ? x * x : (T)POW(x, y); }                             \
    RT_INLINE T rt_sign_##t(T x) { return (T)((x > 0) - (x < 0)); }                                           \
    RT_INLINE T rt_sgn_##t(T x) { return (T)((x > 0) - (x < 0)); }                                            \
    RT_INLINE T rt_conj_##t(T x) { return x; }                                                                \
    RT_INLINE T rt_angle_##t(T x) { return x != x ? x : (x < 0 ? (T)3.14159265358979323846 : (T)0); }         \
    RT_INLINE int rt_isinf_##t(T x) { return x == HUGE || x == -HUGE; }                                       \
    RT_INLINE int rt_isfinite_##t(T x) { return x - x == 0; }                                                 \
    RT_INLINE int rt_signbit_##t(T x) { return signbit(x) != 0; }                                             \
    RT_INLINE T rt_inf_##t(T x) { (void)x; return HUGE; }                                                     \
    RT_INLINE T rt_lowest_##t(T x) { (void)x; return -HUGE; }                                                 \
    RT_INLINE T rt_highest_##t(T x) { (void)x; return HUGE; }                                                 \
    RT_INLINE int rt_lt_half_##t(T x) { return x < (T)0.5 && x > (T)-0.5; }                                   \
    RT_INLINE int rt_real_ge0_##t(T x) { return x >= 0; }                                                     \
    RT_INLINE T rt_maximum_##t(T x, T y) { return x != x ? x : (x < y || y != y) ? y : x; }                   \
    RT_INLINE T rt_minimum_##t(T x, T y) { return x != x ? x : (x > y || y != y) ? y : x; }                   \
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
    RT_INLINE T rt_floordiv_##t(T x, T y) {                       /* as CPython's float floor division */     \
        if (y == 0) return x / y;                                                                             \
        T m = FMOD(x, y), d = (x - m) / y;                                                                    \
        if (m != 0 && (y < 0) != (m < 0)) d -= 1;                                                             \
        if (d != 0) { T f = FLOOR(d); if (d - f > (T)0.5) f += 1; return f; }                                 \
        return (T)copysign(0, (double)(x / y)); }                                                             \
    RT_INLINE T rt_remainder_##t(T x, T y) { T m = FMOD(x, y); return (m != 0 && (y < 0) != (m < 0)) ? m + y : m; } \
    RT_INLINE T rt_xlogy_##t(T x, T y) { return y != y ? y : x == 0 ? 0 : x * rt_log_##t(y); }                \
    RT_INLINE T rt_xlog1py_##t(T x, T y) { return y != y ? y : x == 0 ? 0 : x * rt_log1p_##t(y); }            \
    RT_INLINE T rt_logaddexp_##t(T x, T y) {                                                                  \
        if (rt_isinf_##t(x) && x == y) return x;                                                              \
        T m = x > y ? x : y, d = x > y ? y - x : x - y; if (x != x || y != y) return x + y;                   \
        return m + rt_log1p_##t(rt_exp_##t(d)); }                                                             \
    RT_INLINE T rt_logaddexp2_##t(T x, T y) {                                                                 \
        if (rt_isinf_##t(x) && x == y) return x;                                                              \
        T m = x > y ? x : y, d = x > y ? y - x : x - y; if (x != x || y != y) return x + y;                   \
        return m + rt_log1p_##t(rt_exp2_##t(d)) * (T)1.4426950408889634; }
RT_FLOAT_FUNCTIONS(float, f32, powf, fmodf, floorf, truncf, INFINITY)
RT_FLOAT_FUNCTIONS(double, f64, pow, fmod, floor, trunc, (double)INFINITY)

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
#define RT_INT_FUNCTIONS(T, t, LO, HI)                                                                        \
    RT_INT_COMMON(T, t)                                                                                       \
    RT_INLINE T rt_lowest_##t(T x) { (void)x; return LO; }                                                    \
    RT_INLINE T rt_highest_##t(T x) { (void)x; return HI; }                                                   \
    RT_INLINE T rt_bitnot_##t(T x) { return (T)~x; }                                                          \
    RT_INLINE T rt_abs_##t(T x) { return (T)(x < 0 ? -x : x); }                                               \
    RT_INLINE T rt_truncdiv_##t(T x, T y) { return y == 0 ? 0 : y == (T)-1 && LO != 0 ? (T)(0 - x) : (T)(x / y); } \
    RT_INLINE T rt_fmod_##t(T x, T y) { return y == 0 || (y == (T)-1 && LO != 0) ? 0 : (T)(x % y); }          \
    RT_INLINE T rt_floordiv_##t(T x, T y) { if (y == 0) return 0; if (y == (T)-1 && LO != 0) return (T)(0 - x); \
        T q = (T)(x / y); return (T)((x % y != 0 && (x < 0) != (y < 0)) ? q - 1 : q); }                       \
    RT_INLINE T rt_remainder_##t(T x, T y) { if (y == 0 || (y == (T)-1 && LO != 0)) return 0;                 \
        T m = (T)(x % y); return (T)((m != 0 && (m < 0) != (y < 0)) ? m + y : m); }                           \
    RT_INLINE T rt_pow_##t(T x, T y) { if (y < 0) return x == 1 ? 1 : x == (T)-1 ? ((y & 1) ? (T)-1 : 1) : 0; \
        T r = 1; while (y) { if (y & 1) r = (T)(r * x); x = (T)(x * x); y = (T)(y >> 1); } return r; }        \
    RT_INLINE T rt_gcd_##t(T x, T y) { x = rt_abs_##t(x); y = rt_abs_##t(y); while (y) { T m = rt_fmod_##t(x, y); x = y; y = m; } return x; } \
    RT_INLINE T rt_lcm_##t(T x, T y) { T d = rt_gcd_##t(x, y); return d == 0 ? 0 : rt_abs_##t((T)((x / d) * y)); } \
    RT_INLINE T rt_shl_##t(T x, T y) { return (y < 0 || (uint64_t)y >= sizeof(T) * 8) ? 0 : (T)((uint64_t)x << y); } \
    RT_INLINE T rt_shr_##t(T x, T y) { return (y < 0 || (uint64_t)y >= sizeof(T) * 8) ? (T)(x < 0 ? -1 : 0) : (T)(x >> y); }
RT_INT_FUNCTIONS(uint8_t, u8, 0, 255)
RT_INT_FUNCTIONS(int8_t, i8, INT8_MIN, INT8_MAX)
RT_INT_FUNCTIONS(int16_t, i16, INT16_MIN, INT16_MAX)
RT_INT_FUNCTIONS(int32_t, i32, INT32_MIN, INT32_MAX)
RT_INT_FUNCTIONS(int64_t, i64, INT64_MIN, INT64_MAX)
RT_INT_COMMON(rt_bool, b8)
RT_INLINE rt_bool rt_lowest_b8(rt_bool x) { (void)x; return 0; }
RT_INLINE rt_bool rt_highest_b8(rt_bool x) { (void)x; return 1; }

/* ---- complex ------------------------------------------------------------------------------------- */
#define RT_COMPLEX_FUNCTIONS(T, t, R, r, S, HUGE)                                                             \
    RT_INLINE T rt_make_##t(R a, R b) { T z; ((R *)&z)[0] = a; ((R *)&z)[1] = b; return z; }                  \
    RT_INLINE R rt_re_##t(T x) { return ((const R *)&x)[0]; }                                                 \
    RT_INLINE R rt_im_##t(T x) { return ((const R *)&x)[1]; }                                                 \
    RT_INLINE R rt_abs_##t(T x) { return rt_hypot_##r(rt_re_##t(x), rt_im_##t(x)); }                          \
    RT_INLINE T rt_abs_c_##t(T x) { return rt_make_##t(rt_abs_##t(x), 0); }                                   \
    RT_INLINE R rt_angle_##t(T x) { return rt_atan2_##r(rt_im_##t(x), rt_re_##t(x)); }                        \
    RT_INLINE T rt_conj_##t(T x) { return rt_make_##t(rt_re_##t(x), -rt_im_##t(x)); }                         \
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
