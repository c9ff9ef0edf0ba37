/* Note [Padding]
 * A row is the last dimension that is padded, its positions `inner` elements each: one in row-major images, the channels where they
 * are innermost. What a row shows of the array is one copy; the ends are a few short ones (repeated, reversed or wrapped), and which
 * row of the array is shown follows from the other dimensions' positions by the same rule. Every element of the result is written
 * once. The gradient goes over the array's rows and gathers: the row of g that stands in the same place is copied, other rows that
 * show it (few) are added, then the ends. No two threads write to one row and the order of the sums is fixed. 16-bit floats are
 * added in float32 and rounded after the rows, and after each position of the ends. */
#include "pad.h"
#include "rustorch/half.h"
#include "grain.h"
#include "move.h"
#include "share.h"


/* The array's position that output position o shows, -1 for the constant. */
static inline int64_t shown(const RtPad *p, int d, int64_t o) {
    int64_t i = o - p->before[d], n = p->in[d];
    if (i >= 0 && i < n) return i;
    switch (p->mode) {
    case RT_PAD_REPLICATE: return i < 0 ? 0 : n - 1;
    case RT_PAD_REFLECT: return i < 0 ? -i : 2 * (n - 1) - i;
    case RT_PAD_CIRCULAR: return i < 0 ? i + n : i - n;
    default: return -1;
    }
}
/* Output positions lo ... hi of the last dimension show the array's in their order. */
static inline void middle(const RtPad *p, int64_t *lo, int64_t *hi) {
    int d = p->n - 1;
    int64_t b = p->before[d], o = p->out[d], e = b + p->in[d];
    *lo = b < 0 ? 0 : b < o ? b : o;
    *hi = e < *lo ? *lo : e < o ? e : o;
}
static int few(double bytes, double rows, int threads, int64_t pieces) {           /* see Note [Grain] */
    double work = bytes + 32 * rows, grain = 131072;
    if (work < 2 * grain && work >= 2 * grain / RT_AWAKE && rt_crew_wanted()) grain /= RT_AWAKE;
    return rt_few(work, grain, threads, pieces);
}

static inline void repeat(char *d, const char *value, int64_t n) {
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) memcpy(d + i, value, 32);
    rt_copy_few(d + i, value, (size_t)(n - i));
}
/* `count` positions at an end of a row: the first shows s, the others what lies `step` bytes further each. */
RT_INLINE void ends(int64_t unit, char *d, const char *s, int64_t count, int64_t step, int constant) {
    if (count * unit > 64 && constant) repeat(d, s, count * unit);
    else if (count * unit > 64 && step == unit) rt_copy_few(d, s, (size_t)(count * unit));
    else for (int64_t k = 0; k < count; k++, d += unit, s += step) {
        if (unit == 1 || unit == 2 || unit == 4 || unit == 8 || unit == 16) memcpy(d, s, (size_t)unit);
        else if (constant) repeat(d, s, unit);
        else rt_copy_few(d, s, (size_t)unit);
    }
}

/* Rows r ... end of the result; of each the part `cut` of `cuts`. Compiled for each `unit`, a position's bytes. */
RT_INLINE void grow_unit(const RtPad *p, int64_t unit, const char *x, const char *value, char *y, int64_t r, int64_t end, int64_t cut, int64_t cuts) {
    const int last = p->n - 1, constant = p->mode == RT_PAD_CONSTANT;
    const int64_t width = p->out[last], inrow = p->in[last] * unit, steps = last ? p->out[last - 1] : 1;
    const int64_t step = p->mode == RT_PAD_REFLECT ? -unit : p->mode == RT_PAD_CIRCULAR ? unit : 0;
    int64_t lo, hi, at, from, to, part, part_end, first = 0, second = 0, before, after;
    middle(p, &lo, &hi);
    at = lo - p->before[last];
    from = (hi - lo) * cut / cuts, to = (hi - lo) * (cut + 1) / cuts;
    part = width * cut / cuts * unit, part_end = width * (cut + 1) / cuts * unit;      /* of a row of the constant */
    before = cut == 0 ? lo : 0, after = cut == cuts - 1 ? width - hi : 0;
    if (!constant && before) first = shown(p, last, 0) * unit;
    if (!constant && after) second = shown(p, last, hi) * unit;
    while (r < end) {
        int64_t left = r / steps, o = r % steps, base = 0, scale = 1, stop = steps - o < end - r ? steps : o + end - r;
        for (int d = last - 2; d >= 0; d--) {                      /* the same for the rows that follow in dimension last - 1 */
            int64_t i = shown(p, d, left % p->out[d]);
            left /= p->out[d];
            if (i < 0) { base = -1; break; }
            base += i * scale;
            scale *= p->in[d];
        }
        char *d = y + r * width * unit;
        /* One store writes the constants after a row and before the next, and what follows is written over it. */
        const int joined = constant && cuts == 1 && hi > lo && (before + after) * unit <= 32 && width * unit >= 32;
        int begun = 0;
        r += stop - o;
        for (; o < stop; o++, d += width * unit) {
            int64_t i = last ? shown(p, last - 1, o) : 0;
            if (base < 0 || i < 0) { repeat(d + part, value, part_end - part); begun = 0; continue; }
            const char *s = x + ((last ? base * p->in[last - 1] : 0) + i) * inrow;
            if (!begun) ends(unit, d, constant ? value : s + first, before, step, constant);
            rt_copy_few(d + (lo + from) * unit, s + (at + from) * unit, (size_t)((to - from) * unit));
            if ((begun = joined && o + 1 < stop)) memcpy(d + hi * unit, value, 32);
            else ends(unit, d + hi * unit, constant ? value : s + second, after, step, constant);
        }
    }
}
static void grow_rows(const RtPad *p, int64_t unit, const char *x, const char *value, char *y, int64_t r, int64_t end, int64_t cut, int64_t cuts) {
    switch (unit) {
#define UNIT(n) case n: grow_unit(p, n, x, value, y, r, end, cut, cuts); break;
    UNIT(1) UNIT(2) UNIT(4) UNIT(8) UNIT(16)
    default: grow_unit(p, unit, x, value, y, r, end, cut, cuts);
    }
}
static void grow(const RtPad *p, int64_t itemsize, const char *x, const char *value, char *y, int threads) {
    int64_t rows = 1, unit = p->inner * itemsize, bytes = p->out[p->n - 1] * unit, cuts = 1, many, pieces;
    for (int d = 0; d < p->n - 1; d++) rows *= p->out[d];
    if (rows < 4 * threads && bytes > 131072 && threads > 1) cuts = bytes / 65536;
    if (cuts > p->out[p->n - 1]) cuts = p->out[p->n - 1];
    many = cuts > 1 || bytes > 32768 ? 1 : 32768 / (bytes + 1);
    if (many < 1) many = 1;
    pieces = (rows + many - 1) / many * cuts;
    threads = few((double)rows * (double)bytes, (double)rows, threads, pieces);
    if (threads < 2) { grow_rows(p, unit, x, value, y, 0, rows, 0, 1); return; }
    RT_SHARED_AT_HOME(threads, pieces, piece, {
        int64_t r = piece / cuts * many;
        grow_rows(p, unit, x, value, y, r, r + many < rows ? r + many : rows, piece % cuts, cuts);
    });
}

/* Output positions that show position i of dimension d: up to three ranges lo[k] ... hi[k], ascending. */
static inline int showing(const RtPad *p, int d, int64_t i, int64_t *lo, int64_t *hi) {
    int64_t b = p->before[d], n = p->in[d], out = p->out[d], a, z;
    int k = 0;
    if (b == 0 && n == out) { lo[0] = i; hi[0] = i + 1; return 1; }
#define RANGE(from, to, if_) \
    a = from; z = to; if (a < 0) a = 0; if (z > out) z = out; if ((if_) && a < z) { lo[k] = a; hi[k++] = z; }
    switch (p->mode) {
    case RT_PAD_REPLICATE: RANGE(0, b, i == 0) break;
    case RT_PAD_REFLECT: RANGE(b - i, b - i + 1, i > 0) break;
    case RT_PAD_CIRCULAR: RANGE(b + i - n, b + i - n + 1, b + i - n >= 0) break;
    }
    RANGE(b + i, b + i + 1, 1)
    switch (p->mode) {
    case RT_PAD_REPLICATE: RANGE(b + n, out, i == n - 1) break;
    case RT_PAD_REFLECT: RANGE(b + 2 * (n - 1) - i, b + 2 * (n - 1) - i + 1, i < n - 1) break;
    case RT_PAD_CIRCULAR: RANGE(b + i + n, b + i + n + 1, 1) break;
    }
    return k;
}
/* list[c] * out + o for each of the list's numbers and each o that shows position i of dimension d, in their order; returns how many. */
static inline int64_t spread(const RtPad *p, int d, int64_t i, const int64_t *list, int64_t count, int64_t *to) {
    int64_t lo[3], hi[3], out = p->out[d], each = 0;
    int ranges = showing(p, d, i, lo, hi);
    if (count == 1 && ranges == 1 && hi[0] - lo[0] == 1) { to[0] = list[0] * out + lo[0]; return 1; }
    for (int k = 0; k < ranges; k++) each += hi[k] - lo[k];
    for (int64_t c = count - 1, at = count * each; c >= 0; c--) {  /* from the end: `to` may be the list */
        int64_t base = list[c] * out;
        for (int k = ranges - 1; k >= 0; k--)
            for (int64_t o = hi[k] - 1; o >= lo[k]; o--) to[--at] = base + o;
    }
    return count * each;
}
/* Places in the padded array of what lies at `r`, counted in dimensions 0 ... n - 1; returns how many. */
static int64_t places(const RtPad *p, int n, int64_t r, int64_t *list) {
    int64_t count = 1, all = 1;
    list[0] = 0;
    for (int d = 0; d < n; d++) all *= p->in[d];
    for (int d = 0; d < n && count; d++) {
        all /= p->in[d];
        count = spread(p, d, r / all, list, count, list);
        r %= all;
    }
    return count;
}

#define PIECE 256
#define SUMS(name, S, A, LOAD, STORE)                                                                                     \
    static inline void ends_##name(const RtPad *p, const S *g, S *gx, const int64_t *list, int64_t count, int64_t o, int64_t end) { \
        const int last = p->n - 1;                                                                                        \
        const int64_t inner = p->inner, width = p->out[last] * inner;                                                     \
        for (; o < end; ) {                                                                                               \
            int64_t stop = p->mode == RT_PAD_REPLICATE ? end : o + 1;   /* all of them show one position */               \
            S *to = gx + shown(p, last, o) * inner;                                                                       \
            if (inner == 1) {                                                                                             \
                A sum = 0;                                                                                                \
                for (int64_t r = 0; r < count; r++)                                                                       \
                    for (int64_t k = o; k < stop; k++) sum += LOAD(g[list[r] * width + k]);                               \
                *to = STORE(LOAD(*to) + sum);                                                                             \
            } else for (int64_t c = 0; c < inner; c += PIECE) {                                                           \
                A sum[PIECE];                                                                                             \
                int64_t m = inner - c < PIECE ? inner - c : PIECE;                                                        \
                for (int64_t j = 0; j < m; j++) sum[j] = 0;                                                               \
                for (int64_t r = 0; r < count; r++)                                                                       \
                    for (int64_t k = o; k < stop; k++) {                                                                  \
                        const S *s = g + list[r] * width + k * inner + c;                                                 \
                        for (int64_t j = 0; j < m; j++) sum[j] += LOAD(s[j]);                                             \
                    }                                                                                                     \
                for (int64_t j = 0; j < m; j++) to[c + j] = STORE(LOAD(to[c + j]) + sum[j]);                              \
            }                                                                                                             \
            o = stop;                                                                                                     \
        }                                                                                                                 \
    }                                                                                                                     \
    static void sum_##name(const RtPad *p, const void *g_, void *gx_, int64_t *room, int64_t most, int threads) {         \
        const S *g = (const S *)g_;                                                                                       \
        const int last = p->n - 1;                                                                                        \
        const int64_t inner = p->inner, n = p->in[last] * inner, width = p->out[last] * inner;                            \
        const int64_t steps = last ? p->in[last - 1] : 1;                                                                 \
        int64_t lo, hi, rows = 1, many, pieces;                                                                           \
        middle(p, &lo, &hi);                                                                                              \
        for (int d = 0; d < last; d++) rows *= p->in[d];                                                                  \
        many = 16384 / (n * (int64_t)sizeof(S) + 1) + 1;                                                                  \
        pieces = (rows + many - 1) / many;                                                                                \
        threads = few((double)rows * (double)(n * (int64_t)sizeof(S)), 2 * (double)rows, threads, pieces);                \
        RT_SHARED_AT_HOME(threads, pieces, piece, {                                                                       \
            int64_t *list = room + me_ * 2 * most;                                                                        \
            int64_t *lead = list + most;                                                                                  \
            int64_t r = piece * many, i = r % steps, leads = last > 1 ? places(p, last - 1, r / steps, lead) : (lead[0] = 0, 1); \
            for (; r < (piece + 1) * many && r < rows; r++, i++) {                                                        \
                if (i == steps) { i = 0; leads = last > 1 ? places(p, last - 1, r / steps, lead) : 1; }                   \
                S *gx = (S *)gx_ + r * n;                                                                                 \
                int64_t count = last ? spread(p, last - 1, i, lead, leads, list) : (list[0] = 0, 1);                      \
                int64_t from = (lo - p->before[last]) * inner, m = (hi - lo) * inner;                                     \
                if (!count || !m) { memset(gx, 0, (size_t)n * sizeof(S)); from = 0; m = n; if (!count) continue; }        \
                else if (count == 1) rt_copy_few(gx + from, g + list[0] * width + lo * inner, (size_t)m * sizeof(S));     \
                else for (int64_t c = 0; c < m; c += PIECE) {                                                             \
                    A sum[PIECE];                                                                                         \
                    int64_t w = m - c < PIECE ? m - c : PIECE;                                                            \
                    for (int64_t j = 0; j < w; j++) sum[j] = 0;                                                           \
                    for (int64_t k = 0; k < count; k++) {                                                                 \
                        const S *s = g + list[k] * width + lo * inner + c;                                                \
                        for (int64_t j = 0; j < w; j++) sum[j] += LOAD(s[j]);                                             \
                    }                                                                                                     \
                    for (int64_t j = 0; j < w; j++) gx[from + c + j] = STORE(sum[j]);                                     \
                }                                                                                                         \
                if (from) memset(gx, 0, (size_t)from * sizeof(S));                                                        \
                if (from + m < n) memset(gx + from + m, 0, (size_t)(n - from - m) * sizeof(S));                           \
                ends_##name(p, g, gx, list, count, 0, lo);                                                                \
                ends_##name(p, g, gx, list, count, hi, p->out[last]);                                                     \
            }                                                                                                             \
        });                                                                                                               \
    }
#define SAME(v) (v)
SUMS(f32, float, float, SAME, SAME)
SUMS(f64, double, double, SAME, SAME)
SUMS(bf16, rt_bf16, float, rt_bf16_to_f32, rt_f32_to_bf16)
SUMS(f16, rt_f16, float, rt_f16_to_f32, rt_f32_to_f16)

const RtPadTable RT_NAME(rt_pad_table) = {grow, sum_f32, sum_f64, sum_bf16, sum_f16};
