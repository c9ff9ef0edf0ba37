"""Linear algebra against PyTorch: values, gradients, double backward, named results, errors."""
import itertools
import math
import warnings

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt
from tests.parity.test_matmul_parity import compare, to_rt, to_torch

TL, RL = torch.linalg, rt.linalg
INF = float("inf")
BOTH = [torch.float64, torch.complex128]


def plus3(x):
    return x + 3 * torch.eye(x.shape[-1], dtype=x.dtype)


def inputs(shapes, dtype, shift):
    torch.manual_seed(len(shapes) + shapes[0][-1])
    xs = [torch.randn(s, dtype=dtype) for s in shapes]
    if shift is not None:
        xs[shift] = plus3(xs[shift])
    return xs


S, T = (3, 3), (2, 3, 3)
# name in linalg, shapes, positional, keyword, number of the input to move away from singularity
CASES = []
for s in (S, T):
    two, wide = s[:-1] + (2,), s[:-2] + (2, 3)
    CASES += [("inv", [s], (), {}, 0), ("det", [s], (), {}, None), ("slogdet", [s], (), {}, 0), ("solve", [s, two], (), {}, 0),
              ("solve", [s, wide], (), dict(left=False), 0), ("solve", [s, (3,) if s == S else s[:-1]], (), {}, 0),
              ("matrix_power", [s], (3,), {}, None), ("matrix_power", [s], (-2,), {}, 0), ("matrix_exp", [s], (), {}, None), ("eigvals", [s], (), {}, None)]
    CASES += [("solve_triangular", [s, s], (), dict(upper=u, left=left, unitriangular=one), 0) for u in (True, False) for left in (True, False) for one in (True, False)]
    CASES += [("cond", [s], (p,), {}, 0) for p in (None, 2, -2, "nuc")]
    for sh in (s, two, wide):
        CASES += [("svdvals", [sh], (), {}, None), ("pinv", [sh], (), {}, None), ("qr", [sh], (), {}, None), ("norm", [sh], (), {}, None)]
        CASES += [("matrix_norm", [sh], (o,), {}, None) for o in ("fro", "nuc", 1, -1, 2, -2, INF, -INF)]
CASES += [("vector_norm", [(3, 4)], (p,), dict(dim=d, keepdim=k), None) for p in (0.5, 1, 1.5, 2, 3, -1, INF, -INF) for d, k in ((None, False), (1, True), ((0, 1), False))]
CASES += [("cross", [(4, 3), (4, 3)], (), {}, None), ("vecdot", [(4, 3), (4, 3)], (), {}, None), ("vander", [(2, 4)], (), {}, None),
          ("diagonal", [(2, 3, 4)], (), {}, None), ("tensorinv", [(2, 3, 6)], (), {}, None), ("tensorsolve", [(2, 3, 6), (2, 3)], (), {}, None),
          ("householder_product", [(3, 2), (2,)], (), {}, None)]


@pytest.mark.parametrize("name,shapes,args,kwargs,shift", CASES, ids=lambda v: str(v).replace(" ", ""))
@pytest.mark.parametrize("dtype", BOTH)
def test_by_name(name, shapes, args, kwargs, shift, dtype):
    compare(lambda *x: getattr(TL, name)(*x, *args, **kwargs), lambda *x: getattr(RL, name)(*x, *args, **kwargs), inputs(shapes, dtype, shift), 1e-7)


def _positive(t, x):
    return x @ x.mH + 3 * t.eye(3, dtype=x.dtype)


COMPOSED = {
    "cholesky": lambda t, x: t.linalg.cholesky(_positive(t, x)),
    "cholesky upper": lambda t, x: t.linalg.cholesky(_positive(t, x), upper=True),
    "cholesky_inverse": lambda t, x: t.cholesky_inverse(t.linalg.cholesky(_positive(t, x))),
    "cholesky_solve": lambda t, x: t.cholesky_solve(x[..., :2], t.linalg.cholesky(_positive(t, x))),
    "logdet": lambda t, x: t.logdet(_positive(t, x)),
    "eigh": lambda t, x: [t.linalg.eigh(x + x.mH)[0], t.linalg.eigh(x + x.mH)[1].abs()],
    "eigvalsh": lambda t, x: t.linalg.eigvalsh(x + x.mH, "U"),
    "eig": lambda t, x: [t.linalg.eig(x)[0], t.linalg.eig(x)[1].abs()],
    "svd": lambda t, x: [t.linalg.svd(x)[0].abs(), t.linalg.svd(x)[1], t.linalg.svd(x)[2].abs()],
    "svd tall": lambda t, x: [u.abs() for u in t.linalg.svd(x[..., :2], full_matrices=False)],
    "svd wide": lambda t, x: [u.abs() for u in t.linalg.svd(x[..., :2, :], full_matrices=False)],
    "svd old": lambda t, x: [u.abs() for u in t.svd(x)],
    "qr complete": lambda t, x: t.linalg.qr(x[..., :2, :], "complete"),
    "lu": lambda t, x: t.linalg.lu(x)[1:], "lu tall": lambda t, x: t.linalg.lu(x[..., :2])[1:], "lu wide": lambda t, x: t.linalg.lu(x[..., :2, :])[1:],
    "lu_solve": lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x[..., :2]),
    "lu_solve adjoint": lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x[..., :2], adjoint=True),
    "lu_solve right": lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x[..., :2, :], left=False),
    "lstsq": lambda t, x: t.linalg.lstsq(x[..., :2], x).solution,
    "pinv hermitian": lambda t, x: t.linalg.pinv(_positive(t, x), hermitian=True),
    "norm": lambda t, x: [t.norm(x), t.norm(x, 3, dim=-1), t.dist(x, x * 2), x.norm(p=1)],
    "triangular_solve": lambda t, x: t.triangular_solve(x[..., :2], x + 3 * t.eye(3, dtype=x.dtype), transpose=True)[0],
    "ormqr": lambda t, x: t.ormqr(x[..., :2], x[..., 0, :2], x),
}


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("shape", [S, T])
@pytest.mark.parametrize("dtype", BOTH)
def test_composed(name, shape, dtype):
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(lambda x: COMPOSED[name](torch, x), lambda x: COMPOSED[name](rt, x), [plus3(torch.randn(shape, dtype=dtype))], 1e-7)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, INF])
def test_cdist(p):
    a, b = torch.randn(2, 30, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    x, y = (t.clone().requires_grad_() for t in (a, b))
    u, v = to_rt(x), to_rt(y)
    want, got = torch.cdist(x, y, p), rt.cdist(u, v, p)
    torch.testing.assert_close(to_torch(got), want.detach())
    g = torch.randn(want.shape, dtype=want.dtype)
    want.backward(g)
    got.backward(to_rt(g))
    torch.testing.assert_close(to_torch(u.grad), x.grad)
    torch.testing.assert_close(to_torch(v.grad), y.grad)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_cdist_of_short_floats(dtype):
    a, b = torch.randn(2, 30, 4), torch.randn(5, 4)
    g, got = torch.randn(2, 30, 5).to(getattr(torch, dtype)).float(), {}
    for name in (dtype, "float32"):
        x, y = (to_rt(t).to(getattr(rt, dtype)).to(getattr(rt, name)).requires_grad_() for t in (a, b))
        d = rt.cdist(x, y)
        d.backward(to_rt(g).to(d.dtype))
        got[name] = d, x.grad, y.grad
    for short, wide in zip(got[dtype], got["float32"]):
        assert short.dtype == getattr(rt, dtype)
        torch.testing.assert_close(to_torch(short.detach().float()), to_torch(wide.detach()), atol=6e-2, rtol=2e-2)      # sums over 30 rows of terms that divide by a rounded distance
    assert torch.cdist(a.to(getattr(torch, dtype)), b.to(getattr(torch, dtype))).dtype == getattr(torch, dtype)
    small = [t[..., :3, :] for t in (a, b)]
    for lib in (torch, rt):
        with pytest.raises((RuntimeError, TypeError), match="not implemented"):
            lib.cdist(*((t if lib is torch else to_rt(t)).to(getattr(lib, dtype)) for t in small))


@pytest.mark.parametrize("name,args", [("svd", ()), ("qr", ()), ("eigh", ()), ("eig", ()), ("slogdet", ()), ("inv_ex", ()), ("cholesky_ex", ()), ("lu", ()),
                                       ("lu_factor", ()), ("lu_factor_ex", ()), ("ldl_factor", ()), ("ldl_factor_ex", ()), ("lstsq", (1,)), ("solve_ex", (1,))])
def test_named_results(name, args):
    a = torch.eye(3, dtype=torch.float64) * 2
    want = getattr(TL, name)(*[a] * (1 + len(args)))
    got = getattr(RL, name)(*[to_rt(a)] * (1 + len(args)))
    assert type(got).__name__ == type(want).__name__.rpartition(".")[2]
    for field in [f for f in dir(want) if not f.startswith(("_", "n_", "count", "index"))]:
        p, q = getattr(want, field), getattr(got, field)
        assert str(p.dtype).split(".")[1] == str(q.dtype).split(".")[1] and tuple(p.shape) == tuple(q.shape), field
        torch.testing.assert_close(to_torch(q), p, msg=field)


ONE = [
    lambda t: t.linalg.inv(t.zeros(2, 2)), lambda t: t.linalg.inv(t.ones(2, 3)), lambda t: t.linalg.inv(t.ones(3)), lambda t: t.linalg.inv(t.ones(2, 2).long()),
    lambda t: t.linalg.inv(t.ones(2, 2).half()), lambda t: t.linalg.solve(t.zeros(2, 2), t.ones(2, 1)), lambda t: t.linalg.solve(t.eye(2), t.ones(3, 1)),
    lambda t: t.linalg.cholesky(-t.eye(3)), lambda t: t.linalg.eigh(t.eye(2), "X"), lambda t: t.linalg.eig(t.full((2, 2), float("nan"))),
    lambda t: t.linalg.qr(t.eye(2), "x"), lambda t: t.linalg.qr(t.eye(2, requires_grad=True), "r").R.sum().backward(),
    lambda t: t.linalg.matrix_norm(t.eye(2), 5), lambda t: t.linalg.matrix_norm(t.ones(3)), lambda t: t.linalg.vector_norm(t.ones(2), 2, 5),
    lambda t: t.linalg.norm(t.ones(2, 2, 2), 2), lambda t: t.linalg.cross(t.ones(2), t.ones(2)), lambda t: t.linalg.tensorinv(t.ones(2, 3)),
    lambda t: t.linalg.multi_dot([t.eye(2)]), lambda t: t.linalg.lu_factor(t.eye(2), pivot=False), lambda t: t.linalg.svd(t.eye(2), driver="gesvd"),
    lambda t: t.linalg.lstsq(t.eye(2), t.eye(2), driver="x"), lambda t: t.cdist(t.ones(2, 3), t.ones(2, 4)), lambda t: t.trace(t.ones(3)),
    lambda t: t.linalg.matrix_power(t.ones(2, 3), 2), lambda t: t.linalg.solve_triangular(t.eye(2), t.ones(3, 1), upper=True),
    lambda t: t.norm(t.ones(2).long()), lambda t: t.linalg.householder_product(t.ones(2, 3), t.ones(2)), lambda t: t.linalg.svd("x"),
]


@pytest.mark.parametrize("number", range(len(ONE)))
def test_errors_have_the_same_type(number):
    with pytest.raises(Exception) as theirs:
        ONE[number](torch)
    kind = RL.LinAlgError if isinstance(theirs.value, TL.LinAlgError) else theirs.type
    with pytest.raises(kind):
        ONE[number](rt)


@pytest.mark.parametrize("driver", ["gelsy", "gels", "gelsd"])
def test_lstsq_of_batches(driver):
    """Shapes and values where B is a vector, a matrix, or has a batch of its own."""
    def outcome(t, a, b):
        try:
            r = t.linalg.lstsq(t.arange(1., 1 + math.prod(a)).reshape(a) + 5 * t.eye(*a[-2:]), t.arange(1., 1 + math.prod(b)).reshape(b), driver=driver)
        except RuntimeError:
            return None
        return tuple(r.solution.shape), tuple(r.residuals.shape), tuple(r.rank.shape), tuple(r.singular_values.shape), [round(v, 3) for v in r.solution.flatten().tolist()]
    batches = [(), (1,), (2,), (3,), (2, 1)]
    for a, b in itertools.product(batches, batches):
        for shape, of_b in (((3, 2), (3, 3)), ((3, 3), (3, 2)), ((3, 2), (3,)), ((2, 3), (2, 1))):
            assert outcome(rt, a + shape, b + of_b) == outcome(torch, a + shape, b + of_b), (a + shape, b + of_b)
