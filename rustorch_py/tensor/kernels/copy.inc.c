/* Copies of one dtype over an N-d plan (operand 1 -> operand 0). Where the source is dense along another dimension than
 * the result, both are walked in tiles of 16 x 16, so that whole cache lines are read and written. */
#include "copy.h"
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define TILE 16
#define AHEAD 128     /* bytes; sixteen streams, a page each, are more than the prefetchers follow */

/* dst[i * ds + j] = src[j * ss + i]: i < m, j < n; strides count elements */
#define PLAIN(name, T)                                                                            \
    static void name(T *restrict dst, int64_t ds, const T *restrict src, int64_t ss, int64_t m, int64_t n) { \
        for (int64_t i = 0; i < m; i++)                                                           \
            for (int64_t j = 0; j < n; j++) dst[i * ds + j] = src[j * ss + i];                    \
    }
typedef struct { uint64_t a, b; } u128;
PLAIN(plain_1, uint8_t) PLAIN(plain_2, uint16_t) PLAIN(plain_4, uint32_t) PLAIN(plain_8, uint64_t) PLAIN(plain_16, u128)

#if defined(__AVX2__)
RT_INLINE void square_4(uint32_t *dst, int64_t ds, const uint32_t *src, int64_t ss) {          /* 8 x 8 */
    __m256 r[8], t[8];
    for (int j = 0; j < 8; j++) r[j] = _mm256_loadu_ps((const float *)(src + j * ss));
    for (int j = 0; j < 4; j++) { t[2 * j] = _mm256_unpacklo_ps(r[2 * j], r[2 * j + 1]); t[2 * j + 1] = _mm256_unpackhi_ps(r[2 * j], r[2 * j + 1]); }
    for (int j = 0; j < 8; j += 4) {
        r[j] = _mm256_shuffle_ps(t[j], t[j + 2], 0x44); r[j + 1] = _mm256_shuffle_ps(t[j], t[j + 2], 0xee);
        r[j + 2] = _mm256_shuffle_ps(t[j + 1], t[j + 3], 0x44); r[j + 3] = _mm256_shuffle_ps(t[j + 1], t[j + 3], 0xee);
    }
    for (int j = 0; j < 4; j++) {
        _mm256_storeu_ps((float *)(dst + j * ds), _mm256_permute2f128_ps(r[j], r[j + 4], 0x20));
        _mm256_storeu_ps((float *)(dst + (j + 4) * ds), _mm256_permute2f128_ps(r[j], r[j + 4], 0x31));
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

#define TILED(B, T, S)                                                                            \
    static void turn_##B(char *dst, int64_t ds, const char *src, int64_t ss, int64_t m, int64_t n) { \
        T *d = (T *)dst; const T *s = (const T *)src;                                             \
        ds /= B; ss /= B;                                                                         \
        for (int64_t j = 0; j < n; j += TILE)                                                     \
            for (int64_t i = 0; i < m; i += TILE) {                                               \
                int64_t h = m - i < TILE ? m - i : TILE, w = n - j < TILE ? n - j : TILE;         \
                for (int64_t b = 0; b < w; b++) __builtin_prefetch(s + (j + b) * ss + i + AHEAD / B, 0, 2); \
                S                                                                                 \
                plain_##B(d + i * ds + j, ds, s + j * ss + i, ss, h, w);                          \
            }                                                                                     \
    }
#define WHOLE(B)                                                                                  \
    if (h == TILE && w == TILE) {                                                                 \
        for (int a = 0; a < TILE; a += SQUARE_##B)                                                \
            for (int b = 0; b < TILE; b += SQUARE_##B)                                            \
                square_##B(d + (i + a) * ds + j + b, ds, s + (j + b) * ss + i + a, ss);           \
        continue;                                                                                 \
    }
#ifdef SQUARE_1
TILED(1, uint8_t, WHOLE(1)) TILED(2, uint16_t, WHOLE(2))
#else
TILED(1, uint8_t, ) TILED(2, uint16_t, )
#endif
#ifdef SQUARE_4
TILED(4, uint32_t, WHOLE(4))
#else
TILED(4, uint32_t, )
#endif
#ifdef SQUARE_8
TILED(8, uint64_t, WHOLE(8))
#else
TILED(8, uint64_t, )
#endif
TILED(16, u128, )

/* m rows of n elements of B bytes; a row is dense, a single element repeated (ss0 == 0), or strided */
#define ROWS(B, T)                                                                                \
    static void rows_##B(char *dst, int64_t ds0, int64_t ds1, const char *src, int64_t ss0, int64_t ss1, int64_t m, int64_t n) { \
        for (int64_t i = 0; i < m; i++, dst += ds1, src += ss1) {                                 \
            if (ds0 == B && ss0 == B) {                                                           \
                if (n * B >= 512) { memcpy(dst, src, (size_t)n * B); continue; }                  \
                T *restrict d = (T *)dst; const T *restrict s = (const T *)src;                   \
                for (int64_t j = 0; j < n; j++) d[j] = s[j];                                      \
            } else if (ds0 == B && ss0 == 0) {                                                    \
                T *d = (T *)dst; const T v = *(const T *)src;                                     \
                for (int64_t j = 0; j < n; j++) d[j] = v;                                         \
            } else for (int64_t j = 0; j < n; j++) *(T *)(dst + j * ds0) = *(const T *)(src + j * ss0); \
        }                                                                                         \
    }
ROWS(1, uint8_t) ROWS(2, uint16_t) ROWS(4, uint32_t) ROWS(8, uint64_t) ROWS(16, u128)

const RtCopyFns RT_NAME(rt_copy_fns)[5] = {{rows_1, turn_1}, {rows_2, turn_2}, {rows_4, turn_4}, {rows_8, turn_8}, {rows_16, turn_16}};
