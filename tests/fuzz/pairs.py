"""What the fuzz tests share: the same tensor in both libraries, the same call on both, and the comparison.

The number of cases comes from ``RUSTORCH_FUZZ`` (cases a test; ``make fuzz`` sets it). A pair is drawn as a
small description (dtype, shape, layout, seed), so that a failing case shrinks to something to read.
"""
import os
import warnings

import numpy as np
from hypothesis import HealthCheck, settings, strategies as st

import torch

import rustorch_py as rt

CASES = int(os.environ.get("RUSTORCH_FUZZ", 150))
fuzz = settings(max_examples=CASES, deadline=None, database=None, derandomize="RUSTORCH_FUZZ" not in os.environ,
                suppress_health_check=list(HealthCheck))

INTS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
DTYPES = ["bool", *INTS, *FLOATS, *COMPLEX]
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 3e-5, "float64": 1e-10, "complex64": 5e-5, "complex128": 1e-10}


class Pair:
    """The same value under PyTorch (``t``) and here (``r``)."""

    __slots__ = ("t", "r", "about")

    def __init__(self, t, r, about):
        self.t, self.r, self.about = t, r, about

    def __repr__(self):
        return self.about


def values(dtype, shape, seed, low=-4, high=5):
    """NumPy values for a dtype: small integers, so that sums are exact, and now and then a special value."""
    rng = np.random.RandomState(seed)
    if dtype == "bool":
        return rng.randint(0, 2, shape).astype(bool)
    if dtype == "uint8":
        return rng.randint(0, 9, shape).astype(np.uint8)
    if dtype in INTS:
        return rng.randint(low, high, shape).astype(dtype)
    x = rng.randint(4 * low, 4 * high, shape) / 4.0
    if dtype in COMPLEX:
        x = x + 1j * (rng.randint(4 * low, 4 * high, shape) / 4.0)
    elif seed % 5 == 0:
        x = np.where(rng.rand(*shape) < 0.2, rng.choice([np.inf, -np.inf, np.nan, -0.0, 0.0], shape), x)
    return np.asarray(x).astype(dtype if dtype != "bfloat16" else "float32")


def both(array, dtype):
    """The array in both libraries, each with memory of its own that it may resize."""
    t, r = torch.from_numpy(array), rt.from_numpy(array)
    return (t.to(torch.bfloat16), r.to(rt.bfloat16)) if dtype == "bfloat16" else (t.clone(), r.clone())


LAYOUTS = ["plain", "transposed", "stepped", "offset", "expanded"]


def lay(x, layout):
    """A view of x in another layout; the same calls for both libraries."""
    if layout == "transposed" and x.dim() >= 2:
        return x.transpose(0, -1)
    if layout == "stepped" and x.dim() >= 1:
        return x[..., ::2]
    if layout == "offset" and x.dim() >= 1 and x.shape[0] > 1:
        return x[1:]
    if layout == "expanded" and x.dim() >= 1:
        return x.unsqueeze(0).expand(2, *x.shape)
    return x


def shapes(min_dims=0, max_dims=4, max_side=4):
    sides = st.sampled_from([1, 2, 3, max_side, 0]) if max_side == 4 else st.integers(0, max_side)
    return st.lists(sides, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def pairs(draw, dtypes=DTYPES, shape=None, layouts=LAYOUTS, min_dims=0):
    dtype = draw(st.sampled_from(dtypes))
    size = draw(shapes(min_dims)) if shape is None else shape
    layout = draw(st.sampled_from(layouts))
    seed = draw(st.integers(0, 10_000))
    t, r = both(values(dtype, size, seed), dtype)
    return Pair(lay(t, layout), lay(r, layout), f"{dtype}{list(size)} {layout} seed={seed}")


@st.composite
def broadcastable(draw, shape):
    """A shape that broadcasts with `shape`, most of the time."""
    size = [draw(st.sampled_from([n, n, 1])) for n in shape]
    size = size[draw(st.integers(0, len(size))):]
    if draw(st.integers(0, 15)) == 0:
        size = draw(shapes())
    return tuple(size)


def call(function):
    """What a call gives: ("value", v) or ("error", exception)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "value", function()
        except Exception as error:  # compared by the caller
            return "error", error


def is_infinite_complex(*operands):
    """Whether infinite or NaN numbers meet complex ones: PyTorch's sums multiply by alpha = 1 + 0j first, which makes NaN of an infinity; here it stays."""
    values = [x.t if isinstance(x.t, torch.Tensor) else torch.tensor(x.t) for x in operands]
    return any(v.is_complex() for v in values) and not all(bool(v.isfinite().all()) for v in values)


def two_faults(expected, got):
    """Whether both refuse, each by a kind of error that PyTorch raises for wrong dims, keys or dtypes: a drawn case may have several faults at
    once, and which is named first is not promised."""
    kinds = (IndexError, ValueError, RuntimeError)
    return isinstance(expected, kinds) and isinstance(got, kinds)


def same(expected, got, about, tolerance=None):
    """Fail unless two outcomes of `call` agree. ComplexHalf, which is not a dtype here, is left out."""
    if "complex32" in str(getattr(expected[1], "dtype", expected[1])) or "ComplexHalf" in str(expected[1]):
        return
    if expected[0] == "error" or got[0] == "error":
        assert expected[0] == got[0], f"{about}: PyTorch gives {expected[1]!r}, here {got[1]!r}"
        builtin = next(c for c in type(expected[1]).__mro__ if c.__module__ == "builtins")
        assert isinstance(got[1], builtin) or two_faults(expected[1], got[1]), f"{about}: PyTorch raises {expected[1]!r}, here {got[1]!r}"
        return
    same_value(expected[1], got[1], about, tolerance)


def same_value(expected, got, about, tolerance=None):
    if isinstance(expected, torch.Tensor):
        assert isinstance(got, rt.Tensor), f"{about}: a tensor expected, got {got!r}"
        assert str(got.dtype).split(".")[-1] == str(expected.dtype).split(".")[-1], f"{about}: dtype {expected.dtype}, here {got.dtype}"
        assert tuple(got.shape) == tuple(expected.shape), f"{about}: shape {tuple(expected.shape)}, here {tuple(got.shape)}"
        close(numbers(expected), numbers(got), str(expected.dtype).split(".")[-1], about, tolerance)
    elif isinstance(expected, (tuple, list)):
        assert len(expected) == len(got), f"{about}: {len(expected)} results, here {len(got)}"
        for e, g in zip(expected, got):
            same_value(e, g, about, tolerance)
    elif isinstance(expected, torch.dtype):
        assert str(got).split(".")[-1] == str(expected).split(".")[-1], f"{about}: {expected}, here {got}"
    elif isinstance(expected, float):
        assert got == expected or (expected != expected and got != got) or abs(got - expected) <= 1e-6 * abs(expected), f"{about}: {expected}, here {got}"
    else:
        assert got == expected, f"{about}: {expected!r}, here {got!r}"


def numbers(x):
    x = x.detach()
    if x.is_complex():
        x = x.resolve_conj()
    if str(x.dtype).endswith("bfloat16"):
        x = x.float()
    return x.numpy()


def close(expected, got, dtype, about, tolerance=None):
    if dtype not in TOLERANCE:
        np.testing.assert_array_equal(got, expected, err_msg=about)
        return
    if dtype in COMPLEX:
        close(expected.real, got.real, "float32" if dtype == "complex64" else "float64", about, tolerance or TOLERANCE[dtype])
        close(expected.imag, got.imag, "float32" if dtype == "complex64" else "float64", about, tolerance or TOLERANCE[dtype])
        return
    tol = tolerance or TOLERANCE[dtype]
    np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=tol, atol=tol, equal_nan=True, err_msg=about)
