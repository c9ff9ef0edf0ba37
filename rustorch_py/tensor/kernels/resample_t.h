/* Typed body of resample.inc.c: T element, SUF(name). */

static void SUF(taps)(const T *x, int64_t outer, int64_t n, int64_t inner, int64_t m, int64_t taps, const int64_t *idx,
                      const T *w, T *y, int threads) {
    threads = few((double)outer * m * inner * taps, threads, outer);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t o = 0; o < outer; o++) {
        const T *xo = x + o * n * inner;
        T *yo = y + o * m * inner;
        if (inner == 1) {
            for (int64_t i = 0; i < m; i++) {
                T s = 0;
                for (int64_t k = i * taps; k < (i + 1) * taps; k++)
                    if (idx[k] >= 0) s += w ? w[k] * xo[idx[k]] : xo[idx[k]];
                yo[i] = s;
            }
            continue;
        }
        for (int64_t i = 0; i < m; i++) {
            T *dst = yo + i * inner;
            int first = 1;
            for (int64_t k = i * taps; k < (i + 1) * taps; k++) {
                if (idx[k] < 0) continue;
                const T *src = xo + idx[k] * inner;
                if (first && !w) memcpy(dst, src, (size_t)inner * sizeof(T));
                else if (first) { T a = w[k]; for (int64_t s = 0; s < inner; s++) dst[s] = a * src[s]; }
                else { T a = w ? w[k] : 1; for (int64_t s = 0; s < inner; s++) dst[s] += a * src[s]; }
                first = 0;
            }
            if (first) memset(dst, 0, (size_t)inner * sizeof(T));
        }
    }
}

static void SUF(taps_d0)(const T *g, int64_t outer, int64_t n, int64_t inner, int64_t m, int64_t taps, const int64_t *idx,
                         const T *w, T *gx, int threads) {
    threads = few((double)outer * m * inner * taps, threads, outer);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t o = 0; o < outer; o++) {
        T *xo = gx + o * n * inner;
        const T *go = g + o * m * inner;
        memset(xo, 0, (size_t)(n * inner) * sizeof(T));
        for (int64_t i = 0; i < m; i++)
            for (int64_t k = i * taps; k < (i + 1) * taps; k++) {
                if (idx[k] < 0) continue;
                T a = w ? w[k] : 1, *dst = xo + idx[k] * inner;
                const T *src = go + i * inner;
                for (int64_t s = 0; s < inner; s++) dst[s] += a * src[s];
            }
    }
}

static void SUF(columns)(const RtWindows *p, int64_t batch, const T *x, T *col, int threads) {
    int64_t taps = p->kernel[0] * p->kernel[1], windows = p->out[0] * p->out[1];
    threads = few((double)batch * p->channels * taps * windows, threads, batch * p->channels);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t nc = 0; nc < batch * p->channels; nc++) {
        const T *src = x + nc * p->in[0] * p->in[1];
        T *dst = col + nc * taps * windows;
        for (int64_t i = 0; i < p->kernel[0]; i++)
        for (int64_t j = 0; j < p->kernel[1]; j++)
        for (int64_t a = 0; a < p->out[0]; a++) {
            int64_t r = a * p->stride[0] - p->pad[0] + i * p->dilation[0];
            for (int64_t b = 0; b < p->out[1]; b++) {
                int64_t c = b * p->stride[1] - p->pad[1] + j * p->dilation[1];
                *dst++ = r >= 0 && r < p->in[0] && c >= 0 && c < p->in[1] ? src[r * p->in[1] + c] : 0;
            }
        }
    }
}

static void SUF(columns_d0)(const RtWindows *p, int64_t batch, const T *col, T *x, int threads) {
    int64_t taps = p->kernel[0] * p->kernel[1], windows = p->out[0] * p->out[1];
    threads = few((double)batch * p->channels * taps * windows, threads, batch * p->channels);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t nc = 0; nc < batch * p->channels; nc++) {
        T *dst = x + nc * p->in[0] * p->in[1];
        const T *src = col + nc * taps * windows;
        memset(dst, 0, (size_t)(p->in[0] * p->in[1]) * sizeof(T));
        for (int64_t i = 0; i < p->kernel[0]; i++)
        for (int64_t j = 0; j < p->kernel[1]; j++)
        for (int64_t a = 0; a < p->out[0]; a++) {
            int64_t r = a * p->stride[0] - p->pad[0] + i * p->dilation[0];
            for (int64_t b = 0; b < p->out[1]; b++, src++) {
                int64_t c = b * p->stride[1] - p->pad[1] + j * p->dilation[1];
                if (r >= 0 && r < p->in[0] && c >= 0 && c < p->in[1]) dst[r * p->in[1] + c] += *src;
            }
        }
    }
}

RT_INLINE T SUF(log_add)(T a, T b) {
    T m = a > b ? a : b;
    if (m == -(T)INFINITY) return m;
    return m + (T)log1p(exp((double)((a > b ? b : a) - m)));
}

/* Label of state s of the chain blank, l0, blank, l1, ..., blank. */
#define STATE(s) ((s) % 2 ? l[(s) / 2] : blank)

/* Graves, Fernandez, Gomez, Schmidhuber (2006), section 4.1: alpha(t,s) is the log-probability of
 * having written the first s/2 labels after t+1 frames. */
static void SUF(ctc)(const T *lp, int64_t frames, int64_t batch, int64_t classes, const int64_t *labels, int64_t max_labels,
                     const int64_t *frame_count, const int64_t *label_count, int64_t blank, T *alpha, T *loss, int threads) {
    int64_t width = 2 * max_labels + 1;
    threads = few((double)batch * frames * width * 16, threads, batch);
    RT_OMP(omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1))
    for (int64_t n = 0; n < batch; n++) {
        const int64_t *l = labels + n * max_labels;
        int64_t S = 2 * label_count[n] + 1, F = frame_count[n];
        T *a = alpha + n * frames * width;
        for (int64_t i = 0; i < frames * width; i++) a[i] = -(T)INFINITY;
        if (F == 0) { loss[n] = S == 1 ? 0 : (T)INFINITY; continue; }
        for (int64_t s = 0; s < 2 && s < S; s++) a[s] = lp[n * classes + STATE(s)];
        for (int64_t t = 1; t < F; t++) {
            const T *row = lp + (t * batch + n) * classes, *prev = a + (t - 1) * width;
            T *now = a + t * width;
            for (int64_t s = 0; s < S; s++) {
                T v = prev[s];
                if (s > 0) v = SUF(log_add)(v, prev[s - 1]);
                if (s > 1 && s % 2 && STATE(s) != STATE(s - 2)) v = SUF(log_add)(v, prev[s - 2]);
                now[s] = v + row[STATE(s)];
            }
        }
        const T *end = a + (F - 1) * width;
        loss[n] = -(S > 1 ? SUF(log_add)(end[S - 1], end[S - 2]) : end[0]);
    }
}

static void SUF(ctc_d0)(const T *lp, int64_t frames, int64_t batch, int64_t classes, const int64_t *labels, int64_t max_labels,
                        const int64_t *frame_count, const int64_t *label_count, int64_t blank, const T *alpha, const T *loss,
                        const T *g, int zero_infinity, T *gx, int threads) {
    int64_t width = 2 * max_labels + 1;
    threads = few((double)batch * frames * width * 16, threads, batch);
    memset(gx, 0, (size_t)(frames * batch * classes) * sizeof(T));
    RT_OMP(omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1))
    for (int64_t n = 0; n < batch; n++) {
        const int64_t *l = labels + n * max_labels;
        int64_t S = 2 * label_count[n] + 1, F = frame_count[n];
        const T *a = alpha + n * frames * width;
        if (F == 0 || (zero_infinity && loss[n] == (T)INFINITY)) continue;
        T *beta = malloc((size_t)(2 * width + classes) * sizeof(T));     /* two frames; sums of a frame by class */
        T *next = beta, *now = beta + width, *mass = beta + 2 * width;
        for (int64_t t = F - 1; t >= 0; t--) {
            const T *row = lp + (t * batch + n) * classes;
            T *out = gx + (t * batch + n) * classes;
            for (int64_t s = 0; s < S; s++) {
                T v;
                if (t == F - 1) v = s >= S - 2 ? 0 : -(T)INFINITY;
                else {
                    v = next[s];
                    if (s + 1 < S) v = SUF(log_add)(v, next[s + 1]);
                    if (s + 2 < S && s % 2 && STATE(s) != STATE(s + 2)) v = SUF(log_add)(v, next[s + 2]);
                }
                now[s] = v + row[STATE(s)];
            }
            for (int64_t c = 0; c < classes; c++) mass[c] = -(T)INFINITY;
            for (int64_t s = 0; s < S; s++) mass[STATE(s)] = SUF(log_add)(mass[STATE(s)], a[t * width + s] + now[s]);
            /* gradient of normalised log-probabilities: p - share of the alignments that pass here */
            for (int64_t c = 0; c < classes; c++)
                out[c] = g[n] * (T)(exp((double)row[c]) - exp((double)(mass[c] + loss[n] - row[c])));
            T *swap = next; next = now; now = swap;
        }
        free(beta);
    }
}
#undef STATE
