"""Elements moved by index, mask or geometry; rows of embedding tables."""
import math

from ...errors import UnsupportedOpError
from ...tensor import int64
from ...tensor._devices import provide
from .._backend import alignment, launch
from .._text import RAW
from ._layout import merged, numbers, packed
from ._lines import divisor

GET, SET, ADD, MUL, MAX, MIN = range(6)                            # tensor/kernels/index.h
REDUCE = {ADD: "add", MUL: "mul", MAX: "max", MIN: "min"}
JOINED = 15                                                        # tensors of a launch
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
    if op == GET and len(indices) == 1 and count < 1 << 31 and len(rows) <= 2 and (len(rows) == 1 or rows[1][3] == 0) and rows[-1][1:3] == [1, 1] and rows[-1][3] == 0:
        far = rows[0] if len(rows) == 2 else [1, 0, 0, 0]           # whole rows, each picked by one index
        if far[2] == 0:
            launch(file, "index_rows", types, (dst, src, *indices), (count, int(wrap), rows[-1][0], *divisor(rows[-1][0]), sizes[0], steps[0], far[1], far[3]), grid=-(-count // 1024))
            return
    launch(file, kernel, types, (dst, src, *indices),
           (count, len(rows), len(indices), int(wrap), *[n for pair in zip(sizes, steps) for n in pair], *numbers(rows)),
           grid=-(-count // 1024) if op in (GET, SET) else None)


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


def join(dst, parts, dim):
    """dst <- contiguous tensors side by side along a dimension (theirs too, or a new one); all contiguous and of one dtype."""
    outer, item = math.prod(dst.shape[:dim]), dst.dtype.itemsize
    width, sizes = dst.numel() // outer, [t.numel() // outer for t in parts]
    pack = 16 // item
    aligned = alignment(dst, *parts)
    while pack > 1 and (pack * item > aligned or width % pack or any(n % pack for n in sizes)):
        pack //= 2
    at = 0
    if outer * max(sizes) // pack >= 1 << 31:                       # more elements of one tensor than a launch counts
        for t, n in zip(parts, sizes):
            dst.detach().view(outer, width)[:, at:at + n].copy_(t.detach().view(outer, n))
            at += n
        return
    for start in range(0, len(parts), JOINED):
        some, ints, block = parts[start:start + JOINED], [], 0
        for t, n in zip(some, sizes[start:start + JOINED]):
            count, columns = outer * n // pack, n // pack
            ints += (block, count, columns, *divisor(columns), at)
            block += -(-count // 1024)
            at += columns
        launch("move.cuh", "join", (RAW[item * pack],), (dst, *some), (len(some), width // pack, *ints), grid=block)


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


provide("cuda", {"index": index, "gather": gather, "move": move, "join": join, "fill": fill, "triangle": triangle, "nonzero": nonzero,
                 "embedding_add": embedding_add, "embedding_bag": embedding_bag})
