cdef class dtype:
    cdef readonly int code
    cdef readonly str name
    cdef readonly int itemsize
cdef dtype dtype_of(int code)                       # interned object of a code
cdef int dtype_code(object op, object d) except -1  # dtype object or Python type -> code; TypeError
cdef int default_code() noexcept                    # default float dtype
cdef int default_complex() noexcept
cdef int check_stored(object op, int dt) except -1  # refuse a stored dtype unless op takes it
cdef int promote(int a, int b) except -1            # result dtype of two dtypes (no categories)
cdef int device_code(object op, object d) except -1 # device, str, int or None -> code
cdef object device_of(int code)                     # interned device object
cdef str torch_name(int code)                       # "Float", "Long": as in PyTorch's messages
cdef bint castable(int src, int dst) noexcept       # may a result of src be written to dst?
