/* Typed body of norm.inc.c: T element, SUF(name). */

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

/* (N, C) matrices, channels_last images among them: COLUMNS channels are done together, so that vectors run along a row. Sums run in the element
 * type over ROWS rows and in double over these; many rows are cut into PARTS stretches, which threads share, whatever their number. */
#define COLUMNS 256
#define ROWS 64
#define PARTS 8

enum { SUF(OF_X), SUF(OF_SQUARES), SUF(OF_PAIR) };

/* Rows [r0, r1): p = sums of x, of (x - mean)^2 or of g; q = of g * (x - mean) with the last. */
RT_INLINE void SUF(column_sums)(int of, const T *x, const T *g, int64_t r0, int64_t r1, int64_t C, int64_t len, const T *mean, double *p, double *q) {
    for (int64_t c = 0; c < len; c++) p[c] = 0;
    if (of == SUF(OF_PAIR)) for (int64_t c = 0; c < len; c++) q[c] = 0;
    for (int64_t from = r0; from < r1; from += ROWS) {
        int64_t r = from, end = r1 - from < ROWS ? r1 : from + ROWS;
        T s[COLUMNS] = {0}, t[COLUMNS];
        if (of == SUF(OF_PAIR)) memset(t, 0, sizeof t);
        for (; r + 2 <= end; r += 2) {
            const T *x0 = x + r * C, *x1 = x0 + C, *g0 = g + r * C, *g1 = g0 + C;
            RT_OMP(omp simd)
            for (int64_t c = 0; c < len; c++) {
                if (of == SUF(OF_X)) s[c] += x0[c] + x1[c];
                else if (of == SUF(OF_SQUARES)) s[c] += (x0[c] - mean[c]) * (x0[c] - mean[c]) + (x1[c] - mean[c]) * (x1[c] - mean[c]);
                else { s[c] += g0[c] + g1[c]; t[c] += g0[c] * (x0[c] - mean[c]) + g1[c] * (x1[c] - mean[c]); }
            }
        }
        if (r < end) {
            const T *x0 = x + r * C, *g0 = g + r * C;
            RT_OMP(omp simd)
            for (int64_t c = 0; c < len; c++) {
                if (of == SUF(OF_X)) s[c] += x0[c];
                else if (of == SUF(OF_SQUARES)) s[c] += (x0[c] - mean[c]) * (x0[c] - mean[c]);
                else { s[c] += g0[c]; t[c] += g0[c] * (x0[c] - mean[c]); }
            }
        }
        for (int64_t c = 0; c < len; c++) p[c] += s[c];
        if (of == SUF(OF_PAIR)) for (int64_t c = 0; c < len; c++) q[c] += t[c];
    }
}
static __attribute__((noinline)) void SUF(column_part)(int of, const T *x, const T *g, int64_t r0, int64_t r1, int64_t C, int64_t len, const T *mean,
                                                       double *p, double *q) {
    if (of == SUF(OF_X)) SUF(column_sums)(SUF(OF_X), x, x, r0, r1, C, len, mean, p, q);
    else if (of == SUF(OF_SQUARES)) SUF(column_sums)(SUF(OF_SQUARES), x, x, r0, r1, C, len, mean, p, q);
    else SUF(column_sums)(SUF(OF_PAIR), x, g, r0, r1, C, len, mean, p, q);
}

/* The same over all rows. */
static void SUF(column_total)(int of, const T *x, const T *g, int64_t N, int64_t C, int64_t len, const T *mean, double *p, double *q, int threads) {
    int64_t parts = N < PARTS * ROWS ? 1 : PARTS;
    double ps[PARTS][COLUMNS], qs[PARTS][COLUMNS];
    threads = few((double)N * len, threads, parts);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t k = 0; k < parts; k++)
        SUF(column_part)(of, x, g, N * k / parts, N * (k + 1) / parts, C, len, mean, k ? ps[k] : p, k ? qs[k] : q);
    for (int64_t k = 1; k < parts; k++)
        for (int64_t c = 0; c < len; c++) {
            p[c] += ps[k][c];
            if (of == SUF(OF_PAIR)) q[c] += qs[k][c];
        }
}

/* Threads that share the rows of a block of columns (few rows: 1), or else the blocks: never both, teams within teams are made anew each time. */
RT_INLINE int SUF(column_threads)(int64_t N, int64_t C, int threads, int *among) {
    int within = N < PARTS * ROWS ? 1 : threads;
    *among = within > 1 ? 1 : few((double)N * C, threads, (C + COLUMNS - 1) / COLUMNS);
    return within;
}

static void SUF(column_stats_block)(const T *x, int64_t N, int64_t C, int64_t len, T *mean, T *var, int threads) {
    double p[COLUMNS], q[COLUMNS];
    SUF(column_total)(SUF(OF_X), x, NULL, N, C, len, NULL, p, q, threads);
    for (int64_t c = 0; c < len; c++) mean[c] = (T)(p[c] / (double)N);
    SUF(column_total)(SUF(OF_SQUARES), x, NULL, N, C, len, mean, p, q, threads);
    for (int64_t c = 0; c < len; c++) var[c] = (T)(p[c] / (double)N);
}

static void SUF(column_stats)(const T *x, int64_t N, int64_t C, T *mean, T *var, int threads) {
    int among, within = SUF(column_threads)(N, C, threads, &among);
    if (among < 2)
        for (int64_t c = 0; c < C; c += COLUMNS) SUF(column_stats_block)(x + c, N, C, C - c < COLUMNS ? C - c : COLUMNS, mean + c, var + c, within);
    else {
        RT_OMP(omp parallel for num_threads(among) schedule(static))
        for (int64_t c = 0; c < C; c += COLUMNS) SUF(column_stats_block)(x + c, N, C, C - c < COLUMNS ? C - c : COLUMNS, mean + c, var + c, 1);
    }
}

/* One block, from its first channel on; outputs and w may be NULL. */
static void SUF(column_d0_block)(const T *x, const T *g, int64_t N, int64_t C, int64_t len, const T *m, const T *r, const T *w, int stats,
                                 T *gx, T *gw, T *gb, int threads) {
    double sg[COLUMNS] = {0}, sgx[COLUMNS] = {0};
    if (stats || gw || gb) SUF(column_total)(SUF(OF_PAIR), x, g, N, C, len, m, sg, sgx, threads);
    if (gw) for (int64_t c = 0; c < len; c++) gw[c] = (T)(sgx[c] * r[c]);
    if (gb) for (int64_t c = 0; c < len; c++) gb[c] = (T)sg[c];
    if (!gx) return;
    T a[COLUMNS], shift[COLUMNS], slope[COLUMNS];
    for (int64_t c = 0; c < len; c++) {
        a[c] = w ? r[c] * w[c] : r[c];
        shift[c] = stats ? (T)(sg[c] / (double)N) : 0;
        slope[c] = stats ? (T)(sgx[c] * r[c] * r[c] / (double)N) : 0;
    }
    threads = few((double)N * len, threads, N);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t n = 0; n < N; n++) {
        const T *xs = x + n * C, *gs = g + n * C;
        T *restrict out = gx + n * C;
        if (stats) for (int64_t c = 0; c < len; c++) out[c] = (gs[c] - shift[c] - (xs[c] - m[c]) * slope[c]) * a[c];
        else for (int64_t c = 0; c < len; c++) out[c] = gs[c] * a[c];
    }
}

static void SUF(column_d0)(const T *x, const T *g, int64_t N, int64_t C, const T *mean, const T *rstd, const T *w, int stats,
                           T *gx, T *gw, T *gb, int threads) {
    int among, within = SUF(column_threads)(N, C, threads, &among);
#define BLOCK(threads) SUF(column_d0_block)(x + c, g + c, N, C, C - c < COLUMNS ? C - c : COLUMNS, mean + c, rstd + c, w ? w + c : NULL, stats, \
                                            gx ? gx + c : NULL, gw ? gw + c : NULL, gb ? gb + c : NULL, threads)
    if (among < 2) for (int64_t c = 0; c < C; c += COLUMNS) BLOCK(within);
    else {
        RT_OMP(omp parallel for num_threads(among) schedule(static))
        for (int64_t c = 0; c < C; c += COLUMNS) BLOCK(1);
    }
#undef BLOCK
}

static void SUF(channel_stats)(const T *x, int64_t N, int64_t C, int64_t S, T *mean, T *var, int threads) {
    double count = (double)N * S;
    if (S == 1) { SUF(column_stats)(x, N, C, mean, var, threads); return; }
    threads = few(count * C, threads, C);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t c = 0; c < C; c++) {
        double s = 0, v = 0;
        for (int64_t n = 0; n < N; n++) s += SUF(sum)(x + (n * C + c) * S, S);
        T m = (T)(s / count);
        for (int64_t n = 0; n < N; n++) v += SUF(sum_sq)(x + (n * C + c) * S, S, m);
        mean[c] = m;
        var[c] = (T)(v / count);
    }
}

static void SUF(channel_apply)(const T *x, int64_t N, int64_t C, int64_t S, const T *mean, const T *rstd, const T *w,
                               const T *b, T *y, int threads) {
    threads = few((double)N * C * S, threads, N * C);
    if (S == 1) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t n = 0; n < N; n++) {
            const T *xs = x + n * C;
            T *restrict ys = y + n * C;
            for (int64_t c0 = 0; c0 < C; c0 += COLUMNS) {
                int64_t c1 = C - c0 < COLUMNS ? C : c0 + COLUMNS;
                if (w && b) for (int64_t c = c0; c < c1; c++) ys[c] = (xs[c] - mean[c]) * (rstd[c] * w[c]) + b[c];
                else for (int64_t c = c0; c < c1; c++) ys[c] = (xs[c] - mean[c]) * (w ? rstd[c] * w[c] : rstd[c]) + (b ? b[c] : 0);
            }
        }
        return;
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t nc = 0; nc < N * C; nc++) {
        int64_t c = nc % C;
        T a = w ? rstd[c] * w[c] : rstd[c], m = mean[c], k = b ? b[c] : 0;
        const T *xs = x + nc * S;
        T *ys = y + nc * S;
        for (int64_t s = 0; s < S; s++) ys[s] = (xs[s] - m) * a + k;
    }
}

static void SUF(channel_d0)(const T *x, const T *g, int64_t N, int64_t C, int64_t S, const T *mean, const T *rstd,
                            const T *w, int stats, T *gx, T *gw, T *gb, int threads) {
    double count = (double)N * S;
    if (S == 1) { SUF(column_d0)(x, g, N, C, mean, rstd, w, stats, gx, gw, gb, threads); return; }
    threads = few(count * C, threads, C);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t c = 0; c < C; c++) {
        double sg = 0, sgx = 0;
        T m = mean[c], r = rstd[c];
        for (int64_t n = 0; n < N; n++) SUF(sum_pair)(g + (n * C + c) * S, x + (n * C + c) * S, NULL, S, m, &sg, &sgx);
        if (gw) gw[c] = (T)(sgx * r);
        if (gb) gb[c] = (T)sg;
        if (!gx) continue;
        T a = w ? r * w[c] : r;
        T g_mean = (T)(sg / count), k = (T)(sgx * r * r / count);
        for (int64_t n = 0; n < N; n++) {
            const T *xs = x + (n * C + c) * S, *gs = g + (n * C + c) * S;
            T *out = gx + (n * C + c) * S;
            if (stats) for (int64_t s = 0; s < S; s++) out[s] = (gs[s] - g_mean - (xs[s] - m) * k) * a;
            else for (int64_t s = 0; s < S; s++) out[s] = gs[s] * a;
        }
    }
}

static void SUF(row)(const T *x, int64_t R, int64_t n, const T *w, const T *b, double eps, int rms, T *y, T *mean,
                     T *rstd, int threads) {
    threads = few((double)R * n, threads, R);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < R; r++) {
        const T *xs = x + r * n;
        T *restrict ys = y + r * n;
        T m = rms ? 0 : (T)(SUF(sum)(xs, n) / (double)n);
        T k = (T)(1.0 / sqrt(SUF(sum_sq)(xs, n, m) / (double)n + eps));
        if (mean) mean[r] = m;
        rstd[r] = k;
        if (w && b) for (int64_t i = 0; i < n; i++) ys[i] = (xs[i] - m) * k * w[i] + b[i];
        else if (w) for (int64_t i = 0; i < n; i++) ys[i] = (xs[i] - m) * k * w[i];
        else if (b) for (int64_t i = 0; i < n; i++) ys[i] = (xs[i] - m) * k + b[i];
        else for (int64_t i = 0; i < n; i++) ys[i] = (xs[i] - m) * k;
    }
}

static void SUF(row_d0)(const T *x, const T *g, int64_t R, int64_t n, const T *w, const T *mean, const T *rstd, int rms,
                        T *gx, T *gw, T *gb, int threads) {
    if (gx) {
        int nt = few((double)R * n, threads, R);
        RT_OMP(omp parallel for num_threads(nt) schedule(static) if (nt > 1))
        for (int64_t r = 0; r < R; r++) {
            const T *xs = x + r * n, *gs = g + r * n;
            T *restrict out = gx + r * n;
            T m = rms ? 0 : mean[r], k = rstd[r];
            double sg = 0, sgx = 0;
            if (w) SUF(sum_pair)(gs, xs, w, n, m, &sg, &sgx);
            else SUF(sum_pair)(gs, xs, NULL, n, m, &sg, &sgx);
            T a = rms ? 0 : (T)(sg / (double)n), q = (T)(sgx * k * k / (double)n);
            if (w) for (int64_t i = 0; i < n; i++) out[i] = (gs[i] * w[i] - a - (xs[i] - m) * q) * k;
            else for (int64_t i = 0; i < n; i++) out[i] = (gs[i] - a - (xs[i] - m) * q) * k;
        }
    }
    if (gw || gb) {                                   /* columns are shared out, rows added in order */
        int64_t block = threads > 1 ? (n / threads + 31) / 32 * 32 : 512;
        if (block > 512 || block < 32) block = block < 32 ? 32 : 512;
        int64_t blocks = (n + block - 1) / block;
        int nt = few((double)R * n, threads, blocks);
        RT_OMP(omp parallel for num_threads(nt) schedule(static) if (nt > 1))
        for (int64_t k = 0; k < blocks; k++) {
            int64_t i0 = k * block, len = n - i0 < block ? n - i0 : block;
            double sw[512] = {0}, sb[512] = {0};
            for (int64_t r0 = 0; r0 < R; r0 += 16) {     /* sixteen rows in T, then on in double */
                T pw[512] = {0}, pb[512] = {0};
                int64_t r = r0, r1 = r0 + 16 < R ? r0 + 16 : R;
                for (; r + 4 <= r1; r += 4) {
                    const T *x0 = x + r * n + i0, *x1 = x0 + n, *x2 = x1 + n, *x3 = x2 + n;
                    const T *g0 = g + r * n + i0, *g1 = g0 + n, *g2 = g1 + n, *g3 = g2 + n;
                    T m0 = rms ? 0 : mean[r], m1 = rms ? 0 : mean[r + 1], m2 = rms ? 0 : mean[r + 2], m3 = rms ? 0 : mean[r + 3];
                    T q0 = rstd[r], q1 = rstd[r + 1], q2 = rstd[r + 2], q3 = rstd[r + 3];
                    RT_OMP(omp simd)
                    for (int64_t i = 0; i < len; i++) {
                        pw[i] += (g0[i] * ((x0[i] - m0) * q0) + g1[i] * ((x1[i] - m1) * q1)) + (g2[i] * ((x2[i] - m2) * q2) + g3[i] * ((x3[i] - m3) * q3));
                        pb[i] += (g0[i] + g1[i]) + (g2[i] + g3[i]);
                    }
                }
                for (; r < r1; r++) {
                    const T *xs = x + r * n + i0, *gs = g + r * n + i0;
                    T m = rms ? 0 : mean[r], q = rstd[r];
                    for (int64_t i = 0; i < len; i++) { pw[i] += gs[i] * ((xs[i] - m) * q); pb[i] += gs[i]; }
                }
                for (int64_t i = 0; i < len; i++) { sw[i] += (double)pw[i]; sb[i] += (double)pb[i]; }
            }
            if (gw) for (int64_t i = 0; i < len; i++) gw[i0 + i] = (T)sw[i];
            if (gb) for (int64_t i = 0; i < len; i++) gb[i0 + i] = (T)sb[i];
        }
    }
}

static void SUF(group)(const T *x, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *b, double eps, T *y,
                       T *mean, T *rstd, int threads) {
    int64_t n = C * S;
    threads = few((double)N * G * n, threads, N * G);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < N * G; r++) {
        const T *xs = x + r * n;
        T m = (T)(SUF(sum)(xs, n) / (double)n);
        T k = (T)(1.0 / sqrt(SUF(sum_sq)(xs, n, m) / (double)n + eps));
        mean[r] = m;
        rstd[r] = k;
        for (int64_t c = 0; c < C; c++) {
            int64_t gc = r % G * C + c;
            T a = w ? k * w[gc] : k, d = b ? b[gc] : 0;
            const T *xc = xs + c * S;
            T *yc = y + r * n + c * S;
            for (int64_t s = 0; s < S; s++) yc[s] = (xc[s] - m) * a + d;
        }
    }
}

static void SUF(group_d0)(const T *x, const T *g, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *mean,
                          const T *rstd, T *gx, T *gw, T *gb, int threads) {
    int64_t n = C * S;
    /* groups are shared out: a thread owns its groups' channels over all images */
    threads = few((double)N * G * n, threads, gw || gb ? G : N * G);
    int64_t outer = gw || gb ? G : N * G;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer; task++) {
        int64_t group = task % G, n0 = gw || gb ? 0 : task / G, n1 = gw || gb ? N : n0 + 1;
        if (gw) for (int64_t c = 0; c < C; c++) gw[group * C + c] = 0;
        if (gb) for (int64_t c = 0; c < C; c++) gb[group * C + c] = 0;
        for (int64_t img = n0; img < n1; img++) {
            int64_t r = img * G + group;
            const T *xs = x + r * n, *gs = g + r * n;
            T m = mean[r], k = rstd[r];
            double sg = 0, sgx = 0;
            for (int64_t c = 0; c < C; c++) {
                double s = 0, t = 0;
                int64_t gc = group * C + c;
                SUF(sum_pair)(gs + c * S, xs + c * S, NULL, S, m, &s, &t);
                if (gw) gw[gc] += (T)(t * k);
                if (gb) gb[gc] += (T)s;
                sg += w ? s * w[gc] : s;
                sgx += w ? t * w[gc] : t;
            }
            if (!gx) continue;
            T a = (T)(sg / (double)n), q = (T)(sgx * k * k / (double)n);
            for (int64_t c = 0; c < C; c++) {
                T wc = w ? w[group * C + c] : 1;
                const T *xc = xs + c * S, *gc = gs + c * S;
                T *out = gx + r * n + c * S;
                for (int64_t s = 0; s < S; s++) out[s] = (gc[s] * wc - a - (xc[s] - m) * q) * k;
            }
        }
    }
}
#undef COLUMNS
#undef ROWS
#undef PARTS
