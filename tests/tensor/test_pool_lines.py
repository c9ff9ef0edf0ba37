"""Maxima along lines, of uneven windows and whole planes, and bfloat16 with its channels innermost, against loops in Python."""
import math

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t
from rustorch_py.nn import functional as F

NAN, INF = math.nan, math.inf


def spoilt(shape, dtype, seed, kind):
    """Few different numbers, so that many are equal; kind 1 puts NaNs and infinities among them, kind 2 only -inf."""
    x = np.random.default_rng(seed).integers(-6, 6, shape).astype("float64")
    if kind == 1:
        x.flat[::37], x.flat[5::53], x.flat[7::61] = NAN, INF, -INF
        x[0, 0].flat[:] = np.arange(x[0, 0].size)
        x[0, 0].flat[-1] = NAN
    if kind == 2:
        x[:] = -INF
    return rt.tensor(x).to(dtype)


def adaptive(plane, out):
    """(values, places) of a plane of up to three dimensions: the first largest, or the last NaN."""
    spans = [[range(t * n // o, -(-(t + 1) * n // o)) for t in range(o)] for n, o in zip(plane.shape, out)]
    values, places = [], []
    for t in np.ndindex(*out):
        best, at = None, 0
        for i in np.ndindex(*(len(spans[d][t[d]]) for d in range(len(out)))):
            c = tuple(spans[d][t[d]][i[d]] for d in range(len(out)))
            v = plane[c]
            if best is None or v > best or v != v:
                best, at = v, int(np.ravel_multi_index(c, plane.shape))
        values.append(best)
        places.append(at)
    return values, places


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16], ids=str)
@pytest.mark.parametrize("size, out", [((1,), (1,)), ((15,), (1,)), ((33,), (1,)), ((1000,), (1,)), ((203,), (4,)), ((300,), (7,)), ((7, 9), (1, 1)), ((32, 32), (7, 5)),
                                       ((13, 70), (4, 1)), ((5, 6), (5, 7)), ((4, 6, 17), (1, 1, 1)), ((5, 6, 18), (2, 4, 5))])
def test_uneven_windows(level, dtype, size, out):
    n = len(size)
    for kind in (0, 1, 2):
        x = spoilt((2, 20, *size), dtype, sum(size), kind)
        orders = [x] + ([x.to(memory_format=(rt.channels_last, rt.channels_last_3d)[n - 2])] if n > 1 else [])
        wide = x.to(rt.float64).numpy()
        for y in orders:
            values, places = getattr(_t, f"adaptive_max_pool{n}d")(y, out)
            assert values.dtype == dtype
            for i in np.ndindex(2, 20):
                best, at = adaptive(wide[i], out)
                np.testing.assert_array_equal(values[i].to(rt.float64).numpy().ravel(), best)
                assert places[i].flatten().tolist() == at


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16], ids=str)
@pytest.mark.parametrize("length", [3, 7, 16, 17, 31, 48, 49, 50, 100, 1000])
def test_windows_of_lines(level, dtype, length):
    x = spoilt((1, 3, length), dtype, length, 1)
    x[0, 2] = rt.randn(length).to(dtype)
    for kernel in (1, 2, 3, 4, 7):
        for stride in (1, 2, 3, 4):
            for padding, dilation, ceil in ((0, 1, False), (kernel // 2, 1, True), (0, 2, False)):
                if (kernel - 1) * dilation >= length:
                    continue
                got = F.max_pool1d(x, kernel, stride, padding, dilation, ceil).to(rt.float64).numpy()
                for line, y in zip(x[0].to(rt.float64).numpy(), got[0]):
                    for t, v in enumerate(y):
                        taps = [t * stride - padding + k * dilation for k in range(kernel)]
                        part = [line[i] for i in taps if 0 <= i < length]
                        assert v != v if any(p != p for p in part) else v == max(part)


@pytest.mark.parametrize("channels", [1, 3, 16, 31, 64, 100, 600])
def test_bfloat16_with_channels_innermost(level, channels):
    x = rt.randn(2, channels, 9, 10).to(rt.bfloat16).to(memory_format=rt.channels_last)
    wide = x.float()
    pools = [lambda v, k=k, s=s, p=p, c=c: F.avg_pool2d(v, k, s, p, c, False) for k, s, p, c in ((2, 2, 0, False), (3, 2, 1, True), (3, 3, 0, True), (3, 1, 1, False))]
    pools += [lambda v: F.avg_pool2d(v, 3, divisor_override=5), lambda v: F.adaptive_avg_pool2d(v, (4, 7)), lambda v: F.adaptive_avg_pool2d(v, 1),
              lambda v: F.max_pool2d(v, 3, 2, 1), lambda v: F.max_pool2d(v, 2, 2, 0, 2), lambda v: F.adaptive_max_pool2d(v, (4, 7)), lambda v: F.adaptive_max_pool2d(v, 1)]
    for pool in pools:
        y, want = pool(x), pool(wide)
        assert y.dtype == rt.bfloat16 and y.stride() == want.stride()
        assert rt.allclose(y.float(), want, rtol=2 ** -7, atol=1e-6)
    for op in (lambda v: F.max_pool2d(v, 3, 2, 1, return_indices=True), lambda v: F.adaptive_max_pool2d(v, (4, 7), return_indices=True)):
        (y, at), (want, where) = op(x), op(wide)
        assert rt.equal(y.float(), want) and rt.equal(at, where)
    z = x.detach().clone().requires_grad_()
    F.avg_pool2d(z, 2).sum().backward()
    assert z.grad.dtype == rt.bfloat16 and rt.equal(F.avg_pool2d(z, 2).detach(), F.avg_pool2d(x, 2))


@pytest.mark.parametrize("size", [(7, 9), (64, 64), (65, 130), (4, 33, 40)])
@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16], ids=str)
def test_averages_of_whole_planes(level, dtype, size):
    x = rt.rand(2, 5, *size).to(dtype)
    y = getattr(F, f"adaptive_avg_pool{len(size)}d")(x, 1)
    want = x.double().flatten(2).mean(-1).reshape(y.shape)
    assert y.dtype == dtype and rt.allclose(y.double(), want, rtol={rt.float32: 1e-6, rt.float64: 1e-14, rt.bfloat16: 2 ** -8}[dtype], atol=0)
