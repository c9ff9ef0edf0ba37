// types: T = numbers complex
/* The sum of products of two vectors. p: the result where there is one block, else the blocks' sums (T_C); x, y. n: elements, steps of x and of y,
 * whether x is conjugated, whether both are dense and begin where packs of 16 bytes may. dot_total: p: the result, the blocks' sums; n: blocks. */
#include "block.h"
#if T_KIND == 3
#define TERM(x, y) (a.n[3] ? T_F(conj)(x) * (y) : (x) * (y))
#else
#define TERM(x, y) (T_C)(T_GET(x) * T_GET(y))
#endif
#define ADD(x, y) (T_C)((x) + (y))
RT_KERNEL(RT_NAME(dot), RtCall) {
    enum { V = 16 / sizeof(T), U = 4 };
    const T *x = (const T *)a.p[1], *y = (const T *)a.p[2];
    const int64_t n = a.n[0], packs = a.n[4] ? n / V : 0, part = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, parts = (int64_t)gridDim.x * blockDim.x;
    const RtPack<T, V> *p = (const RtPack<T, V> *)x, *q = (const RtPack<T, V> *)y;
    T_C sum = (T_C)0;
    for (int64_t i = part; i < packs; i += U * parts) {
        RtPack<T, V> v[U], w[U];
        #pragma unroll
        for (int u = 0; u < U; u++) if (i + u * parts < packs) { v[u] = p[i + u * parts]; w[u] = q[i + u * parts]; }
        #pragma unroll
        for (int u = 0; u < U; u++) if (i + u * parts < packs)
            #pragma unroll
            for (int j = 0; j < V; j++) sum = ADD(sum, TERM(v[u].v[j], w[u].v[j]));
    }
    for (int64_t i = packs * V + part; i < n; i += parts) sum = ADD(sum, TERM(x[i * a.n[1]], y[i * a.n[2]]));
    sum = rt_block_reduce(sum, [](T_C u, T_C w) { return ADD(u, w); }, (T_C)0);
    if (threadIdx.x) return;
    if (gridDim.x == 1) *(T *)a.p[0] = T_PUT(sum);
    else ((T_C *)a.p[0])[blockIdx.x] = sum;
}
RT_KERNEL(RT_NAME(dot_total), RtCall) {
    T_C sum = (T_C)0;
    for (int64_t i = threadIdx.x; i < a.n[0]; i += blockDim.x) sum = ADD(sum, ((const T_C *)a.p[1])[i]);
    sum = rt_block_reduce(sum, [](T_C u, T_C w) { return ADD(u, w); }, (T_C)0);
    if (threadIdx.x == 0) *(T *)a.p[0] = T_PUT(sum);
}
#undef TERM
#undef ADD
