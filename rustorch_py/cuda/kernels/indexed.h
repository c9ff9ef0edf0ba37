/* Where an element goes whose place the values of index tensors decide. p[2...]: the indices (int64). n: elements, dimensions, how many
 * indices, whether negative ones count from the end; of each index the size and step of the dimension it stands for; then the dimensions
 * of all, outermost first: size, steps of p[0], p[1] (0 along what is indexed) and the indices. */
#ifndef RUSTORCH_CUDA_INDEXED_H
#define RUSTORCH_CUDA_INDEXED_H
#include "block.h"
/* offsets of element i in p[0] and p[1], of which the first (put) or the second (get) is indexed; false: a bad index, reported */
RT_INLINE bool rt_indexed(const RtCall &a, int64_t i, bool get, int64_t *to, int64_t *from) {
    const int64_t count = a.n[2], *d = a.n + 4;
    int64_t at[3], far = 0;
    bool good = true;
    rt_offsets<3>(i, a.n[1], d + 2 * count, at);
    #pragma unroll 1
    for (int64_t k = 0; k < count; k++) {
        const int64_t given = ((const int64_t *)a.p[2 + k])[at[2]], size = d[2 * k], j = given < 0 && a.n[3] ? given + size : given;
        if (j < 0 || j >= size) {
            rt_bad_index(a, given, size);
            good = false;
        }
        far += j * d[2 * k + 1];
    }
    *to = at[0] + (get ? 0 : far);
    *from = at[1] + (get ? far : 0);
    return good;
}
#endif
