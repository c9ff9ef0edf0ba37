// types: T = floats i64
/* Pooling over up to three dimensions of space: maxima with their positions, averages, and both gradients in the form that each element
 * of the input collects what its windows send, in order. Any strides.
 * n: see the enum; A_STEP to C_STEP: steps of arrays p[0], p[1], p[2] in (image, channel, space), elements. */
enum { COUNT, LAST, IMAGES, CHANNELS, IN, OUT = IN + 3, KERNEL = OUT + 3, STRIDE = KERNEL + 3, PAD = STRIDE + 3, DILATION = PAD + 3,
       ADAPTIVE = DILATION + 3, COUNT_PAD, A_STEP, B_STEP = A_STEP + 5, C_STEP = B_STEP + 5, ADD = C_STEP + 5 };

struct At { int64_t at[5]; };
RT_INLINE At decode(const RtCall &a, int64_t i, const int64_t *space) {
    At r;
    int64_t rest = i;
    if (a.n[LAST]) { r.at[1] = rest % a.n[CHANNELS]; rest /= a.n[CHANNELS]; }
    for (int d = 2; d >= 0; d--) { const int64_t next = rest / space[d]; r.at[2 + d] = rest - next * space[d]; rest = next; }
    if (a.n[LAST]) r.at[0] = rest;
    else { r.at[0] = rest / a.n[CHANNELS]; r.at[1] = rest - r.at[0] * a.n[CHANNELS]; }
    return r;
}
RT_INLINE int64_t offset(const At &r, const int64_t *step) {
    int64_t at = 0;
    for (int d = 0; d < 5; d++) at += r.at[d] * step[d];
    return at;
}
RT_INLINE int64_t plane(const At &r, const int64_t *step) { return r.at[0] * step[0] + r.at[1] * step[1]; }

/* elements lo <= i < hi, in steps of the dilation, of window t; size: what an average divides by */
struct Window { int64_t lo, hi, size; };
RT_INLINE Window window(const RtCall &a, int d, int64_t t, bool average) {
    const int64_t in = a.n[IN + d], out = a.n[OUT + d];
    Window w;
    if (a.n[ADAPTIVE]) {
        w.lo = t * in / out;
        w.hi = ((t + 1) * in + out - 1) / out;
        w.size = w.hi - w.lo;
        return w;
    }
    const int64_t dilation = a.n[DILATION + d], kernel = a.n[KERNEL + d], pad = a.n[PAD + d];
    w.lo = t * a.n[STRIDE + d] - pad;
    w.hi = w.lo + dilation * (kernel - 1) + 1;
    if (average && w.hi > in + pad) w.hi = in + pad;
    w.size = w.hi - w.lo;
    if (w.hi > in) w.hi = in;
    if (w.lo < 0) w.lo += (-w.lo + dilation - 1) / dilation * dilation;
    if (!a.n[COUNT_PAD]) w.size = w.hi > w.lo ? w.hi - w.lo : 1;
    return w;
}
/* windows lo <= t < hi that may hold element i */
RT_INLINE Window windows_of(const RtCall &a, int d, int64_t i) {
    const int64_t in = a.n[IN + d], out = a.n[OUT + d];
    Window w;
    w.size = 0;
    if (a.n[ADAPTIVE]) {
        w.lo = i * out / in;
        w.hi = ((i + 1) * out + in - 1) / in;
        return w;
    }
    const int64_t reach = a.n[DILATION + d] * (a.n[KERNEL + d] - 1) + 1, stride = a.n[STRIDE + d], first = i + a.n[PAD + d] - reach + 1;
    w.lo = first > 0 ? (first + stride - 1) / stride : 0;
    w.hi = (i + a.n[PAD + d]) / stride + 1;
    if (w.hi > out) w.hi = out;
    return w;
}

/* p: maxima, positions (int64), x */
RT_KERNEL(RT_NAME(pool_max), RtCall) {
    RT_EACH(i, a.n[COUNT]) {
        const At r = decode(a, i, a.n + OUT);
        const T *x = (const T *)a.p[2] + plane(r, a.n + C_STEP);
        Window w[3];
        for (int d = 0; d < 3; d++) w[d] = window(a, d, r.at[2 + d], false);
        int64_t where = (w[0].lo * a.n[IN + 1] + w[1].lo) * a.n[IN + 2] + w[2].lo;
        T_C best = T_F(lowest)((T_C)0);
        for (int64_t z = w[0].lo; z < w[0].hi; z += a.n[DILATION])
            for (int64_t y = w[1].lo; y < w[1].hi; y += a.n[DILATION + 1])
                for (int64_t c = w[2].lo; c < w[2].hi; c += a.n[DILATION + 2]) {
                    const T_C v = T_GET(x[z * a.n[C_STEP + 2] + y * a.n[C_STEP + 3] + c * a.n[C_STEP + 4]]);
                    if (v > best || v != v) { best = v; where = (z * a.n[IN + 1] + y) * a.n[IN + 2] + c; }
                }
        ((T *)a.p[0])[offset(r, a.n + A_STEP)] = T_PUT(best);
        ((int64_t *)a.p[1])[offset(r, a.n + B_STEP)] = where;
    }
}

/* p: gradient of the input, positions, gradient of the maxima */
RT_KERNEL(RT_NAME(pool_max_back), RtCall) {
    RT_EACH(i, a.n[COUNT]) {
        const At r = decode(a, i, a.n + IN);
        const int64_t here = (r.at[2] * a.n[IN + 1] + r.at[3]) * a.n[IN + 2] + r.at[4];
        const int64_t *where = (const int64_t *)a.p[1] + plane(r, a.n + B_STEP);
        const T *g = (const T *)a.p[2] + plane(r, a.n + C_STEP);
        Window w[3];
        for (int d = 0; d < 3; d++) w[d] = windows_of(a, d, r.at[2 + d]);
        T_C sum = (T_C)0;
        for (int64_t z = w[0].lo; z < w[0].hi; z++) for (int64_t y = w[1].lo; y < w[1].hi; y++) for (int64_t c = w[2].lo; c < w[2].hi; c++)
            if (where[z * a.n[B_STEP + 2] + y * a.n[B_STEP + 3] + c * a.n[B_STEP + 4]] == here)
                sum += T_GET(g[z * a.n[C_STEP + 2] + y * a.n[C_STEP + 3] + c * a.n[C_STEP + 4]]);
        ((T *)a.p[0])[offset(r, a.n + A_STEP)] = T_PUT(sum);
    }
}

/* p: averages, -, x; k[0]: what is divided by instead, or 0 */
RT_KERNEL(RT_NAME(pool_average), RtCall) {
    RT_EACH(i, a.n[COUNT]) {
        const At r = decode(a, i, a.n + OUT);
        const T *x = (const T *)a.p[2] + plane(r, a.n + C_STEP);
        Window w[3];
        for (int d = 0; d < 3; d++) w[d] = window(a, d, r.at[2 + d], true);
        T_C sum = (T_C)0;
        for (int64_t z = w[0].lo; z < w[0].hi; z++) for (int64_t y = w[1].lo; y < w[1].hi; y++) for (int64_t c = w[2].lo; c < w[2].hi; c++)
            sum += T_GET(x[z * a.n[C_STEP + 2] + y * a.n[C_STEP + 3] + c * a.n[C_STEP + 4]]);
        const T_C size = a.k[0] != 0 ? (T_C)a.k[0] : (T_C)(w[0].size * w[1].size * w[2].size);
        ((T *)a.p[0])[offset(r, a.n + A_STEP)] = T_PUT((T_C)(sum / size));
    }
}

/* p: gradient of the input, -, gradient of the averages */
RT_KERNEL(RT_NAME(pool_average_back), RtCall) {
    RT_EACH(i, a.n[COUNT]) {
        const At r = decode(a, i, a.n + IN);
        const T *g = (const T *)a.p[2] + plane(r, a.n + C_STEP);
        Window w[3];
        for (int d = 0; d < 3; d++) w[d] = windows_of(a, d, r.at[2 + d]);
        T_C sum = (T_C)0;
        for (int64_t z = w[0].lo; z < w[0].hi; z++) for (int64_t y = w[1].lo; y < w[1].hi; y++) for (int64_t c = w[2].lo; c < w[2].hi; c++) {
            const T_C size = a.k[0] != 0 ? (T_C)a.k[0] : (T_C)(window(a, 0, z, true).size * window(a, 1, y, true).size * window(a, 2, c, true).size);
            sum += T_GET(g[z * a.n[C_STEP + 2] + y * a.n[C_STEP + 3] + c * a.n[C_STEP + 4]]) / size;
        }
        ((T *)a.p[0])[offset(r, a.n + A_STEP)] = T_PUT(sum);
    }
}

/* p: elements (OUT), their positions, planes (IN) that they are picked from */
RT_KERNEL(RT_NAME(plane_pick), RtCall) {
    const int64_t volume = a.n[IN] * a.n[IN + 1] * a.n[IN + 2];
    RT_EACH(i, a.n[COUNT]) {
        At r = decode(a, i, a.n + OUT);
        const int64_t put = offset(r, a.n + A_STEP), from = ((const int64_t *)a.p[1])[offset(r, a.n + B_STEP)];
        if (from < 0 || from >= volume) { rt_bad_index(a, from, volume); continue; }
        r.at[4] = from % a.n[IN + 2];
        r.at[3] = from / a.n[IN + 2] % a.n[IN + 1];
        r.at[2] = from / a.n[IN + 2] / a.n[IN + 1];
        ((T *)a.p[0])[put] = ((const T *)a.p[2])[offset(r, a.n + C_STEP)];
    }
}

/* p: planes (IN), zero before; positions; elements (OUT) that are put there, or added */
RT_KERNEL(RT_NAME(plane_put), RtCall) {
    const int64_t volume = a.n[IN] * a.n[IN + 1] * a.n[IN + 2];
    RT_EACH(i, a.n[COUNT]) {
        At r = decode(a, i, a.n + OUT);
        const T v = ((const T *)a.p[2])[offset(r, a.n + C_STEP)];
        const int64_t to = ((const int64_t *)a.p[1])[offset(r, a.n + B_STEP)];
        if (to < 0 || to >= volume) { rt_bad_index(a, to, volume); continue; }
        r.at[4] = to % a.n[IN + 2];
        r.at[3] = to / a.n[IN + 2] % a.n[IN + 1];
        r.at[2] = to / a.n[IN + 2] / a.n[IN + 1];
        T *p = (T *)a.p[0] + offset(r, a.n + A_STEP);
        if (a.n[ADD]) rt_atomic(p, [&](T old) { return T_PUT((T_C)(T_GET(old) + T_GET(v))); });
        else *p = v;
    }
}
