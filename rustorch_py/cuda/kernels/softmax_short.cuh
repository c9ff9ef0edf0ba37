// types: T = floats; W = 0 1; K = 4 8
/* Softmax of lines that fit into a block's registers: read once. W: by packs of 16 bytes (lines and their length are aligned) or elements;
 * K packs a thread. n: log2 of a line's threads, lines, length of a line, whether logarithms. */
#include "line.h"
enum { LOG_LANES, LINES, N, LOGS, V = W ? 16 / T_SIZE : 1 };
typedef RtPack<T, V> Pack;
#if T_SIZE == 2
RT_INLINE T_C exp_of(T_C x) { return rt_rough_exp(x); }
#else
RT_INLINE T_C exp_of(T_C x) { return T_F(exp)(x); }
#endif

/* p: y, x */
RT_WIDE_KERNEL(RT_NAME(softmax), RtCall) {
    const RtShort r = rt_short((int)a.n[LOG_LANES], blockIdx.x, a.n[LINES]);
    const int packs = r.here ? (int)(a.n[N] / V) : 0;
    const Pack *x = (const Pack *)a.p[1] + r.line * (a.n[N] / V);
    Pack *y = (Pack *)a.p[0] + r.line * (a.n[N] / V), v[K];
    T_C top = T_F(lowest)((T_C)0), sum = (T_C)0;
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) v[k] = x[r.lane + k * r.lanes];
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs)
        #pragma unroll
        for (int j = 0; j < V; j++) {
            const T_C one = T_GET(v[k].v[j]);
            top = T_F(fmax)(top, one);
        }
    top = rt_short_reduce(r, top, [](T_C x, T_C y) { return T_F(fmax)(x, y); }, T_F(lowest)((T_C)0));
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs)
        #pragma unroll
        for (int j = 0; j < V; j++) sum += exp_of(T_GET(v[k].v[j]) - top);        /* NaN of an infinite peak, and of a NaN */
    sum = rt_short_sum(r, sum);
    const T_C share = 1 / sum, log_sum = T_F(log)(sum);
    #pragma unroll
    for (int k = 0; k < K; k++) if (r.lane + k * r.lanes < packs) {
        Pack o;
        if (a.n[LOGS])
            #pragma unroll
            for (int j = 0; j < V; j++) o.v[j] = T_PUT(T_GET(v[k].v[j]) - top - log_sum);
        else
            #pragma unroll
            for (int j = 0; j < V; j++) o.v[j] = T_PUT(exp_of(T_GET(v[k].v[j]) - top) * share);
        y[r.lane + k * r.lanes] = o;
    }
}

/* p: gx, g, y */
RT_WIDE_KERNEL(RT_NAME(softmax_back), RtCall) {
    enum { H = 4 };                                          /* packs of each of two lines */
    const RtShort r = rt_short((int)a.n[LOG_LANES], blockIdx.x, a.n[LINES]);
    const int packs = r.here ? (int)(a.n[N] / V) : 0;
    const int64_t start = r.line * (a.n[N] / V);
    const Pack *g = (const Pack *)a.p[1] + start, *y = (const Pack *)a.p[2] + start;
    Pack *gx = (Pack *)a.p[0] + start, gs[H], ys[H];
    T_C sum = (T_C)0;
    #pragma unroll
    for (int k = 0; k < H; k++) if (r.lane + k * r.lanes < packs) { gs[k] = g[r.lane + k * r.lanes]; ys[k] = y[r.lane + k * r.lanes]; }
    #pragma unroll
    for (int k = 0; k < H; k++) if (r.lane + k * r.lanes < packs)
        #pragma unroll
        for (int j = 0; j < V; j++) sum += a.n[LOGS] ? T_GET(gs[k].v[j]) : T_GET(gs[k].v[j]) * T_GET(ys[k].v[j]);
    sum = rt_short_sum(r, sum);
    #pragma unroll
    for (int k = 0; k < H; k++) if (r.lane + k * r.lanes < packs) {
        Pack o;
        #pragma unroll
        for (int j = 0; j < V; j++) {
            const T_C gi = T_GET(gs[k].v[j]), yi = T_GET(ys[k].v[j]);
            o.v[j] = T_PUT(a.n[LOGS] ? gi - exp_of(yi) * sum : yi * (gi - sum));
        }
        gx[r.lane + k * r.lanes] = o;
    }
}
