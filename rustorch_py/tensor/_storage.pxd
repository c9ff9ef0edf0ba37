from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    EXPORTED = 1 << 30        # added to `exports` once

cdef class Storage:
    """A block of memory on one device. Leaf object: owns `owner`, nothing refers back."""
    cdef char *ptr            # first byte; NULL when nbytes == 0
    cdef size_t nbytes        # bytes the tensors may use
    cdef size_t got           # bytes the allocator handed out (0: memory belongs to `owner`)
    cdef int device           # RT_DEVICE(type, index)
    cdef uint32_t version     # bumped by every in-place write of a tensor on it
    cdef uint32_t exports     # who holds the address outside: buffers while they live, EXPORTED for good
    cdef uint64_t writes      # every write, those of `.data` too: Note [Kept operands] in kernels/kept.h
    cdef void *kept           # RtKept, or NULL
    cdef bint readonly        # borrowed from a read-only buffer
    cdef object owner         # whatever keeps foreign memory alive (NumPy array, capsule)
    cdef object __weakref__

cdef inline void written(Storage s) noexcept:
    s.version += 1
    s.writes += 1

# Somebody got the address and may write at any time.
cdef inline void export_for_good(Storage s) noexcept:
    s.exports |= EXPORTED

# Uninitialised block; raises OutOfMemoryError.
cdef Storage new_storage(size_t nbytes, int device)
# Foreign memory kept alive by `owner`.
cdef Storage borrow_storage(char *ptr, size_t nbytes, int device, object owner)
