/* Mantissas in [0.5, 1) and exponents of two, from the bits. Zeros, infinities and NaN stay as they are, with the exponent 0. */
#include "frexp.h"
#include <string.h>
#include "grain.h"
#include "rustorch/loops.h"

enum { PIECE = 4096 };
#define SPLIT(name, F, U, DIGITS, ONE_HALF, SHIFT)                                                   \
    static void split_##name(const F *restrict x, int64_t n, F *restrict m, int32_t *restrict e) {      \
        const U sign = (U)1 << (sizeof(U) * 8 - 1), inf = (sign - 1) >> DIGITS << DIGITS, digits = ((U)1 << DIGITS) - 1; \
        for (int64_t i = 0; i < n; i++) {                                                               \
            U u, a, b;                                                                                  \
            F up;                                                                                       \
            memcpy(&u, x + i, sizeof u);                                                                \
            a = u & ~sign;                                                                              \
            memcpy(&up, &a, sizeof u);                                                                  \
            up *= (F)((U)1 << SHIFT);                   /* of subnormal numbers: makes them normal */   \
            memcpy(&b, &up, sizeof u);                                                                  \
            U few = -(U)(a <= digits), stays = -(U)((a == 0) | (a >= inf)), to = a ^ ((a ^ b) & few);    \
            U made = (u & sign) | (to & digits) | ONE_HALF;                                             \
            made ^= (made ^ u) & stays;                                                                 \
            memcpy(m + i, &made, sizeof u);                                                             \
            e[i] = (int32_t)(((to >> DIGITS) - (ONE_HALF >> DIGITS) - (few & SHIFT)) & ~stays);         \
        }                                                                                               \
    }
SPLIT(f32, float, uint32_t, 23, 0x3f000000u, 25)
SPLIT(f64, double, uint64_t, 52, 0x3fe0000000000000u, 54)

void rt_frexp(int wide, const void *x, int64_t n, void *m, int32_t *e, int threads) {
    int64_t pieces = (n + PIECE - 1) / PIECE;
    threads = rt_few((double)n, 32768, threads, pieces);
    RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1))
    for (int64_t p = 0; p < pieces; p++) {
        int64_t at = p * PIECE, k = n - at < PIECE ? n - at : PIECE;
        if (wide) split_f64((const double *)x + at, k, (double *)m + at, e + at);
        else split_f32((const float *)x + at, k, (float *)m + at, e + at);
    }
}
