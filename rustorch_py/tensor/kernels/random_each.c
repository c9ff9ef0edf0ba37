/* Random numbers of which each element of an input draws its own: bernoulli, poisson, gamma, binomial; see Note [Same numbers as
 * PyTorch] in random.h. */
#include <math.h>
#include <string.h>
#include "random_engine.h"
#include "rustorch/half.h"
#include "rustorch/math.h"

#define BLOCK RT_RANDOM_BLOCK

static void gather(int dtype, const char *p, int64_t step, double *v, int64_t n) {
    switch (dtype) {
    case RT_F32: for (int64_t i = 0; i < n; i++, p += step) v[i] = *(const float *)p; break;
    case RT_F64: for (int64_t i = 0; i < n; i++, p += step) v[i] = *(const double *)p; break;
    default:     for (int64_t i = 0; i < n; i++, p += step) v[i] = rt_random_load(dtype, p); break;
    }
}

/* A float64 probability is compared with a float64 uniform, every other one with a float32 one;
 * both widen exactly. */
static int each_bernoulli(RtRandom *g, int dtype, double *v, int64_t n) {
    double u[BLOCK];
    int good = 1;
    for (int64_t i = 0; i < n; i++) good &= v[i] >= 0.0 && v[i] <= 1.0;
    if (!good) return -2;
    if (dtype == RT_F64) rt_random_units_f64(g, u, n);
    else {
        float x[BLOCK];
        rt_random_units_f32(g, x, n);
        for (int64_t i = 0; i < n; i++) u[i] = x[i];
    }
    for (int64_t i = 0; i < n; i++) v[i] = u[i] < v[i];
    return 0;
}

/* Note [Uniforms ahead]
 * A draw by rejection takes as many uniforms as it needs, and a call for each costs more than the vector instructions that make a block.
 * So they are made ahead of use, of a generator whose state is kept; at the end it is set back, and moved on by what was used. */
typedef struct {
    RtRandom *g, before;
    int64_t   at, n;
    int       logs;                    /* y has the logarithms of the block */
    double    u[BLOCK], y[BLOCK];
} Ahead;

static void ahead_begin(Ahead *s, RtRandom *g, int64_t draws) {
    s->g = g;
    s->n = draws < BLOCK / 4 ? 4 * draws : BLOCK;                /* what a block of few is made for */
    s->at = s->n;
    s->logs = 0;
}
static void ahead_next(Ahead *s) {
    memcpy(&s->before, s->g, sizeof s->before);
    rt_random_units_f64(s->g, s->u, s->n);
    s->at = 0;
    s->logs = 0;
}
RT_INLINE double ahead_uniform(Ahead *s) {
    if (s->at == s->n) ahead_next(s);
    return s->u[s->at++];
}
static void ahead_end(Ahead *s) {
    if (s->at == s->n) return;
    memcpy(s->g, &s->before, sizeof s->before);
    uint32_t w[2 * BLOCK];
    rt_random_words(s->g, w, 2 * s->at);
}

RT_INLINE void logs_body(double *restrict y, const double *restrict u, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = rt_log_f64(u[i]);
}
static void logs_base(double *y, const double *u, int64_t n) { logs_body(y, u, n); }
#ifdef FUSED
FUSED static void logs_fused(double *y, const double *u, int64_t n) { logs_body(y, u, n); }
#endif

/* ceil(log(u) / base) of the next uniform u: the C library's logarithm where the quotient is next to an integer. */
RT_INLINE double ahead_gap(Ahead *s, double base) {
    if (s->at == s->n) ahead_next(s);
    if (!s->logs) {
        PICK(logs)(s->y, s->u, s->n);
        s->logs = 1;
    }
    double q = s->y[s->at] / base, up = ceil(q), u = s->u[s->at++];
    if (RT_UNLIKELY(!(ceil(q * (1.0 - 0x1p-44)) == up && ceil(q * (1.0 + 0x1p-44)) == up))) return ceil(log(u) / base);
    return up;
}

/* Small rates: multiply uniforms until below exp(-rate). Rates of 10 and more: transformed
 * rejection with squeeze, PTRS (W. Hoermann, The transformed rejection method for generating
 * Poisson random variables, 1993). */
RT_INLINE double poisson_one(Ahead *g, double rate) {
    if (rate == 0.0) return 0.0;
    if (rate < 10.0) {
        double limit = exp(-rate), product = 1.0;
        for (int64_t k = 0;; k++) {
            product *= ahead_uniform(g);
            if (!(product > limit)) return (double)k;
        }
    }
    double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b;
    double inv_alpha = 1.1239 + 1.1328 / (b - 3.4), squeeze = 0.9277 - 3.6224 / (b - 2.0);
    for (;;) {
        double u = ahead_uniform(g) - 0.5, v = ahead_uniform(g);
        double us = 0.5 - fabs(u);
        double k = floor((2.0 * a / us + b) * u + rate + 0.43);
        if (us >= 0.07 && v <= squeeze) return k;
        if (k < 0.0 || (us < 0.013 && v > us)) continue;
        if (log(v) + log(inv_alpha) - log(a / (us * us) + b) <= -rate + k * log(rate) - lgamma(k + 1.0))
            return k;
    }
}

static int each_poisson(RtRandom *g, int dtype, double *v, int64_t n) {
    (void)dtype;
    Ahead s;
    int rc = 0;
    ahead_begin(&s, g, n);
    for (int64_t i = 0; i < n && !rc; i++) {
        if (v[i] >= 0.0) v[i] = poisson_one(&s, v[i]);
        else rc = -2;
    }
    ahead_end(&s);
    return rc;
}

static int each(RtRandom *g, const RtArray *out, const RtArray *in, int (*draw)(RtRandom *, int, double *, int64_t)) {
    if (rt_kind(in->dtype) != RT_KIND_FLOAT || rt_kind(out->dtype) == RT_KIND_COMPLEX) return -1;
    RtIter it;
    rt_random_plan(&it, out, in);
    if (it.numel == 0) return 0;
    int64_t idx[RT_MAX_DIM] = {0}, n = it.shape[0], to = it.step_bytes[0][0], from = it.step_bytes[0][1];
    char *ptr[RT_MAX_ARGS] = {it.ptr[0], it.ptr[1]};
    do {
        for (int64_t i = 0; i < n; i += BLOCK) {
            double v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            gather(in->dtype, ptr[1] + i * from, from, v, m);
            int rc = draw(g, in->dtype, v, m);
            if (rc) return rc;
            if (rt_random_store_f64(out->dtype, ptr[0] + i * to, to, v, m)) return -1;
        }
    } while (rt_iter_next(&it, 1, idx, ptr));
    return 0;
}

int rt_random_bernoulli_each(RtRandom *g, const RtArray *out, const RtArray *p) { return each(g, out, p, each_bernoulli); }
int rt_random_poisson(RtRandom *g, const RtArray *out, const RtArray *rate) { return each(g, out, rate, each_poisson); }

/* Squeeze and rejection on a cubed normal (G. Marsaglia & W. W. Tsang, A simple method for generating gamma variables,
 * 2000); shapes below 1 are raised by one and scaled by a power of a uniform. */
static double gamma_one(RtRandom *g, double shape, int narrow) {       /* narrow: what is read of the shape rounds to float32 */
    double scale = 1.0, third = 1.0f / 3.0f;
    if (shape < 1.0) {
        if (shape == 0.0) return 0.0;
        scale = pow(1.0 - rt_random_uniform_f64(g), narrow ? 1.0f / (float)shape : 1.0 / shape);
        shape = narrow ? (float)shape + 1.0f : shape + 1.0;
    }
    double d = narrow ? (float)shape - (float)third : shape - third, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x, y;
        do {
            x = rt_random_normal_f64(g);
            y = 1.0 + c * x;
        } while (y <= 0);
        double v = y * y * y, u = 1.0 - rt_random_uniform_f64(g), xx = x * x;
        if (u < 1.0 - 0.0331 * xx * xx || log(u) < 0.5 * xx + d * (1.0 - v + log(v))) return scale * d * v;
    }
}

static int each_gamma(RtRandom *g, int dtype, double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) v[i] = isnan(v[i]) ? v[i] : gamma_one(g, v[i], dtype == RT_F32);
    return 0;
}

int rt_random_gamma(RtRandom *g, const RtArray *out, const RtArray *shape) { return each(g, out, shape, each_gamma); }

/* log(k!) less its Stirling approximation with k + 1/2 */
static double stirling_rest(double k) {
    static const double table[10] = {
        0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
        0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287};
    if (k < 10) return table[(int)k];
    double square = (k + 1) * (k + 1);
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}

/* Few successes expected: count geometric gaps. Else transformed rejection with squeeze, BTRS (W. Hoermann,
 * The generation of binomial random variates, 1993). T is the dtype: products of count and p round to it. */
#define BINOMIAL(T, SQRT, LOG1P)                                                                          \
    static T gaps_##T(Ahead *g, T count, T p) {                                                        \
        double sum = 0, base = LOG1P(-p);                                                                 \
        for (T k = 0;; k++) {                                                                             \
            sum += ahead_gap(g, base);                                                                        \
            if (sum > count) return k;                                                                    \
        }                                                                                                 \
    }                                                                                                     \
    static T btrs_##T(Ahead *g, T count, T p) {                                                        \
        double deviation = SQRT(count * p * (1 - p)), b = 1.15 + 2.53 * deviation;                        \
        double a = -0.0873 + 0.0248 * b + 0.01 * p, c = (T)(count * p) + 0.5, squeeze = 0.92 - 4.2 / b;   \
        double r = p / (1 - p), alpha = (2.83 + 5.1 / b) * deviation, m = floor((count + 1) * p);         \
        for (;;) {                                                                                        \
            double u = ahead_uniform(g) - 0.5, v = ahead_uniform(g), us = 0.5 - fabs(u);  \
            T k = (T)floor((2 * a / us + b) * u + c);                                                     \
            if (k < 0 || k > count) continue;                                                             \
            if (us >= 0.07 && v <= squeeze) return k;                                                     \
            double bound = (m + 0.5) * log((m + 1) / (r * (count - m + 1)))                               \
                         + (count + 1) * log((count - m + 1) / (count - k + 1))                           \
                         + (k + 0.5) * log(r * (count - k + 1) / (k + 1))                                 \
                         + stirling_rest(m) + stirling_rest(count - m)                                    \
                         - stirling_rest(k) - stirling_rest(count - k);                                   \
            if (log(v * alpha / (a / (us * us) + b)) <= bound) return k;                                  \
        }                                                                                                 \
    }                                                                                                     \
    static T binomial_##T(Ahead *g, T count, T p) {                                                    \
        if (count <= 0 || p <= 0) return 0;                                                               \
        if (p >= 1) return count;                                                                         \
        if (!(p <= 1) || !isfinite(count)) return (T)NAN;                                                 \
        T q = p <= (T)0.5 ? p : (T)(1.0 - p);                                                             \
        T k = count * q >= 10 ? btrs_##T(g, count, q) : gaps_##T(g, count, q);                            \
        return q == p ? k : count - k;                                                                    \
    }

BINOMIAL(float, sqrtf, log1pf)
BINOMIAL(double, sqrt, log1p)

int rt_random_binomial(RtRandom *g, int dtype, void *out, const void *count, const void *p, int64_t n) {
    Ahead s;
    if (dtype != RT_F32 && dtype != RT_F64) return -1;
    ahead_begin(&s, g, n);
    if (dtype == RT_F32)
        for (int64_t i = 0; i < n; i++) ((float *)out)[i] = binomial_float(&s, ((const float *)count)[i], ((const float *)p)[i]);
    else
        for (int64_t i = 0; i < n; i++) ((double *)out)[i] = binomial_double(&s, ((const double *)count)[i], ((const double *)p)[i]);
    ahead_end(&s);
    return 0;
}
