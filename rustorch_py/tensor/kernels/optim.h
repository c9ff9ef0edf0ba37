/* Fused optimizer steps: one pass over each parameter, in the order of operations and with the
 * roundings of the step written tensor by tensor (rustorch_py/optim), so that both give the same
 * numbers. */
#ifndef RT_OPTIM_H
#define RT_OPTIM_H
#include "rustorch/loops.h"

/* One parameter: n elements of one dtype, contiguous. What a, b, c hold is said at each kernel. */
typedef struct {
    char *p;              /* parameter, updated */
    const char *g;        /* gradient */
    char *a, *b, *c;      /* state, updated; NULL where the method has none */
    int64_t n;
    double k0, k1;        /* numbers of this parameter's step, see the kernels */
} RtOptimItem;

/* What holds for all parameters of a group; each method reads its own fields. */
typedef struct {
    double lr, beta1, beta2, eps, weight_decay, momentum, dampening, shrink;
    int l2;               /* weight_decay is added to the gradient */
    int maximize;         /* the gradient changes its sign */
    int nesterov, amsgrad, centered;
} RtOptimOptions;

/* Elements begin..end of one parameter. */
typedef void (*RtOptimKernel)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end);

enum { RT_OPTIM_SGD, RT_OPTIM_ADAM, RT_OPTIM_RMSPROP, RT_OPTIM_ADAGRAD, RT_OPTIM_METHODS };

/* optim.c: method RT_OPTIM_*, dtype RT_F32, RT_F64 or RT_BF16; isa: RT_ISA_*. */
void rt_optim_run(int method, int dtype, int isa, const RtOptimItem *items, int64_t count, const RtOptimOptions *o, int threads);
#endif
