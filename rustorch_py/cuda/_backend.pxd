"""Launches of hand-written kernels from Cython: no Python object between the operator and the driver (Note [Doors in Cython])."""
from libc.stdint cimport int64_t
from ..tensor._base cimport TensorBase

cdef extern from "../../cuda/kernels/plan.h" nogil:            # from tensor/kernels, which every module looks into
    enum: RT_CALL_POINTERS, RT_CALL_INTS, RT_CALL_NUMBERS
    ctypedef struct RtCall:
        char **p
        int64_t *n
        double *k
        int64_t what
        int64_t *fault

cdef enum:
    MAX_DEVICES = 16              # RT_CUDA_MAX_DEVICES
    MAX_DTYPES = 32

cdef class Kernel:
    """A kernel of a file whose first type is a dtype (the others, if any, are `more`), found once a device and dtype.

    Note [Doors in Cython]
    An operator of training steps is too short for Python: its module under ops/ is a .pyx that fills an RtCall on the stack (:func:`point`
    for tensors; n and k are numbers) and calls `launch` of a Kernel made when the module was imported. What is called rarely, or works
    long, stays Python with the function `launch` of _backend. Another device's tensors go to its launcher, if one was named by `elsewhere`.
    """
    cdef readonly str file, name
    cdef readonly tuple more
    cdef void *found[MAX_DEVICES][MAX_DTYPES]
    cdef char *what[MAX_DTYPES]
    # on the current stream of t's device; gx < 0: as many blocks as n[0] threads want
    cdef int launch(self, TensorBase t, int dtype, RtCall *a, int64_t gx=*, int64_t gy=*, int64_t gz=*, unsigned bx=*, unsigned by=*) except -1
    cdef int find(self, int device, int dtype) except -1

ctypedef int (*Launcher)(Kernel kernel, TensorBase t, int dtype, RtCall *a, int64_t gx, int64_t gy, int64_t gz, unsigned bx, unsigned by) except -1
cdef int elsewhere(int device_type, Launcher launcher) except -1      # that launches kernels of these files for another device type's tensors
cdef int point(Kernel kernel, RtCall *a, int i, TensorBase t, TensorBase first) except -1     # p[i] = t's first element, NULL for None
cdef int started() noexcept                                    # devices
cdef int capturing() noexcept                                  # graphs that are captured
cdef size_t stream_handle(int device) noexcept                 # this thread's current stream; 0: the default one
cdef int processors(int device) except -1
cdef int threads_at_once(int device) except -1                 # that one multiprocessor holds
