/* Rows of a table picked by index, and the transposed operation. */
#ifndef RUSTORCH_EMBEDDING_H
#define RUSTORCH_EMBEDDING_H
#include "rustorch/loops.h"
typedef struct {
    /* out[i] = table[idx[i]]; rows of row_bytes. Returns 0, or 1 + position of an index outside [0, rows) */
    int64_t (*gather_rows)(const char *table, int64_t rows, int64_t row_bytes, const int64_t *idx, int64_t n, char *out, int threads);
    /* gw[idx[i]] += scale[i] * g[i], in the order of i: deterministic. gw is zeroed first; idx equal to
     * `skip` is left out; scale may be NULL */
    void (*add_rows_f32)(const float *g, const int64_t *idx, int64_t n, int64_t rows, int64_t width, int64_t skip, const float *scale, float *gw, int threads);
    void (*add_rows_f64)(const double *g, const int64_t *idx, int64_t n, int64_t rows, int64_t width, int64_t skip, const double *scale, double *gw, int threads);
    /* bags: rows idx[lo..hi) of bag b between offsets[b] and offsets[b+1] (the last ends at n).
     * mode 0 sum, 1 mean, 2 max (writes the winning position of each element, -1 for empty bags).
     * scale: weight of each sample (sum only) or NULL; count: samples used in each bag; bag_of: the bag of each index */
    void (*bag_f32)(const float *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width, int mode, int64_t skip, const float *scale, float *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads);
    void (*bag_f64)(const double *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width, int mode, int64_t skip, const double *scale, double *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads);
    void (*bag_f16)(const rt_f16 *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width, int mode, int64_t skip, const float *scale, rt_f16 *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads);
    void (*bag_bf16)(const rt_bf16 *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width, int mode, int64_t skip, const float *scale, rt_bf16 *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads);
} RtEmbeddingTable;
extern const RtEmbeddingTable rt_embedding_table_base;
#if defined(__x86_64__)
extern const RtEmbeddingTable rt_embedding_table_avx2, rt_embedding_table_avx512;
#endif
#endif
