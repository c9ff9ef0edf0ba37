/* Convolutions whose reduction runs over channels that are neighbours in memory: typed body of conv.inc.c,
 * included after conv_t.h.
 *
 * Note [Channels last]
 * With channels innermost, result pixel t and channel m are y[t,m] = sum_s sum_k x[t*step + off[s] + k] w[s,k,m]: a tile of
 * LAST_R pixels by LAST_V vectors of channels takes one broadcast a pixel and one load a vector for each k. A segment s is a
 * tap's channels, or those of all taps of a kernel row where these are neighbours. Weights are packed once a call to
 * [block of channels][s][k][channel]; k is walked in blocks whose weights stay in the first cache while a few rows of pixels
 * pass over them. Images that need padding are copied into a padded buffer first. The gradient of the input is the same
 * product (see dinput_job); the gradient of the weights is the same tile with pixels and k exchanged. Arrays in
 * channels-first order pass through the same tiles where channels are many: the padded copy turns them, and so does the
 * way out. */

#if (RT_VEC == 64 || defined(__aarch64__)) && SHORT_LAST
#define LAST_V 4
#else
#define LAST_V 2
#endif
#define LAST_R 12                         /* pixels of a tile of one vector; see last_high */
#define LAST_W (LAST_V * LANES)
#ifndef LAST_BYTES
#define LAST_BYTES 18432                  /* weights of a block of k */
#endif

#define LAST_AHEAD 2                      /* rows that are asked for ahead of those that are turned */

/* Most pixels of a tile of nv vectors: sums and one k's vectors stay in registers. */
RT_INLINE int64_t SUF(last_high)(int nv) {
#if RT_VEC == 64 || defined(__aarch64__)
    return nv > 2 ? 6 : SHORT_LAST ? 12 : 6;
#else
    return nv > 1 || !SHORT_LAST ? 6 : 12;
#endif
}

/* Pixels of the next tile where n are left: even tiles, of a height that exists. */
RT_INLINE int64_t SUF(last_next)(int64_t n, int64_t high) {
    int64_t tiles = (n + high - 1) / high, mr = (n + tiles - 1) / tiles;
    if (mr > 8 && mr % 2) mr = n == 21 ? 7 : mr < n ? mr + 1 : (n + 1) / 2;
    return mr;
}

/* out[i,j] = (init[j], or out[i,j] when it is NULL) + sum over s < segs, k < len of x[off[s] + k*kstep + i*pitch] * w[s,k,j]. Sums of a
 * block are made apart from what is there already: rounding errors grow with the length of a block, not of the whole. cut: negative
 * results become zero. */
RT_INLINE void SUF(last_tile)(int mr, int nv, int64_t segs, int64_t len, const int64_t *restrict off, const T *restrict x, int64_t pitch,
                              int64_t kstep, const T *restrict w, int64_t wstep, const T *init, T *restrict out, int64_t out_pitch, int cut) {
    V acc[LAST_R][LAST_V];
#pragma GCC unroll 12
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) acc[i][j] = init ? VF(load)(init + j * LANES) : (V){0};
    for (int64_t s = 0; s < segs; s++) {
        const T *p = x + off[s], *q = p + 6 * pitch;        /* two bases share the steps: there are few address registers */
        for (int64_t k = 0; k < len; k++, p += kstep, q += kstep, w += wstep) {
            V b[LAST_V];
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) b[j] = VF(load)(w + j * LANES);
#pragma GCC unroll 12
            for (int i = 0; i < mr; i++) {
                V a = VF(set)(i < 6 ? p[i * pitch] : q[(i - 6) * pitch]);
#pragma GCC unroll 4
                for (int j = 0; j < nv; j++) acc[i][j] = VF(fma)(a, b[j], acc[i][j]);
            }
        }
    }
    if (cut) {
#pragma GCC unroll 12
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++)
                VF(store)(out + i * out_pitch + j * LANES, VF(positive)(init ? acc[i][j] : VF(load)(out + i * out_pitch + j * LANES) + acc[i][j]));
        return;
    }
#pragma GCC unroll 12
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) VF(store)(out + i * out_pitch + j * LANES, init ? acc[i][j] : VF(load)(out + i * out_pitch + j * LANES) + acc[i][j]);
}

typedef void (*SUF(LastTile))(int64_t, int64_t, const int64_t *, const T *, int64_t, int64_t, const T *, int64_t, const T *, T *, int64_t, int);
#define TILE(mr, nv)                                                                                                          \
    static __attribute__((noinline)) void SUF(last_##mr##_##nv)(int64_t segs, int64_t len, const int64_t *off, const T *x,       \
            int64_t pitch, int64_t kstep, const T *w, int64_t wstep, const T *init, T *out, int64_t out_pitch, int cut) {        \
        SUF(last_tile)(mr, nv, segs, len, off, x, pitch, kstep, w, wstep, init, out, out_pitch, cut);                            \
    }
#define TILES(nv) TILE(1, nv) TILE(2, nv) TILE(3, nv) TILE(4, nv) TILE(5, nv) TILE(6, nv)
#define HIGH(nv) TILE(7, nv) TILE(8, nv) TILE(10, nv) TILE(12, nv)
#define ROW(nv) SUF(last_1_##nv), SUF(last_2_##nv), SUF(last_3_##nv), SUF(last_4_##nv), SUF(last_5_##nv), SUF(last_6_##nv)
#define HIGH_ROW(nv) ROW(nv), SUF(last_7_##nv), SUF(last_8_##nv), NULL, SUF(last_10_##nv), NULL, SUF(last_12_##nv)
TILES(1) TILES(2)
#if LAST_V > 2
TILES(4) HIGH(1) HIGH(2)
static const SUF(LastTile) SUF(last_tiles)[LAST_V][LAST_R] = {{HIGH_ROW(1)}, {HIGH_ROW(2)}, {NULL}, {ROW(4)}};
#elif SHORT_LAST
HIGH(1)
static const SUF(LastTile) SUF(last_tiles)[LAST_V][LAST_R] = {{HIGH_ROW(1)}, {ROW(2)}};
#else
static const SUF(LastTile) SUF(last_tiles)[LAST_V][LAST_R] = {{ROW(1)}, {ROW(2)}};
#endif
#undef HIGH
#undef HIGH_ROW
#undef TILE
#undef TILES
#undef ROW

/* A product over images with channels innermost, beside its Job. */
typedef struct {
    int64_t lo[3], ext[3];                /* first tap; reach of the taps (last - first + 1) */
    int64_t block[3];                     /* results of a task along the dimensions */
    int64_t plane[3];                     /* of the buffer a task reads */
    int64_t segs, len, pitch;             /* segments, their length, elements from pixel to pixel of the buffer */
    int64_t *off, *order;                 /* of segments in the buffer; taps by their position */
    int direct;                           /* the source itself is read */
} SUF(Last);

static void SUF(last_free)(SUF(Last) *l) { free(l->off); }

/* Piece i of the grid: results [at, end). */
static void SUF(last_piece)(const SUF(Last) *l, const SUF(Job) *j, const int64_t *pieces, int64_t i, int64_t *at, int64_t *end) {
    for (int d = 2; d >= 0; i /= pieces[d--]) {
        at[d] = i % pieces[d] * l->block[d];
        end[d] = j->grid[d] - at[d] < l->block[d] ? j->grid[d] : at[d] + l->block[d];
    }
}

/* Reach of the taps, whether the source can be read in place, and the pieces; outermost: these are cut along the outermost dimension. */
static int SUF(last_plan)(SUF(Last) *l, const SUF(Job) *j, RtOrder from, int outermost, int threads) {
    l->direct = from.channel == 1;
    for (int d = 0; d < 3; d++) {
        int64_t lo = 0, hi = 0;
        for (int64_t t = 0; t < j->taps; t++) {
            int64_t v = j->tap[3 * t + d];
            if (t == 0 || v < lo) lo = v;
            if (t == 0 || v > hi) hi = v;
        }
        l->lo[d] = lo;
        l->ext[d] = hi - lo + 1;
        if (lo < 0 || (j->grid[d] - 1) * j->step[d] + hi >= j->in[d]) l->direct = 0;
    }
    /* tasks: whole images, or stretches of rows where images are few or large; signals are cut themselves, volumes along the planes, or along their rows where
     * these have fewer in common, or where the planes are too few for all threads */
    int64_t images = j->batch * j->groups;
    int rowwise = !outermost && j->grid[1] > 1 && (l->ext[1] < l->ext[0] || (images < threads && j->grid[0] < 2 * l->ext[0] * threads && l->ext[1] <= l->ext[0]));
    int split = j->grid[0] > 1 && !rowwise ? 0 : j->grid[1] > 1 ? 1 : 2;          /* which dimension is cut */
    int64_t rows = j->grid[split], want = rows;
    int64_t row_in = j->cin * (split == 2 ? 1 : j->in[2] * (split ? (j->grid[0] > 1 ? j->in[0] : 1) : j->in[1])) * j->step[split];
    if (images % threads && images < 8 * threads) want = (rows * images + 4 * threads - 1) / (4 * threads);
    int64_t fits = 98304 / (row_in + 1) + 1;
    if (want > fits) want = fits;
    int64_t least = split == 2 ? 4 * l->ext[2] + 32 : 2 * l->ext[split];
    if (want < least) want = least;
    if (want > rows) want = rows;
    int64_t pieces = want > 0 ? (rows + want - 1) / want : 1, even = (pieces + threads - 1) / threads * threads;
    if (images < threads && pieces > 1 && (rows + even - 1) / even >= l->ext[split]) pieces = even;      /* as many for each thread */
    want = pieces ? (rows + pieces - 1) / pieces : rows;
    for (int d = 0; d < 3; d++) l->block[d] = d == split ? want : j->grid[d];
    l->pitch = l->direct ? from.pixel : j->cin;
    for (int d = 0; d < 3; d++)
        l->plane[d] = l->direct ? j->in[d] : (l->block[d] - 1) * j->step[d] + l->ext[d];
    /* taps by position; runs of neighbours become one segment */
    l->off = malloc((size_t)(2 * j->taps + 2) * sizeof(int64_t));
    if (!l->off) return 1;
    l->order = l->off + j->taps + 1;
    for (int64_t t = 0; t < j->taps; t++) {
        const int64_t *v = j->tap + 3 * t;
        int64_t at[3];
        for (int d = 0; d < 3; d++) at[d] = v[d] - (l->direct ? 0 : l->lo[d]);
        int64_t pos = ((at[0] * l->plane[1] + at[1]) * l->plane[2] + at[2]) * l->pitch, i = t;
        for (; i > 0 && l->off[i - 1] > pos; i--) { l->off[i] = l->off[i - 1]; l->order[i] = l->order[i - 1]; }
        l->off[i] = pos;
        l->order[i] = t;
    }
    int64_t run = 1;
    if (l->pitch == j->cin)
        while (run < j->taps && l->off[run] == l->off[run - 1] + j->cin) run++;
    int same = run > 0 && j->taps % run == 0;
    for (int64_t t = 0; same && t < j->taps; t++)
        if (t % run && l->off[t] != l->off[t - 1] + j->cin) same = 0;
    if (!same) run = 1;
    l->segs = j->taps / run;
    l->len = j->cin * run;
    for (int64_t s = 0; s < l->segs; s++) l->off[s] = l->off[s * run];
    return 0;
}

/* Vectors of the block of channels that begins at vector v: LAST_V, then 2, then 1. */
RT_INLINE int SUF(last_vectors)(int64_t v, int64_t vectors) {
    int64_t left = vectors - v;
    return left >= LAST_V ? LAST_V : left >= 2 ? 2 : 1;
}

/* The vector of weights v among its block: where the block's weights begin, and how many vectors it has. */
RT_INLINE int64_t SUF(last_block)(int64_t v, int64_t vectors, int64_t *nv) {
    int64_t first = v / LAST_V * LAST_V;
    while (first + (*nv = SUF(last_vectors)(first, vectors)) <= v) first += *nv;
    return first;
}

enum { SUF(PACK_WIDE) = 16, SUF(PACK_LONG) = 64 };       /* result channels and products that are turned at once */

/* Weights of PACK_WIDE result channels from m0 on, whose products lie in rows, by channels or (`inner`) by taps: they are turned in squares, and each
 * product put where its tap and channel belong (`place`: of the taps). */
static void SUF(last_pack_wide)(int64_t m0, int64_t cin, int64_t taps, int inner, int64_t vectors, const int64_t *place, const T *w, const T *scale, T *restrict to) {
    enum { WIDE = SUF(PACK_WIDE), LONG = SUF(PACK_LONG), PARTS_WIDE = WIDE / LANES };
    int64_t kn = cin * taps, nv[PARTS_WIDE], c = 0, t = 0;
    T *dst[PARTS_WIDE], turned[LONG * WIDE] __attribute__((aligned(64)));
    V factor[PARTS_WIDE];
    for (int i = 0; i < PARTS_WIDE; i++) {
        int64_t v = m0 / LANES + i, first = SUF(last_block)(v, vectors, nv + i);
        dst[i] = to + first * LANES * kn + (v - first) * LANES;
        factor[i] = scale ? VF(load)(scale + m0 + i * LANES) : VF(set)(1);
    }
    for (int64_t k0 = 0; k0 < kn; k0 += LONG) {
        int64_t len = kn - k0 < LONG ? kn - k0 : LONG, k = 0;
        const T *src = w + m0 * kn + k0;
        for (; k + 16 <= len; k += 16) SUF(turn_square)(turned + k * WIDE, WIDE, src + k, kn);
        for (; k < len; k++) for (int i = 0; i < WIDE; i++) turned[k * WIDE + i] = src[i * kn + k];
        for (k = 0; k < len; k++) {
            int64_t at = place[t] * cin + c;
            for (int i = 0; i < PARTS_WIDE; i++) VF(store)(dst[i] + at * nv[i] * LANES, VF(load)(turned + k * WIDE + i * LANES) * factor[i]);
            if (inner) { if (++c == cin) { c = 0; t++; } }
            else if (++t == taps) { t = 0; c++; }
        }
    }
}

/* Weights of one group, times the factors of its channels (or NULL): [block of channels][k][channel], zeros behind the last channel. order: of the
 * taps, NULL: their own. */
static void SUF(last_pack)(const SUF(Job) *j, const int64_t *order, const T *w, const int64_t *ws, const T *scale, T *restrict to, int threads) {
    int64_t kn = j->cin * j->taps, vectors = (j->m + LANES - 1) / LANES, place[64], from = 0;
    threads = rt_few((double)j->m * kn, 65536, threads, (j->m + 15) / 16);
    int rows = ws[2] == 1 && ws[1] == j->taps, inner = ws[1] == 1 && ws[2] == j->cin;
    if ((rows || inner) && ws[0] == kn && j->taps <= 64 && !j->which) {
        for (int64_t t = 0; t < j->taps; t++) place[order ? order[t] : t] = t;
        from = j->m / 16;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t b = 0; b < from; b++) SUF(last_pack_wide)(b * 16, j->cin, j->taps, !rows, vectors, place, w, scale, to);
        from *= 16 / LANES;
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t v = from; v < vectors; v++) {
        int64_t nv, first = SUF(last_block)(v, vectors, &nv);
        int64_t m0 = v * LANES, count = j->m - m0 < LANES ? j->m - m0 : LANES;
        T *dst = to + first * LANES * kn + (v - first) * LANES;
        V factor = scale ? VF(load_first)(scale + m0, (int)count) : VF(set)(1);
        for (int64_t c = 0; c < j->cin; c++)                 /* all taps of a channel: they are neighbours, or rows that each lie together */
            for (int64_t t = 0; t < j->taps; t++) {
                const T *src = w + (order ? order[t] : t) * ws[2] + c * ws[1] + m0 * ws[0];
                T *at = dst + (t * j->cin + c) * nv * LANES;
                if (ws[0] == 1) VF(store)(at, VF(load_first)(src, (int)count) * factor);
                else {
                    T some[LANES] __attribute__((aligned(64)));
                    for (int i = 0; i < LANES; i++) some[i] = i < count ? src[i * ws[0]] : 0;
                    VF(store)(at, VF(load)(some) * factor);
                }
            }
    }
}

/* dst[i*pitch + c] = src[i + c*step]: pixels of channel planes become pixels of channels. The last squares overlap those before them. */
RT_INLINE void SUF(last_turn)(T *restrict dst, int64_t pitch, const T *restrict src, int64_t step, int64_t len, int64_t channels) {
    if (channels == 3 && pitch == 3) { SUF(weave_3)(dst, src, step, len); return; }
    for (int64_t i0 = 0; i0 < len; i0 += 16)
        for (int64_t c0 = 0; c0 < channels; c0 += 16) {
            int64_t i = len - i0 < 16 && len >= 16 ? len - 16 : i0, c = channels - c0 < 16 && channels >= 16 ? channels - 16 : c0;
            if (len >= 16 && channels >= 16) SUF(turn_square)(dst + i * pitch + c, pitch, src + c * step + i, step);
            else {
                int64_t high = len - i < 16 ? len - i : 16, wide = channels - c < 16 ? channels - c : 16;
                SUF(turn_part)(dst + i * pitch + c, pitch, src + c * step + i, step, high, wide);
            }
        }
}

/* `rows` rows of `len` elements that will be turned are asked for: they lie in as many places as there are channels, too many streams for the hardware to follow. */
RT_INLINE void SUF(last_ask)(const T *at, int64_t step, int64_t len, int64_t rows, int written) {
    for (int64_t r = 0; r < rows; r++, at += step)
        for (int64_t i = 0; i < len; i += 64 / (int64_t)sizeof(T)) {
            if (written) __builtin_prefetch(at + i, 1);
            else __builtin_prefetch(at + i);
        }
}

/* The padded buffer of results [a0, a0+block) x [b0, b0+block) x [c0, c0+block) of one group of one image. */
static void SUF(last_pad)(const SUF(Last) *l, const SUF(Job) *j, const T *x, RtOrder from, int64_t a0, int64_t b0, int64_t c0, T *restrict to) {
    int64_t c = j->cin, row = l->plane[2] * c;
    for (int64_t a = 0; a < l->plane[0]; a++)
        for (int64_t b = 0; b < l->plane[1]; b++, to += row) {
            int64_t z = a0 * j->step[0] + l->lo[0] + a, y = b0 * j->step[1] + l->lo[1] + b, first = c0 * j->step[2] + l->lo[2];
            if (z < 0 || z >= j->in[0] || y < 0 || y >= j->in[1]) { memset(to, 0, (size_t)row * sizeof(T)); continue; }
            int64_t lead = first < 0 ? -first : 0, skip = first > 0 ? first : 0;
            int64_t len = j->in[2] - skip < l->plane[2] - lead ? j->in[2] - skip : l->plane[2] - lead;
            if (lead > l->plane[2]) lead = l->plane[2];
            if (len < 0) len = 0;
            const T *src = x + ((z * j->in[1] + y) * j->in[2] + skip) * from.pixel;
            memset(to, 0, (size_t)(lead * c) * sizeof(T));
            if (from.channel != 1) {
                if (b + LAST_AHEAD < l->plane[1] && y + LAST_AHEAD < j->in[1]) SUF(last_ask)(src + LAST_AHEAD * j->in[2], from.channel, len, c, 0);
                SUF(last_turn)(to + lead * c, c, src, from.channel, len, c);
            } else if (from.pixel == c) memcpy(to + lead * c, src, (size_t)(len * c) * sizeof(T));
            else for (int64_t i = 0; i < len; i++) memcpy(to + (lead + i) * c, src + i * from.pixel, (size_t)c * sizeof(T));
            memset(to + (lead + len) * c, 0, (size_t)((l->plane[2] - lead - len) * c) * sizeof(T));
        }
}

/* A row of `len` results from scratch (pixels of `width` channels) to where they belong. */
static void SUF(last_out)(const T *restrict s, int64_t width, int64_t len, int64_t channels, T *restrict to, int64_t pixel, int64_t channel) {
    if (channel == 1)
        for (int64_t i = 0; i < len; i++) memcpy(to + i * pixel, s + i * width, (size_t)channels * sizeof(T));
    else if (pixel == 1) SUF(last_turn)(to, channel, s, width, channels, len);
    else
        for (int64_t m = 0; m < channels; m++)
            for (int64_t i = 0; i < len; i++) to[m * channel + i * pixel] = s[i * width + m];
}

/* Results [a0,a1) x [b0,b1) x [c0,c0+tw) of the product of one group of one image. `tail`: length of the last row of all; y: the group's
 * first channel of pixel 0; scratch: last_scratch elements. */
static void SUF(last_rows)(const SUF(Last) *l, const SUF(Job) *j, const T *x, const T *w, const T *bias, T *y, const SUF(Dest) *dest,
                           int64_t a0, int64_t a1, int64_t b0, int64_t b1, int64_t c0, int64_t tw, int64_t tail, int64_t chunk, T *scratch) {
    int64_t kn = j->cin * j->taps, tall = b1 - b0, rows = (a1 - a0) * tall;
    int64_t vectors = (j->m + LANES - 1) / LANES;
    int nv;
    for (int64_t v = 0; v < vectors; v += nv) {
        nv = SUF(last_vectors)(v, vectors);
        int64_t width = nv * LANES, m0 = v * LANES, channels = j->m - m0 < width ? j->m - m0 : width;
        int out_direct = channels == width && dest->row == 1;
        int64_t block = nv, begin = v, wide = width;
        if (j->whole) begin = SUF(last_block)(j->before + v, j->whole, &block);
        const T *wb = w + v * LANES * kn;
        if (j->whole && j->packed) {                         /* this share's part of blocks of all channels */
            wb = w + begin * LANES * kn + (j->before + v - begin) * LANES;
            wide = block * LANES;
        }
        int64_t most = LAST_BYTES / (block * LANES * (int64_t)sizeof(T)), per = 1, part = l->len;
        if (l->len >= most) { int64_t n = (l->len + most - 1) / most; part = (l->len + n - 1) / n; }
        else if (l->len) per = most / l->len;
        for (int64_t r0 = 0; r0 < rows; r0 += chunk) {
            int64_t r1 = rows - r0 < chunk ? rows : r0 + chunk;
            int first = 1;
            for (int64_t s = 0; s < l->segs || first; s += per) {
                int64_t segs = l->segs - s < per ? l->segs - s : per;
                for (int64_t k = 0; k < l->len || first; k += part, first = 0) {
                    int64_t len = l->len - k < part ? l->len - k : part;
                    int last = s + per >= l->segs && k + part >= l->len;
                    for (int64_t r = r0; r < r1; r++) {
                        int64_t a = a0 + r / tall, b = b0 + r % tall;
                        int64_t n = a == j->grid[0] - 1 && b == j->grid[1] - 1 ? tail : tw;
                        int64_t sa = l->direct ? a : a - a0, sb = l->direct ? b : b - b0, sc = l->direct ? c0 : 0;
                        const T *src = x + ((sa * j->step[0] * l->plane[1] + sb * j->step[1]) * l->plane[2] + sc * j->step[2]) * l->pitch + k;
                        T *out = y + dest->first + a * dest->step[0] + b * dest->step[1] + c0 * dest->step[2] + m0 * dest->row;
                        T *to = out_direct ? out : scratch + (r - r0) * tw * width;
                        int64_t to_pitch = out_direct ? dest->step[2] : width, pitch = j->step[2] * l->pitch;
                        if (last && dest->step[2] == 1) SUF(last_ask)(out, dest->row, n, channels, 1);
                        for (int64_t i = 0, mr; i < n; i += mr) {
                            mr = SUF(last_next)(n - i, SUF(last_high)(nv));
                            SUF(last_tiles)[nv - 1][mr - 1](segs, len, l->off + s, src + i * pitch, pitch, 1, wb + (s * l->len + k) * wide, wide,
                                                            first ? bias + m0 : NULL, to + i * to_pitch, to_pitch, last && j->cut);
                        }
                        if (last && !out_direct) SUF(last_out)(to, width, n, channels, out, dest->step[2], dest->row);
                    }
                }
            }
        }
    }
}

/* Note [Shares of channels]
 * One small image with many channels (a batch of 1, deep in a network) has more weights than pixels. Threads that share its pixels would all read
 * weights that one of them has just packed, and fetching them out of another core's cache takes as long as the products; so each takes result
 * channels of its own, and packs what belongs to them. Shares begin where blocks of channels do, or halve the only one, and blocks of k are those of
 * the whole product: the bits do not depend on the threads. */

/* All groups and images of a product. ws: steps of the weights of a group (result channel, summed channel, tap), and of
 * the groups. dest: steps of the result in elements, with `row` from channel to channel. */
static int SUF(run_last)(SUF(Job) *j, const T *x, RtOrder from, const T *w, const int64_t *ws, const T *bias, SUF(Dest) dest, int threads) {
    int64_t pixels = j->grid[0] * j->grid[1] * j->grid[2], kn = j->cin * j->taps, tail = j->grid[2];
    if (!pixels || !j->batch || !j->m) return 0;
    threads = rt_few((double)j->batch * j->groups * j->m * kn * pixels, GRAIN_MACS, threads, threads);
    int64_t vectors = (j->m + LANES - 1) / LANES, unit = (vectors > LAST_V ? LAST_V : 2) * LANES, units = (j->m + unit - 1) / unit;
    if (threads > 1 && j->batch * j->groups == 1 && units > 1 && j->m * j->taps > j->in[0] * j->in[1] * j->in[2]) {
        int shares = (int)(units < threads ? units : threads), bad = 0;
        RT_OMP(omp parallel for num_threads(shares) schedule(static))
        for (int i = 0; i < shares; i++) {
            int64_t first = units * i / shares * unit, end = i + 1 < shares ? units * (i + 1) / shares * unit : j->m;
            SUF(Job) mine = *j;
            SUF(Dest) to = dest;
            mine.before = first / LANES;
            mine.whole = vectors;
            mine.m = end - first;
            if (j->scale) mine.scale = j->scale + first;
            to.y += first * dest.row;
            if (SUF(run_last)(&mine, x, from, w + first * ws[0], ws, bias ? bias + first : NULL, to, 1)) { RT_OMP(omp atomic write) bad = 1; }
        }
        return bad;
    }
    SUF(Last) l;
    SUF(Job) flat;
    int dense = dest.row == 1 && !dest.first && dest.step[1] == j->grid[2] * dest.step[2] && dest.step[0] == j->grid[1] * dest.step[1];
    if (j->taps == 1 && from.channel == 1 && dense) {      /* pixels of all images are one long row: cut into even ones */
        int same = 1;
        for (int d = 0; d < 3; d++) same &= j->tap[d] == 0 && j->step[d] == 1 && j->grid[d] == j->in[d];
        if (same) {
            int64_t all = pixels * j->batch, row = 10 * LAST_R;
            flat = *j;
            flat.batch = 1;
            flat.grid[0] = flat.in[0] = 1;
            flat.grid[1] = flat.in[1] = (all + row - 1) / row;
            flat.grid[2] = flat.in[2] = row;
            tail = all - (flat.grid[1] - 1) * row;
            dest.step[1] = row * dest.step[2];
            j = &flat;
        }
    }
    if (SUF(last_plan)(&l, j, from, 0, threads)) return 1;
    for (int64_t t = 0; j->which && t < j->taps; t++) l.order[t] = j->which[l.order[t]];
    int64_t mpad = (j->m + LANES - 1) / LANES * LANES, pieces[3], each = 1;
    for (int d = 0; d < 3; d++) each *= pieces[d] = (j->grid[d] + l.block[d] - 1) / l.block[d];
    int64_t tasks = j->batch * j->groups * each;
    int64_t width = mpad < LAST_W ? mpad : LAST_W, chunk = LAST_CHUNK / (l.block[2] * width) + 1;
    int64_t size = l.direct ? 0 : l.plane[0] * l.plane[1] * l.plane[2] * j->cin;
    size = (size + LANES - 1) / LANES * LANES;
    int64_t room = size + chunk * l.block[2] * width;
    int failed = 0;
    T *base = SUF(buffer)(j->groups * mpad * (j->packed ? 1 : kn + 1)), *own = base ? base + j->groups * mpad : NULL;
    const T *a = j->packed ? j->packed : own;
    if (!base) { SUF(last_free)(&l); return 1; }
    if (threads > tasks) threads = (int)tasks;
    for (int64_t g = 0; g < j->groups; g++) {
        if (!j->packed) SUF(last_pack)(j, l.order, w + g * ws[3], ws, j->scale ? j->scale + g * j->m : NULL, own + g * mpad * kn, threads);
        for (int64_t m = 0; m < mpad; m++) base[g * mpad + m] = bias && m < j->m ? bias[g * j->m + m] : 0;
    }
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T *buf = SUF(buffer)(room);
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(task) {
                int64_t g = task / each % j->groups, n = task / each / j->groups;
                int64_t at[3], end[3];
                SUF(last_piece)(&l, j, pieces, task % each, at, end);
                const T *src = x + n * from.image + g * j->cin * from.channel;
                if (!l.direct) SUF(last_pad)(&l, j, src, from, at[0], at[1], at[2], buf);
                SUF(last_rows)(&l, j, l.direct ? src : buf, a + g * mpad * kn, base + g * mpad, dest.y + n * dest.image + g * j->m * dest.row,
                               &dest, at[0], end[0], at[1], end[1], at[2], end[2] - at[2], tail < end[2] - at[2] ? tail : end[2] - at[2], chunk, buf + size);
            }
        }
        free(buf);
    }
    free(base);
    SUF(last_free)(&l);
    return failed;
}

static void SUF(weight_steps)(const RtConvGeom *c, int last, int forward, int64_t *ws) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], o = c->cin * taps, i = last ? 1 : taps;
    ws[0] = forward ? o : i;
    ws[1] = forward ? i : o;
    ws[2] = last ? c->cin : 1;
    ws[3] = c->cout * o;
}

/* orders: bits RT_LAST_* of the arrays that have their channels innermost */
static int SUF(forward_last)(const RtConvGeom *c, const T *x, const T *w, const T *b, T *y, int orders, int threads) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], pixels = c->out[0] * c->out[1] * c->out[2], ws[4];
    SUF(Job) j = {.m = c->cout, .cin = c->cin, .taps = taps, .batch = c->batch, .groups = c->groups, .scale = c->scale, .cut = (int)c->cut,
                  .packed = c->packed};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    if (!tap) return 1;
    SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    SUF(weight_steps)(c, orders & RT_LAST_W, 1, ws);
    RtOrder from = order(c->groups * c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X);
    RtOrder to = order(c->groups * c->cout, pixels, orders & RT_LAST_Y);
    SUF(Dest) d = {y, to.image, to.channel, 0, {c->out[1] * c->out[2] * to.pixel, c->out[2] * to.pixel, to.pixel}};
    int rc = SUF(run_last)(&j, x, from, w, ws, b, d, threads);
    free(tap);
    return rc;
}

/* The form of the weights that forward_last() takes as c->packed: all groups'. Taps lie in their own order. */
static void SUF(keep_last)(const RtConvGeom *c, const T *w, int orders, T *to, int threads) {
    SUF(Job) j = {.m = c->cout, .cin = c->cin, .taps = c->kernel[0] * c->kernel[1] * c->kernel[2]};
    int64_t ws[4], size = (c->cout + LANES - 1) / LANES * LANES * j.cin * j.taps;
    SUF(weight_steps)(c, orders & RT_LAST_W, 1, ws);
    for (int64_t g = 0; g < c->groups; g++) SUF(last_pack)(&j, NULL, w + g * ws[3], ws, c->scale ? (const T *)c->scale + g * c->cout : NULL, to + g * size, threads);
}

static int SUF(dinput_last)(const RtConvGeom *c, const T *g, const T *w, const T *b, T *gx, int orders, int threads) {
    int64_t all = c->kernel[0] * c->kernel[1] * c->kernel[2], ws[4], r[3];
    int64_t *tap = malloc((size_t)(4 * all + 1) * sizeof(int64_t)), *which = tap + 3 * all;
    if (!tap) return 1;
    RtOrder from = order(c->groups * c->cout, c->out[0] * c->out[1] * c->out[2], orders & RT_LAST_Y);
    RtOrder to = order(c->groups * c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X);
    SUF(weight_steps)(c, orders & RT_LAST_W, 0, ws);
    int rc = 0;
    for (r[0] = 0; r[0] < c->stride[0] && !rc; r[0]++)
    for (r[1] = 0; r[1] < c->stride[1] && !rc; r[1]++)
    for (r[2] = 0; r[2] < c->stride[2] && !rc; r[2]++) {
        SUF(Job) j;
        SUF(Dest) d;
        SUF(dinput_job)(c, r, &j, tap, which, gx, &d);
        if (c->stride[0] * c->stride[1] * c->stride[2] > 1) j.which = which;
        d.image = to.image;
        d.row = to.channel;
        d.first *= to.pixel;
        for (int k = 0; k < 3; k++) d.step[k] *= to.pixel;
        rc |= SUF(run_last)(&j, g, from, w, ws, b, d, threads);
    }
    free(tap);
    return rc;
}

/* Each part of the images adds into its own array of [group][k][output channel]; the arrays are added in order: the
 * result does not depend on the number of threads. */
static int SUF(dweight_last)(const RtConvGeom *c, const T *g, const T *x, T *gw, int orders, int threads) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], kn = c->cin * taps, pixels = c->out[0] * c->out[1] * c->out[2], ws[4];
    int64_t mpad = (c->cout + LANES - 1) / LANES * LANES, wsize = c->groups * kn * mpad;
    if (!wsize) return 0;
    SUF(weight_steps)(c, orders & RT_LAST_W, 1, ws);
    if (!pixels || !c->batch) { memset(gw, 0, (size_t)(c->groups * c->cout * kn) * sizeof(T)); return 0; }
    SUF(Job) j = {.m = c->cout, .cin = c->cin, .taps = taps, .batch = c->batch, .groups = c->groups};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    if (!tap) return 1;
    SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    RtOrder from = order(c->groups * c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X);
    RtOrder up = order(c->groups * c->cout, pixels, orders & RT_LAST_Y);
    threads = rt_few((double)c->batch * c->groups * c->cout * kn * pixels, GRAIN_MACS, threads, threads);
    SUF(Last) l;
    if (SUF(last_plan)(&l, &j, from, 0, PARTS)) { free(tap); return 1; }       /* PARTS: the cut is the same for all numbers of threads */
    int64_t pieces[3], each = 1;
    for (int d = 0; d < 3; d++) each *= pieces[d] = (j.grid[d] + l.block[d] - 1) / l.block[d];
    int64_t steps = c->batch * each;
    int64_t most = c->groups >= PARTS ? 1 : c->batch * pixels / 256, parts = most < 1 ? 1 : most < PARTS ? most : PARTS;
    if (parts > steps) parts = steps;
    int64_t tasks = parts * c->groups;
    if (threads > tasks) threads = (int)tasks;
    int64_t chunk = 96 / l.block[2] + 1, size = l.direct ? 0 : l.plane[0] * l.plane[1] * l.plane[2] * j.cin;
    size = (size + LANES - 1) / LANES * LANES;
    int g_direct = c->cout % LANES == 0 && up.channel == 1, failed = 0;
    int64_t gsize = g_direct ? 0 : chunk * l.block[2] * mpad;
    T *sums = SUF(buffer)(parts * wsize);              /* given a value by each part's first pixels */
    SHARES(threads, tasks);
    if (!sums) failed = 1;
    else
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T *buf = SUF(buffer)(size + gsize + LAST_W), *gbuf = buf ? buf + size : NULL, *none = buf ? gbuf + gsize : NULL;
        int64_t *rows = malloc((size_t)chunk * sizeof(int64_t));
        if (!buf || !rows) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            memset(gbuf, 0, (size_t)(gsize + LAST_W) * sizeof(T));
            EACH(task) {
                int64_t part = task / c->groups, group = task % c->groups;
                const T *init = none;
                T *out = sums + part * wsize + group * kn * mpad;
                for (int64_t s = steps * part / parts; s < steps * (part + 1) / parts; s++) {
                    int64_t n = s / each, at[3], end[3];
                    SUF(last_piece)(&l, &j, pieces, s % each, at, end);
                    int64_t tw = end[2] - at[2];             /* less than the whole row only where there is a single one */
                    const T *src = x + n * from.image + group * j.cin * from.channel;
                    if (!l.direct) SUF(last_pad)(&l, &j, src, from, at[0], at[1], at[2], buf);
                    for (int64_t a = at[0]; a < end[0]; a++)
                    for (int64_t b = at[1]; b < end[1]; b += chunk) {
                        int64_t count = end[1] - b < chunk ? end[1] - b : chunk;
                        int64_t sa = l.direct ? a : a - at[0], sb = l.direct ? b : b - at[1], sc = l.direct ? at[2] : 0;
                        const T *xs = (l.direct ? src : buf) + ((sa * j.step[0] * l.plane[1] + sb * j.step[1]) * l.plane[2] + sc * j.step[2]) * l.pitch;
                        const T *gs = g + n * up.image + group * c->cout * up.channel + ((a * j.grid[1] + b) * j.grid[2] + at[2]) * up.pixel;
                        if (!g_direct)                           /* a block of channels after the other: pixels a row apart would share few cache sets */
                            for (int64_t m0 = 0, nv; m0 < mpad; m0 += nv * LANES) {
                                nv = SUF(last_vectors)(m0 / LANES, mpad / LANES);
                                int64_t channels = c->cout - m0 < nv * LANES ? c->cout - m0 : nv * LANES;
                                T *to = gbuf + m0 * chunk * tw;
                                const T *block = gs + m0 * up.channel;
                                if (up.channel == 1)
                                    for (int64_t i = 0; i < count * tw; i++) memcpy(to + i * nv * LANES, block + i * up.pixel, (size_t)channels * sizeof(T));
                                else SUF(last_turn)(to, nv * LANES, block, up.channel, count * tw, channels);
                            }
                        for (int64_t r = 0; r < count; r++) rows[r] = r * j.step[1] * l.plane[2] * l.pitch;
                        int nv;
                        for (int64_t m0 = 0; m0 < mpad; m0 += nv * LANES) {
                            nv = SUF(last_vectors)(m0 / LANES, mpad / LANES);
                            const T *gm = g_direct ? gs + m0 : gbuf + m0 * chunk * tw;
                            int64_t pitch = g_direct ? up.pixel : nv * LANES;
                            for (int64_t q = 0; q < l.segs; q++) {
                                for (int64_t i = 0, mr; i < l.len; i += mr) {
                                    mr = SUF(last_next)(l.len - i, SUF(last_high)(nv));
                                    SUF(last_tiles)[nv - 1][mr - 1](count, tw, rows, xs + l.off[q] + i, 1, j.step[2] * l.pitch, gm, pitch, init,
                                                                    out + (q * l.len + i) * mpad + m0, mpad, 0);
                                }
                            }
                        }
                        init = NULL;
                    }
                }
            }
        }
        free(buf); free(rows);
    }
    if (!failed) {
        threads = rt_few((double)parts * wsize, 32768, threads, c->groups * (mpad / LANES));
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t row = 0; row < c->groups * (mpad / LANES); row++) {      /* parts together, a vector of channels at a time */
            enum { ROWS = 64 };
            int64_t group = row / (mpad / LANES), o = row % (mpad / LANES) * LANES, channels = c->cout - o < LANES ? c->cout - o : LANES;
            T *to = gw + group * ws[3] + o * ws[0], sum[ROWS][LANES];
            for (int64_t t = 0; t < taps; t++)
                for (int64_t i0 = 0; i0 < c->cin; i0 += ROWS) {
                    int64_t count = c->cin - i0 < ROWS ? c->cin - i0 : ROWS;
                    for (int64_t i = 0; i < count; i++) {
                        const T *from_k = sums + (group * kn + t * c->cin + i0 + i) * mpad + o;
                        V total = VF(load)(from_k);
                        for (int64_t part = 1; part < parts; part++) total += VF(load)(from_k + part * wsize);
                        VF(store)(sum[i], total);
                    }
                    for (int64_t m = 0; m < channels; m++)
                        for (int64_t i = 0; i < count; i++) to[m * ws[0] + (i0 + i) * ws[1] + l.order[t] * ws[2]] = sum[i][m];
                }
        }
    }
    free(sums); free(tap);
    SUF(last_free)(&l);
    return failed;
}

/* The pixels that a window of one tap reads where strides skip others, put together: x of a product of stride 1. Row-major. */
static T *SUF(take_pixels)(const RtConvGeom *c, const T *x, int threads) {
    int64_t planes = c->batch * c->groups * c->cin, rows = c->out[0] * c->out[1], wide = c->out[2];
    T *to = SUF(buffer)(planes * rows * wide);
    if (!to) return NULL;
    threads = rt_few((double)planes * rows * wide, 32768, threads, planes);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < planes; i++)
        for (int64_t r = 0; r < rows; r++) {
            int64_t row = (i * c->in[0] + r / c->out[1] * c->stride[0]) * c->in[1] + r % c->out[1] * c->stride[1];
            SUF(gather_row)(to + (i * rows + r) * wide, x + row * c->in[2], wide, 0, c->stride[2], c->in[2]);
        }
    return to;
}

/* The way back: results of the stride-1 product to where they belong, the bias or zeros between them. */
static void SUF(put_pixels)(const RtConvGeom *c, const T *from, const T *bias, T *restrict gx, int threads) {
    int64_t channels = c->groups * c->cin, planes = c->batch * channels, wide = c->out[2], step = c->stride[2];
    threads = rt_few((double)planes * c->in[0] * c->in[1] * c->in[2], 65536, threads, planes);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < planes; i++) {
        T fill = bias ? bias[i % channels] : 0;
        for (int64_t z = 0; z < c->in[0]; z++)
            for (int64_t y = 0; y < c->in[1]; y++) {
                T *row = gx + ((i * c->in[0] + z) * c->in[1] + y) * c->in[2];
                for (int64_t k = 0; k < c->in[2]; k++) row[k] = fill;
                if (z % c->stride[0] || y % c->stride[1] || z / c->stride[0] >= c->out[0] || y / c->stride[1] >= c->out[1]) continue;
                const T *src = from + ((i * c->out[0] + z / c->stride[0]) * c->out[1] + y / c->stride[1]) * wide;
                for (int64_t k = 0; k < wide; k++) row[k * step] = src[k];
            }
    }
}

/* Sums of 64 rows in T, of these sums in double, PARTS apart and then in order. */
static void SUF(dbias_last)(const T *g, T *gb, int64_t rows, int64_t channels, int threads) {
    enum { COLUMNS = 64, ROWS = 64 };
    int64_t blocks = (channels + COLUMNS - 1) / COLUMNS;
    threads = rt_few((double)rows * channels, 65536, threads, blocks * PARTS);
    double *sums = calloc((size_t)(PARTS * channels), sizeof(double));
    if (!sums) threads = 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < blocks * PARTS; task++) {
        int64_t c0 = task % blocks * COLUMNS, part = task / blocks, n = channels - c0 < COLUMNS ? channels - c0 : COLUMNS;
        double total[COLUMNS] = {0};
        for (int64_t r0 = rows * part / PARTS; r0 < rows * (part + 1) / PARTS; r0 += ROWS) {
            int64_t r1 = r0 + ROWS < rows * (part + 1) / PARTS ? r0 + ROWS : rows * (part + 1) / PARTS;
            T s[COLUMNS] = {0};
            for (int64_t r = r0; r < r1; r++)
                for (int64_t i = 0; i < n; i++) s[i] += g[r * channels + c0 + i];
            for (int64_t i = 0; i < n; i++) total[i] += s[i];
        }
        if (sums) for (int64_t i = 0; i < n; i++) sums[part * channels + c0 + i] = total[i];
        else for (int64_t i = 0; i < n; i++) gb[c0 + i] = (T)(part ? gb[c0 + i] + total[i] : total[i]);
    }
    if (sums)
        for (int64_t i = 0; i < channels; i++) {
            double total = 0;
            for (int64_t part = 0; part < PARTS; part++) total += sums[part * channels + i];
            gb[i] = (T)total;
        }
    free(sums);
}

#undef LAST_V
#undef LAST_AHEAD
#undef LAST_R
#undef LAST_W

