// types: T = floats
// each kernel alone
/* Fills from continuous distributions, dropout and randomised slopes. p: out, the stream's words, then as each kernel says; n: elements,
 * 0, seed, offset, then (rt_drawn_at) the dimensions; k: the distribution's parameters. */
#include "philox.h"

/* one number of draw to each element of p[0], mapped */
template <class Draw, class Map> RT_INLINE void rt_draw_map(const RtCall &a, Draw draw, Map map) {
    rt_draw_each<RtDraw<T_C>::N>(a, draw, [&](int64_t i, T_C v) { ((T *)a.p[0])[rt_drawn_at(a, i)] = map(v); });
}
#define RT_UNIFORM [](RtPhilox &s) { return RtDraw<T_C>::uniform(s); }
#define RT_NORMAL [](RtPhilox &s) { return RtDraw<T_C>::normal(s); }
RT_INLINE T_C rt_ma(T_C a, T_C b, T_C c) { return T_F(ma)(a, b, c); }
RT_INLINE T_C rt_epsilon() { return sizeof(T_C) == 8 ? (T_C)0x1p-52 : (T_C)0x1p-23; }

RT_KERNEL(RT_NAME(uniform), RtCall) {
    const T low = T_PUT((T_C)a.k[0]), high = T_PUT((T_C)a.k[1]);
    const T_C from = T_GET(low), to = T_GET(high), width = T_GET(T_PUT(to - from));
    rt_draw_map(a, RT_UNIFORM, [&](T_C v) {
        const T x = T_PUT(rt_ma(v, width, from));
        return T_GET(x) == to ? low : x;                 /* (from, to] to [from, to) */
    });
}

RT_KERNEL(RT_NAME(normal), RtCall) {
    const T_C mean = (T_C)a.k[0], std = (T_C)a.k[1];
    rt_draw_map(a, RT_NORMAL, [&](T_C v) { return T_PUT(rt_ma(v, std, mean)); });
}

RT_KERNEL(RT_NAME(log_normal), RtCall) {
    const T_C mean = (T_C)a.k[0], std = (T_C)a.k[1];
    rt_draw_map(a, RT_NORMAL, [&](T_C v) { return T_PUT(rt_drawn_exp(rt_ma(v, std, mean))); });
}

RT_KERNEL(RT_NAME(exponential), RtCall) {
    const T_C scale = (T_C)-1 / (T_C)a.k[0], half = rt_epsilon() / 2;
    rt_draw_map(a, RT_UNIFORM, [&](T_C v) { return T_PUT(scale * (v >= (T_C)1 - half ? -half : rt_drawn_log(v))); });       /* never 0 */
}

RT_KERNEL(RT_NAME(cauchy), RtCall) {
    const T_C median = (T_C)a.k[0], sigma = (T_C)a.k[1], eps = rt_epsilon();
    rt_draw_map(a, RT_UNIFORM, [&](T_C v) {
        if (sizeof(T_C) == 4) v = v > 1 - eps ? 1 - eps : v < eps ? eps : v;
        return T_PUT(rt_ma(sigma, rt_drawn_tan((T_C)3.14159265358979323846 * (v - (T_C)0.5)), median));
    });
}

/* p: y, words, x, keep (1 byte an element), all in one order without gaps; n[1]: elements a thread takes side by side, as many as 16 bytes
 * hold or fewer; n[4], n[5]: the last word that is kept, and whether one is; k: the chance to be kept. The numbers are float32 for all types:
 * a thread of the grid's first side has a subsequence, and its k-th turn the k-th call of it (of eight elements: two calls). Every turn
 * finds its words by itself, so a block of the second side takes one. */
RT_KERNEL(RT_NAME(dropout), RtCall) {
    enum { V = 16 / T_SIZE, CALLS = V > 4 ? 2 : 1 };
    const int64_t n = a.n[0], side = a.n[1], threads = (int64_t)gridDim.x * blockDim.x, me = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const T_C scale = (T_C)1 / (T_C)a.k[0];
    const uint32_t last = (uint32_t)a.n[4];
    const bool any = a.n[5];
    const uint64_t *words = (const uint64_t *)a.p[1];
    const uint64_t seed = words ? words[0] : (uint64_t)a.n[2], call = ((uint64_t)a.n[3] + (words ? words[1] : 0)) >> 2;      /* offsets are multiples of 4 */
    T *y = (T *)a.p[0];
    const T *x = (const T *)a.p[2];
    uint8_t *keep = (uint8_t *)a.p[3];
    if (side == V) {
        #pragma unroll 1
        for (int64_t turn = blockIdx.y, i; (i = (turn * threads + me) * V) < n; turn += gridDim.y) {
            const RtPack<T, V> in = *(const RtPack<T, V> *)(x + i);
            RtPack<T, V> out;
            RtPack<uint8_t, V> kept;
            #pragma unroll
            for (int c = 0; c < CALLS; c++) {
                const RtFour<uint32_t> w = rt_words(seed, call + (uint64_t)(turn * CALLS + c), (uint64_t)me);
                #pragma unroll
                for (int j = 0; j < (V < 4 ? V : 4); j++) {
                    const bool k = any && w.v[j] <= last;
                    kept.v[4 * c + j] = k;
                    out.v[4 * c + j] = T_PUT(T_GET(in.v[4 * c + j]) * (k ? scale : (T_C)0));
                }
            }
            *(RtPack<T, V> *)(y + i) = out;
            *(RtPack<uint8_t, V> *)(keep + i) = kept;
        }
        return;
    }
    const int count = side == 2 ? 2 : 4;
    const int64_t apart = side == 1 ? threads : 1, first = side == 1 ? me : me * side;
    for (int64_t turn = blockIdx.y, i; (i = turn * threads * count + first) < n; turn += gridDim.y) {
        const RtFour<uint32_t> w = rt_words(seed, call + (uint64_t)turn, (uint64_t)me);
        for (int j = 0; j < count && i + apart * j < n; j++) {
            const bool k = any && w.v[j] <= last;
            keep[i + apart * j] = k;
            y[i + apart * j] = T_PUT(T_GET(x[i + apart * j]) * (k ? scale : (T_C)0));
        }
    }
}

/* A gradient of dropout. p: y, NULL, x, keep; n: elements; k: 1 / the chance to be kept. A thread takes two packs. */
RT_KERNEL(RT_NAME(mask), RtCall) {
    enum { V = 16 / T_SIZE, U = 2 };
    const int64_t n = a.n[0], first = ((int64_t)blockIdx.x * (256 * U) + threadIdx.x) * V;
    const T_C scale = (T_C)a.k[0];
    T *y = (T *)a.p[0];
    const T *x = (const T *)a.p[2];
    const uint8_t *keep = (const uint8_t *)a.p[3];
    const bool packs = (((uintptr_t)x | (uintptr_t)y) & 15) == 0 && ((uintptr_t)keep & (V - 1)) == 0;
    const auto one = [&](T v, uint8_t kept) { return T_PUT(T_GET(v) * (T_C)kept * scale); };
    RtPack<T, V> in[U];
    RtPack<uint8_t, V> kept[U];
    #pragma unroll
    for (int u = 0; u < U; u++) {
        const int64_t i = first + u * 256 * V;
        if (packs && i + V <= n) {
            in[u] = *(const RtPack<T, V> *)(x + i);
            kept[u] = *(const RtPack<uint8_t, V> *)(keep + i);
        }
    }
    #pragma unroll
    for (int u = 0; u < U; u++) {
        const int64_t i = first + u * 256 * V;
        if (packs && i + V <= n) {
            RtPack<T, V> out;
            #pragma unroll
            for (int j = 0; j < V; j++) out.v[j] = one(in[u].v[j], kept[u].v[j]);
            *(RtPack<T, V> *)(y + i) = out;
        } else
            #pragma unroll 1
            for (int64_t j = i; j < i + V && j < n; j++) y[j] = one(x[j], keep[j]);
    }
}

/* p: y, words, x, slope, all row-major; k: lower, upper */
RT_KERNEL(RT_NAME(rrelu), RtCall) {
    const double low = a.k[0], range = a.k[1] - a.k[0];
    rt_draw_each<RtDraw<T_C>::N>(a, RT_UNIFORM, [&](int64_t i, T_C v) {
        const T x = ((const T *)a.p[2])[i];
        const T slope = T_GET(x) <= 0 ? T_PUT((T_C)((double)T_GET(T_PUT(v)) * range + low)) : T_PUT((T_C)1);
        ((T *)a.p[3])[i] = slope;
        ((T *)a.p[0])[i] = T_PUT(T_GET(x) * T_GET(slope));
    });
}
