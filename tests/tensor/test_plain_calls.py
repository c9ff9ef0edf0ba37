"""Calls of the usual arguments that nothing records take short ways: the same numbers as the ways that record."""
import numpy as np
import pytest

import rustorch_py as torch

SHAPES = [(3,), (3, 4), (2, 3, 5), (3, 0), (1, 3, 2, 3)]


def laid(x, how):
    """The same elements, otherwise laid out."""
    if how == "turned" and x.dim() > 1:
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if how == "every other":
        wide = torch.zeros(*x.shape, 2, dtype=x.dtype)
        wide[..., 0] = x
        return wide[..., 0]
    return x


@pytest.fixture(params=["dense", "turned", "every other"])
def how(request):
    return request.param


def both(fn, *tensors):
    """fn where nothing records, and where all is recorded."""
    plain = fn(*tensors)
    recorded = fn(*[t.detach().requires_grad_(True) for t in tensors])
    return plain, recorded


def check(got, wanted):
    assert got.shape == wanted.shape and got.dtype == wanted.dtype and not got.requires_grad
    np.testing.assert_array_equal(got.detach().numpy(), wanted.detach().numpy())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_norms(shape, dtype, how):
    torch.manual_seed(0)
    x = laid(torch.randn(shape).to(dtype), how)
    for ord in (1, 2, 2.0, 0, 3, float("inf")):
        for dim in (None, 0, -1, (0,)):
            for keepdim in (False, True):
                if not x.numel() and ord == float("inf"):
                    continue
                check(*both(lambda t: torch.linalg.vector_norm(t, ord, dim, keepdim), x))
    check(*both(lambda t: t.norm(), x))
    if x.dim() == 2:
        check(*both(torch.linalg.matrix_norm, x))
    with pytest.raises(IndexError):
        torch.linalg.vector_norm(x, 2, x.dim())


@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross(shape, dtype, how):
    torch.manual_seed(0)
    a, b = laid(torch.randn(shape, dtype=dtype), how), torch.randn(shape, dtype=dtype)
    for d in [d for d, n in enumerate(shape) if n == 3]:
        check(*both(lambda x, y: torch.linalg.cross(x, y, dim=d), a, b))
        np.testing.assert_allclose(torch.linalg.cross(a, b, dim=d).numpy(), np.cross(a.numpy(), b.numpy(), axis=d), rtol=1e-4, atol=1e-5)
    check(*both(torch.cross, a, b))
    out = torch.empty(*shape, dtype=dtype)
    assert torch.cross(a, b, out=out) is out and out.equal(torch.cross(a, b))


@pytest.mark.parametrize("shape", SHAPES + [()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_complex_of_two(shape, dtype, how):
    torch.manual_seed(0)
    a, b = laid(torch.randn(shape, dtype=dtype), how), torch.randn(shape, dtype=dtype)
    check(*both(torch.complex, a, b))
    np.testing.assert_array_equal(torch.complex(a, b).numpy(), a.numpy() + 1j * b.numpy())
    check(*both(torch.polar, a, b))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_frexp(dtype, how):
    info = np.finfo(dtype)
    x = np.array([0, -0.0, 1, -1, 0.5, 3, 1e-30, -1e30, info.tiny, info.tiny / 8, info.max, np.inf, -np.inf, np.nan], dtype)
    m, e = torch.frexp(laid(torch.from_numpy(x), how))
    wanted_m, wanted_e = np.frexp(x)
    np.testing.assert_array_equal(m.numpy(), wanted_m)
    finite = np.isfinite(x)
    np.testing.assert_array_equal(e.numpy()[finite], wanted_e[finite])
    assert (e.numpy()[~finite] == 0).all() and e.dtype == torch.int32 and m.numpy().dtype == dtype
    assert np.signbit(m.numpy()[1])
    y = torch.tensor([3.0, 0.1], requires_grad=True)
    torch.frexp(y)[0].sum().backward()
    np.testing.assert_array_equal(y.grad.numpy(), [0.25, 8.0])


def test_block_diag():
    blocks = [torch.randn(2, 3), torch.randn(4), torch.tensor(2.0), torch.ones(0, 2), torch.ones(1, 2)]
    check(*both(lambda *t: torch.block_diag(*t), *blocks))
    mixed = torch.block_diag(torch.ones(1, 1, dtype=torch.int64), torch.full((1, 2), 0.5))
    assert mixed.tolist() == [[1, 0, 0], [0, 0.5, 0.5]]


def test_one_dimension_moved():
    x = torch.randn(2, 3, 4, 5)
    for a in range(-4, 4):
        for b in range(-4, 4):
            np.testing.assert_array_equal(x.movedim(a, b).numpy(), np.moveaxis(x.numpy(), a, b))
    assert torch.tensor(1.0).movedim(0, -1).shape == ()
    with pytest.raises(IndexError):
        x.movedim(4, 0)


def test_tensors_of_one_shape_are_broadcast_to_it():
    a, b = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
    x, y = torch.broadcast_tensors(a, b)
    assert x.shape == y.shape == (2, 3) and x.data_ptr() == a.data_ptr() and y.data_ptr() == b.data_ptr()
    x.sum().backward()
    assert a.grad.tolist() == [[1.0] * 3] * 2
    with pytest.raises(TypeError):
        torch.broadcast_tensors(a, [1.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.complex64])
def test_new_ones_zeros_and_empty(dtype):
    x = torch.ones(2, dtype=dtype)
    for sizes in ((), (3,), (2, 0), (2, 3, 4), (70, 80)):
        for name, value in (("new_zeros", 0), ("new_ones", 1), ("new_empty", None)):
            for got in (getattr(x, name)(sizes), getattr(x, name)(*sizes) if sizes else getattr(x, name)(()), getattr(x, name)(list(sizes))):
                assert got.shape == sizes and got.dtype is dtype and not got.requires_grad and got.device == x.device
                assert value is None or got.numel() == 0 or bool((got == value).all())
    assert type(torch.nn.Parameter(torch.ones(1)).new_zeros(2)) is torch.Tensor
    assert x.new_zeros(2, dtype=torch.int32).dtype is torch.int32
    for bad in ((-1,), (2, -3)):
        with pytest.raises(RuntimeError):
            x.new_zeros(*bad)
    with pytest.raises(TypeError):
        x.new_zeros(1.5)


def test_eye():
    for n, m in ((0, 0), (1, 4), (4, 1), (5, 5), (70, 90)):
        for kwargs in ({}, {"dtype": torch.float64}, {"dtype": torch.int64}, {"device": "cpu"}):
            got = torch.eye(n, m, **kwargs)
            np.testing.assert_array_equal(got.numpy(), np.eye(n, m))
            assert got.dtype is kwargs.get("dtype", torch.float32)
    out = torch.ones(3, 3)
    assert torch.eye(3, out=out) is out and out.tolist() == np.eye(3).tolist()
    assert torch.eye(2, requires_grad=True).requires_grad
    with torch.device("meta"):
        assert torch.eye(3).device.type == "meta"
    with pytest.raises(RuntimeError):
        torch.eye(-1)
