/* exp, sigmoid and tanh of whole float32 registers, for kernels whose loops are written by registers. The same
 * reductions and polynomials as rustorch/math.h (1 to 3 ULP); AVX-512 only, other sets take the scalar forms in loops
 * that the compiler vectorises. */
#ifndef RUSTORCH_VMATH_H
#define RUSTORCH_VMATH_H
#if defined(__AVX512F__)
#include <immintrin.h>
#include "rustorch/loops.h"

RT_INLINE __m512 rt_exp_v16(__m512 x) {
    const __m512 magic = _mm512_set1_ps(12582912.0f);           /* adding 1.5 * 2^23 rounds to an integer */
    __m512 c = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), x));   /* NaN passes both */
    __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(c, _mm512_set1_ps(1.44269504088896341f), magic), magic);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), c));
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, n);
}

/* 1 / x for x in [1, 2^100]: the 14-bit estimate and one Newton step; infinity gives 0 */
RT_INLINE __m512 rt_inverse_v16(__m512 x) {
    __m512 y = _mm512_rcp14_ps(x), e = _mm512_fnmadd_ps(x, y, _mm512_set1_ps(1.0f));
    return _mm512_fmadd_ps(y, _mm512_fmadd_ps(e, e, e), y);
}

RT_INLINE __m512 rt_sigmoid_v16(__m512 x) {                     /* below -88 it is e^x, which the estimate cannot reach */
    __m512 e = rt_exp_v16(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_max_ps(_mm512_set1_ps(-69.0f), x)));
    __m512 s = rt_inverse_v16(_mm512_add_ps(e, _mm512_set1_ps(1.0f)));
    __mmask16 far = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-69.0f), _CMP_LT_OQ);
    return __builtin_expect(far, 0) ? _mm512_mask_mov_ps(s, far, rt_exp_v16(x)) : s;
}

RT_INLINE __m512 rt_tanh_v16(__m512 x) {
    __m512 a = _mm512_abs_ps(x), z = _mm512_mul_ps(x, x), p = _mm512_set1_ps(-5.70498872745e-3f);
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(2.06390887954e-2f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-5.37397155531e-2f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.33314422036e-1f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-3.33332819422e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, z), x, x);
    __m512 e = rt_exp_v16(_mm512_min_ps(_mm512_set1_ps(20.0f), _mm512_add_ps(a, a)));      /* tanh(10) is 1 */
    __m512 big = _mm512_fnmadd_ps(_mm512_set1_ps(2.0f), rt_inverse_v16(_mm512_add_ps(e, _mm512_set1_ps(1.0f))), _mm512_set1_ps(1.0f));
    big = _mm512_or_ps(big, _mm512_and_ps(x, _mm512_set1_ps(-0.0f)));
    return _mm512_mask_mov_ps(big, _mm512_cmp_ps_mask(a, _mm512_set1_ps(0.625f), _CMP_LT_OQ), p);
}
#endif
#endif
