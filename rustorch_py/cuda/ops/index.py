"""Elements moved by index."""
from ...errors import UnsupportedOpError
from ...tensor._devices import provide
from .._backend import launch
from .._text import RAW

GET, SET = 0, 1                                                    # kernels/index.h


def gather(dst, src, index, op, dim, size):
    """Gather or scatter: `index` (int64) replaces dimension `dim`, whose size is `size`, of src (GET) or of dst."""
    if not index.numel():
        return
    if op not in (GET, SET):
        raise UnsupportedOpError("scatter: no kernel yet")
    dims = [number for d in zip(index.shape, dst.stride(), src.stride(), index.stride()) for number in d] or [1, 0, 0, 0]
    launch("index.cuh", "gather" if op == GET else "scatter", (RAW[dst.dtype.itemsize],), (dst, src, index),
           (index.numel(), max(index.ndim, 1), dim, size, *dims))


provide("cuda", {"gather": gather})
