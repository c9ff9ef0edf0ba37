/* Reads the device's kernels as C++ for the host: threads are fibres of the software device (driver.c), which sets the indices. */
#ifndef RUSTORCH_SOFTWARE_HOST_H
#define RUSTORCH_SOFTWARE_HOST_H
#include <cmath>
#include <cstring>
#include <stdint.h>
struct RtDim3 { unsigned x, y, z; };
struct RtSoft { RtDim3 thread, block, block_size, grid; void (*sync)(void), (*sync_warp)(void); };
static RtSoft rt_soft_state;
extern "C" __attribute__((visibility("default"))) RtSoft *rt_soft(void) { return &rt_soft_state; }
#define threadIdx rt_soft_state.thread
#define blockIdx rt_soft_state.block
#define blockDim rt_soft_state.block_size
#define gridDim rt_soft_state.grid
#define RT_KERNEL(name, Args)                                                                                            \
    static void name##_body(const Args a);                                                                               \
    extern "C" __attribute__((visibility("default"))) void name(void **p) { name##_body(*(const Args *)p[0]); }          \
    extern "C" __attribute__((visibility("default"))) size_t name##_size(void) { return sizeof(Args); }                    \
    static void name##_body(const Args a)
#define RT_WIDE_KERNEL(name, Args) RT_KERNEL(name, Args)
#define RT_BLOCK_KERNEL(name, Args, threads, blocks) RT_KERNEL(name, Args)
#define RT_SHARED(T, name, n) static T name[n]
#define RT_SYNC() rt_soft_state.sync()
#define RT_SYNC_WARP() rt_soft_state.sync_warp()
#define RT_ATOMIC_CAS(p, old, now) ({ auto rt_seen = *(p); if (rt_seen == (old)) *(p) = (now); rt_seen; })
#define RT_ATOMIC_ADD(p, v) ({ auto *rt_at = (p); auto rt_seen = *rt_at; *rt_at = rt_seen + (v); rt_seen; })
#define RT_ATOMIC_MAX(p, v) ({ auto *rt_at = (p); auto rt_seen = *rt_at; auto rt_new = (v); if (rt_new > rt_seen) *rt_at = rt_new; rt_seen; })
#define RT_FENCE() ((void)0)
#define RT_COPY_ASYNC(to, from) memcpy(to, from, 16)
#define RT_COPY_WAIT() ((void)0)
#define RT_SINCOS(v, s, c) (*(s) = sinf(v), *(c) = cosf(v))
#define RT_FAST_LOG(v) logf(v)
#define RT_FAST_EXP(v) expf(v)
#define RT_FAST_TAN(v) tanf(v)
#define RT_SINCOSPI(v, s, c) (*(s) = sin(3.14159265358979323846 * (v)), *(c) = cos(3.14159265358979323846 * (v)))
#define RT_POPCOUNT(w) __builtin_popcount(w)

/* what the lanes of a warp show each other: every lane writes, then all read, then all go on */
static unsigned rt_thread(void) { return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x; }
template <class V> static V rt_from_lane(V v, unsigned lane) {
    static char shown[1024][32];
    static_assert(sizeof v <= 32, "what lanes show each other");
    const unsigned me = rt_thread(), from = lane < 32 ? (me & ~31u) + lane : me;
    memcpy(shown[me], &v, sizeof v);
    rt_soft_state.sync_warp();
    memcpy(&v, shown[from], sizeof v);
    rt_soft_state.sync_warp();
    return v;
}
static unsigned rt_ballot(int p) {
    static unsigned all[32];
    const unsigned me = rt_thread(), warp = me / 32;
    if (me % 32 == 0) all[warp] = 0;
    rt_soft_state.sync_warp();
    all[warp] |= (unsigned)(p != 0) << me % 32;
    rt_soft_state.sync_warp();
    const unsigned found = all[warp];
    rt_soft_state.sync_warp();
    return found;
}
static unsigned rt_match(unsigned v) {
    static unsigned shown[1024];
    const unsigned me = rt_thread(), warp = me & ~31u;
    unsigned same = 0;
    shown[me] = v;
    rt_soft_state.sync_warp();
    for (unsigned lane = 0; lane < 32; lane++) same |= (unsigned)(shown[warp + lane] == v) << lane;
    rt_soft_state.sync_warp();
    return same;
}
#define RT_MATCH(v) rt_match(v)
#define RT_SHUFFLE_XOR(v, mask) rt_from_lane(v, (rt_thread() & 31) ^ (unsigned)(mask))
#define RT_SHUFFLE_UP(v, by) rt_from_lane(v, (rt_thread() & 31) - (unsigned)(by))
#define RT_SHUFFLE_DOWN(v, by) rt_from_lane(v, (rt_thread() & 31) + (unsigned)(by))
#define RT_SHUFFLE(v, lane) rt_from_lane(v, (unsigned)(lane) & 31)
#define RT_BALLOT(p) rt_ballot(p)
#endif
