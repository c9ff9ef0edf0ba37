/* Batch, layer, group and RMS normalisation, forward and gradient. */
#include <stdlib.h>
#include <math.h>
#include "norm.h"

#define STRETCH 4096

static int few(double work, int threads, int64_t tasks) {
    if (work < 32768 || threads < 2) return 1;
    return threads > tasks ? (int)(tasks > 0 ? tasks : 1) : threads;
}

#define T float
#define SUF(x) x##_f32
#include "norm_t.h"
#undef T
#undef SUF
#define T double
#define SUF(x) x##_f64
#include "norm_t.h"
#undef T
#undef SUF

#define TABLE(t) channel_stats_##t, channel_apply_##t, channel_d0_##t, row_##t, row_d0_##t, group_##t, group_d0_##t
const RtNormTable RT_NAME(rt_norm_table) = {TABLE(f32), TABLE(f64)};
