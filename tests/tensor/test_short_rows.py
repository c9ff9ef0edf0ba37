"""Short rows, lines with steps, few columns and searches: paths that lengths choose, against NumPy, on each instruction set."""
import numpy as np
import pytest

import rustorch_py as rt

INF = float("inf")
OPS = {"sum": (lambda t, d: t.sum(d), lambda a, d: a.sum(d)), "prod": (lambda t, d: t.prod(d), lambda a, d: a.prod(d)),
       "amax": (lambda t, d: t.amax(d), lambda a, d: a.max(d)), "amin": (lambda t, d: t.amin(d), lambda a, d: a.min(d)),
       "nansum": (rt.nansum, lambda a, d: np.nansum(a, d)), "norm 1": (lambda t, d: t.norm(1, d), lambda a, d: np.abs(a).sum(d)),
       "norm 2": (lambda t, d: t.norm(2, d), lambda a, d: np.sqrt((a * a).sum(d))), "norm inf": (lambda t, d: t.norm(INF, d), lambda a, d: np.abs(a).max(d)),
       "norm -inf": (lambda t, d: t.norm(-INF, d), lambda a, d: np.abs(a).min(d)), "count": (rt.count_nonzero, lambda a, d: np.count_nonzero(a, d))}


CASES = [(op, dtype) for op in OPS for dtype in (np.float32, np.float64, np.int32, np.int64) if dtype in (np.float32, np.float64) or "norm" not in op]


@pytest.mark.parametrize("op, dtype", CASES)
def test_rows_of_every_length(op, dtype, level):
    """Each row's result, whatever lies beside it; rows of one to a few registers, more, and parts of them."""
    mine, theirs = OPS[op]
    rng = np.random.default_rng(2)
    for n in [9, 15, 16, 17, 24, 31, 32, 33, 48, 49, 63, 64, 65, 100, 127, 128, 129, 200, 256, 300, 511, 512, 513, 700]:
        for rows in (3, 8, 16, 37):
            a = rng.integers(-2, 3, (rows, n)).astype(dtype) if op != "prod" else rng.choice([-1, 1], (rows, n)).astype(dtype)
            np.testing.assert_allclose(mine(rt.from_numpy(a), 1).numpy(), theirs(a, 1), rtol=1e-6, err_msg=f"{rows} rows of {n}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_with_nan_and_zeros(dtype, level):
    rng = np.random.default_rng(3)
    for n in (17, 33, 64, 100, 129, 300):
        a = rng.standard_normal((40, n)).astype(dtype)
        a[rng.random(a.shape) < 0.01] = np.nan
        a[3], a[5], a[7] = -np.inf, np.inf, -0.0
        t = rt.from_numpy(a)
        np.testing.assert_array_equal(t.amax(1).numpy(), a.max(1))
        np.testing.assert_array_equal(t.amin(1).numpy(), a.min(1))
        np.testing.assert_array_equal(t.norm(INF, 1).numpy(), np.abs(a).max(1))
        np.testing.assert_allclose(rt.nansum(t, 1).numpy(), np.nansum(a, 1), rtol=1e-4, atol=1e-5)
        assert not np.signbit(t.sum(1).numpy()[7]) and np.signbit(t.amax(1).numpy()[7])
        for k in range(40):                             # a row has the bits that it has alone
            if n * a.itemsize >= 256 and not np.isnan(a[k]).any():
                assert t[k].clone().sum().item() == t.sum(1)[k].item()


LAYOUTS = {"every second": lambda a: a[..., ::2], "every third": lambda a: a[..., 1::3], "turned": lambda a: a.swapaxes(0, -1),
           "a part": lambda a: a[1:, ..., :-1], "every second row": lambda a: a[::2]}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_lines_with_steps(layout, dtype, level):
    rng = np.random.default_rng(4)
    for shape in [(130, 3, 140), (34, 40, 64), (2000, 200), (5000, 70), (64, 100, 16), (5, 2, 5000)]:
        a = rng.integers(0, 4, shape).astype(dtype)
        t = rt.from_numpy(a)
        a = LAYOUTS[layout](a)
        t = t.transpose(0, -1) if layout == "turned" else t[..., ::2] if layout == "every second" else t[..., 1::3] if layout == "every third" else \
            t[1:, ..., :-1] if layout == "a part" else t[::2]
        dims = [None, *range(a.ndim)] + ([(0, 2), (0, 1), (1, 2)] if a.ndim == 3 else [])
        for d in dims:
            for name in ("sum", "amax", "amin"):
                got = getattr(t, name)(d) if d is not None else getattr(t, name)()
                np.testing.assert_array_equal(got.numpy(), {"sum": np.sum, "amax": np.max, "amin": np.min}[name](a, axis=d), err_msg=f"{name} {shape} {d}")
            if isinstance(d, int):
                np.testing.assert_array_equal(t.argmax(d).numpy(), a.argmax(d), err_msg=f"argmax {shape} {d}")
                values, places = t.max(d, keepdim=True)
                np.testing.assert_array_equal(values.numpy(), a.max(d, keepdims=True))
                np.testing.assert_array_equal(places.numpy(), a.argmax(d)[(slice(None),) * d + (None,)])
            np.testing.assert_array_equal(rt.count_nonzero(t, d).numpy(), np.count_nonzero(a, d))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16", "uint8", "bfloat16"])
def test_searches(dtype):
    """Sequences that are counted, halved, and followed by values that ascend."""
    rng = np.random.default_rng(5)
    for size in (1, 2, 24, 25, 100, 1023):
        for m in (7, 16, 65, 600):
            seq, values = np.sort(rng.integers(0, 120, size)), rng.integers(0, 124, m)
            for v in (values, np.sort(values), np.sort(values)[::-1].copy()):
                for side in ("left", "right"):
                    got = rt.searchsorted(rt.from_numpy(seq).to(getattr(rt, dtype)), rt.from_numpy(v).to(getattr(rt, dtype)), side=side)
                    np.testing.assert_array_equal(got.numpy(), np.searchsorted(seq, v, side), err_msg=f"{size} {m} {side}")
    nan = rt.searchsorted(rt.arange(50.0), rt.tensor([float("nan"), 3.5] * 10))
    assert nan.tolist() == [50, 4] * 10


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int8", "uint8", "bool", "bfloat16"])
def test_both_extremes(dtype, level, threads):
    rng = np.random.default_rng(6)
    for n in (1, 31, 33, 128, 1000, 100_000):
        a = rng.integers(0, 2 if dtype == "bool" else 100, n)
        low, high = rt.from_numpy(a).to(getattr(rt, dtype)).aminmax()
        assert (low.item(), high.item()) == (a.min(), a.max()) and low.shape == ()
    if dtype.startswith("float"):
        for at in (0, 70_000, 99_999):
            t = rt.rand(100_000, dtype=getattr(rt, dtype))
            t[at] = float("nan")
            assert all(x.isnan().item() for x in t.aminmax())


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.float64])
def test_rolled_and_interleaved(dtype, level, threads):
    rng = np.random.default_rng(7)
    for shape in [(100,), (64, 33), (40, 50, 60), (2, 3, 40000), (300_000,)]:
        a = rng.integers(0, 100, shape).astype(dtype)
        t = rt.from_numpy(a)
        for d in range(a.ndim):
            for by in (1, -3, shape[d] - 1, shape[d] + 5):
                np.testing.assert_array_equal(t.roll(by, d).numpy(), np.roll(a, by, d))
            for size in (2, 3, 4, 5):
                if shape[d] >= size:
                    want = np.moveaxis(np.lib.stride_tricks.sliding_window_view(a, size, d), -1, -1)[(slice(None),) * d + (slice(None, None, size),)]
                    np.testing.assert_array_equal(t.unfold(d, size, size).contiguous().numpy(), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_running_products_and_sums(dtype, level, threads):
    for shape in [(3, 50), (16, 100), (37, 65), (4000, 40), (2, 70_000)]:
        a = np.random.default_rng(8).choice([1, 1, 1, -1, 2] if dtype in (np.int32, np.int64) else [1, -1, 0.5, 2], shape).astype(dtype)
        t, wide = rt.from_numpy(a), np.int64 if dtype == np.int32 else dtype
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(t.cumsum(1).numpy(), a.cumsum(1, dtype=wide))
            if shape[1] < 1000:
                np.testing.assert_array_equal(t.cumprod(1).numpy(), a.cumprod(1, dtype=wide))


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_counts_of_bools(share, threads):
    rng = np.random.default_rng(9)
    for shape in [(7,), (65,), (16320,), (16321,), (200_000,), (50, 300), (3, 40, 65)]:
        a = rng.random(shape) < share
        t = rt.from_numpy(a)
        for d in [None, *range(a.ndim)]:
            np.testing.assert_array_equal((t.sum() if d is None else t.sum(d)).numpy(), a.sum(d))
            np.testing.assert_array_equal(rt.count_nonzero(t, d).numpy(), a.sum(d))
        np.testing.assert_array_equal(t[..., ::2].sum(-1).numpy(), a[..., ::2].sum(-1))
