/* LAPACK over batches. Matrices are column-major without gaps (leading dimension = rows); the next
 * one of a batch follows directly. info[z] is LAPACK's code for the z-th matrix (0: fine).
 * Return RT_OK or RT_ERR_MEMORY. dtypes: f32, f64, c64, c128. */
#ifndef RUSTORCH_KERNELS_LAPACK_H
#define RUSTORCH_KERNELS_LAPACK_H
#include "rustorch/backend.h"
#include "gemm.h"

void rt_lapack_init(int (*threads)(void));      /* how to ask for the number of threads */
int rt_getrf(int dtype, int64_t batch, int64_t m, int64_t n, char *a, int32_t *piv, int32_t *info);
int rt_getrs(const RtGemmTable *t, int dtype, int64_t batch, char trans, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b, int32_t *info);
int rt_potrf(int dtype, int64_t batch, char uplo, int64_t n, char *a, int32_t *info);
int rt_geqrf(int dtype, int64_t batch, int64_t m, int64_t n, char *a, char *tau, int32_t *info);
int rt_orgqr(int dtype, int64_t batch, int64_t m, int64_t n, int64_t k, char *a, const char *tau, int32_t *info);
int rt_ormqr(int dtype, int64_t batch, char side, char trans, int64_t m, int64_t n, int64_t k, const char *a, const char *tau, char *c,
             int32_t *info);
/* s is real; u and vt as jobz says ('N', 'S', 'A') */
int rt_gesdd(int dtype, int64_t batch, char jobz, int64_t m, int64_t n, char *a, char *s, char *u, char *vt, int32_t *info);
int rt_heevd(int dtype, int64_t batch, char jobz, char uplo, int64_t n, char *a, char *w, int32_t *info);
/* w and v (or NULL) are complex of the same precision */
int rt_geev(int dtype, int64_t batch, int64_t n, char *a, char *w, char *v, int32_t *info);
enum { RT_GELS, RT_GELSY, RT_GELSD, RT_GELSS };
/* b has max(m, n) rows */
int rt_lstsq(int dtype, int64_t batch, int driver, int64_t m, int64_t n, int64_t nrhs, char *a, char *b, double rcond, int64_t *rank,
             char *s, int32_t *info);
int rt_trsm(const RtGemmTable *t, int dtype, int64_t batch, int upper, char trans, int unit, int64_t n, int64_t nrhs, const char *a, char *b);
int rt_ldl_factor(int dtype, int64_t batch, int hermitian, int64_t n, char *a, int32_t *piv, int32_t *info);
int rt_ldl_solve(int dtype, int64_t batch, int hermitian, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b, int32_t *info);
#endif
