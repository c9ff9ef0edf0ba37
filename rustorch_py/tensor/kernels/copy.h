/* Copies of one dtype, two dimensions at a time; by log2 of the element's size. Steps count bytes. */
#ifndef RT_COPY_H
#define RT_COPY_H
#include <string.h>
#include "rustorch/loops.h"
#define RT_BLOCK_MAX 32
#define RT_SPREAD_MAX 128
typedef struct {
    /* m rows of n elements */
    void (*rows)(char *dst, int64_t ds0, int64_t ds1, const char *src, int64_t ss0, int64_t ss1, int64_t m, int64_t n);
    /* dst[i * ds + j] = src[j * ss + i] for i < m, j < n: dense rows of both, crosswise */
    void (*turn)(char *dst, int64_t ds, const char *src, int64_t ss, int64_t m, int64_t n);
    /* m rows of n times the same element, side by side; n elements are RT_SPREAD_MAX bytes at most, and as many behind the last row may be written */
    void (*spread)(char *dst, const char *src, int64_t step, int64_t m, int64_t n);
    /* m blocks of RT_BLOCK_MAX bytes at most, side by side in dst, `step` bytes apart in src (any sign) */
    void (*blocks)(char *dst, const char *src, int64_t step, int64_t bytes, int64_t m);
} RtCopyFns;

const RtCopyFns *rt_cpu_copy_fns(int64_t size);        /* cpu.c: of elements of `size` bytes, for the instruction set in force */
#endif
