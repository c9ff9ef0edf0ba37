/* Distances between rows of two matrices, or between all pairs of rows of one, and the gradients of them. */
#ifndef RUSTORCH_DISTANCE_H
#define RUSTORCH_DISTANCE_H
#include "lane.h"

enum { RT_DIST_COUNT, RT_DIST_ABS, RT_DIST_SQUARE, RT_DIST_MAX };          /* norms of order 0, 1, 2 and infinity */

/* out[i, j] = |a[i, :] - b[j, :]|; b NULL: of a's rows among each other, for i < j alone, one after the other. */
typedef void (*RtDistances)(int kind, const void *a_id, const void *b_jd, int64_t I, int64_t J, int64_t D, void *out_ij, int threads);
/* out[i, :] = sum over j of g[i, j] times the derivative of |a[i, :] - b[j, :]| = d[i, j] by a[i, :]. g and d are read at i * step_i + j * step_j;
 * b NULL: as RtDistances wrote them, the gradient of both rows of each pair. */
typedef void (*RtDistancePull)(int kind, const void *a_id, const void *b_jd, const void *d, const void *g, int64_t I, int64_t J, int64_t D,
                               int64_t step_i, int64_t step_j, void *out_id, int threads);
typedef struct { RtDistances distances[2]; RtDistancePull pull[2]; } RtDistanceTable;         /* of float and of double */
RT_LANE_EXTERN(RtDistanceTable, rt_distance_table);
static inline const RtDistanceTable *rt_pick_distance(int level) { (void)level; return RT_LANE_PICK(rt_distance_table, level); }
#endif
