/* What maxima need of vectors: rt_vf_ of float, rt_vd_ of double. above(v, m): the larger, m where either is no number.
 * higher(m, v): the larger, NaN where either is one. raise: the same with places, v's place counts where v is larger or NaN.
 * same: a bit a lane, where a equals b; lost: whether a or b holds a NaN. */
#ifndef RUSTORCH_POOL_VEC_H
#define RUSTORCH_POOL_VEC_H
#include "vec.h"

#if defined(__AVX512F__)
#define POOL_OPS(V, N, P, S, E, M, MASK)                                                                            \
    RT_INLINE V N##_above(V v, V m) { return (V)_mm512_max_##S((M)v, (M)m); }                                       \
    RT_INLINE V N##_higher(V m, V v) {                                                                              \
        return (V)_mm512_mask_blend_##S(_mm512_cmp_##S##_mask((M)m, (M)m, _CMP_UNORD_Q), _mm512_max_##S((M)m, (M)v), (M)m); \
    }                                                                                                               \
    RT_INLINE void N##_raise(V *m, P *at, V v, P here) {                                                            \
        MASK up = _mm512_cmp_##S##_mask((M)v, (M)*m, _CMP_GT_OQ) | _mm512_cmp_##S##_mask((M)v, (M)v, _CMP_UNORD_Q); \
        *m = (V)_mm512_mask_blend_##S(up, (M)*m, (M)v);                                                             \
        *at = (P)_mm512_mask_blend_##E(up, (__m512i)*at, (__m512i)here);                                            \
    }                                                                                                               \
    RT_INLINE unsigned N##_same(V a, V b) { return _mm512_cmp_##S##_mask((M)a, (M)b, _CMP_EQ_OQ); }                 \
    RT_INLINE unsigned N##_lost(V a, V b) { return _mm512_cmp_##S##_mask((M)a, (M)b, _CMP_UNORD_Q); }
POOL_OPS(rt_vf, rt_vf, rt_vf_mask, ps, epi32, __m512, __mmask16)
POOL_OPS(rt_vd, rt_vd, rt_vd_mask, pd, epi64, __m512d, __mmask8)
#else
#if defined(__AVX2__)
#define POOL_ABOVE(S, M, v, m) _mm256_max_##S((M)(v), (M)(m))
#define POOL_PICK(S, M, up, a, b) _mm256_blendv_##S((M)(b), (M)(a), (M)(up))
#define POOL_BITS(S, M, v) (unsigned)_mm256_movemask_##S((M)(v))
typedef __m256 pool_ps;
typedef __m256d pool_pd;
#elif defined(__x86_64__)
#define POOL_ABOVE(S, M, v, m) _mm_max_##S((M)(v), (M)(m))
#define POOL_BITS(S, M, v) (unsigned)_mm_movemask_##S((M)(v))
typedef __m128 pool_ps;
typedef __m128d pool_pd;
#else
typedef rt_vf pool_ps;
typedef rt_vd pool_pd;
static inline unsigned pool_bits_ps(rt_vf_mask v) { unsigned b = 0; for (int i = 0; i < RT_LANES_F32; i++) b |= (unsigned)(v[i] != 0) << i; return b; }
static inline unsigned pool_bits_pd(rt_vd_mask v) { unsigned b = 0; for (int i = 0; i < RT_LANES_F64; i++) b |= (unsigned)(v[i] != 0) << i; return b; }
#define POOL_BITS(S, M, v) pool_bits_##S(v)
#endif
#define POOL_EITHER(P, up, a, b) (((P)(a) & (up)) | ((P)(b) & ~(up)))
#ifndef POOL_PICK
#define POOL_PICK(S, M, up, a, b) POOL_EITHER(__typeof__(up), up, a, b)
#endif
#ifndef POOL_ABOVE
#define POOL_ABOVE(S, M, v, m) POOL_EITHER(__typeof__((v) > (m)), (v) > (m), v, m)
#endif
#define POOL_OPS(V, N, P, S)                                                                                        \
    RT_INLINE V N##_above(V v, V m) { return (V)POOL_ABOVE(S, pool_##S, v, m); }                                    \
    RT_INLINE V N##_higher(V m, V v) {                                                                              \
        P keep = (P)(m != m);                                                                                       \
        return (V)POOL_PICK(S, pool_##S, keep, m, N##_above(m, v));                                                 \
    }                                                                                                               \
    RT_INLINE void N##_raise(V *m, P *at, V v, P here) {                                                            \
        P up = (P)(v > *m) | (P)(v != v);                                                                           \
        *m = (V)POOL_PICK(S, pool_##S, up, v, *m);                                                                  \
        *at = (P)POOL_PICK(S, pool_##S, up, here, *at);                                                             \
    }                                                                                                               \
    RT_INLINE unsigned N##_same(V a, V b) { P e = (P)(a == b); return POOL_BITS(S, pool_##S, e); }                  \
    RT_INLINE unsigned N##_lost(V a, V b) { P e = (P)(a != a) | (P)(b != b); return POOL_BITS(S, pool_##S, e); }
POOL_OPS(rt_vf, rt_vf, rt_vf_mask, ps)
POOL_OPS(rt_vd, rt_vd, rt_vd_mask, pd)
#endif

/* thirds: p[0], p[3], p[6] ..., nothing is read behind the last of them; thirds_of the same of three vectors that follow each other. */
#define RT_AT_THIRD(i, n) 3 * (i) < 2 * (n) ? 3 * (i) : 0
#define RT_AT_THIRD_LAPPED(i, n) 3 * (i) < 2 * (n) ? (i) : 3 * (i) - (n) + 2          /* the third vector begins two lanes early */
#define RT_AT_THIRD_AFTER(i, n) 3 * (i) < 2 * (n) ? (i) : 3 * (i) - (n)
#define POOL_SHUFFLES(V, T, N, LANES, MASK, EACH)                                                                   \
    RT_INLINE V N##_thirds(const T *p) {                                                                            \
        V low = RT_SHUFFLE(MASK, N##_load(p), N##_load(p + LANES), EACH(RT_AT_THIRD));                              \
        return RT_SHUFFLE(MASK, low, N##_load(p + 2 * LANES - 2), EACH(RT_AT_THIRD_LAPPED));                        \
    }                                                                                                               \
    RT_INLINE V N##_thirds_of(V a, V b, V c) {                                                                      \
        V low = RT_SHUFFLE(MASK, a, b, EACH(RT_AT_THIRD));                                                          \
        return RT_SHUFFLE(MASK, low, c, EACH(RT_AT_THIRD_AFTER));                                                   \
    }
POOL_SHUFFLES(rt_vf, float, rt_vf, RT_LANES_F32, rt_vf_mask, RT_EACH_F32)
POOL_SHUFFLES(rt_vd, double, rt_vd, RT_LANES_F64, rt_vd_mask, RT_EACH_F64)
#endif
