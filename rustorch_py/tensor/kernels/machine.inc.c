/* What the machine can do at most: a STREAM triad and a loop of multiply-adds; compiled once per instruction set.
 * Source: J. McCalpin, STREAM (bytes counted as 3 words an element, the write-allocate read is not). */
#include "machine.h"
#include "rustorch/loops.h"

void RT_NAME(rt_triad)(float *a, const float *b, const float *c, float s, int64_t n, int threads, int stream) {
    RT_OMP(omp parallel num_threads(threads))
    {
#ifdef _OPENMP
        int me = omp_get_thread_num(), team = omp_get_num_threads();
#else
        int me = 0, team = 1;
#endif
        int64_t lo = n / 64 * me / team * 64, hi = me + 1 == team ? n : n / 64 * (me + 1) / team * 64, i = lo;
#if defined(RT_BUILD_AVX512)
        __m512 v = _mm512_set1_ps(s);
        if (stream) for (; i + 16 <= hi; i += 16) _mm512_stream_ps(a + i, _mm512_fmadd_ps(v, _mm512_loadu_ps(c + i), _mm512_loadu_ps(b + i)));
#elif defined(RT_BUILD_AVX2)
        __m256 v = _mm256_set1_ps(s);
        if (stream) for (; i + 8 <= hi; i += 8) _mm256_stream_ps(a + i, _mm256_fmadd_ps(v, _mm256_loadu_ps(c + i), _mm256_loadu_ps(b + i)));
#endif
        for (; i < hi; i++) a[i] = b[i] + s * c[i];
    }
}

/* 12 independent chains cover latency times throughput of today's cores (4 or 5 cycles, 2 units) */
#if defined(RT_BUILD_AVX512)
#define LANES 16
#elif defined(RT_BUILD_AVX2)
#define LANES 8
#else
#define LANES 4
#endif
typedef float Vec __attribute__((vector_size(LANES * 4)));

static float chain(int64_t steps, float x, float y) {
    Vec acc[12], vx = (Vec){0} + x, vy = (Vec){0} + y, sum = {0};
    for (int j = 0; j < 12; j++) acc[j] = (Vec){0} + (float)j;
    for (int64_t i = 0; i < steps; i++) {
#if defined(RT_BUILD_AVX512)
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++) acc[j] = (Vec)_mm512_fmadd_ps((__m512)acc[j], (__m512)vx, (__m512)vy);
#elif defined(RT_BUILD_AVX2)
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++) acc[j] = (Vec)_mm256_fmadd_ps((__m256)acc[j], (__m256)vx, (__m256)vy);
#else
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++) acc[j] = acc[j] * vx + vy;
#endif
    }
    for (int j = 0; j < 12; j++) sum += acc[j];
    float out = 0;
    for (int l = 0; l < LANES; l++) out += sum[l];
    return out;
}

double RT_NAME(rt_fma_flops)(int64_t steps, int threads, float *sink) {
    float total = 0;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) reduction(+:total))
    for (int t = 0; t < threads; t++) total += chain(steps, 0.999f, 0.001f);
    *sink = total;
    return 2.0 * 12 * LANES * (double)steps * threads;
}
