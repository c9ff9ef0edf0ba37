"""nll_loss, bags of rows and norms of 16-bit floats: values and gradients of float64's, rounded once, for each instruction set."""

import numpy as np
import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F

RNG = np.random.default_rng(9)
KINDS = pytest.mark.parametrize("kind, unit", [(rt.float16, 2**-10), (rt.bfloat16, 2**-7)])


def half(shape, kind, shift=0.0):
    """Numbers of `kind`, and the same in float64."""
    t = rt.tensor(RNG.standard_normal(shape) + shift).to(kind)
    return t, t.double()


def near(got, want, unit, kind):
    assert got.dtype is kind
    a, b = got.detach().double().numpy(), want.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=unit, atol=unit * (np.abs(b).max() + 1e-3))


@KINDS
@pytest.mark.parametrize("shape", [(9, 10), (3, 21, 5, 7), (4, 300), (1, 2)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll(level, shape, reduction, weighted, kind, unit):
    """Only the elements of the targets are read; one class is ignored."""
    x, v = half(shape, kind, -3.0)
    t = rt.from_numpy(RNG.integers(0, shape[1], shape[:1] + shape[2:]))
    t.reshape(-1)[0] = 0
    w = rt.rand(shape[1]).to(kind) if weighted else None
    found = []
    for u in (x, v):
        u.requires_grad_()
        loss = F.nll_loss(u, t, weight=None if w is None else w.to(u.dtype), reduction=reduction, ignore_index=1)
        loss.sum().backward()
        found.append(loss)
    near(*found, unit, kind)
    near(x.grad, v.grad, unit, kind)


def test_nll_refuses():
    with pytest.raises(IndexError):
        F.nll_loss(rt.zeros(2, 3).to(rt.bfloat16), rt.tensor([0, 3]))


@KINDS
def test_nll_second_derivative(kind, unit):
    x, _ = half((4, 5), kind)
    x.requires_grad_()
    g = rt.ones(()).to(kind).requires_grad_()
    (dx,) = rt.autograd.grad(F.nll_loss(x, rt.tensor([0, 1, 2, 3])), x, g, create_graph=True)
    (dg,) = rt.autograd.grad(dx.sum(), g)
    assert float(dg) == pytest.approx(-1, rel=unit)


@KINDS
@pytest.mark.parametrize("width", [3, 64, 67, 200])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 4])
def test_bags(level, width, mode, padding, kind, unit):
    w, v = half((40, width), kind)
    i = rt.from_numpy(RNG.integers(0, 40, (7, 9)))
    i[0, 0] = i[3, 5] = 4
    near(F.embedding_bag(i, w, mode=mode, padding_idx=padding), F.embedding_bag(i, v, mode=mode, padding_idx=padding), unit, kind)
    for u in (w, v):
        u.requires_grad_()
        F.embedding_bag(i, u, mode=mode, padding_idx=padding).sum().backward()
    near(w.grad, v.grad, unit, kind)


@KINDS
def test_weighted_bags(level, kind, unit):
    (w, v), (k, q) = half((40, 70), kind), half((5, 6), kind)
    i = rt.from_numpy(RNG.integers(0, 40, (5, 6)))
    near(F.embedding_bag(i, w, mode="sum", per_sample_weights=k), F.embedding_bag(i, v, mode="sum", per_sample_weights=q), unit, kind)


@KINDS
@pytest.mark.parametrize("shape", [(3, 40, 5, 7), (2, 8, 33), (5, 37), (70, 64), (2, 16, 9, 8), (1, 300, 6, 3)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", ["batch", "eval", "group", "layer"])
def test_norms(level, shape, last, name, kind, unit):
    """Runs that fill no register, channels on either side."""
    if (last and len(shape) != 4) or (name == "group" and shape[1] % 4):
        return
    (x, v), (g, h), c = half(shape, kind, 0.5), half(shape, kind), shape[1]
    (w, p), (b, q), (m, s) = half(c, kind), half(c, kind), half(c, kind)
    r = rt.rand(c).to(kind) + 0.5
    ended = []
    for u, grad, scale, shift, mean, var in ((x, g, w, b, m, r), (v, h, p, q, s, r.double())):
        if last:
            u, grad = (t.contiguous(memory_format=rt.channels_last) for t in (u, grad))
        u, scale, shift = (t.detach().requires_grad_() for t in (u, scale, shift))
        if name == "layer":
            y = F.layer_norm(u, shape[1:], scale.reshape(-1, *[1] * (len(shape) - 2)).expand(shape[1:]), None)
        elif name == "group":
            y = F.group_norm(u, 4, scale, shift)
        else:
            y = F.batch_norm(u, mean, var, scale, shift, name == "batch")
        y.backward(grad)
        ended.append((y, u.grad, scale.grad) + (() if name == "layer" else (shift.grad,)))
    for got, want in zip(*ended):
        near(got, want, unit * 2, kind)


@KINDS
@pytest.mark.parametrize("size", [(7, 7), (1, 1), (5, 13), (33, 40)])
@pytest.mark.parametrize("last", [False, True])
def test_means_of_planes(level, size, last, kind, unit):
    """Averages of whole planes, with gradients; windows that padding widens count it."""
    (x, v), (g, h) = half((3, 16, *size), kind), half((3, 16, 1, 1), kind)
    if last:
        x, v = (t.contiguous(memory_format=rt.channels_last) for t in (x, v))
    wide = tuple(n + 2 for n in size)
    for pool in (lambda t: F.adaptive_avg_pool2d(t, 1), lambda t: F.avg_pool2d(t, size), lambda t: F.avg_pool2d(t, wide, padding=(1, 1) if min(wide) > 2 else 0)):
        found = []
        for u, grad in ((x, g), (v, h)):
            u = u.detach().requires_grad_()
            y = pool(u)
            y.backward(grad)
            found.append((y, u.grad))
        for got, want in zip(*found):
            near(got, want, unit, kind)
    u = x.detach().requires_grad_()
    (dx,) = rt.autograd.grad(F.adaptive_avg_pool2d(u, 1), u, g.detach().requires_grad_(), create_graph=True)
    assert dx.requires_grad and dx.shape == u.shape
