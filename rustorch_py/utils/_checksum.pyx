# build: sources=crc.c cold
"""CRC-32 at the speed of memory."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t
import zlib

cdef extern from "crc.h" nogil:
    int rt_crc32_fast()
    uint32_t rt_crc32_blocks(uint32_t crc, const uint8_t *p, size_t n)

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
