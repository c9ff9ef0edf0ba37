/* Distances in one precision: included with T, ROOT, K(name), and V, N(name), LANES, MASK of vec.h defined. See Note [Distances]. */
enum { K(PANEL) = 2 * LANES };

RT_INLINE V K(size)(V x) { return (V)((MASK)x & ((MASK)N(set)(-(T)0) ^ -1)); }
RT_INLINE V K(only)(MASK m, V x) { return (V)(m & (MASK)x); }
/* The greater of two that are not negative, or NaN, whose bits are above infinity's: as whole numbers. */
RT_INLINE V K(greater)(V x, V y) { MASK m = (MASK)x > (MASK)y; return (V)((m & (MASK)x) | (~m & (MASK)y)); }
RT_INLINE V K(gather)(const int kind, V sum, V gap) {
    switch (kind) {
    case RT_DIST_COUNT: return sum + K(only)(gap != 0, N(set)(1)) + K(only)(gap != gap, gap);      /* NaN stays NaN */
    case RT_DIST_ABS: return sum + K(size)(gap);
    case RT_DIST_SQUARE: return sum + gap * gap;
    default: return K(greater)(sum, K(size)(gap));
    }
}
/* b[j + lane, at + k] at panel[k, lane], zeros where there is no such row. */
static void K(turn)(const T *b, int64_t J, int64_t D, int64_t j, int64_t lanes, int64_t at, int64_t depth, T *panel) {
    int64_t rows = J - j < lanes ? J - j : lanes;
    if (rows < lanes) memset(panel, 0, (size_t)(depth * lanes) * sizeof(T));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < depth; k++) panel[k * lanes + r] = b[(j + r) * D + at + k];
}
RT_INLINE void K(some_rows)(const int kind, const int rows, const T *a, int64_t D, const T *panel, int64_t depth, int first, T *to) {
    V sum[TOGETHER][2];
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = N(set)(0);
    for (int64_t k = 0; k < depth; k++, panel += K(PANEL)) {
        V lo = N(load)(panel), hi = N(load)(panel + LANES);
        for (int r = 0; r < rows; r++) {
            V x = N(set)(a[r * D + k]);
            sum[r][0] = K(gather)(kind, sum[r][0], x - lo);
            sum[r][1] = K(gather)(kind, sum[r][1], x - hi);
        }
    }
    for (int r = 0; r < rows; r++, to += K(PANEL))
        for (int h = 0; h < 2; h++) {
            V v = sum[r][h];
            if (!first) v = kind == RT_DIST_MAX ? K(greater)(v, N(load)(to + h * LANES)) : v + N(load)(to + h * LANES);
            N(store)(to + h * LANES, v);
        }
}
/* Distances of `rows` rows of a to the rows [j, j + PANEL) of b. */
RT_INLINE void K(tile)(const int kind, const T *a, int64_t rows, const T *b, int64_t J, int64_t j, int64_t D, T *tile) {
    T panel[DEPTH * K(PANEL)] __attribute__((aligned(64)));
    if (D == 0) memset(tile, 0, sizeof(T) * ROWS * K(PANEL));
    for (int64_t at = 0; at < D; at += DEPTH) {
        int64_t depth = D - at < DEPTH ? D - at : DEPTH, r = 0;
        K(turn)(b, J, D, j, K(PANEL), at, depth, panel);
        for (; r + TOGETHER <= rows; r += TOGETHER) K(some_rows)(kind, TOGETHER, a + r * D + at, D, panel, depth, at == 0, tile + r * K(PANEL));
        for (; r < rows; r++) K(some_rows)(kind, 1, a + r * D + at, D, panel, depth, at == 0, tile + r * K(PANEL));
    }
    if (kind == RT_DIST_SQUARE) for (int64_t e = 0; e < rows * K(PANEL); e++) tile[e] = ROOT(tile[e]);
}
static void K(distances)(int kind, const void *a_id, const void *b_jd, int64_t I, int64_t J, int64_t D, void *out_ij, int threads) {
    const T *a = a_id, *b = b_jd ? b_jd : a_id;
    T *out = out_ij;
    const int pairs = !b_jd;
    int64_t panels = (J + K(PANEL) - 1) / K(PANEL), chunks = (I + ROWS - 1) / ROWS;
    threads = crew((double)I * (double)J * (double)(D + 4) / (pairs ? 2 : 1), threads, panels * chunks);
    RT_SHARED(threads, panels * chunks, piece, {
        T tile[ROWS * K(PANEL)] __attribute__((aligned(64)));
        int64_t j = piece % panels * K(PANEL), i = piece / panels * ROWS, rows = I - i < ROWS ? I - i : ROWS, end = J - j < K(PANEL) ? J : j + K(PANEL);
        if (pairs && i >= end - 1) continue;
        if (pairs && i + rows > end - 1) rows = end - 1 - i;
        switch (kind) {
        case RT_DIST_COUNT: K(tile)(RT_DIST_COUNT, a + i * D, rows, b, J, j, D, tile); break;
        case RT_DIST_ABS: K(tile)(RT_DIST_ABS, a + i * D, rows, b, J, j, D, tile); break;
        case RT_DIST_SQUARE: K(tile)(RT_DIST_SQUARE, a + i * D, rows, b, J, j, D, tile); break;
        default: K(tile)(RT_DIST_MAX, a + i * D, rows, b, J, j, D, tile);
        }
        for (int64_t r = 0; r < rows; r++) {
            int64_t from = pairs && j < i + r + 1 ? i + r + 1 : j;
            memcpy(out + (pairs ? pair_at(I, i + r, from) : (i + r) * J + from), tile + r * K(PANEL) + from - j, (size_t)(end - from) * sizeof(T));
        }
    });
}

/* ---- gradients ---- */
/* What the derivative by a's row i + lane is to be multiplied with for b's rows j ... j + sources, a register for each, and (of the greatest) the distances. */
static void K(weights)(int kind, const T *d, const T *g, int pairs, int64_t I, int64_t i, int64_t lanes, int64_t j, int64_t sources,
                       int64_t step_i, int64_t step_j, T *w, T *far) {
    for (int64_t s = 0; s < sources; s++) {
        int64_t at = pairs ? 0 : i * step_i + (j + s) * step_j, step = step_i;
        T *ws = w + s * LANES, *fs = far + s * LANES;
        if (pairs && j + s < i) { at = pair_at(I, j + s, i); step = 1; }
        if (!pairs || j + s < i)
            for (int64_t r = 0; r < lanes; r++) { ws[r] = g[at + r * step]; fs[r] = d[at + r * step]; }
        else
            for (int64_t r = 0; r < lanes; r++) {
                int64_t me = i + r, you = j + s;
                at = me < you ? pair_at(I, me, you) : you < me ? pair_at(I, you, me) : -1;
                ws[r] = at < 0 ? 0 : g[at]; fs[r] = at < 0 ? 0 : d[at];
            }
        for (int64_t r = lanes; r < LANES; r++) ws[r] = fs[r] = 0;
        if (kind == RT_DIST_SQUARE) {
            V v = N(load)(fs);
            N(store)(ws, K(only)(v != 0, N(load)(ws) / v));
        }
    }
}
RT_INLINE V K(slope)(const int kind, V sum, V gap, V w, V far) {
    if (kind == RT_DIST_SQUARE) return sum + gap * w;
    if (kind == RT_DIST_MAX) w = K(only)(K(size)(gap) == far, w);
    return sum + (K(only)(gap > 0, w) - K(only)(gap < 0, w));
}
RT_INLINE void K(some_dims)(const int kind, const int dims, const T *panel, const T *b, int64_t D, int64_t sources, const T *w, const T *far, T *to) {
    V sum[TOGETHER], x[TOGETHER];
    for (int k = 0; k < dims; k++) { sum[k] = N(load)(to + k * LANES); x[k] = N(load)(panel + k * LANES); }
    for (int64_t s = 0; s < sources; s++, b += D) {
        V ws = N(load)(w + s * LANES), fs = kind == RT_DIST_MAX ? N(load)(far + s * LANES) : ws;
        for (int k = 0; k < dims; k++) sum[k] = K(slope)(kind, sum[k], x[k] - N(set)(b[k]), ws, fs);
    }
    for (int k = 0; k < dims; k++) N(store)(to + k * LANES, sum[k]);
}
RT_INLINE void K(pull_dims)(const int kind, const T *panel, const T *b, int64_t D, int64_t depth, int64_t sources, const T *w, const T *far, T *to) {
    int64_t k = 0;
    for (; k + TOGETHER <= depth; k += TOGETHER) K(some_dims)(kind, TOGETHER, panel + k * LANES, b + k, D, sources, w, far, to + k * LANES);
    for (; k < depth; k++) K(some_dims)(kind, 1, panel + k * LANES, b + k, D, sources, w, far, to + k * LANES);
}
static void K(pull)(int kind, const void *a_id, const void *b_jd, const void *d, const void *g, int64_t I, int64_t J, int64_t D,
                    int64_t step_i, int64_t step_j, void *out_id, int threads) {
    const T *a = a_id, *b = b_jd ? b_jd : a_id;
    T *out = out_id;
    const int pairs = !b_jd;
    int64_t panels = (I + LANES - 1) / LANES, stretches = (D + DEPTH - 1) / DEPTH;
    if (kind == RT_DIST_COUNT) { memset(out, 0, (size_t)(I * D) * sizeof(T)); return; }
    threads = crew((double)I * (double)J * (double)(D + 8), threads, panels * stretches);
    RT_SHARED(threads, panels * stretches, piece, {
        T panel[DEPTH * LANES] __attribute__((aligned(64))), sum[DEPTH * LANES] __attribute__((aligned(64)));
        T w[SOURCES * LANES] __attribute__((aligned(64))), far[SOURCES * LANES] __attribute__((aligned(64)));
        int64_t i = piece / stretches * LANES, at = piece % stretches * DEPTH, depth = D - at < DEPTH ? D - at : DEPTH, lanes = I - i < LANES ? I - i : LANES;
        K(turn)(a, I, D, i, LANES, at, depth, panel);
        memset(sum, 0, sizeof sum);
        for (int64_t j = 0; j < J; j += SOURCES) {
            int64_t sources = J - j < SOURCES ? J - j : SOURCES;
            K(weights)(kind, d, g, pairs, I, i, lanes, j, sources, step_i, step_j, w, far);
            switch (kind) {
            case RT_DIST_ABS: K(pull_dims)(RT_DIST_ABS, panel, b + j * D + at, D, depth, sources, w, far, sum); break;
            case RT_DIST_SQUARE: K(pull_dims)(RT_DIST_SQUARE, panel, b + j * D + at, D, depth, sources, w, far, sum); break;
            default: K(pull_dims)(RT_DIST_MAX, panel, b + j * D + at, D, depth, sources, w, far, sum);
            }
        }
        for (int64_t r = 0; r < lanes; r++)
            for (int64_t k = 0; k < depth; k++) out[(i + r) * D + at + k] = sum[k * LANES + r];
    });
}
