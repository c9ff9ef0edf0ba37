#include <string.h>
#include "index.h"
#include "move.h"
#include "select.h"
#include "index_rows.h"
#include "rustorch/half.h"
#include "rustorch/loops.h"

typedef RtIndexRow Row;

typedef struct { uint64_t a, b; } u128;
#define MOVE_ROWS(tag, T)                                                                  \
    static void get_##tag(ROW_ARGS) {                                                      \
        if (os == 1 && ss == 0 && ds == (int64_t)sizeof(T) && mul == ds) {                 \
            T *d = (T *)dst;                                                               \
            const T *s = (const T *)src;                                                   \
            BY_FOUR(T a = s[AT4(0)]; T b = s[AT4(1)]; T c = s[AT4(2)]; T e = s[AT4(3)];    \
                    d[j] = a; d[j + 1] = b; d[j + 2] = c; d[j + 3] = e;, d[j] = s[AT4(0)];) \
        } else if (os == 1 && ss == 0 && ds == (int64_t)sizeof(T) && mul == 1) {           \
            T *d = (T *)dst;                                                               \
            BY_FOUR(T a = *FAR(T, 0); T b = *FAR(T, 1); T c = *FAR(T, 2); T e = *FAR(T, 3); \
                    d[j] = a; d[j + 1] = b; d[j + 2] = c; d[j + 3] = e;, d[j] = *FAR(T, 0);) \
        } else for (int64_t j = 0; j < n; j++)                                             \
            *(T *)(dst + j * ds) = *(const T *)(src + j * ss + AT(j));                     \
    }                                                                                      \
    static void set_##tag(ROW_ARGS) {                                                      \
        if (os == 1 && ds == 0 && ss == (int64_t)sizeof(T) && mul == ss) {                 \
            T *d = (T *)dst;                                                               \
            const T *s = (const T *)src;                                                   \
            BY_FOUR(PLACES(d) T a = s[j]; T b = s[j + 1]; T c = s[j + 2]; T e = s[j + 3];  \
                    *p0 = a; *p1 = b; *p2 = c; *p3 = e;, d[AT4(0)] = s[j];)                \
        } else if (os == 1 && ds == 0 && ss == 0 && mul == (int64_t)sizeof(T)) {           \
            T *d = (T *)dst; const T v = *(const T *)src;                                  \
            for (int64_t j = 0; j < n; j++) d[off[j]] = v;                                 \
        } else if (os == 1 && ds == 0 && ss == (int64_t)sizeof(T) && mul == 1) {           \
            const T *s = (const T *)src;                                                   \
            BY_FOUR(FAR_PLACES(T) T a = s[j]; T b = s[j + 1]; T c = s[j + 2]; T e = s[j + 3]; \
                    *p0 = a; *p1 = b; *p2 = c; *p3 = e;, *(T *)(dst + off[j]) = s[j];)     \
        } else for (int64_t j = 0; j < n; j++)                                             \
            *(T *)(dst + j * ds + AT(j)) = *(const T *)(src + j * ss);                     \
    }                                                                                      \
    static void move_##tag(ROW_ARGS) {                                                     \
        if (ds == (int64_t)sizeof(T) && ss == ds) rt_copy_bytes(dst, src, n * sizeof(T));  \
        else if (ds == (int64_t)sizeof(T) && ss == -ds)                                    \
            for (int64_t j = 0; j < n; j++) ((T *)dst)[j] = ((const T *)src)[-j];          \
        else if (ds == (int64_t)sizeof(T) && ss == 0) {                                    \
            T *d = (T *)dst; const T v = *(const T *)src;                                  \
            for (int64_t j = 0; j < n; j++) d[j] = v;                                      \
        }                                                                                  \
        else for (int64_t j = 0; j < n; j++) *(T *)(dst + j * ds) = *(const T *)(src + j * ss); \
    }
MOVE_ROWS(1, uint8_t)
MOVE_ROWS(2, uint16_t)
MOVE_ROWS(4, uint32_t)
MOVE_ROWS(8, uint64_t)
MOVE_ROWS(16, u128)

#define INT_ROWS(tag, T)                                                                   \
    ACC_ROW(add_##tag, T, (T)((uint64_t)x + (uint64_t)y))                                  \
    ACC_ROW(mul_##tag, T, (T)((uint64_t)x * (uint64_t)y))                                  \
    ACC_ROW(max_##tag, T, x > y ? x : y)                                                   \
    ACC_ROW(min_##tag, T, x < y ? x : y)
INT_ROWS(u8, uint8_t)
INT_ROWS(i8, int8_t)
INT_ROWS(i16, int16_t)
INT_ROWS(i32, int32_t)
INT_ROWS(i64, int64_t)
#define FLOAT_ROWS(tag, T)                                                                 \
    ACC_ROW(add_##tag, T, x + y)                                                           \
    ACC_ROW(mul_##tag, T, x * y)                                                           \
    ACC_ROW(max_##tag, T, x != x ? x : x > y ? x : y)                                       \
    ACC_ROW(min_##tag, T, x != x ? x : x < y ? x : y)
FLOAT_ROWS(f32, float)
FLOAT_ROWS(f64, double)
ACC_ROW(add_b8, uint8_t, (uint8_t)(x | y))
ACC_ROW(mul_b8, uint8_t, (uint8_t)(x & y))
ACC_ROW(add_c64, rt_c64, x + y)
ACC_ROW(mul_c64, rt_c64, x * y)
ACC_ROW(add_c128, rt_c128, x + y)
ACC_ROW(mul_c128, rt_c128, x * y)
static Row move_row(int itemsize, int which) {          /* which: 0 get, 1 set, 2 no offsets */
    static const Row rows[5][3] = {{get_1, set_1, move_1}, {get_2, set_2, move_2}, {get_4, set_4, move_4},
                                   {get_8, set_8, move_8}, {get_16, set_16, move_16}};
    return rows[itemsize == 1 ? 0 : itemsize == 2 ? 1 : itemsize == 4 ? 2 : itemsize == 8 ? 3 : 4][which];
}

static Row acc_row(int level, int op, int dtype) {
    if (dtype == RT_F16) return rt_select_table(level)->by_index_f16[op - RT_IX_ADD];
    if (dtype == RT_BF16) return rt_select_table(level)->by_index_bf16[op - RT_IX_ADD];
#define FOUR(tag) {add_##tag, mul_##tag, max_##tag, min_##tag}
    static const Row rows[RT_NDTYPES][4] = {
        [RT_BOOL] = {add_b8, mul_b8, add_b8, mul_b8},     /* or, and */
        [RT_U8] = FOUR(u8), [RT_I8] = FOUR(i8), [RT_I16] = FOUR(i16), [RT_I32] = FOUR(i32), [RT_I64] = FOUR(i64),
        [RT_F32] = FOUR(f32), [RT_F64] = FOUR(f64),
        [RT_C64] = {add_c64, mul_c64, NULL, NULL}, [RT_C128] = {add_c128, mul_c128, NULL, NULL},
    };
    return rows[dtype][op - RT_IX_ADD];
}

int64_t rt_index_check(int level, const int64_t *idx, int64_t n, int64_t low, int64_t high, int threads) {
    const RtSelectFns *f = rt_select_table(level);
    int bad = 0;
    if (high <= low) return n ? 0 : -1;
    if (n < 131072 || threads < 2) bad = f->outside(idx, n, low, high - 1);
    else {
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) reduction(|:bad))
        for (int t = 0; t < threads; t++) bad |= f->outside(idx + n * t / threads, n * (t + 1) / threads - n * t / threads, low, high - 1);
    }
    for (int64_t j = 0; bad && j < n; j++) if (idx[j] < low || idx[j] >= high) return j;
    return -1;
}

void rt_index_offsets(const int64_t *idx, int64_t n, int64_t size, int64_t step_bytes, int add, int64_t *off, int threads) {
    if (n < 131072) threads = 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int t = 0; t < threads; t++) {
        int64_t from = n * t / threads, to = n * (t + 1) / threads;
        if (add) for (int64_t j = from; j < to; j++) off[j] += (idx[j] + (idx[j] < 0 ? size : 0)) * step_bytes;
        else for (int64_t j = from; j < to; j++) off[j] = (idx[j] + (idx[j] < 0 ? size : 0)) * step_bytes;
    }
}

/* Merge neighbours that move together, drop size-1 dimensions; returns the new count. */
static int merge(int n, int64_t *shape, int64_t *d, int64_t *s) {
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (shape[i] == 1) continue;
        if (m && d[m - 1] == d[i] * shape[i] && s[m - 1] == s[i] * shape[i]) {
            shape[m - 1] *= shape[i]; d[m - 1] = d[i]; s[m - 1] = s[i];
        } else {
            shape[m] = shape[i]; d[m] = d[i]; s[m] = s[i]; m++;
        }
    }
    return m;
}

/* Next position of an odometer over the last-first dimensions [0, n); 0 when exhausted. */
static int turn(int n, const int64_t *shape, const int64_t *d, const int64_t *s, int64_t *at,
                char **dst, const char **src) {
    for (int i = n - 1; i >= 0; i--) {
        *dst += d[i]; *src += s[i];
        if (++at[i] < shape[i]) return 1;
        *dst -= d[i] * shape[i]; *src -= s[i] * shape[i];
        at[i] = 0;
    }
    return 0;
}

/* All of [j0, j1) below one position of the dimensions before. */
static void index_block(const RtIndexPlan *p, int get, Row row, Row inner, char *dst, const char *src,
                        int64_t j0, int64_t j1, int64_t itemsize) {
    int64_t dj = get ? p->j_step : 0, sj = get ? 0 : p->j_step;
    if (p->na == 0) {
        inner(dst + j0 * dj, dj, src + j0 * sj, sj, p->off + j0, 1, p->mul, j1 - j0);
        return;
    }
    int last = p->na - 1;
    int64_t n = p->a_shape[last], ds = p->a_dst[last], ss = p->a_src[last];
    if (row == NULL && last == 0 && ds == itemsize && ss == itemsize) {      /* moves of whole slabs */
        int64_t nbytes = n * itemsize;
        if (get) for (int64_t j = j0; j < j1; j++) rt_copy_bytes(dst + j * dj, src + p->off[j] * p->mul, nbytes);
        else for (int64_t j = j0; j < j1; j++) rt_copy_bytes(dst + p->off[j] * p->mul, src + j * sj, nbytes);
        return;
    }
    if (p->add && last == 0 && ds == itemsize && ss == itemsize) {
        for (int64_t j = j0; j < j1; j++) p->add(dst + p->off[j] * p->mul, src + j * sj, n);
        return;
    }
    Row f = row ? row : move_row((int)itemsize, 2);
    for (int64_t j = j0; j < j1; j++) {
        char *d = dst + (get ? j * dj : p->off[j] * p->mul);
        const char *s = src + (get ? p->off[j] * p->mul : j * sj);
        int64_t at[RT_MAX_DIM];
        memset(at, 0, sizeof(int64_t) * p->na);
        do f(d, ds, s, ss, NULL, 0, 0, n);
        while (turn(last, p->a_shape, p->a_dst, p->a_src, at, &d, &s));
    }
}

/* [j0, j1) below every position of the dimensions before. */
static void index_part(const RtIndexPlan *p, int get, Row row, Row inner, int64_t j0, int64_t j1, int64_t itemsize) {
    int64_t at[RT_MAX_DIM] = {0};
    char *dst = p->dst;
    const char *src = p->src;
    do index_block(p, get, row, inner, dst, src, j0, j1, itemsize);
    while (turn(p->nb, p->b_shape, p->b_dst, p->b_src, at, &dst, &src));
}

void rt_one_hot(const int64_t *index, int64_t n, int64_t classes, int64_t *out, int threads) {
    enum { BLOCK = 2048 };                       /* elements that the first level of the cache still holds when the ones are put in */
    if (!n || !classes) return;
    int64_t rows = BLOCK / classes + 1, blocks = (n + rows - 1) / rows;
    if (n * classes < 32768) threads = 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t b = 0; b < blocks; b++) {
        int64_t from = b * rows, to = from + rows < n ? from + rows : n;
        memset(out + from * classes, 0, (size_t)((to - from) * classes) * sizeof *out);
        for (int64_t i = from; i < to; i++) out[i * classes + index[i]] = 1;
    }
}

/* Whether `threads` equal stretches of the offsets' range hold about as many of them each, as far as some 250 tell. */
static int spread(const int64_t *off, int64_t n, int threads, int64_t *low, int64_t *stretch) {
    int64_t count[64] = {0}, least = off[0], most = off[0], step = n / 256 + 1, seen = (n + step - 1) / step;
    if (threads > 64) return 0;
    for (int64_t j = 1; j < n; j++) { least = off[j] < least ? off[j] : least; most = off[j] > most ? off[j] : most; }
    *low = least;
    *stretch = (most - least) / threads + 1;
    for (int64_t j = 0; j < n; j += step) count[(off[j] - least) / *stretch]++;
    for (int t = 0; t < threads; t++) if (2 * count[t] * threads > 3 * seen) return 0;
    return 1;
}

void rt_index_run(int level, int op, int dtype, RtIndexPlan *p, int threads) {
    int64_t itemsize = rt_itemsize(dtype), before = 1, after = 1;
    int get = op == RT_IX_GET;
    p->nb = merge(p->nb, p->b_shape, p->b_dst, p->b_src);
    p->na = merge(p->na, p->a_shape, p->a_dst, p->a_src);
    for (int i = 0; i < p->nb; i++) before *= p->b_shape[i];
    for (int i = 0; i < p->na; i++) after *= p->a_shape[i];
    if (!before || !after || !p->n_off) return;
    const RtSelectFns *f = rt_select_table(level);
    Row row = op <= RT_IX_SET ? NULL : acc_row(level, op, dtype);
    p->add = op != RT_IX_ADD ? NULL : dtype == RT_F32 ? f->add_f32 : dtype == RT_F64 ? f->add_f64 : dtype == RT_BF16 ? f->add_bf16 : dtype == RT_F16 ? f->add_f16 : NULL;
    Row inner = op <= RT_IX_SET ? move_row((int)itemsize, op) : row;
    if (before * after * p->n_off < 32768) threads = 1;
    /* Threads share what no two of them write: positions before the index, else the index itself when reading, else what
     * the index says where it says it evenly, else positions after it (whose edge is one cache line of every slab, which goes
     * to and fro). Each place is written by one thread, in the order of the index. */
    int64_t low, stretch;
    if (threads > 1 && p->nb && p->b_shape[0] >= threads) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
        for (int t = 0; t < threads; t++) {
            int64_t lo = p->b_shape[0] * t / threads, hi = p->b_shape[0] * (t + 1) / threads;
            RtIndexPlan part = *p;
            part.b_shape[0] = hi - lo;
            part.dst += lo * p->b_dst[0];
            part.src += lo * p->b_src[0];
            index_part(&part, get, row, inner, 0, p->n_off, itemsize);
        }
    } else if (threads > 1 && get) {
        int64_t chunk = (p->n_off + threads - 1) / threads;
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
        for (int t = 0; t < threads; t++) {
            int64_t j0 = t * chunk, j1 = j0 + chunk < p->n_off ? j0 + chunk : p->n_off;
            if (j0 < j1) index_part(p, get, row, inner, j0, j1, itemsize);
        }
    } else if (threads > 1 && before * after >= 64 && spread(p->off, p->n_off, threads, &low, &stretch)) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
        for (int t = 0; t < threads; t++)
            for (int64_t j = 0, from = low + t * stretch; j < p->n_off; j++)
                if (p->off[j] >= from && p->off[j] < from + stretch) index_part(p, get, row, inner, j, j + 1, itemsize);
    } else if (threads > 1 && p->na && p->a_shape[0] >= 16 * threads) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
        for (int t = 0; t < threads; t++) {
            int64_t lo = p->a_shape[0] * t / threads, hi = p->a_shape[0] * (t + 1) / threads;
            RtIndexPlan part = *p;
            part.a_shape[0] = hi - lo;
            part.dst += lo * p->a_dst[0];
            part.src += lo * p->a_src[0];
            index_part(&part, get, row, inner, 0, p->n_off, itemsize);
        }
    } else index_part(p, get, row, inner, 0, p->n_off, itemsize);
}

/* Is one of n indices outside [0, last]? Its sign or that of its distance to the end tells. */
static int outside(int level, const int64_t *ix, int64_t step, int64_t n, int64_t last) {
    int64_t signs = 0;
    if (step == 1) return rt_select_table(level)->outside(ix, n, 0, last);
    for (int64_t j = 0; j < n; j++) signs |= ix[j * step] | (last - ix[j * step]);
    return signs < 0;
}

typedef struct {
    Row row;
    int nd, level;
    int64_t mul, size;                                    /* size < 0: the indices are known to be good */
    int64_t shape[RT_MAX_DIM], ds[RT_MAX_DIM], ss[RT_MAX_DIM], is[RT_MAX_DIM];
    char *dst;
    const char *src;
    const int64_t *ix;
} Gather;

/* A part of the index's shape; 0 when an index was bad, whose row and the rest are left undone. */
static int gather_part(const Gather *g) {
    int last = g->nd - 1;
    int64_t at[RT_MAX_DIM] = {0}, n = g->shape[last];
    char *d = g->dst;
    const char *s = g->src;
    const int64_t *ix = g->ix;
    for (;;) {
        if (g->size >= 0 && outside(g->level, ix, g->is[last], n, g->size - 1)) return 0;
        g->row(d, g->ds[last], s, g->ss[last], ix, g->is[last], g->mul, n);
        int i = last - 1;
        for (; i >= 0; i--) {
            d += g->ds[i]; s += g->ss[i]; ix += g->is[i];
            if (++at[i] < g->shape[i]) break;
            d -= g->ds[i] * g->shape[i]; s -= g->ss[i] * g->shape[i]; ix -= g->is[i] * g->shape[i];
            at[i] = 0;
        }
        if (i < 0) return 1;
    }
}

int rt_gather_run(int level, int op, int dtype, const RtArray *dst, const RtArray *src, const RtArray *index, int dim, int64_t size,
                  int threads) {
    int64_t item = rt_itemsize(dtype), total = 1;
    int get = op == RT_IX_GET, split = -1, good = 1;
    Gather g;
    g.row = op <= RT_IX_SET ? move_row((int)item, op) : acc_row(level, op, dtype);
    g.nd = index->ndim;
    g.level = level;
    g.dst = dst->data;
    g.src = src->data;
    g.ix = (const int64_t *)index->data;
    g.size = size;
    if (g.nd == 0) {
        static const int64_t zero = 0;                    /* what 0 and -1, the indices allowed, both mean */
        g.row(g.dst, 0, g.src, 0, &zero, 0, 0, 1);
        return 1;
    }
    g.mul = (get ? src->strides[dim] : dst->strides[dim]) * item;
    for (int i = 0; i < g.nd; i++) {
        g.shape[i] = index->shape[i];
        g.ds[i] = (i == dim && !get) ? 0 : dst->strides[i] * item;
        g.ss[i] = (i == dim && get) ? 0 : src->strides[i] * item;
        g.is[i] = index->strides[i];
        total *= g.shape[i];
        /* threads share a dimension along which no two of them write to one place */
        if ((get || i != dim) && (split < 0 || g.shape[i] > g.shape[split])) split = i;
    }
    if (!total) return 1;
    if (split < 0 || total < 32768) return gather_part(&g);
    if (threads > g.shape[split]) threads = (int)g.shape[split];
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) reduction(&:good) if (threads > 1))
    for (int t = 0; t < threads; t++) {
        int64_t lo = g.shape[split] * t / threads, hi = g.shape[split] * (t + 1) / threads;
        Gather part = g;
        part.shape[split] = hi - lo;
        part.dst += lo * g.ds[split];
        part.src += lo * g.ss[split];
        part.ix += lo * g.is[split];
        good &= gather_part(&part);
    }
    return good;
}

int64_t rt_count_true(const uint8_t *mask, int64_t n) {
    int64_t total = 0, j = 0;
    for (; j + 128 <= n; j += 128) {                      /* 128 ones fit a byte's sum per lane */
        uint32_t part = 0;
        for (int i = 0; i < 128; i++) part += mask[j + i];
        total += part;
    }
    for (; j < n; j++) total += mask[j];
    return total;
}

void rt_flat_to_offsets(const int64_t *flat, int64_t n, int nd, const int64_t *shape,
                        const int64_t *step_bytes, int64_t *off) {
    for (int64_t j = 0; j < n; j++) {
        int64_t rest = flat[j], o = 0;
        for (int d = nd - 1; d > 0; d--) { o += rest % shape[d] * step_bytes[d]; rest /= shape[d]; }
        off[j] = o + (nd ? rest * step_bytes[0] : 0);
    }
}

#define FILL_ROW(T)                                                                        \
    { T v; memcpy(&v, value, sizeof(T));                                                   \
      if (ds == (int64_t)sizeof(T) && ms == 1)                                             \
          for (int64_t j = 0; j < n; j++) ((T *)d)[j] = m[j] ? v : ((T *)d)[j];            \
      else for (int64_t j = 0; j < n; j++) if (m[j * ms]) *(T *)(d + j * ds) = v; }

void rt_masked_fill(int itemsize, RtIter *it, const void *value) {
    if (it->numel == 0) return;
    rt_iter_coalesce(it);
    int64_t at[RT_MAX_DIM] = {0}, n = it->shape[0], ds = it->step_bytes[0][0], ms = it->step_bytes[0][1];
    char *ptr[RT_MAX_ARGS] = {it->ptr[0], it->ptr[1]};
    do {
        char *d = ptr[0];
        const uint8_t *m = (const uint8_t *)ptr[1];
        switch (itemsize) {
        case 1: FILL_ROW(uint8_t) break;
        case 2: FILL_ROW(uint16_t) break;
        case 4: FILL_ROW(uint32_t) break;
        case 8: FILL_ROW(uint64_t) break;
        default: FILL_ROW(u128)
        }
    } while (rt_iter_next(it, 1, at, ptr));
}

void rt_triangle(int itemsize, int upper, int64_t batch, int64_t rows, int64_t cols, int64_t k,
                 char *dst, const char *src) {
    int64_t row_bytes = cols * itemsize;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t r = 0; r < rows; r++, dst += row_bytes, src += row_bytes) {
            int64_t edge = r + k + (upper ? 0 : 1);       /* columns below edge belong to the lower part */
            if (edge < 0) edge = 0;
            if (edge > cols) edge = cols;
            int64_t cut = edge * itemsize;
            if (upper) {
                memset(dst, 0, cut);
                if (dst != src) rt_copy_bytes(dst + cut, src + cut, row_bytes - cut);
            } else {
                if (dst != src) rt_copy_bytes(dst, src, cut);
                memset(dst + cut, 0, row_bytes - cut);
            }
        }
}

static void cat_rows(char *dst, int64_t dst_step, const char *src, int64_t slab, int64_t outer) {
#define SINGLE(T)                                         /* elements between those of other tensors; a slab may be two of half its alignment */ \
    if (slab == (int64_t)sizeof(T)) {                                                      \
        for (int64_t o = 0; o < outer; o++) {                                              \
            T v;                                                                           \
            memcpy(&v, src + o * (int64_t)sizeof v, sizeof v);                             \
            memcpy(dst + o * dst_step, &v, sizeof v);                                      \
        }                                                                                  \
        return;                                                                            \
    }
    SINGLE(uint8_t) SINGLE(uint16_t) SINGLE(uint32_t) SINGLE(uint64_t)
#undef SINGLE
    if (slab < 16) {
        for (int64_t o = 0; o < outer; o++, dst += dst_step, src += slab) for (int64_t b = 0; b < slab; b++) dst[b] = src[b];
        return;
    }
    if (slab <= 256) {                      /* a call of memcpy costs more than the move */
        for (int64_t o = 0; o < outer; o++, dst += dst_step, src += slab) {
            int64_t k = 0;
            u128 w;
            for (; k + 16 <= slab; k += 16) { memcpy(&w, src + k, 16); memcpy(dst + k, &w, 16); }
            memcpy(&w, src + slab - 16, 16);
            memcpy(dst + slab - 16, &w, 16);
        }
        return;
    }
    for (int64_t o = 0; o < outer; o++) rt_copy_bytes(dst + o * dst_step, src + o * slab, slab);
}

/* ---- each slab `times` times: out[o, t] = in[o] ---- */
#define TIMES(T)                                          /* by memcpy: a slab may be two elements of half its alignment */ \
    if (slab == (int64_t)sizeof(T)) {                                                      \
        for (int64_t o = lo; o < hi; o++) {                                                \
            T v;                                                                           \
            memcpy(&v, src + o * (int64_t)sizeof v, sizeof v);                             \
            char *d = dst + o * times * (int64_t)sizeof v;                                 \
            if (times == 2) { memcpy(d, &v, sizeof v); memcpy(d + sizeof v, &v, sizeof v); } \
            else for (int64_t k = 0; k < times; k++) memcpy(d + k * (int64_t)sizeof v, &v, sizeof v); \
        }                                                                                  \
        continue;                                                                          \
    }
void rt_repeat_slab(char *dst, const char *src, int64_t slab, int64_t outer, int64_t times, int threads) {
    if (slab * outer * times < (1 << 18) || threads < 1) threads = 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int t = 0; t < threads; t++) {
        int64_t lo = outer * t / threads, hi = outer * (t + 1) / threads;
        TIMES(uint8_t) TIMES(uint16_t) TIMES(uint32_t) TIMES(uint64_t)
        for (int64_t o = lo; o < hi; o++)
            for (int64_t k = 0; k < times; k++) rt_copy_bytes(dst + (o * times + k) * slab, src + o * slab, slab);
    }
}
#undef TIMES

void rt_roll_slabs(char *dst, const char *src, int64_t slab, int64_t cut, int64_t outer, int threads) {
    if (slab * outer < (1 << 18) || threads < 1) threads = 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int t = 0; t < threads; t++)
        for (int64_t o = outer * t / threads; o < outer * (t + 1) / threads; o++) {
            rt_copy_few(dst + o * slab, src + o * slab + cut, (size_t)(slab - cut));
            rt_copy_few(dst + o * slab + slab - cut, src + o * slab, (size_t)cut);
        }
}

void rt_cat_slab(char *dst, int64_t dst_step, const char *src, int64_t slab, int64_t outer, int threads) {
    if (slab * outer < (1 << 18) || threads < 2) { cat_rows(dst, dst_step, src, slab, outer); return; }
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
    for (int t = 0; t < threads; t++) {
        if (outer >= threads) {
            int64_t lo = outer * t / threads, hi = outer * (t + 1) / threads;
            cat_rows(dst + lo * dst_step, dst_step, src + lo * slab, slab, hi - lo);
        } else {                                          /* few long slabs: each is cut */
            int64_t lo = slab * t / threads & ~(int64_t)63, hi = t + 1 == threads ? slab : slab * (t + 1) / threads & ~(int64_t)63;
            for (int64_t o = 0; o < outer; o++) rt_copy_bytes(dst + o * dst_step + lo, src + o * slab + lo, hi - lo);
        }
    }
}
