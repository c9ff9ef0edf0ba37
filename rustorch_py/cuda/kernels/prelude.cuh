/* Before every kernel: the house's scalar functions (include/rustorch/math.h, device functions here) and how a kernel is declared.
 * RT_KERNEL(name, Args) opens a kernel of one struct; the software device spells the macros its own way. */
#ifndef RUSTORCH_CUDA_PRELUDE
#define RUSTORCH_CUDA_PRELUDE
#ifdef __CUDACC_RTC__                                 /* multiply and add in one where the text says so, and only there (--fmad=false) */
#define __FMA__ 1
#define __builtin_fmaf fmaf
#define __builtin_fma fma
#include "rustorch/math.h"
#include "device_math.h"
#else
#include "rustorch/math.h"
#include "rustorch/half.h"
RT_INLINE float rt_rough_exp(float x) { return rt_exp_f32(x); }
#define rt_rough_sqrt(x) sqrtf(x)
#define rt_rough_quotient(x, y) ((x) / (y))
#define rt_rough_sigmoid(x) rt_sigmoid_f32(x)
#define rt_rough_silu(x) rt_silu_f32(x)
#define rt_rough_gelu(x) rt_gelu_f32(x)
#endif
#include "plan.h"

#ifndef RT_KERNEL
#if __CUDA_ARCH__ >= 900                              /* Note [Overlapped launches] in launch.c */
#define RT_AFTER() asm volatile("griddepcontrol.wait;" ::: "memory")
#else
#define RT_AFTER()
#endif
#define RT_OPEN(name, Args, ...)                                                                                                   \
    static __device__ __forceinline__ void name##_body(const Args &a);                                                             \
    extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Args a) { RT_AFTER(); name##_body(a); } \
    static __device__ __forceinline__ void name##_body(const Args &a)
#define RT_KERNEL(name, Args) RT_OPEN(name, Args, 256)
#define RT_WIDE_KERNEL(name, Args) RT_OPEN(name, Args, 1024)         /* blocks of up to 1024 threads */
/* blocks of up to `threads`, of which `blocks` are to be at work at once on a multiprocessor: what that leaves of registers */
#define RT_BLOCK_KERNEL(name, Args, threads, blocks) RT_OPEN(name, Args, threads, blocks)
#define RT_SHARED(T, name, n) __shared__ T name[n]
#define RT_SYNC() __syncthreads()
/* of a warp, all of whose threads take part */
#define RT_SYNC_WARP() __syncwarp()
#define RT_SHUFFLE_XOR(v, mask) rt_shuffle(v, [&](unsigned w) { return __shfl_xor_sync(0xffffffffu, w, mask); })
#define RT_SHUFFLE_UP(v, by) rt_shuffle(v, [&](unsigned w) { return __shfl_up_sync(0xffffffffu, w, by); })       /* the own value where there is no lane so far below */
#define RT_SHUFFLE_DOWN(v, by) rt_shuffle(v, [&](unsigned w) { return __shfl_down_sync(0xffffffffu, w, by); })   /* ... above */
#define RT_SHUFFLE(v, lane) rt_shuffle(v, [&](unsigned w) { return __shfl_sync(0xffffffffu, w, lane); })
#define RT_BALLOT(p) __ballot_sync(0xffffffffu, p)
#define RT_MATCH(v) __match_any_sync(0xffffffffu, v)      /* bits of the lanes with the same value */
#define RT_POPCOUNT(w) __popc(w)
#define RT_ATOMIC_CAS(p, old, now) atomicCAS(p, old, now)
#define RT_ATOMIC_ADD(p, v) atomicAdd(p, v)       /* float, double, int, unsigned, unsigned long long; kernels/atomic.h for the rest */
#define RT_ATOMIC_MAX(p, v) atomicMax(p, v)       /* int, unsigned, unsigned long long */
#define RT_FENCE() __threadfence()
/* 16 bytes of global memory to shared memory, while the thread goes on; all that it asked for is there after RT_COPY_WAIT */
#define RT_COPY_ASYNC(to, from) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory")
#define RT_COPY_WAIT() asm volatile("cp.async.wait_all;" ::: "memory")
#define RT_SINCOS(v, s, c) __sincosf(v, s, c)     /* the fast ones; v within a turn or so */
#define RT_SINCOSPI(v, s, c) sincospi(v, s, c)
#define RT_FAST_LOG(v) __logf(v)                   /* of float32, in a few instructions */
#define RT_FAST_EXP(v) __expf(v)
#define RT_FAST_TAN(v) __tanf(v)
/* a value of any plain type between lanes, a word at a time */
template <class V, class Move> RT_INLINE V rt_shuffle(V v, Move move) {
    unsigned words[(sizeof(V) + 3) / 4] = {};
    memcpy(words, &v, sizeof v);
    for (unsigned &w : words) w = move(w);
    memcpy(&v, words, sizeof v);
    return v;
}
#endif

/* for (each i < n), by all threads of the grid's first side */
#define RT_EACH(i, n) for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)
template <class C> RT_INLINE C rt_conj_if(C v, bool turn) { if (turn) v.im = -v.im; return v; }
/* report index, which is not one of size elements; the kernel leaves the element alone and goes on */
RT_INLINE void rt_bad_index(const RtCall &a, int64_t index, int64_t size) {
    volatile int64_t *fault = a.fault;
    fault[1] = index;
    fault[2] = size;
    fault[3] = a.what;
    fault[0] = 1;
}

template <class T, int V> struct alignas(sizeof(T) * V) RtPack { T v[V]; };
RT_INLINE int64_t rt_to_i64(double v) { return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN; }
RT_INLINE int32_t rt_to_i32(double v) { return v > -2147483649.0 && v < 2147483648.0 ? (int32_t)v : INT32_MIN; }

/* *p = update(*p) as one step, for anything of 1 to 8 bytes; returns what was there. (The copies' sizes are what they must be in
 * the branch that runs, and harmless in the other.) */
template <class T, class Update> RT_INLINE T rt_atomic(T *p, Update update) {
    if (sizeof(T) == 8) {
        unsigned long long *word = (unsigned long long *)p, seen = *word, now;
        T v;
        do {
            now = seen;
            memcpy(&v, &now, sizeof(T) & 8);
            T w = update(v);
            unsigned long long next = 0;
            memcpy(&next, &w, sizeof(T) & 8);
            seen = RT_ATOMIC_CAS(word, now, next);
        } while (seen != now);
        return v;
    }
    const unsigned shift = 8 * (unsigned)((uintptr_t)p & 3), mask = sizeof(T) >= 4 ? 0xffffffffu : (1u << 8 * (sizeof(T) & 3)) - 1;
    unsigned *word = (unsigned *)((uintptr_t)p & ~(uintptr_t)3), seen = *word, now;
    T v;
    do {
        now = seen;
        const unsigned own = now >> shift & mask;
        memcpy(&v, &own, sizeof(T) & 7);
        T w = update(v);
        unsigned next = 0;
        memcpy(&next, &w, sizeof(T) & 7);
        seen = RT_ATOMIC_CAS(word, now, (now & ~(mask << shift)) | next << shift);
    } while (seen != now);
    return v;
}
#endif
