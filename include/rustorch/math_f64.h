/* float64: what math_real.h builds on. No conversion between 64-bit integers and doubles is used: AVX2 has none. */
#define M_SIGN 0x8000000000000000ull
#define M_BITS 64
#define M_UINT uint64_t
#define M_EXP_LO -746.0
#define M_EXP_HI 710.0
#define M_SINH_HI 710.7
#define M_LN2_HI 6.93147180369123816490e-01                    /* 33 bits: e * M_LN2_HI is exact */
#define M_LN2_LO 1.90821492927058770002e-10

#define RT_MAGIC_F64 6755399441055744.0                        /* 1.5 * 2^52: adding it rounds to integer */
RT_INLINE uint64_t rt_bits_f64(double f) { uint64_t u; memcpy(&u, &f, 8); return u; }
RT_INLINE double rt_of_bits_f64(uint64_t u) { double f; memcpy(&f, &u, 8); return f; }
RT_INLINE double rt_sqrt_f64(double x) { return sqrt(x); }

/* e^c = (1 + p) 2^i: |r| <= ln2/2, p = r + r^2 P(r), error 2^-56 */
RT_INLINE double rt_exp_reduce_f64(double c, uint64_t *i) {
    double t = rt_ma_f64(c, 1.44269504088896338700e+00, RT_MAGIC_F64), n = t - RT_MAGIC_F64;
    *i = rt_bits_f64(t) - rt_bits_f64(RT_MAGIC_F64);
    double r = rt_ma_f64(n, -M_LN2_LO, rt_ma_f64(n, -M_LN2_HI, c));
    double p = 2.51003854955103203e-08;
    p = rt_ma_f64(p, r, 2.76200884454097462e-07); p = rt_ma_f64(p, r, 2.75572684599970641e-06); p = rt_ma_f64(p, r, 2.48015212959543761e-05);
    p = rt_ma_f64(p, r, 1.98412698630536177e-04); p = rt_ma_f64(p, r, 1.38888889172137167e-03); p = rt_ma_f64(p, r, 8.33333333333006153e-03);
    p = rt_ma_f64(p, r, 4.16666666666241289e-02); p = rt_ma_f64(p, r, 1.66666666666666685e-01); p = rt_ma_f64(p, r, 0.5);
    return rt_ma_f64(p * r, r, r);
}
RT_INLINE double rt_two_steps_f64(uint64_t i, double *s2) {    /* 2^i in two factors, for subnormals and overflow */
    uint64_t h = ((i + 2048) >> 1) - 1024;
    *s2 = rt_of_bits_f64((i - h + 1023) << 52);
    return rt_of_bits_f64((h + 1023) << 52);
}
RT_INLINE double rt_exp_parts_f64(double c, double *s1, double *s2) {
    uint64_t i;
    double p = rt_exp_reduce_f64(c, &i);
    *s1 = rt_two_steps_f64(i, s2);
    return p;
}
RT_INLINE double rt_exp_quarter_f64(double c, double *s) {
    uint64_t i;
    double p = rt_exp_reduce_f64(c, &i);
    *s = rt_of_bits_f64((i + 1021) << 52);
    return p;
}
RT_INLINE double rt_exp2_f64(double x) {
    double c = x < -1076.0 ? -1076.0 : x, s1, s2;
    c = c > 1025.0 ? 1025.0 : c;
    double t = c + RT_MAGIC_F64, r = c - (t - RT_MAGIC_F64);
    double p = 2.57293241773623047e-11;                        /* (2^r - 1) / r, error 2^-62 */
    p = rt_ma_f64(p, r, 4.45581790833606449e-10); p = rt_ma_f64(p, r, 7.05489730415549946e-09); p = rt_ma_f64(p, r, 1.01780570877339407e-07);
    p = rt_ma_f64(p, r, 1.32154868087055627e-06); p = rt_ma_f64(p, r, 1.52527338415567733e-05); p = rt_ma_f64(p, r, 1.54035303933707342e-04);
    p = rt_ma_f64(p, r, 1.33335581464064708e-03); p = rt_ma_f64(p, r, 9.61812910762848035e-03); p = rt_ma_f64(p, r, 5.55041086648216248e-02);
    p = rt_ma_f64(p, r, 2.40226506959100722e-01); p = rt_ma_f64(p, r, 6.93147180559945286e-01); p = rt_ma_f64(p, r, 1.0);
    s1 = rt_two_steps_f64(rt_bits_f64(t) - rt_bits_f64(RT_MAGIC_F64), &s2);
    return p * s1 * s2;
}

/* f and exponent of a positive normal x; the bits moved so that m falls into [sqrt 1/2, sqrt 2) */
RT_INLINE double rt_log_split_normal_f64(double x, double *e) {
    uint64_t u = rt_bits_f64(x) + (0x3ff0000000000000ull - 0x3fe6a09e667f3bcdull);
    *e = rt_of_bits_f64(0x4330000000000000ull | (u >> 52)) - 4503599627371519.0;      /* 2^52 + 1023 */
    return rt_of_bits_f64((u & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull) - 1.0;
}
RT_INLINE double rt_log_split_f64(double x, double *e) {
    int sub = x < 2.2250738585072014e-308;
    double f = rt_log_split_normal_f64(sub ? x * 18014398509481984.0 : x, e);
    *e = *e - (sub ? 54.0 : 0.0);
    return f;
}
/* log(1 + f) = f + lo after fdlibm's e_log.c: s = f / (2 + f), log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))) */
RT_INLINE double rt_log_1p_f64(double f, double *lo) {
    double s = f / (2.0 + f), w = s * s, half = 0.5 * f * f;
    double p = 1.479819860511658591e-01;
    p = rt_ma_f64(p, w, 1.531383769920937332e-01); p = rt_ma_f64(p, w, 1.818357216161805012e-01); p = rt_ma_f64(p, w, 2.222219843214978396e-01);
    p = rt_ma_f64(p, w, 2.857142874366239149e-01); p = rt_ma_f64(p, w, 3.999999999940941908e-01); p = rt_ma_f64(p, w, 6.666666666666735130e-01);
    *lo = rt_ma_f64(s, rt_ma_f64(p, w, half), -half);
    return f;
}

/* quadrant, sine and cosine of the rest of a >= 0 in [-pi/4, pi/4]. pi/2 in parts of 33 bits: n * part is exact. */
#define RT_TRIG_MAX_f64 1e6
RT_INLINE void rt_sincos_parts_f64(double a, uint64_t *q, double *s, double *c) {
    double t = rt_ma_f64(a, 6.36619772367581382433e-01, RT_MAGIC_F64), n = t - RT_MAGIC_F64;
    *q = rt_bits_f64(t);
    double r0 = rt_ma_f64(n, -1.57079632673412561417e+00, a), m = n * 6.07710050630396597660e-11, r = r0 - m;
    double rest = (r0 - r) - m;                                /* what the difference lost, and the last part */
    rest = rt_ma_f64(n, -2.02226624879595063154e-21, rest);
    double h = r + rest, z = h * h;
    rest = rest - (h - r);
    double p = 1.59181012302741205e-10;
    p = rt_ma_f64(p, z, -2.50511314554279461e-08); p = rt_ma_f64(p, z, 2.75573161006830287e-06); p = rt_ma_f64(p, z, -1.98412698367549713e-04);
    p = rt_ma_f64(p, z, 8.33333333333094624e-03); p = rt_ma_f64(p, z, -1.66666666666666657e-01);
    *s = h + rt_ma_f64(p * z, h, rest);
    p = -1.13826148685563245e-11;
    p = rt_ma_f64(p, z, 2.08761460246897470e-09); p = rt_ma_f64(p, z, -2.75573172705603264e-07); p = rt_ma_f64(p, z, 2.48015872987634326e-05);
    p = rt_ma_f64(p, z, -1.38888888888873954e-03); p = rt_ma_f64(p, z, 4.16666666666666644e-02);
    double half = 0.5 * z, v = 1.0 - half;
    *c = v + (((1.0 - v) - half) + rt_ma_f64(p * z, z, -h * rest));
}
RT_INLINE double rt_atan_tail_f64(double z) {                  /* atan(z) - z, error 2^-55 z^3 */
    double w = z * z;
    double p = -1.91768871190622602e-02;
    p = rt_ma_f64(p, w, 3.92316582955871893e-02); p = rt_ma_f64(p, w, -5.08544973794025981e-02); p = rt_ma_f64(p, w, 5.85814891280221003e-02);
    p = rt_ma_f64(p, w, -6.66451144738194751e-02); p = rt_ma_f64(p, w, 7.69218319082608654e-02); p = rt_ma_f64(p, w, -9.09090457812390257e-02);
    p = rt_ma_f64(p, w, 1.11111110152563614e-01); p = rt_ma_f64(p, w, -1.42857142846665425e-01); p = rt_ma_f64(p, w, 1.99999999999955214e-01);
    p = rt_ma_f64(p, w, -3.33333333333333315e-01);
    return p * w * z;
}
RT_INLINE double rt_asin_tail_f64(double z) {                  /* asin(s) / s - 1 of z = s^2 <= 1/4, error 2^-56 z */
    double p = 2.87578513674215663e-02;
    p = rt_ma_f64(p, z, -1.48518870712472037e-02); p = rt_ma_f64(p, z, 1.74008794426940214e-02); p = rt_ma_f64(p, z, 5.45750671864035815e-03);
    p = rt_ma_f64(p, z, 1.03228143501857793e-02); p = rt_ma_f64(p, z, 1.14791774151849057e-02); p = rt_ma_f64(p, z, 1.39712129735529329e-02);
    p = rt_ma_f64(p, z, 1.73523927208699726e-02); p = rt_ma_f64(p, z, 2.23721729421498886e-02); p = rt_ma_f64(p, z, 3.03819441385312465e-02);
    p = rt_ma_f64(p, z, 4.46428571463554288e-02); p = rt_ma_f64(p, z, 7.49999999999843292e-02); p = rt_ma_f64(p, z, 1.66666666666666685e-01);
    return p * z;
}
RT_INLINE double rt_erf_tail_f64(double z) {  /* (erf(x) - x) / x of z = x^2 in [0, 1] */
    double p = -7.79589882700214246e-10;
    p = rt_ma_f64(p, z, 1.37200645467776862e-08); p = rt_ma_f64(p, z, -1.62084838018717052e-07); p = rt_ma_f64(p, z, 1.64474247033173623e-06);
    p = rt_ma_f64(p, z, -1.49247369074196605e-05); p = rt_ma_f64(p, z, 1.20552949048397074e-04); p = rt_ma_f64(p, z, -8.54832597538969182e-04);
    p = rt_ma_f64(p, z, 5.22397760711642255e-03); p = rt_ma_f64(p, z, -2.68661706432377703e-02); p = rt_ma_f64(p, z, 1.12837916709450065e-01);
    p = rt_ma_f64(p, z, -3.76126389031835429e-01); p = rt_ma_f64(p, z, 1.28379167095512559e-01);
    return p;
}
RT_INLINE double rt_erfcx_poly_far_f64(double t) {  /* a in [1, 6], K = 4 */
    double p = -2.09872190912229241e-05;
    p = rt_ma_f64(p, t, -3.19822170807254044e-05); p = rt_ma_f64(p, t, 1.47809808248317416e-04); p = rt_ma_f64(p, t, -1.99437911154739855e-04);
    p = rt_ma_f64(p, t, -7.57542489972328490e-04); p = rt_ma_f64(p, t, 5.03204031228516539e-03); p = rt_ma_f64(p, t, -1.61977343506410319e-02);
    p = rt_ma_f64(p, t, 3.71675124867408141e-02); p = rt_ma_f64(p, t, -6.63303661167182756e-02); p = rt_ma_f64(p, t, 9.37328350448936032e-02);
    p = rt_ma_f64(p, t, -1.01039066029044500e-01); p = rt_ma_f64(p, t, 6.80970542544652030e-02); p = rt_ma_f64(p, t, 1.53796521025700694e-02);
    p = rt_ma_f64(p, t, -1.39621116840562359e-01); p = rt_ma_f64(p, t, 1.23299511862555256e+00);
    return p;
}
RT_INLINE double rt_erfcx_poly_f64(double t) {  /* a in [0, 27.3], K = 4 */
    double p = 1.24950962235298858e-09;
    p = rt_ma_f64(p, t, 1.82325026506834179e-09); p = rt_ma_f64(p, t, -1.40989819677351389e-08); p = rt_ma_f64(p, t, -1.78871249450713958e-08);
    p = rt_ma_f64(p, t, 1.10145381072391688e-07); p = rt_ma_f64(p, t, 7.46078025700161276e-08); p = rt_ma_f64(p, t, -8.25600306857749429e-07);
    p = rt_ma_f64(p, t, 2.93832521860260867e-07); p = rt_ma_f64(p, t, 5.70988261845246002e-06); p = rt_ma_f64(p, t, -1.12220565675428611e-05);
    p = rt_ma_f64(p, t, -2.43992875886113907e-05); p = rt_ma_f64(p, t, 1.50621695306802592e-04); p = rt_ma_f64(p, t, -1.99256672392259334e-04);
    p = rt_ma_f64(p, t, -7.57773296029746828e-04); p = rt_ma_f64(p, t, 5.03196997369817923e-03); p = rt_ma_f64(p, t, -1.61977340562855857e-02);
    p = rt_ma_f64(p, t, 3.71675155379839542e-02); p = rt_ma_f64(p, t, -6.63303658123791939e-02); p = rt_ma_f64(p, t, 9.37328349983178877e-02);
    p = rt_ma_f64(p, t, -1.01039066036296060e-01); p = rt_ma_f64(p, t, 6.80970542546935620e-02); p = rt_ma_f64(p, t, 1.53796521026195836e-02);
    p = rt_ma_f64(p, t, -1.39621116840562526e-01); p = rt_ma_f64(p, t, 1.23299511862555256e+00);
    return p;
}
RT_INLINE double rt_erfcx_far_f64(double a) { return rt_erfcx_poly_far_f64((a - 4) / (a + 4)) / (1 + 2 * a); }
RT_INLINE double rt_erfcx_near_f64(double a) { return rt_erfcx_poly_f64((a - 4) / (a + 4)) / (1 + 2 * a); }
RT_INLINE double rt_square_rest_f64(double a, double s) {      /* a^2 - s, s = a * a rounded (T. J. Dekker, 1971) */
#ifdef RT_HAS_FMA
    return rt_ma_f64(a, a, -s);
#else
    double c = 134217729.0 * a, hi = c - (c - a), lo = a - hi;
    return ((hi * hi - s) + 2 * hi * lo) + lo * lo;
#endif
}
#define M_ERFC_HI 27.3

