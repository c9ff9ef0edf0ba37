#include <stdlib.h>
#include "rustorch/math.h"
#include "resample.h"
#include "grain.h"

static int few(double work, int threads, int64_t tasks) { return rt_few(work, 32768, threads, tasks); }      /* see Note [Grain] */

#define T float
#define SUF(x) x##_f32
#include "resample_t.h"
#undef T
#undef SUF
#define T double
#define SUF(x) x##_f64
#include "resample_t.h"
#undef T
#undef SUF

#define TABLE(t) taps_##t, taps_d0_##t, columns_##t, columns_d0_##t, ctc_##t, ctc_d0_##t
const RtResampleTable RT_NAME(rt_resample_table) = {TABLE(f32), TABLE(f64)};
