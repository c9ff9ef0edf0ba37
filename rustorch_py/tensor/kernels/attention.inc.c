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

static inline void row_d0_f32(float *p, float *ds, int64_t n, float lse, float delta, float scale) {
    __m512 shift = _mm512_set1_ps(lse), off = _mm512_set1_ps(delta), by = _mm512_set1_ps(scale);
    for (int64_t j = 0; j < n; j += 16) {
        __mmask16 on = n - j < 16 ? (__mmask16)((1u << (n - j)) - 1) : (__mmask16)0xffff;
        __m512 e = rt_exp_v16(_mm512_sub_ps(_mm512_maskz_loadu_ps(on, p + j), shift));
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
