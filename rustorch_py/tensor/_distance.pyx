# build: isa=distance.inc.c
"""Distances between rows, of float32 and float64 on the CPU, of norms of order 0, 1, 2 and infinity: see Note [Distances].

Each function answers None for operands that its loops do not read: the composition serves those.
"""
from libc.stdint cimport int64_t
from ._base cimport TensorBase, RT_F32, RT_F64, attach1, attach2, empty, grad_mode, save, save_output, saved, wants_edge
from ._cpu cimport isa_level
from ._neural cimport num_threads, pull_back
from ._node cimport Node
from ._plan cimport contiguous_raw

cdef extern from "distance.h" nogil:
    enum: RT_DIST_COUNT, RT_DIST_ABS, RT_DIST_SQUARE, RT_DIST_MAX
    ctypedef void (*RtDistances)(int kind, const void *a, const void *b, int64_t I, int64_t J, int64_t D, void *out, int threads) noexcept
    ctypedef void (*RtDistancePull)(int kind, const void *a, const void *b, const void *d, const void *g, int64_t I, int64_t J, int64_t D,
                                    int64_t step_i, int64_t step_j, void *out, int threads) noexcept
    ctypedef struct RtDistanceTable:
        RtDistances distances[2]
        RtDistancePull pull[2]
    const RtDistanceTable *rt_pick_distance(int level)


cdef int kind_of(double p) noexcept:
    return (RT_DIST_COUNT if p == 0 else RT_DIST_ABS if p == 1 else RT_DIST_SQUARE if p == 2 else RT_DIST_MAX if p == float("inf") else -1)


cdef inline bint mine(TensorBase x):
    return (x.dt == RT_F32 or x.dt == RT_F64) and not x.dev & 255


def pairs(TensorBase x, double p, composed):
    """Return the distances between all pairs of rows of a matrix, or None; ``composed(x)`` does the same by recorded operators."""
    cdef int kind = kind_of(p)
    cdef int64_t n = x.sh[0] * (x.sh[0] - 1) // 2
    cdef TensorBase a, out
    cdef PdistBackward0 node
    if kind < 0 or not mine(x):
        return None
    a, out = contiguous_raw(x), empty(1, &n, x.dt, 0)
    with nogil:
        rt_pick_distance(isa_level()).distances[a.dt == RT_F64](kind, a.ptr, NULL, a.sh[0], a.sh[0], a.sh[1], out.ptr, num_threads())
    if x.rg and grad_mode():
        node = PdistBackward0.__new__(PdistBackward0)
        node.kind, node.composed = kind, composed
        save(node, 0, x)
        save_output(node, 1, out)
        attach1(out, node, x)
    return out


cdef class PdistBackward0(Node):
    cdef int kind
    cdef object composed

    cdef object apply(self, object g):
        cdef TensorBase x = saved(self, 0), a, d, gd, out
        if grad_mode():
            return pull_back(self.composed, [x], [True], g)[0]
        a, d, gd, out = contiguous_raw(x), saved(self, 1), contiguous_raw(<TensorBase?>g), empty(2, x.sh, x.dt, 0)
        with nogil:
            rt_pick_distance(isa_level()).pull[a.dt == RT_F64](self.kind, a.ptr, NULL, d.ptr, gd.ptr, a.sh[0], a.sh[0], a.sh[1], 0, 0, out.ptr,
                                                               num_threads())
        return out

    cdef int release(self) except -1:
        self.composed = None
        return Node.release(self)


def between(TensorBase x, TensorBase y, double p, composed):
    """Return the distances (..., I, J) between rows of x (..., I, D) and y (..., J, D), whose leading dimensions agree, or None."""
    cdef int kind = kind_of(p), i
    cdef int64_t sh[64]
    cdef int64_t batch = 1
    cdef TensorBase a, b, out
    cdef CdistBackward0 node
    if kind < 0 or not mine(x) or y.dt != x.dt or y.dev & 255 or x.nd != y.nd:
        return None
    for i in range(x.nd - 2):
        if x.sh[i] != y.sh[i]:
            return None
        sh[i] = x.sh[i]
        batch *= sh[i]
    sh[x.nd - 2], sh[x.nd - 1] = x.sh[x.nd - 2], y.sh[y.nd - 2]
    a, b, out = contiguous_raw(x), contiguous_raw(y), empty(x.nd, sh, x.dt, 0)
    if out.n:
        with nogil:
            each(kind, a, b, out, batch)
    if (x.rg or y.rg) and grad_mode():
        node = CdistBackward0.__new__(CdistBackward0)
        node.kind, node.composed = kind, composed
        save(node, 0, x)
        save(node, 1, y)
        save_output(node, 2, out)
        attach2(out, node, x, y)
    return out


cdef int each(int kind, TensorBase a, TensorBase b, TensorBase out, int64_t batch) noexcept nogil:
    cdef int64_t I = a.sh[a.nd - 2], J = b.sh[b.nd - 2], D = a.sh[a.nd - 1], size = 8 if a.dt == RT_F64 else 4, k
    for k in range(batch):
        rt_pick_distance(isa_level()).distances[a.dt == RT_F64](kind, <char *>a.ptr + k * I * D * size, <char *>b.ptr + k * J * D * size, I, J, D,
                                                                <char *>out.ptr + k * I * J * size, num_threads())
    return 0


cdef int pull_each(int kind, TensorBase a, TensorBase b, TensorBase d, TensorBase g, bint turned, TensorBase out, int64_t batch) noexcept nogil:
    """The gradient of a; turned: d and g have its rows along the last dimension."""
    cdef int64_t I = a.sh[a.nd - 2], J = b.sh[b.nd - 2], D = a.sh[a.nd - 1], size = 8 if a.dt == RT_F64 else 4, k
    for k in range(batch):
        rt_pick_distance(isa_level()).pull[a.dt == RT_F64](
            kind, <char *>a.ptr + k * I * D * size, <char *>b.ptr + k * J * D * size, <char *>d.ptr + k * I * J * size, <char *>g.ptr + k * I * J * size,
            I, J, D, 1 if turned else J, I if turned else 1, <char *>out.ptr + k * I * D * size, num_threads())
    return 0


cdef class CdistBackward0(Node):
    cdef int kind
    cdef object composed

    cdef object apply(self, object g):
        cdef TensorBase x = saved(self, 0), y = saved(self, 1), a, b, d, gd, gx = None, gy = None
        cdef int64_t batch = 1
        cdef int i
        if grad_mode():
            return pull_back(self.composed, [x, y], [wants_edge(self, 0), wants_edge(self, 1)], g)
        a, b, d, gd = contiguous_raw(x), contiguous_raw(y), contiguous_raw(saved(self, 2)), contiguous_raw(<TensorBase?>g)
        for i in range(x.nd - 2):
            batch *= x.sh[i]
        if wants_edge(self, 0):
            gx = empty(x.nd, x.sh, x.dt, 0)
            with nogil:
                pull_each(self.kind, a, b, d, gd, False, gx, batch)
        if wants_edge(self, 1):
            gy = empty(y.nd, y.sh, y.dt, 0)
            with nogil:
                pull_each(self.kind, b, a, d, gd, True, gy, batch)
        return gx, gy

    cdef int release(self) except -1:
        self.composed = None
        return Node.release(self)
