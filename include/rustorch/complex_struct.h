/* Complex numbers for compilers without _Complex (C++ on a device): the layout of C's, its operators, and the functions of
 * <complex.h> that math.h calls. Functions after W. Kahan, "Branch Cuts for Complex Elementary Functions" (1987). Included twice:
 * by dtype.h for the types, by math.h, after the real functions, for the rest (RT_COMPLEX_STRUCT_FUNCTIONS). */
#ifndef RUSTORCH_COMPLEX_STRUCT_H
#define RUSTORCH_COMPLEX_STRUCT_H
#define RT_COMPLEX_STRUCT(T, R)                                                                                   \
    struct alignas(2 * sizeof(R)) T {                                                                             \
        R re, im;                                                                                                 \
        T() = default;                                                                                            \
        T(double a) : re((R)a), im(0) {}                                                                          \
        T(R a, R b) : re(a), im(b) {}                                                                             \
        T operator-() const { return T(-re, -im); }                                                               \
        friend T operator+(T x, T y) { return T(x.re + y.re, x.im + y.im); }                                      \
        friend T operator-(T x, T y) { return T(x.re - y.re, x.im - y.im); }                                      \
        friend T operator*(T x, T y) { return T(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re); }          \
        friend T operator/(T x, T y) {            /* R. L. Smith, CACM 5 (1962) */                                \
            if ((y.re < 0 ? -y.re : y.re) >= (y.im < 0 ? -y.im : y.im)) {                                         \
                R r = y.im / y.re, d = y.re + y.im * r;                                                           \
                return T((x.re + x.im * r) / d, (x.im - x.re * r) / d);                                           \
            }                                                                                                     \
            R r = y.re / y.im, d = y.re * r + y.im;                                                               \
            return T((x.re * r + x.im) / d, (x.im * r - x.re) / d);                                               \
        }                                                                                                         \
        friend bool operator==(T x, T y) { return x.re == y.re && x.im == y.im; }                                 \
        friend bool operator!=(T x, T y) { return !(x == y); }                                                    \
    };
RT_COMPLEX_STRUCT(rt_c64, float)
RT_COMPLEX_STRUCT(rt_c128, double)

#define RT_COMPLEX_STRUCT_FUNCTIONS(T, R, r, S)                                                                   \
    RT_INLINE T cexp##S(T z) {                                                                                    \
        R e = rt_exp_##r(z.re);                                                                                   \
        return z.im == 0 ? T(e, z.im) : z.re == -(R)INFINITY ? T(0, 0) : T(e * rt_cos_##r(z.im), e * rt_sin_##r(z.im)); }     \
    RT_INLINE T clog##S(T z) {                                                                                    \
        R a = rt_magnitude_##r(z.re), b = rt_magnitude_##r(z.im), hi = a > b ? a : b, lo = a > b ? b : a;         \
        R m = hi > (R)0.5 && hi < 2 ? (R)0.5 * rt_log1p_##r((hi - 1) * (hi + 1) + lo * lo) : rt_log_##r(rt_hypot_##r(a, b)); \
        return T(m, rt_atan2_##r(z.im, z.re)); }                                                                  \
    RT_INLINE T csqrt##S(T z) {                                                                                   \
        if (z.re == 0 && z.im == 0) return T(0, z.im);                                                            \
        if (z.im == (R)INFINITY || z.im == -(R)INFINITY) return T((R)INFINITY, z.im);                             \
        if (z.re == (R)INFINITY) return T(z.re, z.im != z.im ? z.im : rt_with_sign_##r(0, z.im));                 \
        if (z.re == -(R)INFINITY) return z.im != z.im ? T(z.im, (R)INFINITY) : T(0, rt_with_sign_##r((R)INFINITY, z.im)); \
        R s = rt_magnitude_##r(z.re) > (R)1e30 || rt_magnitude_##r(z.im) > (R)1e30 ? (R)0.25 : 1;                 \
        R a = z.re * s, b = z.im * s, t = rt_sqrt_##r((rt_hypot_##r(a, b) + rt_magnitude_##r(a)) * (R)0.5), u = s == 1 ? t : 2 * t; \
        R v = b / (2 * t) * (s == 1 ? (R)1 : (R)2);                                                               \
        return z.re >= 0 ? T(u, v) : T(rt_magnitude_##r(v), rt_with_sign_##r(u, z.im)); }                         \
    RT_INLINE T csinh##S(T z) { return T(rt_sinh_##r(z.re) * rt_cos_##r(z.im), z.im == 0 ? z.im : rt_cosh_##r(z.re) * rt_sin_##r(z.im)); } \
    RT_INLINE T ccosh##S(T z) { return T(rt_cosh_##r(z.re) * rt_cos_##r(z.im), z.im == 0 || z.re == 0 ? z.re * z.im * 0 : rt_sinh_##r(z.re) * rt_sin_##r(z.im)); } \
    RT_INLINE T ctanh##S(T z) {                                                                                   \
        R a = rt_magnitude_##r(z.re);                                                                             \
        if (a > 20) return T(rt_with_sign_##r(1, z.re), 4 * rt_sin_##r(z.im) * rt_cos_##r(z.im) * rt_exp_##r(-2 * a)); \
        R t = rt_tan_##r(z.im), w = 1 + t * t, s = rt_sinh_##r(z.re), c = rt_sqrt_##r(1 + s * s), d = 1 + w * s * s; \
        return t == (R)INFINITY || t == -(R)INFINITY ? T(c / s, 1 / t) : T(w * c * s / d, t / d); }               \
    RT_INLINE T csin##S(T z) { T v = csinh##S(T(-z.im, z.re)); return T(v.im, -v.re); }                           \
    RT_INLINE T ccos##S(T z) { return ccosh##S(T(-z.im, z.re)); }                                                 \
    RT_INLINE T ctan##S(T z) { T v = ctanh##S(T(-z.im, z.re)); return T(v.im, -v.re); }                           \
    RT_INLINE T casin##S(T z) {                                                                                   \
        T p = csqrt##S(T(1 + z.re, z.im)), q = csqrt##S(T(1 - z.re, -z.im));                                      \
        return T(rt_atan2_##r(z.re, p.re * q.re - p.im * q.im), rt_asinh_##r(q.re * p.im - q.im * p.re)); }       \
    RT_INLINE T cacos##S(T z) {                                                                                   \
        T p = csqrt##S(T(1 + z.re, z.im)), q = csqrt##S(T(1 - z.re, -z.im));                                      \
        return T(2 * rt_atan2_##r(q.re, p.re), rt_asinh_##r(p.re * q.im - p.im * q.re)); }                        \
    RT_INLINE T casinh##S(T z) { T v = casin##S(T(-z.im, z.re)); return T(v.im, -v.re); }                         \
    RT_INLINE T cacosh##S(T z) {                                                                                  \
        T p = csqrt##S(T(z.re - 1, z.im)), q = csqrt##S(T(z.re + 1, z.im));                                       \
        return T(rt_asinh_##r(p.re * q.re + p.im * q.im), 2 * rt_atan2_##r(p.im, q.re)); }                        \
    RT_INLINE T catanh##S(T z) {                                                                                  \
        R a = z.re, b = z.im, u = 1 - a;                                                                          \
        return T((R)0.25 * rt_log1p_##r(4 * a / (u * u + b * b)), (R)0.5 * rt_atan2_##r(2 * b, u * (1 + a) - b * b)); } \
    RT_INLINE T catan##S(T z) { T v = catanh##S(T(-z.im, z.re)); return T(v.im, -v.re); }                         \
    RT_INLINE T cpow##S(T x, T y) { return cexp##S(y * clog##S(x)); }
#endif
