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

#define METHODS(t) {RT_NAME(rt_optim_##t##_sgd), RT_NAME(rt_optim_##t##_adam), RT_NAME(rt_optim_##t##_rmsprop), RT_NAME(rt_optim_##t##_adagrad), \
    RT_NAME(rt_optim_##t##_adamax), RT_NAME(rt_optim_##t##_nadam), RT_NAME(rt_optim_##t##_radam), RT_NAME(rt_optim_##t##_adadelta), \
    RT_NAME(rt_optim_##t##_asgd), RT_NAME(rt_optim_##t##_rprop), RT_NAME(rt_optim_##t##_scale)}
const RtOptimKernel RT_NAME(rt_optim_table)[3][RT_OPTIM_METHODS] = {METHODS(f32), METHODS(f64), METHODS(bf16)};

#define SQUARES(t, T)                                                                            \
    static double squares_##t(const char *g, int64_t begin, int64_t end) {                       \
        const T *restrict x = (const T *)g;                                                      \
        double lane[32] = {0}, sum = 0;                                                          \
        for (; begin + 32 <= end; begin += 32)                                                   \
            for (int j = 0; j < 32; j++) lane[j] += (double)x[begin + j] * (double)x[begin + j]; \
        for (; begin < end; begin++) sum += (double)x[begin] * (double)x[begin];                 \
        for (int j = 0; j < 32; j++) sum += lane[j];                                             \
        return sum;                                                                              \
    }
SQUARES(f32, float)
SQUARES(f64, double)
const RtOptimSquares RT_NAME(rt_optim_squares_table)[2] = {squares_f32, squares_f64};
