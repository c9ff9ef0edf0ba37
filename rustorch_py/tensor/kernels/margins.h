/* Losses of margins between classes, and where fractional pooling finds its maxima. */
#ifndef RUSTORCH_MARGINS_H
#define RUSTORCH_MARGINS_H
#include <stdint.h>

/* Of float32 or float64 (wide) scores x (n, c): loss[n], and unless NULL the derivative of each row's loss in slope (n, c).
 * 0, or -1 for a class outside of its range, -2 without memory. */
int rt_multi_margin(int wide, const void *x, const int64_t *y, const void *weight, int64_t n, int64_t c, int p, double margin, void *loss, void *slope,
                    int threads);
int rt_multilabel_margin(int wide, const void *x, const int64_t *y, int64_t n, int64_t c, void *loss, void *slope, int threads);

/* Flat positions of the maxima of planes of `dims` (2 or 3) sizes, in windows `kernel` whose places follow from the random numbers u (planes, dims). */
int rt_fractional_max(int wide, int dims, const void *x, const void *u, int64_t planes, const int64_t *sizes, const int64_t *kernel, const int64_t *outs,
                      int64_t *where, int threads);
#endif
