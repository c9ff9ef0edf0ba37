/* Matrix products on the CPU. Letters: a_mk, b_kn, c_mn; a batch letter z in front.
 * Strides count elements and may be any number, 0 included. */
#ifndef RUSTORCH_KERNELS_GEMM_H
#define RUSTORCH_KERNELS_GEMM_H
#include "rustorch/loops.h"
#include "rustorch/backend.h"

/* c = alpha * a @ b + beta * c (+ bias_n on every row), or beta * plus instead of beta * c. beta == 0 does not read c. */
typedef struct {
    int     dtype, threads;              /* threads < 0: -threads, and the result may not depend on their number */
    int     conj_a, conj_b;              /* complex only */
    int64_t batch, m, n, k;
    const char *a, *b, *bias;            /* bias: n contiguous elements or NULL */
    char   *c;
    int64_t a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, c_n;
    double  alpha[2], beta[2];           /* real and imaginary part */
    int64_t ialpha, ibeta;               /* for integer dtypes */
    const RtBackend *host;               /* whose alloc and free give room for the copies of 16-bit operands; whose loops `act` means */
    int     act;                         /* a kernel of one operand that follows (elementwise()'s number, floats only); -1: none */
    const char *plus;                    /* of c's shape and dtype, its columns neighbours as c's then are; NULL: c */
    int64_t plus_z, plus_m;
    int64_t inner, a_y, b_y;             /* products z of a batch that start at z / inner * a_y + z % inner * a_z; inner == 0: at z * a_z */
    int     part;                        /* these are some of a wider product's columns */
} RtGemm;

#define RT_LEAF 32
#define RT_SMALL 2048                       /* elements of b that a small product of a batch may turn */
#define RT_THIN_ROWS 12                     /* most rows of a for which b is read once and not packed */

/* One product of float or double by register tiles: c (+)= alpha a b (+ bias on every row); c's columns neighbours. */
typedef struct {
    int64_t m, n, k, a_m, a_k, b_k, b_n, c_m;
    const char *a, *b, *bias;
    char   *c;
    double  alpha;
    int     add;
    void   *room;                        /* RT_ROOM bytes for packed blocks */
    const char *plus;                    /* rows plus_m apart, beta of which is added instead of c; NULL: none */
    int64_t plus_m;
    double  beta;
} RtBlock;

/* Blocks of a packed product, Note [Tiles and panels] in gemm_micro_t.h; RT_FAR: bytes between rows of a from which they are packed,
 * RT_DIRECT: bytes of b up to which it is not, RT_FEW: rows of a up to which it is not with AVX-512 (two cores, GFLOP/s, b 2048 x 2048:
 * 12 rows 142 and 112 packed, 24 rows 139 and 147, 48 rows 152 and 170), RT_NEAR: bytes of b that stay in the second cache meanwhile; RT_AHEAD: rows that
 * packing fetches ahead. */
enum { RT_KC = 256, RT_MC = 192, RT_NC_BYTES = 8192, RT_ROWS = 6, RT_AHEAD = 8, RT_FAR = 4096, RT_DIRECT = 1 << 14, RT_FEW = 24, RT_NEAR = 3 << 17,
       RT_ROOM = RT_KC * (RT_NC_BYTES + RT_MC * 8) };

/* Rows `row` to row + depth and columns `col` to col + width of g's b, packed for all threads: Note [Passes] in gemm_pass_t.h. */
typedef struct {
    const RtBlock *g;
    int64_t row, depth, col, width;
    void   *room;                        /* RT_PASS_ROOM bytes, and RT_PASS_ROOM / RT_PASS_KC for the rows between panels */
} RtPass;

/* RT_PASS_KC: rows of b in a block: twice as many as elsewhere, so that c is read and written half as often; RT_PASS_TILES: most tiles of rows
 * that a thread takes at once; RT_PACKED: rows of b; RT_STEPS: rows between two looks at a loop's end. */
enum { RT_PASS_KC = 512, RT_PASS_TILES = RT_MC / RT_ROWS, RT_PACKED = 16, RT_STEPS = 4, RT_PASS_ROOM = 1 << 22 };

/* Loops that exist once per instruction set. */
typedef struct {
    /* few rows of a. thin: RT_THIN_ROWS at most, b_n == 1; nt: a_k == 1 and b_k == 1; c_n == 1, bias may be NULL */
    void (*thin_f32)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_m, int64_t a_k, const float *b, int64_t ldb,
                     float *c, int64_t ldc, float alpha, float beta, const float *bias);
    void (*thin_f64)(int64_t m, int64_t n, int64_t k, const double *a, int64_t a_m, int64_t a_k, const double *b, int64_t ldb,
                     double *c, int64_t ldc, double alpha, double beta, const double *bias);
    void (*nt_f32)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                   float *c, int64_t ldc, float alpha, float beta, const float *bias);
    void (*nt_f64)(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b, int64_t ldb,
                   double *c, int64_t ldc, double alpha, double beta, const double *bias);
    void (*tiles_f32)(const RtBlock *g);
    void (*tiles_f64)(const RtBlock *g);
    /* NULL on sets without passes. A piece: RT_PACKED rows of b where b_n == 1, else a panel of one block; tiles of rows by number; left: RT_ROOM bytes */
    void (*pass_pack_f32)(const RtPass *s, int64_t piece);
    void (*pass_pack_f64)(const RtPass *s, int64_t piece);
    void (*pass_rows_f32)(const RtPass *s, int64_t from, int64_t to, void *left);
    void (*pass_rows_f64)(const RtPass *s, int64_t from, int64_t to, void *left);
    /* any strides; element products wrap as PyTorch's do */
    void (*integer)(const RtGemm *g, int64_t z, void *room);     /* room: RT_ROOM bytes, Note [Integer products] in gemm_int_t.h */
    /* out_n += or = sum over rows; x_mn with row stride ld */
    void (*colsum_f32)(int64_t m, int64_t n, const float *x, int64_t ld, float *out, int accumulate);
    void (*colsum_f64)(int64_t m, int64_t n, const double *x, int64_t ld, double *out, int accumulate);
    /* out_mn = alpha a_m b_n (+ beta x_mn, rows x_m apart), rows out_m apart: a loop of its own, as the elementwise one begins anew for each row */
    void (*outer_f32)(int64_t m, int64_t n, float alpha, const float *a, int64_t a_m, const float *b, float beta, const float *x, int64_t x_m, float *out, int64_t out_m);
    void (*outer_f64)(int64_t m, int64_t n, double alpha, const double *a, int64_t a_m, const double *b, double beta, const double *x, int64_t x_m, double *out,
                      int64_t out_m);
    /* products `from` to `to` of a batch of small ones: Note [Small products of a batch] in gemm_small_t.h */
    void (*small_f32)(const RtGemm *g, int64_t from, int64_t to);
    void (*small_f64)(const RtGemm *g, int64_t from, int64_t to);
    float  (*dot_f32)(int64_t n, const float *x, const float *y);
    double (*dot_f64)(int64_t n, const double *x, const double *y);
    /* of n complex numbers: the sums of re re, im im, re im, im re */
    void (*dot_pairs_f32)(int64_t n, const float *x, const float *y, float *out);
    void (*dot_pairs_f64)(int64_t n, const double *x, const double *y, double *out);
    void (*widen)(int dtype, int64_t rows, int64_t cols, const char *x, int64_t x_r, int64_t x_c, float *out);
    void (*narrow)(int dtype, int64_t n, const float *x, char *out, int64_t step);
    /* triangular leaves (n <= RT_LEAF) of solves, column-major b */
    void (*trsm_f32)(int down, int unit, int64_t n, int64_t nrhs, const float *a, int64_t a_i, int64_t a_j, float *b, int64_t ldb);
    void (*trsm_f64)(int down, int unit, int64_t n, int64_t nrhs, const double *a, int64_t a_i, int64_t a_j, double *b, int64_t ldb);
    /* int8 operands (a uint8 where `unsign`) of any strides, int32 result with row stride ldc; room: RT_ROOM bytes */
    void (*int8)(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign, const int8_t *b, int64_t b_k,
                 int64_t b_n, int32_t *c, int64_t ldc, void *room);
    /* Note [Dots of pairs] in bf16.inc.c: whether there are any; a piece of the product g: g's m and n, its operands at a, b, c, whose columns are neighbours */
    int (*bf16_ready)(void);
    int (*bf16)(const RtGemm *g, const char *a, const char *b, char *c, int by_dots, void *room);
    size_t (*keep_bf16)(int64_t k, int64_t n, const char *b, int64_t b_k, int64_t b_n, void *out);
    int (*kept_bf16)(const RtGemm *g, const void *panels, int64_t n, int64_t j, void *room);
    /* Note [Kept operands] in kept.h: b packed for kept_*, which multiplies columns j to j + cols of n; room of g: RT_ROOM bytes */
    void (*keep_f32)(int64_t k, int64_t n, const float *b, int64_t b_k, int64_t b_n, float *out);
    void (*keep_f64)(int64_t k, int64_t n, const double *b, int64_t b_k, int64_t b_n, double *out);
    void (*kept_f32)(const RtBlock *g, const float *b, int64_t n, int64_t j, int64_t cols);
    void (*kept_f64)(const RtBlock *g, const double *b, int64_t n, int64_t j, int64_t cols);
    int64_t nt_rows;                     /* rows of a up to which dot products read a long turned b as it lies, measured */
    int64_t thin_rows;                   /* ... up to which rows of b are streams, measured */
    int64_t tiles_most;                  /* m*n*k up to which tiles beat BLAS, measured on this set's usual machines */
    int64_t panel_bytes;                 /* columns of a panel */
} RtGemmTable;

extern const RtGemmTable rt_gemm_table_base;
#if defined(__x86_64__)
extern const RtGemmTable rt_gemm_table_avx2, rt_gemm_table_avx512;
#endif

static inline const RtGemmTable *rt_gemm_pick(int level) {
#if defined(__x86_64__)
    if (level >= RT_ISA_AVX512) return &rt_gemm_table_avx512;
    if (level == RT_ISA_AVX2) return &rt_gemm_table_avx2;
#endif
    (void)level;
    return &rt_gemm_table_base;
}

/* Returns RT_OK or RT_ERR_MEMORY. */
int rt_gemm(const RtGemmTable *t, const RtGemm *g);
int64_t rt_gemm_pass_from(int64_t most);        /* Note [Passes or parts] in gemm_passes.h */
/* Products with a right operand that is kept in its packed form, Note [Kept operands] in kept.h. */
int rt_gemm_keeps(const RtGemmTable *t, const RtGemm *g);
void *rt_gemm_keep(const RtGemmTable *t, const RtGemm *g);
int rt_gemm_kept(const RtGemmTable *t, const RtGemm *g, const void *kept);
/* One BLAS thread a call: the only pool is the package's own. */
void rt_blas_init(void);
/* sum of x*y over n elements; result in the dtype. conj_x: complex only. */
void rt_dot(const RtGemmTable *t, int dtype, int64_t n, const char *x, int64_t x_s, const char *y, int64_t y_s,
            int conj_x, char *out, int threads);
/* c_mn = a b, row-major without gaps; RT_OK or RT_ERR_MEMORY. */
int rt_int8(const RtGemmTable *t, int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign, const int8_t *b,
            int64_t b_k, int64_t b_n, int32_t *c, int threads);
/* out_mn = alpha a_m b_n (+ beta x_mn where x is given), out row-major without gaps, rows of x x_m apart; RT_ERR_UNSUPPORTED for dtypes without a loop. */
int rt_outer(const RtGemmTable *t, int dtype, int64_t m, int64_t n, double alpha, const char *a, int64_t a_m, const char *b, double beta, const char *x, int64_t x_m,
             char *out, int threads);
/* out_n = sum over m of x_mn, x row-major without gaps; RT_ERR_UNSUPPORTED for dtypes without a loop. */
int rt_colsum(const RtGemmTable *t, int dtype, int64_t m, int64_t n, const char *x, char *out, int threads);
#endif
