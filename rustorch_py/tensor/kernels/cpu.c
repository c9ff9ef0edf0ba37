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
    extern const RtCopyFns rt_copy_fns_##isa[5];
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

static int isa_level = 0;

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
            if (a) copy_tables[isa_level][__builtin_ctz((unsigned)by[a])].rows(room[a], by[a], 0, p[a], s, 0, 1, m);
            p[a] = room[a];
        }
        run_dense(t, it, by, p, m);
        if (t->staged & 1)
            copy_tables[isa_level][__builtin_ctz((unsigned)by[0])].rows(ptr[0] + done * it->step_bytes[0][0], it->step_bytes[0][0], 0, room[0], by[0], 0, 1, m);
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
                copy_tables[isa_level][__builtin_ctz((unsigned)size)].turn(room[a], wide * size, ptr[a], it->step_bytes[0][a], high, wide);
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
    RtLoop half = t.convert && loop_dtype == RT_F32 ? half_loop(kernel, it) : NULL;
    t.half = half != NULL;
    if (half) t.fn = half;
    t.stream = 0;
    t.staged = staged(it);
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

/* One dtype. The plan becomes a two-dimensional kernel over (dimension 0, dimension `d`), called for the rest: crosswise
 * where the source is dense along d, else by rows of dimension 0. Threads share out the rows of the result. */
static void copy_same(RtIter *it) {
    int size = rt_itemsize(it->dtype[0]), d = 0;
    const RtCopyFns *f = &copy_tables[isa_level][__builtin_ctz((unsigned)size)];
    if (it->numel == 0) return;
    if (it->ndim == 1) { it->ndim = 2; it->shape[1] = 1; it->step_bytes[1][0] = it->step_bytes[1][1] = 0; }
    int64_t n = it->shape[0];
    if (it->step_bytes[0][0] == size && it->step_bytes[0][1] != size && it->step_bytes[0][1] != 0 && (n >= 8 || n <= 4))
        for (int i = 1; i < it->ndim && !d; i++)
            if (it->step_bytes[i][1] == size && it->shape[i] >= 8 && (n >= 8 || it->step_bytes[i][0] == n * size)) d = i;
    int turned = d > 0;
    if (!turned) d = 1;
    int64_t m = it->shape[d], outer = it->numel / (n * m);
    /* pieces: the outer positions, each cut along d, or along dimension 0 where that is all there is */
    int threads = it->numel >= 2 * COPY_GRAIN ? rt_num_threads() : 1;
    int flat = m == 1 && outer == 1;
    int64_t unit = flat ? 4096 : turned ? 16 : 1, length = flat ? n : m, cuts = 1;
    if (threads > 1 && outer < 8 * threads) { cuts = 8 * threads; if (cuts > (length + unit - 1) / unit) cuts = (length + unit - 1) / unit; }
    int64_t each = ((length + cuts - 1) / cuts + unit - 1) / unit * unit;
    int stream = !turned && (it->step_bytes[0][1] == size || it->step_bytes[0][1] == 0) && past_caches(it);
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
            int along = flat ? 0 : d;
            dst += b * it->step_bytes[along][0];
            src += b * it->step_bytes[along][1];
            if (turned) f->turn(dst, it->step_bytes[d][0], src, it->step_bytes[0][1], e - b, n);
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

/* ---- reductions -------------------------------------------------------------------------------------- */
#define COLS 256                                        /* columns accumulated side by side */
#define COL_LEVELS 40                                   /* binary counter over blocks of 32 rows: 2^45 rows */
typedef struct { int n; int64_t size[RT_MAX_DIM], in[RT_MAX_DIM], out[RT_MAX_DIM]; } Dims;

static void dims_add(Dims *d, int64_t size, int64_t in, int64_t out) {
    if (size == 1) return;
    int i = d->n++;
    while (i > 0 && llabs(d->in[i - 1]) > llabs(in)) {   /* smallest step first */
        d->size[i] = d->size[i - 1]; d->in[i] = d->in[i - 1]; d->out[i] = d->out[i - 1];
        i--;
    }
    d->size[i] = size; d->in[i] = in; d->out[i] = out;
}
static void dims_merge(Dims *d) {
    int m = 0;
    for (int i = 1; i < d->n; i++) {
        if (d->in[i] == d->in[m] * d->size[m] && d->out[i] == d->out[m] * d->size[m]) d->size[m] *= d->size[i];
        else { m++; d->size[m] = d->size[i]; d->in[m] = d->in[i]; d->out[m] = d->out[i]; }
    }
    if (d->n) d->n = m + 1;
}
static int64_t dims_count(const Dims *d, int from) {
    int64_t n = 1;
    for (int i = from; i < d->n; i++) n *= d->size[i];
    return n;
}
static void dims_at(const Dims *d, int from, int64_t flat, int64_t *in, int64_t *out) {
    for (int i = from; i < d->n; i++) {
        int64_t j = flat % d->size[i];
        flat /= d->size[i];
        *in += j * d->in[i];
        *out += j * d->out[i];
    }
}

typedef struct {
    const RtReduceFns *f;
    int acc_dtype, in_dtype, out_dtype, acc_size, in_size;
    double k0;
    Dims keep, red;
    const char *in;
    char *out;
    int counts;                                          /* a sum of bools in int64: bytes that are not zero are counted, 16 at a time */
} Red;

typedef uint8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
static int64_t count_bytes(const char *x, int64_t n) {
    int64_t zeros = 0, i = 0;
    while (i + 64 <= n) {
        Bytes none[4] = {{0}};                           /* a byte holds 255 */
        int64_t end = n - i > 255 * 64 ? i + 255 * 64 : i + (n - i) / 64 * 64;
        for (; i < end; i += 64) for (int k = 0; k < 4; k++) none[k] -= (Bytes)(*(const Bytes *)(x + i + 16 * k) == 0);
        for (int k = 0; k < 4; k++) {
            uint64_t half[2];
            memcpy(half, &none[k], 16);
            for (int h = 0; h < 2; h++) {
                uint64_t pairs = (half[h] & 0x00ff00ff00ff00ff) + (half[h] >> 8 & 0x00ff00ff00ff00ff);
                zeros += (int64_t)(pairs * 0x0001000100010001 >> 48);
            }
        }
    }
    for (; i < n; i++) zeros += x[i] == 0;
    return n - zeros;
}

/* Note [Reductions with steps]
 * The loops over steps take one element at a time, and each waits for the one before. Lines with steps are copied to dense blocks in the first
 * level of the cache, by vectors where the copies have a way (every second element: a sum of x[:, ::2] in a quarter of the time). */
#define RED_STAGE 4096
#define RED_STEPPED 16       /* elements: shorter lines are left to the loop */
static inline const RtCopyFns *red_copies(const Red *r) { return &copy_tables[isa_level][__builtin_ctz((unsigned)r->in_size)]; }
static void red_run1d(const Red *r, char *acc, const char *x, int64_t step, int64_t n) {
    int same = r->in_dtype == r->acc_dtype, stepped = step != r->in_size && n >= RED_STEPPED;
    if (r->counts && step == 1) { *(int64_t *)acc += count_bytes(x, n); return; }
    if (same && !stepped) { r->f->run1d(acc, x, step, n, r->k0); return; }
    char dense[RED_STAGE] __attribute__((aligned(64))), buffer[2 * RED_STAGE] __attribute__((aligned(64)));   /* and its source: well within the first level of the cache */
    RtCast cast = same ? NULL : rt_cast_of(r->in_dtype, r->acc_dtype);
    int64_t block = stepped ? RED_STAGE / (r->in_size > r->acc_size ? r->in_size : r->acc_size) : (int64_t)sizeof(buffer) / r->acc_size;
    for (int64_t m; n > 0; x += m * step, n -= m) {
        m = n < block ? n : block;
        const char *from = x;
        int64_t by = step;
        if (stepped) { red_copies(r)->rows(dense, r->in_size, 0, x, step, 0, 1, m); from = dense; by = r->in_size; }
        if (cast) { cast(buffer, r->acc_size, from, by, m); from = buffer; by = r->acc_size; }
        r->f->run1d(acc, from, by, m, r->k0);
    }
}
static void red_cols(const Red *r, char *acc, const char *x, int64_t step, int64_t n) {
    char dense[RED_STAGE] __attribute__((aligned(64))), buffer[COLS * 16] __attribute__((aligned(64)));
    RtCast cast = r->in_dtype == r->acc_dtype ? NULL : rt_cast_of(r->in_dtype, r->acc_dtype);
    int stepped = step != r->in_size && n >= RED_STEPPED;
    int64_t block = stepped ? RED_STAGE / r->in_size : n;
    for (int64_t m; n > 0; x += m * step, acc += m * r->acc_size, n -= m) {
        m = n < block ? n : block;
        const char *from = x;
        int64_t by = step;
        if (stepped) { red_copies(r)->rows(dense, r->in_size, 0, x, step, 0, 1, m); from = dense; by = r->in_size; }
        if (cast) { cast(buffer, r->acc_size, from, by, m); from = buffer; by = r->acc_size; }
        r->f->cols(acc, from, by, m, r->k0);
    }
}
static void red_store(const Red *r, char *out, int64_t out_step, const char *acc, int64_t n) {
    rt_cast_of(r->acc_dtype, r->out_dtype)(out, out_step, acc, r->acc_size, n);
}

/* acc[k] = rows of n elements, `step` bytes apart, at x + k * row, k < m: by `lines` (Note [Lines] in reduce_type.h). */
static int red_lined(const Red *r, int64_t n) {
    return r->f->lines && n > 8 && n * r->acc_size <= RT_LINE_MAX && n * r->in_size <= RT_LINE_MAX;
}
static void red_lines(const Red *r, char *acc, const char *x, int64_t step, int64_t row, int64_t m, int64_t n) {
    int same = r->in_dtype == r->acc_dtype, stepped = step != r->in_size;
    if (r->counts && !stepped) {
        for (int64_t k = 0; k < m; k++) ((int64_t *)acc)[k] = count_bytes(x + k * row, n);
        return;
    }
    if (same && !stepped) { r->f->lines(acc, x, row, m, n, r->k0); return; }
    char dense[RT_LINE_MAX] __attribute__((aligned(64))), buffer[RT_LINE_MAX + 1] __attribute__((aligned(64)));
    RtCast cast = same ? NULL : rt_cast_of(r->in_dtype, r->acc_dtype);
    int64_t wide = n * r->acc_size, narrow = n * r->in_size, each = 8192 / (wide > narrow ? wide : narrow);   /* rows that are converted together */
    if (each < 1) each = 1;
    for (int64_t k = 0; k < m; k += each) {
        int64_t many = m - k < each ? m - k : each, by = row;
        const char *from = x + k * row;
        if (stepped) { red_copies(r)->rows(dense, r->in_size, narrow, from, step, row, many, n); from = dense; by = narrow; }
        if (cast) {
            if (by == narrow) cast(buffer, r->acc_size, from, r->in_size, many * n);
            else for (int64_t i = 0; i < many; i++) cast(buffer + i * wide, r->acc_size, from + i * by, r->in_size, n);
            from = buffer;
            by = wide;
        }
        r->f->lines(acc + k * r->acc_size, from, by, many, n, r->k0);
    }
}

/* Outputs [b, e): each reduces its rows along red dimension 0. Several rows an output are read in the order of memory, a
 * tile of outputs together, and merge pairwise like a binary counter. */
#define MID 64
static void red_inner(const Red *r, int64_t b, int64_t e) {
    int64_t rows = dims_count(&r->red, 1), n = r->red.n ? r->red.size[0] : 1, step = r->red.n ? r->red.in[0] : 0;
    int64_t width = r->keep.n ? r->keep.size[0] : 1;
    char acc[MID * 16] __attribute__((aligned(64))), part[COL_LEVELS][MID * 16] __attribute__((aligned(64)));
    int64_t in0[MID], out0[MID];
    int size = r->acc_size, lined = width >= 8 && red_lined(r, n), even = r->keep.n == 1 || lined;
    int near = lined && rows > 1 && r->keep.in[0] == n * r->in_size && n * r->in_size <= 1024;      /* a tile's rows follow each other, and are few bytes */
    for (int64_t i = b, m; i < e; i += m) {
        m = e - i < MID ? e - i : MID;
        if (even && m > width - i % width) m = width - i % width;      /* a tile within dimension 0: its outputs are one step apart */
        in0[0] = out0[0] = 0;
        dims_at(&r->keep, 0, i, &in0[0], &out0[0]);
        if (even) for (int k = 1; k < m; k++) { in0[k] = in0[0] + k * r->keep.in[0]; out0[k] = out0[0] + k * r->keep.out[0]; }
        else for (int k = 1; k < m; k++) { in0[k] = out0[k] = 0; dims_at(&r->keep, 0, i + k, &in0[k], &out0[k]); }
        for (int64_t j = 0; j < rows; j++) {
            int64_t in1 = 0, unused = 0;
            dims_at(&r->red, 1, j, &in1, &unused);
            if (near && j + 1 < rows) {                 /* the next rows lie far off: the processor does not guess where */
                int64_t next = 0;
                dims_at(&r->red, 1, j + 1, &next, &unused);
                for (int64_t at = 0; at < m * r->keep.in[0]; at += 64) __builtin_prefetch(r->in + in0[0] + next + at);
            }
            if (lined) red_lines(r, acc, r->in + in0[0] + in1, step, r->keep.in[0], m, n);
            else {
                r->f->init(acc, m);
                for (int k = 0; k < m; k++) red_run1d(r, acc + k * size, r->in + in0[k] + in1, step, n);
            }
            if (rows == 1) break;
            int level = 0;
            for (int64_t c = j; c & 1; c >>= 1, level++) r->f->comb(acc, part[level], m);
            memcpy(part[level], acc, (size_t)(m * size));
        }
        if (rows > 1) {
            r->f->init(acc, m);
            int level = 0;
            for (int64_t c = rows; c; c >>= 1, level++) if (c & 1) r->f->comb(acc, part[level], m);
        }
        if (even || r->keep.n == 0) red_store(r, r->out + out0[0], r->keep.n ? r->keep.out[0] : 16, acc, m);
        else for (int k = 0; k < m; k++) red_store(r, r->out + out0[k], 16, acc + k * size, 1);
    }
}

/* Outputs [b, e) of kept dimension 0, each over a dense row of few elements: a tile of rows is turned, then its columns
 * are accumulated side by side. */
#define SHORT_BYTES 512
#define LINE_BYTES 256       /* a row that fills the lanes of reduce_type.h is faster by itself */
static void red_short(const Red *r, int64_t b, int64_t e) {
    char acc[MID * 16] __attribute__((aligned(64))), total[MID * 16] __attribute__((aligned(64)));
    char buffer[SHORT_BYTES * MID] __attribute__((aligned(64)));
    int64_t n = r->red.size[0], row = (int64_t)MID * r->in_size;
    const RtCopyFns *f = &copy_tables[isa_level][__builtin_ctz((unsigned)r->in_size)];
    for (int64_t i = b; i < e; i += MID) {
        int64_t m = e - i < MID ? e - i : MID;
        f->turn(buffer, row, r->in + i * r->keep.in[0], r->keep.in[0], n, m);
        r->f->init(total, m);
        for (int64_t j0 = 0; j0 < n; j0 += 16) {
            r->f->init(acc, m);
            for (int64_t j = j0; j < j0 + 16 && j < n; j++) red_cols(r, acc, buffer + j * row, r->in_size, m);
            r->f->comb(total, acc, m);
        }
        red_store(r, r->out + i * r->keep.out[0], r->keep.out[0], total, m);
    }
}

/* Rows [j0, j1) of tile t: `cols` columns of kept dimension 0 at one place of the other kept dimensions. Accumulated into `to`, if not
 * NULL, else stored. */
static void red_tile(const Red *r, int64_t cols, int64_t t, int64_t j0, int64_t j1, char *to) {
    char acc[COLS * 16] __attribute__((aligned(64))), part[COL_LEVELS][COLS * 16] __attribute__((aligned(64)));
    int64_t width = r->keep.size[0], tiles = (width + cols - 1) / cols;
    int64_t in0 = 0, out0 = 0, unused = 0, c0 = (t % tiles) * cols, n = width - c0 < cols ? width - c0 : cols;
    int64_t idx[RT_MAX_DIM] = {0}, line = r->keep.in[0] == r->in_size ? n * r->in_size : 0;      /* bytes of a dense row ... */
    if (r->red.in[0] == line) line = 0;                 /* ... fetched ahead, but where rows follow each other the processor does so by itself */
    uint64_t blocks = 0;
    int stepped = r->keep.in[0] != r->in_size;
    int by_four = r->red.n == 1 && (!stepped || (n >= RED_STEPPED && n * r->in_size <= COLS * 16));
    RtCast cast = r->in_dtype == r->acc_dtype ? NULL : rt_cast_of(r->in_dtype, r->acc_dtype);
    char four[4 * COLS * 16] __attribute__((aligned(64))), dense[4 * COLS * 16] __attribute__((aligned(64)));
    dims_at(&r->keep, 1, t / tiles, &in0, &out0);
    in0 += c0 * r->keep.in[0];
    out0 += c0 * r->keep.out[0];
    if (j0) {
        int64_t rest = j0;
        for (int d = 0; d < r->red.n; d++) { idx[d] = rest % r->red.size[d]; rest /= r->red.size[d]; }
        dims_at(&r->red, 0, j0, &in0, &unused);
    }
    r->f->init(acc, n);
    for (int64_t j = j0, in1 = in0; j < j1; j++) {
        const char *ahead = r->in + in1 + r->red.in[0];
        if (by_four && j + 4 <= j1) {                   /* a block of 32 rows is not left: j - j0 is a multiple of four */
            for (int i = 3; i < 7; i++, ahead = r->in + in1 + i * r->red.in[0]) for (int64_t b = 0; b < line; b += 64) __builtin_prefetch(ahead + b);
            const char *from = r->in + in1;
            int64_t row = r->red.in[0];
            if (stepped) {
                red_copies(r)->rows(dense, r->in_size, n * r->in_size, from, r->keep.in[0], row, 4, n);
                from = dense;
                row = n * r->in_size;
            }
            if (cast) {
                if (row == n * r->in_size) { cast(four, r->acc_size, from, r->in_size, 4 * n); row = n * r->acc_size; }
                else {
                    for (int i = 0; i < 4; i++) cast(four + i * COLS * 16, r->acc_size, from + i * row, r->in_size, n);
                    row = COLS * 16;
                }
                from = four;
            }
            r->f->cols4(acc, from, row, n, r->k0);
            j += 3;
            in1 += 3 * r->red.in[0];
            idx[0] += 3;
        } else {
            for (int64_t b = 0; b < line; b += 64) __builtin_prefetch(ahead + b);
            red_cols(r, acc, r->in + in1, r->keep.in[0], n);
        }
        if (((j - j0) & 31) == 31) {                    /* pairwise: blocks of 32 rows merge like a binary counter */
            int level = 0;
            for (uint64_t c = blocks; c & 1; c >>= 1, level++) r->f->comb(acc, part[level], n);
            memcpy(part[level], acc, (size_t)n * r->acc_size);
            r->f->init(acc, n);
            blocks++;
        }
        for (int d = 0; d < r->red.n; d++) {
            in1 += r->red.in[d];
            if (++idx[d] < r->red.size[d]) break;
            in1 -= r->red.in[d] * r->red.size[d];
            idx[d] = 0;
        }
    }
    int level = 0;
    for (uint64_t c = blocks; c; c >>= 1, level++) if (c & 1) r->f->comb(acc, part[level], n);
    if (to) memcpy(to, acc, (size_t)n * r->acc_size);
    else red_store(r, r->out + out0, r->keep.out[0], acc, n);
}

/* Rows [row0, row0 + rows) of a dense matrix of few columns, summed into width accumulators at `to`: as many rows as fill
 * COLS are taken as one. */
static void red_narrow(const Red *r, int64_t row0, int64_t rows, char *to) {
    char acc[COLS * 16] __attribute__((aligned(64))), part[COL_LEVELS][COLS * 16] __attribute__((aligned(64)));
    int64_t width = r->keep.size[0], group = COLS / width, n = group * width, blocks = rows / group, step = group * r->red.in[0];
    const char *x = r->in + row0 * r->red.in[0];
    uint64_t merged = 0;
    r->f->init(acc, n);
    for (int64_t j = 0; j < blocks; j++, x += step) {
        red_cols(r, acc, x, r->in_size, n);
        if ((j & 31) == 31) {
            int level = 0;
            for (uint64_t c = merged; c & 1; c >>= 1, level++) r->f->comb(acc, part[level], n);
            memcpy(part[level], acc, (size_t)(n * r->acc_size));
            r->f->init(acc, n);
            merged++;
        }
    }
    if (rows % group) red_cols(r, acc, x, r->in_size, rows % group * width);
    int level = 0;
    for (uint64_t c = merged; c; c >>= 1, level++) if (c & 1) r->f->comb(acc, part[level], n);
    for (int64_t g = 1; g < group; g++) r->f->comb(acc, acc + g * width * r->acc_size, width);
    memcpy(to, acc, (size_t)(width * r->acc_size));
}

#define RED_GRAIN 32768
#define RED_ROWS 128         /* and so are columns of many rows */
#define RED_CHUNK 65536      /* a long reduction is cut in chunks of this many elements, whatever the thread count */

int rt_cpu_reduce(int device, int row, int acc_dtype, const RtArray *out, const RtArray *in, const uint8_t *reduced, const double *k) {
    (void)device;
    Red r;
    const RtReduceFns *table = reduce_tables[isa_level][acc_dtype];
    if (!table || !table[row].run1d) return RT_ERR_UNSUPPORTED;
    r.f = &table[row];
    if (in->ndim == 1 && reduced[0] && in->strides[0] == 1 && in->dtype == acc_dtype && out->dtype == acc_dtype && in->shape[0] > 0 &&
        in->shape[0] < 2 * RED_GRAIN) {                  /* all of a short dense line: what the general way comes to, without its set-up */
        char acc[16] __attribute__((aligned(16)));
        r.f->init(acc, 1);
        r.f->run1d(acc, in->data, rt_itemsize(acc_dtype), in->shape[0], k ? k[0] : 0);
        memcpy(out->data, acc, (size_t)rt_itemsize(acc_dtype));
        return RT_OK;
    }
    r.acc_dtype = acc_dtype; r.in_dtype = in->dtype; r.out_dtype = out->dtype;
    r.acc_size = rt_itemsize(acc_dtype); r.in_size = rt_itemsize(in->dtype);
    r.k0 = k ? k[0] : 0;
    r.keep.n = r.red.n = 0;
    r.counts = in->dtype == RT_BOOL && acc_dtype == RT_I64 && (row == RED_SUM || row == RED_COUNT_NONZERO);
    r.in = in->data; r.out = out->data;
    int64_t isz = r.in_size, osz = rt_itemsize(out->dtype), nout = 1, nred = 1;
    for (int d = 0; d < in->ndim; d++) {
        if (reduced[d]) { nred *= in->shape[d]; dims_add(&r.red, in->shape[d], in->strides[d] * isz, 0); }
        else { nout *= in->shape[d]; dims_add(&r.keep, in->shape[d], in->strides[d] * isz, out->strides[d] * osz); }
    }
    if (nout == 0) return RT_OK;
    if (nred == 0) {
        char acc[16];
        r.f->init(acc, 1);
        for (int64_t i = 0; i < nout; i++) { int64_t a = 0, o = 0; dims_at(&r.keep, 0, i, &a, &o); red_store(&r, r.out + o, 16, acc, 1); }
        return RT_OK;
    }
    dims_merge(&r.keep);
    dims_merge(&r.red);
    int64_t total = nout * nred;
    int threads = total >= 2 * RED_GRAIN ? rt_num_threads() : 1;
    int outer = r.keep.n && r.red.n && llabs(r.keep.in[0]) < llabs(r.red.in[0]) && r.keep.size[0] >= 4;
    if (outer && r.keep.n == 1 && r.red.n == 1 && r.keep.in[0] == r.in_size && r.red.in[0] == r.keep.size[0] * r.in_size &&
        r.keep.size[0] <= COLS / 4 && nred >= 4 * COLS) {
        int64_t width = r.keep.size[0], each = RED_CHUNK / width, chunks = (nred + each - 1) / each;
        size_t bytes = (size_t)(width * r.acc_size);
        char *part = malloc((size_t)chunks * bytes);
        if (!part) return RT_ERR_MEMORY;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t c = 0; c < chunks; c++)
            red_narrow(&r, c * each, nred - c * each < each ? nred - c * each : each, part + c * bytes);
        for (int64_t w = 1; w < chunks; w *= 2)
            for (int64_t c = 0; c + w < chunks; c += 2 * w) r.f->comb(part + c * bytes, part + (c + w) * bytes, width);
        red_store(&r, r.out, r.keep.out[0], part, width);
        free(part);
        return RT_OK;
    }
    if (outer) {
        /* Tiles as wide as the accumulators' room allows. Where those are few, long ones are cut in chunks of rows, whatever the number
         * of threads: whole rows are read faster than parts of them. Else they get narrower where threads would go without. */
        int64_t width = r.keep.size[0], others = dims_count(&r.keep, 1), cols = COLS * 16 / r.acc_size;
        int64_t high = width >= COLS ? RED_ROWS : RED_ROWS * ((COLS + width - 1) / width);
        int64_t tiles = (width + cols - 1) / cols, work = tiles * others, chunks = (nred + high - 1) / high;
        if (work <= 8 && width >= RED_STEPPED && chunks >= 4) {
            size_t bytes = (size_t)((width < cols ? width : cols) * r.acc_size);
            char *part = malloc((size_t)(work * chunks) * bytes);
            if (!part) return RT_ERR_MEMORY;
            RT_SHARED(threads, work * chunks, i, {
                int64_t j0 = i % chunks * high;
                red_tile(&r, cols, i / chunks, j0, nred - j0 < high ? nred : j0 + high, part + i * bytes);
            });
            for (int64_t t = 0; t < work; t++) {
                int64_t in0 = 0, out0 = 0, c0 = t % tiles * cols, n = width - c0 < cols ? width - c0 : cols;
                char *p = part + t * chunks * bytes;
                for (int64_t w = 1; w < chunks; w *= 2)
                    for (int64_t c = 0; c + w < chunks; c += 2 * w) r.f->comb(p + c * bytes, p + (c + w) * bytes, n);
                dims_at(&r.keep, 1, t / tiles, &in0, &out0);
                red_store(&r, r.out + out0 + c0 * r.keep.out[0], r.keep.out[0], p, n);
            }
            free(part);
            return RT_OK;
        }
        if (width >= COLS && others < threads) {
            int64_t share = (width * others + threads - 1) / threads;
            share = (share + 31) / 32 * 32;
            if (share < COLS / 2) share = COLS / 2;
            if (cols > share) cols = share;
        }
        work = (width + cols - 1) / cols * others;
        if (threads > work) threads = (int)work;
        RT_SHARED(threads, work, t, { red_tile(&r, cols, t, 0, nred, NULL); });
        return RT_OK;
    }
    if (nout == 1 && r.red.n == 1 && nred >= 2 * RED_CHUNK) {
        int64_t chunks = (nred + RED_CHUNK - 1) / RED_CHUNK;
        char *part = malloc((size_t)chunks * 16);
        if (!part) return RT_ERR_MEMORY;
        RT_SHARED(threads, chunks, c, {
            int64_t b = c * RED_CHUNK, n = nred - b < RED_CHUNK ? nred - b : RED_CHUNK;
            r.f->init(part + c * 16, 1);
            red_run1d(&r, part + c * 16, r.in + b * r.red.in[0], r.red.in[0], n);
        });
        for (int64_t w = 1; w < chunks; w *= 2)
            for (int64_t c = 0; c + w < chunks; c += 2 * w) r.f->comb(part + c * 16, part + (c + w) * 16, 1);
        red_store(&r, r.out, 16, part, 1);
        free(part);
        return RT_OK;
    }
    if (threads > nout) threads = (int)nout;
    if (r.keep.n == 1 && r.red.n == 1 && r.red.in[0] == r.in_size && r.keep.in[0] % r.in_size == 0 && nred > 1 &&
        nred * r.in_size <= (r.f->quick == 2 ? 8 * r.in_size : r.in_dtype == acc_dtype ? (r.f->quick ? LINE_BYTES / 2 : LINE_BYTES) - 1 : SHORT_BYTES) &&
        nout >= 16) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
        for (int t = 0; t < threads; t++) red_short(&r, nout * t / threads, nout * (t + 1) / threads);
        return RT_OK;
    }
    if (threads <= 1) { red_inner(&r, 0, nout); return RT_OK; }
    int pieces = r.red.n > 1 ? 4 : 8;                     /* of a thread; rows that are read together should be many where the next ones lie far off */
    int64_t each = (nout + pieces * threads - 1) / (pieces * threads);
    RT_SHARED(threads, (nout + each - 1) / each, i, { red_inner(&r, i * each, nout - i * each < each ? nout : (i + 1) * each); });
    return RT_OK;
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
