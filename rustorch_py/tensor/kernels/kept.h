/* What kernels keep of an operand from call to call: a weight's packed form.
 *
 * Note [Kept operands]
 * Packing a weight of a layer costs some ten multiply-adds an element in each call. Where nothing is recorded the packed form is kept with the
 * weight's storage and dies with it. It may not outlive a write, so it is good only while
 *   - the storage's count of writes is what it was: every write through a tensor raises it, those of `.data`, detached tensors and views too;
 *   - nobody outside holds the address: `data_ptr`, `numpy()`, DLPack and the like bar a storage for good, a buffer (`memoryview`) while it is
 *     held (it counts as a write at its end); memory that is borrowed or shared between processes is never asked;
 *   - address, shape, strides, dtype and instruction set are those of the key.
 * A first use leaves a mark, the second one with nothing written between them packs: a weight that is written after each use costs nothing, and
 * one that is used once no memory. The kept loop adds in the same order as the one that packs, so results are the same bits.
 * All of this runs with the interpreter's lock held; `users` keeps a form alive whose storage another thread writes to while it is read. */
#ifndef RUSTORCH_KERNELS_KEPT_H
#define RUSTORCH_KERNELS_KEPT_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RT_KEPT_KEY 8

typedef struct {
    int64_t  key[RT_KEPT_KEY];           /* kind, instruction set and dtype, address, shape, strides */
    uint64_t writes;                     /* of the storage, when `data` was made or the mark was left */
    int      users, dropped;
    void    *data;                       /* NULL: a mark */
} RtKept;

static inline void rt_kept_free(void *slot) {
    RtKept *kept = slot;
    if (!kept) return;
    if (kept->users) { kept->dropped = 1; return; }
    free(kept->data);
    free(kept);
}

static inline void rt_kept_done(RtKept *kept) {
    if (--kept->users == 0 && kept->dropped) rt_kept_free(kept);
}

/* The form to read, to be given back to rt_kept_done(); NULL: there is none. Then `make` tells whether to make it. */
static inline RtKept *rt_kept_find(void **slot, const int64_t *key, uint64_t writes, int *make) {
    RtKept *kept = *slot;
    *make = 0;
    if (kept && kept->writes == writes && !memcmp(kept->key, key, sizeof kept->key)) {
        if (!kept->data) { *make = 1; return NULL; }
        kept->users++;
        return kept;
    }
    if (!kept || kept->data) {                            /* old: a mark in its place */
        rt_kept_free(kept);
        if (!(*slot = kept = calloc(1, sizeof *kept))) return NULL;
    }
    memcpy(kept->key, key, sizeof kept->key);
    kept->writes = writes;
    return NULL;
}

/* Puts what was made in the mark's place, if the mark is still there; else frees it. Returns the form as rt_kept_find() does. */
static inline RtKept *rt_kept_put(void **slot, const int64_t *key, uint64_t writes, void *data) {
    RtKept *kept = *slot;
    if (!kept || kept->data || kept->writes != writes || memcmp(kept->key, key, sizeof kept->key)) { free(data); return NULL; }
    kept->data = data;
    kept->users++;
    return kept;
}
#endif
