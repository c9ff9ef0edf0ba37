#include <string.h>
#include "embedding.h"
#include "move.h"
#include "grain.h"
#include "vec.h"
#include "half_lines.h"

/* see Note [Grain]; work counts bytes or elements */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, 131072, threads, tasks); }

static int64_t gather_rows(const char *table, int64_t rows, int64_t row_bytes, const int64_t *idx, int64_t n, char *out, int threads) {
    for (int64_t i = 0; i < n; i++) if ((uint64_t)idx[i] >= (uint64_t)rows) return i + 1;
    threads = few((double)n * row_bytes, threads, n);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < n; i++) rt_copy_bytes(out + i * row_bytes, table + idx[i] * row_bytes, (size_t)row_bytes);
    return 0;
}

#define BODY(T, t)                                                                                              \
static void add_rows_##t(const T *g, const int64_t *idx, int64_t n, int64_t rows, int64_t width, int64_t skip,  \
                         const T *scale, T *gw, int threads) {                                                  \
    threads = few((double)n * width, threads, rows);                                                            \
    /* each thread owns a range of rows and walks all indices */                                                \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                             \
    for (int part = 0; part < threads; part++) {                                                                \
        int64_t r0 = rows * part / threads, r1 = rows * (part + 1) / threads;                                   \
        memset(gw + r0 * width, 0, (size_t)((r1 - r0) * width) * sizeof(T));                                    \
        for (int64_t i = 0; i < n; i++) {                                                                       \
            int64_t r = idx[i];                                                                                 \
            if (r < r0 || r >= r1 || r == skip) continue;                                                       \
            const T *src = g + i * width;                                                                       \
            T *dst = gw + r * width;                                                                            \
            if (scale) { T k = scale[i]; for (int64_t j = 0; j < width; j++) dst[j] += src[j] * k; }            \
            else for (int64_t j = 0; j < width; j++) dst[j] += src[j];                                          \
        }                                                                                                       \
    }                                                                                                           \
}
BODY(float, f32)
BODY(double, f64)

/* Bags. E: what a table holds, T: what it is summed in, GET(b, p, m): m elements at p as T, in b or where they are, PUT(d, b, m): the way back.
 * Rows [lo, hi) of a bag summed, a block of columns at a time, which stays in registers; the rows that come next are asked for early.
 * Returns how many there were. */
#define BAGS(E, T, t, VT, V, LANES, GET, PUT)                                                                   \
RT_INLINE int64_t sum_bag_##t(const E *table, const int64_t *idx, int64_t lo, int64_t hi, int64_t n, int64_t width, int64_t skip, \
                              const T *scale, int mean, E *dst) {                                               \
    enum { W = 256 / sizeof(T), AHEAD = 8 };                                                                    \
    int64_t used = 0, j = 0;                                                                                    \
    for (int64_t i = lo; i < hi; i++) used += idx[i] != skip;                                                   \
    const T over = (T)(used ? used : 1);                                                                        \
    T room[W], sum[W];                                                                                          \
    for (; j + W <= width; j += W) {                                                                            \
        VT v[W / LANES] = {{0}};                                                                                \
        for (int64_t i = lo; i < hi; i++) {                                                                     \
            if (idx[i] == skip) continue;                                                                       \
            if (i + AHEAD < n) {                                                                                \
                const char *next = (const char *)(table + idx[i + AHEAD] * width + j);                          \
                for (size_t b = 0; b < W * sizeof(E); b += 64) __builtin_prefetch(next + b);                    \
            }                                                                                                   \
            const T *src = GET(room, table + idx[i] * width + j, W);                                            \
            if (scale) for (int c = 0; c < W / LANES; c++) v[c] += V(load)(src + c * LANES) * V(set)(scale[i]); \
            else for (int c = 0; c < W / LANES; c++) v[c] += V(load)(src + c * LANES);                          \
        }                                                                                                       \
        for (int c = 0; c < W / LANES; c++) V(store)(sum + c * LANES, mean ? v[c] / V(set)(over) : v[c]);       \
        PUT(dst + j, sum, W);                                                                                   \
    }                                                                                                           \
    if (j < width) {                                                                                            \
        int64_t rest = width - j;                                                                               \
        for (int64_t c = 0; c < rest; c++) sum[c] = 0;                                                          \
        for (int64_t i = lo; i < hi; i++) {                                                                     \
            if (idx[i] == skip) continue;                                                                       \
            const T *src = GET(room, table + idx[i] * width + j, rest), k = scale ? scale[i] : 1;               \
            for (int64_t c = 0; c < rest; c++) sum[c] += src[c] * k;                                            \
        }                                                                                                       \
        if (mean) for (int64_t c = 0; c < rest; c++) sum[c] /= over;                                            \
        PUT(dst + j, sum, rest);                                                                                \
    }                                                                                                           \
    return used;                                                                                                \
}                                                                                                               \
static int64_t sum_plain_##t(const E *table, const int64_t *idx, int64_t lo, int64_t hi, int64_t n, int64_t width, int64_t skip, int mean, E *dst) { \
    return skip < 0 ? sum_bag_##t(table, idx, lo, hi, n, width, -1, NULL, mean, dst) : sum_bag_##t(table, idx, lo, hi, n, width, skip, NULL, mean, dst); \
}                                                                                                               \
static int64_t sum_scaled_##t(const E *table, const int64_t *idx, int64_t lo, int64_t hi, int64_t n, int64_t width, int64_t skip, const T *scale, E *dst) { \
    return sum_bag_##t(table, idx, lo, hi, n, width, skip, scale, 0, dst);                                      \
}                                                                                                               \
/* The largest of each column: a piece of it is kept in `top` */                                                \
static int64_t max_bag_##t(const E *table, const int64_t *idx, int64_t lo, int64_t hi, int64_t width, int64_t skip, E *dst, int64_t *at) { \
    enum { W = 256 / sizeof(T) };                                                                               \
    int64_t used = 0;                                                                                           \
    for (int64_t j = 0; j < width; j += W) {                                                                    \
        int64_t m = width - j < W ? width - j : W;                                                              \
        T top[W] = {0}, room[W];                                                                                \
        used = 0;                                                                                               \
        for (int64_t c = 0; c < m; c++) at[j + c] = -1;                                                         \
        for (int64_t i = lo; i < hi; i++) {                                                                     \
            if (idx[i] == skip) continue;                                                                       \
            const T *src = GET(room, table + idx[i] * width + j, m);                                            \
            for (int64_t c = 0; c < m; c++) {                                                                   \
                int more = !used | (src[c] > top[c]) | (src[c] != src[c]);                                      \
                top[c] = more ? src[c] : top[c];                                                                \
                at[j + c] = more ? i : at[j + c];                                                               \
            }                                                                                                   \
            used++;                                                                                             \
        }                                                                                                       \
        PUT(dst + j, top, m);                                                                                   \
    }                                                                                                           \
    return used;                                                                                                \
}                                                                                                               \
static void bag_##t(const E *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width, \
                    int mode, int64_t skip, const T *scale, E *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads) { \
    threads = few((double)n * width, threads, bags);                                                            \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                             \
    for (int64_t b = 0; b < bags; b++) {                                                                        \
        int64_t lo = offsets[b], hi = b + 1 < bags ? offsets[b + 1] : n;                                        \
        E *dst = out + b * width;                                                                               \
        for (int64_t i = lo; i < hi; i++) bag_of[i] = b;                                                        \
        if (mode == 2) count[b] = max_bag_##t(table, idx, lo, hi, width, skip, dst, at + b * width);            \
        else if (scale) count[b] = sum_scaled_##t(table, idx, lo, hi, n, width, skip, scale, dst);              \
        else count[b] = sum_plain_##t(table, idx, lo, hi, n, width, skip, mode == 1, dst);                      \
    }                                                                                                           \
}
RT_INLINE const float *widened_f16(float *b, const rt_f16 *p, int64_t m) { widen_run_f16(b, p, m); return b; }
RT_INLINE const float *widened_bf16(float *b, const rt_bf16 *p, int64_t m) { widen_run_bf16(b, p, m); return b; }
#define AS_IT_LIES(b, p, m) ((void)(b), (p))
#define COPIED(d, b, m) memcpy(d, b, (size_t)(m) * sizeof *(b))
#define VF(x) rt_vf_##x
#define VD(x) rt_vd_##x
BAGS(float, float, f32, rt_vf, VF, RT_LANES_F32, AS_IT_LIES, COPIED)
BAGS(double, double, f64, rt_vd, VD, RT_LANES_F64, AS_IT_LIES, COPIED)
BAGS(rt_f16, float, f16, rt_vf, VF, RT_LANES_F32, widened_f16, narrow_run_f16)
BAGS(rt_bf16, float, bf16, rt_vf, VF, RT_LANES_F32, widened_bf16, narrow_run_bf16)
const RtEmbeddingTable RT_NAME(rt_embedding_table) = {gather_rows, add_rows_f32, add_rows_f64, bag_f32, bag_f64, bag_f16, bag_bf16};
