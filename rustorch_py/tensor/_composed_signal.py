"""Windows and the short-time Fourier transform."""
import warnings
from math import pi

from ..errors import ShapeError, TensorError, TooFewDimsError, UnsupportedOpError
from . import _fft
from ._create import arange, linspace, ones
from ._dtype import get_default_dtype
from ._join import cat
from ._mask import where
from ._rows import i0
from ._view_complex import view_as_real


# ---- windows ----
def _grid(op, length, periodic, dtype, device):
    """(dtype, number of points of the symmetric window that is computed)."""
    dtype = dtype or get_default_dtype()
    if not dtype.is_floating_point:
        raise TensorError(f"{op} expects floating point dtypes, got: {dtype}", op=op)
    if length < 0:
        raise TensorError(f"{op} requires non-negative window_length, got window_length={length}", op=op)
    return dtype, length + 1 if periodic and length > 1 else length


def _finish(w, length, requires_grad):
    return w.narrow(0, 0, length).clone().requires_grad_(requires_grad) if w.shape[0] != length else w.requires_grad_(requires_grad)


def _cosines(op, length, periodic, terms, dtype, device, requires_grad):
    dtype, n = _grid(op, length, periodic, dtype, device)
    if length < 2:
        return ones(length, dtype=dtype, device=device).requires_grad_(requires_grad)
    k = arange(n, dtype=dtype, device=device) * (2 * pi / (n - 1))
    w = None
    for i, a in enumerate(terms):
        part = (k * i).cos() * ((-1) ** i * a)
        w = part if w is None else w + part
    return _finish(w, length, requires_grad)


def hann_window(window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Make a Hann window; periodic: one period of it, for spectral analysis."""
    return _cosines("hann_window", window_length, periodic, (0.5, 0.5), dtype, device, requires_grad)


def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None, layout=None, device=None, pin_memory=False,
                   requires_grad=False):
    """Make a Hamming window ``alpha - beta cos``."""
    return _cosines("hamming_window", window_length, periodic, (alpha, beta), dtype, device, requires_grad)


def blackman_window(window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Make a Blackman window."""
    return _cosines("blackman_window", window_length, periodic, (0.42, 0.5, 0.08), dtype, device, requires_grad)


def bartlett_window(window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Make a triangular window with zero ends."""
    dtype, n = _grid("bartlett_window", window_length, periodic, dtype, device)
    if window_length < 2:
        return ones(window_length, dtype=dtype, device=device).requires_grad_(requires_grad)
    k = arange(n, dtype=dtype, device=device) * (2.0 / (n - 1))
    return _finish(where(k <= 1, k, 2 - k), window_length, requires_grad)


def kaiser_window(window_length, periodic=True, beta=12.0, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Make a Kaiser window; ``beta`` trades the main lobe's width for the side lobes."""
    dtype, n = _grid("kaiser_window", window_length, periodic, dtype, device)
    if window_length < 2:
        return ones(window_length, dtype=dtype, device=device).requires_grad_(requires_grad)
    r = linspace(-1.0, 1.0, n, dtype=dtype, device=device)
    scale = i0(ones((), dtype=dtype, device=device) * beta)
    return _finish(i0((1 - r * r).clamp(min=0).sqrt() * beta) / scale, window_length, requires_grad)


# ---- short-time Fourier transform ----
def _padded(x, amount, mode):
    """The last dimension padded on both sides."""
    n = x.shape[-1]
    if amount == 0:
        return x
    if mode == "constant":
        side = x.new_zeros(tuple(x.shape[:-1]) + (amount,))
        return cat([side, x, side], -1)
    at = arange(-amount, n + amount, device=x.device)
    if mode == "reflect":
        if amount >= n:
            raise ShapeError(f"stft: padding size {amount} must be less than the input's length {n} for reflect padding", op="stft")
        at = at.abs()
        at = where(at >= n, 2 * (n - 1) - at, at)
    elif mode == "replicate":
        at = at.clamp(0, n - 1)
    elif mode == "circular":
        at = at % n
    else:
        raise TensorError(f"stft: unknown pad_mode {mode!r}; expected reflect, constant, replicate or circular", op="stft")
    return x.index_select(-1, at)


def _whole_window(op, window, win_length, n_fft, like):
    """The window zero-padded to n_fft, centred."""
    if window is not None and (window.dim() != 1 or window.shape[0] != win_length):
        raise ShapeError(f"{op}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size {list(window.shape)}", op=op)
    if window is None:
        window = like.new_ones(win_length, dtype=like.real.dtype if like.is_complex() else like.dtype)
    if win_length < n_fft:
        left = (n_fft - win_length) // 2
        window = cat([window.new_zeros(left), window, window.new_zeros(n_fft - win_length - left)], 0)
    return window


def _settings(op, n_fft, hop_length, win_length):
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if hop_length <= 0:
        raise TensorError(f"{op}: expected hop_length > 0, but got hop_length={hop_length}", op=op)
    if not 0 < win_length <= n_fft:
        raise TensorError(f"{op}: expected 0 < win_length <= n_fft, but got win_length={win_length}", op=op)
    return hop_length, win_length


def _warn_of_rectangle():
    warnings.warn("A window was not provided. A rectangular window will be applied, which is known to cause spectral leakage. Other windows such as "
                  "torch.hann_window or torch.hamming_window are recommended to reduce spectral leakage. To suppress this warning and use a "
                  "rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`.", UserWarning, stacklevel=3)


def stft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect", normalized=False, onesided=None,
         return_complex=None, align_to_window=None):
    """Transform overlapping pieces of a signal: (..., time) to (..., frequency, frame).

    Args:
        input: signal, (time) or (batch, time).
        n_fft: points of each transform.
        hop_length: distance of pieces (default ``n_fft // 4``).
        win_length: length of the window (default ``n_fft``).
        window: 1-d tensor; None: ones.
        center: pad so that frame t is centred at ``t * hop_length``.
        pad_mode: how: "reflect", "constant", "replicate", "circular".
        normalized: divide by the square root of n_fft.
        onesided: keep only ``n_fft // 2 + 1`` frequencies (default for real signals).
        return_complex: True: a complex tensor; False: real and imaginary part in a last dimension.
    """
    complex_signal = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not complex_signal:
            raise TensorError("stft requires the return_complex parameter be given for real inputs, and will further require that "
                              "return_complex=True in a future PyTorch release.", op="stft")
        return_complex = True
    if align_to_window is not None and center:
        raise TensorError("stft: align_to_window should only be set when center = false.", op="stft")
    if window is None:
        _warn_of_rectangle()
    hop_length, win_length = _settings("stft", n_fft, hop_length, win_length)
    if not (input.dtype.is_floating_point or input.is_complex()):
        raise (UnsupportedOpError if center else TensorError)(f"stft: expected a tensor of floating point or complex values, got {input.dtype}", op="stft")
    if input.dim() not in (1, 2):
        raise (UnsupportedOpError if center and input.dim() > 2 else TooFewDimsError)(f"stft: expected a 1D or 2D tensor, but got {input.dim()}D", op="stft")
    single = input.dim() == 1
    x = input.unsqueeze(0) if single else input
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    n = x.shape[-1]
    if not 0 < n_fft <= n:
        raise TensorError(f"stft: expected 0 < n_fft <= {n}, but got n_fft={n_fft}", op="stft")
    window = _whole_window("stft", window, win_length, n_fft, x)
    if align_to_window:
        left = (n_fft - win_length) // 2
        x = cat([x.new_zeros(x.shape[0], left), x, x.new_zeros(x.shape[0], left)], -1)
    pieces = x.unfold(-1, n_fft, hop_length) * window
    onesided = not complex_signal if onesided is None else onesided
    if onesided and complex_signal:
        raise TensorError("stft: cannot have onesided output if window or input is complex", op="stft")
    scale = n_fft ** -0.5 if normalized else 1.0
    if complex_signal:
        out = _fft.c2c(_fft.promote_input("stft", pieces, True), (2,), (n_fft,), -1, scale)
    else:
        out = _fft.r2c(_fft.promote_input("stft", pieces, False), (2,), (n_fft,), -1, scale, bool(onesided))
    out = out.transpose(1, 2)
    if single:
        out = out.squeeze(0)
    return out if return_complex else view_as_real(out)


def istft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None, length=None,
          return_complex=False):
    """Put a signal together from its short-time Fourier transform, by least squares.

    Args:
        input: complex, (frequency, frame) or (batch, frequency, frame), as ``stft`` returns it.
        length: of the signal; None: as long as the frames reach.
        n_fft, hop_length, win_length, window, center, normalized, onesided: as given to ``stft``.
    """
    if window is None:
        _warn_of_rectangle()
    hop_length, win_length = _settings("istft", n_fft, hop_length, win_length)
    if not input.is_complex():
        raise TensorError("istft requires a complex-valued input tensor matching the output from stft with return_complex=True.", op="istft")
    if input.dim() not in (2, 3) or input.numel() == 0:
        raise TooFewDimsError(f"istft: expected a non-empty tensor with 2 or 3 dimensions, but got {list(input.shape)}", op="istft")
    single = input.dim() == 2
    x = input.unsqueeze(0) if single else input
    frames = x.shape[2]
    whole = x.shape[1] == n_fft
    onesided = not whole if onesided is None else onesided
    if x.shape[1] != (n_fft // 2 + 1 if onesided else n_fft):
        raise ShapeError(f"istft: expected {n_fft // 2 + 1 if onesided else n_fft} frequencies, got {x.shape[1]}", op="istft")
    if return_complex and onesided:
        raise TensorError("istft: cannot have onesided output if window or input is complex", op="istft")
    window = _whole_window("istft", window, win_length, n_fft, x)
    if not return_complex and window.is_complex():
        raise TensorError("Complex windows are incompatible with return_complex=False", op="istft")
    scale = n_fft ** -0.5 if normalized else 1.0 / n_fft
    x = x.transpose(1, 2)
    if return_complex:
        pieces = _fft.c2c(x, (2,), (n_fft,), 1, scale)
    else:
        pieces = _fft.c2r(x if onesided else x.narrow(2, 0, n_fft // 2 + 1), 2, n_fft, 1, scale)
    pieces = pieces * window
    total = n_fft + hop_length * (frames - 1)
    at = (arange(frames, device=x.device).unsqueeze(1) * hop_length + arange(n_fft, device=x.device)).reshape(-1)
    signal = pieces.new_zeros(x.shape[0], total).index_add(1, at, pieces.reshape(x.shape[0], -1))
    weight = (window * window).unsqueeze(0).expand(frames, n_fft).reshape(-1)
    envelope = weight.new_zeros(total).index_add(0, at, weight)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - n_fft // 2 if center else total
    stop = min(end, total)
    signal, envelope = signal.narrow(1, start, stop - start), envelope.narrow(0, start, stop - start)
    if float(envelope.detach().abs().min()) <= 1e-11:
        raise TensorError("istft: window overlap add min: 1e-11 not reached; the window and hop leave samples uncovered", op="istft")
    signal = signal / envelope
    if end > stop:
        signal = cat([signal, signal.new_zeros(signal.shape[0], end - stop)], 1)
    return signal.squeeze(0) if single else signal


FUNCTIONS = {f.__name__: f for f in (hann_window, hamming_window, blackman_window, bartlett_window, kaiser_window, stft, istft)}
METHODS = {"stft": stft, "istft": istft}
