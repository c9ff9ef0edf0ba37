"""Matrix products on the device, by cuBLASLt (on the software device: by a stand-in for it) or by our own kernel."""
import ctypes
import itertools
import os

import numpy as np
import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F
from rustorch_py.cuda import _backend
from rustorch_py.errors import DeviceError

assert rt.cuda.is_available()
SOFTWARE = rt.cuda.get_device_name().startswith("Software")
LIBRARY = _backend.blas()["library"] == "cublaslt"
STANDIN = ctypes.CDLL(os.environ["RUSTORCH_CUBLASLT"]) if SOFTWARE and LIBRARY else None
rng = np.random.default_rng(0)
DTYPES = (rt.float32, rt.float64, rt.float16, rt.bfloat16, rt.complex64, rt.complex128)
TOLERANCE = {rt.float32: 2e-6, rt.float64: 1e-14, rt.float16: 1e-3, rt.bfloat16: 8e-3, rt.complex64: 2e-6, rt.complex128: 1e-14}
library = pytest.mark.skipif(not LIBRARY, reason="products are our own here")
standin = pytest.mark.skipif(STANDIN is None, reason="asks the stand-in for cuBLASLt")


@pytest.fixture(scope="module", autouse=True)
def large_and_small_alike():
    """Products of small matrices by the same way as large ones; device_small_products.py has their own."""
    _backend.small_products(False)
    yield
    _backend.small_products(True)


def make(shape, dtype):
    x = rng.standard_normal(shape)
    return rt.from_numpy(x + 1j * rng.standard_normal(shape) if dtype.is_complex else x).to(dtype)


def wide(x):
    return x.to(rt.complex128 if x.is_complex() else rt.float64)


def check(got, want, dtype, note=""):
    assert got.dtype == dtype and got.is_cuda and got.shape == want.shape, note
    error = (wide(got.cpu()) - want).abs().max().item() if want.numel() else 0
    assert error <= TOLERANCE[dtype] * max(1, want.abs().max().item()), (note, error)


class Count:
    """What a block asked of the library."""

    def __enter__(self):
        self.before, self.launched = _backend.blas(), _backend.launches()
        return self

    def __exit__(self, *error):
        after = _backend.blas()
        self.launches = _backend.launches() - self.launched
        for key in ("products", "plans", "refused", "copies", "fused"):
            setattr(self, key, after[key] - self.before[key])


def last():
    names = ("compute", "op_a", "op_b", "epilogue", "reduction", "batch", "in_place", "lda", "ldb", "ldc", "ldd", "workspace")
    return dict(zip(names, (ctypes.c_int64 * 12).in_dll(STANDIN, "standin_last")))


def test_who_multiplies():
    found = _backend.blas()
    if SOFTWARE:
        named = os.environ.get("RUSTORCH_CUBLASLT", "0")
        assert (found["library"] == "own") == (named == "0")
    assert (found["version"] >= 130000) == (found["library"] == "cublaslt") == (found["why"] is None)


def test_who_shall_multiply():
    ask = rt.backends.cuda.preferred_blas_library
    assert ask().name == ("Cublaslt" if LIBRARY else "Own")
    a = make((4, 6), rt.float32)
    try:
        assert ask("own").name == "Own" and _backend.blas()["library"] == "own" and _backend.blas()["why"]
        with Count() as count:
            check(a.cuda() @ a.cuda().t(), wide(a) @ wide(a).t(), rt.float32)
            check(F.linear(a.cuda(), a.cuda(), a[:, 0].contiguous().cuda()), wide(a) @ wide(a).t() + wide(a)[:, 0], rt.float32)
        assert count.products == 0
        with pytest.raises(RuntimeError, match="mkl"):
            ask("mkl")
    finally:
        assert ask("default").name == ("Cublaslt" if LIBRARY else "Own")
    assert ask(ask()) == ask("cublas")


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(dtype):
    for batch, (m, n, k) in itertools.product(((), (3,)), ((7, 5, 6), (1, 9, 4), (9, 1, 4), (3, 4, 1), (16, 24, 32))):
        for ta, tb in itertools.product((0, 1), (0, 1)):
            a, b = make(batch + ((k, m) if ta else (m, k)), dtype), make(batch + ((n, k) if tb else (k, n)), dtype)
            x, y = (a.mT if ta else a), (b.mT if tb else b)
            u, v = (a.cuda().mT if ta else a.cuda()), (b.cuda().mT if tb else b.cuda())
            with Count() as c:
                got = u @ v
            check(got, wide(x) @ wide(y), dtype, (batch, m, n, k, ta, tb))
            assert not LIBRARY or (c.products, c.launches, c.copies) == (1, 1, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_views(dtype):
    a, b, v = make((20, 30), dtype), make((30, 16), dtype), make((30,), dtype)
    d, e, w = a.cuda(), b.cuda(), v.cuda()
    cases = {"rows": (lambda x, y, z: x[2:9, 3:17] @ y[4:18, 1:6]), "every second row": (lambda x, y, z: x[::2] @ y[:, 2:]), "steps": (lambda x, y, z: x[:, ::2] @ y[::2]),
             "both": (lambda x, y, z: x[::2, ::3] @ y[::3, ::2]), "expanded": (lambda x, y, z: z.expand(4, 30) @ y), "columns expanded": (lambda x, y, z: x @ z[:, None].expand(30, 5)),
             "mv": (lambda x, y, z: x @ z), "vm": (lambda x, y, z: z @ y), "one row": (lambda x, y, z: x[3:4] @ y), "one column": (lambda x, y, z: x @ y[:, 2:3]),
             "batch of views": (lambda x, y, z: x.view(2, 10, 30)[:, 1::3] @ y.expand(2, 30, 16)), "odd start": (lambda x, y, z: x.reshape(-1)[1:13].view(3, 4) @ y[1:5])}
    for name, fn in cases.items():
        check(fn(d, e, w), fn(wide(a), wide(b), wide(v)), dtype, name)


@pytest.mark.parametrize("dtype", (rt.float32, rt.bfloat16, rt.complex64, rt.int32, rt.int8))
def test_dot(dtype):
    real = not dtype.is_complex and dtype.is_floating_point
    for n in (0, 1, 5, 300, 20000):
        x, y = (make((2 * n + 3,), dtype) if real or dtype.is_complex else rt.from_numpy(rng.integers(-9, 9, 2 * n + 3)).to(dtype) for _ in range(2))
        for view in (lambda v: v[:n], lambda v: v[1:n + 1], lambda v: v[:2 * n:2]):
            for fn in (rt.dot, rt.vdot):
                p, q = view(x), view(y)
                with Count() as count:
                    got = fn(p.cuda(), view(y.cuda()))
                assert got.shape == () and got.dtype == dtype and got.is_cuda and count.launches <= 3
                if not real and not dtype.is_complex:
                    assert got.item() == fn(p, q).item()
                    continue
                scale = max(1, (wide(p).abs() * wide(q).abs()).sum().item())
                assert abs(got.cpu().item() - fn(wide(p), wide(q)).item()) <= TOLERANCE[dtype] * scale, (n, fn)
    if real or dtype.is_complex:
        x, y = make((40,), dtype), make((40,), dtype)
        for fn in (rt.dot, rt.vdot, rt.inner, rt.matmul):
            here, there = [t.clone().requires_grad_() for t in (x, y)], [t.cuda().requires_grad_() for t in (x, y)]
            for pair in (here, there):
                result = fn(*pair)
                (result.abs() ** 2).backward()
            for u, v in zip(here, there):
                error = (wide(v.grad.cpu()) - wide(u.grad)).abs().max().item()
                assert error <= 20 * TOLERANCE[dtype] * max(1, wide(u.grad).abs().max().item()), fn


@pytest.mark.parametrize("dtype", (rt.complex64, rt.complex128))
def test_conjugates(dtype):
    a, b = make((6, 6), dtype), make((6, 6), dtype)
    forms = {"as it is": lambda x: x, "conj": lambda x: x.conj(), "mT": lambda x: x.mT, "mH": lambda x: x.mH}
    for (i, f), (j, g) in itertools.product(forms.items(), forms.items()):
        check(f(a.cuda()) @ g(b.cuda()), f(wide(a)) @ g(wide(b)), dtype, (i, j))
    x, y = (t.cuda().requires_grad_() for t in (a, b))
    p, q = (t.clone().requires_grad_() for t in (a, b))
    (x @ y).abs().sum().backward()
    (p @ q).abs().sum().backward()
    check(x.grad, wide(p.grad), dtype)
    check(y.grad, wide(q.grad), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_added(dtype):
    a, b, c, bias = make((8, 12), dtype), make((12, 10), dtype), make((8, 10), dtype), make((10,), dtype)
    d, e, f, h = (t.cuda() for t in (a, b, c, bias))
    product = wide(a) @ wide(b)
    real = not dtype.is_complex
    for name, got, want, launches in (
            ("row", lambda: rt.addmm(h, d, e), wide(bias) + product, 1 if real else 2), ("row and alpha", lambda: rt.addmm(h, d, e, alpha=-2), wide(bias) - 2 * product, 1 if real else 2),
            ("row and beta", lambda: rt.addmm(h, d, e, beta=2), 2 * wide(bias) + product, 2), ("full", lambda: rt.addmm(f, d, e, beta=0.5, alpha=2), wide(c) / 2 + 2 * product, 1),
            ("wide row", lambda: rt.addmm(h[None], d, e), wide(bias) + product, 1 if real else 2),
            ("columns", lambda: rt.addmm(f[:, :1], d, e), wide(c)[:, :1] + product, 2), ("transposed", lambda: rt.addmm(f.t()[:8, :8], d, e[:, :8]), wide(c).t()[:8, :8] + product[:, :8], 2),
            ("one number", lambda: rt.addmm(h[3], d, e), wide(bias)[3] + product, 2), ("beta 0", lambda: rt.addmm(f * float("nan"), d, e, beta=0), product, 2),
            ("steps", lambda: rt.addmm(f[:, ::2], d, e[:, ::2]), wide(c)[:, ::2] + product[:, ::2], 2)):
        with Count() as count:
            result = got()
        check(result, want, dtype, name)
        assert not LIBRARY or (count.launches == launches and count.products == (1 if name != "steps" or not LIBRARY else count.products)), (name, count.launches)
    g = make((3, 8, 10), dtype)
    x, y = make((3, 8, 12), dtype), make((3, 12, 10), dtype)
    check(rt.baddbmm(g.cuda(), x.cuda(), y.cuda(), beta=0.5, alpha=2), wide(g) / 2 + 2 * wide(x) @ wide(y), dtype)
    check(rt.baddbmm(h, x.cuda(), y.cuda()), wide(bias) + wide(x) @ wide(y), dtype)
    check(rt.baddbmm(f, x.cuda(), y.cuda()), wide(c) + wide(x) @ wide(y), dtype)
    check(f.clone().addmm_(d, e, beta=2), 2 * wide(c) + product, dtype)


@pytest.mark.parametrize("dtype", (rt.float32, rt.bfloat16))
def test_an_activation_after_it(dtype):
    a, b, c, bias = make((8, 12), dtype), make((12, 10), dtype), make((8, 10), dtype), make((10,), dtype)
    d, e, f, h = (t.cuda() for t in (a, b, c, bias))
    product = wide(a) @ wide(b)
    for gelu, act in ((False, F.relu), (True, lambda x: F.gelu(x, approximate="tanh"))):
        for added, beta in ((h, 1), (f, 0.5), (h, 2), (f, 0)):
            with Count() as count:
                got = rt._addmm_activation(added, d, e, beta=beta, use_gelu=gelu)
            check(got, act(beta * wide(added.cpu()) + product), dtype, (gelu, beta))
            assert not LIBRARY or (beta in (0, 2) or (count.launches, count.fused) == (1, 1)), (count.launches, count.fused)
    far = (4 - 8 * (rt.arange(10) % 2)).to(dtype)                 # nothing lies so near 0 that a rounding decides its side
    before = wide(far) + product / 4
    assert before.abs().min() > 0.25
    x = (d / 4).requires_grad_()
    rt._addmm_activation(far.cuda(), x, e).sum().backward()
    check(x.grad, (before > 0).to(rt.float64) @ wide(b).t(), dtype)


def test_out():
    a, b = make((8, 12), rt.float32), make((12, 10), rt.float32)
    want = wide(a) @ wide(b)
    for out in (rt.empty(8, 10, device="cuda"), rt.empty(10, 8, device="cuda").t(), rt.empty(8, 20, device="cuda")[:, ::2], rt.empty(9, 16, device="cuda")[1:, 3:13]):
        check(rt.mm(a.cuda(), b.cuda(), out=out), want, rt.float32)
        check(out, want, rt.float32)
    out = rt.empty(4, 2, 3, device="cuda").permute(2, 0, 1)
    x, y = make((3, 4, 5), rt.float32), make((3, 5, 2), rt.float32)
    check(rt.bmm(x.cuda(), y.cuda(), out=out), wide(x) @ wide(y), rt.float32)


def test_integers_are_our_own():
    a = rt.arange(12).reshape(3, 4)
    with Count() as count:
        assert rt.equal((a.cuda() @ a.cuda().t()).cpu(), a @ a.t())
    assert count.products == 0


def test_nothing_to_sum():
    with Count() as count:
        assert (rt.ones(3, 0, device="cuda") @ rt.ones(0, 4, device="cuda")).sum().item() == 0
        assert rt.addmm(rt.ones(4, device="cuda"), rt.ones(3, 0, device="cuda"), rt.ones(0, 4, device="cuda")).sum().item() == 12
        assert (rt.ones(0, 3, device="cuda") @ rt.ones(3, 4, device="cuda")).shape == (0, 4)
    assert count.products == 0


@pytest.mark.parametrize("dtype", (rt.float32, rt.float64, rt.float16, rt.bfloat16))
def test_linear_and_its_gradients(dtype):
    for lead in ((6,), (2, 3), ()):
        x, w, b, g = make(lead + (8,), dtype), make((5, 8), dtype), make((5,), dtype), make(lead + (5,), dtype)
        xd, wd, bd = (t.cuda().requires_grad_() for t in (x, w, b))
        with Count() as count:
            y = F.linear(xd, wd, bd)
        check(y, wide(x) @ wide(w).t() + wide(b), dtype)
        assert not LIBRARY or (count.launches, count.products, count.fused) == (1, 1, 1)
        upstream = g.cuda()
        with Count() as count:
            y.backward(upstream)
        rows = wide(g).reshape(-1, 5)
        check(xd.grad, (rows @ wide(w)).reshape(x.shape), dtype)
        check(wd.grad, rows.t() @ wide(x).reshape(-1, 8), dtype)
        check(bd.grad, rows.sum(0), dtype)
        assert not LIBRARY or (count.products, count.copies) == (2, 0) and count.launches <= 3
    if dtype == rt.float64:
        assert rt.autograd.gradcheck(F.linear, tuple(t.cuda().requires_grad_() for t in (x, w, b)))
        assert rt.autograd.gradgradcheck(F.linear, tuple(t.cuda().requires_grad_() for t in (make((2, 8), dtype), w, b)))


def test_large_operands_that_lie_badly_are_copied():
    a, b = make((128, 256), rt.float32), make((256, 64), rt.float32)
    with Count() as count:
        got = a.cuda()[:, ::2] @ b.cuda()[::2]
    check(got, wide(a)[:, ::2] @ wide(b)[::2], rt.float32)
    assert not LIBRARY or (count.products, count.copies) == (1, 1)
    c = make((128, 128), rt.complex64)
    with Count() as count:
        got = c.cuda().conj() @ c.cuda().conj()
    check(got, wide(c).conj() @ wide(c).conj(), rt.complex64)
    assert not LIBRARY or count.products == 1
    z = make((1, 128, 256), rt.float32)
    got = z.cuda().expand(3, 128, 256)[:, :, ::2] @ b.cuda()[::2].expand(3, 128, 64)
    check(got, (wide(z)[:, :, ::2] @ wide(b)[::2]).expand(3, 128, 64), rt.float32)


@library
def test_many_in_a_batch():
    a, b = make((70000, 2, 3), rt.float32), make((70000, 3, 2), rt.float32)
    with Count() as count:
        got = a.cuda() @ b.cuda()
    check(got, wide(a) @ wide(b), rt.float32)
    assert count.products == 2


def test_tf32_where_it_is_allowed():
    a, b = make((32, 64), rt.float32), make((64, 32), rt.float32)
    want, error = wide(a) @ wide(b), {}

    def off():
        return (wide((a.cuda() @ b.cuda()).cpu()) - want).abs().max().item()
    assert rt.get_float32_matmul_precision() == "highest" and not rt.backends.cuda.matmul.allow_tf32
    try:
        exact = off()
        for set_ in (lambda: rt.set_float32_matmul_precision("high"), lambda: rt.set_float32_matmul_precision("medium"),
                     lambda: setattr(rt.backends.cuda.matmul, "allow_tf32", True), lambda: setattr(rt.backends.cuda.matmul, "fp32_precision", "tf32")):
            set_()
            assert rt.backends.cuda.matmul.allow_tf32 and rt.backends.cuda.matmul.fp32_precision == "tf32"
            error = off()
            assert not LIBRARY or 1e-4 < error < 0.1
            rt.backends.cuda.matmul.allow_tf32 = False
            assert rt.get_float32_matmul_precision() == "highest" and off() == exact < 2e-5
        rt.backends.cuda.matmul.allow_tf32 = True
        check(a.double().cuda() @ b.double().cuda(), want, rt.float64)
    finally:
        rt.set_float32_matmul_precision("highest")


@standin
def test_sums_of_halves():
    switch = rt.backends.cuda.matmul
    for dtype, name in ((rt.float16, "allow_fp16_reduced_precision_reduction"), (rt.bfloat16, "allow_bf16_reduced_precision_reduction")):
        a = make((4, 6), dtype).cuda()
        assert getattr(switch, name) is True
        try:
            a @ a.t()
            assert last()["reduction"] == 7 and last()["workspace"] == 32 << 20
            setattr(switch, name, False)
            a @ a.t()
            assert last()["reduction"] == 2
        finally:
            setattr(switch, name, True)
    for bad in ("allow_tf32", "allow_fp16_reduced_precision_reduction"):
        with pytest.raises(TypeError, match="bool"):
            setattr(switch, bad, 1)
    with pytest.raises(AttributeError):
        switch.nothing = True


@standin
def test_what_the_library_is_asked():
    a, b, c = make((8, 12), rt.float32).cuda(), make((12, 10), rt.float32).cuda(), make((8, 10), rt.float32).cuda()
    a @ b
    assert last() == {"compute": 68, "op_a": 0, "op_b": 0, "epilogue": 1, "reduction": 7, "batch": 1, "in_place": 1, "lda": 10, "ldb": 12, "ldc": 10, "ldd": 10, "workspace": 32 << 20}
    rt.addmm(c, a, b)
    assert last()["in_place"] == 0
    b.t() @ a.t()
    assert (last()["op_a"], last()["op_b"], last()["ldd"]) == (1, 1, 8)
    F.linear(a, b.t().contiguous(), c[0])
    assert (last()["op_a"], last()["op_b"], last()["epilogue"]) == (1, 0, 4)
    a.expand(4, 8, 12) @ b.t().contiguous().t().expand(4, 12, 10)
    assert last()["batch"] == 4


@library
def test_a_plan_serves_again():
    a, b = make((21, 22), rt.float32).cuda(), make((22, 23), rt.float32).cuda()
    a @ b
    with Count() as count:
        for _ in range(5):
            a @ b
    assert (count.products, count.plans) == (5, 0)
    w, bias = make((23, 22), rt.float32).cuda(), make((5, 23), rt.float32)
    for row in bias:                          # one plan, whose bias moves
        check(F.linear(a, w, row.cuda()), wide(a.cpu()) @ wide(w.cpu()).t() + wide(row), rt.float32)


@standin
def test_what_the_library_cannot_do_is_our_own():
    for columns, dtype in ((13, rt.float32), (11, rt.bfloat16)):
        a, b, bias = make((4, 6), dtype), make((columns, 6), dtype), make((columns,), dtype)
        want = wide(a) @ wide(b).t()
        x, y, z = a.cuda(), b.cuda(), bias.cuda()
        for turn in range(2):
            with Count() as count:
                check(x @ y.t(), want, dtype)
                check(F.linear(x, y, z), want + wide(bias), dtype)
            assert count.products == 0 and (count.refused == 0) == (turn == 1), (columns, turn)


@standin
def test_a_failure_is_named():
    with pytest.raises(DeviceError, match=r"cublasLtMatmul: CUBLAS_STATUS_EXECUTION_FAILED \(m 17, n 4, k 6, batch 1, float32, op TN\)"):
        make((4, 6), rt.float32).cuda() @ make((17, 6), rt.float32).cuda().t()


@library
def test_graphs_have_their_own_workspace():
    a, b = make((6, 5000), rt.float32), make((5000, 7), rt.float32)
    x, y = a.cuda(), b.cuda()
    graphs = []
    for _ in range(2):
        graph = rt.cuda.CUDAGraph()
        with rt.cuda.graph(graph):            # plans made inside a capture, and work to do in a workspace
            z = x @ y
            s = F.linear(z, z.t()[:5, :6].repeat(1, 2)[:, :7], z[0, :5])
        graphs.append((graph, z, s))
    x.mul_(2)
    for graph, z, s in graphs:
        graph.replay()
        want = 2 * wide(a) @ wide(b)
        check(z, want, rt.float32)
        check(s, want @ want.t()[:5, :6].repeat(1, 2)[:, :7].t() + want[0, :5], rt.float32)
    del graph, graphs
    check(x @ y, want, rt.float32)


@library
def test_a_stream_gives_its_workspace_back():
    a, b = make((6, 5000), rt.float32).cuda(), make((5000, 7), rt.float32).cuda()
    want = wide(a.cpu()) @ wide(b.cpu())

    def turn():
        stream = rt.cuda.Stream()
        stream.wait_stream(rt.cuda.current_stream())
        with rt.cuda.stream(stream):
            z = a @ b
        rt.cuda.current_stream().wait_stream(stream)
        rt.cuda.synchronize()
        check(z, want, rt.float32)
    for _ in range(3):
        turn()
    held = rt.cuda.memory_reserved()
    for _ in range(20):
        turn()
    assert rt.cuda.memory_reserved() <= held + (64 << 20)


@library
def test_more_shapes_than_plans_are_kept():
    x, one = rt.ones(100, 1, device="cuda"), rt.full((1, 1), 2.0, device="cuda")
    _backend.blas_tries(1, plans=20)
    try:
        with Count() as count:
            for n in range(1, 100):
                assert (x[:n] @ one).sum().item() == 2 * n
            for n in range(95, 100):
                x[:n] @ one
        assert (count.plans, count.products) == (99, 104)
    finally:
        _backend.blas_tries(1)


@library
def test_the_fastest_of_several_proposals():
    a, b = make((500, 500), rt.bfloat16), make((500, 500), rt.bfloat16)
    _backend.blas_tries(4)
    try:
        check(a.cuda() @ b.cuda(), wide(a) @ wide(b), rt.bfloat16)
    finally:
        _backend.blas_tries(1)
