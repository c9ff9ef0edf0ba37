/* Conversions to and from the stored types (rustorch/dtype.h), by way of a type that loops are compiled for:
 * int64 between integers, float32 or float64 where a float is on one side, complex64 between complex types. */
#include "rustorch/half.h"
#include "rustorch/float8.h"
#include "cpu.h"

#define BLOCK 256

#define EACH_F8(X) X(e4m3fn, E4M3FN) X(e5m2, E5M2) X(e4m3fnuz, E4M3FNUZ) X(e5m2fnuz, E5M2FNUZ) X(e8m0fnu, E8M0FNU)

static inline int64_t to_i64(double v) { return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN; }
static inline uint64_t to_u64(double v) { return v >= 9223372036854775808.0 && v < 18446744073709551616.0 ? (uint64_t)v : (uint64_t)to_i64(v); }
static inline float half(uint16_t bits) { rt_f16 h = {bits}; return rt_f16_to_f32(h); }

#define LOOP(NAME, S, D, STORE)                                                                    \
    static void NAME(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {              \
        for (int64_t i = 0; i < n; i++) { const S v = *(const S *)(src + i * ss); D *o = (D *)(dst + i * ds); STORE; } }

#define UNSIGNED(s, S)                                                                             \
    LOOP(s##_i64, S, int64_t, *o = (int64_t)v) LOOP(s##_f32, S, float, *o = (float)v) LOOP(s##_f64, S, double, *o = (double)v) \
    LOOP(i64_##s, int64_t, S, *o = (S)v) LOOP(f32_##s, float, S, *o = (S)to_u64(v)) LOOP(f64_##s, double, S, *o = (S)to_u64(v))
UNSIGNED(u16, uint16_t) UNSIGNED(u32, uint32_t) UNSIGNED(u64, uint64_t)
#define EIGHT(s, S) LOOP(s##_f32, rt_f8, float, *o = rt_##s##_to_f32(v)) LOOP(f32_##s, float, rt_f8, *o = rt_f32_to_##s(v))
EACH_F8(EIGHT)
LOOP(c32_c64, rt_c32, float, o[0] = half(v.re); o[1] = half(v.im))
LOOP(c32_f32, rt_c32, float, *o = half(v.re))
LOOP(c64_c32, rt_c64, rt_c32, o->re = rt_f32_to_f16(((const float *)&v)[0]).bits; o->im = rt_f32_to_f16(((const float *)&v)[1]).bits)
LOOP(f32_c32, float, rt_c32, o->re = rt_f32_to_f16(v).bits; o->im = 0)

/* One step between a stored type and a middle, or between two types that loops are compiled for. */
static RtCast step(int from, int to) {
    static const RtCast load[RT_NDTYPES][RT_NLOOPED] = {
        [RT_U16] = {[RT_I64] = u16_i64, [RT_F32] = u16_f32, [RT_F64] = u16_f64}, [RT_U32] = {[RT_I64] = u32_i64, [RT_F32] = u32_f32, [RT_F64] = u32_f64},
        [RT_U64] = {[RT_I64] = u64_i64, [RT_F32] = u64_f32, [RT_F64] = u64_f64}, [RT_C32] = {[RT_C64] = c32_c64, [RT_F32] = c32_f32},
#define LOAD(s, C) [RT_##C] = {[RT_F32] = s##_f32},
        EACH_F8(LOAD)};
    static const RtCast store[RT_NLOOPED][RT_NDTYPES] = {
        [RT_I64] = {[RT_U16] = i64_u16, [RT_U32] = i64_u32, [RT_U64] = i64_u64}, [RT_F64] = {[RT_U16] = f64_u16, [RT_U32] = f64_u32, [RT_U64] = f64_u64},
        [RT_C64] = {[RT_C32] = c64_c32}, [RT_F32] = {[RT_U16] = f32_u16, [RT_U32] = f32_u32, [RT_U64] = f32_u64, [RT_C32] = f32_c32,
#define STORE(s, C) [RT_##C] = f32_##s,
        EACH_F8(STORE)}};
    return from >= RT_NLOOPED ? load[from][to] : to >= RT_NLOOPED ? store[from][to] : rt_cast_of(from, to);
}

static int middle(int from, int to) {
    int kf = rt_kind(from), kt = rt_kind(to);
    if (kf == RT_KIND_COMPLEX && (kt == RT_KIND_COMPLEX || kt == RT_KIND_BOOL)) return RT_C64;
    if (kf <= RT_KIND_INT && kt <= RT_KIND_INT) return RT_I64;
    if (kf <= RT_KIND_INT) return to == RT_F64 || to == RT_C128 ? RT_F64 : RT_F32;
    if (kt <= RT_KIND_INT) return from == RT_F64 || from == RT_C128 ? RT_F64 : RT_F32;
    return RT_F32;
}

static void between(int from, int to, char *dst, int64_t ds, const char *src, int64_t ss, int64_t n) {
    int mid = middle(from, to), size = rt_itemsize(mid);
    if (from == mid || to == mid) { step(from, to)(dst, ds, src, ss, n); return; }
    RtCast in = step(from, mid), out = step(mid, to);
    char block[BLOCK * 8] __attribute__((aligned(64)));
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        in(block, size, src + i * ss, ss, m);
        out(dst + i * ds, ds, block, size, m);
    }
}

/* A RtCast knows its types: one small function a pair. */
#define TO(F, C) static void F##_to_##C(char *d, int64_t ds, const char *s, int64_t ss, int64_t n) { between(RT_##F, RT_##C, d, ds, s, ss, n); }
#define LOOPED(X, F) X(F, BOOL) X(F, U8) X(F, I8) X(F, I16) X(F, I32) X(F, I64) X(F, F16) X(F, BF16) X(F, F32) X(F, F64) X(F, C64) X(F, C128)
#define STORED(X, F) X(F, C32) X(F, U16) X(F, U32) X(F, U64) X(F, E4M3FN) X(F, E5M2) X(F, E4M3FNUZ) X(F, E5M2FNUZ) X(F, E8M0FNU)
#define FROM_STORED(F) LOOPED(TO, F) STORED(TO, F)
STORED(TO, BOOL) STORED(TO, U8) STORED(TO, I8) STORED(TO, I16) STORED(TO, I32) STORED(TO, I64)
STORED(TO, F16) STORED(TO, BF16) STORED(TO, F32) STORED(TO, F64) STORED(TO, C64) STORED(TO, C128)
FROM_STORED(C32) FROM_STORED(U16) FROM_STORED(U32) FROM_STORED(U64)
FROM_STORED(E4M3FN) FROM_STORED(E5M2) FROM_STORED(E4M3FNUZ) FROM_STORED(E5M2FNUZ) FROM_STORED(E8M0FNU)

RtCast rt_cast_stored(int from, int to) {
#define AT(F, C) [RT_##C] = F##_to_##C,
#define ROW_LOOPED(F) [RT_##F] = {STORED(AT, F)}
#define ROW_STORED(F) [RT_##F] = {LOOPED(AT, F) STORED(AT, F)}
    static const RtCast table[RT_NDTYPES][RT_NDTYPES] = {
        ROW_LOOPED(BOOL), ROW_LOOPED(U8), ROW_LOOPED(I8), ROW_LOOPED(I16), ROW_LOOPED(I32), ROW_LOOPED(I64),
        ROW_LOOPED(F16), ROW_LOOPED(BF16), ROW_LOOPED(F32), ROW_LOOPED(F64), ROW_LOOPED(C64), ROW_LOOPED(C128),
        ROW_STORED(C32), ROW_STORED(U16), ROW_STORED(U32), ROW_STORED(U64),
        ROW_STORED(E4M3FN), ROW_STORED(E5M2), ROW_STORED(E4M3FNUZ), ROW_STORED(E5M2FNUZ), ROW_STORED(E8M0FNU)};
    return table[from][to];
}
