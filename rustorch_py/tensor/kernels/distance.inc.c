/* Note [Distances]
 * Lanes of a register are rows of b: a panel of them is turned, dimension by dimension, and each row of a passes over it. So a short row fills
 * registers as well as a long one, no register is summed across, and results lie side by side. Sums run in the order of the dimensions,
 * in stretches of DEPTH that are added up (the error grows with the stretches, not with the row), without fused arithmetic: the same bits
 * on every instruction set, by any number of threads.
 *   In the gradients lanes are rows of a. Each row's sum is made by one thread, also between the rows of one matrix, where every pair
 * is then looked at twice: cheaper than sums of several threads that meet. */
#include <math.h>
#include <string.h>
#include "distance.h"
#include "grain.h"
#include "share.h"
#include "vec.h"

enum { DEPTH = 128, ROWS = 64, TOGETHER = 4, SOURCES = 64 };

/* A pair's place among those of n rows that are written for i < j. */
static inline int64_t pair_at(int64_t n, int64_t i, int64_t j) { return i * (2 * n - i - 1) / 2 + j - i - 1; }
static int crew(double work, int threads, int64_t pieces) { return rt_few(work, 131072, threads, pieces); }     /* see Note [Grain] */

#define T float
#define ROOT sqrtf
#define V rt_vf
#define MASK rt_vf_mask
#define LANES RT_LANES_F32
#define N(name) rt_vf_##name
#define K(name) distance32_##name
#include "distance_t.h"
#undef T
#undef ROOT
#undef V
#undef MASK
#undef LANES
#undef N
#undef K
#define T double
#define ROOT sqrt
#define V rt_vd
#define MASK rt_vd_mask
#define LANES RT_LANES_F64
#define N(name) rt_vd_##name
#define K(name) distance64_##name
#include "distance_t.h"

const RtDistanceTable RT_NAME(rt_distance_table) = {{distance32_distances, distance64_distances}, {distance32_pull, distance64_pull}};
