"""Linear algebra against its definitions (A X = B, Q^H Q = I, ...) and NumPy; gradients; refusals."""
import numpy as np
import pytest

import rustorch_py as rt

L = rt.linalg
DTYPES = ["float32", "float64", "complex64", "complex128"]
TOL = {"float32": 2e-4, "complex64": 2e-4, "float64": 1e-10, "complex128": 1e-10}
SHAPES = [(1, 1), (4, 4), (3, 4, 4), (2, 1, 5, 5)]
ODD = [(4, 4), (5, 3), (3, 5), (2, 5, 3), (2, 3, 5), (1, 4)]


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        a = a + 1j * rng.standard_normal(shape)
    return a.astype(dtype)


def tensors(shape, dtype, seed=0):
    """The same values in two layouts."""
    a = draw(shape, dtype, seed)
    yield a, rt.from_numpy(a)
    yield a, rt.from_numpy(np.ascontiguousarray(np.swapaxes(a, -1, -2))).mT


def h(a):
    return np.conj(np.swapaxes(a, -1, -2))


def same(got, want, dtype):
    got = got.numpy() if hasattr(got, "numpy") else got
    assert got.shape == want.shape, (got.shape, want.shape)
    assert np.allclose(got, want, rtol=TOL[dtype], atol=TOL[dtype] * 10), float(np.max(np.abs(got - want)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_square(shape, dtype):
    n = shape[-1]
    for a, x in tensors(shape, dtype):
        eye = np.broadcast_to(np.eye(n), shape)
        same(L.inv(x) @ x, eye, dtype)
        same(L.det(x), np.linalg.det(a), dtype)
        sign, size = L.slogdet(x)
        want = np.linalg.slogdet(a)
        same(sign, want[0], dtype)
        same(size, want[1], dtype)
        b = draw(shape[:-1] + (2,), dtype, 1)
        y = rt.from_numpy(b)
        same(x @ L.solve(x, y), b, dtype)
        same(L.solve(x, y.mT, left=False) @ x, np.swapaxes(b, -1, -2), dtype)
        p, low, up = L.lu(x)
        same(p @ low @ up, a, dtype)
        lu, pivots = L.lu_factor(x)
        same(x @ L.lu_solve(lu, pivots, y), b, dtype)
        same(x.mH @ L.lu_solve(lu, pivots, y, adjoint=True), b, dtype)
        w, v = L.eig(x)
        same(x.to(v.dtype) @ v, (v * w.unsqueeze(-2)).numpy(), dtype)
        same(L.matrix_power(x, 3), a @ a @ a, dtype)
        same(L.matrix_exp(x) @ L.matrix_exp(-x), eye, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_hermitian(shape, dtype):
    for a, x in tensors(shape, dtype):
        a, x = a @ h(a) + 2 * np.eye(shape[-1], dtype=dtype), x @ x.mH + 2 * rt.eye(shape[-1], dtype=x.dtype)
        low = L.cholesky(x)
        same(low @ low.mH, a, dtype)
        up = L.cholesky(x, upper=True)
        same(up.mH @ up, a, dtype)
        w, v = L.eigh(x)
        same((v * w.unsqueeze(-2)) @ v.mH, a, dtype)
        same(L.eigvalsh(x, "U"), np.linalg.eigvalsh(a), dtype)
        b = draw(shape[:-1] + (2,), dtype, 1)
        same(x @ rt.cholesky_solve(rt.from_numpy(b), low), b, dtype)
        same(x @ rt.cholesky_inverse(low), np.broadcast_to(np.eye(shape[-1]), shape), dtype)
        ld, pivots = L.ldl_factor(x, hermitian=True)
        same(x @ L.ldl_solve(ld, pivots, rt.from_numpy(b), hermitian=True), b, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ODD)
def test_any_shape(shape, dtype):
    m, n = shape[-2:]
    k = min(m, n)
    for a, x in tensors(shape, dtype):
        for full in (False, True):
            u, s, vh = L.svd(x, full_matrices=full)
            assert u.shape[-1] == (m if full else k) and vh.shape[-2] == (n if full else k)
            same((u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :], a, dtype)
            same(u.mH @ u, np.broadcast_to(np.eye(u.shape[-1]), u.mH.shape[:-1] + u.shape[-1:]), dtype)
        same(L.svdvals(x), np.linalg.svd(a, compute_uv=False), dtype)
        for mode in ("reduced", "complete"):
            q, r = L.qr(x, mode)
            same(q @ r, a, dtype)
            same(q.mH @ q, np.broadcast_to(np.eye(q.shape[-1]), q.shape[:-2] + (q.shape[-1],) * 2), dtype)
            assert not r.tril(-1).abs().sum().item()
        same(L.qr(x, "r").R.abs(), np.abs(L.qr(x).R.numpy()), dtype)
        p, low, up = L.lu(x)
        same(p @ low @ up, a, dtype)
        same(L.pinv(x), np.linalg.pinv(a), dtype)
        assert L.matrix_rank(x).numpy().tolist() == np.linalg.matrix_rank(a).tolist()
        b = draw(shape[:-1] + (2,), dtype, 1)
        for driver in ("gelsy", "gels", "gelsd", "gelss"):
            same(L.lstsq(x, rt.from_numpy(b), driver=driver).solution, np.linalg.pinv(a) @ b, dtype)
        factor, tau = rt.geqrf(x)
        if m >= n:
            same(L.householder_product(factor, tau), L.qr(x).Q.numpy(), dtype)
            same(rt.ormqr(factor, tau, rt.from_numpy(b)), L.qr(x, "complete").Q.numpy() @ b, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", [None, 0, 1, 2, 3, 0.5, -1, float("inf"), -float("inf")])
def test_vector_norms(ord, dtype):
    a = draw((3, 4), dtype)
    for dim, keep in ((0, False), (1, True)):
        same(L.norm(rt.from_numpy(a), ord, dim, keep), np.linalg.norm(a, ord, dim, keep), dtype)
    same(L.vector_norm(rt.from_numpy(a), 2 if ord is None else ord), np.linalg.norm(a.ravel(), ord), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")])
def test_matrix_norms(ord, dtype):
    a = draw((2, 3, 4), dtype)
    same(L.matrix_norm(rt.from_numpy(a), ord), np.linalg.norm(a, ord, (1, 2)), dtype)
    same(L.matrix_norm(rt.from_numpy(a), ord, (0, 2), True), np.linalg.norm(a, ord, (0, 2), True), dtype)
    square = draw((4, 4), dtype)
    same(L.cond(rt.from_numpy(square), ord), np.asarray(np.linalg.cond(square, ord)), "float32")


def test_small_ones():
    a, b = draw((4, 3), "float64"), draw((4, 3), "float64", 1)
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    assert np.allclose(L.cross(x, y).numpy(), np.cross(a, b))
    assert np.allclose(rt.cdist(x, y, 1.0).numpy(), np.abs(a[:, None] - b[None]).sum(-1))
    for mode in ("use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):
        assert np.allclose(rt.cdist(x, y, compute_mode=mode).numpy(), np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)))
    assert np.allclose(L.vecdot(x, y).numpy(), (a * b).sum(-1))
    assert np.allclose(rt.vander(x[0]).numpy(), np.vander(a[0])) and np.allclose(L.vander(x[0]).numpy(), np.vander(a[0], increasing=True))
    assert np.isclose(rt.trace(x).item(), np.trace(a)) and np.isclose(rt.dist(x, y).item(), np.linalg.norm(a - b))
    assert np.isclose(rt.nuclear_norm(x).item(), np.linalg.norm(a, "nuc"))
    t = draw((2, 3, 6), "float64")
    same(L.tensorinv(rt.from_numpy(t)), np.linalg.tensorinv(t), "float64")
    same(L.tensorsolve(rt.from_numpy(t), rt.from_numpy(t[..., 0])), np.linalg.tensorsolve(t, t[..., 0]), "float64")


def test_low_rank():
    a = draw((30, 4), "float64") @ draw((4, 20), "float64", 1)
    u, s, v = rt.svd_lowrank(rt.from_numpy(a), 6)
    same((u * s) @ v.mT, a, "float64")


@pytest.mark.parametrize("fn", [
    L.inv, L.det, L.svdvals, L.matrix_exp, L.pinv, lambda a: L.slogdet(a)[1], lambda a: L.cholesky(a @ a.mH + 3 * rt.eye(3, dtype=a.dtype)),
    lambda a: L.eigh(a + a.mH)[0], lambda a: L.eigh(a + a.mH)[1].abs(), lambda a: L.eig(a)[1].abs(), lambda a: L.qr(a)[1], lambda a: L.lu(a)[2],
    lambda a: L.svd(a)[0].abs(), lambda a: L.solve(a, a.mT[..., :2]), lambda a: L.matrix_power(a, -2), lambda a: L.norm(a), lambda a: L.matrix_norm(a, 2),
    lambda a: L.solve_triangular(a + 3 * rt.eye(3, dtype=a.dtype), a, upper=True), lambda a: L.vector_norm(a, 3.0), lambda a: rt.cdist(a, a.mT) if not a.is_complex() else a])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_gradients(fn, dtype):
    x = rt.from_numpy(draw((3, 3), dtype, 5)).requires_grad_()
    assert rt.autograd.gradcheck(fn, (x,), atol=1e-4)
    assert rt.autograd.gradgradcheck(fn, (x,), atol=1e-3)


def test_gradient_of_a_singular_determinant():
    x = rt.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=rt.float64, requires_grad=True)
    L.det(x).backward()
    assert np.allclose(x.grad.numpy(), [[4, -2], [-2, 1]])


def test_refusals():
    zero, flat = rt.zeros(2, 3, 3), rt.ones(3)
    for call in (lambda: L.inv(zero), lambda: L.solve(zero, rt.ones(2, 3, 1)), lambda: L.cholesky(-rt.eye(2)), lambda: L.eig(rt.full((2, 2), float("nan")))):
        with pytest.raises(L.LinAlgError):
            call()
    assert L.inv_ex(zero).info.tolist() == [1, 1] and L.cholesky_ex(-rt.eye(2)).info.item() == 1
    for call in (lambda: L.inv(flat), lambda: L.inv(rt.ones(2, 3)), lambda: L.svd(rt.ones(2, 2, dtype=rt.int64)), lambda: L.eigh(rt.eye(2), "X"),
                 lambda: L.qr(rt.eye(2), "x"), lambda: L.solve(rt.eye(2), rt.ones(3, 1)), lambda: L.matrix_norm(rt.eye(2), 3),
                 lambda: L.solve(rt.eye(2), rt.ones(2, 1).double()), lambda: L.cross(rt.ones(2), rt.ones(2))):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(IndexError):
        L.vector_norm(flat, 2, 4)
    assert repr(L.slogdet(rt.eye(2))).startswith("torch.return_types.linalg_slogdet(\nsign=")


def test_out_forms():
    x = rt.eye(3) * 2
    out = rt.empty(3, 3)
    assert L.inv(x, out=out) is out and out.tolist() == (rt.eye(3) / 2).tolist()
    u, s, vh = rt.empty(0), rt.empty(0), rt.empty(0)
    L.svd(x, out=(u, s, vh))
    assert s.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_triangles_by_halves(dtype, level):
    """Leaves, halves and ragged right-hand sides of the own triangular solve."""
    for n in (1, 2, 15, 32, 33, 70, 130):
        for k in (1, 3, 4, 5, 16, 17, 40):
            a = draw((n, n), dtype) / n + np.eye(n, dtype=dtype)
            b = draw((n, k), dtype, 1)
            x, y = rt.from_numpy(a), rt.from_numpy(b)
            for upper in (True, False):
                for unit in (True, False):
                    full = np.triu(a) if upper else np.tril(a)
                    if unit:
                        full = full - np.diag(np.diag(full)) + np.eye(n, dtype=dtype)
                    same(L.solve_triangular(x, y, upper=upper, unitriangular=unit), np.linalg.solve(full, b), dtype)
                    same(L.solve_triangular(x.mT, y, upper=not upper, unitriangular=unit), np.linalg.solve(full.T, b), dtype)
            lu, pivots = L.lu_factor(x)
            same(L.lu_solve(lu, pivots, y), np.linalg.solve(a, b), dtype)
            same(L.lu_solve(lu, pivots, y, adjoint=True), np.linalg.solve(h(a), b), dtype)


def test_every_name_of_the_face_is_there():
    import rustorch_py
    assert not [name for name in rustorch_py.linalg.__all__ if not hasattr(rustorch_py.linalg, name)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "float16", "bfloat16", "int64", "int8", "bool"])
def test_lu_unpack_makes_permutations_of_any_dtype(dtype):
    lu = rt.ones(4, 4).to(getattr(rt, dtype))
    p = rt.lu_unpack(lu, rt.tensor([2, 2, 4, 4], dtype=rt.int32), unpack_data=False).P
    assert p.dtype == lu.dtype and rt.equal(p, rt.eye(4)[[1, 0, 3, 2]].to(lu.dtype))
