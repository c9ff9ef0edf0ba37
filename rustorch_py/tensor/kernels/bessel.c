/* Bessel, Airy, incomplete gamma functions and orthogonal polynomials of one double: what CUDA compiles too.
 * Formula numbers: NIST Digital Library of Mathematical Functions (DLMF). */
#include <math.h>
#include "bessel.h"
#include "bessel_tables.h"
#include "rustorch/loops.h"

static const double PI = 3.14159265358979323846;

/* Note [Bessel functions]
 * Near the origin polynomials over short intervals, found by a table (bessel_tables.h); far from it expansions in 1 / x times what oscillates
 * or decays. Each costs a dozen or two of products, a series some hundred. Errors are some units of the last place, near zeros of the largest
 * value nearby. */
#ifdef __FMA__
#define JOINED(a, b, c) __builtin_fma(a, b, c)
#else
#define JOINED(a, b, c) ((a) * (b) + (c))
#endif
RT_INLINE double poly(const double *c, int n, double t) {         /* even and odd powers apart: half the way from product to product */
    double t2 = t * t, even = c[n - 2], odd = c[n - 1];           /* n is even */
    for (int k = n - 4; k >= 0; k -= 2) { even = JOINED(even, t2, c[k]); odd = JOINED(odd, t2, c[k + 1]); }
    return JOINED(t, odd, even);
}
/* On intervals of length 1 from `first` on. */
#define ON_UNITS(table, first, x) poly(table[(int)floor(x) - (first)], (int)(sizeof table[0] / sizeof(double)), 2 * ((x) - floor(x)) - 1)
#define BETWEEN(table, k, t, lo, hi) poly(table[k], (int)(sizeof table[0] / sizeof(double)), ((t) - (lo)) * (2 / ((hi) - (lo))) - 1)

/* J and Y of order 0 and 1 for x >= 8: Hankel's expansions, DLMF 10.17.3 and 10.17.4. */
static double far_bessel(int order, int second, double x) {
    double u = 64 / (x * x), s = sin(x), c = cos(x), plus = s + c, minus = s - c, p, q;
    if (u <= 0.25) { p = BETWEEN((order ? P1 : P0), 0, u, 0, 0.25); q = BETWEEN((order ? Q1 : Q0), 0, u, 0, 0.25); }
    else { p = BETWEEN((order ? P1 : P0), 1, u, 0.25, 1); q = BETWEEN((order ? Q1 : Q0), 1, u, 0.25, 1); }
    q /= x;
    double of_p = order == second ? plus : minus, of_q = order == second ? minus : plus;
    double v = order ? (second ? q * of_q - p * of_p : p * of_p + q * of_q) : second ? p * of_p + q * of_q : p * of_p - q * of_q;
    return v / sqrt(PI * x);
}
/* For 0 <= |x| < 8, of Y 0 < x < 8; no branches. */
RT_INLINE double near_j(int order, double x) {
    double a = fabs(x);
    return order ? x * ON_UNITS(J1, 0, a) : ON_UNITS(J0, 0, a);
}
RT_INLINE double near_y(int order, double x) {
    return order ? (log(x) * near_j(1, x) - 1 / x) * (2 / PI) + x * ON_UNITS(R1, 0, x) : log(x) * near_j(0, x) * (2 / PI) + ON_UNITS(R0, 0, x);
}
static double bessel_j(int order, double x) {
    double a = fabs(x);
    if (a < 8) return near_j(order, x);
    double v = isinf(a) ? 0 : far_bessel(order, 0, a);
    return order && x < 0 ? -v : v;
}
static double bessel_y(int order, double x) {
    if (x == 0) return -INFINITY;
    if (!(x > 0)) return NAN;
    return x < 8 ? near_y(order, x) : isinf(x) ? 0 : far_bessel(order, 1, x);
}
static double k_nu(int nu, double x, int scaled) {
    if (x == 0) return INFINITY;
    if (!(x > 0)) return NAN;
    if (isinf(x)) return 0;
    if (x <= 1) {
        double q = x * x, v = nu ? 1 / x + x * (log(x) * poly(SMALL_K[2], 12, q) + poly(SMALL_K[3], 12, q))
                                 : poly(SMALL_K[1], 12, q) - log(x) * poly(SMALL_K[0], 12, q);
        return scaled ? v * exp(x) : v;
    }
    double t = 1 / x, v;
    if (t <= 0.125) v = BETWEEN((nu ? K1 : K0), 0, t, 0, 0.125);
    else if (t <= 0.375) v = BETWEEN((nu ? K1 : K0), 1, t, 0.125, 0.375);
    else v = BETWEEN((nu ? K1 : K0), 2, t, 0.375, 1);
    v /= sqrt(x);
    return scaled ? v : v * exp(-x);
}

static double airy_ai(double x) {
    if (isnan(x)) return x;
    if (isinf(x)) return 0;
    if (x >= -12 && x < 2) return ON_UNITS(AIRY, -12, x);
    double y = fabs(x), root = sqrt(y), z = 2.0 / 3.0 * y * root, t = 1 / z;
    if (x > 0) return (t <= 0.15 ? BETWEEN(AIRY_FAR, 0, t, 0, 0.15) : BETWEEN(AIRY_FAR, 1, t, 0.15, 0.55)) * exp(-z) / sqrt(root);
    double even = poly(AIRY_U[0], 8, t * t), odd = poly(AIRY_U[1], 8, t * t) * t, s = sin(z), c = cos(z);       /* DLMF 9.7.9 */
    return ((c + s) * even + (s - c) * odd) / (sqrt(2 * PI) * sqrt(root));
}

RT_INLINE double bessel(int which, double x) {
    switch (which) {
    case RT_AIRY_AI: return airy_ai(x);
    case RT_J0: return bessel_j(0, x);
    case RT_J1: return bessel_j(1, x);
    case RT_Y0: return bessel_y(0, x);
    case RT_Y1: return bessel_y(1, x);
    case RT_K0: return k_nu(0, x, 0);
    case RT_K1: return k_nu(1, x, 0);
    case RT_K0E: return k_nu(0, x, 1);
    case RT_K1E: return k_nu(1, x, 1);
    default: return isinf(x) ? 0 : x == 0 ? 1 : sin(x) / x;
    }
}

/* x^a exp(-x) / Gamma(a) to 2^-33: Stirling's series (DLMF 5.11.1) from 8 on, up to there by the recurrence. */
static double short_front(double a, double x) {
    double b = a, shift = 1;
    for (; b < 8; b += 1) shift *= b;
    double t = 1 / b, u = t * t, rest = t * (1.0 / 12 - u * (1.0 / 360 - u * (1.0 / 1260 - u / 1680)));
    double power = b == a ? a * log(x / a) : a * log(x) - b * log(b);
    return shift * sqrt(b / (2 * PI)) * exp(power + (b - x) - rest);
}

/* P(a, x) (upper: Q = 1 - P): series DLMF 8.11.4, two terms a division; continued fraction 8.9.2 by its numerators and denominators, which
 * take none. wide: 0 for a result that is rounded to float. */
static double incomplete_gamma(double a, double x, int upper, int wide) {
    if (isnan(a) || isnan(x) || a < 0 || x < 0) return NAN;
    if (a == 0) return x > 0 ? !upper : NAN;
    if (x == 0) return upper;
    if (isinf(a)) return isinf(x) ? NAN : upper;
    if (isinf(x)) return !upper;
    const double tiny = wide ? 1e-17 : 3e-10;                      /* what no longer counts */
    double front = wide ? exp(a * log(x) - x - lgamma(a)) : short_front(a, x), value;
    int is_lower = x < a + 1;
    if (front == 0) return is_lower == upper;                      /* nothing is left of what would be multiplied, which may be infinite */
    if (is_lower) {
        double term = 1 / a, sum = term;
        for (int k = 1; k < 20000 && term > sum * tiny; k += 2) {
            double d = a + k, step = x * term / (d * (d + 1));
            sum += step * (d + 1 + x);
            term = step * x;
        }
        value = front * sum;
    } else {
        double b = x + 1 - a, p0 = 0, q0 = 1, p1 = 1, q1 = b;
        for (int k = 1; k < 20000; k++) {
            double an = -k * (k - a);
            b += 2;
            double p = b * p1 + an * p0, q = b * q1 + an * q0;
            p0 = p1; q0 = q1; p1 = p; q1 = q;
            if (fabs(p * q0 - p0 * q) <= (tiny + 1e-16) * fabs(p * q0)) break;
            if (fabs(q) > 1e100) { p0 *= 1e-100; q0 *= 1e-100; p1 *= 1e-100; q1 *= 1e-100; }
        }
        value = front * (p1 / q1);
    }
    return is_lower != upper ? value : 1 - value;
}

/* Three-term recurrences; which - RT_CHEBYSHEV_T picks the first kind's p_1 (DLMF 18.9). */
static double chebyshev(int kind, double x, int64_t n) {
    double p = 1, q, r;
    if (n < 0) return 0;
    if (fabs(x) == 1) {
        double sign = x > 0 || n % 2 == 0 ? 1 : -1;
        if (kind == 0) return sign;
        if (kind == 1) return sign * (double)(n + 1);
        if (kind == 2) return x > 0 ? 1 : sign * (double)(2 * n + 1);
        return x > 0 ? (double)(2 * n + 1) : sign;
    }
    if (n > 8 && fabs(x) < 1) {
        double t = acos(x);
        if (kind == 0) return cos((double)n * t);
        if (kind == 1) return sin((double)(n + 1) * t) / sin(t);
        if (kind == 2) return cos(((double)n + 0.5) * t) / cos(0.5 * t);
        return sin(((double)n + 0.5) * t) / sin(0.5 * t);
    }
    if (n == 0) return 1;
    q = kind == 0 ? x : kind == 1 ? 2 * x : kind == 2 ? 2 * x - 1 : 2 * x + 1;
    for (int64_t k = 2; k <= n && !isnan(q); k++) { r = 2 * x * q - p; p = q; q = r; }
    return q;
}
static double hermite(int probabilist, double x, int64_t n, double limit) {
    double p = 1, q = probabilist ? x : 2 * x, r;
    if (n < 0) return 0;
    if (n == 0) return 1;
    if ((double)n > limit) return NAN;
    for (int64_t k = 1; k < n && !isnan(q); k++) {
        r = probabilist ? x * q - (double)k * p : 2 * (x * q - (double)k * p);
        p = q; q = r;
    }
    return q;
}
static double laguerre(double x, int64_t n) {
    double p = 1, q = 1 - x, r;
    if (n < 0) return 0;
    if (x == 0 || n == 0) return 1;
    for (int64_t k = 1; k < n && !isnan(q); k++) { r = ((2 * (double)k + 1 - x) * q - (double)k * p) / ((double)k + 1); p = q; q = r; }
    return q;
}
static double legendre(double x, int64_t n) {
    double p = 1, q = x, r;
    if (n < 0) return 0;
    if (fabs(x) == 1) return x > 0 || n % 2 == 0 ? 1 : -1;
    if (n == 0) return 1;
    for (int64_t k = 1; k < n && !isnan(q); k++) { r = ((2 * (double)k + 1) * x * q - (double)k * p) / ((double)k + 1); p = q; q = r; }
    return q;
}

static double special2(int which, double a, double b, double limit) {
    if (which == RT_IGAMMA || which == RT_IGAMMAC) return incomplete_gamma(a, b, which == RT_IGAMMAC, limit > 128);
    if (isnan(b)) return NAN;
    if (isnan(a)) return (int64_t)b == 0 ? 1 : NAN;       /* p_0 is 1 everywhere */
    int64_t n = b > 1e15 ? (int64_t)1e15 : b < -1 ? -1 : (int64_t)b;
    if (which <= RT_CHEBYSHEV_W) return chebyshev(which - RT_CHEBYSHEV_T, a, n);
    if (which <= RT_SHIFTED_W) return chebyshev(which - RT_SHIFTED_T, 2 * a - 1, n);
    if (which == RT_HERMITE_H || which == RT_HERMITE_HE) return hermite(which == RT_HERMITE_HE, a, n, limit);
    return which == RT_LAGUERRE_L ? laguerre(a, n) : legendre(a, n);
}
