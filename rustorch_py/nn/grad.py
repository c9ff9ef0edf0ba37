"""Gradients of convolutions as functions."""

from __future__ import annotations

from .. import tensor as _t

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def _gradient(function, inputs, which, grad_output, *options):
    from ..autograd import grad

    leaf = inputs[which].detach().requires_grad_(True)
    args = [leaf if i == which else x.detach() for i, x in enumerate(inputs)]
    with _t.enable_grad():
        out = function(*args, None, *options)
    return grad(out, leaf, grad_output)[0]


def _make(n, function):
    def by_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
        input = _t.zeros(tuple(input_size), dtype=weight.dtype, device=weight.device)
        return _gradient(function, (input, weight), 0, grad_output, stride, padding, dilation, groups)

    def by_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
        weight = _t.zeros(tuple(weight_size), dtype=input.dtype, device=input.device)
        return _gradient(function, (input, weight), 1, grad_output, stride, padding, dilation, groups)

    by_input.__name__ = by_input.__qualname__ = f"conv{n}d_input"
    by_input.__doc__ = f"Return the gradient of conv{n}d by an input of the given size."
    by_weight.__name__ = by_weight.__qualname__ = f"conv{n}d_weight"
    by_weight.__doc__ = f"Return the gradient of conv{n}d by a weight of the given size."
    return by_input, by_weight


conv1d_input, conv1d_weight = _make(1, _t.conv1d)
conv2d_input, conv2d_weight = _make(2, _t.conv2d)
conv3d_input, conv3d_weight = _make(3, _t.conv3d)
