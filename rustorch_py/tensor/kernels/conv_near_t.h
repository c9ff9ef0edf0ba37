/* Depthwise 3 x 3 convolutions of neighbours (a channel a group, strides of 1 or 2): typed body of conv.inc.c, part of conv_depth_t.h.
 *
 * Note [Near]
 * Such a product is done almost at the speed of memory, so no padded copy is made: windows are read from the plane itself, by loads of
 * the lanes that exist (masks of a block of columns are the same for all rows and planes). A stride of two takes even and odd columns
 * apart in registers. Its gradient of the input makes both residues of a row at once: with x = 2q - pad, columns x are w0 g[q] + w2 g[q - 1]
 * and columns x + 1 are w1 g[q], likewise for rows, and the two are interleaved on the way out (columns of an odd padding from x + 1 on). Registers of four floats have more edges
 * than this saves at a stride of one. */

#define NEAR_BLOCKS 64                    /* most vectors of a row of results */
#define NEAR_LANES VF(lanes)

typedef struct {
    int64_t h, w, gh, gw;                 /* source; results (of the gradient of the input: pairs of rows and columns) */
    int64_t top, left, step;              /* result (a, b) reads source (a*step + i - top, b*step + k - left), i, k < 3 */
    int64_t blocks;
    NEAR_LANES m[NEAR_BLOCKS][5];         /* lanes of each load; of the results */
} SUF(Near);

static int SUF(is_near)(const RtConvGeom *c) {
    int64_t s = c->stride[2], wide = c->in[2] > c->out[2] ? c->in[2] : c->out[2];
    return c->cin == 1 && c->cout == 1 && c->kernel[0] == 1 && c->kernel[1] == 3 && c->kernel[2] == 3 && c->in[0] == 1 && c->out[0] == 1 && !c->pad[0] &&
           c->stride[1] == s && (s == 1 ? RT_VEC > 16 : s == 2) && c->dilation[1] == 1 && c->dilation[2] == 1 && c->pad[1] <= 2 && c->pad[2] <= 2 &&
           wide <= (NEAR_BLOCKS - 1) * LANES;
}

/* Masks of loads: no lane outside of the source's row, and none that is no result's (what is multiplied by a gradient that is not there
 * may be no number). */
static void SUF(near_plan)(SUF(Near) *z) {
    z->blocks = (z->gw + LANES - 1) / LANES;
    for (int64_t b = 0; b < z->blocks; b++) {
        int64_t i = b * LANES, at = i * z->step - z->left, left = z->gw - i;
        for (int k = 0; k < 4; k++) {
            int64_t from = z->step == 1 ? at + k : at + k / 2 * 2 + k % 2 * LANES;
            int64_t end = z->step == 1 ? at + k + left : at + 2 * left + k / 2;      /* behind the last result's window */
            if (end > z->w) end = z->w;
            z->m[b][k] = VF(between)(-from, end - from);
        }
        z->m[b][4] = VF(between)(0, left);
    }
}

/* The three windows of a row at p. */
RT_INLINE void SUF(near_three)(int step, const T *p, const NEAR_LANES *m, V *v) {
    if (step == 1) {
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++) v[k] = VF(load_lanes)(p + k, m[k]);
    } else {
        V a = VF(load_lanes)(p, m[0]), b = VF(load_lanes)(p + LANES, m[1]), c = VF(load_lanes)(p + 2, m[2]), d = VF(load_lanes)(p + 2 + LANES, m[3]);
        v[0] = VF(even_lanes)(a, b);
        v[1] = VF(odd_lanes)(a, b);
        v[2] = VF(even_lanes)(c, d);
    }
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) RT_HOLD(v[k]);
}

/* nr rows of results from row a on */
RT_INLINE void SUF(near_rows)(int step, int nr, const SUF(Near) *z, const T *x, const T *w, T bias, int cut, T *out, int64_t a) {
    int64_t row = a * step - z->top;
    V wv[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) wv[k] = VF(set)(w[k]);
    const T *from = x + row * z->w - z->left;
    T *to = out + a * z->gw;
    for (int64_t b = 0; b < z->blocks; b++, from += step * LANES, to += LANES) {
        V acc[4];
#pragma GCC unroll 4
        for (int r = 0; r < nr; r++) acc[r] = VF(set)(bias);
#pragma GCC unroll 9
        for (int r = 0; r < (nr - 1) * step + 3; r++) {
            if ((uint64_t)(row + r) >= (uint64_t)z->h) continue;
            V v[3];
            SUF(near_three)(step, from + r * z->w, z->m[b], v);
#pragma GCC unroll 3
            for (int i = 0; i < 3; i++)
                if (r >= i && (r - i) % step == 0 && (r - i) / step < nr)
#pragma GCC unroll 3
                    for (int k = 0; k < 3; k++) acc[(r - i) / step] = VF(fma)(wv[3 * i + k], v[k], acc[(r - i) / step]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < nr; r++) VF(store_lanes)(to + r * z->gw, cut ? VF(positive)(acc[r]) : acc[r], z->m[b][4]);
    }
}
#define NEAR(step, nr)                                                                                                                \
    static __attribute__((noinline)) void SUF(near_##step##_##nr)(const SUF(Near) *z, const T *x, const T *w, T bias, int cut, T *out, int64_t a) { \
        SUF(near_rows)(step, nr, z, x, w, bias, cut, out, a);                                                                           \
    }
NEAR(1, 1) NEAR(1, 2) NEAR(1, 4) NEAR(2, 1) NEAR(2, 2) NEAR(2, 4)
#undef NEAR

static void SUF(near_plane)(const SUF(Near) *z, const T *x, const T *w, T bias, int cut, T *out) {
    for (int64_t a = 0, left; (left = z->gh - a) > 0; a += left >= 4 ? 4 : left >= 2 ? 2 : 1) {
        if (z->step == 1) (left >= 4 ? SUF(near_1_4) : left >= 2 ? SUF(near_1_2) : SUF(near_1_1))(z, x, w, bias, cut, out, a);
        else (left >= 4 ? SUF(near_2_4) : left >= 2 ? SUF(near_2_2) : SUF(near_2_1))(z, x, w, bias, cut, out, a);
    }
}

/* The gradient of the input of stride 2, h x w of g to `wide` columns of `high` rows. Block b: pairs of columns 2q - left, q from b*LANES on;
 * `odd`: the second of a pair has two taps, g[q] and g[q + 1]. */
RT_INLINE void SUF(near_spread)(int odd, const SUF(Near) *z, const T *g, const T *w, T bias, T *out, int64_t high, int64_t wide) {
    V wv[9], base = VF(set)(bias);
    int64_t next = odd ? 1 : -1;
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) wv[k] = VF(set)(w[k / 3 * 3 + (odd ? 2 - k % 3 : k % 3)]);      /* of g[q], the single one, of its neighbour */
    for (int64_t p = 0; p < z->gh; p++) {
        int64_t y = 2 * p - z->top;
        int here = p < z->h, above = p >= 1 && p - 1 < z->h, first = y >= 0 && y < high, second = y + 1 >= 0 && y + 1 < high;
        const T *gp = g + p * z->w;
        T *to = out + y * wide - z->left;
        for (int64_t b = 0; b < z->blocks; b++, gp += LANES, to += 2 * LANES) {
            const NEAR_LANES *m = z->m[b];
            V one = {0}, two = {0}, up = {0}, up_two = {0}, lo, hi;
            if (here) { one = VF(load_lanes)(gp, m[0]); two = VF(load_lanes)(gp + next, m[1]); }
            if (first) {
                if (above) { up = VF(load_lanes)(gp - z->w, m[0]); up_two = VF(load_lanes)(gp - z->w + next, m[1]); }
                V pair = VF(fma)(wv[8], up_two, VF(fma)(wv[6], up, VF(fma)(wv[2], two, VF(fma)(wv[0], one, base))));
                V single = VF(fma)(wv[7], up, VF(fma)(wv[1], one, base));
                VF(zip)(odd ? single : pair, odd ? pair : single, &lo, &hi);
                VF(store_lanes)(to, lo, m[2]);
                VF(store_lanes)(to + LANES, hi, m[3]);
            }
            if (second) {
                V pair = VF(fma)(wv[5], two, VF(fma)(wv[3], one, base)), single = VF(fma)(wv[4], one, base);
                VF(zip)(odd ? single : pair, odd ? pair : single, &lo, &hi);
                VF(store_lanes)(to + wide, lo, m[2]);
                VF(store_lanes)(to + wide + LANES, hi, m[3]);
            }
        }
    }
}
static __attribute__((noinline)) void SUF(near_spread_0)(const SUF(Near) *z, const T *g, const T *w, T bias, T *out, int64_t high, int64_t wide) {
    SUF(near_spread)(0, z, g, w, bias, out, high, wide);
}
static __attribute__((noinline)) void SUF(near_spread_1)(const SUF(Near) *z, const T *g, const T *w, T bias, T *out, int64_t high, int64_t wide) {
    SUF(near_spread)(1, z, g, w, bias, out, high, wide);
}

static void SUF(near_spread_plan)(SUF(Near) *z, int odd, int64_t wide) {
    z->blocks = (z->gw + LANES - 1) / LANES;
    for (int64_t b = 0; b < z->blocks; b++) {
        int64_t q = b * LANES, x = 2 * q - z->left, next = q + (odd ? 1 : -1);
        z->m[b][0] = VF(between)(0, z->w - q);
        z->m[b][1] = VF(between)(-next, z->w - next);
        z->m[b][2] = VF(between)(-x, wide - x);
        z->m[b][3] = VF(between)(-x - LANES, wide - x - LANES);
    }
}

/* gw[3i + k] = sum of g times the windows of tap (i, k) */
RT_INLINE void SUF(near_dots)(int step, const SUF(Near) *z, const T *g, const T *x, T *gw) {
    V acc[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) acc[k] = (V){0};
    for (int64_t b = 0; b < z->blocks; b++) {
        const NEAR_LANES *m = z->m[b];
        const T *from = x + step * b * LANES - z->left - z->top * z->w, *gp = g + b * LANES;
        if (step == 1) {                  /* three rows of g stay in registers while the rows of x pass */
            V g1 = {0}, g2 = {0};
            for (int64_t r = 0; r < z->gh + 2; r++, from += z->w, gp += z->gw) {
                V g0 = {0}, v[3];
                if (r < z->gh) g0 = VF(load_lanes)(gp, m[4]);
                if ((uint64_t)(r - z->top) < (uint64_t)z->h) {
                    SUF(near_three)(1, from, m, v);
#pragma GCC unroll 3
                    for (int k = 0; k < 3; k++) {
                        acc[k] = VF(fma)(g0, v[k], acc[k]);
                        acc[3 + k] = VF(fma)(g1, v[k], acc[3 + k]);
                        acc[6 + k] = VF(fma)(g2, v[k], acc[6 + k]);
                    }
                }
                g2 = g1;
                g1 = g0;
            }
        } else {                          /* the last row of a window is the next one's first */
            V last[3] = {{0}};
            if (z->top == 0) SUF(near_three)(2, from, m, last);
            for (int64_t a = 0; a < z->gh; a++, from += 2 * z->w, gp += z->gw) {
                V v = VF(load_lanes)(gp, m[4]), next[3] = {{0}}, end[3] = {{0}};
                int64_t row = 2 * a - z->top;
                if ((uint64_t)(row + 1) < (uint64_t)z->h) SUF(near_three)(2, from + z->w, m, next);
                if ((uint64_t)(row + 2) < (uint64_t)z->h) SUF(near_three)(2, from + 2 * z->w, m, end);
#pragma GCC unroll 3
                for (int k = 0; k < 3; k++) {
                    acc[k] = VF(fma)(v, last[k], acc[k]);
                    acc[3 + k] = VF(fma)(v, next[k], acc[3 + k]);
                    acc[6 + k] = VF(fma)(v, end[k], acc[6 + k]);
                    last[k] = end[k];
                }
            }
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) gw[k] = VF(sum)(acc[k]);
}
static __attribute__((noinline)) void SUF(near_dots_1)(const SUF(Near) *z, const T *g, const T *x, T *gw) { SUF(near_dots)(1, z, g, x, gw); }
static __attribute__((noinline)) void SUF(near_dots_2)(const SUF(Near) *z, const T *g, const T *x, T *gw) { SUF(near_dots)(2, z, g, x, gw); }

/* mode 0: y of x; 1: gx of g. w: nine of each channel; bias (of channels) and scale (Note [Epilogue]) may be NULL. */
static void SUF(run_near)(const RtConvGeom *c, int mode, const T *from, const T *w, const T *bias, T *to, int threads) {
    int64_t planes = c->batch * c->groups, s = c->stride[2], x_plane = c->in[1] * c->in[2], y_plane = c->out[1] * c->out[2];
    int spread = mode && s == 2;
    SUF(Near) z = {.h = mode ? c->out[1] : c->in[1], .w = mode ? c->out[2] : c->in[2], .gh = mode ? c->in[1] : c->out[1], .gw = mode ? c->in[2] : c->out[2],
                   .top = mode && !spread ? 2 - c->pad[1] : c->pad[1], .left = mode && !spread ? 2 - c->pad[2] : c->pad[2], .step = mode ? 1 : s};
    if (spread) {
        z.gh = (c->in[1] + c->pad[1] + 1) / 2;
        z.left = c->pad[2] & ~1;
        z.gw = (c->in[2] + z.left + 1) / 2;
        SUF(near_spread_plan)(&z, c->pad[2] & 1, c->in[2]);
    } else SUF(near_plan)(&z);
    if ((double)planes * (mode ? x_plane : y_plane) * 13 < 1e6) threads = 1;
    if (threads > planes) threads = planes ? (int)planes : 1;
    const T *scale = mode ? NULL : c->scale;
    int cut = !mode && c->cut;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < planes; i++) {
        int64_t channel = i % c->groups;
        T own[9], add = bias ? bias[channel] : 0;
        for (int k = 0; k < 9; k++) own[k] = w[9 * channel + (mode && !spread ? 8 - k : k)] * (scale ? scale[channel] : 1);
        const T *src = from + i * (mode ? y_plane : x_plane);
        T *dst = to + i * (mode ? x_plane : y_plane);
        if (spread) (c->pad[2] & 1 ? SUF(near_spread_1) : SUF(near_spread_0))(&z, src, own, add, dst, c->in[1], c->in[2]);
        else SUF(near_plane)(&z, src, own, add, cut, dst);
    }
}

static void SUF(near_total)(const RtConvGeom *c, const T *parts, T *gw) {
    int64_t each = c->groups * 9;
    for (int64_t i = 0; i < each; i++) {
        double total = 0;
        for (int64_t n = 0; n < c->batch; n++) total += parts[n * each + i];
        gw[i] = (T)total;
    }
}

/* Each image's gradient is made apart and the images are added in order: the same bits on any number of threads. */
static int SUF(dweight_near)(const RtConvGeom *c, const T *g, const T *x, T *gw, int threads) {
    int64_t planes = c->batch * c->groups, x_plane = c->in[1] * c->in[2], y_plane = c->out[1] * c->out[2];
    SUF(Near) z = {.h = c->in[1], .w = c->in[2], .gh = c->out[1], .gw = c->out[2], .top = c->pad[1], .left = c->pad[2], .step = c->stride[2]};
    SUF(near_plan)(&z);
    T *parts = malloc((size_t)(planes * 9 + 1) * sizeof(T));
    if (!parts) return 1;
    if ((double)planes * y_plane * 13 < 1e6) threads = 1;
    if (threads > planes) threads = planes ? (int)planes : 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < planes; i++)
        (z.step == 1 ? SUF(near_dots_1) : SUF(near_dots_2))(&z, g + i * y_plane, x + i * x_plane, parts + 9 * i);
    SUF(near_total)(c, parts, gw);
    free(parts);
    return 0;
}
/* Note [Near, both gradients]
 * The windows of g that make a row of the input's gradient are, times x, the summands of the weights' gradient: with stride 1 one pass over both planes
 * makes both, in strips of rows. Three rows of each are under way, which wants more registers than sixteen. */
#if RT_VEC == 64 && defined(__AVX512F__)
#define NEAR_BOTH 1
/* Row r of g; first, second, third: the rows of x that it is the window's first, second and third row of exist. */
RT_INLINE void SUF(near_both_row)(int first, int second, int third, const T *g, const NEAR_LANES *m, const V *wv, const V *x, V *sum, V *acc) {
    V v[3];
    SUF(near_three)(1, g, m, v);
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++)
        if (i == 0 ? first : i == 1 ? second : third)
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) {
                sum[i] = VF(fma)(wv[3 * i + k], v[k], sum[i]);
                acc[3 * i + k] = VF(fma_lanes)(x[i], v[k], acc[3 * i + k], m[k]);       /* what is outside of g meets no x */
            }
}

/* z: as of the gradient of the input (h x w of g, gh x gw of x); w: turned; gw: turned back. */
static __attribute__((noinline)) void SUF(near_both)(const SUF(Near) *z, const T *g, const T *x, const T *w, T *gx, T *gw) {
    enum { HIGH = 16 };                                      /* rows that stay in the first cache while blocks pass */
    V wv[9], acc[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) { wv[k] = VF(set)(w[k]); acc[k] = (V){0}; }
    for (int64_t top = 0, end; top < z->gh; top = end) {
        end = z->gh - top < HIGH + HIGH / 2 ? z->gh : top + HIGH;
        for (int64_t b = 0; b < z->blocks; b++) {
            const NEAR_LANES m[3] = {z->m[b][0], z->m[b][1], z->m[b][2]}, keep = z->m[b][4];
            V xs[3] = {{0}}, sum[3] = {{0}};                 /* of rows a, a - 1, a - 2 */
            const T *from = g + (top - z->top) * z->w + b * LANES - z->left, *xp = x + top * z->gw + b * LANES;
            T *to = gx + (top - 2) * z->gw + b * LANES;
            for (int64_t a = top; a < end + 2; a++, from += z->w, xp += z->gw, to += z->gw) {
                xs[2] = xs[1]; xs[1] = xs[0];
                sum[2] = sum[1]; sum[1] = sum[0];
                xs[0] = sum[0] = (V){0};
                if (a - top >= 2 && a < end && (uint64_t)(a - z->top) < (uint64_t)z->h) {
                    xs[0] = VF(load_lanes)(xp, keep);
                    SUF(near_both_row)(1, 1, 1, from, m, wv, xs, sum, acc);
                } else {
                    if (a < end) xs[0] = VF(load_lanes)(xp, keep);
                    if ((uint64_t)(a - z->top) < (uint64_t)z->h)
                        SUF(near_both_row)(a < end, a > top && a - 1 < end, a - top >= 2, from, m, wv, xs, sum, acc);
                }
                if (a - top >= 2) VF(store_lanes)(to, sum[2], keep);
            }
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) gw[8 - k] = VF(sum)(acc[k]);
}
#endif

/* Both gradients; 2: not of this shape, or not here. */
static int SUF(run_near_both)(const RtConvGeom *c, const T *g, const T *x, const T *w, T *gx, T *gw, int threads) {
#ifdef NEAR_BOTH
    int64_t planes = c->batch * c->groups, x_plane = c->in[1] * c->in[2], y_plane = c->out[1] * c->out[2];
    if (!SUF(is_near)(c) || c->stride[2] != 1) return 2;
    SUF(Near) z = {.h = c->out[1], .w = c->out[2], .gh = c->in[1], .gw = c->in[2], .top = 2 - c->pad[1], .left = 2 - c->pad[2], .step = 1};
    SUF(near_plan)(&z);
    T *parts = malloc((size_t)(planes * 9 + 1) * sizeof(T));
    if (!parts) return 1;
    threads = rt_few((double)planes * x_plane * 26, 5e5, threads, planes);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < planes; i++) {
        T turned[9];
        for (int k = 0; k < 9; k++) turned[k] = w[9 * (i % c->groups) + 8 - k];
        SUF(near_both)(&z, g + i * y_plane, x + i * x_plane, turned, gx + i * x_plane, parts + 9 * i);
    }
    SUF(near_total)(c, parts, gw);
    free(parts);
    return 0;
#else
    (void)c; (void)g; (void)x; (void)w; (void)gx; (void)gw; (void)threads;
    return 2;
#endif
}
#undef NEAR_BOTH
#undef NEAR_BLOCKS
#undef NEAR_LANES
