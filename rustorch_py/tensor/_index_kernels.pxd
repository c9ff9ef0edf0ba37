from libc.stdint cimport int64_t, int32_t, uint8_t
from ._base cimport TensorBase
from ._base_c cimport RtArray, RtIter

cdef extern from "index.h" nogil:
    ctypedef struct RtIndexPlan:
        char *dst
        const char *src
        const int64_t *off
        int64_t n_off
        int64_t mul
        int64_t j_step
        int nb
        int na
        int64_t b_shape[64]
        int64_t b_dst[64]
        int64_t b_src[64]
        int64_t a_shape[64]
        int64_t a_dst[64]
        int64_t a_src[64]
    enum: RT_IX_GET, RT_IX_SET, RT_IX_ADD, RT_IX_MUL, RT_IX_MAX, RT_IX_MIN

cdef TensorBase flat_index(TensorBase index)                 # as contiguous int64
# position of the first index outside [low, high), -1: none
cdef int64_t outside(TensorBase flat, int64_t low, int64_t high) noexcept
cdef void add_offsets(TensorBase flat, int64_t size, int64_t step_bytes, bint add, TensorBase off) noexcept    # off (+)= index * step
cdef void run_plan(int op, int dt, RtIndexPlan *p) noexcept
# int64 copy of an index tensor, contiguous, checked against [low, high) (DimError naming dim)
cdef TensorBase checked_index(str op, TensorBase index, int64_t low, int64_t high, int64_t dim, int64_t size)
cdef bint within(TensorBase index, int64_t low, int64_t high)     # every index of an int64 tensor in [low, high)?
# dst[b, j, a] = src[b, index[j], a] or the reverse with `op`, along dim; geometry of t sides given by the tensors
cdef int run_along(int op, TensorBase dst, TensorBase src, TensorBase index, int dim) except -1
cdef bint run_gather(int op, TensorBase dst, TensorBase src, TensorBase index, int dim, int64_t size) except -1   # False: an index outside [0, size)
# take (GET) or put at flat positions of t (row-major order of its elements): dst and src 1-d on the other side
cdef int run_flat(int op, TensorBase t, TensorBase other, TensorBase flat) except -1
cdef TensorBase true_positions(TensorBase mask)             # flat int64 positions of a bool tensor's true elements
cdef TensorBase true_coordinates(TensorBase mask)           # (n, nd) of the same
cdef TensorBase take_true(TensorBase t, TensorBase mask)    # t[mask] of contiguous tensors of one size
cdef bint fill_there(TensorBase out, TensorBase t, TensorBase mask, TensorBase value) except -1     # the same into out, if value is the host's
cdef int fill_masked(TensorBase t, TensorBase mask, TensorBase value) except -1   # mask broadcastable to t; value: one element of t's dtype
cdef int copy_geometry(TensorBase dst, TensorBase src, int64_t offset, const int64_t *src_steps) except -1     # in elements
cdef int copy_triangle(TensorBase dst, TensorBase src, bint upper, int64_t k) except -1   # both contiguous
cdef int copy_list(list to, list source) except -1          # to[i] <- source[i], of one shape
cdef int cat_slab(TensorBase out, int64_t at, TensorBase t, int dim) except -1    # same dtype, both contiguous
cdef int repeat_slab(TensorBase out, TensorBase t, int dim, int64_t times) except -1    # both contiguous; each slice along dim `times` times
cdef bint on_device(TensorBase t) noexcept                   # not the CPU's
cdef int need_same(str op, TensorBase a, TensorBase b) except -1      # raise unless both are on one device
cdef TensorBase beside(TensorBase x, TensorBase t)          # x on t's device, without history
cdef str sizes(TensorBase t)                                # "[2, 3]", as torch's messages spell shapes
cdef object raise_bounds(int64_t i, int64_t dim, int64_t size)
cdef bint roll_slabs(TensorBase out, TensorBase t, int dim, int64_t by) except -1
