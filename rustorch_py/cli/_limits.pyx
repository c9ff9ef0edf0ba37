# build: isa=machine.inc.c cold
"""What this machine can do at most: memory bandwidth and multiply-adds, measured."""
import time

from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ..tensor import _cpu

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **p, size_t align, size_t n)

cdef extern from "machine.h" nogil:
    """
    typedef void (*TriadFn)(float *, const float *, const float *, float, int64_t, int, int);
    typedef double (*FlopsFn)(int64_t, int, float *);
    #define PICK_LIMIT(type, name)                                     \\
        static type pick_##name(int level) {                           \\
            static const type each[] = {RT_EACH_LIMIT(TAKE_##name)};   \\
            return each[level];                                        \\
        }
    #define TAKE_triad(isa) rt_triad_##isa,
    #define TAKE_flops(isa) rt_fma_flops_##isa,
    PICK_LIMIT(TriadFn, triad)
    PICK_LIMIT(FlopsFn, flops)
    """
    ctypedef void (*TriadFn)(float *, const float *, const float *, float, int64_t, int, int) noexcept nogil
    ctypedef double (*FlopsFn)(int64_t, int, float *) noexcept nogil
    TriadFn pick_triad(int level)
    FlopsFn pick_flops(int level)


def triad_bytes_per_second(int threads, int64_t n=32_000_000, int repeats=7):
    """Return the best rate of a STREAM triad ``a = b + s * c`` over float32, in bytes per second.

    Args:
        threads: how many run it.
        n: elements an array; three arrays should exceed the last cache several times.
        repeats: of plain stores and of stores past the cache; the best counts, as in STREAM.
    Raises:
        MemoryError: no room for three arrays.
    """
    cdef float *a[3]
    cdef int stream
    cdef TriadFn fn = pick_triad(_cpu.LEVELS.index(_cpu.best_simd_level()))
    best = float("inf")
    for i in range(3):
        a[i] = NULL
    try:
        for i in range(3):
            if posix_memalign(<void **>&a[i], 64, n * sizeof(float)):
                raise MemoryError(f"triad_bytes_per_second: no room for three arrays of {n} floats")
            memset(a[i], 0, n * sizeof(float))
        for i in range(2 * repeats):
            stream = i & 1
            start = time.perf_counter()
            with nogil:
                fn(a[0], a[1], a[2], 3.0, n, threads, stream)
            best = min(best, time.perf_counter() - start)
    finally:
        for i in range(3):
            free(a[i])
    return 3 * sizeof(float) * n / best


def fma_flops_per_second(int threads, int64_t steps=4_000_000, int repeats=7):
    """Return the best rate of independent float32 multiply-adds in registers, in operations per second."""
    cdef float sink = 0
    cdef double done = 0
    cdef FlopsFn fn = pick_flops(_cpu.LEVELS.index(_cpu.best_simd_level()))
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        with nogil:
            done = fn(steps, threads, &sink)
        best = min(best, time.perf_counter() - start)
    return done / best
