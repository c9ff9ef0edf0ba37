"""Reduction operators that MPI lacks: sums, products and extremes of 16-bit floats, through the tensor core's own loops.

MPI hands a piece of a message as two buffers; each call is one launch over them, on memory as it lies.
"""
from cpython.buffer cimport Py_buffer, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t
from ..tensor._backend cimport RT_CPU
from ..tensor._base cimport TensorBase, new_tensor, rt_compute_dtype, rt_itemsize, set_dims
from ..tensor._dtype cimport dtype_code
from ..tensor._plan cimport launch
from ..tensor._storage cimport borrow_storage

include "../tensor/_row_ids.pxi"


cdef TensorBase over(char *ptr, int64_t n, int dt):
    """A flat tensor over memory that outlives it."""
    cdef TensorBase t = new_tensor()
    t.stor = borrow_storage(ptr, <size_t>(n * rt_itemsize(dt)), RT_CPU, None)
    t.ptr = ptr
    t.dt = dt
    t.dev = RT_CPU
    set_dims(t, 1, &n, NULL)
    return t


cdef class Combine:
    """What ``MPI.Op.Create`` calls: ``inout = in ∘ inout`` for one dtype.

    Args:
        name: sum, product, min or max.
        dtype: element type of the buffers.
    """
    cdef int row, dt

    def __init__(self, str name, dtype):
        self.row = {"sum": ROW_ADD, "product": ROW_MUL, "min": ROW_MINIMUM, "max": ROW_MAXIMUM}[name]
        self.dt = dtype_code("distributed", dtype)

    def __call__(self, source, target, datatype):
        cdef Py_buffer a, b
        cdef int64_t n
        cdef TensorBase x, y
        PyObject_GetBuffer(source, &a, PyBUF_SIMPLE)
        try:
            PyObject_GetBuffer(target, &b, PyBUF_SIMPLE | PyBUF_WRITABLE)
            try:
                n = b.len // rt_itemsize(self.dt)
                if n:
                    x = over(<char *>a.buf, n, self.dt)
                    y = over(<char *>b.buf, n, self.dt)
                    launch(4 * self.row, rt_compute_dtype(self.dt), y, x, y, None, None, None, 0, 0)
            finally:
                PyBuffer_Release(&b)
        finally:
            PyBuffer_Release(&a)
