/* Products that threads share, of one element type: T, V, L, F(name) of gemm_tile.h. Letters as in gemm.h. AVX-512 only: on other sets
 * BLAS has products of this size.
 *
 * Note [Passes]
 * A pass multiplies some rows and columns of b, which all threads pack once, panel by panel, into one room; then each takes tiles of rows of
 * c, as many as are left for it, so that a core that others slow down takes fewer. What a tile adds, and in which order, depends on the sizes
 * alone. Rows of a that lie far apart are packed in groups: L of a row's elements side by side, rows below one another, the next L behind all
 * rows of the tile: a group is a copy of registers (or a square turned), and a tile reads it from front to end.
 * The loop over k is unrolled; its pointers pass through an empty statement, or the compiler would keep one for every step. */

/* Where a tile's sums go, as F(Out); every group of L steps fetches `lines` lines from `ahead`. */
typedef struct { T *c; int64_t ldc; const T *from; int64_t ldf; T alpha; F(tail) tail; const T *ahead; int64_t lines; } F(PassOut);

#define RT_UNROLL _Pragma("GCC unroll 16")
#define RT_EACH(R, C) RT_UNROLL for (int r = 0; r < R; r++) RT_UNROLL for (int j = 0; j < C; j++)
#define RT_PASS(R, C)                                                                                              \
    static __attribute__((noinline)) void F(pass_##R##x##C)(int64_t k, const T *a, int64_t a_m, int64_t a_g, const T *b, const F(PassOut) *o) { \
        V acc[R][C];                                                                                               \
        RT_EACH(R, C) acc[r][j] = (V){0};                                                                          \
        const T *line = o->c, *ahead = o->ahead, *a3 = a + 3 * a_m;                                                \
        int64_t lines = o->lines;                                                                                  \
        for (int row = R; k > 0; k -= L) {                                                                         \
            if (row) {                                                                                             \
                RT_UNROLL for (int j = 0; j < C; j++) __builtin_prefetch(line + j * L, 1, 2);                         \
                line += o->ldc; row--;                                                                             \
            }                                                                                                      \
            for (int64_t i = lines; i > 0; i--) { __builtin_prefetch(ahead, 0, 2); ahead += 64 / sizeof(T); }      \
            for (int64_t q = k < L ? k : L; q > 0; q -= RT_STEPS) {                                                \
                RT_UNROLL for (int u = 0; u < RT_STEPS; u++) {                                                     \
                    V y[C];                                                                                        \
                    RT_UNROLL for (int j = 0; j < C; j++) y[j] = F(load)(b + (u * C + j) * L);                     \
                    RT_UNROLL for (int r = 0; r < R; r++) {                                                        \
                        T x = r < 3 ? a[r * a_m + u] : a3[(r - 3) * a_m + u];                                      \
                        RT_UNROLL for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                               \
                    }                                                                                              \
                }                                                                                                  \
                a += RT_STEPS; a3 += RT_STEPS; b += RT_STEPS * C * L;                                              \
                __asm__("" : "+r"(a), "+r"(a3), "+r"(b));                                                          \
            }                                                                                                      \
            a += a_g; a3 += a_g;                                                                                   \
        }                                                                                                          \
        if (o->from)                                                                                               \
            RT_EACH(R, C) {                                                                                        \
                const T *from = o->from + r * o->ldf + j * L;                                                      \
                acc[r][j] = o->alpha * acc[r][j] + (j < C - 1 ? F(load)(from) : F(load_tail)(from, o->tail));      \
            }                                                                                                      \
        else RT_EACH(R, C) acc[r][j] *= o->alpha;                                                                  \
        RT_EACH(R, C) {                                                                                            \
            T *c = o->c + r * o->ldc + j * L;                                                                      \
            if (j < C - 1) F(store)(c, acc[r][j]);                                                                 \
            else F(store_tail)(c, acc[r][j], o->tail);                                                             \
        }                                                                                                          \
    }
#define RT_PASSES(C) RT_PASS(1, C) RT_PASS(2, C) RT_PASS(3, C) RT_PASS(4, C) RT_PASS(5, C) RT_PASS(6, C)
#define RT_PASS_ROW(C) {F(pass_1x##C), F(pass_2x##C), F(pass_3x##C), F(pass_4x##C), F(pass_5x##C), F(pass_6x##C)}
typedef void (*F(pass_tile))(int64_t k, const T *a, int64_t a_m, int64_t a_g, const T *b, const F(PassOut) *o);
RT_PASSES(1) RT_PASSES(2) RT_PASSES(3) RT_PASSES(4)
static const F(pass_tile) F(pass_tiles)[RT_REGS][RT_ROWS] = {RT_PASS_ROW(1), RT_PASS_ROW(2), RT_PASS_ROW(3), RT_PASS_ROW(4)};
#undef RT_EACH
#undef RT_PASS
#undef RT_PASSES
#undef RT_PASS_ROW

RT_INLINE int64_t F(pass_count)(const RtBlock *g) { return (g->m + RT_ROWS - 1) / RT_ROWS; }
/* Rows of the packed block at row p of the pass: those of b, filled up to whole steps. */
RT_INLINE int64_t F(pass_depth)(const RtPass *s, int64_t p) {
    int64_t kb = s->depth - p < RT_PASS_KC ? s->depth - p : RT_PASS_KC;
    return (kb + RT_STEPS - 1) / RT_STEPS * RT_STEPS;
}
/* The panel at column j of that block; each has a row more than it needs: rows of panels do not fall on the same lines of the cache. */
RT_INLINE T *F(pass_panel)(const RtPass *s, int64_t p, int64_t j) {
    int64_t w = (s->width + L - 1) / L * L;
    return (T *)s->room + (p + p / RT_PASS_KC) * w + (F(pass_depth)(s, p) + 1) * j;
}

/* Packs one of the pass's pieces: RT_PACKED rows where they lie along memory, else the panel of one block. */
static void F(pass_pack)(const RtPass *s, int64_t piece) {
    const RtBlock *g = s->g;
    int64_t wide = RT_REGS * L, panels = (s->width + wide - 1) / wide;
    int64_t p = g->b_n == 1 ? piece * RT_PACKED : piece / panels * RT_PASS_KC, most = g->b_n == 1 ? RT_PACKED : RT_PASS_KC, block = p / RT_PASS_KC * RT_PASS_KC;
    int64_t rows = s->depth - p < most ? s->depth - p : most, fill = block + F(pass_depth)(s, block) - p;
    const T *x = (const T *)g->b + (s->row + p) * g->b_k + s->col * g->b_n;
    if (fill > most) fill = most;
    if (g->b_n != 1) {
        int64_t j = piece % panels * wide, len = s->width - j < wide ? s->width - j : wide, w = F(registers)(len) * L;
        T *out = F(pass_panel)(s, block, j);
        F(pack_right)(rows, len, x + j * g->b_n, g->b_k, g->b_n, out);
        memset(out + rows * w, 0, sizeof(T) * (size_t)((fill - rows) * w));
        return;
    }
    for (int64_t q = 0; q < fill; q += RT_STEPS)
        for (int64_t j = 0; j < s->width; j += wide) {
            int64_t some = rows - q < RT_STEPS ? rows - q : RT_STEPS, len = s->width - j < wide ? s->width - j : wide, w = F(registers)(len) * L;
            T *out = F(pass_panel)(s, block, j) + (p - block + q) * w;
            const T *y = x + q * g->b_k + j;
            if (len == wide && some == RT_STEPS)
                for (int r = 0; r < RT_STEPS; r++)
                    for (int e = 0; e < RT_REGS; e++) {
                        __builtin_prefetch(y + (RT_STEPS + r) * g->b_k + e * L);
                        F(store)(out + r * wide + e * L, F(load)(y + r * g->b_k + e * L));
                    }
            else {
                F(pack_right)(some, len, y, g->b_k, 1, out);
                memset(out + some * w, 0, sizeof(T) * (size_t)((RT_STEPS - some) * w));
            }
        }
}

/* Rows of the tiles `from` to `to` in groups, each row filled up to whole groups. */
static void F(pass_left)(const RtBlock *g, int64_t from, int64_t to, int64_t k, const T *x, T *out) {
    int64_t tiles = F(pass_count)(g), x_m = g->a_m, x_k = g->a_k, groups = (k + L - 1) / L, i0 = g->m * from / tiles, m = g->m * to / tiles - i0;
    T square[L * L] __attribute__((aligned(64)));
    int64_t row[RT_PASS_TILES * RT_ROWS], step[RT_PASS_TILES * RT_ROWS];    /* where a row starts, and from group to group */
    for (int64_t t = from, i = 0; t < to; t++)
        for (int64_t first = i, rows = g->m * (t + 1) / tiles - i0 - i; i < first + rows; i++) {
            row[i] = (first * groups + i - first) * L;
            step[i] = rows * L;
        }
    if (x_k == 1) {
        for (int64_t i = 0; i < m; i++) {
            const T *y = x + i * x_m, *ahead = y + RT_AHEAD * x_m;
            T *o = out + row[i];
            int64_t p = 0;
            for (; p + L <= k; p += L, o += step[i]) {
                __builtin_prefetch(ahead + p);
                F(store)(o, F(load)(y + p));
            }
            if (p < k) F(store)(o, F(load_tail)(y + p, F(tail_of)((int)(k - p))));
        }
        return;
    }
    for (int64_t q = 0; q < groups; q++) {
        const T *y = x + q * L * x_k;
        int64_t len = k - q * L < L ? k - q * L : L;
        if (x_m == 1 && len == L && m >= L)
            for (int64_t i = 0; i < m; i += L) {
                if (i > m - L) i = m - L;                /* the last square turns some rows again */
                F(turn)(y + i, x_k, square, L);
                RT_UNROLL for (int r = 0; r < L; r++) F(store)(out + row[i + r] + q * step[i + r], F(load)(square + r * L));
            }
        else
            for (int64_t i = 0; i < m; i++)
                for (int64_t e = 0; e < L; e++) out[row[i] + q * step[i] + e] = e < len ? y[i * x_m + e * x_k] : 0;
    }
}

#undef RT_UNROLL

/* Tiles `from` to `to` of the pass: all its columns. */
static void F(pass_rows)(const RtPass *s, int64_t from, int64_t to, void *left) {
    const RtBlock *g = s->g;
    int64_t wide = RT_REGS * L, tiles = F(pass_count)(g), i0 = g->m * from / tiles;
    int64_t lines = (wide * (int64_t)sizeof(T) / 64 * L + to - from - 1) / (to - from);      /* a panel's, by all groups of these tiles */
    for (int64_t p = 0; p < s->depth; p += RT_PASS_KC) {
        int64_t kb = s->depth - p < RT_PASS_KC ? s->depth - p : RT_PASS_KC, deep = F(pass_depth)(s, p), a_m = g->a_m, groups = 0;
        const T *a = (const T *)g->a + i0 * a_m + (s->row + p) * g->a_k;
        if (g->a_k != 1 || a_m * (int64_t)sizeof(T) > RT_FAR || kb != deep) {
            F(pass_left)(g, from, to, kb, a, left);
            a = left; a_m = L; groups = (deep + L - 1) / L;
        }
        for (int64_t j = 0; j < s->width; j += wide) {
            int64_t len = s->width - j < wide ? s->width - j : wide;
            int C = F(registers)(len), next = j + 2 * wide <= s->width;
            const T *b = F(pass_panel)(s, p, j);
            F(PassOut) o = {(T *)g->c + i0 * g->c_m + s->col + j, g->c_m, NULL, 0, (T)g->alpha, F(tail_of)((int)len - (C - 1) * L),
                            next ? F(pass_panel)(s, p, j + wide) : b, next ? lines : 0};
            if (s->row + p || g->add) { o.from = o.c; o.ldf = g->c_m; }
            else if (g->bias) o.from = (const T *)g->bias + s->col + j;
            for (int64_t t = from; t < to; t++) {
                int64_t i = g->m * t / tiles - i0, rows = g->m * (t + 1) / tiles - i0 - i;
                if (groups) F(pass_tiles)[C - 1][rows - 1](deep, a + i * groups * L, L, rows * L - L, b, &o);
                else F(pass_tiles)[C - 1][rows - 1](deep, a + i * a_m, a_m, 0, b, &o);
                o.c += rows * o.ldc;
                if (o.from) o.from += rows * o.ldf;
                o.ahead += o.lines * ((deep + L - 1) / L) * (64 / (int64_t)sizeof(T));
            }
        }
    }
}
