#ifndef RT_EW_COMMON_H
#define RT_EW_COMMON_H
#include "rustorch/math.h"
#include "_gen/rt_rows.h"
#if defined(__clang__)
#define RT_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
/* operands are either the very same elements or disjoint: an exact overlap carries no dependence */
#define RT_IVDEP _Pragma("GCC ivdep")
#else
#define RT_IVDEP
#endif
#endif
