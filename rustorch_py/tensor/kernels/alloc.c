/* Caching host allocator. Blocks are 64-byte aligned and come in size classes: multiples of 64 up to
 * 1 KiB, then eight classes a doubling. A freed block goes to its class's list and is handed out
 * again without touching the system, so a fresh result does not fault its pages in anew.
 * One spin lock guards the lists: uncontended it costs a few ns, and kernels may allocate work
 * space without the GIL. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#include "cpu.h"

#define NCLASSES 400
#define SMALL 1024
#define KEEP_MAX ((int64_t)4 << 30)      /* cached bytes beyond this go back to the system */

typedef struct Block { struct Block *next; } Block;
static Block *lists[NCLASSES];
static atomic_flag lock = ATOMIC_FLAG_INIT;
static RtPoolStats stats;
static int pool_on = 1;

static inline void take(void) { while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) {} }
static inline void give(void) { atomic_flag_clear_explicit(&lock, memory_order_release); }

/* class index and its block size */
static inline int size_class(size_t n, size_t *size) {
    if (n <= SMALL) {
        size_t c = (n + 63) / 64;
        if (c == 0) c = 1;
        *size = c * 64;
        return (int)c;
    }
    int e = 63 - __builtin_clzll((unsigned long long)(n - 1));   /* 2^e < n <= 2^(e+1), e >= 10 */
    size_t step = (size_t)1 << (e - 3);
    size_t k = (n - ((size_t)1 << e) + step - 1) / step;         /* 1..8 */
    *size = ((size_t)1 << e) + k * step;
    return 16 + (e - 10) * 8 + (int)k;
}

void *rt_alloc(size_t nbytes, size_t *got) {
    size_t size;
    if (nbytes > ((size_t)1 << 56)) return NULL;
    int c = size_class(nbytes, &size);
    take();
    Block *b = pool_on ? lists[c] : NULL;
    stats.allocs++;
    if (b) { lists[c] = b->next; stats.hits++; stats.cached -= (int64_t)size; }
    else stats.misses++;
    stats.in_use += (int64_t)size;
    if (stats.in_use > stats.in_use_peak) stats.in_use_peak = stats.in_use;
    give();
    *got = size;
    if (b) return b;
    void *p = NULL;
    size_t align = size >= ((size_t)2 << 20) ? (size_t)2 << 20 : 64;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (posix_memalign(&p, align, size) == 0) break;
        p = NULL;
        rt_pool_trim();                                          /* give the cache back, then try once more */
    }
    if (!p) { take(); stats.in_use -= (int64_t)size; give(); return NULL; }
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= ((size_t)2 << 20)) madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

void rt_free(void *p, size_t got) {
    if (!p) return;
    size_t size;
    int c = size_class(got, &size);
    take();
    stats.frees++;
    stats.in_use -= (int64_t)got;
    int keep = pool_on && stats.cached + (int64_t)size <= KEEP_MAX;
    if (keep) { ((Block *)p)->next = lists[c]; lists[c] = p; stats.cached += (int64_t)size; }
    give();
    if (!keep) free(p);
}

void rt_pool_trim(void) {
    take();
    for (int c = 0; c < NCLASSES; c++)
        while (lists[c]) { Block *b = lists[c]; lists[c] = b->next; free(b); }
    stats.cached = 0;
    give();
}

void rt_pool_enable(int on) { take(); pool_on = on; give(); if (!on) rt_pool_trim(); }
int rt_pool_enabled(void) { return pool_on; }
void rt_pool_stats(RtPoolStats *out) { take(); *out = stats; give(); }
void rt_pool_reset_peak(void) { take(); stats.in_use_peak = stats.in_use; give(); }
