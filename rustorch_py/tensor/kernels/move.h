/* Copies of many bytes.
 *
 * Note [Page aliases]
 * Long copies of glibc's memcpy are one `rep movsb` where the CPU calls that fast (above 2112 here). AMD's Zen 3 and 4 do it at
 * 4 to 20 GB/s in place of 50 to 100 where the destination is a little above the source modulo a page (4 ... 500 bytes) and not a
 * whole number of 32 bytes: `roll` of a row by a few elements, rows of odd lengths, slices. Such copies are made by vectors here,
 * from the end: going forwards every load would lie just above a store that is under way a page or more off, and all CPUs with
 * `rep movsb` compare the low twelve bits first. For the same reason shorter copies go from the end where the destination is less than
 * a register's 32 bytes above: half of the time (rows of 600 to 2000 bytes; further above or below there is nothing in it). */
#ifndef RUSTORCH_MOVE_H
#define RUSTORCH_MOVE_H
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#ifdef __AVX__
#define RT_MOVE 32
#else
#define RT_MOVE 16
#endif
typedef long long rt_move __attribute__((vector_size(RT_MOVE), aligned(1), may_alias));
static __attribute__((noinline, unused)) void rt_copy_backwards(char *dst, const char *src, size_t n) {     /* n >= RT_MOVE */
    rt_move first = *(const rt_move *)src;
    *(rt_move *)(dst + n - RT_MOVE) = *(const rt_move *)(src + n - RT_MOVE);
    n -= ((uintptr_t)dst + n) & (RT_MOVE - 1);                  /* whole lines are written */
    for (; n >= 4 * RT_MOVE; n -= 4 * RT_MOVE) {
        const rt_move *s = (const rt_move *)(src + n) - 4;
        rt_move *d = (rt_move *)(dst + n) - 4, v0 = s[0], v1 = s[1], v2 = s[2], v3 = s[3];
        d[3] = v3; d[2] = v2; d[1] = v1; d[0] = v0;
    }
    for (; n >= RT_MOVE; n -= RT_MOVE) ((rt_move *)(dst + n))[-1] = ((const rt_move *)(src + n))[-1];
    *(rt_move *)dst = first;
}
static inline void rt_copy_bytes(void *dst, const void *src, size_t n) {
    size_t ahead = ((uintptr_t)dst - (uintptr_t)src) & 4095;
    if (n > 2112 ? ahead < 512 && ahead % 32 : ahead - 1 < 31 && n >= 256) rt_copy_backwards((char *)dst, (const char *)src, n);
    else memcpy(dst, src, n);
}
#else
static inline void rt_copy_bytes(void *dst, const void *src, size_t n) { memcpy(dst, src, n); }
#endif
/* Rows of an image and the like: of up to some hundred bytes, which a call of memcpy takes as long as to copy. The last piece
 * lies partly over the one before it. */
static inline void rt_copy_few(void *dst, const void *src, size_t n) {
    char *d = (char *)dst;
    const char *s = (const char *)src;
    size_t i = 0;
#define RT_TWICE(B) do { memcpy(d, s, B); memcpy(d + n - (B), s + n - (B), B); } while (0)
    if (n > 512) rt_copy_bytes(dst, src, n);
    else if (n >= 32) {
        for (; i + 32 <= n; i += 32) memcpy(d + i, s + i, 32);
        if (i < n) memcpy(d + n - 32, s + n - 32, 32);
    }
    else if (n >= 16) RT_TWICE(16);
    else if (n >= 8) RT_TWICE(8);
    else if (n >= 4) RT_TWICE(4);
    else for (; i < n; i++) d[i] = s[i];
#undef RT_TWICE
}
#endif
