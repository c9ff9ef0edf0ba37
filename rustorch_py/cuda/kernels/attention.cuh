// types: T = floats; N = 64 128 256
// each kernel alone
#include "line.h"
/* softmax(q k' scale + mask) v by tiles, no matrix of scores in memory (Dao et al., "FlashAttention", 2022). N: room for features, in registers.
 * Heads h of q share the keys of head h HK / H. Features are neighbours. A thread has rows r and r + 32 (or r) of a tile of 64 (32) rows and
 * columns c, c + 8, c + 16, c + 24 of 32; features pass through shared memory 32 at a time.
 * n: see the enum; steps of (image, head, position), of the mask of columns too. k[0]: scale. */
enum { BATCH, HEADS, KEY_HEADS, QUERIES, KEYS, D, E, CAUSAL, MASK, Q_STEP, K_STEP = Q_STEP + 3, V_STEP = K_STEP + 3, O_STEP = V_STEP + 3,
       M_STEP = O_STEP + 3, G_STEP = M_STEP + 4, GQ_STEP = G_STEP + 3, GK_STEP = GQ_STEP + 3, GV_STEP = GK_STEP + 3 };
enum { NO_MASK, BOOL_MASK, FLOAT_MASK };
enum { TILE = 32, ROW = TILE + 1, PARTS = N / TILE };

RT_INLINE const T *base(const RtCall &a, int p, int64_t b, int64_t h, const int64_t *step) { return (const T *)a.p[p] + b * step[0] + h * step[1]; }

/* `rows` x 32 of features from `feature` on, of positions from `first` on, into shared memory; zero beyond the ends */
template <int rows> RT_INLINE void fetch(T_C *to, const T *from, int64_t step, int64_t first, int64_t positions, int64_t feature, int64_t features) {
    for (int i = 0; i < rows * TILE / 256; i++) {
        const int at = threadIdx.x + 256 * i, r = at / TILE, f = at % TILE;
        to[r * ROW + f] = first + r < positions && feature + f < features ? T_GET(from[(first + r) * step + feature + f]) : (T_C)0;
    }
}

/* s of row r += x (rows) times y (columns), 32 features of both */
template <int R> RT_INLINE void multiply(T_C (&s)[R][4], const T_C *x, const T_C *y) {
    const int r = threadIdx.x / 8, c = threadIdx.x % 8;
    for (int d = 0; d < TILE; d++)
        for (int j = 0; j < 4; j++) {
            const T_C v = y[(c + 8 * j) * ROW + d];
            for (int i = 0; i < R; i++) s[i][j] = T_F(ma)(x[(r + 32 * i) * ROW + d], v, s[i][j]);
        }
}
/* acc of row r += p (rows x 32) times v (32 x 32 features) */
template <int R> RT_INLINE void gather(T_C (&acc)[R][N / 8], int part, const T_C *p, const T_C *v) {
    const int r = threadIdx.x / 8, c = threadIdx.x % 8;
    for (int k = 0; k < TILE; k++)
        for (int j = 0; j < 4; j++) {
            const T_C x = v[k * ROW + c + 8 * j];
            for (int i = 0; i < R; i++) acc[i][part * 4 + j] = T_F(ma)(p[(r + 32 * i) * ROW + k], x, acc[i][part * 4 + j]);
        }
}
template <int R> RT_INLINE void store(const T_C (&acc)[R][N / 8], const T_C (&scale)[R], T *to, int64_t step, int64_t first, int64_t positions, int64_t features) {
    const int r = threadIdx.x / 8, c = threadIdx.x % 8;
    for (int i = 0; i < R; i++)
        for (int j = 0; j < N / 8; j++) {
            const int64_t f = c + 8 * j;
            if (first + r + 32 * i < positions && f < features) to[(first + r + 32 * i) * step + f] = T_PUT((T_C)(acc[i][j] * scale[i]));
        }
}

/* the score of query i and key j with scale and mask; -inf: not seen */
RT_INLINE T_C score(const RtCall &a, T_C s, int64_t b, int64_t h, int64_t i, int64_t j, int mask) {
    const T_C never = T_F(lowest)(s);
    if (i >= a.n[QUERIES] || j >= a.n[KEYS] || (a.n[CAUSAL] && j > i)) return never;
    s *= (T_C)a.k[0];
    if (a.n[MASK] == NO_MASK) return s;
    const int64_t at = b * a.n[M_STEP] + h * a.n[M_STEP + 1] + i * a.n[M_STEP + 2] + j * a.n[M_STEP + 3];
    if (a.n[MASK] == BOOL_MASK) return ((const uint8_t *)a.p[mask])[at] ? s : never;
    return s + T_GET(((const T *)a.p[mask])[at]);
}

/* p: out, logarithm of each row's sum (batch, heads, queries; inf: sees nothing) or NULL, q, k, v, mask */
RT_KERNEL(RT_NAME(attention), RtCall) {
    RT_SHARED(T_C, xs, 2 * TILE * ROW);
    RT_SHARED(T_C, ys, TILE * ROW);
    RT_SHARED(T_C, ps, 2 * TILE * ROW);
    const int r = threadIdx.x / 8, c = threadIdx.x % 8;
    const int64_t q0 = (int64_t)blockIdx.x * 2 * TILE, keys = a.n[CAUSAL] && q0 + 2 * TILE < a.n[KEYS] ? q0 + 2 * TILE : a.n[KEYS];
    for (int64_t bh = blockIdx.y; bh < a.n[BATCH] * a.n[HEADS]; bh += gridDim.y) {
        const int64_t b = bh / a.n[HEADS], h = bh % a.n[HEADS], hk = h * a.n[KEY_HEADS] / a.n[HEADS];
        const T *q = base(a, 2, b, h, a.n + Q_STEP), *k = base(a, 3, b, hk, a.n + K_STEP), *v = base(a, 4, b, hk, a.n + V_STEP);
        T_C acc[2][N / 8], top[2], sum[2];
        for (int i = 0; i < 2; i++) {
            top[i] = T_F(lowest)((T_C)0);
            sum[i] = (T_C)0;
            for (int j = 0; j < N / 8; j++) acc[i][j] = (T_C)0;
        }
        for (int64_t k0 = 0; k0 < keys; k0 += TILE) {
            T_C s[2][4] = {};
            for (int64_t d = 0; d < a.n[D]; d += TILE) {
                RT_SYNC();
                fetch<2 * TILE>(xs, q, a.n[Q_STEP + 2], q0, a.n[QUERIES], d, a.n[D]);
                fetch<TILE>(ys, k, a.n[K_STEP + 2], k0, a.n[KEYS], d, a.n[D]);
                RT_SYNC();
                multiply(s, xs, ys);
            }
            for (int i = 0; i < 2; i++) {
                T_C most = top[i], total = (T_C)0;
                for (int j = 0; j < 4; j++) {
                    s[i][j] = score(a, s[i][j], b, h, q0 + r + 32 * i, k0 + c + 8 * j, 5);
                    if (s[i][j] > most || s[i][j] != s[i][j]) most = s[i][j];
                }
                most = rt_warp_reduce(most, [](T_C x, T_C y) { return x > y || x != x ? x : y; }, 8);
                const bool seen = most != T_F(lowest)(most);
                for (int j = 0; j < 4; j++) {
                    const T_C p = seen ? T_F(exp)(s[i][j] - most) : (T_C)0;
                    total += p;
                    ps[(r + 32 * i) * ROW + c + 8 * j] = p;
                }
                total = rt_warp_reduce(total, [](T_C x, T_C y) { return x + y; }, 8);
                const T_C fade = seen ? T_F(exp)(top[i] - most) : (T_C)1;
                sum[i] = sum[i] * fade + total;
                top[i] = most;
                for (int j = 0; j < N / 8; j++) acc[i][j] *= fade;
            }
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                if (part * TILE >= a.n[E]) continue;
                RT_SYNC();
                fetch<TILE>(ys, v, a.n[V_STEP + 2], k0, a.n[KEYS], part * TILE, a.n[E]);
                RT_SYNC();
                gather(acc, part, ps, ys);
            }
        }
        T_C scale[2];
        for (int i = 0; i < 2; i++) scale[i] = sum[i] == 0 ? (T_C)0 : 1 / sum[i];
        store(acc, scale, (T *)base(a, 0, b, h, a.n + O_STEP), a.n[O_STEP + 2], q0, a.n[QUERIES], a.n[E]);
        if (a.p[1] && c == 0)
            for (int i = 0; i < 2; i++)
                if (q0 + r + 32 * i < a.n[QUERIES])
                    ((T_C *)a.p[1])[bh * a.n[QUERIES] + q0 + r + 32 * i] = sum[i] == 0 ? -T_F(lowest)((T_C)0) : top[i] + T_F(log)(sum[i]);
    }
}

/* For each row the product of out and its gradient. p: delta, out, g. A warp has a row. */
RT_KERNEL(RT_NAME(attention_delta), RtCall) {
    const RtLine l = rt_line(RT_LINE_WARP);
    const bool here = l.line < a.n[BATCH] * a.n[HEADS] * a.n[QUERIES];
    T_C sum = (T_C)0;
    if (here) {
        const int64_t i = l.line % a.n[QUERIES], bh = l.line / a.n[QUERIES], b = bh / a.n[HEADS], h = bh % a.n[HEADS];
        const T *o = base(a, 1, b, h, a.n + O_STEP) + i * a.n[O_STEP + 2], *g = base(a, 2, b, h, a.n + G_STEP) + i * a.n[G_STEP + 2];
        for (int64_t e = l.part; e < a.n[E]; e += 32) sum += T_GET(o[e]) * T_GET(g[e]);
    }
    sum = rt_line_sum(l, sum);
    if (here && l.part == 0) ((T_C *)a.p[0])[l.line] = sum;
}

/* p: gradient of q, q, k, v, mask, g, logarithms, delta */
RT_KERNEL(RT_NAME(attention_back_q), RtCall) {
    RT_SHARED(T_C, xs, 2 * TILE * ROW);
    RT_SHARED(T_C, ys, TILE * ROW);
    RT_SHARED(T_C, ps, 2 * TILE * ROW);
    const int r = threadIdx.x / 8, c = threadIdx.x % 8;
    const int64_t q0 = (int64_t)blockIdx.x * 2 * TILE, keys = a.n[CAUSAL] && q0 + 2 * TILE < a.n[KEYS] ? q0 + 2 * TILE : a.n[KEYS];
    for (int64_t bh = blockIdx.y; bh < a.n[BATCH] * a.n[HEADS]; bh += gridDim.y) {
        const int64_t b = bh / a.n[HEADS], h = bh % a.n[HEADS], hk = h * a.n[KEY_HEADS] / a.n[HEADS];
        const T *q = base(a, 1, b, h, a.n + Q_STEP), *k = base(a, 2, b, hk, a.n + K_STEP), *v = base(a, 3, b, hk, a.n + V_STEP);
        const T *g = base(a, 5, b, h, a.n + G_STEP);
        T_C acc[2][N / 8], log_sum[2], delta[2];
        for (int i = 0; i < 2; i++) {
            const int64_t row = q0 + r + 32 * i < a.n[QUERIES] ? q0 + r + 32 * i : 0;
            log_sum[i] = ((const T_C *)a.p[6])[bh * a.n[QUERIES] + row];
            delta[i] = ((const T_C *)a.p[7])[bh * a.n[QUERIES] + row];
            for (int j = 0; j < N / 8; j++) acc[i][j] = (T_C)0;
        }
        for (int64_t k0 = 0; k0 < keys; k0 += TILE) {
            T_C s[2][4] = {}, dp[2][4] = {};
            for (int64_t d = 0; d < a.n[D]; d += TILE) {
                RT_SYNC();
                fetch<2 * TILE>(xs, q, a.n[Q_STEP + 2], q0, a.n[QUERIES], d, a.n[D]);
                fetch<TILE>(ys, k, a.n[K_STEP + 2], k0, a.n[KEYS], d, a.n[D]);
                RT_SYNC();
                multiply(s, xs, ys);
            }
            for (int64_t e = 0; e < a.n[E]; e += TILE) {
                RT_SYNC();
                fetch<2 * TILE>(xs, g, a.n[G_STEP + 2], q0, a.n[QUERIES], e, a.n[E]);
                fetch<TILE>(ys, v, a.n[V_STEP + 2], k0, a.n[KEYS], e, a.n[E]);
                RT_SYNC();
                multiply(dp, xs, ys);
            }
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 4; j++) {
                    const T_C p = T_F(exp)(score(a, s[i][j], b, h, q0 + r + 32 * i, k0 + c + 8 * j, 4) - log_sum[i]);
                    ps[(r + 32 * i) * ROW + c + 8 * j] = p == 0 ? (T_C)0 : p * (dp[i][j] - delta[i]);
                }
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                if (part * TILE >= a.n[D]) continue;
                RT_SYNC();
                fetch<TILE>(ys, k, a.n[K_STEP + 2], k0, a.n[KEYS], part * TILE, a.n[D]);
                RT_SYNC();
                gather(acc, part, ps, ys);
            }
        }
        const T_C scale[2] = {(T_C)a.k[0], (T_C)a.k[0]};
        store(acc, scale, (T *)base(a, 0, b, h, a.n + GQ_STEP), a.n[GQ_STEP + 2], q0, a.n[QUERIES], a.n[D]);
    }
}

/* A block has 32 keys of a head of keys and walks over all queries that see them. p: gradients of k and v, q, k, v, mask, g, logarithms, delta */
RT_KERNEL(RT_NAME(attention_back_kv), RtCall) {
    RT_SHARED(T_C, xs, TILE * ROW);
    RT_SHARED(T_C, ys, TILE * ROW);
    RT_SHARED(T_C, ps, TILE * ROW);
    RT_SHARED(T_C, ds, TILE * ROW);
    const int r = threadIdx.x / 8, c = threadIdx.x % 8;
    const int64_t k0 = (int64_t)blockIdx.x * TILE, many = a.n[HEADS] / a.n[KEY_HEADS];
    for (int64_t bh = blockIdx.y; bh < a.n[BATCH] * a.n[KEY_HEADS]; bh += gridDim.y) {
        const int64_t b = bh / a.n[KEY_HEADS], hk = bh % a.n[KEY_HEADS];
        const T *k = base(a, 3, b, hk, a.n + K_STEP), *v = base(a, 4, b, hk, a.n + V_STEP);
        T_C acc_k[1][N / 8], acc_v[1][N / 8];
        for (int j = 0; j < N / 8; j++) acc_k[0][j] = acc_v[0][j] = (T_C)0;
        for (int64_t h = hk * many; h < (hk + 1) * many; h++) {
            const T *q = base(a, 2, b, h, a.n + Q_STEP), *g = base(a, 6, b, h, a.n + G_STEP);
            const int64_t rows = (b * a.n[HEADS] + h) * a.n[QUERIES];
            for (int64_t q0 = a.n[CAUSAL] ? k0 : 0; q0 < a.n[QUERIES]; q0 += TILE) {
                T_C s[1][4] = {}, dp[1][4] = {};
                for (int64_t d = 0; d < a.n[D]; d += TILE) {
                    RT_SYNC();
                    fetch<TILE>(xs, k, a.n[K_STEP + 2], k0, a.n[KEYS], d, a.n[D]);
                    fetch<TILE>(ys, q, a.n[Q_STEP + 2], q0, a.n[QUERIES], d, a.n[D]);
                    RT_SYNC();
                    multiply(s, xs, ys);
                }
                for (int64_t e = 0; e < a.n[E]; e += TILE) {
                    RT_SYNC();
                    fetch<TILE>(xs, v, a.n[V_STEP + 2], k0, a.n[KEYS], e, a.n[E]);
                    fetch<TILE>(ys, g, a.n[G_STEP + 2], q0, a.n[QUERIES], e, a.n[E]);
                    RT_SYNC();
                    multiply(dp, xs, ys);
                }
                for (int j = 0; j < 4; j++) {
                    const int64_t i = q0 + c + 8 * j, row = rows + (i < a.n[QUERIES] ? i : 0);
                    const T_C p = T_F(exp)(score(a, s[0][j], b, h, i, k0 + r, 5) - ((const T_C *)a.p[7])[row]);
                    ps[r * ROW + c + 8 * j] = p;
                    ds[r * ROW + c + 8 * j] = p == 0 ? (T_C)0 : p * (dp[0][j] - ((const T_C *)a.p[8])[row]);
                }
#pragma unroll
                for (int part = 0; part < PARTS; part++) {
                    if (part * TILE >= a.n[E]) continue;
                    RT_SYNC();
                    fetch<TILE>(ys, g, a.n[G_STEP + 2], q0, a.n[QUERIES], part * TILE, a.n[E]);
                    RT_SYNC();
                    gather(acc_v, part, ps, ys);
                }
#pragma unroll
                for (int part = 0; part < PARTS; part++) {
                    if (part * TILE >= a.n[D]) continue;
                    RT_SYNC();
                    fetch<TILE>(ys, q, a.n[Q_STEP + 2], q0, a.n[QUERIES], part * TILE, a.n[D]);
                    RT_SYNC();
                    gather(acc_k, part, ds, ys);
                }
            }
        }
        const T_C scale[1] = {(T_C)a.k[0]}, one[1] = {(T_C)1};
        store(acc_k, scale, (T *)base(a, 0, b, hk, a.n + GK_STEP), a.n[GK_STEP + 2], k0, a.n[KEYS], a.n[D]);
        store(acc_v, one, (T *)base(a, 1, b, hk, a.n + GV_STEP), a.n[GV_STEP + 2], k0, a.n[KEYS], a.n[E]);
    }
}
