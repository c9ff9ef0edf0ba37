/* The CUDA back end below Python: memory, copies, and the launch of kernels found by key. */
#ifndef RUSTORCH_CUDA_LAUNCH_H
#define RUSTORCH_CUDA_LAUNCH_H
#include "../tensor/kernels/device_plan.h"
#include "driver.h"
#include "kernels/plan.h"
#include "../tensor/kernels/optim.h"
#include "kernels/optim_plan.h"

#define RT_CUDA_MAX_DEVICES 16

typedef struct { int64_t in_use, in_use_peak, reserved, reserved_peak, allocs, hits, frees, retries; } RtCudaStats;

extern RtCuda rt_cuda;
/* asks Python for a kernel; 0 or an RtStatus, the error's text in rt_cuda_error */
extern int (*rt_cuda_build)(const RtKey *key, CuHandle *function);
extern int (*rt_cuda_find_put)(int device, CuHandle *function);        /* Note [Small copies] in launch.c */
int rt_cuda_start(int *devices);
void rt_cuda_direct(void);          /* behind rt_cuda_start, with a real driver */
const RtBackend *rt_cuda_backend(void);
#define RT_CUDA_ERROR_ROOM 1024
char *rt_cuda_error(void);          /* this thread's text, of at most RT_CUDA_ERROR_ROOM bytes */
int rt_cuda_lost(void);             /* Note [Lost contexts] in launch.c: the driver answers nothing any more */
int rt_cuda_check(int status, const char *what);
int rt_cuda_use(int device);        /* makes the device's context this thread's */
CuHandle rt_cuda_stream(int device);
void rt_cuda_set_stream(int device, CuHandle stream);
void rt_cuda_overlap(int on);       /* Note [Overlapped launches] in launch.c; asked when a device is first used */
void rt_cuda_debug(int sync);       /* wait after each launch, so that an error names its kernel */
int64_t rt_cuda_launches(void);
int64_t rt_cuda_waits(void);        /* how often the host waited for a copy or a device */
void rt_cuda_nonblocking(int on);   /* this thread's copies from and to page-locked memory do not wait */
/* device_memory.c: memory of the device. */
void *rt_cuda_alloc(int code, size_t nbytes, size_t *got);             /* an RtBackend's, as rt_cuda_free is */
void rt_cuda_free(int code, void *ptr, size_t got);
void rt_cuda_trim(int device);
void rt_cuda_stats(int device, RtCudaStats *out);
void rt_cuda_reset_peak(int device);
void rt_cuda_allocator(int is_asynchronous);
int rt_cuda_workspace(int device, size_t nbytes, CuPtr *ptr);          /* Note [Workspaces] */
void rt_cuda_use_stream(int device, CuPtr ptr, CuHandle stream);       /* Note [Blocks used on other streams] */
extern int rt_cuda_captures;        /* graphs that are being captured */
void *rt_cuda_new_heap(int device); /* Note [Memory of graphs] */
void rt_cuda_drop_heap(void *heap);
void rt_cuda_capture_into(int device, void *heap, CuHandle stream);    /* heap NULL: the capture is over */
/* host_memory.c: page-locked memory. `used` tells whether a range lies in it and if so keeps it from reuse until the stream has passed. */
void *rt_cuda_host_alloc(size_t nbytes);
void rt_cuda_host_free(void *ptr);
int rt_cuda_host_holds(const void *ptr, size_t nbytes);
int rt_cuda_host_used(const void *ptr, size_t nbytes, CuHandle stream);
void rt_cuda_host_trim(void);
void rt_cuda_host_stats(int64_t *in_use, int64_t *reserved);
/* one launch on the device's current stream; the device is in use */
int rt_cuda_launch(int device, CuHandle function, void *args, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, const char *what);
/* the host's seconds for `calls` launches of a kernel that does nothing, our way or, plain, cuLaunchKernel's: below it no operator comes */
int rt_cuda_launch_cost(int device, int calls, int plain, double *seconds);
int rt_cuda_launched(int device, const char *what);        /* a library launched on the current stream */
void rt_cuda_small_products(int on);       /* whether products of small matrices are our own kernel's: Note [Small products] in launch.c */
int rt_cuda_fused(int code, const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj, const double *alpha,
                  const double *beta, int act);            /* an RtFusedGemm */
int64_t *rt_cuda_fault(int device);        /* Note [Faults] in launch.c */
int rt_cuda_faulted(int device);
unsigned rt_cuda_blocks(int device, int64_t threads);      /* of 256 threads, each of which takes several turns where there are many */
#endif
