/* Products whose right operand lies packed already: T, V, L, F(name) of gemm_tile.h, Note [Kept operands] in kept.h. The packed form is that of
 * F(tiles): blocks of RT_KC rows one after the other, each in panels whose last register is filled up with zeros. */
static void F(keep)(int64_t k, int64_t n, const T *b, int64_t b_k, int64_t b_n, T *out) {
    int64_t whole = (n + L - 1) / L * L;
    for (int64_t p = 0; p < k; p += RT_KC)
        F(pack_right)(k - p < RT_KC ? k - p : RT_KC, n, b + p * b_k, b_k, b_n, out + p * whole);
}

/* Columns j to j + cols of c = alpha a b (+ bias); b is the packed form of all `n` columns, j begins a panel. The loops of F(tiles) and their sums. */
static void F(kept)(const RtBlock *g, const T *b, int64_t n, int64_t j, int64_t cols) {
    int64_t m = g->m, k = g->k, wide = RT_REGS * L, whole = (n + L - 1) / L * L, end = j + cols;
    const T *a = (const T *)g->a;
    T *left = (T *)g->room + RT_KC * F(NC);
    int near = g->a_k == 1 && (g->a_m * (int64_t)sizeof(T) < RT_FAR || cols <= 4 * wide);
    for (int64_t p = 0; p < k; p += RT_KC) {
        int64_t kb = k - p < RT_KC ? k - p : RT_KC;
        const T *right = b + p * whole;
        for (int64_t i = 0; i < m; i += RT_MC) {
            int64_t mb = m - i < RT_MC ? m - i : RT_MC, a_m = g->a_m;
            const T *x = a + i * g->a_m + p * g->a_k;
            if (!near) {
                F(pack_left)(mb, kb, x, g->a_m, g->a_k, left);
                x = left; a_m = RT_KC;
            }
            for (int64_t q = j; q < end; q += wide) {
                int64_t len = end - q < wide ? end - q : wide, w = F(registers)(len) * L;
                F(strip)(g, i, mb, q, len, p, kb, x, a_m, 1, right + kb * q, w, q + wide < end ? right + kb * (q + wide) : right + kb * j);
            }
        }
    }
}
