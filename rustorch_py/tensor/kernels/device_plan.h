/* What launchers of devices (cuda/, metal/) share: which kernel a launch needs, the table that finds it, size classes of memory, and how
 * dimensions are prepared for kernels. */
#ifndef RT_DEVICE_PLAN_H
#define RT_DEVICE_PLAN_H
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "rustorch/backend.h"
#include "divisor.h"

/* Held for a few loads and stores. */
static inline void rt_take(atomic_flag *lock) { while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire)) {} }
static inline void rt_give(atomic_flag *lock) { atomic_flag_clear_explicit(lock, memory_order_release); }

/* ---- kernels by key ---- */
/* Which kernel: the cache's key, and what its text is printed from. Never a shape. */
enum { RT_KEY_ROW = 0, RT_KEY_CAST = 1, RT_KEY_FILL = 2, RT_KEY_REDUCE = 3, RT_KEY_COMBINE = 4, RT_KEY_PRODUCT = 5, RT_KEY_SMALL = 6 };
enum { RT_MODE_DENSE = 0, RT_MODE_STRIDED = 1, RT_MODE_TILE = 2 };      /* of elementwise kernels and copies; of reductions: 0 lines, 1 across */
typedef struct {
    uint8_t kind, device, loop, nargs;
    uint16_t id;                    /* ROW: kernel id; REDUCE: row; FILL: bytes */
    uint8_t mode, vector, moving;   /* vector: elements of a pack; moving: bit a, operand a is dense along packs (else it stays) */
    uint8_t dtype[8];
    uint8_t host;                   /* bit a: operand a came with the call */
    uint8_t unused[6];
} RtKey;
_Static_assert(sizeof(RtKey) == 24, "a key is three words");

typedef struct { RtKey key; _Atomic(void *) function; } RtTableEntry;       /* function: stored last, so that who sees it sees the key */
typedef struct RtTable { size_t room, used; RtTableEntry entries[]; } RtTable;
typedef _Atomic(RtTable *) RtTableSlot;               /* grown by copying; old ones stay readable (and are kept) */

static inline uint64_t rt_hash_key(const RtKey *key) {
    uint64_t w[3], h = 0x9E3779B97F4A7C15ull;
    memcpy(w, key, sizeof w);
    for (int i = 0; i < 3; i++) { h = (h ^ w[i]) * 0xD6E8FEB86659FD93ull; h ^= h >> 32; }
    return h;
}
static inline void *rt_table_lookup(const RtTable *t, const RtKey *key) {
    if (!t) return NULL;
    void *function;
    for (size_t i = rt_hash_key(key) & (t->room - 1); (function = atomic_load_explicit(&t->entries[i].function, memory_order_acquire)); i = (i + 1) & (t->room - 1))
        if (!memcmp(&t->entries[i].key, key, sizeof *key)) return function;
    return NULL;
}
static inline void rt_table_insert(RtTable *t, const RtKey *key, void *function) {
    size_t i = rt_hash_key(key) & (t->room - 1);
    while (t->entries[i].function) i = (i + 1) & (t->room - 1);
    t->entries[i].key = *key;
    atomic_store_explicit(&t->entries[i].function, function, memory_order_release);
    t->used++;
}
/* the kernel of a key, which `build` makes where the table has none; 0 or an RtStatus */
static inline int rt_table_find(RtTableSlot *table, atomic_flag *lock, int (*build)(const RtKey *, void **), const RtKey *key, void **function) {
    if ((*function = rt_table_lookup(atomic_load_explicit(table, memory_order_acquire), key))) return RT_OK;
    int status = build(key, function);
    if (status) return status;
    rt_take(lock);
    RtTable *t = atomic_load(table);
    if (!rt_table_lookup(t, key)) {
        if (!t || 2 * (t->used + 1) > t->room) {
            size_t room = t ? 2 * t->room : 256;
            RtTable *more = calloc(1, sizeof(RtTable) + room * sizeof(RtTableEntry));
            if (!more) { rt_give(lock); return RT_ERR_MEMORY; }
            more->room = room;
            for (size_t i = 0; t && i < t->room; i++) if (t->entries[i].function) rt_table_insert(more, &t->entries[i].key, t->entries[i].function);
            t = more;
        }
        rt_table_insert(t, key, *function);
        atomic_store_explicit(table, t, memory_order_release);
    }
    rt_give(lock);
    return RT_OK;
}

/* ---- memory: size classes, multiples of 512 bytes up to 4 KiB, then eight a doubling; what is small is cut from slabs ---- */
#define RT_SIZE_CLASSES 400
#define RT_SLAB ((size_t)2 << 20)
static inline int rt_size_class(size_t n, size_t *size) {
    if (n <= 4096) {
        size_t c = n ? (n + 511) / 512 : 1;
        *size = c * 512;
        return (int)c;
    }
    int e = 63 - __builtin_clzll((unsigned long long)(n - 1));
    size_t step = (size_t)1 << (e - 3), k = (n - ((size_t)1 << e) + step - 1) / step;
    *size = ((size_t)1 << e) + k * step;
    return 9 + (e - 12) * 8 + (int)k;
}
static inline size_t rt_class_size(int c) {
    if (c <= 8) return (size_t)c * 512;
    int e = 12 + (c - 10) / 8;
    return ((size_t)1 << e) + (size_t)(1 + (c - 10) % 8) * ((size_t)1 << (e - 3));
}
/* a number of bytes for people: the number, and its unit */
static inline double rt_scaled(double bytes, const char **unit) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    while (bytes >= 1024 && u < 4) { bytes /= 1024; u++; }
    *unit = units[u];
    return bytes;
}

/* ---- dimensions ---- */
static inline RtDivisor rt_divisor(int64_t size) {
    RtDivisor by = {0, 0};
    while (by.shift < 32 && ((int64_t)1 << by.shift) < size) by.shift++;
    by.magic = (uint32_t)((((uint64_t)1 << 32) * (((uint64_t)1 << by.shift) - (uint64_t)size)) / (uint64_t)size + 1);
    return by;
}
/* a dimension of a reduction, put in the order of its steps; rt_merge_dims joins those that move together */
static inline void rt_add_dim(int32_t *n, int64_t *size, int64_t *in, int64_t *out, int64_t s, int64_t i, int64_t o) {
    if (s == 1) return;
    int at = (*n)++;
    for (; at > 0 && llabs(in[at - 1]) > llabs(i); at--) { size[at] = size[at - 1]; in[at] = in[at - 1]; if (out) out[at] = out[at - 1]; }
    size[at] = s;
    in[at] = i;
    if (out) out[at] = o;
}
static inline void rt_merge_dims(int32_t *n, int64_t *size, int64_t *in, int64_t *out) {
    int m = 0;
    for (int d = 1; d < *n; d++) {
        if (in[d] == in[m] * size[m] && (!out || out[d] == out[m] * size[m])) { size[m] *= size[d]; continue; }
        m++;
        size[m] = size[d]; in[m] = in[d];
        if (out) out[m] = out[d];
    }
    if (*n) *n = m + 1;
}
static inline int64_t rt_at_least_1(int64_t n) { return n < 1 ? 1 : n; }
#endif
