// types:
/* p: 1 / scale (float64, rounded to float32 first, as PyTorch's), scale */
RT_KERNEL(RT_NAME(inverse_scale), RtCall) {
    if (threadIdx.x == 0) *(double *)a.p[0] = (double)(float)(1.0 / (double)*(const float *)a.p[1]);
}
/* The scale of a loss after a step (Micikevicius et al., Mixed precision training, 2018, 3.2). p: scale (float32), steps since it
 * changed (int32), not 0 where a gradient was not finite (float32); n: steps to the next growth; k: growth, backoff. */
RT_KERNEL(RT_NAME(update_scale), RtCall) {
    if (blockIdx.x || threadIdx.x) return;
    float *scale = (float *)a.p[0];
    int32_t *steps = (int32_t *)a.p[1];
    if (*(const float *)a.p[2] != 0) {
        *scale = (float)(*scale * a.k[1]);
        *steps = 0;
    } else if (++*steps == (int32_t)a.n[0]) {
        const float grown = (float)(*scale * a.k[0]);
        if (grown - grown == 0) *scale = grown;
        *steps = 0;
    }
}
