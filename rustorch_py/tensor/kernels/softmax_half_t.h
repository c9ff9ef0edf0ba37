/* softmax and its gradient of 16-bit floats for softmax.inc.c: E element, H(name). Some rows, or some neighbouring columns, are widened
 * to float32, computed in cache by float32's functions, and rounded once. room: two pieces (rt_softmax_piece) for each thread. */

/* The work of one task: `rows` runs of `len` elements, `step` apart, from `at` on. */
typedef struct { int64_t at, rows, len, step; } H(Piece);
RT_INLINE H(Piece) H(piece_of)(int64_t task, int64_t outer, int64_t n, int64_t inner) {
    if (inner == 1) {
        int64_t each = rt_softmax_piece(n, 1) / n, o = task * each;
        return (H(Piece)){o * n, 1, (outer - o < each ? outer - o : each) * n, 0};
    }
    int64_t wide = rt_half_columns(n), blocks = (inner + wide - 1) / wide, s0 = task % blocks * wide;
    return (H(Piece)){task / blocks * n * inner + s0, n, inner - s0 < wide ? inner - s0 : wide, inner};
}
RT_INLINE int64_t H(tasks_of)(int64_t outer, int64_t n, int64_t inner) {
    int64_t each = rt_softmax_piece(n, 1) / n, wide = rt_half_columns(n);
    return inner == 1 ? (outer + each - 1) / each : outer * ((inner + wide - 1) / wide);
}
RT_INLINE void H(take)(float *to, const E *x, H(Piece) p) {
    for (int64_t r = 0; r < p.rows; r++) H(widen_run)(to + r * p.len, x + p.at + r * p.step, p.len);
}
RT_INLINE void H(give)(E *y, const float *from, H(Piece) p) {
    for (int64_t r = 0; r < p.rows; r++) H(narrow_run)(y + p.at + r * p.step, from + r * p.len, p.len);
}

static void H(softmax)(const E *x, int64_t outer, int64_t n, int64_t inner, int logs, E *y, float *room, int threads) {
    IN_REGISTERS(H(softmax_v16)(x, outer, n, inner, logs, y, threads));
    int64_t size = rt_softmax_piece(n, inner), tasks = H(tasks_of)(outer, n, inner);
    threads = few((double)outer * n * inner, threads, tasks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < tasks; task++) {
        float *a = room + 2 * size * THREAD, *b = a + size;
        H(Piece) p = H(piece_of)(task, outer, n, inner);
        H(take)(a, x, p);
        softmax_f32(a, inner == 1 ? p.len / n : 1, n, inner == 1 ? 1 : p.len, logs, b, 1);
        H(give)(y, b, p);
    }
}

static void H(softmax_d0)(const E *g, const E *y, int64_t outer, int64_t n, int64_t inner, int logs, E *gx, float *room, int threads) {
    IN_REGISTERS(H(slope_v16)(g, y, outer, n, inner, logs, gx, threads));
    int64_t size = rt_softmax_piece(n, inner), tasks = H(tasks_of)(outer, n, inner);
    threads = few((double)outer * n * inner, threads, tasks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t task = 0; task < tasks; task++) {
        float *a = room + 2 * size * THREAD, *b = a + size;
        H(Piece) p = H(piece_of)(task, outer, n, inner);
        H(take)(a, g, p);
        H(take)(b, y, p);
        softmax_d0_f32(a, b, inner == 1 ? p.len / n : 1, n, inner == 1 ? 1 : p.len, logs, a, 1);    /* in the place of g, element by element */
        H(give)(gx, a, p);
    }
}

/* nll_loss as class_loss of softmax_t.h has it: of each row of x one element is read. loss is float32. */
static int64_t H(pick_loss)(const E *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const float *w, int64_t ignore, float *loss, double *total) {
    int64_t bad = 0;
    double sum = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t s = 0; s < inner; s++) {
            int64_t at = o * inner + s, t = target[at];
            loss[at] = 0;
            if (t == ignore) continue;
            if ((uint64_t)t >= (uint64_t)n) { bad = bad ? bad : at + 1; continue; }
            if (inner == 1 && o + 16 < outer) __builtin_prefetch(x + (o + 16) * n + target[at + 16]);      /* a line of memory for one element */
            float wt = w ? w[t] : 1;
            loss[at] = -H(one)(x[(o * n + t) * inner + s]) * wt;
            sum += wt;
        }
    *total = sum;
    return bad;
}
/* g: float32, g_step 0 or 1 */
static void H(pick_loss_d0)(int64_t outer, int64_t n, int64_t inner, const int64_t *target, const float *w, int64_t ignore, const float *g, int64_t g_step,
                            double scale, E *gx, int threads) {
    threads = few((double)outer * n * inner / 8, threads, outer);      /* zeros are written many times as fast as exponentials are made */
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t o = 0; o < outer; o++) {
        memset(gx + o * n * inner, 0, (size_t)(n * inner) * sizeof(E));
        for (int64_t s = 0; s < inner; s++) {
            int64_t at = o * inner + s, t = target[at];
            if (t == ignore) continue;
            float v = (w ? -w[t] : -1) * (float)(g[at * g_step] * scale);
            H(narrow_run)(gx + (o * n + t) * inner + s, &v, 1);
        }
    }
}
