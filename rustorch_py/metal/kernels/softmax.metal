// types: T = f16 bf16 f32
/* Softmax and losses over lines of N elements, INNER apart: x (outer, N, INNER). LANES threads of a threadgroup of 256 take a line. A line's peak and the
 * sum of its exponentials come from one pass (Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018). */
enum { LINES, N, INNER, LANES, LOGS, IGNORE, EACH, WEIGHTS, KEPT, TOTAL };

/* a line's peak, and the sum of exp(x - peak); an infinite peak stands for 0 there */
struct Peak { float top, sum; };
RT_INLINE float finite(float top) { return top - top == 0 ? top : 0.0f; }
RT_INLINE float moved(Peak p, float to) { return p.sum == 0 ? 0.0f : p.sum * rt_exp_f32(finite(p.top) - to); }
RT_INLINE Peak both(Peak p, Peak q) {
    Peak r;
    r.top = rt_maximum_f32(p.top, q.top);
    r.sum = moved(p, finite(r.top)) + moved(q, finite(r.top));
    return r;
}
RT_INLINE Peak peak_together(threadgroup Peak *part, uint me, uint lane, uint lanes, Peak v) {
    part[me] = v;
    for (uint by = lanes / 2; by; by /= 2) {
        RT_SYNC();
        if (lane < by) part[me] = both(part[me], part[me + by]);
    }
    RT_SYNC();
    return part[me - lane];
}
RT_INLINE float sum_together(threadgroup float *part, uint me, uint lane, uint lanes, float v) {
    RT_SYNC();                                        /* the last call's may still be read */
    part[me] = v;
    for (uint by = lanes / 2; by; by /= 2) {
        RT_SYNC();
        if (lane < by) part[me] = part[me] + part[me + by];
    }
    RT_SYNC();
    return part[me - lane];
}
RT_INLINE Peak peak_of(device const T *x, int64_t n, int64_t inner, uint lane, uint lanes) {
    Peak p = {-INFINITY, 0};
    for (int64_t i = lane; i < n; i += lanes) {
        const float v = T_GET(x[i * inner]), top = rt_maximum_f32(p.top, v), base = finite(top);
        p.sum = (top == p.top ? p.sum : moved(p, base)) + rt_exp_f32(v - base);
        p.top = top;
    }
    return p;
}
RT_INLINE float log_of(Peak p) { return p.sum != p.sum || p.top - p.top == 0 ? p.top + rt_log_f32(p.sum) : p.top; }

kernel void RT_NAME(softmax)(device T *y [[buffer(0)]], device const T *x [[buffer(1)]], constant RtMetalCall &a [[buffer(3)]],
                             uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(Peak, part, 256);
    const uint lanes = (uint)a.n[LANES], lane = me % lanes;
    const int64_t line = (int64_t)group.x * (256 / lanes) + me / lanes, n = line < a.n[LINES] ? a.n[N] : 0, inner = a.n[INNER];
    const int64_t at = n ? rt_line_start(line, n, inner) : 0;
    const Peak p = peak_together(part, me, lane, lanes, peak_of(x + at, n, inner, lane, lanes));
    const float sum = p.sum + (p.top - p.top), share = 1 / sum, log_sum = rt_log_f32(sum);         /* NaN of an infinite peak */
    for (int64_t i = lane; i < n; i += lanes) {
        const float v = T_GET(x[at + i * inner]);
        y[at + i * inner] = T_PUT((a.n[LOGS] ? v - p.top - log_sum : rt_exp_f32(v - p.top) * share));
    }
}

kernel void RT_NAME(softmax_back)(device T *gx [[buffer(0)]], device const T *g [[buffer(1)]], device const T *y [[buffer(2)]], constant RtMetalCall &a [[buffer(4)]],
                                  uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(float, part, 256);
    const uint lanes = (uint)a.n[LANES], lane = me % lanes;
    const int64_t line = (int64_t)group.x * (256 / lanes) + me / lanes, n = line < a.n[LINES] ? a.n[N] : 0, inner = a.n[INNER];
    const int64_t at = n ? rt_line_start(line, n, inner) : 0;
    float sum = 0;
    for (int64_t i = lane; i < n; i += lanes) sum += a.n[LOGS] ? T_GET(g[at + i * inner]) : T_GET(g[at + i * inner]) * T_GET(y[at + i * inner]);
    sum = sum_together(part, me, lane, lanes, sum);
    for (int64_t i = lane; i < n; i += lanes) {
        const float gi = T_GET(g[at + i * inner]), yi = T_GET(y[at + i * inner]);
        gx[at + i * inner] = T_PUT((a.n[LOGS] ? gi - rt_exp_f32(yi) * sum : yi * (gi - sum)));
    }
}

kernel void RT_NAME(logsumexp)(device T *y [[buffer(0)]], device const T *x [[buffer(1)]], constant RtMetalCall &a [[buffer(3)]],
                               uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(Peak, part, 256);
    const uint lanes = (uint)a.n[LANES], lane = me % lanes;
    const int64_t line = (int64_t)group.x * (256 / lanes) + me / lanes, n = line < a.n[LINES] ? a.n[N] : 0;
    const Peak p = peak_together(part, me, lane, lanes, peak_of(x + (n ? rt_line_start(line, n, a.n[INNER]) : 0), n, a.n[INNER], lane, lanes));
    if (lane == 0 && line < a.n[LINES]) y[line] = T_PUT(log_of(p));
}

/* Loss of the class that target names, one a line; share: of the line in a mean; lse: the line's logsumexp, where x holds no logarithms (KEPT). weights
 * where WEIGHTS; k[0]: label smoothing. */
kernel void RT_NAME(class_loss)(device float *loss [[buffer(0)]], device float *share [[buffer(1)]], device float *lse [[buffer(2)]], device const T *x [[buffer(3)]],
                                device const int64_t *target [[buffer(4)]], device const float *w [[buffer(5)]], device int64_t *fault [[buffer(6)]],
                                constant RtMetalCall &a [[buffer(7)]], uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(Peak, part, 256);
    RT_SHARED(float, sums, 256);
    const uint lanes = (uint)a.n[LANES], lane = me % lanes;
    const int64_t line = (int64_t)group.x * (256 / lanes) + me / lanes, n = line < a.n[LINES] ? a.n[N] : 0, inner = a.n[INNER];
    const int64_t at = n ? rt_line_start(line, n, inner) : 0;
    const float smooth = a.k[0];
    float log_sum = 0, all = 0, all_w = 0;
    if (!a.n[LOGS]) log_sum = log_of(peak_together(part, me, lane, lanes, peak_of(x + at, n, inner, lane, lanes)));
    if (smooth > 0) {                                 /* of all classes */
        for (int64_t i = lane; i < n; i += lanes) {
            const float wi = a.n[WEIGHTS] ? w[i] : 1.0f;
            all += T_GET(x[at + i * inner]) * wi;
            all_w += wi;
        }
        all = sum_together(sums, me, lane, lanes, all);
        all_w = sum_together(sums, me, lane, lanes, all_w);
    }
    if (lane || line >= a.n[LINES]) return;
    const int64_t t = target[line];
    float own = 0, part_of = 0;
    if (t != a.n[IGNORE]) {
        if (t < 0 || t >= a.n[N]) rt_report(fault, a.what, t, a.n[N]);
        else {
            part_of = a.n[WEIGHTS] ? w[t] : 1.0f;
            own = (log_sum - T_GET(x[at + t * inner])) * part_of;
            if (smooth > 0) own = (1 - smooth) * own + smooth / (float)a.n[N] * (log_sum * all_w - all);
        }
    }
    loss[line] = own;
    share[line] = part_of;
    if (a.n[KEPT]) lse[line] = log_sum;
}

/* One threadgroup: what the losses of all LINES come to; with TOTAL their mean, and what it was divided by */
kernel void RT_NAME(class_loss_total)(device T *out [[buffer(0)]], device float *total [[buffer(1)]], device const float *loss [[buffer(2)]],
                                      device const float *share [[buffer(3)]], constant RtMetalCall &a [[buffer(5)]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(float, part, 256);
    float sum = 0, shares = 0;
    for (int64_t i = me; i < a.n[LINES]; i += 256) {
        sum += loss[i];
        if (a.n[TOTAL]) shares += share[i];
    }
    sum = sum_together(part, me, me, 256, sum);
    shares = sum_together(part, me, me, 256, shares);
    if (me) return;
    out[0] = T_PUT((a.n[TOTAL] ? sum / shares : sum));
    if (a.n[TOTAL]) total[0] = shares;
}

/* Its gradient: g (scale softmax(x) - (1 - smooth) w[t] [i = t] - smooth / n w[i]), scale such that a line's sum is 0; g one a line: EACH; with TOTAL
 * divided by what a mean was divided by. */
kernel void RT_NAME(class_loss_back)(device T *gx [[buffer(0)]], device const T *x [[buffer(1)]], device const int64_t *target [[buffer(2)]],
                                     device const float *w [[buffer(3)]], device const float *lse [[buffer(4)]], device const T *g [[buffer(5)]],
                                     device const float *total [[buffer(6)]], constant RtMetalCall &a [[buffer(8)]],
                                     uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {
    RT_SHARED(float, part, 256);
    const uint lanes = (uint)a.n[LANES], lane = me % lanes;
    const int64_t line = (int64_t)group.x * (256 / lanes) + me / lanes, n = line < a.n[LINES] ? a.n[N] : 0, inner = a.n[INNER];
    const int64_t at = n ? rt_line_start(line, n, inner) : 0, t = n ? target[line] : 0;
    const float smooth = a.k[0];
    const bool counts = t != a.n[IGNORE] && t >= 0 && t < a.n[N];
    float all_w = (float)a.n[N];
    if (smooth > 0 && a.n[WEIGHTS]) {
        all_w = 0;
        for (int64_t i = lane; i < n; i += lanes) all_w += w[i];
        all_w = sum_together(part, me, lane, lanes, all_w);
    }
    if (n == 0) return;
    float back = T_GET(g[a.n[EACH] ? line : 0]);
    if (a.n[TOTAL]) back = back / total[0];
    const float own = counts ? (1 - smooth) * (a.n[WEIGHTS] ? w[t] : 1.0f) : 0.0f, spread = smooth / (float)a.n[N];
    const float scale = own + (smooth > 0 ? spread * all_w : 0.0f), log_sum = a.n[LOGS] ? 0.0f : lse[line];
    for (int64_t i = lane; i < n; i += lanes) {
        float v = scale != 0 && !a.n[LOGS] ? scale * rt_exp_f32(T_GET(x[at + i * inner]) - log_sum) : 0.0f;
        if (i == t) v -= own;
        if (smooth > 0) v -= spread * (a.n[WEIGHTS] ? w[i] : 1.0f);
        gx[at + i * inner] = T_PUT((counts ? v * back : 0.0f));
    }
}

/* Say so where one of LINES numbers is no probability */
kernel void RT_NAME(check_probabilities)(device const T *x [[buffer(0)]], device int64_t *fault [[buffer(1)]], constant RtMetalCall &a [[buffer(2)]],
                                         uint at [[thread_position_in_grid]]) {
    if (at >= a.n[LINES]) return;
    const float v = T_GET(x[at]);
    if (!(v >= 0 && v <= 1)) rt_report(fault, a.what, at, -1);
}
