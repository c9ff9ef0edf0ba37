/* Reductions of the operator table's rows (cuda/_text.py prints the operation, launch.c chooses the way). Every thread has several packs
 * under way and keeps several results, which meet in an order that depends on sizes alone: the same call gives the same bits.
 * Op: In (in memory), Acc, init() (neutral), step(acc, in), both(acc, acc), store(out, acc); a sum with a k0 is divided by it. */
#ifndef RUSTORCH_CUDA_REDUCE_H
#define RUSTORCH_CUDA_REDUCE_H
#include "block.h"

RT_INLINE int64_t rt_split(int64_t n, const RtSplit &by) {
    if ((uint64_t)n >> 31 == 0) return rt_quotient((uint32_t)n, by.by);
    int64_t q = (int64_t)((double)n * by.inverse);
    const int64_t left = n - q * by.size;
    return left < 0 ? q - 1 : left >= by.size ? q + 1 : q;
}
/* where output o begins in what is reduced, and where it goes */
RT_INLINE void rt_kept(const RtReduce &a, int64_t o, int64_t *in_at, int64_t *out_at) {
    int64_t from = 0, to = 0;
    #pragma unroll 1
    for (int d = 0; d < a.keep; d++) {
        const int64_t next = d < a.keep - 1 ? rt_split(o, a.keep_by[d]) : 0, at = o - next * a.keep_size[d];
        o = next;
        from += at * a.keep_in[d];
        to += at * a.keep_out[d];
    }
    *in_at = from;
    *out_at = to;
}
/* offset of pack or element r of what is reduced */
RT_INLINE int64_t rt_reduced_at(const RtReduce &a, int64_t r) {
    if (a.red <= 1) return r * a.red_in[0];
    int64_t at = 0;
    #pragma unroll 1
    for (int d = 0; d < a.red - 1; d++) {
        const int64_t next = rt_split(r, a.red_by[d]);
        at += (r - next * a.red_size[d]) * a.red_in[d];
        r = next;
    }
    return at + r * a.red_in[a.red - 1];
}

/* Packs of V elements lie along what is reduced: blockDim.x threads (a power of 2 up to 32, or the block) take an output's, or a chunk of them. */
template <int V, class Op> RT_INLINE void rt_reduce_lines(const RtReduce &a, const Op &op) {
    typedef typename Op::In In;
    typedef typename Op::Acc Acc;
    typedef RtPack<In, V> Pack;
    enum { U = V * sizeof(In) >= 16 ? 4 : 8, KEPT = 4 };
    const int lane = threadIdx.x, lanes = blockDim.x;
    const int64_t o = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    int64_t in_at, out_at;
    rt_kept(a, o < a.nout ? o : 0, &in_at, &out_at);
    Acc sum[KEPT];
    for (int i = 0; i < KEPT; i++) sum[i] = Op::init();
    if (o < a.nout) {
        const char *in = a.in + in_at;
        const int64_t begin = blockIdx.y * a.chunk, end = begin + a.chunk < a.nred ? begin + a.chunk : a.nred;
        int64_t r = begin + lane;
        for (; r + (U - 1) * lanes < end; r += U * lanes) {
            Pack v[U];
            #pragma unroll
            for (int u = 0; u < U; u++) v[u] = *(const Pack *)(in + rt_reduced_at(a, r + u * lanes));
            #pragma unroll
            for (int u = 0; u < U; u++)
                #pragma unroll
                for (int j = 0; j < V; j++) sum[(u * V + j) % KEPT] = op.step(sum[(u * V + j) % KEPT], v[u].v[j]);
        }
        if (r < end) {
            Pack v[U];
            #pragma unroll
            for (int u = 0; u < U - 1; u++) if (r + u * lanes < end) v[u] = *(const Pack *)(in + rt_reduced_at(a, r + u * lanes));
            #pragma unroll
            for (int u = 0; u < U - 1; u++) if (r + u * lanes < end)
                #pragma unroll
                for (int j = 0; j < V; j++) sum[(u * V + j) % KEPT] = op.step(sum[(u * V + j) % KEPT], v[u].v[j]);
        }
    }
    Acc all = Op::both(Op::both(sum[0], sum[1]), Op::both(sum[2], sum[3]));
    const auto both = [](Acc x, Acc y) { return Op::both(x, y); };
    all = lanes <= 32 ? rt_warp_reduce(all, both, (unsigned)lanes) : rt_block_reduce(all, both, Op::init());
    if (lane == 0 && o < a.nout) {
        if (a.part) ((Acc *)a.part)[o * gridDim.y + blockIdx.y] = all;
        else op.store(a.out + out_at, all);
    }
}

/* Packs lie along the outputs: blockDim.x threads take V outputs each, and blockDim.y rows of them share what is reduced, or a chunk of it. */
template <int V, class Op> RT_INLINE void rt_reduce_across(const RtReduce &a, const Op &op) {
    typedef typename Op::In In;
    typedef typename Op::Acc Acc;
    typedef RtPack<In, V> Pack;
    enum { U = V * sizeof(In) >= 16 ? 4 : 8 };
    RT_SHARED(Acc, part, RT_CUDA_THREADS * V);
    const int x = threadIdx.x, y = threadIdx.y, wide = blockDim.x, rows = blockDim.y;
    const int64_t o = ((int64_t)blockIdx.x * wide + x) * V;
    int64_t in_at, out_at;
    rt_kept(a, o < a.nout ? o : 0, &in_at, &out_at);
    Acc sum[V];
    for (int j = 0; j < V; j++) sum[j] = Op::init();
    if (o < a.nout) {
        const char *in = a.in + in_at;
        const int64_t begin = blockIdx.y * a.chunk, end = begin + a.chunk < a.nred ? begin + a.chunk : a.nred;
        int64_t r = begin + y;
        for (; r + (U - 1) * rows < end; r += U * rows) {
            Pack v[U];
            #pragma unroll
            for (int u = 0; u < U; u++) v[u] = *(const Pack *)(in + rt_reduced_at(a, r + u * rows));
            #pragma unroll
            for (int u = 0; u < U; u++)
                #pragma unroll
                for (int j = 0; j < V; j++) sum[j] = op.step(sum[j], v[u].v[j]);
        }
        if (r < end) {
            Pack v[U];
            #pragma unroll
            for (int u = 0; u < U - 1; u++) if (r + u * rows < end) v[u] = *(const Pack *)(in + rt_reduced_at(a, r + u * rows));
            #pragma unroll
            for (int u = 0; u < U - 1; u++) if (r + u * rows < end)
                #pragma unroll
                for (int j = 0; j < V; j++) sum[j] = op.step(sum[j], v[u].v[j]);
        }
    }
    #pragma unroll
    for (int j = 0; j < V; j++) part[(j * rows + y) * wide + x] = sum[j];
    RT_SYNC();
    if (y == 0 && o < a.nout) {
        const int64_t apart = a.keep ? a.keep_out[0] : 0;
        #pragma unroll 1
        for (int j = 0; j < V; j++) {
            Acc all = part[j * rows * wide + x];
            #pragma unroll 4
            for (int k = 1; k < rows; k++) all = Op::both(all, part[(j * rows + k) * wide + x]);
            if (a.part) ((Acc *)a.part)[blockIdx.y * a.nout + o + j] = all;
            else op.store(a.out + out_at + j * apart, all);
        }
    }
}
#endif
