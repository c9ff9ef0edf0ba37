/* Conversions between any two dtypes that loops are compiled for, rt_cast[from][to](dst, dst step, src, src step, n), steps in
 * bytes. Float to integer truncates (out of range wraps through int64, NaN gives the lowest value);
 * anything to bool is "is not zero"; complex to real drops the imaginary part. */
#include "half_lines.h"
#include "cpu.h"

typedef float f32; typedef double f64;

RT_INLINE int64_t to_i64(double v) { return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN; }

#define LOAD_ID(v) (v)
#define LOAD_f16(v) rt_f16_to_f32(v)
#define LOAD_bf16(v) rt_bf16_to_f32(v)
#define LOAD_c64(v) (((const float *)&(v))[0])
#define LOAD_c128(v) (((const double *)&(v))[0])

/* In a loop that is to stay scalar: with strides its vector form would be text and no faster. */
#if defined(__GNUC__)
#define SCALAR __asm__ volatile ("")
#else
#define SCALAR
#endif

#define LOOP(NAME, S, D, EXPR)                                                                        \
    static void NAME(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {                 \
        if (ds == (int64_t)sizeof(D) && ss == (int64_t)sizeof(S)) {                                   \
            D *d = (D *)dst; const S *s = (const S *)src;                                             \
            for (int64_t i = 0; i < n; i++) { const S v = s[i]; d[i] = (D)(EXPR); }                   \
            return; }                                                                                 \
        for (int64_t i = 0; i < n; i++) { SCALAR; const S v = *(const S *)(src + i * ss); *(D *)(dst + i * ds) = (D)(EXPR); } }
#define LOOPX(NAME, S, D, STORE)                                                                      \
    static void NAME(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {                 \
        if (ds == (int64_t)sizeof(D) && ss == (int64_t)sizeof(S)) {                                   \
            D *d = (D *)dst; const S *s = (const S *)src;                                             \
            for (int64_t i = 0; i < n; i++) { const S v = s[i]; D *o = d + i; STORE; }                \
            return; }                                                                                 \
        for (int64_t i = 0; i < n; i++) { SCALAR; const S v = *(const S *)(src + i * ss); D *o = (D *)(dst + i * ds); STORE; } }

/* from an integer or bool */
#define FROM_INT(s, S)                                                    \
    LOOP(s##_b8, S, rt_bool, v != 0)                                      \
    LOOP(s##_u8, S, uint8_t, v) LOOP(s##_i8, S, int8_t, v) LOOP(s##_i16, S, int16_t, v)            \
    LOOP(s##_i32, S, int32_t, v) LOOP(s##_i64, S, int64_t, v)             \
    LOOPX(s##_f16, S, rt_f16, *o = rt_f32_to_f16((float)v)) LOOPX(s##_bf16, S, rt_bf16, *o = rt_f32_to_bf16((float)v)) \
    LOOP(s##_f32, S, float, v) LOOP(s##_f64, S, double, v)                \
    LOOPX(s##_c64, S, rt_c64, ((float *)o)[0] = (float)v; ((float *)o)[1] = 0)                     \
    LOOPX(s##_c128, S, rt_c128, ((double *)o)[0] = (double)v; ((double *)o)[1] = 0)
/* from a float or the real part of a complex; L loads a number */
#define FROM_REAL(s, S, L)                                                \
    LOOP(s##_u8, S, uint8_t, to_i64((double)L(v))) LOOP(s##_i8, S, int8_t, to_i64((double)L(v)))   \
    LOOP(s##_i16, S, int16_t, to_i64((double)L(v))) LOOP(s##_i32, S, int32_t, to_i64((double)L(v))) \
    LOOP(s##_i64, S, int64_t, to_i64((double)L(v)))                       \
    LOOPX(s##_f16, S, rt_f16, *o = rt_f32_to_f16((float)L(v))) LOOPX(s##_bf16, S, rt_bf16, *o = rt_f32_to_bf16((float)L(v))) \
    LOOP(s##_f32, S, float, L(v)) LOOP(s##_f64, S, double, L(v))
#define FROM_FLOAT(s, S, L)                                               \
    FROM_REAL(s, S, L) LOOP(s##_b8, S, rt_bool, L(v) != 0)                \
    LOOPX(s##_c64, S, rt_c64, ((float *)o)[0] = (float)L(v); ((float *)o)[1] = 0)                  \
    LOOPX(s##_c128, S, rt_c128, ((double *)o)[0] = (double)L(v); ((double *)o)[1] = 0)
#define FROM_COMPLEX(s, S, L, E)                                          \
    FROM_REAL(s, S, L) LOOP(s##_b8, S, rt_bool, v != 0)                   \
    LOOPX(s##_c64, S, rt_c64, ((float *)o)[0] = (float)((const E *)&v)[0]; ((float *)o)[1] = (float)((const E *)&v)[1])  \
    LOOPX(s##_c128, S, rt_c128, ((double *)o)[0] = ((const E *)&v)[0]; ((double *)o)[1] = ((const E *)&v)[1])

FROM_INT(b8, rt_bool) FROM_INT(u8, uint8_t) FROM_INT(i8, int8_t) FROM_INT(i16, int16_t) FROM_INT(i32, int32_t) FROM_INT(i64, int64_t)
FROM_FLOAT(f16, rt_f16, LOAD_f16) FROM_FLOAT(bf16, rt_bf16, LOAD_bf16) FROM_FLOAT(f32, float, LOAD_ID) FROM_FLOAT(f64, double, LOAD_ID)
FROM_COMPLEX(c64, rt_c64, LOAD_c64, float) FROM_COMPLEX(c128, rt_c128, LOAD_c128, double)

static void widen_half(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {
    int64_t done = ds == 4 && ss == 2 ? widen_f16((float *)dst, (const rt_f16 *)src, n) : 0;
    f16_f32(dst + done * ds, ds, src + done * ss, ss, n - done);
}
static void narrow_half(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {
    int64_t done = ds == 2 && ss == 4 ? narrow_f16((rt_f16 *)dst, (const float *)src, n) : 0;
    f32_f16(dst + done * ds, ds, src + done * ss, ss, n - done);
}
static void widen_brain(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {
    int64_t done = ds == 4 && ss == 2 ? widen_bf16((float *)dst, (const rt_bf16 *)src, n) : 0;
    bf16_f32(dst + done * ds, ds, src + done * ss, ss, n - done);
}
static void narrow_brain(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {
    int64_t done = ds == 2 && ss == 4 ? narrow_bf16((rt_bf16 *)dst, (const float *)src, n) : 0;
    f32_bf16(dst + done * ds, ds, src + done * ss, ss, n - done);
}

#define ROWOF(s) {s##_b8, s##_u8, s##_i8, s##_i16, s##_i32, s##_i64, s##_f16, s##_bf16, s##_f32, s##_f64, s##_c64, s##_c128}
const RtCast RT_NAME(rt_cast)[RT_NLOOPED][RT_NLOOPED] = {
    ROWOF(b8), ROWOF(u8), ROWOF(i8), ROWOF(i16), ROWOF(i32), ROWOF(i64), 
    {f16_b8, f16_u8, f16_i8, f16_i16, f16_i32, f16_i64, f16_f16, f16_bf16, widen_half, f16_f64, f16_c64, f16_c128},
    {bf16_b8, bf16_u8, bf16_i8, bf16_i16, bf16_i32, bf16_i64, bf16_f16, bf16_bf16, widen_brain, bf16_f64, bf16_c64, bf16_c128},
    {f32_b8, f32_u8, f32_i8, f32_i16, f32_i32, f32_i64, narrow_half, narrow_brain, f32_f32, f32_f64, f32_c64, f32_c128}, ROWOF(f64), ROWOF(c64), ROWOF(c128)};
