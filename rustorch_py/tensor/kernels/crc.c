/* CRC-32 (ISO 3309, as in zlib and PNG) by carry-less multiplication: V. Gopal et al., Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction, Intel 2009; the constants are those of its bit-reflected form. */
#include "crc.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

int rt_crc32_fast(void) { return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"); }

#define CLMUL __attribute__((target("pclmul,sse4.1")))

/* a carried over 128 or 512 bits, joined with the data there */
CLMUL static inline __m128i fold(__m128i a, __m128i k, __m128i next) {
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00), _mm_clmulepi64_si128(a, k, 0x11)), next);
}
CLMUL static inline __m128i load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }

/* n: at least 64, a multiple of 16. crc comes and goes inverted. */
CLMUL uint32_t rt_crc32_blocks(uint32_t crc, const uint8_t *p, size_t n) {
    const __m128i by_512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4), by_128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i by_64 = _mm_set_epi64x(0, 0x163cd6124), barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low32 = _mm_setr_epi32(~0, 0, ~0, 0);
    __m128i a = _mm_xor_si128(load(p), _mm_cvtsi32_si128((int)crc)), b = load(p + 16), c = load(p + 32), d = load(p + 48);
    for (p += 64, n -= 64; n >= 64; p += 64, n -= 64) {
        a = fold(a, by_512, load(p));
        b = fold(b, by_512, load(p + 16));
        c = fold(c, by_512, load(p + 32));
        d = fold(d, by_512, load(p + 48));
    }
    a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
    for (; n; p += 16, n -= 16) a = fold(a, by_128, load(p));
    /* 128 bits to 64, to 32 */
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_128, 0x10));
    a = _mm_xor_si128(_mm_srli_si128(a, 4), _mm_clmulepi64_si128(_mm_and_si128(a, low32), by_64, 0x00));
    b = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low32), barrett, 0x10), low32);
    b = _mm_clmulepi64_si128(b, barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, b), 1);
}
#else
int rt_crc32_fast(void) { return 0; }
uint32_t rt_crc32_blocks(uint32_t crc, const uint8_t *p, size_t n) { (void)p; (void)n; return crc; }
#endif

/* ---- checksums of parts, joined ----
 * The register is a polynomial over GF(2) modulo P, bit 31 the constant term: n zero bytes more multiply it by x^(8n). */
uint32_t rt_crc32_times(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b >> 1 ^ (b & 1 ? 0xedb88320u : 0);
    }
    return product;
}

uint32_t rt_crc32_power(size_t n) {
    uint32_t square = 1u << 23, power = 1u << 31;                    /* x^8, 1 */
    for (; n; n >>= 1, square = rt_crc32_times(square, square))
        if (n & 1) power = rt_crc32_times(power, square);
    return power;
}

uint32_t rt_crc32_of(const uint8_t *p, size_t n) {
    uint32_t crc = ~0u;
    size_t blocks = n >= 64 && rt_crc32_fast() ? n & ~(size_t)15 : 0;
    if (blocks) crc = rt_crc32_blocks(crc, p, blocks);
    for (size_t i = blocks; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}
