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

/* `pixels` neighbours and any taps: each weight is loaded once for all of them. A single pixel has four sums, so that none waits for the one before. */
RT_INLINE void SUF(deep_some)(int pixels, int64_t n, const T *restrict x, const int64_t *at, const int64_t *of, const T *restrict w, int64_t wpitch, V bias, int cut,
                              int64_t xstep, T *restrict y, int64_t ystep, int count) {
    V acc[8];
    int64_t k = 0;
#pragma GCC unroll 8
    for (int i = 0; i < (pixels > 1 ? pixels : 4); i++) acc[i] = pixels > 1 || !i ? bias : (V){0};
    if (pixels == 1) {
        for (; k + 4 <= n; k += 4)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                acc[i] = VF(fma)(VF(load)(w + of[k + i] * wpitch), count == LANES ? VF(load)(x + at[k + i]) : VF(load_first)(x + at[k + i], count), acc[i]);
    }
    for (; k < n; k++) {
        V wv = VF(load)(w + of[k] * wpitch);
        const T *p = x + at[k];
#pragma GCC unroll 8
        for (int i = 0; i < pixels; i++) acc[i] = VF(fma)(wv, count == LANES ? VF(load)(p + i * xstep) : VF(load_first)(p + i * xstep, count), acc[i]);
    }
    if (pixels == 1) acc[0] = (acc[0] + acc[1]) + (acc[2] + acc[3]);
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++) {
        if (cut) acc[i] = VF(positive)(acc[i]);
        if (count == LANES) VF(store)(y + i * ystep, acc[i]);
        else VF(store_first)(y + i * ystep, acc[i], count);
    }
}
static __attribute__((noinline)) void SUF(deep_any)(int64_t n, const T *x, const int64_t *at, const int64_t *of, const T *w, int64_t wpitch, V bias, int cut, int64_t xstep,
                                                    T *y, int64_t ystep, int64_t i0, int64_t i1) {
    int64_t i = i0;
    for (; i + 8 <= i1; i += 8) SUF(deep_some)(8, n, x + i * xstep, at, of, w, wpitch, bias, cut, xstep, y + i * ystep, ystep, LANES);
    for (; i + 4 <= i1; i += 4) SUF(deep_some)(4, n, x + i * xstep, at, of, w, wpitch, bias, cut, xstep, y + i * ystep, ystep, LANES);
    if (i + 3 == i1) { SUF(deep_some)(3, n, x + i * xstep, at, of, w, wpitch, bias, cut, xstep, y + i * ystep, ystep, LANES); return; }
    for (; i + 2 <= i1; i += 2) SUF(deep_some)(2, n, x + i * xstep, at, of, w, wpitch, bias, cut, xstep, y + i * ystep, ystep, LANES);
    for (; i < i1; i++) SUF(deep_some)(1, n, x + i * xstep, at, of, w, wpitch, bias, cut, xstep, y + i * ystep, ystep, LANES);
}

/* Note [Sliding]
 * `pixels` neighbours and `rows` rows of `wide` taps that are neighbours, too: a vector of the source is loaded once for all the taps of a row that read it, as
 * processors that load as many vectors as they multiply want it (three taps have their weights in registers instead). at: the leftmost tap of each row for the first pixel; of: the taps from left to right; columns
 * of the source outside [first, end), counted from the leftmost tap of the first pixel, are zeros (check: there are some). */
RT_INLINE void SUF(deep_slide)(int wide, int step, int pixels, int check, int64_t rows, const T *restrict x, const int64_t *at, const int64_t *of, const T *restrict w,
                               int64_t wpitch, V bias, int cut, int64_t channels, T *restrict y, int64_t ystep, int64_t first, int64_t end) {
    V acc[8];
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++) acc[i] = bias;
    for (int64_t r = 0; r < rows; r++, at += wide, of += wide) {
        const T *p = x + *at;
        V wv[7];
#pragma GCC unroll 7
        for (int k = 0; k < wide; k++) wv[k] = VF(load)(w + of[k] * wpitch);
#pragma GCC unroll 22
        for (int q = 0; q < step * (pixels - 1) + wide; q++, p += channels) {
            if (check && (q < first || q >= end)) continue;
            V v = VF(load)(p);
#pragma GCC unroll 8
            for (int i = 0; i < pixels; i++)
                if (q - step * i >= 0 && q - step * i < wide) acc[i] = VF(fma)(wv[q - step * i], v, acc[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++) VF(store)(y + i * ystep, cut ? VF(positive)(acc[i]) : acc[i]);
}
typedef void (*SUF(DeepSlide))(int64_t, const T *, const int64_t *, const int64_t *, const T *, int64_t, V, int, int64_t, T *, int64_t, int64_t, int64_t);
#define SLIDE(wide, step, pixels)                                                                                                                            \
    static __attribute__((noinline)) void SUF(slide_##wide##_##step##_##pixels)(int64_t rows, const T *x, const int64_t *at, const int64_t *of, const T *w,        \
            int64_t wpitch, V bias, int cut, int64_t channels, T *y, int64_t ystep, int64_t first, int64_t end) {                                                  \
        if (first <= 0 && end >= step * (pixels - 1) + wide) SUF(deep_slide)(wide, step, pixels, 0, rows, x, at, of, w, wpitch, bias, cut, channels, y, ystep, first, end); \
        else SUF(deep_slide)(wide, step, pixels, 1, rows, x, at, of, w, wpitch, bias, cut, channels, y, ystep, first, end);                                     \
    }
#define SLIDES(wide) SLIDE(wide, 1, 4) SLIDE(wide, 1, 8) SLIDE(wide, 2, 4) SLIDE(wide, 2, 8)
SLIDES(5) SLIDES(7)
#define ROW(wide) {{SUF(slide_##wide##_1_4), SUF(slide_##wide##_1_8)}, {SUF(slide_##wide##_2_4), SUF(slide_##wide##_2_8)}}
static const SUF(DeepSlide) SUF(deep_slides)[2][2][2] = {ROW(5), ROW(7)};
#undef SLIDE
#undef SLIDES
#undef ROW

/* The length of a row of taps if deep_slide() can walk along it, else 0; *back: they lie from right to left. */
static int SUF(deep_sliding)(const SUF(Job) *j, int *back) {
    int64_t wide = 1;
    while (wide < j->taps && j->tap[3 * wide] == j->tap[0] && j->tap[3 * wide + 1] == j->tap[1]) wide++;
    if ((wide != 5 && wide != 7) || j->taps % wide || j->step[2] > 2 || j->grid[2] < 4) return 0;
    *back = j->tap[5] < j->tap[2];
    for (int64_t t = 0; t < j->taps; t++) {
        const int64_t *v = j->tap + 3 * t, *head = j->tap + 3 * (t / wide * wide);
        if (v[0] != head[0] || v[1] != head[1] || v[2] != j->tap[2] + (*back ? -1 : 1) * (t % wide)) return 0;
    }
    return (int)wide;
}

/* Column i of a row, all channels: of the row's n taps those that lie inside, which are looked for once. */
static void SUF(deep_edge)(const SUF(Job) *j, const T *x, const int64_t *at, const int64_t *of, int64_t n, const T *w, int64_t wpitch, const T *bias, int64_t xstep, T *y,
                           int64_t i, int64_t channels, int64_t *to, int64_t *which) {
    int64_t m = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t col = i * j->step[2] + j->tap[3 * of[k] + 2];
        to[m] = at[k] + i * xstep;
        which[m] = of[k];
        m += col >= 0 && col < j->in[2];
    }
    for (int64_t c = 0; c < channels; c += LANES) {
        int count = (int)(channels - c < LANES ? channels - c : LANES);
        V base = bias ? VF(load_first)(bias + c, count) : (V){0};
        if (count == LANES) SUF(deep_some)(1, m, x + c, to, which, w + c, wpitch, base, j->cut, 0, y + c, 0, LANES);
        else SUF(deep_some)(1, m, x + c, to, which, w + c, wpitch, base, j->cut, 0, y + c, 0, count);
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

/* A row of results, all channels, by Note [Sliding]: blocks of pixels and vectors of channels, of which the last overlap those before them. */
static void SUF(deep_sliding_row)(const SUF(Job) *j, int wide, int back, const T *x, int64_t *at, int64_t *of, int64_t taps, const T *w, int64_t wpitch, const T *bias,
                                  T *y, int64_t ystep, int64_t channels) {
    int64_t left = j->tap[2] - (back ? wide - 1 : 0), grid = j->grid[2], step = j->step[2];
    for (int64_t r = 0; back && r < taps; r += wide)
        for (int64_t k = 0; k < wide / 2; k++) {
            int64_t a = at[r + k], b = of[r + k];
            at[r + k] = at[r + wide - 1 - k]; of[r + k] = of[r + wide - 1 - k];
            at[r + wide - 1 - k] = a; of[r + wide - 1 - k] = b;
        }
    for (int64_t c = 0; c < channels; c += LANES) {
        if (channels - c < LANES) c = channels - LANES;
        V base = bias ? VF(load)(bias + c) : (V){0};
        for (int64_t i = 0, many; i < grid; i += many) {
            many = grid >= 8 && grid - i > 4 ? 8 : 4;
            if (grid - i < many) i = grid - many;
            int64_t column = i * step + left;
            SUF(deep_slides)[wide / 2 - 2][step - 1][many / 8](taps / wide, x + c + i * step * channels, at, of, w + c, wpitch, base, j->cut, channels, y + c + i * ystep, ystep,
                                                              -column, j->in[2] - column);
        }
    }
}

/* One product; w: [tap][channels in whole vectors]; dest: steps in elements. */
static int SUF(run_deep)(const SUF(Job) *j, const T *x, const T *w, int64_t wpitch, const T *bias, const SUF(Dest) *dest, int64_t channels, int threads) {
    int64_t rows = j->grid[0] * j->grid[1], tasks = j->batch * rows, lo, hi;
    int64_t image = j->in[0] * j->in[1] * j->in[2] * channels, xstep = j->step[2] * channels;
    threads = rt_few((double)tasks * j->grid[2] * channels * (j->taps + 4), 4e5, threads, tasks);
    SUF(deep_inside)(j, &lo, &hi);
    int failed = 0, back = 0, wide = SUF(deep_sliding)(j, &back);
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        int64_t most = j->taps + 1, *at = malloc((size_t)(4 * most) * sizeof(int64_t)), *of = at + 2 * most;
        if (!at) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(task) {
                int64_t n = task / rows, a = task % rows / j->grid[1], b = task % j->grid[1], taps = SUF(deep_taps)(j, a, b, channels, at, of);
                const T *xn = x + n * image;
                T *row = dest->y + n * dest->image + dest->first + a * dest->step[0] + b * dest->step[1];
                if (wide && channels >= LANES) {
                    SUF(deep_sliding_row)(j, wide, back, xn, at, of, taps, w, wpitch, bias, row, dest->step[2], channels);
                    continue;
                }
                int even = taps == 9 || taps == 6 || taps == 3;
                for (int64_t k = 1; k < taps; k++) even &= of[k] == of[0] + k;
                int64_t i0 = channels < LANES ? j->grid[2] : lo, i1 = channels < LANES ? j->grid[2] : hi;
                for (int64_t c = 0; c < channels && i1 > i0; c += LANES) {
                    if (channels - c < LANES) c = channels - LANES;      /* the last vector overlaps the one before */
                    V base = bias ? VF(load)(bias + c) : (V){0};
                    if (even) (taps == 9 ? SUF(deep_9) : taps == 6 ? SUF(deep_6) : SUF(deep_3))(xn + c, at, w + of[0] * wpitch + c, wpitch, base, j->cut, xstep, row + c, dest->step[2], i0, i1);
                    else SUF(deep_any)(taps, xn + c, at, of, w + c, wpitch, base, j->cut, xstep, row + c, dest->step[2], i0, i1);
                }
                for (int64_t i = 0; i < j->grid[2]; i++) {
                    if (i == i0) i = i1;
                    if (i < j->grid[2]) SUF(deep_edge)(j, xn, at, of, taps, w, wpitch, bias, xstep, row + i * dest->step[2], i, channels, at + most, of + most);
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

/* wt: of deep_weights() */
static int SUF(deep_forward)(const RtConvGeom *c, const T *x, const T *wt, int64_t pitch, const T *b, T *y, int threads) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], p2 = c->groups * c->out[2], p1 = p2 * c->out[1];
    SUF(Job) j = {.m = 1, .cin = 1, .taps = taps, .batch = c->batch, .groups = c->groups, .cut = (int)c->cut};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    if (!tap) return 1;
    SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    SUF(Dest) d = {y, p1 * c->out[0], 1, 0, {p1, p2, c->groups}};
    int rc = SUF(run_deep)(&j, x, wt, pitch, b, &d, c->groups, threads);
    free(tap);
    return rc;
}
static int SUF(forward_deep)(const RtConvGeom *c, const T *x, const T *w, const T *b, T *y, int threads) {
    int64_t pitch;
    T *wt = SUF(deep_weights)(c, w, c->scale, &pitch);
    int rc = wt ? SUF(deep_forward)(c, x, wt, pitch, b, y, threads) : 1;
    free(wt);
    return rc;
}

/* Planes whose rows are shorter than two vectors leave most lanes of conv_depth_t.h idle: many taps pay for turning a few channels at a time on their way. */
static int SUF(is_deep_turned)(const RtConvGeom *c, int orders) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
    return is_deep(c) && !(orders & RT_LAST_ANY) && c->groups >= 16 && taps >= 16 && c->out[1] > 1 && c->out[2] < (taps >= 36 ? 40 : 16) && c->in[2] < 80;
}
static int SUF(forward_deep_turned)(const RtConvGeom *c, const T *x, const T *w, const T *b, T *y, int threads) {
    enum { WIDE = 64 };                                   /* channels of a task */
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], pixels = c->in[0] * c->in[1] * c->in[2], results = c->out[0] * c->out[1] * c->out[2], pitch;
    int64_t blocks = (c->groups + WIDE - 1) / WIDE, tasks = c->batch * blocks;
    SUF(Job) j = {.m = 1, .cin = 1, .taps = taps, .batch = 1, .groups = c->groups, .cut = (int)c->cut};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t));
    T *wt = SUF(deep_weights)(c, w, c->scale, &pitch);
    int failed = !tap || !wt;
    threads = rt_few((double)c->batch * c->groups * results * taps, 4e5, threads, tasks);
    if (!failed) SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T *turned = SUF(buffer)(WIDE * (pixels + results)), *made = turned ? turned + WIDE * pixels : NULL;
        int bad = !turned;
        if (!bad) {
            EACH(task) {
                int64_t n = task / blocks, c0 = task % blocks * WIDE, count = c->groups - c0 < WIDE ? c->groups - c0 : WIDE;
                int64_t p2 = count * c->out[2], p1 = p2 * c->out[1];
                SUF(Dest) d = {made, p1 * c->out[0], 1, 0, {p1, p2, count}};
                SUF(last_turn)(turned, count, x + (n * c->groups + c0) * pixels, pixels, pixels, count);
                bad |= SUF(run_deep)(&j, turned, wt + c0, pitch, b ? b + c0 : NULL, &d, count, 1);
                SUF(last_turn)(y + (n * c->groups + c0) * results, results, made, count, count, results);
            }
        }
        if (bad) {
            RT_OMP(omp atomic write)
            failed = 1;
        }
        free(turned);
    }
    free(tap); free(wt);
    return failed;
}

/* The gradient of the input of stride 1 is the same product with the weights turned and the other padding. */
static int SUF(is_deep_turned_back)(const RtConvGeom *c, int orders, RtConvGeom *back) {
    *back = *c;
    back->scale = NULL;
    back->cut = 0;
    for (int d = 0; d < 3; d++) {
        back->in[d] = c->out[d];
        back->out[d] = c->in[d];
        back->pad[d] = (c->kernel[d] - 1) * c->dilation[d] - c->pad[d];
        if (c->stride[d] != 1 || back->pad[d] < 0) return 0;
    }
    return SUF(is_deep_turned)(back, orders);
}
static int SUF(dinput_deep_turned)(const RtConvGeom *back, const T *g, const T *w, const T *b, T *gx, int threads) {
    int64_t taps = back->kernel[0] * back->kernel[1] * back->kernel[2];
    T *own = SUF(buffer)(back->groups * taps);
    int rc = 1;
    if (own) {
        for (int64_t i = 0; i < back->groups * taps; i++) own[i] = w[i / taps * taps + taps - 1 - i % taps];
        rc = SUF(forward_deep_turned)(back, g, own, b, gx, threads);
    }
    free(own);
    return rc;
}

/* wt: of deep_weights() */
static int SUF(deep_dinput)(const RtConvGeom *c, const T *g, const T *wt, int64_t pitch, const T *b, T *gx, int threads) {
    int64_t all = c->kernel[0] * c->kernel[1] * c->kernel[2], whole = (c->groups + LANES - 1) / LANES * LANES, r[3];
    int64_t *tap = malloc((size_t)(4 * all + 1) * sizeof(int64_t)), *which = tap + 3 * all;
    T *sub = SUF(buffer)(all * pitch);
    int rc = !tap || !sub;
    for (r[0] = 0; r[0] < c->stride[0] && !rc; r[0]++)
    for (r[1] = 0; r[1] < c->stride[1] && !rc; r[1]++)
    for (r[2] = 0; r[2] < c->stride[2] && !rc; r[2]++) {
        SUF(Job) j;
        SUF(Dest) d;
        SUF(dinput_job)(c, r, &j, tap, which, gx, &d);
        for (int64_t t = 0; t < j.taps; t++) memcpy(sub + t * pitch, wt + which[t] * pitch, (size_t)whole * sizeof(T));
        d.image = c->in[0] * c->in[1] * c->in[2] * c->groups;
        d.first *= c->groups;
        for (int k = 0; k < 3; k++) d.step[k] *= c->groups;
        rc = SUF(run_deep)(&j, g, sub, pitch, b, &d, c->groups, threads);
    }
    free(tap); free(sub);
    return rc;
}
static int SUF(dinput_deep)(const RtConvGeom *c, const T *g, const T *w, const T *b, T *gx, int threads) {
    int64_t pitch;
    T *wt = SUF(deep_weights)(c, w, NULL, &pitch);
    int rc = wt ? SUF(deep_dinput)(c, g, wt, pitch, b, gx, threads) : 1;
    free(wt);
    return rc;
}

/* to[of[k] * pitch], `count` channels of it, += sums of a row of g times what the taps read: g and each tap's vector are loaded once for each pixel. */
RT_INLINE void SUF(deep_sums)(int taps, const SUF(Job) *j, const T *restrict g, const T *restrict x, const int64_t *at, const int64_t *of, int64_t channels,
                              int count, int64_t lo, int64_t hi, T *restrict to, int64_t pitch) {
    int64_t step = j->step[2], xstep = step * channels;
    V acc[DEEP_TAPS];
    const T *p[DEEP_TAPS];
#pragma GCC unroll 9
    for (int k = 0; k < taps; k++) { acc[k] = (V){0}; p[k] = x + at[k]; }
    for (int64_t i = lo; i < hi; i++) {
        V v = count == LANES ? VF(load)(g + i * channels) : VF(load_first)(g + i * channels, count);
#pragma GCC unroll 9
        for (int k = 0; k < taps; k++) acc[k] = VF(fma)(v, count == LANES ? VF(load)(p[k] + i * xstep) : VF(load_first)(p[k] + i * xstep, count), acc[k]);
    }
    for (int64_t i = 0; i < j->grid[2]; i++) {
        if (i == lo) i = hi;
        if (i >= j->grid[2]) break;
        V v = VF(load_first)(g + i * channels, count);
#pragma GCC unroll 9
        for (int k = 0; k < taps; k++) {
            int64_t column = i * step + j->tap[3 * of[k] + 2];
            if (column >= 0 && column < j->in[2]) acc[k] = VF(fma)(v, VF(load_first)(p[k] + i * xstep, count), acc[k]);
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < taps; k++) {
        T *sum = to + of[k] * pitch;
        VF(store_first)(sum, VF(load_first)(sum, count) + acc[k], count);
    }
}
#define SUMS(n) static __attribute__((noinline)) void SUF(deep_sums_##n)(const SUF(Job) *j, const T *g, const T *x, const int64_t *at, const int64_t *of, int64_t channels, \
        int count, int64_t lo, int64_t hi, T *to, int64_t pitch) {                                                                                              \
        if (count == LANES) SUF(deep_sums)(n, j, g, x, at, of, channels, LANES, lo, hi, to, pitch);                                                              \
        else SUF(deep_sums)(n, j, g, x, at, of, channels, count, lo, hi, to, pitch);                                                                            \
    }
SUMS(1) SUMS(3) SUMS(6) SUMS(9)
#undef SUMS
/* Rows [r0, r1) of one image's share of the weights' gradient are added to to[tap * pitch + channel]. at, of: room for as many as there are taps. */
static void SUF(deep_gradient)(const SUF(Job) *j, const T *g, const T *x, int64_t channels, int64_t r0, int64_t r1, int64_t *at, int64_t *of, T *to,
                               int64_t pitch) {
    int64_t lo, hi;
    SUF(deep_inside)(j, &lo, &hi);
    for (int64_t r = r0; r < r1; r++) {
        int64_t n = SUF(deep_taps)(j, r / j->grid[1], r % j->grid[1], channels, at, of);
        for (int64_t c = 0; c < channels; c += LANES)
            for (int64_t k = 0, m; k < n; k += m) {
                m = n - k >= 9 ? 9 : n - k >= 6 ? 6 : n - k >= 3 ? 3 : 1;
                (m == 9 ? SUF(deep_sums_9) : m == 6 ? SUF(deep_sums_6) : m == 3 ? SUF(deep_sums_3) : SUF(deep_sums_1))(
                    j, g + r * j->grid[2] * channels + c, x + c, at + k, of + k, channels, (int)(channels - c < LANES ? channels - c : LANES), lo, hi, to + c, pitch);
            }
    }
}
/* How many pieces each image's rows are cut into, whatever the threads. */
static int64_t SUF(deep_pieces)(const RtConvGeom *c) {
    int64_t rows = c->out[0] * c->out[1], pieces = c->batch >= PARTS || !c->batch ? 1 : (PARTS + c->batch - 1) / c->batch;
    return pieces < rows ? pieces : rows > 0 ? rows : 1;
}
/* gw = the sums of `parts` pieces, in order */
static void SUF(deep_total)(const T *sums, int64_t parts, int64_t taps, int64_t channels, T *gw) {
    enum { WIDE = 64 };
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < channels; c += WIDE) {
            double total[WIDE] = {0};
            int64_t count = channels - c < WIDE ? channels - c : WIDE;
            for (int64_t n = 0; n < parts; n++)
                for (int64_t i = 0; i < count; i++) total[i] += sums[(n * taps + t) * channels + c + i];
            for (int64_t i = 0; i < count; i++) gw[(c + i) * taps + t] = (T)total[i];
        }
}

/* Pieces of images are made apart and added in order: the same bits on any number of threads. */
static int SUF(dweight_deep)(const RtConvGeom *c, const T *g, const T *x, T *gw, int threads) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], channels = c->groups, wsize = taps * channels, pieces = SUF(deep_pieces)(c), tasks = c->batch * pieces;
    SUF(Job) j = {.m = 1, .cin = 1, .taps = taps, .batch = c->batch, .groups = c->groups};
    int64_t *tap = malloc((size_t)(3 * taps + 1) * sizeof(int64_t)), rows = c->out[0] * c->out[1], image = c->in[0] * c->in[1] * c->in[2] * channels;
    T *parts = SUF(buffer)(tasks * wsize);
    int failed = !tap || !parts;
    if (!failed) SUF(forward_taps)(c, tap);
    for (int d = 0; d < 3; d++) { j.in[d] = c->in[d]; j.grid[d] = c->out[d]; j.step[d] = c->stride[d]; }
    j.tap = tap;
    threads = rt_few((double)c->batch * rows * c->out[2] * channels * (taps + 4), 4e5, threads, tasks);
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        int64_t *at = malloc((size_t)(2 * taps + 1) * sizeof(int64_t));
        if (!at) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(task) {
                int64_t n = task / pieces, piece = task % pieces;
                memset(parts + task * wsize, 0, (size_t)wsize * sizeof(T));
                SUF(deep_gradient)(&j, g + n * rows * c->out[2] * channels, x + n * image, channels, rows * piece / pieces, rows * (piece + 1) / pieces, at, at + taps,
                                   parts + task * wsize, channels);
            }
        }
        free(at);
    }
    if (!failed) SUF(deep_total)(parts, tasks, taps, channels, gw);
    free(tap); free(parts);
    return failed;
}
#undef DEEP_TAPS
