// types: T = raw
#include "block.h"
/* Several copies in one launch, a row of blocks each. n: how many, then where what each is given begins: its elements, where to and where
 * from (addresses), dimensions, of each size, step to, step from. */
RT_KERNEL(RT_NAME(copies), RtCall) {
    const int64_t *own = a.n + a.n[1 + blockIdx.y];
    T *to = (T *)(uintptr_t)own[1];
    const T *from = (const T *)(uintptr_t)own[2];
    RT_EACH(i, own[0]) {
        int64_t at[2];
        rt_offsets<2>(i, own[3], own + 4, at);
        to[at[0]] = from[at[1]];
    }
}
