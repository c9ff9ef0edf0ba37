"""Dtypes without loops of their own: complex32, uint16, uint32, uint64 and the 8-bit floats. Oracles: NumPy, and the formats' definitions."""
import numpy as np
import pytest

import rustorch_py as rt

UNSIGNED = ["uint16", "uint32", "uint64"]
# name: (mantissa bits, bias, has infinities, pattern of NaN)
EIGHT = {"float8_e4m3fn": (3, 7), "float8_e5m2": (2, 15), "float8_e4m3fnuz": (3, 8), "float8_e5m2fnuz": (2, 16)}


def meaning(name):
    """What the 256 patterns of an 8-bit float mean."""
    bits = np.arange(256)
    if name == "float8_e8m0fnu":
        return np.where(bits == 255, np.nan, 2.0 ** (bits - 127.0))
    man, bias = EIGHT[name]
    e, m = (bits & 127) >> man, bits & ((1 << man) - 1)
    value = np.where(e > 0, (1 + m / 2.0 ** man) * 2.0 ** (e - float(bias)), m / 2.0 ** man * 2.0 ** (1 - bias)) * np.where(bits < 128, 1, -1)
    if name.endswith("uz"):
        value[128] = np.nan
    elif name == "float8_e4m3fn":
        value[[127, 255]] = np.nan
    else:
        value[[124, 252]] = np.inf, -np.inf
        value[[125, 126, 127, 253, 254, 255]] = np.nan
    return value


@pytest.mark.parametrize("name", [*EIGHT, "float8_e8m0fnu"])
def test_every_pattern_of_an_8_bit_float(name):
    dtype = getattr(rt, name)
    x = rt.arange(256).to(rt.uint8).view(dtype)
    assert x.element_size() == 1 and dtype.is_floating_point
    np.testing.assert_array_equal(x.double().numpy(), meaning(name))
    back = x.float().to(dtype).view(rt.uint8).numpy()
    known = ~np.isnan(meaning(name))
    np.testing.assert_array_equal(back[known], np.arange(256)[known])
    assert np.isnan(x.float().to(dtype).float().numpy()[~known]).all()


@pytest.mark.parametrize("name", EIGHT)
def test_narrowing_takes_the_nearest(name):
    values = meaning(name)
    values = np.unique(values[np.isfinite(values)])
    x = np.random.RandomState(0).uniform(values[0], values[-1], 4000).astype("float32")
    x[:1000] *= 2.0 ** -np.random.RandomState(1).randint(0, 20, 1000)
    got = rt.from_numpy(x).to(getattr(rt, name)).double().numpy()
    at = np.clip(np.searchsorted(values, x), 1, len(values) - 1)
    assert (np.abs(got - x) <= np.minimum(np.abs(values[at] - x), np.abs(values[at - 1] - x)) + 1e-12).all()
    even = rt.tensor([1.0 + 2.0 ** -(EIGHT[name][0] + 1), 1.0 + 3 * 2.0 ** -(EIGHT[name][0] + 1)]).to(getattr(rt, name)).tolist()
    assert even == [1.0, 1.0 + 2.0 ** (1 - EIGHT[name][0])]


def test_what_is_too_large_for_8_bits():
    x = rt.tensor([1e9, float("inf"), float("nan")])
    for name, want in (("float8_e4m3fn", [448.0, 448.0]), ("float8_e5m2", [float("inf")] * 2)):
        got = x.to(getattr(rt, name)).float()
        assert got[:2].tolist() == want and bool(got[2].isnan())
    assert bool(x.to(rt.float8_e4m3fnuz).float().isnan().all())


@pytest.mark.parametrize("name", UNSIGNED)
def test_unsigned_against_numpy(name):
    info, rng = np.iinfo(name), np.random.RandomState(0)
    a = rng.randint(0, 2 ** 16, (5, 7)).astype(name)
    a[0, :3] = info.max, info.max - 1, info.max // 2 + 1
    b = rng.randint(1, 9, (5, 7)).astype(name)
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    assert x.dtype is getattr(rt, name) and x.numpy().dtype == a.dtype and np.shares_memory(x.numpy(), a)
    np.testing.assert_array_equal((x * y).numpy(), a * b)
    for got, want in ((x & y, a & b), (x | y, a | b), (x ^ y, a ^ b)):
        np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal((x == y).numpy(), a == b)
    np.testing.assert_array_equal((x != y).numpy(), a != b)
    np.testing.assert_array_equal(x.sort(1).values.numpy(), np.sort(a, 1))
    np.testing.assert_array_equal(x.unique().numpy(), np.unique(a))
    np.testing.assert_allclose(x.double().numpy(), a.astype("float64"))
    np.testing.assert_allclose((x / y).numpy(), (a / b).astype("float32"), rtol=1e-6)
    np.testing.assert_array_equal(x.to(rt.int64).to(x.dtype).numpy(), a)
    np.testing.assert_array_equal(rt.cat([x.t(), y.t()]).numpy(), np.concatenate([a.T, b.T]))
    np.testing.assert_array_equal(x[:, [0, 2]].numpy(), a[:, [0, 2]])
    assert x.tolist() == a.tolist() and x[0, 0].item() == int(info.max)
    assert x.dtype.is_signed is False and rt.iinfo(x.dtype).max == info.max
    assert rt.tensor([1, 2], dtype=x.dtype).sum().dtype is rt.int64


def test_complex32_computes_in_complex64():
    rng = np.random.RandomState(0)
    a, b = (rng.randint(-8, 9, (4, 3)) + 1j * rng.randint(-8, 9, (4, 3)) for _ in range(2))
    x, y = rt.from_numpy(a).chalf(), rt.from_numpy(b).to(rt.complex32)
    assert x.dtype is rt.complex32 is rt.chalf and x.element_size() == 4
    for got, want in ((x + y, a + b), (x - y, a - b), (x * y, a * b), (-x, -a), (x.conj(), a.conj())):
        assert got.dtype is rt.complex32
        np.testing.assert_array_equal(got.cfloat().resolve_conj().numpy(), want)
    assert x.real.dtype is rt.float16 and x.abs().dtype is rt.float16
    np.testing.assert_array_equal(x.imag.numpy(), a.imag)
    assert (rt.ones(2).half() * 1j).dtype is rt.complex32
    assert rt.complex(rt.ones(2).half(), rt.zeros(2).half()).dtype is rt.complex32


def test_complex32_carries_gradients():
    x = rt.tensor([1.0 + 2.0j, -0.5j], dtype=rt.complex64, requires_grad=True)
    (x.chalf() * x.chalf()).abs().float().sum().backward()
    # d|z^2| = 2 |z| d|z|, and PyTorch's gradient of |z| is z / |z|
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.array([1 + 2j, -0.5j]), rtol=2e-3)


def test_what_is_not_computed_is_refused():
    x = rt.ones(3, dtype=rt.uint16)
    for call in (lambda: x + 1, lambda: -x, lambda: x < 2, lambda: x.to(rt.float8_e5m2) + 1, lambda: x.to(rt.float8_e5m2).sum(),
                 lambda: x.chalf() / 2, lambda: x.chalf() @ x.chalf(), lambda: rt.fft.fft(x.chalf())):
        with pytest.raises(NotImplementedError, match="not implemented for"):
            call()
    for a, b in (("uint16", "int16"), ("uint16", "uint32"), ("float8_e5m2", "float32"), ("float8_e5m2", "int8")):
        with pytest.raises(RuntimeError, match="Promotion for"):
            rt.promote_types(getattr(rt, a), getattr(rt, b))
    with pytest.raises(TypeError, match="ScalarType ComplexHalf"):
        x.chalf().numpy()
    with pytest.raises(RuntimeError, match="without overflow"):
        rt.tensor(70000, dtype=rt.uint16)


def test_writing_and_accumulating():
    for name in ("uint16", "complex32", "float8_e4m3fn"):
        x = rt.zeros(4, dtype=getattr(rt, name))
        x[1:3] = 2
        x[rt.tensor([3])] = 3
        x.index_put_((rt.tensor([0, 0]),), rt.ones(2).to(x.dtype), accumulate=True)
        assert x.cfloat().real.tolist() == [2.0, 2.0, 2.0, 3.0]
        assert x.clone().fill_(1).tolist() == [1] * 4 and x.to(x.dtype) is x
        assert repr(x[:1]).endswith(f"dtype=torch.{name})")


@pytest.mark.parametrize("name", ["complex32", *UNSIGNED, *EIGHT])
def test_saving(name, tmp_path):
    x = rt.tensor([[1.0, 2.0], [3.0, 4.0]]).to(getattr(rt, name)).t()
    rt.save({"x": x}, tmp_path / "x.pt")
    y = rt.load(tmp_path / "x.pt")["x"]
    assert y.dtype is x.dtype and y.tolist() == x.tolist()
