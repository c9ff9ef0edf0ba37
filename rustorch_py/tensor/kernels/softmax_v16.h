/* softmax and its gradient in registers of AVX-512 for softmax.inc.c, of float32 and 16-bit floats: E element, H(name), H(load32), H(store32).
 * Rows of middle length are taken RT_ROWS_V16 at a time, whose logarithms are one; columns 32 at a time, which are copied to where they lie
 * together: rows of an image's classes are often a power of two apart, so that few of them fit a cache at once. */

RT_INLINE void H(softmax_rows)(const E *x, int64_t rows, int64_t n, int logs, E *y) {
    float room[RT_ROWS_V16 * RT_MIDDLE], top[16], sum[16] = {0};
    const int64_t wide = (n + 31) & ~(int64_t)31;
    for (int64_t r = 0; r < rows; r++) {
        float *e = room + r * wide;
        __m512 a, b, m = _mm512_set1_ps(-INFINITY), s = _mm512_setzero_ps(), t = s;
        for (int64_t i = 0; i < n; i += 32) {
            const __mmask32 k = RT_FIRST_32(n - i);
            H(load32)(x + r * n + i, k, &a, &b);
            if (n - i < 32) {                                      /* what is behind the row neither is the largest nor counts */
                a = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), (__mmask16)k, a);
                b = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), (__mmask16)(k >> 16), b);
            }
            _mm512_storeu_ps(e + i, a); _mm512_storeu_ps(e + i + 16, b);
            m = _mm512_max_ps(m, _mm512_max_ps(a, b));
        }
        top[r] = _mm512_reduce_max_ps(m);
        m = _mm512_set1_ps(top[r]);
        for (int64_t i = 0; i < n; i += 32) {
            a = rt_exp_v16(_mm512_loadu_ps(e + i) - m); b = rt_exp_v16(_mm512_loadu_ps(e + i + 16) - m);
            if (!logs) { _mm512_storeu_ps(e + i, a); _mm512_storeu_ps(e + i + 16, b); }
            if (n - i < 32) {
                const __mmask32 k = RT_FIRST_32(n - i);
                a = _mm512_maskz_mov_ps((__mmask16)k, a); b = _mm512_maskz_mov_ps((__mmask16)(k >> 16), b);
            }
            s += a; t += b;
        }
        sum[r] = _mm512_reduce_add_ps(s + t);
    }
    if (logs) for (int r = 0; r < 16; r++) sum[r] = rt_log_f32(sum[r]);
    for (int64_t r = 0; r < rows; r++) {
        const float *e = room + r * wide;
        const __m512 m = _mm512_set1_ps(top[r]), l = _mm512_set1_ps(logs ? sum[r] : 1 / sum[r]);
        for (int64_t i = 0; i < n; i += 32) {
            __m512 a = _mm512_loadu_ps(e + i), b = _mm512_loadu_ps(e + i + 16);
            if (logs) { a = a - m - l; b = b - m - l; }
            else { a *= l; b *= l; }
            H(store32)(y + r * n + i, RT_FIRST_32(n - i), a, b);
        }
    }
}

RT_INLINE void H(softmax_tile)(const E *x, int64_t n, int64_t inner, int64_t len, int logs, float *room, E *y) {
    for (int64_t p = 0; p < len; p += 32) {
        const __mmask32 k = RT_FIRST_32(len - p);
        __m512 a, b, u = _mm512_set1_ps(-INFINITY), v = u, t = _mm512_setzero_ps(), w = t;
        for (int64_t i = 0; i < n; i++) {
            float *e = room + i * 32;
            H(load32)(x + i * inner + p, k, &a, &b);
            u = _mm512_max_ps(u, a); v = _mm512_max_ps(v, b);      /* a NaN may be lost here; the sum has it */
            _mm512_storeu_ps(e, a); _mm512_storeu_ps(e + 16, b);
        }
        for (int64_t i = 0; i < n; i++) {
            float *e = room + i * 32;
            a = rt_exp_v16(_mm512_loadu_ps(e) - u); b = rt_exp_v16(_mm512_loadu_ps(e + 16) - v);
            if (!logs) { _mm512_storeu_ps(e, a); _mm512_storeu_ps(e + 16, b); }
            t += a; w += b;
        }
        float sum[32];
        _mm512_storeu_ps(sum, t); _mm512_storeu_ps(sum + 16, w);
        for (int c = 0; c < 32; c++) sum[c] = logs ? rt_log_f32(sum[c]) : 1 / sum[c];
        t = _mm512_loadu_ps(sum); w = _mm512_loadu_ps(sum + 16);
        for (int64_t i = 0; i < n; i++) {
            const float *e = room + i * 32;
            a = _mm512_loadu_ps(e); b = _mm512_loadu_ps(e + 16);
            if (logs) { a = a - u - t; b = b - v - w; }
            else { a *= t; b *= w; }
            H(store32)(y + i * inner + p, k, a, b);
        }
    }
}

/* Whether it was done here. */
static int H(softmax_v16)(const E *x, int64_t outer, int64_t n, int64_t inner, int logs, E *y, int threads) {
    if (inner == 1 && n >= 32 && n <= RT_MIDDLE) {
        int64_t tasks = (outer + RT_ROWS_V16 - 1) / RT_ROWS_V16;
        threads = few((double)outer * n, threads, tasks);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t task = 0; task < tasks; task++) {
            int64_t o = task * RT_ROWS_V16, rows = outer - o < RT_ROWS_V16 ? outer - o : RT_ROWS_V16;
            if (logs) H(softmax_rows)(x + o * n, rows, n, 1, y + o * n);
            else H(softmax_rows)(x + o * n, rows, n, 0, y + o * n);
        }
        return 1;
    }
    if (inner < 16 || n > TILE_CLASSES) return 0;
    int64_t tiles = (inner + TILE - 1) / TILE;
    threads = few((double)outer * n * inner, threads, outer * tiles);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer * tiles; task++) {
        float room[32 * TILE_CLASSES];
        int64_t c = task % tiles * TILE, at = task / tiles * n * inner + c, len = inner - c < TILE ? inner - c : TILE;
        if (logs) H(softmax_tile)(x + at, n, inner, len, 1, room, y + at);
        else H(softmax_tile)(x + at, n, inner, len, 0, room, y + at);
    }
    return 1;
}

RT_INLINE void H(slope_rows)(const E *g, const E *y, int64_t n, int logs, E *gx) {
    __m512 a, b, c, d, s = _mm512_setzero_ps(), t = s;
    for (int64_t i = 0; i < n; i += 32) {
        const __mmask32 k = RT_FIRST_32(n - i);
        H(load32)(g + i, k, &a, &b);
        if (!logs) { H(load32)(y + i, k, &c, &d); a *= c; b *= d; }
        s += a; t += b;
    }
    s = _mm512_set1_ps(_mm512_reduce_add_ps(s + t));
    for (int64_t i = 0; i < n; i += 32) {
        const __mmask32 k = RT_FIRST_32(n - i);
        H(load32)(g + i, k, &a, &b);
        H(load32)(y + i, k, &c, &d);
        if (logs) { a -= rt_exp_v16(c) * s; b -= rt_exp_v16(d) * s; }
        else { a = (a - s) * c; b = (b - s) * d; }
        H(store32)(gx + i, k, a, b);
    }
}
RT_INLINE void H(slope_tile)(const E *g, const E *y, int64_t n, int64_t inner, int64_t len, int logs, E *gx) {
    for (int64_t p = 0; p < len; p += 32) {
        const __mmask32 k = RT_FIRST_32(len - p);
        __m512 a, b, c, d, s = _mm512_setzero_ps(), t = s;
        for (int64_t i = p; i < n * inner; i += inner) {
            H(load32)(g + i, k, &a, &b);
            if (!logs) { H(load32)(y + i, k, &c, &d); a *= c; b *= d; }
            s += a; t += b;
        }
        for (int64_t i = p; i < n * inner; i += inner) {
            H(load32)(g + i, k, &a, &b);
            H(load32)(y + i, k, &c, &d);
            if (logs) { a -= rt_exp_v16(c) * s; b -= rt_exp_v16(d) * t; }
            else { a = (a - s) * c; b = (b - t) * d; }
            H(store32)(gx + i, k, a, b);
        }
    }
}
static int H(slope_v16)(const E *g, const E *y, int64_t outer, int64_t n, int64_t inner, int logs, E *gx, int threads) {
    if (inner == 1 ? n < 32 || n > 8192 : inner < 16) return 0;
    int64_t tiles = (inner + TILE - 1) / TILE;
    threads = few((double)outer * n * inner, threads, outer * tiles);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < outer * tiles; task++) {
        int64_t c = task % tiles * TILE, at = task / tiles * n * inner + c, len = inner - c < TILE ? inner - c : TILE;
        if (inner == 1 && logs) H(slope_rows)(g + at, y + at, n, 1, gx + at);
        else if (inner == 1) H(slope_rows)(g + at, y + at, n, 0, gx + at);
        else if (logs) H(slope_tile)(g + at, y + at, n, inner, len, 1, gx + at);
        else H(slope_tile)(g + at, y + at, n, inner, len, 0, gx + at);
    }
    return 1;
}
