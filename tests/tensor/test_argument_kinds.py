"""What stands before a function: kinds of arguments, numbers in arrays, dtypes that belong together."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.errors import IntOverflowError, TooFewDimsError


def test_a_number_in_an_array_is_that_number():
    x = rt.arange(6.0).reshape(2, 3)
    for one in (np.int64(1), np.int8(1), rt.tensor(1), rt.tensor(1, dtype=rt.int8)):
        assert rt.sum(x, one).tolist() == rt.sum(x, dim=one).tolist() == x.sum((one,)).tolist() == [3.0, 12.0]
        assert [p.shape for p in x.chunk(one)] == [(2, 3)]
    assert rt.nn.functional.leaky_relu(rt.tensor(-1.0), rt.tensor(0.5)).item() == -0.5
    assert rt.isclose(x, x + 0.01, rtol=np.float32(0.1), atol=10 ** 25).all()


@pytest.mark.parametrize("wrong", [rt.tensor(1.5), rt.tensor([1, 2]), rt.tensor(True), np.float64(1.5), True, "1", [1.5], [True]])
def test_what_is_no_int(wrong):
    with pytest.raises(TypeError, match="must be tuple of ints"):
        rt.sum(rt.ones(2, 2), wrong)


def test_an_int_beyond_64_bits():
    for kind in (ValueError, TypeError, OverflowError, RuntimeError, IntOverflowError):
        with pytest.raises(kind, match="64 bits"):
            rt.ones(2, 2).sum(1 << 70)
        with pytest.raises(kind, match="64 bits"):
            rt.zeros(1 << 70)


def test_dtypes_that_belong_together():
    x, y = rt.ones(3), rt.ones(3, dtype=rt.float64)
    with pytest.raises(RuntimeError, match=r"cross\(\): expected 'other' to have the dtype of 'input', torch.float32, but got torch.float64"):
        rt.cross(x, y, dim=0)
    with pytest.raises(NotImplementedError, match="\"airy_ai\" not implemented for 'Half'"):
        rt.special.airy_ai(x.half())
    with pytest.raises(TypeError, match="missing"):          # the signature comes first
        rt.nn.functional.multi_margin_loss(x.long())
    with pytest.raises(RuntimeError, match="Boolean alpha"):
        rt.add(x, x, alpha=True)
    with pytest.raises(RuntimeError, match="without overflow"):
        rt.addcmul(x, x, x, value=1j)
    assert rt.add(x > 0, x > 0, alpha=True).tolist() == [True] * 3


def test_too_few_dimensions():
    for kind in (IndexError, ValueError, RuntimeError, TooFewDimsError):
        with pytest.raises(kind):
            rt.nn.functional.unfold(rt.ones(2), 1)


def test_sizes_one_by_one_or_none():
    for call in (rt.zeros, rt.ones(2).new_zeros, rt.ones(2).reshape, rt.ones(2).expand, rt.ones(2).repeat):
        with pytest.raises(TypeError, match="missing 1 required"):
            call()
    assert rt.zeros(()).shape == rt.zeros(size=()).shape == ()


def test_no_tensor_of_an_absent_device():
    if rt.cuda.is_available():
        pytest.skip("there is one")
    for make in (lambda: rt.zeros(0, device="cuda"), lambda: rt.linspace(0, 1, 0, device=3)):
        with pytest.raises(RuntimeError):
            make()


def test_slices_of_another_shape():
    x = rt.ones(2, 3)
    for call in (rt.index_add, rt.index_copy):
        with pytest.raises(RuntimeError, match="slice shapes"):
            call(x, 0, rt.tensor([0]), rt.ones(1, 1))
        with pytest.raises(RuntimeError, match="Number of indices"):
            call(x, 0, rt.tensor([0]), rt.ones(2, 3))
    with pytest.raises(RuntimeError, match="same number of dimensions"):
        rt.scatter(x, 0, rt.zeros(1, 3, dtype=rt.int64), rt.tensor(1.0))
