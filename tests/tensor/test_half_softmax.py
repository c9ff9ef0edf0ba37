"""softmax and log_softmax of 16-bit floats: values and gradients of float64's, rounded once, for each instruction set."""

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("dtype, unit", [("float16", 2 ** -10), ("bfloat16", 2 ** -7)])
@pytest.mark.parametrize("logs", [False, True])
@pytest.mark.parametrize("shape, dim", [((7,), 0), ((33, 10), 1), ((5, 1000), 1), ((3, 5003), 1), ((300, 67), 0), ((2, 21, 9, 17), 1), ((3, 40, 1), 1),
                                        ((2, 3, 129), 1), ((70, 64, 65), 1)])
def test_values(level, shape, dim, logs, dtype, unit):
    """Rows shorter and longer than a piece, columns that fill no block."""
    kind = getattr(rt, dtype)
    x = rt.tensor(RNG.standard_normal(shape) * 3).to(kind).requires_grad_()
    g = rt.tensor(RNG.standard_normal(shape)).to(kind)
    y = (_t.log_softmax if logs else _t.softmax)(x, dim)
    (dx,) = rt.autograd.grad(y, x, g)
    assert y.dtype is kind and dx.dtype is kind
    v, h, p = x.detach().double().numpy(), g.double().numpy(), y.detach().double().numpy()
    e = np.exp(v - v.max(dim, keepdims=True))
    want = e / e.sum(dim, keepdims=True)
    want = np.log(want) if logs else want
    np.testing.assert_allclose(p, want, rtol=unit, atol=1e-7)
    back = h - np.exp(p) * h.sum(dim, keepdims=True) if logs else p * (h - (h * p).sum(dim, keepdims=True))
    np.testing.assert_allclose(dx.double().numpy(), back, rtol=unit, atol=unit * 1e-3 * (1 + np.abs(back).max()))


@pytest.mark.parametrize("logs", [False, True])
@pytest.mark.parametrize("shape, dim", [((37, 64), 1), ((5, 33), 1), ((17, 256), 1), ((3, 257), 1), ((2, 21, 9, 17), 1), ((2, 3, 129), 1), ((4, 513, 40), 1),
                                        ((3, 512, 16), 1), ((130, 70), 0), ((3, 9000), 1)])
def test_float32(level, shape, dim, logs):
    """float32 by the same loops: rows and columns that end within a register, classes there is room for and more."""
    v = RNG.standard_normal(shape) * 3
    x = rt.tensor(v).float().requires_grad_()
    g = RNG.standard_normal(shape)
    y = (_t.log_softmax if logs else _t.softmax)(x, dim)
    (dx,) = rt.autograd.grad(y, x, rt.tensor(g).float())
    e = np.exp(v - v.max(dim, keepdims=True))
    p = e / e.sum(dim, keepdims=True)
    np.testing.assert_allclose(y.detach().numpy(), np.log(p) if logs else p, rtol=1e-5, atol=1e-6)
    want = g - p * g.sum(dim, keepdims=True) if logs else p * (g - (g * p).sum(dim, keepdims=True))
    np.testing.assert_allclose(dx.numpy(), want, rtol=1e-4, atol=1e-5 * (1 + np.abs(want).max()))


def test_not_finite(level):
    """An infinite score, and a NaN that stays in its own line."""
    x = rt.zeros(4, 70).to(rt.bfloat16)
    x[1, 3] = float("nan")
    x[2, 5] = float("-inf")
    for dim, bad in ((1, 70), (0, 4)):
        y = _t.softmax(x, dim)
        assert int(y.isnan().sum()) == bad
        assert float(y[2, 5]) == 0


def test_second_derivative():
    """Through recorded operators, in float32."""
    x = rt.tensor(RNG.standard_normal((3, 8))).to(rt.bfloat16).requires_grad_()
    (g,) = rt.autograd.grad((_t.softmax(x, 1) ** 2).sum(), x, create_graph=True)
    (h,) = rt.autograd.grad(g.float().square().sum(), x)
    assert g.dtype is rt.bfloat16 and h.dtype is rt.bfloat16 and bool(h.isfinite().all())


def test_threads_do_not_change_bits(level, same_on_threads):
    """Pieces are cut by the shape alone."""
    x = rt.tensor(RNG.standard_normal((3, 50, 1000))).to(rt.bfloat16).requires_grad_()

    def step():
        found = []
        for dim in (1, 2):
            y = _t.log_softmax(x, dim)
            found += [y.detach().float().numpy(), rt.autograd.grad(y.square().sum(), x)[0].float().numpy()]
        return found

    same_on_threads(step)
