// types: T = b8 ints floats; K = 0 1
// each kernel alone
/* Largest (K = 0) and smallest (1) elements of lanes and where they are: running (cummax), and of whole lanes (argmax, max).
 * A NaN beats numbers. Of equals the last one wins when running, the first one of whole lanes. Lanes as in scan.h. */
#include "scan.h"
struct Best { T_C v; int64_t at; };                 /* at < 0: none yet */
RT_INLINE bool RT_NAME(above)(T_C x, T_C y) {
#if K == 0
    return x > y;
#else
    return x < y;
#endif
}
/* does y win over x? last: of equals the one with the larger place */
RT_INLINE Best RT_NAME(better)(Best x, Best y, bool last) {
    if (x.at < 0 || y.at < 0) return x.at < 0 ? y : x;
    const bool nx = x.v != x.v, ny = y.v != y.v;
    if (nx != ny) return ny ? y : x;
    if (!nx && x.v != y.v) return RT_NAME(above)(y.v, x.v) ? y : x;
    return (y.at > x.at) == last ? y : x;
}
#define RT_LAST [](Best x, Best y) -> Best { return RT_NAME(better)(x, y, true); }
#define RT_FIRST [](Best x, Best y) -> Best { return RT_NAME(better)(x, y, false); }
#define RT_LOAD(l) (Best{T_GET(((const T *)a.p[1])[s.at(l)]), l})

/* ---- running. p: values, x, places of the chunks' bests, indices ---- */
RT_KERNEL(RT_NAME(walk), RtCall) {
    RT_EACH(lane, a.n[0]) {
        const RtScanLane s = rt_scan_lane(a, lane);
        Best best = {(T_C)0, -1};
        for (int64_t l = 0; l < a.n[1]; l++) {
            best = RT_NAME(better)(best, RT_LOAD(l), true);
            ((T *)a.p[0])[s.at(l)] = T_PUT(best.v);
            ((int64_t *)a.p[3])[s.at(l)] = best.at;
        }
    }
}
RT_KERNEL(RT_NAME(totals), RtCall) {
    const int64_t lane = blockIdx.x / a.n[5], from = blockIdx.x % a.n[5] * a.n[4], end = from + a.n[4];
    const RtScanLane s = rt_scan_lane(a, lane);
    const Best best = rt_scan_total(from, end < a.n[1] ? end : a.n[1], Best{(T_C)0, -1}, RT_LAST, [&](int64_t l) -> Best { return RT_LOAD(l); });
    if (threadIdx.x == 0) ((int64_t *)a.p[2])[blockIdx.x] = best.at;
}
RT_KERNEL(RT_NAME(carry), RtCall) {
    int64_t *part = (int64_t *)a.p[2] + blockIdx.x * a.n[5];
    const RtScanLane s = rt_scan_lane(a, blockIdx.x);
    const Best none = {(T_C)0, -1};
    rt_scan_run((int64_t)0, a.n[5], none, none, RT_LAST, [&](int64_t c) -> Best { return RT_LOAD(part[c]); }, [&](int64_t c, Best v) { part[c] = v.at; });
}
RT_KERNEL(RT_NAME(chunks), RtCall) {
    const int64_t lane = blockIdx.x / a.n[5], c = blockIdx.x % a.n[5], from = c * a.n[4], end = from + a.n[4];
    const RtScanLane s = rt_scan_lane(a, lane);
    const Best none = {(T_C)0, -1};
    const Best before = c ? RT_LOAD(((const int64_t *)a.p[2])[blockIdx.x - 1]) : none;
    rt_scan_run(from, end < a.n[1] ? end : a.n[1], before, none, RT_LAST, [&](int64_t l) -> Best { return RT_LOAD(l); },
                [&](int64_t l, Best v) { ((T *)a.p[0])[s.at(l)] = T_PUT(v.v); ((int64_t *)a.p[3])[s.at(l)] = v.at; });
}

/* ---- of whole lanes. p: places (an int64 a lane), x, places of the chunks' bests ---- */
RT_KERNEL(RT_NAME(arg_walk), RtCall) {              /* a thread a lane */
    RT_EACH(lane, a.n[0]) {
        const RtScanLane s = rt_scan_lane(a, lane);
        Best best = {(T_C)0, -1};
        for (int64_t l = 0; l < a.n[1]; l++) best = RT_NAME(better)(best, RT_LOAD(l), false);
        ((int64_t *)a.p[0])[lane] = best.at;
    }
}
RT_KERNEL(RT_NAME(arg_warp), RtCall) {              /* a warp a lane */
    const int64_t lane = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / RT_WARP;
    Best best = {(T_C)0, -1};
    if (lane < a.n[0]) {
        const RtScanLane s = rt_scan_lane(a, lane);
        for (int64_t l = rt_lane(); l < a.n[1]; l += RT_WARP) best = RT_NAME(better)(best, RT_LOAD(l), false);
    }
    best = rt_warp_reduce(best, RT_FIRST);
    if (lane < a.n[0] && rt_lane() == 0) ((int64_t *)a.p[0])[lane] = best.at;
}
RT_KERNEL(RT_NAME(arg_chunks), RtCall) {            /* a block a chunk; p[2]: places of chunks to choose among, or NULL */
    const int64_t lane = blockIdx.x / a.n[5], from = blockIdx.x % a.n[5] * a.n[4], end = from + a.n[4], L = a.n[6];
    const RtScanLane s = rt_scan_lane(a, lane);
    const int64_t *list = a.p[2] ? (const int64_t *)a.p[2] + lane * L : 0;
    const Best best = rt_scan_total(from, end < L ? end : L, Best{(T_C)0, -1}, RT_FIRST,
                                    [&](int64_t l) -> Best { const int64_t at = list ? list[l] : l; return RT_LOAD(at); });
    if (threadIdx.x == 0) ((int64_t *)a.p[0])[blockIdx.x] = best.at;
}
#undef RT_LAST
#undef RT_FIRST
#undef RT_LOAD
