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
                               const int64_t *restrict off, T bias, T *restrict out, int64_t out_pitch, int64_t width) {
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
            if (left >= LANES) VF(store)(out + r * out_pitch + i * LANES, acc[r][i]);
            else VF(store_first)(out + r * out_pitch + i * LANES, acc[r][i], (int)left);
        }
}

#define TILE(nr, nc)                                                                                              \
    static __attribute__((noinline)) void SUF(depth_##nr##_##nc)(int64_t kn, const T *w, const T *x, int64_t pitch, \
                          const int64_t *off, T bias, T *out, int64_t out_pitch, int64_t width) {                  \
        SUF(depth_tile)(nr, nc, kn, w, x, pitch, off, bias, out, out_pitch, width);                                \
    }
TILE(1, 1) TILE(1, 2) TILE(2, 1) TILE(2, 2) TILE(3, 1) TILE(3, 2) TILE(4, 1) TILE(4, 2)
typedef void (*SUF(DepthTile))(int64_t, const T *, const T *, int64_t, const int64_t *, T, T *, int64_t, int64_t);
static const SUF(DepthTile) SUF(depth_tiles)[DEPTH_R][DEPTH_C] = {
    {SUF(depth_1_1), SUF(depth_1_2)}, {SUF(depth_2_1), SUF(depth_2_2)},
    {SUF(depth_3_1), SUF(depth_3_2)}, {SUF(depth_4_1), SUF(depth_4_2)},
};
#undef TILE

/* The grid of one job for one group of one image, from its padded planes. `line`: DEPTH_R rows of results,
 * for destinations with a step. */
static void SUF(depth_plane)(const SUF(Job) *j, const SUF(Dest) *dest, const T *planes, const int64_t *off, const T *w_k,
                             T bias, T *y, T *line) {
    const int64_t *g = j->grid, *p = j->plane;
    int64_t kn = j->cin * j->taps, line_pitch = (g[2] + LANES - 1) / LANES * LANES;
    int dense = dest->step[2] == 1;
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
                SUF(depth_tiles)[nr - 1][nc - 1](kn, w_k, x + i, p[2], off, bias, out + i, pitch, width);
            }
            if (!dense)
                for (int r = 0; r < nr; r++) {
                    T *to = rows + r * dest->step[1];
                    const T *from = line + r * line_pitch;
                    for (int64_t i = 0; i < g[2]; i++) to[i * dest->step[2]] = from[i];
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
    for (int i = 0; i < count; i++) {
        SUF(Job) *j = jobs + i;
        j->in_place = 0;
        j->chunk = 0;
        int64_t kn = j->cin * j->taps, size = SUF(window_size)(j);
        if (size > most) most = size;
        if (j->grid[2] > row) row = j->grid[2];
        if (kn > kmax) kmax = kn;
        work += (double)tasks * j->m * (kn + 4) * j->grid[0] * j->grid[1] * j->grid[2];
    }
    row = (row + LANES - 1) / LANES * LANES;
    if (work < 1e6) threads = 1;
    if (threads > tasks) threads = tasks ? (int)tasks : 1;
    int failed = 0;
    int64_t *off = malloc((size_t)(count * kmax) * sizeof(int64_t));
    if (!off) return 1;
    for (int i = 0; i < count; i++) SUF(offsets)(jobs + i, 0, off + i * kmax);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        /* a tile reads up to a full tile of columns from its last row: DEPTH_C vectors of room */
        int64_t room = most + DEPTH_C * LANES;
        T *buf = SUF(buffer)(room + DEPTH_R * row), *line = buf ? buf + room : NULL;
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else memset(buf, 0, (size_t)room * sizeof(T));
        RT_OMP(omp barrier)
        if (!failed) {
            RT_OMP(omp for schedule(static))
            for (int64_t task = 0; task < tasks; task++) {
                int64_t n = task / j0->groups, g = task % j0->groups;
                const T *src = x + task * j0->cin * plane_in;
                for (int i = 0; i < count; i++) {
                    const SUF(Job) *j = jobs + i;
                    int64_t kn = j->cin * j->taps;
                    if (kn) SUF(pack_planes)(j, src, buf, 0, j->cin);
                    for (int64_t m = 0; m < j->m; m++) {
                        int64_t channel = g * j->m + m;
                        SUF(depth_plane)(j, dests + i, buf, off + i * kmax, w[i] + channel * kn, bias ? bias[channel] : 0,
                                         dests[i].y + n * dests[i].image + channel * dests[i].row, line);
                    }
                }
            }
        }
        free(buf);
    }
    free(off);
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
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T *buf = SUF(buffer)(size);
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else memset(buf, 0, (size_t)size * sizeof(T));
        RT_OMP(omp barrier)
        if (!failed) {
            RT_OMP(omp for schedule(static))
            for (int64_t task = 0; task < tasks; task++) {
                SUF(pack_planes)(j, x + task * j->cin * plane_in, buf, 0, j->cin);
                for (int64_t m = 0; m < j->m; m++)
                    for (int64_t a = 0; a < g[0]; a++)
                        for (int64_t k = 0; k < kn; k += DEPTH_K) {
                            int nk = (int)(kn - k < DEPTH_K ? kn - k : DEPTH_K);
                            SUF(depth_dots_of)[nk - 1](g[1], g[2], g_nos + (task * j->m + m) * plane_out + a * g[1] * g[2], g[2],
                                                       buf + a * p[1] * p[2], p[2], off + k, parts + task * each + m * kn + k);
                        }
            }
            RT_OMP(omp for schedule(static))
            for (int64_t i = 0; i < wsize; i++) {
                double total = 0;
                for (int64_t n = 0; n < j->batch; n++) total += parts[n * wsize + i];
                gw[i] = (T)total;
            }
        }
        free(buf);
    }
    free(off); free(parts);
    return failed;
}
#undef DEPTH_R
#undef DEPTH_C
#undef DEPTH_K
#undef DEPTH_TAPS
