/* The transform in one precision: included with T, K(name) and MAX_LANES defined. See fft.inc.c. */
typedef struct K(Plan) {
    int64_t n;
    int nf, factor[MAX_FACTORS];
    T *c, *s;               /* cos, sin of 2 pi t / n, t < n */
    struct K(Plan) *inner;            /* Bluestein: plan of the convolution's length, else NULL */
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
        K(pass)(p->factor[f], n, stride, w, p->n, p->c, p->s, sg, ar, ai, br, bi);
        n /= p->factor[f];
        stride *= p->factor[f];
        T *t = ar; ar = br; br = t;
        t = ai; ai = bi; bi = t;
        swapped ^= 1;
    }
    return swapped;
}

/* Elements of scratch (Ts) that `run_plan` needs in each of its two buffer pairs. */
static int64_t K(work_size)(const K(Plan) *p, int64_t w) { return (p->inner ? p->inner->n : p->n) * w; }

/* As transform, for every length; the result is moved to (ar, ai). */
static void K(run_plan)(const K(Plan) *p, int64_t w, T sg, T *ar, T *ai, T *br, T *bi) {
    int64_t n = p->n;
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

static void K(free)(K(Plan) *p) {
    if (!p) return;
    K(free)(p->inner);
    free(p->c); free(p->s); free(p->chirp_c); free(p->chirp_s); free(p->filter_c); free(p->filter_s);
    free(p);
}

static K(Plan) *K(plan)(int64_t n) {
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
        return p;
    }
    int64_t m = 1;
    while (m < 2 * n - 1) m *= 2;
    p->inner = K(plan)(m);
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
    switch (dtype) {
    case RT_F32: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)f[at + l * step]; im[l * w] = 0; } break;
    case RT_F64: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)d[at + l * step]; im[l * w] = 0; } break;
    case RT_C64: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)f[2 * (at + l * step)]; im[l * w] = (T)f[2 * (at + l * step) + 1]; } break;
    default: for (int64_t l = 0; l < count; l++) { re[l * w] = (T)d[2 * (at + l * step)]; im[l * w] = (T)d[2 * (at + l * step) + 1]; } break;
    }
}
static void K(store)(int dtype, void *x, int64_t at, int64_t step, int64_t count, const T *restrict re, const T *restrict im, int64_t w, T scale) {
    float *f = x; double *d = x;
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

static int K(lanes)(const void *plan, int x_dtype, const void *x_oli, RtLane s, int flags, int sign, double scale_,
                 int out_dtype, int64_t out_L, void *out_oki, int threads) {
    const K(Plan) *p = plan;
    int64_t lanes = s.outer * s.inner, w = lanes < MAX_LANES ? lanes : MAX_LANES;
    int64_t groups = w ? (lanes + w - 1) / w : 0, n = p->n, size = K(work_size)(p, w);
    const T scale = (T)scale_;
    int failed = 0, par = threads > 1 && groups > 1 && lanes * n > 8192;
    (void)par;
    RT_OMP(omp parallel num_threads(threads) if (par))
    {
        T *work = malloc((size_t)(4 * size) * sizeof(T));
        if (!work) failed = 1;
        else {
            T *ar = work, *ai = work + size, *br = work + 2 * size, *bi = work + 3 * size;
            RT_OMP(omp for schedule(static))
            for (int64_t g = 0; g < groups; g++) {
                int count = (int)(lanes - g * w < w ? lanes - g * w : w);
                /* In blocks of rows, so that the lines of the work arrays stay in the first cache. */
                int64_t have = s.L < n ? s.L : n, base[MAX_LANES];
                if (flags & RT_FFT_HALF_IN && have > n / 2 + 1) have = n / 2 + 1;
                for (int r = 0; r < count; r++) {
                    int64_t lane = g * w + r;
                    base[r] = lane / s.inner * s.L * s.inner + lane % s.inner;
                }
                if (count < w || have < n) {
                    memset(ar, 0, (size_t)(n * w) * sizeof(T));
                    memset(ai, 0, (size_t)(n * w) * sizeof(T));
                }
                for (int64_t l = 0; l < have; l += ROWS)
                    for (int r = 0; r < count; r++)
                        K(load)(x_dtype, x_oli, base[r] + l * s.inner, s.inner, have - l < ROWS ? have - l : ROWS, ar + l * w + r, ai + l * w + r, w);
                if (flags & RT_FFT_HALF_IN) {
                    for (int64_t r = 0; r < w; r++) ai[r] = 0;            /* the first and the middle term are real */
                    for (int64_t l = 1; l < have; l++)
                        for (int64_t r = 0; r < w; r++) {
                            if (2 * l == n) ai[l * w + r] = 0;
                            else { ar[(n - l) * w + r] = ar[l * w + r]; ai[(n - l) * w + r] = -ai[l * w + r]; }
                        }
                }
                K(run_plan)(p, w, (T)sign, ar, ai, br, bi);
                for (int r = 0; r < count; r++) {
                    int64_t lane = g * w + r;
                    base[r] = lane / s.inner * out_L * s.inner + lane % s.inner;
                }
                for (int64_t k = 0; k < out_L; k += ROWS)
                    for (int r = 0; r < count; r++)
                        K(store)(out_dtype, out_oki, base[r] + k * s.inner, s.inner, out_L - k < ROWS ? out_L - k : ROWS,
                                 ar + k * w + r, ai + k * w + r, w, scale);
            }
        }
        free(work);
    }
    return failed ? RT_ERR_MEMORY : RT_OK;
}

static void *K(make)(int64_t n) { return K(plan)(n); }
static void K(drop)(void *plan) { K(free)(plan); }
