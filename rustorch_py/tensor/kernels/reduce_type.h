/* Drivers of one accumulator type; included after ew_type.h, before the printed reductions. */
#undef LANES
#define LANES ((int)(256 / sizeof(T)))
#undef WIDE
#define WIDE (LANES / 4)
#ifndef RT_REDUCE_LOOPS
#include <string.h>
/* Pairwise summation: blocks of 64 x LANES are folded lane by lane, block results merge like a
 * binary counter, so the error grows with log n and does not depend on the number of threads. */
/* The first n lanes, n < LANES, and the lanes folded: loops of fixed lengths, of which the compiler makes vectors in registers. With masks all lanes
 * are loaded in one go: a narrow store that a wide load follows waits for the cache (rows of 250: 25 for 13 ns). Steps that call functions of their
 * own take the narrow way everywhere. */
/* Note [Lanes in registers]
 * A line is a function of its own: within the loop over blocks the compiler kept its lanes in memory, where each round waits for the one before
 * (prod of 1e6: 175 for 31 us). So it does behind a branch: the rest of a line is added by masks even where there is none. Every line is asked for
 * eight lines ahead. That is past what a processor fetches by itself and costs nothing where the data is in a cache (Zen 4: 1e6 as fast as without, 3e7 in
 * 2.9 in place of 3.2 ms); every other line, or lines farther ahead, took up to 1.4 times as long in either place. */
#define RT_REDUCE_POWERS(DO, name) DO(name, 128) DO(name, 64) DO(name, 32) DO(name, 16) DO(name, 8) DO(name, 4) DO(name, 2) DO(name, 1)
#define RT_REDUCE_SOME(name, w) \
    if (LANES > w && (n & w)) { for (int j = 0; j < w; j++) lane[j] = K(name##_step)(lane[j], p[j], kk); lane += w; p += w; }
#define RT_REDUCE_NARROW(name) RT_REDUCE_POWERS(RT_REDUCE_SOME, name)
#if defined(__AVX512BW__)
#define RT_REDUCE_MASKED(name)                                                                             \
    for (int j = 0; j < LANES; j++) {                                                                      \
        T x_ = j < n ? p[j] : K(name##_init)(), y_ = K(name##_step)(lane[j], x_, kk);                      \
        lane[j] = j < n ? y_ : lane[j];                                                                    \
    }
#else
#define RT_REDUCE_MASKED(name) RT_REDUCE_NARROW(name)
#endif
#define RT_REDUCE_FOLD(name, w) if (LANES > w) for (int j = 0; j < w; j++) lane[j] = K(name##_comb)(lane[j], lane[j + w]);
/* Note [Lines]
 * Many rows, each a line. Where combining is an instruction, rows follow one another in the processor by themselves. Where it is several
 * that wait for each other (maximum: NaN counts), the last lanes of 16 rows are folded side by side: 17 for 9 ns a row of 64. With AVX-512 rows are
 * folded in registers (Note [Rows in registers] in reduce_rows_v16.h). Either way a row's result has the bits that it has alone. */
#define RT_REDUCE_ALONE(name)                                                                             \
    enum { K(name##_quick) = 1 };                                                                          \
    static void K(name##_lines)(char *acc, const char *x, int64_t row, int64_t m, int64_t n, double k0) {  \
        const T kk = (T)k0; T *a = (T *)acc;                                                               \
        for (int64_t k = 0; k < m; k++) a[k] = K(name##_line)((const T *)(x + k * row), n / LANES, (int)(n % LANES), kk); \
    }
/* lane: `rounds` times LANES elements and `rest` more from p on */
#define RT_REDUCE_LANES(name)                                                                             \
        T lane[LANES];                                                                                     \
        for (int j = 0; j < LANES; j++) lane[j] = K(name##_init)();                                        \
        for (int64_t r = 0; r < rounds; r++) {                                                             \
            for (int b = 512; b < 768; b += 64) __builtin_prefetch((const char *)p + b);                   \
            for (int j = 0; j < LANES; j++) lane[j] = K(name##_step)(lane[j], p[j], kk);                   \
            p += LANES;                                                                                    \
        }                                                                                                  \
        K(name##_few)(lane, p, rest, kk);
#define RT_REDUCE_SIDE(name, w)                                                                           \
    if (WIDE > w) {                                                                                        \
        for (int k = 0; k < 16; k++) for (int j = 0; j < w; j++) to[k * w + j] = K(name##_comb)(from[k * 2 * w + j], from[k * 2 * w + w + j]); \
        T *swap_ = from; from = to; to = swap_;                                                            \
    }
#define RT_REDUCE_WIDE(name, w) if (LANES > w && w >= WIDE) for (int j = 0; j < w; j++) lane[j] = K(name##_comb)(lane[j], lane[j + w]);
#define RT_REDUCE_TOGETHER(name)                                                                          \
    enum { K(name##_quick) = 0 };                                                                          \
    static __attribute__((noinline)) void K(name##_wide)(T *to, const T *p, int64_t rounds, int rest, const T kk) { \
        RT_REDUCE_LANES(name)                                                                              \
        RT_REDUCE_POWERS(RT_REDUCE_WIDE, name)                                                             \
        for (int j = 0; j < WIDE; j++) to[j] = lane[j];                                                    \
    }                                                                                                      \
    static __attribute__((noinline)) void K(name##_side)(T *sixteen, const T *rows) {                      \
        T one[8 * WIDE] __attribute__((aligned(64))), two[16 * WIDE] __attribute__((aligned(64))), *from = two, *to = one; \
        memcpy(two, rows, sizeof two);                                                                     \
        RT_REDUCE_POWERS(RT_REDUCE_SIDE, name)                                                             \
        memcpy(sixteen, from, 16 * sizeof(T));                                                             \
    }                                                                                                      \
    static void K(name##_lines)(char *acc, const char *x, int64_t row, int64_t m, int64_t n, double k0) {  \
        const T kk = (T)k0; T *a = (T *)acc;                                                               \
        T rows[16 * WIDE] __attribute__((aligned(64))), done[16];                                          \
        for (int j = 0; j < 16 * WIDE; j++) rows[j] = K(name##_init)();                                    \
        for (int64_t k = 0; k < m; k += 16) {                                                              \
            int many = m - k < 16 ? (int)(m - k) : 16;                                                     \
            for (int i = 0; i < many; i++) K(name##_wide)(rows + i * WIDE, (const T *)(x + (k + i) * row), n / LANES, (int)(n % LANES), kk); \
            K(name##_side)(done, rows);                                                                    \
            memcpy(a + k, done, (size_t)many * sizeof(T));                                                 \
        }                                                                                                  \
    }
/* Where vectors of the type have the steps of a reduction: PRE of an element, then COMB. Else OTHER. */
#if defined(__AVX512BW__)
#include "reduce_rows_v16.h"
#define RT_REDUCE_BY(name, PRE, COMB, OTHER) RT_REDUCE_VECTORS(name, PRE, COMB)
#else
#define RT_REDUCE_BY(name, PRE, COMB, OTHER) OTHER(name)
#endif
#define RT_REDUCE_LOOPS(name, FEW)                                                                        \
    static void K(name##_initn)(char *acc, int64_t n) {                                                    \
        T *a = (T *)acc;                                                                                   \
        for (int64_t i = 0; i < n; i++) a[i] = K(name##_init)();                                           \
    }                                                                                                      \
    static void K(name##_comb_n)(char *acc, const char *other, int64_t n) {                                \
        T *a = (T *)acc;                                                                                   \
        const T *b = (const T *)other;                                                                     \
        for (int64_t i = 0; i < n; i++) a[i] = K(name##_comb)(a[i], b[i]);                                 \
    }                                                                                                      \
    static void K(name##_cols)(char *acc, const char *x, int64_t s, int64_t n, double k0) {                \
        T *a = (T *)acc;                                                                                   \
        const T *v = (const T *)x;                                                                         \
        const T kk = (T)k0;                                                                                \
        if (s == (int64_t)sizeof(T)) for (int64_t i = 0; i < n; i++) a[i] = K(name##_step)(a[i], v[i], kk); \
        else for (int64_t i = 0; i < n; i++) { RT_SCALAR; a[i] = K(name##_step)(a[i], *(const T *)(x + i * s), kk); } \
    }                                                                                                      \
    /* the same order as four calls of cols, with an accumulator read and written once */                \
    static void K(name##_cols4)(char *acc, const char *x, int64_t row, int64_t n, double k0) {             \
        T *restrict a = (T *)acc;                                                                          \
        const T *restrict v0 = (const T *)x; const T *restrict v1 = (const T *)(x + row);                  \
        const T *restrict v2 = (const T *)(x + 2 * row); const T *restrict v3 = (const T *)(x + 3 * row);  \
        const T kk = (T)k0;                                                                                \
        for (int64_t i = 0; i < n; i++)                                                                    \
            a[i] = K(name##_step)(K(name##_step)(K(name##_step)(K(name##_step)(a[i], v0[i], kk), v1[i], kk), v2[i], kk), v3[i], kk); \
    }                                                                                                      \
    RT_INLINE void K(name##_few)(T *lane, const T *p, int n, const T kk) { FEW(name) }                     \
    /* `rounds` times LANES elements and `rest` more: Note [Lanes in registers] */                         \
    static __attribute__((noinline)) T K(name##_line)(const T *p, int64_t rounds, int rest, const T kk) {  \
        RT_REDUCE_LANES(name)                                                                              \
        RT_REDUCE_POWERS(RT_REDUCE_FOLD, name)                                                             \
        return lane[0];                                                                                    \
    }                                                                                                      \
    static void K(name##_run)(char *acc, const char *x, int64_t s, int64_t n, double k0) {                 \
        const T kk = (T)k0; T *out = (T *)acc;                                                             \
        if (s == (int64_t)sizeof(T) && n >= LANES && n < 65 * LANES) {                                      \
            *out = K(name##_comb)(*out, K(name##_line)((const T *)x, n / LANES, (int)(n % LANES), kk));    \
            return;                                                                                        \
        }                                                                                                  \
        T part[64]; uint64_t blocks = 0;                                                                   \
        while (n > 0) {                                                                                    \
            T v;                                                                                           \
            if (s == (int64_t)sizeof(T) && n >= LANES) {                                                   \
                int64_t rounds = n / LANES; if (rounds > 64) rounds = 64;                                  \
                int rest = n - rounds * LANES < LANES ? (int)(n - rounds * LANES) : 0;                     \
                v = K(name##_line)((const T *)x, rounds, rest, kk);                                        \
                x += (rounds * LANES + rest) * (int64_t)sizeof(T); n -= rounds * LANES + rest;             \
            } else if (s == (int64_t)sizeof(T) && n > 8) {                                                 \
                v = K(name##_line)((const T *)x, 0, (int)n, kk);                                           \
                n = 0;                                                                                     \
            } else {                                                                                       \
                int64_t m = n < 128 ? n : 128; v = K(name##_init)();                                       \
                for (int64_t i = 0; i < m; i++) { v = K(name##_step)(v, *(const T *)x, kk); x += s; }      \
                n -= m;                                                                                    \
            }                                                                                              \
            int level = 0;                                                                                 \
            for (uint64_t b = blocks; b & 1; b >>= 1) v = K(name##_comb)(part[level++], v);                \
            part[level] = v; blocks++;                                                                     \
        }                                                                                                  \
        int level = 0;                                                                                     \
        for (uint64_t b = blocks; b; b >>= 1, level++) if (b & 1) *out = K(name##_comb)(*out, part[level]); }
#define RT_REDUCE_ENTRY(name) {K(name##_initn), K(name##_run), K(name##_cols), K(name##_comb_n), K(name##_lines), K(name##_cols4), K(name##_quick)}
#endif
