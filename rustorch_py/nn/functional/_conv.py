"""Convolutions and the windows they look through."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import ShapeError, TensorError, TooFewDimsError
from ._util import whole

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "unfold",
]

conv1d = _t.conv1d
conv2d = _t.conv2d
conv3d = _t.conv3d
conv_transpose1d = _t.conv_transpose1d
conv_transpose2d = _t.conv_transpose2d
conv_transpose3d = _t.conv_transpose3d


def _windows(size, kernel, dilation, padding, stride):
    """Count the window positions along a dimension."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Copy every window of an image into a column.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: a number, or a pair for height and width.

    Returns:
        (N, C * kernel height * kernel width, windows), or without N.
    """
    kernel, dilation = whole("unfold", "kernel_size", kernel_size, 2), whole("unfold", "dilation", dilation, 2)
    padding, stride = whole("unfold", "padding", padding, 2), whole("unfold", "stride", stride, 2)
    if input.dim() not in (3, 4):
        raise TooFewDimsError(
            f"unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size, got shape {tuple(input.shape)}",
            op="unfold",
        )
    if min(stride) <= 0:
        raise TensorError(f"unfold: stride should be greater than zero, but got {stride}", op="unfold")
    h, w = input.shape[-2:]
    rows = _windows(h, kernel[0], dilation[0], padding[0], stride[0])
    cols = _windows(w, kernel[1], dilation[1], padding[1], stride[1])
    if rows < 1 or cols < 1:
        raise TensorError(
            f"unfold: input of spatial size ({h}, {w}) with kernel_size {kernel}, dilation {dilation}, padding "
            f"{padding}, stride {stride} has no window: counts are ({rows}, {cols})",
            op="unfold",
        )
    return _t.im2col(input, kernel, dilation, padding, stride)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Add columns of windows back into an image: the transpose of ``unfold``.

    Args:
        input: (N, C * kernel height * kernel width, windows), or without N.
        output_size: height and width of the image.
        kernel_size, dilation, padding, stride: as for ``unfold``.

    Returns:
        (N, C, H, W), or without N.
    """
    size, kernel = whole("fold", "output_size", output_size, 2), whole("fold", "kernel_size", kernel_size, 2)
    dilation, padding, stride = whole("fold", "dilation", dilation, 2), whole("fold", "padding", padding, 2), whole("fold", "stride", stride, 2)
    if input.dim() not in (2, 3):
        raise ShapeError(f"fold: Expected 2D or 3D tensor, got shape {tuple(input.shape)}", op="fold")
    features, count = input.shape[-2:]
    area = math.prod(kernel)
    if features % area:
        raise TensorError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={features} and kernel_size={kernel}",
            op="fold",
        )
    rows = _windows(size[0], kernel[0], dilation[0], padding[0], stride[0])
    cols = _windows(size[1], kernel[1], dilation[1], padding[1], stride[1])
    if rows * cols != count:
        raise TensorError(
            f"fold: Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{rows} * {cols} = {rows * cols}, but got input.size(2)={count}",
            op="fold",
        )
    return _t.col2im(input, size, kernel, dilation, padding, stride)
