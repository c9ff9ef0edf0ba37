// types: T = floats
#include "block.h"
/* A norm of many tensors and what they are to be multiplied by, without the host. */

/* One block. p: norm (T), sums of squares (of the type to compute in); n: how many sums */
RT_KERNEL(RT_NAME(norm), RtCall) {
    T_C sum = (T_C)0;
    for (int64_t i = threadIdx.x; i < a.n[0]; i += blockDim.x) sum += ((const T_C *)a.p[1])[i];
    sum = rt_block_reduce(sum, [](T_C x, T_C y) { return x + y; }, (T_C)0);
    if (threadIdx.x == 0) *(T *)a.p[0] = T_PUT(T_F(sqrt)(sum));
}

/* p: factor (float64), norm; k: the largest norm allowed */
RT_KERNEL(RT_NAME(factor), RtCall) {
    if (threadIdx.x) return;
    const T_C norm = T_GET(T_PUT(T_GET(*(const T *)a.p[1]) + (T_C)1e-6)), found = T_GET(T_PUT((T_C)a.k[0] / norm));
    *(double *)a.p[0] = found > (T_C)1 ? 1.0 : (double)found;        /* NaN stays */
}
