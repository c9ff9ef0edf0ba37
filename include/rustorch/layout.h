/* Shapes, strides and the plan of an N-d loop. Strides in RtArray count elements, steps in
 * RtIter count bytes: a number says its unit in its name. */
#ifndef RUSTORCH_LAYOUT_H
#define RUSTORCH_LAYOUT_H
#include "dtype.h"

#define RT_MAX_DIM 64      /* as PyTorch and NumPy */
#define RT_MAX_ARGS 8      /* output + inputs of one loop */

/* A borrowed N-d view. `data` points at element [0,...,0]; strides count elements, may be 0
 * (broadcast) or, inside kernels only, negative. Only the first ndim entries are filled. */
typedef struct {
    char   *data;
    int32_t dtype;
    int32_t ndim;
    int64_t shape[RT_MAX_DIM];
    int64_t strides[RT_MAX_DIM];
} RtArray;

/* The plan of an elementwise loop: one shape, `nargs` operands. Operand 0 is the output.
 * Dimension 0 is the INNERMOST. Filled by rt_iter_*; every operand has `shape` after
 * broadcasting (step 0 where it does not move). `host`: bit a, operand a is one element in the host's memory though the
 * others are a device's; set for elementwise() only. */
typedef struct {
    int      ndim, nargs, host;
    int64_t  numel;
    char    *ptr[RT_MAX_ARGS];
    int32_t  dtype[RT_MAX_ARGS];
    int64_t  shape[RT_MAX_DIM];
    int64_t  step_bytes[RT_MAX_DIM][RT_MAX_ARGS];
} RtIter;

static inline int64_t rt_numel(int ndim, const int64_t *shape) {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
}

static inline void rt_contiguous_strides(int ndim, const int64_t *shape, int64_t *strides) {
    int64_t s = 1;
    for (int i = ndim - 1; i >= 0; i--) { strides[i] = s; s *= shape[i] > 1 ? shape[i] : 1; }
}

/* Row-major contiguous? Sizes 0 and 1 do not care about their stride. */
static inline int rt_is_contiguous(int ndim, const int64_t *shape, const int64_t *strides) {
    int64_t expect = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        if (shape[i] == 0) return 1;
        if (shape[i] != 1) {
            if (strides[i] != expect) return 0;
            expect *= shape[i];
        }
    }
    return 1;
}

/* Byte offset of the last-but-slowest counter: advances `idx` over it->shape[from..) by one and
 * moves the pointers; returns 0 when the space is exhausted. */
static inline int rt_iter_next(const RtIter *it, int from, int64_t *idx, char **ptr) {
    for (int d = from; d < it->ndim; d++) {
        for (int a = 0; a < it->nargs; a++) ptr[a] += it->step_bytes[d][a];
        if (++idx[d] < it->shape[d]) return 1;
        for (int a = 0; a < it->nargs; a++) ptr[a] -= it->step_bytes[d][a] * it->shape[d];
        idx[d] = 0;
    }
    return 0;
}

/* Sort dimensions so that the smallest output step is innermost, then merge neighbours that
 * move together. A contiguous or uniformly permuted set becomes one dimension. */
static inline void rt_iter_coalesce(RtIter *it) {
    int n = it->ndim;
    /* drop size-1 dimensions */
    int m = 0;
    for (int d = 0; d < n; d++) {
        if (it->shape[d] == 1) continue;
        if (m != d) {
            it->shape[m] = it->shape[d];
            for (int a = 0; a < it->nargs; a++) it->step_bytes[m][a] = it->step_bytes[d][a];
        }
        m++;
    }
    n = m;
    /* insertion sort by |step|, the output first, then the inputs where the output ties (0) */
    for (int i = 1; i < n; i++) {
        for (int j = i; j > 0; j--) {
            int swap = 0;
            for (int a = 0; a < it->nargs; a++) {
                int64_t s0 = it->step_bytes[j - 1][a], s1 = it->step_bytes[j][a];
                if (s0 < 0) s0 = -s0;
                if (s1 < 0) s1 = -s1;
                if (s0 == 0 || s1 == 0) continue;
                if (s0 != s1) { swap = s1 < s0; break; }
            }
            if (!swap) break;
            int64_t t = it->shape[j]; it->shape[j] = it->shape[j - 1]; it->shape[j - 1] = t;
            for (int a = 0; a < it->nargs; a++) {
                t = it->step_bytes[j][a];
                it->step_bytes[j][a] = it->step_bytes[j - 1][a];
                it->step_bytes[j - 1][a] = t;
            }
        }
    }
    /* merge */
    m = 0;
    for (int d = 1; d < n; d++) {
        int ok = 1;
        for (int a = 0; a < it->nargs; a++)
            if (it->step_bytes[d][a] != it->step_bytes[m][a] * it->shape[m]) { ok = 0; break; }
        if (ok) it->shape[m] *= it->shape[d];
        else {
            m++;
            if (m != d) {
                it->shape[m] = it->shape[d];
                for (int a = 0; a < it->nargs; a++) it->step_bytes[m][a] = it->step_bytes[d][a];
            }
        }
    }
    if (n == 0) {
        it->ndim = 1; it->shape[0] = 1;
        for (int a = 0; a < it->nargs; a++) it->step_bytes[0][a] = 0;
    } else it->ndim = m + 1;
}
#endif
