// types: T = raw
/* Elements moved or filled by their places. p: dst, then src, or mask and value; n: elements, then what each kernel says. */
#include "block.h"

/* dst and src of any steps, negative ones too; n[1]: dimensions, n[2...]: of each size, step of dst, of src */
RT_KERNEL(RT_NAME(move), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t at[2];
        rt_offsets<2>(i, a.n[1], a.n + 2, at);
        ((T *)a.p[0])[at[0]] = ((const T *)a.p[1])[at[1]];
    }
}

/* dst = *p[2] where the mask p[1] is true; n as above */
RT_KERNEL(RT_NAME(fill), RtCall) {
    const T value = *(const T *)a.p[2];
    RT_EACH(i, a.n[0]) {
        int64_t at[2];
        rt_offsets<2>(i, a.n[1], a.n + 2, at);
        if (((const rt_bool *)a.p[1])[at[1]]) ((T *)a.p[0])[at[0]] = value;
    }
}

/* matrices of n[1] rows and n[2] columns without what is above (n[4] = 0) or below (1) diagonal n[3]; dst may be src */
RT_KERNEL(RT_NAME(triangle), RtCall) {
    const T *src = (const T *)a.p[1];
    T none;
    memset(&none, 0, sizeof none);
    RT_EACH(i, a.n[0]) {
        int64_t row, matrix;
        const int64_t column = rt_divide(i, a.n[2], &row), gap = column - rt_divide(row, a.n[1], &matrix);
        ((T *)a.p[0])[i] = (a.n[4] ? gap >= a.n[3] : gap <= a.n[3]) ? src[i] : none;
    }
}
