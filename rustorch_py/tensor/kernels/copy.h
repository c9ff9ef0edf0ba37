/* Copies of one dtype, two dimensions at a time; by log2 of the element's size. Steps count bytes. */
#ifndef RT_COPY_H
#define RT_COPY_H
#include <string.h>
#include "rustorch/loops.h"
typedef struct {
    /* m rows of n elements */
    void (*rows)(char *dst, int64_t ds0, int64_t ds1, const char *src, int64_t ss0, int64_t ss1, int64_t m, int64_t n);
    /* dst[i * ds + j] = src[j * ss + i] for i < m, j < n: dense rows of both, crosswise */
    void (*turn)(char *dst, int64_t ds, const char *src, int64_t ss, int64_t m, int64_t n);
} RtCopyFns;

const RtCopyFns *rt_cpu_copy_fns(int64_t size);        /* cpu.c: of elements of `size` bytes, for the instruction set in force */
#endif
