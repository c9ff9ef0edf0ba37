"""Random operands of the binary and unary operators: dtype, shape, value and errors as PyTorch's."""
import operator

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, strategies as st

import rustorch_py as rt

from .pairs import DTYPES, FLOATS, INTS, Pair, broadcastable, call, fuzz, is_infinite_complex, pairs, same

NUMBERS = st.one_of(st.sampled_from([0, 1, 2, -1, 3, 7, True, False, 0.5, -1.5, 2.0, 1e10, 1 + 2j, 300, -129]), st.integers(-5, 5))


@st.composite
def operands(draw, dtypes=DTYPES):
    """Two operands: tensors of any dimension, or a tensor and a Python number, in either order."""
    a = draw(pairs(dtypes))
    if draw(st.integers(0, 2)) == 0:
        n = draw(NUMBERS)
        b = Pair(n, n, repr(n))
    else:
        b = draw(pairs(dtypes, shape=draw(broadcastable(tuple(a.t.shape)))))
    return (a, b) if draw(st.booleans()) else (b, a)


ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]
BITS = ["and_", "or_", "xor"]
FUNCTIONS = ["add", "sub", "mul", "div", "maximum", "minimum", "fmax", "fmin", "remainder", "fmod", "floor_divide", "true_divide", "eq", "lt", "atan2",
             "hypot", "logaddexp", "copysign", "bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor", "heaviside",
             "xlogy", "gcd", "lcm", "dist", "isclose", "bitwise_left_shift", "bitwise_right_shift", "nextafter"]
UNARY = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "tan", "tanh", "sigmoid", "relu", "floor", "ceil", "round", "trunc", "sign", "sgn",
         "reciprocal", "square", "logical_not", "bitwise_not", "isnan", "isinf", "isfinite", "erf", "erfc", "expm1", "log1p", "log2", "log10", "exp2",
         "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "frac", "positive", "conj", "real", "angle", "signbit", "nan_to_num",
         "deg2rad", "rad2deg", "isreal", "isposinf", "isneginf", "sinc", "logit", "lgamma", "digamma"]


@fuzz
@given(st.sampled_from(ARITHMETIC + COMPARE + BITS), operands())
def test_operators(name, ab):
    a, b = ab
    if not (isinstance(a.t, torch.Tensor) or isinstance(b.t, torch.Tensor)) or is_infinite_complex(a, b):
        return
    f = getattr(operator, name)
    same(call(lambda: f(a.t, b.t)), call(lambda: f(a.r, b.r)), f"{name}({a}, {b})")


@fuzz
@given(st.sampled_from(FUNCTIONS), operands())
def test_functions(name, ab):
    a, b = ab
    if is_infinite_complex(a, b):
        return
    if "shift" in name:
        b = Pair(torch.tensor(1), rt.tensor(1), "tensor(1)")
    if name == "logaddexp" and "complex" in f"{getattr(a.t, 'dtype', a.t)}{getattr(b.t, 'dtype', b.t)}":
        return                                        # real only here; says so
    if name == "copysign" and isinstance(b.t, torch.Tensor) and b.t.dtype == torch.bfloat16:
        b = Pair(b.t.nan_to_num(), b.r.nan_to_num(), f"nan_to_num({b})")       # PyTorch's conversion to bfloat16 sets the sign of a NaN
    same(call(lambda: getattr(torch, name)(a.t, b.t)), call(lambda: getattr(rt, name)(a.r, b.r)), f"{name}({a}, {b})")


@fuzz
@given(st.sampled_from(["add", "sub", "mul", "div", "floor_divide", "remainder", "copy", "eq", "lt", "logical_and", "bitwise_or", "pow"]), operands())
def test_in_place(name, ab):
    a, b = ab
    if not isinstance(a.t, torch.Tensor) or is_infinite_complex(a, b):
        return
    method = name + "_"
    got = [call(lambda x=x, y=y: getattr(x, method)(y)) for x, y in ((a.t, b.t), (a.r, b.r))]
    same(*got, f"{a}.{method}({b})")
    if got[0][0] == "value":
        same(("value", a.t), ("value", a.r), f"{a} after {method}({b})")
        assert got[1][1] is a.r


@fuzz
@given(st.sampled_from(["add", "mul", "div", "maximum", "atan2", "eq"]), pairs(), pairs(), pairs(layouts=["plain"]))
def test_out(name, a, b, o):
    if is_infinite_complex(a, b):
        return
    got = [call(lambda m=m, x=x, y=y, z=z: getattr(m, name)(x, y, out=z)) for m, x, y, z in ((torch, a.t, b.t, o.t), (rt, a.r, b.r, o.r))]
    tolerance = 1e-2 if "float16" in f"{a.t.dtype}{b.t.dtype}" else 1e-5     # what lies in `out` was rounded to the inputs' dtype first
    same(*got, f"{name}({a}, {b}, out={o})", tolerance)
    if got[0][0] == "value":
        same(("value", o.t), ("value", o.r), f"out of {name}({a}, {b}, out={o})", tolerance)


@fuzz
@given(st.sampled_from(UNARY), pairs())
def test_unary(name, a):
    tolerance = 1e-2 if str(a.t.dtype) == "torch.float16" else None
    if name == "signbit" and a.t.dtype == torch.bfloat16:
        a = Pair(a.t.nan_to_num(1, 2, -2), a.r.nan_to_num(1, 2, -2), a.about)     # the sign of a converted NaN is not defined
    same(call(lambda: getattr(torch, name)(a.t)), call(lambda: getattr(rt, name)(a.r)), f"{name}({a})", tolerance)


@fuzz
@given(st.sampled_from(["where", "clamp", "lerp", "addcmul"]), pairs(), st.data())
def test_three_operands(name, a, data):
    shape = tuple(a.t.shape)
    b = data.draw(pairs(shape=data.draw(broadcastable(shape))))
    c = data.draw(pairs(shape=data.draw(broadcastable(shape))))
    if name == "where":
        mask = data.draw(pairs(["bool"], shape=data.draw(broadcastable(shape))))
        calls = [call(lambda m=m, k=k, x=x, y=y: m.where(k, x, y)) for m, k, x, y in ((torch, mask.t, a.t, b.t), (rt, mask.r, a.r, b.r))]
    else:
        calls = [call(lambda m=m, x=x, y=y, z=z: getattr(m, name)(x, y, z)) for m, x, y, z in ((torch, a.t, b.t, c.t), (rt, a.r, b.r, c.r))]
    same(*calls, f"{name}({a}, {b}, {c})", 1e-2 if "float16" in str(a.t.dtype) else None)


@fuzz
@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from([0, 1]), st.sampled_from([0, 1]))
def test_result_type(first, second, dims_first, dims_second):
    outcome = []
    for m in (torch, rt):
        x, y = (m.ones([2] * d, dtype=getattr(m, n)) for n, d in ((first, dims_first), (second, dims_second)))
        outcome.append(call(lambda: (m.result_type(x, y), m.promote_types(x.dtype, y.dtype), m.can_cast(x.dtype, y.dtype), m.cat([x.reshape(-1), y.reshape(-1)]).dtype)))
    same(*outcome, f"{first}{dims_first} {second}{dims_second}")


@fuzz
@given(st.sampled_from(DTYPES), pairs())
def test_conversion(dtype, a):
    same(call(lambda: a.t.nan_to_num(1, 2, -2).to(getattr(torch, dtype)) if a.t.is_floating_point() else a.t.to(getattr(torch, dtype))),
         call(lambda: a.r.nan_to_num(1, 2, -2).to(getattr(rt, dtype)) if a.r.is_floating_point() else a.r.to(getattr(rt, dtype))), f"{a}.to({dtype})")
