/* Depthwise convolutions: typed body of conv.inc.c, included after conv_t.h.
 *
 * Note [Depthwise]
 * With one or two channels on either side of a group there is too little to reuse for the tiles of a
 * matrix product. A plane at a time is padded into a buffer that stays in the first cache, and results
 * are made row by row: DEPTH_R rows of DEPTH_C vectors have independent sums, each tap is one broadcast
 * and a multiply-add from memory. A strided gradient of the input is one such product for each residue
 * of the position; all residues of a plane are made while the plane is hot. */

#define DEPTH_R 4
#define DEPTH_C 2
#define DEPTH_TAPS 256                    /* most windows of a result */

RT_INLINE void SUF(depth_tile)(int nr, int nc, int64_t kn, const T *restrict w, const T *restrict x, int64_t pitch,
                               const int64_t *restrict off, T bias, int cut, T *restrict out, int64_t out_pitch, int64_t width) {
    V acc[DEPTH_R][DEPTH_C];
#pragma GCC unroll 4
    for (int r = 0; r < nr; r++)
#pragma GCC unroll 2
        for (int i = 0; i < nc; i++) acc[r][i] = VF(set)(bias);
    for (int64_t k = 0; k < kn; k++) {
        const T *p = x + off[k];
        V v = VF(set)(w[k]);
#pragma GCC unroll 4
        for (int r = 0; r < nr; r++)
#pragma GCC unroll 2
            for (int i = 0; i < nc; i++) acc[r][i] = VF(fma)(v, VF(load)(p + r * pitch + i * LANES), acc[r][i]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < nr; r++)
#pragma GCC unroll 2
        for (int i = 0; i < nc; i++) {
            int64_t left = width - i * LANES;
            if (cut) acc[r][i] = VF(positive)(acc[r][i]);
            if (left >= LANES) VF(store)(out + r * out_pitch + i * LANES, acc[r][i]);
            else VF(store_first)(out + r * out_pitch + i * LANES, acc[r][i], (int)left);
        }
}

#define TILE(nr, nc)                                                                                              \
    static __attribute__((noinline)) void SUF(depth_##nr##_##nc)(int64_t kn, const T *w, const T *x, int64_t pitch, \
                          const int64_t *off, T bias, int cut, T *out, int64_t out_pitch, int64_t width) {         \
        SUF(depth_tile)(nr, nc, kn, w, x, pitch, off, bias, cut, out, out_pitch, width);                           \
    }
TILE(1, 1) TILE(1, 2) TILE(2, 1) TILE(2, 2) TILE(3, 1) TILE(3, 2) TILE(4, 1) TILE(4, 2)
typedef void (*SUF(DepthTile))(int64_t, const T *, const T *, int64_t, const int64_t *, T, int, T *, int64_t, int64_t);
static const SUF(DepthTile) SUF(depth_tiles)[DEPTH_R][DEPTH_C] = {
    {SUF(depth_1_1), SUF(depth_1_2)}, {SUF(depth_2_1), SUF(depth_2_2)},
    {SUF(depth_3_1), SUF(depth_3_2)}, {SUF(depth_4_1), SUF(depth_4_2)},
};
#undef TILE

/* 3 x 3 taps that are neighbours: each vector of a source row serves three rows of results, and the weights stay in registers.
 * Rows of results: nr; `at` begins the first one's window. */
RT_INLINE void SUF(depth3)(int nr, const T *w, const T *restrict at, int64_t pitch, T bias, int cut, T *restrict out, int64_t out_pitch, int64_t cols) {
    V wv[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) wv[k] = VF(set)(w[k]);
    for (int64_t i = 0; i < cols; i += LANES) {
        V acc[DEPTH_R];
#pragma GCC unroll 4
        for (int r = 0; r < nr; r++) acc[r] = VF(set)(bias);
#pragma GCC unroll 6
        for (int r = 0; r < nr + 2; r++)
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) {
                V v = VF(load)(at + r * pitch + i + k);
                RT_HOLD(v);
#pragma GCC unroll 3
                for (int h = 0; h < 3; h++) if (r - h >= 0 && r - h < nr) acc[r - h] = VF(fma)(wv[3 * h + k], v, acc[r - h]);
            }
        int64_t left = cols - i;
#pragma GCC unroll 4
        for (int r = 0; r < nr; r++) {
            if (cut) acc[r] = VF(positive)(acc[r]);
            if (left >= LANES) VF(store)(out + r * out_pitch + i, acc[r]);
            else VF(store_first)(out + r * out_pitch + i, acc[r], (int)left);
        }
    }
}
static __attribute__((noinline)) void SUF(depth3_4)(const T *w, const T *at, int64_t pitch, T bias, int cut, T *out, int64_t out_pitch, int64_t cols) {
    SUF(depth3)(4, w, at, pitch, bias, cut, out, out_pitch, cols);
}
static __attribute__((noinline)) void SUF(depth3_1)(const T *w, const T *at, int64_t pitch, T bias, int cut, T *out, int64_t out_pitch, int64_t cols) {
    SUF(depth3)(1, w, at, pitch, bias, cut, out, out_pitch, cols);
}

/* Whether the taps are a 3 x 3 square of neighbours of one channel: 1 from the first to the last, -1 backwards, else 0. */
static int SUF(depth_square)(const SUF(Job) *j, const int64_t *off) {
    if (j->cin != 1 || j->taps != 9 || j->residues != 1) return 0;
    int forward = 1, back = 1;
    for (int k = 0; k < 9; k++) {
        int64_t want = k / 3 * j->plane[2] + k % 3;
        forward &= off[k] - off[0] == want;
        back &= off[8 - k] - off[8] == want;
    }
    return forward - back;
}

/* dst[i] = src[i * step], i < n: reads nothing behind the last of them. */
RT_INLINE void SUF(depth_line)(T *restrict dst, const T *restrict src, int64_t n, int64_t step) {
    int64_t i = 0;
    if (step == 1 && n >= LANES) {
        for (; i + LANES < n; i += LANES) VF(store)(dst + i, VF(load)(src + i));
        VF(store)(dst + n - LANES, VF(load)(src + n - LANES));        /* the last vector overlaps the one before */
    } else if (step == 2 && n >= LANES) {
        for (; i + LANES < n; i += LANES) VF(store)(dst + i, VF(evens)(src + 2 * i));
        VF(store)(dst + n - LANES, VF(evens)(src + 2 * (n - LANES)));
    } else for (; i < n; i++) dst[i] = src[i * step];
}

/* Source rows and columns into the padded residue planes of one group of one image. What lies outside is zero already: the
 * buffer is cleared once, and its borders are the same for all planes. */
static void SUF(depth_fill)(const SUF(Job) *j, const T *x_cs, T *to) {
    const int64_t *p = j->plane, *in = j->in, *st = j->step;
    for (int64_t c = 0; c < j->cin; c++)
        for (int64_t r0 = 0; r0 < st[0]; r0++)
        for (int64_t r1 = 0; r1 < st[1]; r1++)
        for (int64_t r2 = 0; r2 < st[2]; r2++, to += p[0] * p[1] * p[2]) {
            int64_t lo[3], hi[3], first[3] = {r0 - j->front[0], r1 - j->front[1], r2 - j->front[2]};
            for (int d = 0; d < 3; d++) {
                lo[d] = first[d] >= 0 ? 0 : (-first[d] + st[d] - 1) / st[d];
                hi[d] = in[d] > first[d] ? (in[d] - first[d] + st[d] - 1) / st[d] : 0;
                if (hi[d] > p[d]) hi[d] = p[d];
            }
            if (lo[2] >= hi[2]) continue;
            for (int64_t a = lo[0]; a < hi[0]; a++)
                for (int64_t b = lo[1]; b < hi[1]; b++)
                    SUF(depth_line)(to + (a * p[1] + b) * p[2] + lo[2],
                                    x_cs + ((c * in[0] + a * st[0] + first[0]) * in[1] + b * st[1] + first[1]) * in[2] + lo[2] * st[2] + first[2],
                                    hi[2] - lo[2], st[2]);
        }
}

/* to[i * step] = from[i], i < n */
RT_INLINE void SUF(depth_spread)(T *restrict to, const T *restrict from, int64_t n, int64_t step) {
    int64_t i = 0;
#if defined(__AVX512F__)
    if (step == 2)
        for (; i + LANES <= n; i += LANES) VF(store_evens)(to + 2 * i, VF(load)(from + i));
#endif
    for (; i < n; i++) to[i * step] = from[i];
}

/* The grid of one job for one group of one image, from its padded planes. `line`: DEPTH_R rows of results,
 * for destinations with a step. */
static void SUF(depth_plane)(const SUF(Job) *j, const SUF(Dest) *dest, const T *planes, const int64_t *off, const T *w_k,
                             T bias, T *y, T *line) {
    const int64_t *g = j->grid, *p = j->plane;
    int64_t kn = j->cin * j->taps, line_pitch = (g[2] + LANES - 1) / LANES * LANES;
    int dense = dest->step[2] == 1, square = dense ? SUF(depth_square)(j, off) : 0;
    if (square) {
        T turned[9];
        for (int k = 0; k < 9; k++) turned[k] = w_k[square > 0 ? k : 8 - k];
        for (int64_t a = 0; a < g[0]; a++)
            for (int64_t b = 0; b < g[1];) {
                const T *at = planes + (a * p[1] + b) * p[2] + off[square > 0 ? 0 : 8];
                T *out = y + dest->first + a * dest->step[0] + b * dest->step[1];
                if (g[1] - b >= 4) { SUF(depth3_4)(turned, at, p[2], bias, j->cut, out, dest->step[1], g[2]); b += 4; }
                else { SUF(depth3_1)(turned, at, p[2], bias, j->cut, out, dest->step[1], g[2]); b++; }
            }
        return;
    }
    for (int64_t a = 0; a < g[0]; a++)
        for (int64_t b = 0; b < g[1]; b += DEPTH_R) {
            int nr = (int)(g[1] - b < DEPTH_R ? g[1] - b : DEPTH_R);
            const T *x = planes + (a * p[1] + b) * p[2];
            T *rows = y + dest->first + a * dest->step[0] + b * dest->step[1];
            T *out = dense ? rows : line;
            int64_t pitch = dense ? dest->step[1] : line_pitch;
            for (int64_t i = 0; i < g[2]; i += DEPTH_C * LANES) {
                int64_t width = g[2] - i;
                int nc = width > LANES ? 2 : 1;
                SUF(depth_tiles)[nr - 1][nc - 1](kn, w_k, x + i, p[2], off, bias, j->cut, out + i, pitch, width);
            }
            if (!dense)
                for (int r = 0; r < nr; r++) {
                    T *to = rows + r * dest->step[1];
                    const T *from = line + r * line_pitch;
                    SUF(depth_spread)(to, from, g[2], dest->step[2]);
                }
        }
}

/* Jobs that have too few channels for tiles. */
static int SUF(is_depth)(const RtConvGeom *c, int64_t m, int64_t cin) {
    return m <= 2 && cin <= 2 && c->groups > 1 && cin * c->kernel[0] * c->kernel[1] * c->kernel[2] <= DEPTH_TAPS;
}

/* All groups and images of `jobs` products that read the same planes and fill one result. w: for each job
 * groups x m x kn. */
static int SUF(run_depth)(SUF(Job) *jobs, int count, const T *x, const T *const *w, const T *bias, const SUF(Dest) *dests, int threads) {
    const SUF(Job) *j0 = jobs;
    int64_t plane_in = j0->in[0] * j0->in[1] * j0->in[2], tasks = j0->batch * j0->groups, most = 0, row = 0, kmax = 1;
    double work = 0;
    int64_t *at = malloc((size_t)(count + 1) * sizeof(int64_t));
    if (!at) return 1;
    for (int i = 0; i < count; i++) {
        SUF(Job) *j = jobs + i;
        j->in_place = 0;
        j->chunk = 0;
        int64_t kn = j->cin * j->taps, size = SUF(window_size)(j);
        at[i] = most;                     /* each product's planes have their own place */
        most += (size + DEPTH_C * LANES + LANES - 1) / LANES * LANES;      /* a tile reads up to a full tile of columns from its last row */
        if (j->grid[2] > row) row = j->grid[2];
        if (kn > kmax) kmax = kn;
        work += (double)tasks * j->m * (kn + 4) * j->grid[0] * j->grid[1] * j->grid[2];
    }
    row = (row + LANES - 1) / LANES * LANES;
    if (work < 1e6) threads = 1;
    if (threads > tasks) threads = tasks ? (int)tasks : 1;
    int failed = 0;
    int64_t *off = malloc((size_t)(count * kmax) * sizeof(int64_t));
    if (!off) { free(at); return 1; }
    for (int i = 0; i < count; i++) SUF(offsets)(jobs + i, 0, off + i * kmax);
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        int64_t room = most;
        T *buf = SUF(buffer)(room + DEPTH_R * row), *line = buf ? buf + room : NULL;
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            memset(buf, 0, (size_t)room * sizeof(T));
            EACH(task) {
                int64_t n = task / j0->groups, g = task % j0->groups;
                const T *src = x + task * j0->cin * plane_in;
                for (int i = 0; i < count; i++) {
                    const SUF(Job) *j = jobs + i;
                    int64_t kn = j->cin * j->taps;
                    if (kn) SUF(depth_fill)(j, src, buf + at[i]);
                    for (int64_t m = 0; m < j->m; m++) {
                        int64_t channel = g * j->m + m;
                        SUF(depth_plane)(j, dests + i, buf + at[i], off + i * kmax, w[i] + channel * kn, bias ? bias[channel] : 0,
                                         dests[i].y + n * dests[i].image + channel * dests[i].row, line);
                    }
                }
            }
        }
        free(buf);
    }
    free(off); free(at);
    return failed;
}

#define DEPTH_K 9                         /* taps whose sums stay in registers */

/* acc[k] = sum over rows and columns of g times the window of tap k, added into gw. */
RT_INLINE void SUF(depth_dots)(int nk, int64_t rows, int64_t cols, const T *restrict g, int64_t g_pitch, const T *restrict x,
                               int64_t pitch, const int64_t *restrict off, T *restrict gw) {
    V acc[DEPTH_K];
    const T *xs[DEPTH_K];
    int64_t whole = cols / LANES * LANES, left = cols - whole;
    VF(mask) keep = VF(first)((int)left);
#pragma GCC unroll 9
    for (int k = 0; k < nk; k++) { acc[k] = (V){0}; xs[k] = x + off[k]; }
    for (int64_t r = 0; r < rows; r++) {
        const T *gr = g + r * g_pitch;
        int64_t at = r * pitch, i = 0;
        for (; i < whole; i += LANES) {
            V v = VF(load)(gr + i);
#pragma GCC unroll 9
            for (int k = 0; k < nk; k++) acc[k] = VF(fma)(v, VF(load)(xs[k] + at + i), acc[k]);
        }
        if (left) {                       /* what lies behind a row may be no number: both factors are cut */
            V v = VF(load_first)(gr + i, (int)left);
#pragma GCC unroll 9
            for (int k = 0; k < nk; k++) acc[k] = VF(fma)(v, (V)((VF(mask))VF(load)(xs[k] + at + i) & keep), acc[k]);
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < nk; k++) gw[k] += VF(sum)(acc[k]);
}

/* The same for a 3 x 3 square: three rows of g stay in registers while the rows of x pass. */
static void SUF(depth3_dots)(int64_t rows, int64_t cols, const T *restrict g, int64_t g_pitch, const T *restrict x, int64_t pitch, T *restrict gw) {
    V acc[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) acc[k] = (V){0};
    for (int64_t i = 0; i < cols; i += LANES) {
        int whole = cols - i >= LANES, left = whole ? LANES : (int)(cols - i);
        VF(mask) keep = VF(first)(left);
        V g1 = {0}, g2 = {0};
        for (int64_t r = 0; r < rows + 2; r++) {
            V g0 = {0};
            if (r < rows) g0 = whole ? VF(load)(g + r * g_pitch + i) : VF(load_first)(g + r * g_pitch + i, left);
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) {
                V v = VF(load)(x + r * pitch + i + k);
                if (!whole) v = (V)((VF(mask))v & keep);
                RT_HOLD(v);
                acc[k] = VF(fma)(g0, v, acc[k]);
                acc[3 + k] = VF(fma)(g1, v, acc[3 + k]);
                acc[6 + k] = VF(fma)(g2, v, acc[6 + k]);
            }
            g2 = g1;
            g1 = g0;
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) gw[k] += VF(sum)(acc[k]);
}

#define DOTS(nk)                                                                                                     \
    static __attribute__((noinline)) void SUF(depth_dots_##nk)(int64_t rows, int64_t cols, const T *g, int64_t g_pitch, \
                          const T *x, int64_t pitch, const int64_t *off, T *gw) {                                     \
        SUF(depth_dots)(nk, rows, cols, g, g_pitch, x, pitch, off, gw);                                               \
    }
DOTS(1) DOTS(2) DOTS(3) DOTS(4) DOTS(5) DOTS(6) DOTS(7) DOTS(8) DOTS(9)
typedef void (*SUF(DepthDots))(int64_t, int64_t, const T *, int64_t, const T *, int64_t, const int64_t *, T *);
static const SUF(DepthDots) SUF(depth_dots_of)[DEPTH_K] = {
    SUF(depth_dots_1), SUF(depth_dots_2), SUF(depth_dots_3), SUF(depth_dots_4), SUF(depth_dots_5),
    SUF(depth_dots_6), SUF(depth_dots_7), SUF(depth_dots_8), SUF(depth_dots_9),
};
#undef DOTS

/* Each image's gradient is made apart and the images are added in order: the same bits on any number of threads. */
static int SUF(dweight_depth)(SUF(Job) *j, const T *g_nos, const T *x, T *gw, int threads) {
    j->in_place = 0;
    j->chunk = 0;
    const int64_t *g = j->grid, *p = j->plane;
    int64_t kn = j->cin * j->taps, plane_in = j->in[0] * j->in[1] * j->in[2], plane_out = g[0] * g[1] * g[2];
    int64_t tasks = j->batch * j->groups, each = j->m * kn, wsize = j->groups * each, size = SUF(window_size)(j);
    if ((double)tasks * plane_out * j->m * (kn + 4) < 1e6) threads = 1;
    if (threads > tasks) threads = (int)tasks;
    int64_t *off = malloc((size_t)kn * sizeof(int64_t));
    T *parts = calloc((size_t)(j->batch * wsize), sizeof(T));
    int failed = !off || !parts;
    if (!failed) SUF(offsets)(j, 0, off);
    int square = !failed && SUF(depth_square)(j, off) > 0;
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T *buf = SUF(buffer)(size + LANES);
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            memset(buf, 0, (size_t)(size + LANES) * sizeof(T));
            EACH(task) {
                SUF(depth_fill)(j, x + task * j->cin * plane_in, buf);
                for (int64_t m = 0; m < j->m; m++)
                    for (int64_t a = 0; a < g[0]; a++)
                        if (square)
                            SUF(depth3_dots)(g[1], g[2], g_nos + (task * j->m + m) * plane_out + a * g[1] * g[2], g[2],
                                             buf + a * p[1] * p[2] + off[0], p[2], parts + task * each + m * kn);
                        else for (int64_t k = 0; k < kn; k += DEPTH_K) {
                            int nk = (int)(kn - k < DEPTH_K ? kn - k : DEPTH_K);
                            SUF(depth_dots_of)[nk - 1](g[1], g[2], g_nos + (task * j->m + m) * plane_out + a * g[1] * g[2], g[2],
                                                       buf + a * p[1] * p[2], p[2], off + k, parts + task * each + m * kn + k);
                        }
            }
        }
        free(buf);
    }
    if (!failed) {
        threads = rt_few((double)j->batch * wsize, 32768, threads, threads);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t i = 0; i < wsize; i++) {
            double total = 0;
            for (int64_t n = 0; n < j->batch; n++) total += parts[n * wsize + i];
            gw[i] = (T)total;
        }
    }
    free(off); free(parts);
    return failed;
}
#undef DEPTH_R
#undef DEPTH_C
#undef DEPTH_K
#undef DEPTH_TAPS
