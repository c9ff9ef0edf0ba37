/* The transforms of Winograd's filtering along one axis, and those of tiles: part of conv_wino.h.
 *
 * Note [Axes]
 * A transform of a tile is one along its rows and one along its columns, each of a kind: kernels of 3 and 5 taps, one of a single tap (signals), and
 * those of stride two. There the taps of even and odd number are two kernels: y[t] = (w0 x[2t] + w2 x[2t+2]) + w1 x[2t+1]. Two taps have F(4, 2), five
 * products for eight, of the even positions; one tap has four products of the odd ones as they lie. That are nine for twelve along an axis, 81 for
 * 144 of a tile (81 points), of which those that meet the same tap have their weights in common: 36 matrix products, some of them four or sixteen times as
 * tall. Four taps have two kernels of two. The gradient of the input (also the transposed convolution) has the same two kernels, of
 * neighbouring positions, and their results alternate. Points of F(4, 2): 0, +-3/4, -3/2 and infinity, all exact: of 14 choices that with the smallest
 * errors. Source: J. Yepez and S. Ko, Stride 2 1-D, 2-D and 3-D Winograd for convolutional neural networks (2020). */

enum { AXIS_1, AXIS_3, AXIS_5_SHORT, AXIS_5, AXIS_3_BY_2, AXIS_4_BY_2, AXIS_3_BACK, AXIS_4_BACK, AXES };
/* Of an axis: positions of a patch, and from patch to patch; points; results of a tile; taps; points that have weights of their own. The inline copies are
 * constants where the kind is one. */
typedef struct { int span, step, n, m, taps, own; } WinoAxis;
static const WinoAxis wino_axes[AXES] = {{1, 1, 1, 1, 1, 1}, {6, 4, 6, 4, 3, 6}, {6, 2, 6, 2, 5, 6}, {8, 4, 8, 4, 5, 8},
                                         {9, 8, 9, 4, 3, 6}, {10, 8, 10, 4, 4, 10}, {5, 4, 9, 8, 3, 6}, {6, 4, 10, 8, 4, 10}};
#define WINO_MOST 10                      /* most of any of them */
RT_INLINE int wino_has_two(int a) { return a >= AXIS_3_BY_2; }
RT_INLINE int wino_span(int a) { return a == AXIS_1 ? 1 : a == AXIS_3 || a == AXIS_5_SHORT ? 6 : a == AXIS_5 ? 8 : a == AXIS_3_BY_2 ? 9 : a == AXIS_4_BY_2 ? 10 : a == AXIS_3_BACK ? 5 : 6; }
RT_INLINE int wino_n(int a) { return a == AXIS_1 ? 1 : a == AXIS_3 || a == AXIS_5_SHORT ? 6 : a == AXIS_5 ? 8 : a == AXIS_3_BY_2 || a == AXIS_3_BACK ? 9 : 10; }
RT_INLINE int wino_m(int a) { return a == AXIS_1 ? 1 : a == AXIS_5_SHORT ? 2 : a == AXIS_3_BACK || a == AXIS_4_BACK ? 8 : 4; }
RT_INLINE int wino_taps(int a) { return a == AXIS_1 ? 1 : a == AXIS_5_SHORT || a == AXIS_5 ? 5 : a == AXIS_4_BY_2 || a == AXIS_4_BACK ? 4 : 3; }
RT_INLINE int wino_own(int a) { return a == AXIS_3_BY_2 || a == AXIS_3_BACK ? 6 : wino_n(a); }

/* Points 0, +-p, infinity of the transforms of 6 and 8 positions. norm: 1 / product of differences of p with the other points, of 0
 * likewise; next: coefficients of the polynomials of B that have all roots but +-p and 0, all: those of the one with all but 0. */
typedef struct { float p[3], norm[3], zero, next[2][3], all[3]; } WinoPoints;
static const WinoPoints wino_points[2] = {
    {{0.625f, 1.25f}, {-1.0922666666666667f, 0.27306666666666667f}, 1.6384f, {{-1.5625f, -0.390625f}}, {-1.953125f, 0.6103515625f}},
    {{0.5f, 1, 2}, {0.71111111111111114f, -0.22222222222222222f, 0.011111111111111112f}, -1,
     {{-5, -4.25f, -1.25f}, {4, 1, 0.25f}}, {-5.25f, 5.25f, -1}},
};

#define S rt_vf_set
#define FMA rt_vf_fma
/* B' d: n from n */
RT_INLINE void wino_bt(int n, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    const WinoPoints *z = wino_points + (n == 8);
    rt_vf end[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        end[h] = FMA(S(z->all[0]), d[(n - 4 + h) * s], d[(n - 2 + h) * s]);
        end[h] = FMA(S(z->all[1]), d[(n - 6 + h) * s], end[h]);
        if (n == 8) end[h] = z->all[2] == -1 ? end[h] - d[h * s] : FMA(S(z->all[2]), d[h * s], end[h]);
    }
    o[0] = end[0];
    o[(n - 1) * t] = end[1];
#pragma GCC unroll 3
    for (int i = 0; i < n / 2 - 1; i++) {
        rt_vf e = FMA(S(z->next[0][i]), d[(n - 4) * s], d[(n - 2) * s]), q = FMA(S(z->next[0][i]), d[(n - 5) * s], d[(n - 3) * s]);
        if (n == 8) { e = FMA(S(z->next[1][i]), d[2 * s], e); q = FMA(S(z->next[1][i]), d[s], q); }
        o[(2 * i + 1) * t] = FMA(S(z->p[i]), q, e);
        o[(2 * i + 2) * t] = FMA(S(-z->p[i]), q, e);
    }
}
/* Values at the points of the polynomial with m coefficients: A d, or with norms G d */
RT_INLINE void wino_up(int n, int m, int norms, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    const WinoPoints *z = wino_points + (n == 8);
    o[0] = norms ? S(z->zero) * d[0] : d[0];
#pragma GCC unroll 3
    for (int i = 0; i < n / 2 - 1; i++) {
        float p = z->p[i], pp = p * p;
        rt_vf e = d[0], q = d[s];
        if (m > 4) e = FMA(S(pp * pp), d[4 * s], e);
        if (m > 2) e = FMA(S(pp), d[2 * s], e);
        if (m > 3) q = FMA(S(pp), d[3 * s], q);
        if (norms) { e *= S(z->norm[i]); p *= z->norm[i]; }
        o[(2 * i + 1) * t] = FMA(S(p), q, e);
        o[(2 * i + 2) * t] = FMA(S(-p), q, e);
    }
    o[(n - 1) * t] = d[(m - 1) * s];
}
/* The transpose of that: A' d, or with norms G' d */
RT_INLINE void wino_down(int n, int m, int norms, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    const WinoPoints *z = wino_points + (n == 8);
    rt_vf sum[2][3];
#pragma GCC unroll 3
    for (int i = 0; i < n / 2 - 1; i++) {
        sum[0][i] = d[(2 * i + 1) * s] + d[(2 * i + 2) * s];
        sum[1][i] = d[(2 * i + 1) * s] - d[(2 * i + 2) * s];
        if (norms) { sum[0][i] *= S(z->norm[i]); sum[1][i] *= S(z->norm[i]); }
    }
#pragma GCC unroll 5
    for (int k = 0; k < m; k++) {
        rt_vf v = k == 0 ? (norms ? S(z->zero) * d[0] : d[0]) : k == m - 1 ? d[(n - 1) * s] : (rt_vf){0};
#pragma GCC unroll 3
        for (int i = 0; i < n / 2 - 1; i++) {
            float p = z->p[i], f = k == 0 ? 1 : k == 1 ? p : k == 2 ? p * p : k == 3 ? p * p * p : p * p * p * p;
            int bare = i == 0 && k > 0 && k < m - 1;
            v = bare ? S(f) * sum[k % 2][i] : f == 1 ? v + sum[k % 2][i] : FMA(S(f), sum[k % 2][i], v);
        }
        o[k * t] = v;
    }
}

/* F(4, 2): five points of two taps. Likewise, with p, q = 3/4, -3/2. */
#define TWO_P 0.75f
#define TWO_Q -1.5f
#define TWO_PP 0.5625f
static const float wino_two_norm[4] = {1 / (TWO_PP * TWO_Q), 1 / (2 * TWO_PP * (TWO_P - (TWO_Q))), 1 / (-2 * TWO_PP * (TWO_P + TWO_Q)), 1 / (TWO_Q * (TWO_Q * TWO_Q - TWO_PP))};
RT_INLINE void wino_two_bt(const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    rt_vf q = S(-(TWO_Q)), h = FMA(q, d[0], d[s]), f = FMA(q, d[s], d[2 * s]), e = FMA(q, d[2 * s], d[3 * s]), k = FMA(q, d[3 * s], d[4 * s]);
    o[0] = FMA(S(-TWO_PP), h, e);
    o[t] = FMA(S(TWO_P), f, e);
    o[2 * t] = FMA(S(-TWO_P), f, e);
    o[3 * t] = FMA(S(-TWO_PP), d[s], d[3 * s]);
    o[4 * t] = FMA(S(-TWO_PP), f, k);
}
RT_INLINE void wino_two_weights(rt_vf a, rt_vf b, rt_vf *o, int64_t t) {
    const float *norm = wino_two_norm;
    o[0] = S(norm[0]) * a;
    o[t] = FMA(S(TWO_P), b, a) * S(norm[1]);
    o[2 * t] = FMA(S(-TWO_P), b, a) * S(norm[2]);
    o[3 * t] = FMA(S(TWO_Q), b, a) * S(norm[3]);
    o[4 * t] = b;
}
RT_INLINE void wino_two_weights_back(const rt_vf *d, int64_t s, rt_vf *a, rt_vf *b) {
    const float *norm = wino_two_norm;
    rt_vf u = S(norm[1]) * d[s], v = S(norm[2]) * d[2 * s], w = S(norm[3]) * d[3 * s];
    *a = FMA(S(norm[0]), d[0], u + v) + w;
    *b = FMA(S(TWO_P), u - v, FMA(S(TWO_Q), w, d[4 * s]));
}
/* to o[0], o[t] ...: four results */
RT_INLINE void wino_two_results(const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    rt_vf u = d[s] + d[2 * s], v = d[s] - d[2 * s], w = d[3 * s];
    o[0] = d[0] + u + w;
    o[t] = FMA(S(TWO_P), v, S(TWO_Q) * w);
    o[2 * t] = FMA(S(TWO_PP), u, S(TWO_Q * TWO_Q) * w);
    o[3 * t] = FMA(S(TWO_P * TWO_PP), v, FMA(S(TWO_Q * TWO_Q * TWO_Q), w, d[4 * s]));
}
RT_INLINE void wino_two_gradient(const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    rt_vf e = FMA(S(TWO_PP), d[2 * s], d[0]), f = FMA(S(TWO_PP), d[3 * s], d[s]);
    o[0] = d[0];
    o[t] = FMA(S(TWO_P), f, e);
    o[2 * t] = FMA(S(-TWO_P), f, e);
    o[3 * t] = FMA(S(TWO_Q), FMA(S(TWO_Q), FMA(S(TWO_Q), d[3 * s], d[2 * s]), d[s]), d[0]);
    o[4 * t] = d[3 * s];
}
#undef TWO_P
#undef TWO_Q
#undef TWO_PP
#undef S
#undef FMA

/* The five transforms of an axis of kind `a`. Points of two kernels: first the five of taps 0 and 2, then those of the others. */
/* positions of a patch to points */
RT_INLINE void wino_axis_patch(int a, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    if (a == AXIS_1) { o[0] = d[0]; return; }
    if (!wino_has_two(a)) { wino_bt(wino_n(a), d, s, o, t); return; }
    int64_t pair = a == AXIS_3_BY_2 || a == AXIS_4_BY_2 ? 2 : 1;
    wino_two_bt(d, pair * s, o, t);
    if (a == AXIS_4_BY_2 || a == AXIS_4_BACK) wino_two_bt(d + s, pair * s, o + 5 * t, t);
    else
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) o[(5 + i) * t] = d[(pair == 2 ? 2 * i + 1 : i) * s];
}
/* taps to the points that have weights of their own */
RT_INLINE void wino_axis_weights(int a, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    if (a == AXIS_1) { o[0] = d[0]; return; }
    if (!wino_has_two(a)) { wino_up(wino_n(a), wino_taps(a), 1, d, s, o, t); return; }
    wino_two_weights(d[0], d[2 * s], o, t);
    if (wino_taps(a) == 4) wino_two_weights(d[s], d[3 * s], o + 5 * t, t);
    else o[5 * t] = d[s];
}
/* and, for gradients, back */
RT_INLINE void wino_axis_weights_back(int a, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    if (a == AXIS_1) { o[0] = d[0]; return; }
    if (!wino_has_two(a)) { wino_down(wino_n(a), wino_taps(a), 1, d, s, o, t); return; }
    wino_two_weights_back(d, s, o, o + 2 * t);
    if (wino_taps(a) == 4) wino_two_weights_back(d + 5 * s, s, o + t, o + 3 * t);
    else o[t] = d[5 * s];
}
/* points to results */
RT_INLINE void wino_axis_results(int a, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    if (a == AXIS_1) { o[0] = d[0]; return; }
    if (!wino_has_two(a)) { wino_down(wino_n(a), wino_m(a), 0, d, s, o, t); return; }
    rt_vf first[4], second[4];
    wino_two_results(d, s, first, 1);
    if (wino_taps(a) == 4) wino_two_results(d + 5 * s, s, second, 1);
    else
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) second[i] = d[(5 + i) * s];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        if (a == AXIS_3_BY_2 || a == AXIS_4_BY_2) o[i * t] = first[i] + second[i];
        else {
            o[2 * i * t] = a == AXIS_3_BACK ? second[i] : first[i];
            o[(2 * i + 1) * t] = a == AXIS_3_BACK ? first[i] : second[i];
        }
    }
}
/* results' gradients to points: forward kinds alone */
RT_INLINE void wino_axis_gradient(int a, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {
    if (a == AXIS_1) { o[0] = d[0]; return; }
    if (!wino_has_two(a)) { wino_up(wino_n(a), wino_m(a), 0, d, s, o, t); return; }
    wino_two_gradient(d, s, o, t);
    if (wino_taps(a) == 4) wino_two_gradient(d, s, o + 5 * t, t);
    else
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) o[(5 + i) * t] = d[i * s];
}

/* Transforms of tiles, a vector of channels at a time; `at`: where each point lies from `to` or `from` on. */

/* A column of a patch, of one vector of channels, to the points down it: to[0], to[ring] ... */
RT_INLINE void wino_column(int down, const float *restrict x, int64_t pitch, rt_vf *to, int ring) {
    rt_vf d[WINO_MOST];
#pragma GCC unroll 10
    for (int i = 0; i < wino_span(down); i++) d[i] = rt_vf_load(x + i * pitch);
    wino_axis_patch(down, d, 1, to, ring);
}
/* The points of a patch from those of its columns, the first of which is at `first` of each ring */
RT_INLINE void wino_across(int down, int across, const rt_vf *half, int ring, int first, const int64_t *restrict at, float *restrict to) {
    const int n = wino_n(across);
#pragma GCC unroll 10
    for (int i = 0; i < wino_n(down); i++) {
        rt_vf d[WINO_MOST], v[WINO_MOST];
#pragma GCC unroll 10
        for (int j = 0; j < wino_span(across); j++) d[j] = half[ring * i + (first + j) % ring];
        wino_axis_patch(across, d, 1, v, 1);
#pragma GCC unroll 10
        for (int j = 0; j < n; j++) rt_vf_store(to + at[n * i + j], v[j]);
    }
}

/* Patches of `count` tiles of one row, from a padded row of the source (pitch elements a row, `pixel` a pixel), to to[at[p] + tile*cpad + channel]. Patches
 * four columns apart have columns in common: the points of eight columns stay in a ring, so that each is made once. */
RT_INLINE void wino_patches(int down, int across, const float *restrict x, int64_t pitch, int64_t pixel, int64_t count, int64_t channels, const int64_t *restrict at,
                            int64_t cpad, float *restrict to) {
    enum { STEP = 4, RING = 2 * STEP };
    const int wide = wino_span(across);
    rt_vf half[WINO_MOST * WINO_MOST];
    if (wino_has_two(across)) {
        for (int64_t t = 0; t < count; t++, x += wino_axes[across].step * pixel, to += cpad)
            for (int64_t c = 0; c < channels; c += RT_LANES_F32) {
#pragma GCC unroll 10
                for (int j = 0; j < wide; j++) wino_column(down, x + j * pixel + c, pitch, half + j, WINO_MOST);
                wino_across(down, across, half, WINO_MOST, 0, at, to + c);
            }
        return;
    }
    for (int64_t c = 0; c < channels; c += RT_LANES_F32) {
        const float *from = x + c;
        float *place = to + c;
#pragma GCC unroll 4
        for (int j = 0; j < wide - STEP; j++) wino_column(down, from + j * pixel, pitch, half + j, RING);
        for (int64_t t = 0; t < count; t += 2, from += RING * pixel, place += 2 * cpad) {
#pragma GCC unroll 4
            for (int j = wide - STEP; j < wide; j++) wino_column(down, from + j * pixel, pitch, half + j, RING);
            wino_across(down, across, half, RING, 0, at, place);
            if (t + 1 == count) break;
#pragma GCC unroll 4
            for (int j = wide; j < wide + STEP; j++) wino_column(down, from + j * pixel, pitch, half + j % RING, RING);
            wino_across(down, across, half, RING, STEP, at, place + cpad);
        }
    }
}

/* A tile of results of one vector of channels, times factor plus bias, to y, of which `high` rows and `wide` columns exist. */
RT_INLINE void wino_results(int down, int across, const float *from, const int64_t *restrict at, rt_vf factor, rt_vf bias, int cut, float *y, int64_t row, int64_t pixel,
                            int64_t high, int64_t wide) {
    const int n = wino_n(across), tall = wino_n(down), m = wino_m(down), columns = wino_m(across);
    rt_vf half[WINO_MOST * WINO_MOST], res[WINO_MOST];
#pragma GCC unroll 10
    for (int j = 0; j < n; j++) {
        rt_vf d[WINO_MOST];
#pragma GCC unroll 10
        for (int i = 0; i < tall; i++) d[i] = rt_vf_load(from + at[n * i + j]);
        wino_axis_results(down, d, 1, half + j, n);
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
        wino_axis_results(across, half + n * i, 1, res, 1);
#pragma GCC unroll 8
        for (int j = 0; j < columns; j++)
            if (i < high && j < wide) {
                rt_vf v = rt_vf_fma(res[j], factor, bias);
                rt_vf_store(y + i * row + j * pixel, cut ? rt_vf_positive(v) : v);
            }
    }
}

/* A tile of the result's gradient, from g with `row` from row to row and `pixel` from pixel to pixel, to to[at[p]] */
RT_INLINE void wino_gradient(int down, int across, const float *g, int64_t row, int64_t pixel, const int64_t *restrict at, float *restrict to) {
    const int n = wino_n(across), tall = wino_n(down), m = wino_m(down), columns = wino_m(across);
    rt_vf half[WINO_MOST * WINO_MOST], o[WINO_MOST];
#pragma GCC unroll 8
    for (int j = 0; j < columns; j++) {
        rt_vf d[WINO_MOST];
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) d[i] = rt_vf_load(g + i * row + j * pixel);
        wino_axis_gradient(down, d, 1, half + j, columns);
    }
#pragma GCC unroll 10
    for (int i = 0; i < tall; i++) {
        wino_axis_gradient(across, half + columns * i, 1, o, 1);
#pragma GCC unroll 10
        for (int j = 0; j < n; j++) rt_vf_store(to + at[n * i + j], o[j]);
    }
}

/* Taps of a vector of result channels to the points that have weights of their own, and back. */
RT_INLINE void wino_taps_up(int down, int across, const rt_vf *g, rt_vf *u) {
    const int r = wino_taps(across), k = wino_taps(down), n = wino_own(across);
    rt_vf half[WINO_MOST * 5];
    for (int j = 0; j < r; j++) wino_axis_weights(down, g + j, r, half + j, r);
    for (int i = 0; i < wino_own(down); i++) wino_axis_weights(across, half + r * i, 1, u + n * i, 1);
    (void)k;
}
RT_INLINE void wino_taps_down(int down, int across, const rt_vf *u, rt_vf *g) {
    const int r = wino_taps(across), k = wino_taps(down), n = wino_own(across);
    rt_vf half[WINO_MOST * 5];
    for (int j = 0; j < n; j++) wino_axis_weights_back(down, u + j, n, half + j, n);
    for (int i = 0; i < k; i++) wino_axis_weights_back(across, half + n * i, 1, g + r * i, 1);
}

/* A kind of convolution: two axes and their loops. */
typedef struct {
    int down, across;
    void (*patches)(const float *, int64_t, int64_t, int64_t, int64_t, const int64_t *, int64_t, float *);
    void (*results)(const float *, const int64_t *, rt_vf, rt_vf, int, float *, int64_t, int64_t, int64_t, int64_t);
    void (*gradient)(const float *, int64_t, int64_t, const int64_t *, float *);     /* NULL: no kind of a forward product */
    void (*up)(const rt_vf *, rt_vf *), (*down_taps)(const rt_vf *, rt_vf *);
} WinoKind;
#define COMMON(name, a, b)                                                                                                                                   \
    static __attribute__((noinline)) void wino_patches_##name(const float *x, int64_t pitch, int64_t pixel, int64_t count, int64_t channels, const int64_t *at, \
                                                             int64_t cpad, float *to) { wino_patches(a, b, x, pitch, pixel, count, channels, at, cpad, to); } \
    static __attribute__((noinline)) void wino_results_##name(const float *from, const int64_t *at, rt_vf factor, rt_vf bias, int cut, float *y, int64_t row, \
                                                             int64_t pixel, int64_t high, int64_t wide) {                                                    \
        if (high >= wino_m(a) && wide >= wino_m(b)) wino_results(a, b, from, at, factor, bias, cut, y, row, pixel, WINO_MOST, WINO_MOST);                    \
        else wino_results(a, b, from, at, factor, bias, cut, y, row, pixel, high, wide);                                                                     \
    }                                                                                                                                                         \
    static __attribute__((noinline)) void wino_up_##name(const rt_vf *g, rt_vf *u) { wino_taps_up(a, b, g, u); }
#define FORWARD(name, a, b)                                                                                                                                  \
    COMMON(name, a, b)                                                                                                                                        \
    static __attribute__((noinline)) void wino_gradient_##name(const float *g, int64_t row, int64_t pixel, const int64_t *at, float *to) {                   \
        wino_gradient(a, b, g, row, pixel, at, to);                                                                                                           \
    }                                                                                                                                                         \
    static __attribute__((noinline)) void wino_down_##name(const rt_vf *u, rt_vf *g) { wino_taps_down(a, b, u, g); }                                           \
    static const WinoKind wino_kind_##name = {a, b, wino_patches_##name, wino_results_##name, wino_gradient_##name, wino_up_##name, wino_down_##name};
#define BACK(name, a, b)                                                                                                                                     \
    COMMON(name, a, b)                                                                                                                                        \
    static const WinoKind wino_kind_##name = {a, b, wino_patches_##name, wino_results_##name, NULL, wino_up_##name, NULL};
FORWARD(3, AXIS_3, AXIS_3)
FORWARD(5, AXIS_5_SHORT, AXIS_5)
FORWARD(line_3, AXIS_1, AXIS_3)
FORWARD(line_5, AXIS_1, AXIS_5)
FORWARD(3_by_2, AXIS_3_BY_2, AXIS_3_BY_2)
FORWARD(4_by_2, AXIS_4_BY_2, AXIS_4_BY_2)
FORWARD(line_3_by_2, AXIS_1, AXIS_3_BY_2)
FORWARD(line_4_by_2, AXIS_1, AXIS_4_BY_2)
BACK(3_back, AXIS_3_BACK, AXIS_3_BACK)
BACK(4_back, AXIS_4_BACK, AXIS_4_BACK)
BACK(line_3_back, AXIS_1, AXIS_3_BACK)
BACK(line_4_back, AXIS_1, AXIS_4_BACK)
#undef COMMON
#undef FORWARD
#undef BACK
