"""How many threads a line of elements gets: kernels/line.h."""
from libc.stdint cimport int64_t, uintptr_t
from ...tensor._base cimport TensorBase
from .._backend cimport Kernel

cdef enum:
    BLOCK, WARP, LANES

cdef enum:
    SHORT = 1024                                 # elements of a line that a warp takes


cdef inline int64_t blocks(int64_t lines, int64_t per_block) noexcept:
    return (lines + per_block - 1) // per_block


cdef inline int64_t way_of(int64_t n, bint neighbours, int64_t *per_block) noexcept:
    """The way, and the lines of a block. n: elements of a line; neighbours: lines lie side by side."""
    if neighbours:
        per_block[0] = 32
        return LANES
    per_block[0] = 8 if n <= SHORT else 1
    return WARP if n <= SHORT else BLOCK


cdef inline bint aligned(TensorBase t, int64_t nbytes) noexcept:
    return t is None or <uintptr_t>t.ptr % <uintptr_t>nbytes == 0


cdef inline int log2_of(int64_t n) noexcept:
    """The least power of 2 that is not below n."""
    cdef int log = 0
    while <int64_t>1 << log < n:
        log += 1
    return log


cdef struct Short:                               # a line that is kept in registers:
    int64_t log                                  # log2 of its threads
    int count                                    # packs a thread
    int threads, lines                           # of a block


cdef inline bint kept_in(int64_t packs, int few, int many, Short *s) noexcept:
    """How a line of so many packs is kept in registers; False: it is too long. few, many: how many packs a thread may have."""
    cdef int lanes, i, count
    cdef int *turns = [32, 256, 256, 512, 1024]
    for i in range(5):
        lanes = turns[i]
        for count in (few, many):
            if lanes * count >= packs:
                s.log = log2_of(blocks(packs, count))
                s.count = count
                s.threads = max(256, 1 << s.log) if s.log <= 5 else 1 << s.log
                s.lines = s.threads >> s.log
                return True
            if i < 2:
                break
    return False


cdef inline void divisor(int64_t size, int64_t *to) noexcept:
    """The two numbers of an RtDivisor (tensor/kernels/divisor.h): numbers below 2^31 by `size`."""
    cdef int shift = log2_of(size)
    to[0] = ((<int64_t>1 << 32) * ((<int64_t>1 << shift) - size)) // size + 1
    to[1] = shift


cdef inline Kernel variant(dict kernels, str file, str name, int wide, int count):
    """The kernel of a file whose further types are whether packs are read and how many a thread keeps."""
    cdef object key = wide * 64 + count
    found = kernels.get(key)
    if found is None:
        found = kernels[key] = Kernel(file, name, (wide, count))
    return <Kernel>found
