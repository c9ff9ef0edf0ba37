"""Dropout and its relatives. Masks are drawn as PyTorch draws them: same seed, same mask."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import ShapeError
from ._util import check_probability, warn

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def dropout(input, p=0.5, training=True, inplace=False):
    """Zero elements with probability p and scale the others by 1 / (1 - p), in training.

    Args:
        input: any shape.
        p: probability of zero.
        training: pass the input through unchanged if False.
        inplace: write into the input.

    Source: Hinton et al. (2012), Improving neural networks by preventing co-adaptation of feature detectors.
    """
    check_probability(p)
    out = _t.dropout(input, p, training)
    return input.copy_(out) if inplace and out is not input else out


def _feature_mask(input, p):
    """Draw one keep/drop value per sample and channel."""
    if input.dim() < 2:
        raise ShapeError(
            f"feature dropout requires at least 2 dimensions in the input, got shape {tuple(input.shape)}", op="dropout"
        )
    shape = tuple(input.shape[:2]) + (1,) * (input.dim() - 2)
    return input.new_empty(shape).bernoulli_(1 - p)


def _feature_dropout(input, p, training, inplace):
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        out = input * 0
    else:
        with _t.no_grad():
            mask = _feature_mask(input, p).div_(1 - p)
        out = input * mask
    return input.copy_(out) if inplace else out


def _alpha_dropout(input, p, training, inplace, feature):
    """Drop to SELU's negative limit and rescale, so that mean and variance stay.

    Source: Klambauer et al. (2017), Self-normalizing neural networks, section on alpha dropout.
    """
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        out = input * 0
    else:
        limit = 1.7580993408473766  # scale * alpha of SELU
        with _t.no_grad():
            keep = _feature_mask(input, p) if feature else _t.empty_like(input).bernoulli_(1 - p)
            a = 1.0 / ((limit * limit * p + 1) * (1 - p)) ** 0.5
            # kept: a * x + limit * a * p; dropped: -limit * a + limit * a * p
            shift = (keep - 1).mul_(limit * a).add_(limit * a * p)
            keep = keep.mul_(a)
        out = input * keep + shift
    return input.copy_(out) if inplace else out


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Drop elements to SELU's negative limit, keeping mean and variance."""
    check_probability(p)
    return _alpha_dropout(input, p, training, inplace, False)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Apply ``alpha_dropout`` to whole channels."""
    check_probability(p)
    return _alpha_dropout(input, p, training, inplace, True)


def _batched_feature_dropout(input, p, training, inplace, batched_dim):
    if input.dim() == batched_dim:
        return _feature_dropout(input, p, training, inplace)
    if not inplace:
        return _feature_dropout(input.unsqueeze(0), p, training, False).squeeze(0)
    return input.copy_(_feature_dropout(input.unsqueeze(0), p, training, False).squeeze(0))


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, L) or (C, L) with probability p."""
    check_probability(p)
    if input.dim() not in (2, 3):
        raise ShapeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input: "
            "one channel dimension, one spatial dimension and an optional batch dimension.",
            op="dropout1d",
        )
    return _batched_feature_dropout(input, p, training, inplace, 3)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, H, W) with probability p."""
    check_probability(p)
    if input.dim() not in (3, 4):
        warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead."
        )
    if input.dim() == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
            "desired - input is interpreted as shape (N, C, L). Use dropout1d for that."
        )
    return _feature_dropout(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p."""
    check_probability(p)
    if input.dim() not in (4, 5):
        warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead."
        )
    return _batched_feature_dropout(input, p, training, inplace, 5)
