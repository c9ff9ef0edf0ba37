"""Winograd's filtering along single axes: strides of two, transposed ones, signals and volumes against float64 sums over taps, for each instruction set."""

import itertools

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(23)
EPS = 2.0 ** -23


def products(x, w, g, stride, pad):
    """(y, dx, dw) of one group in float64, a tap at a time; y alone where g is None."""
    n = w.ndim - 2
    xp = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pad)))
    out = [(xp.shape[2 + d] - w.shape[2 + d]) // stride[d] + 1 for d in range(n)]
    y, dx, dw = np.zeros((len(x), len(w), *out)), np.zeros(xp.shape), np.zeros(w.shape)
    for tap in itertools.product(*map(range, w.shape[2:])):
        at = (slice(None), slice(None), *(slice(t, t + (o - 1) * s + 1, s) for t, o, s in zip(tap, out, stride)))
        here = (slice(None), slice(None), *tap)
        y += np.einsum("nc...,oc->no...", xp[at], w[here], optimize=True)
        if g is not None:
            dx[at] += np.einsum("no...,oc->nc...", g, w[here], optimize=True)
            dw[here] = np.einsum("nop,ncp->oc", g.reshape(*g.shape[:2], -1), xp[at].reshape(*xp.shape[:2], -1), optimize=True)
    return y, dx[(slice(None), slice(None), *(slice(p, p + s) for p, s in zip(pad, x.shape[2:])))], dw


def grouped(x, w, g, stride, pad, groups):
    parts = [products(*(None if a is None else np.split(a, groups, axis)[k] for a, axis in ((x, 1), (w, 0), (g, 1))), stride, pad) for k in range(groups)]
    return [np.concatenate([part[i] for part in parts], axis) for i, axis in ((0, 1), (1, 1), (2, 0))]


def run(x, w, g, stride, pad, groups, last=False):
    n = w.ndim - 2
    order = {2: rt.channels_last, 3: rt.channels_last_3d}.get(n) if last else None
    put = lambda a: rt.tensor(a.astype("float32")).contiguous(memory_format=order or rt.contiguous_format)  # noqa: E731
    tx, tw, tg = put(x).requires_grad_(), put(w).requires_grad_(), put(g)
    y = getattr(_t, f"conv{n}d")(tx, tw, None, stride, pad, 1, groups)
    return [t.detach().numpy() for t in (y, *rt.autograd.grad(y, (tx, tw), tg))]


CASES = [
    # batch, in, out, size, kernel, stride, pad, groups, what is rearranged: forward, gradient of the input, of the weights
    (9, 32, 40, (31, 32), (3, 3), (2, 2), (1, 1), 1, "111"),
    (9, 24, 16, (32, 29), (3, 3), (2, 2), (0, 2), 1, "101"),
    (40, 32, 80, (16, 17), (3, 3), (2, 2), (1, 1), 2, "111"),
    (9, 20, 37, (30, 31), (4, 4), (2, 2), (1, 1), 1, "111"),
    (6, 32, 32, (33, 40), (4, 4), (2, 2), (3, 0), 1, "101"),
    (4, 64, 130, (16, 16), (3, 3), (2, 2), (1, 1), 1, "111"),
    (8, 50, 64, (16, 15), (4, 4), (2, 2), (1, 1), 1, "111"),
    (2, 20, 40, (801,), (3,), (1,), (1,), 1, "111"),
    (20, 64, 37, (49,), (5,), (1,), (4,), 1, "111"),
    (3, 32, 48, (502,), (5,), (1,), (0,), 2, "111"),
    (6, 20, 40, (401,), (3,), (2,), (1,), 1, "111"),
    (6, 40, 70, (402,), (4,), (2,), (1,), 1, "111"),
    (2, 16, 24, (5, 33, 34), (3, 3, 3), (1, 1, 1), (1, 1, 1), 1, "111"),
    (2, 20, 16, (4, 30, 37), (3, 3, 3), (1, 1, 1), (0, 2, 1), 1, "111"),
    (2, 32, 32, (1, 30, 31), (3, 3, 3), (1, 1, 1), (2, 1, 1), 2, "111"),
    (1, 64, 70, (3, 40, 41), (2, 3, 3), (1, 1, 1), (1, 0, 1), 1, "111"),
    (2, 24, 16, (3, 30, 31), (1, 3, 3), (1, 1, 1), (0, 1, 1), 1, "111"),
]


@pytest.mark.parametrize("n, c, o, size, kernel, stride, pad, groups, which", CASES)
def test_all_products(level, n, c, o, size, kernel, stride, pad, groups, which):
    """Within 16 units of the sum of absolute products, in either order; what should be rearranged is, and nothing else."""
    x, w = (RNG.standard_normal(s).astype("float32").astype("float64") for s in ((n, c, *size), (o, c // groups, *kernel)))
    g = RNG.standard_normal(grouped(x, w, None, stride, pad, groups)[0].shape).astype("float32").astype("float64")
    want, size_of = grouped(x, w, g, stride, pad, groups), grouped(abs(x), abs(w), abs(g), stride, pad, groups)
    results = [run(x, w, g, stride, pad, groups, last) for last in (False, True)]
    for result in results:
        for got, expected, scale in zip(result, want, size_of):
            assert np.abs(got - expected).max() <= 16 * EPS * scale.max()
    rt.config.set_fast_convolution(False)
    try:
        slow = run(x, w, g, stride, pad, groups)
    finally:
        rt.config.set_fast_convolution(True)
    assert "".join(str(int((a != b).any())) for a, b in zip(results[0], slow)) == which


@pytest.mark.parametrize("kernel, stride, nd", [(3, 2, 2), (4, 2, 2), (3, 1, 1), (5, 1, 1), (3, 2, 1), (3, 1, 3)])
def test_error_beside_the_plain_sum(level, kernel, stride, nd):
    """Root mean square errors are at most 2e-6 of the results', and eight times the plain sum's."""
    size = {1: (512,), 2: (32, 32), 3: (4, 24, 24)}[nd]
    x, w = (RNG.standard_normal(s).astype("float32").astype("float64") for s in ((4, 64, *size), (64, 64, *(kernel,) * nd)))
    strides, pad = (stride,) * nd, (kernel // 2 if stride == 1 else 1,) * nd
    g = RNG.standard_normal(products(x, w, None, strides, pad)[0].shape).astype("float32").astype("float64")
    want = products(x, w, g, strides, pad)
    error = lambda got: [np.sqrt(np.square(a - b).mean()) for a, b in zip(got, want)]  # noqa: E731
    fast = error(run(x, w, g, strides, pad, 1))
    rt.config.set_fast_convolution(False)
    try:
        slow = error(run(x, w, g, strides, pad, 1))
    finally:
        rt.config.set_fast_convolution(True)
    assert fast[0] <= 8 * slow[0] and fast[1] <= 8 * slow[1]
    assert all(e <= 2e-6 * np.sqrt(np.square(b).mean()) for e, b in zip(fast, want))


@pytest.mark.parametrize("n, c, o, size, kernel, stride, pad", [(3, 32, 24, (30, 31), 3, 2, 1), (3, 32, 24, (401,), 5, 1, 2), (2, 32, 24, (4, 30, 31), 3, 1, 1)])
def test_threads_do_not_change_bits(level, n, c, o, size, kernel, stride, pad):
    nd = len(size)
    x, w = RNG.standard_normal((n, c, *size)), RNG.standard_normal((o, c, *(kernel,) * nd))
    g, before, found = RNG.standard_normal(products(x, w, None, (stride,) * nd, (pad,) * nd)[0].shape), rt.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            found.append(run(x, w, g, (stride,) * nd, (pad,) * nd, 1))
    finally:
        rt.set_num_threads(before)
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], other))


@pytest.mark.parametrize("c, o, size, kernel, stride", [(16, 32, (32, 32), 3, 2), (32, 64, (16, 16), 3, 2), (64, 64, (60,), 3, 1), (32, 32, (40, 40), 4, 2)])
def test_single_images_with_kept_weights(level, c, o, size, kernel, stride):
    """Where nothing is recorded transformed weights stay from call to call: the third call reads them, and a write makes them anew."""
    nd = len(size)
    x, w, b = (RNG.standard_normal(s).astype("float32") for s in ((1, c, *size), (o, c, *(kernel,) * nd), (o,)))
    layer = getattr(rt.nn, f"Conv{nd}d")(c, o, kernel, stride, 1)
    with rt.no_grad():
        for factor in (1, -2):
            layer.weight.copy_(rt.tensor(w * np.float32(factor)))
            layer.bias.copy_(rt.tensor(b))
            want = products(x.astype("float64"), w.astype("float64") * factor, None, (stride,) * nd, (1,) * nd)[0] + b.reshape(1, -1, *(1,) * nd)
            found = [layer(rt.tensor(x)).numpy() for _ in range(3)]
            assert np.abs(found[0] - want).max() <= 1e-5 * np.abs(want).max()
            assert (found[0] == found[1]).all() and (found[0] == found[2]).all()


PLAIN = [
    # batch, in, out, size, kernel, stride, pad: Note [Whole columns] of conv_whole.h and Note [Points] of _conv.pyx
    (3, 130, 131, (7, 9), (3, 3), (2, 2), (1, 1)),
    (2, 260, 261, (13, 12), (3, 3), (1, 1), (1, 1)),
    (5, 128, 136, (7, 6), (2, 2), (2, 2), (0, 0)),
    (1, 64, 70, (5, 9, 8), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    (2, 130, 140, (61,), (7,), (3,), (2,)),
    (2, 3, 90, (40, 32), (16, 16), (16, 16), (0, 0)),
    (3, 40, 33, (9, 8), (1, 1), (1, 1), (0, 0)),
    (5, 40, 33, (1, 1), (1, 1), (1, 1), (0, 0)),
    (2, 40, 33, (3, 5, 4), (1, 1, 1), (1, 1, 1), (0, 0, 0)),
]


@pytest.mark.parametrize("n, c, o, size, kernel, stride, pad", PLAIN)
def test_plain_products(level, n, c, o, size, kernel, stride, pad):
    """Many weights over few pixels, and kernels of one tap, in either order; the same bits on any number of threads where these are asked for."""
    x, w = (RNG.standard_normal(s).astype("float32").astype("float64") for s in ((n, c, *size), (o, c, *kernel)))
    g = RNG.standard_normal(products(x, w, None, stride, pad)[0].shape).astype("float32").astype("float64")
    want, size_of = products(x, w, g, stride, pad), products(abs(x), abs(w), abs(g), stride, pad)
    for last in (False, True):
        for got, expected, scale in zip(run(x, w, g, stride, pad, 1, last), want, size_of):
            assert np.abs(got - expected).max() <= 16 * EPS * scale.max()
    before, found = rt.get_num_threads(), []
    rt.config.use_deterministic(True)
    try:
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            found.append(run(x, w, g, stride, pad, 1))
    finally:
        rt.set_num_threads(before)
        rt.config.use_deterministic(False)
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], other))
