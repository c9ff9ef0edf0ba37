from ._base cimport TensorBase

# What a factory fills: `out` resized, or a new tensor. size: positional ints or one sequence.
cdef TensorBase make(object op, tuple size, object kw_size, object out, object dtype, object layout, object device, object pin_memory)
# Uninitialised, in input's shape and (memory_format None) stride order.
cdef TensorBase like(object op, object input, object dtype, object layout, object device, object memory_format)
# Set requires_grad and return t; refuses integer dtypes.
cdef object finish(object op, TensorBase t, bint requires_grad, object names=*)
# Refuses layouts other than strided, and pinned memory.
cdef int check_layout(object op, object layout, object pin_memory) except -1
