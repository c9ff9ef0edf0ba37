"""Pooling: kernels/pool.cuh."""
from ...tensor._devices import provide
from .._backend import launch


def _five(shape, n):
    """Sizes (or strides, of what is missing 0 in front) of images, channels and three dimensions of space; n: dimensions of space."""
    shape = tuple(shape)
    return shape[:-n], shape[-n:]


def _sizes(t, n):
    lead, space = _five(t.shape, n)
    return (1,) * (2 - len(lead)) + lead, (1,) * (3 - n) + space


def _steps(t, n):
    lead, space = _five(t.stride(), n)
    return (0,) * (2 - len(lead)) + lead + (0,) * (3 - n) + space


def _launch(name, n, walked, last, geometry, a, b, c, add=0):
    """geometry: three numbers each of sizes in, out, kernel, stride, padding, dilation; adaptive, count_pad, divisor."""
    steps = [(0,) * 5 if t is None else _steps(t, n) for t in (a, b, c)]
    lead, _ = _sizes(walked, n)
    launch("pool.cuh", name, (a.dtype,), (a, b, c),
           (walked.numel(), int(last), *lead, *geometry[:20], *steps[0], *steps[1], *steps[2], add), (float(geometry[20]),))


def max_pool(out, index, x, n, last, geometry):
    _launch("pool_max", n, out, last, geometry, out, index, x)


def max_pool_back(gx, index, g, n, last, geometry):
    _launch("pool_max_back", n, gx, last, geometry, gx, index, g)


def average_pool(out, x, n, last, forward, geometry):
    _launch("pool_average" if forward else "pool_average_back", n, out, last, geometry, out, None, x)


def _planes(t, n, planes):
    """The geometry of planes whose positions are all that is known."""
    return _sizes(planes, n)[1] + _sizes(t, n)[1] + (1,) * 12 + (0, 0, 0)


def plane_pick(out, index, x, n, last):
    _launch("plane_pick", n, out, last, _planes(out, n, x), out, index, x)


def plane_put(planes, index, x, n, add, last):
    planes.zero_()
    _launch("plane_put", n, x, last, _planes(x, n, planes), planes, index, x, int(add))


provide("cuda", {"max_pool": max_pool, "max_pool_back": max_pool_back, "average_pool": average_pool, "plane_pick": plane_pick, "plane_put": plane_put})
