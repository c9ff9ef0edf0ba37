/* Pooling. Maxima walk the taps outside and a row of outputs inside, so that the row is vector
 * code; averages add the window's rows first and then along the row. */
#include <stdlib.h>
#include <math.h>
#include "pool.h"
#include "vec.h"
#include "grain.h"

#define ROW_MAX 512      /* outputs of a row handled at a time */

/* see Note [Grain]; work counts elements read or written */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, 32768, threads, tasks); }

#define MAX_BODY(T, t, LOWEST, ISNAN)                                                                   \
static void max_even_##t(const RtPool *p, const T *x, T *y, int64_t *idx) {                             \
    T best[ROW_MAX]; int32_t at[ROW_MAX];                                                               \
    int64_t W = p->in[2], s = p->stride[2], d = p->dilation[2];                                         \
    for (int64_t a = 0; a < p->out[0]; a++)                                                             \
    for (int64_t b = 0; b < p->out[1]; b++)                                                             \
    for (int64_t c0 = 0; c0 < p->out[2]; c0 += ROW_MAX) {                                               \
        int64_t n = p->out[2] - c0 < ROW_MAX ? p->out[2] - c0 : ROW_MAX;                                \
        int64_t first = (p->lo[0][a] * p->in[1] + p->lo[1][b]) * W;                                     \
        for (int64_t i = 0; i < n; i++) { best[i] = LOWEST; at[i] = (int32_t)(first + p->lo[2][c0 + i]); } \
        for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z += p->dilation[0])                             \
        for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r += p->dilation[1]) {                           \
            const T *row = x + (z * p->in[1] + r) * W;                                                  \
            int32_t base = (int32_t)((z * p->in[1] + r) * W);                                           \
            for (int64_t k = 0; k < p->kernel[2]; k++) {                                                \
                int64_t off = k * d - p->pad[2] + c0 * s, i0 = 0, i1 = n;                               \
                if (off < 0) i0 = (-off + s - 1) / s;                                                   \
                if (off + (n - 1) * s >= W) i1 = W > off ? (W - off + s - 1) / s : 0;                   \
                for (int64_t i = i0; i < i1; i++) {                                                     \
                    T v = row[off + i * s];                                                             \
                    int up = (v > best[i]) | ISNAN(v);                                                  \
                    best[i] = up ? v : best[i];                                                         \
                    at[i] = up ? base + (int32_t)(off + i * s) : at[i];                                 \
                }                                                                                       \
            }                                                                                           \
        }                                                                                               \
        int64_t o = (a * p->out[1] + b) * p->out[2] + c0;                                               \
        for (int64_t i = 0; i < n; i++) { y[o + i] = best[i]; idx[o + i] = at[i]; }                     \
    }                                                                                                   \
}                                                                                                       \
static void max_any_##t(const RtPool *p, const T *x, T *y, int64_t *idx) {                              \
    int64_t o = 0;                                                                                      \
    for (int64_t a = 0; a < p->out[0]; a++)                                                             \
    for (int64_t b = 0; b < p->out[1]; b++)                                                             \
    for (int64_t c = 0; c < p->out[2]; c++, o++) {                                                      \
        T best = LOWEST;                                                                                \
        int64_t at = (p->lo[0][a] * p->in[1] + p->lo[1][b]) * p->in[2] + p->lo[2][c];                   \
        for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z += p->dilation[0])                             \
        for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r += p->dilation[1])                             \
        for (int64_t w = p->lo[2][c]; w < p->hi[2][c]; w += p->dilation[2]) {                           \
            int64_t i = (z * p->in[1] + r) * p->in[2] + w;                                              \
            T v = x[i];                                                                                 \
            if ((v > best) | ISNAN(v)) { best = v; at = i; }                                            \
        }                                                                                               \
        y[o] = best; idx[o] = at;                                                                       \
    }                                                                                                   \
}                                                                                                       \
static void max_##t(const RtPool *p, const T *x, T *y, int64_t *idx, int threads) {                     \
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2];               \
    int even = p->stride[0] && p->stride[1] && p->stride[2] && in < INT32_MAX;                          \
    threads = few((double)p->planes * (in + out), threads, p->planes);                                  \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                     \
    for (int64_t q = 0; q < p->planes; q++) {                                                           \
        if (even) max_even_##t(p, x + q * in, y + q * out, idx + q * out);                              \
        else max_any_##t(p, x + q * in, y + q * out, idx + q * out);                                    \
    }                                                                                                   \
}
#define FLOAT_NAN(v) (v != v)
#define INT_NAN(v) 0
MAX_BODY(float, f32, -INFINITY, FLOAT_NAN)
MAX_BODY(double, f64, -(double)INFINITY, FLOAT_NAN)
MAX_BODY(int64_t, i64, INT64_MIN, INT_NAN)

#define FLOAT_BODY(T, t)                                                                                \
static void avg_##t(const RtPool *p, const T *x, T *y, int threads) {                                   \
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2], W = p->in[2]; \
    threads = few((double)p->planes * (in + out), threads, p->planes);                                  \
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {                                        \
        T small[ROW_MAX], *sum = W <= ROW_MAX ? small : malloc((size_t)W * sizeof(T));                  \
        RT_OMP(omp for schedule(static))                                                                \
        for (int64_t q = 0; q < p->planes; q++) {                                                       \
            const T *xq = x + q * in;                                                                   \
            T *yq = y + q * out;                                                                        \
            for (int64_t a = 0; a < p->out[0]; a++)                                                     \
            for (int64_t b = 0; b < p->out[1]; b++, yq += p->out[2]) {                                  \
                for (int64_t i = 0; i < W; i++) sum[i] = 0;                                             \
                for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z++)                                     \
                for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r++) {                                   \
                    const T *row = xq + (z * p->in[1] + r) * W;                                         \
                    for (int64_t i = 0; i < W; i++) sum[i] += row[i];                                   \
                }                                                                                       \
                T sizes = (T)(p->size[0][a] * p->size[1][b]);                                           \
                for (int64_t c = 0; c < p->out[2]; c++) {                                               \
                    T s = 0;                                                                            \
                    for (int64_t i = p->lo[2][c]; i < p->hi[2][c]; i++) s += sum[i];                    \
                    yq[c] = s / (p->divisor != 0 ? (T)p->divisor : sizes * (T)p->size[2][c]);           \
                }                                                                                       \
            }                                                                                           \
        }                                                                                               \
        if (sum != small) free(sum);                                                                    \
    }                                                                                                   \
}                                                                                                       \
static void avg_d0_##t(const RtPool *p, const T *g, T *gx, int threads) {                               \
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2], W = p->in[2]; \
    threads = few((double)p->planes * (in + out), threads, p->planes);                                  \
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {                                        \
        T small[ROW_MAX], *sum = W <= ROW_MAX ? small : malloc((size_t)W * sizeof(T));                  \
        RT_OMP(omp for schedule(static))                                                                \
        for (int64_t q = 0; q < p->planes; q++) {                                                       \
            const T *gq = g + q * out;                                                                  \
            T *xq = gx + q * in;                                                                        \
            memset(xq, 0, (size_t)in * sizeof(T));                                                      \
            for (int64_t a = 0; a < p->out[0]; a++)                                                     \
            for (int64_t b = 0; b < p->out[1]; b++, gq += p->out[2]) {                                  \
                T sizes = (T)(p->size[0][a] * p->size[1][b]);                                           \
                for (int64_t i = 0; i < W; i++) sum[i] = 0;                                             \
                for (int64_t c = 0; c < p->out[2]; c++) {                                               \
                    T v = gq[c] / (p->divisor != 0 ? (T)p->divisor : sizes * (T)p->size[2][c]);         \
                    for (int64_t i = p->lo[2][c]; i < p->hi[2][c]; i++) sum[i] += v;                    \
                }                                                                                       \
                for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z++)                                     \
                for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r++) {                                   \
                    T *row = xq + (z * p->in[1] + r) * W;                                               \
                    for (int64_t i = 0; i < W; i++) row[i] += sum[i];                                   \
                }                                                                                       \
            }                                                                                           \
        }                                                                                               \
        if (sum != small) free(sum);                                                                    \
    }                                                                                                   \
}                                                                                                       \
static int64_t scatter_##t(int64_t planes, int64_t in, int64_t out, const int64_t *idx, const T *g, T *gx, int add, int threads) { \
    int64_t bad = 0;                                                                                    \
    threads = few((double)planes * (in + out), threads, planes);                                        \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                     \
    for (int64_t q = 0; q < planes; q++) {                                                              \
        T *x = gx + q * in;                                                                             \
        memset(x, 0, (size_t)in * sizeof(T));                                                           \
        for (int64_t i = q * out; i < (q + 1) * out; i++) {                                             \
            if ((uint64_t)idx[i] >= (uint64_t)in) {                                                     \
                RT_OMP(omp atomic write)                                                                \
                bad = i + 1;                                                                            \
                break;                                                                                  \
            }                                                                                           \
            if (add) x[idx[i]] += g[i]; else x[idx[i]] = g[i];                                          \
        }                                                                                               \
    }                                                                                                   \
    return bad;                                                                                         \
}                                                                                                       \
static void gather_##t(int64_t planes, int64_t in, int64_t out, const int64_t *idx, const T *x, T *y, int threads) { \
    threads = few((double)planes * (in + out), threads, planes);                                        \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                     \
    for (int64_t q = 0; q < planes; q++)                                                                \
        for (int64_t i = q * out; i < (q + 1) * out; i++) y[i] = x[q * in + idx[i]];                    \
}
FLOAT_BODY(float, f32)
FLOAT_BODY(double, f64)

const RtPoolTable RT_NAME(rt_pool_table) = {
    max_f32, max_f64, max_i64, avg_f32, avg_f64, avg_d0_f32, avg_d0_f64, scatter_f32, scatter_f64, gather_f32, gather_f64,
};
