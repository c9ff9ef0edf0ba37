// types:
/* A few bytes that came with the launch: what the host copies to the device without waiting. p: to; n: bytes, then these. */
RT_KERNEL(RT_NAME(put), RtCall) {
    const char *from = (const char *)(a.n + 1);
    RT_EACH(i, a.n[0]) a.p[0][i] = from[i];
}
