"""Maxima without their places: the loops of calls that record nothing against those that note places, and against NumPy's."""
import itertools

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.nn import functional as F

CASES = [(kernel, stride, padding, dilation, ceil) for kernel, stride, padding, dilation, ceil in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1), (1, 2), (False, True))
         if padding <= kernel // 2]


def values(shape, dtype, spoilt):
    x = np.random.default_rng(3).standard_normal(shape)
    if spoilt:
        x.flat[::7], x.flat[3::11] = np.nan, -np.inf
    return rt.tensor(x, dtype=dtype)


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16, rt.int32], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_maxima_are_those_with_places(level, dtype, last):
    for spoilt, shape in ((False, (2, 3, 9, 23)), (True, (1, 2, 7, 70)), (False, (2, 2, 4, 600))):
        x = values(shape, dtype, spoilt and dtype.is_floating_point)
        x = x.to(memory_format=rt.channels_last) if last else x
        for kernel, stride, padding, dilation, ceil in CASES:
            if (kernel - 1) * dilation >= shape[2]:
                continue
            alone = F.max_pool2d(x, kernel, stride, padding, dilation, ceil)
            both = F.max_pool2d(x, kernel, stride, padding, dilation, ceil, return_indices=True)[0]
            assert alone.dtype == dtype and alone.stride() == both.stride()
            assert rt.equal(alone.isnan(), both.isnan()) and rt.equal(alone.nan_to_num(), both.nan_to_num())


def test_windows_of_one_and_three_dimensions(level):
    x = values((2, 4, 6, 8, 10), rt.float32, True)
    assert rt.equal(F.max_pool3d(x, 2).nan_to_num(), F.max_pool3d(x, 2, return_indices=True)[0].nan_to_num())
    line = values((3, 5, 41), rt.float64, False)
    expected = line.numpy()[:, :, :40].reshape(3, 5, 20, 2).max(-1)
    assert np.array_equal(F.max_pool1d(line, 2).numpy(), expected)


def test_a_gradient_still_finds_its_places():
    x = values((1, 1, 4, 4), rt.float32, False).requires_grad_()
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.sum().item() == 4 and rt.equal(x.detach()[x.grad > 0].sort()[0], F.max_pool2d(x.detach(), 2).flatten().sort()[0])
    with rt.no_grad():
        assert rt.equal(F.max_pool2d(x, 2), F.max_pool2d(x.detach(), 2))
