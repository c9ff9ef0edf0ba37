"""Conversions between all dtypes that loops are compiled for: dense lines and steps, large numbers and NaN, against Python's own arithmetic."""
import struct

import numpy as np
import pytest

import rustorch_py as rt

TYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
WHOLE = {"uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64}


def as_float32(value):
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def as_float16(value):
    with np.errstate(over="ignore"):
        return float(np.float16(np.float32(value)))


def as_bfloat16(value):
    if value != value:
        return value
    bits = struct.unpack("I", struct.pack("f", value))[0]
    low = bits & 0xffff
    bits >>= 16
    bits += low > 0x8000 or (low == 0x8000 and bits & 1)
    return struct.unpack("f", struct.pack("I", bits << 16))[0]


def convert(value, source, target):
    """One number as `target`, told by Python's integers and floats."""
    if isinstance(value, complex):
        if target == "bool":
            return value != 0
        if target.startswith("complex"):
            return complex(as_float32(value.real), as_float32(value.imag)) if target == "complex64" else value
        value = value.real
    if target == "bool":
        return value != 0
    if target in WHOLE:
        if isinstance(value, float):
            by = 31 if target in ("int8", "int16", "int32") else 63
            whole = int(value) if -2.0 ** 63 <= value < 2.0 ** 63 else -2 ** 63
            value = whole if -2 ** by <= whole < 2 ** by else -2 ** by
        bits = WHOLE[target]
        value = int(value) % 2 ** bits
        return value - 2 ** bits if target != "uint8" and value >= 2 ** (bits - 1) else value
    if target in ("float64", "complex128"):
        return float(value)
    # whole numbers are rounded once, to float32, as float64 is
    value = float(np.float32(value)) if isinstance(value, int) else as_float32(value)
    return {"float32": value, "complex64": value, "float16": as_float16(value) if target == "float16" else 0.0,
            "bfloat16": as_bfloat16(value) if target == "bfloat16" else 0.0}[target]


def numbers(source, n):
    g = np.random.default_rng(n)
    if source == "bool":
        return [bool(v) for v in g.integers(0, 2, n)]
    if source in WHOLE:
        bits = WHOLE[source]
        low, high = (0, 2 ** bits) if source == "uint8" else (-2 ** (bits - 1), 2 ** (bits - 1))
        return [int(v) for v in g.integers(low, high, n, dtype=source)] if bits < 64 else [int(v) >> int(s) for v, s in zip(g.integers(low, high - 1, n), g.integers(0, 60, n))]
    values = [float(v) for v in g.uniform(-200, 200, n)]
    if n > 300:                                     # the rest stays a line of numbers that every type holds
        for i, v in enumerate((2.0 ** 31, -2.0 ** 31, -2.0 ** 31 - 256, 2.0 ** 31 - 128, 3e9, -5e9, 1e18, float("inf"), -float("inf"), float("nan"), 0.0, -0.0, 70000.0, -1e-30)):
            values[17 * i] = v
    kind = source if source.startswith("float") or source.startswith("bf") else "float32" if source == "complex64" else "float64"
    values = [convert(v, "float64", kind) for v in values]
    return [complex(v, w) for v, w in zip(values, values[::-1])] if source.startswith("complex") else values


def same(got, want):
    a, b = np.array(got), np.array(want)
    if a.dtype.kind in "fc":
        a, b = (np.stack([v.real, v.imag]) if v.dtype.kind == "c" else v for v in (a, b))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        keep = ~np.isnan(a)
        np.testing.assert_array_equal(a[keep], b[keep])
        np.testing.assert_array_equal(np.signbit(a[keep]), np.signbit(b[keep]))
    else:
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:Casting complex")
@pytest.mark.parametrize("source", TYPES)
def test_every_pair(source, level):
    for n in (1, 7, 64, 300, 1571):
        values = numbers(source, n)
        dtype = getattr(rt, source)
        wide = rt.tensor(values, dtype=rt.complex128 if source.startswith("complex") else rt.float64 if source.startswith(("float", "bf")) else rt.int64)
        x = wide.to(dtype) if wide.dtype != dtype else wide
        assert x.dtype == dtype
        apart = rt.zeros(3 * n, dtype=dtype)[1::3]
        apart.copy_(x)
        for target in TYPES:
            want = [convert(v, source, target) for v in values]
            if target.startswith("complex"):
                want = [v if isinstance(v, complex) else complex(v, 0) for v in want]
            into = rt.zeros(2 * n, dtype=getattr(rt, target))[::2]
            for got in (x.to(getattr(rt, target)), apart.to(getattr(rt, target)), into.copy_(x)):
                same(got.tolist(), want)
