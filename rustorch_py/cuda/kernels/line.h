/* Lines of elements reduced by some of a block's 256 threads: all of them (long lines), a warp (short ones), or, where neighbouring lines
 * are neighbours in memory, one lane of each of eight warps, so that neighbours read neighbours. ops/_lines.py chooses. */
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
#endif
