/* How threads share out the pieces of a loop.
 *
 * Note [Shares]
 * Each thread has its own run of pieces and takes them from the front, so that what it wrote last is still in its cache when the
 * next loop reads it; when it is through it goes on with what the others have left. A thread that wakes late, or whose core another
 * process holds, then costs the others one piece and not half of the loop.
 *   A loop that is mostly memory (RT_SHARED_AT_HOME) leaves the last pieces of a run to its own thread where there are many: it was not late,
 * merely second, and a piece that another core had the time before comes from that core's caches (1e6 of 8 or 16 bits: up to half of the
 * time; float32 a twentieth, on two cores of a Zen 4 with one last cache or two). */
#ifndef RUSTORCH_SHARE_H
#define RUSTORCH_SHARE_H
#include <stdint.h>

#define RT_SHARES 64                        /* threads beyond these have no run of their own */
typedef struct { int64_t next, end; char apart[112]; } RtShare;     /* two cache lines: neighbours are fetched in pairs */

static inline int rt_share_out(RtShare *shares, int threads, int64_t pieces) {
    int n = threads < RT_SHARES ? threads : RT_SHARES;
    for (int t = 0; t < n; t++) { shares[t].next = pieces * t / n; shares[t].end = pieces * (t + 1) / n; }
    return n;
}
/* The next piece for thread `me`, -1 when none is left; *passed counts the runs found empty, 0 at first. leave: pieces of a run that others
 * leave to its thread, which must be there. */
static inline int64_t rt_share_take(RtShare *shares, int n, int me, int *passed, int64_t leave) {
    for (; *passed < n; ++*passed) {
        RtShare *s = &shares[(me + *passed) % n];
        if (*passed && leave && __atomic_load_n(&s->next, __ATOMIC_RELAXED) + leave >= s->end) continue;
        int64_t piece = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
        if (piece < s->end) return piece;
    }
    return -1;
}
static inline int64_t rt_share_next(RtShare *shares, int n, int me, int *passed) { return rt_share_take(shares, n, me, passed, 0); }
#ifdef _OPENMP
#include <omp.h>
#define RT_ME omp_get_thread_num()
#define RT_THERE omp_get_num_threads()
#else
#define RT_ME 0
#define RT_THERE 1
#endif
/* for (piece of [0, pieces)) { ... }, by `threads` threads */
#define RT_SHARED(threads, pieces, piece, ...) RT_SHARED_BUT(threads, pieces, 0, piece, __VA_ARGS__)
#define RT_SHARED_AT_HOME(threads, pieces, piece, ...) RT_SHARED_BUT(threads, pieces, rt_share_home(pieces, threads), piece, __VA_ARGS__)
static inline int rt_share_home(int64_t pieces, int threads) { return pieces >= 16 * threads ? 2 : pieces >= 4 * threads; }
#define RT_SHARED_BUT(threads, pieces, leave, piece, ...)                                           \
    do {                                                                                            \
        RtShare shares_[RT_SHARES];                                                                 \
        int n_ = rt_share_out(shares_, threads, pieces);                                            \
        RT_OMP(omp parallel num_threads(threads))                                                   \
        for (int me_ = RT_ME, passed_ = 0, leave_ = RT_THERE >= n_ ? leave : 0;;) {                 \
            int64_t piece = rt_share_take(shares_, n_, me_, &passed_, leave_);                      \
            if (piece < 0) break;                                                                   \
            __VA_ARGS__                                                                             \
        }                                                                                           \
    } while (0)
#endif
