"""Places of extremes, running sums and products: kernels/lines.metal."""
from ...errors import UnsupportedOpError
from ...tensor._devices import provide
from .._backend import launch


def arg_extreme(index, x, want_min, outer, length, inner):
    """index (one int64 a lane) <- place of the largest (or smallest) element of each lane of x."""
    lanes, lines = 1, outer * inner
    while lanes < 256 and 4 * lanes < length:
        lanes *= 2
    launch("lines.metal", "arg_extreme", (x.dtype,), (index, x), (lines, length, inner, lanes, int(want_min)), (), (lines * lanes + 255) // 256)


def scan(out, x, kind, reverse, outer, length, inner):
    """out <- running sum (kind 0) or product (1) of x, contiguous (outer, length, inner), along the middle."""
    if kind == 2:
        raise UnsupportedOpError(f"logcumsumexp: has no kernel for {x.device} yet; move its inputs to 'cpu'", op="logcumsumexp")
    launch("lines.metal", "scan", (x.dtype,), (out, x), (outer * inner, length, inner, 0, 0, kind, int(reverse)), (), (outer * inner + 255) // 256)


provide("metal", {"arg_extreme": arg_extreme, "scan": scan})
