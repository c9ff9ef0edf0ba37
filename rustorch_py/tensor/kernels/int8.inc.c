/* int8 x int8 -> int32 products; once per instruction set.
 *
 * Note [Dots of bytes]
 * AVX-512 VNNI multiplies four unsigned bytes by four signed ones and adds them to a 32-bit lane. a is read as it lies, unsigned or signed; beside
 * a signed one b, which is packed anyhow, becomes unsigned by adding 128, and 128 times the sum of a's row is taken off again. Elsewhere both
 * operands are packed as 16-bit numbers, whose pairs one instruction
 * multiplies and adds exactly (the one on bytes saturates). Sums wrap modulo 2^32, in any order the same. */
#include <string.h>
#include "gemm.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { RT_INT8_ROWS = 6, RT_INT8_K = 512, RT_INT8_M = 384 };
#define RT_INT8_UNROLL _Pragma("GCC unroll 8")
#define RT_INT8_EACH(COLS) RT_INT8_UNROLL for (int r = 0; r < RT_INT8_ROWS; r++) RT_INT8_UNROLL for (int j = 0; j < COLS; j++)

#if defined(__AVX512F__)
typedef __m512i RT_VI;
#define RT_INT8_REGS 4
#define RT_ZERO _mm512_setzero_si512()
#define RT_LOADI(p) _mm512_loadu_si512(p)
#define RT_SETI(x) _mm512_set1_epi32(x)
#define RT_STOREI(p, v) _mm512_storeu_si512(p, v)
#define RT_PAIRS(s, x, y) _mm512_add_epi32(s, _mm512_madd_epi16(x, y))
#elif defined(__AVX2__)
typedef __m256i RT_VI;
#define RT_INT8_REGS 2
#define RT_ZERO _mm256_setzero_si256()
#define RT_LOADI(p) _mm256_loadu_si256((const __m256i *)(p))
#define RT_SETI(x) _mm256_set1_epi32(x)
#define RT_STOREI(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define RT_PAIRS(s, x, y) _mm256_add_epi32(s, _mm256_madd_epi16(x, y))
#elif defined(__SSE2__) && defined(__x86_64__)
typedef __m128i RT_VI;
#define RT_INT8_REGS 2
#define RT_ZERO _mm_setzero_si128()
#define RT_LOADI(p) _mm_loadu_si128((const __m128i *)(p))
#define RT_SETI(x) _mm_set1_epi32(x)
#define RT_STOREI(p, v) _mm_storeu_si128((__m128i *)(p), v)
#define RT_PAIRS(s, x, y) _mm_add_epi32(s, _mm_madd_epi16(x, y))
#else
typedef int32_t RT_VI __attribute__((vector_size(16)));
typedef int16_t RT_VS __attribute__((vector_size(16)));
#define RT_INT8_REGS 2
#define RT_ZERO ((RT_VI){0})
RT_INLINE RT_VI load_i(const void *p) { RT_VI v; memcpy(&v, p, sizeof v); return v; }
#define RT_LOADI(p) load_i(p)
#define RT_SETI(x) ((RT_VI){0} + (x))
#define RT_STOREI(p, v) do { RT_VI v_ = (v); memcpy(p, &v_, sizeof v_); } while (0)
#define RT_PAIRS(s, x, y) ((s) + ((x) << 16 >> 16) * ((y) << 16 >> 16) + ((x) >> 16) * ((y) >> 16))
#endif
#define RT_LANES ((int)sizeof(RT_VI) / 4)

#define N(x) pairs_##x
#define G 2
#define A int16_t
#define B int16_t
#define OFFSET 0
#define DOT RT_PAIRS
#define TARGET
#include "int8_t.h"

#if defined(__AVX512F__)
#include "int8_fours.h"
#endif

void RT_NAME(rt_int8_product)(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_m, int64_t a_k, int unsign,
                              const int8_t *b, int64_t b_k, int64_t b_n, int32_t *c, int64_t ldc, void *room) {
#if defined(__AVX512F__)
    if (__builtin_cpu_supports("avx512vnni")) { fours_product(m, n, k, a, a_m, a_k, unsign, b, b_k, b_n, c, ldc, room); return; }
#endif
    pairs_product(m, n, k, a, a_m, a_k, unsign, b, b_k, b_n, c, ldc, room);
}
