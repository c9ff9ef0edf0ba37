/* Normalisation over channels, rows and groups for norm.inc.c, of sums and runs: E element, T what it is computed in, H(name). */

/* (N, C) matrices, channels_last images among them: COLUMNS channels are done together, so that vectors run along a row. Sums run in the element
 * type over ROWS rows and in double over these; many rows are cut into PARTS stretches, which threads share, whatever their number. */

/* The same over all rows. */
static void H(column_total)(int of, const E *x, const E *g, int64_t N, int64_t C, int64_t len, const T *mean, double *p, double *q, int threads) {
    int64_t parts = N < PARTS * ROWS ? 1 : PARTS;
    double ps[PARTS][COLUMNS], qs[PARTS][COLUMNS];
    threads = few((double)N * len, threads, parts);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t k = 0; k < parts; k++)
        H(column_part)(of, x, g, N * k / parts, N * (k + 1) / parts, C, len, mean, k ? ps[k] : p, k ? qs[k] : q);
    for (int64_t k = 1; k < parts; k++)
        for (int64_t c = 0; c < len; c++) {
            p[c] += ps[k][c];
            if (of == OF_PAIR) q[c] += qs[k][c];
        }
}

/* Threads that share the rows of a block of columns (few rows: 1), or else the blocks: never both, teams within teams are made anew each time. */
RT_INLINE int H(column_threads)(int64_t N, int64_t C, int threads, int *among) {
    int within = N < PARTS * ROWS ? 1 : threads;
    *among = within > 1 ? 1 : few((double)N * C, threads, (C + COLUMNS - 1) / COLUMNS);
    return within;
}

static void H(column_stats_block)(const E *x, int64_t N, int64_t C, int64_t len, T *mean, T *var, int threads) {
    double p[COLUMNS], q[COLUMNS];
    H(column_total)(OF_X, x, NULL, N, C, len, NULL, p, q, threads);
    for (int64_t c = 0; c < len; c++) mean[c] = (T)(p[c] / (double)N);
    H(column_total)(OF_SQUARES, x, NULL, N, C, len, mean, p, q, threads);
    for (int64_t c = 0; c < len; c++) var[c] = (T)(p[c] / (double)N);
}

static void H(column_stats)(const E *x, int64_t N, int64_t C, T *mean, T *var, int threads) {
    int among, within = H(column_threads)(N, C, threads, &among);
    if (among < 2)
        for (int64_t c = 0; c < C; c += COLUMNS) H(column_stats_block)(x + c, N, C, C - c < COLUMNS ? C - c : COLUMNS, mean + c, var + c, within);
    else {
        RT_OMP(omp parallel for num_threads(among) schedule(static))
        for (int64_t c = 0; c < C; c += COLUMNS) H(column_stats_block)(x + c, N, C, C - c < COLUMNS ? C - c : COLUMNS, mean + c, var + c, 1);
    }
}

/* One block, from its first channel on; outputs and w may be NULL. */
static void H(column_d0_block)(const E *x, const E *g, int64_t N, int64_t C, int64_t len, const T *m, const T *r, const T *w, int stats,
                                 E *gx, T *gw, T *gb, int threads) {
    double sg[COLUMNS] = {0}, sgx[COLUMNS] = {0};
    if (stats || gw || gb) H(column_total)(OF_PAIR, x, g, N, C, len, m, sg, sgx, threads);
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
        const E *xs = x + n * C, *gs = g + n * C;
        E *out = gx + n * C;
        if (stats) H(sloped_channels)(xs, gs, len, NULL, m, shift, slope, a, out);
        else H(times_channels)(gs, len, a, out);
    }
}

static void H(column_d0)(const E *x, const E *g, int64_t N, int64_t C, const T *mean, const T *rstd, const T *w, int stats,
                           E *gx, T *gw, T *gb, int threads) {
    int among, within = H(column_threads)(N, C, threads, &among);
#define BLOCK(threads) H(column_d0_block)(x + c, g + c, N, C, C - c < COLUMNS ? C - c : COLUMNS, mean + c, rstd + c, w ? w + c : NULL, stats, \
                                            gx ? gx + c : NULL, gw ? gw + c : NULL, gb ? gb + c : NULL, threads)
    if (among < 2) for (int64_t c = 0; c < C; c += COLUMNS) BLOCK(within);
    else {
        RT_OMP(omp parallel for num_threads(among) schedule(static))
        for (int64_t c = 0; c < C; c += COLUMNS) BLOCK(1);
    }
#undef BLOCK
}

static void H(channel_stats)(const E *x, int64_t N, int64_t C, int64_t S, T *mean, T *var, int threads) {
    double count = (double)N * S;
    if (S == 1) { H(column_stats)(x, N, C, mean, var, threads); return; }
    threads = few(count * C, threads, C);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t c = 0; c < C; c++) {
        double s = 0, v = 0;
        for (int64_t n = 0; n < N; n++) s += H(sum)(x + (n * C + c) * S, S);
        T m = (T)(s / count);
        for (int64_t n = 0; n < N; n++) v += H(sum_sq)(x + (n * C + c) * S, S, m);
        mean[c] = m;
        var[c] = (T)(v / count);
    }
}

static void H(channel_apply)(const E *x, int64_t N, int64_t C, int64_t S, const T *mean, const T *rstd, const T *w,
                               const T *b, E *y, int threads) {
    threads = few((double)N * C * S, threads, N * C);
    if (S == 1) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t n = 0; n < N; n += ROWS) {
            for (int64_t c0 = 0; c0 < C; c0 += COLUMNS) {
                H(scaled_rows)(x + n * C + c0, C, N - n < ROWS ? N - n : ROWS, C - c0 < COLUMNS ? C - c0 : COLUMNS, mean + c0, rstd + c0,
                               w ? w + c0 : NULL, b ? b + c0 : NULL, y + n * C + c0);
            }
        }
        return;
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t nc = 0; nc < N * C; nc++) {
        int64_t c = nc % C;
        T a = w ? rstd[c] * w[c] : rstd[c], m = mean[c], k = b ? b[c] : 0;
        H(scaled)(x + nc * S, S, m, a, k, y + nc * S);
    }
}

static void H(channel_d0)(const E *x, const E *g, int64_t N, int64_t C, int64_t S, const T *mean, const T *rstd,
                            const T *w, int stats, E *gx, T *gw, T *gb, int threads) {
    double count = (double)N * S;
    if (S == 1) { H(column_d0)(x, g, N, C, mean, rstd, w, stats, gx, gw, gb, threads); return; }
    threads = few(count * C, threads, C);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t c = 0; c < C; c++) {
        double sg = 0, sgx = 0;
        T m = mean[c], r = rstd[c];
        for (int64_t n = 0; n < N; n++) H(sum_pair)(g + (n * C + c) * S, x + (n * C + c) * S, NULL, S, m, &sg, &sgx);
        if (gw) gw[c] = (T)(sgx * r);
        if (gb) gb[c] = (T)sg;
        if (!gx) continue;
        T a = w ? r * w[c] : r;
        T g_mean = (T)(sg / count), k = (T)(sgx * r * r / count);
        for (int64_t n = 0; n < N; n++) {
            const E *xs = x + (n * C + c) * S, *gs = g + (n * C + c) * S;
            E *out = gx + (n * C + c) * S;
            if (stats) H(sloped)(xs, gs, S, NULL, 1, m, g_mean, k, a, out);
            else H(times)(gs, S, a, out);
        }
    }
}

static void H(row)(const E *x, int64_t R, int64_t n, const T *w, const T *b, double eps, int rms, E *y, T *mean,
                     T *rstd, int threads) {
    threads = few((double)R * n, threads, R);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < R; r++) {
        const E *xs = x + r * n;
        E *ys = y + r * n;
        T m = rms ? 0 : (T)(H(sum)(xs, n) / (double)n);
        T k = (T)(1.0 / sqrt(H(sum_sq)(xs, n, m) / (double)n + eps));
        if (mean) mean[r] = m;
        rstd[r] = k;
        H(scaled_each)(xs, n, m, k, w, b, ys);
    }
}

static void H(row_d0)(const E *x, const E *g, int64_t R, int64_t n, const T *w, const T *mean, const T *rstd, int rms,
                        E *gx, T *gw, T *gb, int threads) {
    if (gx) {
        int nt = few((double)R * n, threads, R);
        RT_OMP(omp parallel for num_threads(nt) schedule(static) if (nt > 1))
        for (int64_t r = 0; r < R; r++) {
            const E *xs = x + r * n, *gs = g + r * n;
            E *out = gx + r * n;
            T m = rms ? 0 : mean[r], k = rstd[r];
            double sg = 0, sgx = 0;
            if (w) H(sum_pair)(gs, xs, w, n, m, &sg, &sgx);
            else H(sum_pair)(gs, xs, NULL, n, m, &sg, &sgx);
            T a = rms ? 0 : (T)(sg / (double)n), q = (T)(sgx * k * k / (double)n);
            H(sloped)(xs, gs, n, w, 1, m, a, q, k, out);
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
            for (int64_t r = 0; r < R; r += WEIGHT_ROWS) {   /* so many rows in T, then on in double */
                T pw[512], pb[512];
                H(weight_sums)(x + r * n + i0, g + r * n + i0, n, R - r < WEIGHT_ROWS ? R - r : WEIGHT_ROWS, len, rms ? NULL : mean + r, rstd + r, pw, pb);
                for (int64_t i = 0; i < len; i++) { sw[i] += (double)pw[i]; sb[i] += (double)pb[i]; }
            }
            if (gw) for (int64_t i = 0; i < len; i++) gw[i0 + i] = (T)sw[i];
            if (gb) for (int64_t i = 0; i < len; i++) gb[i0 + i] = (T)sb[i];
        }
    }
}

static void H(group)(const E *x, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *b, double eps, E *y,
                       T *mean, T *rstd, int threads) {
    int64_t n = C * S;
    threads = few((double)N * G * n, threads, N * G);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < N * G; r++) {
        const E *xs = x + r * n;
        T m = (T)(H(sum)(xs, n) / (double)n);
        T k = (T)(1.0 / sqrt(H(sum_sq)(xs, n, m) / (double)n + eps));
        mean[r] = m;
        rstd[r] = k;
        if (S == 1 || (!w && !b)) {                       /* a run of the whole group, not one of each channel */
            H(scaled_each)(xs, n, m, k, w ? w + r % G * C : NULL, b ? b + r % G * C : NULL, y + r * n);
            continue;
        }
        for (int64_t c = 0; c < C; c++) {
            int64_t gc = r % G * C + c;
            T a = w ? k * w[gc] : k, d = b ? b[gc] : 0;
            H(scaled)(xs + c * S, S, m, a, d, y + r * n + c * S);
        }
    }
}

static void H(group_d0)(const E *x, const E *g, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *mean,
                          const T *rstd, E *gx, T *gw, T *gb, int threads) {
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
            const E *xs = x + r * n, *gs = g + r * n;
            T m = mean[r], k = rstd[r];
            double sg = 0, sgx = 0;
            if (S == 1) {                                 /* channels side by side: as of rows */
                const T *wg = w ? w + group * C : NULL;
                for (int64_t i0 = 0; i0 < C && (gw || gb); i0 += 512) {
                    int64_t len = C - i0 < 512 ? C - i0 : 512;
                    T pw[512], pb[512];
                    H(weight_sums)(xs + i0, gs + i0, n, 1, len, mean + r, rstd + r, pw, pb);
                    if (gw) for (int64_t i = 0; i < len; i++) gw[group * C + i0 + i] += pw[i];
                    if (gb) for (int64_t i = 0; i < len; i++) gb[group * C + i0 + i] += pb[i];
                }
                if (!gx) continue;
                H(sum_pair)(gs, xs, wg, n, m, &sg, &sgx);
                H(sloped)(xs, gs, n, wg, 1, m, (T)(sg / (double)n), (T)(sgx * k * k / (double)n), k, gx + r * n);
                continue;
            }
            for (int64_t c = 0; c < C; c++) {
                double s = 0, t = 0;
                int64_t gc = group * C + c;
                H(sum_pair)(gs + c * S, xs + c * S, NULL, S, m, &s, &t);
                if (gw) gw[gc] += (T)(t * k);
                if (gb) gb[gc] += (T)s;
                sg += w ? s * w[gc] : s;
                sgx += w ? t * w[gc] : t;
            }
            if (!gx) continue;
            T a = (T)(sg / (double)n), q = (T)(sgx * k * k / (double)n);
            for (int64_t c = 0; c < C; c++) {
                T wc = w ? w[group * C + c] : 1;
                H(sloped)(xs + c * S, gs + c * S, S, NULL, wc, m, a, q, k, gx + r * n + c * S);
            }
        }
    }
}

/* Groups of images whose channels lie innermost, x (N, S, G * C): sums of each channel along the rows of a matrix, then of a group's channels.
 * Images are shared out, or where they are few the rows of each (the sums are the same either way). sums: 2 * G * C numbers for each image. */
RT_INLINE int H(image_threads)(int64_t N, int64_t C, int64_t S, int threads, int *within) {
    threads = few((double)N * C * S, threads, INT64_MAX);
    *within = N % threads == 0 || N >= 4 * threads ? 1 : threads;
    return *within > 1 ? 1 : threads;
}

static void H(group_last)(const E *x, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *b, double eps, E *y,
                          T *mean, T *rstd, double *sums, int threads) {
    int64_t all = G * C;
    int within, among = H(image_threads)(N, all, S, threads, &within);
    RT_OMP(omp parallel for num_threads(among) schedule(static) if (among > 1))
    for (int64_t img = 0; img < N; img++) {
        const E *xs = x + img * S * all;
        double *p = sums + img * 2 * all, *q = p + all;
        T m[COLUMNS], k[COLUMNS];
        for (int64_t c = 0; c < all; c += COLUMNS) H(column_total)(OF_X, xs + c, NULL, S, all, all - c < COLUMNS ? all - c : COLUMNS, NULL, p + c, q + c, within);
        for (int64_t group = 0; group < G; group++) {
            double s = 0;
            for (int64_t c = group * C; c < (group + 1) * C; c++) s += p[c];
            mean[img * G + group] = (T)(s / ((double)C * S));
        }
        for (int64_t c = 0; c < all; c += COLUMNS) {
            int64_t len = all - c < COLUMNS ? all - c : COLUMNS;
            for (int64_t i = 0; i < len; i++) m[i] = mean[img * G + (c + i) / C];
            H(column_total)(OF_SQUARES, xs + c, NULL, S, all, len, m, p + c, q + c, within);
        }
        for (int64_t group = 0; group < G; group++) {
            double s = 0;
            for (int64_t c = group * C; c < (group + 1) * C; c++) s += p[c];
            rstd[img * G + group] = (T)(1.0 / sqrt(s / ((double)C * S) + eps));
        }
        for (int64_t c = 0; c < all; c += COLUMNS) {
            int64_t len = all - c < COLUMNS ? all - c : COLUMNS;
            for (int64_t i = 0; i < len; i++) { m[i] = mean[img * G + (c + i) / C]; k[i] = rstd[img * G + (c + i) / C]; }
            RT_OMP(omp parallel for num_threads(within) schedule(static) if (within > 1))
            for (int64_t s = 0; s < S; s += ROWS)
                H(scaled_rows)(xs + s * all + c, all, S - s < ROWS ? S - s : ROWS, len, m, k, w ? w + c : NULL, b ? b + c : NULL, y + (img * S + s) * all + c);
        }
    }
}

static void H(group_last_d0)(const E *x, const E *g, int64_t N, int64_t G, int64_t C, int64_t S, const T *w, const T *mean,
                             const T *rstd, E *gx, T *gw, T *gb, double *sums, int threads) {
    int64_t all = G * C;
    int within, among = H(image_threads)(N, all, S, threads, &within);
    RT_OMP(omp parallel for num_threads(among) schedule(static) if (among > 1))
    for (int64_t img = 0; img < N; img++) {
        const E *xs = x + img * S * all, *gs = g + img * S * all;
        const T *means = mean + img * G, *rstds = rstd + img * G;
        double *p = sums + img * 2 * all, *q = p + all;
        T m[COLUMNS], a[COLUMNS], slope[COLUMNS], k[COLUMNS];
        for (int64_t c = 0; c < all; c += COLUMNS) {
            int64_t len = all - c < COLUMNS ? all - c : COLUMNS;
            for (int64_t i = 0; i < len; i++) m[i] = means[(c + i) / C];
            H(column_total)(OF_PAIR, xs + c, gs + c, S, all, len, m, p + c, q + c, within);
        }
        int64_t group = -1;
        for (int64_t c = 0; gx && c < all; c += COLUMNS) {
            int64_t len = all - c < COLUMNS ? all - c : COLUMNS;
            T ga = 0, gq = 0;
            if (c) { ga = a[COLUMNS - 1]; gq = slope[COLUMNS - 1]; }       /* a group may go on in the next block */
            for (int64_t i = 0; i < len; i++) {
                if ((c + i) / C != group) {
                    double sg = 0, sgx = 0;
                    group = (c + i) / C;
                    for (int64_t j = group * C; j < (group + 1) * C; j++) { sg += w ? p[j] * w[j] : p[j]; sgx += w ? q[j] * w[j] : q[j]; }
                    ga = (T)(sg / ((double)C * S));
                    gq = (T)(sgx * rstds[group] * rstds[group] / ((double)C * S));
                }
                m[i] = means[group]; k[i] = rstds[group];
                a[i] = ga; slope[i] = gq;
            }
            RT_OMP(omp parallel for num_threads(within) schedule(static) if (within > 1))
            for (int64_t s = 0; s < S; s++) {
                int64_t at = s * all + c;
                H(sloped_channels)(xs + at, gs + at, len, w ? w + c : NULL, m, a, slope, k, gx + img * S * all + at);
            }
        }
    }
    for (int64_t c = 0; c < all; c++) {
        double sw = 0, sb = 0;
        for (int64_t img = 0; img < N; img++) { sb += sums[img * 2 * all + c]; sw += sums[img * 2 * all + all + c] * rstd[img * G + c / C]; }
        if (gw) gw[c] = (T)sw;
        if (gb) gb[c] = (T)sb;
    }
}
