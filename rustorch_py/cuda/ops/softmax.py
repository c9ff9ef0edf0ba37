"""Softmax and the losses of classes: kernels/softmax.cuh."""
from functools import lru_cache

from ...tensor._devices import provide
from .._backend import alignment, launch
from ._lines import blocks, short, way_of


def _launch(kernel, dtype, tensors, outer, n, inner, *ints, numbers=()):
    lines = outer * inner
    way, per_block = way_of(n, inner > 1)
    launch("softmax.cuh", kernel, (dtype,), tensors, (way, lines, n, inner, *ints), numbers, grid=blocks(lines, per_block))


@lru_cache(4096)
def _plan(n, item, aligned, most):
    """How lines of n elements that fit into registers are read, or None: (by packs, packs of a thread, log2 of threads, threads of a block, its lines)"""
    packs = n * item % 16 == 0 and aligned >= 16
    few = (4,) if packs and item == 2 or most == 4 else (4, 8)       # as many numbers a thread
    found = short(n * item // 16 if packs else n, few)
    return found and (int(packs), max(found[1], 4), found[0], found[2], found[3])


def _short(kernel, tensors, outer, n, logs, most):
    """Lines that fit into registers; False: they do not."""
    dtype = tensors[0].dtype
    plan = _plan(n, dtype.itemsize, alignment(*tensors), most)
    if plan is None:
        return False
    packs, count, log, threads, lines = plan
    launch("softmax_short.cuh", kernel, (dtype, packs, count), tensors, (log, outer, n, int(logs)), grid=-(-outer // lines), block=threads)
    return True


def softmax(y, x, outer, n, inner, logs):
    if inner != 1 or not _short("softmax", (y, x), outer, n, logs, 8):
        _launch("softmax", x.dtype, (y, x), outer, n, inner, int(logs))


def softmax_back(gx, g, y, outer, n, inner, logs):
    if inner != 1 or not _short("softmax_back", (gx, g, y), outer, n, logs, 4):
        _launch("softmax_back", y.dtype, (gx, g, y), outer, n, inner, int(logs))


def logsumexp(y, x, outer, n, inner):
    _launch("logsumexp", x.dtype, (y, x), outer, n, inner)


def class_loss(loss, share, lse, x, target, weight, outer, n, inner, ignore, smooth, logs):
    _launch("class_loss", x.dtype, (loss, share, lse, x, target, weight), outer, n, inner, int(logs), ignore, numbers=(smooth,))


def class_loss_back(gx, x, target, weight, lse, g, total, outer, n, inner, ignore, smooth, logs, each):
    _launch("class_loss_back", x.dtype, (gx, x, target, weight, lse, g, total), outer, n, inner, int(logs), ignore, int(each), numbers=(smooth,))


provide("cuda", {f.__name__: f for f in (softmax, softmax_back, logsumexp, class_loss, class_loss_back)})
