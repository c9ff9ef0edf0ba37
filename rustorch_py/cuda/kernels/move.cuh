// types: T = raw
/* Elements moved or filled by their places. p: dst, then src, or mask and value; n: elements, then what each kernel says. */
#include "block.h"

/* dst and src of any steps, negative ones too; n[1]: dimensions, n[2...]: of each size, step of dst, of src */
RT_KERNEL(RT_NAME(move), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t at[2];
        rt_offsets<2>(i, a.n[1], a.n + 2, at);
        ((T *)a.p[0])[at[0]] = ((const T *)a.p[1])[at[1]];
    }
}

/* dst = *p[2] where the mask p[1] is true; n as above */
RT_KERNEL(RT_NAME(fill), RtCall) {
    const T value = *(const T *)a.p[2];
    RT_EACH(i, a.n[0]) {
        int64_t at[2];
        rt_offsets<2>(i, a.n[1], a.n + 2, at);
        if (((const rt_bool *)a.p[1])[at[1]]) ((T *)a.p[0])[at[0]] = value;
    }
}

/* matrices of n[1] rows and n[2] columns without what is above (n[4] = 0) or below (1) diagonal n[3]; dst may be src */
RT_KERNEL(RT_NAME(triangle), RtCall) {
    const T *src = (const T *)a.p[1];
    RT_EACH(i, a.n[0]) {
        int64_t row, matrix;
        const int64_t column = rt_divide(i, a.n[2], &row), gap = column - rt_divide(row, a.n[1], &matrix);
        T v = {};
        if (a.n[4] ? gap >= a.n[3] : gap <= a.n[3]) v = src[i];
        ((T *)a.p[0])[i] = v;
    }
}

/* Dense matrices of as many rows side by side: p: dst, then them. n: how many, columns of dst, then of each its first block, elements, columns (and
 * their divisor), first column in dst. */
enum { J_COUNT, J_WIDTH, J_PARTS, J_FIRST = 0, J_N, J_COLUMNS, J_BY, J_AT = J_BY + 2, J_EACH };
RT_KERNEL(RT_NAME(join), RtCall) {
    enum { U = 4 };
    int part = 0;
    while (part + 1 < a.n[J_COUNT] && a.n[J_PARTS + (part + 1) * J_EACH] <= blockIdx.x) part++;
    const int64_t *d = a.n + J_PARTS + part * J_EACH;
    const T *src = (const T *)a.p[1 + part];
    T *dst = (T *)a.p[0] + d[J_AT];
    const uint32_t first = (uint32_t)(blockIdx.x - d[J_FIRST]) * (256u * U) + threadIdx.x, n = (uint32_t)d[J_N], columns = (uint32_t)d[J_COLUMNS];
    const RtDivisor by = {(uint32_t)d[J_BY], (uint32_t)d[J_BY + 1]};
    T v[U];
    #pragma unroll
    for (int u = 0; u < U; u++) if (first + u * 256u < n) v[u] = src[first + u * 256u];
    #pragma unroll
    for (int u = 0; u < U; u++) if (first + u * 256u < n) {
        const uint32_t i = first + u * 256u, row = rt_quotient(i, by);
        dst[row * a.n[J_WIDTH] + (i - row * columns)] = v[u];
    }
}
