# Operators that record themselves: rows of the table, and writing in place. Those of `_copies` come from here as well.
from libc.stdint cimport int64_t, uint8_t
from ._base cimport TensorBase
from ._node cimport Node
from ._copies cimport (cast, contiguous, clone, to_device, detach, expand_to, expand_tuple, sum_to, sum_to_many, sum_like, sum_mask, reduce_sum,
                       track_view, drop_view)

cdef bint profiling() noexcept       # a profile runs, which shall see every operator

# ---- rows ----
cdef object unary(int row, object x, object out)
cdef object unary_k(int row, object x, object out, double k0, double k1)
cdef object unary_inplace(int row, object x)
cdef object unary_inplace_k(int row, object x, double k0, double k1)
cdef object binary(int row, object x, object y, object out)
cdef object binary_k(int row, object x, object y, object out, double k0)
cdef object binary_inplace(int row, object x, object y)
cdef object binary_inplace_k(int row, object x, object y, double k0)
cdef object binary_inplace_called(int row, object x, object y, double k0, str label)    # the gradient goes by that name
cdef object ternary(int row, object x, object y, object z, object out, double k0)
cdef object ternary_inplace(int row, object x, object y, object z, double k0)
cdef object binary_slot(int row, object x, object y)         # NotImplemented for foreign types

cdef TensorBase copy_into(TensorBase dst, TensorBase src)    # dst.copy_(src): in-place rules, history, version
cdef TensorBase operand(object op, object x, int dev)        # tensor, or a number wrapped; TypeError

# ---- out= and in-place ----
# Tensor to write a result of `dt` and shape into: `out` checked and resized, or a new one.
cdef TensorBase alloc_out(object op, object out, int nd, const int64_t *sh, int dt, int dev)
cdef object deliver(object op, TensorBase result, object out)          # result, or out holding it
cdef int inplace_begin(object op, TensorBase t) except -1              # leaf, overlap and inference rules
cdef int inplace_end(TensorBase t, Node node) except -1                # version; node None or already attached to t's old history
cdef int go_on_retaining(TensorBase t) except -1       # t, which retains its gradient, has a new history
cdef bint recording(TensorBase a, TensorBase b, TensorBase c) noexcept
cdef int resize_(TensorBase t, int nd, const int64_t *sh) except -1
cdef TensorBase same_history(TensorBase copy, TensorBase t)   # copy stands for t in the graph
cdef int check_inplace_shape(object op, TensorBase t, int nd, const int64_t *sh) except -1
cdef int check_inplace_dtype(object op, TensorBase t, int dt) except -1
ctypedef int (*RebaseHook)(TensorBase, Node) except -1
cdef void set_rebase_hook(RebaseHook fn)
