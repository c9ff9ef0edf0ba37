"""Paths of reductions, scans and sorts that shape, size or threads choose, against NumPy."""
import numpy as np
import pytest

import rustorch_py as rt


def close(got, want, dtype):
    np.testing.assert_allclose(got.numpy(), want, rtol=2e-6 if dtype == np.float32 else 1e-13, atol=2e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("shape", [(9000, 10), (70_001, 3), (5000, 63), (40, 1), (17, 100), (1000, 1000), (3, 9), (100, 129), (20, 7)])
def test_rows_and_columns(shape, dtype, level, threads):
    a = (np.random.default_rng(1).standard_normal(shape) * 9).astype(dtype)
    t = rt.from_numpy(a)
    for dim in (0, 1):
        if dtype == np.int32:
            np.testing.assert_array_equal(t.sum(dim).numpy(), a.sum(dim, dtype=np.int64))
        else:
            scale = np.abs(a).astype(np.float64).sum(dim) + 1
            np.testing.assert_allclose(t.sum(dim).numpy() / scale, a.astype(np.float64).sum(dim) / scale, atol=2e-7 if dtype == np.float32 else 1e-15)
            np.testing.assert_allclose(t.norm(3, dim).numpy(), (np.abs(a.astype(np.float64)) ** 3).sum(dim) ** (1 / 3), rtol=1e-5)
        np.testing.assert_array_equal(t.amax(dim).numpy(), a.max(dim))
        np.testing.assert_array_equal(t.t().amin(dim).numpy(), a.T.min(dim))


@pytest.mark.parametrize("shape", [(700, 1030), (513, 256), (512, 3000), (9, 600, 2, 300)])
def test_tall_columns(shape, level):
    """Columns cut in chunks of rows: against NumPy, by strides too, and the same bits on one thread."""
    a = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    dims = (0, 2) if len(shape) == 4 else 0
    views = [rt.from_numpy(a), rt.from_numpy(np.repeat(a, 2, 0))[::2], rt.from_numpy(np.repeat(a, 2, -1))[..., ::2]]
    scale, before = np.abs(a).astype(np.float64).sum(dims), rt.get_num_threads()
    for t in views:
        results = []
        for n in (1, 2):
            rt.set_num_threads(n)
            results.append(t.sum(dims).numpy())
            np.testing.assert_array_equal(t.amax(dims).numpy(), a.max(dims))
        rt.set_num_threads(before)
        np.testing.assert_array_equal(*results)
        np.testing.assert_allclose(results[0] / scale, a.astype(np.float64).sum(dims) / scale, atol=2e-7)
    half = rt.from_numpy(a).to(rt.bfloat16)
    np.testing.assert_allclose(half.sum(dims, dtype=rt.float32).numpy() / scale, half.to(rt.float64).numpy().sum(dims) / scale, atol=2e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_places_in_long_lanes(dtype, level, threads):
    """The first of equal values, whichever chunk has it, and the first NaN."""
    a = np.random.default_rng(5).integers(-50, 50, 200_001).astype(dtype)
    for best in (60, -60):
        b = a.copy()
        b[[150_000, 40_000, 200_000]] = best
        find = rt.argmax if best > 0 else rt.argmin
        assert find(rt.from_numpy(b)).item() == 40_000
        if dtype == np.float32:
            b[[199_999, 70_000]] = np.nan
            assert find(rt.from_numpy(b)).item() == 70_000
            b[0] = np.nan
            assert find(rt.from_numpy(b)).item() == 0


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_flips(dims, level, threads):
    for dtype in (np.uint8, np.int16, np.float32, np.float64, np.complex128):
        a = np.arange(70 * 61 * 53).reshape(70, 61, 53).astype(dtype)
        np.testing.assert_array_equal(rt.from_numpy(a).flip(dims).numpy(), np.flip(a, dims))
        np.testing.assert_array_equal(rt.from_numpy(a).permute(2, 0, 1).flip(dims).numpy(), np.flip(a.transpose(2, 0, 1), dims))


def test_mean_over_outer_and_inner_dimensions(level, threads):
    a = np.random.default_rng(2).standard_normal((6, 70, 9, 31)).astype(np.float32)
    t = rt.from_numpy(a)
    for dims in ((0, 2, 3), (0,), (1, 3), (2, 3), (0, 1, 2, 3), (0, 3)):
        close(t.mean(dims), a.astype(np.float64).mean(dims), np.float32)
    assert np.isnan(rt.zeros(0, 3).mean(0).numpy()).all()
    half = rt.full((300, 300), 300.0, dtype=rt.float16)                # the sum does not fit float16
    assert half.mean().item() == 300.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int64])
@pytest.mark.parametrize("shape", [(200_003,), (3, 40_000), (8, 500), (13, 77), (1, 5)])
def test_cumsum(shape, dtype, level, threads):
    a = (np.random.default_rng(3).standard_normal(shape) * 20).astype(dtype)
    got = rt.from_numpy(a).cumsum(-1).numpy()
    want = a.astype(np.float64).cumsum(-1) if dtype in (np.float32, np.float64) else a.astype(np.int64).cumsum(-1)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-4 if dtype == np.float32 else 1e-9)


def test_scans_and_sums_do_not_depend_on_threads():
    t = rt.from_numpy(np.random.default_rng(4).standard_normal(300_000).astype(np.float32))
    tall = t.reshape(-1, 10)
    results = []
    before = rt.get_num_threads()
    for n in (1, 2, 3):
        rt.set_num_threads(n)
        results.append([x.numpy().tobytes() for x in (t.cumsum(0), t.sum(), tall.sum(0), tall.sum(1), t.sort().indices)])
    rt.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("make", [lambda r: r.standard_normal(200_000), lambda r: r.standard_normal(200_000).astype(np.float32),
                                  lambda r: r.integers(0, 1000, 200_000), lambda r: r.integers(-2 ** 62, 2 ** 62, 150_000),
                                  lambda r: r.integers(-5, 2 ** 33, 1000), lambda r: r.integers(10 ** 12, 10 ** 12 + 3, 5000)])
def test_sort_is_stable(make, descending, threads):
    a = make(np.random.default_rng(5))
    a[7:300] = a[3]
    values, order = rt.from_numpy(a).sort(stable=True, descending=descending)
    want = np.argsort(-a if descending else a, kind="stable")
    np.testing.assert_array_equal(order.numpy(), want)
    np.testing.assert_array_equal(values.numpy(), a[want])


LONG = {
    "normal": lambda r: r.standard_normal(150_001),
    "one far off": lambda r: np.append(r.random(100_000), 1e30),
    "one bucket": lambda r: np.append(1 + r.random(100_000) * 1e-3, -1e30),
    "one value": lambda r: np.full(70_000, 3.0),
    "few values": lambda r: r.integers(-3, 4, 90_000).astype(float),
    "specials": lambda r: r.choice([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1.0], 80_000),
}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "int16", "uint8", "float64"])
@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_long_lanes(make, dtype, descending, threads):
    """Sorted by buckets: stable, NaN largest, values bit for bit those of their places."""
    a = make(np.random.default_rng(8))
    a = np.nan_to_num(a, nan=0, posinf=100, neginf=-100).clip(-120, 120).astype(dtype) if "int" in dtype else a.astype(dtype)
    values, order = rt.from_numpy(a).sort(stable=True, descending=descending)
    key = a.astype(np.float64)
    nan = np.isnan(key)
    key[nan] = 0
    want = np.lexsort((np.arange(len(a)), -key if descending else key, ~nan if descending else nan))
    np.testing.assert_array_equal(order.numpy(), want)
    assert values.numpy().tobytes() == a[want].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_order_statistics(dtype, threads):
    a = (np.random.default_rng(6).standard_normal((7, 3001)) * 50).astype(dtype)
    t = rt.from_numpy(a)
    for k in (1, 30, 1500, 3001):
        value, at = t.kthvalue(k, 1)
        want = np.argsort(a, 1, kind="stable")[:, k - 1]
        np.testing.assert_array_equal(value.numpy(), np.take_along_axis(a, want[:, None], 1)[:, 0])
        np.testing.assert_array_equal(at.numpy(), want)
    for k in (1, 10, 24, 25, 700):
        values, at = t.topk(k, 1)
        np.testing.assert_array_equal(values.numpy(), -np.sort(-a, 1)[:, :k])
        np.testing.assert_array_equal(np.take_along_axis(a, at.numpy(), 1), values.numpy())
    np.testing.assert_array_equal(t.median(1).values.numpy(), np.sort(a, 1)[:, 1500])


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64])
@pytest.mark.parametrize("shape", [(33, 5), (64, 300), (2, 257)])
def test_batch_norm_of_a_matrix(shape, dtype, level, threads):
    rng = np.random.default_rng(7)
    x = rt.from_numpy(rng.standard_normal(shape)).to(dtype).requires_grad_()
    w, b = (rt.from_numpy(rng.standard_normal(shape[1])).to(dtype).requires_grad_() for _ in range(2))
    g = rt.from_numpy(rng.standard_normal(shape)).to(dtype)
    y = rt.nn.functional.batch_norm(x, None, None, w, b, True, 0.1, 1e-5)
    y.backward(g)
    a, gn = x.detach().double().numpy(), g.double().numpy()
    m, v = a.mean(0), a.var(0)
    r = 1 / np.sqrt(v + 1e-5)
    h = (a - m) * r
    tol = dict(rtol=2e-4, atol=2e-4) if dtype == rt.float32 else dict(rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(y.detach().numpy(), h * w.detach().double().numpy() + b.detach().double().numpy(), **tol)
    np.testing.assert_allclose(w.grad.numpy(), (gn * h).sum(0), **tol)
    np.testing.assert_allclose(b.grad.numpy(), gn.sum(0), **tol)
    gh = gn * w.detach().double().numpy()
    np.testing.assert_allclose(x.grad.numpy(), r * (gh - gh.mean(0) - h * (gh * h).mean(0)), **tol)


def test_layer_norm_gradients_of_long_rows(level, threads):
    rng = np.random.default_rng(8)
    for rows, n in ((5, 1300), (40, 513)):
        x, g = rng.standard_normal((rows, n)), rng.standard_normal((rows, n))
        t = rt.from_numpy(x).requires_grad_()
        w, b = rt.ones(n, dtype=rt.float64).requires_grad_(), rt.zeros(n, dtype=rt.float64).requires_grad_()
        rt.nn.functional.layer_norm(t, (n,), w, b).backward(rt.from_numpy(g))
        h = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(w.grad.numpy(), (g * h).sum(0), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(b.grad.numpy(), g.sum(0), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(70, 300), (4, 33, 200), (5, 0, 3), (0, 4)])
def test_logsumexp_over_any_dimension(shape, level, threads):
    a = np.random.default_rng(9).standard_normal(shape)
    t = rt.from_numpy(a).requires_grad_()
    for dim in range(len(shape)):
        got = t.logsumexp(dim)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(got.detach().numpy(), np.log(np.exp(a).sum(dim)), rtol=1e-12)
        t.grad = None
        got.sum().backward()
        np.testing.assert_allclose(t.grad.numpy(), np.exp(a) / np.exp(a).sum(dim, keepdims=True), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [65_535, 65_536, 98_304, 300_001])
def test_long_lane_moments(dtype, n):
    """A long lane is cut in chunks: right to the last bits, and the same for any number of threads."""
    x = (np.random.default_rng(n).standard_normal(n) + 100).astype(dtype)
    before, found = rt.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            found.append([v.item() for v in rt.var_mean(rt.from_numpy(x))])
    finally:
        rt.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(found[0], [float(wide.var(ddof=1)), float(wide.mean())], rtol=3e-7 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_argmax_of_a_long_lane(dtype, level, threads):
    """Chunks of a long lane: the first of equal values wins, a NaN over everything, wherever they lie."""
    n = 200_003
    x = np.random.default_rng(2).integers(-1000, 1000, n).astype(dtype)
    for at in (0, 5, 32_767, 32_768, 70_000, n - 1):
        y = x.copy()
        y[at:] = np.where(np.arange(at, n) % 7 == at % 7, 5000, y[at:])
        assert rt.from_numpy(y).argmax().item() == at and rt.from_numpy(-y).argmin().item() == at
        if dtype == np.float32:
            y[[at, n - 1]] = np.nan
            assert rt.from_numpy(y).argmax().item() == at and rt.from_numpy(-y).argmin().item() == at


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
def test_rows_of_all_lengths(dtype, level):
    """Lines shorter than the lanes, of whole lanes, and with a rest; small whole numbers, so that all orders give the same."""
    rng = np.random.default_rng(3)
    for n in [*range(1, 70), 95, 127, 128, 129, 191, 250, 255, 256, 257, 511, 513, 4096, 4097, 4159, 4160, 4161, 8191, 16640]:
        x = rng.integers(0, 3, (20, n)).astype(dtype)
        t = rt.from_numpy(x)
        np.testing.assert_array_equal(t.sum(1).numpy(), x.sum(1, dtype=x.dtype if x.dtype.kind == "f" else "int64"))
        np.testing.assert_array_equal(t.amax(1).numpy(), x.max(1))
        np.testing.assert_array_equal(t.amin(1).numpy(), x.min(1))
        np.testing.assert_array_equal(t.count_nonzero(1).numpy(), np.count_nonzero(x, 1))
        ones = rt.ones(3, n, dtype=t.dtype)
        ones[1, n - 1] = 2
        assert ones.prod(1).tolist() == [1, 2, 1]
        if x.dtype.kind == "f":
            for p in (0, 0.5, -1, 3):
                np.testing.assert_allclose(rt.linalg.vector_norm(t + 1, p, 1).numpy(), np.linalg.norm(x + 1, p, 1), rtol=2e-6)
