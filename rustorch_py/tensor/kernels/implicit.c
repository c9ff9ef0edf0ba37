/* Implicit reparameterisation (M. Figurnov, S. Mohamed, A. Mnih, Implicit reparameterization gradients, 2018):
 *     F(x; a) = const   =>   dx/da = -(dF/da) / density(x).
 * F is written as density * (series or continued fraction), so that the density cancels and nothing under- or overflows;
 * dF/da comes from carrying the derivative by a along the terms (R. J. Moore, Algorithm AS 187, 1982; R. J. Boik &
 * J. F. Robison-Cox, Derivatives of the incomplete beta function, 1998). Sections are those of the NIST Handbook. */
#include <math.h>
#include "rustorch/math.h"
#include "implicit.h"

/* A value and its derivative by a. */
typedef struct { double v, d; } Dual;

/* One step of Lentz's method for K(num / den): next c and d, and the factor c * d for the convergents. */
static Dual lentz(Dual *c, Dual *d, Dual num, Dual den) {
    Dual low = {num.v * d->v + den.v, num.d * d->v + num.v * d->d + den.d};
    Dual high = {den.v + num.v / c->v, den.d + num.d / c->v - num.v * c->d / (c->v * c->v)};
    if (fabs(low.v) < 1e-300) low.v = 1e-300;
    if (fabs(high.v) < 1e-300) high.v = 1e-300;
    d->v = 1 / low.v;
    d->d = -low.d * d->v * d->v;
    *c = high;
    return (Dual){c->v * d->v, c->d * d->v + c->v * d->d};
}

static int settled(Dual step) { return fabs(step.v - 1) < 1e-15 && fabs(step.d) < 1e-15; }

/* Large a: P(a, x) = erfc(-eta0 sqrt(a / 2)) / 2 with eta0 = eta - e1(eta) / a + O(a^-2) (8.12(i); N. M. Temme, Asymptotic
 * inversion of incomplete gamma functions, 1992). A fixed quantile fixes eta0 sqrt(a), which gives d(eta)/da. */
static double gamma_large(double a, double x) {
    static const double series[] = {-1.0 / 3, 1.0 / 36, 1.0 / 1620, -7.0 / 6480, 5.0 / 18144, -11.0 / 382725, -101.0 / 16329600};
    double lambda = x / a, mu = (x - a) / a;
    double eta = copysign(sqrt(2 * fmax(mu - log1p(mu), 0)), mu), e1 = 0, slope = 0;
    if (fabs(mu) < 1e-4) eta = mu * (1 - mu / 3 + 7 * mu * mu / 36);
    if (fabs(eta) < 0.08)
        for (int k = 6; k >= 0; k--) {
            slope = slope * eta + e1;
            e1 = e1 * eta + series[k];
        }
    else {
        e1 = log(eta / mu) / eta;
        slope = (1 / eta - eta * lambda / (mu * mu)) / eta - e1 / eta;
    }
    double deta = -(eta / (2 * a) + e1 / (2 * a * a)) / (1 - slope / a);
    double dlambda = fabs(mu) < 1e-4 ? 1 + 2 * eta / 3 + eta * eta / 12 : lambda * eta / mu;      /* by eta */
    return lambda + a * dlambda * deta;
}

double rt_implicit_gamma(double a, double x) {
    if (isnan(a) || isnan(x) || a < 0 || x < 0) return NAN;
    if (a == 0 || x == 0) return 0;
    if (isinf(a) || isinf(x)) return 1;
    if (a > 10000) return gamma_large(a, x);
    double log_x = log(x), psi1 = rt_digamma(a + 1);           /* psi(a) = psi(a + 1) - 1 / a */
    if (x < a + 1) {                                           /* 8.11.4: P = density * x * sum x^n / (a)_(n+1) */
        double term = 1 / a, inverse = 1 / a, rest = 0, slope = 0;
        for (int k = 1; k < 20000; k++) {                      /* the term 1 / a is apart: it cancels 1 / a^2 for small a */
            term *= x / (a + k);
            inverse += 1 / (a + k);
            rest += term;
            slope -= term * inverse;
            if (term * (1 + inverse) < 1e-17 * rest) break;
        }
        return -x * ((log_x - psi1) / a + (log_x - psi1 + 1 / a) * rest + slope);
    }
    Dual den = {x + 1 - a, -1}, c = {1e300, 0}, d = {1 / den.v, 1 / (den.v * den.v)}, h = d;    /* 8.9.2: Q = density * x * h */
    for (int k = 1; k < 20000; k++) {
        den.v += 2;
        Dual step = lentz(&c, &d, (Dual){-k * (k - a), k}, den);
        h.d = h.d * step.v + h.v * step.d;
        h.v *= step.v;
        if (settled(step)) break;
    }
    return x * ((log_x - psi1 + 1 / a) * h.v + h.d);
}

/* The fraction C of 8.17.22, I_x(p, q) = density * x (1 - x) C / p; (dp, dq) says which parameter is `a`. */
static Dual beta_fraction(double x, double p, double q, double dp, double dq) {
    Dual c = {1, 0}, d, one = {1, 0}, h;
    double v = 1 - (p + q) * x / (p + 1);
    if (fabs(v) < 1e-300) v = 1e-300;
    d.v = 1 / v;
    d.d = x * ((dp + dq) / (p + 1) - (p + q) * dp / ((p + 1) * (p + 1))) * d.v * d.v;
    h = d;
    for (int m = 1; m < 100000; m++) {
        double s = p + 2 * m, t;
        t = m * x / ((s - 1) * s);
        Dual step = lentz(&c, &d, (Dual){(q - m) * t, t * (dq - (q - m) * dp * (1 / (s - 1) + 1 / s))}, one);
        h.d = h.d * step.v + h.v * step.d;
        h.v *= step.v;
        t = -x / (s * (s + 1));
        Dual num = {(p + m) * (p + q + m) * t, 0};
        num.d = t * (dp * (p + q + m) + (p + m) * (dp + dq)) - num.v * dp * (1 / s + 1 / (s + 1));
        step = lentz(&c, &d, num, one);
        h.d = h.d * step.v + h.v * step.d;
        h.v *= step.v;
        if (settled(step)) break;
    }
    return h;
}

double rt_implicit_beta(double x, double a, double total) {
    double b = total - a;
    if (isnan(x) || isnan(a) || isnan(b) || a < 0 || b < 0 || x < 0 || x > 1) return NAN;
    if (x == 0 || a == 0) return 0;
    double slope = log(x) + rt_digamma(total) - rt_digamma(a + 1);        /* d log(density) / da - 1 / a */
    if (x <= (a + 1) / (total + 2) || b == 0) {
        Dual c = beta_fraction(x, a, b, 1, 0);
        return -x * (slope * c.v + c.d) / a;                              /* 1 / a and d(C / a) cancel */
    }
    Dual c = beta_fraction(1 - x, b, a, 0, 1);
    return x * ((slope + 1 / a) * c.v + c.d) / b;
}

void rt_implicit_gamma_n(const double *a, const double *x, double *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = rt_implicit_gamma(a[i], x[i]);
}

void rt_implicit_beta_n(const double *x, const double *a, const double *total, double *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = rt_implicit_beta(x[i], a[i], total[i]);
}
