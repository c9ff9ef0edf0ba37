"""Distances between rows against NumPy in double, their gradients against sums over pairs."""
import math

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.autograd import gradcheck, gradgradcheck

INF = float("inf")
ORDERS = [0.0, 1.0, 2.0, INF, 3.0]
SIZES = [(2, 1), (3, 5), (17, 4), (70, 33), (40, 131), (33, 300)]


def norms(gap, p):
    gap = np.abs(gap)
    return (gap != 0).sum(-1) if p == 0 else gap.max(-1) if p == INF else (gap ** p).sum(-1) ** (1 / p)


def slopes(gap, d, p):
    """Derivatives of the norms of gap (..., D) by gap, as PyTorch has them: of ties for the maximum each gets all."""
    d = d[..., None]
    if p == 0:
        return np.zeros_like(gap)
    if p == INF:
        return np.sign(gap) * (np.abs(gap) == d)
    with np.errstate(all="ignore"):
        return np.where(d == 0, 0, np.sign(gap) * np.abs(gap) ** (p - 1) / d ** (p - 1))


def rows(n, d, dtype, seed):
    a = np.random.default_rng(seed).integers(-9, 9, (n, d)) * 0.37          # with ties, and equal rows
    a[n // 2] = a[0]
    return a.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", ORDERS)
def test_pairs(p, dtype, level):
    for n, d in SIZES:
        a = rows(n, d, dtype, n)
        wide = a.astype(np.float64)
        i, j = np.triu_indices(n, 1)
        want = norms(wide[i] - wide[j], p)
        g = np.random.default_rng(1).normal(size=len(i)).astype(dtype)
        pull = np.zeros((n, d))
        s = g[:, None] * slopes(wide[i] - wide[j], want, p)
        if p == INF:                                        # ties are those of the dtype
            s = g[:, None] * slopes(a[i] - a[j], norms(a[i] - a[j], p), p)
        np.add.at(pull, i, s)
        np.add.at(pull, j, -s)
        tight = 1e-5 if dtype == "float32" else 1e-12
        for x in (rt.from_numpy(a), rt.from_numpy(np.ascontiguousarray(a.T)).t()):
            x = x.clone() if x.is_contiguous() else x
            x.requires_grad_()
            got = rt.pdist(x, p)
            np.testing.assert_allclose(got.detach().numpy(), want, rtol=tight, atol=tight)
            if p == 3 or (p == INF and d == 1):
                continue
            got.backward(rt.from_numpy(g))
            np.testing.assert_allclose(x.grad.numpy(), pull, rtol=tight, atol=tight * 30)
            x.grad = None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", ORDERS)
def test_between(p, dtype, level):
    mode = "donot_use_mm_for_euclid_dist"
    for (n, d), m in zip(SIZES, (1, 40, 33, 5, 64, 100)):
        a, b = (np.stack([rows(k, d, dtype, k + s) for s in (0, 1)]) for k in (n, m + 1))
        gap = a.astype(np.float64)[:, :, None] - b.astype(np.float64)[:, None]
        want = norms(gap, p)
        g = np.random.default_rng(1).normal(size=want.shape).astype(dtype)
        if p == INF:
            gap = a[:, :, None] - b[:, None]
        s = g[..., None] * slopes(gap, norms(gap, p), p)
        tight = 1e-5 if dtype == "float32" else 1e-12
        x, y = rt.from_numpy(a).requires_grad_(), rt.from_numpy(np.ascontiguousarray(b.swapaxes(1, 2))).mT.requires_grad_()
        got = rt.cdist(x, y, p, mode)
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=tight, atol=tight)
        if p == 3:
            continue
        got.backward(rt.from_numpy(g))
        np.testing.assert_allclose(x.grad.numpy(), s.sum(2), rtol=tight, atol=tight * 30)
        np.testing.assert_allclose(y.grad.numpy(), -s.sum(1), rtol=tight, atol=tight * 30)


def test_distances_of_no_rows_and_of_what_is_not_finite(level):
    assert rt.cdist(rt.ones(0, 3), rt.ones(4, 3), 1.0).shape == (0, 4) and rt.cdist(rt.ones(2, 3), rt.ones(0, 3), 1.0).shape == (2, 0)
    x = rt.tensor([[1.0, float("nan")], [INF, 2.0], [0.0, 0.0], [-0.0, 0.0]])
    for p in (1.0, 2.0, INF):
        got = rt.pdist(x, p).tolist()
        assert np.isnan(got[:3]).all() and got[3:] == [INF, INF, 0.0]
    np.testing.assert_array_equal(rt.pdist(x, 0.0).tolist(), [math.nan] * 3 + [2, 2, 0])


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
def test_second_derivatives(p):
    x, y = (rt.randn(5, 3, dtype=rt.float64).requires_grad_() for _ in range(2))
    assert gradcheck(lambda x: rt.pdist(x, p), (x,)) and gradgradcheck(lambda x: rt.pdist(x, p), (x,))
    assert gradcheck(lambda x, y: rt.cdist(x, y, p), (x, y)) and gradgradcheck(lambda x, y: rt.cdist(x, y, p), (x, y))


def test_distances_are_the_same_by_any_number_of_threads():
    x, y = rt.randn(300, 70), rt.randn(200, 70)
    before, seen = rt.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            rt.set_num_threads(n)
            for p in (1.0, 2.0, INF):
                u, v = x.clone().requires_grad_(), y.clone().requires_grad_()
                a, b = rt.pdist(u, p), rt.cdist(u[:20], v[:20], p)
                (a.sum() + b.sum()).backward()
                seen.append([t.detach().numpy().tobytes() for t in (a, b, u.grad, v.grad)])
    finally:
        rt.set_num_threads(before)
    assert seen[:3] == seen[3:6] == seen[6:]


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64])
def test_counts_of_differences_keep_nan(dtype):
    x = rt.tensor([[1, math.inf], [2, 3], [math.nan, 1]], dtype=dtype)
    np.testing.assert_array_equal(rt.cdist(x, x, 0).numpy(), [[math.nan, 2, math.nan], [2, 0, math.nan], [math.nan] * 3])
    np.testing.assert_array_equal(rt.pdist(x, 0).numpy(), [2, math.nan, math.nan])
