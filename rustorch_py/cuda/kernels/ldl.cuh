// types: T = f32 f64 c64 c128
/* Symmetric and Hermitian indefinite matrices: L D L^T with 1 x 1 and 2 x 2 blocks, lower triangle (J. R. Bunch, L. Kaufman, 1977),
 * with LAPACK's pivots: p + 1 for a block of one row, exchanged with row p; -(p + 1) twice for one of two, whose second was exchanged. */
#include "matrix.h"
using namespace rt_matrix;
typedef Real<T>::type R;

/* p: a (column-major n x n), pivots, info; n: n, hermitian. Grid: matrices. */
RT_KERNEL(RT_NAME(ldl_factor), RtCall) {
    const int64_t n = a.n[0];
    const bool h = a.n[1] != 0;
    T *x = (T *)a.p[0] + blockIdx.x * n * n;
    int32_t *pivots = (int32_t *)a.p[1] + blockIdx.x * n, *info = (int32_t *)a.p[2] + blockIdx.x;
    const int me = threadIdx.x;
    const R alpha = (R)0.6403882032022076;                                /* (1 + sqrt 17) / 8 */
    RT_SHARED(int64_t, chosen, 2);
    for (int64_t k = 0; k < n;) {
        if (me == 0) {                                                    /* which row, and blocks of how many */
            const R own = h ? size_of((T)real_of(x[k + k * n])) : size_of(x[k + k * n]);
            R most = 0;
            int64_t at = k, steps = 1, row = k;
            for (int64_t i = k + 1; i < n; i++) if (size_of(x[i + k * n]) > most) { most = size_of(x[i + k * n]); at = i; }
            if (!(own > 0) && !(most > 0)) {
                if (*info == 0) *info = (int32_t)(k + 1);
                steps = 0;
            } else if (own < alpha * most) {
                R side = 0;
                for (int64_t j = k; j < at; j++) if (size_of(x[at + j * n]) > side) side = size_of(x[at + j * n]);
                for (int64_t j = at + 1; j < n; j++) if (size_of(x[j + at * n]) > side) side = size_of(x[j + at * n]);
                if (own < alpha * most * (most / side)) {
                    row = at;
                    if (size_of(h ? (T)real_of(x[at + at * n]) : x[at + at * n]) < alpha * side) steps = 2;
                }
            }
            chosen[0] = row;
            chosen[1] = steps;
            const int64_t last = steps == 2 ? k + 1 : k;
            if (row != last) {                                            /* exchange rows and columns of what is left */
                for (int64_t i = row + 1; i < n; i++) { const T t = x[i + last * n]; x[i + last * n] = x[i + row * n]; x[i + row * n] = t; }
                for (int64_t j = last + 1; j < row; j++) {
                    const T t = x[j + last * n], u = x[row + j * n];
                    x[j + last * n] = h ? conj_of(u) : u;
                    x[row + j * n] = h ? conj_of(t) : t;
                }
                if (h) x[row + last * n] = conj_of(x[row + last * n]);
                const T t = x[last + last * n];
                x[last + last * n] = x[row + row * n];
                x[row + row * n] = t;
                if (steps == 2) { const T u = x[k + 1 + k * n]; x[k + 1 + k * n] = x[row + k * n]; x[row + k * n] = u; }
            }
            if (h) {
                x[k + k * n] = (T)real_of(x[k + k * n]);
                if (steps == 2) x[k + 1 + (k + 1) * n] = (T)real_of(x[k + 1 + (k + 1) * n]);
            }
            pivots[k] = (int32_t)(steps == 2 ? -(row + 1) : row + 1);
            if (steps == 2) pivots[k + 1] = pivots[k];
        }
        RT_SYNC();
        const int64_t steps = chosen[1];
        RT_SYNC();
        if (steps == 0) { k++; continue; }
        const int64_t first = k + steps, rest = n - first;
        if (steps == 1) {
            const T r = (T)1 / x[k + k * n];
            for (int64_t t = me; t < rest * rest; t += 256) {
                const int64_t i = first + t % rest, j = first + t / rest;
                if (i < j) continue;
                const T other = x[j + k * n], v = x[i + j * n] - x[i + k * n] * r * (h ? conj_of(other) : other);
                x[i + j * n] = h && i == j ? (T)real_of(v) : v;
            }
            RT_SYNC();
            for (int64_t i = first + me; i < n; i += 256) x[i + k * n] = x[i + k * n] * r;
        } else {
            const T b = x[k + 1 + k * n], p = x[k + k * n], q = x[k + 1 + (k + 1) * n], det = p * q - b * (h ? conj_of(b) : b);
            /* row j of L: (u, v) with (u, v) [[p, b'], [b, q]] = (x_jk, x_jk+1), b' = b or its conjugate */
            const T bb = h ? conj_of(b) : b;
            for (int64_t t = me; t < rest * rest; t += 256) {
                const int64_t i = first + t % rest, j = first + t / rest;
                if (i < j) continue;
                const T y = x[j + k * n], z = x[j + (k + 1) * n];
                T u = (q * y - b * z) / det, v = (p * z - bb * y) / det;
                if (h) { u = conj_of(u); v = conj_of(v); }
                const T w = x[i + j * n] - x[i + k * n] * u - x[i + (k + 1) * n] * v;
                x[i + j * n] = h && i == j ? (T)real_of(w) : w;
            }
            RT_SYNC();
            for (int64_t j = first + me; j < n; j += 256) {
                const T y = x[j + k * n], z = x[j + (k + 1) * n];
                x[j + k * n] = (q * y - b * z) / det;
                x[j + (k + 1) * n] = (p * z - bb * y) / det;
            }
        }
        RT_SYNC();
        k += steps;
    }
}

/* Solves A X = B by a thread a column. p: b, factor, pivots; n: columns of all matrices, n, columns of one, hermitian */
RT_KERNEL(RT_NAME(ldl_solve), RtCall) {
    const int64_t n = a.n[1];
    const bool h = a.n[3] != 0;
    RT_EACH(t, a.n[0]) {
        T *b = (T *)a.p[0] + t * n;
        const T *x = (const T *)a.p[1] + t / a.n[2] * n * n;
        const int32_t *pivots = (const int32_t *)a.p[2] + t / a.n[2] * n;
        for (int64_t k = 0; k < n;) {
            const int64_t steps = pivots[k] > 0 ? 1 : 2, row = (pivots[k] > 0 ? pivots[k] : -pivots[k]) - 1, last = k + steps - 1;
            if (row != last) { const T s = b[last]; b[last] = b[row]; b[row] = s; }
            const T u = b[k], v = b[last];
            for (int64_t i = k + steps; i < n; i++) b[i] = steps == 1 ? b[i] - x[i + k * n] * u : b[i] - x[i + k * n] * u - x[i + (k + 1) * n] * v;
            if (steps == 1) b[k] = u / x[k + k * n];
            else {
                const T d = x[k + 1 + k * n], p = x[k + k * n], q = x[k + 1 + (k + 1) * n], dd = h ? conj_of(d) : d, det = p * q - d * dd;
                b[k] = (q * u - dd * v) / det;
                b[k + 1] = (p * v - d * u) / det;
            }
            k += steps;
        }
        for (int64_t k = n - 1; k >= 0;) {
            const int64_t steps = pivots[k] > 0 ? 1 : 2, row = (pivots[k] > 0 ? pivots[k] : -pivots[k]) - 1;
            for (int64_t c = k; c > k - steps; c--) {
                T sum = b[c];
                for (int64_t i = k + 1; i < n; i++) sum = sum - (h ? conj_of(x[i + c * n]) : x[i + c * n]) * b[i];
                b[c] = sum;
            }
            if (row != k) { const T s = b[k]; b[k] = b[row]; b[row] = s; }
            k -= steps;
        }
    }
}
