"""One operator over lists of tensors: ``_foreach_add_(params, grads, alpha=-0.1)`` and its siblings.

``_foreach_name`` returns a tuple, ``_foreach_name_`` writes into the first list's tensors and returns the list.
"""
from . import _linalg_norms, _pointwise, _rows
from ..errors import TensorError, TensorTypeError
from ._base import TensorBase
from ._convert import clone_, copy_, zero_each
from ._reduce import amax
from ._tensor import Tensor

_UNARY = ("abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan "
          "tanh trunc").split()
_BINARY = ("add", "sub", "mul", "div", "pow", "clamp_min", "clamp_max")
_CALLED = {"maximum": "clamp_min", "minimum": "clamp_max"}         # these take numbers, and have an in-place form
_TERNARY = ("addcmul", "addcdiv")


def _tensors(op, argument, values):
    """Check a list of tensors."""
    if not isinstance(values, (tuple, list)):
        raise TensorTypeError(f"{op}(): argument '{argument}' must be tuple of Tensors, not {type(values).__name__}", op=op)
    for kind in dict.fromkeys(map(type, values)):
        if not issubclass(kind, TensorBase):
            raise TensorTypeError(f"{op}(): argument '{argument}' must be tuple of Tensors, but found element of type {kind.__name__}", op=op)
    if not values:
        raise TensorError(f"{op}: Tensor list must have at least one tensor.", op=op)
    return values


def _partners(op, first, other):
    """`other` as one value a tensor: a list of tensors or numbers, one tensor, or one number."""
    if not isinstance(other, (tuple, list)):
        return [other] * len(first)
    if len(other) != len(first):
        raise TensorError(f"{op}: Tensor lists must have the same number of tensors, got {len(first)} and {len(other)}", op=op)
    return other


class _Method:
    """The in-place form, as the tensors' own class has it: found once a list, where the list is of one class."""

    def __init__(self, name):
        self.name = name + "_"

    def of(self, tensors):
        kinds, name = set(map(type, tensors)), self.name
        if len(kinds) == 1:
            return getattr(kinds.pop(), name)
        return lambda x, *args, **keywords: getattr(x, name)(*args, **keywords)


class _Operator:
    """A function of tensors, whatever their class."""

    def __init__(self, name):
        self.function = getattr(_rows, name, None) or getattr(_pointwise, name)

    def of(self, tensors):
        return self.function


def _unary(name, inner, op):
    def call(self):
        f = inner.of(_tensors(op, "self", self))
        return tuple([f(x) for x in self])
    call.__doc__ = f"Compute ``{name}`` of every tensor."
    return call


def _binary(name, inner, op):
    def call(self, other, *, alpha=1):
        partners = _partners(op, _tensors(op, "self", self), other)
        f = inner.of(self)
        return tuple([f(x, y) for x, y in zip(self, partners)] if alpha == 1 else [f(x, y, alpha=alpha) for x, y in zip(self, partners)])

    def plain(self, other):
        return call(self, other)
    chosen = call if name in ("add", "sub") else plain
    chosen.__doc__ = f"Compute ``{name}`` of every tensor with its partner: a list, one tensor or one number."
    return chosen


def _ternary(name, inner, op):
    def call(self, tensor1, tensor2, value=1):
        first, second = _partners(op, _tensors(op, "self", self), tensor1), _partners(op, self, tensor2)
        if isinstance(value, TensorBase):
            value = value.tolist()
        f = inner.of(self)
        return tuple([f(x, a, b, value=v) for x, a, b, v in zip(self, first, second, _partners(op, self, value))])
    call.__doc__ = f"Compute ``{name}`` of every tensor; ``value``: a number, or one a tensor."
    return call


def _weighted(name, inner, op):
    def call(self, tensors1, weight):
        ends = _partners(op, _tensors(op, "self", self), tensors1)
        f = inner.of(self)
        return tuple([f(x, e, w) for x, e, w in zip(self, ends, _partners(op, self, weight))])
    call.__doc__ = "Interpolate every tensor towards its partner; ``weight``: a number, or numbers or tensors one a tensor."
    return call


def _foreach_zero_(self):
    """Fill every tensor with zeros."""
    zero_ = _Method("zero").of(_tensors("_foreach_zero_", "self", self))
    if zero_ is Tensor.zero_:                 # no class's own
        zero_each(self)
    else:
        for x in self:
            zero_(x)
    return self


def _foreach_copy_(self, src, non_blocking=False):
    """Copy every tensor of ``src`` into its partner."""
    for x, y in zip(_tensors("_foreach_copy_", "self", self), _partners("_foreach_copy_", self, src)):
        copy_(x, y)
    return self


def _foreach_clone(self):
    """Copy every tensor."""
    return tuple([clone_(x) for x in _tensors("_foreach_clone", "self", self)])


def _foreach_norm(self, ord=2, dtype=None):
    """Compute the norm of every tensor."""
    return tuple([_linalg_norms.vector_norm(x, ord, dtype=dtype) for x in _tensors("_foreach_norm", "self", self)])


def _foreach_max(self):
    """Find the largest element of every tensor."""
    return tuple([amax(x) for x in _tensors("_foreach_max", "self", self)])


FUNCTIONS = {f.__name__: f for f in (_foreach_zero_, _foreach_copy_, _foreach_clone, _foreach_norm, _foreach_max)}


def _add(name, make, inner):
    """Two functions: with the operator `inner`, and with the tensor's own in-place form of it."""
    for op in ("_foreach_" + name, f"_foreach_{name}_"):
        made = _writing(make(name, _Method(inner), op)) if op.endswith("_") else make(name, _Operator(inner), op)
        made.__name__ = made.__qualname__ = op
        FUNCTIONS[op] = made


def _writing(made):
    def call(self, *args, **keywords):
        made(self, *args, **keywords)
        return self
    call.__doc__ = made.__doc__ + " In place."
    return call


def _numbers_first(made):
    """A number to the powers in a list."""
    _pow = _Operator("pow").function

    def call(self, exponent):
        if isinstance(exponent, (tuple, list)) and not isinstance(self, (tuple, list)):
            return tuple([_pow(self, e) for e in _tensors("_foreach_pow", "exponent", exponent)])
        return made(self, exponent)
    call.__name__ = call.__qualname__ = "_foreach_pow"
    call.__doc__ = made.__doc__
    return call


for _name in _UNARY:
    _add(_name, _unary, _name)
for _name in (*_BINARY, *_CALLED):
    _add(_name, _binary, _CALLED.get(_name, _name))
for _name in _TERNARY:
    _add(_name, _ternary, _name)
_add("lerp", _weighted, "lerp")
FUNCTIONS["_foreach_pow"] = _numbers_first(FUNCTIONS["_foreach_pow"])
