/* Reductions on the CPU: which elements meet in which order, by the loops of the instruction set in force (reduce_type.h). */
#include <stdlib.h>
#include <string.h>
#include "cpu.h"
#include "copy.h"
#include "share.h"
#include "_gen/rt_rows.h"

#define COLS 256                                        /* columns accumulated side by side */
#define COL_LEVELS 40                                   /* binary counter over blocks of 32 rows: 2^45 rows */
typedef struct { int n; int64_t size[RT_MAX_DIM], in[RT_MAX_DIM], out[RT_MAX_DIM]; } Dims;

static void dims_add(Dims *d, int64_t size, int64_t in, int64_t out) {
    if (size == 1) return;
    int i = d->n++;
    while (i > 0 && llabs(d->in[i - 1]) > llabs(in)) {   /* smallest step first */
        d->size[i] = d->size[i - 1]; d->in[i] = d->in[i - 1]; d->out[i] = d->out[i - 1];
        i--;
    }
    d->size[i] = size; d->in[i] = in; d->out[i] = out;
}
static void dims_merge(Dims *d) {
    int m = 0;
    for (int i = 1; i < d->n; i++) {
        if (d->in[i] == d->in[m] * d->size[m] && d->out[i] == d->out[m] * d->size[m]) d->size[m] *= d->size[i];
        else { m++; d->size[m] = d->size[i]; d->in[m] = d->in[i]; d->out[m] = d->out[i]; }
    }
    if (d->n) d->n = m + 1;
}
static int64_t dims_count(const Dims *d, int from) {
    int64_t n = 1;
    for (int i = from; i < d->n; i++) n *= d->size[i];
    return n;
}
static void dims_at(const Dims *d, int from, int64_t flat, int64_t *in, int64_t *out) {
    for (int i = from; i < d->n; i++) {
        int64_t j = flat % d->size[i];
        flat /= d->size[i];
        *in += j * d->in[i];
        *out += j * d->out[i];
    }
}

typedef struct {
    const RtReduceFns *f;
    int acc_dtype, in_dtype, out_dtype, acc_size, in_size;
    double k0;
    Dims keep, red;
    const char *in;
    char *out;
    int counts;                                          /* a sum of bools in int64: bytes that are not zero are counted, 16 at a time */
} Red;

typedef uint8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
static int64_t count_bytes(const char *x, int64_t n) {
    int64_t zeros = 0, i = 0;
    while (i + 64 <= n) {
        Bytes none[4] = {{0}};                           /* a byte holds 255 */
        int64_t end = n - i > 255 * 64 ? i + 255 * 64 : i + (n - i) / 64 * 64;
        for (; i < end; i += 64) for (int k = 0; k < 4; k++) none[k] -= (Bytes)(*(const Bytes *)(x + i + 16 * k) == 0);
        for (int k = 0; k < 4; k++) {
            uint64_t half[2];
            memcpy(half, &none[k], 16);
            for (int h = 0; h < 2; h++) {
                uint64_t pairs = (half[h] & 0x00ff00ff00ff00ff) + (half[h] >> 8 & 0x00ff00ff00ff00ff);
                zeros += (int64_t)(pairs * 0x0001000100010001 >> 48);
            }
        }
    }
    for (; i < n; i++) zeros += x[i] == 0;
    return n - zeros;
}

/* Note [Reductions with steps]
 * The loops over steps take one element at a time, and each waits for the one before. Lines with steps are copied to dense blocks in the first
 * level of the cache, by vectors where the copies have a way (every second element: a sum of x[:, ::2] in a quarter of the time). */
#define RED_STAGE 4096
#define RED_STEPPED 16       /* elements: shorter lines are left to the loop */
/* `rows` rows of n elements, `step` bytes apart and each `row` after the one before, as the loops take them: copied to `dense` if `stepped`, then
 * converted into `buffer`. Returns where they lie; step and row become what they are there. */
static inline const char *red_ready(const Red *r, RtCast cast, int stepped, const char *x, int64_t *step, int64_t *row, int64_t rows, int64_t n,
                                    char *dense, char *buffer) {
    if (stepped) {
        rt_cpu_copy_fns(r->in_size)->rows(dense, r->in_size, n * r->in_size, x, *step, *row, rows, n);
        x = dense;
        *step = r->in_size;
        *row = n * r->in_size;
    }
    if (cast) {
        int64_t wide = n * r->acc_size;
        if (rows == 1 || *row == n * *step) cast(buffer, r->acc_size, x, *step, rows * n);
        else for (int64_t i = 0; i < rows; i++) cast(buffer + i * wide, r->acc_size, x + i * *row, *step, n);
        x = buffer;
        *step = r->acc_size;
        *row = wide;
    }
    return x;
}
static inline RtCast red_cast(const Red *r) { return r->in_dtype == r->acc_dtype ? NULL : rt_cast_of(r->in_dtype, r->acc_dtype); }
static void red_run1d(const Red *r, char *acc, const char *x, int64_t step, int64_t n) {
    int same = r->in_dtype == r->acc_dtype, stepped = step != r->in_size && n >= RED_STEPPED;
    if (r->counts && step == 1) { *(int64_t *)acc += count_bytes(x, n); return; }
    if (same && !stepped) { r->f->run1d(acc, x, step, n, r->k0); return; }
    char dense[RED_STAGE] __attribute__((aligned(64))), buffer[2 * RED_STAGE] __attribute__((aligned(64)));   /* and its source: well within the first level of the cache */
    RtCast cast = red_cast(r);
    int64_t block = stepped ? RED_STAGE / (r->in_size > r->acc_size ? r->in_size : r->acc_size) : (int64_t)sizeof(buffer) / r->acc_size;
    for (int64_t m; n > 0; x += m * step, n -= m) {
        m = n < block ? n : block;
        int64_t by = step, row = 0;
        const char *from = red_ready(r, cast, stepped, x, &by, &row, 1, m, dense, buffer);
        r->f->run1d(acc, from, by, m, r->k0);
    }
}
static void red_cols(const Red *r, char *acc, const char *x, int64_t step, int64_t n) {
    RtCast cast = red_cast(r);
    int stepped = step != r->in_size && n >= RED_STEPPED;
    if (!cast && !stepped) { r->f->cols(acc, x, step, n, r->k0); return; }
    char dense[RED_STAGE] __attribute__((aligned(64))), buffer[COLS * 16] __attribute__((aligned(64)));
    int64_t block = stepped ? RED_STAGE / r->in_size : n;
    for (int64_t m; n > 0; x += m * step, acc += m * r->acc_size, n -= m) {
        m = n < block ? n : block;
        int64_t by = step, row = 0;
        const char *from = red_ready(r, cast, stepped, x, &by, &row, 1, m, dense, buffer);
        r->f->cols(acc, from, by, m, r->k0);
    }
}
static void red_store(const Red *r, char *out, int64_t out_step, const char *acc, int64_t n) {
    rt_cast_of(r->acc_dtype, r->out_dtype)(out, out_step, acc, r->acc_size, n);
}

/* acc[k] = rows of n elements, `step` bytes apart, at x + k * row, k < m: by `lines` (Note [Lines] in reduce_type.h). */
static int red_lined(const Red *r, int64_t n) {
    return r->f->lines && n > 8 && n * r->acc_size <= RT_LINE_MAX && n * r->in_size <= RT_LINE_MAX;
}
static void red_lines(const Red *r, char *acc, const char *x, int64_t step, int64_t row, int64_t m, int64_t n) {
    int same = r->in_dtype == r->acc_dtype, stepped = step != r->in_size;
    if (r->counts && !stepped) {
        for (int64_t k = 0; k < m; k++) ((int64_t *)acc)[k] = count_bytes(x + k * row, n);
        return;
    }
    if (same && !stepped) { r->f->lines(acc, x, row, m, n, r->k0); return; }
    char dense[RT_LINE_MAX] __attribute__((aligned(64))), buffer[RT_LINE_MAX + 1] __attribute__((aligned(64)));
    RtCast cast = red_cast(r);
    int64_t each = 8192 / (n * (r->acc_size > r->in_size ? r->acc_size : r->in_size));   /* rows that are converted together */
    if (each < 1) each = 1;
    for (int64_t k = 0; k < m; k += each) {
        int64_t many = m - k < each ? m - k : each, at = step, by = row;
        const char *from = red_ready(r, cast, stepped, x + k * row, &at, &by, many, n, dense, buffer);
        r->f->lines(acc + k * r->acc_size, from, by, many, n, r->k0);
    }
}

/* Outputs [b, e): each reduces its rows along red dimension 0. Several rows an output are read in the order of memory, a
 * tile of outputs together, and merge pairwise like a binary counter. */
#define MID 64
static void red_inner(const Red *r, int64_t b, int64_t e) {
    int64_t rows = dims_count(&r->red, 1), n = r->red.n ? r->red.size[0] : 1, step = r->red.n ? r->red.in[0] : 0;
    int64_t width = r->keep.n ? r->keep.size[0] : 1;
    char acc[MID * 16] __attribute__((aligned(64))), part[COL_LEVELS][MID * 16] __attribute__((aligned(64)));
    int64_t in0[MID], out0[MID];
    int size = r->acc_size, lined = width >= 8 && red_lined(r, n), even = r->keep.n == 1 || lined;
    int near = lined && rows > 1 && r->keep.in[0] == n * r->in_size && n * r->in_size <= 1024;      /* a tile's rows follow each other, and are few bytes */
    for (int64_t i = b, m; i < e; i += m) {
        m = e - i < MID ? e - i : MID;
        if (even && m > width - i % width) m = width - i % width;      /* a tile within dimension 0: its outputs are one step apart */
        in0[0] = out0[0] = 0;
        dims_at(&r->keep, 0, i, &in0[0], &out0[0]);
        if (even) for (int k = 1; k < m; k++) { in0[k] = in0[0] + k * r->keep.in[0]; out0[k] = out0[0] + k * r->keep.out[0]; }
        else for (int k = 1; k < m; k++) { in0[k] = out0[k] = 0; dims_at(&r->keep, 0, i + k, &in0[k], &out0[k]); }
        for (int64_t j = 0; j < rows; j++) {
            int64_t in1 = 0, unused = 0;
            dims_at(&r->red, 1, j, &in1, &unused);
            if (near && j + 1 < rows) {                 /* the next rows lie far off: the processor does not guess where */
                int64_t next = 0;
                dims_at(&r->red, 1, j + 1, &next, &unused);
                for (int64_t at = 0; at < m * r->keep.in[0]; at += 64) __builtin_prefetch(r->in + in0[0] + next + at);
            }
            if (lined) red_lines(r, acc, r->in + in0[0] + in1, step, r->keep.in[0], m, n);
            else {
                r->f->init(acc, m);
                for (int k = 0; k < m; k++) red_run1d(r, acc + k * size, r->in + in0[k] + in1, step, n);
            }
            if (rows == 1) break;
            int level = 0;
            for (int64_t c = j; c & 1; c >>= 1, level++) r->f->comb(acc, part[level], m);
            memcpy(part[level], acc, (size_t)(m * size));
        }
        if (rows > 1) {
            r->f->init(acc, m);
            int level = 0;
            for (int64_t c = rows; c; c >>= 1, level++) if (c & 1) r->f->comb(acc, part[level], m);
        }
        if (even || r->keep.n == 0) red_store(r, r->out + out0[0], r->keep.n ? r->keep.out[0] : 16, acc, m);
        else for (int k = 0; k < m; k++) red_store(r, r->out + out0[k], 16, acc + k * size, 1);
    }
}

/* Outputs [b, e) of kept dimension 0, each over a dense row of few elements: a tile of rows is turned, then its columns
 * are accumulated side by side. */
#define SHORT_BYTES 512
#define LINE_BYTES 256       /* a row that fills the lanes of reduce_type.h is faster by itself */
static void red_short(const Red *r, int64_t b, int64_t e) {
    char acc[MID * 16] __attribute__((aligned(64))), total[MID * 16] __attribute__((aligned(64)));
    char buffer[SHORT_BYTES * MID] __attribute__((aligned(64)));
    int64_t n = r->red.size[0], row = (int64_t)MID * r->in_size;
    const RtCopyFns *f = rt_cpu_copy_fns(r->in_size);
    for (int64_t i = b; i < e; i += MID) {
        int64_t m = e - i < MID ? e - i : MID;
        f->turn(buffer, row, r->in + i * r->keep.in[0], r->keep.in[0], n, m);
        r->f->init(total, m);
        for (int64_t j0 = 0; j0 < n; j0 += 16) {
            r->f->init(acc, m);
            for (int64_t j = j0; j < j0 + 16 && j < n; j++) red_cols(r, acc, buffer + j * row, r->in_size, m);
            r->f->comb(total, acc, m);
        }
        red_store(r, r->out + i * r->keep.out[0], r->keep.out[0], total, m);
    }
}

/* Rows [j0, j1) of tile t: `cols` columns of kept dimension 0 at one place of the other kept dimensions. Accumulated into `to`, if not
 * NULL, else stored. */
static void red_tile(const Red *r, int64_t cols, int64_t t, int64_t j0, int64_t j1, char *to) {
    char acc[COLS * 16] __attribute__((aligned(64))), part[COL_LEVELS][COLS * 16] __attribute__((aligned(64)));
    int64_t width = r->keep.size[0], tiles = (width + cols - 1) / cols;
    int64_t in0 = 0, out0 = 0, unused = 0, c0 = (t % tiles) * cols, n = width - c0 < cols ? width - c0 : cols;
    int64_t idx[RT_MAX_DIM] = {0}, line = r->keep.in[0] == r->in_size ? n * r->in_size : 0;      /* bytes of a dense row ... */
    if (r->red.in[0] == line) line = 0;                 /* ... fetched ahead, but where rows follow each other the processor does so by itself */
    uint64_t blocks = 0;
    int stepped = r->keep.in[0] != r->in_size;
    int by_four = r->red.n == 1 && (!stepped || (n >= RED_STEPPED && n * r->in_size <= COLS * 16));
    RtCast cast = red_cast(r);
    int plain = !cast && !stepped;
    char four[4 * COLS * 16] __attribute__((aligned(64))), dense[4 * COLS * 16] __attribute__((aligned(64)));
    dims_at(&r->keep, 1, t / tiles, &in0, &out0);
    in0 += c0 * r->keep.in[0];
    out0 += c0 * r->keep.out[0];
    if (j0) {
        int64_t rest = j0;
        for (int d = 0; d < r->red.n; d++) { idx[d] = rest % r->red.size[d]; rest /= r->red.size[d]; }
        dims_at(&r->red, 0, j0, &in0, &unused);
    }
    r->f->init(acc, n);
    for (int64_t j = j0, in1 = in0; j < j1; j++) {
        const char *ahead = r->in + in1 + r->red.in[0];
        if (by_four && j + 4 <= j1) {                   /* a block of 32 rows is not left: j - j0 is a multiple of four */
            for (int i = 3; i < 7; i++, ahead = r->in + in1 + i * r->red.in[0]) for (int64_t b = 0; b < line; b += 64) __builtin_prefetch(ahead + b);
            if (plain) r->f->cols4(acc, r->in + in1, r->red.in[0], n, r->k0);
            else {
                int64_t step = r->keep.in[0], row = r->red.in[0];
                const char *from = red_ready(r, cast, stepped, r->in + in1, &step, &row, 4, n, dense, four);
                r->f->cols4(acc, from, row, n, r->k0);
            }
            j += 3;
            in1 += 3 * r->red.in[0];
            idx[0] += 3;
        } else {
            for (int64_t b = 0; b < line; b += 64) __builtin_prefetch(ahead + b);
            red_cols(r, acc, r->in + in1, r->keep.in[0], n);
        }
        if (((j - j0) & 31) == 31) {                    /* pairwise: blocks of 32 rows merge like a binary counter */
            int level = 0;
            for (uint64_t c = blocks; c & 1; c >>= 1, level++) r->f->comb(acc, part[level], n);
            memcpy(part[level], acc, (size_t)n * r->acc_size);
            r->f->init(acc, n);
            blocks++;
        }
        for (int d = 0; d < r->red.n; d++) {
            in1 += r->red.in[d];
            if (++idx[d] < r->red.size[d]) break;
            in1 -= r->red.in[d] * r->red.size[d];
            idx[d] = 0;
        }
    }
    int level = 0;
    for (uint64_t c = blocks; c; c >>= 1, level++) if (c & 1) r->f->comb(acc, part[level], n);
    if (to) memcpy(to, acc, (size_t)n * r->acc_size);
    else red_store(r, r->out + out0, r->keep.out[0], acc, n);
}

/* Rows [row0, row0 + rows) of a dense matrix of few columns, summed into width accumulators at `to`: as many rows as fill
 * COLS are taken as one. */
static void red_narrow(const Red *r, int64_t row0, int64_t rows, char *to) {
    char acc[COLS * 16] __attribute__((aligned(64))), part[COL_LEVELS][COLS * 16] __attribute__((aligned(64)));
    int64_t width = r->keep.size[0], group = COLS / width, n = group * width, blocks = rows / group, step = group * r->red.in[0];
    const char *x = r->in + row0 * r->red.in[0];
    uint64_t merged = 0;
    r->f->init(acc, n);
    for (int64_t j = 0; j < blocks; j++, x += step) {
        red_cols(r, acc, x, r->in_size, n);
        if ((j & 31) == 31) {
            int level = 0;
            for (uint64_t c = merged; c & 1; c >>= 1, level++) r->f->comb(acc, part[level], n);
            memcpy(part[level], acc, (size_t)(n * r->acc_size));
            r->f->init(acc, n);
            merged++;
        }
    }
    if (rows % group) red_cols(r, acc, x, r->in_size, rows % group * width);
    int level = 0;
    for (uint64_t c = merged; c; c >>= 1, level++) if (c & 1) r->f->comb(acc, part[level], n);
    for (int64_t g = 1; g < group; g++) r->f->comb(acc, acc + g * width * r->acc_size, width);
    memcpy(to, acc, (size_t)(width * r->acc_size));
}

#define RED_GRAIN 32768
#define RED_ROWS 128         /* and so are columns of many rows */
#define RED_CHUNK 65536      /* a long reduction is cut in chunks of this many elements, whatever the thread count */

int rt_cpu_reduce(int device, int row, int acc_dtype, const RtArray *out, const RtArray *in, const uint8_t *reduced, const double *k) {
    (void)device;
    Red r;
    const RtReduceFns *table = rt_cpu_reductions(acc_dtype);
    if (!table || !table[row].run1d) return RT_ERR_UNSUPPORTED;
    r.f = &table[row];
    if (in->ndim == 1 && reduced[0] && in->strides[0] == 1 && in->dtype == acc_dtype && out->dtype == acc_dtype && in->shape[0] > 0 &&
        in->shape[0] < 2 * RED_GRAIN) {                  /* all of a short dense line: what the general way comes to, without its set-up */
        char acc[16] __attribute__((aligned(16)));
        r.f->init(acc, 1);
        r.f->run1d(acc, in->data, rt_itemsize(acc_dtype), in->shape[0], k ? k[0] : 0);
        memcpy(out->data, acc, (size_t)rt_itemsize(acc_dtype));
        return RT_OK;
    }
    r.acc_dtype = acc_dtype; r.in_dtype = in->dtype; r.out_dtype = out->dtype;
    r.acc_size = rt_itemsize(acc_dtype); r.in_size = rt_itemsize(in->dtype);
    r.k0 = k ? k[0] : 0;
    r.keep.n = r.red.n = 0;
    r.counts = in->dtype == RT_BOOL && acc_dtype == RT_I64 && (row == RED_SUM || row == RED_COUNT_NONZERO);
    r.in = in->data; r.out = out->data;
    int64_t isz = r.in_size, osz = rt_itemsize(out->dtype), nout = 1, nred = 1;
    for (int d = 0; d < in->ndim; d++) {
        if (reduced[d]) { nred *= in->shape[d]; dims_add(&r.red, in->shape[d], in->strides[d] * isz, 0); }
        else { nout *= in->shape[d]; dims_add(&r.keep, in->shape[d], in->strides[d] * isz, out->strides[d] * osz); }
    }
    if (nout == 0) return RT_OK;
    if (nred == 0) {
        char acc[16];
        r.f->init(acc, 1);
        for (int64_t i = 0; i < nout; i++) { int64_t a = 0, o = 0; dims_at(&r.keep, 0, i, &a, &o); red_store(&r, r.out + o, 16, acc, 1); }
        return RT_OK;
    }
    dims_merge(&r.keep);
    dims_merge(&r.red);
    int64_t total = nout * nred;
    int threads = total >= 2 * RED_GRAIN ? rt_num_threads() : 1;
    int outer = r.keep.n && r.red.n && llabs(r.keep.in[0]) < llabs(r.red.in[0]) && r.keep.size[0] >= 4;
    if (outer && r.keep.n == 1 && r.red.n == 1 && r.keep.in[0] == r.in_size && r.red.in[0] == r.keep.size[0] * r.in_size &&
        r.keep.size[0] <= COLS / 4 && nred >= 4 * COLS) {
        int64_t width = r.keep.size[0], each = RED_CHUNK / width, chunks = (nred + each - 1) / each;
        size_t bytes = (size_t)(width * r.acc_size);
        char *part = malloc((size_t)chunks * bytes);
        if (!part) return RT_ERR_MEMORY;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t c = 0; c < chunks; c++)
            red_narrow(&r, c * each, nred - c * each < each ? nred - c * each : each, part + c * bytes);
        for (int64_t w = 1; w < chunks; w *= 2)
            for (int64_t c = 0; c + w < chunks; c += 2 * w) r.f->comb(part + c * bytes, part + (c + w) * bytes, width);
        red_store(&r, r.out, r.keep.out[0], part, width);
        free(part);
        return RT_OK;
    }
    if (outer) {
        /* Tiles as wide as the accumulators' room allows. Where those are few, long ones are cut in chunks of rows, whatever the number
         * of threads: whole rows are read faster than parts of them. Else they get narrower where threads would go without. */
        int64_t width = r.keep.size[0], others = dims_count(&r.keep, 1), cols = COLS * 16 / r.acc_size;
        int64_t high = width >= COLS ? RED_ROWS : RED_ROWS * ((COLS + width - 1) / width);
        int64_t tiles = (width + cols - 1) / cols, work = tiles * others, chunks = (nred + high - 1) / high;
        if (work <= 8 && width >= RED_STEPPED && chunks >= 4) {
            size_t bytes = (size_t)((width < cols ? width : cols) * r.acc_size);
            char *part = malloc((size_t)(work * chunks) * bytes);
            if (!part) return RT_ERR_MEMORY;
            RT_SHARED(threads, work * chunks, i, {
                int64_t j0 = i % chunks * high;
                red_tile(&r, cols, i / chunks, j0, nred - j0 < high ? nred : j0 + high, part + i * bytes);
            });
            for (int64_t t = 0; t < work; t++) {
                int64_t in0 = 0, out0 = 0, c0 = t % tiles * cols, n = width - c0 < cols ? width - c0 : cols;
                char *p = part + t * chunks * bytes;
                for (int64_t w = 1; w < chunks; w *= 2)
                    for (int64_t c = 0; c + w < chunks; c += 2 * w) r.f->comb(p + c * bytes, p + (c + w) * bytes, n);
                dims_at(&r.keep, 1, t / tiles, &in0, &out0);
                red_store(&r, r.out + out0 + c0 * r.keep.out[0], r.keep.out[0], p, n);
            }
            free(part);
            return RT_OK;
        }
        if (width >= COLS && others < threads) {
            int64_t share = (width * others + threads - 1) / threads;
            share = (share + 31) / 32 * 32;
            if (share < COLS / 2) share = COLS / 2;
            if (cols > share) cols = share;
        }
        work = (width + cols - 1) / cols * others;
        if (threads > work) threads = (int)work;
        RT_SHARED(threads, work, t, { red_tile(&r, cols, t, 0, nred, NULL); });
        return RT_OK;
    }
    if (nout == 1 && r.red.n == 1 && nred >= 2 * RED_CHUNK) {
        int64_t chunks = (nred + RED_CHUNK - 1) / RED_CHUNK;
        char *part = malloc((size_t)chunks * 16);
        if (!part) return RT_ERR_MEMORY;
        RT_SHARED(threads, chunks, c, {
            int64_t b = c * RED_CHUNK, n = nred - b < RED_CHUNK ? nred - b : RED_CHUNK;
            r.f->init(part + c * 16, 1);
            red_run1d(&r, part + c * 16, r.in + b * r.red.in[0], r.red.in[0], n);
        });
        for (int64_t w = 1; w < chunks; w *= 2)
            for (int64_t c = 0; c + w < chunks; c += 2 * w) r.f->comb(part + c * 16, part + (c + w) * 16, 1);
        red_store(&r, r.out, 16, part, 1);
        free(part);
        return RT_OK;
    }
    if (threads > nout) threads = (int)nout;
    if (r.keep.n == 1 && r.red.n == 1 && r.red.in[0] == r.in_size && r.keep.in[0] % r.in_size == 0 && nred > 1 &&
        nred * r.in_size <= (r.f->quick == 2 ? 8 * r.in_size : r.in_dtype == acc_dtype ? (r.f->quick ? LINE_BYTES / 2 : LINE_BYTES) - 1 : SHORT_BYTES) &&
        nout >= 16) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
        for (int t = 0; t < threads; t++) red_short(&r, nout * t / threads, nout * (t + 1) / threads);
        return RT_OK;
    }
    if (threads <= 1) { red_inner(&r, 0, nout); return RT_OK; }
    int pieces = r.red.n > 1 ? 4 : 8;                     /* of a thread; rows that are read together should be many where the next ones lie far off */
    int64_t each = (nout + pieces * threads - 1) / (pieces * threads);
    RT_SHARED(threads, (nout + each - 1) / each, i, { red_inner(&r, i * each, nout - i * each < each ? nout : (i + 1) * each); });
    return RT_OK;
}
