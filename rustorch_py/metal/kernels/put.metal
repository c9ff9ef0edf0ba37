// types:
/* Note [Writes of the host] in launch.c: a[0] bytes, which begin behind two words, to memory of the device. */
kernel void RT_NAME(put)(device char *to [[buffer(0)]], constant int64_t *a [[buffer(1)]], uint at [[thread_position_in_grid]]) {
    if (at < a[0]) to[at] = ((constant char *)(a + 2))[at];
}
