// types: T = floats complex
/* Running logarithms of sums of exponentials: scan.h. */
#include "scan.h"
/* log(exp(a) + exp(b)), shifted by the one with the larger real part; infinities and NaN as IEEE addition would */
#if T_KIND == 3
RT_INLINE T_C RT_NAME(add)(T_C x, T_C y) {
    const auto low = -T_F(re)((T_C)INFINITY);
    if (T_F(re)(x) == low) return y;
    const T_C hi = T_F(re)(x) > T_F(re)(y) ? x : y, lo = T_F(re)(x) > T_F(re)(y) ? y : x;
    if (T_F(re)(lo) == low) return hi;
    return hi + T_F(log)((T_C)1 + T_F(exp)(lo - hi));
}
#else
RT_INLINE T_C RT_NAME(add)(T_C x, T_C y) {
    if (x != x || y != y) return x + y;
    const T_C hi = x > y ? x : y, lo = x > y ? y : x;
    if (hi == lo && !(hi - hi == 0)) return hi;                 /* both +inf or both -inf */
    return hi + T_F(log1p)(T_F(exp)(lo - hi));
}
#endif
RT_SCAN_KERNELS(RT_NAME(walk), RT_NAME(totals), RT_NAME(carry), RT_NAME(chunks), ([](T_C x, T_C y) -> T_C { return RT_NAME(add)(x, y); }),
                ((T_C)-INFINITY))
