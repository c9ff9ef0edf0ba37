// types: T = floats
/* Batch norm's passes by packs of 16 bytes, where these are of one channel (planes: x and g dense along the plane) or of neighbouring ones (last:
 * channels innermost). Statistics, weights and biases are of the type to compute in. Sums come in chunks, which kernels of norm.cuh finish.
 * n: as each kernel says; p: norm.cuh's kernel of the same work. */
#include "moments.h"
enum { V = 16 / T_SIZE, U = 4 };
typedef RtPack<T, V> Pack;
typedef RtPack<T_C, V> Wide;

typedef RtMoments<T_C> Moments;
RT_INLINE uint32_t quotient(uint32_t i, const int64_t *by) { return rt_quotient(i, RtDivisor{(uint32_t)by[0], (uint32_t)by[1]}); }

/* ---- planes. n: way, channels, images, packs of a plane (and its divisor), packs of a chunk, steps of x (image, channel), of g; for sums
 * how statistics lie: of image n and channel c at n P_MEAN + c / P_EACH. A block of the grid's second side has a chunk of a channel's packs ---- */
enum { P_WAY, P_ALL, P_IMAGES, P_PLANE, P_BY, P_CHUNK = P_BY + 2, P_X, P_G = P_X + 2, P_MEAN = P_G + 2, P_EACH };
RT_INLINE int64_t pack_at(const RtCall &a, int64_t i, const int64_t *step) {
    const uint32_t image = quotient((uint32_t)i, a.n + P_BY), s = (uint32_t)i - image * (uint32_t)a.n[P_PLANE];
    return image * step[0] + (int64_t)s * V;
}

RT_KERNEL(RT_NAME(moments_of_planes), RtCall) {
    const RtLine l = rt_line(a.n[P_WAY]);
    const bool here = l.line < a.n[P_ALL];
    const int64_t all = a.n[P_IMAGES] * a.n[P_PLANE], from = blockIdx.y * a.n[P_CHUNK], to = !here ? 0 : from + a.n[P_CHUNK] < all ? from + a.n[P_CHUNK] : all;
    const T *x = (const T *)a.p[0] + (here ? l.line : 0) * a.n[P_X + 1];
    Moments m = {(T_C)0, (T_C)0, (T_C)0};
    int64_t i = from + l.part;
    for (; i + (U - 1) * l.parts < to; i += U * l.parts) {
        Pack v[U];
        T_C all[U * V];
        #pragma unroll
        for (int u = 0; u < U; u++) v[u] = *(const Pack *)(x + pack_at(a, i + u * l.parts, a.n + P_X));
        #pragma unroll
        for (int u = 0; u < U * V; u++) all[u] = T_GET(v[u / V].v[u % V]);
        m = rt_joined(m, rt_moments(all));
    }
    for (; i < to; i += l.parts) {
        const Pack v = *(const Pack *)(x + pack_at(a, i, a.n + P_X));
        T_C all[V];
        #pragma unroll
        for (int j = 0; j < V; j++) all[j] = T_GET(v.v[j]);
        m = rt_joined(m, rt_moments(all));
    }
    m = rt_line_joined(l, m);
    if (l.part || !here) return;
    T_C *part = (T_C *)a.p[1] + 2 * (blockIdx.y * a.n[P_ALL] + l.line);
    part[0] = m.mean;
    part[1] = m.sum;
}

RT_KERNEL(RT_NAME(sums_of_planes), RtCall) {
    enum { H = 2 };
    const RtLine l = rt_line(a.n[P_WAY]);
    const bool here = l.line < a.n[P_ALL];
    const int64_t c = here ? l.line : 0, all = a.n[P_IMAGES] * a.n[P_PLANE], from = blockIdx.y * a.n[P_CHUNK],
                  to = !here ? 0 : from + a.n[P_CHUNK] < all ? from + a.n[P_CHUNK] : all;
    const T *x = (const T *)a.p[0] + c * a.n[P_X + 1], *g = (const T *)a.p[1] + c * a.n[P_G + 1];
    const T_C *mean = (const T_C *)a.p[2], *rstd = (const T_C *)a.p[3];
    const int64_t group = c / a.n[P_EACH];
    T_C sum = (T_C)0, dot = (T_C)0;
    for (int64_t i = from + l.part; i < to; i += H * l.parts) {
        Pack xs[H], gs[H];
        #pragma unroll
        for (int u = 0; u < H; u++) if (i + u * l.parts < to) {
            xs[u] = *(const Pack *)(x + pack_at(a, i + u * l.parts, a.n + P_X));
            gs[u] = *(const Pack *)(g + pack_at(a, i + u * l.parts, a.n + P_G));
        }
        #pragma unroll
        for (int u = 0; u < H; u++) if (i + u * l.parts < to) {
            const int64_t at = quotient((uint32_t)(i + u * l.parts), a.n + P_BY) * a.n[P_MEAN] + group;
            const T_C middle = mean ? mean[at] : (T_C)0;
            T_C here = (T_C)0;
            #pragma unroll
            for (int j = 0; j < V; j++) {
                const T_C v = T_GET(gs[u].v[j]);
                sum += v;
                here = T_F(ma)(v, T_GET(xs[u].v[j]) - middle, here);
            }
            dot = T_F(ma)(here, rstd[at], dot);
        }
    }
    sum = rt_line_sum(l, sum);
    dot = rt_line_sum(l, dot);
    if (l.part || !here) return;
    T_C *part = (T_C *)a.p[4] + 2 * (blockIdx.y * a.n[P_ALL] + l.line);
    part[0] = sum;
    part[1] = dot;
}

/* ---- last. n: log2 of a row's threads, channels, rows (places of all images), rows of a chunk, for sums whether statistics are a row's or a channel's;
 * dense ---- */
enum { L_WIDE, L_ALL, L_ROWS, L_CHUNK, L_OF_ROWS };
struct Spot { int64_t pack, from, to; int row, rows, lane; };
RT_INLINE Spot spot_of(const RtCall &a) {
    const int wide = 1 << a.n[L_WIDE], lane = threadIdx.x & (wide - 1);
    const int64_t pack = (int64_t)blockIdx.x * wide + lane, from = blockIdx.y * a.n[L_CHUNK], to = from + a.n[L_CHUNK] < a.n[L_ROWS] ? from + a.n[L_CHUNK] : a.n[L_ROWS];
    return {pack, from, pack * V < a.n[L_ALL] ? to : 0, (int)(threadIdx.x >> a.n[L_WIDE]), (int)(256 >> a.n[L_WIDE]), lane};
}
/* the rows' results together, in the first row's threads */
template <class R, class Op> RT_INLINE R rows_together(const RtCall &a, const Spot &s, R mine, Op op) {
    RT_SHARED(R, shown, 256);
    RT_SYNC();
    shown[threadIdx.x] = mine;
    RT_SYNC();
    if (s.row == 0)
        #pragma unroll 1
        for (int k = 1; k < s.rows; k++) mine = op(mine, shown[(k << a.n[L_WIDE]) + s.lane]);
    return mine;
}

RT_KERNEL(RT_NAME(moments_of_last), RtCall) {
    const Spot s = spot_of(a);
    const T *x = (const T *)a.p[0] + s.pack * V;
    T_C mean[V], sum[V], count = (T_C)0;
    for (int j = 0; j < V; j++) mean[j] = sum[j] = (T_C)0;
    int64_t i = s.from + s.row;
    for (; i + (U - 1) * s.rows < s.to; i += U * s.rows) {
        Pack v[U];
        #pragma unroll
        for (int u = 0; u < U; u++) v[u] = *(const Pack *)(x + (i + u * s.rows) * a.n[L_ALL]);
        const T_C share = (T_C)U / (count + (T_C)U);
        #pragma unroll
        for (int j = 0; j < V; j++) {                        /* rt_joined with one count for all channels */
            const T_C all[U] = {T_GET(v[0].v[j]), T_GET(v[1].v[j]), T_GET(v[2].v[j]), T_GET(v[3].v[j])};
            const Moments m = rt_moments(all);
            const T_C gap = m.mean - mean[j];
            mean[j] += gap * share;
            sum[j] += m.sum + gap * gap * count * share;
        }
        count += (T_C)U;
    }
    for (; i < s.to; i += s.rows) {
        const Pack v = *(const Pack *)(x + i * a.n[L_ALL]);
        const T_C share = (T_C)1 / (count + (T_C)1);
        #pragma unroll
        for (int j = 0; j < V; j++) {
            const T_C gap = T_GET(v.v[j]) - mean[j];
            mean[j] += gap * share;
            sum[j] += gap * gap * count * share;
        }
        count += (T_C)1;
    }
    T_C *part = (T_C *)a.p[1] + 2 * (blockIdx.y * a.n[L_ALL] + s.pack * V);
    #pragma unroll
    for (int j = 0; j < V; j++) {
        const Moments all = rows_together(a, s, Moments{mean[j], sum[j], count}, [](Moments x, Moments y) { return rt_joined(x, y); });
        if (s.row == 0 && s.pack * V < a.n[L_ALL]) {
            part[2 * j] = all.mean;
            part[2 * j + 1] = all.sum;
        }
    }
}

struct Pair { T_C sum, dot; };
RT_KERNEL(RT_NAME(sums_of_last), RtCall) {
    enum { H = 2 };
    const Spot s = spot_of(a);
    const bool here = s.pack * V < a.n[L_ALL];
    const T *x = (const T *)a.p[0] + s.pack * V, *g = (const T *)a.p[1] + s.pack * V;
    Pair p[V];
    T_C mean[V];
    for (int j = 0; j < V; j++) {
        p[j] = {(T_C)0, (T_C)0};
        mean[j] = here && !a.n[L_OF_ROWS] ? ((const T_C *)a.p[2])[s.pack * V + j] : (T_C)0;
    }
    for (int64_t i = s.from + s.row; i < s.to; i += H * s.rows) {
        Pack xs[H], gs[H];
        #pragma unroll
        for (int u = 0; u < H; u++) if (i + u * s.rows < s.to) {
            xs[u] = *(const Pack *)(x + (i + u * s.rows) * a.n[L_ALL]);
            gs[u] = *(const Pack *)(g + (i + u * s.rows) * a.n[L_ALL]);
        }
        #pragma unroll
        for (int u = 0; u < H; u++) if (i + u * s.rows < s.to) {
            T_C middle = (T_C)0, rstd = (T_C)1;
            if (a.n[L_OF_ROWS]) {
                if (a.p[2]) middle = ((const T_C *)a.p[2])[i + u * s.rows];
                rstd = ((const T_C *)a.p[3])[i + u * s.rows];
            }
            #pragma unroll
            for (int j = 0; j < V; j++) {
                const T_C v = T_GET(gs[u].v[j]);
                p[j].sum += v;
                p[j].dot = T_F(ma)(v * rstd, T_GET(xs[u].v[j]) - (a.n[L_OF_ROWS] ? middle : mean[j]), p[j].dot);
            }
        }
    }
    T_C *part = (T_C *)a.p[4] + 2 * (blockIdx.y * a.n[L_ALL] + s.pack * V);
    #pragma unroll
    for (int j = 0; j < V; j++) {
        const Pair all = rows_together(a, s, p[j], [](Pair x, Pair y) { return Pair{x.sum + y.sum, x.dot + y.dot}; });
        if (s.row == 0 && here) {
            part[2 * j] = all.sum;
            part[2 * j + 1] = a.n[L_OF_ROWS] ? all.dot : all.dot * ((const T_C *)a.p[3])[s.pack * V + j];
        }
    }
}

/* ---- element by element. n: packs, channels (last: packs of channels) and its divisor, packs of a plane (0: channels innermost) and its divisor,
 * elements of a channel; all dense in one order ---- */
enum { E_PACKS, E_ALL, E_ALL_BY, E_PLANE = E_ALL_BY + 2, E_PLANE_BY, E_COUNT = E_PLANE_BY + 2 };
/* channel, or pack of channels, of pack i */
RT_INLINE uint32_t channel_of(const RtCall &a, uint32_t i) {
    if (a.n[E_PLANE]) i = quotient(i, a.n + E_PLANE_BY);
    return i - quotient(i, a.n + E_ALL_BY) * (uint32_t)a.n[E_ALL];
}
RT_INLINE Wide of_channels(const RtCall &a, const void *w, uint32_t c) {
    if (!a.n[E_PLANE]) return ((const Wide *)w)[c];
    Wide all;
    const T_C one = ((const T_C *)w)[c];
    for (int j = 0; j < V; j++) all.v[j] = one;
    return all;
}
RT_KERNEL(RT_NAME(norm_packs), RtCall) {
    enum { H = 2 };
    const uint32_t first = blockIdx.x * (256u * H) + threadIdx.x, packs = (uint32_t)a.n[E_PACKS];
    Pack v[H];
    #pragma unroll
    for (int u = 0; u < H; u++) if (first + u * 256u < packs) v[u] = ((const Pack *)a.p[1])[first + u * 256u];
    #pragma unroll
    for (int u = 0; u < H; u++) if (first + u * 256u < packs) {
        const uint32_t i = first + u * 256u, c = channel_of(a, i);
        const Wide mean = of_channels(a, a.p[2], c), rstd = of_channels(a, a.p[3], c);
        T_C scale[V];
        Pack o;
        #pragma unroll
        for (int j = 0; j < V; j++) scale[j] = rstd.v[j];
        if (a.p[4]) {
            const Wide w = of_channels(a, a.p[4], c);
            #pragma unroll
            for (int j = 0; j < V; j++) scale[j] *= w.v[j];
        }
        #pragma unroll
        for (int j = 0; j < V; j++) scale[j] = (T_GET(v[u].v[j]) - mean.v[j]) * scale[j];
        if (a.p[5]) {
            const Wide b = of_channels(a, a.p[5], c);
            #pragma unroll
            for (int j = 0; j < V; j++) scale[j] += b.v[j];
        }
        #pragma unroll
        for (int j = 0; j < V; j++) o.v[j] = T_PUT(scale[j]);
        ((Pack *)a.p[0])[i] = o;
    }
}
/* the sums of channels lie in the first chunk of p[6], two a channel: (g - sum / count - xhat dot / count) w / deviation */
RT_KERNEL(RT_NAME(norm_back_packs), RtCall) {
    enum { H = 2 };
    const uint32_t first = blockIdx.x * (256u * H) + threadIdx.x, packs = (uint32_t)a.n[E_PACKS];
    const T_C *part = (const T_C *)a.p[6], share = (T_C)1 / (T_C)a.n[E_COUNT];
    Pack xs[H], gs[H];
    #pragma unroll
    for (int u = 0; u < H; u++) if (first + u * 256u < packs) {
        gs[u] = ((const Pack *)a.p[5])[first + u * 256u];
        if (part) xs[u] = ((const Pack *)a.p[1])[first + u * 256u];
    }
    #pragma unroll
    for (int u = 0; u < H; u++) if (first + u * 256u < packs) {
        const uint32_t i = first + u * 256u, c = channel_of(a, i);
        const Wide rstd = of_channels(a, a.p[3], c);
        T_C v[V], scale[V];
        #pragma unroll
        for (int j = 0; j < V; j++) {
            v[j] = T_GET(gs[u].v[j]);
            scale[j] = rstd.v[j];
        }
        if (part) {
            const Wide mean = of_channels(a, a.p[2], c);
            #pragma unroll
            for (int j = 0; j < V; j++) {
                const T_C *sums = part + 2 * (a.n[E_PLANE] ? c : c * V + j);
                v[j] = v[j] - sums[0] * share - (T_GET(xs[u].v[j]) - mean.v[j]) * rstd.v[j] * (sums[1] * share);
            }
        }
        if (a.p[4]) {
            const Wide w = of_channels(a, a.p[4], c);
            #pragma unroll
            for (int j = 0; j < V; j++) scale[j] *= w.v[j];
        }
        Pack o;
        #pragma unroll
        for (int j = 0; j < V; j++) o.v[j] = T_PUT(v[j] * scale[j]);
        ((Pack *)a.p[0])[i] = o;
    }
}
