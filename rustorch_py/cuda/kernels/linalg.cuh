// types: T = f32 f64 c64 c128
/* Factorizations by blocks of a matrix. Matrices are column-major without gaps, one after the other in a batch (RtMatrix: rows m, the
 * z-th begins z * step elements on); a block of threads works on one matrix, or on one and some of its columns.
 * Steps and signs are LAPACK's. */
#include "matrix.h"
using namespace rt_matrix;
typedef Real<T>::type R;

/* LU with row exchanges of columns [k0, k1) below row k0; the exchanges are made in these columns only.
 * p: a, pivots (int32, step piv), info (int32); n: m, step, k0, k1, piv. Grid: matrices. */
RT_KERNEL(RT_NAME(getrf), RtCall) {
    const int64_t m = a.n[0], k0 = a.n[2], k1 = a.n[3];
    T *x = (T *)a.p[0] + blockIdx.x * a.n[1];
    int32_t *pivots = (int32_t *)a.p[1] + blockIdx.x * a.n[4], *info = (int32_t *)a.p[2] + blockIdx.x;
    const int me = threadIdx.x;
    RT_SHARED(R, best, 256);
    RT_SHARED(int64_t, where, 256);
    for (int64_t k = k0; k < k1 && k < m; k++) {
        R top = -1;
        int64_t at = k;
        for (int64_t i = k + me; i < m; i += 256)
            if (size_of(x[i + k * m]) > top) { top = size_of(x[i + k * m]); at = i; }
        best[me] = top;
        where[me] = at;
        for (int w = 128; w; w /= 2) {
            RT_SYNC();
            if (me < w && (best[me + w] > best[me] || (best[me + w] == best[me] && where[me + w] < where[me]))) { best[me] = best[me + w]; where[me] = where[me + w]; }
        }
        RT_SYNC();
        const int64_t row = where[0];
        const bool zero = best[0] == 0;
        if (me == 0) {
            pivots[k] = (int32_t)(row + 1);
            if (zero && *info == 0) *info = (int32_t)(k + 1);
        }
        if (row != k)
            for (int64_t j = k0 + me; j < k1; j += 256) { const T t = x[k + j * m]; x[k + j * m] = x[row + j * m]; x[row + j * m] = t; }
        RT_SYNC();
        const T pivot = x[k + k * m];
        if (!zero) for (int64_t i = k + 1 + me; i < m; i += 256) x[i + k * m] = x[i + k * m] / pivot;
        RT_SYNC();
        const int64_t rows = m - k - 1, all = rows * (k1 - k - 1);
        for (int64_t t = me; t < all; t += 256) {
            const int64_t i = k + 1 + t % rows, j = k + 1 + t / rows;
            x[i + j * m] = x[i + j * m] - x[i + k * m] * x[k + j * m];
        }
        RT_SYNC();
    }
}

/* Exchanges rows k and pivots[k] - 1 for k in [k0, k1), or backwards, in columns [c0, c1).
 * p: a, pivots; n: threads wanted (matrices * columns), m, step, k0, k1, piv, c0, c1, backwards */
RT_KERNEL(RT_NAME(laswp), RtCall) {
    const int64_t m = a.n[1], k0 = a.n[3], k1 = a.n[4], columns = a.n[7] - a.n[6];
    RT_EACH(i, a.n[0]) {
        T *x = (T *)a.p[0] + i / columns * a.n[2] + (a.n[6] + i % columns) * m;
        const int32_t *pivots = (const int32_t *)a.p[1] + i / columns * a.n[5];
        for (int64_t s = k0; s < k1; s++) {
            const int64_t k = a.n[8] ? k0 + k1 - 1 - s : s, row = pivots[k] - 1;
            const T t = x[k];
            x[k] = x[row];
            x[row] = t;
        }
    }
}

/* P of A = P L U from pivots, into zeros. p: out (matrices of m x m), pivots; n: matrices, m, pivots a matrix */
RT_KERNEL(RT_NAME(permutation), RtCall) {
    const int64_t m = a.n[1], k = a.n[2];
    RT_EACH(z, a.n[0] * m) {                              /* where does row z % m of L U go: undo the exchanges from the last to the first */
        const int32_t *pivots = (const int32_t *)a.p[1] + z / m * k;
        int64_t row = z % m;
        for (int64_t i = k - 1; i >= 0; i--) {
            const int64_t other = pivots[i] - 1;
            if (row == i) row = other;
            else if (row == other) row = i;
        }
        ((T *)a.p[0])[z / m * m * m + row * m + z % m] = (T)1;
    }
}

/* Solves op(A) X = B for a triangle of up to 32 rows; a thread has one column of X.
 * p: a, b; n: rows, columns, A's step, row and column step, B's step, row and column step, upper, unit, conjugate.
 * Grid: (columns / 256, matrices). */
RT_KERNEL(RT_NAME(trsm), RtCall) {
    const int n = (int)a.n[0], me = threadIdx.x;
    const T *x = (const T *)a.p[0] + blockIdx.y * a.n[2];
    RT_SHARED(T, tri, 32 * 32);
    for (int t = me; t < n * n; t += 256) {
        const T v = x[t % n * a.n[3] + t / n * a.n[4]];
        tri[t % n * 32 + t / n] = a.n[10] ? conj_of(v) : v;
    }
    RT_SYNC();
    const int64_t column = (int64_t)blockIdx.x * 256 + me;
    if (column < a.n[1]) {
        T *b = (T *)a.p[1] + blockIdx.y * a.n[5] + column * a.n[7];
        T y[32];
        for (int s = 0; s < n; s++) {
            const int i = a.n[8] ? n - 1 - s : s;
            T v = b[i * a.n[6]];
            for (int r = 0; r < s; r++) v = v - tri[i * 32 + (a.n[8] ? n - 1 - r : r)] * y[r];
            if (!a.n[9]) v = v / tri[i * 32 + i];
            y[s] = v;
            b[i * a.n[6]] = v;
        }
    }
}

/* Cholesky of a diagonal block of up to 32 rows that begins at (k, k), its lower triangle in place; not done where info is set.
 * p: a, info; n: m, step, k, rows. Grid: matrices. */
RT_KERNEL(RT_NAME(potrf), RtCall) {
    const int64_t m = a.n[0], k = a.n[2];
    const int n = (int)a.n[3], me = threadIdx.x;
    T *x = (T *)a.p[0] + blockIdx.x * a.n[1] + k + k * m;
    int32_t *info = (int32_t *)a.p[1] + blockIdx.x;
    RT_SHARED(int, bad, 1);
    if (me == 0) *bad = *info;
    RT_SYNC();
    for (int j = 0; j < n; j++) {
        if (*bad) break;
        const R d = real_of(x[j + j * m]);
        RT_SYNC();
        if (me == 0) {
            if (!(d > 0)) *bad = *info = (int32_t)(k + j + 1);
            else x[j + j * m] = (T)root(d);
        }
        RT_SYNC();
        if (*bad) break;
        const R r = (R)1 / root(d);
        for (int i = j + 1 + me; i < n; i += 256) x[i + j * m] = times(x[i + j * m], r);
        RT_SYNC();
        const int rest = n - j - 1;
        for (int t = me; t < rest * rest; t += 256) {
            const int i = j + 1 + t % rest, c = j + 1 + t / rest;
            if (i >= c) x[i + c * m] = x[i + c * m] - x[i + j * m] * conj_of(x[c + j * m]);
        }
        RT_SYNC();
    }
}

/* Zeroes one triangle without the diagonal. p: a; n: elements, m, columns, below */
RT_KERNEL(RT_NAME(clear), RtCall) {
    RT_EACH(t, a.n[0]) {
        const int64_t i = t % a.n[1], j = t / a.n[1] % a.n[2];
        if (a.n[3] ? i > j : i < j) ((T *)a.p[0])[t] = (T)0;
    }
}

/* Householder reflectors of columns [k0, k1), applied to columns up to k1: v below the diagonal (v_k = 1), R on and above it.
 * p: a, tau (step taus); n: m, step, k0, k1, taus. Grid: matrices. */
RT_KERNEL(RT_NAME(geqrf), RtCall) {
    const int64_t m = a.n[0], k0 = a.n[2], k1 = a.n[3];
    T *x = (T *)a.p[0] + blockIdx.x * a.n[1], *taus = (T *)a.p[1] + blockIdx.x * a.n[4];
    const int me = threadIdx.x, lane = me % 32, warp = me / 32;
    for (int64_t k = k0; k < k1 && k < m; k++) {
        T *v = x + k * m;
        R rest = 0;
        for (int64_t i = k + 1 + me; i < m; i += 256) rest += square_of(v[i]);
        rest = block_sum(rest);
        const T alpha = v[k];
        const R imag = square_of(alpha) - real_of(alpha) * real_of(alpha);
        T tau = (T)0;
        RT_SYNC();
        if (rest > 0 || imag > 0) {
            const R length = root(rest + square_of(alpha)), beta = real_of(alpha) >= 0 ? -length : length;
            tau = times((T)beta - alpha, (R)1 / beta);
            const T scale = (T)1 / (alpha - (T)beta);
            for (int64_t i = k + 1 + me; i < m; i += 256) v[i] = v[i] * scale;
            if (me == 0) v[k] = (T)beta;
        }
        if (me == 0) taus[k] = tau;
        RT_SYNC();
        for (int64_t j = k + 1 + warp; j < k1; j += 8) {                 /* H^H = 1 - conj(tau) v v^H */
            T *c = x + j * m, dot = (T)0;
            for (int64_t i = k + lane; i < m; i += 32) dot = dot + (i == k ? c[i] : conj_of(v[i]) * c[i]);
            dot = conj_of(tau) * warp_sum(dot);
            for (int64_t i = k + lane; i < m; i += 32) c[i] = c[i] - (i == k ? dot : v[i] * dot);
        }
        RT_SYNC();
    }
}

/* Applies reflectors [k0, k1) to columns [c0, c1) of C, a warp a column: H_k0 H_k0+1 ... C, or with `adjoint` its adjoint.
 * p: a, tau, c; n: m, A's step, k0, k1, taus, C's step, c0, c1, adjoint. Grid: (columns / 8, matrices). */
RT_KERNEL(RT_NAME(ormqr), RtCall) {
    const int64_t m = a.n[0], k0 = a.n[2], k1 = a.n[3], j = a.n[6] + (int64_t)blockIdx.x * 8 + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (j < a.n[7]) {
        const T *x = (const T *)a.p[0] + blockIdx.y * a.n[1], *taus = (const T *)a.p[1] + blockIdx.y * a.n[4];
        T *c = (T *)a.p[2] + blockIdx.y * a.n[5] + j * m;
        for (int64_t s = k0; s < k1; s++) {
            const int64_t k = a.n[8] ? s : k0 + k1 - 1 - s;
            const T *v = x + k * m, tau = a.n[8] ? conj_of(taus[k]) : taus[k];
            T dot = (T)0;
            for (int64_t i = k + lane; i < m; i += 32) dot = dot + (i == k ? c[i] : conj_of(v[i]) * c[i]);
            dot = tau * warp_sum(dot);
            for (int64_t i = k + lane; i < m; i += 32) c[i] = c[i] - (i == k ? dot : v[i] * dot);
            RT_SYNC_WARP();
        }
    }
}
