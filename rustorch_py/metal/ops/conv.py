"""Convolutions as matrix products over stored columns: windows copied beside each other, and for the gradient of the input added back tap by tap."""
from itertools import product

from ... import tensor as _t
from ...tensor._devices import provide

FORWARD, INPUT, WEIGHT = range(3)


def _space(t):
    """t with three dimensions of space."""
    return t.detach().reshape(tuple(t.shape[:2]) + (1,) * (5 - t.ndim) + tuple(t.shape[2:]))


def _taps(kernel, stride, dilation, size_out):
    """For each tap in order: the slices of a padded array that its windows read."""
    for tap in product(*(range(k) for k in kernel)):
        yield (slice(None), slice(None), *(slice(at * d, at * d + (n - 1) * s + 1, s) for at, d, n, s in zip(tap, dilation, size_out, stride)))


def _padded(x, size, padding):
    """A zeroed array of x's images and channels with room for the padding, and where x lies in it."""
    wide = _t.zeros(tuple(x.shape[:2]) + tuple(n + 2 * p for n, p in zip(size, padding)), dtype=x.dtype, device=x.device)
    middle = (slice(None), slice(None), *(slice(p, p + n) for n, p in zip(size, padding)))
    return wide, middle


def convolution(out, mode, a, b, bias, geometry):
    """One of the three products of a convolution into `out`, with the arguments of :func:`...cuda.ops.conv.convolution`."""
    if not out.numel():
        return
    batch, groups, cin, cout = geometry[:4]
    size_in, size_out, kernel, stride, padding, dilation = (tuple(geometry[4 + 3 * i:7 + 3 * i]) for i in range(6))
    taps, places = kernel[0] * kernel[1] * kernel[2], size_out[0] * size_out[1] * size_out[2]
    with _t.no_grad():
        if mode != WEIGHT:
            weight = b.detach().reshape(1, groups, cout, cin * taps)
        if mode != INPUT:
            x = _space(a if mode == FORWARD else b)
            wide, middle = _padded(x, size_in, padding)
            wide[middle] = x
            windows = [wide[at].reshape(batch, groups, cin, 1, places) for at in _taps(kernel, stride, dilation, size_out)]
            columns = _t.cat(windows, 3).reshape(batch, groups, cin * taps, places)
        if mode == FORWARD:
            result = _t.matmul(weight, columns).reshape(batch, groups * cout, *size_out)
            if bias is not None:
                result = result + bias.detach().reshape(1, -1, 1, 1, 1)
            out.detach().copy_(result.reshape(out.shape))
        elif mode == WEIGHT:
            g = _space(a).reshape(batch, groups, cout, places)
            total = _t.matmul(g, columns.transpose(2, 3)).sum(0)
            out.detach().copy_(total.reshape(out.shape))
        else:
            g = _space(a).reshape(batch, groups, cout, places)
            columns = _t.matmul(weight.transpose(2, 3), g).reshape(batch, groups * cin, taps, *size_out)
            wide, middle = _padded(_space(out), size_in, padding)
            for tap, at in enumerate(_taps(kernel, stride, dilation, size_out)):
                wide[at].add_(columns[:, :, tap])
            out.detach().copy_(wide[middle].reshape(out.shape))


provide("metal", {"convolution": convolution})
