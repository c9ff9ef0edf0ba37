from libc.stdint cimport int32_t, int64_t
from ._base_c cimport RtIter, RtArray

ctypedef void (*RtLoop)(char **p, const int64_t *step_bytes, int64_t n, const double *k) noexcept nogil

cdef int isa_level() noexcept nogil          # RT_ISA_BASE 0, AVX2 1, AVX512 2
cdef int rt_num_threads() noexcept nogil     # threads that an operator may use; kernels of other modules are told
cdef bint fixed_split() noexcept nogil      # results may not depend on the number of threads
cdef int copy_plan(RtIter *it) noexcept nogil
cdef void copy_plans(RtIter *list_, int64_t count) noexcept nogil     # copies that do not touch one another's memory
cdef void cast_one(char *dst, int to, const char *src, int from_) noexcept nogil      # convert one element between any two dtypes
cdef void fill_plan(RtIter *it, const char *value) noexcept nogil
cdef int loop_plan(RtIter *it, RtLoop fn, const int32_t *want, int cost, const double *k) noexcept nogil   # a plugin's loop
cdef int fuse_plan(RtIter *it, const void *fuse) noexcept nogil        # an RtFuse: Note [Fused loops] in kernels/fuse.h
cdef void loop_wants(int kernel, int loop_dtype, int nargs, int32_t *want) noexcept nogil       # dtypes that a row's loop takes, the result first
