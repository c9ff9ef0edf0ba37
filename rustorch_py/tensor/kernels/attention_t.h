/* Typed body of attention.inc.c: T element, L lanes, P(name) of panel_t.h, M(name)_suffix, INF. */

#define AT(p, s, b, h, t) ((p) + (b) * (s)[0] + (h) * (s)[1] + (t) * (s)[2])

RT_INLINE int64_t M(padded)(int64_t n) { return (n + L - 1) / L * L; }

/* Elements of work: packed keys and values, accumulators, and each thread's blocks. */
static int64_t M(work)(const RtAttention *a, int backward) {
    int64_t heads = a->B * a->HK, D = M(padded)(a->D), E = M(padded)(a->E), K = M(padded)(a->K);
    if (!backward && a->Q <= FEW_QUERIES) return a->threads * FEW_ROWS * a->K;
    if (!backward) return packed_heads(a) * (a->D * K + a->K * E) + a->threads * QUERIES * (KEYS + E + 4);
    return heads * (a->D * K + a->E * K + a->K * D + splits_of(a) * a->K * (D + E))
         + a->threads * QUERIES * (2 * KEYS + 2 * D + E);
}

/* Row r of a block of scores: scale, add the mask; returns the largest. Key j of the row is key j0 + j of all. */
RT_INLINE T M(masked)(const RtAttention *a, T *s, int64_t n, int64_t b, int64_t h, int64_t t, int64_t j0) {
    T scale = (T)a->scale, top = -INF;
    const int64_t *ms = a->mask_s;
    int64_t at = b * ms[0] + h * ms[1] + t * ms[2] + j0 * ms[3], step = ms[3];
#if REGISTERS
    if (a->mask_kind != RT_MASK_NONE && step == 1)
        return masked_v16(s, n, scale, a->mask_kind, (const char *)a->mask + at * (a->mask_kind == RT_MASK_BOOL ? 1 : (int64_t)sizeof(T)));
#endif
    if (a->mask_kind == RT_MASK_NONE) {
        RT_OMP(omp simd reduction(max:top))
        for (int64_t j = 0; j < n; j++) { T v = s[j] * scale; s[j] = v; top = v > top ? v : top; }
    } else if (a->mask_kind == RT_MASK_BOOL) {
        const uint8_t *m = (const uint8_t *)a->mask + at;
        if (step == 1) {
            RT_OMP(omp simd reduction(max:top))
            for (int64_t j = 0; j < n; j++) { T v = m[j] ? s[j] * scale : -INF; s[j] = v; top = v > top ? v : top; }
        } else for (int64_t j = 0; j < n; j++) { T v = m[j * step] ? s[j] * scale : -INF; s[j] = v; top = v > top ? v : top; }
    } else {
        const T *m = (const T *)a->mask + at;
        if (step == 1) {
            RT_OMP(omp simd reduction(max:top))
            for (int64_t j = 0; j < n; j++) { T v = s[j] * scale + m[j]; s[j] = v; top = v > top ? v : top; }
        } else for (int64_t j = 0; j < n; j++) { T v = s[j] * scale + m[j * step]; s[j] = v; top = v > top ? v : top; }
    }
    return top;
}

#if !REGISTERS
/* s = exp(s - top); returns the sum. */
RT_INLINE T M(exp_row)(T *s, int64_t n, T top) {
    T sum = 0;
    RT_OMP(omp simd reduction(+:sum))
    for (int64_t j = 0; j < n; j++) { T e = M(rt_exp)(s[j] - top); s[j] = e; sum += e; }
    return sum;
}

/* One row of the gradient: p = exp(p * by - lse), ds = p * (dp - delta) * scale, in place. */
RT_INLINE void M(row_d0)(T *restrict p, T *restrict ds, int64_t n, T by, T shift, T delta, T scale) {
    RT_OMP(omp simd)
    for (int64_t j = 0; j < n; j++) {
        T e = M(rt_exp)(p[j] * by - shift);
        p[j] = e;
        ds[j] = e * (ds[j] - delta) * scale;
    }
}
#endif

/* m rows of x (features a row) times a packed, turned matrix: columns j0 .. j0 + n of c. */
RT_INLINE void M(scores)(int64_t m, int64_t n, int64_t j0, int64_t all, int64_t k, const T *x, int64_t ld, const T *packed, T *c,
                         int64_t ldc) {
    for (int64_t j = j0; j < j0 + n; j += RT_PANEL_REGS * L)
        P(panel)(m, P(regs)(j0 + n, j), k, x, ld, 1, packed + k * j, P(regs)(all, j) * L, c + (j - j0), ldc, 0);
}

/* c (m, padded n) (+)= x (m, k) times rows j0 .. j0 + k of a packed (all, n) matrix */
RT_INLINE void M(weighted)(int64_t m, int64_t n, int64_t k, int64_t j0, int64_t all, const T *x, int64_t ld, const T *packed, T *c,
                           int64_t ldc, int add) {
    for (int64_t e = 0; e < n; e += RT_PANEL_REGS * L) {
        int C = P(regs)(n, e);
        P(panel)(m, C, k, x, ld, 1, packed + all * e + j0 * C * L, C * L, c + e, ldc, add);
    }
}

/* c (m, padded n) += x^T (m, k) y (k, padded n): x_km with row length ld */
RT_INLINE void M(outer)(int64_t m, int64_t n, int64_t k, const T *x, int64_t ld, const T *y, T *c) {
    int64_t ldn = M(padded)(n);
    for (int64_t e = 0; e < n; e += RT_PANEL_REGS * L)
        P(panel)(m, P(regs)(n, e), k, x, 1, ld, y + e, ldn, c + e, ldn, 1);
}

static void M(pack_keys)(int64_t n, int64_t k, const T *x, int64_t ld, T *out) {     /* turned: k rows of n columns */
    for (int64_t j = 0; j < n; j += L) {
        int64_t j0 = j / (RT_PANEL_REGS * L) * (RT_PANEL_REGS * L);
        P(pack_turned)(k, n - j < L ? n - j : L, x + j * ld, ld, out + k * j0 + (j - j0), P(regs)(n, j0) * L);
    }
}

static void M(pack_rows)(int64_t k, int64_t n, const T *x, int64_t ld, T *out) {     /* k rows of n columns */
    for (int64_t j = 0; j < n; j += RT_PANEL_REGS * L) P(pack)(k, n, j, x, ld, out);
}

static void M(copy_rows)(int64_t m, int64_t n, const T *x, int64_t ld, T *out) {     /* rows padded with zeros */
    int64_t w = M(padded)(n);
    for (int64_t r = 0; r < m; r++, out += w) {
        if (n == w) {
            for (int64_t e = 0; e < n; e += L) P(store)(out + e, P(load)(x + r * ld + e));
            continue;
        }
        memcpy(out, x + r * ld, (size_t)n * sizeof(T));
        for (int64_t e = n; e < w; e++) out[e] = 0;
    }
}

#if !REGISTERS
/* Row r of s: the products of q[r] with the first n of the keys, features a key. */
static void M(few_scores)(int64_t m, int64_t n, int64_t k, const T *const *q, const T *keys, int64_t ld, T *s, int64_t lds) {
    for (int64_t j = 0; j < n; j++) {
        const T *key = keys + j * ld;
        for (int64_t r = 0; r < m; r++) {
            const T *x = q[r];
            T dot = 0;
            RT_OMP(omp simd reduction(+:dot))
            for (int64_t d = 0; d < k; d++) dot += x[d] * key[d];
            s[r * lds + j] = dot;
        }
    }
}

/* out[r] = by[r] times the sum of the first n of the values, each times its weight in row r of s. */
static void M(few_values)(int64_t m, int64_t n, int64_t k, const T *s, int64_t lds, const T *values, int64_t ld, const T *by, T *const *out) {
    for (int64_t r = 0; r < m; r++) {
        T *o = out[r];
        for (int64_t e = 0; e < k; e++) o[e] = 0;
    }
    for (int64_t j = 0; j < n; j++) {
        const T *v = values + j * ld;
        for (int64_t r = 0; r < m; r++) {
            T *o = out[r], w = s[r * lds + j] * by[r];
            RT_OMP(omp simd)
            for (int64_t e = 0; e < k; e++) o[e] += w * v[e];
        }
    }
}
#endif

/* A few queries: keys and values are read as they lie, once for up to FEW_ROWS queries of all heads that share them. */
static void M(attend_few)(const RtAttention *a) {
    int64_t group = a->H / a->HK, rows = group * a->Q, most = rows < FEW_ROWS ? rows : FEW_ROWS;
    int team = team_of(a);
    while (most > 1 && a->B * a->HK * ((rows + most - 1) / most) < team) most = (most + 1) / 2;      /* no thread without work: a row's sums stay the same */
    int64_t parts = (rows + most - 1) / most;
    RT_SHARED(team, a->B * a->HK * parts, task, {
        int64_t z = task / parts, b = z / a->HK, r0 = task % parts * most, m = rows - r0 < most ? rows - r0 : most, end = 0;
        T *s = (T *)a->work + RT_ME * FEW_ROWS * a->K, *out[FEW_ROWS], by[FEW_ROWS];
        const T *k = AT((const T *)a->k, a->k_s, b, z % a->HK, 0), *v = AT((const T *)a->v, a->v_s, b, z % a->HK, 0), *q[FEW_ROWS];
        for (int64_t r = 0; r < m; r++) {
            int64_t h = z % a->HK * group + (r0 + r) / a->Q, t = (r0 + r) % a->Q, n = seen(a, t, 0, a->K);
            q[r] = AT((const T *)a->q, a->q_s, b, h, t);
            out[r] = AT((T *)a->out, a->o_s, b, h, t);
            end = n > end ? n : end;
        }
        M(few_scores)(m, end, a->D, q, k, a->k_s[2], s, a->K);
        for (int64_t r = 0; r < m; r++) {
            int64_t h = z % a->HK * group + (r0 + r) / a->Q, t = (r0 + r) % a->Q, n = seen(a, t, 0, a->K);
            T *row = s + r * a->K, top = M(masked)(a, row, n, b, h, t, 0), sum = M(exp_row)(row, n, top == -INF ? 0 : top);
            by[r] = sum == 0 ? 0 : 1 / sum;
            for (int64_t j = n; j < end; j++) row[j] = 0;
            if (a->lse) ((T *)a->lse)[(b * a->H + h) * a->Q + t] = sum == 0 ? -INF : top + (T)log((double)sum);
        }
        M(few_values)(m, end, a->E, s, a->K, v, a->v_s[2], by, out);
    });
}

/* The softmax of a block of scores s (m rows of n keys): row r becomes exp(s - top[r]), top and sum go on, keep[r] is what
 * the rows so far are to be multiplied by. Keys up to `wide(r)` that the row does not see become 0. */
static void M(softmax_block)(const RtAttention *a, T *s, int64_t m, int64_t n, int64_t b, int64_t h, int64_t t0, int64_t j0, T *top, T *sum,
                             T *keep) {
#if REGISTERS
    if (a->mask_kind != RT_MASK_NONE || a->scale >= 0) {
        softmax_block_v16(a, s, m, n, b, h, t0, j0, top, sum, keep);
        return;
    }
#endif
    for (int64_t r = 0; r < m; r++) {
        T *row = s + r * KEYS;
        int64_t see = seen(a, t0 + r, j0, n), end = strip_end(a, t0, r, j0, n);
        T most = M(masked)(a, row, see, b, h, t0 + r, j0);
        if (most < top[r]) most = top[r];
        T shift = most == -INF ? 0 : most, add = M(exp_row)(row, see, shift);
        keep[r] = j0 ? M(rt_exp)(top[r] - shift) : 1;
        sum[r] = j0 ? sum[r] * keep[r] + add : add;
        top[r] = most;
        for (int64_t j = see; j < end; j++) row[j] = 0;
    }
}

/* Queries t0 .. t0 + m of one head against its packed keys and values. */
static void M(attend_block)(const RtAttention *a, int64_t b, int64_t h, int64_t t0, const T *kp, const T *vp, T *s) {
    int64_t D = a->D, E = a->E, EP = M(padded)(E), K = a->K, step = keys_of_block(a);
    int64_t m = a->Q - t0 < QUERIES ? a->Q - t0 : QUERIES, end = a->causal && t0 + m < K ? t0 + m : K;
    T *o = s + QUERIES * KEYS, *top = o + QUERIES * EP, *sum = top + QUERIES, *keep = sum + QUERIES;
    const T *q = AT((const T *)a->q, a->q_s, b, h, t0);
    for (int64_t r = 0; r < m; r++) { top[r] = -INF; sum[r] = 0; }
    for (int64_t j0 = 0; j0 < end; j0 += step) {
        int64_t n = end - j0 < step ? end - j0 : step, rows = strip_rows(a, t0, j0, n);
        for (int64_t r = 0; r < m; r += rows) {
            int64_t height = m - r < rows ? m - r : rows;
            M(scores)(height, strip_end(a, t0, r, j0, n), j0, K, D, q + r * a->q_s[2], a->q_s[2], kp, s + r * KEYS, KEYS);
        }
        M(softmax_block)(a, s, m, n, b, h, t0, j0, top, sum, keep);
        if (j0)
            for (int64_t r = 0; r < m; r++) {
                T *acc = o + r * EP, by = keep[r];
                if (by != 1) for (int64_t e = 0; e < EP; e++) acc[e] *= by;
            }
        for (int64_t r = 0; r < m; r += rows) {
            int64_t height = m - r < rows ? m - r : rows;
            M(weighted)(height, E, strip_end(a, t0, r, j0, n), j0, K, s + r * KEYS, KEYS, vp, o + r * EP, EP, j0 > 0);
        }
    }
    for (int64_t r = 0; r < m; r++) {
        T *out = AT((T *)a->out, a->o_s, b, h, t0 + r), scale = sum[r] == 0 ? 0 : 1 / sum[r];
        const T *acc = o + r * EP;
        if (end == 0) for (int64_t e = 0; e < E; e++) out[e] = 0;
        else for (int64_t e = 0; e < E; e++) out[e] = acc[e] * scale;
        if (a->lse) ((T *)a->lse)[(b * a->H + h) * a->Q + t0 + r] = sum[r] == 0 ? -INF : top[r] + (T)log((double)sum[r]);
    }
}

/* Pack keys and values of head z of the keys. */
static void M(pack_head)(const RtAttention *a, int64_t z, T *keys, T *values) {
    int64_t b = z / a->HK, h = z % a->HK;
    M(pack_keys)(a->K, a->D, AT((const T *)a->k, a->k_s, b, h, 0), a->k_s[2], keys);
    M(pack_rows)(a->K, a->E, AT((const T *)a->v, a->v_s, b, h, 0), a->v_s[2], values);
}

static void M(attend)(const RtAttention *a) {
    if (a->Q <= FEW_QUERIES) {
        M(attend_few)(a);
        return;
    }
    int64_t heads = a->B * a->HK, group = a->H / a->HK, EP = M(padded)(a->E), K = a->K;
    int64_t k_size = a->D * M(padded)(K), v_size = K * EP, blocks = (a->Q + QUERIES - 1) / QUERIES, kept = packed_heads(a);
    int64_t own_size = QUERIES * (KEYS + EP + 4);
    T *keys = a->work, *values = keys + kept * k_size, *own = values + kept * v_size;
    int team = team_of(a);
    if (by_heads(a)) {
        RT_SHARED(team, heads, z, {
            T *kp = keys + RT_ME * k_size, *vp = values + RT_ME * v_size;
            M(pack_head)(a, z, kp, vp);
            for (int64_t task = 0; task < group * blocks; task++)
                M(attend_block)(a, z / a->HK, z % a->HK * group + task / blocks, task % blocks * QUERIES, kp, vp, own + RT_ME * own_size);
        });
        return;
    }
    RT_OMP(omp parallel num_threads(team) if (team > 1))
    {
        RT_OMP(omp for schedule(dynamic))
        for (int64_t z = 0; z < heads; z++) M(pack_head)(a, z, keys + z * k_size, values + z * v_size);
        RT_OMP(omp for schedule(dynamic))
        for (int64_t task = 0; task < a->B * a->H * blocks; task++) {
            /* the last blocks first: under causality they are the longest */
            int64_t z = task % (a->B * a->H), b = z / a->H, h = z % a->H, t0 = (blocks - 1 - task / (a->B * a->H)) * QUERIES;
            int64_t at = b * a->HK + h / group;
            M(attend_block)(a, b, h, t0, keys + at * k_size, values + at * v_size, own + RT_ME * own_size);
        }
    }
}

static void M(attend_d0)(const RtAttention *a) {
    int64_t heads = a->B * a->HK, group = a->H / a->HK, D = a->D, E = a->E, DP = M(padded)(D), EP = M(padded)(E), K = a->K;
    int64_t KP = M(padded)(K), blocks = (a->Q + QUERIES - 1) / QUERIES, step = keys_of_block(a), splits = splits_of(a);
    T *kt = a->work, *vt = kt + heads * D * KP, *kn = vt + heads * E * KP, *dk = kn + heads * K * DP;
    T *dv = dk + splits * heads * K * DP, *own = dv + splits * heads * K * EP;
    int team = team_of(a);
    RtShare shares[RT_SHARES];
    int runs = rt_share_out(shares, team, heads * splits);
    RT_OMP(omp parallel num_threads(team) if (team > 1))
    {
        int passed = 0;
        T *p = own + RT_ME * QUERIES * (2 * KEYS + 2 * DP + EP), *ds = p + QUERIES * KEYS;
        T *qb = ds + QUERIES * KEYS, *dq = qb + QUERIES * DP, *gb = dq + QUERIES * DP;
        RT_OMP(omp for schedule(static))
        for (int64_t z = 0; z < heads; z++) {
            const T *k = AT((const T *)a->k, a->k_s, z / a->HK, z % a->HK, 0), *v = AT((const T *)a->v, a->v_s, z / a->HK, z % a->HK, 0);
            M(pack_keys)(K, D, k, a->k_s[2], kt + z * D * KP);
            M(pack_keys)(K, E, v, a->v_s[2], vt + z * E * KP);
            M(pack_rows)(K, D, k, a->k_s[2], kn + z * K * DP);
        }
        for (int64_t task; (task = rt_share_next(shares, runs, RT_ME, &passed)) >= 0;) {
            int64_t z = task / splits, part = task % splits, b = z / a->HK;
            T *dkz = dk + task * K * DP, *dvz = dv + task * K * EP;
            memset(dkz, 0, (size_t)(K * DP) * sizeof(T));
            memset(dvz, 0, (size_t)(K * EP) * sizeof(T));
            for (int64_t block = part; block < blocks * group; block += splits) {
                int64_t h = z % a->HK * group + block % group, t0 = block / group * QUERIES;
                int64_t m = a->Q - t0 < QUERIES ? a->Q - t0 : QUERIES, end = a->causal && t0 + m < K ? t0 + m : K;
                const T *lse = (const T *)a->lse + (b * a->H + h) * a->Q + t0, *o = AT((const T *)a->out, a->o_s, b, h, t0);
                T delta[QUERIES];
                M(copy_rows)(m, D, AT((const T *)a->q, a->q_s, b, h, t0), a->q_s[2], qb);
                M(copy_rows)(m, E, AT((const T *)a->g, a->g_s, b, h, t0), a->g_s[2], gb);
                for (int64_t r = 0; r < m; r++) {
                    T dot = 0;
                    RT_OMP(omp simd reduction(+:dot))
                    for (int64_t e = 0; e < E; e++) dot += gb[r * EP + e] * o[r * a->o_s[2] + e];
                    delta[r] = dot;
                }
                if (end == 0) memset(dq, 0, (size_t)(m * DP) * sizeof(T));
                for (int64_t j0 = 0; j0 < end; j0 += step) {
                    int64_t n = end - j0 < step ? end - j0 : step, rows = strip_rows(a, t0, j0, n);
                    for (int64_t r = 0; r < m; r += rows) {
                        int64_t height = m - r < rows ? m - r : rows, wide = strip_end(a, t0, r, j0, n);
                        M(scores)(height, wide, j0, K, D, qb + r * DP, DP, kt + z * D * KP, p + r * KEYS, KEYS);
                        M(scores)(height, wide, j0, K, E, gb + r * EP, EP, vt + z * E * KP, ds + r * KEYS, KEYS);
                    }
                    for (int64_t r = 0; r < m; r++) {
                        T *pr = p + r * KEYS, *dr = ds + r * KEYS, shift = lse[r] == -INF ? 0 : lse[r], by = 1;
                        int64_t see = seen(a, t0 + r, j0, n), wide = strip_end(a, t0, r, j0, n);
                        if (a->mask_kind == RT_MASK_NONE) by = (T)a->scale;
                        else M(masked)(a, pr, see, b, h, t0 + r, j0);
                        M(row_d0)(pr, dr, see, by, shift, delta[r], (T)a->scale);
                        for (int64_t j = see; j < wide; j++) pr[j] = dr[j] = 0;
                    }
                    if (rows == QUERIES) {
                        M(outer)(n, E, m, p, KEYS, gb, dvz + j0 * EP);
                        M(outer)(n, D, m, ds, KEYS, qb, dkz + j0 * DP);
                    } else
                        for (int64_t j = 0; j < n; j += STRIP) {     /* keys of a strip are seen from a strip of queries on */
                            int64_t height = n - j < STRIP ? n - j : STRIP, r = j0 + j > t0 ? (j0 + j - t0) / STRIP * STRIP : 0;
                            M(outer)(height, E, m - r, p + r * KEYS + j, KEYS, gb + r * EP, dvz + (j0 + j) * EP);
                            M(outer)(height, D, m - r, ds + r * KEYS + j, KEYS, qb + r * DP, dkz + (j0 + j) * DP);
                        }
                    for (int64_t r = 0; r < m; r += rows) {
                        int64_t height = m - r < rows ? m - r : rows;
                        M(weighted)(height, D, strip_end(a, t0, r, j0, n), j0, K, ds + r * KEYS, KEYS, kn + z * K * DP, dq + r * DP, DP, j0 > 0);
                    }
                }
                for (int64_t r = 0; r < m; r++) memcpy(AT((T *)a->gq, a->gq_s, b, h, t0 + r), dq + r * DP, (size_t)D * sizeof(T));
            }
        }
        RT_OMP(omp barrier)
        RT_OMP(omp for schedule(static) nowait)
        for (int64_t z = 0; z < heads; z++)
            for (int64_t t = 0; t < K; t++) {
                T *ok = AT((T *)a->gk, a->gk_s, z / a->HK, z % a->HK, t), *ov = AT((T *)a->gv, a->gv_s, z / a->HK, z % a->HK, t);
                const T *xk = dk + (z * splits * K + t) * DP, *xv = dv + (z * splits * K + t) * EP;
                memcpy(ok, xk, (size_t)D * sizeof(T));
                memcpy(ov, xv, (size_t)E * sizeof(T));
                for (int64_t q = 1; q < splits; q++) {
                    for (int64_t d = 0; d < D; d++) ok[d] += xk[q * K * DP + d];
                    for (int64_t e = 0; e < E; e++) ov[e] += xv[q * K * EP + e];
                }
            }
    }
}
#undef AT
