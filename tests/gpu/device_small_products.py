"""Products of small matrices: one launch of our own kernel, whoever makes the large ones."""
import numpy as np
import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F
from rustorch_py.cuda import _backend

assert rt.cuda.is_available()
rng = np.random.default_rng(0)
TOLERANCE = {rt.float32: 2e-6, rt.float64: 1e-14, rt.float16: 1e-3, rt.bfloat16: 8e-3}
SHAPES = [(1, 1, 1), (8, 8, 8), (16, 64, 16), (5, 130, 37), (64, 64, 64), (33, 3, 70), (1, 256, 17)]


def make(shape, dtype):
    x = rt.from_numpy(rng.standard_normal(shape)).to(dtype)
    return x, x.cuda()


def one_launch(call):
    call()                                                       # compiled by now
    before, products = _backend.launches(), _backend.blas()["products"]
    result = call()
    assert _backend.launches() - before == 1 and _backend.blas()["products"] == products
    return result


def check(got, want, dtype, note):
    assert got.dtype == dtype and got.is_cuda and got.shape == want.shape, note
    error = (got.cpu().to(rt.float64) - want).abs().max().item()
    assert error <= TOLERANCE[dtype] * max(1, want.abs().max().item()), (note, error)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_shapes_and_layouts(dtype):
    for m, k, n in SHAPES:
        for turn_a, turn_b in ((0, 0), (1, 0), (0, 1), (1, 1)):
            a, da = make((k, m) if turn_a else (m, k), dtype)
            b, db = make((n, k) if turn_b else (k, n), dtype)
            if turn_a:
                a, da = a.t(), da.t()
            if turn_b:
                b, db = b.t(), db.t()
            check(one_launch(lambda: da @ db), a.to(rt.float64) @ b.to(rt.float64), dtype, (m, k, n, turn_a, turn_b))
    a, da = make((40, 20), dtype)
    check(one_launch(lambda: da[::2, 1::3] @ da[1:8, :18:2]), a[::2, 1::3].to(rt.float64) @ a[1:8, :18:2].to(rt.float64), dtype, "strided")
    a, da = make((3, 9, 20), dtype)
    b, db = make((3, 20, 11), dtype)
    check(one_launch(lambda: da @ db), a.to(rt.float64) @ b.to(rt.float64), dtype, "batch")
    check(one_launch(lambda: da @ db[0]), a.to(rt.float64) @ b[0].to(rt.float64), dtype, "one matrix for all")


def test_what_is_added():
    for dtype in (rt.float32, rt.bfloat16):
        x, dx = make((9, 20), dtype)
        w, dw = make((7, 20), dtype)
        bias, dbias = make((7,), dtype)
        whole, dwhole = make((9, 7), dtype)
        exact = x.to(rt.float64) @ w.to(rt.float64).t()
        check(one_launch(lambda: F.linear(dx, dw, dbias)), exact + bias.to(rt.float64), dtype, "linear")
        check(one_launch(lambda: rt.addmm(dwhole, dx, dw.t(), beta=0.5, alpha=2)), 2 * exact + 0.5 * whole.to(rt.float64), dtype, "addmm")
        turned = dwhole.t().contiguous().t()
        check(one_launch(lambda: rt.addmm(turned, dx, dw.t())), exact + whole.to(rt.float64), dtype, "addmm, columns")
        out = dwhole.clone()
        out.addmm_(dx, dw.t(), beta=-1)
        check(out, exact - whole.to(rt.float64), dtype, "addmm_")
    x = rt.full((4, 3), float("nan"), device="cuda")
    assert rt.addmm(x, rt.ones(4, 2, device="cuda"), rt.ones(2, 3, device="cuda"), beta=0).eq(2).all()


def test_an_activation():
    x, dx = make((9, 20), rt.float32)
    w, dw = make((20, 7), rt.float32)
    bias, dbias = make((7,), rt.float32)
    want = (x.to(rt.float64) @ w.to(rt.float64) + bias.to(rt.float64)).clamp(min=0)
    check(rt._addmm_activation(dbias, dx, dw), want, rt.float32, "relu")
    assert rt._addmm_activation(dbias * float("nan"), dx, dw).isnan().all()


def test_gradients():
    for device in ("cpu", "cuda"):
        a = rt.linspace(-1, 1, 12 * 5, device=device).reshape(12, 5).requires_grad_()
        b = rt.linspace(-2, 1, 5 * 9, device=device).reshape(5, 9).requires_grad_()
        ((a @ b).relu() ** 2).sum().backward()
        if device == "cpu":
            want = a.grad, b.grad
    assert rt.allclose(a.grad.cpu(), want[0], rtol=1e-5) and rt.allclose(b.grad.cpu(), want[1], rtol=1e-5)
