from ._base cimport TensorBase

cdef bint overlaps(TensorBase a, TensorBase b) noexcept         # their memory ranges meet
cdef bint same_strides(TensorBase a, TensorBase b) noexcept     # of dimensions larger than one
cdef bint is_dense(TensorBase t) noexcept                       # its elements fill a block of memory, in any order
cdef int refuse_overlap(object op, TensorBase out, TensorBase x, bint same) except -1   # raise where two dense blocks share a part; same: also where they are one
