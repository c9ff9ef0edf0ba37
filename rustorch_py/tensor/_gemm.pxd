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
    ACT_GELU_ERF = 3          # gelu by its definition, what CPUs take for GELU; no device's door has it

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
# c (+)= a b (+ bias on every row) of real floats, batches apart by *_z, columns of c neighbours; a status. Nothing is recorded or counted
cdef int raw_product(int dt, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_z, int64_t a_m, int64_t a_k, const void *b, int64_t b_z,
                     int64_t b_k, int64_t b_n, void *c, int64_t c_z, int64_t c_m, bint add, const void *bias, int threads) noexcept nogil
# whether a packed form of a weight on the CPU may be kept: Note [Kept operands] in kernels/kept.h
cdef bint may_keep(TensorBase w) noexcept
# tell whoever counts floating-point operations of so many
cdef int count_flops(str name, int64_t count) except -1
# sum over all dimensions but the last of a contiguous tensor
cdef TensorBase column_sum(TensorBase g)
# products with what follows them, of a type of device
cdef int register_fused(int device_type, RtFusedGemm fused) except -1

cdef struct Num:              # a Python number, ready for every dtype
    double re, im
    int64_t i

cdef inline Num conj(Num x) noexcept:
    x.im = -x.im
    return x


cdef inline bint is_one(Num x) noexcept:
    return x.re == 1 and x.im == 0


cdef inline bint is_zero(Num x) noexcept:
    return x.re == 0 and x.im == 0

cdef object as_number(Num x, int dt)
# op(x) and a number times t, by recorded operators
cdef object as_op(object x, int op)
cdef object times(Num x, object t)
# alpha op(a) op(b), recorded
cdef TensorBase gemm_scaled(TensorBase a, int opa, TensorBase b, int opb, Num alpha)
# out = act(alpha op(a) op(b) + beta added), not recorded; added None: out itself. 1: `act` was done, too
cdef int multiply(object op, TensorBase out, TensorBase a, int opa, TensorBase b, int opb, Num alpha, Num beta, TensorBase added=*, int act=*) except -1
# the row of the operator table that an activation is
cdef int act_row(int act) noexcept
# out = act(fold(x) @ op(w) + bias), not recorded; out is contiguous. 1: `act` was done, too
cdef int fold_act(TensorBase out, TensorBase x, TensorBase w, int opw, TensorBase bias, int act=*) except -1
# x as one matrix (recorded), and its rows
cdef TensorBase as_matrix(TensorBase x)
cdef int64_t rows_of(TensorBase x) noexcept
# *out = sum of x y over n elements, x conjugated if asked; c = a b of bytes in int32: a status
cdef void raw_dot(int dt, int64_t n, const void *x, int64_t x_s, const void *y, int64_t y_s, bint conj_x, void *out, int threads) noexcept nogil
# out = alpha a b of two vectors of real floats (+ beta x, rows x_m apart), elements of b and of rows of x neighbours: a status
cdef int raw_outer(int dt, int64_t m, int64_t n, double alpha, const void *a, int64_t a_m, const void *b, double beta, const void *x, int64_t x_m, void *out,
                   int threads) noexcept nogil
cdef int raw_int8(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_m, int64_t a_k, bint unsign, const void *b, int64_t b_k, int64_t b_n, void *c,
                  int threads) noexcept nogil
cdef object raise_status(object op, int status, int dev)
cdef object raise_bool(object op)
cdef Num ONE, ZERO
