from libc.stdint cimport int64_t
from ._base cimport TensorBase, RtArray

cdef extern from "gemm.h" nogil:
    ctypedef struct RtGemmTable:
        pass

cdef extern from "rustorch/product.h" nogil:
    ctypedef int (*RtFusedGemm)(int device, const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj,
                                const double *alpha, const double *beta, int act) noexcept nogil
    enum: RT_ACT_NONE, RT_ACT_RELU, RT_ACT_GELU

cdef enum:
    OP_N = 0                  # the operand as it is
    OP_T = 1                  # last two dimensions swapped
    OP_C = 2                  # conjugated (complex only)

# Matrix products for other modules of the ground floor: op(a) @ op(b), recorded.
# a and b have the same leading (batch) dimensions; shapes are checked by the caller.
cdef TensorBase gemm(TensorBase a, int opa, TensorBase b, int opb)
# fold(x) @ op(w) (+ bias): all of x's dimensions but the last are rows; recorded
cdef TensorBase fold_mm(TensorBase x, TensorBase w, int opw, TensorBase bias)
# the loops of the instruction set in force
cdef const RtGemmTable *gemm_table() noexcept nogil
# tell whoever counts floating-point operations of so many
cdef int count_flops(str name, int64_t count) except -1
# sum over all dimensions but the last of a contiguous tensor
cdef TensorBase column_sum(TensorBase g)
# products with what follows them, of a type of device
cdef int register_fused(int device_type, RtFusedGemm fused) except -1
