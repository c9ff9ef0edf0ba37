/* cuBLASLt's functions without a GPU, for tests: matrices lie in the memory of the software CUDA device, whose driver runs the product (or
 * records it, in a capture). It checks what it is asked for as the library does (attributes' sizes, layouts, leading dimensions, epilogues,
 * alignment that the plan promised, workspace) and lets a test see the last call. By agreement, to try what happens then:
 * a result of 13 rows has no algorithm, one of 11 rows an algorithm that does not run, one of 17 rows fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, C_32F = 4, C_64F = 5, R_16BF = 14 };
enum { COMPUTE_32F = 68, COMPUTE_64F = 70, FAST_TF32 = 77 };
enum { DEFAULT = 1, RELU = 2, BIAS = 4, GELU = 32 };
typedef struct { int compute, scale; int32_t op_a, op_b; uint32_t epilogue; const void *bias; } Desc;
typedef struct { int type; uint64_t rows, columns; int64_t ld, stride; int32_t batch; } Layout;
typedef struct { uint64_t workspace; uint32_t reduction, align[4]; } Pref;
typedef struct { uint64_t magic, workspace, align[4], refuses; uint32_t reduction, allowed; } Algo;
typedef struct { Algo algo; size_t workspace; int state; float waves; int reserved[4]; } Result;
typedef struct { Desc desc; Layout a, b, c, d; const void *pa, *pb, *pc; void *pd, *workspace; double alpha[2], beta[2]; size_t bytes; } Work;
#define MAGIC 0x6375626c61734c74ull
#define SPLIT 4096                            /* inner sizes from here on want a workspace */

/* of the last product: compute, op a, op b, epilogue, reduction mask, batch, whether c is d, lda, ldb, ldc, ldd, workspace asked for */
int64_t standin_last[12], standin_products, standin_heuristics;

static int (*call)(int (*)(void *), void *, size_t, void *), (*is_device)(uint64_t, size_t);
static int look(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size; (void)unused;
    const char *end = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
    if (!end || strcmp(end, "/driver.so")) return 0;
    void *driver = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!driver) return 0;
    *(void **)&call = dlsym(driver, "rt_soft_call");
    *(void **)&is_device = dlsym(driver, "rt_soft_holds");
    return 1;
}
static int bad(const char *text) { fprintf(stderr, "cuBLASLt stand-in: %s\n", text); return INVALID_VALUE; }

size_t cublasLtGetVersion(void) { return 130100; }
const char *cublasLtGetStatusName(int status) {
    return status == EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED" : status == INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_UNKNOWN";
}
int cublasLtCreate(void **handle) {
    static int made;
    if (!call) dl_iterate_phdr(look, NULL);
    if (!call || !is_device) return NOT_INITIALIZED;
    *handle = &made;
    return SUCCESS;
}
int cublasLtMatmulDescCreate(void **desc, int compute, int scale) {
    Desc *d = calloc(1, sizeof *d);
    d->compute = compute; d->scale = scale; d->epilogue = DEFAULT;
    *desc = d;
    return compute == COMPUTE_32F || compute == COMPUTE_64F || compute == FAST_TF32 ? SUCCESS : bad("compute type");
}
int cublasLtMatmulDescDestroy(void *desc) { free(desc); return SUCCESS; }
int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t size) {
    Desc *d = desc;
    switch (attribute) {
    case 3: if (size != 4) return bad("size of op a"); memcpy(&d->op_a, value, 4); break;
    case 4: if (size != 4) return bad("size of op b"); memcpy(&d->op_b, value, 4); break;
    case 7: if (size != 4) return bad("size of the epilogue"); memcpy(&d->epilogue, value, 4); break;
    case 8: if (size != 8) return bad("size of the bias pointer"); memcpy(&d->bias, value, 8); break;
    default: return bad("attribute of a product");
    }
    return d->op_a < 0 || d->op_a > 2 || d->op_b < 0 || d->op_b > 2 ? bad("op") : SUCCESS;
}
int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    Layout *l = calloc(1, sizeof *l);
    *l = (Layout){type, rows, columns, ld, 0, 1};
    *layout = l;
    return SUCCESS;
}
int cublasLtMatrixLayoutDestroy(void *layout) { free(layout); return SUCCESS; }
int cublasLtMatrixLayoutSetAttribute(void *layout, int attribute, const void *value, size_t size) {
    Layout *l = layout;
    if (attribute == 5 && size == 4) memcpy(&l->batch, value, 4);
    else if (attribute == 6 && size == 8) memcpy(&l->stride, value, 8);
    else return bad("attribute of a layout");
    return SUCCESS;
}
int cublasLtMatmulPreferenceCreate(void **pref) {
    Pref *p = calloc(1, sizeof *p);
    p->reduction = 7;
    for (int i = 0; i < 4; i++) p->align[i] = 256;
    *pref = p;
    return SUCCESS;
}
int cublasLtMatmulPreferenceDestroy(void *pref) { free(pref); return SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void *pref, int attribute, const void *value, size_t size) {
    Pref *p = pref;
    if (attribute == 1 && size == 8) memcpy(&p->workspace, value, 8);
    else if (attribute == 3 && size == 4) memcpy(&p->reduction, value, 4);
    else if (attribute >= 5 && attribute <= 8 && size == 4) memcpy(&p->align[attribute - 5], value, 4);
    else return bad("attribute of a preference");
    return SUCCESS;
}

static int complex_type(int type) { return type == C_32F || type == C_64F; }
static size_t size_of(int type) { return type == R_16F || type == R_16BF ? 2 : type == R_32F ? 4 : type == C_64F ? 16 : 8; }
/* 1: the parts belong together */
static int check(const Desc *d, const Layout *a, const Layout *b, const Layout *c, const Layout *o) {
    static const int types[][3] = {{R_32F, COMPUTE_32F, R_32F}, {R_32F, FAST_TF32, R_32F}, {R_64F, COMPUTE_64F, R_64F}, {R_16F, COMPUTE_32F, R_32F}, {R_16BF, COMPUTE_32F, R_32F},
                                   {C_32F, COMPUTE_32F, C_32F}, {C_32F, FAST_TF32, C_32F}, {C_64F, COMPUTE_64F, C_64F}};
    int known = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) known |= o->type == types[i][0] && d->compute == types[i][1] && d->scale == types[i][2];
    if (!known || a->type != o->type || b->type != o->type || c->type != o->type) return bad("types"), 0;
    uint64_t k = d->op_a ? a->rows : a->columns;
    if ((d->op_a ? a->columns : a->rows) != o->rows || (d->op_b ? b->columns : b->rows) != k || (d->op_b ? b->rows : b->columns) != o->columns ||
        c->rows != o->rows || c->columns != o->columns) return bad("sizes"), 0;
    const Layout *all[] = {a, b, c, o};
    for (int i = 0; i < 4; i++) {
        if (all[i]->ld < (int64_t)all[i]->rows) return bad("leading dimension"), 0;
        if (all[i]->batch != o->batch) return bad("batch"), 0;
        if (i >= 2 && o->batch > 1 && all[i]->stride == 0) return bad("batch stride of a result"), 0;
    }
    if ((d->op_a == 2 || d->op_b == 2) && !complex_type(o->type)) return bad("op C of real numbers"), 0;
    if (d->epilogue & ~(unsigned)(DEFAULT | RELU | BIAS | GELU) || ((d->epilogue & RELU) && (d->epilogue & GELU))) return bad("epilogue"), 0;
    return 1;
}
int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c, void *d, void *pref, int wanted, Result *results, int *got) {
    const Desc *de = desc;
    const Layout *la = a, *lo = d;
    const Pref *p = pref;
    uint64_t k = de->op_a ? la->rows : la->columns;
    *got = 0;
    standin_heuristics++;
    if (!handle || wanted < 1 || !check(de, a, b, c, d)) return INVALID_VALUE;
    if (lo->rows == 13 || (complex_type(lo->type) && de->epilogue != DEFAULT)) return NOT_SUPPORTED;
    for (int i = 0; i < wanted && i < 3; i++) {
        memset(&results[i], 0, sizeof *results);
        results[i].algo.magic = MAGIC;
        results[i].algo.workspace = results[i].workspace = k >= SPLIT && p->workspace >= 4096 ? 4096 : 0;
        for (int j = 0; j < 4; j++) results[i].algo.align[j] = p->align[j];
        results[i].algo.refuses = lo->rows == 11;
        results[i].algo.reduction = p->reduction;
        results[i].algo.allowed = (uint32_t)p->workspace;
        *got = i + 1;
    }
    return SUCCESS;
}

static double half(uint16_t h) {
    int e = h >> 10 & 31, f = h & 1023;
    double v = e == 31 ? (f ? NAN : INFINITY) : e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
    return h >> 15 ? -v : v;
}
static uint16_t to_half(float v) {
    uint16_t best = 0, sign = signbit(v) ? 0x8000 : 0;
    double x = fabs((double)v);
    if (isnan(v)) return 0x7e00;
    if (x >= 65520) return sign | 0x7c00;
    int lo = 0, hi = 0x7bff;                  /* the nearest, ties to even */
    while (lo < hi) { int mid = (lo + hi + 1) / 2; if (half((uint16_t)mid) <= x) lo = mid; else hi = mid - 1; }
    best = (uint16_t)lo;
    double up = lo == 0x7bff ? 65536.0 : half((uint16_t)(lo + 1)), down = half(best);
    if (x - down > up - x || (x - down == up - x && (lo & 1))) best++;
    return sign | best;
}
static float brain(uint16_t b) { uint32_t u = (uint32_t)b << 16; float f; memcpy(&f, &u, 4); return f; }
static uint16_t to_brain(float v) {
    uint32_t u;
    memcpy(&u, &v, 4);
    if (isnan(v)) return 0x7fc0;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static void get(int type, const void *base, int64_t i, double *re, double *im) {
    *im = 0;
    switch (type) {
    case R_32F: *re = ((const float *)base)[i]; break;
    case R_64F: *re = ((const double *)base)[i]; break;
    case R_16F: *re = half(((const uint16_t *)base)[i]); break;
    case R_16BF: *re = brain(((const uint16_t *)base)[i]); break;
    case C_32F: *re = ((const float *)base)[2 * i]; *im = ((const float *)base)[2 * i + 1]; break;
    case C_64F: *re = ((const double *)base)[2 * i]; *im = ((const double *)base)[2 * i + 1]; break;
    }
}
static void set(int type, void *base, int64_t i, double re, double im) {
    switch (type) {
    case R_32F: ((float *)base)[i] = (float)re; break;
    case R_64F: ((double *)base)[i] = re; break;
    case R_16F: ((uint16_t *)base)[i] = to_half((float)re); break;
    case R_16BF: ((uint16_t *)base)[i] = to_brain((float)re); break;
    case C_32F: ((float *)base)[2 * i] = (float)re; ((float *)base)[2 * i + 1] = (float)im; break;
    case C_64F: ((double *)base)[2 * i] = re; ((double *)base)[2 * i + 1] = im; break;
    }
}
static double tf32(double x) {
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7f800000) == 0x7f800000) return x;
    u = (u + 0xfff + (u >> 13 & 1)) & 0xffffe000;
    memcpy(&f, &u, 4);
    return f;
}
static int inside(const void *p, const Layout *l) {
    int64_t last = (int64_t)(l->rows - 1) + (int64_t)(l->columns - 1) * l->ld + (l->batch - 1) * l->stride;
    return is_device((uint64_t)(uintptr_t)p, (size_t)(last + 1) * size_of(l->type));
}
static int work(void *what) {                 /* by the driver, with device memory open */
    const Work *w = what;
    const Desc *d = &w->desc;
    int type = w->d.type;
    int64_t rows = (int64_t)w->d.rows, columns = (int64_t)w->d.columns, k = (int64_t)(d->op_a ? w->a.rows : w->a.columns);
    int uses_c = w->beta[0] != 0 || w->beta[1] != 0;
    if (!inside(w->pa, &w->a) || !inside(w->pb, &w->b) || !inside(w->pd, &w->d) || (uses_c && !inside(w->pc, &w->c)) ||
        (w->bytes && !is_device((uint64_t)(uintptr_t)w->workspace, w->bytes)) || (d->epilogue & BIAS && !is_device((uint64_t)(uintptr_t)d->bias, (size_t)rows * size_of(type)))) {
        bad("an address is not in one block of device memory");
        return 1;
    }
    if (w->bytes) memset(w->workspace, 0x5a, w->bytes);
    double *left = malloc(sizeof(double) * 2 * (size_t)(rows * k)), *right = malloc(sizeof(double) * 2 * (size_t)k);
    for (int32_t z = 0; z < w->d.batch; z++) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t l = 0; l < k; l++) {
                double *at = left + 2 * (i * k + l);
                get(type, w->pa, z * w->a.stride + (d->op_a ? l + i * w->a.ld : i + l * w->a.ld), at, at + 1);
                if (d->op_a == 2) at[1] = -at[1];
                if (d->compute == FAST_TF32) { at[0] = tf32(at[0]); at[1] = tf32(at[1]); }
            }
        for (int64_t j = 0; j < columns; j++) {
            for (int64_t l = 0; l < k; l++) {
                double *at = right + 2 * l;
                get(type, w->pb, z * w->b.stride + (d->op_b ? j + l * w->b.ld : l + j * w->b.ld), at, at + 1);
                if (d->op_b == 2) at[1] = -at[1];
                if (d->compute == FAST_TF32) { at[0] = tf32(at[0]); at[1] = tf32(at[1]); }
            }
            for (int64_t i = 0; i < rows; i++) {
                double re = 0, im = 0, c_re = 0, c_im = 0, o_re, o_im;
                const double *x = left + 2 * i * k;
                for (int64_t l = 0; l < k; l++) {
                    re += x[2 * l] * right[2 * l] - x[2 * l + 1] * right[2 * l + 1];
                    im += x[2 * l] * right[2 * l + 1] + x[2 * l + 1] * right[2 * l];
                }
                if (uses_c) get(type, w->pc, z * w->c.stride + i + j * w->c.ld, &c_re, &c_im);
                o_re = w->alpha[0] * re - w->alpha[1] * im + w->beta[0] * c_re - w->beta[1] * c_im;
                o_im = w->alpha[0] * im + w->alpha[1] * re + w->beta[0] * c_im + w->beta[1] * c_re;
                if (d->epilogue & BIAS) { get(type, d->bias, i, &re, &im); o_re += re; o_im += im; }
                if (d->epilogue & RELU) o_re = o_re > 0 || isnan(o_re) ? o_re : 0;
                if (d->epilogue & GELU) o_re = 0.5 * o_re * (1 + tanh(0.7978845608028654 * (o_re + 0.044715 * o_re * o_re * o_re)));
                set(type, w->pd, z * w->d.stride + i + j * w->d.ld, o_re, o_im);
            }
        }
    }
    free(left);
    free(right);
    return 0;
}
static void scalar(const Desc *d, const void *p, double *to) {
    to[1] = 0;
    if (d->scale == R_32F) to[0] = *(const float *)p;
    else if (d->scale == R_64F) to[0] = *(const double *)p;
    else if (d->scale == C_32F) { to[0] = ((const float *)p)[0]; to[1] = ((const float *)p)[1]; }
    else { to[0] = ((const double *)p)[0]; to[1] = ((const double *)p)[1]; }
}
int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a, void *la, const void *b, void *lb, const void *beta, const void *c, void *lc,
                   void *d, void *ld, const Algo *algo, void *workspace, size_t bytes, void *stream) {
    if (!handle || !algo || algo->magic != MAGIC) return bad("handle or algorithm");
    Work w = {*(Desc *)desc, *(Layout *)la, *(Layout *)lb, *(Layout *)lc, *(Layout *)ld, a, b, c, d, workspace, {0}, {0}, algo->workspace};
    const void *all[] = {a, b, c, d};
    if (!check(&w.desc, &w.a, &w.b, &w.c, &w.d)) return INVALID_VALUE;
    if (algo->refuses) return NOT_SUPPORTED;
    if (w.d.rows == 17) return EXECUTION_FAILED;
    for (int i = 0; i < 4; i++) if ((uintptr_t)all[i] % algo->align[i]) return bad("an operand lies worse than the plan promised");
    if (bytes < algo->workspace || (algo->workspace && (!workspace || (uintptr_t)workspace % 256))) return bad("workspace");
    if ((w.desc.epilogue & BIAS) && !w.desc.bias) return bad("no bias");
    if (complex_type(w.d.type) && ((uintptr_t)alpha | (uintptr_t)beta) % size_of(w.d.type)) return bad("alpha or beta lie worse than a complex number may");
    scalar(&w.desc, alpha, w.alpha);
    scalar(&w.desc, beta, w.beta);
    int64_t seen[] = {w.desc.compute, w.desc.op_a, w.desc.op_b, w.desc.epilogue, algo->reduction, w.d.batch, c == d, w.a.ld, w.b.ld, w.c.ld, w.d.ld, algo->allowed};
    memcpy(standin_last, seen, sizeof seen);
    standin_products++;
    return call(work, &w, sizeof w, stream) ? EXECUTION_FAILED : SUCCESS;
}
