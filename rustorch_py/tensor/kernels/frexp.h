/* Floats taken apart. */
#ifndef RUSTORCH_FREXP_H
#define RUSTORCH_FREXP_H
#include <stdint.h>
/* x[i] = m[i] * 2^e[i]; wide: of double, else of float */
void rt_frexp(int wide, const void *x, int64_t n, void *m, int32_t *e, int threads);
#endif
