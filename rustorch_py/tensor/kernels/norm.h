/* Normalisation kernels. Letters: n image, c channel, s position in the plane, r row, i element
 * of a row. w and b (weights, biases) may be NULL. Sums run in the element type over stretches
 * of 4096 and in double over stretches; 16-bit floats are widened to float32 (T) piece by piece,
 * and their statistics, weights and gradients of weights are float32. */
#ifndef RUSTORCH_NORM_H
#define RUSTORCH_NORM_H
#include "rustorch/loops.h"

#define RT_NORM_FIELDS(E, T, t)                                                                               \
    /* mean and biased variance of x_ncs for each channel */                                               \
    void (*channel_stats_##t)(const E *x_ncs, int64_t N, int64_t C, int64_t S, T *mean, T *var, int threads); \
    /* y = (x - mean) * rstd * w + b; mean, rstd for each channel */                                       \
    void (*channel_apply_##t)(const E *x_ncs, int64_t N, int64_t C, int64_t S, const T *mean, const T *rstd, \
                              const T *w, const T *b, E *y, int threads);                                  \
    /* gradients of the above; `stats`: mean and rstd came from x. Outputs may be NULL */                  \
    void (*channel_d0_##t)(const E *x_ncs, const E *g_ncs, int64_t N, int64_t C, int64_t S, const T *mean, \
                           const T *rstd, const T *w, int stats, E *gx, T *gw, T *gb, int threads);        \
    /* rows of n elements; w, b of n elements. rms: mean is taken as 0. Writes mean and rstd of each row */ \
    void (*row_##t)(const E *x_ri, int64_t R, int64_t n, const T *w, const T *b, double eps, int rms, E *y, \
                    T *mean, T *rstd, int threads);                                                        \
    void (*row_d0_##t)(const E *x_ri, const E *g_ri, int64_t R, int64_t n, const T *w, const T *mean,      \
                       const T *rstd, int rms, E *gx, T *gw, T *gb, int threads);                          \
    /* x (N, G*C, S): rows are (image, group) of C channels; w, b of G*C elements */                       \
    void (*group_##t)(const E *x, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *b, double eps, \
                      E *y, T *mean, T *rstd, int threads);                                                \
    void (*group_d0_##t)(const E *x, const E *g, int64_t N, int64_t G, int64_t C, int64_t S, const T *w,   \
                         const T *mean, const T *rstd, E *gx, T *gw, T *gb, int threads);                  \
    /* the same of x (N, S, G*C); sums: room for 2*N*G*C numbers */                                        \
    void (*group_last_##t)(const E *x, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *b, double eps, \
                           E *y, T *mean, T *rstd, double *sums, int threads);                             \
    void (*group_last_d0_##t)(const E *x, const E *g, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, \
                              const T *mean, const T *rstd, E *gx, T *gw, T *gb, double *sums, int threads);

typedef struct { RT_NORM_FIELDS(float, float, f32) RT_NORM_FIELDS(double, double, f64) RT_NORM_FIELDS(rt_f16, float, f16) RT_NORM_FIELDS(rt_bf16, float, bf16) } RtNormTable;

extern const RtNormTable rt_norm_table_base;
#if defined(__x86_64__)
extern const RtNormTable rt_norm_table_avx2, rt_norm_table_avx512;
#endif
#endif
