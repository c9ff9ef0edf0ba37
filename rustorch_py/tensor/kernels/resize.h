/* Kernels that resize along up to three dimensions in one pass: every position of the result is a sum of a few of the source's. */
#ifndef RUSTORCH_RESIZE_H
#define RUSTORCH_RESIZE_H
#include "rustorch/half.h"
#include "rustorch/loops.h"

typedef struct {
    int64_t from, to;           /* positions of the source and of the result */
    int64_t fixed;              /* taps of every position, where all have as many: tap k of position i is number k * to + i; else 0 */
    const int32_t *first;       /* fixed == 0: taps of position i are the numbers first[i] to first[i + 1] */
    const int32_t *at;          /* the source's position of each tap */
    const float *f32;           /* weights; NULL: ones */
    const double *f64;
    int64_t doubled;            /* fixed == 1: position i reads i / 2; fixed == 2: 2 i and 2 i + 1 */
    /* fixed == 0: the same in tables of `padded` taps a position (1, 2; else 0), where what is not there has the weight 0 */
    int64_t padded;
    const int32_t *pad_at;
    const float *pad_f32;
    const double *pad_f64;
} RtAxis;

/* An axis of an image of bytes: position i of the result is the sum of w[i * step + k] times position first[i] + k of the source, for the
 * `taps` positions of its window, shifted; see Note [Bytes]. taps == 0: as it was. */
typedef struct {
    int64_t from, to, taps, step;       /* step: taps, and up to a multiple of 4, where the weights are 0 */
    int shift;
    const int32_t *first;               /* never falls */
    const int16_t *w;
} RtByteAxis;

enum { RT_GRID_ALIGNED = 1, RT_GRID_BORDER = 2, RT_GRID_NEAR = 4, RT_GRID_REFLECT = 8, RT_GRID_CUBIC = 16, RT_GRID_LAST = 32 };      /* -1 and 1 are the centres of the corner pixels; the border goes on outside; channels innermost */

/* x: (outer, a[0].from, a[1].from, a[2].from, inner); y: the same with `to` */
typedef struct {
    void (*mix_f32)(const RtAxis *a, int64_t outer, int64_t inner, const float *x, float *y, int threads);
    void (*mix_f64)(const RtAxis *a, int64_t outer, int64_t inner, const double *x, double *y, int threads);
    void (*mix_bf16)(const RtAxis *a, int64_t outer, int64_t inner, const rt_bf16 *x, rt_bf16 *y, int threads);
    void (*mix_f16)(const RtAxis *a, int64_t outer, int64_t inner, const rt_f16 *x, rt_f16 *y, int threads);
    /* one tap without a weight everywhere: elements of `size` bytes (1, 2, 4, 8) are copied */
    void (*pick)(const RtAxis *a, int64_t outer, int64_t inner, int64_t size, const void *x, void *y, int threads);
    /* x: (outer, a[0].from, a[1].from, inner) */
    void (*bytes)(const RtByteAxis *a, int64_t outer, int64_t inner, const uint8_t *x, uint8_t *y, int threads);
    /* how: RT_GRID_... */
#define RT_GRID_FIELDS(T, t)                                                                                          \
    void (*grid##t)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, int how, T *y, int threads);
    RT_GRID_FIELDS(float, _f32) RT_GRID_FIELDS(double, _f64)
#undef RT_GRID_FIELDS
    void (*grid_d0_f32)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const float *x, const float *grid, const float *g,
                        int how, float *gx, float *gg, int threads);
    void (*grid_d0_f64)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const double *x, const double *grid, const double *g,
                        int how, double *gx, double *gg, int threads);
} RtResizeTable;
extern const RtResizeTable rt_resize_table_base;
#if defined(__x86_64__)
extern const RtResizeTable rt_resize_table_avx2, rt_resize_table_avx512;
#endif
#endif
