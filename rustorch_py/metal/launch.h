/* The Metal back end below Python: memory, copies, and launches of kernels found by key. */
#ifndef RUSTORCH_METAL_LAUNCH_H
#define RUSTORCH_METAL_LAUNCH_H
#include "../tensor/kernels/device_plan.h"
#include "rustorch/metal.h"
#include "kernels/plan.h"

typedef struct { int64_t in_use, in_use_peak, reserved, reserved_peak, allocs, hits, frees; } RtMetalStats;
typedef struct { void *pipeline; unsigned most_threads; } RtMetalKernel;

extern RtMetalCalls rt_metal;       /* the helper's, filled when Metal is first used */
/* asks Python for a kernel; 0 or an RtStatus, the error's text in rt_metal.error() */
extern int (*rt_metal_build)(const RtKey *key, void **kernel);
extern int (*rt_metal_find_put)(int device, void **kernel);            /* Note [Writes of the host] in launch.c */
const RtBackend *rt_metal_backend(void);
int rt_metal_launch(int device, const RtMetalKernel *kernel, char *const *pointers, int n, const void *args, size_t nargs, unsigned gx, unsigned gy,
                    unsigned gz, unsigned threads, const char *what);
int rt_metal_synchronize(int device);
int rt_metal_fault(int device, int64_t **fault);                       /* Note [Faults] in launch.c */
void rt_metal_debug(int sync);      /* wait behind each launch, so that an error names its kernel */
int64_t rt_metal_launches(void);
int64_t rt_metal_waits(void);
/* memory.c */
void *rt_metal_alloc(int code, size_t nbytes, size_t *got);
void rt_metal_free(int code, void *ptr, size_t got);
int rt_metal_operand(int device, const char *ptr, RtMetalOperand *out);
void rt_metal_trim(int device);
void rt_metal_stats(int device, RtMetalStats *out);
void rt_metal_reset_peak(int device);
#endif
