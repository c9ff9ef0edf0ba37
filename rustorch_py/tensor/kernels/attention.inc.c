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
#include "vmath.h"
#ifdef _OPENMP
#include <omp.h>
#define RT_ME omp_get_thread_num()
#else
#define RT_ME 0
#endif

enum {
    QUERIES = 64,                            /* queries of a block */
    KEYS = RT_PANEL_K,                       /* most keys of a block */
    FEW_QUERIES = 4,                         /* up to so many, packing the keys would cost more than the products */
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

/* attention_t.h: softmax_block without a mask; s holds the bare products. */
static void plain_softmax_block(const RtAttention *a, float *s, int64_t m, int64_t n, int64_t t0, int64_t j0, float *top, float *sum,
                                float *keep) {
    const __m512 low = _mm512_set1_ps(-INFINITY), by = _mm512_set1_ps((float)a->scale);
    for (int64_t r = 0; r < m; r++) {
        const float *row = s + r * KEYS;
        int64_t see = seen(a, t0 + r, j0, n), j = 0;
        __m512 x = low;
        for (; j + 16 <= see; j += 16) x = _mm512_max_ps(_mm512_loadu_ps(row + j), x);
        if (j < see) x = _mm512_max_ps(_mm512_mask_loadu_ps(low, (__mmask16)((1u << (see - j)) - 1), row + j), x);
        keep[r] = _mm512_reduce_max_ps(x);
    }
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
