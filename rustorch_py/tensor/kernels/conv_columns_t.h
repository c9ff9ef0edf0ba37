/* Gradients of the input of strided convolutions, or of few channels: typed body of conv.inc.c, included after conv_t.h.
 *
 * Note [Columns]
 * The product of the turned weights and g, row-major as it lies, has a row for each channel and tap and a column for each pixel of g: one large
 * product whatever the stride, and well shaped however few the channels. A row of the gradient is then summed from as many of its rows as
 * taps meet there, in registers; where a stride of two leaves two residues of columns, both are summed and interleaved. The product is made
 * for a few rows of pixels at a time, into a ring that holds this stretch and the one before, so that it stays in the second cache. */

#define COLUMN_BYTES (768 << 10)          /* of a task's product */

static int SUF(is_columns)(const RtConvGeom *c) {
    int64_t taps = c->kernel[1] * c->kernel[2], plane = c->out[1] * c->out[2], strided = c->stride[1] > 1 || c->stride[2] > 1;
    if (c->kernel[0] != 1 || c->in[0] != 1 || c->out[0] != 1 || c->pad[0] || c->stride[2] > 2 || taps < 2 || !c->batch) return 0;
    if (c->cout < 16 || c->cin * taps < 16 || plane < 64 || plane > INT_MAX / 2 || c->cin * c->cout * taps > 1200000) return 0;
    return c->cin <= (strided ? 24 : 8);    /* many channels of strided convolutions are as fast by the tiles of conv_last_t.h */
}

/* A row of a channel's gradient: for each tap row that meets it (n of them), `rows` its place in the product; from tap to tap of a row `ld`. */
static void SUF(column_row)(const RtConvGeom *c, int n, const T *const *rows, int64_t ld, const int64_t *shift, const VF(lanes) *m, int64_t blocks,
                            T bias, T *out) {
    int64_t s = c->stride[2], wide = c->in[2];
    const VF(lanes) *keep = m + blocks * c->kernel[2];
    for (int64_t b = 0; b < blocks; b++, m += c->kernel[2], keep += s) {
        V even = VF(set)(bias), odd = even;               /* of taps, or of columns */
        for (int i = 0; i < n; i++) {
            const T *from = rows[i] + b * LANES;
            int64_t k = 0;
            if (s == 1) {
                for (; k + 2 <= c->kernel[2]; k += 2, from += 2 * ld) {
                    even += VF(load_lanes)(from + shift[k], m[k]);
                    odd += VF(load_lanes)(from + ld + shift[k + 1], m[k + 1]);
                }
                if (k < c->kernel[2]) even += VF(load_lanes)(from + shift[k], m[k]);
            } else
                for (; k < c->kernel[2]; k++, from += ld) {
                    V v = VF(load_lanes)(from + shift[k], m[k]);
                    if ((c->pad[2] - k * c->dilation[2]) & 1) odd += v;
                    else even += v;
                }
        }
        if (s == 1) VF(store_lanes)(out + b * LANES, even + odd - VF(set)(bias), keep[0]);
        else {
            V lo, hi;
            VF(zip)(even, odd, &lo, &hi);
            VF(store_lanes)(out + 2 * b * LANES, lo, keep[0]);
            if (2 * b * LANES + LANES < wide) VF(store_lanes)(out + (2 * b + 1) * LANES, hi, keep[1]);
        }
    }
}

static int SUF(dinput_columns)(const RtConvGeom *c, const T *g, const T *w, const T *bias, T *gx, int threads) {
    const int64_t *k = c->kernel, *s = c->stride, *d = c->dilation, high = c->in[1], wide = c->in[2], oh = c->out[1], ow = c->out[2];
    int64_t taps = k[1] * k[2], m = c->cin * taps, plane = oh * ow, images = c->batch * c->groups;
    int64_t pairs = (wide + s[2] - 1) / s[2], blocks = (pairs + LANES - 1) / LANES, halo = (k[1] - 1) * d[1] / s[1], row = m * ow * (int64_t)sizeof(T);
    threads = rt_few((double)images * m * c->cout * plane, GRAIN_MACS, threads, threads);
    int64_t strips = images >= threads ? 1 : (threads + images - 1) / images, each;
    if (strips > oh / (2 * halo + 1)) strips = oh / (2 * halo + 1) > 0 ? oh / (2 * halo + 1) : 1;
    each = (high + strips - 1) / strips;
    int64_t tasks = images * strips, chunk = oh, ring = oh;
    if (oh * row > COLUMN_BYTES) {
        chunk = COLUMN_BYTES / 2 / row;
        if (chunk < halo) chunk = halo;
        if (chunk < 1) chunk = 1;
        if (2 * chunk < oh) ring = 2 * chunk;
        else chunk = oh;
    }
    T *a = SUF(buffer)(c->groups * m * c->cout);
    int64_t *shift = malloc((size_t)k[2] * sizeof(int64_t));
    void *masks = NULL;
    int failed = !a || !shift || posix_memalign(&masks, 64, (size_t)(blocks * (k[2] + s[2])) * sizeof(VF(lanes)));
    VF(lanes) *lanes = masks;
    if (threads > tasks) threads = (int)tasks;
    if (!failed) {
        for (int64_t group = 0; group < c->groups; group++)
            for (int64_t o = 0; o < c->cout; o++)
                for (int64_t i = 0; i < m; i++) a[(group * m + i) * c->cout + o] = w[(group * c->cout + o) * m + i];
        for (int64_t t = 0; t < k[2]; t++) {                 /* x = s q + f reads column q + shift of tap t, where f makes this whole */
            int64_t at = c->pad[2] - t * d[2];
            shift[t] = s[2] == 1 ? at : SUF(floor_div)(at + 1, 2);
            for (int64_t b = 0; b < blocks; b++) lanes[b * k[2] + t] = VF(between)(-(b * LANES + shift[t]), ow - (b * LANES + shift[t]));
        }
        for (int64_t b = 0; b < blocks * s[2]; b++) lanes[blocks * k[2] + b] = VF(between)(0, wide - b * LANES);
    }
    SHARES(threads, tasks);
    if (!failed)
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        int64_t ld = ring * ow;
        T *columns = SUF(buffer)(m * ld);
        void *room = c->gemm && !IS_DIRECT(chunk * ow, c->cout) ? SUF(buffer)(RT_ROOM / sizeof(T)) : NULL;
        const T **rows = malloc((size_t)k[1] * sizeof(T *));
        if (!columns || !rows) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(task) {
                int64_t image = task / strips, group = image % c->groups, y = task % strips * each, end = y + each < high ? y + each : high;
                int64_t first = SUF(floor_div)(y + c->pad[1] - (k[1] - 1) * d[1] + s[1] - 1, s[1]), last = y < end ? SUF(floor_div)(end - 1 + c->pad[1], s[1]) + 1 : 0;
                if (first < 0) first = 0;
                if (last > oh) last = oh;
                const T *gi = g + image * c->cout * plane;
                T *to = gx + image * c->cin * high * wide;
                for (int64_t p = first; y < end; p += chunk) {
                    int64_t count = last - p < chunk ? last - p : chunk, ready = p + chunk >= last ? end : s[1] * (p + chunk) - c->pad[1];
                    if (count > 0)
                        SUF(multiply)(c->gemm, m, count * ow, c->cout, a + group * m * c->cout, c->cout, gi + p * ow, plane, 0,
                                      columns + (p - first) % ring * ow, ld, room);
                    if (ready > end) ready = end;
                    for (int64_t r = y; r < ready; r++) {
                        int n = 0;
                        for (int64_t t = 0; t < k[1]; t++) {
                            int64_t at = r + c->pad[1] - t * d[1], q = s[1] == 1 ? at : at / s[1];      /* divisions are slow */
                            if (at < 0 || q * s[1] != at || q >= oh) continue;
                            q -= first;
                            rows[n++] = columns + t * k[2] * ld + (ring == oh ? q : q % ring) * ow;
                        }
                        for (int64_t i = 0; i < c->cin; i++) {
                            SUF(column_row)(c, n, rows, ld, shift, lanes, blocks, bias ? bias[group * c->cin + i] : 0, to + (i * high + r) * wide);
                            for (int t = 0; t < n; t++) rows[t] += taps * ld;
                        }
                    }
                    if (ready > y) y = ready;
                }
            }
        }
        free(columns); free(rows); free(room);
    }
    free(a); free(shift); free(masks);
    return failed;
}
#undef COLUMN_BYTES
