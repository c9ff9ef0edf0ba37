"""Operators along a dimension against NumPy: selection, sorting, scans, statistics; gradients by differences."""
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import rustorch_py as rt
from rustorch_py.autograd import gradcheck, gradgradcheck
from rustorch_py.errors import DimError, TensorError, UnsupportedOpError

REAL = ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
SHAPES = [(1,), (5,), (4, 6), (3, 70), (70, 3), (2, 33, 3), (2, 700)]


def array(shape, dtype, seed=0, few=False):
    """Random values; few: many ties."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 5, shape) if few else rng.normal(size=shape) * 20
    return np.abs(a).astype(dtype) if dtype == "uint8" else a.astype(dtype)


def layouts(a):
    yield rt.from_numpy(a)
    if a.ndim > 1:
        yield rt.from_numpy(np.ascontiguousarray(a.swapaxes(0, 1))).transpose(0, 1)
    yield rt.from_numpy(np.repeat(a, 2, axis=0))[::2]


def same(t, a):
    a = np.asarray(a)
    assert tuple(t.shape) == a.shape
    np.testing.assert_array_equal(t.numpy(), a)


@pytest.mark.parametrize("dtype", REAL)
def test_extremes_and_their_places(dtype, level):
    for shape in SHAPES:
        for few in (False, True):
            a = array(shape, dtype, few=few)
            for t in layouts(a):
                for d in range(a.ndim):
                    same(t.argmax(d), a.argmax(d))
                    same(t.argmin(d, keepdim=True), np.expand_dims(a.argmin(d), d))
                    values, places = t.max(d)
                    same(values, a.max(d))
                    same(places, a.argmax(d))
                    same(t.min(d).values, a.min(d))
                same(t.argmax(), a.argmax())
                same(t.max(), a.max())
                same(rt.aminmax(t).min, a.min())


def test_nan_is_the_extreme_and_the_first_one_wins(level):
    a = array((3, 90), "float32")
    a[0, 40] = a[0, 77] = a[2, 89] = np.nan
    t = rt.from_numpy(a)
    same(t.argmax(1), a.argmax(1))
    same(t.argmin(1), a.argmin(1))
    same(t.t().contiguous().argmax(0), a.argmax(1))
    assert np.isnan(t.max(1).values.numpy()).tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_sort_of_every_length(dtype, level):
    """Lines that fit a network's registers, just do not, or are parted several times; ties keep their order."""
    for n in (1, 2, 16, 17, 24, 25, 63, 64, 65, 127, 128, 129, 255, 320, 321, 500, 1000, 3001):
        for few in (False, True):
            a = array((3, n), dtype, n, few)
            if dtype.startswith("float"):
                a[0, ::5], a[1, ::7], a[2, ::3] = np.nan, -0.0, np.inf
            order = np.argsort(a, 1, kind="stable")
            values, places = rt.from_numpy(a).sort(1, stable=True)
            same(places, order)
            same(values, np.take_along_axis(a, order, 1))
            key = np.where(np.isnan(a), np.inf, a).astype("float64")
            down = np.argsort(np.where(np.isnan(a), -np.inf, -key), 1, kind="stable") if not np.isinf(key).any() else None
            values, places = rt.from_numpy(a).sort(1, stable=True, descending=True)
            same(values, np.take_along_axis(a, places.numpy(), 1))
            assert down is None or np.array_equal(places.numpy(), down)
            k = (n + 1) // 2
            same(rt.from_numpy(a).topk(k, 1, largest=False).values, np.sort(a, 1)[:, :k])


def test_sort_of_a_line_that_is_parted_badly(level):
    """The eight words that a partition looks at are the smallest left, so each takes four off: the vector sort must give up quicksort."""
    left, a = list(range(2000)), np.full(2000, -1.0, "float32")
    for rank in range(0, 1200, 8):
        each = len(left) // 8
        if len(left) <= 128 or each == 0:
            break
        looked_at = [left[each // 2 + k * each] for k in range(8)]
        for k, at in enumerate(i for i in looked_at if a[i] < 0):
            a[at] = rank + k
        below = sorted(looked_at, key=lambda i: a[i])[:4]
        left = [i for i in left if i not in below]
    rest = a < 0
    a[rest] = 1e6 + np.random.default_rng(1).permutation(int(rest.sum()))
    order = np.argsort(a, kind="stable")
    values, places = rt.from_numpy(np.stack([a, a[::-1]])).sort(1)
    same(places[0], order)
    same(values[0], a[order])
    same(values[1], a[order])


@pytest.mark.parametrize("dtype", ["bool", *REAL])
def test_sort_is_stable_and_puts_nan_last(dtype):
    for shape in SHAPES:
        for few in (False, True):
            a = array(shape, dtype, few=few)
            if dtype.startswith("float") and few:
                a[..., -1] = np.nan
                a[a == 1] = -0.0
            for t in layouts(a):
                for d in range(a.ndim):
                    order = np.argsort(a, d, kind="stable")
                    values, places = t.sort(d)
                    same(places, order)
                    same(values, np.take_along_axis(a, order, d))
                    same(t.argsort(d, stable=True), order)
                    back = t.sort(d, descending=True)
                    same(back.values, np.flip(np.sort(a, d), d))
                    assert (np.take_along_axis(a, back.indices.numpy(), d) == back.values.numpy()).sum() == (a == a).sum()


@pytest.mark.parametrize("values", [3, 1000, 1 << 24])
@pytest.mark.parametrize("k", [5, 100, 3000])
def test_topk_of_a_long_lane(k, values, threads):
    """Each thread looks through a part; of equal values the first are taken, whoever found them."""
    a = np.random.default_rng(k).integers(0, values, 300_000).astype(np.float32)
    for largest in (True, False):
        want = np.argsort(-a if largest else a, kind="stable")[:k]
        got, places = rt.from_numpy(a).topk(k, largest=largest)
        assert np.array_equal(places.numpy(), want) and np.array_equal(got.numpy(), a[want])
        loose = rt.from_numpy(a).topk(k, largest=largest, sorted=False)[1].numpy()
        assert np.array_equal(np.sort(loose), np.sort(want))
    short = rt.from_numpy(a.astype(np.int16)).reshape(100, 3000).topk(min(k, 700), 0 if k < 30 else 1)[0]
    assert short.dtype == rt.int16


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("largest", [True, False])
def test_topk_and_kthvalue(dtype, largest):
    for shape in [(9,), (5, 700), (700, 5), (3, 2000)]:
        for few in (False, True):
            a = array(shape, dtype, few=few)
            t = rt.from_numpy(a)
            for d in range(a.ndim):
                s = np.sort(a, d)
                for k in {1, 3, shape[d] // 2, shape[d]}:
                    if k > shape[d]:
                        continue
                    want = np.flip(s, d) if largest else s
                    values, places = t.topk(k, d, largest)
                    same(values, np.take(want, range(k), d))
                    same(values, np.take_along_axis(a, places.numpy(), d))
                    loose = t.topk(k, d, largest, sorted=False)
                    same(loose.values.sort(d, descending=largest).values, values.numpy())
                    same(t.kthvalue(k, d).values, np.take(s, k - 1, d))


def test_median_mode_and_quantiles():
    a = array((6, 41), "float64")
    t = rt.from_numpy(a)
    same(t.median(1).values, np.sort(a, 1)[:, 20])
    same(t.median(), np.sort(a, None)[(a.size - 1) // 2])
    a[1, 3] = np.nan
    t = rt.from_numpy(a)
    assert np.isnan(float(t.median())) and np.isnan(t.median(1).values.numpy()).tolist() == [False, True] + [False] * 4
    same(t.nanmedian(1).values[1], np.sort(a[1])[19])
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        got = rt.quantile(t, rt.tensor([0.1, 0.63], dtype=rt.float64), 1, interpolation=how)
        np.testing.assert_allclose(got.numpy(), np.quantile(a, [0.1, 0.63], 1, method=how), equal_nan=True)
        got = rt.nanquantile(t, 0.37, 0, interpolation=how)
        np.testing.assert_allclose(got.numpy(), np.nanquantile(a, 0.37, 0, method=how))
    m = rt.tensor([[1, 2, 2, 3, 3], [4, 4, 4, 0, 0]])
    assert m.mode().values.tolist() == [2, 4] and m.mode().indices.tolist() == [2, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 6), max_size=40))
def test_sets(items):
    a = np.array(items, dtype=np.int64)
    t = rt.from_numpy(a)
    values, inverse, counts = rt.unique(t, return_inverse=True, return_counts=True)
    v, i, c = np.unique(a, return_inverse=True, return_counts=True)
    same(values, v), same(inverse, i), same(counts, c)
    runs, inverse, counts = rt.unique_consecutive(t, return_inverse=True, return_counts=True)
    same(runs[inverse], a)
    assert int(counts.sum()) == a.size and (runs[1:] != runs[:-1]).all()
    same(rt.isin(t, rt.tensor([0, 4])), np.isin(a, [0, 4]))
    same(rt.bincount(t.abs(), minlength=3), np.bincount(np.abs(a), minlength=3))
    same(rt.searchsorted(values, t), np.searchsorted(v, a))
    same(rt.bucketize(t, rt.tensor([0, 2, 2, 4]), right=True), np.searchsorted([0, 2, 2, 4], a, side="right"))


def test_unique_slices():
    a = np.array([[1, 2, 1, 0], [3, 4, 3, 0], [1, 2, 1, 9]])
    t = rt.from_numpy(a)
    for d in (0, 1):
        values, inverse, counts = rt.unique(t, return_inverse=True, return_counts=True, dim=d)
        v, c = np.unique(a, return_counts=True, axis=d)
        same(values, v), same(counts, c)
        same(values.index_select(d, inverse), a)


@pytest.mark.parametrize("shape, d", [((300, 300), 0), ((90, 1500), 0), ((2, 40, 1030), 1), ((3, 200, 70), 1)])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "complex64"])
def test_scans_over_rows_by_threads(dtype, shape, d, level, threads, same_on_threads):
    """Columns have the same sums by one thread, by halves of short rows, and by blocks of long ones; backwards too."""
    a = array(shape, "float32", seed=1) / 16
    a = (a + 1j * a[::-1] if dtype == "complex64" else a).astype(dtype) if dtype != "uint8" else array(shape, dtype)
    t, wide = rt.from_numpy(a), np.int64 if dtype == "uint8" else np.complex128 if dtype[0] == "c" else np.float64 if dtype[0] == "f" else dtype
    np.testing.assert_allclose(t.cumsum(d).numpy(), np.cumsum(a, d, dtype=wide), rtol=1e-5, atol=1e-4)
    factors = a / 300 + 1 if dtype[0] in "fc" else a
    factors = factors.astype(dtype)
    np.testing.assert_allclose(rt.from_numpy(factors).cumprod(d).numpy(), np.cumprod(factors, d, dtype=wide), rtol=1e-4)
    if dtype[0] in "fc":
        t.requires_grad_()
        w = (np.arange(a.size).reshape(shape) % 7).astype(dtype)
        t.cumsum(d).backward(rt.from_numpy(w))
        np.testing.assert_allclose(t.grad.numpy(), np.flip(np.cumsum(np.flip(w, d), d, dtype=wide), d), rtol=1e-5)
    same_on_threads(lambda: [rt.from_numpy(a).cumsum(d)])


@pytest.mark.parametrize("dtype", ["int16", "int64", "float32", "float64", "complex128"])
def test_scans(dtype, level):
    for shape in SHAPES:
        a = array(shape, dtype) / 16 if dtype[0] in "fc" else array(shape, dtype) % 3
        a = a.astype(dtype)
        for t in layouts(a):
            for d in range(a.ndim):
                wide = np.int64 if dtype[0] == "i" else dtype
                np.testing.assert_allclose(t.cumsum(d).numpy(), np.cumsum(a, d, dtype=wide), rtol=1e-5, atol=1e-4)
                np.testing.assert_allclose(t.cumprod(d).numpy(), np.cumprod(a, d, dtype=wide), rtol=1e-4, atol=1e-30)
                if dtype[0] == "c":
                    continue
                same(t.cummax(d).values, np.maximum.accumulate(a, d))
                same(t.cummin(d).values, np.minimum.accumulate(a, d))
                if dtype[0] == "f":
                    np.testing.assert_allclose(t.logcumsumexp(d).numpy(), np.logaddexp.accumulate(a, d), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_moments(dtype, level):
    tol = dict(rtol=2e-3, atol=2e-3) if dtype == "float16" else dict(rtol=1e-5, atol=1e-5)
    for shape in [(5,), (4, 6), (3, 200, 5), (300, 7)]:
        a = array(shape, dtype) / 16
        if dtype[0] == "c":
            a = a + 1j * array(shape, "float64", 1).astype(a.real.dtype)
        a = a.astype(dtype)
        wide = a.astype(np.complex128 if dtype[0] == "c" else np.float64)
        for t in layouts(a):
            for d in [None, *range(a.ndim), (0, a.ndim - 1)]:
                if isinstance(d, tuple) and a.ndim == 1:
                    continue
                np.testing.assert_allclose(t.mean(d).numpy(), wide.mean(d), **tol)
                np.testing.assert_allclose(t.var(d).numpy(), wide.var(d, ddof=1), **tol)
                np.testing.assert_allclose(t.std(d, correction=0, keepdim=True).numpy(), wide.std(d, keepdims=True), **tol)


def test_variance_survives_a_large_mean():
    a = np.random.default_rng(0).normal(size=10000).astype(np.float32) + np.float32(1e4)
    np.testing.assert_allclose(float(rt.from_numpy(a).var()), a.astype(np.float64).var(ddof=1), rtol=1e-6)


def test_histograms():
    a = array((200,), "float64")
    t = rt.from_numpy(a)
    same(rt.histc(t, 7, -30, 30), np.histogram(a, 7, (-30, 30))[0])
    hist, edges = rt.histogram(t, 9)
    want, want_edges = np.histogram(a, 9)
    same(hist, want)
    np.testing.assert_allclose(edges.numpy(), want_edges)
    np.testing.assert_allclose(rt.histogram(t, 9, density=True).hist.numpy(), np.histogram(a, 9, density=True)[0])
    rows = array((60, 2), "float64")
    same(rt.histogramdd(rt.from_numpy(rows), [3, 4]).hist, np.histogramdd(rows, [3, 4])[0])


def test_empty_and_zero_dim():
    assert rt.zeros(0, 3).sort(0).values.shape == (0, 3)
    assert rt.tensor(5.0).topk(1).values.item() == 5 and rt.tensor(3.0).cumsum(0).item() == 3
    assert np.isnan(rt.zeros(0).mean().item()) and np.isnan(rt.zeros(3, 0).var(1).numpy()).all()
    assert rt.zeros(3, 0).argmax(0).shape == (0,)
    for wrong, kind in [(lambda: rt.zeros(0).argmax(), IndexError), (lambda: rt.zeros(0, 3).max(0), DimError),
                        (lambda: rt.zeros(0).max(), RuntimeError), (lambda: rt.ones(3).topk(4), TensorError),
                        (lambda: rt.tensor([1j]).sort(), UnsupportedOpError), (lambda: rt.tensor([1]).mean(), RuntimeError),
                        (lambda: rt.tensor([-1]).bincount(), RuntimeError), (lambda: rt.ones(2).kthvalue(3), RuntimeError),
                        (lambda: rt.ones(2).max(2), IndexError), (lambda: rt.quantile(rt.ones(2), 1.5), RuntimeError)]:
        with pytest.raises(kind):
            wrong()


def test_named_results():
    r = rt.tensor([[1.0, 3.0], [4.0, 2.0]]).max(1)
    assert repr(r) == "torch.return_types.max(\nvalues=tensor([3., 4.]),\nindices=tensor([1, 0]))"
    values, indices = r
    assert values is r.values and indices is r[1] and isinstance(r, tuple)
    again = pickle.loads(pickle.dumps(r))
    assert type(again) is type(r) and again.indices.tolist() == [1, 0]


def test_out_and_in_place():
    t = rt.tensor([[3.0, 1.0], [2.0, 5.0]])
    values, indices = rt.empty(0), rt.empty(0, dtype=rt.int64)
    rt.sort(t, 1, out=(values, indices))
    assert values.tolist() == [[1, 3], [2, 5]] and indices.tolist() == [[1, 0], [0, 1]]
    total = rt.empty(2)
    assert rt.mean(t, 0, out=total) is total and total.tolist() == [2.5, 3.0]
    x = rt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * 1).cumprod_(0)
    y.sum().backward()
    assert y.tolist() == [1, 2, 6] and x.grad.tolist() == [9, 4, 2]


DIFFERENTIABLE = {
    "max": lambda x: x.max(1).values, "min": lambda x: x.min(0, True)[0], "max all": lambda x: x.max(),
    "median": lambda x: x.median(1).values, "nanmedian": lambda x: x.nanmedian(), "mode": lambda x: x.mode(0).values,
    "kthvalue": lambda x: x.kthvalue(2, 1).values, "aminmax": lambda x: tuple(rt.aminmax(x, dim=0)),
    "quantile": lambda x: rt.quantile(x, rt.tensor([0.2, 0.7], dtype=rt.float64), 1), "nanquantile": lambda x: rt.nanquantile(x, 0.4, 0),
    "sort": lambda x: x.sort(0, descending=True).values, "topk": lambda x: x.topk(2).values, "unique": lambda x: x.unique(),
    "cumsum": lambda x: x.cumsum(1), "cumprod": lambda x: x.cumprod(1), "logcumsumexp": lambda x: x.logcumsumexp(0),
    "cummax": lambda x: x.cummax(1).values, "cummin": lambda x: x.cummin(0).values,
    "mean": lambda x: x.mean(), "mean dim": lambda x: x.mean(1, True), "var": lambda x: x.var(0), "std": lambda x: x.std(),
    "var_mean": lambda x: rt.var_mean(x, 1, correction=0), "std_mean": lambda x: rt.std_mean(x, (0, 1)),
    "diff": lambda x: x.diff(2, 1), "trapezoid": lambda x: rt.trapezoid(x, dx=0.5), "cumulative_trapezoid": lambda x: rt.cumulative_trapezoid(x, dim=0),
    "cov": lambda x: x.cov(), "corrcoef": lambda x: x.corrcoef(), "cdist": lambda x: rt.cdist(x, x * 2 + 1, 3.0),
    "gradient": lambda x: tuple(rt.gradient(x, spacing=0.5)), "renorm": lambda x: x.renorm(2, 0, 1.0), "cross": lambda x: rt.cross(x, x.flip(0) * 2, dim=0),
    "cosine_similarity": lambda x: rt.cosine_similarity(x, x * x), "dist": lambda x: x.dist(x * 2), "nanmean": lambda x: x.nanmean(1),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name):
    x = rt.tensor(array((3, 5), "float64") / 16, requires_grad=True)
    assert gradcheck(DIFFERENTIABLE[name], (x,))
    assert gradgradcheck(DIFFERENTIABLE[name], (x,))


@pytest.mark.parametrize("zeros", [[(0, 0)], [(1, 2), (0, 4)], [(2, 1), (2, 3)]])
def test_cumprod_gradient_at_zeros(zeros):
    a = array((3, 5), "float64") / 16
    for place in zeros:
        a[place] = 0
    x = rt.tensor(a, requires_grad=True)
    assert gradcheck(lambda v: v.cumprod(1), (x,)) and gradgradcheck(lambda v: v.cumprod(1), (x,))


def test_ties_share_the_gradient_of_max_but_not_of_max_along_a_dimension():
    x = rt.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]
    x.grad = None
    x.max(0).values.backward()
    assert x.grad.tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", [rt.int64, rt.int32, rt.int16, rt.float32, rt.float64, rt.bfloat16], ids=str)
@pytest.mark.parametrize("n", [25, 1023, 1024, 1027, 20000])
def test_ranks_of_long_lanes(dtype, n):
    """Keys that share their high digits, that share none, and that are all one."""
    rng = np.random.default_rng(n)
    for low, high in ((-3, 3), (-100, 1000), (5, 6), (-2 ** 14, 2 ** 14), (2 ** 40, 2 ** 41)):
        if high > 2 ** 20 and dtype not in (rt.int64, rt.float64):
            continue
        x = rt.tensor(rng.integers(low, high, n)).to(dtype)
        wide = x.to(rt.float64 if dtype.is_floating_point else rt.int64).numpy()
        order = np.argsort(wide, kind="stable")
        for k in (1, 2, n // 2, n):
            value, place = rt.kthvalue(x, k)
            assert value.to(rt.float64).item() == float(wide[order[k - 1]]) and place.item() == order[k - 1]
        assert rt.median(x).to(rt.float64).item() == float(wide[order[(n - 1) // 2]])
