/* Vectors of the widest register of the instruction set a kernel file is compiled for, in GNU
 * vector notation. RT_VEC bytes wide; fused multiply-add where the set has it. */
#ifndef RUSTORCH_VEC_H
#define RUSTORCH_VEC_H
#include <string.h>
#include "rustorch/loops.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define RT_VEC 64
#elif defined(__AVX2__)
#define RT_VEC 32
#else
#define RT_VEC 16
#endif

typedef float  rt_vf __attribute__((vector_size(RT_VEC)));
typedef double rt_vd __attribute__((vector_size(RT_VEC)));
#define RT_LANES_F32 (RT_VEC / 4)
#define RT_LANES_F64 (RT_VEC / 8)

RT_INLINE rt_vf rt_vf_load(const float *p) { rt_vf v; memcpy(&v, p, sizeof v); return v; }
RT_INLINE rt_vd rt_vd_load(const double *p) { rt_vd v; memcpy(&v, p, sizeof v); return v; }
RT_INLINE void rt_vf_store(float *p, rt_vf v) { memcpy(p, &v, sizeof v); }
RT_INLINE void rt_vd_store(double *p, rt_vd v) { memcpy(p, &v, sizeof v); }
RT_INLINE rt_vf rt_vf_set(float x) { return x - (rt_vf){0}; }
RT_INLINE rt_vd rt_vd_set(double x) { return x - (rt_vd){0}; }

#if defined(__AVX512F__)
RT_INLINE rt_vf rt_vf_fma(rt_vf a, rt_vf b, rt_vf c) { return (rt_vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
RT_INLINE rt_vd rt_vd_fma(rt_vd a, rt_vd b, rt_vd c) { return (rt_vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
#elif defined(__AVX2__) && defined(__FMA__)
RT_INLINE rt_vf rt_vf_fma(rt_vf a, rt_vf b, rt_vf c) { return (rt_vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
RT_INLINE rt_vd rt_vd_fma(rt_vd a, rt_vd b, rt_vd c) { return (rt_vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
#elif defined(__aarch64__)
RT_INLINE rt_vf rt_vf_fma(rt_vf a, rt_vf b, rt_vf c) { return (rt_vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
RT_INLINE rt_vd rt_vd_fma(rt_vd a, rt_vd b, rt_vd c) { return (rt_vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
#else
RT_INLINE rt_vf rt_vf_fma(rt_vf a, rt_vf b, rt_vf c) { return a * b + c; }
RT_INLINE rt_vd rt_vd_fma(rt_vd a, rt_vd b, rt_vd c) { return a * b + c; }
#endif

/* Holds a vector in a register: a compiler that reads it from memory again for each use pays a load a use. */
#if defined(__AVX512F__)
#define RT_HOLD(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define RT_HOLD(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define RT_HOLD(v) __asm__("" : "+w"(v))
#else
#define RT_HOLD(v) (void)(v)
#endif

/* Masks of the first n lanes, and a load of these lanes alone (zeros behind them). */
typedef int32_t rt_vf_mask __attribute__((vector_size(RT_VEC)));
typedef int64_t rt_vd_mask __attribute__((vector_size(RT_VEC)));
RT_INLINE rt_vf_mask rt_vf_first(int n) {
    rt_vf_mask at;
    for (int i = 0; i < RT_LANES_F32; i++) at[i] = i;
    return at < n - (rt_vf_mask){0};
}
RT_INLINE rt_vd_mask rt_vd_first(int n) {
    rt_vd_mask at;
    for (int i = 0; i < RT_LANES_F64; i++) at[i] = i;
    return at < n - (rt_vd_mask){0};
}
#if defined(__AVX512F__)
RT_INLINE rt_vf rt_vf_load_first(const float *p, int n) { return (rt_vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
RT_INLINE rt_vd rt_vd_load_first(const double *p, int n) { return (rt_vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
RT_INLINE void rt_vf_store_first(float *p, rt_vf v, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
RT_INLINE void rt_vd_store_first(double *p, rt_vd v, int n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v); }
#else
RT_INLINE rt_vf rt_vf_load_first(const float *p, int n) { rt_vf v = {0}; memcpy(&v, p, sizeof(float) * (size_t)n); return v; }
RT_INLINE rt_vd rt_vd_load_first(const double *p, int n) { rt_vd v = {0}; memcpy(&v, p, sizeof(double) * (size_t)n); return v; }
RT_INLINE void rt_vf_store_first(float *p, rt_vf v, int n) { memcpy(p, &v, sizeof(float) * (size_t)n); }
RT_INLINE void rt_vd_store_first(double *p, rt_vd v, int n) { memcpy(p, &v, sizeof(double) * (size_t)n); }
#endif

#if defined(__AVX512F__)
/* p[0], p[2], p[4] ... = lanes; what lies between them stays. */
RT_INLINE void rt_vf_store_evens(float *p, rt_vf v) {
    const __m512i lo = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    _mm512_mask_storeu_ps(p, 0x5555, _mm512_permutexvar_ps(lo, (__m512)v));
    _mm512_mask_storeu_ps(p + 16, 0x5555, _mm512_permutexvar_ps(_mm512_add_epi32(lo, _mm512_set1_epi32(8)), (__m512)v));
}
RT_INLINE void rt_vd_store_evens(double *p, rt_vd v) {
    const __m512i lo = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    _mm512_mask_storeu_pd(p, 0x55, _mm512_permutexvar_pd(lo, (__m512d)v));
    _mm512_mask_storeu_pd(p + 8, 0x55, _mm512_permutexvar_pd(_mm512_add_epi64(lo, _mm512_set1_epi64(4)), (__m512d)v));
}
#endif

/* Shuffles of two vectors; lane i of the result is lane F(i, n) of a followed by b, F a macro of constants. */
#define RT_LANES_2(F, n, at) F(at, n), F(at + 1, n)
#define RT_LANES_4(F, n, at) RT_LANES_2(F, n, at), RT_LANES_2(F, n, at + 2)
#define RT_LANES_8(F, n, at) RT_LANES_4(F, n, at), RT_LANES_4(F, n, at + 4)
#define RT_LANES_16(F, n, at) RT_LANES_8(F, n, at), RT_LANES_8(F, n, at + 8)
#if RT_VEC == 64
#define RT_EACH_F32(F) RT_LANES_16(F, 16, 0)
#define RT_EACH_F64(F) RT_LANES_8(F, 8, 0)
#elif RT_VEC == 32
#define RT_EACH_F32(F) RT_LANES_8(F, 8, 0)
#define RT_EACH_F64(F) RT_LANES_4(F, 4, 0)
#else
#define RT_EACH_F32(F) RT_LANES_4(F, 4, 0)
#define RT_EACH_F64(F) RT_LANES_2(F, 2, 0)
#endif
#if defined(__clang__)
#define RT_SHUFFLE(MASK, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define RT_SHUFFLE(MASK, a, b, ...) __builtin_shuffle(a, b, (MASK){__VA_ARGS__})
#endif
#define RT_AT_EVEN(i, n) 2 * (i)
#define RT_AT_ODD(i, n) 2 * (i) + 1
#define RT_AT_EVEN_LAPPED(i, n) 2 * (i) + ((i) >= (n) / 2)          /* b begins with a's last lane */
#define RT_AT_HALF(i, n) (i) / 2
#define RT_AT_HIGH_HALF(i, n) (n) / 2 + (i) / 2
/* evens: p[0], p[2], p[4] ..., nothing is read behind the last of them. pair_sums: a[0] + a[1], a[2] + a[3] ... and so on through b.
 * evens_of, odds_of: a[0], a[2] ... and so on through b, and what lies between them. twice: every lane two times in a row. */
#define RT_SHUFFLES(V, T, N, LANES, MASK, EACH)                                                   \
    RT_INLINE V N##_evens(const T *p) { return RT_SHUFFLE(MASK, N##_load(p), N##_load(p + LANES - 1), EACH(RT_AT_EVEN_LAPPED)); } \
    RT_INLINE V N##_pair_sums(V a, V b) { return RT_SHUFFLE(MASK, a, b, EACH(RT_AT_EVEN)) + RT_SHUFFLE(MASK, a, b, EACH(RT_AT_ODD)); } \
    RT_INLINE V N##_evens_of(V a, V b) { return RT_SHUFFLE(MASK, a, b, EACH(RT_AT_EVEN)); }       \
    RT_INLINE V N##_odds_of(V a, V b) { return RT_SHUFFLE(MASK, a, b, EACH(RT_AT_ODD)); }         \
    RT_INLINE void N##_twice(V v, V *lo, V *hi) {                                                 \
        *lo = RT_SHUFFLE(MASK, v, v, EACH(RT_AT_HALF));                                           \
        *hi = RT_SHUFFLE(MASK, v, v, EACH(RT_AT_HIGH_HALF));                                      \
    }
RT_SHUFFLES(rt_vf, float, rt_vf, RT_LANES_F32, rt_vf_mask, RT_EACH_F32)
RT_SHUFFLES(rt_vd, double, rt_vd, RT_LANES_F64, rt_vd_mask, RT_EACH_F64)

/* Lanes added pairwise: the error grows with log2 of the lanes. */
#if defined(__AVX512F__)
RT_INLINE float rt_vf_sum(rt_vf v) { return _mm512_reduce_add_ps((__m512)v); }
RT_INLINE double rt_vd_sum(rt_vd v) { return _mm512_reduce_add_pd((__m512d)v); }
#elif defined(__AVX2__)
RT_INLINE float rt_vf_sum(rt_vf v) {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
RT_INLINE double rt_vd_sum(rt_vd v) {
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128((__m256d)v), _mm256_extractf128_pd((__m256d)v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
#else
RT_INLINE float rt_vf_sum(rt_vf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
RT_INLINE double rt_vd_sum(rt_vd v) { return v[0] + v[1]; }
#endif
#endif
