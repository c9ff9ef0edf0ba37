from ._base cimport TensorBase

# The tensor a factory fills: `out` resized, or a new one.
cdef TensorBase room(str op, tuple size, object kw_size, object out, object dtype, object layout, object device, object pin_memory)
