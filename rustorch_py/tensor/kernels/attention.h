/* Scaled dot product attention by tiles. Letters: b batch, h head, t position, d feature of q and k, e of v.
 * q (b, h, tq, d), k (b, hk, tk, d), v (b, hk, tk, e), h a multiple of hk; features are neighbours, the strides of
 * the other three dimensions are any number. */
#ifndef RUSTORCH_ATTENTION_H
#define RUSTORCH_ATTENTION_H
#include "rustorch/loops.h"

enum { RT_MASK_NONE = 0, RT_MASK_BOOL = 1, RT_MASK_FLOAT = 2 };

typedef struct {
    int threads, causal, mask_kind;
    int64_t B, H, HK, Q, K, D, E;            /* Q, K: positions of queries and of keys */
    double scale;
    const void *q, *k, *v, *mask;            /* mask: bool bytes (1 takes part), or elements to add */
    int64_t q_s[3], k_s[3], v_s[3], o_s[3], mask_s[4];
    void *out, *lse;                         /* lse (b, h, q): log of each row's sum, for the gradient */
    const void *g;                           /* gradient of out */
    int64_t g_s[3];
    void *gq, *gk, *gv;
    int64_t gq_s[3], gk_s[3], gv_s[3];
    void *work;
} RtAttention;

typedef struct {
    int64_t (*work_f32)(const RtAttention *a, int backward);  /* elements */
    int64_t (*work_f64)(const RtAttention *a, int backward);
    void (*attend_f32)(const RtAttention *a);
    void (*attend_f64)(const RtAttention *a);
    void (*attend_d0_f32)(const RtAttention *a);
    void (*attend_d0_f64)(const RtAttention *a);
} RtAttentionTable;

extern const RtAttentionTable rt_attention_table_base;
#if defined(__x86_64__)
extern const RtAttentionTable rt_attention_table_avx2, rt_attention_table_avx512;
#endif

static inline const RtAttentionTable *rt_attention_pick(int level) {
#if defined(__x86_64__)
    if (level >= RT_ISA_AVX512) return &rt_attention_table_avx512;
    if (level == RT_ISA_AVX2) return &rt_attention_table_avx2;
#endif
    (void)level;
    return &rt_attention_table_base;
}
#endif
