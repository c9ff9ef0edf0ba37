// types: T = floats
#include "moments.h"
/* Layer, RMS and group norm of rows too long for registers (norm_short.cuh); x contiguous, row r = (image, group) of `channels` times `plane`
 * elements. Statistics, weights and biases are of the type to compute in.
 * n: way, rows, elements, groups, channels, plane and its divisor, rms; k[0]: eps. p: y, x, w, b, mean, 1 / deviation. */
enum { WAY, ROWS, COLUMNS, GROUPS, CHANNELS, PLANE, BY, RMS = BY + 2 };
/* channel of the row's first weight */
RT_INLINE int64_t first_of(const RtCall &a, int64_t row) {
    int64_t image;
    return rt_divide(row, a.n[GROUPS], &image) * a.n[CHANNELS];
}
RT_INLINE int64_t weight_at(const RtCall &a, int64_t first, int64_t i) {
    return a.n[PLANE] == 1 ? first + i : first + rt_quotient((uint32_t)i, RtDivisor{(uint32_t)a.n[BY], (uint32_t)a.n[BY + 1]});
}

RT_KERNEL(RT_NAME(row_norm), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const bool here = l.line < a.n[ROWS];
    const T *x = (const T *)a.p[1] + (here ? l.line : 0) * a.n[COLUMNS];
    const T_C *w = (const T_C *)a.p[2], *b = (const T_C *)a.p[3], count = (T_C)a.n[COLUMNS];
    const int64_t end = here ? a.n[COLUMNS] : 0, first = first_of(a, here ? l.line : 0);
    T_C mean = (T_C)0, sum = (T_C)0;
    if (a.n[RMS]) {
        const T *const in[1] = {x};
        rt_line_each<1>(in, end, l.part, l.parts, [&](int64_t, const T (&v)[1]) { sum += T_GET(v[0]) * T_GET(v[0]); });
        sum = rt_line_sum(l, sum);
    } else {
        const RtMoments<T_C> m = rt_line_moments<T_C>(l, x, end, [](T v) { return T_GET(v); });
        mean = m.mean;
        sum = m.sum;
    }
    const T_C rstd = 1 / T_F(sqrt)(sum / count + (T_C)a.k[0]);
    if (!here) return;
    if (l.part == 0) {
        if (a.p[4]) ((T_C *)a.p[4])[l.line] = mean;
        ((T_C *)a.p[5])[l.line] = rstd;
    }
    const T *const in[1] = {x};
    rt_line_map<1>((T *)a.p[0] + l.line * a.n[COLUMNS], in, end, l.part, l.parts, [&](int64_t i, const T (&x)[1]) {
        T_C v = (T_GET(x[0]) - mean) * rstd;
        if (w || b) {
            const int64_t c = weight_at(a, first, i);
            if (w) v *= w[c];
            if (b) v += b[c];
        }
        return T_PUT(v);
    });
}

/* p: gx, x, g, w, mean, 1 / deviation */
RT_KERNEL(RT_NAME(row_norm_back), RtCall) {
    const RtLine l = rt_line(a.n[WAY]);
    const bool here = l.line < a.n[ROWS];
    const int64_t row = here ? l.line : 0, end = here ? a.n[COLUMNS] : 0, first = first_of(a, row);
    const T *x = (const T *)a.p[1] + row * a.n[COLUMNS], *g = (const T *)a.p[2] + row * a.n[COLUMNS];
    const T_C *w = (const T_C *)a.p[3], mean = a.n[RMS] || !here ? (T_C)0 : ((const T_C *)a.p[4])[row], rstd = here ? ((const T_C *)a.p[5])[row] : (T_C)0;
    T_C sum = (T_C)0, dot = (T_C)0;
    const auto weighted = [&](int64_t i, T g) { return w ? T_GET(g) * w[weight_at(a, first, i)] : T_GET(g); };
    const T *const in[2] = {x, g};
    rt_line_each<2>(in, end, l.part, l.parts, [&](int64_t i, const T (&of)[2]) {
        const T_C v = weighted(i, of[1]);
        sum += v;
        dot += v * ((T_GET(of[0]) - mean) * rstd);
    });
    sum = a.n[RMS] ? (T_C)0 : rt_line_sum(l, sum) / (T_C)a.n[COLUMNS];
    dot = rt_line_sum(l, dot) / (T_C)a.n[COLUMNS];
    if (!here) return;
    rt_line_map<2>((T *)a.p[0] + row * a.n[COLUMNS], in, end, l.part, l.parts, [&](int64_t i, const T (&of)[2]) {
        return T_PUT((weighted(i, of[1]) - sum - (T_GET(of[0]) - mean) * rstd * dot) * rstd);
    });
}
