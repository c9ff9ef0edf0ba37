"""Loops over 16-bit floats: a row computed in float32 and rounded once, for every layout, size and instruction set."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.autograd import formula
from rustorch_py.tensor import _pointwise, optable, render
from tests import samples

DTYPES = [rt.float16, rt.bfloat16]
ROWS = [row for row in optable.ROWS if render.has_half_loop(row) or render.has_v16_loop(row, 0)]
DERIVATIVES = [(row, i) for row in optable.ROWS for i in range(row.arity) if render.has_v16_loop(row, i + 1) and row.name not in samples.REFUSED]
SIZES = (1, 5, 31, 32, 33, 63, 64, 65, 130, 1000)


def draw(row, shape, dtype, seed=0):
    """Operands within the row's domain."""
    g = np.random.default_rng(seed)
    domain = samples.DOMAIN.get(row.name, [(-3, 3)] * row.arity)
    return [rt.from_numpy(g.uniform(low, high, shape).astype("float32")).to(dtype) for low, high in domain]


def bits(t):
    return t.contiguous().view(rt.int16).numpy()


def check(row, operands, dtype):
    """The row on 16-bit operands is the row on the same numbers in float32, rounded (NaN for NaN)."""
    k = samples.PARAMS.get(row.name, (0, 0))
    got = _pointwise.run_row(row.index, tuple(operands), *k)
    want = _pointwise.run_row(row.index, tuple(x.to(rt.float32) for x in operands), *k).to(dtype)
    assert got.dtype == dtype and got.shape == want.shape
    number = ~np.isnan(want.float().numpy())
    np.testing.assert_array_equal(np.isnan(got.float().numpy()), ~number)
    np.testing.assert_array_equal(bits(got)[number], bits(want)[number])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows(row, dtype, level):
    for n in SIZES:
        check(row, draw(row, n, dtype, n), dtype)
    wide = draw(row, (6, 140), dtype)
    check(row, [x[:, 3:133] for x in wide], dtype)                       # dense lines, not one block
    check(row, [x[:, ::2] for x in wide], dtype)                         # strides
    check(row, [x.t() for x in wide], dtype)
    if row.arity > 1:
        check(row, [x if i % 2 == 0 else x[2] for i, x in enumerate(wide)], dtype)         # a row, a column, a number that does not move
        check(row, [x if i % 2 == 0 else x[:, 5:6] for i, x in enumerate(wide)], dtype)
        check(row, [x if i % 2 == 0 else x[1, 1] for i, x in enumerate(wide)], dtype)
        check(row, [x[4:5] if i == 0 else x for i, x in enumerate(wide)], dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("row, i", DERIVATIVES, ids=lambda v: getattr(v, "name", v))
def test_derivatives(row, i, dtype):
    """The derivative's text over the same numbers in float32, rounded, to a bit of 16: float32 may differ by one of its own."""
    k = samples.PARAMS.get(row.name, (0, 0))
    for n in (33, 1000):
        operands = [x.requires_grad_() for x in draw(row, n, dtype, n)]
        o = _pointwise.run_row(row.index, tuple(operands), *k)
        whole = rt.from_numpy(np.random.default_rng(n).uniform(-2, 2, n).astype("float32")).to(dtype)
        wide = [x.detach().float() for x in operands] + [None] * (3 - row.arity)
        for g in (whole, whole[:1].expand(n)):                           # a gradient that does not move
            got = rt.autograd.grad(o, operands[i], g, retain_graph=True)[0]
            want = formula.build(row.index, i)(g.float(), *wide, o.detach().float(), *k).to(dtype)
            assert got.dtype == dtype and got.shape == (n,)
            a, b = bits(got).astype("int32"), bits(want).astype("int32")
            number = ~np.isnan(want.float().numpy())
            np.testing.assert_array_equal(np.isnan(got.float().numpy()), ~number)
            same = (abs(a - b) <= 1) | (got.float().numpy() == want.float().numpy())
            assert same[number].all(), (got.float().numpy()[number & ~same], want.float().numpy()[number & ~same])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_numpy(dtype, level):
    x, y = (rt.from_numpy(np.random.default_rng(i).uniform(0.1, 5, 777).astype("float32")).to(dtype) for i in (1, 2))
    a, b = x.float().numpy(), y.float().numpy()
    for got, want in ((x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (x * 2.5, a * np.float32(2.5)), (1.5 - x, np.float32(1.5) - a),
                      (rt.maximum(x, y), np.maximum(a, b)), (x.sqrt(), np.sqrt(a)), (x.rsqrt(), 1 / np.sqrt(a)), (x.reciprocal(), 1 / a),
                      (x.clamp(1, 2), a.clip(1, 2)), ((x - 2).relu(), (x - 2).float().numpy().clip(0))):
        np.testing.assert_array_equal(bits(got), bits(rt.from_numpy(want).to(dtype)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ends_of_the_range(dtype, level):
    top = rt.finfo(dtype).max
    values = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), top, -top, rt.finfo(dtype).tiny, rt.finfo(dtype).smallest_normal / 4, 1.0]
    x = rt.tensor(values * 10, dtype=dtype)
    y = rt.tensor([v for v in values for _ in range(10)], dtype=dtype)
    for name in ("add", "sub", "mul", "div", "maximum", "minimum"):
        check(optable.BY_NAME[name], [x, y], dtype)
    for name in ("relu", "sqrt", "neg", "reciprocal", "square", "round_even", "sign"):
        check(optable.BY_NAME[name], [x], dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_functions_out_of_reach(dtype, level):
    """Arguments that the forms for registers hand to libm, and NaN among numbers."""
    top = rt.finfo(dtype).max
    x = rt.tensor([top, -top, 3e4, float("inf"), float("nan"), 0.0, -0.0, 1.5, -7.25, 100.0] * 7, dtype=dtype)
    y = rt.tensor([1.0, 3.0, -0.0078125, float("inf"), -float("inf"), 0.0, 2.0] * 10, dtype=dtype)
    for name in ("sin", "cos", "tan", "exp", "log", "tanh", "gelu_erf", "silu", "sigmoid", "erf"):
        check(optable.BY_NAME[name], [x], dtype)
    for name in ("fmod", "remainder", "floor_divide"):
        check(optable.BY_NAME[name], [x, y], dtype)
        check(optable.BY_NAME[name], [x.sort().values, y], dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_in_place_and_into(dtype, level):
    a, b = np.random.default_rng(3).standard_normal((2, 40_000)).astype("float32")
    x, y = rt.from_numpy(a).to(dtype), rt.from_numpy(b).to(dtype)
    want = bits(x + y)
    z, out = x.clone(), rt.empty(40_000, dtype=dtype)
    z += y
    rt.add(x, y, out=out)
    np.testing.assert_array_equal(bits(z), want)
    np.testing.assert_array_equal(bits(out), want)
    z = x.clone()
    z[1::2].mul_(2)
    np.testing.assert_array_equal(bits(z[1::2]), bits(x[1::2] * 2))
    np.testing.assert_array_equal(bits(z[::2]), bits(x[::2]))
