"""Pooling: kernels/pool.cuh."""
from libc.stdint cimport int64_t
from libc.string cimport memset
from ...tensor._base cimport TensorBase
from ...tensor._devices import provide
from ...tensor._plan cimport fill_value
from .._backend cimport Kernel, RtCall, point, RT_CALL_POINTERS

cdef Kernel MAX = Kernel("pool.cuh", "pool_max")
cdef Kernel MAX_BACK = Kernel("pool.cuh", "pool_max_back")
cdef Kernel AVERAGE = Kernel("pool.cuh", "pool_average")
cdef Kernel AVERAGE_BACK = Kernel("pool.cuh", "pool_average_back")
cdef Kernel PICK = Kernel("pool.cuh", "plane_pick")
cdef Kernel PUT = Kernel("pool.cuh", "plane_put")

cdef enum:
    GEOMETRY = 4                                 # three numbers each of sizes in, out, kernel, stride, padding, dilation; adaptive, count_pad,
    STEPS = 24                                   # five steps of each array, and what else there is
    ADD = 39                                     # add to planes, do not put


cdef void five(TensorBase t, const int64_t *numbers, int n, int64_t missing, int64_t *to) noexcept:
    """Numbers of images, channels and three dimensions of space, of which the last n are t's; `missing` in front of the others."""
    cdef int i, lead = t.nd - n
    for i in range(2):
        to[i] = numbers[i - 2 + lead] if i - 2 + lead >= 0 else missing
    for i in range(3):
        to[2 + i] = numbers[lead + i - 3 + n] if i - 3 + n >= 0 else missing


cdef int launch(Kernel kernel, int n, TensorBase walked, bint last, RtCall *a, double divisor, TensorBase p, TensorBase q, TensorBase r, int64_t add=0) except -1:
    """The geometry is in its places; walked: whose elements are counted."""
    cdef int64_t sizes[5]
    cdef int i, j = STEPS
    cdef TensorBase t
    memset(a.p, 0, RT_CALL_POINTERS * sizeof(void *))                  # Metal's launcher looks at all
    five(walked, walked.sh, n, 1, sizes)
    a.n[0], a.n[1], a.n[2], a.n[3] = walked.n, last, sizes[0], sizes[1]
    for i in range(3):
        t = p if i == 0 else q if i == 1 else r
        point(kernel, a, i, t, p)
        if t is not None:
            five(t, t.st, n, 0, a.n + j)
        else:
            a.n[j] = a.n[j + 1] = a.n[j + 2] = a.n[j + 3] = a.n[j + 4] = 0
        j += 5
    a.n[ADD] = add
    a.k[0] = divisor
    return kernel.launch(p, p.dt, a)


cdef double take(RtCall *a, tuple geometry) except? -1.0:
    cdef int i
    for i in range(20):
        a.n[GEOMETRY + i] = geometry[i]
    return geometry[20]


def max_pool(TensorBase out, TensorBase index, TensorBase x, int n, bint last, tuple geometry):
    cdef RtCall a
    launch(MAX, n, out, last, &a, take(&a, geometry), out, index, x)


def max_pool_back(TensorBase gx, TensorBase index, TensorBase g, int n, bint last, tuple geometry):
    cdef RtCall a
    launch(MAX_BACK, n, gx, last, &a, take(&a, geometry), gx, index, g)


def average_pool(TensorBase out, TensorBase x, int n, bint last, bint forward, tuple geometry):
    cdef RtCall a
    launch(AVERAGE if forward else AVERAGE_BACK, n, out, last, &a, take(&a, geometry), out, None, x)


cdef void planes_of(RtCall *a, TensorBase t, int n, TensorBase planes) noexcept:
    """The geometry of planes whose positions are all that is known."""
    cdef int64_t sizes[5]
    cdef int i
    five(planes, planes.sh, n, 1, sizes)
    for i in range(3):
        a.n[GEOMETRY + i] = sizes[2 + i]
    five(t, t.sh, n, 1, sizes)
    for i in range(3):
        a.n[GEOMETRY + 3 + i] = sizes[2 + i]
    for i in range(12):
        a.n[GEOMETRY + 6 + i] = 1
    a.n[GEOMETRY + 18] = a.n[GEOMETRY + 19] = 0


def plane_pick(TensorBase out, TensorBase index, TensorBase x, int n, bint last):
    cdef RtCall a
    planes_of(&a, out, n, x)
    launch(PICK, n, out, last, &a, 0, out, index, x)


def plane_put(TensorBase planes, TensorBase index, TensorBase x, int n, bint add, bint last):
    cdef RtCall a
    fill_value(planes, 0)
    planes_of(&a, x, n, planes)
    launch(PUT, n, x, last, &a, 0, planes, index, x, add)


provide("cuda", {"max_pool": max_pool, "max_pool_back": max_pool_back, "average_pool": average_pool, "plane_pick": plane_pick, "plane_put": plane_put})
