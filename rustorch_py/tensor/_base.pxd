from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uint8_t
from cpython.object cimport PyTypeObject
from ._storage cimport Storage
from ._node cimport Node

from ._base_c cimport (RtArray, RtIter, RT_MAX_DIM, RT_MAX_ARGS, rt_iter_coalesce, rt_is_contiguous, rt_contiguous_strides, rt_numel,
    RT_BOOL, RT_U8, RT_I8, RT_I16, RT_I32, RT_I64, RT_F16, RT_BF16, RT_F32, RT_F64, RT_C64, RT_C128, RT_NDTYPES, RT_NLOOPED,
    RT_C32, RT_U16, RT_U32, RT_U64, RT_E4M3FN, RT_E5M2, RT_E4M3FNUZ, RT_E5M2FNUZ, RT_E8M0FNU,
    RT_KIND_BOOL, RT_KIND_INT, RT_KIND_FLOAT, RT_KIND_COMPLEX, rt_itemsize, rt_kind, rt_compute_dtype, rt_real_dtype,
    RT_DEVICE, RT_DEVICE_TYPE, RT_DEVICE_INDEX)
from ._backend cimport RT_CPU, RT_CUDA, RT_METAL, RT_SHELL, RT_META

cdef enum:
    INLINE_DIMS = 6           # tensors up to this many dimensions need no extra allocation
    F_CONTIG = 1              # flags: row-major contiguous
    F_DATA_ALIAS = 2          # made by .data: writes do not count as versions
    F_INFERENCE = 4           # made under inference_mode
    F_RETAIN_GRAD = 8         # retain_grad() on a non-leaf
    F_CONJ = 16               # reserved: lazy conjugate view
    F_WRAPPED = 32            # a Python number in tensor form (promotes like one)
    F_MULTI = 64              # one of several views that split or unbind made of a tensor with history, or a view of one

cdef class TensorBase:
    """C fields of a tensor; the public class Tensor (in _tensor) derives from it."""
    cdef Storage stor         # memory, shared by views
    cdef char *ptr            # first element
    cdef int dt               # RtDType
    cdef int nd               # number of dimensions
    cdef int dev              # RT_DEVICE(type, index)
    cdef uint32_t flags       # F_*
    cdef int64_t n            # number of elements
    cdef int64_t *sh          # shape, nd entries
    cdef int64_t *st          # strides in elements, nd entries
    cdef int64_t dims[12]     # inline room for sh and st
    # history
    cdef bint rg              # requires grad (leaf asked for it, or has a history)
    cdef int out_nr           # which output of `fn`
    cdef Node fn              # history; None for leaves
    cdef object grad_         # accumulated gradient (Tensor) or None
    cdef TensorBase base      # differentiable view: the tensor it views; else None
    cdef uint32_t base_epoch  # base.epoch when this view's history was made
    cdef uint32_t epoch       # bumped when an in-place write replaces this tensor's history
    cdef dict meta            # hooks, names; None mostly
    cdef dict __dict__
    cdef object __weakref__

# ---- making tensors (no history, contiguous unless told) ----
cdef TensorBase new_tensor()                     # an instance of the public class, fields empty
cdef TensorBase empty(int nd, const int64_t *sh, int dt, int dev)
cdef TensorBase empty_strided(int nd, const int64_t *sh, const int64_t *st, int dt, int dev)
cdef TensorBase empty_like_shape(TensorBase t, int dt)          # contiguous, t's shape and device
cdef TensorBase empty_ordered(int nd, const int64_t *sh, int dt, int dev, TensorBase a, TensorBase b, TensorBase c)     # as PyTorch lays results of such operands
cdef TensorBase empty_preserve(TensorBase t, int dt)            # torch.preserve_format: t's stride order when dense
cdef TensorBase alias(TensorBase t)                             # same memory, same geometry, no history
cdef TensorBase view_raw(TensorBase t, int nd, const int64_t *sh, const int64_t *st, int64_t offset_elements)
cdef TensorBase element_raw(TensorBase t, int64_t offset_elements)                          # one element of it, 0-dim
cdef int set_dims(TensorBase t, int nd, const int64_t *sh, const int64_t *st) except -1   # st NULL: contiguous
cdef int set_tensor_type(PyTypeObject *type) except -1
cdef void fill_array(TensorBase t, RtArray *a) noexcept         # borrow as RtArray for C kernels
cdef int64_t storage_offset(TensorBase t) noexcept
cdef inline bint is_contig(TensorBase t) noexcept:
    return (t.flags & F_CONTIG) != 0
cdef object shape_of(TensorBase t)               # torch.Size
cdef tuple shape_tuple(TensorBase t)             # plain tuple
cdef tuple stride_tuple(TensorBase t)
cdef int same_shape(TensorBase a, TensorBase b) noexcept
cdef int wrap_dim(object op, int64_t dim, int nd) except -1     # negative dims; DimError; 0-dim takes 0 and -1
cdef TensorBase as_base(object op, object arg, object x)        # TypeError naming op and argument unless a tensor

# ---- history ----
cdef bint grad_mode() noexcept
cdef void set_grad_mode(bint on) noexcept
cdef bint inference_mode_on() noexcept
cdef void set_inference_mode_(bint on) noexcept
cdef inline bint wants(TensorBase t) noexcept:
    return t is not None and t.rg
cdef int attach(TensorBase out, Node node, tuple inputs) except -1   # edges from inputs (None allowed), out.fn = node
cdef int attach1(TensorBase out, Node node, TensorBase a) except -1
cdef int attach2(TensorBase out, Node node, TensorBase a, TensorBase b) except -1
cdef int attach_outputs(list outs, Node node, tuple inputs) except -1
cdef int save(Node node, int slot, TensorBase t) except -1           # an input, with its history
cdef int save_output(Node node, int slot, TensorBase out) except -1  # an output, kept without history
cdef TensorBase saved(Node node, int slot)                           # checks release and version; None if never saved
cdef bint wants_edge(Node node, int i) noexcept                      # does input i want a gradient?
cdef Node history(TensorBase t)                  # t.fn, made anew when t is a view of a rewritten base
cdef int bump(TensorBase t) noexcept             # one in-place write
cdef uint32_t version_of(TensorBase t) noexcept
cdef int set_edges(Node node, tuple inputs) except -1                # edges only (tests, CopySlices)
ctypedef Node (*ViewHook)(TensorBase)
cdef void set_view_hook(ViewHook fn)
cdef void set_anomaly_hook(object fn)
cdef void set_pack_hook(object pair)
