/* Mean and sum of squared differences from it, in one pass: batches of numbers in registers have exact ones, which are joined (Chan, Golub,
 * LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979). C: float or double. */
#ifndef RUSTORCH_CUDA_MOMENTS_H
#define RUSTORCH_CUDA_MOMENTS_H
#include "line.h"
template <class C> struct RtMoments { C mean, sum, count; };

template <class C> RT_INLINE RtMoments<C> rt_joined(RtMoments<C> x, RtMoments<C> y) {
    const C count = x.count + y.count, gap = y.mean - x.mean, share = count > 0 ? y.count / count : (C)0;
    return {x.mean + gap * share, x.sum + y.sum + gap * gap * x.count * share, count};
}
template <class C, int N> RT_INLINE RtMoments<C> rt_moments(const C (&v)[N]) {
    C mean = (C)0, sum = (C)0;
    #pragma unroll
    for (int i = 0; i < N; i++) mean += v[i];
    mean *= (C)1 / (C)N;
    #pragma unroll
    for (int i = 0; i < N; i++) sum += (v[i] - mean) * (v[i] - mean);
    return {mean, sum, (C)N};
}
/* of a line's threads, in each of them */
template <class C> RT_INLINE RtMoments<C> rt_line_joined(const RtLine &l, RtMoments<C> m) {
    return rt_line_reduce(l, m, [](RtMoments<C> x, RtMoments<C> y) { return rt_joined(x, y); }, RtMoments<C>{(C)0, (C)0, (C)0});
}
/* of a dense line of n elements, get(x[i]) each; as rt_line_each reads it */
template <class C, class T, class Get> RT_INLINE RtMoments<C> rt_line_moments(const RtLine &l, const T *x, int64_t n, Get get) {
    enum { V = 16 / sizeof(T), U = 4 };
    const int64_t skip = (int64_t)((0 - (uintptr_t)x & 15) / sizeof(T)), head = skip < n ? skip : n, packs = (n - head) / V;
    const RtPack<T, V> *from = (const RtPack<T, V> *)(x + head);
    RtMoments<C> m = {(C)0, (C)0, (C)0};
    int64_t i = l.part;
    for (; i + (U - 1) * l.parts < packs; i += U * l.parts) {
        RtPack<T, V> v[U];
        C all[U * V];
        #pragma unroll
        for (int u = 0; u < U; u++) v[u] = from[i + u * l.parts];
        #pragma unroll
        for (int u = 0; u < U * V; u++) all[u] = get(v[u / V].v[u % V]);
        m = rt_joined(m, rt_moments(all));
    }
    for (; i < packs; i += l.parts) {
        const RtPack<T, V> v = from[i];
        C all[V];
        #pragma unroll
        for (int j = 0; j < V; j++) all[j] = get(v.v[j]);
        m = rt_joined(m, rt_moments(all));
    }
    for (i = l.part; i < n - packs * V; i += l.parts) m = rt_joined(m, {get(x[i < head ? i : i + packs * V]), (C)0, (C)1});
    return rt_line_joined(l, m);
}
#endif
