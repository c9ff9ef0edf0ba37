"""Matrix products against PyTorch: values, gradients, double backward, errors."""
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt

F, G = torch.nn.functional, rt.nn.functional


def to_rt(x):
    return rt.from_numpy(x.detach().resolve_conj().numpy()).requires_grad_(x.requires_grad)


def to_torch(x):
    return torch.from_numpy(x.detach().numpy())


def compare(theirs, ours, inputs, tol=1e-9):
    """Values, first and second gradients of one function in both packages."""
    xs = [x.detach().requires_grad_() for x in inputs]
    ys = [to_rt(x) for x in xs]
    a, b = theirs(*xs), ours(*ys)
    a, b = (list(a), list(b)) if isinstance(a, (tuple, list)) else ([a], [b])
    for p, q in zip(a, b):
        torch.testing.assert_close(to_torch(q), p.detach(), rtol=tol, atol=tol)
        assert q.requires_grad == p.requires_grad
    a, b = [p for p in a if p.requires_grad], [q for q in b if q.requires_grad]
    weights = [torch.randn(p.shape, dtype=p.dtype) for p in a]
    ga = torch.autograd.grad(a, xs, weights, create_graph=True, allow_unused=True)
    for graph in (False, True):
        gb = rt.autograd.grad(b, ys, [to_rt(w) for w in weights], create_graph=graph, retain_graph=True, allow_unused=True)
        for p, q in zip(ga, gb):
            assert (p is None) == (q is None)
            if p is not None:
                torch.testing.assert_close(to_torch(q), p.detach(), rtol=tol, atol=tol)
    which = [i for i, p in enumerate(ga) if p is not None and p.requires_grad]
    if which:
        more = [torch.randn(ga[i].shape, dtype=ga[i].dtype) for i in which]
        ha = torch.autograd.grad([ga[i] for i in which], xs, more, allow_unused=True)
        hb = rt.autograd.grad([gb[i] for i in which], ys, [to_rt(w) for w in more], allow_unused=True)
        for p, q in zip(ha, hb):
            p = torch.zeros(()) if p is None else p
            q = torch.zeros(p.shape, dtype=p.dtype) if q is None else to_torch(q)
            torch.testing.assert_close(q, p.expand(q.shape).to(q.dtype), rtol=tol * 100, atol=tol * 100)


CASES = [
    ("mm", [(3, 4), (4, 5)], {}), ("bmm", [(2, 3, 4), (2, 4, 5)], {}), ("mv", [(3, 4), (4,)], {}), ("dot", [(4,), (4,)], {}),
    ("vdot", [(4,), (4,)], {}), ("outer", [(4,), (3,)], {}), ("inner", [(2, 3, 4), (5, 4)], {}), ("kron", [(2, 3), (4, 2)], {}),
    ("tensordot", [(2, 3, 4), (3, 4, 5)], {}), ("addmm", [(3, 5), (3, 4), (4, 5)], dict(beta=0.5, alpha=2.0)), ("addmm", [(5,), (3, 4), (4, 5)], {}),
    ("baddbmm", [(3, 5), (2, 3, 4), (2, 4, 5)], dict(beta=0.5, alpha=2.0)), ("addbmm", [(3, 5), (2, 3, 4), (2, 4, 5)], dict(beta=0.5, alpha=2.0)),
    ("addmv", [(3,), (3, 4), (4,)], dict(beta=0.5, alpha=2.0)), ("addr", [(3, 4), (3,), (4,)], dict(beta=0.5, alpha=2.0)),
] + [("matmul", list(s), {}) for s in [((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 5)), ((3, 4), (2, 4, 5)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,)),
                                       ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 3, 4), (2, 3, 4, 2)), ((2, 0), (0, 3))]]


@pytest.mark.parametrize("name,shapes,kwargs", CASES, ids=lambda v: str(v).replace(" ", ""))
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_products(name, shapes, kwargs, dtype):
    torch.manual_seed(0)
    compare(lambda *x: getattr(torch, name)(*x, **kwargs), lambda *x: getattr(rt, name)(*x, **kwargs), [torch.randn(s, dtype=dtype) for s in shapes])


@pytest.mark.parametrize("shapes", [[(3, 4), (5, 4), (5,)], [(2, 3, 4), (5, 4)], [(4,), (5, 4), (5,)], [(2, 3, 4), (5, 4), (5,)], [(0, 4), (5, 4), (5,)]])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_linear(shapes, dtype):
    compare(F.linear, G.linear, [torch.randn(s, dtype=dtype) for s in shapes])


def test_flags_of_views():
    for dtype in (torch.float64, torch.complex128):
        a, b = torch.randn(4, 3, dtype=dtype), torch.randn(5, 4, dtype=dtype)
        compare(lambda x, y: x.mT @ y.mT, lambda x, y: x.mT @ y.mT, [a, b])
        compare(lambda x, y: x.mH @ y.mH, lambda x, y: x.mH @ y.mH, [a, b])
        compare(lambda x, y: (x * 1).mT.addmm(y, y.mH), lambda x, y: (x * 1).mT.addmm(y, y.mH), [torch.randn(5, 5, dtype=dtype), b])


@pytest.mark.parametrize("equation,shapes", [("ij,jk->ik", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(2, 2, 3), (2, 3, 4)]), ("...ij,...jk->...ik", [(2, 3, 2, 3), (1, 3, 4)]),
                                             ("ii->i", [(3, 3)]), ("bn,anm,bm->ba", [(2, 3), (4, 3, 5), (2, 5)]), ("ij,ij->", [(2, 3), (2, 3)]), ("i,j", [(2,), (3,)]),
                                             ("...,...", [(2, 1), (1, 3)]), ("ij,kj->...ik", [(2, 3), (4, 3)]), ("Ab,bC", [(2, 3), (3, 2)])])
def test_einsum(equation, shapes):
    for dtype in (torch.float64, torch.complex128):
        compare(lambda *x: torch.einsum(equation, *x), lambda *x: rt.einsum(equation, *x), [torch.randn(s, dtype=dtype) for s in shapes])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("m,k,n", [(3, 5, 7), (40, 300, 30)])
def test_half_precision_rounds_once(dtype, m, k, n):
    a, b, c = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype), torch.randn(n).to(dtype)
    name = str(dtype).split(".")[1]
    x, y, z = (rt.tensor(t.float().tolist(), dtype=getattr(rt, name)) for t in (a, b, c))
    exact = a.double() @ b.double().T
    for got, want in ((rt.mm(x, y.t()), exact), (G.linear(x, y, z), exact + c.double())):
        got = torch.tensor(got.double().tolist(), dtype=torch.float64)
        unit = 2.0 ** (-11 if dtype == torch.float16 else -8)
        assert ((got - want).abs() <= unit * want.abs() * 1.01 + 1e-4).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_products_by_layout_and_size(dtype, level):
    """Every layout of both operands, results with a step, beta, batches: within one rounding of the exact value."""
    name = str(dtype).split(".")[1]
    unit = 2.0 ** (-11 if dtype == torch.float16 else -8)

    def both(*shape):
        t = torch.randn(*shape).to(dtype)
        return t, rt.tensor(t.float().numpy(), dtype=getattr(rt, name))

    def near(got, want, weight=1):
        got = torch.tensor(got.double().numpy())
        assert ((got - want).abs() <= unit * weight * want.abs() * 1.01 + 1e-3).all()

    for m, k, n in ((1, 70, 33), (37, 65, 41), (130, 257, 190)):
        for left in ("rows", "columns", "steps"):
            for right in ("rows", "columns", "steps"):
                (a, x), (b, y) = (both(*s) for s in (((m, k) if left == "rows" else (k, m) if left == "columns" else (m, 2 * k)),
                                                     ((k, n) if right == "rows" else (n, k) if right == "columns" else (k, 2 * n))))
                pick = {"rows": lambda t: t, "columns": lambda t: t.t(), "steps": lambda t: t[:, ::2]}
                near(pick[left](x) @ pick[right](y), pick[left](a).double() @ pick[right](b).double())
        (a, x), (b, y), (c, z) = both(m, k), both(k, n), both(m, n)
        near(rt.addmm(z, x, y, beta=0.5, alpha=2.0), 0.5 * c.double() + 2 * (a.double() @ b.double()), 2)
    (a, x), (b, y) = both(5, 60, 70), both(5, 70, 66)
    near(x @ y, a.double() @ b.double())


ONE = [
    lambda t, f: t.mm(t.ones(2, 3), t.ones(2, 3)), lambda t, f: t.mm(t.ones(2), t.ones(2, 2)), lambda t, f: t.mm(t.ones(2, 2), t.ones(2, 2).double()),
    lambda t, f: t.bmm(t.ones(2, 2), t.ones(2, 2)), lambda t, f: t.bmm(t.ones(2, 2, 2), t.ones(3, 2, 2)), lambda t, f: t.ones(()) @ t.ones(2),
    lambda t, f: t.ones(2, 3) @ t.ones(2), lambda t, f: t.ones(2, 3, 4) @ t.ones(3, 4, 2), lambda t, f: t.dot(t.ones(2), t.ones(3)),
    lambda t, f: t.dot(t.ones(2), t.ones(2).double()), lambda t, f: t.mm(t.ones(2, 2).bool(), t.ones(2, 2).bool()), lambda t, f: t.ones(2, 2) @ 3,
    lambda t, f: t.addmm(t.ones(3, 3), t.ones(2, 3), t.ones(3, 2)), lambda t, f: f.linear(t.ones(2, 3), t.ones(4, 2)), lambda t, f: t.mv(t.ones(2, 3), t.ones(2)),
    lambda t, f: t.einsum("ij,jk->iz", t.ones(2, 3), t.ones(3, 4)), lambda t, f: t.einsum("ij", t.ones(2)), lambda t, f: t.einsum("ij,jk", t.ones(2, 3)),
    lambda t, f: t.tensordot(t.ones(2, 3), t.ones(2, 3), 1), lambda t, f: t.inner(t.ones(2, 3), t.ones(2, 4)), lambda t, f: t.outer(t.ones(2, 2), t.ones(2)),
    lambda t, f: t.mm(t.ones(2, 2), "x"), lambda t, f: t.mm(t.ones(2, 2, requires_grad=True), t.ones(2, 2), out=t.ones(2, 2)),
]


@pytest.mark.parametrize("number", range(len(ONE)))
def test_errors_have_the_same_type(number):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as theirs:
            ONE[number](torch, F)
        with pytest.raises(theirs.type):
            ONE[number](rt, G)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("beta, alpha", [(1, 1), (2, -3), (0, 1)])
def test_addmm_activation(gelu, beta, alpha):
    for shape in ((5,), (3, 5), (3, 1), ()):
        arrays = [np.random.default_rng(i).standard_normal(s) for i, s in enumerate((shape, (3, 4), (4, 5)))]
        want = torch._addmm_activation(*(torch.tensor(a) for a in arrays), beta=beta, alpha=alpha, use_gelu=gelu)
        got = rt._addmm_activation(*(rt.tensor(a) for a in arrays), beta=beta, alpha=alpha, use_gelu=gelu)
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12, atol=1e-12)
    out = rt.empty(3, 5, dtype=rt.float64)
    assert rt._addmm_activation(*(rt.tensor(a) for a in arrays), beta=beta, alpha=alpha, use_gelu=gelu, out=out) is out
    np.testing.assert_allclose(out.numpy(), want.numpy(), rtol=1e-12, atol=1e-12)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        rt._addmm_activation(rt.ones(5), rt.ones(3, 4), rt.ones(3, 5))
