// types: T = raw
/* Gather and scatter with index values in place of one dimension; any strides.
 * p: dst, src, index (int64); n: elements of the index, its dimensions, the replaced one, that one's size, then of each dimension of
 * the index (outermost first): size, step of dst, of src, of the index, in elements. */
struct RtGatherAt { int64_t dst, src; bool good; };
RT_INLINE RtGatherAt rt_gather_at(const RtCall &a, int64_t i, bool get) {
    const int64_t nd = a.n[1], dim = a.n[2], size = a.n[3], *d = a.n + 4 * nd;
    int64_t dst = 0, src = 0, at = 0, rest = i;
    for (int64_t k = nd; k > 0; k--, d -= 4) {
        const int64_t next = rest / d[0], x = rest - next * d[0];
        rest = next;
        at += x * d[3];
        if (k - 1 != dim || get) dst += x * d[1];
        if (k - 1 != dim || !get) src += x * d[2];
    }
    const int64_t j = ((const int64_t *)a.p[2])[at], *s = a.n + 4 + 4 * dim;
    if (j < 0 || j >= size) {
        rt_bad_index(a, j, size);
        return {0, 0, false};
    }
    if (get) src += j * s[2];
    else dst += j * s[1];
    return {dst, src, true};
}

RT_KERNEL(RT_NAME(gather), RtCall) {
    RT_EACH(i, a.n[0]) {
        const RtGatherAt at = rt_gather_at(a, i, true);
        if (at.good) ((T *)a.p[0])[at.dst] = ((const T *)a.p[1])[at.src];
    }
}

RT_KERNEL(RT_NAME(scatter), RtCall) {
    RT_EACH(i, a.n[0]) {
        const RtGatherAt at = rt_gather_at(a, i, false);
        if (at.good) ((T *)a.p[0])[at.dst] = ((const T *)a.p[1])[at.src];
    }
}
