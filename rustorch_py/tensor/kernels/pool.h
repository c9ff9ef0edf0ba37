/* Pooling kernels over planes (batch and channels flattened) of up to three spatial dimensions;
 * missing ones are leading sizes of 1. Letters: p plane, s position in the input plane, t in the
 * output grid. */
#ifndef RUSTORCH_POOL_H
#define RUSTORCH_POOL_H
#include "rustorch/half.h"
#include "rustorch/loops.h"

/* Windows are products of ranges: output position t of dimension d reads lo[d][t] <= i < hi[d][t]
 * in steps of dilation[d]. Borrowed tables. */
typedef struct {
    int64_t planes, in[3], out[3], dilation[3];
    int64_t stride[3];                 /* 0 when windows are not evenly spaced (adaptive) */
    int64_t kernel[3], pad[3];         /* of evenly spaced windows */
    const int64_t *lo[3], *hi[3];
    const int64_t *size[3];            /* averages: divisor of t is the product of these ... */
    double divisor;                    /* ... unless this is not 0 */
} RtPool;

/* Whether the one window is all of a plane. */
static inline int rt_pool_whole(const RtPool *p) {
    int whole = 1;
    for (int d = 0; d < 3; d++) whole &= p->out[d] == 1 && p->lo[d][0] == 0 && p->hi[d][0] == p->in[d] && p->dilation[d] == 1;
    return whole;
}

/* max: idx is the position in the input plane that holds the maximum (first one; the last NaN). */
typedef struct {
    void (*max_f32)(const RtPool *, const float *x, float *y, int64_t *idx, int threads);
    void (*max_f64)(const RtPool *, const double *x, double *y, int64_t *idx, int threads);
    void (*max_i64)(const RtPool *, const int64_t *x, int64_t *y, int64_t *idx, int threads);
    void (*tops_f32)(const RtPool *, const float *x, float *y, int threads);          /* the maxima alone */
    void (*tops_f64)(const RtPool *, const double *x, double *y, int threads);
    void (*avg_f32)(const RtPool *, const float *x, float *y, int threads);
    void (*avg_f64)(const RtPool *, const double *x, double *y, int threads);
    void (*avg_d0_f32)(const RtPool *, const float *g, float *gx, int threads);
    void (*avg_d0_f64)(const RtPool *, const double *g, double *gx, int threads);
    /* gx[p, idx[p,t]] += g[p,t]; gx is zeroed first. add = 0: the last one wins (max_unpool).
     * Returns 0, or 1 + the first flat index position that is out of range. */
    int64_t (*scatter_f32)(int64_t planes, int64_t in, int64_t out, const int64_t *idx, const float *g, float *gx, int add, int threads);
    int64_t (*scatter_f64)(int64_t planes, int64_t in, int64_t out, const int64_t *idx, const double *g, double *gx, int add, int threads);
    void (*gather_f32)(int64_t planes, int64_t in, int64_t out, const int64_t *idx, const float *x, float *y, int threads);
    void (*gather_f64)(int64_t planes, int64_t in, int64_t out, const int64_t *idx, const double *x, double *y, int threads);
    /* arrays with their channels innermost; the RtPool's planes are not read; idx may be NULL */
    void (*max_last_f32)(const RtPool *, int64_t images, int64_t channels, const float *x, float *y, int64_t *idx, int threads);
    void (*max_last_f64)(const RtPool *, int64_t images, int64_t channels, const double *x, double *y, int64_t *idx, int threads);
    void (*avg_last_f32)(const RtPool *, int64_t images, int64_t channels, const float *x, float *y, int threads);
    void (*avg_last_f64)(const RtPool *, int64_t images, int64_t channels, const double *x, double *y, int threads);
    void (*avg_last_d0_f32)(const RtPool *, int64_t images, int64_t channels, const float *g, float *gx, int threads);
    void (*avg_last_d0_f64)(const RtPool *, int64_t images, int64_t channels, const double *g, double *gx, int threads);
    int64_t (*scatter_last_f32)(int64_t images, int64_t channels, int64_t in, int64_t out, const int64_t *idx, const float *g, float *gx, int threads);
    int64_t (*scatter_last_f64)(int64_t images, int64_t channels, int64_t in, int64_t out, const int64_t *idx, const double *g, double *gx, int threads);
    void (*gather_last_f32)(int64_t images, int64_t channels, int64_t in, int64_t out, const int64_t *idx, const float *x, float *y, int threads);
    void (*gather_last_f64)(int64_t images, int64_t channels, int64_t in, int64_t out, const int64_t *idx, const double *x, double *y, int threads);
    /* bfloat16 as it lies, sums in float32; planes of fewer than 2^31 elements; idx may be NULL. whole: the window is all of a plane */
    void (*max_last_bf16)(const RtPool *, int64_t images, int64_t channels, const rt_bf16 *x, rt_bf16 *y, int64_t *idx, int threads);
    void (*avg_last_bf16)(const RtPool *, int64_t images, int64_t channels, const rt_bf16 *x, rt_bf16 *y, int threads);
    void (*avg_whole_bf16)(const RtPool *, const rt_bf16 *x, rt_bf16 *y, int threads);
} RtPoolTable;

extern const RtPoolTable rt_pool_table_base;
#if defined(__x86_64__)
extern const RtPoolTable rt_pool_table_avx2, rt_pool_table_avx512;
#endif
#endif
