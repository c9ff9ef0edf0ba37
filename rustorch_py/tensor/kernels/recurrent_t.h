/* Typed body of recurrent.inc.c: T element, L lanes, P(name) of panel_t.h, M(name)_suffix. */

/* ---- the gates of n neighbouring units of one sequence ---------------------------------------------------------
 * x: input part, gate g at x[g * H]; pre: hidden part, gate g at pre[g * step]; act: gate a at act[a * H]. */
RT_INLINE void M(lstm_units)(int64_t n, int64_t H, const T *restrict x, const T *restrict pre, int64_t step, const T *restrict bias,
                             T *restrict c, T *restrict h, T *restrict act) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T a_i = x[u] + pre[u], a_f = x[H + u] + pre[step + u], a_g = x[2 * H + u] + pre[2 * step + u];
        T a_o = x[3 * H + u] + pre[3 * step + u];
        if (bias) { a_i += bias[u]; a_f += bias[H + u]; a_g += bias[2 * H + u]; a_o += bias[3 * H + u]; }
        T i = M(rt_sigmoid)(a_i), f = M(rt_sigmoid)(a_f), g = M(rt_tanh)(a_g), o = M(rt_sigmoid)(a_o);
        T was = c[u], now = f * was + i * g, squashed = M(rt_tanh)(now);
        c[u] = now;
        h[u] = o * squashed;
        if (act) {
            act[u] = i; act[H + u] = f; act[2 * H + u] = g; act[3 * H + u] = o;
            act[4 * H + u] = squashed; act[5 * H + u] = was;
        }
    }
}

RT_INLINE void M(gru_units)(int64_t n, int64_t H, const T *restrict x, const T *restrict pre, int64_t step, const T *restrict bias,
                            const T *restrict was, T *restrict h, T *restrict act) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T a_r = pre[u], a_z = pre[step + u], hidden = pre[2 * step + u];
        if (bias) { a_r += bias[u]; a_z += bias[H + u]; hidden += bias[2 * H + u]; }
        T r = M(rt_sigmoid)(x[u] + a_r), z = M(rt_sigmoid)(x[H + u] + a_z), m = M(rt_tanh)(x[2 * H + u] + r * hidden);
        h[u] = m + z * (was[u] - m);
        if (act) { act[u] = r; act[H + u] = z; act[2 * H + u] = m; act[3 * H + u] = hidden; }
    }
}

RT_INLINE void M(rnn_units)(int64_t n, int relu, const T *restrict x, const T *restrict pre, const T *restrict bias, T *restrict h,
                            T *restrict act) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T a = x[u] + pre[u];
        if (bias) a += bias[u];
        T v = relu ? (a < 0 ? 0 : a) : M(rt_tanh)(a);
        h[u] = v;
        if (act) act[u] = v;
    }
}

/* Rows of one step, units u .. u + n. pre_r: row length ld. `state` is the hidden state before the step. */
RT_INLINE void M(units)(const RtScan *s, int64_t m, int64_t n, int64_t u, const T *gates, const T *pre, int64_t ld, int64_t step,
                        const T *state, T *c, T *h, T *act) {
    int64_t H = s->H, G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode);
    const T *bias = s->b_hh ? (const T *)s->b_hh + u : NULL;
    for (int64_t r = 0; r < m; r++) {
        const T *x = gates + r * G * H + u, *p = pre + r * ld;
        T *o = h + r * H + u, *a = act ? act + r * A * H + u : NULL;
        if (s->mode == RT_LSTM) M(lstm_units)(n, H, x, p, step, bias, c + r * H + u, o, a);
        else if (s->mode == RT_GRU) M(gru_units)(n, H, x, p, step, bias, state + r * H + u, o, a);
        else M(rnn_units)(n, s->mode == RT_RNN_RELU, x, p, bias, o, a);
    }
}

/* Few rows in all: packing would cost more than it saves. */
static int M(direct)(const RtScan *s) {
    int64_t rows = 0;
    for (int64_t t = 0; t < s->S; t++) rows += s->sizes[t];
    return s->S == 1 || rows <= 6;
}

/* Units whose gates share a panel. */
static int64_t M(panel_units)(int mode) { return rt_scan_gates(mode) == 1 ? RT_PANEL_REGS * L : L; }

static int64_t M(scan_work)(const RtScan *s, int backward) {
    int64_t G = rt_scan_gates(s->mode), U = M(panel_units)(s->mode), H = s->H, out = s->w_hr ? s->N * H : 0;
    if (backward) return out + P(packed)(G * H, s->P) + (s->w_hr ? P(packed)(s->P, H) : 0);
    if (M(direct)(s)) return out + s->N * G * H;
    return out + s->N * G * U + (H + U - 1) / U * U * G * s->P + (s->w_hr ? P(packed)(H, s->P) : 0);
}

/* Pack w_hh for the units from u: k rows of G * U columns. */
static void M(pack_gates)(const RtScan *s, int64_t u, T *out) {
    int64_t G = rt_scan_gates(s->mode), U = M(panel_units)(s->mode), K = s->P;
    for (int64_t g = 0; g < G; g++)
        for (int64_t q = 0; q < U; q += L) {
            int64_t left = s->H - u - q, len = left < 0 ? 0 : left < L ? left : L;
            P(pack_turned)(K, len, (const T *)s->w_hh + (g * s->H + u + q) * K, K, out + g * U + q, G * U);
        }
}

static void M(scan)(const RtScan *s, const RtGemmTable *gemm) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, U = M(panel_units)(s->mode);
    int64_t bounds[SEQUENCES_MAX_THREADS + 1], panels = (H + U - 1) / U;
    int direct = M(direct)(s), team = team_size(s, G * H * K, bounds);
    int regs = (int)(G * U / L);
    T *raw_n = s->work, *pre_n = raw_n + (s->w_hr ? s->N * H : 0);
    T *packed = pre_n + s->N * G * U, *packed_hr = packed + panels * U * G * K;
    if (direct) packed = packed_hr = NULL;
    RT_OMP(omp parallel num_threads(team) if (team > 1))
    {
#ifdef _OPENMP
        int me = team > 1 ? omp_get_thread_num() : 0;
#else
        int me = 0;
#endif
        int64_t from = bounds[me], to = bounds[me + 1];
        if (!direct) {
            for (int64_t j = me; j < panels; j += team) M(pack_gates)(s, j * U, packed + j * U * G * K);
            if (s->w_hr)
                for (int64_t j = me * L; j < K; j += team * L) {   /* registers of the turned (P, H) projection */
                    int64_t j0 = j / (RT_PANEL_REGS * L) * (RT_PANEL_REGS * L), w = P(regs)(K, j0) * L;
                    P(pack_turned)(H, K - j < L ? K - j : L, (const T *)s->w_hr + j * H, H, packed_hr + H * j0 + (j - j0), w);
                }
        }
        T *state = (T *)s->hn + from * K, *c = s->mode == RT_LSTM ? (T *)s->cn + from * H : NULL;
        size_t state_bytes = (size_t)((to - from) * K) * sizeof(T), cell_bytes = (size_t)((to - from) * H) * sizeof(T);
        if (s->h0) memcpy(state, (const T *)s->h0 + from * K, state_bytes);
        else memset(state, 0, state_bytes);
        if (c && s->c0) memcpy(c, (const T *)s->c0 + from * H, cell_bytes);
        else if (c) memset(c, 0, cell_bytes);
        RT_OMP(omp barrier)
        for (int64_t i = 0; i < s->S; i++) {
            int64_t t = s->reverse ? s->S - 1 - i : i, m = (s->sizes[t] < to ? s->sizes[t] : to) - from, row = s->first[t] + from;
            if (m <= 0) continue;
            const T *gates = (const T *)s->gates + row * G * H;
            T *act = s->act ? (T *)s->act + row * A * H : NULL, *out = (T *)s->out + row * K;
            T *h = !s->w_hr ? out : s->raw ? (T *)s->raw + row * H : raw_n + from * H;
            if (s->before) memcpy((T *)s->before + row * K, state, (size_t)(m * K) * sizeof(T));
            if (direct) {
                T *pre = pre_n + from * G * H;
                M(gemm->nt)(m, G * H, K, state, K, s->w_hh, K, pre, G * H, 1, 0, NULL);
                M(units)(s, m, H, 0, gates, pre, G * H, H, state, c, h, act);
                if (s->w_hr) M(gemm->nt)(m, K, H, h, H, s->w_hr, H, out, K, 1, 0, NULL);
            } else {
                T *pre = pre_n + from * G * U;
                for (int64_t u = 0; u < H; u += U) {
                    P(panel)(m, regs, K, state, K, 1, packed + u * G * K, G * U, pre, G * U, 0);
                    if (H - u >= L && U == L) M(units)(s, m, L, u, gates, pre, G * U, U, state, c, h, act);
                    else M(units)(s, m, H - u < U ? H - u : U, u, gates, pre, G * U, U, state, c, h, act);
                }
                if (s->w_hr) P(product)(m, K, H, h, H, packed_hr, out, K, 0);
            }
            memcpy(state, out, (size_t)(m * K) * sizeof(T));
        }
    }
}

/* ---- gradient -------------------------------------------------------------------------------------------------------
 * One row's gates: dh in, d_gates out; dc is carried. GRU also writes the share of dh that bypasses the product. */
RT_INLINE void M(lstm_row_d0)(int64_t H, const T *restrict act, const T *restrict dh, T *restrict dc, T *restrict d) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < H; u++) {
        T i = act[u], f = act[H + u], g = act[2 * H + u], o = act[3 * H + u], tc = act[4 * H + u], was = act[5 * H + u];
        T all = dc[u] + dh[u] * o * (1 - tc * tc);
        d[u] = all * g * i * (1 - i);
        d[H + u] = all * was * f * (1 - f);
        d[2 * H + u] = all * i * (1 - g * g);
        d[3 * H + u] = dh[u] * tc * o * (1 - o);
        dc[u] = all * f;
    }
}

RT_INLINE void M(gru_row_d0)(int64_t H, const T *restrict act, const T *restrict was, T *restrict dh, T *restrict d, T *restrict dhid) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < H; u++) {
        T r = act[u], z = act[H + u], m = act[2 * H + u], hidden = act[3 * H + u], g = dh[u];
        T dm = g * (1 - z) * (1 - m * m), dr = dm * hidden * r * (1 - r), dz = g * (was[u] - m) * z * (1 - z);
        d[u] = dr; d[H + u] = dz; d[2 * H + u] = dm;
        dhid[u] = dr; dhid[H + u] = dz; dhid[2 * H + u] = dm * r;
        dh[u] = g * z;
    }
}

static void M(scan_d0)(const RtScan *s) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P;
    int64_t bounds[SEQUENCES_MAX_THREADS + 1], wide = RT_PANEL_REGS * L;
    int team = team_size(s, G * H * K, bounds);
    T *raw_n = s->work, *packed = raw_n + (s->w_hr ? s->N * H : 0), *packed_hr = packed + P(packed)(G * H, K);
    RT_OMP(omp parallel num_threads(team) if (team > 1))
    {
#ifdef _OPENMP
        int me = team > 1 ? omp_get_thread_num() : 0;
#else
        int me = 0;
#endif
        int64_t from = bounds[me], to = bounds[me + 1];
        for (int64_t j = me * wide; j < K; j += team * wide) P(pack)(G * H, K, j, s->w_hh, K, packed);
        if (s->w_hr) for (int64_t j = me * wide; j < H; j += team * wide) P(pack)(K, H, j, s->w_hr, H, packed_hr);
        T *dh = (T *)s->g_h0 + from * K, *dc = s->mode == RT_LSTM ? (T *)s->g_c0 + from * H : NULL, *draw = raw_n + from * H;
        size_t state_bytes = (size_t)((to - from) * K) * sizeof(T), cell_bytes = (size_t)((to - from) * H) * sizeof(T);
        if (s->g_hn) memcpy(dh, (const T *)s->g_hn + from * K, state_bytes);
        else memset(dh, 0, state_bytes);
        if (dc && s->g_cn) memcpy(dc, (const T *)s->g_cn + from * H, cell_bytes);
        else if (dc) memset(dc, 0, cell_bytes);
        RT_OMP(omp barrier)
        for (int64_t i = s->S - 1; i >= 0; i--) {
            int64_t t = s->reverse ? s->S - 1 - i : i, m = (s->sizes[t] < to ? s->sizes[t] : to) - from, row = s->first[t] + from;
            if (m <= 0) continue;
            const T *act = (const T *)s->act + row * A * H;
            T *d = (T *)s->g_gates + row * G * H, *dhid = s->mode == RT_GRU ? (T *)s->g_hidden + row * G * H : d;
            if (s->g_out) {
                const T *g = (const T *)s->g_out + row * K;
                for (int64_t q = 0; q < m * K; q++) dh[q] += g[q];
            }
            T *in = dh;
            if (s->w_hr) {
                memcpy((T *)s->g_proj + row * K, dh, (size_t)(m * K) * sizeof(T));
                P(product)(m, H, K, dh, K, packed_hr, draw, H, 0);
                in = draw;
            }
            for (int64_t r = 0; r < m; r++) {
                const T *a = act + r * A * H;
                if (s->mode == RT_LSTM) M(lstm_row_d0)(H, a, in + r * H, dc + r * H, d + r * G * H);
                else if (s->mode == RT_GRU)
                    M(gru_row_d0)(H, a, (const T *)s->before + (row + r) * H, in + r * H, d + r * G * H, dhid + r * G * H);
                else if (s->mode == RT_RNN_TANH) for (int64_t u = 0; u < H; u++) d[r * H + u] = in[r * H + u] * (1 - a[u] * a[u]);
                else for (int64_t u = 0; u < H; u++) d[r * H + u] = a[u] > 0 ? in[r * H + u] : 0;
            }
            P(product)(m, K, G * H, dhid, G * H, packed, dh, K, s->mode == RT_GRU);
        }
    }
}
