/* Special functions that are not rows of the table. */
#ifndef RUSTORCH_BESSEL_H
#define RUSTORCH_BESSEL_H
#include <stdint.h>
enum { RT_AIRY_AI, RT_J0, RT_J1, RT_Y0, RT_Y1, RT_K0, RT_K1, RT_K0E, RT_K1E, RT_SPHERICAL_J0 };
enum { RT_IGAMMA, RT_IGAMMAC, RT_CHEBYSHEV_T, RT_CHEBYSHEV_U, RT_CHEBYSHEV_V, RT_CHEBYSHEV_W, RT_SHIFTED_T, RT_SHIFTED_U,
       RT_SHIFTED_V, RT_SHIFTED_W, RT_HERMITE_H, RT_HERMITE_HE, RT_LAGUERRE_L, RT_LEGENDRE_P };
/* One array: of double, or of float (wide: 0), in and out; computed in double. */
typedef void (*RtBessel)(int which, int wide, const void *x, int64_t n, void *out, int threads);
/* Two. limit: degree above which Hermite polynomials are NaN, as they overflow the dtype; 128 and less: the results are rounded to float */
typedef void (*RtSpecial2)(int which, const double *a, const double *b, int64_t n, double limit, double *out, int threads);
typedef struct { RtBessel one; RtSpecial2 two; } RtBesselTable;
#endif
