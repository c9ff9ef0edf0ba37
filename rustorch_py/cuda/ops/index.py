"""Elements moved by index, mask or geometry; rows of embedding tables."""
from ...errors import UnsupportedOpError
from ...tensor import int64
from ...tensor._devices import provide
from .._backend import launch
from .._text import RAW
from ._layout import merged, numbers, packed

GET, SET, ADD, MUL, MAX, MIN = range(6)                            # tensor/kernels/index.h
REDUCE = {ADD: "add", MUL: "mul", MAX: "max", MIN: "min"}
MAX_INDICES = 14                                                   # RT_CALL_POINTERS less two


def index(dst, src, op, shape, dst_steps, src_steps, index_steps, indices, sizes, steps, wrap):
    """Read (GET) from src, or write or reduce into dst, at places that index tensors give.

    Args:
        dst, src: tensors; their first elements count.
        shape: of what is walked over, with the steps of dst, src (0 where indexed) and the indices along each dimension, in elements.
        indices: int64 tensors, all with index_steps.
        sizes, steps: of the dimension of src (GET) or dst that each index stands for.
        wrap: negative indices count from the end.
    """
    if len(indices) > MAX_INDICES:
        raise UnsupportedOpError(f"index: at most {MAX_INDICES} index tensors on {dst.device}, got {len(indices)}", op="index")
    rows = merged(shape, dst_steps, src_steps, index_steps)
    item = dst.dtype.itemsize
    if op in (GET, SET):                                           # whole pieces of rows move as wider elements
        rows, steps, item = packed(rows, item, steps, (dst, src))
        kernel, file, types = ("index_get" if op == GET else "index_set"), "index.cuh", (RAW[item],)
    else:
        if op == MUL and item == 16 or op in (MAX, MIN) and dst.dtype.is_complex:
            raise UnsupportedOpError(f"{REDUCE[op]} by index is not available for {dst.dtype} on {dst.device}", op="scatter_reduce")
        kernel, file, types = "index_" + REDUCE[op], "index_reduce.cuh", (dst.dtype,)
    count = 1
    for row in rows:
        count *= row[0]
    launch(file, kernel, types, (dst, src, *indices),
           (count, len(rows), len(indices), int(wrap), *[n for pair in zip(sizes, steps) for n in pair], *numbers(rows)))


def gather(dst, src, index_, op, dim, size):
    """Gather or scatter: `index_` (int64) replaces dimension `dim`, whose size is `size`, of src (GET) or of dst."""
    if not index_.numel():
        return
    dst_steps, src_steps, nd = list(dst.stride()), list(src.stride()), index_.ndim
    side = src_steps if op == GET else dst_steps
    step = side[dim] if nd else 0
    if nd:
        side[dim] = 0
    index(dst, src, op, index_.shape, dst_steps[:nd], src_steps[:nd], index_.stride(), (index_,), (size,), (step,), False)


def move(dst, start, src_steps):
    """dst <- the elements from `start` on, by steps of any sign."""
    rows = merged(dst.shape, dst.stride(), src_steps)
    launch("move.cuh", "move", (RAW[dst.dtype.itemsize],), (dst, start), (dst.numel(), len(rows), *numbers(rows)))


def fill(dst, mask, value, mask_steps):
    """dst = value (one element on the device) where the mask is true."""
    rows = merged(dst.shape, dst.stride(), mask_steps)
    launch("move.cuh", "fill", (RAW[dst.dtype.itemsize],), (dst, mask, value), (dst.numel(), len(rows), *numbers(rows)))


def triangle(dst, src, upper, k):
    """Contiguous matrices without what is above (or with `upper` below) diagonal k."""
    launch("move.cuh", "triangle", (RAW[dst.dtype.itemsize],), (dst, src), (dst.numel(), dst.shape[-2], dst.shape[-1], k, int(upper)))


PIECE = 4096                                                       # kernels/nonzero.cuh: 256 threads of 16 elements


def nonzero(mask):
    """(n, dimensions) coordinates of a contiguous mask's true elements; waits for the device to tell n."""
    n, nd = mask.numel(), mask.ndim
    pieces = (n + PIECE - 1) // PIECE
    counts = mask.new_empty(pieces + 1, dtype=int64)
    if not pieces:
        return counts.new_empty((0, nd))
    launch("nonzero.cuh", "count", (), (mask, counts), (n, pieces), grid=pieces)
    launch("nonzero.cuh", "before", (), (mask, counts), (n, pieces), grid=1)
    out = counts.new_empty((counts[pieces].item(), nd))
    if out.numel():
        launch("nonzero.cuh", "places", (), (mask, counts, out), (n, pieces, nd, *mask.shape), grid=pieces)
    return out


def embedding_add(table, g, index_, factor, skip):
    """table (zeros) += rows of g (contiguous) at index_, each times its factor; index `skip` is left out."""
    launch("embedding.cuh", "add_rows", (table.dtype,), (table, g, index_, factor), (g.numel(), table.shape[1], table.shape[0], skip))


def embedding_bag(out, table, index_, start, factor, count, at, bag_of, mode, skip, last):
    """Bags of rows: kernels/embedding.cuh."""
    launch("embedding.cuh", "bag", (table.dtype,), (out, table, index_, start, factor, count, at, bag_of),
           (out.numel(), table.shape[1], table.shape[0], index_.numel(), out.shape[0], mode, skip, int(last)))


provide("cuda", {"index": index, "gather": gather, "move": move, "fill": fill, "triangle": triangle, "nonzero": nonzero,
                 "embedding_add": embedding_add, "embedding_bag": embedding_bag})
