/* Depthwise convolutions (a channel a group) with channels innermost: typed body of conv.inc.c, included after conv_last_t.h.
 *
 * Every result is a sum over taps of whole vectors of channels, so nothing is padded or turned: a vector of channels at a time walks
 * along a row of pixels with its weights in registers; pixels whose windows stick out take the taps that exist. A strided gradient of
 * the input is one product for each residue of the position (dinput_job). */

#define DEEP_TAPS 9                       /* taps whose weights stay in registers */

/* Columns [lo, hi) of the grid whose taps all lie inside the source's last dimension. */
static void SUF(deep_inside)(const SUF(Job) *j, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = j->grid[2];
    for (int64_t t = 0; t < j->taps; t++) {
        int64_t v = j->tap[3 * t + 2], s = j->step[2];
        if (v < 0 && (-v + s - 1) / s > *lo) *lo = (-v + s - 1) / s;
        int64_t end = j->in[2] > v ? (j->in[2] - v + s - 1) / s : 0;
        if (end < *hi) *hi = end;
    }
    if (*lo > j->grid[2]) *lo = j->grid[2];
    if (*hi < *lo) *hi = *lo;
}

/* Pixels [i0, i1) of a row, one vector of channels: at[k] is tap k's place in the source for pixel 0, or -1 where its row is outside. */
RT_INLINE void SUF(deep_row)(int taps, const T *restrict x, const int64_t *at, const T *restrict w, int64_t wpitch, V bias, int cut, int64_t xstep,
                             T *restrict y, int64_t ystep, int64_t i0, int64_t i1, int count) {
    V wv[DEEP_TAPS];
    const T *p[DEEP_TAPS];
#pragma GCC unroll 9
    for (int k = 0; k < taps; k++) { wv[k] = VF(load)(w + k * wpitch); p[k] = x + at[k]; }
    for (int64_t i = i0; i < i1; i++) {
        V acc = bias;
#pragma GCC unroll 9
        for (int k = 0; k < taps; k++) acc = VF(fma)(wv[k], count == LANES ? VF(load)(p[k] + i * xstep) : VF(load_first)(p[k] + i * xstep, count), acc);
        if (cut) acc = VF(positive)(acc);
        if (count == LANES) VF(store)(y + i * ystep, acc);
        else VF(store_first)(y + i * ystep, acc, count);
    }
}
#define DEEP(n) static __attribute__((noinline)) void SUF(deep_##n)(const T *x, const int64_t *at, const T *w, int64_t wpitch, V bias, int cut, \
        int64_t xstep, T *y, int64_t ystep, int64_t i0, int64_t i1) { SUF(deep_row)(n, x, at, w, wpitch, bias, cut, xstep, y, ystep, i0, i1, LANES); }
DEEP(9) DEEP(6) DEEP(3)
#undef DEEP

/* Any taps, and any number of channels of a vector: column i takes those that lie inside. */
static void SUF(deep_edge)(const SUF(Job) *j, const T *x, const int64_t *at, const int64_t *of, int64_t n, const T *w, int64_t wpitch, V bias,
                           int64_t xstep, T *y, int64_t ystep, int64_t i0, int64_t i1, int count) {
    for (int64_t i = i0; i < i1; i++) {
        V acc = bias;
        for (int64_t k = 0; k < n; k++) {
            int64_t col = i * j->step[2] + j->tap[3 * of[k] + 2];
            if (col < 0 || col >= j->in[2]) continue;
            const T *p = x + at[k] + i * xstep;
            acc = VF(fma)(VF(load)(w + of[k] * wpitch), count == LANES ? VF(load)(p) : VF(load_first)(p, count), acc);
        }
        if (j->cut) acc = VF(positive)(acc);
        if (count == LANES) VF(store)(y + i * ystep, acc);
        else VF(store_first)(y + i * ystep, acc, count);
    }
}

/* Taps of result row (a, b) whose source row exists: places for pixel 0 (of channel 0), and which they are. */
static int64_t SUF(deep_taps)(const SUF(Job) *j, int64_t a, int64_t b, int64_t channels, int64_t *at, int64_t *of) {
    int64_t n = 0;
    for (int64_t t = 0; t < j->taps; t++) {
        int64_t z = a * j->step[0] + j->tap[3 * t], y = b * j->step[1] + j->tap[3 * t + 1];
        if (z < 0 || z >= j->in[0] || y < 0 || y >= j->in[1]) continue;
        at[n] = ((z * j->in[1] + y) * j->in[2] + j->tap[3 * t + 2]) * channels;
        of[n++] = t;
    }
    return n;
}

/* One product; w: [tap][channels in whole vectors]; dest: steps in elements. */
static int SUF(run_deep)(const SUF(Job) *j, const T *x, const T *w, int64_t wpitch, const T *bias, const SUF(Dest) *dest, int64_t channels, int threads) {
    int64_t rows = j->grid[0] * j->grid[1], tasks = j->batch * rows, lo, hi;
    int64_t image = j->in[0] * j->in[1] * j->in[2] * channels, xstep = j->step[2] * channels;
    threads = rt_few((double)tasks * j->grid[2] * channels * (j->taps + 4), 4e5, threads, tasks);
    SUF(deep_inside)(j, &lo, &hi);
    int failed = 0;
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        int64_t *at = malloc((size_t)(2 * j->taps + 2) * sizeof(int64_t)), *of = at + j->taps + 1;
        if (!at) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(task) {
                int64_t n = task / rows, a = task % rows / j->grid[1], b = task % j->grid[1], taps = SUF(deep_taps)(j, a, b, channels, at, of);
                int even = taps == 9 || taps == 6 || taps == 3;
                for (int64_t k = 1; k < taps; k++) even &= of[k] == of[0] + k;
                for (int64_t c = 0; c < channels; c += LANES) {
                    int count = (int)(channels - c < LANES ? channels - c : LANES);
                    V base = {0};
                    if (bias) base = VF(load_first)(bias + c, count);
                    const T *xs = x + n * image + c;
                    T *y = dest->y + n * dest->image + dest->first + a * dest->step[0] + b * dest->step[1] + c;
                    int64_t i0 = even && count == LANES ? lo : 0, i1 = even && count == LANES ? hi : 0;
                    if (i1 > i0) {
                        const T *wk = w + of[0] * wpitch + c;
                        (taps == 9 ? SUF(deep_9) : taps == 6 ? SUF(deep_6) : SUF(deep_3))(xs, at, wk, wpitch, base, j->cut, xstep, y, dest->step[2], i0, i1);
                    }
                    SUF(deep_edge)(j, xs, at, of, taps, w + c, wpitch, base, xstep, y, dest->step[2], 0, i0, count);
                    SUF(deep_edge)(j, xs, at, of, taps, w + c, wpitch, base, xstep, y, dest->step[2], i1, j->grid[2], count);
                }
            }
        }
        free(at);
    }
    return failed;
}

/* Weights as [tap][channel]; channels of whole vectors, zeros behind the last */
static T *SUF(deep_weights)(const RtConvGeom *c, const T *w, const T *scale, int64_t *pitch) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
    *pitch = (c->groups + LANES - 1) / LANES * LANES;
    T *to = SUF(buffer)(taps * *pitch);
    if (to)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t g = 0; g < *pitch; g++) to[t * *pitch + g] = g < c->groups ? w[g * taps + t] * (scale ? scale[g] : 1) : 0;
    return to;
}

static int SUF(forward_deep)(const RtConvGeom *c, const T *x, const T *w, const T *b, T *y, int threads) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], pitch, p2 = c->groups * c->out[2], p1 = p2 * c->out[1];
    SUF(Job) j = {.m = 1, .cin = 1, .taps = taps, .batch = c->batch, .groups = c->groups, .cut = (int)c->cut};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    T *wt = SUF(deep_weights)(c, w, c->scale, &pitch);
    int rc = 1;
    if (tap && wt) {
        SUF(forward_taps)(c, tap);
        for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
        j.tap = tap;
        SUF(Dest) d = {y, p1 * c->out[0], 1, 0, {p1, p2, c->groups}};
        rc = SUF(run_deep)(&j, x, wt, pitch, b, &d, c->groups, threads);
    }
    free(tap); free(wt);
    return rc;
}

static int SUF(dinput_deep)(const RtConvGeom *c, const T *g, const T *w, const T *b, T *gx, int threads) {
    int64_t all = c->kernel[0] * c->kernel[1] * c->kernel[2], pitch, r[3];
    int64_t *tap = malloc((size_t)(4 * all + 1) * sizeof(int64_t)), *which = tap + 3 * all;
    T *wt = SUF(deep_weights)(c, w, NULL, &pitch), *sub = wt ? SUF(buffer)(all * pitch) : NULL;
    int rc = !tap || !sub;
    for (r[0] = 0; r[0] < c->stride[0] && !rc; r[0]++)
    for (r[1] = 0; r[1] < c->stride[1] && !rc; r[1]++)
    for (r[2] = 0; r[2] < c->stride[2] && !rc; r[2]++) {
        SUF(Job) j;
        SUF(Dest) d;
        SUF(dinput_job)(c, r, &j, tap, which, gx, &d);
        for (int64_t t = 0; t < j.taps; t++) memcpy(sub + t * pitch, wt + which[t] * pitch, (size_t)pitch * sizeof(T));
        d.image = c->in[0] * c->in[1] * c->in[2] * c->groups;
        d.first *= c->groups;
        for (int k = 0; k < 3; k++) d.step[k] *= c->groups;
        rc = SUF(run_deep)(&j, g, sub, pitch, b, &d, c->groups, threads);
    }
    free(tap); free(wt); free(sub);
    return rc;
}

/* Each image's gradient is made apart and the images are added in order: the same bits on any number of threads. */
static int SUF(dweight_deep)(const RtConvGeom *c, const T *g, const T *x, T *gw, int threads) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], channels = c->groups, wsize = taps * channels;
    SUF(Job) j = {.m = 1, .cin = 1, .taps = taps, .batch = c->batch, .groups = c->groups};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    T *parts = calloc((size_t)(c->batch * wsize + 1), sizeof(T));
    if (!tap || !parts) { free(tap); free(parts); return 1; }
    SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    int64_t rows = j.grid[0] * j.grid[1], image = j.in[0] * j.in[1] * j.in[2] * channels, blocks = (channels + LANES - 1) / LANES;
    int64_t tasks = c->batch * blocks, lo, hi, xstep = j.step[2] * channels;
    SUF(deep_inside)(&j, &lo, &hi);
    threads = rt_few((double)c->batch * rows * j.grid[2] * channels * (taps + 4), 4e5, threads, tasks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < tasks; task++) {
        int64_t n = task / blocks, c0 = task % blocks * LANES;
        int count = (int)(channels - c0 < LANES ? channels - c0 : LANES);
        for (int64_t t0 = 0; t0 < taps; t0 += DEEP_TAPS) {
            int64_t nt = taps - t0 < DEEP_TAPS ? taps - t0 : DEEP_TAPS;
            V acc[DEEP_TAPS];
            for (int64_t k = 0; k < nt; k++) acc[k] = (V){0};
            for (int64_t row = 0; row < rows; row++) {
                int64_t a = row / j.grid[1], b = row % j.grid[1];
                const T *gr = g + ((n * rows + row) * j.grid[2]) * channels + c0;
                for (int64_t k = 0; k < nt; k++) {
                    const int64_t *v = tap + 3 * (t0 + k);
                    int64_t z = a * j.step[0] + v[0], y = b * j.step[1] + v[1], s = j.step[2];
                    if (z < 0 || z >= j.in[0] || y < 0 || y >= j.in[1]) continue;
                    int64_t i0 = v[2] < 0 ? (-v[2] + s - 1) / s : 0, i1 = j.in[2] > v[2] ? (j.in[2] - v[2] + s - 1) / s : 0;
                    if (i1 > j.grid[2]) i1 = j.grid[2];
                    const T *xr = x + n * image + ((z * j.in[1] + y) * j.in[2] + v[2]) * channels + c0;
                    V s0 = {0}, s1 = {0};
                    int64_t i = i0;
                    if (count == LANES) {
                        for (; i + 2 <= i1; i += 2) {
                            s0 = VF(fma)(VF(load)(gr + i * channels), VF(load)(xr + i * xstep), s0);
                            s1 = VF(fma)(VF(load)(gr + (i + 1) * channels), VF(load)(xr + (i + 1) * xstep), s1);
                        }
                        for (; i < i1; i++) s0 = VF(fma)(VF(load)(gr + i * channels), VF(load)(xr + i * xstep), s0);
                    } else for (; i < i1; i++) s0 = VF(fma)(VF(load_first)(gr + i * channels, count), VF(load_first)(xr + i * xstep, count), s0);
                    acc[k] += s0 + s1;
                }
            }
            for (int64_t k = 0; k < nt; k++) VF(store_first)(parts + n * wsize + (t0 + k) * channels + c0, acc[k], count);
        }
    }
    for (int64_t ch = 0; ch < channels; ch++)
        for (int64_t t = 0; t < taps; t++) {
            double total = 0;
            for (int64_t n = 0; n < c->batch; n++) total += parts[n * wsize + t * channels + ch];
            gw[ch * taps + t] = (T)total;
        }
    free(tap); free(parts);
    return 0;
}
#undef DEEP_TAPS
