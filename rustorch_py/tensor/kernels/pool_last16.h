/* Poolings of bfloat16 with the channels innermost, read as they lie: widened in registers, added in float32, rounded once. Included
 * by pool.inc.c after the float loops, whose windows it walks. BLOCK vectors of channels are held while a window is walked, so that
 * the sums stay in registers and a position's channels are read as one run. */
#include "half_lines.h"

RT_INLINE rt_vf widened(const rt_bf16 *p) {
#if defined(__AVX512F__)
    return (rt_vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
#elif defined(__AVX2__)
    return (rt_vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
#else
    float f[RT_LANES_F32];
    for (int i = 0; i < RT_LANES_F32; i++) f[i] = rt_bf16_to_f32(p[i]);
    return rt_vf_load(f);
#endif
}
static void rounded(rt_bf16 *y, const float *x, int64_t n) {
    for (int64_t i = narrow_bf16(y, x, n); i < n; i++) y[i] = rt_f32_to_bf16(x[i]);
}

#define BLOCK 4
#define L16 RT_LANES_F32
#define HERE(z, r, w) (x + (n * in + ((z) * p->in[1] + (r)) * p->in[2] + (w)) * channels + k0 + k)
/* `body` with count vectors of channels from k on; then the last few channels, one vector that is filled with zeros */
#define EACH_BLOCK(body)                                                                                            \
    int64_t k = 0;                                                                                                  \
    for (; k + BLOCK * L16 <= m; k += BLOCK * L16) { enum { count = BLOCK }; const int left = L16; body }           \
    for (; k < m; k += L16) { enum { count = 1 }; const int left = m - k < L16 ? (int)(m - k) : L16; body }
#define READ(from, j) (left == L16 ? widened((from) + (j) * L16) : few_widened(from, left))

RT_INLINE rt_vf few_widened(const rt_bf16 *p, int n) {
    rt_bf16 some[RT_LANES_F32] = {{0}};
    memcpy(some, p, (size_t)n * sizeof *p);
    return widened(some);
}

static void avg_last_bf16(const RtPool *p, int64_t images, int64_t channels, const rt_bf16 *x, rt_bf16 *y, int threads) {
    EACH_WINDOW(
        float sum[ROW_MAX + BLOCK * L16];
        float divisor = p->divisor != 0 ? (float)p->divisor : (float)(p->size[0][a] * p->size[1][b] * p->size[2][c]);
        EACH_BLOCK(
            rt_vf s[count];
            for (int j = 0; j < count; j++) s[j] = (rt_vf){0};
            EACH_TAP {
                const rt_bf16 *from = HERE(z, r, w);
                for (int j = 0; j < count; j++) s[j] += READ(from, j);
            }
            for (int j = 0; j < count; j++) rt_vf_store(sum + k + j * L16, s[j] / rt_vf_set(divisor));
        )
        rounded(y + o, sum, m);
    )
}

static void max_last_bf16(const RtPool *p, int64_t images, int64_t channels, const rt_bf16 *x, rt_bf16 *y, int64_t *idx, int threads) {
    if (!idx) {
        EACH_WINDOW(
            float best[ROW_MAX + BLOCK * L16];
            EACH_BLOCK(
                rt_vf s[count];
                for (int j = 0; j < count; j++) s[j] = rt_vf_set(-INFINITY);
                EACH_TAP {
                    const rt_bf16 *from = HERE(z, r, w);
                    for (int j = 0; j < count; j++) s[j] = rt_vf_higher(s[j], READ(from, j));
                }
                for (int j = 0; j < count; j++) rt_vf_store(best + k + j * L16, s[j]);
            )
            rounded(y + o, best, m);
        )
        return;
    }
    EACH_WINDOW(
        float best[ROW_MAX + BLOCK * L16]; int32_t at[ROW_MAX + BLOCK * L16];
        int32_t first = (int32_t)((p->lo[0][a] * p->in[1] + p->lo[1][b]) * p->in[2] + p->lo[2][c]);
        EACH_BLOCK(
            rt_vf s[count]; rt_vf_mask places[count];
            for (int j = 0; j < count; j++) { s[j] = rt_vf_set(-INFINITY); places[j] = first - (rt_vf_mask){0}; }
            EACH_TAP {
                const rt_bf16 *from = HERE(z, r, w);
                rt_vf_mask here = (int32_t)((z * p->in[1] + r) * p->in[2] + w) - (rt_vf_mask){0};
                for (int j = 0; j < count; j++) rt_vf_raise(&s[j], &places[j], READ(from, j), here);
            }
            for (int j = 0; j < count; j++) {
                rt_vf_store(best + k + j * L16, s[j]);
                memcpy(at + k + j * L16, &places[j], sizeof places[j]);
            }
        )
        rounded(y + o, best, m);
        for (int64_t j = 0; j < m; j++) idx[o + j] = at[j];
    )
}

/* averages of whole planes that lie in one run */
static void avg_whole_bf16(const RtPool *p, const rt_bf16 *x, rt_bf16 *y, int threads) {
    int64_t in = p->in[0] * p->in[1] * p->in[2];
    float divisor = p->divisor != 0 ? (float)p->divisor : (float)(p->size[0][0] * p->size[1][0] * p->size[2][0]);
    threads = few((double)p->planes * in, threads, p->planes);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t q = 0; q < p->planes; q++) {
        const rt_bf16 *xq = x + q * in;
        float sum = 0;
        for (int64_t i0 = 0; i0 < in; i0 += PLANE_MAX) {
            int64_t i = i0, to = in - i0 < PLANE_MAX ? in : i0 + PLANE_MAX;
            rt_vf s = {0}, t = {0};
#if defined(RT_HALF_REGISTERS)
            for (__m512 a, b; i < to; i += 32) {
                load32_bf16(xq + i, to - i < 32 ? ((__mmask32)1 << (to - i)) - 1 : 0xffffffffu, &a, &b);
                s += (rt_vf)a; t += (rt_vf)b;
            }
#endif
            for (; i + 2 * L16 <= to; i += 2 * L16) { s += widened(xq + i); t += widened(xq + i + L16); }
            if (i + L16 <= to) { s += widened(xq + i); i += L16; }
            if (i < to) t += few_widened(xq + i, (int)(to - i));
            sum += rt_vf_sum(s + t);
        }
        y[q] = rt_f32_to_bf16(sum / divisor);
    }
}
#undef BLOCK
#undef L16
#undef HERE
#undef EACH_BLOCK
#undef READ
