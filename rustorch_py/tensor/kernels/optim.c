/* Runs a fused optimizer kernel over a list of parameters, on the threads that its size deserves. */
#include "optim.h"
#include "rustorch/dtype.h"
#include "cpu.h"
#include "grain.h"

#include <stdlib.h>

extern const RtOptimKernel rt_optim_table_base[3][RT_OPTIM_METHODS];
extern const RtOptimSquares rt_optim_squares_table_base[2];
#if defined(__x86_64__) || defined(_M_X64)
extern const RtOptimKernel rt_optim_table_avx2[3][RT_OPTIM_METHODS];
extern const RtOptimKernel rt_optim_table_avx512[3][RT_OPTIM_METHODS];
extern const RtOptimSquares rt_optim_squares_table_avx2[2], rt_optim_squares_table_avx512[2];
#endif

/* Elements a thread should have. A step is memory traffic: one thread moves this many in 60 (SGD) to
 * 150 us (Adam), and waking a sleeping thread costs some 50 us (2 cores). Threads that are awake take less (Note [Grain] in grain.h):
 * a gradient's halves lie in the caches of the cores that made them, and the next product's threads read their halves of the parameters there.
 * (784-128-10, Adam: 68 us by one thread, 23 by two.) */
#define GRAIN 262144
#define GRAIN_AWAKE 16384
static int threads_for(int64_t total, int threads) {
    int64_t grain = total < 2 * GRAIN && total >= 2 * GRAIN_AWAKE && threads > 1 && rt_crew_wanted() ? GRAIN_AWAKE : GRAIN;
    return rt_few((double)total, (double)grain, threads, total);
}

static RtOptimKernel find(int method, int dtype, int isa) {
    int row = dtype == RT_F32 ? 0 : dtype == RT_F64 ? 1 : 2;
#if defined(__x86_64__) || defined(_M_X64)
    if (isa == RT_ISA_AVX512) return rt_optim_table_avx512[row][method];
    if (isa == RT_ISA_AVX2) return rt_optim_table_avx2[row][method];
#endif
    (void)isa;
    return rt_optim_table_base[row][method];
}

/* Elements begin..end of all parameters laid end to end. */
static void run_range(RtOptimKernel kernel, const RtOptimItem *items, int64_t count, const RtOptimOptions *o,
                      int64_t begin, int64_t end) {
    int64_t at = 0;
    for (int64_t i = 0; i < count && at < end; i++) {
        int64_t n = items[i].n, from = begin > at ? begin - at : 0, to = end - at < n ? end - at : n;
        if (from < to) kernel(&items[i], o, from, to);
        at += n;
    }
}

void rt_optim_run(int method, int dtype, int isa, const RtOptimItem *items, int64_t count, const RtOptimOptions *o, int threads) {
    RtOptimKernel kernel = find(method, dtype, isa);
    int64_t total = 0;
    for (int64_t i = 0; i < count; i++) total += items[i].n;
    threads = threads_for(total, threads);
    if (threads == 1) {
        run_range(kernel, items, count, o, 0, total);
        return;
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
    for (int t = 0; t < threads; t++) {
        /* borders on multiples of a cache line of elements: threads do not share one */
        int64_t begin = t ? total * t / threads / 64 * 64 : 0;
        int64_t end = t + 1 < threads ? total * (t + 1) / threads / 64 * 64 : total;
        run_range(kernel, items, count, o, begin, end);
    }
}

#define SQUARES_CHUNK 32768

double rt_optim_squares(int dtype, int isa, const RtOptimItem *items, int64_t count, int threads) {
    RtOptimSquares kernel = rt_optim_squares_table_base[dtype == RT_F64];
#if defined(__x86_64__) || defined(_M_X64)
    if (isa == RT_ISA_AVX512) kernel = rt_optim_squares_table_avx512[dtype == RT_F64];
    if (isa == RT_ISA_AVX2) kernel = rt_optim_squares_table_avx2[dtype == RT_F64];
#endif
    (void)isa;
    int64_t chunks = 0, total = 0;
    for (int64_t i = 0; i < count; i++) { chunks += (items[i].n + SQUARES_CHUNK - 1) / SQUARES_CHUNK; total += items[i].n; }
    struct Part { const char *g; int64_t begin, end; double sum; } *part = malloc(sizeof *part * (size_t)(chunks ? chunks : 1));
    if (!part) return -1;
    int64_t c = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t b = 0; b < items[i].n; b += SQUARES_CHUNK, c++) {
            part[c].g = items[i].g;
            part[c].begin = b;
            part[c].end = items[i].n - b < SQUARES_CHUNK ? items[i].n : b + SQUARES_CHUNK;
        }
    threads = threads_for(total, threads);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t j = 0; j < chunks; j++) part[j].sum = kernel(part[j].g, part[j].begin, part[j].end);
    double sum = 0;
    for (int64_t j = 0; j < chunks; j++) sum += part[j].sum;
    free(part);
    return sum;
}
