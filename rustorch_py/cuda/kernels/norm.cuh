// types: T = floats
#include "moments.h"
/* Normalisation of channels. Statistics, weights and biases are of the type to compute in. Letters: n image, c channel, s position in the plane. */

/* ---- channels: x and g of any steps (n, c, s), of which the plane has one; sums in two stages, chunks of a channel's elements first ----
 * n: way, channels, images, plane, chunk (elements), steps of x, of g, of the result (n, c, s each). A block of the grid's second side has a chunk. */
enum { C_WAY, C_ALL, C_IMAGES, C_PLANE, C_CHUNK, C_X, C_G = C_X + 3, C_Y = C_G + 3, C_MEAN = C_Y + 3, C_EACH };
RT_INLINE int64_t place_of(const RtCall &a, int64_t i, const int64_t *step) {
    int64_t image;
    const int64_t s = rt_divide(i, a.n[C_PLANE], &image);
    return image * step[0] + s * step[2];
}
struct Range { int64_t from, to; };
RT_INLINE Range chunk_of(const RtCall &a, const RtLine &l) {
    if (l.line >= a.n[C_ALL]) return {0, 0};
    const int64_t from = blockIdx.y * a.n[C_CHUNK], all = a.n[C_IMAGES] * a.n[C_PLANE], to = from + a.n[C_CHUNK];
    return {from, to < all ? to : all};
}

/* mean and sum of squared differences of each chunk. p: x, part (chunks, channels, 2) */
RT_KERNEL(RT_NAME(channel_moments), RtCall) {
    const RtLine l = rt_line(a.n[C_WAY]);
    const Range r = chunk_of(a, l);
    const T *x = (const T *)a.p[0] + (l.line < a.n[C_ALL] ? l.line : 0) * a.n[C_X + 1];
    T_C sum = (T_C)0;
    #pragma unroll 4
    for (int64_t i = r.from + l.part; i < r.to; i += l.parts) sum += T_GET(x[place_of(a, i, a.n + C_X)]);
    const T_C mean = rt_line_sum(l, sum) / (T_C)(r.to > r.from ? r.to - r.from : 1);
    sum = (T_C)0;
    for (int64_t i = r.from + l.part; i < r.to; i += l.parts) {
        const T_C v = T_GET(x[place_of(a, i, a.n + C_X)]) - mean;
        sum = sum + v * v;
    }
    sum = rt_line_sum(l, sum);
    if (l.part || l.line >= a.n[C_ALL]) return;
    T_C *part = (T_C *)a.p[1] + 2 * (blockIdx.y * a.n[C_ALL] + l.line);
    part[0] = mean;
    part[1] = sum;
}

/* The chunks' moments become one, and running statistics move. n: channels, elements of a channel, of a chunk, chunks,
 * steps of the running statistics, way. p: part, mean, 1 / deviation, running mean or NULL, running variance or NULL; k: momentum, eps. */
RT_KERNEL(RT_NAME(channel_finish), RtCall) {
    const RtLine l = rt_line(a.n[6]);
    const int64_t c = l.line < a.n[0] ? l.line : 0;
    const T_C *part = (const T_C *)a.p[0];
    RtMoments<T_C> m = {(T_C)0, (T_C)0, (T_C)0};
    #pragma unroll 4
    for (int64_t k = l.part; k < a.n[3]; k += l.parts) {
        const int64_t left = a.n[1] - k * a.n[2], count = left < a.n[2] ? left : a.n[2];
        m = rt_joined(m, {part[2 * (k * a.n[0] + c)], part[2 * (k * a.n[0] + c) + 1], (T_C)count});
    }
    m = rt_line_joined(l, m);
    if (l.part || l.line >= a.n[0]) return;
    const T_C mean = m.mean, variance = m.sum / (T_C)a.n[1], momentum = (T_C)a.k[0];
    ((T_C *)a.p[1])[c] = mean;
    ((T_C *)a.p[2])[c] = 1 / T_F(sqrt)(variance + (T_C)a.k[1]);
    if (a.p[3]) {
        T_C *running = (T_C *)a.p[3] + c * a.n[4];
        *running = (1 - momentum) * *running + momentum * mean;
    }
    if (a.p[4]) {
        T_C *running = (T_C *)a.p[4] + c * a.n[5];
        *running = (1 - momentum) * *running + momentum * (m.sum / (T_C)(a.n[1] - 1));
    }
}

/* y = (x - mean) / deviation * w + b. n: elements, whether channels are innermost, then channels, images, plane, and steps as above.
 * p: y, x, mean, 1 / deviation, w, b */
enum { E_COUNT, E_LAST };
RT_INLINE int64_t channel_of(const RtCall &a, int64_t i, int64_t *image, int64_t *s) {
    int64_t rest, c;
    if (a.n[E_LAST]) {
        c = rt_divide(i, a.n[2], &rest);
        *s = rt_divide(rest, a.n[4], image);
    } else {
        *s = rt_divide(i, a.n[4], &rest);
        c = rt_divide(rest, a.n[2], image);
    }
    return c;
}
RT_KERNEL(RT_NAME(channel_norm), RtCall) {
    const T_C *mean = (const T_C *)a.p[2], *rstd = (const T_C *)a.p[3], *w = (const T_C *)a.p[4], *b = (const T_C *)a.p[5];
    const int64_t *x_step = a.n + 5, *y_step = a.n + 8;
    RT_EACH(i, a.n[E_COUNT]) {
        int64_t n, s;
        const int64_t c = channel_of(a, i, &n, &s);
        const T_C scale = w ? rstd[c] * w[c] : rstd[c];
        const T_C v = (T_GET(((const T *)a.p[1])[n * x_step[0] + c * x_step[1] + s * x_step[2]]) - mean[c]) * scale;
        ((T *)a.p[0])[n * y_step[0] + c * y_step[1] + s * y_step[2]] = T_PUT(b ? (T_C)(v + b[c]) : v);
    }
}

/* Sums of g and of g xhat over the chunks of each channel. Statistics are those of a channel, or (groups) of image n and channel c at
 * n C_MEAN + c / C_EACH. p: x, g, mean or NULL, 1 / deviation, part (chunks, channels, 2) */
RT_KERNEL(RT_NAME(channel_sums), RtCall) {
    const RtLine l = rt_line(a.n[C_WAY]);
    const Range r = chunk_of(a, l);
    const int64_t c = l.line < a.n[C_ALL] ? l.line : 0;
    const T *x = (const T *)a.p[0] + c * a.n[C_X + 1], *g = (const T *)a.p[1] + c * a.n[C_G + 1];
    const T_C *mean = (const T_C *)a.p[2], *rstd = (const T_C *)a.p[3];
    const int64_t group = c / a.n[C_EACH];
    T_C sum = (T_C)0, dot = (T_C)0;
    for (int64_t i = r.from + l.part; i < r.to; i += l.parts) {
        int64_t image;
        const int64_t s = rt_divide(i, a.n[C_PLANE], &image), m = image * a.n[C_MEAN] + group;
        const T_C v = T_GET(g[image * a.n[C_G] + s * a.n[C_G + 2]]);
        sum += v;
        dot += v * ((T_GET(x[image * a.n[C_X] + s * a.n[C_X + 2]]) - (mean ? mean[m] : (T_C)0)) * rstd[m]);
    }
    sum = rt_line_sum(l, sum);
    dot = rt_line_sum(l, dot);
    if (l.part || l.line >= a.n[C_ALL]) return;
    T_C *part = (T_C *)a.p[4] + 2 * (blockIdx.y * a.n[C_ALL] + l.line);
    part[0] = sum;
    part[1] = dot;
}

/* n: channels, chunks, way; p: part, gradient of the bias or NULL, of the weight or NULL; the sums are left in the first chunk */
RT_KERNEL(RT_NAME(channel_sums_finish), RtCall) {
    const RtLine l = rt_line(a.n[2]);
    const int64_t c = l.line < a.n[0] ? l.line : 0;
    T_C *part = (T_C *)a.p[0], sum = (T_C)0, dot = (T_C)0;
    #pragma unroll 4
    for (int64_t k = l.part; k < a.n[1]; k += l.parts) {
        sum += part[2 * (k * a.n[0] + c)];
        dot += part[2 * (k * a.n[0] + c) + 1];
    }
    sum = rt_line_sum(l, sum);
    dot = rt_line_sum(l, dot);
    if (l.part || l.line >= a.n[0]) return;
    part[2 * c] = sum;
    part[2 * c + 1] = dot;
    if (a.p[1]) ((T_C *)a.p[1])[c] = sum;
    if (a.p[2]) ((T_C *)a.p[2])[c] = dot;
}
/* Sums of norm_short.cuh's parts. n: columns, parts; p: part (parts, 2, columns), gradient of the weight or NULL, of the bias or NULL */
RT_KERNEL(RT_NAME(row_sums_finish), RtCall) {
    const RtLine l = rt_line(RT_LINE_LANES);
    const int64_t all = 2 * a.n[0];
    const T_C *part = (const T_C *)a.p[0];
    T_C sum = (T_C)0;
    if (l.line < all)
        #pragma unroll 4
        for (int64_t k = l.part; k < a.n[1]; k += l.parts) sum += part[k * all + l.line];
    sum = rt_line_sum(l, sum);
    if (l.part || l.line >= all) return;
    const int64_t which = l.line >= a.n[0];
    if (a.p[1 + which]) ((T_C *)a.p[1 + which])[l.line - which * a.n[0]] = sum;
}

/* p: gx, x, mean, 1 / deviation, w, g, part or NULL (fixed statistics); n as channel_norm's, the steps of g after them */
RT_KERNEL(RT_NAME(channel_norm_back), RtCall) {
    const T_C *mean = (const T_C *)a.p[2], *rstd = (const T_C *)a.p[3], *w = (const T_C *)a.p[4], *part = (const T_C *)a.p[6];
    const int64_t *x_step = a.n + 5, *y_step = a.n + 8, *g_step = a.n + 11;
    const T_C count = (T_C)(a.n[3] * a.n[4]);
    RT_EACH(i, a.n[E_COUNT]) {
        int64_t n, s;
        const int64_t c = channel_of(a, i, &n, &s);
        T_C v = T_GET(((const T *)a.p[5])[n * g_step[0] + c * g_step[1] + s * g_step[2]]);
        if (part) v = v - part[2 * c] / count - (T_GET(((const T *)a.p[1])[n * x_step[0] + c * x_step[1] + s * x_step[2]]) - mean[c]) * rstd[c] * (part[2 * c + 1] / count);
        v *= w ? rstd[c] * w[c] : rstd[c];
        ((T *)a.p[0])[n * y_step[0] + c * y_step[1] + s * y_step[2]] = T_PUT(v);
    }
}
