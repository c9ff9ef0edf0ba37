"""Register tiles, thread grids and int8 products against NumPy in float64 and int64, over instruction sets, threads, layouts and odd sizes."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rustorch_py as rt
from rustorch_py.tensor import _cpu, _gemm

LEVELS = [lv for lv in ("baseline", "avx2", "avx512") if _cpu.LEVELS.index(lv) <= _cpu.LEVELS.index(_cpu.best_simd_level())]
TOL = {"float32": 1e-6, "float64": 1e-14}


@pytest.fixture(autouse=True)
def restore():
    threads, level = rt.get_num_threads(), _cpu.simd_level()
    yield
    rt.set_num_threads(threads)
    _cpu.set_simd_level(level)


@pytest.fixture(params=["parts", "passes"])
def way(request):
    """Large products by both ways, of which a machine has one."""
    before = _gemm.passes_from()
    _gemm.passes_from(5 << 22 if request.param == "passes" else 2 ** 63 - 1)
    yield
    _gemm.passes_from(before)


def laid(rng, rows, cols, layout, dtype, pad=3):
    """A (rows, cols) array in a layout with room around it, and the tensor on the same memory."""
    big = rng.standard_normal((rows + pad, cols + pad) if layout != "columns" else (cols + pad, rows + pad)).astype(dtype)
    if layout == "rows":
        view = (slice(0, rows), slice(1, 1 + cols))
        return big[view], rt.from_numpy(big)[view]
    if layout == "columns":
        view = (slice(0, cols), slice(1, 1 + rows))
        return big[view].T, rt.from_numpy(big)[view].T
    big = rng.standard_normal((2 * rows, 3 * cols)).astype(dtype)
    return big[::2, ::3], rt.from_numpy(big)[::2, ::3]


def check(got, want, a, b, dtype, c=0):
    """Within a few roundings of the sum of magnitudes; c: what was added."""
    bound = TOL[dtype] * (np.abs(a).astype("float64") @ np.abs(b).astype("float64") + np.abs(want) + np.abs(c)) + 1e-30
    assert (np.abs(got.numpy() - want) <= bound * 4).all()


sizes = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 129, 191, 193, 257, 300]))


@settings(deadline=None, max_examples=100)
@given(sizes, sizes, sizes, st.sampled_from(["rows", "columns", "steps"]), st.sampled_from(["rows", "columns", "steps"]),
       st.sampled_from(["complex64", "complex128"]), st.sampled_from(LEVELS), st.sampled_from([1, 2, 5]), st.integers(0, 2 ** 31))
def test_complex_products(m, k, n, la, lb, dtype, level, threads, seed):
    """By real tiles or BLAS: layouts, what is added, conjugates (of the gradients), batches."""
    _cpu.set_simd_level(level)
    rt.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    real = "float32" if dtype == "complex64" else "float64"

    def operand(rows, cols, layout):
        (p, _), (q, _) = laid(rng, rows, cols, layout, real), laid(rng, rows, cols, layout, real)
        x = (p + 1j * q).astype(dtype)
        if layout == "steps":
            big = np.zeros((2 * rows, 3 * cols), dtype)
            big[::2, ::3] = x
            return x, rt.from_numpy(big)[::2, ::3]
        return (x, rt.from_numpy(np.ascontiguousarray(x))) if layout == "rows" else (x, rt.from_numpy(np.ascontiguousarray(x.T)).T)

    def near(got, want, size):
        assert (np.abs(got.detach().numpy() - want) <= 8 * TOL[real] * (size + np.abs(want)) + 1e-30).all()

    (a, x), (b, y), (c, z) = operand(m, k, la), operand(k, n, lb), operand(m, n, "rows")
    wide = [v.astype("complex128") for v in (a, b, c)]
    want, size = wide[0] @ wide[1], np.abs(wide[0]) @ np.abs(wide[1])
    near(rt.mm(x, y), want, size)
    near(rt.addmm(z, x, y, beta=-0.5, alpha=2), 2 * want - 0.5 * wide[2], 2 * size)
    near(rt.addmm(z, x, y, beta=1j, alpha=1 - 1j), (1 - 1j) * want + 1j * wide[2], 2 * size)
    near(rt.mm(y.T, x.T).T, want, size)
    near(rt.bmm(rt.stack([x, -x, x, x, x]), y.expand(5, k, n))[1], -want, size)
    near(x @ y[:, n - 1], want[:, n - 1], size[:, n - 1])
    near(x[m - 1] @ y, want[m - 1], size[m - 1])
    near(rt.addmv(z[:, 0], x, y[:, 0], beta=2, alpha=-1), 2 * wide[2][:, 0] - want[:, 0], size[:, 0] + 2 * np.abs(wide[2][:, 0]))
    near(rt.bmm(x.expand(3, m, k), rt.stack([y[:, :1], -y[:, :1], y[:, :1]]))[1], -want[:, :1], size[:, :1])
    p, q = x.clone().requires_grad_(), y.clone().requires_grad_()
    (p @ q[:, 0]).backward(z[:, 0])
    near(p.grad, wide[2][:, :1] @ wide[1][:, :1].conj().T, np.abs(wide[2][:, :1]) @ np.abs(wide[1][:, :1]).T)
    near(q.grad[:, 0], wide[0].conj().T @ wide[2][:, 0], np.abs(wide[0]).T @ np.abs(wide[2][:, 0]))
    p, q = x.clone().requires_grad_(), y.clone().requires_grad_()
    (p @ q).backward(z)
    near(p.grad, wide[2] @ wide[1].conj().T, np.abs(wide[2]) @ np.abs(wide[1]).T)
    near(q.grad, wide[0].conj().T @ wide[2], np.abs(wide[0]).T @ np.abs(wide[2]))


def brain(x):
    """The array's values rounded to bfloat16, in float64; a tensor of them in the array's layout."""
    t = rt.from_numpy(x).bfloat16() if x.flags.c_contiguous else rt.from_numpy(np.ascontiguousarray(x.T)).bfloat16().T
    return t.double().numpy(), t


@settings(deadline=None, max_examples=150)
@given(sizes, st.one_of(sizes, st.sampled_from([2047, 2048, 2049, 4200])), sizes, st.sampled_from(["rows", "columns", "steps"]),
       st.sampled_from(["rows", "columns", "steps"]), st.sampled_from(LEVELS), st.integers(0, 2 ** 31))
def test_brain_products(m, k, n, la, lb, level, seed):
    """bfloat16: sums in float32, rounded once, whatever the layout."""
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(seed)

    def operand(rows, cols, layout):
        if layout == "steps":
            wide, t = brain(rng.standard_normal((2 * rows, 3 * cols)).astype("float32"))
            return wide[::2, ::3], t[::2, ::3]
        x = rng.standard_normal((rows, cols)).astype("float32")
        return brain(x if layout == "rows" else np.asfortranarray(x))

    (a, x), (b, y), (c, z), (bias, w) = operand(m, k, la), operand(k, n, lb), operand(m, n, "rows"), brain(rng.standard_normal(n).astype("float32"))

    def near(got, want, size):
        bound = 2.0 ** -8 * np.abs(want) + 4e-6 * size
        assert got.dtype == rt.bfloat16 and (np.abs(got.double().numpy() - want) <= bound).all()

    want, size = a @ b, np.abs(a) @ np.abs(b)
    rt.set_num_threads(1)
    one = rt.mm(x, y)
    near(one, want, size)
    wide = rt.full((m, n + 2), 7, dtype=rt.bfloat16)
    rt.set_num_threads(3)
    rt.mm(x, y, out=wide[:, 1:-1])
    near(wide[:, 1:-1], want, size)
    assert (wide[:, 0] == 7).all() and (wide[:, -1] == 7).all()
    near(rt.addmm(z, x, y, beta=-0.5, alpha=2), 2 * want - 0.5 * c, 2 * size)
    near(rt.nn.functional.linear(x, y.T, w), want + bias, size + 4)
    near(rt.mm(y.T, x.T).T, want, size)
    near(rt.bmm(rt.stack([x, x]), y.expand(2, k, n))[1], want, size)
    near(x @ y[:, 0], want[:, 0], size[:, 0])


@settings(deadline=None, max_examples=120)
@given(sizes, sizes, sizes, st.sampled_from(["rows", "columns", "steps"]), st.sampled_from(["rows", "columns", "steps"]),
       st.sampled_from(["float32", "float64"]), st.sampled_from(LEVELS), st.integers(0, 2 ** 31))
def test_products(m, k, n, la, lb, dtype, level, seed):
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(seed)
    a, x = laid(rng, m, k, la, dtype)
    b, y = laid(rng, k, n, lb, dtype)
    want = a.astype("float64") @ b.astype("float64")
    check(rt.mm(x, y), want, a, b, dtype)
    wide = np.full((m, n + 2), 7, dtype)
    out = rt.from_numpy(wide)[:, 1:-1]
    rt.mm(x, y, out=out)
    check(out, want, a, b, dtype)
    assert (wide[:, 0] == 7).all() and (wide[:, -1] == 7).all()        # nothing beside the result is written
    c = rng.standard_normal((m, n)).astype(dtype)
    check(rt.addmm(rt.from_numpy(c), x, y, beta=-0.5, alpha=2), 2 * want - 0.5 * c.astype("float64"), 2 * a, b, dtype)
    bias = rng.standard_normal(n).astype(dtype)
    check(rt.nn.functional.linear(x, y.T, rt.from_numpy(bias)), want + bias.astype("float64"), a, b, dtype)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("m,k,n", [(1, 3000, 500), (4, 512, 600), (7, 300, 520), (500, 300, 1), (700, 64, 10), (300, 16, 300), (150, 600, 1100), (400, 520, 70),
                                   (10, 700, 300), (31, 1000, 131), (47, 257, 90), (48, 300, 520)])
def test_threads_and_pieces(m, k, n, level):
    """The grid of any number of threads covers the result; under deterministic mode with the same bits."""
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((m, k)).astype("float32"), rng.standard_normal((k, n)).astype("float32")
    want = a.astype("float64") @ b.astype("float64")
    for turned in (False, True):
        x = rt.from_numpy(a)
        y = rt.from_numpy(np.ascontiguousarray(b.T)).T if turned else rt.from_numpy(b)
        same = []
        for threads in (1, 2, 3, 5):
            rt.set_num_threads(threads)
            check(x @ y, want, a, b, "float32")
            rt.config.use_deterministic(True)
            try:
                same.append((x @ y).numpy().tobytes())
            finally:
                rt.config.use_deterministic(False)
        assert len(set(same)) == 1


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("m,k,n", [(5, 9, 80), (9, 40, 17), (70, 300, 90)])
def test_not_finite(m, k, n, level):
    """NaN and infinity reach exactly the rows and columns they belong to; what is behind an operand does not."""
    _cpu.set_simd_level(level)
    for dtype in ("float32", "float64"):
        for turn in (False, True):
            a, b = np.ones((m, k + 1), dtype), np.ones((k, n + 1), dtype)
            a[:, -1] = np.nan
            b[:, -1] = np.nan
            a[1, 2], a[2, 3] = np.nan, np.inf
            x, y = rt.from_numpy(a)[:, :-1], rt.from_numpy(b)[:, :-1]
            got = ((y.T @ x.T).T if turn else x @ y).numpy()
            assert np.isnan(got[1]).all() and np.isposinf(got[2]).all()
            rest = np.delete(got, (1, 2), 0)
            assert (rest == k).all()


def bytes_of(rng, shape, dtype):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 70), st.one_of(st.integers(0, 40), st.sampled_from([511, 512, 515, 1030])), st.integers(0, 140), st.sampled_from(["int8", "uint8"]),
       st.booleans(), st.booleans(), st.sampled_from(LEVELS), st.integers(0, 2 ** 31))
def test_int_mm(m, k, n, dtype, ta, tb, level, seed):
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(seed)
    a, b = bytes_of(rng, (k, m) if ta else (m, k), dtype), bytes_of(rng, (n, k) if tb else (k, n), "int8")
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    a, x = (a.T, x.T) if ta else (a, x)
    b, y = (b.T, y.T) if tb else (b, y)
    got = rt._int_mm(x, y)
    assert got.dtype == rt.int32 and np.array_equal(got.numpy(), a.astype("int64") @ b.astype("int64"))
    if dtype == "int8":                                                # the product in bytes is its low byte
        assert np.array_equal((x @ y).numpy(), (a.astype("int64") @ b.astype("int64")).astype("int8"))


@pytest.mark.parametrize("level", LEVELS)
def test_int_mm_extremes_threads_and_out(level):
    _cpu.set_simd_level(level)
    low = rt.full((130, 2000), -128, dtype=rt.int8)
    for threads in (1, 2, 3):
        rt.set_num_threads(threads)
        assert (rt._int_mm(low, low.T) == 128 * 128 * 2000).all()
        assert (rt._int_mm(rt.full((200, 2000), 255, dtype=rt.uint8), low.T) == -255 * 128 * 2000).all()
    out = rt.empty(70, 130, dtype=rt.int32).T
    assert rt._int_mm(low[:, ::2], low[:70, ::2].T, out=out) is out and (out == 128 * 128 * 1000).all()


@pytest.mark.parametrize("a,b,out,error", [
    ((2, 3, "int8"), (4, 5, "int8"), None, rt.errors.ShapeError), ((2, 3, "int32"), (3, 2, "int8"), None, rt.errors.DTypeError),
    ((2, 3, "int8"), (3, 2, "uint8"), None, rt.errors.DTypeError), ((2, 3, "int8"), (3, 2, "int8"), (2, 2, "float32"), rt.errors.DTypeError),
    ((2, 3, "int8"), (3, 2, "int8"), (3, 2, "int32"), rt.errors.ShapeError)])
def test_int_mm_refusals(a, b, out, error):
    make = [None if s is None else rt.zeros(s[0], s[1], dtype=getattr(rt, s[2])) for s in (a, b, out)]
    with pytest.raises(error, match="_int_mm"):
        rt._int_mm(make[0], make[1], out=make[2])
    with pytest.raises(RuntimeError):
        rt._int_mm(make[0], make[1], out=make[2])


LARGE = [("float32", 257, 259, 300), ("float32", 200, 1030, 130), ("float32", 1000, 64, 270), ("float32", 196, 45, 2113), ("float64", 193, 520, 190),
          ("float64", 260, 1101, 77), ("float32", 193, 603, 2050), ("float32", 513, 1025, 96)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype,m,k,n", LARGE)
def test_large_products(dtype, m, k, n, level, way):
    """Large products: every layout, several blocks of rows and columns of b, with what is added, written into a slice."""
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(m + n)
    rt.set_num_threads(2)
    for la, lb in (("rows", "rows"), ("columns", "columns"), ("steps", "rows"), ("rows", "steps"), ("rows", "columns")):
        a, x = laid(rng, m, k, la, dtype)
        b, y = laid(rng, k, n, lb, dtype)
        want = a.astype("float64") @ b.astype("float64")
        wide = np.full((m + 1, n + 2), 7, dtype)
        out = rt.from_numpy(wide)[:-1, 1:-1]
        rt.mm(x, y, out=out)
        check(out, want, a, b, dtype)
        assert (wide[:, 0] == 7).all() and (wide[:, -1] == 7).all() and (wide[-1] == 7).all()
        bias = rng.standard_normal(n).astype(dtype)
        check(rt.nn.functional.linear(x, y.T, rt.from_numpy(bias)), want + bias.astype("float64"), a, b, dtype)
    c = rng.standard_normal((m, n)).astype(dtype)
    for beta in (1, 0.25):
        check(rt.addmm(rt.from_numpy(c), x, y, beta=beta, alpha=-2), -2 * want + beta * c.astype("float64"), 2 * a, b, dtype)
    batch = np.stack([a, 2 * a, -a])
    got = rt.from_numpy(batch) @ y
    for z, factor in enumerate((1, 2, -1)):
        check(got[z], factor * want, batch[z], b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m,k,n", [(512, 512, 128), (389, 530, 128), (1030, 130, 200)])
def test_large_products_by_any_number_of_threads(dtype, m, k, n, way):
    """However many tiles a thread takes at once: few rows of a turned operand, a last square that overlaps the one before; the same bits."""
    rng = np.random.default_rng(m)
    for layout in ("rows", "columns"):
        a, x = laid(rng, m, k, layout, dtype)
        b, y = laid(rng, k, n, "rows", dtype)
        bits = []
        for threads in (1, 2, 3, 12):
            rt.set_num_threads(threads)
            got = x @ y
            check(got, a.astype("float64") @ b.astype("float64"), a, b, dtype)
            bits.append(got.numpy().tobytes())
        if _cpu.simd_level() == "avx512":
            assert len(set(bits)) == 1


def test_large_products_do_not_mix_what_is_padded(way):
    """Infinities and NaN stay in their rows and columns, whatever blocks are filled up with; the same bits on any number of threads."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((250, 259)).astype("float32"), rng.standard_normal((259, 290)).astype("float32")
    a[3, 258], a[249, 0], b[258, 7], b[0, 289] = np.inf, np.nan, -np.inf, np.inf
    with np.errstate(invalid="ignore"):
        want = a.astype("float64") @ b.astype("float64")
    finite = np.isfinite(want)
    assert finite.sum() == 248 * 288
    bits = []
    for threads in (1, 2, 3, 5):
        rt.set_num_threads(threads)
        got = (rt.from_numpy(a) @ rt.from_numpy(b)).numpy()
        assert (np.isfinite(got) == finite).all() and np.abs(got[finite] - want[finite]).max() < 1e-3
        rt.config.use_deterministic(True)
        try:
            bits.append((rt.from_numpy(a) @ rt.from_numpy(b)).numpy().tobytes())
        finally:
            rt.config.use_deterministic(False)
    assert len(set(bits)) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("level", LEVELS)
def test_few_rows_by_a_turned_matrix(level, dtype):
    """Dot products along rows of both: all heights of a tile and those around the most rows, whole registers and parts of one, odd columns."""
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(5)
    for m in (*range(1, 14), 18, 23, 24, 25):
        for k, n in ((3, 9), (64, 5), (127, 4), (128, 7), (200, 66), (257, 3)):
            a, x = laid(rng, m, k, "rows", dtype)
            w, y = laid(rng, n, k, "rows", dtype)
            bias = rng.standard_normal(n).astype(dtype)
            want = a.astype("float64") @ w.T.astype("float64")
            check(x @ y.T, want, a, w.T, dtype)
            check(rt.nn.functional.linear(x, y, rt.from_numpy(bias)), want + bias, a, w.T, dtype)
            c = rng.standard_normal((m, n)).astype(dtype)
            check(rt.addmm(rt.from_numpy(c), x, y.T, beta=3, alpha=-2), 3 * c.astype("float64") - 2 * want, 2 * a, w.T, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_rows_by_a_turned_matrix_with_threads(dtype):
    rng = np.random.default_rng(6)
    for m in (2, 5, 16, 24):
        a, w = rng.standard_normal((m, 1100)).astype(dtype), rng.standard_normal((1030, 1100)).astype(dtype)
        got = {}
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            got[threads] = rt.from_numpy(a) @ rt.from_numpy(w).T
            check(got[threads], a.astype("float64") @ w.T.astype("float64"), a, w.T, dtype)
        rt.config.use_deterministic(True)
        try:
            bits = []
            for threads in (1, 2, 3):
                rt.set_num_threads(threads)
                bits.append(rt.from_numpy(a) @ rt.from_numpy(w).T)
            assert rt.equal(bits[0], bits[1]) and rt.equal(bits[0], bits[2])
        finally:
            rt.config.use_deterministic(False)


few = st.one_of(st.integers(1, 20), st.sampled_from([31, 32, 33, 63, 64, 65]))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([(1,), (2,), (7,), (150,), (3, 5)]), few, few, few, st.sampled_from(["rows", "columns", "steps"]), st.sampled_from(["rows", "columns", "steps"]),
       st.sampled_from(["float32", "float64"]), st.sampled_from(LEVELS), st.sampled_from([1, 2, 5]), st.integers(0, 2 ** 31))
def test_batches_of_small_products(batch, m, k, n, la, lb, dtype, level, threads, seed):
    """One loop over a batch, and what is near its bounds: layouts, a batch step of nothing, batches that both operands are expanded along, what is added."""
    _cpu.set_simd_level(level)
    rt.set_num_threads(threads)
    rng = np.random.default_rng(seed)

    def stack(rows, cols, layout, lead):
        big = rng.standard_normal((*lead, 2 * rows, 3 * cols) if layout == "steps" else (*lead, cols + 1, rows) if layout == "columns" else (*lead, rows, cols + 1)).astype(dtype)
        view = (..., slice(None, None, 2), slice(None, None, 3)) if layout == "steps" else (..., slice(0, cols), slice(None)) if layout == "columns" else (..., slice(0, cols))
        a, x = big[view], rt.from_numpy(big)[view]
        return (a.swapaxes(-1, -2), x.mT) if layout == "columns" else (a, x)

    for left, right in ((batch, batch), ((*batch, 1), (1, 3)), ((1,), batch)):
        (a, x), (b, y) = stack(m, k, la, left), stack(k, n, lb, right)
        want = a.astype("float64") @ b.astype("float64")
        check(x @ y, want, a, b, dtype)
        if len(left) != 1 or len(right) != 1:
            continue
        x, y = x.expand(want.shape[0], m, k), y.expand(want.shape[0], k, n)
        for shape in (want.shape, want.shape[1:], (n,), (want.shape[0], 1, 1), (m, 1)):
            c = rng.standard_normal(shape).astype(dtype)
            check(rt.baddbmm(rt.from_numpy(c), x, y), want + c, a, b, dtype, c)
            check(rt.baddbmm(rt.from_numpy(c), x, y, beta=-0.5, alpha=2), 2 * want - 0.5 * c.astype("float64"), 2 * a, b, dtype, c)
        c = rng.standard_normal(want.shape).astype(dtype)
        z = rt.from_numpy(c.copy())
        version = z._version
        assert z.baddbmm_(x, y, beta=2, alpha=-1) is z and z._version == version + 1
        check(z, 2 * c.astype("float64") - want, a, b, dtype, 2 * c)


@settings(deadline=None, max_examples=100)
@given(sizes, sizes, sizes, st.sampled_from(["rows", "columns", "steps"]), st.sampled_from(["rows", "columns", "steps"]), st.sampled_from(["float32", "float64"]),
       st.sampled_from(LEVELS), st.sampled_from([1, 2, 5]), st.sampled_from([1, 0.5, 0]), st.integers(0, 2 ** 31))
def test_what_is_added(m, k, n, la, lb, dtype, level, threads, beta, seed):
    """A matrix that is added is read where it lies, by all loops; in place; outer products with it."""
    _cpu.set_simd_level(level)
    rt.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    (a, x), (b, y), (c, z) = laid(rng, m, k, la, dtype), laid(rng, k, n, lb, dtype), laid(rng, m, n, la, dtype)
    want = 3 * (a.astype("float64") @ b.astype("float64")) + beta * c.astype("float64")
    check(rt.addmm(z, x, y, beta=beta, alpha=3), want, 3 * a, b, dtype, c)
    check(rt.addmm(z[:1], x, y, beta=beta, alpha=3), want + beta * (c[:1].astype("float64") - c), 3 * a, b, dtype, np.abs(c) + np.abs(c[:1]))
    for t in (rt.from_numpy(c.copy()), z):                 # z lies on c's memory
        version = t._version
        assert t.addmm_(x, y, beta=beta, alpha=3) is t and t._version == version + 1
        check(t, want, 3 * a, b, dtype, c)
    v, w, c = a[:, 0], b[0], rng.standard_normal((m, n)).astype(dtype)
    want = beta * c + (v * np.array(2, dtype))[:, None] * w[None]
    assert np.array_equal(rt.addr(rt.from_numpy(c), x[:, 0], y[0], beta=beta, alpha=2).numpy(), want)
    z = rt.from_numpy(c.copy())
    assert z.addr_(x[:, 0], y[0], beta=beta, alpha=2) is z and np.array_equal(z.numpy(), want)
    with pytest.raises(RuntimeError):
        rt.from_numpy(c.copy()).requires_grad_().addmm_(x, y)


def test_added_in_place_among_its_operands():
    """An operand on the same memory: the product is made before it is written."""
    a = np.arange(9, dtype="float32").reshape(3, 3)
    for call, product in ((lambda t: t.addmm_(t, t), a @ a), (lambda t: t.addr_(t[0], t[:, 1]), np.outer(a[0], a[:, 1])),
                          (lambda t: t[None].baddbmm_(t[None], t[None])[0], a @ a)):
        assert np.array_equal(call(rt.from_numpy(a.copy())).numpy(), a + product)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([(2,), (9,), (300,), (3, 5)]), st.integers(1, 17), st.integers(1, 17), st.integers(1, 17), st.booleans(), st.booleans(),
       st.sampled_from(["uint8", "int8", "int16", "int32", "int64", "complex64", "complex128", "float16", "bfloat16"]), st.sampled_from(LEVELS),
       st.sampled_from([1, 2]), st.integers(0, 2 ** 31))
def test_batches_of_tiny_products(batch, m, k, n, ta, tb, dtype, level, threads, seed):
    """The other dtypes: wrapping sums exactly, complex and 16-bit ones within their roundings; turned operands, conjugates, what is added."""
    _cpu.set_simd_level(level)
    rt.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    half = dtype in ("float16", "bfloat16")

    def stack(rows, cols, turned, lead):
        shape = (*lead, cols, rows) if turned else (*lead, rows, cols)
        if half:
            x = rt.from_numpy(rng.standard_normal(shape).astype("float32")).to(getattr(rt, dtype))
            a = x.float().numpy()
        elif "complex" in dtype:
            a = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
            x = rt.from_numpy(a)
        else:
            a = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
            x = rt.from_numpy(a)
        return (a.swapaxes(-1, -2), x.mT) if turned else (a, x)

    def same(got, want, size):
        if "int" in dtype:
            assert np.array_equal(got.numpy(), want)
        else:
            step = {"float16": 2 ** -10, "bfloat16": 2 ** -7, "complex64": 2 ** -20, "complex128": 2 ** -49}[dtype]
            assert (np.abs((got.float() if half else got).numpy() - want) <= step * size + (6e-8 if half else 0)).all()              # the least of float16

    for left, right in ((batch, batch), ((*batch, 1), (1, 3))):
        (a, x), (b, y) = stack(m, k, ta, left), stack(k, n, tb, right)
        want, size = a.astype("complex128" if "complex" in dtype else a.dtype) @ b, np.abs(a) @ np.abs(b)
        same(x @ y, want, size)
        if "complex" in dtype:
            same(x.conj() @ y.conj(), np.conj(want), size)
        if len(left) == 1 and len(right) == 1:
            c, z = stack(m, n, False, left)
            same(rt.baddbmm(z, x, y), want + c, 2 * size + 2 * np.abs(c))
            if not half:
                with np.errstate(all="ignore"):
                    same(rt.baddbmm(z, x, y, beta=2, alpha=3), 3 * want + 2 * c, 3 * size + 2 * np.abs(c))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("m,k,n", [(1, 1, 8), (1, 300, 9), (3, 513, 77), (6, 1030, 1001), (6, 64, 256)])
def test_few_rows_of_16_bits(m, k, n, dtype, level):
    """Rows of a turned matrix that are widened some at a time; a step between rows, a bias, an activation, batches."""
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(m + n)
    x, w, b = (rt.from_numpy(rng.standard_normal(s).astype("float32")).to(getattr(rt, dtype)) for s in ((m, k + 3), (n, k), (n,)))
    x = x[:, 3:]
    wide = x.double().numpy() @ w.double().numpy().T
    step = {"float16": 2 ** -10, "bfloat16": 2 ** -7}[dtype]
    room = 1e-6 * (np.abs(x.double().numpy()) @ np.abs(w.double().numpy()).T)
    for threads in (1, 2, 3):
        rt.set_num_threads(threads)
        for got, want in ((x @ w.T, wide), (rt.nn.functional.linear(x, w, b), wide + b.double().numpy()), (x.contiguous().t().contiguous().t() @ w.mT, wide),
                          (rt._addmm_activation(b, x, w.T), np.maximum(wide + b.double().numpy(), 0)), (x.expand(3, m, k) @ w.T.expand(3, k, n), np.stack([wide] * 3))):
            assert (np.abs(got.double().numpy() - want) <= step * np.abs(want) + room + 1e-7).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_dots_of_complex_vectors(dtype, level):
    """Some elements at a time: sizes around the pieces, steps, conjugates; the same bits on any number of threads."""
    _cpu.set_simd_level(level)
    rng = np.random.default_rng(21)
    step = {"complex64": 1e-6, "complex128": 1e-14}[dtype]
    for n in (1, 31, 32, 33, 100, 1023, 1024, 1027, 33000, 70001):
        a, b = ((rng.standard_normal(2 * n) + 1j * rng.standard_normal(2 * n)).astype(dtype) for _ in range(2))
        for s, r in ((1, 1), (1, 2), (2, 1), (2, 2)):
            p, q = a[:n * s:s], b[:n * r:r]
            x, y = rt.from_numpy(a)[:n * s:s], rt.from_numpy(b)[:n * r:r]
            wide, room = p.astype("complex128"), step * (np.abs(p) @ np.abs(q))
            got = set()
            for threads in (1, 2, 3):
                rt.set_num_threads(threads)
                assert abs(complex(rt.dot(x, y)) - wide @ q) <= room and abs(complex(rt.vdot(x, y)) - wide.conj() @ q) <= room
                got.add(complex(rt.dot(x, y)))
            assert len(got) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m,n", [(1, 1), (3, 200), (257, 63), (300, 1000), (5000, 65), (2000, 513)])
def test_bias_gradients_on_threads(m, n, dtype):
    """Sums of rows, whose columns threads share: near NumPy's, the same bits on any number of threads."""
    rng = np.random.default_rng(22)
    g = rng.standard_normal((m, n)).astype(dtype)
    b = rt.zeros(n, dtype=getattr(rt, dtype), requires_grad=True)
    y = rt.nn.functional.linear(rt.zeros(m, 2, dtype=b.dtype), rt.zeros(n, 2, dtype=b.dtype), b)
    sums = []
    for threads in (1, 2, 3):
        rt.set_num_threads(threads)
        sums.append(rt.autograd.grad(y, b, rt.from_numpy(g), retain_graph=True)[0].numpy())
    assert (np.abs(sums[0] - g.astype("float64").sum(0)) <= 10 * TOL[dtype] * np.abs(g).sum(0)).all()
    assert np.array_equal(sums[0], sums[1]) and np.array_equal(sums[0], sums[2])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m,n", [(1, 64), (7, 65), (9, 128), (13, 200), (66, 256), (67, 1001), (700, 1024), (1027, 1040), (5, 4100), (300, 2048)])
def test_vectors_wherever_the_matrix_begins(m, n, dtype, level):
    """Rows of a line of the cache and within one, between numbers that are none: near NumPy's, the same bits at every address (Note [Whole lines])."""
    _cpu.set_simd_level(level)
    rt.set_num_threads(1)
    rng = np.random.default_rng(23)
    matrix, x, rows = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal(n).astype(dtype), rng.standard_normal((3, m)).astype(dtype)
    size = matrix.itemsize
    for step in (n, (n + 15) // 16 * 16 + 16):
        first = None
        for into in (0, 1, 3, 64 // size - 1):
            room = np.full(m * step + 128 // size, np.nan, dtype)
            start = -(room.ctypes.data // size) % (64 // size) + into
            room[start:start + m * step].reshape(m, step)[:, :n] = matrix
            a = rt.from_numpy(room[start:start + m * step].reshape(m, step))[:, :n]
            assert a.data_ptr() % 64 == into * size
            shift = rt.from_numpy(np.concatenate([np.zeros(into, dtype), x]))[into:]
            got = [a @ shift, rt.from_numpy(rows[0]) @ a, rt.from_numpy(rows[:2]) @ a, rt.from_numpy(rows) @ a]
            if first is None:
                first = got
                check(got[0], matrix.astype("float64") @ x, matrix, x, dtype)
                for y, r in zip(got[1:], (rows[0], rows[:2], rows)):
                    check(y, r.astype("float64") @ matrix, r, matrix, dtype)
            assert all(np.array_equal(y.numpy(), z.numpy()) for y, z in zip(first, got))
