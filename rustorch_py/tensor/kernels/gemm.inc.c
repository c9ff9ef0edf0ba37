/* Small matrix products, integer products, column sums; once per instruction set. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast", "no-version-loops-for-strides") /* a product's sum may be fused: fewer roundings */
#elif defined(__clang__)
#pragma clang fp contract(fast)
#endif
#include <string.h>
#include "rustorch/half.h"
#include "gemm.h"
#include "stream.h"
#include "vec.h"

#if defined(__AVX512F__)
#define RT_REGS 4                                     /* registers across a panel */
#define RT_DEEP 1024                                  /* rows of b in a block: a panel of 256 KiB */
#define RT_ALONE 1                                    /* ... which is packed just before it is met */
#define RT_PAUSE 8                                    /* steps between fetches; the steps of smaller tiles are too short to pause */
#else
#define RT_REGS 2
#define RT_DEEP RT_KC
#define RT_ALONE 0
#define RT_PAUSE 0
#endif

/* A product that no sum is fused with. */
#if defined(__x86_64__) && defined(__GNUC__)
#define RT_ROUNDED(v) __asm__("" : "+x"(v));
#elif defined(__aarch64__) && defined(__GNUC__)
#define RT_ROUNDED(v) __asm__("" : "+w"(v));
#else
#define RT_ROUNDED(v)
#endif

typedef float  rt_vf32 __attribute__((vector_size(RT_VEC), may_alias));
typedef double rt_vf64 __attribute__((vector_size(RT_VEC), may_alias));
typedef int32_t f32_mask __attribute__((vector_size(RT_VEC)));
typedef int64_t f64_mask __attribute__((vector_size(RT_VEC)));

/* Loads and stores of a register's first elements, none behind them is touched; `n` of more than a register means all. */
#if defined(__AVX512F__)
#define RT_MASKED 1
typedef __mmask16 f32_tail;
typedef __mmask8 f64_tail;
RT_INLINE f32_tail f32_tail_of(int n) { return (f32_tail)(n >= 16 ? 0xffff : (1u << n) - 1); }
RT_INLINE f64_tail f64_tail_of(int n) { return (f64_tail)(n >= 8 ? 0xff : (1u << n) - 1); }
RT_INLINE rt_vf32 f32_load_tail(const float *p, f32_tail t) { return (rt_vf32)_mm512_maskz_loadu_ps(t, p); }
RT_INLINE rt_vf64 f64_load_tail(const double *p, f64_tail t) { return (rt_vf64)_mm512_maskz_loadu_pd(t, p); }
RT_INLINE void f32_store_tail(float *p, rt_vf32 v, f32_tail t) { _mm512_mask_storeu_ps(p, t, (__m512)v); }
RT_INLINE void f64_store_tail(double *p, rt_vf64 v, f64_tail t) { _mm512_mask_storeu_pd(p, t, (__m512d)v); }
/* Loads that begin or end within a line of the cache touch two of them: a register is a line, so all of an operand's do. F(later): a register without its
 * first elements, none of which is touched; F(turned): lanes `by` to L of a register, then as many of the next as are missing. */
#define RT_LINES 1
RT_INLINE rt_vf32 f32_later(const float *p, int from) { return (rt_vf32)_mm512_maskz_loadu_ps((__mmask16)(0xffffu << from), p); }
RT_INLINE rt_vf64 f64_later(const double *p, int from) { return (rt_vf64)_mm512_maskz_loadu_pd((__mmask8)(0xffu << from), p); }
RT_INLINE rt_vf32 f32_turned(rt_vf32 v, rt_vf32 next, int by) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return (rt_vf32)_mm512_permutex2var_ps((__m512)v, _mm512_add_epi32(lanes, _mm512_set1_epi32(by)), (__m512)next);
}
RT_INLINE rt_vf64 f64_turned(rt_vf64 v, rt_vf64 next, int by) {
    return (rt_vf64)_mm512_permutex2var_pd((__m512d)v, _mm512_add_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(by)), (__m512d)next);
}
#elif defined(__AVX2__)
#define RT_MASKED 1
typedef __m256i f32_tail, f64_tail;
RT_INLINE f32_tail f32_tail_of(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
RT_INLINE f64_tail f64_tail_of(int n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
RT_INLINE rt_vf32 f32_load_tail(const float *p, f32_tail t) { return (rt_vf32)_mm256_maskload_ps(p, t); }
RT_INLINE rt_vf64 f64_load_tail(const double *p, f64_tail t) { return (rt_vf64)_mm256_maskload_pd(p, t); }
RT_INLINE void f32_store_tail(float *p, rt_vf32 v, f32_tail t) { _mm256_maskstore_ps(p, t, (__m256)v); }
RT_INLINE void f64_store_tail(double *p, rt_vf64 v, f64_tail t) { _mm256_maskstore_pd(p, t, (__m256d)v); }
#else
#define RT_MASKED 0
#endif
#ifndef RT_LINES
#define RT_LINES 0
#endif

/* Sums of n registers, one or four, each of its own lanes. */
#if defined(__AVX512F__)
#include "gemm_regs.h"
#define RT_NT_ROWS 6                                  /* rows of a in a tile of dot products: with four of b they fill the registers */
RT_INLINE void f32_sums(const rt_vf32 *v, int n, float *out) {
    if (n == 1) { *out = rt_vf_sum((rt_vf)v[0]); return; }
    rt_sums_of_4((const __m512 *)v, out);
}
RT_INLINE void f64_sums(const rt_vf64 *v, int n, double *out) {
    if (n == 1) { *out = rt_vd_sum((rt_vd)v[0]); return; }
    __m512d x = _mm512_add_pd(_mm512_unpacklo_pd((__m512d)v[0], (__m512d)v[1]), _mm512_unpackhi_pd((__m512d)v[0], (__m512d)v[1]));
    __m512d y = _mm512_add_pd(_mm512_unpacklo_pd((__m512d)v[2], (__m512d)v[3]), _mm512_unpackhi_pd((__m512d)v[2], (__m512d)v[3]));
    __m256d p = _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
    __m256d q = _mm256_add_pd(_mm512_castpd512_pd256(y), _mm512_extractf64x4_pd(y, 1));
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_permute2f128_pd(p, q, 0x20), _mm256_permute2f128_pd(p, q, 0x31)));
}
#else
#define RT_NT_ROWS 2
RT_INLINE void f32_sums(const rt_vf32 *v, int n, float *out) { for (int i = 0; i < n; i++) out[i] = rt_vf_sum((rt_vf)v[i]); }
RT_INLINE void f64_sums(const rt_vf64 *v, int n, double *out) { for (int i = 0; i < n; i++) out[i] = rt_vd_sum((rt_vd)v[i]); }
#endif

#define T float
#define V rt_vf32
#define L (RT_VEC / 4)
#define F(x) f32_##x
#define SUM rt_vf_sum
#include "gemm_tile.h"
#include "gemm_micro_t.h"
#include "gemm_kept_t.h"
#include "gemm_small_t.h"
#if defined(__AVX512F__)
#include "gemm_pass_t.h"
#endif
#undef T
#undef V
#undef L
#undef F
#undef SUM
#define T double
#define V rt_vf64
#define L (RT_VEC / 8)
#define F(x) f64_##x
#define SUM rt_vd_sum
#include "gemm_tile.h"
#include "gemm_micro_t.h"
#include "gemm_kept_t.h"
#include "gemm_small_t.h"
#if defined(__AVX512F__)
#include "gemm_pass_t.h"
#endif
#undef T
#undef V
#undef L
#undef F
#undef SUM

typedef uint16_t rt_vu16 __attribute__((vector_size(RT_VEC), may_alias));
typedef uint32_t rt_vu32 __attribute__((vector_size(RT_VEC), may_alias));
typedef uint64_t rt_vu64 __attribute__((vector_size(RT_VEC), may_alias));
typedef int16_t u16_mask __attribute__((vector_size(RT_VEC)));
typedef int32_t u32_mask __attribute__((vector_size(RT_VEC)));
typedef int64_t u64_mask __attribute__((vector_size(RT_VEC)));

#define T uint16_t
#define V rt_vu16
#define L (RT_VEC / 2)
#define F(x) u16_##x
#define RT_TURNS 0                                    /* squares of 32 rows have no room in registers */
#include "turn_t.h"
#include "gemm_int_t.h"
#undef T
#undef V
#undef L
#undef F
#undef RT_TURNS
#define RT_TURNS 1
#define T uint32_t
#define V rt_vu32
#define L (RT_VEC / 4)
#define F(x) u32_##x
#include "turn_t.h"
#include "gemm_int_t.h"
#undef T
#undef V
#undef L
#undef F
#define T uint64_t
#define V rt_vu64
#define L (RT_VEC / 8)
#define F(x) u64_##x
#include "turn_t.h"
#include "gemm_int_t.h"
#undef T
#undef V
#undef L
#undef F

/* Bytes: small products and those with factors, the others are product_8()'s in gemm.c. */
static void int_8(const RtGemm *g, int64_t z) {
    enum { NB = 256 };
    const uint8_t *a = (const uint8_t *)g->a + z * g->a_z, *b = (const uint8_t *)g->b + z * g->b_z, *bias = (const uint8_t *)g->bias;
    uint8_t *c = (uint8_t *)g->c + z * g->c_z, alpha = (uint8_t)g->ialpha, beta = (uint8_t)g->ibeta;
    for (int64_t j0 = 0; j0 < g->n; j0 += NB) {
        int64_t nb = g->n - j0 < NB ? g->n - j0 : NB;
        for (int64_t i = 0; i < g->m; i++) {
            uint32_t sum[NB];
            for (int64_t j = 0; j < nb; j++) sum[j] = 0;
            for (int64_t p = 0; p < g->k; p++) {
                uint32_t x = a[i * g->a_m + p * g->a_k];
                const uint8_t *y = b + p * g->b_k + j0 * g->b_n;
                if (g->b_n == 1) for (int64_t j = 0; j < nb; j++) sum[j] += x * y[j];
                else for (int64_t j = 0; j < nb; j++) sum[j] += x * y[j * g->b_n];
            }
            uint8_t *o = c + i * g->c_m + j0 * g->c_n;
            for (int64_t j = 0; j < nb; j++) {
                uint32_t v = alpha * sum[j];
                if (beta) v += (uint32_t)beta * o[j * g->c_n];
                if (bias) v += bias[j0 + j];
                o[j * g->c_n] = (uint8_t)v;
            }
        }
    }
}

static void integer(const RtGemm *g, int64_t z, void *room) {
    switch (rt_itemsize(g->dtype)) {                  /* signed and unsigned ones agree modulo 2^bits */
    case 1: int_8(g, z); break;
    case 2: u16_product(g, z, room); break;
    case 4: u32_product(g, z, room); break;
    default: u64_product(g, z, room);
    }
}

/* Runs of 16-bit floats; gcc finds the bf16 loops by itself, half precision has instructions of its own. */
static void widen_run(int dtype, int64_t n, const uint16_t *restrict x, float *restrict out) {
    int64_t i = 0;
    if (dtype == RT_BF16) {
        for (; i < n; i++) out[i] = rt_bf16_to_f32((rt_bf16){x[i]});
        return;
    }
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(x + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
#endif
    for (; i < n; i++) out[i] = rt_f16_to_f32((rt_f16){x[i]});
}

static void narrow_run(int dtype, int64_t n, const float *restrict x, uint16_t *restrict out) {
    int64_t i = 0;
    if (dtype == RT_BF16) {
        for (; i < n; i++) out[i] = rt_f32_to_bf16(x[i]).bits;
        return;
    }
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) _mm256_storeu_si256((__m256i *)(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++) out[i] = rt_f32_to_f16(x[i]).bits;
}

static void widen(int dtype, int64_t rows, int64_t cols, const char *x, int64_t x_r, int64_t x_c, float *out) {
    const uint16_t *p = (const uint16_t *)x;
    if (x_c == 1 && x_r == cols) { widen_run(dtype, rows * cols, p, out); return; }
    for (int64_t i = 0; i < rows; i++, out += cols) {
        if (x_c == 1) widen_run(dtype, cols, p + i * x_r, out);
        else if (dtype == RT_BF16) for (int64_t j = 0; j < cols; j++) out[j] = rt_bf16_to_f32((rt_bf16){p[i * x_r + j * x_c]});
        else for (int64_t j = 0; j < cols; j++) out[j] = rt_f16_to_f32((rt_f16){p[i * x_r + j * x_c]});
    }
}

static void narrow(int dtype, int64_t n, const float *x, char *out, int64_t step) {
    uint16_t *p = (uint16_t *)out;
    if (step == 1) narrow_run(dtype, n, x, p);
    else if (dtype == RT_BF16) for (int64_t i = 0; i < n; i++) p[i * step] = rt_f32_to_bf16(x[i]).bits;
    else for (int64_t i = 0; i < n; i++) p[i * step] = rt_f32_to_f16(x[i]).bits;
}

extern void RT_NAME(rt_int8_product)(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign,
                                     const int8_t *b, int64_t b_k, int64_t b_n, int32_t *c, int64_t ldc, void *room); /* int8.inc.c */
extern int RT_NAME(rt_bf16_ready)(void);                      /* bf16.inc.c */
extern int RT_NAME(rt_bf16_product)(const RtGemm *g, const char *a, const char *b, char *c, int by_dots, void *room);
extern size_t RT_NAME(rt_bf16_keep)(int64_t k, int64_t n, const char *b, int64_t b_k, int64_t b_n, void *out);
extern int RT_NAME(rt_bf16_kept)(const RtGemm *g, const void *panels, int64_t n, int64_t j, void *room);

const RtGemmTable RT_NAME(rt_gemm_table) = {
    f32_thin, f64_thin, f32_nt, f64_nt, f32_tiles, f64_tiles,
#if defined(__AVX512F__)
    f32_pass_pack, f64_pass_pack, f32_pass_rows, f64_pass_rows,
#else
    NULL, NULL, NULL, NULL,
#endif
    integer, f32_colsum, f64_colsum, f32_outer, f64_outer, f32_small, f64_small, f32_dot, f64_dot, f32_dot_pairs, f64_dot_pairs, widen, narrow, f32_trsm, f64_trsm,
    RT_NAME(rt_int8_product), RT_NAME(rt_bf16_ready), RT_NAME(rt_bf16_product), RT_NAME(rt_bf16_keep), RT_NAME(rt_bf16_kept), f32_keep, f64_keep, f32_kept, f64_kept,
#if defined(__AVX512F__)
    24, RT_THIN_ROWS, INT64_MAX,
#elif defined(__AVX2__)
    10, 7, 1 << 24,
#else
    5, 7, 1 << 15,
#endif
    RT_REGS * RT_VEC,
};
