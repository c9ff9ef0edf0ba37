"""Fourier transforms, windows and the short-time transform against NumPy; gradients by differences."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.autograd import gradcheck, gradgradcheck

LENGTHS = [1, 2, 3, 4, 7, 8, 12, 15, 61, 64, 67, 100, 128, 134, 509]
NORMS = [None, "backward", "ortho", "forward"]


def signal(shape, kind=complex, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=shape)
    return a + 1j * rng.normal(size=shape) if kind is complex else a


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension(name, norm):
    real = name in ("rfft", "ihfft")
    for n in LENGTHS:
        a = signal((3, n), float if real else complex)
        if n == 1 and name in ("irfft", "hfft"):
            continue
        for size, dim in ((None, -1), (n + 3, 1), (max(1, n // 2), 1), (5, 0)):
            got = getattr(rt.fft, name)(rt.from_numpy(a), size, dim, norm)
            np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(a, size, dim, norm), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_single_precision_and_strides(name):
    a = signal((6, 10), float if name == "rfft" else complex).astype(np.float32 if name == "rfft" else np.complex64)
    t = rt.from_numpy(np.ascontiguousarray(a.T)).t()
    got = getattr(rt.fft, name)(t, dim=0)
    want = getattr(np.fft, name)(a, axis=0)
    assert got.dtype is (rt.float32 if name == "irfft" else rt.complex64)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_paths(level, dtype):
    """Lanes alone and side by side, dense and not, every radix, for each instruction set; tables are kept over a change of it."""
    tol = dict(rtol=0, atol=3e-7 if dtype == np.complex64 else 1e-15)
    for n in (4, 8, 16, 32, 64, 128, 512, 1024, 8192, 6, 20, 49, 105, 96, 240, 1000, 67):
        for shape in ((1, n), (3, n), (35, n), (2, n, 5), (2, n, 16), (1, n, 37)):
            a = signal(shape).astype(dtype)
            unit = np.linalg.norm(a[0]) * np.sqrt(np.log2(n)) + 1
            for name in ("fft", "ifft"):
                want, got = getattr(np.fft, name)(a.astype(complex), axis=1), getattr(rt.fft, name)(rt.from_numpy(a), dim=1).numpy()
                np.testing.assert_allclose(got / unit, want / unit, **tol)
            real = np.ascontiguousarray(a.real)
            half = rt.fft.rfft(rt.from_numpy(real), dim=1)
            np.testing.assert_allclose(half.numpy() / unit, np.fft.rfft(real.astype(float), axis=1) / unit, **tol)
            np.testing.assert_allclose(rt.fft.irfft(half, n, 1).numpy(), real, rtol=0, atol=tol["atol"] * 20)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_alone_and_real_ones(level, dtype):
    """Lengths that go as a matrix, primes up to the greatest radix, and real lanes of even length: cut, padded, both signs, in any layout."""
    made = np.complex64 if dtype == np.float32 else np.complex128
    tol = dict(rtol=0, atol=3e-7 if dtype == np.float32 else 1e-15)
    for n in (66, 200, 398, 441, 510, 600, 798, 1000, 1998, 4100):
        for shape in ((1, n), (35, n), (2, n, 5), (2, n, 16)):
            r, a = signal(shape, float).astype(dtype), signal(shape).astype(made)
            unit = np.linalg.norm(a[0]) * np.sqrt(np.log2(n)) + 1
            for data in (r, np.ascontiguousarray(r.swapaxes(0, 1)).swapaxes(0, 1)):
                t, wide = rt.from_numpy(data), r.astype(float)
                for name in ("fft", "ifft", "rfft", "ihfft"):
                    np.testing.assert_allclose(getattr(rt.fft, name)(t, dim=1).numpy() / unit, getattr(np.fft, name)(wide, axis=1) / unit, **tol)
                for m in (n - 2, n + 2):
                    np.testing.assert_allclose(rt.fft.rfft(t, m, 1).numpy() / unit, np.fft.rfft(wide, m, 1) / unit, **tol)
            for name, factor in (("irfft", n), ("hfft", 1)):
                for m in (n, n + 4, n - 1):
                    want, got = getattr(np.fft, name)(a.astype(complex), m, 1), getattr(rt.fft, name)(rt.from_numpy(a), m, 1).numpy()
                    assert got.dtype == dtype
                    np.testing.assert_allclose(got * factor / unit, want * factor / unit, rtol=0, atol=tol["atol"] * 2)


def test_whole_spectra_of_real_input():
    """fft and ifft by half the arithmetic, functions of several dimensions as of complex input: PyTorch's names of the history."""
    r = signal((6, 10, 7), float)
    for name, args in (("fft2", ()), ("ifft2", ()), ("fftn", ()), ("ifftn", ((9, 4), (0, 1))), ("fftn", ((12, 7), (1, 2))), ("fft", (6, 1)), ("ifft", (None, 0))):
        for requires in (False, True):
            got = getattr(rt.fft, name)(rt.from_numpy(r).requires_grad_(requires), *args)
            np.testing.assert_allclose(got.detach().numpy(), getattr(np.fft, name)(r, *args), atol=1e-12)
            assert not requires or got.grad_fn.name() == ("FftC2CBackward0" if name[-1] in "2n" else "FftR2CBackward0" if name == "fft" else "ConjBackward0")
    x = rt.tensor(signal((3, 4), float), requires_grad=True)
    for name in ("fft", "ifft", "fft2", "ifftn"):
        assert gradcheck(getattr(rt.fft, name), (x,)) and gradgradcheck(getattr(rt.fft, name), (x,))


def test_several_dimensions():
    a, r = signal((3, 4, 6)), signal((3, 4, 6), float)
    np.testing.assert_allclose(rt.fft.fftn(rt.from_numpy(a)).numpy(), np.fft.fftn(a))
    np.testing.assert_allclose(rt.fft.ifft2(rt.from_numpy(a), norm="ortho").numpy(), np.fft.ifft2(a, norm="ortho"))
    np.testing.assert_allclose(rt.fft.rfftn(rt.from_numpy(r), (2, 5), (0, 2)).numpy(), np.fft.rfftn(r, (2, 5), (0, 2)), atol=1e-12)
    back = rt.fft.irfftn(rt.fft.rfftn(rt.from_numpy(r)), r.shape)
    np.testing.assert_allclose(back.numpy(), r, atol=1e-12)
    np.testing.assert_allclose(rt.fft.fftshift(rt.from_numpy(r)).numpy(), np.fft.fftshift(r))
    np.testing.assert_allclose(rt.fft.ifftshift(rt.from_numpy(r), 1).numpy(), np.fft.ifftshift(r, 1))
    np.testing.assert_allclose(rt.fft.fftfreq(7, 0.5).numpy(), np.fft.fftfreq(7, 0.5), rtol=1e-6)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "irfftn"])
def test_gradients(name):
    a = rt.tensor(signal((2, 5), float if name in ("rfft", "ihfft") else complex), requires_grad=True)
    fn = getattr(rt.fft, name)
    assert gradcheck(fn, (a,)) and gradgradcheck(fn, (a,))


def test_refusals():
    for wrong, kind in [(lambda: rt.fft.fft(rt.ones(3), 0), RuntimeError), (lambda: rt.fft.fft(rt.ones(3), dim=2), IndexError),
                        (lambda: rt.fft.rfft(rt.ones(3) * 1j), RuntimeError), (lambda: rt.fft.fft(rt.ones(3), norm="x"), RuntimeError)]:
        with pytest.raises(kind):
            wrong()


def test_windows():
    for n in (1, 2, 9, 16):
        np.testing.assert_allclose(rt.signal.windows.hann(n).numpy(), np.hanning(n), atol=1e-6)
        np.testing.assert_allclose(rt.signal.windows.hamming(n).numpy(), np.hamming(n), atol=1e-6)
        np.testing.assert_allclose(rt.signal.windows.bartlett(n).numpy(), np.bartlett(n), atol=1e-6)
        np.testing.assert_allclose(rt.signal.windows.kaiser(n, beta=5.0).numpy(), np.kaiser(n, 5.0), atol=1e-6)
        np.testing.assert_allclose(rt.hann_window(n, periodic=False).numpy(), np.hanning(n), atol=1e-6)
        np.testing.assert_allclose(rt.blackman_window(n, periodic=False).numpy(), np.blackman(n), atol=1e-6)


def test_short_time_transform_and_back():
    x = rt.tensor(signal((2, 200), float))
    w = rt.hann_window(32, dtype=rt.float64)
    s = rt.stft(x, 32, 8, window=w, return_complex=True)
    assert s.shape == (2, 17, 26)
    padded = np.pad(x.numpy(), ((0, 0), (16, 16)), mode="reflect")
    np.testing.assert_allclose(s[1, :, 4].numpy(), np.fft.rfft(padded[1, 32:64] * w.numpy()), atol=1e-12)
    np.testing.assert_allclose(rt.istft(s, 32, 8, window=w, length=200).numpy(), x.numpy(), atol=1e-12)
    y = rt.tensor(signal((40,), float), requires_grad=True)
    assert gradcheck(lambda v: rt.stft(v, 8, 4, return_complex=True), (y,))
