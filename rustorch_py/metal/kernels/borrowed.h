/* Before a kernel of cuda/kernels (Note [Borrowed kernels] in metal/_text.py): what it is given, in the shape that its text reads. */
struct RtCall {
    device char *p[16];
    constant int64_t *n;
    constant float *k;
    int64_t what;
    device int64_t *fault;
    uint3 thread_at, block_at, block_size, grid_size;
};
#define threadIdx a.thread_at
#define blockIdx a.block_at
#define blockDim a.block_size
#define gridDim a.grid_size
#define RT_EACH(i, n) for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)
/* report index, which is not one of size elements; the kernel leaves the element alone and goes on */
RT_INLINE void rt_bad_index(thread const RtCall &a, int64_t index, int64_t size) { rt_report(a.fault, a.what, index, size); }
