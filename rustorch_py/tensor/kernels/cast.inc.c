/* Conversions between any two dtypes that loops are compiled for, rt_cast[from][to](dst, dst step, src, src step, n), steps in
 * bytes. Float to integer truncates. NaN and what int32 does not hold become the lowest int32 on the way to int8, int16 and int32 (what int64
 * does not hold, the lowest int64 on the way to the others), which then wraps: x86's instructions do so, and therefore PyTorch;
 * anything to bool is "is not zero"; complex to real drops the imaginary part. */
#include "half_lines.h"
#include "cpu.h"

typedef float f32; typedef double f64;

RT_INLINE int64_t to_i64(double v) { return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN; }
RT_INLINE int32_t to_i32(double v) { return v > -2147483649.0 && v < 2147483648.0 ? (int32_t)v : INT32_MIN; }

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

/* By way of `mid`, a block at a time, both steps by vectors: the processor's own conversion of 16-bit floats, which the compiler does not vectorise,
 * knows float32 alone (float64 -> float16: a quarter of the time). */
#define VIA_BLOCK 512
#define VIA(s, d, mid, MID)                                                                           \
    static void s##_##d(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {              \
        MID block[VIA_BLOCK] __attribute__((aligned(64)));                                            \
        for (int64_t m; n > 0; n -= m, dst += m * ds, src += m * ss) {                                \
            m = n < VIA_BLOCK ? n : VIA_BLOCK;                                                        \
            s##_##mid((char *)block, sizeof(MID), src, ss, m);                                        \
            mid##_##d(dst, ds, (const char *)block, sizeof(MID), m);                                  \
        } }
/* A float to an integer. Lines of numbers that int32 holds are converted to it, as every instruction set can by vectors. The sum of the bits behind
 * the sign and of those that 2^31 lacks to the sign bit has that bit where a number is larger, or NaN. */
#define TRUNC_LINE 256
#define TRUNC(s, S, BITS, ROOM, d, D, WIDE)                                                                \
    static void s##_##d(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {              \
        int64_t i = 0;                                                                                \
        if (ds == (int64_t)sizeof(D) && ss == (int64_t)sizeof(S)) {                                   \
            for (; i + TRUNC_LINE <= n; i += TRUNC_LINE) {                                            \
                D *o = (D *)dst + i; const S *x = (const S *)src + i;                                 \
                BITS bits, large = 0;                                                                 \
                for (int j = 0; j < TRUNC_LINE; j++) { memcpy(&bits, x + j, sizeof bits); large |= (bits & (BITS)-1 >> 1) + ROOM; }     \
                if (large >> (8 * sizeof(S) - 1)) for (int j = 0; j < TRUNC_LINE; j++) { SCALAR; o[j] = (D)WIDE(x[j]); }     \
                else for (int j = 0; j < TRUNC_LINE; j++) o[j] = (D)(int32_t)x[j];                    \
            } }                                                                                       \
        for (; i < n; i++) { SCALAR; *(D *)(dst + i * ds) = (D)WIDE(*(const S *)(src + i * ss)); } }
#define EACH_INT(X) X(u8, uint8_t, to_i64) X(i8, int8_t, to_i32) X(i16, int16_t, to_i32) X(i32, int32_t, to_i32) X(i64, int64_t, to_i64)

static void bf16_f32(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n);
static void f16_f32(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n);
static void f32_f16(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n);
static void f32_bf16(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n);

#define TO_COMPLEX(s, S, L)                                                                           \
    LOOPX(s##_c64, S, rt_c64, ((float *)o)[0] = (float)L(v); ((float *)o)[1] = 0)                     \
    LOOPX(s##_c128, S, rt_c128, ((double *)o)[0] = (double)L(v); ((double *)o)[1] = 0)
#define FROM_COMPLEX(s, S, E)                                                                         \
    LOOP(s##_b8, S, rt_bool, v != 0)                                                                  \
    LOOPX(s##_c64, S, rt_c64, ((float *)o)[0] = (float)((const E *)&v)[0]; ((float *)o)[1] = (float)((const E *)&v)[1])  \
    LOOPX(s##_c128, S, rt_c128, ((double *)o)[0] = ((const E *)&v)[0]; ((double *)o)[1] = ((const E *)&v)[1])

#define TO_INT(d, D, WIDE) TRUNC(f32, float, uint32_t, 0x31000000u, d, D, WIDE)
EACH_INT(TO_INT)
#undef TO_INT
#define TO_INT(d, D, WIDE) TRUNC(f64, double, uint64_t, 0x3e20000000000000u, d, D, WIDE)
EACH_INT(TO_INT)
#undef TO_INT
LOOP(f32_b8, float, rt_bool, v != 0) LOOP(f32_f32, float, float, v) LOOP(f32_f64, float, double, v) TO_COMPLEX(f32, float, LOAD_ID)
LOOP(f64_b8, double, rt_bool, v != 0) LOOP(f64_f32, double, float, v) LOOP(f64_f64, double, double, v) TO_COMPLEX(f64, double, LOAD_ID)
VIA(f64, f16, f32, float) VIA(f64, bf16, f32, float)

/* from an integer or bool */
#define FROM_INT(s, S)                                                    \
    LOOP(s##_b8, S, rt_bool, v != 0)                                      \
    LOOP(s##_u8, S, uint8_t, v) LOOP(s##_i8, S, int8_t, v) LOOP(s##_i16, S, int16_t, v)            \
    LOOP(s##_i32, S, int32_t, v) LOOP(s##_i64, S, int64_t, v)             \
    LOOP(s##_f32, S, float, v) LOOP(s##_f64, S, double, v)                \
    VIA(s, f16, f32, float) VIA(s, bf16, f32, float) TO_COMPLEX(s, S, LOAD_ID)
FROM_INT(b8, rt_bool) FROM_INT(u8, uint8_t) FROM_INT(i8, int8_t) FROM_INT(i16, int16_t) FROM_INT(i32, int32_t) FROM_INT(i64, int64_t)

#define TO_INT(d, D, WIDE) VIA(f16, d, f32, float) VIA(bf16, d, f32, float) VIA(c64, d, f32, float) VIA(c128, d, f64, double)
LOOP(c64_f32, rt_c64, float, LOAD_c64(v)) LOOP(c64_f64, rt_c64, double, LOAD_c64(v)) VIA(c64, f16, f32, float) VIA(c64, bf16, f32, float)
LOOP(c128_f32, rt_c128, float, LOAD_c128(v)) LOOP(c128_f64, rt_c128, double, LOAD_c128(v)) VIA(c128, f16, f32, float) VIA(c128, bf16, f32, float)
EACH_INT(TO_INT)
FROM_COMPLEX(c64, rt_c64, float) FROM_COMPLEX(c128, rt_c128, double)

VIA(f16, b8, f32, float) VIA(f16, bf16, f32, float) VIA(f16, f64, f32, float) VIA(f16, c64, f32, float) VIA(f16, c128, f32, float)
VIA(bf16, f16, f32, float)
LOOP(bf16_b8, rt_bf16, rt_bool, LOAD_bf16(v) != 0) LOOP(bf16_f64, rt_bf16, double, LOAD_bf16(v)) TO_COMPLEX(bf16, rt_bf16, LOAD_bf16)
LOOP(f16_f16, rt_f16, rt_f16, v) LOOP(bf16_bf16, rt_bf16, rt_bf16, v)

/* between 16-bit floats and float32: dense lines by vectors */
LOOP(plain_f16_f32, rt_f16, float, LOAD_f16(v)) LOOP(plain_bf16_f32, rt_bf16, float, LOAD_bf16(v))
LOOPX(plain_f32_f16, float, rt_f16, *o = rt_f32_to_f16(v)) LOOPX(plain_f32_bf16, float, rt_bf16, *o = rt_f32_to_bf16(v))
#define WIDEN(h, H)                                                                                   \
    static void h##_f32(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {              \
        int64_t done = ds == 4 && ss == 2 ? widen_##h((float *)dst, (const H *)src, n) : 0;           \
        plain_##h##_f32(dst + done * ds, ds, src + done * ss, ss, n - done); }                        \
    static void f32_##h(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {              \
        int64_t done = ds == 2 && ss == 4 ? narrow_##h((H *)dst, (const float *)src, n) : 0;          \
        plain_f32_##h(dst + done * ds, ds, src + done * ss, ss, n - done); }
WIDEN(f16, rt_f16) WIDEN(bf16, rt_bf16)

#define ROWOF(s) {s##_b8, s##_u8, s##_i8, s##_i16, s##_i32, s##_i64, s##_f16, s##_bf16, s##_f32, s##_f64, s##_c64, s##_c128}
const RtCast RT_NAME(rt_cast)[RT_NLOOPED][RT_NLOOPED] = {
    ROWOF(b8), ROWOF(u8), ROWOF(i8), ROWOF(i16), ROWOF(i32), ROWOF(i64), ROWOF(f16), ROWOF(bf16), ROWOF(f32), ROWOF(f64), ROWOF(c64), ROWOF(c128)};
