/* softclip(x, limit) = limit * tanh(x / limit): the identity near 0, never beyond the limit. */
#include <rustorch/math.h>
#include <rustorch/plugin.h>

/* Each line writes a loop over one dtype. The package broadcasts, promotes, splits the work over threads and calls it.
 * a, b, c, d are the operands in order. */

/* forward: a = x, b = limit */
RT_PLUGIN_LOOP2(softclip_f32, float, b * rt_tanh_f32(a / b))
RT_PLUGIN_LOOP2(softclip_f64, double, b * rt_tanh_f64(a / b))
/* for x: a = incoming gradient, b = limit, c = result;  d/dx = 1 - tanh^2 */
RT_PLUGIN_LOOP3(softclip_dx_f32, float, a * (1 - (c / b) * (c / b)))
RT_PLUGIN_LOOP3(softclip_dx_f64, double, a * (1 - (c / b) * (c / b)))
/* for limit: a = incoming gradient, b = x, c = limit, d = result;  d/dlimit = tanh - x / limit * (1 - tanh^2) */
RT_PLUGIN_LOOP4(softclip_dlimit_f32, float, a * (d / c - b / c * (1 - (d / c) * (d / c))))
RT_PLUGIN_LOOP4(softclip_dlimit_f64, double, a * (d / c - b / c * (1 - (d / c) * (d / c))))

static const RtPluginLoops softclip_loops[] = {
    {RT_F32, softclip_f32, {softclip_dx_f32, softclip_dlimit_f32}},
    {RT_F64, softclip_f64, {softclip_dx_f64, softclip_dlimit_f64}},
};

static const RtPluginOp ops[] = {{
    .schema = "softclip(Tensor x, Tensor limit) -> Tensor",
    .device = RT_CPU,
    .flags = RT_PLUGIN_HALF | RT_PLUGIN_INT_TO_FLOAT,
    .cost = 3,
    .loops = softclip_loops,
    .nloops = 2,
    .reads = {RT_READS_Y | RT_READS_OUT, RT_READS_X | RT_READS_Y | RT_READS_OUT},
}};

static const RtPlugin plugin = {RT_PLUGIN_ABI, sizeof(RtPluginOp), "smooth", ops, sizeof ops / sizeof *ops};

RT_PLUGIN_EXPORT const RtPlugin *rustorch_plugin(void) { return &plugin; }
