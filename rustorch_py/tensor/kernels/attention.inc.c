/* Attention by tiles, forward and gradient; once per instruction set.
 *
 * Note [No score matrix]
 * A block of queries meets the keys block by block; the softmax is kept as a running maximum and sum, by which the
 * partial result is rescaled (Milakov, Gimelshein 2018; Dao et al. 2022, "FlashAttention"). The gradient computes the
 * scores anew from the saved log-sums. Memory grows with the length, not with its square: keys and values are
 * packed into panels once, and each thread holds a few blocks. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")              /* a product's sum may be fused: fewer roundings */
#elif defined(__clang__)
#pragma clang fp contract(fast)
#endif
#include <string.h>
#include "rustorch/math.h"
#include "attention.h"
#include "panel.h"
#include "share.h"
#include "vmath.h"

enum {
    QUERIES = 64,                            /* queries of a block */
    KEYS = RT_PANEL_K,                       /* most keys of a block */
#if defined(__AVX512F__)
    FEW_QUERIES = 8,                         /* up to so many, packing the keys costs more than meeting them as they lie */
#else
    FEW_QUERIES = 4,
#endif
    FEW_ROWS = 4,                            /* queries that meet a key while it is at hand */
};

static int64_t keys_of_block(const RtAttention *a) {    /* short sequences: smaller blocks, more of them skipped by causality */
    return a->K <= 256 ? KEYS / 2 : KEYS;
}

static int team_of(const RtAttention *a) {
    double macs = (double)a->B * a->H * a->Q * a->K * (a->D + a->E);
    int64_t most = (int64_t)(macs / 150000) + 1;
    return a->threads < most ? (a->threads < 1 ? 1 : a->threads) : (int)most;
}

/* Work shared out in the gradient: heads, each cut in parts when there are few of them. The number does not depend on the
 * threads, so neither does the order of the sums. */
static int64_t splits_of(const RtAttention *a) {
    int64_t heads = a->B * a->HK, blocks = (a->Q + QUERIES - 1) / QUERIES * (a->H / a->HK), parts = (8 + heads - 1) / heads;
    return blocks < parts ? blocks : parts;
}

/* Keys are packed head by head by the thread that attends to them, where there are heads enough: no barrier between, and they
 * are still in its cache. Else all heads first, then blocks of queries. */
static int by_heads(const RtAttention *a) {
    int team = team_of(a);
    return team == 1 || a->B * a->HK >= 4 * team || (a->Q <= QUERIES && a->H == a->HK && a->B * a->HK >= team);
}

static int64_t packed_heads(const RtAttention *a) { return by_heads(a) ? team_of(a) : a->B * a->HK; }

/* Keys of a block of n from j0 on that query t sees. */
RT_INLINE int64_t seen(const RtAttention *a, int64_t t, int64_t j0, int64_t n) {
    int64_t left = t + 1 - j0;
    return !a->causal || left >= n ? n : left < 0 ? 0 : left;
}

enum { STRIP = 16 };                         /* rows of a block on the diagonal that are multiplied up to the same key */

RT_INLINE int64_t strip_rows(const RtAttention *a, int64_t t0, int64_t j0, int64_t n) { return seen(a, t0, j0, n) < n ? STRIP : QUERIES; }

/* Keys of the block that the strip of row r (of a block of queries from t0) takes part in. */
RT_INLINE int64_t strip_end(const RtAttention *a, int64_t t0, int64_t r, int64_t j0, int64_t n) {
    return seen(a, t0 + r / STRIP * STRIP + STRIP - 1, j0, n);
}

#if defined(__AVX512F__)
#define REGISTERS 1
/* The loops of attention_t.h over exponentials, by registers. */
static inline float exp_row_f32(float *s, int64_t n, float top) {
    __m512 sum = _mm512_setzero_ps(), shift = _mm512_set1_ps(top);
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
        __m512 e = rt_exp_v16(_mm512_sub_ps(_mm512_loadu_ps(s + j), shift));
        _mm512_storeu_ps(s + j, e);
        sum = _mm512_add_ps(sum, e);
    }
    if (j < n) {
        __mmask16 on = (__mmask16)((1u << (n - j)) - 1);
        __m512 e = rt_exp_v16(_mm512_sub_ps(_mm512_maskz_loadu_ps(on, s + j), shift));
        _mm512_mask_storeu_ps(s + j, on, e);
        sum = _mm512_mask_add_ps(sum, on, sum, e);
    }
    return _mm512_reduce_add_ps(sum);
}

/* attention_t.h: masked() for a mask whose keys are neighbours, from its first one on. */
static inline float masked_v16(float *s, int64_t n, float scale, int kind, const void *mask) {
    const __m512 low = _mm512_set1_ps(-INFINITY), by = _mm512_set1_ps(scale);
    __m512 top = low;
    for (int64_t j = 0; j < n; j += 16) {
        __mmask16 on = n - j < 16 ? (__mmask16)((1u << (n - j)) - 1) : (__mmask16)0xffff;
        __m512 x = _mm512_maskz_loadu_ps(on, s + j);
        if (kind == RT_MASK_BOOL) {
            __m128i m = _mm_maskz_loadu_epi8(on, (const uint8_t *)mask + j);
            x = _mm512_mask_mul_ps(low, _mm_test_epi8_mask(m, m), x, by);
        } else x = _mm512_fmadd_ps(x, by, _mm512_maskz_loadu_ps(on, (const float *)mask + j));
        _mm512_mask_storeu_ps(s + j, on, x);
        top = _mm512_mask_max_ps(top, on, x, top);
    }
    return _mm512_reduce_max_ps(top);
}

/* attention_t.h: the largest of each row of a block, the mask applied. */
static inline float masked_f32(const RtAttention *a, float *s, int64_t n, int64_t b, int64_t h, int64_t t, int64_t j0);
static void tops_v16(const RtAttention *a, float *s, int64_t m, int64_t n, int64_t b, int64_t h, int64_t t0, int64_t j0, float *tops) {
    const __m512 low = _mm512_set1_ps(-INFINITY);
    for (int64_t r = 0; r < m; r++) {
        float *row = s + r * KEYS;
        int64_t see = seen(a, t0 + r, j0, n), j = 0;
        if (a->mask_kind != RT_MASK_NONE) {
            tops[r] = masked_f32(a, row, see, b, h, t0 + r, j0);
            continue;
        }
        __m512 x = low;
        for (; j + 16 <= see; j += 16) x = _mm512_max_ps(_mm512_loadu_ps(row + j), x);
        if (j < see) x = _mm512_max_ps(_mm512_mask_loadu_ps(low, (__mmask16)((1u << (see - j)) - 1), row + j), x);
        tops[r] = _mm512_reduce_max_ps(x);
    }
}

/* attention_t.h: softmax_block; s holds the bare products. */
static void softmax_block_v16(const RtAttention *a, float *s, int64_t m, int64_t n, int64_t b, int64_t h, int64_t t0, int64_t j0, float *top,
                              float *sum, float *keep) {
    const __m512 low = _mm512_set1_ps(-INFINITY), by = _mm512_set1_ps(a->mask_kind == RT_MASK_NONE ? (float)a->scale : 1);
    tops_v16(a, s, m, n, b, h, t0, j0, keep);
    for (int64_t r = 0; r < m; r += 16) {                     /* arrays of QUERIES, a multiple of 16 */
        __m512 was = _mm512_loadu_ps(top + r), now = _mm512_max_ps(_mm512_mul_ps(_mm512_loadu_ps(keep + r), by), was);
        _mm512_storeu_ps(top + r, now);
        now = _mm512_mask_mov_ps(now, _mm512_cmp_ps_mask(now, low, _CMP_EQ_OQ), _mm512_setzero_ps());
        _mm512_storeu_ps(keep + r, rt_exp_v16(_mm512_sub_ps(was, now)));
    }
    for (int64_t r = 0; r < m; r++) {
        float *row = s + r * KEYS;
        int64_t see = seen(a, t0 + r, j0, n), end = strip_end(a, t0, r, j0, n), j = 0;
        __m512 shift = _mm512_set1_ps(top[r] == -INFINITY ? 0 : top[r]), total = _mm512_setzero_ps();
        for (; j + 16 <= see; j += 16) {
            __m512 e = rt_exp_v16(_mm512_fmsub_ps(_mm512_loadu_ps(row + j), by, shift));
            _mm512_storeu_ps(row + j, e);
            total = _mm512_add_ps(total, e);
        }
        if (j < see) {
            __mmask16 on = (__mmask16)((1u << (see - j)) - 1);
            __m512 e = _mm512_maskz_mov_ps(on, rt_exp_v16(_mm512_fmsub_ps(_mm512_loadu_ps(row + j), by, shift)));
            _mm512_storeu_ps(row + j, e);                     /* rows of KEYS, a multiple of 16 */
            total = _mm512_add_ps(total, e);
            j += 16;
        }
        for (; j < end; j += 16) _mm512_storeu_ps(row + j, _mm512_setzero_ps());
        sum[r] = sum[r] * keep[r] + _mm512_reduce_add_ps(total);
    }
}

static inline void row_d0_f32(float *p, float *ds, int64_t n, float scores_by, float lse, float delta, float scale) {
    __m512 shift = _mm512_set1_ps(lse), times = _mm512_set1_ps(scores_by), off = _mm512_set1_ps(delta), by = _mm512_set1_ps(scale);
    for (int64_t j = 0; j < n; j += 16) {
        __mmask16 on = n - j < 16 ? (__mmask16)((1u << (n - j)) - 1) : (__mmask16)0xffff;
        __m512 e = rt_exp_v16(_mm512_fmsub_ps(_mm512_maskz_loadu_ps(on, p + j), times, shift));
        _mm512_mask_storeu_ps(p + j, on, e);
        _mm512_mask_storeu_ps(ds + j, on, _mm512_mul_ps(_mm512_mul_ps(e, _mm512_sub_ps(_mm512_maskz_loadu_ps(on, ds + j), off)), by));
    }
}
/* Lane i: the sum of x[i]. */
static inline __m512 sums_v16(const __m512 *x) {
    __m512 y[8], z[4], w[2];
    for (int i = 0; i < 8; i++) {                             /* quarters: two of x[p], two of x[p + 4] */
        int p = i < 4 ? i : i + 4;
        y[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x[p], x[p + 4], 0x44), _mm512_shuffle_f32x4(x[p], x[p + 4], 0xee));
    }
    for (int i = 0; i < 4; i++) z[i] = _mm512_add_ps(_mm512_shuffle_f32x4(y[i], y[i + 4], 0x88), _mm512_shuffle_f32x4(y[i], y[i + 4], 0xdd));
    for (int i = 0; i < 2; i++) w[i] = _mm512_add_ps(_mm512_unpacklo_ps(z[2 * i], z[2 * i + 1]), _mm512_unpackhi_ps(z[2 * i], z[2 * i + 1]));
    return _mm512_add_ps(_mm512_shuffle_ps(w[0], w[1], 0x44), _mm512_shuffle_ps(w[0], w[1], 0xee));
}

/* attention_t.h: few_scores. Sixteen keys at a time, so that their dot products end in one register. */
static void few_scores_f32(int64_t m, int64_t n, int64_t k, const float *const *q, const float *keys, int64_t ld, float *s, int64_t lds) {
    for (int64_t j = 0; j < n; j += 16) {
        const float *at[16];
        for (int i = 0; i < 16; i++) at[i] = keys + (j + i < n ? j + i : n - 1) * ld;
        for (int64_t r = 0; r < m; r++) {
            __m512 x[16];
            for (int i = 0; i < 16; i++) x[i] = _mm512_setzero_ps();
            for (int64_t d = 0; d < k; d += 16) {
                __mmask16 on = k - d < 16 ? (__mmask16)((1u << (k - d)) - 1) : (__mmask16)0xffff;
                __m512 y = _mm512_maskz_loadu_ps(on, q[r] + d);
                for (int i = 0; i < 16; i++) x[i] = _mm512_fmadd_ps(y, _mm512_maskz_loadu_ps(on, at[i] + d), x[i]);
            }
            _mm512_mask_storeu_ps(s + r * lds + j, n - j < 16 ? (__mmask16)((1u << (n - j)) - 1) : (__mmask16)0xffff, sums_v16(x));
        }
    }
}

/* Columns e .. e + 16 * C of attention_t.h's few_values. */
RT_INLINE void few_columns_v16(int M, int C, int64_t n, int64_t e, int64_t k, const float *s, int64_t lds, const float *values, int64_t ld,
                               const float *by, float *const *out) {
    __m512 x[FEW_ROWS][4];
    __mmask16 on[4];
    for (int c = 0; c < C; c++) {
        int64_t left = k - e - 16 * c;
        on[c] = left >= 16 ? (__mmask16)0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0;
        for (int r = 0; r < M; r++) x[r][c] = _mm512_setzero_ps();
    }
    for (int64_t j = 0; j < n; j++) {
        __m512 v[4];
        for (int c = 0; c < C; c++) v[c] = _mm512_maskz_loadu_ps(on[c], values + j * ld + e + 16 * c);
        for (int r = 0; r < M; r++)
            for (int c = 0; c < C; c++) x[r][c] = _mm512_fmadd_ps(_mm512_set1_ps(s[r * lds + j]), v[c], x[r][c]);
    }
    for (int r = 0; r < M; r++)
        for (int c = 0; c < C; c++) _mm512_mask_storeu_ps(out[r] + e + 16 * c, on[c], _mm512_mul_ps(x[r][c], _mm512_set1_ps(by[r])));
}
static void few_values_f32(int64_t m, int64_t n, int64_t k, const float *s, int64_t lds, const float *values, int64_t ld, const float *by,
                           float *const *out) {
    for (int64_t e = 0; e < k; e += 64) {
        int narrow = k - e <= 32;
#define RT_COLUMNS(M)                                                                          \
    case M:                                                                                    \
        if (narrow) few_columns_v16(M, 2, n, e, k, s, lds, values, ld, by, out);               \
        else few_columns_v16(M, 4, n, e, k, s, lds, values, ld, by, out);                      \
        break;
        switch (m) { RT_COLUMNS(1) RT_COLUMNS(2) RT_COLUMNS(3) RT_COLUMNS(4) }
#undef RT_COLUMNS
    }
}
#else
#define REGISTERS 0
#endif

#define T float
#define V rt_pf32
#define L (RT_PANEL_BYTES / 4)
#define P(x) pf32_##x
#define M(x) x##_f32
#define INF INFINITY
#include "attention_t.h"
#undef T
#undef V
#undef L
#undef P
#undef M
#undef INF
#undef REGISTERS
#define REGISTERS 0
#define T double
#define V rt_pf64
#define L (RT_PANEL_BYTES / 8)
#define P(x) pf64_##x
#define M(x) x##_f64
#define INF ((double)INFINITY)
#include "attention_t.h"

const RtAttentionTable RT_NAME(rt_attention_table) = {work_f32, work_f64, attend_f32, attend_f64, attend_d0_f32, attend_d0_f64};
