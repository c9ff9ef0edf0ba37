// types: T = floats
#include "block.h"
/* One block: what the losses of all lines come to. p: sum or mean (T), the sum of the shares or NULL, losses, shares or NULL (all of the
 * type to compute in); n: lines. The shares' sum divides where there is one. */
RT_KERNEL(RT_NAME(total), RtCall) {
    const T_C *losses = (const T_C *)a.p[2], *shares = (const T_C *)a.p[3];
    T_C loss = (T_C)0, share = (T_C)0;
    for (int64_t i = threadIdx.x; i < a.n[0]; i += blockDim.x) {
        loss += losses[i];
        if (shares) share += shares[i];
    }
    const auto add = [](T_C x, T_C y) { return x + y; };
    loss = rt_block_reduce(loss, add, (T_C)0);
    share = rt_block_reduce(share, add, (T_C)0);
    if (threadIdx.x) return;
    *(T *)a.p[0] = T_PUT(shares ? loss / share : loss);
    if (a.p[1]) *(T_C *)a.p[1] = share;
}

/* Say so where one of n[0] numbers is no probability; p: the numbers */
RT_KERNEL(RT_NAME(check_probabilities), RtCall) {
    RT_EACH(i, a.n[0]) {
        const T_C v = T_GET(((const T *)a.p[0])[i]);
        if (!(v >= (T_C)0 && v <= (T_C)1)) rt_bad_index(a, i, -1);
    }
}
