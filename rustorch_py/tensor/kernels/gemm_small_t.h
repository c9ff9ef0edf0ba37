/* Batches of small products of one element type: T, L, F(name) of gemm_tile.h. Letters as in gemm.h.
 *
 * Note [Small products of a batch]
 * To choose a loop, cut a product and fetch its operands' addresses costs as much as some thousand multiply-adds, which a product of a few rows and
 * columns does not have. So a batch of them is one loop: tiles as everywhere, with b as it lies or, where its columns are no neighbours, turned on the
 * stack; a single column by plain sums, as there are no lanes to fill (two cores, batches of 500: 2 x 2 30 us before, 8 so; 4 x 4 by a column 27 and 6). */
static void F(small_column)(int64_t m, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t b_k, T *c, int64_t c_m, T alpha, T beta,
                            const T *from, int64_t from_m) {
    for (int64_t i = 0; i < m; i++, a += a_m) {
        T sum = a[0] * b[0];
        for (int64_t p = 1; p < k; p++) sum += a[p * a_k] * b[p * b_k];
        sum *= alpha;
        c[i * c_m] = from ? sum + beta * from[i * from_m] : sum;
    }
}

static void F(small)(const RtGemm *g, int64_t first, int64_t end) {
    int64_t m = g->m, n = g->n, k = g->k, a_m = g->a_m, a_k = g->a_k, b_k = g->b_k, b_n = g->b_n, c_m = g->c_m, wide = RT_REGS * L;
    int64_t inner = g->inner ? g->inner : g->batch, y = first / inner, z = first % inner;
    int direct = b_n == 1 && (RT_MASKED || n % L == 0);
    T room[RT_SMALL] __attribute__((aligned(64))), alpha = (T)g->alpha[0], beta = g->beta[0] != 0 && !g->bias ? (T)g->beta[0] : 1;
    for (int64_t at = first; at < end; at++) {
        const T *a = (const T *)g->a + y * g->a_y + z * g->a_z, *b = (const T *)g->b + y * g->b_y + z * g->b_z, *from = (const T *)g->bias;
        T *c = (T *)g->c + at * g->c_z;
        int64_t from_m = 0;
        if (++z == inner) { z = 0; y++; }
        if (g->beta[0] != 0) {
            from = g->plus ? (const T *)g->plus + at * g->plus_z : c;
            from_m = g->plus ? g->plus_m : c_m;
        }
        if (n == 1) {
            F(small_column)(m, k, a, a_m, a_k, b, b_k, c, c_m, alpha, beta, from, from_m);
            continue;
        }
        for (int64_t j = 0; j < n; j += wide) {
            int64_t len = n - j < wide ? n - j : wide, w = F(registers)(len) * L;
            const T *panel = b + j;
            if (!direct) {
                T *o = room + k * j;
                panel = o;
                for (int64_t q = 0; q < len; q++) for (int64_t p = 0; p < k; p++) o[p * w + q] = b[(j + q) * b_n + p * b_k];
                if (!RT_MASKED) for (int64_t p = 0; p < k; p++) for (int64_t q = len; q < w; q++) o[p * w + q] = 0;
            }
            F(Out) o = {c + j, c_m, from ? from + j : NULL, from_m, alpha, (int)len, NULL, beta};
            F(column)(m, F(registers)(len), k, a, a_m, a_k, panel, direct ? b_k : w, &o);
        }
    }
}
