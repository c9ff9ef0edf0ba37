/* Typed body of conv.inc.c: T element, V vector, VF(load) etc., LANES, SUF(name). */

#if RT_VEC == 64 || defined(__aarch64__)      /* 32 vector registers */
#define MR 8
#define NV 3
#define DR 4                                  /* dweight tile: DR channels x DK windows */
#define DK 6
#else
#define MR 6
#define NV 2
#define DR 3
#define DK 4
#endif
#define NR (NV * LANES)

/* Note [Epilogue]
 * A normalization by fixed statistics after the convolution is a factor and a shift of each result channel. The weights are packed
 * in each call, so the factor is taken in on the way (`scale`; nothing is stored that could grow old), by conv_wino.h with the results; the shift is the bias. A ReLU
 * behind that cuts the sums in their registers, where the last block of k has been added (`cut`). */

/* One product: rows `m` of one group over `taps` windows of each of `cin` planes. */
typedef struct {
    int64_t m, cin, taps, batch, groups;
    int64_t in[3], grid[3];               /* plane of the source; grid of results */
    int64_t step[3];                      /* source position = grid position * step + tap offset */
    const int64_t *tap;                   /* taps x 3 offsets */
    /* derived */
    int64_t front[3], plane[3];           /* padding in front; sizes of one residue plane */
    int64_t residues, qn;                 /* residue planes per channel; length of the q range */
    int64_t chunk;                        /* packed mode: images per task; 0: virtual */
    int in_place;                         /* windows are planes of the source itself (1x1) */
    int blas;                             /* packed mode: the product is BLAS's, and the weights stay row by row */
    const T *scale;                       /* Note [Epilogue]: of groups x m, or NULL */
    int cut;
    const RtGemmTable *gemm;              /* the geometry's */
    int64_t before, whole;                /* of a share of the result channels, Note [Shares of channels]: vectors in front of it, vectors of all; 0: all */
    const int64_t *which;                 /* of the weights' taps each of these is, NULL: they are all; last_pack() alone asks */
    const T *packed;                      /* all groups' weights as last_pack() makes them (of all channels, if this is a share), or NULL */
} SUF(Job);

/* out = init (or out itself, when init is NULL) + a x windows; cut: negative results become zero. line: -1, or where among the next tile's
 * columns to begin to ask for its windows, a vector for each k: rows of the source itself are too many streams for the hardware to follow. */
RT_INLINE void SUF(micro)(int mr, int nv, int64_t kn, const T *restrict a, const T *restrict b,
                          const int64_t *restrict off, const T *init, T *restrict out_mq, int cut, int64_t line) {
    V acc[MR][NV];
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 3
        for (int j = 0; j < nv; j++) acc[i][j] = init ? VF(set)(init[i]) : VF(load)(out_mq + i * NR + j * LANES);
    for (int64_t k = 0; k < kn; k++, a += MR) {
        const T *bk = b + off[k];
        V x[NV];
        if (line >= 0) {
            __builtin_prefetch(bk + NR + line);
            line = line ? line - LANES : NR - LANES;
        }
#pragma GCC unroll 3
        for (int j = 0; j < nv; j++) x[j] = VF(load)(bk + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            V w = VF(set)(a[i]);
#pragma GCC unroll 3
            for (int j = 0; j < nv; j++) acc[i][j] = VF(fma)(w, x[j], acc[i][j]);
        }
    }
    if (cut)
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 3
            for (int j = 0; j < nv; j++) acc[i][j] = VF(positive)(acc[i][j]);
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 3
        for (int j = 0; j < nv; j++) VF(store)(out_mq + i * NR + j * LANES, acc[i][j]);
}

#define MICRO(mr, nv)                                                                              \
    static __attribute__((noinline)) void SUF(micro_##mr##_##nv)(int64_t kn, const T *a, const T *b, \
                              const int64_t *off, const T *init, T *out, int cut) {                \
        SUF(micro)(mr, nv, kn, a, b, off, init, out, cut, -1);                                     \
    }
#define MICROS(nv) MICRO(1, nv) MICRO(2, nv) MICRO(3, nv) MICRO(4, nv) MICRO(5, nv) MICRO(6, nv)
MICROS(1)
MICROS(2)
#if NV > 2
MICROS(3)
MICRO(7, 1) MICRO(7, 2) MICRO(7, 3) MICRO(8, 1) MICRO(8, 2) MICRO(8, 3)
#endif

typedef void (*SUF(Micro))(int64_t, const T *, const T *, const int64_t *, const T *, T *, int);
#define ROW(nv) SUF(micro_1_##nv), SUF(micro_2_##nv), SUF(micro_3_##nv), SUF(micro_4_##nv), \
                SUF(micro_5_##nv), SUF(micro_6_##nv)
static const SUF(Micro) SUF(micros)[NV][MR] = {
#if NV > 2
    {ROW(1), SUF(micro_7_1), SUF(micro_8_1)},
    {ROW(2), SUF(micro_7_2), SUF(micro_8_2)},
    {ROW(3), SUF(micro_7_3), SUF(micro_8_3)},
#else
    {ROW(1)}, {ROW(2)},
#endif
};
#undef MICRO
#undef MICROS
#undef ROW
static __attribute__((noinline)) void SUF(micro_ahead)(int64_t kn, const T *a, const T *b, const int64_t *off, const T *init, T *out, int cut, int64_t line) {
    SUF(micro)(MR, NV, kn, a, b, off, init, out, cut, line);
}

static T *SUF(buffer)(int64_t n) {
    void *p = NULL;
    if (posix_memalign(&p, 64, (size_t)(n > 0 ? n : 1) * sizeof(T))) return NULL;
    return p;
}

/* out = a b + beta out, row-major: by own tiles up to the size to which they win. room: RT_ROOM bytes, NULL with BLAS or where IS_DIRECT says so. */
static void SUF(multiply)(const RtGemmTable *own, int64_t m, int64_t n, int64_t k, const T *a, int64_t a_m, const T *b, int64_t b_k, int add, T *out,
                          int64_t ld, void *room) {
    if (own && k > 0 && (room || IS_DIRECT(n, k)) && m * n * k <= own->tiles_most) {
        RtBlock g = {m, n, k, a_m, 1, b_k, 1, ld, (const char *)a, (const char *)b, NULL, (char *)out, 1, add, room};
        own->SUF(tiles)(&g);
    } else GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)a_m, b, (int)b_k, add, out, (int)ld);
}

static int64_t SUF(floor_div)(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* Fill the derived fields. */
static void SUF(plan)(SUF(Job) *j) {
    int64_t reals = 1;
    j->residues = 1;
    for (int d = 0; d < 3; d++) {
        int64_t lo = 0, hi = 0;
        for (int64_t t = 0; t < j->taps; t++) {
            int64_t v = j->tap[3 * t + d];
            if (t == 0 || v < lo) lo = v;
            if (t == 0 || v > hi) hi = v;
        }
        j->front[d] = -lo;                          /* may be negative: rows of the source are left out */
        j->plane[d] = (hi - lo) / j->step[d] + j->grid[d];
        j->residues *= j->step[d];
        reals *= j->grid[d];
    }
    if (j->taps == 0) for (int d = 0; d < 3; d++) j->plane[d] = j->grid[d];
    int64_t p1 = j->plane[1], p2 = j->plane[2];
    j->qn = reals ? ((j->grid[0] - 1) * p1 + j->grid[1] - 1) * p2 + j->grid[2] : 0;
    j->in_place = j->taps == 1 && j->residues == 1;
    for (int d = 0; d < 3; d++) j->in_place &= j->front[d] == 0 && j->grid[d] == j->in[d];
    j->chunk = j->blas = 0;
    int64_t rounded = (j->qn + LANES - 1) / LANES * LANES;
    /* Storing an element costs about as much as `store` multiply-adds. */
    const int64_t store = 10;
    if (j->in_place ? reals < NR : rounded * j->m > reals * (j->m + store)) {
        /* enough images for some hundred columns */
        j->in_place = 0;
        j->chunk = reals ? (4 * NR + reals - 1) / reals : 1;
        j->blas = j->m >= 16 && (double)j->m * j->cin * j->taps * reals * j->batch > 4e6;
        if (j->blas) j->chunk = (8 * NR + reals - 1) / reals;
        if (j->chunk > j->batch) j->chunk = j->batch > 0 ? j->batch : 1;
    }
}

/* Row length of the stored matrix: whole tiles and room for a vector too many. */
static int64_t SUF(row_length)(const SUF(Job) *j, int64_t images) {
    int64_t n = images * j->grid[0] * j->grid[1] * j->grid[2];
    return (n + NR - 1) / NR * NR + LANES;
}

/* Elements a task's buffer needs for its windows (and, in packed mode, the planes of a channel). */
static int64_t SUF(window_size)(const SUF(Job) *j) {
    if (j->in_place) return 0;
    int64_t plane = j->residues * j->plane[0] * j->plane[1] * j->plane[2];
    return j->chunk ? j->cin * j->taps * SUF(row_length)(j, j->chunk) + plane + NR : j->cin * plane + NR;
}

/* Where tap t's window begins in the residue planes of a channel. */
RT_INLINE int64_t SUF(window)(const SUF(Job) *j, int64_t t) {
    int64_t res = 0, pos = 0;
    for (int d = 0; d < 3; d++) {
        int64_t v = j->tap[3 * t + d] + j->front[d];
        res = res * j->step[d] + v % j->step[d];
        pos = pos * j->plane[d] + v / j->step[d];
    }
    return res * j->plane[0] * j->plane[1] * j->plane[2] + pos;
}

/* off[k] for every (c, tap). `ld`: row length of the stored matrix in packed mode. */
static void SUF(offsets)(const SUF(Job) *j, int64_t ld, int64_t *off) {
    int64_t plane = j->plane[0] * j->plane[1] * j->plane[2] * j->residues, k = 0;
    for (int64_t c = 0; c < j->cin; c++)
        for (int64_t t = 0; t < j->taps; t++, k++)
            off[k] = j->chunk ? k * ld : c * plane + (j->in_place ? 0 : SUF(window)(j, t));
}

/* dst[i] = src[first + i*step] for positions inside [0, n), else 0. */
RT_INLINE void SUF(gather_row)(T *restrict dst, const T *restrict src, int64_t len, int64_t first, int64_t step, int64_t n) {
    int64_t i = 0, lo = first >= 0 ? 0 : step == 1 ? -first : (-first + step - 1) / step;      /* divisions are slow */
    int64_t hi = n <= first ? 0 : step == 1 ? n - first : (n - first + step - 1) / step;
    if (lo > len) lo = len;
    if (hi > len) hi = len;
    if (hi < lo) hi = lo;
    for (; i < lo; i++) dst[i] = 0;
    if (step == 1) memcpy(dst + i, src + first + i, (size_t)(hi - i) * sizeof(T));
    else {
        if (step == 2 && hi - i >= LANES) {
            for (; i + LANES < hi; i += LANES) VF(store)(dst + i, VF(evens)(src + first + 2 * i));
            i = hi - LANES;               /* the last vector overlaps the one before */
            VF(store)(dst + i, VF(evens)(src + first + 2 * i));
            i = hi;
        }
        for (; i < hi; i++) dst[i] = src[first + i * step];
    }
    for (i = hi; i < len; i++) dst[i] = 0;
}

/* Padded residue planes of channels [c0, c1) of one image. */
static void SUF(pack_planes)(const SUF(Job) *j, const T *x_cs, T *xp, int64_t c0, int64_t c1) {
    const int64_t *p = j->plane, *in = j->in, *st = j->step;
    for (int64_t c = c0; c < c1; c++) {
        const T *src = x_cs + c * in[0] * in[1] * in[2];
        T *dst = xp + c * j->residues * p[0] * p[1] * p[2];
        for (int64_t r0 = 0; r0 < st[0]; r0++)
        for (int64_t r1 = 0; r1 < st[1]; r1++)
        for (int64_t r2 = 0; r2 < st[2]; r2++)
            for (int64_t a = 0; a < p[0]; a++) {
                int64_t z = a * st[0] + r0 - j->front[0];
                for (int64_t b = 0; b < p[1]; b++, dst += p[2]) {
                    int64_t y = b * st[1] + r1 - j->front[1];
                    if (z < 0 || z >= in[0] || y < 0 || y >= in[1]) memset(dst, 0, (size_t)p[2] * sizeof(T));
                    else SUF(gather_row)(dst, src + (z * in[1] + y) * in[2], p[2], r2 - j->front[2], st[2], in[2]);
                }
            }
    }
}

/* The stored matrix of `images` images; rows k, columns (image, t). Windows are copied a vector at
 * a time from the padded planes of one channel (`xp`): what is copied too much is overwritten by
 * the next row or lies in the LANES columns of slack of each row of the matrix. */
static void SUF(pack_columns)(const SUF(Job) *j, const T *x_ncs, int64_t image_step, int64_t images, int64_t ld,
                              T *restrict col_kq, T *restrict xp) {
    const int64_t *g = j->grid, *p = j->plane;
    int64_t per_image = g[0] * g[1] * g[2], used = images * per_image;
    for (int64_t n = 0; n < images; n++)
        for (int64_t c = 0; c < j->cin; c++) {
            SUF(pack_planes)(j, x_ncs + n * image_step + c * j->in[0] * j->in[1] * j->in[2], xp, 0, 1);
            for (int64_t t = 0; t < j->taps; t++) {
                T *dst = col_kq + (c * j->taps + t) * ld + n * per_image;
                const T *src = xp + SUF(window)(j, t);
                for (int64_t a = 0; a < g[0]; a++)
                    for (int64_t b = 0; b < g[1]; b++, dst += g[2]) {
                        const T *row = src + (a * p[1] + b) * p[2];
                        for (int64_t i = 0; i < g[2]; i += LANES) VF(store)(dst + i, VF(load)(row + i));
                    }
            }
        }
    for (int64_t k = 0; k < j->cin * j->taps; k++)      /* dweight multiplies these by zeros: no NaN may lie there */
        memset(col_kq + k * ld + used, 0, (size_t)(ld - used) * sizeof(T));
}

/* Where results go: element (t) of row m of image n lies at m*row + n*image + first + t.step. */
typedef struct {
    T *y;
    int64_t image, row, first, step[3];
} SUF(Dest);

/* The tiles' runs: which of the NR columns at q are results, and where they go. */
static int SUF(find_runs)(const SUF(Job) *j, const SUF(Dest) *dest, int64_t n0, int64_t q, int64_t width, RtRun *runs) {
    const int64_t *g = j->grid, *p = j->chunk ? j->grid : j->plane;
    int64_t per_image = g[0] * g[1] * g[2];
    int count = 0;
    for (int64_t i = 0; i < width;) {
        int64_t n = n0, r = q + i;
        if (j->chunk) { n += r / per_image; r %= per_image; }
        int64_t tw = r % p[2], th = r / p[2] % p[1], td = r / p[2] / p[1], len = p[2] - tw;
        if (len > width - i) len = width - i;
        if (th < g[1] && tw < g[2]) {
            RtRun *run = runs + count++;
            run->at = i;
            run->len = len < g[2] - tw ? len : g[2] - tw;
            run->dst = n * dest->image + dest->first + td * dest->step[0] + th * dest->step[1] + tw * dest->step[2];
        }
        i += len;
    }
    return count;
}

static void SUF(write_tile)(const T *tile, int mr, const RtRun *runs, int nruns, const SUF(Dest) *dest, int64_t m) {
    for (int i = 0; i < mr; i++) {
        T *row = dest->y + (m + i) * dest->row;
        const T *s = tile + i * NR;
        if (dest->step[2] == 1)
            for (int r = 0; r < nruns; r++) {              /* too short for a call of memcpy */
                T *to = row + runs[r].dst;
                const T *from = s + runs[r].at;
                int64_t k = 0, len = runs[r].len;
                for (; k + LANES <= len; k += LANES) VF(store)(to + k, VF(load)(from + k));
                if (k < len) VF(store_first)(to + k, VF(load_first)(from + k, (int)(len - k)), (int)(len - k));
            }
        else
            for (int r = 0; r < nruns; r++)
                for (int64_t k = 0; k < runs[r].len; k++) row[runs[r].dst + k * dest->step[2]] = s[runs[r].at + k];
    }
}

#define GROUP 8          /* tiles whose partial sums are kept while k is walked in blocks */
#define KBLOCK 288       /* k of a block: its windows of a tile stay in the first cache while all rows pass over them */

/* Columns [q0, q1) of the product, for images from n0 on of one group. `tail`: room for kn x NR
 * (in_place only), `sums`: GROUP x (m rounded up to MR) x NR when kn > KBLOCK, else one tile. */
static void SUF(product)(const SUF(Job) *j, const T *b, const int64_t *off, const T *a_packed, const T *bias,
                         const SUF(Dest) *dest, int64_t n0, int64_t q0, int64_t q1, T *tail, int64_t *tail_off, T *sums) {
    int64_t kn = j->cin * j->taps, mpad = (j->m + MR - 1) / MR * MR;
    int blocked = kn > KBLOCK;
    int64_t group = blocked ? GROUP * NR : NR;
    T init[MR];
    RtRun runs[NR];
    for (int64_t qg = q0; qg < q1; qg += group) {
        int64_t qend = q1 - qg < group ? q1 : qg + group;
        for (int64_t k0 = 0; k0 == 0 || k0 < kn; k0 += KBLOCK) {
            int64_t kb = kn - k0 < KBLOCK ? kn - k0 : KBLOCK;
            int last = k0 + kb >= kn;
            for (int64_t q = qg; q < qend; q += NR) {
                int64_t width = q1 - q < NR ? q1 - q : NR;
                int nv = (int)((width + LANES - 1) / LANES);
                int nruns = last ? SUF(find_runs)(j, dest, n0, q, width, runs) : 0;
                const T *bq = b + q;
                const int64_t *offq = off + k0;
                if (j->in_place && q + nv * LANES > j->qn) {       /* the source has no room behind it */
                    for (int64_t k = 0; k < kb; k++) {
                        for (int64_t i = 0; i < NR; i++) tail[k * NR + i] = i < width ? bq[offq[k] + i] : 0;
                        tail_off[k] = k * NR;
                    }
                    bq = tail; offq = tail_off;
                }
                for (int64_t m = 0; m < j->m; m += MR) {
                    int mr = (int)(j->m - m < MR ? j->m - m : MR);
                    T *tile = blocked ? sums + ((q - qg) / NR * mpad + m) * NR : sums;
                    if (k0 == 0) for (int i = 0; i < mr; i++) init[i] = bias ? bias[m + i] : 0;
                    if (j->in_place && nv == NV && mr == MR)
                        SUF(micro_ahead)(kb, a_packed + m * kn + k0 * MR, bq, offq, k0 ? NULL : init, tile, last && j->cut, m / MR % NV * LANES);
                    else SUF(micros)[nv - 1][mr - 1](kb, a_packed + m * kn + k0 * MR, bq, offq, k0 ? NULL : init, tile, last && j->cut);
                    if (last) SUF(write_tile)(tile, mr, runs, nruns, dest, m);
                }
            }
        }
    }
}

/* to = max(0, from + add), NaN kept */
static void SUF(cut_line)(T *to, const T *from, int64_t n, T add) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) VF(store)(to + i, VF(positive)(VF(load)(from + i) + VF(set)(add)));
    if (i < n) VF(store_first)(to + i, VF(positive)(VF(load_first)(from + i, (int)(n - i)) + VF(set)(add)), (int)(n - i));
}

/* Weights of `rows` results of kn products, each row times its factor (`scale`, or NULL: 1), to where they are read. */
static void SUF(scaled)(T *restrict to, const T *restrict w, int64_t rows, int64_t kn, const T *scale) {
    if (!scale) { memcpy(to, w, (size_t)(rows * kn) * sizeof(T)); return; }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < kn; k++) to[r * kn + k] = w[r * kn + k] * scale[r];
}

/* The product of a whole stored matrix, m rows of `images` grids, to where it belongs. */
static void SUF(write_columns)(const SUF(Job) *j, const T *sums, int64_t ld, int64_t images, const T *bias, const SUF(Dest) *dest,
                               int64_t n0) {
    const int64_t *g = j->grid;
    for (int64_t m = 0; m < j->m; m++) {
        const T *src = sums + m * ld;
        T add = bias ? bias[m] : 0;
        for (int64_t n = 0; n < images; n++)
            for (int64_t a = 0; a < g[0]; a++)
                for (int64_t b = 0; b < g[1]; b++, src += g[2]) {
                    T *to = dest->y + m * dest->row + (n0 + n) * dest->image + dest->first + a * dest->step[0] + b * dest->step[1];
                    if (dest->step[2] != 1) for (int64_t i = 0; i < g[2]; i++) to[i * dest->step[2]] = src[i] + add;
                    else if (j->cut) SUF(cut_line)(to, src, g[2], add);
                    else for (int64_t i = 0; i < g[2]; i++) to[i] = src[i] + add;
                }
    }
}

/* Planes that are their own windows, enough of them for all threads, are plain products: BLAS packs what lies far apart. With registers enough,
 * tiles that ask for the next one's windows are 1.1 to 1.5 times as fast, while sums are short enough to pass over them once. */
static int SUF(is_plain)(const SUF(Job) *j, const SUF(Dest) *d, int threads) {
    if (MR == 8 && j->cin <= KBLOCK) return 0;
    int64_t plane = j->grid[0] * j->grid[1] * j->grid[2];
    return j->in_place && d->step[2] == 1 && d->step[1] == j->grid[2] && d->step[0] == j->grid[1] * j->grid[2] && j->m >= 16 && j->cin >= 32 &&
           j->batch * j->groups >= threads && plane < INT_MAX && (double)j->m * j->cin * plane > 1e5;
}

/* All groups and images of a product. a_packed: groups x (m rounded up to MR) x kn. */
static int SUF(run)(SUF(Job) *j, const T *x, const T *a_packed, const T *bias, SUF(Dest) dest, int threads) {
    int64_t kn = j->cin * j->taps, mpad = (j->m + MR - 1) / MR * MR;
    int64_t plane_in = j->in[0] * j->in[1] * j->in[2], image_in = j->groups * j->cin * plane_in;
    int64_t per_image = j->grid[0] * j->grid[1] * j->grid[2];
    if (per_image == 0 || j->batch == 0 || j->m == 0) return 0;
    double work = (double)j->batch * j->groups * j->m * kn * per_image;
    threads = rt_few(work, GRAIN_MACS, threads, threads);
    if (j->chunk > (j->batch + threads - 1) / threads) j->chunk = (j->batch + threads - 1) / threads;
    int64_t images = j->chunk ? j->chunk : 1;
    int64_t steps = (j->batch + images - 1) / images, tasks = steps * j->groups;
    int64_t ld = j->chunk ? SUF(row_length)(j, images) : 0;
    int64_t sums_size = j->blas ? j->m * ld : kn > KBLOCK ? GROUP * mpad * NR : MR * NR;
    int64_t size = SUF(window_size)(j), tail_size = j->in_place ? (kn < KBLOCK ? kn : KBLOCK) * NR : 0;
    int failed = 0;
    int64_t *off = malloc((size_t)(2 * kn + 1) * sizeof(int64_t));
    if (!off) return 1;
    SUF(offsets)(j, ld, off);
    T *g_y = dest.y;
    if (tasks >= threads || j->chunk) {
        if (threads > tasks) threads = (int)tasks;
        SHARES(threads, tasks);
        RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
            T *sums = SUF(buffer)(sums_size + size + tail_size), *buf = sums ? sums + sums_size : NULL;
            int64_t *tail_off = tail_size ? malloc((size_t)(kn + 1) * sizeof(int64_t)) : NULL;
            void *room = j->blas && j->gemm ? SUF(buffer)(RT_ROOM / sizeof(T)) : NULL;
            if (!buf || (tail_size && !tail_off)) {
                RT_OMP(omp atomic write)
                failed = 1;
            } else {
                if (size) memset(buf + size - NR, 0, NR * sizeof(T));
                EACH(task) {
                    int64_t g = task % j->groups, n = task / j->groups * images;
                    int64_t count = j->batch - n < images ? j->batch - n : images;
                    const T *src = x + n * image_in + g * j->cin * plane_in, *b = buf;
                    int64_t qn = j->qn;
                    if (j->chunk) {
                        SUF(pack_columns)(j, src, image_in, count, ld, buf, buf + kn * ld);
                        qn = count * per_image;
                    } else if (j->in_place) b = src;
                    else SUF(pack_planes)(j, src, buf, 0, j->cin);
                    SUF(Dest) d = dest;
                    d.y = g_y + g * j->m * dest.row;
                    if (j->blas && j->in_place) {
                        T *to = d.y + n * d.image + d.first;
                        if (bias) for (int64_t m = 0; m < j->m; m++) for (int64_t i = 0; i < qn; i++) to[m * d.row + i] = bias[g * j->m + m];
                        SUF(multiply)(j->gemm, j->m, qn, kn, a_packed + g * mpad * kn, kn, src, per_image, bias != NULL, to, d.row, room);
                        if (j->cut) for (int64_t m = 0; m < j->m; m++) SUF(cut_line)(to + m * d.row, to + m * d.row, qn, 0);
                        continue;
                    }
                    if (j->blas) {
                        SUF(multiply)(j->gemm, j->m, qn, kn, a_packed + g * mpad * kn, kn, buf, ld, 0, sums, ld, room);
                        SUF(write_columns)(j, sums, ld, count, bias ? bias + g * j->m : NULL, &d, n);
                        continue;
                    }
                    SUF(product)(j, b, off, a_packed + g * mpad * kn, bias ? bias + g * j->m : NULL, &d, n, 0, qn,
                                 buf + size, tail_off, sums);
                }
            }
            free(sums); free(tail_off); free(room);
        }
    } else {                                     /* fewer images than threads: share each one */
        T *buf = SUF(buffer)(size);
        if (!buf) { free(off); return 1; }
        if (size) memset(buf + size - NR, 0, NR * sizeof(T));
        int64_t tiles = (j->qn + NR - 1) / NR;
        for (int64_t task = 0; task < tasks && !failed; task++) {
            int64_t g = task % j->groups, n = task / j->groups;
            const T *src = x + n * image_in + g * j->cin * plane_in;
            const T *b = j->in_place ? src : buf;
            SUF(Dest) d = dest;
            d.y = g_y + g * j->m * dest.row;
            if (!j->in_place) {
                SHARES(threads, j->cin);
                RT_OMP(omp parallel num_threads(threads)) {
                    EACH(c) SUF(pack_planes)(j, src, buf, c, c + 1);
                }
            }
            SHARES(threads, threads);
            RT_OMP(omp parallel num_threads(threads)) {
                T *sums = SUF(buffer)(sums_size + tail_size), *tail = sums ? sums + sums_size : NULL;
                int64_t *tail_off = tail_size ? malloc((size_t)(kn + 1) * sizeof(int64_t)) : NULL;
                if (!sums || (tail_size && !tail_off)) {
                    RT_OMP(omp atomic write)
                    failed = 1;
                } else {
                    int64_t each = (tiles + threads - 1) / threads;
                    EACH(i) {
                        int64_t q0 = i * each * NR, q1 = q0 + each * NR;
                        if (q1 > j->qn) q1 = j->qn;
                        if (q0 < q1)
                            SUF(product)(j, b, off, a_packed + g * mpad * kn, bias ? bias + g * j->m : NULL, &d, n,
                                         q0, q1, tail, tail_off, sums);
                    }
                }
                free(sums); free(tail_off);
            }
        }
        free(buf);
    }
    free(off);
    return failed;
}

#include "conv_depth_t.h"
#include "conv_near_t.h"

/* Offsets of the taps from a result's first position in the source. */
static void SUF(forward_taps)(const RtConvGeom *c, int64_t *tap) {
    int64_t t = 0;
    for (int64_t i = 0; i < c->kernel[0]; i++)
        for (int64_t k = 0; k < c->kernel[1]; k++)
            for (int64_t l = 0; l < c->kernel[2]; l++, t++) {
                tap[3 * t] = i * c->dilation[0] - c->pad[0];
                tap[3 * t + 1] = k * c->dilation[1] - c->pad[1];
                tap[3 * t + 2] = l * c->dilation[2] - c->pad[2];
            }
}

static int SUF(forward)(const RtConvGeom *c, const T *x, const T *w, const T *b, T *y, int threads) {
    if (SUF(is_near)(c)) { SUF(run_near)(c, 0, x, w, b, y, threads); return 0; }
    SUF(Job) j = {.m = c->cout, .cin = c->cin, .taps = c->kernel[0] * c->kernel[1] * c->kernel[2],
                  .batch = c->batch, .groups = c->groups, .scale = c->scale, .cut = (int)c->cut, .gemm = c->gemm};
    int64_t kn = j.cin * j.taps, mpad = (j.m + MR - 1) / MR * MR;
    int depth = SUF(is_depth)(c, j.m, j.cin);
    int64_t *tap = malloc((size_t)(3 * j.taps + 1) * sizeof(int64_t));
    T *a = SUF(buffer)(depth ? (j.scale ? j.groups * j.m * kn : 0) : j.groups * mpad * kn);
    if (!tap || !a) { free(tap); free(a); return 1; }
    SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    SUF(plan)(&j);
    int64_t p2 = c->out[2], p1 = p2 * c->out[1], plane = p1 * c->out[0];
    SUF(Dest) d = {y, j.groups * j.m * plane, plane, 0, {p1, p2, 1}};
    j.blas |= SUF(is_plain)(&j, &d, threads);
    if (depth) {
        if (j.scale) { SUF(scaled)(a, w, j.groups * j.m, kn, j.scale); w = a; }
        int rc = SUF(run_depth)(&j, 1, x, &w, b, &d, threads);
        free(tap); free(a);
        return rc;
    }
    for (int64_t g = 0; g < j.groups; g++) {
        if (j.blas) {
            SUF(scaled)(a + g * mpad * kn, w + g * j.m * kn, j.m, kn, j.scale ? j.scale + g * j.m : NULL);
            continue;
        }
        for (int64_t m = 0; m < mpad; m += MR)
            for (int i = 0; i < MR; i++) {
                T *dst = a + g * mpad * kn + m * kn + i;
                const T *src = w + (g * j.m + m + i) * kn;
                T factor = j.scale && m + i < j.m ? j.scale[g * j.m + m + i] : 1;
                if (m + i < j.m) for (int64_t k = 0; k < kn; k++) dst[k * MR] = src[k] * factor;
                else for (int64_t k = 0; k < kn; k++) dst[k * MR] = 0;
            }
    }
    int rc = SUF(run)(&j, x, a, b, d, threads);
    free(tap); free(a);
    return rc;
}

/* The products of the gradient of the input, one for each residue of h + pad: input position h = step*t + first
 * gets taps with (h + pad - tap*dilation) divisible by the stride. Fills j, which of the taps, and where the
 * results go; tap: room for 3 * taps numbers. */
static void SUF(dinput_job)(const RtConvGeom *c, const int64_t *r, SUF(Job) *j, int64_t *tap, int64_t *which, T *gx, SUF(Dest) *dest) {
    int64_t p2 = c->in[2], p1 = p2 * c->in[1], plane = p1 * c->in[0], first[3], shift[3];
    *j = (SUF(Job)){.m = c->cin, .cin = c->cout, .taps = 0, .batch = c->batch, .groups = c->groups,
                    .step = {1, 1, 1}, .tap = tap};
    for (int d = 0; d < 3; d++) {
        /* smallest h >= 0 with h + pad = r mod stride; its output position before taps */
        int64_t s = c->stride[d], h = ((r[d] - c->pad[d]) % s + s) % s;
        first[d] = h;
        shift[d] = SUF(floor_div)(h + c->pad[d], s);
        j->in[d] = c->out[d];
        j->grid[d] = c->in[d] > h ? (c->in[d] - h + s - 1) / s : 0;
    }
    for (int64_t i = 0; i < c->kernel[0]; i++)
        for (int64_t k = 0; k < c->kernel[1]; k++)
            for (int64_t l = 0; l < c->kernel[2]; l++) {
                int64_t at[3] = {i * c->dilation[0], k * c->dilation[1], l * c->dilation[2]}, ok = 1;
                for (int d = 0; d < 3; d++) ok &= (at[d] - r[d]) % c->stride[d] == 0;
                if (!ok) continue;
                for (int d = 0; d < 3; d++)
                    tap[3 * j->taps + d] = shift[d] - SUF(floor_div)(at[d] - r[d], c->stride[d]);
                which[j->taps++] = (i * c->kernel[1] + k) * c->kernel[2] + l;
            }
    SUF(plan)(j);
    *dest = (SUF(Dest)){gx, c->groups * c->cin * plane, plane, first[0] * p1 + first[1] * p2 + first[2],
                        {p1 * c->stride[0], p2 * c->stride[1], c->stride[2]}};
}

static int SUF(dinput_depth)(const RtConvGeom *c, const T *g_nos, const T *w, const T *b, T *gx, int threads) {
    int64_t all = c->kernel[0] * c->kernel[1] * c->kernel[2], wsize = c->groups * c->cin * c->cout * all;
    int64_t most = c->stride[0] * c->stride[1] * c->stride[2], r[3];
    int rc = 1, count = 0;
    int64_t *tap = malloc((size_t)(4 * all) * sizeof(int64_t) * (size_t)most);
    SUF(Job) *jobs = malloc(sizeof *jobs * (size_t)most);
    SUF(Dest) *dests = malloc(sizeof *dests * (size_t)most);
    const T **ws = malloc(sizeof *ws * (size_t)most);
    T *a = SUF(buffer)(wsize), *to = a;            /* each tap belongs to one product */
    if (tap && jobs && dests && ws && a) {
        for (r[0] = 0; r[0] < c->stride[0]; r[0]++)
        for (r[1] = 0; r[1] < c->stride[1]; r[1]++)
        for (r[2] = 0; r[2] < c->stride[2]; r[2]++, count++) {
            SUF(Job) *j = jobs + count;
            int64_t *taps = tap + 4 * all * count, *which = taps + 3 * all;
            SUF(dinput_job)(c, r, j, taps, which, gx, dests + count);
            ws[count] = to;
            for (int64_t g = 0; g < c->groups; g++)
                for (int64_t i = 0; i < c->cin; i++)
                    for (int64_t o = 0; o < c->cout; o++)
                        for (int64_t t = 0; t < j->taps; t++) *to++ = w[((g * c->cout + o) * c->cin + i) * all + which[t]];
        }
        rc = SUF(run_depth)(jobs, count, g_nos, ws, b, dests, threads);
    }
    free(tap); free(jobs); free(dests); free(ws); free(a);
    return rc;
}

static int SUF(dinput)(const RtConvGeom *c, const T *g_nos, const T *w, const T *b, T *gx, int threads) {
    if (SUF(is_near)(c)) { SUF(run_near)(c, 1, g_nos, w, b, gx, threads); return 0; }
    if (SUF(is_depth)(c, c->cin, c->cout)) return SUF(dinput_depth)(c, g_nos, w, b, gx, threads);
    int64_t all = c->kernel[0] * c->kernel[1] * c->kernel[2], mpad = (c->cin + MR - 1) / MR * MR, r[3];
    int64_t *tap = malloc((size_t)(4 * all + 1) * sizeof(int64_t)), *which = tap + 3 * all;
    T *a = SUF(buffer)(c->groups * mpad * c->cout * all);
    int rc = 0;
    if (!tap || !a) { free(tap); free(a); return 1; }
    for (r[0] = 0; r[0] < c->stride[0]; r[0]++)
    for (r[1] = 0; r[1] < c->stride[1]; r[1]++)
    for (r[2] = 0; r[2] < c->stride[2]; r[2]++) {
        SUF(Job) j;
        SUF(Dest) d;
        SUF(dinput_job)(c, r, &j, tap, which, gx, &d);
        j.blas |= SUF(is_plain)(&j, &d, threads);
        int64_t kn = j.cin * j.taps;
        for (int64_t g = 0; g < c->groups; g++) {
            if (j.blas) {
                for (int64_t m = 0; m < c->cin; m++)
                    for (int64_t o = 0; o < c->cout; o++)
                        for (int64_t t = 0; t < j.taps; t++)
                            a[g * mpad * kn + m * kn + o * j.taps + t] = w[((g * c->cout + o) * c->cin + m) * all + which[t]];
                continue;
            }
            for (int64_t m = 0; m < mpad; m += MR)
                for (int64_t o = 0; o < c->cout; o++)
                    for (int64_t t = 0; t < j.taps; t++) {
                        T *dst = a + g * mpad * kn + m * kn + (o * j.taps + t) * MR;
                        const T *src = w + ((g * c->cout + o) * c->cin + m) * all + which[t];
                        for (int i = 0; i < MR; i++) dst[i] = m + i < c->cin ? src[i * all] : 0;
                    }
        }
        rc |= SUF(run)(&j, g_nos, a, b, d, threads);
    }
    free(tap); free(a);
    return rc;
}

/* acc[i][j] += sum_q g[i][q] * x[off[j] + q] over whole vectors. */
RT_INLINE void SUF(dots)(int dr, int dk, int64_t qn, const T *restrict g_oq, int64_t gld, const T *restrict x,
                         const int64_t *off, T *restrict gw, int64_t wld) {
    V acc[DR][DK];
    const T *xs[DK];
#pragma GCC unroll 6
    for (int k = 0; k < dk; k++) xs[k] = x + off[k];
#pragma GCC unroll 4
    for (int i = 0; i < dr; i++)
#pragma GCC unroll 6
        for (int k = 0; k < dk; k++) acc[i][k] = (V){0};
    for (int64_t q = 0; q < qn; q += LANES) {
        V g[DR];
#pragma GCC unroll 4
        for (int i = 0; i < dr; i++) g[i] = VF(load)(g_oq + i * gld + q);
#pragma GCC unroll 6
        for (int k = 0; k < dk; k++) {
            V v = VF(load)(xs[k] + q);
#pragma GCC unroll 4
            for (int i = 0; i < dr; i++) acc[i][k] = VF(fma)(g[i], v, acc[i][k]);
        }
    }
    /* sums over lanes, LANES vectors at a time: a tree of pair sums leaves them in order */
    T sums[(DR * DK + LANES - 1) / LANES * LANES];
#pragma GCC unroll 8
    for (int at = 0; at < dr * dk; at += LANES) {
        V t[LANES];
#pragma GCC unroll 16
        for (int v = 0; v < LANES; v++) t[v] = at + v < dr * dk ? acc[(at + v) / dk][(at + v) % dk] : (V){0};
#pragma GCC unroll 4
        for (int n = LANES / 2; n; n /= 2)
#pragma GCC unroll 8
            for (int v = 0; v < n; v++) t[v] = VF(pair_sums)(t[2 * v], t[2 * v + 1]);
        VF(store)(sums + at, t[0]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < dr; i++)
#pragma GCC unroll 6
        for (int k = 0; k < dk; k++) gw[i * wld + k] += sums[i * dk + k];
}

#define DOTS(dr, dk)                                                                              \
    static __attribute__((noinline)) void SUF(dots_##dr##_##dk)(int64_t qn, const T *g, int64_t gld, const T *x, \
                                                   const int64_t *off, T *gw, int64_t wld) {      \
        SUF(dots)(dr, dk, qn, g, gld, x, off, gw, wld);                                           \
    }
#define ALL(dr) DOTS(dr, 1) DOTS(dr, 2) DOTS(dr, 3) DOTS(dr, 4)
ALL(1) ALL(2) ALL(3)
#if DR > 3
ALL(4)
DOTS(1, 5) DOTS(2, 5) DOTS(3, 5) DOTS(4, 5) DOTS(1, 6) DOTS(2, 6) DOTS(3, 6) DOTS(4, 6)
#endif
typedef void (*SUF(Dots))(int64_t, const T *, int64_t, const T *, const int64_t *, T *, int64_t);
#define ROW(dr) SUF(dots_##dr##_1), SUF(dots_##dr##_2), SUF(dots_##dr##_3), SUF(dots_##dr##_4)
static const SUF(Dots) SUF(dots_of)[DR][DK] = {
#if DR > 3
    {ROW(1), SUF(dots_1_5), SUF(dots_1_6)}, {ROW(2), SUF(dots_2_5), SUF(dots_2_6)},
    {ROW(3), SUF(dots_3_5), SUF(dots_3_6)}, {ROW(4), SUF(dots_4_5), SUF(dots_4_6)},
#else
    {ROW(1)}, {ROW(2)}, {ROW(3)},
#endif
};
#undef DOTS
#undef ALL
#undef ROW

#define DOTS_K (6 * DK)

/* gw[o0..o1) += gradient from one stretch of columns, whose g is stored as g_oq (zeros where the
 * windows hold dropped columns). */
static void SUF(dots_block)(const T *g_oq, int64_t gld, int64_t qn, const T *x, const int64_t *off, int64_t kn, T *gw,
                            int64_t o0, int64_t o1) {
    /* Equal stretches, so that none pays its sums over lanes for a few columns: DR rows of g and a window stay in
     * the first cache. */
    const int64_t most = 6144 / (int64_t)sizeof(T), pieces = (qn + most - 1) / most;
    const int64_t stretch = pieces ? (qn + pieces * LANES - 1) / (pieces * LANES) * LANES : 0;
    for (int64_t q = 0; q < qn; q += stretch) {
        int64_t len = qn - q < stretch ? qn - q : stretch;
        for (int64_t k0 = 0; k0 < kn; k0 += DOTS_K) {            /* these windows stay there while all rows of g pass */
            int64_t k1 = kn - k0 < DOTS_K ? kn : k0 + DOTS_K;
            for (int64_t o = o0; o < o1; o += DR) {
                int dr = (int)(o1 - o < DR ? o1 - o : DR);
                for (int64_t k = k0; k < k1; k += DK) {
                    int dk = (int)(k1 - k < DK ? k1 - k : DK);
                    SUF(dots_of)[dr - 1][dk - 1](len, g_oq + o * gld + q, gld, x + q, off + k, gw + o * kn + k, kn);
                }
            }
        }
    }
}

/* exact: only what windows have meets g (Note [Infinities] in conv_wild_t.h). */
static int SUF(dweight)(const RtConvGeom *c, const T *g_nos, const T *x, T *gw, int exact, int threads) {
    if (SUF(is_near)(c) && !exact) return SUF(dweight_near)(c, g_nos, x, gw, threads);
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], kn = c->cin * taps;
    int64_t wsize = c->groups * c->cout * kn;
    memset(gw, 0, (size_t)wsize * sizeof(T));
    SUF(Job) j = {.m = c->cout, .cin = c->cin, .taps = taps, .batch = c->batch, .groups = c->groups};
    int64_t per_image = c->out[0] * c->out[1] * c->out[2];
    if (!wsize || !per_image || !c->batch) return 0;
    int64_t *tap = malloc((size_t)(3 * taps + kn) * sizeof(int64_t)), *off = tap + 3 * taps;
    if (!tap) return 1;
    SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    SUF(plan)(&j);
    if (SUF(is_depth)(c, c->cout, c->cin) && !exact) {
        int rc = SUF(dweight_depth)(&j, g_nos, x, gw, threads);
        free(tap);
        return rc;
    }
    if (j.in_place) {                     /* g has no room behind it either: store both */
        j.in_place = 0;
        if (per_image % LANES == 0) j.in_place = 1;
        else if (per_image < 16 * NR) j.chunk = 1;
    }
    if (exact) { j.in_place = 0; j.chunk = 1; }
    if (j.chunk) {                        /* long stretches: one horizontal sum per stretch and weight */
        j.chunk = (16 * NR + per_image - 1) / per_image;
        if (j.chunk > c->batch) j.chunk = c->batch;
        int64_t cap = (j.blas ? 2 << 20 : 1 << 20) / (kn * per_image) + 1;      /* columns stay near 4 MB; BLAS packs them again */
        if (j.chunk > cap) j.chunk = cap;
        if (c->groups < PARTS && c->batch / j.chunk < PARTS) j.chunk = (c->batch + PARTS - 1) / PARTS;
    }
    int64_t images = j.chunk ? j.chunk : 1, steps = (c->batch + images - 1) / images;
    int64_t ld = j.chunk ? SUF(row_length)(&j, images) : 0;
    int64_t qn = j.chunk ? ld - LANES : (j.qn + LANES - 1) / LANES * LANES;
    int64_t size = SUF(window_size)(&j), gsize = j.in_place ? 0 : c->cout * qn;
    int64_t plane_in = c->in[0] * c->in[1] * c->in[2], image_in = c->groups * c->cin * plane_in;
    SUF(offsets)(&j, ld, off);
    double work = (double)c->batch * wsize * per_image;
    threads = rt_few(work, GRAIN_MACS, threads, threads);
    /* Split images over `parts` when groups alone do not feed the threads; each part adds into its own array, and the
     * arrays are added in order: the result does not depend on the number of threads. A part has 256 products a weight. */
    int64_t most = c->groups >= PARTS ? 1 : c->batch * per_image / 256;
    int64_t parts = most < 1 ? 1 : most < PARTS ? most : PARTS;
    if (parts > steps) parts = steps;
    T *sums = parts > 1 ? calloc((size_t)((parts - 1) * wsize), sizeof(T)) : NULL;
    int failed = parts > 1 && !sums;
    int64_t tasks = parts * c->groups;
    if (threads > tasks) threads = (int)tasks;
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T *buf = SUF(buffer)(size + gsize), *gbuf = buf + size;
        if (!buf) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            if (size) memset(buf + size - NR, 0, NR * sizeof(T));
            EACH(task) {
                int64_t part = task / c->groups, g = task % c->groups;
                T *out = (part ? sums + (part - 1) * wsize : gw) + g * c->cout * kn;
                int64_t s0 = steps * part / parts, s1 = steps * (part + 1) / parts;
                for (int64_t s = s0; s < s1; s++) {
                    int64_t n = s * images, count = c->batch - n < images ? c->batch - n : images;
                    const T *src = x + n * image_in + g * c->cin * plane_in, *b = buf;
                    const T *gs = g_nos + (n * c->groups + g) * c->cout * per_image, *gq = gbuf;
                    int64_t gld = qn, len = qn;
                    if (j.chunk) {
                        SUF(pack_columns)(&j, src, image_in, count, ld, buf, buf + kn * ld);
                        for (int64_t o = 0; o < c->cout; o++) {
                            T *row = gbuf + o * qn;
                            for (int64_t i = 0; i < count; i++)
                                memcpy(row + i * per_image, gs + (i * c->groups * c->cout + o) * per_image,
                                       (size_t)per_image * sizeof(T));
                            memset(row + count * per_image, 0, (size_t)(qn - count * per_image) * sizeof(T));
                        }
                    } else if (j.in_place) { b = src; gq = gs; gld = per_image; len = per_image; }
                    else {
                        SUF(pack_planes)(&j, src, buf, 0, c->cin);
                        memset(gbuf, 0, (size_t)gsize * sizeof(T));
                        for (int64_t o = 0; o < c->cout; o++)
                            for (int64_t z = 0; z < c->out[0]; z++)
                                for (int64_t y = 0; y < c->out[1]; y++, gs += c->out[2])
                                    memcpy(gbuf + o * qn + (z * j.plane[1] + y) * j.plane[2], gs,
                                           (size_t)c->out[2] * sizeof(T));
                    }
                    if (j.chunk && j.blas)
                        GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, (int)c->cout, (int)kn, (int)(count * per_image), 1, gbuf, (int)qn,
                             buf, (int)ld, 1, out, (int)kn);
                    else SUF(dots_block)(gq, gld, len, b, off, kn, out, 0, c->cout);
                }
            }
        }
        free(buf);
    }
    if (!failed && parts > 1) {
        threads = rt_few((double)parts * wsize, 65536, threads, threads);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t i = 0; i < wsize; i++)
            for (int64_t part = 1; part < parts; part++) gw[i] += sums[(part - 1) * wsize + i];
    }
    free(sums); free(tap);
    return failed;
}

static void SUF(dbias)(const T *g, T *gb, int64_t batch, int64_t channels, int64_t plane, int threads) {
    threads = rt_few((double)batch * channels * plane, 65536, threads, channels);
    RT_OMP(omp parallel for num_threads(threads) if (threads > 1))
    for (int64_t c = 0; c < channels; c++) {
        double total = 0;
        for (int64_t n = 0; n < batch; n++) {
            const T *p = g + (n * channels + c) * plane;
            V acc = {0};
            int64_t i = 0;
            for (; i + LANES <= plane; i += LANES) acc += VF(load)(p + i);
            double s = VF(sum)(acc);
            for (; i < plane; i++) s += p[i];
            total += s;
        }
        gb[c] = (T)total;
    }
}

#undef GROUP
#undef KBLOCK
#undef MR
#undef NV
#undef NR
#undef DR
#undef DOTS_K
#undef DK
