/* Typed body of recurrent.inc.c: T element, L lanes, P(name) of panel_t.h, M(name)_suffix. */

/* ---- the gates of n neighbouring units of one sequence ---------------------------------------------------------
 * x: input part, gate g at x[g * H]; pre: hidden part, gate g at pre[g * step]; act: kind a at act[a * kept]. */
#if !REGISTERS
RT_INLINE void M(lstm_units)(int64_t n, int64_t H, const T *restrict x, const T *restrict pre, int64_t step, const T *restrict bias,
                             T *restrict c, T *restrict h, T *restrict act, int64_t kept) {
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
            act[u] = i; act[kept + u] = f; act[2 * kept + u] = g; act[3 * kept + u] = o;
            act[4 * kept + u] = squashed; act[5 * kept + u] = was;
        }
    }
}

RT_INLINE void M(gru_units)(int64_t n, int64_t H, const T *restrict x, const T *restrict pre, int64_t step, const T *restrict bias,
                            const T *restrict was, T *restrict h, T *restrict act, int64_t kept) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T a_r = pre[u], a_z = pre[step + u], hidden = pre[2 * step + u];
        if (bias) { a_r += bias[u]; a_z += bias[H + u]; hidden += bias[2 * H + u]; }
        T r = M(rt_sigmoid)(x[u] + a_r), z = M(rt_sigmoid)(x[H + u] + a_z), m = M(rt_tanh)(x[2 * H + u] + r * hidden);
        h[u] = m + z * (was[u] - m);
        if (act) { act[u] = r; act[kept + u] = z; act[2 * kept + u] = m; act[3 * kept + u] = hidden; }
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

#endif

/* Rows of one step, units u .. u + n. pre_r: row length ld. `state` is the hidden state before the step. act: the step's
 * block, panels one after the other, each of m rows of A kinds of n units. */
RT_INLINE void M(units)(const RtScan *s, int64_t m, int64_t n, int64_t u, const T *gates, const T *pre, int64_t ld, int64_t step,
                        const T *state, T *c, T *h, T *act) {
    int64_t H = s->H, G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode);
    const T *bias = s->b_hh ? (const T *)s->b_hh + u : NULL;
    for (int64_t r = 0; r < m; r++) {
        const T *x = gates + r * G * H + u, *p = pre + r * ld;
        T *o = h + r * H + u, *a = act ? act + (m * u + r * n) * A : NULL;
        if (s->mode == RT_LSTM) M(lstm_units)(n, H, x, p, step, bias, c + r * H + u, o, a, n);
        else if (s->mode == RT_GRU) M(gru_units)(n, H, x, p, step, bias, state + r * H + u, o, a, n);
        else M(rnn_units)(n, s->mode == RT_RNN_RELU, x, p, bias, o, a);
    }
}

/* Ask for the lines of the input part that a panel's gates will read: rows are too far apart for the hardware to guess. */
RT_INLINE void M(fetch)(int64_t m, int64_t G, int64_t H, int64_t n, const T *gates) {
    for (int64_t r = 0; r < m; r++)
        for (int64_t g = 0; g < G; g++)
            for (int64_t q = 0; q < n; q += 64 / (int64_t)sizeof(T)) __builtin_prefetch(gates + (r * G + g) * H + q);
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

static void M(scan)(RtScan *s, const RtGemmTable *gemm) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, U = M(panel_units)(s->mode);
    int64_t bounds[SEQUENCES_MAX_THREADS + 1], panels = (H + U - 1) / U;
    int direct = M(direct)(s), team = s->team = team_size(s, G * H * K), regs = (int)(G * U / L);
    T *raw_n = s->work, *pre_n = raw_n + (s->w_hr ? s->N * H : 0);
    T *packed = pre_n + s->N * G * U, *packed_hr = packed + panels * U * G * K;
    share_out(s, bounds);
    s->panel = direct ? H : U;
    if (direct) packed = packed_hr = NULL;
    RT_OMP(omp parallel num_threads(team) if (team > 1))
    {
        int me = team > 1 ? RT_ME : 0, crew = team > 1 ? RT_CREW : 1;
        if (!direct) {
            for (int64_t j = me; j < panels; j += crew) M(pack_gates)(s, j * U, packed + j * U * G * K);
            if (s->w_hr)
                for (int64_t j = me * L; j < K; j += crew * L) {   /* registers of the turned (P, H) projection */
                    int64_t j0 = j / (RT_PANEL_REGS * L) * (RT_PANEL_REGS * L), w = P(regs)(K, j0) * L;
                    P(pack_turned)(H, K - j < L ? K - j : L, (const T *)s->w_hr + j * H, H, packed_hr + H * j0 + (j - j0), w);
                }
        }
        RT_OMP(omp barrier)
        for (int part = me; part < team; part += crew) {
            int64_t from = bounds[part], to = bounds[part + 1];
            T *state = (T *)s->hn + from * K, *c = s->mode == RT_LSTM ? (T *)s->cn + from * H : NULL;
            size_t state_bytes = (size_t)((to - from) * K) * sizeof(T), cell_bytes = (size_t)((to - from) * H) * sizeof(T);
            if (s->h0) memcpy(state, (const T *)s->h0 + from * K, state_bytes);
            else memset(state, 0, state_bytes);
            if (c && s->c0) memcpy(c, (const T *)s->c0 + from * H, cell_bytes);
            else if (c) memset(c, 0, cell_bytes);
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
                        int64_t n = H - u < U ? H - u : U;
                        M(fetch)(m, G, H, n, gates + u);
                        P(panel)(m, regs, K, state, K, 1, packed + u * G * K, G * U, pre, G * U, 0);
                        if (n == L) M(units)(s, m, L, u, gates, pre, G * U, U, state, c, h, act);
                        else M(units)(s, m, n, u, gates, pre, G * U, U, state, c, h, act);
                    }
                    if (s->w_hr) P(product)(m, K, H, h, H, packed_hr, out, K, 0);
                }
                memcpy(state, out, (size_t)(m * K) * sizeof(T));
            }
        }
    }
}

/* ---- gradient -------------------------------------------------------------------------------------------------------
 * n units of one row: dh in, d out (gate g at d[g * H]); dc is carried. GRU leaves in dh what bypasses the product. */
RT_INLINE void M(lstm_units_d0)(int64_t n, int64_t H, const T *restrict act, const T *restrict dh, T *restrict dc, T *restrict d) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T i = act[u], f = act[n + u], g = act[2 * n + u], o = act[3 * n + u], tc = act[4 * n + u], was = act[5 * n + u];
        T all = dc[u] + dh[u] * o * (1 - tc * tc);
        d[u] = all * g * i * (1 - i);
        d[H + u] = all * was * f * (1 - f);
        d[2 * H + u] = all * i * (1 - g * g);
        d[3 * H + u] = dh[u] * tc * o * (1 - o);
        dc[u] = all * f;
    }
}

RT_INLINE void M(gru_units_d0)(int64_t n, int64_t H, const T *restrict act, const T *restrict was, T *restrict dh, T *restrict d,
                               T *restrict dhid) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T r = act[u], z = act[n + u], m = act[2 * n + u], hidden = act[3 * n + u], g = dh[u];
        T dm = g * (1 - z) * (1 - m * m), dr = dm * hidden * r * (1 - r), dz = g * (was[u] - m) * z * (1 - z);
        d[u] = dr; d[H + u] = dz; d[2 * H + u] = dm;
        dhid[u] = dr; dhid[H + u] = dz; dhid[2 * H + u] = dm * r;
        dh[u] = g * z;
    }
}

/* n units from u of m rows; act: the step's block as M(units) wrote it. */
RT_INLINE void M(units_d0)(const RtScan *s, int64_t m, int64_t n, int64_t u, const T *act, const T *was, T *dh, T *dc, T *d, T *dhid) {
    int64_t H = s->H, G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode);
    for (int64_t r = 0; r < m; r++) {
        const T *a = act + (m * u + r * n) * A;
        T *g = dh + r * H + u, *o = d + r * G * H + u;
        if (s->mode == RT_LSTM) M(lstm_units_d0)(n, H, a, g, dc + r * H + u, o);
        else if (s->mode == RT_GRU) M(gru_units_d0)(n, H, a, was + r * H + u, g, o, dhid + r * G * H + u);
        else if (s->mode == RT_RNN_TANH) for (int64_t q = 0; q < n; q++) o[q] = g[q] * (1 - a[q] * a[q]);
        else for (int64_t q = 0; q < n; q++) o[q] = a[q] > 0 ? g[q] : 0;
    }
}

static void M(scan_d0)(const RtScan *s) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P;
    int64_t bounds[SEQUENCES_MAX_THREADS + 1], wide = RT_PANEL_REGS * L;
    int team = s->team;
    T *raw_n = s->work, *packed = raw_n + (s->w_hr ? s->N * H : 0), *packed_hr = packed + P(packed)(G * H, K);
    share_out(s, bounds);
    RT_OMP(omp parallel num_threads(team) if (team > 1))
    {
        int me = team > 1 ? RT_ME : 0, crew = team > 1 ? RT_CREW : 1;
        for (int64_t j = me * wide; j < K; j += crew * wide) P(pack)(G * H, K, j, s->w_hh, K, packed);
        if (s->w_hr) for (int64_t j = me * wide; j < H; j += crew * wide) P(pack)(K, H, j, s->w_hr, H, packed_hr);
        RT_OMP(omp barrier)
        for (int part = me; part < team; part += crew) {
            int64_t from = bounds[part], to = bounds[part + 1];
            T *dh = (T *)s->g_h0 + from * K, *dc = s->mode == RT_LSTM ? (T *)s->g_c0 + from * H : NULL, *draw = raw_n + from * H;
            size_t state_bytes = (size_t)((to - from) * K) * sizeof(T), cell_bytes = (size_t)((to - from) * H) * sizeof(T);
            if (s->g_hn) memcpy(dh, (const T *)s->g_hn + from * K, state_bytes);
            else memset(dh, 0, state_bytes);
            if (dc && s->g_cn) memcpy(dc, (const T *)s->g_cn + from * H, cell_bytes);
            else if (dc) memset(dc, 0, cell_bytes);
            for (int64_t i = s->S - 1; i >= 0; i--) {
                int64_t t = s->reverse ? s->S - 1 - i : i, m = (s->sizes[t] < to ? s->sizes[t] : to) - from, row = s->first[t] + from;
                if (m <= 0) continue;
                const T *act = (const T *)s->act + row * A * H, *was = (const T *)s->before + row * K;
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
                for (int64_t u = 0; u < H; u += s->panel) {
                    int64_t n = H - u < s->panel ? H - u : s->panel;
                    if (n == L) M(units_d0)(s, m, L, u, act, was, in, dc, d, dhid);
                    else M(units_d0)(s, m, n, u, act, was, in, dc, d, dhid);
                }
                P(product)(m, K, G * H, dhid, G * H, packed, dh, K, s->mode == RT_GRU);
            }
        }
    }
}
