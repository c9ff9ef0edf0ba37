/* Moving elements by index: take, put and accumulate through offset tables; gather and scatter
 * along a dimension; positions of true elements; triangles; joins. Bound by memory, so compiled
 * once, not per instruction set. */
#ifndef RUSTORCH_INDEX_H
#define RUSTORCH_INDEX_H
#include "rustorch/layout.h"

/* What happens to the destination. GET reads through the index, the others write through it. */
enum { RT_IX_GET = 0, RT_IX_SET = 1, RT_IX_ADD = 2, RT_IX_MUL = 3, RT_IX_MAX = 4, RT_IX_MIN = 5 };

/* dst[b, j, a] and src[b, off[j], a] (GET), or dst[b, off[j], a] and src[b, j, a]. Dimensions
 * before and after the indexed ones, outermost first; steps in bytes, offsets in units of `mul` bytes: indices that need no arithmetic are offsets. */
typedef struct {
    char *dst;
    const char *src;
    const int64_t *off;
    int64_t n_off, mul, j_step;                 /* j_step: of the side that is not indexed */
    int nb, na;
    int64_t b_shape[RT_MAX_DIM], b_dst[RT_MAX_DIM], b_src[RT_MAX_DIM];
    int64_t a_shape[RT_MAX_DIM], a_dst[RT_MAX_DIM], a_src[RT_MAX_DIM];
    void (*add)(char *dst, const char *src, int64_t n);             /* rt_index_run's own: a dense slab added, or NULL */
} RtIndexPlan;

/* Position of the first index outside [low, high), or -1. */
int64_t rt_index_check(int level, const int64_t *idx, int64_t n, int64_t low, int64_t high, int threads);
/* off[j] (+)= idx[j] * step_bytes, indices below 0 counted from the end. */
void rt_index_offsets(const int64_t *idx, int64_t n, int64_t size, int64_t step_bytes, int add, int64_t *off, int threads);
void rt_index_run(int level, int op, int dtype, RtIndexPlan *plan, int threads);
/* The index's shape is walked; `dim` is replaced by its value, which is checked against [0, size) on the way: 0 when one
 * was outside, with part of the work done. size -1: they are known to be good. */
int rt_gather_run(int level, int op, int dtype, const RtArray *dst, const RtArray *src, const RtArray *index, int dim, int64_t size,
                  int threads);

int64_t rt_count_true(const uint8_t *mask, int64_t n);
void rt_flat_to_offsets(const int64_t *flat, int64_t n, int nd, const int64_t *shape,
                        const int64_t *step_bytes, int64_t *off);
void rt_masked_fill(int itemsize, RtIter *it, const void *value);           /* operands: self, mask */
void rt_triangle(int itemsize, int upper, int64_t batch, int64_t rows, int64_t cols, int64_t k,
                 char *dst, const char *src);
/* out[o, at : at + slab] = in[o, :slab], bytes, for every outer o */
/* each slab of src turned by its first `cut` bytes: they come last */
void rt_roll_slabs(char *dst, const char *src, int64_t slab, int64_t cut, int64_t outer, int threads);
void rt_cat_slab(char *dst, int64_t dst_step, const char *src, int64_t slab, int64_t outer, int threads);
/* out[o, k] = in[o] for k < times: slabs of bytes */
void rt_repeat_slab(char *dst, const char *src, int64_t slab, int64_t outer, int64_t times, int threads);

/* Row i of out (n x classes): zeros, and a one at index[i], which is in range. */
void rt_one_hot(const int64_t *index, int64_t n, int64_t classes, int64_t *out, int threads);
#endif
