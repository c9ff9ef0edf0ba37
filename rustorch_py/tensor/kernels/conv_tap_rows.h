/* Gradients of the input of few channels and small planes: part of conv.inc.c, float32 only.
 *
 * Note [Rows of taps]
 * Where the taps of a kernel row and the summed-out channels together fill vectors (5 taps of 6 channels: 30 of 32 lanes), a row of the gradient is made from
 * as many pixels as g has in a row: for each of them the sum over result channels and kernel rows of g times the weights of all taps of that row, by the tiles
 * of conv_last_t.h. A pixel of the gradient then is a sum of as many of these as the kernel is wide; Note [Columns] has one for every tap. */

#define TAP_ROWS_BYTES (256 << 10)        /* of an image of g */

static int is_tap_rows_f32(const RtConvGeom *c) {
    int64_t lanes = c->cin * c->kernel[2], vectors = (lanes + RT_LANES_F32 - 1) / RT_LANES_F32;
    if (RT_LANES_F32 < 16 || c->kernel[0] != 1 || c->in[0] != 1 || c->out[0] != 1 || c->pad[0] || c->stride[1] != 1 || c->stride[2] != 1 || c->dilation[2] != 1) return 0;
    if (c->cout < 16 || c->kernel[1] < 3 || c->kernel[1] > 16 || c->kernel[1] * c->cout > 512 || vectors > 2 || 8 * lanes < 7 * vectors * RT_LANES_F32 || c->batch * c->groups < 8) return 0;
    return c->out[1] * c->out[2] * c->cout * (int64_t)sizeof(float) <= TAP_ROWS_BYTES && c->in[1] * c->in[2] >= 16 && c->out[2] > 0 && c->out[1] > 0;
}

static int dinput_tap_rows_f32(const RtConvGeom *c, const float *g, const float *w, const float *bias, float *gx, int threads) {
    enum { L = RT_LANES_F32 };
    const int64_t *k = c->kernel, high = c->in[1], wide = c->in[2], oh = c->out[1], ow = c->out[2], cin = c->cin, cout = c->cout;
    int64_t taps = k[1] * k[2], lanes = cin * k[2], nv = (lanes + L - 1) / L, width = nv * L, tasks = c->batch * c->groups, size = k[1] * cout * width, row = wide * cin;
    int64_t room = (oh * ow * cout + ow * width + 2 * L + high * row + 2 * L + row + L + 15) / 16 * 16 + width;
    threads = rt_few((double)tasks * cin * taps * cout * oh * ow, GRAIN_MACS, threads, tasks);
    float *a = buffer_f32(c->groups * size + threads * room), *rooms = a + c->groups * size;
    if (!a) return 1;
    memset(a, 0, (size_t)(c->groups * size) * sizeof(float));
    for (int64_t group = 0; group < c->groups; group++)
        for (int64_t o = 0; o < cout; o++)
            for (int64_t i = 0; i < cin; i++)
                for (int64_t t = 0; t < taps; t++)
                    a[group * size + (t / k[2] * cout + o) * width + t % k[2] * cin + i] = w[((group * cout + o) * cin + i) * taps + t];
    SHARES(threads, tasks);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        float *none = rooms + RT_ME * room, *turned = none + width, *sums = turned + oh * ow * cout + L, *rows = sums + ow * width + L, *base = rows + high * row + L;
        int64_t off[16];
        memset(none, 0, (size_t)width * sizeof(float));
        EACH(task) {
            int64_t group = task % c->groups;
            for (int64_t i = 0; i < row + L; i++) base[i] = bias ? bias[group * cin + i % cin] : 0;
            last_turn_f32(turned, cout, g + task * cout * oh * ow, oh * ow, oh * ow, cout);
            for (int64_t y = 0; y < high; y++) {
                int64_t n = 0, first = 0;                        /* kernel rows that meet this one are neighbours */
                for (int64_t t = 0; t < k[1]; t++) {
                    int64_t r = y + c->pad[1] - t * c->dilation[1];
                    if (r < 0 || r >= oh) continue;
                    if (!n) first = t;
                    off[n++] = r * ow * cout;
                }
                const float *from = a + group * size + first * cout * width;
                for (int64_t i = 0, mr; i < ow; i += mr) {
                    mr = last_next_f32(ow - i, last_high_f32((int)nv));
                    last_tiles_f32[nv - 1][mr - 1](n, cout, off, turned + i * cout, cout, 1, from, width, none, sums + i * width, width, 0);
                }
                for (int64_t i = 0; i < row; i += L) {           /* element i + pad * cin of the row is lane i + (pad - p) * cin of pixel p */
                    int64_t q = i + c->pad[2] * cin, p = q >= lanes ? (q - lanes) / cin + 1 : 0, end = (q + L - 1) / cin + 1;
                    rt_vf v = rt_vf_load(base + i);
                    if (end > ow) end = ow;
                    for (; p < end; p++) {
                        int64_t d = q - p * cin;
                        v += rt_vf_load_lanes(sums + p * width + d, rt_vf_between(-d, lanes - d));
                    }
                    rt_vf_store(rows + y * row + i, v);
                }
            }
            last_turn_f32(gx + task * cin * high * wide, high * wide, rows, cin, cin, high * wide);
        }
    }
    free(a);
    return 0;
}
#undef TAP_ROWS_BYTES
