#ifndef RT_EW_COMMON_H
#define RT_EW_COMMON_H
#include "rustorch/math.h"
#include "_gen/rt_rows.h"
#if defined(__clang__)
#define RT_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
/* operands are either the very same elements or disjoint: an exact overlap carries no dependence */
#define RT_IVDEP _Pragma("GCC ivdep")
#else
#define RT_IVDEP
#endif

/* Operands that are not dense are copied to (and the result from) blocks on the stack, where `fn` finds them dense. */
#define RT_STAGE 512
static void rt_move(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n, int size) {
    switch (size) {
#define RT_MOVE(B, T) case B: for (int64_t i = 0; i < n; i++) *(T *)(dst + i * ds) = *(const T *)(src + i * ss); break;
    RT_MOVE(1, uint8_t) RT_MOVE(2, uint16_t) RT_MOVE(4, uint32_t) RT_MOVE(8, uint64_t)
#undef RT_MOVE
    }
}
static void rt_staged(RtLoop fn, char **p, const int64_t *s, int64_t n, const double *k, int nargs, const uint8_t *size) {
    char buffer[RT_MAX_ARGS][RT_STAGE * 8] __attribute__((aligned(64)));
    char *q[RT_MAX_ARGS];
    int64_t dense[RT_MAX_ARGS];
    for (int a = 0; a < nargs; a++) {
        dense[a] = size[a];
        if (a && s[a] == 0) rt_move(buffer[a], size[a], p[a], 0, n < RT_STAGE ? n : RT_STAGE, size[a]);
    }
    for (int64_t b = 0; b < n; b += RT_STAGE) {
        int64_t m = n - b < RT_STAGE ? n - b : RT_STAGE;
        for (int a = 0; a < nargs; a++) {
            q[a] = s[a] == size[a] ? p[a] + b * size[a] : buffer[a];
            if (a && s[a] != size[a] && s[a] != 0) rt_move(buffer[a], size[a], p[a] + b * s[a], s[a], m, size[a]);
        }
        fn(q, dense, m, k);
        if (s[0] != size[0]) rt_move(p[0] + b * s[0], s[0], buffer[0], size[0], m, size[0]);
    }
}
#endif
