"""Gradients of sorts and selections go back to where the values stood; mantissas and exponents: against NumPy."""
import numpy as np
import pytest

import rustorch_py as rt

INF = float("inf")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape,dim", [((7,), 0), ((9000,), 0), ((3, 70), 1), ((40, 900), 1), ((300, 130), 0), ((5, 60, 70), 1), ((1, 1), 1)])
def test_gradients_go_back_to_where_values_stood(shape, dim, dtype):
    a = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    calls = {"sort": lambda x: x.sort(dim), "descending": lambda x: x.sort(dim, descending=True), "topk": lambda x: x.topk((shape[dim] + 1) // 2, dim),
             "max": lambda x: x.max(dim), "kthvalue": lambda x: x.kthvalue(1, dim), "mode": lambda x: x.mode(dim), "median": lambda x: x.median(dim)}
    for name, call in calls.items():
        x = rt.from_numpy(a).to(getattr(rt, dtype)).requires_grad_()
        values, places = call(x)
        g = rt.arange(1, values.numel() + 1).reshape(values.shape).to(x.dtype) / 64
        values.backward(g)
        want, at, gs = np.zeros(shape), places.numpy(), g.double().numpy()
        if values.dim() < len(shape):
            at, gs = np.expand_dims(at, dim), np.expand_dims(gs, dim)
        np.put_along_axis(want, at, gs, dim)
        assert (x.grad.double().numpy() == want).all(), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_frexp(dtype):
    bits = np.random.default_rng(0).integers(0, 1 << 16, 20001)
    x = rt.from_numpy(bits.astype(np.uint16).view(np.int16)).view(getattr(rt, dtype)) if dtype.endswith("16") else \
        rt.from_numpy((bits - 30000) * np.float64(2) ** (bits % 260 - 160)).to(getattr(rt, dtype))
    x = rt.cat([x, rt.tensor([0.0, -0.0, INF, -INF, float("nan"), 1.0, 0.5, -4.0], dtype=x.dtype)])
    for t in (x, x[::2], x[:20000].reshape(100, 200).t()):
        m, e = rt.frexp(t)
        wide = t.double().numpy()
        want_m, want_e = np.frexp(wide)
        assert m.dtype is t.dtype and e.dtype is rt.int32 and m.shape == e.shape == t.shape
        np.testing.assert_array_equal(m.double().numpy(), want_m)
        np.testing.assert_array_equal(e.numpy(), np.where(np.isfinite(wide), want_e, 0))
        assert (np.signbit(m.double().numpy()) == np.signbit(wide))[~np.isnan(wide)].all()
