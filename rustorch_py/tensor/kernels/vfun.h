/* The functions of the operator table on arrays of floats, compiled once an instruction set: out[i] = f(x[i]) for a
 * multiple of RT_V (16 float32, 8 float64) elements. `out` may be an operand. */
#ifndef RUSTORCH_VFUN_H
#define RUSTORCH_VFUN_H
#include "rustorch/loops.h"

#define RT_VFUN1(X) X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sin) X(cos) X(tan) X(asin) X(acos) X(atan)       \
    X(sinh) X(cosh) X(tanh) X(asinh) X(acosh) X(atanh) X(sigmoid) X(silu) X(gelu) X(softplus1) X(erf) X(erfc) X(erfinv) X(erfcx) X(lgamma)      \
    X(digamma) X(i0) X(i0e) X(i1) X(i1e) X(ndtri) X(log_ndtr)
#define RT_VFUN2(X) X(floordiv) X(remainder) X(fmod) X(pow) X(hypot) X(nextafter) X(atan2) X(logaddexp) X(logaddexp2) X(xlogy)   \
    X(xlog1py) X(zeta) X(polygamma)

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif
#define RT_DECLARE1(name)                                                          \
    void RT_NAME(rt_v##name##_f32)(float *out, const float *x, int64_t n);         \
    void RT_NAME(rt_v##name##_f64)(double *out, const double *x, int64_t n);
#define RT_DECLARE2(name)                                                                           \
    void RT_NAME(rt_v##name##_f32)(float *out, const float *x, const float *y, int64_t n);          \
    void RT_NAME(rt_v##name##_f64)(double *out, const double *x, const double *y, int64_t n);
RT_VFUN1(RT_DECLARE1)
RT_VFUN2(RT_DECLARE2)
#undef RT_DECLARE1
#undef RT_DECLARE2
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
