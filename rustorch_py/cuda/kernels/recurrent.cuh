// types: T = floats
/* What stands around the product of a step of a recurrent layer: gates to states, and back. Rows of a step are contiguous.
 * n: elements (rows times hidden size), kind (recurrent.h's order), hidden size. */
enum { TANH, RELU, LSTM, GRU };
RT_INLINE T_C at(const char *p, int64_t i) { return T_GET(((const T *)p)[i]); }
RT_INLINE void put(char *p, int64_t i, T_C v) { ((T *)p)[i] = T_PUT(v); }

/* p: input part of the gates, hidden part (state times weight), hidden bias or NULL, state (in and, but for NULL in p[6], out), cell
 * (in and out; LSTM), output, state again, what the gradient needs or NULL: LSTM i f g o and the cell before, GRU r z n and n's hidden part,
 * else the output; where the state before goes or NULL */
RT_KERNEL(RT_NAME(cell), RtCall) {
    const int64_t kind = a.n[1], H = a.n[2];
    RT_EACH(e, a.n[0]) {
        const int64_t row = e / H, j = e - row * H;
        auto gate = [&](int64_t k, int64_t gates) {
            return at(a.p[0], (row * gates + k) * H + j);
        };
        auto hidden = [&](int64_t k, int64_t gates) {
            return at(a.p[1], (row * gates + k) * H + j) + (a.p[2] ? at(a.p[2], k * H + j) : (T_C)0);
        };
        auto keep = [&](int64_t k, int64_t kept, T_C v) {
            if (a.p[7]) put(a.p[7], (row * kept + k) * H + j, v);
        };
        T_C h;
        if (kind == LSTM) {
            const T_C i = T_F(sigmoid)(gate(0, 4) + hidden(0, 4)), f = T_F(sigmoid)(gate(1, 4) + hidden(1, 4));
            const T_C g = T_F(tanh)(gate(2, 4) + hidden(2, 4)), o = T_F(sigmoid)(gate(3, 4) + hidden(3, 4));
            const T_C before = at(a.p[4], e), c = f * before + i * g;
            put(a.p[4], e, c);
            h = o * T_F(tanh)(c);
            keep(0, 5, i); keep(1, 5, f); keep(2, 5, g); keep(3, 5, o); keep(4, 5, before);
        } else if (kind == GRU) {
            const T_C r = T_F(sigmoid)(gate(0, 3) + hidden(0, 3)), z = T_F(sigmoid)(gate(1, 3) + hidden(1, 3)), hn = hidden(2, 3);
            const T_C n = T_F(tanh)(gate(2, 3) + r * hn);
            h = n + (at(a.p[3], e) - n) * z;
            keep(0, 4, r); keep(1, 4, z); keep(2, 4, n); keep(3, 4, hn);
        } else {
            const T_C v = gate(0, 1) + hidden(0, 1);
            h = kind == TANH ? T_F(tanh)(v) : v > 0 || v != v ? v : (T_C)0;
            keep(0, 1, h);
        }
        put(a.p[5], e, h);
        if (a.p[8]) put(a.p[8], e, at(a.p[3], e));
        if (a.p[6]) put(a.p[6], e, h);
    }
}

/* p: gradient of the gates, of the hidden part (GRU; else NULL), gradient of the state, of the step's output or NULL, of the cell (in and
 * out; LSTM), what was kept, the state before (GRU); of a GRU the
 * direct part of the gradient of the state takes its place */
RT_KERNEL(RT_NAME(cell_back), RtCall) {
    const int64_t kind = a.n[1], H = a.n[2];
    RT_EACH(e, a.n[0]) {
        const int64_t row = e / H, j = e - row * H;
        const T_C dh = at(a.p[2], e) + (a.p[3] ? at(a.p[3], e) : (T_C)0);
        auto kept = [&](int64_t k, int64_t all) { return at(a.p[5], (row * all + k) * H + j); };
        if (kind == LSTM) {
            const T_C i = kept(0, 5), f = kept(1, 5), g = kept(2, 5), o = kept(3, 5), before = kept(4, 5);
            const T_C t = T_F(tanh)(f * before + i * g), dc = at(a.p[4], e) + dh * o * (1 - t * t);
            const int64_t to = row * 4 * H + j;
            put(a.p[0], to, dc * g * i * (1 - i));
            put(a.p[0], to + H, dc * before * f * (1 - f));
            put(a.p[0], to + 2 * H, dc * i * (1 - g * g));
            put(a.p[0], to + 3 * H, dh * t * o * (1 - o));
            put(a.p[4], e, dc * f);
        } else if (kind == GRU) {
            const T_C r = kept(0, 4), z = kept(1, 4), n = kept(2, 4), hn = kept(3, 4);
            const T_C dn = dh * (1 - z) * (1 - n * n), dz = dh * (at(a.p[6], e) - n) * z * (1 - z), dr = dn * hn * r * (1 - r);
            const int64_t to = row * 3 * H + j;
            put(a.p[0], to, dr); put(a.p[0], to + H, dz); put(a.p[0], to + 2 * H, dn);
            put(a.p[1], to, dr); put(a.p[1], to + H, dz); put(a.p[1], to + 2 * H, dn * r);
            put(a.p[2], e, dh * z);
        } else {
            const T_C h = kept(0, 1);
            put(a.p[0], e, kind == TANH ? dh * (1 - h * h) : h > 0 ? dh : (T_C)0);
        }
    }
}
