"""Operators whose operands are dense along different dimensions: they meet in tiles."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _text

rng = np.random.default_rng(5)


def make(*shape, dtype=rt.float32):
    return rt.from_numpy(rng.standard_normal(shape) * 4).to(dtype)


@pytest.fixture
def asked(monkeypatch):
    """Keys of the kernels that are printed."""
    keys, own = [], _text.kernel_text
    monkeypatch.setattr(_text, "kernel_text", lambda key: (keys.append(dict(key)), own(key))[1])
    return keys


def same(got, want):
    assert got.is_cuda and got.dtype == want.dtype and got.shape == want.shape and got.stride() == want.stride()
    assert rt.equal(got.cpu(), want)


@pytest.mark.parametrize("dtype", (rt.float32, rt.bfloat16, rt.float64, rt.uint8))
@pytest.mark.parametrize("shape", ((64, 128), (80, 48), (33, 70)))
def test_a_transposed_operand(dtype, shape):
    x, y = make(*shape, dtype=dtype), make(*shape[::-1], dtype=dtype)
    same(x.cuda() + y.cuda().t(), x + y.t())
    same(x.cuda().mul(y.cuda().t()[:, :1]), x * y.t()[:, :1])
    same(rt.maximum(x.cuda()[:, 1:], y.cuda().t()[:, 1:]), rt.maximum(x[:, 1:], y.t()[:, 1:]))
    same(x.cuda() > y.cuda().t(), x > y.t())


def test_it_takes_tiles(asked):
    x, y = make(64, 320), make(320, 64)
    same(rt.hypot(x.cuda(), y.cuda().t()), rt.hypot(x, y.t()))
    same(y.cuda().t().contiguous(), y.t().contiguous())
    same(y.cuda().t().to(rt.int32).contiguous(), y.t().to(rt.int32).contiguous())
    same(rt.hypot(x.cuda()[1:, 1:], y.cuda().t()[1:, 1:]), rt.hypot(x[1:, 1:], y.t()[1:, 1:]))
    rows = [key for key in asked if key["kind"] == _text.ROW and "hypot" in _text.kernel_name(key)]     # a cold cache lets whole groups be printed
    assert [(key["mode"], key["vector"], key["moving"]) for key in rows] == [(_text.TILE, 2, 4), (_text.TILE, 1, 4)]


def test_more_dimensions_and_operands():
    x, y = make(3, 40, 2, 64), make(3, 64, 2, 40)
    same(x.cuda() - y.cuda().permute(0, 3, 2, 1), x - y.permute(0, 3, 2, 1))
    a, b, c = make(48, 64), make(64, 48), make(64)
    same(rt.addcmul(a.cuda(), b.cuda().t(), c.cuda(), value=0.5), rt.addcmul(a, b.t(), c, value=0.5))
    same(rt.where(b.cuda().t() > 0, b.cuda().t(), a.cuda()), rt.where(b.t() > 0, b.t(), a))
    mask = b > 0
    same(rt.where(mask.cuda().t(), a.cuda(), b.cuda().t()), rt.where(mask.t(), a, b.t()))
    wide, narrow = make(32, 96, dtype=rt.float64), make(96, 32)
    same(wide.cuda() + narrow.cuda().t(), wide + narrow.t())
    out = rt.empty(64, 48, device="cuda")
    rt.add(a.cuda().t(), b.cuda(), out=out)
    same(out, (a.t() + b).contiguous())
    moved = a.cuda()
    moved.t().mul_(b.cuda())
    same(moved, (a.t() * b).t().contiguous())


def test_many_tiles_in_shared_memory():
    x, y, z = (make(64, 48, dtype=rt.complex128) for _ in range(3))
    w = make(48, 64, dtype=rt.complex128)
    got = rt.addcmul(w.cuda(), x.cuda().t(), y.cuda().t())
    assert (got.cpu() - rt.addcmul(w, x.t(), y.t())).abs().max() < 1e-12
    assert (rt.lerp(z.cuda().t(), x.cuda().t(), w.cuda()).cpu() - rt.lerp(z.t(), x.t(), w)).abs().max() < 1e-11
