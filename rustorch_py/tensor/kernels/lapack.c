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

static int (*num_threads)(void);

void rt_lapack_init(int (*threads)(void)) {
    num_threads = threads;
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
        int threads = (double)(work) * (double)batch > 4e6 && batch > 1 ? num_threads() : 1;      \
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

/* Triangular solves by halves: OpenBLAS multiplies several times faster than it solves, so all but
 * the leaves along the diagonal are left to its products. a: n x n, b: n x nrhs, columns ld apart. */
#define TRSM(name, T, P, ONE, MINUS, LEAF)                                                                        \
    static void name(const RtGemmTable *t, int upper, char trans, int unit, int64_t n, int64_t nrhs, const T *a, int ld, T *b, int ldb) { \
        enum CBLAS_TRANSPOSE flag = trans == 'N' ? CblasNoTrans : trans == 'T' ? CblasTrans : CblasConjTrans;     \
        if (n <= RT_LEAF || nrhs < 4) { LEAF; return; }                                                           \
        int64_t h = (n / 2 + 15) / 16 * 16, r = n - h;                                                            \
        const T *low = a + h, *right = a + h * ld, *last = right + h;                                             \
        if ((trans == 'N') == !upper) {                                                                           \
            name(t, upper, trans, unit, h, nrhs, a, ld, b, ldb);                                                  \
            scipy_cblas_##P##gemm(CblasColMajor, flag, CblasNoTrans, r, nrhs, h, MINUS, trans == 'N' ? low : right, ld, b, ldb, ONE, b + h, ldb); \
            name(t, upper, trans, unit, r, nrhs, last, ld, b + h, ldb);                                           \
        } else {                                                                                                  \
            name(t, upper, trans, unit, r, nrhs, last, ld, b + h, ldb);                                           \
            scipy_cblas_##P##gemm(CblasColMajor, flag, CblasNoTrans, h, nrhs, r, MINUS, trans == 'N' ? right : low, ld, b + h, ldb, ONE, b, ldb); \
            name(t, upper, trans, unit, h, nrhs, a, ld, b, ldb);                                                  \
        }                                                                                                         \
    }
#define BLAS_LEAF(P, ONE)                                                                                         \
    scipy_cblas_##P##trsm(CblasColMajor, CblasLeft, upper ? CblasUpper : CblasLower, flag, unit ? CblasUnit : CblasNonUnit, \
                          n, nrhs, ONE, a, ld, b, ldb)
#define OWN_LEAF(P, loop)                                                                                         \
    if (nrhs < 4) BLAS_LEAF(P, 1);                                                                                \
    else t->loop((trans == 'N') == !upper, unit, n, nrhs, a, trans == 'N' ? 1 : ld, trans == 'N' ? ld : 1, b, ldb)
static const float plus_c[2] = {1, 0}, minus_c[2] = {-1, 0};
static const double plus_z[2] = {1, 0}, minus_z[2] = {-1, 0};
TRSM(trsm_s, float, s, 1, -1, OWN_LEAF(s, trsm_f32))
TRSM(trsm_d, double, d, 1, -1, OWN_LEAF(d, trsm_f64))
TRSM(trsm_c, cf, c, plus_c, minus_c, BLAS_LEAF(c, plus_c))
TRSM(trsm_z, cd, z, plus_z, minus_z, BLAS_LEAF(z, plus_z))

#define GETRS(T, solve, swap)                                                          \
    {                                                                                  \
        const T *lu = AT(const T, a, n * n);                                           \
        T *x = AT(T, b, n * nrhs);                                                     \
        const int32_t *perm = piv + z * n;                                             \
        info[z] = 0;                                                                   \
        if (trans == 'N') {                                                            \
            swap(COL, nrhs, x, ld, 1, n, perm, 1);                                     \
            solve(t, 0, 'N', 1, n, nrhs, lu, ld, x, ld);                               \
            solve(t, 1, 'N', 0, n, nrhs, lu, ld, x, ld);                               \
        } else {                                                                       \
            solve(t, 1, trans, 0, n, nrhs, lu, ld, x, ld);                             \
            solve(t, 0, trans, 1, n, nrhs, lu, ld, x, ld);                             \
            swap(COL, nrhs, x, ld, 1, n, perm, -1);                                    \
        }                                                                              \
    }

int rt_getrs(const RtGemmTable *t, int dtype, int64_t batch, char trans, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b,
             int32_t *info) {
    int ld = (int)max64(1, n);
    EACH(2 * n * n * nrhs, BY_DTYPE(
        GETRS(float, trsm_s, scipy_LAPACKE_slaswp), GETRS(double, trsm_d, scipy_LAPACKE_dlaswp),
        GETRS(cf, trsm_c, scipy_LAPACKE_claswp), GETRS(cd, trsm_z, scipy_LAPACKE_zlaswp)))
    return RT_OK;
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

int rt_trsm(const RtGemmTable *t, int dtype, int64_t batch, int upper, char trans, int unit, int64_t n, int64_t nrhs, const char *a, char *b) {
    int ld = (int)max64(1, n);
    EACH(n * n * nrhs, BY_DTYPE(
        trsm_s(t, upper, trans, unit, n, nrhs, AT(const float, a, n * n), ld, AT(float, b, n * nrhs), ld),
        trsm_d(t, upper, trans, unit, n, nrhs, AT(const double, a, n * n), ld, AT(double, b, n * nrhs), ld),
        trsm_c(t, upper, trans, unit, n, nrhs, AT(const cf, a, n * n), ld, AT(cf, b, n * nrhs), ld),
        trsm_z(t, upper, trans, unit, n, nrhs, AT(const cd, a, n * n), ld, AT(cd, b, n * nrhs), ld)))
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
