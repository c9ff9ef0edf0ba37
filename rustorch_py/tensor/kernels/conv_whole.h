/* Columns of whole images: part of conv.inc.c, float32 only.
 *
 * Note [Whole columns]
 * Where weights are many and pixels few, what costs is bringing the weights into another order, in each call. The matrix of windows (a row for each
 * channel and tap, a column for each pixel of the result) is small then: it is stored, and the product is a plain one of weights as they lie, which
 * all threads share (raw_product() in _gemm.pyx; the steps stand in _conv.pyx). The gradient of the input is the turned weights' product, summed from the
 * columns back; that of the weights a product with the columns turned. Small planes are taken together, as many as make some hundred columns: so are they
 * with kernels of one tap, and so are the pixels that such a kernel's strides leave. */

/* Images that are taken together, 0 where other ways are better: measured on shapes of usual nets. */
static int64_t whole_images(const RtConvGeom *c, int mode, int orders) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], plane = c->out[0] * c->out[1] * c->out[2], weights = c->cin * c->cout * taps;
    int strided = c->stride[0] * c->stride[1] * c->stride[2] > 1;
    RtConvGeom dense;
    int spread = mode == 1 && c->cin <= 4 && c->stride[2] > 2 && taps > 4 && weights >= 2048 && plane >= 64;      /* many strides make many small products */
    if (c->groups != 1 || c->cout < 16 || !plane || !c->batch || orders & RT_LAST_ANY || ((c->cin * taps < 64 || weights < 65536) && !spread)) return 0;
    if (taps == 1 && !strided && (plane > 64 || c->batch < 4)) return 0;
    if (is_wino(c, mode, orders) || is_dilated(c, mode, orders, &dense)) return 0;
    int few = !(orders & RT_KEEPS) && c->batch * plane <= c->cout;         /* columns are less to write than packed weights */
    if (mode != 2 && through_last(c, mode, orders) && !(strided && (mode || (few && c->in[0] == 1)))) return 0;
    if (packs_points(c, orders)) return 0;
    int64_t many = plane >= 128 ? 1 : 512 / plane;
    if (many > c->batch) many = c->batch;
    int64_t rounds = (c->batch + many - 1) / many;
    many = (c->batch + rounds - 1) / rounds;          /* as many in each */
    return c->cin * taps * plane * many <= 16 << 20 ? many : 0;
}

/* Note [Residues of rows]
 * Columns of small planes are short runs: a call for each would cost more than the run. The planes of one channel, of all images that are taken together, are
 * therefore brought into padded ones whose rows are split by their place modulo the stride; every run is dense there and inside, wherever the tap lies. The
 * gradient takes the same way back. Images are the inner loop, so that no sum is read right after it was written. */
typedef struct { int64_t deep, high, wide, parts, size; } RtPadded;      /* parts: residues that taps read; size: of one image */
static RtPadded padded(const RtConvGeom *c) {
    const int64_t *k = c->kernel, *d = c->dilation, *s = c->stride;
    int64_t reach = (k[2] - 1) * d[2];
    RtPadded p = {(c->out[0] - 1) * s[0] + (k[0] - 1) * d[0] + 1, (c->out[1] - 1) * s[1] + (k[1] - 1) * d[1] + 1, c->out[2] + reach / s[2],
                  reach + 1 < s[2] ? reach + 1 : s[2], 0};
    p.size = p.deep * p.high * p.parts * p.wide;
    return p;
}

/* For each row (z, y) of an image that its padded one has, which begins at `at` there: ... */
#define EACH_ROW(z, y, at, ...)                                                                                        \
    for (int64_t pz_ = 0; pz_ < p.deep; pz_++)                                                                         \
        for (int64_t py_ = 0; py_ < p.high; py_++) {                                                                   \
            int64_t z = pz_ - c->pad[0], y = py_ - c->pad[1], at = (pz_ * p.high + py_) * p.parts * p.wide;             \
            if (z < 0 || z >= c->in[0] || y < 0 || y >= c->in[1]) continue;                                            \
            __VA_ARGS__                                                                                                \
        }

RT_INLINE void copy_run(float *to, const float *from, int64_t n) {
    enum { L = RT_LANES_F32 };
    if (n == L) rt_vf_store(to, rt_vf_load(from));
    else if (n < L) rt_vf_store_first(to, rt_vf_load_first(from, (int)n), (int)n);
    else memcpy(to, from, (size_t)n * sizeof(float));
}
RT_INLINE void add_run(float *to, const float *from, int64_t n) {
    enum { L = RT_LANES_F32 };
    int64_t i = 0;
    for (; i + L <= n; i += L) rt_vf_store(to + i, rt_vf_load(to + i) + rt_vf_load(from + i));
    if (i < n) rt_vf_store_first(to + i, rt_vf_load_first(to + i, (int)(n - i)) + rt_vf_load_first(from + i, (int)(n - i)), (int)(n - i));
}

/* Columns and padded images `own` of channel ch: into the columns, or summed from them. */
RT_INLINE void whole_runs(const RtConvGeom *c, RtPadded p, int64_t many, float *own, float *columns, int64_t ch, int sum) {
    const int64_t *out = c->out, *k = c->kernel, *s = c->stride, *d = c->dilation;
    int64_t plane = out[0] * out[1] * out[2];
    float *row = columns + ch * k[0] * k[1] * k[2] * many * plane;
    for (int64_t kz = 0; kz < k[0]; kz++)
        for (int64_t ky = 0; ky < k[1]; ky++)
            for (int64_t kx = 0; kx < k[2]; kx++, row += many * plane) {
                int64_t r = kx * d[2] % s[2], q = kx * d[2] / s[2];
                for (int64_t a = 0; a < out[0]; a++)
                    for (int64_t b = 0; b < out[1]; b++) {
                        float *at = own + (((a * s[0] + kz * d[0]) * p.high + b * s[1] + ky * d[1]) * p.parts + r) * p.wide + q;
                        float *run = row + (a * out[1] + b) * out[2];
                        if (sum) for (int64_t n = 0; n < many; n++) add_run(at + n * p.size, run + n * plane, out[2]);
                        else for (int64_t n = 0; n < many; n++) copy_run(run + n * plane, at + n * p.size, out[2]);
                    }
            }
}

/* The columns of `many` images from x on; 1: no memory. */
static int whole_columns(const RtConvGeom *c, const float *x, int64_t many, float *to, int threads) {
    const int64_t *in = c->in;
    int64_t size = in[0] * in[1] * in[2], taps = c->kernel[0] * c->kernel[1] * c->kernel[2], plane = c->out[0] * c->out[1] * c->out[2], s = c->stride[2];
    RtPadded p = padded(c);
    int failed = 0;
    threads = rt_few((double)c->cin * taps * plane * many, 16384, threads, c->cin);
    SHARES(threads, c->cin);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1))
    {
        float *own = buffer_f32(p.size * many);
        if (!own) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            memset(own, 0, (size_t)(p.size * many) * sizeof(float));                  /* the border stays so */
            EACH(ch) {
                for (int64_t n = 0; n < many; n++)
                    EACH_ROW(z, y, at,
                        const float *from = x + (n * c->cin + ch) * size + (z * in[1] + y) * in[2];
                        for (int64_t r = 0; r < p.parts; r++, at += p.wide) {
                            float *line = own + n * p.size + at;
                            int64_t j = c->pad[2] > r ? (c->pad[2] - r + s - 1) / s : 0, i = j * s + r - c->pad[2];
                            for (; j < p.wide && i < in[2]; j++, i += s) line[j] = from[i];
                        })
                whole_runs(c, p, many, own, to, ch, 0);
            }
        }
        free(own);
    }
    return failed;
}

/* The planes gx of `many` images: what lies in their columns summed where it belongs, plus bias (or NULL); 1: no memory. */
static int whole_sums(const RtConvGeom *c, float *from, int64_t many, const float *bias, float *gx, int threads) {
    const int64_t *in = c->in;
    int64_t size = in[0] * in[1] * in[2], taps = c->kernel[0] * c->kernel[1] * c->kernel[2], plane = c->out[0] * c->out[1] * c->out[2], s = c->stride[2];
    RtPadded p = padded(c);
    int failed = 0;
    threads = rt_few((double)c->cin * (taps * plane + size) * many, 16384, threads, c->cin);
    SHARES(threads, c->cin);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1))
    {
        float *own = buffer_f32(p.size * many);
        if (!own) {
            RT_OMP(omp atomic write)
            failed = 1;
        } else {
            EACH(ch) {
                memset(own, 0, (size_t)(p.size * many) * sizeof(float));
                whole_runs(c, p, many, own, from, ch, 1);
                for (int64_t n = 0; n < many; n++) {
                    float *image = gx + (n * c->cin + ch) * size, first = bias ? bias[ch] : 0;
                    for (int64_t i = 0; i < size; i++) image[i] = first;
                    EACH_ROW(z, y, at,
                        float *to = image + (z * in[1] + y) * in[2];
                        for (int64_t r = 0; r < p.parts; r++, at += p.wide) {
                            const float *line = own + n * p.size + at;
                            int64_t j = c->pad[2] > r ? (c->pad[2] - r + s - 1) / s : 0, i = j * s + r - c->pad[2];
                            for (; j < p.wide && i < in[2]; j++, i += s) to[i] = first + line[j];
                        })
                }
            }
        }
        free(own);
    }
    return failed;
}
#undef EACH_ROW

/* Planes of `many` images, channel by channel, side by side in rows; back: the other way. */
static void whole_rows(float *images, float *rows, int64_t channels, int64_t many, int64_t plane, int back, int threads) {
    threads = rt_few((double)channels * many * plane, 65536, threads, channels);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t ch = 0; ch < channels; ch++)
        for (int64_t n = 0; n < many; n++) {
            float *image = images + (n * channels + ch) * plane, *row = rows + (ch * many + n) * plane;
            memcpy(back ? image : row, back ? row : image, (size_t)plane * sizeof(float));
        }
}

/* Note [Whole columns, channels last]
 * With channels innermost in all arrays a pixel's column is a row: the channels of tap after tap, in the order in which the weights lie. The three products
 * are plain ones again, and that of the input's gradient reads the weights as they are. Strides of kernels of one tap leave pixels out in the same way. */

/* Images that are taken together, 0 where other ways are better. kind: has_last()'s. */
static int64_t whole_last_images(const RtConvGeom *c, int mode, int kind, int orders) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], plane = c->out[0] * c->out[1] * c->out[2], weights = c->cin * c->cout * taps;
    int apart = mode == 1;                    /* windows that do not overlap: the columns are the results in another order */
    for (int d = 0; d < 3; d++) apart &= c->kernel[d] == c->stride[d] && !c->pad[d];
    int even = c->stride[0] * c->stride[1] * c->stride[2] == 1, last = kind ? RT_LAST_X | RT_LAST_W | RT_LAST_Y : 0;
    if (c->groups != 1 || c->cin < 16 || c->cout < 16 || !plane || !c->batch || weights < (apart ? 16384 : 65536) || (taps == 1 && even)) return 0;
    if (is_wino(c, mode, orders | last)) return 0;
    if (kind && !(mode == 1 && (taps == 1 || apart || c->batch * plane <= 1024))) return 0;
    int64_t many = plane >= 256 ? 1 : 512 / plane;
    if (many > c->batch) many = c->batch;
    int64_t rounds = (c->batch + many - 1) / many;
    many = (c->batch + rounds - 1) / rounds;
    return c->cin * taps * plane * many <= 16 << 20 ? many : 0;
}

/* Where tap t of output pixel p reads: its pixel of the image, or -1. */
RT_INLINE int64_t whole_last_pixel(const RtConvGeom *c, int64_t p, int64_t t) {
    int64_t at = 0, q[3] = {p / c->out[2] / c->out[1], p / c->out[2] % c->out[1], p % c->out[2]};
    int64_t k[3] = {t / c->kernel[2] / c->kernel[1], t / c->kernel[2] % c->kernel[1], t % c->kernel[2]};
    for (int d = 0; d < 3; d++) {
        int64_t i = q[d] * c->stride[d] - c->pad[d] + k[d] * c->dilation[d];
        if (i < 0 || i >= c->in[d]) return -1;
        at = at * c->in[d] + i;
    }
    return at;
}

/* The columns of `many` images from x on. */
static void whole_last_columns(const RtConvGeom *c, const float *x, int64_t many, float *to, int threads) {
    int64_t size = c->in[0] * c->in[1] * c->in[2], taps = c->kernel[0] * c->kernel[1] * c->kernel[2], plane = c->out[0] * c->out[1] * c->out[2], all = many * plane;
    threads = rt_few((double)c->cin * taps * all, 16384, threads, all);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < all; i++) {
        float *row = to + i * taps * c->cin;
        for (int64_t t = 0; t < taps; t++, row += c->cin) {
            int64_t at = whole_last_pixel(c, i % plane, t);
            if (at < 0) memset(row, 0, (size_t)c->cin * sizeof(float));
            else memcpy(row, x + (i / plane * size + at) * c->cin, (size_t)c->cin * sizeof(float));
        }
    }
}

/* The images gx: each pixel the sum of what lies in the columns for it, plus bias (or NULL). */
static void whole_last_sums(const RtConvGeom *c, const float *from, int64_t many, const float *bias, float *gx, int threads) {
    const int64_t *in = c->in, *out = c->out, *k = c->kernel, *s = c->stride;
    int64_t size = in[0] * in[1] * in[2], taps = k[0] * k[1] * k[2], plane = out[0] * out[1] * out[2], all = many * size;
    threads = rt_few((double)c->cin * (taps * plane + size) * many, 16384, threads, all);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t i = 0; i < all; i++) {
        int64_t p = i % size, at[3] = {p / in[2] / in[1], p / in[2] % in[1], p % in[2]};
        float *to = gx + i * c->cin;
        if (bias) memcpy(to, bias, (size_t)c->cin * sizeof(float));
        int first = !bias;
        for (int64_t t = 0; t < taps; t++) {
            int64_t tap[3] = {t / k[2] / k[1], t / k[2] % k[1], t % k[2]}, q = 0, met = 1;
            for (int d = 0; d < 3 && met; d++) {
                int64_t v = at[d] + c->pad[d] - tap[d] * c->dilation[d];
                met = v >= 0 && v % s[d] == 0 && v / s[d] < out[d];
                q = q * out[d] + v / s[d];
            }
            if (!met) continue;
            const float *row = from + ((i / size * plane + q) * taps + t) * c->cin;
            if (first) memcpy(to, row, (size_t)c->cin * sizeof(float));
            else add_run(to, row, c->cin);
            first = 0;
        }
        if (first) memset(to, 0, (size_t)c->cin * sizeof(float));
    }
}
