// types: T = floats; W = 0 1; K = 1 2 4 8
/* Layer, RMS and group norm of rows that fit into a block's registers: read once. W: by packs of 16 bytes or elements; K packs a thread.
 * Statistics, weights and biases are of the type to compute in. n: log2 of a row's threads, rows, elements, whether RMS, groups, channels
 * of a group, packs of a plane (0: a weight an element, packs of which lie as the row's); k[0]: eps. */
#include "line.h"
enum { LOG_LANES, ROWS, COLUMNS, RMS, GROUPS, CHANNELS, PLANE, V = W ? 16 / T_SIZE : 1 };
typedef RtPack<T, V> Pack;
typedef RtPack<T_C, V> Weights;
/* first: channel of the row's first weight */
RT_INLINE int64_t first_of(const RtCall &a, int64_t row) {
    int64_t image;
    return a.n[PLANE] ? rt_divide(row, a.n[GROUPS], &image) * a.n[CHANNELS] : 0;
}
RT_INLINE Weights weights_at(const RtCall &a, const T_C *w, int64_t first, int at) {
    if (!a.n[PLANE]) return ((const Weights *)w)[at];
    Weights all;
    const T_C one = w[first + (uint32_t)at / (uint32_t)a.n[PLANE]];
    for (int j = 0; j < V; j++) all.v[j] = one;
    return all;
}

/* p: y, x, w, b, mean, 1 / deviation */
RT_WIDE_KERNEL(RT_NAME(row_norm), RtCall) {
    const RtShort r = rt_short((int)a.n[LOG_LANES], blockIdx.x, a.n[ROWS]);
    const int packs = r.here ? (int)(a.n[COLUMNS] / V) : 0;
    const Pack *x = (const Pack *)a.p[1] + r.line * (a.n[COLUMNS] / V);
    Pack *y = (Pack *)a.p[0] + r.line * (a.n[COLUMNS] / V), v[K];
    const T_C *w = (const T_C *)a.p[2], *b = (const T_C *)a.p[3], share = (T_C)1 / (T_C)a.n[COLUMNS];
    const int64_t first = first_of(a, r.line);
    T_C mean = (T_C)0, sum = (T_C)0;
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) v[k] = x[r.lane + k * r.lanes];
    if (!a.n[RMS]) {
        #pragma unroll
        for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs)
            #pragma unroll
            for (int j = 0; j < V; j++) sum += T_GET(v[k].v[j]);
        mean = rt_short_sum(r, sum) * share;
        sum = (T_C)0;
    }
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs)
        #pragma unroll
        for (int j = 0; j < V; j++) {
            const T_C d = T_GET(v[k].v[j]) - mean;
            sum = T_F(ma)(d, d, sum);
        }
    const T_C rstd = 1 / T_F(sqrt)(rt_short_sum(r, sum) * share + (T_C)a.k[0]);
    if (r.here && r.lane == 0) {
        if (a.p[4]) ((T_C *)a.p[4])[r.line] = mean;
        ((T_C *)a.p[5])[r.line] = rstd;
    }
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) {
        const int at = r.lane + k * r.lanes;
        T_C o[V];
        #pragma unroll
        for (int j = 0; j < V; j++) o[j] = (T_GET(v[k].v[j]) - mean) * rstd;
        if (w) {
            const Weights all = weights_at(a, w, first, at);
            #pragma unroll
            for (int j = 0; j < V; j++) o[j] *= all.v[j];
        }
        if (b) {
            const Weights all = weights_at(a, b, first, at);
            #pragma unroll
            for (int j = 0; j < V; j++) o[j] += all.v[j];
        }
        Pack out;
        #pragma unroll
        for (int j = 0; j < V; j++) out.v[j] = T_PUT(o[j]);
        y[at] = out;
    }
}

#if K <= 2
struct Pair { T_C sum, dot; };
/* Gradients of the input and, over the rows that a block walks through, partial sums for those of weight and bias: a thread has the same
 * columns of every row. p: gx, x, g, w, mean, 1 / deviation, part (blocks, 2 (weight, bias), columns) or NULL */
RT_WIDE_KERNEL(RT_NAME(row_norm_back), RtCall) {
    const int log_lanes = (int)a.n[LOG_LANES], lines = (int)(blockDim.x >> log_lanes);
    const int64_t blocks = (a.n[ROWS] + lines - 1) / lines;
    const T_C *w = (const T_C *)a.p[3], share = (T_C)1 / (T_C)a.n[COLUMNS];
    T_C gw[K][V], gb[K][V];
    for (int k = 0; k < K; k++) for (int j = 0; j < V; j++) gw[k][j] = gb[k][j] = (T_C)0;
    Pack xs[K], gs[K];
#if K == 1 && W                                              /* the next row's packs wait in shared memory, each in a place of its thread's own */
    RT_SHARED(Pack, next, 2 * 1024);
    const auto ask = [&](int64_t block) {
        const RtShort r = rt_short(log_lanes, block, a.n[ROWS]);
        const int64_t at = r.line * (a.n[COLUMNS] / V) + r.lane;
        if (r.here && r.lane < (int)(a.n[COLUMNS] / V)) {
            RT_COPY_ASYNC(next + threadIdx.x, (const Pack *)a.p[1] + at);
            RT_COPY_ASYNC(next + 1024 + threadIdx.x, (const Pack *)a.p[2] + at);
        }
    };
    ask(blockIdx.x);
#endif
    for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
        const RtShort r = rt_short(log_lanes, block, a.n[ROWS]);
        const int packs = r.here ? (int)(a.n[COLUMNS] / V) : 0;
        const int64_t start = r.line * (a.n[COLUMNS] / V), first = first_of(a, r.line);
#if K == 1 && W
        RT_COPY_WAIT();
        xs[0] = next[threadIdx.x];
        gs[0] = next[1024 + threadIdx.x];
#else
        #pragma unroll
        for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) {
            xs[k] = ((const Pack *)a.p[1])[start + r.lane + k * r.lanes];
            gs[k] = ((const Pack *)a.p[2])[start + r.lane + k * r.lanes];
        }
#endif
        const T_C mean = a.n[RMS] ? (T_C)0 : ((const T_C *)a.p[4])[r.line], rstd = ((const T_C *)a.p[5])[r.line];
        Pair p = {(T_C)0, (T_C)0};
        #pragma unroll
        for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) {
            Weights all;
            if (w) all = weights_at(a, w, first, r.lane + k * r.lanes);
            #pragma unroll
            for (int j = 0; j < V; j++) {
                const T_C gi = T_GET(gs[k].v[j]), xhat = (T_GET(xs[k].v[j]) - mean) * rstd, v = w ? gi * all.v[j] : gi;
                gw[k][j] = T_F(ma)(gi, xhat, gw[k][j]);
                gb[k][j] += gi;
                p.sum += v;
                p.dot = T_F(ma)(v, xhat, p.dot);
            }
        }
#if K == 1 && W
        ask(block + gridDim.x);                              /* what was read is used by now */
#endif
        p = rt_short_reduce(r, p, [](Pair x, Pair y) { return Pair{x.sum + y.sum, x.dot + y.dot}; }, Pair{(T_C)0, (T_C)0});
        const T_C sum = a.n[RMS] ? (T_C)0 : p.sum * share, dot = p.dot * share;
        #pragma unroll
        for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) {
            Weights all;
            if (w) all = weights_at(a, w, first, r.lane + k * r.lanes);
            Pack out;
            #pragma unroll
            for (int j = 0; j < V; j++) {
                const T_C gi = T_GET(gs[k].v[j]), xhat = (T_GET(xs[k].v[j]) - mean) * rstd, v = w ? gi * all.v[j] : gi;
                out.v[j] = T_PUT((v - sum - xhat * dot) * rstd);
            }
            if (a.p[0]) ((Pack *)a.p[0])[start + r.lane + k * r.lanes] = out;
        }
    }
    if (!a.p[6]) return;                                     /* of all threads */
    RT_SHARED(T_C, shown, 1024);
    const int me = threadIdx.x, lanes = 1 << log_lanes, lane = me & (lanes - 1);
    T_C *part = (T_C *)a.p[6] + (int64_t)blockIdx.x * 2 * a.n[COLUMNS];
    #pragma unroll
    for (int k = 0; k < K; k++)
        #pragma unroll
        for (int j = 0; j < V; j++)
            #pragma unroll
            for (int which = 0; which < 2; which++) {
                T_C all = which ? gb[k][j] : gw[k][j];
                if (lines > 1) {                             /* the block's rows side by side */
                    RT_SYNC();
                    shown[me] = all;
                    RT_SYNC();
                    if (me < lanes)
                        #pragma unroll 1
                        for (int i = 1; i < lines; i++) all += shown[me + i * lanes];
                }
                const int64_t column = (int64_t)(lane + k * lanes) * V + j;
                if (me < lanes && column < a.n[COLUMNS]) part[which * a.n[COLUMNS] + column] = all;
            }
}
#endif
