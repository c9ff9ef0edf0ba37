/* Lines of elements reduced by some of a block's 256 threads: all of them (long lines), a warp (short ones), or, where neighbouring lines
 * are neighbours in memory, one lane of each of eight warps, so that neighbours read neighbours. ops/_lines.pxd chooses. */
#ifndef RUSTORCH_CUDA_LINE_H
#define RUSTORCH_CUDA_LINE_H
#include "block.h"
enum { RT_LINE_BLOCK = 0, RT_LINE_WARP = 1, RT_LINE_LANES = 2 };

/* the thread's line and its place among the line's threads; every thread comes to every reduction, also of a line that is not there */
struct RtLine { int64_t line; int part, parts, way; };
RT_INLINE RtLine rt_line(int64_t way) {
    const int me = threadIdx.x;
    const int64_t b = blockIdx.x;
    if (way == RT_LINE_BLOCK) return {b, me, 256, 0};
    if (way == RT_LINE_WARP) return {b * 8 + me / 32, me % 32, 32, 1};
    return {b * 32 + me % 32, me / 32, 8, 2};
}

/* the result of a line's threads in each of them; `none` is neutral */
template <class T, class Op> RT_INLINE T rt_line_reduce(const RtLine &l, T v, Op op, T none) {
    if (l.way == RT_LINE_BLOCK) return rt_block_reduce(v, op, none);
    if (l.way == RT_LINE_WARP) return rt_warp_reduce(v, op);
    RT_SHARED(T, shown, 256);
    RT_SYNC();
    shown[threadIdx.x] = v;
    RT_SYNC();
    T all = shown[threadIdx.x % 32];
    for (int k = 1; k < 8; k++) all = op(all, shown[k * 32 + threadIdx.x % 32]);
    return all;
}
template <class T> RT_INLINE T rt_line_sum(const RtLine &l, T v) {
    return rt_line_reduce(l, v, [](T x, T y) { return x + y; }, (T)0);
}
/* Dense lines by packs of 16 bytes from where `start` lets them begin, several packs under way: one(i, {x[0][i], x[1][i] ...}) for elements, and
 * pack(head, i, {packs}) for the i-th packs behind element `head`. Packs only where all lines begin at the same place of 16 bytes as `start`. The
 * order depends on sizes and alignment alone. */
template <int I, class T, class One, class Many>
RT_INLINE void rt_line_walk(const void *start, const T *const (&x)[I], int64_t n, int part, int parts, One one, Many pack) {
    enum { V = 16 / sizeof(T), U = I > 1 ? 2 : 4 };
    uintptr_t apart = 0;
    for (int k = 0; k < I; k++) apart |= ((uintptr_t)x[k] ^ (uintptr_t)start) & 15;
    const int64_t skip = apart ? n : (int64_t)((0 - (uintptr_t)start & 15) / sizeof(T)), head = skip < n ? skip : n, packs = (n - head) / V, rest = head + packs * V;
    const auto single = [&](int64_t i) {
        T in[I];
        for (int k = 0; k < I; k++) in[k] = x[k][i];
        one(i, in);
    };
    #pragma unroll 4
    for (int64_t i = part; i < head; i += parts) single(i);
    for (int64_t i = part; i < packs; i += U * parts) {
        RtPack<T, V> v[U][I];
        #pragma unroll
        for (int u = 0; u < U; u++) if (i + u * parts < packs)
            for (int k = 0; k < I; k++) v[u][k] = ((const RtPack<T, V> *)(x[k] + head))[i + u * parts];
        #pragma unroll
        for (int u = 0; u < U; u++) if (i + u * parts < packs) pack(head, i + u * parts, v[u]);
    }
    for (int64_t i = rest + part; i < n; i += parts) single(i);
}
/* f(i, {x[0][i], x[1][i] ...}) for each element of lines */
template <int I, class T, class F> RT_INLINE void rt_line_each(const T *const (&x)[I], int64_t n, int part, int parts, F f) {
    enum { V = 16 / sizeof(T) };
    rt_line_walk<I>(x[0], x, n, part, parts, f, [&](int64_t head, int64_t i, const RtPack<T, V> (&v)[I]) {
        #pragma unroll
        for (int j = 0; j < V; j++) {
            T in[I];
            for (int k = 0; k < I; k++) in[k] = v[k].v[j];
            f(head + i * V + j, in);
        }
    });
}
/* y[i] = f(i, {x[0][i], x[1][i] ...}) */
template <int I, class T, class F> RT_INLINE void rt_line_map(T *y, const T *const (&x)[I], int64_t n, int part, int parts, F f) {
    enum { V = 16 / sizeof(T) };
    rt_line_walk<I>(y, x, n, part, parts, [&](int64_t i, const T (&in)[I]) { y[i] = f(i, in); }, [&](int64_t head, int64_t i, const RtPack<T, V> (&v)[I]) {
        RtPack<T, V> o;
        #pragma unroll
        for (int j = 0; j < V; j++) {
            T in[I];
            for (int k = 0; k < I; k++) in[k] = v[k].v[j];
            o.v[j] = f(head + i * V + j, in);
        }
        ((RtPack<T, V> *)(y + head))[i] = o;
    });
}

/* Short lines are read once, into registers: 2^log_lanes threads a line, up to 32 of a warp or a whole block, each with several packs.
 * ops/_lines.pxd chooses. Every thread of a warp or block comes to every reduction. */
struct RtShort { int64_t line; int lane, lanes; bool here; };
RT_INLINE RtShort rt_short(int log_lanes, int64_t block, int64_t lines) {
    const int lanes = 1 << log_lanes;
    const int64_t line = block * (blockDim.x >> log_lanes) + (threadIdx.x >> log_lanes);
    return {line < lines ? line : 0, (int)threadIdx.x & (lanes - 1), lanes, line < lines};
}
template <class T, class Op> RT_INLINE T rt_short_reduce(const RtShort &r, T v, Op op, T none) {
    return r.lanes <= 32 ? rt_warp_reduce(v, op, (unsigned)r.lanes) : rt_block_reduce(v, op, none);
}
template <class T> RT_INLINE T rt_short_sum(const RtShort &r, T v) {
    return rt_short_reduce(r, v, [](T x, T y) { return x + y; }, (T)0);
}
#endif
