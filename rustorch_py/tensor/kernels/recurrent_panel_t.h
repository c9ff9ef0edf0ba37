/* Typed part of recurrent_t.h: products of a step with packed weights; T, V, L, P(name), M(name) as there. Letters: a_rk, b_kj, c_rj.
 *
 * Note [Panels of a step]
 * A step multiplies few rows, again and again, by weights that lie in the second cache. Up to twelve rows (six, with 16 registers) by two registers of columns
 * are one tile: it meets each register of weights once, and they stream past it. Where rows are more, tiles take turns over a block of a panel's rows
 * that fills half of a small first cache. So a panel of four registers of columns is kept as two pairs, one behind the other; what has fewer rows
 * reads both of them at once, its sums would wait for one another else. (Zen 4, ten rows of 200 by 800, in GFLOP/s of a core: 110 by four registers at a time,
 * 112 by two; of 800 by 208: 93 and 108.) Each sum is made in the order of k, however it is cut. */
#if defined(__AVX512F__)
#define RT_STEP_ROWS 12
enum { M(tall_1) = 12, M(tall_2) = 12, M(tall_3) = 8, M(tall_4) = 6 };
#else
#define RT_STEP_ROWS 6
enum { M(tall_1) = 6, M(tall_2) = 6, M(tall_3) = 3, M(tall_4) = 2 };
#endif

/* c (+)= a b over R rows and C registers; a's rows are lda apart, half: from pair to pair of a panel of four. */
#define RT_STEP_TILE(R, C)                                                                                         \
    static void M(step_##R##x##C)(int64_t k, const T *a, int64_t lda, const T *b, int64_t half, T *c, int64_t ldc, int add) { \
        V acc[R][C];                                                                                               \
        for (int r = 0; r < R; r++)                                                                                \
            for (int j = 0; j < C; j++) acc[r][j] = add ? P(load)(c + r * ldc + j * L) : (V){0};                   \
        do {                                            /* k > 0: no other path for the sums */                    \
            V y[C];                                                                                                \
            for (int j = 0; j < C; j++) y[j] = P(load)(C < 4 || j < 2 ? b + j * L : b + half + (j - 2) * L);       \
            for (int r = 0; r < R; r++) {                                                                          \
                T x = a[r * lda];                                                                                  \
                for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                                                 \
            }                                                                                                      \
            a++; b += (C < 4 ? C : 2) * L;                                                                         \
        } while (--k);                                                                                             \
        for (int r = 0; r < R; r++) for (int j = 0; j < C; j++) P(store)(c + r * ldc + j * L, acc[r][j]);          \
    }
#define RT_STEP_TILES(C) RT_STEP_TILE(1, C) RT_STEP_TILE(2, C) RT_STEP_TILE(3, C)
#define RT_STEP_MORE(C) RT_STEP_TILE(4, C) RT_STEP_TILE(5, C) RT_STEP_TILE(6, C)
#define RT_STEP_NAMES(C) M(step_1x##C), M(step_2x##C), M(step_3x##C)
#define RT_STEP_NAMES_MORE(C) RT_STEP_NAMES(C), M(step_4x##C), M(step_5x##C), M(step_6x##C)
RT_STEP_TILES(1) RT_STEP_MORE(1) RT_STEP_TILES(2) RT_STEP_MORE(2)
typedef void (*M(step_tile))(int64_t k, const T *a, int64_t lda, const T *b, int64_t half, T *c, int64_t ldc, int add);
#if defined(__AVX512F__)
#define RT_STEP_TALL(C) RT_STEP_TILE(7, C) RT_STEP_TILE(8, C)
#define RT_STEP_TALLER(C) RT_STEP_TALL(C) RT_STEP_TILE(9, C) RT_STEP_TILE(10, C) RT_STEP_TILE(11, C) RT_STEP_TILE(12, C)
#define RT_STEP_NAMES_TALL(C) RT_STEP_NAMES_MORE(C), M(step_7x##C), M(step_8x##C)
#define RT_STEP_NAMES_TALLER(C) RT_STEP_NAMES_TALL(C), M(step_9x##C), M(step_10x##C), M(step_11x##C), M(step_12x##C)
RT_STEP_TALLER(1) RT_STEP_TALLER(2) RT_STEP_TILES(3) RT_STEP_MORE(3) RT_STEP_TALL(3) RT_STEP_TILES(4) RT_STEP_MORE(4)
static const M(step_tile) M(step_tiles)[4][RT_STEP_ROWS] = {{RT_STEP_NAMES_TALLER(1)}, {RT_STEP_NAMES_TALLER(2)}, {RT_STEP_NAMES_TALL(3)},
                                                            {RT_STEP_NAMES_MORE(4)}};
#undef RT_STEP_TALL
#undef RT_STEP_TALLER
#undef RT_STEP_NAMES_TALL
#undef RT_STEP_NAMES_TALLER
#else
RT_STEP_TILES(3) RT_STEP_TILE(1, 4) RT_STEP_TILE(2, 4)
static const M(step_tile) M(step_tiles)[4][RT_STEP_ROWS] = {{RT_STEP_NAMES_MORE(1)}, {RT_STEP_NAMES_MORE(2)}, {RT_STEP_NAMES(3)},
                                                            {M(step_1x4), M(step_2x4)}};
#endif
#undef RT_STEP_TILE
#undef RT_STEP_TILES
#undef RT_STEP_MORE
#undef RT_STEP_NAMES
#undef RT_STEP_NAMES_MORE
#undef RT_STEP_ROWS

/* Where register j of a panel of C registers and k rows starts, and how far apart its rows are. */
RT_INLINE int64_t M(register_at)(int64_t k, int C, int64_t j) { return C < 4 ? j * L : j / 2 * k * 2 * L + j % 2 * L; }
RT_INLINE int64_t M(register_row)(int C) { return (C < 4 ? C : 2) * L; }

/* Ask for a row's lines; too far apart, or too many at once, for the hardware to guess. */
RT_INLINE void M(fetch)(const Lines *lines, int64_t count, int64_t r) {
    for (const Lines *l = lines; l < lines + count; l++)
        for (int64_t q = 0; q < l->count; q++) ask(l->at + r * l->row + q * 64, l->write);
}

/* c (+)= a b: m rows of length k by a panel of C registers; asks meanwhile for the lines of m rows that the gates will read and write. */
static void M(panel)(int64_t m, int C, int64_t k, const T *a, const T *b, T *c, int64_t ldc, int add, const Lines *lines, int64_t count) {
    static const int tall[] = {M(tall_1), M(tall_2), M(tall_3), M(tall_4)};
    int pairs = C == 4 && m > M(tall_4), some = pairs ? 2 : C;
    int64_t tiles = (m + tall[some - 1] - 1) / tall[some - 1], deep = tiles > 1 ? RT_STEP_DEEP / some : RT_STEP_DEEP;
    int64_t calls = (pairs + 1) * tiles * ((k + deep - 1) / deep), done = 0, row = 0;
    if (k == 0 && !add) for (int64_t r = 0; r < m; r++) memset(c + r * ldc, 0, (size_t)C * L * sizeof(T));
    for (int pair = 0; pair <= pairs; pair++, b += k * 2 * L, c += 2 * L)
        for (int64_t p = 0; p < k; p += deep) {
            int64_t kb = k - p < deep ? k - p : deep, i = 0;
            for (int64_t t = tiles; t > 0; t--) {
                int64_t rows = (m - i + t - 1) / t, upto = ++done * m / calls;
                for (; row < upto; row++) M(fetch)(lines, count, row);
                M(step_tiles)[some - 1][rows - 1](kb, a + i * k + p, k, b + p * M(register_row)(some), k * 2 * L, c + i * ldc, ldc, add || p);
                i += rows;
            }
        }
}
