from libc.stdint cimport int64_t
from cpython.object cimport PyObject
from ._base cimport TensorBase
# differentiable views; all share memory
cdef TensorBase select_view(TensorBase t, int dim, int64_t index)
cdef TensorBase slice_view(TensorBase t, int dim, int64_t start, int64_t length, int64_t step)
cdef TensorBase take_geometry(TensorBase t, TensorBase v)                     # t itself becomes the view v
cdef TensorBase unsqueeze_view(TensorBase t, int dim)
cdef TensorBase permute_view(TensorBase t, const int *order)
cdef TensorBase transpose_view(TensorBase t, int a, int b)
cdef TensorBase transpose_last(TensorBase t, object op)
cdef TensorBase t_reverse(TensorBase t)
cdef TensorBase reshape_view(TensorBase t, int nd, const int64_t *sh)        # view or copy, as torch.reshape
cdef TensorBase try_view(TensorBase t, int nd, const int64_t *sh)            # None when the strides forbid it
cdef int parse_shape(object op, tuple args, int64_t *sh) except -1           # (2, 3) or ((2, 3),) -> ndim
cdef int to_c(tuple shape, int64_t *sh) except -1                           # -> ndim
cdef int plain_sizes(PyObject *const *args, Py_ssize_t n, int64_t *sh) noexcept   # ints or one tuple of ints -> ndim; else -1
