/* Discrete Fourier transform along a lane, computed in double precision. */
#ifndef RUSTORCH_FFT_H
#define RUSTORCH_FFT_H
#include "lane.h"

typedef struct RtFftPlan RtFftPlan;
RtFftPlan *rt_fft_plan(int64_t n);             /* NULL: no memory */
void rt_fft_free(RtFftPlan *p);

/* RT_FFT_HALF_IN: x holds the first n/2 + 1 terms of a Hermitian spectrum of n. */
enum { RT_FFT_HALF_IN = 1 };
/* out[o,k,i] = scale * sum over l < n of x[o,l,i] exp(sign 2 pi i k l / n), k < out_L.
 * x: (outer, in_L, inner) of x_dtype, real or complex, zero past in_L; out: (outer, out_L, inner) of
 * out_dtype; a real out keeps the real part. Returns 0 or RT_ERR_MEMORY. */
int rt_fft_lanes(const RtFftPlan *p, int x_dtype, const void *x_oli, RtLane s, int flags, int sign, double scale,
                 int out_dtype, int64_t out_L, void *out_oki, int threads);
#endif
