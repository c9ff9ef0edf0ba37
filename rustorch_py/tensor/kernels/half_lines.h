/* Dense runs of 16-bit floats to and from float32, by vectors: each returns how many elements from the front it did. */
#ifndef RT_HALF_LINES_H
#define RT_HALF_LINES_H
#include "rustorch/half.h"
#include "rustorch/loops.h"

/* Dense runs to and from float16 by the processor's own conversion, which the compiler does not vectorise by itself. */
#if defined(__F16C__)
static int64_t widen_f16(float *d, const rt_f16 *s, int64_t n) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(d + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(s + i))));
#endif
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(s + i))));
    return i;
}
static int64_t narrow_f16(rt_f16 *d, const float *s, int64_t n) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) _mm256_storeu_si256((__m256i *)(d + i), _mm512_cvtps_ph(_mm512_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}
#else
#define widen_f16(d, s, n) 0
#define narrow_f16(d, s, n) 0
#endif

#if defined(__AVX512BW__)
/* the upper 16 bits of the numbers of two registers */
#define RT_HIGH_HALVES _mm512_add_epi32(_mm512_set1_epi32(0x00030001), _mm512_mullo_epi32(_mm512_set1_epi32(0x00040004), \
    _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)))
/* as rt_f32_to_bf16, 32 numbers at a time; a vector with a NaN goes the plain way */
static int64_t narrow_bf16(rt_bf16 *d, const float *s, int64_t n) {
    const __m512i one = _mm512_set1_epi32(1), half = _mm512_set1_epi32(0x7fff), order = RT_HIGH_HALVES;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 x = _mm512_loadu_ps(s + i), y = _mm512_loadu_ps(s + i + 16);
        if (RT_UNLIKELY(_mm512_cmp_ps_mask(x, y, _CMP_UNORD_Q))) {
            for (int64_t j = i; j < i + 32; j++) d[j] = rt_f32_to_bf16(s[j]);
            continue;
        }
        __m512i u = _mm512_castps_si512(x), v = _mm512_castps_si512(y);
        u = _mm512_add_epi32(_mm512_add_epi32(u, half), _mm512_and_si512(_mm512_srli_epi32(u, 16), one));
        v = _mm512_add_epi32(_mm512_add_epi32(v, half), _mm512_and_si512(_mm512_srli_epi32(v, 16), one));
        _mm512_storeu_si512(d + i, _mm512_permutex2var_epi16(u, order, v));
    }
    return i;
}
static int64_t widen_bf16(float *d, const rt_bf16 *s, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_si512(d + i, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(s + i))), 16));
    return i;
}
#else
#define widen_bf16(d, s, n) 0
#define narrow_bf16(d, s, n) 0
#endif

/* whole runs, short ones and the ends of long ones too */
#if defined(__AVX512BW__) && defined(__AVX512VL__)
#define RT_HALF_ENDS(n) const __mmask16 end = (__mmask16)((1u << (n)) - 1)
static inline void widen_run_f16(float *d, const rt_f16 *s, int64_t n) {
    int64_t i = widen_f16(d, s, n & ~15);
    if (i == n) return;
    RT_HALF_ENDS(n - i);
    _mm512_mask_storeu_ps(d + i, end, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(end, s + i)));
}
static inline void narrow_run_f16(rt_f16 *d, const float *s, int64_t n) {
    int64_t i = narrow_f16(d, s, n & ~15);
    if (i == n) return;
    RT_HALF_ENDS(n - i);
    _mm256_mask_storeu_epi16(d + i, end, _mm512_cvtps_ph(_mm512_maskz_loadu_ps(end, s + i), _MM_FROUND_TO_NEAREST_INT));
}
static inline void widen_run_bf16(float *d, const rt_bf16 *s, int64_t n) {
    int64_t i = widen_bf16(d, s, n);
    if (i == n) return;
    RT_HALF_ENDS(n - i);
    _mm512_mask_storeu_ps(d + i, end, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(end, s + i)), 16)));
}
static inline void narrow_run_bf16(rt_bf16 *d, const float *s, int64_t n) {
    for (int64_t i = narrow_bf16(d, s, n); i < n; i += 16) {
        const __mmask16 end = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        __m512 x = _mm512_maskz_loadu_ps(end, s + i);
        __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
        __m512i v = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
        v = _mm512_mask_or_epi32(v, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
        _mm256_mask_storeu_epi16(d + i, end, _mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
    }
}
#undef RT_HALF_ENDS

/* 32 elements in two registers, those that m leaves out zeros; a mask known to be full costs nothing */
#define RT_ALL_32(m) (__builtin_constant_p(m) && (m) == 0xffffffffu)
RT_INLINE __m512 rt_half_floats(const float *p, __mmask16 m) {
    return __builtin_constant_p(m) && m == 0xffff ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(m, p);
}
RT_INLINE __m256i rt_half_16(const void *p, __mmask16 m) {
    return __builtin_constant_p(m) && m == 0xffff ? _mm256_loadu_si256((const __m256i *)p) : _mm256_maskz_loadu_epi16(m, p);
}
RT_INLINE void load32_bf16(const rt_bf16 *p, __mmask32 m, __m512 *a, __m512 *b) {
    *a = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rt_half_16(p, (__mmask16)m)), 16));
    *b = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rt_half_16(p + 16, (__mmask16)(m >> 16))), 16));
}
RT_INLINE __m512i rt_round_bf16(__m512 x) {
    __m512i u = _mm512_castps_si512(x);
    return _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1)));
}
RT_INLINE void store32_bf16(rt_bf16 *p, __mmask32 m, __m512 a, __m512 b) {
    __m512i u = rt_round_bf16(a), v = rt_round_bf16(b), w;
    if (RT_UNLIKELY(_mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q))) {      /* adding may have made something else of a NaN */
        u = _mm512_mask_or_epi32(u, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), _mm512_castps_si512(a), _mm512_set1_epi32(0x400000));
        v = _mm512_mask_or_epi32(v, _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q), _mm512_castps_si512(b), _mm512_set1_epi32(0x400000));
    }
    w = _mm512_permutex2var_epi16(u, RT_HIGH_HALVES, v);
    if (RT_ALL_32(m)) _mm512_storeu_si512(p, w);
    else _mm512_mask_storeu_epi16(p, m, w);
}
RT_INLINE void load32_f16(const rt_f16 *p, __mmask32 m, __m512 *a, __m512 *b) {
    *a = _mm512_cvtph_ps(rt_half_16(p, (__mmask16)m));
    *b = _mm512_cvtph_ps(rt_half_16(p + 16, (__mmask16)(m >> 16)));
}
RT_INLINE void store32_f16(rt_f16 *p, __mmask32 m, __m512 a, __m512 b) {
    __m256i u = _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT), v = _mm512_cvtps_ph(b, _MM_FROUND_TO_NEAREST_INT);
    if (RT_ALL_32(m)) { _mm256_storeu_si256((__m256i *)p, u); _mm256_storeu_si256((__m256i *)(p + 16), v); }
    else { _mm256_mask_storeu_epi16(p, (__mmask16)m, u); _mm256_mask_storeu_epi16(p + 16, (__mmask16)(m >> 16), v); }
}
#define RT_HALF_REGISTERS 1
#else
#define RT_HALF_RUNS(tag, S)                                                                    \
    static inline void widen_run_##tag(float *d, const S *s, int64_t n) {                       \
        for (int64_t i = widen_##tag(d, s, n); i < n; i++) d[i] = rt_##tag##_to_f32(s[i]);      \
    }                                                                                           \
    static inline void narrow_run_##tag(S *d, const float *s, int64_t n) {                      \
        for (int64_t i = narrow_##tag(d, s, n); i < n; i++) d[i] = rt_f32_to_##tag(s[i]);       \
    }
RT_HALF_RUNS(f16, rt_f16)
RT_HALF_RUNS(bf16, rt_bf16)
#undef RT_HALF_RUNS
#endif
#endif
