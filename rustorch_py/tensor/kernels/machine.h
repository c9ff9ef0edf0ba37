/* Loops that measure the machine's limits (machine.inc.c), one of each per instruction set. */
#ifndef RT_MACHINE_H
#define RT_MACHINE_H
#include "cpu.h"
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define RT_EACH_LIMIT(X) X(base) X(avx2) X(avx512)
#else
#define RT_EACH_LIMIT(X) X(base)
#endif
#define RT_DECLARE_LIMIT(isa)                                                                                              \
    void rt_triad_##isa(float *a, const float *b, const float *c, float s, int64_t n, int threads, int stream); /* a = b + s c */ \
    double rt_fma_flops_##isa(int64_t steps, int threads, float *sink);                                         /* operations done */
RT_EACH_LIMIT(RT_DECLARE_LIMIT)
#endif
