/* Loops along one dimension of an indexed move, for index.c and, as 16-bit floats are converted by what an instruction set has, select.inc.c. */
#ifndef RT_INDEX_ROWS_H
#define RT_INDEX_ROWS_H
#include "rustorch/half.h"

/* ---- rows: dst[j * ds + doff] op= src[j * ss + soff]; one of the two offsets comes from a table.
 * `off` NULL: plain strided row. mul: bytes for one unit of off. ---- */

#define ROW_ARGS char *dst, int64_t ds, const char *src, int64_t ss, const int64_t *off, int64_t os, \
                 int64_t mul, int64_t n
#define AT(j) (off[(j) * os] * mul)

/* Four elements a turn: what is read is read before anything is written, as the compiler cannot tell that it may. Stores of other
 * elements than these wait for no load then, which is half of the time of such a loop. */
#define BY_FOUR(FOUR, ONE)                                                                 \
    int64_t j = 0;                                                                         \
    for (; j + 4 <= n; j += 4) { FOUR }                                                    \
    for (; j < n; j++) { ONE }
#define AT4(k) off[j + k]
#define FAR(T, k) (const T *)(src + off[j + k])
#define FAR_PLACES(T) T *p0 = (T *)(dst + off[j]); T *p1 = (T *)(dst + off[j + 1]); T *p2 = (T *)(dst + off[j + 2]); T *p3 = (T *)(dst + off[j + 3]);
#define PLACES(d) __auto_type p0 = d + AT4(0); __auto_type p1 = d + AT4(1); __auto_type p2 = d + AT4(2); __auto_type p3 = d + AT4(3);

/* Accumulating rows. NaN wins in max and min, as in torch's amax and amin: a test of its own, which is always guessed right, before one that
 * is an instruction; both as one cost a wrong guess an element. */
#define ACC_ROW(name, T, EXPR)                                                             \
    static void name(ROW_ARGS) {                                                           \
        if (off && os == 1 && ds == 0 && ss == (int64_t)sizeof(T) && mul == ss) {          \
            T *d = (T *)dst;                                                               \
            const T *s = (const T *)src;                                                   \
            BY_FOUR(PLACES(d) T y0 = s[j]; T y1 = s[j + 1]; T y2 = s[j + 2]; T y3 = s[j + 3]; \
                    { T x = *p0; T y = y0; *p0 = EXPR; } { T x = *p1; T y = y1; *p1 = EXPR; }  \
                    { T x = *p2; T y = y2; *p2 = EXPR; } { T x = *p3; T y = y3; *p3 = EXPR; }, \
                    T *p = d + off[j]; T x = *p; T y = s[j]; *p = EXPR;)                   \
        } else if (off && os == 1 && ds == 0 && ss == (int64_t)sizeof(T) && mul == 1) {    \
            const T *s = (const T *)src;                                                   \
            BY_FOUR(FAR_PLACES(T) T y0 = s[j]; T y1 = s[j + 1]; T y2 = s[j + 2]; T y3 = s[j + 3]; \
                    { T x = *p0; T y = y0; *p0 = EXPR; } { T x = *p1; T y = y1; *p1 = EXPR; } \
                    { T x = *p2; T y = y2; *p2 = EXPR; } { T x = *p3; T y = y3; *p3 = EXPR; }, \
                    T *p = (T *)(dst + off[j]); T x = *p; T y = s[j]; *p = EXPR;)          \
        } else if (off) for (int64_t j = 0; j < n; j++) {                                    \
            T *d = (T *)(dst + j * ds + AT(j));                                            \
            T x = *d, y = *(const T *)(src + j * ss);                                      \
            *d = EXPR;                                                                     \
        } else if (ds == (int64_t)sizeof(T) && ss == ds) {                                 \
            T *restrict d = (T *)dst;                                                      \
            const T *restrict v = (const T *)src;                                          \
            for (int64_t j = 0; j < n; j++) { T x = d[j], y = v[j]; d[j] = EXPR; }         \
        } else for (int64_t j = 0; j < n; j++) {                                           \
            T *d = (T *)(dst + j * ds);                                                    \
            T x = *d, y = *(const T *)(src + j * ss);                                      \
            *d = EXPR;                                                                     \
        }                                                                                  \
    }
#define HALF_ROWS(tag, T, W, N)                                                            \
    ACC_ROW(add_at_##tag, T, N(W(x) + W(y)))                                                  \
    ACC_ROW(mul_at_##tag, T, N(W(x) * W(y)))                                                  \
    ACC_ROW(max_at_##tag, T, (W(x) != W(x) || W(x) > W(y)) ? x : y)                           \
    ACC_ROW(min_at_##tag, T, (W(x) != W(x) || W(x) < W(y)) ? x : y)
#endif
