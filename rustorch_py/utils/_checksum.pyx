# build: sources=crc.c,files.c cold
"""CRC-32 at the speed of memory, and reading and writing large files."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from ..tensor._base cimport TensorBase, rt_itemsize
from ..tensor._cpu cimport rt_num_threads
import os
import zlib

cdef extern from "crc.h" nogil:
    int rt_crc32_fast()
    uint32_t rt_crc32_blocks(uint32_t crc, const uint8_t *p, size_t n)

cdef extern from "files.h" nogil:
    ctypedef struct RtPart:
        uint8_t *to
        size_t nbytes
    int64_t rt_read_parts(int fd, int64_t at, const RtPart *parts, int nparts, int threads, uint32_t *crc)
    void rt_start_writing(int fd, int64_t at, int64_t n)

cdef bint fast = rt_crc32_fast()


def crc32(data, uint32_t value=0):
    """Return what ``zlib.crc32(data, value)`` returns, several times as fast on processors that multiply without carries.

    Args:
        data: contiguous bytes, in any object that lends them.
        value: checksum of what comes before them.
    """
    cdef Py_buffer buffer
    cdef size_t blocks = 0, total
    if fast:
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            total = <size_t>buffer.len
            blocks = total & ~<size_t>15
            if blocks >= 64:
                with nogil:
                    value = ~rt_crc32_blocks(~value, <const uint8_t *>buffer.buf, blocks)
            else:
                blocks = 0
        finally:
            PyBuffer_Release(&buffer)
        if blocks == total:
            return value
        data = memoryview(data).cast("B")[blocks:]
    return zlib.crc32(data, value)


def read_tensors(int fd, int64_t at, list tensors, uint32_t crc):
    """Fill contiguous tensors of the CPU with what lies in a file from `at` on, one after the other, with all threads.

    Returns:
        (bytes read, fewer where the file ends; the checksum of what came before, `crc`, and of these bytes).
    """
    cdef int n = <int>len(tensors), i, threads = rt_num_threads()
    cdef RtPart *parts = <RtPart *>calloc(n + 1, sizeof(RtPart))
    cdef TensorBase t
    cdef int64_t got
    if parts is NULL:
        raise MemoryError()
    try:
        for i in range(n):
            t = tensors[i]
            parts[i].to = <uint8_t *>t.ptr
            parts[i].nbytes = <size_t>(t.n * rt_itemsize(t.dt))
        with nogil:
            got = rt_read_parts(fd, at, parts, n, threads, &crc)
        if got < 0:
            raise OSError(errno, os.strerror(errno))
    finally:
        free(parts)
    return got, crc


def start_writing(int fd, int64_t at, int64_t n):
    """Let the system begin to write a part of a file to the disk: a hint."""
    with nogil:
        rt_start_writing(fd, at, n)
