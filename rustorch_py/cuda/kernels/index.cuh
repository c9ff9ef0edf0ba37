// types: T = raw
/* Elements read or written by index: gather, scatter, index_select, x[...], take, put. Arguments: indexed.h. */
#include "indexed.h"
/* several elements a thread: all places are found and read before the first is written */
RT_INLINE void rt_indexed_move(const RtCall &a, bool get) {
    enum { U = 4 };
    const int64_t first = (int64_t)blockIdx.x * (256 * U) + threadIdx.x;
    int64_t to[U], from[U];
    bool good[U];
    T v[U];
    #pragma unroll
    for (int u = 0; u < U; u++) good[u] = first + u * 256 < a.n[0] && rt_indexed(a, first + u * 256, get, &to[u], &from[u]);
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) v[u] = ((const T *)a.p[1])[from[u]];
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) ((T *)a.p[0])[to[u]] = v[u];
}
RT_KERNEL(RT_NAME(index_get), RtCall) { rt_indexed_move(a, true); }
RT_KERNEL(RT_NAME(index_set), RtCall) { rt_indexed_move(a, false); }
/* rows that one index picks: n: elements, whether negative ones count from the end, elements of a row (its divisor), rows of the source,
 * steps of a row of the source and of p[0], of the indices; p: dst, src, index. Below 2^31 elements. */
enum { R_N, R_WRAP, R_WIDTH, R_BY, R_ROWS = R_BY + 2, R_FROM, R_TO, R_STEP };
RT_KERNEL(RT_NAME(index_rows), RtCall) {
    enum { U = 4 };
    const uint32_t first = blockIdx.x * (256u * U) + threadIdx.x, n = (uint32_t)a.n[R_N];
    int64_t to[U], from[U];
    bool good[U];
    T v[U];
    #pragma unroll
    for (int u = 0; u < U; u++) {
        const uint32_t i = first + u * 256u, row = rt_quotient(i, RtDivisor{(uint32_t)a.n[R_BY], (uint32_t)a.n[R_BY + 1]}), column = i - row * (uint32_t)a.n[R_WIDTH];
        good[u] = i < n;
        from[u] = good[u] ? ((const int64_t *)a.p[2])[row * a.n[R_STEP]] : 0;
        to[u] = row * a.n[R_TO] + column;
    }
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) {
        const uint32_t i = first + u * 256u, row = rt_quotient(i, RtDivisor{(uint32_t)a.n[R_BY], (uint32_t)a.n[R_BY + 1]}), column = i - row * (uint32_t)a.n[R_WIDTH];
        const int64_t j = from[u] < 0 && a.n[R_WRAP] ? from[u] + a.n[R_ROWS] : from[u];
        good[u] = j >= 0 && j < a.n[R_ROWS];
        if (!good[u]) rt_bad_index(a, from[u], a.n[R_ROWS]);
        from[u] = j * a.n[R_FROM] + column;
    }
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) v[u] = ((const T *)a.p[1])[from[u]];
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) ((T *)a.p[0])[to[u]] = v[u];
}
