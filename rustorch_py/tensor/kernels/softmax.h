/* Softmax family over (outer, n, inner): letters o, i (class), s. */
#ifndef RUSTORCH_SOFTMAX_H
#define RUSTORCH_SOFTMAX_H
#include "rustorch/loops.h"

/* Class-index losses over x_ois. target (outer, inner); w of n elements or NULL. `logs`: x holds log-probabilities
 * already (nll_loss), else lse (outer, inner) is written by forward and read by the gradient.
 * loss (outer, inner) is the weighted loss, 0 where ignored; *total the sum of the weights used.
 * smooth: label smoothing. Returns 0, or 1 + position of a target outside [0, n). */
#define RT_SOFTMAX_FIELDS(T, t)                                                                                   \
    void (*softmax_##t)(const T *x, int64_t outer, int64_t n, int64_t inner, int logs, T *y, int threads);        \
    void (*softmax_d0_##t)(const T *g, const T *y, int64_t outer, int64_t n, int64_t inner, int logs, T *gx, int threads); \
    void (*logsumexp_##t)(const T *x, int64_t outer, int64_t n, int64_t inner, T *y, int threads);                \
    int64_t (*class_loss_##t)(const T *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const T *w, \
                              int64_t ignore, double smooth, int logs, T *lse, T *loss, double *total, int threads); \
    /* g: gradient of each loss, g_step 0 or 1 */                                                                 \
    void (*class_loss_d0_##t)(const T *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const T *w, \
                              int64_t ignore, double smooth, int logs, const T *lse, const T *g, int64_t g_step,  \
                              double scale, T *gx, int threads);

/* 16-bit floats: computed in float32. room: 2 * rt_softmax_piece numbers for each thread */
#define RT_SOFTMAX_HALF_FIELDS(E, t)                                                                              \
    void (*softmax_##t)(const E *x, int64_t outer, int64_t n, int64_t inner, int logs, E *y, float *room, int threads); \
    void (*softmax_d0_##t)(const E *g, const E *y, int64_t outer, int64_t n, int64_t inner, int logs, E *gx, float *room, int threads); \
    /* class_loss of log-probabilities: losses and gradients of losses are float32 */                             \
    int64_t (*pick_loss_##t)(const E *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const float *w, int64_t ignore, \
                             float *loss, double *total);                                                         \
    void (*pick_loss_d0_##t)(int64_t outer, int64_t n, int64_t inner, const int64_t *target, const float *w, int64_t ignore, const float *g, \
                             int64_t g_step, double scale, E *gx, int threads);

/* how many elements are widened at a time: rows that fit the nearest cache (one at least), or a block of columns, at least two lines of memory wide
 * and wider where there are few classes: runs far apart are found sooner if they are long */
enum { RT_HALF_ROWS = 2048 };
static inline int64_t rt_half_columns(int64_t n) { return n >= 128 ? 64 : n >= 32 ? 128 : 256; }
static inline int64_t rt_softmax_piece(int64_t n, int64_t inner) {
    return inner > 1 ? n * rt_half_columns(n) : n > RT_HALF_ROWS ? n : RT_HALF_ROWS;
}

typedef struct {
    RT_SOFTMAX_FIELDS(float, f32) RT_SOFTMAX_FIELDS(double, f64)
    RT_SOFTMAX_HALF_FIELDS(rt_f16, f16) RT_SOFTMAX_HALF_FIELDS(rt_bf16, bf16)
} RtSoftmaxTable;

extern const RtSoftmaxTable rt_softmax_table_base;
#if defined(__x86_64__)
extern const RtSoftmaxTable rt_softmax_table_avx2, rt_softmax_table_avx512;
#endif
#endif
