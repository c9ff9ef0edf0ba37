/* float32: what math_real.h builds on. */
#define M_SIGN 0x80000000u
#define M_BITS 32
#define M_UINT uint32_t
#define M_EXP_LO -104.0f
#define M_EXP_HI 89.0f
#define M_SINH_HI 89.7f
#define M_LN2_HI 0.693359375f                                  /* 9 bits: e * M_LN2_HI is exact */
#define M_LN2_LO -2.12194440e-4f

#define RT_MAGIC_F32 12582912.0f                               /* 1.5 * 2^23: adding it rounds to integer */
RT_INLINE uint32_t rt_bits_f32(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
RT_INLINE float rt_of_bits_f32(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
RT_INLINE float rt_sqrt_f32(float x) { return sqrtf(x); }

/* e^c = (1 + p) 2^i: |r| <= ln2/2, p = r + r^2 P(r), error 2^-27 */
RT_INLINE float rt_exp_reduce_f32(float c, int32_t *i) {
    float t = rt_ma_f32(c, 1.44269504088896341f, RT_MAGIC_F32), n = t - RT_MAGIC_F32;
    *i = (int32_t)(rt_bits_f32(t) - rt_bits_f32(RT_MAGIC_F32));
    float r = rt_ma_f32(n, -M_LN2_LO, rt_ma_f32(n, -M_LN2_HI, c));
    float p = 1.392618359e-03f;
    p = rt_ma_f32(p, r, 8.363179053e-03f); p = rt_ma_f32(p, r, 4.166655462e-02f);
    p = rt_ma_f32(p, r, 1.666657699e-01f); p = rt_ma_f32(p, r, 0.5f);
    return rt_ma_f32(p * r, r, r);
}
RT_INLINE float rt_exp_parts_f32(float c, float *s1, float *s2) {
    int32_t i;
    float p = rt_exp_reduce_f32(c, &i);
    int32_t h = i >> 1;                                        /* two steps, for subnormals and overflow */
    *s1 = rt_of_bits_f32((uint32_t)(h + 127) << 23);
    *s2 = rt_of_bits_f32((uint32_t)(i - h + 127) << 23);
    return p;
}
RT_INLINE float rt_exp_quarter_f32(float c, float *s) {
    int32_t i;
    float p = rt_exp_reduce_f32(c, &i);
    *s = rt_of_bits_f32((uint32_t)(i + 125) << 23);
    return p;
}
RT_INLINE float rt_exp2_f32(float x) {
    float c = x < -151.0f ? -151.0f : x;
    c = c > 129.0f ? 129.0f : c;
    float t = c + RT_MAGIC_F32, r = c - (t - RT_MAGIC_F32);
    int32_t i = (int32_t)(rt_bits_f32(t) - rt_bits_f32(RT_MAGIC_F32)), h = i >> 1;
    float p = 1.545316295e-04f;                                /* (2^r - 1) / r, error 2^-27 */
    p = rt_ma_f32(p, r, 1.339086336e-03f); p = rt_ma_f32(p, r, 9.618082557e-03f); p = rt_ma_f32(p, r, 5.550357114e-02f);
    p = rt_ma_f32(p, r, 2.402265076e-01f); p = rt_ma_f32(p, r, 6.931471880e-01f); p = rt_ma_f32(p, r, 1.0f);
    return p * rt_of_bits_f32((uint32_t)(h + 127) << 23) * rt_of_bits_f32((uint32_t)(i - h + 127) << 23);
}

/* f and exponent of a positive normal x; the bits moved so that m falls into [sqrt 1/2, sqrt 2) */
RT_INLINE float rt_log_split_normal_f32(float x, float *e) {
    uint32_t u = rt_bits_f32(x) + (0x3f800000u - 0x3f3504f3u);
    *e = (float)((int32_t)(u >> 23) - 127);
    return rt_of_bits_f32((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
}
RT_INLINE float rt_log_split_f32(float x, float *e) {
    int sub = x < 1.17549435e-38f;
    float f = rt_log_split_normal_f32(sub ? x * 8388608.0f : x, e);
    *e = *e - (sub ? 23.0f : 0.0f);
    return f;
}
/* log(1 + f) = f + lo: lo = -f^2/2 + f^3 P(f), error 2^-25 */
RT_INLINE float rt_log_1p_f32(float f, float *lo) {
    float p = 6.971611471e-02f;
    p = rt_ma_f32(p, f, -1.147973385e-01f); p = rt_ma_f32(p, f, 1.168541992e-01f); p = rt_ma_f32(p, f, -1.242568733e-01f);
    p = rt_ma_f32(p, f, 1.424905765e-01f); p = rt_ma_f32(p, f, -1.666780232e-01f); p = rt_ma_f32(p, f, 2.000071575e-01f);
    p = rt_ma_f32(p, f, -2.499999696e-01f); p = rt_ma_f32(p, f, 3.333333118e-01f);
    float z = f * f;
    *lo = rt_ma_f32(p * f, z, -0.5f * z);
    return f;
}

/* quadrant, sine and cosine of the rest of a >= 0 in [-pi/4, pi/4]; errors 2^-26 and 2^-29 */
#define RT_TRIG_MAX_f32 1e5f
RT_INLINE void rt_sincos_parts_f32(float a, uint32_t *q, float *s, float *c) {
    float t = rt_ma_f32(a, 0.636619772f, RT_MAGIC_F32), n = t - RT_MAGIC_F32, r;
    *q = rt_bits_f32(t);
#ifdef RT_HAS_FMA
    r = rt_ma_f32(n, -1.57079637f, a);                         /* exact; then pi/2 to 72 bits */
    r = rt_ma_f32(n, 4.37113883e-8f, r);
    r = rt_ma_f32(n, 1.71512489e-15f, r);
#else
    r = (float)(((double)a - (double)n * 1.57079632673412561417) - (double)n * 6.07710050650619224932e-11);
#endif
    float z = r * r;
    float p = rt_ma_f32(rt_ma_f32(-1.958784052e-04f, z, 8.332748038e-03f), z, -1.666666466e-01f);
    *s = rt_ma_f32(p * z, r, r);
    p = rt_ma_f32(rt_ma_f32(2.454789162e-05f, z, -1.388830280e-03f), z, 4.166666466e-02f);
    *c = rt_ma_f32(p, z * z, rt_ma_f32(-0.5f, z, 1.0f));
}
RT_INLINE float rt_atan_tail_f32(float z) {                    /* atan(z) - z, error 2^-26 z^3 */
    float w = z * z;
    float p = rt_ma_f32(rt_ma_f32(-6.451928208e-02f, w, 1.074373149e-01f), w, -1.426395560e-01f);
    p = rt_ma_f32(rt_ma_f32(p, w, 1.999954048e-01f), w, -3.333333176e-01f);
    return p * w * z;
}
RT_INLINE float rt_asin_tail_f32(float z) {                    /* asin(s) / s - 1 of z = s^2 <= 1/4 */
    float p = rt_ma_f32(rt_ma_f32(3.808502356e-02f, z, 2.655454221e-02f), z, 4.500138007e-02f);
    p = rt_ma_f32(rt_ma_f32(p, z, 7.498855073e-02f), z, 1.666667241e-01f);
    return p * z;
}
RT_INLINE float rt_erf_tail_f32(float z) {  /* (erf(x) - x) / x of z = x^2 in [0, 1] */
    float p = 7.875875063e-05f;
    p = rt_ma_f32(p, z, -8.016864287e-04f); p = rt_ma_f32(p, z, 5.189087423e-03f); p = rt_ma_f32(p, z, -2.685421201e-02f);
    p = rt_ma_f32(p, z, 1.128359472e-01f); p = rt_ma_f32(p, z, -3.761262667e-01f); p = rt_ma_f32(p, z, 1.283791658e-01f);
    return p;
}
RT_INLINE float rt_erfcx_poly_far_f32(float t) {  /* a in [1, 4], K = 2 */
    float p = 8.444947802e-03f;
    p = rt_ma_f32(p, t, -7.798595398e-03f); p = rt_ma_f32(p, t, -5.420466551e-02f); p = rt_ma_f32(p, t, 1.640383941e-01f);
    p = rt_ma_f32(p, t, -1.660306102e-01f); p = rt_ma_f32(p, t, -9.276364850e-02f); p = rt_ma_f32(p, t, 1.276978382e+00f);
    return p;
}
RT_INLINE float rt_erfcx_poly_f32(float t) {  /* a in [0, 10.1], K = 2 */
    float p = 2.166778932e-05f;
    p = rt_ma_f32(p, t, -3.730590675e-04f); p = rt_ma_f32(p, t, -1.251374807e-03f); p = rt_ma_f32(p, t, 1.282442498e-03f);
    p = rt_ma_f32(p, t, 8.639491471e-03f); p = rt_ma_f32(p, t, -8.047965959e-03f); p = rt_ma_f32(p, t, -5.420572170e-02f);
    p = rt_ma_f32(p, t, 1.640536474e-01f); p = rt_ma_f32(p, t, -1.660312975e-01f); p = rt_ma_f32(p, t, -9.276391693e-02f);
    p = rt_ma_f32(p, t, 1.276978391e+00f);
    return p;
}
RT_INLINE float rt_erfcx_far_f32(float a) { return rt_erfcx_poly_far_f32((a - 2) / (a + 2)) / (1 + 2 * a); }
RT_INLINE float rt_erfcx_near_f32(float a) { return rt_erfcx_poly_f32((a - 2) / (a + 2)) / (1 + 2 * a); }
RT_INLINE float rt_square_rest_f32(float a, float s) {         /* a^2 - s, s = a * a rounded */
#ifdef RT_HAS_FMA
    return rt_ma_f32(a, a, -s);
#else
    return (float)((double)a * a - s);
#endif
}
#define M_ERFC_HI 10.1f

