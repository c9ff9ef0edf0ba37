/* Fused optimizer steps: one pass over each parameter, in the order of operations and with the
 * roundings of the step written tensor by tensor (rustorch_py/optim), so that both give the same
 * numbers. */
#ifndef RT_OPTIM_H
#define RT_OPTIM_H
#include "rustorch/loops.h"

#ifndef RT_OPTIM_EACH
#define RT_OPTIM_EACH(i, begin, end) for (int64_t i = begin; i < end; i++)
#define RT_OPTIM_LINK
#endif

/* One parameter: n elements of one dtype, contiguous. What a, b, c hold is said at each kernel. */
typedef struct {
    char *p;              /* parameter, updated */
    const char *g;        /* gradient */
    char *a, *b, *c;      /* state, updated; NULL where the method has none */
    int64_t n;
    double k0, k1, k2;    /* numbers of this parameter's step, see the kernels */
    float *step;          /* on devices: the counter, where it lies beside the parameter; the kernel makes k0, k1, k2 of it. NULL: they are given */
} RtOptimItem;

/* What holds for all parameters of a group; each method reads its own fields. */
typedef struct {
    double lr, beta1, beta2, eps, weight_decay, momentum, dampening, shrink, low, high;
    int l2;               /* weight_decay is added to the gradient */
    int maximize;         /* the gradient changes its sign */
    int nesterov, amsgrad, centered;
} RtOptimOptions;

/* Elements begin..end of one parameter. */
typedef void (*RtOptimKernel)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end);

enum { RT_OPTIM_SGD, RT_OPTIM_ADAM, RT_OPTIM_RMSPROP, RT_OPTIM_ADAGRAD, RT_OPTIM_ADAMAX, RT_OPTIM_NADAM, RT_OPTIM_RADAM, RT_OPTIM_ADADELTA,
       RT_OPTIM_ASGD, RT_OPTIM_RPROP, RT_OPTIM_SCALE, RT_OPTIM_METHODS,
       /* of devices only: partial sums of squares, the gradients of a scaled loss, step counters */
       RT_OPTIM_SQUARES = RT_OPTIM_METHODS, RT_OPTIM_UNSCALE, RT_OPTIM_COUNT };

/* Sum of squares of g[begin..end). */
typedef double (*RtOptimSquares)(const char *g, int64_t begin, int64_t end);

/* optim.c: method RT_OPTIM_*, dtype RT_F32, RT_F64 or RT_BF16; isa: RT_ISA_*. */
void rt_optim_run(int method, int dtype, int isa, const RtOptimItem *items, int64_t count, const RtOptimOptions *o, int threads);

/* Sum of squares of all gradients, in double; of RT_F32 or RT_F64. The same bits for any number of threads. -1: no memory. */
double rt_optim_squares(int dtype, int isa, const RtOptimItem *items, int64_t count, int threads);
#endif
