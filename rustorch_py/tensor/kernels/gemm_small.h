/* Batches of small products: which they are and who multiplies them; part of gemm.c. The loops: Note [Small products of a batch] in gemm_small_t.h. */

#define SMALL_CALL 512                     /* what a small product costs beside its own multiply-adds */

static int is_small(const RtGemmTable *t, const RtGemm *g) {
    int64_t lanes = t->panel_bytes / rt_itemsize(g->dtype);
    if (g->batch < 2 || (g->dtype != RT_F32 && g->dtype != RT_F64) || g->act >= 0 || g->m * g->k > 4096 || g->n > 64 || g->k > 64 || g->k == 0 || (g->c_n != 1 && g->n != 1)) return 0;
    if (g->m * g->n * g->k > 1 << 16 || (g->bias && g->beta[0] != 0)) return 0;
    if (g->n == 1) return g->k <= 8;                       /* longer sums fill lanes */
    if (by_columns(t, rt_itemsize(g->dtype), g->m, g->n, g->k, g->a_k)) return 0;
    if (g->b_n != 1 && g->n * g->k > 256) return 0;
    return g->k * ((g->n + lanes - 1) / lanes * lanes) <= RT_SMALL;
}

static int small_products(const RtGemmTable *t, const RtGemm *given) {
    RtGemm g = *given;
    if (g.n == 1 && g.m > 1 && g.a_m == 1 && g.a_k != 1 && g.c_m == 1 && !g.bias && (!g.plus || g.plus_m == 1)) {       /* a column: c' = b' a' reads a along memory */
        g.a = given->b; g.a_z = given->b_z; g.a_y = given->b_y; g.a_k = given->b_k; g.a_m = 0;
        g.b = given->a; g.b_z = given->a_z; g.b_y = given->a_y; g.b_k = given->a_k; g.b_n = 1;
        g.n = g.m; g.m = 1; g.c_m = g.plus_m = g.n; g.c_n = 1;
        if (!is_small(t, &g)) return -1;
    }
    int64_t macs = (g.m * max64(g.n, g.n == 1 ? 1 : 16) * (g.k + 2) + SMALL_CALL) * g.batch, most = g.threads < 0 ? -g.threads : g.threads;
    int64_t threads = max64(1, min64(most, macs / GRAIN_MACS)), more = min64(most, macs * SMALL / GRAIN_MACS);
    if (threads == 1 && more > 1 && at_hand()) threads = more;
    threads = min64(threads, g.batch);
    RT_OMP(omp parallel for num_threads((int)threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < threads; i++) {
        int64_t from = g.batch * i / threads, to = g.batch * (i + 1) / threads;
        if (g.dtype == RT_F32) t->small_f32(&g, from, to);
        else t->small_f64(&g, from, to);
    }
    return RT_OK;
}
