/* The sums and runs of norm_t.h over 16-bit floats: CHUNK elements at a time are widened to float32 on the stack, where the functions of float32
 * find them in the nearest cache (norm_half_v16.h: without that). E element, H(name); half_lines.h converts. */

RT_INLINE double H(sum)(const E *x, int64_t n) {
    float a[CHUNK];
    double s = 0;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        H(widen_run)(a, x + i, m);
        s += sum_f32(a, m);
    }
    return s;
}
RT_INLINE double H(sum_sq)(const E *x, int64_t n, float mean) {
    float a[CHUNK];
    double s = 0;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        H(widen_run)(a, x + i, m);
        s += sum_sq_f32(a, m, mean);
    }
    return s;
}
RT_INLINE void H(sum_pair)(const E *g, const E *x, const float *w, int64_t n, float mean, double *sum_g, double *sum_gx) {
    float a[CHUNK], b[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        H(widen_run)(a, x + i, m);
        H(widen_run)(b, g + i, m);
        sum_pair_f32(b, a, w ? w + i : NULL, m, mean, sum_g, sum_gx);
    }
}

/* ---- runs: widen x (and g), one function of float32, narrow ---- */
#define RUN1(x, ...)                                                                \
    for (int64_t i = 0; i < n; i += CHUNK) {                                        \
        float a[CHUNK], out[CHUNK];                                                 \
        int64_t len = n - i < CHUNK ? n - i : CHUNK;                                \
        H(widen_run)(a, x + i, len);                                                \
        __VA_ARGS__;                                                                \
        H(narrow_run)(y + i, out, len);                                             \
    }
#define RUN2(x, g, ...)                                                             \
    for (int64_t i = 0; i < n; i += CHUNK) {                                        \
        float a[CHUNK], b[CHUNK], out[CHUNK];                                       \
        int64_t len = n - i < CHUNK ? n - i : CHUNK;                                \
        H(widen_run)(a, x + i, len);                                                \
        H(widen_run)(b, g + i, len);                                                \
        __VA_ARGS__;                                                                \
        H(narrow_run)(y + i, out, len);                                             \
    }
#define AT(v) (v ? v + i : NULL)
RT_INLINE void H(scaled)(const E *x, int64_t n, float m, float k, float d, E *y) { RUN1(x, scaled_f32(a, len, m, k, d, out)) }
RT_INLINE void H(scaled_each)(const E *x, int64_t n, float m, float k, const float *w, const float *b, E *y) { RUN1(x, scaled_each_f32(a, len, m, k, AT(w), AT(b), out)) }
RT_INLINE void H(times)(const E *g, int64_t n, float k, E *y) { RUN1(g, times_f32(a, len, k, out)) }
RT_INLINE void H(sloped)(const E *x, const E *g, int64_t n, const float *w, float one, float m, float shift, float q, float k, E *y) {
    RUN2(x, g, sloped_f32(a, b, len, AT(w), one, m, shift, q, k, out))
}
RT_INLINE void H(sloped_channels)(const E *x, const E *g, int64_t n, const float *w, const float *m, const float *shift, const float *q, const float *k, E *y) {
    RUN2(x, g, sloped_channels_f32(a, b, len, AT(w), m + i, shift + i, q + i, k + i, out))
}
RT_INLINE void H(times_channels)(const E *g, int64_t n, const float *k, E *y) { RUN1(g, times_channels_f32(a, len, k + i, out)) }
#undef RUN1
#undef RUN2
#undef AT

/* ---- columns: some rows are widened side by side ---- */
RT_INLINE void H(widen_rows)(float *d, const E *s, int64_t step, int64_t rows, int64_t len) {
    if (step == len) { H(widen_run)(d, s, rows * len); return; }
    for (int64_t r = 0; r < rows; r++) H(widen_run)(d + r * len, s + r * step, len);
}
static void H(column_part)(int of, const E *x, const E *g, int64_t r0, int64_t r1, int64_t C, int64_t len, const float *mean, double *p, double *q) {
    float a[CHUNK], b[CHUNK];
    double ps[COLUMNS], qs[COLUMNS];
    int64_t each = CHUNK / len < ROWS ? CHUNK / len : ROWS;
    for (int64_t c = 0; c < len; c++) p[c] = 0;
    if (of == OF_PAIR) for (int64_t c = 0; c < len; c++) q[c] = 0;
    for (int64_t r = r0; r < r1; r += each) {
        int64_t rows = r1 - r < each ? r1 - r : each;
        H(widen_rows)(a, x + r * C, C, rows, len);
        if (of == OF_PAIR) H(widen_rows)(b, g + r * C, C, rows, len);
        column_part_f32(of, a, b, 0, rows, len, len, mean, ps, qs);
        for (int64_t c = 0; c < len; c++) p[c] += ps[c];
        if (of == OF_PAIR) for (int64_t c = 0; c < len; c++) q[c] += qs[c];
    }
}
static void H(weight_sums)(const E *x, const E *g, int64_t step, int64_t rows, int64_t len, const float *mean, const float *rstd, float *pw, float *pb) {
    float a[WEIGHT_ROWS * 512], b[WEIGHT_ROWS * 512];
    H(widen_rows)(a, x, step, rows, len);
    H(widen_rows)(b, g, step, rows, len);
    weight_sums_f32(a, b, len, rows, len, mean, rstd, pw, pb);
}
/* rows of n <= COLUMNS channels */
static void H(scaled_rows)(const E *x, int64_t step, int64_t rows, int64_t n, const float *mean, const float *rstd, const float *w, const float *b, E *y) {
    float a[CHUNK], out[CHUNK];
    int64_t each = CHUNK / n;
    for (int64_t r = 0; r < rows; r += each) {
        int64_t m = rows - r < each ? rows - r : each;
        H(widen_rows)(a, x + r * step, step, m, n);
        for (int64_t i = 0; i < m; i++) scaled_channels_f32(a + i * n, n, mean, rstd, w, b, out + i * n);
        if (step == n) H(narrow_run)(y + r * step, out, m * n);
        else for (int64_t i = 0; i < m; i++) H(narrow_run)(y + (r + i) * step, out + i * n, n);
    }
}
