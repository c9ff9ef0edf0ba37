/* The part of cuBLASLt's interface that products use. No header of NVIDIA's is needed to build: the entry points are looked up by name at
 * the first product (_backend.pyx). Types, numbers and sizes are those of cublasLt.h 13.1. */
#ifndef RUSTORCH_CUDA_BLASLT_H
#define RUSTORCH_CUDA_BLASLT_H
#include <stddef.h>
#include <stdint.h>
#include "rustorch/product.h"

typedef void *LtHandle;                       /* also of descriptors: matmul, layout, preference */
typedef struct { uint64_t data[8]; } LtAlgo;
typedef struct {
    LtAlgo algo;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} LtResult;

/* X(result, name in RtBlasLt, cuBLASLt's name, arguments) */
#define RT_BLASLT_CALLS(X)                                                                                                          \
    X(size_t, version, "cublasLtGetVersion", (void))                                                                                \
    X(const char *, status_name, "cublasLtGetStatusName", (int status))                                                             \
    X(int, create, "cublasLtCreate", (LtHandle *handle))                                                                            \
    X(int, desc_create, "cublasLtMatmulDescCreate", (LtHandle *desc, int compute, int scale))                                       \
    X(int, desc_destroy, "cublasLtMatmulDescDestroy", (LtHandle desc))                                                              \
    X(int, desc_set, "cublasLtMatmulDescSetAttribute", (LtHandle desc, int attribute, const void *value, size_t size))              \
    X(int, layout_create, "cublasLtMatrixLayoutCreate", (LtHandle *layout, int type, uint64_t rows, uint64_t columns, int64_t ld))  \
    X(int, layout_destroy, "cublasLtMatrixLayoutDestroy", (LtHandle layout))                                                        \
    X(int, layout_set, "cublasLtMatrixLayoutSetAttribute", (LtHandle layout, int attribute, const void *value, size_t size))        \
    X(int, pref_create, "cublasLtMatmulPreferenceCreate", (LtHandle *pref))                                                         \
    X(int, pref_destroy, "cublasLtMatmulPreferenceDestroy", (LtHandle pref))                                                        \
    X(int, pref_set, "cublasLtMatmulPreferenceSetAttribute", (LtHandle pref, int attribute, const void *value, size_t size))        \
    X(int, heuristic, "cublasLtMatmulAlgoGetHeuristic", (LtHandle handle, LtHandle desc, LtHandle a, LtHandle b, LtHandle c, LtHandle d, \
                                                         LtHandle pref, int wanted, LtResult *results, int *got))                   \
    X(int, matmul, "cublasLtMatmul", (LtHandle handle, LtHandle desc, const void *alpha, const void *a, LtHandle a_layout, const void *b, \
                                      LtHandle b_layout, const void *beta, const void *c, LtHandle c_layout, void *d, LtHandle d_layout, \
                                      const LtAlgo *algo, void *workspace, size_t workspace_bytes, void *stream))

typedef struct {
#define X(result, name, symbol, arguments) result (*name) arguments;
    RT_BLASLT_CALLS(X)
#undef X
} RtBlasLt;

enum { LT_SUCCESS = 0, LT_ARCH_MISMATCH = 8, LT_NOT_SUPPORTED = 15 };
enum { LT_OP_N = 0, LT_OP_T = 1, LT_OP_C = 2 };
enum { LT_R_32F = 0, LT_R_64F = 1, LT_R_16F = 2, LT_C_32F = 4, LT_C_64F = 5, LT_R_16BF = 14 };
enum { LT_COMPUTE_32F = 68, LT_COMPUTE_64F = 70, LT_COMPUTE_32F_FAST_TF32 = 77 };
enum { LT_LAYOUT_BATCH = 5, LT_LAYOUT_BATCH_STRIDE = 6 };                           /* int32_t, int64_t */
enum { LT_DESC_OP_A = 3, LT_DESC_OP_B = 4, LT_DESC_EPILOGUE = 7, LT_DESC_BIAS = 8 };/* int32_t, int32_t, uint32_t, pointer */
enum { LT_PREF_WORKSPACE = 1, LT_PREF_REDUCTION = 3, LT_PREF_ALIGN_A = 5 };         /* uint64_t, uint32_t, uint32_t; b, c, d follow a */
enum { LT_EPILOGUE_DEFAULT = 1, LT_EPILOGUE_RELU = 2, LT_EPILOGUE_BIAS = 4, LT_EPILOGUE_GELU = 32 };
enum { LT_REDUCTION_COMPUTE_TYPE = 2 };       /* split sums are added in float32; without: in any way */

enum { RT_BLAS_UNKNOWN = 0, RT_BLAS_CUBLASLT = 1, RT_BLAS_OWN = 2 };
enum { RT_BLAS_TF32 = 1, RT_BLAS_F16_REDUCED = 2, RT_BLAS_BF16_REDUCED = 4, RT_BLAS_NOT_WANTED = 8 };
typedef struct { int64_t products, plans, refused, copies, fused; } RtBlasStats;    /* refused: plans that the library has no algorithm for */

extern RtBlasLt rt_blaslt;
extern int (*rt_blaslt_find)(void);           /* fills rt_blaslt; RT_BLAS_CUBLASLT or RT_BLAS_OWN */
int rt_blaslt_state(void);                    /* who makes products; looks for the library if nobody has */
void rt_blaslt_allow(int flags);              /* what products may do */
void rt_blaslt_choose(int n, int plans);      /* n of the library's proposals are timed when a large product is planned; so many plans are kept */
void rt_blaslt_stats(RtBlasStats *out);
/* As RtFusedGemm; added NULL: out = alpha a b + beta out. RT_ERR_UNSUPPORTED: nothing was done. */
int rt_blaslt_gemm(int device, const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj,
                   const double *alpha, const double *beta, int act);
#endif
