/* Typed pieces that the matrix kernels share: loads, stores, the L x L transposition. Defined before
 * inclusion: T (element), V (vector of one register), L (its lanes), F(name), F(mask) (integer vector of L lanes). */

RT_INLINE V F(load)(const T *p) { V v; memcpy(&v, p, sizeof v); return v; }
RT_INLINE void F(store)(T *p, V v) { memcpy(p, &v, sizeof v); }

/* L x L transposition: log2(L) perfect shuffles of the rows. */
RT_INLINE void F(turn)(const T *x, int64_t ld, T *out, int64_t ldo) {
#if defined(__clang__)
    for (int i = 0; i < L; i++) for (int j = 0; j < L; j++) out[j * ldo + i] = x[i * ld + j];
#else
    V r[L], q[L];
    F(mask) lo, hi;
    for (int i = 0; i < L / 2; i++) {
        lo[2 * i] = i; lo[2 * i + 1] = L + i;
        hi[2 * i] = L / 2 + i; hi[2 * i + 1] = L + L / 2 + i;
    }
    for (int i = 0; i < L; i++) r[i] = F(load)(x + i * ld);
    for (int w = 1; w < L; w *= 2) {
        for (int i = 0; i < L / 2; i++) {
            q[2 * i] = __builtin_shuffle(r[i], r[i + L / 2], lo);
            q[2 * i + 1] = __builtin_shuffle(r[i], r[i + L / 2], hi);
        }
        for (int i = 0; i < L; i++) r[i] = q[i];
    }
    for (int i = 0; i < L; i++) F(store)(out + i * ldo, r[i]);
#endif
}
