/* Distinct items: runs of equal ones among sorted or given items, and whole numbers by a table of all there could be. */
#include <stdlib.h>
#include "lane_key.h"

/* ---- runs ---- */
/* Neighbours as they lie: a number differs from itself where it is NaN, and zeros are equal. In bytes, so that all of it is vectors. */
#define NEIGHBOURS(tag, T, VALUE)                                                                       \
    static int64_t neighbours_##tag(const T *p, int64_t n, uint8_t *start) {                            \
        int64_t runs = 1, i = 1;                                                                        \
        start[0] = 1;                                                                                   \
        while (i < n) {                                                                                 \
            uint8_t some = 0;                                                                           \
            for (int64_t end = n - i < 128 ? n : i + 128; i < end; i++) some += start[i] = VALUE(p[i]) != VALUE(p[i - 1]); \
            runs += some;                                                                               \
        }                                                                                               \
        return runs;                                                                                    \
    }
#define ITSELF(v) (v)
NEIGHBOURS(b8, rt_bool, ITSELF) NEIGHBOURS(u8, uint8_t, ITSELF) NEIGHBOURS(i8, int8_t, ITSELF) NEIGHBOURS(i16, int16_t, ITSELF)
NEIGHBOURS(i32, int32_t, ITSELF) NEIGHBOURS(i64, int64_t, ITSELF) NEIGHBOURS(f32, float, ITSELF) NEIGHBOURS(f64, double, ITSELF)
NEIGHBOURS(f16, rt_f16, rt_f16_to_f32) NEIGHBOURS(bf16, rt_bf16, rt_bf16_to_f32)

int64_t rt_run_starts(int dtype, const void *x_nw, int64_t n, int64_t width, const int64_t *order_n, uint8_t *start_n) {
    int64_t runs = n > 0;
    if (n > 0) start_n[0] = 1;
    if (width == 1 && n > 0) switch (dtype) {
#define CASE(code, tag, T)                                                                              \
    case code: {                                                                                        \
        const T *p = x_nw;                                                                              \
        if (!order_n) return neighbours_##tag(p, n, start_n);                                           \
        uint64_t last = key_##tag(p + order_n[0]), nan = nan_key(dtype);                                \
        int floats = nan != 0;                                                                          \
        for (int64_t i = 1; i < n; i++) {                                                               \
            uint64_t k = key_##tag(p + order_n[i]);                                                     \
            start_n[i] = (uint8_t)((k != last) | (floats & (k == nan)));                                \
            runs += start_n[i];                                                                         \
            last = k;                                                                                   \
        }                                                                                               \
        return runs;                                                                                    \
    }
    REAL_DTYPES(CASE)
#undef CASE
    }
    for (int64_t i = 1; i < n; i++) {
        int64_t a = (order_n ? order_n[i - 1] : i - 1) * width, b = (order_n ? order_n[i] : i) * width;
        uint8_t differ = 0;
        for (int64_t j = 0; j < width && !differ; j++) {
            uint64_t k = key_at(dtype, x_nw, a + j);
            differ = k != key_at(dtype, x_nw, b + j) || is_nan_key(dtype, k);
        }
        start_n[i] = differ;
        runs += differ;
    }
    return runs;
}

void rt_run_tables(const uint8_t *start_n, const int64_t *order_n, int64_t n, int64_t runs, int64_t *first_r, int64_t *inverse_n, int64_t *count_r) {
    /* What follows the runs found so far is written at every item, and stays when a run starts there: no branch to guess. */
    if (first_r) for (int64_t i = 0, run = 0; run < runs; i++) {
        first_r[run] = order_n ? order_n[i] : i;
        run += start_n[i];
    }
    if (inverse_n) for (int64_t i = 0, run = -1; i < n; i++) {
        run += start_n[i];
        inverse_n[order_n ? order_n[i] : i] = run;
    }
    if (count_r) {
        for (int64_t i = 0, run = 0; run < runs; i++) { count_r[run] = i; run += start_n[i]; }
        for (int64_t r = 0; r < runs; r++) count_r[r] = (r + 1 < runs ? count_r[r + 1] : n) - count_r[r];
    }
}

/* ---- whole numbers that lie close together ---- */
#define INT_DTYPES(X) X(RT_BOOL, uint8_t) X(RT_U8, uint8_t) X(RT_I8, int8_t) X(RT_I16, int16_t) X(RT_I32, int32_t) X(RT_I64, int64_t)

int64_t rt_census_begin(RtCensus *c, int dtype, const void *x_n, int64_t n, int counts) {
    int64_t lo = 0, hi = 0, found = 0;
    c->first = c->count = NULL;
    if (n < 1 || n > INT32_MAX) return -1;
    switch (dtype) {
#define CASE(code, T)                                                                                   \
    case code: {                                                                                        \
        const T *x = x_n;                                                                               \
        T l = x[0], h = x[0];                                                                           \
        for (int64_t i = 1; i < n; i++) { l = x[i] < l ? x[i] : l; h = x[i] > h ? x[i] : h; }           \
        lo = l;                                                                                         \
        hi = h;                                                                                         \
        break;                                                                                          \
    }
    INT_DTYPES(CASE)
#undef CASE
    default: return -1;
    }
    if ((uint64_t)hi - (uint64_t)lo >= 2 * (uint64_t)n) return -1;
    c->lo = lo;
    c->range = hi - lo + 1;
    c->first = malloc((size_t)c->range * sizeof *c->first);
    c->count = counts ? calloc((size_t)c->range, sizeof *c->count) : NULL;
    if (!c->first || (counts && !c->count)) { rt_census_free(c); return -1; }
    memset(c->first, 0xff, (size_t)c->range * sizeof *c->first);
    switch (dtype) {
#define CASE(code, T)                                                                                   \
    case code: {                                                                                        \
        const T *x = x_n;                                                                               \
        for (int64_t i = n - 1; i >= 0; i--) c->first[x[i] - lo] = (int32_t)i;     /* the first is the last written */ \
        if (counts) for (int64_t i = 0; i < n; i++) c->count[x[i] - lo]++;                              \
        break;                                                                                          \
    }
    INT_DTYPES(CASE)
#undef CASE
    }
    for (int64_t v = 0; v < c->range; v++) found += c->first[v] >= 0;
    return found;
}

void rt_census_tables(RtCensus *c, int dtype, const void *x_n, int64_t n, int64_t *first_r, int64_t *inverse_n, int64_t *count_r) {
    int64_t run = 0, lo = c->lo;
    for (int64_t v = 0; v < c->range; v++) {
        if (c->first[v] < 0) continue;
        first_r[run] = c->first[v];
        if (count_r) count_r[run] = c->count[v];
        c->first[v] = (int32_t)run++;
    }
    if (inverse_n) switch (dtype) {
#define CASE(code, T) case code: { const T *x = x_n; for (int64_t i = 0; i < n; i++) inverse_n[i] = c->first[x[i] - lo]; break; }
    INT_DTYPES(CASE)
#undef CASE
    }
}

void rt_census_free(RtCensus *c) {
    free(c->first);
    free(c->count);
    c->first = c->count = NULL;
}
