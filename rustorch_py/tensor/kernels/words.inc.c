/* Sorting of distinct 64-bit words (a key and the position it came from, order.c) by vectors of eight.
 *
 * Note [Words by vectors]
 * A quicksort whose partition packs a vector's smaller words to the left, in place, and the others into a second array (after
 * M. Blacher et al., Vectorized and performance-portable Quicksort, 2022), down to lines of 128, which bitonic networks sort in registers
 * (K. Batcher, Sorting networks and their applications, 1968). No two words are equal, so the median of eight of them always parts them; lines
 * that are parted badly too often end in a heap sort. */
#include <stdint.h>
#include <string.h>
#include "lane_key.h"
#if defined(__AVX512F__)
#include <immintrin.h>

#define MIN _mm512_min_epu64
#define MAX _mm512_max_epu64
#define ORDER(a, b) do { __m512i lo_ = MIN(a, b); b = MAX(a, b); a = lo_; } while (0)
RT_INLINE __m512i far4(__m512i x) { return _mm512_shuffle_i64x2(x, x, 0x4e); }
RT_INLINE __m512i far2(__m512i x) { return _mm512_permutex_epi64(x, 0x4e); }
RT_INLINE __m512i far1(__m512i x) { return _mm512_shuffle_epi32(x, 0x4e); }
RT_INLINE __m512i turned(__m512i x) { return _mm512_permutexvar_epi64(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), x); }
RT_INLINE __m512i pick(__m512i x, __m512i y, __mmask8 larger) { return _mm512_mask_max_epu64(MIN(x, y), larger, x, y); }
/* a bitonic register sorted */
RT_INLINE __m512i clean(__m512i x) {
    x = pick(x, far4(x), 0xf0);
    x = pick(x, far2(x), 0xcc);
    return pick(x, far1(x), 0xaa);
}
/* two sorted runs of `half` registers each, one behind the other, merged */
RT_INLINE void merge(__m512i *v, const int half) {
    for (int i = 0; i < half; i++) v[half + i] = turned(v[half + i]);
    for (int i = 0; i < half / 2; i++) { __m512i x = v[half + i]; v[half + i] = v[2 * half - 1 - i]; v[2 * half - 1 - i] = x; }
    for (int i = 0; i < half; i++) ORDER(v[i], v[half + i]);
    for (int d = half / 2; d > 0; d /= 2)
        for (int b = 0; b < 2 * half; b += 2 * d)
            for (int i = b; i < b + d; i++) ORDER(v[i], v[i + d]);
    for (int i = 0; i < 2 * half; i++) v[i] = clean(v[i]);
}
RT_INLINE void sort64(__m512i *v) {
    /* columns, by the network of 19 comparators */
    ORDER(v[0], v[2]); ORDER(v[1], v[3]); ORDER(v[4], v[6]); ORDER(v[5], v[7]);
    ORDER(v[0], v[4]); ORDER(v[1], v[5]); ORDER(v[2], v[6]); ORDER(v[3], v[7]);
    ORDER(v[0], v[1]); ORDER(v[2], v[3]); ORDER(v[4], v[5]); ORDER(v[6], v[7]);
    ORDER(v[2], v[4]); ORDER(v[3], v[5]);
    ORDER(v[1], v[4]); ORDER(v[3], v[6]);
    ORDER(v[1], v[2]); ORDER(v[3], v[4]); ORDER(v[5], v[6]);
    /* turned: each register is a sorted run */
    __m512i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + j] = _mm512_shuffle_i64x2(a[i + j], a[i + j + 2], 0x88);
            b[i + j + 2] = _mm512_shuffle_i64x2(a[i + j], a[i + j + 2], 0xdd);
        }
    for (int j = 0; j < 4; j++) {
        v[j] = _mm512_shuffle_i64x2(b[j], b[j + 4], 0x88);
        v[j + 4] = _mm512_shuffle_i64x2(b[j], b[j + 4], 0xdd);
    }
    for (int i = 0; i < 8; i += 2) merge(v + i, 1);
    for (int i = 0; i < 8; i += 4) merge(v + i, 2);
    merge(v, 4);
}
/* n words, at most 8 * registers (8 or 16 of them) */
RT_INLINE void sort_line(uint64_t *a, int64_t n, const int registers) {
    __m512i v[16];
    __mmask8 some[16];
    for (int i = 0; i < registers; i++) {
        int64_t m = n - 8 * i;
        some[i] = m >= 8 ? 0xff : m > 0 ? (__mmask8)((1u << m) - 1) : 0;
        v[i] = _mm512_mask_loadu_epi64(_mm512_set1_epi64(-1), some[i], a + 8 * i);
    }
    for (int i = 0; i < registers; i += 8) sort64(v + i);
    if (registers == 16) merge(v, 8);
    for (int i = 0; i < registers; i++) _mm512_mask_storeu_epi64(a + 8 * i, some[i], v[i]);
}
static __attribute__((noinline)) void sort_line64(uint64_t *a, int64_t n) { sort_line(a, n, 8); }
static __attribute__((noinline)) void sort_line128(uint64_t *a, int64_t n) { sort_line(a, n, 16); }

static void heap_sort(uint64_t *a, int64_t n) {
    for (int64_t root = n / 2 - 1, end = n; end > 1;) {
        uint64_t x;
        if (root >= 0) x = a[root--];
        else { x = a[--end]; a[end] = a[0]; }
        int64_t i = root + 1, down;
        while ((down = 2 * i + 1) < end) {
            down += down + 1 < end && a[down] < a[down + 1];
            if (a[down] <= x) break;
            a[i] = a[down];
            i = down;
        }
        a[i] = x;
    }
}

/* t: room for n + 8 words */
static void sort_part(uint64_t *a, uint64_t *t, int64_t n, int depth) {
    while (n > 128) {
        if (depth-- == 0) { heap_sort(a, n); return; }
        int64_t e = n / 8, w = 0, m = 0, i = 0;
        const uint64_t *s = a + e / 2;
        __m512i v = _mm512_setr_epi64(s[0], s[e], s[2 * e], s[3 * e], s[4 * e], s[5 * e], s[6 * e], s[7 * e]);
        v = pick(v, far1(v), 0xaa ^ 0xcc);                           /* sorted by Batcher's network */
        v = pick(v, far2(v), 0xcc ^ 0xf0);
        v = pick(v, far1(v), 0xaa ^ 0xf0);
        v = clean(v);
        __m512i pivot = _mm512_permutexvar_epi64(_mm512_set1_epi64(4), v);
        for (; i + 8 <= n; i += 8) {
            v = _mm512_loadu_si512(a + i);
            __mmask8 small = _mm512_cmplt_epu64_mask(v, pivot);
            int64_t c = __builtin_popcount(small);
            _mm512_storeu_si512(a + w, _mm512_maskz_compress_epi64(small, v));           /* w <= i: over what has been read */
            _mm512_storeu_si512(t + m, _mm512_maskz_compress_epi64((__mmask8)~small, v));
            w += c;
            m += 8 - c;
        }
        uint64_t rest[8];
        int left = (int)(n - i);
        for (int k = 0; k < left; k++) rest[k] = a[i + k];
        uint64_t bar = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(pivot));
        for (int k = 0; k < left; k++) {
            if (rest[k] < bar) a[w++] = rest[k];
            else t[m++] = rest[k];
        }
        memcpy(a + w, t, (size_t)m * sizeof *a);
        if (w < m) { sort_part(a, t, w, depth); a += w; n = m; }
        else { sort_part(a + w, t, m, depth); n = w; }
    }
    if (n > 64) sort_line128(a, n);
    else if (n > 1) sort_line64(a, n);
}
void RT_NAME(rt_sort_words)(uint64_t *a, uint64_t *t, int64_t n) { sort_part(a, t, n, 2 * (64 - __builtin_clzll((uint64_t)n | 1))); }

/* float32 values as words, and back (as put_values of order.c) */
void RT_NAME(rt_words_of_f32)(const float *x, int64_t n, uint32_t flip, uint64_t *word) {
    for (int64_t l = 0; l < n; l++) {
        uint32_t key = (uint32_t)key_f32(x + l) ^ flip;
        word[l] = (uint64_t)key << 32 | (uint64_t)l;
    }
}
void RT_NAME(rt_words_to_f32)(const float *x, const uint64_t *word, int64_t n, uint32_t flip, int64_t *idx, float *values) {
    uint32_t *to = (uint32_t *)values;
    uint32_t several = 0;                                            /* a key that several values share: zeros, NaN */
    for (int64_t l = 0; l < n; l++) idx[l] = (int64_t)(word[l] & 0xffffffffu);
    if (!to) return;
    for (int64_t l = 0; l < n; l++) {
        uint32_t key = (uint32_t)(word[l] >> 32) ^ flip, bits = key ^ (~(uint32_t)((int32_t)key >> 31) | 0x80000000u);
        several |= (uint32_t)(bits == 0) | (uint32_t)(key == 0xffffffffu);
        to[l] = bits;
    }
    if (several) for (int64_t l = 0; l < n; l++) values[l] = x[idx[l]];
}
#endif
