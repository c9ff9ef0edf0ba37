"""Operands with steps are made dense by blocks (Note [Staged operands]); loops over whole numbers and neighbours of floats, against NumPy."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.tensor import _pointwise, optable
from tests import samples

TYPES = [rt.float32, rt.float64, rt.bfloat16, rt.float16, rt.int64, rt.int32, rt.int16, rt.uint8, rt.bool, rt.complex64, rt.complex128]
STEPS = (1, 2, 3, 4, 7)
SIZES = (1, 31, 32, 33, 257, 4097)
ROWS = [row for row in optable.ROWS if "f" in row.kinds and not row.types.strip(".")]


def spread(values, step, start=1):
    """The same numbers every `step` elements of an array that ends with the last of them."""
    room = rt.full((start + (values.shape[0] - 1) * step + 1,), 5, dtype=values.dtype)
    room[start::step].copy_(values)
    return room[start::step]


def same(got, want):
    np.testing.assert_array_equal(rt.cat([got]).view(rt.uint8).numpy(), rt.cat([want]).view(rt.uint8).numpy())


def draw(n, dtype, seed):
    numbers = np.random.default_rng(seed).integers(1, 90, n)
    return rt.from_numpy(numbers).to(dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_layouts(dtype, level):
    for n in SIZES:
        x, y = draw(n, dtype, n), draw(n, dtype, n + 1)
        for step in STEPS:
            u, v = spread(x, step), spread(y, STEPS[-1] - step + 1)
            same(u.clone(), x)
            for f in (rt.add, rt.mul, rt.eq, rt.ne):
                same(f(u, v), f(x, y))
                same(f(u, y), f(x, y))
                same(f(u, 3), f(x, 3))
            into = spread(rt.zeros(n, dtype=dtype), step)
            rt.add(u, y, out=into)
            same(into, x + y)
            into.add_(v)
            same(into, x + y + y)
            for other in (rt.float32, rt.float64, rt.int64, rt.bool, rt.bfloat16):
                if not dtype.is_complex:
                    same(u.to(other), x.to(other))
                    same(u + v.to(other), x + y.to(other))


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.float16], ids=str)
def test_rows(dtype, level):
    n = 300
    for row in ROWS:
        g = np.random.default_rng(row.index)
        domain = samples.DOMAIN.get(row.name, [(-3, 3)] * row.arity)
        operands = [rt.from_numpy(g.uniform(low, high, n)).to(dtype) for low, high in domain]
        k = samples.PARAMS.get(row.name, (0, 0))
        want = _pointwise.run_row(row.index, tuple(operands), *k)
        same(_pointwise.run_row(row.index, tuple(spread(x, 2 + i) for i, x in enumerate(operands)), *k), want)


def test_planes(level):
    """Steps in every dimension, and several threads' pieces."""
    g = np.random.default_rng(3)
    a, b = g.standard_normal((2, 700, 1000)).astype(np.float32)
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    np.testing.assert_array_equal((x[::3, ::2] + y[::3, 1::2]).numpy(), a[::3, ::2] + b[::3, 1::2])
    np.testing.assert_array_equal((x[:, ::2] > y[:, :500]).numpy(), a[:, ::2] > b[:, :500])
    np.testing.assert_array_equal((x[:, ::2].t() * y[:, 1::2].t()).numpy(), (a[:, ::2] * b[:, 1::2]).T)
    np.testing.assert_array_equal((x[:700, ::2].t()[:, ::2] * y[:500, :350]).numpy(), a[:, ::2].T[:, ::2] * b[:500, :350])


INTEGERS = [np.uint8, np.int8, np.int16, np.int32, np.int64]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_division_of_whole_numbers(dtype, level):
    top = np.iinfo(dtype)
    g = np.random.default_rng(4)
    some = [top.min, top.min + 1, top.max, top.max - 1, 0, 1, 2, 3, 7, 10, 100, top.max // 2, top.max // 3, top.max // 7 * 7 - 1]
    some += [-v for v in some if top.min <= -v <= top.max]
    some += g.integers(top.min, top.max, 40, dtype=dtype, endpoint=True).tolist() + g.integers(top.min // 100, 30, 20).tolist()
    x, y = (v.ravel() for v in np.meshgrid(np.array(some, dtype), np.array([v for v in some if v], dtype)))
    t, u = rt.from_numpy(x), rt.from_numpy(y)
    fits = ~((x == top.min) & (y.astype(np.int64) == -1))         # this quotient wraps
    with np.errstate(all="ignore"):
        floor, rest, left = x // y, np.remainder(x, y), np.fmod(x, y)
    wrapped = np.full_like(x, top.min)
    np.testing.assert_array_equal(rt.floor_divide(t, u).numpy(), np.where(fits, floor, wrapped))
    np.testing.assert_array_equal(rt.remainder(t, u).numpy(), np.where(fits, rest, 0))
    np.testing.assert_array_equal(rt.fmod(t, u).numpy(), np.where(fits, left, 0))
    signed = [(int(v), int(w)) if ok else (0, 1) for v, w, ok in zip(x, y, fits)]
    towards_zero = np.array([abs(v) // abs(w) * (1 if (v < 0) == (w < 0) else -1) for v, w in signed], dtype)
    np.testing.assert_array_equal(rt.div(t, u, rounding_mode="trunc").numpy()[fits], towards_zero[fits])
    for number in (1, 3, 7, *((-1, -2) if top.min else ())):
        ok = fits if number != -1 else x != top.min
        with np.errstate(all="ignore"):
            want = x // dtype(number)
        np.testing.assert_array_equal(rt.floor_divide(t, number).numpy()[ok], want[ok])
        np.testing.assert_array_equal(rt.remainder(t, number).numpy()[ok], np.remainder(x, dtype(number))[ok])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts(dtype, level):
    top, width = np.iinfo(dtype), np.dtype(dtype).itemsize * 8
    values = [top.min, top.max, 0, 1, 5, 77, top.max // 3, *((-1, -5, -77) if top.min else ())]
    amounts = [0, 1, 2, 3, width - 2, width - 1, width, width + 1, min(100, top.max), *((-1, -2, top.min) if top.min else (255,))]
    x, y = (v.ravel() for v in np.meshgrid(np.array(values, dtype), np.array(amounts, dtype)))
    inside = [(int(v), int(n), 0 <= int(n) < width) for v, n in zip(x, y)]
    left = np.array([(v << n) & (2 ** width - 1) if ok else 0 for v, n, ok in inside], np.uint64).astype(dtype)
    right = np.array([v >> n if ok else -1 if v < 0 else 0 for v, n, ok in inside], np.int64).astype(dtype)
    np.testing.assert_array_equal((rt.from_numpy(x) << rt.from_numpy(y)).numpy(), left)
    np.testing.assert_array_equal((rt.from_numpy(x) >> rt.from_numpy(y)).numpy(), right)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nextafter(dtype, level):
    top = np.finfo(dtype)
    some = [0.0, -0.0, 1, -1, 1.5, top.max, -top.max, top.tiny, -top.tiny, top.smallest_subnormal, -top.smallest_subnormal, np.inf, -np.inf, np.nan, 3e9]
    x, y = (v.ravel() for v in np.meshgrid(np.array(some, dtype), np.array(some, dtype)))
    with np.errstate(all="ignore"):
        want = np.nextafter(x, y)
    got = rt.nextafter(rt.from_numpy(x), rt.from_numpy(y)).numpy()
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[want == 0], np.signbit(want)[want == 0])


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64], ids=str)
def test_powers_of_all_signs(dtype, level):
    some = [0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, -1.5, 7, -7, 1e30, -1e30, 1e-30, -1e-30, np.inf, -np.inf, np.nan, 16777215.0, -16777216.0, 3e9]
    kind = np.float32 if dtype == rt.float32 else np.float64
    for exponent in some:                                         # whole registers of one exponent, and of mixed bases
        x = np.array(some * 3, kind)
        with np.errstate(all="ignore"):
            want = np.power(x.astype(np.float64), np.full(x.shape, exponent)).astype(kind)      # (an exponent by itself may take the square root)
        got = rt.pow(rt.from_numpy(x), rt.full((x.size,), exponent, dtype=dtype)).numpy()
        np.testing.assert_allclose(got, want, rtol=1e-6 if kind is np.float32 else 1e-14)
        np.testing.assert_array_equal(np.signbit(got)[want == want], np.signbit(want)[want == want])
        for v, w in zip(x, want):                                 # and each base by itself: no other lane is far
            got = rt.pow(rt.full((40,), float(v), dtype=dtype), rt.full((40,), exponent, dtype=dtype)).numpy()
            np.testing.assert_allclose(got, np.full(40, w), rtol=1e-6 if kind is np.float32 else 1e-14)
            assert w != w or (np.signbit(got) == np.signbit(w)).all()


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.float16], ids=str)
def test_special_values(dtype, level):
    kind = {rt.float32: np.float32, rt.float64: np.float64, rt.float16: np.float16}[dtype]
    x = np.array([0, -0.0, 1, np.nan, np.inf, -np.inf, -3.5] * 9, kind)
    t = rt.from_numpy(x)
    np.testing.assert_array_equal(rt.nan_to_num(t).numpy(), np.nan_to_num(x))
    np.testing.assert_array_equal(rt.nan_to_num(t, 2.0, 5.0, -7.0).numpy(), np.nan_to_num(x, nan=2.0, posinf=5.0, neginf=-7.0))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose((t ** -2).numpy(), x ** kind(-2), rtol=1e-3 if kind is np.float16 else 1e-6)
        finite = np.where(np.isfinite(x), x, 0)                  # zeros beside other numbers
        np.testing.assert_array_equal(rt.remainder(rt.from_numpy(finite), 3).numpy(), np.remainder(finite, kind(3)))
        np.testing.assert_array_equal(rt.floor_divide(rt.from_numpy(finite), -2).numpy(), np.floor_divide(finite, kind(-2)))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_whole_rows_of_broadcasts(threads):
    """Rows are walked together and pieces end where rows do: rows and columns beside arrays whose sizes fit no piece."""
    before = rt.get_num_threads()
    rt.set_num_threads(threads)
    try:
        for shape in ((1000, 137), (3, 211, 257), (7, 5, 3, 1021), (2, 40000), (70001, 3), (5, 1, 40, 1001), (2, 3, 5, 7, 11, 61)):
            x = np.random.default_rng(len(shape)).integers(-90, 90, shape).astype("float32")
            for kept in range(2 ** len(shape)):
                y = np.ascontiguousarray(x[tuple(slice(None) if kept >> d & 1 else slice(1) for d in range(len(shape)))]) * 2
                np.testing.assert_array_equal((rt.from_numpy(x) + rt.from_numpy(y)).numpy(), x + y)
            crop = tuple(slice(1, None) if n > 2 else slice(None) for n in shape)
            into = rt.zeros(shape)
            rt.mul(rt.from_numpy(x)[crop], rt.from_numpy(x)[crop], out=into[crop])
            want = np.zeros_like(x)
            want[crop] = x[crop] * x[crop]
            np.testing.assert_array_equal(into.numpy(), want)
    finally:
        rt.set_num_threads(before)
