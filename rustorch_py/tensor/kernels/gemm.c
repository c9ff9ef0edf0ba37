/* Matrix products: which loop or BLAS routine, which layout flags, how the work is split.
 *
 * Note [One thread pool]
 * OpenBLAS comes with a pool of POSIX threads. Two pools that alternate spin against each other, so
 * BLAS is told to use one thread a call and products are split here, over the OpenMP team that all
 * other kernels use: over the batch when it is long, else over rows or columns of the result. */
#include <stdlib.h>
#include <string.h>
#include <limits.h>
#include <pthread.h>
#include <time.h>
#include <sys/mman.h>
#include "rustorch/half.h"
#include "gemm.h"
#include "grain.h"
#include "cblas.h"

void scipy_openblas_set_num_threads(int);

void rt_blas_init(void) { scipy_openblas_set_num_threads(1); }

#define GRAIN_MACS (3LL << 16)             /* multiply-adds a thread should have, see Note [Grain] */
#define GRAIN_BYTES (3LL << 16)            /* ... and bytes, where a product is one pass over a matrix */
#define OUTER_GRAIN (1LL << 18)            /* bytes that outer() moves, or a sum of rows reads, for a thread */
#define CALL_MACS 4096                     /* what a small product of a batch costs beside its own */
#define ACT_BYTES (1LL << 18)              /* of a piece that an activation follows */
#define ACT_ROWS 48                        /* ... and its fewest rows: each piece packs its part of b */
#define HUGE_PAGE (1 << 21)
#define MANY_ROWS (16 * RT_ROWS)           /* of a piece, from which one tile's rows more are not much */
#define FIXED_PIECES 8                     /* of one product when results may not depend on the threads */

/* Each thread's room for packed blocks, kept for its next product and freed when it ends. */
static pthread_key_t room_key;
static pthread_once_t room_once = PTHREAD_ONCE_INIT;

static void make_room_key(void) { pthread_key_create(&room_key, free); }

static void *kept_room(pthread_key_t key, size_t nbytes) {
    void *p = pthread_getspecific(key);
    if (!p && !posix_memalign(&p, HUGE_PAGE, nbytes)) {
#ifdef MADV_HUGEPAGE
        madvise(p, nbytes, MADV_HUGEPAGE);               /* panels and rows of a lie on more pages than the first level of a TLB has */
#endif
        pthread_setspecific(key, p);
    }
    return p;
}

static void *packed_room(void) {
    pthread_once(&room_once, make_room_key);
    return kept_room(room_key, RT_ROOM);
}

/* An operand as BLAS sees it: leading dimension and flag; `own` is a copy to free. */
typedef struct { const char *p; int64_t ld; int trans; char *own; } Operand;

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

#define PACK(name, T)                                                                                      \
    static void name(int64_t rows, int64_t cols, const T *x, int64_t x_r, int64_t x_c, T *out) {           \
        int64_t some = x_r == 1 ? 64 / (int64_t)sizeof(T) : 1;         /* of a column: a line of the cache at a time */ \
        for (int64_t r = 0; r < rows; r += some)                                                           \
            for (int64_t j = 0; j < cols; j++)                                                             \
                for (int64_t i = r; i < r + some && i < rows; i++) out[i * cols + j] = x[i * x_r + j * x_c]; \
    }
PACK(pack_4, uint32_t)
PACK(pack_8, uint64_t)
PACK(pack_16, rt_c128)

static int operand(int dtype, const char *p, int64_t rows, int64_t cols, int64_t s_r, int64_t s_c, Operand *o) {
    o->p = p; o->own = NULL;
    if ((s_c == 1 || cols == 1) && (rows == 1 || s_r >= max64(1, cols))) {
        o->trans = 0; o->ld = rows == 1 ? max64(1, cols) : s_r;
    } else if ((s_r == 1 || rows == 1) && (cols == 1 || s_c >= max64(1, rows))) {
        o->trans = 1; o->ld = cols == 1 ? max64(1, rows) : s_c;
    } else {
        int size = rt_itemsize(dtype);
        if (!(o->own = malloc((size_t)(rows * cols) * size))) return RT_ERR_MEMORY;
        if (size == 4) pack_4(rows, cols, (const uint32_t *)p, s_r, s_c, (uint32_t *)o->own);
        else if (size == 8) pack_8(rows, cols, (const uint64_t *)p, s_r, s_c, (uint64_t *)o->own);
        else pack_16(rows, cols, (const rt_c128 *)p, s_r, s_c, (rt_c128 *)o->own);
        o->p = o->own; o->trans = 0; o->ld = max64(1, cols);
    }
    return RT_OK;
}

static void scale_rows(const RtGemm *g, char *c) {      /* k == 0: only beta and bias are left */
#define SCALE(T, BETA)                                                                             \
    for (int64_t i = 0; i < g->m; i++) for (int64_t j = 0; j < g->n; j++) {                         \
        T *o = (T *)c + i * g->c_m + j * g->c_n, v = 0;                                             \
        T beta = BETA;                                                                              \
        if (beta != 0) v = beta * *o;                                                               \
        if (g->bias) v += ((const T *)g->bias)[j];                                                  \
        *o = v;                                                                                     \
    }
    switch (g->dtype) {
    case RT_F32: SCALE(float, (float)g->beta[0]) break;
    case RT_F64: SCALE(double, g->beta[0]) break;
    case RT_C64: SCALE(rt_c64, (float)g->beta[0] + (float)g->beta[1] * _Complex_I) break;
    default: SCALE(rt_c128, g->beta[0] + g->beta[1] * _Complex_I)
    }
#undef SCALE
}

enum { SHORT = 64 };                       /* sums of which a product moves more than it multiplies */
enum { THIN_COLS = 128 };                  /* columns of b from which rows of it are streams */
enum { FEW_ROWS = 6 };                     /* rows of a below which a turned b is read once and not packed */

/* Note [Turned and not packed]
 * A turned b (the weight of a linear layer) lies as dot products want it: tiles of them read it once, four of its rows against up to six of a, and
 * keep no copy of it. Packing first pays when enough rows meet each packed element. Measured beside each other on an AVX-512 machine (GFLOP/s, one
 * thread, b 1024 x 1024): 5 rows 72 : 38 (was: dot products of 4 and 1 rows), 8 rows 70 : 35, 12 rows 85 : 48, 16 rows 86 : 58, 24 rows 101 : 75, 48 rows
 * 110 : 103; sums of 64 are all ends (8 rows 44 : 80).
 *   More rows than that meet panels that are kept from call to call, where a weight may keep them: Note [Kept operands] in kept.h. Few gain little
 * by panels (8 rows 70 : 57, 16 rows 105 : 94, 32 rows 143 : 87, 64 rows 146 : 111), and dot products add in an order of their own. */
enum { NT_BYTES = 512 };                   /* of a row of b, from which more than a few rows of a take dot products */
enum { SHORT_ROWS = 3, SHORT_BYTES = 64 }; /* rows of a and bytes of a row of b, up to which adding up lanes costs more than packing */

static int by_dots(const RtGemmTable *t, int size, int64_t m, int64_t k, int64_t a_k) {
    if (m >= SHORT_ROWS && k * size <= SHORT_BYTES) return 0;
    return m < FEW_ROWS || (m <= t->nt_rows && k * size >= NT_BYTES && a_k == 1);
}

/* Few columns, a small part of a register: dot products of a's rows with them, as c' = b' a'. Long sums only: the lanes of each are added up. The longer
 * they are, the more of a register may be filled (two cores, AVX-512, 64 x 4096 by 8 columns: 75 us by a tile's half register, 22 so), but not by the last
 * columns of a wider product, which would keep its right operand from being kept. */
enum { LONG_SUMS = 1024 };                 /* bytes */
static int by_columns(const RtGemmTable *t, int size, int64_t m, int64_t n, int64_t k, int64_t a_k, int part) {
    return n * size * (k * size >= LONG_SUMS && !part ? 5 : 12) <= t->panel_bytes && m >= 2 * n && a_k == 1 && k * size >= 128;
}

enum { COLUMN_ROWS = 256, COLUMN_MOST = 12 };                /* rows of a whose dot products wait in memory to be turned, and of how many columns at most */
#define COLUMNS(name, T, NT)                                                                                       \
    static void name(const RtGemmTable *t, const RtGemm *g, const T *a, const T *b, int64_t b_n, T *c) {           \
        T sum[COLUMN_ROWS * COLUMN_MOST], beta = (T)g->beta[0];                                                       \
        const T *bias = (const T *)g->bias;                                                                        \
        for (int64_t i = 0; i < g->m; i += COLUMN_ROWS, c += COLUMN_ROWS * g->c_m) {                               \
            int64_t rows = min64(COLUMN_ROWS, g->m - i);                                                           \
            t->NT(g->n, rows, g->k, b, b_n, a + i * g->a_m, g->a_m, sum, rows, (T)g->alpha[0], 0, NULL);           \
            for (int64_t j = 0; j < g->n; j++)                                                                     \
                for (int64_t r = 0; r < rows; r++) {                                                               \
                    T *o = c + r * g->c_m + j, v = sum[j * rows + r];                                              \
                    if (beta != 0) v += beta * *o;                                                                 \
                    *o = bias ? v + bias[j] : v;                                                                   \
                }                                                                                                  \
        }                                                                                                          \
    }
COLUMNS(columns_f32, float, nt_f32)
COLUMNS(columns_f64, double, nt_f64)
#undef COLUMNS

/* What beta multiplies, to where it is added to: for loops that add to c alone. */
static void bring(const RtGemm *g, char *c) {
    size_t size = (size_t)rt_itemsize(g->dtype);
    for (int64_t i = 0; g->plus && i < g->m; i++) memcpy(c + i * g->c_m * (int64_t)size, g->plus + i * g->plus_m * (int64_t)size, (size_t)g->n * size);
}

/* A product of real floats by the own loops; 0 when BLAS shall do it, else 1, or -1 without memory. */
static int own_product(const RtGemmTable *t, const RtGemm *g, const char *a, const char *b, char *c) {
    int64_t m = g->m, n = g->n, k = g->k, a_m = g->a_m, a_k = g->a_k, b_k = g->b_k, b_n = g->b_n, c_m = g->c_m;
    int f32 = g->dtype == RT_F32, size = f32 ? 4 : 8;
    if (n == 1 && m > 1 && c_m == 1 && !g->bias) {         /* a column: c' = b' a' */
        const char *p = a; a = b; b = p;
        n = m; m = 1; b_n = a_m; a_m = 0;
        int64_t q = a_k; a_k = b_k; b_k = q; c_m = n;
    }
    char *own = NULL;
    if (by_columns(t, size, m, n, k, a_k, g->part)) {
        bring(g, c);
        if (b_k != 1) {
            if (!(own = malloc((size_t)(n * k) * size))) return -1;
            if (f32) pack_4(n, k, (const uint32_t *)b, b_n, b_k, (uint32_t *)own);
            else pack_8(n, k, (const uint64_t *)b, b_n, b_k, (uint64_t *)own);
            b = own; b_n = k;
        }
        if (f32) columns_f32(t, g, (const float *)a, (const float *)b, b_n, (float *)c);
        else columns_f64(t, g, (const double *)a, (const double *)b, b_n, (double *)c);
        free(own);
        return 1;
    }
    int nt = by_dots(t, size, m, k, a_k) && b_k == 1 && (b_n != 1 || n == 1), thin = m <= t->thin_rows && b_n == 1 && n >= THIN_COLS && m * n * k > 4096;
    int tiles = !nt && !thin && m * n * k <= t->tiles_most && n == g->n;
    if (!tiles) bring(g, c);
    if (nt && a_k != 1) {                                  /* a strided vector: its copy is small beside b */
        if (!(own = malloc((size_t)(m * k) * size))) return -1;
        if (f32) pack_4(m, k, (const uint32_t *)a, a_m, a_k, (uint32_t *)own);
        else pack_8(m, k, (const uint64_t *)a, a_m, a_k, (uint64_t *)own);
        a = own; a_m = k; a_k = 1;
    }
    if (nt) {
        if (f32) t->nt_f32(m, n, k, (const float *)a, a_m, (const float *)b, b_n, (float *)c, c_m, (float)g->alpha[0], (float)g->beta[0],
                           (const float *)g->bias);
        else t->nt_f64(m, n, k, (const double *)a, a_m, (const double *)b, b_n, (double *)c, c_m, g->alpha[0], g->beta[0],
                       (const double *)g->bias);
    } else if (thin) {
        if (f32) t->thin_f32(m, n, k, (const float *)a, a_m, a_k, (const float *)b, b_k, (float *)c, c_m, (float)g->alpha[0], (float)g->beta[0],
                             (const float *)g->bias);
        else t->thin_f64(m, n, k, (const double *)a, a_m, a_k, (const double *)b, b_k, (double *)c, c_m, g->alpha[0], g->beta[0],
                         (const double *)g->bias);
    } else {
        double beta = g->beta[0];
        const char *plus = beta == 0 ? NULL : tiles && g->plus ? g->plus : beta != 1 ? c : NULL;
        if (m * n * k > t->tiles_most) return 0;
        if (beta != 0 && g->bias) {                        /* tiles add a matrix or a row, not both */
            RtGemm first = *g;
            if (tiles) bring(g, c);
            first.m = m; first.n = n; first.c_m = c_m; first.c_n = 1;
            scale_rows(&first, c);
            plus = NULL;
        }
        RtBlock block = {m, n, k, a_m, a_k, b_k, n == 1 ? 1 : b_n, c_m, a, b, beta == 0 ? g->bias : NULL, c, g->alpha[0],
                         beta != 0, packed_room(), plus, plus == c ? c_m : g->plus_m, beta};
        if (!block.room) return -1;
        if (f32) t->tiles_f32(&block);
        else t->tiles_f64(&block);
        return 1;
    }
    free(own);
    return 1;
}

/* One product whose result has unit column step. */
static int product_rows(const RtGemmTable *t, const RtGemm *g, const char *a, const char *b, char *c) {
    int64_t m = g->m, n = g->n, k = g->k;
    int dtype = g->dtype, real = dtype == RT_F32 || dtype == RT_F64;
    if (k == 0) {
        bring(g, c);
        scale_rows(g, c);
        return RT_OK;
    }
    if (real) {
        int own = own_product(t, g, a, b, c);
        if (own) return own < 0 ? RT_ERR_MEMORY : RT_OK;
    }
    if (m > INT_MAX || n > INT_MAX || k > INT_MAX) return RT_ERR_UNSUPPORTED;
    Operand x, y;
    if (operand(dtype, a, m, k, g->a_m, g->a_k, &x)) return RT_ERR_MEMORY;
    if (operand(dtype, b, k, n, g->b_k, g->b_n, &y)) { free(x.own); return RT_ERR_MEMORY; }
    int64_t ldc = m == 1 ? max64(1, n) : g->c_m;
    double beta[2] = {g->beta[0], g->beta[1]};
    if (g->bias) {
        size_t row = (size_t)n * rt_itemsize(dtype);
        for (int64_t i = 0; i < m; i++) memcpy(c + i * g->c_m * rt_itemsize(dtype), g->bias, row);
        beta[0] = 1; beta[1] = 0;
    }
    if (x.ld > INT_MAX || y.ld > INT_MAX || ldc > INT_MAX) { free(x.own); free(y.own); return RT_ERR_UNSUPPORTED; }
    enum CBLAS_TRANSPOSE ta = x.trans ? CblasTrans : CblasNoTrans, tb = y.trans ? CblasTrans : CblasNoTrans;
    if (g->conj_a) ta = x.trans ? CblasConjTrans : CblasConjNoTrans;
    if (g->conj_b) tb = y.trans ? CblasConjTrans : CblasConjNoTrans;
    int lda = (int)x.ld, ldb = (int)y.ld, mm = (int)m, nn = (int)n, kk = (int)k;
    switch (dtype) {
    case RT_F32:
        scipy_cblas_sgemm(CblasRowMajor, ta, tb, mm, nn, kk, (float)g->alpha[0], (const float *)x.p, lda, (const float *)y.p, ldb,
                          (float)beta[0], (float *)c, (int)ldc);
        break;
    case RT_F64:
        scipy_cblas_dgemm(CblasRowMajor, ta, tb, mm, nn, kk, g->alpha[0], (const double *)x.p, lda, (const double *)y.p, ldb,
                          beta[0], (double *)c, (int)ldc);
        break;
    case RT_C64: {
        float al[2] = {(float)g->alpha[0], (float)g->alpha[1]}, be[2] = {(float)beta[0], (float)beta[1]};
        scipy_cblas_cgemm(CblasRowMajor, ta, tb, mm, nn, kk, al, x.p, lda, y.p, ldb, be, c, (int)ldc);
        break;
    }
    default:
        scipy_cblas_zgemm(CblasRowMajor, ta, tb, mm, nn, kk, g->alpha, x.p, lda, y.p, ldb, beta, c, (int)ldc);
    }
    free(x.own);
    free(y.own);
    return RT_OK;
}

/* One product of a BLAS dtype, any strides of the result. */
static int product(const RtGemmTable *t, const RtGemm *g, const char *a, const char *b, char *c) {
    if (g->c_n == 1 || g->n == 1) {
        if (g->m == 1 || g->c_m >= max64(1, g->n)) return product_rows(t, g, a, b, c);
    }
    if ((g->c_m == 1 || g->m == 1) && !g->bias && (g->n == 1 || g->c_n >= max64(1, g->m))) {
        RtGemm turned = *g;                            /* c' = b' a' */
        turned.m = g->n; turned.n = g->m;
        turned.a_m = g->b_n; turned.a_k = g->b_k; turned.b_k = g->a_k; turned.b_n = g->a_m;
        turned.c_m = g->c_n; turned.c_n = g->c_m;
        turned.conj_a = g->conj_b; turned.conj_b = g->conj_a;
        return product_rows(t, &turned, b, a, c);
    }
    int size = rt_itemsize(g->dtype);
    char *tmp = malloc((size_t)(g->m * g->n) * size);
    if (!tmp) return RT_ERR_MEMORY;
    RtGemm rows = *g;
    rows.c_m = g->n; rows.c_n = 1;
    int read = g->beta[0] != 0 || g->beta[1] != 0;
#define COPY(T)                                                                                             \
    for (int64_t i = 0; i < g->m; i++) for (int64_t j = 0; j < g->n; j++)                                   \
        if (back) ((T *)c)[i * g->c_m + j * g->c_n] = ((T *)tmp)[i * g->n + j];                             \
        else ((T *)tmp)[i * g->n + j] = ((T *)c)[i * g->c_m + j * g->c_n];
    int status = RT_OK;
    for (int back = !read; back < 2; back++) {
        if (back) status = product_rows(t, &rows, a, b, tmp);
        if (size == 4) { COPY(uint32_t) } else if (size == 8) { COPY(uint64_t) } else { COPY(rt_c128) }
    }
#undef COPY
    free(tmp);
    return status;
}

/* Note [Activations]
 * What follows a product is done by the loop that would do it alone, on the same elements, so the bits are the same; but on a piece of the
 * result that has just been finished and is still in a cache of the core that wrote it. Pieces of long results with short sums, which are more
 * than their caches hold, are cut for it (ACT_BYTES). */
static int activate(const RtGemm *g, char *c, int64_t m, int64_t n) {
    if (g->act < 0) return RT_OK;
    int size = rt_itemsize(g->dtype), dense = g->c_n == 1 && g->c_m == n;
    RtIter it;                                         /* large: only what is read is filled */
    it.ndim = dense ? 1 : 2; it.nargs = 2; it.host = 0; it.numel = m * n;
    it.shape[0] = dense ? m * n : n; it.shape[1] = m;
    for (int a = 0; a < 2; a++) {
        it.ptr[a] = c; it.dtype[a] = g->dtype;
        it.step_bytes[0][a] = g->c_n * size; it.step_bytes[1][a] = g->c_m * size;
    }
    return g->host->elementwise(0, g->act, g->dtype == RT_F64 ? RT_F64 : RT_F32, &it, NULL);
}

/* 16-bit floats: widen, multiply in float32, round once. Operands keep the layout that lets the copy run along memory. */
typedef struct { int64_t rows, cols, r, c; int turned; } Wide;

static Wide wide_of(int64_t rows, int64_t cols, int64_t s_r, int64_t s_c) {
    if (s_r == 1 && s_c != 1) return (Wide){cols, rows, s_c, s_r, 1};
    return (Wide){rows, cols, s_r, s_c, 0};
}

/* The float32 product that g becomes, its copies behind one another in memory: a, b, c, bias. */
static RtGemm widened(const RtGemm *g, const Wide *x, const Wide *y, const float *a, const float *b, const float *bias, float *c) {
    RtGemm w = *g;
    w.dtype = RT_F32;
    w.act = -1;
    w.plus = NULL;
    w.a = (const char *)a; w.b = (const char *)b; w.c = (char *)c;
    w.bias = g->bias ? (const char *)bias : NULL;
    w.a_m = x->turned ? 1 : x->cols; w.a_k = x->turned ? x->cols : 1;
    w.b_k = y->turned ? 1 : y->cols; w.b_n = y->turned ? y->cols : 1;
    w.c_m = g->n; w.c_n = 1;
    return w;
}

static int product_16(const RtGemmTable *t, const RtGemm *g, const char *a, const char *b, char *c) {
    int64_t m = g->m, n = g->n, k = g->k, sizes = m * k + k * n + m * n + n;
    float room[2048], *buf = sizes <= 2048 ? room : malloc((size_t)sizes * sizeof(float));
    if (!buf) return RT_ERR_MEMORY;
    float *x = buf, *y = x + m * k, *o = y + k * n, *bias = o + m * n;
    Wide wa = wide_of(m, k, g->a_m, g->a_k), wb = wide_of(k, n, g->b_k, g->b_n);
    RtGemm wide = widened(g, &wa, &wb, x, y, bias, o);
    t->widen(g->dtype, wa.rows, wa.cols, a, wa.r, wa.c, x);
    t->widen(g->dtype, wb.rows, wb.cols, b, wb.r, wb.c, y);
    if (g->bias) t->widen(g->dtype, 1, n, g->bias, n, 1, bias);
    if (g->beta[0] != 0) t->widen(g->dtype, m, n, c, g->c_m, g->c_n, o);
    int status = product_rows(t, &wide, (const char *)x, (const char *)y, (char *)o);
    if (!status)
        for (int64_t i = 0; i < m; i++) t->narrow(g->dtype, n, o + i * n, c + i * g->c_m * 2, g->c_n);
    if (buf != room) free(buf);
    return status;
}

/* One product with all threads: the copies are shared, so no operand is widened twice. */
static int shared_16(const RtGemmTable *t, const RtGemm *g, int threads, int64_t z) {
    int64_t m = g->m, n = g->n, k = g->k;
    const char *a = g->a + z * g->a_z * 2, *b = g->b + z * g->b_z * 2;
    char *c = g->c + z * g->c_z * 2;
    size_t got;
    float *x = g->host->alloc(0, (size_t)(m * k + k * n + m * n + n) * sizeof(float), &got);
    if (!x) return RT_ERR_MEMORY;
    float *y = x + m * k, *o = y + k * n, *bias = o + m * n;
    Wide wa = wide_of(m, k, g->a_m, g->a_k), wb = wide_of(k, n, g->b_k, g->b_n);
    RtGemm wide = widened(g, &wa, &wb, x, y, bias, o);
    wide.batch = 1;
    wide.threads = g->threads;
    if (g->bias) t->widen(g->dtype, 1, n, g->bias, n, 1, bias);
    RT_OMP(omp parallel num_threads(threads)) {
        RT_OMP(omp for schedule(static) nowait)
        for (int64_t i = 0; i < wa.rows; i++) t->widen(g->dtype, 1, wa.cols, a + i * wa.r * 2, 0, wa.c, x + i * wa.cols);
        RT_OMP(omp for schedule(static) nowait)
        for (int64_t i = 0; i < wb.rows; i++) t->widen(g->dtype, 1, wb.cols, b + i * wb.r * 2, 0, wb.c, y + i * wb.cols);
        if (g->beta[0] != 0) {
            RT_OMP(omp for schedule(static) nowait)
            for (int64_t i = 0; i < m; i++) t->widen(g->dtype, 1, n, c + i * g->c_m * 2, 0, g->c_n, o + i * n);
        }
    }
    int status = rt_gemm(t, &wide);
    if (!status) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static))
        for (int64_t i = 0; i < m; i++) t->narrow(g->dtype, n, o + i * n, c + i * g->c_m * 2, g->c_n);
        status = activate(g, c, m, n);
    }
    g->host->free(0, x, got);
    return status;
}

/* Bytes, signed or not: the low byte of the int32 result. */
static int product_8(const RtGemmTable *t, const RtGemm *g, const char *a, const char *b, char *c) {
    int64_t m = g->m, n = g->n;
    void *room = packed_room();
    int32_t *sum = malloc((size_t)(m * n) * sizeof *sum);
    if (!room || !sum) { free(sum); return RT_ERR_MEMORY; }
    t->int8(m, n, g->k, (const int8_t *)a, g->a_m, g->a_k, 0, (const int8_t *)b, g->b_k, g->b_n, sum, n, room);
    for (int64_t i = 0; i < m; i++) for (int64_t j = 0; j < n; j++) c[i * g->c_m + j * g->c_n] = (char)sum[i * n + j];
    free(sum);
    return RT_OK;
}

static int one_product(const RtGemmTable *t, const RtGemm *g, int64_t z) {
    int size = rt_itemsize(g->dtype);
    const char *a = g->a + z * g->a_z * size, *b = g->b + z * g->b_z * size;
    char *c = g->c + z * g->c_z * size;
    switch (g->dtype) {
    case RT_F32: case RT_F64: case RT_C64: case RT_C128: return product(t, g, a, b, c);
    case RT_F16: case RT_BF16: return product_16(t, g, a, b, c);
    case RT_I8: case RT_U8:
        if (g->ialpha == 1 && g->ibeta == 0 && !g->bias && g->m * g->n * g->k > 4096) return product_8(t, g, a, b, c);
        /* fall through */
    default: {
        void *room = packed_room();
        if (!room) return RT_ERR_MEMORY;
        t->integer(g, z, room);
        return RT_OK;
    }
    }
}

static int one(const RtGemmTable *t, const RtGemm *g, int64_t z) {
    int status = one_product(t, g, z);
    return status ? status : activate(g, g->c + z * g->c_z * rt_itemsize(g->dtype), g->m, g->n);
}

/* Rows and columns of the pieces in which `count` threads share a product: the grid with the least work for one of them. What a piece
 * packs counts as `left` and `right` multiply-adds an element, so that the operand that is dear to pack is packed by few; a row's start as 256. */
static void cut_up(const RtGemm *g, int64_t count, int64_t panel, double left, double right, int64_t *rows, int64_t *cols) {
    int64_t best = -1;
    if (g->n < 2 * panel) panel = 32;
    for (int64_t down = count; down > 0; down--) {
        if (count % down) continue;
        int64_t r = (g->m + down - 1) / down, c = (g->n + count / down - 1) / (count / down);
        if (down > 1 && (r <= RT_ROWS || r >= MANY_ROWS)) r = (r + RT_ROWS - 1) / RT_ROWS * RT_ROWS;     /* tiles of few rows are made equally high */
        if (down < count) c = (c + panel - 1) / panel * panel;
        double work = (double)r * (double)c + (left + 256. / (double)max64(g->k, 1)) * (double)r + right * (double)c;
        if (down < count && g->k <= SHORT) work += work / 8;    /* c is what moves, and a core fetches on into the other's part of a row */
        if (best < 0 || work < (double)best) { best = (int64_t)work; *rows = r; *cols = c; }
    }
}

static void grid(const RtGemmTable *t, const RtGemm *g, int64_t count, int64_t *rows, int64_t *cols) {
    int size = rt_itemsize(g->dtype);
    double right = g->m < FEW_ROWS || (g->m <= t->thin_rows && g->b_n == 1) ? 0 : g->b_k == 1 && by_dots(t, size, g->m, g->k, g->a_k) ? 5 : g->b_n == 1 ? 10 : 20;
    cut_up(g, count, t->panel_bytes / size, g->a_k == 1 ? 2 : 10, right, rows, cols);
}

/* Product z of g: `rows` rows from row i (or what is left of them), `cols` columns from column j. */
static RtGemm piece(const RtGemm *g, int64_t z, int64_t i, int64_t rows, int64_t j, int64_t cols) {
    int size = rt_itemsize(g->dtype);
    RtGemm part = *g;
    part.m = min64(rows, g->m - i);
    part.n = min64(cols, g->n - j);
    part.part |= part.n < g->n;
    part.a += (z * g->a_z + i * g->a_m) * size;
    part.b += (z * g->b_z + j * g->b_n) * size;
    part.c += (z * g->c_z + i * g->c_m + j * g->c_n) * size;
    if (part.bias) part.bias += j * size;
    if (part.plus) part.plus += (z * g->plus_z + i * g->plus_m + j) * size;
    return part;
}

/* All of g's batch in pieces of `rows` by `cols`, each by `part`, which is told `how`. */
typedef int (*Part)(const RtGemmTable *t, const RtGemm *piece, int how);

static int in_pieces(const RtGemmTable *t, const RtGemm *g, int threads, int64_t rows, int64_t cols, Part part, int how) {
    int failed = RT_OK;
    int64_t down = (g->m + rows - 1) / rows, across = (g->n + cols - 1) / cols;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) collapse(3) if (threads > 1))
    for (int64_t z = 0; z < g->batch; z++)
        for (int64_t i = 0; i < down; i++)
            for (int64_t j = 0; j < across; j++) {
                RtGemm some = piece(g, z, i * rows, rows, j * cols, cols);
                int status = part(t, &some, how);
                if (status) { RT_OMP(omp atomic write) failed = status; }
            }
    return failed;
}

static int one_part(const RtGemmTable *t, const RtGemm *g, int how) {
    (void)how;
    return one(t, g, 0);
}

/* Products of bfloat16 by the processor's own dots, Note [Dots of pairs] in bf16.inc.c: all whose result has unit column step. */
enum { DOT_ROWS = 12 };                    /* rows of a up to which a turned b is not packed for them */

static int by_pairs(const RtGemmTable *t, const RtGemm *g) {
    return g->dtype == RT_BF16 && (g->c_n == 1 || g->n == 1) && g->k > 0 && t->bf16_ready();
}

static int pairs_part(const RtGemmTable *t, const RtGemm *g, int along) {
    void *room = packed_room();
    int status = room ? t->bf16(g, g->a, g->b, g->c, along, room) : RT_ERR_MEMORY;
    return status ? status : activate(g, g->c, g->m, g->n);
}

static int pairs(const RtGemmTable *t, const RtGemm *g, int threads) {
    if (g->n == 1 && g->m > 1 && g->a_k != 1 && g->c_m == 1 && !g->bias) {      /* a column: c' = b' a' reads a along memory */
        RtGemm row = *g;
        row.m = 1; row.n = g->m; row.c_m = g->m; row.c_n = 1;
        row.a = g->b; row.a_z = g->b_z; row.a_m = 0; row.a_k = g->b_k;
        row.b = g->a; row.b_z = g->a_z; row.b_k = g->a_k; row.b_n = g->a_m;
        return pairs(t, &row, threads);
    }
    int along = g->a_k == 1 && (g->b_k == 1 || g->k == 1) && (g->n == 1 || (g->b_n != 1 && g->m <= DOT_ROWS));
    int64_t rows = g->m, cols = g->n;
    if (g->batch < threads) cut_up(g, threads, 64, g->a_k == 1 && g->k % 2 == 0 ? 0 : 5, along ? 1 : g->b_n == 1 ? 5 : 7, &rows, &cols);
    return in_pieces(t, g, threads, rows, cols, pairs_part, along);
}

#include "gemm_complex.h"

#include "gemm_passes.h"

/* Threads that the work feeds when each is to have a grain of it, `finer` times smaller than usual. */
static int64_t room_for(const RtGemm *g, int64_t finer) {
    int64_t wide = finer > 1 && g->n < FEW_ROWS ? g->n : max64(g->n, 16);  /* a register is multiplied whole, but by dot products */
    int64_t macs = g->m * wide * max64(g->k, 1) + CALL_MACS;
    if (g->dtype == RT_C64 || g->dtype == RT_C128) macs *= 4;
    int64_t room = macs * g->batch * finer / GRAIN_MACS;
    if (g->m < FEW_ROWS || g->n < FEW_ROWS) room = max64(room, max64(g->m, g->n) * g->k * rt_itemsize(g->dtype) * g->batch * finer / GRAIN_BYTES);
    return room;
}

/* Note [Small products]
 * A product of some microseconds is worth a second thread that is awake, not one that has to be woken: Note [Grain] in grain.h. Where such products
 * follow one another closely, one of them wakes the others, which then stay awake for the next; it is not tried again for a while, as there may be
 * threads that never wait awake. Whether they were awake may not show in a result: such a product is cut by its sizes, and one thread multiplies
 * the same pieces. (64 x 64 by 64 x 64 on two cores of one cache: 4.7 us by one thread, 2.8 by two.) */
#define SMALL 3                            /* times finer than the usual grain */
#define SOON_NS 50000LL
#define AGAIN_NS 1000000LL

static int at_hand(void) {
    static __thread int64_t last, woken;
    struct timespec t;
    if (rt_crew_awake()) return 1;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t now = t.tv_sec * 1000000000LL + t.tv_nsec, since = now - last;
    last = now;
    if (since > SOON_NS || now - woken < AGAIN_NS) return 0;
    woken = now;
    return 1;
}

/* Into how many pieces a product is cut; *threads: how many threads take them (NULL: nobody asks).
 * Which loop multiplies a piece depends on the piece's size, and with it the order of the sums. So when results may not depend
 * on the number of threads (g->threads < 0), the sizes alone decide how a product is cut, also on one thread. */
static int64_t split_of(const RtGemmTable *t, const RtGemm *g, int *threads) {
    int64_t most = g->threads < 0 ? -g->threads : g->threads, room = room_for(g, 1), few = max64(1, min64(most, room));
    if (threads) *threads = (int)few;
    if (g->threads < 0) return g->batch >= FIXED_PIECES ? 1 : max64(1, min64(FIXED_PIECES, room));
    if (few == 1 && most > 1 && (g->dtype == RT_F32 || g->dtype == RT_F64 || rt_kind(g->dtype) == RT_KIND_INT || by_pairs(t, g)) && (room = min64(most, room_for(g, SMALL))) > 1) {
        few = room;
        if (threads && at_hand()) *threads = (int)few;
    }
    return g->batch >= few ? 1 : few;
}

/* Note [A row by rows]
 * One row of a by b whose rows are streams: threads that share its columns read half of each row, and what a core fetches on behind its half is the
 * other's. So they share its rows, each adds up what its own bring, and the sums are added in order (two cores, 1024 x 1024: 33 us by columns, 27 so; parts of a page are well by columns).
 * Where results may not depend on the threads columns are cut. */
enum { SUM_ROWS = 64, SUM_PART = 16384, SUM_BYTES = 1 << 21 };     /* fewest rows of a part; bytes of a thread's part of a row, and of b, that are worth it */

static int by_rows(const RtGemm *g, int64_t split) {
    return g->m == 1 && g->batch == 1 && split > 1 && g->threads > 0 && (g->dtype == RT_F32 || g->dtype == RT_F64) && g->b_n == 1 && g->c_n == 1
           && g->n >= THIN_COLS && g->n * rt_itemsize(g->dtype) < SUM_PART * split && g->n * g->k * rt_itemsize(g->dtype) >= SUM_BYTES && g->k >= SUM_ROWS * split && g->act < 0;
}

#define SUMS(T)                                                                                                    \
    for (int64_t j = 0; j < g->n; j++) {                                                                           \
        T *c = (T *)g->c + j, v = ((T *)room)[j];                                                                  \
        for (int64_t s = 1; s < split; s++) v += ((T *)room)[s * g->n + j];                                        \
        if (g->beta[0] != 0) v += (T)g->beta[0] * *c;                                                              \
        *c = g->bias ? v + ((const T *)g->bias)[j] : v;                                                            \
    }
static int rows_of_one(const RtGemmTable *t, const RtGemm *g, int threads, int64_t split) {
    int size = rt_itemsize(g->dtype);
    char *room = malloc((size_t)(split * g->n * size));
    if (!room) return RT_ERR_MEMORY;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t s = 0; s < split; s++) {
        int64_t from = g->k * s / split / 4 * 4, k = (s + 1 < split ? g->k * (s + 1) / split / 4 * 4 : g->k) - from;
        const char *a = g->a + from * g->a_k * size, *b = g->b + from * g->b_k * size;
        char *c = room + s * g->n * size;
        if (size == 4) t->thin_f32(1, g->n, k, (const float *)a, 0, g->a_k, (const float *)b, g->b_k, (float *)c, g->n, (float)g->alpha[0], 0, NULL);
        else t->thin_f64(1, g->n, k, (const double *)a, 0, g->a_k, (const double *)b, g->b_k, (double *)c, g->n, g->alpha[0], 0, NULL);
    }
    if (size == 4) SUMS(float) else SUMS(double)
    free(room);
    return RT_OK;
}
#undef SUMS

/* A batch of dot products: a loop, not a product each. */
static int dots_of_lines(const RtGemmTable *t, const RtGemm *g, int threads) {
    threads = (int)max64(1, min64(threads, g->batch * (g->k + 256) * 4 / GRAIN_MACS));        /* one costs as much as some hundred multiply-adds */
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t z = 0; z < g->batch; z++) {
        if (g->dtype == RT_F32) ((float *)g->c)[z * g->c_z] = (float)g->alpha[0] * t->dot_f32(g->k, (const float *)g->a + z * g->a_z, (const float *)g->b + z * g->b_z);
        else ((double *)g->c)[z * g->c_z] = g->alpha[0] * t->dot_f64(g->k, (const double *)g->a + z * g->a_z, (const double *)g->b + z * g->b_z);
    }
    return RT_OK;
}

#include "gemm_small.h"

int rt_gemm(const RtGemmTable *t, const RtGemm *g) {
    if (g->m == 0 || g->n == 0 || g->batch == 0) return RT_OK;
    if (is_small(t, g) || tiny_of(g) || is_small_16(t, g) || is_small_complex(t, g)) {
        int done = small_products(t, g);
        if (done >= 0) return done;
    }
    int size = rt_itemsize(g->dtype), threads;
    if (g->inner) {                                        /* two steps: a batch for each of the outer */
        RtGemm some = *g;
        some.inner = 0; some.batch = g->inner;
        for (int64_t z = 0, status; z < g->batch; z += g->inner) {
            if ((status = rt_gemm(t, &some))) return (int)status;
            some.a += g->a_y * size; some.b += g->b_y * size; some.c += g->inner * g->c_z * size;
            if (some.plus) some.plus += g->inner * g->plus_z * size;
        }
        return RT_OK;
    }
    int64_t split = split_of(t, g, &threads), rows = g->m, cols = g->n;
    if (g->plus && (by_rows(g, split) || by_passes(t, g))) {
        RtGemm here = *g;
        here.plus = NULL;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) collapse(2) if (threads > 1))
        for (int64_t z = 0; z < g->batch; z++)
            for (int64_t i = 0; i < g->m; i++) memcpy(g->c + (z * g->c_z + i * g->c_m) * size, g->plus + (z * g->plus_z + i * g->plus_m) * size, (size_t)(g->n * size));
        return rt_gemm(t, &here);
    }
    if (by_pairs(t, g)) return pairs(t, g, threads);
    if (is_few_16(t, g)) {
        if (g->batch < threads) cols = ((g->n + threads - 1) / threads + FEW_SOME - 1) / FEW_SOME * FEW_SOME;
        return in_pieces(t, g, threads, rows, cols, few_16, 0);
    }
    if (by_reals(t, g)) return complex_product(t, g, threads);
    if (by_lines(g)) return complex_lines(t, g, threads);
    if (by_rows(g, split)) return rows_of_one(t, g, threads, split);
    if (g->m == 1 && g->n == 1 && g->batch > 1 && (g->dtype == RT_F32 || g->dtype == RT_F64) && ((g->a_k == 1 && g->b_k == 1) || g->k == 1)
        && g->beta[0] == 0 && !g->bias && g->act < 0) return dots_of_lines(t, g, threads);
    if ((split > 1 || (threads == 1 && g->threads > 0)) && by_passes(t, g)) {
        int status = RT_OK;
        for (int64_t z = 0; z < g->batch && !status; z++) status = passes(t, g, threads, z);
        return status;
    }
    int cut = g->act >= 0 && size > 2 && g->k <= RT_KC && g->m * g->n * size > ACT_BYTES && g->c_n == 1;
    if (split > 1 || cut) {
        if (size == 2 && rt_kind(g->dtype) == RT_KIND_FLOAT) {
            int status = RT_OK;
            for (int64_t z = 0; z < g->batch && !status; z++) status = shared_16(t, g, threads, z);
            return status;
        }
        grid(t, g, split, &rows, &cols);
        if (cut) rows = max64(ACT_ROWS, min64(rows, ACT_BYTES / (cols * size) / ACT_ROWS * ACT_ROWS));
    } else if (threads == 1 && g->batch == 1) return one(t, g, 0);
    return in_pieces(t, g, threads, rows, cols, one_part, 0);
}

#include "gemm_kept.h"

int rt_int8(const RtGemmTable *t, int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign, const int8_t *b,
            int64_t b_k, int64_t b_n, int32_t *c, int threads) {
    if (k == 0) { memset(c, 0, (size_t)(m * n) * sizeof *c); return RT_OK; }
    int failed = RT_OK, count = (int)max64(1, min64(threads, m * n * k / (4 * GRAIN_MACS)));
    RtGemm whole = {.m = m, .n = n, .k = k};
    int64_t rows, cols;
    cut_up(&whole, count, 64, a_k == 1 ? 0 : 10, b_n == 1 ? 5 : 7, &rows, &cols);
    RT_OMP(omp parallel for num_threads(count) schedule(static) collapse(2) if (count > 1))
    for (int64_t i = 0; i < m; i += rows)
        for (int64_t j = 0; j < n; j += cols) {
            void *room = packed_room();
            if (!room) { RT_OMP(omp atomic write) failed = RT_ERR_MEMORY; }
            else t->int8(min64(rows, m - i), min64(cols, n - j), k, a + i * a_m, a_m, a_k, unsign, b + j * b_n, b_k, b_n, c + i * n + j, n, room);
        }
    return failed;
}

/* Long vectors in 64 pieces whose sums are added in order: the same bits on any number of threads. */
enum { DOT_PIECES = 64, DOT_LONG = 1 << 17 };
#define LONG_DOT(T, F)                                                                             \
    static T F(const RtGemmTable *t, int64_t n, const T *x, const T *y, int threads) {             \
        if (n < DOT_LONG) return t->F(n, x, y);                                                    \
        T sums[DOT_PIECES];                                                                        \
        int64_t piece = (n / DOT_PIECES + 63) / 64 * 64;                                           \
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))            \
        for (int i = 0; i < DOT_PIECES; i++) {                                                     \
            int64_t from = min64(n, i * piece), to = i == DOT_PIECES - 1 ? n : min64(n, from + piece); \
            sums[i] = t->F(to - from, x + from, y + from);                                         \
        }                                                                                          \
        for (int w = DOT_PIECES / 2; w; w /= 2) for (int i = 0; i < w; i++) sums[i] += sums[i + w]; \
        return sums[0];                                                                            \
    }
LONG_DOT(float, dot_f32)
LONG_DOT(double, dot_f64)

/* Complex vectors of neighbouring elements, some at a time, whose sums are added in double. Long vectors as above. */
enum { COMPLEX_SOME = 1024, COMPLEX_LONG = 1 << 15, COMPLEX_SHORT = 32 };

static rt_c128 dot_some(const RtGemmTable *t, int dtype, int64_t n, const char *x, const char *y, int conj_x) {
    double re = 0, im = 0, sign = conj_x ? -1 : 1;
    for (int64_t i = 0; i < n; i += COMPLEX_SOME) {
        int64_t some = min64(COMPLEX_SOME, n - i);
        float s[4];
        double sum[4];
        if (dtype == RT_C64) {
            t->dot_pairs_f32(some, (const float *)x + 2 * i, (const float *)y + 2 * i, s);
            for (int j = 0; j < 4; j++) sum[j] = s[j];
        } else t->dot_pairs_f64(some, (const double *)x + 2 * i, (const double *)y + 2 * i, sum);
        re += sum[0] - sign * sum[1];
        im += sum[2] + sign * sum[3];
    }
    return re + im * _Complex_I;
}

static rt_c128 dot_complex(const RtGemmTable *t, int dtype, int64_t n, const char *x, const char *y, int conj_x, int threads) {
    if (n < COMPLEX_LONG) return dot_some(t, dtype, n, x, y, conj_x);
    int size = rt_itemsize(dtype);
    rt_c128 sums[DOT_PIECES];
    int64_t piece = (n / DOT_PIECES + COMPLEX_SOME - 1) / COMPLEX_SOME * COMPLEX_SOME;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int i = 0; i < DOT_PIECES; i++) {
        int64_t from = min64(n, i * piece), to = i == DOT_PIECES - 1 ? n : min64(n, from + piece);
        sums[i] = dot_some(t, dtype, to - from, x + from * size, y + from * size, conj_x);
    }
    for (int w = DOT_PIECES / 2; w; w /= 2) for (int i = 0; i < w; i++) sums[i] += sums[i + w];
    return sums[0];
}

void rt_dot(const RtGemmTable *t, int dtype, int64_t n, const char *x, int64_t x_s, const char *y, int64_t y_s,
            int conj_x, char *out, int threads) {
#define DOT(T, S, X)                                                                               \
    {                                                                                              \
        const T *p = (const T *)x, *q = (const T *)y;                                              \
        S s = 0;                                                                                   \
        for (int64_t i = 0; i < n; i++) s += (S)(X) * (S)q[i * y_s];                               \
        *(T *)out = (T)s;                                                                          \
    }
    switch (dtype) {
    case RT_F32:
        if (x_s == 1 && y_s == 1) *(float *)out = dot_f32(t, n, (const float *)x, (const float *)y, threads);
        else DOT(float, double, p[i * x_s])
        break;
    case RT_F64:
        if (x_s == 1 && y_s == 1) *(double *)out = dot_f64(t, n, (const double *)x, (const double *)y, threads);
        else DOT(double, double, p[i * x_s])
        break;
    case RT_C64:
        if (x_s == 1 && y_s == 1 && n >= COMPLEX_SHORT) *(rt_c64 *)out = (rt_c64)dot_complex(t, dtype, n, x, y, conj_x, threads);
        else if (conj_x) DOT(rt_c64, rt_c128, __builtin_conjf(p[i * x_s]))
        else DOT(rt_c64, rt_c128, p[i * x_s])
        break;
    case RT_C128:
        if (x_s == 1 && y_s == 1 && n >= COMPLEX_SHORT) *(rt_c128 *)out = dot_complex(t, dtype, n, x, y, conj_x, threads);
        else if (conj_x) DOT(rt_c128, rt_c128, __builtin_conj(p[i * x_s]))
        else DOT(rt_c128, rt_c128, p[i * x_s])
        break;
    case RT_F16: case RT_BF16: {
        float s = 0, p[256], q[256];
        for (int64_t i = 0; i < n; i += 256) {
            int64_t len = min64(256, n - i);
            t->widen(dtype, 1, len, x + i * x_s * 2, 0, x_s, p);
            t->widen(dtype, 1, len, y + i * y_s * 2, 0, y_s, q);
            s += t->dot_f32(len, p, q);
        }
        t->narrow(dtype, 1, &s, out, 1);
        break;
    }
    case RT_U8: DOT(uint8_t, uint32_t, p[i * x_s]) break;
    case RT_I8: DOT(int8_t, uint32_t, p[i * x_s]) break;
    case RT_I16: DOT(int16_t, uint32_t, p[i * x_s]) break;
    case RT_I32: DOT(int32_t, uint32_t, p[i * x_s]) break;
    default: DOT(int64_t, uint64_t, p[i * x_s])
    }
#undef DOT
}

int rt_outer(const RtGemmTable *t, int dtype, int64_t m, int64_t n, double alpha, const char *a, int64_t a_m, const char *b, double beta, const char *x, int64_t x_m,
             char *out, int threads) {
    if (dtype != RT_F32 && dtype != RT_F64) return RT_ERR_UNSUPPORTED;
    int size = rt_itemsize(dtype), parts = rt_few((double)m * (double)n * (x ? 2 : 1) * size, OUTER_GRAIN, threads, m);
    RT_OMP(omp parallel for num_threads(parts) schedule(static) if (parts > 1))
    for (int64_t s = 0; s < parts; s++) {
        int64_t i = m * s / parts, rows = m * (s + 1) / parts - i;
        const char *p = a + i * a_m * size, *y = x ? x + i * x_m * size : NULL;
        char *o = out + i * n * size;
        if (size == 4) t->outer_f32(rows, n, (float)alpha, (const float *)p, a_m, (const float *)b, (float)beta, (const float *)y, x_m, (float *)o, n);
        else t->outer_f64(rows, n, alpha, (const double *)p, a_m, (const double *)b, beta, (const double *)y, x_m, (double *)o, n);
    }
    return RT_OK;
}

/* Threads share columns, each of whose sums stays as it is. What was made by all of them just before lies in all their caches. */
#define COLSUM_LINE 64                     /* elements of a row, the least for a thread */

int rt_colsum(const RtGemmTable *t, int dtype, int64_t m, int64_t n, const char *x, char *out, int threads) {
    if (dtype != RT_F32 && dtype != RT_F64) return RT_ERR_UNSUPPORTED;
    int size = rt_itemsize(dtype), parts = rt_few((double)m * (double)n * size, rt_crew_awake() ? OUTER_GRAIN / RT_AWAKE : OUTER_GRAIN, threads, n / COLSUM_LINE);
    RT_OMP(omp parallel for num_threads(parts) schedule(static) if (parts > 1))
    for (int s = 0; s < parts; s++) {
        int64_t lines = (n + COLSUM_LINE - 1) / COLSUM_LINE, j = lines * s / parts * COLSUM_LINE, cols = min64(n, lines * (s + 1) / parts * COLSUM_LINE) - j;
        if (size == 4) t->colsum_f32(m, cols, (const float *)x + j, n, (float *)out + j, 0);
        else t->colsum_f64(m, cols, (const double *)x + j, n, (double *)out + j, 0);
    }
    return RT_OK;
}
