from ._base cimport TensorBase

# t[key] and t[key] = value, all of torch's forms.
cpdef object getitem(TensorBase self, object key)
cdef object view_of_key(TensorBase self, object key)          # of ints and slices; None: another key
cpdef int setitem(TensorBase self, object key, object value) except -1
