/* Products of middle and large size by packed panels, for one element type: T, L, P(name) of panel_t.h.
 * Letters as in gemm.h. A block of b of KC rows is packed once for all rows of a; a is read as it lies where its
 * columns are neighbours, else packed too, MC rows at a time. */
enum { P(NC) = RT_PACKED_NC_BYTES / (int)sizeof(T) };

static void P(pack_left)(int64_t m, int64_t k, const T *x, int64_t x_m, int64_t x_k, T *out) {
    for (int64_t i = 0; i < m; i += L) {
        int64_t len = m - i < L ? m - i : L, p = 0;
        const T *xi = x + i * x_m;
        T *o = out + i * RT_PACKED_KC;
        if (x_m == 1 && len == L) for (; p + L <= k; p += L) P(turn)(xi + p * x_k, x_k, o + p, RT_PACKED_KC);
        for (; p < k; p++) for (int64_t r = 0; r < len; r++) o[r * RT_PACKED_KC + p] = xi[r * x_m + p * x_k];
    }
}

static void P(pack_right)(int64_t k, int64_t n, const T *x, int64_t x_k, int64_t x_n, T *out) {
    for (int64_t j = 0; j < n; j += RT_PANEL_REGS * L) {
        int64_t w = P(regs)(n, j) * L;
        if (x_n == 1) P(pack)(k, n, j, x, x_k, out);
        else if (x_k == 1)
            for (int64_t q = j; q < j + w; q += L) P(pack_turned)(k, n - q < L ? n - q : L, x + q * x_n, x_n, out + k * j + (q - j), w);
        else
            for (int64_t p = 0; p < k; p++)
                for (int64_t q = j; q < j + w; q++) out[k * j + p * w + (q - j)] = q < n ? x[p * x_k + q * x_n] : 0;
    }
}

/* c (+)= a b (+ bias on every row) */
static void P(packed_product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t b_k,
                              int64_t b_n, T *c, int64_t ldc, int add, const T *bias, T *buf) {
    T *left = buf + RT_PACKED_KC * P(NC);
    if (bias) {
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * ldc + j] = add ? c[i * ldc + j] + bias[j] : bias[j];
        add = 1;
    }
    for (int64_t j0 = 0; j0 < n; j0 += P(NC)) {
        int64_t nb = n - j0 < P(NC) ? n - j0 : P(NC);
        for (int64_t p = 0; p < k; p += RT_PACKED_KC) {
            int64_t kb = k - p < RT_PACKED_KC ? k - p : RT_PACKED_KC;
            P(pack_right)(kb, nb, b + p * b_k + j0 * b_n, b_k, b_n, buf);
            for (int64_t i = 0; i < m; i += RT_PACKED_MC) {
                int64_t mb = m - i < RT_PACKED_MC ? m - i : RT_PACKED_MC, lda = a_m;
                const T *x = a + i * a_m + p * a_k;
                if (a_k != 1) {
                    P(pack_left)(mb, kb, x, a_m, a_k, left);
                    x = left; lda = RT_PACKED_KC;
                }
                P(product)(mb, nb, kb, x, lda, buf, c + i * ldc + j0, ldc, add || p);
            }
        }
    }
}
