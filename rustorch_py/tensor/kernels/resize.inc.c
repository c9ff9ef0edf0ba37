#include <stdlib.h>
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "resize.h"
#include "half_lines.h"
#include "grain.h"

/* see Note [Grain]; every element of a result is made by itself */
static int few(double work, int threads, int64_t tasks) { return rt_few(work, rt_crew_awake() ? 32768 / RT_AWAKE : 32768, threads, tasks); }

RT_INLINE int64_t first_tap(const RtAxis *a, int64_t i) { return a->fixed ? i : a->first[i]; }
RT_INLINE int64_t tap_count(const RtAxis *a, int64_t i) { return a->fixed ? a->fixed : a->first[i + 1] - a->first[i]; }
RT_INLINE int64_t tap_step(const RtAxis *a) { return a->fixed ? a->to : 1; }

#define T float
#define S float
#define WEIGHTS f32
#define PADDED pad_f32
#define UP(v) (v)
#define STORED 1
#define SUF(x) x##_f32
#include "resize_t.h"
#define grid_floor_f32 floorf
#define grid_round_f32 rintf
#define grid_rest_f32 fmodf
#include "grid_t.h"
#undef SUF
#undef S
#undef STORED
#undef UP

#define S rt_bf16
#define UP(v) rt_bf16_to_f32(v)
#define DOWN rt_f32_to_bf16
#define NARROW narrow_bf16
#define STORED 0
#define SUF(x) x##_bf16
#include "resize_t.h"
#undef SUF
#undef S
#undef STORED
#undef UP
#undef DOWN
#undef NARROW

#define S rt_f16
#define UP(v) rt_f16_to_f32(v)
#define DOWN rt_f32_to_f16
#define NARROW narrow_f16
#define STORED 0
#define SUF(x) x##_f16
#include "resize_t.h"
#undef SUF
#undef S
#undef STORED
#undef UP
#undef T
#undef WEIGHTS
#undef PADDED

#define T double
#define S double
#define WEIGHTS f64
#define PADDED pad_f64
#define UP(v) (v)
#define STORED 1
#define SUF(x) x##_f64
#include "resize_t.h"
#define grid_floor_f64 floor
#define grid_round_f64 rint
#define grid_rest_f64 fmod
#include "grid_t.h"

/* A run of bytes: a call of memcpy costs more than the few vectors of a pixel's channels. */
RT_INLINE void run_copy(char *d, const char *s, int64_t n) {
    if (n > 512) { memcpy(d, s, (size_t)n); return; }
#define ENDS(w) if (n >= w) { memcpy(d, s, w); memcpy(d + n - w, s + n - w, w); return; }
    if (n > 64) {
        for (int64_t b = 0; b < n - 64; b += 64) memcpy(d + b, s + b, 64);
        memcpy(d + n - 64, s + n - 64, 64);
        return;
    }
    ENDS(32) ENDS(16) ENDS(8) ENDS(4) ENDS(2)
#undef ENDS
    if (n) *d = *s;
}

#define ACROSS(U) do {                                                                          \
        U *restrict d = to; const U *restrict s = from;                                         \
        if (a[2].doubled) for (int64_t i = 0; i < a[2].from; i++) d[2 * i] = d[2 * i + 1] = s[i]; \
        else for (int64_t i = 0; i < a[2].to; i++) d[i] = s[a[2].at[i]];                        \
    } while (0)
static void pick(const RtAxis *a, int64_t outer, int64_t inner, int64_t size, const void *x, void *y, int threads) {
    int64_t rows = outer * a[0].to * a[1].to, run = inner * size, in_row = a[2].from * run, out_row = a[2].to * run;
    threads = few((double)rows * (inner > 1 ? out_row / 8.0 + a[2].to * 4 : a[2].to), threads, rows);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1))
    {
        const char *was = NULL;
        int64_t was_at = -1;
        RT_OMP(omp for schedule(static))
        for (int64_t r = 0; r < rows; r++) {
            int64_t h = r % a[1].to, od = r / a[1].to, d = od % a[0].to, o = od / a[0].to;
            const void *from = (const char *)x + ((o * a[0].from + a[0].at[d]) * a[1].from + a[1].at[h]) * in_row;
            void *to = (char *)y + r * out_row;
            if (from == was) memcpy(to, (char *)y + was_at * out_row, (size_t)out_row);     /* enlarged: the row above once more */
            else if (inner > 1) for (int64_t i = 0; i < a[2].to; i++) run_copy((char *)to + i * run, (const char *)from + a[2].at[i] * run, run);
            else if (size == 4) ACROSS(uint32_t);
            else if (size == 2) ACROSS(uint16_t);
            else if (size == 1) ACROSS(uint8_t);
            else ACROSS(uint64_t);
            was = from;
            was_at = r;
        }
    }
}
#undef ACROSS
#include "resize_bytes.h"

const RtResizeTable RT_NAME(rt_resize_table) = {mix_f32, mix_f64, mix_bf16, mix_f16, pick, bytes, grid_f32, grid_f64, grid_d0_f32, grid_d0_f64};
