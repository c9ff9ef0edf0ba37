// types: T = raw
/* Elements read or written by index: gather, scatter, index_select, x[...], take, put. Arguments: indexed.h. */
#include "indexed.h"
RT_KERNEL(RT_NAME(index_get), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t to, from;
        if (rt_indexed(a, i, true, &to, &from)) ((T *)a.p[0])[to] = ((const T *)a.p[1])[from];
    }
}
RT_KERNEL(RT_NAME(index_set), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t to, from;
        if (rt_indexed(a, i, false, &to, &from)) ((T *)a.p[0])[to] = ((const T *)a.p[1])[from];
    }
}
