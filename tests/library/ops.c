/* Operators for test_native.py; built by it against include/rustorch. */
#include <math.h>
#include <stdio.h>
#include <rustorch/plugin.h>

/* scaled_square(x, s) = s * x^2, with derivative loops and, for second derivatives, an operator */
RT_PLUGIN_LOOP1(ssq_f32, float, (float)k[0] * a * a)
RT_PLUGIN_LOOP1(ssq_f64, double, k[0] * a * a)
RT_PLUGIN_LOOP1(ssq_i64, int64_t, (int64_t)k[0] * a * a)
RT_PLUGIN_LOOP2(ssq_d_f32, float, a * 2 * (float)k[0] * b)
RT_PLUGIN_LOOP2(ssq_d_f64, double, a * 2 * k[0] * b)
static const RtPluginLoops ssq[] = {{RT_F32, ssq_f32, {ssq_d_f32}}, {RT_F64, ssq_f64, {ssq_d_f64}}, {RT_I64, ssq_i64, {NULL}}};
/* its gradient as an operator: grad * 2 s x; its own: g * 2 s x for grad, g * 2 s grad for x */
static const RtPluginLoops ssqb[] = {{RT_F64, ssq_d_f64, {ssq_d_f64, ssq_d_f64}}};

/* blend(x, y, w) = x + w (y - x): three inputs, no second derivative */
RT_PLUGIN_LOOP3(blend_f32, float, a + c * (b - a))
RT_PLUGIN_LOOP3(blend_f64, double, a + c * (b - a))
RT_PLUGIN_LOOP2(blend_dx, double, a * (1 - b))
RT_PLUGIN_LOOP2(blend_dy, double, a * b)
RT_PLUGIN_LOOP3(blend_dw, double, a * (c - b))
static const RtPluginLoops blend[] = {{RT_F32, blend_f32, {NULL}}, {RT_F64, blend_f64, {blend_dx, blend_dy, blend_dw}}};

/* exceeds(x, limit) -> bool */
static void exceeds_f64(char **p, const int64_t *step, int64_t n, const double *k) {
    for (int64_t i = 0; i < n; i++) *(uint8_t *)(p[0] + i * step[0]) = *(double *)(p[1] + i * step[1]) > k[0];
}
static const RtPluginLoops exceeds[] = {{RT_F64, exceeds_f64, {NULL}}};

/* general: cumprod along a dimension of float64, and its gradient where nothing is zero */
static int same_shape(RtPluginCall *c) {
    for (int i = 0; i < c->nin; i++)
        if (c->in[i].ndim >= 0 && c->in[i].dtype != RT_F64) { snprintf(c->error, c->error_nbytes, "expected float64"); return RT_ERR_UNSUPPORTED; }
    for (int i = 0; i < c->nout; i++) {
        c->out[i].dtype = RT_F64;
        c->out[i].ndim = c->in[0].ndim;
        for (int d = 0; d < c->in[0].ndim; d++) c->out[i].shape[d] = c->in[0].shape[d];
    }
    return RT_OK;
}
static int prefix(RtPluginCall *c) {
    const RtArray *x = &c->in[0];
    if (x->ndim != 1) { snprintf(c->error, c->error_nbytes, "expected 1 dimension, got %d", x->ndim); return RT_ERR_DEVICE; }
    double run = 0, *out = (double *)c->out[0].data, *sq = (double *)c->out[1].data;
    for (int64_t i = 0; i < x->shape[0]; i++) {
        double v = ((double *)x->data)[i * x->strides[0]];
        run += v;
        out[i] = run * c->k[0];
        sq[i] = v * v * (double)c->n[1];
    }
    return RT_OK;
}
/* grads of prefix(x, scale, power): from the running sum (reversed) and from the square */
static int prefix_backward(RtPluginCall *c) {
    const RtArray *g0 = &c->in[0], *g1 = &c->in[1], *x = &c->in[2];
    double run = 0;
    for (int64_t i = x->shape[0] - 1; i >= 0; i--) {
        run += ((double *)g0->data)[i * g0->strides[0]];
        ((double *)c->out[0].data)[i] = run * c->k[0] + ((double *)g1->data)[i * g1->strides[0]] * 2 * ((double *)x->data)[i * x->strides[0]] * (double)c->n[1];
    }
    return RT_OK;
}
/* an optional tensor: 1 where it is there */
static int given(RtPluginCall *c) {
    int64_t n = 1;
    for (int d = 0; d < c->out[0].ndim; d++) n *= c->out[0].shape[d];
    for (int64_t i = 0; i < n; i++) ((double *)c->out[0].data)[i] = c->in[1].ndim >= 0;
    return RT_OK;
}

static const RtPluginOp ops[] = {
    {.schema = "scaled_square(Tensor x, float s=1.0) -> Tensor", .flags = RT_PLUGIN_HALF, .loops = ssq, .nloops = 3, .reads = {RT_READS_X},
     .backward = "scaled_square_backward"},
    {.schema = "scaled_square_backward(Tensor grad, Tensor x, float s) -> Tensor", .loops = ssqb, .nloops = 1, .reads = {RT_READS_Y, RT_READS_X}},
    {.schema = "blend(Tensor x, Tensor y, Tensor w) -> Tensor", .flags = RT_PLUGIN_INT_TO_FLOAT, .loops = blend, .nloops = 2,
     .reads = {RT_READS_Z, RT_READS_Z, RT_READS_X | RT_READS_Y}},
    {.schema = "exceeds(Tensor x, float limit) -> Tensor", .out = RT_OUT_BOOL, .loops = exceeds, .nloops = 1},
    {.schema = "prefix(Tensor x, float scale=1.0, int power=1) -> (Tensor, Tensor)", .shapes = same_shape, .kernel = prefix, .backward = "prefix_backward"},
    {.schema = "prefix_backward(Tensor grad0, Tensor grad1, Tensor x, float scale, int power) -> Tensor", .shapes = same_shape, .kernel = prefix_backward},
    {.schema = "given(Tensor x, Tensor? y=None) -> Tensor", .shapes = same_shape, .kernel = given, .flags = RT_PLUGIN_CONTIGUOUS},
};
static const RtPlugin plugin = {RT_PLUGIN_ABI, sizeof(RtPluginOp), "native_test", ops, sizeof ops / sizeof *ops};
RT_PLUGIN_EXPORT const RtPlugin *rustorch_plugin(void) { return &plugin; }
