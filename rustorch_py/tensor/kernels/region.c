/* Parallel regions: what GCC's OpenMP pragmas call, over a crew of the package's own.
 *
 * Note [Regions]
 * A region of n threads is n numbers: the body's share of the work follows from the number that it is told. The thread that
 * meets the region (the leader) runs number 0, crew members claim the others as they wake, and a leader that is through
 * runs what is unclaimed itself. So a member that is late, asleep, or whose core another process holds costs nothing: libgomp
 * waits for each of its threads in every region, which took some 500 us here where a sum took 80. A body with barriers
 * cannot end before all of its numbers run, and none is then left to claim.
 *   Members spin for a while between regions (GOMP_SPINCOUNT, OMP_WAIT_POLICY as libgomp has them; rustorch_py/__init__.py), but
 * neither beyond the cores there are, nor on the core of the thread that they wait for, which could not go on.
 *   A region inside a region runs on its thread, and so does one of a single thread, without any of this. Regions of several Python
 * threads have a crew each.
 *   Every module with kernels links these definitions for itself, hidden; the crews are the process's: a symbol of the type
 * that the loader binds once, however modules are opened (STB_GNU_UNIQUE; where a C library lacks it each module has
 * crews of its own). Constructs that are not defined here (single, sections, tasks, guided loops) would ask libgomp, which knows nothing
 * of these threads: tests/tensor/test_threads.py looks for them. Elsewhere (other systems, other compilers) OpenMP's own runtime serves. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "pause.h"

#define LOCAL __attribute__((visibility("hidden")))
#define CREWS 8              /* leaders beyond these compute alone */
#define MOST 1024            /* threads of a crew */
#define LOOPS 8              /* loops of a region that one thread may be ahead of another */
#define LATE 1500            /* pauses, some 20 us: a member that has not come by then waits for a core */

/* A loop whose iterations are dealt out: its place among the region's loops, iterations, those taken, threads through with it. */
typedef struct { uint64_t place; int64_t count, taken; long start, step, chunk; uint32_t left; } Loop;
typedef struct { uint32_t value, asleep; char apart[120]; } Word;           /* what threads wait for, and how many of them sleep */
typedef struct {
    uint32_t busy;
    int n, members;          /* numbers of this region; threads there are beside the leader */
    int core, begun;         /* the leader's; loops that the region begins with, 0 or 1 */
    void (*body)(void *);
    void *data;
    char apart[96];
    uint64_t ticket;         /* region << 32 | numbers << 16 | next number to claim */
    char apart2[120];
    Word region, done, barrier;
    uint32_t arrived, dealing;
    Loop loops[LOOPS];
    int16_t cores[MOST];     /* where each number runs, -1: nowhere now */
} Crew;
typedef struct {
    int ready;
    pthread_key_t key;       /* -> Member, NULL outside of regions */
    int64_t spins;
    int cores;
    uint32_t led;            /* crews at work */
    Crew crew[CREWS];
} Crews;
typedef struct {
    Crew *crew;              /* NULL: alone */
    int me;
    uint64_t loops;          /* loops begun */
    Loop *loop;
} Member;

#define STORE 65536
__asm__(".pushsection .bss.rt_crews_1,\"aw\",%nobits\n"
        ".balign 128\n"
        ".globl rt_crews_1\n"
        ".type rt_crews_1,%gnu_unique_object\n"
        ".size rt_crews_1,65536\n"
        "rt_crews_1: .zero 65536\n"
        ".popsection\n");
extern __attribute__((visibility("default"))) Crews rt_crews_1;
_Static_assert(sizeof(Crews) <= STORE, "the crews' room");
#define ALL rt_crews_1

#define GET(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define GET_ORDERED(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define PUT(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)
#define ADD(x, v) __atomic_fetch_add(&(x), (v), __ATOMIC_SEQ_CST)

static void after_fork(void) { memset(ALL.crew, 0, sizeof ALL.crew); ALL.led = 0; }          /* the members did not come along */

__attribute__((constructor)) static void begin(void) {
    if (ALL.ready) return;                            /* constructors run under the loader's lock */
    cpu_set_t set;
    const char *policy = getenv("OMP_WAIT_POLICY"), *count = getenv("GOMP_SPINCOUNT");
    ALL.cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    ALL.spins = !policy ? 300000 : *policy == 'a' || *policy == 'A' ? INT64_MAX : 0;
    if (count && *count >= '0' && *count <= '9') ALL.spins = atoll(count);
    else if (count && (*count == 'i' || *count == 'I')) ALL.spins = INT64_MAX;
    if (pthread_key_create(&ALL.key, NULL)) return;
    pthread_atfork(NULL, NULL, after_fork);
    ALL.ready = 1;
}
static inline Member *self(void) { return pthread_getspecific(ALL.key); }

static void sleep_while(Word *w, uint32_t old) { syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0); }
static void wake(Word *w, int threads) { if (GET_ORDERED(w->asleep)) syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0); }

static inline int unclaimed(uint64_t ticket) { return (ticket & 0xffff) < (ticket >> 16 & 0xffff); }
static int claim(Crew *c) {
    uint64_t ticket = GET_ORDERED(c->ticket);
    while (unclaimed(ticket))
        if (__atomic_compare_exchange_n(&c->ticket, &ticket, ticket + 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return (int)(ticket & 0xffff);
    return -1;
}

/* Whether number `me` waits in vain: another number is on its core, or one that nobody has claimed is late. */
static int in_vain(Crew *c, int me, int64_t spun) {
    int core = sched_getcpu();
    if (spun >= LATE && unclaimed(GET(c->ticket))) return 1;
    for (int i = 0; i < c->n; i++) if (i != me && __atomic_load_n(&c->cores[i], __ATOMIC_RELAXED) == core) return 1;
    return 0;
}
static void wait_while(Crew *c, Word *w, uint32_t old, int me) {
    int64_t spins = c->n > ALL.cores || __atomic_load_n(&ALL.led, __ATOMIC_RELAXED) > 1 ? 100 : ALL.spins;
    for (int64_t i = 0; i < spins && ((i & 63) || !in_vain(c, me, i)); i++) {
        if (GET(w->value) != old) return;
        PAUSE();
    }
    ADD(w->asleep, 1);
    while (GET_ORDERED(w->value) == old) sleep_while(w, old);
    ADD(w->asleep, -1);
}

static void run(Crew *c, int me) {
    Member member = {c, me, c->begun, c->begun ? &c->loops[1] : NULL};
    pthread_setspecific(ALL.key, &member);
    c->body(c->data);
    pthread_setspecific(ALL.key, NULL);
}

/* Leave the leader's core, where the system likes to put a thread that the leader has woken: two threads on one core are of no use.
 * allowed: what the member may use at all; own: what it has set last (another set is the user's: it counts). */
static void make_way(Crew *c, cpu_set_t *allowed, cpu_set_t *own) {
    cpu_set_t set;
    int core = __atomic_load_n(&c->core, __ATOMIC_RELAXED);
    if (core != sched_getcpu() || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set)) return;
    if (!CPU_EQUAL(&set, own)) *allowed = set;
    set = *allowed;
    CPU_CLR(core, &set);
    if (CPU_COUNT(&set) && sched_setaffinity(0, sizeof set, &set) == 0) *own = set;
}

/* A member's life: numbers as they come up. */
static void *serve(void *arg) {
    Crew *c = arg;
    cpu_set_t allowed, own;
    CPU_ZERO(&own);
    for (int64_t i = 0;; i++) {
        if (unclaimed(GET(c->ticket))) make_way(c, &allowed, &own);
        int me = claim(c);
        if (me >= 0) {
            __atomic_store_n(&c->cores[me], (int16_t)sched_getcpu(), __ATOMIC_RELAXED);
            run(c, me);
            __atomic_store_n(&c->cores[me], -1, __ATOMIC_RELAXED);
            ADD(c->done.value, 1);                    /* from here on the leader may begin another region */
            wake(&c->done, 1);
            i = -1;
            continue;
        }
        int64_t spins = ALL.spins && __atomic_load_n(&ALL.led, __ATOMIC_RELAXED) > 1 ? 100 : ALL.spins;
        if (i < spins && ((i & 63) || sched_getcpu() != __atomic_load_n(&c->core, __ATOMIC_RELAXED))) { PAUSE(); continue; }
        ADD(c->region.asleep, 1);
        uint32_t seen = GET_ORDERED(c->region.value);
        if (!unclaimed(GET_ORDERED(c->ticket))) sleep_while(&c->region, seen);
        ADD(c->region.asleep, -1);
        i = -1;
    }
    return NULL;
}
/* Bring the crew to `members` members; returns how many it has. */
static int recruit(Crew *c, int members) {
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    if (c->members >= members || pthread_attr_init(&attr)) return c->members;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);                                 /* signals are the program's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (c->members < members && pthread_create(&thread, &attr, serve, c) == 0) c->members++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return c->members;
}

static void lead(void (*body)(void *), void *data, unsigned threads, const Loop *first) {
    Loop whole = first ? *first : (Loop){0};
    Member inside = {NULL, 0, 0, &whole}, *outside = self();
    Crew *c = NULL;
    int n = threads < MOST ? (int)threads : MOST;
    for (int i = 0; i < CREWS && n > 1 && !outside && !c && ALL.ready; i++)
        if (!__atomic_exchange_n(&ALL.crew[i].busy, 1, __ATOMIC_ACQUIRE)) c = &ALL.crew[i];
    if (c && (n = recruit(c, n - 1) + 1 < n ? c->members + 1 : n) < 2) { PUT(c->busy, 0); c = NULL; }
    if (!c) {
        pthread_setspecific(ALL.key, &inside);
        body(data);
        pthread_setspecific(ALL.key, outside);
        return;
    }
    c->n = n;
    c->begun = first != NULL;
    c->body = body;
    c->data = data;
    c->done.value = c->arrived = 0;
    __atomic_store_n(&c->core, sched_getcpu(), __ATOMIC_RELAXED);
    for (int i = 1; i < n; i++) __atomic_store_n(&c->cores[i], -1, __ATOMIC_RELAXED);
    __atomic_store_n(&c->cores[0], (int16_t)c->core, __ATOMIC_RELAXED);
    for (int i = 0; i < LOOPS; i++) { c->loops[i].place = 0; c->loops[i].left = (uint32_t)n; }
    if (first) c->loops[1] = *first;
    ADD(ALL.led, 1);
    __atomic_store_n(&c->ticket, ((GET(c->ticket) >> 32) + 1) << 32 | (uint64_t)n << 16 | 1, __ATOMIC_SEQ_CST);
    ADD(c->region.value, 1);
    wake(&c->region, n - 1);
    uint32_t others = (uint32_t)n - 1, finished;
    int me = 0;
    do {
        run(c, me);
        others -= me > 0;
    } while ((me = claim(c)) > 0);
    while ((finished = GET(c->done.value)) != others) wait_while(c, &c->done, finished, 0);
    ADD(ALL.led, -1);
    PUT(c->busy, 0);
}

/* Whether a member waits for the next region without sleeping: Note [Grain] in grain.h. */
LOCAL int rt_crew_awake(void) {
    Crew *c = &ALL.crew[0];
    return c->members > 0 && !__atomic_load_n(&c->busy, __ATOMIC_RELAXED) && !__atomic_load_n(&c->region.asleep, __ATOMIC_RELAXED);
}

/* Whether a loop that is small for several threads should have them: they are awake, or this is the last of RUN such loops that
 * followed each other within GAP. */
#define RUN 4
#define GAP 100000           /* ns: about as long as members spin */
LOCAL int rt_crew_wanted(void) {
    static int64_t last;
    static int run;
    if (rt_crew_awake()) return 1;
    if (!ALL.spins || __atomic_load_n(&ALL.crew[0].busy, __ATOMIC_RELAXED)) return 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = now.tv_sec * 1000000000LL + now.tv_nsec, gap = ns - __atomic_exchange_n(&last, ns, __ATOMIC_RELAXED);
    int n = gap < GAP ? __atomic_load_n(&run, __ATOMIC_RELAXED) + 1 : 1;
    __atomic_store_n(&run, n < RUN ? n : 0, __ATOMIC_RELAXED);
    return n >= RUN;
}

LOCAL void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags) {
    (void)flags;                                      /* proc_bind, which nothing here uses */
    if (threads == 1 && !self()) body(data);
    else lead(body, data, threads ? threads : (unsigned)omp_get_max_threads(), NULL);
}

LOCAL void GOMP_barrier(void) {
    Member *m = self();
    if (!m || !m->crew) return;
    Crew *c = m->crew;
    uint32_t old = GET(c->barrier.value);
    __atomic_store_n(&c->cores[m->me], (int16_t)sched_getcpu(), __ATOMIC_RELAXED);
    if (ADD(c->arrived, 1) + 1 == (uint32_t)c->n) {
        PUT(c->arrived, 0);
        ADD(c->barrier.value, 1);
        wake(&c->barrier, INT_MAX);
    } else wait_while(c, &c->barrier, old, m->me);
}

/* ---- loops dealt out by chunks ---- */
static Loop loop_of(long start, long end, long step, long chunk) {
    int64_t count = step > 0 ? (end > start ? (end - start + step - 1) / step : 0) : (end < start ? (end - start + step + 1) / step : 0);
    return (Loop){0, count, 0, start, step, chunk > 0 ? chunk : 1, 0};
}
LOCAL bool GOMP_loop_nonmonotonic_dynamic_next(long *from, long *to) {
    Member *m = self();
    if (!m || !m->loop) return false;                 /* the start gave all there is */
    Loop *l = m->loop;
    int64_t i = __atomic_fetch_add(&l->taken, l->chunk, __ATOMIC_RELAXED);
    if (i >= l->count) { __atomic_fetch_add(&l->left, 1, __ATOMIC_RELEASE); return false; }
    *from = l->start + i * l->step;
    *to = l->start + (l->count - i < l->chunk ? l->count : i + l->chunk) * l->step;
    return true;
}
LOCAL bool GOMP_loop_nonmonotonic_dynamic_start(long start, long end, long step, long chunk, long *from, long *to) {
    Member *m = self();
    Loop fresh = loop_of(start, end, step, chunk);
    if (!m || !m->crew) {
        if (m) m->loop = NULL;
        *from = start; *to = end;
        return fresh.count > 0;
    }
    Crew *c = m->crew;
    Loop *l = m->loop = &c->loops[++m->loops % LOOPS];
    for (int64_t i = 1; GET(l->place) != m->loops; i++) {
        if (__atomic_exchange_n(&c->dealing, 1, __ATOMIC_ACQUIRE) == 0) {
            int mine = GET(l->place) != m->loops && GET(l->left) == (uint32_t)c->n;        /* all are through with the loop before it here */
            if (mine) {
                l->count = fresh.count; l->start = fresh.start; l->step = fresh.step; l->chunk = fresh.chunk;
                l->taken = 0;
                l->left = 0;
                PUT(l->place, m->loops);
            }
            PUT(c->dealing, 0);
            if (mine) break;
        }
        if ((i & 63) == 0) sched_yield(); else PAUSE();
    }
    return GOMP_loop_nonmonotonic_dynamic_next(from, to);
}
LOCAL void GOMP_loop_end_nowait(void) {}
LOCAL void GOMP_loop_end(void) { GOMP_barrier(); }
LOCAL void GOMP_parallel_loop_nonmonotonic_dynamic(void (*body)(void *), void *data, unsigned threads, long start, long end, long step, long chunk,
                                                   unsigned flags) {
    (void)flags;
    Loop first = loop_of(start, end, step, chunk);
    first.place = 1;
    lead(body, data, threads ? threads : (unsigned)omp_get_max_threads(), &first);
}
/* the same under the names of compilers before GCC 9 */
LOCAL bool GOMP_loop_dynamic_start(long a, long b, long c, long d, long *e, long *f) { return GOMP_loop_nonmonotonic_dynamic_start(a, b, c, d, e, f); }
LOCAL bool GOMP_loop_dynamic_next(long *a, long *b) { return GOMP_loop_nonmonotonic_dynamic_next(a, b); }
LOCAL void GOMP_parallel_loop_dynamic(void (*a)(void *), void *b, unsigned c, long d, long e, long f, long g, unsigned h) {
    GOMP_parallel_loop_nonmonotonic_dynamic(a, b, c, d, e, f, g, h);
}

LOCAL int omp_get_thread_num(void) { Member *m = self(); return m ? m->me : 0; }
LOCAL int omp_get_num_threads(void) { Member *m = self(); return m && m->crew ? m->crew->n : 1; }
LOCAL int omp_in_parallel(void) { return self() != NULL; }
#else
typedef int rt_no_region;
#endif
