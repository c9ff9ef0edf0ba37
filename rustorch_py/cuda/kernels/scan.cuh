// types: T = ints floats complex; K = 0 1
/* Running sums (K = 0) and products (1): scan.h. */
#include "scan.h"
#if K == 0
RT_SCAN_KERNELS(RT_NAME(walk), RT_NAME(totals), RT_NAME(carry), RT_NAME(chunks), ([](T_C x, T_C y) -> T_C { return x + y; }), ((T_C)0))
#else
RT_SCAN_KERNELS(RT_NAME(walk), RT_NAME(totals), RT_NAME(carry), RT_NAME(chunks), ([](T_C x, T_C y) -> T_C { return x * y; }), ((T_C)1))
#endif
