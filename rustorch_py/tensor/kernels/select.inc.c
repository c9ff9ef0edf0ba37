/* Elements and positions where a byte mask is 1, in order. A run is cut in pieces whose counts are known, so that threads
 * write side by side: nothing is ever written at or behind out[room]. */
#include <string.h>
#include "select.h"
#include "half_lines.h"
#include "index_rows.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/* One element at a time, without a branch; the store goes ahead of the decision, so it stops while there is room. */
#define TAKE(B, T)                                                                               \
    static void take_##B(const uint8_t *mask, int64_t n, const void *srcv, void *outv, int64_t room) { \
        const T *src = srcv; T *out = outv;                                                      \
        int64_t j = 0, k = 0;                                                                    \
        WIDE_##B                                                                                 \
        for (; k < room && j + 8 <= n; j += 8) {                                                 \
            uint64_t w;                                                                          \
            memcpy(&w, mask + j, 8);                                                             \
            if (!w) continue;                                                                    \
            if (k + 8 > room) break;                                                             \
            for (int i = 0; i < 8; i++) { out[k] = src[j + i]; k += mask[j + i]; }               \
        }                                                                                        \
        for (; k < room; j++) if (mask[j]) out[k++] = src[j];                                    \
    }
typedef struct { uint64_t a, b; } u128;
#if defined(__AVX512F__)
#define WIDE(LANES, COMPRESS)                                                                    \
    for (; j + 64 <= n && k + 64 <= room; j += 64) {                                             \
        __m512i bytes = _mm512_loadu_si512(mask + j);                                            \
        uint64_t bits = _mm512_test_epi8_mask(bytes, bytes);                                     \
        if (!bits) continue;                                                                     \
        for (int i = 0; i < 64; i += LANES, bits >>= LANES) {                                    \
            uint64_t part = bits & ((1u << LANES) - 1);                                          \
            _mm512_storeu_si512(out + k, COMPRESS);                                              \
            k += __builtin_popcountll(part);                                                     \
        }                                                                                        \
    }
#define WIDE_4 WIDE(16, _mm512_maskz_compress_epi32((__mmask16)part, _mm512_loadu_si512(src + j + i)))
#define WIDE_8 WIDE(8, _mm512_maskz_compress_epi64((__mmask8)part, _mm512_loadu_si512(src + j + i)))
#else
#define WIDE_4
#define WIDE_8
#endif
#define WIDE_1
#define WIDE_2
#define WIDE_16
TAKE(1, uint8_t) TAKE(2, uint16_t) TAKE(4, uint32_t) TAKE(8, uint64_t) TAKE(16, u128)

static void positions(const uint8_t *mask, int64_t n, int64_t base, int64_t *out, int64_t room) {
    int64_t j = 0, k = 0;
#if defined(__AVX512F__)
    __m512i at = _mm512_add_epi64(_mm512_set1_epi64(base), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    for (; j + 64 <= n && k + 64 <= room; j += 64) {
        __m512i bytes = _mm512_loadu_si512(mask + j);
        uint64_t bits = _mm512_test_epi8_mask(bytes, bytes);
        if (!bits) { at = _mm512_add_epi64(at, _mm512_set1_epi64(64)); continue; }
        for (int i = 0; i < 64; i += 8, bits >>= 8) {
            _mm512_storeu_si512(out + k, _mm512_maskz_compress_epi64((__mmask8)bits, at));
            at = _mm512_add_epi64(at, _mm512_set1_epi64(8));
            k += __builtin_popcountll(bits & 255);
        }
    }
#endif
    for (; k < room && j + 8 <= n; j += 8) {
        uint64_t w;
        memcpy(&w, mask + j, 8);
        if (!w) continue;
        if (k + 8 > room) break;
        for (int i = 0; i < 8; i++) { out[k] = base + j + i; k += mask[j + i]; }
    }
    for (; k < room; j++) if (mask[j]) out[k++] = base + j;
}

/* Rows and columns of rows [r0, r1); then any number of coordinates, nd >= 3. Coordinate d of all elements is out + d * step. */
static void pairs(const uint8_t *mask, int64_t r0, int64_t r1, int64_t width, int64_t *out, int64_t step, int64_t room) {
    int64_t k = 0;
    for (int64_t r = r0; r < r1; r++) {
        const uint8_t *m = mask + r * width;
        int64_t j = 0;
#if defined(__AVX512F__)
        __m512i row = _mm512_set1_epi64(r), at = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
        for (; j + 8 <= width && k + 8 <= room; j += 8) {
            uint64_t w;
            memcpy(&w, m + j, 8);
            if (w) {
                __mmask8 bits = (__mmask8)((w * 0x0102040810204080ull) >> 56);       /* eight bytes of 0 or 1 to eight bits */
                _mm512_storeu_si512(out + k, row);
                _mm512_storeu_si512(out + step + k, _mm512_maskz_compress_epi64(bits, at));
                k += __builtin_popcount(bits);
            }
            at = _mm512_add_epi64(at, _mm512_set1_epi64(8));
        }
#endif
        for (; k < room && j < width; j++) { out[k] = r; out[step + k] = j; k += m[j]; }
    }
}
static void coordinates(const uint8_t *mask, int64_t r0, int64_t r1, int nd, const int64_t *shape, int64_t *out, int64_t step, int64_t room) {
    int64_t width = shape[nd - 1], k = 0, at[RT_MAX_DIM], rest = r0;
    if (nd == 2) { pairs(mask, r0, r1, width, out, step, room); return; }
    for (int d = nd - 2; d >= 0; d--) { at[d] = rest % shape[d]; rest /= shape[d]; }
    for (int64_t r = r0; r < r1 && k < room; r++) {
        const uint8_t *m = mask + r * width;
        for (int64_t j = 0; k < room && j < width; j++) {
            for (int d = 0; d < nd - 1; d++) out[d * step + k] = at[d];
            out[(nd - 1) * step + k] = j;
            k += m[j];
        }
        for (int d = nd - 2; d >= 0; d--) {
            if (++at[d] < shape[d]) break;
            at[d] = 0;
        }
    }
}

static int outside(const int64_t *ix, int64_t n, int64_t low, int64_t last) {
    int64_t signs = 0;                                    /* of the distances to both ends */
    for (int64_t j = 0; j < n; j++) signs |= (ix[j] - low) | (last - ix[j]);
    return signs < 0;
}

#define ADD(name, T)                                                                             \
    static void name(char *dst, const char *src, int64_t n) {                                    \
        T *restrict d = (T *)dst;                                                                \
        const T *restrict s = (const T *)src;                                                    \
        for (int64_t j = 0; j < n; j++) d[j] += s[j];                                            \
    }
ADD(add_f32, float) ADD(add_f64, double)
static void add_bf16(char *dst, const char *src, int64_t n) {
    rt_bf16 *restrict d = (rt_bf16 *)dst;
    const rt_bf16 *restrict s = (const rt_bf16 *)src;
    for (int64_t j = 0; j < n; j++) d[j] = rt_f32_to_bf16(rt_bf16_to_f32(d[j]) + rt_bf16_to_f32(s[j]));
}
static void add_f16(char *dst, const char *src, int64_t n) {
    rt_f16 *d = (rt_f16 *)dst;
    const rt_f16 *s = (const rt_f16 *)src;
    float x[256], y[256];
    for (int64_t b = 0; b < n; b += 256) {
        int64_t m = n - b < 256 ? n - b : 256;
        widen_run_f16(x, d + b, m);
        widen_run_f16(y, s + b, m);
        for (int64_t j = 0; j < m; j++) x[j] += y[j];
        narrow_run_f16(d + b, x, m);
    }
}
HALF_ROWS(f16, rt_f16, rt_f16_to_f32, rt_f32_to_f16)
HALF_ROWS(bf16, rt_bf16, rt_bf16_to_f32, rt_f32_to_bf16)

const RtSelectFns RT_NAME(rt_select_fns) = {{take_1, take_2, take_4, take_8, take_16}, positions, coordinates, outside,
                                            add_f32, add_f64, add_bf16, add_f16, {add_at_f16, mul_at_f16, max_at_f16, min_at_f16}, {add_at_bf16, mul_at_bf16, max_at_bf16, min_at_bf16}};
