"""Sample table of the operator rows: domain of each input and an oracle by function name.

Tests and benchmarks read it. ``DOMAIN[name]`` gives a (low, high) pair per input where all reals will not
do; ``ORACLE[name]`` is a NumPy expression of the same function, written from its definition and never
from the row's own text. Rows whose oracle needs special functions beyond the standard library are compared
with PyTorch in tests/parity/test_rows_parity.py.
"""
import math

import numpy as np

EPS = 1e-3
REFUSED = {"floor_divide"}       # rows that record, and refuse when their gradient is asked for, as PyTorch does
DOMAIN = {
    "log": [(0.05, 4)], "log2": [(0.05, 4)], "log10": [(0.05, 4)], "log1p": [(-0.9, 4)], "sqrt": [(0.05, 4)], "rsqrt": [(0.05, 4)],
    "asin": [(-0.95, 0.95)], "acos": [(-0.95, 0.95)], "atanh": [(-0.95, 0.95)], "acosh": [(1.05, 4)], "tan": [(-1.2, 1.2)],
    "erfinv": [(-0.95, 0.95)], "lgamma": [(0.2, 5)], "digamma": [(0.2, 5)], "polygamma_n": [(0.5, 5)], "logit": [(0.05, 0.95)], "logit_eps": [(0.05, 0.95)],
    "ndtri": [(0.05, 0.95)], "entr": [(0.05, 3)], "div": [(-3, 3), (0.5, 3)], "pow": [(0.2, 3), (-2, 2)], "reciprocal": [(0.3, 3)],
    "xlogy": [(-3, 3), (0.1, 3)], "xlog1py": [(-3, 3), (-0.8, 3)], "zeta": [(1.5, 5), (0.5, 5)], "bce_point": [(0.05, 0.95), (0, 1)],
    "floor_divide": [(-8, 8), (0.5, 3)], "trunc_divide": [(-8, 8), (0.5, 3)], "remainder": [(-8, 8), (0.5, 3)], "fmod": [(-8, 8), (0.5, 3)],
    "reciprocal_square": [(0.5, 3)], "sqrt_power": [(0.05, 4)], "reciprocal_power": [(0.3, 3)], "rsqrt_power": [(0.05, 4)], "lerp": [(-3, 3), (-3, 3), (0, 1)], "addcdiv": [(-3, 3), (-3, 3), (0.5, 3)], "clamp_pair": [(-3, 3), (-2, -0.5), (0.5, 2)],
}
# k0, k1 where a row has number parameters
PARAMS = {"add_scaled": (2.5, 0), "addcmul": (0.5, 0), "addcdiv": (0.5, 0), "polygamma_n": (2, 0), "logit_eps": (0.1, 0), "softplus_": (1.5, 20),
          "elu_": (1.3, 0), "elu_full": (1.3, 1.1), "celu_": (1.3, 0), "leaky_relu_": (0.1, 0), "hardtanh_": (-1.0, 1.5), "hardshrink_": (0.5, 0),
          "softshrink_": (0.5, 0), "threshold_": (0.3, 7.0), "smooth_l1_point": (0.8, 0), "huber_point": (0.8, 0)}


def _v(fn):
    return np.vectorize(fn, otypes=[np.float64])


def _sig(x):
    return 1 / (1 + np.exp(-x))


_erf, _erfc, _lgamma = _v(math.erf), _v(math.erfc), _v(math.lgamma)

ORACLE = {
    "add": lambda x, y: np.add(x, y), "add_scaled": lambda x, y: x + 2.5 * y, "sub": lambda x, y: np.subtract(x, y), "mul": lambda x, y: np.multiply(x, y),
    "div": lambda x, y: np.divide(x, y), "floor_divide": lambda x, y: np.floor_divide(x, y), "trunc_divide": lambda x, y: np.trunc(x / y),
    "remainder": lambda x, y: np.remainder(x, y), "fmod": lambda x, y: np.fmod(x, y), "pow": lambda x, y: np.power(x, y), "neg": np.negative,
    "positive": lambda x: x, "reciprocal": lambda x: 1 / x, "square": np.square, "cube": lambda x: x ** 3, "reciprocal_square": lambda x: x ** -2,
    "sqrt_power": np.sqrt, "reciprocal_power": lambda x: 1 / x, "rsqrt_power": lambda x: 1 / np.sqrt(x), "abs": np.abs, "sign": np.sign, "sgn": np.sign, "conj_physical": np.conj,
    "angle": np.angle, "addcmul": lambda x, y, z: x + 0.5 * y * z, "addcdiv": lambda x, y, z: x + 0.5 * y / z, "lerp": lambda x, y, z: x + z * (y - x),
    "hypot": np.hypot, "deg2rad": np.deg2rad, "rad2deg": np.rad2deg,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "isposinf": np.isposinf, "isneginf": np.isneginf, "signbit": np.signbit,
    "logical_not": np.logical_not, "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "where": lambda c, y, z: np.where(c, y, z), "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin,
    "clamp_pair": np.clip, "nan_to_num_": lambda x, y, z: np.where(np.isfinite(x), x, np.where(x > 0, y, z)), "clamp_lo": np.maximum, "clamp_hi": np.minimum, "heaviside": np.heaviside, "copysign": np.copysign, "nextafter": np.nextafter,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round_even": np.round, "frac": lambda x: x - np.trunc(x),
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sigmoid": _sig,
    "erf": _erf, "erfc": _erfc, "lgamma": _lgamma, "i0": np.i0, "sinc": np.sinc, "logit": lambda x: np.log(x / (1 - x)),
    "logit_eps": lambda x: np.log(np.clip(x, .1, .9) / (1 - np.clip(x, .1, .9))), "entr": lambda x: -x * np.log(x), "atan2": np.arctan2,
    "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2, "xlogy": lambda x, y: x * np.log(y), "xlog1py": lambda x, y: x * np.log1p(y),
    "ldexp_": lambda x, y: x * 2.0 ** y, "log_ndtr": lambda x: np.log(0.5 * _erfc(-x / math.sqrt(2))), "erfcx": lambda x: np.exp(x * x) * _erfc(x),
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6), "silu": lambda x: x * _sig(x),
    "gelu_erf": lambda x: x * 0.5 * _erfc(-x / math.sqrt(2)), "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)), "softplus_": lambda x: np.logaddexp(1.5 * x, 0) / 1.5, "logsigmoid": lambda x: -np.logaddexp(-x, 0),
    "elu_": lambda x: np.where(x > 0, x, 1.3 * np.expm1(x)), "elu_full": lambda x: 1.1 * np.where(x > 0, x, 1.3 * np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "celu_": lambda x: np.where(x > 0, x, 1.3 * np.expm1(x / 1.3)), "leaky_relu_": lambda x: np.where(x > 0, x, 0.1 * x),
    "prelu_": lambda x, y: np.where(x > 0, x, y * x), "softsign": lambda x: x / (1 + np.abs(x)), "tanhshrink": lambda x: x - np.tanh(x),
    "hardtanh_": lambda x: np.clip(x, -1, 1.5), "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6, "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardshrink_": lambda x: np.where(np.abs(x) <= 0.5, 0, x), "softshrink_": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "threshold_": lambda x: np.where(x > 0.3, x, 7.0), "mse_point": lambda x, y: (x - y) ** 2, "l1_point": lambda x, y: np.abs(x - y),
    "smooth_l1_point": lambda x, y: np.where(np.abs(x - y) < 0.8, 0.5 * (x - y) ** 2 / 0.8, np.abs(x - y) - 0.4),
    "huber_point": lambda x, y: np.where(np.abs(x - y) <= 0.8, 0.5 * (x - y) ** 2, 0.8 * (np.abs(x - y) - 0.4)),
    "bce_point": lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)), "bce_logits_point": lambda x, y: (1 - y) * x + np.logaddexp(-x, 0),
    "bitwise_not": np.invert, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift, "gcd": np.gcd, "lcm": np.lcm,
}
# special functions without an oracle in NumPy or the standard library: see tests/parity/test_rows_parity.py
WITH_TORCH_ONLY = {"erfinv", "digamma", "polygamma_n", "i0e", "i1", "i1e", "ndtri", "zeta"}


def domain(name, arity):
    """(low, high) of each input."""
    return DOMAIN.get(name, [(-3, 3)] * arity)


def values(name, arity, shape, dtype, seed=0):
    """NumPy arrays inside the row's domain, away from kinks at integers and zero."""
    rng = np.random.default_rng(seed)
    out = []
    for low, high in domain(name, arity):
        a = rng.uniform(low, high, shape)
        if np.issubdtype(dtype, np.integer):
            low_i, high_i = (1, 5) if low >= 0 or np.issubdtype(dtype, np.unsignedinteger) else (-5, 5)
            a = rng.integers(low_i, high_i + 1, shape)
        elif dtype == np.bool_:
            a = rng.integers(0, 2, shape)
        out.append(np.asarray(a).astype(dtype))
    return out
