"""Blocks of device memory with an owner."""
cimport cython
from ._backend cimport RtBackend, backend_of, peek_backend
from ..errors import OutOfMemoryError


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Storage:
    def __dealloc__(self):
        cdef const RtBackend *b
        if self.got:
            b = peek_backend(self.device & 255)
            b.free(self.device, self.ptr, self.got)

    def __init__(self):
        raise TypeError("Storage objects are made by tensors")

    @property
    def size_bytes(self):
        return self.nbytes

    @property
    def address(self):
        return <size_t>self.ptr


cdef object out_of_memory(size_t nbytes, int device):
    raise OutOfMemoryError(f"allocator: cannot get {nbytes} bytes on device type {device & 255}: not enough memory",
                           op="alloc", nbytes=nbytes)


cdef Storage new_storage(size_t nbytes, int device):
    cdef Storage s = Storage.__new__(Storage)
    cdef const RtBackend *b
    s.device = device
    s.nbytes = nbytes
    if nbytes:
        b = backend_of(device)
        s.ptr = <char *>b.alloc(device, nbytes, &s.got)
        if s.ptr is NULL:
            s.got = 0
            out_of_memory(nbytes, device)
    return s


cdef Storage borrow_storage(char *ptr, size_t nbytes, int device, object owner):
    cdef Storage s = Storage.__new__(Storage)
    s.device = device
    s.nbytes = nbytes
    s.ptr = ptr
    s.owner = owner
    return s
