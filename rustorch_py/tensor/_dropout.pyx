"""Dropout and its kin: operators that draw a mask and multiply by it."""
from libc.stdint cimport uint8_t
from ._node cimport Node
from ._base cimport (
    TensorBase, RT_BOOL, RT_KIND_FLOAT, RT_KIND_COMPLEX, rt_kind, as_base, attach1, empty as new_empty, empty_preserve,
    empty_strided, grad_mode, shape_tuple)
from ._create cimport make
from ._dtype cimport device_of, dtype_of, torch_name
from ._ops cimport contiguous, inplace_begin, unary_inplace_k, unary_k
from ._plan cimport copy_raw
from ._random cimport (
    RtRandom, apply_mask, draw, draw_dropout, draw_rrelu, drawn_here, drawn_there, no_grad_here, number, refuse, stream)
from ._random import bernoulli_
from ._devices import run as run_on_device

from ..errors import AutogradError, DTypeError, ShapeError, TensorError, TensorValueError
include "_row_ids.pxi"


# ---- dropout ------------------------------------------------------------------------------------------------

cdef class DropoutBackward(Node):
    """y = x * keep / (1 - p). Linear in x, so its gradient is the same operator on the gradient."""
    cdef TensorBase keep      # bool, in y's memory order
    cdef double p

    cdef object own_name(self):
        return "MulBackward0"

    cdef object apply(self, object g):
        if self.keep is None:
            raise AutogradError("dropout: trying to backward through the graph a second time; specify retain_graph=True",
                                op="dropout")
        return masked(<TensorBase?>g, self.keep, self.p)

    cdef int release(self) except -1:
        self.keep = None
        return Node.release(self)


cdef TensorBase in_order_of(TensorBase x, TensorBase model):
    """x with the strides of a dense tensor of the same shape."""
    cdef TensorBase y
    cdef int i
    for i in range(x.nd):
        if x.st[i] != model.st[i] and x.sh[i] > 1:
            y = empty_strided(model.nd, model.sh, model.st, x.dt, x.dev)
            copy_raw(y, x)
            return y
    return x


cdef TensorBase masked(TensorBase x, TensorBase keep, double p):
    cdef TensorBase y = empty_strided(keep.nd, keep.sh, keep.st, x.dt, x.dev)
    cdef TensorBase flat = in_order_of(x, keep)
    if drawn_there(x):
        run_on_device("dropout_mask", y, flat, keep, p)
    elif x.dev == 0:
        apply_mask(x.dt, y.ptr, flat.ptr, <uint8_t *>keep.ptr, x.n, p)
    return record_mask(y, x, keep, p)


cdef TensorBase record_mask(TensorBase y, TensorBase x, TensorBase keep, double p):
    cdef DropoutBackward node
    if x.rg and grad_mode():
        node = DropoutBackward.__new__(DropoutBackward)
        node.keep = keep
        node.p = p
        attach1(y, node, x)
    return y


cdef double drop_chance(str op, object p) except? -1.0:
    cdef double chance = number(op, "p", p)
    if not 0 <= chance <= 1:
        raise TensorValueError(f"{op}: dropout probability has to be between 0 and 1, but got {p}", op=op)
    return chance


cdef int check_dropout(str op, TensorBase x) except -1:
    if rt_kind(x.dt) < RT_KIND_FLOAT:
        raise DTypeError(f"{op}: result type Float can't be cast to the desired output type {torch_name(x.dt)}; "
                         "training needs a floating point input", op=op)
    if rt_kind(x.dt) == RT_KIND_COMPLEX:
        refuse("bernoulli_scalar_cpu_", x)
    return 0


def dropout(input, p, train):
    """Zero each element with probability `p` and divide the others by 1 - p.

    Args:
        input: float tensor; returned itself when `train` is false or p is 0.
        p: probability of a zero.
        train: whether to drop at all.
    """
    cdef TensorBase x = as_base("dropout", "input", input), y, keep
    cdef double chance = drop_chance("dropout", p)
    if chance == 0 or not train or x.n == 0:
        return input
    check_dropout("dropout", x)
    if chance == 1:
        return input * 0.0
    y = empty_preserve(x, x.dt)
    keep = empty_strided(y.nd, y.sh, y.st, RT_BOOL, x.dev)
    if drawn_there(x):
        draw("random_dropout", y, None, (in_order_of(x, y), keep, chance))
    elif drawn_here(x, None):
        draw_dropout(x.dt, y.ptr, in_order_of(x, y).ptr, <uint8_t *>keep.ptr, x.n, chance)
    return record_mask(y, x, keep, chance)


cdef object noise_for(str op, TensorBase x, bint feature):
    if not feature:
        return empty_preserve(x, x.dt)
    if x.nd < 2:
        raise ShapeError(f"{op}: Feature dropout requires at least 2 dimensions in the input, got shape {shape_tuple(x)}", op=op)
    shape = (x.sh[0], x.sh[1]) + (1,) * (x.nd - 2)
    return make(op, (shape,), None, None, dtype_of(x.dt), None, device_of(x.dev), False)


cdef object drop(str op, object input, object p, object train, bint feature, bint alpha, bint inplace):
    """The dropouts that are composed: whole channels, or keeping mean and variance (SELU)."""
    cdef TensorBase x = as_base(op, "input", input)
    cdef double chance = drop_chance(op, p), a
    cdef double saturation = 1.7580993408473766      # alpha * scale of SELU (Klambauer et al. 2017)
    if chance == 0 or not train or x.n == 0:
        return input
    check_dropout(op, x)
    if chance == 1:
        return input.mul_(0.0) if inplace else input * 0.0
    with no_grad_here():
        noise = noise_for(op, x, feature)
        bernoulli_(noise, 1 - chance)
        if alpha:
            a = 1.0 / ((saturation * saturation * chance + 1) * (1 - chance)) ** 0.5
            shift = noise.add(-1).mul_(saturation * a).add_(saturation * a * chance)
            noise.mul_(a)
        else:
            noise.div_(1 - chance)
    result = input.mul_(noise) if inplace else input.mul(noise)
    return result.add_(shift) if alpha else result


def dropout_(input, p, train):
    """In-place :func:`dropout`."""
    return drop("dropout_", input, p, train, False, False, True)


def feature_dropout(input, p, train):
    """Zero whole channels (dimension 1) with probability `p`, divide the others by 1 - p."""
    return drop("feature_dropout", input, p, train, True, False, False)


def feature_dropout_(input, p, train):
    """In-place :func:`feature_dropout`."""
    return drop("feature_dropout_", input, p, train, True, False, True)


def alpha_dropout(input, p, train):
    """Set elements to SELU's negative saturation, keeping zero mean and unit variance."""
    return drop("alpha_dropout", input, p, train, False, True, False)


def alpha_dropout_(input, p, train):
    """In-place :func:`alpha_dropout`."""
    return drop("alpha_dropout_", input, p, train, False, True, True)


def feature_alpha_dropout(input, p, train):
    """:func:`alpha_dropout` of whole channels."""
    return drop("feature_alpha_dropout", input, p, train, True, True, False)


def feature_alpha_dropout_(input, p, train):
    """In-place :func:`feature_alpha_dropout`."""
    return drop("feature_alpha_dropout_", input, p, train, True, True, True)


def native_dropout(input, p, train):
    """Return (:func:`dropout` of input, the bool mask of what was kept)."""
    cdef TensorBase x = as_base("native_dropout", "input", input)
    cdef double chance = drop_chance("native_dropout", p), kept = 1 - chance
    with no_grad_here():
        mask = empty_preserve(x, RT_BOOL)
        if train is None or train:
            check_dropout("native_dropout", x)
            bernoulli_(mask, kept)
        else:
            mask.fill_(True)
    if train is None or train:
        return input * mask * (0.0 if kept == 0 else 1.0 / kept), mask
    return input.clone(), mask


# ---- randomised leaky ReLU ---------------------------------------------------------------------------------------

cdef class RReluBackward(Node):
    """y = x * slope."""
    cdef TensorBase slope

    cdef object own_name(self):
        return "RreluWithNoiseBackward0"

    cdef object apply(self, object g):
        if self.slope is None:
            raise AutogradError("rrelu: trying to backward through the graph a second time; specify retain_graph=True", op="rrelu")
        return g * self.slope

    cdef int release(self) except -1:
        self.slope = None
        return Node.release(self)


cdef int check_bounds(double low, double high) except -1:
    if not low <= high:
        raise TensorError("Lower bound should be less than or equal to the upper bound", op="rrelu")
    return 0


cdef tuple slopes(str op, TensorBase x, double low, double high, object generator):
    """(y, slope) of a training step, row-major, without history."""
    cdef RtRandom *g = stream(op, generator)
    cdef TensorBase y, slope
    if rt_kind(x.dt) != RT_KIND_FLOAT:
        refuse("rrelu_with_noise_out_cpu", x)
    y = new_empty(x.nd, x.sh, x.dt, x.dev)
    slope = new_empty(x.nd, x.sh, x.dt, x.dev)
    if drawn_there(x):
        drawn_here(x, generator)
        draw("random_rrelu", y, generator, (slope, in_order_of(x, y), low, high))
    elif drawn_here(x, generator):
        draw_rrelu(g, x.dt, y.ptr, slope.ptr, in_order_of(x, y).ptr, x.n, low, high)
    return y, slope


def rrelu(input, lower=0.125, upper=0.3333333333333333, training=False, generator=None):
    """Multiply elements that are not positive by a slope from [lower, upper), drawn for each.

    Outside training the slope is the mean of the two.
    """
    cdef TensorBase x = as_base("rrelu", "input", input), y
    cdef double low = number("rrelu", "lower", lower), high = number("rrelu", "upper", upper)
    cdef RReluBackward node
    check_bounds(low, high)
    if not training:
        return unary_k(ROW_LEAKY_RELU_, contiguous(x), None, (low + high) / 2, 0)          # PyTorch's is row-major
    y, slope = slopes("rrelu", x, low, high, generator)
    if x.rg and grad_mode():
        node = RReluBackward.__new__(RReluBackward)
        node.slope = slope
        attach1(y, node, x)
    return y


def rrelu_(input, lower=0.125, upper=0.3333333333333333, training=False, generator=None):
    """In-place :func:`rrelu`."""
    cdef TensorBase x = as_base("rrelu_", "input", input)
    cdef double low = number("rrelu_", "lower", lower), high = number("rrelu_", "upper", upper)
    check_bounds(low, high)
    if not training:
        return unary_inplace_k(ROW_LEAKY_RELU_, input, (low + high) / 2, 0)
    inplace_begin("rrelu_", x)
    return input.mul_(slopes("rrelu_", x, low, high, generator)[1])


FUNCTIONS = {
    "dropout": dropout, "dropout_": dropout_, "feature_dropout": feature_dropout, "feature_dropout_": feature_dropout_,
    "alpha_dropout": alpha_dropout, "alpha_dropout_": alpha_dropout_, "feature_alpha_dropout": feature_alpha_dropout,
    "feature_alpha_dropout_": feature_alpha_dropout_, "native_dropout": native_dropout, "rrelu": rrelu, "rrelu_": rrelu_,
}
METHODS = {}
