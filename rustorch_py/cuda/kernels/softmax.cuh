// types: T = floats
// each kernel alone
#include "line.h"
/* Softmax and losses over lines of n elements, `inner` apart: x (outer, n, inner). A line's peak and the sum of its exponentials come from one
 * pass (Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018).
 * n: way, lines, n, inner, then each kernel's own. */
enum { WAY, LINES, N, INNER, LOGS, IGNORE, EACH };

#if T_SIZE == 2
RT_INLINE T_C exp_of(T_C x) { return rt_rough_exp(x); }
#else
RT_INLINE T_C exp_of(T_C x) { return T_F(exp)(x); }
#endif
/* a line's peak, and the sum of exp(x - peak); an infinite peak stands for 0 there */
struct Peak { T_C top, sum; };
RT_INLINE T_C finite(T_C top) { return top - top == 0 ? top : (T_C)0; }
RT_INLINE T_C moved(const Peak &p, T_C to) { return p.sum == 0 ? (T_C)0 : p.sum * exp_of(finite(p.top) - to); }
template <int M> RT_INLINE void take(Peak &p, const T_C (&x)[M]) {
    T_C top = p.top, sum = (T_C)0;
    #pragma unroll
    for (int i = 0; i < M; i++) top = T_F(fmax)(top, x[i]);
    const T_C base = finite(top);
    #pragma unroll
    for (int i = 0; i < M; i++) sum += exp_of(x[i] - base);            /* a NaN, too, gets into the sum */
    p.sum = (top == p.top ? p.sum : moved(p, base)) + sum;
    p.top = top;
}
RT_INLINE Peak both(const Peak &a, const Peak &b) {
    Peak p;
    p.top = a.top > b.top ? a.top : b.top;
    p.sum = moved(a, finite(p.top)) + moved(b, finite(p.top));
    return p;
}
RT_INLINE Peak peak_of(const RtCall &a, const RtLine &l, const T *x) {
    Peak p = {T_F(lowest)((T_C)0), (T_C)0};
    const Peak none = p;
    const int64_t n = l.line < a.n[LINES] ? a.n[N] : 0;
    if (a.n[INNER] == 1) {                                   /* by packs of 16 bytes from where they may begin, several under way */
        enum { V = 16 / T_SIZE, U = 2 };
        const int64_t skip = (int64_t)((0 - (uintptr_t)x & 15) / T_SIZE), head = skip < n ? skip : n, packs = (n - head) / V;
        const RtPack<T, V> *from = (const RtPack<T, V> *)(x + head);
        int64_t i = l.part;
        for (; i + (U - 1) * l.parts < packs; i += U * l.parts) {
            RtPack<T, V> v[U];
            T_C all[U * V];
            #pragma unroll
            for (int u = 0; u < U; u++) v[u] = from[i + u * l.parts];
            #pragma unroll
            for (int u = 0; u < U * V; u++) all[u] = T_GET(v[u / V].v[u % V]);
            take(p, all);
        }
        for (; i < packs; i += l.parts) {
            const RtPack<T, V> v = from[i];
            T_C all[V];
            #pragma unroll
            for (int u = 0; u < V; u++) all[u] = T_GET(v.v[u]);
            take(p, all);
        }
        for (int64_t i = l.part; i < n - packs * V; i += l.parts) {
            const T_C one[1] = {T_GET(x[i < head ? i : i + packs * V])};
            take(p, one);
        }
    } else
        for (int64_t i = l.part; i < n; i += 4 * l.parts) {
            T_C all[4];
            #pragma unroll
            for (int u = 0; u < 4; u++) all[u] = i + u * l.parts < n ? T_GET(x[(i + u * l.parts) * a.n[INNER]]) : none.top;
            take(p, all);
        }
    return rt_line_reduce(l, p, both, none);
}
RT_INLINE int64_t start_of(const RtCall &a, const RtLine &l) {
    int64_t outer;
    const int64_t s = rt_divide(l.line < a.n[LINES] ? l.line : 0, a.n[INNER], &outer);
    return outer * a.n[N] * a.n[INNER] + s;
}

/* p: y, x */
RT_KERNEL(RT_NAME(softmax), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const int64_t at = start_of(a, l);
    const T *x = (const T *)a.p[1] + at;
    T *y = (T *)a.p[0] + at;
    const Peak p = peak_of(a, l, x);
    if (l.line >= a.n[LINES]) return;
    const T_C sum = p.sum + (p.top - p.top), share = 1 / sum, log_sum = T_F(log)(sum);       /* NaN of an infinite peak */
    const auto value = [&](T_C v) { return a.n[LOGS] ? v - p.top - log_sum : exp_of(v - p.top) * share; };
    if (a.n[INNER] == 1) {
        const T *const in[1] = {x};
        rt_line_map<1>(y, in, a.n[N], l.part, l.parts, [&](int64_t, const T (&v)[1]) { return T_PUT(value(T_GET(v[0]))); });
        return;
    }
    #pragma unroll 4
    for (int64_t i = l.part; i < a.n[N]; i += l.parts) y[i * a.n[INNER]] = T_PUT(value(T_GET(x[i * a.n[INNER]])));
}

/* p: gx, g, y */
RT_KERNEL(RT_NAME(softmax_back), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const int64_t at = start_of(a, l), step = a.n[INNER];
    const T *g = (const T *)a.p[1] + at, *y = (const T *)a.p[2] + at;
    T *gx = (T *)a.p[0] + at;
    T_C sum = (T_C)0;
    if (l.line < a.n[LINES])
        #pragma unroll 4
        for (int64_t i = l.part; i < a.n[N]; i += l.parts) sum += a.n[LOGS] ? T_GET(g[i * step]) : T_GET(g[i * step]) * T_GET(y[i * step]);
    sum = rt_line_sum(l, sum);
    if (l.line >= a.n[LINES]) return;
    const auto value = [&](T_C gi, T_C yi) { return a.n[LOGS] ? gi - exp_of(yi) * sum : yi * (gi - sum); };
    if (step == 1) {
        const T *const in[2] = {g, y};
        rt_line_map<2>(gx, in, a.n[N], l.part, l.parts, [&](int64_t, const T (&v)[2]) { return T_PUT(value(T_GET(v[0]), T_GET(v[1]))); });
        return;
    }
    #pragma unroll 4
    for (int64_t i = l.part; i < a.n[N]; i += l.parts) gx[i * step] = T_PUT(value(T_GET(g[i * step]), T_GET(y[i * step])));
}

RT_INLINE T_C log_of(const Peak &p) {
    if (p.sum != p.sum || p.top - p.top == 0) return p.top + T_F(log)(p.sum);
    return p.top;                                            /* an infinite peak */
}
/* p: y, x */
RT_KERNEL(RT_NAME(logsumexp), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const Peak p = peak_of(a, l, (const T *)a.p[1] + start_of(a, l));
    if (l.part == 0 && l.line < a.n[LINES]) ((T *)a.p[0])[l.line] = T_PUT(log_of(p));
}

/* Loss of the class that target names, one a line. p: loss, share of the line in a mean, logsumexp of the line (of the type to compute in;
 * the last NULL where x holds logarithms), x, target (int64), weights (of the type to compute in) or NULL; k[0]: label smoothing. */
RT_KERNEL(RT_NAME(class_loss), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const T *x = (const T *)a.p[3] + start_of(a, l);
    const T_C *w = (const T_C *)a.p[5], smooth = (T_C)a.k[0];
    const T_C log_sum = a.n[LOGS] ? (T_C)0 : log_of(peak_of(a, l, x));
    const bool here = l.line < a.n[LINES];
    T_C all = (T_C)0, all_w = (T_C)0;                        /* of all classes, for smoothing */
    if (smooth > 0) {
        if (here) for (int64_t i = l.part; i < a.n[N]; i += l.parts) {
            const T_C wi = w ? w[i] : (T_C)1;
            all += T_GET(x[i * a.n[INNER]]) * wi;
            all_w += wi;
        }
        all = rt_line_sum(l, all);
        all_w = rt_line_sum(l, all_w);
    }
    if (l.part || !here) return;
    const int64_t t = ((const int64_t *)a.p[4])[l.line];
    T_C loss = (T_C)0, share = (T_C)0;
    if (t != a.n[IGNORE]) {
        if (t < 0 || t >= a.n[N]) rt_bad_index(a, t, a.n[N]);
        else {
            share = w ? w[t] : (T_C)1;
            loss = (log_sum - T_GET(x[t * a.n[INNER]])) * share;
            if (smooth > 0) loss = (1 - smooth) * loss + smooth / (T_C)a.n[N] * (log_sum * all_w - all);
        }
    }
    ((T_C *)a.p[0])[l.line] = loss;
    ((T_C *)a.p[1])[l.line] = share;
    if (a.p[2]) ((T_C *)a.p[2])[l.line] = log_sum;
}

/* The same of long dense lines (below 2^31 elements) that are no logarithms, without label smoothing: a block of 256 threads a line */
RT_KERNEL(RT_NAME(class_loss_line), RtCall) {
    enum { V = 16 / T_SIZE, U = 2, ALL = 256 };
    typedef RtPack<T, V> Pack;
    const int n = (int)a.n[N], me = threadIdx.x;
    const int64_t line = blockIdx.x;
    const T *x = (const T *)a.p[3] + line * n;
    const int skip = (int)((0 - (uintptr_t)x & 15) / T_SIZE), head = skip < n ? skip : n, packs = (n - head) / V;
    const Pack *from = (const Pack *)(x + head);
    const Peak none = {sizeof(T_C) == 8 ? (T_C)-1.7976931348623157e308 : (T_C)-3.402823466e38f, (T_C)0};       /* finite, and not above any number */
    Peak p = none;
    const auto add = [&](Peak &p, T_C top, T_C more, T_C base) {                /* more: sum of exp(x - base) of elements up to top */
        p.sum = p.sum * exp_of(finite(p.top) - base) + more;
        p.top = top;
    };
    int i = me;
    for (; i + (U - 1) * ALL < packs; i += U * ALL) {
        Pack v[U];
        #pragma unroll
        for (int u = 0; u < U; u++) v[u] = from[i + u * ALL];
        T_C top = p.top, sum = (T_C)0;
        #pragma unroll
        for (int j = 0; j < U * V; j++) top = T_F(fmax)(top, T_GET(v[j / V].v[j % V]));
        const T_C base = finite(top);
        #pragma unroll
        for (int j = 0; j < U * V; j++) sum += exp_of(T_GET(v[j / V].v[j % V]) - base);
        add(p, top, sum, base);
    }
    for (; i < packs; i += ALL) {
        const Pack v = from[i];
        T_C top = p.top, sum = (T_C)0;
        #pragma unroll
        for (int j = 0; j < V; j++) top = T_F(fmax)(top, T_GET(v.v[j]));
        const T_C base = finite(top);
        #pragma unroll
        for (int j = 0; j < V; j++) sum += exp_of(T_GET(v.v[j]) - base);
        add(p, top, sum, base);
    }
    for (i = me; i < n - packs * V; i += ALL) {
        const T_C v = T_GET(x[i < head ? i : i + packs * V]), top = T_F(fmax)(p.top, v), base = finite(top);
        add(p, top, exp_of(v - base), base);
    }
    p = rt_block_reduce(p, [&](const Peak &x, const Peak &y) {
        const T_C top = T_F(fmax)(x.top, y.top), base = finite(top);
        return Peak{top, x.sum * exp_of(finite(x.top) - base) + y.sum * exp_of(finite(y.top) - base)};
    }, none);
    if (me) return;
    const T_C *w = (const T_C *)a.p[5], log_sum = log_of(p);
    const int64_t t = ((const int64_t *)a.p[4])[line];
    T_C loss = (T_C)0, share = (T_C)0;
    if (t != a.n[IGNORE]) {
        if (t < 0 || t >= n) rt_bad_index(a, t, n);
        else {
            share = w ? w[t] : (T_C)1;
            loss = (log_sum - T_GET(x[t])) * share;
        }
    }
    ((T_C *)a.p[0])[line] = loss;
    ((T_C *)a.p[1])[line] = share;
    if (a.p[2]) ((T_C *)a.p[2])[line] = log_sum;
}

/* Its gradient: g (a softmax(x) - (1 - smooth) w[t] [i = t] - smooth / n w[i]), a such that a line's sum is 0.
 * p: gx, x, target, weights or NULL, logsumexp or NULL, g (one a line: EACH), what a mean was divided by or NULL */
RT_KERNEL(RT_NAME(class_loss_back), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const T_C *w = (const T_C *)a.p[3], smooth = (T_C)a.k[0];
    T_C all_w = w ? (T_C)0 : (T_C)a.n[N];
    if (smooth > 0 && w) {
        for (int64_t i = l.part; i < a.n[N]; i += l.parts) all_w += w[i];
        all_w = rt_line_sum(l, all_w);
    }
    if (l.line >= a.n[LINES]) return;
    const int64_t at = start_of(a, l), step = a.n[INNER], t = ((const int64_t *)a.p[2])[l.line];
    const T *x = (const T *)a.p[1] + at;
    T *gx = (T *)a.p[0] + at;
    const bool counts = t != a.n[IGNORE] && t >= 0 && t < a.n[N];
    T_C g = T_GET(((const T *)a.p[5])[a.n[EACH] ? l.line : 0]);
    if (a.p[6]) g /= *(const T_C *)a.p[6];
    const T_C own = counts ? (1 - smooth) * (w ? w[t] : (T_C)1) : (T_C)0, spread = smooth / (T_C)a.n[N];
    const T_C scale = own + (smooth > 0 ? spread * all_w : (T_C)0), log_sum = a.n[LOGS] ? (T_C)0 : ((const T_C *)a.p[4])[l.line];
    const auto value = [&](int64_t i, T_C x) {
        T_C v = scale != 0 ? scale * (a.n[LOGS] ? (T_C)0 : exp_of(x - log_sum)) : (T_C)0;
        if (i == t) v -= own;
        if (smooth > 0) v -= spread * (w ? w[i] : (T_C)1);
        return T_PUT(counts ? v * g : (T_C)0);
    };
    if (step == 1) {
        const T *const in[1] = {x};
        rt_line_map<1>(gx, in, a.n[N], l.part, l.parts, [&](int64_t i, const T (&v)[1]) { return value(i, T_GET(v[0])); });
        return;
    }
    #pragma unroll 4
    for (int64_t i = l.part; i < a.n[N]; i += l.parts) gx[i * step] = value(i, T_GET(x[i * step]));
}

/* The same of long dense lines that are no logarithms, without label smoothing: a block of any size a line. */
RT_WIDE_KERNEL(RT_NAME(class_loss_back_line), RtCall) {
    enum { V = 16 / T_SIZE, U = 2 };
    typedef RtPack<T, V> Pack;
    const int64_t n = a.n[N], line = blockIdx.x, t = ((const int64_t *)a.p[2])[line], me = threadIdx.x, all = blockDim.x;
    const T *x = (const T *)a.p[1] + line * n;
    T *gx = (T *)a.p[0] + line * n;
    const T_C *w = (const T_C *)a.p[3], log_sum = ((const T_C *)a.p[4])[line];
    const bool counts = t != a.n[IGNORE] && t >= 0 && t < n;
    const T_C own = counts ? w ? w[t] : (T_C)1 : (T_C)0;
    T_C g = T_GET(((const T *)a.p[5])[a.n[EACH] ? line : 0]);
    if (a.p[6]) g /= *(const T_C *)a.p[6];
    g *= own;
    const T_C seen = own != 0 ? T_GET(x[t]) : (T_C)0;
    const int64_t skip = ((uintptr_t)x ^ (uintptr_t)gx) & 15 ? n : (int64_t)((0 - (uintptr_t)gx & 15) / T_SIZE), head = skip < n ? skip : n, packs = (n - head) / V;
    const Pack *from = (const Pack *)(x + head);
    Pack *to = (Pack *)(gx + head);
    const auto value = [&](T v) { return T_PUT(own != 0 ? exp_of(T_GET(v) - log_sum) * g : (T_C)0); };
    for (int64_t i = me; i < packs; i += U * all) {
        Pack v[U];
        #pragma unroll
        for (int u = 0; u < U; u++) if (i + u * all < packs) v[u] = from[i + u * all];
        #pragma unroll
        for (int u = 0; u < U; u++) if (i + u * all < packs) {
            #pragma unroll
            for (int j = 0; j < V; j++) v[u].v[j] = value(v[u].v[j]);
            to[i + u * all] = v[u];
        }
    }
    for (int64_t i = me; i < n - packs * V; i += all) gx[i < head ? i : i + packs * V] = value(x[i < head ? i : i + packs * V]);
    RT_SYNC();
    if (me == 0 && own != 0) gx[t] = T_PUT((exp_of(seen - log_sum) - 1) * g);
}
