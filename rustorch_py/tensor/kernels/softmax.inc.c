/* softmax, log_softmax, logsumexp and the losses over class indices. */
#include <stdlib.h>
#include "rustorch/math.h"
#include "softmax.h"
#include "grain.h"

#define BLOCK 128      /* columns handled together when the classes are not the last dimension */
#define SHORT 64      /* rows shorter than this are handled PACK elements at a time, so that exp */
#define PACK 1024     /* runs over whole vectors */

/* see Note [Grain]; work counts elements, an exponential each */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, 16384, threads, tasks); }

#define T float
#define SUF(x) x##_f32
#define HUGE_T INFINITY
#include "softmax_t.h"
#undef T
#undef SUF
#undef HUGE_T
#define T double
#define SUF(x) x##_f64
#define HUGE_T ((double)INFINITY)
#include "softmax_t.h"
#undef T
#undef SUF

#define TABLE(t) softmax_##t, softmax_d0_##t, logsumexp_##t, class_loss_##t, class_loss_d0_##t
const RtSoftmaxTable RT_NAME(rt_softmax_table) = {TABLE(f32), TABLE(f64)};
