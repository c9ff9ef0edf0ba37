/* Padding: arrays made larger (or, by negative amounts, smaller) at the ends of their dimensions, and sums back. */
#ifndef RUSTORCH_PAD_H
#define RUSTORCH_PAD_H
#include "rustorch/loops.h"

enum { RT_PAD_CONSTANT, RT_PAD_REPLICATE, RT_PAD_REFLECT, RT_PAD_CIRCULAR, RT_PAD_DIMS = 64 };

typedef struct {
    int n, mode;                                                   /* n: dimensions as they lie in memory, 1 at least */
    int64_t in[RT_PAD_DIMS], out[RT_PAD_DIMS], before[RT_PAD_DIMS];
    int64_t inner;                                                 /* elements at each position of the last dimension */
} RtPad;

typedef struct {
    /* value: 32 bytes of the constant, repeated */
    void (*grow)(const RtPad *, int64_t itemsize, const char *x, const char *value, char *y, int threads);
    /* gx[i] = sum of g where a position shows i; not for constants. room: 2 * most numbers a thread, see rt_pad_most */
    void (*sum_f32)(const RtPad *, const void *g, void *gx, int64_t *room, int64_t most, int threads);
    void (*sum_f64)(const RtPad *, const void *g, void *gx, int64_t *room, int64_t most, int threads);
    void (*sum_bf16)(const RtPad *, const void *g, void *gx, int64_t *room, int64_t most, int threads);
    void (*sum_f16)(const RtPad *, const void *g, void *gx, int64_t *room, int64_t most, int threads);
} RtPadTable;
extern const RtPadTable rt_pad_table_base;
#if defined(__x86_64__)
extern const RtPadTable rt_pad_table_avx2, rt_pad_table_avx512;
#endif

/* how many rows of the padded array may show one row of the array */
static inline int64_t rt_pad_most(const RtPad *p) {
    int64_t most = 1;
    for (int d = 0; d < p->n - 1; d++) {
        int64_t before = p->before[d], after = p->out[d] - p->in[d] - before;
        if (before == 0 && after == 0) continue;
        most *= p->mode == RT_PAD_REPLICATE ? 1 + (before > 0 ? before : 0) + (after > 0 ? after : 0) : 3;
    }
    return most;
}
#endif
