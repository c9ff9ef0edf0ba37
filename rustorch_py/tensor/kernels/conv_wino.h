/* Convolutions of 3, 4 and 5 taps an axis by Winograd's minimal filtering: part of conv.inc.c, float32 only.
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
 * Signals have one axis only (F(4, 3): 6 products for 12; F(4, 5): 8 for 20), strides of two kinds of their own: Note [Axes] in conv_wino_axes.h. Volumes
 * have the planes' transforms: a plane of results sums the products of as many planes of transformed patches as the kernel has planes, of
 * which a ring is kept, so that each is transformed once.
 *
 * Note [Few tiles]
 * The transformed weights are four times the weights, so few tiles do not pay for making them. Where nothing is recorded they are kept
 * (kept.h), and 3 x 3 kernels go this way from four tiles on: an image of a small net. Whether they are kept does not change results, so a
 * call that has to make them goes the same way. Many channels do so from 16 tiles on (strided: 32) if their weights are such that may be kept: what
 * tiles save is more then than what reading the four times larger form costs, even from memory; above 256 x 256 channels that form is too large to be kept. Their blocks are two vectors of channels: threads that have few tiles share out the blocks. */

#include "conv_wino_axes.h"
#define WINO_P (WINO_MOST * WINO_MOST)    /* most points of a patch */
#define WINO_TAPS 25
#define WINO_WIDEST 96                    /* most tiles of a task, and of a row of them */

typedef struct {
    const WinoKind *kind;
    WinoAxis down, across;
    int few;                              /* Note [Few tiles] */
    int64_t own;                          /* points that have weights of their own */
    int64_t batch, groups, m, cin;        /* m, cin: result and summed channels of a group */
    int64_t depth, sdepth, deep, front;   /* planes of results, of the source, of the kernel; result plane z reads source planes z - front + s */
    int64_t h, w, sh, sw, top, left;      /* planes of results; of the source; its first row and column that tiles read are -top, -left */
    int64_t tall, wide;                   /* tiles of a plane */
    int64_t rows, cols, rstrips, cstrips, per;     /* tiles of a strip, strips of a plane, strips of a task */
    int64_t cpad, mpad, tiles;            /* channels in whole vectors; most tiles of a task */
    int64_t point;                        /* elements from point to point of the transformed weights of a group */
    int64_t vsize, msize;                 /* transformed patches of a plane of a task; its products, of a block of channels */
    const float *scale;                   /* Note [Epilogue] in conv_t.h: of groups x m, or NULL; taken in with the results */
    int cut;
    const float *packed;                  /* all groups' transformed weights, or NULL */
} Wino;

/* Where the points of `tiles` tiles lie, rows of `width` elements; points that have their weights in common lie one behind the other. */
typedef struct { int64_t at[WINO_P], first[WINO_P], count[WINO_P]; } WinoPlaces;

/* Vectors of the block of channels that begins at vector v. */
RT_INLINE int wino_block(const Wino *z, int64_t v, int64_t vectors) {
    int nv = last_vectors_f32(v, vectors);
    return z->few && nv > 2 ? 2 : nv;
}

/* From group to group, and from point to point of weights: an odd number of lines, so that the points of a place in their planes lie in different sets of
 * the first cache and of the second */
static int64_t wino_plane(int64_t n) { return ((n + 15) / 16 | 1) * 16; }

/* Returns the room of all. `p` may be NULL. */
static int64_t wino_places(const Wino *z, int64_t tiles, int64_t width, WinoPlaces *p) {
    int64_t to = 0, u = 0;
    for (int i = 0; i < z->down.own; i++)
        for (int j = 0; j < z->across.own; j++, u++) {
            int high = i == z->down.own - 1 ? z->down.n - i : 1, wide = j == z->across.own - 1 ? z->across.n - j : 1;
            if (p) {
                p->first[u] = to;
                p->count[u] = high * wide;
                for (int k = 0; k < high * wide; k++) p->at[(i + k / wide) * z->across.n + j + k % wide] = to + k * tiles * width;
            }
            to += wino_plane(high * wide * tiles * width);
        }
    return to;
}

/* Transformed weights of one group and one vector v of its channels, to to[p*z->point + c*step]: own point p, plane and channel c. Rows of sixteen
 * channels are turned in squares: one by one, their elements would be read from a few sets of the first cache, whose rows are a power of two apart. */
static void wino_vector(const Wino *z, const float *w, const int64_t *ws, int turned, int64_t v, int64_t step, float *restrict to) {
    enum { L = RT_LANES_F32 };
    int taps = z->down.taps * z->across.taps, all = (int)z->deep * taps;
    int64_t m0 = v * L, count = z->m - m0 < L ? z->m - m0 : L, end = 0;
    int inner = ws[1] == 1, square = L == 16 && count == 16 && (inner || (ws[1] == taps && ws[2] == 1 && z->deep == 1));
    float some[WINO_TAPS * 16 * 16] __attribute__((aligned(64)));
    for (int64_t c = 0; c < z->deep * z->cin; c++) {
        float s[L] __attribute__((aligned(64)));
        rt_vf g[WINO_TAPS], u[WINO_P];
        int64_t channel = c % z->cin;
        const float *from = w + m0 * ws[0] + channel * ws[1];
        if (channel == 0) end = 0;
        if (square && channel == end && z->cin - channel >= 16) {
            for (int t = 0; t < taps; t++) {
                int64_t tap = c / z->cin * taps + t;
                turn_square_f32(some + t * 256, 16, inner ? from + (turned ? all - 1 - tap : tap) * ws[2] : from + t * 16, ws[0]);
            }
            end += 16;
        }
        for (int t = 0; t < taps; t++) {
            int64_t tap = c / z->cin * taps + t;
            if (turned) tap = all - 1 - tap;
            if (channel < end) g[t] = rt_vf_load(some + (inner ? t * 16 + channel % 16 : channel % 16 * taps + tap) * L);
            else if (ws[0] == 1) g[t] = rt_vf_load_first(from + tap * ws[2], (int)count);
            else {
                for (int i = 0; i < L; i++) s[i] = i < count ? from[i * ws[0] + tap * ws[2]] : 0;
                g[t] = rt_vf_load(s);
            }
        }
        z->kind->up(g, u);
        for (int p = 0; p < z->own; p++) rt_vf_store(to + p * z->point + c * step, u[p]);
    }
}

/* Transformed weights of one group: [own point][block of channels][plane of the kernel][c][channel of the block] */
static void wino_weights(const Wino *z, const float *w, const int64_t *ws, int turned, float *restrict to, int threads) {
    enum { L = RT_LANES_F32 };
    int64_t vectors = z->mpad / L, wide = z->few ? 2 : last_vectors_f32(0, 4), kn = z->deep * z->cin;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t v = 0; v < vectors; v++) {
        int64_t first = v / wide * wide, nv;
        while (first + (nv = wino_block(z, first, vectors)) <= v) first += nv;
        wino_vector(z, w, ws, turned, v, nv * L, to + first * L * kn + (v - first) * L);
    }
}

static void wino_shape(Wino *z) {
    enum { L = RT_LANES_F32 };
    z->down = wino_axes[z->kind->down];
    z->across = wino_axes[z->kind->across];
    z->own = z->down.own * z->across.own;
    z->cpad = (z->cin + L - 1) / L * L;
    z->mpad = (z->m + L - 1) / L * L;
    z->wide = (z->w + z->across.m - 1) / z->across.m;
    z->tall = (z->h + z->down.m - 1) / z->down.m;
    z->point = wino_plane(z->deep * z->cin * z->mpad);
}

/* How images are cut into tasks of at most `most` tiles. */
static void wino_cut(Wino *z, int64_t most) {
    int64_t block = z->mpad < 4 * RT_LANES_F32 ? z->mpad : 4 * RT_LANES_F32;
    z->cstrips = z->tall > 1 ? (z->wide + WINO_WIDEST - 1) / WINO_WIDEST : (z->wide + most - 1) / most;
    z->cols = (z->wide + z->cstrips - 1) / z->cstrips;
    z->cstrips = (z->wide + z->cols - 1) / z->cols;
    z->rows = most / z->cols;
    if (z->rows < 1) z->rows = 1;
    if (z->rows > z->tall) z->rows = z->tall;
    z->rstrips = (z->tall + z->rows - 1) / z->rows;
    z->rows = (z->tall + z->rstrips - 1) / z->rstrips;
    z->rstrips = (z->tall + z->rows - 1) / z->rows;
    z->per = z->rstrips * z->cstrips > 1 || z->sdepth > 1 ? 1 : most / (z->wide * z->tall);
    if (z->per < 1) z->per = 1;
    if (z->per > z->batch) z->per = z->batch;
    z->tiles = z->per * z->rows * z->cols;
    z->vsize = wino_places(z, z->tiles, z->cpad, NULL);
    z->msize = wino_places(z, z->tiles, block, NULL);
}

/* How images are cut into tasks: about `bytes` of transformed patches and of the products of one block of result channels. */
static void wino_plan(Wino *z, int64_t bytes, int threads) {
    enum { L = RT_LANES_F32 };
    wino_shape(z);
    int64_t points = z->down.n * z->across.n, block = z->mpad < 4 * L ? z->mpad : 4 * L, planes = z->deep < z->sdepth ? z->deep : z->sdepth;
    int64_t most = bytes / (points * 4 * (planes * z->cpad + block)), all = z->wide * z->tall * z->batch * z->groups;
    int64_t each = z->few ? (all + threads - 1) / threads : (all + 2 * threads - 1) / (2 * threads), least = points > 64 ? 16 : 24;
    if (z->cin * z->m >= 256 * 256) least = 64;       /* the weights of all points lie in no second cache: each task brings them from afar */
    if (most < least) most = least;
    if (most > WINO_WIDEST) most = WINO_WIDEST;
    if (most > each) most = each;
    wino_cut(z, most);
}

/* A strip: rows [r0, r1) and columns [t0, t1) of the tiles of image n. */
typedef struct { int64_t n, r0, r1, t0, t1; } WinoStrip;
static WinoStrip wino_strip(const Wino *z, int64_t s) {
    int64_t each = z->rstrips * z->cstrips, r0 = s % each / z->cstrips * z->rows, t0 = s % z->cstrips * z->cols;
    return (WinoStrip){s / each, r0, r0 + z->rows < z->tall ? r0 + z->rows : z->tall, t0, t0 + z->cols < z->wide ? t0 + z->cols : z->wide};
}
static int64_t wino_count(const Wino *z, int64_t s0, int64_t s1) {
    int64_t tiles = 0;
    for (int64_t s = s0; s < s1; s++) {
        WinoStrip p = wino_strip(z, s);
        tiles += (p.r1 - p.r0) * (p.t1 - p.t0);
    }
    return tiles;
}

/* The padded rows of a strip: the buffer of conv_last_t.h */
static void wino_pad(const Wino *z, const float *x, RtOrder from, const WinoStrip *p, float *to) {
    Last_f32 l = {.lo = {0, -z->top, p->t0 * z->across.step - z->left},
                  .plane = {1, z->down.step * (z->rows - 1) + z->down.span, z->across.step * (z->cols - 1) + z->across.span}};
    Job_f32 j = {.cin = z->cin, .in = {1, z->sh, z->sw}, .step = {1, 1, 1}};
    last_pad_f32(&l, &j, x, from, 0, p->r0 * z->down.step, 0, to);
}

static int64_t wino_pad_size(const Wino *z) {
    int64_t pixels = (z->down.step * (z->rows - 1) + z->down.span) * (z->across.step * (z->cols - 1) + z->across.span);
    return (pixels * z->cin + 2 * RT_LANES_F32 - 1) / RT_LANES_F32 * RT_LANES_F32;
}

/* Transformed patches of strips [s0, s1) of group g, of plane q of the source. */
static void wino_inputs(const Wino *z, const float *x, RtOrder from, int64_t g, int64_t q, int64_t s0, int64_t s1, const WinoPlaces *places, float *buf, float *v) {
    int64_t pitch = (z->across.step * (z->cols - 1) + z->across.span) * z->cin;
    for (int64_t s = s0; s < s1; s++) {
        WinoStrip p = wino_strip(z, s);
        wino_pad(z, x + p.n * from.image + g * z->cin * from.channel + q * z->sh * z->sw * from.pixel, from, &p, buf);
        for (int64_t r = 0; r < p.r1 - p.r0; r++, v += (p.t1 - p.t0) * z->cpad)
            z->kind->patches(buf + z->down.step * r * pitch, pitch, z->cin, p.t1 - p.t0, z->cin, places->at, z->cpad, v);
    }
}

static const int64_t wino_zero[1] = {0};
#define WINO_DEEP 8                       /* most planes of a kernel */

/* mm = the products of all points of result plane `zr` and the block of nv vectors of channels from q on. `v`: a ring of z->deep planes. */
static void wino_multiply(const Wino *z, int64_t zr, int64_t tiles, int64_t q, int nv, const float *v, const WinoPlaces *vs, const float *u, const float *none, float *mm,
                          const WinoPlaces *ms) {
    enum { L = RT_LANES_F32 };
    int64_t width = nv * L, most = 18432 / (width * 4), parts = (z->cin + most - 1) / most, kn = z->deep * z->cin, ring[WINO_DEEP];
    int64_t lo = z->front > zr ? z->front - zr : 0, hi = z->sdepth + z->front - zr < z->deep ? z->sdepth + z->front - zr : z->deep;
    if (z->kind->across == AXIS_5 && z->kind->down != AXIS_1 && parts < (z->cin + 15) / 24) parts = (z->cin + 15) / 24;       /* sums apart: eight points' errors want it */
    int64_t part = (z->cin + parts - 1) / parts, together = parts == 1 && kn <= most ? hi - lo : 1;
    for (int64_t s = lo; s < hi; s++) ring[s] = (zr - z->front + s) % z->deep * z->vsize;
    for (int p = 0; p < z->own; p++) {
        const float *up = u + p * z->point + q * L * kn, *vp = v + vs->first[p];
        float *mp = mm + ms->first[p];
        int64_t rows = tiles * vs->count[p];
        for (int64_t s = lo; s < hi; s += together)
            for (int64_t k = 0; k < z->cin; k += part) {
                int64_t len = z->cin - k < part ? z->cin - k : part;
                for (int64_t i = 0, mr; i < rows; i += mr) {
                    mr = last_next_f32(rows - i, last_high_f32(nv));
                    last_tiles_f32[nv - 1][mr - 1](together, len, ring + s, vp + i * z->cpad + k, z->cpad, 1, up + (s * z->cin + k) * width, width,
                                                  k || s > lo ? NULL : none, mp + i * width, width, 0);
                }
            }
    }
}

/* Results of plane zr, strips [s0, s1) of group g and nv vectors of channels from q on: products `mm` times factor plus base (of all groups' channels) to
 * y; out: room of a row of tiles, where y does not take vectors of channels as they are. */
RT_INLINE int wino_direct(const Wino *z, RtOrder to) { return to.channel == 1 && z->m % RT_LANES_F32 == 0; }
static void wino_write(const Wino *z, int64_t s0, int64_t s1, int64_t zr, int64_t g, int64_t q, int nv, const float *mm, const WinoPlaces *ms, const float *base,
                       const float *factor, float *out, float *y, RtOrder to) {
    enum { L = RT_LANES_F32 };
    int direct = wino_direct(z, to);
    int64_t size = z->down.m, rowlen = z->across.m * z->cols, width = nv * L, tile = 0, channels = z->m - q * L < width ? z->m - q * L : width;
    for (int64_t s = s0; s < s1; s++) {
        WinoStrip p = wino_strip(z, s);
        float *yn = y + p.n * to.image + (g * z->m + q * L) * to.channel + zr * z->h * z->w * to.pixel;
        for (int64_t r = p.r0; r < p.r1; r++) {
            int64_t high = z->h - size * r < size ? z->h - size * r : size, column = z->across.m * p.t0;
            float *place = yn + (size * r * z->w + column) * to.pixel;
            int64_t len = z->w - column < rowlen ? z->w - column : rowlen;
            if (to.pixel == 1)
                for (int64_t i = 0; i < high; i++) last_ask_f32(place + i * z->w, to.channel, len, channels, 1);
            for (int64_t t = p.t0; t < p.t1; t++, tile++) {
                int64_t wide = z->w - z->across.m * t < z->across.m ? z->w - z->across.m * t : z->across.m, i = z->across.m * (t - p.t0);
                for (int64_t k = 0; k < width; k += L) {
                    rt_vf times = rt_vf_load(factor + g * z->mpad + q * L + k), add = rt_vf_load(base + g * z->mpad + q * L + k);
                    z->kind->results(mm + tile * width + k, ms->at, times, add, z->cut, direct ? place + i * to.pixel + k : out + i * width + k,
                                     direct ? z->w * to.pixel : rowlen * width, direct ? to.pixel : width, direct ? high : size, direct ? wide : z->across.m);
                }
            }
            if (!direct)
                for (int64_t i = 0; i < high; i++)
                    last_out_f32(out + i * rowlen * width, width, len, channels, place + i * z->w * to.pixel, to.pixel, to.channel);
        }
    }
}

/* Forward, or with turned weights the gradient of the input. `to`: order of the result. */
static int wino_run(Wino *z, const float *x, RtOrder from, const float *w, const int64_t *ws, int turned, const float *bias, float *y, RtOrder to, int threads) {
    enum { L = RT_LANES_F32 };
    int64_t vectors = (z->m + L - 1) / L, sides = 1, starts[3] = {0, vectors, vectors};       /* of the result channels: vectors at which they begin */
    wino_plan(z, 320 << 10, threads);
    threads = rt_few((double)z->batch * z->groups * z->m * z->cin * z->depth * z->deep * z->tall * z->wide * z->down.n * z->across.n * 2, GRAIN_MACS, threads, threads);
    if (z->few && threads > 1 && vectors > 2 && z->batch * z->groups * z->tall * z->wide < 8 * threads) {
        sides = 2;
        starts[1] = (vectors / 2 + 1) / 2 * 2;
    }
    wino_plan(z, 320 << 10, (int)(threads / sides));
    int64_t strips = z->batch * z->rstrips * z->cstrips, steps = (strips + z->per - 1) / z->per, tasks = steps * z->groups * sides;
    int64_t usize = z->own * z->point, psize = wino_pad_size(z), block = z->mpad < 4 * L ? z->mpad : 4 * L;
    int64_t ysize = wino_direct(z, to) ? 0 : z->down.m * z->across.m * z->cols * block, planes = z->deep;
    if (threads > tasks) threads = (int)tasks;
    int64_t room = (psize + planes * z->vsize + z->msize + ysize + block + 1023) / 1024 * 1024 + L;
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
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *buf = rooms + RT_ME * room, *v = buf + psize, *mm = v + planes * z->vsize, *out = mm + z->msize, *none = out + ysize;
        WinoPlaces vs, ms;
        memset(buf, 0, (size_t)psize * sizeof(float));
        memset(none, 0, (size_t)block * sizeof(float));
        EACH(task) {
            int64_t side = task % sides, g = task / sides % z->groups, s0 = task / sides / z->groups * z->per, s1 = s0 + z->per < strips ? s0 + z->per : strips;
            int64_t v0 = starts[side], v1 = starts[side + 1], tiles = wino_count(z, s0, s1), done = 0;
            wino_places(z, tiles, z->cpad, &vs);
            for (int64_t zr = 0; zr < z->depth; zr++) {
                if (done < zr - z->front) done = zr - z->front;
                for (; done < z->sdepth && done < zr - z->front + z->deep; done++)
                    wino_inputs(z, x, from, g, done, s0, s1, &vs, buf, v + done % z->deep * z->vsize);
                int nv;
                for (int64_t q = v0; q < v1; q += nv) {
                    nv = wino_block(z, q, vectors);
                    wino_places(z, tiles, nv * L, &ms);
                    wino_multiply(z, zr, tiles, q, nv, v, &vs, u + g * usize, none, mm, &ms);
                    wino_write(z, s0, s1, zr, g, q, nv, mm, &ms, base, factor, out, y, to);
                }
            }
        }
    }
    free(base);
    return 0;
}

/* The kind of a product (0 forward, 1 dinput, 2 dweight), or NULL where there is none. */
static const WinoKind *wino_kind(const RtConvGeom *c, int mode) {
    const int64_t k = c->kernel[2], step = c->stride[2];
    int line = c->in[0] == 1 && c->in[1] == 1 && c->kernel[0] == 1 && c->kernel[1] == 1 && !c->pad[0] && !c->pad[1], back = mode == 1;
    if (k < 3 || k > 5 || step > 2 || c->dilation[2] != 1 || c->pad[2] >= k || (step == 2 && back && c->pad[2] != 1)) return NULL;
    if (!line && (c->kernel[1] != k || c->stride[1] != step || c->dilation[1] != 1 || c->pad[1] >= k || (step == 2 && back && c->pad[1] != 1))) return NULL;
    if (c->kernel[0] > WINO_DEEP || c->pad[0] >= c->kernel[0] || c->stride[0] != 1 || (c->kernel[0] > 1 && (c->dilation[0] != 1 || k == 5))) return NULL;
    if (step == 1) return k == 4 ? NULL : line ? k == 3 ? &wino_kind_line_3 : &wino_kind_line_5 : k == 3 ? &wino_kind_3 : &wino_kind_5;
    if (k == 3) return line ? back ? &wino_kind_line_3_back : &wino_kind_line_3_by_2 : back ? &wino_kind_3_back : &wino_kind_3_by_2;
    return k == 5 ? NULL : line ? back ? &wino_kind_line_4_back : &wino_kind_line_4_by_2 : back ? &wino_kind_4_back : &wino_kind_4_by_2;
}

static int64_t wino_tiles(const RtConvGeom *c, int mode) {
    const WinoKind *kind = wino_kind(c, mode);
    const WinoAxis *down = wino_axes + kind->down, *across = wino_axes + kind->across;
    const int64_t *results = mode == 1 ? c->in : c->out;
    return c->batch * results[0] * ((results[1] + down->m - 1) / down->m) * ((results[2] + across->m - 1) / across->m) * (kind->down == AXIS_5_SHORT ? 2 : 1);
}
static int has_few_tiles(const RtConvGeom *c, int mode) { return wino_tiles(c, mode) < 48; }

/* mm = the transformed gradient of result plane zr of strips [s0, s1), channels from m0 on, `width` of them. */
static void wino_gradients(const Wino *z, const float *g, RtOrder up, int64_t group, int64_t zr, int64_t s0, int64_t s1, int64_t m0, int64_t width, const WinoPlaces *ms,
                           float *gb, float *mm) {
    int64_t size = z->down.m, grow = z->across.m * z->cols * width, channels = z->m - m0 < width ? z->m - m0 : width;
    for (int64_t s = s0; s < s1; s++) {
        WinoStrip p = wino_strip(z, s);
        const float *gn = g + p.n * up.image + (group * z->m + m0) * up.channel + (zr * z->h * z->w + z->across.m * p.t0) * up.pixel;
        int64_t left = z->w - z->across.m * p.t0, len = left < z->across.m * z->cols ? left : z->across.m * z->cols;
        for (int64_t r = p.r0; r < p.r1; r++) {
            int64_t high = z->h - size * r < size ? z->h - size * r : size;
            if (high < size || channels < width || len * width < grow) memset(gb, 0, (size_t)(size * grow) * sizeof(float));
            for (int64_t i = 0; i < high; i++) {
                const float *src = gn + (size * r + i) * z->w * up.pixel;
                if (up.channel == 1) for (int64_t k = 0; k < len; k++) memcpy(gb + i * grow + k * width, src + k * up.pixel, (size_t)channels * sizeof(float));
                else last_turn_f32(gb + i * grow, width, src, up.channel, len, channels);
            }
            for (int64_t t = p.t0; t < p.t1; t++, mm += width)
                for (int64_t k = 0; k < width; k += RT_LANES_F32)
                    z->kind->gradient(gb + z->across.m * (t - p.t0) * width + k, grow, width, ms->at, mm + k);
        }
    }
}

#include "conv_wino_wide.h"

/* Shapes that gain: enough channels for the products to outweigh the transforms, enough tiles for those of the weights or a form of these that is
 * kept, unless it would be read from far away for next to no tiles. */
static int is_tiled(const RtConvGeom *c, int mode, int orders) {
    int64_t channels = c->cin * c->cout;
    const WinoKind *kind = orders & RT_FAST ? wino_kind(c, mode) : NULL;
    int64_t least = kind && kind->down == AXIS_5_SHORT ? 8 : 16;      /* of 25 taps four times as many products are saved, of 9 three times */
    if (!kind || c->cin < least || c->cout < least || c->out[2] < 6 || (c->out[1] < 6 && kind->down != AXIS_1)) return 0;
    if (mode == 2) return wino_tiles(c, mode) >= 128 && wino_axes[kind->down].own * wino_axes[kind->across].own * c->kernel[0] * channels <= 36 * 128 * 128;
    if (!has_few_tiles(c, mode) && ((!mode && orders & RT_KEEPS) || wino_tiles(c, mode) >= 48 + channels / 2048)) return 1;
    if (mode || c->kernel[2] != 3 || c->kernel[0] != 1 || !(orders & RT_LIGHT)) return 0;
    return channels <= 64 * 128 || (orders & RT_KEEPS && channels <= 256 * 256 && wino_tiles(c, mode) >= (c->stride[2] == 1 ? 16 : 32));
}

static int goes_wide(const RtConvGeom *c, int mode, int orders) { return is_wide(c, mode, orders, is_tiled(c, mode, orders)); }
static int is_wino(const RtConvGeom *c, int mode, int orders) { return is_tiled(c, mode, orders) || goes_wide(c, mode, orders); }

/* mode: of the product; the gradient of the input sums over the result's channels. */
static Wino wino_of(const RtConvGeom *c, int mode) {
    const WinoKind *kind = wino_kind(c, mode);
    Wino z = {.kind = kind, .batch = c->batch, .groups = c->groups, .m = c->cout, .cin = c->cin, .depth = c->out[0], .sdepth = c->in[0], .deep = c->kernel[0],
              .front = c->pad[0], .h = c->out[1], .w = c->out[2], .sh = c->in[1], .sw = c->in[2], .top = c->pad[1], .left = c->pad[2]};
    if (mode == 1) {
        z.m = c->cin; z.cin = c->cout;
        z.depth = c->in[0]; z.sdepth = c->out[0]; z.front = c->kernel[0] - 1 - c->pad[0];
        z.h = c->in[1]; z.w = c->in[2]; z.sh = c->out[1]; z.sw = c->out[2];
        z.top = kind->down == AXIS_1 || kind->down == AXIS_3_BACK ? 0 : kind->down == AXIS_4_BACK ? 1 : c->kernel[1] - 1 - c->pad[1];
        z.left = kind->across == AXIS_3_BACK ? 0 : kind->across == AXIS_4_BACK ? 1 : c->kernel[2] - 1 - c->pad[2];
    }
    if (mode == 0) {
        z.few = has_few_tiles(c, mode);
        z.scale = c->scale; z.cut = (int)c->cut; z.packed = c->packed;
    }
    return z;
}

static int wino_forward(const RtConvGeom *c, const float *x, const float *w, const float *b, float *y, int orders, int threads) {
    Wino z = wino_of(c, 0);
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    RtOrder from = order(c->groups * c->cin, z.sdepth * z.sh * z.sw, orders & RT_LAST_X), to = order(c->groups * c->cout, z.depth * z.h * z.w, orders & RT_LAST_Y);
    if (goes_wide(c, 0, orders)) return wino_run_wide(&z, x, from, w, ws, 0, b, y, to, (float *)c->room, threads);
    return wino_run(&z, x, from, w, ws, 0, b, y, to, threads);
}

/* The form of the weights that stays from call to call: that of wino_weights(), all groups. */
static int64_t wino_kept(const RtConvGeom *c, int orders, int64_t *which) {
    enum { L = RT_LANES_F32 };
    *which = 0;
    if (!(orders & RT_LIGHT) || !is_tiled(c, 0, orders)) return 0;
    const WinoKind *kind = wino_kind(c, 0);
    *which = has_few_tiles(c, 0) | kind->down << 1 | kind->across << 5 | c->kernel[0] << 9;
    return c->groups * wino_axes[kind->down].own * wino_axes[kind->across].own * wino_plane(c->kernel[0] * c->cin * ((c->cout + L - 1) / L * L));
}
static void wino_keep(const RtConvGeom *c, const float *w, int orders, float *to, int threads) {
    Wino z = wino_of(c, 0);
    int64_t ws[4], which, size = wino_kept(c, orders, &which) / c->groups;
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    wino_plan(&z, 320 << 10, 1);
    for (int64_t g = 0; g < c->groups; g++) wino_weights(&z, w + g * ws[3], ws, 0, to + g * size, threads);
}

static int wino_dinput(const RtConvGeom *c, const float *g, const float *w, const float *b, float *gx, int orders, int threads) {
    Wino z = wino_of(c, 1);
    int64_t ws[4];
    weight_steps_f32(c, orders & RT_LAST_W, 0, ws);
    RtOrder from = order(c->groups * c->cout, z.sdepth * z.sh * z.sw, orders & RT_LAST_Y), to = order(c->groups * c->cin, z.depth * z.h * z.w, orders & RT_LAST_X);
    if (goes_wide(c, 1, orders)) return wino_run_wide(&z, g, from, w, ws, 1, b, gx, to, (float *)c->room, threads);
    return wino_run(&z, g, from, w, ws, 1, b, gx, to, threads);
}

/* The plan of wino_dweight(): parts of the tasks add into arrays of their own, which are added in order, the same bits on any number of threads. Every step
 * reads and writes the sums of all points, more than its patches where channels are many: it has as many tiles as steps may have. */
typedef struct { int64_t strips, steps, parts, psize, block, gsize, each, wsize, room, all; } WinoSums;
static WinoSums wino_plan_dweight(Wino *z, int threads) {
    enum { L = RT_LANES_F32, MOST = 4 };
    WinoSums o = {.strips = 0};
    wino_plan(z, 1800 << 10, MOST);                 /* the cut is the same for all numbers of threads */
    o.strips = z->batch * z->rstrips * z->cstrips;
    o.steps = (o.strips + z->per - 1) / z->per;
    o.parts = o.steps < MOST ? o.steps : MOST;
    o.psize = wino_pad_size(z);
    o.block = z->mpad < 4 * L ? z->mpad : 4 * L;
    o.gsize = z->down.m * z->across.m * z->cols * o.block;
    o.each = z->own * z->deep * z->cin * z->mpad;
    o.wsize = z->groups * o.each;
    o.room = (o.psize + z->deep * z->vsize + z->msize + o.gsize + o.block + 1023) / 1024 * 1024 + L;
    o.all = o.parts * o.wsize + threads * o.room;
    return o;
}

/* Elements of c->room. */
static int64_t wino_room(const RtConvGeom *c, int mode, int orders, int threads) {
    int wide = goes_wide(c, mode, orders);
    if (!wide && (mode != 2 || !is_tiled(c, mode, orders))) return 0;
    Wino z = wino_of(c, mode);
    return !wide ? wino_plan_dweight(&z, threads).all : (mode == 2 ? wino_plan_dweight_wide : wino_plan_wide)(&z, threads).all;
}

static int wino_dweight(const RtConvGeom *c, const float *g, const float *x, float *gw, int orders, int threads) {
    enum { L = RT_LANES_F32 };
    Wino z = wino_of(c, 2);
    int64_t ws[4], pixels = z.h * z.w;
    RtOrder from = order(c->groups * c->cin, z.sdepth * z.sh * z.sw, orders & RT_LAST_X), up = order(c->groups * c->cout, z.depth * pixels, orders & RT_LAST_Y);
    weight_steps_f32(c, orders & RT_LAST_W, 1, ws);
    if (goes_wide(c, 2, orders)) return wino_dweight_wide(&z, g, up, x, from, gw, ws, (float *)c->room, threads);
    const WinoSums o = wino_plan_dweight(&z, threads);
    const int64_t strips = o.strips, steps = o.steps, parts = o.parts, tasks = parts * z.groups, kn = z.deep * z.cin, each = o.each, wsize = o.wsize;
    const int whole = z.deep == 1 && !z.front;                   /* the first step of a part gives all its sums a value, unless some planes are met later or never */
    float *sums = c->room ? (float *)c->room : buffer_f32(o.all), *rooms = sums + parts * wsize;
    if (!sums) return 1;
    threads = rt_few((double)z.batch * z.groups * z.m * z.cin * z.depth * z.deep * z.tall * z.wide * z.down.n * z.across.n * 2, GRAIN_MACS, threads, threads);
    if (threads > tasks) threads = (int)tasks;
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *buf = rooms + RT_ME * o.room, *v = buf + o.psize, *mm = v + z.deep * z.vsize, *gb = mm + z.msize, *none = gb + o.gsize;
        WinoPlaces vs, ms;
        memset(buf, 0, (size_t)o.psize * sizeof(float));
        memset(none, 0, (size_t)o.block * sizeof(float));
        EACH(task) {
            int64_t group = task % z.groups, part = task / z.groups, first = steps * part / parts;
            float *acc = sums + part * wsize + group * each;
            if (!whole) memset(acc, 0, (size_t)each * sizeof(float));
            for (int64_t step = first; step < steps * (part + 1) / parts; step++) {
                int64_t s0 = step * z.per, s1 = s0 + z.per < strips ? s0 + z.per : strips, tiles = wino_count(&z, s0, s1), done = 0;
                wino_places(&z, tiles, z.cpad, &vs);
                for (int64_t zr = 0; zr < z.depth; zr++) {
                    int64_t lo = z.front > zr ? z.front - zr : 0, hi = z.sdepth + z.front - zr < z.deep ? z.sdepth + z.front - zr : z.deep;
                    if (done < zr - z.front) done = zr - z.front;
                    for (; done < z.sdepth && done < zr - z.front + z.deep; done++)
                        wino_inputs(&z, x, from, group, done, s0, s1, &vs, buf, v + done % z.deep * z.vsize);
                    int nv;
                    for (int64_t m0 = 0; m0 < z.mpad; m0 += nv * L) {
                        nv = last_vectors_f32(m0 / L, z.mpad / L);
                        wino_places(&z, tiles, nv * L, &ms);
                        wino_gradients(&z, g, up, group, zr, s0, s1, m0, nv * L, &ms, gb, mm);
                        for (int p = 0; p < z.own; p++)
                            for (int64_t k = lo * z.cin; k < hi * z.cin; k += z.cin) {
                                const float *vp = v + (zr - z.front + k / z.cin) % z.deep * z.vsize + vs.first[p];
                                for (int64_t i = 0, mr; i < z.cin; i += mr) {
                                    mr = last_next_f32(z.cin - i, last_high_f32(nv));
                                    last_tiles_f32[nv - 1][mr - 1](1, tiles * vs.count[p], wino_zero, vp + i, 1, z.cpad, mm + ms.first[p], nv * L, whole && step == first && !zr ? none : NULL,
                                                                  acc + (p * kn + k + i) * z.mpad + m0, z.mpad, 0);
                                }
                            }
                    }
                }
            }
        }
    }
    threads = rt_few((double)parts * wsize, 32768, threads, z.groups * kn);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t row = 0; row < z.groups * kn; row++) {
        int64_t group = row / kn, k = row % kn;
        int taps = z.down.taps * z.across.taps;
        for (int64_t q = 0; q < z.mpad; q += L) {
            rt_vf u[WINO_P], taken[WINO_TAPS];
            float s[WINO_TAPS][L];
            for (int p = 0; p < z.own; p++) {
                const float *at = sums + group * each + (p * kn + k) * z.mpad + q;
                u[p] = rt_vf_load(at);
                for (int64_t part = 1; part < parts; part++) u[p] += rt_vf_load(at + part * wsize);
            }
            z.kind->down_taps(u, taken);
            for (int t = 0; t < taps; t++) rt_vf_store(s[t], taken[t]);
            int64_t count = z.m - q < L ? z.m - q : L;
            for (int64_t m = 0; m < count; m++)
                for (int t = 0; t < taps; t++) gw[group * ws[3] + (q + m) * ws[0] + k % z.cin * ws[1] + (k / z.cin * taps + t) * ws[2]] = s[t][m];
        }
    }
    if (!c->room) free(sums);
    return 0;
}

/* Note [Dilated by parts]
 * Taps d pixels apart join only pixels whose places agree modulo d. Where sizes and padding are multiples of d the pixels of each residue are an image
 * of their own, and a dilated convolution is one without dilation over d x d times as many images: two copies are paid for by Winograd's products. */
static int is_dilated(const RtConvGeom *c, int mode, int orders, RtConvGeom *dense) {
    *dense = *c;
    if (orders & RT_LAST_ANY || c->kernel[0] != 1 || c->in[0] != 1 || c->dilation[1] * c->dilation[2] < 2 || c->dilation[1] > 8 || c->dilation[2] > 8) return 0;
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
