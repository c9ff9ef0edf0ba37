/* Copies of one dtype over an N-d plan (operand 1 -> operand 0). Where the source is dense along another dimension than
 * the result, both are walked in tiles of 16 x 16, so that whole cache lines are read and written. Sixteen rows of the result, a
 * page each, are more than the prefetchers follow: their next lines are asked for. */
#include "copy.h"
#include "move.h"
#include "turn.h"
#include "vec.h"

#define TILE 16

/* dst[i * ds + j] = src[j * ss + i]: i < m, j < n; strides count elements */
#define PLAIN(name, T)                                                                            \
    static void name(T *restrict dst, int64_t ds, const T *restrict src, int64_t ss, int64_t m, int64_t n) { \
        for (int64_t i = 0; i < m; i++)                                                           \
            for (int64_t j = 0; j < n; j++) dst[i * ds + j] = src[j * ss + i];                    \
    }
typedef struct { uint64_t a, b; } u128;
PLAIN(plain_1, uint8_t) PLAIN(plain_2, uint16_t) PLAIN(plain_4, uint32_t) PLAIN(plain_8, uint64_t) PLAIN(plain_16, u128)

/* Two to four lines of the source become one of the result, element by element. */
#define FEW(T, N)                                                                                 \
    if (n == N && ds == N) {                                                                      \
        T *restrict to = d; const T *restrict from = s;                                           \
        for (int64_t i = 0; i < m; i++) for (int j = 0; j < N; j++) to[i * N + j] = from[j * ss + i]; \
        return;                                                                                   \
    }
#define TILED(B, T, S)                                                                            \
    static void turn_##B(char *dst, int64_t ds, const char *src, int64_t ss, int64_t m, int64_t n) { \
        T *d = (T *)dst; const T *s = (const T *)src;                                             \
        ds /= B; ss /= B;                                                                         \
        FEW(T, 2) FEW(T, 3) FEW(T, 4)                                                             \
        for (int64_t i = 0; i < m; i += TILE)                                                     \
            for (int64_t j = 0; j < n; j += TILE) {                                               \
                int64_t h = m - i < TILE ? m - i : TILE, w = n - j < TILE ? n - j : TILE;         \
                for (int64_t a = 0; a < h; a++) __builtin_prefetch(d + (i + a) * ds + j + TILE, 1); \
                S                                                                                 \
                plain_##B(d + i * ds + j, ds, s + j * ss + i, ss, h, w);                          \
            }                                                                                     \
    }
#define WHOLE(B)                                                                                  \
    if (h == TILE && w == TILE) {                                                                 \
        rt_turn_16_##B(d + i * ds + j, ds, s + j * ss + i, ss);                                 \
        continue;                                                                                 \
    }
TILED(1, uint8_t, WHOLE(1)) TILED(2, uint16_t, WHOLE(2)) TILED(4, uint32_t, WHOLE(4)) TILED(8, uint64_t, WHOLE(8))
TILED(16, u128, )

/* Every second element, n of them. Small ones are the low halves of numbers of twice their size, but for the last one, behind which
 * there may be nothing. */
#define SECOND_BY_HALVES(B, T, WIDE)                                                              \
    static void second_##B(T *restrict d, const T *restrict s, int64_t n) {                       \
        typedef WIDE Wide __attribute__((aligned(1), may_alias));                                 \
        const Wide *w = (const Wide *)s;                                                          \
        int64_t j = 0;                                                                            \
        if (RT_LITTLE) for (; j < n - 1; j++) d[j] = (T)w[j];                                     \
        for (; j < n; j++) d[j] = s[2 * j];                                                       \
    }
#define SECOND_BY_SHUFFLES(B, T, R, N, LANES)                                                     \
    static void second_##B(T *restrict d, const T *restrict s, int64_t n) {                       \
        int64_t j = 0;                                                                            \
        for (; j + LANES <= n; j += LANES) N##_store((R *)(d + j), N##_evens((const R *)(s + 2 * j))); \
        for (; j < n; j++) d[j] = s[2 * j];                                                       \
    }
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define RT_LITTLE 1
#else
#define RT_LITTLE 0
#endif
SECOND_BY_HALVES(1, uint8_t, uint16_t) SECOND_BY_HALVES(2, uint16_t, uint32_t)
SECOND_BY_SHUFFLES(4, uint32_t, float, rt_vf, RT_LANES_F32) SECOND_BY_SHUFFLES(8, uint64_t, double, rt_vd, RT_LANES_F64)
static void second_16(u128 *restrict d, const u128 *restrict s, int64_t n) { for (int64_t j = 0; j < n; j++) d[j] = s[2 * j]; }

/* m rows of n elements of B bytes; a row is dense, a single element repeated (ss0 == 0), dense backwards, or strided */
#define ROWS(B, T)                                                                                \
    static void rows_##B(char *dst, int64_t ds0, int64_t ds1, const char *src, int64_t ss0, int64_t ss1, int64_t m, int64_t n) { \
        for (int64_t i = 0; i < m; i++, dst += ds1, src += ss1) {                                 \
            if (ds0 == B && ss0 == B) {                                                           \
                rt_copy_few(dst, src, (size_t)n * B);                                             \
            } else if (ds0 == B && ss0 == 0) {                                                    \
                T *d = (T *)dst; const T v = *(const T *)src;                                     \
                for (int64_t j = 0; j < n; j++) d[j] = v;                                         \
            } else if (ds0 == B && ss0 == -B) {                                                   \
                T *restrict d = (T *)dst; const T *restrict s = (const T *)src;                   \
                for (int64_t j = 0; j < n; j++) d[j] = s[-j];                                     \
            } else if (ds0 == B && ss0 == 2 * B) {                                                \
                second_##B((T *)dst, (const T *)src, n);                                          \
            } else if (ss0 == 0) {                                                                \
                char *d = dst; const T v = *(const T *)src;                                       \
                _Pragma("GCC unroll 4") for (int64_t j = 0; j < n; j++, d += ds0) *(T *)d = v;    \
            } else {                                                                              \
                char *restrict d = dst; const char *restrict s = src;                             \
                _Pragma("GCC unroll 4") for (int64_t j = 0; j < n; j++, d += ds0, s += ss0) *(T *)d = *(const T *)s; \
            }                                                                                     \
        }                                                                                         \
    }
ROWS(1, uint8_t) ROWS(2, uint16_t) ROWS(4, uint32_t) ROWS(8, uint64_t) ROWS(16, u128)

/* A row is one store of the next size, and the row behind it writes over what was too much. */
#define WIDE_ROWS(T, W)                                                                           \
    if (n * (int64_t)sizeof(T) <= W) {                                                            \
        for (; m > 0; m--, d += n, src += step) { const T v = *(const T *)src; for (int j = 0; j < (int)(W / sizeof(T)); j++) d[j] = v; } \
        return;                                                                                   \
    }
#define SPREAD(B, T)                                                                              \
    static void spread_##B(char *dst, const char *src, int64_t step, int64_t m, int64_t n) {      \
        T *d = (T *)dst;                                                                          \
        WIDE_ROWS(T, 16) WIDE_ROWS(T, 32) WIDE_ROWS(T, 64) WIDE_ROWS(T, RT_SPREAD_MAX)            \
    }
SPREAD(1, uint8_t) SPREAD(2, uint16_t) SPREAD(4, uint32_t) SPREAD(8, uint64_t) SPREAD(16, u128)

/* Blocks are moved by the next power of two bytes: what is too much is written over by the next block. The last blocks of dst, and those
 * behind which src may end, are moved as they are. */
#define BLOCKS(W)                                                                                 \
    for (; i < m && step <= 0 && src + i * step + W > end; i++) rt_copy_few(dst + i * bytes, src + i * step, (size_t)bytes); \
    if (step > 0 && end - src < (m - 1) * step + W) {                                             \
        int64_t inside = end - src < W ? 0 : (end - src - W) / step + 1;                          \
        if (inside < whole) whole = inside;                                                       \
    }                                                                                             \
    _Pragma("GCC unroll 4") for (; i < whole; i++) memcpy(dst + i * bytes, src + i * step, W);
/* A block behind the other, the last one first: as many as sixteen bytes hold are turned round in a register. */
#if defined(__SSSE3__)
#include <tmmintrin.h>
static void blocks_back(char *dst, const char *src, int64_t bytes, int64_t m) {        /* m * bytes >= 32 */
    int64_t each = 16 / bytes, used = each * bytes, i = each;
    char order[48];                                        /* -1 makes zero */
    memset(order, -1, sizeof order);
    for (int64_t b = 0; b < used; b++) order[16 + b] = (char)((each - 1 - b / bytes) * bytes + b % bytes);
    const __m128i by = _mm_loadu_si128((const __m128i *)(order + 16)), high = _mm_set1_epi8((char)(16 - used));
    /* the first group: 16 bytes that end where it ends; all others: from where they start */
    _mm_storeu_si128((__m128i *)dst, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src + bytes - 16)), _mm_add_epi8(by, high)));
    for (; (m - i) * bytes >= 16; i += each)
        _mm_storeu_si128((__m128i *)(dst + i * bytes), _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src - (i + each - 1) * bytes)), by));
    if (i == m) return;
    /* the last group once more, stored where it ends: what is before it in the 16 bytes is there already */
    __m128i *end = (__m128i *)(dst + m * bytes - 16);
    __m128i late = _mm_loadu_si128((const __m128i *)(order + used)), was = _mm_loadu_si128(end);
    was = _mm_and_si128(was, _mm_cmplt_epi8(late, _mm_setzero_si128()));
    _mm_storeu_si128(end, _mm_or_si128(was, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src - (m - 1) * bytes)), late)));
}
#endif
static void blocks(char *dst, const char *src, int64_t step, int64_t bytes, int64_t m) {
    if (bytes < 1 || bytes > RT_BLOCK_MAX) __builtin_unreachable();
    int64_t i = 0, width = 2;
    const char *end = (step > 0 ? src + (m - 1) * step : src) + bytes;
    while (width < bytes) width *= 2;
    int64_t whole = m - (width + bytes - 1) / bytes + 1;          /* from there on less than `width` bytes of dst are left */
#if defined(__SSSE3__)
    if (step == -bytes && bytes <= 8 && m * bytes >= 32) { blocks_back(dst, src, bytes, m); return; }
#endif
    if (width == 2) { BLOCKS(2) } else if (width == 4) { BLOCKS(4) } else if (width == 8) { BLOCKS(8) } else if (width == 16) { BLOCKS(16) } else { BLOCKS(32) }
    for (; i < m; i++) rt_copy_few(dst + i * bytes, src + i * step, (size_t)bytes);
}

#define FNS(B) {rows_##B, turn_##B, spread_##B, blocks}
const RtCopyFns RT_NAME(rt_copy_fns)[5] = {FNS(1), FNS(2), FNS(4), FNS(8), FNS(16)};
