/* Batches of small products: which they are and who multiplies them; part of gemm.c. The loops: Note [Small products of a batch] in gemm_small_t.h. */

/* Products `first` to `end` of a batch of tiny ones of the other dtypes, element by element. */
#define TINY_MACS 128
#define TINY(name, T, S, ALPHA, BETA, A, B)                                                                        \
    static void name(const RtGemm *g, int64_t first, int64_t end) {                                                \
        const int64_t m = g->m, n = g->n, k = g->k, a_m = g->a_m, a_k = g->a_k, b_k = g->b_k, b_n = g->b_n, inner = g->inner ? g->inner : g->batch; \
        S alpha = ALPHA, beta = BETA;                                                                              \
        int plain = alpha == 1 && beta == 0;                                                                       \
        for (int64_t at = first; at < end; at++) {                                                                 \
            const T *a = (const T *)g->a + at / inner * g->a_y + at % inner * g->a_z;                              \
            const T *b = (const T *)g->b + at / inner * g->b_y + at % inner * g->b_z;                              \
            T *c = (T *)g->c + at * g->c_z;                                                                        \
            for (int64_t i = 0; i < m; i++)                                                                        \
                for (int64_t j = 0; j < n; j++) {                                                                  \
                    const T *x = a + i * a_m, *y = b + j * b_n;                                                    \
                    S sum = 0;                                                                                     \
                    for (int64_t p = 0; p < k; p++, x += a_k, y += b_k) sum += (S)(A) * (S)(B);                    \
                    T *o = c + i * g->c_m + j * g->c_n;                                                            \
                    if (!plain) sum = beta != 0 ? alpha * sum + beta * (S)*o : alpha * sum;                        \
                    *o = (T)sum;                                                                                   \
                }                                                                                                  \
        }                                                                                                          \
    }
TINY(tiny_8, uint8_t, uint32_t, (uint32_t)g->ialpha, (uint32_t)g->ibeta, *x, *y)       /* signed and unsigned ones agree modulo 2^bits */
TINY(tiny_16, uint16_t, uint32_t, (uint32_t)g->ialpha, (uint32_t)g->ibeta, *x, *y)
TINY(tiny_32, uint32_t, uint32_t, (uint32_t)g->ialpha, (uint32_t)g->ibeta, *x, *y)
TINY(tiny_64, uint64_t, uint64_t, (uint64_t)g->ialpha, (uint64_t)g->ibeta, *x, *y)
TINY(tiny_c64, rt_c64, rt_c64, (float)g->alpha[0] + (float)g->alpha[1] * _Complex_I, (float)g->beta[0] + (float)g->beta[1] * _Complex_I,
     g->conj_a ? __builtin_conjf(*x) : *x, g->conj_b ? __builtin_conjf(*y) : *y)
TINY(tiny_c128, rt_c128, rt_c128, g->alpha[0] + g->alpha[1] * _Complex_I, g->beta[0] + g->beta[1] * _Complex_I,
     g->conj_a ? __builtin_conj(*x) : *x, g->conj_b ? __builtin_conj(*y) : *y)
#undef TINY

static void (*tiny_of(const RtGemm *g))(const RtGemm *, int64_t, int64_t) {
    if (g->batch < 2 || g->act >= 0 || g->bias || g->k == 0 || g->m > TINY_MACS || g->n > TINY_MACS || g->k > TINY_MACS || g->m * g->n * g->k > TINY_MACS) return NULL;
    if (g->dtype == RT_C64) return tiny_c64;
    if (g->dtype == RT_C128) return tiny_c128;
    if (rt_kind(g->dtype) != RT_KIND_INT) return NULL;
    int size = rt_itemsize(g->dtype);
    return size == 1 ? tiny_8 : size == 2 ? tiny_16 : size == 4 ? tiny_32 : tiny_64;
}

#define SMALL_CALL 512                     /* what a small product costs beside its own multiply-adds */

static int is_small(const RtGemmTable *t, const RtGemm *g) {
    int64_t lanes = t->panel_bytes / rt_itemsize(g->dtype);
    if (g->batch < 2 || (g->dtype != RT_F32 && g->dtype != RT_F64) || g->act >= 0 || g->m * g->k > 4096 || g->n > 64 || g->k > 64 || g->k == 0 || (g->c_n != 1 && g->n != 1)) return 0;
    if (g->m * g->n * g->k > 1 << 16 || (g->bias && g->beta[0] != 0)) return 0;
    if (g->n == 1) return g->k <= 8;                       /* longer sums fill lanes */
    if (by_columns(t, rt_itemsize(g->dtype), g->m, g->n, g->k, g->a_k, g->part)) return 0;
    if (g->b_n != 1 && g->n * g->k > 256) return 0;
    return g->k * ((g->n + lanes - 1) / lanes * lanes) <= RT_SMALL;
}

/* Small products of 16-bit floats whose matrices lie one behind the other: some at a time are widened, multiplied and rounded. */
enum { SMALL_SOME = 4096 };                /* elements of an operand at a time */

static int dense(int64_t rows, int64_t cols, int64_t z, int64_t r, int64_t c) {
    return z == rows * cols && ((c == 1 && r == cols) || (r == 1 && c == rows));
}

static int is_small_16(const RtGemmTable *t, const RtGemm *g) {
    if ((g->dtype != RT_F16 && g->dtype != RT_BF16) || g->batch < 2 || g->inner || g->bias || g->beta[0] != 0 || g->c_n != 1) return 0;
    if (!dense(g->m, g->k, g->a_z, g->a_m, g->a_k) || !dense(g->k, g->n, g->b_z, g->b_k, g->b_n) || !dense(g->m, g->n, g->c_z, g->c_m, 1)) return 0;
    if (g->dtype == RT_BF16 && t->bf16_ready() && g->m * g->n * g->k > TINY_MACS) return 0;
    RtGemm wide = *g;
    wide.dtype = RT_F32;
    return max64(g->m * g->k, max64(g->k * g->n, g->m * g->n)) <= SMALL_SOME && is_small(t, &wide);
}

static void small_16(const RtGemmTable *t, const RtGemm *g, int64_t first, int64_t end) {
    float a[SMALL_SOME], b[SMALL_SOME], c[SMALL_SOME];
    int64_t x = g->m * g->k, y = g->k * g->n, z = g->m * g->n, some = SMALL_SOME / max64(x, max64(y, z));
    for (int64_t at = first, count; at < end; at += count) {
        count = min64(some, end - at);
        t->widen(g->dtype, 1, count * x, g->a + at * x * 2, count * x, 1, a);
        t->widen(g->dtype, 1, count * y, g->b + at * y * 2, count * y, 1, b);
        RtGemm wide = *g;
        wide.dtype = RT_F32; wide.batch = count;
        wide.a = (const char *)a; wide.b = (const char *)b; wide.c = (char *)c;
        t->small_f32(&wide, 0, count);
        t->narrow(g->dtype, count * z, c, g->c + at * z * 2, 1);
    }
}

/* Small complex products, Note [Complex by reals]: some right factors at a time. */
static RtGemm real_of(const RtGemm *g) {
    RtGemm real = *g;
    real.dtype = g->dtype == RT_C64 ? RT_F32 : RT_F64;
    real.n = 2 * g->n; real.k = 2 * g->k;
    real.a_z = 2 * g->a_z; real.a_m = 2 * g->a_m; real.a_k = 1;
    real.b_z = real.n * real.k; real.b_k = real.n; real.b_n = 1;
    real.c_z = 2 * g->c_z; real.c_m = 2 * g->c_m; real.c_n = 1;
    return real;
}

static int is_small_complex(const RtGemmTable *t, const RtGemm *g) {
    if ((g->dtype != RT_C64 && g->dtype != RT_C128) || g->batch < 2 || g->alpha[1] != 0 || g->beta[1] != 0 || g->a_k != 1 || g->c_n != 1 || g->bias || g->inner) return 0;
    RtGemm real = real_of(g);
    return real.n * real.k <= SMALL_SOME && is_small(t, &real);
}

static void small_complex(const RtGemmTable *t, const RtGemm *g, int64_t first, int64_t end) {
    double room[SMALL_SOME] __attribute__((aligned(64)));
    RtGemm real = real_of(g);
    int size = rt_itemsize(g->dtype);
    for (int64_t at = first, count; at < end; at += count) {
        count = min64(SMALL_SOME / real.b_z, end - at);
        for (int64_t i = 0; i < count; i++) {
            const char *b = g->b + (at + i) * g->b_z * size;
            if (size == 8) factor_f32(g, (const float *)b, 1, 0, g->k, (float *)room + i * real.b_z);
            else factor_f64(g, (const double *)b, 1, 0, g->k, room + i * real.b_z);
        }
        RtGemm some = real;
        some.batch = count;
        some.a = g->a + at * g->a_z * size; some.b = (const char *)room; some.c = g->c + at * g->c_z * size;
        if (size == 8) t->small_f32(&some, 0, count);
        else t->small_f64(&some, 0, count);
    }
}

/* A few rows of 16-bit floats by a turned b: some of its rows at a time are widened and met while they are in the first cache. Else all of b would be. */
enum { FEW_SOME = 8, FEW_DEEP = 512 };

static int is_few_16(const RtGemmTable *t, const RtGemm *g) {
    return (g->dtype == RT_F16 || g->dtype == RT_BF16) && g->m <= FEW_ROWS && g->n >= FEW_SOME && g->b_k == 1 && g->b_n != 1 && g->c_n == 1 && g->k > 0 && g->beta[0] == 0
           && (g->m + FEW_SOME) * g->k * (int64_t)sizeof(float) <= RT_ROOM && !by_pairs(t, g);
}

static int few_16(const RtGemmTable *t, const RtGemm *g, int how) {
    (void)how;
    float *x = packed_room(), *y = x + g->m * g->k, out[FEW_ROWS * FEW_SOME], bias[FEW_SOME];
    if (!x) return RT_ERR_MEMORY;
    int64_t some = g->k <= FEW_DEEP ? FEW_SOME : FEW_SOME / 2;
    t->widen(g->dtype, g->m, g->k, g->a, g->a_m, g->a_k, x);
    for (int64_t j = 0; j < g->n; j += some) {
        int64_t cols = min64(some, g->n - j);
        t->widen(g->dtype, cols, g->k, g->b + j * g->b_n * 2, g->b_n, 1, y);
        if (g->bias) t->widen(g->dtype, 1, cols, g->bias + j * 2, cols, 1, bias);
        t->nt_f32(g->m, cols, g->k, x, g->k, y, g->k, out, FEW_SOME, (float)g->alpha[0], 0, g->bias ? bias : NULL);
        for (int64_t i = 0; i < g->m; i++) t->narrow(g->dtype, cols, out + i * FEW_SOME, g->c + (i * g->c_m + j) * 2, 1);
    }
    return activate(g, g->c, g->m, g->n);
}

static int small_products(const RtGemmTable *t, const RtGemm *given) {
    RtGemm g = *given;
    if (rt_kind(g.dtype) == RT_KIND_FLOAT && rt_itemsize(g.dtype) > 2 && g.n == 1 && g.m > 1 && g.a_m == 1 && g.a_k != 1 && g.c_m == 1 && !g.bias && (!g.plus || g.plus_m == 1)) {       /* a column: c' = b' a' reads a along memory */
        g.a = given->b; g.a_z = given->b_z; g.a_y = given->b_y; g.a_k = given->b_k; g.a_m = 0;
        g.b = given->a; g.b_z = given->a_z; g.b_y = given->a_y; g.b_k = given->a_k; g.b_n = 1;
        g.n = g.m; g.m = 1; g.c_m = g.plus_m = g.n; g.c_n = 1;
        if (!is_small(t, &g)) return -1;
    }
    void (*tiny)(const RtGemm *, int64_t, int64_t) = tiny_of(&g);
    int cplx = rt_kind(g.dtype) == RT_KIND_COMPLEX;
    int64_t each = tiny ? g.m * g.n * g.k * 16 : cplx ? (4 * g.m + 32) * max64(g.n, 8) * g.k : g.m * max64(g.n, g.n == 1 ? 1 : 16) * (g.k + 2);      /* as multiply-adds of whole registers */
    int64_t macs = (each + SMALL_CALL) * g.batch, most = g.threads < 0 ? -g.threads : g.threads;
    int64_t threads = max64(1, min64(most, macs / GRAIN_MACS)), more = min64(most, macs * SMALL / GRAIN_MACS);
    if (threads == 1 && more > 1 && at_hand()) threads = more;
    threads = min64(threads, g.batch);
    RT_OMP(omp parallel for num_threads((int)threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < threads; i++) {
        int64_t from = g.batch * i / threads, to = g.batch * (i + 1) / threads;
        if (tiny) tiny(&g, from, to);
        else if (rt_kind(g.dtype) == RT_KIND_COMPLEX) small_complex(t, &g, from, to);
        else if (rt_itemsize(g.dtype) == 2) small_16(t, &g, from, to);
        else if (g.dtype == RT_F32) t->small_f32(&g, from, to);
        else t->small_f64(&g, from, to);
    }
    return RT_OK;
}
