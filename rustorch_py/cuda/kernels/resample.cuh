// types: T = floats
#include "block.h"
#include "atomic.h"
/* Positions mixed along a dimension, and windows as columns. Arrays are contiguous. */

/* ---- taps: out (outer, m, inner) = sums over k of weight[i, k] x[., index[i, k], .]; x (outer, size, inner) ----
 * n: elements, size, inner, m, taps. p: out, x, index (int64; negative: nothing), weight (of the type to compute in) or NULL */
RT_KERNEL(RT_NAME(taps), RtCall) {
    const int64_t size = a.n[1], inner = a.n[2], m = a.n[3], taps = a.n[4], *index = (const int64_t *)a.p[2];
    const T_C *weight = (const T_C *)a.p[3];
    RT_EACH(e, a.n[0]) {
        int64_t rest, o;
        const int64_t s = rt_divide(e, inner, &rest), i = rt_divide(rest, m, &o);
        const T *x = (const T *)a.p[1] + o * size * inner + s;
        T_C sum = (T_C)0;
        for (int64_t k = 0; k < taps; k++) {
            const int64_t j = index[i * taps + k];
            if (j < 0) continue;
            if (j >= size) { rt_bad_index(a, j, size); continue; }
            sum += weight ? T_GET(x[j * inner]) * weight[i * taps + k] : T_GET(x[j * inner]);
        }
        ((T *)a.p[0])[e] = T_PUT(sum);
    }
}
/* Their transpose: g (outer, m, inner) is added to out (outer, size, inner), zero before, of the type to compute in. */
RT_KERNEL(RT_NAME(taps_back), RtCall) {
    const int64_t size = a.n[1], inner = a.n[2], m = a.n[3], taps = a.n[4], *index = (const int64_t *)a.p[2];
    const T_C *weight = (const T_C *)a.p[3];
    RT_EACH(e, a.n[0]) {
        int64_t rest, o;
        const int64_t s = rt_divide(e, inner, &rest), i = rt_divide(rest, m, &o);
        T_C *out = (T_C *)a.p[0] + o * size * inner + s;
        const T_C g = T_GET(((const T *)a.p[1])[e]);
        for (int64_t k = 0; k < taps; k++) {
            const int64_t j = index[i * taps + k];
            if (j >= 0 && j < size) rt_atomic_add(out + j * inner, weight ? (T_C)(g * weight[i * taps + k]) : g);
        }
    }
}

/* ---- windows as columns: (N, C, H, W) and (N, C * kernel, windows) ----
 * n: elements, channels, then two each of sizes in, out (windows), kernel, stride, padding, dilation. p: out, x */
enum { COUNT, CHANNELS, IN, OUT = IN + 2, KERNEL = OUT + 2, STRIDE = KERNEL + 2, PAD = STRIDE + 2, DILATION = PAD + 2 };
RT_KERNEL(RT_NAME(columns), RtCall) {
    RT_EACH(e, a.n[COUNT]) {
        int64_t rest, at[2], k[2], plane;
        at[1] = rt_divide(e, a.n[OUT + 1], &rest);
        at[0] = rt_divide(rest, a.n[OUT], &rest);
        k[1] = rt_divide(rest, a.n[KERNEL + 1], &rest);
        k[0] = rt_divide(rest, a.n[KERNEL], &plane);
        bool inside = true;
        for (int d = 0; d < 2; d++) {
            at[d] = at[d] * a.n[STRIDE + d] - a.n[PAD + d] + k[d] * a.n[DILATION + d];
            inside = inside && at[d] >= 0 && at[d] < a.n[IN + d];
        }
        ((T *)a.p[0])[e] = inside ? ((const T *)a.p[1])[(plane * a.n[IN] + at[0]) * a.n[IN + 1] + at[1]] : T_PUT((T_C)0);
    }
}
/* Their transpose: each element collects the windows that hold it. */
RT_KERNEL(RT_NAME(columns_back), RtCall) {
    RT_EACH(e, a.n[COUNT]) {
        int64_t rest, at[2], plane;
        at[1] = rt_divide(e, a.n[IN + 1], &rest);
        at[0] = rt_divide(rest, a.n[IN], &plane);
        T_C sum = (T_C)0;
        for (int64_t i = 0; i < a.n[KERNEL]; i++) {
            const int64_t y = at[0] + a.n[PAD] - i * a.n[DILATION];
            if (y < 0 || y % a.n[STRIDE] || y / a.n[STRIDE] >= a.n[OUT]) continue;
            for (int64_t j = 0; j < a.n[KERNEL + 1]; j++) {
                const int64_t x = at[1] + a.n[PAD + 1] - j * a.n[DILATION + 1];
                if (x < 0 || x % a.n[STRIDE + 1] || x / a.n[STRIDE + 1] >= a.n[OUT + 1]) continue;
                sum += T_GET(((const T *)a.p[1])[(((plane * a.n[KERNEL] + i) * a.n[KERNEL + 1] + j) * a.n[OUT] + y / a.n[STRIDE]) * a.n[OUT + 1] + x / a.n[STRIDE + 1]]);
            }
        }
        ((T *)a.p[0])[e] = T_PUT(sum);
    }
}
