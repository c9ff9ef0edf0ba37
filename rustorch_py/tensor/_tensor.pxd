from ._base cimport TensorBase
cdef class Tensor(TensorBase):
    pass
