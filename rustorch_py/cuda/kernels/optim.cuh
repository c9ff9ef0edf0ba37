// types: T = floats; M = 0 1 2 3 4 5 6 7 8 9 10 11 12 13
/* Optimizer steps over a list of parameters, one launch: the CPU's text (tensor/kernels/optim_type.h), a chunk of a parameter a block.
 * M: RT_OPTIM_*. Chunks of item i are blocks first[i] .. first[i + 1]. */
#include "optim.h"
#include "optim_plan.h"
#include "block.h"
#define restrict __restrict__
#undef RT_OPTIM_EACH
#undef RT_OPTIM_LINK
#define RT_OPTIM_EACH(i, begin, end) for (int64_t i = (begin) + threadIdx.x; i < (end); i += blockDim.x)
#define RT_OPTIM_LINK static inline
#define C T_C
#define LD(x) T_GET(x)
#define ST(x) T_PUT(x)
#define RD(x) T_GET(T_PUT(x))
#define AXPY(x, alpha, d) RD((x) + RD(alpha) * (d))
#define SQRT(x) T_F(sqrt)(x)
#define FN(name) rt_optim_##name
#  include "optim_type.h"

/* k0, k1, k2 of a step whose counter lies on the device: what the CPU's steps compute (tensor/_optim.pyx) */
RT_INLINE void rt_optim_numbers(RtOptimItem &it, const RtOptimOptions &o) {
    const double t = (double)*it.step;
#if M == 1
    it.k0 = -o.lr / (1 - pow(o.beta1, t));
    it.k1 = sqrt(1 - pow(o.beta2, t));
#elif M == 3
    it.k0 = -o.lr / (1 + (t - 1) * o.beta1);
#elif M == 4
    it.k0 = -o.lr / (1 - pow(o.beta1, t));
#elif M == 6
    const double limit = 2 / (1 - o.beta2) - 1, power = pow(o.beta2, t), correction = 1 - power, rho = limit - 2 * t * power / correction;
    it.k0 = 1 - pow(o.beta1, t);
    it.k1 = sqrt(correction);
    it.k2 = rho > 5 ? sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) : 0;
#endif
}

template <class Plan> RT_INLINE void rt_optim_block(const Plan &a) {
    int low = 0, high = (int)a.h.count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (a.first[middle] <= (int)blockIdx.x) low = middle;
        else high = middle;
    }
    RtOptimItem it = a.item[low];
    const int64_t begin = (int64_t)((int)blockIdx.x - a.first[low]) * RT_OPTIM_CHUNK, end = begin + RT_OPTIM_CHUNK < it.n ? begin + RT_OPTIM_CHUNK : it.n;
#if M == 11
    T_C sum = 0;
    RT_OPTIM_EACH(i, begin, end) {
        const T_C v = T_GET(((const T *)it.p)[i]);
        sum += v * v;
    }
    sum = rt_block_reduce(sum, [](T_C x, T_C y) { return x + y; }, (T_C)0);
    if (threadIdx.x == 0) ((T_C *)a.h.out)[blockIdx.x] = sum;
#elif M == 12
    const T_C factor = (T_C)*a.h.factor;
    bool bad = false;
    RT_OPTIM_EACH(i, begin, end) {
        T *p = (T *)it.p + i;
        const T_C v = T_GET(*p);
        bad |= !(v - v == 0);
        if (factor != 1) *p = T_PUT(v * factor);
    }
    if (bad) *a.h.found = 1;
#else
    if (a.h.found && *a.h.found != 0) return;
    if (a.h.factor) it.k0 = *a.h.factor;
    if (it.step) rt_optim_numbers(it, a.h.o);
#if M == 0
    rt_optim_sgd(&it, &a.h.o, begin, end);
#elif M == 1
    rt_optim_adam(&it, &a.h.o, begin, end);
#elif M == 2
    rt_optim_rmsprop(&it, &a.h.o, begin, end);
#elif M == 3
    rt_optim_adagrad(&it, &a.h.o, begin, end);
#elif M == 4
    rt_optim_adamax(&it, &a.h.o, begin, end);
#elif M == 5
    rt_optim_nadam(&it, &a.h.o, begin, end);
#elif M == 6
    rt_optim_radam(&it, &a.h.o, begin, end);
#elif M == 7
    rt_optim_adadelta(&it, &a.h.o, begin, end);
#elif M == 8
    rt_optim_asgd(&it, &a.h.o, begin, end);
#elif M == 9
    rt_optim_rprop(&it, &a.h.o, begin, end);
#elif M == 10
    rt_optim_scale(&it, &a.h.o, begin, end);
#endif
#endif
}
#if M == 13
/* a thread an item: the counters take a step, unless a gradient is not finite */
RT_KERNEL(RT_NAME(few), RtOptimFew) { RT_EACH(i, a.h.count) if (a.item[i].step && !(a.h.found && *a.h.found != 0)) *a.item[i].step += 1; }
RT_KERNEL(RT_NAME(many), RtOptimMany) { RT_EACH(i, a.h.count) if (a.item[i].step && !(a.h.found && *a.h.found != 0)) *a.item[i].step += 1; }
#else
RT_KERNEL(RT_NAME(few), RtOptimFew) { rt_optim_block(a); }
RT_KERNEL(RT_NAME(many), RtOptimMany) { rt_optim_block(a); }
#endif
#undef C
#undef LD
#undef ST
#undef RD
#undef AXPY
#undef SQRT
#undef FN
#undef restrict
