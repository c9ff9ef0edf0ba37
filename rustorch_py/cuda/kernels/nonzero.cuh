// types:
/* Places of a mask's true elements, in order: each block counts its piece, the counts are summed up, each block writes its part.
 * p: mask (contiguous), counts before each piece (one more: all), places; n: elements, pieces, dimensions, sizes. */
#include "block.h"
#define RT_MASK_EACH 16             /* elements a thread looks at; a piece is 256 times as many: ops/select.py */
RT_INLINE unsigned rt_mask_bits(const uint8_t *mask, int64_t n, int64_t at) {
    unsigned bits = 0;
    if (at + RT_MASK_EACH <= n && ((uintptr_t)(mask + at) & (RT_MASK_EACH - 1)) == 0) {
        const RtPack<uint8_t, RT_MASK_EACH> v = *(const RtPack<uint8_t, RT_MASK_EACH> *)(mask + at);
        for (int j = 0; j < RT_MASK_EACH; j++) bits |= (unsigned)(v.v[j] != 0) << j;
    } else
        for (int j = 0; j < RT_MASK_EACH && at + j < n; j++) bits |= (unsigned)(mask[at + j] != 0) << j;
    return bits;
}

RT_KERNEL(RT_NAME(count), RtCall) {
    const int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * RT_MASK_EACH;
    const int mine = RT_POPCOUNT(rt_mask_bits((const uint8_t *)a.p[0], a.n[0], at));
    const int all = rt_block_reduce(mine, [](int x, int y) { return x + y; }, 0);
    if (threadIdx.x == 0) ((int64_t *)a.p[1])[blockIdx.x] = all;
}

/* one block: counts become what is before each piece */
RT_KERNEL(RT_NAME(before), RtCall) {
    int64_t *counts = (int64_t *)a.p[1], sum = 0, before, total;
    const auto add = [](int64_t x, int64_t y) { return x + y; };
    for (int64_t start = 0; start < a.n[1]; start += blockDim.x) {
        const int64_t i = start + threadIdx.x, mine = i < a.n[1] ? counts[i] : 0;
        rt_block_scan(mine, add, (int64_t)0, &before, &total);
        if (i < a.n[1]) counts[i] = sum + before;
        sum += total;
    }
    if (threadIdx.x == 0) counts[a.n[1]] = sum;
}

RT_KERNEL(RT_NAME(places), RtCall) {
    const int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * RT_MASK_EACH, nd = a.n[2];
    const unsigned bits = rt_mask_bits((const uint8_t *)a.p[0], a.n[0], at);
    int before;
    rt_block_scan((int)RT_POPCOUNT(bits), [](int x, int y) { return x + y; }, 0, &before);
    int64_t *out = (int64_t *)a.p[2] + (((const int64_t *)a.p[1])[blockIdx.x] + before) * nd;
    for (int j = 0; j < RT_MASK_EACH; j++) {
        if (!(bits >> j & 1)) continue;
        int64_t rest = at + j;
        for (int64_t k = nd; k-- > 0;) out[k] = k ? rt_divide(rest, a.n[3 + k], &rest) : rest;
        out += nd;
    }
}
