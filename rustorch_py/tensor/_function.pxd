from cpython.object cimport PyObject

ctypedef object (*CastHook)(object function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
cdef void set_cast_hook(CastHook fn) noexcept
cdef bint get_casting() noexcept
cdef void set_casting(bint on) noexcept
