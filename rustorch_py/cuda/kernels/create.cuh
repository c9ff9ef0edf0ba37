// types: T = numbers
/* Tensors made of numbers. p: to; n: elements, step of `to`, then as each kernel says; k: numbers of a float's. */

/* n: start, step of whole numbers; k: start, step */
RT_KERNEL(RT_NAME(arange), RtCall) {
    RT_EACH(i, a.n[0]) {
#if T_KIND == 2
        ((T *)a.p[0])[i * a.n[1]] = T_PUT((T_C)(a.k[0] + (double)i * a.k[1]));
#else
        ((T *)a.p[0])[i * a.n[1]] = (T)(a.n[2] + i * a.n[3]);
#endif
    }
}

/* from both ends, so that both are exact. k: start, end, distance, base of the exponents or 0 */
RT_KERNEL(RT_NAME(spaced), RtCall) {
    const int64_t half = a.n[0] / 2;
    RT_EACH(i, a.n[0]) {
        double v = a.n[0] == 1 || i < half ? a.k[0] + (double)i * a.k[2] : a.k[1] - (double)(a.n[0] - 1 - i) * a.k[2];
        if (a.k[3] != 0) v = rt_pow_f64(a.k[3], v);
#if T_KIND == 2
        ((T *)a.p[0])[i * a.n[1]] = T_PUT((T_C)v);
#else
        ((T *)a.p[0])[i * a.n[1]] = (T)rt_to_i64(v);
#endif
    }
}
