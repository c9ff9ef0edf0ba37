/* Chains of arithmetic, for fused loops.
 *
 * Note [Chains of arithmetic]
 * Rows of a fused loop that only add, subtract, multiply and divide are not run one after the other over a block: each reads and writes it, which
 * takes several times as long as the arithmetic. Their texts become one list of operations on an accumulator of eight registers,
 * which is gone through for these elements before the next are begun. What is needed twice is kept in `temps`, and only what other steps read is
 * written. Operations, their order and their roundings are the rows' own. To find an operation's code costs less than its eight loads; with four
 * registers a chain takes a quarter longer. (1e6 float32 on two Zen 4 cores: five rows 130 us one by one and 83 so, nine 219 and 129,
 * tanh_gelu 400 and 300.) A row alone is left to its loop, which lets loads and stores alternate. */
#ifndef RT_CHAIN_H
#define RT_CHAIN_H
#include "rustorch/loops.h"

/* acc = v; v = acc; acc = acc op v; acc = v op acc; acc = -acc */
enum { RT_CHAIN_LOAD, RT_CHAIN_STORE, RT_CHAIN_ADD, RT_CHAIN_SUB, RT_CHAIN_FROM, RT_CHAIN_MUL, RT_CHAIN_DIV, RT_CHAIN_INTO, RT_CHAIN_NEG, RT_CHAIN_END,
       RT_CHAIN_NUMBER = 16, RT_CHAIN_LOADED = 32 };          /* added where v is one element for all; where a load is in front, which counts as one with it */
#define RT_CHAIN_TEMPS 16
#define RT_CHAIN_MOST 1024                 /* operations of all chains of a fused loop */
#define RT_CHAIN_REGISTERS 8
#define RT_CHAIN_RUN 256                   /* elements: in shorter runs rows are as quick by their loops */

/* An operation as it runs: where its operand is now, bytes to the next element (0: one for all), and from group to group; temp: an operand of this
 * group alone. */
typedef struct { char *p; int64_t step, inc; int32_t op, temp; } RtChainAt;
/* ops: up to RT_CHAIN_END, whose operands are left at the end of n elements; dense: they lie side by side, or are one element. What is written is not read. */
typedef void (*RtChain)(RtChainAt *ops, int64_t n, int dense);
#endif
