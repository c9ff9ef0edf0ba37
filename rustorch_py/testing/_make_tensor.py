"""Random sample tensors."""
from __future__ import annotations

import math

from .. import tensor as _t
from .._info import finfo, iinfo
from ..errors import TensorTypeError, TensorValueError


def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False,
                exclude_zero=False, memory_format=None):
    """Make a tensor of random values, uniform in ``[low, high)``.

    Args:
        *shape: sizes, or one sequence of them.
        dtype: element type. Without bounds: floating point and complex numbers lie in [-9, 9),
            signed integers in [-9, 10), uint8 in [0, 10), bool in [0, 2).
        device: where the tensor shall be.
        low, high: bounds of the values.
        requires_grad: whether it wants a gradient (floating point and complex only).
        noncontiguous: leave gaps between the elements.
        exclude_zero: replace zeros by the smallest number (1 for integers).
        memory_format: layout in memory; not together with ``noncontiguous``.

    Returns:
        The tensor.

    Example:
        >>> make_tensor(2, 3, dtype=_t.float32, low=0, high=1).shape
        torch.Size([2, 3])
    """
    if len(shape) == 1 and not isinstance(shape[0], int):
        shape = tuple(shape[0])
    floating = dtype.is_floating_point or dtype.is_complex
    if noncontiguous and memory_format is not None:
        raise TensorValueError("make_tensor: noncontiguous=True and memory_format exclude each other",
                               op="make_tensor")
    if requires_grad and not floating:
        raise TensorValueError(f"make_tensor: requires_grad=True needs a floating point or complex dtype, got {dtype}",
                               op="make_tensor")
    for name, value in (("low", low), ("high", high)):
        if value is not None and not isinstance(value, (int, float)):
            raise TensorTypeError(f"make_tensor: {name} must be a number, got {type(value).__name__}", op="make_tensor")
        if value is not None and value != value:
            raise TensorValueError(f"make_tensor: `low` and `high` cannot be NaN, but got low={low!r} and "
                                   f"high={high!r}", op="make_tensor")

    if dtype == _t.bool:
        smallest, largest, low_default, high_default = 0, 2, 0, 2
    elif not floating:
        info = iinfo(dtype)
        smallest, largest = info.min, info.max + (info.bits < 64)
        low_default, high_default = (0 if info.min == 0 else -9), 10
    else:
        info = finfo(dtype)
        smallest, largest, low_default, high_default = info.min, info.max, -9, 9
    low = low_default if low is None else low
    high = high_default if high is None else high
    if low >= high:
        raise TensorValueError(f"make_tensor: `low` must be less than `high`, but got {low} >= {high}",
                               op="make_tensor")
    low, high = max(low, smallest), min(high, largest)
    if low >= high:
        raise TensorValueError(f"make_tensor: no value of {dtype} lies between the bounds", op="make_tensor")

    noncontiguous = noncontiguous and math.prod(shape) > 1
    if noncontiguous:
        shape = (*shape[:-1], 2 * shape[-1])
    if floating:
        result = _t.empty(shape, dtype=dtype, device=device)
        real = _t.view_as_real(result) if dtype.is_complex else result
        if high - low >= finfo(real.dtype).max:
            real.uniform_(low / 2, high / 2).mul_(2)      # the width itself would overflow
        else:
            real.uniform_(low, high)
    else:
        result = _t.randint(math.floor(low), math.ceil(high), shape, dtype=dtype, device=device)
    if noncontiguous:
        result = result[..., 1::2]      # from 1: shows kernels that forget the offset
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        tiny = finfo(dtype).tiny if floating else 1
        result.masked_fill_(result == 0, tiny)
    if requires_grad:
        result.requires_grad_(True)
    return result
