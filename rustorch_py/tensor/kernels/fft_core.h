/* The transform in one precision: included with T, K(name), MAX_LANES, and V, N(name), LANES, EACH, MASK of vec.h defined. See fft.inc.c. */
typedef struct K(Plan) {
    int64_t n;
    int nf, factor[MAX_FACTORS];
    T *turn[MAX_FACTORS];   /* of a pass of radix 4: w^q, w^2q, w^3q, cos and sin each, for q after q; w = exp(2 pi i / n) of the points left */
    T *wide[2];             /* of the first two passes, if of radix 4 and the length is a power of two: six arrays of n/4, each q `stride` times */
    T *c, *s;               /* cos, sin of 2 pi t / n, t < n */
    struct K(Plan) *inner;            /* Bluestein: plan of the convolution's length, else NULL */
    struct K(Plan) *rows, *columns;   /* a lane alone as a matrix, see Note [Lanes alone], else NULL */
    T *bend_c, *bend_s;     /* its factors in between: w^(k b) at (k, b), rows of which fill whole registers */
    struct K(Plan) *half;   /* real ones, see Note [Real lanes]: plan of n / 2, else NULL; c and s then have its terms alone */
    T *chirp_c, *chirp_s;   /* exp(+i pi k k / n), k < n */
    T *filter_c, *filter_s; /* transform of the chirp, for sign -1 */
} K(Plan);

/* The same, rounded to T. */
static void K(unit)(int64_t t, int64_t n, T *c, T *s) {
    double dc, ds;
    unit(t, n, &dc, &ds);
    *c = (T)dc;
    *s = (T)ds;
}

/* Butterflies of radix 4 and 2 by registers, for sign -1: a transform of the other sign is this one with the parts exchanged. */
RT_INLINE void K(butterfly4)(V *r, V *i) {
    V pr = r[0] + r[2], pi = i[0] + i[2], mr = r[0] - r[2], mi = i[0] - i[2];
    V er = r[1] + r[3], ei = i[1] + i[3], dr = r[1] - r[3], di = i[1] - i[3];
    r[0] = pr + er; i[0] = pi + ei;
    r[1] = mr + di; i[1] = mi - dr;
    r[2] = pr - er; i[2] = pi - ei;
    r[3] = mr - di; i[3] = mi + dr;
}
RT_INLINE void K(times)(V *r, V *i, V c, V s) {                 /* by c - i s */
    V u = *r;
    *r = N(fma)(*i, s, u * c);
    *i = N(fma)(*i, c, -(u * s));
}
/* `run` neighbours, whole registers of them, share a factor. m: points left / 4. */
static void K(pass4)(int64_t m, int64_t run, const T *turn, const T *restrict xr, const T *restrict xi, T *restrict yr, T *restrict yi) {
    for (int64_t q = 0; q < m; q++, turn += 6) {
        V c1 = N(set)(turn[0]), s1 = N(set)(turn[1]), c2 = N(set)(turn[2]), s2 = N(set)(turn[3]), c3 = N(set)(turn[4]), s3 = N(set)(turn[5]);
        const T *ar = xr + q * run, *ai = xi + q * run;
        T *br = yr + 4 * q * run, *bi = yi + 4 * q * run;
        for (int64_t e = 0; e < run; e += LANES) {
            V r[4], i[4];
            for (int j = 0; j < 4; j++) { r[j] = N(load)(ar + j * m * run + e); i[j] = N(load)(ai + j * m * run + e); }
            K(butterfly4)(r, i);
            if (q) { K(times)(r + 1, i + 1, c1, s1); K(times)(r + 2, i + 2, c2, s2); K(times)(r + 3, i + 3, c3, s3); }
            for (int j = 0; j < 4; j++) { N(store)(br + j * run + e, r[j]); N(store)(bi + j * run + e, i[j]); }
        }
    }
}
/* The same for radix 2, and for a small odd one, whose terms j and p - j share their products. step: factors are every so many in the table. */
static void K(pass2)(int64_t m, int64_t run, int64_t step, const T *tc, const T *ts, const T *restrict xr, const T *restrict xi, T *restrict yr, T *restrict yi) {
    for (int64_t q = 0; q < m; q++) {
        V c = N(set)(tc[q * step]), s = N(set)(ts[q * step]);
        for (int64_t e = 0; e < run; e += LANES) {
            int64_t x = q * run + e, y = 2 * q * run + e;
            V ar = N(load)(xr + x), ai = N(load)(xi + x), br = N(load)(xr + m * run + x), bi = N(load)(xi + m * run + x);
            V dr = ar - br, di = ai - bi;
            if (q) K(times)(&dr, &di, c, s);
            N(store)(yr + y, ar + br); N(store)(yi + y, ai + bi);
            N(store)(yr + y + run, dr); N(store)(yi + y + run, di);
        }
    }
}
RT_INLINE void K(pass_odd)(int p, int64_t m, int64_t run, int64_t step, const T *tc, const T *ts, const T *restrict xr, const T *restrict xi,
                           T *restrict yr, T *restrict yi) {
    int h = p / 2;
    T c[7], s[7];
    for (int k = 0; k < p; k++) { c[k] = tc[k * m * step]; s[k] = ts[k * m * step]; }
    for (int64_t q = 0; q < m; q++)
        for (int64_t e = 0; e < run; e += LANES) {
            V pr[4], pi[4], mr[4], mi[4];
            const T *ar = xr + q * run + e, *ai = xi + q * run + e;
            T *br = yr + p * q * run + e, *bi = yi + p * q * run + e;
            pr[0] = N(load)(ar); pi[0] = N(load)(ai);
            V sr = pr[0], si = pi[0];
            for (int j = 1; j <= h; j++) {
                V ur = N(load)(ar + j * m * run), ui = N(load)(ai + j * m * run), vr = N(load)(ar + (p - j) * m * run), vi = N(load)(ai + (p - j) * m * run);
                pr[j] = ur + vr; pi[j] = ui + vi; mr[j] = ur - vr; mi[j] = ui - vi;
                sr = sr + pr[j]; si = si + pi[j];
            }
            N(store)(br, sr); N(store)(bi, si);
            for (int k = 1; k <= h; k++) {
                V evenr = pr[0], eveni = pi[0], oddr = N(set)(0), oddi = N(set)(0);
                for (int j = 1; j <= h; j++) {
                    V cj = N(set)(c[j * k % p]), sj = N(set)(s[j * k % p]);
                    evenr = N(fma)(pr[j], cj, evenr); eveni = N(fma)(pi[j], cj, eveni);
                    oddr = N(fma)(mi[j], sj, oddr); oddi = N(fma)(mr[j], sj, oddi);
                }
                V lr = evenr + oddr, li = eveni - oddi, hr = evenr - oddr, hi = eveni + oddi;
                if (q) {
                    K(times)(&lr, &li, N(set)(tc[q * k * step]), N(set)(ts[q * k * step]));
                    K(times)(&hr, &hi, N(set)(tc[q * (p - k) * step]), N(set)(ts[q * (p - k) * step]));
                }
                N(store)(br + k * run, lr); N(store)(bi + k * run, li);
                N(store)(br + (p - k) * run, hr); N(store)(bi + (p - k) * run, hi);
            }
        }
}
/* The same for a greater prime: sums and differences of its terms by memory. */
static void K(pass_prime)(int p, int64_t m, int64_t run, int64_t step, const T *tc, const T *ts, const T *restrict xr, const T *restrict xi,
                          T *restrict yr, T *restrict yi) {
    const int h = p / 2;
    T c[MAX_RADIX], s[MAX_RADIX];
    V pr[MAX_RADIX / 2 + 1], pi[MAX_RADIX / 2 + 1], mr[MAX_RADIX / 2 + 1], mi[MAX_RADIX / 2 + 1];
    for (int k = 0; k < p; k++) { c[k] = tc[k * m * step]; s[k] = ts[k * m * step]; }
    for (int64_t q = 0; q < m; q++)
        for (int64_t e = 0; e < run; e += LANES) {
            const T *ar = xr + q * run + e, *ai = xi + q * run + e;
            T *br = yr + p * q * run + e, *bi = yi + p * q * run + e;
            V sr = pr[0] = N(load)(ar), si = pi[0] = N(load)(ai);
            for (int j = 1; j <= h; j++) {
                V ur = N(load)(ar + j * m * run), ui = N(load)(ai + j * m * run), vr = N(load)(ar + (p - j) * m * run), vi = N(load)(ai + (p - j) * m * run);
                pr[j] = ur + vr; pi[j] = ui + vi; mr[j] = ur - vr; mi[j] = ui - vi;
                sr = sr + pr[j]; si = si + pi[j];
            }
            N(store)(br, sr); N(store)(bi, si);
            for (int k = 1; k <= h; k++) {
                V evenr = pr[0], eveni = pi[0], oddr = N(set)(0), oddi = N(set)(0);
                for (int j = 1, jk = k; j <= h; j++) {
                    V cj = N(set)(c[jk]), sj = N(set)(s[jk]);
                    evenr = N(fma)(pr[j], cj, evenr); eveni = N(fma)(pi[j], cj, eveni);
                    oddr = N(fma)(mi[j], sj, oddr); oddi = N(fma)(mr[j], sj, oddi);
                    jk += k;
                    if (jk >= p) jk -= p;
                }
                V lr = evenr + oddr, li = eveni - oddi, hr = evenr - oddr, hi = eveni + oddi;
                if (q) {
                    K(times)(&lr, &li, N(set)(tc[q * k * step]), N(set)(ts[q * k * step]));
                    K(times)(&hr, &hi, N(set)(tc[q * (p - k) * step]), N(set)(ts[q * (p - k) * step]));
                }
                N(store)(br + k * run, lr); N(store)(bi + k * run, li);
                N(store)(br + (p - k) * run, hr); N(store)(bi + (p - k) * run, hi);
            }
        }
}
/* A pass by registers. */
static void K(fast_pass)(int p, const T *turn, int64_t m, int64_t run, int64_t step, const T *tc, const T *ts, const T *xr, const T *xi, T *yr, T *yi) {
    switch (p) {
    case 2: K(pass2)(m, run, step, tc, ts, xr, xi, yr, yi); break;
    case 3: K(pass_odd)(3, m, run, step, tc, ts, xr, xi, yr, yi); break;
    case 4: K(pass4)(m, run, turn, xr, xi, yr, yi); break;
    case 5: K(pass_odd)(5, m, run, step, tc, ts, xr, xi, yr, yi); break;
    case 7: K(pass_odd)(7, m, run, step, tc, ts, xr, xi, yr, yi); break;
    default: K(pass_prime)(p, m, run, step, tc, ts, xr, xi, yr, yi);
    }
}
/* Blocks of `stride` elements of a and b in turns: their first halves, then their second ones. */
#define MIXED(S, a, b, HALF) RT_SHUFFLE(MASK, a, b, EACH(AT_MIXED_##S##_##HALF))
#define MIX4(S, to, v)                                                                          \
    do {                                                                                        \
        V lo = MIXED(S, v[0], v[2], LO), hi = MIXED(S, v[0], v[2], HI), lo2 = MIXED(S, v[1], v[3], LO), hi2 = MIXED(S, v[1], v[3], HI); \
        N(store)(to, MIXED(S, lo, lo2, LO)); N(store)(to + LANES, MIXED(S, lo, lo2, HI));       \
        N(store)(to + 2 * LANES, MIXED(S, hi, hi2, LO)); N(store)(to + 3 * LANES, MIXED(S, hi, hi2, HI)); \
    } while (0)
/* Strides shorter than a register: its lanes have factors of their own, and results are mixed. quarter: the length / 4. */
#define WIDE_PASS(S)                                                                            \
    static void K(wide##S)(int64_t quarter, const T *wide, const T *restrict xr, const T *restrict xi, T *restrict yr, T *restrict yi) { \
        for (int64_t e = 0; e < quarter; e += LANES) {                                          \
            V r[4], i[4];                                                                       \
            for (int j = 0; j < 4; j++) { r[j] = N(load)(xr + j * quarter + e); i[j] = N(load)(xi + j * quarter + e); } \
            K(butterfly4)(r, i);                                                                \
            for (int j = 1; j < 4; j++)                                                         \
                K(times)(r + j, i + j, N(load)(wide + (2 * j - 2) * quarter + e), N(load)(wide + (2 * j - 1) * quarter + e)); \
            MIX4(S, (yr + 4 * e), r);                                                           \
            MIX4(S, (yi + 4 * e), i);                                                           \
        }                                                                                       \
    }
WIDE_PASS(1)
#if LANES > 4
WIDE_PASS(4)
#endif

/* One pass of radix p: n points left, `stride` done; cs, ss: table of the whole length, sg the sign. */
static void K(pass)(int p, int64_t n, int64_t stride, int64_t w, int64_t total, const T *tc, const T *ts, T sg,
                 const T *restrict xr, const T *restrict xi, T *restrict yr, T *restrict yi) {
    int64_t m = n / p, run = stride * w, step = total / n;
    for (int64_t q = 0; q < m; q++) {
        const T *ar = xr + q * run, *ai = xi + q * run;
        T *br = yr + q * p * run, *bi = yi + q * p * run;
        if (p == 2) {
            T c1 = tc[q * step], s1 = sg * ts[q * step];
            for (int64_t r = 0; r < run; r++) {
                T ur = ar[r], ui = ai[r], vr = ar[r + m * run], vi = ai[r + m * run];
                T dr = ur - vr, di = ui - vi;
                br[r] = ur + vr; bi[r] = ui + vi;
                br[r + run] = dr * c1 - di * s1; bi[r + run] = dr * s1 + di * c1;
            }
        } else if (p == 4) {
            T c1 = tc[q * step], s1 = sg * ts[q * step], c2 = tc[2 * q * step], s2 = sg * ts[2 * q * step];
            T c3 = tc[3 * q * step], s3 = sg * ts[3 * q * step];
            for (int64_t r = 0; r < run; r++) {
                T pr = ar[r] + ar[r + 2 * m * run], pi = ai[r] + ai[r + 2 * m * run];
                T mr = ar[r] - ar[r + 2 * m * run], mi = ai[r] - ai[r + 2 * m * run];
                T er = ar[r + m * run] + ar[r + 3 * m * run], ei = ai[r + m * run] + ai[r + 3 * m * run];
                T dr = ar[r + m * run] - ar[r + 3 * m * run], di = ai[r + m * run] - ai[r + 3 * m * run];
                T jr = -sg * di, ji = sg * dr;                    /* sign * i * d */
                T ur = mr + jr, ui = mi + ji, vr = pr - er, vi = pi - ei, wr = mr - jr, wi = mi - ji;
                br[r] = pr + er; bi[r] = pi + ei;
                br[r + run] = ur * c1 - ui * s1; bi[r + run] = ur * s1 + ui * c1;
                br[r + 2 * run] = vr * c2 - vi * s2; bi[r + 2 * run] = vr * s2 + vi * c2;
                br[r + 3 * run] = wr * c3 - wi * s3; bi[r + 3 * run] = wr * s3 + wi * c3;
            }
        } else {
            for (int k = 0; k < p; k++) {
                T *kr = br + k * run, *ki = bi + k * run;
                for (int64_t r = 0; r < run; r++) { kr[r] = ar[r]; ki[r] = ai[r]; }
                for (int j = 1; j < p; j++) {
                    int64_t t = (int64_t)j * k % p * (total / p);
                    T c = tc[t], s = sg * ts[t];
                    const T *jr = ar + j * m * run, *ji = ai + j * m * run;
                    for (int64_t r = 0; r < run; r++) { kr[r] += jr[r] * c - ji[r] * s; ki[r] += jr[r] * s + ji[r] * c; }
                }
                T c = tc[q * k * step], s = sg * ts[q * k * step];
                for (int64_t r = 0; r < run; r++) {
                    T u = kr[r] * c - ki[r] * s;
                    ki[r] = kr[r] * s + ki[r] * c;
                    kr[r] = u;
                }
            }
        }
    }
}

/* Transforms w sequences in (ar, ai), n * w Ts each, with (br, bi) as scratch; returns 1 if
 * the result is in (br, bi). Plain lengths only. */
static int K(transform)(const K(Plan) *p, int64_t w, T sg, T *ar, T *ai, T *br, T *bi) {
    int64_t n = p->n, stride = 1;
    int swapped = 0;
    for (int f = 0; f < p->nf; f++) {
        int radix = p->factor[f];
        int64_t run = stride * w;
        T *xr = sg < 0 ? ar : ai, *xi = sg < 0 ? ai : ar, *yr = sg < 0 ? br : bi, *yi = sg < 0 ? bi : br;
        if (run % LANES == 0) K(fast_pass)(radix, p->turn[f], n / radix, run, p->n / n, p->c, p->s, xr, xi, yr, yi);
        else if (w == 1 && f == 0 && p->wide[0] && p->n / 4 % LANES == 0) K(wide1)(p->n / 4, p->wide[0], xr, xi, yr, yi);
#if LANES > 4
        else if (w == 1 && f == 1 && p->wide[1] && p->n / 4 % LANES == 0) K(wide4)(p->n / 4, p->wide[1], xr, xi, yr, yi);
#endif
        else K(pass)(radix, n, stride, w, p->n, p->c, p->s, sg, ar, ai, br, bi);
        n /= radix;
        stride *= radix;
        T *t = ar; ar = br; br = t;
        t = ai; ai = bi; bi = t;
        swapped ^= 1;
    }
    return swapped;
}

#include "fft_alone.h"

/* Elements of scratch (Ts) that `run_plan` needs in each of its two buffer pairs. */
static int64_t K(work_size)(const K(Plan) *p, int64_t w) {
    if (p->half) { int64_t size = K(work_size)(p->half, w); return size > p->n * w ? size : p->n * w; }
    if (p->rows && w == 1) return K(matrix_size)(p->rows->n, p->columns->n);
    return (p->inner ? p->inner->n : p->n) * w;
}

/* As transform, for every length; the result is moved to (ar, ai). */
static void K(run_plan)(const K(Plan) *p, int64_t w, T sg, T *ar, T *ai, T *br, T *bi) {
    int64_t n = p->n;
    if (p->rows && w == 1) { K(alone)(p, sg, ar, ai, br, bi); return; }
    if (!p->inner) {
        if (K(transform)(p, w, sg, ar, ai, br, bi)) {
            memcpy(ar, br, (size_t)(n * w) * sizeof(T));
            memcpy(ai, bi, (size_t)(n * w) * sizeof(T));
        }
        return;
    }
    /* kl = (k^2 + l^2 - (k-l)^2) / 2: a convolution with the chirp. Sign +1 by conjugating around sign -1. */
    int64_t m = p->inner->n;
    for (int64_t l = 0; l < n; l++) {
        T c = p->chirp_c[l], s = -p->chirp_s[l];
        for (int r = 0; r < w; r++) {
            T u = ar[l * w + r], v = -sg * ai[l * w + r];
            ar[l * w + r] = u * c - v * s;
            ai[l * w + r] = u * s + v * c;
        }
    }
    memset(ar + n * w, 0, (size_t)((m - n) * w) * sizeof(T));
    memset(ai + n * w, 0, (size_t)((m - n) * w) * sizeof(T));
    T *xr = ar, *xi = ai, *yr = br, *yi = bi, *t;
    if (K(transform)(p->inner, w, -1, xr, xi, yr, yi)) { t = xr; xr = yr; yr = t; t = xi; xi = yi; yi = t; }
    for (int64_t l = 0; l < m; l++) {
        T c = p->filter_c[l], s = p->filter_s[l];
        for (int r = 0; r < w; r++) {
            T u = xr[l * w + r], v = xi[l * w + r];
            xr[l * w + r] = u * c - v * s;
            xi[l * w + r] = u * s + v * c;
        }
    }
    if (K(transform)(p->inner, w, 1, xr, xi, yr, yi)) { xr = yr; xi = yi; }
    for (int64_t l = 0; l < n; l++) {
        T c = p->chirp_c[l] / (T)m, s = -p->chirp_s[l] / (T)m;
        for (int r = 0; r < w; r++) {
            T u = xr[l * w + r], v = xi[l * w + r];
            ar[l * w + r] = u * c - v * s;
            ai[l * w + r] = -sg * (u * s + v * c);
        }
    }
}

#include "fft_real.h"

static void K(free)(K(Plan) *p) {
    if (!p) return;
    K(free)(p->inner); K(free)(p->half); K(free)(p->rows); K(free)(p->columns);
    free(p->bend_c); free(p->bend_s);
    for (int f = 0; f < p->nf; f++) free(p->turn[f]);
    free(p->wide[0]); free(p->wide[1]);
    free(p->c); free(p->s); free(p->chirp_c); free(p->chirp_s); free(p->filter_c); free(p->filter_s);
    free(p);
}

static K(Plan) *K(plan)(int64_t n, int alone);
/* The split of a lane that goes alone and its tables; 0: no memory. */
static int K(matrix)(K(Plan) *p) {
    if (p->n < 64 || p->n > 65536 || !(p->n & (p->n - 1))) return 1;             /* powers of two have registers filled by shuffles */
    int64_t best = 0;
    double least = 0;
    for (int64_t a = 2; a <= p->n / 2; a++) {
        if (p->n % a) continue;
        int64_t b = p->n / a;
        double cost = K(cost)(p, a) * (double)(K(whole)(b) * a) + K(cost)(p, b) * (double)(K(whole)(a) * b) + 4.0 * (double)K(matrix_size)(a, b);
        if (!best || cost < least) { best = a; least = cost; }
    }
    if (!best) return 1;
    int64_t a = best, b = p->n / a, row = K(whole)(b);
    p->rows = K(plan)(a, 0);
    p->columns = K(plan)(b, 0);
    p->bend_c = calloc((size_t)(a * row), sizeof(T));
    p->bend_s = calloc((size_t)(a * row), sizeof(T));
    if (!p->rows || !p->columns || !p->bend_c || !p->bend_s) return 0;
    for (int64_t k = 0; k < a; k++)
        for (int64_t j = 0; j < b; j++) { p->bend_c[k * row + j] = p->c[k * j]; p->bend_s[k * row + j] = p->s[k * j]; }
    return 1;
}
/* The tables of the passes of radix 4; 0: no memory. */
static int K(turns)(K(Plan) *p) {
    int64_t left = p->n, stride = 1;
    for (int f = 0; f < p->nf; left /= p->factor[f], stride *= p->factor[f], f++) {
        if (p->factor[f] != 4) continue;
        int64_t m = left / 4;
        T *turn = p->turn[f] = malloc((size_t)(6 * m) * sizeof(T));
        if (!turn) return 0;
        for (int64_t q = 0; q < m; q++)
            for (int64_t j = 1; j < 4; j++) { turn[6 * q + 2 * j - 2] = p->c[j * q * stride]; turn[6 * q + 2 * j - 1] = p->s[j * q * stride]; }
        if (f > 1 || p->n & (p->n - 1)) continue;
        T *wide = p->wide[f] = malloc((size_t)(6 * m * stride) * sizeof(T));
        if (!wide) return 0;
        for (int64_t j = 0; j < 6; j++)
            for (int64_t e = 0; e < m * stride; e++) wide[j * m * stride + e] = turn[6 * (e / stride) + j];
    }
    return 1;
}

static K(Plan) *K(plan)(int64_t n, int alone) {
    K(Plan) *p = calloc(1, sizeof(*p));
    if (!p) return NULL;
    p->n = n;
    int64_t rest = n;
    while (rest % 4 == 0) { p->factor[p->nf++] = 4; rest /= 4; }
    for (int f = 2; f <= MAX_RADIX && rest > 1; f++)
        while (rest % f == 0) { p->factor[p->nf++] = f; rest /= f; }
    if (rest == 1) {
        p->c = malloc((size_t)n * sizeof(T));
        p->s = malloc((size_t)n * sizeof(T));
        if (!p->c || !p->s) { K(free)(p); return NULL; }
        for (int64_t t = 0; t < n; t++) K(unit)(t, n, p->c + t, p->s + t);
        if (!K(turns)(p) || (alone && !K(matrix)(p))) { K(free)(p); return NULL; }
        return p;
    }
    int64_t m = 1;
    while (m < 2 * n - 1) m *= 2;
    p->inner = K(plan)(m, 0);
    p->chirp_c = malloc((size_t)n * sizeof(T));
    p->chirp_s = malloc((size_t)n * sizeof(T));
    p->filter_c = malloc((size_t)m * sizeof(T));
    p->filter_s = malloc((size_t)m * sizeof(T));
    T *work = calloc((size_t)(4 * m), sizeof(T));
    if (!p->inner || !p->chirp_c || !p->chirp_s || !p->filter_c || !p->filter_s || !work) { free(work); K(free)(p); return NULL; }
    int64_t square = 0;                                   /* k * k mod 2 n, without overflow */
    for (int64_t k = 0; k < n; k++) {
        K(unit)(square, 2 * n, p->chirp_c + k, p->chirp_s + k);
        square = (square + 2 * k + 1) % (2 * n);
    }
    T *r = work, *i = work + m , *u = work + 2 * m , *v = work + 3 * m ;
    for (int64_t k = 0; k < n; k++) {
        r[k ] = p->chirp_c[k]; i[k ] = p->chirp_s[k];
        if (k) { r[(m - k) ] = p->chirp_c[k]; i[(m - k) ] = p->chirp_s[k]; }
    }
    if (K(transform)(p->inner, 1, -1, r, i, u, v)) { r = u; i = v; }
    for (int64_t k = 0; k < m; k++) { p->filter_c[k] = r[k ]; p->filter_s[k] = i[k ]; }
    free(work);
    return p;
}

/* `count` elements of one lane, `step` apart, to and from column r of the work arrays (w apart). */
static void K(load)(int dtype, const void *x, int64_t at, int64_t step, int64_t count, T *restrict re, T *restrict im, int64_t w) {
    const float *f = x; const double *d = x;
    if (w == 1 && step == 1) {
        switch (dtype) {
        case RT_F32: for (int64_t l = 0; l < count; l++) { re[l] = (T)f[at + l]; im[l] = 0; } return;
        case RT_F64: for (int64_t l = 0; l < count; l++) { re[l] = (T)d[at + l]; im[l] = 0; } return;
        case RT_C64: for (int64_t l = 0; l < count; l++) { re[l] = (T)f[2 * (at + l)]; im[l] = (T)f[2 * (at + l) + 1]; } return;
        default: for (int64_t l = 0; l < count; l++) { re[l] = (T)d[2 * (at + l)]; im[l] = (T)d[2 * (at + l) + 1]; } return;
        }
    }
    switch (dtype) {
    case RT_F32: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)f[at + l * step]; im[l * w] = 0; } break;
    case RT_F64: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)d[at + l * step]; im[l * w] = 0; } break;
    case RT_C64: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)f[2 * (at + l * step)]; im[l * w] = (T)f[2 * (at + l * step) + 1]; } break;
    default: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)d[2 * (at + l * step)]; im[l * w] = (T)d[2 * (at + l * step) + 1]; } break;
    }
}
static void K(store)(int dtype, void *x, int64_t at, int64_t step, int64_t count, const T *restrict re, const T *restrict im, int64_t w, T scale) {
    float *f = x; double *d = x;
    if (w == 1 && step == 1) {
        switch (dtype) {
        case RT_F32: for (int64_t k = 0; k < count; k++) f[at + k] = (float)(re[k] * scale); return;
        case RT_F64: for (int64_t k = 0; k < count; k++) d[at + k] = (double)(re[k] * scale); return;
        case RT_C64: for (int64_t k = 0; k < count; k++) { f[2 * (at + k)] = (float)(re[k] * scale); f[2 * (at + k) + 1] = (float)(im[k] * scale); } return;
        default: for (int64_t k = 0; k < count; k++) { d[2 * (at + k)] = (double)(re[k] * scale); d[2 * (at + k) + 1] = (double)(im[k] * scale); } return;
        }
    }
    switch (dtype) {
    case RT_F32: for (int64_t k = 0; k < count; k++) f[at + k * step] = (float)(re[k * w] * scale); break;
    case RT_F64: for (int64_t k = 0; k < count; k++) d[at + k * step] = (double)(re[k * w] * scale); break;
    case RT_C64:
        for (int64_t k = 0; k < count; k++) {
            f[2 * (at + k * step)] = (float)(re[k * w] * scale);
            f[2 * (at + k * step) + 1] = (float)(im[k * w] * scale);
        }
        break;
    default:
        for (int64_t k = 0; k < count; k++) {
            d[2 * (at + k * step)] = (double)(re[k * w] * scale);
            d[2 * (at + k * step) + 1] = (double)(im[k * w] * scale);
        }
    }
}

static void K(mirror)(T *restrict end, const T *restrict x, int64_t n, T sign) { for (int64_t l = 1; l < n; l++) end[-l] = sign * x[l]; }

/* Sixteen rows of MAX_LANES lanes whose elements are dense, to and from rows of the work arrays: by blocks that are turned. */
static void K(load_block)(int dtype, const void *x, const int64_t *base, int64_t l, T *re, T *im) {
    T r[MAX_LANES * ROWS] __attribute__((aligned(64))), i[MAX_LANES * ROWS] __attribute__((aligned(64)));
    for (int k = 0; k < MAX_LANES; k++) K(load)(dtype, x, base[k] + l, 1, ROWS, r + k * ROWS, i + k * ROWS, 1);
    TURN_IN(re + l * MAX_LANES, r);
    TURN_IN(im + l * MAX_LANES, i);
}
static void K(store_block)(int dtype, void *x, const int64_t *base, int64_t l, const T *re, const T *im, T scale) {
    T r[MAX_LANES * ROWS] __attribute__((aligned(64))), i[MAX_LANES * ROWS] __attribute__((aligned(64)));
    TURN_OUT(r, re + l * MAX_LANES);
    TURN_OUT(i, im + l * MAX_LANES);
    for (int k = 0; k < MAX_LANES; k++) K(store)(dtype, x, base[k] + l, 1, ROWS, r + k * ROWS, i + k * ROWS, 1, scale);
}

static int K(lanes)(const void *plan, int x_dtype, const void *x_oli, RtLane s, int flags, int sign, double scale_,
                 int out_dtype, int64_t out_L, void *out_oki, int threads) {
    const K(Plan) *p = plan, *each = p->half ? p->half : p;
    int64_t lanes = s.outer * s.inner, w = lanes < MAX_LANES ? lanes : MAX_LANES, n = p->n, have;
    if (s.inner == 1 && ((each->wide[0] && each->n / 4 % LANES == 0) || (each->rows && (w < MAX_LANES || each->n >= ALONE))))
        w = 1;                                              /* a transform fills its registers by itself, and stays in the first cache */
    int64_t groups = w ? (lanes + w - 1) / w : 0, size = (K(work_size)(p, w) + 63) / 64 * 64 + 320 / (int64_t)sizeof(T);
    const int dense = s.inner == 1, dense_out = dense || flags & RT_FFT_LANES_OUT;
    /* pairs of real elements, see Note [Real lanes]: where they are dense they lie as complex ones do, else their parts are rows of their own */
    const int pairs_in = p->half && !(flags & RT_FFT_HALF_IN), pairs_out = p->half && flags & RT_FFT_HALF_IN;
    const int rows_in = pairs_in && !dense ? 2 : 1, rows_out = pairs_out && !dense_out ? 2 : 1;
    if (pairs_in && dense) { x_dtype = K(COMPLEX); s.L /= 2; }
    if (pairs_out && dense_out) { out_dtype = K(COMPLEX); out_L /= 2; }
    const int64_t out_step = dense_out ? 1 : s.inner, out_rows = out_L / rows_out;
    const T scale = (T)(pairs_in ? 0.5 * scale_ : scale_);
    have = pairs_in ? n / 2 : s.L < n ? s.L : n;
    if (flags & RT_FFT_HALF_IN && have > n / 2 + 1) have = n / 2 + 1;
    const int64_t need = pairs_in ? n / 2 : pairs_out ? n / 2 + 1 : n;             /* rows of the work arrays that are read */
    int failed = 0, par = threads > 1 && groups > 1 && lanes * n > 8192;
    (void)par;
    RT_OMP(omp parallel num_threads(threads) if (par))
    {
        /* from the start of a cache line on, and not a multiple of a page apart: a load from as far into one array as a store just made
         * into another waits for it */
        T *work = malloc((size_t)(4 * size) * sizeof(T) + 64);
        if (!work) failed = 1;
        else {
            T *ar = (T *)(((uintptr_t)work + 63) & ~(uintptr_t)63), *ai = ar + size, *br = ar + 2 * size, *bi = ar + 3 * size;
            RT_OMP(omp for schedule(static))
            for (int64_t g = 0; g < groups; g++) {
                int count = (int)(lanes - g * w < w ? lanes - g * w : w);
                /* In blocks of rows, so that the lines of the work arrays stay in the first cache. */
                int64_t base[MAX_LANES];
                for (int r = 0; r < count; r++) {
                    int64_t lane = g * w + r;
                    base[r] = lane / s.inner * s.L * s.inner + lane % s.inner;
                }
                int together = w == 1 ? dense : count == w && g * w % s.inner + w <= s.inner;        /* rows are dense */
                if (count < w || have < need) {
                    memset(ar, 0, (size_t)(need * w) * sizeof(T));
                    memset(ai, 0, (size_t)(need * w) * sizeof(T));
                }
                for (int h = 0; h < rows_in; h++) {                      /* the second parts over the first ones' imaginary zeros */
                    T *re = h ? ai : ar, *im = h ? br : ai;
                    int64_t from = h * s.inner, step = rows_in * s.inner;
                    if (w == 1 && together) K(load)(x_dtype, x_oli, base[0] + from, step, have, re, im, 1);
                    else if (together) for (int64_t l = 0; l < have; l++) K(load)(x_dtype, x_oli, base[0] + from + l * step, 1, w, re + l * w, im + l * w, 1);
                    else for (int64_t l = 0; l < have; l += ROWS)
                        if (dense && count == MAX_LANES && l + ROWS <= have) K(load_block)(x_dtype, x_oli, base, l, re, im);
                        else for (int r = 0; r < count; r++)
                            K(load)(x_dtype, x_oli, base[r] + from + l * step, step, have - l < ROWS ? have - l : ROWS, re + l * w + r, im + l * w + r, w);
                }
                if (flags & RT_FFT_HALF_IN) {
                    for (int64_t r = 0; r < w; r++) ai[r] = 0;            /* the first and the middle term are real */
                    if (2 * (have - 1) == n) for (int64_t r = 0; r < w; r++) ai[(have - 1) * w + r] = 0;
                    if (p->half) {}
                    else if (w == 1) { K(mirror)(ar + n, ar, have < (n + 1) / 2 ? have : (n + 1) / 2, 1); K(mirror)(ai + n, ai, have < (n + 1) / 2 ? have : (n + 1) / 2, -1); }
                    else for (int64_t l = 1; l < have && 2 * l < n; l++)
                        for (int64_t r = 0; r < w; r++) { ar[(n - l) * w + r] = ar[l * w + r]; ai[(n - l) * w + r] = -ai[l * w + r]; }
                }
                if (w == 1 && together) {                /* memory works while the registers do */
                    ahead(out_oki, g * out_L * rt_itemsize(out_dtype), out_L * rt_itemsize(out_dtype));
                    if (g + 1 < groups) ahead(x_oli, (g + 1) * s.L * rt_itemsize(x_dtype), have * rt_itemsize(x_dtype));
                }
                const T *yr = ar, *yi = ai;
                if (pairs_in) { K(real_in)(p, w, (T)sign, out_L, ar, ai, br, bi); yr = br; yi = bi; }
                else if (pairs_out) { K(real_out)(p, w, (T)sign, ar, ai, br, bi); yr = br; yi = bi; }
                else K(run_plan)(p, w, (T)sign, ar, ai, br, bi);
                for (int r = 0; r < count; r++) {
                    int64_t lane = g * w + r;
                    base[r] = dense_out ? lane * out_L : lane / s.inner * out_L * s.inner + lane % s.inner;
                }
                for (int h = 0; h < rows_out; h++) {
                    const T *re = h ? yi : yr, *im = yi;
                    int64_t to = h * out_step, step = rows_out * out_step;
                    if (w == 1 && together) K(store)(out_dtype, out_oki, base[0] + to, step, out_rows, re, im, 1, scale);
                    else if (together && !dense_out)
                        for (int64_t k = 0; k < out_rows; k++) K(store)(out_dtype, out_oki, base[0] + to + k * step, 1, w, re + k * w, im + k * w, 1, scale);
                    else for (int64_t k = 0; k < out_rows; k += ROWS)
                        if (dense_out && count == MAX_LANES && k + ROWS <= out_rows) K(store_block)(out_dtype, out_oki, base, k, re, im, scale);
                        else for (int r = 0; r < count; r++)
                            K(store)(out_dtype, out_oki, base[r] + to + k * step, step, out_rows - k < ROWS ? out_rows - k : ROWS, re + k * w + r, im + k * w + r, w, scale);
                }
            }
        }
        free(work);
    }
    return failed ? RT_ERR_MEMORY : RT_OK;
}

static void *K(make)(int64_t n) { return K(plan)(n, 1); }
static void *K(make_real)(int64_t n) {
    K(Plan) *p = calloc(1, sizeof(*p));
    if (!p) return NULL;
    p->n = n;
    p->half = K(plan)(n / 2, 1);
    p->c = malloc((size_t)(n / 2 + 1) * sizeof(T));
    p->s = malloc((size_t)(n / 2 + 1) * sizeof(T));
    if (!p->half || !p->c || !p->s) { K(free)(p); return NULL; }
    for (int64_t k = 0; k <= n / 2; k++) K(unit)(k, n, p->c + k, p->s + k);
    return p;
}
static void K(drop)(void *plan) { K(free)(plan); }
#undef MIXED
#undef MIX4
#undef WIDE_PASS
