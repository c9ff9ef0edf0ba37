/* Several rows as one loop. Note [Fused loops]: a chain of elementwise operators waits for memory once an operator when each is run over whole
 * arrays. Here all of them are run over a block of elements before the next block is begun: what lies between them stays in registers' stead
 * in the first level of the cache. The loops are the operators' own, so results are the same to the last bit. */
#ifndef RT_FUSE_H
#define RT_FUSE_H
#include "rustorch/backend.h"
#include "chain.h"

#define RT_FUSE_CHAIN (-2)
#define RT_FUSE_STEPS 64
#define RT_FUSE_SLOTS 32             /* places for what lies between */
#define RT_FUSE_NUMBERS 64
#define RT_FUSE_VALUES (RT_MAX_ARGS + RT_FUSE_SLOTS + RT_FUSE_NUMBERS)
#define RT_FUSE_ROOM 32768           /* bytes of all places together */

/* v: values, the result first. 0 ..: the plan's operands; RT_MAX_ARGS ..: places; RT_MAX_ARGS + RT_FUSE_SLOTS ..: numbers; RT_FUSE_VALUES ..: temps of a chain.
 * kernel -1: a conversion from dtype source to loop; -2: a chain (Note [Chains of arithmetic] in chain.h) of `nargs` operations from `source` on */
typedef struct { int32_t kernel, loop, source, nargs; uint8_t v[RT_MAX_ARGS]; double k[2]; } RtFuseStep;
typedef struct {
    int32_t noperands, nsteps, nslots, nnumbers, block, cost;
    int32_t slot_size[RT_FUSE_SLOTS];                                  /* bytes of an element of the widest value that a place holds */
    char numbers[RT_FUSE_NUMBERS][16];
    int32_t step_size[RT_FUSE_STEPS][RT_MAX_ARGS];                     /* bytes from element to element of a step's operands that are places or numbers */
    RtFuseStep steps[RT_FUSE_STEPS];
    int32_t nchained;
    struct { uint8_t op, v; } chained[RT_CHAIN_MOST];
} RtFuse;

/* cpu.c */
RtChain rt_cpu_chain_of(int loop_dtype);
RtLoop rt_cpu_loop_of(int kernel, int loop_dtype);                     /* the table's, for the instruction set in force; NULL: there is none */
void rt_cpu_wants(int kernel, int loop_dtype, int nargs, int32_t *want);       /* the dtypes that this loop takes its operands in, the result first */

/* one plan with all operands, those that are written first and then those that are read, in one pass; RT_ERR_UNSUPPORTED: a row has no such loop */
int rt_cpu_fuse(RtIter *it, const RtFuse *fuse);
#endif
