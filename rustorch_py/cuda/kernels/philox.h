/* Philox 4x32-10 (J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011) and the numbers
 * made of its words.
 *
 * Note [Same numbers as PyTorch's CUDA]
 * A stream is a seed (the key) and an offset. Thread t of a launch draws from subsequence t (the counter's upper half is t), beginning
 * `offset` words in; a fill of n numbers has min(ceil(n / 256), multiprocessors * threads per multiprocessor / 256) blocks of 256
 * threads, and thread t puts the four words (float64 and wide integers: two numbers) of its k-th call to elements t + (4k + j) * threads.
 * The maps of words to numbers are cuRAND's: uniform in (0, 1], Box-Muller with the sine first. So the numbers are those that PyTorch
 * gives for the seed on a device of as many multiprocessors, normal ones up to the last bits of logarithm and sine. */
#ifndef RUSTORCH_PHILOX_H
#define RUSTORCH_PHILOX_H
#include "block.h"

/* what PyTorch's transformations call: for float32 the device's fast functions */
RT_INLINE float rt_drawn_log(float v) { return RT_FAST_LOG(v); }
RT_INLINE double rt_drawn_log(double v) { return log(v); }
RT_INLINE float rt_drawn_exp(float v) { return RT_FAST_EXP(v); }
RT_INLINE double rt_drawn_exp(double v) { return exp(v); }
RT_INLINE float rt_drawn_tan(float v) { return RT_FAST_TAN(v); }
RT_INLINE double rt_drawn_tan(double v) { return tan(v); }
RT_INLINE float rt_drawn_log1p(float v) { return RT_FAST_LOG(1.0f + v); }
RT_INLINE double rt_drawn_log1p(double v) { return log1p(v); }

typedef struct { uint32_t key[2], counter[4], word[4]; int at, has_normal; float normal; } RtPhilox;
template <class V> struct RtFour { V v[4]; };

RT_INLINE void rt_philox_round(uint32_t *c, uint32_t k0, uint32_t k1) {
    const uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)b;
    c[2] = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)a;
}
RT_INLINE void rt_philox_block(RtPhilox &s) {
    uint32_t k0 = s.key[0], k1 = s.key[1];
    for (int i = 0; i < 4; i++) s.word[i] = s.counter[i];
    for (int i = 0; i < 10; i++) {
        rt_philox_round(s.word, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}
RT_INLINE void rt_philox_on(RtPhilox &s, uint64_t blocks) {
    const uint64_t low = ((uint64_t)s.counter[1] << 32 | s.counter[0]), next = low + blocks;
    s.counter[0] = (uint32_t)next;
    s.counter[1] = (uint32_t)(next >> 32);
    if (next < low && ++s.counter[2] == 0) ++s.counter[3];
}
RT_INLINE RtPhilox rt_philox(uint64_t seed, uint64_t subsequence, uint64_t offset) {
    RtPhilox s = {{(uint32_t)seed, (uint32_t)(seed >> 32)}, {0, 0, (uint32_t)subsequence, (uint32_t)(subsequence >> 32)}, {0, 0, 0, 0}, (int)(offset & 3), 0, 0};
    rt_philox_on(s, offset >> 2);
    rt_philox_block(s);
    return s;
}
/* a call's stream: words (seed, offset) lie in p[1] while a graph is captured; n[2], n[3]: seed and offset, or what is added to it */
RT_INLINE RtPhilox rt_stream(const RtCall &a, uint64_t subsequence) {
    const uint64_t *words = (const uint64_t *)a.p[1];
    return rt_philox(words ? words[0] : (uint64_t)a.n[2], subsequence, (uint64_t)a.n[3] + (words ? words[1] : 0));
}

RT_INLINE uint32_t rt_next(RtPhilox &s) {
    const uint32_t w = s.at == 0 ? s.word[0] : s.at == 1 ? s.word[1] : s.at == 2 ? s.word[2] : s.word[3];
    if (++s.at == 4) {
        rt_philox_on(s, 1);
        rt_philox_block(s);
        s.at = 0;
    }
    return w;
}
RT_INLINE RtFour<uint32_t> rt_next4(RtPhilox &s) {
    RtFour<uint32_t> r;
    if (s.at == 0) {
        for (int i = 0; i < 4; i++) r.v[i] = s.word[i];
        rt_philox_on(s, 1);
        rt_philox_block(s);
    } else for (int i = 0; i < 4; i++) r.v[i] = rt_next(s);
    return r;
}

/* the four words of one call of a subsequence */
RT_INLINE RtFour<uint32_t> rt_words(uint64_t seed, uint64_t call, uint64_t subsequence) {
    uint32_t c[4] = {(uint32_t)call, (uint32_t)(call >> 32), (uint32_t)subsequence, (uint32_t)(subsequence >> 32)};
    #pragma unroll
    for (uint32_t i = 0; i < 10; i++) rt_philox_round(c, (uint32_t)seed + i * 0x9E3779B9u, (uint32_t)(seed >> 32) + i * 0xBB67AE85u);
    return {{c[0], c[1], c[2], c[3]}};
}

/* uniform in (0, 1] */
RT_INLINE float rt_unit(uint32_t w) { return rt_ma_f32((float)w, 2.3283064e-10f, 2.3283064e-10f / 2); }
RT_INLINE double rt_unit64(uint32_t low, uint32_t high) {
    return (double)((uint64_t)low ^ (uint64_t)high << 21) * 0x1p-53 + 0x1p-54;
}
RT_INLINE void rt_box_muller(uint32_t x, uint32_t y, float *first, float *second) {
    const float v = rt_ma_f32((float)y, 2.3283064e-10f * 6.2831855f, 2.3283064e-10f * 6.2831855f / 2), s = sqrtf(-2.0f * logf(rt_unit(x)));
    RT_SINCOS(v, first, second);
    *first *= s;
    *second *= s;
}
RT_INLINE float rt_uniform(RtPhilox &s) { return rt_unit(rt_next(s)); }
RT_INLINE float rt_normal(RtPhilox &s) {
    float first;
    if (s.has_normal) {
        s.has_normal = 0;
        return s.normal;
    }
    const uint32_t x = rt_next(s), y = rt_next(s);
    rt_box_muller(x, y, &first, &s.normal);
    s.has_normal = 1;
    return first;
}

/* what one call gives, by the type that is computed in */
template <class C> struct RtDraw;
template <> struct RtDraw<float> {
    enum { N = 4 };
    static inline RtFour<float> uniform(RtPhilox &s) {
        const RtFour<uint32_t> w = rt_next4(s);
        return {{rt_unit(w.v[0]), rt_unit(w.v[1]), rt_unit(w.v[2]), rt_unit(w.v[3])}};
    }
    static inline RtFour<float> normal(RtPhilox &s) {
        const RtFour<uint32_t> w = rt_next4(s);
        RtFour<float> r;
        rt_box_muller(w.v[0], w.v[1], &r.v[0], &r.v[1]);
        rt_box_muller(w.v[2], w.v[3], &r.v[2], &r.v[3]);
        return r;
    }
};
template <> struct RtDraw<double> {
    enum { N = 2 };
    static inline RtFour<double> uniform(RtPhilox &s) {
        const RtFour<uint32_t> w = rt_next4(s);
        return {{rt_unit64(w.v[0], w.v[1]), rt_unit64(w.v[2], w.v[3]), 0, 0}};
    }
    static inline RtFour<double> normal(RtPhilox &s) {
        const RtFour<uint32_t> w = rt_next4(s);
        const double r = sqrt(-2.0 * log(rt_unit64(w.v[0], w.v[1])));
        const double v = (double)((uint64_t)w.v[2] ^ (uint64_t)w.v[3] << 21) * 0x1p-52 + 0x1p-53;
        double sine, cosine;
        RT_SINCOSPI(v, &sine, &cosine);
        return {{r * sine, r * cosine, 0, 0}};
    }
};

/* where element i lies: n[4] dimensions, then of each (outermost first) size and step, in elements; the fastest step is innermost */
RT_INLINE int64_t rt_drawn_at(const RtCall &a, int64_t i) {
    int64_t at[1];
    rt_offsets<1>(i, a.n[4], a.n + 5, at);
    return at[0];
}

/* put(i, number) for each of n[0] elements, U numbers a call of draw: Note [Same numbers as PyTorch's CUDA] */
template <int U, class Draw, class Put> RT_INLINE void rt_draw_each(const RtCall &a, Draw draw, Put put) {
    const int64_t n = a.n[0], threads = (int64_t)gridDim.x * blockDim.x, me = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    RtPhilox s = rt_stream(a, (uint64_t)me);
    s.at = 0;                                                /* offsets are multiples of 4 */
    for (int64_t i = me; i < n; i += threads * U) {
        const auto r = draw(s);
        for (int j = 0; j < U; j++)
            if (i + threads * j < n) put(i + threads * j, r.v[j]);
    }
}
#endif
