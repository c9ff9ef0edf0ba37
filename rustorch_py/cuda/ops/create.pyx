"""Tensors made of numbers: kernels/create.cuh."""
from libc.stdint cimport int64_t
from ...tensor._base cimport TensorBase
from ...tensor._devices import provide
from .._backend cimport Kernel, RtCall, point

cdef Kernel ARANGE = Kernel("create.cuh", "arange")
cdef Kernel SPACED = Kernel("create.cuh", "spaced")


def arange(TensorBase t, int64_t start, int64_t step, double first, double distance):
    """t (of one dimension) <- start + i * step where it holds whole numbers, first + i * distance where not."""
    cdef RtCall a
    point(ARANGE, &a, 0, t, t)
    a.n[0], a.n[1], a.n[2], a.n[3] = t.n, t.st[0], start, step
    a.k[0], a.k[1] = first, distance
    ARANGE.launch(t, t.dt, &a)


def spaced(TensorBase t, double first, double last, double distance, double base):
    """t (of one dimension) <- numbers from first to last, both included; base: they are its exponents, unless it is 0."""
    cdef RtCall a
    point(SPACED, &a, 0, t, t)
    a.n[0], a.n[1] = t.n, t.st[0]
    a.k[0], a.k[1], a.k[2], a.k[3] = first, last, distance, base
    SPACED.launch(t, t.dt, &a)


provide("cuda", {"arange": arange, "spaced": spaced})
