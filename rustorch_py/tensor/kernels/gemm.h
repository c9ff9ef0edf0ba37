/* Matrix products on the CPU. Letters: a_mk, b_kn, c_mn; a batch letter z in front.
 * Strides count elements and may be any number, 0 included. */
#ifndef RUSTORCH_KERNELS_GEMM_H
#define RUSTORCH_KERNELS_GEMM_H
#include "rustorch/loops.h"
#include "rustorch/backend.h"

/* c = alpha * a @ b + beta * c (+ bias_n on every row). beta == 0 does not read c. */
typedef struct {
    int     dtype, threads;              /* threads < 0: -threads, and the result may not depend on their number */
    int     conj_a, conj_b;              /* complex only */
    int64_t batch, m, n, k;
    const char *a, *b, *bias;            /* bias: n contiguous elements or NULL */
    char   *c;
    int64_t a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, c_n;
    double  alpha[2], beta[2];           /* real and imaginary part */
    int64_t ialpha, ibeta;               /* for integer dtypes */
    const RtBackend *host;               /* whose alloc and free give room for the copies of 16-bit operands */
} RtGemm;

#define RT_LEAF 32

/* Blocks of a packed product: KC rows of NC_BYTES of b, MC rows of KC elements of a. */
enum { RT_PACKED_KC = 256, RT_PACKED_NC_BYTES = 2048, RT_PACKED_MC = 192,
       RT_PACKED_BYTES = RT_PACKED_KC * (RT_PACKED_NC_BYTES + RT_PACKED_MC * 8) };

/* Loops that exist once per instruction set. */
typedef struct {
    /* b_n == 1 and c_n == 1; bias may be NULL */
    void (*nn_f32)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_m, int64_t a_k, const float *b, int64_t ldb,
                   float *c, int64_t ldc, float alpha, float beta, const float *bias);
    void (*nn_f64)(int64_t m, int64_t n, int64_t k, const double *a, int64_t a_m, int64_t a_k, const double *b, int64_t ldb,
                   double *c, int64_t ldc, double alpha, double beta, const double *bias);
    /* a_k == 1, b_k == 1 and c_n == 1 */
    void (*nt_f32)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                   float *c, int64_t ldc, float alpha, float beta, const float *bias);
    void (*nt_f64)(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b, int64_t ldb,
                   double *c, int64_t ldc, double alpha, double beta, const double *bias);
    /* any strides of a and b, c_n == 1; c (+)= a b (+ bias); buf: RT_PACKED_BYTES. NULL where BLAS is faster */
    void (*packed_f32)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_m, int64_t a_k, const float *b, int64_t b_k,
                       int64_t b_n, float *c, int64_t ldc, int add, const float *bias, float *buf);
    void (*packed_f64)(int64_t m, int64_t n, int64_t k, const double *a, int64_t a_m, int64_t a_k, const double *b, int64_t b_k,
                       int64_t b_n, double *c, int64_t ldc, int add, const double *bias, double *buf);
    /* any strides; element products wrap as PyTorch's do */
    void (*integer)(const RtGemm *g, int64_t z);
    /* out_n += or = sum over rows; x_mn with row stride ld */
    void (*colsum_f32)(int64_t m, int64_t n, const float *x, int64_t ld, float *out, int accumulate);
    void (*colsum_f64)(int64_t m, int64_t n, const double *x, int64_t ld, double *out, int accumulate);
    float  (*dot_f32)(int64_t n, const float *x, const float *y);
    double (*dot_f64)(int64_t n, const double *x, const double *y);
    void (*widen)(int dtype, int64_t rows, int64_t cols, const char *x, int64_t x_r, int64_t x_c, float *out);
    void (*narrow)(int dtype, int64_t n, const float *x, char *out, int64_t step);
    /* triangular leaves (n <= RT_LEAF) of solves, column-major b */
    void (*trsm_f32)(int down, int unit, int64_t n, int64_t nrhs, const float *a, int64_t a_i, int64_t a_j, float *b, int64_t ldb);
    void (*trsm_f64)(int down, int unit, int64_t n, int64_t nrhs, const double *a, int64_t a_i, int64_t a_j, double *b, int64_t ldb);
    /* m*n*k between which the own loops beat BLAS, measured on this set's usual machines */
    int64_t nt_most, nn_least, nn_most;
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
/* One BLAS thread a call: the only pool is the package's own. */
void rt_blas_init(void);
/* sum of x*y over n elements; result in the dtype. conj_x: complex only. */
void rt_dot(const RtGemmTable *t, int dtype, int64_t n, const char *x, int64_t x_s, const char *y, int64_t y_s,
            int conj_x, char *out, int threads);
/* out_n = sum over m of x_mn, x row-major without gaps; RT_ERR_UNSUPPORTED for dtypes without a loop. */
int rt_colsum(const RtGemmTable *t, int dtype, int64_t m, int64_t n, const char *x, char *out);
#endif
