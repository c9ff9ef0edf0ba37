"""Matrix products: values over shape x dtype x layout x instruction set against NumPy, gradients, rules."""
import itertools
import time

import numpy as np
import pytest

import rustorch_py as rt

FLOATS = ["float32", "float64", "complex64", "complex128", "float16"]
INTS = ["uint8", "int8", "int16", "int32", "int64"]
TOL = {"float16": 4e-3, "float32": 2e-5, "complex64": 2e-5, "float64": 1e-12, "complex128": 1e-12}


def make(rng, shape, dtype, layout="contiguous"):
    """An array of the shape in a layout, and the tensor on the same values."""
    if layout == "transposed" and len(shape) > 1:
        a = draw(rng, shape[:-2] + (shape[-1], shape[-2]), dtype)
        return np.swapaxes(a, -1, -2), rt.from_numpy(a).mT
    if layout == "sliced":
        a = draw(rng, tuple(2 * s for s in shape), dtype)
        cut = tuple(slice(None, None, 2) for _ in shape)
        return a[cut], rt.from_numpy(a)[cut]
    if layout == "expanded" and len(shape) > 1:
        a = draw(rng, (1,) * (len(shape) - 1) + shape[-1:], dtype)
        return np.broadcast_to(a, shape), rt.from_numpy(a).expand(shape)
    a = draw(rng, shape, dtype)
    return a, rt.from_numpy(a)


def draw(rng, shape, dtype):
    if dtype in INTS:
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    a = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        a = a + 1j * rng.standard_normal(shape)
    return np.asarray(a).astype(dtype)


def close(got, want, dtype, k):
    got = got.numpy()
    if dtype in INTS:
        assert np.array_equal(got, want.astype(dtype))
        return
    tol = TOL[dtype] * (1 + k ** 0.5)
    assert np.allclose(got, want, rtol=tol, atol=tol), float(np.max(np.abs(got - want)))


def wide(a, dtype):
    return a.astype({"float16": np.float64, "float32": np.float64, "complex64": np.complex128}.get(dtype, a.dtype))


@pytest.mark.parametrize("dtype", FLOATS + INTS)
def test_mm_shapes_and_layouts(dtype, level):
    rng = np.random.default_rng(7)
    sizes = [0, 1, 2, 3, 5, 8, 17, 33]
    layouts = itertools.cycle(itertools.product(("contiguous", "transposed", "sliced", "expanded"), repeat=2))
    with np.errstate(over="ignore"):
        for m, n, k in itertools.product(sizes, sizes, sizes):
            la, lb = next(layouts)
            a, x = make(rng, (m, k), dtype, la)
            b, y = make(rng, (k, n), dtype, lb)
            close(rt.mm(x, y), wide(a, dtype) @ wide(b, dtype), dtype, k)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "float16", "int32"])
@pytest.mark.parametrize("m,k,n", [(32, 784, 128), (200, 130, 300), (1, 500, 70), (70, 500, 1), (6, 700, 50), (129, 65, 257)])
def test_mm_larger(dtype, m, k, n):
    rng = np.random.default_rng(3)
    with np.errstate(over="ignore"):
        for la, lb in itertools.product(("contiguous", "transposed"), repeat=2):
            a, x = make(rng, (m, k), dtype, la)
            b, y = make(rng, (k, n), dtype, lb)
            close(rt.mm(x, y), wide(a, dtype) @ wide(b, dtype), dtype, k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m,k,n", [(8, 300, 530), (197, 515, 66), (210, 40, 1030), (13, 1100, 23)])
def test_packed_blocks(dtype, m, k, n, level):
    """Sizes that leave an edge on every block of a packed product; layouts, bias rows, sums into what is there."""
    rng = np.random.default_rng(4)
    layouts = ("contiguous", "transposed", "sliced", "expanded")
    for la, lb in itertools.product(layouts, repeat=2):
        a, x = make(rng, (m, k), dtype, la)
        b, y = make(rng, (k, n), dtype, lb)
        want = wide(a, dtype) @ wide(b, dtype)
        close(rt.mm(x, y), want, dtype, k)
        row, r = make(rng, (n,), dtype)
        close(rt.nn.functional.linear(x, y.mT, r), want + row, dtype, k)
    c, z = make(rng, (m, n), dtype)
    close(rt.addmm(z, x, y), want + c, dtype, k)
    close(rt.addmm(z, x, y, beta=0.5, alpha=2), 2 * want + 0.5 * c, dtype, k)
    out = rt.empty(n, m, dtype=z.dtype).mT
    close(rt.mm(x, y, out=out), want, dtype, k)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_split_over_threads(threads):
    before = rt.get_num_threads()
    rng = np.random.default_rng(5)
    try:
        rt.set_num_threads(threads)
        for batch, m, k, n in ((1, 300, 200, 300), (5, 130, 150, 140), (1, 90, 400, 700)):
            a, b = rng.standard_normal((batch, m, k)), rng.standard_normal((batch, k, n))
            assert np.allclose(rt.bmm(rt.from_numpy(a), rt.from_numpy(b)).numpy(), a @ b)
    finally:
        rt.set_num_threads(before)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
                                    ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((6, 1, 2, 3), (5, 3, 4)), ((6, 5, 2, 3), (6, 5, 3, 4)),
                                    ((1, 2, 3), (5, 3, 4)), ((0, 2, 3), (3, 4)), ((2, 0), (0, 4))])
@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64"])
def test_matmul_ranks(shapes, dtype):
    rng = np.random.default_rng(1)
    with np.errstate(over="ignore"):
        for la, lb in itertools.product(("contiguous", "transposed", "sliced", "expanded"), repeat=2):
            a, x = make(rng, shapes[0], dtype, la)
            b, y = make(rng, shapes[1], dtype, lb)
            for got in (x @ y, rt.matmul(x, y), x.matmul(y)):
                assert tuple(got.shape) == (a @ b).shape
                close(got, np.asarray(a @ b), dtype, 3)


@pytest.mark.parametrize("equation,shapes", [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]),
    ("ij->ji", [(2, 3)]), ("i,j->ij", [(2,), (3,)]), ("ij,ij->", [(2, 3), (2, 3)]), ("bn,anm,bm->ba", [(2, 3), (4, 3, 5), (2, 5)]),
    ("...ij,...jk->...ik", [(6, 5, 2, 3), (5, 3, 4)]), ("ijj,jk->ki", [(2, 3, 3), (3, 4)]), ("a,b,c->cab", [(2,), (3,), (4,)]),
    ("...i->...", [(2, 3, 4)]), ("ij,kj,lj->ikl", [(2, 5), (3, 5), (4, 5)]), ("i...,i...->...", [(3, 2), (3, 2)])])
def test_einsum(equation, shapes):
    rng = np.random.default_rng(2)
    ins = [rng.standard_normal(s) for s in shapes]
    want = np.einsum(equation, *ins)
    got = rt.einsum(equation, *[rt.from_numpy(a) for a in ins]).numpy()
    assert got.shape == want.shape and np.allclose(got, want)
    assert np.allclose(rt.einsum(equation, [rt.from_numpy(a) for a in ins]).numpy(), want)


def test_einsum_sublists_and_refusals():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    assert np.allclose(rt.einsum(x, [0, 1], y, [1, 2], [2, 0]).numpy(), (a @ b).T)
    assert np.allclose(rt.einsum(x, [..., 1], y, [1, 2]).numpy(), a @ b)
    for bad in ("ij,jk->iz", "ij", "ij,jkl", "i.j,jk", "ij,jk->ii"):
        with pytest.raises(RuntimeError):
            rt.einsum(bad, x, y)
    with pytest.raises(RuntimeError):
        rt.einsum("ij,ij->i", x, y)


def test_other_products():
    rng = np.random.default_rng(4)
    a, b, c = rng.standard_normal((2, 3, 4)), rng.standard_normal((3, 4, 5)), rng.standard_normal((6, 4))
    x, y, z = rt.from_numpy(a), rt.from_numpy(b), rt.from_numpy(c)
    assert np.allclose(rt.tensordot(x, y).numpy(), np.tensordot(a, b))
    assert np.allclose(rt.tensordot(x, z, ([2], [1])).numpy(), np.tensordot(a, c, ([2], [1])))
    assert np.allclose(rt.inner(x, z).numpy(), np.inner(a, c))
    assert np.allclose(rt.kron(x, z).numpy(), np.kron(a, c))
    assert np.allclose(rt.outer(z[0], z[1]).numpy(), np.outer(c[0], c[1]))
    assert np.allclose(rt.linalg.multi_dot([z, z.mT, z, z.mT[:, 0]]).numpy(), np.linalg.multi_dot([c, c.T, c, c.T[:, 0]]))
    assert np.allclose(rt.vdot(z[0] + 1j * z[1], z[2] + 1j * z[3]).numpy(), np.vdot(c[0] + 1j * c[1], c[2] + 1j * c[3]))
    w = rng.standard_normal((7, 4, 5))
    want = np.einsum("ni,oij,nj->no", c, w, c @ b[0])
    assert np.allclose(rt.nn.functional.bilinear(z, z @ y[0], rt.from_numpy(w)).numpy(), want)


def test_added_products():
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 4, 5))
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    m = rng.standard_normal((2, 5))
    s = rt.from_numpy(m)
    assert np.allclose(rt.addmm(s, x[0], y[0], beta=0.5, alpha=2).numpy(), 0.5 * m + 2 * a[0] @ b[0])
    assert np.allclose(rt.addmm(s[0], x[0], y[0]).numpy(), m[0] + a[0] @ b[0])
    assert np.allclose(rt.baddbmm(s, x, y, beta=0.5, alpha=2).numpy(), 0.5 * m + 2 * a @ b)
    assert np.allclose(rt.addbmm(s, x, y, beta=0.5, alpha=2).numpy(), 0.5 * m + 2 * (a @ b).sum(0))
    assert np.allclose(rt.addmv(s[:, 0], x[0], y[0, :, 0], alpha=3).numpy(), m[:, 0] + 3 * a[0] @ b[0, :, 0])
    assert np.allclose(rt.addr(s, x[0, :, 0], y[0, 0], beta=2).numpy(), 2 * m + np.outer(a[0, :, 0], b[0, 0]))
    nan = rt.full((2, 5), float("nan"), dtype=rt.float64)
    assert np.allclose(rt.addmm(nan, x[0], y[0], beta=0).numpy(), a[0] @ b[0])
    t = s.clone()
    assert t.addmm_(x[0], y[0]) is t and np.allclose(t.numpy(), m + a[0] @ b[0])


def test_linear_against_its_definition():
    rng = np.random.default_rng(8)
    for lead in ((), (3,), (2, 3), (2, 1, 3)):
        for k, n in ((2, 8), (8, 1), (40, 33)):
            a, w, b = rng.standard_normal(lead + (k,)), rng.standard_normal((n, k)), rng.standard_normal(n)
            x, v, c = (rt.from_numpy(t).requires_grad_() for t in (a, w, b))
            y = rt.nn.functional.linear(x, v, c)
            assert np.allclose(y.detach().numpy(), a @ w.T + b)
            g = rng.standard_normal(y.shape)
            y.backward(rt.from_numpy(g))
            rows, grows = a.reshape(-1, k), g.reshape(-1, n)
            assert np.allclose(x.grad.numpy(), g @ w)
            assert np.allclose(v.grad.numpy(), grows.T @ rows)
            assert np.allclose(c.grad.numpy(), grows.sum(0))


@pytest.mark.parametrize("name,shapes", [("mm", [(2, 3), (3, 4)]), ("bmm", [(2, 2, 3), (2, 3, 2)]), ("mv", [(2, 3), (3,)]), ("dot", [(3,), (3,)]),
                                         ("vdot", [(3,), (3,)]), ("matmul", [(2, 2, 3), (3, 2)]), ("matmul", [(2, 1, 2, 3), (2, 3, 2)]),
                                         ("addmm", [(2,), (3, 2), (2, 2)]), ("baddbmm", [(2, 2), (2, 2, 3), (2, 3, 2)]),
                                         ("addmv", [(2,), (2, 3), (3,)]), ("inner", [(2, 3), (2, 3)]), ("kron", [(2, 2), (2,)])])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_gradients(name, shapes, dtype):
    rng = np.random.default_rng(9)
    ins = [rt.from_numpy(draw(rng, s, dtype)).requires_grad_() for s in shapes]
    fn = getattr(rt, name)
    assert rt.autograd.gradcheck(fn, ins)
    assert rt.autograd.gradgradcheck(fn, ins)


def test_linear_gradients():
    rng = np.random.default_rng(10)
    for shapes in ([(2, 3), (4, 3), (4,)], [(2, 2, 3), (2, 3)]):
        ins = [rt.from_numpy(rng.standard_normal(s)).requires_grad_() for s in shapes]
        assert rt.autograd.gradcheck(rt.nn.functional.linear, ins)
        assert rt.autograd.gradgradcheck(rt.nn.functional.linear, ins)


def test_out_forms():
    a, b = rt.ones(2, 3), rt.ones(3, 4)
    out = rt.empty(2, 4)
    assert rt.mm(a, b, out=out) is out and float(out.sum()) == 24
    turned = rt.empty(4, 2).t()
    rt.mm(a, b, out=turned)
    assert turned.tolist() == out.tolist()
    square = rt.ones(3, 3)
    rt.mm(square, square, out=square)                       # out is an operand
    assert square.tolist() == [[3.0] * 3] * 3
    with pytest.raises(RuntimeError):
        rt.mm(a.requires_grad_(), b, out=out)


@pytest.mark.parametrize("call", [
    lambda: rt.mm(rt.ones(2, 3), rt.ones(2, 3)), lambda: rt.mm(rt.ones(2), rt.ones(2, 2)), lambda: rt.mm(rt.ones(2, 2), rt.ones(2, 2).double()),
    lambda: rt.bmm(rt.ones(2, 2, 2), rt.ones(3, 2, 2)), lambda: rt.ones(()) @ rt.ones(2), lambda: rt.ones(2, 3) @ rt.ones(2),
    lambda: rt.ones(2, 3, 4) @ rt.ones(3, 4, 2), lambda: rt.dot(rt.ones(2), rt.ones(3)), lambda: rt.nn.functional.linear(rt.ones(2, 3), rt.ones(4, 2)),
    lambda: rt.addmm(rt.ones(3, 3), rt.ones(2, 3), rt.ones(3, 2)), lambda: rt.mm(rt.ones(2, 2).bool(), rt.ones(2, 2).bool())])
def test_refusals(call):
    with pytest.raises(RuntimeError):
        call()


@pytest.mark.skipif(not __import__("os").path.isdir("/proc/self/task"), reason="needs Linux's /proc")
def test_import_starts_no_threads():
    import subprocess
    import sys
    code = "import os, rustorch_py as rt; rt.ones(3, 3) @ rt.ones(3, 3); print(len(os.listdir('/proc/self/task')), os.environ.get('OPENBLAS_NUM_THREADS'))"
    import os
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.split() == ["1", "None"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
def test_a_forked_child_computes():
    import os
    import time
    before = rt.get_num_threads()
    rt.set_num_threads(2)
    try:
        a = rt.ones(400, 400)
        want = float((a @ a).sum())                          # the parent's team exists now
        child = os.fork()
        if child == 0:
            ok = False
            try:
                ok = float((a @ a).sum()) == want and float((a + a).sum()) == 320000 and rt.get_num_threads() == 1
            finally:
                os._exit(0 if ok else 1)
        status, end = None, time.monotonic() + 30
        while status is None and time.monotonic() < end:
            done, code = os.waitpid(child, os.WNOHANG)
            status = code if done else None
            time.sleep(0.01)
        if status is None:
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert status == 0, "the child hung" if status is None else "the child failed"
    finally:
        rt.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_rows_and_long_vectors(dtype, level):
    """Rows too few for tiles, with beta, bias and a step between rows; dot products cut into pieces."""
    rng = np.random.default_rng(11)
    for m, k, n in itertools.product((1, 2, 3, 5, 7), (1, 6, 67), (64, 131, 1100)):
        (a, x), (b, y), (c, z), (v, w) = (make(rng, s, dtype) for s in ((m, k), (k, n), (m, n), (n,)))
        close(rt.mm(x, y), wide(a, dtype) @ wide(b, dtype), dtype, k)
        close(rt.addmm(z, x, y, beta=0.5, alpha=2.0), 0.5 * wide(c, dtype) + 2 * (wide(a, dtype) @ wide(b, dtype)), dtype, k)
        close(rt.nn.functional.linear(x, y.t().contiguous().t().t(), w), wide(a, dtype) @ wide(b, dtype) + wide(v, dtype), dtype, k)
        large = rt.full((m, n + 3), 7.0, dtype=x.dtype)
        rt.mm(x, y, out=large[:, :n])
        close(large[:, :n], wide(a, dtype) @ wide(b, dtype), dtype, k)
        assert (large[:, n:] == 7).all()
    before = rt.get_num_threads()
    try:
        for n in (131071, 131072, 200003):
            (a, x), (b, y) = make(rng, (n,), dtype), make(rng, (n,), dtype)
            found = []
            for threads in (1, 2):
                rt.set_num_threads(threads)
                found.append(x.dot(y).item())
            assert found[0] == found[1]
            assert abs(found[0] - float(wide(a, dtype) @ wide(b, dtype))) < TOL[dtype] * n ** 0.5
    finally:
        rt.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_integer_products(dtype, level):
    """Tiles, panels as they lie and packed, dot products, blocks of long sums; exact, also where sums overflow."""
    rng = np.random.default_rng(14)
    info = np.iinfo(dtype)
    for m, k, n in ((1, 40, 70), (70, 40, 1), (3, 129, 37), (5, 1030, 9), (21, 2100, 66), (64, 64, 64), (30, 2, 200), (17, 1, 130), (128, 33, 260)):
        for la, lb in itertools.product(("contiguous", "transposed", "sliced", "expanded"), repeat=2):
            (a, x), (b, y) = make(rng, (m, k), dtype, la), make(rng, (k, n), dtype, lb)
            c, v = rng.integers(info.min, info.max, (m, n), dtype), rng.integers(info.min, info.max, n, dtype)
            if la == "contiguous":
                a[:] = rng.integers(info.min, info.max, (m, k), dtype)
                x = rt.from_numpy(a.copy())
            with np.errstate(over="ignore"):
                want = a @ b
                assert np.array_equal(rt.mm(x, y).numpy(), want)
                assert np.array_equal(rt.addmm(rt.from_numpy(c), x, y, beta=3, alpha=-2).numpy(), (np.array(3, dtype) * c - np.array(2, dtype) * want).astype(dtype))
                assert np.array_equal(rt.addmm(rt.from_numpy(v), x, y).numpy(), v + want)
            out = rt.zeros(n, m, dtype=x.dtype).mT
            assert np.array_equal(rt.mm(x, y, out=out).numpy(), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m,k,n", [(70, 40, 1), (300, 67, 2), (600, 33, 3), (31, 129, 5), (64, 64, 4)])
def test_few_columns(dtype, m, k, n, level):
    """Columns too few for a register: every layout, a bias, sums into what is there, a step between rows of the result."""
    rng = np.random.default_rng(12)
    for la, lb in itertools.product(("contiguous", "transposed", "sliced", "expanded"), repeat=2):
        (a, x), (b, y), (c, z), (v, w) = make(rng, (m, k), dtype, la), make(rng, (k, n), dtype, lb), make(rng, (m, n), dtype), make(rng, (n,), dtype)
        want = wide(a, dtype) @ wide(b, dtype)
        close(rt.mm(x, y), want, dtype, k)
        for _ in range(3):                             # the third meets a kept weight where one is kept
            close(rt.nn.functional.linear(x, y.mT, w), want + wide(v, dtype), dtype, k)
        close(rt.addmm(z, x, y, beta=0.5, alpha=2.0), 0.5 * wide(c, dtype) + 2 * want, dtype, k)
        large = rt.full((m, n + 3), 7.0, dtype=x.dtype)
        rt.mm(x, y, out=large[:, :n])
        close(large[:, :n], want, dtype, k)
        assert (large[:, n:] == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_small_products_do_not_tell_whether_threads_were_awake(dtype):
    """Note [Small products] in kernels/gemm.c: the first product after a pause is one thread's, those that follow have more."""
    before = rt.get_num_threads()
    rng = np.random.default_rng(13)
    try:
        for threads in (2, 3):
            rt.set_num_threads(threads)
            for m, k, n in ((64, 64, 64), (16, 1024, 16), (3, 200, 300), (100, 30, 70), (1, 256, 256), (256, 256, 1)):
                a, b = (rt.from_numpy(rng.standard_normal(s)).to(getattr(rt, dtype)) for s in ((m, k), (k, n)))
                for y in (b, b.t().contiguous().t()):
                    time.sleep(0.02)
                    first = a @ y
                    assert all(rt.equal(a @ y, first) for _ in range(300))
    finally:
        rt.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_dot_products(dtype):
    rng = np.random.default_rng(15)
    for batch, k in ((300, 1), (7, 3), (500, 40), (3, 5000)):
        (a, x), (b, y) = make(rng, (batch, 1, k), dtype), make(rng, (batch, k, 1), dtype)
        close(rt.bmm(x, y), wide(a, dtype) @ wide(b, dtype), dtype, k)
        close(rt.bmm(x.expand(batch, 1, k), y[:1].expand(batch, k, 1)), wide(a, dtype) @ wide(b[:1], dtype), dtype, k)
        close(rt.einsum("ij,ij->i", x[:, 0], y[:, :, 0]), (wide(a[:, 0], dtype) * wide(b[:, :, 0], dtype)).sum(1), dtype, k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outer_products(dtype, level):
    """The loop of its own and the elementwise one: the same bits, whatever the sizes, steps and histories."""
    rng = np.random.default_rng(16)
    for m, n in ((1, 1), (0, 3), (256, 2), (3, 67), (200, 129), (400, 400)):
        (a, x), (b, y), (c, z) = make(rng, (m,), dtype), make(rng, (n,), dtype), make(rng, (m, n), dtype)
        with np.errstate(all="ignore"):
            if n:
                y[0] = b[0] = np.inf
            want = np.outer(a, b)
        assert np.array_equal(rt.outer(x, y).numpy(), want, equal_nan=True)
        assert np.array_equal(rt.outer(x, y, out=rt.empty(n, m, dtype=x.dtype).mT).numpy(), want, equal_nan=True)
        assert np.array_equal(rt.addr(z, x, y).numpy(), c + want, equal_nan=True)
        wide_x, wide_y = rt.stack([x, x], 1)[:, 1], rt.stack([y, y], 1)[:, 0]
        assert np.array_equal(rt.outer(wide_x, wide_y).numpy(), want, equal_nan=True)
        p = x.clone().requires_grad_()
        assert np.array_equal(rt.outer(p, y).detach().numpy(), want, equal_nan=True) and rt.outer(p, y).requires_grad


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_by_a_matrix(dtype, threads):
    """Threads share the rows of the matrix, Note [A row by rows] in kernels/gemm.c; a step between them, what is there, a row that is added."""
    before = rt.get_num_threads()
    rng = np.random.default_rng(17)
    try:
        rt.set_num_threads(threads)
        for k, n in ((1024, 1024), (1030, 511), (4200, 257), (200, 3000)):
            (a, x), (b, y), (c, z), (v, w) = make(rng, (1, k), dtype), make(rng, (k, n), dtype), make(rng, (1, n), dtype), make(rng, (n,), dtype)
            want = wide(a, dtype) @ wide(b, dtype)
            close(x @ y, want, dtype, k)
            close(x[0] @ y, want[0], dtype, k)
            close(rt.addmm(w, x, y), want + v, dtype, k)
            close(rt.addmm(z, x, y, beta=0.5, alpha=2), 2 * want + 0.5 * c, dtype, k)
            close(x @ y[:, 1:], want[:, 1:], dtype, k)
    finally:
        rt.set_num_threads(before)
