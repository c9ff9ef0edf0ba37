"""Products of vectors: kernels/dot.cuh. Those of matrices are the back end's (blaslt.c, launch.c)."""
from ...tensor import bfloat16, empty, float16, float32
from ...tensor._devices import provide
from .._backend import launch

MOST = 1024                   # blocks; as many on every device, so that sums are the same


def dot(out, x, y, conj):
    """Write the sum of products of two vectors to out, a 0-dim tensor; x is conjugated where asked."""
    n, types = x.numel(), (x.dtype,)
    ints = n, x.stride(0), y.stride(0), int(conj), int(x.stride(0) == y.stride(0) == 1 and (x.data_ptr() | y.data_ptr()) % 16 == 0)
    blocks = max(1, min(MOST, n >> 13))
    if blocks == 1:
        launch("dot.cuh", "dot", types, (out, x, y), ints, grid=1)
        return
    sums = empty(blocks, dtype=float32 if x.dtype in (float16, bfloat16) else x.dtype, device=x.device)
    launch("dot.cuh", "dot", types, (sums, x, y), ints, grid=blocks)
    launch("dot.cuh", "dot_total", types, (out, sums), (blocks,), grid=1)


provide("cuda", {"dot": dot})
