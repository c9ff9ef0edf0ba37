/* Running sums, products, log-sums, extremes. A lane is a chain of dependent steps, so vectors run
 * across lanes (inner > 1). float32 accumulates in double. */
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include "lane_loop.h"

/* Note [Columns]
 * A block of columns is walked row by row, as wide as its accumulators leave room in the first cache (1000 x 1000 floats: 177 us, by 128 columns
 * 205; several rows at a time write and read addresses a page apart, and take twice as long). Where the result has the accumulator's type its last
 * row is the accumulator. Threads that share rows of columns
 * write one line of each row both, and it travels between their cores: half a microsecond a row on two cores without a common cache (1000 x 1000
 * floats: 780 us by two threads). Short rows are therefore cut between rows: a second thread first goes over the rows of the first, which
 * only reads and takes half as long, to have their sums. Every column has the sums that it has by one thread. */
#define SCAN_BLOCK 1024             /* columns */
RT_INLINE int short_rows(RtLane s, size_t size, int threads) {
    return s.inner > 1 && s.outer < threads && s.inner * (int64_t)size < threads * (int64_t)8192;
}
RT_INLINE int64_t scan_block(RtLane s, int threads) {
    int64_t parts = (s.inner + SCAN_BLOCK - 1) / SCAN_BLOCK;
    if (s.outer < threads) parts = (parts + threads - 1) / threads * threads;
    int64_t block = ((s.inner + parts - 1) / parts + 31) / 32 * 32;
    return block < SCAN_BLOCK ? block : SCAN_BLOCK;
}

/* steps [l, end) of w columns; step: elements from a row to the next, negative when running backwards */
#define SCAN_COLUMNS(name, T, A, STEP)                                                                                        \
    static void name##_columns(const T *x, T *y, int64_t step, int64_t l, int64_t end, int64_t w, A *restrict acc) {          \
        if (sizeof(T) == sizeof(A)) {                                                                                         \
            const T *before = (const T *)acc;                                                                                 \
            for (; l < end; l++) {                                                                                            \
                const T *restrict from = x + l * step; const T *restrict last = before; T *restrict to = y + l * step;        \
                for (int64_t i = 0; i < w; i++) to[i] = (T)STEP((A)last[i], (A)from[i]);                                      \
                before = to;                                                                                                  \
            }                                                                                                                 \
        } else for (; l < end; l++) {                                                                                         \
            const T *restrict from = x + l * step; T *restrict to = y + l * step;                                             \
            for (int64_t i = 0; i < w; i++) { acc[i] = STEP(acc[i], (A)from[i]); to[i] = (T)acc[i]; }                         \
        }                                                                                                                     \
    }                                                                                                                         \
    static void name##_over(const T *x, int64_t step, int64_t end, int64_t w, A *restrict acc) {                              \
        int64_t l = 0;                                                                                                        \
        for (; l + 4 <= end; l += 4) {                                                                                        \
            const T *restrict x0 = x + l * step; const T *restrict x1 = x0 + step; const T *restrict x2 = x1 + step; const T *restrict x3 = x2 + step; \
            for (int64_t i = 0; i < w; i++) acc[i] = STEP(STEP(STEP(STEP(acc[i], (A)x0[i]), (A)x1[i]), (A)x2[i]), (A)x3[i]);  \
        }                                                                                                                     \
        for (; l < end; l++) for (int64_t i = 0; i < w; i++) acc[i] = STEP(acc[i], (A)x[l * step + i]);                       \
    }

/* HALVES: two threads may share short rows' columns (steps of a few instructions) */
#define SCAN_(name, T, A, START, STEP, HALVES, DENSE, DENSE_CALL)                                                \
    SCAN_COLUMNS(name, T, A, STEP)                                                                               \
    static void name(const void *xv, RtLane s, int reverse, void *outv, int threads) {                           \
        const T *x_oli = xv; T *out_oli = outv;                                                                  \
        if (DENSE && s.inner == 1 && !reverse && xv != outv) { DENSE_CALL; return; }                             \
        int64_t step = reverse ? -s.inner : s.inner, first = reverse ? (s.L - 1) * s.inner : 0, block = s.inner > 1 ? scan_block(s, threads) : 1; \
        int64_t cuts = 1, blocks = (s.inner + block - 1) / block, all = s.outer * s.L * s.inner;                 \
        if (all <= RT_LANE_GRAIN) threads = 1;                                                                   \
        else if (short_rows(s, sizeof(T), threads)) { if (HALVES && s.outer == 1) cuts = threads = 2; else threads = 1; } \
        int64_t half = cuts == 2 ? s.L * 2 / 3 : s.L, jobs = s.outer * blocks * cuts;                           \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))                          \
        for (int64_t job = 0; job < jobs; job++) {                                                               \
            int64_t cut = job / (s.outer * blocks), rest = job % (s.outer * blocks), i0 = rest % blocks * block; \
            int64_t base = rest / blocks * s.L * s.inner + i0 + first, w = s.inner - i0 < block ? s.inner - i0 : block; \
            const T *x = x_oli + base; T *y = out_oli + base;                                                    \
            if (w == 1) {                                                                                        \
                A acc = START;                                                                                   \
                if (cut) for (int64_t l = 0; l < half; l++) acc = STEP(acc, (A)x[l * step]);                     \
                for (int64_t l = cut ? half : 0; l < (cut ? s.L : half); l++) { acc = STEP(acc, (A)x[l * step]); y[l * step] = (T)acc; } \
                continue;                                                                                        \
            }                                                                                                    \
            A acc[SCAN_BLOCK];                                                                                   \
            for (int64_t i = 0; i < w; i++) acc[i] = START;                                                      \
            if (cut) name##_over(x, step, half, w, acc);                                                         \
            name##_columns(x, y, step, cut ? half : 0, cut ? s.L : half, w, acc);                                \
        }                                                                                                        \
    }

/* Sums of dense lanes: a chain of additions waits for itself, so CHAINS of them run side by side (whole numbers do not wait: rows one by one): rows, or blocks of one
 * row whose sums are known before. Blocks are the same whatever the number of threads. */
#define CHAINS 8
#define SPAN 2064            /* no power of two: chains a page apart would share the few places of the first cache that such addresses have */
#define SUM_ROWS(tag, T, A)                                                                   \
    RT_INLINE void chains_##tag(const T *const *x, T *const *y, A *acc, int64_t n) {          \
        for (int64_t l = 0; l < n; l++)                                                       \
            for (int c = 0; c < CHAINS; c++) { acc[c] += (A)x[c][l]; y[c][l] = (T)acc[c]; }   \
    }                                                                                         \
    RT_INLINE A total_##tag(const T *x, int64_t n) {                                          \
        A part[16] = {0}; A sum = 0; int64_t l = 0;                                           \
        for (; l + 16 <= n; l += 16) for (int j = 0; j < 16; j++) part[j] += (A)x[l + j];     \
        for (; l < n; l++) sum += (A)x[l];                                                    \
        for (int j = 0; j < 16; j++) sum += part[j];                                          \
        return sum;                                                                           \
    }                                                                                         \
    static void dense_##tag(const T *x, int64_t rows, int64_t n, T *y, int threads) {         \
        int64_t blocks = rows < CHAINS ? n / SPAN : 0, whole = blocks / CHAINS;               \
        if (rows * n < 2 * RT_LANE_GRAIN) threads = 1;                                        \
        A *before = whole ? malloc((size_t)(blocks + 1) * sizeof(A)) : NULL;                  \
        if (!before) {                                                                        \
            int64_t groups = (rows + CHAINS - 1) / CHAINS;                                    \
            RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))   \
            for (int64_t g = 0; g < groups; g++) {                                            \
                const T *from[CHAINS]; T *to[CHAINS]; A acc[CHAINS] = {0};                    \
                int64_t r = g * CHAINS, have = rows - r < CHAINS ? rows - r : CHAINS;         \
                for (int c = 0; c < have; c++) { from[c] = x + (r + c) * n; to[c] = y + (r + c) * n; } \
                if (have == CHAINS && (A)0.5 != 0) chains_##tag(from, to, acc, n);            \
                else for (int c = 0; c < have; c++) {                                         \
                    const T *restrict f = from[c]; T *restrict t = to[c]; A sum = 0;          \
                    for (int64_t l = 0; l < n; l++) { sum += (A)f[l]; t[l] = (T)sum; }        \
                }                                                                             \
            }                                                                                 \
            return;                                                                           \
        }                                                                                     \
        for (int64_t r = 0; r < rows; r++) {                                                  \
            const T *xs = x + r * n; T *ys = y + r * n;                                       \
            RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))   \
            for (int64_t b = 0; b < blocks; b++) before[b + 1] = total_##tag(xs + b * SPAN, SPAN); \
            before[0] = 0;                                                                    \
            for (int64_t b = 0; b < blocks; b++) before[b + 1] += before[b];                  \
            RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))   \
            for (int64_t w = 0; w < whole; w++) {                                             \
                const T *from[CHAINS]; T *to[CHAINS]; A acc[CHAINS];                          \
                for (int c = 0; c < CHAINS; c++) {                                            \
                    int64_t b = w * CHAINS + c;                                               \
                    from[c] = xs + b * SPAN; to[c] = ys + b * SPAN; acc[c] = before[b];       \
                }                                                                             \
                chains_##tag(from, to, acc, SPAN);                                            \
            }                                                                                 \
            A acc = before[whole * CHAINS];                                                   \
            for (int64_t l = whole * CHAINS * SPAN; l < n; l++) { acc += (A)xs[l]; ys[l] = (T)acc; } \
        }                                                                                     \
        free(before);                                                                         \
    }

/* Products of rows, side by side. The blocks of a sum will not do: a product of some may overflow where all of them do not. */
#define PROD_ROWS(tag, T, A)                                                                  \
    static void products_##tag(const T *x, int64_t rows, int64_t n, T *y, int threads) {      \
        int64_t groups = (rows + CHAINS - 1) / CHAINS;                                        \
        if (rows * n < 2 * RT_LANE_GRAIN) threads = 1;                                        \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))       \
        for (int64_t g = 0; g < groups; g++) {                                                \
            int64_t r = g * CHAINS, have = rows - r < CHAINS ? rows - r : CHAINS;             \
            A acc[CHAINS];                                                                    \
            for (int c = 0; c < CHAINS; c++) acc[c] = 1;                                      \
            const T *from = x + r * n; T *to = y + r * n;                                     \
            if (have == CHAINS) for (int64_t l = 0; l < n; l++)                               \
                for (int c = 0; c < CHAINS; c++) { acc[c] *= (A)from[c * n + l]; to[c * n + l] = (T)acc[c]; } \
            else for (int c = 0; c < have; c++)                                               \
                for (int64_t l = 0; l < n; l++) { acc[c] *= (A)from[c * n + l]; to[c * n + l] = (T)acc[c]; } \
        }                                                                                     \
    }

#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define SCAN(name, T, A, START, STEP) SCAN_(name, T, A, START, STEP, 0, 0, (void)0)
#define SUM_SCAN(tag, T, A) SUM_ROWS(tag, T, A) SCAN_(sum_##tag, T, A, 0, PLUS, 1, 1, dense_##tag(x_oli, s.outer, s.L, out_oli, threads))
#define PROD_SCAN(tag, T, A) PROD_ROWS(tag, T, A) SCAN_(prod_##tag, T, A, 1, TIMES, 1, 1, products_##tag(x_oli, s.outer, s.L, out_oli, threads))
/* Of a dense lane: mostly nothing in the next elements changes the extreme, and they are written by vectors; else one by one, without a branch. */
#define EXTREME(tag, T, ISNAN)                                                                \
    static void extreme_lane_##tag(const T *x, int64_t n, int want_min, T *val, int64_t *idx) { \
        enum { BLOCK = 32 };                                                                  \
        T best = x[0]; int64_t at = 0;                                                        \
        for (int64_t b = 0; b < n; b += BLOCK) {                                              \
            int64_t m = n - b < BLOCK ? n - b : BLOCK; int any = m < BLOCK;                   \
            const T *p = x + b; T *v = val + b; int64_t *to = idx + b;                        \
            if (!any && want_min) for (int j = 0; j < BLOCK; j++) any |= (ISNAN(p[j])) | !(p[j] > best); \
            else if (!any) for (int j = 0; j < BLOCK; j++) any |= (ISNAN(p[j])) | !(p[j] < best); \
            if (!any) {                                                                       \
                for (int j = 0; j < BLOCK; j++) v[j] = best;                                  \
                for (int j = 0; j < BLOCK; j++) to[j] = at;                                   \
                continue;                                                                     \
            }                                                                                 \
            for (int64_t j = 0; j < m; j++) {                                                 \
                T y = p[j]; int nan = ISNAN(best);                                            \
                int64_t hit = -(int64_t)((ISNAN(y)) | ((nan == 0) & (want_min ? y <= best : y >= best))); \
                best = hit ? y : best;                                                        \
                at = (at & ~hit) | ((b + j) & hit);                                           \
                v[j] = best;                                                                  \
                to[j] = at;                                                                   \
            }                                                                                 \
        }                                                                                     \
    }                                                                                         \
    static void extreme_##tag(const void *xv, RtLane s, int want_min, void *valv, int64_t *idx_oli, int threads) { \
        const T *x_oli = xv; T *val_oli = valv;                                               \
        RT_LANE_FOR(s, threads, {                                                             \
            if (s.inner == 1) { extreme_lane_##tag(x_oli + o * s.L, s.L, want_min, val_oli + o * s.L, idx_oli + o * s.L); continue; } \
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
    SUM_SCAN(tag, T, uint64_t)                     \
    PROD_SCAN(tag, T, uint64_t)
INTS(INT_SCANS)
SUM_SCAN(f32, float, double)
PROD_SCAN(f32, float, double)
SUM_SCAN(f64, double, double)
PROD_SCAN(f64, double, double)
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
