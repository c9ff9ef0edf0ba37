/* A CUDA driver without a device, for tests: the entry points of driver.h over host memory. Kernels are the device's own text, compiled
 * for the host (host.h). The threads of a block are fibres of the calling thread: each runs to its end or to a barrier, then the next.
 *
 * It checks what kernels compute, what they are given, and that nobody above touches device memory: the arena is inaccessible except
 * while the driver is at work. It does not check races, warp-level behaviour, alignment rules of a GPU, or speed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "fibres.h"

#define API __attribute__((visibility("default")))
#define ARENA ((size_t)1 << 33)               /* reserved, not used */
#define PAGE ((size_t)4096)
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_HANDLE = 400, LAUNCH_FAILED = 719,
       CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
static char *arena;
static size_t top, limit = (size_t)2 << 30, in_use;
static int guarded = 1;
static int broken;                            /* what every call answers once it is not 0, as after an illegal access */
API void rt_soft_break(int status) { broken = status; }

/* every entry point opens the arena, and closes it behind itself */
static void enter(void) {
    pthread_mutex_lock(&busy);
    if (arena && guarded && top) mprotect(arena, top, PROT_READ | PROT_WRITE);
}
static int leave(int status) {
    if (arena && guarded && top) mprotect(arena, top, PROT_NONE);
    pthread_mutex_unlock(&busy);
    return status;
}

/* ---- memory: whole pages, first fit; each block ends at the end of its last page but for alignment to 256 bytes ---- */
typedef struct Region { size_t at, size; int used; struct Region *next; } Region;
static Region *regions;

static int start(void) {
    if (arena) return OK;
    const char *text = getenv("RUSTORCH_CUDA_SOFTWARE_BYTES");
    if (text) limit = (size_t)strtoull(text, NULL, 10);
    arena = mmap(NULL, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) { arena = NULL; return OUT_OF_MEMORY; }
    return OK;
}
static Region *region_at(size_t at) {
    for (Region *r = regions; r; r = r->next) if (r->used && r->at <= at && at < r->at + r->size) return r;
    return NULL;
}
API int cuInit(unsigned flags) { enter(); return leave(flags ? INVALID_VALUE : start()); }
API int cuDriverGetVersion(int *version) { *version = 13000; return OK; }
API int cuDeviceGetCount(int *count) {
    const char *text = getenv("RUSTORCH_CUDA_SOFTWARE_DEVICES");
    *count = text ? atoi(text) : 2;
    return OK;
}
API int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return OK; }
API int cuDeviceGetName(char *name, int length, int device) { snprintf(name, (size_t)length, "Software device %d", device); return OK; }
API int cuDeviceTotalMem(size_t *bytes, int device) { (void)device; *bytes = limit; return OK; }
API int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
    case 16: *value = 2; break;                  /* multiprocessors */
    case 75: *value = 9; break;                  /* the architecture that it stands for */
    case 76: *value = 0; break;
    case 10: *value = 32; break;
    case 39: *value = 2048; break;
    default: *value = 0;
    }
    return OK;
}
static int contexts[16];
API int cuDevicePrimaryCtxRetain(void **context, int device) {
    if (device < 0 || device >= 16) return INVALID_DEVICE;
    *context = &contexts[device];
    return OK;
}
API int cuCtxSetCurrent(void *context) { return context ? OK : INVALID_VALUE; }
API int cuCtxSynchronize(void);
API int cuMemGetInfo(size_t *free_bytes, size_t *total) { *free_bytes = limit - in_use; *total = limit; return OK; }
API int cuMemAlloc(uint64_t *ptr, size_t bytes) {
    enter();
    size_t size = (bytes + PAGE - 1) / PAGE * PAGE + PAGE;      /* and a page that stays free */
    if (bytes == 0) return leave(INVALID_VALUE);
    if (in_use + size > limit) return leave(OUT_OF_MEMORY);
    Region **at = &regions;
    size_t where = 0;
    for (; *at; at = &(*at)->next) {
        if ((*at)->at - where >= size) break;
        where = (*at)->at + (*at)->size;
    }
    Region *r = malloc(sizeof *r);
    if (!r || where + size > ARENA) { free(r); return leave(OUT_OF_MEMORY); }
    r->at = where; r->size = size; r->used = 1; r->next = *at;
    *at = r;
    if (where + size > top) {
        mprotect(arena + top, where + size - top, PROT_READ | PROT_WRITE);
        top = where + size;
    }
    memset(arena + where, 0xB5, size);           /* what was never written shows */
    in_use += size;
    *ptr = (uint64_t)(uintptr_t)(arena + where);
    return leave(OK);
}
API int cuMemFree(uint64_t ptr) {
    enter();
    size_t where = (size_t)((char *)(uintptr_t)ptr - arena);
    for (Region **at = &regions; *at; at = &(*at)->next)
        if ((*at)->at == where) {
            Region *r = *at;
            in_use -= r->size;
            *at = r->next;
            free(r);
            return leave(OK);
        }
    return leave(INVALID_VALUE);
}
API int cuMemHostAlloc(void **ptr, size_t bytes, unsigned flags) { (void)flags; *ptr = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE); return *ptr ? OK : OUT_OF_MEMORY; }
API int cuMemFreeHost(void *ptr) { free(ptr); return OK; }

API int cuMemAllocAsync(uint64_t *ptr, size_t bytes, void *stream) { (void)stream; return cuMemAlloc(ptr, bytes); }
API int cuMemFreeAsync(uint64_t ptr, void *stream) { (void)stream; return cuMemFree(ptr); }
API int cuDeviceGetDefaultMemPool(void **pool, int device) { *pool = &contexts[device]; return OK; }
API int cuMemPoolSetAttribute(void *pool, int attribute, void *value) { return pool && attribute == 4 && value ? OK : INVALID_VALUE; }
API int cuMemPoolTrimTo(void *pool, size_t bytes) { (void)bytes; return pool ? OK : INVALID_VALUE; }

/* ---- capture: work given to a recording stream is kept, and done when the graph is launched ---- */
typedef struct { int capturing; } Stream;
typedef struct Op { struct Op *next; int kind; uint64_t dst, src; size_t bytes; void *function, *arguments; Dim3 grid, block; } Op;   /* kind: 0 launch, 1 to the
    device, 2 to the host, 3 on the device, 4 a library's work */
typedef struct { Op *first, *last; } Graph;
static Graph *recording;                      /* one at a time */
static int captures(void *stream) { return recording && stream && ((Stream *)stream)->capturing; }
static Op *record(int kind) {
    Op *op = calloc(1, sizeof *op);
    if (!op) return NULL;
    op->kind = kind;
    if (recording->last) recording->last->next = op;
    else recording->first = op;
    return recording->last = op;
}
static int record_copy(int kind, uint64_t dst, uint64_t src, size_t bytes) {
    Op *op = record(kind);
    if (!op) return OUT_OF_MEMORY;
    op->dst = dst; op->src = src; op->bytes = bytes;
    return OK;
}

/* a range of device memory must lie in one allocation */
static int is_device(uint64_t ptr, size_t bytes) {
    size_t at = (size_t)((char *)(uintptr_t)ptr - arena);
    Region *r = (char *)(uintptr_t)ptr >= arena && at < top ? region_at(at) : NULL;
    return r && at + bytes <= r->at + r->size;
}
API int cuPointerGetAttribute(void *value, int attribute, uint64_t ptr) {
    if (attribute != 9 || !is_device(ptr, 1)) return INVALID_VALUE;
    *(int *)value = 0;                        /* the devices share one arena */
    return OK;
}
API int cuMemcpyHtoDAsync(uint64_t dst, const void *src, size_t bytes, void *stream) {
    if (broken) return broken;
    if (captures(stream)) return record_copy(1, dst, (uint64_t)(uintptr_t)src, bytes);
    enter();
    if (!is_device(dst, bytes)) return leave(INVALID_VALUE);
    memcpy((void *)(uintptr_t)dst, src, bytes);
    return leave(OK);
}
API int cuMemcpyDtoHAsync(void *dst, uint64_t src, size_t bytes, void *stream) {
    if (broken) return broken;
    if (captures(stream)) return record_copy(2, (uint64_t)(uintptr_t)dst, src, bytes);
    enter();
    if (!is_device(src, bytes)) return leave(INVALID_VALUE);
    memcpy(dst, (const void *)(uintptr_t)src, bytes);
    return leave(OK);
}
API int cuMemcpyDtoDAsync(uint64_t dst, uint64_t src, size_t bytes, void *stream) {
    if (broken) return broken;
    if (captures(stream)) return record_copy(3, dst, src, bytes);
    enter();
    if (!is_device(dst, bytes) || !is_device(src, bytes)) return leave(INVALID_VALUE);
    memmove((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, bytes);
    return leave(OK);
}
API int cuMemsetD8Async(uint64_t dst, unsigned char value, size_t n, void *stream) {
    if (broken) return broken;
    if (captures(stream)) return CAPTURE_UNSUPPORTED;                /* nobody asks */
    enter();
    if (!is_device(dst, n)) return leave(INVALID_VALUE);
    memset((void *)(uintptr_t)dst, value, n);
    return leave(OK);
}
API int cuMemsetD32Async(uint64_t dst, unsigned value, size_t n, void *stream) {
    if (broken) return broken;
    if (captures(stream)) return CAPTURE_UNSUPPORTED;
    enter();
    if (dst % 4 || !is_device(dst, 4 * n)) return leave(INVALID_VALUE);
    for (size_t i = 0; i < n; i++) ((unsigned *)(uintptr_t)dst)[i] = value;
    return leave(OK);
}
API int cuMemcpyPeerAsync(uint64_t dst, void *to, uint64_t src, void *from, size_t bytes, void *stream) { (void)to; (void)from; return cuMemcpyDtoDAsync(dst, src, bytes, stream); }

/* ---- streams and events: all work is done when a call returns ---- */
typedef struct { struct timespec at; int recorded, captured; } Event;
API int cuCtxSynchronize(void) { return broken ? broken : recording ? CAPTURE_UNSUPPORTED : OK; }
API int cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { (void)flags; (void)priority; *stream = calloc(1, sizeof(Stream)); return *stream ? OK : OUT_OF_MEMORY; }
API int cuStreamSynchronize(void *stream) { return broken ? broken : captures(stream) ? CAPTURE_UNSUPPORTED : OK; }
API int cuStreamQuery(void *stream) { return broken ? broken : captures(stream) ? CAPTURE_UNSUPPORTED : OK; }
API int cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    (void)flags;
    if (!event) return INVALID_HANDLE;
    if (stream && recording && ((Event *)event)->captured) ((Stream *)stream)->capturing = 1;      /* joins the capture */
    return OK;
}
API int cuEventCreate(void **event, unsigned flags) { (void)flags; *event = calloc(1, sizeof(Event)); return *event ? OK : OUT_OF_MEMORY; }
API int cuEventDestroy(void *event) { free(event); return OK; }
API int cuEventRecord(void *event, void *stream) {
    Event *e = event;
    clock_gettime(CLOCK_MONOTONIC, &e->at);
    e->recorded = 1;
    e->captured = captures(stream);
    return OK;
}
API int cuEventQuery(void *event) { return broken ? broken : recording && ((Event *)event)->captured ? CAPTURE_UNSUPPORTED : OK; }
API int cuEventSynchronize(void *event) { return cuEventQuery(event); }
API int cuEventElapsedTime(float *milliseconds, void *start_, void *end_) {
    Event *s = start_, *e = end_;
    if (!s->recorded || !e->recorded) return INVALID_HANDLE;
    *milliseconds = (float)((double)(e->at.tv_sec - s->at.tv_sec) * 1e3 + (double)(e->at.tv_nsec - s->at.tv_nsec) * 1e-6);
    return OK;
}

/* ---- modules and launches ---- */
typedef struct { void (*run)(void **); Soft *soft; size_t (*size)(void); } Function;

API int cuModuleLoadData(void **module, const void *image) {      /* the image is the path of a shared object */
    *module = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    if (!*module) { fprintf(stderr, "software device: %s\n", dlerror()); return INVALID_IMAGE; }
    return OK;
}
API int cuModuleGetFunction(void **function, void *module, const char *name) {
    Function *f = malloc(sizeof *f);
    Soft *(*soft)(void);
    if (!f) return OUT_OF_MEMORY;
    *(void **)&f->run = dlsym(module, name);
    *(void **)&soft = dlsym(module, "rt_soft");
    char sized[512];
    snprintf(sized, sizeof sized, "%s_size", name);
    *(void **)&f->size = dlsym(module, sized);
    if (!f->run || !soft || !f->size) { free(f); return NOT_FOUND; }
    f->soft = soft();
    *function = f;
    return OK;
}

API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,
                       void **arguments, void **extra) {
    (void)shared;
    if (!function) return INVALID_HANDLE;
    if (broken) return broken;
    if (extra || !gx || !gy || !gz || !bx || !by || !bz || gx > 2147483647u || gy > 65535 || gz > 65535 || bx > 1024 || by > 1024 || bz > 64 || bx * by * bz > 1024)
        return INVALID_VALUE;
    if (captures(stream)) {
        Op *op = record(0);
        size_t size = ((Function *)function)->size();
        if (!op || !(op->arguments = malloc(size))) return OUT_OF_MEMORY;
        memcpy(op->arguments, arguments[0], size);
        op->function = function;
        op->grid = (Dim3){gx, gy, gz};
        op->block = (Dim3){bx, by, bz};
        return OK;
    }
    enter();
    Function *f = function;
    int status = rt_run_grid(f->soft, f->run, arguments, (Dim3){gx, gy, gz}, (Dim3){bx, by, bz});
    return leave(status == RT_FIBRES_NO_MEMORY ? OUT_OF_MEMORY : status ? LAUNCH_FAILED : OK);
}
/* for stand-ins of libraries: work(what) with device memory open, or recorded with a copy of `what` */
API int rt_soft_holds(uint64_t ptr, size_t bytes) { return is_device(ptr, bytes); }
API int rt_soft_call(int (*work)(void *), void *what, size_t bytes, void *stream) {
    if (broken) return broken;
    if (captures(stream)) {
        Op *op = record(4);
        if (!op || !(op->arguments = malloc(bytes))) return OUT_OF_MEMORY;
        memcpy(op->arguments, what, bytes);
        op->bytes = bytes;
        op->function = *(void **)&work;
        return OK;
    }
    enter();
    return leave(work(what) ? LAUNCH_FAILED : OK);
}
static int call_again(const Op *op, void *stream) {
    int (*work)(void *);
    *(void **)&work = op->function;
    return rt_soft_call(work, op->arguments, op->bytes, stream);
}
API int cuStreamBeginCapture(void *stream, int mode) {
    if (!stream || mode < 0 || mode > 2) return CAPTURE_UNSUPPORTED;      /* the default stream cannot be captured */
    if (recording) return CAPTURE_UNSUPPORTED;
    recording = calloc(1, sizeof(Graph));
    ((Stream *)stream)->capturing = 1;
    return recording ? OK : OUT_OF_MEMORY;
}
API int cuStreamEndCapture(void *stream, void **graph) {
    if (!captures(stream)) return CAPTURE_INVALIDATED;
    ((Stream *)stream)->capturing = 0;
    *graph = recording;
    recording = NULL;
    return OK;
}
API int cuStreamIsCapturing(void *stream, int *state) { *state = captures(stream); return OK; }
API int cuThreadExchangeStreamCaptureMode(int *mode) { static int now; int before = now; now = *mode; *mode = before; return OK; }
API int cuGraphInstantiate(void **executable, void *graph, unsigned long long flags) {
    (void)flags;
    Graph *e = malloc(sizeof *e);
    if (!e) return OUT_OF_MEMORY;
    *e = *(Graph *)graph;                     /* takes the list over */
    memset(graph, 0, sizeof(Graph));
    *executable = e;
    return OK;
}
API int cuGraphLaunch(void *executable, void *stream) {
    if (captures(stream)) return CAPTURE_UNSUPPORTED;
    for (Op *op = ((Graph *)executable)->first; op; op = op->next) {
        int status = op->kind == 1 ? cuMemcpyHtoDAsync(op->dst, (void *)(uintptr_t)op->src, op->bytes, stream)
                   : op->kind == 2 ? cuMemcpyDtoHAsync((void *)(uintptr_t)op->dst, op->src, op->bytes, stream)
                   : op->kind == 3 ? cuMemcpyDtoDAsync(op->dst, op->src, op->bytes, stream)
                   : op->kind == 4 ? call_again(op, stream)
                   : cuLaunchKernel(op->function, op->grid.x, op->grid.y, op->grid.z, op->block.x, op->block.y, op->block.z, 0, stream, &op->arguments, NULL);
        if (status) return status;
    }
    return OK;
}
typedef struct { int id, unused; union { char room[64]; int on; } value; } LaunchAttribute;
typedef struct { unsigned gx, gy, gz, bx, by, bz, shared; void *stream; LaunchAttribute *attributes; unsigned count; } Launch;
static int early;
API int rt_soft_early(void) { return early; }        /* launches that may overlap the kernel in front of them */
API int cuLaunchKernelEx(const Launch *how, void *function, void **arguments, void **extra) {
    for (unsigned i = 0; i < how->count; i++) if (how->attributes[i].id != 6 || how->attributes[i].value.on != 1) return INVALID_VALUE;
    early += how->count == 1;
    return cuLaunchKernel(function, how->gx, how->gy, how->gz, how->bx, how->by, how->bz, how->shared, how->stream, arguments, extra);
}
API int cuGraphDestroy(void *graph) { free(graph); return OK; }
API int cuGraphExecDestroy(void *executable) {
    for (Op *op = ((Graph *)executable)->first, *next; op; op = next) { next = op->next; free(op->arguments); free(op); }
    free(executable);
    return OK;
}
API int cuGetErrorName(int error, const char **text) {
    switch (error) {
    case OK: *text = "CUDA_SUCCESS"; break;
    case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
    case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case INVALID_DEVICE: *text = "CUDA_ERROR_INVALID_DEVICE"; break;
    case INVALID_IMAGE: *text = "CUDA_ERROR_INVALID_IMAGE"; break;
    case INVALID_HANDLE: *text = "CUDA_ERROR_INVALID_HANDLE"; break;
    case NOT_FOUND: *text = "CUDA_ERROR_NOT_FOUND"; break;
    case 700: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case CAPTURE_UNSUPPORTED: *text = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case CAPTURE_INVALIDATED: *text = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    case LAUNCH_FAILED: *text = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: *text = "CUDA_ERROR_UNKNOWN";
    }
    return OK;
}
API int cuGetErrorString(int error, const char **text) {
    switch (error) {
    case INVALID_VALUE: *text = "invalid argument"; break;
    case OUT_OF_MEMORY: *text = "out of memory"; break;
    case INVALID_DEVICE: *text = "invalid device ordinal"; break;
    case INVALID_IMAGE: *text = "device kernel image is invalid"; break;
    case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
    case 700: *text = "an illegal memory access was encountered"; break;
    case CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; break;
    default: *text = "error of the software device";
    }
    return OK;
}
