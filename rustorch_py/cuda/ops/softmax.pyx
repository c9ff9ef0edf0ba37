"""Softmax and the losses of classes: kernels/softmax.cuh."""
from libc.stdint cimport int64_t
from ...tensor._base cimport TensorBase, rt_itemsize
from ...tensor._devices import provide
from ...tensor._plan cimport copy_raw
from .._backend cimport Kernel, RtCall, point
from ._lines cimport SHORT, Short, aligned, blocks, kept_in, variant, way_of

cdef Kernel SOFTMAX = Kernel("softmax.cuh", "softmax")
cdef Kernel SOFTMAX_BACK = Kernel("softmax.cuh", "softmax_back")
cdef Kernel LOGSUMEXP = Kernel("softmax.cuh", "logsumexp")
cdef Kernel CLASS_LOSS = Kernel("softmax.cuh", "class_loss")
cdef Kernel TOTAL = Kernel("loss.cuh", "total")
cdef Kernel CHECK = Kernel("loss.cuh", "check_probabilities")
cdef Kernel CLASS_LOSS_LINE = Kernel("softmax.cuh", "class_loss_line")
cdef Kernel CLASS_LOSS_BACK = Kernel("softmax.cuh", "class_loss_back")
cdef Kernel CLASS_LOSS_BACK_LINE = Kernel("softmax.cuh", "class_loss_back_line")

cdef enum:
    MANY = 65536                                 # lines that one block sums up


cdef int launch(Kernel kernel, TensorBase first, int dtype, RtCall *a, int64_t outer, int64_t n, int64_t inner) except -1:
    cdef int64_t per_block
    a.n[0], a.n[1], a.n[2], a.n[3] = way_of(n, inner > 1, &per_block), outer * inner, n, inner
    return kernel.launch(first, dtype, a, blocks(outer * inner, per_block))


cdef dict SOFTMAX_SHORT = {}
cdef dict SOFTMAX_BACK_SHORT = {}


cdef bint in_registers(dict kernels, str name, TensorBase y, RtCall *a, bint dense, int64_t lines, int64_t n, bint logs, int few, int many) except -1:
    """Launch the kernel of lines that fit into registers; False: they do not. dense: all tensors can be read by packs of 16 bytes."""
    cdef int64_t item = rt_itemsize(y.dt)
    cdef bint wide = dense and n * item % 16 == 0
    cdef Short s
    if not kept_in(n * item // 16 if wide else n, few, few if wide and item == 2 else many, &s):       # as many numbers a thread
        return False
    a.n[0], a.n[1], a.n[2], a.n[3] = s.log, lines, n, logs
    variant(kernels, "softmax_short.cuh", name, wide, max(s.count, 4)).launch(y, y.dt, a, blocks(lines, s.lines), 1, 1, s.threads)
    return True


def softmax(TensorBase y, TensorBase x, int64_t outer, int64_t n, int64_t inner, bint logs):
    cdef RtCall a
    point(SOFTMAX, &a, 0, y, y)
    point(SOFTMAX, &a, 1, x, y)
    if inner == 1 and in_registers(SOFTMAX_SHORT, "softmax", y, &a, aligned(y, 16) and aligned(x, 16), outer, n, logs, 4, 8):
        return
    a.n[4] = logs
    launch(SOFTMAX, y, x.dt, &a, outer, n, inner)


def softmax_back(TensorBase gx, TensorBase g, TensorBase y, int64_t outer, int64_t n, int64_t inner, bint logs):
    cdef RtCall a
    point(SOFTMAX_BACK, &a, 0, gx, gx)
    point(SOFTMAX_BACK, &a, 1, g, gx)
    point(SOFTMAX_BACK, &a, 2, y, gx)
    if inner == 1 and in_registers(SOFTMAX_BACK_SHORT, "softmax_back", y, &a, aligned(gx, 16) and aligned(g, 16) and aligned(y, 16), outer, n, logs, 4, 4):
        return
    a.n[4] = logs
    launch(SOFTMAX_BACK, gx, y.dt, &a, outer, n, inner)


def logsumexp(TensorBase y, TensorBase x, int64_t outer, int64_t n, int64_t inner):
    cdef RtCall a
    point(LOGSUMEXP, &a, 0, y, y)
    point(LOGSUMEXP, &a, 1, x, y)
    launch(LOGSUMEXP, y, x.dt, &a, outer, n, inner)


def class_loss(TensorBase loss, TensorBase share, TensorBase lse, TensorBase x, TensorBase target, TensorBase weight, int64_t outer, int64_t n,
               int64_t inner, int64_t ignore, double smooth, bint logs):
    cdef RtCall a
    point(CLASS_LOSS, &a, 0, loss, loss)
    point(CLASS_LOSS, &a, 1, share, loss)
    point(CLASS_LOSS, &a, 2, lse, loss)
    point(CLASS_LOSS, &a, 3, x, loss)
    point(CLASS_LOSS, &a, 4, target, loss)
    point(CLASS_LOSS, &a, 5, weight, loss)
    a.n[4], a.n[5] = logs, ignore
    a.k[0] = smooth
    if inner == 1 and SHORT < n < <int64_t>1 << 31 and smooth == 0 and not logs:
        a.n[1], a.n[2] = outer, n
        CLASS_LOSS_LINE.launch(loss, x.dt, &a, outer)
        return
    launch(CLASS_LOSS, loss, x.dt, &a, outer, n, inner)


def class_loss_total(TensorBase out, TensorBase total, TensorBase loss, TensorBase share):
    """out <- the sum of the lines' losses; with total and share: their mean, total <- what it was divided by."""
    cdef RtCall a
    if loss.n > MANY:                                              # too many for one block
        sums = (<object>loss).detach().sum()
        if total is not None:
            copy_raw(total, <TensorBase>(<object>share).sum())
            sums = sums / total
        copy_raw(out, <TensorBase>sums)
        return
    point(TOTAL, &a, 0, out, out)
    point(TOTAL, &a, 1, total, out)
    point(TOTAL, &a, 2, loss, out)
    point(TOTAL, &a, 3, share, out)
    a.n[0] = loss.n
    TOTAL.launch(out, out.dt, &a, 1)


def check_probabilities(TensorBase x):
    """Say so, when the device is next waited for, if one of x's elements (contiguous) is not between 0 and 1."""
    cdef RtCall a
    point(CHECK, &a, 0, x, x)
    a.n[0] = x.n
    CHECK.launch(x, x.dt, &a)


def class_loss_back(TensorBase gx, TensorBase x, TensorBase target, TensorBase weight, TensorBase lse, TensorBase g, TensorBase total, int64_t outer,
                    int64_t n, int64_t inner, int64_t ignore, double smooth, bint logs, bint each):
    cdef RtCall a
    point(CLASS_LOSS_BACK, &a, 0, gx, gx)
    point(CLASS_LOSS_BACK, &a, 1, x, gx)
    point(CLASS_LOSS_BACK, &a, 2, target, gx)
    point(CLASS_LOSS_BACK, &a, 3, weight, gx)
    point(CLASS_LOSS_BACK, &a, 4, lse, gx)
    point(CLASS_LOSS_BACK, &a, 5, g, gx)
    point(CLASS_LOSS_BACK, &a, 6, total, gx)
    a.n[4], a.n[5], a.n[6] = logs, ignore, each
    a.k[0] = smooth
    if inner == 1 and n > SHORT and smooth == 0 and not logs:
        a.n[1], a.n[2] = outer, n
        CLASS_LOSS_BACK_LINE.launch(gx, x.dt, &a, outer, 1, 1, 1024 if n * rt_itemsize(x.dt) >= 1 << 15 else 256)
        return
    launch(CLASS_LOSS_BACK, gx, x.dt, &a, outer, n, inner)


provide("cuda", {"softmax": softmax, "softmax_back": softmax_back, "logsumexp": logsumexp, "class_loss": class_loss,
                 "class_loss_total": class_loss_total, "check_probabilities": check_probabilities,
                 "class_loss_back": class_loss_back})
