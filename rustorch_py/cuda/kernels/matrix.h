/* Numbers of matrices, real or complex, and their sums over warps and blocks. */
#ifndef RUSTORCH_CUDA_MATRIX_H
#define RUSTORCH_CUDA_MATRIX_H
#include "block.h"
namespace rt_matrix {
template <class V> struct Real { typedef V type; };
template <> struct Real<rt_c64> { typedef float type; };
template <> struct Real<rt_c128> { typedef double type; };

RT_INLINE float conj_of(float x) { return x; }
RT_INLINE double conj_of(double x) { return x; }
RT_INLINE rt_c64 conj_of(rt_c64 x) { return rt_conj_c64(x); }
RT_INLINE rt_c128 conj_of(rt_c128 x) { return rt_conj_c128(x); }
RT_INLINE float real_of(float x) { return x; }
RT_INLINE double real_of(double x) { return x; }
RT_INLINE float real_of(rt_c64 x) { return x.re; }
RT_INLINE double real_of(rt_c128 x) { return x.re; }
RT_INLINE float square_of(float x) { return x * x; }
RT_INLINE double square_of(double x) { return x * x; }
RT_INLINE float square_of(rt_c64 x) { return x.re * x.re + x.im * x.im; }
RT_INLINE double square_of(rt_c128 x) { return x.re * x.re + x.im * x.im; }
RT_INLINE float size_of(float x) { return rt_abs_f32(x); }                 /* |re| + |im|, as LAPACK chooses pivots */
RT_INLINE double size_of(double x) { return rt_abs_f64(x); }
RT_INLINE float size_of(rt_c64 x) { return rt_abs_f32(x.re) + rt_abs_f32(x.im); }
RT_INLINE double size_of(rt_c128 x) { return rt_abs_f64(x.re) + rt_abs_f64(x.im); }
RT_INLINE float root(float x) { return rt_sqrt_f32(x); }
RT_INLINE double root(double x) { return rt_sqrt_f64(x); }
RT_INLINE float times(float x, float s) { return x * s; }
RT_INLINE double times(double x, double s) { return x * s; }
RT_INLINE rt_c64 times(rt_c64 x, float s) { return rt_c64(x.re * s, x.im * s); }
RT_INLINE rt_c128 times(rt_c128 x, double s) { return rt_c128(x.re * s, x.im * s); }
template <class V> RT_INLINE auto modulus(V x) { return root(square_of(x)); }

template <class V> RT_INLINE V warp_sum(V v) { return rt_warp_reduce(v, [](V x, V y) { return x + y; }); }
template <class V> RT_INLINE V block_sum(V v) { return rt_block_reduce(v, [](V x, V y) { return x + y; }, V(0)); }
}
#endif
