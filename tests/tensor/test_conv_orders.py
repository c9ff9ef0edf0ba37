"""Convolutions in both memory orders, all three products and the bias's gradient, against their definition in float64, for each
instruction set; and the memory order of the results."""

import itertools

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(5)
LAST = rt.channels_last


def oracle(x, w, g, stride, pad, dilation, groups):
    """(y, dx, dw) of y = conv(x, w) and sum(y * g), a tap at a time."""
    nd = x.ndim - 2
    size, kernel, og, cg = x.shape[2:], w.shape[2:], w.shape[0] // groups, w.shape[1]
    xp = np.zeros((*x.shape[:2], *(s + 2 * p for s, p in zip(size, pad))))
    inside = (slice(None), slice(None), *(slice(p, p + s) for s, p in zip(size, pad)))
    xp[inside] = x
    out = [(xp.shape[2 + d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in range(nd)]
    y, dxp, dw = np.zeros((x.shape[0], w.shape[0], *out)), np.zeros_like(xp), np.zeros_like(w, dtype="float64")
    for tap in itertools.product(*map(range, kernel)):
        window = tuple(slice(t * dl, t * dl + (o - 1) * st + 1, st) for t, dl, o, st in zip(tap, dilation, out, stride))
        for k in range(groups):
            ins, outs = slice(k * cg, (k + 1) * cg), slice(k * og, (k + 1) * og)
            wt = w[(outs, slice(None), *tap)]
            part = xp[(slice(None), ins, *window)]
            y[:, outs] += np.einsum("nc...,oc->no...", part, wt)
            if g is not None:
                dxp[(slice(None), ins, *window)] += np.einsum("no...,oc->nc...", g[:, outs], wt)
                dw[(outs, slice(None), *tap)] = np.einsum("nop,ncp->oc", g[:, outs].reshape(len(g), og, -1), part.reshape(len(g), cg, -1))
    return y, dxp[inside], dw


def close(got, want, tol):
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=0, atol=tol * (1 + np.abs(want).max()))


def tensor_of(a, dtype, last):
    t = rt.tensor(a.astype(dtype))
    return t.contiguous(memory_format=rt.channels_last if a.ndim == 4 else rt.channels_last_3d) if last else t


CASES = [
    # batch, in, out, size, kernel, stride, pad, dilation, groups
    (2, 3, 5, (8, 9), (3, 2), (1, 1), (0, 0), (1, 1), 1),
    (3, 4, 18, (33, 50), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (5, 8, 12, (5, 6), (3, 3), (2, 1), (2, 1), (1, 2), 2),
    (3, 7, 9, (16, 13), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (3, 24, 56, (17, 19), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 20, 33, (9, 31), (1, 1), (2, 2), (0, 0), (1, 1), 1),
    (2, 300, 24, (10, 13), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 6, 9, (9, 18), (3, 5), (3, 2), (1, 0), (2, 1), 3),
    (9, 40, 37, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 70, 112, (12, 13), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 16, 64, (14, 13), (3, 3), (2, 2), (1, 1), (1, 1), 2),
    (1, 32, 16, (28, 28), (5, 5), (1, 1), (2, 2), (1, 1), 1),
    (2, 3, 48, (30, 29), (7, 7), (2, 2), (3, 3), (1, 1), 1),
    (2, 12, 16, (15, 11), (3, 3), (1, 1), (2, 2), (2, 2), 1),
    (2, 10, 10, (9, 9), (3, 3), (1, 1), (1, 1), (1, 1), 10),
    (2, 6, 20, (5, 6, 9), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    (1, 8, 12, (6, 5, 7), (2, 3, 1), (2, 1, 2), (0, 1, 0), (1, 1, 1), 2),
    (2, 33, 33, (13, 20), (3, 3), (1, 1), (1, 1), (1, 1), 33),
    (2, 16, 16, (14, 15), (3, 3), (2, 2), (1, 1), (1, 1), 16),
    (1, 19, 19, (9, 17), (5, 5), (1, 1), (2, 2), (1, 1), 19),
    (2, 24, 24, (9, 12), (3, 3), (1, 2), (0, 2), (2, 1), 24),
    (3, 16, 16, (1, 1), (3, 3), (1, 1), (1, 1), (1, 1), 16),
    (1, 16, 16, (4, 5, 6), (3, 2, 3), (1, 2, 1), (1, 0, 1), (1, 1, 1), 16),
    (3, 32, 40, (15, 18), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (2, 24, 33, (14, 9), (3, 3), (1, 1), (2, 2), (2, 2), 1),
    (3, 16, 24, (24, 28), (3, 3), (1, 1), (2, 2), (2, 2), 1),
    (2, 36, 40, (14, 36), (3, 3), (1, 1), (1, 3), (1, 3), 2),
    (1, 64, 64, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (4, 48, 32, (9, 12), (3, 2), (2, 1), (0, 1), (1, 1), 1),
    (2, 36, 64, (11, 10), (1, 1), (2, 2), (0, 0), (1, 1), 1),
    (3, 1, 6, (10, 11), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (3, 6, 16, (14, 13), (5, 5), (1, 1), (0, 0), (1, 1), 1),
    # gradients of few channels: Note [Rows of taps]
    (9, 6, 16, (14, 13), (5, 5), (1, 1), (0, 0), (1, 1), 1),
    (8, 3, 17, (20, 31), (5, 5), (1, 1), (2, 2), (1, 1), 1),
    (8, 5, 33, (9, 12), (3, 3), (1, 1), (1, 2), (2, 1), 1),
    (4, 12, 40, (15, 40), (5, 5), (1, 1), (4, 1), (1, 1), 2),
    (11, 3, 16, (8, 9), (3, 10), (1, 1), (1, 3), (1, 1), 1),
    (3, 70, 40, (15, 18), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (3, 6, 8, (13, 40), (1, 1), (3, 2), (0, 0), (1, 1), 2),
    (2, 4, 6, (5, 6, 9), (1, 1, 1), (1, 2, 3), (0, 0, 0), (1, 1, 1), 1),
    # neighbours of a channel: Note [Near]
    (2, 5, 5, (11, 40), (3, 3), (1, 1), (1, 1), (1, 1), 5),
    (1, 3, 3, (7, 18), (3, 3), (1, 1), (0, 2), (1, 1), 3),
    (2, 3, 3, (3, 3), (3, 3), (1, 1), (2, 0), (1, 1), 3),
    (2, 5, 5, (13, 65), (3, 3), (2, 2), (1, 1), (1, 1), 5),
    (2, 3, 3, (12, 32), (3, 3), (2, 2), (0, 2), (1, 1), 3),
    (1, 3, 3, (7, 35), (3, 3), (2, 2), (2, 0), (1, 1), 3),
    (1, 9, 9, (6, 300), (3, 3), (2, 2), (1, 1), (1, 1), 9),
    (3, 1, 1, (9, 17), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    # few channels, or a stride: Note [Columns]
    (2, 3, 16, (19, 37), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, 3, 40, (60, 41), (7, 7), (2, 2), (3, 3), (1, 1), 1),
    (2, 12, 20, (16, 33), (3, 4), (3, 2), (1, 1), (1, 1), 2),
    (1, 4, 16, (120, 70), (4, 3), (2, 1), (1, 2), (2, 1), 1),
]


def test_columns_in_stretches(level):
    """A product too large for one stretch: rows of the gradient need pixels of two."""
    x, w = RNG.standard_normal((1, 4, 70, 400)), RNG.standard_normal((16, 4, 7, 7))
    y0 = oracle(x, w, None, (2, 2), (3, 3), (1, 1), 1)[0]
    g = RNG.standard_normal(y0.shape)
    tx = rt.tensor(x.astype("float32")).requires_grad_()
    dx, = rt.autograd.grad(_t.conv2d(tx, rt.tensor(w.astype("float32")), None, 2, 3), tx, rt.tensor(g.astype("float32")))
    close(dx, oracle(x, w, g, (2, 2), (3, 3), (1, 1), 1)[1], 2e-5)


def test_what_no_window_reads_changes_no_gradient(level):
    """Numbers that are none, behind the last windows of rows and planes."""
    x, w = RNG.standard_normal((2, 3, 8, 22)), RNG.standard_normal((3, 1, 3, 3))
    x[:, :, 7:], x[:, :, :, 21:] = np.nan, np.inf
    y0 = oracle(x[:, :, :7, :21], w, None, (2, 2), (0, 0), (1, 1), 3)[0]
    g = RNG.standard_normal(y0.shape)
    tw = rt.tensor(w.astype("float32")).requires_grad_()
    y = _t.conv2d(rt.tensor(x.astype("float32")), tw, None, 2, 0, 1, 3)
    close(y, y0, 2e-5)
    close(rt.autograd.grad(y, tw, rt.tensor(g.astype("float32")))[0], oracle(x[:, :, :7, :21], w, g, (2, 2), (0, 0), (1, 1), 3)[2], 1e-4)


@pytest.mark.parametrize("dtype, tol", [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("n, c, o, size, k, stride, pad, dilation, groups", CASES)
def test_all_products(level, n, c, o, size, k, stride, pad, dilation, groups, dtype, tol):
    """Each of input, weight and output's gradient in either order."""
    x, w, b = RNG.standard_normal((n, c, *size)), RNG.standard_normal((o, c // groups, *k)), RNG.standard_normal(o)
    y0 = oracle(x, w, None, stride, pad, dilation, groups)[0]
    g = RNG.standard_normal(y0.shape)
    _, dx0, dw0 = oracle(x, w, g, stride, pad, dilation, groups)
    conv = _t.conv2d if len(size) == 2 else _t.conv3d
    fmt = LAST if len(size) == 2 else rt.channels_last_3d
    for xl, wl, gl in ((1, 1, 1), (1, 0, 0), (0, 1, 1), (0, 0, 0)):
        tx, tw, tb, tg = tensor_of(x, dtype, xl), tensor_of(w, dtype, wl), rt.tensor(b.astype(dtype)), tensor_of(g, dtype, gl)
        for t in (tx, tw, tb):
            t.requires_grad_()
        y = conv(tx, tw, tb, stride, pad, dilation, groups)
        close(y, y0 + b.reshape(-1, *(1,) * len(size)), tol)
        dx, dw, db = rt.autograd.grad(y, [tx, tw, tb], tg)
        close(dx, dx0, tol)
        close(dw, dw0, tol * 5)
        close(db, g.sum((0, *range(2, g.ndim))), tol * 5)
        if max(size) > 1 and (xl and c > 1 or wl and c > groups and max(k) > 1):
            assert y.is_contiguous(memory_format=fmt) and dx.is_contiguous(memory_format=fmt)
        if (xl or wl) and c > groups and max(k) > 1:
            assert dw.is_contiguous(memory_format=fmt)
        # the transposed convolution is the same product with x and y exchanged
        if all((s + 2 * p - dl * (kk - 1) - 1) % st == 0 for s, p, dl, kk, st in zip(size, pad, dilation, k, stride)):
            transposed = _t.conv_transpose2d if len(size) == 2 else _t.conv_transpose3d
            bias = rt.tensor(np.arange(float(c)).astype(dtype))
            z = transposed(tg, tw, bias, stride, pad, 0, groups, dilation)
            close(z, dx0 + np.arange(float(c)).reshape(-1, *(1,) * len(size)), tol)


def test_views_and_empty(level):
    """Slices and permutations of channels_last arrays; a batch of none."""
    x, w = RNG.standard_normal((2, 20, 12, 13)), RNG.standard_normal((24, 8, 3, 3))
    t = tensor_of(x, "float64", True)[:, 3:11, 1:, ::2]
    close(_t.conv2d(t, rt.tensor(w), padding=1), oracle(x[:, 3:11, 1:, ::2], w, None, (1, 1), (1, 1), (1, 1), 1)[0], 1e-12)
    y = _t.conv2d(tensor_of(np.zeros((0, 8, 5, 5)), "float32", True), tensor_of(w, "float32", True).requires_grad_())
    y.sum().backward()
    assert tuple(y.shape) == (0, 24, 3, 3)


def test_orders_of_ambiguous_shapes():
    """One channel, or one pixel: row-major unless the strides say more, as in PyTorch."""
    w = rt.randn(6, 1, 3, 3)
    assert _t.conv2d(rt.randn(2, 1, 8, 8), w).is_contiguous()
    assert _t.conv2d(rt.randn(2, 1, 8, 8), w.contiguous(memory_format=LAST)).is_contiguous()
    assert _t.conv2d(rt.randn(2, 4, 1, 1), rt.randn(6, 4, 1, 1)).is_contiguous()


def test_threads_do_not_change_bits(level, same_on_threads):
    """The cuts of a weight's gradient depend on shapes alone."""
    x, g, w = (tensor_of(RNG.standard_normal(s), "float32", True) for s in ((5, 16, 40, 41), (5, 24, 40, 41), (24, 16, 3, 3)))
    x.requires_grad_(), w.requires_grad_()

    def step():
        y = _t.conv2d(x, w, rt.zeros(24, requires_grad=True), padding=1)
        return [y.detach().numpy(), *(v.numpy() for v in rt.autograd.grad(y, [x, w], g))]

    same_on_threads(step)


def test_gradcheck():
    """First and second derivatives in channels_last order."""
    x = tensor_of(RNG.standard_normal((2, 6, 5, 4)), "float64", True)[:, :4].requires_grad_()
    w = tensor_of(RNG.standard_normal((6, 2, 3, 2)), "float64", True).requires_grad_()
    b = rt.tensor(RNG.standard_normal(6), requires_grad=True)
    fn = lambda x, w, b: _t.conv2d(x, w, b, (2, 1), (1, 0), 1, 2)  # noqa: E731
    assert rt.autograd.gradcheck(fn, (x, w, b))
    assert rt.autograd.gradgradcheck(fn, (x, w, b))
