"""Kernels as large as their images, and many weights over small planes: all three products against float64, on every instruction set."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import nn

F = nn.functional
# batch, channels in and out, input, kernel, stride, padding, dilation
SHAPES = [(5, 128, 1, (4, 4), (4, 4), 1, 0, 1), (33, 24, 40, (4, 4), (4, 4), 2, 0, 1), (3, 5, 7, (2, 3, 2), (2, 3, 2), 1, 0, 1), (6, 40, 3, (9,), (9,), 3, 0, 1),
          (7, 64, 130, (8, 8), (4, 4), 2, 1, 1), (3, 96, 96, (5, 7), (3, 4), (3, 2), (0, 2), (1, 2)), (17, 256, 72, (2, 2), (3, 3), 1, 1, 1),
          (2, 64, 48, (3, 4, 4), (3, 3, 3), 2, 1, 1), (2, 128, 160, (31,), (7,), 3, 2, 2), (4, 64, 256, (4, 4), (2, 2), 4, 0, 1), (9, 300, 520, (4, 4), (3, 3), 2, 1, 1),
          (3, 256, 264, (9, 11), (1, 1), 2, 0, 1), (2, 64, 96, (3, 5, 6), (3, 3, 3), (1, 2, 2), 1, (1, 1, 2)), (2, 256, 256, (40, 36), (1, 1), (3, 2), 0, 1),
          (2, 64, 96, (21, 26), (2, 2), 2, 0, 1), (2, 64, 96, (20, 26), (2, 2), 2, 0, 1), (3, 48, 32, (9, 52), (3, 4), (3, 4), 0, 1),
          (2, 1, 256, (900,), (10,), 5, 0, 1), (3, 3, 64, (33, 41), (4, 5), (4, 3), 1, 1)]


@pytest.mark.parametrize("order", [rt.contiguous_format, rt.channels_last])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(level, shape, order):
    batch, channels, out, size, kernel, *how = shape
    if order is rt.channels_last and len(size) != 2:
        if len(size) == 1:
            return
        order = rt.channels_last_3d
    conv, turned = getattr(F, f"conv{len(size)}d"), getattr(F, f"conv_transpose{len(size)}d")
    rt.manual_seed(len(size))
    x, w, b = rt.randn(batch, channels, *size), rt.randn(out, channels, *kernel), rt.randn(out)
    stride, padding, dilation = how
    exact = [t.double().requires_grad_() for t in (x, w, b)]
    want = conv(*exact, stride, padding, dilation)
    g, back = rt.randn(*want.shape), rt.randn(channels)
    want.backward(g.double())
    extra = tuple((n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in zip(size, kernel, *(h if isinstance(h, tuple) else (h,) * len(size) for h in how)))
    into = turned(g.double(), exact[1].detach(), back.double(), stride, padding, extra, 1, dilation)
    for threads in (1, 3):
        before = rt.get_num_threads()
        rt.set_num_threads(threads)
        try:
            given = [t.clone().contiguous(memory_format=order).requires_grad_() if t.dim() == len(size) + 2 and len(size) > 1 else t.clone().requires_grad_() for t in (x, w, b)]
            y = conv(*given, stride, padding, dilation)
            y.backward(g)
            got = turned(g, given[1].detach(), back, stride, padding, extra, 1, dilation)
        finally:
            rt.set_num_threads(before)
        pairs = [(y, want), (got, into)] + [(t.grad, e.grad) for t, e in zip(given, exact)]
        for i, (a, e) in enumerate(pairs):
            a, e = a.detach().numpy(), e.detach().numpy()
            assert a.shape == e.shape and np.abs(a - e).max() <= 3e-5 * np.abs(e).max(), i
