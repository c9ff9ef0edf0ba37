/* Order and membership of items; binary search; counts. */
#include <stdlib.h>
#include "lane_key.h"
#include "rustorch/backend.h"

/* ---- items of several elements ---- */
static int item_less(int dtype, const void *x, int64_t width, int64_t a, int64_t b) {
    for (int64_t j = 0; j < width; j++) {
        uint64_t p = key_at(dtype, x, a * width + j), q = key_at(dtype, x, b * width + j);
        if (p != q) return p < q;
    }
    return 0;
}

int rt_sort_items(int dtype, const void *x_nw, int64_t n, int64_t width, int64_t *order_n) {
    int64_t *a = order_n, *t = malloc((size_t)n * sizeof(int64_t) + 1), *scratch = t;
    if (!t) return RT_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) a[i] = i;
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t b = 0; b < n; b += 2 * run) {
            int64_t mid = b + run < n ? b + run : n, end = b + 2 * run < n ? b + 2 * run : n, i = b, j = mid;
            for (int64_t o = b; o < end; o++)
                t[o] = j >= end || (i < mid && !item_less(dtype, x_nw, width, a[j], a[i])) ? a[i++] : a[j++];
        }
        int64_t *swap = a; a = t; t = swap;
    }
    if (a != order_n) memcpy(order_n, a, (size_t)n * sizeof(int64_t));
    free(scratch);
    return RT_OK;
}

/* ---- searching ---- */
#define LOAD_PLAIN(p) (p)
/* TOGETHER values at a time: each step of one depends on its last, and a branch would be guessed wrong half of the times.
 * The elements looked at are those of the plain loop, so a sequence that is not sorted gives the same (as PyTorch's).
 * While n >> step is 3 and more no range is empty yet, whichever way it went. */
#define TOGETHER 8
#define STEP(LOAD, V)                                                                                    \
    {                                                                                                    \
        int64_t half = len[k] >> 1, at = lo[k] + half;                                                   \
        V x = LOAD(seq[sorter ? sorter[at] : at]);                                                       \
        int64_t up = -(int64_t)!((x > v[k]) | (equal & (x == v[k])));      /* a NaN value goes to the end */ \
        lo[k] += (half + 1) & up;                                                                        \
        len[k] = half + ((len[k] - half - half - 1) & up);                                               \
    }
#define SEARCH(tag, T, V, LOAD)                                                                          \
    static void search_##tag(const T *seq, const int64_t *sorter, int64_t n, const T *value, int64_t m,  \
                             int right, int64_t *out) {                                                  \
        int equal = !right;                                                                              \
        for (int64_t i = 0; i < m; i += TOGETHER) {                                                      \
            int64_t lo[TOGETHER], len[TOGETHER], many = m - i < TOGETHER ? m - i : TOGETHER, rest = n;   \
            V v[TOGETHER];                                                                               \
            for (int k = 0; k < TOGETHER; k++) {                                                         \
                lo[k] = 0; len[k] = n; v[k] = LOAD(value[i + (k < many ? k : 0)]);                       \
            }                                                                                            \
            for (; rest + 1 >= 4; rest = (rest + 1) / 2 - 1)                                             \
                for (int k = 0; k < TOGETHER; k++) STEP(LOAD, V)                                         \
            for (int k = 0; k < many; k++) {                                                             \
                while (len[k] > 0) STEP(LOAD, V)                                                         \
                out[i + k] = lo[k];                                                                      \
            }                                                                                            \
        }                                                                                                \
    }
/* Note [Searches of ascending sequences]
 * Where the sequence is known to ascend any way of looking gives the same place. Values that ascend themselves start from where the one before
 * ended; few elements are counted, many values at a time; else ranges have the same length for all values, so that a step is a comparison and an addition.
 * PyTorch's loop, which guesses, takes half of the time of the general one where its guesses are right (sorted values) and three times that where not. */
#define LESS(LOAD, at, v) (!((LOAD(seq[at]) > (v)) | (equal & (LOAD(seq[at]) == (v)))))
#define COUNTED 24                                        /* elements of a sequence that are counted */
#define COUNT_BLOCK 64
#define ASCENDING(tag, T, V, LOAD, I)                                                                    \
    static int ascends_##tag(const T *seq, int64_t n) {                                                  \
        for (int64_t i = 0; i + 1 < n;) {                                                                \
            int good = 1;                                                                                \
            int64_t end = i + 1024 < n - 1 ? i + 1024 : n - 1;                                           \
            for (; i < end; i++) good &= LOAD(seq[i]) <= LOAD(seq[i + 1]);                               \
            if (!good) return 0;                                                                         \
        }                                                                                                \
        return 1;                                                                                        \
    }                                                                                                    \
    static void ascending_##tag(const T *seq, int64_t n, const T *value, int64_t m, int right, int64_t *out) { \
        const int equal = !right;                                                                        \
        if (n <= COUNTED) {                                                                              \
            for (int64_t i = 0; i < m; i += COUNT_BLOCK) {                                               \
                I count[COUNT_BLOCK] = {0}; V v[COUNT_BLOCK];                                            \
                int64_t many = m - i < COUNT_BLOCK ? m - i : COUNT_BLOCK;                                \
                for (int k = 0; k < COUNT_BLOCK; k++) v[k] = LOAD(value[i + (k < many ? k : 0)]);        \
                for (int64_t j = 0; j < n; j++) {                                                        \
                    V x = LOAD(seq[j]);                                                                  \
                    if (right) for (int k = 0; k < COUNT_BLOCK; k++) count[k] += (I)!(x > v[k]);         \
                    else for (int k = 0; k < COUNT_BLOCK; k++) count[k] += (I)!(x >= v[k]);              \
                }                                                                                        \
                for (int64_t k = 0; k < many; k++) out[i + k] = (int64_t)count[k];                       \
            }                                                                                            \
            return;                                                                                      \
        }                                                                                                \
        if (ascends_##tag(value, m)) {                                                                   \
            for (int64_t i = 0, lo = 0; i < m; i++) {                                                    \
                V v = LOAD(value[i]);                                                                    \
                int64_t far = 1, hi;                                                                     \
                while (lo + far <= n && LESS(LOAD, lo + far - 1, v)) { lo += far; far *= 2; }            \
                for (hi = lo + far - 1 < n ? lo + far - 1 : n; lo < hi;) {                               \
                    int64_t mid = lo + (hi - lo) / 2;                                                    \
                    if (LESS(LOAD, mid, v)) lo = mid + 1; else hi = mid;                                 \
                }                                                                                        \
                out[i] = lo;                                                                             \
            }                                                                                            \
            return;                                                                                      \
        }                                                                                                \
        for (int64_t i = 0; i < m; i += TOGETHER) {                                                      \
            int64_t lo[TOGETHER], many = m - i < TOGETHER ? m - i : TOGETHER;                            \
            V v[TOGETHER];                                                                               \
            for (int k = 0; k < TOGETHER; k++) { lo[k] = 0; v[k] = LOAD(value[i + (k < many ? k : 0)]); } \
            for (int64_t len = n, half; len > 1; len -= half) {                                          \
                half = len >> 1;                                                                         \
                for (int k = 0; k < TOGETHER; k++) lo[k] += half & -(int64_t)LESS(LOAD, lo[k] + half - 1, v[k]); \
            }                                                                                            \
            for (int64_t k = 0; k < many; k++) out[i + k] = lo[k] + LESS(LOAD, lo[k], v[k]);             \
        }                                                                                                \
    }
#define SEARCHES(tag, T, V, LOAD, I) SEARCH(tag, T, V, LOAD) ASCENDING(tag, T, V, LOAD, I)
SEARCHES(b8, rt_bool, rt_bool, LOAD_PLAIN, int8_t)
SEARCHES(u8, uint8_t, uint8_t, LOAD_PLAIN, int8_t)
SEARCHES(i8, int8_t, int8_t, LOAD_PLAIN, int8_t)
SEARCHES(i16, int16_t, int16_t, LOAD_PLAIN, int16_t)
SEARCHES(i32, int32_t, int32_t, LOAD_PLAIN, int32_t)
SEARCHES(i64, int64_t, int64_t, LOAD_PLAIN, int64_t)
SEARCHES(f16, rt_f16, float, rt_f16_to_f32, int32_t)
SEARCHES(bf16, rt_bf16, float, rt_bf16_to_f32, int32_t)
SEARCHES(f32, float, float, LOAD_PLAIN, int32_t)
SEARCHES(f64, double, double, LOAD_PLAIN, int64_t)

void rt_search_rows(int dtype, const void *seq, const int64_t *sorter, int64_t rows, int64_t L,
                    const void *v, int64_t m, int right, int64_t *out, int threads) {
    int64_t n = rows * m, each = 512, parts = (m + each - 1) / each;
    int look = !sorter && m >= 16 && m >= L / 16;                       /* whether the sequence ascends is asked once a row */
    (void)threads;
    switch (dtype) {
#define CASE(code, tag, T)                                                                              \
    case code: {                                                                                        \
        const T *seq_rl = seq; const T *v_rm = v;                                                       \
        int one = rows == 1 && look && ascends_##tag(seq_rl, L);                                        \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1 && n > 4096))     \
        for (int64_t part = 0; part < rows * parts; part++) {                                           \
            int64_t row = part / parts, lo = part % parts * each, len = m - lo < each ? m - lo : each;  \
            const T *s = seq_rl + row * L, *value = v_rm + row * m + lo;                                \
            if (rows == 1 ? one : look && ascends_##tag(s, L)) ascending_##tag(s, L, value, len, right, out + row * m + lo); \
            else search_##tag(s, sorter ? sorter + row * L : NULL, L, value, len, right, out + row * m + lo); \
        }                                                                                               \
        break;                                                                                          \
    }
    REAL_DTYPES(CASE)
#undef CASE
    }
}

void rt_is_member(int dtype, const void *x, int64_t n, const void *sorted, int64_t m, int invert, uint8_t *out, int threads) {
    (void)threads;
    RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1 && n > 4096))
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = key_at(dtype, x, i);
        int64_t lo = 0, hi = m;
        while (lo < hi) {
            int64_t mid = lo + (hi - lo) / 2;
            if (key_at(dtype, sorted, mid) < key) lo = mid + 1; else hi = mid;
        }
        int found = lo < m && key_at(dtype, sorted, lo) == key && !is_nan_key(dtype, key);
        out[i] = (uint8_t)(found != !!invert);
    }
}

/* ---- counts ---- */
#define HIST(T)                                                                        \
    do {                                                                               \
        const T *p = x; T *c = counts; T a = (T)lo, b = (T)hi;                         \
        for (int64_t i = 0; i < n; i++) {                                              \
            if (!(p[i] >= a && p[i] <= b)) continue;                                   \
            int64_t bin = (int64_t)((p[i] - a) * (T)bins / (b - a));                   \
            c[bin < bins ? bin : bins - 1] += 1;                                       \
        }                                                                              \
    } while (0)
void rt_hist_uniform(int dtype, const void *x, int64_t n, double lo, double hi, int64_t bins, void *counts) {
    if (dtype == RT_F32) HIST(float); else HIST(double);
}

/* Where an element belongs among m bins: first the one that equal bins would say, then neighbours until the edges agree, which gives the
 * same as a search for edges that ascend and takes one step where the bins are about equal. */
#define CELLS(T)                                                                                        \
    do {                                                                                                \
        const T *e = edges; const T *v = x;                                                             \
        const T lo = e[0], hi = e[m], scale = (T)m / (hi - lo);                                         \
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1 && n > 16384))    \
        for (int64_t i = 0; i < n; i++) {                                                               \
            T y = v[i * step];                                                                          \
            if (!(y >= lo && y <= hi) || cell[i] < 0) { cell[i] = -1; continue; }                       \
            T guess = (y - lo) * scale;                                                                 \
            int64_t at = guess < (T)m ? (int64_t)guess : m - 1;                                         \
            while (at > 0 && y < e[at]) at--;                                                           \
            while (at + 1 < m && y >= e[at + 1]) at++;                                                  \
            cell[i] = cell[i] * m + at;                                                                 \
        }                                                                                               \
    } while (0)
void rt_hist_cells(int dtype, const void *edges, int64_t m, const void *x, int64_t step, int64_t n, int64_t *cell, int threads) {
    (void)threads;
    if (dtype == RT_F32) CELLS(float); else CELLS(double);
}

/* The same from the places that a search found. */
#define PLACED(T)                                                                                       \
    do {                                                                                                \
        const T *e = edges; const T *v = x;                                                             \
        for (int64_t i = 0; i < n; i++) {                                                               \
            T y = v[i * step];                                                                          \
            int64_t at = y == e[m] ? m - 1 : place[i] - 1;             /* the last bin is closed */     \
            cell[i] = cell[i] >= 0 && at >= 0 && at < m && y >= e[0] && y <= e[m] ? cell[i] * m + at : -1; \
        }                                                                                               \
    } while (0)
void rt_hist_placed(int dtype, const void *edges, int64_t m, const void *x, int64_t step, int64_t n, const int64_t *place, int64_t *cell) {
    if (dtype == RT_F32) PLACED(float); else PLACED(double);
}

#define COUNT(T)                                                                                        \
    do {                                                                                                \
        T *c = counts; const T *v = w;                                                                  \
        if (v) { for (int64_t i = 0; i < n; i++) if (cell[i] >= 0) c[cell[i]] += v[i]; }                \
        else for (int64_t i = 0; i < n; i++) if (cell[i] >= 0) c[cell[i]] += 1;                         \
    } while (0)
void rt_hist_counts(int dtype, const int64_t *cell, int64_t n, const void *w, void *counts) {
    if (dtype == RT_F32) COUNT(float); else COUNT(double);
}

int64_t rt_bincount_top(const int64_t *x, int64_t n, int threads) {
    int64_t top = -1, signs = 0;
    (void)threads;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) reduction(max:top) reduction(|:signs) if (threads > 1 && n > 65536))
    for (int64_t i = 0; i < n; i++) { signs |= x[i]; top = x[i] > top ? x[i] : top; }
    return signs < 0 ? -2 : top;
}

int64_t rt_bincount_few(const int64_t *x, int64_t n, int64_t count[RT_FEW_BINS]) {
    enum { LOW = RT_FEW_BINS - 1 };
    int64_t part[4][RT_FEW_BINS], i = 0, all = 0, top = RT_FEW_BINS;   /* four tables: equal neighbours do not wait for each other's store */
    memset(part, 0, sizeof part);
    for (; i + 4 <= n; i += 4) {
        int64_t a = x[i], b = x[i + 1], c = x[i + 2], d = x[i + 3];
        all |= a | b | c | d;
        part[0][a & LOW]++; part[1][b & LOW]++; part[2][c & LOW]++; part[3][d & LOW]++;
        if (i % 4096 == 0 && all & ~(int64_t)LOW) return -2;
    }
    for (; i < n; i++) { all |= x[i]; part[0][x[i] & LOW]++; }
    if (all & ~(int64_t)LOW) return -2;
    for (int v = 0; v < RT_FEW_BINS; v++) count[v] = part[0][v] + part[1][v] + part[2][v] + part[3][v];
    while (top > 0 && !count[top - 1]) top--;
    return top - 1;
}

void rt_bincount(const int64_t *x, int64_t n, int dtype, const void *w, void *out) {
    if (!w) { int64_t *o = out; for (int64_t i = 0; i < n; i++) o[x[i]]++; }
    else if (dtype == RT_F32) { float *o = out; for (int64_t i = 0; i < n; i++) o[x[i]] += ((const float *)w)[i]; }
    else { double *o = out; for (int64_t i = 0; i < n; i++) o[x[i]] += ((const double *)w)[i]; }
}
