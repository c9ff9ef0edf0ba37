// types: T = b8 numbers
// each kernel alone
/* Fills with whole numbers and successes. p: out, the stream's words, then as each kernel says; n: elements, 0, seed, offset, then
 * (rt_drawn_at) the dimensions. */
#include "philox.h"

/* after the dimensions: n[46], n[47]: how many whole numbers (0: all of int64) and the first */
RT_INLINE void rt_put_whole(const RtCall &a, int64_t i, uint64_t v) {
    const uint64_t width = (uint64_t)a.n[46];
    ((T *)a.p[0])[rt_drawn_at(a, i)] = T_PUT((T_C)((int64_t)(width ? v % width : v) + (width ? a.n[47] : 0)));
}
RT_KERNEL(RT_NAME(whole), RtCall) {                      /* of 32 bits */
    rt_draw_each<4>(a, [](RtPhilox &s) { return rt_next4(s); }, [&](int64_t i, uint32_t v) { rt_put_whole(a, i, v); });
}
RT_KERNEL(RT_NAME(wide), RtCall) {                       /* of 64 bits */
    rt_draw_each<2>(a, [](RtPhilox &s) {
        const RtFour<uint32_t> w = rt_next4(s);
        return RtFour<uint64_t>{{(uint64_t)w.v[0] << 32 | w.v[1], (uint64_t)w.v[2] << 32 | w.v[3], 0, 0}};
    }, [&](int64_t i, uint64_t v) { rt_put_whole(a, i, v); });
}

/* float64 draws float64 numbers, all else float32 */
template <class V> struct RtWhole { typedef float C; };
template <> struct RtWhole<double> { typedef double C; };
typedef RtWhole<T_C>::C U;

RT_KERNEL(RT_NAME(bernoulli), RtCall) {                  /* k: the chance of 1 */
    const U chance = (U)a.k[0];
    rt_draw_each<RtDraw<U>::N>(a, [](RtPhilox &s) { return RtDraw<U>::uniform(s); },
                               [&](int64_t i, U v) { ((T *)a.p[0])[rt_drawn_at(a, i)] = T_PUT((T_C)(v < chance)); });
}

RT_KERNEL(RT_NAME(geometric), RtCall) {                  /* k: the chance of success */
    const U miss = rt_drawn_log1p((U)-a.k[0]);
    rt_draw_each<RtDraw<U>::N>(a, [](RtPhilox &s) { return RtDraw<U>::uniform(s); }, [&](int64_t i, U v) {
        ((T *)a.p[0])[rt_drawn_at(a, i)] = T_PUT((T_C)ceil(rt_drawn_log(v) / miss));
    });
}

/* p[2]: chances, float64 for float64, else float32; two steps a dimension. A thread takes four elements side by side. */
RT_KERNEL(RT_NAME(bernoulli_each), RtCall) {
    RT_EACH(t, (a.n[0] + 3) / 4) {
        RtPhilox s = rt_stream(a, (uint64_t)t);
        const RtFour<float> r = RtDraw<float>::uniform(s);
        for (int j = 0; j < 4 && 4 * t + j < a.n[0]; j++) {
            int64_t at[2];
            rt_offsets<2>(4 * t + j, a.n[4], a.n + 5, at);
            const U chance = ((const U *)a.p[2])[at[1]];
            if (!(chance >= 0 && chance <= 1)) rt_bad_index(a, (int64_t)chance, 1);
            ((T *)a.p[0])[at[0]] = T_PUT((T_C)(r.v[j] <= chance));
        }
    }
}
