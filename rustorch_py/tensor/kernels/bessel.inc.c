/* The functions of bessel.c over arrays. */
#include "bessel.c"

enum { PIECE = 512 };
/* J and Y of a piece: all as if they were near, so that nothing is guessed wrongly, then those that are not. */
RT_INLINE void waves(int which, int wide, const void *x, int64_t n, void *out) {
    const int order = which == RT_J1 || which == RT_Y1, second = which == RT_Y0 || which == RT_Y1;
    int rest[PIECE], count = 0;
    for (int i = 0; i < (int)n; i++) {
        double v = wide ? ((const double *)x)[i] : (double)((const float *)x)[i], a = second ? v : fabs(v);
        int near = (a < 8) & (!second | (a > 0));
        rest[count] = i;
        count += !near;
        v = near ? v : 1;
        v = second ? near_y(order, v) : near_j(order, v);
        if (wide) ((double *)out)[i] = v; else ((float *)out)[i] = (float)v;
    }
    for (int k = 0; k < count; k++) {
        int i = rest[k];
        if (wide) ((double *)out)[i] = bessel(which, ((const double *)x)[i]);
        else ((float *)out)[i] = (float)bessel(which, (double)((const float *)x)[i]);
    }
}
static void some_bessel(int which, int wide, const void *x, int64_t n, void *out) {
#define EACH(which)                                                                                                     \
    case which:                                                                                                         \
        if (wide) for (int64_t i = 0; i < n; i++) ((double *)out)[i] = bessel(which, ((const double *)x)[i]);           \
        else for (int64_t i = 0; i < n; i++) ((float *)out)[i] = (float)bessel(which, (double)((const float *)x)[i]);   \
        break;
#define WAVES(which) case which: if (wide) waves(which, 1, x, n, out); else waves(which, 0, x, n, out); break;
    switch (which) {
        WAVES(RT_J0) WAVES(RT_J1) WAVES(RT_Y0) WAVES(RT_Y1)
        EACH(RT_AIRY_AI) EACH(RT_K0) EACH(RT_K1) EACH(RT_K0E) EACH(RT_K1E) EACH(RT_SPHERICAL_J0)
    }
#undef EACH
#undef WAVES
}
static void bessels(int which, int wide, const void *x, int64_t n, void *out, int threads) {
    int64_t pieces = (n + PIECE - 1) / PIECE, size = wide ? 8 : 4;
    (void)threads;
    RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1 && pieces > 3))
    for (int64_t p = 0; p < pieces; p++)
        some_bessel(which, wide, (const char *)x + p * PIECE * size, n - p * PIECE < PIECE ? n - p * PIECE : PIECE, (char *)out + p * PIECE * size);
}

static void specials(int which, const double *a, const double *b, int64_t n, double limit, double *out, int threads) {
    (void)threads;
    RT_OMP(omp parallel for num_threads(threads) if (threads > 1 && n > 512))
    for (int64_t i = 0; i < n; i++) out[i] = special2(which, a[i], b[i], limit);
}

const RtBesselTable RT_NAME(rt_bessel_table) = {bessels, specials};
