/* The part of the CUDA driver's interface that the back end uses. No header of NVIDIA's is needed to build: the entry points are
 * looked up by name when the back end is loaded (_backend.pyx), from cuda-python or from the software device. */
#ifndef RUSTORCH_CUDA_DRIVER_H
#define RUSTORCH_CUDA_DRIVER_H
#include <stddef.h>
#include <stdint.h>

typedef uint64_t CuPtr;                       /* CUdeviceptr */
typedef void *CuHandle;                       /* CUcontext, CUmodule, CUfunction, CUstream, CUevent, CUmemoryPool */
typedef struct { int id, unused; union { char room[64]; int on; } value; } CuLaunchAttribute;
typedef struct { unsigned gx, gy, gz, bx, by, bz, shared; CuHandle stream; CuLaunchAttribute *attributes; unsigned count; } CuLaunch;

/* X(name in RtCuda, driver's name, arguments) */
#define RT_CUDA_CALLS(X)                                                                                            \
    X(init, "cuInit", (unsigned flags))                                                                             \
    X(driver_version, "cuDriverGetVersion", (int *version))                                                         \
    X(device_count, "cuDeviceGetCount", (int *count))                                                               \
    X(device_get, "cuDeviceGet", (int *device, int ordinal))                                                        \
    X(device_name, "cuDeviceGetName", (char *name, int length, int device))                                         \
    X(device_memory, "cuDeviceTotalMem", (size_t *bytes, int device))                                               \
    X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))                            \
    X(context_retain, "cuDevicePrimaryCtxRetain", (CuHandle *context, int device))                                  \
    X(context_set, "cuCtxSetCurrent", (CuHandle context))                                                           \
    X(context_synchronize, "cuCtxSynchronize", (void))                                                              \
    X(mem_info, "cuMemGetInfo", (size_t *free_bytes, size_t *total))                                                \
    X(mem_alloc, "cuMemAlloc", (CuPtr *ptr, size_t bytes))                                                          \
    X(mem_free, "cuMemFree", (CuPtr ptr))                                                                           \
    X(mem_alloc_async, "cuMemAllocAsync", (CuPtr *ptr, size_t bytes, CuHandle stream))                              \
    X(mem_free_async, "cuMemFreeAsync", (CuPtr ptr, CuHandle stream))                                               \
    X(pool_of_device, "cuDeviceGetDefaultMemPool", (CuHandle *pool, int device))                                    \
    X(pool_set, "cuMemPoolSetAttribute", (CuHandle pool, int attribute, void *value))                               \
    X(pool_trim, "cuMemPoolTrimTo", (CuHandle pool, size_t bytes))                                                  \
    X(pointer_attribute, "cuPointerGetAttribute", (void *value, int attribute, CuPtr ptr))                          \
    X(host_alloc, "cuMemHostAlloc", (void **ptr, size_t bytes, unsigned flags))                                     \
    X(host_free, "cuMemFreeHost", (void *ptr))                                                                      \
    X(copy_to_device, "cuMemcpyHtoDAsync", (CuPtr dst, const void *src, size_t bytes, CuHandle stream))             \
    X(copy_to_host, "cuMemcpyDtoHAsync", (void *dst, CuPtr src, size_t bytes, CuHandle stream))                     \
    X(copy_on_device, "cuMemcpyDtoDAsync", (CuPtr dst, CuPtr src, size_t bytes, CuHandle stream))                   \
    X(set_bytes, "cuMemsetD8Async", (CuPtr dst, unsigned char value, size_t n, CuHandle stream))                    \
    X(set_words, "cuMemsetD32Async", (CuPtr dst, unsigned value, size_t n, CuHandle stream))                        \
    X(copy_between, "cuMemcpyPeerAsync", (CuPtr dst, CuHandle to, CuPtr src, CuHandle from, size_t bytes, CuHandle stream)) \
    X(stream_create, "cuStreamCreateWithPriority", (CuHandle *stream, unsigned flags, int priority))                \
    X(stream_synchronize, "cuStreamSynchronize", (CuHandle stream))                                                 \
    X(stream_query, "cuStreamQuery", (CuHandle stream))                                                             \
    X(stream_wait, "cuStreamWaitEvent", (CuHandle stream, CuHandle event, unsigned flags))                          \
    X(event_create, "cuEventCreate", (CuHandle *event, unsigned flags))                                             \
    X(event_destroy, "cuEventDestroy", (CuHandle event))                                                            \
    X(event_record, "cuEventRecord", (CuHandle event, CuHandle stream))                                             \
    X(event_query, "cuEventQuery", (CuHandle event))                                                                \
    X(event_synchronize, "cuEventSynchronize", (CuHandle event))                                                    \
    X(event_elapsed, "cuEventElapsedTime", (float *milliseconds, CuHandle start, CuHandle end))                     \
    X(capture_begin, "cuStreamBeginCapture", (CuHandle stream, int mode))                                           \
    X(capture_end, "cuStreamEndCapture", (CuHandle stream, CuHandle *graph))                                        \
    X(capture_state, "cuStreamIsCapturing", (CuHandle stream, int *state))                                          \
    X(capture_mode, "cuThreadExchangeStreamCaptureMode", (int *mode))                                               \
    X(graph_instantiate, "cuGraphInstantiate", (CuHandle *executable, CuHandle graph, unsigned long long flags))    \
    X(graph_launch, "cuGraphLaunch", (CuHandle executable, CuHandle stream))                                        \
    X(graph_drop, "cuGraphDestroy", (CuHandle graph))                                                               \
    X(graph_drop_executable, "cuGraphExecDestroy", (CuHandle executable))                                           \
    X(module_load, "cuModuleLoadData", (CuHandle *module, const void *image))                                       \
    X(module_function, "cuModuleGetFunction", (CuHandle *function, CuHandle module, const char *name))              \
    X(launch, "cuLaunchKernel", (CuHandle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, \
                                 unsigned bz, unsigned shared, CuHandle stream, void **arguments, void **extra))    \
    X(launch_as, "cuLaunchKernelEx", (const CuLaunch *how, CuHandle function, void **arguments, void **extra))       \
    X(error_name, "cuGetErrorName", (int error, const char **text))                                                 \
    X(error_string, "cuGetErrorString", (int error, const char **text))

typedef struct {
#define X(name, symbol, arguments) int (*name) arguments;
    RT_CUDA_CALLS(X)
#undef X
} RtCuda;

enum { CU_OUT_OF_MEMORY = 2, CU_NOT_READY = 600, CU_CAPTURE_RELAXED = 2, CU_POOL_RELEASE_THRESHOLD = 4, CU_POINTER_DEVICE = 9 };
enum { CU_LAUNCH_OVERLAP = 6 };               /* CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION */
enum { CU_ATTR_SMS = 16, CU_ATTR_MAJOR = 75, CU_ATTR_MINOR = 76, CU_ATTR_CLOCK = 13, CU_ATTR_WARP = 10, CU_ATTR_L2 = 38,
       CU_ATTR_THREADS_PER_SM = 39, CU_ATTR_SHARED_PER_SM = 81, CU_ATTR_REGISTERS_PER_SM = 82, CU_ATTR_INTEGRATED = 18 };
#endif
