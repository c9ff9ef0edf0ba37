/* Sums and runs of one type for norm.inc.c: T element, SUF(name). norm_half_t.h has the same for 16-bit floats, norm_rows_t.h what is made of them. */

/* Four vectors at a time, so that a sum does not wait for the last one. */
RT_INLINE double SUF(sum)(const T *x, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; i += STRETCH) {
        int64_t m = n - i < STRETCH ? n - i : STRETCH, k = 0;
        const T *p = x + i;
        VT a = {0}, b = {0}, c = {0}, d = {0};
        for (; k + 4 * LANES <= m; k += 4 * LANES) {
            a += V(load)(p + k); b += V(load)(p + k + LANES); c += V(load)(p + k + 2 * LANES); d += V(load)(p + k + 3 * LANES);
        }
        for (; k + LANES <= m; k += LANES) a += V(load)(p + k);
        if (k < m) b += V(load_first)(p + k, (int)(m - k));
        total += V(sum)((a + b) + (c + d));
    }
    return total;
}

/* sum of (x - mean)^2 */
RT_INLINE double SUF(sum_sq)(const T *x, int64_t n, T mean) {
    double total = 0;
    const VT v = V(set)(mean);
    for (int64_t i = 0; i < n; i += STRETCH) {
        int64_t m = n - i < STRETCH ? n - i : STRETCH, k = 0;
        const T *p = x + i;
        VT a = {0}, b = {0}, c = {0}, d = {0};
        T s = 0;
        for (; k + 4 * LANES <= m; k += 4 * LANES) {
            VT e = V(load)(p + k) - v, f = V(load)(p + k + LANES) - v, g = V(load)(p + k + 2 * LANES) - v, h = V(load)(p + k + 3 * LANES) - v;
            a = V(fma)(e, e, a); b = V(fma)(f, f, b); c = V(fma)(g, g, c); d = V(fma)(h, h, d);
        }
        for (; k + LANES <= m; k += LANES) { VT e = V(load)(p + k) - v; a = V(fma)(e, e, a); }
        for (; k < m; k++) s += (p[k] - mean) * (p[k] - mean);
        total += V(sum)((a + b) + (c + d)) + s;
    }
    return total;
}

/* sums of v and of v * (x - mean), v = g or g * w where w is not NULL */
RT_INLINE void SUF(sum_pair)(const T *g, const T *x, const T *w, int64_t n, T mean, double *sum_g, double *sum_gx) {
    const VT m = V(set)(mean);
    for (int64_t i = 0; i < n; i += STRETCH) {
        int64_t end = n - i < STRETCH ? n : i + STRETCH, k = i;
        VT a = {0}, b = {0}, c = {0}, d = {0};
        T s = 0, t = 0;
        for (; k + 2 * LANES <= end; k += 2 * LANES) {
            VT v = V(load)(g + k), u = V(load)(g + k + LANES);
            if (w) { v *= V(load)(w + k); u *= V(load)(w + k + LANES); }
            a += v; c += u;
            b = V(fma)(v, V(load)(x + k) - m, b); d = V(fma)(u, V(load)(x + k + LANES) - m, d);
        }
        for (; k < end; k++) { T v = w ? g[k] * w[k] : g[k]; s += v; t += v * (x[k] - mean); }
        *sum_g += V(sum)(a + c) + s;
        *sum_gx += V(sum)(b + d) + t;
    }
}

/* ---- a run of elements: y = f(x) ---- */
RT_INLINE void SUF(scaled)(const T *x, int64_t n, T m, T a, T k, T *restrict y) {
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * a + k;
}
RT_INLINE void SUF(scaled_each)(const T *x, int64_t n, T m, T k, const T *w, const T *b, T *restrict y) {
    if (w && b) for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * k * w[i] + b[i];
    else if (w) for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * k * w[i];
    else if (b) for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * k + b[i];
    else for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * k;
}
RT_INLINE void SUF(times)(const T *g, int64_t n, T a, T *restrict y) {
    for (int64_t i = 0; i < n; i++) y[i] = g[i] * a;
}
/* y = (g * w - a - (x - m) * q) * k; w: of each element, or NULL and `one` for all */
RT_INLINE void SUF(sloped)(const T *x, const T *g, int64_t n, const T *w, T one, T m, T a, T q, T k, T *restrict y) {
    if (w) for (int64_t i = 0; i < n; i++) y[i] = (g[i] * w[i] - a - (x[i] - m) * q) * k;
    else for (int64_t i = 0; i < n; i++) y[i] = (g[i] * one - a - (x[i] - m) * q) * k;
}
/* of neighbouring channels, each with numbers of its own */
RT_INLINE void SUF(scaled_channels)(const T *x, int64_t n, const T *mean, const T *rstd, const T *w, const T *b, T *restrict y) {
    if (w && b) for (int64_t c = 0; c < n; c++) y[c] = (x[c] - mean[c]) * (rstd[c] * w[c]) + b[c];
    else for (int64_t c = 0; c < n; c++) y[c] = (x[c] - mean[c]) * (w ? rstd[c] * w[c] : rstd[c]) + (b ? b[c] : 0);
}
RT_INLINE void SUF(scaled_rows)(const T *x, int64_t step, int64_t rows, int64_t n, const T *mean, const T *rstd, const T *w, const T *b, T *y) {
    for (int64_t r = 0; r < rows; r++) SUF(scaled_channels)(x + r * step, n, mean, rstd, w, b, y + r * step);
}
RT_INLINE void SUF(sloped_channels)(const T *x, const T *g, int64_t n, const T *w, const T *m, const T *a, const T *q, const T *k, T *restrict y) {
    if (w) for (int64_t c = 0; c < n; c++) y[c] = (g[c] * w[c] - a[c] - (x[c] - m[c]) * q[c]) * k[c];
    else for (int64_t c = 0; c < n; c++) y[c] = (g[c] - a[c] - (x[c] - m[c]) * q[c]) * k[c];
}
RT_INLINE void SUF(times_channels)(const T *g, int64_t n, const T *a, T *restrict y) {
    for (int64_t c = 0; c < n; c++) y[c] = g[c] * a[c];
}

/* `len` columns of at most WEIGHT_ROWS rows that lie `step` apart: pw = sums of g * (x - mean) * rstd, pb = of g */
RT_INLINE void SUF(weight_sums)(const T *x, const T *g, int64_t step, int64_t rows, int64_t len, const T *mean, const T *rstd, T *restrict pw, T *restrict pb) {
    int64_t r = 0;
    for (int64_t i = 0; i < len; i++) pw[i] = pb[i] = 0;
    for (; r + 4 <= rows; r += 4) {
        const T *x0 = x + r * step, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
        const T *g0 = g + r * step, *g1 = g0 + step, *g2 = g1 + step, *g3 = g2 + step;
        T m0 = mean ? mean[r] : 0, m1 = mean ? mean[r + 1] : 0, m2 = mean ? mean[r + 2] : 0, m3 = mean ? mean[r + 3] : 0;
        T q0 = rstd[r], q1 = rstd[r + 1], q2 = rstd[r + 2], q3 = rstd[r + 3];
        RT_OMP(omp simd)
        for (int64_t i = 0; i < len; i++) {
            pw[i] += (g0[i] * ((x0[i] - m0) * q0) + g1[i] * ((x1[i] - m1) * q1)) + (g2[i] * ((x2[i] - m2) * q2) + g3[i] * ((x3[i] - m3) * q3));
            pb[i] += (g0[i] + g1[i]) + (g2[i] + g3[i]);
        }
    }
    for (; r < rows; r++) {
        const T *xs = x + r * step, *gs = g + r * step;
        T m = mean ? mean[r] : 0, q = rstd[r];
        for (int64_t i = 0; i < len; i++) { pw[i] += gs[i] * ((xs[i] - m) * q); pb[i] += gs[i]; }
    }
}

/* Sums of columns of a matrix, see norm_rows_t.h: rows [r0, r1); p = sums of x, of (x - mean)^2 or of g; q = of g * (x - mean) with the last. */
RT_INLINE void SUF(column_sums)(int of, const T *x, const T *g, int64_t r0, int64_t r1, int64_t C, int64_t len, const T *mean, double *p, double *q) {
    for (int64_t c = 0; c < len; c++) p[c] = 0;
    if (of == OF_PAIR) for (int64_t c = 0; c < len; c++) q[c] = 0;
    for (int64_t from = r0; from < r1; from += ROWS) {
        int64_t r = from, end = r1 - from < ROWS ? r1 : from + ROWS;
        T s[COLUMNS] = {0}, t[COLUMNS];
        if (of == OF_PAIR) memset(t, 0, sizeof t);
        for (; r + 2 <= end; r += 2) {
            const T *x0 = x + r * C, *x1 = x0 + C, *g0 = g + r * C, *g1 = g0 + C;
            RT_OMP(omp simd)
            for (int64_t c = 0; c < len; c++) {
                if (of == OF_X) s[c] += x0[c] + x1[c];
                else if (of == OF_SQUARES) s[c] += (x0[c] - mean[c]) * (x0[c] - mean[c]) + (x1[c] - mean[c]) * (x1[c] - mean[c]);
                else { s[c] += g0[c] + g1[c]; t[c] += g0[c] * (x0[c] - mean[c]) + g1[c] * (x1[c] - mean[c]); }
            }
        }
        if (r < end) {
            const T *x0 = x + r * C, *g0 = g + r * C;
            RT_OMP(omp simd)
            for (int64_t c = 0; c < len; c++) {
                if (of == OF_X) s[c] += x0[c];
                else if (of == OF_SQUARES) s[c] += (x0[c] - mean[c]) * (x0[c] - mean[c]);
                else { s[c] += g0[c]; t[c] += g0[c] * (x0[c] - mean[c]); }
            }
        }
        for (int64_t c = 0; c < len; c++) p[c] += s[c];
        if (of == OF_PAIR) for (int64_t c = 0; c < len; c++) q[c] += t[c];
    }
}
static __attribute__((noinline)) void SUF(column_part)(int of, const T *x, const T *g, int64_t r0, int64_t r1, int64_t C, int64_t len, const T *mean,
                                                       double *p, double *q) {
    if (of == OF_X) SUF(column_sums)(OF_X, x, x, r0, r1, C, len, mean, p, q);
    else if (of == OF_SQUARES) SUF(column_sums)(OF_SQUARES, x, x, r0, r1, C, len, mean, p, q);
    else SUF(column_sums)(OF_PAIR, x, g, r0, r1, C, len, mean, p, q);
}
