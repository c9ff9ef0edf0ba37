/* What the CPU back end is made of: loop tables an instruction set, the drivers over them. */
#ifndef RT_CPU_H
#define RT_CPU_H
#include "rustorch/backend.h"
#ifdef _OPENMP
#include <omp.h>
#endif

typedef void (*RtCast)(char *dst, int64_t dst_step, const char *src, int64_t src_step, int64_t n);

typedef struct {
    void (*init)(char *acc, int64_t n);                                                    /* acc[0..n) */
    void (*run1d)(char *acc, const char *x, int64_t step_bytes, int64_t n, double k0);     /* acc = comb(acc, reduce x) */
    void (*cols)(char *acc, const char *x, int64_t step_bytes, int64_t n, double k0);      /* acc[i] = step(acc[i], x[i]) */
    void (*comb)(char *acc, const char *other, int64_t n);                                 /* acc[i] = comb(acc[i], other[i]) */
    void (*lines)(char *acc, const char *x, int64_t row_bytes, int64_t m, int64_t n, double k0);   /* acc[i] = reduce row i, dense: RT_LINE_MAX */
    void (*cols4)(char *acc, const char *x, int64_t row_bytes, int64_t n, double k0);      /* cols of four rows, which are dense, one after the other */
    int quick;                                                                             /* 1: rows of half the bytes are worth a line too, 2: all that are taken */
} RtReduceFns;

#define RT_LINE_MAX (65 * 256 - 1)     /* bytes of a row of `lines`, at most; at least two elements */

/* allocator (alloc.c): 64-byte aligned blocks from size-class free lists */
void  *rt_alloc(size_t nbytes, size_t *got);
void   rt_free(void *ptr, size_t got);
void   rt_pool_enable(int on);
int    rt_pool_enabled(void);
void   rt_pool_trim(void);
typedef struct { int64_t in_use, in_use_peak, cached, allocs, hits, misses, frees; } RtPoolStats;
void   rt_pool_stats(RtPoolStats *out);
void   rt_pool_reset_peak(void);

/* cast_stored.c: conversions that a stored type takes part in */
RtCast rt_cast_stored(int from, int to);

/* cpu.c */
void rt_cpu_init(void);
RtCast rt_cast_of(int from, int to);           /* the conversion between any two dtypes, for the instruction set in force */
int  rt_num_threads(void);                     /* threads an operator may use now: one for all Python threads, 1 inside a region */
void rt_set_threads(int n);
int  rt_forked(void);                          /* this process was forked from one that had the package loaded */
int  rt_cpu_best_isa(void);                    /* what this processor can do */
int  rt_cpu_set_isa(int level);                /* returns the level now in force */
int  rt_cpu_elementwise(int device, int kernel, int loop_dtype, RtIter *it, const double *k);
const RtReduceFns *rt_cpu_reductions(int acc_dtype);    /* by row, for the instruction set in force; NULL: there are none */
/* a loop from outside the table; want[a]: the dtype in which the loop reads or writes operand a */
int  rt_cpu_loop(RtIter *it, RtLoop fn, const int32_t *want, int cost, const double *k);
int  rt_cpu_copy(RtIter *it);                  /* operand 1 -> operand 0, any dtypes */
void rt_cpu_copies(RtIter *list, int64_t count);        /* such copies that do not touch one another's memory */
void rt_cpu_fill(RtIter *it, const char *value); /* operand 0 <- one element of its own dtype */
const RtBackend *rt_cpu_backend(void);

/* reduce.c */
int  rt_cpu_reduce(int device, int row, int acc_dtype, const RtArray *out, const RtArray *in, const uint8_t *reduced, const double *k);
#endif
