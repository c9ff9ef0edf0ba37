/* Losses of margins between classes, and where fractional pooling finds its maxima: margins_t.h for float32 and float64. */
#include <math.h>
#include <stdlib.h>
#include "margins.h"
#include "grain.h"

#define RT_FEW_CLASSES 256                     /* up to this many, a row's room is on the stack */
#define RT_MARGIN_GRAIN 20000                  /* pairs of classes a thread */

#define NAME(f) f##_f32
#define T float
#define INT int32_t                            /* as wide as T: the loop that counts keeps its lanes */
#include "margins_t.h"
#define NAME(f) f##_f64
#define T double
#define INT int64_t
#include "margins_t.h"

int rt_multi_margin(int wide, const void *x, const int64_t *y, const void *weight, int64_t n, int64_t c, int p, double margin, void *loss, void *slope,
                    int threads) {
    threads = rt_few((double)n * c, RT_MARGIN_GRAIN, threads, n);
    return wide ? multi_f64(x, y, weight, n, c, p, margin, loss, slope, threads) : multi_f32(x, y, weight, n, c, p, (float)margin, loss, slope, threads);
}

int rt_multilabel_margin(int wide, const void *x, const int64_t *y, int64_t n, int64_t c, void *loss, void *slope, int threads) {
    int64_t listed = 0;
    for (int64_t r = 0; r < n; r++) for (int64_t j = 0; j < c && y[r * c + j] >= 0; j++) listed++;
    threads = rt_few((double)listed * c, 4.0 * RT_MARGIN_GRAIN, threads, n);
    return wide ? multilabel_f64(x, y, n, c, loss, slope, threads) : multilabel_f32(x, y, n, c, loss, slope, threads);
}

int rt_fractional_max(int wide, int dims, const void *x, const void *u, int64_t planes, const int64_t *sizes, const int64_t *kernel, const int64_t *outs,
                      int64_t *where, int threads) {
    int64_t s[3] = {1, 1, 1}, k[3] = {1, 1, 1}, o[3] = {1, 1, 1};
    int draw[3] = {-1, -1, -1};
    for (int d = 0; d < dims; d++) {
        int at = d + 3 - dims;
        s[at] = sizes[d]; k[at] = kernel[d]; o[at] = outs[d];
        draw[at] = dims == 2 ? 1 - d : d;      /* PyTorch's order of random numbers: width first for images, depth first for volumes */
    }
    int64_t *begins = malloc(sizeof *begins * (size_t)(planes * (o[0] + o[1] + o[2]) + 1));
    if (!begins) return -2;
    threads = rt_few((double)planes * o[0] * o[1] * o[2] * k[0] * k[1] * k[2], RT_MARGIN_GRAIN, threads, planes);
    if (wide) fractional_f64(x, u, planes, s, k, o, draw, dims, begins, where, threads);
    else fractional_f32(x, u, planes, s, k, o, draw, dims, begins, where, threads);
    free(begins);
    return 0;
}
