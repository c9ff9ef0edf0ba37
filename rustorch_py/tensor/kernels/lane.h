/* Kernels along one dimension. A tensor is seen as x_oli: `outer` blocks of `L` rows of `inner`
 * contiguous elements; the lane (o, i) is x_oli[o, :, i]. All arrays are contiguous; result arrays
 * have 1, k or L in place of L. Index arrays are int64. 16-bit floats come as float32 unless a
 * kernel says that it takes every dtype. */
#ifndef RUSTORCH_LANE_H
#define RUSTORCH_LANE_H
#include "rustorch/loops.h"

typedef struct { int64_t outer, L, inner; } RtLane;

/* ---- vector kernels, one table an instruction set; indexed by dtype, NULL where not taken ---- */
typedef void (*RtArgReduce)(const void *x_oli, RtLane s, int want_min, void *val_oi, int64_t *idx_oi, int threads);
typedef void (*RtExtremes)(const void *x, int64_t n, void *low, void *high, int threads);      /* of n elements, which are dense */
typedef struct { RtArgReduce arg[RT_NDTYPES]; RtExtremes both[RT_NDTYPES]; } RtArgTable;

/* sum of squared deviations / divisor and mean; either result may be NULL. Sums run in double. */
typedef void (*RtMoments)(const void *x_oli, RtLane s, double divisor, int take_sqrt, void *var_oi, void *mean_oi, int threads);
typedef struct { RtMoments moments[RT_NDTYPES]; } RtStatsTable;

enum { RT_SCAN_SUM = 0, RT_SCAN_PROD = 1, RT_SCAN_LOGSUMEXP = 2, RT_NSCANS = 3 };
typedef void (*RtScan)(const void *x_oli, RtLane s, int reverse, void *out_oli, int threads);
typedef void (*RtScanArg)(const void *x_oli, RtLane s, int want_min, void *val_oli, int64_t *idx_oli, int threads);
typedef struct { RtScan scan[RT_NSCANS][RT_NDTYPES]; RtScanArg extreme[RT_NDTYPES]; } RtScanTable;

#define RT_LANE_EXTERN(type, name) extern const type name##_base, name##_avx2, name##_avx512
RT_LANE_EXTERN(RtArgTable, rt_arg_table);
RT_LANE_EXTERN(RtStatsTable, rt_stats_table);
RT_LANE_EXTERN(RtScanTable, rt_scan_table);
#if defined(__x86_64__)
#define RT_LANE_PICK(name, level) \
    ((level) == RT_ISA_AVX512 ? &name##_avx512 : (level) == RT_ISA_AVX2 ? &name##_avx2 : &name##_base)
#else
#define RT_LANE_PICK(name, level) (&name##_base)
#endif
static inline const RtArgTable *rt_pick_arg(int level) { (void)level; return RT_LANE_PICK(rt_arg_table, level); }
static inline const RtStatsTable *rt_pick_stats(int level) { (void)level; return RT_LANE_PICK(rt_stats_table, level); }
static inline const RtScanTable *rt_pick_scan(int level) { (void)level; return RT_LANE_PICK(rt_scan_table, level); }

/* ---- order.c: every real dtype, NaN is the largest value; 0 or RT_ERR_MEMORY ---- */
/* values_oli: what the places hold, or NULL; level: the instruction set. */
int rt_sort_lanes(int dtype, const void *x_oli, RtLane s, int descending, int64_t *idx_oli, void *values_oli, int level, int threads);
int rt_topk_lanes(int dtype, const void *x_oli, RtLane s, int64_t k, int largest, int sorted, int64_t *idx_oki, int level, int threads);
/* index of the k-th smallest (0-based, in the order of a stable sort) */
enum { RT_SELECT_KTH = 0, RT_SELECT_MEDIAN = 1, RT_SELECT_NANMEDIAN = 2 };
int rt_select_lanes(int dtype, const void *x_oli, RtLane s, int64_t k, int how, int64_t *idx_oi, int threads);
int rt_mode_lanes(int dtype, const void *x_oli, RtLane s, int64_t *idx_oi, int level, int threads);
/* out[o,j,i] = x[o, idx[o,j,i], i], any dtype, by its size in bytes. */
void rt_take_lanes(int itemsize, const void *x_oli, RtLane s, const int64_t *idx_oki, int64_t k, void *out_oki, int threads);
/* out[o, idx[o,j,i], i] = g[o,j,i], zeros elsewhere, any dtype; no place of a lane stands in idx twice. */
void rt_place_lanes(int itemsize, const void *g_oki, int64_t k, const int64_t *idx_oki, RtLane s, void *out_oli, int threads);
/* out[o, idx[o,j,i], i] += g[o,j,i]; out is zeroed here. */
void rt_put_lanes(int dtype, const void *g_oki, int64_t k, const int64_t *idx_oki, RtLane s, void *out_oli, int threads);

/* ---- distinct.c ---- */
/* Where runs of equal items start. An item is `width` elements; order_n NULL means as stored.
 * start_n[0] = 1; NaN differs from NaN. Returns the number of runs. */
int64_t rt_run_starts(int dtype, const void *x_nw, int64_t n, int64_t width, const int64_t *order_n, uint8_t *start_n);
/* From these starts: the first item of each run, each item's run, items a run (each may be NULL). */
void rt_run_tables(const uint8_t *start_n, const int64_t *order_n, int64_t n, int64_t runs, int64_t *first_r, int64_t *inverse_n, int64_t *count_r);
/* The same of sorted whole numbers without sorting them, where they span at most 2 n. begin returns how many differ, or -1 where it is not the way. */
typedef struct { int64_t lo, range; int32_t *first, *count; } RtCensus;
int64_t rt_census_begin(RtCensus *c, int dtype, const void *x_n, int64_t n, int counts);
void rt_census_tables(RtCensus *c, int dtype, const void *x_n, int64_t n, int64_t *first_r, int64_t *inverse_n, int64_t *count_r);
void rt_census_free(RtCensus *c);
/* ---- search.c ---- */
/* Stable lexicographic order of n items of `width` elements. */
int rt_sort_items(int dtype, const void *x_nw, int64_t n, int64_t width, int64_t *order_n);
/* First (right: last) place where v keeps the row sorted. The rows of `seq` are (rows, L), each
 * read through `sorter` if not NULL; v is (rows, m), or seq has one row for all (rows == 1). */
void rt_search_rows(int dtype, const void *seq, const int64_t *sorter, int64_t rows, int64_t L,
                    const void *v, int64_t m, int right, int64_t *out, int threads);
/* out[i] = x[i] is in the sorted array (invert: is not). */
void rt_is_member(int dtype, const void *x, int64_t n, const void *sorted, int64_t m, int invert, uint8_t *out, int threads);
/* Among m bins, whose edges ascend about evenly, that of each element at x[i * step]: cell[i] = cell[i] * m + bin, -1 outside or if it was -1. */
void rt_hist_cells(int dtype, const void *edges, int64_t m, const void *x, int64_t step, int64_t n, int64_t *cell, int threads);
void rt_hist_placed(int dtype, const void *edges, int64_t m, const void *x, int64_t step, int64_t n, const int64_t *place, int64_t *cell);
void rt_hist_counts(int dtype, const int64_t *cell, int64_t n, const void *w, void *counts);         /* counts[cell] += w, or 1 */
/* counts[bin(x)] += 1 in x's dtype (float or double); uniform bins in [lo, hi], values outside are left out. */
void rt_hist_uniform(int dtype, const void *x, int64_t n, double lo, double hi, int64_t bins, void *counts);
/* The largest number (-1 of none), -2 when one is negative. */
int64_t rt_bincount_top(const int64_t *x, int64_t n, int threads);
/* Counts, where all numbers are below RT_FEW_BINS, and the largest of them; else -2. */
#define RT_FEW_BINS 1024
int64_t rt_bincount_few(const int64_t *x, int64_t n, int64_t count[RT_FEW_BINS]);
/* out[x[i]] += w[i], w and out of `dtype` (float or double); w NULL: out is int64 and 1 is added. */
void rt_bincount(const int64_t *x, int64_t n, int dtype, const void *w, void *out);
#endif
