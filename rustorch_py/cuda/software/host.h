/* Reads the device's kernels as C++ for the host: threads are fibres of the software device (driver.c), which sets the indices. */
#ifndef RUSTORCH_SOFTWARE_HOST_H
#define RUSTORCH_SOFTWARE_HOST_H
#include <cmath>
#include <cstring>
#include <stdint.h>
struct RtDim3 { unsigned x, y, z; };
struct RtSoft { RtDim3 thread, block, block_size, grid; void (*sync)(void); };
static RtSoft rt_soft_state;
extern "C" __attribute__((visibility("default"))) RtSoft *rt_soft(void) { return &rt_soft_state; }
#define threadIdx rt_soft_state.thread
#define blockIdx rt_soft_state.block
#define blockDim rt_soft_state.block_size
#define gridDim rt_soft_state.grid
#define RT_KERNEL(name, Args)                                                                                            \
    static void name##_body(const Args a);                                                                               \
    extern "C" __attribute__((visibility("default"))) void name(void **p) { name##_body(*(const Args *)p[0]); }          \
    static void name##_body(const Args a)
#define RT_SHARED(T, name, n) static T name[n]
#define RT_SYNC() rt_soft_state.sync()
#endif
