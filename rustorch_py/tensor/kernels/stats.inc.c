/* Mean and variance in two passes; sums in double in 32 partial sums. The second pass removes the
 * first's rounding (corrected two-pass algorithm; Chan, Golub, LeVeque 1983). A long lane is cut in chunks that stay in
 * the cache for their second pass; their moments are joined in order, so the result does not depend on the threads. */
#include <math.h>
#include <stdlib.h>
#include "lane_loop.h"

#define ACC 32
#define CHUNK 32768
typedef struct { double mean, square; } Part;

#define BODY(tag, T)                                                                             \
    RT_INLINE double sum_##tag(const T *restrict x, int64_t n) {                                 \
        double acc[ACC] = {0}, s = 0;                                                            \
        int64_t b = 0;                                                                           \
        for (; b + ACC <= n; b += ACC)                                                           \
            for (int j = 0; j < ACC; j++) acc[j] += (double)x[b + j];                            \
        for (; b < n; b++) s += (double)x[b];                                                    \
        for (int j = 0; j < ACC; j++) s += acc[j];                                               \
        return s;                                                                                \
    }                                                                                            \
    RT_INLINE double square_##tag(const T *restrict x, int64_t n, double m) {                    \
        double q[ACC] = {0}, e[ACC] = {0}, s = 0, t = 0;                                         \
        int64_t b = 0;                                                                           \
        for (; b + ACC <= n; b += ACC)                                                           \
            for (int j = 0; j < ACC; j++) { double d = (double)x[b + j] - m; q[j] += d * d; e[j] += d; } \
        for (; b < n; b++) { double d = (double)x[b] - m; s += d * d; t += d; }                  \
        for (int j = 0; j < ACC; j++) { s += q[j]; t += e[j]; }                                  \
        return s - t * t / (double)n;                                                            \
    }                                                                                            \
    /* mean and sum of squared deviations of a lane of several chunks; -1: no memory */          \
    static int long_lane_##tag(const T *x, int64_t n, int squares, int threads, double *mean, double *square) { \
        int64_t chunks = (n + CHUNK - 1) / CHUNK;                                                \
        Part *part = malloc(sizeof *part * (size_t)chunks);                                      \
        if (!part) return -1;                                                                    \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))          \
        for (int64_t c = 0; c < chunks; c++) {                                                   \
            int64_t m = n - c * CHUNK < CHUNK ? n - c * CHUNK : CHUNK;                           \
            part[c].mean = sum_##tag(x + c * CHUNK, m) / (double)m;                              \
            part[c].square = squares ? square_##tag(x + c * CHUNK, m, part[c].mean) : 0;         \
        }                                                                                        \
        double have = CHUNK, s = part[0].mean, q = part[0].square;                               \
        for (int64_t c = 1; c < chunks; c++) {                                                   \
            double m = (double)(n - c * CHUNK < CHUNK ? n - c * CHUNK : CHUNK), d = part[c].mean - s; \
            q += part[c].square + d * d * have * m / (have + m);                                 \
            have += m;                                                                           \
            s += d * m / have;                                                                   \
        }                                                                                        \
        free(part);                                                                              \
        *mean = s;                                                                               \
        *square = q;                                                                             \
        return 0;                                                                                \
    }                                                                                            \
    static void moments_##tag(const void *xv, RtLane s, double divisor, int take_sqrt, void *varv, void *meanv, int threads) { \
        const T *x_oli = xv; T *var_oi = varv; T *mean_oi = meanv;                               \
        if (s.inner == 1 && s.L >= 2 * CHUNK) {                                                  \
            for (int64_t o = 0; o < s.outer; o++) {                                              \
                double m, v;                                                                     \
                const T *x = x_oli + o * s.L;                                                    \
                if (long_lane_##tag(x, s.L, var_oi != NULL, threads, &m, &v)) {                  \
                    m = sum_##tag(x, s.L) / (double)s.L;                                         \
                    v = var_oi ? square_##tag(x, s.L, m) : 0;                                    \
                }                                                                                \
                if (mean_oi) mean_oi[o] = (T)m;                                                  \
                if (var_oi) var_oi[o] = (T)(take_sqrt ? sqrt(v / divisor) : v / divisor);        \
            }                                                                                    \
            return;                                                                              \
        }                                                                                        \
        RT_LANE_FOR(s, threads, {                                                                \
            const T *x = x_oli + o * s.L * s.inner + i0;                                         \
            if (s.inner == 1) {                                                                  \
                double m = sum_##tag(x, s.L) / (double)s.L;                                      \
                if (mean_oi) mean_oi[o] = (T)m;                                                  \
                if (var_oi) {                                                                    \
                    double v = square_##tag(x, s.L, m) / divisor;                                \
                    var_oi[o] = (T)(take_sqrt ? sqrt(v) : v);                                    \
                }                                                                                \
            } else {                                                                             \
                double m[RT_LANE_BLOCK]; double q[RT_LANE_BLOCK]; double e[RT_LANE_BLOCK];       \
                int64_t w = i1 - i0;                                                             \
                for (int64_t i = 0; i < w; i++) m[i] = q[i] = e[i] = 0;                          \
                for (int64_t l = 0; l < s.L; l++)                                                \
                    for (int64_t i = 0; i < w; i++) m[i] += (double)x[l * s.inner + i];          \
                for (int64_t i = 0; i < w; i++) m[i] /= (double)s.L;                             \
                if (mean_oi) for (int64_t i = 0; i < w; i++) mean_oi[o * s.inner + i0 + i] = (T)m[i]; \
                if (var_oi) {                                                                    \
                    for (int64_t l = 0; l < s.L; l++)                                            \
                        for (int64_t i = 0; i < w; i++) {                                        \
                            double d = (double)x[l * s.inner + i] - m[i];                        \
                            q[i] += d * d; e[i] += d;                                            \
                        }                                                                        \
                    for (int64_t i = 0; i < w; i++) {                                            \
                        double v = (q[i] - e[i] * e[i] / (double)s.L) / divisor;                 \
                        var_oi[o * s.inner + i0 + i] = (T)(take_sqrt ? sqrt(v) : v);             \
                    }                                                                            \
                }                                                                                \
            }                                                                                    \
        });                                                                                      \
    }

BODY(f32, float)
BODY(f64, double)

const RtStatsTable RT_NAME(rt_stats_table) = {.moments = {[RT_F32] = moments_f32, [RT_F64] = moments_f64}};
