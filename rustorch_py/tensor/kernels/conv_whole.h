/* Columns of whole images: part of conv.inc.c, float32 only.
 *
 * Note [Whole columns]
 * Where weights are many and pixels few, what costs is bringing the weights into another order, in each call. The matrix of windows (a row for each
 * channel and tap, a column for each pixel of the result) is small then: it is stored, and the product is a plain one of weights as they lie, which
 * all threads share (raw_product() in _matmul.pyx; the steps stand in _conv.pyx). The gradient of the input is the turned weights' product, summed from the
 * columns back; that of the weights a product with the columns turned. Small planes are taken together, as many as make some hundred columns. */

/* Images that are taken together, 0 where other ways are better: measured on shapes of usual nets. */
static int64_t whole_images(const RtConvGeom *c, int mode, int orders) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], plane = c->out[0] * c->out[1] * c->out[2], weights = c->cin * c->cout * taps;
    int strided = c->stride[0] * c->stride[1] * c->stride[2] > 1;
    RtConvGeom dense;
    if (c->groups != 1 || c->cin * taps < 64 || c->cout < 16 || taps < 2 || !plane || !c->batch || orders & RT_LAST_ANY || weights < 65536) return 0;
    if (is_wino(c, mode, orders) || is_dilated(c, mode, orders, &dense)) return 0;
    if (mode != 2 && through_last(c, mode, orders) && !(strided && (mode || c->in[0] > 1))) return 0;
    int64_t many = plane >= 128 ? 1 : 256 / plane;
    if (many > c->batch) many = c->batch;
    return c->cin * taps * plane * many <= 16 << 20 ? many : 0;
}

/* The columns of image `n` of `many`, from its planes x. */
static void whole_columns(const RtConvGeom *c, const float *x, int64_t n, int64_t many, float *to, int threads) {
    const int64_t *in = c->in, *out = c->out, *k = c->kernel;
    int64_t taps = k[0] * k[1] * k[2], plane = out[0] * out[1] * out[2];
    threads = rt_few((double)c->cin * taps * plane, 16384, threads, c->cin);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t ch = 0; ch < c->cin; ch++)
        for (int64_t t = 0; t < taps; t++) {
            const float *src = x + ch * in[0] * in[1] * in[2];
            float *row = to + ((ch * taps + t) * many + n) * plane;
            int64_t z0 = t / (k[1] * k[2]) * c->dilation[0] - c->pad[0], y0 = t / k[2] % k[1] * c->dilation[1] - c->pad[1], x0 = t % k[2] * c->dilation[2] - c->pad[2];
            for (int64_t a = 0; a < out[0]; a++)
                for (int64_t b = 0; b < out[1]; b++, row += out[2]) {
                    int64_t z = a * c->stride[0] + z0, y = b * c->stride[1] + y0;
                    if (z < 0 || z >= in[0] || y < 0 || y >= in[1]) memset(row, 0, (size_t)out[2] * sizeof(float));
                    else gather_row_f32(row, src + (z * in[1] + y) * in[2], out[2], x0, c->stride[2], in[2]);
                }
        }
}

/* The planes gx of image n of `many`: what lies in its columns summed where it belongs, plus bias (or NULL). */
static void whole_sums(const RtConvGeom *c, const float *from, int64_t n, int64_t many, const float *bias, float *gx, int threads) {
    const int64_t *in = c->in, *out = c->out, *k = c->kernel;
    int64_t taps = k[0] * k[1] * k[2], plane = out[0] * out[1] * out[2], size = in[0] * in[1] * in[2], step = c->stride[2];
    threads = rt_few((double)c->cin * (taps * plane + size), 16384, threads, c->cin);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t ch = 0; ch < c->cin; ch++) {
        float *to = gx + ch * size;
        for (int64_t i = 0; i < size; i++) to[i] = bias ? bias[ch] : 0;
        for (int64_t t = 0; t < taps; t++) {
            const float *row = from + ((ch * taps + t) * many + n) * plane;
            int64_t z0 = t / (k[1] * k[2]) * c->dilation[0] - c->pad[0], y0 = t / k[2] % k[1] * c->dilation[1] - c->pad[1], x0 = t % k[2] * c->dilation[2] - c->pad[2];
            int64_t lo = x0 < 0 ? (-x0 + step - 1) / step : 0, hi = in[2] > x0 ? (in[2] - x0 + step - 1) / step : 0;
            if (hi > out[2]) hi = out[2];
            for (int64_t a = 0; a < out[0]; a++)
                for (int64_t b = 0; b < out[1]; b++, row += out[2]) {
                    int64_t z = a * c->stride[0] + z0, y = b * c->stride[1] + y0;
                    if (z < 0 || z >= in[0] || y < 0 || y >= in[1]) continue;
                    float *line = to + (z * in[1] + y) * in[2] + x0;
                    if (step == 1) for (int64_t i = lo; i < hi; i++) line[i] += row[i];
                    else for (int64_t i = lo; i < hi; i++) line[i * step] += row[i];
                }
        }
    }
}

/* Planes of `many` images, channel by channel, side by side in rows; back: the other way. */
static void whole_rows(float *images, float *rows, int64_t channels, int64_t many, int64_t plane, int back) {
    for (int64_t ch = 0; ch < channels; ch++)
        for (int64_t n = 0; n < many; n++) {
            float *image = images + (n * channels + ch) * plane, *row = rows + (ch * many + n) * plane;
            memcpy(back ? image : row, back ? row : image, (size_t)plane * sizeof(float));
        }
}
