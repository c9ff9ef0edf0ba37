/* 3 x 3 and 5 x 5 convolutions of stride 1 by Winograd's minimal filtering: part of conv.inc.c, float32 only.
 *
 * Note [Winograd]
 * F(4x4, 3x3): a tile of 4 x 4 results comes from 6 x 6 positions by 36 products a channel where the definition takes 144. With
 * x the 6 x 6 patch, w the filter and y the tile, y = A'[(G w G') * (B' x B)]A summed over channels, so that between the
 * transforms there are 36 matrix products (tiles x channels) by (channels x channels), which run on the tiles of conv_last_t.h.
 * The gradient of the input is the same with the filter turned around; that of the weights is G'[(B' x B) * (A g A')]G summed over
 * tiles. Points: 0, +-5/8, +-5/4 and infinity, all exact; with them the largest error is 2e-6 of the largest result with 64
 * channels, 3e-6 with 256, where the plain sums have 1e-6 and 5e-7 (with the usual 0, +-1, +-2 it is three times larger: B. Barabasz
 * et al., Error analysis and improving the accuracy of Winograd convolution for deep neural networks, ACM TOMS 46 (2020)); tests/tensor/test_winograd.py states bounds.
 * 5 x 5 kernels have F(2x4, 5x5): 48 products for 200, six points down and eight across (0, +-1/2, +-1, +-2, infinity). Channels are
 * summed apart by at most 24 (up to 39 in one): the errors' root mean square is 1.4e-6 of the results', up to eight times the plain sums'.
 * F(2x2, 5x5) has 1e-6 and 36 products for 100, F(4x4, 5x5) 2.9e-6 and 64 for 400. Sources: S. Winograd, Arithmetic
 * complexity of computations (1980); A. Lavin and S. Gray, Fast algorithms for convolutional neural networks (2016).
 *
 * Note [Few tiles]
 * The transformed weights are four times the weights, so few tiles do not pay for making them. Where nothing is recorded they are kept
 * (kept.h), and 3 x 3 kernels go this way from four tiles on: an image of a small net. Whether they are kept does not change results, so a
 * call that has to make them goes the same way. Their blocks are two vectors of channels: threads that have few tiles share out the blocks. */

#define WINO_P 48                         /* most points of a patch */
#define WINO_TAPS 25

typedef struct {
    int r, high, across_n;                /* the kernel is r x r, a tile high x 4 results, its patch 6 x across_n positions */
    int few;                              /* Note [Few tiles] */
    int64_t points;                       /* 6 * across_n */
    int64_t batch, groups, m, cin;        /* m, cin: result and summed channels of a group */
    int64_t h, w, sh, sw, top, left;      /* results; source; result (r, c) reads source (r - top + i, c - left + j) */
    int64_t across, down;                 /* tiles of an image */
    int64_t rows, strips, per;            /* tile rows of a strip, strips of an image, strips of a task */
    int64_t cpad, mpad, tiles;            /* channels in whole vectors; most tiles of a task */
    int64_t vplane, mplane;               /* from point to point of transformed patches and of products */
    const float *scale;                   /* Note [Epilogue] in conv_t.h: of groups x m, or NULL; taken in with the results */
    int cut;
    const float *packed;                  /* all groups' transformed weights, or NULL */
} Wino;
#define WINO_WIDE 4                       /* columns of a tile */

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
#undef S
#undef FMA

/* Vectors of the block of channels that begins at vector v. */
RT_INLINE int wino_block(const Wino *z, int64_t v, int64_t vectors) {
    int nv = last_vectors_f32(v, vectors);
    return z->few && nv > 2 ? 2 : nv;
}

/* Transformed weights of one group: [p][block of channels][c][channel of the block] */
static void wino_weights(const Wino *z, const float *w, const int64_t *ws, int turned, float *restrict to, int threads) {
    enum { L = RT_LANES_F32 };
    int64_t vectors = z->mpad / L, wide = z->few ? 2 : last_vectors_f32(0, 4);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t v = 0; v < vectors; v++) {
        int64_t first = v / wide * wide, nv;
        while (first + (nv = wino_block(z, first, vectors)) <= v) first += nv;
        int64_t m0 = v * L, count = z->m - m0 < L ? z->m - m0 : L;
        for (int64_t c = 0; c < z->cin; c++) {
            float s[WINO_TAPS][L] __attribute__((aligned(64)));
            rt_vf g[WINO_TAPS], half[30], u[WINO_P];
            int r = z->r, taps = r * r, n = z->across_n;
            for (int t = 0; t < taps; t++) {
                const float *src = w + m0 * ws[0] + c * ws[1] + (turned ? taps - 1 - t : t) * ws[2];
                for (int i = 0; i < L; i++) s[t][i] = i < count ? src[i * ws[0]] : 0;
                g[t] = rt_vf_load(s[t]);
            }
            for (int j = 0; j < r; j++) wino_up(6, r, 1, g + j, r, half + j, r);
            for (int i = 0; i < 6; i++) wino_up(n, r, 1, half + r * i, 1, u + n * i, 1);
            for (int p = 0; p < z->points; p++)
                rt_vf_store(to + p * z->cin * z->mpad + first * L * z->cin + c * nv * L + (v - first) * L, u[p]);
        }
    }
}

/* Patches of `count` tiles of one row, from a padded row of the source (pitch elements a row, cin a pixel), to to[p][tile][channel] */
RT_INLINE void wino_patches(int n, const Wino *z, const float *restrict x, int64_t pitch, int64_t count, float *restrict to) {
    for (int64_t t = 0; t < count; t++, x += WINO_WIDE * z->cin, to += z->cpad)
        for (int64_t c = 0; c < z->cin; c += RT_LANES_F32) {
            rt_vf half[WINO_P], v[8];
#pragma GCC unroll 8
            for (int j = 0; j < n; j++) {
                rt_vf d[6];
#pragma GCC unroll 6
                for (int i = 0; i < 6; i++) d[i] = rt_vf_load(x + i * pitch + j * z->cin + c);
                wino_bt(6, d, 1, half + j, n);
            }
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++) {
                wino_bt(n, half + n * i, 1, v, 1);
#pragma GCC unroll 8
                for (int j = 0; j < n; j++) rt_vf_store(to + (n * i + j) * z->vplane + c, v[j]);
            }
        }
}
static __attribute__((noinline)) void wino_patches_3(const Wino *z, const float *x, int64_t pitch, int64_t count, float *to) { wino_patches(6, z, x, pitch, count, to); }
static __attribute__((noinline)) void wino_patches_5(const Wino *z, const float *x, int64_t pitch, int64_t count, float *to) { wino_patches(8, z, x, pitch, count, to); }

/* A tile of results of one vector of channels: [p][...] with `plane` from p to p, times factor plus bias, to y, of which `high` rows and `wide`
 * columns exist. */
RT_INLINE void wino_results(int n, int m, const float *d0, int64_t plane, rt_vf factor, rt_vf bias, int cut, float *y, int64_t row, int64_t pixel, int64_t high, int64_t wide) {
    rt_vf half[24], res[WINO_WIDE];
#pragma GCC unroll 8
    for (int j = 0; j < n; j++) {
        rt_vf d[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++) d[i] = rt_vf_load(d0 + (n * i + j) * plane);
        wino_down(6, m, 0, d, 1, half + j, n);
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        wino_down(n, WINO_WIDE, 0, half + n * i, 1, res, 1);
#pragma GCC unroll 4
        for (int j = 0; j < WINO_WIDE; j++)
            if (i < high && j < wide) {
                rt_vf v = rt_vf_fma(res[j], factor, bias);
                rt_vf_store(y + i * row + j * pixel, cut ? rt_vf_positive(v) : v);
            }
    }
}
#define RESULTS(r, n, m)                                                                                                                    \
    static __attribute__((noinline)) void wino_results_##r(const float *d, int64_t plane, rt_vf factor, rt_vf bias, int cut, float *y, int64_t row, int64_t pixel, \
                                                          int64_t high, int64_t wide) {                                                     \
        if (high == m && wide == WINO_WIDE) wino_results(n, m, d, plane, factor, bias, cut, y, row, pixel, m, WINO_WIDE);                           \
        else wino_results(n, m, d, plane, factor, bias, cut, y, row, pixel, high, wide);                                                            \
    }
RESULTS(3, 6, 4)
RESULTS(5, 8, 2)
#undef RESULTS

/* A tile of the result's gradient, from g with `row` from row to row and `pixel` from pixel to pixel, to to[p] with `plane` from p to p */
RT_INLINE void wino_gradient(int n, int m, const float *g, int64_t row, int64_t pixel, float *to, int64_t plane) {
    rt_vf d[16], half[24], o[8];
#pragma GCC unroll 16
    for (int i = 0; i < m * WINO_WIDE; i++) d[i] = rt_vf_load(g + i / WINO_WIDE * row + i % WINO_WIDE * pixel);
#pragma GCC unroll 4
    for (int j = 0; j < WINO_WIDE; j++) wino_up(6, m, 0, d + j, WINO_WIDE, half + j, WINO_WIDE);
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) {
        wino_up(n, WINO_WIDE, 0, half + WINO_WIDE * i, 1, o, 1);
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) rt_vf_store(to + (n * i + j) * plane, o[j]);
    }
}
static __attribute__((noinline)) void wino_gradient_3(const float *g, int64_t row, int64_t pixel, float *to, int64_t plane) { wino_gradient(6, 4, g, row, pixel, to, plane); }
static __attribute__((noinline)) void wino_gradient_5(const float *g, int64_t row, int64_t pixel, float *to, int64_t plane) { wino_gradient(8, 2, g, row, pixel, to, plane); }

/* From point to point: an odd number of lines, so that the points of a place in their planes lie in different sets of the first cache */
static int64_t wino_plane(int64_t n) { return ((n + 15) / 16 | 1) * 16; }

/* How images are cut into tasks: about `bytes` of transformed tiles, all from whole tile rows. */
static void wino_plan(Wino *z, int64_t bytes, int threads) {
    enum { L = RT_LANES_F32 };
    z->high = z->r == 3 ? 4 : 2;
    z->across_n = z->r + WINO_WIDE - 1;
    z->points = 6 * z->across_n;
    z->cpad = (z->cin + L - 1) / L * L;
    z->mpad = (z->m + L - 1) / L * L;
    z->across = (z->w + WINO_WIDE - 1) / WINO_WIDE;
    z->down = (z->h + z->high - 1) / z->high;
    int64_t most = bytes / (z->points * 4 * (z->cpad + z->mpad)), all = z->across * z->down * z->batch * z->groups;
    int64_t each = z->few ? (all + threads - 1) / threads : (all + 2 * threads - 1) / (2 * threads);
    if (most < 24) most = 24;
    if (most > 96) most = 96;
    if (most > each) most = each;
    z->rows = most / z->across;
    if (z->rows < 1) z->rows = 1;
    if (z->rows > z->down) z->rows = z->down;
    z->strips = (z->down + z->rows - 1) / z->rows;
    z->rows = (z->down + z->strips - 1) / z->strips;
    z->per = z->strips > 1 ? 1 : most / (z->across * z->down);
    if (z->per < 1) z->per = 1;
    if (z->per > z->batch) z->per = z->batch;
    z->tiles = z->per * z->rows * z->across;
    z->vplane = wino_plane(z->tiles * z->cpad);
    z->mplane = wino_plane(z->tiles * z->mpad);
}

/* The padded rows of a strip: the buffer of conv_last_t.h */
static void wino_pad(const Wino *z, const float *x, RtOrder from, int64_t strip, float *to) {
    Last_f32 l = {.lo = {0, -z->top, -z->left}, .plane = {1, z->high * z->rows + z->r - 1, WINO_WIDE * z->across + z->r - 1}};
    Job_f32 j = {.cin = z->cin, .in = {1, z->sh, z->sw}, .step = {1, 1, 1}};
    last_pad_f32(&l, &j, x, from, 0, strip * z->rows * z->high, to);
}

static int64_t wino_pad_size(const Wino *z) {
    return ((z->high * z->rows + z->r - 1) * (WINO_WIDE * z->across + z->r - 1) * z->cin + 2 * RT_LANES_F32 - 1) / RT_LANES_F32 * RT_LANES_F32;
}

/* Transformed patches of strips [s0, s1) of group g; returns the number of tiles. */
static int64_t wino_inputs(const Wino *z, const float *x, RtOrder from, int64_t g, int64_t s0, int64_t s1, float *buf, float *v) {
    int64_t pitch = (WINO_WIDE * z->across + z->r - 1) * z->cin, tiles = 0;
    for (int64_t s = s0; s < s1; s++) {
        int64_t n = s / z->strips, strip = s % z->strips, rows = z->down - strip * z->rows;
        if (rows > z->rows) rows = z->rows;
        wino_pad(z, x + n * from.image + g * z->cin * from.channel, from, strip, buf);
        for (int64_t r = 0; r < rows; r++, tiles += z->across)
            (z->r == 3 ? wino_patches_3 : wino_patches_5)(z, buf + z->high * r * pitch, pitch, z->across, v + tiles * z->cpad);
    }
    return tiles;
}

static const int64_t wino_zero[1] = {0};

/* Forward, or with turned weights the gradient of the input. `to`: order of the result. */
static int wino_run(Wino *z, const float *x, RtOrder from, const float *w, const int64_t *ws, int turned, const float *bias, float *y, RtOrder to, int threads) {
    enum { L = RT_LANES_F32 };
    threads = rt_few((double)z->batch * z->groups * z->m * z->cin * z->h * z->w * 4, GRAIN_MACS, threads, threads);
    int64_t vectors = (z->m + L - 1) / L, shares = 1, starts[3] = {0, vectors, vectors};       /* of the result channels: vectors at which they begin */
    if (z->few && threads > 1 && vectors > 2 && z->batch * z->groups * ((z->h + 3) / 4) * ((z->w + 3) / 4) < 8 * threads) {
        shares = 2;
        starts[1] = (vectors / 2 + 1) / 2 * 2;
    }
    wino_plan(z, 320 << 10, (int)(threads / shares));
    int64_t steps = (z->batch * z->strips + z->per - 1) / z->per, tasks = steps * z->groups * shares, usize = z->points * z->cin * z->mpad;
    int64_t psize = wino_pad_size(z), vsize = z->points * z->vplane, msize = z->points * z->mplane;
    int direct = to.channel == 1 && z->m % L == 0;
    int64_t size = z->high, rowlen = WINO_WIDE * z->across * z->mpad, ysize = direct ? 0 : size * rowlen;
    if (threads > tasks) threads = (int)tasks;
    int64_t room = (psize + vsize + msize + ysize + z->mpad + 1023) / 1024 * 1024 + L;
    float *base = buffer_f32(2 * z->groups * z->mpad + L + threads * room + (z->packed ? 0 : z->groups * usize)), *factor = base + z->groups * z->mpad;
    float *rooms = factor + z->groups * z->mpad + L;
    const float *u = z->packed ? z->packed : rooms + threads * room;
    if (!base) return 1;
    for (int64_t g = 0; g < z->groups; g++) {
        if (!z->packed) wino_weights(z, w + g * ws[3], ws, turned, rooms + threads * room + g * usize, threads);
        for (int64_t m = 0; m < z->mpad; m++) {
            base[g * z->mpad + m] = bias && m < z->m ? bias[g * z->m + m] : 0;
            factor[g * z->mpad + m] = z->scale && m < z->m ? z->scale[g * z->m + m] : 1;
        }
    }
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *buf = rooms + RT_ME * room, *v = buf + psize, *mm = v + vsize, *out = mm + msize, *none = out + ysize;
        memset(buf, 0, (size_t)psize * sizeof(float));
        memset(none, 0, (size_t)z->mpad * sizeof(float));
        RT_OMP(omp for schedule(dynamic) nowait)
        for (int64_t task = 0; task < tasks; task++) {
            int64_t share = task % shares, g = task / shares % z->groups, s0 = task / shares / z->groups * z->per, s1 = s0 + z->per;
            int64_t v0 = starts[share], v1 = starts[share + 1], m0 = v0 * L, m1 = v1 * L < z->m ? v1 * L : z->m;
            if (s1 > z->batch * z->strips) s1 = z->batch * z->strips;
            int64_t tiles = wino_inputs(z, x, from, g, s0, s1, buf, v);
            for (int p = 0; p < z->points; p++) {
                const float *up = u + g * usize + p * z->cin * z->mpad, *vp = v + p * z->vplane;
                float *mp = mm + p * z->mplane;
                int nv;
                for (int64_t q = v0; q < v1; q += nv) {
                    nv = wino_block(z, q, vectors);
                    int64_t width = nv * L, most = 18432 / (width * 4), parts = (z->cin + most - 1) / most, part;
                    if (z->r == 5 && parts < (z->cin + 15) / 24) parts = (z->cin + 15) / 24;       /* sums apart: eight points' errors want it */
                    part = (z->cin + parts - 1) / parts;
                    for (int64_t k = 0; k < z->cin; k += part) {
                        int64_t len = z->cin - k < part ? z->cin - k : part;
                        for (int64_t i = 0, mr; i < tiles; i += mr) {
                            mr = last_next_f32(tiles - i, last_high_f32(nv));
                            last_tiles_f32[nv - 1][mr - 1](1, len, wino_zero, vp + i * z->cpad + k, z->cpad, 1, up + q * L * z->cin + k * width, width,
                                                          k ? NULL : none, mp + i * z->mpad + q * L, z->mpad, 0);
                        }
                    }
                }
            }
            int64_t tile = 0;
            for (int64_t s = s0; s < s1; s++) {
                int64_t n = s / z->strips, r0 = s % z->strips * z->rows, r1 = r0 + z->rows < z->down ? r0 + z->rows : z->down;
                float *yn = y + n * to.image + g * z->m * to.channel;
                for (int64_t r = r0; r < r1; r++) {
                    int64_t high = z->h - size * r < size ? z->h - size * r : size;
                    for (int64_t t = 0; t < z->across; t++, tile++) {
                        int64_t wide = z->w - WINO_WIDE * t < WINO_WIDE ? z->w - WINO_WIDE * t : WINO_WIDE;
                        for (int64_t q = m0; q < v1 * L; q += L) {
                            rt_vf times = rt_vf_load(factor + g * z->mpad + q), add = rt_vf_load(base + g * z->mpad + q);
                            const float *from_p = mm + tile * z->mpad + q;
                            float *dst = direct ? yn + (size * r * z->w + WINO_WIDE * t) * to.pixel + q : out + WINO_WIDE * t * z->mpad + q;
                            int64_t pixel = direct ? to.pixel : z->mpad, row = direct ? z->w * to.pixel : rowlen;
                            (z->r == 3 ? wino_results_3 : wino_results_5)(from_p, z->mplane, times, add, z->cut, dst, row, pixel, direct ? high : size, direct ? wide : WINO_WIDE);
                        }
                    }
                    if (!direct)
                        for (int64_t i = 0; i < high; i++)
                            last_out_f32(out + i * rowlen + m0, z->mpad, z->w, m1 - m0, yn + (size * r + i) * z->w * to.pixel + m0 * to.channel, to.pixel, to.channel);
                }
            }
        }
    }
    free(base);
    return 0;
}

static int64_t wino_tiles(const RtConvGeom *c) {
    int64_t t = c->kernel[2] == 3 ? 4 : 2;
    return c->batch * ((c->out[1] + t - 1) / t) * ((c->out[2] + WINO_WIDE - 1) / WINO_WIDE) * (t == 4 ? 1 : 2);
}
static int has_few_tiles(const RtConvGeom *c) { return wino_tiles(c) < 48 + c->cin * c->cout / 512; }

/* Shapes that gain: enough channels for the products to outweigh the transforms, enough tiles for those of the weights or a form of these that is
 * kept, unless it would be read from far away for next to no tiles. */
static int is_wino(const RtConvGeom *c, int mode, int orders) {
    int64_t r = c->kernel[2], channels = c->cin * c->cout;
    if (!(orders & RT_FAST) || c->kernel[0] != 1 || (r != 3 && r != 5) || c->kernel[1] != r || c->in[0] != 1 || c->pad[0]) return 0;
    for (int d = 0; d < 3; d++) if (c->stride[d] != 1 || c->dilation[d] != 1 || c->pad[d] > r - 1) return 0;
    if (c->cin < 16 || c->cout < 16 || c->out[1] < 6 || c->out[2] < 6) return 0;
    if (mode == 2) return wino_tiles(c) >= 128 && channels <= 128 * 128;
    return !has_few_tiles(c) || (mode == 0 && r == 3 && orders & RT_LIGHT && channels <= 64 * 128);
}

static Wino wino_of(const RtConvGeom *c) {
    return (Wino){.r = (int)c->kernel[2], .few = has_few_tiles(c), .batch = c->batch, .groups = c->groups, .m = c->cout, .cin = c->cin, .h = c->out[1], .w = c->out[2],
                  .sh = c->in[1], .sw = c->in[2], .top = c->pad[1], .left = c->pad[2], .scale = c->scale, .cut = (int)c->cut, .packed = c->packed};
}

static int wino_forward(const RtConvGeom *c, const float *x, const float *w, const float *b, float *y, int orders, int threads) {
    Wino z = wino_of(c);
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    return wino_run(&z, x, order(c->groups * c->cin, z.sh * z.sw, orders & RT_LAST_X), w, ws, 0, b, y,
                    order(c->groups * c->cout, z.h * z.w, orders & RT_LAST_Y), threads);
}

/* The form of the weights that stays from call to call: that of wino_weights(), all groups. */
static int64_t wino_kept(const RtConvGeom *c, int orders, int64_t *which) {
    enum { L = RT_LANES_F32 };
    *which = has_few_tiles(c);
    return orders & RT_LIGHT && is_wino(c, 0, orders) ? c->groups * 6 * (c->kernel[2] + WINO_WIDE - 1) * c->cin * ((c->cout + L - 1) / L * L) : 0;
}
static void wino_keep(const RtConvGeom *c, const float *w, int orders, float *to, int threads) {
    Wino z = wino_of(c);
    int64_t ws[4], which, size = wino_kept(c, orders, &which) / c->groups;
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    wino_plan(&z, 320 << 10, 1);
    for (int64_t g = 0; g < c->groups; g++) wino_weights(&z, w + g * ws[3], ws, 0, to + g * size, threads);
}

static int wino_dinput(const RtConvGeom *c, const float *g, const float *w, const float *b, float *gx, int orders, int threads) {
    Wino z = {.r = (int)c->kernel[2], .batch = c->batch, .groups = c->groups, .m = c->cin, .cin = c->cout, .h = c->in[1], .w = c->in[2], .sh = c->out[1], .sw = c->out[2],
              .top = c->kernel[1] - 1 - c->pad[1], .left = c->kernel[2] - 1 - c->pad[2]};
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 0, ws);
    return wino_run(&z, g, order(c->groups * c->cout, z.sh * z.sw, orders & RT_LAST_Y), w, ws, 1, b, gx,
                    order(c->groups * c->cin, z.h * z.w, orders & RT_LAST_X), threads);
}

/* Parts of the tasks add into arrays of their own, which are added in order: the same bits on any number of threads. */
static int wino_dweight(const RtConvGeom *c, const float *g, const float *x, float *gw, int orders, int threads) {
    enum { L = RT_LANES_F32, MOST = 4 };
    Wino z = {.r = (int)c->kernel[2], .batch = c->batch, .groups = c->groups, .m = c->cout, .cin = c->cin, .h = c->out[1], .w = c->out[2], .sh = c->in[1], .sw = c->in[2],
              .top = c->pad[1], .left = c->pad[2]};
    int64_t ws[4], pixels = z.h * z.w;
    RtOrder from = order(c->groups * c->cin, z.sh * z.sw, orders & RT_LAST_X), up = order(c->groups * c->cout, pixels, orders & RT_LAST_Y);
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    threads = rt_few((double)z.batch * z.groups * z.m * z.cin * pixels * 4, GRAIN_MACS, threads, threads);
    wino_plan(&z, 480 << 10, MOST);                 /* the cut is the same for all numbers of threads */
    int64_t steps = (z.batch * z.strips + z.per - 1) / z.per, parts = steps < MOST ? steps : MOST, tasks = parts * z.groups;
    int64_t psize = wino_pad_size(&z), vsize = z.points * z.vplane, msize = z.points * z.mplane;
    int64_t size = z.high, grow = WINO_WIDE * z.across * z.mpad, gsize = size * grow, each = z.points * z.cin * z.mpad, wsize = z.groups * each;
    float *sums = calloc((size_t)(parts * wsize), sizeof(float));
    int failed = !sums;
    if (threads > tasks) threads = (int)tasks;
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *buf = buffer_f32(psize + vsize + msize + gsize), *v = buf + psize, *mm = v + vsize, *gb = mm + msize;
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            memset(buf, 0, (size_t)psize * sizeof(float));
            EACH(task) {
                int64_t group = task % z.groups, part = task / z.groups;
                float *acc = sums + part * wsize + group * each;
                for (int64_t step = steps * part / parts; step < steps * (part + 1) / parts; step++) {
                    int64_t s0 = step * z.per, s1 = s0 + z.per < z.batch * z.strips ? s0 + z.per : z.batch * z.strips;
                    int64_t tiles = wino_inputs(&z, x, from, group, s0, s1, buf, v), tile = 0;
                    for (int64_t s = s0; s < s1; s++) {
                        int64_t n = s / z.strips, r0 = s % z.strips * z.rows, r1 = r0 + z.rows < z.down ? r0 + z.rows : z.down;
                        const float *gn = g + n * up.image + group * z.m * up.channel;
                        for (int64_t r = r0; r < r1; r++) {
                            int64_t high = z.h - size * r < size ? z.h - size * r : size;
                            memset(gb, 0, (size_t)gsize * sizeof(float));
                            for (int64_t i = 0; i < high; i++) {
                                const float *src = gn + (size * r + i) * z.w * up.pixel;
                                if (up.channel == 1) for (int64_t k = 0; k < z.w; k++) memcpy(gb + i * grow + k * z.mpad, src + k * up.pixel, (size_t)z.m * sizeof(float));
                                else last_turn_f32(gb + i * grow, z.mpad, src, up.channel, z.w, z.m);
                            }
                            for (int64_t t = 0; t < z.across; t++, tile++)
                                for (int64_t q = 0; q < z.mpad; q += L)
                                    (z.r == 3 ? wino_gradient_3 : wino_gradient_5)(gb + WINO_WIDE * t * z.mpad + q, grow, z.mpad, mm + tile * z.mpad + q, z.mplane);
                        }
                    }
                    for (int p = 0; p < z.points; p++) {
                        int nv;
                        for (int64_t m0 = 0; m0 < z.mpad; m0 += nv * L) {
                            nv = last_vectors_f32(m0 / L, z.mpad / L);
                            for (int64_t i = 0, mr; i < z.cin; i += mr) {
                                mr = last_next_f32(z.cin - i, last_high_f32(nv));
                                last_tiles_f32[nv - 1][mr - 1](1, tiles, wino_zero, v + p * z.vplane + i, 1, z.cpad, mm + p * z.mplane + m0, z.mpad, NULL,
                                                              acc + (p * z.cin + i) * z.mpad + m0, z.mpad, 0);
                            }
                        }
                    }
                }
            }
        }
        free(buf);
    }
    if (!failed) {
        threads = rt_few((double)parts * wsize, 32768, threads, z.groups * z.cin);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t row = 0; row < z.groups * z.cin; row++) {
            int64_t group = row / z.cin, i = row % z.cin;
            for (int64_t q = 0; q < z.mpad; q += L) {
                rt_vf half[40], u[6], o[WINO_TAPS];
                float s[WINO_TAPS][L];
                int kernel = z.r, taps = kernel * kernel, n = z.across_n;
                for (int j = 0; j < n; j++) {
                    for (int k = 0; k < 6; k++) {
                        const float *at = sums + group * each + ((n * k + j) * z.cin + i) * z.mpad + q;
                        u[k] = rt_vf_load(at);
                        for (int64_t part = 1; part < parts; part++) u[k] += rt_vf_load(at + part * wsize);
                    }
                    wino_down(6, kernel, 1, u, 1, half + j, n);
                }
                for (int k = 0; k < kernel; k++) wino_down(n, kernel, 1, half + n * k, 1, o + kernel * k, 1);
                for (int t = 0; t < taps; t++) rt_vf_store(s[t], o[t]);
                int64_t count = z.m - q < L ? z.m - q : L;
                for (int64_t m = 0; m < count; m++)
                    for (int t = 0; t < taps; t++) gw[group * ws[3] + (q + m) * ws[0] + i * ws[1] + t * ws[2]] = s[t][m];
            }
        }
    }
    free(sums);
    return failed;
}

/* Note [Dilated by parts]
 * Taps d pixels apart join only pixels whose places agree modulo d. Where sizes and padding are multiples of d the pixels of each residue are an image
 * of their own, and a dilated convolution is one without dilation over d x d times as many images: two copies are paid for by Winograd's products. */
static int is_dilated(const RtConvGeom *c, int mode, int orders, RtConvGeom *dense) {
    *dense = *c;
    if (orders & RT_LAST_ANY || c->dilation[1] * c->dilation[2] < 2 || c->dilation[1] > 8 || c->dilation[2] > 8) return 0;
    for (int i = 1; i < 3; i++) {
        int64_t d = c->dilation[i];
        if (c->stride[i] != 1 || c->in[i] % d || c->out[i] % d || c->pad[i] % d) return 0;
        dense->in[i] /= d;
        dense->out[i] /= d;
        dense->pad[i] /= d;
        dense->dilation[i] = 1;
        dense->batch *= d;
    }
    return is_wino(dense, mode, orders & ~RT_LIGHT);      /* their transformed weights are not kept */
}

/* Images of `channels` planes of size h x w to images of their residues, or back. */
static void dilated_apart(const RtConvGeom *c, int64_t channels, const int64_t *size, const float *x, float *to, int threads) {
    int64_t d = c->dilation[1], e = c->dilation[2], h = size[1] / d, w = size[2] / e, planes = c->batch * channels;
    threads = rt_few((double)planes * size[1] * size[2], 32768, threads, planes);
    RT_SHARED(threads, planes, i, {
        for (int64_t r = 0; r < d * e; r++)
            for (int64_t a = 0; a < h; a++)
                gather_row_f32(to + (((i / channels * d * e + r) * channels + i % channels) * h + a) * w, x + (i * size[1] + a * d + r / e) * size[2], w,
                               r % e, e, size[2]);
    });
}
static void dilated_together(const RtConvGeom *c, int64_t channels, const int64_t *size, const float *from, float *y, int threads) {
    enum { L = RT_LANES_F32 };
    int64_t d = c->dilation[1], e = c->dilation[2], h = size[1] / d, w = size[2] / e, planes = c->batch * channels, part = channels * h * w;
    threads = rt_few((double)planes * size[1] * size[2], 32768, threads, planes);
    RT_SHARED(threads, planes, i, {
        for (int64_t a = 0; a < size[1]; a++) {
            const float *src = from + (i / channels * d + a % d) * e * part + (i % channels * h + a / d) * w;
            float *row = y + (i * size[1] + a) * size[2];
            int64_t k = 0;
            if (e == 2)
                for (; k + L <= w; k += L) {
                    rt_vf lo, hi;
                    rt_vf_zip(rt_vf_load(src + k), rt_vf_load(src + part + k), &lo, &hi);
                    rt_vf_store(row + 2 * k, lo);
                    rt_vf_store(row + 2 * k + L, hi);
                }
            for (; k < w; k++) for (int64_t r = 0; r < e; r++) row[k * e + r] = src[r * part + k];
        }
    });
}

/* The forward product, or `back` the gradient of the input: sides are exchanged. */
static int dilated_run(const RtConvGeom *c, const RtConvGeom *dense, int back, const float *x, const float *w, const float *b, float *y, int orders, int threads) {
    const int64_t *in = back ? c->out : c->in, *out = back ? c->in : c->out;
    int64_t ins = c->groups * (back ? c->cout : c->cin), outs = c->groups * (back ? c->cin : c->cout), room = c->batch * ins * in[1] * in[2];
    float *apart = buffer_f32(room + c->batch * outs * out[1] * out[2]), *made = apart ? apart + room : NULL;
    if (!apart) return 1;
    dilated_apart(c, ins, in, x, apart, threads);
    int rc = (back ? wino_dinput : wino_forward)(dense, apart, w, b, made, orders, threads);
    if (!rc) dilated_together(c, outs, out, made, y, threads);
    free(apart);
    return rc;
}
static int dilated_dweight(const RtConvGeom *c, const RtConvGeom *dense, const float *g, const float *x, float *gw, int orders, int threads) {
    int64_t ins = c->groups * c->cin, outs = c->groups * c->cout, room = c->batch * outs * c->out[1] * c->out[2];
    float *apart = buffer_f32(room + c->batch * ins * c->in[1] * c->in[2]), *also = apart ? apart + room : NULL;
    if (!apart) return 1;
    dilated_apart(c, outs, c->out, g, apart, threads);
    dilated_apart(c, ins, c->in, x, also, threads);
    int rc = wino_dweight(dense, apart, also, gw, orders, threads);
    free(apart);
    return rc;
}
