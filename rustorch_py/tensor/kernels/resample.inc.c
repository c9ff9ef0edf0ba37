#include <stdlib.h>
#include "rustorch/math.h"
#include "resample.h"

static int few(double work, int threads, int64_t tasks) {
    if (work < 32768 || threads < 2) return 1;
    return threads > tasks ? (int)(tasks > 0 ? tasks : 1) : threads;
}

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
