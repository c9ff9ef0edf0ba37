/* Typed body of softmax.inc.c: T element, SUF(name), HUGE_T its infinity. */

/* Maximum of a row; NaN if there is one. */
RT_INLINE T SUF(row_max)(const T *x, int64_t n) {
    T m = -HUGE_T;
    int nan = 0;
    RT_OMP(omp simd reduction(max:m) reduction(|:nan))
    for (int64_t i = 0; i < n; i++) { m = m > x[i] ? m : x[i]; nan |= x[i] != x[i]; }
    return nan ? (T)NAN : m;
}

/* Maximum of a row of numbers. With a NaN in the row it may be anything: the sum of the exponentials is NaN then. */
#define WAYS 64
RT_INLINE T SUF(row_top)(const T *x, int64_t n) {
    T lane[WAYS], m = -HUGE_T;
    int64_t i = 0;
    if (n >= WAYS) {
        for (int j = 0; j < WAYS; j++) lane[j] = x[j];
        for (i = WAYS; i + WAYS <= n; i += WAYS)
            for (int j = 0; j < WAYS; j++) lane[j] = lane[j] > x[i + j] ? lane[j] : x[i + j];
        for (int w = WAYS / 2; w; w /= 2)
            for (int j = 0; j < w; j++) lane[j] = lane[j] > lane[j + w] ? lane[j] : lane[j + w];
        m = lane[0];
    }
    for (; i < n; i++) m = m > x[i] ? m : x[i];
    return m;
}

/* y = exp(x - m), where y is wanted, and its sum */
RT_INLINE T SUF(exp_sum)(const T *x, int64_t n, T m, T *y) {
    T s = 0;
    if (y) {
        RT_OMP(omp simd reduction(+:s))
        for (int64_t i = 0; i < n; i++) { T e = SUF(rt_exp)(x[i] - m); y[i] = e; s += e; }
    } else {
        RT_OMP(omp simd reduction(+:s))
        for (int64_t i = 0; i < n; i++) s += SUF(rt_exp)(x[i] - m);
    }
    return s;
}

/* The shift that keeps exp in range: the maximum, or 0 for an infinite one in logsumexp. */
RT_INLINE T SUF(row_lse)(const T *x, int64_t n) {
    T m = SUF(row_max)(x, n);
    if (n == 0 || m == HUGE_T || m == -HUGE_T) return m;
    return m + (T)log((double)EXP_SUM(x, n, m, NULL));
}

RT_INLINE void SUF(exp_all)(T *x, int64_t n) {
    RT_OMP(omp simd)
    for (int64_t i = 0; i < n; i++) x[i] = SUF(rt_exp)(x[i]);
}

/* `rows` short rows: e = exp(x - max), m = max and s = sum of e for each row. */
RT_INLINE void SUF(short_rows)(const T *x, int64_t rows, int64_t n, T *e, T *m, T *s) {
    for (int64_t r = 0; r < rows; r++) {
        T top = x[r * n];
        for (int64_t i = 1; i < n; i++) top = (x[r * n + i] > top) | (x[r * n + i] != x[r * n + i]) ? x[r * n + i] : top;
        m[r] = top;
        for (int64_t i = 0; i < n; i++) e[r * n + i] = x[r * n + i] - top;
    }
    SUF(exp_all)(e, rows * n);
    for (int64_t r = 0; r < rows; r++) {
        T t = 0;
        for (int64_t i = 0; i < n; i++) t += e[r * n + i];
        s[r] = t;
    }
}

static void SUF(softmax_short)(const T *x, int64_t outer, int64_t n, int logs, T *y, int threads) {
    int64_t each = PACK / n, tasks = (outer + each - 1) / each;
    threads = few((double)outer * n, threads, tasks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < tasks; task++) {
        T e[PACK], m[PACK], s[PACK];
        int64_t r0 = task * each, rows = outer - r0 < each ? outer - r0 : each;
        const T *xs = x + r0 * n;
        T *ys = y + r0 * n;
        SUF(short_rows)(xs, rows, n, e, m, s);
        for (int64_t r = 0; r < rows; r++) {
            if (logs) {
                T l = (T)log((double)s[r]);
                for (int64_t i = 0; i < n; i++) ys[r * n + i] = xs[r * n + i] - m[r] - l;
            } else {
                T k = 1 / s[r];
                for (int64_t i = 0; i < n; i++) ys[r * n + i] = e[r * n + i] * k;
            }
        }
    }
}

static void SUF(softmax)(const T *x, int64_t outer, int64_t n, int64_t inner, int logs, T *y, int threads) {
    if (inner == 1 && n < SHORT) {
        SUF(softmax_short)(x, outer, n, logs, y, threads);
        return;
    }
    if (inner == 1) {
        threads = few((double)outer * n, threads, outer);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t o = 0; o < outer; o++) {
            const T *xs = x + o * n;
            T *restrict ys = y + o * n;
            T m = SUF(row_top)(xs, n), s = EXP_SUM(xs, n, m, logs ? NULL : ys);
            if (logs) {
                T l = (T)log((double)s);
                for (int64_t i = 0; i < n; i++) ys[i] = xs[i] - m - l;
            } else {
                T r = 1 / s;
                for (int64_t i = 0; i < n; i++) ys[i] *= r;
            }
        }
        return;
    }
    int64_t blocks = (inner + BLOCK - 1) / BLOCK;
    threads = few((double)outer * n * inner, threads, outer * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer * blocks; task++) {
        int64_t s0 = task % blocks * BLOCK, len = inner - s0 < BLOCK ? inner - s0 : BLOCK;
        const T *xs = x + task / blocks * n * inner + s0;
        T *ys = y + task / blocks * n * inner + s0, m[BLOCK], sum[BLOCK];
        for (int64_t s = 0; s < len; s++) { m[s] = -HUGE_T; sum[s] = 0; }
        for (int64_t i = 0; i < n; i++)
            for (int64_t s = 0; s < len; s++) { T v = xs[i * inner + s]; m[s] = (v > m[s]) | (v != v) ? v : m[s]; }
        for (int64_t i = 0; i < n; i++) {
            const T *xi = xs + i * inner;
            T *yi = ys + i * inner;
            if (logs) {
                RT_OMP(omp simd)
                for (int64_t s = 0; s < len; s++) sum[s] += SUF(rt_exp)(xi[s] - m[s]);
            } else {
                RT_OMP(omp simd)
                for (int64_t s = 0; s < len; s++) { T e = SUF(rt_exp)(xi[s] - m[s]); sum[s] += e; yi[s] = e; }
            }
        }
        for (int64_t s = 0; s < len; s++) sum[s] = logs ? SUF(rt_log)(sum[s]) : 1 / sum[s];
        for (int64_t i = 0; i < n; i++)
            for (int64_t s = 0; s < len; s++) {
                if (logs) ys[i * inner + s] = xs[i * inner + s] - m[s] - sum[s];
                else ys[i * inner + s] *= sum[s];
            }
    }
}

static void SUF(softmax_d0)(const T *g, const T *y, int64_t outer, int64_t n, int64_t inner, int logs, T *gx, int threads) {
    int64_t blocks = (inner + BLOCK - 1) / BLOCK;
    if (inner == 1 && n < SHORT && logs) {
        int64_t each = PACK / n, tasks = (outer + each - 1) / each;
        threads = few((double)outer * n, threads, tasks);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t task = 0; task < tasks; task++) {
            T e[PACK];
            int64_t r0 = task * each, rows = outer - r0 < each ? outer - r0 : each;
            memcpy(e, y + r0 * n, (size_t)(rows * n) * sizeof(T));
            SUF(exp_all)(e, rows * n);
            for (int64_t r = 0; r < rows; r++) {
                const T *gs = g + (r0 + r) * n;
                T s = 0, *out = gx + (r0 + r) * n;
                for (int64_t i = 0; i < n; i++) s += gs[i];
                for (int64_t i = 0; i < n; i++) out[i] = gs[i] - e[r * n + i] * s;
            }
        }
        return;
    }
    threads = few((double)outer * n * inner, threads, outer * blocks);
    if (inner == 1) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t o = 0; o < outer; o++) {
            const T *gs = g + o * n, *ys = y + o * n;
            T *out = gx + o * n, s = 0;
            if (logs) {
                RT_OMP(omp simd reduction(+:s))
                for (int64_t i = 0; i < n; i++) s += gs[i];
                RT_OMP(omp simd)
                for (int64_t i = 0; i < n; i++) out[i] = gs[i] - SUF(rt_exp)(ys[i]) * s;
            } else {
                RT_OMP(omp simd reduction(+:s))
                for (int64_t i = 0; i < n; i++) s += gs[i] * ys[i];
                for (int64_t i = 0; i < n; i++) out[i] = (gs[i] - s) * ys[i];
            }
        }
        return;
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer * blocks; task++) {
        int64_t s0 = task % blocks * BLOCK, len = inner - s0 < BLOCK ? inner - s0 : BLOCK;
        int64_t at = task / blocks * n * inner + s0;
        const T *gs = g + at, *ys = y + at;
        T *out = gx + at, sum[BLOCK] = {0};
        for (int64_t i = 0; i < n; i++)
            for (int64_t s = 0; s < len; s++) sum[s] += logs ? gs[i * inner + s] : gs[i * inner + s] * ys[i * inner + s];
        for (int64_t i = 0; i < n; i++)
            for (int64_t s = 0; s < len; s++) {
                int64_t k = i * inner + s;
                out[k] = logs ? gs[k] - SUF(rt_exp)(ys[k]) * sum[s] : (gs[k] - sum[s]) * ys[k];
            }
    }
}

/* logsumexp of `len` neighbouring columns. */
RT_INLINE void SUF(columns_lse)(const T *xs, int64_t n, int64_t inner, int64_t len, T *out) {
    T m[BLOCK], sum[BLOCK];
    for (int64_t s = 0; s < len; s++) { m[s] = -HUGE_T; sum[s] = 0; }
    for (int64_t i = 0; i < n; i++)
        for (int64_t s = 0; s < len; s++) { T v = xs[i * inner + s]; m[s] = (v > m[s]) | (v != v) ? v : m[s]; }
    for (int64_t i = 0; i < n; i++)
        for (int64_t s = 0; s < len; s++) sum[s] += SUF(rt_exp)(xs[i * inner + s] - m[s]);
    for (int64_t s = 0; s < len; s++)
        out[s] = m[s] == HUGE_T || m[s] == -HUGE_T ? m[s] : m[s] + SUF(rt_log)(sum[s]);
}

static void SUF(logsumexp)(const T *x, int64_t outer, int64_t n, int64_t inner, T *y, int threads) {
    if (inner == 1 && n < SHORT && n > 0) {
        int64_t each = PACK / n, tasks = (outer + each - 1) / each;
        threads = few((double)outer * n, threads, tasks);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t task = 0; task < tasks; task++) {
            T e[PACK], m[PACK], s[PACK];
            int64_t r0 = task * each, rows = outer - r0 < each ? outer - r0 : each;
            SUF(short_rows)(x + r0 * n, rows, n, e, m, s);
            for (int64_t r = 0; r < rows; r++)
                y[r0 + r] = m[r] == HUGE_T || m[r] == -HUGE_T ? m[r] : m[r] + (T)log((double)s[r]);
        }
        return;
    }
    int64_t blocks = (inner + BLOCK - 1) / BLOCK;
    threads = few((double)outer * n * inner, threads, outer * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer * blocks; task++) {
        int64_t s0 = task % blocks * BLOCK, len = inner - s0 < BLOCK ? inner - s0 : BLOCK;
        const T *xs = x + task / blocks * n * inner + s0;
        T *ys = y + task / blocks * inner + s0;
        if (inner == 1) ys[0] = SUF(row_lse)(xs, n);
        else SUF(columns_lse)(xs, n, inner, len, ys);
    }
}

static int64_t SUF(class_loss)(const T *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const T *w,
                               int64_t ignore, double smooth, int logs, T *lse, T *loss, double *total, int threads) {
    int64_t bad = 0;
    double sum = 0, w_sum = 0;
    if (!logs) SUF(logsumexp)(x, outer, n, inner, lse, threads);
    if (smooth > 0) {
        if (w) for (int64_t i = 0; i < n; i++) w_sum += w[i];
        else w_sum = (double)n;
        int64_t blocks = (inner + BLOCK - 1) / BLOCK;
        int team = few((double)outer * n * inner, threads, outer * blocks);
        RT_OMP(omp parallel for num_threads(team) schedule(static) if (team > 1))
        for (int64_t task = 0; task < outer * blocks; task++) {      /* what all classes have of the loss */
            int64_t o = task / blocks, s0 = task % blocks * BLOCK, len = inner - s0 < BLOCK ? inner - s0 : BLOCK;
            const T *xs = x + o * n * inner + s0;
            double all[BLOCK] = {0};
            if (inner > 1) {
                for (int64_t i = 0; i < n; i++) {
                    double k = w ? (double)w[i] : 1;
                    for (int64_t s = 0; s < len; s++) all[s] += (double)xs[i * inner + s] * k;
                }
            } else {
                double sum1 = 0;
                if (w) for (int64_t i = 0; i < n; i++) sum1 += (double)xs[i] * w[i];
                else {
                    RT_OMP(omp simd reduction(+:sum1))
                    for (int64_t i = 0; i < n; i++) sum1 += (double)xs[i];
                }
                all[0] = sum1;
            }
            for (int64_t s = 0; s < len; s++) {
                int64_t at = o * inner + s0 + s;
                loss[at] = (T)(smooth / (double)n * ((logs ? 0 : lse[at]) * w_sum - all[s]));
            }
        }
    }
    for (int64_t o = 0; o < outer; o++)
        for (int64_t s = 0; s < inner; s++) {
            int64_t at = o * inner + s, t = target[at];
            T all = smooth > 0 ? loss[at] : 0;
            loss[at] = 0;
            if (t == ignore) continue;
            if ((uint64_t)t >= (uint64_t)n) { bad = bad ? bad : at + 1; continue; }
            T l = logs ? 0 : lse[at], wt = w ? w[t] : 1;
            const T *xs = x + o * n * inner + s;
            T v = (l - xs[t * inner]) * wt;
            loss[at] = smooth > 0 ? (T)((1 - smooth) * v + all) : v;
            sum += wt;
        }
    *total = sum;
    return bad;
}

static void SUF(class_loss_d0)(const T *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const T *w,
                               int64_t ignore, double smooth, int logs, const T *lse, const T *g, int64_t g_step,
                               double scale, T *gx, int threads) {
    double w_sum = 0;
    if (smooth > 0) {
        if (w) for (int64_t i = 0; i < n; i++) w_sum += w[i];
        else w_sum = (double)n;
    }
    int exps = !logs && inner == 1 && n < SHORT;         /* exponentials of short rows in one go */
    if (exps) {
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < n; i++) gx[o * n + i] = x[o * n + i] - lse[o];
        SUF(exp_all)(gx, outer * n);
    }
    int64_t blocks = (inner + BLOCK - 1) / BLOCK;
    threads = few((double)outer * n * inner, threads, outer * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer * blocks; task++) {
        int64_t o = task / blocks, s0 = task % blocks * BLOCK, len = inner - s0 < BLOCK ? inner - s0 : BLOCK;
        const T *xs = x + o * n * inner + s0;
        T *out = gx + o * n * inner + s0, a[BLOCK], l[BLOCK], each[BLOCK];
        /* gx[i] = a * p[i] - (1 - smooth) * wt * [i = t] - smooth / n * w[i], all times g */
        for (int64_t s = 0; s < len; s++) {
            int64_t t = target[o * inner + s0 + s];
            T wt = t == ignore ? 0 : w ? w[t] : 1, gs = (T)(g[(o * inner + s0 + s) * g_step] * scale);
            a[s] = t == ignore ? 0 : (T)(((1 - smooth) * wt + (smooth > 0 ? smooth / (double)n * w_sum : 0)) * gs);
            l[s] = logs ? 0 : lse[o * inner + s0 + s];
            each[s] = t == ignore || smooth <= 0 ? 0 : (T)(smooth / (double)n) * gs;
        }
        if (logs && inner == len) memset(out, 0, (size_t)(n * len) * sizeof(T));
        else if (logs) for (int64_t i = 0; i < n; i++) memset(out + i * inner, 0, (size_t)len * sizeof(T));
        else {
            if (inner == 1) {
                T a0 = a[0], l0 = l[0];
                if (a0 == 0) memset(out, 0, (size_t)n * sizeof(T));
                else if (exps) for (int64_t i = 0; i < n; i++) out[i] *= a0;
                else {
                    RT_OMP(omp simd)
                    for (int64_t i = 0; i < n; i++) out[i] = a0 * SUF(rt_exp)(xs[i] - l0);
                }
            } else
                for (int64_t i = 0; i < n; i++)
                    for (int64_t s = 0; s < len; s++)
                        out[i * inner + s] = a[s] == 0 ? 0 : a[s] * SUF(rt_exp)(xs[i * inner + s] - l[s]);
        }
        for (int64_t s = 0; s < len; s++) {
            int64_t t = target[o * inner + s0 + s];
            if (t == ignore) continue;
            T gs = (T)(g[(o * inner + s0 + s) * g_step] * scale);
            out[t * inner + s] -= (T)((1 - smooth) * (w ? w[t] : 1)) * gs;
        }
        if (smooth > 0 && inner == 1) {
            if (w) for (int64_t i = 0; i < n; i++) out[i] -= w[i] * each[0];
            else for (int64_t i = 0; i < n; i++) out[i] -= each[0];
        } else if (smooth > 0)
            for (int64_t i = 0; i < n; i++) {
                T k = w ? w[i] : 1;
                for (int64_t s = 0; s < len; s++) out[i * inner + s] -= k * each[s];
            }
    }
}
