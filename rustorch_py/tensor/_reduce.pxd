from cpython.object cimport PyObject

# amax and amin with their gradient: dim None or a tuple, out a tensor or None
cdef object extremum(str op, int row, object input, object dim, bint keepdim, object out)
# all elements of one tensor (PlainCall): the faces of max and min
cdef object plain_max(PyObject *const *args, Py_ssize_t n)
cdef object plain_min(PyObject *const *args, Py_ssize_t n)
