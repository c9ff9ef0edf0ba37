// types: T = all
/* Elements reduced into places given by index; places may meet, so each step is atomic. Arguments: indexed.h. */
#include "indexed.h"
#include "atomic.h"
#define RT_REDUCE_AT(NAME, ...)                                                  \
    RT_KERNEL(NAME, RtCall) {                                                    \
        RT_EACH(i, a.n[0]) {                                                     \
            int64_t to, from;                                                    \
            if (!rt_indexed(a, i, false, &to, &from)) continue;                  \
            T *place = (T *)a.p[0] + to;                                         \
            const T v = ((const T *)a.p[1])[from];                               \
            __VA_ARGS__;                                                         \
        }                                                                        \
    }
#if T_BOOL
RT_REDUCE_AT(RT_NAME(index_add), rt_atomic_or(place, v))
#else
RT_REDUCE_AT(RT_NAME(index_add), rt_atomic_add(place, v))
#endif
#if T_SIZE <= 8
RT_REDUCE_AT(RT_NAME(index_mul), rt_atomic(place, [=](T o) -> T { return T_PUT(T_GET(o) * T_GET(v)); }))
#endif
#if T_KIND != 3
RT_REDUCE_AT(RT_NAME(index_max), rt_atomic(place, [=](T o) -> T { return T_PUT(T_F(maximum)(T_GET(o), T_GET(v))); }))
RT_REDUCE_AT(RT_NAME(index_min), rt_atomic(place, [=](T o) -> T { return T_PUT(T_F(minimum)(T_GET(o), T_GET(v))); }))
#endif
#undef RT_REDUCE_AT
