// types: T = f32 f64 c64 c128
/* Eigenvalues and singular values, a block of threads to a matrix; column-major matrices without gaps, as in linalg.cuh. */
#include "matrix.h"
using namespace rt_matrix;
typedef Real<T>::type R;

namespace {
/* The pair of columns (p, q), p < q, that `slot` has in step r of a sweep over all pairs of n columns: a round-robin of n (or, n odd,
 * n + 1) players; false: its partner is the one that is not there. */
RT_INLINE bool pair_of(int64_t n, int64_t r, int64_t slot, int64_t *p, int64_t *q) {
    const int64_t players = n + (n & 1), turn = players - 1;
    const int64_t x = slot == 0 ? turn : (r + slot) % turn, y = (r + turn - slot) % turn;
    *p = x < y ? x : y;
    *q = x < y ? y : x;
    return *q < n;
}
/* The rotation that makes [[a, b], [conj b, d]] diagonal: columns (p, q) become (c p - s conj(e) q, s e p + c q), e = b / |b|. */
RT_INLINE void rotation(R a, R d, R size, R *c, R *s) {
    const R tau = (d - a) / (2 * size), t = (tau >= 0 ? (R)1 : (R)-1) / ((tau >= 0 ? tau : -tau) + root(1 + tau * tau));
    *c = 1 / root(1 + t * t);
    *s = t * *c;
}
}

/* Eigenvalues and vectors of Hermitian matrices by cyclic Jacobi rotations (G. H. Golub, C. F. Van Loan, "Matrix Computations", 8.5),
 * a sweep's disjoint pairs side by side. The diagonal of A ends as the eigenvalues, V (which begins as the identity) as the vectors.
 * p: A, V or NULL, cosines (n/2 + 1 a matrix), sines, info; n: n, work's step; k: the share of the norm that counts as zero. Grid: matrices. */
RT_KERNEL(RT_NAME(heevd), RtCall) {
    const int64_t n = a.n[0], half = (n + 1) / 2, turns = n + (n & 1) - 1;
    T *x = (T *)a.p[0] + blockIdx.x * n * n, *v = a.p[1] ? (T *)a.p[1] + blockIdx.x * n * n : NULL;
    R *cs = (R *)a.p[2] + blockIdx.x * a.n[1];
    T *sn = (T *)a.p[3] + blockIdx.x * a.n[1];
    const int me = threadIdx.x;
    for (int sweep = 0; sweep < 60; sweep++) {
        R off = 0, all = 0;
        for (int64_t t = me; t < n * n; t += 256) {
            all += square_of(x[t]);
            if (t % n != t / n) off += square_of(x[t]);
        }
        off = block_sum(off);
        all = block_sum(all);
        if (!(off > (R)a.k[0] * (R)a.k[0] * all)) {
            if (me == 0 && off != off) ((int32_t *)a.p[4])[blockIdx.x] = (int32_t)n;
            break;
        }
        if (sweep == 59 && me == 0) ((int32_t *)a.p[4])[blockIdx.x] = (int32_t)n;
        for (int64_t r = 0; r < turns; r++) {
            for (int64_t slot = me; slot < half; slot += 256) {
                int64_t p, q;
                R c = 1, s = 0;
                T e = (T)0;
                if (pair_of(n, r, slot, &p, &q)) {
                    const T b = x[p + q * n];
                    const R size = modulus(b);
                    if (size > 0) {
                        rotation(real_of(x[p + p * n]), real_of(x[q + q * n]), size, &c, &s);
                        e = times(b, s / size);
                    }
                }
                cs[slot] = c;
                sn[slot] = e;
            }
            RT_SYNC();
            for (int64_t t = me; t < half * n; t += 256) {                /* A J and V J */
                const int64_t slot = t / n, i = t % n;
                int64_t p, q;
                if (!pair_of(n, r, slot, &p, &q)) continue;
                const R c = cs[slot];
                const T e = sn[slot], f = conj_of(e);
                T u = x[i + p * n], w = x[i + q * n];
                x[i + p * n] = times(u, c) - f * w;
                x[i + q * n] = e * u + times(w, c);
                if (v) {
                    u = v[i + p * n];
                    w = v[i + q * n];
                    v[i + p * n] = times(u, c) - f * w;
                    v[i + q * n] = e * u + times(w, c);
                }
            }
            RT_SYNC();
            for (int64_t t = me; t < half * n; t += 256) {                /* J^H (A J) */
                const int64_t slot = t % half, j = t / half;
                int64_t p, q;
                if (!pair_of(n, r, slot, &p, &q)) continue;
                const R c = cs[slot];
                const T e = sn[slot], f = conj_of(e), u = x[p + j * n], w = x[q + j * n];
                T up = times(u, c) - e * w, down = f * u + times(w, c);
                if (j == q) up = (T)0;                                    /* what the rotation is for */
                if (j == p) down = (T)0;
                x[p + j * n] = up;
                x[q + j * n] = down;
            }
            RT_SYNC();
        }
    }
}

/* Makes the columns of G (m x n) orthogonal by rotations from the right, which V (n x n, the identity at first) collects: one-sided
 * Jacobi (J. Demmel, K. Veselic, "Jacobi's Method is More Accurate than QR", 1992). p: G, V or NULL, info; n: m, n; k: eps. Grid: matrices. */
RT_KERNEL(RT_NAME(gesvj), RtCall) {
    const int64_t m = a.n[0], n = a.n[1], half = (n + 1) / 2, turns = n + (n & 1) - 1;
    T *x = (T *)a.p[0] + blockIdx.x * m * n, *v = a.p[1] ? (T *)a.p[1] + blockIdx.x * n * n : NULL;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    RT_SHARED(int, moved, 1);
    for (int sweep = 0; sweep < 60; sweep++) {
        RT_SYNC();
        if (threadIdx.x == 0) *moved = 0;
        RT_SYNC();
        for (int64_t r = 0; r < turns; r++) {
            for (int64_t slot = warp; slot < half; slot += 8) {
                int64_t p, q;
                if (!pair_of(n, r, slot, &p, &q)) continue;
                T *u = x + p * m, *w = x + q * m, dot = (T)0;
                R uu = 0, ww = 0;
                for (int64_t i = lane; i < m; i += 32) { uu += square_of(u[i]); ww += square_of(w[i]); dot = dot + conj_of(u[i]) * w[i]; }
                uu = warp_sum(uu);
                ww = warp_sum(ww);
                dot = warp_sum(dot);
                const R size = modulus(dot);
                if (!(size > (R)a.k[0] * root(uu) * root(ww))) continue;
                if (lane == 0) *moved = 1;
                R c, s;
                rotation(uu, ww, size, &c, &s);
                const T e = times(dot, s / size), f = conj_of(e);
                for (int64_t i = lane; i < m; i += 32) {
                    const T y = u[i], z = w[i];
                    u[i] = times(y, c) - f * z;
                    w[i] = e * y + times(z, c);
                }
                if (v) for (int64_t i = lane; i < n; i += 32) {
                    const T y = v[i + p * n], z = v[i + q * n];
                    v[i + p * n] = times(y, c) - f * z;
                    v[i + q * n] = e * y + times(z, c);
                }
            }
            RT_SYNC();
        }
        if (!*moved) break;
        if (sweep == 59 && threadIdx.x == 0) ((int32_t *)a.p[2])[blockIdx.x] = (int32_t)n;
    }
}

/* Lengths of columns, or the diagonal, as real numbers. p: A, out; n: outputs, m, columns, diagonal (1) or lengths (0) */
RT_KERNEL(RT_NAME(values), RtCall) {
    RT_EACH(t, a.n[0]) {
        const T *c = (const T *)a.p[0] + t * a.n[1];
        R sum = 0, top = 0;
        if (a.n[3]) ((R *)a.p[1])[t] = real_of(c[t % a.n[2]]);
        else {
            for (int64_t i = 0; i < a.n[1]; i++) { const R s = size_of(c[i]); if (s > top || s != s) top = s; }
            if (top > 0) for (int64_t i = 0; i < a.n[1]; i++) sum += square_of(times(c[i], 1 / top));
            ((R *)a.p[1])[t] = top > 0 || top != top ? top * root(sum) : 0;
        }
    }
}

/* Columns of A (m x n) into the order of their keys, one warp a column; equal keys keep their order.
 * p: A or NULL, keys, A's result or NULL, keys' result; n: m, n, descending. Grid: (n / 8, matrices). */
RT_KERNEL(RT_NAME(ordered), RtCall) {
    const int64_t m = a.n[0], n = a.n[1], j = (int64_t)blockIdx.x * 8 + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (j < n) {
        const R *keys = (const R *)a.p[1] + blockIdx.y * n, key = keys[j];
        int64_t place = 0;
        for (int64_t i = 0; i < n; i++) place += keys[i] == key ? i < j : a.n[2] ? keys[i] > key : keys[i] < key;
        if (lane == 0) ((R *)a.p[3])[blockIdx.y * n + place] = key;
        if (a.p[0]) {
            const T *from = (const T *)a.p[0] + (blockIdx.y * n + j) * m;
            T *to = (T *)a.p[2] + (blockIdx.y * n + place) * m;
            for (int64_t i = lane; i < m; i += 32) to[i] = from[i];
        }
    }
}
