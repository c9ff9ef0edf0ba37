/* Winograd's way for many channels: part of conv_wino.h.
 *
 * Note [Many channels]
 * The transformed weights of 512 x 512 channels are 37 MB: made as a whole they come from memory again and again, and where images are small that costs
 * more than what tiles save. So the loops are exchanged: a task is a block of result channels, which makes the weights of this block, multiplies all tiles
 * by them while they are near, and forgets them. Each thread transforms the patches for itself, once: they are more than what they are made of, and would
 * come from the other cores' caches. The gradient of the weights likewise transforms the gradients of a block's channels; the sums of its points over all
 * tiles, for some of the other channels at a time, stay in the second cache and are brought back to taps at once, where otherwise every thread would have
 * sums of its own, as large as the transformed weights. Many tiles are taken in chunks, between which the sums wait in memory. */

#define WIDE_BYTES (12 << 20)             /* of all threads' transformed patches */
#define WIDE_NEAR (2 << 20)               /* of those of all tiles, from which on other ways are as good */
#define WIDE_WEIGHTS (8 << 20)            /* transformed weights that no cache has beside them */
#define WIDE_SUMS (2 << 20)               /* ... of which every thread can well have sums of its own */
#define WIDE_SMALL (1 << 19)              /* ... that lie in the second cache anyway */
#define WIDE_TILES 64                     /* of a step: their products of a block of channels lie in the second cache, those of a point in the first */
#define WIDE_LEAST 32                     /* channels */
#define WIDE_ROWS 48                      /* summed channels of a weight gradient whose sums lie in the second cache */

/* Whether it pays, by products of a pair of channels: those of the definition beside a tile's points, its transforms of some three for each of them, and the
 * transforms of a filter; measured on two cores of a Zen 4. tiled: the weights as a whole would pay, too, and do so better where tiles are many. */
static int is_wide(const RtConvGeom *c, int mode, int orders, int tiled) {
    const WinoKind *kind = orders & RT_FAST && c->groups == 1 && c->kernel[0] == 1 && c->in[0] == 1 ? wino_kind(c, mode) : NULL;
    if (!kind || kind->down == AXIS_1 || c->cin < WIDE_LEAST || c->cout < WIDE_LEAST || (tiled && !mode && orders & RT_KEEPS)) return 0;
    const WinoAxis *down = wino_axes + kind->down, *across = wino_axes + kind->across;
    const int64_t *results = mode == 1 ? c->in : c->out;
    double points = down->n * across->n, own = down->own * across->own, summed = mode == 1 ? c->cout : c->cin;
    double tiles = (double)c->batch * ((results[1] + down->m - 1) / down->m) * ((results[2] + across->m - 1) / across->m);
    double weights = own * c->cin * c->cout * 4, patches = tiles * points * 4 * summed;
    if (tiled && mode == 2 && (weights <= WIDE_SUMS || patches + tiles * points * 4 * 64 > WIDE_BYTES)) return 0;
    if (tiled && mode != 2 && (weights < WIDE_SMALL || (weights <= WIDE_WEIGHTS && patches > WIDE_NEAR))) return 0;
    return (double)c->kernel[1] * c->kernel[2] * c->batch * c->out[1] * c->out[2] > 1.3 * (points * tiles * (1 + 3.0 / c->cin + 3.0 / c->cout) + 8 * own);
}

typedef struct {
    int64_t strips, steps, vectors, blocks;
    int64_t parts, each;                  /* of the steps, or of a weight gradient's summed channels; most that a part has of them */
    int64_t rows, chunk;                  /* of a weight gradient: summed channels at a time; steps at a time */
    int64_t kept;                         /* its sums of a task from chunk to chunk, or 0: there is one chunk */
    int threads;
    int64_t usize, ysize, psize, ssize;   /* transformed weights of a block; results of a row of tiles; padded rows; a weight gradient's sums */
    int64_t room, all;                    /* elements a thread needs; all of them do */
    Wino part;                            /* z as a block, or a part, has it */
} WinoWide;

/* threads: for whom steps are made, when they may be of any size; else 0. */
static WinoWide wino_wide(Wino *z, int threads) {
    WinoWide o = {.blocks = 0};
    wino_shape(z);
    z->cpad = wino_plane(z->cpad);        /* an odd number of lines: tiles lie in different sets of the first cache */
    o.vectors = z->mpad / RT_LANES_F32;
    for (int64_t q = 0; q < o.vectors; q += last_vectors_f32(q, o.vectors)) o.blocks++;
    int64_t most = WIDE_TILES, all = z->batch * z->tall * z->wide;
    while (most > WIDE_TILES / 4 && (all + most - 1) / most * o.blocks < threads) most /= 2;
    wino_cut(z, most);
    o.strips = z->batch * z->rstrips * z->cstrips;
    o.steps = (o.strips + z->per - 1) / z->per;
    return o;
}
/* The vector at which block b begins; nv: how many it has. */
static int64_t wino_wide_block(const WinoWide *o, int64_t b, int *nv) {
    int64_t q = 0;
    while ((*nv = last_vectors_f32(q, o->vectors)), b-- > 0) q += *nv;
    return q;
}
/* The strips [s0, s1) of a step; how many tiles they have. */
static int64_t wino_wide_step(const Wino *z, const WinoWide *o, int64_t step, int64_t *s0, int64_t *s1) {
    *s0 = step * z->per;
    *s1 = *s0 + z->per < o->strips ? *s0 + z->per : o->strips;
    return wino_count(z, *s0, *s1);
}

static int wino_wide_threads(const Wino *z, int threads) {
    return rt_few((double)z->batch * z->m * z->cin * z->tall * z->wide * z->down.n * z->across.n * 2, GRAIN_MACS, threads, threads);
}
/* Blocks are shared out evenly, or there are many pieces of them. */
static int wino_is_even(const WinoWide *o, int64_t parts, int threads) {
    return parts * o->blocks >= 4 * threads || parts % threads == 0 || (o->vectors % last_vectors_f32(0, o->vectors) == 0 && parts * o->blocks % threads == 0);
}

/* The plan of wino_run_wide(): images are cut into parts whose transformed patches stay near, or into as many as there must be for all threads to have work. */
static WinoWide wino_plan_wide(Wino *z, int threads) {
    enum { L = RT_LANES_F32, WIDE = 4 * L };
    WinoWide o = wino_wide(z, threads);
    o.threads = wino_wide_threads(z, threads);
    o.part = *z;
    o.part.mpad = o.vectors < 4 ? z->mpad : WIDE;
    o.part.point = wino_plane(z->cin * o.part.mpad);
    o.each = WIDE_BYTES / 4 / o.threads / z->vsize;
    o.parts = o.each > 0 ? (o.steps + o.each - 1) / o.each : o.steps;
    while (o.parts < o.steps && !wino_is_even(&o, o.parts, o.threads)) o.parts++;
    o.each = (o.steps + o.parts - 1) / o.parts;
    o.usize = z->own * o.part.point;
    o.psize = wino_pad_size(z);
    o.ysize = z->down.m * z->across.m * z->cols * WIDE;
    o.room = (o.each * z->vsize + o.usize + z->msize + o.ysize + WIDE + o.psize + 1023) / 1024 * 1024 + L;
    o.all = 2 * z->mpad + L + o.threads * o.room;
    return o;
}

/* That of wino_dweight_wide(): a task is a block of result channels, and all summed channels or a part of them; images of more tiles than stay near are
 * taken in chunks, and the sums kept. */
static WinoWide wino_plan_dweight_wide(Wino *z, int threads) {
    enum { L = RT_LANES_F32, WIDE = 4 * L };
    WinoWide o = wino_wide(z, 0);
    o.threads = wino_wide_threads(z, threads);
    o.chunk = o.steps * (z->vsize + z->msize) * 4 <= WIDE_BYTES ? o.steps : WIDE_BYTES / 2 / (z->vsize + z->msize);
    if (o.chunk < 1) o.chunk = 1;
    for (o.parts = 1; o.parts * 16 < z->cin; o.parts++)
        if (wino_is_even(&o, o.parts, o.threads) && (o.chunk * z->vsize * 4 / o.parts <= 2 * WIDE_BYTES / o.threads || o.parts * WIDE_ROWS >= z->cin)) break;
    o.part = *z;
    o.part.cin = o.each = (z->cin + o.parts - 1) / o.parts;
    o.part.cpad = wino_plane((o.each + L - 1) / L * L);
    o.part.vsize = wino_places(&o.part, z->tiles, o.part.cpad, NULL);
    int64_t cuts = (o.each + WIDE_ROWS - 1) / WIDE_ROWS;
    o.rows = (o.each + cuts - 1) / cuts;
    o.ssize = z->own * o.rows * WIDE;
    o.psize = wino_pad_size(z);
    o.ysize = z->down.m * z->across.m * z->cols * WIDE;
    o.kept = o.chunk < o.steps ? z->own * wino_plane(o.each * WIDE) : 0;
    o.room = (o.chunk * (o.part.vsize + z->msize) + o.ssize + WIDE + o.psize + o.ysize + 1023) / 1024 * 1024 + L;
    o.all = o.threads * o.room + o.parts * o.blocks * o.kept;
    return o;
}

/* As wino_run(). given: room of o.all elements of the plan, or NULL. */
static int wino_run_wide(Wino *z, const float *x, RtOrder from, const float *w, const int64_t *ws, int turned, const float *bias, float *y, RtOrder to, float *given, int threads) {
    enum { L = RT_LANES_F32, WIDE = 4 * L };
    const WinoWide o = wino_plan_wide(z, threads);
    const Wino *one = &o.part;
    const int64_t parts = o.parts, room = o.room;
    float *base = given ? given : buffer_f32(o.all), *factor = base + z->mpad, *rooms = factor + z->mpad + L;
    threads = o.threads;
    if (!base) return 1;
    for (int64_t m = 0; m < z->mpad; m++) {
        base[m] = bias && m < z->m ? bias[m] : 0;
        factor[m] = z->scale && m < z->m ? z->scale[m] : 1;
    }
    SHARES(threads, parts * o.blocks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *v = rooms + RT_ME * room, *u = v + o.each * z->vsize, *mm = u + o.usize, *out = mm + z->msize, *none = out + o.ysize, *buf = none + WIDE;
        int64_t have = -1;
        memset(none, 0, (size_t)(WIDE + o.psize) * sizeof(float));
        EACH(task) {
            int nv;
            int64_t part = task / o.blocks, q = wino_wide_block(&o, task % o.blocks, &nv), first = o.steps * part / parts, end = o.steps * (part + 1) / parts, s0, s1;
            WinoPlaces vs, ms;
            if (part != have)
                for (int64_t i = first; i < end; i++) {
                    wino_places(z, wino_wide_step(z, &o, i, &s0, &s1), z->cpad, &vs);
                    wino_inputs(z, x, from, 0, 0, s0, s1, &vs, buf, v + (i - first) * z->vsize);
                }
            have = part;
            for (int i = 0; i < nv; i++) wino_vector(one, w, ws, turned, q + i, nv * L, u + i * L);
            for (int64_t i = first; i < end; i++) {
                int64_t tiles = wino_wide_step(z, &o, i, &s0, &s1);
                wino_places(z, tiles, z->cpad, &vs);
                wino_places(z, tiles, nv * L, &ms);
                wino_multiply(one, 0, tiles, 0, nv, v + (i - first) * z->vsize, &vs, u, none, mm, &ms);
                wino_write(z, s0, s1, 0, 0, q, nv, mm, &ms, base, factor, out, y, to);
            }
        }
    }
    if (!given) free(base);
    return 0;
}

/* As wino_dweight(). The sums of a point are over steps in their order, whoever makes them. */
static int wino_dweight_wide(Wino *z, const float *g, RtOrder up, const float *x, RtOrder from, float *gw, const int64_t *ws, float *given, int threads) {
    enum { L = RT_LANES_F32, WIDE = 4 * L };
    const WinoWide o = wino_plan_dweight_wide(z, threads);
    const int64_t rows = o.rows, room = o.room;
    float *rooms = given ? given : buffer_f32(o.all);
    threads = o.threads;
    if (!rooms) return 1;
    for (int64_t from_step = 0; from_step < o.steps; from_step += o.chunk) {
        const int64_t end = from_step + o.chunk < o.steps ? from_step + o.chunk : o.steps;
        SHARES(threads, o.blocks * o.parts);
        RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
            float *v = rooms + RT_ME * room, *mm = v + o.chunk * o.part.vsize, *sums = mm + o.chunk * z->msize, *none = sums + o.ssize, *buf = none + WIDE, *gb = buf + o.psize;
            int64_t have = -1, s0, s1;
            memset(none, 0, (size_t)(WIDE + o.psize) * sizeof(float));
            EACH(task) {
                int nv, taps = z->down.taps * z->across.taps;
                int64_t mine = task / o.blocks, q = wino_wide_block(&o, task % o.blocks, &nv), width = nv * L, begin = mine * o.each;
                WinoPlaces vs, ms;
                Wino some = o.part;
                if (begin >= z->cin) continue;
                if (begin + some.cin > z->cin) some.cin = z->cin - begin;
                for (int64_t step = from_step; step < end; step++) {
                    int64_t tiles = wino_wide_step(z, &o, step, &s0, &s1);
                    if (have != mine) {
                        wino_places(z, tiles, some.cpad, &vs);
                        wino_inputs(&some, x + begin * from.channel, from, 0, 0, s0, s1, &vs, buf, v + (step - from_step) * o.part.vsize);
                    }
                    wino_places(z, tiles, width, &ms);
                    wino_gradients(z, g, up, 0, 0, s0, s1, q * L, width, &ms, gb, mm + (step - from_step) * z->msize);
                }
                have = mine;
                for (int64_t i0 = 0; i0 < some.cin; i0 += rows) {
                    int64_t i1 = i0 + rows < some.cin ? i0 + rows : some.cin, pitch = o.kept ? wino_plane(o.each * WIDE) : rows * width;
                    float *at = o.kept ? rooms + threads * room + task * o.kept + i0 * width : sums;
                    for (int64_t step = from_step; step < end; step++) {
                        int64_t tiles = wino_wide_step(z, &o, step, &s0, &s1);
                        wino_places(z, tiles, some.cpad, &vs);
                        wino_places(z, tiles, width, &ms);
                        for (int p = 0; p < z->own; p++)
                            for (int64_t i = i0, mr; i < i1; i += mr) {
                                mr = last_next_f32(i1 - i, last_high_f32(nv));
                                last_tiles_f32[nv - 1][mr - 1](1, tiles * vs.count[p], wino_zero, v + (step - from_step) * o.part.vsize + vs.first[p] + i, 1, some.cpad,
                                                              mm + (step - from_step) * z->msize + ms.first[p], width, step ? NULL : none, at + p * pitch + (i - i0) * width, width, 0);
                            }
                    }
                    for (int64_t i = i0; i < i1 && end == o.steps; i++)
                        for (int k = 0; k < nv; k++) {
                            rt_vf u[WINO_P], taken[WINO_TAPS];
                            float s[WINO_TAPS][L];
                            for (int p = 0; p < z->own; p++) u[p] = rt_vf_load(at + p * pitch + (i - i0) * width + k * L);
                            z->kind->down_taps(u, taken);
                            for (int t = 0; t < taps; t++) rt_vf_store(s[t], taken[t]);
                            int64_t m0 = (q + k) * L, channels = z->m - m0 < L ? z->m - m0 : L;
                            for (int64_t m = 0; m < channels; m++)
                                for (int t = 0; t < taps; t++) gw[(m0 + m) * ws[0] + (begin + i) * ws[1] + t * ws[2]] = s[t][m];
                        }
                }
            }
        }
    }
    if (!given) free(rooms);
    return 0;
}
