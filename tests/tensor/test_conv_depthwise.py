"""Convolutions of a channel a group, sums by hand: kernels that walk along rows, rows with nothing but edges, planes that are turned on their way."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import nn

F = nn.functional
# batch, channels, height, width, kernel down and across, stride, padding, dilation
SHAPES = [(2, 40, 9, 11, 5, 5, 1, 2, 1), (1, 72, 14, 14, 5, 5, 2, 2, 1), (2, 130, 7, 7, 5, 5, 1, 2, 1), (1, 33, 8, 9, 7, 7, 1, 3, 1), (1, 48, 28, 30, 7, 7, 2, 3, 1),
          (2, 20, 6, 4, 5, 5, 1, 4, 1), (1, 24, 12, 13, 5, 5, 1, 2, 2), (1, 36, 10, 33, 4, 4, 1, 0, 1), (1, 17, 15, 15, 4, 5, 3, 1, 1), (2, 64, 5, 6, 3, 3, 1, 1, 1),
          (3, 9, 1, 5, 3, 3, 1, 1, 1), (2, 7, 2, 40, 3, 3, 1, 2, 1), (1, 12, 28, 28, 3, 3, 1, 1, 1), (2, 5, 19, 33, 3, 3, 1, 0, 1),
          (1, 19, 3, 3, 5, 5, 1, 2, 1), (1, 10, 8, 8, 5, 5, 1, 2, 1), (1, 80, 4, 17, 1, 7, 1, 3, 1)]


@pytest.fixture(autouse=True)
def restore():
    threads = rt.get_num_threads()
    yield
    rt.set_num_threads(threads)


def by_hand(x, w, b, stride, padding, dilation):
    """The result, and the gradients of its sum of products with a given array."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    high, wide = w.shape[2:]
    rows, columns = (x.shape[d + 2] + 2 * padding - dilation * (w.shape[d + 2] - 1) - 1 for d in (0, 1))
    rows, columns = rows // stride + 1, columns // stride + 1
    at = lambda i, j: (slice(None), slice(None), slice(i * dilation, i * dilation + stride * (rows - 1) + 1, stride),  # noqa: E731
                       slice(j * dilation, j * dilation + stride * (columns - 1) + 1, stride))
    y = sum(padded[at(i, j)] * w[None, :, 0, i, j, None, None].astype(np.float64) for i in range(high) for j in range(wide))

    def back(g):
        gx, gw = np.zeros_like(padded), np.zeros(w.shape)
        for i in range(high):
            for j in range(wide):
                gx[at(i, j)] += g * w[None, :, 0, i, j, None, None]
                gw[:, 0, i, j] = (g * padded[at(i, j)]).sum((0, 2, 3))
        return gx[:, :, padding:padding + x.shape[2], padding:padding + x.shape[3]], gw
    return y + b[:, None, None], back


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_and_threads(level, shape):
    batch, channels, h, w, high, wide, stride, padding, dilation = shape
    for dtype, tol in ((rt.float32, 2e-5), (rt.float64, 1e-13)):
        rt.manual_seed(h)
        x, k, b = rt.randn(batch, channels, h, w).to(dtype), rt.randn(channels, 1, high, wide).to(dtype), rt.randn(channels).to(dtype)
        want, back = by_hand(x.clone().numpy(), k.clone().numpy(), b.clone().numpy(), stride, padding, dilation)
        g = rt.randn(*want.shape).to(dtype)
        gx, gw = back(g.clone().numpy())
        for form in (rt.contiguous_format, rt.channels_last):
            found = []
            for threads in (1, 2, 3):
                rt.set_num_threads(threads)
                xs, ks = x.to(memory_format=form).detach().requires_grad_(), k.clone().requires_grad_()
                y = F.conv2d(xs, ks, b, stride, padding, dilation, channels)
                y.backward(g)
                with rt.no_grad():
                    plain = F.conv2d(xs, ks, b, stride, padding, dilation, channels)
                found.append((y.detach(), plain, xs.grad, ks.grad))
                for got, exact in zip(found[-1], (want, want, gx, gw)):
                    assert np.abs(got.clone().numpy() - exact).max() <= tol * max(1, np.abs(exact).max())
            assert all(rt.equal(p, q) for other in found for p, q in zip(other, found[0]))


def test_what_follows_is_taken_along(level):
    for channels, side, kernel, stride in ((96, 7, 5, 1), (40, 14, 5, 2), (50, 20, 7, 1)):
        model = nn.Sequential(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels), nn.BatchNorm2d(channels), nn.ReLU()).eval()
        for t in (model[1].running_mean, model[1].running_var):
            t.uniform_(0.5, 2)
        x = rt.randn(2, channels, side, side)
        with rt.no_grad():
            want = model[2](model[1](model[0](x)))
            for form in (rt.contiguous_format, rt.channels_last):
                np.testing.assert_allclose(model(x.to(memory_format=form)).clone().numpy(), want.clone().numpy(), rtol=1e-4, atol=1e-5)


def test_what_is_no_number_stays_where_it_is(level):
    """Both gradients at once: an infinity at an edge of either array reaches the sums that it is part of and no others."""
    if level != "avx512":
        pytest.skip("one pass makes both with AVX-512 alone")
    for at in ((0, 0), (0, 5), (8, 6), (4, 0)):
        for which in range(2):
            x, g, w = rt.randn(1, 3, 9, 7), rt.randn(1, 3, 9, 7), rt.randn(3, 1, 3, 3)
            (x, g)[which][0, 1, at[0], at[1]] = float("inf")
            one, other = x.clone().requires_grad_(), w.clone().requires_grad_()
            got = rt.autograd.grad(F.conv2d(one, other, None, 1, 1, 1, 3), (one, other), g)
            far = np.ones((9, 7), bool)
            if which:
                far[max(0, at[0] - 1):at[0] + 2, max(0, at[1] - 1):at[1] + 2] = False
            assert np.isfinite(got[0].numpy()[0, 1][far]).all() and np.isfinite(got[0].numpy()[0, ::2]).all()
            met = np.zeros((3, 3), bool)                    # the taps by which the element meets one of the other array
            for i in range(3):
                for j in range(3):
                    r, c = (at[0] + i - 1, at[1] + j - 1) if which else (at[0] - i + 1, at[1] - j + 1)
                    met[i, j] = 0 <= r < 9 and 0 <= c < 7
            if not which:
                assert np.isfinite(got[1].numpy()[1, 0][~met]).all()
            assert not np.isfinite(got[1].numpy()[1, 0][met]).any() and np.isfinite(got[1].numpy()[::2]).all()
