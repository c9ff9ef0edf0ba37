/* rt_atomic_add(p, v): *p += v as one step, for every dtype but bool (whose type is uint8_t); native where the device has it, else by comparing and swapping. Complex
 * numbers add their parts one by one. Sums of floats depend on the order of arrival. */
#ifndef RUSTORCH_CUDA_ATOMIC_H
#define RUSTORCH_CUDA_ATOMIC_H
RT_INLINE void rt_atomic_or(rt_bool *p, rt_bool v) { if (v) *(volatile rt_bool *)p = 1; }        /* whoever writes, writes the same */
RT_INLINE void rt_atomic_add(float *p, float v) { RT_ATOMIC_ADD(p, v); }
RT_INLINE void rt_atomic_add(double *p, double v) { RT_ATOMIC_ADD(p, v); }
RT_INLINE void rt_atomic_add(int32_t *p, int32_t v) { RT_ATOMIC_ADD((int *)p, (int)v); }
RT_INLINE void rt_atomic_add(int64_t *p, int64_t v) { RT_ATOMIC_ADD((unsigned long long *)p, (unsigned long long)v); }
RT_INLINE void rt_atomic_add(uint8_t *p, uint8_t v) { rt_atomic(p, [=](uint8_t o) { return (uint8_t)(o + v); }); }
RT_INLINE void rt_atomic_add(int8_t *p, int8_t v) { rt_atomic(p, [=](int8_t o) { return (int8_t)(o + v); }); }
RT_INLINE void rt_atomic_add(int16_t *p, int16_t v) { rt_atomic(p, [=](int16_t o) { return (int16_t)(o + v); }); }
RT_INLINE void rt_atomic_add(rt_f16 *p, rt_f16 v) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
    asm volatile("red.add.noftz.f16 [%0], %1;" ::"l"(p), "h"(v.bits) : "memory");
#else
    rt_atomic(p, [=](rt_f16 o) { return rt_f32_to_f16(rt_f16_to_f32(o) + rt_f16_to_f32(v)); });
#endif
}
RT_INLINE void rt_atomic_add(rt_bf16 *p, rt_bf16 v) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("red.add.noftz.bf16 [%0], %1;" ::"l"(p), "h"(v.bits) : "memory");
#else
    rt_atomic(p, [=](rt_bf16 o) { return rt_f32_to_bf16(rt_bf16_to_f32(o) + rt_bf16_to_f32(v)); });
#endif
}
RT_INLINE void rt_atomic_add(rt_c64 *p, rt_c64 v) {
    RT_ATOMIC_ADD((float *)p, rt_re_c64(v));
    RT_ATOMIC_ADD((float *)p + 1, rt_im_c64(v));
}
RT_INLINE void rt_atomic_add(rt_c128 *p, rt_c128 v) {
    RT_ATOMIC_ADD((double *)p, rt_re_c128(v));
    RT_ATOMIC_ADD((double *)p + 1, rt_im_c128(v));
}
#endif
