#include <string.h>
#include "embedding.h"
#include "move.h"
#include "grain.h"

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
}                                                                                                               \
/* Rows [lo, hi) of a bag summed, a block of columns at a time, which stays in registers; the rows that come next are asked for early.   \
 * Returns how many there were. */                                                                                \
static int64_t sum_bag_##t(const T *table, const int64_t *idx, int64_t lo, int64_t hi, int64_t n, int64_t width, int64_t skip,         \
                           const T *scale, T *dst) {                                                            \
    enum { W = 256 / sizeof(T), AHEAD = 8 };                                                                    \
    int64_t used = 0, j = 0;                                                                                    \
    for (int64_t i = lo; i < hi; i++) used += idx[i] != skip;                                                   \
    for (; j + W <= width; j += W) {                                                                            \
        T sum[W] = {0};                                                                                         \
        for (int64_t i = lo; i < hi; i++) {                                                                     \
            if (idx[i] == skip) continue;                                                                       \
            if (i + AHEAD < n) {                                                                                \
                const char *next = (const char *)(table + idx[i + AHEAD] * width + j);                          \
                for (int b = 0; b < 256; b += 64) __builtin_prefetch(next + b);                                 \
            }                                                                                                   \
            const T *src = table + idx[i] * width + j;                                                          \
            if (scale) { T k = scale[i]; for (int c = 0; c < W; c++) sum[c] += src[c] * k; }                    \
            else for (int c = 0; c < W; c++) sum[c] += src[c];                                                  \
        }                                                                                                       \
        memcpy(dst + j, sum, sizeof sum);                                                                       \
    }                                                                                                           \
    if (j < width) {                                                                                            \
        memset(dst + j, 0, (size_t)(width - j) * sizeof(T));                                                    \
        for (int64_t i = lo; i < hi; i++) {                                                                     \
            if (idx[i] == skip) continue;                                                                       \
            const T *src = table + idx[i] * width, k = scale ? scale[i] : 1;                                    \
            for (int64_t c = j; c < width; c++) dst[c] += src[c] * k;                                           \
        }                                                                                                       \
    }                                                                                                           \
    return used;                                                                                                \
}                                                                                                               \
static void bag_##t(const T *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width, \
                    int mode, int64_t skip, const T *scale, T *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads) { \
    threads = few((double)n * width, threads, bags);                                                            \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                             \
    for (int64_t b = 0; b < bags; b++) {                                                                        \
        int64_t lo = offsets[b], hi = b + 1 < bags ? offsets[b + 1] : n, used = 0;                              \
        T *dst = out + b * width;                                                                               \
        for (int64_t i = lo; i < hi; i++) bag_of[i] = b;                                                        \
        if (mode < 2) {                                                                                         \
            used = sum_bag_##t(table, idx, lo, hi, n, width, skip, scale, dst);                                 \
            if (mode == 1 && used) for (int64_t j = 0; j < width; j++) dst[j] /= (T)used;                       \
            count[b] = used;                                                                                    \
            continue;                                                                                           \
        }                                                                                                       \
        memset(dst, 0, (size_t)width * sizeof(T));                                                              \
        if (at) for (int64_t j = 0; j < width; j++) at[b * width + j] = -1;                                     \
        for (int64_t i = lo; i < hi; i++) {                                                                     \
            if (idx[i] == skip) continue;                                                                       \
            const T *src = table + idx[i] * width;                                                              \
            for (int64_t j = 0; j < width; j++)                                                                 \
                if (!used || src[j] > dst[j] || src[j] != src[j]) { dst[j] = src[j]; at[b * width + j] = i; }   \
            used++;                                                                                             \
        }                                                                                                       \
        count[b] = used;                                                                                        \
    }                                                                                                           \
}
BODY(float, f32)
BODY(double, f64)
const RtEmbeddingTable RT_NAME(rt_embedding_table) = {gather_rows, add_rows_f32, add_rows_f64, bag_f32, bag_f64};
