from libc.stdint cimport int64_t
from ._base cimport TensorBase

# A new tensor from numbers, nested sequences, arrays or tensors; dt -1: inferred as torch.tensor does.
cdef TensorBase from_data(object data, int dt, int dev)
cdef object ndarray_type()                          # numpy.ndarray, or None while NumPy is not imported
# A tensor over an array's memory (no copy). Raises what torch.from_numpy raises.
cdef TensorBase share_array(object array, bint warn_readonly)
cdef int set_requires_grad(TensorBase t, bint on) except -1
