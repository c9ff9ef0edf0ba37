/* Convolution of int64, by its definition: exact, wrapping at the ends of the range. Other integer
 * types are widened and narrowed around it. */
#include "conv.h"

/* y[n,o,t] = b[o] + sum w[o,c,k] * x[n,c, t*stride + k*dilation - pad] */
void rt_conv_forward_i64(const RtConvGeom *c, const int64_t *x, const int64_t *w, const int64_t *b, int64_t *y) {
    const int64_t *k = c->kernel, *in = c->in, *out = c->out;
    for (int64_t n = 0; n < c->batch; n++)
    for (int64_t go = 0; go < c->groups * c->cout; go++)
    for (int64_t t0 = 0; t0 < out[0]; t0++)
    for (int64_t t1 = 0; t1 < out[1]; t1++)
    for (int64_t t2 = 0; t2 < out[2]; t2++) {
        uint64_t s = b ? (uint64_t)b[go] : 0;
        for (int64_t ch = 0; ch < c->cin; ch++)
        for (int64_t i = 0; i < k[0]; i++)
        for (int64_t j = 0; j < k[1]; j++)
        for (int64_t l = 0; l < k[2]; l++) {
            int64_t p = t0 * c->stride[0] + i * c->dilation[0] - c->pad[0];
            int64_t q = t1 * c->stride[1] + j * c->dilation[1] - c->pad[1];
            int64_t r = t2 * c->stride[2] + l * c->dilation[2] - c->pad[2];
            if (p < 0 || p >= in[0] || q < 0 || q >= in[1] || r < 0 || r >= in[2]) continue;
            int64_t channel = (n * c->groups + go / c->cout) * c->cin + ch;
            s += (uint64_t)x[((channel * in[0] + p) * in[1] + q) * in[2] + r]
               * (uint64_t)w[(((go * c->cin + ch) * k[0] + i) * k[1] + j) * k[2] + l];
        }
        *y++ = (int64_t)s;
    }
}

/* The transposed convolution: every g[n,o,t] adds w[o,c,k] * g to the positions it came from. */
void rt_conv_dinput_i64(const RtConvGeom *c, const int64_t *g, const int64_t *w, const int64_t *b, int64_t *gx) {
    const int64_t *k = c->kernel, *in = c->in, *out = c->out;
    int64_t plane = in[0] * in[1] * in[2], channels = c->groups * c->cin;
    for (int64_t n = 0; n < c->batch * channels; n++)
        for (int64_t i = 0; i < plane; i++) gx[n * plane + i] = b ? b[n % channels] : 0;
    for (int64_t n = 0; n < c->batch; n++)
    for (int64_t go = 0; go < c->groups * c->cout; go++)
    for (int64_t t0 = 0; t0 < out[0]; t0++)
    for (int64_t t1 = 0; t1 < out[1]; t1++)
    for (int64_t t2 = 0; t2 < out[2]; t2++) {
        uint64_t v = (uint64_t)*g++;
        for (int64_t ch = 0; ch < c->cin; ch++)
        for (int64_t i = 0; i < k[0]; i++)
        for (int64_t j = 0; j < k[1]; j++)
        for (int64_t l = 0; l < k[2]; l++) {
            int64_t p = t0 * c->stride[0] + i * c->dilation[0] - c->pad[0];
            int64_t q = t1 * c->stride[1] + j * c->dilation[1] - c->pad[1];
            int64_t r = t2 * c->stride[2] + l * c->dilation[2] - c->pad[2];
            if (p < 0 || p >= in[0] || q < 0 || q >= in[1] || r < 0 || r >= in[2]) continue;
            int64_t *at = gx + (((n * channels + go / c->cout * c->cin + ch) * in[0] + p) * in[1] + q) * in[2] + r;
            *at = (int64_t)((uint64_t)*at + v * (uint64_t)w[(((go * c->cin + ch) * k[0] + i) * k[1] + j) * k[2] + l]);
        }
    }
}
