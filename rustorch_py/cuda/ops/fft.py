"""Fourier transforms of a device's lanes: the door of tensor/_fft.pyx.

Rows of a power of two up to 2048 are one kernel; longer ones are a matrix of rows (D. H. Bailey, "FFTs in External or Hierarchical
Memory", 1990), short other lengths a matrix product, long other ones a convolution of a power of two (L. I. Bluestein, 1970).
"""
from functools import lru_cache

from ...autograd import no_grad
from ...tensor import arange, polar, ones_like
from ...tensor._devices import provide
from .._backend import launch

WIDEST = 2048              # of the kernel's rows
BY_PRODUCT = 96            # other lengths up to this are a matrix product


def _angles(numerator, n, dtype, device):
    """exp(-2 pi i numerator / n) for whole numbers, computed in float64 on the host."""
    angle = (numerator % n).double() * (-2 * 3.141592653589793 / n)
    return polar(ones_like(angle), angle).to(dtype).to(device)


@lru_cache(64)
def _roots(n, dtype, device):
    """exp(-2 pi i k / n) for k < n / 2."""
    return _angles(arange(max(n // 2, 1)), n, dtype, device)


@lru_cache(16)
def _twiddles(n1, n2, dtype, device):
    """exp(-2 pi i k1 j2 / (n1 n2)), (n1, n2)."""
    return _angles(arange(n1).unsqueeze(1) * arange(n2), n1 * n2, dtype, device)


@lru_cache(16)
def _matrix(n, dtype, device):
    return _angles(arange(n).unsqueeze(1) * arange(n), n, dtype, device)


@lru_cache(16)
def _chirp(n, m, dtype, device):
    """(exp(-pi i k^2 / n) for k < n, the transform of its conjugate wrapped around m)."""
    k = arange(n)
    w = _angles(k * k, 2 * n, dtype, device)
    wrapped = w.new_zeros((1, m))
    wrapped[0, :n].copy_(w.conj())
    if n > 1:
        tail = _angles((n - 1 - arange(n - 1)).square(), 2 * n, dtype, device)     # k = n - 1, ..., 1
        wrapped[0, m - n + 1:].copy_(tail.conj())
    return w, _rows(wrapped, False)


def _rows(x, inverse):
    """The transform of each row of (rows, n), a new tensor or x itself; not scaled."""
    rows, n = x.shape
    key = x.dtype, x.device
    if n == 1:
        return x
    if n & (n - 1) == 0:
        if n <= WIDEST:
            launch("fft.cuh", "power", (x.dtype, x.dtype), (x, _roots(n, *key)), (n, n.bit_length() - 1, inverse), grid=rows)
            return x
        n1 = 1 << (n.bit_length() - 1) // 2
        n2 = n // n1
        y = _rows(x.reshape(rows, n1, n2).transpose(1, 2).contiguous().reshape(rows * n2, n1), inverse).reshape(rows, n2, n1).transpose(1, 2)
        w = _twiddles(n1, n2, *key)
        y = (y * (w.conj() if inverse else w)).contiguous().reshape(rows * n1, n2)
        return _rows(y, inverse).reshape(rows, n1, n2).transpose(1, 2).contiguous().reshape(rows, n)
    if n <= BY_PRODUCT:
        w = _matrix(n, *key)
        return x @ (w.conj() if inverse else w)
    m = 1 << (2 * n - 2).bit_length()
    w, spectrum = _chirp(n, m, *key)
    if inverse:                                          # conj of the transform of the conjugate
        return _rows(x.conj().resolve_conj(), False).conj().resolve_conj()
    padded = x.new_zeros((rows, m))
    padded[:, :n].copy_(x * w)
    y = _rows(_rows(padded, False) * spectrum, True)
    return y[:, :n] * w * (1 / m)


def fft(out, x, dim, n, half, sign, scale):
    """out = scale * the transform of x along dim in n terms: as `lanes` of tensor/kernels/fft.h."""
    with no_grad():
        dtype = x.dtype if x.is_complex() else x.dtype.to_complex()
        outer = inner = 1
        for size in x.shape[:dim]:
            outer *= size
        for size in x.shape[dim + 1:]:
            inner *= size
        rows = x.new_empty((outer * inner, n), dtype=dtype)
        launch("fft.cuh", "load", (dtype, x.dtype), (rows, x), (rows.numel(), n, inner, x.shape[dim], half))
        rows = _rows(rows, sign > 0)
        launch("fft.cuh", "store", (dtype, out.dtype), (out, rows.contiguous()), (out.numel(), n, inner, out.shape[dim]), (scale,))


provide("cuda", {"fft": fft})
