/* What kernels are given: one struct by value. Shared by the launcher (C) and the kernels' text (C++ on the device). */
#ifndef RUSTORCH_CUDA_PLAN_H
#define RUSTORCH_CUDA_PLAN_H
#define RT_CUDA_DIMS 25             /* of a strided plan after merging; the launcher walks what is beyond */

typedef struct { char bytes[16]; } RtNumber;                     /* an operand of one element that came with the call */
typedef struct { int64_t n; char *p[8]; double k[2]; RtNumber host[6]; } RtDense;
typedef struct {
    int64_t n;
    char *p[8];
    double k[2];
    RtNumber host[6];
    int64_t ndim, size[RT_CUDA_DIMS], step[RT_CUDA_DIMS][8];      /* steps in bytes, dimension 0 innermost */
} RtStrided;
typedef struct {
    const char *in;
    char *out, *part;               /* part: one accumulator an output and chunk, where chunks > 1 */
    int64_t nout, nred, chunk;      /* elements reduced by one row of blocks */
    int32_t across;                 /* threads of a row lie along the outputs (1) or along what is reduced (0) */
    int32_t keep, red;
    int64_t keep_size[RT_CUDA_DIMS], keep_in[RT_CUDA_DIMS], keep_out[RT_CUDA_DIMS], red_size[RT_CUDA_DIMS], red_in[RT_CUDA_DIMS];
    double k0;
} RtReduce;
typedef struct {
    const char *a, *b;
    char *c;
    int64_t m, n, k, a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, c_n;     /* strides in elements */
    double alpha[2], beta[2];       /* real and imaginary parts */
    int64_t conj;                   /* bit 0: of a, bit 1: of b */
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
