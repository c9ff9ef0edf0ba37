from libc.stdint cimport int64_t
from ._base cimport TensorBase

# act(linear(x, weight, bias)), or None where the caller has to compose it: something is recorded, or refused with an error of its own
cdef object linear_act(object x, object weight, object bias, int act)
# every element of a vector times every one of another, recorded
cdef TensorBase outer_(TensorBase a, TensorBase b)
cdef int agree(object op, TensorBase a, TensorBase b) except -1
cdef object raise_product(object op, int64_t m, int64_t k, int64_t k2, int64_t n)
cdef object raise_devices(object op, TensorBase a, TensorBase b)
cdef int check_batches(object op, TensorBase a, TensorBase b) except -1
