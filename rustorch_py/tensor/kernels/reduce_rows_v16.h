/* Rows of a reduction side by side in AVX-512's registers.
 *
 * Note [Rows in registers]
 * Folding the lanes of one row into one number is a chain of narrow instructions, which takes longer than a short row itself. Here as many rows as
 * a register has lanes are added up to one register each, and these are folded together: each step of the fold halves the registers and not
 * the lanes, 15 steps for 16 rows. Every sum is that of the row alone (reduce_type.h: LANES accumulators, folded by halves), so the bits are, too:
 * 2.7 for 7 ns a row of 64 floats, 3 for 13 ns of a maximum (Zen 4). */
#ifndef RUSTORCH_REDUCE_ROWS_V16_H
#define RUSTORCH_REDUCE_ROWS_V16_H
#include <immintrin.h>

/* For each type: V its register, W its lanes; load of some lanes, the others of `rest`; the four ways to combine as math.h has them; what an element is
 * before it is combined. Halves of two registers: lo keeps the lower ones of each pair of groups of w lanes, hi the upper ones. */
#define RT_VF(f) _mm512_##f##_ps
#define RT_VD(f) _mm512_##f##_pd
typedef __m512 rt_v_f32; typedef __m512d rt_v_f64; typedef __m512i rt_v_i32; typedef __m512i rt_v_i64;
typedef __mmask16 rt_m_f32; typedef __mmask8 rt_m_f64; typedef __mmask16 rt_m_i32; typedef __mmask8 rt_m_i64;
#define RT_V16_FLOAT(t, T, I)                                                                                        \
    RT_INLINE rt_v_##t rt_some_##t(rt_v_##t rest, rt_m_##t m, const T *p) { return I(mask_loadu)(rest, m, p); }      \
    RT_INLINE rt_v_##t rt_all_##t(const T *p) { return I(loadu)(p); }                                                \
    RT_INLINE void rt_put_##t(T *p, rt_v_##t v, rt_m_##t m) { I(mask_storeu)(p, m, v); }                             \
    RT_INLINE rt_v_##t rt_each_##t(T x) { return I(set1)(x); }                                                       \
    RT_INLINE rt_v_##t rt_vadd_##t(rt_v_##t a, rt_v_##t b) { return I(add)(a, b); }                                  \
    RT_INLINE rt_v_##t rt_vmul_##t(rt_v_##t a, rt_v_##t b) { return I(mul)(a, b); }                                  \
    RT_INLINE rt_v_##t rt_vmax_##t(rt_v_##t a, rt_v_##t b) {                                                         \
        return I(mask_mov)(I(max)(b, a), I(cmp_mask)(b, b), b);                                                      \
    }                                                                                                                \
    RT_INLINE rt_v_##t rt_vmin_##t(rt_v_##t a, rt_v_##t b) {                                                         \
        return I(mask_mov)(I(min)(b, a), I(cmp_mask)(b, b), b);                                                      \
    }                                                                                                                \
    RT_INLINE rt_v_##t rt_vsame_##t(rt_v_##t x) { return x; }                                                        \
    RT_INLINE rt_v_##t rt_vabs_##t(rt_v_##t x) { return I(abs)(x); }                                                 \
    RT_INLINE rt_v_##t rt_vsquare_##t(rt_v_##t x) { return I(mul)(x, x); }                                           \
    RT_INLINE rt_v_##t rt_vordered_##t(rt_v_##t x) { return I(maskz_mov)((rt_m_##t)~I(cmp_mask)(x, x), x); }         \
    RT_INLINE rt_v_##t rt_vcounted_##t(rt_v_##t x) { return I(maskz_mov)(I(cmp_other_mask)(x, I(setzero)()), I(set1)(1)); }
#define _mm512_cmp_mask_ps(a, b) _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q)
#define _mm512_cmp_mask_pd(a, b) _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q)
#define _mm512_cmp_other_mask_ps(a, b) _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ)
#define _mm512_cmp_other_mask_pd(a, b) _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ)
RT_V16_FLOAT(f32, float, RT_VF)
RT_V16_FLOAT(f64, double, RT_VD)
#define RT_V16_INT(t, T, B, MUL)                                                                                     \
    RT_INLINE rt_v_##t rt_some_##t(rt_v_##t rest, rt_m_##t m, const T *p) { return _mm512_mask_loadu_epi##B(rest, m, p); } \
    RT_INLINE rt_v_##t rt_all_##t(const T *p) { return _mm512_loadu_si512(p); }                                      \
    RT_INLINE void rt_put_##t(T *p, rt_v_##t v, rt_m_##t m) { _mm512_mask_storeu_epi##B(p, m, v); }                  \
    RT_INLINE rt_v_##t rt_each_##t(T x) { return _mm512_set1_epi##B(x); }                                            \
    RT_INLINE rt_v_##t rt_vadd_##t(rt_v_##t a, rt_v_##t b) { return _mm512_add_epi##B(a, b); }                       \
    RT_INLINE rt_v_##t rt_vmul_##t(rt_v_##t a, rt_v_##t b) { return MUL(a, b); }                                     \
    RT_INLINE rt_v_##t rt_vmax_##t(rt_v_##t a, rt_v_##t b) { return _mm512_max_epi##B(a, b); }                       \
    RT_INLINE rt_v_##t rt_vmin_##t(rt_v_##t a, rt_v_##t b) { return _mm512_min_epi##B(a, b); }                       \
    RT_INLINE rt_v_##t rt_vsame_##t(rt_v_##t x) { return x; }                                                        \
    RT_INLINE rt_v_##t rt_vordered_##t(rt_v_##t x) { return x; }                                                     \
    RT_INLINE rt_v_##t rt_vcounted_##t(rt_v_##t x) {                                                                 \
        return _mm512_maskz_set1_epi##B(_mm512_test_epi##B##_mask(x, x), 1);                                         \
    }
RT_V16_INT(i32, int32_t, 32, _mm512_mullo_epi32)
RT_V16_INT(i64, int64_t, 64, _mm512_mullo_epi64)

/* The fold. Rows, which are read in their order, are put into v so that the last step leaves row i in lane i. */
#define RT_V16_SHUFFLES(t, CAST, BACK, w, LO, HI)                                                                 \
    RT_INLINE rt_v_##t rt_lo##w##_##t(rt_v_##t a, rt_v_##t b) { return BACK(LO(CAST(a), CAST(b))); }                 \
    RT_INLINE rt_v_##t rt_hi##w##_##t(rt_v_##t a, rt_v_##t b) { return BACK(HI(CAST(a), CAST(b))); }
#define RT_V16_PLAIN(x) (x)
#define RT_LO8(a, b) _mm512_shuffle_f32x4(a, b, 0x44)
#define RT_HI8(a, b) _mm512_shuffle_f32x4(a, b, 0xEE)
#define RT_LO4(a, b) _mm512_shuffle_f32x4(a, b, 0x88)
#define RT_HI4(a, b) _mm512_shuffle_f32x4(a, b, 0xDD)
#define RT_LO2(a, b) _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
#define RT_HI2(a, b) _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
#define RT_LO1(a, b) _mm512_shuffle_ps(a, b, 0x88)
#define RT_HI1(a, b) _mm512_shuffle_ps(a, b, 0xDD)
#define RT_V16_OF_32(t, CAST, BACK)                                                                                  \
    RT_V16_SHUFFLES(t, CAST, BACK, 8, RT_LO8, RT_HI8) RT_V16_SHUFFLES(t, CAST, BACK, 4, RT_LO4, RT_HI4)          \
    RT_V16_SHUFFLES(t, CAST, BACK, 2, RT_LO2, RT_HI2) RT_V16_SHUFFLES(t, CAST, BACK, 1, RT_LO1, RT_HI1)
RT_V16_OF_32(f32, RT_V16_PLAIN, RT_V16_PLAIN)
RT_V16_OF_32(i32, _mm512_castsi512_ps, _mm512_castps_si512)
#define RT_LO4D(a, b) _mm512_shuffle_f64x2(a, b, 0x44)
#define RT_HI4D(a, b) _mm512_shuffle_f64x2(a, b, 0xEE)
#define RT_LO2D(a, b) _mm512_shuffle_f64x2(a, b, 0x88)
#define RT_HI2D(a, b) _mm512_shuffle_f64x2(a, b, 0xDD)
#define RT_LO1D(a, b) _mm512_unpacklo_pd(a, b)
#define RT_HI1D(a, b) _mm512_unpackhi_pd(a, b)
#define RT_V16_OF_64(t, CAST, BACK)                                                                                  \
    RT_INLINE rt_v_##t rt_lo8_##t(rt_v_##t a, rt_v_##t b) { (void)b; return a; }                                     \
    RT_INLINE rt_v_##t rt_hi8_##t(rt_v_##t a, rt_v_##t b) { (void)a; return b; }      /* has no such step */         \
    RT_V16_SHUFFLES(t, CAST, BACK, 4, RT_LO4D, RT_HI4D) RT_V16_SHUFFLES(t, CAST, BACK, 2, RT_LO2D, RT_HI2D)      \
    RT_V16_SHUFFLES(t, CAST, BACK, 1, RT_LO1D, RT_HI1D)
RT_V16_OF_64(f64, RT_V16_PLAIN, RT_V16_PLAIN)
RT_V16_OF_64(i64, _mm512_castsi512_pd, _mm512_castpd_si512)
static const uint8_t rt_place_of_16[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}, rt_place_of_8[8] = {0, 4, 1, 5, 2, 6, 3, 7};

#define RT_V16_FOLD(COMB, w, m)                                                                                      \
    for (int i_ = 0; i_ < m; i_++) v[i_] = COMB(F(lo##w)(v[2 * i_], v[2 * i_ + 1]), F(hi##w)(v[2 * i_], v[2 * i_ + 1]));
/* parts: registers that hold a row, the last one some of its lanes, or 0: `rounds` times four and the lanes of `some`. */
#define RT_REDUCE_VECTORS(name, PRE, COMB)                                                                           \
    enum { K(name##_quick) = 2 };                                                                                    \
    RT_INLINE F(v) K(name##_row)(const T *p, const int parts, int64_t rounds, const F(m) *some, int64_t ahead, F(v) none) { \
        enum { W = 64 / sizeof(T) };                                                                                 \
        const char *next = (const char *)p + ahead;                                                                  \
        for (int i = 0; i < parts; i++) __builtin_prefetch(next + 64 * i);                                           \
        if (parts == 1) return F(PRE)(F(some)(none, some[0], p));                                                    \
        F(v) a = F(PRE)(F(all)(p)), b, c, d;                                                                         \
        if (parts == 2) return F(COMB)(a, F(PRE)(F(some)(none, some[1], p + W)));                                    \
        b = F(PRE)(F(all)(p + W));                                                                                   \
        if (parts == 3) return F(COMB)(F(COMB)(a, F(PRE)(F(some)(none, some[2], p + 2 * W))), b);                    \
        c = F(PRE)(F(all)(p + 2 * W));                                                                               \
        if (parts == 4) return F(COMB)(F(COMB)(a, c), F(COMB)(b, F(PRE)(F(some)(none, some[3], p + 3 * W))));        \
        d = F(PRE)(F(all)(p + 3 * W));                                                                               \
        for (int64_t r = 1; r < rounds; r++) {                                                                       \
            p += 4 * W;                                                                                              \
            for (int i = 0; i < 4; i++) __builtin_prefetch((const char *)(p + i * W) + 512);                         \
            a = F(COMB)(a, F(PRE)(F(all)(p))); b = F(COMB)(b, F(PRE)(F(all)(p + W)));                                \
            c = F(COMB)(c, F(PRE)(F(all)(p + 2 * W))); d = F(COMB)(d, F(PRE)(F(all)(p + 3 * W)));                    \
        }                                                                                                            \
        p += 4 * W;                                                                                                  \
        if (some[0]) {                                                                                               \
            a = F(COMB)(a, F(PRE)(F(some)(none, some[0], p))); b = F(COMB)(b, F(PRE)(F(some)(none, some[1], p + W))); \
            c = F(COMB)(c, F(PRE)(F(some)(none, some[2], p + 2 * W))); d = F(COMB)(d, F(PRE)(F(some)(none, some[3], p + 3 * W))); \
        }                                                                                                            \
        return F(COMB)(F(COMB)(a, c), F(COMB)(b, d));                                                                \
    }                                                                                                                \
    RT_INLINE void K(name##_rows)(T *acc, const char *x, int64_t row, int64_t m, const int parts, int64_t rounds, const F(m) *some, int64_t ahead) { \
        enum { W = 64 / sizeof(T) };                                                                                 \
        const F(v) none = F(each)(K(name##_init)());                                                                 \
        for (int64_t k = 0; k < m; k += W) {                                                                         \
            int64_t many = m - k < W ? m - k : W;                                                                    \
            F(v) v[W];                                                                                               \
            for (int i = 0; i < many; i++)                                                                           \
                v[W == 16 ? rt_place_of_16[i] : rt_place_of_8[i % 8]] = K(name##_row)((const T *)(x + (k + i) * row), parts, rounds, some, ahead, none); \
            for (int64_t i = many; i < W; i++) v[W == 16 ? rt_place_of_16[i] : rt_place_of_8[i % 8]] = none;         \
            if (W == 16) RT_V16_FOLD(F(COMB), 8, 8)                                                                  \
            RT_V16_FOLD(F(COMB), 4, 4)                                                                               \
            RT_V16_FOLD(F(COMB), 2, 2)                                                                               \
            F(put)(acc + k, F(COMB)(none, F(COMB)(F(lo1)(v[0], v[1]), F(hi1)(v[0], v[1]))), (F(m))((1u << many) - 1)); \
        }                                                                                                            \
    }                                                                                                                \
    static void K(name##_lines)(char *acc, const char *x, int64_t row, int64_t m, int64_t n, double k0) {            \
        enum { W = 64 / sizeof(T) };                                                                                 \
        T *a = (T *)acc;                                                                                             \
        if (n > 8 * LANES) {                            /* the fold is little of it */                               \
            for (int64_t k = 0; k < m; k++) a[k] = K(name##_line)((const T *)(x + k * row), n / LANES, (int)(n % LANES), (T)k0); \
            return;                                                                                                  \
        }                                                                                                            \
        int64_t rounds = n / LANES, rest = n % LANES, ahead = row, some_rows = 1024 / (n * (int64_t)sizeof(T));      \
        F(m) some[4];                                                                                                \
        if (some_rows > 1) ahead *= some_rows;                                                                       \
        if (rounds == 1 && rest == 0) { rounds = 0; rest = LANES; }                                                  \
        for (int i = 0; i < 4; i++) {                                                                                \
            int64_t left = rest - i * W;                                                                             \
            some[i] = (F(m))(left <= 0 ? 0 : left >= W ? ~0u : (1u << left) - 1);                                    \
        }                                                                                                            \
        if (rounds) K(name##_rows)(a, x, row, m, 0, rounds, some, ahead);                                            \
        else if (n > 3 * W) K(name##_rows)(a, x, row, m, 4, 0, some, ahead);                                         \
        else if (n > 2 * W) K(name##_rows)(a, x, row, m, 3, 0, some, ahead);                                         \
        else if (n > W) K(name##_rows)(a, x, row, m, 2, 0, some, ahead);                                             \
        else K(name##_rows)(a, x, row, m, 1, 0, some, ahead);                                                        \
    }
#endif
