/* softmax, log_softmax, logsumexp and the losses over class indices. */
#include <stdlib.h>
#include "rustorch/math.h"
#include "softmax.h"
#include "grain.h"
#include "vmath.h"
#include "half_lines.h"
#if defined(_OPENMP)
#include <omp.h>
#endif

#define BLOCK 128      /* columns handled together when the classes are not the last dimension */
#define SHORT 64      /* rows shorter than this are handled PACK elements at a time, so that exp */
#define PACK 1024     /* runs over whole vectors */

static inline float one_f16(rt_f16 x) { return rt_f16_to_f32(x); }
static inline float one_bf16(rt_bf16 x) { return rt_bf16_to_f32(x); }

/* see Note [Grain]; work counts elements, an exponential each */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, 16384, threads, tasks); }

#if defined(__AVX512F__)
/* y = exp(x - m), where y is wanted, and its sum; two registers at a time */
static float exp_sum_v16(const float *x, int64_t n, float m, float *y) {
    const __m512 top = _mm512_set1_ps(m);
    __m512 s = _mm512_setzero_ps(), t = _mm512_setzero_ps();
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 a = rt_exp_v16(_mm512_sub_ps(_mm512_loadu_ps(x + i), top)), b = rt_exp_v16(_mm512_sub_ps(_mm512_loadu_ps(x + i + 16), top));
        if (y) { _mm512_storeu_ps(y + i, a); _mm512_storeu_ps(y + i + 16, b); }
        s = _mm512_add_ps(s, a);
        t = _mm512_add_ps(t, b);
    }
    for (; i < n; i += 16) {
        __mmask16 k = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        __m512 a = _mm512_maskz_mov_ps(k, rt_exp_v16(_mm512_sub_ps(_mm512_maskz_loadu_ps(k, x + i), top)));
        if (y) _mm512_mask_storeu_ps(y + i, k, a);
        s = _mm512_add_ps(s, a);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(s, t));
}
#define EXP_SUM exp_sum_v16
#else
#define EXP_SUM exp_sum_f32
#endif
#define T float
#define SUF(x) x##_f32
#define HUGE_T INFINITY
#include "softmax_t.h"
#undef T
#undef SUF
#undef HUGE_T
#undef EXP_SUM
#define EXP_SUM exp_sum_f64
#define T double
#define SUF(x) x##_f64
#define HUGE_T ((double)INFINITY)
#include "softmax_t.h"
#undef T
#undef SUF

#if defined(RT_HALF_REGISTERS)
enum { RT_ROWS_V16 = 16, RT_MIDDLE = 256, TILE = 64, TILE_CLASSES = 512 };      /* rows together and their length; columns of a task and classes there is room for */
#define RT_FIRST_32(n) ((n) < 32 ? ((__mmask32)1 << (n)) - 1 : 0xffffffffu)
#define load32_f32(p, k, a, b) (*(a) = _mm512_maskz_loadu_ps((__mmask16)(k), p), *(b) = _mm512_maskz_loadu_ps((__mmask16)((k) >> 16), (p) + 16))
#define store32_f32(p, k, a, b) (_mm512_mask_storeu_ps(p, (__mmask16)(k), a), _mm512_mask_storeu_ps((p) + 16, (__mmask16)((k) >> 16), b))
#define E float
#define H(x) x##_f32
#include "softmax_v16.h"
#undef E
#undef H
#define E rt_f16
#define H(x) x##_f16
#include "softmax_v16.h"
#undef E
#undef H
#define E rt_bf16
#define H(x) x##_bf16
#include "softmax_v16.h"
#undef E
#undef H
#define IN_REGISTERS(call) if (call) return
#else
#define IN_REGISTERS(call) (void)0
#endif

#if defined(_OPENMP)
#define THREAD omp_get_thread_num()
#else
#define THREAD 0
#endif
#define E rt_f16
#define H(x) x##_f16
#include "softmax_half_t.h"
#undef E
#undef H
#define E rt_bf16
#define H(x) x##_bf16
#include "softmax_half_t.h"

/* the whole of float32's, in registers where there are any */
static void softmax_all_f32(const float *x, int64_t outer, int64_t n, int64_t inner, int logs, float *y, int threads) {
    IN_REGISTERS(softmax_v16_f32(x, outer, n, inner, logs, y, threads));
    softmax_f32(x, outer, n, inner, logs, y, threads);
}
static void softmax_d0_all_f32(const float *g, const float *y, int64_t outer, int64_t n, int64_t inner, int logs, float *gx, int threads) {
    IN_REGISTERS(slope_v16_f32(g, y, outer, n, inner, logs, gx, threads));
    softmax_d0_f32(g, y, outer, n, inner, logs, gx, threads);
}
#define softmax_all_f64 softmax_f64
#define softmax_d0_all_f64 softmax_d0_f64

#define TABLE(t) softmax_all_##t, softmax_d0_all_##t, logsumexp_##t, class_loss_##t, class_loss_d0_##t
const RtSoftmaxTable RT_NAME(rt_softmax_table) = {TABLE(f32), TABLE(f64), 
    softmax_f16, softmax_d0_f16, pick_loss_f16, pick_loss_d0_f16, softmax_bf16, softmax_d0_bf16, pick_loss_bf16, pick_loss_d0_bf16};
