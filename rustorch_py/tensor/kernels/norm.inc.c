/* Batch, layer, group and RMS normalisation, forward and gradient. */
#include <stdlib.h>
#include <math.h>
#include "norm.h"
#include "grain.h"
#include "vec.h"
#include "half_lines.h"
#if defined(RT_HALF_REGISTERS)
#define HALF_TEXT "norm_half_v16.h"
#else
#define HALF_TEXT "norm_half_t.h"
#endif

#define STRETCH 4096

/* see Note [Grain]; work counts elements */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, 32768, threads, tasks); }

#define COLUMNS 256
#define ROWS 64
#define PARTS 8
#define WEIGHT_ROWS 16
#define CHUNK 4096           /* 16-bit floats that are widened at a time; COLUMNS of at least 16 rows */
enum { OF_X, OF_SQUARES, OF_PAIR };

#define T double
#define SUF(x) x##_f64
#define VT rt_vd
#define V(x) rt_vd_##x
#define LANES RT_LANES_F64
#include "norm_t.h"
#define E double
#define H(x) x##_f64
#include "norm_rows_t.h"
#undef E
#undef H
#undef T
#undef SUF
#undef VT
#undef V
#undef LANES
#define T float
#define SUF(x) x##_f32
#define VT rt_vf
#define V(x) rt_vf_##x
#define LANES RT_LANES_F32
#include "norm_t.h"
#define E float
#define H(x) x##_f32
#include "norm_rows_t.h"
#undef E
#undef H
#define E rt_f16
#define H(x) x##_f16
#include HALF_TEXT
#include "norm_rows_t.h"
#undef E
#undef H
#define E rt_bf16
#define H(x) x##_bf16
#include HALF_TEXT
#include "norm_rows_t.h"

#define TABLE(t) channel_stats_##t, channel_apply_##t, channel_d0_##t, row_##t, row_d0_##t, group_##t, group_d0_##t, group_last_##t, group_last_d0_##t
const RtNormTable RT_NAME(rt_norm_table) = {TABLE(f32), TABLE(f64), TABLE(f16), TABLE(bf16)};
