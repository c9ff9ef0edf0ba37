/* Images of bytes, resized along one axis and then the other; for resize.inc.c.
 *
 * Note [Bytes]
 * Pillow's arithmetic, as PyTorch has it: weights are integers of 16 bits, a position of the result is their sum over a window of its
 * source, rounded and cut to a byte; what stands between the axes is bytes too. A product of two 16-bit numbers and the sum of two of
 * them are one instruction, so taps go in pairs. Rows of the source are resized across as the rows of the result come to need them,
 * into a ring of as many as a window has: in cache whatever the image's size, and each of them once. */
#if defined(__x86_64__)
#include <immintrin.h>
#define RT_BYTES_VECTORS 1
#else
#define RT_BYTES_VECTORS 0
#endif

RT_INLINE uint8_t byte_of(int32_t sum, int shift) {
    int32_t v = sum >> shift;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* d[i] = sum of w[k] * p[k][i]; w has an even number of places, the last of which may be a 0 behind `taps` */
static void byte_rows(uint8_t *restrict d, const uint8_t *const *p, const int16_t *w, int64_t taps, int64_t n, int shift) {
    const int32_t half = (int32_t)1 << shift >> 1;
    int64_t i = 0;
#if RT_BYTES_VECTORS
    for (; n >= 16 && i < n; i += 16) {
        if (i + 16 > n) i = n - 16;                                /* the last ones again: they depend on the source alone */
#if defined(__AVX2__)
        __m256i low = _mm256_set1_epi32(half), high = low;
#else
        __m128i s[4];
        for (int q = 0; q < 4; q++) s[q] = _mm_set1_epi32(half);
#endif
        for (int64_t k = 0; k < taps; k += 2) {
            int32_t pair;
            memcpy(&pair, w + k, 4);
            __m128i a = _mm_loadu_si128((const __m128i *)(p[k] + i)), b = k + 1 < taps ? _mm_loadu_si128((const __m128i *)(p[k + 1] + i)) : _mm_setzero_si128();
            __m128i u = _mm_unpacklo_epi8(a, b), v = _mm_unpackhi_epi8(a, b);
#if defined(__AVX2__)
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepu8_epi16(u), _mm256_set1_epi32(pair)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepu8_epi16(v), _mm256_set1_epi32(pair)));
#else
            const __m128i by = _mm_set1_epi32(pair), none = _mm_setzero_si128();
            s[0] = _mm_add_epi32(s[0], _mm_madd_epi16(_mm_unpacklo_epi8(u, none), by));
            s[1] = _mm_add_epi32(s[1], _mm_madd_epi16(_mm_unpackhi_epi8(u, none), by));
            s[2] = _mm_add_epi32(s[2], _mm_madd_epi16(_mm_unpacklo_epi8(v, none), by));
            s[3] = _mm_add_epi32(s[3], _mm_madd_epi16(_mm_unpackhi_epi8(v, none), by));
#endif
        }
        const __m128i by = _mm_cvtsi32_si128(shift);
#if defined(__AVX2__)
        __m256i both = _mm256_packs_epi32(_mm256_sra_epi32(low, by), _mm256_sra_epi32(high, by));
        both = _mm256_permute4x64_epi64(both, 0xd8);
        _mm_storeu_si128((__m128i *)(d + i), _mm_packus_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
#else
        for (int q = 0; q < 4; q++) s[q] = _mm_sra_epi32(s[q], by);
        _mm_storeu_si128((__m128i *)(d + i), _mm_packus_epi16(_mm_packs_epi32(s[0], s[1]), _mm_packs_epi32(s[2], s[3])));
#endif
    }
#endif
    for (; i < n; i++) {
        int32_t sum = half;
        for (int64_t k = 0; k < taps; k++) sum += w[k] * p[k][i];
        d[i] = byte_of(sum, shift);
    }
}

/* A row of single bytes. */
static void bytes_across1(const RtByteAxis *a, const uint8_t *restrict src, uint8_t *restrict d) {
    const int32_t half = (int32_t)1 << a->shift >> 1;
    int64_t i = 0, taps = a->taps;
#if RT_BYTES_VECTORS
    if (taps % 4 == 0)                                             /* four positions by four taps, the windows within the row: see fill_bytes */
        for (; i + 4 <= a->to; i += 4) {
            const int32_t *at = a->first + i;
            const int16_t *w = a->w + i * a->step;
            __m128i low = _mm_setzero_si128(), high = low;
            for (int64_t k = 0; k < taps; k += 4) {
                int32_t four[4];
                for (int q = 0; q < 4; q++) memcpy(four + q, src + at[q] + k, 4);
                __m128i v = _mm_insert_epi32(_mm_insert_epi32(_mm_insert_epi32(_mm_cvtsi32_si128(four[0]), four[1], 1), four[2], 2), four[3], 3);
                __m128i u = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(w + k)), _mm_loadl_epi64((const __m128i *)(w + a->step + k)));
                __m128i t = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(w + 2 * a->step + k)), _mm_loadl_epi64((const __m128i *)(w + 3 * a->step + k)));
                low = _mm_add_epi32(low, _mm_madd_epi16(_mm_cvtepu8_epi16(v), u));
                high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi8(v, _mm_setzero_si128()), t));
            }
            __m128i s = _mm_sra_epi32(_mm_add_epi32(_mm_hadd_epi32(low, high), _mm_set1_epi32(half)), _mm_cvtsi32_si128(a->shift));
            s = _mm_packs_epi32(s, s);
            int32_t out = _mm_cvtsi128_si32(_mm_packus_epi16(s, s));
            memcpy(d + i, &out, 4);
        }
#endif
    for (; i < a->to; i++) {
        const uint8_t *p = src + a->first[i];
        int32_t sum = half;
        for (int64_t k = 0; k < taps; k++) sum += a->w[i * a->step + k] * p[k];
        d[i] = byte_of(sum, a->shift);
    }
}

#if RT_BYTES_VECTORS
/* A row of pixels of three or four bytes. d has room for a byte more than the row's. */
RT_INLINE void bytes_across_pixels(const RtByteAxis *a, const int c, const uint8_t *src, uint8_t *restrict d) {
    const __m128i half = _mm_set1_epi32((int32_t)1 << a->shift >> 1), by = _mm_cvtsi32_si128(a->shift);
    const __m128i one = c == 3 ? _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1) : _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
    const __m128i two = c == 3 ? _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1) : _mm_setr_epi8(8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
    int64_t bytes = a->from * c;
    for (int64_t i = 0; i < a->to; i++) {
        const int16_t *w = a->w + i * a->step;
        __m128i s = half, t = _mm_setzero_si128();
        for (int64_t k = 0; k < a->step; k += 4) {
            int64_t at = (a->first[i] + k) * c;
            uint8_t tail[16] = {0};
            const uint8_t *p = src + at;
            if (RT_UNLIKELY(at + 16 > bytes)) { memcpy(tail, p, (size_t)(at < bytes ? bytes - at : 0)); p = tail; }
            __m128i v = _mm_loadu_si128((const __m128i *)p);
            int32_t x, y;
            memcpy(&x, w + k, 4);
            memcpy(&y, w + k + 2, 4);
            s = _mm_add_epi32(s, _mm_madd_epi16(_mm_shuffle_epi8(v, one), _mm_set1_epi32(x)));
            t = _mm_add_epi32(t, _mm_madd_epi16(_mm_shuffle_epi8(v, two), _mm_set1_epi32(y)));
        }
        s = _mm_sra_epi32(_mm_add_epi32(s, t), by);
        s = _mm_packs_epi32(s, s);
        int32_t out = _mm_cvtsi128_si32(_mm_packus_epi16(s, s));
        memcpy(d + i * c, &out, 4);
    }
}
#endif

static void bytes_across(const RtByteAxis *a, int64_t inner, const uint8_t *src, uint8_t *d, const uint8_t **p) {
    if (inner == 1) { bytes_across1(a, src, d); return; }
#if RT_BYTES_VECTORS
    if (inner == 3) { bytes_across_pixels(a, 3, src, d); return; }
    if (inner == 4) { bytes_across_pixels(a, 4, src, d); return; }
#endif
    for (int64_t i = 0; i < a->to; i++) {
        for (int64_t k = 0; k < a->taps; k++) p[k] = src + (a->first[i] + k) * inner;
        byte_rows(d + i * inner, p, a->w + i * a->step, a->taps, inner, a->shift);
    }
}

/* x: (outer, a[0].from, a[1].from, inner); an axis of no taps keeps its size */
static void bytes(const RtByteAxis *a, int64_t outer, int64_t inner, const uint8_t *x, uint8_t *y, int threads) {
    int64_t rows = outer * a[0].to, in_row = a[1].from * inner, out_row = a[1].to * inner, most = a[0].taps > a[1].taps ? a[0].taps : a[1].taps;
    int64_t ring = a[0].taps ? a[0].taps : 1, stride = out_row + 16;
    double across = a[1].taps ? (double)out_row * (a[1].taps + 4) / 4 * a[0].from / a[0].to : 0;
    threads = few(rows * (across + (double)out_row * a[0].taps / 16), threads, rows);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int part = 0; part < threads; part++) {
        uint8_t *line = malloc((size_t)(ring * stride));
        const uint8_t **p = malloc((size_t)(2 * most + 2) * sizeof *p), **q = p + most + 1;
        int64_t end = rows * (part + 1) / threads, image = -1, done = 0;
        for (int64_t r = rows * part / threads; r < end; r++) {
            int64_t o = r / a[0].to, h = r % a[0].to, from = a[0].taps ? a[0].first[h] : h, to = a[0].taps ? from + a[0].taps : h + 1;
            const uint8_t *src = x + o * a[0].from * in_row;
            if (o != image) { image = o; done = 0; }
            if (done < from) done = from;
            if (a[1].taps) for (; done < to; done++) bytes_across(a + 1, inner, src + done * in_row, line + done % ring * stride, q);
            for (int64_t k = from; k < to; k++) p[k - from] = a[1].taps ? line + k % ring * stride : src + k * in_row;
            if (a[0].taps) byte_rows(y + r * out_row, p, a[0].w + h * a[0].step, a[0].taps, out_row, a[0].shift);
            else memcpy(y + r * out_row, p[0], (size_t)out_row);
        }
        free(p);
        free(line);
    }
}
