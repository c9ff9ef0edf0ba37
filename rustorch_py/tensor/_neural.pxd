# Argument reading and checks that the modules of the neural floor share.
from libc.stdint cimport int64_t
from ._base cimport TensorBase

cdef int num_threads() noexcept nogil
# int or sequence of ints -> n numbers; one number is repeated
cdef int read_sizes(object op, object arg, object value, int n, int64_t *out) except -1
cdef bint recording(TensorBase a, TensorBase b, TensorBase c) noexcept
# computed in float32 and rounded once: float16, bfloat16
cdef inline bint is_half(TensorBase t) noexcept:
    return t.dt == 6 or t.dt == 7
cdef object float32_of(object t)                   # recorded conversion
cdef object like_dtype(object t, int dt)           # recorded conversion back
cdef object bad_dtype(object op, TensorBase t)     # raises: no kernel for t's dtype
cdef int need_float(object op, TensorBase t) except -1     # float32 or float64, of a device a 16-bit float too; else raises
cdef inline bint on_cpu(TensorBase t) noexcept:
    return (t.dev & 255) == 0
# 16-bit floats that go by way of float32: those of the CPU, as a device's kernels convert what they read
cdef inline bint by_float32(TensorBase t) noexcept:
    return on_cpu(t) and is_half(t)
# what statistics and sums of t are kept in
cdef inline int stat_dtype(TensorBase t) noexcept:
    return 8 if is_half(t) else t.dt
cdef int together(object op, TensorBase x, TensorBase y) except -1       # y, if there, is on x's device; else raises
cdef int no_memory(object op) except -1
cdef int add_sizes(list numbers, const int64_t *v, int n) except -1       # appends n of them
cdef object sizes_text(TensorBase t)               # "[2, 3]"
cdef object dtype_text(TensorBase t)               # "float32"
# Memory order of images (4-d) and volumes (5-d): does t lie with its channels innermost (PyTorch's suggest_memory_format); t in
# that order or in row-major order, itself when it is there already; an empty one.
cdef bint suggests_last(TensorBase t) noexcept
cdef object one_of(object x)                                # a size given as a number or a sequence of one
cdef bint line_lies_last(TensorBase t) except -1              # the same of signals (N, C, L), seen as images of one row
cdef TensorBase in_order(TensorBase t, bint last)
cdef TensorBase empty_in_order(int nd, const int64_t *sh, int dt, int dev, bint last)
# Gradients of outputs = fn(*inputs) for the inputs that are wanted, through recorded operators: how a hand-written
# node answers create_graph. inputs: tensors or None; g: the outputs' gradients, a list or one.
cdef object pull_back(object fn, list inputs, list wanted, object g)
