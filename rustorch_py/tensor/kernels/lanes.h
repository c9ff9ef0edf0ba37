/* Stretches of a vector's lanes, and vectors taken apart and interleaved: beside vec.h. */
#ifndef RUSTORCH_LANES_H
#define RUSTORCH_LANES_H
#include "vec.h"

/* between: the lanes [lo, hi), both clipped to the vector. load_lanes: these lanes alone, zeros elsewhere; nothing else is touched.
 * store_lanes: likewise. fma_lanes (AVX-512): a * b + c in these lanes, c in the others. */
#define RT_CLIP(n) (lo = lo < 0 ? 0 : lo > (n) ? (n) : lo, hi = hi < lo ? lo : hi > (n) ? (n) : hi)
#if defined(__AVX512F__)
typedef __mmask16 rt_vf_lanes;
typedef __mmask8 rt_vd_lanes;
RT_INLINE rt_vf_lanes rt_vf_between(int64_t lo, int64_t hi) { RT_CLIP(16); return (rt_vf_lanes)((1u << hi) - (1u << lo)); }
RT_INLINE rt_vd_lanes rt_vd_between(int64_t lo, int64_t hi) { RT_CLIP(8); return (rt_vd_lanes)((1u << hi) - (1u << lo)); }
RT_INLINE rt_vf rt_vf_load_lanes(const float *p, rt_vf_lanes m) { return (rt_vf)_mm512_maskz_loadu_ps(m, p); }
RT_INLINE rt_vd rt_vd_load_lanes(const double *p, rt_vd_lanes m) { return (rt_vd)_mm512_maskz_loadu_pd(m, p); }
RT_INLINE void rt_vf_store_lanes(float *p, rt_vf v, rt_vf_lanes m) { _mm512_mask_storeu_ps(p, m, (__m512)v); }
RT_INLINE rt_vf rt_vf_fma_lanes(rt_vf a, rt_vf b, rt_vf c, rt_vf_lanes m) { return (rt_vf)_mm512_mask3_fmadd_ps((__m512)a, (__m512)b, (__m512)c, m); }
RT_INLINE rt_vd rt_vd_fma_lanes(rt_vd a, rt_vd b, rt_vd c, rt_vd_lanes m) { return (rt_vd)_mm512_mask3_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c, m); }
RT_INLINE void rt_vd_store_lanes(double *p, rt_vd v, rt_vd_lanes m) { _mm512_mask_storeu_pd(p, m, (__m512d)v); }
#elif defined(__AVX2__)
typedef __m256i rt_vf_lanes;
typedef __m256i rt_vd_lanes;
RT_INLINE rt_vf_lanes rt_vf_between(int64_t lo, int64_t hi) {
    RT_CLIP(8);
    __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)lo), at), _mm256_cmpgt_epi32(_mm256_set1_epi32((int)hi), at));
}
RT_INLINE rt_vd_lanes rt_vd_between(int64_t lo, int64_t hi) {
    RT_CLIP(4);
    __m256i at = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(lo), at), _mm256_cmpgt_epi64(_mm256_set1_epi64x(hi), at));
}
RT_INLINE rt_vf rt_vf_load_lanes(const float *p, rt_vf_lanes m) { return (rt_vf)_mm256_maskload_ps(p, m); }
RT_INLINE rt_vd rt_vd_load_lanes(const double *p, rt_vd_lanes m) { return (rt_vd)_mm256_maskload_pd(p, m); }
RT_INLINE void rt_vf_store_lanes(float *p, rt_vf v, rt_vf_lanes m) { _mm256_maskstore_ps(p, m, (__m256)v); }
RT_INLINE void rt_vd_store_lanes(double *p, rt_vd v, rt_vd_lanes m) { _mm256_maskstore_pd(p, m, (__m256d)v); }
#else
typedef struct { int lo, hi; } rt_vf_lanes, rt_vd_lanes;
#define RT_LANES_OF(V, T, N, LANES)                                                               \
    RT_INLINE N##_lanes N##_between(int64_t lo, int64_t hi) { RT_CLIP(LANES); return (N##_lanes){(int)lo, (int)hi}; } \
    RT_INLINE V N##_load_lanes(const T *p, N##_lanes m) {                                         \
        V v = {0};                                                                                \
        if (m.hi - m.lo == LANES) return N##_load(p);                                             \
        for (int i = m.lo; i < m.hi; i++) v[i] = p[i];                                            \
        return v;                                                                                 \
    }                                                                                             \
    RT_INLINE void N##_store_lanes(T *p, V v, N##_lanes m) {                                      \
        if (m.hi - m.lo == LANES) N##_store(p, v);                                                \
        else for (int i = m.lo; i < m.hi; i++) p[i] = v[i];                                       \
    }
RT_LANES_OF(rt_vf, float, rt_vf, RT_LANES_F32)
RT_LANES_OF(rt_vd, double, rt_vd, RT_LANES_F64)
#undef RT_LANES_OF
#endif
#undef RT_CLIP

/* even_lanes, odd_lanes: of a followed by b. zip: a[0], b[0], a[1], b[1] ... */
#define RT_AT_ZIP(i, n) (i) / 2 + (i) % 2 * (n)
#define RT_AT_HIGH_ZIP(i, n) (n) / 2 + (i) / 2 + (i) % 2 * (n)
#define RT_APART(V, N, MASK, EACH)                                                                \
    RT_INLINE V N##_even_lanes(V a, V b) { return RT_SHUFFLE(MASK, a, b, EACH(RT_AT_EVEN)); }     \
    RT_INLINE V N##_odd_lanes(V a, V b) { return RT_SHUFFLE(MASK, a, b, EACH(RT_AT_ODD)); }       \
    RT_INLINE void N##_zip(V a, V b, V *lo, V *hi) {                                              \
        *lo = RT_SHUFFLE(MASK, a, b, EACH(RT_AT_ZIP));                                            \
        *hi = RT_SHUFFLE(MASK, a, b, EACH(RT_AT_HIGH_ZIP));                                       \
    }
RT_APART(rt_vf, rt_vf, rt_vf_mask, RT_EACH_F32)
RT_APART(rt_vd, rt_vd, rt_vd_mask, RT_EACH_F64)
#undef RT_APART
#endif
