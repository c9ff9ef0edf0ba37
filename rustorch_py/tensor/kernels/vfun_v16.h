/* Functions of their own for AVX-512: registers of 16 float32 or 8 float64, with what the set has and C has not
 * (scalef, getexp, getmant, fixupimm, table look-ups in registers). vfun.inc.c makes array functions of them, half_v16.h loops over
 * 16-bit floats; the polynomials that are not explained here are those of rustorch/math_f32.h and math_f64.h. Polynomials and tables
 * were fitted by Chebyshev interpolation in 40 digits (mpmath.chebyfit); tests/tensor/test_accuracy.py holds every bound. */
#ifndef RUSTORCH_VFUN_V16_H
#define RUSTORCH_VFUN_V16_H
#include <immintrin.h>

#define S(x) _mm512_set1_ps(x)
#define D(x) _mm512_set1_pd(x)
#define FMA _mm512_fmadd_ps
#define FMAD _mm512_fmadd_pd
#define RNE (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* ---- exponentials ---- */
/* e^c = (1 + p) 2^n of c within [-104, 89.7]; NaN stays */
RT_INLINE __m512 v16_exp_reduce(__m512 c, __m512 *n) {
    const __m512 magic = S(RT_MAGIC_F32);
    *n = _mm512_sub_ps(FMA(c, S(1.44269504088896341f), magic), magic);
    __m512 r = FMA(*n, S(2.12194440e-4f), _mm512_fnmadd_ps(*n, S(0.693359375f), c));
    __m512 p = FMA(S(1.392618359e-03f), r, S(8.363179053e-03f));
    p = FMA(p, r, S(4.166655462e-02f)); p = FMA(p, r, S(1.666657699e-01f)); p = FMA(p, r, S(0.5f));
    return FMA(_mm512_mul_ps(p, r), r, r);
}
RT_INLINE __m512 v16_clamp(__m512 x, float lo, float hi) { return _mm512_min_ps(S(hi), _mm512_max_ps(S(lo), x)); }   /* NaN passes both */
RT_INLINE __m512 v16_exp(__m512 x) {
    __m512 n, p = v16_exp_reduce(v16_clamp(x, -104.0f, 89.0f), &n);
    return _mm512_scalef_ps(_mm512_add_ps(p, S(1.0f)), n);
}
RT_INLINE __m512 v16_expm1(__m512 x) {
    __m512 n, p = v16_exp_reduce(v16_clamp(x, -30.0f, 89.7f), &n), half = _mm512_scalef_ps(S(0.5f), n);
    __m512 v = FMA(half, p, _mm512_sub_ps(half, S(0.5f)));
    v = _mm512_add_ps(v, v);
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(_mm512_mul_ps(x, x), S(0), _CMP_EQ_OQ), x);
}
RT_INLINE __m512 v16_exp2(__m512 x) {
    __m512 c = v16_clamp(x, -151.0f, 129.0f), n = _mm512_roundscale_ps(c, RNE), r = _mm512_sub_ps(c, n);
    __m512 p = FMA(S(1.545316295e-04f), r, S(1.339086336e-03f));
    p = FMA(p, r, S(9.618082557e-03f)); p = FMA(p, r, S(5.550357114e-02f)); p = FMA(p, r, S(2.402265076e-01f));
    p = FMA(p, r, S(6.931471880e-01f)); p = FMA(p, r, S(1.0f));
    return _mm512_scalef_ps(p, n);
}
RT_INLINE __m512 v16_sigmoid(__m512 x) {
    return _mm512_div_ps(S(1.0f), _mm512_add_ps(S(1.0f), v16_exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}
RT_INLINE __m512 v16_silu(__m512 x) {
    return _mm512_div_ps(x, _mm512_add_ps(S(1.0f), v16_exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

/* ---- logarithms: x = m 2^e, m in [sqrt 1/2, sqrt 2), f = m - 1 ---- */
RT_INLINE __m512 v16_log_split(__m512 x, __m512 *e) {
    __m512 m = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero);
    __mmask16 big = _mm512_cmp_ps_mask(m, S(1.41421354f), _CMP_GE_OQ);
    *e = _mm512_getexp_ps(x);
    *e = _mm512_mask_add_ps(*e, big, *e, S(1.0f));
    return _mm512_sub_ps(_mm512_mask_mul_ps(m, big, m, S(0.5f)), S(1.0f));
}
RT_INLINE __m512 v16_log_1p(__m512 f) {                          /* log(1 + f) - f */
    __m512 p = FMA(S(6.971611471e-02f), f, S(-1.147973385e-01f));
    p = FMA(p, f, S(1.168541992e-01f)); p = FMA(p, f, S(-1.242568733e-01f)); p = FMA(p, f, S(1.424905765e-01f));
    p = FMA(p, f, S(-1.666780232e-01f)); p = FMA(p, f, S(2.000071575e-01f)); p = FMA(p, f, S(-2.499999696e-01f));
    p = FMA(p, f, S(3.333333118e-01f));
    __m512 z = _mm512_mul_ps(f, f);
    return FMA(_mm512_mul_ps(p, f), z, _mm512_mul_ps(S(-0.5f), z));
}
/* v, or what the logarithm of a zero, an infinity, a negative number, 1 or a NaN is */
#define LOG_CASES 0x03538422
RT_INLINE __m512 v16_log_cases(__m512 v, __m512 x) { return _mm512_fixupimm_ps(v, x, _mm512_set1_epi32(LOG_CASES), 0); }
RT_INLINE __m512 v16_log_join(__m512 e, __m512 f, __m512 lo) {   /* e log 2 + f + lo */
    return FMA(e, S(0.693359375f), _mm512_add_ps(f, FMA(e, S(-2.12194440e-4f), lo)));
}
/* x = z 2^e, z in [3/4, 3/2). With the table's c near 1 / z, r = z c - 1 is in [-1/64, 1/32] and log z = -log c + r + r^2 P(r), error
 * 2^-36; c is 1 on both sides of 1, and elsewhere such that -log c is a float32 to 2^-34. */
static const float rt_log_c[32] __attribute__((aligned(64))) = {
    1.0f, 0.955204308f, 0.927512527f, 0.901432097f, 0.876736104f, 0.853309929f, 0.831168473f, 0.810126841f,
    0.790123403f, 0.771107733f, 0.752955198f, 0.735608697f, 0.719100893f, 0.703278363f, 0.688151121f, 0.673683405f,
    1.31962168f, 1.29296112f, 1.26732635f, 1.2427001f, 1.21908402f, 1.19630635f, 1.17427194f, 1.15317214f,
    1.1327765f, 1.11301219f, 1.09397674f, 1.07561791f, 1.0578903f, 1.04068303f, 1.02396727f, 1.0f};
static const float rt_log_of_c[32] __attribute__((aligned(64))) = {
    0.0f, 0.0458300263f, 0.075248979f, 0.103770562f, 0.131549239f, 0.158632457f, 0.18492277f, 0.210564449f,
    0.235566139f, 0.259927183f, 0.283749551f, 0.307056963f, 0.329753608f, 0.352002501f, 0.373746812f, 0.394995004f,
    -0.277345091f, -0.25693503f, -0.236909449f, -0.217286512f, -0.198099777f, -0.179238766f, -0.160648331f, -0.142516524f,
    -0.124671698f, -0.107070029f, -0.0898194388f, -0.0728952959f, -0.0562766381f, -0.0398772582f, -0.0236845594f, 0.0f};
RT_INLINE __m512 v16_log(__m512 x) {
    __m512 z = _mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero), e = _mm512_getexp_ps(x);
    e = _mm512_mask_add_ps(e, _mm512_cmp_ps_mask(z, S(1.0f), _CMP_LT_OQ), e, S(1.0f));
    __m512i i = _mm512_srli_epi32(_mm512_castps_si512(z), 18);
    __m512 c = _mm512_permutex2var_ps(_mm512_load_ps(rt_log_c), i, _mm512_load_ps(rt_log_c + 16));
    __m512 log_c = _mm512_permutex2var_ps(_mm512_load_ps(rt_log_of_c), i, _mm512_load_ps(rt_log_of_c + 16));
    __m512 r = _mm512_fmsub_ps(z, c, S(1.0f));
    __m512 p = FMA(S(0.1949621558f), r, S(-0.2500321019f));
    p = FMA(p, r, S(0.3333344346f)); p = FMA(p, r, S(-0.4999999986f));
    __m512 low = FMA(_mm512_mul_ps(r, r), p, FMA(e, S(-2.12194440e-4f), r));
    return v16_log_cases(FMA(e, S(0.693359375f), _mm512_add_ps(log_c, low)), x);
}
RT_INLINE __m512 v16_log2(__m512 x) {
    __m512 e, f = v16_log_split(x, &e);
    return v16_log_cases(FMA(_mm512_add_ps(f, v16_log_1p(f)), S(1.44269504088896340736f), e), x);
}
RT_INLINE __m512 v16_log10(__m512 x) {
    __m512 e, f = v16_log_split(x, &e);
    __m512 v = FMA(_mm512_add_ps(f, v16_log_1p(f)), S(0.43429448190325182765f), _mm512_mul_ps(e, S(7.90341510e-7f)));
    return v16_log_cases(FMA(e, S(3.01029205e-1f), v), x);
}
RT_INLINE __m512 v16_log_plus(__m512 u, __m512 c) {              /* log(u) of a u that is too small by c << u */
    __m512 e, f = v16_log_split(u, &e), y = _mm512_rcp14_ps(u);
    y = FMA(_mm512_fnmadd_ps(u, y, S(1.0f)), y, y);
    return v16_log_join(e, f, FMA(c, y, v16_log_1p(f)));
}
RT_INLINE __m512 v16_log1p(__m512 x) {
    __m512 u = _mm512_add_ps(x, S(1.0f)), v = v16_log_plus(u, _mm512_sub_ps(x, _mm512_sub_ps(u, S(1.0f))));
    __mmask16 one = _mm512_cmp_ps_mask(u, S(1.0f), _CMP_EQ_OQ);  /* then x itself */
    return _mm512_mask_mov_ps(v16_log_cases(v, u), one, x);
}
RT_INLINE __m512 v16_softplus1(__m512 x) {                       /* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) */
    __m512 u = v16_exp(_mm512_or_ps(x, S(-0.0f))), w = _mm512_add_ps(u, S(1.0f));
    __m512 v = v16_log_plus(w, _mm512_sub_ps(u, _mm512_sub_ps(w, S(1.0f))));
    return _mm512_add_ps(_mm512_max_ps(S(0), x), v);             /* a NaN is max's second operand */
}

/* ---- tables of 32 intervals: f(a) / a as a polynomial in the place within the interval ---- */
/* erf(a) / a of a = (i + t) / 8, t in [0, 1), i < 32: coefficients of t^0, t^1 ...; error 2^-28 */
static const float rt_erf_table[5][32] __attribute__((aligned(64))) = {
    {1.12837917f, 1.12252964f, 1.10530556f, 1.07764509f, 1.04099975f, 0.997185409f, 0.94820751f, 0.896085783f,
     0.842700793f, 0.789678428f, 0.738320103f, 0.689578236f, 0.644070099f, 0.602119221f, 0.563812384f, 0.529061365f,
     0.497661133f, 0.469339281f, 0.443794348f, 0.420722973f, 0.399837219f, 0.380874143f, 0.363599774f, 0.347809442f,
     0.33332597f, 0.319996833f, 0.307690984f, 0.296295758f, 0.285714073f, 0.275861988f, 0.266666636f, 0.258064505f},
    {2.46576587e-8f, -0.0116442888f, -0.0226455933f, -0.0324306153f, -0.040554147f, -0.0467370454f, -0.0508793087f, -0.0530486169f,
     -0.0534491401f, -0.0523782851f, -0.0501799322f, -0.0472017258f, -0.0437617023f, -0.040126738f, -0.0365027119f, -0.0330344011f,
     -0.0298121568f, -0.0268822767f, -0.024258454f, -0.0219324504f, -0.019882947f, -0.0180822017f, -0.0165006111f, -0.0151095284f,
     -0.0138827773f, -0.0127972807f, -0.0118331439f, -0.010973443f, -0.0102038798f, -0.00951240474f, -0.00888885752f, -0.00832464969f},
    {-0.00587716378f, -0.00571384669f, -0.00524083675f, -0.0045089205f, -0.00359358304f, -0.00258328692f, -0.00156668899f, -0.000621245155f,
     0.000194910594f, 0.000846859057f, 0.00132261771f, 0.00162956876f, 0.00178893128f, 0.00182967966f, 0.00178305623f, 0.00167839515f,
     0.00154051897f, 0.00138860039f, 0.0012361567f, 0.00109176461f, 0.000960113703f, 0.000843109626f, 0.000740848313f, 0.000652380178f,
     0.000576252788f, 0.000510860877f, 0.000454648792f, 0.00040621098f, 0.000364328566f, 0.000327969921f, 0.000296273686f, 0.000268525318f},
    {4.77601926e-7f, 0.000109889372f, 0.000207231022f, 0.000282512565f, 0.000329283544f, 0.000345412383f, 0.000332994221f, 0.000297494198f,
     0.000246401695f, 0.000187746234f, 0.000128799364f, 7.51831479e-5f, 3.04682432e-5f, -3.78232858e-6f, -2.7652304e-5f, -4.23538943e-5f,
     -4.9696393e-5f, -5.16420871e-5f, -4.99978076e-5f, -4.62459446e-5f, -4.14899428e-5f, -3.64771456e-5f, -3.16625893e-5f, -2.72854203e-5f,
     -2.34399788e-5f, -2.01328744e-5f, -1.73240076e-5f, -1.49532934e-5f, -1.29563967e-5f, -1.12729105e-5f, -9.8498281e-6f, -8.64236709e-6f},
    {2.713403e-5f, 2.417173e-5f, 1.87352046e-5f, 1.16929328e-5f, 4.10817929e-6f, -2.974961e-6f, -8.72023586e-6f, -1.26210181e-5f,
     -1.45362286e-5f, -1.46462999e-5f, -1.33542035e-5f, -1.11651798e-5f, -8.57646217e-6f, -5.99812875e-6f, -3.71312881e-6f, -1.87302424e-6f,
     -5.18840717e-7f, 3.85752e-7f, 9.19972728e-7f, 1.17740989e-6f, 1.24658587e-6f, 1.20052916e-6f, 1.09342013e-6f, 9.61766622e-7f,
     8.27804457e-7f, 7.03460137e-7f, 5.93910741e-7f, 5.00337086e-7f, 4.21827172e-7f, 3.5656816e-7f, 3.0252076e-7f, 2.57755897e-7f},
};
/* tanh(a) / a of a = (i + t) 9.25 / 32, t in [0, 1): error 2^-26 */
static const float rt_tanh_table[6][32] __attribute__((aligned(64))) = {
    {1.00000001f, 0.973048074f, 0.901710358f, 0.807140726f, 0.709028335f, 0.619078638f, 0.541734531f, 0.477230744f,
     0.424035912f, 0.380179777f, 0.343818122f, 0.313409756f, 0.287729152f, 0.265822622f, 0.246953341f, 0.230551613f,
     0.216174658f, 0.203475674f, 0.192180568f, 0.182070636f, 0.172969681f, 0.164734406f, 0.157247216f, 0.150410776f,
     0.144143873f, 0.138378232f, 0.133056054f, 0.128128086f, 0.1235521f, 0.119291693f, 0.115315309f, 0.111595463f},
    {-9.11197506e-7f, -0.0521616639f, -0.0867321412f, -0.0990197671f, -0.095280849f, -0.0839356367f, -0.0707546951f, -0.0585291786f,
     -0.0481973896f, -0.0398247076f, -0.0331554485f, -0.0278647142f, -0.0236544917f, -0.0202805344f, -0.017552308f, -0.0153244328f,
     -0.0134868926f, -0.0119564729f, -0.0106699778f, -0.00957909355f, -0.00864658074f, -0.00784347868f, -0.00714705622f, -0.00653930678f,
     -0.00600583762f, -0.0055350447f, -0.00511749492f, -0.00474546f, -0.00441256168f, -0.00411349943f, -0.0038438397f, -0.00359985151f},
    {-0.0278416604f, -0.0227129648f, -0.0115094031f, -0.00139723525f, 0.00439380281f, 0.00647322157f, 0.00648758338f, 0.00566892372f,
     0.00466223417f, 0.0037338541f, 0.00296324189f, 0.00235251507f, 0.00187803425f, 0.00151171072f, 0.00122853586f, 0.00100842673f,
     0.000835984945f, 0.00069965362f, 0.0005908325f, 0.000503129327f, 0.000431778036f, 0.000373204439f, 0.000324708344f, 0.000284232891f,
     0.000250197574f, 0.00022137714f, 0.000196813387f, 0.000175750535f, 0.000157587542f, 0.000141842647f, 0.0001281268f, 0.000116123581f},
    {-4.64484624e-5f, 0.00315730198f, 0.00390624515f, 0.00270198598f, 0.00122164909f, 0.000259170705f, -0.000186874879f, -0.000328219864f,
     -0.000331024282f, -0.000284814869f, -0.000229321993f, -0.000179290531f, -0.000138595672f, -0.000106968639f, -8.28820276e-5f, -6.46701938e-5f,
     -5.08990971e-5f, -4.0440486e-5f, -3.24429458e-5f, -2.62765837e-5f, -2.14792278e-5f, -1.77122991e-5f, -1.47271339e-5f, -1.23401747e-5f,
     -1.04150152e-5f, -8.84950997e-6f, -7.56654075e-6f, -6.50739249e-6f, -5.62698288e-6f, -4.8904081e-6f, -4.27042521e-6f, -3.74560401e-6f},
    {0.0010229701f, 0.000515408696f, -0.000183349481f, -0.000414140648f, -0.000314257041f, -0.000161419202f, -6.00498226e-5f, -1.0417757e-5f,
     8.92100599e-6f, 1.40696995e-5f, 1.35923612e-5f, 1.13664153e-5f, 8.94295315e-6f, 6.8448131e-6f, 5.18078348e-6f, 3.91276784e-6f,
     2.96403102e-6f, 2.25901079e-6f, 1.73522682e-6f, 1.34464103e-6f, 1.05159118e-6f, 8.30050509e-7f, 6.61161076e-7f, 5.31277869e-7f,
     4.30505035e-7f, 3.51632237e-7f, 2.89373294e-7f, 2.39824932e-7f, 2.00082714e-7f, 1.6796809e-7f, 1.41833719e-7f, 1.20423894e-7f},
    {-8.58750659e-5f, -0.000135794398f, -5.09875479e-5f, 1.6763036e-5f, 2.99571081e-5f, 2.05563684e-5f, 1.02493965e-5f, 4.06149975e-6f,
     1.12337297e-6f, -5.57346539e-8f, -4.30443319e-7f, -4.80467789e-7f, -4.19407412e-7f, -3.33856511e-7f, -2.54864744e-7f, -1.90860362e-7f,
     -1.4188485e-7f, -1.05419994e-7f, -7.86044458e-8f, -5.89639466e-8f, -4.45642701e-8f, -3.39633532e-8f, -2.61114245e-8f, -2.02530581e-8f,
     -1.58470166e-8f, -1.25054926e-8f, -9.94979159e-9f, -7.97865715e-9f, -6.44586292e-9f, -5.24442821e-9f, -4.29550311e-9f, -3.54052445e-9f},
};
/* gelu'(a) / a - 1 / (2 a), odd, of a = (i + t) 5.75 / 32, t in [0, 1): error 2^-26 */
static const float rt_gelu_slope_table[6][32] __attribute__((aligned(64))) = {
    {0.7978846f, 0.7893594f, 0.76451355f, 0.72542727f, 0.67522734f, 0.6176511f, 0.5565639f, 0.49551818f,
     0.43742153f, 0.3843521f, 0.3375223f, 0.2973656f, 0.26370215f, 0.23593704f, 0.21325083f, 0.19475625f,
     0.17960851f, 0.16706973f, 0.1565354f, 0.14753392f, 0.1397109f, 0.13280667f, 0.1266337f, 0.12105664f,
     0.11597668f, 0.111320116f, 0.10703036f, 0.10306254f, 0.099380106f, 0.09595251f, 0.09275381f, 0.089761645f},
    {-1.0966408e-08f, -0.016926898f, -0.032412875f, -0.045231048f, -0.05453761f, -0.05996313f, -0.061613537f, -0.05999025f,
     -0.055856146f, -0.05008223f, -0.043507982f, -0.03683878f, -0.030590499f, -0.02507895f, -0.020443173f, -0.016687842f,
     -0.013731047f, -0.011447222f, -0.00969976f, -0.008361863f, -0.0073270835f, -0.006512279f, -0.0058559603f, -0.005314463f,
     -0.0048576146f, -0.0044648433f, -0.004122094f, -0.003819595f, -0.0035503476f, -0.0033091465f, -0.00309197f, -0.002895605f},
    {-0.00858713f, -0.008217613f, -0.0071645165f, -0.0055825077f, -0.0036933199f, -0.0017418555f, 4.833108e-05f, 0.0015098909f,
     0.0025502956f, 0.0031527067f, 0.0033622633f, 0.0032638833f, 0.0029583338f, 0.0025420517f, 0.0020938f, 0.0016687646f,
     0.0012987987f, 0.0009965992f, 0.0007615211f, 0.0005852673f, 0.0004564206f, 0.00036346936f, 0.00029644606f, 0.00024752913f,
     0.00021100468f, 0.00018291712f, 0.0001606329f, 0.00014244035f, 0.00012723527f, 0.000114297676f, 0.00010314462f, 9.343841e-05f},
    {-5.480567e-07f, 0.00024276864f, 0.00044985572f, 0.00059201254f, 0.0006537888f, 0.0006351159f, 0.0005496715f, 0.00042030064f,
     0.0002730564f, 0.00013157862f, 1.3137379e-05f, -7.305295e-05f, -0.00012538717f, -0.00014795759f, -0.0001480426f, -0.00013375746f,
     -0.000112345406f, -8.926405e-05f, -6.7971494e-05f, -5.0182847e-05f, -3.6348145e-05f, -2.6155087e-05f, -1.8940542e-05f, -1.396887e-05f,
     -1.0585091e-05f, -8.275007e-06f, -6.668568e-06f, -5.516181e-06f, -4.657434e-06f, -3.9925494e-06f, -3.460409e-06f, -3.0234073e-06f},
    {6.3444575e-05f, 5.8541747e-05f, 4.505303e-05f, 2.5815403e-05f, 4.6784116e-06f, -1.4483486e-05f, -2.8672563e-05f, -3.6332083e-05f,
     -3.7458598e-05f, -3.330485e-05f, -2.5833104e-05f, -1.7121432e-05f, -8.89305e-06f, -2.260233e-06f, 2.3126197e-06f, 4.885506e-06f,
     5.8435016e-06f, 5.6980257e-06f, 4.9371743e-06f, 3.9419124e-06f, 2.9608127e-06f, 2.123921e-06f, 1.4748775e-06f, 1.0053835e-06f,
     6.8308515e-07f, 4.699678e-07f, 3.3213223e-07f, 2.434333e-07f, 1.8557422e-07f, 1.4663824e-07f, 1.1927241e-07f, 9.910831e-08f},
    {-9.4823884e-07f, -2.6419305e-06f, -3.7829716e-06f, -4.1700127e-06f, -3.794497e-06f, -2.8250886e-06f, -1.5427036e-06f, -2.5245467e-07f,
     7.9688e-07f, 1.4626921e-06f, 1.7189271e-06f, 1.6328771e-06f, 1.3235447e-06f, 9.185545e-07f, 5.222013e-07f, 1.9995919e-07f,
     -2.1913614e-08f, -1.4703234e-07f, -1.9601306e-07f, -1.9486953e-07f, -1.671505e-07f, -1.3018405e-07f, -9.4498525e-08f, -6.505765e-08f,
     -4.311545e-08f, -2.7927205e-08f, -1.7982288e-08f, -1.172521e-08f, -7.87985e-09f, -5.527513e-09f, -4.0643915e-09f, -3.1199054e-09f},
};
RT_INLINE __m512 v16_table_odd(const float table[][32], int degree, __m512 a, float scale, __m512 x) {     /* f(a) with the sign of x */
    __m512 u = _mm512_mul_ps(a, S(scale)), v = S(0), c;
    __m512i i = _mm512_cvttps_epi32(u);
    __m512 t = _mm512_fmsub_ps(a, S(scale), _mm512_cvtepi32_ps(i));       /* rounded once, where it is small */
    for (int k = degree; k >= 0; k--) {
        c = _mm512_permutex2var_ps(_mm512_load_ps(table[k]), i, _mm512_load_ps(table[k] + 16));
        v = k == degree ? c : k ? FMA(v, t, c) : FMA(a, c, _mm512_mul_ps(_mm512_mul_ps(v, t), a));
    }
    return _mm512_xor_ps(v, _mm512_and_ps(x, S(-0.0f)));
}
RT_INLINE __m512 v16_table(const float table[][32], int degree, __m512 a, float scale, __m512 x) {     /* the same of f >= 0, 1 at most */
    return _mm512_or_ps(_mm512_min_ps(S(1.0f), v16_table_odd(table, degree, a, scale, S(0))), _mm512_and_ps(x, S(-0.0f)));
}
RT_INLINE __m512 v16_erf(__m512 x) {
    return v16_table(rt_erf_table, 4, _mm512_min_ps(S(3.99999976f), _mm512_abs_ps(x)), 8.0f, x);
}
RT_INLINE __m512 v16_gelu(__m512 x) {
    return _mm512_mul_ps(_mm512_mul_ps(S(0.5f), x), _mm512_add_ps(S(1.0f), v16_erf(_mm512_mul_ps(x, S(0.70710678118654752440f)))));
}
RT_INLINE __m512 v16_gelu_slope(__m512 x) {                      /* gelu'(x) - 1/2 */
    __m512 a = _mm512_abs_ps(x), v = v16_table_odd(rt_gelu_slope_table, 5, _mm512_min_ps(S(5.7499995f), a), 5.5652174f, S(0));
    v = _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(a, S(5.7499995f), _CMP_GT_OQ), S(0.5f));      /* to float32's last bit but one */
    return _mm512_xor_ps(v, _mm512_and_ps(x, S(-0.0f)));
}
RT_INLINE __m512 v16_tanh(__m512 x) {
    return v16_table(rt_tanh_table, 5, _mm512_min_ps(S(9.249f), _mm512_abs_ps(x)), 3.45945954f, x);
}

/* ---- sine and cosine: |x| <= RT_TRIG_MAX, x = q pi + r, |r| <= pi/2; pi in three parts, q times the first is exact ---- */
RT_INLINE __m512 v16_sin_of(__m512 r) {
    __m512 z = _mm512_mul_ps(r, r);
    __m512 p = FMA(S(-2.40800951e-08f), z, S(2.75364594e-06f));
    p = FMA(p, z, S(-1.98410865e-04f)); p = FMA(p, z, S(8.33333277e-03f)); p = FMA(p, z, S(-1.66666667e-01f));
    return FMA(_mm512_mul_ps(p, z), r, r);
}
RT_INLINE __m512 v16_sin_rest(__m512 x, __m512 q) {
    __m512 r = _mm512_fnmadd_ps(q, S(3.14159274f), x);
    return _mm512_fnmadd_ps(q, S(-3.43024902e-15f), _mm512_fnmadd_ps(q, S(-8.74227766e-08f), r));
}
RT_INLINE __m512 v16_flip_odd(__m512 v, __m512 t) {              /* -v where the integer in t = magic + q is odd */
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(v), _mm512_slli_epi32(_mm512_castps_si512(t), 31)));
}
RT_INLINE __m512 v16_sin(__m512 x) {
    __m512 t = FMA(x, S(0.318309886f), S(RT_MAGIC_F32)), v = v16_flip_odd(v16_sin_of(v16_sin_rest(x, _mm512_sub_ps(t, S(RT_MAGIC_F32)))), t);
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(x, S(0), _CMP_EQ_OQ), x);
}
RT_INLINE __m512 v16_cos(__m512 x) {                             /* q = n + 1/2: cos(x) = -(-1)^n sin(r) */
    __m512 t = _mm512_add_ps(FMA(_mm512_abs_ps(x), S(0.318309886f), S(-0.5f)), S(RT_MAGIC_F32));
    __m512 q = _mm512_add_ps(_mm512_sub_ps(t, S(RT_MAGIC_F32)), S(0.5f)), v = v16_sin_of(v16_sin_rest(_mm512_abs_ps(x), q));
    return v16_flip_odd(_mm512_xor_ps(v, S(-0.0f)), t);
}
RT_INLINE __m512 v16_tan(__m512 x) {                             /* reduced by pi/2: the sine over the cosine, or their inverse */
    __m512 a = _mm512_abs_ps(x), t = FMA(a, S(0.636619772f), S(RT_MAGIC_F32)), n = _mm512_sub_ps(t, S(RT_MAGIC_F32));
    __m512 r = _mm512_fnmadd_ps(n, S(1.57079637f), a);
    r = FMA(n, S(1.71512489e-15f), FMA(n, S(4.37113883e-8f), r));
    __m512 z = _mm512_mul_ps(r, r);
    __m512 p = FMA(FMA(S(-1.958784052e-04f), z, S(8.332748038e-03f)), z, S(-1.666666466e-01f)), s = FMA(_mm512_mul_ps(p, z), r, r);
    p = FMA(FMA(S(2.454789162e-05f), z, S(-1.388830280e-03f)), z, S(4.166666466e-02f));
    __m512 c = FMA(p, _mm512_mul_ps(z, z), FMA(S(-0.5f), z, S(1.0f)));
    __mmask16 odd = _mm512_test_epi32_mask(_mm512_castps_si512(t), _mm512_set1_epi32(1));
    __m512 v = _mm512_div_ps(_mm512_mask_mov_ps(s, odd, c), _mm512_mask_mov_ps(c, odd, s));
    return _mm512_xor_ps(v16_flip_odd(v, t), _mm512_and_ps(x, S(-0.0f)));
}
RT_INLINE int v16_trig_far(__m512 x) {
    __m512 a = _mm512_abs_ps(x);
    return _mm512_cmp_ps_mask(a, S(RT_TRIG_MAX_f32), _CMP_GT_OQ) & _mm512_cmp_ps_mask(a, S(INFINITY), _CMP_LT_OQ);
}

RT_INLINE __m512 v16_atan(__m512 x) {                            /* as in math_real.h */
    __m512 a = _mm512_abs_ps(x);
    __mmask16 big = _mm512_cmp_ps_mask(a, S(2.41421356f), _CMP_GT_OQ), mid = _mm512_cmp_ps_mask(a, S(0.41421356f), _CMP_GT_OQ);
    __m512 top = _mm512_mask_mov_ps(_mm512_mask_sub_ps(a, mid, a, S(1.0f)), big, S(-1.0f));
    __m512 low = _mm512_mask_mov_ps(_mm512_mask_add_ps(S(1.0f), mid, a, S(1.0f)), big, a);
    __m512 hi = _mm512_mask_mov_ps(_mm512_maskz_mov_ps(mid, S(7.85398185e-1f)), big, S(1.57079637f));
    __m512 lo = _mm512_mask_mov_ps(_mm512_maskz_mov_ps(mid, S(-2.18556941e-8f)), big, S(-4.37113883e-8f));
    __m512 z = _mm512_div_ps(top, low), w = _mm512_mul_ps(z, z);
    __m512 p = FMA(FMA(S(-6.451928208e-02f), w, S(1.074373149e-01f)), w, S(-1.426395560e-01f));
    p = FMA(FMA(p, w, S(1.999954048e-01f)), w, S(-3.333333176e-01f));
    __m512 v = _mm512_add_ps(hi, _mm512_add_ps(z, FMA(_mm512_mul_ps(p, w), z, lo)));
    return _mm512_xor_ps(v, _mm512_and_ps(x, S(-0.0f)));
}

/* M. Giles, see math_pair.h; `far` lanes take the second polynomial */
RT_INLINE __m512 v16_erfinv(__m512 x) {
    static const float near_[] = {2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f, -0.00125372503f,
                                  -0.00417768164f, 0.246640727f, 1.50140941f};
    static const float far_[] = {-0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f, 0.00573950773f, -0.0076224613f,
                                 0.00943887047f, 1.00167406f, 2.83297682f};
    __m512 w = _mm512_sub_ps(S(0), v16_log(_mm512_mul_ps(_mm512_sub_ps(S(1.0f), x), _mm512_add_ps(S(1.0f), x))));
    __mmask16 far = _mm512_cmp_ps_mask(w, S(5.0f), _CMP_GE_OQ);
    __m512 t = _mm512_sub_ps(w, S(2.5f)), p = S(near_[0]);
    for (int i = 1; i < 9; i++) p = FMA(p, t, S(near_[i]));
    if (far) {
        __m512 u = _mm512_sub_ps(_mm512_sqrt_ps(w), S(3.0f)), q = S(far_[0]);
        for (int i = 1; i < 9; i++) q = FMA(q, u, S(far_[i]));
        p = _mm512_mask_mov_ps(p, far, q);
        p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(_mm512_abs_ps(x), S(1.0f), _CMP_EQ_OQ), S(INFINITY));
    }
    return _mm512_mul_ps(x, p);
}

/* x^y = 2^(y log2 x) of a positive x, in pairs of float32 (T. J. Dekker, A floating-point technique for extending the available precision, 1971).
 * x = z 2^k, z in [3/4, 3/2); the table's c near 1/z has 6 bits, so that r = z c - 1, in [-1/48, 1/32], is exact, and is 1 on both sides of 1.
 * log2 x = k - log2 c + log2(e) (r - r^2/2 + r^3 P(r)), -log2 c in two parts whose first adds to k exactly; relative error 2^-34, so that the
 * largest powers stay within 1 ULP. Two registers go step by step, as one waits for its own results most of the time. */
static const float rt_pow_c[32] __attribute__((aligned(64))) = {
    1.0f, 0.953125f, 0.921875f, 0.90625f, 0.875f, 0.859375f, 0.828125f, 0.8125f,
    0.796875f, 0.765625f, 0.75f, 0.734375f, 0.71875f, 0.703125f, 0.6875f, 0.671875f,
    1.3125f, 1.28125f, 1.28125f, 1.25f, 1.21875f, 1.1875f, 1.1875f, 1.15625f,
    1.125f, 1.125f, 1.09375f, 1.0625f, 1.0625f, 1.03125f, 1.03125f, 1.0f};
static const float rt_pow_log[32] __attribute__((aligned(64))) = {
    0.0f, 0.0692749f, 0.117370605f, 0.14202881f, 0.19265747f, 0.21862793f, 0.27209473f, 0.29956055f,
    0.32757568f, 0.38528442f, 0.41503906f, 0.44540405f, 0.47644043f, 0.5081482f, 0.54055786f, 0.57373047f,
    -0.39230347f, -0.35754395f, -0.35754395f, -0.32192993f, -0.2854004f, -0.2479248f, -0.2479248f, -0.20944214f,
    -0.16992188f, -0.16992188f, -0.12927246f, -0.08746338f, -0.08746338f, -0.044403076f, -0.044403076f, 0.0f};
static const float rt_pow_low[32] __attribute__((aligned(64))) = {
    0.0f, -1.2239907e-05f, -1.3654831e-05f, -9.803722e-06f, -1.2392761e-05f, 1.2356788e-05f, -1.51811255e-05f, -2.650161e-07f,
    -1.0255652e-06f, 5.7320567e-06f, -1.5632212e-06f, 7.095588e-06f, -2.3857444e-06f, -1.2896891e-06f, 1.0520034e-05f, 4.776548e-06f,
    -1.3955982e-05f, -8.059305e-06f, -8.059305e-06f, 1.8367533e-06f, -1.8282373e-06f, -2.708756e-06f, -2.708756e-06f, -1.1226957e-05f,
    -3.1264424e-06f, -3.1264424e-06f, -1.05560075e-05f, 5.376559e-07f, 5.376559e-07f, 8.956814e-06f, 8.956814e-06f, 0.0f};
#define EACH2(...) for (int h = 0; h < 2; h++) { __VA_ARGS__ }
#define LOG2E 1.4426950216293335f
#define LOG2E_LOW 1.925963033500011e-08f
RT_INLINE __m512 v16_look_up(const float table[32], __m512i i) { return _mm512_permutex2var_ps(_mm512_load_ps(table), i, _mm512_load_ps(table + 16)); }
/* nonzero: some x is NaN or infinite, or zero and y not above it, or negative and y no whole number, some y is NaN or infinite, or a power is
 * out of range */
RT_INLINE __mmask16 v16_pow_near(__m512 *v, const __m512 *x, const __m512 *y) {
    __m512 z[2], k[2], r[2], s[2], t[2], a[2], a_lo[2], b[2], p[2], l[2], m[2], n[2], f[2];
    __m512i i[2];
    __mmask16 far = 0, odd[2], zero[2];
    EACH2(z[h] = _mm512_getmant_ps(x[h], _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero); k[h] = _mm512_getexp_ps(x[h]);)
    EACH2(k[h] = _mm512_mask_add_ps(k[h], _mm512_cmp_ps_mask(z[h], S(1.0f), _CMP_LT_OQ), k[h], S(1.0f));
          i[h] = _mm512_srli_epi32(_mm512_castps_si512(z[h]), 18);)
    EACH2(r[h] = _mm512_fmsub_ps(z[h], v16_look_up(rt_pow_c, i[h]), S(1.0f));)
    EACH2(t[h] = _mm512_mul_ps(r[h], S(0.5f));)
    EACH2(s[h] = _mm512_mul_ps(r[h], t[h]); p[h] = FMA(S(-0.3274291753768921f), r[h], S(0.4001409411430359f));)
    EACH2(t[h] = _mm512_fmsub_ps(r[h], t[h], s[h]); a[h] = _mm512_sub_ps(r[h], s[h]); p[h] = FMA(p[h], r[h], S(-0.500001847743988f));)
    EACH2(a_lo[h] = _mm512_sub_ps(r[h], a[h]); b[h] = _mm512_mul_ps(a[h], S(LOG2E)); p[h] = FMA(p[h], r[h], S(0.6666666269302368f));)
    EACH2(p[h] = _mm512_fmsub_ps(_mm512_mul_ps(s[h], r[h]), p[h], t[h]); a_lo[h] = _mm512_sub_ps(a_lo[h], s[h]);)
    EACH2(a_lo[h] = _mm512_add_ps(a_lo[h], p[h]); t[h] = FMA(a[h], S(LOG2E_LOW), _mm512_fmsub_ps(a[h], S(LOG2E), b[h]));
          k[h] = _mm512_add_ps(k[h], v16_look_up(rt_pow_log, i[h]));)
    EACH2(t[h] = FMA(a_lo[h], S(LOG2E), t[h]); l[h] = _mm512_add_ps(k[h], b[h]);)
    EACH2(t[h] = _mm512_add_ps(_mm512_sub_ps(b[h], _mm512_sub_ps(l[h], k[h])), _mm512_add_ps(t[h], v16_look_up(rt_pow_low, i[h])));)
    EACH2(m[h] = _mm512_mul_ps(y[h], l[h]);)
    EACH2(t[h] = FMA(y[h], t[h], _mm512_fmsub_ps(y[h], l[h], m[h]));
          zero[h] = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(x[h], S(0), _CMP_EQ_OQ), y[h], S(0), _CMP_GT_OQ) &
                    _mm512_cmp_ps_mask(y[h], S(INFINITY), _CMP_LT_OQ);
          odd[h] = _mm512_movepi32_mask(_mm512_castps_si512(x[h])) & _mm512_cmp_ps_mask(_mm512_roundscale_ps(y[h], RNE), y[h], _CMP_EQ_OQ);
          far |= (_mm512_cmp_ps_mask(_mm512_abs_ps(m[h]), S(160.0f), _CMP_NLT_UQ) | _mm512_fpclass_ps_mask(x[h], 0x9f)) & ~zero[h];
          far |= _mm512_fpclass_ps_mask(x[h], 0x40) & ~odd[h];
          odd[h] = _mm512_mask_test_epi32_mask(odd[h], _mm512_cvtps_epi32(y[h]), _mm512_set1_epi32(1));)      /* what is too large is even */
    EACH2(n[h] = _mm512_roundscale_ps(_mm512_add_ps(m[h], t[h]), RNE);)
    EACH2(f[h] = _mm512_add_ps(_mm512_sub_ps(m[h], n[h]), t[h]);)
    EACH2(p[h] = FMA(S(1.545316295e-04f), f[h], S(1.339086336e-03f));)              /* as v16_exp2 */
    EACH2(p[h] = FMA(p[h], f[h], S(9.618082557e-03f));)
    EACH2(p[h] = FMA(p[h], f[h], S(5.550357114e-02f));)
    EACH2(p[h] = FMA(p[h], f[h], S(2.402265076e-01f));)
    EACH2(p[h] = FMA(p[h], f[h], S(6.931471880e-01f));)
    EACH2(p[h] = FMA(p[h], f[h], S(1.0f));)
    EACH2(v[h] = _mm512_scalef_ps(p[h], n[h]); v[h] = _mm512_mask_mul_ps(v[h], _mm512_cmp_ps_mask(y[h], S(2.0f), _CMP_EQ_OQ), x[h], x[h]);
          v[h] = _mm512_maskz_mov_ps(~zero[h], v[h]);
          v[h] = _mm512_mask_xor_ps(v[h], odd[h], v[h], S(-0.0f));)
    return far;
}
#undef EACH2
#undef LOG2E
#undef LOG2E_LOW

/* of every argument: libm answers for a register that has one out of reach */
#define V16_ANY(name)                                                                                       \
    static __attribute__((noinline, cold, unused)) __m512 v16_##name##_far(__m512 x) {                      \
        float v[16] __attribute__((aligned(64)));                                                           \
        _mm512_store_ps(v, x);                                                                              \
        for (int i = 0; i < 16; i++) v[i] = rt_##name##_f32(v[i]);                                          \
        return _mm512_load_ps(v);                                                                           \
    }                                                                                                       \
    RT_INLINE __m512 v16_##name##_any(__m512 x) { return RT_LIKELY(!v16_trig_far(x)) ? v16_##name(x) : v16_##name##_far(x); }
V16_ANY(sin) V16_ANY(cos) V16_ANY(tan)

/* ---- remainders: exact, as those of rustorch/math_pair.h, whose libm answers for quotients of 2^22 and more ---- */
RT_INLINE int v16_mod_far(__m512 x, __m512 y) {                 /* some lane: or y is not finite, or a NaN */
    __m512 b = _mm512_abs_ps(y);
    return _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_mul_ps(b, S(4194304.0f)), _CMP_NLT_UQ) | _mm512_cmp_ps_mask(b, S(INFINITY), _CMP_NLT_UQ);
}
RT_INLINE __m512 v16_fmod(__m512 x, __m512 y) {                  /* the rounded quotient is right to one; what is left over is exact */
    __m512 a = _mm512_abs_ps(x), b = _mm512_abs_ps(y), q = _mm512_roundscale_ps(_mm512_div_ps(a, b), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(q, b, a);
    r = _mm512_mask_add_ps(r, _mm512_cmp_ps_mask(r, S(0), _CMP_LT_OQ), r, b);
    r = _mm512_mask_sub_ps(r, _mm512_cmp_ps_mask(r, b, _CMP_GE_OQ), r, b);
    return _mm512_xor_ps(r, _mm512_and_ps(x, S(-0.0f)));
}
RT_INLINE __mmask16 v16_mod_turned(__m512 m, __m512 y) {         /* m is a remainder of another sign than y */
    return _mm512_cmp_ps_mask(m, S(0), _CMP_NEQ_UQ) & (_mm512_cmp_ps_mask(y, S(0), _CMP_LT_OQ) ^ _mm512_cmp_ps_mask(m, S(0), _CMP_LT_OQ));
}
RT_INLINE __m512 v16_remainder(__m512 x, __m512 y) {
    __m512 m = v16_fmod(x, y);
    return _mm512_mask_add_ps(m, v16_mod_turned(m, y), m, y);
}
RT_INLINE __m512 v16_floordiv(__m512 x, __m512 y) {              /* of a y that is not 0, which is far */
    __m512 m = v16_fmod(x, y), d = _mm512_div_ps(_mm512_sub_ps(x, m), y);
    d = _mm512_mask_sub_ps(d, v16_mod_turned(m, y), d, S(1.0f));
    __m512 f = _mm512_roundscale_ps(d, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    f = _mm512_mask_add_ps(f, _mm512_cmp_ps_mask(_mm512_sub_ps(d, f), S(0.5f), _CMP_GT_OQ), f, S(1.0f));
    return _mm512_mask_mov_ps(f, _mm512_cmp_ps_mask(d, S(0), _CMP_EQ_OQ), _mm512_and_ps(_mm512_div_ps(x, y), S(-0.0f)));
}
#define V16_ANY2(name)                                                                                      \
    static __attribute__((noinline, cold, unused)) __m512 v16_##name##_far(__m512 x, __m512 y) {            \
        float v[16] __attribute__((aligned(64))), w[16] __attribute__((aligned(64)));                       \
        _mm512_store_ps(v, x);                                                                              \
        _mm512_store_ps(w, y);                                                                              \
        for (int i = 0; i < 16; i++) v[i] = rt_##name##_f32(v[i], w[i]);                                    \
        return _mm512_load_ps(v);                                                                           \
    }                                                                                                       \
    RT_INLINE __m512 v16_##name##_any(__m512 x, __m512 y) { return RT_LIKELY(!v16_mod_far(x, y)) ? v16_##name(x, y) : v16_##name##_far(x, y); }
V16_ANY2(fmod) V16_ANY2(remainder) V16_ANY2(floordiv)

/* ---- float64 ---- */
RT_INLINE __m512d v8_exp(__m512d x) {
    const __m512d magic = D(RT_MAGIC_F64);
    __m512d c = _mm512_min_pd(D(710.0), _mm512_max_pd(D(-746.0), x));
    __m512d n = _mm512_sub_pd(FMAD(c, D(1.44269504088896338700e+00), magic), magic);
    __m512d r = _mm512_fnmadd_pd(n, D(1.90821492927058770002e-10), _mm512_fnmadd_pd(n, D(6.93147180369123816490e-01), c));
    __m512d p = FMAD(D(2.51003854955103203e-08), r, D(2.76200884454097462e-07));
    p = FMAD(p, r, D(2.75572684599970641e-06)); p = FMAD(p, r, D(2.48015212959543761e-05)); p = FMAD(p, r, D(1.98412698630536177e-04));
    p = FMAD(p, r, D(1.38888889172137167e-03)); p = FMAD(p, r, D(8.33333333333006153e-03)); p = FMAD(p, r, D(4.16666666666241289e-02));
    p = FMAD(p, r, D(1.66666666666666685e-01)); p = FMAD(p, r, D(0.5));
    p = FMAD(_mm512_mul_pd(p, r), r, r);
    return _mm512_scalef_pd(_mm512_add_pd(p, D(1.0)), n);
}
RT_INLINE __m512d v8_exp2(__m512d x) {
    __m512d c = _mm512_min_pd(D(1025.0), _mm512_max_pd(D(-1076.0), x)), n = _mm512_roundscale_pd(c, RNE), r = _mm512_sub_pd(c, n);
    __m512d p = FMAD(D(2.57293241773623047e-11), r, D(4.45581790833606449e-10));
    p = FMAD(p, r, D(7.05489730415549946e-09)); p = FMAD(p, r, D(1.01780570877339407e-07)); p = FMAD(p, r, D(1.32154868087055627e-06));
    p = FMAD(p, r, D(1.52527338415567733e-05)); p = FMAD(p, r, D(1.54035303933707342e-04)); p = FMAD(p, r, D(1.33335581464064708e-03));
    p = FMAD(p, r, D(9.61812910762848035e-03)); p = FMAD(p, r, D(5.55041086648216248e-02)); p = FMAD(p, r, D(2.40226506959100722e-01));
    p = FMAD(p, r, D(6.93147180559945286e-01)); p = FMAD(p, r, D(1.0));
    return _mm512_scalef_pd(p, n);
}
RT_INLINE __m512d v8_inverse(__m512d b) {                        /* of a normal number: an estimate and two steps */
    __m512d y = _mm512_rcp14_pd(b), e = _mm512_fnmadd_pd(b, y, D(1.0));
    y = FMAD(y, e, y);
    e = _mm512_fnmadd_pd(b, y, D(1.0));
    return FMAD(y, e, y);
}
RT_INLINE __m512d v8_quotient(__m512d a, __m512d b) {            /* to 1 ULP */
    __m512d y = v8_inverse(b);
    __m512d q = _mm512_mul_pd(a, y);
    return FMAD(_mm512_fnmadd_pd(b, q, a), y, q);
}
RT_INLINE __m512d v8_log_split(__m512d x, __m512d *e, __m512d *lo) {     /* as rt_log_split_f64 and rt_log_1p_f64 */
    __m512d m = _mm512_getmant_pd(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero);
    __mmask8 big = _mm512_cmp_pd_mask(m, D(1.4142135623730951), _CMP_GE_OQ);
    *e = _mm512_getexp_pd(x);
    *e = _mm512_mask_add_pd(*e, big, *e, D(1.0));
    __m512d f = _mm512_sub_pd(_mm512_mask_mul_pd(m, big, m, D(0.5)), D(1.0));
    __m512d s = _mm512_mul_pd(f, v8_inverse(_mm512_add_pd(f, D(2.0)))), w = _mm512_mul_pd(s, s), half = _mm512_mul_pd(_mm512_mul_pd(D(0.5), f), f);
    __m512d p = FMAD(D(1.479819860511658591e-01), w, D(1.531383769920937332e-01));
    p = FMAD(p, w, D(1.818357216161805012e-01)); p = FMAD(p, w, D(2.222219843214978396e-01)); p = FMAD(p, w, D(2.857142874366239149e-01));
    p = FMAD(p, w, D(3.999999999940941908e-01)); p = FMAD(p, w, D(6.666666666666735130e-01));
    *lo = _mm512_fmsub_pd(s, FMAD(p, w, half), half);
    return f;
}
RT_INLINE __m512d v8_log_cases(__m512d v, __m512d x) { return _mm512_fixupimm_pd(v, x, _mm512_set1_epi64(LOG_CASES), 0); }
RT_INLINE __m512d v8_log(__m512d x) {
    __m512d e, lo, f = v8_log_split(x, &e, &lo);
    return v8_log_cases(FMAD(e, D(6.93147180369123816490e-01), _mm512_add_pd(f, FMAD(e, D(1.90821492927058770002e-10), lo))), x);
}
RT_INLINE __m512d v8_log2(__m512d x) {
    __m512d e, lo, f = v8_log_split(x, &e, &lo);
    return v8_log_cases(FMAD(_mm512_add_pd(f, lo), D(1.44269504088896340736), e), x);
}
RT_INLINE __m512d v8_log10(__m512d x) {
    __m512d e, lo, f = v8_log_split(x, &e, &lo);
    __m512d v = FMAD(_mm512_add_pd(f, lo), D(0.43429448190325182765), _mm512_mul_pd(e, D(3.69423907715893078616e-13)));
    return v8_log_cases(FMAD(e, D(3.01029995663611771306e-01), v), x);
}
RT_INLINE __m512d v8_log1p(__m512d x) {
    __m512d u = _mm512_add_pd(x, D(1.0)), c = _mm512_sub_pd(x, _mm512_sub_pd(u, D(1.0))), e, lo, f = v8_log_split(u, &e, &lo);
    lo = _mm512_add_pd(v8_quotient(c, u), FMAD(e, D(1.90821492927058770002e-10), lo));
    __m512d v = v8_log_cases(FMAD(e, D(6.93147180369123816490e-01), _mm512_add_pd(f, lo)), u);
    return _mm512_mask_mov_pd(v, _mm512_cmp_pd_mask(u, D(1.0), _CMP_EQ_OQ), x);
}
/* Quantile of the normal distribution as in vspecial.h; a lane's place among the three rational forms picks its coefficients. */
static const double rt_quantile[15][8] __attribute__((aligned(64))) = {
    {2.5090809287301226727e+3, 7.74545014278341407640e-4, 2.01033439929228813265e-7},
    {3.3430575583588128105e+4, 2.27238449892691845833e-2, 2.71155556874348757815e-5},
    {6.7265770927008700853e+4, 2.41780725177450611770e-1, 1.24266094738807843860e-3},
    {4.5921953931549871457e+4, 1.27045825245236838258, 2.65321895265761230930e-2},
    {1.3731693765509461125e+4, 3.64784832476320460504, 2.96560571828504891230e-1},
    {1.9715909503065514427e+3, 5.76949722146069140550, 1.78482653991729133580},
    {1.3314166789178437745e+2, 4.63033784615654529590, 5.46378491116411436990},
    {3.3871328727963666080, 1.42343711074968357734, 6.65790464350110377720},
    {5.2264952788528545610e+3, 1.05075007164441684324e-9, 2.04426310338993978564e-15},
    {2.8729085735721942674e+4, 5.47593808499534494600e-4, 1.42151175831644588870e-7},
    {3.9307895800092710610e+4, 1.51986665636164571966e-2, 1.84631831751005468180e-5},
    {2.1213794301586595867e+4, 1.48103976427480074590e-1, 7.86869131145613259100e-4},
    {5.3941960214247511077e+3, 6.89767334985100004550e-1, 1.48753612908506148525e-2},
    {6.8718700749205790830e+2, 1.67638483018380384940, 1.36929880922735805310e-1},
    {4.2313330701600911252e+1, 2.05319162663775882187, 5.99832206555887937690e-1},
};
RT_INLINE __m512d v8_quantile(__m512d q, __m512d tail) {
    const __m512d sign = _mm512_and_pd(q, D(-0.0));
    __m512d root = _mm512_sqrt_pd(_mm512_sub_pd(D(0), v8_log(tail)));
    __mmask8 middle = _mm512_cmp_pd_mask(_mm512_abs_pd(q), D(0.425), _CMP_LE_OQ), close = _mm512_cmp_pd_mask(root, D(5.0), _CMP_LE_OQ);
    __m512i form = _mm512_mask_mov_epi64(_mm512_maskz_mov_epi64(~middle, _mm512_set1_epi64(2)), close & ~middle, _mm512_set1_epi64(1));
    __m512d r = _mm512_mask_sub_pd(_mm512_sub_pd(root, D(5.0)), close, root, D(1.6));
    r = _mm512_mask_mov_pd(r, middle, _mm512_fnmadd_pd(q, q, D(0.180625)));
    __m512d n = _mm512_permutexvar_pd(form, _mm512_load_pd(rt_quantile[0])), d = _mm512_permutexvar_pd(form, _mm512_load_pd(rt_quantile[8]));
    for (int i = 1; i < 8; i++) n = FMAD(n, r, _mm512_permutexvar_pd(form, _mm512_load_pd(rt_quantile[i])));
    for (int i = 9; i < 15; i++) d = FMAD(d, r, _mm512_permutexvar_pd(form, _mm512_load_pd(rt_quantile[i])));
    d = FMAD(d, r, D(1.0));
    __m512d v = _mm512_div_pd(_mm512_mask_mul_pd(n, middle, n, _mm512_abs_pd(q)), d);
    v = _mm512_mask_mov_pd(v, _mm512_cmp_pd_mask(tail, D(0), _CMP_EQ_OQ), D((double)INFINITY));
    v = _mm512_mask_mov_pd(v, _mm512_cmp_pd_mask(tail, D(0), _CMP_NGE_UQ), D((double)NAN));
    return _mm512_xor_pd(v, sign);
}
RT_INLINE __m512d v8_erfinv(__m512d x) {
    __m512d tail = _mm512_mul_pd(D(0.5), _mm512_sub_pd(D(1.0), _mm512_abs_pd(x)));
    return _mm512_mul_pd(v8_quantile(_mm512_mul_pd(D(0.5), x), tail), D(0.70710678118654752440));
}
RT_INLINE __m512d v8_ndtri(__m512d p) {
    __mmask8 low = _mm512_cmp_pd_mask(p, D(0.5), _CMP_LT_OQ);
    return v8_quantile(_mm512_sub_pd(p, D(0.5)), _mm512_mask_mov_pd(_mm512_sub_pd(D(1.0), p), low, p));
}
RT_INLINE __m512d v8_sin_of(__m512d x, __m512d q) {              /* sin(x - q pi); what rounding the difference lost is added */
    __m512d a = _mm512_fnmadd_pd(q, D(3.141592653589793116), x), m = _mm512_mul_pd(q, D(1.2246467991473532072e-16));
    __m512d r = _mm512_sub_pd(a, m), z = _mm512_mul_pd(r, r);
    __m512d rest = _mm512_sub_pd(_mm512_sub_pd(a, r), m);
    rest = FMAD(q, D(2.9947698097183396659e-33), rest);
    __m512d p = FMAD(D(2.73143687693798919e-15), z, D(-7.64396966398807435e-13));
    p = FMAD(p, z, D(1.60589772926427429e-10)); p = FMAD(p, z, D(-2.50521076166904498e-08)); p = FMAD(p, z, D(2.75573192191608326e-06));
    p = FMAD(p, z, D(-1.98412698412549649e-04)); p = FMAD(p, z, D(8.33333333333331586e-03));
    /* -1/6 + z p and its product with z in two parts: the term is more than half of the result at pi/2 */
    __m512d h = FMAD(p, z, D(-1.66666666666666657e-01)), h_lo = FMAD(p, z, _mm512_sub_pd(D(-1.66666666666666657e-01), h));
    __m512d hz = _mm512_mul_pd(h, z), hz_lo = FMAD(h_lo, z, _mm512_fmsub_pd(h, z, hz));
    rest = FMAD(rest, FMAD(z, D(-0.4053), D(1.0)), _mm512_mul_pd(hz_lo, r));       /* times cos(r), nearly */
    return _mm512_add_pd(r, FMAD(hz, r, rest));
}
RT_INLINE __m512d v8_flip_odd(__m512d v, __m512d t) {
    return _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(v), _mm512_slli_epi64(_mm512_castpd_si512(t), 63)));
}
RT_INLINE __m512d v8_sin(__m512d x) {
    __m512d t = FMAD(x, D(3.18309886183790671538e-01), D(RT_MAGIC_F64)), v = v8_flip_odd(v8_sin_of(x, _mm512_sub_pd(t, D(RT_MAGIC_F64))), t);
    return _mm512_mask_mov_pd(v, _mm512_cmp_pd_mask(x, D(0), _CMP_EQ_OQ), x);
}
RT_INLINE __m512d v8_cos(__m512d x) {
    __m512d a = _mm512_abs_pd(x), t = _mm512_add_pd(FMAD(a, D(3.18309886183790671538e-01), D(-0.5)), D(RT_MAGIC_F64));
    __m512d v = v8_sin_of(a, _mm512_add_pd(_mm512_sub_pd(t, D(RT_MAGIC_F64)), D(0.5)));
    return v8_flip_odd(_mm512_xor_pd(v, D(-0.0)), t);
}
RT_INLINE __m512d v8_tan(__m512d x) {                            /* as rt_sincos_parts_f64 */
    __m512d a = _mm512_abs_pd(x), t = FMAD(a, D(6.36619772367581382433e-01), D(RT_MAGIC_F64)), n = _mm512_sub_pd(t, D(RT_MAGIC_F64));
    __m512d r0 = _mm512_fnmadd_pd(n, D(1.57079632673412561417e+00), a), m = _mm512_mul_pd(n, D(6.07710050630396597660e-11));
    __m512d r = _mm512_sub_pd(r0, m), rest = _mm512_sub_pd(_mm512_sub_pd(r0, r), m);
    rest = _mm512_fnmadd_pd(n, D(2.02226624879595063154e-21), rest);
    __m512d h = _mm512_add_pd(r, rest), z = _mm512_mul_pd(h, h);
    rest = _mm512_sub_pd(rest, _mm512_sub_pd(h, r));
    __m512d p = FMAD(D(1.59181012302741205e-10), z, D(-2.50511314554279461e-08));
    p = FMAD(p, z, D(2.75573161006830287e-06)); p = FMAD(p, z, D(-1.98412698367549713e-04)); p = FMAD(p, z, D(8.33333333333094624e-03));
    p = FMAD(p, z, D(-1.66666666666666657e-01));
    __m512d s = _mm512_add_pd(h, FMAD(_mm512_mul_pd(p, z), h, rest));
    p = FMAD(D(-1.13826148685563245e-11), z, D(2.08761460246897470e-09));
    p = FMAD(p, z, D(-2.75573172705603264e-07)); p = FMAD(p, z, D(2.48015872987634326e-05)); p = FMAD(p, z, D(-1.38888888888873954e-03));
    p = FMAD(p, z, D(4.16666666666666644e-02));
    __m512d half = _mm512_mul_pd(D(0.5), z), v = _mm512_sub_pd(D(1.0), half);
    __m512d c = _mm512_add_pd(v, _mm512_add_pd(_mm512_sub_pd(_mm512_sub_pd(D(1.0), v), half), FMAD(_mm512_mul_pd(p, z), z, _mm512_fnmadd_pd(h, rest, D(0)))));
    __mmask8 odd = _mm512_test_epi64_mask(_mm512_castpd_si512(t), _mm512_set1_epi64(1));
    v = _mm512_div_pd(_mm512_mask_mov_pd(s, odd, c), _mm512_mask_mov_pd(c, odd, s));
    return _mm512_xor_pd(v8_flip_odd(v, t), _mm512_and_pd(x, D(-0.0)));
}
RT_INLINE int v8_trig_far(__m512d x) {
    __m512d a = _mm512_abs_pd(x);
    return _mm512_cmp_pd_mask(a, D(RT_TRIG_MAX_f64), _CMP_GT_OQ) & _mm512_cmp_pd_mask(a, D((double)INFINITY), _CMP_LT_OQ);
}

#undef D
#undef FMAD
#undef LOG_CASES
#endif
