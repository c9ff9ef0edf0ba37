/* Pieces of products that need AVX-512. */
#ifndef RT_GEMM_REGS_H
#define RT_GEMM_REGS_H
#include <immintrin.h>
#include "rustorch/loops.h"

/* Whether the processor has dots of bfloat16 pairs, and they are faster than float32: Intel's take two passes, see bf16_tiles.h. */
RT_INLINE int rt_has_dots(void) { return __builtin_cpu_supports("avx512bf16") && !__builtin_cpu_is("intel"); }

/* Sums of the lanes of four registers at once: a quarter of what four reductions cost. */
RT_INLINE void rt_sums_of_4(const __m512 *v, float *out) {
    __m512 x = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    __m512 y = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512d p = _mm512_castps_pd(x), q = _mm512_castps_pd(y);
    __m512 s = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(p, q)), _mm512_castpd_ps(_mm512_unpackhi_pd(p, q)));
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

/* Sixteen rows of sixteen 32-bit words, turned; ld and ldo in bytes. */
RT_INLINE void rt_turn_words(const char *x, int64_t ld, char *out, int64_t ldo) {
    __m512i r[16], q[16];
    const __m512i lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i hi = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(x + i * ld);
    _Pragma("GCC unroll 16") for (int w = 0; w < 4; w++) {
        _Pragma("GCC unroll 16") for (int i = 0; i < 8; i++) {
            q[2 * i] = _mm512_permutex2var_epi32(r[i], lo, r[i + 8]);
            q[2 * i + 1] = _mm512_permutex2var_epi32(r[i], hi, r[i + 8]);
        }
        _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) r[i] = q[i];
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) _mm512_storeu_si512(out + i * ldo, r[i]);
}
#endif
