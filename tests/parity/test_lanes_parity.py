"""Operators along a dimension, special functions and masked reductions beside a live PyTorch."""
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs PyTorch")

import rustorch_py as rt

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex64"]
SHAPES = [(), (1,), (5,), (4, 6), (3, 0), (2, 40, 3)]


def sample(dtype, shape):
    torch.manual_seed(0)
    d = getattr(torch, dtype)
    if d.is_floating_point or d.is_complex:
        return torch.randn(shape, dtype=torch.complex64 if d.is_complex else torch.float32).mul(3).to(d)
    return torch.randint(0, 2 if d == torch.bool else 7, shape).to(d)


def attempt(fn):
    try:
        return fn()
    except Exception as error:
        return error


def compare(name, ours, theirs):
    if "MKL FFT error" in str(theirs):          # no transforms of empty tensors there; an empty tensor here
        assert ours.numel() == 0
        return
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"{name}: {ours!r} for {theirs!r}"
        return
    assert not isinstance(ours, Exception), f"{name}: {ours!r}"
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            compare(name, a, b)
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape), name
    torch.testing.assert_close(rt.to_torch(ours), theirs, equal_nan=True, msg=lambda m: f"{name}: {m}")


CALLS = {
    "argmax": lambda m, x: m.argmax(x, 0), "argmin": lambda m, x: m.argmin(x, -1, True), "max": lambda m, x: m.max(x, -1),
    "min": lambda m, x: m.min(x, 0, True), "max all": lambda m, x: m.max(x), "aminmax": lambda m, x: m.aminmax(x, dim=0),
    "median": lambda m, x: m.median(x, -1)[0], "nanmedian": lambda m, x: m.nanmedian(x), "kthvalue": lambda m, x: m.kthvalue(x, 1, 0)[0],
    "sort": lambda m, x: m.sort(x, -1), "sort down": lambda m, x: m.sort(x, dim=0, descending=True, stable=True),
    "topk": lambda m, x: m.topk(x, 2, 0)[0], "msort": lambda m, x: m.msort(x), "mode": lambda m, x: m.mode(x, -1),
    "unique": lambda m, x: m.unique(x, return_inverse=True, return_counts=True), "unique dim": lambda m, x: m.unique(x, dim=0),
    "unique_consecutive": lambda m, x: m.unique_consecutive(x, return_inverse=True), "isin": lambda m, x: m.isin(x, 2),
    "cumsum": lambda m, x: m.cumsum(x, 0), "cumprod": lambda m, x: m.cumprod(x, -1), "cummax": lambda m, x: m.cummax(x, -1),
    "cumsum dtype": lambda m, x: m.cumsum(x, 0, dtype=m.float64), "logcumsumexp": lambda m, x: m.logcumsumexp(x, 0),
    "mean": lambda m, x: m.mean(x), "mean dim": lambda m, x: m.mean(x, -1, dtype=m.float64), "var": lambda m, x: m.var(x),
    "var old": lambda m, x: m.var(x, False), "std": lambda m, x: m.std(x, -1, correction=0), "var_mean": lambda m, x: m.var_mean(x, 0),
    "quantile": lambda m, x: m.quantile(x, 0.3, -1), "histc": lambda m, x: m.histc(x, 4), "bincount": lambda m, x: m.bincount(x),
    "diff": lambda m, x: m.diff(x), "trapezoid": lambda m, x: m.trapezoid(x), "nan_to_num": lambda m, x: m.nan_to_num(x),
    "cov": lambda m, x: m.cov(x), "searchsorted": lambda m, x: m.searchsorted(m.sort(x)[0], x),
    "fft": lambda m, x: m.fft.fft(x), "rfft": lambda m, x: m.fft.rfft(x, norm="ortho"), "irfft": lambda m, x: m.fft.irfft(x, 7),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_values_dtypes_and_errors(name, dtype):
    call = CALLS[name]
    if name == "histc" and dtype in ("float16", "bfloat16"):
        dtype = "float32"                       # PyTorch places 16-bit values in 16-bit arithmetic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for shape in SHAPES:
            x = sample(dtype, shape)
            for view in (lambda t: t, lambda t: t.transpose(0, 1)) if len(shape) > 1 else (lambda t: t,):
                compare(f"{name} {dtype} {shape}", attempt(lambda: call(rt, view(rt.from_torch(x)))), attempt(lambda: call(torch, view(x))))


SPECIAL = [n for n in ("airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammaln i0 i0e i1 i1e "
                       "log_ndtr modified_bessel_k0 modified_bessel_k1 ndtr ndtri psi scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc "
                       "spherical_bessel_j0").split()]


@pytest.mark.parametrize("name", SPECIAL)
def test_special_of_one(name):
    x = torch.cat([torch.linspace(-9, 9, 301), torch.linspace(0.001, 0.999, 50)])
    ours, theirs = getattr(rt.special, name)(rt.from_torch(x)), getattr(torch.special, name)(x)
    torch.testing.assert_close(rt.to_torch(ours), theirs, equal_nan=True, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
                                  "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
                                  "shifted_chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
                                  "legendre_polynomial_p", "gammainc", "gammaincc"])
def test_special_of_two(name):
    x = torch.linspace(0.03, 0.97, 40, dtype=torch.float64).unsqueeze(1)
    n = torch.arange(12, dtype=torch.float64)
    if name.startswith("gamma"):
        x = x * 20
    compare(name, getattr(rt.special, name)(rt.from_torch(x), rt.from_torch(n)), getattr(torch.special, name)(x, n))


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "mean", "var", "std", "norm", "argmax"])
def test_masked_reductions(name):
    x, mask = sample("float32", (4, 6)), torch.rand(4, 6) < 0.7
    mask[:, 0] = True
    mask[:, 1] = True
    for dim in (0, 1):
        if name == "argmax" or mask.sum(dim).min() > 1:
            ours = getattr(rt.masked, name)(rt.from_torch(x), dim=dim, mask=rt.from_torch(mask))
            compare(name, ours, getattr(torch.masked, name)(x, dim=dim, mask=mask))


@pytest.mark.parametrize("settings", [dict(), dict(center=False), dict(normalized=True, hop_length=5), dict(win_length=12, onesided=False),
                                      dict(pad_mode="constant")])
def test_short_time_transform(settings):
    x = torch.randn(3, 100)
    w = torch.hann_window(settings.get("win_length", 16))
    theirs = torch.stft(x, 16, window=w, return_complex=True, **settings)
    compare("stft", rt.stft(rt.from_torch(x), 16, window=rt.from_torch(w), return_complex=True, **settings), theirs)


def test_shapes_of_composed_operators():
    x, y = torch.arange(3.0), torch.arange(4.0)
    a, b = rt.from_torch(x), rt.from_torch(y)
    for call in (lambda m, p, q: m.meshgrid(p, q, indexing="xy"), lambda m, p, q: m.meshgrid(p, q, indexing="ij"),
                 lambda m, p, q: m.cartesian_prod(p, q), lambda m, p, q: m.combinations(q, 3), lambda m, p, q: m.combinations(p, 2, True),
                 lambda m, p, q: m.vander(q, 3), lambda m, p, q: m.block_diag(p, q.reshape(2, 2)), lambda m, p, q: m.cdist(p[:, None], q[:, None]),
                 lambda m, p, q: m.trapezoid(q, q * q), lambda m, p, q: tuple(m.gradient(q, spacing=0.5, edge_order=2)),
                 lambda m, p, q: m.unravel_index(q.long(), (2, 3)), lambda m, p, q: m.frexp(q), lambda m, p, q: m.isclose(p, p + 1e-9)):
        compare("composed", call(rt, a, b), call(torch, x, y))
