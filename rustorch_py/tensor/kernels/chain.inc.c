/* Chains of arithmetic, compiled once per instruction set: chain.h. */
#include <string.h>
#include "chain.h"
#include "vec.h"

#define T float
#define V rt_vf
#define L RT_LANES_F32
#define F(x) x##_f32
#include "chain_t.h"
#undef T
#undef V
#undef L
#undef F
#define T double
#define V rt_vd
#define L RT_LANES_F64
#define F(x) x##_f64
#include "chain_t.h"

const RtChain RT_NAME(rt_chains)[2] = {chain_f32, chain_f64};
