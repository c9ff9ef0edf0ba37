/* Derivatives of a sample by its distribution's parameter, at fixed quantile; see implicit.c. */
#ifndef RUSTORCH_IMPLICIT_H
#define RUSTORCH_IMPLICIT_H
#include <stdint.h>
/* dx/da of x ~ Gamma(a, 1) */
double rt_implicit_gamma(double a, double x);
/* dx/da / (1 - x) of x ~ Beta(a, total - a), total - a held fixed */
double rt_implicit_beta(double x, double a, double total);
void rt_implicit_gamma_n(const double *a, const double *x, double *out, int64_t n);
void rt_implicit_beta_n(const double *x, const double *a, const double *total, double *out, int64_t n);
#endif
