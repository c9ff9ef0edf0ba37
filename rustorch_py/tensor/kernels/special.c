/* Special functions that libm lacks, in double. Series and asymptotic expansions from
 * F. W. J. Olver et al., NIST Handbook of Mathematical Functions (sections in the comments). */
#include <math.h>
#include <stdint.h>

static const double PI = 3.14159265358979323846;
/* B_2k / (2k)! for Euler-Maclaurin, k = 1..12 */
static const double B_OVER_FACT[12] = {
    8.3333333333333333e-02, -1.3888888888888889e-03, 3.3068783068783069e-05, -8.2671957671957672e-07,
    2.0876756987868099e-08, -5.2841901386874932e-10, 1.3382536530684679e-11, -3.3896802963225829e-13,
    8.5860620562778446e-15, -2.1748686985580619e-16, 5.5090028283602295e-18, -1.3954464685812523e-19};

/* psi(x): reflection 5.5.4, recurrence 5.5.2 up to x >= 10, asymptotic 5.11.2 */
double rt_digamma(double x) {
    if (x == 0) return copysign(INFINITY, -x);
    if (x != x || x == INFINITY) return x;
    double extra = 0;
    if (x < 0) {
        double ip, f = modf(x, &ip);
        if (f == 0 || x == -INFINITY) return NAN;
        extra = -PI / tan(PI * f);
        x = 1 - x;
    }
    while (x < 10) { extra -= 1 / x; x += 1; }
    double z = 1 / (x * x);
    double s = z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
    return extra + log(x) - 0.5 / x - s;
}

/* Hurwitz zeta by Euler-Maclaurin, 25.11.5 */
double rt_zeta(double s, double q) {
    if (s != s || q != q) return NAN;
    if (s == 1) return INFINITY;
    if (s < 1) return NAN;
    if (q <= 0) {
        if (q == floor(q)) return INFINITY;
        if (s != floor(s)) return NAN;
    }
    double sum = 0, a = q;
    int n = 0;
    while (n < 12 || a < 12) {
        double t = pow(a, -s);
        sum += t;
        a += 1; n++;
        if (a > 1 && fabs(t) < 1e-17 * fabs(sum)) return sum;
        if (n > 100000) return NAN;
    }
    double t = pow(a, -s);
    sum += t * a / (s - 1) + 0.5 * t;
    double f = s * t / a;
    for (int k = 0; k < 12; k++) {
        double add = B_OVER_FACT[k] * f;
        sum += add;
        if (fabs(add) < 1e-17 * fabs(sum)) break;
        f *= (s + 2 * k + 1) * (s + 2 * k + 2) / (a * a);
    }
    return sum;
}

double rt_polygamma(double n, double x) {
    if (n == 0) return rt_digamma(x);
    if (n == 1 && x < 0.5) {                    /* reflection 5.15.6 keeps negative x accurate */
        if (x == floor(x)) return INFINITY;
        double s = sin(PI * (x - rint(x)));
        return PI * PI / (s * s) - rt_zeta(2, 1 - x);
    }
    return (fmod(n, 2) == 0 ? -1.0 : 1.0) * exp(lgamma(n + 1)) * rt_zeta(n + 1, x);
}

/* modified Bessel functions: power series 10.25.2 below 20, asymptotic 10.40.1 above; scaled by e^-|x| */
static double bessel_scaled(int order, double a) {
    if (a < 20) {
        double q = a * a / 4, term = order ? a / 2 : 1, sum = term;
        for (int k = 1; k < 200; k++) {
            term *= q / ((double)k * (k + order));
            sum += term;
            if (term < 1e-17 * sum) break;
        }
        return sum * exp(-a);
    }
    if (a == INFINITY) return 0;
    double mu = 4.0 * order * order, term = 1, sum = 1;
    for (int k = 1; k < 40; k++) {
        double next = -term * (mu - (2.0 * k - 1) * (2.0 * k - 1)) / (k * 8.0 * a);
        if (fabs(next) > fabs(term) || fabs(next) < 1e-17) break;
        term = next;
        sum += term;
    }
    return sum / sqrt(2 * PI * a);
}
double rt_i0e(double x) { return x != x ? x : bessel_scaled(0, fabs(x)); }
double rt_i1e(double x) { return x != x ? x : copysign(bessel_scaled(1, fabs(x)), x); }
static double bessel_full(int order, double a) {
    double e = exp(a / 2);                     /* in two factors: e^a may overflow before the product does */
    return bessel_scaled(order, a) * e * e;
}
double rt_i0(double x) { return x != x ? x : fabs(x) == INFINITY ? INFINITY : bessel_full(0, fabs(x)); }
double rt_i1(double x) { return x != x ? x : fabs(x) == INFINITY ? x : copysign(bessel_full(1, fabs(x)), x); }

/* e^{x^2} erfc(x): continued fraction 7.9.4 for large x */
double rt_erfcx(double x) {
    if (x != x) return x;
    if (x < 5) {
        if (x < -26.7) return INFINITY;
        return exp(x * x) * erfc(x);
    }
    if (x > 1e8) return 0.5641895835477563 / x;
    double f = x;
    for (int k = 60; k >= 1; k--) f = x + 0.5 * k / f;
    return 0.5641895835477563 / f;
}

/* quantile of the normal distribution: start of order 1e-9 (P. J. Acklam's rational form), one Halley step */
double rt_ndtri(double p) {
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01, -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00, -2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00};
    if (p != p || p < 0 || p > 1) return NAN;
    if (p == 0) return -INFINITY;
    if (p == 1) return INFINITY;
    double x;
    if (p < 0.02425 || p > 0.97575) {
        double q = sqrt(-2 * log(p < 0.5 ? p : 1 - p));
        x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) / ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
        if (p > 0.5) x = -x;
    } else {
        double q = p - 0.5, r = q * q;
        x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q / (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
    }
    for (int i = 0; i < 2; i++) {
        double e = x < 0 ? 0.5 * erfc(-x * 0.70710678118654752) - p : (1 - p) - 0.5 * erfc(x * 0.70710678118654752);
        double u = e * sqrt(2 * PI) * exp(x * x / 2);
        if (u != u || u - u != 0) break;
        x = x - u / (1 + x * u / 2);
    }
    return x;
}

double rt_log_ndtr(double x) {
    if (x < -1) return log(rt_erfcx(-x * 0.70710678118654752) / 2) - x * x / 2;
    return log1p(-erfc(x * 0.70710678118654752) / 2);
}

double rt_erfinv(double x) {
    if (x != x || fabs(x) > 1) return NAN;
    if (fabs(x) == 1) return copysign(INFINITY, x);
    if (fabs(x) < 1e-8) return x * 0.88622692545275801;
    double a = fabs(x);
    double y = -rt_ndtri((1 - a) / 2) * 0.70710678118654752;
    for (int i = 0; i < 2; i++) {                                  /* Halley, on erf itself: exact near 0 */
        double e = (a < 0.5 ? erf(y) - a : (1 - a) - erfc(y)) ;
        double u = e / (1.1283791670955126 * exp(-y * y));
        if (u != u || u - u != 0) break;
        y -= u / (1 + y * u);
    }
    return copysign(y, x);
}
