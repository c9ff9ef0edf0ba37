"""Softmax and the losses of classes: kernels/softmax.cuh."""
from ...tensor._devices import provide
from .._backend import launch
from ._lines import blocks, short, way_of, wide


def _launch(kernel, dtype, tensors, outer, n, inner, *ints, numbers=()):
    lines = outer * inner
    way, per_block = way_of(n, inner > 1)
    launch("softmax.cuh", kernel, (dtype,), tensors, (way, lines, n, inner, *ints), numbers, grid=blocks(lines, per_block))


def _short(kernel, tensors, outer, n, logs, few):
    """Lines that fit into registers; False: they do not."""
    item = tensors[0].dtype.itemsize
    packs = wide(n, item, *tensors)
    few = few[:1] if packs and item == 2 else few                  # as many numbers a thread
    found = short(n * item // 16 if packs else n, few)
    if found is None:
        return False
    log, count, threads, lines = found
    launch("softmax_short.cuh", kernel, (tensors[0].dtype, int(packs), max(count, 4)), tensors, (log, outer, n, int(logs)), grid=blocks(outer, lines), block=threads)
    return True


def softmax(y, x, outer, n, inner, logs):
    if inner != 1 or not _short("softmax", (y, x), outer, n, logs, (4, 8)):
        _launch("softmax", x.dtype, (y, x), outer, n, inner, int(logs))


def softmax_back(gx, g, y, outer, n, inner, logs):
    if inner != 1 or not _short("softmax_back", (gx, g, y), outer, n, logs, (4,)):
        _launch("softmax_back", y.dtype, (gx, g, y), outer, n, inner, int(logs))


def logsumexp(y, x, outer, n, inner):
    _launch("logsumexp", x.dtype, (y, x), outer, n, inner)


def class_loss(loss, share, lse, x, target, weight, outer, n, inner, ignore, smooth, logs):
    _launch("class_loss", x.dtype, (loss, share, lse, x, target, weight), outer, n, inner, int(logs), ignore, numbers=(smooth,))


def class_loss_back(gx, x, target, weight, lse, g, total, outer, n, inner, ignore, smooth, logs, each):
    _launch("class_loss_back", x.dtype, (gx, x, target, weight, lse, g, total), outer, n, inner, int(logs), ignore, int(each), numbers=(smooth,))


provide("cuda", {f.__name__: f for f in (softmax, softmax_back, logsumexp, class_loss, class_loss_back)})
