"""How tensor functions are written in ONNX: one rule a function, by name, ``rule(writer, what was computed, *arguments)``."""
import math

from .. import tensor as _t
from ..tensor import Size, Tensor
from . import OnnxExporterError

RULES = {}


def rule(*names):
    """Register a function as the rule of names; a decorator."""
    def register(fn):
        for name in names:
            RULES[name] = fn
        return fn
    return register


def is_val(x):
    return hasattr(x, "name") and hasattr(x, "val")


def known(x):
    """What a value is for the example."""
    return x.val if is_val(x) else x


def axis_of(dim, ndim):
    return dim % ndim if ndim else 0


def axes_of(dim, ndim):
    """None, a number or several as a list; None: all."""
    if dim is None or isinstance(dim, (list, tuple)) and not dim:
        return None
    return [axis_of(d, ndim) for d in (dim if isinstance(dim, (list, tuple)) else (dim,))]


def operand(w, x, dtype):
    """A value or number as a Val of a dtype."""
    if not is_val(x):
        return w.cast(w.const(x), dtype) if isinstance(x, Tensor) else w.const(x, dtype)
    if isinstance(x.val, Tensor):
        return w.cast(x, dtype)
    return x if dtype is _t.int64 and isinstance(x.val, int) else w.op("Cast", [x], x.val, to=w.element_type(dtype))


def common(*values):
    """The dtype that values meet in, as Tensor's arithmetic has it; sizes are int64."""
    values = [known(v) for v in values]
    tensors = [v for v in values if isinstance(v, Tensor)]
    if not tensors:
        return _t.float32 if any(isinstance(v, float) for v in values) else _t.int64
    out = tensors[0].dtype
    for i, a in enumerate(values):
        for b in values[i + 1:]:
            if isinstance(a, Tensor) or isinstance(b, Tensor):
                out = _t.promote_types(out, _t.result_type(a, b))
    if len(tensors) == len(values) or len(values) == 2:
        return _t.result_type(*values) if len(values) == 2 else out
    return out


# ---- elementwise ----
def _unary(kind, floats=True):
    def write(w, val, input, *args, **kwargs):
        x = w.cast(input, val.dtype) if floats else input
        return w.op(kind, [x], val)
    return write


for _name, _kind in {"relu": "Relu", "neg": "Neg", "negative": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sigmoid": "Sigmoid", "tanh": "Tanh", "sin": "Sin",
                     "cos": "Cos", "tan": "Tan", "asin": "Asin", "arcsin": "Asin", "acos": "Acos", "atan": "Atan", "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh",
                     "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign", "reciprocal": "Reciprocal",
                     "softsign": "Softsign", "det": "Det"}.items():
    RULES[_name] = _unary(_kind)
for _name, _kind in {"isnan": "IsNaN", "isinf": "IsInf", "clone": "Identity", "contiguous": "Identity", "detach": "Identity", "alias": "Identity", "positive": "Identity",
                     "requires_grad_": "Identity", "resolve_conj": "Identity"}.items():
    RULES[_name] = _unary(_kind, False)


@rule("cpu", "cuda")
def same(w, val, input, *args, **kwargs):
    return input


def _made(build):
    """A rule of other operators: build(w, x, c), where c(number) is a constant of the dtype."""
    def write(w, val, input, *args, **kwargs):
        x = w.cast(input, val.dtype)
        return build(w, val, x, lambda v: w.const(v, val.dtype), *args, **kwargs)
    return write


def _op(w, kind, *inputs, val=None, **attributes):
    return w.op(kind, list(inputs), val, **attributes)


RULES.update({
    "rsqrt": _made(lambda w, v, x, c: _op(w, "Reciprocal", _op(w, "Sqrt", x), val=v)),
    "square": _made(lambda w, v, x, c: _op(w, "Mul", x, x, val=v)),
    "log2": _made(lambda w, v, x, c: _op(w, "Mul", _op(w, "Log", x), c(1 / math.log(2)), val=v)),
    "log10": _made(lambda w, v, x, c: _op(w, "Mul", _op(w, "Log", x), c(1 / math.log(10)), val=v)),
    "log1p": _made(lambda w, v, x, c: _op(w, "Log", _op(w, "Add", x, c(1)), val=v)),
    "expm1": _made(lambda w, v, x, c: _op(w, "Sub", _op(w, "Exp", x), c(1), val=v)),
    "exp2": _made(lambda w, v, x, c: _op(w, "Pow", c(2), x, val=v)),
    "silu": _made(lambda w, v, x, c, inplace=False: _op(w, "Mul", x, _op(w, "Sigmoid", x), val=v)),
    "logsigmoid": _made(lambda w, v, x, c: _op(w, "Neg", _op(w, "Softplus", _op(w, "Neg", x)), val=v)),
    "mish": _made(lambda w, v, x, c, inplace=False: _op(w, "Mul", x, _op(w, "Tanh", _op(w, "Softplus", x)), val=v)),
    "hardswish": _made(lambda w, v, x, c, inplace=False: _op(w, "Mul", x, _op(w, "HardSigmoid", x, alpha=1 / 6, beta=0.5), val=v)),
    "hardsigmoid": _made(lambda w, v, x, c, inplace=False: _op(w, "HardSigmoid", x, alpha=1 / 6, beta=0.5, val=v)),
    "relu6": _made(lambda w, v, x, c, inplace=False: _op(w, "Clip", x, c(0), c(6), val=v)),
    "elu": _made(lambda w, v, x, c, alpha=1.0, inplace=False: _op(w, "Elu", x, alpha=float(alpha), val=v)),
    "celu": _made(lambda w, v, x, c, alpha=1.0, inplace=False: _op(w, "Elu", x, alpha=1.0, val=v) if alpha == 1
                  else _op(w, "Celu", x, alpha=float(alpha), val=v)),
    "selu": _made(lambda w, v, x, c, inplace=False: _op(w, "Selu", x, val=v)),
    "leaky_relu": _made(lambda w, v, x, c, negative_slope=0.01, inplace=False: _op(w, "LeakyRelu", x, alpha=float(negative_slope), val=v)),
    "hardtanh": _made(lambda w, v, x, c, min_val=-1.0, max_val=1.0, inplace=False: _op(w, "Clip", x, c(min_val), c(max_val), val=v)),
    "hardshrink": _made(lambda w, v, x, c, lambd=0.5: _op(w, "Shrink", x, bias=0.0, lambd=float(lambd), val=v)),
    "softshrink": _made(lambda w, v, x, c, lambd=0.5: _op(w, "Shrink", x, bias=float(lambd), lambd=float(lambd), val=v)),
    "tanhshrink": _made(lambda w, v, x, c: _op(w, "Sub", x, _op(w, "Tanh", x), val=v)),
    "deg2rad": _made(lambda w, v, x, c: _op(w, "Mul", x, c(math.pi / 180), val=v)),
    "trunc": _made(lambda w, v, x, c: _op(w, "Mul", _op(w, "Sign", x), _op(w, "Floor", _op(w, "Abs", x)), val=v)),
    "erfc": _made(lambda w, v, x, c: _op(w, "Sub", c(1), _op(w, "Erf", x), val=v)),
})


@rule("softplus")
def softplus(w, val, input, beta=1, threshold=20):
    if beta == 1:
        return w.op("Softplus", [input], val)
    b = w.const(float(beta), val.dtype)
    return w.op("Div", [w.op("Softplus", [w.op("Mul", [input, b])]), b], val)


@rule("gelu")
def gelu(w, val, input, approximate="none"):
    def c(v):
        return w.const(v, val.dtype)
    if approximate == "none":
        inner = w.op("Erf", [w.op("Mul", [input, c(math.sqrt(0.5))])])
    else:
        cube = w.op("Mul", [w.op("Mul", [input, input]), input])
        inner = w.op("Tanh", [w.op("Mul", [w.op("Add", [input, w.op("Mul", [cube, c(0.044715)])]), c(math.sqrt(2 / math.pi))])])
    return w.op("Mul", [w.op("Mul", [input, c(0.5)]), w.op("Add", [inner, c(1)])], val)


@rule("prelu")
def prelu(w, val, input, weight):
    if weight.val.numel() > 1 and input.ndim > 2:
        weight = w.reshape(weight, [-1] + [1] * (input.ndim - 2))
    return w.op("PRelu", [input, weight], val)


@rule("glu")
def glu(w, val, input, dim=-1):
    axis = axis_of(dim, input.ndim)
    a, b = w.split(input, [input.shape[axis] // 2] * 2, axis, [val, val])
    return w.op("Mul", [a, w.op("Sigmoid", [b])], val)


def _binary(kind, result=None, swap=False):
    def write(w, val, input, other, **kwargs):
        a, b = (other, input) if swap else (input, other)
        dtype = common(a, b)
        if kwargs.get("alpha", 1) != 1:
            b = w.op("Mul", [operand(w, b, dtype), operand(w, kwargs["alpha"], dtype)])
            return w.op(kind, [operand(w, a, dtype), b], val)
        if result == "float" and (isinstance(val, Tensor) or isinstance(val, float)):
            dtype = val.dtype if isinstance(val, Tensor) else _t.float32
        return w.op(kind, [operand(w, a, dtype), operand(w, b, dtype)], val)
    return write


for _name, _kind in {"add": "Add", "sub": "Sub", "subtract": "Sub", "mul": "Mul", "multiply": "Mul", "iadd": "Add", "isub": "Sub", "imul": "Mul", "eq": "Equal", "lt": "Less",
                     "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual"}.items():
    RULES[_name] = _binary(_kind)
for _name in ("truediv", "itruediv", "divide", "true_divide"):
    RULES[_name] = _binary("Div", "float")
RULES["rsub"] = _binary("Sub", swap=True)


@rule("ne", "not_equal")
def ne(w, val, input, other):
    return w.op("Not", [RULES["eq"](w, val, input, other)], val)


@rule("div")
def div(w, val, input, other, rounding_mode=None):
    if rounding_mode is None:
        return RULES["truediv"](w, val, input, other)
    if rounding_mode == "floor":
        return floordiv(w, val, input, other)
    dtype = common(input, other)
    q = w.op("Div", [operand(w, input, dtype), operand(w, other, dtype)], val)
    return q if not dtype.is_floating_point else RULES["trunc"](w, val, q)


@rule("floordiv", "floor_divide")
def floordiv(w, val, input, other):
    dtype = common(input, other)
    a, b = operand(w, input, dtype), operand(w, other, dtype)
    if dtype.is_floating_point:
        return w.op("Floor", [w.op("Div", [a, b])], val)
    if isinstance(val, int) or not is_val(other) and known(other) > 0 and not isinstance(known(input), Tensor):
        return w.op("Div", [a, b], val)                      # sizes are not negative
    return w.op("Div", [w.op("Sub", [a, w.op("Mod", [a, b])]), b], val)


@rule("remainder", "mod")
def remainder(w, val, input, other):
    dtype = common(input, other)
    a, b = operand(w, input, dtype), operand(w, other, dtype)
    if not dtype.is_floating_point:
        return w.op("Mod", [a, b], val)
    return w.op("Sub", [a, w.op("Mul", [w.op("Floor", [w.op("Div", [a, b])]), b])], val)


@rule("fmod")
def fmod(w, val, input, other):
    dtype = common(input, other)
    return w.op("Mod", [operand(w, input, dtype), operand(w, other, dtype)], val, fmod=1)


@rule("pow", "ipow", "float_power")
def power(w, val, input, exponent):
    dtype = val.dtype if isinstance(val, Tensor) else common(input, exponent)
    if not is_val(exponent) and exponent == 2:
        x = operand(w, input, dtype)
        return w.op("Mul", [x, x], val)
    return w.op("Pow", [operand(w, input, dtype), operand(w, exponent, dtype)], val)


def _extreme(kind):
    def write(w, val, input, other):
        dtype = common(input, other)
        return w.op(kind, [operand(w, input, dtype), operand(w, other, dtype)], val)
    return write


RULES["maximum"], RULES["minimum"] = _extreme("Max"), _extreme("Min")


@rule("clamp", "clip")
def clamp(w, val, input, min=None, max=None):
    x = operand(w, input, val.dtype)
    if isinstance(known(min), Tensor) and known(min).ndim or isinstance(known(max), Tensor) and known(max).ndim:
        x = x if min is None else w.op("Max", [x, operand(w, min, val.dtype)], val)
        return x if max is None else w.op("Min", [x, operand(w, max, val.dtype)], val)
    return w.op("Clip", [x, None if min is None else operand(w, min, val.dtype), None if max is None else operand(w, max, val.dtype)], val)


@rule("clamp_min")
def clamp_min(w, val, input, min):
    return clamp(w, val, input, min)


@rule("clamp_max")
def clamp_max(w, val, input, max):
    return clamp(w, val, input, None, max)


def _logical(kind, invert=False):
    def write(w, val, input, other=None):
        if isinstance(val, Tensor) and val.dtype is not _t.bool:
            raise OnnxExporterError(f"onnx.export: bitwise operators are written for bool tensors, got {val.dtype}")
        inputs = [operand(w, x, _t.bool) for x in ((input,) if kind == "Not" else (input, other))]
        return w.op(kind, inputs, val)
    return write


for _name, _kind in {"logical_and": "And", "and_": "And", "bitwise_and": "And", "logical_or": "Or", "or_": "Or", "bitwise_or": "Or", "logical_xor": "Xor", "xor": "Xor",
                     "bitwise_xor": "Xor", "logical_not": "Not", "bitwise_not": "Not", "invert": "Not"}.items():
    RULES[_name] = _logical(_kind)


@rule("where")
def where(w, val, condition, input=None, other=None):
    if input is None:
        raise OnnxExporterError("onnx.export: where(condition) has a shape that depends on the elements")
    if isinstance(known(condition), Tensor) and known(condition).dtype is not _t.bool:
        condition, input = input, condition                  # x.where(condition, y)
    return w.op("Where", [condition if is_val(condition) else w.const(condition), operand(w, input, val.dtype), operand(w, other, val.dtype)], val)


@rule("masked_fill")
def masked_fill(w, val, input, mask, value):
    return w.op("Where", [operand(w, mask, _t.bool), operand(w, value, val.dtype), input], val)


# ---- dtypes ----
@rule("to", "type", "type_as", "float", "half", "double", "bfloat16", "long", "int", "bool", "short", "char", "byte")
def to(w, val, input, *args, **kwargs):
    return w.cast(input, val.dtype, val)


# ---- sizes ----
@rule("size")
def size(w, val, input, dim=None):
    shape = w.op("Shape", [input], _t.tensor(input.shape))
    if dim is None:
        return shape_val(w, shape, val)
    return w.op("Gather", [shape, w.const(axis_of(dim, input.ndim), _t.int64)], val, axis=0)


def shape_val(w, shape, val):
    """A traced torch.Size: a vector whose items are taken by getitem."""
    shape.val = val
    return shape


@rule("numel", "nelement")
def numel(w, val, input):
    return w.op("Size", [input], val)


@rule("getattr")
def attribute(w, val, input, name):
    if name == "shape":
        return size(w, val, input)
    if name in ("T", "mT", "H", "mH"):
        order = list(range(input.ndim))
        order = order[::-1] if name in "TH" else order[:-2] + [order[-1], order[-2]]
        return w.op("Transpose", [input], val, perm=order)
    if name == "data":
        return input
    raise OnnxExporterError(f"onnx.export: the attribute {name!r} has no form in ONNX here")


@rule("floor_", "__index__", "item")
def item(w, val, input):
    return w.reshape(input, [])


# ---- shapes ----
def _sizes(args):
    return list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else list(args)


@rule("view", "reshape", "view_as", "reshape_as")
def reshape(w, val, input, *shape, **kwargs):
    shape = shape or tuple(v for v in (kwargs.get("shape", kwargs.get("size")),) if v is not None)
    if len(shape) == 1 and is_val(shape[0]):
        if isinstance(shape[0].val, Tensor):                # view_as
            return w.op("Reshape", [input, w.op("Shape", [shape[0]])], val)
        if not isinstance(shape[0].val, int):               # a torch.Size
            return w.op("Reshape", [input, shape[0]], val)
    if len(shape) == 1 and isinstance(shape[0], _t.dtype):
        raise OnnxExporterError("onnx.export: view(dtype) reads bytes anew, which ONNX does not")
    return w.reshape(input, _sizes(shape), val)


@rule("flatten", "ravel")
def flatten(w, val, input, start_dim=0, end_dim=-1):
    n = input.ndim
    start, end = axis_of(start_dim, n), axis_of(end_dim, n)
    if start == 1 and end == n - 1 or n == 1:
        return w.op("Flatten", [input], val, axis=1) if n > 1 else w.op("Identity", [input], val)
    return w.reshape(input, [0] * start + [-1] + list(input.shape[end + 1:]), val) if all(input.shape[:start]) else w.reshape(input, list(val.shape), val)


@rule("unflatten")
def unflatten(w, val, input, dim, sizes):
    axis = axis_of(dim, input.ndim)
    return w.reshape(input, [0] * axis + list(sizes) + ([-1] if input.ndim - axis == 2 and -1 not in sizes else list(input.shape[axis + 1:])), val)


@rule("squeeze")
def squeeze(w, val, input, dim=None):
    axes = [i for i, n in enumerate(input.shape) if n == 1] if dim is None else [d for d in axes_of(dim, input.ndim) if input.shape[d] == 1]
    return w.squeeze(input, axes, val) if axes else w.op("Identity", [input], val)


@rule("unsqueeze")
def unsqueeze(w, val, input, dim):
    return w.unsqueeze(input, [axis_of(dim, input.ndim + 1)], val)


@rule("permute")
def permute(w, val, input, *dims):
    return w.op("Transpose", [input], val, perm=[axis_of(d, input.ndim) for d in _sizes(dims)])


@rule("transpose", "swapaxes", "swapdims", "t", "adjoint")
def transpose(w, val, input, dim0=None, dim1=None):
    order = list(range(input.ndim))
    a, b = (axis_of(d, input.ndim) for d in ((-2, -1) if dim0 is None else (dim0, dim1)))
    if input.ndim > 1:
        order[a], order[b] = order[b], order[a]
    return w.op("Transpose", [input], val, perm=order)


@rule("movedim", "moveaxis")
def movedim(w, val, input, source, destination):
    n = input.ndim
    source, destination = axes_of(source, n), axes_of(destination, n)
    order = [d for d in range(n) if d not in source]
    for d, s in sorted(zip(destination, source)):
        order.insert(d, s)
    return w.op("Transpose", [input], val, perm=order)


@rule("expand", "broadcast_to")
def expand(w, val, input, *sizes):
    sizes = _sizes(sizes)
    if len(sizes) == 1 and is_val(sizes[0]) and not isinstance(sizes[0].val, int):
        return w.op("Expand", [input, sizes[0]], val)
    return w.op("Expand", [input, w.ints([1 if not is_val(s) and s == -1 else s for s in sizes])], val)


@rule("expand_as")
def expand_as(w, val, input, other):
    return w.op("Expand", [input, w.op("Shape", [other])], val)


@rule("repeat", "tile")
def repeat(w, val, input, *repeats):
    repeats = _sizes(repeats)
    if len(repeats) > input.ndim:
        input = w.unsqueeze(input, list(range(len(repeats) - input.ndim)), input.val.reshape((1,) * (len(repeats) - input.ndim) + input.shape))
    elif len(repeats) < input.ndim:
        repeats = [1] * (input.ndim - len(repeats)) + repeats
    return w.op("Tile", [input, w.ints(repeats)], val)


@rule("repeat_interleave")
def repeat_interleave(w, val, input, repeats, dim=None):
    if isinstance(known(repeats), Tensor):
        raise OnnxExporterError("onnx.export: repeat_interleave is written for one number of repeats")
    if dim is None:
        input, dim = w.reshape(input, [-1], input.val.reshape(-1)), 0
    axis = axis_of(dim, input.ndim)
    wide = w.unsqueeze(input, [axis + 1])
    wide = w.op("Tile", [wide, w.const([1] * (axis + 1) + [repeats] + [1] * (input.ndim - axis - 1), _t.int64)])
    return w.reshape(wide, [0] * axis + [-1] + list(input.shape[axis + 1:]), val)


@rule("cat", "concat", "concatenate")
def cat(w, val, tensors, dim=0):
    return w.op("Concat", [operand(w, t, val.dtype) for t in tensors if known(t).shape != (0,) or val.ndim == 1], val, axis=axis_of(dim, val.ndim))


@rule("stack")
def stack(w, val, tensors, dim=0):
    axis = axis_of(dim, val.ndim)
    return w.op("Concat", [w.unsqueeze(operand(w, t, val.dtype), [axis]) for t in tensors], val, axis=axis)


@rule("split", "chunk", "split_with_sizes", "tensor_split")
def split(w, val, input, size=None, dim=0, **kwargs):
    axis = axis_of(dim, input.ndim)
    return tuple(w.split(input, [v.shape[axis] for v in val], axis, list(val)))


@rule("unbind")
def unbind(w, val, input, dim=0):
    axis = axis_of(dim, input.ndim)
    return tuple(w.squeeze(p, [axis], v) for p, v in zip(w.split(input, [1] * len(val), axis, list(val)), val))


# ---- taking ----
@rule("getitem")
def getitem(w, val, input, key):
    if not is_val(input):                                    # a tuple of results
        return input[known(key)]
    if isinstance(input.val, Size) or not isinstance(input.val, Tensor):
        if isinstance(key, slice):
            made = w.op("Slice", [input, *(w.const([v], _t.int64) for v in key.indices(len(input.val))[:2]), w.const([0], _t.int64)], _t.tensor(val))
            return shape_val(w, made, val)
        return w.op("Gather", [input, w.const(key % len(input.val), _t.int64)], val, axis=0)
    keys = list(key) if isinstance(key, tuple) else [key]
    if sum(is_val(k) and isinstance(k.val, Tensor) and k.val.dtype is _t.bool for k in keys):
        raise OnnxExporterError("onnx.export: a mask as an index has a result whose shape depends on the elements; use where or masked_fill")
    if any(k is Ellipsis for k in keys):
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        missing = input.ndim - sum(k is not None and k is not Ellipsis for k in keys)
        keys[at:at + 1] = [slice(None)] * missing
    x, axis, starts, ends, axes, steps, gone, new, gathers = input, 0, [], [], [], [], [], [], []
    out_axis = 0
    for k in keys:
        if k is None:
            new.append(out_axis)
            out_axis += 1
            continue
        if isinstance(k, slice):
            if (k.start, k.stop, k.step) != (None, None, None):
                step = k.step or 1
                starts.append(0 if k.start is None else k.start)
                ends.append((1 << 62) if k.stop is None else k.stop)
                axes.append(axis)
                steps.append(step)
            out_axis += 1
        elif isinstance(known(k), Tensor) or isinstance(k, (list, tuple)):
            gathers.append((axis, k))
            out_axis += known(k).ndim if isinstance(known(k), Tensor) else 1
        else:
            gone.append(axis)
            if is_val(k):
                gathers.append((axis, k))
                gone.pop()
            else:
                starts.append(k)
                ends.append(k + 1 if k != -1 else 1 << 62)
                axes.append(axis)
                steps.append(1)
        axis += 1
    if len(gathers) > 1:
        raise OnnxExporterError("onnx.export: an index of several tensors has no form in ONNX here yet")
    if axes:
        x = w.op("Slice", [x, w.ints(starts), w.ints(ends), w.const(axes, _t.int64), w.const(steps, _t.int64)])
    for at, k in gathers:
        x = w.op("Gather", [x, operand(w, k, _t.int64) if not isinstance(k, (list, tuple)) else w.const(list(k), _t.int64)], axis=at)
        if known(k) is not None and isinstance(known(k), Tensor) and gone:
            gone = [g if g < at else g + known(k).ndim - 1 for g in gone]
    if gone:
        x = w.squeeze(x, gone)
    if new:
        x = w.unsqueeze(x, new)
    if x is input:
        return w.op("Identity", [x], val)
    x.val = val
    return x


@rule("set_item")
def set_item(w, val, input, key, value):
    keys = list(key) if isinstance(key, tuple) else [key]
    if len(keys) == 1 and is_val(keys[0]) and isinstance(keys[0].val, Tensor) and keys[0].val.dtype is _t.bool:
        return w.op("Where", [keys[0], operand(w, value, val.dtype), input], val)
    # positions by numbers: the elements of the example's shape that are written
    place = _t.arange(input.val.numel()).reshape(input.shape)[tuple(known(k) for k in keys)]
    source = operand(w, value, val.dtype)
    source = w.reshape(w.op("Expand", [source, w.const(list(place.shape) or [1], _t.int64)]), [-1])
    flat = w.op("ScatterElements", [w.reshape(input, [-1]), w.const(place.reshape(-1)), source], axis=0)
    return w.op("Reshape", [flat, w.op("Shape", [input])], val)


@rule("select")
def select(w, val, input, dim, index):
    return w.op("Gather", [input, operand(w, index, _t.int64)], val, axis=axis_of(dim, input.ndim))


@rule("narrow")
def narrow(w, val, input, dim, start, length):
    end = start + length if not is_val(start) and not is_val(length) else RULES["add"](w, known(start) + known(length), start, length)
    return w.op("Slice", [input, w.ints([start]), w.ints([end]), w.const([axis_of(dim, input.ndim)], _t.int64)], val)


@rule("index_select")
def index_select(w, val, input, dim, index):
    return w.op("Gather", [input, operand(w, index, _t.int64)], val, axis=axis_of(dim, input.ndim))


@rule("gather")
def gather(w, val, input, dim, index, sparse_grad=False):
    return w.op("GatherElements", [input, operand(w, index, _t.int64)], val, axis=axis_of(dim, input.ndim))


@rule("scatter")
def scatter(w, val, input, dim, index, src=None, value=None):
    source = src if src is not None else value
    if not (is_val(source) and isinstance(source.val, Tensor) and source.val.ndim):
        source = w.op("Expand", [operand(w, source, val.dtype), w.op("Shape", [index])])
    return w.op("ScatterElements", [input, index, source], val, axis=axis_of(dim, input.ndim))


@rule("scatter_add")
def scatter_add(w, val, input, dim, index, src):
    if w.opset < 16:
        raise OnnxExporterError("onnx.export: scatter_add needs opset_version 16 or later")
    return w.op("ScatterElements", [input, index, src], val, axis=axis_of(dim, input.ndim), reduction="add")


# ---- reductions ----
def _reduction(kind, to_float=False):
    def write(w, val, input, dim=None, keepdim=False, dtype=None, **kwargs):
        return w.reduce(kind, w.cast(input, val.dtype), axes_of(dim, input.ndim), keepdim, val)
    return write


RULES.update({"sum": _reduction("ReduceSum"), "mean": _reduction("ReduceMean"), "prod": _reduction("ReduceProd"), "amax": _reduction("ReduceMax"), "amin": _reduction("ReduceMin"),
              "logsumexp": _reduction("ReduceLogSumExp")})


def _max_or_min(kind, pair, arg):
    def write(w, val, input, dim=None, keepdim=False):
        if is_val(dim) and isinstance(dim.val, Tensor) or isinstance(dim, Tensor):
            return RULES[pair](w, val, input, dim)
        if dim is None:
            return w.reduce(kind, input, None, False, val)
        axis = axis_of(dim, input.ndim)
        return w.reduce(kind, input, [axis], keepdim, val[0]), w.op(arg, [input], val[1], axis=axis, keepdims=int(keepdim))
    return write


RULES["max"], RULES["min"] = _max_or_min("ReduceMax", "maximum", "ArgMax"), _max_or_min("ReduceMin", "minimum", "ArgMin")


def _arg(kind):
    def write(w, val, input, dim=None, keepdim=False):
        if dim is None:
            return w.reshape(w.op(kind, [w.reshape(input, [-1])], axis=0, keepdims=0), [], val)
        return w.op(kind, [input], val, axis=axis_of(dim, input.ndim), keepdims=int(keepdim))
    return write


RULES["argmax"], RULES["argmin"] = _arg("ArgMax"), _arg("ArgMin")


@rule("var", "std")
def var(w, val, input, dim=None, unbiased=True, keepdim=False, *, correction=None):
    return spread(w, val, input, dim, (1 if unbiased else 0) if correction is None else correction, keepdim, False)


def spread(w, val, input, dim, correction, keepdim, root):
    axes = axes_of(dim, input.ndim)
    count = 1
    for a in range(input.ndim) if axes is None else axes:
        count *= input.shape[a]
    gap = w.op("Sub", [input, w.reduce("ReduceMean", input, axes, True)])
    total = w.reduce("ReduceSum", w.op("Mul", [gap, gap]), axes, keepdim)
    out = w.op("Div", [total, w.const(float(count - correction), val.dtype)], val)
    return w.op("Sqrt", [out], val) if root else out


@rule("std")
def std(w, val, input, dim=None, unbiased=True, keepdim=False, *, correction=None):
    return spread(w, val, input, dim, (1 if unbiased else 0) if correction is None else correction, keepdim, True)


@rule("norm", "vector_norm")
def norm(w, val, input, p=2, dim=None, keepdim=False, **kwargs):
    p = kwargs.get("ord", p)
    if p not in (1, 2, "fro", 1.0, 2.0):
        raise OnnxExporterError(f"onnx.export: norms are written for p=1 and 2, got {p!r}")
    return w.reduce("ReduceL1" if p == 1 else "ReduceL2", input, axes_of(dim, input.ndim), keepdim, val)


@rule("any", "all")
def any_(w, val, input, dim=None, keepdim=False):
    return truth(w, val, input, dim, keepdim, "ReduceMax")


def truth(w, val, input, dim, keepdim, kind):
    as_number = w.op("Cast", [operand(w, input, _t.bool)], to=w.element_type(_t.int32))
    return w.op("Cast", [w.reduce(kind, as_number, axes_of(dim, input.ndim), keepdim)], val, to=w.element_type(_t.bool))


@rule("all")
def all_(w, val, input, dim=None, keepdim=False):
    return truth(w, val, input, dim, keepdim, "ReduceMin")


@rule("cumsum")
def cumsum(w, val, input, dim, dtype=None):
    return w.op("CumSum", [w.cast(input, val.dtype), w.const(axis_of(dim, input.ndim), _t.int64)], val)


@rule("topk")
def topk(w, val, input, k, dim=-1, largest=True, sorted=True):
    return tuple(w.op("TopK", [input, w.ints([k])], list(val), outputs=2, axis=axis_of(dim, input.ndim), largest=int(largest), sorted=int(sorted)))


@rule("sort")
def sort(w, val, input, dim=-1, descending=False, stable=False):
    axis = axis_of(dim, input.ndim)
    return tuple(w.op("TopK", [input, w.const([input.shape[axis]], _t.int64)], list(val), outputs=2, axis=axis, largest=int(descending), sorted=1))


@rule("argsort")
def argsort(w, val, input, dim=-1, descending=False, stable=False):
    return sort(w, (input.val, val), input, dim, descending)[1]


# ---- making ----
def _like(value):
    def write(w, val, input, *args, **kwargs):
        return w.op("Expand", [w.const(value, val.dtype), w.op("Shape", [input])], val)
    return write


RULES["zeros_like"], RULES["ones_like"] = _like(0), _like(1)


@rule("full_like")
def full_like(w, val, input, fill_value, **kwargs):
    return w.op("Expand", [operand(w, fill_value, val.dtype), w.op("Shape", [input])], val)


def _filled(value, skip):
    def write(w, val, *args, **kwargs):
        sizes = _sizes(args[skip:])
        if len(sizes) == 1 and is_val(sizes[0]) and not isinstance(sizes[0].val, int):
            return w.op("Expand", [w.const(value, val.dtype), sizes[0]], val)
        return w.op("Expand", [w.const(value, val.dtype), w.ints(sizes)], val)
    return write


RULES.update({"zeros": _filled(0, 0), "ones": _filled(1, 0), "empty": _filled(0, 0), "new_zeros": _filled(0, 1), "new_ones": _filled(1, 1), "new_empty": _filled(0, 1)})


@rule("full")
def full(w, val, size, fill_value, **kwargs):
    return w.op("Expand", [operand(w, fill_value, val.dtype), w.ints(list(size))], val)


@rule("new_full")
def new_full(w, val, input, size, fill_value, **kwargs):
    return full(w, val, size, fill_value)


@rule("arange")
def arange(w, val, start, end=None, step=1, **kwargs):
    start, end = (0, start) if end is None else (start, end)
    return w.op("Range", [operand(w, v, val.dtype) for v in (start, end, step)], val)


@rule("tril", "triu")
def tril(w, val, input, diagonal=0):
    return triangle(w, val, input, diagonal, False)


def triangle(w, val, input, diagonal, upper):
    if w.opset >= 14:
        return w.op("Trilu", [input, operand(w, diagonal, _t.int64)], val, upper=int(upper))
    mask = _t.ones(input.shape[-2:], dtype=_t.bool)
    mask = mask.triu(diagonal) if upper else mask.tril(diagonal)
    return w.op("Where", [w.const(mask), input, w.const(0, val.dtype)], val)


@rule("triu")
def triu(w, val, input, diagonal=0):
    return triangle(w, val, input, diagonal, True)


@rule("flip")
def flip(w, val, input, *dims):
    axes = axes_of(_sizes(dims), input.ndim)
    return w.op("Slice", [input, w.const([-1] * len(axes), _t.int64), w.const([-(1 << 62)] * len(axes), _t.int64), w.const(axes, _t.int64), w.const([-1] * len(axes), _t.int64)], val)


@rule("roll")
def roll(w, val, input, shifts, dims=None):
    if dims is None:
        raise OnnxExporterError("onnx.export: roll is written with dims")
    for shift, dim in zip(*[(v,) if isinstance(v, int) else tuple(v) for v in (shifts, dims)]):
        axis = axis_of(dim, input.ndim)
        cut = w.const([-shift % input.shape[axis]], _t.int64)
        at = w.const([axis], _t.int64)
        back = w.op("Slice", [input, cut, w.const([1 << 62], _t.int64), at])
        front = w.op("Slice", [input, w.const([0], _t.int64), cut, at])
        input = w.op("Concat", [back, front], val, axis=axis)
    return input
