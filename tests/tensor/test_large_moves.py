"""Gather, scatter, joins, searches and random fills that are large enough for several threads."""
import numpy as np
import pytest

import rustorch_py as torch

DTYPES = ["float32", "float64", "int64", "uint8"]


def whole(rng, shape, dtype):
    """Small whole numbers: sums are exact in every order."""
    return rng.integers(0, 9, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_gather_and_scatter(threads, dtype, dim):
    rng = np.random.default_rng(dim)
    x = whole(rng, (37, 41, 43), dtype)
    index = rng.integers(0, x.shape[dim], x.shape)
    t, i = torch.from_numpy(x), torch.from_numpy(index)
    np.testing.assert_array_equal(t.gather(dim, i).numpy(), np.take_along_axis(x, index, dim))
    np.testing.assert_array_equal(t.gather(dim, i.int()).numpy(), np.take_along_axis(x, index, dim))
    flipped = t.transpose(0, 2)                                        # not contiguous
    np.testing.assert_array_equal(flipped.gather(2 - dim, i.transpose(0, 2)).numpy(), np.take_along_axis(x, index, dim).transpose(2, 1, 0))
    places = list(np.indices(x.shape))
    places[dim] = index
    added, put = x.copy(), x.copy()
    with np.errstate(over="ignore"):
        np.add.at(added, tuple(places), x)
    for at in np.ndindex(x.shape):                                     # in order: the last write stays
        to = list(at)
        to[dim] = index[at]
        put[tuple(to)] = x[at]
    np.testing.assert_array_equal(t.scatter_add(dim, i, t).numpy(), added)
    np.testing.assert_array_equal(t.clone().scatter_add_(dim, i, t).numpy(), added)
    np.testing.assert_array_equal(t.scatter(dim, i, t).numpy(), put)
    most = x.copy()
    np.maximum.at(most, tuple(places), x[::-1])
    np.testing.assert_array_equal(t.scatter_reduce(dim, i, torch.from_numpy(x[::-1].copy()), "amax").numpy(), most)


@pytest.mark.parametrize("bad", [-1, 300, 2**62, -2**63])
def test_bad_indices(threads, bad):
    t = torch.zeros(300, 300)
    i = torch.zeros(300, 300, dtype=torch.int64)
    i[299, 299] = bad
    many = torch.zeros(200_000, dtype=torch.int64)
    many[150_001] = bad
    with pytest.raises(IndexError, match="out of (bounds|range)"):
        t.view(-1)[:300].index_add_(0, many, torch.ones(200_000))
    for call in (lambda: t.gather(1, i), lambda: t.gather(0, i), lambda: t.scatter(1, i, t + 1), lambda: t.scatter_add_(0, i, t + 1)):
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            call()
    assert not t.any()                                                 # nothing was written in place


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_along(threads, dtype, dim):
    rng = np.random.default_rng(dim)
    x = whole(rng, (40, 50, 60), dtype)
    index = rng.integers(0, x.shape[dim], 70)
    t, i = torch.from_numpy(x), torch.from_numpy(index)
    picked = np.take(x, index, dim)
    np.testing.assert_array_equal(t.index_select(dim, i).numpy(), picked)
    np.testing.assert_array_equal(t.transpose(0, 2).index_select(2 - dim, i).numpy(), picked.transpose(2, 1, 0))
    added = x.copy()
    np.add.at(added, (slice(None),) * dim + (index,), picked)
    np.testing.assert_array_equal(t.index_add(dim, i, torch.from_numpy(picked)).numpy(), added)
    copied = x.copy()
    for k, to in enumerate(index):
        copied[(slice(None),) * dim + (to,)] = picked[(slice(None),) * dim + (k,)] + 1
    np.testing.assert_array_equal(t.index_copy(dim, i, torch.from_numpy(picked) + 1).numpy(), copied)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("crowded", [False, True])
def test_index_add_of_slabs(threads, crowded, dtype, level):
    """Threads share out the places evenly where the index says them evenly, else the slabs' columns."""
    rng = np.random.default_rng(7)
    x = whole(rng, (2, 90, 33, 7), dtype)
    index = rng.integers(0, 2, 400) if crowded else rng.integers(0, 90, 400)
    src = whole(rng, (2, 400, 33, 7), dtype)
    want = x.copy()
    np.add.at(want, (slice(None), index), src)
    got = torch.from_numpy(x).index_add(1, torch.from_numpy(index), torch.from_numpy(src))
    one = torch.from_numpy(x[0]).index_add(0, torch.from_numpy(index), torch.from_numpy(src[0]))
    np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(one.numpy(), want[0])


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1, 300, 500), (300, 2, 500), (7, 11, 2000), (2, 1, 200_001)])
def test_cat(threads, dim, shape):
    rng = np.random.default_rng(0)
    a, b = rng.random(shape), rng.random(shape)
    np.testing.assert_array_equal(torch.cat([torch.from_numpy(a), torch.from_numpy(b)], dim).numpy(), np.concatenate([a, b], dim))


@pytest.mark.parametrize("dtype, low, high", [
    ("uint8", 0, 256), ("int8", -128, 128), ("int16", -9, 9), ("int32", -2**31, 2**31), ("int32", 5, 70_000), ("int64", -7, 2000),
    ("int64", -2**63, 2**63 - 1), ("int64", 2**63 - 90, 2**63 - 1), ("int64", -2**63, -2**63 + 2**32 - 1), ("float32", -50, 50), ("float64", -9, 9)])
@pytest.mark.parametrize("n", [1, 300, 70_001])
def test_order_and_distinct(threads, dtype, low, high, n):
    """Tables, buckets and plain sorts, by how far the values lie apart."""
    rng = np.random.default_rng(n)
    x = rng.integers(low, high, n).astype(dtype)
    if dtype[0] == "f" and n > 9:
        x[3:6] = [0.0, -0.0, np.inf]
    t = torch.from_numpy(x)
    values, inverse, counts = torch.unique(t, return_inverse=True, return_counts=True)
    for got, want in zip((values, inverse, counts), np.unique(x, return_inverse=True, return_counts=True)):
        np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(torch.unique(t).numpy(), values.numpy())
    starts = np.flatnonzero(np.append(True, x[1:] != x[:-1]))
    values, inverse, counts = torch.unique_consecutive(t, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values.numpy(), x[starts])
    np.testing.assert_array_equal(counts.numpy(), np.diff(np.append(starts, n)))
    np.testing.assert_array_equal(values[inverse].numpy(), x)
    for descending in (False, True):
        values, order = torch.sort(t, descending=descending, stable=True)
        want = n - 1 - np.argsort(x[::-1], kind="stable")[::-1] if descending else np.argsort(x, kind="stable")
        np.testing.assert_array_equal(order.numpy(), want)
        np.testing.assert_array_equal(values.numpy(), x[want])


@pytest.mark.parametrize("dim", [0, 1])
def test_joins_of_many_strided_pieces(threads, dim):
    x = np.random.default_rng(1).standard_normal((300, 700)).astype("float32")
    t = torch.from_numpy(x)
    pieces, want = t.split(100, 1), np.split(x, 7, 1)
    np.testing.assert_array_equal(torch.cat(pieces, dim).numpy(), np.concatenate(want, dim))
    np.testing.assert_array_equal(torch.stack(pieces, dim).numpy(), np.stack(want, dim))
    np.testing.assert_array_equal(torch.cat([pieces[0], pieces[1].double(), *pieces[2:]], dim).numpy(),
                                  np.concatenate([want[0], want[1].astype("float64"), *want[2:]], dim))
    np.testing.assert_array_equal(torch.cat([p.t() for p in pieces], dim).numpy(), np.concatenate([w.T for w in want], dim))


@pytest.mark.parametrize("most", [3, 1000, 1023, 1024, 5000])
def test_bincount(most):
    x = np.random.default_rng(most).integers(0, most, 10_003)
    x[7] = most
    np.testing.assert_array_equal(torch.bincount(torch.from_numpy(x)).numpy(), np.bincount(x))
    np.testing.assert_array_equal(torch.bincount(torch.from_numpy(x), minlength=1030).numpy(), np.bincount(x, minlength=1030))
    x[10_001] = -1
    with pytest.raises(RuntimeError, match="non-negative"):
        torch.bincount(torch.from_numpy(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_dimension_by_index(threads, dtype):
    rng = np.random.default_rng(5)
    x, v = whole(rng, 50_000, dtype), whole(rng, 200_003, dtype)
    index = rng.integers(-50_000, 50_000, 200_003)
    t, i = torch.from_numpy(x), torch.from_numpy(index)
    added, put = x.copy(), x.copy()
    np.add.at(added, index, v)
    put[index] = v                                                     # the last one stays, as here
    np.testing.assert_array_equal(t.index_put((i,), torch.from_numpy(v), accumulate=True).numpy(), added)
    np.testing.assert_array_equal(t.index_put((i,), torch.from_numpy(v)).numpy(), put)
    np.testing.assert_array_equal(t[i].numpy(), x[index])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_runs_of_nan_and_zeros(dtype):
    t = torch.tensor([0.0, -0.0, 1.0, float("nan"), float("nan"), 1.0, 1.0], dtype=getattr(torch, dtype))
    values, inverse, counts = torch.unique_consecutive(t, return_inverse=True, return_counts=True)
    assert inverse.tolist() == [0, 0, 1, 2, 3, 4, 4] and counts.tolist() == [2, 1, 1, 1, 2] and len(values) == 5
    assert torch.unique(t, return_counts=True)[1].tolist() == [2, 3, 1, 1]
    w = torch.tensor([1.0, 1.0, 2.0], requires_grad=True)
    torch.unique_consecutive(w).sum().backward()
    assert w.grad.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 1000])
def test_searchsorted(threads, right, length):
    rng = np.random.default_rng(length)
    rows = np.sort(rng.integers(0, 50, (3, length)), 1).astype("float32")
    values = rng.integers(-1, 52, (3, 3001)).astype("float32")
    values[:, ::97] = np.nan
    values[:, 1::97] = np.inf
    found = torch.searchsorted(torch.from_numpy(rows), torch.from_numpy(values), right=right).numpy()
    for r in range(3):
        np.testing.assert_array_equal(found[r], np.searchsorted(rows[r], values[r], "right" if right else "left"))


def test_search_looks_where_a_plain_one_does(threads):
    """A sequence that is not sorted has no right answer; the one given is that of halving [low, high)."""
    rng = np.random.default_rng(1)
    row, values = rng.random(101).astype("float32"), rng.random(5000).astype("float32")
    row[::9] = np.nan
    expected = []
    for v in values:
        low, high = 0, len(row)
        while low < high:
            mid = (low + high) // 2
            low, high = (mid + 1, high) if not row[mid] >= v else (low, mid)
        expected.append(low)
    assert torch.searchsorted(torch.from_numpy(row), torch.from_numpy(values)).tolist() == expected


FILLS = {
    "uniform": lambda t: t.uniform_(-1, 2), "normal": lambda t: t.normal_(1, 2), "exponential": lambda t: t.exponential_(0.7),
    "cauchy": lambda t: t.cauchy_(), "geometric": lambda t: t.geometric_(0.3), "bernoulli": lambda t: t.bernoulli_(0.3),
    "random": lambda t: t.random_(), "range": lambda t: t.random_(3, 1000), "log_normal": lambda t: t.log_normal_(),
    "wide range": lambda t: t.random_(0, 1 << 30),
}


INTEGERS = ("geometric", "bernoulli", "random", "range", "wide range")


@pytest.mark.filterwarnings("ignore:random_:UserWarning")
@pytest.mark.parametrize("name, dtype", [(name, dtype) for name in FILLS for dtype in ("float32", "float64", "bfloat16", "int64")
                                         if dtype != "int64" or name in INTEGERS])
def test_fills_in_pieces(name, dtype):
    """A large fill is the small fills one after another, whatever the threads and the instruction set."""
    dt, n, piece = getattr(torch, dtype), 100_000, 16 * 625
    torch.manual_seed(3)
    expected = torch.cat([FILLS[name](torch.empty(piece, dtype=dt)) for _ in range(n // piece)])
    state = torch.get_rng_state()
    threads, level = torch.get_num_threads(), torch.config.simd_level()
    levels = ["baseline"] if level == "baseline" else ["baseline", level]
    try:
        for count in (1, 2, 3):
            for isa in levels:
                torch.set_num_threads(count)
                torch.config.set_simd_level(isa)
                torch.manual_seed(3)
                got = FILLS[name](torch.empty(n, dtype=dt))
                assert torch.equal(got, expected), (count, isa)
                assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
        torch.config.set_simd_level(level)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_rolls_of_rows_a_little_ahead_of_their_source(dtype):
    """Rows of some hundred to some thousand bytes, whose parts go to where they were and a few bytes: from the end, in place of memcpy."""
    for n in (255, 263, 300, 512, 611, 2050, 2200):
        a = np.random.default_rng(n).integers(0, 200, (70, n)).astype(dtype)
        for by in (1, 3, 5, 7, 31, 32, 33, n - 1, n - 5):
            assert (torch.roll(torch.from_numpy(a), by, 1).numpy() == np.roll(a, by, 1)).all(), (n, by)
