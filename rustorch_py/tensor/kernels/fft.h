/* Discrete Fourier transform along a lane; slot 0 computes in float, slot 1 in double. */
#ifndef RUSTORCH_FFT_H
#define RUSTORCH_FFT_H
#include "lane.h"

/* HALF_IN: x holds the first n/2 + 1 terms of a Hermitian spectrum of n. LANES_OUT: the result is (outer, inner, out_L). */
enum { RT_FFT_HALF_IN = 1, RT_FFT_LANES_OUT = 2 };
/* out[o,k,i] = scale * sum over l < n of x[o,l,i] exp(sign 2 pi i k l / n), k < out_L.
 * x: (outer, in_L, inner) of x_dtype, real or complex, zero past in_L; out: (outer, out_L, inner) of
 * out_dtype; a real out keeps the real part. Returns 0 or RT_ERR_MEMORY. */
typedef int (*RtFftLanes)(const void *plan, int x_dtype, const void *x_oli, RtLane s, int flags, int sign, double scale,
                          int out_dtype, int64_t out_L, void *out_oki, int threads);
typedef struct {
    void *(*make[2])(int64_t n);           /* tables of one length, good for every instruction set; NULL: no memory */
    void *(*make_real[2])(int64_t n);      /* of an even one, for transforms of n real elements and to n of them */
    void (*drop[2])(void *plan);
    RtFftLanes lanes[2];
} RtFftTable;
RT_LANE_EXTERN(RtFftTable, rt_fft_table);
static inline const RtFftTable *rt_pick_fft(int level) { (void)level; return RT_LANE_PICK(rt_fft_table, level); }
#endif
