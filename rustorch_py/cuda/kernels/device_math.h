/* What a GPU does better than the portable text (rustorch/math.h, rustorch/half.h): conversions of 16-bit floats are one instruction, and
 * the common float32 functions are NVIDIA's, of 1 or 2 ULP, so that kernels that read and write memory wait for memory and not for
 * arithmetic. Included by prelude.cuh for NVRTC only; calls by the portable names, as F(name) and T_F(name) make them, come here. */
#ifndef RUSTORCH_CUDA_DEVICE_MATH_H
#define RUSTORCH_CUDA_DEVICE_MATH_H
#define RUSTORCH_HALF_H                             /* takes its place */
RT_INLINE float rt_bf16_to_f32(rt_bf16 h) { return __uint_as_float((uint32_t)h.bits << 16); }
RT_INLINE rt_bf16 rt_f32_to_bf16(float f) {
    rt_bf16 h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
}
RT_INLINE float rt_f16_to_f32(rt_f16 h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
    return f;
}
RT_INLINE rt_f16 rt_f32_to_f16(float f) {
    rt_f16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
}

/* 1 / x to 1 ULP */
RT_INLINE float rt_device_inverse(float x) {
    float v;
    asm("rcp.approx.f32 %0, %1;" : "=f"(v) : "f"(x));
    return v;
}
RT_INLINE float rt_device_sigmoid(float x) { return rt_device_inverse(1.0f + expf(-x)); }
RT_INLINE float rt_device_silu(float x) { return x * rt_device_sigmoid(x); }
RT_INLINE float rt_device_gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f)); }
RT_INLINE float rt_device_softplus(float x) { return x != x ? x : fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
/* for what is rounded to 16 bits: relative error of 2^-17 where results are large, 0 below 2^-126 */
RT_INLINE float rt_rough_exp(float x) {
    float v;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(v) : "f"(x * 1.44269504088896340736f));
    return v;
}
RT_INLINE float rt_rough_sigmoid(float x) { return rt_device_inverse(1.0f + rt_rough_exp(-x)); }
RT_INLINE float rt_rough_silu(float x) { return x * rt_rough_sigmoid(x); }
/* x - |x| P(Z < -|x|), and the chance as exp(-x x / 2) times a polynomial of 1 / (1 + 0.38 |x|), fitted by least squares to a relative error of 4e-5 */
RT_INLINE float rt_rough_gelu(float x) {
    const float a = fabsf(x), t = rt_device_inverse(fmaf(0.38f, a, 1.0f));
    float q = fmaf(t, -0.0899261f, 0.18887142f);
    q = fmaf(q, t, 0.09198374f);
    q = fmaf(q, t, 0.15782816f);
    q = fmaf(q, t, 0.15122529f);
    const float v = fmaf(-a, q * t * rt_rough_exp(a * a * -0.5f), x < 0.0f ? 0.0f : x);
    return x > 16.0f ? x : v;
}
RT_INLINE float rt_rough_sqrt(float x) {
    float v;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(v) : "f"(x));
    return v;
}
RT_INLINE float rt_rough_quotient(float x, float y) { return x * rt_device_inverse(y); }
#define rt_fmax_f32(x, y) fmaxf(x, y)
#define rt_fmin_f32(x, y) fminf(x, y)
#define rt_exp_f32(x) expf(x)
#define rt_exp2_f32(x) exp2f(x)
#define rt_expm1_f32(x) expm1f(x)
#define rt_tanh_f32(x) tanhf(x)
#define rt_log_f32(x) logf(x)
#define rt_log2_f32(x) log2f(x)
#define rt_log10_f32(x) log10f(x)
#define rt_log1p_f32(x) log1pf(x)
#define rt_erf_f32(x) erff(x)
#define rt_erfc_f32(x) erfcf(x)
#define rt_sigmoid_f32(x) rt_device_sigmoid(x)
#define rt_silu_f32(x) rt_device_silu(x)
#define rt_gelu_f32(x) rt_device_gelu(x)
#define rt_softplus1_f32(x) rt_device_softplus(x)
#endif
