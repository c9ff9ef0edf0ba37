/* Convolutions of bfloat16 by the processor's dots of pairs: part of conv.inc.c, for AVX-512 alone.
 *
 * Note [Convolved pairs]
 * AVX512_BF16 multiplies pairs and adds up in float32, at twice the rate of float32 (Note [Dots of pairs] in bf16.inc.c). The product is that of
 * Note [Channels last]: a tile of pixels by vectors of result channels, where two channels that are summed are one 32-bit word. Images whose channels
 * lie innermost are such words already and are read as they lie if they need no padding; of others the padded copy makes words, a pair of planes
 * turned sixteen pixels at a time. A tile's pixels are a list of places, so it spans the ends of rows, and its sums stay in registers over all taps:
 * weights come from the second cache, a line every six dots, which is fast enough (118 of 118 billion multiply-adds a second on a core of a Zen 4, by weights
 * in the first cache with sums stored between 112). Weights are packed to [block of channels][tap][pair][channel], once for all residues of a stride.
 * Results are scaled, shifted, cut and rounded once, on the way out of a scratch that stays in the first cache.
 *   Threads share pieces of images; where weights are more than pixels, blocks of result channels, so that each reads its own weights only.
 *   The gradient of the weights sums over pixels, so there a pair are one pixel of two pieces, woven on the way into the padded copy: two
 * images, or two parts of one. Tasks are blocks of weights, so nothing is summed twice; few weights are summed in parts that depend on the shape alone. */
#include "gemm_regs.h"
#include "half_lines.h"
#include "conv_pairs_deep.h"

#define PAIRED __attribute__((target("avx512bf16")))
#define UNROLL _Pragma("GCC unroll 16")

/* PAIR_V: vectors of a block; PAIR_K: most pairs summed at once, so that a block's weights stay in the second cache; PAIR_CHUNK: pixels whose sums wait in
 * scratch; PAIR_TAPS: most taps that weights are turned by; PAIR_RANGE: channels of a weight gradient's task, of which there are PAIR_TASKS at least;
 * PAIR_WORDS: woven at once for it. */
enum { PAIR_LANES = 16, PAIR_V = 4, PAIR_HIGH = 8, PAIR_K = 2048, PAIR_CHUNK = 96, PAIR_TAPS = 27, PAIR_RANGE = 64, PAIR_TASKS = 16, PAIR_WORDS = 98304 };

/* Most rows of a tile of C vectors. */
RT_INLINE int pair_high(int C) { return C == PAIR_V ? 6 : PAIR_HIGH; }
RT_INLINE int64_t even_part(int64_t n, int64_t most) { int64_t parts = (n + most - 1) / most; return (n + parts - 1) / parts; }

/* What becomes of sums: rounded(max(least, sum * scale + base)), of whole vectors of channels; scale may be NULL. */
typedef struct { const float *scale, *base; int cut; } PairEnd;

RT_INLINE __m512 pair_end(__m512 v, const PairEnd *e, int64_t m) {
    v = e->scale ? _mm512_fmadd_ps(v, _mm512_loadu_ps(e->scale + m), _mm512_loadu_ps(e->base + m)) : _mm512_add_ps(v, _mm512_loadu_ps(e->base + m));
    return e->cut ? _mm512_max_ps(_mm512_setzero_ps(), v) : v;
}

/* out[i][] (+)= sum over segs and len of the words x[off[s] + pix[i] + k] by w[place[s] + k][]; or, where `to` is not NULL, what becomes of it, at
 * to[where[i]]. */
#define PAIR_TILE(R, C)                                                                                            \
    PAIRED static __attribute__((noinline)) void pair_##R##x##C(int64_t segs, int64_t len, const int64_t *off, const int64_t *place, const int64_t *pix, \
                                                                const uint32_t *x, const uint32_t *w, float *out, int first, uint16_t *to, \
                                                                const int64_t *where, const PairEnd *end) {        \
        __m512 acc[R][C];                                                                                          \
        UNROLL for (int i = 0; i < R; i++)                                                                         \
            UNROLL for (int j = 0; j < C; j++) acc[i][j] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(out + (i * C + j) * PAIR_LANES); \
        for (int64_t s = 0; s < segs; s++) {                                                                       \
            const uint32_t *p[R], *at = w + place[s] * (C * PAIR_LANES);                                           \
            UNROLL for (int i = 0; i < R; i++) p[i] = x + off[s] + pix[i];                                         \
            for (int64_t k = 0; k < len; k++, at += C * PAIR_LANES) {                                              \
                __m512i b[C];                                                                                      \
                UNROLL for (int j = 0; j < C; j++) b[j] = _mm512_loadu_si512(at + j * PAIR_LANES);                 \
                UNROLL for (int i = 0; i < R; i++) {                                                               \
                    __m512i a = _mm512_set1_epi32((int32_t)p[i][k]);                                               \
                    UNROLL for (int j = 0; j < C; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], (__m512bh)a, (__m512bh)b[j]); \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        if (to)                                                                                                    \
            UNROLL for (int i = 0; i < R; i++)                                                                     \
                UNROLL for (int j = 0; j < C; j++)                                                                 \
                    _mm256_storeu_si256((__m256i *)(to + where[i] + j * PAIR_LANES), (__m256i)_mm512_cvtneps_pbh(pair_end(acc[i][j], end, j * PAIR_LANES))); \
        else                                                                                                       \
            UNROLL for (int i = 0; i < R; i++)                                                                     \
                UNROLL for (int j = 0; j < C; j++) _mm512_storeu_ps(out + (i * C + j) * PAIR_LANES, acc[i][j]);    \
    }
/* out[i][] += sum over count of the words x[pix[t] + i] by g[t][] */
#define PAIR_SUM(R, C)                                                                                             \
    PAIRED static __attribute__((noinline)) void pair_sum_##R##x##C(int64_t count, const int64_t *pix, const uint32_t *x, const uint32_t *g, float *out) { \
        __m512 acc[R][C];                                                                                          \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < C; j++) acc[i][j] = _mm512_loadu_ps(out + (i * C + j) * PAIR_LANES); \
        for (int64_t t = 0; t < count; t++, g += C * PAIR_LANES) {                                                 \
            const uint32_t *p = x + pix[t];                                                                        \
            __m512i b[C];                                                                                          \
            UNROLL for (int j = 0; j < C; j++) b[j] = _mm512_loadu_si512(g + j * PAIR_LANES);                      \
            UNROLL for (int i = 0; i < R; i++) {                                                                   \
                __m512i a = _mm512_set1_epi32((int32_t)p[i]);                                                      \
                UNROLL for (int j = 0; j < C; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], (__m512bh)a, (__m512bh)b[j]); \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < C; j++) _mm512_storeu_ps(out + (i * C + j) * PAIR_LANES, acc[i][j]); \
    }
#define LOW(X, C) X(1, C) X(2, C) X(3, C) X(4, C) X(5, C) X(6, C)
#define ALL(X) LOW(X, 4) LOW(X, 3) X(7, 3) X(8, 3) LOW(X, 2) X(7, 2) X(8, 2) LOW(X, 1) X(7, 1) X(8, 1)
ALL(PAIR_TILE)
ALL(PAIR_SUM)
typedef void (*PairTile)(int64_t, int64_t, const int64_t *, const int64_t *, const int64_t *, const uint32_t *, const uint32_t *, float *, int, uint16_t *, const int64_t *,
                         const PairEnd *);
typedef void (*PairSum)(int64_t, const int64_t *, const uint32_t *, const uint32_t *, float *);
#define ROW(n, C) n##1x##C, n##2x##C, n##3x##C, n##4x##C, n##5x##C, n##6x##C
#define HIGH_ROW(n, C) {ROW(n, C), n##7x##C, n##8x##C}
static const PairTile pair_tiles[PAIR_V][PAIR_HIGH] = {HIGH_ROW(pair_, 1), HIGH_ROW(pair_, 2), HIGH_ROW(pair_, 3), {ROW(pair_, 4)}};
static const PairSum pair_sums[PAIR_V][PAIR_HIGH] = {HIGH_ROW(pair_sum_, 1), HIGH_ROW(pair_sum_, 2), HIGH_ROW(pair_sum_, 3), {ROW(pair_sum_, 4)}};
#undef LOW
#undef ALL
#undef ROW
#undef HIGH_ROW

RT_INLINE __mmask16 pair_mask(int64_t n) { return n >= 16 ? 0xffff : n > 0 ? (__mmask16)((1 << n) - 1) : 0; }

/* 16 words of which lo's are the lower and hi's the upper halves; of `some` elements, NULL: zeros */
RT_INLINE __m512i woven(const uint16_t *lo, const uint16_t *hi, __mmask16 some) {
    __m512i u = _mm512_setzero_si512(), v = u;
    if (lo) u = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, lo));
    if (hi) v = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, hi)), 16);
    return _mm512_or_si512(u, v);
}

/* Sixteen rows of sixteen words, turned by four perfect shuffles of all of them; eight by three: then a register holds two columns. */
#define PAIR_TURN(n, stages, r) do {                                                                               \
        const __m512i lo_ = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);              \
        const __m512i hi_ = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);        \
        UNROLL for (int w_ = 0; w_ < stages; w_++) {                                                               \
            __m512i q_[n];                                                                                         \
            UNROLL for (int i_ = 0; i_ < n / 2; i_++) {                                                            \
                q_[2 * i_] = _mm512_permutex2var_epi32(r[i_], lo_, r[i_ + n / 2]);                                 \
                q_[2 * i_ + 1] = _mm512_permutex2var_epi32(r[i_], hi_, r[i_ + n / 2]);                             \
            }                                                                                                      \
            UNROLL for (int i_ = 0; i_ < n; i_++) r[i_] = q_[i_];                                                  \
        }                                                                                                          \
    } while (0)

/* dst[place[i] + r] = (lo[r*step + i], hi[r*step + i]) for i < len <= 16, r < rows: planes become words. lo_rows, hi_rows: those that are there, the
 * others are zeros. The last square overlaps the one before it. */
static void weave_16(uint32_t *dst, const int64_t *place, const uint16_t *lo, int64_t lo_rows, const uint16_t *hi, int64_t hi_rows, int64_t step, int64_t rows, int64_t len) {
    const __m512i zip = _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008, 0x190009, 0x1a000a,
                                          0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
    for (int64_t r0 = 0; r0 < rows; r0 += 16) {
        int64_t at = rows >= 16 && rows - r0 < 16 ? rows - 16 : r0, high = rows - at < 16 ? rows - at : 16;
        const uint16_t *a = lo + at * step, *b = hi + at * step;
        __m512i r[16];
        if (len == 16 && at + 16 <= lo_rows && at + 16 <= hi_rows) {
            UNROLL for (int q = 0; q < 16; q++) {
                __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(a + q * step)));
                r[q] = _mm512_permutexvar_epi16(zip, _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)(b + q * step)), 1));
            }
        } else {
            __mmask16 some = pair_mask(len);
            for (int64_t q = 0; q < 16; q++)
                r[q] = woven(q < high && at + q < lo_rows ? a + q * step : NULL, q < high && at + q < hi_rows ? b + q * step : NULL, some);
        }
        PAIR_TURN(16, 4, r);
        uint32_t turned[256] __attribute__((aligned(64)));
        if (len == 16 && high == 16) { UNROLL for (int q = 0; q < 16; q++) _mm512_storeu_si512(dst + place[q] + at, r[q]); continue; }
        UNROLL for (int q = 0; q < 16; q++) _mm512_store_si512(turned + q * 16, r[q]);
        for (int64_t q = 0; q < len; q++)
            if (high == 16) _mm512_storeu_si512(dst + place[q] + at, _mm512_load_si512(turned + q * 16));
            else memcpy(dst + place[q] + at, turned + q * 16, (size_t)high * 4);
    }
}

/* The same for any number of pixels of rows of `wide`, each `row` words behind the other. */
static void weave_turned(uint32_t *dst, int64_t pitch, int64_t wide, int64_t row, const uint16_t *lo, int64_t lo_rows, const uint16_t *hi, int64_t hi_rows, int64_t step,
                         int64_t rows, int64_t len) {
    int64_t place[16], x = 0, line = 0;
    if (rows == 2 && pitch == 2) {                           /* three or four channels: nothing to turn */
        const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
        for (int64_t i = 0; i < len; i += wide, dst += row)
            for (int64_t q = 0; q < wide && i + q < len; q += 16) {
                int64_t n = len - i - q < wide - q ? len - i - q : wide - q, at = i + q;
                __mmask16 some = pair_mask(n);
                __m512i u = woven(lo_rows > 0 ? lo + at : NULL, hi_rows > 0 ? hi + at : NULL, some);
                __m512i v = woven(lo_rows > 1 ? lo + step + at : NULL, hi_rows > 1 ? hi + step + at : NULL, some);
                _mm512_mask_storeu_epi32(dst + 2 * q, pair_mask(2 * n), _mm512_permutex2var_epi32(u, first, v));
                _mm512_mask_storeu_epi32(dst + 2 * q + 16, pair_mask(2 * n - 16), _mm512_permutex2var_epi32(u, second, v));
            }
        return;
    }
    for (int64_t i0 = 0; i0 < len; i0 += 16) {
        int64_t n = len - i0 < 16 ? len - i0 : 16;
        for (int64_t q = 0; q < n; q++) {
            place[q] = line + x * pitch;
            if (++x == wide) { x = 0; line += row; }
        }
        weave_16(dst, place, lo + i0, lo_rows, hi + i0, hi_rows, step, rows, n);
    }
}

/* The same of pixels whose channels lie innermost, `pixel` elements apart. */
static void weave_rows(uint32_t *dst, int64_t pitch, const uint16_t *lo, const uint16_t *hi, int64_t pixel, int64_t channels, int64_t len) {
    for (int64_t i = 0; i < len; i++) {
        int64_t c = 0;
        const uint16_t *a = lo ? lo + i * pixel : NULL, *b = hi ? hi + i * pixel : NULL;
        for (; c + 16 <= channels; c += 16) _mm512_storeu_si512(dst + i * pitch + c, woven(a ? a + c : NULL, b ? b + c : NULL, 0xffff));
        for (; c < channels; c++) dst[i * pitch + c] = (a ? a[c] : 0) | (uint32_t)(b ? b[c] : 0) << 16;
    }
}

/* ---- weights ---- */

/* 16 rows of `cols` elements, zeros behind what there is: `count` rows of `some`, `step` apart. */
static void pair_copy(uint16_t *to, int64_t cols, const uint16_t *src, int64_t step, int64_t count, int64_t some) {
    memset(to, 0, (size_t)(16 * cols) * 2);
    for (int64_t i = 0; i < count; i++) memcpy(to + i * cols, src + i * step, (size_t)some * 2);
}

/* Sixteen result channels from m0 on: to[(tap*pairs + pair)*row + channel]. ws: steps of result channel, summed channel and tap. */
static void pairs_pack_16(int64_t m0, int64_t m, int64_t channels, int64_t taps, const uint16_t *w, const int64_t *ws, uint32_t *to, int64_t row) {
    int64_t pairs = (channels + 1) / 2, count = m - m0 < 16 ? m - m0 : 16;
    __mmask16 there = pair_mask(count);
    w += m0 * ws[0];
    if (ws[1] == 1) {                                        /* summed channels are neighbours */
        uint16_t own[16 * 32] __attribute__((aligned(64)));
        uint32_t turned[256] __attribute__((aligned(64)));
        for (int64_t t = 0; t < taps; t++)
            for (int64_t p = 0; p < pairs; p += 16) {
                const uint16_t *src = w + t * ws[2] + 2 * p;
                uint32_t *dst = to + (t * pairs + p) * row;
                int64_t some = channels - 2 * p < 32 ? channels - 2 * p : 32;
                if (count == 16 && some == 32) { rt_turn_words((const char *)src, ws[0] * 2, (char *)dst, row * 4); continue; }
                pair_copy(own, 32, src, ws[0], count, some);
                rt_turn_words((const char *)own, 64, (char *)turned, 64);
                for (int64_t q = 0; q < (some + 1) / 2; q++) memcpy(dst + q * row, turned + q * 16, 64);
            }
    } else if (ws[0] == 1) {                                 /* result channels are */
        for (int64_t t = 0; t < taps; t++)
            for (int64_t p = 0; p < pairs; p++) {
                const uint16_t *lo = w + t * ws[2] + 2 * p * ws[1];
                _mm512_storeu_si512(to + (t * pairs + p) * row, woven(lo, 2 * p + 1 < channels ? lo + ws[1] : NULL, there));
            }
    } else if (ws[2] == 1 && ws[1] == taps && taps <= PAIR_TAPS) {   /* all of a row are: turned, then halves of words put together */
        uint16_t own[16 * 32 * PAIR_TAPS] __attribute__((aligned(64)));
        uint32_t turned[256 * PAIR_TAPS] __attribute__((aligned(64)));
        const __m512i low = _mm512_set1_epi32(0xffff);
        for (int64_t c = 0; c < channels; c += 32) {
            int64_t some = channels - c < 32 ? channels - c : 32, step = ws[0];
            const uint16_t *src = w + c * taps;
            if (some < 32 || count < 16) {
                pair_copy(own, 32 * taps, src, step, count, some * taps);
                src = own;
                step = 32 * taps;
            }
            for (int64_t q = 0; q < taps; q++) rt_turn_words((const char *)(src + 32 * q), step * 2, (char *)(turned + 256 * q), 64);
            for (int64_t p = 0; p < (some + 1) / 2; p++)
                for (int64_t t = 0; t < taps; t++) {
                    int64_t k = 2 * p * taps + t, n = k + taps;
                    __m512i u = _mm512_load_si512(turned + (k >> 1) * 16), v = _mm512_load_si512(turned + (n >> 1) * 16);
                    u = k & 1 ? _mm512_srli_epi32(u, 16) : _mm512_and_si512(u, low);
                    v = n & 1 ? _mm512_andnot_si512(low, v) : _mm512_slli_epi32(v, 16);
                    _mm512_storeu_si512(to + (t * pairs + c / 2 + p) * row, _mm512_or_si512(u, v));
                }
        }
    } else if (ws[2] == 1 && ws[0] == taps && taps <= PAIR_TAPS) {   /* two rows woven, each channel's taps turned */
        uint32_t words[16 * PAIR_TAPS + 32] __attribute__((aligned(64))), turned[256] __attribute__((aligned(64)));
        memset(words, 0, sizeof words);
        for (int64_t p = 0; p < pairs; p++) {
            const uint16_t *lo = w + 2 * p * ws[1], *hi = 2 * p + 1 < channels ? lo + ws[1] : NULL;
            for (int64_t k = 0; k < count * taps; k += 16) _mm512_store_si512(words + k, woven(lo + k, hi ? hi + k : NULL, pair_mask(count * taps - k)));
            for (int64_t t0 = 0; t0 < taps; t0 += 16) {
                rt_turn_words((const char *)(words + t0), taps * 4, (char *)turned, 64);
                for (int64_t t = t0; t < taps && t < t0 + 16; t++) memcpy(to + (t * pairs + p) * row, turned + (t - t0) * 16, 64);
            }
        }
    } else
        for (int64_t t = 0; t < taps; t++)
            for (int64_t p = 0; p < pairs; p++)
                for (int64_t i = 0; i < 16; i++) {
                    const uint16_t *at = w + i * ws[0] + 2 * p * ws[1] + t * ws[2];
                    to[(t * pairs + p) * row + i] = i >= count ? 0 : at[0] | (2 * p + 1 < channels ? (uint32_t)at[ws[1]] << 16 : 0);
                }
}

/* Vectors of a block of result channels, and of the block that begins with vector v. */
RT_INLINE int64_t pair_wide(int64_t vectors) { return vectors > PAIR_V ? even_part(vectors, PAIR_V) : vectors; }
RT_INLINE int64_t pair_block(int64_t v, int64_t vectors) { int64_t wide = pair_wide(vectors); return vectors - v < wide ? vectors - v : wide; }

/* All groups' weights: [group][block of channels][tap][pair][channel]; returns how many words. to: NULL to be told. */
static int64_t pairs_pack(int64_t groups, int64_t m, int64_t channels, int64_t taps, const uint16_t *w, const int64_t *ws, uint32_t *to, int threads) {
    int64_t vectors = (m + 15) / 16, kn = taps * ((channels + 1) / 2), size = vectors * 16 * kn;
    if (!to) return groups * size;
    threads = rt_few((double)groups * m * kn, 65536, threads, groups * vectors);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < groups * vectors; i++) {
        int64_t g = i / vectors, v = i % vectors, first = v / pair_wide(vectors) * pair_wide(vectors);
        pairs_pack_16(v * 16, m, channels, taps, w + g * ws[3], ws, to + g * size + first * 16 * kn + (v - first) * 16, pair_block(first, vectors) * 16);
    }
    return groups * size;
}

/* ---- forward, and the gradient of the input ---- */

/* A product beside its Job, whose cin counts pairs: `channels` elements. */
typedef struct {
    const Job_f32 *j;
    Last_f32 l;
    int64_t channels, all;                /* summed channels; taps that weights have */
    int64_t *off, *place, *pix, *where;   /* of taps, in the source and (as rows) among the weights; of a block's pixels, in the source and the result */
    int dense;                            /* pixels of a plane of results are neighbours from row to row */
    const float *scale, *base;            /* of result channels, whole vectors of each group; scale may be NULL */
    Dest_f32 dest;
} Pairs;

/* The padded words of results from `at` on of one group of one image. */
static void pairs_pad(const Pairs *s, const uint16_t *x, RtOrder from, const int64_t *at, uint32_t *to) {
    const Job_f32 *j = s->j;
    const Last_f32 *l = &s->l;
    int64_t row = l->plane[2] * j->cin, first = at[2] * j->step[2] + l->lo[2], lead = first < 0 ? -first : 0, skip = first > 0 ? first : 0;
    if (lead > l->plane[2]) lead = l->plane[2];
    int64_t len = j->in[2] - skip < l->plane[2] - lead ? j->in[2] - skip : l->plane[2] - lead;
    if (len < 0) len = 0;
    int64_t y0 = at[1] * j->step[1] + l->lo[1], many = 1;    /* rows that are turned together: whole ones */
    for (int64_t a = 0; a < l->plane[0]; a++)
        for (int64_t b = 0; b < l->plane[1]; b += many, to += many * row) {
            int64_t z = at[0] * j->step[0] + l->lo[0] + a, y = y0 + b;
            many = 1;
            if (z < 0 || z >= j->in[0] || y < 0 || y >= j->in[1]) { memset(to, 0, (size_t)row * 4); continue; }
            const uint16_t *src = x + ((z * j->in[1] + y) * j->in[2] + skip) * from.pixel;
            uint32_t *dst = to + lead * j->cin;
            if (from.channel != 1 && len == j->in[2]) many = j->in[1] - y < l->plane[1] - b ? j->in[1] - y : l->plane[1] - b;
            for (int64_t i = 0; i < many; i++) {
                memset(to + i * row, 0, (size_t)(lead * j->cin) * 4);
                memset(dst + i * row + len * j->cin, 0, (size_t)(row - (lead + len) * j->cin) * 4);
            }
            if (from.channel != 1)
                weave_turned(dst, j->cin, len, row, src, j->cin, src + from.channel, s->channels / 2, 2 * from.channel, j->cin, len * many);
            else if (from.pixel == 2 * j->cin) memcpy(dst, src, (size_t)(len * j->cin) * 4);
            else if (s->channels >= 16)
                for (int64_t i = 0; i < len; i++) {
                    if (s->channels % 2) dst[(i + 1) * j->cin - 1] = 0;
                    memcpy(dst + i * j->cin, src + i * from.pixel, (size_t)s->channels * 2);
                }
            else {
                int64_t i = 0;
                if (s->channels == 3 && j->cin == 2)         /* with the next pixel's first, which is cut off */
                    for (; i + 1 < len; i++, src += from.pixel, dst += 2) {
                        uint64_t two;
                        memcpy(&two, src, 8);
                        two &= 0xffffffffffff;
                        memcpy(dst, &two, 8);
                    }
                for (; i < len; i++, src += from.pixel)
                    for (int64_t c = 0; c < s->channels; c += 2) *dst++ = src[c] | (c + 1 < s->channels ? (uint32_t)src[c + 1] << 16 : 0);
            }
        }
}

/* Sixteen rows of floats, rounded and turned: two columns of sixteen a register. */
PAIRED RT_INLINE void round_turned(const __m512 *v, __m512i *r) {
    const __m512i zip = _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008, 0x190009, 0x1a000a,
                                          0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
    UNROLL for (int i = 0; i < 8; i++) r[i] = _mm512_permutexvar_epi16(zip, (__m512i)_mm512_cvtne2ps_pbh(v[2 * i + 1], v[2 * i]));
    PAIR_TURN(8, 3, r);
}

/* `len` results of `channels` channels out of scratch, rows of `width`, to where they belong. */
PAIRED static void pairs_out(const float *s, int64_t width, int64_t len, int64_t channels, const PairEnd *end, uint16_t *to, int64_t pixel, int64_t channel) {
    uint16_t lines[16][16] __attribute__((aligned(64)));
    for (int64_t m = 0; m < channels; m += 16) {
        __mmask16 there = pair_mask(channels - m);
        const float *from = s + m;
        if (channel == 1) {
            for (int64_t i = 0; i < len; i++) {
                __m256i v = (__m256i)_mm512_cvtneps_pbh(pair_end(_mm512_loadu_ps(from + i * width), end, m));
                if (there == 0xffff) _mm256_storeu_si256((__m256i *)(to + i * pixel + m), v);
                else _mm256_mask_storeu_epi16(to + i * pixel + m, there, v);
            }
            continue;
        }
        for (int64_t i0 = 0; i0 < len; i0 += 16, from += 16 * width) {
            int64_t some = len - i0 < 16 ? len - i0 : 16, high = channels - m < 16 ? channels - m : 16;
            uint16_t *at = to + m * channel + i0 * pixel;
            __m512 v[16];
            __m512i r[8];
            UNROLL for (int i = 0; i < 16; i++) v[i] = pair_end(_mm512_loadu_ps(from + (i < some ? i : 0) * width), end, m);
            round_turned(v, r);
            if (pixel == 1 && some == 16 && high == 16) {
                UNROLL for (int q = 0; q < 8; q++) {
                    _mm256_storeu_si256((__m256i *)(at + 2 * q * channel), _mm512_castsi512_si256(r[q]));
                    _mm256_storeu_si256((__m256i *)(at + (2 * q + 1) * channel), _mm512_extracti64x4_epi64(r[q], 1));
                }
                continue;
            }
            UNROLL for (int q = 0; q < 8; q++) _mm512_store_si512(lines[2 * q], r[q]);
            for (int64_t q = 0; q < high; q++)
                if (pixel == 1) _mm256_mask_storeu_epi16(at + q * channel, pair_mask(some), _mm256_load_si256((const __m256i *)lines[q]));
                else for (int64_t i = 0; i < some; i++) at[q * channel + i * pixel] = lines[q][i];
        }
    }
}

/* Asks for the lines of results that a tile, pixels i to i + mr of n, and its neighbours will write: their sums take long, and a line comes from far away. */
RT_INLINE void pairs_ask(const uint16_t *to, const int64_t *where, int64_t i, int64_t mr, int64_t n, int64_t row, int64_t channels) {
    enum { LINE = 32 };
    if (row == 1)
        for (int64_t q = i; q < i + mr; q++) for (int64_t c = 0; c < channels; c += LINE) __builtin_prefetch(to + where[q] + c, 1);
    else
        for (int64_t c = channels * i / n; c < channels * (i + mr) / n; c++)
            for (int64_t q = where[0]; q <= where[n - 1]; q += LINE) __builtin_prefetch(to + c * row + q, 1);
}

/* Result channels of the vectors [v0, v1) of results [at, end) of one group of one image. */
static void pairs_piece(const Pairs *s, const uint32_t *x, const uint32_t *w, const float *scale, const float *base, uint16_t *y, const int64_t *at,
                        const int64_t *end, int64_t v0, int64_t v1, float *scratch) {
    const Job_f32 *j = s->j;
    const Dest_f32 *d = &s->dest;
    int64_t wide = end[2] - at[2], count = (end[0] - at[0]) * (end[1] - at[1]) * wide, kn = s->all * j->cin, vectors = (j->m + 15) / 16;
    int64_t per = j->cin && j->cin < PAIR_K ? even_part(j->taps ? j->taps : 1, PAIR_K / j->cin) : 1, part = j->cin ? even_part(j->cin, PAIR_K) : 1;
    for (int64_t v = v0, nv; v < v1; v += nv) {
        nv = pair_block(v, vectors);
        int64_t width = nv * 16, m = v * 16, channels = j->m - m < width ? j->m - m : width, high = pair_high((int)nv);
        int straight = d->row == 1 && channels == width;     /* out of the tiles to where results belong */
        const uint32_t *wv = w + m * kn;
        const PairEnd ending = {scale ? scale + m : NULL, base + m, j->cut};
        uint16_t *to = y + d->first + at[0] * d->step[0] + at[1] * d->step[1] + at[2] * d->step[2] + m * d->row;
        for (int64_t i0 = 0; i0 < count; i0 += PAIR_CHUNK) {
            int64_t n = count - i0 < PAIR_CHUNK ? count - i0 : PAIR_CHUNK, tiles = (n + high - 1) / high, least = n / tiles, more = n % tiles;
            int first = 1;
            for (int64_t t = 0; t < j->taps || first; t += per)
                for (int64_t k = 0; k < j->cin || first; k += part, first = 0) {
                    int64_t segs = j->taps - t < per ? j->taps - t : per, len = j->cin - k < part ? j->cin - k : part;
                    int last = t + per >= j->taps && k + part >= j->cin;
                    for (int64_t i = 0, q = 0, mr; i < n; i += mr, q++) {
                        mr = least + (q < more);
                        if (first) pairs_ask(to, s->where + i0, i, mr, n, d->row, channels);
                        pair_tiles[nv - 1][mr - 1](segs, len, s->off + t, s->place + t, s->pix + i0 + i, x + k, wv + k * width, scratch + i * width, first,
                                                   straight && last ? to : NULL, s->where + i0 + i, &ending);
                    }
                }
            for (int64_t i = i0, len; !straight && i < i0 + n; i += len) {
                len = s->dense ? n : wide - i % wide < i0 + n - i ? wide - i % wide : i0 + n - i;
                pairs_out(scratch + (i - i0) * width, width, len, channels, &ending, to + s->where[i], d->step[2], d->row);
            }
        }
    }
}

/* All groups and images of a product. w: packed; which: of its taps each of j's is, NULL: their own; from: in elements. */
static int pairs_run(Pairs *s, Job_f32 *j, const uint16_t *x, RtOrder from, const uint32_t *w, const int64_t *which, uint16_t *y, int threads) {
    int64_t pixels = j->grid[0] * j->grid[1] * j->grid[2], kn = s->all * j->cin, vectors = (j->m + 15) / 16, wide = pair_wide(vectors), blocks = (vectors + wide - 1) / wide;
    if (!pixels || !j->batch || !j->m) return 0;
    s->j = j;
    threads = rt_few((double)j->batch * j->groups * j->m * j->cin * j->taps * pixels, GRAIN_MACS, threads, threads);
    int apart = blocks > 1 && j->m * j->taps > j->batch * j->in[0] * j->in[1] * j->in[2];
    RtOrder words = from.channel == 1 && s->channels % 2 == 0 ? (RtOrder){from.image / 2, from.pixel / 2, 1} : (RtOrder){0, 0, 2};
    if (last_plan_f32(&s->l, j, words, 1, apart && blocks % threads == 0 && vectors % wide == 0 ? 1 : threads)) return 1;
    const Last_f32 *l = &s->l;
    int64_t pieces[3], each = 1, block = l->block[0] * l->block[1] * l->block[2], run = l->segs ? j->taps / l->segs : 1;
    for (int d = 0; d < 3; d++) each *= pieces[d] = (j->grid[d] + l->block[d] - 1) / l->block[d];
    int64_t tasks = j->batch * j->groups * each * (apart ? blocks : 1), size = l->direct ? 0 : l->plane[0] * l->plane[1] * l->plane[2] * j->cin;
    int failed = 0;
    s->off = malloc((size_t)(2 * (j->taps + block)) * sizeof(int64_t));
    if (!s->off) { last_free_f32(&s->l); return 1; }
    s->place = s->off + j->taps;
    s->pix = s->place + j->taps;
    s->where = s->pix + block;
    for (int64_t t = 0; t < j->taps; t++) {
        s->off[t] = l->off[t / run] + t % run * j->cin;
        s->place[t] = (which ? which[l->order[t]] : l->order[t]) * j->cin;
    }
    for (int64_t i = 0; i < block; i++) {
        int64_t a = i / l->block[2] / l->block[1], b = i / l->block[2] % l->block[1], c = i % l->block[2];
        s->pix[i] = ((a * j->step[0] * l->plane[1] + b * j->step[1]) * l->plane[2] + c * j->step[2]) * l->pitch;
        s->where[i] = a * s->dest.step[0] + b * s->dest.step[1] + c * s->dest.step[2];
    }
    s->dense = s->dest.step[1] == j->grid[2] * s->dest.step[2] && s->dest.step[0] == j->grid[1] * s->dest.step[1];
    if (threads > tasks) threads = (int)tasks;
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *scratch = buffer_f32(PAIR_CHUNK * PAIR_V * 16 + size);
        if (!scratch) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            uint32_t *buf = (uint32_t *)scratch + PAIR_CHUNK * PAIR_V * 16;
            EACH(task) {
                int64_t i = apart ? task % (j->batch * each) : task / each / j->groups * each + task % each, v = 0, at[3], end[3];
                int64_t g = apart ? task / (j->batch * each * blocks) : task / each % j->groups, n = i / each;
                if (apart) v = task / (j->batch * each) % blocks * wide;
                last_piece_f32(l, j, pieces, i % each, at, end);
                const uint16_t *src = x + n * from.image + g * s->channels * from.channel;
                const uint32_t *read = buf;
                if (l->direct) read = (const uint32_t *)src + ((at[0] * j->step[0] * l->plane[1] + at[1] * j->step[1]) * l->plane[2] + at[2] * j->step[2]) * l->pitch;
                else pairs_pad(s, src, from, at, buf);
                pairs_piece(s, read, w + g * vectors * 16 * kn, s->scale ? s->scale + g * vectors * 16 : NULL, s->base + g * vectors * 16,
                            y + n * s->dest.image + g * j->m * s->dest.row, at, end, v, apart ? v + pair_block(v, vectors) : vectors, scratch);
            }
        }
        free(scratch);
    }
    free(s->off);
    last_free_f32(&s->l);
    return failed;
}

/* Weights packed unless they come so, and the shifts and factors of `m` result channels a group in whole vectors; NULL: no memory. */
static float *pairs_begin(Pairs *s, const RtConvGeom *c, int64_t m, int forward, const uint16_t *w, const float *b, int orders, const uint32_t **packed, int threads) {
    int64_t vectors = (m + 15) / 16, wide = c->groups * vectors * 16, taps = c->kernel[0] * c->kernel[1] * c->kernel[2], ws[4];
    const float *scale = forward ? c->scale : NULL;
    weight_steps_f32(c, orders & RT_LAST_W, forward, ws);
    s->channels = forward ? c->cin : c->cout;
    s->all = taps;
    *packed = forward ? c->packed : NULL;
    float *base = buffer_f32(2 * wide + (*packed ? 0 : pairs_pack(c->groups, m, s->channels, taps, w, ws, NULL, 1)));
    if (!base) return NULL;
    for (int64_t i = 0; i < wide; i++) {
        int64_t at = i / (vectors * 16) * m + i % (vectors * 16);
        int there = i % (vectors * 16) < m;
        base[i] = b && there ? b[at] : 0;
        base[wide + i] = scale && there ? scale[at] : 1;
    }
    s->base = base;
    s->scale = scale ? base + wide : NULL;
    if (!*packed) {
        pairs_pack(c->groups, m, s->channels, taps, w, ws, (uint32_t *)base + 2 * wide, threads);
        *packed = (uint32_t *)base + 2 * wide;
    }
    return base;
}

static int forward_pairs(const RtConvGeom *c, const uint16_t *x, const uint16_t *w, const float *b, uint16_t *y, int orders, int threads) {
    if (is_deep_pairs(c, orders)) return run_deep_pairs(c, 0, x, w, b, y, threads);
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], pixels = c->out[0] * c->out[1] * c->out[2];
    Job_f32 j = {.m = c->cout, .cin = (c->cin + 1) / 2, .taps = taps, .batch = c->batch, .groups = c->groups, .cut = (int)c->cut};
    RtOrder from = order(c->groups * c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X), to = order(c->groups * c->cout, pixels, orders & RT_LAST_Y);
    Pairs s = {.dest = {NULL, to.image, to.channel, 0, {c->out[1] * c->out[2] * to.pixel, c->out[2] * to.pixel, to.pixel}}};
    const uint32_t *packed;
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    float *own = tap ? pairs_begin(&s, c, c->cout, 1, w, b, orders, &packed, threads) : NULL;
    int rc = 1;
    if (own) {
        forward_taps_f32(c, tap);
        for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
        j.tap = tap;
        rc = pairs_run(&s, &j, x, from, packed, NULL, y, threads);
    }
    free(own); free(tap);
    return rc;
}

static int dinput_pairs(const RtConvGeom *c, const uint16_t *g, const uint16_t *w, const float *b, uint16_t *gx, int orders, int threads) {
    if (is_deep_pairs(c, orders)) return run_deep_pairs(c, 1, g, w, b, gx, threads);
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], r[3];
    RtOrder from = order(c->groups * c->cout, c->out[0] * c->out[1] * c->out[2], orders & RT_LAST_Y);
    RtOrder to = order(c->groups * c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X);
    Pairs s = {0};
    const uint32_t *packed;
    int64_t *tap = malloc((size_t)(4 * taps + 1) * sizeof(int64_t)), *which = tap + 3 * taps;
    float *own = tap ? pairs_begin(&s, c, c->cin, 0, w, b, orders, &packed, threads) : NULL;
    int rc = !own;
    for (r[0] = 0; r[0] < c->stride[0] && !rc; r[0]++)
    for (r[1] = 0; r[1] < c->stride[1] && !rc; r[1]++)
    for (r[2] = 0; r[2] < c->stride[2] && !rc; r[2]++) {
        Job_f32 j;
        dinput_job_f32(c, r, &j, tap, which, NULL, &s.dest);
        j.cin = (c->cout + 1) / 2;
        s.dest.image = to.image;
        s.dest.row = to.channel;
        s.dest.first *= to.pixel;
        for (int k = 0; k < 3; k++) s.dest.step[k] *= to.pixel;
        rc = pairs_run(&s, &j, g, from, packed, which, gx, threads);
    }
    free(own); free(tap);
    return rc;
}

/* ---- the gradient of the weights ---- */

/* Two pieces that are woven: of images n, results [at, end); n < 0: there is none. */
typedef struct { int64_t n[2], at[2][3], end[2][3]; } PairOfPieces;

/* `channels` channels from x on of both pieces, padded and woven. */
static void pairs_weave(const Pairs *s, const uint16_t *x, RtOrder from, const PairOfPieces *both, int64_t channels, uint32_t *to) {
    const Job_f32 *j = s->j;
    const Last_f32 *l = &s->l;
    int64_t range = j->cin;
    for (int64_t a = 0; a < l->plane[0]; a++)
        for (int64_t b = 0; b < l->plane[1]; b++) {
            const uint16_t *row[2] = {NULL, NULL};           /* position lo[] of the padded row */
            int64_t lo[2] = {0, 0}, hi[2] = {0, 0};          /* positions that are there */
            for (int k = 0; k < 2; k++) {
                const int64_t *at = both->at[k], *end = both->end[k];
                int64_t reach[3], z, y, first;
                if (both->n[k] < 0) continue;
                for (int d = 0; d < 3; d++) reach[d] = (end[d] - at[d] - 1) * j->step[d] + l->ext[d];
                z = at[0] * j->step[0] + l->lo[0] + a;
                y = at[1] * j->step[1] + l->lo[1] + b;
                first = at[2] * j->step[2] + l->lo[2];
                /* what lies behind a shorter piece meets zeros, so it may not be infinite */
                if (z < 0 || z >= j->in[0] || y < 0 || y >= j->in[1] || a >= reach[0] || b >= reach[1]) continue;
                lo[k] = first < 0 ? -first : 0;
                hi[k] = j->in[2] - first < reach[2] ? j->in[2] - first : reach[2];
                if (hi[k] <= lo[k]) { lo[k] = hi[k] = 0; continue; }
                row[k] = x + both->n[k] * from.image + ((z * j->in[1] + y) * j->in[2] + first + lo[k]) * from.pixel;
            }
            for (int64_t p = 0, next; p < l->plane[2]; to += (next - p) * range, p = next) {
                const uint16_t *src[2];
                next = l->plane[2];
                for (int k = 0; k < 2; k++) {
                    if (lo[k] > p && lo[k] < next) next = lo[k];
                    if (hi[k] > p && hi[k] < next) next = hi[k];
                }
                for (int k = 0; k < 2; k++) src[k] = p >= lo[k] && p < hi[k] ? row[k] + (p - lo[k]) * from.pixel : NULL;
                if (!src[0] && !src[1]) memset(to, 0, (size_t)((next - p) * range) * 4);
                else if (from.channel == 1) weave_rows(to, range, src[0], src[1], from.pixel, channels, next - p);
                else weave_turned(to, range, next - p, 0, src[0], src[0] ? channels : 0, src[1], src[1] ? channels : 0, from.channel, channels, next - p);
            }
        }
}

/* The gradients g of both pieces, woven: `channels` of them from g on, in rows of `width` words. Returns how many pixels. */
static int64_t pairs_weave_gradient(const Pairs *s, const uint16_t *g, RtOrder up, const PairOfPieces *both, int64_t channels, int64_t width, uint32_t *to) {
    const Job_f32 *j = s->j;
    const uint16_t *src[2] = {NULL, NULL};
    int64_t count[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        const int64_t *at = both->at[k], *end = both->end[k];
        if (both->n[k] < 0) continue;
        count[k] = (end[0] - at[0]) * (end[1] - at[1]) * (end[2] - at[2]);
        src[k] = g + both->n[k] * up.image + ((at[0] * j->grid[1] + at[1]) * j->grid[2] + at[2]) * up.pixel;
    }
    int64_t most = count[0] > count[1] ? count[0] : count[1], least = count[0] < count[1] ? count[0] : count[1];
    if (width > channels) memset(to, 0, (size_t)(most * width) * 4);
    for (int64_t p = 0, next; p < most; p = next) {
        next = p < least ? least : most;
        for (int k = 0; k < 2; k++) if (p >= count[k]) src[k] = NULL;
        const uint16_t *lo = src[0] ? src[0] + p * up.pixel : NULL, *hi = src[1] ? src[1] + p * up.pixel : NULL;
        if (up.channel == 1) weave_rows(to + p * width, width, lo, hi, up.pixel, channels, next - p);
        else weave_turned(to + p * width, width, next - p, 0, lo, lo ? channels : 0, hi, hi ? channels : 0, up.channel, channels, next - p);
    }
    return most;
}

/* Sums of `parts` arrays, `apart` floats from one to the next, rows [tap][channel] of `width`, to the weights' gradient from gw on: of `some` channels of the
 * `range` that a tap has room for, and `channels` of the result. ws: gw's steps. */
PAIRED static void pairs_sums_out(const float *sums, int64_t parts, int64_t apart, int64_t taps, int64_t range, int64_t some, int64_t width, int64_t channels,
                                  uint16_t *gw, const int64_t *ws) {
    uint16_t lines[16][16] __attribute__((aligned(64)));
    int inner = ws[1] == 1 && taps > 1;                      /* channels are neighbours, tap by tap; else taps are */
    int64_t runs = inner ? taps : 1, len = inner ? some : some * taps;
    for (int64_t m = 0; m < channels; m += 16)
        for (int64_t run = 0; run < runs; run++)
            for (int64_t f = 0; f < len; f += 16) {
                int64_t n = len - f < 16 ? len - f : 16;
                __m512 v[16];
                __m512i r[8];
                for (int64_t i = 0; i < 16; i++) {
                    int64_t k = f + (i < n ? i : 0), row = inner ? run * range + k : k % taps * range + k / taps;
                    v[i] = _mm512_loadu_ps(sums + row * width + m);
                    for (int64_t part = 1; part < parts; part++) v[i] = _mm512_add_ps(v[i], _mm512_loadu_ps(sums + part * apart + row * width + m));
                }
                round_turned(v, r);
                UNROLL for (int q = 0; q < 8; q++) _mm512_store_si512(lines[2 * q], r[q]);
                for (int64_t q = 0; q < 16 && m + q < channels; q++) {
                    __m256i line = _mm256_load_si256((const __m256i *)lines[q]);
                    uint16_t *at = gw + (m + q) * ws[0] + run * ws[2] + f;
                    if (n == 16) _mm256_storeu_si256((__m256i *)at, line);
                    else _mm256_mask_storeu_epi16(at, pair_mask(n), line);
                }
            }
}

/* As wild_weights_f32(): Note [Infinities] in conv_wild_t.h. Pieces that are woven with shorter ones multiply elements beyond these by zeros. */
static int wild_pairs(const RtConvGeom *c, const uint16_t *gw, int last) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], kn = c->cin * taps, wild = 0;
    for (int64_t m = 0; m < c->groups * c->cout; m++) {
        const uint16_t *row = gw + m * kn;
        if (m % c->cout == 0) for (int64_t i = 0; i < kn; i++) wild |= (row[i] & 0x7f80) == 0x7f80;
        else for (int64_t t = 0; t < taps; t++) wild |= (row[t * (last ? c->cin : 1)] & 0x7f80) == 0x7f80;
    }
    return (int)wild;
}

/* 2: the sums are wild, and float32 should make them. */
static int dweight_pairs(const RtConvGeom *c, const uint16_t *g, const uint16_t *x, uint16_t *gw, int orders, int threads) {
    if (is_deep_pairs(c, orders)) return dweight_deep_pairs(c, g, x, gw, threads);
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], pixels = c->out[0] * c->out[1] * c->out[2], ws[4];
    if (!pixels || !c->batch) { memset(gw, 0, (size_t)(c->groups * c->cout * c->cin * taps) * 2); return 0; }
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    RtOrder from = order(c->groups * c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X), up = order(c->groups * c->cout, pixels, orders & RT_LAST_Y);
    int64_t range = even_part(c->cin, PAIR_RANGE * (taps < 3 ? 4 : taps < 9 ? 2 : 1)), ranges = (c->cin + range - 1) / range;
    int64_t vectors = (c->cout + 15) / 16, wide = pair_wide(vectors), blocks = (vectors + wide - 1) / wide;
    Job_f32 j = {.m = c->cout, .cin = range, .taps = taps, .batch = c->batch, .groups = c->groups};
    Pairs s = {.j = &j};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t)), pieces[3], each = 1;
    if (!tap) return 1;
    forward_taps_f32(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    if (last_plan_f32(&s.l, &j, (RtOrder){0, 0, 2}, 1, 2)) { free(tap); return 1; }      /* 2: an even number of pieces, whatever the threads */
    const Last_f32 *l = &s.l;
    for (int d = 0; d < 3; d++) each *= pieces[d] = (c->out[d] + l->block[d] - 1) / l->block[d];
    int64_t block = l->block[0] * l->block[1] * l->block[2], plane = l->plane[0] * l->plane[1] * l->plane[2], run = taps / l->segs;
    int64_t twos = (c->batch * each + 1) / 2, many = PAIR_WORDS / (plane * range + block * PAIR_V * 16) + 1;        /* pieces woven; of those, at once */
    int64_t tasks = c->groups * blocks * ranges, parts = tasks < PAIR_TASKS ? PAIR_TASKS / tasks : 1;
    if (many > twos) many = twos;
    if (parts > twos) parts = twos;
    if (many > (twos + parts - 1) / parts) many = (twos + parts - 1) / parts;
    int64_t size = plane * range * many, gsize = block * PAIR_V * 16 * many, sum = taps * range * PAIR_V * 16, count = block * many;
    threads = rt_few((double)c->batch * c->groups * c->cout * c->cin * taps * pixels, GRAIN_MACS, threads, tasks * parts);
    float *all = parts > 1 ? buffer_f32(tasks * parts * sum) : NULL;
    s.off = malloc((size_t)(taps + count) * sizeof(int64_t));
    s.pix = s.off + taps;
    int failed = !s.off || (parts > 1 && !all);
    if (!failed) {
        for (int64_t t = 0; t < taps; t++) s.off[l->order[t]] = l->off[t / run] + t % run * range;
        for (int64_t i = 0; i < block; i++) {
            int64_t a = i / l->block[2] / l->block[1], b = i / l->block[2] % l->block[1], p = i % l->block[2];
            s.pix[i] = ((a * j.step[0] * l->plane[1] + b * j.step[1]) * l->plane[2] + p * j.step[2]) * range;
        }
        SHARES(threads, tasks * parts);
        RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
            float *sums = buffer_f32(sum + size + gsize);
            int64_t *pix = malloc((size_t)count * sizeof(int64_t));
            uint32_t *buf = (uint32_t *)sums + sum, *gbuf = buf + size;
            if (!sums || !pix) {
                RT_OMP(omp atomic write)
                failed = 1;
            } else {
                EACH(task) {
                    int64_t part = task % parts, r = task / parts % ranges, v = task / parts / ranges % blocks * wide, group = task / parts / ranges / blocks;
                    int64_t nv = pair_block(v, vectors), width = nv * 16, channels = c->cout - v * 16 < width ? c->cout - v * 16 : width;
                    int64_t c0 = r * range, some = c->cin - c0 < range ? c->cin - c0 : range, high = pair_high((int)nv), tiles = (some + high - 1) / high;
                    float *out = parts > 1 ? all + task * sum : sums;
                    memset(out, 0, (size_t)sum * 4);
                    for (int64_t i = twos * part / parts, end = twos * (part + 1) / parts; i < end;) {
                        int64_t got = 0;                     /* pixels woven */
                        for (int64_t k = 0; k < many && i < end; k++, i++) {
                            PairOfPieces both;
                            for (int q = 0; q < 2; q++) {    /* images are the inner loop: their pieces are equal */
                                int64_t piece = 2 * i + q;
                                both.n[q] = piece < c->batch * each ? piece % c->batch : -1;
                                if (both.n[q] >= 0) last_piece_f32(l, &j, pieces, piece / c->batch, both.at[q], both.end[q]);
                            }
                            pairs_weave(&s, x + (group * c->cin + c0) * from.channel, from, &both, some, buf + k * plane * range);
                            int64_t n = pairs_weave_gradient(&s, g + (group * c->cout + v * 16) * up.channel, up, &both, channels, width, gbuf + got * width);
                            for (int64_t q = 0; q < n; q++) pix[got + q] = s.pix[q] + k * plane * range;
                            got += n;
                        }
                        for (int64_t t = 0; t < taps; t++)
                            for (int64_t q = 0, tile = 0, mr; q < some; q += mr, tile++) {
                                mr = some / tiles + (tile < some % tiles);
                                pair_sums[nv - 1][mr - 1](got, pix, buf + s.off[t] + q, gbuf, out + (t * range + q) * width);
                            }
                    }
                    if (parts == 1) pairs_sums_out(out, 1, 0, taps, range, some, width, channels, gw + group * ws[3] + v * 16 * ws[0] + c0 * ws[1], ws);
                }
            }
            free(sums); free(pix);
        }
    }
    if (!failed && parts > 1) {
        threads = rt_few((double)tasks * parts * sum, 32768, threads, tasks);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t task = 0; task < tasks; task++) {
            int64_t r = task % ranges, v = task / ranges % blocks * wide, group = task / ranges / blocks, nv = pair_block(v, vectors), width = nv * 16;
            int64_t some = c->cin - r * range < range ? c->cin - r * range : range, channels = c->cout - v * 16 < width ? c->cout - v * 16 : width;
            pairs_sums_out(all + task * parts * sum, parts, sum, taps, range, some, width, channels, gw + group * ws[3] + v * 16 * ws[0] + r * range * ws[1], ws);
        }
    }
    free(all); free(s.off); free(tap);
    last_free_f32(&s.l);
    return failed ? 1 : wild_pairs(c, gw, orders & RT_LAST_W) ? 2 : 0;
}

static int64_t kept_pairs(const RtConvGeom *c) { return pairs_pack(c->groups, c->cout, c->cin, c->kernel[0] * c->kernel[1] * c->kernel[2], NULL, NULL, NULL, 1); }
static void keep_pairs(const RtConvGeom *c, const uint16_t *w, int orders, uint32_t *to, int threads) {
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    pairs_pack(c->groups, c->cout, c->cin, c->kernel[0] * c->kernel[1] * c->kernel[2], w, ws, to, threads);
}

/* Kernels of three taps an axis and stride 1 over many pixels take a third less by Winograd's way in float32, conversions included, than by dots; few
 * pixels do not pay for its transformed weights, and small planes waste its tiles. Two cores of a Zen 4, ms (dots, float32): 8x64x56x56 5.1, 3.9;
 * 8x16x56x56 0.4, 0.65; 8x128x14x14 1.09, 1.01; 1x256x28x28 2.1, 2.4; 1x256x14x14 0.54, 1.25; strides of 2: 8x128x56x56 4.8, 8.3. */
static int has_pairs(const RtConvGeom *c, int mode, int orders) {
    if (!rt_has_dots()) return -1;
    if (c && is_deep_pairs(c, orders)) return 2;
    if (!c || c->cin < (mode == 1 ? 16 : 3) || c->cout < 16) return 0;
    int64_t pixels = c->out[0] * c->out[1] * c->out[2];
    if (!pixels || !c->batch) return 0;
    int even = c->stride[0] * c->stride[1] * c->stride[2] == 1;
    return !(even && c->cin >= 24 && c->cout >= 24 && c->batch * pixels >= 1024 && c->out[2] >= 16 && is_wino(c, mode, orders));
}
#undef PAIRED
#undef UNROLL
