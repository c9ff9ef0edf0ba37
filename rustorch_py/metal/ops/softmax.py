"""Softmax and the losses of classes: kernels/softmax.metal."""
from ...tensor._devices import provide
from .._backend import launch
from .lines import lanes_of

FILE = "softmax.metal"


def _lines(name, tensors, dtype, outer, n, inner, *, logs=0, ignore=0, each=0, weights=0, kept=0, total=0, smooth=0.0):
    """Launch over outer * inner lines of n elements; the whole numbers are in the order of the file's enum."""
    lanes, lines = lanes_of(n), outer * inner
    launch(FILE, name, (dtype,), tensors, (lines, n, inner, lanes, logs, ignore, each, weights, kept, total), (smooth,),
           (lines * lanes + 255) // 256)


def softmax(y, x, outer, n, inner, logs):
    _lines("softmax", (y, x), x.dtype, outer, n, inner, logs=logs)


def softmax_back(gx, g, y, outer, n, inner, logs):
    _lines("softmax_back", (gx, g, y), y.dtype, outer, n, inner, logs=logs)


def logsumexp(y, x, outer, n, inner):
    _lines("logsumexp", (y, x), x.dtype, outer, n, inner)


def class_loss(loss, share, lse, x, target, weight, outer, n, inner, ignore, smooth, logs):
    _lines("class_loss", (loss, share, lse, x, target, weight), x.dtype, outer, n, inner, logs=logs, ignore=ignore, weights=weight is not None,
           kept=lse is not None, smooth=smooth)


def class_loss_total(out, total, loss, share):
    """out <- the sum of the lines' losses; with total and share: their mean, total <- what it was divided by."""
    launch(FILE, "class_loss_total", (out.dtype,), (out, total, loss, share), (loss.numel(), 0, 0, 0, 0, 0, 0, 0, 0, total is not None))


def class_loss_back(gx, x, target, weight, lse, g, total, outer, n, inner, ignore, smooth, logs, each):
    _lines("class_loss_back", (gx, x, target, weight, lse, g, total), x.dtype, outer, n, inner, logs=logs, ignore=ignore, each=each,
           weights=weight is not None, total=total is not None, smooth=smooth)


def check_probabilities(x):
    """Say so, when the device is next waited for, if one of x's elements (contiguous) is not between 0 and 1."""
    launch(FILE, "check_probabilities", (x.dtype,), (x,), (x.numel(),), (), (x.numel() + 255) // 256)


provide("metal", {f.__name__: f for f in (softmax, softmax_back, logsumexp, class_loss, class_loss_total, class_loss_back, check_probabilities)})
