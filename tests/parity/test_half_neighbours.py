"""Values that random programs found: neighbours of 16-bit floats, steps of NaN, reciprocals of a complex zero, numbers beyond an integer type."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("other", [0.0, -0.0, 1.0, float("inf"), float("-inf"), float("nan")])
def test_nextafter_of_every_half(dtype, other):
    bits = np.arange(65536, dtype=np.uint16).view(np.int16)
    theirs, ours = (m.nextafter(m.from_numpy(bits).view(getattr(m, dtype)), m.tensor(other).to(getattr(m, dtype))) for m in (torch, rt))
    nan = np.isnan(theirs.float().numpy())
    assert np.array_equal(nan, np.isnan(ours.float().numpy()))
    assert np.array_equal(theirs.view(torch.int16).numpy()[~nan], ours.view(rt.int16).numpy()[~nan])


@pytest.mark.parametrize("text", ["n / x", "n * x", "x * n", "m.mul(n, x)", "m.div(n, x)", "m.div(x, n)", "x.clone().div_(n)", "x // n", "n + x", "x - n", "m.nextafter(x[:8:2], m.tensor(n).to(x))",
                                  "m.div(x, n, rounding_mode='trunc')", "x * m.tensor(n, dtype=m.float64)", "m.tensor(n) / x", "x * m.tensor([[int(n)]])"])
@pytest.mark.parametrize("number", [1e10, -70000.0, 0.1, 1e-10])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_where_numbers_are_rounded(text, number, dtype):
    values = [1e-3, 1.0, 3.0, 60000.0, -2.0, 0.0, float("inf"), float("nan"), 7e-6]
    theirs, ours = (eval(text, {"m": m, "n": number, "x": m.tensor(values).to(getattr(m, dtype))}) for m in (torch, rt))
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(ours.double().numpy(), theirs.double().numpy())


@pytest.mark.parametrize("text", [
    "m.nextafter(m.ones(3).half(), m.tensor([True, False, True]))", "m.nextafter(m.tensor([1, 2]), m.ones(2).bfloat16() * 9)", "m.ones(2).half().nextafter_(m.zeros(2).half())",
    "m.nextafter(m.ones(2).half(), m.zeros(2).half(), out=m.empty(2))", "m.heaviside(m.tensor([float('nan'), -1., 0., 2.]), m.tensor(7.))",
    "m.zeros(2, dtype=m.complex64).reciprocal()", "m.zeros(9, dtype=m.complex128).rsqrt()", "m.zeros(1, dtype=m.complex64) ** -0.5",
    "m.logsumexp(m.zeros(0, 3, dtype=m.complex64), 0)", "m.logsumexp(m.zeros(2, 0, dtype=m.complex128), (0, 1), True)"])
def test_values(text):
    theirs, ours = eval(text, {"m": torch}), eval(text, {"m": rt})
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(ours.to(rt.complex128).numpy(), theirs.to(torch.complex128).numpy())


@pytest.mark.parametrize("target", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("source", ["float32", "float64", "bfloat16"])
def test_conversions_out_of_range(source, target):
    for number in (3000000077.0, 1e10 + 77, -3000000077.0, 65300.0, 1e20, float("inf"), float("nan")):
        for shape in ((), (7,), (1000,)):
            theirs, ours = (m.full(shape, number, dtype=getattr(m, source)).to(getattr(m, target)).tolist() for m in (torch, rt))
            assert theirs == ours, (number, shape)
