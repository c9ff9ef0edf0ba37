from ._base cimport TensorBase

# `indices`: a tensor or None for each of the first dimensions
cdef bint is_truth(TensorBase x) noexcept                     # a mask: bool, or uint8 as PyTorch had it once
cdef int mask_matches(TensorBase self, TensorBase mask, int dim) except -1
cdef list beside_all(TensorBase self, list indices)
cdef int fill_leading_mask(TensorBase t, TensorBase mask, TensorBase v) except -1
cdef TensorBase index_get(TensorBase self, list indices)
cdef int put_into(TensorBase self, list indices, TensorBase values, bint accumulate, str op) except -1
