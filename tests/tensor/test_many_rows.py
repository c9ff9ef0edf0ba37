"""Reductions of many dense rows and of rows four at a time, wide sorts, indices taken as offsets, bins and bags: against NumPy."""
import itertools
import math

import numpy as np
import pytest

import rustorch_py as rt


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8"])
@pytest.mark.parametrize("rows, width", [(1, 9), (17, 64), (33, 65), (300, 100), (70, 250), (40, 2049), (5, 16_639), (3, 16_641), (100, 4159)])
def test_rows(rows, width, dtype, level, threads):
    values = np.random.default_rng(rows).integers(1, 5, (rows, width + 3)).astype(np.float64)
    whole = rt.from_numpy(values).to(getattr(rt, dtype))
    for x, a in ((whole, values), (whole[:, :width], values[:, :width]), (whole[:, 1 : width + 1], values[:, 1 : width + 1])):
        exact = np.abs(a).sum(1)
        got = x.sum(1).to(rt.float64).numpy()
        if dtype in ("bfloat16", "float16"):
            np.testing.assert_allclose(got, exact, rtol=0.005)
        else:
            np.testing.assert_array_equal(got, exact)
        np.testing.assert_array_equal(x.amax(1).to(rt.float64).numpy(), a.max(1))
        np.testing.assert_array_equal(x.amin(1).to(rt.float64).numpy(), a.min(1))
        np.testing.assert_array_equal(rt.count_nonzero(x - 1, 1).numpy(), (a != 1).sum(1))
        if dtype != "uint8":
            np.testing.assert_allclose(x.sum(0).to(rt.float64).numpy(), a.sum(0), rtol=0.01 if "16" in dtype else 0)
    one = rt.stack([whole[i].sum() for i in range(rows)])
    np.testing.assert_array_equal(whole.sum(1).to(rt.float64).numpy(), one.to(rt.float64).numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_the_bits_that_it_has_alone(dtype, level, threads):
    a = np.random.default_rng(3).standard_normal((50, 300)).astype(dtype)
    a[7, 299] = a[11, 3] = np.nan
    x = rt.from_numpy(a)
    for name in ("sum", "prod", "amax", "amin", "nansum"):
        reduce = getattr(rt, name)
        np.testing.assert_array_equal(reduce(x, 1).numpy(), [reduce(x[i].clone()).item() for i in range(50)])
    np.testing.assert_allclose(rt.nansum(x, 0).numpy(), np.nansum(a, 0), rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
    three = a.reshape(5, 10, 300)
    np.testing.assert_allclose(rt.from_numpy(three).nansum((0, 2)).numpy(), np.nansum(three, (0, 2)), rtol=1e-3, atol=1e-4)


def wide_numbers(kind, n):
    r = np.random.default_rng(5)
    if kind == "spread":
        return r.integers(-(2**62), 2**62, n)
    if kind == "ends":
        return np.concatenate([r.integers(-(2**63), -(2**63) + 9, n // 2), r.integers(2**63 - 9, 2**63 - 1, n - n // 2)])
    if kind == "ties":                        # of the upper bits
        return (r.integers(-500, 500, n) << 54) + r.integers(0, 60, n)
    if kind == "normal":
        a = r.standard_normal(n)
        a[::1000], a[1::1000], a[2::1000] = np.nan, 0.0, -0.0
        return a
    return np.exp(r.standard_normal(n) * 40) * r.choice([-1, 1], n)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", ["spread", "ends", "ties", "normal", "powers"])
def test_wide_keys(kind, descending, level, threads):
    a = wide_numbers(kind, 70_000)
    values, places = rt.sort(rt.from_numpy(a), descending=descending)
    key = a if not descending else (-a if a.dtype == np.float64 else ~a)
    if kind == "normal" and descending:
        key = np.where(np.isnan(a), -np.inf, -a)
    want = np.argsort(key, kind="stable")
    np.testing.assert_array_equal(places.numpy(), want)
    np.testing.assert_array_equal(values.numpy(), a[want])
    np.testing.assert_array_equal(np.signbit(values.numpy()), np.signbit(a[want]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8, np.complex128])
def test_indices_as_offsets(dtype, threads):
    r = np.random.default_rng(6)
    a, n = r.integers(0, 99, 9000).astype(dtype), 40_000
    for low in (0, -9000):
        i = r.integers(low, 9000, n)
        v = r.integers(0, 99, n).astype(dtype)
        x, at, w = rt.from_numpy(a), rt.from_numpy(i), rt.from_numpy(v)
        want = a.copy()
        want[i] = v
        np.testing.assert_array_equal(x.put(at, w).numpy(), want)
        np.testing.assert_array_equal(x.index_put((at,), w).numpy(), want)
        np.testing.assert_array_equal(x[at].numpy(), a[i])
        np.testing.assert_array_equal(rt.take(x, at).numpy(), a[i])
        want[i] = 3
        np.testing.assert_array_equal(x.index_fill(0, at, 3).numpy(), np.where(np.isin(np.arange(9000), i % 9000), 3, a))
        added = a.copy()
        np.add.at(added, i, v)
        np.testing.assert_array_equal(x.index_put((at,), w, accumulate=True).numpy(), added)
        np.testing.assert_array_equal(x.put(at, w, accumulate=True).numpy(), added)
        if low == 0:
            np.testing.assert_array_equal(x.index_add(0, at, w).numpy(), added)
    m = r.integers(0, 99, (300, 40)).astype(dtype)
    j = r.integers(0, 40, 5000)
    np.testing.assert_array_equal(rt.from_numpy(m).index_select(1, rt.from_numpy(j)).numpy(), m[:, j])
    np.testing.assert_array_equal(rt.from_numpy(m)[:, rt.from_numpy(j)].numpy(), m[:, j])
    np.testing.assert_array_equal(rt.from_numpy(m.T.copy())[rt.from_numpy(j)].numpy(), m.T[j])


@pytest.mark.parametrize("reduce", ["amax", "amin"])
def test_scattered_extremes(reduce):
    a = np.random.default_rng(8).standard_normal(40_000).astype(np.float32)
    i = np.random.default_rng(9).integers(0, 500, 40_000)
    a[77] = np.nan
    want = np.zeros(500, np.float32)
    with np.errstate(invalid="ignore"):
        (np.maximum if reduce == "amax" else np.minimum).at(want, i, a)
    np.testing.assert_array_equal(rt.zeros(500).scatter_reduce(0, rt.from_numpy(i), rt.from_numpy(a), reduce).numpy(), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins(dtype, threads):
    a = (np.random.default_rng(1).integers(-50, 950, 50_000) / 64).astype(dtype)        # many lie on edges
    w = np.random.default_rng(2).integers(0, 9, 50_000).astype(dtype)
    a[5] = np.nan
    x = rt.from_numpy(a)
    for bins, low, high in ((64, 0, 8), (1, 1, 2), (1000, -1, 20)):
        got, edges = rt.histogram(x, bins, range=(low, high), weight=rt.from_numpy(w))
        want, _ = np.histogram(a, edges.numpy(), weights=w)
        np.testing.assert_array_equal(got.numpy(), want)
        np.testing.assert_array_equal(rt.histogram(x, edges)[0].numpy(), np.histogram(a, edges.numpy())[0])
    two = np.ascontiguousarray(a[6:].reshape(-1, 2)[:20_000])
    got, edges = rt.histogramdd(rt.from_numpy(two), [5, 7])
    np.testing.assert_array_equal(got.numpy(), np.histogramdd(two, [e.numpy() for e in edges])[0])
    b = np.random.default_rng(3).integers(0, 99_999, 100_000)
    np.testing.assert_array_equal(rt.bincount(rt.from_numpy(b)).numpy(), np.bincount(b))


@pytest.mark.parametrize("width", [1, 31, 64, 130])
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags(mode, width, level, threads):
    r = np.random.default_rng(4)
    table, i = r.integers(-9, 9, (50, width)).astype(np.float32), r.integers(0, 50, (90, 7))
    want = table[i].sum(1) if mode == "sum" else table[i].mean(1)
    got = rt.nn.functional.embedding_bag(rt.from_numpy(i), rt.from_numpy(table), mode=mode)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6, atol=1e-6)
    factors = r.integers(0, 4, (90, 7)).astype(np.float32)
    if mode == "sum":
        got = rt.nn.functional.embedding_bag(rt.from_numpy(i), rt.from_numpy(table), mode=mode, per_sample_weights=rt.from_numpy(factors), padding_idx=3)
        np.testing.assert_array_equal(got.numpy(), (table[i] * (factors * (i != 3))[:, :, None]).sum(1))


def test_choices():
    for n, r, again in itertools.product((0, 1, 4, 6), (1, 2, 3), (False, True)):
        choose = itertools.combinations_with_replacement if again else itertools.combinations
        want = list(choose(range(n), r))
        got = rt.combinations(rt.arange(n), r, again)
        assert got.shape == (len(want), r) and got.tolist() == [list(c) for c in want]
    assert len(rt.combinations(rt.arange(9), 4)) == math.comb(9, 4)
    a, b = rt.arange(4.0, requires_grad=True), rt.arange(3.0)
    assert rt.cartesian_prod(a, b).tolist() == rt.cartesian_prod(a.detach(), b).tolist() == [list(p) for p in itertools.product(a.tolist(), b.tolist())]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.complex128])
def test_slabs(dtype, threads):
    a = np.arange(2 * 300 * 70).reshape(2, 300, 70).astype(dtype)
    x = rt.from_numpy(a)
    for times, dim in itertools.product((1, 2, 3), (0, 1, 2, None)):
        np.testing.assert_array_equal(rt.repeat_interleave(x, times, dim).numpy(), np.repeat(a, times, dim))
    for width in (1, 3, 7, 20):
        parts = [np.ascontiguousarray(a[..., k : k + width]) for k in (0, 20, 41)]
        np.testing.assert_array_equal(rt.cat([rt.from_numpy(p) for p in parts], -1).numpy(), np.concatenate(parts, -1))
    np.testing.assert_array_equal(rt.stack([x, x + 1], -1).numpy(), np.stack([a, a + 1], -1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "uint8", "bool"])
def test_running_extremes(dtype, level, threads):
    r = np.random.default_rng(2)
    a = r.integers(0, 2 if dtype == "bool" else 100, (3, 5000)).astype(np.float64)
    a[1] = np.sort(a[1])
    a[2, 70:] = 0
    if "float" in dtype:
        a[0, 4000] = np.nan
    x = rt.from_numpy(a).to(getattr(rt, dtype))
    for name, better in (("cummax", np.greater_equal), ("cummin", np.less_equal)):
        values, places = getattr(rt, name)(x, 1)
        want = np.empty(a.shape, np.int64)
        for row, at in zip(a, want):
            best = 0
            for i, v in enumerate(row):
                if np.isnan(v) or (not np.isnan(row[best]) and better(v, row[best])):
                    best = i
                at[i] = best
        np.testing.assert_array_equal(places.numpy(), want)
        np.testing.assert_array_equal(values.to(rt.float64).numpy(), np.take_along_axis(a, want, 1))
        down, at = getattr(rt, name)(x.t().contiguous(), 0)
        np.testing.assert_array_equal(at.numpy(), want.T)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "int32", "uint8"])
@pytest.mark.parametrize("width", [1, 2, 10, 24, 25, 700])
def test_ranks(width, dtype, level, threads):
    a = np.random.default_rng(width).integers(100, 120, (40, width)).astype(np.float64)
    x, rows = rt.from_numpy(a).to(getattr(rt, dtype)), np.arange(40)
    for dim, y in ((1, x), (0, x.t().contiguous())):
        for k in {1, width // 2 + 1, width}:
            values, places = rt.kthvalue(y, k, dim)
            np.testing.assert_array_equal(values.to(rt.float64).numpy(), np.sort(a, 1)[:, k - 1])
            np.testing.assert_array_equal(a[rows, places.numpy()], np.sort(a, 1)[:, k - 1])
        np.testing.assert_array_equal(rt.median(y, dim)[0].to(rt.float64).numpy(), np.sort(a, 1)[:, (width - 1) // 2])


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
def test_running_sums_of_whole_numbers(dtype, level, threads):
    a = np.random.default_rng(0).integers(0, 2, (37, 900)).astype(dtype)
    np.testing.assert_array_equal(rt.from_numpy(a).cumsum(1).numpy(), a.cumsum(1, dtype=np.int64))
