// types: T = i64 f32 f64
/* How many elements fall into each bin. p: counts (int64, zeros), x; n: elements, bins. Few bins are counted by each block in shared memory. */
#include "block.h"
#include "atomic.h"
#define FEW 4096
template <class Bin> RT_INLINE void RT_NAME(into)(const RtCall &a, Bin bin) {
    RT_SHARED(unsigned, own, FEW);
    unsigned long long *counts = (unsigned long long *)a.p[0];
    const int64_t bins = a.n[1];
    if (bins <= FEW) {
        for (int64_t b = threadIdx.x; b < bins; b += blockDim.x) own[b] = 0;
        RT_SYNC();
        RT_EACH(i, a.n[0]) {
            const int64_t b = bin(((const T *)a.p[1])[i]);
            if (b >= 0) RT_ATOMIC_ADD(&own[b], 1u);
        }
        RT_SYNC();
        for (int64_t b = threadIdx.x; b < bins; b += blockDim.x)
            if (own[b]) RT_ATOMIC_ADD(&counts[b], (unsigned long long)own[b]);
    } else
        RT_EACH(i, a.n[0]) {
            const int64_t b = bin(((const T *)a.p[1])[i]);
            if (b >= 0) RT_ATOMIC_ADD(&counts[b], 1ull);
        }
}
RT_KERNEL(RT_NAME(values), RtCall) {              /* bin x; what is no bin is left out */
    RT_NAME(into)(a, [&](T v) -> int64_t { const int64_t b = (int64_t)v; return b >= 0 && b < a.n[1] ? b : -1; });
}
RT_KERNEL(RT_NAME(uniform), RtCall) {             /* equal bins of [k[0], k[1]], the last one closed */
    const T lo = (T)a.k[0], hi = (T)a.k[1];
    RT_NAME(into)(a, [&](T v) -> int64_t {
        if (!(v >= lo && v <= hi)) return -1;
        const int64_t b = (int64_t)((v - lo) * (T)a.n[1] / (hi - lo));
        return b < a.n[1] ? b : a.n[1] - 1;
    });
}
#undef FEW
