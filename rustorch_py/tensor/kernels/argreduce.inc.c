/* argmax/argmin with the value: first occurrence wins, the first NaN wins over everything. */
#include <stdlib.h>
#include "lane_loop.h"
#include "share.h"

#define ACC 32                             /* independent accumulators of a contiguous lane */
#define FOLD(w, before) for (int j = 0; j < w; j++) acc[j] = acc[j + w] before acc[j] ? acc[j + w] : acc[j];      /* of ACC */
#define CHUNK 32768                        /* a long lane is cut in chunks, shared out to the threads; the first best of them wins */

/* better(v, m): v replaces m. For floats a NaN v replaces a number and nothing replaces a NaN. extreme_ gives the best value, and
 * in *bad whether there is a NaN; the place is then looked for where it is. */
#define BODY(tag, T, ISNAN)                                                                         \
    RT_INLINE T extreme_##tag(const T *restrict x, int64_t n, int want_min, int *bad) {             \
        T acc[ACC]; T nan[ACC];                         /* nan: 1 where one was seen; of T's width */ \
        for (int j = 0; j < ACC; j++) { acc[j] = x[0]; nan[j] = 0; }                                \
        for (int64_t b = 0; b + ACC <= n; b += ACC) {                                               \
            for (int64_t p = 0; p < ACC * (int)sizeof(T); p += 64) __builtin_prefetch((const char *)(x + b) + 1024 + p); \
            if (want_min) for (int j = 0; j < ACC; j++) acc[j] = x[b + j] < acc[j] ? x[b + j] : acc[j]; \
            else for (int j = 0; j < ACC; j++) acc[j] = x[b + j] > acc[j] ? x[b + j] : acc[j];      \
            for (int j = 0; j < ACC; j++) nan[j] = (ISNAN(x[b + j])) ? 1 : nan[j];                  \
        }                                                                                           \
        *bad = 0;                                                                                   \
        for (int64_t b = n - n % ACC; b < n; b++) {                                                 \
            if (want_min) acc[0] = x[b] < acc[0] ? x[b] : acc[0];                                   \
            else acc[0] = x[b] > acc[0] ? x[b] : acc[0];                                            \
            *bad |= (ISNAN(x[b]));                                                                  \
        }                                                                                           \
        for (int j = 0; j < ACC; j++) *bad |= nan[j] != 0;                                          \
        if (want_min) { FOLD(16, <) FOLD(8, <) FOLD(4, <) FOLD(2, <) FOLD(1, <) }                    \
        else { FOLD(16, >) FOLD(8, >) FOLD(4, >) FOLD(2, >) FOLD(1, >) }                            \
        return acc[0];                                                                              \
    }                                                                                               \
    /* Both extremes of n elements; NaN if there is one. */                                         \
    static void extremes_##tag(const T *restrict x, int64_t n, T *low, T *high) {                   \
        enum { N = sizeof(T) < 4 ? 128 / sizeof(T) : ACC };                                           \
        T lo[N]; T hi[N]; T nan[N]; T odd = x[0];                                                   \
        int bad = 0;                                                                                \
        for (int j = 0; j < N; j++) { lo[j] = hi[j] = x[0]; nan[j] = 0; }                         \
        for (int64_t b = 0; b + N <= n; b += N) {                                               \
            for (int64_t p = 0; p < N * (int)sizeof(T); p += 64) __builtin_prefetch((const char *)(x + b) + 1024 + p); \
            for (int j = 0; j < N; j++) lo[j] = x[b + j] < lo[j] ? x[b + j] : lo[j];              \
            for (int j = 0; j < N; j++) hi[j] = x[b + j] > hi[j] ? x[b + j] : hi[j];              \
            for (int j = 0; j < N; j++) nan[j] = (ISNAN(x[b + j])) ? 1 : nan[j];                  \
        }                                                                                           \
        for (int64_t b = n - n % N; b < n; b++) {                                                 \
            lo[0] = x[b] < lo[0] ? x[b] : lo[0];                                                    \
            hi[0] = x[b] > hi[0] ? x[b] : hi[0];                                                    \
            bad |= (ISNAN(x[b]));                                                                   \
        }                                                                                           \
        for (int j = 0; j < N; j++) {                                                             \
            bad |= nan[j] != 0;                                                                     \
            lo[0] = lo[j] < lo[0] ? lo[j] : lo[0];                                                  \
            hi[0] = hi[j] > hi[0] ? hi[j] : hi[0];                                                  \
        }                                                                                           \
        for (int64_t k = 0; bad && k < n; k++) if ((ISNAN(x[k]))) { odd = x[k]; break; }            \
        *low = bad ? odd : lo[0];                                                                   \
        *high = bad ? odd : hi[0];                                                                  \
    }                                                                                               \
    static void both_##tag(const void *xv, int64_t n, void *low, void *high, int threads) {         \
        const T *x = xv; T *lo = low; T *hi = high;                                                 \
        int64_t chunks = (n + CHUNK - 1) / CHUNK;                                                   \
        T *part = chunks > 1 ? malloc(2 * sizeof(T) * (size_t)chunks) : NULL;                       \
        if (!part) { extremes_##tag(x, n, lo, hi); return; }                                        \
        RT_SHARED(threads, chunks, c, {                                                             \
            extremes_##tag(x + c * CHUNK, n - c * CHUNK < CHUNK ? n - c * CHUNK : CHUNK, part + 2 * c, part + 2 * c + 1); \
        });                                                                                         \
        *lo = part[0]; *hi = part[1];                                                               \
        for (int64_t c = 1; c < chunks && !(ISNAN(*lo)); c++) {                                     \
            *lo = (ISNAN(part[2 * c])) || part[2 * c] < *lo ? part[2 * c] : *lo;                    \
            *hi = (ISNAN(part[2 * c])) || part[2 * c + 1] > *hi ? part[2 * c + 1] : *hi;            \
        }                                                                                           \
        free(part);                                                                                 \
    }                                                                                               \
    RT_INLINE int64_t place_##tag(const T *restrict x, int64_t n, T best, int bad) {                \
        int64_t k = 0;                                                                              \
        if (bad) { while (!(ISNAN(x[k]))) k++; return k; }                                          \
        while (k + ACC <= n) {                                                                      \
            int hit = 0;                                                                            \
            for (int j = 0; j < ACC; j++) hit |= x[k + j] == best;                                  \
            if (hit) break;                                                                         \
            k += ACC;                                                                               \
        }                                                                                           \
        while (x[k] != best) k++;                                                                   \
        return k;                                                                                   \
    }                                                                                               \
    RT_INLINE int64_t lane_##tag(const T *restrict x, int64_t n, int want_min) {                    \
        int64_t k = 0;                                                                              \
        T best = x[0];                                                                              \
        if (n >= ACC) {                                                                             \
            int bad;                                                                                \
            best = extreme_##tag(x, n, want_min, &bad);                                             \
            return place_##tag(x, n, best, bad);                                                    \
        }                                                                                           \
        for (int64_t j = 0; j < n; j++) {                                                           \
            T v = x[j];                                                                             \
            if (ISNAN(v)) return j;                                                                 \
            if (want_min ? v < best : v > best) { best = v; k = j; }                                \
        }                                                                                           \
        return k;                                                                                   \
    }                                                                                               \
    static int64_t long_lane_##tag(const T *restrict x, int64_t n, int want_min, int threads) {     \
        int64_t chunks = (n + CHUNK - 1) / CHUNK, k = 0;                                            \
        struct { T best; int bad; } *part = malloc(sizeof *part * (size_t)chunks);                  \
        if (!part) return lane_##tag(x, n, want_min);                                               \
        RT_SHARED(threads, chunks, c, {                                                             \
            part[c].best = extreme_##tag(x + c * CHUNK, n - c * CHUNK < CHUNK ? n - c * CHUNK : CHUNK, want_min, &part[c].bad); \
        });                                                                                         \
        for (int64_t c = 1; c < chunks && !part[k].bad; c++)                                        \
            if (part[c].bad || (want_min ? part[c].best < part[k].best : part[c].best > part[k].best)) k = c; \
        k = k * CHUNK + place_##tag(x + k * CHUNK, n - k * CHUNK < CHUNK ? n - k * CHUNK : CHUNK, part[k].best, part[k].bad); \
        free(part);                                                                                 \
        return k;                                                                                   \
    }                                                                                               \
    static void arg_##tag(const void *xv, RtLane s, int want_min, void *valv, int64_t *idx_oi, int threads) { \
        const T *x_oli = xv; T *val_oi = valv;                                                      \
        if (s.inner == 1 && s.L >= 2 * CHUNK) {                                                     \
            for (int64_t o = 0; o < s.outer; o++) {                                                 \
                int64_t k = long_lane_##tag(x_oli + o * s.L, s.L, want_min, threads);               \
                if (idx_oi) idx_oi[o] = k;                                                          \
                if (val_oi) val_oi[o] = x_oli[o * s.L + k];                                         \
            }                                                                                       \
            return;                                                                                 \
        }                                                                                           \
        RT_LANE_FOR(s, threads, {                                                                   \
            if (s.inner == 1) {                                                                     \
                int64_t k = lane_##tag(x_oli + o * s.L, s.L, want_min);                             \
                if (idx_oi) idx_oi[o] = k;                                                          \
                if (val_oi) val_oi[o] = x_oli[o * s.L + k];                                         \
            } else {                                                                                \
                T best[RT_LANE_BLOCK]; int64_t at[RT_LANE_BLOCK];                                   \
                const T *x = x_oli + o * s.L * s.inner + i0;                                        \
                int64_t w = i1 - i0;                                                                \
                for (int64_t i = 0; i < w; i++) { best[i] = x[i]; at[i] = 0; }                      \
                for (int64_t l = 1; l < s.L; l++) {                                                 \
                    x += s.inner;                                                                   \
                    for (int64_t i = 0; i < w; i++) {                                               \
                        T v = x[i]; T m = best[i];                                                  \
                        int take = (want_min ? v < m : v > m) | ((ISNAN(v)) & !(ISNAN(m)));         \
                        best[i] = take ? v : m;                                                     \
                        at[i] = take ? l : at[i];                                                   \
                    }                                                                               \
                }                                                                                   \
                if (idx_oi) for (int64_t i = 0; i < w; i++) idx_oi[o * s.inner + i0 + i] = at[i];   \
                if (val_oi) for (int64_t i = 0; i < w; i++) val_oi[o * s.inner + i0 + i] = best[i]; \
            }                                                                                       \
        });                                                                                         \
    }

#define NEVER(v) 0
#define NAN_OF(v) ((v) != (v))
BODY(u8, uint8_t, NEVER)
BODY(i8, int8_t, NEVER)
BODY(i16, int16_t, NEVER)
BODY(i32, int32_t, NEVER)
BODY(i64, int64_t, NEVER)
BODY(f32, float, NAN_OF)
BODY(f64, double, NAN_OF)

const RtArgTable RT_NAME(rt_arg_table) = {.arg = {
    [RT_BOOL] = arg_u8, [RT_U8] = arg_u8, [RT_I8] = arg_i8, [RT_I16] = arg_i16, [RT_I32] = arg_i32,
    [RT_I64] = arg_i64, [RT_F32] = arg_f32, [RT_F64] = arg_f64}, .both = {
    [RT_BOOL] = both_u8, [RT_U8] = both_u8, [RT_I8] = both_i8, [RT_I16] = both_i16, [RT_I32] = both_i32,
    [RT_I64] = both_i64, [RT_F32] = both_f32, [RT_F64] = both_f64}};
