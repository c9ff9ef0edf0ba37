// types:
/* Special functions that are not rows of the table, in double: the CPU's own text. */
#include "bessel.c"

/* p: out, x; n: elements, which (bessel.h) */
RT_KERNEL(RT_NAME(bessel), RtCall) {
    RT_EACH(i, a.n[0]) ((double *)a.p[0])[i] = bessel((int)a.n[1], ((const double *)a.p[1])[i]);
}

/* p: out, x, y; n: elements, which; k: limit of Hermite's degrees */
RT_KERNEL(RT_NAME(special2), RtCall) {
    RT_EACH(i, a.n[0]) ((double *)a.p[0])[i] = special2((int)a.n[1], ((const double *)a.p[1])[i], ((const double *)a.p[2])[i], a.k[0]);
}
