/* Typed body of resize.inc.c: S stored element, T what it is computed in, UP(v) widens, STORED: S is T (else DOWN and NARROW round), WEIGHTS and PADDED the fields of RtAxis. */

/* line (+)= the sum of up to four weighted rows; fresh: nothing is in it yet. Rows first, as a whole row is a loop of vectors: what then
 * remains across it is done once per row of the result. */
RT_INLINE void SUF(add_rows)(T *restrict line, const S *const *p, const T *w, int count, int64_t n, int fresh) {
    const S *restrict a = p[0], *restrict b = p[1], *restrict c = p[2], *restrict d = p[3];
    if (count == 1 && fresh) for (int64_t i = 0; i < n; i++) line[i] = w[0] * UP(a[i]);
    else if (count == 2 && fresh) for (int64_t i = 0; i < n; i++) line[i] = w[0] * UP(a[i]) + w[1] * UP(b[i]);
    else if (count == 4 && fresh) for (int64_t i = 0; i < n; i++) line[i] = w[0] * UP(a[i]) + w[1] * UP(b[i]) + w[2] * UP(c[i]) + w[3] * UP(d[i]);
    else if (count == 4) for (int64_t i = 0; i < n; i++) line[i] += w[0] * UP(a[i]) + w[1] * UP(b[i]) + w[2] * UP(c[i]) + w[3] * UP(d[i]);
    else
        for (int k = 0; k < count; k++) {
            const S *restrict q = p[k];
            if (fresh && k == 0) for (int64_t i = 0; i < n; i++) line[i] = w[0] * UP(q[i]);
            else for (int64_t i = 0; i < n; i++) line[i] += w[k] * UP(q[i]);
        }
}

/* The last dimension, one number a position. */
static void SUF(across)(const RtAxis *a, const T *restrict src, T *restrict y) {
    const int32_t *restrict at = a->at;
    const T *restrict w = a->WEIGHTS;
    int64_t to = a->to;
    if (a->doubled && a->fixed == 1 && !w) for (int64_t i = 0; i < to / 2; i++) y[2 * i] = y[2 * i + 1] = src[i];
    else if (a->doubled && a->fixed == 1) for (int64_t i = 0; i < to / 2; i++) { y[2 * i] = w[2 * i] * src[i]; y[2 * i + 1] = w[2 * i + 1] * src[i]; }
    else if (a->doubled && a->fixed == 2 && w) for (int64_t i = 0; i < to; i++) y[i] = w[i] * src[2 * i] + w[to + i] * src[2 * i + 1];
    else if (a->doubled && a->fixed == 2) for (int64_t i = 0; i < to; i++) y[i] = src[2 * i] + src[2 * i + 1];
    else if (a->padded) {                                  /* nothing is multiplied by a weight that is not there: infinity times 0 is no 0 */
        const int32_t *restrict from = a->pad_at;
        const T *restrict u = a->PADDED, *restrict v = u + to;
        if (a->padded == 1) for (int64_t i = 0; i < to; i++) { T p = u[i] * src[from[i]]; y[i] = u[i] != 0 ? p : 0; }
        else
            for (int64_t i = 0; i < to; i++) {
                T p = u[i] * src[from[i]], q = v[i] * src[from[to + i]];
                y[i] = (u[i] != 0 ? p : 0) + (v[i] != 0 ? q : 0);
            }
    }
    else if (a->fixed == 1 && !w) for (int64_t i = 0; i < to; i++) y[i] = src[at[i]];
    else if (a->fixed == 2 && w) for (int64_t i = 0; i < to; i++) y[i] = w[i] * src[at[i]] + w[to + i] * src[at[to + i]];
    else if (a->fixed == 4 && w)
        for (int64_t i = 0; i < to; i++)
            y[i] = w[i] * src[at[i]] + w[to + i] * src[at[to + i]] + w[2 * to + i] * src[at[2 * to + i]] + w[3 * to + i] * src[at[3 * to + i]];
    else {
        int64_t step = tap_step(a);
        for (int64_t i = 0; i < to; i++) {
            int64_t k = first_tap(a, i);
            T s = 0;
            if (w) for (int64_t n = tap_count(a, i); n > 0; n--, k += step) s += w[k] * src[at[k]];
            else for (int64_t n = tap_count(a, i); n > 0; n--, k += step) s += src[at[k]];
            y[i] = s;
        }
    }
}

/* The last dimension, `inner` numbers a position. */
static void SUF(across_runs)(const RtAxis *a, int64_t inner, const T *src, T *y) {
    const int32_t *at = a->at;
    const T *w = a->WEIGHTS;
    int64_t step = tap_step(a);
    for (int64_t i = 0; i < a->to; i++, y += inner) {
        int64_t k = first_tap(a, i), n = tap_count(a, i);
        T *restrict d = y;
        if (n == 0) memset(d, 0, (size_t)inner * sizeof(T));
        int fresh = 1;
        for (; n > 1; n -= 2, k += 2 * step) {
            const T *restrict p = src + at[k] * inner, *restrict q = src + at[k + step] * inner;
            T u = w ? w[k] : 1, v = w ? w[k + step] : 1;
            if (fresh) for (int64_t c = 0; c < inner; c++) d[c] = u * p[c] + v * q[c];
            else for (int64_t c = 0; c < inner; c++) d[c] += u * p[c] + v * q[c];
            fresh = 0;
        }
        if (n > 0) {
            const T *restrict p = src + at[k] * inner;
            T u = w ? w[k] : 1;
            if (fresh) for (int64_t c = 0; c < inner; c++) d[c] = u * p[c];
            else for (int64_t c = 0; c < inner; c++) d[c] += u * p[c];
        }
    }
}

static void SUF(mix)(const RtAxis *a, int64_t outer, int64_t inner, const S *x, S *y, int threads) {
    int64_t rows = outer * a[0].to * a[1].to, in_row = a[2].from * inner, out_row = a[2].to * inner;
    double taps = (double)(a[0].fixed ? a[0].fixed : 1 + a[0].from / a[0].to) * (a[1].fixed ? a[1].fixed : 1 + a[1].from / a[1].to);
    threads = few(rows * (in_row * taps / 8 + out_row * (inner > 1 ? 0.25 : 1)), threads, rows);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1))
    {
        T *line = malloc((size_t)(in_row + out_row) * sizeof(T));
        RT_OMP(omp for schedule(static))
        for (int64_t r = 0; r < rows; r++) {
            int64_t h = r % a[1].to, od = r / a[1].to, d = od % a[0].to, o = od / a[0].to;
            const S *image = x + o * a[0].from * a[1].from * in_row, *p[4] = {x, x, x, x};
            T w[4];
            int count = 0, fresh = 1;
            int64_t dk = first_tap(a, d);
            for (int64_t dn = tap_count(a, d); dn > 0; dn--, dk += tap_step(a)) {
                int64_t hk = first_tap(a + 1, h);
                for (int64_t hn = tap_count(a + 1, h); hn > 0; hn--, hk += tap_step(a + 1)) {
                    if (count == 4) { SUF(add_rows)(line, p, w, 4, in_row, fresh); fresh = count = 0; }
                    p[count] = image + (a[0].at[dk] * a[1].from + a[1].at[hk]) * in_row;
                    w[count++] = (a[0].WEIGHTS ? a[0].WEIGHTS[dk] : 1) * (a[1].WEIGHTS ? a[1].WEIGHTS[hk] : 1);
                }
            }
            const T *src = line;
            if (count == 0 && fresh) {                   /* the transpose of a shrinking: what no position read */
                memset(y + r * out_row, 0, (size_t)out_row * sizeof(S));
                continue;
            }
#if STORED
            if (count == 1 && fresh && w[0] == 1) src = p[0];
            else
#endif
                SUF(add_rows)(line, p, w, count, in_row, fresh);
#if STORED
            T *to = y + r * out_row;
#else
            T *wide = line + in_row, *to = wide;
#endif
            if (inner > 1) SUF(across_runs)(a + 2, inner, src, to);
            else SUF(across)(a + 2, src, to);
#if !STORED
            S *narrow = y + r * out_row;
            for (int64_t i = NARROW(narrow, wide, out_row); i < out_row; i++) narrow[i] = DOWN(wide[i]);
#endif
        }
        free(line);
    }
}
