// types: T = reals
#include "block.h"
/* Connectionist temporal classification (Graves et al., 2006): a block has a sample; the states of a frame lie along its threads, frames follow
 * each other. log_probs (frames, samples, classes), labels (samples, most), alpha (samples, frames, 2 most + 1).
 * n: frames, samples, classes, most labels, blank, zero_infinity. */
enum { FRAMES, SAMPLES, CLASSES, MOST, BLANK, ZERO_INFINITY };
RT_INLINE T never() { return T_F(lowest)((T)0); }
RT_INLINE T log_add(T x, T y) {
    const T top = x > y ? x : y, low = x > y ? y : x;
    return top == never() ? top : top + T_F(log1p)(T_F(exp)(low - top));
}
RT_INLINE int64_t label_at(const RtCall &a, const int64_t *labels, int64_t s) { return s % 2 ? labels[s / 2] : a.n[BLANK]; }

/* p: loss, alpha, log_probs, labels, frames of each sample, labels of each sample */
RT_KERNEL(RT_NAME(ctc), RtCall) {
    const int64_t n = blockIdx.x, width = 2 * a.n[MOST] + 1, *labels = (const int64_t *)a.p[3] + n * a.n[MOST];
    const int64_t frames = ((const int64_t *)a.p[4])[n], states = 2 * ((const int64_t *)a.p[5])[n] + 1;
    T *alpha = (T *)a.p[1] + n * a.n[FRAMES] * width;
    for (int64_t t = 0; t < a.n[FRAMES]; t++) {
        const T *row = (const T *)a.p[2] + (t * a.n[SAMPLES] + n) * a.n[CLASSES], *before = alpha + (t - 1) * width;
        for (int64_t s = threadIdx.x; s < width; s += blockDim.x) {
            T v = never();
            if (t < frames && s < states) {
                const int64_t label = label_at(a, labels, s);
                if (t == 0) v = s < 2 ? row[label] : v;
                else {
                    v = before[s];
                    if (s > 0) v = log_add(v, before[s - 1]);
                    if (s > 1 && s % 2 && label != label_at(a, labels, s - 2)) v = log_add(v, before[s - 2]);
                    v += row[label];
                }
            }
            alpha[t * width + s] = v;
        }
        RT_SYNC();
    }
    if (threadIdx.x == 0) {
        const T *end = alpha + (frames - 1) * width;
        ((T *)a.p[0])[n] = frames == 0 ? (states == 1 ? (T)0 : -never()) : -(states > 1 ? log_add(end[states - 1], end[states - 2]) : end[0]);
    }
}

/* p: gradient of log_probs, beta (samples, 2, width), mass (samples, classes), log_probs, labels, frames and labels of each sample, alpha,
 * loss, g */
RT_KERNEL(RT_NAME(ctc_back), RtCall) {
    const int64_t n = blockIdx.x, width = 2 * a.n[MOST] + 1, classes = a.n[CLASSES], *labels = (const int64_t *)a.p[4] + n * a.n[MOST];
    const int64_t states = 2 * ((const int64_t *)a.p[6])[n] + 1;
    const T loss = ((const T *)a.p[8])[n], g = ((const T *)a.p[9])[n];
    const int64_t frames = a.n[ZERO_INFINITY] && loss == -never() ? 0 : ((const int64_t *)a.p[5])[n];
    const T *alpha = (const T *)a.p[7] + n * a.n[FRAMES] * width;
    T *next = (T *)a.p[1] + n * 2 * width, *now = next + width, *mass = (T *)a.p[2] + n * classes;
    for (int64_t t = a.n[FRAMES] - 1; t >= 0; t--) {
        const T *row = (const T *)a.p[3] + (t * a.n[SAMPLES] + n) * classes;
        T *out = (T *)a.p[0] + (t * a.n[SAMPLES] + n) * classes;
        for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) mass[c] = never();
        if (t < frames)
            for (int64_t s = threadIdx.x; s < states; s += blockDim.x) {
                const int64_t label = label_at(a, labels, s);
                T v = t == frames - 1 && s >= states - 2 ? (T)0 : never();
                if (t < frames - 1) {
                    v = next[s];
                    if (s + 1 < states) v = log_add(v, next[s + 1]);
                    if (s + 2 < states && s % 2 && label != label_at(a, labels, s + 2)) v = log_add(v, next[s + 2]);
                }
                now[s] = v + row[label];
            }
        RT_SYNC();
        /* a class's states one after the other: sums have one order */
        if (t < frames) {
            if (threadIdx.x == 0)
                for (int64_t s = 0; s < states; s += 2) mass[a.n[BLANK]] = log_add(mass[a.n[BLANK]], alpha[t * width + s] + now[s]);
            RT_SYNC();
            for (int64_t s = 1 + 2 * threadIdx.x; s < states; s += 2 * blockDim.x) {
                const int64_t label = labels[s / 2];
                bool first = true;
                for (int64_t before = 1; before < s && first; before += 2) first = labels[before / 2] != label;
                if (first)
                    for (int64_t again = s; again < states; again += 2)
                        if (labels[again / 2] == label) mass[label] = log_add(mass[label], alpha[t * width + again] + now[again]);
            }
            RT_SYNC();
        }
        for (int64_t c = threadIdx.x; c < classes; c += blockDim.x)
            out[c] = t < frames ? g * (T_F(exp)(row[c]) - T_F(exp)(mass[c] + loss - row[c])) : (T)0;
        T *swap = next;
        next = now;
        now = swap;
        RT_SYNC();
    }
}
