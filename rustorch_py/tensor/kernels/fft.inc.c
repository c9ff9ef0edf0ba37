/* Mixed-radix Stockham transform (Van Loan 1992, 1.7): each pass reads one buffer in order and writes the
 * other, so no digit reversal is needed. `w` transforms run side by side: the innermost index r runs over
 * `stride * w` neighbours, which fill registers from the first pass on. A lane of a power of two whose elements are dense goes
 * alone (w = 1): its first two passes, of strides shorter than a register, mix their results by shuffles. Lengths with a prime factor
 * above MAX_RADIX go through a convolution with a chirp (Bluestein 1970) of a power-of-two length. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "fft.h"
#include "turn.h"
#include "vec.h"
#include "rustorch/backend.h"

enum { MAX_RADIX = 61, MAX_FACTORS = 64, ROWS = 16, ALONE = 4096 };   /* ALONE: from there on the work arrays of lanes side by side leave the second cache */

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

/* Asks for a lane's bytes; of a long one for as much as the first cache can spare. */
static void ahead(const void *p, int64_t from, int64_t n) { for (int64_t b = 0; b < n && b < 12288; b += 64) __builtin_prefetch((const char *)p + from + b); }

/* lanes of two registers of n, blocks of 1 or 4 of both in turns */
#define AT_MIXED_1_LO(i, n) (i) % 2 * (n) + (i) / 2
#define AT_MIXED_1_HI(i, n) (i) % 2 * (n) + (i) / 2 + (n) / 2
#define AT_MIXED_4_LO(i, n) (i) / 4 % 2 * (n) + (i) / 8 * 4 + (i) % 4
#define AT_MIXED_4_HI(i, n) (i) / 4 % 2 * (n) + (i) / 8 * 4 + (i) % 4 + (n) / 2

#define MAX_LANES 16                       /* one AVX-512 register */
#define TURN_IN(to, from) rt_turn_16_4((uint32_t *)(to), 16, (const uint32_t *)(from), 16)
#define TURN_OUT TURN_IN
#define TURN_SQUARE(to, step, from) rt_turn_16_4((uint32_t *)(to), step, (const uint32_t *)(from), 16)
#define T float
#define V rt_vf
#define MASK rt_vf_mask
#define LANES RT_LANES_F32
#define EACH RT_EACH_F32
#define N(name) rt_vf_##name
#define K(name) RT_CAT(fft32, name)
#define fft32_COMPLEX RT_C64
#include "fft_core.h"
#undef MAX_LANES
#undef TURN_IN
#undef TURN_OUT
#undef TURN_SQUARE
#undef T
#undef V
#undef MASK
#undef LANES
#undef EACH
#undef N
#undef K
#define MAX_LANES 8
#define TURN_IN(to, from) for (int a_ = 0; a_ < 16; a_++) for (int b_ = 0; b_ < 8; b_++) (to)[8 * a_ + b_] = (from)[16 * b_ + a_]
#define TURN_OUT(to, from) for (int a_ = 0; a_ < 8; a_++) for (int b_ = 0; b_ < 16; b_++) (to)[16 * a_ + b_] = (from)[8 * b_ + a_]
#define TURN_SQUARE(to, step, from) for (int a_ = 0; a_ < 8; a_++) for (int b_ = 0; b_ < 8; b_++) (to)[a_ * (step) + b_] = (from)[8 * b_ + a_]
#define T double
#define V rt_vd
#define MASK rt_vd_mask
#define LANES RT_LANES_F64
#define EACH RT_EACH_F64
#define N(name) rt_vd_##name
#define K(name) RT_CAT(fft64, name)
#define fft64_COMPLEX RT_C128
#include "fft_core.h"

const RtFftTable RT_NAME(rt_fft_table) = {{fft32_make, fft64_make}, {fft32_make_real, fft64_make_real}, {fft32_drop, fft64_drop}, {fft32_lanes, fft64_lanes}};
