from cpython.object cimport PyObject

ctypedef object (*CastHook)(object function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
cdef void set_cast_hook(CastHook fn) noexcept
cdef bint get_casting() noexcept
cdef void set_casting(bint on) noexcept
cdef bint unwatched() noexcept     # no autocast or mode has a say in this thread's calls: steps of several operators on plain Tensors may be one

# A call of positional arguments that needs no tuple around them; None: these arguments are for the function itself.
ctypedef object (*PlainCall)(PyObject *const *args, Py_ssize_t n)
cdef int set_plain_call(object fn, PlainCall call) except -1     # before `public` makes fn's face
