/* Products with a packed right operand, for kernels that multiply many short stacks of rows by one matrix
 * (recurrent steps, attention tiles). A panel is k rows of C registers of columns; a tile is R rows of the
 * result times one panel, its sums in registers. Includes panel_t.h for float and double. */
#ifndef RUSTORCH_PANEL_H
#define RUSTORCH_PANEL_H
#include <string.h>
#include "rustorch/loops.h"

#if defined(__AVX512F__)
#define RT_PANEL_BYTES 64
#elif defined(__AVX2__)
#define RT_PANEL_BYTES 32
#else
#define RT_PANEL_BYTES 16
#endif

typedef float  rt_pf32 __attribute__((vector_size(RT_PANEL_BYTES), may_alias));
typedef double rt_pf64 __attribute__((vector_size(RT_PANEL_BYTES), may_alias));
typedef int32_t pf32_mask __attribute__((vector_size(RT_PANEL_BYTES)));
typedef int64_t pf64_mask __attribute__((vector_size(RT_PANEL_BYTES)));

#define RT_PANEL_REGS 4                          /* registers across a full panel */
#define RT_TILE_ROWS 6                           /* most rows of a tile */
#define RT_PANEL_K 128                           /* a panel's rows at a time: a block stays in the first cache */

/* Most rows of a tile over C registers: sums, a row of b and one broadcast fit the register file. */
static inline int rt_tile_most(int C) {
#if defined(__AVX512F__)
    (void)C;
    return RT_TILE_ROWS;
#else
    return C == 4 ? 2 : C == 3 ? 3 : RT_TILE_ROWS;
#endif
}

#define T float
#define V rt_pf32
#define L (RT_PANEL_BYTES / 4)
#define F(x) pf32_##x
#include "panel_t.h"
#undef T
#undef V
#undef L
#undef F
#define T double
#define V rt_pf64
#define L (RT_PANEL_BYTES / 8)
#define F(x) pf64_##x
#include "panel_t.h"
#undef T
#undef V
#undef L
#undef F
#endif
