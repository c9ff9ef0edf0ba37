// types: T = b8 ints floats
/* Places in sorted sequences. */
#include "block.h"
#include "keys.h"
RT_DEFINE_KEY(U, RT_NAME(key))

/* p: places (int64), sequences (rows, L), what sorts them (int64) or NULL, values (rows, m); n: values in all, m, L, rows differ, right */
RT_KERNEL(RT_NAME(search), RtCall) {
    RT_EACH(i, a.n[0]) {
        const int64_t L = a.n[2], row = a.n[3] ? i / a.n[1] : 0;
        const T *seq = (const T *)a.p[1] + row * L;
        const int64_t *sorter = a.p[2] ? (const int64_t *)a.p[2] + row * L : 0;
        const T_C v = T_GET(((const T *)a.p[3])[i]);
        int64_t lo = 0, len = L;
        while (len > 0) {
            const int64_t half = len >> 1, at = lo + half;
            const T_C x = T_GET(seq[sorter ? sorter[at] : at]);
            if (x > v || (!a.n[4] && x == v)) len = half;
            else {                                  /* a NaN value goes to the end */
                lo = at + 1;
                len -= half + 1;
            }
        }
        ((int64_t *)a.p[0])[i] = lo;
    }
}

/* p: answers (bool), values, a sorted row; n: values, elements of the row, invert */
RT_KERNEL(RT_NAME(member), RtCall) {
    const T *sorted = (const T *)a.p[2];
    RT_EACH(i, a.n[0]) {
        const U key = RT_NAME(key)(((const T *)a.p[1])[i]);
        int64_t lo = 0, hi = a.n[1];
        while (lo < hi) {
            const int64_t mid = lo + (hi - lo) / 2;
            if (RT_NAME(key)(sorted[mid]) < key) lo = mid + 1;
            else hi = mid;
        }
        const bool found = lo < a.n[1] && RT_NAME(key)(sorted[lo]) == key && !RT_NAN_KEY(U, key);
        ((rt_bool *)a.p[0])[i] = (rt_bool)(found != (a.n[2] != 0));
    }
}
