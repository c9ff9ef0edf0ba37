/* What a step of an optimizer is given: a part of its list of parameters, by value, cut into chunks of which each block takes one.
 * Shared by the launcher (Cython) and the kernels' text. */
#ifndef RUSTORCH_CUDA_OPTIM_PLAN_H
#define RUSTORCH_CUDA_OPTIM_PLAN_H
#define RT_OPTIM_FEW 40             /* of 4 KiB, what every launch could always pass */
#define RT_OPTIM_MANY 384           /* of 32 KiB */
/* elements; shorter ones lie nearer to each other in memory while they are worked on, and one block adds the sums of squares of all */
#define RT_OPTIM_CHUNK(method, itemsize) ((itemsize) == 2 || (method) == RT_OPTIM_SQUARES ? 16384 : 4096)
typedef struct {
    RtOptimOptions o;
    const double *factor;           /* NULL, or a number on the device that takes the place of k0 */
    float *found;                   /* NULL, or a number on the device: not 0 where a gradient is infinite or NaN; then there is no step */
    char *out;                      /* of partial sums, one a block */
    int64_t count;
} RtOptimHead;
typedef struct { RtOptimHead h; int32_t first[RT_OPTIM_FEW + 1]; RtOptimItem item[RT_OPTIM_FEW]; } RtOptimFew;
typedef struct { RtOptimHead h; int32_t first[RT_OPTIM_MANY + 1]; RtOptimItem item[RT_OPTIM_MANY]; } RtOptimMany;
#endif
