"""Operators on dtypes that few programs give them: what PyTorch's CPU computes, values and gradients."""
import itertools
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

RNG = np.random.default_rng(0)
COMPLEX = RNG.standard_normal(40) * 3 + 1j * RNG.standard_normal(40) * 3


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def both(array, dtype, shape=None, grad=False):
    return [m.from_numpy(np.asarray(array).reshape(shape or np.shape(array)).copy()).to(getattr(m, dtype)).requires_grad_(grad) for m in (torch, rt)]


def same(theirs, ours, tol=1e-6):
    assert tuple(theirs.shape) == tuple(ours.shape) and str(theirs.dtype) == str(ours.dtype)
    wide = [x.detach().to(m.complex128 if x.is_complex() else m.float64).numpy() for x, m in ((theirs, torch), (ours, rt))]
    np.testing.assert_allclose(wide[1], wide[0], rtol=tol, atol=tol)


UNARY = {"softsign": lambda m, x: m.nn.functional.softsign(x), "tanhshrink": lambda m, x: m.nn.functional.tanhshrink(x),
         "softsign layer": lambda m, x: m.nn.Softsign()(x), "logsumexp": lambda m, x: m.logsumexp(x.reshape(4, 10), 1), "logsumexp of large": lambda m, x: m.logsumexp(x * 300, 0),
         "logsumexp of all": lambda m, x: m.logsumexp(x.reshape(4, 10), (0, 1), keepdim=True), "masked": lambda m, x: m.masked.logsumexp(x.reshape(4, 10), 0),
         "logsumexp of one": lambda m, x: m.logsumexp(x[0] * 300, 0)}


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", UNARY)
def test_complex(name, dtype):
    a, b = both(COMPLEX, dtype, grad=True)
    y, z = UNARY[name](torch, a), UNARY[name](rt, b)
    tol = 2e-4 if dtype == "complex64" else 1e-9
    same(y, z, tol)
    y.abs().square().sum().backward()
    z.abs().square().sum().backward()
    if name != "logsumexp of large" and name != "logsumexp of one":
        same(a.grad, b.grad, tol * 30)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_logaddexp(dtype):
    (a, b), (c, d) = both(COMPLEX, dtype, grad=True), both(COMPLEX[::-1], dtype, grad=True)
    y, z = torch.logaddexp(a, c), rt.logaddexp(b, d)
    tol = 1e-5 if dtype == "complex64" else 1e-12
    same(y, z, tol)
    y.real.sum().backward()
    z.real.sum().backward()
    same(a.grad, b.grad, tol)
    same(c.grad, d.grad, tol)
    edges = [complex(*p) for p in itertools.product([-np.inf, -1.0, 2.0, np.inf], [0.0, 1.0])]
    pairs = np.array(list(itertools.product(edges, edges)))
    theirs, ours = [torch.logaddexp(*both(pairs[:, i], dtype)[0:1], *both(pairs[:, 1 - i], dtype)[0:1]) for i in (0, 1)], \
        [rt.logaddexp(both(pairs[:, i], dtype)[1], both(pairs[:, 1 - i], dtype)[1]) for i in (0, 1)]
    for t, o in zip(theirs, ours):
        same(t.real, o.real, 1e-6)
    out = rt.empty(0, dtype=getattr(rt, dtype))
    rt.logaddexp(b.detach(), d.detach(), out=out)
    same(y, out, tol)
    assert rt.autograd.gradcheck(lambda x, w: rt.logaddexp(x, w), (b.detach().to(rt.complex128).requires_grad_(), d.detach().to(rt.complex128).requires_grad_()))


def test_rows_without_complex_are_as_before():
    for dtype in ("float32", "float64", "bfloat16", "float16", "int64"):
        (a, b), (c, d) = both(np.arange(-3, 5), dtype), both(np.arange(8), dtype)
        same(torch.nn.functional.softsign(a), rt.nn.functional.softsign(b), 1e-2 if "16" in dtype else 1e-6)
        same(torch.nn.functional.tanhshrink(a), rt.nn.functional.tanhshrink(b), 1e-2 if "16" in dtype else 1e-6)
        if dtype != "int64":
            same(torch.logaddexp(a, c), rt.logaddexp(b, d), 1e-2 if "16" in dtype else 1e-6)


def test_bool():
    (a, b), (c, d) = both([True, False, True, False], "bool"), both([True, True, False, False], "bool")
    for f in ("clamp_min", "clamp_max"):
        same(getattr(torch, f)(a, c), getattr(rt, f)(b, d))
        same(getattr(a.clone(), f + "_")(c), getattr(b.clone(), f + "_")(d))
    same(torch.ldexp(a, c), rt.ldexp(b, d))
    with pytest.raises(RuntimeError):
        rt.ldexp(rt.ones(4), d)
    for beta, alpha in itertools.product([0, 1, 3], [0, 1, 2]):
        same(torch.addr(a, a, c, beta=beta, alpha=alpha), rt.addr(b, b, d, beta=beta, alpha=alpha))
    with pytest.raises(RuntimeError):
        rt.addr(b, b, d, beta=2.5)
    with pytest.raises(NotImplementedError):
        rt.clamp_min(b, True)


@pytest.mark.parametrize("name", ["airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0", "modified_bessel_k1",
                                  "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0"])
def test_unsigned(name):
    for dtype in ("uint16", "uint32", "uint64"):
        a, b = both(np.arange(1, 9), dtype)
        same(getattr(torch.special, name)(a), getattr(rt.special, name)(b), 2e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(dtype):
    a, b = both(RNG.standard_normal((2, 3, 3)) * 0.5, dtype)
    same(torch.matrix_exp(a.float()).to(a.dtype), rt.matrix_exp(b), 2e-2)         # PyTorch's own answer in float16 is NaN
    x, w = both(RNG.standard_normal((2, 6, 4)), dtype), both(RNG.standard_normal(6), dtype)
    tol = 2e-2
    for i in range(3):
        same(torch.native_group_norm(x[0], w[0], w[0], 2, 6, 4, 2, 1e-5)[i], rt.native_group_norm(x[1], w[1], w[1], 2, 6, 4, 2, 1e-5)[i], tol)
        same(torch.native_batch_norm(x[0], w[0], w[0], None, None, True, 0.1, 1e-5)[i], rt.native_batch_norm(x[1], w[1], w[1], None, None, True, 0.1, 1e-5)[i], tol)
        v = both(np.ones(4), dtype)
        same(torch.native_layer_norm(x[0], (4,), v[0], v[0], 1e-5)[i], rt.native_layer_norm(x[1], (4,), v[1], v[1], 1e-5)[i], tol)
        v = both(np.ones(4), "float32")
        same(torch.native_layer_norm(x[0], (4,), v[0], v[0], 1e-5)[i], rt.native_layer_norm(x[1], (4,), v[1], v[1], 1e-5)[i], tol)


def test_complex_halves():
    (a, b), (c, d) = both(COMPLEX, "complex32"), both(COMPLEX[::-1], "complex32")
    same(torch.add(a, c, alpha=2), rt.add(b, d, alpha=2), 1e-2)
    same(torch.sub(a, c, alpha=2), rt.sub(b, d, alpha=2), 1e-2)


@pytest.mark.parametrize("mode, corners, smooth", list(itertools.product(["bilinear", "bicubic"], [True, False], [False, True])))
def test_resizing_bytes(mode, corners, smooth):
    a, b = both(RNG.integers(0, 256, (2, 3, 7, 9)), "uint8")
    for how in [dict(size=s) for s in ((13, 20), (7, 18), (3, 9), (7, 9), (2, 1), (5, 4))] + [dict(scale_factor=f) for f in (0.5, 1.7, 2)]:
        try:
            y = torch.nn.functional.interpolate(a, mode=mode, align_corners=corners, antialias=smooth, **how)
        except RuntimeError:                             # an assertion inside PyTorch for some small sizes
            continue
        z = rt.nn.functional.interpolate(b, mode=mode, align_corners=corners, antialias=smooth, **how)
        assert z.dtype is rt.uint8 and z.tolist() == y.tolist()
