# build: isa=vfun.inc.c,ew_f32.inc.c,ew_f64.inc.c,ew_int.inc.c,ew_int2.inc.c,half_loops.inc.c,reduce_float.inc.c,reduce_int.inc.c,cast.inc.c,copy.inc.c,chain.inc.c sources=cpu.c,reduce.c,fuse.c,cast_stored.c,alloc.c,special.c,ew_c64.c,ew_c128.c,ew_16.c
"""The CPU back end: registers itself; instruction set, threads and the host allocator's switches."""
import os

from libc.stdint cimport int32_t, int64_t
from ._backend cimport RtBackend, register_backend

cdef extern from "cpu.h" nogil:
    ctypedef struct RtPoolStats:
        int64_t in_use, in_use_peak, cached, allocs, hits, misses, frees
    void rt_cpu_init()
    int rt_forked()
    int rt_cpu_best_isa()
    int rt_cpu_set_isa(int level)
    int rt_cpu_copy(RtIter *it)
    void rt_cpu_copies(RtIter *list, int64_t count)
    int rt_cpu_loop(RtIter *it, RtLoop fn, const int32_t *want, int cost, const double *k)
    ctypedef void (*RtCast)(char *dst, int64_t dst_step, const char *src, int64_t src_step, int64_t n) noexcept nogil
    RtCast rt_cast_of(int from_, int to)
    void rt_cpu_fill(RtIter *it, const char *value)
    const RtBackend *rt_cpu_backend()
    void rt_pool_enable(int on)
    int rt_pool_enabled()
    void rt_pool_trim()
    void rt_pool_stats(RtPoolStats *out)
    void rt_pool_reset_peak()
    int team_size "rt_num_threads"()
    void rt_set_threads(int n)

cdef extern from "fuse.h" nogil:
    ctypedef struct RtFuse:
        pass
    int rt_cpu_fuse(RtIter *it, const RtFuse *fuse)
    void rt_cpu_wants(int kernel, int loop_dtype, int nargs, int32_t *want)

cdef extern from *:
    """
    #ifdef _OPENMP
    #define rt_openmp() 1
    #else
    #define rt_openmp() 0
    #endif
    """
    int rt_openmp() nogil

cdef extern from *:
    """
    /* MXCSR bit 15: results flush to zero; bit 6: denormal inputs read as zero. A new thread takes the word over from
     * the one that starts it, so the team that exists and the calling thread are all that must be told. */
    #if defined(__SSE2__)
    #include <xmmintrin.h>
    static int rt_flush_denormal(int on) {
    #ifdef _OPENMP
    #pragma omp parallel num_threads(rt_num_threads())
    #endif
        {
            _mm_setcsr(on ? _mm_getcsr() | 0x8040 : _mm_getcsr() & ~0x8040u);
    #ifdef _OPENMP
    #pragma omp barrier      /* none does another's share: Note [Regions] in region.c */
    #endif
        }
        return 1;
    }
    static int rt_flushes_denormal(void) { return (_mm_getcsr() & 0x8040) == 0x8040; }
    #else
    static int rt_flush_denormal(int on) { (void)on; return 0; }
    static int rt_flushes_denormal(void) { return 0; }
    #endif
    """
    int rt_flush_denormal(int on) nogil
    int rt_flushes_denormal() nogil

LEVELS = ("baseline", "avx2", "avx512")
cdef int level = 0
cdef bint fixed = False


cdef int isa_level() noexcept nogil:
    return level


cdef int rt_num_threads() noexcept nogil:
    return team_size()


cdef bint fixed_split() noexcept nogil:
    return fixed


def set_fixed_split(bint on):
    """Cut all work by its size alone, so that results do not depend on the number of threads."""
    global fixed
    fixed = on


cdef int copy_plan(RtIter *it) noexcept nogil:
    return rt_cpu_copy(it)


cdef void copy_plans(RtIter *list_, int64_t count) noexcept nogil:
    rt_cpu_copies(list_, count)


cdef int loop_plan(RtIter *it, RtLoop fn, const int32_t *want, int cost, const double *k) noexcept nogil:
    return rt_cpu_loop(it, fn, want, cost, k)


cdef int fuse_plan(RtIter *it, const void *fuse) noexcept nogil:
    return rt_cpu_fuse(it, <const RtFuse *>fuse)


cdef void loop_wants(int kernel, int loop_dtype, int nargs, int32_t *want) noexcept nogil:
    rt_cpu_wants(kernel, loop_dtype, nargs, want)


cdef void fill_plan(RtIter *it, const char *value) noexcept nogil:
    rt_cpu_fill(it, value)


cdef void cast_one(char *dst, int to, const char *src, int from_) noexcept nogil:
    rt_cast_of(from_, to)(dst, 0, src, 0, 1)


def simd_level():
    """Return the instruction set in force: "baseline", "avx2" or "avx512"."""
    return LEVELS[level]


def best_simd_level():
    """Return the widest instruction set that this processor and build offer."""
    return LEVELS[rt_cpu_best_isa()]


def set_simd_level(name):
    """Choose the instruction set by name; a set that the processor lacks is refused.

    Args:
        name: "baseline", "avx2" or "avx512".
    Raises:
        ValueError: unknown or unsupported level.
    """
    global level
    if name not in LEVELS:
        raise ValueError(f"set_simd_level: expected one of {', '.join(LEVELS)}, got {name!r}")
    wanted = LEVELS.index(name)
    if wanted > rt_cpu_best_isa():
        raise ValueError(f"set_simd_level: this processor has no {name}; its best level is {best_simd_level()}")
    level = rt_cpu_set_isa(wanted)


def set_simd_enabled(enabled):
    """Use the widest instruction set (True) or the portable baseline (False)."""
    set_simd_level(best_simd_level() if enabled else "baseline")


def get_num_threads():
    """Return the number of threads that a large CPU operator may use."""
    return team_size()


def set_num_threads(int n):
    """Set the number of threads of CPU operators, whichever Python thread calls them.

    A forked process computes on one thread (its parent's team did not come along): more are refused there
    with a warning; start workers with "spawn" or "forkserver" to let them use several.

    Raises:
        RuntimeError: n is not positive.
    """
    if n <= 0:
        raise RuntimeError(f"set_num_threads: expected a positive integer, got {n}")
    if n > 1 and rt_forked():
        import warnings
        warnings.warn("set_num_threads: a forked process computes on one thread; start it with \"spawn\" to use more", stacklevel=2)
        return
    rt_set_threads(n)


def set_flush_denormal(bint mode):
    """Read and write numbers too small for full precision as zero; return whether the processor can.

    Holds for the calling thread and the threads of CPU operators.
    """
    return bool(rt_flush_denormal(mode))


def get_flush_denormal():
    """Tell whether the calling thread treats denormal numbers as zero."""
    return bool(rt_flushes_denormal())


def has_openmp():
    """Tell whether the package was built with OpenMP."""
    return bool(rt_openmp())


def pool_enable(bint on):
    rt_pool_enable(on)


def pool_enabled():
    return bool(rt_pool_enabled())


def pool_trim():
    rt_pool_trim()


def pool_stats():
    cdef RtPoolStats s
    rt_pool_stats(&s)
    return {"allocated_bytes.current": s.in_use, "allocated_bytes.peak": s.in_use_peak, "cached_bytes": s.cached,
            "allocations": s.allocs, "cache_hits": s.hits, "cache_misses": s.misses, "frees": s.frees,
            "pool_enabled": bool(rt_pool_enabled())}


def pool_in_use():
    """Return the bytes in use, for the profiler."""
    cdef RtPoolStats s
    rt_pool_stats(&s)
    return s.in_use


def pool_reset_peak():
    rt_pool_reset_peak()


rt_cpu_init()
level = rt_cpu_best_isa()
register_backend(0, rt_cpu_backend())
if os.environ.get("RUSTORCH_SIMD"):
    set_simd_level(os.environ["RUSTORCH_SIMD"].lower())
if os.environ.get("RUSTORCH_NUM_THREADS"):
    try:
        set_num_threads(int(os.environ["RUSTORCH_NUM_THREADS"]))
    except (ValueError, RuntimeError):
        raise ValueError(f"RUSTORCH_NUM_THREADS: expected a positive integer, got {os.environ['RUSTORCH_NUM_THREADS']!r}") from None
