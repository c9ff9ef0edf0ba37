# Loops without history: broadcast, promote, launch, copy, reduce.
from libc.stdint cimport int64_t, uint8_t
from ._base cimport TensorBase, RtIter

# ---- numbers ----
cdef bint is_number(object x)                              # bool, int, float, complex, or a NumPy scalar
cdef TensorBase wrap_number(object x, int dev)             # 0-dim tensor that promotes like a Python number
cdef int number_to(object x, int dt, char *where_) except -1   # write a Python number as one element of dt
cdef object element_to_py(const char *p, int dt)           # one element -> Python number
cdef TensorBase full_(int nd, const int64_t *sh, object value, int dt, int dev)   # filled
cdef int check_fits(object value, int dt) except -1
cdef int fill_value(TensorBase t, object value) except -1  # raw fill, no history, no version

# ---- dtypes of results ----
cdef int result_dtype(TensorBase a, TensorBase b, TensorBase c) except -1  # PyTorch's categories; None allowed
cdef int result_dtype_list(list tensors) except -1

# ---- broadcasting ----
cdef int broadcast_shapes(object op, TensorBase a, TensorBase b, TensorBase c, int64_t *sh) except -1   # returns ndim
cdef int merge_shape(object op, TensorBase t, int nd, int64_t *sh) except -1      # broadcast sh with t's shape; the new ndim
cdef void plan_begin(RtIter *it, TensorBase out) noexcept                          # shape of the plan and operand 0
cdef int add_operand(RtIter *it, TensorBase t, int arg, int nd, const int64_t *sh) except -1
cdef int check_devices(object op, TensorBase a, TensorBase b) except -1

# ---- launching ----
# out[...] = kernel(ins): shapes broadcast to out's; operands may have any dtype (converted by blocks)
cdef int launch(int kernel, int loop_dt, TensorBase out, TensorBase a, TensorBase b, TensorBase c, TensorBase d, TensorBase e,
                double k0, double k1) except -1
cdef int copy_raw(TensorBase dst, TensorBase src) except -1      # broadcasts src, converts dtype; same or other device
cdef TensorBase cast_raw(TensorBase t, int dt)                   # t itself when it already is dt
cdef TensorBase contiguous_raw(TensorBase t)                     # t itself when contiguous
cdef TensorBase clone_raw(TensorBase t)                          # keeps the stride order
# reduce dimensions whose mask is set; result has dtype out_dt; acc_dt: accumulator
cdef TensorBase reduce_raw(int row, TensorBase t, const uint8_t *mask, bint keepdim, int acc_dt, int out_dt, double k0)
cdef int dims_mask(object op, object dim, int nd, uint8_t *mask, bint empty_is_all) except -1   # None -> all; returns how many
cdef bint may_overlap_self(TensorBase t) noexcept                # some element is reachable by two indices
cdef TensorBase expand_raw(TensorBase t, int nd, const int64_t *sh)
