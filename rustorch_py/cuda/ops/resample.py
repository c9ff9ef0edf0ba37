"""Positions mixed along a dimension, windows as columns, CTC: kernels/resample.cuh and kernels/ctc.cuh."""
from ...tensor._devices import provide
from .._backend import launch


def weighted_taps(out, x, index, weight, outer, n, inner, forward):
    m, taps = index.shape
    if not x.numel() or not out.numel():
        if out.numel():
            out.zero_()
        return
    if forward:
        launch("resample.cuh", "taps", (x.dtype,), (out, x, index, weight), (out.numel(), n, inner, m, taps))
        return
    half = out.dtype.itemsize == 2
    total = out.float() if half else out
    total.zero_()
    launch("resample.cuh", "taps_back", (x.dtype,), (total, x, index, weight), (x.numel(), n, inner, m, taps))
    if half:
        out.copy_(total)


def columns(out, x, geometry, forward):
    launch("resample.cuh", "columns" if forward else "columns_back", (x.dtype,), (out, x), (out.numel(), *geometry))


def _sizes(x, labels, blank):
    return (*x.shape, labels.shape[1], blank)


def ctc_loss(loss, alpha, x, labels, frames, counts, blank):
    launch("ctc.cuh", "ctc", (x.dtype,), (loss, alpha, x, labels, frames, counts), _sizes(x, labels, blank), grid=x.shape[1])


def ctc_loss_back(gx, x, g, labels, frames, counts, alpha, loss, blank, zero_infinity):
    samples, classes = x.shape[1:]
    beta, mass = x.new_empty((samples, 2, alpha.shape[2])), x.new_empty((samples, classes))
    launch("ctc.cuh", "ctc_back", (x.dtype,), (gx, beta, mass, x, labels, frames, counts, alpha, loss, g), (*_sizes(x, labels, blank), int(zero_infinity)),
           grid=samples)


provide("cuda", {f.__name__: f for f in (weighted_taps, columns, ctc_loss, ctc_loss_back)})
