/* Complex products by the loops for real ones; part of gemm.c.
 *
 * Note [Complex by reals]
 * A row of complex numbers is a row of twice as many real ones as it lies, and so is a row of the result. What makes the product complex is then
 * a right factor with two rows for each row of b: (re, im), by which the real parts are multiplied, and (-im, re), by which the imaginary ones are.
 * It is written out, twice the size of b, and the rest is one real product of the same multiply-adds, by the register tiles (two cores,
 * complex64 512: 6.5 ms by BLAS, whose tiles multiply and shuffle, 4.9 so). A conjugate is a sign in it. */
#define COMPLEX_SIDE 8                     /* fewest rows, */
#define COMPLEX_COLS 4                     /* ... columns */
#define COMPLEX_SUMS 3                     /* ... and sums: of shorter ones the result is what moves (two cores, 256 x 4 by 4 x 256: 36 us by BLAS, 16 so; sums of 1: 22 and 51) */

static int by_reals(const RtGemmTable *t, const RtGemm *g) {
    return (g->dtype == RT_C64 || g->dtype == RT_C128) && t->tiles_most == INT64_MAX && g->alpha[1] == 0 && g->beta[1] == 0 && g->c_n == 1
           && g->m >= COMPLEX_SIDE && g->n >= COMPLEX_COLS && g->k >= COMPLEX_SUMS;
}

/* Lines `from` to `to` of the right factor: two for each row of b where `rows`, else two for each column, so that both read and write along memory. */
#define FACTOR_LINE(T, STEP)                                                                                       \
    for (int64_t j = 0; j < len; j++) {                                                                            \
        T re = in[j * STEP], im = in[j * STEP + 1];                                                                \
        first[2 * j] = re;                                                                                         \
        first[2 * j + 1] = x * im;                                                                                 \
        second[2 * j] = y * im;                                                                                    \
        second[2 * j + 1] = u * re;                                                                                \
    }
#define FACTOR(name, T)                                                                                            \
    static void name(const RtGemm *g, const T *b, int rows, int64_t from, int64_t to, T *out) {                    \
        int64_t line = (rows ? g->b_k : g->b_n) * 2, step = (rows ? g->b_n : g->b_k) * 2, len = rows ? g->n : g->k;   \
        T s = g->conj_b ? -1 : 1, u = g->conj_a ? -1 : 1;                /* signs of b's and a's imaginary parts */  \
        T x = rows ? s : -s * u, y = rows ? -s * u : s;                  /* rows: (re, s im), u (-s im, re); columns: (re, -u s im), (s im, u re) */ \
        for (int64_t i = from; i < to; i++) {                                                                      \
            const T *in = b + i * line;                                                                            \
            T *restrict first = out + 4 * i * len, *restrict second = first + 2 * len;                                               \
            if (step == 2) FACTOR_LINE(T, 2) else FACTOR_LINE(T, step)                                             \
        }                                                                                                          \
    }
FACTOR(factor_f32, float)
FACTOR(factor_f64, double)
#undef FACTOR
#undef FACTOR_LINE

/* The product of a piece of g, by `threads` as RtGemm has them; one writes the factor that it reads. */
static int reals(const RtGemmTable *t, const RtGemm *g, int threads, const char *a, const char *b, char *c) {
    int half = rt_itemsize(g->dtype) / 2, size = 2 * half, rows = g->b_n == 1 || g->b_k != 1, team = threads < 0 ? -threads : threads;
    int64_t m = g->m, n = g->n, k = g->k, lines = rows ? k : n, parts = max64(1, min64(team, lines * (rows ? n : k) / 8192));
    size_t got = 0, need = (size_t)(4 * n * k + (g->a_k == 1 ? 0 : 2 * m * k)) * (size_t)half;
    char *room = g->host ? g->host->alloc(0, need, &got) : malloc(need);
    if (!room) return RT_ERR_MEMORY;
    RtGemm real = {.dtype = half == 4 ? RT_F32 : RT_F64, .threads = threads, .batch = 1, .m = m, .n = 2 * n, .k = 2 * k, .a = a, .b = room, .bias = g->bias,
                   .c = c, .a_m = 2 * g->a_m, .a_k = 1, .b_k = rows ? 2 * n : 1, .b_n = rows ? 1 : 2 * k, .c_m = 2 * g->c_m, .c_n = 1,
                   .alpha = {g->alpha[0], 0}, .beta = {g->beta[0], 0}, .host = g->host, .act = -1};
    char *along = g->a_k == 1 ? NULL : room + (size_t)(4 * n * k) * (size_t)half;      /* a is to lie along k */
    if (along) { real.a = along; real.a_m = 2 * k; }
    RT_OMP(omp parallel for num_threads((int)parts) schedule(static) if (parts > 1))
    for (int64_t i = 0; i < parts; i++) {
        int64_t from = lines * i / parts, to = lines * (i + 1) / parts;
        if (half == 4) factor_f32(g, (const float *)b, rows, from, to, (float *)room);
        else factor_f64(g, (const double *)b, rows, from, to, (double *)room);
        if (!along) continue;
        from = m * i / parts; to = m * (i + 1) / parts;
        if (size == 8) pack_8(to - from, k, (const uint64_t *)a + from * g->a_m, g->a_m, g->a_k, (uint64_t *)along + from * k);
        else pack_16(to - from, k, (const rt_c128 *)a + from * g->a_m, g->a_m, g->a_k, (rt_c128 *)along + from * k);
    }
    int status = rt_gemm(t, &real);
    if (g->host) g->host->free(0, room, got);
    else free(room);
    return status;
}

/* Large products share one factor; in small ones, and batches, each thread writes its own: what another core has just written is far. */
#define COMPLEX_SHARED (1LL << 21)

static int reals_part(const RtGemmTable *t, const RtGemm *g, int threads) { return reals(t, g, threads, g->a, g->b, g->c); }

static int complex_product(const RtGemmTable *t, const RtGemm *g, int threads) {
    int failed = RT_OK, size = rt_itemsize(g->dtype), count = g->threads < 0 ? FIXED_PIECES : threads;
    if (g->batch < count && g->m * g->n * g->k >= COMPLEX_SHARED) {
        for (int64_t z = 0; z < g->batch && !failed; z++)
            failed = reals(t, g, g->threads, g->a + z * g->a_z * size, g->b + z * g->b_z * size, g->c + z * g->c_z * size);
        return failed;
    }
    int64_t rows = g->m, cols = g->n;
    if (g->batch < count) cut_up(g, count, 32, g->a_k == 1 ? 0 : 5, 10, &rows, &cols);
    return in_pieces(t, g, threads, rows, cols, reals_part, 1);
}

/* A matrix whose rows lie along k times one column, or a row times a matrix whose columns do: dot products of each with the column's two real lines. */
#define COMPLEX_LINES 48                   /* of the matrix that a thread takes at once: they meet the second line while they are in a cache */

static int by_lines(const RtGemm *g) {
    int column = g->n == 1 && g->a_k == 1 && g->m > 1, row = g->m == 1 && g->b_k == 1 && g->n > 1;
    return (g->dtype == RT_C64 || g->dtype == RT_C128) && (column || row) && g->alpha[1] == 0 && g->beta[1] == 0 && !g->bias && g->k >= COMPLEX_SIDE;
}

static int complex_lines(const RtGemmTable *t, const RtGemm *g, int threads) {
    if (g->n > 1) {                                        /* c' = b' a' */
        RtGemm column = *g;
        column.m = g->n; column.n = 1; column.c_m = g->c_n; column.conj_a = g->conj_b; column.conj_b = g->conj_a;
        column.a = g->b; column.a_z = g->b_z; column.a_m = g->b_n; column.a_k = 1;
        column.b = g->a; column.b_z = g->a_z; column.b_k = g->a_k;
        return complex_lines(t, &column, threads);
    }
    int half = rt_itemsize(g->dtype) / 2, size = 2 * half;
    int64_t k = 2 * g->k, pieces = (g->m + COMPLEX_LINES - 1) / COMPLEX_LINES;
    char *room = malloc((size_t)(2 * k * g->batch * half));
    if (!room) return RT_ERR_MEMORY;
    for (int64_t z = 0; z < g->batch; z++) {
        const char *b = g->b + z * g->b_z * size;
        if (half == 4) factor_f32(g, (const float *)b, 0, 0, 1, (float *)room + 2 * k * z);
        else factor_f64(g, (const double *)b, 0, 0, 1, (double *)room + 2 * k * z);
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static) collapse(2) if (threads > 1))
    for (int64_t z = 0; z < g->batch; z++)
        for (int64_t i = 0; i < pieces; i++) {
            int64_t from = i * COMPLEX_LINES, rows = min64(COMPLEX_LINES, g->m - from);
            const char *a = g->a + (z * g->a_z + from * g->a_m) * size, *lines = room + 2 * k * z * half;
            char *c = g->c + (z * g->c_z + from * g->c_m) * size;
            if (half == 4) t->nt_f32(rows, 2, k, (const float *)a, 2 * g->a_m, (const float *)lines, k, (float *)c, 2 * g->c_m, (float)g->alpha[0],
                                     (float)g->beta[0], NULL);
            else t->nt_f64(rows, 2, k, (const double *)a, 2 * g->a_m, (const double *)lines, k, (double *)c, 2 * g->c_m, g->alpha[0], g->beta[0], NULL);
        }
    free(room);
    return RT_OK;
}
