/* The CPU random stream: a Mersenne Twister and the fills drawn from it.
 *
 * Note [Same numbers as PyTorch]
 * A program moved here from PyTorch keeps its seeds, so every fill draws as many 32-bit words,
 * in the same order, and maps them by the same formula as PyTorch 2.13 on the CPU:
 *  - the engine is MT19937 (Matsumoto & Nishimura 1998) seeded with the low 32 bits;
 *  - a float32 uniform keeps the low 24 bits of one word, a float64 one the low 53 bits of two
 *    words (first word high);
 *  - normal: row-major tensors of 16 and more elements take 16 uniforms at a time through
 *    Box-Muller (8 radii, 8 angles) and redraw a ragged last 16; all others draw pairs in
 *    float64 and keep the second of a pair for the next call;
 *  - memory that is not row-major is filled in the order of its strides, smallest innermost.
 *
 * Locking: a generator is not locked. Callers hold the GIL, or own the generator. */
#ifndef RUSTORCH_RANDOM_H
#define RUSTORCH_RANDOM_H
#include "layout.h"

#define RT_MT_N 624
#define RT_RANDOM_STATE_NBYTES 5056
#define RT_RANDOM_DEFAULT_SEED 67280421310721ull

typedef struct {
    uint64_t seed;                /* as given; the engine takes its low 32 bits */
    int32_t  left;                /* words left in the block, plus 1 */
    uint32_t next;                /* index of the next word in the block */
    uint32_t word[RT_MT_N];
    int      has_normal_f64, has_normal_f32;
    double   normal_f64;          /* second sample of a Box-Muller pair, not yet handed out */
    float    normal_f32;          /* never made here; kept for states written elsewhere */
} RtRandom;

/* Which loops to take (RT_ISA_BASE at first; AVX2 and above means AVX2 with FMA), and how many threads a large fill may use
 * (1 at first). The bits are always the same: without FMA instructions the C library's exact fma() stands in. */
void     rt_random_set_isa(int level, int threads);

void     rt_random_seed(RtRandom *g, uint64_t seed);
uint32_t rt_random_u32(RtRandom *g);
uint64_t rt_random_u64(RtRandom *g);
double   rt_random_uniform_f64(RtRandom *g);
double   rt_random_normal_f64(RtRandom *g);     /* mean 0, deviation 1, paired */
void     rt_random_words(RtRandom *g, uint32_t *dst, int64_t n);

/* The state as the bytes that torch.get_rng_state() returns. Reading returns 0, or -1 and leaves
 * `g` alone when the bytes are not a usable state. */
void rt_random_get_state(const RtRandom *g, uint8_t state[RT_RANDOM_STATE_NBYTES]);
int  rt_random_set_state(RtRandom *g, const uint8_t state[RT_RANDOM_STATE_NBYTES]);

/* Fills. `out` may have any strides without overlap. They return 0, or -1 for a dtype that the
 * distribution does not have. Complex tensors are filled as pairs of reals. Arguments are
 * checked by the caller. */
int rt_random_uniform(RtRandom *g, const RtArray *out, double from, double to);
int rt_random_normal(RtRandom *g, const RtArray *out, double mean, double std);
int rt_random_log_normal(RtRandom *g, const RtArray *out, double mean, double std);
int rt_random_cauchy(RtRandom *g, const RtArray *out, double median, double sigma);
int rt_random_exponential(RtRandom *g, const RtArray *out, double lambda);
int rt_random_geometric(RtRandom *g, const RtArray *out, double p);
int rt_random_bernoulli(RtRandom *g, const RtArray *out, double p);
int rt_random_int_range(RtRandom *g, const RtArray *out, uint64_t range, int64_t base);
int rt_random_int_full64(RtRandom *g, const RtArray *out);   /* all of int64 */
int rt_random_int(RtRandom *g, const RtArray *out);          /* 0 ... largest (2^digits of a float) */

/* One draw for each element of `p` (a real float); both arrays have one shape. */
int rt_random_bernoulli_each(RtRandom *g, const RtArray *out, const RtArray *p);  /* -2: not in [0, 1] */
int rt_random_poisson(RtRandom *g, const RtArray *out, const RtArray *rate);      /* -2: a rate < 0 */
int rt_random_gamma(RtRandom *g, const RtArray *out, const RtArray *shape);       /* scale 1; may underflow to 0 */

/* Successes in count[i] trials of probability p[i], for n row-major elements of float32 or float64. */
int rt_random_binomial(RtRandom *g, int dtype, void *out, const void *count, const void *p, int64_t n);

/* A permutation of 0..n-1 into a 1-d array. */
int rt_random_permutation(RtRandom *g, const RtArray *out, int64_t n);

/* Draws with replacement from each row of `p` (rows x categories); out (rows x samples) is int64
 * and row-major. -2: an entry is negative, -3: not finite, -4: a row sums to 0; -5: no memory. */
int rt_random_multinomial(RtRandom *g, const RtArray *out, const RtArray *p);

/* Inverted dropout of n contiguous elements: keep[i] = 1 with probability 1 - p,
 * y = x * keep / (1 - p) in the arithmetic of the dtype. 0 < p < 1. */
int rt_random_dropout(RtRandom *g, int dtype, void *y, const void *x, uint8_t *keep, int64_t n, double p);
/* grad_x = grad_y * keep / (1 - p) */
int rt_dropout_backward(int dtype, void *grad_x, const void *grad_y, const uint8_t *keep, int64_t n, double p);

/* Randomised leaky ReLU of n contiguous elements: slope ~ U[lower, upper) where x <= 0, else 1. */
int rt_random_rrelu(RtRandom *g, int dtype, void *y, void *noise, const void *x, int64_t n,
                    double lower, double upper);
#endif
