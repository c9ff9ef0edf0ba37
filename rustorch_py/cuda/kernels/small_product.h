/* c = act(alpha a @ b + beta added) of small matrices: a thread an element of c, a block 16 x 16 of them; 64 of what is summed lie in
 * shared memory at once. The whole product is one launch of few blocks, which is over before a library has chosen its kernel.
 * Op: T (computed in), E (in memory), get(E), put(T), fma(x, y, sum). */
#ifndef RUSTORCH_CUDA_SMALL_PRODUCT_H
#define RUSTORCH_CUDA_SMALL_PRODUCT_H
enum { RT_SMALL_TILE = 16, RT_SMALL_DEPTH = 64 };

template <class Op> RT_INLINE void rt_small_product(const RtProduct &a, const Op &op) {
    typedef typename Op::T T;
    typedef typename Op::E E;
    enum { S = RT_SMALL_TILE, D = RT_SMALL_DEPTH, U = S * D / RT_CUDA_THREADS };
    RT_SHARED(T, at, S * (D + 1)); RT_SHARED(T, bt, D * (S + 1));
    const int me = threadIdx.x, tm = me / S, tn = me % S;
    const int64_t m0 = (int64_t)blockIdx.x * S, n0 = (int64_t)blockIdx.y * S;
    const E *pa = (const E *)a.a + blockIdx.z * a.a_z, *pb = (const E *)a.b + blockIdx.z * a.b_z;
    T sum = (T)0;
    for (int64_t k0 = 0; k0 < a.k; k0 += D) {
        const int depth = a.k - k0 < D ? (int)(a.k - k0) : D, padded = (depth + 7) / 8 * 8;
        T x[U], y[U];
        #pragma unroll
        for (int u = 0; u < U; u++) {                     /* neighbours in memory are read by neighbours */
            const int t = me + u * RT_CUDA_THREADS;
            const int am = a.a_k == 1 ? t / D : t % S, ak = a.a_k == 1 ? t % D : t / S, bn = a.b_k == 1 ? t / D : t % S, bk = a.b_k == 1 ? t % D : t / S;
            x[u] = m0 + am < a.m && ak < depth ? op.get(pa[(m0 + am) * a.a_m + (k0 + ak) * a.a_k]) : (T)0;
            y[u] = n0 + bn < a.n && bk < depth ? op.get(pb[(k0 + bk) * a.b_k + (n0 + bn) * a.b_n]) : (T)0;
        }
        #pragma unroll
        for (int u = 0; u < U; u++) {
            const int t = me + u * RT_CUDA_THREADS;
            const int am = a.a_k == 1 ? t / D : t % S, ak = a.a_k == 1 ? t % D : t / S, bn = a.b_k == 1 ? t / D : t % S, bk = a.b_k == 1 ? t % D : t / S;
            at[am * (D + 1) + ak] = x[u];
            bt[bk * (S + 1) + bn] = y[u];
        }
        RT_SYNC();
        #pragma unroll 1
        for (int k = 0; k < padded; k += 8)
            #pragma unroll
            for (int j = 0; j < 8; j++) sum = op.fma(at[tm * (D + 1) + k + j], bt[(k + j) * (S + 1) + tn], sum);
        RT_SYNC();
    }
    const int64_t m = m0 + tm, n = n0 + tn;
    if (m >= a.m || n >= a.n) return;
    T v = (T)a.alpha[0] * sum;
    if (a.beta[0] != 0) v = v + (T)a.beta[0] * op.get(((const E *)a.added)[blockIdx.z * a.added_z + m * a.added_m + n * a.added_n]);
    if (a.act && v < 0) v = (T)0;
    ((E *)a.c)[blockIdx.z * a.c_z + m * a.c_m + n * a.c_n] = op.put(v);
}
#endif
