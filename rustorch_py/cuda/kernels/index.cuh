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
/* One index over at most two dimensions, below 2^31 elements. n: elements, whether negative ones count from the end, columns (and their divisor), size
 * and step of the dimension that the index stands for, then steps of a row and of a column: of p[0], of p[1], of the index; p: dst, src, index. */
enum { R_N, R_WRAP, R_WIDTH, R_BY, R_SIZE = R_BY + 2, R_STEP, R_TO, R_FROM = R_TO + 2, R_INDEX = R_FROM + 2 };
RT_INLINE void rt_one_index(const RtCall &a, bool get) {
    enum { U = 4 };
    const uint32_t first = blockIdx.x * (256u * U) + threadIdx.x, n = (uint32_t)a.n[R_N], width = (uint32_t)a.n[R_WIDTH];
    uint32_t row[U], column[U];
    int64_t j[U];
    bool good[U];
    T v[U];
    #pragma unroll
    for (int u = 0; u < U; u++) {
        const uint32_t i = first + u * 256u;
        row[u] = rt_quotient(i, RtDivisor{(uint32_t)a.n[R_BY], (uint32_t)a.n[R_BY + 1]});
        column[u] = i - row[u] * width;
        good[u] = i < n;
        if (good[u]) j[u] = ((const int64_t *)a.p[2])[row[u] * a.n[R_INDEX] + column[u] * a.n[R_INDEX + 1]];
    }
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) {
        const int64_t given = j[u];
        if (given < 0 && a.n[R_WRAP]) j[u] += a.n[R_SIZE];
        good[u] = j[u] >= 0 && j[u] < a.n[R_SIZE];
        if (!good[u]) rt_bad_index(a, given, a.n[R_SIZE]);
        j[u] *= a.n[R_STEP];
    }
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) v[u] = ((const T *)a.p[1])[row[u] * a.n[R_FROM] + column[u] * a.n[R_FROM + 1] + (get ? j[u] : 0)];
    #pragma unroll
    for (int u = 0; u < U; u++) if (good[u]) ((T *)a.p[0])[row[u] * a.n[R_TO] + column[u] * a.n[R_TO + 1] + (get ? 0 : j[u])] = v[u];
}
RT_KERNEL(RT_NAME(one_index_get), RtCall) { rt_one_index(a, true); }
RT_KERNEL(RT_NAME(one_index_set), RtCall) { rt_one_index(a, false); }
