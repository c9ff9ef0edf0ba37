/* The gates of recurrent_t.h for float32 by AVX-512 registers. */
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
        i = rt_sigmoid_v16(i); f = rt_sigmoid_v16(f); g = rt_tanh_v16(g); o = rt_sigmoid_v16(o);
        __m512 was = RT_GET(c), now = _mm512_fmadd_ps(f, was, _mm512_mul_ps(i, g)), squashed = rt_tanh_v16(now);
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
        r = rt_sigmoid_v16(_mm512_add_ps(RT_GET(x), r));
        z = rt_sigmoid_v16(_mm512_add_ps(RT_GET(x + H), z));
        __m512 m = rt_tanh_v16(_mm512_fmadd_ps(r, hidden, RT_GET(x + 2 * H)));
        RT_PUT(h, _mm512_fmadd_ps(z, _mm512_sub_ps(RT_GET(was), m), m));
        if (act) { RT_PUT(act, r); RT_PUT(act + kept, z); RT_PUT(act + 2 * kept, m); RT_PUT(act + 3 * kept, hidden); }
    }
}

RT_INLINE void rnn_units_f32(int64_t n, int relu, const float *x, const float *pre, const float *bias, float *h, float *act) {
    RT_EACH_REGISTER {
        RT_LANES;
        __m512 v = _mm512_add_ps(RT_GET(x), RT_GET(pre));
        if (bias) v = _mm512_add_ps(v, RT_GET(bias));
        v = relu ? _mm512_max_ps(_mm512_setzero_ps(), v) : rt_tanh_v16(v);       /* the second operand is kept when it is NaN */
        RT_PUT(h, v);
        if (act) RT_PUT(act, v);
    }
}
#undef RT_EACH_REGISTER
#undef RT_LANES
#undef RT_GET
#undef RT_PUT
