"""Memory order of results of convolutions: PyTorch's, for each order of the operands; values too."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

RNG = np.random.default_rng(2)


def order(t, package):
    """Which of the two contiguous orders t is in, or both."""
    return t.is_contiguous(), t.is_contiguous(memory_format=package.channels_last)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("x_last, w_last, g_last", list(itertools.product((0, 1), repeat=3)))
@pytest.mark.parametrize("n, c, o, k, groups, stride", [(2, 8, 8, 3, 1, 1), (2, 8, 8, 1, 1, 1), (2, 8, 8, 3, 8, 1), (1, 16, 32, 3, 1, 2),
                                                        (1, 1, 8, 3, 1, 1), (2, 24, 48, 3, 1, 1)])
def test_conv2d_orders(n, c, o, k, groups, stride, x_last, w_last, g_last, dtype):
    arrays = RNG.standard_normal((n, c, 6, 7)), RNG.standard_normal((o, c // groups, k, k)), RNG.standard_normal((c, o // groups, k, k))
    gradient, found = None, []
    for package in (rt, torch):
        put = lambda a, last: (lambda t: t.contiguous(memory_format=package.channels_last) if last else t)(  # noqa: E731
            package.tensor(a).to(getattr(package, dtype)))
        x, w, wt = put(arrays[0], x_last).requires_grad_(), put(arrays[1], w_last).requires_grad_(), put(arrays[2], w_last)
        y = package.conv2d(x, w, None, stride, k // 2, 1, groups)
        if gradient is None:
            gradient = RNG.standard_normal(tuple(y.shape))
        dx, dw = package.autograd.grad(y, (x, w), put(gradient, g_last))
        z = package.conv_transpose2d(x.detach(), wt, None, stride, k // 2, 0, groups)
        found.append(([order(t, package) for t in (y, dx, dw, z)], [t.detach().double().numpy() for t in (y, dx, dw, z)]))
    assert found[0][0] == found[1][0]
    tol = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 2e-2}[dtype]
    for a, b in zip(found[0][1], found[1][1]):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol * (1 + np.abs(b).max()))


POOLS = {
    "max_pool2d": lambda p, x: p.nn.functional.max_pool2d(x, 2),
    "max_pool2d 3/2": lambda p, x: p.nn.functional.max_pool2d(x, 3, 2, 1),
    "avg_pool2d": lambda p, x: p.nn.functional.avg_pool2d(x, 2),
    "avg_pool2d 3/1": lambda p, x: p.nn.functional.avg_pool2d(x, 3, 1, 1, False, False),
    "adaptive_avg_pool2d": lambda p, x: p.nn.functional.adaptive_avg_pool2d(x, (3, 2)),
    "adaptive_max_pool2d": lambda p, x: p.nn.functional.adaptive_max_pool2d(x, 3),
    "lp_pool2d": lambda p, x: p.nn.functional.lp_pool2d(x, 2, 2),
    "indices": lambda p, x: p.nn.functional.max_pool2d(x, 2, return_indices=True)[1],
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", POOLS)
def test_pool_orders(name, dtype):
    a, found = RNG.standard_normal((2, 5, 6, 8)), []
    for package in (rt, torch):
        x = package.tensor(a).to(getattr(package, dtype)).contiguous(memory_format=package.channels_last).requires_grad_()
        y = POOLS[name](package, x)
        results = [y]
        if name != "indices":
            results.append(package.autograd.grad((y * y).sum(), x)[0])
        found.append(([order(t, package) for t in results], [t.detach().double().numpy() for t in results]))
    assert found[0][0][0] == found[1][0][0]
    tol = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 3e-2}[dtype]
    for u, v in zip(found[0][1], found[1][1]):
        np.testing.assert_allclose(u, v, rtol=tol, atol=tol)


def laid(package, shape, order, dtype="float32"):
    """A tensor of a shape whose dimensions lie in memory in an order, outermost first."""
    inverse = [order.index(i) for i in range(len(order))]
    return package.arange(1, 1 + int(np.prod(shape))).to(getattr(package, dtype)).reshape([shape[i] for i in order]).permute(inverse)


@pytest.mark.parametrize("shapes, orders", [
    (((4, 4, 3), (4, 3)), ((0, 2, 1), (1, 0))), (((4, 3), (2, 4, 3)), ((1, 0), (2, 0, 1))), (((2, 1, 3), (4, 3)), ((2, 1, 0), (1, 0))), (((1, 4, 3), (2, 1, 3)), ((0, 2, 1), (2, 1, 0))),
    (((2, 3, 4, 5), (3, 1, 1)), ((0, 2, 3, 1), (0, 1, 2))), (((3, 1, 1), (2, 3, 4, 5)), ((0, 1, 2), (0, 2, 3, 1))), (((2, 3, 4, 5), (2, 3, 4, 5)), ((0, 2, 3, 1), (3, 2, 1, 0))),
    (((4, 3), (4, 3)), ((0, 1), (1, 0)))])
def test_results_of_broadcast_operands(shapes, orders):
    uses = [lambda m, a, b: a + b, lambda m, a, b: b * a, lambda m, a, b: m.maximum(a, b), lambda m, a, b: a < b, lambda m, a, b: m.where(a > b, a, b), lambda m, a, b: m.lerp(a, b, 0.5) if a.shape == b.shape else a - b,
            lambda m, a, b: m.special.chebyshev_polynomial_t(a.cos(), b % 4), lambda m, a, b: m.igamma(a, b)]
    for use in uses:
        one, two = (use(m, laid(m, shapes[0], orders[0]), laid(m, shapes[1], orders[1])) for m in (torch, rt))
        assert one.stride() == two.stride()
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-4, atol=1e-5)
