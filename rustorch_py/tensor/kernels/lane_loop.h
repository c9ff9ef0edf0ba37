/* How lane kernels walk x_oli: whole lanes when inner == 1, blocks of columns otherwise. */
#ifndef RUSTORCH_LANE_LOOP_H
#define RUSTORCH_LANE_LOOP_H
#include "lane.h"
#define RT_LANE_BLOCK 128                 /* columns done together; their accumulators stay in L1 */
#define RT_LANE_GRAIN 32768               /* elements below which threads cost more than they give */

/* Calls body(o, i0, i1): a lane at a time (i1 == i0 + 1) when inner == 1, else blocks of columns. */
#define RT_LANE_FOR(s, threads, ...)                                                            \
    do {                                                                                        \
        int64_t nb_ = ((s).inner + RT_LANE_BLOCK - 1) / RT_LANE_BLOCK, jobs_ = (s).outer * nb_; \
        int par_ = (threads) > 1 && jobs_ > 1 && jobs_ * (s).L * ((s).inner < RT_LANE_BLOCK ? (s).inner : RT_LANE_BLOCK) > RT_LANE_GRAIN; \
        (void)par_;                                                                             \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (par_))                \
        for (int64_t job_ = 0; job_ < jobs_; job_++) {                                          \
            int64_t o = job_ / nb_, i0 = (job_ % nb_) * RT_LANE_BLOCK;                          \
            int64_t i1 = i0 + RT_LANE_BLOCK < (s).inner ? i0 + RT_LANE_BLOCK : (s).inner;       \
            (void)o; (void)i0; (void)i1;                                                        \
            __VA_ARGS__                                                                         \
        }                                                                                       \
    } while (0)
#endif
