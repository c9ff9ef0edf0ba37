/* Running sums, products, log-sums, extremes. A lane is a chain of dependent steps, so vectors run
 * across lanes (inner > 1). float32 accumulates in double. */
#include <complex.h>
#include <math.h>
#include "lane_loop.h"

/* Position of step l when running backwards. */
#define AT(l) (reverse ? s.L - 1 - (l) : (l))

#define SCAN(name, T, A, START, STEP)                                                         \
    static void name(const void *xv, RtLane s, int reverse, void *outv, int threads) {        \
        const T *x_oli = xv; T *out_oli = outv;                                               \
        RT_LANE_FOR(s, threads, {                                                             \
            int64_t base = o * s.L * s.inner + i0;                                            \
            int64_t w = i1 - i0;                                                              \
            if (w == 1) {                                                                     \
                A acc = START;                                                                \
                const T *x = x_oli + base; T *y = out_oli + base;                             \
                if (reverse) for (int64_t l = s.L - 1; l >= 0; l--) { acc = STEP(acc, (A)x[l * s.inner]); y[l * s.inner] = (T)acc; } \
                else for (int64_t l = 0; l < s.L; l++) { acc = STEP(acc, (A)x[l * s.inner]); y[l * s.inner] = (T)acc; } \
            } else {                                                                          \
                A acc[RT_LANE_BLOCK];                                                         \
                for (int64_t i = 0; i < w; i++) acc[i] = START;                               \
                for (int64_t l = 0; l < s.L; l++) {                                           \
                    const T *restrict x = x_oli + base + AT(l) * s.inner;                     \
                    T *restrict y = out_oli + base + AT(l) * s.inner;                         \
                    for (int64_t i = 0; i < w; i++) { acc[i] = STEP(acc[i], (A)x[i]); y[i] = (T)acc[i]; } \
                }                                                                             \
            }                                                                                 \
        });                                                                                   \
    }

#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define EXTREME(tag, T, ISNAN)                                                                \
    static void extreme_##tag(const void *xv, RtLane s, int want_min, void *valv, int64_t *idx_oli, int threads) { \
        const T *x_oli = xv; T *val_oli = valv;                                               \
        RT_LANE_FOR(s, threads, {                                                             \
            for (int64_t i = i0; i < i1; i++) {                                               \
                int64_t base = o * s.L * s.inner + i; int64_t at = 0;                         \
                T best = x_oli[base];                                                         \
                for (int64_t l = 0; l < s.L; l++) {                                           \
                    T v = x_oli[base + l * s.inner];                                          \
                    if ((ISNAN(v)) || (!(ISNAN(best)) && (want_min ? v <= best : v >= best))) { best = v; at = l; } \
                    val_oli[base + l * s.inner] = best;                                       \
                    idx_oli[base + l * s.inner] = at;                                         \
                }                                                                             \
            }                                                                                 \
        });                                                                                   \
    }

/* log(exp(a) + exp(b)), shifted by the larger; infinities and NaN as IEEE addition would. */
RT_INLINE double logadd(double a, double b) {
    if (a != a || b != b) return a + b;
    double hi = a > b ? a : b, lo = a > b ? b : a;
    if (hi == lo && !(hi - hi == 0)) return hi;              /* both +inf or both -inf */
    return hi + log1p(exp(lo - hi));
}

/* The same for complex numbers, shifted by the one with the larger real part. */
RT_INLINE rt_c128 logadd_c(rt_c128 a, rt_c128 b) {
    if (creal(a) == -INFINITY) return b;
    rt_c128 hi = creal(a) > creal(b) ? a : b, lo = creal(a) > creal(b) ? b : a;
    if (creal(lo) == -INFINITY) return hi;
    return hi + clog(1 + cexp(lo - hi));
}

#define INTS(X) X(u8, uint8_t) X(i8, int8_t) X(i16, int16_t) X(i32, int32_t) X(i64, int64_t)
/* Integers wrap around: computed unsigned, where that is defined. */
#define INT_SCANS(tag, T)                          \
    SCAN(sum_##tag, T, uint64_t, 0, PLUS)          \
    SCAN(prod_##tag, T, uint64_t, 1, TIMES)
INTS(INT_SCANS)
SCAN(sum_f32, float, double, 0, PLUS)
SCAN(prod_f32, float, double, 1, TIMES)
SCAN(sum_f64, double, double, 0, PLUS)
SCAN(prod_f64, double, double, 1, TIMES)
SCAN(sum_c64, rt_c64, rt_c128, 0, PLUS)
SCAN(prod_c64, rt_c64, rt_c128, 1, TIMES)
SCAN(sum_c128, rt_c128, rt_c128, 0, PLUS)
SCAN(prod_c128, rt_c128, rt_c128, 1, TIMES)
SCAN(lse_f32, float, double, -INFINITY, logadd)
SCAN(lse_f64, double, double, -INFINITY, logadd)
SCAN(lse_c64, rt_c64, rt_c128, -INFINITY, logadd_c)
SCAN(lse_c128, rt_c128, rt_c128, -INFINITY, logadd_c)

#define NEVER(v) 0
#define NAN_OF(v) ((v) != (v))
#define INT_EXTREME(tag, T) EXTREME(tag, T, NEVER)
INTS(INT_EXTREME)
EXTREME(f32, float, NAN_OF)
EXTREME(f64, double, NAN_OF)

#define INT_ROW(p) [RT_U8] = p##_u8, [RT_I8] = p##_i8, [RT_I16] = p##_i16, [RT_I32] = p##_i32, [RT_I64] = p##_i64
#define FLOAT_ROW(p) [RT_F32] = p##_f32, [RT_F64] = p##_f64
const RtScanTable RT_NAME(rt_scan_table) = {
    .scan = {[RT_SCAN_SUM] = {INT_ROW(sum), FLOAT_ROW(sum), [RT_C64] = sum_c64, [RT_C128] = sum_c128},
             [RT_SCAN_PROD] = {INT_ROW(prod), FLOAT_ROW(prod), [RT_C64] = prod_c64, [RT_C128] = prod_c128},
             [RT_SCAN_LOGSUMEXP] = {FLOAT_ROW(lse), [RT_C64] = lse_c64, [RT_C128] = lse_c128}},
    .extreme = {[RT_BOOL] = extreme_u8, INT_ROW(extreme), FLOAT_ROW(extreme)}};
