# Copies, conversions, expand and sum; all differentiable.
from libc.stdint cimport int64_t, uint8_t
from ._base cimport TensorBase, F_MULTI

cdef TensorBase cast(TensorBase t, int dt)                   # t itself when it already is dt
cdef TensorBase contiguous(TensorBase t)
cdef TensorBase clone(TensorBase t)
cdef TensorBase to_device(TensorBase t, int dev)
cdef TensorBase expand_to(TensorBase t, int nd, const int64_t *sh)
cdef TensorBase expand_tuple(TensorBase t, tuple shape)
cdef TensorBase sum_to(TensorBase g, tuple shape)            # sum the broadcast dimensions away
cdef TensorBase sum_to_many(TensorBase g, Py_ssize_t n, tuple shape)   # the same for n gradients along dimension 0
cdef TensorBase sum_like(TensorBase g, TensorBase t)         # sum_to t's shape, cast to t's dtype (real part if t is real)
cdef TensorBase reduce_sum(TensorBase t, object dims, bint keepdim)   # dims None or tuple
cdef TensorBase detach(TensorBase t)
cdef TensorBase sum_mask(TensorBase t, const uint8_t *mask, bint keepdim)
cdef inline void track_view(TensorBase v, TensorBase t) noexcept:
    """Remember what v views, so that in-place writes reach the base's history."""
    v.base = t.base if t.base is not None else t
    v.base_epoch = v.base.epoch
    v.flags |= t.flags & F_MULTI
cdef TensorBase drop_view(TensorBase t, int nd, const int64_t *sh)   # contiguous t seen in another shape of equal size
