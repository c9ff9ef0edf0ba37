/* Pooling. Maxima walk the taps outside and a row of outputs inside, so that the row is vector
 * code; averages add the window's rows first and then along the row (pool_t.h). Windows of the last dimension alone and uneven ones go along lines (pool_lines_t.h). */
#include <stdlib.h>
#include <math.h>
#include "pool.h"
#include "pool_vec.h"
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
}
#define FLOAT_NAN(v) (v != v)
#define INT_NAN(v) 0
MAX_BODY(float, f32, -INFINITY, FLOAT_NAN)
MAX_BODY(double, f64, -(double)INFINITY, FLOAT_NAN)
MAX_BODY(int64_t, i64, INT64_MIN, INT_NAN)

#define FLOAT_BODY(T, t)                                                                                \
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

#define T float
#define V rt_vf
#define VF(x) rt_vf_##x
#define LANES RT_LANES_F32
#define SUF(x) x##_f32
#define PLACES rt_vf_mask
#include "pool_lines_t.h"
#include "pool_t.h"
#undef T
#undef V
#undef VF
#undef LANES
#undef SUF
#undef PLACES
#define T double
#define V rt_vd
#define VF(x) rt_vd_##x
#define LANES RT_LANES_F64
#define SUF(x) x##_f64
#define PLACES rt_vd_mask
#include "pool_lines_t.h"
#include "pool_t.h"

#include "pool_last16.h"

/* LINES: of the loops along lines, for floats: what to do with a plane instead, and the room it takes. */
#define MAX_PLANES(T, t, PAIRS, PLACE, LINES)                                                           \
static void max_##t(const RtPool *p, const T *x, T *y, int64_t *idx, int threads) {                     \
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2];               \
    int small = in < INT32_MAX, even = p->stride[0] && p->stride[1] && p->stride[2] && small;           \
    int whole = LINES && rt_pool_whole(p), close = p->dilation[0] == 1 && p->dilation[1] == 1 && p->dilation[2] == 1; \
    /* the loops over taps find nothing side by side where windows are four or more apart */            \
    int lines = LINES && small && !whole && close && (!even || p->stride[2] >= 4);                    \
    size_t row = ((size_t)p->in[2] + 64) * sizeof(T);                                                   \
    threads = few((double)p->planes * (in + out), threads, p->planes);                                  \
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {                                        \
        char *room = lines ? malloc(2 * row) : NULL;                                                    \
        RT_OMP(omp for schedule(static))                                                                \
        for (int64_t q = 0; q < p->planes; q++) {                                                       \
            const T *xq = x + q * in;                                                                   \
            if (whole) { idx[q] = PLACE(xq, in); y[q] = xq[idx[q]]; }                                   \
            else if (room) max_lines_##t(p, xq, y + q * out, idx + q * out, (T *)room, (void *)(room + row)); \
            else if (even && PAIRS(p, xq, y + q * out, idx + q * out)) continue;                        \
            else if (even) max_even_##t(p, xq, y + q * out, idx + q * out);                             \
            else max_any_##t(p, xq, y + q * out, idx + q * out);                                        \
        }                                                                                               \
        free(room);                                                                                     \
    }                                                                                                   \
}
#define NO_PAIRS(p, x, y, idx) 0
MAX_PLANES(float, f32, max_pairs_f32, line_top_f32, 1)
MAX_PLANES(double, f64, max_pairs_f64, line_top_f64, 1)
#define NO_PLACE(x, n) 0
#define max_lines_i64(p, x, y, idx, high, at) (void)(p)
MAX_PLANES(int64_t, i64, NO_PAIRS, NO_PLACE, 0)

const RtPoolTable RT_NAME(rt_pool_table) = {
    max_f32, max_f64, max_i64, tops_f32, tops_f64, avg_f32, avg_f64, avg_d0_f32, avg_d0_f64, scatter_f32, scatter_f64, gather_f32, gather_f64,
    max_last_f32, max_last_f64, avg_last_f32, avg_last_f64, avg_last_d0_f32, avg_last_d0_f64,
    scatter_last_f32, scatter_last_f64, gather_last_f32, gather_last_f64,
    max_last_bf16, avg_last_bf16, avg_whole_bf16,
};
