/* See lapack.h. Every call runs on one BLAS thread (see gemm.c, "One thread pool"); batches are
 * split over the OpenMP team. */
#include <complex.h>
#include <stdlib.h>
#include <string.h>
#include "cpu.h"
#include "lapack.h"
#include "cblas.h"
#include "lapacke.h"

void scipy_openblas_set_num_threads(int);

void rt_lapack_init(void) {
    scipy_openblas_set_num_threads(1);
    scipy_LAPACKE_set_nancheck(0);                     /* NaN goes through, as in PyTorch */
}

#define COL LAPACK_COL_MAJOR
typedef lapack_complex_float cf;
typedef lapack_complex_double cd;

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Runs BODY for each matrix z; `work` is the cost of one in flops. */
#define EACH(work, BODY)                                                                          \
    {                                                                                             \
        int threads = (double)(work) * (double)batch > 4e6 && batch > 1 ? rt_num_threads() : 1;   \
        (void)threads;                                                                            \
        RT_OMP(omp parallel for num_threads(threads) if (threads > 1) schedule(static))           \
        for (int64_t z = 0; z < batch; z++) { BODY }                                              \
    }
#define BY_DTYPE(S, D, C, Z)                        \
    switch (dtype) {                                \
    case RT_F32: S; break;                          \
    case RT_F64: D; break;                          \
    case RT_C64: C; break;                          \
    default: Z;                                     \
    }
#define AT(T, p, count) ((T *)(p) + z * (count))

/* Any info of LAPACKE below -1000 is a failed allocation of work space. */
static int done(int64_t batch, const int32_t *info) {
    for (int64_t z = 0; z < batch; z++) if (info[z] <= -1000) return RT_ERR_MEMORY;
    return RT_OK;
}

int rt_getrf(int dtype, int64_t batch, int64_t m, int64_t n, char *a, int32_t *piv, int32_t *info) {
    int64_t k = min64(m, n);
    int ld = (int)max64(1, m);
    EACH(m * n * k, BY_DTYPE(
        info[z] = scipy_LAPACKE_sgetrf(COL, m, n, AT(float, a, m * n), ld, piv + z * k),
        info[z] = scipy_LAPACKE_dgetrf(COL, m, n, AT(double, a, m * n), ld, piv + z * k),
        info[z] = scipy_LAPACKE_cgetrf(COL, m, n, AT(cf, a, m * n), ld, piv + z * k),
        info[z] = scipy_LAPACKE_zgetrf(COL, m, n, AT(cd, a, m * n), ld, piv + z * k)))
    return done(batch, info);
}

int rt_getrs(int dtype, int64_t batch, char trans, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b, int32_t *info) {
    int ld = (int)max64(1, n);
    EACH(n * n * nrhs, BY_DTYPE(
        info[z] = scipy_LAPACKE_sgetrs(COL, trans, n, nrhs, AT(const float, a, n * n), ld, piv + z * n, AT(float, b, n * nrhs), ld),
        info[z] = scipy_LAPACKE_dgetrs(COL, trans, n, nrhs, AT(const double, a, n * n), ld, piv + z * n, AT(double, b, n * nrhs), ld),
        info[z] = scipy_LAPACKE_cgetrs(COL, trans, n, nrhs, AT(const cf, a, n * n), ld, piv + z * n, AT(cf, b, n * nrhs), ld),
        info[z] = scipy_LAPACKE_zgetrs(COL, trans, n, nrhs, AT(const cd, a, n * n), ld, piv + z * n, AT(cd, b, n * nrhs), ld)))
    return done(batch, info);
}

int rt_potrf(int dtype, int64_t batch, char uplo, int64_t n, char *a, int32_t *info) {
    int ld = (int)max64(1, n);
    EACH(n * n * n / 3, BY_DTYPE(
        info[z] = scipy_LAPACKE_spotrf(COL, uplo, n, AT(float, a, n * n), ld),
        info[z] = scipy_LAPACKE_dpotrf(COL, uplo, n, AT(double, a, n * n), ld),
        info[z] = scipy_LAPACKE_cpotrf(COL, uplo, n, AT(cf, a, n * n), ld),
        info[z] = scipy_LAPACKE_zpotrf(COL, uplo, n, AT(cd, a, n * n), ld)))
    return done(batch, info);
}

int rt_geqrf(int dtype, int64_t batch, int64_t m, int64_t n, char *a, char *tau, int32_t *info) {
    int64_t k = min64(m, n);
    int ld = (int)max64(1, m);
    EACH(2 * m * n * k, BY_DTYPE(
        info[z] = scipy_LAPACKE_sgeqrf(COL, m, n, AT(float, a, m * n), ld, AT(float, tau, k)),
        info[z] = scipy_LAPACKE_dgeqrf(COL, m, n, AT(double, a, m * n), ld, AT(double, tau, k)),
        info[z] = scipy_LAPACKE_cgeqrf(COL, m, n, AT(cf, a, m * n), ld, AT(cf, tau, k)),
        info[z] = scipy_LAPACKE_zgeqrf(COL, m, n, AT(cd, a, m * n), ld, AT(cd, tau, k))))
    return done(batch, info);
}

int rt_orgqr(int dtype, int64_t batch, int64_t m, int64_t n, int64_t k, char *a, const char *tau, int32_t *info) {
    int ld = (int)max64(1, m);
    EACH(2 * m * n * k, BY_DTYPE(
        info[z] = scipy_LAPACKE_sorgqr(COL, m, n, k, AT(float, a, m * n), ld, AT(const float, tau, k)),
        info[z] = scipy_LAPACKE_dorgqr(COL, m, n, k, AT(double, a, m * n), ld, AT(const double, tau, k)),
        info[z] = scipy_LAPACKE_cungqr(COL, m, n, k, AT(cf, a, m * n), ld, AT(const cf, tau, k)),
        info[z] = scipy_LAPACKE_zungqr(COL, m, n, k, AT(cd, a, m * n), ld, AT(const cd, tau, k))))
    return done(batch, info);
}

int rt_ormqr(int dtype, int64_t batch, char side, char trans, int64_t m, int64_t n, int64_t k, const char *a, const char *tau, char *c,
             int32_t *info) {
    int64_t r = side == 'L' ? m : n;
    int ld = (int)max64(1, r), ldc = (int)max64(1, m);
    EACH(2 * m * n * k, BY_DTYPE(
        info[z] = scipy_LAPACKE_sormqr(COL, side, trans == 'C' ? 'T' : trans, m, n, k, AT(const float, a, r * k), ld, AT(const float, tau, k), AT(float, c, m * n), ldc),
        info[z] = scipy_LAPACKE_dormqr(COL, side, trans == 'C' ? 'T' : trans, m, n, k, AT(const double, a, r * k), ld, AT(const double, tau, k), AT(double, c, m * n), ldc),
        info[z] = scipy_LAPACKE_cunmqr(COL, side, trans == 'T' ? 'C' : trans, m, n, k, AT(const cf, a, r * k), ld, AT(const cf, tau, k), AT(cf, c, m * n), ldc),
        info[z] = scipy_LAPACKE_zunmqr(COL, side, trans == 'T' ? 'C' : trans, m, n, k, AT(const cd, a, r * k), ld, AT(const cd, tau, k), AT(cd, c, m * n), ldc)))
    return done(batch, info);
}

int rt_gesdd(int dtype, int64_t batch, char jobz, int64_t m, int64_t n, char *a, char *s, char *u, char *vt, int32_t *info) {
    int64_t k = min64(m, n), uc = jobz == 'A' ? m : k, vr = jobz == 'A' ? n : k;
    int lda = (int)max64(1, m), ldu = lda, ldv = (int)max64(1, vr);
    if (jobz == 'N') uc = vr = 0, ldv = 1, ldu = 1;
    EACH(8 * m * n * k, BY_DTYPE(
        info[z] = scipy_LAPACKE_sgesdd(COL, jobz, m, n, AT(float, a, m * n), lda, AT(float, s, k), AT(float, u, m * uc), ldu, AT(float, vt, vr * n), ldv),
        info[z] = scipy_LAPACKE_dgesdd(COL, jobz, m, n, AT(double, a, m * n), lda, AT(double, s, k), AT(double, u, m * uc), ldu, AT(double, vt, vr * n), ldv),
        info[z] = scipy_LAPACKE_cgesdd(COL, jobz, m, n, AT(cf, a, m * n), lda, AT(float, s, k), AT(cf, u, m * uc), ldu, AT(cf, vt, vr * n), ldv),
        info[z] = scipy_LAPACKE_zgesdd(COL, jobz, m, n, AT(cd, a, m * n), lda, AT(double, s, k), AT(cd, u, m * uc), ldu, AT(cd, vt, vr * n), ldv)))
    return done(batch, info);
}

int rt_heevd(int dtype, int64_t batch, char jobz, char uplo, int64_t n, char *a, char *w, int32_t *info) {
    int ld = (int)max64(1, n);
    EACH(9 * n * n * n, BY_DTYPE(
        info[z] = scipy_LAPACKE_ssyevd(COL, jobz, uplo, n, AT(float, a, n * n), ld, AT(float, w, n)),
        info[z] = scipy_LAPACKE_dsyevd(COL, jobz, uplo, n, AT(double, a, n * n), ld, AT(double, w, n)),
        info[z] = scipy_LAPACKE_cheevd(COL, jobz, uplo, n, AT(cf, a, n * n), ld, AT(float, w, n)),
        info[z] = scipy_LAPACKE_zheevd(COL, jobz, uplo, n, AT(cd, a, n * n), ld, AT(double, w, n))))
    return done(batch, info);
}

/* LAPACK's real geev gives pairs: columns j and j+1 are the real and imaginary part of a vector and its conjugate. */
#define REAL_GEEV(T, CT, CALL)                                                                                   \
    {                                                                                                            \
        T *wr = malloc(sizeof(T) * (size_t)(2 * n + (v ? n * n : 0)));                                           \
        if (!wr) info[z] = -1010;                                                                                \
        else {                                                                                                   \
            T *wi = wr + n, *vr = wr + 2 * n, unused[1];                                                         \
            info[z] = CALL(COL, 'N', v ? 'V' : 'N', n, AT(T, a, n * n), ld, wr, wi, unused, 1, v ? vr : unused, v ? ld : 1); \
            CT *ow = AT(CT, w, n), *ov = v ? AT(CT, v, n * n) : NULL;                                            \
            for (int64_t j = 0; j < n; j++) {                                                                    \
                ow[j] = (CT)(wr[j] + wi[j] * _Complex_I);                                                        \
                if (!v) continue;                                                                                \
                if (wi[j] == 0) { for (int64_t i = 0; i < n; i++) ov[j * n + i] = vr[j * n + i]; continue; }     \
                if (j + 1 >= n) break;                                                                           \
                ow[j + 1] = (CT)(wr[j + 1] + wi[j + 1] * _Complex_I);                                            \
                for (int64_t i = 0; i < n; i++) {                                                                \
                    T re = vr[j * n + i], im = vr[(j + 1) * n + i];                                              \
                    ov[j * n + i] = (CT)(re + im * _Complex_I);                                                  \
                    ov[(j + 1) * n + i] = (CT)(re - im * _Complex_I);                                            \
                }                                                                                                \
                j++;                                                                                             \
            }                                                                                                    \
            free(wr);                                                                                            \
        }                                                                                                        \
    }

int rt_geev(int dtype, int64_t batch, int64_t n, char *a, char *w, char *v, int32_t *info) {
    int ld = (int)max64(1, n);
    char unused[16];
    EACH(25 * n * n * n, BY_DTYPE(
        REAL_GEEV(float, cf, scipy_LAPACKE_sgeev),
        REAL_GEEV(double, cd, scipy_LAPACKE_dgeev),
        info[z] = scipy_LAPACKE_cgeev(COL, 'N', v ? 'V' : 'N', n, AT(cf, a, n * n), ld, AT(cf, w, n), (cf *)unused, 1, v ? AT(cf, v, n * n) : (cf *)unused, v ? ld : 1),
        info[z] = scipy_LAPACKE_zgeev(COL, 'N', v ? 'V' : 'N', n, AT(cd, a, n * n), ld, AT(cd, w, n), (cd *)unused, 1, v ? AT(cd, v, n * n) : (cd *)unused, v ? ld : 1)))
    return done(batch, info);
}

#define LSTSQ(P, T, R)                                                                                                        \
    {                                                                                                                         \
        T *x = AT(T, a, m * n), *y = AT(T, b, rows * nrhs);                                                                   \
        R *sv = s ? AT(R, s, k) : NULL;                                                                                       \
        lapack_int found = 0, *perm;                                                                                          \
        switch (driver) {                                                                                                     \
        case RT_GELS: info[z] = scipy_LAPACKE_##P##gels(COL, 'N', m, n, nrhs, x, lda, y, ldb); break;                         \
        case RT_GELSY:                                                                                                        \
            perm = calloc((size_t)max64(1, n), sizeof *perm);                                                                 \
            if (!perm) { info[z] = -1010; break; }                                                                            \
            info[z] = scipy_LAPACKE_##P##gelsy(COL, m, n, nrhs, x, lda, y, ldb, perm, (R)rcond, &found);                      \
            free(perm);                                                                                                       \
            break;                                                                                                            \
        case RT_GELSD: info[z] = scipy_LAPACKE_##P##gelsd(COL, m, n, nrhs, x, lda, y, ldb, sv, (R)rcond, &found); break;      \
        default: info[z] = scipy_LAPACKE_##P##gelss(COL, m, n, nrhs, x, lda, y, ldb, sv, (R)rcond, &found);                   \
        }                                                                                                                     \
        if (rank) rank[z] = found;                                                                                            \
    }

int rt_lstsq(int dtype, int64_t batch, int driver, int64_t m, int64_t n, int64_t nrhs, char *a, char *b, double rcond, int64_t *rank,
             char *s, int32_t *info) {
    int64_t k = min64(m, n), rows = max64(m, n);
    int lda = (int)max64(1, m), ldb = (int)max64(1, rows);
    EACH(4 * m * n * k, BY_DTYPE(LSTSQ(s, float, float), LSTSQ(d, double, double), LSTSQ(c, cf, float), LSTSQ(z, cd, double)))
    return done(batch, info);
}

int rt_trsm(int dtype, int64_t batch, int upper, char trans, int unit, int64_t n, int64_t nrhs, const char *a, char *b) {
    int ld = (int)max64(1, n);
    enum CBLAS_UPLO u = upper ? CblasUpper : CblasLower;
    enum CBLAS_TRANSPOSE t = trans == 'N' ? CblasNoTrans : trans == 'T' ? CblasTrans : CblasConjTrans;
    enum CBLAS_DIAG d = unit ? CblasUnit : CblasNonUnit;
    const float one_c[2] = {1, 0};
    const double one_z[2] = {1, 0};
    EACH(n * n * nrhs, BY_DTYPE(
        scipy_cblas_strsm(CblasColMajor, CblasLeft, u, t, d, n, nrhs, 1, AT(const float, a, n * n), ld, AT(float, b, n * nrhs), ld),
        scipy_cblas_dtrsm(CblasColMajor, CblasLeft, u, t, d, n, nrhs, 1, AT(const double, a, n * n), ld, AT(double, b, n * nrhs), ld),
        scipy_cblas_ctrsm(CblasColMajor, CblasLeft, u, t, d, n, nrhs, one_c, AT(const cf, a, n * n), ld, AT(cf, b, n * nrhs), ld),
        scipy_cblas_ztrsm(CblasColMajor, CblasLeft, u, t, d, n, nrhs, one_z, AT(const cd, a, n * n), ld, AT(cd, b, n * nrhs), ld)))
    return RT_OK;
}

int rt_ldl_factor(int dtype, int64_t batch, int hermitian, int64_t n, char *a, int32_t *piv, int32_t *info) {
    int ld = (int)max64(1, n);
    EACH(n * n * n / 3, BY_DTYPE(
        info[z] = scipy_LAPACKE_ssytrf(COL, 'L', n, AT(float, a, n * n), ld, piv + z * n),
        info[z] = scipy_LAPACKE_dsytrf(COL, 'L', n, AT(double, a, n * n), ld, piv + z * n),
        info[z] = hermitian ? scipy_LAPACKE_chetrf(COL, 'L', n, AT(cf, a, n * n), ld, piv + z * n)
                            : scipy_LAPACKE_csytrf(COL, 'L', n, AT(cf, a, n * n), ld, piv + z * n),
        info[z] = hermitian ? scipy_LAPACKE_zhetrf(COL, 'L', n, AT(cd, a, n * n), ld, piv + z * n)
                            : scipy_LAPACKE_zsytrf(COL, 'L', n, AT(cd, a, n * n), ld, piv + z * n)))
    return done(batch, info);
}

int rt_ldl_solve(int dtype, int64_t batch, int hermitian, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b, int32_t *info) {
    int ld = (int)max64(1, n);
    EACH(n * n * nrhs, BY_DTYPE(
        info[z] = scipy_LAPACKE_ssytrs(COL, 'L', n, nrhs, AT(const float, a, n * n), ld, piv + z * n, AT(float, b, n * nrhs), ld),
        info[z] = scipy_LAPACKE_dsytrs(COL, 'L', n, nrhs, AT(const double, a, n * n), ld, piv + z * n, AT(double, b, n * nrhs), ld),
        info[z] = hermitian ? scipy_LAPACKE_chetrs(COL, 'L', n, nrhs, AT(const cf, a, n * n), ld, piv + z * n, AT(cf, b, n * nrhs), ld)
                            : scipy_LAPACKE_csytrs(COL, 'L', n, nrhs, AT(const cf, a, n * n), ld, piv + z * n, AT(cf, b, n * nrhs), ld),
        info[z] = hermitian ? scipy_LAPACKE_zhetrs(COL, 'L', n, nrhs, AT(const cd, a, n * n), ld, piv + z * n, AT(cd, b, n * nrhs), ld)
                            : scipy_LAPACKE_zsytrs(COL, 'L', n, nrhs, AT(const cd, a, n * n), ld, piv + z * n, AT(cd, b, n * nrhs), ld)))
    return done(batch, info);
}
