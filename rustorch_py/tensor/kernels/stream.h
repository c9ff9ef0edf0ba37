/* Stores that go past the caches.
 *
 * Note [Past the caches]
 * A store to a line that no cache holds reads the line first, and has it written back later. Where a loop's arrays are larger than the last
 * cache, nothing of the result stays there, and a third (x + y) to a half (relu, fill) of the traffic is saved by storing whole lines
 * straight to memory: relu of 3e7 5.0 for 7.0 ms, x + y 8.7 for 10.8 (two cores of a Zen 4). A result that is also an operand has been read
 * anyway. How large the last cache is, the system says. */
#ifndef RUSTORCH_STREAM_H
#define RUSTORCH_STREAM_H
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#if defined(__linux__)
#include <unistd.h>
#endif
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define RT_LINE 64                       /* bytes of a cache line */

/* Bytes of the last cache that this processor's cores share. sysconf alone would not do: glibc gives the sum of all such caches of an AMD
 * socket (320 MiB where a core sees 32). Where nobody tells, a common size. */
static inline int64_t rt_last_cache(void) {
    static int64_t kept;
    int64_t n = __atomic_load_n(&kept, __ATOMIC_RELAXED);
    if (n) return n;
#if defined(__linux__)
    for (int i = 0; i < 8; i++) {                     /* index 0 and 1: the first level's two, then up */
        char name[64], unit = 0;
        long size = 0;
        snprintf(name, sizeof name, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *f = fopen(name, "re");
        if (!f) break;
        if (fscanf(f, "%ld%c", &size, &unit) >= 1) n = (int64_t)size << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
        fclose(f);
    }
#endif
#if defined(_SC_LEVEL3_CACHE_SIZE)
    if (n <= 0) n = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    if (n <= 0) n = (int64_t)32 << 20;
    __atomic_store_n(&kept, n, __ATOMIC_RELAXED);
    return n;
}
#if defined(__SSE2__)
#define RT_STREAMS 1
static inline void rt_stream_end(void) { _mm_sfence(); }
/* n bytes, whole lines, to the start of a line */
static inline void rt_stream_lines(char *to, const char *from, int64_t n) {
    for (int64_t i = 0; i < n; i += RT_LINE)
        for (int k = 0; k < RT_LINE; k += 16) _mm_stream_si128((__m128i *)(to + i + k), _mm_loadu_si128((const __m128i *)(from + i + k)));
}
/* n bytes to anywhere; step 0: the same `size` bytes over and over (to is a multiple of them) */
static inline void rt_stream(char *to, const char *from, int64_t n, int64_t step, int size) {
    char pattern[RT_LINE];
    int64_t head = -(int64_t)(uintptr_t)to & (RT_LINE - 1);
    if (head > n) head = n;
    int64_t whole = (n - head) / RT_LINE * RT_LINE;
    if (step) {
        memcpy(to, from, (size_t)head);
        rt_stream_lines(to + head, from + head, whole);
        memcpy(to + head + whole, from + head + whole, (size_t)(n - head - whole));
        return;
    }
    for (int k = 0; k < RT_LINE; k += size) memcpy(pattern + k, from, (size_t)size);
    memcpy(to, pattern, (size_t)head);
    for (int64_t i = head; i < head + whole; i += RT_LINE) rt_stream_lines(to + i, pattern, RT_LINE);
    memcpy(to + head + whole, pattern, (size_t)(n - head - whole));
}
#else
#define RT_STREAMS 0
static inline void rt_stream_end(void) {}
static inline void rt_stream_lines(char *to, const char *from, int64_t n) { memcpy(to, from, (size_t)n); }
static inline void rt_stream(char *to, const char *from, int64_t n, int64_t step, int size) {
    if (step) memcpy(to, from, (size_t)n);
    else for (int64_t i = 0; i < n; i += size) memcpy(to + i, from, (size_t)size);
}
#endif
#endif
