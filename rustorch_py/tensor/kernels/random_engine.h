/* What the files of the random stream share. */
#ifndef RUSTORCH_RANDOM_ENGINE_H
#define RUSTORCH_RANDOM_ENGINE_H
#include "rustorch/random.h"
#include "rustorch/loops.h"

#define RT_RANDOM_BLOCK 512            /* values made at a time; a multiple of 16 */

/* Values start ... start + n - 1 (n <= RT_RANDOM_BLOCK) from their words; 0, or what the fill returns. Runs on any thread. */
typedef int (*RtRandomMake)(const void *what, const uint32_t *words, int64_t start, int64_t n);
/* n values of `per` (1 or 2) words each, in order. */
int rt_random_pieces(RtRandom *g, int64_t n, int per, RtRandomMake make, const void *what);

/* n <= RT_RANDOM_BLOCK uniforms on [0, 1). */
void rt_random_units_f32(RtRandom *g, float *x, int64_t n);
void rt_random_units_f64(RtRandom *g, double *x, int64_t n);
/* n values to memory of any dtype, `step` bytes apart; -1: no such dtype. */
int rt_random_store_f64(int dtype, char *p, int64_t step, const double *v, int64_t n);
double rt_random_load(int dtype, const char *p);
/* The walk over one or two arrays of one shape, smallest step of the first innermost. */
void rt_random_plan(RtIter *it, const RtArray *out, const RtArray *in);

/* Loops that matter most are compiled twice, the second time with AVX2 and fused multiply-add; both give the same bits. */
extern int rt_random_fused, rt_random_threads;
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define FUSED __attribute__((target("avx2,fma")))
#define PICK(name) (rt_random_fused ? name##_fused : name##_base)
#else
#define PICK(name) name##_base
#endif
#endif
