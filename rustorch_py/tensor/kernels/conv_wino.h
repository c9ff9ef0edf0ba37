/* 3 x 3 and 5 x 5 convolutions of stride 1 by Winograd's minimal filtering: part of conv.inc.c, float32 only.
 *
 * Note [Winograd]
 * F(4x4, 3x3): a tile of 4 x 4 results comes from 6 x 6 positions by 36 products a channel where the definition takes 144. With
 * x the 6 x 6 patch, w the filter and y the tile, y = A'[(G w G') * (B' x B)]A summed over channels, so that between the
 * transforms there are 36 matrix products (tiles x channels) by (channels x channels), which run on the tiles of conv_last_t.h.
 * The gradient of the input is the same with the filter turned around; that of the weights is G'[(B' x B) * (A g A')]G summed over
 * tiles. F(2x2, 5x5) has the same patches and points: 36 products for 100. Points: 0, +-5/8, +-5/4 and infinity, all exact; with them the largest error is 2e-6 of the largest result with 64
 * channels, 3e-6 with 256, where the plain sums have 1e-6 and 5e-7 (with the usual 0, +-1, +-2 it is three times larger: B. Barabasz
 * et al., Error analysis and improving the accuracy of Winograd convolution for deep neural networks, ACM TOMS 46 (2020)); tests/tensor/test_winograd.py states bounds. Sources: S. Winograd, Arithmetic
 * complexity of computations (1980); A. Lavin and S. Gray, Fast algorithms for convolutional neural networks (2016). */

#define WINO_P 36
#define WINO_TAPS 25
#define WA 0.625f
#define WB 1.25f
#define WAA 0.390625f
#define WBB 1.5625f
#define WAABB 0.6103515625f
#define WSUM 1.953125f
#define WNA (1 / (2 * WAA * (WAA - WBB)))      /* 1 / product of differences of +-5/8 with the other points */
#define WNB (1 / (2 * WBB * (WBB - WAA)))

typedef struct {
    int tile, r;                          /* a tile is tile x tile results, the kernel r x r; tile + r - 1 = 6 */
    int64_t batch, groups, m, cin;        /* m, cin: result and summed channels of a group */
    int64_t h, w, sh, sw, top, left;      /* results; source; result (r, c) reads source (r - top + i, c - left + j) */
    int64_t across, down;                 /* tiles of an image */
    int64_t rows, strips, per;            /* tile rows of a strip, strips of an image, strips of a task */
    int64_t cpad, mpad, tiles;            /* channels in whole vectors; most tiles of a task */
    const float *scale;                   /* Note [Epilogue] in conv_t.h: of groups x m, or NULL */
    int cut;
} Wino;

#define S rt_vf_set
RT_INLINE void wino_bt(const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {        /* B' d: 6 from 6 */
    rt_vf t1 = d[4 * s] - S(WBB) * d[2 * s], t2 = S(WA) * (d[3 * s] - S(WBB) * d[s]);
    rt_vf t3 = d[4 * s] - S(WAA) * d[2 * s], t4 = S(WB) * (d[3 * s] - S(WAA) * d[s]);
    o[0] = d[4 * s] - S(WSUM) * d[2 * s] + S(WAABB) * d[0];
    o[5 * t] = d[5 * s] - S(WSUM) * d[3 * s] + S(WAABB) * d[s];
    o[t] = t1 + t2; o[2 * t] = t1 - t2; o[3 * t] = t3 + t4; o[4 * t] = t3 - t4;
}
RT_INLINE void wino_at(int m, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {      /* A' d: m from 6 */
    rt_vf p = d[s] + d[2 * s], q = d[s] - d[2 * s], u = d[3 * s] + d[4 * s], v = d[3 * s] - d[4 * s];
    o[0] = d[0] + p + u;
    o[t] = S(WA) * q + S(WB) * v;
    if (m == 2) { o[t] += d[5 * s]; return; }
    o[2 * t] = S(WAA) * p + S(WBB) * u;
    o[3 * t] = S(WA * WAA) * q + S(WB * WBB) * v + d[5 * s];
}
RT_INLINE void wino_a(int m, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {       /* A d: 6 from m */
    rt_vf e1 = d[0], o1 = d[s], e2 = d[0], o2 = d[s];
    if (m == 4) {
        e1 += S(WAA) * d[2 * s]; o1 += S(WAA) * d[3 * s];
        e2 += S(WBB) * d[2 * s]; o2 += S(WBB) * d[3 * s];
    }
    o1 *= S(WA);
    o2 *= S(WB);
    o[0] = d[0]; o[t] = e1 + o1; o[2 * t] = e1 - o1; o[3 * t] = e2 + o2; o[4 * t] = e2 - o2; o[5 * t] = d[(m - 1) * s];
}
RT_INLINE void wino_g(int r, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {       /* G d: 6 from r */
    rt_vf e1 = d[0] + S(WAA) * d[2 * s], o1 = d[s], e2 = d[0] + S(WBB) * d[2 * s], o2 = d[s];
    if (r == 5) {
        e1 += S(WAA * WAA) * d[4 * s]; o1 += S(WAA) * d[3 * s];
        e2 += S(WBB * WBB) * d[4 * s]; o2 += S(WBB) * d[3 * s];
    }
    e1 *= S(WNA); o1 *= S(WNA * WA); e2 *= S(WNB); o2 *= S(WNB * WB);
    o[0] = S(1 / WAABB) * d[0]; o[t] = e1 + o1; o[2 * t] = e1 - o1; o[3 * t] = e2 + o2; o[4 * t] = e2 - o2; o[5 * t] = d[(r - 1) * s];
}
RT_INLINE void wino_gt(int r, const rt_vf *d, int64_t s, rt_vf *o, int64_t t) {      /* G' d: r from 6 */
    rt_vf p = S(WNA) * (d[s] + d[2 * s]), q = S(WNA * WA) * (d[s] - d[2 * s]), u = S(WNB) * (d[3 * s] + d[4 * s]), v = S(WNB * WB) * (d[3 * s] - d[4 * s]);
    o[0] = S(1 / WAABB) * d[0] + p + u;
    o[t] = q + v;
    o[2 * t] = S(WAA) * p + S(WBB) * u;
    if (r == 3) { o[2 * t] += d[5 * s]; return; }
    o[3 * t] = S(WAA) * q + S(WBB) * v;
    o[4 * t] = S(WAA * WAA) * p + S(WBB * WBB) * u + d[5 * s];
}
#undef S

/* Transformed weights of one group, times the factors of its channels (or NULL): [p][block of channels][c][channel of the block] */
static void wino_weights(const Wino *z, const float *w, const int64_t *ws, int turned, const float *scale, float *restrict to, int threads) {
    enum { L = RT_LANES_F32 };
    int64_t vectors = z->mpad / L, wide = RT_VEC == 64 ? 4 : 2;
#if defined(__aarch64__)
    wide = 4;
#endif
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t v = 0; v < vectors; v++) {
        int64_t first = v / wide * wide, nv;
        while (first + (nv = last_vectors_f32(first, vectors)) <= v) first += nv;
        int64_t m0 = v * L, count = z->m - m0 < L ? z->m - m0 : L;
        rt_vf factor = scale ? rt_vf_load_first(scale + m0, (int)count) : rt_vf_set(1);
        for (int64_t c = 0; c < z->cin; c++) {
            float s[WINO_TAPS][L] __attribute__((aligned(64)));
            rt_vf g[WINO_TAPS], half[30], u[WINO_P];
            int r = z->r, taps = r * r;
            for (int t = 0; t < taps; t++) {
                const float *src = w + m0 * ws[0] + c * ws[1] + (turned ? taps - 1 - t : t) * ws[2];
                for (int i = 0; i < L; i++) s[t][i] = i < count ? src[i * ws[0]] : 0;
                g[t] = rt_vf_load(s[t]) * factor;
            }
            for (int j = 0; j < r; j++) wino_g(r, g + j, r, half + j, r);
            for (int i = 0; i < 6; i++) wino_g(r, half + r * i, 1, u + 6 * i, 1);
            for (int p = 0; p < WINO_P; p++)
                rt_vf_store(to + p * z->cin * z->mpad + first * L * z->cin + c * nv * L + (v - first) * L, u[p]);
        }
    }
}

/* Patches of `count` tiles of one row, from a padded row of the source (pitch elements a row, cin a pixel), to to[p][tile][channel] */
static void wino_patches(const Wino *z, const float *restrict x, int64_t pitch, int64_t count, int64_t plane, float *restrict to) {
    for (int64_t t = 0; t < count; t++, x += z->tile * z->cin, to += z->cpad)
        for (int64_t c = 0; c < z->cin; c += RT_LANES_F32) {
            rt_vf half[WINO_P], v[6];
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++) {
                rt_vf d[6];
#pragma GCC unroll 6
                for (int i = 0; i < 6; i++) d[i] = rt_vf_load(x + i * pitch + j * z->cin + c);
                wino_bt(d, 1, half + j, 6);
            }
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++) {
                wino_bt(half + 6 * i, 1, v, 1);
#pragma GCC unroll 6
                for (int j = 0; j < 6; j++) rt_vf_store(to + (6 * i + j) * plane + c, v[j]);
            }
        }
}

/* A tile of results of one vector of channels: [p][...] with `plane` from p to p, plus bias, to y, of which `high` rows and `wide`
 * columns exist. */
RT_INLINE void wino_results(int m, const float *d0, int64_t plane, rt_vf bias, int cut, float *y, int64_t row, int64_t pixel, int64_t high, int64_t wide) {
    rt_vf half[24], res[4];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        rt_vf d[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++) d[i] = rt_vf_load(d0 + (6 * i + j) * plane);
        wino_at(m, d, 1, half + j, 6);
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        wino_at(m, half + 6 * i, 1, res, 1);
#pragma GCC unroll 4
        for (int j = 0; j < m; j++) if (i < high && j < wide) rt_vf_store(y + i * row + j * pixel, cut ? rt_vf_positive(res[j] + bias) : res[j] + bias);
    }
}
static __attribute__((noinline)) void wino_results_4(const float *d, int64_t plane, rt_vf bias, int cut, float *y, int64_t row, int64_t pixel, int64_t high, int64_t wide) {
    if (high == 4 && wide == 4) wino_results(4, d, plane, bias, cut, y, row, pixel, 4, 4);
    else wino_results(4, d, plane, bias, cut, y, row, pixel, high, wide);
}
static __attribute__((noinline)) void wino_results_2(const float *d, int64_t plane, rt_vf bias, int cut, float *y, int64_t row, int64_t pixel, int64_t high, int64_t wide) {
    wino_results(2, d, plane, bias, cut, y, row, pixel, high, wide);
}

/* A tile of the result's gradient, from g with `row` from row to row and mpad from pixel to pixel, to to[p] with `plane` from p to p */
RT_INLINE void wino_gradient(int m, const float *g, int64_t row, int64_t pixel, float *to, int64_t plane) {
    rt_vf d[16], half[24], o[6];
#pragma GCC unroll 16
    for (int i = 0; i < m * m; i++) d[i] = rt_vf_load(g + i / m * row + i % m * pixel);
#pragma GCC unroll 4
    for (int j = 0; j < m; j++) wino_a(m, d + j, m, half + j, m);
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) {
        wino_a(m, half + m * i, 1, o, 1);
#pragma GCC unroll 6
        for (int j = 0; j < 6; j++) rt_vf_store(to + (6 * i + j) * plane, o[j]);
    }
}
static __attribute__((noinline)) void wino_gradient_4(const float *g, int64_t row, int64_t pixel, float *to, int64_t plane) { wino_gradient(4, g, row, pixel, to, plane); }
static __attribute__((noinline)) void wino_gradient_2(const float *g, int64_t row, int64_t pixel, float *to, int64_t plane) { wino_gradient(2, g, row, pixel, to, plane); }

/* How images are cut into tasks: about `bytes` of transformed tiles, all from whole tile rows. */
static void wino_plan(Wino *z, int64_t bytes, int threads) {
    enum { L = RT_LANES_F32 };
    z->cpad = (z->cin + L - 1) / L * L;
    z->mpad = (z->m + L - 1) / L * L;
    z->across = (z->w + z->tile - 1) / z->tile;
    z->down = (z->h + z->tile - 1) / z->tile;
    int64_t most = bytes / (WINO_P * 4 * (z->cpad + z->mpad)), all = z->across * z->down * z->batch * z->groups;
    if (most < 24) most = 24;
    if (most > 96) most = 96;
    if (most > (all + 2 * threads - 1) / (2 * threads)) most = (all + 2 * threads - 1) / (2 * threads);
    z->rows = most / z->across;
    if (z->rows < 1) z->rows = 1;
    if (z->rows > z->down) z->rows = z->down;
    z->strips = (z->down + z->rows - 1) / z->rows;
    z->rows = (z->down + z->strips - 1) / z->strips;
    z->per = z->strips > 1 ? 1 : most / (z->across * z->down);
    if (z->per < 1) z->per = 1;
    if (z->per > z->batch) z->per = z->batch;
    z->tiles = z->per * z->rows * z->across;
}

/* The padded rows of a strip: the buffer of conv_last_t.h */
static void wino_pad(const Wino *z, const float *x, RtOrder from, int64_t strip, float *to) {
    Last_f32 l = {.lo = {0, -z->top, -z->left}, .plane = {1, z->tile * z->rows + z->r - 1, z->tile * z->across + z->r - 1}};
    Job_f32 j = {.cin = z->cin, .in = {1, z->sh, z->sw}, .step = {1, 1, 1}};
    last_pad_f32(&l, &j, x, from, 0, strip * z->rows * z->tile, to);
}

static int64_t wino_pad_size(const Wino *z) {
    return ((z->tile * z->rows + z->r - 1) * (z->tile * z->across + z->r - 1) * z->cin + 2 * RT_LANES_F32 - 1) / RT_LANES_F32 * RT_LANES_F32;
}

/* Transformed patches of strips [s0, s1) of group g; returns the number of tiles. */
static int64_t wino_inputs(const Wino *z, const float *x, RtOrder from, int64_t g, int64_t s0, int64_t s1, float *buf, float *v) {
    int64_t pitch = (z->tile * z->across + z->r - 1) * z->cin, tiles = 0, plane = z->tiles * z->cpad;
    for (int64_t s = s0; s < s1; s++) {
        int64_t n = s / z->strips, strip = s % z->strips, rows = z->down - strip * z->rows;
        if (rows > z->rows) rows = z->rows;
        wino_pad(z, x + n * from.image + g * z->cin * from.channel, from, strip, buf);
        for (int64_t r = 0; r < rows; r++, tiles += z->across)
            wino_patches(z, buf + z->tile * r * pitch, pitch, z->across, plane, v + tiles * z->cpad);
    }
    return tiles;
}

static const int64_t wino_zero[1] = {0};

/* Forward, or with turned weights the gradient of the input. `to`: order of the result. */
static int wino_run(Wino *z, const float *x, RtOrder from, const float *w, const int64_t *ws, int turned, const float *bias, float *y, RtOrder to, int threads) {
    enum { L = RT_LANES_F32 };
    threads = rt_few((double)z->batch * z->groups * z->m * z->cin * z->h * z->w * 4, GRAIN_MACS, threads, threads);
    wino_plan(z, 320 << 10, threads);
    int64_t steps = (z->batch * z->strips + z->per - 1) / z->per, tasks = steps * z->groups, usize = WINO_P * z->cin * z->mpad;
    int64_t psize = wino_pad_size(z), vsize = WINO_P * z->tiles * z->cpad, msize = WINO_P * z->tiles * z->mpad;
    int direct = to.channel == 1 && z->m % L == 0;
    int64_t size = z->tile, rowlen = size * z->across * z->mpad, ysize = direct ? 0 : size * rowlen;
    float *u = buffer_f32(z->groups * (usize + z->mpad) + L), *base = u ? u + z->groups * usize : NULL;
    int failed = 0;
    if (!u) return 1;
    if (threads > tasks) threads = (int)tasks;
    for (int64_t g = 0; g < z->groups; g++) {
        wino_weights(z, w + g * ws[3], ws, turned, z->scale ? z->scale + g * z->m : NULL, u + g * usize, threads);
        for (int64_t m = 0; m < z->mpad; m++) base[g * z->mpad + m] = bias && m < z->m ? bias[g * z->m + m] : 0;
    }
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *buf = buffer_f32(psize + vsize + msize + ysize + z->mpad), *v = buf + psize, *mm = v + vsize, *out = mm + msize, *none = out + ysize;
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else { memset(buf, 0, (size_t)psize * sizeof(float)); memset(none, 0, (size_t)z->mpad * sizeof(float)); }
        RT_OMP(omp barrier)
        if (!failed) {
            RT_OMP(omp for schedule(dynamic))
            for (int64_t task = 0; task < tasks; task++) {
                int64_t g = task % z->groups, s0 = task / z->groups * z->per, s1 = s0 + z->per;
                if (s1 > z->batch * z->strips) s1 = z->batch * z->strips;
                int64_t tiles = wino_inputs(z, x, from, g, s0, s1, buf, v), vectors = z->mpad / L;
                for (int p = 0; p < WINO_P; p++) {
                    const float *up = u + g * usize + p * z->cin * z->mpad, *vp = v + p * z->tiles * z->cpad;
                    float *mp = mm + p * z->tiles * z->mpad;
                    int nv;
                    for (int64_t q = 0; q < vectors; q += nv) {
                        nv = last_vectors_f32(q, vectors);
                        int64_t width = nv * L, most = 18432 / (width * 4), parts = (z->cin + most - 1) / most, part = (z->cin + parts - 1) / parts;
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
                int64_t tile = 0, plane = z->tiles * z->mpad;
                for (int64_t s = s0; s < s1; s++) {
                    int64_t n = s / z->strips, r0 = s % z->strips * z->rows, r1 = r0 + z->rows < z->down ? r0 + z->rows : z->down;
                    float *yn = y + n * to.image + g * z->m * to.channel;
                    for (int64_t r = r0; r < r1; r++) {
                        int64_t high = z->h - size * r < size ? z->h - size * r : size;
                        for (int64_t t = 0; t < z->across; t++, tile++) {
                            int64_t wide = z->w - size * t < size ? z->w - size * t : size;
                            for (int64_t q = 0; q < z->mpad; q += L) {
                                rt_vf add = rt_vf_load(base + g * z->mpad + q);
                                const float *from_p = mm + tile * z->mpad + q;
                                float *dst = direct ? yn + (size * r * z->w + size * t) * to.pixel + q : out + size * t * z->mpad + q;
                                int64_t pixel = direct ? to.pixel : z->mpad, row = direct ? z->w * to.pixel : rowlen;
                                (size == 4 ? wino_results_4 : wino_results_2)(from_p, plane, add, z->cut, dst, row, pixel, direct ? high : size, direct ? wide : size);
                            }
                        }
                        if (!direct)
                            for (int64_t i = 0; i < high; i++)
                                last_out_f32(out + i * rowlen, z->mpad, z->w, z->m, yn + (size * r + i) * z->w * to.pixel, to.pixel, to.channel);
                    }
                }
            }
        }
        free(buf);
    }
    free(u);
    return failed;
}

/* Shapes that gain: enough channels for the products to outweigh the transforms, enough tiles for those of the weights. */
static int is_wino(const RtConvGeom *c, int mode) {
    int64_t r = c->kernel[2], channels = c->cin * c->cout;
    if (c->kernel[0] != 1 || (r != 3 && r != 5) || c->kernel[1] != r || c->in[0] != 1 || c->pad[0]) return 0;
    for (int d = 0; d < 3; d++) if (c->stride[d] != 1 || c->dilation[d] != 1 || c->pad[d] > r - 1) return 0;
    if (c->cin < 16 || c->cout < 16 || channels < 512 || c->out[1] < 6 || c->out[2] < 6) return 0;
    int64_t t = 7 - r, tiles = c->batch * ((c->out[1] + t - 1) / t) * ((c->out[2] + t - 1) / t);
    return mode == 2 ? tiles >= 128 && channels <= 128 * 128 : tiles >= 48 + channels / 512;
}

static int wino_forward(const RtConvGeom *c, const float *x, const float *w, const float *b, float *y, int orders, int threads) {
    Wino z = {.tile = (int)(7 - c->kernel[2]), .r = (int)c->kernel[2], .batch = c->batch, .groups = c->groups, .m = c->cout, .cin = c->cin, .h = c->out[1], .w = c->out[2], .sh = c->in[1], .sw = c->in[2],
              .top = c->pad[1], .left = c->pad[2],
              .scale = c->scale, .cut = (int)c->cut};
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    return wino_run(&z, x, order(c->groups * c->cin, z.sh * z.sw, orders & RT_LAST_X), w, ws, 0, b, y,
                    order(c->groups * c->cout, z.h * z.w, orders & RT_LAST_Y), threads);
}

static int wino_dinput(const RtConvGeom *c, const float *g, const float *w, const float *b, float *gx, int orders, int threads) {
    Wino z = {.tile = (int)(7 - c->kernel[2]), .r = (int)c->kernel[2], .batch = c->batch, .groups = c->groups, .m = c->cin, .cin = c->cout, .h = c->in[1], .w = c->in[2], .sh = c->out[1], .sw = c->out[2],
              .top = c->kernel[1] - 1 - c->pad[1], .left = c->kernel[2] - 1 - c->pad[2]};
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 0, ws);
    return wino_run(&z, g, order(c->groups * c->cout, z.sh * z.sw, orders & RT_LAST_Y), w, ws, 1, b, gx,
                    order(c->groups * c->cin, z.h * z.w, orders & RT_LAST_X), threads);
}

/* Parts of the tasks add into arrays of their own, which are added in order: the same bits on any number of threads. */
static int wino_dweight(const RtConvGeom *c, const float *g, const float *x, float *gw, int orders, int threads) {
    enum { L = RT_LANES_F32, MOST = 4 };
    Wino z = {.tile = (int)(7 - c->kernel[2]), .r = (int)c->kernel[2], .batch = c->batch, .groups = c->groups, .m = c->cout, .cin = c->cin, .h = c->out[1], .w = c->out[2], .sh = c->in[1], .sw = c->in[2],
              .top = c->pad[1], .left = c->pad[2]};
    int64_t ws[4], pixels = z.h * z.w;
    RtOrder from = order(c->groups * c->cin, z.sh * z.sw, orders & RT_LAST_X), up = order(c->groups * c->cout, pixels, orders & RT_LAST_Y);
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    threads = rt_few((double)z.batch * z.groups * z.m * z.cin * pixels * 4, GRAIN_MACS, threads, threads);
    wino_plan(&z, 480 << 10, MOST);                 /* the cut is the same for all numbers of threads */
    int64_t steps = (z.batch * z.strips + z.per - 1) / z.per, parts = steps < MOST ? steps : MOST, tasks = parts * z.groups;
    int64_t psize = wino_pad_size(&z), vsize = WINO_P * z.tiles * z.cpad, msize = WINO_P * z.tiles * z.mpad;
    int64_t size = z.tile, grow = size * z.across * z.mpad, gsize = size * grow, each = WINO_P * z.cin * z.mpad, wsize = z.groups * each;
    float *sums = calloc((size_t)(parts * wsize), sizeof(float));
    int failed = !sums;
    if (threads > tasks) threads = (int)tasks;
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *buf = buffer_f32(psize + vsize + msize + gsize), *v = buf + psize, *mm = v + vsize, *gb = mm + msize;
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else memset(buf, 0, (size_t)psize * sizeof(float));
        RT_OMP(omp barrier)
        if (!failed) {
            RT_OMP(omp for schedule(static))
            for (int64_t task = 0; task < tasks; task++) {
                int64_t group = task % z.groups, part = task / z.groups;
                float *acc = sums + part * wsize + group * each;
                for (int64_t step = steps * part / parts; step < steps * (part + 1) / parts; step++) {
                    int64_t s0 = step * z.per, s1 = s0 + z.per < z.batch * z.strips ? s0 + z.per : z.batch * z.strips;
                    int64_t tiles = wino_inputs(&z, x, from, group, s0, s1, buf, v), tile = 0, plane = z.tiles * z.mpad;
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
                                    (size == 4 ? wino_gradient_4 : wino_gradient_2)(gb + size * t * z.mpad + q, grow, z.mpad, mm + tile * z.mpad + q, plane);
                        }
                    }
                    for (int p = 0; p < WINO_P; p++) {
                        int nv;
                        for (int64_t m0 = 0; m0 < z.mpad; m0 += nv * L) {
                            nv = last_vectors_f32(m0 / L, z.mpad / L);
                            for (int64_t i = 0, mr; i < z.cin; i += mr) {
                                mr = last_next_f32(z.cin - i, last_high_f32(nv));
                                last_tiles_f32[nv - 1][mr - 1](1, tiles, wino_zero, v + p * z.tiles * z.cpad + i, 1, z.cpad, mm + p * plane + m0, z.mpad, NULL,
                                                              acc + (p * z.cin + i) * z.mpad + m0, z.mpad, 0);
                            }
                        }
                    }
                }
            }
            RT_OMP(omp for schedule(static))
            for (int64_t row = 0; row < z.groups * z.cin; row++) {
                int64_t group = row / z.cin, i = row % z.cin;
                for (int64_t q = 0; q < z.mpad; q += L) {
                    rt_vf half[30], u[6], o[WINO_TAPS];
                    float s[WINO_TAPS][L];
                    int kernel = z.r, taps = kernel * kernel;
                    for (int j = 0; j < 6; j++) {
                        for (int k = 0; k < 6; k++) {
                            const float *at = sums + group * each + ((6 * k + j) * z.cin + i) * z.mpad + q;
                            u[k] = rt_vf_load(at);
                            for (int64_t part = 1; part < parts; part++) u[k] += rt_vf_load(at + part * wsize);
                        }
                        wino_gt(kernel, u, 1, half + j, 6);
                    }
                    for (int k = 0; k < kernel; k++) wino_gt(kernel, half + 6 * k, 1, o + kernel * k, 1);
                    for (int t = 0; t < taps; t++) rt_vf_store(s[t], o[t]);
                    int64_t count = z.m - q < L ? z.m - q : L;
                    for (int64_t m = 0; m < count; m++)
                        for (int t = 0; t < taps; t++) gw[group * ws[3] + (q + m) * ws[0] + i * ws[1] + t * ws[2]] = s[t][m];
                }
            }
        }
        free(buf);
    }
    free(sums);
    return failed;
}
