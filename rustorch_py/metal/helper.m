/* Metal for the back end: devices, buffers, libraries from source, and one command buffer a device that stays open while launches are encoded.
 * Plain Objective-C (no ARC, no blocks, no literals, no @autoreleasepool), which gcc compiles too, against the software device of tests. Not run on
 * Apple hardware. */
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "rustorch/backend.h"
#include "rustorch/metal.h"

/* A command buffer is handed over after so many launches, so that the device begins while the host goes on. */
#define LAUNCHES 64
/* Command buffers that were handed over and not yet asked how they ended */
#define UNDER_WAY 64

typedef struct {
    id<MTLDevice> device;
    id<MTLCommandQueue> queue;
    id<MTLCommandBuffer> commands;                    /* open: being encoded; NULL: none */
    id<MTLComputeCommandEncoder> encoder;
    id<MTLCommandBuffer> handed[UNDER_WAY];
    int nhanded, launches, failed;                    /* failed: a command buffer did, and nobody was told */
    char failure[RT_METAL_ERROR_ROOM];                /* what it said */
    pthread_mutex_t lock;
} Device;

#ifdef RT_METAL_SOFTWARE
void rt_metal_open(void);                             /* software/device.m */
void rt_metal_close(void);
#else
static void rt_metal_open(void) {}
static void rt_metal_close(void) {}
#endif

static Device devices[RT_METAL_MAX_DEVICES];
static int ndevices = -1;
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local char error_text[RT_METAL_ERROR_ROOM];

static char *rt_metal_error(void) { return error_text; }

static void say(const char *what, NSError *error) {
    const char *text = error ? [[error localizedDescription] UTF8String] : NULL;
    snprintf(error_text, sizeof error_text, "Metal error: %s%s%s", what, text ? ": " : "", text ? text : "");
}

static int rt_metal_devices(void) {
    pthread_mutex_lock(&looking);
    if (ndevices < 0) {
        NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
        NSArray *all = MTLCopyAllDevices();
        ndevices = 0;
        for (NSUInteger i = 0; i < [all count] && ndevices < RT_METAL_MAX_DEVICES; i++) {
            Device *d = &devices[ndevices];
            d->device = [(id<MTLDevice>)[all objectAtIndex:i] retain];
            d->queue = [d->device newCommandQueue];
            if (!d->queue) { [d->device release]; continue; }
            pthread_mutex_init(&d->lock, NULL);
            ndevices++;
        }
        [all release];
        [pool release];
    }
    pthread_mutex_unlock(&looking);
    return ndevices;
}

static Device *device_at(int device) {
    if (device >= 0 && device < ndevices) return &devices[device];
    snprintf(error_text, sizeof error_text, "Metal error: invalid device ordinal (%d of %d devices)", device, ndevices < 0 ? 0 : ndevices);
    return NULL;
}

static int rt_metal_describe(int device, RtMetalDevice *out) {
    Device *d = device_at(device);
    if (!d) return RT_ERR_DEVICE;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", [[d->device name] UTF8String]);
    out->working_set = [d->device recommendedMaxWorkingSetSize];
    out->allocated = [d->device currentAllocatedSize];
    out->matrices = [d->device supportsFamily:MTLGPUFamilyApple7] ? 1 : 0;
    [pool release];
    return RT_OK;
}

static void *rt_metal_buffer(int device, size_t nbytes, char **contents) {
    Device *d = device_at(device);
    if (!d) return NULL;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    id<MTLBuffer> buffer = [d->device newBufferWithLength:nbytes options:MTLResourceStorageModeShared];
    if (buffer) *contents = [buffer contents];
    [pool release];
    return (void *)buffer;
}

static void rt_metal_drop(void *handle) { [(id)handle release]; }

static void *rt_metal_library(int device, const char *source) {
    Device *d = device_at(device);
    if (!d) return NULL;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MTLCompileOptions *options = [[[MTLCompileOptions alloc] init] autorelease];
    NSError *error = nil;
    [options setFastMathEnabled:NO];                  /* NaN, infinities and the order of sums are as written */
    id<MTLLibrary> library = [d->device newLibraryWithSource:[NSString stringWithUTF8String:source] options:options error:&error];
    if (!library) say("a kernel does not compile", error);
    [pool release];
    return (void *)library;
}

static void *rt_metal_pipeline(int device, void *library, const char *name, unsigned *most_threads) {
    Device *d = device_at(device);
    if (!d) return NULL;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    NSError *error = nil;
    id<MTLComputePipelineState> pipeline = nil;
    id<MTLFunction> function = [(id<MTLLibrary>)library newFunctionWithName:[NSString stringWithUTF8String:name]];
    if (function) {
        MTLComputePipelineDescriptor *wanted = [[[MTLComputePipelineDescriptor alloc] init] autorelease];
        [wanted setComputeFunction:function];
        [wanted setMaxTotalThreadsPerThreadgroup:*most_threads];           /* else the compiler may take registers that leave no room for so many */
        pipeline = [d->device newComputePipelineStateWithDescriptor:wanted options:MTLPipelineOptionNone reflection:nil error:&error];
        [function release];
    }
    if (pipeline) *most_threads = (unsigned)[pipeline maxTotalThreadsPerThreadgroup];
    else if (function) say(name, error);
    else snprintf(error_text, sizeof error_text, "Metal error: the library has no function %s", name);
    [pool release];
    return (void *)pipeline;
}

static void hand_over(Device *d);
static int told(Device *d);

static int rt_metal_encode(int device, void *pipeline, const RtMetalOperand *operands, int n, const void *args, size_t nargs, const unsigned *grid,
                    const unsigned *group) {
    Device *d = device_at(device);
    if (!d) return RT_ERR_DEVICE;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    pthread_mutex_lock(&d->lock);
    int status = told(d);
    if (!status && !d->commands) {
        d->commands = [[d->queue commandBuffer] retain];
        d->encoder = [[d->commands computeCommandEncoder] retain];        /* its launches run one after another, each sees what the last wrote */
        d->launches = 0;
    }
    if (status) {                                     /* of launches before this one, which is not made */
    } else if (!d->encoder) {
        snprintf(error_text, sizeof error_text, "Metal error: no command encoder");
        status = RT_ERR_DEVICE;
    } else {
        [d->encoder setComputePipelineState:(id<MTLComputePipelineState>)pipeline];
        for (int i = 0; i < n; i++)
            if (operands[i].buffer) [d->encoder setBuffer:(id<MTLBuffer>)operands[i].buffer offset:operands[i].offset atIndex:(NSUInteger)i];
        [d->encoder setBytes:args length:nargs atIndex:(NSUInteger)n];
        [d->encoder dispatchThreadgroups:MTLSizeMake(grid[0], grid[1], grid[2]) threadsPerThreadgroup:MTLSizeMake(group[0], group[1], group[2])];
        if (++d->launches >= LAUNCHES) {
            hand_over(d);
            status = told(d);
        }
    }
    pthread_mutex_unlock(&d->lock);
    [pool release];
    return status;
}

/* held: lock. Waits for the oldest command buffers, and keeps what the first that failed says until somebody is told. */
static void settle(Device *d, int how_many) {
    for (int i = 0; i < how_many; i++) {
        id<MTLCommandBuffer> commands = d->handed[i];
        [commands waitUntilCompleted];
        if ([commands status] == MTLCommandBufferStatusError && !d->failed) {
            say("a kernel failed on the device", [commands error]);
            memcpy(d->failure, error_text, sizeof d->failure);
            d->failed = 1;
        }
        [commands release];
    }
    memmove(d->handed, d->handed + how_many, sizeof d->handed[0] * (size_t)(d->nhanded - how_many));
    d->nhanded -= how_many;
}
/* held: lock */
static void hand_over(Device *d) {
    if (!d->commands) return;
    [d->encoder endEncoding];
    [d->encoder release];
    d->encoder = nil;
    [d->commands commit];
    d->handed[d->nhanded++] = d->commands;
    d->commands = nil;
    if (d->nhanded == UNDER_WAY) settle(d, UNDER_WAY / 2);
}
/* held: lock. The status of what failed, once */
static int told(Device *d) {
    if (!d->failed) return RT_OK;
    d->failed = 0;
    memcpy(error_text, d->failure, sizeof error_text);
    return RT_ERR_DEVICE;
}

static int rt_metal_commit(int device) {
    Device *d = device_at(device);
    if (!d) return RT_ERR_DEVICE;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    pthread_mutex_lock(&d->lock);
    hand_over(d);
    int status = told(d);
    pthread_mutex_unlock(&d->lock);
    [pool release];
    return status;
}
static int finish(int device, int tell) {
    Device *d = device_at(device);
    if (!d) return RT_ERR_DEVICE;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    pthread_mutex_lock(&d->lock);
    hand_over(d);
    settle(d, d->nhanded);
    int status = tell ? told(d) : RT_OK;
    pthread_mutex_unlock(&d->lock);
    [pool release];
    return status;
}
static int rt_metal_wait(int device) { return finish(device, 1); }
static void rt_metal_drain(int device) { finish(device, 0); }
static int rt_metal_pending(int device) {
    Device *d = device_at(device);
    if (!d) return 0;
    pthread_mutex_lock(&d->lock);
    int pending = d->commands != nil || d->nhanded > 0;
    pthread_mutex_unlock(&d->lock);
    return pending;
}

#define RT_X(result, name, arguments) rt_metal_##name,
static const RtMetalCalls calls = {RT_METAL_CALLS(RT_X)};
__attribute__((visibility("default"))) const RtMetalCalls *rt_metal_calls(void) { return &calls; }
