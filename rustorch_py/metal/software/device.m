/* A Metal framework without a device, for tests. What is encoded is done when its command buffer is committed, and not before: a host that reads
 * without waiting sees what was there. Kernels are the device's own text, compiled for the host (metal_stdlib); the threads of a threadgroup are
 * fibres of the calling thread (cuda/software/fibres.h).
 *
 * It checks what kernels compute, the indices and sizes of what they are given, the shapes of grids, reference counts, and that nobody reads
 * device memory outside of rt_metal_open .. rt_metal_close. It does not check address spaces, races, Metal's compiler, or speed. */
#define _GNU_SOURCE
#import <Metal/Metal.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "../../cuda/software/fibres.h"
#include "rustorch/metal.h"

/* ---- Foundation ---- */
static __thread NSAutoreleasePool *pools;
static void fatal(const char *text) { fprintf(stderr, "software Metal: %s\n", text); abort(); }
@implementation NSObject
+ (id)alloc { return class_createInstance(self, 0); }
- (id)init { count = 1; return self; }
- (id)retain { __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED); return self; }
- (void)release {
    int left = __atomic_sub_fetch(&count, 1, __ATOMIC_ACQ_REL);
    if (left < 0) fatal("an object was released too often");
    if (left == 0) [self dealloc];
}
- (id)autorelease {
    if (!pools) fatal("autorelease without a pool");
    [pools add:self];
    return self;
}
- (void)dealloc { object_dispose(self); }
@end
@implementation NSAutoreleasePool
- (id)init { [super init]; outer = pools; pools = self; return self; }
- (void)add:(id)object {
    if (n == room) held = realloc(held, sizeof(id) * (size_t)(room = room ? 2 * room : 8));
    held[n++] = object;
}
- (void)dealloc {
    if (pools != self) fatal("pools are not nested");
    for (int i = 0; i < n; i++) [held[i] release];
    pools = outer;
    free(held);
    [super dealloc];
}
@end
@implementation NSString
+ (NSString *)stringWithUTF8String:(const char *)from {
    NSString *s = [[[NSString alloc] init] autorelease];
    s->text = strdup(from);
    return s;
}
- (const char *)UTF8String { return text; }
- (void)dealloc { free(text); [super dealloc]; }
@end
@implementation NSArray
- (id)initWithObject:(id)object again:(id)another {
    [super init];
    objects = malloc(2 * sizeof(id));
    objects[n++] = [object retain];
    if (another) objects[n++] = [another retain];
    return self;
}
- (NSUInteger)count { return n; }
- (id)objectAtIndex:(NSUInteger)index { return objects[index]; }
- (void)dealloc { for (NSUInteger i = 0; i < n; i++) [objects[i] release]; free(objects); [super dealloc]; }
@end
@implementation NSError
- (id)initWithText:(const char *)from { [super init]; text = [[NSString stringWithUTF8String:from] retain]; return self; }
- (NSString *)localizedDescription { return text; }
- (void)dealloc { [text release]; [super dealloc]; }
@end

/* ---- memory: closed to the host except while the device works, or between open and close ---- */
#define PAGE ((size_t)4096)
#define LIMIT ((size_t)2 << 30)
typedef struct Region { char *at; size_t size; struct Region *next; } Region;
static Region *regions;
static size_t allocated;
static int openings;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
void rt_metal_open(void);
void rt_metal_close(void);
static void protect(int how) { for (Region *r = regions; r; r = r->next) mprotect(r->at, r->size, how); }
void rt_metal_open(void) {
    pthread_mutex_lock(&busy);
    if (openings++ == 0) protect(PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&busy);
}
void rt_metal_close(void) {
    pthread_mutex_lock(&busy);
    if (--openings == 0) protect(PROT_NONE);
    pthread_mutex_unlock(&busy);
}

@interface SoftBuffer : NSObject <MTLBuffer> { @public Region region; NSUInteger bytes; }
@end
@implementation SoftBuffer
- (void *)contents { return region.at; }
- (NSUInteger)length { return bytes; }
- (void)dealloc {
    pthread_mutex_lock(&busy);
    for (Region **at = &regions; *at; at = &(*at)->next) if (*at == &region) { *at = region.next; break; }
    munmap(region.at, region.size);
    allocated -= region.size;
    pthread_mutex_unlock(&busy);
    [super dealloc];
}
@end

/* ---- libraries: text to a shared object by the host's compiler, which Python calls ---- */
static int (*compile)(const char *source, char *path, char *log, size_t room);       /* 0: path; else log, both of `room` bytes */
__attribute__((visibility("default"))) void rt_soft_metal_compiler(int (*with)(const char *, char *, char *, size_t)) { compile = with; }
@implementation MTLCompileOptions
- (void)setFastMathEnabled:(BOOL)to { fast = to; }
- (BOOL)fastMathEnabled { return fast; }
@end
@interface SoftFunction : NSObject <MTLFunction, MTLComputePipelineState> { @public void (*run)(void **); Soft *soft; NSUInteger most; }
@end
@implementation SoftFunction
- (NSUInteger)maxTotalThreadsPerThreadgroup { return most; }
@end
@implementation MTLComputePipelineDescriptor
- (void)setComputeFunction:(id<MTLFunction>)to { [to retain]; [function release]; function = to; }
- (id<MTLFunction>)computeFunction { return function; }
- (void)setMaxTotalThreadsPerThreadgroup:(NSUInteger)to { most = to; }
- (NSUInteger)maxTotalThreadsPerThreadgroup { return most; }
- (void)dealloc { [function release]; [super dealloc]; }
@end
@interface SoftLibrary : NSObject <MTLLibrary> { @public void *handle; }
@end
@implementation SoftLibrary
- (id<MTLFunction>)newFunctionWithName:(NSString *)name {
    char symbol[512];
    Soft *(*soft)(void);
    SoftFunction *f = [[SoftFunction alloc] init];
    snprintf(symbol, sizeof symbol, "%s_run", [name UTF8String]);
    *(void **)&f->run = dlsym(handle, symbol);
    *(void **)&soft = dlsym(handle, "rt_soft");
    if (!f->run || !soft) { [f release]; return nil; }
    f->soft = soft();
    return f;
}
@end

/* ---- commands ---- */
#define BINDINGS 31
typedef struct Launch { struct Launch *next; SoftFunction *function; SoftBuffer *buffers[BINDINGS]; size_t offsets[BINDINGS]; char *bytes[BINDINGS]; Dim3 grid, group; } Launch;
@class SoftCommands;
@interface SoftEncoder : NSObject <MTLComputeCommandEncoder> { @public SoftCommands *commands; Launch state; int ended; }
@end
@interface SoftCommands : NSObject <MTLCommandBuffer> { @public Launch *first, *last; MTLCommandBufferStatus status; NSError *error; SoftEncoder *encoder; }
@end
@implementation SoftEncoder
- (void)setComputePipelineState:(id<MTLComputePipelineState>)pipeline { state.function = (SoftFunction *)pipeline; }
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
    if (index >= BINDINGS) fatal("a buffer's index is above 30");
    if (buffer && offset >= [buffer length]) fatal("an offset lies beyond its buffer");
    state.buffers[index] = (SoftBuffer *)buffer;
    state.offsets[index] = offset;
    state.bytes[index] = NULL;
}
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
    if (index >= BINDINGS) fatal("the index of bytes is above 30");
    if (length == 0 || length > 4096) fatal("setBytes takes 1 to 4096 bytes");
    state.bytes[index] = memcpy(aligned_alloc(64, (length + 63) / 64 * 64), bytes, length);
    state.buffers[index] = nil;
}
- (void)dispatchThreadgroups:(MTLSize)grid threadsPerThreadgroup:(MTLSize)group {
    NSUInteger threads = group.width * group.height * group.depth;
    if (ended || !state.function) fatal("a dispatch without a pipeline, or behind endEncoding");
    if (!grid.width || !grid.height || !grid.depth || !threads || threads > state.function->most) fatal("a grid or threadgroup of a size that Metal refuses");
    Launch *l = malloc(sizeof *l);
    *l = state;
    l->next = NULL;
    l->grid = (Dim3){(unsigned)grid.width, (unsigned)grid.height, (unsigned)grid.depth};
    l->group = (Dim3){(unsigned)group.width, (unsigned)group.height, (unsigned)group.depth};
    [l->function retain];
    for (int i = 0; i < BINDINGS; i++) { [l->buffers[i] retain]; state.bytes[i] = NULL; }       /* bytes are set anew for each launch */
    if (commands->last) commands->last->next = l;
    else commands->first = l;
    commands->last = l;
}
- (void)endEncoding { ended = 1; }
@end
@implementation SoftCommands
- (id<MTLComputeCommandEncoder>)computeCommandEncoder {
    if (encoder && !encoder->ended) fatal("a second encoder while the first is open");
    [encoder release];
    encoder = [[SoftEncoder alloc] init];
    encoder->commands = self;
    return [[encoder retain] autorelease];
}
- (void)commit {
    if (encoder && !encoder->ended) fatal("commit before endEncoding");
    if (status != MTLCommandBufferStatusNotEnqueued) fatal("a command buffer was committed twice");
    status = MTLCommandBufferStatusCompleted;
    static pthread_mutex_t working = PTHREAD_MUTEX_INITIALIZER;           /* the fibres are one set */
    pthread_mutex_lock(&working);
    rt_metal_open();
    for (Launch *l = first, *next; l; l = next) {
        void *arguments[BINDINGS];
        for (int i = 0; i < BINDINGS; i++) arguments[i] = l->bytes[i] ? l->bytes[i] : l->buffers[i] ? l->buffers[i]->region.at + l->offsets[i] : NULL;
        if (status == MTLCommandBufferStatusCompleted && rt_run_grid(l->function->soft, l->function->run, arguments, l->grid, l->group)) {
            status = MTLCommandBufferStatusError;
            error = [[NSError alloc] initWithText:"threads wait at different barriers"];
        }
        next = l->next;
        for (int i = 0; i < BINDINGS; i++) { [l->buffers[i] release]; free(l->bytes[i]); }
        [l->function release];
        free(l);
    }
    rt_metal_close();
    pthread_mutex_unlock(&working);
    first = last = NULL;
}
- (void)waitUntilCompleted { if (status == MTLCommandBufferStatusNotEnqueued) fatal("waiting for a command buffer that was not committed"); }
- (MTLCommandBufferStatus)status { return status; }
- (NSError *)error { return error; }
- (void)dealloc { if (first) fatal("launches were encoded and never committed"); [encoder release]; [error release]; [super dealloc]; }
@end
@interface SoftQueue : NSObject <MTLCommandQueue>
@end
@implementation SoftQueue
- (id<MTLCommandBuffer>)commandBuffer { return [[[SoftCommands alloc] init] autorelease]; }
@end

/* ---- devices ---- */
@interface SoftDevice : NSObject <MTLDevice> { @public int number; }
@end
@implementation SoftDevice
- (NSString *)name { return [NSString stringWithUTF8String:number ? "Software Metal device 1" : "Software Metal device 0"]; }
- (uint64_t)recommendedMaxWorkingSetSize { return LIMIT; }
- (NSUInteger)currentAllocatedSize { return allocated; }
- (BOOL)supportsFamily:(MTLGPUFamily)family { return family == MTLGPUFamilyApple7 && number == 0 ? YES : NO; }
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
    size_t size = (length + PAGE - 1) / PAGE * PAGE;
    if (options != MTLResourceStorageModeShared || length == 0 || allocated + size > LIMIT) return nil;
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return nil;
    memset(at, 0xB5, size);                           /* what was never written shows */
    SoftBuffer *b = [[SoftBuffer alloc] init];
    b->bytes = length;
    pthread_mutex_lock(&busy);
    b->region.at = at; b->region.size = size; b->region.next = regions;
    regions = &b->region;
    allocated += size;
    if (!openings) mprotect(at, size, PROT_NONE);
    pthread_mutex_unlock(&busy);
    return b;
}
- (id<MTLCommandQueue>)newCommandQueue { return [[SoftQueue alloc] init]; }
- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error {
    enum { ROOM = 16384 };
    char *path = calloc(2, ROOM), *log = path + ROOM;
    SoftLibrary *l = nil;
    if ([options fastMathEnabled]) fatal("kernels are compiled with fast mathematics");
    if (!compile || compile([source UTF8String], path, log, ROOM)) *error = [[[NSError alloc] initWithText:compile ? log : "no compiler was given"] autorelease];
    else {
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle) *error = [[[NSError alloc] initWithText:dlerror()] autorelease];
        else {
            l = [[SoftLibrary alloc] init];
            l->handle = handle;
        }
    }
    free(path);
    return l;
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor *)descriptor options:(MTLPipelineOption)options
                                                           reflection:(void *)reflection error:(NSError **)error {
    SoftFunction *f = (SoftFunction *)[descriptor computeFunction];
    if (options != MTLPipelineOptionNone || reflection || !f || ![descriptor maxTotalThreadsPerThreadgroup] || [descriptor maxTotalThreadsPerThreadgroup] > 1024) {
        *error = [[[NSError alloc] initWithText:"a pipeline that this device has not"] autorelease];
        return nil;
    }
    f->most = [descriptor maxTotalThreadsPerThreadgroup];
    return [f retain];
}
@end
NSArray *MTLCopyAllDevices(void) {
    SoftDevice *one = [[[SoftDevice alloc] init] autorelease], *two = [[[SoftDevice alloc] init] autorelease];
    two->number = 1;
    return [[NSArray alloc] initWithObject:one again:two];
}
