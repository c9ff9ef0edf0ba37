// types: T = u8 i8 i16 i32 i64 f16 bf16 f32
/* Lines of LENGTH elements, INNER apart: places of extremes, running sums and products. */
enum { LINES, LENGTH, INNER, LANES, LEAST, PRODUCTS, BACKWARDS };

struct Best { T_C v; int64_t at; };
/* a NaN first, then what is larger (or smaller), then what comes first; at < 0: nothing */
RT_INLINE bool comes_first(Best p, Best q, bool least) {
    if (q.at < 0) return true;
    if (p.at < 0) return false;
    if (p.v != p.v || q.v != q.v) return p.v != p.v && (q.v == q.v || p.at < q.at);
    return p.v == q.v ? p.at < q.at : least ? p.v < q.v : p.v > q.v;
}

kernel void RT_NAME(arg_extreme)(device int64_t *index [[buffer(0)]], device const T *x [[buffer(1)]], constant RtMetalCall &a [[buffer(3)]],
                                 uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(Best, part, 256);
    const uint lanes = (uint)a.n[LANES], lane = me % lanes;
    const int64_t line = (int64_t)group.x * (256 / lanes) + me / lanes, n = line < a.n[LINES] ? a.n[LENGTH] : 0, inner = a.n[INNER];
    const int64_t at = n ? rt_line_start(line, n, inner) : 0;
    Best best;
    best.v = (T_C)0;
    best.at = -1;
    for (int64_t i = lane; i < n; i += lanes) {
        Best one;
        one.v = T_GET(x[at + i * inner]);
        one.at = i;
        if (comes_first(one, best, a.n[LEAST])) best = one;
    }
    part[me] = best;
    for (uint by = lanes / 2; by; by /= 2) {
        RT_SYNC();
        if (lane < by && comes_first(part[me + by], part[me], a.n[LEAST])) part[me] = part[me + by];
    }
    if (lane == 0 && line < a.n[LINES]) index[line] = part[me].at;
}

/* a thread a line */
kernel void RT_NAME(scan)(device T *y [[buffer(0)]], device const T *x [[buffer(1)]], constant RtMetalCall &a [[buffer(3)]], uint at [[thread_position_in_grid]]) {
    const int64_t inner = a.n[INNER], n = a.n[LENGTH];
    if (at >= a.n[LINES]) return;
    const int64_t from = rt_line_start(at, n, inner);
    T_C all = a.n[PRODUCTS] ? (T_C)1 : (T_C)0;
    for (int64_t k = 0; k < n; k++) {
        const int64_t i = from + (a.n[BACKWARDS] ? n - 1 - k : k) * inner;
        all = a.n[PRODUCTS] ? (T_C)(all * T_GET(x[i])) : (T_C)(all + T_GET(x[i]));
        y[i] = T_PUT(all);
    }
}
