/* int8 products by AVX-512 VNNI, Note [Dots of bytes] in int8.inc.c; the way of bf16.inc.c with four bytes of k in a lane. */
#include "gemm_regs.h"

#define TARGET __attribute__((target("avx512vnni")))
enum { FOURS = 512, FOURS_ROWS = 384, FOURS_WIDE = RT_INT8_REGS * 16, FOURS_MOST = 8192 };
_Static_assert(FOURS * 4 * (FOURS_WIDE + FOURS_ROWS) + FOURS_MOST * 4 <= RT_ROOM, "panels, rows of a and their sums have room");

/* Where a tile's sums go; added to c where `add`; less: what to take off each row, or NULL. */
typedef struct { int32_t *c; int64_t ldc; const int32_t *less; int add, len; } FoursOut;

static __attribute__((noinline)) void fours_put(int rows, const int32_t *sum, int64_t w, const FoursOut *o) {
    for (int r = 0; r < rows; r++) {
        __m512i less = _mm512_set1_epi32(o->less ? o->less[r] : 0);
        for (int64_t j = 0; j < o->len; j += 16) {
            __mmask16 some = o->len - j >= 16 ? 0xffff : (__mmask16)((1 << (o->len - j)) - 1);
            int32_t *c = o->c + r * o->ldc + j;
            __m512i v = _mm512_sub_epi32(_mm512_loadu_si512(sum + r * w + j), less);
            if (o->add) v = _mm512_add_epi32(v, _mm512_maskz_loadu_epi32(some, c));
            _mm512_mask_storeu_epi32(c, some, v);
        }
    }
}

#define FOURS_EACH(R, C) RT_INT8_UNROLL for (int r = 0; r < R; r++) RT_INT8_UNROLL for (int j = 0; j < C; j++)
typedef int32_t FoursSum __attribute__((vector_size(64)));       /* arrays of __m512i, which may alias anything, stay in memory */
#define FOURS_DOT_0(s, x, y) (FoursSum)_mm512_dpbusd_epi32((__m512i)s, y, x)        /* a signed: b holds unsigned bytes */
#define FOURS_DOT_1(s, x, y) (FoursSum)_mm512_dpbusd_epi32((__m512i)s, x, y)
#define FOURS_TILE(U, R, C)                                                                                        \
    TARGET static __attribute__((noinline)) void fours_##U##_##R##x##C(int64_t groups, const int8_t *a, int64_t a_m, int64_t a_g, const char *b, \
                                                                       const FoursOut *o) {                        \
        FoursSum acc[R][C];                                                                                        \
        FOURS_EACH(R, C) acc[r][j] = (FoursSum){0};                                                                \
        do {                                                                                                       \
            __m512i y[C];                                                                                          \
            RT_INT8_UNROLL for (int j = 0; j < C; j++) y[j] = _mm512_loadu_si512(b + j * 64);                      \
            RT_INT8_UNROLL for (int r = 0; r < R; r++) {                                                           \
                int32_t four;                                                                                      \
                memcpy(&four, a + r * a_m, 4);                                                                     \
                __m512i x = _mm512_set1_epi32(four);                                                               \
                RT_INT8_UNROLL for (int j = 0; j < C; j++) acc[r][j] = FOURS_DOT_##U(acc[r][j], x, y[j]);          \
            }                                                                                                      \
            a += a_g; b += C * 64;                                                                                 \
        } while (--groups);                                                                                        \
        int32_t sum[R * C * 16];                                                                                   \
        FOURS_EACH(R, C) _mm512_storeu_si512(sum + (r * C + j) * 16, (__m512i)acc[r][j]);                                   \
        fours_put(R, sum, C * 16, o);                                                                              \
    }
#define FOURS_TILES(U, C) FOURS_TILE(U, 1, C) FOURS_TILE(U, 2, C) FOURS_TILE(U, 3, C) FOURS_TILE(U, 4, C) FOURS_TILE(U, 5, C) FOURS_TILE(U, 6, C)
#define FOURS_ALL(U) FOURS_TILES(U, 1) FOURS_TILES(U, 2) FOURS_TILES(U, 3) FOURS_TILES(U, 4)
FOURS_ALL(0) FOURS_ALL(1)
typedef void (*FoursTile)(int64_t groups, const int8_t *a, int64_t a_m, int64_t a_g, const char *b, const FoursOut *o);
#define FOURS_OF(U, C) {fours_##U##_1x##C, fours_##U##_2x##C, fours_##U##_3x##C, fours_##U##_4x##C, fours_##U##_5x##C, fours_##U##_6x##C}
static const FoursTile fours_tiles[2][RT_INT8_REGS][RT_INT8_ROWS] = {{FOURS_OF(0, 1), FOURS_OF(0, 2), FOURS_OF(0, 3), FOURS_OF(0, 4)},
                                                                     {FOURS_OF(1, 1), FOURS_OF(1, 2), FOURS_OF(1, 3), FOURS_OF(1, 4)}};

/* k rows of n columns as fours along k: rows of `w` fours, a whole number of registers; bytes are flipped by `flip`, what is filled up is 0. */
static void fours_pack(int64_t k, int64_t n, const int8_t *x, int64_t x_k, int64_t x_n, int flip, uint32_t *out, int64_t w) {
    int64_t groups = (k + 3) / 4;
    __m512i turn = _mm512_set1_epi8((char)flip);
    if (x_n == 1) {
        for (int64_t p = 0; p < groups; p++, out += w, x += 4 * x_k)
            for (int64_t j = 0; j < w; j += 64) {
                __mmask64 some = n - j >= 64 ? ~0ULL : n > j ? (1ULL << (n - j)) - 1 : 0;
                __m512i r[4], q[4], s[4];
                for (int i = 0; i < 4; i++) r[i] = _mm512_xor_si512(turn, _mm512_maskz_loadu_epi8(4 * p + i < k ? some : 0, x + i * x_k + j));
                q[0] = _mm512_unpacklo_epi8(r[0], r[1]); q[1] = _mm512_unpackhi_epi8(r[0], r[1]);
                q[2] = _mm512_unpacklo_epi8(r[2], r[3]); q[3] = _mm512_unpackhi_epi8(r[2], r[3]);
                s[0] = _mm512_unpacklo_epi16(q[0], q[2]); s[1] = _mm512_unpackhi_epi16(q[0], q[2]);       /* quarters of 16 columns each */
                s[2] = _mm512_unpacklo_epi16(q[1], q[3]); s[3] = _mm512_unpackhi_epi16(q[1], q[3]);
                q[0] = _mm512_shuffle_i32x4(s[0], s[1], 0x44); q[1] = _mm512_shuffle_i32x4(s[2], s[3], 0x44);
                q[2] = _mm512_shuffle_i32x4(s[0], s[1], 0xee); q[3] = _mm512_shuffle_i32x4(s[2], s[3], 0xee);
                for (int i = 0; i < 4 && j + i * 16 < w; i++)
                    _mm512_storeu_si512(out + j + i * 16, i % 2 ? _mm512_shuffle_i32x4(q[i / 2 * 2], q[i / 2 * 2 + 1], 0xdd)
                                                                : _mm512_shuffle_i32x4(q[i / 2 * 2], q[i / 2 * 2 + 1], 0x88));
            }
        return;
    }
    for (int64_t j = 0; j < w; j += 16) {
        int64_t p = 0, len = n - j < 16 ? n - j : 16;
        if (x_k == 1 && len == 16)
            for (; 4 * p + 64 <= k; p += 16) {
                rt_turn_words((const char *)x + j * x_n + 4 * p, x_n, (char *)(out + p * w + j), w * 4);
                if (flip) for (int i = 0; i < 16; i++) {
                    uint32_t *o = out + (p + i) * w + j;
                    _mm512_storeu_si512(o, _mm512_xor_si512(turn, _mm512_loadu_si512(o)));
                }
            }
        for (; p < groups; p++)
            for (int64_t q = 0; q < 16; q++) {
                uint32_t four = 0;
                for (int64_t i = 0; i < 4 && q < len && 4 * p + i < k; i++)
                    four |= (uint32_t)(uint8_t)(x[(j + q) * x_n + (4 * p + i) * x_k] ^ flip) << 8 * i;
                out[p * w + j + q] = four;
            }
    }
}

/* c = a b, any strides of a and b; `unsign`: a holds unsigned bytes. */
static void fours_product(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign, const int8_t *b, int64_t b_k,
                          int64_t b_n, int32_t *c, int64_t ldc, void *room) {
    int64_t deep = (k + 3) / 4, depth = deep < FOURS ? deep : FOURS;
    int near = a_k == 1 && k % 4 == 0;
    int64_t most = near ? FOURS_MOST : FOURS_ROWS;
    int32_t *less = room;
    uint32_t *right = (uint32_t *)(less + FOURS_MOST), *left = right + FOURS * FOURS_WIDE;
    FoursOut o = {NULL, ldc, NULL, 0, 0};
    for (int64_t i0 = 0; i0 < m; i0 += most)
        for (int64_t p = 0; p < deep; p += depth) {
            int64_t rows = m - i0 < most ? m - i0 : most, groups = deep - p < depth ? deep - p : depth, kb = k - 4 * p < 4 * groups ? k - 4 * p : 4 * groups;
            const int8_t *x = a + i0 * a_m + 4 * p * a_k;
            int64_t step = a_m;
            if (!near) {
                step = groups * 4;
                for (int64_t i = 0; i < rows; i++) {
                    int8_t *to = (int8_t *)left + i * step;
                    if (a_k == 1) memcpy(to, x + i * a_m, (size_t)kb);
                    else for (int64_t q = 0; q < kb; q++) to[q] = x[i * a_m + q * a_k];
                    memset(to + kb, 0, (size_t)(step - kb));
                }
                x = (const int8_t *)left;
            }
            if (!unsign)                                  /* b + 128 is what is multiplied */
                for (int64_t i = 0; i < rows; i++) {
                    const int8_t *row = x + i * step;
                    int32_t s = 0;
                    for (int64_t q = 0; q < kb; q++) s += row[q];
                    less[i] = 128 * s;
                }
            o.add = p > 0;
            int64_t parts = (rows + RT_INT8_ROWS - 1) / RT_INT8_ROWS;
            for (int64_t j = 0; j < n; j += FOURS_WIDE) {
                int64_t len = n - j < FOURS_WIDE ? n - j : FOURS_WIDE;
                int C = (int)((len + 15) / 16);
                fours_pack(kb, len, b + 4 * p * b_k + j * b_n, b_k, b_n, unsign ? 0 : 0x80, right, C * 16);
                o.len = (int)len;
                for (int64_t t = 0; t < parts; t++) {
                    int64_t i = rows * t / parts, some = rows * (t + 1) / parts - i;
                    o.c = c + (i0 + i) * ldc + j;
                    o.less = unsign ? NULL : less + i;
                    fours_tiles[unsign][C - 1][some - 1](groups, x + i * step, step, 4, (const char *)right, &o);
                }
            }
        }
}
#undef TARGET
