"""Window functions with PyTorch's names; ``sym=False`` gives one period, for spectral analysis."""
from math import pi, sqrt

from .. import tensor as _t
from ..errors import TensorTypeError, TensorValueError
from ..tensor._autocast import covered as _covered

__all__ = ["bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann", "kaiser", "nuttall"]


def _start(name, M, dtype):
    """Check M and dtype; return the dtype."""
    dtype = dtype or _t.get_default_dtype()
    if M < 0:
        raise TensorValueError(f"{name} requires non-negative window length, got M={M}", op=name)
    if dtype not in (_t.float32, _t.float64):
        raise TensorValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}", op=name)
    return dtype


def _line(M, first, step, dtype, device):
    """M points from ``first``, ``step`` apart."""
    return _t.linspace(first, first + (M - 1) * step, M, dtype=dtype, device=device)


def _few(M, dtype, device, requires_grad):
    return _t.ones((int(M) if M in (0, 1) else M,), dtype=dtype, device=device).requires_grad_(requires_grad)


def exponential(M, *, center=None, tau=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make ``exp(-|n - center| / tau)``."""
    dtype = _start("exponential", M, dtype)
    if tau <= 0:
        raise TensorValueError(f"Tau must be positive, got: {tau} instead.", op="exponential")
    if sym and center is not None:
        raise TensorValueError("Center must be None for symmetric windows", op="exponential")
    if M == 0:
        return _few(0, dtype, device, requires_grad)
    if center is None:
        center = (M if not sym and M > 1 else M - 1) / 2.0
    return (-_line(M, -center / tau, 1 / tau, dtype, device).abs()).exp().requires_grad_(requires_grad)


def cosine(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make half a sine wave."""
    dtype = _start("cosine", M, dtype)
    if M == 0:
        return _few(0, dtype, device, requires_grad)
    step = pi / (M + 1 if not sym and M > 1 else M)
    return _line(M, 0.5 * step, step, dtype, device).sin().requires_grad_(requires_grad)


def gaussian(M, *, std=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a bell curve of standard deviation ``std``."""
    dtype = _start("gaussian", M, dtype)
    if std <= 0:
        raise TensorValueError(f"Standard deviation must be positive, got: {std} instead.", op="gaussian")
    if M == 0:
        return _few(0, dtype, device, requires_grad)
    step = 1 / (std * sqrt(2))
    k = _line(M, -(M if not sym and M > 1 else M - 1) / 2.0 * step, step, dtype, device)
    return (-(k * k)).exp().requires_grad_(requires_grad)


def kaiser(M, *, beta=12.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a Kaiser window; ``beta`` trades the main lobe's width for the side lobes."""
    dtype = _start("kaiser", M, dtype)
    if beta < 0:
        raise TensorValueError(f"beta must be non-negative, got: {beta} instead.", op="kaiser")
    if M < 2:
        return _few(M, dtype, device, requires_grad)
    step = 2.0 * beta / (M if not sym else M - 1)
    k = _t.linspace(-beta, min(beta, -beta + (M - 1) * step), M, dtype=dtype, device=device)
    top = _t.full((), beta, dtype=dtype, device=device)
    return (_t.i0((top * top - k * k).clamp(min=0).sqrt()) / _t.i0(top)).requires_grad_(requires_grad)


def bartlett(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a triangle with zero ends."""
    dtype = _start("bartlett", M, dtype)
    if M < 2:
        return _few(M, dtype, device, requires_grad)
    return (1 - _line(M, -1.0, 2.0 / (M if not sym else M - 1), dtype, device).abs()).requires_grad_(requires_grad)


def general_cosine(M, *, a, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a sum of cosines with alternating signs and weights ``a``."""
    dtype = _start("general_cosine", M, dtype)
    if not hasattr(a, "__iter__"):
        raise TensorTypeError("Coefficients must be a list/tuple", op="general_cosine")
    a = list(a)
    if not a:
        raise TensorValueError("Coefficients cannot be empty", op="general_cosine")
    if M < 2:
        return _few(M, dtype, device, requires_grad)
    k = _line(M, 0.0, 2 * pi / (M if not sym else M - 1), dtype, device)
    window = None
    for i, weight in enumerate(a):
        part = (k * i).cos() * ((-1) ** i * weight)
        window = part if window is None else window + part
    return window.requires_grad_(requires_grad)


def general_hamming(M, *, alpha=0.54, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make ``alpha - (1 - alpha) cos``."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hamming(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a Hamming window."""
    return general_hamming(M, alpha=0.54, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hann(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a Hann window."""
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def blackman(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make a Blackman window."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def nuttall(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Make Nuttall's minimum four-term Blackman-Harris window."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, dtype=dtype, layout=layout, device=device,
                          requires_grad=requires_grad)


globals().update(_covered({name: globals()[name] for name in __all__}))
