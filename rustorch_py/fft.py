"""Discrete Fourier transforms, with PyTorch's names, arguments and normalisations.

Every function is one of three transforms (complex to complex, real to half spectrum, half spectrum
to real) per dimension; all have gradients of any order.
"""
from math import prod

from . import tensor as _t
from .errors import DimError, DTypeError, TensorError
from .tensor import _fft
from .tensor._autocast import covered
from .tensor._lane import deliver_out

__all__ = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "ifft2", "rfft2", "irfft2", "hfft2", "ihfft2",
           "fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn", "fftfreq", "rfftfreq", "fftshift", "ifftshift"]


def _scale(op, norm, n, inverse):
    """Factor of a transform over n points in all."""
    if norm is None:
        return 1.0 / n if inverse else 1.0
    if norm not in ("forward", "backward", "ortho"):
        raise TensorError(f'Invalid normalization mode: "{norm}" ({op}: expected "forward", "backward" or "ortho")', op=op)
    if norm == "ortho":
        return n ** -0.5
    return 1.0 / n if (norm == "forward") != inverse else 1.0


def _dim(op, x, dim):
    if not -x.dim() <= dim < x.dim():
        raise DimError(f"Dimension out of range (expected to be in range of [{-x.dim()}, {x.dim() - 1}], but got {dim})", op=op)
    return dim % x.dim()


def _length(op, n):
    if n < 1:
        raise TensorError(f"Invalid number of data points ({n}) specified", op=op)
    return n


def _resolve(op, x, s, dim):
    """Sizes and dimensions of an n-d transform, as PyTorch reads s= and dim=."""
    s = (s,) if isinstance(s, int) else s
    if s is None and type(dim) is tuple and len(dim) == 1 and type(dim[0]) is int:      # the usual transform: one whole dimension
        nd, d = x.dim(), dim[0]
        if -nd <= d < nd:
            return (_length(op, x.shape[d]),), (d % nd,)
    if dim is None:
        dim = range(-len(s), 0) if s is not None else range(x.dim())
        if s is not None and len(s) > x.dim():
            raise TensorError(f"Got shape with {len(s)} values but input tensor only has {x.dim()} dimensions.", op=op)
    dims = [_dim(op, x, d) for d in ((dim,) if isinstance(dim, int) else dim)]
    if len(set(dims)) != len(dims):
        raise TensorError("FFT dims must be unique", op=op)
    if s is None:
        sizes = [x.shape[d] for d in dims]
    else:
        if len(s) != len(dims):
            raise TensorError("When given, dim and shape arguments must have the same length", op=op)
        sizes = [x.shape[d] if n == -1 else n for n, d in zip(s, dims)]
    return tuple([_length(op, n) for n in sizes]), tuple(dims)


def _c2c(op, x, s, dim, norm, inverse):
    x = _fft.promote_input(op, x, False)
    sizes, dims = _resolve(op, x, s, dim)
    sign, scale = 1 if inverse else -1, _scale(op, norm, prod(sizes), inverse)
    # half of the arithmetic; the history and the strides of the functions of several dimensions are those of complex input
    if op in ("fft", "ifft") and not x.is_complex():
        return _fft.r2c(x, dims, sizes, sign, scale, False)
    x = _fft.promote_input(op, x, True)
    return _fft.c2c(x, dims, sizes, sign, scale) if dims else x.clone()


def _r2c(op, x, s, dim, norm, inverse=False):
    x = _fft.promote_input(op, x, False)
    if x.is_complex():
        raise TensorError(f"{op} expects a real input tensor, but got {x.dtype}", op=op)
    sizes, dims = _resolve(op, x, s, dim)
    if not dims:
        raise TensorError(f"{op} must transform at least one axis", op=op)
    scale = _scale(op, norm, prod(sizes), inverse)
    if not inverse:
        return _fft.r2c(x, dims, sizes, -1, scale, True)
    x = _fft.r2c(x, dims[-1:], sizes[-1:], 1, scale, True)
    return _fft.c2c(x, dims[:-1], sizes[:-1], 1, 1.0) if len(dims) > 1 else x


def _c2r(op, x, s, dim, norm, inverse=True):
    x = _fft.promote_input(op, x, True)
    s = (s,) if isinstance(s, int) else s
    if isinstance(s, (tuple, list)) and not s:
        raise TensorError(f"{op}: When given, dim and shape arguments must have the same length, and at least one", op=op)
    if s is None and type(dim) is tuple and len(dim) == 1:      # the usual transform: one whole dimension
        d = _dim(op, x, dim[0])
        n = _length(op, 2 * (x.shape[d] - 1))
        return _fft.c2r(x, d, n, 1 if inverse else -1, _scale(op, norm, n, inverse))
    last_given = s is not None and s[-1] != -1
    if not last_given:
        dims_only = dim if dim is not None else (range(-len(s), 0) if s is not None else range(x.dim()))
        dims_only = [dims_only] if isinstance(dims_only, int) else list(dims_only)
        if not dims_only:
            raise TensorError(f"{op} must transform at least one axis", op=op)
        last = 2 * (x.shape[_dim(op, x, dims_only[-1])] - 1)
        lead = list(s[:-1]) if s is not None else [-1] * (len(dims_only) - 1)
        s, dim = lead + [last], dims_only
    sizes, dims = _resolve(op, x, s, dim)
    if not dims:
        raise TensorError(f"{op} must transform at least one axis", op=op)
    sign = 1 if inverse else -1
    if len(dims) > 1:
        x = _fft.c2c(x, dims[:-1], sizes[:-1], sign, 1.0)
    return _fft.c2r(x, dims[-1], sizes[-1], sign, _scale(op, norm, prod(sizes), inverse))


def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """Transform one dimension.

    Args:
        n: number of points; the input is cut or zero-padded to it.
        dim: the dimension.
        norm: "backward" (no factor), "ortho" (1/sqrt(n)), "forward" (1/n).
    """
    return deliver_out("fft", _c2c("fft", input, None if n is None else (n,), (dim,), norm, False), out)


def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """Transform one dimension back; the factor 1/n belongs to "backward"."""
    return deliver_out("ifft", _c2c("ifft", input, None if n is None else (n,), (dim,), norm, True), out)


def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """Transform a real dimension to its first n/2 + 1 terms."""
    return deliver_out("rfft", _r2c("rfft", input, None if n is None else (n,), (dim,), norm), out)


def _real_out(op, out):
    if out is not None and not out.dtype.is_floating_point:
        raise DTypeError(f"{op} expects a floating point output tensor, but got {out.dtype}", op=op)


def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """Transform half a Hermitian spectrum to n real numbers (default 2 (terms - 1))."""
    _real_out("irfft", out)
    return deliver_out("irfft", _c2r("irfft", input, None if n is None else (n,), (dim,), norm), out)


def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """Transform half a Hermitian signal to its n real spectral values."""
    _real_out("hfft", out)
    return deliver_out("hfft", _c2r("hfft", input, None if n is None else (n,), (dim,), norm, inverse=False), out)


def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """Transform real spectral values to the first half of their Hermitian signal."""
    return deliver_out("ihfft", _r2c("ihfft", input, None if n is None else (n,), (dim,), norm, inverse=True), out)


def fftn(input, s=None, dim=None, norm=None, *, out=None):
    """Transform several dimensions (default all, or the last ``len(s)``)."""
    return deliver_out("fftn", _c2c("fftn", input, s, dim, norm, False), out)


def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    """Transform several dimensions back."""
    return deliver_out("ifftn", _c2c("ifftn", input, s, dim, norm, True), out)


def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """Transform a real input over several dimensions; the last one keeps half its terms."""
    return deliver_out("rfftn", _r2c("rfftn", input, s, dim, norm), out)


def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """Transform a half spectrum over several dimensions to real numbers."""
    _real_out("irfftn", out)
    return deliver_out("irfftn", _c2r("irfftn", input, s, dim, norm), out)


def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """Transform a Hermitian signal over several dimensions to real spectral values."""
    _real_out("hfftn", out)
    return deliver_out("hfftn", _c2r("hfftn", input, s, dim, norm, inverse=False), out)


def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """Transform real spectral values over several dimensions to half a Hermitian signal."""
    return deliver_out("ihfftn", _r2c("ihfftn", input, s, dim, norm, inverse=True), out)


def fft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """Transform two dimensions."""
    return fftn(input, s, dim, norm, out=out)


def ifft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """Transform two dimensions back."""
    return ifftn(input, s, dim, norm, out=out)


def rfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """Transform a real input over two dimensions."""
    return rfftn(input, s, dim, norm, out=out)


def irfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """Transform a half spectrum over two dimensions to real numbers."""
    return irfftn(input, s, dim, norm, out=out)


def hfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """Transform a Hermitian signal over two dimensions to real spectral values."""
    return hfftn(input, s, dim, norm, out=out)


def ihfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """Transform real spectral values over two dimensions to half a Hermitian signal."""
    return ihfftn(input, s, dim, norm, out=out)


def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """Compute the frequencies of the terms of ``fft`` for n samples ``d`` apart."""
    k = _t.arange(n, dtype=dtype or _t.get_default_dtype(), device=device)
    result = deliver_out("fftfreq", _t.where(k < (n + 1) // 2, k, k - n) * (1.0 / (n * d)), out)
    return result.requires_grad_(requires_grad)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """Compute the frequencies of the terms of ``rfft`` for n samples ``d`` apart."""
    k = _t.arange(n // 2 + 1, dtype=dtype or _t.get_default_dtype(), device=device)
    return deliver_out("rfftfreq", k * (1.0 / (n * d)), out).requires_grad_(requires_grad)


def fftshift(input, dim=None):
    """Move the zero frequency to the middle of ``dim`` (default all)."""
    dims = range(input.dim()) if dim is None else (dim,) if isinstance(dim, int) else dim
    return input.roll(tuple(input.shape[d] // 2 for d in dims), tuple(dims))


def ifftshift(input, dim=None):
    """Undo ``fftshift``."""
    dims = range(input.dim()) if dim is None else (dim,) if isinstance(dim, int) else dim
    return input.roll(tuple(-(input.shape[d] // 2) for d in dims), tuple(dims))


globals().update(covered({name: globals()[name] for name in __all__}, "fft_"))
