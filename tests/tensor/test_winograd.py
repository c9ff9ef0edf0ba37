"""3 x 3 and 5 x 5 convolutions by Winograd's filtering against float64, for each instruction set: values, error bounds, the switch."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(17)
EPS = 2.0 ** -23


@pytest.fixture
def plain():
    """Switch the rearranged products off for the length of a call."""
    def run(fn):
        rt.config.set_fast_convolution(False)
        try:
            return fn()
        finally:
            rt.config.set_fast_convolution(True)
    return run


def padded(a, p, q):
    return np.pad(a, ((0, 0), (0, 0), (p, p), (q, q)))


def products(x, w, g, pad, groups=1):
    """(y, dx, dw) in float64 from windows of the padded arrays."""
    o, c, r = w.shape[0] // groups, w.shape[1], w.shape[2]
    y, dx, dw = [], [], []
    for k in range(groups):
        xk, wk = x[:, k * c:(k + 1) * c], w[k * o:(k + 1) * o]
        windows = sliding_window_view(padded(xk, *pad), (r, r), (2, 3))
        y.append(np.einsum("nchwij,ocij->nohw", windows, wk, optimize=True))
        if g is not None:
            gk = g[:, k * o:(k + 1) * o]
            back = sliding_window_view(padded(gk, r - 1 - pad[0], r - 1 - pad[1]), (r, r), (2, 3))
            dx.append(np.einsum("nohwij,ocij->nchw", back, wk[:, :, ::-1, ::-1], optimize=True))
            dw.append(np.einsum("nchwij,nohw->ocij", windows, gk, optimize=True))
    return np.concatenate(y, 1), np.concatenate(dx, 1) if dx else None, np.concatenate(dw, 0) if dw else None


def run(x, w, g, pad, groups, orders):
    put = lambda a, last: rt.tensor(a.astype("float32")).contiguous(memory_format=rt.channels_last if last else rt.contiguous_format)  # noqa: E731
    tx, tw, tg = put(x, orders[0]).requires_grad_(), put(w, orders[1]).requires_grad_(), put(g, orders[2])
    y = _t.conv2d(tx, tw, rt.zeros(len(w)), 1, pad, 1, groups)
    return [t.detach().numpy() for t in (y, *rt.autograd.grad(y, (tx, tw), tg))]


CASES = [
    # batch, in, out, size, kernel, pad, groups
    (2, 32, 16, (33, 34), 3, (1, 1), 1),
    (9, 16, 37, (15, 17), 3, (1, 1), 1),
    (5, 40, 64, (19, 22), 3, (0, 0), 1),
    (4, 24, 24, (30, 8), 3, (2, 1), 1),
    (4, 64, 64, (31, 32), 3, (1, 1), 2),
    (17, 64, 112, (8, 8), 3, (1, 0), 1),
    (2, 32, 16, (29, 28), 5, (2, 2), 1),
    (3, 20, 37, (15, 17), 5, (1, 4), 1),
    (5, 10, 20, (16, 16), 5, (0, 0), 1),
    (4, 8, 9, (15, 18), 5, (2, 2), 1),
    (2, 48, 48, (16, 14), 5, (0, 2), 2),
    # many channels for few tiles: Note [Many channels]
    (16, 64, 80, (7, 8), 3, (1, 1), 1),
    (20, 50, 130, (4, 4), 3, (1, 1), 1),
    (5, 100, 72, (14, 13), 3, (1, 0), 1),
    (3, 40, 96, (14, 14), 5, (2, 2), 1),
    (4, 150, 112, (46, 45), 3, (1, 1), 1),          # whose weight gradient is made by chunks of tiles
]


@pytest.mark.parametrize("n, c, o, size, kernel, pad, groups", CASES)
def test_all_products(level, plain, n, c, o, size, kernel, pad, groups):
    """Within 16 units of the sum of absolute products, in every order; and the products really are rearranged."""
    x, w = (RNG.standard_normal(s).astype("float32").astype("float64") for s in ((n, c, *size), (o, c // groups, kernel, kernel)))
    g = RNG.standard_normal(products(x, w, None, pad, groups)[0].shape).astype("float32").astype("float64")
    want, size_of = products(x, w, g, pad, groups), products(abs(x), abs(w), abs(g), pad, groups)
    for orders in ((0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 0)):
        for got, expected, scale in zip(run(x, w, g, pad, groups, orders), want, size_of):
            assert np.abs(got - expected).max() <= 16 * EPS * scale.max()
    fast = run(x, w, g, pad, groups, (0, 0, 0))[0]
    assert (fast != plain(lambda: run(x, w, g, pad, groups, (0, 0, 0)))[0]).any()


@pytest.mark.parametrize("kernel", [3, 5])
def test_error_beside_the_plain_sum(level, plain, kernel):
    """Root mean square errors are at most 2e-6 of the results', and eight times the plain sum's (by blocks); of small weights too."""
    for scale in (1.0, 1e-20):
        x, w, g = (RNG.standard_normal(s).astype("float32").astype("float64") for s in ((4, 64, 32, 32), (64, 64, kernel, kernel), (4, 64, 32, 32)))
        w = (w * scale).astype("float32").astype("float64")
        pad = (kernel // 2,) * 2
        want = products(x, w, g, pad)
        error = lambda got: [np.sqrt(np.square(a - b).mean()) for a, b in zip(got, want)]  # noqa: E731
        fast, slow = error(run(x, w, g, pad, 1, (0, 0, 0))), error(plain(lambda: run(x, w, g, pad, 1, (0, 0, 0))))
        assert fast[0] <= 8 * slow[0] and fast[1] <= 8 * slow[1]
        assert all(e <= 2e-6 * np.sqrt(np.square(b).mean()) for e, b in zip(fast, want))


def test_switches(plain):
    """Off by the setting and under use_deterministic: the same bits as the plain sum, on any number of threads."""
    x, w = RNG.standard_normal((2, 32, 32, 32)), RNG.standard_normal((32, 32, 3, 3))
    call = lambda: run(x, w, x, (1, 1), 1, (0, 0, 0))  # noqa: E731
    assert rt.config.is_fast_convolution()
    base, fast = plain(call), call()
    assert (base[0] != fast[0]).any()
    rt.config.use_deterministic(True)
    try:
        assert all((a == b).all() for a, b in zip(call(), base))
    finally:
        rt.config.use_deterministic(False)


@pytest.mark.parametrize("n, c, o, size", [(3, 32, 24, (30, 31)), (16, 72, 80, (7, 8)), (6, 96, 200, (14, 15)), (4, 150, 112, (46, 45))])
def test_threads_do_not_change_bits(level, n, c, o, size):
    """Tasks differ with the number of threads, tiles and their sums do not."""
    x, w = RNG.standard_normal((n, c, *size)), RNG.standard_normal((o, c, 3, 3))
    g, before, found = RNG.standard_normal((n, o, *size)), rt.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            rt.set_num_threads(threads)
            found.append(run(x, w, g, (1, 1), 1, (1, 1, 1)))
    finally:
        rt.set_num_threads(before)
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], other))


def test_transposed_and_float64(level):
    """The transposed convolution is the same product; float64 is never rearranged."""
    x, w = RNG.standard_normal((3, 32, 20, 21)).astype("float32"), RNG.standard_normal((32, 24, 3, 3)).astype("float32")
    b = RNG.standard_normal(24).astype("float32")
    y = _t.conv_transpose2d(rt.tensor(x), rt.tensor(w), rt.tensor(b), 1, 1)
    back = np.einsum("nohwij,ocij->nchw", sliding_window_view(padded(x.astype("float64"), 1, 1), (3, 3), (2, 3)), w[:, :, ::-1, ::-1].astype("float64"),
                     optimize=True) + b[:, None, None]
    np.testing.assert_allclose(y.numpy(), back, rtol=0, atol=5e-6 * np.abs(back).max())
    exact = _t.conv_transpose2d(rt.tensor(x.astype("float64")), rt.tensor(w.astype("float64")), rt.tensor(b.astype("float64")), 1, 1)
    np.testing.assert_allclose(exact.numpy(), back, rtol=0, atol=1e-13 * np.abs(back).max())
