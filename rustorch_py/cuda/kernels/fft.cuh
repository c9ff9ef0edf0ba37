// types: T = c64 c128; X = f32 f64 c64 c128
/* Fourier transforms of lanes of a power of two, and how lanes get in and out of rows of T. */
namespace {
RT_INLINE T number_of(float x) { return T(x, 0); }
RT_INLINE T number_of(double x) { return T(x, 0); }
RT_INLINE T number_of(rt_c64 x) { return T(x.re, x.im); }
RT_INLINE T number_of(rt_c128 x) { return T(x.re, x.im); }
RT_INLINE void put(float *to, T x) { *to = (float)x.re; }
RT_INLINE void put(double *to, T x) { *to = (double)x.re; }
RT_INLINE void put(rt_c64 *to, T x) { *to = rt_c64((float)x.re, (float)x.im); }
RT_INLINE void put(rt_c128 *to, T x) { *to = rt_c128(x.re, x.im); }
RT_INLINE T turned(T x, bool back) { return back ? T(x.re, -x.im) : x; }
}

/* rows[o, i, l] = x[o, l, i], cut or zero-padded to n; half: x has the first n / 2 + 1 terms of a Hermitian spectrum.
 * p: rows, x; n: elements of rows, n, inner, x's length, half */
RT_KERNEL(RT_NAME(load), RtCall) {
    const int64_t n = a.n[1], inner = a.n[2], length = a.n[3];
    RT_EACH(t, a.n[0]) {
        const int64_t l = t % n, i = t / n % inner, o = t / n / inner;
        const bool mirror = a.n[4] && l > n / 2;
        const int64_t from = mirror ? n - l : l;
        T v = from < length ? number_of(((const X *)a.p[1])[(o * length + from) * inner + i]) : T(0, 0);
        if (a.n[4] && (l == 0 || 2 * l == n)) v.im = 0;
        ((T *)a.p[0])[t] = mirror ? T(v.re, -v.im) : v;
    }
}

/* x[o, l, i] = scale * rows[o, i, l] for l < length. p: x, rows; n: elements of x, n, inner, x's length; k: scale */
RT_KERNEL(RT_NAME(store), RtCall) {
    const int64_t n = a.n[1], inner = a.n[2], length = a.n[3];
    RT_EACH(t, a.n[0]) {
        const int64_t i = t % inner, l = t / inner % length, o = t / inner / length;
        const T v = ((const T *)a.p[1])[(o * inner + i) * n + l];
        T w = v;
        w.re *= a.k[0];
        w.im *= a.k[0];
        put((X *)a.p[0] + t, w);
    }
}

/* Rows of n = 2^bits <= 2048 in place: radix 2, decimation in time, in shared memory (J. W. Cooley, J. W. Tukey, 1965).
 * p: rows, exp(-2 pi i k / n) for k < n / 2; n: n, bits, inverse. Grid: rows. */
RT_KERNEL(RT_NAME(power), RtCall) {
    const int n = (int)a.n[0], bits = (int)a.n[1];
    T *row = (T *)a.p[0] + blockIdx.x * a.n[0];
    RT_SHARED(T, s, 2048);
    for (int l = threadIdx.x; l < n; l += 256) {
        int from = 0;
        for (int b = 0; b < bits; b++) from |= (l >> b & 1) << (bits - 1 - b);
        s[l] = row[from];
    }
    for (int half = 1; half < n; half *= 2) {
        RT_SYNC();
        for (int t = threadIdx.x; t < n / 2; t += 256) {
            const int j = t & (half - 1), at = 2 * (t - j) + j;
            const T w = turned(((const T *)a.p[1])[j * (n / 2 / half)], a.n[2] != 0), u = s[at], v = s[at + half] * w;
            s[at] = u + v;
            s[at + half] = u - v;
        }
    }
    RT_SYNC();
    for (int l = threadIdx.x; l < n; l += 256) row[l] = s[l];
}
