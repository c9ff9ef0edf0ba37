"""Kernels of the neural floor against NumPy written out, for each instruction set."""

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(3)


def conv_oracle(x, w, b, stride, pad, dilation, groups):
    """Convolution as its definition says, in float64."""
    n, c, h, wd = x.shape
    o, cg, kh, kw = w.shape
    xp = np.zeros((n, c, h + 2 * pad[0], wd + 2 * pad[1]))
    xp[:, :, pad[0]:pad[0] + h, pad[1]:pad[1] + wd] = x
    oh = (xp.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (xp.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow)) + (0 if b is None else b[None, :, None, None])
    for k in range(o):
        g = k // (o // groups)
        for i in range(kh):
            for j in range(kw):
                part = xp[:, g * cg:(g + 1) * cg, i * dilation[0]:, j * dilation[1]:][:, :, ::stride[0], ::stride[1]][:, :, :oh, :ow]
                y[:, k] += np.einsum("nchw,c->nhw", part, w[k, :, i, j])
    return y


@pytest.mark.parametrize("dtype, tol", [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("n, c, o, size, k, stride, pad, dilation, groups", [
    (2, 3, 5, (8, 9), (3, 2), (1, 1), (0, 0), (1, 1), 1),
    (3, 4, 18, (33, 50), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (5, 4, 6, (5, 6), (3, 3), (2, 1), (2, 1), (1, 2), 2),
    (2, 8, 8, (12, 20), (5, 1), (1, 3), (2, 0), (1, 1), 8),
    (3, 7, 9, (16, 13), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (1, 2, 3, (1, 1), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (3, 5, 5, (19, 37), (3, 3), (1, 1), (1, 1), (1, 1), 5),
    (2, 4, 8, (21, 40), (5, 5), (2, 2), (2, 2), (1, 1), 4),
    (2, 6, 3, (9, 18), (3, 5), (3, 2), (1, 0), (2, 1), 3),
    (2, 6, 6, (11, 33), (1, 1), (2, 3), (0, 0), (1, 1), 6),
    (9, 40, 37, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (3, 40, 48, (12, 13), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (5, 48, 40, (14, 13), (3, 3), (2, 2), (1, 1), (1, 1), 2),
])
def test_conv2d(level, n, c, o, size, k, stride, pad, dilation, groups, dtype, tol):
    """Values against the definition; gradients by the adjoint identity <conv(x), g> = <x, dx> = <w, dw>."""
    x, w, b = RNG.standard_normal((n, c, *size)), RNG.standard_normal((o, c // groups, *k)), RNG.standard_normal(o)
    tx, tw, tb = (rt.tensor(a.astype(dtype)).requires_grad_() for a in (x, w, b))
    y = _t.conv2d(tx, tw, tb, stride, pad, dilation, groups)
    want = conv_oracle(x, w, b, stride, pad, dilation, groups)
    np.testing.assert_allclose(y.detach().numpy(), want, rtol=0, atol=tol * (1 + np.abs(want).max()))
    g = RNG.standard_normal(want.shape)
    dx, dw, db = rt.autograd.grad(y, [tx, tw, tb], rt.tensor(g.astype(dtype)))
    # linear in each argument: probing with random directions checks the whole gradient
    for _ in range(3):
        u, v = RNG.standard_normal(x.shape), RNG.standard_normal(w.shape)
        scale = np.abs(g).sum()
        assert abs((conv_oracle(u, w, None, stride, pad, dilation, groups) * g).sum() - (u * dx.numpy()).sum()) < tol * scale * 10
        assert abs((conv_oracle(x, v, None, stride, pad, dilation, groups) * g).sum() - (v * dw.numpy()).sum()) < tol * scale * 10
    np.testing.assert_allclose(db.numpy(), g.sum((0, 2, 3)), rtol=tol * 100, atol=tol * 100)


def test_depthwise_is_the_dense_convolution(level):
    """conv1d, conv3d and transposed ones with a channel a group against the same weights set into a full matrix."""
    for nd, size, stride in ((1, (41,), 2), (3, (4, 5, 19), 2), (3, (3, 6, 35), 1)):
        x, w = RNG.standard_normal((2, 3, *size)), RNG.standard_normal((3, 1, *(3,) * nd))
        full = np.zeros((3, 3, *(3,) * nd))
        for c in range(3):
            full[c, c] = w[c, 0]
        for name in (f"conv{nd}d", f"conv_transpose{nd}d"):
            a, b, c, d = (rt.tensor(v, requires_grad=True) for v in (x, w, x, full))
            y, z = getattr(_t, name)(a, b, None, stride, 1, groups=3), getattr(_t, name)(c, d, None, stride, 1)
            g = rt.tensor(RNG.standard_normal(tuple(y.shape)))
            y.backward(g)
            z.backward(g)
            for got, want in ((y, z), (a.grad, c.grad), (b.grad, d.grad[[0, 1, 2], [0, 1, 2]].unsqueeze(1))):
                np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=0, atol=1e-12)


def test_depthwise_gradient_of_weights_reads_no_neighbour(level):
    """A value that no window holds leaves the gradient of the weights finite."""
    x = np.ones((1, 2, 4, 20), "float32")
    x[:, :, 3, :] = np.nan                      # below the last window of stride 2
    x[:, :, :, 19] = np.inf
    w = rt.ones(2, 1, 1, 3, requires_grad=True)
    _t.conv2d(rt.tensor(x[:, :, :3]), w, None, 2, 0, groups=2).sum().backward()
    assert w.grad.isfinite().all()


def test_depthwise_gradient_of_weights_ignores_the_number_of_threads(level):
    """Images are added in order: the same bits on one thread and on two."""
    x, g = (rt.tensor(RNG.standard_normal((6, 8, 30, 30)).astype("float32")) for _ in range(2))
    before, found = rt.get_num_threads(), []
    try:
        for threads in (1, 2):
            rt.set_num_threads(threads)
            w = rt.ones(8, 1, 3, 3, requires_grad=True)
            _t.conv2d(x, w, None, 1, 1, groups=8).backward(g)
            found.append(w.grad.numpy())
    finally:
        rt.set_num_threads(before)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("shape, dim", [((5, 33), 1), ((4, 7, 70), 1), ((6, 3), 0), ((3, 1000), 1)])
def test_softmax_family(level, shape, dim):
    """softmax, log_softmax and logsumexp of wide-ranging values."""
    x = (RNG.standard_normal(shape) * 20).astype("float32")
    e = np.exp(x.astype("float64") - x.max(dim, keepdims=True))
    p = e / e.sum(dim, keepdims=True)
    t = rt.tensor(x)
    np.testing.assert_allclose(_t.softmax(t, dim).numpy(), p, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(_t.log_softmax(t, dim).numpy(), np.log(np.maximum(p, 1e-300)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(_t.logsumexp(t, dim).numpy(), x.max(dim) + np.log(e.sum(dim)), rtol=1e-6, atol=1e-5)


def test_softmax_edges(level):
    """Infinities and NaN come out as the definition has them."""
    inf = float("inf")
    x = rt.tensor([[0.0, -inf, 0.0], [1.0, float("nan"), 2.0]])
    y = _t.softmax(x, 1).numpy()
    np.testing.assert_array_equal(y[0], [0.5, 0.0, 0.5])
    assert np.isnan(y[1]).all()
    assert _t.logsumexp(rt.tensor([-inf, -inf]), 0).item() == -inf
    assert _t.logsumexp(rt.tensor([inf, 1.0]), 0).item() == inf


@pytest.mark.parametrize("shape", [(7, 6), (3, 6, 5), (2, 6, 33, 40)])
def test_batch_norm(level, shape):
    """Statistics over all but the channels."""
    x = RNG.standard_normal(shape) * 3 + 5
    axes = tuple(i for i in range(len(shape)) if i != 1)
    want = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    mean, var = rt.zeros(6), rt.ones(6)
    y = _t.batch_norm(rt.tensor(x.astype("float32")), None, None, mean, var, True, 0.1, 1e-5)
    np.testing.assert_allclose(y.numpy(), want, rtol=0, atol=3e-6)
    np.testing.assert_allclose(mean.numpy(), 0.1 * x.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(var.numpy(), 0.9 + 0.1 * x.var(axes, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("n", [3, 64, 5000])
def test_layer_norm_and_rms_norm(level, n):
    """Statistics of rows, short and longer than one stretch of the sums."""
    x = (RNG.standard_normal((4, n)) + 2).astype("float32")
    d = x.astype("float64")
    want = (d - d.mean(1, keepdims=True)) / np.sqrt(d.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(_t.layer_norm(rt.tensor(x), (n,)).numpy(), want, rtol=0, atol=5e-6)
    want = d / np.sqrt((d * d).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(_t.rms_norm(rt.tensor(x), (n,), None, 1e-5).numpy(), want, rtol=1e-5)


def test_max_pool_values(level):
    """Windows by NumPy's sliding view, with rows longer than a block."""
    x = RNG.standard_normal((2, 3, 9, 1300)).astype("float32")
    view = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(2, 3))[:, :, ::2, ::2]
    y, i = _t.max_pool2d_with_indices(rt.tensor(x), (3, 2), 2)
    np.testing.assert_array_equal(y.numpy(), view.max((-1, -2)))
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(np.take_along_axis(flat, i.numpy().reshape(2, 3, -1), 2).reshape(y.shape), y.numpy())
    np.testing.assert_allclose(_t.avg_pool2d(rt.tensor(x), (3, 2), 2).numpy(), view.mean((-1, -2)), rtol=0, atol=1e-6)


def test_embedding_gradient_is_deterministic():
    """Many equal indices: the same bits each time, whatever the threads."""
    idx = rt.tensor(RNG.integers(0, 7, 5000))
    g = rt.tensor(RNG.standard_normal((5000, 33)).astype("float32"))
    w = rt.zeros(7, 33).requires_grad_()
    first = rt.autograd.grad(_t.embedding(w, idx), w, g)[0].numpy()
    for _ in range(3):
        np.testing.assert_array_equal(rt.autograd.grad(_t.embedding(w, idx), w, g)[0].numpy(), first)
    want = np.zeros((7, 33))
    np.add.at(want, idx.numpy(), g.numpy().astype("float64"))
    np.testing.assert_allclose(first, want, rtol=0, atol=1e-3)


def test_cross_entropy_numbers():
    """A case by hand: two samples, three classes."""
    x = rt.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = _t.cross_entropy_loss(x, rt.tensor([2, 0]))
    e = np.exp([1.0, 2.0, 3.0])
    want = (-np.log(e[2] / e.sum()) + np.log(3.0)) / 2
    assert abs(loss.item() - want) < 1e-6
    (g,) = rt.autograd.grad(loss, [x])
    np.testing.assert_allclose(g.numpy(), np.array([e / e.sum() - [0, 0, 1], [1 / 3 - 1, 1 / 3, 1 / 3]]) / 2, rtol=1e-5, atol=1e-7)
