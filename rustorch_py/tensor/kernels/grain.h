/* How many threads a loop deserves.
 *
 * Note [Grain]
 * Entering a parallel region costs about 1 us while the team still spins after its last one, 5 to 50 us when a thread must be
 * woken, and much more when other processes hold the cores (rustorch_py/__init__.py says how long it spins). A thread is
 * started only for some 20 us of work: grains below are that much of each kernel's own unit, measured on one core of an
 * AVX-512 machine. Small steps (a batch of one, a layer of a hundred units) thus stay on the calling thread.
 *   A loop that makes each element by itself gives the same bits however it is cut. It takes threads that are awake anyway for a
 * quarter of that work: what came before it was shared out between them, and each finds its part in its own core's cache
 * (a sum behind a product of 512 rows by 128: half the time on two cores of one cache, a tenth on two without). Several
 * such loops in a short time are taken for more to come: the next one wakes the threads. */
#ifndef RUSTORCH_GRAIN_H
#define RUSTORCH_GRAIN_H
#include <stdint.h>

#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
__attribute__((visibility("hidden"))) int rt_crew_awake(void), rt_crew_wanted(void);      /* region.c */
#else
static inline int rt_crew_awake(void) { return 0; }
static inline int rt_crew_wanted(void) { return 0; }
#endif
enum { RT_AWAKE = 4 };

/* threads for `work` units of which each thread should have `grain`, split into `tasks` */
static inline int rt_few(double work, double grain, int threads, int64_t tasks) {
    if (work < 2 * grain || threads < 2) return 1;
    if (threads > work / grain) threads = (int)(work / grain);
    return threads > tasks ? (int)(tasks > 0 ? tasks : 1) : threads;
}
#endif
