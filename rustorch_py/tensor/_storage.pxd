from libc.stdint cimport int64_t, uint32_t

cdef class Storage:
    """A block of memory on one device. Leaf object: owns `owner`, nothing refers back."""
    cdef char *ptr            # first byte; NULL when nbytes == 0
    cdef size_t nbytes        # bytes the tensors may use
    cdef size_t got           # bytes the allocator handed out (0: memory belongs to `owner`)
    cdef int device           # RT_DEVICE(type, index)
    cdef uint32_t version     # bumped by every in-place write of a tensor on it
    cdef bint readonly        # borrowed from a read-only buffer
    cdef object owner         # whatever keeps foreign memory alive (NumPy array, capsule)
    cdef object __weakref__

# Uninitialised block; raises OutOfMemoryError.
cdef Storage new_storage(size_t nbytes, int device)
# Foreign memory kept alive by `owner`.
cdef Storage borrow_storage(char *ptr, size_t nbytes, int device, object owner)
