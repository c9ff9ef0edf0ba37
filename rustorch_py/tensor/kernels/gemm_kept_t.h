/* Products whose right operand lies packed already: T, V, L, F(name) of gemm_tile.h, Note [Kept operands] in kept.h. The packed form is that of
 * F(tiles): blocks of RT_DEEP rows one after the other, each in panels whose last register is filled up with zeros. */
static void F(keep)(int64_t k, int64_t n, const T *b, int64_t b_k, int64_t b_n, T *out) {
    int64_t whole = (n + L - 1) / L * L;
    for (int64_t p = 0; p < k; p += RT_DEEP)
        F(pack_right)(k - p < RT_DEEP ? k - p : RT_DEEP, n, b + p * b_k, b_k, b_n, out + p * whole);
}

/* Columns j to j + cols of c = alpha a b (+ bias); b is the packed form of all `n` columns, j begins a panel. The loops of F(tiles) and their sums. */
static void F(kept)(const RtBlock *g, const T *b, int64_t n, int64_t j, int64_t cols) {
    int64_t k = g->k, whole = (n + L - 1) / L * L;
    int near = g->a_k == 1 && (g->a_m * (int64_t)sizeof(T) < RT_FAR || cols <= 4 * RT_REGS * L);
    int64_t mc = near ? g->m : F(left_rows)(k < RT_DEEP ? k : RT_DEEP);
    for (int64_t p = 0; p < k; p += RT_DEEP) F(meet)(g, mc, near, p, k - p < RT_DEEP ? k - p : RT_DEEP, b + p * whole, j, j + cols, 0);
}
