"""Linear algebra and Fourier transforms on the device: what the results must satisfy, and the CPU's values where they are unique."""
import numpy as np
import pytest

import rustorch_py as rt

assert rt.cuda.is_available()
L = rt.linalg
DTYPES = [rt.float32, rt.complex128]


def made(*shape, dtype=rt.float32, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if dtype.is_complex:
        x = x + 1j * rng.standard_normal(shape)
    return rt.from_numpy(np.asarray(x)).to(dtype)


def close(got, want, times=1):
    tolerance = (2e-4 if want.dtype in (rt.float32, rt.complex64) else 1e-9) * times
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got.detach().cpu().numpy(), want.detach().cpu().numpy(), rtol=tolerance, atol=tolerance)


def same(fn, *tensors, times=1):
    """fn's values and gradients on the device are the CPU's."""
    results = []
    for device in ("cpu", "cuda"):
        leaves = [t.clone().to(device).requires_grad_() for t in tensors]
        out = fn(*leaves)
        assert out.device.type == device
        if out.requires_grad:
            weights = rt.linspace(-1, 1, out.numel()).reshape(out.shape).to(out.dtype)
            out.backward(weights.to(device))
        results.append([out] + [t.grad for t in leaves if t.grad is not None])
    for want, got in zip(*results):
        close(got, want, times)


def regular(*shape, dtype, seed=0):
    """Matrices far from singular."""
    n = shape[-1]
    return made(*shape, dtype=dtype, seed=seed) + rt.eye(n).to(dtype) * n


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 3), (2, 5, 5), (1, 34, 34)])
def test_square(dtype, shape):
    a, b = regular(*shape, dtype=dtype), made(*shape[:-1], 2, dtype=dtype, seed=1)
    same(L.solve, a, b)
    same(L.inv, a)
    same(L.det, a * 0.3)
    same(lambda x: L.slogdet(x)[1], a)
    same(lambda x: L.lu(x)[0] @ L.lu(x)[1] @ L.lu(x)[2], made(*shape, dtype=dtype))
    same(lambda x: rt.lu_solve(b.to(x.device), *L.lu_factor(x)), a)
    s = a @ a.mH + rt.eye(shape[-1]).to(dtype)
    same(lambda x: L.cholesky(x), s)
    same(lambda x: L.cholesky(x, upper=True), s)
    same(lambda x: rt.cholesky_solve(b.to(x.device), L.cholesky(x)), s)
    for upper in (False, True):
        t = a.triu() if upper else a.tril()
        same(lambda x, y: L.solve_triangular(x, y, upper=upper), t, b)
        same(lambda x, y: L.solve_triangular(x, y.mT, upper=upper, left=False), t, b)
    same(lambda x: L.matrix_exp(x * 0.1), a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 4), (2, 6, 3), (2, 3, 6), (36, 34)])
def test_qr_and_svd(dtype, shape):
    a = made(*shape, dtype=dtype)
    x = a.cuda()
    for mode in ("reduced", "complete"):
        q, r = L.qr(x, mode)
        close(q @ r, a)
        close(q.mH @ q, rt.eye(q.shape[-1]).to(dtype).expand(q.mH.shape[:-2] + (q.shape[-1],) * 2))
        assert (r.cpu().tril(-1) == 0).all()
    close(L.qr(x)[1].abs(), L.qr(a)[1].abs())
    if shape == (36, 34):                                # of two panels; Jacobi's methods know none
        return
    close(L.svdvals(x), L.svdvals(a))
    for full in (False, True):
        u, s, vh = L.svd(x, full)
        k = min(shape[-2:])
        close(s, L.svdvals(a))
        close((u[..., :k] * s.unsqueeze(-2)).to(dtype) @ vh[..., :k, :], a)
        close(u.mH @ u, rt.eye(u.shape[-1]).to(dtype).expand(u.mH.shape[:-2] + (u.shape[-1],) * 2))
    same(L.pinv, a)
    same(lambda t: L.norm(t, "nuc", (-2, -1)) if t.ndim > 2 else L.matrix_norm(t, "nuc"), a, times=5)
    same(lambda t: L.lstsq(t, made(*shape[:-1], 2, dtype=dtype, seed=3).to(t.device), driver="gels")[0], a, times=10)


def test_svd_of_rank_one_and_zero():
    for a in (rt.ones(4, 3), rt.zeros(3, 4)):
        u, s, vh = L.svd(a.cuda())
        close((u[:, :3] * s) @ vh[:3], a)
        close(u.mT @ u, rt.eye(u.shape[0]))
        close(vh @ vh.mT, rt.eye(vh.shape[0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_eigenvalues(dtype, n):
    a = made(2, n, n, dtype=dtype)
    h = a + a.mH
    w, v = L.eigh(h.cuda())
    close(w, L.eigvalsh(h))
    close(h.cuda() @ v, v * w.unsqueeze(-2).to(dtype).to("cuda"), 5)
    close(v.mH @ v, rt.eye(n).to(dtype).expand(2, n, n))
    same(L.eigvalsh, h)
    w, v = L.eig(a.cuda())
    close(a.cuda().to(w.dtype) @ v, v * w.unsqueeze(-2), 5)
    close((v.abs() ** 2).sum(-2), rt.ones(2, n, dtype=L.eigvalsh(h).dtype))
    gaps = np.abs(w.cpu().numpy()[:, :, None] - L.eigvals(a).numpy()[:, None])
    assert gaps.min(1).max() < 1e-3 and gaps.min(2).max() < 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hermitian", [False, True])
def test_indefinite(dtype, hermitian):
    a = made(3, 7, 7, dtype=dtype)
    a = a + (a.mH if hermitian else a.mT)
    a[1].diagonal().zero_()                              # blocks of two rows
    b = made(3, 7, 2, dtype=dtype, seed=1)
    ld, pivots = L.ldl_factor(a.cuda(), hermitian=hermitian)
    want, places = L.ldl_factor(a, hermitian=hermitian)
    assert (pivots.cpu() == places).all() and (places < 0).any()
    close(ld, want)
    close(L.ldl_solve(ld, pivots, b.cuda(), hermitian=hermitian), L.ldl_solve(want, places, b, hermitian=hermitian), 5)


def test_refusals():
    with pytest.raises(RuntimeError, match="singular"):
        L.inv(rt.zeros(3, 3).cuda())
    with pytest.raises(RuntimeError, match="leading minor of order 2"):
        L.cholesky(rt.tensor([[1.0, 2], [2, 1]]).cuda())
    with pytest.raises(RuntimeError, match="gels"):
        L.lstsq(rt.ones(3, 2).cuda(), rt.ones(3, 1).cuda(), driver="gelsd")
    assert L.inv(rt.zeros(0, 0).cuda()).shape == (0, 0)


@pytest.mark.parametrize("n", [1, 2, 6, 8, 97, 101, 256])
def test_transforms(n):
    z, x = made(3, n, dtype=rt.complex64), made(2, n, 3)
    same(lambda t: rt.fft.fft(t), z)
    same(lambda t: rt.fft.ifft(t, norm="ortho"), z)
    same(lambda t: rt.fft.fft(t, n=n + 3), z)
    same(lambda t: rt.fft.rfft(t, dim=1), x)
    same(lambda t: rt.fft.irfft(t, n=n), z[:, : n // 2 + 1])
    same(lambda t: rt.fft.hfft(t, n=n), z[:, : n // 2 + 1], times=3)
    same(lambda t: rt.fft.fft2(t), made(4, n, dtype=rt.complex128))


def test_long_transforms():
    for n in (4096, 5000):
        z = made(2, n, dtype=rt.complex128)
        close(rt.fft.fft(z.cuda()), rt.fft.fft(z), 100)
        close(rt.fft.ifft(rt.fft.fft(z.cuda())), z)


def test_special_functions():
    x, n = rt.linspace(-0.9, 7, 40), rt.arange(40) % 9
    for name in ("airy_ai", "bessel_j0", "bessel_y1", "modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0"):
        close(getattr(rt.special, name)(x.abs().cuda()), getattr(rt.special, name)(x.abs()))
    for name in ("chebyshev_polynomial_t", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"):
        close(getattr(rt.special, name)(x.cuda(), n.cuda()), getattr(rt.special, name)(x, n))
    same(lambda a, b: rt.special.gammainc(a.detach(), b), rt.tensor([0.5, 2, 30]), rt.tensor([0.1, 3, 28.0]))
    u, s, v = rt.svd_lowrank(made(8, 5).cuda(), q=5)
    close(u @ rt.diag(s) @ v.mT, made(8, 5))
