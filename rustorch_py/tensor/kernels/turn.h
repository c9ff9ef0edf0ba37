/* Transposes of small squares in registers: dst[i * ds + j] = src[j * ss + i]; strides count elements. */
#ifndef RUSTORCH_TURN_H
#define RUSTORCH_TURN_H
#include "rustorch/loops.h"
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__AVX2__)
/* Loads put the halves of a register together, which costs no shuffle. */
RT_INLINE void square_4(uint32_t *dst, int64_t ds, const uint32_t *src, int64_t ss) {          /* 8 x 8 */
    for (int h = 0; h < 8; h += 4) {
        const float *s = (const float *)(src + h);
        float *d = (float *)(dst + h * ds);
        __m256 r[4];
        for (int j = 0; j < 4; j++) r[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(s + j * ss)), _mm_loadu_ps(s + (j + 4) * ss), 1);
        __m256 lo = _mm256_unpacklo_ps(r[0], r[1]), lo2 = _mm256_unpacklo_ps(r[2], r[3]);
        __m256 hi = _mm256_unpackhi_ps(r[0], r[1]), hi2 = _mm256_unpackhi_ps(r[2], r[3]);
        _mm256_storeu_ps(d, _mm256_shuffle_ps(lo, lo2, 0x44)); _mm256_storeu_ps(d + ds, _mm256_shuffle_ps(lo, lo2, 0xee));
        _mm256_storeu_ps(d + 2 * ds, _mm256_shuffle_ps(hi, hi2, 0x44)); _mm256_storeu_ps(d + 3 * ds, _mm256_shuffle_ps(hi, hi2, 0xee));
    }
}
RT_INLINE void square_8(uint64_t *dst, int64_t ds, const uint64_t *src, int64_t ss) {          /* 4 x 4 */
    __m256d r[4], t[4];
    for (int j = 0; j < 4; j++) r[j] = _mm256_loadu_pd((const double *)(src + j * ss));
    t[0] = _mm256_unpacklo_pd(r[0], r[1]); t[1] = _mm256_unpackhi_pd(r[0], r[1]);
    t[2] = _mm256_unpacklo_pd(r[2], r[3]); t[3] = _mm256_unpackhi_pd(r[2], r[3]);
    for (int j = 0; j < 2; j++) {
        _mm256_storeu_pd((double *)(dst + j * ds), _mm256_permute2f128_pd(t[j], t[j + 2], 0x20));
        _mm256_storeu_pd((double *)(dst + (j + 2) * ds), _mm256_permute2f128_pd(t[j], t[j + 2], 0x31));
    }
}
#define SQUARE_4 8
#define SQUARE_8 4
#elif defined(__SSE2__)
RT_INLINE void square_4(uint32_t *dst, int64_t ds, const uint32_t *src, int64_t ss) {          /* 4 x 4 */
    __m128 r0 = _mm_loadu_ps((const float *)src), r1 = _mm_loadu_ps((const float *)(src + ss));
    __m128 r2 = _mm_loadu_ps((const float *)(src + 2 * ss)), r3 = _mm_loadu_ps((const float *)(src + 3 * ss));
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps((float *)dst, r0); _mm_storeu_ps((float *)(dst + ds), r1);
    _mm_storeu_ps((float *)(dst + 2 * ds), r2); _mm_storeu_ps((float *)(dst + 3 * ds), r3);
}
#define SQUARE_4 4
#endif
#if defined(__SSE2__)
RT_INLINE void square_2(uint16_t *dst, int64_t ds, const uint16_t *src, int64_t ss) {          /* 8 x 8 */
    __m128i r[8], t[8];
    for (int j = 0; j < 8; j++) r[j] = _mm_loadu_si128((const __m128i *)(src + j * ss));
    for (int j = 0; j < 4; j++) { t[2 * j] = _mm_unpacklo_epi16(r[2 * j], r[2 * j + 1]); t[2 * j + 1] = _mm_unpackhi_epi16(r[2 * j], r[2 * j + 1]); }
    for (int j = 0; j < 8; j += 4)
        for (int h = 0; h < 2; h++) {
            r[j + 2 * h] = _mm_unpacklo_epi32(t[j + h], t[j + h + 2]);
            r[j + 2 * h + 1] = _mm_unpackhi_epi32(t[j + h], t[j + h + 2]);
        }
    for (int j = 0; j < 4; j++) {
        _mm_storeu_si128((__m128i *)(dst + 2 * j * ds), _mm_unpacklo_epi64(r[j], r[j + 4]));
        _mm_storeu_si128((__m128i *)(dst + (2 * j + 1) * ds), _mm_unpackhi_epi64(r[j], r[j + 4]));
    }
}
#define SQUARE_2 8
RT_INLINE void square_1(uint8_t *dst, int64_t ds, const uint8_t *src, int64_t ss) {            /* 8 x 8 */
    __m128i r[8], t[4], u[4];
    for (int j = 0; j < 8; j++) r[j] = _mm_loadl_epi64((const __m128i *)(src + j * ss));
    for (int j = 0; j < 4; j++) t[j] = _mm_unpacklo_epi8(r[2 * j], r[2 * j + 1]);
    for (int h = 0; h < 2; h++) { u[2 * h] = _mm_unpacklo_epi16(t[2 * h], t[2 * h + 1]); u[2 * h + 1] = _mm_unpackhi_epi16(t[2 * h], t[2 * h + 1]); }
    for (int h = 0; h < 2; h++) {
        __m128i lo = _mm_unpacklo_epi32(u[h], u[h + 2]), hi = _mm_unpackhi_epi32(u[h], u[h + 2]);
        _mm_storel_epi64((__m128i *)(dst + (4 * h) * ds), lo); _mm_storel_epi64((__m128i *)(dst + (4 * h + 1) * ds), _mm_unpackhi_epi64(lo, lo));
        _mm_storel_epi64((__m128i *)(dst + (4 * h + 2) * ds), hi); _mm_storel_epi64((__m128i *)(dst + (4 * h + 3) * ds), _mm_unpackhi_epi64(hi, hi));
    }
}
#define SQUARE_1 8
#endif


/* 16 x 16, by the squares the set has */
#define RT_TURN_16(B, T, SQUARES)                                                                 \
    RT_INLINE void rt_turn_16_##B(T *restrict dst, int64_t ds, const T *restrict src, int64_t ss) { \
        SQUARES                                                                                   \
    }
#define RT_SQUARES(B)                                                                             \
    for (int b = 0; b < 16; b += SQUARE_##B)                                                      \
        for (int a = 0; a < 16; a += SQUARE_##B) square_##B(dst + a * ds + b, ds, src + b * ss + a, ss);
#define RT_ELEMENTS for (int a = 0; a < 16; a++) for (int b = 0; b < 16; b++) dst[a * ds + b] = src[b * ss + a];
#if defined(__AVX512F__)
RT_INLINE void rt_turn_16_4(uint32_t *restrict dst, int64_t ds, const uint32_t *restrict src, int64_t ss) {
    for (int h = 0; h < 16; h += 4) {
        const float *s = (const float *)(src + h);
        float *d = (float *)(dst + h * ds);
        __m512 r[4];
        for (int j = 0; j < 4; j++) {
            r[j] = _mm512_insertf32x4(_mm512_castps128_ps512(_mm_loadu_ps(s + j * ss)), _mm_loadu_ps(s + (j + 4) * ss), 1);
            r[j] = _mm512_insertf32x4(_mm512_insertf32x4(r[j], _mm_loadu_ps(s + (j + 8) * ss), 2), _mm_loadu_ps(s + (j + 12) * ss), 3);
        }
        __m512 lo = _mm512_unpacklo_ps(r[0], r[1]), lo2 = _mm512_unpacklo_ps(r[2], r[3]);
        __m512 hi = _mm512_unpackhi_ps(r[0], r[1]), hi2 = _mm512_unpackhi_ps(r[2], r[3]);
        _mm512_storeu_ps(d, _mm512_shuffle_ps(lo, lo2, 0x44)); _mm512_storeu_ps(d + ds, _mm512_shuffle_ps(lo, lo2, 0xee));
        _mm512_storeu_ps(d + 2 * ds, _mm512_shuffle_ps(hi, hi2, 0x44)); _mm512_storeu_ps(d + 3 * ds, _mm512_shuffle_ps(hi, hi2, 0xee));
    }
}
#elif defined(SQUARE_4)
RT_TURN_16(4, uint32_t, RT_SQUARES(4))
#else
RT_TURN_16(4, uint32_t, RT_ELEMENTS)
#endif
#ifdef SQUARE_8
RT_TURN_16(8, uint64_t, RT_SQUARES(8))
#else
RT_TURN_16(8, uint64_t, RT_ELEMENTS)
#endif
#ifdef SQUARE_1
RT_TURN_16(1, uint8_t, RT_SQUARES(1))
RT_TURN_16(2, uint16_t, RT_SQUARES(2))
#else
RT_TURN_16(1, uint8_t, RT_ELEMENTS)
RT_TURN_16(2, uint16_t, RT_ELEMENTS)
#endif
#endif
