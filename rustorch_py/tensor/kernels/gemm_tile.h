/* Loops of gemm.inc.c for one element type. Defined before inclusion: T (element), V (vector of
 * one register), L (its lanes), F(name), F(mask) (integer vector of L lanes), SUM (of a register's lanes). Products with few rows:
 * streams (thin), 4 x 4 dot products (nt); the others are in gemm_micro_t.h. */

#include "turn_t.h"
RT_INLINE void F(put1)(T *c, T acc, T alpha, T beta, const T *bias) {
    T v = alpha * acc;
    if (beta != 0) v += beta * *c;
    if (bias) v += *bias;
    *c = v;
}

/* Few rows, at most RT_THIN_ROWS: b streams through once, four of its rows at a time; the rows of c stay in the first cache, and in memory of
 * this thread until they are done: a core that ends its part of a row fetches on into the next, and would take it from the thread that adds there.
 * With a head b begins as many elements before the first column, at a line's beginning (Note [Whole lines]), and n counts them; c has room for
 * whole registers. */
#define RT_THIN_STEP(Y)                                                                                            \
    {                                                                                                              \
        V y0 = Y(b0 + j), y1 = Y(b1 + j), y2 = Y(b2 + j), y3 = Y(b3 + j);                                          \
        for (int r = 0; r < rows; r++)                                                                             \
            F(store)(c + r * ldc + j, F(load)(c + r * ldc + j) + x[r][0] * y0 + x[r][1] * y1 + x[r][2] * y2 + x[r][3] * y3); \
    }
#define RT_THIN_HEAD(p) F(later)(p, head)
#define RT_THIN_TAIL(p) F(load_tail)(p, tail)
RT_INLINE void F(thin_rows)(int rows, int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t ldb, int head,
                            T *c, int64_t ldc, T alpha) {
    int64_t p = 0;
#if RT_MASKED
    F(tail) tail = F(tail_of)((int)(n % L));
#endif
    for (; p + 4 <= k; p += 4) {
        T x[4][4];
        for (int r = 0; r < rows; r++) for (int q = 0; q < 4; q++) x[r][q] = alpha * a[r * a_m + (p + q) * a_k];
        const T *b0 = b + p * ldb, *b1 = b0 + ldb, *b2 = b1 + ldb, *b3 = b2 + ldb;
        int64_t j = 0;
#if RT_LINES
        if (head) { RT_THIN_STEP(RT_THIN_HEAD) j = L; }
#endif
        for (; j + L <= n; j += L) {
            if (rows > 1) for (int q = 4; q < 8; q++) __builtin_prefetch(b0 + q * ldb + j);   /* a longer part is fetched by the machine itself */
            RT_THIN_STEP(F(load))
        }
#if RT_MASKED
        if (j < n) RT_THIN_STEP(RT_THIN_TAIL)
#else
        for (; j < n; j++)
            for (int r = 0; r < rows; r++) c[r * ldc + j] += x[r][0] * b0[j] + x[r][1] * b1[j] + x[r][2] * b2[j] + x[r][3] * b3[j];
#endif
    }
    for (; p < k; p++)
        for (int r = 0; r < rows; r++) {
            T x = alpha * a[r * a_m + p * a_k];
            for (int64_t j = head; j < n; j++) c[r * ldc + j] += x * b[p * ldb + j];
        }
}
#undef RT_THIN_STEP
#undef RT_THIN_HEAD
#undef RT_THIN_TAIL
#define RT_THIN(R)                                                                                                 \
    static __attribute__((noinline)) void F(thin_##R)(int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, \
                                                      int64_t ldb, int head, T *c, int64_t ldc, T alpha) {         \
        F(thin_rows)(R, n, k, a, a_m, a_k, b, ldb, head, c, ldc, alpha);                                           \
    }
RT_THIN(1) RT_THIN(2) RT_THIN(3) RT_THIN(4)
#undef RT_THIN

static void F(thin)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t ldb,
                       T *c, int64_t ldc, T alpha, T beta, const T *bias) {
    static void (*const thin[4])(int64_t, int64_t, const T *, int64_t, int64_t, const T *, int64_t, int, T *, int64_t, T) = {
        F(thin_1), F(thin_2), F(thin_3), F(thin_4)};
    /* Four rows of b, the next four and the sums share the first cache, of which rows whose strides are whole pages have one part in common:
     * several rows of c take short parts (two cores with 32 KiB each, b 1024 x 1024: 2 rows 106 us by 4096 bytes, 43 by 1024; 6 rows 166 and 92;
     * 1 row 35 and 40). Rows of sums do not fall on the same lines. */
    enum { NB = 1024 / sizeof(T), STEP = NB + 2 * L, ALONE = 16 * NB };
    T sums[RT_THIN_ROWS * STEP > ALONE + 2 * L ? RT_THIN_ROWS * STEP : ALONE + 2 * L] __attribute__((aligned(64)));
    const int64_t nb = m == 1 ? ALONE : NB;
    for (int64_t j = 0; j < n; j += nb) {
        int64_t cols = n - j < nb ? n - j : nb;
        int head = 0;
#if RT_LINES
        uintptr_t into = (uintptr_t)b % RT_VEC;
        if (ldb % L == 0 && into % sizeof(T) == 0 && cols >= L) head = (int)(into / sizeof(T));
#endif
        T *sum = sums + head;
        for (int64_t i = 0; i < m; i++) {
            T *row = sum + i * STEP;
            const T *old = c + i * ldc + j;
            if (beta == 0) memset(row, 0, sizeof(T) * (size_t)cols);
            else for (int64_t q = 0; q < cols; q++) row[q] = beta * old[q];
            if (bias) for (int64_t q = 0; q < cols; q++) row[q] += bias[j + q];
        }
        const int64_t some = m <= 4 ? k : 4;              /* all rows of c meet four rows of b before the next four */
        for (int64_t p = 0; p < k; p += some)
            for (int64_t i = 0; i < m; i += 4)
                thin[m - i < 4 ? m - i - 1 : 3](cols + head, k - p < some ? k - p : some, a + i * a_m + p * a_k, a_m, a_k, b + p * ldb + j - head, ldb, head,
                                                sums + i * STEP, STEP, alpha);
        for (int64_t i = 0; i < m; i++) memcpy(c + i * ldc + j, sum + i * STEP, sizeof(T) * (size_t)cols);
    }
}

/* Solve a triangular leaf, n <= RT_LEAF, for nrhs columns of b, in place. a_ij = a[i * a_i + j * a_j];
 * down: rows from first to last (a lower triangular as read), else from last to first. L columns at a
 * time are turned into rows, so that one step updates L right-hand sides. */
static void F(trsm)(int down, int unit, int64_t n, int64_t nrhs, const T *a, int64_t a_i, int64_t a_j, T *b, int64_t ldb) {
    T x[RT_LEAF * L] __attribute__((aligned(64)));
    for (int64_t r = 0; r < nrhs; r += L) {
        int64_t w = nrhs - r < L ? nrhs - r : L, i = 0;
        T *c = b + r * ldb;
        if (w == L) for (; i + L <= n; i += L) F(turn)(c + i, ldb, x + i * L, L);
        for (; i < n; i++) for (int64_t q = 0; q < L; q++) x[i * L + q] = q < w ? c[q * ldb + i] : 0;
        for (int64_t s = 0; s < n; s++) {
            int64_t j = down ? s : n - 1 - s, from = down ? j + 1 : 0, to = down ? n : j;
            V v = F(load)(x + j * L);
            if (!unit) { v /= a[j * (a_i + a_j)]; F(store)(x + j * L, v); }
            const T *col = a + j * a_j;
            for (int64_t t = from; t < to; t++) F(store)(x + t * L, F(load)(x + t * L) - col[t * a_i] * v);
        }
        i = 0;
        if (w == L) for (; i + L <= n; i += L) F(turn)(x + i * L, L, c + i, ldb);
        for (; i < n; i++) for (int64_t q = 0; q < w; q++) c[q * ldb + i] = x[i * L + q];
    }
}

/* R x C dot products along k. `ahead`: elements from a row of b to the row that is fetched meanwhile, 0: none. */
#define RT_UNROLL _Pragma("GCC unroll 8")              /* all of them: the sums must never be addressed */
#if RT_MASKED                                          /* the last products of each row by a mask */
#define RT_NT_REST(R, C)                                                                          \
        if (p < k) {                                                                              \
            F(tail) tail = F(tail_of)((int)(k - p));                                              \
            V y[C];                                                                               \
            RT_UNROLL for (int j = 0; j < C; j++) y[j] = F(load_tail)(b + j * ldb + p, tail);     \
            RT_UNROLL for (int r = 0; r < R; r++) {                                               \
                V x = F(load_tail)(a + r * lda + p, tail);                                        \
                RT_UNROLL for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                      \
            }                                                                                     \
        }
#else
#define RT_NT_REST(R, C)
#endif
/* c = alpha * (s + the sums' last `rest` products) + beta * c + bias */
static __attribute__((noinline)) void F(nt_put)(int rows, int cols, T *s, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t rest,
                                                T *c, int64_t ldc, T alpha, T beta, const T *bias) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < cols; j++) {
            T sum = s[r * cols + j];
            for (int64_t p = 0; p < rest; p++) sum += a[r * lda + p] * b[j * ldb + p];
            F(put1)(c + r * ldc + j, sum, alpha, beta, bias ? bias + j : NULL);
        }
}
#define RT_NT_TILE(R, C)                                                                          \
    static __attribute__((noinline)) void F(nt_##R##x##C)(int64_t k, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t ahead, \
                        T *c, int64_t ldc, T alpha, T beta, const T *bias) {                      \
        V acc[R][C];                                                                              \
        RT_UNROLL for (int r = 0; r < R; r++) RT_UNROLL for (int j = 0; j < C; j++) acc[r][j] = (V){0}; \
        int64_t p = 0;                                                                            \
        for (; p + L <= k; p += L) {                                                              \
            V y[C];                                                                               \
            RT_UNROLL for (int j = 0; j < C; j++) {                                               \
                y[j] = F(load)(b + j * ldb + p);                                                  \
                if (ahead) __builtin_prefetch(b + j * ldb + p + ahead, 0, R == 1 && C == 8 ? 2 : 3); \
            }                                                                                     \
            RT_UNROLL for (int r = 0; r < R; r++) {                                               \
                V x = F(load)(a + r * lda + p);                                                   \
                RT_UNROLL for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                      \
            }                                                                                     \
        }                                                                                         \
        T s[R][C];                                                                                \
        RT_NT_REST(R, C)                                                                          \
        RT_UNROLL for (int r = 0; r < R; r++) {                                                   \
            F(sums)(acc[r], C < 4 ? C : 4, s[r]);                                                 \
            if (C == 8) F(sums)(acc[r] + C / 2, 4, s[r] + C / 2);                                 \
        }                                                                                         \
        F(nt_put)(R, C, s[0], a + p, lda, b + p, ldb, RT_MASKED ? 0 : k - p, c, ldc, alpha, beta, bias); \
    }
#define RT_NT_TILES(R) RT_NT_TILE(R, 4) RT_NT_TILE(R, 1)
typedef void (*F(nt_tile))(int64_t k, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t ahead, T *c, int64_t ldc, T alpha, T beta,
                           const T *bias);
RT_NT_TILES(1) RT_NT_TILES(2) RT_NT_TILE(1, 8)
#if RT_NT_ROWS == 6
RT_NT_TILES(3) RT_NT_TILES(4) RT_NT_TILES(5) RT_NT_TILES(6)
static const F(nt_tile) F(nt_tiles)[2][RT_NT_ROWS] = {{F(nt_1x4), F(nt_2x4), F(nt_3x4), F(nt_4x4), F(nt_5x4), F(nt_6x4)},
                                                      {F(nt_1x1), F(nt_2x1), F(nt_3x1), F(nt_4x1), F(nt_5x1), F(nt_6x1)}};
#else
static const F(nt_tile) F(nt_tiles)[2][RT_NT_ROWS] = {{F(nt_1x4), F(nt_2x4)}, {F(nt_1x1), F(nt_2x1)}};
#endif

/* Note [Whole lines]
 * Rows of b need not begin where a line of the cache does: arrays that come from elsewhere seldom do (NumPy's begin 16 bytes into one). Where registers
 * are lines, each load then takes two of them. So b is read from the line's beginning, `head` elements before the row, and a's copy begins as far into
 * a line: each lane adds up what it would, in the same order, but lanes lie `head` further on, and are put back at the end: the same bits wherever b
 * lies. (Two cores of a Zen 4, 1024 x 1024: 37 us, 27 so, as where lines are whole; 128 x 128: 1.10 and 0.86.) */
#if RT_MASKED                                          /* no branch between them, or the sums are kept in memory */
#define RT_NT_ENDS(ROWS, SUMS)                                                                    \
        if (p < end)                                                                              \
            RT_UNROLL for (int q = 0; q < SUMS; q++) {                                            \
                F(tail) tail = F(tail_of)(end - p > q * L ? (int)(end - p) - q * L : 0);          \
                V x = F(load_tail)(a + p + q * L, tail);                                          \
                RT_UNROLL for (int r = 0; r < ROWS; r++) acc[r][q] += x * F(load_tail)(b + r * ldb + p + q * L, tail); \
            }
#else
#define RT_NT_ENDS(ROWS, SUMS)                                                                    \
        for (; p + L <= end; p += L)                                                              \
            RT_UNROLL for (int r = 0; r < ROWS; r++) acc[r][0] += F(load)(a + p) * F(load)(b + r * ldb + p);
#endif
#if RT_LINES
#define RT_NT_HEAD(ROWS, SUMS)                                                                    \
        if (head) {                                                                               \
            RT_UNROLL for (int q = 0; q < SUMS; q++) {                                            \
                V x = F(load)(a + q * L);                                                         \
                RT_UNROLL for (int r = 0; r < ROWS; r++) {                                        \
                    const T *y = b + r * ldb + q * L;                                             \
                    acc[r][q] += x * (q ? F(load)(y) : F(later)(y, head));                        \
                }                                                                                 \
            }                                                                                     \
            p = SUMS * L;                                                                         \
        }
#define RT_NT_BACK(ROWS, SUMS)                                                                    \
        if (head)                                                                                 \
            RT_UNROLL for (int r = 0; r < ROWS; r++) {                                            \
                V first = acc[r][0];                                                              \
                RT_UNROLL for (int q = 0; q < SUMS; q++) acc[r][q] = F(turned)(acc[r][q], q + 1 < SUMS ? acc[r][(q + 1) % SUMS] : first, head); \
            }
#else
#define RT_NT_HEAD(ROWS, SUMS)
#define RT_NT_BACK(ROWS, SUMS)
#endif
/* One row of a by `ROWS` rows of b, each with SUMS (1, 2 or 4) registers of sums that become one: a number of each row to s, of a single row the
 * register to out. With a head, a and b are where the line begins, and k is at least SUMS registers. */
#define RT_NT_LINES(ROWS, SUMS)                                                                   \
    static __attribute__((noinline)) void F(nt_lines_##ROWS)(int64_t k, const T *a, const T *b, int64_t ldb, int head, V *out, T *s) { \
        V acc[ROWS][SUMS], sum[ROWS];                                                             \
        int64_t p = 0, end = k + head;                                                            \
        RT_UNROLL for (int r = 0; r < ROWS; r++) RT_UNROLL for (int q = 0; q < SUMS; q++) acc[r][q] = (V){0}; \
        RT_NT_HEAD(ROWS, SUMS)                                                                    \
        for (; p + SUMS * L <= end; p += SUMS * L)                                                \
            RT_UNROLL for (int q = 0; q < SUMS; q++) {                                            \
                V x = F(load)(a + p + q * L);                                                     \
                RT_UNROLL for (int r = 0; r < ROWS; r++) acc[r][q] += x * F(load)(b + r * ldb + p + q * L); \
            }                                                                                     \
        RT_NT_ENDS(ROWS, SUMS)                                                                    \
        RT_NT_BACK(ROWS, SUMS)                                                                    \
        RT_UNROLL for (int r = 0; r < ROWS; r++) {                                                \
            if (SUMS == 4) { acc[r][0] += acc[r][1 % SUMS]; acc[r][2 % SUMS] += acc[r][3 % SUMS]; } \
            if (SUMS > 1) acc[r][0] += acc[r][SUMS / 2];                                          \
            sum[r] = acc[r][0];                                                                   \
        }                                                                                         \
        if (ROWS == 1) *out = sum[0];                                                             \
        if (ROWS >= 4) F(sums)(sum, 4, s);                                                        \
        if (ROWS == 8) F(sums)(sum + ROWS / 2, 4, s + 4);                                         \
    }
RT_NT_LINES(1, 4) RT_NT_LINES(4, 2) RT_NT_LINES(8, 1)
enum { F(ONE), F(FOUR), F(EIGHT) };

/* One row of a by rows of b, of which so many are read side by side. One: a single stream, as the machine likes to fetch it by itself. */
static __attribute__((noinline)) void F(nt_rows)(int64_t n, int64_t k, const T *a, const T *b, int64_t ldb, T *c, int64_t ldc, T alpha, T beta,
                                                 const T *bias, int how) {
    enum { COPY = 16384 / sizeof(T) };
    const int64_t done = RT_MASKED ? k : k / L * L;
    const T *x = a, *y = b;
    int head = 0;
#if RT_LINES
    T copy[COPY + 2 * L] __attribute__((aligned(RT_VEC)));
    uintptr_t into = (uintptr_t)b % RT_VEC;
    if (into % sizeof(T) == 0 && into && ldb % L == 0 && k <= COPY) {
        head = (int)(into / sizeof(T));
        memset(copy, 0, RT_VEC);
        memcpy(copy + head, a, sizeof(T) * (size_t)k);
        x = copy; y = b - head;
    }
#endif
    for (int64_t j = 0, rows; j < n; j += rows) {
        V acc[4];
        T s[8];
        int64_t from = j;                                 /* the last eight begin before j: their sums there are made twice */
        rows = how == F(EIGHT) && n >= 8 ? 8 : 4;
        if (n - j < rows) {
            if (rows == 8) from = n - 8;
            rows = n - j;
        }
        const T *at = y + from * ldb;
        if (how == F(EIGHT) && n >= 8) F(nt_lines_8)(k, x, at, ldb, head, NULL, s);
        else if (rows == 4 && how != F(ONE)) F(nt_lines_4)(k, x, at, ldb, head, NULL, s);
        else {
            for (int r = 0; r < 4; r++) F(nt_lines_1)(k, x, r < rows ? at + r * ldb : at, ldb, head, acc + r, NULL);
            F(sums)(acc, 4, s);
        }
        F(nt_put)(1, (int)rows, s + (j - from), a + done, k, b + j * ldb + done, ldb, k - done, c + j, ldc, alpha, beta, bias ? bias + j : NULL);
    }
}

/* Four rows of b meet all of a before the next four: b passes once.
 *   One row of a reads b and does little else. How it does depends on where b is (two cores of a Zen 4, 1 MiB each before 32 MiB; GB/s): eight rows at
 * once, each a stream that is asked for a little ahead for the second cache, bring most from memory (4096 x 4096: 47, 77 in better minutes; into the
 * first cache 33 and 57, not asked for 41 and 68, row after row 38 and 60), row after row from the last cache (2048 x 2048: 170; by eights 151, asked
 * for 122 to 142) but where rows begin within lines (1000 x 1000 by fours 28, else 36 us), eight rows not asked for from a core's own (512 x 512: 200 and
 * 187). Of rows of a few registers the tile makes less. */
static void F(nt)(int64_t m, int64_t n, int64_t k, const T *a, int64_t lda, const T *b, int64_t ldb,
                  T *c, int64_t ldc, T alpha, T beta, const T *bias) {
    enum { OWN = 1 << 20, LONG = 256, PARTS = 4 };       /* bytes; parts of the last cache of which b may take one, as other threads take others */
    int64_t tiles = (m + RT_NT_ROWS - 1) / RT_NT_ROWS, j = 0, bytes = n * k * (int64_t)sizeof(T);
    if (m == 1) {
        int64_t far = bytes > OWN && bytes > rt_last_cache() / PARTS ? 2048 / (int64_t)sizeof(T) : 0;
        if (!far && k * (int64_t)sizeof(T) >= LONG) {
            int how = bytes <= OWN ? F(EIGHT) : ldb % L ? F(FOUR) : F(ONE);
            F(nt_rows)(n, k, a, b, ldb, c, ldc, alpha, beta, bias, how);
            return;
        }
        for (; j + 8 <= n; j += 8) F(nt_1x8)(k, a, lda, b + j * ldb, ldb, far, c + j, ldc, alpha, beta, bias ? bias + j : NULL);
    }
    while (j < n) {
        int one = n - j < 4;
        for (int64_t t = 0; t < tiles; t++) {
            int64_t i = m * t / tiles, rows = m * (t + 1) / tiles - i;
            F(nt_tiles)[one][rows - 1](k, a + i * lda, lda, b + j * ldb, ldb, t || one ? 0 : 4 * ldb, c + i * ldc + j, ldc, alpha, beta,
                                       bias ? bias + j : NULL);
        }
        j += one ? 1 : 4;
    }
}
#undef RT_UNROLL

/* Sums in pairs of 64-row blocks, so that the error grows with the depth of the tree, not with m. */
static void F(colsum_tree)(int64_t m, int64_t n, const T *x, int64_t ld, T *out, int accumulate) {
    if (m > 64) {
        int64_t half = (m / 2 + 63) / 64 * 64;
        T sum[256];
        F(colsum_tree)(half, n, x, ld, out, accumulate);
        F(colsum_tree)(m - half, n, x + half * ld, ld, sum, 0);
        for (int64_t j = 0; j < n; j++) out[j] += sum[j];
        return;
    }
    if (!accumulate) for (int64_t j = 0; j < n; j++) out[j] = 0;
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
        const T *r0 = x + i * ld, *r1 = r0 + ld, *r2 = r1 + ld, *r3 = r2 + ld;
        for (int64_t j = 0; j < n; j++) out[j] += (r0[j] + r1[j]) + (r2[j] + r3[j]);
    }
    for (; i < m; i++) for (int64_t j = 0; j < n; j++) out[j] += x[i * ld + j];
}

static void F(colsum)(int64_t m, int64_t n, const T *x, int64_t ld, T *out, int accumulate) {
    for (int64_t j = 0; j < n; j += 256)
        F(colsum_tree)(m, n - j < 256 ? n - j : 256, x + j, ld, out + j, accumulate);
}

static void F(outer)(int64_t m, int64_t n, T alpha, const T *a, int64_t a_m, const T *b, T beta, const T *x, int64_t x_m, T *out, int64_t out_m) {
    for (int64_t i = 0; i < m; i++, out += out_m) {
        T y = alpha * a[i * a_m];
        int64_t j = 0;
        if (x) {                                       /* out itself, perhaps */
            const T *row = x + i * x_m;
            for (; j + L <= n; j += L) {
                V v = y * F(load)(b + j), w = beta * F(load)(row + j);
                RT_ROUNDED(v) RT_ROUNDED(w)
                F(store)(out + j, w + v);
            }
            for (; j < n; j++) {
                T v = y * b[j], w = beta * row[j];
                RT_ROUNDED(v) RT_ROUNDED(w)
                out[j] = w + v;
            }
            continue;
        }
        for (; j + L <= n; j += L) F(store)(out + j, y * F(load)(b + j));
        for (; j < n; j++) out[j] = y * b[j];
    }
}

static T F(dot)(int64_t n, const T *x, const T *y) {
    V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L) {
        s0 += F(load)(x + i) * F(load)(y + i);
        s1 += F(load)(x + i + L) * F(load)(y + i + L);
        s2 += F(load)(x + i + 2 * L) * F(load)(y + i + 2 * L);
        s3 += F(load)(x + i + 3 * L) * F(load)(y + i + 3 * L);
    }
    for (; i + L <= n; i += L) s0 += F(load)(x + i) * F(load)(y + i);
    T s = SUM((s0 + s1) + (s2 + s3));
    for (; i < n; i++) s += x[i] * y[i];
    return s;
}

/* The four sums that make a dot product of n complex numbers: re re, im im, re im, im re. */
static void F(dot_pairs)(int64_t n, const T *x, const T *y, T *out) {
    V p[2] = {{0}}, q[2] = {{0}};
    int64_t i = 0;
#if !defined(__clang__)
    F(mask) swap;
    for (int j = 0; j < L; j++) swap[j] = j ^ 1;
#endif
    for (n *= 2; i + 2 * L <= n; i += 2 * L)
        for (int r = 0; r < 2; r++) {
            V a = F(load)(x + i + r * L), b = F(load)(y + i + r * L);
            p[r] += a * b;
#if defined(__clang__)
            V turned;
            for (int j = 0; j < L; j++) turned[j] = b[j ^ 1];
#else
            V turned = __builtin_shuffle(b, swap);
#endif
            q[r] += a * turned;
        }
    V v = p[0] + p[1], w = q[0] + q[1];
    for (int j = 0; j < 4; j++) out[j] = 0;
    for (int j = 0; j < L; j++) {
        out[j & 1] += v[j];
        out[2 + (j & 1)] += w[j];
    }
    for (; i < n; i += 2) {
        out[0] += x[i] * y[i]; out[1] += x[i + 1] * y[i + 1];
        out[2] += x[i] * y[i + 1]; out[3] += x[i + 1] * y[i];
    }
}
#undef RT_NT_TILE
#undef RT_NT_TILES
#undef RT_NT_REST
