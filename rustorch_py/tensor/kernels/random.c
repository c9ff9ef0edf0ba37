/* The CPU random stream; see Note [Same numbers as PyTorch] in random.h.
 *
 * Rounding is part of the contract: where PyTorch's build fuses a product and a sum, fma() is
 * written out, and the build lets the compiler fuse nothing by itself (-ffp-contract=off). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "random_engine.h"
#include "rustorch/half.h"
#include "rustorch/math.h"

#define PI 3.14159265358979323846
#define BLOCK RT_RANDOM_BLOCK

/* ---- uniforms ---- */

#define TWO_M24 5.9604644775390625e-08f          /* 2^-24 */
#define TWO_M53 1.1102230246251565404e-16        /* 2^-53 */

/* The low 53 bits of two words. Both parts and their sum are exact, and there is a vector instruction for each step. */
RT_INLINE double unit_f64(uint32_t high, uint32_t low) {
    double top = (double)(int32_t)(high & 0x1fffffu) * 4294967296.0;
    return (top + ((double)(int32_t)(low ^ 0x80000000u) + 2147483648.0)) * TWO_M53;
}

RT_INLINE void unit_f64_body(double *restrict x, const uint32_t *restrict w, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = unit_f64(w[2 * i], w[2 * i + 1]);
}

RT_INLINE void unit_f32_body(float *restrict x, const uint32_t *restrict w, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)(int32_t)(w[i] & 0xffffffu) * TWO_M24;
}

double rt_random_uniform_f64(RtRandom *g) {
    uint32_t high = rt_random_u32(g);
    return unit_f64(high, rt_random_u32(g));
}

/* ---- normals ---- */

double rt_random_normal_f64(RtRandom *g) {
    if (g->has_normal_f64) {
        g->has_normal_f64 = 0;
        return g->normal_f64;
    }
    double u1 = rt_random_uniform_f64(g), u2 = rt_random_uniform_f64(g);
    double r = sqrt(-2.0 * log1p(-u2)), theta = 2.0 * PI * u1;
    g->normal_f64 = r * sin(theta);
    g->has_normal_f64 = 1;
    return r * cos(theta);
}

RT_INLINE float as_float(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
RT_INLINE uint32_t as_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }

/* log and sincos for float32 after Cephes (S. L. Moshier, logf.c, sinf.c; public domain), with the
 * fused steps of the build whose numbers are matched; about 1 ULP on 2^-24 <= x <= 1. */
RT_INLINE float log_f32(float x) {
    uint32_t u = as_bits(x);
    float e = (float)((int32_t)(u >> 23) - 126);
    x = as_float((u & 0x807fffffu) | 0x3f000000u);               /* mantissa in [0.5, 1) */
    int small = x < 0.707106781186547524f;
    float again = small ? x : 0.0f;
    e -= small ? 1.0f : 0.0f;
    x = (x - 1.0f) + again;
    float z = x * x, y = 7.0376836292e-2f;
    y = fmaf(y, x, -1.1514610310e-1f);
    y = fmaf(y, x, 1.1676998740e-1f);
    y = fmaf(y, x, -1.2420140846e-1f);
    y = fmaf(y, x, 1.4249322787e-1f);
    y = fmaf(y, x, -1.6668057665e-1f);
    y = fmaf(y, x, 2.0000714765e-1f);
    y = fmaf(y, x, -2.4999993993e-1f);
    y = fmaf(y, x, 3.3333331174e-1f);
    y = fmaf(y * x, z, e * -2.12194440e-4f);
    y = fmaf(z, -0.5f, y);
    return fmaf(e, 0.693359375f, x + y);
}

RT_INLINE void sincos_f32(float x, float *s, float *c) {         /* 0 <= x < 8192 */
    int32_t j = ((int32_t)(x * 1.27323954473516f) + 1) & ~1;     /* octant, rounded up to even */
    float y = (float)j;
    uint32_t sign_s = (uint32_t)(j & 4) << 29, sign_c = (uint32_t)(~(j - 2) & 4) << 29;
    x = fmaf(y, -0.78515625f, x);                                /* x - y * pi/4 in three parts */
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float z = x * x;
    float pc = fmaf(2.443315711809948e-005f, z, -1.388731625493765e-003f);
    pc = fmaf(pc, z, 4.166664568298827e-002f);
    pc = fmaf(pc * z, z, z * -0.5f) + 1.0f;
    float ps = fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f);
    ps = fmaf(ps, z, -1.6666654611e-1f);
    ps = fmaf(ps * z, x, x);
    int swap = (j & 2) != 0;
    *s = as_float(as_bits(swap ? pc : ps) ^ sign_s);
    *c = as_float(as_bits(swap ? ps : pc) ^ sign_c);
}

/* Box-Muller in place on groups of 16 units: 8 for radii, 8 for angles. */
RT_INLINE void normal16_f32_body(float *x, int64_t groups, float mean, float std) {
    for (; groups > 0; groups--, x += 16) {
        float a[8], b[8];
        for (int j = 0; j < 8; j++) {
            float r = sqrtf(-2.0f * log_f32(1.0f - x[j])), s, c;
            sincos_f32((float)(2.0 * PI) * x[j + 8], &s, &c);
            a[j] = fmaf(r * c, std, mean);
            b[j] = fmaf(r * s, std, mean);
        }
        memcpy(x, a, sizeof a);
        memcpy(x + 8, b, sizeof b);
    }
}

static void normal16_f64(double *x, int64_t groups, double mean, double std) {
    for (; groups > 0; groups--, x += 16)
        for (int j = 0; j < 8; j++) {
            double r = sqrt(-2.0 * log(1.0 - x[j])), theta = 2.0 * PI * x[j + 8];
            x[j] = fma(r * cos(theta), std, mean);
            x[j + 8] = fma(r * sin(theta), std, mean);
        }
}

/* ---- the loops that matter most, once plain and once with fused multiply-add in hardware ---- */

RT_INLINE void scale_f32_body(float *x, int64_t n, float from, float to) {
    float width = to - from;
    for (int64_t i = 0; i < n; i++) {
        float v = fmaf(x[i], width, from);
        x[i] = v == to ? from : v;                               /* rounded up to the open end */
    }
}

RT_INLINE void scale_f64_body(double *x, int64_t n, double from, double to) {
    double width = to - from;
    for (int64_t i = 0; i < n; i++) {
        double v = fma(x[i], width, from);
        x[i] = v == to ? from : v;
    }
}

/* Note [Rounded values]
 * A result that will be rounded to float32 or shorter is the C library's value after that rounding. The vector functions are within a
 * few units of 2^-52 of it; so `e`, well above what that makes of the result, tells where it decides the rounding to 24 bits, and there the C
 * library is asked. NaN and infinities are such places. */
RT_INLINE int unsure(double y, double e) { return (float)(y - e) != (float)(y + e); }

/* scale * log1p(-x); 1 - x is exact. */
RT_INLINE void exponential_body(double *x, int64_t n, double scale) {
    double y[BLOCK];
    int open = 0;
    for (int64_t i = 0; i < n; i++) {
        y[i] = scale * rt_log_f64(1.0 - x[i]);
        open |= unsure(y[i], y[i] * 0x1p-46) | (x[i] == 0.0);
    }
    if (open)
        for (int64_t i = 0; i < n; i++)
            if (unsure(y[i], y[i] * 0x1p-46) || x[i] == 0.0) y[i] = scale * log1p(-x[i]);
    memcpy(x, y, (size_t)n * sizeof(double));
}

RT_INLINE void cauchy_body(double *x, int64_t n, double median, double sigma) {
    double y[BLOCK], e[BLOCK];
    int open = 0;
    for (int64_t i = 0; i < n; i++) {
        double t = sigma * rt_tan_near_f64(PI * (x[i] - 0.5));
        y[i] = t + median;
        e[i] = fabs(t) * 0x1p-44 + fabs(median) * 0x1p-50;
        open |= unsure(y[i], e[i]);
    }
    if (open)
        for (int64_t i = 0; i < n; i++)
            if (unsure(y[i], e[i])) y[i] = fma(sigma, tan(PI * (x[i] - 0.5)), median);
    memcpy(x, y, (size_t)n * sizeof(double));
}

/* exp of pairs of normals out of pairs of uniforms, as rt_random_normal_f64 makes them. */
static double log_normal_exact(const double *u, int second, double mean, double std) {
    double r = sqrt(-2.0 * log1p(-u[1])), theta = 2.0 * PI * u[0];
    return exp(fma(r * (second ? sin(theta) : cos(theta)), std, mean));
}
RT_INLINE void log_normal_body(double *x, int64_t n, double mean, double std) {      /* n is even */
    double y[BLOCK], e[BLOCK];
    int open = 0;
    for (int64_t i = 0; i < n / 2; i++) {
        double r = sqrt(-2.0 * rt_log_f64(1.0 - x[2 * i + 1])) * std, theta = 2.0 * PI * x[2 * i];
        double c = r * rt_cos_near_f64(theta), s = r * rt_sin_near_f64(theta), a = rt_exp_f64(c + mean), b = rt_exp_f64(s + mean);
        y[2 * i] = a;
        y[2 * i + 1] = b;
        /* exp makes a relative error of an absolute one */
        e[2 * i] = a * ((fabs(c) + fabs(mean)) * 0x1p-46 + 0x1p-48);
        e[2 * i + 1] = b * ((fabs(s) + fabs(mean)) * 0x1p-46 + 0x1p-48);
        open |= unsure(a, e[2 * i]) | unsure(b, e[2 * i + 1]);
    }
    if (open)
        for (int64_t i = 0; i < n; i++)
            if (unsure(y[i], e[i])) y[i] = log_normal_exact(x + (i & ~(int64_t)1), i & 1, mean, std);
    memcpy(x, y, (size_t)n * sizeof(double));
}

/* w % d + base for 1 < d < 2^28: the quotient in float64 is right or one off. */
RT_INLINE void remainder_body(int64_t *restrict x, const uint32_t *restrict w, int64_t n, uint32_t d, int64_t base) {
    double inverse = 1.0 / d;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)(int32_t)(w[i] ^ 0x80000000u) + 2147483648.0;
        int32_t rest = (int32_t)(w[i] - (uint32_t)(int32_t)(v * inverse) * d);
        rest += rest < 0 ? (int32_t)d : 0;
        rest -= rest >= (int32_t)d ? (int32_t)d : 0;
        x[i] = base + rest;
    }
}

static void unit_f32_base(float *x, const uint32_t *w, int64_t n) { unit_f32_body(x, w, n); }
static void scale_f32_base(float *x, int64_t n, float from, float to) { scale_f32_body(x, n, from, to); }
static void scale_f64_base(double *x, int64_t n, double from, double to) { scale_f64_body(x, n, from, to); }
static void normal16_f32_base(float *x, int64_t groups, float mean, float std) {
    normal16_f32_body(x, groups, mean, std);
}

static void unit_f64_base(double *x, const uint32_t *w, int64_t n) { unit_f64_body(x, w, n); }
static void exponential_base(double *x, int64_t n, double scale) { exponential_body(x, n, scale); }
static void cauchy_base(double *x, int64_t n, double median, double sigma) { cauchy_body(x, n, median, sigma); }
static void log_normal_base(double *x, int64_t n, double mean, double std) { log_normal_body(x, n, mean, std); }
static void remainder_base(int64_t *x, const uint32_t *w, int64_t n, uint32_t d, int64_t base) { remainder_body(x, w, n, d, base); }

#ifdef FUSED
FUSED static void unit_f32_fused(float *x, const uint32_t *w, int64_t n) { unit_f32_body(x, w, n); }
FUSED static void unit_f64_fused(double *x, const uint32_t *w, int64_t n) { unit_f64_body(x, w, n); }
FUSED static void scale_f32_fused(float *x, int64_t n, float from, float to) { scale_f32_body(x, n, from, to); }
FUSED static void scale_f64_fused(double *x, int64_t n, double from, double to) { scale_f64_body(x, n, from, to); }
FUSED static void normal16_f32_fused(float *x, int64_t groups, float mean, float std) {
    normal16_f32_body(x, groups, mean, std);
}
FUSED static void exponential_fused(double *x, int64_t n, double scale) { exponential_body(x, n, scale); }
FUSED static void cauchy_fused(double *x, int64_t n, double median, double sigma) { cauchy_body(x, n, median, sigma); }
FUSED static void log_normal_fused(double *x, int64_t n, double mean, double std) { log_normal_body(x, n, mean, std); }
FUSED static void remainder_fused(int64_t *x, const uint32_t *w, int64_t n, uint32_t d, int64_t base) { remainder_body(x, w, n, d, base); }
#endif

void rt_random_units_f32(RtRandom *g, float *x, int64_t n) {        /* n <= BLOCK */
    uint32_t w[BLOCK];
    rt_random_words(g, w, n);
    PICK(unit_f32)(x, w, n);
}

void rt_random_units_f64(RtRandom *g, double *x, int64_t n) {       /* n <= BLOCK */
    uint32_t w[2 * BLOCK];
    rt_random_words(g, w, 2 * n);
    PICK(unit_f64)(x, w, n);
}

/* ---- from values made in float, double or int64 to memory of any dtype and strides ---- */

/* Dense memory has a loop of its own, which vector instructions take. */
#define PUT(T, value)                                                                              \
    if (step == sizeof(T)) { T *q = (T *)p; for (int64_t i = 0; i < n; i++) q[i] = value; }        \
    else for (int64_t i = 0; i < n; i++, p += step) *(T *)p = value;                               \
    break;
#define STORE(name, from)                                                                          \
    int name(int dtype, char *p, int64_t step, const from *v, int64_t n) {                         \
        switch (dtype) {                                                                           \
        case RT_BOOL: PUT(uint8_t, v[i] != 0)                                                      \
        case RT_U8:   PUT(uint8_t, (uint8_t)to_i64_##from(v[i]))                                   \
        case RT_I8:   PUT(int8_t, (int8_t)to_i64_##from(v[i]))                                     \
        case RT_I16:  PUT(int16_t, (int16_t)to_i64_##from(v[i]))                                   \
        case RT_I32:  PUT(int32_t, (int32_t)to_i64_##from(v[i]))                                   \
        case RT_I64:  PUT(int64_t, to_i64_##from(v[i]))                                            \
        case RT_F16:  PUT(rt_f16, rt_f32_to_f16((float)v[i]))                                      \
        case RT_BF16: PUT(rt_bf16, rt_f32_to_bf16((float)v[i]))                                    \
        case RT_F32:  PUT(float, (float)v[i])                                                      \
        case RT_F64:  PUT(double, (double)v[i])                                                    \
        default: return -1;                                                                        \
        }                                                                                          \
        return 0;                                                                                  \
    }

RT_INLINE int64_t to_i64_int64_t(int64_t v) { return v; }
RT_INLINE int64_t to_i64_double(double v) {                      /* out of range: as x86 converts */
    return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN;
}
RT_INLINE int64_t to_i64_float(float v) { return to_i64_double(v); }

STORE(rt_random_store_f64, double)
static STORE(store_i64, int64_t)
static STORE(store_f32, float)

double rt_random_load(int dtype, const char *p) {
    switch (dtype) {
    case RT_F16:  return rt_f16_to_f32(*(const rt_f16 *)p);
    case RT_BF16: return rt_bf16_to_f32(*(const rt_bf16 *)p);
    case RT_F32:  return *(const float *)p;
    default:      return *(const double *)p;
    }
}

/* What a fill needs to know; the meaning of a, b depends on the distribution. */
typedef struct Fill {
    RtRandom *g;
    int       dtype;
    double    a, b;
    uint64_t  range;
    int64_t   base;
    int       per;                     /* words for a value; 0: `make` draws by itself */
    int     (*make)(const struct Fill *, const uint32_t *words, char *p, int64_t step, int64_t n);   /* n <= BLOCK */
    int     (*line)(const struct Fill *, char *p, int64_t step, int64_t n);   /* or NULL: n values by `make` */
} Fill;

typedef struct { const Fill *f; char *p; int64_t step; } Line;

static int make_piece(const void *what, const uint32_t *words, int64_t start, int64_t n) {
    const Line *l = what;
    return l->f->make(l->f, words, l->p + start * l->step, l->step, n);
}

/* Complex as pairs of reals: one more dimension of size 2, innermost. */
static RtArray as_real(const RtArray *a) {
    RtArray r;
    r.data = a->data;
    r.dtype = rt_real_dtype(a->dtype);
    r.ndim = a->ndim;
    int pairs = r.dtype != a->dtype;
    for (int d = 0; d < a->ndim; d++) {
        r.shape[d] = a->shape[d];
        r.strides[d] = a->strides[d] * (pairs ? 2 : 1);
    }
    if (pairs && r.ndim < RT_MAX_DIM) {
        r.shape[r.ndim] = 2;
        r.strides[r.ndim++] = 1;
    }
    return r;
}

/* The walk over one or two arrays of one shape, smallest step of the first innermost. */
void rt_random_plan(RtIter *it, const RtArray *out, const RtArray *in) {
    it->ndim = out->ndim;
    it->nargs = in ? 2 : 1;
    it->numel = rt_numel(out->ndim, out->shape);
    it->ptr[0] = out->data;
    it->dtype[0] = out->dtype;
    if (in) { it->ptr[1] = in->data; it->dtype[1] = in->dtype; }
    for (int d = 0; d < out->ndim; d++) {
        int s = out->ndim - 1 - d;
        it->shape[d] = out->shape[s];
        it->step_bytes[d][0] = out->strides[s] * rt_itemsize(out->dtype);
        if (in) it->step_bytes[d][1] = in->strides[s] * rt_itemsize(in->dtype);
    }
    rt_iter_coalesce(it);
}

static int run(Fill *f, const RtArray *out) {
    RtArray real = as_real(out);
    RtIter it;
    rt_random_plan(&it, &real, NULL);
    if (it.numel == 0) return 0;
    f->dtype = real.dtype;
    int64_t idx[RT_MAX_DIM] = {0}, n = it.shape[0], step = it.step_bytes[0][0];
    char *ptr[RT_MAX_ARGS] = {it.ptr[0]};
    do {
        if (f->line) {
            int rc = f->line(f, ptr[0], step, n);
            if (rc) return rc;
        } else if (f->per) {
            Line line = {f, ptr[0], step};
            int rc = rt_random_pieces(f->g, n, f->per, make_piece, &line);
            if (rc) return rc;
        } else for (int64_t i = 0; i < n; i += BLOCK) {
            int rc = f->make(f, NULL, ptr[0] + i * step, step, n - i < BLOCK ? n - i : BLOCK);
            if (rc) return rc;
        }
    } while (rt_iter_next(&it, 1, idx, ptr));
    return 0;
}

/* ---- uniform ---- */

static int make_uniform_f32(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    float x[BLOCK], from = (float)f->a, to = (float)f->b;
    int direct = f->dtype == RT_F32 && step == sizeof(float);
    float *v = direct ? (float *)p : x;
    PICK(unit_f32)(v, w, n);
    if (f->dtype == RT_F32) {
        if (from != 0.0f || to != 1.0f) PICK(scale_f32)(v, n, from, to);
        return direct ? 0 : store_f32(f->dtype, p, step, v, n);
    }
    /* 16-bit: the rounding to 16 bits may reach the open end as well */
    int f16 = f->dtype == RT_F16;
    if (!f16 && f->dtype != RT_BF16) return -1;
    float width = to - from;
    float end = f16 ? rt_f16_to_f32(rt_f32_to_f16(to)) : rt_bf16_to_f32(rt_f32_to_bf16(to));
    for (int64_t i = 0; i < n; i++) {
        float y = fmaf(v[i], width, from);
        y = f16 ? rt_f16_to_f32(rt_f32_to_f16(y)) : rt_bf16_to_f32(rt_f32_to_bf16(y));
        v[i] = y == end ? from : y;
    }
    return store_f32(f->dtype, p, step, v, n);
}

static int make_uniform_f64(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    double x[BLOCK];
    int direct = step == sizeof(double);
    double *v = direct ? (double *)p : x;
    PICK(unit_f64)(v, w, n);
    if (f->a != 0.0 || f->b != 1.0) PICK(scale_f64)(v, n, f->a, f->b);
    return direct ? 0 : rt_random_store_f64(f->dtype, p, step, v, n);
}

int rt_random_uniform(RtRandom *g, const RtArray *out, double from, double to) {
    if (rt_kind(out->dtype) < RT_KIND_FLOAT) return -1;
    Fill f = {.g = g, .a = from, .b = to};
    f.per = rt_real_dtype(out->dtype) == RT_F64 ? 2 : 1;
    f.make = f.per == 2 ? make_uniform_f64 : make_uniform_f32;
    return run(&f, out);
}

/* ---- normal ---- */

static int make_normal(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    (void)w;
    double x[BLOCK];
    for (int64_t i = 0; i < n; i++) x[i] = fma(rt_random_normal_f64(f->g), f->b, f->a);
    return rt_random_store_f64(f->dtype, p, step, x, n);
}

/* Whole groups of 16 of contiguous memory; what is behind the last stays uniform. */
static int make_groups(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    if (f->dtype == RT_F64) {
        PICK(unit_f64)((double *)p, w, n);
        normal16_f64((double *)p, n / 16, f->a, f->b);
        return 0;
    }
    float x[BLOCK], *v = f->dtype == RT_F32 ? (float *)p : x;
    PICK(unit_f32)(v, w, n);
    PICK(normal16_f32)(v, n / 16, (float)f->a, (float)f->b);
    return v == x ? store_f32(f->dtype, p, step, x, n) : 0;
}

static int normal_groups(RtRandom *g, int dtype, char *p, int64_t n, double mean, double std) {
    Fill f = {.g = g, .dtype = dtype, .a = mean, .b = std, .per = dtype == RT_F64 ? 2 : 1, .make = make_groups};
    Line line = {&f, p, rt_itemsize(dtype)};
    return rt_random_pieces(g, n, f.per, make_piece, &line);
}

int rt_random_normal(RtRandom *g, const RtArray *out, double mean, double std) {
    if (rt_kind(out->dtype) < RT_KIND_FLOAT) return -1;
    RtArray a = as_real(out);
    if (a.dtype != out->dtype) std /= sqrt(2.0);                 /* half the variance to each part */
    int64_t n = rt_numel(a.ndim, a.shape);
    if (n < 16 || !rt_is_contiguous(a.ndim, a.shape, a.strides)) {
        Fill f = {.g = g, .a = mean, .b = std, .make = make_normal};
        return run(&f, &a);
    }
    /* float32 and float64 draw all n units first, so a ragged end costs words that are drawn
     * again; the 16-bit types draw only whole groups. */
    int half = rt_itemsize(a.dtype) == 2;
    int64_t whole = half ? n & ~(int64_t)15 : n, last = n - 16;
    char *end = a.data + last * rt_itemsize(a.dtype);
    int rc = normal_groups(g, a.dtype, a.data, whole, mean, std);
    return rc || n % 16 == 0 ? rc : normal_groups(g, a.dtype, end, 16, mean, std);
}

static int make_log_normal(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {      /* whole pairs */
    double x[BLOCK];
    PICK(unit_f64)(x, w, n);
    if (f->dtype != RT_F64) PICK(log_normal)(x, n, f->a, f->b);
    else for (int64_t i = 0; i < n; i += 2) {
        double u[2] = {x[i], x[i + 1]};
        x[i] = log_normal_exact(u, 0, f->a, f->b);
        x[i + 1] = log_normal_exact(u, 1, f->a, f->b);
    }
    return rt_random_store_f64(f->dtype, p, step, x, n);
}

/* A line: what is left of a pair, pairs, and the first of a pair whose second waits for the next call. */
static int log_normal_line(const Fill *f, char *p, int64_t step, int64_t n) {
    int64_t i = f->g->has_normal_f64 && n ? 1 : 0, pairs = (n - i) & ~(int64_t)1;
    int rc = 0;
    double x;
    if (i) {
        x = exp(fma(rt_random_normal_f64(f->g), f->b, f->a));
        rc = rt_random_store_f64(f->dtype, p, step, &x, 1);
    }
    Line line = {f, p + i * step, step};
    if (!rc && pairs) rc = rt_random_pieces(f->g, pairs, 2, make_piece, &line);
    if (rc || i + pairs == n) return rc;
    x = exp(fma(rt_random_normal_f64(f->g), f->b, f->a));
    return rt_random_store_f64(f->dtype, p + (n - 1) * step, step, &x, 1);
}

int rt_random_log_normal(RtRandom *g, const RtArray *out, double mean, double std) {
    if (rt_kind(out->dtype) != RT_KIND_FLOAT) return -1;
    Fill f = {.g = g, .a = mean, .b = std, .per = 2, .make = make_log_normal, .line = log_normal_line};
    return run(&f, out);
}

/* ---- by inversion of one float64 uniform ---- */

static int make_cauchy(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    double x[BLOCK];
    PICK(unit_f64)(x, w, n);
    if (f->dtype != RT_F64) PICK(cauchy)(x, n, f->a, f->b);
    else for (int64_t i = 0; i < n; i++) x[i] = fma(f->b, tan(PI * (x[i] - 0.5)), f->a);
    return rt_random_store_f64(f->dtype, p, step, x, n);
}

static int make_exponential(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    double x[BLOCK], scale = -1.0 / f->a;
    PICK(unit_f64)(x, w, n);
    if (f->dtype != RT_F64) PICK(exponential)(x, n, scale);
    else for (int64_t i = 0; i < n; i++) x[i] = scale * log1p(-x[i]);
    return rt_random_store_f64(f->dtype, p, step, x, n);
}

static int make_geometric(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    double x[BLOCK], base = log1p(-f->a);
    PICK(unit_f64)(x, w, n);
    for (int64_t i = 0; i < n; i++) x[i] = ceil(log(x[i]) / base);
    return rt_random_store_f64(f->dtype, p, step, x, n);
}

static int make_bernoulli(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    double x[BLOCK];
    PICK(unit_f64)(x, w, n);
    for (int64_t i = 0; i < n; i++) x[i] = x[i] < f->a;
    return rt_random_store_f64(f->dtype, p, step, x, n);
}

int rt_random_cauchy(RtRandom *g, const RtArray *out, double median, double sigma) {
    if (rt_kind(out->dtype) != RT_KIND_FLOAT) return -1;
    Fill f = {.g = g, .a = median, .b = sigma, .per = 2, .make = make_cauchy};
    return run(&f, out);
}

int rt_random_exponential(RtRandom *g, const RtArray *out, double lambda) {
    if (rt_kind(out->dtype) != RT_KIND_FLOAT) return -1;
    Fill f = {.g = g, .a = lambda, .per = 2, .make = make_exponential};
    return run(&f, out);
}

int rt_random_geometric(RtRandom *g, const RtArray *out, double p) {
    int kind = rt_kind(out->dtype);
    if (kind != RT_KIND_INT && kind != RT_KIND_FLOAT) return -1;
    Fill f = {.g = g, .a = p, .per = 2, .make = make_geometric};
    return run(&f, out);
}

int rt_random_bernoulli(RtRandom *g, const RtArray *out, double p) {
    if (rt_kind(out->dtype) == RT_KIND_COMPLEX) return -1;
    Fill f = {.g = g, .a = p, .per = 2, .make = make_bernoulli};
    return run(&f, out);
}

/* ---- integers ---- */

static int make_int_range(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    int64_t values[BLOCK];
    uint64_t range = f->range, base = (uint64_t)f->base;
    int direct = f->dtype == RT_I64 && step == sizeof(int64_t);
    int64_t *x = direct ? (int64_t *)p : values;
    if (f->per == 2)
        for (int64_t i = 0; i < n; i++)
            x[i] = (int64_t)(((uint64_t)w[2 * i] << 32 | w[2 * i + 1]) % range + base);
    else if (range == 1)
        for (int64_t i = 0; i < n; i++) x[i] = (int64_t)base;
    else PICK(remainder)(x, w, n, (uint32_t)range, (int64_t)base);
    return direct ? 0 : store_i64(f->dtype, p, step, x, n);
}

static int make_int_full64(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    int64_t x[BLOCK];
    for (int64_t i = 0; i < n; i++) x[i] = (int64_t)((uint64_t)w[2 * i] << 32 | w[2 * i + 1]);
    return store_i64(f->dtype, p, step, x, n);
}

/* Ranges are powers of two, or one more than that: division is slow. */
static int make_int(const Fill *f, const uint32_t *w, char *p, int64_t step, int64_t n) {
    int64_t x[BLOCK];
    uint64_t mask = f->range - 1;
    if (f->range & mask) {
        if (f->per == 1) PICK(remainder)(x, w, n, (uint32_t)f->range, 0);
        else for (int64_t i = 0; i < n; i++) {                   /* of 2^53 + 1: the quotient is right or one too large */
            uint64_t v = (uint64_t)w[2 * i] << 32 | w[2 * i + 1];
            int64_t rest = (int64_t)(v - (v >> 53) * f->range);
            x[i] = rest < 0 ? rest + (int64_t)f->range : rest;
        }
    }
    else if (f->per == 2) for (int64_t i = 0; i < n; i++) x[i] = (int64_t)(((uint64_t)w[2 * i] << 32 | w[2 * i + 1]) & mask);
    else for (int64_t i = 0; i < n; i++) x[i] = (int64_t)(w[i] & mask);
    return store_i64(f->dtype, p, step, x, n);
}

int rt_random_int_range(RtRandom *g, const RtArray *out, uint64_t range, int64_t base) {
    if (rt_kind(out->dtype) == RT_KIND_COMPLEX || range == 0) return -1;
    Fill f = {.g = g, .range = range, .base = base, .make = make_int_range};
    f.per = range >= 1ull << 28 ? 2 : 1;                         /* keeps the skew of % small */
    return run(&f, out);
}

int rt_random_int_full64(RtRandom *g, const RtArray *out) {
    if (out->dtype != RT_I64 && out->dtype != RT_F64 && out->dtype != RT_F32 && out->dtype != RT_BF16) return -1;
    Fill f = {.g = g, .per = 2, .make = make_int_full64};
    return run(&f, out);
}

int rt_random_int(RtRandom *g, const RtArray *out) {
    Fill f = {.g = g, .per = out->dtype == RT_I64 || out->dtype == RT_F64 ? 2 : 1, .make = make_int};
    switch (out->dtype) {
    case RT_BOOL: f.range = 2; break;
    case RT_U8:   f.range = 1ull << 8; break;
    case RT_I8:   f.range = 1ull << 7; break;
    case RT_I16:  f.range = 1ull << 15; break;
    case RT_I32:  f.range = 1ull << 31; break;
    case RT_I64:  f.range = 1ull << 63; break;
    case RT_BF16: f.range = (1ull << 8) + 1; break;              /* 2^digits is still exact */
    case RT_F16:  f.range = (1ull << 11) + 1; break;
    case RT_F32:  f.range = (1ull << 24) + 1; break;
    case RT_F64:  f.range = (1ull << 53) + 1; break;
    default: return -1;
    }
    return run(&f, out);
}

/* ---- permutation: Fisher-Yates from the front ---- */

/* Distances to swap over for places at ... at + m - 1 of n < 2^30: w % (n - place), as in remainder_body. */
RT_INLINE void distances_body(int32_t *restrict z, const uint32_t *restrict w, int32_t left, int32_t m) {
    for (int32_t i = 0; i < m; i++) {
        int32_t d = left - i;
        double v = (double)(int32_t)(w[i] ^ 0x80000000u) + 2147483648.0, q = v / (double)d;
        /* d of 1 would take the quotient out of int32; it has no place after it */
        int32_t rest = (int32_t)(w[i] - (uint32_t)(int32_t)(q < 2147483647.0 ? q : 2147483647.0) * (uint32_t)d);
        rest += rest < 0 ? d : 0;
        z[i] = rest - (rest >= d ? d : 0);
    }
}
/* The same for d >= 4096, in half the time. float32 tells w to 2^8 and the quotient, at most 2^20, to 2^-3 besides, so that its
 * floor is right or 1 off. */
RT_INLINE void far_distances_body(int32_t *restrict z, const uint32_t *restrict w, int32_t left, int32_t m) {
    for (int32_t i = 0; i < m; i++) {
        int32_t d = left - i;
        float v = (float)(int32_t)(w[i] ^ 0x80000000u) + 2147483648.0f;
        int32_t rest = (int32_t)(w[i] - (uint32_t)(int32_t)(v / (float)d) * (uint32_t)d);
        rest += rest < 0 ? d : 0;
        z[i] = rest - (rest >= d ? d : 0);
    }
}
static void distances_base(int32_t *z, const uint32_t *w, int32_t left, int32_t m) { distances_body(z, w, left, m); }
static void far_distances_base(int32_t *z, const uint32_t *w, int32_t left, int32_t m) { far_distances_body(z, w, left, m); }
#ifdef FUSED
FUSED static void distances_fused(int32_t *z, const uint32_t *w, int32_t left, int32_t m) { distances_body(z, w, left, m); }
FUSED static void far_distances_fused(int32_t *z, const uint32_t *w, int32_t left, int32_t m) { far_distances_body(z, w, left, m); }
#endif

#define SWAP(T, a, b) { T *x = (T *)(a), *y = (T *)(b), t = *x; *x = *y; *y = t; }
#define PERMUTE(T, FROM)                                                                   \
    for (int64_t i = 0; i < n; i++) *(T *)(p + i * step) = FROM(i);                        \
    if (n < (1ll << 30))                                                                   \
        for (int64_t i = 0; i < n - 1; i += BLOCK, p += BLOCK * step) {                    \
            uint32_t w[BLOCK];                                                             \
            int32_t z[BLOCK], m = (int32_t)(n - 1 - i < BLOCK ? n - 1 - i : BLOCK);        \
            rt_random_words(g, w, m);                                                      \
            if (n - i - m >= 4096) PICK(far_distances)(z, w, (int32_t)(n - i), m);         \
            else PICK(distances)(z, w, (int32_t)(n - i), m);                               \
            if (step == sizeof(T))                                                         \
                for (int32_t k = 0; k < m; k++) SWAP(T, (T *)p + k, (T *)p + k + z[k])     \
            else                                                                           \
                for (int64_t k = 0; k < m; k++) SWAP(T, p + k * step, p + (k + z[k]) * step) \
        }                                                                                  \
    else                                                                                   \
        for (int64_t i = 0; i < n - 1; i++) {                                              \
            int64_t z = (int64_t)(rt_random_u32(g) % (uint64_t)(n - i));                   \
            SWAP(T, p + i * step, p + (i + z) * step)                                      \
        }                                                                                  \
    return 0;

typedef struct { int32_t *z, n; } Distances;

static int make_distances(const void *what, const uint32_t *words, int64_t start, int64_t m) {
    const Distances *d = what;
    if (d->n - start - m >= 4096) PICK(far_distances)(d->z + start, words, (int32_t)(d->n - start), (int32_t)m);
    else PICK(distances)(d->z + start, words, (int32_t)(d->n - start), (int32_t)m);
    return 0;
}

/* Of int64, which programs ask for: the distances first, by several threads, then swaps in an array of half the size. What comes to a
 * place stays there, and goes to the result at once. -2: no memory. */
static int permute_i64(RtRandom *g, int64_t *out, int64_t n) {
    int32_t *z = malloc(2 * (size_t)n * sizeof *z), *v = z + n;
    if (!z) return -2;
    Distances d = {z, (int32_t)n};
    rt_random_pieces(g, n - 1, 1, make_distances, &d);
    for (int64_t i = 0; i < n; i++) v[i] = (int32_t)i;
    for (int64_t i = 0; i < n - 1; i++) {
        int32_t *other = v + i + z[i], here = v[i];
        out[i] = *other;
        *other = here;
    }
    out[n - 1] = v[n - 1];
    free(z);
    return 0;
}

#define F16_OF(i) rt_f32_to_f16((float)(i))
#define BF16_OF(i) rt_f32_to_bf16((float)(i))

int rt_random_permutation(RtRandom *g, const RtArray *out, int64_t n) {
    char *p = out->data;
    int64_t step = n ? out->strides[0] * rt_itemsize(out->dtype) : 0;
    if (out->dtype == RT_I64 && step == sizeof(int64_t) && n > 64 && n < 1 << 30 && permute_i64(g, (int64_t *)p, n) == 0) return 0;
    switch (out->dtype) {
    case RT_U8:   { PERMUTE(uint8_t, (uint8_t)) }
    case RT_I8:   { PERMUTE(int8_t, (int8_t)) }
    case RT_I16:  { PERMUTE(int16_t, (int16_t)) }
    case RT_I32:  { PERMUTE(int32_t, (int32_t)) }
    case RT_I64:  { PERMUTE(int64_t, (int64_t)) }
    case RT_F16:  { PERMUTE(rt_f16, F16_OF) }
    case RT_BF16: { PERMUTE(rt_bf16, BF16_OF) }
    case RT_F32:  { PERMUTE(float, (float)) }
    case RT_F64:  { PERMUTE(double, (double)) }
    default: return -1;
    }
}

/* ---- categories ---- */

/* The running sum is kept in the type of `p` (float32 for 16-bit types), as its rounding decides
 * which category a uniform falls into: the first whose share of the sum is not below it. */
/* Uniforms are looked up several at a time, without branches: a guess would be wrong every other time. They are rounded up to
 * the type of the sums, which compares with every sum as before. */
#define TOGETHER 8
RT_INLINE float round_up_float(double u) {
    float f = (float)u;                                          /* u is no negative number: the next float has the next bits */
    return as_float(as_bits(f) + ((double)f < u));
}
RT_INLINE double round_up_double(double u) { return u; }
#define DRAW_CATEGORIES(T)                                                                         \
    static int draw_##T(RtRandom *g, T *sums, int dtype, const char *row, int64_t cat_step, int64_t cats, int64_t *dst, int64_t samples) { \
        T sum = 0;                                                                                 \
        int good = 1;                                                                              \
        int dense = cat_step == sizeof(T) && rt_itemsize(dtype) == sizeof(T);                      \
        const T *p = dense ? (const T *)row : sums;                                                \
        if (!dense) for (int64_t c = 0; c < cats; c++) sums[c] = (T)rt_random_load(dtype, row + c * cat_step); \
        for (int64_t c = 0; c < cats; c++) {           /* what bounds the loop is the chain of additions */ \
            good &= p[c] >= 0;                                                                     \
            sums[c] = sum += p[c];                                                                 \
        }                                                                                          \
        if (!good || !(sum - sum == 0)) {                                                          \
            p = dense ? p : NULL;                                                                  \
            for (int64_t c = 0; c < cats; c++) {                                                   \
                T x = p ? p[c] : (T)rt_random_load(dtype, row + c * cat_step);                               \
                if (!(x >= 0)) return -2;                                                          \
                if (!(x - x == 0)) return -3;                                                      \
            }                                                                                      \
        }                                                                                          \
        if (!(sum > 0)) return -4;                                                                 \
        for (int64_t c = 0; c < cats; c++) sums[c] /= sum;                                         \
        sums[cats - 1] = 1;                                                                        \
        for (int64_t s = 0; s < samples; s += BLOCK) {                                             \
            double u[BLOCK + TOGETHER];                                                            \
            int64_t m = samples - s < BLOCK ? samples - s : BLOCK;                                 \
            rt_random_units_f64(g, u, m);                                                                    \
            for (int k = 0; k < TOGETHER; k++) u[m + k] = 0;                                       \
            for (int64_t j = 0; j < m; j += TOGETHER) {                                            \
                T bar[TOGETHER];                                                                   \
                int32_t at[TOGETHER];                              /* there are at most 2^24 categories */ \
                for (int k = 0; k < TOGETHER; k++) { at[k] = 0; bar[k] = round_up_##T(u[j + k]); } \
                for (int32_t left = (int32_t)cats, half; left > 1; left -= half) {                 \
                    half = left >> 1;                                                              \
                    const T *mid = sums + half - 1;                                                \
                    for (int k = 0; k < TOGETHER; k++) at[k] += half & -(int32_t)(mid[at[k]] < bar[k]); \
                }                                                                                  \
                for (int k = 0; k < TOGETHER && j + k < m; k++) dst[s + j + k] = at[k];            \
            }                                                                                      \
        }                                                                                          \
        return 0;                                                                                  \
    }
DRAW_CATEGORIES(float)
DRAW_CATEGORIES(double)

int rt_random_multinomial(RtRandom *g, const RtArray *out, const RtArray *p) {
    if (out->dtype != RT_I64 || rt_kind(p->dtype) != RT_KIND_FLOAT) return -1;
    int last = p->ndim - 1, size = rt_itemsize(p->dtype);
    int64_t rows = p->ndim > 1 ? p->shape[0] : 1, cats = p->shape[last], samples = out->shape[out->ndim - 1];
    int64_t row_step = p->ndim > 1 ? p->strides[0] * size : 0, cat_step = p->strides[last] * size;
    int64_t *dst = (int64_t *)out->data;
    if (cats == 0) return rows ? -4 : 0;
    void *buffer = malloc((size_t)cats * sizeof(double));
    if (!buffer) return -5;
    int rc = 0;
    for (int64_t r = 0; r < rows && !rc; r++, dst += samples) {
        const char *row = p->data + r * row_step;
        rc = p->dtype == RT_F64 ? draw_double(g, buffer, p->dtype, row, cat_step, cats, dst, samples)
                                : draw_float(g, buffer, p->dtype, row, cat_step, cats, dst, samples);
    }
    free(buffer);
    return rc;
}

/* ---- dropout ---- */

/* The mask is turned into a factor 0 or 1/(1-p), rounded to the dtype, and multiplied: so that
 * NaN, infinities and the sign of zero come out as from the composed operators. */
RT_INLINE void mask_f32(float *y, const float *x, const uint8_t *keep, int64_t n, float factor) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * (keep[i] ? factor : 0.0f);
}

int rt_dropout_backward(int dtype, void *y, const void *x, const uint8_t *keep, int64_t n, double p) {
    float factor = 1.0f / (float)(1.0 - p);
    switch (dtype) {
    case RT_F32: mask_f32(y, x, keep, n, factor); return 0;
    case RT_F64: {
        double f = 1.0 / (1.0 - p), *d = y;
        const double *s = x;
        for (int64_t i = 0; i < n; i++) d[i] = s[i] * (keep[i] ? f : 0.0);
        return 0;
    }
    case RT_F16: {
        rt_f16 *d = y;
        const rt_f16 *s = x;
        factor = rt_f16_to_f32(rt_f32_to_f16(factor));
        for (int64_t i = 0; i < n; i++) d[i] = rt_f32_to_f16(rt_f16_to_f32(s[i]) * (keep[i] ? factor : 0.0f));
        return 0;
    }
    case RT_BF16: {
        rt_bf16 *d = y;
        const rt_bf16 *s = x;
        factor = rt_bf16_to_f32(rt_f32_to_bf16(factor));
        for (int64_t i = 0; i < n; i++) d[i] = rt_f32_to_bf16(rt_bf16_to_f32(s[i]) * (keep[i] ? factor : 0.0f));
        return 0;
    }
    default: return -1;
    }
}

typedef struct { int dtype; char *y; const char *x; uint8_t *keep; double p; } Dropout;

static int make_dropout(const void *what, const uint32_t *words, int64_t start, int64_t n) {
    const Dropout *d = what;
    int64_t at = start * rt_itemsize(d->dtype);
    double u[BLOCK];
    PICK(unit_f64)(u, words, n);
    for (int64_t j = 0; j < n; j++) d->keep[start + j] = u[j] < 1.0 - d->p;
    return rt_dropout_backward(d->dtype, d->y + at, d->x + at, d->keep + start, n, d->p);
}

int rt_random_dropout(RtRandom *g, int dtype, void *y, const void *x, uint8_t *keep, int64_t n, double p) {
    if (rt_kind(dtype) != RT_KIND_FLOAT) return -1;
    Dropout d = {dtype, y, x, keep, p};
    return rt_random_pieces(g, n, 2, make_dropout, &d);
}

/* ---- randomised leaky ReLU ---- */

/* R: the type of the product; a 16-bit slope is rounded only when it is kept. */
#define RRELU(T, R, GET, PUT)                                                          \
    for (int64_t i = 0; i < n; i++) {                                                  \
        R v = (R)GET(((const T *)x)[i]), slope = 1;                                    \
        if (v <= 0) slope = (R)(rt_random_uniform_f64(g) * (upper - lower) + lower);   \
        ((T *)noise)[i] = PUT(slope);                                                  \
        ((T *)y)[i] = v <= 0 ? PUT(v * slope) : ((const T *)x)[i];                     \
    }                                                                                  \
    return 0;

#define F16_PUT(v) rt_f32_to_f16((float)(v))
#define BF16_PUT(v) rt_f32_to_bf16((float)(v))

int rt_random_rrelu(RtRandom *g, int dtype, void *y, void *noise, const void *x, int64_t n,
                    double lower, double upper) {
    if (dtype != RT_F64) lower = (float)lower, upper = (float)upper;
    switch (dtype) {
    case RT_F32:  { RRELU(float, float, (float), (float)) }
    case RT_F64:  { RRELU(double, double, (double), (double)) }
    case RT_F16:  { RRELU(rt_f16, float, rt_f16_to_f32, F16_PUT) }
    case RT_BF16: { RRELU(rt_bf16, float, rt_bf16_to_f32, BF16_PUT) }
    default: return -1;
    }
}
