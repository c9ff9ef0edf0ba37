from libc.stdint cimport int64_t, uint64_t

# Packed forms of weights that stay between calls: Note [Kept operands] in kernels/kept.h.
cdef extern from "kept.h" nogil:
    enum: RT_KEPT_KEY
    ctypedef struct RtKept:
        void *data
    RtKept *rt_kept_find(void **slot, const int64_t *key, uint64_t writes, int *make)
    RtKept *rt_kept_put(void **slot, const int64_t *key, uint64_t writes, void *data)
    void rt_kept_done(RtKept *kept)

# What a form is of: the first word of its key, beside the instruction set and the dtype.
cdef enum:
    KEPT_LINEAR = 1
    KEPT_SCAN
    KEPT_CONV
