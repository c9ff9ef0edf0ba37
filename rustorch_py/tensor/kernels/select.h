/* Compressing by a byte mask of zeros and ones, a check of indices, sums of slabs; one table an instruction set. */
#ifndef RT_SELECT_H
#define RT_SELECT_H
#include "rustorch/loops.h"
/* dst[j * ds + doff] op= src[j * ss + soff]; one of the two offsets comes from a table. off NULL: plain strided row. mul: bytes for one unit of off. */
typedef void (*RtIndexRow)(char *dst, int64_t ds, const char *src, int64_t ss, const int64_t *off, int64_t os, int64_t mul, int64_t n);
typedef struct {
    /* src where mask is 1, by log2 of the element's size; room: how many there are */
    void (*take[5])(const uint8_t *mask, int64_t n, const void *src, void *out, int64_t room);
    void (*positions)(const uint8_t *mask, int64_t n, int64_t base, int64_t *out, int64_t room);
    /* rows [r0, r1) of a mask of `shape` (nd >= 2): nd numbers an element */
    void (*coordinates)(const uint8_t *mask, int64_t r0, int64_t r1, int nd, const int64_t *shape, int64_t *out, int64_t step, int64_t room);
    int (*outside)(const int64_t *ix, int64_t n, int64_t low, int64_t last);     /* is one of them outside [low, last]? */
    void (*add_f32)(char *dst, const char *src, int64_t n), (*add_f64)(char *dst, const char *src, int64_t n),
         (*add_bf16)(char *dst, const char *src, int64_t n), (*add_f16)(char *dst, const char *src, int64_t n);
    RtIndexRow by_index_f16[4], by_index_bf16[4];                                 /* add, mul, max, min */
} RtSelectFns;
const RtSelectFns *rt_select_table(int level);

/* Counts before each piece of `piece` bytes go to before[0 .. pieces]; returns the whole count. */
int64_t rt_mask_counts(const uint8_t *mask, int64_t n, int64_t piece, int64_t *before, int threads);
void rt_mask_take(int level, int itemsize, const uint8_t *mask, int64_t n, int64_t piece, const int64_t *before, const void *src, void *out, int threads);
void rt_mask_positions(int level, const uint8_t *mask, int64_t n, int64_t piece, const int64_t *before, int64_t *out, int threads);
/* piece must be a multiple of the last size */
void rt_mask_coordinates(int level, const uint8_t *mask, int nd, const int64_t *shape, int64_t piece, const int64_t *before, int64_t *out, int threads);
#endif
