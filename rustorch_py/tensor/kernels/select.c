/* Drivers over select.inc.c: pieces shared out among threads. */
#include "select.h"
#if defined(__x86_64__)
extern const RtSelectFns rt_select_fns_base, rt_select_fns_avx2, rt_select_fns_avx512;
const RtSelectFns *rt_select_table(int level) { return level == RT_ISA_AVX512 ? &rt_select_fns_avx512 : level == RT_ISA_AVX2 ? &rt_select_fns_avx2 : &rt_select_fns_base; }
#else
extern const RtSelectFns rt_select_fns_base;
const RtSelectFns *rt_select_table(int level) { (void)level; return &rt_select_fns_base; }
#endif
int64_t rt_count_true(const uint8_t *mask, int64_t n);

#define EACH_PIECE(...)                                                                            \
    int64_t pieces = (n + piece - 1) / piece;                                                      \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1 && pieces > 1))  \
    for (int64_t p = 0; p < pieces; p++) {                                                         \
        int64_t b = p * piece; int64_t m = n - b < piece ? n - b : piece;                          \
        __VA_ARGS__                                                                                \
    }

int64_t rt_mask_counts(const uint8_t *mask, int64_t n, int64_t piece, int64_t *before, int threads) {
    EACH_PIECE(before[p + 1] = rt_count_true(mask + b, m);)
    before[0] = 0;
    for (int64_t p = 0; p < pieces; p++) before[p + 1] += before[p];
    return before[pieces];
}
void rt_mask_take(int level, int itemsize, const uint8_t *mask, int64_t n, int64_t piece, const int64_t *before, const void *src, void *out, int threads) {
    const RtSelectFns *f = rt_select_table(level);
    int k = __builtin_ctz((unsigned)itemsize);
    EACH_PIECE(f->take[k](mask + b, m, (const char *)src + b * itemsize, (char *)out + before[p] * itemsize, before[p + 1] - before[p]);)
}
void rt_mask_positions(int level, const uint8_t *mask, int64_t n, int64_t piece, const int64_t *before, int64_t *out, int threads) {
    const RtSelectFns *f = rt_select_table(level);
    EACH_PIECE(f->positions(mask + b, m, b, out + before[p], before[p + 1] - before[p]);)
}
void rt_mask_coordinates(int level, const uint8_t *mask, int nd, const int64_t *shape, int64_t piece, const int64_t *before, int64_t *out, int threads) {
    const RtSelectFns *f = rt_select_table(level);
    int64_t n = rt_numel(nd, shape); int64_t width = shape[nd - 1];
    if (n == 0) return;
    int64_t found = before[(n + piece - 1) / piece];
    EACH_PIECE(f->coordinates(mask, b / width, (b + m) / width, nd, shape, out + before[p], found, before[p + 1] - before[p]);)
}
