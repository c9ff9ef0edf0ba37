/* Batch, layer, group and RMS normalisation, forward and gradient. */
#include <stdlib.h>
#include <math.h>
#include "norm.h"
#include "grain.h"
#include "vec.h"

#define STRETCH 4096

/* see Note [Grain]; work counts elements */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, 32768, threads, tasks); }

#define T float
#define SUF(x) x##_f32
#define VT rt_vf
#define V(x) rt_vf_##x
#define LANES RT_LANES_F32
#include "norm_t.h"
#undef T
#undef SUF
#undef VT
#undef V
#undef LANES
#define T double
#define SUF(x) x##_f64
#define VT rt_vd
#define V(x) rt_vd_##x
#define LANES RT_LANES_F64
#include "norm_t.h"
#undef T
#undef SUF

#define TABLE(t) channel_stats_##t, channel_apply_##t, channel_d0_##t, row_##t, row_d0_##t, group_##t, group_d0_##t
const RtNormTable RT_NAME(rt_norm_table) = {TABLE(f32), TABLE(f64)};
