/* Fused optimizer kernels; compiled once per instruction set. */
#include <math.h>
#include "optim.h"
#include "rustorch/half.h"

#define KEEP(x) (x)
#define PLAIN_AXPY(x, alpha, d) ((x) + (alpha) * (d))

#define T float
#define C float
#define LD KEEP
#define ST KEEP
#define RD KEEP
#define AXPY PLAIN_AXPY
#define SQRT sqrtf
#define FN(x) RT_NAME(rt_optim_f32_##x)
#include "optim_type.h"
#undef T
#undef C
#undef SQRT
#undef FN

#define T double
#define C double
#define SQRT sqrt
#define FN(x) RT_NAME(rt_optim_f64_##x)
#include "optim_type.h"
#undef T
#undef C
#undef LD
#undef ST
#undef RD
#undef AXPY
#undef SQRT
#undef FN

#define T rt_bf16
#define C float
#define LD rt_bf16_to_f32
#define ST rt_f32_to_bf16
#define RD(x) rt_bf16_to_f32(rt_f32_to_bf16(x))
#define AXPY(x, alpha, d) RD((x) + RD(alpha) * (d))
#define SQRT sqrtf
#define FN(x) RT_NAME(rt_optim_bf16_##x)
#include "optim_type.h"

const RtOptimKernel RT_NAME(rt_optim_table)[3][RT_OPTIM_METHODS] = {
    {RT_NAME(rt_optim_f32_sgd), RT_NAME(rt_optim_f32_adam), RT_NAME(rt_optim_f32_rmsprop), RT_NAME(rt_optim_f32_adagrad)},
    {RT_NAME(rt_optim_f64_sgd), RT_NAME(rt_optim_f64_adam), RT_NAME(rt_optim_f64_rmsprop), RT_NAME(rt_optim_f64_adagrad)},
    {RT_NAME(rt_optim_bf16_sgd), RT_NAME(rt_optim_bf16_adam), RT_NAME(rt_optim_bf16_rmsprop), RT_NAME(rt_optim_bf16_adagrad)},
};
