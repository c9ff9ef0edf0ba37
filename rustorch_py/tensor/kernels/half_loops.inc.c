/* Elementwise loops over 16-bit floats.
 *
 * Note [16-bit loops]
 * Where conversion, arithmetic and rounding are one function, memory is read and written as evenly as by a loop of the type itself (bfloat16
 * add of 1e6: 1.15 times as fast as by blocks of 256 through four functions). Operands are dense; one that does not move is a float32 number.
 * With AVX-512, rows and derivatives whose functions have a register form (render.V16) run in registers (half_v16.h). Elsewhere rows that are
 * cheap beside the conversions widen a block of RT_H elements, compute it and round it. The vectors of the row's text are as wide as those of
 * the conversions (so this is no ew_ file, see setup.py): a wide load of what two narrow stores have just written waits for both to leave the
 * core, 1.4 times the time. */
#include "ew_common.h"
#if defined(__AVX512BW__)
#include "half_v16.h"
#define RT_H_TEXT "_gen/loops_v16.h"
#else
#include "half_lines.h"
#define RT_T float
#define RT_R float
#define RT_TTAG f32
#include "ew_type.h"
#define RT_H 64
#if defined(__F16C__)
#define RT_H_LINE RT_INLINE
#else
#define RT_H_LINE static __attribute__((noinline))     /* scalar code, long */
#endif
#define RT_H_LINES(tag, S)                                                                                 \
    RT_H_LINE void load_##tag(float *d, const char *from, int64_t b, int64_t m) {                          \
        const S *s = (const S *)from + b;                                                                  \
        int64_t i = m == RT_H ? widen_##tag(d, s, RT_H) : 0;                                               \
        for (; i < m; i++) d[i] = rt_##tag##_to_f32(s[i]);                                                 \
        for (; i < RT_H; i++) d[i] = 0;                                                                    \
    }                                                                                                      \
    RT_H_LINE void store_##tag(char *to, int64_t b, const float *s, int64_t m) {                           \
        S *d = (S *)to + b;                                                                                \
        int64_t i = m == RT_H ? narrow_##tag(d, s, RT_H) : 0;                                              \
        for (; i < m; i++) d[i] = rt_f32_to_##tag(s[i]);                                                   \
    }
RT_H_LINES(f16, rt_f16)
RT_H_LINES(bf16, rt_bf16)
#define RT_H_FIXED(x, a) if (!s_[a]) for (int i_ = 0; i_ < RT_H; i_++) x[i_] = *(const float *)p_[a];
#define RT_H_EACH(...) RT_IVDEP for (int i_ = 0; i_ < RT_H; i_++) __VA_ARGS__
#define RT_H_TEXT "_gen/loops_h.h"
#endif
#define H(name) RT_CAT(name, f16)
#include RT_H_TEXT
#undef H
#define H(name) RT_CAT(name, bf16)
#include RT_H_TEXT

/* abs and neg of 16-bit floats change one bit, and need no float32 in between */
#define BITS16(name, expr)                                                                              \
    static void name(char **p, const int64_t *s, int64_t n, const double *k) {                          \
        (void)k;                                                                                        \
        if (s[0] == 2 && s[1] == 2) {                                                                   \
            uint16_t *out = (uint16_t *)p[0];                                                           \
            const uint16_t *in = (const uint16_t *)p[1];                                                \
            RT_IVDEP for (int64_t i = 0; i < n; i++) { uint16_t x = in[i]; out[i] = (uint16_t)(expr); } \
            return;                                                                                     \
        }                                                                                               \
        for (int64_t i = 0; i < n; i++) { uint16_t x = *(const uint16_t *)(p[1] + i * s[1]); *(uint16_t *)(p[0] + i * s[0]) = (uint16_t)(expr); } \
    }
BITS16(abs16, x & 0x7fff)
BITS16(neg16, x ^ 0x8000)
const RtLoop RT_NAME(rt_bits16)[2] = {abs16, neg16};
