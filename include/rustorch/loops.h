/* The one signature of an elementwise loop, and how kernels of several instruction sets are
 * named. A kernel file is compiled once per set with -DRT_ISA=<set>; every external symbol in
 * it goes through RT_NAME, so the objects can be linked together. */
#ifndef RUSTORCH_LOOPS_H
#define RUSTORCH_LOOPS_H
#include "layout.h"

/* p[0] is the output, p[1..] the inputs; step_bytes likewise; n elements; k: number parameters
 * of the operator (k0, k1). */
typedef void (*RtLoop)(char **p, const int64_t *step_bytes, int64_t n, const double *k);

#ifndef RT_ISA
#define RT_ISA base
#endif
#define RT_CAT2(a, b) a##_##b
#define RT_CAT(a, b) RT_CAT2(a, b)
#define RT_NAME(x) RT_CAT(x, RT_ISA)

/* Levels in the order of preference; config.simd_level() spells them. */
enum { RT_ISA_BASE = 0, RT_ISA_AVX2 = 1, RT_ISA_AVX512 = 2 };

#define RT_BLOCK 1024      /* elements converted at a time when an operand's dtype is not the loop's */

#if defined(__GNUC__) || defined(__clang__)
#define RT_LIKELY(x) __builtin_expect(!!(x), 1)
#define RT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define RT_INLINE static inline __attribute__((always_inline, unused))
#else
#define RT_LIKELY(x) (x)
#define RT_UNLIKELY(x) (x)
#define RT_INLINE static inline
#endif

#ifdef _OPENMP
#define RT_OMP(x) _Pragma(#x)
#else
#define RT_OMP(x)
#endif
#endif
