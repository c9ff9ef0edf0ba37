/* c = alpha a @ b + beta c by tiles of 64 x 64 in threadgroup memory, a threadgroup of 256 threads a tile, 4 x 4 results a thread. metal/_text.py names
 * T (computed in), E (in memory), GET and PUT between them, FUSED, ALPHA and BETA. With MATRICES (float32 on devices that have them, Apple's from the
 * seventh family on) each of the eight simdgroups multiplies matrices of 8 x 8: eight rows of the tile by all its columns. */
kernel void RT_NAME(device E *c [[buffer(0)]], device const E *left [[buffer(1)]], device const E *right [[buffer(2)]], constant RtMetalProduct &a [[buffer(3)]],
                    uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(T, at, 16 * 65);
    RT_SHARED(T, bt, 16 * 65);
    const int64_t m0 = (int64_t)group.x * 64, n0 = (int64_t)group.y * 64;
    device const E *pa = left + group.z * a.a_z;
    device const E *pb = right + group.z * a.b_z;
    const uint tm = me / 16, tn = me % 16;
#if MATRICES
    RT_SHARED(float, ct, 64 * 64);
    const uint rows = me / 32 * 8;
    simdgroup_float8x8 part[8];
    for (int j = 0; j < 8; j++) part[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
#else
    T sum[4][4];
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sum[i][j] = (T)0;
#endif
    for (int64_t k0 = 0; k0 < a.k; k0 += 16) {
        for (uint t = me; t < 16 * 64; t += 256) {    /* neighbours in memory are read by neighbours */
            const uint am = a.a_k == 1 ? t / 16 : t % 64, ak = a.a_k == 1 ? t % 16 : t / 64;
            const uint bn = a.b_k == 1 ? t / 16 : t % 64, bk = a.b_k == 1 ? t % 16 : t / 64;
            at[ak * 65 + am] = m0 + am < a.m && k0 + ak < a.k ? GET(pa[(m0 + am) * a.a_m + (k0 + ak) * a.a_k]) : (T)0;
            bt[bk * 65 + bn] = n0 + bn < a.n && k0 + bk < a.k ? GET(pb[(k0 + bk) * a.b_k + (n0 + bn) * a.b_n]) : (T)0;
        }
        RT_SYNC();
#if MATRICES
        for (uint k = 0; k < 16; k += 8) {
            simdgroup_float8x8 x, y;
            simdgroup_load(x, at + k * 65 + rows, 65, ulong2(0), true);
            for (uint j = 0; j < 8; j++) {
                simdgroup_load(y, bt + k * 65 + 8 * j, 65);
                simdgroup_multiply_accumulate(part[j], x, y, part[j]);
            }
        }
#else
        for (uint k = 0; k < 16; k++) {
            T x[4], y[4];
            for (uint i = 0; i < 4; i++) { x[i] = at[k * 65 + tm + 16 * i]; y[i] = bt[k * 65 + tn + 16 * i]; }
            for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sum[i][j] = FUSED(x[i], y[j], sum[i][j]);
        }
#endif
        RT_SYNC();
    }
#if MATRICES
    for (uint j = 0; j < 8; j++) simdgroup_store(part[j], ct + rows * 64 + 8 * j, 64);
    RT_SYNC();
#endif
    device E *pc = c + group.z * a.c_z;
    const T alpha = ALPHA, beta = BETA;
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {
        const int64_t m = m0 + tm + 16 * i, n = n0 + tn + 16 * j;
        if (m >= a.m || n >= a.n) continue;
        device E *to = pc + m * a.c_m + n * a.c_n;
#if MATRICES
        T v = alpha * ct[(tm + 16 * i) * 64 + tn + 16 * j];
#else
        T v = (T)(alpha * sum[i][j]);
#endif
        if (beta != (T)0) v = (T)(v + beta * GET(*to));          /* what is there may be NaN, and counts only then */
        *to = PUT(v);
    }
}
