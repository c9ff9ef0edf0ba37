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
                if (n * B >= 512) { rt_copy_bytes(dst, src, (size_t)n * B); continue; }           \
                T *restrict d = (T *)dst; const T *restrict s = (const T *)src;                   \
                for (int64_t j = 0; j < n; j++) d[j] = s[j];                                      \
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

const RtCopyFns RT_NAME(rt_copy_fns)[5] = {{rows_1, turn_1}, {rows_2, turn_2}, {rows_4, turn_4}, {rows_8, turn_8}, {rows_16, turn_16}};
