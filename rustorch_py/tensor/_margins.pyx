# build: sources=margins.c
"""Losses of margins between classes, and the places of fractional pooling's maxima: fast ways of nn.functional's compositions.

Each function answers None for operands that its loops do not read (a device's, 16-bit floats, subclasses): the composition serves those.
"""
from libc.stdint cimport int64_t
from ._base cimport TensorBase, RT_F32, RT_F64, RT_I64, attach1, empty, grad_mode, save, saved
from ._neural cimport no_memory, num_threads, pull_back
from ._node cimport Node
from ._plan cimport contiguous_raw

from ..errors import TensorError

cdef extern from "margins.h" nogil:
    int rt_multi_margin(int wide, const void *x, const int64_t *y, const void *weight, int64_t n, int64_t c, int p, double margin, void *loss,
                        void *slope, int threads)
    int rt_multilabel_margin(int wide, const void *x, const int64_t *y, int64_t n, int64_t c, void *loss, void *slope, int threads)
    int rt_fractional_max(int wide, int dims, const void *x, const void *u, int64_t planes, const int64_t *sizes, const int64_t *kernel,
                          const int64_t *outs, int64_t *where, int threads)


cdef class MarginBackward(Node):
    """The loss is linear in pieces (or its square): a row's derivative is kept from the pass forward."""
    cdef TensorBase slope       # (N, C), the derivative of each row's loss
    cdef object composed        # the same loss of recorded operators where the derivative depends on the input itself
    cdef object label
    cdef double factor          # of a mean over the rows

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        cdef TensorBase x = saved(self, 0)
        if self.composed is not None and grad_mode():
            return pull_back(self.composed, [x], [True], g)[0]
        if self.factor != 1:
            g = g * self.factor
        if (<TensorBase?>g).nd:
            g = g.unsqueeze(1)
        return (<object>self.slope * g).view_as(x)

    cdef int release(self) except -1:
        self.composed = None
        return Node.release(self)


cdef bint mine(TensorBase x, TensorBase y):
    return (x.dt == RT_F32 or x.dt == RT_F64) and y.dt == RT_I64 and not (x.dev | y.dev) & 255 and 0 < x.nd < 3 and x.n > 0


cdef object finish(TensorBase x, TensorBase loss, TensorBase slope, object reduction, object label, bint scalar, object composed):
    cdef MarginBackward node
    cdef int64_t n = loss.n
    cdef object out = loss
    if reduction == "none":
        if scalar:
            out = loss.view(())
    else:
        out = loss.sum()
        if reduction == "mean" and n > 1:
            out.div_(n)
    if slope is not None:
        node = MarginBackward.__new__(MarginBackward)
        node.slope, node.composed, node.label = slope, composed, label
        node.factor = 1.0 / n if reduction == "mean" else 1.0
        save(node, 0, x)
        attach1(<TensorBase?>out, node, x)
    return out


cdef void read_rows(TensorBase x, int64_t *sizes) noexcept:
    sizes[0], sizes[1] = 1, x.sh[0]
    if x.nd == 2:
        sizes[0], sizes[1] = x.sh[0], x.sh[1]


cdef TensorBase room_for_slope(TensorBase x, int64_t *sizes):
    return empty(2, sizes, x.dt, 0) if x.rg and grad_mode() else None


def multi_margin(TensorBase x, TensorBase y, int p, double margin, TensorBase weight, object reduction, composed):
    """Return the loss of (N, C) or (C) scores and their classes, or None."""
    cdef int64_t sizes[2]
    cdef TensorBase loss, slope, a, b, w = weight
    cdef int failed
    if not mine(x, y) or y.nd > 1 or weight is not None and (weight.dt != x.dt or weight.rg or weight.dev & 255):
        return None
    read_rows(x, sizes)
    if y.n != sizes[0] or weight is not None and weight.n != sizes[1]:
        return None
    a, b = contiguous_raw(x), contiguous_raw(y)
    if weight is not None:
        w = contiguous_raw(weight)
    loss, slope = empty(1, sizes, x.dt, 0), room_for_slope(x, sizes)
    with nogil:
        failed = rt_multi_margin(a.dt == RT_F64, a.ptr, <const int64_t *>b.ptr, NULL if w is None else w.ptr, sizes[0], sizes[1], p, margin, loss.ptr,
                                 NULL if slope is None else slope.ptr, num_threads())
    if failed:
        raise TensorError("target out of range", op="multi_margin_loss")
    return finish(x, loss, slope, reduction, "MultiMarginLossBackward0", x.nd == 1 and y.nd == 0, composed if p == 2 else None)


def multilabel_margin(TensorBase x, TensorBase y, object reduction):
    """Return the loss of (N, C) or (C) scores and lists of classes of the same shape, or None."""
    cdef int64_t sizes[2]
    cdef TensorBase loss, slope, a, b
    cdef int failed
    if not mine(x, y):
        return None
    read_rows(x, sizes)
    a, b = contiguous_raw(x), contiguous_raw(y)
    loss, slope = empty(1, sizes, x.dt, 0), room_for_slope(x, sizes)
    with nogil:
        failed = rt_multilabel_margin(a.dt == RT_F64, a.ptr, <const int64_t *>b.ptr, sizes[0], sizes[1], loss.ptr, NULL if slope is None else slope.ptr,
                                      num_threads())
    if failed == -2:
        no_memory("multilabel_margin_loss")
    if failed:
        raise TensorError("argument #2 'target' is out of range", op="multilabel_margin_loss")
    return finish(x, loss, slope, reduction, "MultilabelMarginLossBackward0", x.nd == 1, None)


def fractional_max(TensorBase x, TensorBase u, tuple kernel, tuple outs):
    """Return the flat positions (N, C, cells) of the maxima of (N, C, *sizes), given random numbers (N, C, dims), or None."""
    cdef int64_t sizes[3]
    cdef int64_t windows[3]
    cdef int64_t cells[3]
    cdef int64_t shape[3]
    cdef int d, dims = len(outs), failed
    cdef TensorBase where, a, b
    if x.dt != RT_F32 and x.dt != RT_F64 or u.dt != x.dt or (x.dev | u.dev) & 255 or dims not in (2, 3) or x.nd != dims + 2:
        return None
    shape[0], shape[1], shape[2] = x.sh[0], x.sh[1], 1
    for d in range(dims):
        sizes[d], windows[d], cells[d] = x.sh[d + 2], kernel[d], outs[d]
        if windows[d] < 1 or cells[d] < 1:
            return None
        shape[2] *= cells[d]
    a, b, where = contiguous_raw(x), contiguous_raw(u), empty(3, shape, RT_I64, 0)
    with nogil:
        failed = rt_fractional_max(a.dt == RT_F64, dims, a.ptr, b.ptr, shape[0] * shape[1], sizes, windows, cells, <int64_t *>where.ptr, num_threads())
    if failed:
        no_memory("fractional_max_pool")
    return where
