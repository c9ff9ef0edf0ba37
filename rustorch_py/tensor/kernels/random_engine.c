/* The engine of the random stream and its saved state; see Note [Same numbers as PyTorch] in random.h. */
#include <string.h>
#include "random_engine.h"
#include "grain.h"
#include "pause.h"
#if defined(_WIN32)
#define YIELD() PAUSE()
#else
#include <sched.h>
#define YIELD() sched_yield()
#endif

int rt_random_fused, rt_random_threads = 1;

/* ---- engine: MT19937 ---- */

RT_INLINE uint32_t twist(uint32_t u, uint32_t v) {
    uint32_t y = (u & 0x80000000u) | (v & 0x7fffffffu);
    return (y >> 1) ^ ((0u - (v & 1u)) & 0x9908b0dfu);
}

RT_INLINE uint32_t temper(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

void rt_random_seed(RtRandom *g, uint64_t seed) {
    memset(g, 0, sizeof *g);
    g->seed = seed;
    g->word[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < RT_MT_N; i++)
        g->word[i] = 1812433253u * (g->word[i - 1] ^ (g->word[i - 1] >> 30)) + i;
    g->left = 1;
    g->next = 0;
}

RT_INLINE void next_block_body(uint32_t *w) {
    enum { M = 397 };
    for (int i = 0; i < RT_MT_N - M; i++) w[i] = w[i + M] ^ twist(w[i], w[i + 1]);
    for (int i = RT_MT_N - M; i < RT_MT_N - 1; i++) w[i] = w[i + M - RT_MT_N] ^ twist(w[i], w[i + 1]);
    w[RT_MT_N - 1] = w[M - 1] ^ twist(w[RT_MT_N - 1], w[0]);
}

RT_INLINE void temper_body(uint32_t *restrict dst, const uint32_t *restrict src, int64_t n) {
    for (int64_t i = 0; i < n; i++) dst[i] = temper(src[i]);
}

static void next_block_base(uint32_t *w) { next_block_body(w); }
static void temper_base(uint32_t *dst, const uint32_t *src, int64_t n) { temper_body(dst, src, n); }
#ifdef FUSED
FUSED static void next_block_fused(uint32_t *w) { next_block_body(w); }
FUSED static void temper_fused(uint32_t *dst, const uint32_t *src, int64_t n) { temper_body(dst, src, n); }
#endif

/* Makes the next block. `left` counts one more than the words at hand, so 625 here: callers take
 * at least one word before anybody sees it. */
static void refill(RtRandom *g) {
    PICK(next_block)(g->word);
    g->left = RT_MT_N + 1;
    g->next = 0;
}

uint32_t rt_random_u32(RtRandom *g) {
    if (g->left <= 1) refill(g);
    g->left--;
    return temper(g->word[g->next++]);
}

uint64_t rt_random_u64(RtRandom *g) {
    uint64_t high = rt_random_u32(g);
    return high << 32 | rt_random_u32(g);
}

/* n words in order: as they leave the generator, or as they lie in its blocks, not yet tempered. */
RT_INLINE void take(RtRandom *g, uint32_t *dst, int64_t n, const int tempered) {
    while (n > 0) {
        if (g->left <= 1) refill(g);
        int64_t m = g->left - 1 < n ? g->left - 1 : n;
        if (tempered) PICK(temper)(dst, g->word + g->next, m);
        else memcpy(dst, g->word + g->next, (size_t)m * sizeof *dst);
        g->left -= (int32_t)m;
        g->next += (uint32_t)m;
        dst += m;
        n -= m;
    }
}
void rt_random_words(RtRandom *g, uint32_t *dst, int64_t n) { take(g, dst, n, 1); }

/* ---- state: the record that PyTorch serialises (little-endian machines) ---- */

typedef struct {
    uint64_t seed;
    int32_t  left, seeded;
    uint64_t next;
    uint64_t word[RT_MT_N];
    double   normal_x, normal_y, normal_rho;
    int32_t  normal_valid, pad;
    float    next_float;
    uint8_t  next_float_valid, pad2[3];
} State;

_Static_assert(sizeof(State) == RT_RANDOM_STATE_NBYTES, "layout of the saved random state");

void rt_random_get_state(const RtRandom *g, uint8_t bytes[RT_RANDOM_STATE_NBYTES]) {
    State s;
    memset(&s, 0, sizeof s);
    s.seed = g->seed;
    s.left = g->left;
    s.seeded = 1;
    s.next = g->next;
    for (int i = 0; i < RT_MT_N; i++) s.word[i] = g->word[i];
    if (g->has_normal_f64) { s.normal_valid = 1; s.normal_y = g->normal_f64; }
    if (g->has_normal_f32) { s.next_float_valid = 1; s.next_float = g->normal_f32; }
    memcpy(bytes, &s, sizeof s);
}

int rt_random_set_state(RtRandom *g, const uint8_t bytes[RT_RANDOM_STATE_NBYTES]) {
    State s;
    memcpy(&s, bytes, sizeof s);
    /* left - 1 words must lie at `next`, else drawing would leave the array */
    if (!s.seeded || s.left < 1 || s.left > RT_MT_N || s.next > RT_MT_N
        || (uint64_t)s.left - 1 > RT_MT_N - s.next)
        return -1;
    g->seed = s.seed;
    g->left = s.left;
    g->next = (uint32_t)s.next;
    for (int i = 0; i < RT_MT_N; i++) g->word[i] = (uint32_t)s.word[i];
    g->has_normal_f64 = s.normal_valid != 0;
    g->normal_f64 = s.normal_valid ? s.normal_y : 0.0;
    g->has_normal_f32 = s.next_float_valid != 0;
    g->normal_f32 = s.next_float_valid ? s.next_float : 0.0f;
    return 0;
}

/* ---- pieces ---- */

void rt_random_set_isa(int level, int threads) {
    rt_random_fused = level >= RT_ISA_AVX2;
    rt_random_threads = threads;
}

/* Note [Words in turn]
 * Words come one after another, what is made of them does not. Each thread of the team takes the next stretch of words while it
 * holds a lock, and tempers them and makes its values after it has let go: taking costs 0.1 ns a word, the rest 0.2 to 4 ns. Values
 * do not depend on who takes a stretch, nobody waits for a thread that is late, and there is no barrier: one a stretch took
 * 30 us where its threads slept, six times what the words took. */
#define STRETCH (8 * RT_RANDOM_BLOCK)          /* words */

typedef struct { char held, apart[127]; int64_t next; int rc; } Turn;

static void lock(Turn *t) {
    while (__atomic_exchange_n(&t->held, 1, __ATOMIC_ACQUIRE))
        for (int i = 1; __atomic_load_n(&t->held, __ATOMIC_RELAXED); i++) {
            if (i % 1024) PAUSE();
            else YIELD();                                /* its holder may be without a core */
        }
}
static void unlock(Turn *t) { __atomic_store_n(&t->held, 0, __ATOMIC_RELEASE); }

int rt_random_pieces(RtRandom *g, int64_t n, int per, RtRandomMake make, const void *what) {
    int threads = rt_few((double)n * per, 32768, rt_random_threads, n * per / STRETCH);
    if (threads < 2) {
        uint32_t w[2 * RT_RANDOM_BLOCK];
        int rc = 0;
        for (int64_t i = 0; i < n && !rc; i += RT_RANDOM_BLOCK) {
            int64_t m = n - i < RT_RANDOM_BLOCK ? n - i : RT_RANDOM_BLOCK;
            rt_random_words(g, w, m * per);
            rc = make(what, w, i, m);
        }
        return rc;
    }
    Turn turn = {0};
    RT_OMP(omp parallel num_threads(threads))
    for (;;) {
        uint32_t raw[STRETCH], w[2 * RT_RANDOM_BLOCK];
        lock(&turn);
        int64_t at = turn.next, rest = turn.rc ? 0 : n - at, len = rest < STRETCH / per ? rest : STRETCH / per;
        turn.next += len;
        take(g, raw, len * per, 0);
        unlock(&turn);
        if (!len) break;
        for (int64_t i = 0; i < len; i += RT_RANDOM_BLOCK) {
            int64_t m = len - i < RT_RANDOM_BLOCK ? len - i : RT_RANDOM_BLOCK;
            PICK(temper)(w, raw + i * per, m * per);
            int bad = make(what, w, at + i, m);
            if (!bad) continue;
            lock(&turn);
            turn.rc = bad;
            unlock(&turn);
        }
    }
    return turn.rc;
}
