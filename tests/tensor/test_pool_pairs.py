"""Maxima of windows two columns wide, and averages of whole planes, against loops in Python."""
import math

import pytest

import rustorch_py as rt
from rustorch_py.nn import functional as F

NAN, INF = math.nan, math.inf


def maxima(plane, h, w, sh):
    """(values, positions): the first largest, or the last that is no number."""
    rows, cols = len(plane), len(plane[0])
    values, places = [], []
    for a in range((rows - h) // sh + 1):
        for b in range((cols - w) // w + 1):
            best, at = -INF, a * sh * cols + b * w
            for i in range(a * sh, a * sh + h):
                for j in range(b * w, b * w + w):
                    v = plane[i][j]
                    if v > best or v != v:
                        best, at = v, i * cols + j
            values.append(best)
            places.append(at)
    return values, places


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.int64])
@pytest.mark.parametrize("size", [(2, 2), (8, 8), (6, 32), (5, 33), (4, 34), (7, 47), (4, 1025), (3, 5), (2, 62)])
def test_maxima_of_pairs(level, dtype, size):
    rt.manual_seed(sum(size))
    x = rt.randint(-9, 9, (2, 3, *size)).to(dtype)               # many equal ones: the first counts
    if dtype.is_floating_point:
        x.view(-1)[::7] = -INF
        x.view(-1)[3::29] = NAN
        x[0, 0] = -INF
    for kernel, stride in (((2, 2), (2, 2)), ((1, 2), (1, 2)), ((2, 2), (1, 2))):
        y, idx = F.max_pool2d(x, kernel, stride, return_indices=True)
        for n in range(2):
            for c in range(3):
                values, places = maxima(x[n, c].tolist(), *kernel, stride[0])
                assert idx[n, c].flatten().tolist() == places
                assert all(a == b or a != a and b != b for a, b in zip(y[n, c].flatten().tolist(), values))


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 7), (3, 5), (33, 31), (64, 64), (64, 65)])
def test_average_of_a_plane(level, dtype, size):
    x = rt.randn(2, 5, *size, dtype=dtype)
    x[1, 2, 0, 0] = INF
    want = x.double().sum((2, 3), keepdim=True) / (size[0] * size[1])
    close = 1e-6 if dtype == rt.float32 else 1e-14
    for y in (F.adaptive_avg_pool2d(x, 1), F.avg_pool2d(x, size), rt.nn.AdaptiveAvgPool2d((1, 1))(x)):
        assert rt.allclose(y.double(), want, rtol=close * 20, atol=close)
    assert rt.allclose(F.avg_pool2d(x, size, divisor_override=3).double(), want * (size[0] * size[1] / 3), rtol=close * 20, atol=close * size[0] * size[1])
    z = x[:1].clone().requires_grad_()
    F.adaptive_avg_pool2d(z, 1).sum().backward()
    assert rt.allclose(z.grad, rt.full_like(z, 1 / (size[0] * size[1])))
