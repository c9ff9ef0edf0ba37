/* One lane at a time, in one precision: included by fft_core.h.
 *
 * Note [Lanes alone]
 * The early passes over a single lane have strides shorter than a register. So the lane is seen as a matrix of a rows and b columns,
 * n = a b: its columns are transformed side by side, each result (k, j) times w^(k j), the matrix is turned, and its columns again; what
 * then lies row after row is the result in order. Rows are filled up to whole registers, and the split is the one that costs least by that.
 * All of it stays in the first cache, also where there are lanes enough to go side by side.
 *
 * Note [Real lanes]
 * n real elements are transformed as n / 2 complex ones z = x[2l] + i x[2l + 1], which their memory holds already. With Z their transform and
 * w = exp(-2 pi i / n), X[k] = (Z[k] + conj Z[h - k]) / 2 - i w^k (Z[k] - conj Z[h - k]) / 2, h = n / 2; the way back undoes that first. */
static int64_t K(whole)(int64_t n) { return (n + MAX_LANES - 1) / MAX_LANES * MAX_LANES; }
static int64_t K(matrix_size)(int64_t a, int64_t b) { return K(whole)(a) * K(whole)(b); }
/* What the passes of length n cost each element; its factors are among p's. */
static double K(cost)(const K(Plan) *p, int64_t n) {
    double cost = 0;
    for (int f = 0; f < p->nf; f++) {
        int radix = p->factor[f];
        if (n % radix == 0) { n /= radix; cost += radix == 4 ? 3 : radix == 2 ? 2 : radix + 1; }
    }
    return cost + (n > 1 ? 2 : 0);
}
static void K(pad)(T *restrict to, const T *restrict x, int64_t rows, int64_t n, int64_t row) {
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * row, x + r * n, (size_t)n * sizeof(T));
        memset(to + r * row + n, 0, (size_t)(row - n) * sizeof(T));
    }
}
static void K(close_up)(T *to, const T *x, int64_t rows, int64_t n, int64_t row) {
    for (int64_t r = 0; r < rows; r++) memmove(to + r * n, x + r * row, (size_t)n * sizeof(T));
}
/* (a, b) times its factors, turned: whole squares, zeros behind the rows. */
static void K(bend)(const K(Plan) *p, int64_t a, int64_t b, T sg, const T *restrict xr, const T *restrict xi, T *restrict yr, T *restrict yi) {
    const int64_t row = K(whole)(b), column = K(whole)(a);
    T tr[MAX_LANES * MAX_LANES] __attribute__((aligned(64))), ti[MAX_LANES * MAX_LANES] __attribute__((aligned(64)));
    for (int64_t k = 0; k < a; k += MAX_LANES) {
        int64_t rows = a - k < MAX_LANES ? a - k : MAX_LANES;
        if (rows < MAX_LANES) { memset(tr, 0, sizeof tr); memset(ti, 0, sizeof ti); }
        for (int64_t j = 0; j < b; j += MAX_LANES) {
            for (int64_t r = 0; r < rows; r++)
                for (int64_t e = 0; e < MAX_LANES; e += LANES) {
                    int64_t at = (k + r) * row + j + e;
                    V u = N(load)(xr + at), v = N(load)(xi + at);
                    K(times)(&u, &v, N(load)(p->bend_c + at), N(load)(p->bend_s + at) * N(set)(-sg));
                    N(store)(tr + r * MAX_LANES + e, u);
                    N(store)(ti + r * MAX_LANES + e, v);
                }
            TURN_SQUARE(yr + j * column + k, column, tr);
            TURN_SQUARE(yi + j * column + k, column, ti);
        }
    }
}
/* The transform of a lane in (ar, ai), which also gets the result. */
static void K(alone)(const K(Plan) *p, T sg, T *ar, T *ai, T *br, T *bi) {
    const int64_t a = p->rows->n, b = p->columns->n, row = K(whole)(b), column = K(whole)(a);
    T *xr = ar, *xi = ai, *yr = br, *yi = bi, *t;
#define EXCHANGE (t = xr, xr = yr, yr = t, t = xi, xi = yi, yi = t)
    if (row != b) {
        K(pad)(yr, xr, a, b, row);
        K(pad)(yi, xi, a, b, row);
        EXCHANGE;
    }
    if (K(transform)(p->rows, row, sg, xr, xi, yr, yi)) EXCHANGE;
    K(bend)(p, a, b, sg, xr, xi, yr, yi);
    EXCHANGE;
    if (K(transform)(p->columns, column, sg, xr, xi, yr, yi)) EXCHANGE;
#undef EXCHANGE
    if (xr == ar && column == a) return;
    K(close_up)(ar, xr, b, a, column);
    K(close_up)(ai, xi, b, a, column);
}
