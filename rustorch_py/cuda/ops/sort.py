"""Order: sorting, selection, searching, counting."""
from ...errors import UnsupportedOpError
from ...tensor import int32, int64, uint8
from ...tensor._devices import provide
from .._backend import launch
from .index import gather
from .scan import SHORT, processors, scan

GET = 0                                                            # tensor/kernels/index.h
SLOTS, TILE = 1024, 4096                                           # kernels/sort.cuh, kernels/radix.cuh
KEYS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


def _room(length):
    """The power of 2 that holds a lane."""
    return 1 << max(length - 1, 1).bit_length()


def _small(places, x, descending, lanes, length, inner, keep):
    room = _room(length)
    launch("sort.cuh", "small", (x.dtype,), (places, x), (lanes, length, inner, int(descending), keep, room), grid=(lanes * room + SLOTS - 1) // SLOTS)


def sort(places, x, descending, outer, length, inner):
    """places (int64) <- what sorts each lane of x, contiguous (outer, length, inner); stable, NaN last (descending: first)."""
    lanes = outer * inner
    if length <= SLOTS:
        _small(places, x, descending, lanes, length, inner, length)
        return
    if length >= 1 << 32:
        raise UnsupportedOpError(f"sort: lanes of up to 2**32 - 1 elements on {x.device}, got {length}", op="sort")
    n, item, tiles = lanes * length, x.dtype.itemsize, (length + TILE - 1) // TILE
    keys, spare = (x.new_empty(n * item, dtype=uint8) for _ in range(2))
    at, at_spare = (x.new_empty(n, dtype=int32) for _ in range(2))
    counts = x.new_empty(lanes * 256 * tiles, dtype=int64)
    launch("sort.cuh", "keys", (x.dtype,), (keys, x), (n, length, inner, int(descending)))
    for digit in range(item):
        last = digit == item - 1
        ints = (length, 8 * digit, tiles, inner)
        launch("radix.cuh", "count", (KEYS[item],), (keys, counts), ints, grid=lanes * tiles)
        scan(counts, counts, 0, False, lanes, 256 * tiles, 1)
        launch("radix.cuh", "move", (KEYS[item],), (keys, at if digit else None, counts, None if last else spare, None if last else at_spare,
                                                    places if last else None), ints, grid=lanes * tiles)
        keys, spare, at, at_spare = spare, keys, at_spare, at


def topk(places, x, k, largest, in_order, outer, length, inner):
    """places (outer, k, inner) <- the k smallest (or largest) of each lane, sorted or (in_order False) by place."""
    lanes = outer * inner
    if in_order and length <= SLOTS:
        _small(places, x, largest, lanes, length, inner, k)
        return
    if in_order and (4 * k > length or length > 1 << 20 and lanes < processors(x.device)):    # a block a lane would be too slow
        order = places.new_empty((outer, length, inner))
        sort(order, x, largest, outer, length, inner)
        places.view(outer, k, inner).copy_(order.narrow(1, 0, k))
        return
    found = places.new_empty((outer, k, inner)) if in_order else places
    launch("sort.cuh", "best", (x.dtype,), (found, x), (lanes, length, inner, int(largest), k), grid=lanes)
    if in_order:
        values, order = x.new_empty((outer, k, inner)), places.new_empty((outer, k, inner))
        gather(values, x.view(outer, length, inner), found, GET, 1, length)
        sort(order, values, largest, outer, k, inner)
        gather(places.view(outer, k, inner), found, order, GET, 1, k)


def kth(places, x, k, how, outer, length, inner):
    """places (one a lane) <- the k-th smallest (how 0), the median (1), the median of what is not NaN (2)."""
    lanes = outer * inner
    if length <= SLOTS:
        room = _room(length)
        launch("sort.cuh", "kth_small", (x.dtype,), (places, x), (lanes, length, inner, k, how, room), grid=(lanes * room + SLOTS - 1) // SLOTS)
    else:
        launch("sort.cuh", "kth", (x.dtype,), (places, x), (lanes, length, inner, k, how), grid=lanes)


def mode(places, x, outer, length, inner):
    """places (one a lane) <- the last one of the most frequent value."""
    order = places.new_empty((outer, length, inner))
    sort(order, x, False, outer, length, inner)
    if length <= SHORT:
        launch("sort.cuh", "mode_walk", (x.dtype,), (places, x, order), (outer * inner, length, inner))
    else:
        launch("sort.cuh", "mode", (x.dtype,), (places, x, order), (outer * inner, length, inner), grid=outer * inner)


def search(out, seq, sorter, values, rows, many, length, right):
    """out <- where values (rows, many) would go in rows (or one row) of `length` sorted elements."""
    launch("search.cuh", "search", (seq.dtype,), (out, seq, sorter, values), (values.numel(), many, length, int(rows > 1), int(right)))


def member(out, values, row, invert):
    """out (bool) <- which values are in a sorted row."""
    launch("search.cuh", "member", (values.dtype,), (out, values, row), (values.numel(), row.numel(), int(invert)))


def count_values(counts, x):
    """counts (int64, zeros) += how often each of 0, 1, ... is in x (int64)."""
    launch("count.cuh", "values", (x.dtype,), (counts, x), (x.numel(), counts.numel()))


def count_uniform(counts, x, low, high):
    """counts (int64, zeros) += elements of x in each of equal bins of [low, high]."""
    launch("count.cuh", "uniform", (x.dtype,), (counts, x), (x.numel(), counts.numel()), (low, high))


provide("cuda", {"sort": sort, "topk": topk, "kth": kth, "mode": mode, "search": search, "member": member, "count_values": count_values,
                 "count_uniform": count_uniform})
