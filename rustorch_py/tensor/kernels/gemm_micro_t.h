/* Products of one element type by register tiles: T, V, L, F(name) of gemm_tile.h. Letters as in gemm.h.
 *
 * Note [Tiles and panels]
 * A tile is R rows by C registers of c whose sums stay in registers while k runs. A panel is the RT_REGS registers of columns that tiles of
 * one column share. Where b is small or has few rows of a to meet, tiles read it as it lies, a few of its rows at a time from end to end:
 * a panel's part of a row is a page away from the next row's, and what is fetched on behind it is the next panel's. Else a block of RT_DEEP rows of b is packed
 * into panels. Where rows of a are read as they lie, one panel at a time is packed (RT_ALONE) and met by all of them while it is in the second cache;
 * else some packed rows of a stay there, and the tiles of a panel fetch the next one into it. With AVX-512 blocks are deep, so that most results
 * are written once: two threads that add to rows of c again and again fetch ahead into each other's part of a row (two cores, GFLOP/s: 256 x 784 by
 * 784 x 128 cut by columns 166 in blocks of 256, 214 in one). Rows of a are packed side by
 * side where they lie far apart: strides of a page or so fall on few lines of a cache and on one page each.
 * A panel of few rows stays in the first cache as it lies, too (128 x 32 by 32 x 784: 192 GFLOP/s packed, 204 so).
 * A tile whose panel is whole uses no masks: a masked load also takes a turn of the units that multiply.
 * (K. Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34(3), 2008.) */
enum { F(NC) = RT_NC_BYTES / (int)sizeof(T) };

/* Where a tile's sums go: c = alpha * sum + beta * from; from: c itself, a row (ldf 0), another matrix or NULL. ahead: what later tiles will read, or NULL. */
typedef struct { T *c; int64_t ldc; const T *from; int64_t ldf; T alpha; int len; const T *ahead; T beta; } F(Out);

#if !RT_MASKED
static __attribute__((noinline)) void F(put_part)(int rows, const T *sum, int64_t w, const F(Out) *o) {
    for (int r = 0; r < rows; r++)
        for (int64_t j = 0; j < o->len; j++) {
            T v = o->alpha * sum[r * w + j];
            if (o->from) v += o->beta * o->from[r * o->ldf + j];
            o->c[r * o->ldc + j] = v;
        }
}
#endif

#define RT_UNROLL _Pragma("GCC unroll 16")           /* all of them: the sums must never be addressed */
#define RT_EACH(R, C) RT_UNROLL for (int r = 0; r < R; r++) RT_UNROLL for (int j = 0; j < C; j++)
#define RT_KEEP(p) F(load)(p)
#define RT_WHOLE(p, v) F(store)(p, v)
#if RT_MASKED                                          /* the last register of a part of a panel by a mask */
#define RT_TAIL(full) F(tail) tail = F(tail_of)(o->len - (full));
#define RT_TAIL_LOAD(p) F(load_tail)(p, tail)
#define RT_TAIL_STORE(p, v) F(store_tail)(p, v, tail)
#define RT_THROUGH(R, C)
#else                                                  /* ... or through memory */
#define RT_TAIL(full)
#define RT_TAIL_LOAD(p) F(load)(p)
#define RT_TAIL_STORE(p, v) F(store)(p, v)
#define RT_THROUGH(R, C)                                                                                           \
        T sum[R * C * L];                                                                                          \
        RT_EACH(R, C) F(store)(sum + (r * C + j) * L, acc[r][j]);                                                  \
        F(put_part)(R, sum, C * L, o);                                                                             \
        return;
#endif
#define RT_NONE(...)
/* Long sums pause after every RT_PAUSE rows of b (0: never) to fetch a row of c and a line of the next panel: asked for all at once, these
 * lines would hold up those of a and b. */
#define RT_MICRO_OF(name, R, C, TAIL, LOAD, STORE, THROUGH)                                                        \
    static void F(name)(int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t ldb, const F(Out) *o) { \
        V acc[R][C];                                                                                               \
        RT_EACH(R, C) acc[r][j] = (V){0};                                                                          \
        TAIL((C - 1) * L)                                                                                          \
        int row = RT_PAUSE && k >= 64 ? R : 0;                                                                     \
        const T *line = o->c, *ahead = RT_PAUSE ? o->ahead : NULL;                                                 \
        int64_t some = row ? RT_PAUSE : k;                                                                         \
        if (!RT_PAUSE && k >= 64) RT_EACH(R, C) __builtin_prefetch(o->c + r * o->ldc + j * L, 1, 2);               \
        do {                                                                                                       \
            int64_t steps = k < some ? k : some;                                                                   \
            k -= steps;                                                                                            \
            if (row) {                                                                                             \
                RT_UNROLL for (int j = 0; j < C; j++) __builtin_prefetch(line + j * L, 1);                         \
                line += o->ldc; row--;                                                                             \
            }                                                                                                      \
            if (ahead) { __builtin_prefetch(ahead, 0, 2); ahead += 64 / sizeof(T); }                               \
            do {                                                                                                   \
                V y[C];                                                                                            \
                RT_UNROLL for (int j = 0; j < C; j++) y[j] = j < C - 1 ? F(load)(b + j * L) : LOAD(b + j * L);     \
                RT_UNROLL for (int r = 0; r < R; r++) {                                                            \
                    T x = a[r * a_m];                                                                              \
                    RT_UNROLL for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                                   \
                }                                                                                                  \
                a += a_k; b += ldb;                                                                                \
            } while (--steps);                                                                                     \
        } while (k);                                                                                               \
        THROUGH(R, C)                                                                                              \
        if (o->from)                                                                                               \
            RT_EACH(R, C) {                                                                                        \
                const T *from = o->from + r * o->ldf + j * L;                                                      \
                acc[r][j] = o->alpha * acc[r][j] + o->beta * (j < C - 1 ? F(load)(from) : LOAD(from));             \
            }                                                                                                      \
        else if (o->alpha != 1) RT_EACH(R, C) acc[r][j] *= o->alpha;                                               \
        RT_EACH(R, C) {                                                                                            \
            T *c = o->c + r * o->ldc + j * L;                                                                      \
            if (j < C - 1) F(store)(c, acc[r][j]);                                                                 \
            else STORE(c, acc[r][j]);                                                                              \
        }                                                                                                          \
    }
#define RT_MICRO(R, C) RT_MICRO_OF(micro_##R##x##C, R, C, RT_NONE, RT_KEEP, RT_WHOLE, RT_NONE)                     \
    RT_MICRO_OF(part_##R##x##C, R, C, RT_TAIL, RT_TAIL_LOAD, RT_TAIL_STORE, RT_THROUGH)
#define RT_MICROS(C) RT_MICRO(1, C) RT_MICRO(2, C) RT_MICRO(3, C) RT_MICRO(4, C) RT_MICRO(5, C) RT_MICRO(6, C)
typedef void (*F(micro))(int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t ldb, const F(Out) *o);
#define RT_MICRO_ROW(C, K) {F(K##_1x##C), F(K##_2x##C), F(K##_3x##C), F(K##_4x##C), F(K##_5x##C), F(K##_6x##C)}
RT_MICROS(1) RT_MICROS(2)
#if RT_REGS == 4
RT_MICROS(3) RT_MICROS(4)
#define RT_MICRO_TABLE(K) {RT_MICRO_ROW(1, K), RT_MICRO_ROW(2, K), RT_MICRO_ROW(3, K), RT_MICRO_ROW(4, K)}
#else
#define RT_MICRO_TABLE(K) {RT_MICRO_ROW(1, K), RT_MICRO_ROW(2, K)}
#endif
static const F(micro) F(micros)[2][RT_REGS][RT_ROWS] = {RT_MICRO_TABLE(micro), RT_MICRO_TABLE(part)};   /* whole panels, part of one */
RT_MICRO(8, 1)
#if RT_REGS == 4
RT_MICRO(8, 2) RT_MICRO(12, 2)
#endif
#undef RT_MICRO
#undef RT_MICRO_OF
#undef RT_EACH
#undef RT_KEEP
#undef RT_WHOLE
#undef RT_NONE
#undef RT_TAIL
#undef RT_TAIL_LOAD
#undef RT_TAIL_STORE
#undef RT_THROUGH
#undef RT_UNROLL
#undef RT_MICROS
#undef RT_MICRO_ROW
#undef RT_MICRO_TABLE

/* m rows times C registers of columns. Tiles of nearly equal height. */
static void F(column)(int64_t m, int C, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t ldb, F(Out) *o) {
    int part = o->len < C * L;
    if (C == 1)                                        /* one register a row: more rows, or the sums wait for one another */
        for (; m >= 8; m -= 8, a += 8 * a_m) {
            if (part) F(part_8x1)(k, a, a_m, a_k, b, ldb, o);
            else F(micro_8x1)(k, a, a_m, a_k, b, ldb, o);
            o->c += 8 * o->ldc;
            if (o->from) o->from += 8 * o->ldf;
        }
#if RT_REGS == 4
    if (C == 2)                                        /* two: a tile costs as much as several steps, so that short sums want few of them */
        while (m >= 8) {
            int rows = m >= 20 || m == 12 ? 12 : 8;
            if (rows == 12) (part ? F(part_12x2) : F(micro_12x2))(k, a, a_m, a_k, b, ldb, o);
            else (part ? F(part_8x2) : F(micro_8x2))(k, a, a_m, a_k, b, ldb, o);
            m -= rows; a += rows * a_m;
            o->c += rows * o->ldc;
            if (o->from) o->from += rows * o->ldf;
        }
#endif
    for (int64_t tiles = (m + RT_ROWS - 1) / RT_ROWS; tiles > 0; tiles--) {
        int64_t rows = (m + tiles - 1) / tiles;
        F(micros)[part][C - 1][rows - 1](k, a, a_m, a_k, b, ldb, o);
        if (RT_PAUSE && o->ahead) o->ahead += (k + RT_PAUSE - 1) / (RT_PAUSE ? RT_PAUSE : 1) * (64 / (int64_t)sizeof(T));
        m -= rows; a += rows * a_m;
        o->c += rows * o->ldc;
        if (o->from) o->from += rows * o->ldf;
    }
}

RT_INLINE int F(registers)(int64_t cols) { return cols >= RT_REGS * L ? RT_REGS : (int)((cols + L - 1) / L); }

/* Rows i to i + m and columns j to j + len of c, the part of the sums that rows p to p + kb of b bring; x: those rows of a; ahead: the panel
 * that follows. */
static void F(strip)(const RtBlock *g, int64_t i, int64_t m, int64_t j, int64_t len, int64_t p, int64_t kb, const T *x, int64_t a_m,
                     int64_t a_k, const T *b, int64_t ldb, const T *ahead) {
    T *c = (T *)g->c + i * g->c_m + j;
    F(Out) o = {c, g->c_m, NULL, 0, (T)g->alpha, (int)len, ahead, 1};
    if (p || (g->add && !g->plus)) { o.from = c; o.ldf = g->c_m; }
    else if (g->plus) { o.from = (const T *)g->plus + i * g->plus_m + j; o.ldf = g->plus_m; o.beta = (T)g->beta; }
    else if (g->bias) o.from = (const T *)g->bias + j;
    F(column)(m, F(registers)(len), kb, x, a_m, a_k, b, ldb, &o);
}

static void F(pack_left)(int64_t m, int64_t k, const T *x, int64_t x_m, int64_t x_k, T *out, int64_t ldo) {
    for (int64_t i = 0; i < m; i += L) {
        int64_t len = m - i < L ? m - i : L, p = 0;
        const T *xi = x + i * x_m;
        T *o = out + i * ldo;
        if (x_k == 1) {
            for (int64_t r = 0; r < len; r++) {
                const T *y = xi + r * x_m, *ahead = y + RT_AHEAD * x_m;
                for (p = 0; p + L <= k; p += L) {
                    __builtin_prefetch(ahead + p);
                    F(store)(o + r * ldo + p, F(load)(y + p));
                }
                for (; p < k; p++) o[r * ldo + p] = y[p];
            }
            continue;
        }
        if (x_m == 1 && len == L) for (; p + L <= k; p += L) F(turn)(xi + p * x_k, x_k, o + p, ldo);
        for (; p < k; p++) for (int64_t r = 0; r < len; r++) o[r * ldo + p] = xi[r * x_m + p * x_k];
    }
}

/* k rows of n columns in panels, the last register filled up with zeros */
static void F(pack_right)(int64_t k, int64_t n, const T *x, int64_t x_k, int64_t x_n, T *out) {
    for (int64_t j = 0; j < n; j += RT_REGS * L) {
        int64_t w = F(registers)(n - j) * L, cols = n - j < w ? n - j : w;
        T *o = out + k * j;
        const T *y = x + j * x_n;
        if (x_n == 1 && cols == w)
            for (int64_t p = 0; p < k; p++)
                for (int64_t q = 0; q < w; q += L) {
                    __builtin_prefetch(y + (p + RT_AHEAD) * x_k + q);
                    F(store)(o + p * w + q, F(load)(y + p * x_k + q));
                }
        else if (x_n == 1)
            for (int64_t p = 0; p < k; p++) {
                memcpy(o + p * w, y + p * x_k, sizeof(T) * (size_t)cols);
                for (int64_t q = cols; q < w; q++) o[p * w + q] = 0;
            }
        else if (x_k == 1)
            for (int64_t q = 0; q < w; q += L) {
                int64_t p = 0, len = cols - q < L ? cols - q : L;
                const T *z = y + q * x_n;
                if (len == L) for (; p + L <= k; p += L) F(turn)(z + p, x_n, o + p * w + q, w);
                for (; p < k; p++) for (int64_t r = 0; r < L; r++) o[p * w + q + r] = r < len ? z[r * x_n + p] : 0;
            }
        else
            for (int64_t p = 0; p < k; p++)
                for (int64_t q = 0; q < w; q++) o[p * w + q] = q < cols ? y[p * x_k + q * x_n] : 0;
    }
}

/* Rows of a that have room when they are packed `depth` deep, in strides that fall on other lines of a cache; elements in front of them. */
RT_INLINE int64_t F(left_ld)(int64_t depth) { return (depth + L - 1) / L * L + L; }
RT_INLINE int64_t F(left_rows)(int64_t depth) {
    int64_t rows = (RT_KC * RT_MC * 8 / (int64_t)sizeof(T) / F(left_ld)(depth) - L) / 12 * 12;
    return rows < RT_MC ? rows : RT_MC;
}

/* All rows of a, mc at a time and packed unless `near`, meet columns j to end of a block of packed rows p to p + kb of b, whose first column
 * is column c0 of c. */
static void F(meet)(const RtBlock *g, int64_t mc, int near, int64_t p, int64_t kb, const T *right, int64_t j, int64_t end, int64_t c0) {
    T *left = (T *)g->room + RT_KC * F(NC);
    for (int64_t i = 0; i < g->m; i += mc) {
        int64_t mb = g->m - i < mc ? g->m - i : mc, a_m = g->a_m, wide = RT_REGS * L;
        const T *x = (const T *)g->a + i * g->a_m + p * g->a_k;
        if (!near) {
            a_m = F(left_ld)(kb);
            F(pack_left)(mb, kb, x, g->a_m, g->a_k, left, a_m);
            x = left;
        }
        for (int64_t q = j; q < end; q += wide) {
            int64_t len = end - q < wide ? end - q : wide, w = F(registers)(len) * L;
            F(strip)(g, i, mb, c0 + q, len, p, kb, x, a_m, 1, right + kb * q, w, q + wide < end ? right + kb * (q + wide) : j < q ? right + kb * j : NULL);
        }
    }
}

/* c (+)= alpha a b (+ bias on every row), any strides of a and b, c's columns neighbours. */
static void F(tiles)(const RtBlock *g) {
    int64_t m = g->m, n = g->n, k = g->k, wide = RT_REGS * L;
    const T *a = (const T *)g->a, *b = (const T *)g->b;
    int few = m <= (RT_REGS == 4 ? RT_FEW : 2 * RT_ROWS);
    if (g->b_n == 1 && (RT_MASKED || n % L == 0) && (few || (n <= 2 * L && m <= 256) || k * n * (int64_t)sizeof(T) <= RT_DIRECT || (RT_REGS == 4 && k <= 64))) {
        int far = few && n > wide && (k > RT_KC || k * n * (int64_t)sizeof(T) > RT_NEAR);
        int64_t most = !far ? 2 * RT_KC : m <= 2 * RT_ROWS ? 32 : 48;
        for (int64_t p = 0; p < k; p += most) {
            int64_t kb = k - p < most ? k - p : most;
            for (int64_t j = 0; j < n; j += wide)
                F(strip)(g, 0, m, j, n - j < wide ? n - j : wide, p, kb, a + p * g->a_k, g->a_m, g->a_k, b + p * g->b_k + j, g->b_k, NULL);
        }
        return;
    }
    T *right = (T *)g->room;
    int near = g->a_k == 1 && (g->a_m * (int64_t)sizeof(T) < RT_FAR || n <= 4 * wide);
    int64_t depth = k < RT_DEEP ? k : RT_DEEP, nc = RT_ALONE && near && depth > 64 ? wide : RT_KC * F(NC) / depth / wide * wide;
    int64_t mc = depth <= 64 ? 48 : near ? m : F(left_rows)(depth);         /* short sums: c is what moves, and 48 of its rows are 48 pages */
    if (nc > F(NC)) nc = F(NC);
    for (int64_t j0 = 0; j0 < n; j0 += nc) {
        int64_t nb = n - j0 < nc ? n - j0 : nc;
        for (int64_t p = 0; p < k; p += RT_DEEP) {
            int64_t kb = k - p < RT_DEEP ? k - p : RT_DEEP;
            F(pack_right)(kb, nb, b + p * g->b_k + j0 * g->b_n, g->b_k, g->b_n, right);
            F(meet)(g, mc, near, p, kb, right, 0, nb, j0);
        }
    }
}
