// types: T = floats
/* Numbers whose parameters lie in tensors; a thread an element, drawing as many as it needs from the element's own subsequence.
 * p: out, the stream's words, parameters, row-major; n: elements, 0, seed, offset. */
#include "philox.h"

/* G. Marsaglia & W. W. Tsang, A simple method for generating gamma variables, 2000 */
RT_INLINE T_C rt_gamma(RtPhilox &s, T_C shape) {
    T_C scale = 1;
    if (shape < 1) {
        if (shape == 0) return 0;
        scale = T_F(pow)((T_C)1 - (T_C)rt_uniform(s), (T_C)1 / shape);
        shape += 1;
    }
    const T_C d = shape - (T_C)1 / 3, c = (T_C)1 / T_F(sqrt)(9 * d);
    if (!(d == d)) return d;
    for (;;) {
        T_C x, y;
        do {
            x = (T_C)rt_normal(s);
            y = (T_C)1 + c * x;
        } while (y <= 0);
        const T_C v = y * y * y, u = (T_C)1 - (T_C)rt_uniform(s), xx = x * x;
        if (u < (T_C)1 - (T_C)0.0331 * xx * xx || T_F(log)(u) < (T_C)0.5 * xx + d * ((T_C)1 - v + T_F(log)(v))) return scale * d * v;
    }
}
RT_KERNEL(RT_NAME(gamma), RtCall) {                      /* k: the smallest normal number, so that none is 0 */
    RT_EACH(i, a.n[0]) {
        RtPhilox s = rt_stream(a, (uint64_t)i);
        const T_C v = rt_gamma(s, T_GET(((const T *)a.p[2])[i])), least = (T_C)a.k[0];
        ((T *)a.p[0])[i] = T_PUT(v < least ? least : v);
    }
}

/* Below 64 the product of uniform numbers (D. Knuth, The art of computer programming 2, 3.4.1), as cuRAND has it; above it transformed
 * rejection (W. Hoermann, The transformed rejection method for generating Poisson random variables, 1993, PTRS). */
RT_INLINE double rt_poisson(RtPhilox &s, double rate) {
    if (rate < 64) {
        double k = 0;
        float p = expf((float)rate);
        do {
            k++;
            p *= rt_uniform(s);
        } while (p > 1.0f);
        return k - 1;
    }
    const double root = sqrt(rate), b = 0.931 + 2.53 * root, aa = -0.059 + 0.02483 * b, inverse = 1.1239 + 1.1328 / (b - 3.4), edge = 0.9277 - 3.6224 / (b - 2);
    const double log_rate = log(rate);
    for (;;) {
        const double u = (double)rt_uniform(s) - 0.5, v = (double)rt_uniform(s), us = 0.5 - fabs(u), k = floor((2 * aa / us + b) * u + rate + 0.43);
        if (us >= 0.07 && v <= edge) return k;
        if (k < 0 || (us < 0.013 && v > us)) continue;
        if (log(v * inverse / (aa / (us * us) + b)) <= k * log_rate - rate - lgamma(k + 1)) return k;
    }
}
RT_KERNEL(RT_NAME(poisson), RtCall) {
    RT_EACH(i, a.n[0]) {
        RtPhilox s = rt_stream(a, (uint64_t)i);
        const double rate = (double)T_GET(((const T *)a.p[2])[i]);
        const bool good = rate >= 0;
        if (!good && rate == rate) rt_bad_index(a, (int64_t)rate, 0);
        ((T *)a.p[0])[i] = T_PUT((T_C)(good ? rt_poisson(s, rate) : rate));
    }
}

/* Below 10 expected successes the gaps between them are geometric; above, transformed rejection (W. Hoermann, The generation of binomial
 * random variates, 1993, BTRS). */
RT_INLINE double rt_stirling(double k) {          /* log k! beyond Stirling's formula */
    const double x = k + 1;
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / (x * x)) / (x * x)) / x;
}
RT_INLINE double rt_binomial_half(RtPhilox &s, double n, double p) {      /* 0 < p <= 1/2 */
    if (n * p < 10) {
        const double miss = log1p(-p);
        double sum = 0;
        int64_t k = 0;
        for (;; k++) {
            sum += ceil(log((double)rt_uniform(s)) / miss);
            if (sum > n) return (double)k;
        }
    }
    const double root = sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * root, aa = -0.0873 + 0.0248 * b + 0.01 * p, c = n * p + 0.5, edge = 0.92 - 4.2 / b;
    const double ratio = p / (1 - p), alpha = (2.83 + 5.1 / b) * root, m = floor((n + 1) * p);
    for (;;) {
        const double u = (double)rt_uniform(s) - 0.5, us = 0.5 - fabs(u), k = floor((2 * aa / us + b) * u + c);
        double v = (double)rt_uniform(s);
        if (us >= 0.07 && v <= edge) return k;
        if (k < 0 || k > n) continue;
        v = log(v * alpha / (aa / (us * us) + b));
        const double bound = (m + 0.5) * log((m + 1) / (ratio * (n - m + 1))) + (n + 1) * log((n - m + 1) / (n - k + 1)) +
                             (k + 0.5) * log(ratio * (n - k + 1) / (k + 1)) + rt_stirling(m) + rt_stirling(n - m) - rt_stirling(k) - rt_stirling(n - k);
        if (v <= bound) return k;
    }
}
RT_INLINE double rt_binomial(RtPhilox &s, double n, double p) {
    if (!(n > 0) || !(p > 0)) return n == n && p == p ? 0.0 : n + p;
    if (p >= 1) return n;
    const bool turned = p > 0.5;
    const double k = rt_binomial_half(s, n, turned ? 1 - p : p);
    return turned ? n - k : k;
}
RT_KERNEL(RT_NAME(binomial), RtCall) {
    RT_EACH(i, a.n[0]) {
        RtPhilox s = rt_stream(a, (uint64_t)i);
        ((T *)a.p[0])[i] = T_PUT((T_C)rt_binomial(s, (double)T_GET(((const T *)a.p[2])[i]), (double)T_GET(((const T *)a.p[3])[i])));
    }
}

/* p: out (int64), words, running sums of each row's probabilities; n[4]: categories, n[5]: draws of a row. Grid: draws by 128, rows. */
RT_KERNEL(RT_NAME(multinomial), RtCall) {
    const int64_t categories = a.n[4], draws = a.n[5], rows = a.n[0] / draws;
    RtPhilox s = rt_stream(a, ((uint64_t)blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x);
    for (int64_t row = blockIdx.y; row < rows; row += gridDim.y)
        for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < draws; i += (int64_t)gridDim.x * blockDim.x) {
            const T *sums = (const T *)a.p[2] + row * categories;
            const T_C at = (T_C)RtDraw<float>::uniform(s).v[0];
            int64_t low = 0, high = categories;
            while (high - low > 0) {
                const int64_t middle = low + (high - low) / 2;
                if (T_GET(sums[middle]) < at) low = middle + 1;
                else high = middle;
            }
            if (low >= categories) low = categories - 1;
            while (low > 0 && T_GET(sums[low]) == T_GET(sums[low - 1])) low--;      /* to one that has a probability */
            ((int64_t *)a.p[0])[row * draws + i] = low;
        }
}

/* p: values, words, sorted keys, both int64; shuffles each run of equal keys. T does not matter. */
RT_KERNEL(RT_NAME(shuffle_runs), RtCall) {
    const int64_t n = a.n[0], *keys = (const int64_t *)a.p[2];
    RT_EACH(i, n - 1) {
        if (keys[i] == keys[i + 1] && (i == 0 || keys[i] != keys[i - 1])) {
            int64_t length = 1;
            while (i + length < n && keys[i + length] == keys[i]) length++;
            int64_t *values = (int64_t *)a.p[0] + i;
            RtPhilox s = rt_stream(a, (uint64_t)i);
            for (int64_t j = length - 1; j > 0; j--) {
                const int64_t r = rt_next(s) % (uint32_t)(j + 1), other = values[r];
                values[r] = values[j];
                values[j] = other;
            }
        }
    }
}
