# cython: preliminary_late_includes_cy28=True
"""Blocks of device memory with an owner."""
cimport cython
from cpython.object cimport PyTypeObject
from ._backend cimport RtBackend, backend_of, peek_backend
from ..errors import DeviceError, OutOfMemoryError



cdef extern from *:
    """
    #include "kept.h"
    static destructor rt_storage_dealloc_fields;
    static void (*rt_storage_give_back)(int, char *, size_t);
    static void rt_storage_dealloc(PyObject *o) {        /* no __dealloc__: Cython saves and restores the exception around it */
        struct __pyx_obj_11rustorch_py_6tensor_8_storage_Storage *s = (void *)o;
        if (s->kept) rt_kept_free(s->kept);
        if (s->got) rt_storage_give_back(s->device, s->ptr, s->got);
        rt_storage_dealloc_fields(o);
    }
    static int rt_take_storage_type(PyTypeObject *type, void (*give_back)(int, char *, size_t)) {
        rt_storage_give_back = give_back;
        rt_storage_dealloc_fields = type->tp_dealloc;
        type->tp_dealloc = rt_storage_dealloc;
        return 0;
    }
    """
    int rt_take_storage_type(PyTypeObject *type, void (*give_back)(int, char *, size_t) noexcept) except -1


cdef void give_back(int device, char *ptr, size_t got) noexcept:
    peek_backend(device & 255).free(device, ptr, got)


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Storage:
    def __init__(self):
        raise TypeError("Storage objects are made by tensors")

    @property
    def size_bytes(self):
        return self.nbytes

    @property
    def address(self):
        export_for_good(self)
        return <size_t>self.ptr


rt_take_storage_type(<PyTypeObject *>Storage, give_back)


cdef object out_of_memory(size_t nbytes, int device):
    cdef const char *why = backend_of(device).last_error()
    if device and why is not NULL and why[0]:
        if why[:18] == b"CUDA out of memory" or why[:25] == b"MPS backend out of memory":
            raise OutOfMemoryError(why.decode(errors="replace"), op="alloc", nbytes=nbytes)
        raise DeviceError(f"allocator: {why.decode(errors='replace')}", op="alloc")
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
