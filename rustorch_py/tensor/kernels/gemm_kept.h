/* Products with a kept right operand, Note [Kept operands] in kept.h; part of gemm.c. */

#define KEPT_GRAIN (3LL << 17)             /* multiply-adds a thread should have: nothing is packed, so less is lost at the borders */
#define KEPT_ROWS 192                      /* rows of a from which packing costs too little to keep its result */

/* Whether the loop that packs runs for every piece that rt_gemm() would cut g into: no dot products of few rows or a single column. */
static int pieces_pack(const RtGemmTable *t, const RtGemm *g) {
    int size = rt_itemsize(g->dtype);
    int64_t rows = g->m, cols = g->n, split = split_of(t, g, NULL);
    int cut = g->act >= 0 && g->k <= RT_KC && g->m * g->n * size > ACT_BYTES;
    if (split > 1 || cut) grid(t, g, split, &rows, &cols);
    if (cut) rows = max64(ACT_ROWS, min64(rows, ACT_BYTES / (cols * size) / ACT_ROWS * ACT_ROWS));
    rows = min64(rows, g->m - (g->m - 1) / rows * rows);
    cols = min64(cols, g->n - (g->n - 1) / cols * cols);
    return cols > 1 && !by_dots(t, size, rows, g->k, g->a_k) && !by_columns(t, size, g->m, cols, g->k, g->a_k, cols < g->n);
}

/* Whether the loop that packs would run for every piece, whose sums are those of the loop that need not: then a kept form serves. g's threads and
 * activation are filled. */
int rt_gemm_keeps(const RtGemmTable *t, const RtGemm *g) {
    if (g->dtype == RT_BF16)                /* one loop for all sizes but few rows, whose sums do not depend on the pieces */
        return by_pairs(t, g) && g->batch == 1 && g->n > 1 && g->b_n != 1 && g->beta[0] == 0 && g->m > DOT_ROWS && g->m < KEPT_ROWS
               && t->keep_bf16(g->k, g->n, NULL, 0, 0, NULL);
    return (g->dtype == RT_F32 || g->dtype == RT_F64) && g->batch == 1 && g->c_n == 1 && g->n > 1 && g->b_n != 1 && g->beta[0] == 0
           && g->m < KEPT_ROWS && g->m * g->n * g->k <= t->tiles_most && !by_dots(t, rt_itemsize(g->dtype), g->m, g->k, g->a_k) && pieces_pack(t, g);
}

/* g's right operand, packed; the caller frees it. NULL: no memory. */
void *rt_gemm_keep(const RtGemmTable *t, const RtGemm *g) {
    int64_t lanes = 16;                     /* of the widest register: no set needs more room */
    void *to;
    if (g->dtype == RT_BF16) {
        if (posix_memalign(&to, 64, t->keep_bf16(g->k, g->n, NULL, 0, 0, NULL))) return NULL;
        t->keep_bf16(g->k, g->n, g->b, g->b_k, g->b_n, to);
        return to;
    }
    if (posix_memalign(&to, 64, (size_t)(g->k * ((g->n + lanes - 1) / lanes * lanes) * rt_itemsize(g->dtype)))) return NULL;
    if (g->dtype == RT_F32) t->keep_f32(g->k, g->n, (const float *)g->b, g->b_k, g->b_n, to);
    else t->keep_f64(g->k, g->n, (const double *)g->b, g->b_k, g->b_n, to);
    return to;
}

/* The product of rt_gemm() for what rt_gemm_keeps(): by panels, or where these are few by rows, too. */
int rt_gemm_kept(const RtGemmTable *t, const RtGemm *g, const void *kept) {
    int size = rt_itemsize(g->dtype), failed = RT_OK, most = g->threads < 0 ? -g->threads : g->threads;
    int64_t panel = t->panel_bytes / (size == 2 ? 4 : size), panels = (g->n + panel - 1) / panel;
    int threads = (int)max64(1, min64(most, g->m * g->n * g->k / KEPT_GRAIN)), more = (int)min64(most, g->m * g->n * g->k * SMALL / KEPT_GRAIN);
    if (threads == 1 && more > 1 && at_hand()) threads = more;             /* Note [Small products] */
    int64_t across = min64(threads, panels), down = 1;
    if (panels % across && g->m >= 4 * RT_ROWS) { across = panels < threads ? panels : 1; down = (threads + across - 1) / across; }
    int64_t rows = ((g->m + down - 1) / down + RT_ROWS - 1) / RT_ROWS * RT_ROWS;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) collapse(2) if (threads > 1))
    for (int64_t i = 0; i < down; i++)
        for (int64_t j = 0; j < across; j++) {
            int64_t from = i * rows, m = min64(rows, g->m - from), col = panels * j / across * panel, cols = min64(g->n, panels * (j + 1) / across * panel) - col;
            if (m <= 0) continue;
            char *c = g->c + (from * g->c_m + col) * size;
            RtBlock block = {m, g->n, g->k, g->a_m, g->a_k, 0, 0, g->c_m, g->a + from * g->a_m * size, NULL, g->bias, g->c + from * g->c_m * size,
                             g->alpha[0], 0, packed_room()};
            int status = RT_ERR_MEMORY;
            if (block.room) {
                RtGemm part = piece(g, 0, from, m, col, cols);
                status = RT_OK;
                if (g->dtype == RT_BF16) status = t->kept_bf16(&part, kept, g->n, col, block.room);
                else if (g->dtype == RT_F32) t->kept_f32(&block, kept, g->n, col, cols);
                else t->kept_f64(&block, kept, g->n, col, cols);
                if (!status) status = activate(g, c, m, cols);
            }
            if (status) { RT_OMP(omp atomic write) failed = status; }
        }
    return failed;
}
