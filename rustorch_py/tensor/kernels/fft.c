/* Mixed-radix Stockham transform (Van Loan 1992, 1.7): each pass reads one buffer in order and writes the
 * other, so no digit reversal is needed. `w` transforms run side by side: the innermost index r runs over
 * `stride * w` neighbours, which vectorises from the first pass on. Lengths with a prime factor
 * above MAX_RADIX go through a convolution with a chirp (Bluestein 1970) of a power-of-two length. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "fft.h"
#include "rustorch/backend.h"

enum { MAX_LANES = 8, MAX_RADIX = 61, MAX_FACTORS = 64 };

struct RtFftPlan {
    int64_t n;
    int nf, factor[MAX_FACTORS];
    double *c, *s;               /* cos, sin of 2 pi t / n, t < n */
    RtFftPlan *inner;            /* Bluestein: plan of the convolution's length, else NULL */
    double *chirp_c, *chirp_s;   /* exp(+i pi k k / n), k < n */
    double *filter_c, *filter_s; /* transform of the chirp, for sign -1 */
};

/* cos and sin of 2 pi t / n, reduced to an octant so that the last bit is right. */
static void unit(int64_t t, int64_t n, double *c, double *s) {
    int64_t e = 8 * t, oct = e / n;                   /* t = (oct + frac) n / 8 */
    double a, pi = 3.14159265358979323846;
    int64_t r = e - oct * n;
    if (oct & 1) { r = n - r; }
    a = pi * (double)r / (4.0 * (double)n);
    double ca = cos(a), sa = sin(a);
    switch (oct) {
    case 0: *c = ca; *s = sa; break;
    case 1: *c = sa; *s = ca; break;
    case 2: *c = -sa; *s = ca; break;
    case 3: *c = -ca; *s = sa; break;
    case 4: *c = -ca; *s = -sa; break;
    case 5: *c = -sa; *s = -ca; break;
    case 6: *c = sa; *s = -ca; break;
    default: *c = ca; *s = -sa; break;
    }
}

/* One pass of radix p: n points left, `stride` done; cs, ss: table of the whole length, sg the sign. */
static void pass(int p, int64_t n, int64_t stride, int64_t w, int64_t total, const double *tc, const double *ts, double sg,
                 const double *restrict xr, const double *restrict xi, double *restrict yr, double *restrict yi) {
    int64_t m = n / p, run = stride * w, step = total / n;
    for (int64_t q = 0; q < m; q++) {
        const double *ar = xr + q * run, *ai = xi + q * run;
        double *br = yr + q * p * run, *bi = yi + q * p * run;
        if (p == 2) {
            double c1 = tc[q * step], s1 = sg * ts[q * step];
            for (int64_t r = 0; r < run; r++) {
                double ur = ar[r], ui = ai[r], vr = ar[r + m * run], vi = ai[r + m * run];
                double dr = ur - vr, di = ui - vi;
                br[r] = ur + vr; bi[r] = ui + vi;
                br[r + run] = dr * c1 - di * s1; bi[r + run] = dr * s1 + di * c1;
            }
        } else if (p == 4) {
            double c1 = tc[q * step], s1 = sg * ts[q * step], c2 = tc[2 * q * step], s2 = sg * ts[2 * q * step];
            double c3 = tc[3 * q * step], s3 = sg * ts[3 * q * step];
            for (int64_t r = 0; r < run; r++) {
                double pr = ar[r] + ar[r + 2 * m * run], pi = ai[r] + ai[r + 2 * m * run];
                double mr = ar[r] - ar[r + 2 * m * run], mi = ai[r] - ai[r + 2 * m * run];
                double er = ar[r + m * run] + ar[r + 3 * m * run], ei = ai[r + m * run] + ai[r + 3 * m * run];
                double dr = ar[r + m * run] - ar[r + 3 * m * run], di = ai[r + m * run] - ai[r + 3 * m * run];
                double jr = -sg * di, ji = sg * dr;                    /* sign * i * d */
                double ur = mr + jr, ui = mi + ji, vr = pr - er, vi = pi - ei, wr = mr - jr, wi = mi - ji;
                br[r] = pr + er; bi[r] = pi + ei;
                br[r + run] = ur * c1 - ui * s1; bi[r + run] = ur * s1 + ui * c1;
                br[r + 2 * run] = vr * c2 - vi * s2; bi[r + 2 * run] = vr * s2 + vi * c2;
                br[r + 3 * run] = wr * c3 - wi * s3; bi[r + 3 * run] = wr * s3 + wi * c3;
            }
        } else {
            for (int k = 0; k < p; k++) {
                double *kr = br + k * run, *ki = bi + k * run;
                for (int64_t r = 0; r < run; r++) { kr[r] = ar[r]; ki[r] = ai[r]; }
                for (int j = 1; j < p; j++) {
                    int64_t t = (int64_t)j * k % p * (total / p);
                    double c = tc[t], s = sg * ts[t];
                    const double *jr = ar + j * m * run, *ji = ai + j * m * run;
                    for (int64_t r = 0; r < run; r++) { kr[r] += jr[r] * c - ji[r] * s; ki[r] += jr[r] * s + ji[r] * c; }
                }
                double c = tc[q * k * step], s = sg * ts[q * k * step];
                for (int64_t r = 0; r < run; r++) {
                    double u = kr[r] * c - ki[r] * s;
                    ki[r] = kr[r] * s + ki[r] * c;
                    kr[r] = u;
                }
            }
        }
    }
}

/* Transforms w sequences in (ar, ai), n * w doubles each, with (br, bi) as scratch; returns 1 if
 * the result is in (br, bi). Plain lengths only. */
static int transform(const RtFftPlan *p, int64_t w, double sg, double *ar, double *ai, double *br, double *bi) {
    int64_t n = p->n, stride = 1;
    int swapped = 0;
    for (int f = 0; f < p->nf; f++) {
        pass(p->factor[f], n, stride, w, p->n, p->c, p->s, sg, ar, ai, br, bi);
        n /= p->factor[f];
        stride *= p->factor[f];
        double *t = ar; ar = br; br = t;
        t = ai; ai = bi; bi = t;
        swapped ^= 1;
    }
    return swapped;
}

/* Elements of scratch (doubles) that `run_plan` needs in each of its two buffer pairs. */
static int64_t work_size(const RtFftPlan *p, int64_t w) { return (p->inner ? p->inner->n : p->n) * w; }

/* As transform, for every length; the result is moved to (ar, ai). */
static void run_plan(const RtFftPlan *p, int64_t w, double sg, double *ar, double *ai, double *br, double *bi) {
    int64_t n = p->n;
    if (!p->inner) {
        if (transform(p, w, sg, ar, ai, br, bi)) {
            memcpy(ar, br, (size_t)(n * w) * sizeof(double));
            memcpy(ai, bi, (size_t)(n * w) * sizeof(double));
        }
        return;
    }
    /* kl = (k^2 + l^2 - (k-l)^2) / 2: a convolution with the chirp. Sign +1 by conjugating around sign -1. */
    int64_t m = p->inner->n;
    for (int64_t l = 0; l < n; l++) {
        double c = p->chirp_c[l], s = -p->chirp_s[l];
        for (int r = 0; r < w; r++) {
            double u = ar[l * w + r], v = -sg * ai[l * w + r];
            ar[l * w + r] = u * c - v * s;
            ai[l * w + r] = u * s + v * c;
        }
    }
    memset(ar + n * w, 0, (size_t)((m - n) * w) * sizeof(double));
    memset(ai + n * w, 0, (size_t)((m - n) * w) * sizeof(double));
    double *xr = ar, *xi = ai, *yr = br, *yi = bi, *t;
    if (transform(p->inner, w, -1, xr, xi, yr, yi)) { t = xr; xr = yr; yr = t; t = xi; xi = yi; yi = t; }
    for (int64_t l = 0; l < m; l++) {
        double c = p->filter_c[l], s = p->filter_s[l];
        for (int r = 0; r < w; r++) {
            double u = xr[l * w + r], v = xi[l * w + r];
            xr[l * w + r] = u * c - v * s;
            xi[l * w + r] = u * s + v * c;
        }
    }
    if (transform(p->inner, w, 1, xr, xi, yr, yi)) { xr = yr; xi = yi; }
    for (int64_t l = 0; l < n; l++) {
        double c = p->chirp_c[l] / (double)m, s = -p->chirp_s[l] / (double)m;
        for (int r = 0; r < w; r++) {
            double u = xr[l * w + r], v = xi[l * w + r];
            ar[l * w + r] = u * c - v * s;
            ai[l * w + r] = -sg * (u * s + v * c);
        }
    }
}

void rt_fft_free(RtFftPlan *p) {
    if (!p) return;
    rt_fft_free(p->inner);
    free(p->c); free(p->s); free(p->chirp_c); free(p->chirp_s); free(p->filter_c); free(p->filter_s);
    free(p);
}

RtFftPlan *rt_fft_plan(int64_t n) {
    RtFftPlan *p = calloc(1, sizeof(*p));
    if (!p) return NULL;
    p->n = n;
    int64_t rest = n;
    while (rest % 4 == 0) { p->factor[p->nf++] = 4; rest /= 4; }
    for (int f = 2; f <= MAX_RADIX && rest > 1; f++)
        while (rest % f == 0) { p->factor[p->nf++] = f; rest /= f; }
    if (rest == 1) {
        p->c = malloc((size_t)n * sizeof(double));
        p->s = malloc((size_t)n * sizeof(double));
        if (!p->c || !p->s) { rt_fft_free(p); return NULL; }
        for (int64_t t = 0; t < n; t++) unit(t, n, p->c + t, p->s + t);
        return p;
    }
    int64_t m = 1;
    while (m < 2 * n - 1) m *= 2;
    p->inner = rt_fft_plan(m);
    p->chirp_c = malloc((size_t)n * sizeof(double));
    p->chirp_s = malloc((size_t)n * sizeof(double));
    p->filter_c = malloc((size_t)m * sizeof(double));
    p->filter_s = malloc((size_t)m * sizeof(double));
    double *work = calloc((size_t)(4 * m), sizeof(double));
    if (!p->inner || !p->chirp_c || !p->chirp_s || !p->filter_c || !p->filter_s || !work) { free(work); rt_fft_free(p); return NULL; }
    int64_t square = 0;                                   /* k * k mod 2 n, without overflow */
    for (int64_t k = 0; k < n; k++) {
        unit(square, 2 * n, p->chirp_c + k, p->chirp_s + k);
        square = (square + 2 * k + 1) % (2 * n);
    }
    double *r = work, *i = work + m , *u = work + 2 * m , *v = work + 3 * m ;
    for (int64_t k = 0; k < n; k++) {
        r[k ] = p->chirp_c[k]; i[k ] = p->chirp_s[k];
        if (k) { r[(m - k) ] = p->chirp_c[k]; i[(m - k) ] = p->chirp_s[k]; }
    }
    if (transform(p->inner, 1, -1, r, i, u, v)) { r = u; i = v; }
    for (int64_t k = 0; k < m; k++) { p->filter_c[k] = r[k ]; p->filter_s[k] = i[k ]; }
    free(work);
    return p;
}

static inline void load(int dtype, const void *x, int64_t at, double *re, double *im) {
    switch (dtype) {
    case RT_F32: *re = ((const float *)x)[at]; *im = 0; break;
    case RT_F64: *re = ((const double *)x)[at]; *im = 0; break;
    case RT_C64: *re = ((const float *)x)[2 * at]; *im = ((const float *)x)[2 * at + 1]; break;
    default: *re = ((const double *)x)[2 * at]; *im = ((const double *)x)[2 * at + 1]; break;
    }
}
static inline void store(int dtype, void *x, int64_t at, double re, double im) {
    switch (dtype) {
    case RT_F32: ((float *)x)[at] = (float)re; break;
    case RT_F64: ((double *)x)[at] = re; break;
    case RT_C64: ((float *)x)[2 * at] = (float)re; ((float *)x)[2 * at + 1] = (float)im; break;
    default: ((double *)x)[2 * at] = re; ((double *)x)[2 * at + 1] = im; break;
    }
}

int rt_fft_lanes(const RtFftPlan *p, int x_dtype, const void *x_oli, RtLane s, int flags, int sign, double scale,
                 int out_dtype, int64_t out_L, void *out_oki, int threads) {
    int64_t lanes = s.outer * s.inner, w = lanes < MAX_LANES ? lanes : MAX_LANES;
    int64_t groups = w ? (lanes + w - 1) / w : 0, n = p->n, size = work_size(p, w);
    int failed = 0, par = threads > 1 && groups > 1 && lanes * n > 8192;
    (void)par;
    RT_OMP(omp parallel num_threads(threads) if (par))
    {
        double *work = malloc((size_t)(4 * size) * sizeof(double));
        if (!work) failed = 1;
        else {
            double *ar = work, *ai = work + size, *br = work + 2 * size, *bi = work + 3 * size;
            RT_OMP(omp for schedule(static))
            for (int64_t g = 0; g < groups; g++) {
                int count = (int)(lanes - g * w < w ? lanes - g * w : w);
                memset(ar, 0, (size_t)(n * w) * sizeof(double));
                memset(ai, 0, (size_t)(n * w) * sizeof(double));
                for (int r = 0; r < count; r++) {
                    int64_t lane = g * w + r, base = lane / s.inner * s.L * s.inner + lane % s.inner;
                    if (flags & RT_FFT_HALF_IN) {
                        for (int64_t l = 0; l <= n / 2 && l < s.L; l++) {
                            double re, im;
                            load(x_dtype, x_oli, base + l * s.inner, &re, &im);
                            if (l == 0 || 2 * l == n) im = 0;
                            ar[l * w + r] = re; ai[l * w + r] = im;
                            if (l) { ar[(n - l) * w + r] = re; ai[(n - l) * w + r] = 2 * l == n ? 0 : -im; }
                        }
                    } else {
                        for (int64_t l = 0; l < n && l < s.L; l++)
                            load(x_dtype, x_oli, base + l * s.inner, ar + l * w + r, ai + l * w + r);
                    }
                }
                run_plan(p, w, sign, ar, ai, br, bi);
                for (int r = 0; r < count; r++) {
                    int64_t lane = g * w + r, base = lane / s.inner * out_L * s.inner + lane % s.inner;
                    for (int64_t k = 0; k < out_L; k++)
                        store(out_dtype, out_oki, base + k * s.inner, ar[k * w + r] * scale, ai[k * w + r] * scale);
                }
            }
        }
        free(work);
    }
    return failed ? RT_ERR_MEMORY : RT_OK;
}
