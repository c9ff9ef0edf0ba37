# build: cold
"""The device "meta": tensors with shape, dtype and strides and no elements. Every operator computes what its result looks like.

Note [Meta]
Nothing here looks at an operator. A device's tensors are never read by the host (Note [Operators of devices] in _devices.py), so it is
enough that this back end's doors do nothing, and that :func:`._doors.run` finds a kernel for every name that does nothing either. Addresses
are numbers that no memory has, one after the other, so that tensors overlap where PyTorch's would and a stray read ends at once.
"""
from libc.stdint cimport uint8_t
from ._backend cimport RtBackend, register_backend, RT_META
from ._base cimport TensorBase, RtIter, RtArray, empty, RT_F32
from ._devices import begin
from ._doors import provide
from ..errors import UnsupportedOpError

cdef extern from *:
    """
    #include <stdint.h>
    #include <stddef.h>
    static uint64_t rt_meta_next = (uint64_t)1 << 62;          /* no address of a process */
    static void *rt_meta_alloc(int device, size_t nbytes, size_t *got) {
        (void)device; *got = 0;                                 /* nothing to give back */
        return (void *)(uintptr_t)__atomic_fetch_add(&rt_meta_next, ((uint64_t)nbytes + 63) & ~(uint64_t)63, __ATOMIC_RELAXED);
    }
    """
    void *rt_meta_alloc(int device, size_t nbytes, size_t *got) noexcept nogil

cdef RtBackend door


cdef void release(int device, void *ptr, size_t got) noexcept nogil:
    pass


cdef int copied(int dst_device, void *dst, int src_device, const void *src, size_t nbytes) noexcept nogil:
    return 0


cdef int elementwise(int device, int kernel, int loop_dtype, RtIter *it, const double *k) noexcept nogil:
    return 0


cdef int reduced(int device, int row, int acc_dtype, const RtArray *out, const RtArray *arr, const uint8_t *gone, const double *k) noexcept nogil:
    return 0


cdef int multiplied(int device, const RtArray *out, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta) noexcept nogil:
    return 0


cdef int converted(int device, RtIter *it) noexcept nogil:
    return 0


cdef int filled(int device, RtIter *it, const char *value) noexcept nogil:
    return 0


cdef int waited(int device) noexcept nogil:
    return 0


cdef const char *last_error() noexcept nogil:
    return b""


def _number(TensorBase t, *args):
    """A number beside t, for kernels that give one."""
    return empty(0, NULL, RT_F32, t.dev)


def _one(TensorBase t):
    return empty(0, NULL, t.dt, t.dev)


def _clip_factor(TensorBase norm, *args):
    return empty(0, NULL, norm.dt, norm.dev)


def _counts(TensorBase t, *args):
    raise UnsupportedOpError("nonzero: the shape of the result is in the elements, which tensors on 'meta' do not have", op="nonzero")



def plug_in():
    """Register the back end; returns None."""
    door.name = b"meta"
    door.alloc, door.free, door.copy = rt_meta_alloc, release, copied
    door.elementwise, door.reduce, door.gemm = elementwise, reduced, multiplied
    door.convert, door.fill, door.synchronize, door.last_error = converted, filled, waited, last_error
    register_backend(RT_META, &door)
    provide("meta", {"one": _one, "optim_norm": _number, "clip_factor": _clip_factor, "nonzero": _counts})
    begin()
