"""Work along one dimension: geometry, gathering by position, order. For _argreduce, _sort, _scan, _stats."""
from libc.stdint cimport int64_t, uint8_t
from ._base cimport TensorBase
from ._node cimport Node

cdef extern from "lane.h" nogil:
    ctypedef struct RtLane:
        int64_t outer
        int64_t L
        int64_t inner
    enum: RT_SELECT_KTH, RT_SELECT_MEDIAN, RT_SELECT_NANMEDIAN

# Lane geometry of a contiguous tensor along `dim`; a 0-dim tensor is one lane of one element.
cdef RtLane lane_of(TensorBase t, int dim) noexcept
# An uninitialised tensor of t's shape with `size` along `dim` (removed when size < 0).
cdef TensorBase empty_resized(TensorBase t, int dim, int64_t size, int dt)
# Values without history. computable: a 16-bit float as float32; dense: contiguous; else t itself.
cdef TensorBase computable(TensorBase t)
cdef TensorBase dense(TensorBase t)

# values[o,j,i] = x[o, idx[o,j,i], i]: records its gradient under the name `label`.
# The result has idx's shape; idx is contiguous.
cdef TensorBase take_lane(TensorBase x, TensorBase idx, int dim, str label, TensorBase taken=*)
# The transpose: sums g into zeros of `shape` at idx along `dim`.
cdef TensorBase put_lane(TensorBase g, TensorBase idx, int dim, tuple shape, bint distinct=*)

# Positions along `dim` (int64). NaN is the largest value; ties in order of position.
cdef TensorBase order_sort(TensorBase x, int dim, bint descending, TensorBase values=*)
cdef TensorBase order_topk(TensorBase x, int dim, int64_t k, bint largest, bint in_order)
cdef TensorBase order_select(TensorBase x, int dim, int64_t k, int how, bint keepdim)
cdef TensorBase order_mode(TensorBase x, int dim, bint keepdim)

# Raise unless the tensor is on the CPU / real; `name` is PyTorch's name of the kernel.
cdef int need_cpu(object op, TensorBase t) except -1
cdef int need_nonempty_dim(object op, TensorBase t, int dim) except -1
# Two results as the named pair `kind`, or copied into the pair out=.
cdef object into_pair(object op, object kind, object out, TensorBase first, TensorBase second)
cdef int refuse_complex(object op, TensorBase t) except -1
cdef TensorBase flat(TensorBase t)      # one dimension, recorded
