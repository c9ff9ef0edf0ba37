#ifndef RT_EW_COMMON_H
#define RT_EW_COMMON_H
#include "rustorch/math.h"
#include "_gen/rt_rows.h"
#if defined(__clang__)
#define RT_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#define RT_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
/* operands are either the very same elements or disjoint: an exact overlap carries no dependence */
#define RT_IVDEP _Pragma("GCC ivdep")
#define RT_ROLLED _Pragma("GCC unroll 1")
#else
#define RT_IVDEP
#define RT_ROLLED
#endif

/* In a loop that is to stay scalar: its vector form would be text and no faster. */
#if defined(__GNUC__)
#define RT_SCALAR __asm__ volatile ("")
#else
#define RT_SCALAR
#endif

/* Operands that are not dense are copied to (and the result from) blocks of so many elements. */
#define RT_STAGE 512
static void rt_move(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n, int size) {
    switch (size) {
#define RT_MOVE(B, T) case B: for (int64_t i = 0; i < n; i++) *(T *)(dst + i * ds) = *(const T *)(src + i * ss); break;
    RT_MOVE(1, uint8_t) RT_MOVE(2, uint16_t) RT_MOVE(4, uint32_t) RT_MOVE(8, uint64_t)
#undef RT_MOVE
    }
}
#endif
