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
    return (_t.dropout_ if inplace else _t.dropout)(input, p, training)


def _channels(input, p, training, inplace, batched_dim):
    """Drop whole channels of a batch, or of a single sample of one dimension less."""
    function = _t.feature_dropout_ if inplace else _t.feature_dropout
    if input.dim() == batched_dim:
        return function(input, p, training)
    out = function(input.unsqueeze(0), p, training)
    # In place, the unsqueezed view shares the input's memory.
    return input if inplace else out.squeeze(0)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Drop elements to SELU's negative limit, keeping mean and variance."""
    check_probability(p)
    return (_t.alpha_dropout_ if inplace else _t.alpha_dropout)(input, p, training)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Apply ``alpha_dropout`` to whole channels."""
    check_probability(p)
    return (_t.feature_alpha_dropout_ if inplace else _t.feature_alpha_dropout)(input, p, training)


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, L) or (C, L) with probability p."""
    check_probability(p)
    if input.dim() not in (2, 3):
        raise ShapeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input: "
            "one channel dimension, one spatial dimension and an optional batch dimension.",
            op="dropout1d",
        )
    return _channels(input, p, training, inplace, 3)


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
    return (_t.feature_dropout_ if inplace else _t.feature_dropout)(input, p, training)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p."""
    check_probability(p)
    if input.dim() not in (4, 5):
        warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead."
        )
    return _channels(input, p, training, inplace, 5)
