/* Recurrent layers, forward and gradient; once per instruction set.
 *
 * Note [One region a sequence]
 * Sequences are independent, so each thread takes some of them through all steps without meeting the others; the
 * only barrier stands after the recurrent weights were packed into panels. A panel holds the columns of all gates of
 * the same few units, so that the gate arithmetic runs on sums that are still in the first cache. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")              /* a product's sum may be fused: fewer roundings */
#elif defined(__clang__)
#pragma clang fp contract(fast)
#endif
#include <string.h>
#include "rustorch/math.h"
#include "recurrent.h"
#include "panel.h"
#include "vmath.h"
#ifdef _OPENMP
#include <omp.h>
#define RT_ME omp_get_thread_num()
#define RT_CREW omp_get_num_threads()
#else
#define RT_ME 0
#define RT_CREW 1
#endif

#define SEQUENCES_MAX_THREADS 256

static int team_size(const RtScan *s, int64_t macs_a_row) {
    int64_t rows = 0;
    for (int64_t t = 0; t < s->S; t++) rows += s->sizes[t];
    int team = s->threads < SEQUENCES_MAX_THREADS ? s->threads : SEQUENCES_MAX_THREADS;
    if (team > s->N) team = (int)s->N;
    return team < 1 || (double)rows * (double)macs_a_row < 400000 ? 1 : team;
}

/* bounds: the sequences of each member of the team, so that all have about the same number of rows */
static void share_out(const RtScan *s, int64_t *bounds) {
    int64_t rows = 0, done = 0, n = 0, t = s->S;
    int team = s->team;
    for (int64_t i = 0; i < s->S; i++) rows += s->sizes[i];
    bounds[0] = 0;
    for (int k = 1; k < team; k++) {
        while (n < s->N - (team - k) && done * team < rows * k) {
            while (t > 0 && s->sizes[t - 1] <= n) t--;   /* sequence n has t steps: sizes never grow */
            done += t;
            n++;
        }
        bounds[k] = n;
    }
    bounds[team] = s->N;
}

#if defined(__AVX512F__)
#include "recurrent_v16.h"
#define REGISTERS 1
#else
#define REGISTERS 0
#endif
#define T float
#define V rt_pf32
#define L (RT_PANEL_BYTES / 4)
#define P(x) pf32_##x
#define M(x) x##_f32
#include "recurrent_t.h"
#undef T
#undef V
#undef L
#undef P
#undef M
#undef REGISTERS
#define REGISTERS 0
#define T double
#define V rt_pf64
#define L (RT_PANEL_BYTES / 8)
#define P(x) pf64_##x
#define M(x) x##_f64
#include "recurrent_t.h"

const RtRecurrentTable RT_NAME(rt_recurrent_table) = {scan_work_f32, scan_work_f64, scan_f32, scan_f64, scan_d0_f32, scan_d0_f64};
