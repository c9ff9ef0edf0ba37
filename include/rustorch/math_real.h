/* Elementary functions of one real type, without branches or tables, so that a loop over them becomes
 * vector code. Opened by math.h with REAL (the type), M(name) (rt_<name>_<tag>), L(f, d) (a constant a
 * type) and, in M(), the cores of math_f32.h or math_f64.h. MA(a, b, c) is a * b + c: fused where the
 * instruction set has it, so sets agree to the stated ULP, not to the bit.
 *
 * Polynomials were fitted by Chebyshev interpolation in 60 digits (mpmath.chebyfit); reductions after
 * Cody & Waite, "Software Manual for the Elementary Functions" (1980), and fdlibm (Sun, 1993).
 * tests/tensor/test_accuracy.py holds every bound. */

RT_INLINE REAL M(with_sign)(REAL v, REAL x) {                    /* |v| with the sign of x */
    return M(of_bits)((M(bits)(v) & ~M_SIGN) | (M(bits)(x) & M_SIGN));
}
RT_INLINE REAL M(flip_sign)(REAL v, REAL x) { return M(of_bits)(M(bits)(v) ^ (M(bits)(x) & M_SIGN)); }
RT_INLINE REAL M(magnitude)(REAL x) { return M(of_bits)(M(bits)(x) & ~M_SIGN); }

/* ---- exponentials ---- */
RT_INLINE REAL M(exp)(REAL x) {
    REAL c = x < M_EXP_LO ? M_EXP_LO : x, s1, s2;
    c = c > M_EXP_HI ? M_EXP_HI : c;                             /* NaN passes both */
    REAL p = M(exp_parts)(c, &s1, &s2);
    return (p + 1) * s1 * s2;
}
/* (e^x - 1) / 2, exact near 0 and finite as long as e^x / 2 is */
RT_INLINE REAL M(expm1_half)(REAL x) {
    REAL c = x < L(-30.0f, -60.0) ? L(-30.0f, -60.0) : x, s;
    c = c > M_SINH_HI ? M_SINH_HI : c;
    REAL p = M(exp_quarter)(c, &s);                              /* e^x / 4 = s * (1 + p) */
    return MA(s, p, s - (REAL)0.25) * 2;
}
RT_INLINE REAL M(expm1)(REAL x) { REAL v = 2 * M(expm1_half)(x); return x * x == 0 ? x : v; }
RT_INLINE REAL M(tanh)(REAL x) {
    REAL a = M(magnitude)(x);
    a = a > L(10.0f, 20.0) ? L(10.0f, 20.0) : a;
    REAL h = M(expm1_half)(2 * a);
    return M(flip_sign)(h / (h + 1), x);
}
RT_INLINE REAL M(sinh)(REAL x) {
    REAL h = M(expm1_half)(M(magnitude)(x));
    return M(flip_sign)(h + (h == (REAL)INFINITY ? 0 : h / (2 * h + 1)), x);
}
RT_INLINE REAL M(cosh)(REAL x) {
    REAL e = M(expm1_half)(M(magnitude)(x)) + (REAL)0.5;         /* e^|x| / 2 */
    return e + (REAL)0.25 / e;
}
RT_INLINE REAL M(sigmoid)(REAL x) { return 1 / (1 + M(exp)(-x)); }
RT_INLINE REAL M(silu)(REAL x) { return x / (1 + M(exp)(-x)); }

/* ---- logarithms: x = m 2^e, m in [sqrt 1/2, sqrt 2), f = m - 1 ---- */
#define M_LOG_SPECIALS(v) (((x < 0) | (x != x)) ? (REAL)NAN : x == 0 ? -(REAL)INFINITY : x == (REAL)INFINITY ? x : (v))
RT_INLINE REAL M(log)(REAL x) {
    REAL e, f = M(log_split)(x, &e), lo, hi = M(log_1p)(f, &lo);
    REAL v = e * M_LN2_HI + (hi + MA(e, M_LN2_LO, lo));
    return M_LOG_SPECIALS(v);
}
RT_INLINE REAL M(log2)(REAL x) {
    REAL e, f = M(log_split)(x, &e), lo, hi = M(log_1p)(f, &lo);
    REAL v = MA(hi + lo, (REAL)1.44269504088896340736, e);
    return M_LOG_SPECIALS(v);
}
RT_INLINE REAL M(log10)(REAL x) {
    REAL e, f = M(log_split)(x, &e), lo, hi = M(log_1p)(f, &lo);
    REAL v = MA(hi + lo, (REAL)0.43429448190325182765, e * L(7.90341510e-7f, 3.69423907715893078616e-13));
    v = v + e * L(3.01029205e-1f, 3.01029995663611771306e-01);
    return M_LOG_SPECIALS(v);
}
/* log(u) of a normal u, and the part `c` by which u is too small, c << u */
RT_INLINE REAL M(log_plus)(REAL u, REAL c) {
    REAL e, f = M(log_split_normal)(u, &e), lo, hi = M(log_1p)(f, &lo);
    return e * M_LN2_HI + (hi + (MA(e, M_LN2_LO, lo) + c / u));
}
RT_INLINE REAL M(log1p)(REAL x) {
    REAL u = 1 + x;
    REAL v = M(log_plus)(u, x - (u - 1));                        /* the rounding of 1 + x, put back */
    v = u == (REAL)INFINITY ? u : v;
    v = u == 0 ? -(REAL)INFINITY : v;
    v = ((x < -1) | (x != x)) ? (REAL)NAN : v;
    return x == 0 ? x : v;
}
RT_INLINE REAL M(softplus1)(REAL x) {                            /* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) */
    REAL u = M(exp)(-M(magnitude)(x)), w = 1 + u;
    REAL v = M(log_plus)(w, u - (w - 1));
    return x != x ? x : (x > 0 ? x : 0) + v;
}
RT_INLINE REAL M(asinh)(REAL x) {
    REAL a = M(magnitude)(x), s = a * a;
    int big = a > L(1e9f, 1e18);
    REAL v = M(log1p)(big ? a : a + s / (1 + M(sqrt)(s + 1)));
    return M(flip_sign)(big ? v + (REAL)0.693147180559945309 : v, x);
}
RT_INLINE REAL M(acosh)(REAL x) {
    REAL t = x - 1;
    int big = x > L(1e9f, 1e18);
    REAL v = M(log1p)(big ? t : t + M(sqrt)(2 * t + t * t));
    v = big ? v + (REAL)0.693147180559945309 : v;
    return x < 1 ? (REAL)NAN : v;
}
RT_INLINE REAL M(atanh)(REAL x) {
    REAL a = M(magnitude)(x);
    return M(flip_sign)((REAL)0.5 * M(log1p)(2 * a / (1 - a)), x);
}

/* ---- trigonometry. For |x| <= M_TRIG_MAX; math.h hands larger arguments to libm (Payne & Hanek). ---- */
RT_INLINE REAL M(sin_near)(REAL x) {
    M_UINT q; REAL s, c;
    M(sincos_parts)(M(magnitude)(x), &q, &s, &c);
    REAL v = (q & 1) ? c : s;
    return M(of_bits)(M(bits)(v) ^ ((q & 2) << (M_BITS - 2)) ^ (M(bits)(x) & M_SIGN));
}
RT_INLINE REAL M(cos_near)(REAL x) {
    M_UINT q; REAL s, c;
    M(sincos_parts)(M(magnitude)(x), &q, &s, &c);
    REAL v = (q & 1) ? s : c;
    return M(of_bits)(M(bits)(v) ^ (((q + 1) & 2) << (M_BITS - 2)));
}
RT_INLINE REAL M(tan_near)(REAL x) {
    M_UINT q; REAL s, c;
    M(sincos_parts)(M(magnitude)(x), &q, &s, &c);
    REAL v = ((q & 1) ? c : s) / ((q & 1) ? s : c);
    return M(of_bits)(M(bits)(v) ^ ((q & 1) << (M_BITS - 1)) ^ (M(bits)(x) & M_SIGN));
}
/* atan(z) of |z| <= tan(pi/8) */
#define M_ATAN_MID ((REAL)0.41421356237309503)
RT_INLINE REAL M(atan)(REAL x) {
    REAL a = M(magnitude)(x);
    int big = a > (REAL)2.41421356237309503, mid = a > M_ATAN_MID;
    REAL z = (big ? -1 : mid ? a - 1 : a) / (big ? a : mid ? a + 1 : 1);
    REAL hi = big ? L(1.57079637f, 1.57079632679489655800) : mid ? L(7.85398185e-1f, 7.85398163397448278999e-01) : 0;
    REAL lo = big ? L(-4.37113883e-8f, 6.12323399573676603587e-17) : mid ? L(-2.18556941e-8f, 3.06161699786838301793e-17) : 0;
    return M(flip_sign)(hi + (z + (M(atan_tail)(z) + lo)), x);
}
RT_INLINE REAL M(atan2)(REAL y, REAL x) {
    REAL ax = M(magnitude)(x), ay = M(magnitude)(y);
    int steep = ay > ax;
    REAL top = steep ? ay : ax, low = steep ? ax : ay, k = top > L(1e37f, 1e307) ? (REAL)0.0625 : 1;
    REAL t = top * k, l = low * k, both = top == 0 ? (REAL)0 : (REAL)1;
    t = low == top ? 1 : t;                                      /* 0/0 is 0, inf/inf 1 */
    l = low == top ? both : l;
    int mid = l > M_ATAN_MID * t;
    REAL z = (mid ? l - t : l) / (mid ? l + t : t);
    REAL v = z + M(atan_tail)(z);
    v = mid ? v + (REAL)0.785398163397448309 : v;
    v = steep ? (REAL)1.57079632679489661923 - v : v;
    v = (M(bits)(x) & M_SIGN) ? L(3.14159274f, 3.14159265358979311600) - (v + L(8.74227766e-8f, -1.22464679914735320717e-16)) : v;
    return ((x != x) | (y != y)) ? x + y : M(with_sign)(v, y);
}
/* |x| <= 1/2: x + x^3 P(x^2); beyond: from asin(sqrt((1 - |x|) / 2)) */
RT_INLINE REAL M(asin)(REAL x) {
    REAL a = M(magnitude)(x);
    int big = a > (REAL)0.5;
    REAL z = big ? (1 - a) * (REAL)0.5 : a * a, s = big ? M(sqrt)(z) : a;
    REAL p = MA(s, M(asin_tail)(z), s);
    REAL v = big ? L(1.57079637f, 1.57079632679489655800) - (2 * p + L(4.37113883e-8f, -6.12323399573676603587e-17)) : p;
    return M(flip_sign)(v, x);
}
RT_INLINE REAL M(acos)(REAL x) {
    REAL a = M(magnitude)(x);
    int big = a > (REAL)0.5;
    REAL z = big ? (1 - a) * (REAL)0.5 : a * a, s = big ? M(sqrt)(z) : x;
    REAL p = MA(s, M(asin_tail)(z), s);
    REAL far = x > 0 ? 2 * p : L(3.14159274f, 3.14159265358979311600) - (2 * p + L(8.74227766e-8f, -1.22464679914735320717e-16));
    REAL near = L(1.57079637f, 1.57079632679489655800) - (p + L(4.37113883e-8f, -6.12323399573676603587e-17));
    return big ? far : near;
}

/* ---- error functions: |x| < 1: x + x P(x^2); beyond: 1 - erfcx(a) exp(-a^2), where erfcx(a) (1 + 2a)
 * is a polynomial in t = (a - K) / (a + K) (M. M. Shepherd, J. G. Laframboise, Math. Comp. 36, 1981) ---- */
RT_INLINE REAL M(erf)(REAL x) {
    REAL a = M(magnitude)(x), z = a * a;
    REAL small = MA(a, M(erf_tail)(z), a);
    REAL c = a > L(4.0f, 6.0) ? L(4.0f, 6.0) : a;
    REAL big = 1 - M(erfcx_far)(c) * M(exp)(-(c * c));
    return M(flip_sign)(a < 1 ? small : big, x);
}
RT_INLINE REAL M(gelu)(REAL x) { return (REAL)0.5 * x * (1 + M(erf)(x * (REAL)0.70710678118654752440)); }
RT_INLINE REAL M(erfc)(REAL x) {
    REAL a = M(magnitude)(x), c = a > M_ERFC_HI ? M_ERFC_HI : a, s = c * c;
    REAL e = M(exp)(-s);
    REAL v = M(erfcx_near)(c) * (e - e * M(square_rest)(c, s));
    v = a < (REAL)0.5 ? 1 - MA(a, M(erf_tail)(s), a) : v;
    return (M(bits)(x) & M_SIGN) ? 2 - v : v;
}
#undef M_ATAN_MID
#undef M_LOG_SPECIALS
#undef M_SIGN
#undef M_BITS
#undef M_UINT
#undef M_EXP_LO
#undef M_EXP_HI
#undef M_SINH_HI
#undef M_LN2_HI
#undef M_LN2_LO
#undef M_ERFC_HI
