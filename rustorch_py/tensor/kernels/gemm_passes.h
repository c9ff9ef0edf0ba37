/* Products that all threads share: the driver of gemm_pass_t.h, included by gemm.c.
 *
 * Note [Passes or parts]
 * Where each core has a large second cache, as Xeons have had since 2023 (2 MiB), large products by passes are faster than by parts that pack for
 * themselves: two cores of one, mm 1024 8.9 and 10.3 ms, float64 512 2.5 and 2.7, products of 26 million multiply-adds 1.5 times slower.
 * Two Zen 4 cores with 1 MiB each: 10.6 and 9.8 ms. A pass's packed operand lies in the cache of whoever packed it. */
#include <unistd.h>
#include "share.h"

#define PASS_MACS (1LL << 27)              /* of a product that is worth passes, */
#define PASS_CACHE (2LL << 20)             /* ... bytes of the second cache, */
#define PASS_ROWS 192                      /* ... its rows: each meets all of the packed operand, */
#define PASS_DEPTH 64                      /* ... and its sums: shorter ones cost less than packing first and a meeting of all threads, */
#define PASS_TILES 4                       /* ... and the fewest tiles of rows that a thread takes */

/* Multiply-adds from which passes multiply, INT64_MAX: never; set to `most` where it is not negative. */
int64_t rt_gemm_pass_from(int64_t most) {
    static int64_t from = -1;
    int64_t now = __atomic_load_n(&from, __ATOMIC_RELAXED);
    if (most < 0 && now >= 0) return now;
    if (most < 0) {
        long cache = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
        cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
        most = cache >= PASS_CACHE ? PASS_MACS : INT64_MAX;
    }
    __atomic_store_n(&from, most, __ATOMIC_RELAXED);
    return most;
}

/* The right operand of a pass that this thread starts. */
static pthread_key_t pass_key;
static pthread_once_t pass_once = PTHREAD_ONCE_INIT;
static void make_pass_key(void) { pthread_key_create(&pass_key, free); }
static void *pass_room(void) {
    pthread_once(&pass_once, make_pass_key);
    return kept_room(pass_key, RT_PASS_ROOM + RT_PASS_ROOM / RT_PASS_KC);
}

/* Whether passes multiply it: the machine, the sizes and layouts decide, never the threads. */
static int by_passes(const RtGemmTable *t, const RtGemm *g) {
    return (g->dtype == RT_F32 || g->dtype == RT_F64) && t->pass_pack_f32 && g->c_n == 1 && g->m >= PASS_ROWS && g->n >= 64 && g->k >= PASS_DEPTH
           && g->m * g->n * g->k >= rt_gemm_pass_from(-1) && (g->beta[0] == 0 || (g->beta[0] == 1 && !g->bias));
}

/* The next tiles for one thread, -1 when none is left. They go in rounds: three quarters of what is left in equal parts for all threads, so that
 * equally fast ones end together and a slow one leaves its later parts to the others. */
static int64_t next_tiles(int64_t *next, int64_t tiles, int threads, int64_t *to) {
    int64_t from = __atomic_load_n(next, __ATOMIC_RELAXED);
    do {
        if (from >= tiles) return -1;
        int64_t some, round = 0;
        for (;; round += some * threads) {
            some = threads == 1 ? RT_PASS_TILES : min64(RT_PASS_TILES, (tiles - round) * 3 / (4 * threads));
            if (some < PASS_TILES) some = (tiles - round + threads - 1) / threads;
            if (from < round + some * threads) break;
        }
        *to = min64(tiles, from + some);
    } while (!__atomic_compare_exchange_n(next, &from, *to, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return from;
}

/* One product with all threads, Note [Passes] in gemm_pass_t.h. */
static int passes(const RtGemmTable *t, const RtGemm *g, int threads, int64_t z) {
    int size = rt_itemsize(g->dtype), f32 = g->dtype == RT_F32, failed = RT_OK;
    void (*pack)(const RtPass *, int64_t) = f32 ? t->pass_pack_f32 : t->pass_pack_f64;
    void (*rows)(const RtPass *, int64_t, int64_t, void *) = f32 ? t->pass_rows_f32 : t->pass_rows_f64;
    int64_t panel = t->panel_bytes / size, tiles = (g->m + RT_ROWS - 1) / RT_ROWS;
    int64_t width = min64(g->n, RT_NC_BYTES / size), columns = (width + panel - 1) / panel * panel;
    int64_t depth = min64(g->k, RT_PASS_ROOM / (columns * size * RT_PASS_KC) * RT_PASS_KC);
    RtBlock block = {g->m, g->n, g->k, g->a_m, g->a_k, g->b_k, g->b_n, g->c_m, g->a + z * g->a_z * size, g->b + z * g->b_z * size,
                     g->bias, g->c + z * g->c_z * size, g->alpha[0], g->beta[0] != 0, NULL};
    void *room = pass_room();
    if (!room) return RT_ERR_MEMORY;
    for (int64_t col = 0; col < g->n; col += width)
        for (int64_t row = 0; row < g->k && !failed; row += depth) {
            RtPass s = {&block, row, min64(depth, g->k - row), col, min64(width, g->n - col), room};
            int64_t pieces = g->b_n == 1 ? (s.depth + RT_PACKED - 1) / RT_PACKED : (s.depth + RT_PASS_KC - 1) / RT_PASS_KC * ((s.width + panel - 1) / panel);
            int64_t next = 0;
            RtShare shares[RT_SHARES];
            int n = rt_share_out(shares, threads, pieces);
            RT_OMP(omp parallel num_threads(threads))
            {
                int64_t i, to;
                void *left = packed_room();
                if (!left) { RT_OMP(omp atomic write) failed = RT_ERR_MEMORY; }
                for (int passed = 0; (i = rt_share_next(shares, n, RT_ME, &passed)) >= 0;) pack(&s, i);
                RT_OMP(omp barrier)
                while (left && (i = next_tiles(&next, tiles, threads, &to)) >= 0) {
                    rows(&s, i, to, left);
                    if (g->act < 0 || row + depth < g->k) continue;
                    int64_t r = g->m * i / tiles;
                    int status = activate(g, block.c + (r * g->c_m + col) * size, g->m * to / tiles - r, s.width);
                    if (status) { RT_OMP(omp atomic write) failed = status; }
                }
            }
        }
    return failed;
}

