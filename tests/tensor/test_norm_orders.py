"""Norms of images whose channels lie innermost and of 16-bit floats: values, gradients and their memory order, for each instruction set."""

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(11)


def oracle(x, g, w, b, mean, var, eps):
    """(y, dx, dw, db) in float64; mean and var None: of the batch."""
    over, shape = (0, *range(2, x.ndim)), (1, -1, *(1,) * (x.ndim - 2))
    of_batch = mean is None
    m, v = (x.mean(over), x.var(over)) if of_batch else (mean, var)
    r = 1 / np.sqrt(v + eps)
    hat, h = (x - m.reshape(shape)) * r.reshape(shape), g * w.reshape(shape)
    dx = h * r.reshape(shape)
    if of_batch:
        dx = (h - h.mean(over, keepdims=True) - hat * (h * hat).mean(over, keepdims=True)) * r.reshape(shape)
    return hat * w.reshape(shape) + b.reshape(shape), dx, (g * hat).sum(over), g.sum(over)


DTYPES = [("float32", 3e-5), ("float64", 1e-11), ("float16", 2e-3), ("bfloat16", 1.2e-2)]


def rounded(a, dtype):
    """The numbers that a tensor of the dtype holds."""
    return rt.tensor(a).to(getattr(rt, dtype)).double().numpy()


@pytest.mark.parametrize("dtype, tol", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 8, 3, 5), (4, 19, 13, 17), (1, 64, 24, 24), (3, 270, 5, 4), (2, 3, 6, 7), (2, 12, 3, 4, 5)])
def test_as_they_lie(level, shape, training, dtype, tol):
    """Each of the input and the gradient in either order; few channels too."""
    fmt = rt.channels_last if len(shape) == 4 else rt.channels_last_3d
    x, g = RNG.standard_normal(shape) * 2 + 3, RNG.standard_normal(shape)
    w, b, mean, var = RNG.standard_normal(shape[1]), RNG.standard_normal(shape[1]), RNG.standard_normal(shape[1]), RNG.random(shape[1]) + 0.5
    x, g, w, b, mean, var = (rounded(a, dtype) for a in (x, g, w, b, mean, var))
    want = oracle(x, g, w, b, *((None, None) if training else (mean, var)), 1e-5)
    put = lambda a, last=False: rt.tensor(a).to(getattr(rt, dtype)).contiguous(memory_format=fmt if last else rt.contiguous_format)  # noqa: E731
    for xl, gl in ((1, 1), (1, 0), (0, 1), (0, 0)):
        tx, tw, tb = put(x, xl).requires_grad_(), put(w).requires_grad_(), put(b).requires_grad_()
        y = _t.batch_norm(tx, tw, tb, put(mean), put(var), training, 0.1, 1e-5)
        got = (y, *rt.autograd.grad(y, (tx, tw, tb), put(g, gl)))
        for a, e in zip(got, want):
            assert a.dtype is tx.dtype
            np.testing.assert_allclose(a.detach().double().numpy(), e, rtol=0, atol=tol * (1 + np.abs(e).max()))
        if xl:
            assert y.is_contiguous(memory_format=fmt)
            assert shape[1] < 8 or got[1].is_contiguous(memory_format=fmt)


@pytest.mark.parametrize("dtype, tol", DTYPES)
@pytest.mark.parametrize("shape, groups", [((2, 8, 3, 5), 4), ((4, 18, 13, 17), 3), ((1, 64, 24, 24), 4), ((3, 600, 5, 4), 2), ((3, 300, 3, 4), 100),
                                           ((2, 4, 6, 7), 2), ((5, 12, 3, 4, 5), 12)])
def test_groups(level, shape, groups, dtype, tol):
    """group_norm in either order: groups that end within a block of channels and such that span blocks."""
    fmt = rt.channels_last if len(shape) == 4 else rt.channels_last_3d
    x, g = RNG.standard_normal(shape) * 2 + 3, RNG.standard_normal(shape)
    w, b = RNG.standard_normal(shape[1]), RNG.standard_normal(shape[1])
    x, g, w, b = (rounded(a, dtype) for a in (x, g, w, b))
    over, wide = (2, 3), (1, groups, -1, 1)
    v, h = x.reshape(shape[0], groups, shape[1] // groups, -1), g.reshape(shape[0], groups, shape[1] // groups, -1)
    r = 1 / np.sqrt(v.var(over, keepdims=True) + 1e-5)
    hat, hw = (v - v.mean(over, keepdims=True)) * r, h * w.reshape(wide)
    dx = (hw - hw.mean(over, keepdims=True) - hat * (hw * hat).mean(over, keepdims=True)) * r
    want = [(hat * w.reshape(wide) + b.reshape(wide)).reshape(shape), dx.reshape(shape), (h * hat).sum((0, 3)).ravel(), h.sum((0, 3)).ravel()]
    put = lambda a, last=False: rt.tensor(a).to(getattr(rt, dtype)).contiguous(memory_format=fmt if last else rt.contiguous_format)  # noqa: E731
    for xl, gl in ((1, 1), (1, 0), (0, 1), (0, 0)):
        tx, tw, tb = put(x, xl).requires_grad_(), put(w).requires_grad_(), put(b).requires_grad_()
        y = _t.group_norm(tx, groups, tw, tb, 1e-5)
        got = (y, *rt.autograd.grad(y, (tx, tw, tb), put(g, gl)))
        for a, e in zip(got, want):
            assert a.dtype is tx.dtype
            np.testing.assert_allclose(a.detach().double().numpy(), e, rtol=0, atol=tol * (1 + np.abs(e).max()))
        if xl:
            assert y.is_contiguous(memory_format=fmt)
            assert shape[1] < 8 or got[1].is_contiguous(memory_format=fmt)


@pytest.mark.parametrize("dtype, tol", DTYPES)
@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("shape", [(1, 5), (37, 64), (3, 9001), (40, 1031)])
def test_rows(level, shape, rms, dtype, tol):
    """layer_norm and rms_norm: rows shorter and longer than what is converted at a time."""
    x, g = rounded(RNG.standard_normal(shape) * 2 + 3, dtype), rounded(RNG.standard_normal(shape), dtype)
    w, b = rounded(RNG.standard_normal(shape[1]), dtype), rounded(RNG.standard_normal(shape[1]), dtype)
    m = x if rms else x - x.mean(1, keepdims=True)
    r = 1 / np.sqrt((m * m).mean(1, keepdims=True) + 1e-5)
    hat, h = m * r, g * w
    dx = (h - (0 if rms else h.mean(1, keepdims=True)) - hat * (h * hat).mean(1, keepdims=True)) * r
    want = [hat * w + (0 if rms else b), dx, (g * hat).sum(0)] + ([] if rms else [g.sum(0)])
    put = lambda a: rt.tensor(a).to(getattr(rt, dtype)).requires_grad_()  # noqa: E731
    tx, tw, tb = put(x), put(w), put(b)
    y = _t.rms_norm(tx, (shape[1],), tw, 1e-5) if rms else _t.layer_norm(tx, (shape[1],), tw, tb, 1e-5)
    got = (y, *rt.autograd.grad(y, (tx, tw) if rms else (tx, tw, tb), put(g).detach()))
    for a, e in zip(got, want):
        assert a.dtype is tx.dtype
        np.testing.assert_allclose(a.detach().double().numpy(), e, rtol=0, atol=tol * (1 + np.abs(e).max()))


def test_running_statistics():
    """The same in both orders."""
    x = rt.tensor(RNG.standard_normal((4, 16, 9, 11)).astype("float32"))
    found = []
    for last in (False, True):
        mean, var = rt.zeros(16), rt.ones(16)
        _t.batch_norm(x.contiguous(memory_format=rt.channels_last) if last else x, None, None, mean, var, True, 0.3, 1e-5)
        found.append((mean.numpy(), var.numpy()))
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_threads_do_not_change_bits(level, same_on_threads):
    """Rows are cut by the shape alone."""
    x, g = (rt.tensor(RNG.standard_normal((4, 24, 40, 41)).astype("float32")).contiguous(memory_format=rt.channels_last) for _ in range(2))
    x.requires_grad_()
    w = rt.ones(24, requires_grad=True)

    def step():
        y = _t.batch_norm(x, w, None, None, None, True, 0.1, 1e-5)
        return [y.detach().numpy(), *(v.numpy() for v in rt.autograd.grad(y, [x, w], g))]

    same_on_threads(step)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(4, 24, 40, 41), (3, 24, 50, 61)])
def test_threads_do_not_change_groups(level, same_on_threads, shape, dtype):
    """Whether images are shared out or the rows of each."""
    x, g = (rt.tensor(RNG.standard_normal(shape)).to(getattr(rt, dtype)).contiguous(memory_format=rt.channels_last) for _ in range(2))
    x.requires_grad_()
    w = rt.ones(24).to(x.dtype).requires_grad_()

    def step():
        y = _t.group_norm(x, 4, w, None, 1e-5)
        return [y.detach().float().numpy(), *(v.float().numpy() for v in rt.autograd.grad(y, [x, w], g))]

    same_on_threads(step)


def test_gradcheck():
    """First and second derivatives of a channels_last input."""
    x = rt.tensor(RNG.standard_normal((2, 8, 2, 3))).contiguous(memory_format=rt.channels_last).requires_grad_()
    w, b = rt.tensor(RNG.standard_normal(8)).requires_grad_(), rt.tensor(RNG.standard_normal(8)).requires_grad_()
    f = lambda x, w, b: _t.batch_norm(x, w, b, None, None, True, 0.1, 1e-5)  # noqa: E731
    assert rt.autograd.gradcheck(f, (x, w, b))
    assert rt.autograd.gradgradcheck(f, (x, w, b))
    f = lambda x, w, b: _t.group_norm(x, 4, w, b, 1e-5)  # noqa: E731
    assert rt.autograd.gradcheck(f, (x, w, b))
    assert rt.autograd.gradgradcheck(f, (x, w, b))
