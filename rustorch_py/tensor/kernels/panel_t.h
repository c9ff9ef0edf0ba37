/* Typed body of panel.h: T element, V register, L lanes, F(name). Letters: a_rk, b_kj, c_rj. */
#include "turn_t.h"

/* c (+)= a b over R rows and C registers of columns */
#define RT_TILE(R, C)                                                                                              \
    static void F(tile_##R##x##C)(int64_t k, const T *a, int64_t a_r, int64_t a_k, const T *b, int64_t ldb, T *c,  \
                                  int64_t ldc, int add) {                                                          \
        V acc[R][C];                                                                                               \
        for (int r = 0; r < R; r++) for (int j = 0; j < C; j++) acc[r][j] = (V){0};                                \
        do {                                            /* k > 0: no other path for the sums */                    \
            V y[C];                                                                                                \
            for (int j = 0; j < C; j++) y[j] = F(load)(b + j * L);                                                 \
            for (int r = 0; r < R; r++) {                                                                          \
                T x = a[r * a_r];                                                                                  \
                for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                                                 \
            }                                                                                                      \
            a += a_k; b += ldb;                                                                                    \
        } while (--k);                                                                                             \
        if (add)                                                                                                   \
            for (int r = 0; r < R; r++) for (int j = 0; j < C; j++)                                                \
                F(store)(c + r * ldc + j * L, F(load)(c + r * ldc + j * L) + acc[r][j]);                           \
        else for (int r = 0; r < R; r++) for (int j = 0; j < C; j++) F(store)(c + r * ldc + j * L, acc[r][j]);     \
    }
#define RT_TILES(C) RT_TILE(1, C) RT_TILE(2, C) RT_TILE(3, C) RT_TILE(4, C) RT_TILE(5, C) RT_TILE(6, C)
RT_TILES(1) RT_TILES(2) RT_TILES(3) RT_TILES(4)

typedef void (*F(tile))(int64_t k, const T *a, int64_t a_r, int64_t a_k, const T *b, int64_t ldb, T *c, int64_t ldc, int add);
#define RT_TILE_ROW(C) {F(tile_1x##C), F(tile_2x##C), F(tile_3x##C), F(tile_4x##C), F(tile_5x##C), F(tile_6x##C)}
static const F(tile) F(tiles)[RT_PANEL_REGS][RT_TILE_ROWS] = {RT_TILE_ROW(1), RT_TILE_ROW(2), RT_TILE_ROW(3), RT_TILE_ROW(4)};

/* m rows times one panel of C registers; c (+)= a b. Tiles of nearly equal height. */
static void F(panel)(int64_t m, int C, int64_t k, const T *a, int64_t a_r, int64_t a_k, const T *b, int64_t ldb, T *c,
                     int64_t ldc, int add) {
    int64_t most = rt_tile_most(C), tiles = (m + most - 1) / most;
    if (k == 0 && !add) for (int64_t r = 0; r < m; r++) memset(c + r * ldc, 0, (size_t)C * L * sizeof(T));
    for (int64_t p = 0; p < k; p += RT_PANEL_K) {
        int64_t kb = k - p < RT_PANEL_K ? k - p : RT_PANEL_K, i = 0;
        for (int64_t t = tiles; t > 0; t--) {
            int64_t rows = (m - i + t - 1) / t;
            F(tiles)[C - 1][rows - 1](kb, a + i * a_r + p * a_k, a_r, a_k, b + p * ldb, ldb, c + i * ldc, ldc, add || p);
            i += rows;
        }
    }
}

/* Registers of the panel that starts at column j of n. */
RT_INLINE int F(regs)(int64_t n, int64_t j) {
    int64_t left = (n - j + L - 1) / L;
    return left < RT_PANEL_REGS ? (int)left : RT_PANEL_REGS;
}

/* Elements of a packed (k, n) matrix. */
RT_INLINE int64_t F(packed)(int64_t k, int64_t n) { return k * ((n + L - 1) / L * L); }

/* Pack the panel at column j of a row-major (k, n) matrix, padded with zeros. */
static void F(pack)(int64_t k, int64_t n, int64_t j, const T *x, int64_t ld, T *out) {
    int64_t w = F(regs)(n, j) * L, len = n - j < w ? n - j : w;
    out += k * j;
    if (len == w) {
        for (int64_t p = 0; p < k; p++, out += w)
            for (int64_t q = 0; q < w; q += L) F(store)(out + q, F(load)(x + p * ld + j + q));
        return;
    }
    for (int64_t p = 0; p < k; p++, out += w) {
        memcpy(out, x + p * ld + j, (size_t)len * sizeof(T));
        for (int64_t q = len; q < w; q++) out[q] = 0;
    }
}

/* Write L columns of out_kj (row length w), out_kj = x_jk: `len` rows of x, the rest zeros. */
static void F(pack_turned)(int64_t k, int64_t len, const T *x, int64_t ld, T *out, int64_t w) {
    int64_t p = 0;
    if (len == L) for (; p + L <= k; p += L) F(turn)(x + p, ld, out + p * w, w);
    for (; p < k; p++) for (int64_t q = 0; q < L; q++) out[p * w + q] = q < len ? x[q * ld + p] : 0;
}

/* c_rj (+)= a_rk b_kj with all of b packed; n columns of c. */
static void F(product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_r, const T *packed, T *c, int64_t ldc, int add) {
    T edge[RT_TILE_ROWS * RT_PANEL_REGS * L];
    for (int64_t j = 0; j < n; j += RT_PANEL_REGS * L) {
        int C = F(regs)(n, j);
        int64_t w = C * L, len = n - j < w ? n - j : w;
        const T *b = packed + k * j;
        if (len == w) {
            F(panel)(m, C, k, a, a_r, 1, b, w, c + j, ldc, add);
            continue;
        }
        for (int64_t i = 0; i < m; i += RT_TILE_ROWS) {
            int64_t rows = m - i < RT_TILE_ROWS ? m - i : RT_TILE_ROWS;
            F(panel)(rows, C, k, a + i * a_r, a_r, 1, b, w, edge, w, 0);
            for (int64_t r = 0; r < rows; r++) {
                T *o = c + (i + r) * ldc + j;
                if (add) for (int64_t q = 0; q < len; q++) o[q] += edge[r * w + q];
                else memcpy(o, edge + r * w, (size_t)len * sizeof(T));
            }
        }
    }
}
