/* Running combinations along lanes. A lane is cut in chunks, one block each; where there are several, blocks first combine theirs
 * (totals), one block a lane runs over those (carry), and each chunk begins with what is before it. Short lanes, and many that lie
 * side by side, are walked by one thread each (walk).
 * n: lanes, elements of a lane, lanes that lie side by side (inner), backwards, elements of a chunk, chunks of a lane. */
#ifndef RUSTORCH_CUDA_SCAN_H
#define RUSTORCH_CUDA_SCAN_H
#include "block.h"
#define RT_SCAN_EACH 4
/* elements [from, to) of one block, behind `carry`; load(l) gives a value, store(l, all up to it) takes one */
template <class A, class Op, class Load, class Store>
RT_INLINE void rt_scan_run(int64_t from, int64_t to, A carry, A none, Op op, Load load, Store store) {
    for (int64_t start = from; start < to; start += (int64_t)blockDim.x * RT_SCAN_EACH) {
        const int64_t base = start + (int64_t)threadIdx.x * RT_SCAN_EACH;
        A v[RT_SCAN_EACH], before, total;
        for (int j = 0; j < RT_SCAN_EACH; j++) {
            v[j] = base + j < to ? load(base + j) : none;
            if (j) v[j] = op(v[j - 1], v[j]);
        }
        rt_block_scan(v[RT_SCAN_EACH - 1], op, none, &before, &total);
        before = op(carry, before);
        for (int j = 0; j < RT_SCAN_EACH; j++)
            if (base + j < to) store(base + j, op(before, v[j]));
        carry = op(carry, total);
    }
}
template <class A, class Op, class Load> RT_INLINE A rt_scan_total(int64_t from, int64_t to, A none, Op op, Load load) {
    A v = none;
    for (int64_t l = from + threadIdx.x; l < to; l += blockDim.x) v = op(v, load(l));
    return rt_block_reduce(v, op, none);
}
/* where element l of a lane is */
struct RtScanLane {
    int64_t base, step;
    inline int64_t at(int64_t l) const { return base + l * step; }
};
RT_INLINE RtScanLane rt_scan_lane(const RtCall &a, int64_t lane) {
    const int64_t L = a.n[1], inner = a.n[2], outer = lane / inner, base = outer * L * inner + lane % inner;
    return a.n[3] ? RtScanLane{base + (L - 1) * inner, -inner} : RtScanLane{base, inner};
}

/* the four kernels of an operator; p: out, x, totals of the chunks (of the type to compute in) or NULL */
#define RT_SCAN_KERNELS(WALK, TOTALS, CARRY, CHUNKS, STEP, NONE)                                                     \
    RT_KERNEL(WALK, RtCall) {                                                                                        \
        const auto op = STEP;                                                                                        \
        RT_EACH(lane, a.n[0]) {                                                                                      \
            const RtScanLane s = rt_scan_lane(a, lane);                                                              \
            T_C sum = NONE;                                                                                          \
            for (int64_t l = 0; l < a.n[1]; l++) {                                                                   \
                sum = op(sum, T_GET(((const T *)a.p[1])[s.at(l)]));                                                  \
                ((T *)a.p[0])[s.at(l)] = T_PUT(sum);                                                                 \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    RT_KERNEL(TOTALS, RtCall) {                                                                                      \
        const int64_t lane = blockIdx.x / a.n[5], from = blockIdx.x % a.n[5] * a.n[4], end = from + a.n[4];          \
        const RtScanLane s = rt_scan_lane(a, lane);                                                                  \
        const T_C all = rt_scan_total(from, end < a.n[1] ? end : a.n[1], NONE, STEP,                                 \
                                      [&](int64_t l) -> T_C { return T_GET(((const T *)a.p[1])[s.at(l)]); });        \
        if (threadIdx.x == 0) ((T_C *)a.p[2])[blockIdx.x] = all;                                                     \
    }                                                                                                                \
    RT_KERNEL(CARRY, RtCall) {                                                                                       \
        T_C *part = (T_C *)a.p[2] + blockIdx.x * a.n[5];                                                             \
        rt_scan_run((int64_t)0, a.n[5], NONE, NONE, STEP, [&](int64_t c) -> T_C { return part[c]; },                 \
                    [&](int64_t c, T_C v) { part[c] = v; });                                                         \
    }                                                                                                                \
    RT_KERNEL(CHUNKS, RtCall) {                                                                                      \
        const int64_t lane = blockIdx.x / a.n[5], c = blockIdx.x % a.n[5], from = c * a.n[4], end = from + a.n[4];   \
        const RtScanLane s = rt_scan_lane(a, lane);                                                                  \
        rt_scan_run(from, end < a.n[1] ? end : a.n[1], c ? ((const T_C *)a.p[2])[blockIdx.x - 1] : NONE, NONE, STEP, \
                    [&](int64_t l) -> T_C { return T_GET(((const T *)a.p[1])[s.at(l)]); },                           \
                    [&](int64_t l, T_C v) { ((T *)a.p[0])[s.at(l)] = T_PUT(v); });                                   \
    }
#endif
