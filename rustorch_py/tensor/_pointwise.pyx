# build: sources=frexp.c
"""Elementwise operators whose public form has number parameters or several rows behind it."""
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from ._base cimport *
from ._node cimport Node
from ._cpu cimport rt_num_threads
from ._ops cimport (recording, unary, unary_k, unary_inplace, unary_inplace_k, binary, binary_k, binary_inplace, binary_inplace_k, binary_inplace_called, binary_slot,
                    ternary, ternary_inplace, operand, cast, contiguous, deliver, clone, inplace_end)
from ._ops import old_value
from ._plan cimport result_dtype, check_fits, full_
from ._dtype cimport default_code, dtype_of, promote, torch_name
from ._ops import label_result
from ..errors import AutogradError, DTypeError, IntOverflowError, TensorError, TensorTypeError, TensorValueError, UnsupportedOpError
include "_row_ids.pxi"


# ---- add, sub, div with their options -----------------------------------------------------------------
cdef object check_alpha(object op, object x, object y, object alpha):
    """PyTorch's rule: a fractional alpha needs a float result."""
    cdef TensorBase a = operand(op, x, 0), b = operand(op, y, 0)
    cdef int dt = result_dtype(a, b, None)
    if isinstance(alpha, float) and rt_kind(dt) <= RT_KIND_INT:
        raise DTypeError("For integral input tensors, argument alpha must not be a floating point number.", op=op)
    if isinstance(alpha, complex) and rt_kind(dt) != RT_KIND_COMPLEX:
        raise DTypeError("For non-complex input tensors, argument alpha must not be a complex number.", op=op)
    if isinstance(alpha, bool) and dt != RT_BOOL:
        raise DTypeError("Boolean alpha only supported for Boolean results.", op=op)


cdef object scaled(object op, object other, object alpha):
    """alpha * other, for alphas that the row's double parameter cannot hold."""
    if not isinstance(other, TensorBase):
        return other * alpha
    return binary(ROW_MUL, other, alpha, None)


def add(input, other, *, alpha=1, out=None):
    """Compute ``input + alpha * other`` with broadcasting and type promotion."""
    if alpha == 1 and alpha is not True:
        return binary(ROW_ADD, input, other, out)
    check_alpha("add", input, other, alpha)
    if isinstance(alpha, complex) or isinstance(alpha, TensorBase) or is_bool_result(input, other):
        return binary(ROW_ADD, input, scaled("add", other, alpha), out)
    return binary_k(ROW_ADD_SCALED, input, other, out, alpha)


def add_(self, other, *, alpha=1):
    """Add ``alpha * other`` in place."""
    if alpha == 1 and alpha is not True:
        return binary_inplace(ROW_ADD, self, other)
    check_alpha("add_", self, other, alpha)
    if isinstance(alpha, complex) or is_bool_result(self, other):
        return binary_inplace(ROW_ADD, self, scaled("add_", other, alpha))
    return binary_inplace_k(ROW_ADD_SCALED, self, other, alpha)


cdef bint is_bool_result(object x, object y):
    return result_dtype(operand("add", x, 0), operand("add", y, 0), None) == RT_BOOL


def sub(input, other, *, alpha=1, out=None):
    """Compute ``input - alpha * other``."""
    if alpha == 1 and alpha is not True:
        return binary(ROW_SUB, input, other, out)
    check_alpha("sub", input, other, alpha)
    if isinstance(alpha, complex):
        return binary(ROW_SUB, input, scaled("sub", other, alpha), out)
    return label_result(binary_k(ROW_ADD_SCALED, input, other, out, -alpha), "SubBackward0")


def sub_(self, other, *, alpha=1):
    """Subtract ``alpha * other`` in place."""
    if alpha == 1 and alpha is not True:
        return binary_inplace(ROW_SUB, self, other)
    check_alpha("sub_", self, other, alpha)
    if isinstance(alpha, complex):
        return binary_inplace(ROW_SUB, self, scaled("sub_", other, alpha))
    return binary_inplace_called(ROW_ADD_SCALED, self, other, -alpha, "SubBackward0")


def rsub(input, other, *, alpha=1):
    """Compute ``other - alpha * input``."""
    if isinstance(other, TensorBase):
        return sub(other, input, alpha=alpha)
    return binary(ROW_SUB, other, input if alpha == 1 else binary(ROW_MUL, input, alpha, None), None)


cdef int rounding_row(object op, object mode) except -1:
    if mode == "trunc":
        return ROW_TRUNC_DIVIDE
    if mode == "floor":
        return ROW_FLOOR_DIVIDE
    raise TensorValueError(f"{op} expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'")


def div(input, other, *, rounding_mode=None, out=None):
    """Divide: true division, or rounded towards zero ("trunc") or minus infinity ("floor")."""
    if rounding_mode is None:
        return binary(ROW_DIV, input, other, out)
    return label_result(binary(rounding_row("div", rounding_mode), input, other, out), "DivBackward2")


def div_(self, other, *, rounding_mode=None):
    """Divide in place."""
    if rounding_mode is None:
        return binary_inplace(ROW_DIV, self, other)
    return binary_inplace_called(rounding_row("div_", rounding_mode), self, other, 0, "DivBackward2")


# ---- pow -------------------------------------------------------------------------------------------------
cdef int check_int_pow(object x, object y) except -1:
    cdef TensorBase a = operand("pow", x, 0)
    if isinstance(y, int) and not isinstance(y, bool) and y < 0 and rt_kind(a.dt) <= RT_KIND_INT and isinstance(x, TensorBase):
        raise TensorValueError("Integers to negative integer powers are not allowed.")
    if type(y) is int and (y > 127 or y < -128) and isinstance(x, TensorBase) or type(y) is float and rt_kind(a.dt) == RT_KIND_FLOAT and abs(y) > 60000:
        full_(0, NULL, y, a.dt, a.dev)                     # refuses an exponent that the tensor's dtype cannot hold
    return 0


def pow(input, exponent, *, out=None):
    """Raise ``input`` to ``exponent`` elementwise; either may be a number."""
    cdef TensorBase t
    if isinstance(exponent, (int, float)) and isinstance(input, TensorBase) and out is None:
        t = <TensorBase>input
        check_int_pow(input, exponent)
        if rt_kind(t.dt) < RT_KIND_FLOAT and exponent == 0.5:
            t = cast(t, default_code())
        if rt_kind(t.dt) >= RT_KIND_FLOAT:
            if exponent == 2:
                return unary(ROW_SQUARE, t, None)
            if exponent == 3:
                return unary(ROW_CUBE, t, None)
            if exponent == 1:
                return clone(t)
            if exponent == 0.5:
                return unary(ROW_SQRT_POWER if recording(t, None, None) else ROW_SQRT, t, None)
            if exponent == -1:
                return unary(ROW_RECIPROCAL_POWER if recording(t, None, None) else ROW_RECIPROCAL, t, None)
            if exponent == -0.5:
                return unary(ROW_RSQRT_POWER if recording(t, None, None) else ROW_RSQRT, t, None)
            if exponent == -2 and rt_kind(t.dt) == RT_KIND_FLOAT:
                return unary(ROW_RECIPROCAL_SQUARE, t, None)
    check_int_pow(input, exponent)
    return binary(ROW_POW, input, exponent, out)


def pow_(self, exponent):
    """Raise to ``exponent`` in place."""
    cdef TensorBase t
    check_int_pow(self, exponent)
    if isinstance(exponent, (int, float)) and isinstance(self, TensorBase):
        t = <TensorBase>self
        if rt_kind(t.dt) >= RT_KIND_FLOAT and exponent in (2, 3, 0.5):
            return unary_inplace(ROW_SQUARE if exponent == 2 else ROW_CUBE if exponent == 3 else ROW_SQRT_POWER if recording(t, None, None) else ROW_SQRT, t)
    return binary_inplace(ROW_POW, self, exponent)


def float_power(input, exponent, *, out=None):
    """Raise to a power in double (or complex double) precision."""
    cdef TensorBase a = operand("float_power", input, 0), b = operand("float_power", exponent, 0)
    cdef int dt = RT_C128 if rt_kind(a.dt) == RT_KIND_COMPLEX or rt_kind(b.dt) == RT_KIND_COMPLEX else RT_F64
    if out is not None and as_base("float_power", "out", out).dt != dt:
        raise DTypeError(f"the output given to float_power has dtype {out.dtype} but the operation's result requires dtype {dtype_of(dt)}", op="float_power")
    return pow(cast(a, dt) if isinstance(input, TensorBase) else input, cast(b, dt) if isinstance(exponent, TensorBase) else exponent, out=out) \
        if isinstance(input, TensorBase) or not isinstance(exponent, TensorBase) else binary(ROW_POW, input, cast(b, dt), out)


def shift_slot(x, y, bint left):
    """``<<`` and ``>>``; NotImplemented for foreign types."""
    return binary_slot(ROW_BITWISE_LEFT_SHIFT if left else ROW_BITWISE_RIGHT_SHIFT, x, y)


# ---- heaviside ----
cdef int one_dtype(object op, object x, object y) except -1:
    cdef TensorBase a = as_base(op, "input", x), b = as_base(op, "values", y)
    if a.dt != b.dt:
        raise DTypeError(f"{op} is not yet implemented for tensors with different dtypes: {dtype_of(a.dt)} and {dtype_of(b.dt)}", op=op)
    return 0


cdef class MissingDerivative(Node):
    """A result that has a history, and no derivative: backward says so."""
    cdef str op

    cdef object own_name(self):
        return "NotImplemented"

    cdef object apply(self, object g):
        raise AutogradError(f"derivative for aten::{self.op} is not implemented", op=self.op)


cdef TensorBase without_derivative(str op, TensorBase r, TensorBase a, TensorBase b):
    cdef MissingDerivative node
    if recording(a, b, None):
        node = MissingDerivative.__new__(MissingDerivative)
        node.op = op
        attach2(r, node, a, b)
    return r


def heaviside(input, values, *, out=None):
    """Step elementwise: 0 below zero, 1 above, ``values`` at zero; both of one dtype."""
    one_dtype("heaviside", input, values)
    if out is not None and not as_base("heaviside", "out", out).rg and recording(<TensorBase>input, <TensorBase>values, None):
        # PyTorch lets `out` have the history that no gradient comes out of
        return without_derivative("heaviside", binary(ROW_HEAVISIDE, input.detach(), values.detach(), out), input, values)
    return without_derivative("heaviside", binary(ROW_HEAVISIDE, input, values, out), input, values)


def heaviside_(self, values):
    """Step elementwise, in place."""
    cdef MissingDerivative node
    cdef TensorBase a
    cdef bint recorded
    one_dtype("heaviside_", self, values)
    a = <TensorBase>self
    recorded = recording(a, <TensorBase>values, None)      # before a's history ends
    binary_inplace(ROW_HEAVISIDE, self, values)
    if recorded:
        node = MissingDerivative.__new__(MissingDerivative)
        node.op = "heaviside_"
        attach2(a, node, a, <TensorBase>values)
        inplace_end(a, node)
    return self


# ---- where, clamp, lerp, addcmul ----------------------------------------------------------------------------
def choose(condition, input, other, *, out=None):
    """Take ``input`` where ``condition`` holds, else ``other``: ``where`` with three arguments."""
    cdef TensorBase c = as_base("where", "condition", condition)
    if c.dt != RT_BOOL and c.dt != RT_U8:
        raise DTypeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {dtype_of(c.dt)}", op="where")
    if out is not None:
        wanted = result_dtype(operand("where", input, 0), operand("where", other, 0), None)
        if as_base("where", "out", out).dt != wanted:
            raise DTypeError(f"Expected out type to be {torch_name(wanted)} but got {torch_name((<TensorBase>out).dt)}", op="where")
    return ternary(ROW_WHERE, c if c.dt == RT_BOOL else cast(c, RT_BOOL), input, other, out, 0)


cdef bint all_bool(object bound) noexcept:
    return bound is None or (isinstance(bound, TensorBase) and (<TensorBase>bound).dt == RT_BOOL) or type(bound) is bool


cdef int check_bounds(str op, object low, object high) except -1:
    if low is not None and high is not None and isinstance(low, TensorBase) != isinstance(high, TensorBase):
        raise TensorTypeError(f"{op}(): 'min' and 'max' must both be tensors or both be numbers, got {type(low).__name__} and {type(high).__name__}", op=op)
    return 0


def clamp(input, min=None, max=None, *, out=None):
    """Limit values to [min, max]; bounds are numbers or tensors, one may be None."""
    cdef TensorBase x = as_base("clamp", "input", input)
    if min is None and max is None:
        raise TensorValueError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if rt_kind(x.dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError("clamp is not supported for complex types", op="clamp")
    check_bounds("clamp", min, max)
    check_fits(min, x.dt)
    check_fits(max, x.dt)
    if x.dt == RT_BOOL and all_bool(min) and all_bool(max):
        raise UnsupportedOpError("\"clamp\" not implemented for 'Bool'", op="clamp")
    if max is None:
        return binary(ROW_CLAMP_LO, x, min, out)
    if min is None:
        return binary(ROW_CLAMP_HI, x, max, out)
    return ternary(ROW_CLAMP_PAIR, x, min, max, out, 0)


def clamp_(self, min=None, max=None):
    """Limit values in place."""
    if min is None and max is None:
        raise TensorValueError("torch.clamp_: At least one of 'min' or 'max' must not be None")
    check_bounds("clamp_", min, max)
    check_fits(min, (<TensorBase?>self).dt)
    check_fits(max, (<TensorBase?>self).dt)
    if max is None:
        return binary_inplace(ROW_CLAMP_LO, self, min)
    if min is None:
        return binary_inplace(ROW_CLAMP_HI, self, max)
    return ternary_inplace(ROW_CLAMP_PAIR, self, min, max, 0)


cdef bint two_bools(object input, object bound):
    return (isinstance(input, TensorBase) and isinstance(bound, TensorBase) and (<TensorBase>input).dt == RT_BOOL
            and (<TensorBase>bound).dt == RT_BOOL)


def clamp_min(input, min, *, out=None):
    """Limit values from below."""
    if two_bools(input, min):
        return binary(ROW_MAXIMUM, input, min, out)
    return clamp(input, min, None, out=out)


def clamp_min_(self, min):
    """Limit values from below, in place."""
    if two_bools(self, min):
        return binary_inplace(ROW_MAXIMUM, self, min)
    return clamp_(self, min, None)


def clamp_max(input, max, *, out=None):
    """Limit values from above."""
    if two_bools(input, max):
        return binary(ROW_MINIMUM, input, max, out)
    return clamp(input, None, max, out=out)


def clamp_max_(self, max):
    """Limit values from above, in place."""
    if two_bools(self, max):
        return binary_inplace(ROW_MINIMUM, self, max)
    return clamp_(self, None, max)


cdef int same_dtypes(object input, object end, object weight) except -1:
    cdef TensorBase x = as_base("lerp", "input", input), y = as_base("lerp", "end", end)
    if rt_kind(x.dt) < RT_KIND_FLOAT and (not isinstance(weight, TensorBase) or rt_kind((<TensorBase>weight).dt) < RT_KIND_FLOAT):
        raise UnsupportedOpError(f"\"lerp\" not implemented for '{torch_name(x.dt)}'", op="lerp", dtype=dtype_of(x.dt))
    if y.dt != x.dt:
        raise DTypeError(f"lerp: expected dtype {dtype_of(x.dt).name} for `end` but got dtype {dtype_of(y.dt).name}", op="lerp")
    if isinstance(weight, TensorBase) and (<TensorBase>weight).nd and (<TensorBase>weight).dt != x.dt:
        raise DTypeError(f"lerp: expected dtype {dtype_of(x.dt).name} for `weight` but got dtype {dtype_of((<TensorBase>weight).dt).name}", op="lerp")
    return 0


def lerp(input, end, weight, *, out=None):
    """Interpolate: ``input + weight * (end - input)``."""
    same_dtypes(input, end, weight)
    return ternary(ROW_LERP, input, end, weight, out, 0)


def lerp_(self, end, weight):
    """Interpolate in place."""
    same_dtypes(self, end, weight)
    return ternary_inplace(ROW_LERP, self, end, weight, 0)


def finite_or(input, nan, posinf, neginf):
    """Take ``nan``, ``posinf`` and ``neginf`` for what is not finite in a float tensor: nan_to_num of real numbers."""
    return ternary(ROW_NAN_TO_NUM_, input, posinf, neginf, None, nan)


def finite_or_(self, nan, posinf, neginf):
    """In-place :func:`finite_or`."""
    return ternary_inplace(ROW_NAN_TO_NUM_, self, posinf, neginf, nan)


cdef extern from "frexp.h" nogil:
    void rt_frexp(int wide, const void *x, int64_t n, void *m, int32_t *e, int threads)


def plain_frexp(input):
    """Mantissas and exponents of a dense float32 or float64 tensor that nothing records; None: another call."""
    cdef TensorBase x = <TensorBase?>input, m, e
    if x.dev != RT_CPU or not (x.flags & F_CONTIG) or (x.dt != RT_F32 and x.dt != RT_F64) or x.rg and grad_mode():
        return None
    m, e = empty(x.nd, x.sh, x.dt, RT_CPU), empty(x.nd, x.sh, RT_I32, RT_CPU)
    with nogil:
        rt_frexp(x.dt == RT_F64, x.ptr, x.n, m.ptr, <int32_t *>e.ptr, rt_num_threads())
    return m, e


def addcmul(input, tensor1, tensor2, *, value=1, out=None):
    """Compute ``input + value * tensor1 * tensor2``."""
    if isinstance(value, complex):
        return ternary(ROW_ADDCMUL, input, binary(ROW_MUL, tensor1, value, None), tensor2, out, 1)
    return ternary(ROW_ADDCMUL, input, tensor1, tensor2, out, value)


def addcmul_(self, tensor1, tensor2, *, value=1):
    """Add ``value * tensor1 * tensor2`` in place."""
    return ternary_inplace(ROW_ADDCMUL, self, tensor1, tensor2, value)


def addcdiv(input, tensor1, tensor2, *, value=1, out=None):
    """Compute ``input + value * tensor1 / tensor2``."""
    cdef TensorBase a = as_base("addcdiv", "input", input), b = as_base("addcdiv", "tensor1", tensor1), c = as_base("addcdiv", "tensor2", tensor2)
    if rt_kind(b.dt) <= RT_KIND_INT and rt_kind(c.dt) <= RT_KIND_INT:
        raise DTypeError("Integer division with addcdiv is no longer supported, and in a future release addcdiv will perform a true "
                         "division of tensor1 and tensor2.", op="addcdiv")
    if isinstance(value, complex):
        return ternary(ROW_ADDCDIV, a, binary(ROW_MUL, b, value, None), c, out, 1)
    return ternary(ROW_ADDCDIV, a, b, c, out, value)


def addcdiv_(self, tensor1, tensor2, *, value=1):
    """Add ``value * tensor1 / tensor2`` in place."""
    return ternary_inplace(ROW_ADDCDIV, self, tensor1, tensor2, value)


# ---- one-input operators with parameters ------------------------------------------------------------------------
def round(input, *, decimals=0, out=None):
    """Round to the nearest, ties to even; ``decimals`` as in NumPy."""
    cdef TensorBase x = as_base("round", "input", input)
    if decimals == 0:
        return unary(ROW_ROUND_EVEN, x, out)
    if rt_kind(x.dt) <= RT_KIND_INT:
        raise UnsupportedOpError(f"round: decimals are not implemented for '{torch_name(x.dt)}'", op="round")
    scale = 10.0 ** abs(decimals) if abs(decimals) <= 308 else INFINITY
    if scale > (65504.0 if x.dt == RT_F16 else 3.4028234663852886e38 if x.dt == RT_F32 or x.dt == RT_BF16 else 1.7976931348623157e308):
        scale = INFINITY
    if decimals > 0:
        r = binary(ROW_DIV, unary(ROW_ROUND_EVEN, binary(ROW_MUL, x, scale, None), None), scale, None)
    else:
        r = binary(ROW_MUL, unary(ROW_ROUND_EVEN, binary(ROW_DIV, x, scale, None), None), scale, None)
    return deliver("round", r, out)


def round_(self, *, decimals=0):
    """Round in place."""
    if decimals == 0:
        return unary_inplace(ROW_ROUND_EVEN, self)
    return self.copy_(round(self, decimals=decimals))


def logit(input, eps=None, *, out=None):
    """Compute ``log(x / (1 - x))``; with eps, x is first limited to [eps, 1 - eps]."""
    if eps is not None and eps > 0.5:                # the ends have changed places: as PyTorch asks, first below eps, then above 1 - eps
        input = choose(binary(ROW_LT, input, eps, None), eps, choose(binary(ROW_GT, input, 1 - eps, None), 1 - eps, input))
        eps = None
    return unary(ROW_LOGIT, input, out) if eps is None else unary_k(ROW_LOGIT_EPS, input, out, eps, 0)


def logit_(self, eps=None):
    """Logit in place."""
    if eps is not None and eps > 0.5:
        return self.copy_(logit(self, eps))
    return unary_inplace(ROW_LOGIT, self) if eps is None else unary_inplace_k(ROW_LOGIT_EPS, self, eps, 0)


def polygamma(n, input, *, out=None):
    """Compute the n-th derivative of digamma; ``n >= 0``."""
    if isinstance(n, TensorBase):            # called as a method: x.polygamma(n)
        n, input = input, n
    if isinstance(n, (float, bool, str, complex)) or n is None:
        raise TensorTypeError(f"polygamma(): argument 'n' must be int, not {type(n).__name__}", op="polygamma")
    return unary_k(ROW_POLYGAMMA_N, input, out, order(n), 0)


cdef int64_t order(object n) except -1:
    """Which derivative of digamma polygamma computes."""
    if isinstance(n, TensorBase):
        if (<TensorBase>n).nd or rt_kind((<TensorBase>n).dt) > RT_KIND_INT:
            raise TensorTypeError("polygamma(): argument 'n' must be int, not Tensor", op="polygamma")
        n = n.item()
    if not -(1 << 63) <= n < 1 << 63:
        raise IntOverflowError(f"polygamma(): Overflow when unpacking long long: {n}", op="polygamma")
    if n < 0:
        raise TensorValueError("polygamma(n, x) does not support negative n.", op="polygamma")
    return n


def polygamma_(self, n):
    """Polygamma in place."""
    return unary_inplace_k(ROW_POLYGAMMA_N, self, order(n), 0)


def positive(input):
    """Return the input; bool is refused."""
    if as_base("positive", "input", input).dt == RT_BOOL:
        raise DTypeError("The `+` operator, on a bool tensor is not supported.")
    return input


def ldexp(input, other, *, out=None):
    """Compute ``input * 2 ** other``."""
    if isinstance(other, TensorBase) and (<TensorBase>other).dt == RT_BOOL and as_base("ldexp", "input", input).dt != RT_BOOL:
        raise DTypeError("\"ldexp\" not implemented for 'Bool' (argument 'other')", op="ldexp")
    return deliver("ldexp", binary(ROW_MUL, as_base("ldexp", "input", input), binary(ROW_POW, 2.0, other, None), None), out)


def ldexp_(self, other):
    """Multiply by ``2 ** other`` in place."""
    if isinstance(other, TensorBase) and (<TensorBase>other).dt == RT_BOOL:
        raise DTypeError("\"ldexp_\" not implemented for 'Bool'", op="ldexp_")
    return binary_inplace(ROW_MUL, self, binary(ROW_POW, 2.0, other, None))


def mvlgamma(input, p, *, out=None):
    """Compute the multivariate log-gamma function of dimension p."""
    cdef int64_t j, count = p
    if count < 1:
        raise TensorError(f"mvlgamma: p has to be greater than or equal to 1, got {p}", op="mvlgamma")
    from_pi = 0.25 * p * (p - 1) * 1.1447298858494002
    input = contiguous(as_base("mvlgamma", "input", input))
    total = unary(ROW_LGAMMA, input, None)
    for j in range(1, count):
        total = binary(ROW_ADD, total, unary(ROW_LGAMMA, binary(ROW_SUB, input, <double>j / 2, None), None), None)
    return deliver("mvlgamma", binary(ROW_ADD, total, from_pi, None), out)


def mvlgamma_(self, p):
    """Multivariate log-gamma in place."""
    result = mvlgamma(old_value(self), p)
    if (<TensorBase>result).dt != as_base("mvlgamma_", "self", self).dt:
        raise DTypeError(f"mvlgamma: result type {result.dtype} can't be cast to the desired output type {self.dtype}", op="mvlgamma_")
    return self.copy_(result)


# ---- activations -------------------------------------------------------------------------------------------------
def gelu(input, approximate="none", *, out=None):
    """Gaussian error linear unit; ``approximate`` is "none" (erf) or "tanh" (Hendrycks & Gimpel, 2016)."""
    if approximate == "none":
        return unary(ROW_GELU_ERF, input, out)
    if approximate == "tanh":
        return unary(ROW_GELU_TANH, input, out)
    raise TensorValueError(f"approximate argument must be either none or tanh, got {approximate!r}")


# The rows have no loops for complex numbers, which are rare here: composed of those that have.
cdef bint is_complex(object input):
    return isinstance(input, TensorBase) and rt_kind((<TensorBase>input).dt) == RT_KIND_COMPLEX


def softsign(input):
    """Compute ``x / (1 + abs(x))`` elementwise."""
    if is_complex(input):
        return binary(ROW_DIV, input, binary(ROW_ADD, unary(ROW_ABS, input, None), 1, None), None)
    return unary(ROW_SOFTSIGN, input, None)


def tanhshrink(input):
    """Compute ``x - tanh(x)`` elementwise."""
    if is_complex(input):
        return binary(ROW_SUB, input, unary(ROW_TANH, input, None), None)
    return unary(ROW_TANHSHRINK, input, None)


def logaddexp(input, other, *, out=None):
    """Compute ``log(exp(x) + exp(y))`` elementwise, without overflow; of complex numbers the one with the larger real part is taken out."""
    if not is_complex(input) and not is_complex(other):
        return binary(ROW_LOGADDEXP, input, other, out)
    x, y = as_base("logaddexp", "input", input), as_base("logaddexp", "other", other)
    if is_complex(x) != is_complex(y):
        common = dtype_of(promote((<TensorBase>x).dt, (<TensorBase>y).dt))
        x, y = (<object>x).to(common), (<object>y).to(common)
    below = binary(ROW_LT, x.real, y.real, None)
    small, large = choose(below, x, y), choose(below, y, x)
    both = binary(ROW_LOGICAL_AND, unary(ROW_ISINF, large.real, None), binary(ROW_EQ, small.real, large.real, None), None)       # inf - inf
    gap = choose(both, 0.0, binary(ROW_SUB, small, large, None))
    plain = binary(ROW_ADD, unary(ROW_LOG1P, unary(ROW_EXP, gap, None), None), large, None)
    total = unary(ROW_LOG, binary(ROW_ADD, unary(ROW_EXP, small, None), unary(ROW_EXP, large, None), None), None)
    negative = binary(ROW_LT, large.real, 0, None)
    return deliver("logaddexp", choose(both, choose(negative, small, total), plain), out)


def softplus(input, beta=1.0, threshold=20.0, *, out=None):
    """Compute ``log(1 + exp(beta * x)) / beta``; linear where ``beta * x > threshold``."""
    return unary_k(ROW_SOFTPLUS_, input, out, beta, threshold)


def elu(input, alpha=1.0, scale=1.0):
    """Exponential linear unit."""
    return unary_k(ROW_ELU_, input, None, alpha, 0) if scale == 1 else unary_k(ROW_ELU_FULL, input, None, alpha, scale)


def elu_(input, alpha=1.0):
    """Exponential linear unit in place."""
    return unary_inplace_k(ROW_ELU_, input, alpha, 0)


def celu(input, alpha=1.0):
    """Continuously differentiable exponential linear unit."""
    if alpha == 0:
        raise TensorValueError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return unary_k(ROW_CELU_, input, None, alpha, 0)


def celu_(input, alpha=1.0):
    """CELU in place."""
    return unary_inplace_k(ROW_CELU_, input, alpha, 0)


def leaky_relu(input, negative_slope=0.01):
    """ReLU with a slope for negative inputs."""
    return unary_k(ROW_LEAKY_RELU_, input, None, negative_slope, 0)


def leaky_relu_(input, negative_slope=0.01):
    """Leaky ReLU in place."""
    return unary_inplace_k(ROW_LEAKY_RELU_, input, negative_slope, 0)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """Limit to [min_val, max_val]."""
    return unary_k(ROW_HARDTANH_, input, None, min_val, max_val)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """Limit in place."""
    return unary_inplace_k(ROW_HARDTANH_, input, min_val, max_val)


def hardshrink(input, lambd=0.5, *, out=None):
    """Zero where ``|x| <= lambd``."""
    return unary_k(ROW_HARDSHRINK_, input, out, lambd, 0)


def softshrink(input, lambd=0.5, *, out=None):
    """Shrink towards zero by ``lambd``."""
    if not lambd >= 0:
        raise TensorValueError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return unary_k(ROW_SOFTSHRINK_, input, out, lambd, 0)


def threshold(input, threshold, value):
    """Replace values not above ``threshold`` by ``value``."""
    return unary_k(ROW_THRESHOLD_, input, None, threshold, value)


def threshold_(input, threshold, value):
    """Threshold in place."""
    return unary_inplace_k(ROW_THRESHOLD_, input, threshold, value)


def prelu(input, weight):
    """ReLU with a learned slope per channel (dimension 1), or one for all."""
    cdef TensorBase x = as_base("prelu", "input", input), w = as_base("prelu", "weight", weight)
    if w.n != 1:
        if x.nd < 2 or x.sh[1] != w.n:
            raise TensorValueError(f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {w.n} and channel "
                                   f"size = {x.sh[1] if x.nd > 1 else 1}.")
        w = weight.reshape((1, w.n) + (1,) * (x.nd - 2))
    elif w.nd:
        w = weight.reshape(())
    return binary(ROW_PRELU_, x, w, None)


# ---- pointwise losses; nn.functional reduces them -------------------------------------------------------------------
def mse_pointwise(input, target):
    """Squared differences."""
    return binary(ROW_MSE_POINT, input, target, None)


def l1_pointwise(input, target):
    """Absolute differences."""
    return unary(ROW_ABS, binary(ROW_SUB, input, target, None), None) if is_complex_pair(input, target) else binary(ROW_L1_POINT, input, target, None)


cdef bint is_complex_pair(object x, object y):
    return rt_kind(result_dtype(as_base("l1_loss", "input", x), as_base("l1_loss", "target", y), None)) == RT_KIND_COMPLEX


def smooth_l1_pointwise(input, target, beta=1.0):
    """Quadratic below ``beta``, linear above."""
    return l1_pointwise(input, target) if beta == 0 else binary_k(ROW_SMOOTH_L1_POINT, input, target, None, beta)


def huber_pointwise(input, target, delta=1.0):
    """Huber's loss, elementwise."""
    return binary_k(ROW_HUBER_POINT, input, target, None, delta)


def bce_pointwise(input, target):
    """Binary cross entropy of probabilities; logarithms are limited to -100 from below."""
    return binary(ROW_BCE_POINT, input, target, None)


def bce_with_logits_pointwise(input, target):
    """Binary cross entropy of logits."""
    return binary(ROW_BCE_LOGITS_POINT, input, target, None)


def run_row(int row, tuple args, double k0=0, double k1=0):
    """Run a row of the operator table by its index (tests; the public functions are named)."""
    if len(args) == 1:
        return unary_k(row, args[0], None, k0, k1)
    if len(args) == 2:
        return binary_k(row, args[0], args[1], None, k0)
    return ternary(row, args[0], args[1], args[2], None, k0)


FUNCTIONS = {"heaviside": heaviside, "add": add, "sub": sub, "subtract": sub, "rsub": rsub, "div": div, "divide": div, "true_divide": div, "pow": pow,
             "float_power": float_power, "clamp": clamp, "clip": clamp, "clamp_": clamp_, "clip_": clamp_, "clamp_min": clamp_min, "clamp_max": clamp_max,
             "clamp_min_": clamp_min_, "clamp_max_": clamp_max_,
             "lerp": lerp, "addcmul": addcmul, "addcdiv": addcdiv, "round": round, "round_": round_, "logit": logit, "logit_": logit_,
             "polygamma": polygamma, "positive": positive, "ldexp": ldexp, "mvlgamma": mvlgamma, "gelu": gelu, "softplus": softplus, "elu": elu,
             "elu_": elu_, "celu": celu, "celu_": celu_, "leaky_relu": leaky_relu, "leaky_relu_": leaky_relu_, "hardtanh": hardtanh,
             "hardtanh_": hardtanh_, "hardshrink": hardshrink, "softshrink": softshrink, "threshold": threshold, "threshold_": threshold_,
             "prelu": prelu, "softsign": softsign, "tanhshrink": tanhshrink, "logaddexp": logaddexp, "mse_pointwise": mse_pointwise, "l1_pointwise": l1_pointwise,
             "smooth_l1_pointwise": smooth_l1_pointwise, "huber_pointwise": huber_pointwise, "bce_pointwise": bce_pointwise,
             "bce_with_logits_pointwise": bce_with_logits_pointwise}


def _where_method(self, condition, other):
    """Keep self where ``condition`` holds, else take ``other``."""
    return choose(condition, self, other)


METHODS = {name: FUNCTIONS[name] for name in
           ("heaviside", "add", "sub", "subtract", "div", "divide", "true_divide", "pow", "float_power", "clamp", "clip", "clamp_", "clip_", "clamp_min",
            "clamp_max", "clamp_min_", "clamp_max_", "lerp", "addcmul", "addcdiv", "round", "round_", "logit", "logit_", "polygamma", "positive", "ldexp", "mvlgamma",
            "hardshrink", "prelu", "logaddexp")}
METHODS.update(heaviside_=heaviside_, add_=add_, sub_=sub_, subtract_=sub_, div_=div_, divide_=div_, true_divide_=div_, pow_=pow_, lerp_=lerp_, addcmul_=addcmul_,
               addcdiv_=addcdiv_, polygamma_=polygamma_, ldexp_=ldexp_, mvlgamma_=mvlgamma_, where=_where_method)
