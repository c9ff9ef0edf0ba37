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

/* Rows of one step, units u .. u + n. pre_r: row length ld. `state` is the hidden state before the step. act: rows of
 * A kinds of n units. */
RT_INLINE void M(units)(const RtScan *s, int64_t m, int64_t n, int64_t u, const T *gates, const T *pre, int64_t ld, int64_t step,
                        const T *state, T *c, T *h, T *act) {
    int64_t H = s->H, G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode);
    const T *bias = s->b_hh ? (const T *)s->b_hh + u : NULL;
    for (int64_t r = 0; r < m; r++) {
        const T *x = gates + r * G * H + u, *p = pre + r * ld;
        T *o = h + r * H + u, *a = act ? act + r * n * A : NULL;
        if (s->mode == RT_LSTM) M(lstm_units)(n, H, x, p, step, bias, c + r * H + u, o, a, n);
        else if (s->mode == RT_GRU) M(gru_units)(n, H, x, p, step, bias, state + r * H + u, o, a, n);
        else M(rnn_units)(n, s->mode == RT_RNN_RELU, x, p, bias, o, a);
    }
}

#include "recurrent_panel_t.h"

/* Few rows in all: packing would cost more than it saves. */
static int M(direct)(const RtScan *s) { return s->S == 1 || rows_of(s) <= 6; }

/* Units whose gates share a panel. */
static int64_t M(panel_units)(int mode) { return rt_scan_gates(mode) == 1 ? RT_PANEL_REGS * L : L; }

/* Columns from gate to gate in the panel of the n units from one on, and its registers: a last one of few units has half of the columns, RNN's no more than it
 * needs (200 units: a twentieth of an LSTM's product, a fifth of an RNN's). */
RT_INLINE int64_t M(gate_step)(int64_t n) { return n <= L / 2 ? L / 2 : L; }
RT_INLINE int M(panel_regs)(int mode, int64_t n) {
    int64_t G = rt_scan_gates(mode);
    return (int)(((G == 1 ? n : G * M(gate_step)(n)) + L - 1) / L);
}
RT_INLINE int64_t M(units_at)(const RtScan *s, int64_t u) { return s->H - u < M(panel_units)(s->mode) ? s->H - u : M(panel_units)(s->mode); }

/* ---- Note [Handed states] ---- */
static int M(may_hand)(const RtScan *s) { return !M(direct)(s) && !s->w_hr && s->threads > 1 && s->sizes[s->S - 1] == s->N; }
/* Pieces of a step: `some` panels each. */
RT_INLINE int64_t M(bunches)(const RtScan *s, int64_t members, int64_t *some) {
    int64_t U = M(panel_units)(s->mode), panels = (s->H + U - 1) / U;
    *some = panels / members < 1 ? 1 : panels / members < BUNCH ? panels / members : BUNCH;
    return (panels + *some - 1) / *some;
}
enum { M(parcel_holds) = sizeof(Parcel) / sizeof(T) - 1 };
/* Parcels of m rows of `some` panels of units. */
RT_INLINE int64_t M(parcels)(const RtScan *s, int64_t m, int64_t some) {
    return (m * some * M(panel_units)(s->mode) + M(parcel_holds) - 1) / M(parcel_holds);
}
RT_INLINE int64_t M(handed_rows)(const RtScan *s) { return s->N < BUNCH_ROWS ? s->N : BUNCH_ROWS; }
/* Elements that the parcels of a group of m rows take at most, whatever the number of its members; and a member's own copy of a state. */
RT_INLINE int64_t M(handed_room)(const RtScan *s, int64_t m) {
    int64_t some, panels = M(bunches)(s, s->H, &some);
    return 2 * (M(parcels)(s, m, panels) + M(parcels)(s, m, BUNCH) + panels + 1) * (int64_t)(sizeof(Parcel) / sizeof(T));
}
RT_INLINE int64_t M(handed_state)(const RtScan *s) { return (M(handed_rows)(s) * s->P + 2 * L - 1) / (2 * L) * 2 * L; }

/* Rows of n values (ld apart), into `each` parcels of a step and out of them. */
static void M(hand)(Parcel *to, int64_t each, int64_t m, int64_t n, const T *x, int64_t ld, uint32_t step) {
    Parcel *end = to + each;
    int64_t at = 0;
    for (int64_t r = 0; r < m; r++)
        for (int64_t q = 0, count; q < n; q += count) {
            count = M(parcel_holds) - at < n - q ? M(parcel_holds) - at : n - q;
            if (count == M(parcel_holds)) memcpy(to->bytes, x + r * ld + q, M(parcel_holds) * sizeof(T));
            else memcpy(to->bytes + (size_t)at * sizeof(T), x + r * ld + q, (size_t)count * sizeof(T));
            if ((at += count) < M(parcel_holds)) continue;
            __atomic_store_n(&to++->words[PARCEL_STEP], step, __ATOMIC_RELEASE);
            at = 0;
        }
    for (; to < end; to++) __atomic_store_n(&to->words[PARCEL_STEP], step, __ATOMIC_RELEASE);
}
static void M(receive)(const Parcel *from, int64_t m, int64_t n, T *x, int64_t ld) {
    int64_t at = 0;
    for (int64_t r = 0; r < m; r++)
        for (int64_t q = 0, count; q < n; q += count) {
            count = M(parcel_holds) - at < n - q ? M(parcel_holds) - at : n - q;
            if (count == M(parcel_holds)) memcpy(x + r * ld + q, from->bytes, M(parcel_holds) * sizeof(T));
            else memcpy(x + r * ld + q, from->bytes + (size_t)at * sizeof(T), (size_t)count * sizeof(T));
            if ((at += count) == M(parcel_holds)) { from++; at = 0; }
        }
}

static int64_t M(scan_work)(const RtScan *s, int backward) {
    int64_t G = rt_scan_gates(s->mode), U = M(panel_units)(s->mode), H = s->H, out = s->w_hr ? s->N * H : 0;
    if (backward) return out + P(packed)(G * H, s->P) + (s->w_hr ? P(packed)(s->P, H) : 0);
    out += 2 * s->N * s->P;
    if (M(direct)(s)) return out + s->N * G * H;
    if (M(may_hand)(s)) out += s->threads * (M(handed_room)(s, M(handed_rows)(s)) + M(handed_state)(s)) + sizeof(Parcel) / sizeof(T);
    return out + (H + U - 1) / U * U * G * s->P + (s->w_hr ? P(packed)(H, s->P) : 0);
}

/* Pack w_hh for the units from u on: k rows of columns, gate by gate. */
static void M(pack_gates)(const RtScan *s, int64_t u, T *out) {
    int64_t G = rt_scan_gates(s->mode), K = s->P, n = M(units_at)(s, u), step = G == 1 ? n : M(gate_step)(n);
    int C = M(panel_regs)(s->mode, n);
    const T *w = (const T *)s->w_hh + u * K;
    for (int64_t j = 0; j < C; j++) {
        T *to = out + M(register_at)(K, C, j), square[L * L];
        int64_t row = M(register_row)(C), q = j * L;
        if (G == 1 || step >= L) {
            int64_t left = n - q % step;
            P(pack_turned)(K, left < L ? left : L, w + (q / step * s->H + q % step) * K, K, to, row);
            continue;
        }
        for (int64_t p = 0; p < K; p += L) {                       /* parts of two gates */
            int64_t some = K - p < L ? K - p : L;
            for (int64_t e = 0; e < L; e++) {
                int64_t g = (q + e) / step, v = (q + e) % step;
                if (g < G && v < n) memcpy(square + e * some, w + (g * s->H + v) * K + p, (size_t)some * sizeof(T));
                else memset(square + e * some, 0, (size_t)some * sizeof(T));
            }
            P(pack_turned)(some, L, square, some, to + p * row, row);
        }
    }
}

/* A matrix of n columns as panels of up to four registers, mostly two or three, where it has as many, all of nearly the same width, and as many for each of `parts` members. */
static int64_t M(slices)(int64_t n, int64_t parts) {
    int64_t regs = (n + L - 1) / L, count = regs / 2 / parts * parts;
    return count ? count : regs < parts ? regs : parts;
}
RT_INLINE int64_t M(slice)(int64_t n, int64_t count, int64_t j) { return (n + L - 1) / L * j / count * L; }      /* its first column */

/* Pack slice p of a row-major (k, n) matrix. */
static void M(pack_slice)(int64_t k, int64_t n, int64_t slices, int64_t p, const T *x, T *out) {
    int64_t j = M(slice)(n, slices, p), w = M(slice)(n, slices, p + 1) - j, len = n - j < w ? n - j : w;
    int C = (int)(w / L);
    out += k * j;
    for (int64_t i = 0, row = M(register_row)(C); i < k; i++)
        for (int64_t q = 0; q < w; q += L) {
            T *to = out + M(register_at)(k, C, q / L) + i * row;
            if (q + L <= len) P(store)(to, P(load)(x + i * n + j + q));
            else for (int64_t e = 0; e < L; e++) to[e] = q + e < len ? x[i * n + j + q + e] : 0;
        }
}

/* c_rj (+)= a_rk b_kj, columns j0 <= j < j1 of c, whose panel starts at b; asks for lines as M(panel). */
static void M(multiply)(int64_t m, int64_t j0, int64_t j1, int64_t k, const T *a, const T *b, T *c, int64_t ldc, int add, const Lines *lines,
                        int64_t count) {
    T edge[M(tall_2) * RT_PANEL_REGS * L] = {0};
    int C = (int)((j1 - j0 + L - 1) / L);
    int64_t w = C * L, len = j1 - j0, blocks = (m + M(tall_2) - 1) / M(tall_2);
    if (len == w) { M(panel)(m, C, k, a, b, c + j0, ldc, add, lines, count); return; }
    for (int64_t i = 0, left = blocks; left > 0; left--) {
        int64_t rows = (m - i + left - 1) / left;
        Lines from[5];
        for (int64_t l = 0; l < count; l++) { from[l] = lines[l]; from[l].at += i * from[l].row; }
        for (int64_t r = 0; add && r < rows; r++) memcpy(edge + r * w, c + (i + r) * ldc + j0, (size_t)len * sizeof(T));
        M(panel)(rows, C, k, a + i * k, b, edge, w, add, from, count);
        for (int64_t r = 0; r < rows; r++) memcpy(c + (i + r) * ldc + j0, edge + r * w, (size_t)len * sizeof(T));
        i += rows;
    }
}

RT_INLINE void M(copy_columns)(int64_t r, int64_t rows, int64_t j, int64_t n, int64_t ld, const T *x, T *out) {
    if (n == L && x) for (; r < rows; r++) P(store)(out + r * ld + j, P(load)(x + r * ld + j));
    else
        for (; r < rows; r++)
            if (x) memcpy(out + r * ld + j, x + r * ld + j, (size_t)n * sizeof(T));
            else memset(out + r * ld + j, 0, (size_t)n * sizeof(T));
}

RT_INLINE void M(add_columns)(int64_t m, int64_t j, int64_t n, int64_t ld, const T *x, T *out) {
    for (int64_t r = 0; r < m; r++) {
        const T *a = x + r * ld + j;
        T *o = out + r * ld + j;
        int64_t q = 0;
        for (; q + L <= n; q += L) P(store)(o + q, P(load)(o + q) + P(load)(a + q));
        for (; q < n; q++) o[q] += a[q];
    }
}

/* Columns j .. j + n of the state after a step of m rows: where the next step (of m_next rows) reads them, and sequences that end here. */
RT_INLINE void M(hand_on)(const RtScan *s, int64_t m, int64_t m_next, int64_t j, int64_t n, const T *out, const T *h0, T *next, T *hn) {
    int64_t both = m < m_next ? m : m_next;
    M(copy_columns)(0, both, j, n, s->P, out, next);
    M(copy_columns)(m, m_next, j, n, s->P, h0, next);              /* going back in time, shorter sequences join */
    M(copy_columns)(both, m, j, n, s->P, out, hn);
}

/* Units u .. u + n of one step: product of k values of the state (none: it is zeros) with the hidden weights, and gates, some rows at a time. */
RT_INLINE void M(unit_panel)(const RtScan *s, int64_t m, int64_t n, int64_t u, int64_t k, const T *gates, const T *w, const T *state, T *c, T *h, T *act) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, step = M(gate_step)(n);
    int64_t blocks = (m + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    int C = M(panel_regs)(s->mode, n);
    T pre[ROWS_AT_ONCE * RT_PANEL_REGS * L] __attribute__((aligned(64)));
    for (int64_t i = 0, r = 0; i < blocks; i++) {
        int64_t rows = (m - r + blocks - i - 1) / (blocks - i);
        Lines lines[5];
        int64_t size = (int64_t)sizeof(T), count = 0;
        for (; count < G; count++) lines[count] = (Lines){(const char *)(gates + (r * G + count) * H + u), G * H * size, (n * size + 63) / 64, 0};
        if (act) lines[count++] = (Lines){(const char *)(act + r * n * A), n * A * size, (n * A * size + 63) / 64, 1};
        M(panel)(rows, C, k, state + r * K, w, pre, C * L, 0, lines, count);
        M(units)(s, rows, n, u, gates + r * G * H, pre, C * L, step, state + r * K, c + r * H, h + r * H, act ? act + r * n * A : NULL);
        r += rows;
    }
}

/* Few rows: products of several panels, then their gates. `first` to `last`: panels; the rest as for M(unit_panel), from the first unit on. */
static void M(bunch)(const RtScan *s, int64_t m, int64_t first, int64_t last, int64_t k, const T *gates, const T *w, const T *state, T *c, T *h, T *act) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, U = M(panel_units)(s->mode), wide = G * U;
    int64_t bytes = ((last * U < H ? last * U : H) - first * U) * (int64_t)sizeof(T);
    for (int64_t r = 0; r < m * G; r++)            /* another core made them, perhaps */
        for (int64_t q = 0; q < bytes; q += 64) __builtin_prefetch((const char *)(gates + r * H + first * U) + q, 0, 3);
#if REGISTERS
    if (m == 1 && k && G > 1) {
        int64_t whole = M(gate_step)(M(units_at)(s, (last - 1) * U)) == L ? last : last - 1;
        if (first < whole && G == 4) lstm_alone_v16(H, K, first, whole, gates, s->b_hh, w, state, c, h, act);
        else if (first < whole) gru_alone_v16(H, K, first, whole, gates, s->b_hh, w, state, h, act);
        first = whole;
    }
#endif
    T pre[BUNCH * BUNCH_ROWS * RT_PANEL_REGS * L] __attribute__((aligned(64))), *to = pre;
    for (int64_t p = first; p < last; p++, to += m * wide) {
        int C = M(panel_regs)(s->mode, M(units_at)(s, p * U));
        M(panel)(m, C, k, state, w + p * wide * K, to, C * L, 0, NULL, 0);
    }
    for (int64_t p = first, u = p * U; p < last; p++, u += U) {
        int64_t n = M(units_at)(s, u), row = M(panel_regs)(s->mode, n) * L;
        T *a = act ? act + m * u * A : NULL;
        to = pre + (p - first) * m * wide;
        if (n == L) M(units)(s, m, L, u, gates, to, row, L, state, c, h, a);
        else M(units)(s, m, n, u, gates, to, row, M(gate_step)(n), state, c, h, a);
    }
}

/* All steps of sequences from .. to, of one length, by a member of a group; state: its own room. */
static void M(handed_steps)(const RtScan *s, Turn turn, int64_t from, int64_t to, const T *weights, Parcel *parcels, T *state) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, U = M(panel_units)(s->mode), panels = (H + U - 1) / U, m = to - from;
    int64_t some, count = M(bunches)(s, turn.members, &some), each = M(parcels)(s, m, some);
    T *c = s->mode == RT_LSTM ? (T *)s->cn + from * H : NULL;
    const T *h0 = s->h0 ? (const T *)s->h0 + from * K : NULL, *c0 = s->c0 ? (const T *)s->c0 + from * H : NULL;
    M(copy_columns)(0, m, 0, K, K, h0, state);
    for (int64_t i = 0; i < s->S; i++) {
        int64_t t = step_at(s, i), row = s->first[t] + from, whole = i + 1 < s->S ? s->first[step_at(s, i + 1)] + from : 0;
        const T *gates = (const T *)s->gates + row * G * H;
        T *act = s->act ? (T *)s->act + row * A * H : NULL, *out = (T *)s->out + row * K;
        Parcel *here = parcels + (i & 1) * count * each;
        uint32_t step = (uint32_t)i + 1;
        int come = 0, others = 1;
        turn.back = i & 1;
        begin(&turn, count);
        for (int64_t looks = 0, p; !come; looks++) {
            if (!looks) p = take(&turn, 0);                        /* this member's own */
            else if ((come = have_come(here, count * each, step))) break;
            else if (looks < PATIENCE || others == turn.members) p = -1;
            else if ((p = take(&turn, others)) < 0) others++;      /* what somebody late has not begun */
            if (p < 0) {
                if (looks & 63) PAUSE();
                else if (looks) sched_yield();
                continue;
            }
            int64_t end = (p + 1) * some < panels ? (p + 1) * some : panels, u = p * some * U, n = (end * U < H ? end * U : H) - u;
            if (i == 0 && c) M(copy_columns)(0, m, u, n, H, c0, c);
            if (i == 0 && s->before) M(copy_columns)(0, m, u, n, K, h0, (T *)s->before + row * K);
            M(bunch)(s, m, p * some, end, i || h0 ? K : 0, gates, weights, state, c, out, act);
            M(hand)(here + p * each, each, m, n, out + u, K, step);
            if (i + 1 == s->S) M(copy_columns)(0, m, u, n, K, out, (T *)s->hn + from * K);
            else if (s->before) M(copy_columns)(0, m, u, n, K, out, (T *)s->before + whole * K);
            looks = looks ? PATIENCE : -1;
        }
        if (come > 0 && i + 1 < s->S)
            for (int64_t p = 0; p < count; p++) {
                int64_t u = p * some * U, n = H - u < some * U ? H - u : some * U;
                M(receive)(here + p * each, m, n, state + u, K);
            }
    }
}

static int64_t M(scan_packed)(const RtScan *s) {
    int64_t G = rt_scan_gates(s->mode), U = M(panel_units)(s->mode);
    return M(direct)(s) ? 0 : (s->H + U - 1) / U * U * G * s->P;
}
static void M(scan_pack)(const RtScan *s, void *out) {
    int64_t U = M(panel_units)(s->mode);
    for (int64_t u = 0; u < s->H; u += U) M(pack_gates)(s, u, (T *)out + u * rt_scan_gates(s->mode) * s->P);
}

static void M(scan)(RtScan *s, const RtGemmTable *gemm) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, U = M(panel_units)(s->mode), panels = (H + U - 1) / U;
    int64_t bounds[MAX_THREADS + 1];
    int direct = M(direct)(s);
    Team team;
    s->team = 0;
    share_out(s, bounds, make_team(&team, s, (int64_t)sizeof(T), direct ? 1 : panels));
    int64_t outs = M(slices)(K, team.members);
    T *states = s->work, *raw_n = states + 2 * s->N * K, *packed = raw_n + (s->w_hr ? s->N * H : 0), *packed_hr = packed + panels * U * G * K;
    T *pre_n = packed;
    const T *weights = s->packed ? s->packed : packed;
    s->panel = direct ? H : U;
    int hands = team.members > 1 && M(may_hand)(s);
    int64_t room = hands ? M(handed_room)(s, M(handed_rows)(s)) : 0;
    Parcel *parcels = NULL;
    T *own = NULL;
    if (hands) {
        parcels = (Parcel *)(((uintptr_t)(packed + panels * U * G * K) + sizeof(Parcel) - 1) / sizeof(Parcel) * sizeof(Parcel));
        own = (T *)parcels + room * team.groups;
        memset(parcels, 0, (size_t)(room * team.groups) * sizeof(T));              /* of no step */
    }
    RT_OMP(omp parallel num_threads(team.size) if (team.size > 1))
    for (int part = team.size > 1 ? RT_ME : 0, crew = team.size > 1 ? RT_CREW : 1; part < team.size; part += crew) {
        Turn turn = join_all(&team, part);
        int64_t p;
        if (!direct) {
            if (!s->packed) for (begin(&turn, panels); (p = piece(&turn)) >= 0;) M(pack_gates)(s, p * U, packed + p * U * G * K);
            if (s->w_hr)
                for (begin(&turn, outs); (p = piece(&turn)) >= 0;) {
                    int64_t j0 = M(slice)(K, outs, p), w = M(slice)(K, outs, p + 1) - j0;
                    int C = (int)(w / L);
                    for (int64_t j = 0; j < w; j += L)     /* registers of the turned (P, H) projection */
                        P(pack_turned)(H, K - j0 - j < L ? K - j0 - j : L, (const T *)s->w_hr + (j0 + j) * H, H,
                                       packed_hr + H * j0 + M(register_at)(H, C, j / L), M(register_row)(C));
                }
        }
        turn = join_group(&team, part);
        int64_t from = bounds[turn.group], to = bounds[turn.group + 1];
        if (hands && to - from <= BUNCH_ROWS) {
            M(handed_steps)(s, turn, from, to, weights, (Parcel *)((T *)parcels + turn.group * room), own + part * M(handed_state)(s));
            continue;
        }
        T *c = s->mode == RT_LSTM ? (T *)s->cn + from * H : NULL, *hn = (T *)s->hn + from * K;
        const T *h0 = s->h0 ? (const T *)s->h0 + from * K : NULL, *c0 = s->c0 ? (const T *)s->c0 + from * H : NULL;
        for (int64_t i = -1; i < s->S; i++) {              /* step -1: what is there before */
            int64_t t = step_at(s, i), m = i < 0 ? 0 : rows_at(s, t, from, to), row = i < 0 ? 0 : s->first[t] + from;
            int64_t t_next = step_at(s, i + 1), m_next = i + 1 < s->S ? rows_at(s, t_next, from, to) : 0;
            T *state = s->before ? (T *)s->before + row * K : states + (2 * from + (i & 1) * (to - from)) * K;
            T *next = !s->before ? states + (2 * from + (~i & 1) * (to - from)) * K : m_next ? (T *)s->before + (s->first[t_next] + from) * K : NULL;
            if (i < 0) {
                for (begin(&turn, 1); piece(&turn) >= 0;) {
                    M(copy_columns)(0, m_next, 0, K, K, h0, next);
                    if (c) M(copy_columns)(0, to - from, 0, H, H, c0, c);
                }
                continue;
            }
            if (m <= 0 && m_next <= 0) continue;
            const T *gates = (const T *)s->gates + row * G * H;
            T *act = s->act ? (T *)s->act + row * A * H : NULL, *out = (T *)s->out + row * K;
            T *h = !s->w_hr ? out : s->raw ? (T *)s->raw + row * H : raw_n + from * H;
            if (direct) {
                for (begin(&turn, 1); piece(&turn) >= 0;) {
                    const T *pre = s->pre ? (const T *)s->pre + from * G * H : pre_n + from * G * H;
                    if (m > 0) {
                        if (!s->h0 && s->S == 1) memset(pre_n + from * G * H, 0, (size_t)(m * G * H) * sizeof(T));      /* a state of zeros */
                        else if (!s->pre) M(gemm->nt)(m, G * H, K, state, K, s->w_hh, K, pre_n + from * G * H, G * H, 1, 0, NULL);
                        M(units)(s, m, H, 0, gates, pre, G * H, H, state, c, h, act);
                        if (s->w_hr) M(gemm->nt)(m, K, H, h, H, s->w_hr, H, out, K, 1, 0, NULL);
                    }
                    M(hand_on)(s, m, m_next, 0, K, out, h0, next, hn);
                }
                continue;
            }
            turn.back = i & 1;
            int64_t k = i || h0 ? K : 0;                   /* the product of a state that is not given is zeros */
            if (m <= BUNCH_ROWS && !s->w_hr) {
                int64_t some = panels / team.members < BUNCH ? panels / team.members : BUNCH;
                for (begin(&turn, (panels + some - 1) / some); (p = piece(&turn)) >= 0;) {
                    int64_t last = (p + 1) * some < panels ? (p + 1) * some : panels, u = p * some * U;
                    if (m > 0) M(bunch)(s, m, p * some, last, k, gates, weights, state, c, h, act);
                    M(hand_on)(s, m, m_next, u, (last * U < H ? last * U : H) - u, out, h0, next, hn);
                }
                continue;
            }
            for (begin(&turn, panels); (p = piece(&turn)) >= 0;) {
                int64_t u = p * U, n = M(units_at)(s, u);
                if (n == L) M(unit_panel)(s, m, L, u, k, gates, weights + u * G * K, state, c, h, act ? act + m * u * A : NULL);
                else M(unit_panel)(s, m, n, u, k, gates, weights + u * G * K, state, c, h, act ? act + m * u * A : NULL);
                if (!s->w_hr) M(hand_on)(s, m, m_next, u, n, out, h0, next, hn);
            }
            if (!s->w_hr) continue;
            for (begin(&turn, outs); (p = piece(&turn)) >= 0;) {
                int64_t j = M(slice)(K, outs, p), end = M(slice)(K, outs, p + 1);
                if (end > K) end = K;
                M(multiply)(m, j, end, H, h, packed_hr + H * j, out, K, 0, NULL, 0);
                M(hand_on)(s, m, m_next, j, end - j, out, h0, next, hn);
            }
        }
    }
}

/* ---- gradient -------------------------------------------------------------------------------------------------------
 * n units of one row: kind a at act[a * kept], dh in, d out (gate g at d[g * H]); dc is carried. GRU leaves in dh what bypasses the product. */
RT_INLINE void M(lstm_units_d0)(int64_t n, int64_t H, int64_t kept, const T *restrict act, const T *restrict dh, T *restrict dc, T *restrict d) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T i = act[u], f = act[kept + u], g = act[2 * kept + u], o = act[3 * kept + u], tc = act[4 * kept + u], was = act[5 * kept + u];
        T all = dc[u] + dh[u] * o * (1 - tc * tc);
        d[u] = all * g * i * (1 - i);
        d[H + u] = all * was * f * (1 - f);
        d[2 * H + u] = all * i * (1 - g * g);
        d[3 * H + u] = dh[u] * tc * o * (1 - o);
        dc[u] = all * f;
    }
}

RT_INLINE void M(gru_units_d0)(int64_t n, int64_t H, int64_t kept, const T *restrict act, const T *restrict was, T *restrict dh, T *restrict d,
                               T *restrict dhid) {
    RT_OMP(omp simd)
    for (int64_t u = 0; u < n; u++) {
        T r = act[u], z = act[kept + u], m = act[2 * kept + u], hidden = act[3 * kept + u], g = dh[u];
        T dm = g * (1 - z) * (1 - m * m), dr = dm * hidden * r * (1 - r), dz = g * (was[u] - m) * z * (1 - z);
        d[u] = dr; d[H + u] = dz; d[2 * H + u] = dm;
        dhid[u] = dr; dhid[H + u] = dz; dhid[2 * H + u] = dm * r;
        dh[u] = g * z;
    }
}

/* n units of m rows; act: rows of A kinds of `wide` units. */
RT_INLINE void M(rows_d0)(const RtScan *s, int64_t m, int64_t n, int64_t wide, const T *act, const T *was, T *dh, T *dc, T *d, T *dhid) {
    int64_t H = s->H, G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode);
    if (s->mode == RT_LSTM)
        for (int64_t r = 0; r < m; r++) M(lstm_units_d0)(n, H, wide, act + r * wide * A, dh + r * H, dc + r * H, d + r * G * H);
    else if (s->mode == RT_GRU)
        for (int64_t r = 0; r < m; r++)
            M(gru_units_d0)(n, H, wide, act + r * wide * A, was + r * H, dh + r * H, d + r * G * H, dhid + r * G * H);
    else if (s->mode == RT_RNN_TANH)
        for (int64_t r = 0; r < m; r++)
            for (int64_t q = 0; q < n; q++) d[r * H + q] = dh[r * H + q] * (1 - act[r * wide + q] * act[r * wide + q]);
    else
        for (int64_t r = 0; r < m; r++)
            for (int64_t q = 0; q < n; q++) d[r * H + q] = act[r * wide + q] > 0 ? dh[r * H + q] : 0;
}

/* Units u .. end of m rows; act: the step's block, panels of units one after the other. */
RT_INLINE void M(units_d0)(const RtScan *s, int64_t m, int64_t u, int64_t end, const T *act, const T *was, T *dh, T *dc, T *d, T *dhid) {
    int64_t H = s->H, A = rt_scan_kept(s->mode);
    while (u < end) {
        int64_t first = u / s->panel * s->panel, wide = H - first < s->panel ? H - first : s->panel;
        int64_t n = first + wide < end ? first + wide - u : end - u;
        if (n == L && wide == L) M(rows_d0)(s, m, L, L, act + m * first * A, was + u, dh + u, dc + u, d + u, dhid + u);
        else M(rows_d0)(s, m, n, wide, act + m * first * A + u - first, was + u, dh + u, dc + u, d + u, dhid + u);
        u += n;
    }
}

static void M(scan_d0)(RtScan *s) {
    int64_t G = rt_scan_gates(s->mode), A = rt_scan_kept(s->mode), H = s->H, K = s->P, bounds[MAX_THREADS + 1];
    Team team;
    share_out(s, bounds, make_team(&team, s, (int64_t)sizeof(T), 0));
    int64_t ins = M(slices)(K, team.members), outs = s->w_hr ? M(slices)(H, team.members) : 0, wide = G * H;
    T *raw_n = s->work, *packed = raw_n + (s->w_hr ? s->N * H : 0), *packed_hr = packed + P(packed)(wide, K);
    RT_OMP(omp parallel num_threads(team.size) if (team.size > 1))
    for (int part = team.size > 1 ? RT_ME : 0, crew = team.size > 1 ? RT_CREW : 1; part < team.size; part += crew) {
        Turn turn = join_all(&team, part);
        int64_t p;
        for (begin(&turn, ins); (p = piece(&turn)) >= 0;) M(pack_slice)(wide, K, ins, p, s->w_hh, packed);
        if (s->w_hr) for (begin(&turn, outs); (p = piece(&turn)) >= 0;) M(pack_slice)(K, H, outs, p, s->w_hr, packed_hr);
        turn = join_group(&team, part);
        int64_t from = bounds[turn.group], to = bounds[turn.group + 1], m_before = 0;
        T *dh = (T *)s->g_h0 + from * K, *dc = s->mode == RT_LSTM ? (T *)s->g_c0 + from * H : NULL, *draw = raw_n + from * H, *dhid_before = NULL;
        const T *g_hn = s->g_hn ? (const T *)s->g_hn + from * K : NULL, *g_cn = s->g_cn ? (const T *)s->g_cn + from * H : NULL;
        for (begin(&turn, 1); piece(&turn) >= 0;) {
            M(copy_columns)(0, to - from, 0, K, K, g_hn, dh);
            if (dc) M(copy_columns)(0, to - from, 0, H, H, g_cn, dc);
        }
        for (int64_t i = s->S - 1; i >= (s->ask_h0 ? -1 : 0); i--) {        /* the last turn: what comes before all steps */
            int64_t t = step_at(s, i), m = i < 0 ? 0 : rows_at(s, t, from, to), row = i < 0 ? 0 : s->first[t] + from;
            if (m <= 0 && i >= 0) continue;
            const T *act = (const T *)s->act + row * A * H, *was = (const T *)s->before + row * K;
            const T *g_out = s->g_out ? (const T *)s->g_out + row * K : NULL;
            T *d = (T *)s->g_gates + row * wide, *dhid = s->mode == RT_GRU ? (T *)s->g_hidden + row * wide : d;
            T *proj = s->w_hr ? (T *)s->g_proj + row * K : NULL;
            for (begin(&turn, ins); (p = piece(&turn)) >= 0;) {
                int64_t j = M(slice)(K, ins, p), end = M(slice)(K, ins, p + 1);
                if (end > K) end = K;
                if (m_before) {
                    Lines lines[5];
                    int64_t bytes = (end - j) * (int64_t)sizeof(T), count = 0;
                    if (m >= m_before && !proj) {
                        for (; count < G; count++)
                            lines[count] = (Lines){(const char *)(d + count * H + j), wide * (int64_t)sizeof(T), (bytes + 63) / 64, 1};
                        lines[count++] = (Lines){(const char *)(act + m * j * A), bytes * A, (bytes * A + 63) / 64, 0};
                    }
                    M(multiply)(m_before, j, end, wide, dhid_before, packed + wide * j, dh, K, s->mode == RT_GRU, lines, count);
                }
                if (g_out) M(add_columns)(m, j, end - j, K, g_out, dh);
                if (proj) M(copy_columns)(0, m, j, end - j, K, dh, proj);
                else M(units_d0)(s, m, j, end, act, was, dh, dc, d, dhid);
            }
            if (proj && m)
                for (begin(&turn, outs); (p = piece(&turn)) >= 0;) {
                    int64_t j = M(slice)(H, outs, p), end = M(slice)(H, outs, p + 1);
                    if (end > H) end = H;
                    M(multiply)(m, j, end, K, dh, packed_hr + K * j, draw, H, 0, NULL, 0);
                    M(units_d0)(s, m, j, end, act, was, draw, dc, d, dhid);
                }
            m_before = m;
            dhid_before = dhid;
        }
    }
}
