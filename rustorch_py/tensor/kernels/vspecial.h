/* Special functions without branches, in double, for array functions that the compiler makes vector code of (vfun.inc.c).
 * Sections are those of F. W. J. Olver et al., NIST Handbook of Mathematical Functions. */
#ifndef RUSTORCH_VSPECIAL_H
#define RUSTORCH_VSPECIAL_H
#include "rustorch/math.h"

/* Quantile of the normal distribution: q = p - 1/2, tail = min(p, 1 - p). M. J. Wichura, Algorithm AS 241 (PPND16), Applied
 * Statistics 37, 1988: rational in q^2 near the middle, in sqrt(-log tail) beyond, relative error 1e-16. */
#define PICK(a, c, e) (middle ? (a) : close ? (c) : (e))
RT_INLINE double v_quantile(double q, double tail) {
    double a = rt_magnitude_f64(q), root = sqrt(-rt_log_f64(tail));
    int middle = a <= 0.425, close = root <= 5;
    double r = middle ? 0.180625 - q * q : close ? root - 1.6 : root - 5;
    double n = PICK(2.5090809287301226727e+3, 7.74545014278341407640e-4, 2.01033439929228813265e-7);
    n = rt_ma_f64(n, r, PICK(3.3430575583588128105e+4, 2.27238449892691845833e-2, 2.71155556874348757815e-5));
    n = rt_ma_f64(n, r, PICK(6.7265770927008700853e+4, 2.41780725177450611770e-1, 1.24266094738807843860e-3));
    n = rt_ma_f64(n, r, PICK(4.5921953931549871457e+4, 1.27045825245236838258, 2.65321895265761230930e-2));
    n = rt_ma_f64(n, r, PICK(1.3731693765509461125e+4, 3.64784832476320460504, 2.96560571828504891230e-1));
    n = rt_ma_f64(n, r, PICK(1.9715909503065514427e+3, 5.76949722146069140550, 1.78482653991729133580));
    n = rt_ma_f64(n, r, PICK(1.3314166789178437745e+2, 4.63033784615654529590, 5.46378491116411436990));
    n = rt_ma_f64(n, r, PICK(3.3871328727963666080, 1.42343711074968357734, 6.65790464350110377720));
    double d = PICK(5.2264952788528545610e+3, 1.05075007164441684324e-9, 2.04426310338993978564e-15);
    d = rt_ma_f64(d, r, PICK(2.8729085735721942674e+4, 5.47593808499534494600e-4, 1.42151175831644588870e-7));
    d = rt_ma_f64(d, r, PICK(3.9307895800092710610e+4, 1.51986665636164571966e-2, 1.84631831751005468180e-5));
    d = rt_ma_f64(d, r, PICK(2.1213794301586595867e+4, 1.48103976427480074590e-1, 7.86869131145613259100e-4));
    d = rt_ma_f64(d, r, PICK(5.3941960214247511077e+3, 6.89767334985100004550e-1, 1.48753612908506148525e-2));
    d = rt_ma_f64(d, r, PICK(6.8718700749205790830e+2, 1.67638483018380384940, 1.36929880922735805310e-1));
    d = rt_ma_f64(d, r, PICK(4.2313330701600911252e+1, 2.05319162663775882187, 5.99832206555887937690e-1));
    d = rt_ma_f64(d, r, 1.0);
    double v = n / d;
    v = middle ? q * v : rt_flip_sign_f64(v, q);
    v = tail == 0 ? rt_flip_sign_f64((double)INFINITY, q) : v;
    return tail >= 0 ? v : (double)NAN;
}
#undef PICK
RT_INLINE double v_ndtri(double p) { return v_quantile(p - 0.5, p < 0.5 ? p : 1 - p); }
RT_INLINE double v_erfinv(double x) { return v_quantile(0.5 * x, 0.5 * (1 - rt_magnitude_f64(x))) * 0.70710678118654752440; }

/* For float32 results. Recurrence 5.5.1 up to y >= 8, Stirling's series 5.11.1 (error 1e-15 there), reflection 5.5.3. */
RT_INLINE double v_lgamma(double x) {
    int low = x < 0;
    double y = low ? 1 - x : x;
    int big = y > 8;
    double u = big ? 1 : y, p = u * (u + 1) * (u + 2) * (u + 3) * ((u + 4) * (u + 5) * (u + 6) * (u + 7));
    p = big ? 1 : p;
    double z = big ? y : y + 8, i = 1 / z, w = i * i, s = 6.41025641025641025641e-03;
    s = rt_ma_f64(s, w, -1.91752691752691752692e-03); s = rt_ma_f64(s, w, 8.41750841750841750842e-04); s = rt_ma_f64(s, w, -5.95238095238095238095e-04);
    s = rt_ma_f64(s, w, 7.93650793650793650794e-04); s = rt_ma_f64(s, w, -2.77777777777777777778e-03); s = rt_ma_f64(s, w, 8.33333333333333333333e-02);
    double stirling = ((z - 0.5) * rt_log_f64(z) - z) + (0.91893853320467274178 + s * i);
    double sine = rt_sin_near_f64(3.14159265358979323846 * (x - floor(x)));
    double t = rt_log_f64(low ? 3.14159265358979323846 * p / sine : p), v = low ? t - stirling : stirling - t;
    return (x == (double)INFINITY) | (x == -(double)INFINITY) | (low & (x == floor(x))) ? (double)INFINITY : (x == 1) | (x == 2) ? 0 : v;
}

/* The derivative of digamma. Recurrence 5.15.5 up to y >= 8, its sum as one quotient; asymptotic series 5.15.8 (error 1e-16 there); reflection 5.15.6. */
RT_INLINE double v_trigamma(double x) {
    int low = x < 0.5;
    double y = low ? 1 - x : x;
    int big = y > 8;
    double u = big ? 1 : y, p = u * u, d = 1;
    for (int k = 1; k < 8; k++) { double q = (u + k) * (u + k); d = d * q + p; p = p * q; }
    double z = big ? y : y + 8, i = 1 / z, w = i * i, s = 54.9711779448621553885;
    s = rt_ma_f64(s, w, -7.09215686274509803922); s = rt_ma_f64(s, w, 1.16666666666666666667); s = rt_ma_f64(s, w, -2.53113553113553113553e-01);
    s = rt_ma_f64(s, w, 7.57575757575757575758e-02); s = rt_ma_f64(s, w, -3.33333333333333333333e-02); s = rt_ma_f64(s, w, 2.38095238095238095238e-02);
    s = rt_ma_f64(s, w, -3.33333333333333333333e-02); s = rt_ma_f64(s, w, 1.66666666666666666667e-01);
    double v = i + (0.5 * w + s * w * i) + (big ? 0 : d / p), sine = rt_sin_near_f64(3.14159265358979323846 * (x - rint(x)));
    v = low ? 9.86960440108935861883 / (sine * sine) - v : v;
    return low & (x == floor(x)) & (x > -(double)INFINITY) ? (double)INFINITY : v;
}

/* For float32 results. Recurrence 5.5.2, the sum of 1 / (y + k) as one quotient; asymptotic series 5.11.2; reflection 5.5.4. */
RT_INLINE double v_digamma(double x) {
    int low = x < 0;
    double y = low ? 1 - x : x;
    int big = y > 8;
    double u = big ? 1 : y, p = u, d = 1;
    for (int k = 1; k < 8; k++) { d = d * (u + k) + p; p = p * (u + k); }
    double z = big ? y : y + 8, i = 1 / z, w = i * i, s = 2.10927960927960927961e-02;
    s = rt_ma_f64(s, -w, 7.57575757575757575758e-03); s = rt_ma_f64(s, -w, 4.16666666666666666667e-03); s = rt_ma_f64(s, -w, 3.96825396825396825397e-03);
    s = rt_ma_f64(s, -w, 8.33333333333333333333e-03); s = rt_ma_f64(s, -w, 8.33333333333333333333e-02);
    double v = rt_log_f64(z) - (0.5 * i + w * s) - (big ? 0 : d / p);
    double turn = 3.14159265358979323846 * (x - floor(x));
    v = low ? v - 3.14159265358979323846 * rt_cos_near_f64(turn) / rt_sin_near_f64(turn) : v;
    v = (low & (x == floor(x))) | (x == -(double)INFINITY) ? (double)NAN : v;
    v = x == (double)INFINITY ? x : v;
    return x == 0 ? rt_flip_sign_f64(-(double)INFINITY, x) : v;
}

/* For float32 results. e^-a I(a) of a < 8 as a polynomial in (a - 4) / 4 (of order 1: divided by a), sqrt(a) e^-a I(a) beyond as
 * one in 16 / a - 1; fitted by Chebyshev interpolation in 30 digits, relative error 1e-9. */
RT_INLINE double v_i0e(double x) {
    double a = rt_magnitude_f64(x), t = 0.25 * a - 1, u = 16 / a - 1;
    double n = -0.00013152060630607088;
    n = rt_ma_f64(n, t, 0.00034824109057890805); n = rt_ma_f64(n, t, -0.00022722968338111301); n = rt_ma_f64(n, t, 0.00041439190604898557);
    n = rt_ma_f64(n, t, -0.0020044758245779415); n = rt_ma_f64(n, t, 0.0041660156535626537); n = rt_ma_f64(n, t, -0.0066514194844915943);
    n = rt_ma_f64(n, t, 0.011557353661066809); n = rt_ma_f64(n, t, -0.019745851414068618); n = rt_ma_f64(n, t, 0.030358703692477983);
    n = rt_ma_f64(n, t, -0.042968811293359618); n = rt_ma_f64(n, t, 0.056727955898612629); n = rt_ma_f64(n, t, -0.069543854025045848);
    n = rt_ma_f64(n, t, 0.07928284334431146); n = rt_ma_f64(n, t, -0.084963172145789991); n = rt_ma_f64(n, t, 0.087342817717023683);
    n = rt_ma_f64(n, t, -0.08904344770455307); n = rt_ma_f64(n, t, 0.094515646728928272); n = rt_ma_f64(n, t, -0.1130043268544693);
    n = rt_ma_f64(n, t, 0.20700192113298855);
    double f = 3.2134345677825198e-9;
    f = rt_ma_f64(f, u, 3.1734682651283457e-8); f = rt_ma_f64(f, u, 1.022295795212441e-7); f = rt_ma_f64(f, u, 3.0712517947158179e-7);
    f = rt_ma_f64(f, u, 1.4801668682355923e-6); f = rt_ma_f64(f, u, 1.1139924003904079e-5); f = rt_ma_f64(f, u, 0.00013621634810372813);
    f = rt_ma_f64(f, u, 0.0033605522271075522); f = rt_ma_f64(f, u, 0.40217650944500808);
    return a < 8 ? n : f / sqrt(a);
}
RT_INLINE double v_i1e(double x) {
    double a = rt_magnitude_f64(x), t = 0.25 * a - 1, u = 16 / a - 1;
    double n = -1.6947851516249462e-5;
    n = rt_ma_f64(n, t, 4.7479082033953787e-5); n = rt_ma_f64(n, t, -4.3177200580030016e-5); n = rt_ma_f64(n, t, 9.375809886867844e-5);
    n = rt_ma_f64(n, t, -0.0003636452040028463); n = rt_ma_f64(n, t, 0.00081204794341277706); n = rt_ma_f64(n, t, -0.0015224710360286312);
    n = rt_ma_f64(n, t, 0.0029563628396675576); n = rt_ma_f64(n, t, -0.0055419082448962561); n = rt_ma_f64(n, t, 0.0096060953859553728);
    n = rt_ma_f64(n, t, -0.015569320920202672); n = rt_ma_f64(n, t, 0.023680016667049939); n = rt_ma_f64(n, t, -0.033671663704728054);
    n = rt_ma_f64(n, t, 0.044675503161076603); n = rt_ma_f64(n, t, -0.055280015036489544); n = rt_ma_f64(n, t, 0.063767330646226743);
    n = rt_ma_f64(n, t, -0.068482606940700927); n = rt_ma_f64(n, t, 0.06805760212960304); n = rt_ma_f64(n, t, -0.061124338025990108);
    n = rt_ma_f64(n, t, 0.044687709864502508);
    double f = -4.2368978067496742e-9;
    f = rt_ma_f64(f, u, -3.5904638329365215e-8); f = rt_ma_f64(f, u, -1.1423534161320156e-7); f = rt_ma_f64(f, u, -3.5819536481452774e-7);
    f = rt_ma_f64(f, u, -1.8310212382191527e-6); f = rt_ma_f64(f, u, -1.5035390362454545e-5); f = rt_ma_f64(f, u, -0.00021923605339011808);
    f = rt_ma_f64(f, u, -0.0097495774411340485); f = rt_ma_f64(f, u, 0.38939845902587233);
    return rt_flip_sign_f64(a < 8 ? a * n : f / sqrt(a), x);
}
RT_INLINE double v_i0(double x) {
    double a = rt_magnitude_f64(x), v = v_i0e(x) * rt_exp_f64(a);
    return a == (double)INFINITY ? a : v;
}
RT_INLINE double v_i1(double x) {
    double a = rt_magnitude_f64(x), v = v_i1e(x) * rt_exp_f64(a);
    return a == (double)INFINITY ? x : v;
}
#endif
