// types: T = floats; M = 0 1 2 3 4 5 6 7 8 9 10 11 12 13
/* Optimizer steps over a list of parameters, one launch: the CPU's text (tensor/kernels/optim_type.h), a chunk of a parameter a block.
 * M: RT_OPTIM_*. Chunks of item i are blocks first[i] .. first[i + 1]. */
#include "optim.h"
#include "optim_plan.h"
#include "block.h"
#define restrict __restrict__
#undef RT_OPTIM_EACH
#undef RT_OPTIM_LINK
#define RT_OPTIM_EACH(i, begin, end) _Pragma("unroll") for (int64_t i = (begin); i < (end); i++)
#define RT_OPTIM_LINK RT_INLINE                     /* the locals of rt_optim_packs are to be registers */
#define C T_C
#define LD(x) T_GET(x)
#define ST(x) T_PUT(x)
#define RD(x) T_GET(T_PUT(x))
#define AXPY(x, alpha, d) RD((x) + RD(alpha) * (d))
#if T_SIZE == 2                                     /* what they are off by is lost in the rounding to 16 bits */
#define SQRT(x) rt_rough_sqrt(x)
#define DIV(x, y) rt_rough_quotient(x, y)
#else
#define SQRT(x) T_F(sqrt)(x)
#endif
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

/* step(item, from, to) for elements begin .. end of an item, by the block's threads: packs of 16 bytes of all its arrays, or elements */
template <class Step> RT_INLINE void rt_optim_packs(const RtOptimItem &it, int64_t begin, int64_t end, Step step) {
    enum { V = 16 / T_SIZE };
    typedef RtPack<T, V> Pack;
    int64_t rest = begin;
    if ((((uintptr_t)it.p | (uintptr_t)it.g | (uintptr_t)it.a | (uintptr_t)it.b | (uintptr_t)it.c) & 15) == 0) {
        rest = begin + (end - begin) / V * V;
        for (int64_t i = begin + threadIdx.x * V; i < rest; i += RT_CUDA_THREADS * V) {
            Pack p, g, a, b, c;
            p = *(const Pack *)((const T *)it.p + i);
            if (it.g) g = *(const Pack *)((const T *)it.g + i);
            if (it.a) a = *(const Pack *)((const T *)it.a + i);
            if (it.b) b = *(const Pack *)((const T *)it.b + i);
            if (it.c) c = *(const Pack *)((const T *)it.c + i);
            RtOptimItem part = it;
            part.p = (char *)p.v; part.g = (const char *)g.v; part.a = (char *)a.v; part.b = (char *)b.v; part.c = (char *)c.v;
            step(part, 0, V);
            *(Pack *)((T *)it.p + i) = p;
            if (it.a) *(Pack *)((T *)it.a + i) = a;
            if (it.b) *(Pack *)((T *)it.b + i) = b;
            if (it.c) *(Pack *)((T *)it.c + i) = c;
        }
    }
    #pragma unroll 1
    for (int64_t i = rest + threadIdx.x; i < end; i += RT_CUDA_THREADS) step(it, i, i + 1);
}
/* f(x) -> whether x, which it may change, is to be written back, for elements begin .. end */
template <class F> RT_INLINE void rt_optim_values(char *at, int64_t begin, int64_t end, F f) {
    enum { V = 16 / T_SIZE, U = 4 };
    typedef RtPack<T, V> Pack;
    T *x = (T *)at;
    int64_t rest = begin;
    if (((uintptr_t)at & 15) == 0) {
        rest = begin + (end - begin) / V * V;
        for (int64_t i = begin + threadIdx.x * V; i < rest; i += U * RT_CUDA_THREADS * V) {
            Pack v[U];
            #pragma unroll
            for (int u = 0; u < U; u++) if (i + u * RT_CUDA_THREADS * V < rest) v[u] = *(const Pack *)(x + i + u * RT_CUDA_THREADS * V);
            #pragma unroll
            for (int u = 0; u < U; u++) if (i + u * RT_CUDA_THREADS * V < rest) {
                bool write = false;
                #pragma unroll
                for (int j = 0; j < V; j++) write |= f(v[u].v[j]);
                if (write) *(Pack *)(x + i + u * RT_CUDA_THREADS * V) = v[u];
            }
        }
    }
    for (int64_t i = rest + threadIdx.x; i < end; i += RT_CUDA_THREADS) f(x[i]);
}

template <class Plan> RT_INLINE void rt_optim_block(const Plan &a) {
    int low = 0, high = (int)a.h.count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (a.first[middle] <= (int)blockIdx.x) low = middle;
        else high = middle;
    }
    RtOptimItem it = a.item[low];
    const int64_t begin = (int64_t)((int)blockIdx.x - a.first[low]) * RT_OPTIM_CHUNK(M, T_SIZE), end = begin + RT_OPTIM_CHUNK(M, T_SIZE) < it.n ? begin + RT_OPTIM_CHUNK(M, T_SIZE) : it.n;
#if M == 11
    T_C sum = 0;
    rt_optim_values(it.p, begin, end, [&](T &x) {
        const T_C v = T_GET(x);
        sum = T_F(ma)(v, v, sum);
        return false;
    });
    sum = rt_block_reduce(sum, [](T_C x, T_C y) { return x + y; }, (T_C)0);
    if (threadIdx.x == 0) ((T_C *)a.h.out)[blockIdx.x] = sum;
#elif M == 12
    const T_C factor = (T_C)*a.h.factor;
    bool bad = false;
    rt_optim_values(it.p, begin, end, [&](T &x) {
        const T_C v = T_GET(x);
        bad |= !(v - v == 0);
        if (factor != 1) x = T_PUT(v * factor);
        return factor != 1;
    });
    if (bad) *a.h.found = 1;
#else
    if (a.h.found && *a.h.found != 0) return;
    if (a.h.factor) it.k0 = *a.h.factor;
#if M == 10
    if (it.k0 == 1) return;                            /* as they are */
#endif
    if (it.step) rt_optim_numbers(it, a.h.o);
#if M == 0
    if (it.a) rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_sgd(&part, &a.h.o, from, to); });
    else rt_optim_packs(it, begin, end, [&](RtOptimItem part, int64_t from, int64_t to) { part.a = 0; rt_optim_sgd(&part, &a.h.o, from, to); });
#elif M == 1
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_adam(&part, &a.h.o, from, to); });
#elif M == 2
    if (it.b) rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_rmsprop(&part, &a.h.o, from, to); });
    else rt_optim_packs(it, begin, end, [&](RtOptimItem part, int64_t from, int64_t to) { part.b = 0; rt_optim_rmsprop(&part, &a.h.o, from, to); });
#elif M == 3
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_adagrad(&part, &a.h.o, from, to); });
#elif M == 4
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_adamax(&part, &a.h.o, from, to); });
#elif M == 5
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_nadam(&part, &a.h.o, from, to); });
#elif M == 6
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_radam(&part, &a.h.o, from, to); });
#elif M == 7
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_adadelta(&part, &a.h.o, from, to); });
#elif M == 8
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_asgd(&part, &a.h.o, from, to); });
#elif M == 9
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_rprop(&part, &a.h.o, from, to); });
#elif M == 10
    rt_optim_packs(it, begin, end, [&](const RtOptimItem &part, int64_t from, int64_t to) { rt_optim_scale(&part, &a.h.o, from, to); });
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
#undef DIV
#undef FN
#undef restrict
