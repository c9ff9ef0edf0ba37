/* Loops over 16-bit floats in registers of AVX-512, for half_loops.inc.c: 32 elements are loaded, widened to two registers of float32,
 * computed by the row's text, rounded and stored; nothing goes through memory in between. */
#ifndef RUSTORCH_HALF_V16_H
#define RUSTORCH_HALF_V16_H
#include "vfun_v16.h"

#define V16_WHERE(c, yes, no) _mm512_mask_mov_ps(no, c, yes)

/* ---- the scalar functions of the table that have no array function, as rustorch/math.h has them ---- */
#define UNORDERED(x) _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q)
RT_INLINE __m512 v16_abs(__m512 x) { return _mm512_abs_ps(x); }
RT_INLINE __m512 v16_conj(__m512 x) { return x; }
RT_INLINE __m512 v16_sqrt(__m512 x) { return _mm512_sqrt_ps(x); }
RT_INLINE __m512 v16_floor(__m512 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
RT_INLINE __m512 v16_ceil(__m512 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
RT_INLINE __m512 v16_trunc(__m512 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
RT_INLINE __m512 v16_round(__m512 x) { return _mm512_roundscale_ps(x, RNE); }
RT_INLINE __m512 v16_truncdiv(__m512 x, __m512 y) { return v16_trunc(x / y); }
RT_INLINE __m512 v16_inf(__m512 x) { (void)x; return S(INFINITY); }
RT_INLINE __m512 v16_sign(__m512 x) {
    __m512 v = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, S(0), _CMP_GT_OQ), S(1.0f));
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(x, S(0), _CMP_LT_OQ), S(-1.0f));
}
RT_INLINE __m512 v16_sgn(__m512 x) { return v16_sign(x); }
RT_INLINE __m512 v16_copysign(__m512 x, __m512 y) { return _mm512_or_ps(_mm512_abs_ps(x), _mm512_and_ps(y, S(-0.0f))); }
/* max(a, b) of the instruction is a > b ? a : b */
RT_INLINE __m512 v16_maximum(__m512 x, __m512 y) { return _mm512_mask_mov_ps(_mm512_max_ps(y, x), UNORDERED(y), y); }
RT_INLINE __m512 v16_minimum(__m512 x, __m512 y) { return _mm512_mask_mov_ps(_mm512_min_ps(y, x), UNORDERED(y), y); }
RT_INLINE __m512 v16_fmax(__m512 x, __m512 y) { return _mm512_mask_mov_ps(_mm512_max_ps(y, x), UNORDERED(x), y); }
RT_INLINE __m512 v16_fmin(__m512 x, __m512 y) { return _mm512_mask_mov_ps(_mm512_min_ps(y, x), UNORDERED(x), y); }
RT_INLINE __m512 v16_clamp3(__m512 x, __m512 lo, __m512 hi) {
    __m512 v = _mm512_min_ps(hi, _mm512_max_ps(lo, x));
    return _mm512_mask_mov_ps(_mm512_mask_mov_ps(v, UNORDERED(hi), hi), UNORDERED(lo), lo);
}
RT_INLINE __mmask16 v16_land(__mmask16 x, __mmask16 y) { return x & y; }
RT_INLINE __mmask16 v16_lor(__mmask16 x, __mmask16 y) { return x | y; }
RT_INLINE __mmask16 v16_lt_half(__m512 x) { return _mm512_cmp_ps_mask(_mm512_abs_ps(x), S(0.5f), _CMP_LT_OQ); }
RT_INLINE __mmask16 v16_real_ge0(__m512 x) { return _mm512_cmp_ps_mask(x, S(0), _CMP_GE_OQ); }
RT_INLINE __mmask16 v16_fmax_left(__m512 x, __m512 y) { return _mm512_cmp_ps_mask(x, y, _CMP_GE_OQ) | UNORDERED(y); }
RT_INLINE __mmask16 v16_fmin_left(__m512 x, __m512 y) { return _mm512_cmp_ps_mask(x, y, _CMP_LE_OQ) | UNORDERED(y); }

/* ---- 32 elements; those that `m` leaves out are 1 ---- */
typedef struct { __m512 a, b; } V16x2;
/* bfloat16: even elements and odd ones, each within its half of 32 bits */
RT_INLINE V16x2 load_bf16(const char *p, __mmask32 m) {
    __m512i w = _mm512_mask_loadu_epi16(_mm512_set1_epi16(0x3f80), m, p);
    return (V16x2){_mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)))};
}
RT_INLINE __m512i round_bf16(__m512 x) {
    __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
}
RT_INLINE void store_bf16(char *p, __mmask32 m, __m512 a, __m512 b) {
    __m512i u = round_bf16(a), v = round_bf16(b);
    if (RT_UNLIKELY(_mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q))) {   /* adding may have made something else of a NaN */
        u = _mm512_mask_or_epi32(u, UNORDERED(a), _mm512_castps_si512(a), _mm512_set1_epi32(0x400000));
        v = _mm512_mask_or_epi32(v, UNORDERED(b), _mm512_castps_si512(b), _mm512_set1_epi32(0x400000));
    }
    _mm512_mask_storeu_epi16(p, m, _mm512_mask_mov_epi16(v, 0x55555555, _mm512_srli_epi32(u, 16)));
}
RT_INLINE V16x2 load_f16(const char *p, __mmask32 m) {
    const __m256i one = _mm256_set1_epi16(0x3c00);
    return (V16x2){_mm512_cvtph_ps(_mm256_mask_loadu_epi16(one, (__mmask16)m, p)), _mm512_cvtph_ps(_mm256_mask_loadu_epi16(one, (__mmask16)(m >> 16), p + 32))};
}
RT_INLINE void store_f16(char *p, __mmask32 m, __m512 a, __m512 b) {
    _mm256_mask_storeu_epi16(p, (__mmask16)m, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
    _mm256_mask_storeu_epi16(p + 32, (__mmask16)(m >> 16), _mm512_cvtps_ph(b, _MM_FROUND_TO_NEAREST_INT));
}

/* Loop of a printed row, an inline function v_<row> of its operands, in their order, and of k0 and k1; `ks`: bits of those it reads. */
#define V16_OPEN(row, ks)                                                                                   \
    static void H(row)(char **p_, const int64_t *s_, int64_t n_, const double *k_) {                        \
        const __m512 k0 = (ks) & 1 ? S((float)k_[0]) : S(0), k1 = (ks) & 2 ? S((float)k_[1]) : S(0);
#define V16_FIXED(a) const __m512 f##a = s_[a] ? S(0) : S(*(const float *)p_[a]);
#define V16_EACH                                                                                            \
        for (int64_t i = 0; i < n_; i += 32) {                                                              \
            const __mmask32 m = n_ - i < 32 ? ((__mmask32)1 << (n_ - i)) - 1 : 0xffffffffu;                 \
            __builtin_prefetch(p_[0] + 2 * i + V16_AHEAD);
#define V16_AHEAD 1024                                /* as in vfun.inc.c */
#define V16_LOAD(n)                                                                                         \
            V16x2 x##n = {f##n, f##n};                                                                      \
            if (RT_LIKELY(s_[n])) { x##n = H(load)(p_[n] + 2 * i, m); __builtin_prefetch(p_[n] + 2 * i + V16_AHEAD); }
#define V16_STORE(a, b) H(store)(p_[0] + 2 * i, m, a, b); } }
#define V16_1(row, ks) V16_OPEN(row, ks) V16_FIXED(1) V16_EACH V16_LOAD(1) V16_STORE(v_##row(x1.a, k0, k1), v_##row(x1.b, k0, k1))
#define V16_2(row, ks) V16_OPEN(row, ks) V16_FIXED(1) V16_FIXED(2) V16_EACH V16_LOAD(1) V16_LOAD(2)         \
    V16_STORE(v_##row(x1.a, x2.a, k0, k1), v_##row(x1.b, x2.b, k0, k1))
#define V16_3(row, ks) V16_OPEN(row, ks) V16_FIXED(1) V16_FIXED(2) V16_FIXED(3) V16_EACH V16_LOAD(1) V16_LOAD(2) V16_LOAD(3) \
    V16_STORE(v_##row(x1.a, x2.a, x3.a, k0, k1), v_##row(x1.b, x2.b, x3.b, k0, k1))
#define V16_4(row, ks) V16_OPEN(row, ks) V16_FIXED(1) V16_FIXED(2) V16_FIXED(3) V16_FIXED(4) V16_EACH V16_LOAD(1) V16_LOAD(2) V16_LOAD(3) V16_LOAD(4) \
    V16_STORE(v_##row(x1.a, x2.a, x3.a, x4.a, k0, k1), v_##row(x1.b, x2.b, x3.b, x4.b, k0, k1))
#endif
