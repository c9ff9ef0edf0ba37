/* Page-locked memory of the host, cached: the driver takes milliseconds to lock pages. Blocks are powers of two; a freed one that copies
 * without waiting have touched is handed out again when the streams they ran on have passed. Few blocks are expected, so they stand in
 * one list. */
#include <stdatomic.h>
#include <stdlib.h>
#include "launch.h"

typedef struct Host { char *ptr; size_t size; int used, marked; CuHandle event; struct Host *next; } Host;
static Host *hosts;
static atomic_flag lock = ATOMIC_FLAG_INIT;
static void take(void) { while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) {} }
static void give(void) { atomic_flag_clear_explicit(&lock, memory_order_release); }

static int passed(Host *h) {                         /* its copies are done */
    if (h->marked && (rt_cuda_captures || rt_cuda.event_query(h->event))) return 0;
    h->marked = 0;
    return 1;
}
static Host *holder(const void *ptr, size_t nbytes) {
    for (Host *h = hosts; h; h = h->next)
        if ((const char *)ptr >= h->ptr && (const char *)ptr + nbytes <= h->ptr + h->size) return h;
    return NULL;
}
void *rt_cuda_host_alloc(size_t nbytes) {
    size_t size = 512;
    while (size < nbytes) size *= 2;
    take();
    for (Host *h = hosts; h; h = h->next)
        if (!h->used && h->size == size && passed(h)) { h->used = 1; give(); return h->ptr; }
    give();
    void *p = NULL;
    Host *h = calloc(1, sizeof *h);
    if (!h || rt_cuda_check(rt_cuda.host_alloc(&p, size, 1), "cuMemHostAlloc")) { free(h); return NULL; }      /* for all contexts */
    h->ptr = p; h->size = size; h->used = 1;
    take();
    h->next = hosts;
    hosts = h;
    give();
    return p;
}
void rt_cuda_host_free(void *ptr) {
    take();
    for (Host *h = hosts; h; h = h->next) if (h->ptr == ptr) h->used = 0;
    give();
}
int rt_cuda_host_holds(const void *ptr, size_t nbytes) {
    take();
    int found = holder(ptr, nbytes) != NULL;
    give();
    return found;
}
int rt_cuda_host_used(const void *ptr, size_t nbytes, CuHandle stream) {
    take();
    Host *h = holder(ptr, nbytes);
    if (h && (h->event || !rt_cuda.event_create(&h->event, 2))) {
        if (h->marked) rt_cuda.stream_wait(stream, h->event, 0);         /* one event stands for all streams */
        h->marked = 1;
        rt_cuda.event_record(h->event, stream);
    } else h = NULL;
    give();
    return h != NULL;
}
void rt_cuda_host_trim(void) {
    take();
    for (Host **at = &hosts; *at;) {
        Host *h = *at;
        if (h->used || !passed(h)) { at = &h->next; continue; }
        *at = h->next;
        if (h->event) rt_cuda.event_destroy(h->event);
        rt_cuda.host_free(h->ptr);
        free(h);
    }
    give();
}
void rt_cuda_host_stats(int64_t *in_use, int64_t *reserved) {
    *in_use = *reserved = 0;
    take();
    for (Host *h = hosts; h; h = h->next) { *reserved += (int64_t)h->size; *in_use += h->used ? (int64_t)h->size : 0; }
    give();
}
