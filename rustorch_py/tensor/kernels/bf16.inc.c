/* bfloat16 products by dot instructions; once per instruction set, of which only AVX-512 has any.
 *
 * Note [Dots of pairs]
 * AVX512_BF16 multiplies two neighbours by two neighbours in each 32-bit lane and adds both products in float32: twice the multiply-adds of
 * float32, and half the bytes. So both operands are read as pairs along k. Rows of a whose elements are neighbours are that already; b is packed
 * into panels of pairs, two of its rows woven (or, where it is turned, squares of pairs turned), one panel at a time just before all rows
 * of a meet it. Few rows of a and a turned b take dot products along k and pack nothing. Each sum is added in float32 in the order of k,
 * whatever is cut from the result for a thread, and rounded once. The instruction takes denormal numbers for zeros, as PyTorch's does. */
#include <string.h>
#include "rustorch/half.h"
#include "gemm.h"
#if defined(__AVX512F__)
#include "gemm_regs.h"

#define TARGET __attribute__((target("avx512bf16")))
#define UNROLL _Pragma("GCC unroll 16")
#define EACH(R, C) UNROLL for (int r = 0; r < R; r++) UNROLL for (int j = 0; j < C; j++)
enum { LANES = 16, REGS = 4, WIDE = REGS * LANES, ROWS = 6, PAIRS = 1024, FAR_ROWS = 96 };
_Static_assert(PAIRS * 4 * (WIDE * 8 + FAR_ROWS) <= RT_ROOM, "panels and rows of a have room");

/* Where a tile's sums go. sums: those of earlier rows of b, and of these unless `last`; NULL: there is one block. */
typedef struct { uint16_t *c; int64_t ldc; float *sums; int64_t lds; int first, last, len; float alpha, beta; const uint16_t *bias; } Out;

RT_INLINE __m512 widen_some(const uint16_t *p, __mmask16 some) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, p)), 16));
}

/* c = alpha * sum + beta * c + bias, for a tile of `w` columns */
TARGET static __attribute__((noinline)) void put(int rows, const float *sum, int64_t w, const Out *o) {
    __m512 alpha = _mm512_set1_ps(o->alpha), beta = _mm512_set1_ps(o->beta);
    for (int r = 0; r < rows; r++)
        for (int64_t j = 0; j < o->len; j += LANES) {
            __mmask16 some = o->len - j >= LANES ? 0xffff : (__mmask16)((1 << (o->len - j)) - 1);
            uint16_t *c = o->c + r * o->ldc + j;
            __m512 v = _mm512_mul_ps(alpha, _mm512_loadu_ps(sum + r * w + j));
            if (o->beta != 0) v = _mm512_fmadd_ps(beta, widen_some(c, some), v);
            if (o->bias) v = _mm512_add_ps(v, widen_some(o->bias + j, some));
            _mm256_mask_storeu_epi16(c, some, (__m256i)_mm512_cvtneps_pbh(v));
        }
}

#define TILE(R, C)                                                                                                 \
    TARGET static __attribute__((noinline)) void tile_##R##x##C(int64_t groups, const char *a, int64_t a_m, int64_t a_g, const char *b, \
                                                                const Out *o) {                                    \
        __m512 acc[R][C];                                                                                          \
        if (o->first) EACH(R, C) acc[r][j] = _mm512_setzero_ps();                                                  \
        else EACH(R, C) acc[r][j] = _mm512_loadu_ps(o->sums + r * o->lds + j * LANES);                             \
        do {                                                                                                       \
            __m512i y[C];                                                                                          \
            UNROLL for (int j = 0; j < C; j++) y[j] = _mm512_loadu_si512(b + j * 64);                              \
            UNROLL for (int r = 0; r < R; r++) {                                                                   \
                int32_t two;                                                                                       \
                memcpy(&two, a + r * a_m, 4);                                                                      \
                __m512i x = _mm512_set1_epi32(two);                                                                \
                UNROLL for (int j = 0; j < C; j++) acc[r][j] = _mm512_dpbf16_ps(acc[r][j], (__m512bh)x, (__m512bh)y[j]); \
            }                                                                                                      \
            a += a_g; b += C * 64;                                                                                 \
        } while (--groups);                                                                                        \
        if (!o->last) {                                                                                            \
            EACH(R, C) _mm512_storeu_ps(o->sums + r * o->lds + j * LANES, acc[r][j]);                              \
            return;                                                                                                \
        }                                                                                                          \
        if (o->len == C * LANES && o->alpha == 1 && o->beta == 0 && !o->bias) {                                    \
            EACH(R, C) _mm256_storeu_si256((__m256i *)(o->c + r * o->ldc + j * LANES), (__m256i)_mm512_cvtneps_pbh(acc[r][j])); \
            return;                                                                                                \
        }                                                                                                          \
        float sum[R * C * LANES];                                                                                  \
        EACH(R, C) _mm512_storeu_ps(sum + (r * C + j) * LANES, acc[r][j]);                                         \
        put(R, sum, C * LANES, o);                                                                                 \
    }
#define TILES(C) TILE(1, C) TILE(2, C) TILE(3, C) TILE(4, C) TILE(5, C) TILE(6, C)
TILES(1) TILES(2) TILES(3) TILES(4)
typedef void (*Tile)(int64_t groups, const char *a, int64_t a_m, int64_t a_g, const char *b, const Out *o);
#define TILE_ROW(C) {tile_1x##C, tile_2x##C, tile_3x##C, tile_4x##C, tile_5x##C, tile_6x##C}
static const Tile tiles[REGS][ROWS] = {TILE_ROW(1), TILE_ROW(2), TILE_ROW(3), TILE_ROW(4)};

/* R x C dot products along k, for few rows of a and a turned b. */
#define DOTS(R, C)                                                                                                 \
    TARGET static __attribute__((noinline)) void dots_##R##x##C(int64_t k, const uint16_t *a, int64_t a_m, const uint16_t *b, int64_t b_n, const Out *o) { \
        __m512 acc[R][C];                                                                                          \
        EACH(R, C) acc[r][j] = _mm512_setzero_ps();                                                                \
        __mmask32 some = 0xffffffff;                                                                               \
        for (int64_t p = 0; p < k; p += 32) {                                                                      \
            if (k - p < 32) some = (1u << (k - p)) - 1;                                                            \
            __m512i y[C];                                                                                          \
            UNROLL for (int j = 0; j < C; j++) y[j] = _mm512_maskz_loadu_epi16(some, b + j * b_n + p);             \
            UNROLL for (int r = 0; r < R; r++) {                                                                   \
                __m512i x = _mm512_maskz_loadu_epi16(some, a + r * a_m + p);                                       \
                UNROLL for (int j = 0; j < C; j++) acc[r][j] = _mm512_dpbf16_ps(acc[r][j], (__m512bh)x, (__m512bh)y[j]); \
            }                                                                                                      \
        }                                                                                                          \
        float sum[R * LANES];                                                                                      \
        UNROLL for (int r = 0; r < R; r++)                                                                         \
            if (C == 4) rt_sums_of_4(acc[r], sum + r * LANES);                                                     \
            else sum[r * LANES] = _mm512_reduce_add_ps(acc[r][0]);                                                 \
        put(R, sum, LANES, o);                                                                                     \
    }
#define DOTS_OF(R) DOTS(R, 4) DOTS(R, 1)
DOTS_OF(1) DOTS_OF(2) DOTS_OF(3) DOTS_OF(4) DOTS_OF(5) DOTS_OF(6)
typedef void (*Dots)(int64_t k, const uint16_t *a, int64_t a_m, const uint16_t *b, int64_t b_n, const Out *o);
static const Dots dots[2][ROWS] = {{dots_1x4, dots_2x4, dots_3x4, dots_4x4, dots_5x4, dots_6x4}, {dots_1x1, dots_2x1, dots_3x1, dots_4x1, dots_5x1, dots_6x1}};

/* Columns of a k x n matrix as pairs along k: rows of `w` pairs, a whole number of registers, filled up with zeros. */
static void pack(int64_t k, int64_t n, const uint16_t *x, int64_t x_k, int64_t x_n, uint32_t *out, int64_t w) {
    int64_t groups = (k + 1) / 2;
    if (x_n == 1) {
        __m512i step = _mm512_set1_epi32(0x00010001), even = _mm512_setr_epi32(0x200000, 0x210001, 0x220002, 0x230003, 0x240004, 0x250005, 0x260006,
            0x270007, 0x280008, 0x290009, 0x2a000a, 0x2b000b, 0x2c000c, 0x2d000d, 0x2e000e, 0x2f000f);
        __m512i odd = _mm512_add_epi16(even, _mm512_slli_epi32(step, 4));
        for (int64_t p = 0; p < groups; p++, out += w, x += 2 * x_k)
            for (int64_t j = 0; j < w; j += 32) {
                __mmask32 some = n - j >= 32 ? 0xffffffff : n > j ? (1u << (n - j)) - 1 : 0;
                __m512i u = _mm512_maskz_loadu_epi16(some, x + j), v = _mm512_maskz_loadu_epi16(2 * p + 1 < k ? some : 0, x + x_k + j);
                _mm512_storeu_si512(out + j, _mm512_permutex2var_epi16(u, even, v));
                if (j + 16 < w) _mm512_storeu_si512(out + j + 16, _mm512_permutex2var_epi16(u, odd, v));
            }
        return;
    }
    for (int64_t j = 0; j < w; j += LANES) {
        int64_t p = 0, len = n - j < LANES ? n - j : LANES;
        if (x_k == 1 && len == LANES)
            for (; 2 * p + 32 <= k; p += 16) rt_turn_words((const char *)(x + j * x_n + 2 * p), x_n * 2, (char *)(out + p * w + j), w * 4);
        for (; p < groups; p++)
            for (int64_t q = 0; q < LANES; q++) {
                const uint16_t *y = x + (j + q) * x_n + 2 * p * x_k;
                out[p * w + j + q] = q >= len ? 0 : y[0] | (2 * p + 1 < k ? (uint32_t)y[x_k] << 16 : 0);
            }
    }
}

#include "bf16_tiles.h"

/* b as kept panels: those of all `n` columns, the piece's begin at column j; NULL: it is packed here. The columns' panels of a block lie side by side,
 * blocks one after the other. */
typedef struct { const uint32_t *panels; int64_t n, j; } KeptPairs;

RT_INLINE int64_t whole_registers(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* A piece of the product g: g's m and n, its operands at a, b, c. by_dots: along k, the whole product's choice. */
TARGET static int product(const RtGemm *g, const char *a_mk, const char *b_kn, char *c_mn, int by_dots, const KeptPairs *kept, void *room) {
    const uint16_t *a = (const uint16_t *)a_mk, *b = (const uint16_t *)b_kn;
    int64_t m = g->m, n = g->n, k = g->k;
    Out o = {(uint16_t *)c_mn, g->c_m, NULL, 0, 1, 1, 0, (float)g->alpha[0], (float)g->beta[0], NULL};
    if (by_dots) {
        int64_t parts = (m + ROWS - 1) / ROWS;
        for (int64_t j = 0; j < n; j += o.len) {
            o.len = n - j < 4 ? 1 : 4;
            o.bias = g->bias ? (const uint16_t *)g->bias + j : NULL;
            for (int64_t t = 0; t < parts; t++) {
                int64_t i = m * t / parts, rows = m * (t + 1) / parts - i;
                o.c = (uint16_t *)c_mn + i * g->c_m + j;
                dots[o.len == 1][rows - 1](k, a + i * g->a_m, g->a_m, b + j * g->b_n, g->b_n, &o);
            }
        }
        return RT_OK;
    }
#ifdef RT_TILES
    if (!kept && tiles_ready()) return tiled_product(g, a, b, (uint16_t *)c_mn, room);
#endif
    int64_t deep = (k + 1) / 2, depth = deep < PAIRS ? deep : PAIRS;      /* pairs of k, and of a block */
    int near = g->a_k == 1 && k % 2 == 0;
    int64_t width = near ? WIDE : PAIRS / depth * 8 * WIDE, some = near ? m : FAR_ROWS * (PAIRS / depth);
    size_t got = 0;
    float *sums = NULL;
    if (width > (n + WIDE - 1) / WIDE * WIDE) width = (n + WIDE - 1) / WIDE * WIDE;
    if (some > m) some = m;
    if (deep > depth && !(sums = g->host->alloc(0, (size_t)m * (size_t)((n + WIDE - 1) / WIDE * WIDE) * sizeof(float), &got))) return RT_ERR_MEMORY;
    uint32_t *right = room, *left = right + (size_t)width * (size_t)depth;
    for (int64_t p = 0; p < deep; p += depth) {
        int64_t pairs = deep - p < depth ? deep - p : depth, kb = k - 2 * p < 2 * pairs ? k - 2 * p : 2 * pairs;
        o.first = p == 0; o.last = p + pairs == deep;
        for (int64_t j0 = 0; j0 < n; j0 += width) {
            int64_t cols = n - j0 < width ? n - j0 : width;
            const uint32_t *y = kept ? kept->panels + p * whole_registers(kept->n) + (kept->j + j0) * pairs : right;
            for (int64_t q = 0; q < cols && !kept; q += WIDE) {
                int64_t len = cols - q < WIDE ? cols - q : WIDE;
                pack(kb, len, b + 2 * p * g->b_k + (j0 + q) * g->b_n, g->b_k, g->b_n, right + q * pairs, whole_registers(len));
            }
            for (int64_t i0 = 0; i0 < m; i0 += some) {
                int64_t rows = m - i0 < some ? m - i0 : some, a_m = g->a_m * 2, a_g = 4, parts = (rows + ROWS - 1) / ROWS;
                const char *x = (const char *)(a + i0 * g->a_m + 2 * p);
                if (!near) {                            /* a's rows as columns of pairs, or one after the other where it is not turned */
                    if (g->a_k == 1)
                        for (int64_t i = 0; i < rows; i++) {
                            memcpy(left + i * pairs, x + i * a_m, (size_t)kb * 2);
                            if (kb % 2) left[i * pairs + pairs - 1] &= 0xffff;
                        }
                    else pack(kb, rows, a + i0 * g->a_m + 2 * p * g->a_k, g->a_k, g->a_m, left, (rows + LANES - 1) / LANES * LANES);
                    x = (const char *)left;
                    a_m = g->a_k == 1 ? pairs * 4 : 4;
                    a_g = g->a_k == 1 ? 4 : (rows + LANES - 1) / LANES * LANES * 4;
                }
                for (int64_t q = 0; q < cols; q += WIDE) {
                    int64_t col = j0 + q;
                    o.len = (int)(cols - q < WIDE ? cols - q : WIDE);
                    o.bias = g->bias ? (const uint16_t *)g->bias + col : NULL;
                    int C = (o.len + LANES - 1) / LANES;
                    o.lds = C * LANES;
                    for (int64_t t = 0; t < parts; t++) {
                        int64_t i = rows * t / parts, some_rows = rows * (t + 1) / parts - i;
                        o.c = (uint16_t *)c_mn + (i0 + i) * g->c_m + col;
                        if (sums) o.sums = sums + m * col + (i0 + i) * o.lds;
                        tiles[C - 1][some_rows - 1](pairs, x + i * a_m, a_m, a_g, (const char *)(y + q * pairs), &o);
                    }
                }
            }
        }
    }
    if (sums) g->host->free(0, sums, got);
    return RT_OK;
}
#endif

/* Whether this set and processor have the instruction, and it is the faster way. */
int RT_NAME(rt_bf16_ready)(void) {
#if defined(__AVX512F__)
#ifdef RT_TILES
    if (tiles_there()) return tiles_ready();
#endif
    return rt_has_dots();
#else
    return 0;
#endif
}

int RT_NAME(rt_bf16_product)(const RtGemm *g, const char *a, const char *b, char *c, int by_dots, void *room) {
#if defined(__AVX512F__)
    return product(g, a, b, c, by_dots, NULL, room);
#else
    (void)g; (void)a; (void)b; (void)c; (void)by_dots; (void)room;
    return RT_ERR_UNSUPPORTED;
#endif
}

/* b packed into `out`, Note [Kept operands] in kept.h; returns how many bytes that takes, 0: it is not kept. out: NULL to be told. */
size_t RT_NAME(rt_bf16_keep)(int64_t k, int64_t n, const char *b_kn, int64_t b_k, int64_t b_n, void *out) {
#if defined(__AVX512F__)
#ifdef RT_TILES
    if (tiles_ready()) return 0;                       /* these read other blocks */
#endif
    if (!RT_NAME(rt_bf16_ready)()) return 0;
    const uint16_t *b = (const uint16_t *)b_kn;
    int64_t deep = (k + 1) / 2, whole = whole_registers(n);
    uint32_t *to = out;
    for (int64_t p = 0; p < deep && out; p += PAIRS) {
        int64_t pairs = deep - p < PAIRS ? deep - p : PAIRS, kb = k - 2 * p < 2 * pairs ? k - 2 * p : 2 * pairs;
        for (int64_t j = 0; j < n; j += WIDE) {
            int64_t len = n - j < WIDE ? n - j : WIDE;
            pack(kb, len, b + 2 * p * b_k + j * b_n, b_k, b_n, to + p * whole + j * pairs, whole_registers(len));
        }
    }
    return (size_t)(deep * whole) * sizeof *to;
#else
    (void)k; (void)n; (void)b_kn; (void)b_k; (void)b_n; (void)out;
    return 0;
#endif
}

/* A piece of a product by what rt_bf16_keep() packed of all n columns; the piece's begin at column j. */
int RT_NAME(rt_bf16_kept)(const RtGemm *g, const void *panels, int64_t n, int64_t j, void *room) {
#if defined(__AVX512F__)
    KeptPairs kept = {panels, n, j};
    return product(g, g->a, g->b, g->c, 0, &kept, room);
#else
    (void)g; (void)panels; (void)n; (void)j; (void)room;
    return RT_ERR_UNSUPPORTED;
#endif
}
