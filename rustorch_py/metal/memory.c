/* Memory of a Metal device, cached: blocks by size class, small ones cut from slabs (tensor/kernels/device_plan.h). A freed block may be handed out
 * while kernels that read it are under way: they run in order. A tensor's address is the host's view of memory that both share; kernels are given
 * the buffer that it lies in, found by address among the segments, which are kept in order. */
#include <stdio.h>
#include "launch.h"

typedef struct { char *at; size_t size; void *buffer; } Segment;
typedef struct { char **blocks; int n, room; } List;
typedef struct { List lists[RT_SIZE_CLASSES]; char *slab; size_t slab_left; Segment *segments; int nsegments, room; RtMetalStats stats; } Heap;
static Heap heaps[RT_METAL_MAX_DEVICES];
static atomic_flag lock = ATOMIC_FLAG_INIT;

static int place_of(const Heap *h, const char *ptr) {            /* held: lock. The last segment that does not begin behind ptr; -1: none */
    int from = 0, to = h->nsegments;
    while (from < to) {
        int mid = (from + to) / 2;
        if (h->segments[mid].at <= ptr) from = mid + 1;
        else to = mid;
    }
    return from - 1;
}
int rt_metal_operand(int device, const char *ptr, RtMetalOperand *out) {
    Heap *h = &heaps[device];
    rt_take(&lock);
    int i = place_of(h, ptr), found = i >= 0 && ptr < h->segments[i].at + h->segments[i].size;
    if (found) {
        out->buffer = h->segments[i].buffer;
        out->offset = (size_t)(ptr - h->segments[i].at);
    }
    rt_give(&lock);
    if (!found) snprintf(rt_metal.error(), RT_METAL_ERROR_ROOM, "Metal error: %p is not memory of device %d", (const void *)ptr, device);
    return found ? RT_OK : RT_ERR_DEVICE;
}
static char *from_system(int device, size_t size) {              /* held: lock */
    Heap *h = &heaps[device];
    char *at = NULL;
    if (h->nsegments == h->room) {
        int room = h->room ? 2 * h->room : 64;
        Segment *more = realloc(h->segments, sizeof(Segment) * (size_t)room);
        if (!more) return NULL;
        h->segments = more;
        h->room = room;
    }
    void *buffer = rt_metal.buffer(device, size, &at);
    if (!buffer) return NULL;
    int i = place_of(h, at) + 1;
    memmove(h->segments + i + 1, h->segments + i, sizeof(Segment) * (size_t)(h->nsegments - i));
    h->segments[i] = (Segment){at, size, buffer};
    h->nsegments++;
    h->stats.reserved += (int64_t)size;
    if (h->stats.reserved > h->stats.reserved_peak) h->stats.reserved_peak = h->stats.reserved;
    return at;
}
static void trim(int device) {                       /* held: lock. Large blocks go back; slabs stay */
    Heap *h = &heaps[device];
    for (int c = 0; c < RT_SIZE_CLASSES; c++) {
        List *list = &h->lists[c];
        if (!list->n || rt_class_size(c) <= RT_SLAB / 2) continue;
        for (int k = 0; k < list->n; k++) {
            int i = place_of(h, list->blocks[k]);
            rt_metal.drop(h->segments[i].buffer);
            h->stats.reserved -= (int64_t)h->segments[i].size;
            memmove(h->segments + i, h->segments + i + 1, sizeof(Segment) * (size_t)(--h->nsegments - i));
        }
        list->n = 0;
    }
}
void rt_metal_trim(int device) {
    rt_metal.drain(device);                          /* a command buffer keeps what it was given, but its memory counts until it is done */
    rt_take(&lock);
    trim(device);
    rt_give(&lock);
}
static void say_out_of_memory(int device, size_t nbytes) {
    RtMetalDevice about;
    RtMetalStats s;
    const char *u[4];
    if (rt_metal.describe(device, &about)) return;
    rt_metal_stats(device, &s);
    double want = rt_scaled((double)nbytes, &u[0]), used = rt_scaled((double)s.in_use, &u[1]), idle = rt_scaled((double)(s.reserved - s.in_use), &u[2]),
           most = rt_scaled((double)about.working_set, &u[3]);
    snprintf(rt_metal.error(), RT_METAL_ERROR_ROOM, "MPS backend out of memory. Tried to allocate %.2f %s on metal:%d. Tensors hold %.2f %s, %.2f %s is cached "
             "(metal.empty_cache() gives it back), and the device recommends at most %.2f %s.", want, u[0], device, used, u[1], idle, u[2], most, u[3]);
}
void *rt_metal_alloc(int code, size_t nbytes, size_t *got) {
    int device = RT_DEVICE_INDEX(code);
    size_t size;
    char *p = NULL;
    *rt_metal.error() = 0;
    if (device >= rt_metal.devices()) {
        snprintf(rt_metal.error(), RT_METAL_ERROR_ROOM, "Metal error: invalid device ordinal (%d of %d devices)", device, rt_metal.devices());
        return NULL;
    }
    if (nbytes > ((size_t)1 << 45)) { say_out_of_memory(device, nbytes); return NULL; }
    Heap *h = &heaps[device];
    int c = rt_size_class(nbytes, &size);
    for (int again = 0; again < 2 && !p; again++) {
        if (again) rt_metal_trim(device);            /* the cache goes back, then once more */
        rt_take(&lock);
        List *list = &h->lists[c];
        if (list->n) { p = list->blocks[--list->n]; h->stats.hits++; }
        else if (size > RT_SLAB / 2) p = from_system(device, size);
        else {
            if (h->slab_left < size) {
                h->slab = from_system(device, RT_SLAB);
                h->slab_left = h->slab ? RT_SLAB : 0;
            }
            if (h->slab_left >= size) { p = h->slab; h->slab += size; h->slab_left -= size; }
        }
        if (p) {
            h->stats.allocs++;
            h->stats.in_use += (int64_t)size;
            if (h->stats.in_use > h->stats.in_use_peak) h->stats.in_use_peak = h->stats.in_use;
            *got = size;
        }
        rt_give(&lock);
    }
    if (!p) say_out_of_memory(device, nbytes);
    return p;
}
void rt_metal_free(int code, void *ptr, size_t got) {
    Heap *h = &heaps[RT_DEVICE_INDEX(code)];
    size_t size;
    List *list = &h->lists[rt_size_class(got, &size)];
    rt_take(&lock);
    h->stats.frees++;
    h->stats.in_use -= (int64_t)got;
    if (list->n == list->room) {
        int room = list->room ? 2 * list->room : 8;
        char **more = realloc(list->blocks, sizeof(char *) * (size_t)room);
        if (more) { list->blocks = more; list->room = room; }
    }
    if (list->n < list->room) list->blocks[list->n++] = ptr;     /* without room for the list's entry the block is lost, not the program */
    rt_give(&lock);
}
void rt_metal_stats(int device, RtMetalStats *out) { rt_take(&lock); *out = heaps[device].stats; rt_give(&lock); }
void rt_metal_reset_peak(int device) {
    rt_take(&lock);
    heaps[device].stats.in_use_peak = heaps[device].stats.in_use;
    heaps[device].stats.reserved_peak = heaps[device].stats.reserved;
    rt_give(&lock);
}
