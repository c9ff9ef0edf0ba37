/* Tiles of int8 products for one dot instruction. Defined before inclusion: N(name), G (bytes of k that one lane's dot takes), A (packed
 * element of a), B (of b), OFFSET (what was added to a to make it unsigned), DOT(sum, x, y), C registers a panel, TARGET (attribute). */
#define RT_INT8_TILE(NAME, COLS)                                                                                   \
    TARGET static void NAME(int64_t groups, const char *a, int64_t a_m, const char *b, int32_t *sum) {             \
        RT_VI acc[RT_INT8_ROWS][COLS];                                                                             \
        RT_INT8_EACH(COLS) acc[r][j] = RT_ZERO;                                                                    \
        for (int64_t p = 0; p < groups; p++, a += 4, b += COLS * sizeof(RT_VI)) {                                  \
            RT_VI y[COLS];                                                                                         \
            RT_INT8_UNROLL for (int j = 0; j < COLS; j++) y[j] = RT_LOADI(b + j * sizeof(RT_VI));                  \
            RT_INT8_UNROLL for (int r = 0; r < RT_INT8_ROWS; r++) {                                                \
                int32_t four;                                                                                      \
                memcpy(&four, a + r * a_m, 4);                                                                     \
                RT_VI x = RT_SETI(four);                                                                           \
                RT_INT8_UNROLL for (int j = 0; j < COLS; j++) acc[r][j] = DOT(acc[r][j], x, y[j]);                 \
            }                                                                                                      \
        }                                                                                                          \
        RT_INT8_EACH(COLS) RT_STOREI(sum + (r * COLS + j) * RT_LANES, acc[r][j]);                                  \
    }
RT_INT8_TILE(N(tile), RT_INT8_REGS)
RT_INT8_TILE(N(tile_1), 1)
#undef RT_INT8_TILE

/* c = a b, any strides of a and b; `unsign`: a holds unsigned bytes. */
static void N(product)(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign, const int8_t *b, int64_t b_k,
                       int64_t b_n, int32_t *c, int64_t ldc, void *room) {
    int32_t off = unsign ? 0 : OFFSET;
    enum { KB = RT_INT8_K, WIDE = RT_INT8_REGS * RT_LANES };
    A *left = room;
    B *right = (B *)(left + RT_INT8_M * KB);
    int32_t sum[RT_INT8_ROWS * WIDE], fix[WIDE];
    for (int64_t p0 = 0; p0 < k; p0 += KB) {
        int64_t kb = k - p0 < KB ? k - p0 : KB, groups = (kb + G - 1) / G;
        for (int64_t i0 = 0; i0 < m; i0 += RT_INT8_M) {
            int64_t mb = m - i0 < RT_INT8_M ? m - i0 : RT_INT8_M, whole = (mb + RT_INT8_ROWS - 1) / RT_INT8_ROWS * RT_INT8_ROWS;
            for (int64_t i = 0; i < whole; i++) {
                const int8_t *x = a + (i0 + i) * a_m + p0 * a_k;
                A *o = left + i * KB;
                int64_t p = 0;
                if (i < mb && unsign) for (; p < kb; p++) o[p] = (uint8_t)x[p * a_k];
                else if (i < mb && a_k == 1) for (; p < kb; p++) o[p] = (A)(x[p] + OFFSET);
                else if (i < mb) for (; p < kb; p++) o[p] = (A)(x[p * a_k] + OFFSET);
                for (; p < groups * G; p++) o[p] = 0;
            }
            for (int64_t j0 = 0; j0 < n; j0 += WIDE) {
                int64_t nb = n - j0 < WIDE ? n - j0 : WIDE, w = nb > RT_LANES ? WIDE : RT_LANES;
                memset(fix, 0, sizeof fix);
                for (int64_t p = 0; p < groups * G; p++) {
                    const int8_t *y = b + (p0 + p) * b_k + j0 * b_n;
                    B *o = right + p / G * G * w + p % G;
                    int64_t j = 0;
                    if (p < kb) for (; j < nb; j++) { int8_t v = y[j * b_n]; o[j * G] = v; fix[j] += v; }
                    for (; j < w; j++) o[j * G] = 0;
                }
                for (int64_t i = 0; i < mb; i += RT_INT8_ROWS) {
                    (w == WIDE ? N(tile) : N(tile_1))(groups, (const char *)(left + i * KB), KB * sizeof(A), (const char *)right, sum);
                    int64_t rows = mb - i < RT_INT8_ROWS ? mb - i : RT_INT8_ROWS;
                    for (int64_t r = 0; r < rows; r++) {
                        int32_t *o = c + (i0 + i + r) * ldc + j0;
                        const int32_t *s = sum + r * w;
                        if (p0) for (int64_t j = 0; j < nb; j++) o[j] += s[j] - off * fix[j];
                        else for (int64_t j = 0; j < nb; j++) o[j] = s[j] - off * fix[j];
                    }
                }
            }
        }
    }
}
#undef N
#undef G
#undef A
#undef B
#undef OFFSET
#undef DOT
#undef TARGET
