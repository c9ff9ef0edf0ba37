// types: T = c64 c128
/* Eigenvalues and vectors of general matrices (complex; real ones are converted), a block of threads to a matrix. */
#include "matrix.h"
using namespace rt_matrix;
typedef Real<T>::type R;

/* The Schur form by Householder reductions to Hessenberg form and shifted QR steps with Givens rotations (G. H. Golub, C. F. Van Loan,
 * "Matrix Computations", 7.4 and 7.5; J. H. Wilkinson's shift). H: in place; Z (the identity at first): collects the transformations.
 * p: H, Z, info; n: n. Grid: matrices. */
RT_KERNEL(RT_NAME(schur), RtCall) {
    const int64_t n = a.n[0];
    T *h = (T *)a.p[0] + blockIdx.x * n * n, *z = (T *)a.p[1] + blockIdx.x * n * n;
    const int me = threadIdx.x, lane = me % 32, warp = me / 32;
    const R eps = sizeof(R) == 4 ? (R)1.1920929e-7 : (R)2.220446049250313e-16;
    RT_SHARED(T, work, 8);
    RT_SHARED(int64_t, active, 2);
    for (int64_t k = 0; k + 2 < n; k++) {                                 /* column k, below row k + 1 */
        T *v = h + k * n;
        R rest = 0;
        for (int64_t i = k + 2 + me; i < n; i += 256) rest += square_of(v[i]);
        rest = block_sum(rest);
        const T alpha = v[k + 1];
        RT_SYNC();
        if (!(rest > 0)) continue;
        const R length = root(rest + square_of(alpha)), beta = real_of(alpha) >= 0 ? -length : length;
        const T tau = times((T)beta - alpha, (R)1 / beta), scale = (T)1 / (alpha - (T)beta);
        for (int64_t i = k + 2 + me; i < n; i += 256) v[i] = v[i] * scale;
        RT_SYNC();
        for (int64_t j = k + 1 + warp; j < n; j += 8) {                   /* from the left: 1 - conj(tau) v v^H */
            T *c = h + j * n, dot = (T)0;
            for (int64_t i = k + 1 + lane; i < n; i += 32) dot = dot + (i == k + 1 ? c[i] : conj_of(v[i]) * c[i]);
            dot = conj_of(tau) * warp_sum(dot);
            for (int64_t i = k + 1 + lane; i < n; i += 32) c[i] = c[i] - (i == k + 1 ? dot : v[i] * dot);
        }
        RT_SYNC();
        for (int64_t t = me; t < 2 * n; t += 256) {                       /* from the right, of H and Z: a thread a row */
            T *row = t < n ? h + t : z + (t - n), dot = (T)0;
            for (int64_t j = k + 1; j < n; j++) dot = dot + row[j * n] * (j == k + 1 ? (T)1 : v[j]);
            dot = dot * tau;
            for (int64_t j = k + 1; j < n; j++) row[j * n] = row[j * n] - dot * (j == k + 1 ? (T)1 : conj_of(v[j]));
        }
        RT_SYNC();
        for (int64_t i = k + 1 + me; i < n; i += 256) v[i] = i == k + 1 ? (T)beta : (T)0;
        RT_SYNC();
    }
    int64_t budget = 60 * n, since = 0;
    for (int64_t hi = n - 1; hi > 0 && budget > 0;) {
        if (me == 0) {
            int64_t lo = hi;
            for (; lo > 0; lo--) {
                const R scale = size_of(h[lo + lo * n]) + size_of(h[lo - 1 + (lo - 1) * n]);
                if (size_of(h[lo + (lo - 1) * n]) <= eps * (scale > 0 ? scale : 1)) break;
            }
            if (lo > 0) h[lo + (lo - 1) * n] = (T)0;
            active[0] = lo;
            /* the eigenvalue of the last 2 x 2 that is nearer to its last element */
            T mu = h[hi + hi * n];
            if (lo < hi) {
                const T p = h[hi - 1 + (hi - 1) * n], q = h[hi - 1 + hi * n], r = h[hi + (hi - 1) * n];
                const T d = times(p - mu, (R)0.5);
                T s = T_F(sqrt)(d * d + q * r);
                if (real_of(conj_of(d) * s) < 0) s = -s;
                if (since % 10 == 9) mu = mu + (T)(double)size_of(r);      /* not one that leads nowhere */
                else if (d + s != (T)0) mu = mu - q * r / (d + s);
            }
            work[0] = mu;
        }
        RT_SYNC();
        const int64_t lo = active[0];
        const T mu = work[0];
        RT_SYNC();
        if (lo == hi) { hi--; since = 0; continue; }
        budget--;
        since++;
        T x = h[lo + lo * n] - mu, y = h[lo + 1 + lo * n];
        RT_SYNC();
        for (int64_t k = lo; k < hi; k++) {                               /* chase the bulge */
            if (k > lo) { x = h[k + (k - 1) * n]; y = h[k + 1 + (k - 1) * n]; }
            RT_SYNC();
            const R length = root(square_of(x) + square_of(y));
            const T c = length > 0 ? times(conj_of(x), 1 / length) : (T)1, s = length > 0 ? times(conj_of(y), 1 / length) : (T)0;
            for (int64_t j = (k > lo ? k - 1 : lo) + me; j < n; j += 256) {        /* [[c, s], [-conj s, conj c]] on rows k, k + 1 */
                const T u = h[k + j * n], w = h[k + 1 + j * n];
                h[k + j * n] = c * u + s * w;
                h[k + 1 + j * n] = conj_of(c) * w - conj_of(s) * u;
            }
            RT_SYNC();
            const int64_t last = k + 2 < hi ? k + 2 : hi;
            for (int64_t t = me; t <= last + n; t += 256) {
                T *row = t <= last ? h + t : z + (t - last - 1);
                const T u = row[k * n], w = row[(k + 1) * n];
                row[k * n] = conj_of(c) * u + conj_of(s) * w;
                row[(k + 1) * n] = c * w - s * u;
            }
            RT_SYNC();
            if (k > lo && me == 0) h[k + 1 + (k - 1) * n] = (T)0;
            RT_SYNC();
        }
    }
    if (me == 0 && budget <= 0 && n > 1) ((int32_t *)a.p[2])[blockIdx.x] = (int32_t)n;
}

/* Eigenvectors of upper triangular matrices, a thread each: column k of X solves (U - U_kk) x = 0 with x_k = 1.
 * p: U, X; n: matrices * n, n; k: the smallest difference of eigenvalues, as a share of the largest element */
RT_KERNEL(RT_NAME(trevc), RtCall) {
    const int64_t n = a.n[1];
    RT_EACH(t, a.n[0]) {
        const T *u = (const T *)a.p[0] + t / n * n * n;
        const int64_t k = t % n;
        T *x = (T *)a.p[1] + t * n, own = u[k + k * n];
        R top = 0;
        for (int64_t i = 0; i <= k; i++) for (int64_t j = i; j <= k; j++) if (size_of(u[i + j * n]) > top) top = size_of(u[i + j * n]);
        const R least = top > 0 ? top * (R)a.k[0] : (R)a.k[0];
        for (int64_t i = k + 1; i < n; i++) x[i] = (T)0;
        x[k] = (T)1;
        for (int64_t i = k - 1; i >= 0; i--) {
            T sum = (T)0, d = u[i + i * n] - own;
            for (int64_t j = i + 1; j <= k; j++) sum = sum + u[i + j * n] * x[j];
            if (size_of(d) < least) d = (T)(double)least;
            x[i] = -sum / d;
            if (size_of(x[i]) > (R)1e15) for (int64_t j = i; j <= k; j++) x[j] = times(x[j], (R)1e-15);
        }
    }
}
