/* bfloat16 products by tile registers. Included by bf16.inc.c for AVX-512, whose panels of pairs tiles read as they lie.
 *
 * Note [Tiles of pairs]
 * AMX multiplies 16 rows of 32 neighbours along k by 16 rows of 16 pairs, 16384 multiply-adds in 16 cycles. Two tiles of a meet two of b in four
 * tiles of sums. A tile's rows are read with any distance, so rows of a whose length is whole tiles need no copy; others, and turned ones, are
 * written out with zeros behind them. Processors that have tiles take dots of pairs at half the rate of float32 (a Xeon of 2023: 165 of 335
 * GFLOP/s on two cores), so without leave to use tiles such a machine multiplies float32 copies. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && __GNUC__ >= 11
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define RT_TILES 1
#define TILED __attribute__((target("amx-tile,amx-bf16")))
enum { TILE_BIT = 24, TILE_BF16_BIT = 22, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, TILE_PAIRS = 16, TILE_ROWS = 2 * LANES };

/* Asked once: a virtual machine stops at the instruction that tells, for some microseconds. */
static int tiles_there(void) {
    static int known;                                  /* 1: no, 2: yes */
    int now = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!now) {
        unsigned a, b, c, d;
        now = 1 + (__builtin_cpu_supports("avx512bf16") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> TILE_BIT & 1) && (d >> TILE_BF16_BIT & 1));
        __atomic_store_n(&known, now, __ATOMIC_RELAXED);
    }
    return now == 2;
}

/* Whether there are tiles and the system lets this process use them: 8 KiB more of each thread's state are its to give. */
static int tiles_ready(void) {
    static int known;                                  /* 1: no, 2: yes */
    int now = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!now) {
        now = 1 + (tiles_there() && !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA));
        __atomic_store_n(&known, now, __ATOMIC_RELAXED);
    }
    return now == 2;
}

/* Shapes of the eight registers: 0 to 3 sums, 4 and 5 of a, 6 and 7 of b; `rows` of a and of the sums, up to 32. */
TILED static void tiles_shape(int64_t rows) {
    struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } __attribute__((packed)) shape = {.palette = 1};
    uint8_t above = rows < LANES ? (uint8_t)rows : LANES, below = rows > LANES ? (uint8_t)(rows - LANES) : 1;
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = i >= 6 ? TILE_PAIRS : i == 0 || i == 1 || i == 4 ? above : below;
    }
    _tile_loadconfig(&shape);
}

/* sum = (sum +) a b for R x C tiles; `steps` of 16 pairs, distances in bytes */
#define TILED_PRODUCT(R, C)                                                                                        \
    TILED static __attribute__((noinline)) void tiled_##R##x##C(int64_t steps, const char *a, int64_t a_m, const char *b, int64_t b_g, \
                                                                float *sum, int64_t lds, int first) {              \
        float *below = sum + LANES * lds / 4;                                                                      \
        if (first) {                                                                                               \
            _tile_zero(0);                                                                                         \
            if (C > 1) _tile_zero(1);                                                                              \
            if (R > 1) { _tile_zero(2); if (C > 1) _tile_zero(3); }                                                \
        } else {                                                                                                   \
            _tile_loadd(0, sum, lds);                                                                              \
            if (C > 1) _tile_loadd(1, sum + LANES, lds);                                                           \
            if (R > 1) { _tile_loadd(2, below, lds); if (C > 1) _tile_loadd(3, below + LANES, lds); }              \
        }                                                                                                          \
        do {                                                                                                       \
            _tile_loadd(4, a, a_m);                                                                                \
            _tile_loadd(6, b, b_g);                                                                                \
            _tile_dpbf16ps(0, 4, 6);                                                                               \
            if (C > 1) { _tile_loadd(7, b + 64, b_g); _tile_dpbf16ps(1, 4, 7); }                                   \
            if (R > 1) {                                                                                           \
                _tile_loadd(5, a + LANES * a_m, a_m);                                                              \
                _tile_dpbf16ps(2, 5, 6);                                                                           \
                if (C > 1) _tile_dpbf16ps(3, 5, 7);                                                                \
            }                                                                                                      \
            a += 4 * TILE_PAIRS; b += TILE_PAIRS * b_g;                                                            \
        } while (--steps);                                                                                         \
        _tile_stored(0, sum, lds);                                                                                 \
        if (C > 1) _tile_stored(1, sum + LANES, lds);                                                              \
        if (R > 1) { _tile_stored(2, below, lds); if (C > 1) _tile_stored(3, below + LANES, lds); }                \
    }
TILED_PRODUCT(1, 1) TILED_PRODUCT(1, 2) TILED_PRODUCT(2, 1) TILED_PRODUCT(2, 2)

/* Rows of a, written out with zeros up to whole tiles: `full` pairs each. */
static void rows_of_pairs(int64_t rows, int64_t k, const uint16_t *a, int64_t a_m, int64_t a_k, uint32_t *left, int64_t full) {
    if (a_k == 1) {
        for (int64_t i = 0; i < rows; i++, left += full) {
            memcpy(left, a + i * a_m, (size_t)k * 2);
            memset((char *)left + k * 2, 0, (size_t)(full * 4 - k * 2));
        }
        return;
    }
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t p = 0; p < full; p += TILE_PAIRS) {
            uint32_t square[TILE_PAIRS * LANES] __attribute__((aligned(64))), turned[TILE_PAIRS * LANES] __attribute__((aligned(64)));
            int64_t some = k - 2 * p < 2 * TILE_PAIRS ? k - 2 * p : 2 * TILE_PAIRS, len = rows - i < LANES ? rows - i : LANES;
            if (some < 2 * TILE_PAIRS) memset(square, 0, sizeof square);
            pack(some, len, a + i * a_m + 2 * p * a_k, a_k, a_m, square, LANES);
            rt_turn_words((const char *)square, 64, (char *)turned, 64);
            for (int64_t r = 0; r < len; r++) memcpy(left + (i + r) * full + p, turned + r * LANES, 64);
        }
}

/* A piece of the product g, as bf16_product's. */
TILED static int tiled_product(const RtGemm *g, const uint16_t *a, const uint16_t *b, uint16_t *c, void *room) {
    static void (*const products[2][2])(int64_t, const char *, int64_t, const char *, int64_t, float *, int64_t, int) = {
        {tiled_1x1, tiled_1x2}, {tiled_2x1, tiled_2x2}};
    int64_t m = g->m, n = g->n, k = g->k, deep = (k + 2 * TILE_PAIRS - 1) / (2 * TILE_PAIRS) * TILE_PAIRS, depth = deep < PAIRS ? deep : PAIRS;
    int near = g->a_k == 1 && k % (2 * TILE_PAIRS) == 0;
    int64_t width = PAIRS / depth * 8 * WIDE, some = near ? m : FAR_ROWS * (PAIRS / depth), shaped = 0;
    size_t got = 0;
    float *sums = NULL, sum[TILE_ROWS * 2 * LANES] __attribute__((aligned(64)));
    Out o = {c, g->c_m, NULL, 0, 1, 1, 0, (float)g->alpha[0], (float)g->beta[0], NULL};
    if (width > (n + WIDE - 1) / WIDE * WIDE) width = (n + WIDE - 1) / WIDE * WIDE;
    if (some > m) some = m;
    if (deep > depth && !(sums = g->host->alloc(0, (size_t)m * (size_t)((n + WIDE - 1) / WIDE * WIDE) * sizeof(float), &got))) return RT_ERR_MEMORY;
    uint32_t *right = room, *left = right + (size_t)width * (size_t)depth;
    for (int64_t p = 0; p < deep; p += depth) {
        int64_t full = deep - p < depth ? deep - p : depth, kb = k - 2 * p < 2 * full ? k - 2 * p : 2 * full, pairs = (kb + 1) / 2;
        int last = p + full == deep;
        for (int64_t j0 = 0; j0 < n; j0 += width) {
            int64_t cols = n - j0 < width ? n - j0 : width;
            for (int64_t q = 0; q < cols; q += WIDE) {
                int64_t len = cols - q < WIDE ? cols - q : WIDE, w = (len + LANES - 1) / LANES * LANES;
                pack(kb, len, b + 2 * p * g->b_k + (j0 + q) * g->b_n, g->b_k, g->b_n, right + q * full, w);
                memset(right + q * full + pairs * w, 0, (size_t)((full - pairs) * w) * 4);
            }
            for (int64_t i0 = 0; i0 < m; i0 += some) {
                int64_t rows = m - i0 < some ? m - i0 : some, a_m = near ? g->a_m * 2 : full * 4;
                const char *x = near ? (const char *)(a + i0 * g->a_m + 2 * p) : (const char *)left;
                if (!near) rows_of_pairs(rows, kb, a + i0 * g->a_m + 2 * p * g->a_k, g->a_m, g->a_k, left, full);
                for (int64_t i = 0; i < rows; i += TILE_ROWS) {
                    int64_t some_rows = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
                    if (some_rows != shaped) tiles_shape(shaped = some_rows);
                    for (int64_t q = 0; q < cols; q += 2 * LANES) {
                        int64_t panel = q / WIDE * WIDE, w = (cols - panel < WIDE ? cols - panel + LANES - 1 : WIDE) / LANES * LANES, col = j0 + q;
                        int two = q + LANES < panel + w;
                        float *to = sums ? sums + m * (j0 + panel) + (i0 + i) * w + (q - panel) : sum;
                        int64_t lds = sums ? w : 2 * LANES;
                        products[some_rows > LANES][two](full / TILE_PAIRS, x + i * a_m, a_m, (const char *)(right + panel * full + (q - panel)), w * 4,
                                                         to, lds * 4, p == 0);
                        if (!last) continue;
                        o.c = c + (i0 + i) * g->c_m + col;
                        o.len = (int)(cols - q < 2 * LANES ? cols - q : 2 * LANES);
                        o.bias = g->bias ? (const uint16_t *)g->bias + col : NULL;
                        put((int)some_rows, to, lds, &o);
                    }
                }
            }
        }
    }
    _tile_release();
    if (sums) g->host->free(0, sums, got);
    return RT_OK;
}
#endif
