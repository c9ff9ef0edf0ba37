/* Memory of a CUDA device, cached: the driver takes microseconds to give a block and waits for the device to take it back.
 * Blocks come in size classes: multiples of 512 bytes up to 4 KiB, then eight a doubling. Small ones are cut from slabs. A freed
 * block waits in its class for the next request on its stream: work on one stream runs in order, so it may be handed out while
 * kernels that read it are still under way. Note [Blocks and streams]: a block belongs to the stream that was current when it was
 * allocated; the map holds the streams of blocks that do not belong to the default one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "launch.h"

typedef struct Heap Heap;
typedef struct { CuPtr ptr; CuHandle stream; Heap *heap; } Block;
typedef struct { Block *blocks; int n, room; } List;
struct Heap { List lists[RT_SIZE_CLASSES]; CuPtr slab; size_t slab_left; RtCudaStats stats; int device, closed; };
static Heap heaps[RT_CUDA_MAX_DEVICES];
static atomic_flag lock = ATOMIC_FLAG_INIT;
static CuHandle pools[RT_CUDA_MAX_DEVICES];          /* the driver's own, where RUSTORCH_CUDA_ALLOC=async */
static int asynchronous;
int rt_cuda_captures;
/* Note [Memory of graphs]: what is allocated while a graph is captured comes from the graph's own heap, and goes back there, so that a
 * replay finds its addresses free of anyone else's numbers. When the graph goes, its free blocks join the device's, and those still
 * held follow when they are freed. */
static Heap *capturing[RT_CUDA_MAX_DEVICES];
static CuHandle capturing_on[RT_CUDA_MAX_DEVICES];   /* only work of this stream, or of any while it is NULL */
/* Note [Blocks used on other streams]: record_stream names a stream that a block is used on besides its own. When it is freed, an
 * event is put behind that stream's work, and the block waits in `pending` until it has passed. */
typedef struct { CuPtr ptr; CuHandle stream; } Use;
typedef struct { CuPtr ptr; size_t got; CuHandle stream, event; Heap *heap; } Pending;
static Use *uses;
static Pending *pending;
static int nuses, uses_room, npending, pending_room;
static Block *owners;                                /* open addressing; ptr 0: free, 1: erased */
static size_t owners_room, owners_used;

static int push(List *list, CuPtr ptr, CuHandle stream) {
    if (list->n == list->room) {
        int room = list->room ? 2 * list->room : 8;
        Block *more = realloc(list->blocks, sizeof(Block) * (size_t)room);
        if (!more) return 0;
        list->blocks = more;
        list->room = room;
    }
    list->blocks[list->n].ptr = ptr;
    list->blocks[list->n++].stream = stream;
    return 1;
}
static size_t owner_slot(CuPtr ptr) { return (size_t)((ptr >> 9) * 0x9E3779B97F4A7C15ull >> 20) & (owners_room - 1); }
static void owner_put(CuPtr ptr, CuHandle stream, Heap *heap) {
    if (2 * (owners_used + 1) > owners_room) {
        Block *old = owners;
        size_t n = owners_room;
        owners_room = n ? 2 * n : 1024;
        owners = calloc(owners_room, sizeof(Block));
        if (!owners) abort();
        owners_used = 0;
        for (size_t i = 0; i < n; i++) if (old[i].ptr > 1) owner_put(old[i].ptr, old[i].stream, old[i].heap);
        free(old);
    }
    size_t i = owner_slot(ptr);
    while (owners[i].ptr > 1) i = (i + 1) & (owners_room - 1);
    if (owners[i].ptr == 0) owners_used++;
    owners[i].ptr = ptr;
    owners[i].stream = stream;
    owners[i].heap = heap;
}
static CuHandle owner_take(CuPtr ptr, Heap **heap) {             /* heap stays as it is for blocks of the device's own */
    if (!owners_room) return NULL;
    for (size_t i = owner_slot(ptr); owners[i].ptr; i = (i + 1) & (owners_room - 1))
        if (owners[i].ptr == ptr) {
            owners[i].ptr = 1;
            if (owners[i].heap && !owners[i].heap->closed) *heap = owners[i].heap;
            return owners[i].stream;
        }
    return NULL;
}
static int grow(void **array, int *room, int n, size_t size) {
    if (n < *room) return 1;
    void *more = realloc(*array, size * (size_t)(*room ? 2 * *room : 16));
    if (!more) return 0;
    *array = more;
    *room = *room ? 2 * *room : 16;
    return 1;
}

static void settle(int wait) {                       /* held: lock. Blocks whose streams have passed join their lists */
    for (int i = 0; i < npending; i++) {
        Pending p = pending[i];
        if (wait ? rt_cuda.event_synchronize(p.event) : rt_cuda.event_query(p.event)) continue;
        size_t size;
        rt_cuda.event_destroy(p.event);
        push(&p.heap->lists[rt_size_class(p.got, &size)], p.ptr, p.stream);
        pending[i--] = pending[--npending];
    }
}
static void trim_heap(Heap *h) {                     /* held: lock. Large blocks go back; slabs stay */
    for (int c = 0; c < RT_SIZE_CLASSES; c++) {
        List *list = &h->lists[c];
        if (!list->n) continue;
        size_t size = rt_class_size(c);
        if (size <= RT_SLAB / 2) continue;              /* cut from a slab */
        for (int i = 0; i < list->n; i++) { rt_cuda.mem_free(list->blocks[i].ptr); h->stats.reserved -= (int64_t)size; }
        list->n = 0;
    }
}
void rt_cuda_allocator(int is_asynchronous) { asynchronous = is_asynchronous; }
void rt_cuda_trim(int device) {
    if (rt_cuda_use(device)) return;
    rt_cuda.context_synchronize();
    rt_take(&lock);
    settle(1);
    trim_heap(&heaps[device]);
    if (pools[device]) rt_cuda.pool_trim(pools[device], 0);
    rt_give(&lock);
}
void rt_cuda_use_stream(int device, CuPtr ptr, CuHandle stream) {
    (void)device;
    rt_take(&lock);
    if (grow((void **)&uses, &uses_room, nuses, sizeof(Use))) { uses[nuses].ptr = ptr; uses[nuses++].stream = stream; }
    rt_give(&lock);
}

/* Note [Workspaces]: a library's kernels need room to work in, which is theirs for as long as they run: one block a stream, and one a
 * stream of each graph's heap, since a graph may be replayed beside anything. It lives as long as its heap; streams are kept and serve
 * again (Note [Streams are kept] in _backend.pyx), so there are no more blocks than streams at one time. */
typedef struct { CuPtr ptr; size_t size; CuHandle stream; Heap *heap; } Workspace;
static Workspace *workspaces;
static int nworkspaces, workspaces_room;
static CuPtr from_system(Heap *from, Heap *h, size_t size);
static void say_out_of_memory(int device, size_t nbytes);
int rt_cuda_workspace(int device, size_t nbytes, CuPtr *ptr) {
    CuHandle stream = rt_cuda_stream(device);
    Heap *home = &heaps[device], *from = home;
    size_t size;
    rt_size_class(nbytes, &size);
    *ptr = 0;
    rt_take(&lock);
    if (capturing[device] && (!capturing_on[device] || capturing_on[device] == stream)) from = capturing[device];
    for (int i = 0; i < nworkspaces; i++) {
        Workspace *w = &workspaces[i];
        if (w->heap == from && w->size >= nbytes && w->stream == stream) { *ptr = w->ptr; break; }
    }
    if (!*ptr && grow((void **)&workspaces, &workspaces_room, nworkspaces, sizeof(Workspace)) && (*ptr = from_system(from, home, size)))
        workspaces[nworkspaces++] = (Workspace){*ptr, size, stream, from};
    rt_give(&lock);
    if (!*ptr) say_out_of_memory(device, nbytes);
    return *ptr ? RT_OK : RT_ERR_MEMORY;
}
void *rt_cuda_new_heap(int device) {
    Heap *h = calloc(1, sizeof(Heap));
    if (h) h->device = device;
    return h;
}
void rt_cuda_drop_heap(void *heap) {
    Heap *h = heap, *home = &heaps[h->device];
    rt_take(&lock);
    h->closed = 1;                                   /* kept: blocks that are still held point here */
    for (int i = 0; i < nworkspaces; i++)
        if (workspaces[i].heap == h) {
            size_t size;
            push(&home->lists[rt_size_class(workspaces[i].size, &size)], workspaces[i].ptr, workspaces[i].stream);
            workspaces[i--] = workspaces[--nworkspaces];
        }
    for (int c = 0; c < RT_SIZE_CLASSES; c++) {
        for (int i = 0; i < h->lists[c].n; i++) push(&home->lists[c], h->lists[c].blocks[i].ptr, h->lists[c].blocks[i].stream);
        free(h->lists[c].blocks);
        memset(&h->lists[c], 0, sizeof(List));
    }
    rt_give(&lock);
}
void rt_cuda_capture_into(int device, void *heap, CuHandle stream) {
    rt_take(&lock);
    rt_cuda_captures += (heap != NULL) - (capturing[device] != NULL);
    capturing[device] = heap;
    capturing_on[device] = stream;
    rt_give(&lock);
}
void rt_cuda_stats(int device, RtCudaStats *out) { rt_take(&lock); *out = heaps[device].stats; rt_give(&lock); }
void rt_cuda_reset_peak(int device) {
    rt_take(&lock);
    heaps[device].stats.in_use_peak = heaps[device].stats.in_use;
    heaps[device].stats.reserved_peak = heaps[device].stats.reserved;
    rt_give(&lock);
}

static CuPtr from_system(Heap *from, Heap *h, size_t size) {     /* held: lock; h: the device's, which counts */
    CuPtr p = 0;
    int mode = CU_CAPTURE_RELAXED, inside = from != h;
    if (inside) rt_cuda.capture_mode(&mode);         /* the block is not part of the graph */
    int status = rt_cuda.mem_alloc(&p, size);
    if (status && !inside) {
        h->stats.retries++;
        rt_cuda.context_synchronize();
        settle(1);
        trim_heap(h);
        status = rt_cuda.mem_alloc(&p, size);
    }
    if (inside) rt_cuda.capture_mode(&mode);
    if (status) { if (status != CU_OUT_OF_MEMORY) rt_cuda_check(status, "cuMemAlloc"); return 0; }
    h->stats.reserved += (int64_t)size;
    if (h->stats.reserved > h->stats.reserved_peak) h->stats.reserved_peak = h->stats.reserved;
    return p;
}
static void say_out_of_memory(int device, size_t nbytes) {
    size_t free_bytes = 0, total = 0;
    RtCudaStats s;
    const char *u[5];
    rt_cuda.mem_info(&free_bytes, &total);
    rt_cuda_stats(device, &s);
    double want = rt_scaled((double)nbytes, &u[0]), all = rt_scaled((double)total, &u[1]), left = rt_scaled((double)free_bytes, &u[2]),
           used = rt_scaled((double)s.in_use, &u[3]), idle = rt_scaled((double)(s.reserved - s.in_use), &u[4]);
    snprintf(rt_cuda_error(), RT_CUDA_ERROR_ROOM, "CUDA out of memory. Tried to allocate %.2f %s. GPU %d has a total capacity of %.2f %s of which %.2f %s is free. "
             "Of the allocated memory %.2f %s is held by tensors, and %.2f %s is reserved by the allocator but unallocated (cuda.empty_cache() gives it back).",
             want, u[0], device, all, u[1], left, u[2], used, u[3], idle, u[4]);
}
static void *pool_alloc(int device, size_t nbytes, size_t *got) {        /* RUSTORCH_CUDA_ALLOC=async: the driver keeps the cache */
    CuPtr p = 0;
    Heap *h = &heaps[device];
    if (!pools[device]) {
        uint64_t all = UINT64_MAX;
        int handle = 0;
        if (rt_cuda_check(rt_cuda.device_get(&handle, device), "cuDeviceGet") ||
            rt_cuda_check(rt_cuda.pool_of_device(&pools[device], handle), "cuDeviceGetDefaultMemPool") ||
            rt_cuda_check(rt_cuda.pool_set(pools[device], CU_POOL_RELEASE_THRESHOLD, &all), "cuMemPoolSetAttribute")) return NULL;
    }
    int status = rt_cuda.mem_alloc_async(&p, nbytes, rt_cuda_stream(device));
    if (status) {
        if (status == CU_OUT_OF_MEMORY) say_out_of_memory(device, nbytes);
        else rt_cuda_check(status, "cuMemAllocAsync");
        return NULL;
    }
    rt_take(&lock);
    if (rt_cuda_stream(device)) owner_put(p, rt_cuda_stream(device), NULL);
    h->stats.allocs++;
    h->stats.in_use += (int64_t)nbytes;
    if (h->stats.in_use > h->stats.in_use_peak) h->stats.in_use_peak = h->stats.in_use;
    if (h->stats.in_use > h->stats.reserved) h->stats.reserved = h->stats.in_use;
    if (h->stats.reserved > h->stats.reserved_peak) h->stats.reserved_peak = h->stats.reserved;
    rt_give(&lock);
    *got = nbytes;
    return (void *)(uintptr_t)p;
}
void *rt_cuda_alloc(int code, size_t nbytes, size_t *got) {
    int device = RT_DEVICE_INDEX(code);
    size_t size;
    *rt_cuda_error() = 0;                            /* no text: out of memory */
    if (rt_cuda_use(device)) return NULL;
    if (nbytes > ((size_t)1 << 45)) { say_out_of_memory(device, nbytes); return NULL; }
    if (asynchronous) return pool_alloc(device, nbytes, got);
    int c = rt_size_class(nbytes, &size);
    CuHandle stream = rt_cuda_stream(device);
    Heap *h = &heaps[device], *from = h;
    CuPtr p = 0;
    rt_take(&lock);
    if (npending && !rt_cuda_captures) settle(0);     /* events are not asked while a graph is captured */
    if (capturing[device] && (!capturing_on[device] || capturing_on[device] == stream)) from = capturing[device];
    List *list = &from->lists[c];
    h->stats.allocs++;
    for (int i = list->n - 1; i >= 0; i--)
        if (list->blocks[i].stream == stream) { p = list->blocks[i].ptr; list->blocks[i] = list->blocks[--list->n]; h->stats.hits++; break; }
    if (!p && size > RT_SLAB / 2) p = from_system(from, h, size);
    else if (!p) {
        if (from->slab_left < size) {
            from->slab = from_system(from, h, RT_SLAB);
            from->slab_left = from->slab ? RT_SLAB : 0;
        }
        if (from->slab_left >= size) { p = from->slab; from->slab += size; from->slab_left -= size; }
    }
    if (p) {
        if (stream || from != h) owner_put(p, stream, from == h ? NULL : from);
        h->stats.in_use += (int64_t)size;
        if (h->stats.in_use > h->stats.in_use_peak) h->stats.in_use_peak = h->stats.in_use;
        *got = size;
    }
    rt_give(&lock);
    if (!p && !*rt_cuda_error()) say_out_of_memory(device, nbytes);
    return (void *)(uintptr_t)p;
}
void rt_cuda_free(int code, void *ptr, size_t got) {
    Heap *h = &heaps[RT_DEVICE_INDEX(code)];
    size_t size;
    int c = rt_size_class(got, &size);
    rt_take(&lock);
    h->stats.frees++;
    h->stats.in_use -= (int64_t)got;
    CuPtr p = (CuPtr)(uintptr_t)ptr;
    Heap *to = h;
    CuHandle stream = owner_take(p, &to), event = NULL;
    for (int i = 0; i < nuses; i++) {                /* Note [Blocks used on other streams]; a second one waits for the first */
        if (uses[i].ptr != p) continue;
        if (rt_cuda_lost() || asynchronous) { /* a driver's pool frees in the order of a stream: that stream waits for the other */ }
        else if (event) rt_cuda.stream_wait(uses[i].stream, event, 0);
        if (!rt_cuda_lost() && (event || !rt_cuda.event_create(&event, 2))) rt_cuda.event_record(event, uses[i].stream);
        uses[i--] = uses[--nuses];
    }
    if (asynchronous) {
        if (event) { rt_cuda.stream_wait(stream, event, 0); rt_cuda.event_destroy(event); }
        if (!rt_cuda_lost()) rt_cuda.mem_free_async(p, stream);
    } else if (event && grow((void **)&pending, &pending_room, npending, sizeof(Pending)))
        pending[npending++] = (Pending){p, got, stream, event, to};
    else push(&to->lists[c], p, stream);             /* without room for the list's entry the block is lost, not the program */
    rt_give(&lock);
}
