/* Elementary functions of two arguments, the inverse error function of float32, and forms for arguments near and far. */
#ifndef RUSTORCH_MATH_PAIR_H
#define RUSTORCH_MATH_PAIR_H
/* M. Giles, "Approximating the erfinv function", GPU Computing Gems (2011) */
RT_INLINE float rt_erfinv_f32(float x) {
    float w = -rt_log_f32((1 - x) * (1 + x)), v = w - 2.5f, u = sqrtf(w) - 3.0f;
    int far = w >= 5;
    float t = far ? u : v;
    float p = far ? -0.000200214257f : 2.81022636e-08f;
    p = rt_ma_f32(p, t, far ? 0.000100950558f : 3.43273939e-07f);
    p = rt_ma_f32(p, t, far ? 0.00134934322f : -3.5233877e-06f);
    p = rt_ma_f32(p, t, far ? -0.00367342844f : -4.39150654e-06f);
    p = rt_ma_f32(p, t, far ? 0.00573950773f : 0.00021858087f);
    p = rt_ma_f32(p, t, far ? -0.0076224613f : -0.00125372503f);
    p = rt_ma_f32(p, t, far ? 0.00943887047f : -0.00417768164f);
    p = rt_ma_f32(p, t, far ? 1.00167406f : 0.246640727f);
    p = rt_ma_f32(p, t, far ? 2.83297682f : 1.50140941f);
    float a = rt_magnitude_f32(x);
    p = a == 1 ? INFINITY : p;
    return x * p;
}

/* x^y = 2^(y log2 x) in double: s = (m - 1) / (m + 1), log2 m = s P(s^2), error 2^-36; 2^r to 2^-38 */
RT_INLINE float rt_pow_f32(float x, float y) {
    float e, a = rt_magnitude_f32(x), fl = floorf(y), fh = floorf(y * 0.5f);
    double f = (double)rt_log_split_f32(a, &e), s = f / (f + 2), w = s * s;
    double p = 3.40732993242455873e-01;
    p = rt_ma_f64(p, w, 4.11672687343768551e-01); p = rt_ma_f64(p, w, 5.77083583007008682e-01);
    p = rt_ma_f64(p, w, 9.61796673368230937e-01); p = rt_ma_f64(p, w, 2.88539008179004819e+00);
    double l = rt_ma_f64(p, s, (double)e);
    l = a == INFINITY ? (double)INFINITY : a == 0 ? -(double)INFINITY : l;
    l = l * (double)y;
    l = l < -200 ? -200 : l;
    l = l > 200 ? 200 : l;
    const double magic = 6755399441055744.0;                   /* 1.5 * 2^52 */
    double t = l + magic, r = l - (t - magic);
    p = 1.32508055175022501e-06;
    p = rt_ma_f64(p, r, 1.53037007113656932e-05); p = rt_ma_f64(p, r, 1.54034751865307856e-04); p = rt_ma_f64(p, r, 1.33334784736854157e-03);
    p = rt_ma_f64(p, r, 9.61812913523613956e-03); p = rt_ma_f64(p, r, 5.55041090632586651e-02); p = rt_ma_f64(p, r, 2.40226506958885033e-01);
    p = rt_ma_f64(p, r, 6.93147180556832443e-01); p = rt_ma_f64(p, r, 1.0);
    uint64_t n; memcpy(&n, &t, 8);
    n = ((n << 52) + (1023ull << 52));                         /* the low bits of t are the exponent */
    double scale; memcpy(&scale, &n, 8);
    float v = (float)(p * scale);
    int whole = fl == y, odd = whole & (fh + fh != y);         /* infinite y: whole and even */
    v = (x != x) | (y != y) ? x + y : v;
    v = (x < 0) & (a < INFINITY) & !whole ? (float)NAN : v;
    v = odd ? rt_flip_sign_f32(v, x) : v;
    v = (y == 0) | (x == 1) | ((a == 1) & (rt_magnitude_f32(y) == INFINITY)) ? 1.0f : v;
    return y == 2 ? x * x : v;
}
RT_INLINE float rt_hypot_f32(float x, float y) {
    float v = (float)sqrt(rt_ma_f64((double)x, (double)x, (double)y * (double)y));
    return (x == INFINITY) | (x == -INFINITY) | (y == INFINITY) | (y == -INFINITY) ? INFINITY : v;
}
/* The quotient in double is right to one; what is left over is exact while it has 29 bits. */
RT_INLINE int rt_fmod_far_f32(float x, float y) {
    float a = rt_magnitude_f32(x), b = rt_magnitude_f32(y);
    return !((a < 536870912.0f * b) & (b < INFINITY));
}
RT_INLINE float rt_fmod_near_f32(float x, float y) {
    double a = (double)rt_magnitude_f32(x), b = (double)rt_magnitude_f32(y);
    double r = a - trunc(a / b) * b;
    r = r < 0 ? r + b : r;
    r = r >= b ? r - b : r;
    return rt_flip_sign_f32((float)r, x);
}
RT_INLINE double rt_product_rest_f64(double a, double b, double p) {     /* a * b - p, p = a * b rounded (T. J. Dekker, 1971) */
#ifdef RT_HAS_FMA
    return rt_ma_f64(a, b, -p);
#else
    double c = 134217729.0 * a, ah = c - (c - a), al = a - ah, d = 134217729.0 * b, bh = d - (d - b), bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}
/* exp(y log x), the logarithm in two doubles (about 64 bits): with s = (m - 1) / (m + 1) and w = s^2,
 * log m = 2 s (1 + w/3 + w^2 (1/5 + w/7 + ...)); s, w and w/3 are held in two parts, the rest in one. */
RT_INLINE double rt_pow_f64(double x, double y) {
    double e, a = rt_magnitude_f64(x), fl = floor(y), fh = floor(y * 0.5);
    double f = rt_log_split_f64(a, &e), t = 2.0 + f, over = 1 / t, s = f * over;
    double s_lo = ((f - s * t) - rt_product_rest_f64(s, t, s * t) - s * (f - (t - 2.0))) * over;
    double w = s * s, w_lo = rt_product_rest_f64(s, s, w) + 2 * s * s_lo;
    double p = 6.45735609196754490e-02;                          /* error 2^-52 */
    p = rt_ma_f64(p, w, 6.64293441877287089e-02); p = rt_ma_f64(p, w, 7.69278873165407245e-02); p = rt_ma_f64(p, w, 9.09090410546094102e-02);
    p = rt_ma_f64(p, w, 1.11111111356634040e-01); p = rt_ma_f64(p, w, 1.42857142856690045e-01); p = rt_ma_f64(p, w, 2.00000000000000150e-01);
    const double third = 3.33333333333333315e-01, third_lo = 1.85037170770859413e-17;
    double u = w * third, u_lo = rt_product_rest_f64(w, third, u) + w * third_lo + w_lo * third + w * w * p;
    double v = u + u_lo, v_lo = u_lo - (v - u), h = 2 * s, ph = h * v;
    double hi = h + ph, lo = (ph - (hi - h)) + rt_product_rest_f64(h, v, ph) + h * v_lo + 2 * s_lo * (1 + v);
    double k = e * 6.93147180369123816490e-01, log_hi = k + hi;
    double log_lo = (hi - (log_hi - k)) + lo + e * 1.90821492927058770002e-10;
    t = log_hi + log_lo; log_lo = log_lo - (t - log_hi); log_hi = t;
    double z = y > 1e20 ? 1e20 : y;
    z = z < -1e20 ? -1e20 : z;
    double q = z * log_hi, q_lo = rt_product_rest_f64(z, log_hi, q) + z * log_lo;
    int fits = (q > -746.0) & (q < 710.0);
    q = q < -746.0 ? -746.0 : q;
    q = q > 710.0 ? 710.0 : q;
    double edge = rt_flip_sign_f64(a == 0 ? -746.0 : 746.0, y);
    int ends = (a == 0) | (a == (double)INFINITY);
    q = ends ? edge : q;
    q_lo = fits & !ends ? q_lo : 0;
    double s1, s2, r = rt_exp_parts_f64(q, &s1, &s2);
    double value = (1 + (r + (1 + r) * q_lo)) * s1 * s2;
    int whole = fl == y, odd = whole & (fh + fh != y);           /* infinite y: whole and even */
    value = (x != x) | (y != y) ? x + y : value;
    value = (x < 0) & (a < (double)INFINITY) & !whole ? (double)NAN : value;
    value = odd ? rt_flip_sign_f64(value, x) : value;
    value = (y == 0) | (x == 1) | ((a == 1) & (rt_magnitude_f64(y) == (double)INFINITY)) ? 1.0 : value;
    return y == 2 ? x * x : value;
}
RT_INLINE double rt_hypot_f64(double x, double y) {
    double a = rt_magnitude_f64(x), b = rt_magnitude_f64(y), hi = a > b ? a : b, lo = a > b ? b : a, r = lo / hi;
    double v = hi * sqrt(rt_ma_f64(r, r, 1.0));
    v = hi == 0 ? 0 : v;
    v = (x != x) | (y != y) ? x + y : v;
    return (a == (double)INFINITY) | (b == (double)INFINITY) ? (double)INFINITY : v;
}
/* With a fused product what is left over is exact while the quotient has 52 bits; without one libm does it all. */
RT_INLINE int rt_fmod_far_f64(double x, double y) {
#ifdef RT_HAS_FMA
    double a = rt_magnitude_f64(x), b = rt_magnitude_f64(y);
    return !((a < 4503599627370496.0 * b) & (b < (double)INFINITY) & ((a > 1e-290) | (a == 0)));
#else
    (void)x; (void)y;
    return 1;
#endif
}
RT_INLINE double rt_fmod_near_f64(double x, double y) {
    double a = rt_magnitude_f64(x), b = rt_magnitude_f64(y);
    double r = rt_ma_f64(-trunc(a / b), b, a);
    r = r < 0 ? r + b : r;
    r = r >= b ? r - b : r;
    return rt_flip_sign_f64(r, x);
}

/* Beyond the range of the vector forms libm answers, an element at a time (its reduction is Payne & Hanek's). A loop
 * asks name_far first, for a vector of elements, and runs name_near only where nothing is far (kernels/vfun.inc.c). */
#define RT_NEAR_FAR(T, t, S)                                                                                  \
    RT_INLINE int rt_sin_far_##t(T x) { T a = rt_magnitude_##t(x); return (a > RT_TRIG_MAX_##t) & (a < (T)INFINITY); } \
    RT_INLINE int rt_cos_far_##t(T x) { return rt_sin_far_##t(x); }                                           \
    RT_INLINE int rt_tan_far_##t(T x) { return rt_sin_far_##t(x); }                                           \
    RT_INLINE T rt_sin_##t(T x) { return RT_UNLIKELY(rt_sin_far_##t(x)) ? sin##S(x) : rt_sin_near_##t(x); }   \
    RT_INLINE T rt_cos_##t(T x) { return RT_UNLIKELY(rt_sin_far_##t(x)) ? cos##S(x) : rt_cos_near_##t(x); }   \
    RT_INLINE T rt_tan_##t(T x) { return RT_UNLIKELY(rt_sin_far_##t(x)) ? tan##S(x) : rt_tan_near_##t(x); }   \
    RT_INLINE T rt_fmod_##t(T x, T y) { return RT_UNLIKELY(rt_fmod_far_##t(x, y)) ? fmod##S(x, y) : rt_fmod_near_##t(x, y); }
RT_NEAR_FAR(float, f32, f)
RT_NEAR_FAR(double, f64, )

#define RT_REMAINDERS(T, t, FMOD, near)                                                                       \
    RT_INLINE T rt_remainder##near##_##t(T x, T y) { T m = FMOD(x, y); return (m != 0) & ((y < 0) != (m < 0)) ? m + y : m; } \
    RT_INLINE T rt_floordiv##near##_##t(T x, T y) {               /* as CPython's float floor division */     \
        T m = FMOD(x, y), d = (x - m) / y;                                                                    \
        d = d - ((m != 0) & ((y < 0) != (m < 0)) ? (T)1 : (T)0);                                              \
        T f = rt_floor_##t(d);                                                                                \
        f = d - f > (T)0.5 ? f + 1 : f;                                                                       \
        f = d != 0 ? f : rt_flip_sign_##t(0, x / y);                                                          \
        return y == 0 ? x / y : f; }
RT_REMAINDERS(float, f32, rt_fmod_f32, ) RT_REMAINDERS(float, f32, rt_fmod_near_f32, _near)
RT_REMAINDERS(double, f64, rt_fmod_f64, ) RT_REMAINDERS(double, f64, rt_fmod_near_f64, _near)
RT_INLINE int rt_remainder_far_f32(float x, float y) { return rt_fmod_far_f32(x, y); }
RT_INLINE int rt_remainder_far_f64(double x, double y) { return rt_fmod_far_f64(x, y); }
RT_INLINE int rt_floordiv_far_f32(float x, float y) { return rt_fmod_far_f32(x, y); }
RT_INLINE int rt_floordiv_far_f64(double x, double y) { return rt_fmod_far_f64(x, y); }
#endif
