/* Elementwise loops over 16-bit floats, for the rows that are cheap beside the conversions.
 *
 * Note [16-bit loops]
 * A block of RT_H elements is widened to float32, computed by the row's text, and rounded, within one function: memory is
 * read and written as evenly as by a loop of the type itself (bfloat16 add of 1e6: 1.15 times as fast as by blocks of 256 through
 * four functions, 1.6 times as by blocks of 1024). Operands are dense; one that does not move is a float32 number.
 * The vectors of the row's text are as wide as those of the conversions (so this is no ew_ file, see setup.py): a wide load of what
 * two narrow stores have just written waits for both to leave the core, 1.4 times the time. */
#include "ew_common.h"
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
#define H(name) RT_CAT(name, f16)
#include "_gen/loops_h.h"
#undef H
#define H(name) RT_CAT(name, bf16)
#include "_gen/loops_h.h"
