/* Kernels that move or mix positions: weighted taps along a dimension, windows to columns and back,
 * connectionist temporal classification. */
#ifndef RUSTORCH_RESAMPLE_H
#define RUSTORCH_RESAMPLE_H
#include "rustorch/loops.h"

typedef struct {
    int64_t channels, in[2], out[2], kernel[2], stride[2], pad[2], dilation[2];
} RtWindows;

#define RT_RESAMPLE_FIELDS(T, t)                                                                                  \
    /* y[o,i,s] = sum_k w[i,k] * x[o, idx[i,k], s] over `taps` taps; idx < 0 reads 0; w may be NULL (ones) */     \
    void (*taps_##t)(const T *x, int64_t outer, int64_t n, int64_t inner, int64_t m, int64_t taps,                \
                     const int64_t *idx, const T *w, T *y, int threads);                                          \
    /* its transpose: gx[o, idx[i,k], s] += w[i,k] * g[o,i,s], in the order of i */                               \
    void (*taps_d0_##t)(const T *g, int64_t outer, int64_t n, int64_t inner, int64_t m, int64_t taps,             \
                        const int64_t *idx, const T *w, T *gx, int threads);                                      \
    /* (batch, channels, H, W) -> (batch, channels * kernel, windows), and the sum back */                        \
    void (*columns_##t)(const RtWindows *, int64_t batch, const T *x, T *col, int threads);                       \
    void (*columns_d0_##t)(const RtWindows *, int64_t batch, const T *col, T *x, int threads);                    \
    /* loss[n] of sample n from lp (frames, batch, classes); alpha (batch, frames, width) is kept for the gradient; \
     * labels (batch, max_labels) */                                                                              \
    void (*ctc_##t)(const T *lp, int64_t frames, int64_t batch, int64_t classes, const int64_t *labels,           \
                    int64_t max_labels, const int64_t *frame_count, const int64_t *label_count, int64_t blank,    \
                    T *alpha, T *loss, int threads);                                                              \
    /* g[n]: gradient of each loss; zero_infinity: infinite losses give zeros */                                  \
    void (*ctc_d0_##t)(const T *lp, int64_t frames, int64_t batch, int64_t classes, const int64_t *labels,        \
                       int64_t max_labels, const int64_t *frame_count, const int64_t *label_count, int64_t blank, \
                       const T *alpha, const T *loss, const T *g, int zero_infinity, T *gx, int threads);

typedef struct { RT_RESAMPLE_FIELDS(float, f32) RT_RESAMPLE_FIELDS(double, f64) } RtResampleTable;
extern const RtResampleTable rt_resample_table_base;
#if defined(__x86_64__)
extern const RtResampleTable rt_resample_table_avx2, rt_resample_table_avx512;
#endif
#endif
