/* Before every kernel: the house's scalar functions (include/rustorch/math.h, device functions here) and how a kernel is declared.
 * RT_KERNEL(name, Args) opens a kernel of one struct; the software device spells the macros its own way. */
#include "rustorch/math.h"
#include "rustorch/half.h"
#include "plan.h"

#ifndef RT_KERNEL
#define RT_KERNEL(name, Args) extern "C" __global__ void __launch_bounds__(256) name(const Args a)
#define RT_SHARED(T, name, n) __shared__ T name[n]
#define RT_SYNC() __syncthreads()
#endif

template <class T, int V> struct alignas(sizeof(T) * V) RtPack { T v[V]; };
RT_INLINE int64_t rt_to_i64(double v) { return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN; }
