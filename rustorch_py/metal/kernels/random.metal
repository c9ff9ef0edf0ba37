// types: T = u8 i8 i16 i32 i64 f16 bf16 f32
/* Random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) with a generator's seed as key; the
 * counter is its offset and the thread, which makes four numbers. n: elements, seed, offset, then as a kernel says. */
enum { COUNT, SEED, OFFSET, WIDTH, LOW };
struct Four { uint w[4]; };
RT_INLINE Four philox(int64_t seed, int64_t offset, uint at) {
    uint k0 = (uint)seed, k1 = (uint)((uint64_t)seed >> 32);
    Four c = {{(uint)offset, (uint)((uint64_t)offset >> 32), at, 0}};
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)0xD2511F53u * c.w[0], q = (uint64_t)0xCD9E8D57u * c.w[2];
        const Four next = {{(uint)(q >> 32) ^ c.w[1] ^ k0, (uint)q, (uint)(p >> 32) ^ c.w[3] ^ k1, (uint)p}};
        c = next;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}
RT_INLINE float unit(uint w) { return (float)(w >> 8) * 5.9604644775390625e-08f; }             /* [0, 1) */

/* k: low, high, which rounded to T are the bounds; what rounds to high is low */
kernel void RT_NAME(uniform)(device T *y [[buffer(0)]], constant RtMetalCall &a [[buffer(2)]], uint at [[thread_position_in_grid]]) {
    const Four r = philox(a.n[SEED], a.n[OFFSET], at);
    const T low = T_PUT((T_C)a.k[0]), high = T_PUT((T_C)a.k[1]);
    const T_C from = T_GET(low), to = T_GET(high), width = (T_C)(to - from);
    for (int64_t j = 0, i = (int64_t)at * 4; j < 4 && i < a.n[COUNT]; j++, i++) {
        const T v = T_PUT((T_C)(from + width * unit(r.w[j])));
        y[i] = T_GET(v) >= to ? low : v;
    }
}
/* k: mean, deviation; by pairs (Box, Muller, 1958) */
kernel void RT_NAME(normal)(device T *y [[buffer(0)]], constant RtMetalCall &a [[buffer(2)]], uint at [[thread_position_in_grid]]) {
    const Four r = philox(a.n[SEED], a.n[OFFSET], at);
    for (int64_t j = 0, i = (int64_t)at * 4; j < 4 && i < a.n[COUNT]; j++, i++) {
        const float far = sqrtf(-2.0f * rt_log_f32(1.0f - unit(r.w[j & 2]))), turn = 6.28318530717958647692f * unit(r.w[(j & 2) + 1]);
        y[i] = T_PUT((T_C)(a.k[0] + a.k[1] * far * (j & 1 ? rt_sin_f32(turn) : rt_cos_f32(turn))));
    }
}
/* k: chance of a 1 */
kernel void RT_NAME(bernoulli)(device T *y [[buffer(0)]], constant RtMetalCall &a [[buffer(2)]], uint at [[thread_position_in_grid]]) {
    const Four r = philox(a.n[SEED], a.n[OFFSET], at);
    for (int64_t j = 0, i = (int64_t)at * 4; j < 4 && i < a.n[COUNT]; j++, i++) y[i] = T_PUT((T_C)(unit(r.w[j]) < a.k[0] ? 1 : 0));
}
/* LOW + a whole number below WIDTH (unsigned; 0: 2 to the 64th), without overflow */
kernel void RT_NAME(integers)(device T *y [[buffer(0)]], constant RtMetalCall &a [[buffer(2)]], uint at [[thread_position_in_grid]]) {
    const Four r = philox(a.n[SEED], a.n[OFFSET], at);
    for (int64_t j = 0, i = (int64_t)at * 2; j < 2 && i < a.n[COUNT]; j++, i++) {
        const uint64_t bits = (uint64_t)r.w[2 * j] << 32 | r.w[2 * j + 1];
        y[i] = T_PUT((T_C)(int64_t)((uint64_t)a.n[LOW] + (a.n[WIDTH] ? bits % (uint64_t)a.n[WIDTH] : bits)));
    }
}
/* y = x / chance where a number is below it, else 0. k: chance, 1 / chance */
kernel void RT_NAME(dropout)(device T *y [[buffer(0)]], device const T *x [[buffer(1)]], device rt_bool *keep [[buffer(2)]], constant RtMetalCall &a [[buffer(4)]],
                             uint at [[thread_position_in_grid]]) {
    const Four r = philox(a.n[SEED], a.n[OFFSET], at);
    for (int64_t j = 0, i = (int64_t)at * 4; j < 4 && i < a.n[COUNT]; j++, i++) {
        const bool stays = unit(r.w[j]) < a.k[0];
        keep[i] = stays;
        y[i] = T_PUT((T_C)(stays ? T_GET(x[i]) * a.k[1] : 0.0f));
    }
}
