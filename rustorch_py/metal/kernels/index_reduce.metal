// types: T = i32 f32
/* Elements added into places given by index, in the place of CUDA's file of that name. Places may meet, so each sum is one step; of floats it depends on
 * the order of arrival. */
#include "indexed.h"
RT_INLINE void add_at(device int32_t *p, int32_t v) { atomic_fetch_add_explicit((device atomic_int *)p, v, memory_order_relaxed); }
RT_INLINE void add_at(device float *p, float v) {
    device atomic_uint *word = (device atomic_uint *)p;
    uint seen = atomic_load_explicit(word, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(word, &seen, as_type<uint>(as_type<float>(seen) + v), memory_order_relaxed, memory_order_relaxed)) {}
}
RT_KERNEL(RT_NAME(index_add), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t to, from;
        if (rt_indexed(a, i, false, &to, &from)) add_at((T *)a.p[0] + to, ((const T *)a.p[1])[from]);
    }
}
