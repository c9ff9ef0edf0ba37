/* 8-bit floats (OCP OFP8 and MX, and the FNUZ forms of AMD's): exact widening, round-to-nearest-even narrowing.
 *   e4m3fn    bias 7, no infinities, NaN 0x7f; what is too large becomes 448
 *   e5m2      bias 15, the upper byte of a binary16; what is too large becomes infinity
 *   e4m3fnuz  bias 8,  e5m2fnuz bias 16: no infinities, no -0; NaN, and what is too large, is 0x80
 *   e8m0fnu   a power of two, 2^(bits - 127); no sign, no zero; NaN 0xff */
#ifndef RUSTORCH_FLOAT8_H
#define RUSTORCH_FLOAT8_H
#include <math.h>
#include <string.h>
#include "dtype.h"

static inline rt_f8 rt_f8_of(uint32_t bits) { rt_f8 h; h.bits = (uint8_t)bits; return h; }      /* C and C++ have no literal in common */
static inline float rt_f8_widen(uint8_t bits, int man, int bias) {
    int e = (bits & 0x7f) >> man, m = bits & ((1 << man) - 1);
    float f = e ? ldexpf((float)((1 << man) + m), e - bias - man) : ldexpf((float)m, 1 - bias - man);
    return bits & 0x80 ? -f : f;
}
/* magnitude, rounded; above 0x7f where the exponent has no room */
static inline uint32_t rt_f8_round(float f, int man, int bias) {
    uint32_t a, drop = 23u - (uint32_t)man;
    memcpy(&a, &f, 4);
    a &= 0x7fffffffu;
    if (a < (uint32_t)(128 - bias) << 23) return (uint32_t)nearbyintf(ldexpf(fabsf(f), bias - 1 + man));
    a += (1u << (drop - 1)) - 1 + (a >> drop & 1);
    return (a >> drop) - ((uint32_t)(127 - bias) << man);
}

static inline float rt_e4m3fn_to_f32(rt_f8 h) { return (h.bits & 0x7f) == 0x7f ? NAN : rt_f8_widen(h.bits, 3, 7); }
static inline float rt_e5m2_to_f32(rt_f8 h) {
    uint8_t a = h.bits & 0x7f;
    return a > 0x7c ? NAN : a == 0x7c ? (h.bits & 0x80 ? -INFINITY : INFINITY) : rt_f8_widen(h.bits, 2, 15);
}
static inline float rt_e4m3fnuz_to_f32(rt_f8 h) { return h.bits == 0x80 ? NAN : rt_f8_widen(h.bits, 3, 8); }
static inline float rt_e5m2fnuz_to_f32(rt_f8 h) { return h.bits == 0x80 ? NAN : rt_f8_widen(h.bits, 2, 16); }
static inline float rt_e8m0fnu_to_f32(rt_f8 h) { return h.bits == 0xff ? NAN : ldexpf(1.0f, (int)h.bits - 127); }

static inline rt_f8 rt_f32_to_e4m3fn(float f) {
    uint32_t a = f != f ? 0x7f : isinf(f) ? 0x7e : rt_f8_round(f, 3, 7);
    if (f == f && a > 0x7e) a = 0x7e;
    return rt_f8_of(a | (signbit(f) ? 0x80u : 0u));
}
static inline rt_f8 rt_f32_to_e5m2(float f) {
    uint32_t a = f != f ? 0x7f : isinf(f) ? 0x7c : rt_f8_round(f, 2, 15);
    if (f == f && a > 0x7c) a = 0x7c;
    return rt_f8_of(a | (signbit(f) ? 0x80u : 0u));
}
static inline rt_f8 rt_f32_to_fnuz(float f, int man, int bias) {
    uint32_t a = f != f || isinf(f) ? 0x80 : rt_f8_round(f, man, bias);
    if (a > 0x7f) return rt_f8_of(0x80);
    return rt_f8_of(a ? a | (signbit(f) ? 0x80u : 0u) : 0u);
}
static inline rt_f8 rt_f32_to_e4m3fnuz(float f) { return rt_f32_to_fnuz(f, 3, 8); }
static inline rt_f8 rt_f32_to_e5m2fnuz(float f) { return rt_f32_to_fnuz(f, 2, 16); }
/* half way and above goes up, but for the exact half of the smallest */
static inline rt_f8 rt_f32_to_e8m0fnu(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t e = u >> 23 & 0xff;
    if (e != 0xff && u & 0x400000u && (e || u & 0x3fffffu)) e++;
    return rt_f8_of(e);
}
#endif
