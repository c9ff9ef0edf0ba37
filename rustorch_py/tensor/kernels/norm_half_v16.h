/* What norm_half_t.h has, in registers of AVX-512: 32 elements are widened, computed in the text of norm_t.h, rounded and stored, with nothing
 * written in between (batch_norm of 1M bfloat16 numbers: 1.9 times as fast as through float32 rows in cache). E element, H(name);
 * half_lines.h loads and stores. */

/* `m` says which of 32 elements there are, `lo` and `hi` which of either register: constants in all steps but the last */
#define STEPS(n, ...) {                                                                             \
        int64_t i = 0;                                                                              \
        for (; i + 32 <= (n); i += 32) { const __mmask32 m = 0xffffffffu; __VA_ARGS__ }             \
        if (i < (n)) { const __mmask32 m = ((__mmask32)1 << ((n) - i)) - 1; __VA_ARGS__ }           \
    }
#define LOAD2(a, b, p) __m512 a, b; H(load32)(p, m, &a, &b)
#define FLOATS2(a, b, p) __m512 a = rt_half_floats(p, (__mmask16)m), b = rt_half_floats((p) + 16, (__mmask16)(m >> 16))
#define ONLY(v, half) (__builtin_constant_p(m) && m == 0xffffffffu ? (__m512)(v) : _mm512_maskz_mov_ps((__mmask16)(m >> half), v))

RT_INLINE double H(sum)(const E *x, int64_t n) {
    double total = 0;
    for (int64_t at = 0; at < n; at += STRETCH) {
        const E *p = x + at;
        __m512 s = _mm512_setzero_ps(), t = s;
        STEPS(n - at < STRETCH ? n - at : STRETCH, LOAD2(a, b, p + i); s += a; t += b;)
        total += _mm512_reduce_add_ps(s + t);
    }
    return total;
}
RT_INLINE double H(sum_sq)(const E *x, int64_t n, float mean) {
    const __m512 v = _mm512_set1_ps(mean);
    double total = 0;
    for (int64_t at = 0; at < n; at += STRETCH) {
        const E *p = x + at;
        __m512 s = _mm512_setzero_ps(), t = s;
        STEPS(n - at < STRETCH ? n - at : STRETCH,
              LOAD2(a, b, p + i); a = ONLY(a - v, 0); b = ONLY(b - v, 16);
              s = _mm512_fmadd_ps(a, a, s); t = _mm512_fmadd_ps(b, b, t);)
        total += _mm512_reduce_add_ps(s + t);
    }
    return total;
}
RT_INLINE void H(sum_pair)(const E *g, const E *x, const float *w, int64_t n, float mean, double *sum_g, double *sum_gx) {
    const __m512 v = _mm512_set1_ps(mean);
    for (int64_t at = 0; at < n; at += STRETCH) {
        const E *p = x + at, *q = g + at;
        const float *ws = w ? w + at : NULL;
        __m512 s = _mm512_setzero_ps(), t = s, u = s, r = s;
        STEPS(n - at < STRETCH ? n - at : STRETCH,
              LOAD2(a, b, p + i); LOAD2(c, d, q + i);
              if (ws) { FLOATS2(e, f, ws + i); c *= e; d *= f; }
              s += c; t += d;
              u = _mm512_fmadd_ps(c, a - v, u); r = _mm512_fmadd_ps(d, b - v, r);)
        *sum_g += _mm512_reduce_add_ps(s + t);
        *sum_gx += _mm512_reduce_add_ps(u + r);
    }
}

/* ---- runs ---- */
RT_INLINE void H(scaled)(const E *x, int64_t n, float mean, float factor, float shift, E *y) {
    const __m512 v = _mm512_set1_ps(mean), k = _mm512_set1_ps(factor), d = _mm512_set1_ps(shift);
    STEPS(n, LOAD2(a, b, x + i); H(store32)(y + i, m, (a - v) * k + d, (b - v) * k + d);)
}
RT_INLINE void H(scaled_each)(const E *x, int64_t n, float mean, float factor, const float *w, const float *shift, E *y) {
    const __m512 v = _mm512_set1_ps(mean), k = _mm512_set1_ps(factor);
    if (w && shift) STEPS(n, LOAD2(a, b, x + i); FLOATS2(c, d, w + i); FLOATS2(e, f, shift + i); H(store32)(y + i, m, (a - v) * k * c + e, (b - v) * k * d + f);)
    else if (w) STEPS(n, LOAD2(a, b, x + i); FLOATS2(c, d, w + i); H(store32)(y + i, m, (a - v) * k * c, (b - v) * k * d);)
    else if (shift) STEPS(n, LOAD2(a, b, x + i); FLOATS2(e, f, shift + i); H(store32)(y + i, m, (a - v) * k + e, (b - v) * k + f);)
    else STEPS(n, LOAD2(a, b, x + i); H(store32)(y + i, m, (a - v) * k, (b - v) * k);)
}
RT_INLINE void H(times)(const E *g, int64_t n, float factor, E *y) {
    const __m512 k = _mm512_set1_ps(factor);
    STEPS(n, LOAD2(a, b, g + i); H(store32)(y + i, m, a * k, b * k);)
}
RT_INLINE void H(sloped)(const E *x, const E *g, int64_t n, const float *w, float one, float mean, float shift, float slope, float factor, E *y) {
    const __m512 v = _mm512_set1_ps(mean), s = _mm512_set1_ps(shift), q = _mm512_set1_ps(slope), k = _mm512_set1_ps(factor), o = _mm512_set1_ps(one);
    if (w) STEPS(n, LOAD2(a, b, x + i); LOAD2(c, d, g + i); FLOATS2(e, f, w + i);
                 H(store32)(y + i, m, (c * e - s - (a - v) * q) * k, (d * f - s - (b - v) * q) * k);)
    else STEPS(n, LOAD2(a, b, x + i); LOAD2(c, d, g + i); H(store32)(y + i, m, (c * o - s - (a - v) * q) * k, (d * o - s - (b - v) * q) * k);)
}
RT_INLINE void H(sloped_channels)(const E *x, const E *g, int64_t n, const float *w, const float *mean, const float *shift, const float *slope, const float *factor, E *y) {
    STEPS(n, LOAD2(a, b, x + i); LOAD2(c, d, g + i);
          FLOATS2(v, o, mean + i); FLOATS2(s, t, shift + i); FLOATS2(q, r, slope + i); FLOATS2(k, l, factor + i);
          if (w) { FLOATS2(e, f, w + i); c *= e; d *= f; }
          H(store32)(y + i, m, (c - s - (a - v) * q) * k, (d - t - (b - o) * r) * l);)
}
RT_INLINE void H(times_channels)(const E *g, int64_t n, const float *factor, E *y) {
    STEPS(n, LOAD2(a, b, g + i); FLOATS2(k, l, factor + i); H(store32)(y + i, m, a * k, b * l);)
}

/* ---- columns: 32 of them stay in registers over some rows ---- */
static void H(column_part)(int of, const E *x, const E *g, int64_t r0, int64_t r1, int64_t C, int64_t len, const float *mean, double *p, double *q) {
    for (int64_t c = 0; c < len; c++) p[c] = 0;
    if (of == OF_PAIR) for (int64_t c = 0; c < len; c++) q[c] = 0;
    for (int64_t from = r0; from < r1; from += ROWS) {
        const int64_t rows = r1 - from < ROWS ? r1 - from : ROWS;
        float s[32], t[32];
        STEPS(len,
            const E *xs = x + from * C + i;
            const E *gs = of == OF_PAIR ? g + from * C + i : NULL;
            __m512 s0 = _mm512_setzero_ps(), s1 = s0, t0 = s0, t1 = s0;
            if (of == OF_X) for (int64_t r = 0; r < rows; r++) { LOAD2(a, b, xs + r * C); s0 += a; s1 += b; }
            else {
                FLOATS2(v, w, mean + i);
                if (of == OF_SQUARES) for (int64_t r = 0; r < rows; r++) { LOAD2(a, b, xs + r * C); a -= v; b -= w; s0 = _mm512_fmadd_ps(a, a, s0); s1 = _mm512_fmadd_ps(b, b, s1); }
                else for (int64_t r = 0; r < rows; r++) {
                    LOAD2(a, b, xs + r * C); LOAD2(c, d, gs + r * C);
                    s0 += c; s1 += d;
                    t0 = _mm512_fmadd_ps(c, a - v, t0); t1 = _mm512_fmadd_ps(d, b - w, t1);
                }
            }
            int64_t some = len - i < 32 ? len - i : 32;
            _mm512_storeu_ps(s, s0); _mm512_storeu_ps(s + 16, s1);
            for (int64_t c = 0; c < some; c++) p[i + c] += s[c];
            if (of == OF_PAIR) {
                _mm512_storeu_ps(t, t0); _mm512_storeu_ps(t + 16, t1);
                for (int64_t c = 0; c < some; c++) q[i + c] += t[c];
            })
    }
}
static void H(weight_sums)(const E *x, const E *g, int64_t step, int64_t rows, int64_t len, const float *mean, const float *rstd, float *pw, float *pb) {
    STEPS(len,
        __m512 s0 = _mm512_setzero_ps(), s1 = s0, t0 = s0, t1 = s0;
        for (int64_t r = 0; r < rows; r++) {
            LOAD2(a, b, x + r * step + i); LOAD2(c, d, g + r * step + i);
            const __m512 v = _mm512_set1_ps(mean ? mean[r] : 0), k = _mm512_set1_ps(rstd[r]);
            s0 = _mm512_fmadd_ps(c, (a - v) * k, s0); s1 = _mm512_fmadd_ps(d, (b - v) * k, s1);
            t0 += c; t1 += d;
        }
        _mm512_mask_storeu_ps(pw + i, (__mmask16)m, s0); _mm512_mask_storeu_ps(pw + i + 16, (__mmask16)(m >> 16), s1);
        _mm512_mask_storeu_ps(pb + i, (__mmask16)m, t0); _mm512_mask_storeu_ps(pb + i + 16, (__mmask16)(m >> 16), t1);)
}
/* rows of n channels */
static void H(scaled_rows)(const E *x, int64_t step, int64_t rows, int64_t n, const float *mean, const float *rstd, const float *w, const float *shift, E *y) {
    STEPS(n,
        FLOATS2(v, u, mean + i); FLOATS2(k, l, rstd + i);
        __m512 e = _mm512_setzero_ps(), f = e;
        if (w) { FLOATS2(c, d, w + i); k *= c; l *= d; }
        if (shift) { e = rt_half_floats(shift + i, (__mmask16)m); f = rt_half_floats(shift + i + 16, (__mmask16)(m >> 16)); }
        for (int64_t r = 0; r < rows; r++) {
            LOAD2(a, b, x + r * step + i);
            H(store32)(y + r * step + i, m, (a - v) * k + e, (b - u) * l + f);
        })
}
#undef STEPS
#undef LOAD2
#undef FLOATS2
#undef ONLY
