/* Typed body of pool.inc.c: averages, and what works on arrays with their channels innermost. T element, V vector, VF(load)
 * etc., LANES, SUF(name); PLACES: a vector of integers as wide as V's elements. */

/* Outputs [from, to) of the last dimension whose windows lie inside the input, as wide as the kernel; none when windows are
 * not evenly spaced. */
static void SUF(inside)(const RtPool *p, int64_t *from, int64_t *to) {
    int64_t c = 0;
    if (p->stride[2]) while (c < p->out[2] && p->hi[2][c] - p->lo[2][c] != p->kernel[2]) c++;
    *from = c;
    if (p->stride[2]) while (c < p->out[2] && p->hi[2][c] - p->lo[2][c] == p->kernel[2]) c++;
    *to = c;
}

RT_INLINE V SUF(row_sum)(const T *x, int64_t rows, const int64_t *at, int64_t i) {
    V s = VF(load)(x + at[0] + i);
    for (int64_t r = 1; r < rows; r++) s += VF(load)(x + at[r] + i);
    return s;
}
RT_INLINE V SUF(row_sum_first)(const T *x, int64_t rows, const int64_t *at, int64_t i, int n) {
    V s = VF(load_first)(x + at[0] + i, n);
    for (int64_t r = 1; r < rows; r++) s += VF(load_first)(x + at[r] + i, n);
    return s;
}

/* y[0..n) = averages of pairs of neighbours of the summed rows, from column `i` on */
static void SUF(pairs)(const T *x, int64_t rows, const int64_t *at, int64_t i, int64_t n, T divisor, T *y) {
    V d = VF(set)(divisor);
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES)
        VF(store)(y + c, VF(pair_sums)(SUF(row_sum)(x, rows, at, i + 2 * c), SUF(row_sum)(x, rows, at, i + 2 * c + LANES)) / d);
    if (c < n) {
        int left = (int)(2 * (n - c)), lo = left < LANES ? left : LANES;
        V b = {0};
        if (left > LANES) b = SUF(row_sum_first)(x, rows, at, i + 2 * c + LANES, left - LANES);
        VF(store_first)(y + c, VF(pair_sums)(SUF(row_sum_first)(x, rows, at, i + 2 * c, lo), b) / d, (int)(n - c));
    }
}

/* Maxima of windows two columns wide, side by side, whole registers of them at a time; 0: they are not. placed: idx is wanted. */
RT_INLINE int SUF(pair_maxima)(const RtPool *p, const T *x, T *y, int64_t *idx, int placed) {
    int64_t W = p->in[2], n = p->out[2];
    if (p->kernel[2] != 2 || p->stride[2] != 2 || p->dilation[2] != 1 || p->pad[2] || 2 * n > W) return 0;
    PLACES steps;
    for (int i = 0; i < LANES; i++) steps[i] = 2 * i;
    for (int64_t a = 0; a < p->out[0]; a++)
    for (int64_t b = 0; b < p->out[1]; b++, y += n, idx += placed ? n : 0) {
        int64_t first = (p->lo[0][a] * p->in[1] + p->lo[1][b]) * W;
        for (int64_t c = 0; c < n; c += LANES) {
            int left = n - c < LANES ? (int)(n - c) : LANES, low = 2 * left < LANES ? 2 * left : LANES;
            V best = VF(set)(-(T)INFINITY);
            PLACES at = steps + (__typeof__(steps[0]))(first + 2 * c);
            for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z += p->dilation[0])
            for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r += p->dilation[1]) {
                int64_t base = (z * p->in[1] + r) * W + 2 * c;
                V lo, hi = {0};
                if (left == LANES) { lo = VF(load)(x + base); hi = VF(load)(x + base + LANES); }
                else {
                    lo = VF(load_first)(x + base, low);
                    if (2 * left > LANES) hi = VF(load_first)(x + base + LANES, 2 * left - LANES);
                }
                V even = VF(evens_of)(lo, hi), odd = VF(odds_of)(lo, hi);
                PLACES here = steps + (__typeof__(steps[0]))base, up = (even > best) | (even != even);
                best = (V)(((PLACES)even & up) | ((PLACES)best & ~up));
                at = (here & up) | (at & ~up);
                up = (odd > best) | (odd != odd);
                best = (V)(((PLACES)odd & up) | ((PLACES)best & ~up));
                at = ((here + 1) & up) | (at & ~up);
            }
            if (left == LANES) VF(store)(y + c, best);
            else VF(store_first)(y + c, best, left);
            if (placed) for (int i = 0; i < left; i++) idx[c + i] = at[i];
        }
    }
    return 1;
}

static int SUF(max_pairs)(const RtPool *p, const T *x, T *y, int64_t *idx) { return SUF(pair_maxima)(p, x, y, idx, 1); }

/* ---- maxima whose places nobody asks for: the rows of a window first, then along the row ---- */
/* from, to: the outputs of a row whose windows lie inside it. Finding these takes a look at each, so once for all planes. */
static void SUF(top)(const RtPool *p, const T *x, T *y, T *restrict high, int64_t from, int64_t to) {
    int64_t W = p->in[2], k = p->kernel[2], s = p->stride[2];
    for (int64_t a = 0; a < p->out[0]; a++)
    for (int64_t b = 0; b < p->out[1]; b++, y += p->out[2]) {
        const T *line = NULL;
        for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z += p->dilation[0])
        for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r += p->dilation[1]) {
            const T *restrict row = x + (z * p->in[1] + r) * W;
            if (!line) line = row;
            else if (line != high) {
                const T *restrict old = line;
                for (int64_t i = 0; i < W; i++) high[i] = SUF(higher)(old[i], row[i]);
                line = high;
            } else for (int64_t i = 0; i < W; i++) high[i] = SUF(higher)(high[i], row[i]);
        }
        int64_t n = to - from;
        for (int64_t c = 0; c < p->out[2]; c++) {
            if (c == from && n > 0) {
                const T *first = line + p->lo[2][c];
                SUF(across_any)(first, y + c, n, s, k);
                c += n - 1;
                continue;
            }
            T best = -(T)INFINITY;
            for (int64_t i = p->lo[2][c]; line && i < p->hi[2][c]; i += p->dilation[2]) best = SUF(higher)(best, line[i]);
            y[c] = best;
        }
    }
}

static void SUF(tops)(const RtPool *p, const T *x, T *y, int threads) {
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2], from, to;
    SUF(inside)(p, &from, &to);
    if (p->dilation[2] != 1) to = from;
    threads = few((double)p->planes * (in + out) / 2, threads, p->planes);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T small[ROW_MAX], *high = p->in[2] <= ROW_MAX ? small : malloc((size_t)p->in[2] * sizeof(T));
        RT_OMP(omp for schedule(static))
        for (int64_t q = 0; q < p->planes; q++)
            if (!SUF(pair_maxima)(p, x + q * in, y + q * out, NULL, 0)) SUF(top)(p, x + q * in, y + q * out, high, from, to);
        if (high != small) free(high);
    }
}

#define ROWS_MAX 64      /* rows of a window whose places are listed */

#define PLANE_MAX 4096   /* elements that are added in one go: longer sums by pieces of so many, whose error grows less */

static T SUF(plane_sum)(int64_t n, const T *x) {
    V s = {0}, t = {0};
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) { s += VF(load)(x + i); t += VF(load)(x + i + LANES); }
    if (i + LANES <= n) { s += VF(load)(x + i); i += LANES; }
    if (i < n) t += VF(load_first)(x + i, (int)(n - i));
    return VF(sum)(s + t);
}

static void SUF(avg)(const RtPool *p, const T *x, T *y, int threads) {
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2], W = p->in[2], from, to;
    SUF(inside)(p, &from, &to);
    int two = p->kernel[2] == 2 && p->stride[2] == 2 && p->kernel[0] * p->kernel[1] <= ROWS_MAX;
    if (!two && p->stride[2] > 2) to = from;
    int whole = rt_pool_whole(p);
    threads = few((double)p->planes * (in + out), threads, p->planes);
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T small[ROW_MAX + 2 * LANES], *sum = W <= ROW_MAX ? small : malloc((size_t)(W + 2 * LANES) * sizeof(T));
        int64_t at[ROWS_MAX];
        RT_OMP(omp for schedule(static))
        for (int64_t q = 0; q < p->planes; q++) {
            const T *xq = x + q * in;
            T *yq = y + q * out;
            if (whole) {
                T s = 0;
                for (int64_t i = 0; i < in; i += PLANE_MAX) s += SUF(plane_sum)(in - i < PLANE_MAX ? in - i : PLANE_MAX, xq + i);
                *yq = s / (p->divisor != 0 ? (T)p->divisor : (T)(p->size[0][0] * p->size[1][0] * p->size[2][0]));
                continue;
            }
            for (int64_t a = 0; a < p->out[0]; a++)
            for (int64_t b = 0; b < p->out[1]; b++, yq += p->out[2]) {
                T sizes = (T)(p->size[0][a] * p->size[1][b]);
                int64_t c = 0, rows = 0, n = (p->hi[0][a] - p->lo[0][a]) * (p->hi[1][b] - p->lo[1][b]);
                if (two && n > 0) {
                    for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z++)
                        for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r++) at[rows++] = (z * p->in[1] + r) * W;
                    if (to > from) SUF(pairs)(xq, rows, at, p->lo[2][from], to - from, p->divisor != 0 ? (T)p->divisor : sizes * 2, yq + from);
                    for (; c < p->out[2]; c++) {
                        if (c == from && to > from) c = to;
                        if (c == p->out[2]) break;
                        T s = 0;
                        for (int64_t i = p->lo[2][c]; i < p->hi[2][c]; i++) {
                            T t = xq[at[0] + i];
                            for (int64_t r = 1; r < rows; r++) t += xq[at[r] + i];
                            s += t;
                        }
                        yq[c] = s / (p->divisor != 0 ? (T)p->divisor : sizes * (T)p->size[2][c]);
                    }
                    continue;
                }
                const T *line = sum;
                for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z++)
                for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r++, rows++) {
                    const T *row = xq + (z * p->in[1] + r) * W;
                    if (n == 1) line = row;
                    else if (rows == 0) memcpy(sum, row, (size_t)W * sizeof(T));
                    else for (int64_t i = 0; i < W; i++) sum[i] += row[i];
                }
                if (rows == 0) memset(sum, 0, (size_t)W * sizeof(T));
                for (; c < p->out[2]; c++) {
                    if (c == from && to - from >= LANES) {
                        V d = VF(set)(p->divisor != 0 ? (T)p->divisor : sizes * (T)p->kernel[2]);
                        for (; c + LANES <= to; c += LANES) {
                            const T *first = line + p->lo[2][c];
                            V s = {0};
                            for (int64_t i = 0; i < p->kernel[2]; i++) s += p->stride[2] == 1 ? VF(load)(first + i) : VF(evens)(first + i);
                            VF(store)(yq + c, s / d);
                        }
                        if (c == p->out[2]) break;
                    }
                    T s = 0;
                    int64_t i = p->lo[2][c];
                    if (p->hi[2][c] - i >= 2 * LANES) {
                        V v = {0};
                        for (; i + LANES <= p->hi[2][c]; i += LANES) v += VF(load)(line + i);
                        s = VF(sum)(v);
                    }
                    for (; i < p->hi[2][c]; i++) s += line[i];
                    yq[c] = s / (p->divisor != 0 ? (T)p->divisor : sizes * (T)p->size[2][c]);
                }
            }
        }
        if (sum != small) free(sum);
    }
}

static void SUF(avg_d0)(const RtPool *p, const T *g, T *gx, int threads) {
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2], W = p->in[2];
    int apart = 1;                        /* windows share nothing: every result is written once */
    for (int d = 0; d < 3; d++) apart &= p->stride[d] == p->kernel[d] && p->pad[d] == 0 && p->out[d] * p->stride[d] == p->in[d];
    int two = apart && p->kernel[2] == 2;
    threads = few((double)p->planes * (in + out), threads, p->planes);
    if (rt_pool_whole(p)) {
        T divisor = p->divisor != 0 ? (T)p->divisor : (T)(p->size[0][0] * p->size[1][0] * p->size[2][0]);
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t q = 0; q < p->planes; q++) {
            T v = g[q] / divisor, *restrict xq = gx + q * in;
            for (int64_t i = 0; i < in; i++) xq[i] = v;
        }
        return;
    }
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        T small[ROW_MAX], *sum = W <= ROW_MAX ? small : malloc((size_t)W * sizeof(T));
        RT_OMP(omp for schedule(static))
        for (int64_t q = 0; q < p->planes; q++) {
            const T *gq = g + q * out;
            T *xq = gx + q * in;
            if (!apart) memset(xq, 0, (size_t)in * sizeof(T));
            for (int64_t a = 0; a < p->out[0]; a++)
            for (int64_t b = 0; b < p->out[1]; b++, gq += p->out[2]) {
                T sizes = (T)(p->size[0][a] * p->size[1][b]);
                int64_t c = 0;
                if (two) {
                    V d = VF(set)(p->divisor != 0 ? (T)p->divisor : sizes * 2);
                    for (; c + LANES <= p->out[2]; c += LANES) {
                        V lo, hi, v = VF(load)(gq + c) / d;
                        VF(twice)(v, &lo, &hi);
                        VF(store)(sum + 2 * c, lo);
                        VF(store)(sum + 2 * c + LANES, hi);
                    }
                } else for (int64_t i = 0; i < W; i++) sum[i] = 0;
                for (; c < p->out[2]; c++) {
                    T v = gq[c] / (p->divisor != 0 ? (T)p->divisor : sizes * (T)p->size[2][c]);
                    if (two) sum[2 * c] = sum[2 * c + 1] = v;
                    else for (int64_t i = p->lo[2][c]; i < p->hi[2][c]; i++) sum[i] += v;
                }
                for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z++)
                for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r++) {
                    T *row = xq + (z * p->in[1] + r) * W;
                    if (apart) for (int64_t i = 0; i < W; i++) row[i] = sum[i];
                    else for (int64_t i = 0; i < W; i++) row[i] += sum[i];
                }
            }
        }
        if (sum != small) free(sum);
    }
}

/* ---- channels innermost: element (image, position, channel) ---- */
#define EACH_WINDOW(body)                                                                               \
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2], rows = p->out[0] * p->out[1]; \
    threads = few((double)images * channels * (in + out), threads, images * rows);                      \
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))                     \
    for (int64_t q = 0; q < images * rows; q++) {                                                       \
        int64_t n = q / rows, a = q % rows / p->out[1], b = q % p->out[1];                              \
        for (int64_t c = 0; c < p->out[2]; c++)                                                         \
            for (int64_t k0 = 0; k0 < channels; k0 += ROW_MAX) {                                        \
                int64_t m = channels - k0 < ROW_MAX ? channels - k0 : ROW_MAX;                          \
                int64_t o = (n * out + (a * p->out[1] + b) * p->out[2] + c) * channels + k0;            \
                body                                                                                    \
            }                                                                                           \
    }
#define EACH_TAP                                                                                        \
    for (int64_t z = p->lo[0][a]; z < p->hi[0][a]; z += p->dilation[0])                                 \
    for (int64_t r = p->lo[1][b]; r < p->hi[1][b]; r += p->dilation[1])                                 \
    for (int64_t w = p->lo[2][c]; w < p->hi[2][c]; w += p->dilation[2])

static void SUF(max_last)(const RtPool *p, int64_t images, int64_t channels, const T *x, T *y, int64_t *idx, int threads) {
    if (!idx) {
        EACH_WINDOW(
            T best[ROW_MAX];
            for (int64_t k = 0; k < m; k++) best[k] = -(T)INFINITY;
            EACH_TAP {
                const T *from = x + (n * in + (z * p->in[1] + r) * p->in[2] + w) * channels + k0;
                for (int64_t k = 0; k < m; k++) best[k] = SUF(higher)(best[k], from[k]);
            }
            memcpy(y + o, best, (size_t)m * sizeof(T));
        )
        return;
    }
    EACH_WINDOW(
        T best[ROW_MAX]; int64_t at[ROW_MAX];
        int64_t first = (p->lo[0][a] * p->in[1] + p->lo[1][b]) * p->in[2] + p->lo[2][c];
        for (int64_t k = 0; k < m; k++) { best[k] = -(T)INFINITY; at[k] = first; }
        EACH_TAP {
            int64_t i = (z * p->in[1] + r) * p->in[2] + w;
            const T *from = x + (n * in + i) * channels + k0;
            for (int64_t k = 0; k < m; k++) {
                T v = from[k];
                int up = (v > best[k]) | (v != v);
                best[k] = up ? v : best[k];
                at[k] = up ? i : at[k];
            }
        }
        memcpy(y + o, best, (size_t)m * sizeof(T));
        memcpy(idx + o, at, (size_t)m * sizeof(int64_t));
    )
}

/* Sums of a window stay in registers, COUNT vectors of channels at a time; `last` of the vector's channels are there. */
#define AVG_BLOCK(COUNT, LOAD, STORE)                                                                   \
    V s[COUNT];                                                                                         \
    for (int j = 0; j < COUNT; j++) s[j] = (V){0};                                                      \
    EACH_TAP {                                                                                          \
        const T *from = x + (n * in + (z * p->in[1] + r) * p->in[2] + w) * channels + k0 + k;           \
        for (int j = 0; j < COUNT; j++) s[j] += LOAD;                                                   \
    }                                                                                                   \
    for (int j = 0; j < COUNT; j++) STORE;
static void SUF(avg_last)(const RtPool *p, int64_t images, int64_t channels, const T *x, T *y, int threads) {
    EACH_WINDOW(
        const V divisor = VF(set)(p->divisor != 0 ? (T)p->divisor : (T)(p->size[0][a] * p->size[1][b] * p->size[2][c]));
        int64_t k = 0;
        for (; k + 8 * LANES <= m; k += 8 * LANES) { AVG_BLOCK(8, VF(load)(from + j * LANES), VF(store)(y + o + k + j * LANES, s[j] / divisor)) }
        for (; k + 4 * LANES <= m; k += 4 * LANES) { AVG_BLOCK(4, VF(load)(from + j * LANES), VF(store)(y + o + k + j * LANES, s[j] / divisor)) }
        for (; k + LANES <= m; k += LANES) { AVG_BLOCK(1, VF(load)(from), VF(store)(y + o + k, s[j] / divisor)) }
        if (k < m) { const int last = (int)(m - k); AVG_BLOCK(1, VF(load_first)(from, last), VF(store_first)(y + o + k, s[j] / divisor, last)) }
    )
}
#undef AVG_BLOCK

/* an image at a time: windows may overlap */
static void SUF(avg_last_d0)(const RtPool *p, int64_t images, int64_t channels, const T *g, T *gx, int threads) {
    int64_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2];
    threads = few((double)images * channels * (in + out), threads, images);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t n = 0; n < images; n++) {
        const T *gn = g + n * out * channels;
        T *xn = gx + n * in * channels;
        memset(xn, 0, (size_t)(in * channels) * sizeof(T));
        for (int64_t a = 0; a < p->out[0]; a++)
        for (int64_t b = 0; b < p->out[1]; b++)
        for (int64_t c = 0; c < p->out[2]; c++, gn += channels) {
            T divisor = p->divisor != 0 ? (T)p->divisor : (T)(p->size[0][a] * p->size[1][b] * p->size[2][c]);
            EACH_TAP {
                T *to = xn + ((z * p->in[1] + r) * p->in[2] + w) * channels;
                for (int64_t k = 0; k < channels; k++) to[k] += gn[k] / divisor;
            }
        }
    }
}

static int64_t SUF(scatter_last)(int64_t images, int64_t channels, int64_t in, int64_t out, const int64_t *idx, const T *g, T *gx, int threads) {
    int64_t bad = 0;
    threads = few((double)images * channels * (in + out), threads, images);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t n = 0; n < images; n++) {
        T *x = gx + n * in * channels;
        memset(x, 0, (size_t)(in * channels) * sizeof(T));
        for (int64_t t = n * out; t < (n + 1) * out; t++)
            for (int64_t k = 0; k < channels; k++) {
                int64_t i = idx[t * channels + k];
                if ((uint64_t)i >= (uint64_t)in) {
                    RT_OMP(omp atomic write)
                    bad = t * channels + k + 1;
                    continue;
                }
                x[i * channels + k] += g[t * channels + k];
            }
    }
    return bad;
}

static void SUF(gather_last)(int64_t images, int64_t channels, int64_t in, int64_t out, const int64_t *idx, const T *x, T *y, int threads) {
    threads = few((double)images * channels * (in + out), threads, images);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t n = 0; n < images; n++)
        for (int64_t t = n * out; t < (n + 1) * out; t++)
            for (int64_t k = 0; k < channels; k++)
                y[t * channels + k] = x[(n * in + idx[t * channels + k]) * channels + k];
}
