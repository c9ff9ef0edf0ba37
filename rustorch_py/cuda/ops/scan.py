"""Running sums, products, log-sums and extremes; places of extremes."""
from ...tensor import int64
from ...tensor._devices import provide
from .._backend import launch, properties

CHUNK = 8192                                                       # elements of a lane that one block takes, where a lane is cut
SHORT = 32                                                         # of a lane that a thread walks alone
WIDE = 4096                                                        # lanes side by side that keep the device busy, a thread each

_processors = {}


def processors(device):
    """How many multiprocessors a device has."""
    if device not in _processors:
        _processors[device] = properties(device.index or 0)["multi_processor_count"]
    return _processors[device]


def chunks_of(lanes, length, device):
    """(elements of a chunk, chunks of a lane): more than one where the lanes alone would leave the device idle."""
    if lanes >= 2 * processors(device) or length <= 2 * CHUNK:
        return length, 1
    return CHUNK, (length + CHUNK - 1) // CHUNK


def run(file, types, names, tensors, part_dtype, outer, length, inner, reverse=False):
    """Launch the kernels of scan.h: names of walk, totals, carry, chunks; tensors: out, x and what comes behind the totals."""
    lanes, (out, x, *more) = outer * inner, tensors
    walk, totals, carry, chunks = names
    if length <= SHORT or inner > 1 and lanes >= WIDE:
        launch(file, walk, types, (out, x, None, *more), (lanes, length, inner, int(reverse), length, 1))
        return
    chunk, count = chunks_of(lanes, length, x.device)
    ints, part = (lanes, length, inner, int(reverse), chunk, count), None
    if count > 1:
        part = x.new_empty(lanes * count, dtype=part_dtype)
        launch(file, totals, types, (out, x, part, *more), ints, grid=lanes * count)
        launch(file, carry, types, (out, x, part, *more), ints, grid=lanes)
    launch(file, chunks, types, (out, x, part, *more), ints, grid=lanes * count)


def scan(out, x, kind, reverse, outer, length, inner):
    """out <- running sum (kind 0), product (1) or log-sum-exp (2) of x, contiguous (outer, length, inner), along the middle."""
    compute = (x.new_empty(0).float() if x.dtype.is_floating_point and x.dtype.itemsize == 2 else x).dtype
    file, types = ("logscan.cuh", (x.dtype,)) if kind == 2 else ("scan.cuh", (x.dtype, kind))
    run(file, types, ("walk", "totals", "carry", "chunks"), (out, x), compute, outer, length, inner, reverse)


def scan_extreme(values, indices, x, want_min, outer, length, inner):
    """values, indices <- running largest (or smallest) of x and its place."""
    run("extreme.cuh", (x.dtype, int(want_min)), ("walk", "totals", "carry", "chunks"), (values, x, indices), int64, outer, length, inner)


def arg_extreme(index, x, want_min, outer, length, inner):
    """index (one int64 a lane) <- place of the largest (or smallest) element of each lane of x."""
    lanes, types = outer * inner, (x.dtype, int(want_min))
    if length <= SHORT or inner > 1 and lanes >= WIDE:
        launch("extreme.cuh", "arg_walk", types, (index, x, None), (lanes, length, inner, 0))
        return
    if length <= 1024 and lanes >= 64:
        launch("extreme.cuh", "arg_warp", types, (index, x, None), (lanes, length, inner, 0), grid=(lanes + 7) // 8)
        return
    chunk, count = chunks_of(lanes, length, x.device)
    part = index if count == 1 else index.new_empty(lanes * count)
    launch("extreme.cuh", "arg_chunks", types, (part, x, None), (lanes, length, inner, 0, chunk, count, length), grid=lanes * count)
    if count > 1:
        launch("extreme.cuh", "arg_chunks", types, (index, x, part), (lanes, length, inner, 0, count, 1, count), grid=lanes)


provide("cuda", {"scan": scan, "scan_extreme": scan_extreme, "arg_extreme": arg_extreme})
