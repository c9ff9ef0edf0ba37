/* What kernels are given: one struct by value. Shared by the launcher (C) and the kernels' text (C++ on the device). */
#ifndef RUSTORCH_CUDA_PLAN_H
#define RUSTORCH_CUDA_PLAN_H
#include "divisor.h"
#define RT_CUDA_DIMS 25             /* of a strided plan after merging; the launcher walks what is beyond */

/* for reductions: also what is beyond, below 2^53, by 1 / size as a double and a look at what is left */
typedef struct { int64_t size; RtDivisor by; double inverse; } RtSplit;
typedef struct { char bytes[16]; } RtNumber;                     /* an operand of one element that came with the call */
#define RT_CUDA_THREADS 256         /* of a block of the printed kernels */
typedef struct { int64_t n; char *p[8]; double k[2]; RtNumber host[6]; } RtDense;
typedef struct {
    int64_t n;
    char *p[8];
    double k[2];
    RtNumber host[6];
    int64_t ndim, size[RT_CUDA_DIMS], step[RT_CUDA_DIMS][8];      /* steps in bytes, dimension 0 innermost; n and it in packs */
    RtDivisor by[RT_CUDA_DIMS];
} RtStrided;
/* out[b][a] = in[a][b]: `a` is dense in out, `b` in in; both in tiles, which are the first two sizes */
typedef struct {
    const char *in;
    char *out;
    int64_t n_a, n_b, in_a, out_b;  /* steps in bytes */
    int32_t ndim;
    int64_t size[RT_CUDA_DIMS], in_step[RT_CUDA_DIMS], out_step[RT_CUDA_DIMS];
    RtDivisor by[RT_CUDA_DIMS];
} RtTile;
typedef struct {
    const char *in;
    char *out, *part;               /* part: one accumulator an output and chunk, where chunks > 1 */
    int64_t nout, nred, chunk;      /* chunk: of what is reduced, by one row of blocks; both in packs where these lie along it */
    int32_t keep, red;
    int64_t keep_size[RT_CUDA_DIMS], keep_in[RT_CUDA_DIMS], keep_out[RT_CUDA_DIMS], red_size[RT_CUDA_DIMS], red_in[RT_CUDA_DIMS];
    RtSplit keep_by[RT_CUDA_DIMS], red_by[RT_CUDA_DIMS];
    double k0;
} RtReduce;
typedef struct {
    const char *a, *b;
    char *c;
    int64_t m, n, k, a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, c_n;     /* strides in elements */
    double alpha[2], beta[2];       /* real and imaginary parts */
    int64_t conj;                   /* bit 0: of a, bit 1: of b */
    const char *added;              /* of small products: what beta is for, and an RT_ACT_... (product.h) */
    int64_t added_z, added_m, added_n, act;
} RtProduct;
/* what a hand-written kernel is given: its file says what is at which place */
#define RT_CALL_POINTERS 16
#define RT_CALL_INTS 120
#define RT_CALL_NUMBERS 8
typedef struct {
    char *p[RT_CALL_POINTERS];
    int64_t n[RT_CALL_INTS];
    double k[RT_CALL_NUMBERS];
    int64_t what, *fault;           /* Note [Faults]: the kernel's name (the host's pointer), and where to write about a bad index */
} RtCall;
#endif
