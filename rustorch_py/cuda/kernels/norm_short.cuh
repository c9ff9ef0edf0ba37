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
/* Gradients of the input and, over the rows that a block walks through, partial sums for those of weight and bias: a thread has the same
 * columns of every row. The packs of the next rows are on their way to shared memory, each to a place of its thread's own, while these are
 * computed; R rows are reduced together. p: gx, x, g, w, mean, 1 / deviation, part (blocks, 2 (weight, bias), columns) or NULL */
template <int R> struct PairsOf { T_C sum[R], dot[R]; };
#if T_SIZE == 2                                          /* mean: times rstd already; as exact as numbers of 16 bits ask for */
RT_INLINE T_C centred(T_C x, T_C mean, T_C rstd) { return T_F(ma)(x, rstd, -mean); }
#else
RT_INLINE T_C centred(T_C x, T_C mean, T_C rstd) { return (x - mean) * rstd; }
#endif
template <int THREADS, int R> RT_INLINE void back_of(const RtCall &a) {
    typedef PairsOf<R> Pairs;
    const int log_lanes = (int)a.n[LOG_LANES], lines = (int)(blockDim.x >> log_lanes), lanes = 1 << log_lanes, me = threadIdx.x, lane = me & (lanes - 1);
    const int columns = (int)(a.n[COLUMNS] / V);
    const int64_t blocks = (a.n[ROWS] + lines - 1) / lines, step = (int64_t)gridDim.x * R;
    const T_C *w = (const T_C *)a.p[3], share = (T_C)1 / (T_C)a.n[COLUMNS];
    RT_SHARED(Pairs, part, 2 * RT_WARP);                     /* of rows that a block has: in turns, so that one barrier is enough */
    int turn = 0;
    T_C gw[K][V], gb[K][V];
    Weights held[K];
    for (int k = 0; k < K; k++)
        for (int j = 0; j < V; j++) {
            gw[k][j] = gb[k][j] = (T_C)0;
            held[k].v[j] = (T_C)1;
        }
    if (w && !a.n[PLANE])
        #pragma unroll
        for (int k = 0; k < K; k++) if (lane + k * lanes < columns) held[k] = ((const Weights *)w)[lane + k * lanes];
    const auto weights = [&](int64_t row, int k) { return w && a.n[PLANE] ? weights_at(a, w, first_of(a, row), lane + k * lanes) : held[k]; };
    enum { AHEAD = W && THREADS <= 512 };                    /* of more there is no room in shared memory */
    RT_SHARED(Pack, next, AHEAD ? 2 * R * K * THREADS : 1);
    const auto ask = [&](int64_t block) {
        #pragma unroll
        for (int r = 0; r < (AHEAD ? R : 0); r++) {
            const RtShort at = rt_short(log_lanes, block + r, a.n[ROWS]);
            #pragma unroll
            for (int k = 0; k < K; k++) if (at.here && lane + k * lanes < columns) {
                RT_COPY_ASYNC(next + (2 * (r * K + k)) * THREADS + me, (const Pack *)a.p[1] + at.line * columns + lane + k * lanes);
                RT_COPY_ASYNC(next + (2 * (r * K + k) + 1) * THREADS + me, (const Pack *)a.p[2] + at.line * columns + lane + k * lanes);
            }
        }
    };
    ask((int64_t)blockIdx.x * R);
    for (int64_t block = (int64_t)blockIdx.x * R; block < blocks; block += step) {
        Pack xs[R][K], gs[R][K];
        T_C mean[R], rstd[R];
        RtShort at[R];
        Pairs p;
        if (AHEAD) RT_COPY_WAIT();
        #pragma unroll
        for (int r = 0; r < R; r++) {
            at[r] = rt_short(log_lanes, block + r, a.n[ROWS]);
            mean[r] = a.n[RMS] ? (T_C)0 : ((const T_C *)a.p[4])[at[r].line];
            rstd[r] = ((const T_C *)a.p[5])[at[r].line];
            if (T_SIZE == 2) mean[r] *= rstd[r];
            p.sum[r] = p.dot[r] = (T_C)0;
            #pragma unroll
            for (int k = 0; k < K; k++) if (at[r].here && lane + k * lanes < columns) {
                xs[r][k] = AHEAD ? next[2 * (r * K + k) * THREADS + me] : ((const Pack *)a.p[1])[at[r].line * columns + lane + k * lanes];
                gs[r][k] = AHEAD ? next[(2 * (r * K + k) + 1) * THREADS + me] : ((const Pack *)a.p[2])[at[r].line * columns + lane + k * lanes];
                const Weights all = weights(at[r].line, k);
                #pragma unroll
                for (int j = 0; j < V; j++) {
                    const T_C gi = T_GET(gs[r][k].v[j]), xhat = centred(T_GET(xs[r][k].v[j]), mean[r], rstd[r]), v = gi * all.v[j];
                    gw[k][j] = T_F(ma)(gi, xhat, gw[k][j]);
                    gb[k][j] += gi;
                    p.sum[r] += v;
                    p.dot[r] = T_F(ma)(v, xhat, p.dot[r]);
                }
            }
        }
        ask(block + step);                                   /* what was read is used by now */
        const auto both = [](const Pairs &x, const Pairs &y) {
            Pairs z;
            for (int r = 0; r < R; r++) { z.sum[r] = x.sum[r] + y.sum[r]; z.dot[r] = x.dot[r] + y.dot[r]; }
            return z;
        };
        p = rt_warp_reduce(p, both, (unsigned)(lanes < 32 ? lanes : 32));
        if (lanes > 32) {
            const int warps = lanes / 32;
            turn = 32 - turn;
            if (me % 32 == 0) part[turn + me / 32] = p;
            RT_SYNC();
            p = rt_warp_reduce(part[turn + me % warps], both, (unsigned)warps);
        }
        #pragma unroll
        for (int r = 0; r < R; r++) {
            const T_C sum = a.n[RMS] ? (T_C)0 : -p.sum[r] * share * rstd[r], dot = -p.dot[r] * share * rstd[r];
            #pragma unroll
            for (int k = 0; k < K; k++) if (at[r].here && lane + k * lanes < columns) {
                const Weights all = weights(at[r].line, k);
                Pack out;
                #pragma unroll
                for (int j = 0; j < V; j++) {
                    const T_C xhat = centred(T_GET(xs[r][k].v[j]), mean[r], rstd[r]), v = T_GET(gs[r][k].v[j]) * all.v[j];
                    out.v[j] = T_PUT(T_F(ma)(v, rstd[r], T_F(ma)(xhat, dot, sum)));
                }
                if (a.p[0]) ((Pack *)a.p[0])[at[r].line * columns + lane + k * lanes] = out;
            }
        }
    }
    if (!a.p[6]) return;                                     /* of all threads */
    RT_SHARED(T_C, shown, THREADS);
    T_C *sums = (T_C *)a.p[6] + (int64_t)blockIdx.x * 2 * a.n[COLUMNS];
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
                if (me < lanes && column < a.n[COLUMNS]) sums[which * a.n[COLUMNS] + column] = all;
            }
}
/* of blocks of up to so many threads */
/* two rows of 16-bit floats: 0.405 ms for 65536 rows of 4096 on an H200, 0.464 one by one */
RT_BLOCK_KERNEL(RT_NAME(row_norm_back_256), RtCall, 256, 2) { back_of<256, T_SIZE == 2 ? 2 : 1>(a); }
RT_BLOCK_KERNEL(RT_NAME(row_norm_back_512), RtCall, 512, T_SIZE == 2 ? 1 : 2) { back_of<512, 1>(a); }
RT_BLOCK_KERNEL(RT_NAME(row_norm_back_1024), RtCall, 1024, 1) { back_of<1024, 1>(a); }
#endif
