"""Cases that random programs (tests/fuzz) found: empty tensors, dimensions of size 1, and the order of results in memory."""
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def outcome(text, package):
    """What an expression gives: dtype, shape, strides and values; or its exception."""
    try:
        x = eval(text, {"m": package, "F": package.nn.functional})
    except Exception as error:  # compared by the caller
        return error
    return str(x.dtype), tuple(x.shape), x.stride(), x.tolist()


@pytest.mark.parametrize("text", [
    # cat looks at dim only where there is a tensor to join
    "m.cat([m.zeros(0, dtype=m.bool)], 1)", "m.cat([m.zeros(0), m.zeros(0, dtype=m.int64)], -5)", "m.cat([m.zeros(0), m.zeros(2, 2)], 2)", "m.cat([m.zeros(2)], 1)",
    "m.cat([m.zeros(0, 0)], 2)",
    # batches without an element to compute may differ in dtype; the result has the second's
    "m.zeros(0, 0, dtype=m.uint8) @ m.zeros(2, 0, 0, dtype=m.bool)", "m.zeros(3, 2, 0) @ m.zeros(3, 0, 2, dtype=m.float64)",
    "m.zeros(2, 2) @ m.zeros(2, 2, 0, dtype=m.float64)", "m.bmm(m.zeros(3, 2, 0), m.zeros(3, 0, 2, dtype=m.float64))", "m.bmm(m.zeros(3, 2, 2), m.zeros(3, 2, 2, dtype=m.float64))",
    "m.zeros(3, 0, 2) @ m.zeros(2, 2, dtype=m.float64)", "m.zeros(2, 0) @ m.zeros(0, 2, dtype=m.float64)",
    # pads that leave nothing of one dimension, or find nothing
    "F.pad(m.ones(1, 1, 1), (0, 0, 0, -1), 'reflect')", "F.pad(m.ones(1, 1, 1), (0, -1), 'reflect')", "F.pad(m.ones(2, 3, 3), (-1, -2, 0, 0), 'replicate')",
    "F.pad(m.ones(1, 2, 3, 3), (0, 0, 0, -4), 'reflect')", "F.pad(m.ones(2, 2, 2, 2), (-2, 0, -2, 0, -1, 0), 'replicate')", "F.pad(m.ones(0, 2, 2, 2), (-1, 0) * 3, 'reflect')",
    "F.pad(m.ones(0, 1), (-1, 1), 'circular')", "F.pad(m.ones(0, 0, 1), (-2, 1), 'replicate')", "F.pad(m.ones(0, 2, 3), (1, 1), 'reflect')", "F.pad(m.ones(0, 2), (0, 0), 'reflect')",
    # a last dimension of size 1 hands its stride on to a view
    "m.ones(1)[::2].ravel()", "m.ones(3, 1)[..., ::2].view(1, -1, 1)", "m.ones(1, 1)[:, ::2].flatten()", "m.ones(1)[::2].reshape(1, -1)", "m.ones(1)[::2].unflatten(0, (-1, 1))",
    "m.ones(2, 3).t().rot90(0)", "m.ones(3).as_strided((1, -1, -1, 0), (0, 0, 0, 0))", "m.ones(3).as_strided((1, -1), (0, 0))", "m.ones(3).as_strided((-1,), (1,))",
    "m.ones(1).broadcast_to((1, 1))", "m.ones(()).expand(2, 1)", "m.ones(3).expand(1, 2, 1, 3)", "m.ones(4, 6)[::2, ::2].expand(1, 1, 2, 3)", "m.ones(0).expand(1, 1, 0)",
    "m.ones(1)[::2].expand(1, 1)", "m.ones(1, 1, dtype=m.bool).trace()", "m.ones(2, 2, dtype=m.uint8).trace()",
    # a result follows its operand's order, broadcast dimensions staying where they are
    "m.ones(2, 2).expand(2, 2, 2).transpose(0, -1).flip([])", "m.ones(3, 2).expand(2, 3, 2).transpose(0, 2).exp()", "m.ones(3, 1, 2).permute(2, 1, 0).expand(2, 4, 3).neg()",
    # operators of three operands follow the first one of the result's shape
    "m.where(m.arange(6).view(2, 3).t() > 2, 1., m.ones(2, 3).t())", "m.where(m.ones(3, 2) > 2, 1., m.ones(2, 3).t())", "m.ones(2, 3).t().nan_to_num(1, 2, -2)",
    "m.lerp(m.ones(2, 3).t(), m.ones(2, 3).t(), 0.5)", "m.ones(2, 3).t().addcmul(m.ones(2), m.ones(3, 1))",
    # a mean is divided in out's dtype
    "m.view_as_real(m.mean(m.zeros(0), 0, out=m.zeros((), dtype=m.complex64))).isnan()", "m.mean(m.ones(2), 0, out=m.zeros((), dtype=m.complex128))",
    "m.ones(2, 3).t().clamp(m.zeros(()), m.ones(()))", "m.ones(4, 2, 3).permute(2, 0, 1).nan_to_num()",
])
def test_edges(text):
    expected, got = outcome(text, torch), outcome(text, rt)
    assert isinstance(got, type(expected)) if isinstance(expected, Exception) else got == expected, f"PyTorch gives {expected!r}, here {got!r}"


def test_gradients_of_empty_results():
    for package in (rt, torch):
        a, b = package.ones(3, 2, 0, requires_grad=True), package.ones(3, 0, 2, dtype=package.float64, requires_grad=True)
        (a @ b).sum().backward()
        assert a.grad.dtype == package.float32 and b.grad.dtype == package.float64
        x = package.ones(1, 1, 1, requires_grad=True)
        package.nn.functional.pad(x, (0, 0, 0, -1), "reflect").sum().backward()
        assert x.grad.tolist() == [[[0.0]]]
