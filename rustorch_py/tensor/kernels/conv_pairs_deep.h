/* Depthwise convolutions of bfloat16 with channels innermost: part of conv_pairs.h.
 *
 * Note [Widened strips]
 * A few rows of results and two vectors of channels at a time: what they read of the source is made float32 in a buffer of the thread's own, the loops of
 * conv_depth_last_t.h make the results of it, and these are rounded on their way out. Float32 copies of whole arrays would pass through memory twice more, and
 * pixels that lie side by side come from the second cache faster than those of all channels, which are far apart. */

#define STRIP_BYTES (160 << 10)           /* of a strip in float32: it stays in the second cache beside what it is made of */
#define STRIP_WIDE 32                     /* channels; the last strips take what is left, too */
static int64_t strip_blocks(const RtConvGeom *c) { return c->groups < 2 * STRIP_WIDE ? 1 : c->groups / STRIP_WIDE; }
static int64_t strip_wide(const RtConvGeom *c, int64_t block) { return block == strip_blocks(c) - 1 ? c->groups - block * STRIP_WIDE : STRIP_WIDE; }

/* `n` pixels of `wide` channels out of `channels`, and back */
static void strip_in(const uint16_t *from, int64_t n, int64_t channels, int64_t wide, float *to) {
    if (wide == STRIP_WIDE) for (int64_t i = 0; i < n; i++, from += channels, to += STRIP_WIDE) widen_run_bf16(to, (const rt_bf16 *)from, STRIP_WIDE);
    else for (int64_t i = 0; i < n; i++, from += channels, to += wide) widen_run_bf16(to, (const rt_bf16 *)from, wide);
}
static void strip_out(const float *from, int64_t n, int64_t channels, int64_t wide, uint16_t *to) {
    if (wide == STRIP_WIDE) for (int64_t i = 0; i < n; i++, to += channels, from += STRIP_WIDE) narrow_run_bf16((rt_bf16 *)to, from, STRIP_WIDE);
    else for (int64_t i = 0; i < n; i++, to += channels, from += wide) narrow_run_bf16((rt_bf16 *)to, from, wide);
}

/* Images in planes of one row and more; volumes go through copies. */
static int is_deep_pairs(const RtConvGeom *c, int orders) {
    return is_deep(c) && (orders & DEEP_ORDERS) == DEEP_ORDERS && c->in[0] == 1 && c->out[0] == 1 && c->kernel[0] == 1 && c->stride[0] == 1 && !c->pad[0]
           && c->out[1] * c->out[2] > 0 && c->batch > 0;
}

/* Rows of a strip of `wide` channels: of results, or of a weight gradient's g. */
static int64_t strip_rows(const RtConvGeom *c, int mode, int64_t wide) {
    int64_t reach = (c->kernel[1] - 1) * c->dilation[1], read = c->in[2] * wide * 4, made = c->out[2] * wide * 4, rows = mode == 1 ? c->in[1] : c->out[1];
    int64_t fits = mode == 1 ? (STRIP_BYTES - reach / c->stride[1] * made) / (read + made / c->stride[1] + 1) : (STRIP_BYTES - reach * read) / (read * c->stride[1] + made);
    if (fits < 2) fits = 2;
    return fits < rows ? fits : rows;
}

/* The product of which result rows (mode 1: those of gx) [r0, r1) are made of source rows [*s0, *s0 + ...), which there may be none of. */
static RtConvGeom strip_of(const RtConvGeom *c, int mode, int64_t r0, int64_t r1, int64_t *s0) {
    RtConvGeom part = *c;
    int64_t s = c->stride[1], reach = (c->kernel[1] - 1) * c->dilation[1], end;
    part.batch = 1;
    if (mode == 1) {
        *s0 = r0 + c->pad[1] > reach ? (r0 + c->pad[1] - reach + s - 1) / s : 0;
        end = (r1 - 1 + c->pad[1]) / s + 1;
        if (*s0 > c->out[1]) *s0 = c->out[1];
        if (end > c->out[1]) end = c->out[1];
        part.in[1] = r1 - r0;
        part.out[1] = end > *s0 ? end - *s0 : 0;
        part.pad[1] = c->pad[1] + r0 - s * *s0;
    } else {
        *s0 = r0 * s > c->pad[1] ? r0 * s - c->pad[1] : 0;
        end = (r1 - 1) * s - c->pad[1] + reach + 1;
        if (*s0 > c->in[1]) *s0 = c->in[1];
        if (end > c->in[1]) end = c->in[1];
        part.out[1] = r1 - r0;
        part.in[1] = end > *s0 ? end - *s0 : 0;
        part.pad[1] = c->pad[1] + *s0 - r0 * s;
    }
    return part;
}

/* The forward product (mode 0) or the gradient of the input (1). */
static int run_deep_pairs(const RtConvGeom *c, int mode, const uint16_t *from, const uint16_t *w, const float *b, uint16_t *to, int threads) {
    int64_t taps = c->kernel[1] * c->kernel[2], pitch, rows = mode == 1 ? c->in[1] : c->out[1], read = mode == 1 ? c->out[2] : c->in[2];
    int64_t high = mode == 1 ? c->out[1] : c->in[1], made = mode == 1 ? c->in[2] : c->out[2], blocks = strip_blocks(c), widest = strip_wide(c, blocks - 1);
    int64_t each = strip_rows(c, mode, widest);
    threads = rt_few((double)c->batch * rows * made * c->groups * (taps + 8), 4e5, threads, threads);
    if (c->batch * blocks % threads && c->batch * blocks < 8 * threads && each > (rows + 3) / 4) each = (rows + 3) / 4;
    int64_t strips = (rows + each - 1) / each, tasks = c->batch * strips * blocks, most = 0, s0;
    for (int64_t i = 0; i < strips; i++) {
        RtConvGeom part = strip_of(c, mode, i * each, i * each + each < rows ? i * each + each : rows, &s0);
        int64_t need = mode == 1 ? part.out[1] : part.in[1];
        if (need > most) most = need;
    }
    most = (most * read * widest + 15) / 16 * 16;
    float *own = buffer_f32(c->groups * taps), *wt = NULL;
    if (own) {
        widen_run_bf16(own, (const rt_bf16 *)w, c->groups * taps);
        wt = deep_weights_f32(c, own, mode ? NULL : c->scale, &pitch);
    }
    int failed = !wt;
    if (threads > tasks) threads = (int)tasks;
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *src = buffer_f32(most + each * made * widest), *results = src ? src + most : NULL;
        int bad = !src;
        if (src) {
            EACH(task) {
                int64_t block = task % blocks, strip = task / blocks % strips, n = task / blocks / strips, c0 = block * STRIP_WIDE, wide = strip_wide(c, block), first;
                int64_t r0 = strip * each, r1 = r0 + each < rows ? r0 + each : rows;
                RtConvGeom part = strip_of(c, mode, r0, r1, &first);
                part.groups = wide;
                strip_in(from + (n * high + first) * read * c->groups + c0, (mode == 1 ? part.out[1] : part.in[1]) * read, c->groups, wide, src);
                bad |= (mode == 1 ? deep_dinput_f32 : deep_forward_f32)(&part, src, wt + c0, pitch, b ? b + c0 : NULL, results, 1);
                strip_out(results, (r1 - r0) * made, c->groups, wide, to + (n * rows + r0) * made * c->groups + c0);
            }
        }
        if (bad) {
            RT_OMP(omp atomic write)
            failed = 1;
        }
        free(src);
    }
    free(own); free(wt);
    return failed;
}

/* As dweight_deep_f32(): the same pieces, each a strip after the other. */
static int dweight_deep_pairs(const RtConvGeom *c, const uint16_t *g, const uint16_t *x, uint16_t *gw, int threads) {
    int64_t taps = c->kernel[1] * c->kernel[2], channels = c->groups, wsize = taps * channels, pieces = deep_pieces_f32(c), parts = c->batch * pieces;
    int64_t blocks = strip_blocks(c), widest = strip_wide(c, blocks - 1), each = strip_rows(c, 2, widest), tasks = parts * blocks, rows = c->out[1];
    int64_t most = (((each - 1) * c->stride[1] + (c->kernel[1] - 1) * c->dilation[1] + 1) * c->in[2] * widest + 15) / 16 * 16;
    float *made = buffer_f32((parts + 1) * wsize), *sums = made ? made + parts * wsize : NULL;
    int failed = !made;
    threads = rt_few((double)c->batch * rows * c->out[2] * channels * (taps + 8), 4e5, threads, tasks);
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *xs = buffer_f32(most + each * c->out[2] * widest), *gs = xs ? xs + most : NULL;
        int64_t *tap = malloc((size_t)(5 * taps) * sizeof(int64_t));
        if (!xs || !tap) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(task) {
                int64_t block = task % blocks, part = task / blocks, n = part / pieces, piece = part % pieces, end = rows * (piece + 1) / pieces;
                int64_t c0 = block * STRIP_WIDE, wide = strip_wide(c, block);
                float *to = made + part * wsize + c0;
                for (int64_t t = 0; t < taps; t++) memset(to + t * channels, 0, (size_t)wide * sizeof(float));
                for (int64_t r0 = rows * piece / pieces, r1, first; r0 < end; r0 = r1) {
                    r1 = r0 + each < end ? r0 + each : end;
                    RtConvGeom strip = strip_of(c, 2, r0, r1, &first);
                    Job_f32 j = {.m = 1, .cin = 1, .taps = taps, .batch = 1, .groups = wide, .tap = tap};
                    forward_taps_f32(&strip, tap);
                    for (int d = 0; d < 3; d++) { j.in[d] = strip.in[d]; j.grid[d] = strip.out[d]; j.step[d] = strip.stride[d]; }
                    strip_in(x + (n * c->in[1] + first) * c->in[2] * channels + c0, strip.in[1] * c->in[2], channels, wide, xs);
                    strip_in(g + (n * rows + r0) * c->out[2] * channels + c0, (r1 - r0) * c->out[2], channels, wide, gs);
                    deep_gradient_f32(&j, gs, xs, wide, 0, r1 - r0, tap + 3 * taps, tap + 4 * taps, to, channels);
                }
            }
        }
        free(xs); free(tap);
    }
    if (!failed) {
        deep_total_f32(made, parts, taps, channels, sums);
        narrow_run_bf16((rt_bf16 *)gw, sums, wsize);
    }
    free(made);
    return failed;
}
#undef STRIP_BYTES
#undef STRIP_WIDE
