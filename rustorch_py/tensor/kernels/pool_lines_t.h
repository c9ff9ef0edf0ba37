/* Typed body of pool.inc.c: maxima along lines. T, V, VF, LANES, SUF, PLACES as in pool_t.h. */

RT_INLINE T SUF(higher)(T best, T v) { return (v > best) | (v != v) ? v : best; }

RT_INLINE int SUF(cut)(int64_t n) { return n < 0 ? 0 : n < LANES ? (int)n : LANES; }
/* x[0], x[s], x[2 s] ...: as many as a vector has lanes, or the first n of them; nothing is read behind the last */
RT_INLINE V SUF(step)(const T *x, int64_t s) { return s == 1 ? VF(load)(x) : s == 2 ? VF(evens)(x) : VF(thirds)(x); }
RT_INLINE V SUF(step_first)(const T *x, int64_t s, int64_t n) {
    int64_t m = (n - 1) * s + 1;
    V a = VF(load_first)(x, SUF(cut)(m)), b = {0}, c = {0};
    if (s == 1) return a;
    if (m > LANES) b = VF(load_first)(x + LANES, SUF(cut)(m - LANES));
    if (s == 2) return VF(evens_of)(a, b);
    if (m > 2 * LANES) c = VF(load_first)(x + 2 * LANES, SUF(cut)(m - 2 * LANES));
    return VF(thirds_of)(a, b, c);
}

/* y[c] = maximum of line[c * s ... c * s + k), s of 1, 2, 3 and mostly k too constants where it is called. The last vector of a
 * row laps over the one before it: tails of rows cost as much as whole vectors, and rows are short. */
RT_INLINE void SUF(across)(const T *restrict line, T *restrict y, int64_t n, int64_t s, int64_t k) {
    if (n < LANES) {
        V best = SUF(step_first)(line, s, n);
        for (int64_t i = 1; i < k; i++) best = VF(higher)(best, SUF(step_first)(line + i, s, n));
        VF(store_first)(y, best, (int)n);
        return;
    }
    for (int64_t c = 0; c < n; c += LANES) {
        if (c > n - LANES) c = n - LANES;
        const T *x = line + c * s;
        V best = SUF(step)(x, s);
        for (int64_t i = 1; i < k; i++) best = VF(higher)(best, SUF(step)(x + i, s));
        VF(store)(y + c, best);
    }
}
static void SUF(across_any)(const T *restrict line, T *restrict y, int64_t n, int64_t s, int64_t k) {
    if (k == 3 && s == 3) SUF(across)(line, y, n, 3, 3);
    else if (k == 3 && s == 2) SUF(across)(line, y, n, 2, 3);
    else if (k == 3 && s == 1) SUF(across)(line, y, n, 1, 3);
    else if (k == 2 && s == 1) SUF(across)(line, y, n, 1, 2);
    else if (s == 1) SUF(across)(line, y, n, 1, k);
    else if (s == 2) SUF(across)(line, y, n, 2, k);
    else if (s == 3) SUF(across)(line, y, n, 3, k);
    else for (int64_t c = 0; c < n; c++) {
        T best = line[c * s];
        for (int64_t i = 1; i < k; i++) best = SUF(higher)(best, line[c * s + i]);
        y[c] = best;
    }
}

/* The place of the largest of x[0..n): the first of equals, the last NaN. First how large, then where: the second look mostly
 * ends early and finds the line in the cache. */
static int64_t SUF(line_top)(const T *x, int64_t n) {
    int64_t i, k = 0;
    if (n < 2 * LANES) {
        T best = x[0];
        for (i = 1; i < n; i++) {
            int up = (x[i] > best) | (x[i] != x[i]);
            best = up ? x[i] : best;
            k = up ? i : k;
        }
        return k;
    }
    V m = VF(load)(x + n - LANES), m1 = m, m2 = m, m3 = m;
    unsigned lost = VF(lost)(m, m);
    for (i = 0; i + 4 * LANES <= n; i += 4 * LANES) {
        V a = VF(load)(x + i), b = VF(load)(x + i + LANES), c = VF(load)(x + i + 2 * LANES), d = VF(load)(x + i + 3 * LANES);
        m = VF(above)(a, m);
        m1 = VF(above)(b, m1);
        m2 = VF(above)(c, m2);
        m3 = VF(above)(d, m3);
        lost |= VF(lost)(a, b) | VF(lost)(c, d);
    }
    for (; i + LANES <= n; i += LANES) {
        V a = VF(load)(x + i);
        m = VF(above)(a, m);
        lost |= VF(lost)(a, a);
    }
    if (lost) {
        for (k = n - 1; x[k] == x[k]; k--);
        return k;
    }
    m = VF(above)(VF(above)(m, m1), VF(above)(m2, m3));
    T best = m[0];
    for (int j = 1; j < LANES; j++) best = m[j] > best ? m[j] : best;
    V all = VF(set)(best);
    for (; k + LANES <= n; k += LANES) {
        unsigned same = VF(same)(VF(load)(x + k), all);
        if (same) return k + __builtin_ctz(same);
    }
    while (x[k] != best) k++;
    return k;
}

/* Maxima of windows that need not be evenly spaced, in planes below 2^31: of the window's rows for each column, then of columns.
 * high, at: room for a row. */
static void SUF(max_lines)(const RtPool *p, const T *x, T *y, int64_t *idx, T *high, __typeof__(((PLACES){0})[0]) *at) {
    int64_t W = p->in[2], o = 0;
    PLACES steps;
    for (int i = 0; i < LANES; i++) steps[i] = i;
    for (int64_t a = 0; a < p->out[0]; a++)
    for (int64_t b = 0; b < p->out[1]; b++) {
        int64_t z0 = p->lo[0][a], z1 = p->hi[0][a], r0 = p->lo[1][b], r1 = p->hi[1][b], i = 0;
        if ((z1 - z0) * (r1 - r0) == 1) {
            int64_t base = (z0 * p->in[1] + r0) * W;
            for (int64_t c = 0; c < p->out[2]; c++, o++) {
                idx[o] = base + p->lo[2][c] + SUF(line_top)(x + base + p->lo[2][c], p->hi[2][c] - p->lo[2][c]);
                y[o] = x[idx[o]];
            }
            continue;
        }
        for (; i < W; i += LANES) {
            int left = SUF(cut)(W - i);
            V best = {0};
            PLACES where = {0};
            for (int64_t z = z0; z < z1; z++)
            for (int64_t r = r0; r < r1; r++) {
                int64_t base = (z * p->in[1] + r) * W + i;
                V v = left == LANES ? VF(load)(x + base) : VF(load_first)(x + base, left);
                PLACES here = steps + (__typeof__(steps[0]))base;
                if (z == z0 && r == r0) { best = v; where = here; }
                else VF(raise)(&best, &where, v, here);
            }
            VF(store)(high + i, best);
            memcpy(at + i, &where, sizeof where);
        }
        for (int64_t c = 0; c < p->out[2]; c++, o++) {
            i = p->lo[2][c];
            T best = high[i];
            __typeof__(steps[0]) k = at[i];
            for (i++; i < p->hi[2][c]; i++) {
                T v = high[i];
                int up = (v > best) | ((v == best) & (at[i] < k)) | ((v != v) & ((best == best) | (at[i] > k)));
                best = up ? v : best;
                k = up ? at[i] : k;
            }
            y[o] = best;
            idx[o] = k;
        }
    }
}
