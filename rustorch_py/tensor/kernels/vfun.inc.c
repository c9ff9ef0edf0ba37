/* Array functions of the operator table (vfun.h): loops over the scalar functions of rustorch/math.h, which the compiler
 * makes vector code of; AVX-512 has forms of its own for the common ones (vfun_v16.h). */
#include "ew_common.h"
#include "vfun.h"
#include "vspecial.h"

#define V_f32 16
#define V_f64 8
#define EACH(t, ...) for (int64_t e = 0; e < n; e += V_##t) { RT_IVDEP for (int64_t i = e; i < e + V_##t; i++) __VA_ARGS__ }
#define MAP1(name, T, t) \
    void RT_NAME(rt_v##name##_##t)(T *out, const T *x, int64_t n) { EACH(t, out[i] = rt_##name##_##t(x[i]);) }
#define MAP2(name, T, t) \
    void RT_NAME(rt_v##name##_##t)(T *out, const T *x, const T *y, int64_t n) { EACH(t, out[i] = rt_##name##_##t(x[i], y[i]);) }
/* Functions whose vector form does not reach every argument: libm answers for a vector that has one out of reach. */
#define NEAR1(name, T, t)                                                                                   \
    void RT_NAME(rt_v##name##_##t)(T *out, const T *x, int64_t n) {                                         \
        for (int64_t e = 0; e < n; e += V_##t) {                                                            \
            int far = 0;                                                                                    \
            for (int64_t i = e; i < e + V_##t; i++) far |= rt_##name##_far_##t(x[i]);                       \
            if (RT_LIKELY(!far)) { RT_IVDEP for (int64_t i = e; i < e + V_##t; i++) out[i] = rt_##name##_near_##t(x[i]); } \
            else for (int64_t i = e; i < e + V_##t; i++) out[i] = rt_##name##_##t(x[i]);                    \
        }                                                                                                   \
    }
#define NEAR2(name, T, t)                                                                                   \
    void RT_NAME(rt_v##name##_##t)(T *out, const T *x, const T *y, int64_t n) {                             \
        for (int64_t e = 0; e < n; e += V_##t) {                                                            \
            int far = 0;                                                                                    \
            for (int64_t i = e; i < e + V_##t; i++) far |= rt_##name##_far_##t(x[i], y[i]);                 \
            if (RT_LIKELY(!far)) { RT_IVDEP for (int64_t i = e; i < e + V_##t; i++) out[i] = rt_##name##_near_##t(x[i], y[i]); } \
            else for (int64_t i = e; i < e + V_##t; i++) out[i] = rt_##name##_##t(x[i], y[i]);              \
        }                                                                                                   \
    }
/* by a function of vspecial.h */
#define MAPV(name, T, t) \
    void RT_NAME(rt_v##name##_##t)(T *out, const T *x, int64_t n) { EACH(t, out[i] = (T)v_##name((double)x[i]);) }
#define BOTH(KIND, name) KIND(name, float, f32) KIND(name, double, f64)

#if defined(__AVX512F__)
#include "vfun_v16.h"
/* So many bytes ahead are fetched: with this much arithmetic a line too few loads are under way at a time to keep the memory busy. */
#define AHEAD(p, i) __builtin_prefetch((const char *)((p) + (i)) + 1024)
#define V16(name, ...) \
    void RT_NAME(rt_v##name##_f32)(float *out, const float *x, int64_t n) { \
        for (int64_t i = 0; i < n; i += 16) { \
            AHEAD(x, i); \
            AHEAD(out, i); \
            _mm512_storeu_ps(out + i, v16_##name##__VA_ARGS__(_mm512_loadu_ps(x + i))); } }
#define V8(name) \
    void RT_NAME(rt_v##name##_f64)(double *out, const double *x, int64_t n) { \
        for (int64_t i = 0; i < n; i += 8) { \
            AHEAD(x, i); \
            AHEAD(out, i); \
            _mm512_storeu_pd(out + i, v8_##name(_mm512_loadu_pd(x + i))); } }
V16(exp) V16(exp2) V16(expm1) V16(sigmoid) V16(silu) V16(gelu) V16(log) V16(log2) V16(log10) V16(log1p) V16(softplus1) V16(erf) V16(tanh) V16(erfinv) V16(atan)
V8(exp) V8(exp2) V8(erfinv) V8(ndtri) V8(log) V8(log2) V8(log10) V8(log1p)
#define V16_2(name) \
    void RT_NAME(rt_v##name##_f32)(float *out, const float *x, const float *y, int64_t n) { \
        for (int64_t i = 0; i < n; i += 16) _mm512_storeu_ps(out + i, v16_##name##_any(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i))); }
#define V8_NEAR(name) \
    void RT_NAME(rt_v##name##_f64)(double *out, const double *x, int64_t n) { \
        for (int64_t i = 0; i < n; i += 8) { \
            __m512d v = _mm512_loadu_pd(x + i); \
            AHEAD(x, i); \
            AHEAD(out, i); \
            if (RT_LIKELY(!v8_trig_far(v))) _mm512_storeu_pd(out + i, v8_##name(v)); \
            else for (int64_t j = i; j < i + 8; j++) out[j] = rt_##name##_f64(x[j]); } }
V16(sin, _any) V16(cos, _any) V16(tan, _any) V16_2(fmod) V16_2(remainder) V16_2(floordiv) V8_NEAR(sin) V8_NEAR(cos) V8_NEAR(tan)
void RT_NAME(rt_vpow_f32)(float *out, const float *x, const float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += 32) {
        int64_t j = i + 16 < n ? i + 16 : i;                     /* the last register stands for both */
        __m512 a[2] = {_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + j)}, b[2] = {_mm512_loadu_ps(y + i), _mm512_loadu_ps(y + j)}, v[2];
        if (RT_LIKELY(!v16_pow_near(v, a, b))) {
            _mm512_storeu_ps(out + i, v[0]);
            _mm512_storeu_ps(out + j, v[1]);
        } else {
            RT_IVDEP for (int64_t e = i; e < i + 16; e++) out[e] = rt_pow_f32(x[e], y[e]);
            if (j > i) { RT_IVDEP for (int64_t e = j; e < j + 16; e++) out[e] = rt_pow_f32(x[e], y[e]); }
        }
    }
}
MAP1(expm1, double, f64) MAP1(tanh, double, f64) MAP1(sigmoid, double, f64) MAP1(silu, double, f64) MAP1(gelu, double, f64)
MAP1(softplus1, double, f64)
MAP1(erf, double, f64) MAP1(atan, double, f64) MAP2(pow, double, f64)
NEAR2(floordiv, double, f64) NEAR2(remainder, double, f64) NEAR2(fmod, double, f64)
#else
BOTH(MAP1, exp) BOTH(MAP1, exp2) BOTH(MAP1, expm1) BOTH(MAP1, log) BOTH(MAP1, log2) BOTH(MAP1, log10) BOTH(MAP1, log1p)
BOTH(NEAR1, sin) BOTH(NEAR1, cos) BOTH(NEAR1, tan) BOTH(MAP1, tanh) BOTH(MAP1, sigmoid) BOTH(MAP1, silu) BOTH(MAP1, gelu)
BOTH(MAP1, softplus1)
BOTH(MAP1, erf) BOTH(MAP1, atan) MAP1(erfinv, float, f32) MAPV(erfinv, double, f64) MAPV(ndtri, double, f64) BOTH(MAP2, pow)
BOTH(NEAR2, floordiv) BOTH(NEAR2, remainder) BOTH(NEAR2, fmod)
#endif
BOTH(MAP1, asin) BOTH(MAP1, acos) BOTH(MAP1, sinh) BOTH(MAP1, cosh) BOTH(MAP1, asinh) BOTH(MAP1, acosh) BOTH(MAP1, atanh)
BOTH(MAP1, erfc) BOTH(MAP1, erfcx) BOTH(MAP1, log_ndtr) MAPV(ndtri, float, f32)
MAPV(lgamma, float, f32) MAPV(digamma, float, f32) MAPV(i0, float, f32) MAPV(i0e, float, f32) MAPV(i1, float, f32) MAPV(i1e, float, f32)
MAP1(lgamma, double, f64) MAP1(digamma, double, f64) MAP1(i0, double, f64) MAP1(i0e, double, f64) MAP1(i1, double, f64) MAP1(i1e, double, f64)
BOTH(MAP2, hypot) BOTH(MAP2, nextafter)
BOTH(MAP2, atan2) BOTH(MAP2, logaddexp) BOTH(MAP2, logaddexp2) BOTH(MAP2, xlogy) BOTH(MAP2, xlog1py) BOTH(MAP2, zeta)
#define rt_polygamma_far_f32(n, x) ((n) != 1)
#define rt_polygamma_far_f64 rt_polygamma_far_f32
#define rt_polygamma_near_f32(n, x) ((float)v_trigamma((double)(x)))
#define rt_polygamma_near_f64(n, x) v_trigamma(x)
BOTH(NEAR2, polygamma)
