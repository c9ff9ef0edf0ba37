"""Elementary functions in ULP, for each instruction set: float32 against float64, float64 against mpmath or long double."""
import math

import numpy as np
import pytest

import rustorch_py as rt

WIDE = np.finfo(np.longdouble).nmant > 60
erf, erfc = (np.vectorize(f, otypes=[np.float64]) for f in (math.erf, math.erfc))

# name: (oracle, domain, ULP float32, ULP float64). The oracle takes float64 or long double.
BOUNDS = {
    "exp": (np.exp, (-800, 800), 1.5, 1.5), "exp2": (np.exp2, (-1100, 1100), 1.5, 1.5), "expm1": (np.expm1, (-800, 800), 2, 2),
    "log": (np.log, (0, np.inf), 1, 1), "log2": (np.log2, (0, np.inf), 2, 2), "log10": (np.log10, (0, np.inf), 2, 2), "log1p": (np.log1p, (-1, np.inf), 1, 1),
    "sin": (np.sin, (-np.inf, np.inf), 2, 1.5), "cos": (np.cos, (-np.inf, np.inf), 2, 1.5), "tan": (np.tan, (-np.inf, np.inf), 4, 3),
    "asin": (np.arcsin, (-1, 1), 3, 3), "acos": (np.arccos, (-1, 1), 2, 2), "atan": (np.arctan, (-np.inf, np.inf), 2.5, 2.5),
    "sinh": (np.sinh, (-800, 800), 3, 3), "cosh": (np.cosh, (-800, 800), 2, 2), "tanh": (np.tanh, (-np.inf, np.inf), 3, 3),
    "asinh": (np.arcsinh, (-np.inf, np.inf), 2.5, 2.5), "acosh": (np.arccosh, (1, np.inf), 2.5, 2.5), "atanh": (np.arctanh, (-1, 1), 2.5, 2.5),
    "erf": (erf, (-np.inf, np.inf), 2, 2.5), "erfc": (erfc, (-6, 27), 4.5, 5.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (-87, 1e4), 3, 3),
}


def samples(dtype, low, high):
    """The whole range of exponents, a dense part around 0, and the numbers where cases change."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    spread = np.ldexp(rng.uniform(1, 2, 4000), rng.integers(info.minexp - info.nmant, info.maxexp, 4000)) * rng.choice([-1, 1], 4000)
    edges = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, math.pi, math.pi / 2, 1e5, 1e6, float(info.max), float(info.tiny), float(info.smallest_subnormal),
             0.41421357, 2.4142137, 0.7071068, 1.4142135, 88.7, -87.4, 709.7, -745.1, 27.2, 10.05]
    with np.errstate(over="ignore"):
        x = np.concatenate([spread, rng.uniform(-30, 30, 6000), rng.uniform(-1.5, 1.5, 4000), edges]).astype(dtype)
    return x[(x >= low) & (x <= high)]


def ulp_error(got, want, dtype):
    """Error in units in the last place of `want`, which is wider than dtype."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(dtype)
        unit = np.spacing(np.abs(rounded)).astype(want.dtype)
        error = np.abs(got.astype(want.dtype) - want) / unit
        exact = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        edge = np.isinf(rounded) != np.isinf(got)        # one past the largest number is one ULP away
        error = np.where(edge & (np.minimum(np.abs(got), np.abs(rounded)) >= info.max * (1 - 4 * info.eps)), 1, error)
    return np.where(exact & ~np.isfinite(error), 0, error)


@pytest.mark.parametrize("name", BOUNDS)
def test_float32_ulp(name, level):
    oracle, (low, high), bound, _ = BOUNDS[name]
    x = samples(np.float32, low, high)
    with np.errstate(all="ignore"):
        want = oracle(x.astype(np.float64))
    error = ulp_error(getattr(rt, name)(rt.from_numpy(x)).numpy(), want, np.float32)
    worst = int(np.nanargmax(error))
    assert not np.isnan(error).any() and error[worst] <= bound, (x[worst], error[worst], x[np.isnan(error)][:5])


@pytest.mark.parametrize("name", BOUNDS)
def test_float64_ulp(name, level):
    oracle, (low, high), _, bound = BOUNDS[name]
    x = samples(np.float64, low, high)
    if not WIDE and name not in ("erf", "erfc"):
        pytest.skip("long double is no wider than double here")
    with np.errstate(all="ignore"):
        want = oracle(x if name in ("erf", "erfc") else x.astype(np.longdouble))     # libm's erf: under 1 ULP of its own
    error = ulp_error(getattr(rt, name)(rt.from_numpy(x)).numpy(), want, np.float64)
    worst = int(np.nanargmax(error))
    assert not np.isnan(error).any() and error[worst] <= bound, (x[worst], error[worst], x[np.isnan(error)][:5])


def test_float64_against_many_digits(level):
    mpmath = pytest.importorskip("mpmath")
    x = np.random.default_rng(3).uniform(-5, 5, 60)
    with mpmath.workdps(40):
        for name, bound in (("exp", 1.5), ("sin", 1.5), ("erf", 1.6), ("erfc", 4.5), ("tanh", 3), ("atan", 2.5)):
            got = getattr(rt, name)(rt.from_numpy(x)).numpy()
            fn = getattr(mpmath, name)
            for value, result in zip(x, got):
                want = fn(mpmath.mpf(float(value)))
                assert abs(mpmath.mpf(float(result)) - want) <= bound * math.ulp(abs(float(want))), (name, value)


SPECIAL = {  # name: (mpmath's, intervals, ULP float32, ULP float64)
    "lgamma": (lambda mp, x: mp.log(abs(mp.gamma(x))), [(-9.9, 0), (0.001, 1), (0.99, 1.01), (1.99, 2.01), (2, 9), (9, 1e4)], 0.6, None),
    "digamma": (lambda mp, x: mp.digamma(x), [(-9.9, 0), (0.001, 1), (1.4, 1.5), (2, 9), (9, 1e4)], 0.6, None),
    "polygamma": (lambda mp, x: mp.polygamma(1, x), [(-9.9, 0), (0.001, 1), (2, 9), (9, 1e4)], 0.6, 8),
    "erfinv": (lambda mp, x: mp.erfinv(x), [(-0.99, 0.99), (-1e-3, 1e-3), (0.999, 0.99999)], 4, 5.5),
    "special.ndtri": (lambda mp, x: -mp.sqrt(2) * mp.erfinv(1 - 2 * x), [(1e-3, 0.4), (0.6, 0.99)], 0.6, 5.5),
    "special.i0": (lambda mp, x: mp.besseli(0, x), [(-8, 8), (8, 80)], 0.6, None),
    "special.i0e": (lambda mp, x: mp.exp(-abs(x)) * mp.besseli(0, x), [(-8, 8), (8, 200)], 0.6, None),
    "special.i1": (lambda mp, x: mp.besseli(1, x), [(-8, 8), (8, 80)], 0.6, None),
    "special.i1e": (lambda mp, x: mp.exp(-abs(x)) * mp.besseli(1, x), [(-8, 8), (8, 200)], 0.6, None),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_ulp(name, level):
    mpmath = pytest.importorskip("mpmath")
    exact, intervals, *bounds = SPECIAL[name]
    call = getattr(rt.special, name[8:]) if name.startswith("special.") else getattr(rt, name)
    if name == "polygamma":
        call = lambda x: rt.polygamma(1, x)              # noqa: E731
    rng = np.random.default_rng(11)
    with mpmath.workdps(40):
        for dtype, bound in zip((np.float32, np.float64), bounds):
            x = np.concatenate([rng.uniform(low, high, 20) for low, high in intervals]).astype(dtype)
            for value, result in zip(x, call(rt.from_numpy(x)).numpy() if bound else ()):
                want = exact(mpmath, mpmath.mpf(float(value)))
                unit = float(np.spacing(np.abs(dtype(float(want)))))
                assert abs(mpmath.mpf(float(result)) - want) <= bound * unit, (name, dtype, value, result)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_edges(dtype, level):
    inf, nan = math.inf, math.nan
    x = np.array([0.0, -0.0, 1, 2, -1, -2, inf, -inf, nan], dtype)
    want = {"lgamma": [inf, inf, 0, 0, inf, inf, inf, inf, nan], "erfinv": [0.0, -0.0, inf, nan, -inf, nan, nan, nan, nan]}
    for name, values in want.items():
        assert np.array_equal(getattr(rt, name)(rt.from_numpy(x)).numpy(), np.array(values, dtype), equal_nan=True), name
    np.testing.assert_array_equal(rt.polygamma(1, rt.from_numpy(x)).numpy()[[0, 1, 4, 5, 6, 8]], np.array([inf, inf, inf, inf, 0, nan], dtype))
    got = rt.digamma(rt.from_numpy(x)).numpy()
    assert got[0] == -inf and got[1] == inf and np.isnan(got[[4, 5, 7, 8]]).all() and got[6] == inf
    assert np.array_equal(rt.special.i0(rt.from_numpy(x)).numpy()[[0, 1, 6, 7]], np.array([1, 1, inf, inf], dtype))
    assert np.array_equal(rt.special.i1e(rt.from_numpy(x)).numpy()[[0, 1, 6, 7]], np.zeros(4, dtype))
    p = np.array([0, 0.5, 1, -0.1, 1.1, nan], dtype)
    assert np.array_equal(rt.special.ndtri(rt.from_numpy(p)).numpy(), np.array([-inf, 0, inf, nan, nan, nan], dtype), equal_nan=True)


PAIRS = {"pow": (np.power, 0.6, 2.5), "atan2": (np.arctan2, 3, 2.5), "hypot": (np.hypot, 0.6, 2.5)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PAIRS)
def test_pair_ulp(name, dtype, level):
    oracle, b32, b64 = PAIRS[name]
    if name == "pow" and level == "avx512":
        b32 = 1                                              # pairs of float32 in place of float64
    if dtype == np.float64 and not WIDE:
        pytest.skip("long double is no wider than double here")
    rng = np.random.default_rng(5)
    special = np.array([0.0, -0.0, 1, -1, 0.5, 2, 3, -2, -3, np.inf, -np.inf, np.nan, 1e30, 1e-30], dtype)
    x = np.concatenate([np.repeat(special, special.size), rng.uniform(-4, 8, 3000), rng.uniform(0, 3, 3000)]).astype(dtype)
    y = np.concatenate([np.tile(special, special.size), rng.uniform(-20, 20, 3000).round(1), rng.uniform(-300, 300, 3000)]).astype(dtype)
    if name == "pow":                                        # large powers of numbers near 1, of all numbers, and what they underflow to
        for base in (rng.uniform(0.9, 1.1, 5000), np.exp2(rng.uniform(-140, 120, 5000)), rng.uniform(0.999, 1.001, 5000)):
            base = base.astype(dtype)
            y = np.concatenate([y, (rng.uniform(-149, 128, 5000) / np.log2(np.where(base == 1, 2, base).astype(np.float64))).astype(dtype)])
            x = np.concatenate([x, base])
    wide = np.float64 if dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        want = oracle(x.astype(wide), y.astype(wide))
    got = getattr(rt, name)(rt.from_numpy(x), rt.from_numpy(y)).numpy()
    error = ulp_error(got, want, dtype)
    assert not np.isnan(error).any(), [(a, b, g, w) for a, b, g, w, e in zip(x, y, got, want, error) if np.isnan(e)][:5]
    worst = int(np.argmax(error))
    assert error[worst] <= (b32 if dtype == np.float32 else b64), (x[worst], y[worst], error[worst])
    zero = (want == 0) & (got == 0)
    assert np.array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_remainders_are_exact(name, dtype, level):
    rng = np.random.default_rng(9)
    x = (np.ldexp(rng.uniform(0.5, 1, 4000), rng.integers(-60, 60, 4000)) * rng.choice([-1, 1], 4000)).astype(dtype)
    y = (np.ldexp(rng.uniform(0.5, 1, 4000), rng.integers(-20, 20, 4000)) * rng.choice([-1, 1], 4000)).astype(dtype)
    x[:8], y[:8] = [5, -5, 0, -0.0, np.inf, 7, np.nan, 6], [3, 3, 2, 2, 2, np.inf, 1, 3]
    oracle = {"fmod": np.fmod, "remainder": np.remainder, "floor_divide": np.floor_divide}[name]
    for part in (slice(0, 8), slice(8, None)):               # the second part has blocks without special numbers
        with np.errstate(all="ignore"):
            want = oracle(x[part], y[part])
        got = getattr(rt, name)(rt.from_numpy(x[part].copy()), rt.from_numpy(y[part].copy())).numpy()
        if part.start == 0 and name != "fmod":                # NumPy and PyTorch differ for an infinite operand
            got, want = np.delete(got, [4, 5]), np.delete(want, [4, 5])
        np.testing.assert_array_equal(got, want)


def test_one_far_argument_in_a_block(level):
    """Large arguments leave the vector form; in place too, where the input is overwritten."""
    x = np.linspace(-3, 3, 2000)
    x[[3, 700, 1999]] = [1e22, -3e15, 1e300]
    for dtype in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            a = x.astype(dtype)
        for name in ("sin", "cos", "tan"):
            with np.errstate(all="ignore"):
                want = getattr(np, name)(a.astype(np.float64))
            t = rt.from_numpy(a.copy())
            getattr(t, name + "_")()
            np.testing.assert_allclose(t.numpy(), want, rtol=5e-7 if dtype == np.float32 else 1e-14)
            strided = rt.from_numpy(np.repeat(a, 3))[::3]
            np.testing.assert_array_equal(getattr(rt, name)(strided).numpy(), t.numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silu_and_gelu(dtype, level):
    eps, x = np.finfo(dtype).eps, samples(dtype, -80, 1e4)
    wide = x.astype(np.longdouble)
    error = ulp_error(rt.nn.functional.silu(rt.from_numpy(x)).numpy(), wide / (1 + np.exp(-wide)), dtype)
    assert error[np.abs(x) > np.finfo(dtype).tiny].max() <= 3
    want = 0.5 * wide * (1 + erf(x.astype(np.float64) * math.sqrt(0.5)))
    assert (np.abs(rt.nn.functional.gelu(rt.from_numpy(x)).numpy() - want) <= 1.5 * eps * np.abs(x) + np.finfo(dtype).tiny).all()
    ends = rt.from_numpy(np.array([np.inf, 0, -0.0, np.nan], dtype))
    for fn in (rt.nn.functional.silu, rt.nn.functional.gelu):
        got = fn(ends).numpy()
        assert got[0] == np.inf and got[1] == got[2] == 0 and np.signbit(got[:3]).tolist() == [False, False, True] and np.isnan(got[3])


@pytest.mark.parametrize("dtype", [rt.bfloat16, rt.float16])
def test_signs_of_sixteen_bits(dtype):
    """abs and neg change one bit of a 16-bit float, in every layout, in place too."""
    x = rt.tensor([0.0, -0.0, 1.5, -2.25, math.inf, -math.inf, math.nan, -3.0] * 9).to(dtype)
    for t in (x, x[::2], x.reshape(8, 9).t(), x[:1]):
        wide = t.to(rt.float32).numpy()
        for fn, want in ((rt.abs, np.abs(wide)), (rt.neg, -wide)):
            got = fn(t)
            assert got.dtype == dtype
            got = got.to(rt.float32).numpy()
            assert np.array_equal(got, want, equal_nan=True)
            finite = ~np.isnan(want)
            assert np.array_equal(np.signbit(got)[finite], np.signbit(want)[finite])
        out = t.clone()
        assert out.neg_() is out and np.array_equal(out.to(rt.float32).numpy(), -wide, equal_nan=True)


ENVELOPE = {  # name: (mpmath's, intervals, bound in units of the last place of the largest value nearby)
    **{f"bessel_{kind}{nu}": (lambda mp, x, f=f"bessel{kind}", nu=nu: getattr(mp, f)(nu, x), [(1e-6, 1), (1, 2), (2, 8), (8, 16), (16, 1e3)], 7)
       for kind in "jy" for nu in (0, 1)},
    **{f"{scaled}modified_bessel_k{nu}": (lambda mp, x, nu=nu, s=bool(scaled): mp.besselk(nu, x) * (mp.exp(x) if s else 1),
                                          [(1e-6, 1), (1, 2.7), (2.7, 8), (8, 80)], 6) for scaled in ("", "scaled_") for nu in (0, 1)},
    "airy_ai": (lambda mp, x: mp.airyai(x), [(-12, -8), (-8, 0), (0, 2), (2, 3)], 8),
}


@pytest.mark.parametrize("name", ENVELOPE)
def test_bessel_functions_against_many_digits(name, level):
    """Oscillating functions lose digits at their zeros alone: errors are measured by sqrt(2 / (pi x)), the size of their waves."""
    mpmath = pytest.importorskip("mpmath")
    exact, intervals, bound = ENVELOPE[name]
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(low, high, 25) for low, high in intervals])
    call = getattr(rt.special, name)
    got, short = call(rt.from_numpy(x)).numpy(), call(rt.from_numpy(x.astype(np.float32))).numpy()
    with mpmath.workdps(40):
        for value, result, rounded in zip(x, got, short):
            want, near = exact(mpmath, mpmath.mpf(float(value))), exact(mpmath, mpmath.mpf(float(np.float32(value))))
            wave = math.sqrt(2 / (math.pi * max(abs(value), 1))) if "_j" in name or "_y" in name or value < 0 else 0
            assert abs(mpmath.mpf(float(result)) - want) <= bound * 2.0 ** -53 * max(abs(want), wave), (name, value, result)
            assert abs(mpmath.mpf(float(rounded)) - near) <= 2.0 ** -24 * 1.01 * abs(near) + 1e-40 + 2.0 ** -50 * wave, (name, value, rounded)
    large = rt.special.airy_ai(rt.tensor([20.0, 60.0], dtype=rt.float64)).tolist()
    assert np.allclose(large, [float(mpmath.airyai(v)) for v in (20, 60)], rtol=1e-13, atol=0)


def test_bessel_edges(level):
    inf, nan = math.inf, math.nan
    x = rt.tensor([0.0, -0.0, inf, -inf, nan, -1.0], dtype=rt.float64)
    want = {"bessel_j0": [1, 1, 0, 0, nan, 0.7651976865579666], "bessel_j1": [0, -0.0, 0, -0.0, nan, -0.4400505857449335],
            "bessel_y0": [-inf, -inf, 0, nan, nan, nan], "bessel_y1": [-inf, -inf, 0, nan, nan, nan],
            "modified_bessel_k0": [inf, inf, 0, nan, nan, nan], "scaled_modified_bessel_k1": [inf, inf, 0, nan, nan, nan],
            "airy_ai": [0.355028053887817239, 0.355028053887817239, 0, 0, nan, 0.535560883292352083], "spherical_bessel_j0": [1, 1, 0, 0, nan, math.sin(1)]}
    for name, values in want.items():
        np.testing.assert_allclose(getattr(rt.special, name)(x).numpy(), values, rtol=1e-15, atol=0, err_msg=name)
        np.testing.assert_allclose(getattr(rt.special, name)(x.float()).numpy(), np.array(values, np.float32), rtol=1.2e-7, atol=0, err_msg=name)


@pytest.mark.parametrize("dtype,bound", [(np.float32, 3e-7), (np.float64, 2e-13)])
def test_incomplete_gamma_functions(dtype, bound):
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(4)
    a = np.concatenate([rng.uniform(low, high, 40) for low, high in ((0.01, 1), (1, 10), (10, 60))]).astype(dtype)
    x = (a * rng.uniform(0.05, 3, a.size)).astype(dtype)
    for name in ("gammainc", "gammaincc"):
        got = getattr(rt.special, name)(rt.from_numpy(a), rt.from_numpy(x)).numpy()
        for p, q, result in zip(a.tolist(), x.tolist(), got.tolist()):
            want = mpmath.gammainc(p, 0, q, regularized=True) if name == "gammainc" else mpmath.gammainc(p, q, regularized=True)
            assert abs(result - want) <= bound * (abs(want) + 1e-3), (name, p, q, result, want)


def test_incomplete_gamma_functions_far_out():
    a, x = rt.tensor([1, 2.5, 1e10, 1e-300], dtype=rt.float64), rt.tensor([1e200, 1e160, 1e200, 1e300], dtype=rt.float64)
    assert rt.special.gammainc(a, x).tolist() == [1] * 4 and rt.special.gammaincc(a, x).tolist() == [0] * 4
