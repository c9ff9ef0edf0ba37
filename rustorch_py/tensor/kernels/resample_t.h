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

/* Label of state s of the chain blank, l0, blank, l1, ..., blank. */
#define STATE(s) ((s) % 2 ? l[(s) / 2] : blank)

/* Graves, Fernandez, Gomez, Schmidhuber (2006), section 4.1. A chain's states are neighbours in memory, so that one loop over them is
 * a loop of registers: emit[s]: log-probability of state s's label in this frame; jump[s]: 0 where s may follow s - 2, else -infinity.
 * Buffers have room for two states before and behind the chain, which nothing reaches. */
static void SUF(ctc_chain)(int64_t S, const int64_t *l, int64_t blank, T *jump) {
    for (int64_t s = -2; s < S + 2; s++) jump[s] = s > 1 && s < S && s % 2 && STATE(s) != STATE(s - 2) ? 0 : -(T)INFINITY;
}
RT_INLINE void SUF(ctc_emit)(int64_t S, const int64_t *l, int64_t blank, const T *row, T *emit) {
    T none = row[blank];
    for (int64_t s = 0; s < S / 2; s++) { emit[2 * s] = none; emit[2 * s + 1] = row[l[s]]; }
    emit[S - 1] = none;
}
/* The states after one more frame. way: -1 forwards in time, from states s, s - 1 and s - 2; 1 backwards. */
RT_INLINE void SUF(ctc_step)(int64_t S, int way, const T *restrict was, const T *restrict jump, const T *restrict emit, T *restrict now) {
    const T *near = was + way, *far = was + 2 * way, *skip = way < 0 ? jump : jump + 2;
    RT_OMP(omp simd)
    for (int64_t s = 0; s < S; s++) {
        T a = was[s], b = near[s], c = far[s] + skip[s], m = a > b ? a : b;
        m = m > c ? m : c;
        T from = m == -(T)INFINITY ? 0 : m;
        now[s] = from + SUF(rt_log)(SUF(rt_exp)(a - from) + SUF(rt_exp)(b - from) + SUF(rt_exp)(c - from)) + emit[s];
    }
}

/* alpha(t, s): the log-probability of having written the first s / 2 labels after t + 1 frames. */
static void SUF(ctc)(const T *lp, int64_t frames, int64_t batch, int64_t classes, const int64_t *labels, int64_t max_labels,
                     const int64_t *frame_count, const int64_t *label_count, int64_t blank, T *alpha, T *loss, int threads) {
    int64_t width = 2 * max_labels + 1, line = width + 4;
    threads = few((double)batch * frames * width * 16, threads, batch);
    RT_OMP(omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1))
    for (int64_t n = 0; n < batch; n++) {
        const int64_t *l = labels + n * max_labels;
        int64_t S = 2 * label_count[n] + 1, F = frame_count[n];
        T *a = alpha + n * frames * width, *own = malloc((size_t)(4 * line) * sizeof(T));
        T *was = own + 2, *now = was + line, *jump = now + line, *emit = jump + line;
        for (int64_t i = 0; i < (F ? 2 * line : 0); i++) own[i] = -(T)INFINITY;
        for (int64_t i = 0; i < frames; i++)
            for (int64_t s = i < F ? S : 0; s < width; s++) a[i * width + s] = -(T)INFINITY;
        SUF(ctc_chain)(S, l, blank, jump);
        for (int64_t t = 0; t < F; t++) {
            SUF(ctc_emit)(S, l, blank, lp + (t * batch + n) * classes, emit);
            if (t == 0) for (int64_t s = 0; s < 2 && s < S; s++) now[s] = emit[s];
            else SUF(ctc_step)(S, -1, was, jump, emit, now);
            memcpy(a + t * width, now, (size_t)S * sizeof(T));
            T *swap = was; was = now; now = swap;
        }
        if (F == 0) loss[n] = S == 1 ? 0 : (T)INFINITY;
        else {
            T x = was[S - 1], y = S > 1 ? was[S - 2] : -(T)INFINITY, m = x > y ? x : y;
            loss[n] = m == -(T)INFINITY ? (T)INFINITY : -(m + (T)log(exp((double)(x - m)) + exp((double)(y - m))));
        }
        free(own);
    }
}

static void SUF(ctc_d0)(const T *lp, int64_t frames, int64_t batch, int64_t classes, const int64_t *labels, int64_t max_labels,
                        const int64_t *frame_count, const int64_t *label_count, int64_t blank, const T *alpha, const T *loss,
                        const T *g, int zero_infinity, T *gx, int threads) {
    int64_t width = 2 * max_labels + 1, line = width + 4;
    threads = few((double)batch * frames * width * 16, threads, batch);
    memset(gx, 0, (size_t)(frames * batch * classes) * sizeof(T));
    RT_OMP(omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1))
    for (int64_t n = 0; n < batch; n++) {
        const int64_t *l = labels + n * max_labels;
        int64_t S = 2 * label_count[n] + 1, F = frame_count[n];
        const T *a = alpha + n * frames * width;
        T total = loss[n], by = g[n];
        if (F == 0 || (zero_infinity && total == (T)INFINITY)) continue;
        T *own = malloc((size_t)(5 * line + 2 + classes) * sizeof(T));
        T *was = own + 2, *now = was + line, *jump = now + line, *emit = jump + line, *share = emit + line, *mass = share + line;
        for (int64_t i = 0; i < 2 * line; i++) own[i] = -(T)INFINITY;
        SUF(ctc_chain)(S, l, blank, jump);
        for (int64_t t = F - 1; t >= 0; t--) {
            const T *row = lp + (t * batch + n) * classes, *at = a + t * width;
            T *out = gx + (t * batch + n) * classes;
            SUF(ctc_emit)(S, l, blank, row, emit);
            if (t == F - 1) for (int64_t s = S > 1 ? S - 2 : 0; s < S; s++) now[s] = emit[s];
            else SUF(ctc_step)(S, 1, was, jump, emit, now);
            /* share of the alignments that pass here: both sides count this frame's emission */
            RT_OMP(omp simd)
            for (int64_t s = 0; s < S; s++) share[s] = SUF(rt_exp)(at[s] + now[s] + total - emit[s]);
            for (int64_t c = 0; c < classes; c++) {               /* no alignment at all: NaN */
                T left = total - row[c] - (T)INFINITY;
                mass[c] = left == left ? 0 : left;
            }
            for (int64_t s = 0; s < S; s++) mass[STATE(s)] += share[s];
            /* gradient of normalised log-probabilities: p - share of the alignments that pass here */
            RT_OMP(omp simd)
            for (int64_t c = 0; c < classes; c++) out[c] = by * (SUF(rt_exp)(row[c]) - mass[c]);
            T *swap = was; was = now; now = swap;
        }
        free(own);
    }
}
#undef STATE
