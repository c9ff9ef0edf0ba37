/* What printed kernels are given besides their operands: one struct of at most 4096 bytes, without pointers and doubles. Shared by the launcher (C)
 * and the kernels' text (MSL). */
#ifndef RUSTORCH_METAL_PLAN_H
#define RUSTORCH_METAL_PLAN_H
#include "divisor.h"
#define RT_METAL_DIMS 25            /* of a strided plan after merging; the launcher walks what is beyond */
#define RT_METAL_THREADS 256        /* of a threadgroup */

typedef struct { char bytes[16]; } RtMetalNumber;                     /* an operand of one element that came with the call; a fill's value */
/* k: number parameters of a row, as floats and as whole numbers; n: elements, or results */
typedef struct { RtMetalNumber host[6]; int64_t whole[2]; float k[2]; uint32_t n, unused; } RtMetalDense;
typedef struct {
    RtMetalNumber host[6];
    int64_t whole[2];
    float k[2];
    uint32_t n;
    int32_t ndim;
    uint32_t size[RT_METAL_DIMS];
    RtDivisor by[RT_METAL_DIMS];
    int32_t step[RT_METAL_DIMS][8]; /* in bytes, dimension 0 innermost */
} RtMetalStrided;
typedef struct {
    float k0;
    uint32_t nout, nred, chunk;     /* chunk: of what is reduced, by one row of threadgroups */
    uint32_t chunks, lanes;         /* chunks > 1: out holds an accumulator an output and chunk; lanes: threads of an output */
    int32_t across, keep, red;      /* across: neighbouring threads take neighbouring outputs */
    uint32_t keep_size[RT_METAL_DIMS], red_size[RT_METAL_DIMS];
    RtDivisor keep_by[RT_METAL_DIMS], red_by[RT_METAL_DIMS];
    int64_t keep_in[RT_METAL_DIMS], keep_out[RT_METAL_DIMS], red_in[RT_METAL_DIMS];
} RtMetalReduce;
typedef struct {
    int64_t m, n, k, a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, c_n;     /* strides in elements */
    int64_t whole[2];               /* alpha and beta of whole numbers */
    float alpha, beta;
} RtMetalProduct;
/* what a hand-written kernel is given besides its operands: its file says what is at which place */
#define RT_METAL_INTS 120
#define RT_METAL_NUMBERS 8
/* what: Note [Faults], the kernel's name; given: bit i, there is an operand i */
typedef struct { int64_t n[RT_METAL_INTS]; float k[RT_METAL_NUMBERS]; int64_t what, given; } RtMetalCall;
#endif
