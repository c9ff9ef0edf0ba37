/* Divisions in kernels of devices: shared by the launchers (C) and the kernels' text. */
#ifndef RT_DIVISOR_H
#define RT_DIVISOR_H
/* divides whole numbers below 2^31: q = (high word of n * magic + n) >> shift (Granlund, Montgomery, Division by invariant integers using
 * multiplication, 1994) */
typedef struct { uint32_t magic, shift; } RtDivisor;
RT_INLINE uint32_t rt_quotient(uint32_t n, RtDivisor by) { return ((uint32_t)((uint64_t)n * by.magic >> 32) + n) >> by.shift; }
#endif
