/* Recurrent layers, forward and gradient; once per instruction set.
 *
 * Note [One region a sequence]
 * The steps of all sequences are one region. Sequences are independent, so where the hidden weights are small each thread (a group
 * of one) takes some of them through all steps without meeting the others. Larger weights would not stay in the cache of a core:
 * a group of several members shares the units then, each keeps its part of the weights at hand, and the members meet after each step.
 *   Work is cut into phases of pieces (a step's panels of units). A member takes the pieces of its own share, then what others have not
 * begun: one that is late, or whose core is held by another process, costs no more than the piece it is at. Who does a piece does not
 * change its sums, so results do not depend on threads. Every second step goes through a share from its end: what was read last is still near.
 *   A panel holds the columns of all gates of the same few units, so that the gate arithmetic runs on sums that are still in the
 * first cache. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")              /* a product's sum may be fused: fewer roundings */
#elif defined(__clang__)
#pragma clang fp contract(fast)
#endif
#include <sched.h>
#include <string.h>
#include "rustorch/math.h"
#include "recurrent.h"
#include "panel.h"
#include "pause.h"
#include "vmath.h"
#ifdef _OPENMP
#include <omp.h>
#define RT_ME omp_get_thread_num()
#define RT_CREW omp_get_num_threads()
#else
#define RT_ME 0
#define RT_CREW 1
#endif

#define MAX_THREADS 256
#define WEIGHTS_OF_ONE (896 << 10)               /* bytes of hidden weights that a core keeps beside all else: less is gained by sharing units than meeting costs */
#define ROWS_OF_ONE 4                            /* rows that hide what it takes to bring a register of weights from the second cache */
#define STEP_OF_ONE 30000                        /* multiply-adds of a step for which a member meets the others: some 0.6 us, twice what meeting costs */
#define STEP_HANDED 16000                        /* the same where states are handed over: Note [Handed states] */
#define BUNCH 4                                  /* panels of few rows whose gates follow the products of them all: each waits for nothing but itself */
#define BUNCH_ROWS 8
#define ROWS_AT_ONCE 48                          /* their sums stay in the first cache */
#define BESIDE 128                               /* rows of a panel that the gates of another one come between */
#define RT_STEP_DEEP 256                         /* rows of a panel of one register that fill half of a first cache of 32 KiB */
#define PATIENCE 24                              /* pauses */

/* ---- who does what ---- */
typedef struct { uint64_t at; char apart[120]; } Word;            /* phase << 32 | pieces of the share that are taken */
typedef struct {
    int size, groups, members;                   /* size: groups * members */
    Word done[MAX_THREADS + 1], taken[2 * MAX_THREADS];           /* pieces done in all phases, of each group and of the whole team */
} Team;
typedef struct {
    Word *done, *taken;
    int group, me, members, tried, back;         /* back: shares are taken from their ends */
    uint64_t phase, through, mine;               /* pieces done when this phase is through; those of them that this thread did and has not told */
    int64_t pieces;
} Turn;

static inline int64_t rows_of(const RtScan *s) {
    int64_t rows = 0;
    for (int64_t t = 0; t < s->S; t++) rows += s->sizes[t];
    return rows;
}
static inline int64_t step_at(const RtScan *s, int64_t i) { return s->reverse ? s->S - 1 - i : i; }
static inline int64_t rows_at(const RtScan *s, int64_t t, int64_t from, int64_t to) {
    int64_t m = (s->sizes[t] < to ? s->sizes[t] : to) - from;
    return m < 0 ? 0 : m;
}

/* Number of groups and members, and the order of their work. Before a gradient s->team and s->members are what forward took. */
static int make_team(Team *team, RtScan *s, int64_t bytes, int64_t pieces) {
    int64_t weights = rt_scan_gates(s->mode) * s->H * s->P, threads = s->threads < MAX_THREADS ? s->threads : MAX_THREADS;
    if (!s->team) {
        s->team = s->members = 1;
        if (threads < 1 || (double)rows_of(s) * (double)weights < 400000) threads = 1;
        for (int64_t g = threads < s->N ? threads : s->N; g > 0; g--) {
            int64_t members = threads / g < pieces ? threads / g : pieces;
            int few = !s->w_hr && s->N <= g * BUNCH_ROWS && s->sizes[s->S - 1] == s->N;
            if (members > 1 && (double)s->N * (double)weights / (double)(g * members) < (few ? STEP_HANDED : STEP_OF_ONE)) break;
            s->team = (int)g;
            s->members = (int)members;
            if (weights * bytes / members <= WEIGHTS_OF_ONE && s->N / g >= ROWS_OF_ONE) break;
        }
    }
    team->groups = s->team;
    team->members = s->members;
    team->size = team->groups * team->members;
    for (int i = 0; i <= team->groups; i++) team->done[i].at = 0;
    for (int i = 0; i < team->size; i++) team->taken[i].at = team->taken[MAX_THREADS + i].at = 0;
    return team->groups;
}
static inline Turn join_all(Team *team, int part) {
    return (Turn){&team->done[team->groups], &team->taken[MAX_THREADS], 0, part, team->size, 0, 0, 0, 0, 0, 0};
}
static inline Turn join_group(Team *team, int part) {
    int g = part / team->members;
    return (Turn){&team->done[g], &team->taken[g * team->members], g, part % team->members, team->members, 0, 0, 0, 0, 0, 0};
}

static inline void begin(Turn *turn, int64_t pieces) {
    turn->phase++;
    turn->through += (uint64_t)pieces;
    turn->pieces = pieces;
    turn->tried = 0;
    turn->mine = 0;
}
static inline void tell(Turn *turn) {
    if (turn->mine) __atomic_fetch_add(&turn->done->at, turn->mine, __ATOMIC_ACQ_REL);
    turn->mine = 0;
}
/* Whether the others end what they have within a microsecond: to look at their shares would take lines from them that they write to. */
static inline int patient(Turn *turn) {
    tell(turn);
    for (int i = 0; i < PATIENCE; i++) {
        if (__atomic_load_n(&turn->done->at, __ATOMIC_ACQUIRE) >= turn->through) return 1;
        PAUSE();
    }
    return 0;
}
/* A piece of this phase that nobody has begun, of the share of the k-th member from this one on; -1: there is none. */
static inline int64_t take(const Turn *turn, int k) {
    int64_t whose = (turn->me + k) % turn->members, from = whose * turn->pieces / turn->members;
    uint64_t *at = &turn->taken[whose].at, old = __atomic_load_n(at, __ATOMIC_RELAXED), now = turn->phase << 32, next;
    uint64_t count = (uint64_t)((whose + 1) * turn->pieces / turn->members - from);
    do next = old < now ? 0 : old - now;                           /* a later phase has begun: beyond all counts */
    while (next < count && !__atomic_compare_exchange_n(at, &old, now + next + 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return next < count ? from + (int64_t)(turn->back ? count - 1 - next : next) : -1;
}
/* A piece of this phase, this member's own share first. -1: there is none, and all are done. */
static int64_t piece(Turn *turn) {
    if (turn->members == 1) {
        int64_t i = (int64_t)turn->mine;
        if (i >= turn->pieces) return -1;
        turn->mine++;
        return turn->back ? turn->pieces - 1 - i : i;
    }
    for (; turn->tried < turn->members; turn->tried++) {
        if (turn->tried == 1 && patient(turn)) return -1;
        int64_t p = take(turn, turn->tried);
        if (p < 0) continue;
        turn->mine++;
        return p;
    }
    tell(turn);
    for (int64_t i = 1; __atomic_load_n(&turn->done->at, __ATOMIC_ACQUIRE) < turn->through; i++)
        if ((i & 63) == 0) sched_yield();
        else PAUSE();
    return -1;
}

/* Note [Handed states]
 * Where a step is a microsecond's work, meeting costs as much: a member that counts its pieces in a word and then reads what the others wrote waits for a
 * line four times, one after the other (their new state, twice the word, the state again), and a line takes 0.1 us between neighbouring cores and half of one
 * between distant ones. So each line of a new state says itself which step it belongs to: its last word, written after the others, as processors with a total
 * order of stores show it at once with them. All lines are looked at together; the one wait is for those. There are two sets of lines, by turns: who writes the
 * state of step i + 2 over that of step i has the whole of i + 1, so nobody has to read i. A member that comes late sees later steps, finds their pieces taken
 * and goes on. */
typedef union { char bytes[64]; uint32_t words[16]; } Parcel;
#define PARCEL_STEP 15

/* Whether the parcels hold the state of one step: 0: not yet, -1: they hold later ones. */
static inline int have_come(const Parcel *parcels, int64_t count, uint32_t step) {
    uint32_t differ = 0;
    int late = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t is = __atomic_load_n(&parcels[i].words[PARCEL_STEP], __ATOMIC_ACQUIRE);
        differ |= is ^ step;
        late |= (int32_t)(is - step) > 0;
    }
    return late ? -1 : !differ;
}

/* Some of the lines of each row of a matrix. */
typedef struct { const char *at; int64_t row, count; int write; } Lines;      /* the first of them; from row to row, in bytes; whether they will be written to */

/* Ask for a line. One that will be written to is asked for this core alone: other threads read it last (the gradient of the gates, for the product with the
 * input), and writing to a shared line waits for them a second time (LSTM 256, cores with no cache in common: a tenth of the backward steps). */
static inline void ask(const char *at, int write) {
#if defined(__x86_64__)
    if (write) { __asm__ volatile("prefetchw %0" : : "m"(*at)); return; }          /* where it is not known it does nothing */
#endif
    __builtin_prefetch(at, 0, 2);
    (void)write;
}

/* bounds: the sequences of each group, so that all have about the same number of rows */
static void share_out(const RtScan *s, int64_t *bounds, int groups) {
    int64_t rows = rows_of(s), done = 0, n = 0, t = s->S;
    bounds[0] = 0;
    for (int k = 1; k < groups; k++) {
        while (n < s->N - (groups - k) && done * groups < rows * k) {
            while (t > 0 && s->sizes[t - 1] <= n) t--;   /* sequence n has t steps: sizes never grow */
            done += t;
            n++;
        }
        bounds[k] = n;
    }
    bounds[groups] = s->N;
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

const RtRecurrentTable RT_NAME(rt_recurrent_table) = {scan_work_f32, scan_work_f64, scan_f32, scan_f64, scan_d0_f32, scan_d0_f64,
                                                        scan_packed_f32, scan_packed_f64, scan_pack_f32, scan_pack_f64};
