/* Mixed-radix Stockham transform (Van Loan 1992, 1.7): each pass reads one buffer in order and writes the
 * other, so no digit reversal is needed. `w` transforms run side by side: the innermost index r runs over
 * `stride * w` neighbours, which vectorises from the first pass on. Lengths with a prime factor
 * above MAX_RADIX go through a convolution with a chirp (Bluestein 1970) of a power-of-two length. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "fft.h"
#include "rustorch/backend.h"

enum { MAX_RADIX = 61, MAX_FACTORS = 64, ROWS = 16 };

/* cos and sin of 2 pi t / n, reduced to an octant so that the last bit is right. */
static void unit(int64_t t, int64_t n, double *c, double *s) {
    int64_t e = 8 * t, oct = e / n;                   /* t = (oct + frac) n / 8 */
    double a, pi = 3.14159265358979323846;
    int64_t r = e - oct * n;
    if (oct & 1) { r = n - r; }
    a = pi * (double)r / (4.0 * (double)n);
    double ca = cos(a), sa = sin(a);
    switch (oct) {
    case 0: *c = ca; *s = sa; break;
    case 1: *c = sa; *s = ca; break;
    case 2: *c = -sa; *s = ca; break;
    case 3: *c = -ca; *s = sa; break;
    case 4: *c = -ca; *s = -sa; break;
    case 5: *c = -sa; *s = -ca; break;
    case 6: *c = sa; *s = -ca; break;
    default: *c = ca; *s = -sa; break;
    }
}

#define MAX_LANES 16                       /* one AVX-512 register */
#define T float
#define K(name) RT_CAT(fft32, name)
#include "fft_core.h"
#undef MAX_LANES
#undef T
#undef K
#define MAX_LANES 8
#define T double
#define K(name) RT_CAT(fft64, name)
#include "fft_core.h"

const RtFftTable RT_NAME(rt_fft_table) = {{fft32_make, fft64_make}, {fft32_drop, fft64_drop}, {fft32_lanes, fft64_lanes}};
