/* The CPU back end: drivers that walk an N-d plan and call the loops of the instruction set in force. */
#include <stdlib.h>
#include <string.h>
#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>
#endif
#include "cpu.h"
#include "fuse.h"
#include "copy.h"
#include "grain.h"
#include "share.h"
#include "stream.h"
#include "_gen/rt_rows.h"

#if defined(__x86_64__) || defined(_M_X64)
#define RT_X86 1
#define EACH_ISA(X) X(base) X(avx2) X(avx512)
#else
#define EACH_ISA(X) X(base)
#endif

#define DECLARE(isa)                                                                                        \
    extern const RtLoop rt_loops_u8_##isa[], rt_loops_i8_##isa[], rt_loops_i16_##isa[], rt_loops_i32_##isa[], \
        rt_loops_i64_##isa[], rt_loops_b8_##isa[], rt_loops_f32_##isa[], rt_loops_f64_##isa[];              \
    extern const RtReduceFns rt_reduce_u8_##isa[], rt_reduce_i8_##isa[], rt_reduce_i16_##isa[], rt_reduce_i32_##isa[], \
        rt_reduce_i64_##isa[], rt_reduce_b8_##isa[], rt_reduce_f32_##isa[], rt_reduce_f64_##isa[], rt_reduce_c64_##isa[], rt_reduce_c128_##isa[]; \
    extern const RtLoop rt_half_loops_f16_##isa[], rt_half_loops_bf16_##isa[], rt_bits16_##isa[2]; \
    extern const RtCast rt_cast_##isa[RT_NLOOPED][RT_NLOOPED]; \
    extern const RtCopyFns rt_copy_fns_##isa[5]; \
    extern const RtChain rt_chains_##isa[2];
EACH_ISA(DECLARE)
extern const RtLoop rt_loops_c64_base[], rt_loops_c128_base[], rt_loops_f16_base[], rt_loops_bf16_base[];

#define LOOPS(isa) {rt_loops_b8_##isa, rt_loops_u8_##isa, rt_loops_i8_##isa, rt_loops_i16_##isa, rt_loops_i32_##isa, rt_loops_i64_##isa, \
                    rt_loops_f16_base, rt_loops_bf16_base, rt_loops_f32_##isa, rt_loops_f64_##isa, rt_loops_c64_base, rt_loops_c128_base},
static const RtLoop *const loop_tables[][RT_NDTYPES] = {EACH_ISA(LOOPS)};
#define HALVES(isa) {rt_half_loops_f16_##isa, rt_half_loops_bf16_##isa},
static const RtLoop *const half_tables[][2] = {EACH_ISA(HALVES)};
#define BITS(isa) rt_bits16_##isa,
static const RtLoop *const bits_tables[] = {EACH_ISA(BITS)};
#define REDUCES(isa) {rt_reduce_b8_##isa, rt_reduce_u8_##isa, rt_reduce_i8_##isa, rt_reduce_i16_##isa, rt_reduce_i32_##isa, rt_reduce_i64_##isa, \
                      NULL, NULL, rt_reduce_f32_##isa, rt_reduce_f64_##isa, rt_reduce_c64_##isa, rt_reduce_c128_##isa},
static const RtReduceFns *const reduce_tables[][RT_NDTYPES] = {EACH_ISA(REDUCES)};
#define CASTS(isa) rt_cast_##isa,
static const RtCast (*const cast_tables[])[RT_NLOOPED] = {EACH_ISA(CASTS)};

#define COPIES(isa) rt_copy_fns_##isa,
static const RtCopyFns *const copy_tables[] = {EACH_ISA(COPIES)};

#define CHAINS(isa) rt_chains_##isa,
static const RtChain *const chain_tables[] = {EACH_ISA(CHAINS)};

static int isa_level = 0;

const RtReduceFns *rt_cpu_reductions(int acc_dtype) { return reduce_tables[isa_level][acc_dtype]; }
const RtCopyFns *rt_cpu_copy_fns(int64_t size) { return &copy_tables[isa_level][__builtin_ctz((unsigned)size)]; }

RtCast rt_cast_of(int from, int to) {
    return from < RT_NLOOPED && to < RT_NLOOPED ? cast_tables[isa_level][from][to] : rt_cast_stored(from, to);
}

int rt_cpu_best_isa(void) {
#ifdef RT_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) return RT_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return RT_ISA_AVX2;
#endif
    return RT_ISA_BASE;
}
int rt_cpu_set_isa(int level) {
    int best = rt_cpu_best_isa();
    isa_level = level < 0 ? 0 : level > best ? best : level;
    return isa_level;
}

/* OpenMP keeps its number a thread; PyTorch's is the process's, so it is kept here. 0: not set, OpenMP's own. */
static int team;
#ifdef _OPENMP
int rt_num_threads(void) {
    if (omp_in_parallel()) return 1;
    int n = __atomic_load_n(&team, __ATOMIC_RELAXED);
    return n ? n : omp_get_max_threads();
}
#else
int rt_num_threads(void) { return 1; }
#endif
void rt_set_threads(int n) { __atomic_store_n(&team, n, __ATOMIC_RELAXED); }

/* Note [After fork]
 * A forked child has the forking thread only. The OpenMP team that this thread led in the parent is
 * gone, and a parallel region would wait for it for ever; so the child computes on one thread. */
static int forked;
int rt_forked(void) { return forked; }
#if defined(_OPENMP) && !defined(_WIN32)
static void after_fork(void) { forked = 1; rt_set_threads(1); }
#endif

void rt_cpu_init(void) {
    isa_level = rt_cpu_best_isa();
#if defined(_OPENMP) && !defined(_WIN32)
    pthread_atfork(NULL, NULL, after_fork);
#endif
}

/* elements below which a thread is not worth waking, by the row's cost class */
static const int64_t grain_of_cost[5] = {65536, 65536, 32768, 16384, 8192};

/* half: `fn` is a loop over 16-bit floats (Note [16-bit loops] in half_loops.inc.c); stream: bytes of an element whose results go past the
 * caches, else 0; staged: operands (bits) that are made dense by blocks, Note [Staged operands] */
typedef struct { RtLoop fn; const double *k; int nargs, convert, half, stream; unsigned staged; int32_t want[RT_MAX_ARGS]; } Task;

/* Bytes of an element of the result if it is worth to be stored past the caches, else 0 (Note [Past the caches] in stream.h). */
#define STREAM_LINE 4096                 /* bytes that a run along dimension 0 should have */
static int past_caches(const RtIter *it) {
    int64_t size = rt_itemsize(it->dtype[0]), all = size;
    if (!RT_STREAMS || it->numel * size < rt_last_cache() / 2 || it->step_bytes[0][0] != size || it->shape[0] * size < STREAM_LINE ||
        (uintptr_t)it->ptr[0] % (uintptr_t)size) return 0;
    for (int a = 1; a < it->nargs; a++) {
        if (it->ptr[a] == it->ptr[0]) return 0;
        if (it->step_bytes[0][a]) all += rt_itemsize(it->dtype[a]);
    }
    for (int d = 1; d < it->ndim; d++) if (it->step_bytes[d][0] % size) return 0;
    return it->numel * all > 2 * rt_last_cache() ? (int)size : 0;
}

#define STREAM_BLOCK 1024                /* bytes: small blocks are stored while the next operands are on their way */
static __attribute__((noinline)) void run_streamed(const Task *t, const int64_t *step, char **ptr, int64_t n) {
    char buffer[STREAM_BLOCK] __attribute__((aligned(RT_LINE))), *p[RT_MAX_ARGS];
    int64_t size = t->stream, head = (-(int64_t)(uintptr_t)ptr[0] & (RT_LINE - 1)) / size, block = STREAM_BLOCK / size;
    memcpy(p, ptr, sizeof(char *) * t->nargs);
    if (head > n) head = n;
    if (head) t->fn(p, step, head, t->k);
    for (int64_t done = head; done < n; done += block) {
        int64_t m = n - done < block ? n - done : block;
        char *to = ptr[0] + done * size;
        for (int a = 1; a < t->nargs; a++) p[a] = ptr[a] + done * step[a];
        p[0] = m == block ? buffer : to;
        t->fn(p, step, m, t->k);
        if (m == block) rt_stream_lines(to, buffer, STREAM_BLOCK);
    }
    rt_stream_end();
}
static inline void run_loop(const Task *t, const int64_t *step, char **ptr, int64_t n) {
    if (RT_UNLIKELY(t->stream)) run_streamed(t, step, ptr, n);
    else t->fn(ptr, step, n, t->k);
}

/* a run of elements, `by` bytes apart */
#define LINE_BLOCK (RT_BLOCK / 4)      /* elements of an operand: memory is waited for less often where blocks are small (1024: 1.4 times the time) */
static void run_dense(const Task *t, const RtIter *it, const int64_t *by, char **ptr, int64_t n) {
    if (RT_LIKELY(!t->convert)) { run_loop(t, by, ptr, n); return; }
    if (t->half) {
        float number[RT_MAX_ARGS];
        char *p[RT_MAX_ARGS];
        for (int a = 0; a < t->nargs; a++) {
            p[a] = ptr[a];
            if (a == 0 || by[a]) continue;
            p[a] = (char *)&number[a];
            rt_cast_of(it->dtype[a], RT_F32)(p[a], 4, ptr[a], 16, 1);
        }
        run_loop(t, by, p, n);
        return;
    }
    /* operands whose dtype is not the loop's are converted by blocks on the stack */
    char buffer[RT_MAX_ARGS][LINE_BLOCK * 16] __attribute__((aligned(64)));
    char *p[RT_MAX_ARGS], *cur[RT_MAX_ARGS];
    int64_t step[RT_MAX_ARGS];
    memcpy(cur, ptr, sizeof(char *) * t->nargs);
    while (n > 0) {
        int64_t m = n < LINE_BLOCK ? n : LINE_BLOCK;
        for (int a = 0; a < t->nargs; a++) {          /* what comes next is fetched while this block stays in the first level */
            const char *ahead = cur[a] + m * by[a];
            if (by[a] == rt_itemsize(it->dtype[a]))
                for (int64_t b = 0; b < m * by[a]; b += 64) __builtin_prefetch(ahead + b);
        }
        for (int a = 0; a < t->nargs; a++) {
            p[a] = cur[a];
            step[a] = by[a];
            if (it->dtype[a] != t->want[a]) {
                int64_t s = step[a];
                p[a] = buffer[a];
                if (a) {
                    if (s == 0) { rt_cast_of(it->dtype[a], t->want[a])(p[a], 16, cur[a], 16, 1); step[a] = 0; continue; }
                    rt_cast_of(it->dtype[a], t->want[a])(p[a], rt_itemsize(t->want[a]), cur[a], s, m);
                }
                step[a] = rt_itemsize(t->want[a]);
            }
        }
        t->fn(p, step, m, t->k);
        if (it->dtype[0] != t->want[0]) rt_cast_of(t->want[0], it->dtype[0])(cur[0], by[0], p[0], step[0], m);
        for (int a = 0; a < t->nargs; a++) cur[a] += m * by[a];
        n -= m;
    }
}

/* Note [Staged operands]
 * A loop over strides takes an element at a time. Operands with steps are copied to blocks in the first level of the cache instead, by vectors
 * where the copies have a way (every second element, backwards: copy.inc.c), the loop for dense operands runs, and a result with steps is copied
 * out of its block: x[::2] + y[::2] of 1e5 takes a third of the time. Short runs are left to the loop. */
#define STAGE_MIN 32
#define STAGE_BYTES 4096
static unsigned staged(const RtIter *it) {
    unsigned bits = 0;
    if (it->shape[0] < STAGE_MIN) return 0;
    for (int a = 0; a < it->nargs; a++)
        if (it->step_bytes[0][a] && it->step_bytes[0][a] != rt_itemsize(it->dtype[a])) bits |= 1u << a;
    return bits;
}
static __attribute__((noinline)) void run_staged(const Task *t, const RtIter *it, char **ptr, int64_t n) {
    char room[RT_MAX_ARGS][STAGE_BYTES] __attribute__((aligned(64))), *p[RT_MAX_ARGS];
    int64_t by[RT_MAX_ARGS], block = STAGE_BYTES;
    for (int a = 0; a < t->nargs; a++) {
        int64_t size = rt_itemsize(it->dtype[a]);
        by[a] = it->step_bytes[0][a];
        if (!(t->staged >> a & 1)) continue;
        by[a] = size;
        if (STAGE_BYTES / size < block) block = STAGE_BYTES / size;
    }
    for (int64_t done = 0; done < n; done += block) {
        int64_t m = n - done < block ? n - done : block;
        for (int a = 0; a < t->nargs; a++) {
            int64_t s = it->step_bytes[0][a];
            p[a] = ptr[a] + done * s;
            if (!(t->staged >> a & 1)) continue;
            if (a) rt_cpu_copy_fns(by[a])->rows(room[a], by[a], 0, p[a], s, 0, 1, m);
            p[a] = room[a];
        }
        run_dense(t, it, by, p, m);
        if (t->staged & 1)
            rt_cpu_copy_fns(by[0])->rows(ptr[0] + done * it->step_bytes[0][0], it->step_bytes[0][0], 0, room[0], by[0], 0, 1, m);
    }
}

/* one run along dimension 0 */
static inline void run_line(const Task *t, const RtIter *it, char **ptr, int64_t n) {
    if (RT_UNLIKELY(t->staged)) run_staged(t, it, ptr, n);
    else run_dense(t, it, it->step_bytes[0], ptr, n);
}

/* In loops over operands' pointers: these are written and read one by one. Read in pairs they would wait until the stores before them, those of
 * the result among them, are in the cache (rows of 4000 bytes: a tenth of the time). */
#if defined(__GNUC__)
#define ALONE __asm__ volatile ("")
#else
#define ALONE
#endif
/* elements [begin, end) of the plan in its own order */
static void run_range(const Task *t, const RtIter *it, int64_t begin, int64_t end) {
    int64_t idx[RT_MAX_DIM];
    char *ptr[RT_MAX_ARGS];
    int64_t rest = begin;
    memcpy(ptr, it->ptr, sizeof(char *) * it->nargs);
    if (begin == 0) memset(idx, 0, sizeof(int64_t) * it->ndim);       /* small results: no division by sizes */
    else for (int d = 0; d < it->ndim; d++) {
        idx[d] = rest % it->shape[d];
        rest /= it->shape[d];
        for (int a = 0; a < it->nargs; a++) { ALONE; ptr[a] += idx[d] * it->step_bytes[d][a]; }
    }
    while (begin < end) {
        int64_t n = it->shape[0] - idx[0], rows = 1;
        if (n > end - begin) n = end - begin;
        else if (idx[0] == 0 && it->ndim > 1 && end - begin >= 2 * n) {       /* whole rows */
            rows = (end - begin) / n;
            if (rows > it->shape[1] - idx[1]) rows = it->shape[1] - idx[1];
            for (int64_t r = 0; r + 1 < rows; r++) {
                char *p[RT_MAX_ARGS];
                for (int a = 0; a < it->nargs; a++) { ALONE; p[a] = ptr[a] + r * it->step_bytes[1][a]; }
                run_line(t, it, p, n);
            }
            for (int a = 0; a < it->nargs; a++) { ALONE; ptr[a] += (rows - 1) * it->step_bytes[1][a]; }
            idx[1] += rows - 1;
        }
        run_line(t, it, ptr, n);
        begin += rows * n;
        if (begin >= end) break;
        for (int a = 0; a < it->nargs; a++) { ALONE; ptr[a] -= idx[0] * it->step_bytes[0][a]; }
        idx[0] = 0;
        rt_iter_next(it, 1, idx, ptr);
    }
}

#define PIECE_MAX 16384      /* elements: the next level of the cache holds them, and taking a piece costs nothing beside them */
#define GRAIN_BYTES 131072   /* of an operand: a loop over less is through before another core has its part */
static int widest(const RtIter *it) {
    int most = 0;
    for (int a = 0; a < it->nargs; a++) if (rt_itemsize(it->dtype[a]) > most) most = rt_itemsize(it->dtype[a]);
    return most;
}
static void run_all(const Task *t, const RtIter *it, int64_t grain) {
    if (it->numel == 0) return;
    if (it->numel < 2 * grain && it->numel >= 2 * grain / RT_AWAKE && it->numel * widest(it) >= GRAIN_BYTES && rt_crew_wanted()) grain /= RT_AWAKE;
    if (it->ndim == 1 && it->numel < 2 * grain) {
        char *ptr[RT_MAX_ARGS];
        memcpy(ptr, it->ptr, sizeof(char *) * it->nargs);
        run_line(t, it, ptr, it->numel);
        return;
    }
    int threads = it->numel >= 2 * grain ? rt_num_threads() : 1;
    if (threads > it->numel / grain) threads = (int)(it->numel / grain);
    if (threads <= 1) { run_range(t, it, 0, it->numel); return; }
    int64_t each = it->numel / (8 * threads);
    if (each < grain / 8) each = grain / 8;
    if (each > PIECE_MAX) each = PIECE_MAX;
    each = (each + 63) / 64 * 64;
    if (it->ndim > 1 && it->shape[0] <= each) each -= each % it->shape[0];
    RT_SHARED_AT_HOME(threads, (it->numel + each - 1) / each, i, {
        int64_t b = i * each;
        run_range(t, it, b, b + each < it->numel ? b + each : it->numel);
    });
}

/* Note [Short rows]
 * A call of a loop costs as much as some thirty elements. Where dimension 0 is short (an image's channels, innermost) and the operands that keep
 * the next one from being joined with it repeat themselves along it (a mean of each channel), or along dimension 0 (a mask of pixels), these are
 * laid out for a block of rows, and the loop takes the block at once. (x - mean of each of 3 channels, channels_last: a sixth of the time.) */
#define ROWS_SHORT 128           /* elements */
#define ROWS_BYTES 4096          /* of an operand's block */
static unsigned repeated(const RtIter *it, RtIter *line) {
    int64_t n = it->shape[0];
    unsigned bits = 0;
    if (it->ndim < 2 || n >= ROWS_SHORT || it->shape[1] < 8 || it->numel < 4096) return 0;
    for (int a = 0; a < it->nargs; a++) {
        if (it->step_bytes[1][a] == n * it->step_bytes[0][a]) continue;
        if (a == 0 || (it->step_bytes[1][a] && (it->step_bytes[0][a] || n * rt_itemsize(it->dtype[a]) > RT_SPREAD_MAX))) return 0;
        bits |= 1u << a;
    }
    if (!bits) return 0;
    *line = *it;                                          /* as the loop sees it */
    line->shape[0] = n * it->shape[1];
    for (int a = 1; a < it->nargs; a++) if (bits >> a & 1) line->step_bytes[0][a] = rt_itemsize(it->dtype[a]);
    return bits;
}
static void run_repeated(const Task *t, const RtIter *it, const RtIter *line, unsigned bits, int64_t grain) {
    int64_t n = it->shape[0], m = it->shape[1], rows = ROWS_BYTES / (n * widest(it)), all = it->numel / n;
    rows = rows < 1 ? 1 : rows > m ? m : rows;
    int threads = it->numel >= 2 * grain ? rt_num_threads() : 1;
    if (threads > 1 && threads > it->numel / grain) threads = (int)(it->numel / grain);
    int64_t each = (all + 8 * threads - 1) / (8 * threads);
    RT_SHARED_AT_HOME(threads, (all + each - 1) / each, at, {
        char room[RT_MAX_ARGS][ROWS_BYTES + RT_SPREAD_MAX] __attribute__((aligned(64)));
        const char *laid[RT_MAX_ARGS] = {0};
        int64_t last = (at + 1) * each < all ? (at + 1) * each : all, many;
        for (int64_t r = at * each; r < last; r += many) {
            int64_t row = r % m, rest = r / m;
            char *p[RT_MAX_ARGS];
            many = m - row < rows ? m - row : rows;
            if (many > last - r) many = last - r;
            for (int a = 0; a < it->nargs; a++) p[a] = it->ptr[a] + row * it->step_bytes[1][a];
            for (int d = 2; d < it->ndim; d++) {
                int64_t j = rest % it->shape[d];
                rest /= it->shape[d];
                for (int a = 0; a < it->nargs; a++) p[a] += j * it->step_bytes[d][a];
            }
            for (int a = 1; a < it->nargs; a++) {
                if (!(bits >> a & 1)) continue;
                int64_t size = rt_itemsize(it->dtype[a]);
                if (it->step_bytes[1][a]) rt_cpu_copy_fns(size)->spread(room[a], p[a], it->step_bytes[1][a], many, n);
                else if (laid[a] != p[a]) {
                    rt_cpu_copy_fns(size)->rows(room[a], size, n * size, p[a], it->step_bytes[0][a], 0, rows, n);
                    laid[a] = p[a];
                }
                p[a] = room[a];
            }
            run_line(t, line, p, many * n);
        }
    });
}

/* An operand that is dense along another dimension than the result (m + m.t()) is turned in tiles first: read a cache
 * line an element, the loop would be several times slower. */
#define CROSS_MIN 16384
static void copy_same(RtIter *it);
/* The dimension along which operand a is dense, 0: the loop can take it as it is. */
static int crosswise(const RtIter *it, int a) {
    int64_t size = rt_itemsize(it->dtype[a]);
    if (it->step_bytes[0][0] != rt_itemsize(it->dtype[0]) || it->step_bytes[0][a] == size || it->step_bytes[0][a] == 0 || it->shape[0] < 8) return 0;
    for (int d = 1; d < it->ndim; d++) if (it->step_bytes[d][a] == size && it->shape[d] >= 8) return d;
    return 0;
}
#define TURN_ROWS 32
#define TURN_BYTES 512           /* of a row of a tile, for each operand that is turned */
/* The operands of `turned` (bits) are dense along dimension d: a tile of each is turned and used while the first level of the cache
 * holds it. Tiles follow each other along d, where the operands' pages stay the same. */
static void run_turned(const Task *t, const RtIter *it, int d, unsigned turned, int64_t grain) {
    int64_t cols = TURN_BYTES, n = it->shape[0], m = it->shape[d];
    for (int a = 1; a < it->nargs; a++)
        if (turned >> a & 1 && TURN_BYTES / rt_itemsize(it->dtype[a]) < cols) cols = TURN_BYTES / rt_itemsize(it->dtype[a]);
    int64_t down = (m + TURN_ROWS - 1) / TURN_ROWS, tiles = it->numel / (n * m) * down * ((n + cols - 1) / cols);
    int threads = it->numel >= 2 * grain ? rt_num_threads() : 1;
    if (threads > 1 && threads > it->numel / grain) threads = (int)(it->numel / grain);
    RtIter line = *it;
    for (int a = 1; a < it->nargs; a++) if (turned >> a & 1) line.step_bytes[0][a] = rt_itemsize(it->dtype[a]);
    Task row = *t;
    row.staged = staged(&line);
    int64_t each = (tiles + 8 * threads - 1) / (8 * threads);
    RT_SHARED_AT_HOME(threads, (tiles + each - 1) / each, at, {
        char room[RT_MAX_ARGS][TURN_ROWS * TURN_BYTES] __attribute__((aligned(64)));
        for (int64_t i = at * each; i < tiles && i < (at + 1) * each; i++) {
            int64_t r0 = i % down * TURN_ROWS, c0 = i / down % ((n + cols - 1) / cols) * cols, rest = i / down / ((n + cols - 1) / cols);
            int64_t high = m - r0 < TURN_ROWS ? m - r0 : TURN_ROWS, wide = n - c0 < cols ? n - c0 : cols, step[RT_MAX_ARGS];
            char *ptr[RT_MAX_ARGS];
            for (int a = 0; a < it->nargs; a++) ptr[a] = it->ptr[a] + c0 * it->step_bytes[0][a] + r0 * it->step_bytes[d][a];
            for (int k = 1; k < it->ndim; k++) {
                if (k == d) continue;
                for (int a = 0; a < it->nargs; a++) ptr[a] += rest % it->shape[k] * it->step_bytes[k][a];
                rest /= it->shape[k];
            }
            for (int a = 0; a < it->nargs; a++) {
                int64_t size = rt_itemsize(it->dtype[a]);
                step[a] = it->step_bytes[d][a];
                if (!(turned >> a & 1)) continue;
                rt_cpu_copy_fns(size)->turn(room[a], wide * size, ptr[a], it->step_bytes[0][a], high, wide);
                ptr[a] = room[a];
                step[a] = wide * size;
            }
            for (int64_t r = 0; r < high; r++) {
                char *p[RT_MAX_ARGS];
                for (int a = 0; a < it->nargs; a++) p[a] = ptr[a] + r * step[a];
                run_line(&row, &line, p, wide);
            }
        }
    });
}

static void *straighten(RtIter *it, int a, size_t *got) {
    int64_t size = rt_itemsize(it->dtype[a]), step = size;
    void *p = rt_alloc((size_t)(it->numel * size), got);
    if (!p) return NULL;                              /* the loop takes the operand as it is */
    RtIter copy;
    copy.ndim = it->ndim; copy.nargs = 2; copy.numel = it->numel;
    copy.ptr[0] = p; copy.ptr[1] = it->ptr[a];
    copy.dtype[0] = copy.dtype[1] = it->dtype[a];
    for (int d = 0; d < it->ndim; d++) {
        copy.shape[d] = it->shape[d];
        copy.step_bytes[d][1] = it->step_bytes[d][a];
        copy.step_bytes[d][0] = it->step_bytes[d][a] = step;
        step *= it->shape[d];
    }
    it->ptr[a] = p;
    copy_same(&copy);
    return p;
}

/* The loop over 16-bit floats as they are, or NULL; what does not move may have any dtype. Operands with steps are staged, or turned. */
static RtLoop half_loop(int kernel, const RtIter *it) {
    int dtype = it->dtype[0], dense = it->shape[0] < STAGE_MIN;
    if ((dtype != RT_F16 && dtype != RT_BF16) || (dense && it->step_bytes[0][0] != 2)) return NULL;
    for (int a = 1; a < it->nargs; a++)
        if (it->step_bytes[0][a] && (it->dtype[a] != dtype || (dense && it->step_bytes[0][a] != 2))) return NULL;
    return half_tables[isa_level][dtype == RT_BF16][kernel];
}

RtChain rt_cpu_chain_of(int loop_dtype) { return chain_tables[isa_level][loop_dtype == RT_F64]; }

RtLoop rt_cpu_loop_of(int kernel, int loop_dtype) {
    const RtLoop *table = loop_tables[isa_level][loop_dtype];
    return table ? table[kernel] : NULL;
}

void rt_cpu_wants(int kernel, int loop_dtype, int nargs, int32_t *want) {
    const RtRow *row = &rt_rows[kernel >> 2];
    int which = kernel & 3;
    want[0] = which ? loop_dtype : row->out == 1 ? RT_BOOL : row->out == 2 ? rt_real_dtype(loop_dtype) : loop_dtype;
    for (int a = 1; a < nargs; a++) want[a] = (!which && row->types[a - 1] == 'b') ? RT_BOOL : loop_dtype;
    if (which) {                                       /* a gradient's operands are (g, then those of x y z o it reads) */
        int a = 2, saves = row->saves[which - 1];
        for (int i = 0; i < 3; i++) if (saves >> i & 1) { if (row->types[i] == 'b') want[a] = RT_BOOL; a++; }
    }
}

/* Operands that do not move (numbers come as float64) are converted once, into `room`: by blocks, a loop over float32 and a number would take
 * twice the time. Returns whether an operand is left whose dtype is not the loop's. */
typedef char Number[16] __attribute__((aligned(16)));
static int convert_numbers(const Task *t, RtIter *it, Number *room) {
    int left = it->dtype[0] != t->want[0];
    for (int a = 1; a < it->nargs; a++) {
        if (it->dtype[a] == t->want[a]) continue;
        int still = 1;
        for (int d = 0; d < it->ndim; d++) still &= it->step_bytes[d][a] == 0;
        if (!still) { left = 1; continue; }
        rt_cast_of(it->dtype[a], t->want[a])(room[a], 16, it->ptr[a], 16, 1);
        it->ptr[a] = room[a];
        it->dtype[a] = t->want[a];
    }
    return left;
}

int rt_cpu_elementwise(int device, int kernel, int loop_dtype, RtIter *it, const double *k) {
    (void)device;
    const RtLoop *table = loop_tables[isa_level][loop_dtype];
    Task t;
    if (!table || !(t.fn = table[kernel])) return RT_ERR_UNSUPPORTED;
    const RtRow *row = &rt_rows[kernel >> 2];
    t.k = k;
    t.nargs = it->nargs;
    Number room[RT_MAX_ARGS];
    rt_cpu_wants(kernel, loop_dtype, it->nargs, t.want);
    t.convert = convert_numbers(&t, it, room);
    if (t.convert && (kernel == ROW_ABS * 4 || kernel == ROW_NEG * 4) && it->dtype[0] == it->dtype[1] && rt_itemsize(it->dtype[0]) == 2 &&
        loop_dtype == RT_F32) {
        t.fn = bits_tables[isa_level][kernel == ROW_NEG * 4];
        t.convert = 0;
    }
    RtIter line;
    unsigned again = repeated(it, &line);
    RtLoop half = t.convert && loop_dtype == RT_F32 ? half_loop(kernel, again ? &line : it) : NULL;
    t.half = half != NULL;
    if (half) t.fn = half;
    t.stream = 0;
    t.staged = staged(again ? &line : it);
    if (again) { run_repeated(&t, it, &line, again, grain_of_cost[row->cost]); return RT_OK; }
    if (RT_LIKELY(it->ndim == 1 || it->numel < CROSS_MIN)) {
        if (!t.convert || t.half) t.stream = past_caches(it);
        run_all(&t, it, grain_of_cost[row->cost]);
        return RT_OK;
    }
    void *dense[RT_MAX_ARGS];
    size_t got[RT_MAX_ARGS];
    int made = 0, along = 0;
    unsigned turned = 0;
    for (int a = 1; a < it->nargs; a++) {
        int d = crosswise(it, a);
        if (!d) continue;
        turned |= 1u << a;
        along = !along || along == d ? d : -1;
    }
    if (along > 0) { run_turned(&t, it, along, turned, grain_of_cost[row->cost]); return RT_OK; }
    for (int a = 1; a < it->nargs; a++) if (crosswise(it, a) && (dense[made] = straighten(it, a, &got[made]))) made++;
    if (made) { rt_iter_coalesce(it); t.staged = staged(it); }
    if (!t.convert || t.half) t.stream = past_caches(it);
    run_all(&t, it, grain_of_cost[row->cost]);
    while (made--) rt_free(dense[made], got[made]);
    return RT_OK;
}

int rt_cpu_loop(RtIter *it, RtLoop fn, const int32_t *want, int cost, const double *k) {
    Task t;
    t.fn = fn;
    t.k = k;
    t.nargs = it->nargs;
    t.half = t.stream = 0;
    Number room[RT_MAX_ARGS];
    for (int a = 0; a < it->nargs; a++) t.want[a] = want[a];
    t.convert = convert_numbers(&t, it, room);
    t.staged = staged(it);
    run_all(&t, it, grain_of_cost[cost]);
    return RT_OK;
}

/* ---- copy with conversion, fill ------------------------------------------------------------------- */
static void cast_line(char **p, const int64_t *s, int64_t n, const double *k) {
    RtCast fn;
    memcpy(&fn, k, sizeof fn);
    fn(p[0], s[0], p[1], s[1], n);
}

#define COPY_GRAIN 65536

/* Note [Short runs]
 * A call of the two-dimensional kernel, or a row of it, costs as much as some ten elements. Where dimension 0 is short (pixels of an image with
 * its channels innermost, turned round or dealt anew) there are two ways: runs that are dense in both, and side by side in the result, are blocks of
 * bytes (copy.inc.c); else the rows run along a long dimension, in pieces so short that the first level of the cache keeps what the dimensions
 * below it have in common. */
#define SHORT_RUN 16             /* elements */
#define SHORT_BYTES 4096         /* over which a piece of a long dimension spreads */
static int long_dimension(const RtIter *it, int size) {
    int64_t n = it->shape[0];
    int best = 0, dense = it->step_bytes[0][0] == size && it->step_bytes[0][1] == size;
    if (n > SHORT_RUN || (dense && n * size >= 16)) return 0;
    for (int i = 1; i < it->ndim; i++) {
        if (it->shape[i] < 2 * n || it->step_bytes[i][0] == 0) continue;
        if (it->step_bytes[i][1] == size && it->shape[i] >= 32) return i;
        if (!best || it->shape[i] > 2 * it->shape[best]) best = i;
    }
    return best;
}
static void copy_short(const RtIter *it, const RtCopyFns *f, int k, int threads) {
    int64_t length = it->shape[k], step = llabs(it->step_bytes[k][0]), other = llabs(it->step_bytes[k][1]);
    int64_t each = SHORT_BYTES / (step > other ? step : other);
    each = each < 16 ? 16 : each > 512 ? 512 : each;
    int64_t cuts = (length + each - 1) / each, pieces = it->numel / (it->shape[0] * length) * cuts, group = (pieces + 8 * threads - 1) / (8 * threads);
    RT_SHARED_AT_HOME(threads, (pieces + group - 1) / group, at, {
        int64_t last = (at + 1) * group < pieces ? (at + 1) * group : pieces;
        for (int64_t piece = at * group; piece < last; piece++) {
            int64_t rest = piece, many = length;
            char *dst = it->ptr[0], *src = it->ptr[1];
            for (int i = 1; i < it->ndim; i++) {
                int64_t count = i == k ? cuts : it->shape[i], j = rest % count;
                rest /= count;
                if (i == k) { j *= each; many = length - j < each ? length - j : each; }
                dst += j * it->step_bytes[i][0];
                src += j * it->step_bytes[i][1];
            }
            f->rows(dst, it->step_bytes[k][0], it->step_bytes[0][0], src, it->step_bytes[k][1], it->step_bytes[0][1], it->shape[0], many);
        }
    });
}

/* One dtype. The plan becomes a two-dimensional kernel over (dimension 0, dimension `d`), called for the rest: crosswise
 * where the source is dense along d, else by rows of dimension 0. Threads share out the rows of the result. */
static void copy_same(RtIter *it) {
    int size = rt_itemsize(it->dtype[0]), d = 0;
    const RtCopyFns *f = rt_cpu_copy_fns(size);
    if (it->numel == 0) return;
    if (it->ndim == 1) { it->ndim = 2; it->shape[1] = 1; it->step_bytes[1][0] = it->step_bytes[1][1] = 0; }
    int64_t n = it->shape[0];
    if (it->step_bytes[0][0] == size && it->step_bytes[0][1] != size && it->step_bytes[0][1] != 0 && (n >= 8 || n <= 4))
        for (int i = 1; i < it->ndim && !d; i++)
            if (it->step_bytes[i][1] == size && it->shape[i] >= 8 && (n >= 8 || it->step_bytes[i][0] == n * size)) d = i;
    int threads = it->numel >= 2 * COPY_GRAIN ? rt_num_threads() : 1;
    int turned = d > 0 && (n >= SHORT_RUN || it->shape[d] >= 64 || it->ndim == 2);
    int blocks = !turned && n * size <= RT_BLOCK_MAX && it->step_bytes[0][0] == size && it->step_bytes[0][1] == size &&
                 it->step_bytes[1][0] == n * size && it->shape[1] >= 8;
    int along = turned || blocks ? 0 : long_dimension(it, size);
    if (along) { copy_short(it, f, along, threads); return; }
    if (!turned) d = 1;
    int64_t m = it->shape[d], outer = it->numel / (n * m);
    /* pieces: the outer positions, each cut along d, or along dimension 0 where that is all there is */
    int flat = m == 1 && outer == 1;
    int64_t unit = flat ? 4096 : turned ? 16 : 1, length = flat ? n : m, cuts = 1;
    if (threads > 1 && outer < 8 * threads) { cuts = 8 * threads; if (cuts > (length + unit - 1) / unit) cuts = (length + unit - 1) / unit; }
    int64_t each = ((length + cuts - 1) / cuts + unit - 1) / unit * unit;
    int stream = !turned && !blocks && (it->step_bytes[0][1] == size || it->step_bytes[0][1] == 0) && past_caches(it);
    int64_t pieces = outer * cuts, group = (pieces + 8 * threads - 1) / (8 * threads);
    RT_SHARED_AT_HOME(threads, (pieces + group - 1) / group, at, {
        int64_t last = (at + 1) * group < pieces ? (at + 1) * group : pieces;
        for (int64_t piece = at * group; piece < last; piece++) {
            int64_t rest = piece / cuts, b = piece % cuts * each, e = b + each < length ? b + each : length;
            char *dst = it->ptr[0], *src = it->ptr[1];
            if (b >= e) continue;
            for (int i = 1; i < it->ndim; i++) {
                if (i == d) continue;
                int64_t j = rest % it->shape[i];
                rest /= it->shape[i];
                dst += j * it->step_bytes[i][0];
                src += j * it->step_bytes[i][1];
            }
            dst += b * it->step_bytes[flat ? 0 : d][0];
            src += b * it->step_bytes[flat ? 0 : d][1];
            if (blocks) f->blocks(dst, src, it->step_bytes[1][1], n * size, e - b);
            else if (turned) f->turn(dst, it->step_bytes[d][0], src, it->step_bytes[0][1], e - b, n);
            else if (stream) {
                for (int64_t row = 0; row < (flat ? 1 : e - b); row++)
                    rt_stream(dst + row * it->step_bytes[1][0], src + row * it->step_bytes[1][1], (flat ? e - b : n) * size, it->step_bytes[0][1], size);
                rt_stream_end();
            }
            else f->rows(dst, it->step_bytes[0][0], it->step_bytes[1][0], src, it->step_bytes[0][1], it->step_bytes[1][1],
                         flat ? 1 : e - b, flat ? e - b : n);
        }
    });
}

int rt_cpu_copy(RtIter *it) {
    Task t;
    double slot = 0;
    if (it->dtype[0] == it->dtype[1]) { copy_same(it); return RT_OK; }
    t.nargs = it->nargs;
    t.convert = t.half = 0;
    t.stream = past_caches(it);
    t.staged = staged(it);
    t.k = &slot;
    RtCast fn = rt_cast_of(it->dtype[1], it->dtype[0]);
    memcpy(&slot, &fn, sizeof fn);
    t.fn = cast_line;
    run_all(&t, it, COPY_GRAIN);
    return RT_OK;
}

/* Pieces too small for several threads each are shared out whole. */
void rt_cpu_copies(RtIter *list, int64_t count) {
    int64_t numel = 0;
    for (int64_t i = 0; i < count; i++) numel += list[i].numel;
    int threads = numel >= 2 * COPY_GRAIN ? rt_num_threads() : 1;
    if (threads > count) threads = (int)count;
    RT_SHARED(threads, count, i, { rt_cpu_copy(&list[i]); });
}

void rt_cpu_fill(RtIter *it, const char *value) {
    it->nargs = 2;
    it->ptr[1] = (char *)value;
    it->dtype[1] = it->dtype[0];
    for (int d = 0; d < it->ndim; d++) it->step_bytes[d][1] = 0;
    rt_cpu_copy(it);
}

/* ---- the door ------------------------------------------------------------------------------------------ */
static void *cpu_alloc(int device, size_t nbytes, size_t *got) { (void)device; return rt_alloc(nbytes, got); }
static void cpu_free(int device, void *p, size_t got) { (void)device; rt_free(p, got); }
static int cpu_memcpy(int dd, void *dst, int sd, const void *src, size_t n) { (void)dd; (void)sd; memmove(dst, src, n); return RT_OK; }
static int cpu_sync(int device) { (void)device; return RT_OK; }
static const char *cpu_error(void) { return "no error"; }
static const RtBackend cpu_backend = {.name = "cpu", .alloc = cpu_alloc, .free = cpu_free, .copy = cpu_memcpy, .elementwise = rt_cpu_elementwise,
                                      .reduce = rt_cpu_reduce, .synchronize = cpu_sync, .last_error = cpu_error};
const RtBackend *rt_cpu_backend(void) { return &cpu_backend; }
