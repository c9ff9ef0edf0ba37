from ._base_c cimport RtIter, RtArray
cdef int isa_level() noexcept nogil          # RT_ISA_BASE 0, AVX2 1, AVX512 2
cdef int copy_plan(RtIter *it) noexcept nogil
cdef void fill_plan(RtIter *it, const char *value) noexcept nogil
