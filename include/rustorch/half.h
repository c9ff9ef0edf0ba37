/* 16-bit floats: exact widening, round-to-nearest-even narrowing. */
#ifndef RUSTORCH_HALF_H
#define RUSTORCH_HALF_H
#include <string.h>
#include "dtype.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

static inline float rt_bf16_to_f32(rt_bf16 h) {
    uint32_t u = (uint32_t)h.bits << 16; float f; memcpy(&f, &u, 4); return f;
}
static inline rt_bf16 rt_f32_to_bf16(float f) {
    uint32_t u; memcpy(&u, &f, 4);
    rt_bf16 h;
    uint32_t r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    uint32_t nan = ((u >> 16) | 0x40u);
    h.bits = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : r);
    return h;
}
#if defined(__F16C__)
static inline float rt_f16_to_f32(rt_f16 h) { return _cvtsh_ss(h.bits); }
static inline rt_f16 rt_f32_to_f16(float f) {
    rt_f16 h; h.bits = _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT); return h;
}
#elif defined(__ARM_FP16_FORMAT_IEEE) || defined(__aarch64__)
static inline float rt_f16_to_f32(rt_f16 h) { __fp16 x; memcpy(&x, &h, 2); return (float)x; }
static inline rt_f16 rt_f32_to_f16(float f) { __fp16 x = (__fp16)f; rt_f16 h; memcpy(&h, &x, 2); return h; }
#else
static inline float rt_f16_to_f32(rt_f16 h) {
    uint32_t sign = (uint32_t)(h.bits & 0x8000u) << 16, em = h.bits & 0x7fffu, u;
    float f;
    if (em >= 0x7c00u) u = sign | 0x7f800000u | (em & 0x3ffu) << 13 | (em > 0x7c00u ? 0x400000u : 0u);
    else if (em >= 0x400u) u = sign | ((em << 13) + (112u << 23));
    else { f = (float)em * 5.9604644775390625e-08f; memcpy(&u, &f, 4); u |= sign; }   /* em * 2^-24 */
    memcpy(&f, &u, 4);
    return f;
}
static inline rt_f16 rt_f32_to_f16(float f) {
    uint32_t u; memcpy(&u, &f, 4);
    uint32_t sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    rt_f16 h;
    if (a > 0x7f800000u) h.bits = (uint16_t)(sign | 0x7e00u | ((a >> 13) & 0x3ffu));
    else if (a >= 0x477ff000u) h.bits = (uint16_t)(sign | 0x7c00u);
    else if (a >= 0x38800000u) h.bits = (uint16_t)(sign | ((a + 0xfffu + ((a >> 13) & 1u) - (112u << 23)) >> 13));
    else {                                             /* subnormal: let the FPU round */
        float x; memcpy(&x, &a, 4); x += 0.5f;         /* ulp of 0.5f is 2^-24 */
        uint32_t v; memcpy(&v, &x, 4);
        h.bits = (uint16_t)(sign | (v - 0x3f000000u));
    }
    return h;
}
#endif
#endif
