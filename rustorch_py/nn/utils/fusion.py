"""Fold batch normalization into the layer before it, for evaluation."""

from __future__ import annotations

from copy import deepcopy

from ... import tensor as _t
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fold(w, b, mean, var, eps, scale, shift, shape):
    """Return weight and bias that do the normalization too; ``shape`` spreads channels over the weight."""
    factor = _t.rsqrt(var + eps)
    if scale is not None:
        factor = factor * scale
    new_b = (-mean if b is None else b - mean) * factor
    if shift is not None:
        new_b = new_b + shift
    new_w = (w * factor.reshape(shape)).to(w.dtype)
    new_b = new_b.to(w.dtype if b is None else b.dtype)
    trains_b = w.requires_grad if b is None else b.requires_grad
    return Parameter(new_w.detach(), w.requires_grad), Parameter(new_b.detach(), trains_b)


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """Return the weight and bias of a convolution with a following batch normalization folded in.

    Args:
        conv_w, conv_b: the convolution's (bias optional).
        bn_rm, bn_rv, bn_eps, bn_w, bn_b: running mean and variance, eps, weight and bias of the normalization.
        transpose: the convolution is transposed.
    """
    lead = (1, -1) if transpose else (-1, 1)
    return _fold(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, lead + (1,) * (conv_w.dim() - 2))


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """Return the weight and bias of a Linear with a following batch normalization folded in."""
    return _fold(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def _check(layer, bn):
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """Return a copy of the convolution that does the batch normalization too; both in evaluation mode."""
    _check(conv, bn)
    fused = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear, bn):
    """Return a copy of the Linear that does the batch normalization too; both in evaluation mode."""
    _check(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
