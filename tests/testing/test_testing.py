"""Comparisons and sample tensors."""
import pytest

import rustorch_py as torch
from rustorch_py import testing


def message(*args, **options):
    with pytest.raises(AssertionError) as caught:
        testing.assert_close(*args, **options)
    return str(caught.value)


def test_message_says_how_much_differs_and_where():
    text = message(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 2.5], [3.0, 8.0]]))
    assert text.splitlines() == [
        "Tensor-likes are not close!", "", "Mismatched elements: 2 / 4 (50.0%)",
        "Greatest absolute difference: 4.0 at index (1, 1) (up to 1e-05 allowed)",
        "Greatest relative difference: 0.5 at index (1, 1) (up to 1.3e-06 allowed)"]
    assert "Tensor-likes are not equal" in message(torch.tensor([1]), torch.tensor([2]))
    assert message(2.0, 3.0).startswith("Scalars are not close!\n\nExpected 3.0 but got 2.0.")


def test_tolerances_follow_the_dtype():
    testing.assert_close(torch.tensor([1.0]), torch.tensor([1.0 + 1e-6]))
    message(torch.tensor([1.0], dtype=torch.float64), torch.tensor([1.0 + 1e-6], dtype=torch.float64))
    testing.assert_close(torch.tensor([1.0]).bfloat16(), torch.tensor([1.01]).bfloat16())
    with pytest.raises(ValueError, match="both|Both"):
        testing.assert_close(1.0, 1.0, rtol=0.1)


def test_attributes_and_structures():
    assert "'shape'" in message(torch.zeros(2), torch.zeros(3))
    assert "'dtype'" in message(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    testing.assert_close(torch.zeros(2), torch.zeros(2, dtype=torch.float64), check_dtype=False)
    assert "'stride()'" in message(torch.zeros(2, 3), torch.zeros(3, 2).t(), check_stride=True)
    assert message({"a": [1, 2]}, {"a": [1, 3]}).endswith("The failure occurred for item ['a'][1]")
    assert "Missing keys" in message({}, {"a": 1})
    assert message(torch.ones(1), torch.zeros(1), msg="hello") == "hello"
    with pytest.raises(TypeError):
        testing.assert_close(torch.ones(1), [1.0])
    nan = torch.tensor([float("nan")])
    message(nan, nan)
    testing.assert_close(nan, nan, equal_nan=True)


def test_assert_tensor_equal_takes_lists():
    testing.assert_tensor_equal(torch.tensor([1, 2]) * 2, [2, 4])
    testing.assert_tensor_equal(torch.tensor([[1.0]]), [[1]])
    with pytest.raises(AssertionError, match="not equal"):
        testing.assert_tensor_equal(torch.tensor([1.0, 2.0]), [1.0, 2.0000002])
    with pytest.raises(AssertionError, match="shape"):
        testing.assert_tensor_equal(torch.tensor([1]), [[1]])
    testing.assert_allclose(torch.tensor([1.0]), [1.0 + 1e-7])


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16", "complex64", "int64", "int8", "uint8", "bool"])
def test_make_tensor(name):
    dtype = getattr(torch, name)
    x = testing.make_tensor((20, 5), dtype=dtype)
    assert x.shape == (20, 5) and x.dtype == dtype
    y = testing.make_tensor(20, 5, dtype=dtype, noncontiguous=True, exclude_zero=True)
    assert not y.is_contiguous() and bool((y != 0).all())
    if name in ("float32", "int64"):
        z = testing.make_tensor(100, dtype=dtype, low=2, high=5)
        assert bool((z >= 2).all()) and bool((z < 5).all())
    with pytest.raises(ValueError):
        testing.make_tensor(2, dtype=dtype, low=3, high=3)
