/* Are two arrays of floats equal? */
#ifndef RUSTORCH_SAME_H
#define RUSTORCH_SAME_H
#include <stdint.h>

/* By value: a NaN is nothing's equal, -0 is 0. Read block by block up to the first that differs. */
int rt_same_f32(const float *a, const float *b, int64_t n);
int rt_same_f64(const double *a, const double *b, int64_t n);
#endif
