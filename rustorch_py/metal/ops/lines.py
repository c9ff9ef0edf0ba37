"""Places of extremes, running sums and products, places of what is not zero: kernels/lines.metal."""
from ... import tensor as _t
from ...errors import UnsupportedOpError
from ...tensor._devices import provide
from .._backend import launch

CHUNK = 1024                                     # of a long line that one thread walks


def lanes_of(length):
    """How many threads of a threadgroup take a line together."""
    lanes = 1
    while lanes < 256 and 4 * lanes < length:
        lanes *= 2
    return lanes


def arg_extreme(index, x, want_min, outer, length, inner):
    """index (one int64 a lane) <- place of the largest (or smallest) element of each lane of x."""
    lanes, lines = lanes_of(length), outer * inner
    launch("lines.metal", "arg_extreme", (x.dtype,), (index, x), (lines, length, inner, lanes, int(want_min)), (), (lines * lanes + 255) // 256)


def _walk(out, x, kind, reverse, outer, length, inner):
    launch("lines.metal", "scan", (x.dtype,), (out, x), (outer * inner, length, inner, 0, 0, kind, int(reverse)), (), (outer * inner + 255) // 256)


def _by_chunks(x, kind):
    """Running sums (kind 0) or products (1) of the lines of a contiguous matrix: of chunks, then of what the chunks come to."""
    outer, length = x.shape
    if length <= 4 * CHUNK:
        out = _t.empty_like(x)
        _walk(out, x, kind, False, outer, length, 1)
        return out
    chunks = -(-length // CHUNK)
    room = _t.full((outer, chunks * CHUNK), kind, dtype=x.dtype, device=x.device)
    room[:, :length] = x
    part = _t.empty_like(room)
    _walk(part, room, kind, False, outer * chunks, CHUNK, 1)
    part = part.reshape(outer, chunks, CHUNK)
    before = _t.full((outer, chunks), kind, dtype=x.dtype, device=x.device)
    before[:, 1:] = _by_chunks(part[:, :, -1].contiguous(), kind)[:, :-1]
    before = before.reshape(outer, chunks, 1)
    return (part * before if kind else part + before).reshape(outer, chunks * CHUNK)[:, :length]


def scan(out, x, kind, reverse, outer, length, inner):
    """out <- running sum (kind 0) or product (1) of x, contiguous (outer, length, inner), along the middle."""
    if kind == 2:
        raise UnsupportedOpError(f"logcumsumexp: has no kernel for {x.device} yet; move its inputs to 'cpu'", op="logcumsumexp")
    if reverse or inner > 1 or length <= 4 * CHUNK:
        return _walk(out, x, kind, reverse, outer, length, inner)
    with _t.no_grad():
        wide = x.detach().reshape(outer, length)
        if x.dtype.itemsize == 2 and x.dtype.is_floating_point:
            wide = wide.float()
        out.detach().copy_(_by_chunks(wide, kind).reshape(out.shape))


def nonzero(mask):
    """(n, dimensions) coordinates of a contiguous mask's true elements; waits for the device to tell n."""
    with _t.no_grad():
        flat = (mask.detach() != 0).reshape(-1)
        n = int(flat.sum().item()) if flat.numel() else 0
        if n == 0:
            return _t.empty((0, mask.ndim), dtype=_t.int64, device=mask.device)
        counted = _t.empty(flat.shape, dtype=_t.int64, device=mask.device)
        scan(counted, flat.to(_t.int64), 0, False, 1, flat.numel(), 1)
        room = _t.empty(n + 1, dtype=_t.int64, device=mask.device)               # the last one takes what is zero
        room.index_put_((_t.where(flat, counted - 1, n),), _t.arange(flat.numel(), device=mask.device))
        left, columns = room[:n], []
        for size in reversed(mask.shape):
            columns.append(left % size)
            left = left // size
        return _t.stack(columns[::-1], 1) if columns else _t.empty((n, 0), dtype=_t.int64, device=mask.device)


provide("metal", {"arg_extreme": arg_extreme, "scan": scan, "nonzero": nonzero})
