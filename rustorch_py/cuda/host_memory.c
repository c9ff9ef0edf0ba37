/* Page-locked memory of the host, cached: the driver takes milliseconds to lock pages. Blocks are powers of two; a freed one that copies
 * without waiting have touched is handed out again when the streams they ran on have passed. Few blocks are expected, so they stand in
 * one list. */
#include <stdlib.h>
#include "launch.h"

typedef struct Host { char *ptr; size_t size; int used, marked; CuHandle event; struct Host *next; } Host;
static Host *hosts;
static atomic_flag lock = ATOMIC_FLAG_INIT;

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
    rt_take(&lock);
    for (Host *h = hosts; h; h = h->next)
        if (!h->used && h->size == size && passed(h)) { h->used = 1; rt_give(&lock); return h->ptr; }
    rt_give(&lock);
    void *p = NULL;
    Host *h = calloc(1, sizeof *h);
    if (!h || rt_cuda_check(rt_cuda.host_alloc(&p, size, 1), "cuMemHostAlloc")) { free(h); return NULL; }      /* for all contexts */
    h->ptr = p; h->size = size; h->used = 1;
    rt_take(&lock);
    h->next = hosts;
    hosts = h;
    rt_give(&lock);
    return p;
}
void rt_cuda_host_free(void *ptr) {
    rt_take(&lock);
    for (Host *h = hosts; h; h = h->next) if (h->ptr == ptr) h->used = 0;
    rt_give(&lock);
}
int rt_cuda_host_holds(const void *ptr, size_t nbytes) {
    rt_take(&lock);
    int found = holder(ptr, nbytes) != NULL;
    rt_give(&lock);
    return found;
}
int rt_cuda_host_used(const void *ptr, size_t nbytes, CuHandle stream) {
    rt_take(&lock);
    Host *h = holder(ptr, nbytes);
    if (h && (h->event || !rt_cuda.event_create(&h->event, 2))) {
        if (h->marked) rt_cuda.stream_wait(stream, h->event, 0);         /* one event stands for all streams */
        h->marked = 1;
        rt_cuda.event_record(h->event, stream);
    } else h = NULL;
    rt_give(&lock);
    return h != NULL;
}
void rt_cuda_host_trim(void) {
    rt_take(&lock);
    for (Host **at = &hosts; *at;) {
        Host *h = *at;
        if (h->used || !passed(h)) { at = &h->next; continue; }
        *at = h->next;
        if (h->event) rt_cuda.event_destroy(h->event);
        rt_cuda.host_free(h->ptr);
        free(h);
    }
    rt_give(&lock);
}
void rt_cuda_host_stats(int64_t *in_use, int64_t *reserved) {
    *in_use = *reserved = 0;
    rt_take(&lock);
    for (Host *h = hosts; h; h = h->next) { *reserved += (int64_t)h->size; *in_use += h->used ? (int64_t)h->size : 0; }
    rt_give(&lock);
}
