/* What the threads of a warp or of a block do together, for any plain type of up to 32 bytes, and where the elements of strided tensors
 * are. Blocks are of whole warps (threads of the x and y sides a multiple of 32, at most 1024), and all threads of the warp or block
 * call. op(a, b) is associative, in a reduction commutative too; it may be a lambda. */
#ifndef RUSTORCH_CUDA_BLOCK_H
#define RUSTORCH_CUDA_BLOCK_H
#define RT_WARP 32u

RT_INLINE unsigned rt_rank() { return threadIdx.y * blockDim.x + threadIdx.x; }            /* of the thread in its block */
RT_INLINE unsigned rt_lane() { return rt_rank() % RT_WARP; }
RT_INLINE unsigned rt_warps() { return blockDim.x * blockDim.y / RT_WARP; }

/* every `width` (a power of 2, at most 32) neighbouring lanes: each gets the result of all, the same bits */
template <class T, class Op> RT_INLINE T rt_warp_reduce(T v, Op op, unsigned width = RT_WARP) {
    for (unsigned mask = width / 2; mask; mask /= 2) v = op(v, RT_SHUFFLE_XOR(v, mask));
    return v;
}

/* the result of the block's threads, in each of them; `none` is neutral: op(none, x) = x */
template <class T, class Op> RT_INLINE T rt_block_reduce(T v, Op op, T none) {
    RT_SHARED(T, part, RT_WARP);
    const unsigned lane = rt_lane(), warp = rt_rank() / RT_WARP, warps = rt_warps();
    v = rt_warp_reduce(v, op);
    if (warps == 1) return v;
    RT_SYNC();                                                  /* `part` may still be read: the last call's */
    if (lane == 0) part[warp] = v;
    RT_SYNC();
    unsigned width = 2;
    while (width < warps) width *= 2;
    const unsigned from = lane & (width - 1);                   /* every group of lanes reduces the warps' results again */
    return rt_warp_reduce(from < warps ? part[from] : none, op, width);
}

/* inclusive: lane i gets v of lane 0 op ... op v of lane i */
template <class T, class Op> RT_INLINE T rt_warp_scan(T v, Op op) {
    for (unsigned by = 1; by < RT_WARP; by *= 2) {
        const T below = RT_SHUFFLE_UP(v, by);
        if (rt_lane() >= by) v = op(below, v);
    }
    return v;
}

/* inclusive over the block's threads in order of rank; *before (if wanted): what is below the thread, `none` for the first; *total: of all */
template <class T, class Op> RT_INLINE T rt_block_scan(T v, Op op, T none, T *before = 0, T *total = 0) {
    RT_SHARED(T, part, RT_WARP);
    const unsigned lane = rt_lane(), warp = rt_rank() / RT_WARP, warps = rt_warps();
    v = rt_warp_scan(v, op);
    T below = RT_SHUFFLE_UP(v, 1);                              /* inclusive of the lane below, within the warp */
    RT_SYNC();
    if (lane == RT_WARP - 1) part[warp] = v;
    RT_SYNC();
    if (warp == 0) {
        const T all = rt_warp_scan(lane < warps ? part[lane] : none, op);
        if (lane < warps) part[lane] = all;
    }
    RT_SYNC();
    const T base = warp ? part[warp - 1] : none;
    if (before) *before = lane == 0 ? base : warp ? op(base, below) : below;
    if (total) *total = part[warps - 1];
    return warp ? op(base, v) : v;
}

/* i = at * size + the return: 64-bit divisions cost a hundred instructions, so only where the numbers need them */
RT_INLINE int64_t rt_divide(int64_t i, int64_t size, int64_t *at) {
    if (((uint64_t)i | (uint64_t)size) >> 32 == 0) {
        *at = (uint32_t)i / (uint32_t)size;
        return (uint32_t)i % (uint32_t)size;
    }
    *at = i / size;
    return i % size;
}

/* Offsets of element i of a box. d: nd dimensions, outermost first, each its size and K steps (ops/_layout.pxd merges and prints them);
 * at[k]: the sum of coordinates times the k-th steps. */
template <int K> RT_INLINE void rt_offsets(int64_t i, int64_t nd, const int64_t *d, int64_t (&at)[K]) {
    for (int k = 0; k < K; k++) at[k] = 0;
    #pragma unroll 1
    for (int64_t j = nd; j-- > 0;) {
        const int64_t *dim = d + j * (K + 1);
        const int64_t x = j ? rt_divide(i, dim[0], &i) : i;
        for (int k = 0; k < K; k++) at[k] += x * dim[1 + k];
    }
}
#endif
