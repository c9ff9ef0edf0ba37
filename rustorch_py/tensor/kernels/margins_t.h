/* The loops of margins.c for one type of element: T. */

static int NAME(multi)(const T *x, const int64_t *y, const T *weight, int64_t n, int64_t c, int p, T margin, T *loss, T *slope, int threads) {
    int bad = 0;
#pragma omp parallel for num_threads(threads) if (threads > 1) reduction(|:bad)
    for (int64_t r = 0; r < n; r++) {
        const T *row = x + r * c;
        int64_t at = y[r];
        if (at < 0 || at >= c) { bad = 1; continue; }
        T base = margin - row[at], w = (weight ? weight[at] : 1);
        double sum = 0, slopes = 0;
        for (int64_t j = 0; j < c; j++) {
            T z = base + row[j], h = z > 0 && j != at ? z : 0;
            T d = h > 0 ? (p == 1 ? w / c : 2 * h * w / c) : 0;
            sum += p == 1 ? h : h * h;
            slopes += d;
            if (slope) slope[r * c + j] = d;
        }
        if (slope) slope[r * c + at] = (T)-slopes;
        loss[r] = (T)(sum * w / c);
    }
    return bad ? -1 : 0;
}

/* A row's targets go by one after the other, each against all classes at once; targets are -inf among these, so that no margin is short of them. */
static int NAME(multilabel_row)(const T *x, const int64_t *y, int64_t c, T *loss, T *slope, T *others, T *sums, T *hits) {
    int64_t targets = 0;
    for (int64_t j = 0; j < c; j++) if (y[j] < -1 || y[j] >= c) return -1;
    while (targets < c && y[targets] >= 0) targets++;
    for (int64_t j = 0; j < c; j++) { others[j] = x[j]; sums[j] = hits[j] = 0; }
    for (int64_t k = 0; k < targets; k++) others[y[k]] = -INFINITY;
    if (slope) for (int64_t j = 0; j < c; j++) slope[j] = 0;
    for (int64_t k = 0; k < targets; k++) {
        T base = 1 - x[y[k]];
        INT short_of = 0;
        for (int64_t j = 0; j < c; j++) {
            T z = base + others[j];
            int in = z > 0;
            sums[j] += in ? z : 0;
            hits[j] += in ? (T)1 : (T)0;
            short_of += in;
        }
        if (slope) slope[y[k]] -= (T)short_of / c;
    }
    double sum = 0;
    for (int64_t j = 0; j < c; j++) sum += sums[j];
    if (slope) for (int64_t j = 0; j < c; j++) slope[j] += hits[j] / c;
    *loss = (T)(sum / c);
    return 0;
}

static int NAME(multilabel)(const T *x, const int64_t *y, int64_t n, int64_t c, T *loss, T *slope, int threads) {
    int bad = 0, lost = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(|:bad, lost)
    {
        T few[3 * RT_FEW_CLASSES], *room = c <= RT_FEW_CLASSES ? few : malloc(3 * sizeof(T) * c);
        if (!room) lost = 1;
#pragma omp for
        for (int64_t r = 0; r < n; r++)
            if (room && NAME(multilabel_row)(x + r * c, y + r * c, c, loss + r, slope ? slope + r * c : 0, room, room + c, room + 2 * c)) bad = 1;
        if (room != few) free(room);
    }
    return lost ? -2 : bad ? -1 : 0;
}

/* Windows begin at floors of multiples of alpha, moved by u: PyTorch's arithmetic, in the element's own precision. */
static inline void NAME(starts)(T u, int64_t size, int64_t out, int64_t kernel, int64_t *at) {
    T alpha = out > 1 ? (T)(size - kernel) / (T)(out - 1) : 0;
    for (int64_t i = 0; i < out - 1; i++) at[i] = (int64_t)((i + u) * alpha) - (int64_t)(u * alpha);
    if (out > 0) at[out - 1] = size - kernel;
}

static void NAME(fractional)(const T *x, const T *u, int64_t planes, const int64_t *s, const int64_t *k, const int64_t *o, const int *draw, int dims,
                             int64_t *begins, int64_t *where, int threads) {
    int64_t cells = o[0] * o[1] * o[2], all = o[0] + o[1] + o[2];
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t p = 0; p < planes; p++) {
        int64_t *z0 = begins + p * all, *y0 = z0 + o[0], *x0 = y0 + o[1], *to = where + p * cells;
        int64_t *axis[3] = {z0, y0, x0};
        for (int d = 0; d < 3; d++) NAME(starts)(draw[d] < 0 ? 0 : u[p * dims + draw[d]], s[d], o[d], k[d], axis[d]);
        const T *plane = x + p * s[0] * s[1] * s[2];
        for (int64_t a = 0; a < o[0]; a++) for (int64_t b = 0; b < o[1]; b++) for (int64_t c = 0; c < o[2]; c++) {
            int64_t best = (z0[a] * s[1] + y0[b]) * s[2] + x0[c];
            T most = -INFINITY;
            for (int64_t i = 0; i < k[0]; i++) for (int64_t j = 0; j < k[1]; j++) {
                int64_t line = ((z0[a] + i) * s[1] + y0[b] + j) * s[2] + x0[c];
                for (int64_t l = 0; l < k[2]; l++) {
                    T v = plane[line + l];
                    if (v > most || v != v) { most = v; best = line + l; }
                }
            }
            *to++ = best;
        }
    }
}
#undef NAME
#undef T
#undef INT
