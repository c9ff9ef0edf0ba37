"""bfloat16 convolutions against float64 sums of the same values, for every order of arrays and each instruction set: by dots of pairs where there are any
(Note [Convolved pairs] in kernels/conv_pairs.h), through float32 elsewhere; a channel a group too."""

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t
from tests.tensor.test_conv_orders import oracle

RNG = np.random.default_rng(11)
FORMATS = {1: None, 2: rt.channels_last, 3: rt.channels_last_3d}

CASES = [
    # batch, in, out, size, kernel, stride, pad, dilation, groups
    (1, 16, 16, (5, 7), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 64, 64, (9, 10), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (3, 32, 80, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (3, 34, 70, (8, 17), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (1, 48, 112, (14, 14), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (5, 33, 17, (6, 5), (3, 2), (2, 1), (2, 1), (1, 2), 1),
    (3, 64, 96, (9, 31), (1, 1), (2, 2), (0, 0), (1, 1), 1),
    (2, 100, 40, (12, 11), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (4, 64, 36, (13, 9), (3, 3), (1, 1), (1, 1), (1, 1), 2),
    (2, 40, 48, (20, 6), (5, 5), (1, 1), (2, 2), (1, 1), 1),
    (1, 130, 64, (10, 6), (3, 3), (3, 2), (0, 1), (1, 1), 1),
    (2, 24, 20, (5, 6, 9), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    (2, 32, 48, (6, 5, 7), (2, 3, 1), (2, 1, 2), (0, 1, 0), (1, 1, 1), 2),
    (3, 64, 65, (100,), (10,), (5,), (0,), (1,), 1),
    (1, 18, 32, (700,), (3,), (1,), (1,), (2,), 1),
    (2, 16, 16, (8, 30), (6, 6), (1, 1), (3, 3), (1, 1), 1),          # more taps than are turned together
    (1, 4600, 16, (3, 4), (1, 1), (1, 1), (0, 0), (1, 1), 1),          # sums in blocks
    (1, 640, 80, (6, 6), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 3, 64, (37, 45), (7, 7), (2, 2), (3, 3), (1, 1), 1),           # few channels
    (3, 3, 24, (33, 18), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (2, 4, 16, (9, 20), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 5, 20, (9, 20), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 6, 32, (12, 11), (3, 3), (1, 1), (0, 1), (1, 1), 2),
    (2, 3, 40, (32, 48), (16, 16), (16, 16), (0, 0), (1, 1), 1),
    (1, 512, 128, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1), 1),          # blocks of result channels are shared out
    # a channel a group: strips in float32 (Note [Widened strips])
    (2, 96, 96, (19, 17), (3, 3), (1, 1), (1, 1), (1, 1), 96),
    (3, 40, 40, (30, 9), (3, 3), (2, 2), (1, 1), (1, 1), 40),
    (1, 72, 72, (14, 14), (5, 5), (1, 1), (2, 2), (1, 1), 72),
    (1, 130, 130, (57, 60), (7, 7), (1, 1), (3, 3), (1, 1), 130),
    (2, 11, 11, (12, 25), (3, 5), (3, 2), (0, 3), (2, 1), 11),
    (9, 64, 64, (8, 7), (3, 3), (2, 1), (2, 1), (1, 2), 64),
    (2, 32, 32, (1, 40), (1, 3), (1, 1), (0, 1), (1, 1), 32),
    (2, 24, 24, (4, 9, 8), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 24),
]


def halves(a, last):
    t = rt.tensor(a.astype("float32")).to(rt.bfloat16)
    return t.contiguous(memory_format=FORMATS[a.ndim - 2]) if last and a.ndim > 3 else t


def values(*shape):
    """Numbers that bfloat16 has."""
    return rt.tensor(RNG.standard_normal(shape).astype("float32")).to(rt.bfloat16).float().numpy().astype("float64")


def close(got, want, tol=2 ** -8):
    """Rounded once, sums of float32 in front of it."""
    got = got.detach().float().numpy()
    np.testing.assert_allclose(got, want, rtol=tol * 1.01, atol=2e-5 * (1 + np.abs(want).max()))


@pytest.mark.parametrize("n, c, o, size, k, stride, pad, dilation, groups", CASES)
def test_all_products(level, n, c, o, size, k, stride, pad, dilation, groups):
    x, w, b = values(n, c, *size), values(o, c // groups, *k), values(o)
    y0 = oracle(x, w, None, stride, pad, dilation, groups)[0]
    g = values(*y0.shape)
    _, dx0, dw0 = oracle(x, w, g, stride, pad, dilation, groups)
    conv = (_t.conv1d, _t.conv2d, _t.conv3d)[len(size) - 1]
    for xl, wl, gl in ((1, 1, 1), (1, 0, 0), (0, 1, 1), (0, 0, 0)) if len(size) > 1 else ((0, 0, 0),):
        tx, tw, tb, tg = halves(x, xl), halves(w, wl), halves(b, 0), halves(g, gl)
        for t in (tx, tw, tb):
            t.requires_grad_()
        y = conv(tx, tw, tb, stride, pad, dilation, groups)
        assert y.dtype is rt.bfloat16
        close(y, y0 + b.reshape(-1, *(1,) * len(size)))
        dx, dw, db = rt.autograd.grad(y, [tx, tw, tb], tg)
        assert dx.dtype is rt.bfloat16 and dw.dtype is rt.bfloat16 and db.dtype is rt.bfloat16
        close(dx, dx0)
        close(dw, dw0)
        close(db, g.sum((0, *range(2, g.ndim))))
        if len(size) > 1 and max(size) > 1 and xl:
            assert y.is_contiguous(memory_format=FORMATS[len(size)]) and dx.is_contiguous(memory_format=FORMATS[len(size)])
        if all((s + 2 * p - d * (kk - 1) - 1) % st == 0 for s, p, d, kk, st in zip(size, pad, dilation, k, stride)):
            transposed = (_t.conv_transpose1d, _t.conv_transpose2d, _t.conv_transpose3d)[len(size) - 1]
            bias = values(c)
            close(transposed(tg, tw.detach(), halves(bias, 0), stride, pad, 0, groups, dilation), dx0 + bias.reshape(-1, *(1,) * len(size)))


def test_forms_that_are_kept(level):
    """Weights packed once, and anew after they were written."""
    for last in (0, 1):
        x, w = values(1, 96, 9, 9), values(80, 96, 3, 3)
        tx, tw = halves(x, last), halves(w, last)
        y0 = oracle(x, w, None, (1, 1), (1, 1), (1, 1), 1)[0]
        with rt.no_grad():
            for _ in range(4):
                close(_t.conv2d(tx, tw, None, 1, 1), y0)
            tw.mul_(2)
            for _ in range(3):
                close(_t.conv2d(tx, tw, None, 1, 1), 2 * y0)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("size, channels", [(9, 48), (40, 32)])
def test_with_what_follows(level, last, size, channels):
    """Factors, shifts and ReLU of an evaluated layer: rounded once, behind them."""
    net = rt.nn.Sequential(rt.nn.Conv2d(32, channels, 3, padding=1), rt.nn.BatchNorm2d(channels), rt.nn.ReLU()).to(rt.bfloat16).eval()
    x, w, b = values(2, 32, size, size), values(channels, 32, 3, 3), values(channels)
    mean, var, gamma, beta = values(channels), values(channels) ** 2 + 1, values(channels), values(channels)
    with rt.no_grad():
        for to, a in ((net[0].weight, w), (net[0].bias, b), (net[1].weight, gamma), (net[1].bias, beta), (net[1].running_mean, mean), (net[1].running_var, var)):
            to.copy_(rt.tensor(a))
        var = net[1].running_var.double().numpy()
        y0 = oracle(x, w, None, (1, 1), (1, 1), (1, 1), 1)[0]
        lies = (1, -1, 1, 1)
        y0 = np.maximum(((y0 + b.reshape(lies)) - mean.reshape(lies)) * (gamma / np.sqrt(var + 1e-5)).reshape(lies) + beta.reshape(lies), 0)
        for _ in range(3):
            y = net(halves(x, last))
            assert y.dtype is rt.bfloat16
            np.testing.assert_allclose(y.float().numpy(), y0, rtol=2 ** -7, atol=2e-4 * np.abs(y0).max())


def test_what_no_window_reads_changes_no_gradient(level):
    """Infinite numbers behind the last windows of rows and planes, where images are woven with shorter parts of others."""
    for n, size in ((1, 12), (3, 12), (1, 40)):
        x, w = values(n, 32, size, size), values(32, 32, 3, 3)
        x[:, :, size - 1:], x[:, :, :, size - 1:] = np.inf, np.inf
        inside = x[:, :, :size - 1, :size - 1]
        y0 = oracle(inside, w, None, (2, 2), (0, 0), (1, 1), 1)[0]
        g = values(*y0.shape)
        for last in (0, 1):
            tx, tw = halves(x, last), halves(w, last).requires_grad_()
            y = _t.conv2d(tx, tw, None, 2)
            close(y, y0)
            close(rt.autograd.grad(y, tw, halves(g, last))[0], oracle(inside, w, g, (2, 2), (0, 0), (1, 1), 1)[2])


def test_same_bits_on_threads(same_on_threads):
    x, w, g = values(3, 64, 20, 21), values(144, 64, 3, 3), values(3, 144, 20, 21)

    def make():
        tx, tw = halves(x, 0).requires_grad_(), halves(w, 0).requires_grad_()
        y = _t.conv2d(tx, tw, None, 1, 1)
        return [t.detach().float().numpy() for t in (y, *rt.autograd.grad(y, [tx, tw], halves(g, 0)))]

    same_on_threads(make)


def test_second_derivatives(level):
    x, w = halves(values(2, 32, 6, 6), 0).requires_grad_(), halves(values(32, 32, 3, 3), 0).requires_grad_()
    y = _t.conv2d(x, w, None, 1, 1)
    dx, = rt.autograd.grad(y, x, rt.ones_like(y), create_graph=True)
    ddw, = rt.autograd.grad(dx.float().sum(), w)
    ones = np.ones((2, 32, 6, 6))
    close(ddw, oracle(ones, w.detach().float().numpy().astype("float64"), ones, (1, 1), (1, 1), (1, 1), 1)[2])
