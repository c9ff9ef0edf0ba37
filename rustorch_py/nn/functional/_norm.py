"""Normalizations."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import DTypeError, ShapeError

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def _verify_batch_size(size):
    """Refuse training statistics of a single value per channel."""
    if size[0] * math.prod(size[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")


def _verify_statistics(input, mean, var):
    """Refuse one running statistic without the other, or another dtype than a wide input's."""
    if (mean is None) != (var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if mean is not None and mean.dtype is not input.dtype and input.dtype.itemsize > 2:
        raise DTypeError(f"batch norm: expected running statistics of {input.dtype} as the input, but got {mean.dtype}")


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05
):
    """Normalize each channel over batch and space.

    Args:
        input: (N, C, ...).
        running_mean, running_var: (C), updated in place in training; used otherwise.
        weight, bias: (C) scale and shift, optional.
        training: use the batch's own statistics.
        momentum: share of the batch's statistics in the update.
        eps: added to the variance.

    Source: Ioffe and Szegedy (2015), Batch normalization.
    """
    _verify_statistics(input, running_mean, running_var)
    if training:
        _verify_batch_size(input.shape)
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    elif eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return _t.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-05,
):
    """Normalize each channel of each sample over space.

    Args:
        input: (N, C, ...).
        running_mean, running_var: (C), averaged over the batch and updated in place; optional.
        weight, bias: (C) scale and shift, optional.
        use_input_stats: use the sample's own statistics, otherwise the running ones.
        momentum: share of the new statistics in the update.
        eps: added to the variance.

    Source: Ulyanov et al. (2016), Instance normalization.
    """
    _verify_statistics(input, None if running_mean is None else running_var, running_var)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return _t.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05):
    """Normalize over the last dimensions.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: sizes of the dimensions to normalize over.
        weight, bias: scale and shift of that shape, optional.
        eps: added to the variance.

    Source: Ba et al. (2016), Layer normalization.
    """
    return _t.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Divide by the root mean square over the last dimensions.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization.
    """
    if input.is_complex() or weight is not None and weight.dtype is not input.dtype and input.dtype.itemsize > 2:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if shape and tuple(input.shape[-len(shape):]) == shape and (weight is None or tuple(weight.shape) == shape):
            real = input.real.dtype if input.is_complex() else input.dtype
            eps = (2.220446049250313e-16 if real is _t.float64 else 1.1920928955078125e-07) if eps is None else eps
            y = input * (input.pow(2).mean(tuple(range(-len(shape), 0)), keepdim=True) + eps).rsqrt()
            y = y if weight is None else y * weight
            return (y.real if y.is_complex() and not input.is_complex() else y).to(input.dtype)
    return _t.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05):
    """Normalize groups of channels of each sample.

    Args:
        input: (N, C, ...).
        num_groups: number of groups; divides C.
        weight, bias: (C) scale and shift, optional.
        eps: added to the variance.

    Source: Wu and He (2018), Group normalization.
    """
    if input.dim() < 2:
        raise ShapeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}", op="group_norm"
        )
    shape = input.shape
    _verify_batch_size((shape[0] * shape[1] // num_groups, num_groups, *shape[2:]))
    return _t.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input, size, alpha=0.0001, beta=0.75, k=1.0):
    """Divide by a power of the mean square over neighbouring channels.

    Source: Krizhevsky et al. (2012), ImageNet classification with deep convolutional neural networks, 3.3.
    """
    from ._padding import pad

    n_dims = input.dim()
    if n_dims < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {n_dims} dimensions)")
    if input.numel() == 0:
        return input
    square = (input * input).unsqueeze(1)
    before, after = size // 2, (size - 1) // 2
    if n_dims == 3:
        mean = _t.avg_pool2d(pad(square, (0, 0, before, after)), (size, 1), 1).squeeze(1)
    else:
        shape = input.shape
        flat = square.reshape(shape[0], 1, shape[1], shape[2], -1)
        mean = _t.avg_pool3d(pad(flat, (0, 0, 0, 0, before, after)), (size, 1, 1), 1).squeeze(1).reshape(shape)
    return input / mean.mul(alpha).add(k).pow(beta)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Divide by the p-norm along ``dim``, at least ``eps``."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps)
    if out is None:
        return input / norm.expand_as(input)
    return _t.div(input, norm.expand_as(input), out=out)
