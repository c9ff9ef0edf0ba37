/* The gates of recurrent_t.h for float32 by AVX-512 registers.
 * Their sigmoid and tanh take two thirds of the operations of vmath.h's: the reduction is one instruction (2^x = 2^floor(x) 2^r), no far
 * tail is told apart, and both are right to about 1e-7 where they are not small; a sigmoid below 1e-4 to 1e-6 of itself.
 * Polynomials: minimax for the relative error, by Remez' exchange. */

RT_INLINE __m512 gate_inverse_v16(__m512 x) {                   /* the 14-bit estimate and one Newton step */
    __m512 y = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(1.0f)), y);
}

RT_INLINE __m512 gate_sigmoid_v16(__m512 x) {                   /* 1 / (1 + 2^t); 2^126 is the last whose inverse is normal; NaN passes */
    __m512 t = _mm512_min_ps(_mm512_set1_ps(126.0f), _mm512_mul_ps(x, _mm512_set1_ps(-1.44269504088896341f)));
    __m512 r = _mm512_reduce_ps(t, 1), p = _mm512_set1_ps(1.8775766948238015e-3f);       /* 1: from floor(t) */
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.98933969438076e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.582631751894951e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4015361070632935e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931530833244324e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.999999403953552e-1f));
    return gate_inverse_v16(_mm512_add_ps(_mm512_scalef_ps(p, t), _mm512_set1_ps(1.0f)));
}

RT_INLINE __m512 gate_tanh_v16(__m512 x) {                      /* e / (e + 2), e = 2^t - 1, with no loss near 0 */
    __m512 t = _mm512_min_ps(_mm512_set1_ps(40.0f), _mm512_mul_ps(x, _mm512_set1_ps(2.88539008177792681f)));
    __m512 r = _mm512_reduce_ps(t, 0), p = _mm512_set1_ps(1.5403512225020677e-4f);       /* 0: from the nearest integer */
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3390735257416964e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.618237614631653e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.550357326865196e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4022649228572845e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931471824645996e-1f));
    __m512 s = _mm512_scalef_ps(_mm512_set1_ps(1.0f), _mm512_sub_ps(t, r));
    __m512 e = _mm512_fmadd_ps(s, _mm512_mul_ps(p, r), _mm512_sub_ps(s, _mm512_set1_ps(1.0f)));
    return _mm512_mul_ps(e, gate_inverse_v16(_mm512_add_ps(e, _mm512_set1_ps(2.0f))));
}

#define RT_EACH_REGISTER                                                                                             \
    for (int64_t u = 0; u < n; u += 16)
#define RT_LANES __mmask16 on = n - u < 16 ? (__mmask16)((1u << (n - u)) - 1) : (__mmask16)0xffff
#define RT_GET(p) _mm512_maskz_loadu_ps(on, (p) + u)
#define RT_PUT(p, v) _mm512_mask_storeu_ps((p) + u, on, v)

RT_INLINE void lstm_units_f32(int64_t n, int64_t H, const float *x, const float *pre, int64_t step, const float *bias, float *c,
                              float *h, float *act, int64_t kept) {
    RT_EACH_REGISTER {
        RT_LANES;
        __m512 i = _mm512_add_ps(RT_GET(x), RT_GET(pre)), f = _mm512_add_ps(RT_GET(x + H), RT_GET(pre + step));
        __m512 g = _mm512_add_ps(RT_GET(x + 2 * H), RT_GET(pre + 2 * step)), o = _mm512_add_ps(RT_GET(x + 3 * H), RT_GET(pre + 3 * step));
        if (bias) {
            i = _mm512_add_ps(i, RT_GET(bias)); f = _mm512_add_ps(f, RT_GET(bias + H));
            g = _mm512_add_ps(g, RT_GET(bias + 2 * H)); o = _mm512_add_ps(o, RT_GET(bias + 3 * H));
        }
        i = gate_sigmoid_v16(i); f = gate_sigmoid_v16(f); g = gate_tanh_v16(g); o = gate_sigmoid_v16(o);
        __m512 was = RT_GET(c), now = _mm512_fmadd_ps(f, was, _mm512_mul_ps(i, g)), squashed = gate_tanh_v16(now);
        RT_PUT(c, now);
        RT_PUT(h, _mm512_mul_ps(o, squashed));
        if (act) {
            RT_PUT(act, i); RT_PUT(act + kept, f); RT_PUT(act + 2 * kept, g); RT_PUT(act + 3 * kept, o);
            RT_PUT(act + 4 * kept, squashed); RT_PUT(act + 5 * kept, was);
        }
    }
}

RT_INLINE void gru_units_f32(int64_t n, int64_t H, const float *x, const float *pre, int64_t step, const float *bias, const float *was,
                             float *h, float *act, int64_t kept) {
    RT_EACH_REGISTER {
        RT_LANES;
        __m512 r = RT_GET(pre), z = RT_GET(pre + step), hidden = RT_GET(pre + 2 * step);
        if (bias) {
            r = _mm512_add_ps(r, RT_GET(bias)); z = _mm512_add_ps(z, RT_GET(bias + H)); hidden = _mm512_add_ps(hidden, RT_GET(bias + 2 * H));
        }
        r = gate_sigmoid_v16(_mm512_add_ps(RT_GET(x), r));
        z = gate_sigmoid_v16(_mm512_add_ps(RT_GET(x + H), z));
        __m512 m = gate_tanh_v16(_mm512_fmadd_ps(r, hidden, RT_GET(x + 2 * H)));
        RT_PUT(h, _mm512_fmadd_ps(z, _mm512_sub_ps(RT_GET(was), m), m));
        if (act) { RT_PUT(act, r); RT_PUT(act + kept, z); RT_PUT(act + 2 * kept, m); RT_PUT(act + 3 * kept, hidden); }
    }
}

RT_INLINE void rnn_units_f32(int64_t n, int relu, const float *x, const float *pre, const float *bias, float *h, float *act) {
    RT_EACH_REGISTER {
        RT_LANES;
        __m512 v = _mm512_add_ps(RT_GET(x), RT_GET(pre));
        if (bias) v = _mm512_add_ps(v, RT_GET(bias));
        v = relu ? _mm512_max_ps(_mm512_setzero_ps(), v) : gate_tanh_v16(v);       /* the second operand is kept when it is NaN */
        RT_PUT(h, v);
        if (act) RT_PUT(act, v);
    }
}
#undef RT_EACH_REGISTER
#undef RT_LANES
#undef RT_GET
#undef RT_PUT

/* Note [Gates beside products]
 * A single sequence's product waits for its weights, two cycles for each register of them, while the units wait for the gates of a panel, one operation
 * after the other. So the gates of a panel are computed between pieces of the product of the next one, which the processor begins before they are through: a tenth of
 * the step of an LSTM of 128 units. Sums are those of M(panel), in the same order. */
#define RT_ROWS(C, upto)                                                                                             \
    for (; at < (upto); at++, b += ((C) < 4 ? (C) : 2) * 16) {                                                       \
        __m512 each = _mm512_set1_ps(state[at]);                                                                     \
        for (int q = 0; q < (C); q++)                                                                                \
            sums[q] = _mm512_fmadd_ps(each, _mm512_loadu_ps((C) < 4 || q < 2 ? b + 16 * q : b + K * 32 + 16 * (q - 2)), sums[q]); \
    }
#define RT_REST(C) if (p < last) RT_ROWS(C, K)
#define RT_SUM(q) _mm512_add_ps(_mm512_add_ps(_mm512_maskz_loadu_ps(on, x + (q) * H + u), was[q]),                   \
                                bias ? _mm512_maskz_loadu_ps(on, bias + (q) * H + u) : _mm512_setzero_ps())

/* Panels first .. last of one sequence; the rest as for bunch_f32(), x: the gates. */
static void lstm_alone_v16(int64_t H, int64_t K, int64_t first, int64_t last, const float *x, const float *bias, const float *w, const float *state,
                           float *c, float *h, float *act) {
    __m512 sums[4], was[4], i, f, g, o, now, squashed;
    for (int64_t p = first; p <= last; p++) {
        const float *b = w + p * 64 * K;
        int64_t u = (p - 1) * 16, n = H - u < 16 ? H - u : 16, at = 0, rows = p == last ? 0 : K < BESIDE ? K : BESIDE;
        __mmask16 on = (__mmask16)((1u << n) - 1);
        for (int q = 0; q < 4; q++) { was[q] = sums[q]; sums[q] = _mm512_setzero_ps(); }
        if (p == first) { RT_ROWS(4, rows) RT_REST(4) continue; }
        i = gate_sigmoid_v16(RT_SUM(0));
        RT_ROWS(4, rows / 5)
        f = gate_sigmoid_v16(RT_SUM(1));
        RT_ROWS(4, 2 * rows / 5)
        g = gate_tanh_v16(RT_SUM(2));
        RT_ROWS(4, 3 * rows / 5)
        o = gate_sigmoid_v16(RT_SUM(3));
        RT_ROWS(4, 4 * rows / 5)
        __m512 old = _mm512_maskz_loadu_ps(on, c + u);
        now = _mm512_fmadd_ps(f, old, _mm512_mul_ps(i, g));
        squashed = gate_tanh_v16(now);
        RT_ROWS(4, rows)
        _mm512_mask_storeu_ps(c + u, on, now);
        _mm512_mask_storeu_ps(h + u, on, _mm512_mul_ps(o, squashed));
        if (act) {
            float *to = act + u * 6;
            _mm512_mask_storeu_ps(to, on, i); _mm512_mask_storeu_ps(to + n, on, f); _mm512_mask_storeu_ps(to + 2 * n, on, g);
            _mm512_mask_storeu_ps(to + 3 * n, on, o); _mm512_mask_storeu_ps(to + 4 * n, on, squashed); _mm512_mask_storeu_ps(to + 5 * n, on, old);
        }
        RT_REST(4)
    }
}
#undef RT_SUM
#define RT_HIDDEN(q) (bias ? _mm512_add_ps(was[q], _mm512_maskz_loadu_ps(on, bias + (q) * H + u)) : was[q])
#define RT_INPUT(q) _mm512_maskz_loadu_ps(on, x + (q) * H + u)

static void gru_alone_v16(int64_t H, int64_t K, int64_t first, int64_t last, const float *x, const float *bias, const float *w, const float *state,
                          float *h, float *act) {
    __m512 sums[3], was[3], r, z, m, hidden;
    for (int64_t p = first; p <= last; p++) {
        const float *b = w + p * 48 * K;
        int64_t u = (p - 1) * 16, n = H - u < 16 ? H - u : 16, at = 0, rows = p == last ? 0 : K < BESIDE ? K : BESIDE;
        __mmask16 on = (__mmask16)((1u << n) - 1);
        for (int q = 0; q < 3; q++) { was[q] = sums[q]; sums[q] = _mm512_setzero_ps(); }
        if (p == first) { RT_ROWS(3, rows) RT_REST(3) continue; }
        r = gate_sigmoid_v16(_mm512_add_ps(RT_INPUT(0), RT_HIDDEN(0)));
        RT_ROWS(3, rows / 3)
        hidden = RT_HIDDEN(2);
        m = gate_tanh_v16(_mm512_fmadd_ps(r, hidden, RT_INPUT(2)));
        RT_ROWS(3, 2 * rows / 3)
        z = gate_sigmoid_v16(_mm512_add_ps(RT_INPUT(1), RT_HIDDEN(1)));
        RT_ROWS(3, rows)
        _mm512_mask_storeu_ps(h + u, on, _mm512_fmadd_ps(z, _mm512_sub_ps(_mm512_maskz_loadu_ps(on, state + u), m), m));
        if (act) {
            float *to = act + u * 4;
            _mm512_mask_storeu_ps(to, on, r); _mm512_mask_storeu_ps(to + n, on, z); _mm512_mask_storeu_ps(to + 2 * n, on, m);
            _mm512_mask_storeu_ps(to + 3 * n, on, hidden);
        }
        RT_REST(3)
    }
}
#undef RT_HIDDEN
#undef RT_INPUT
#undef RT_ROWS
#undef RT_REST
