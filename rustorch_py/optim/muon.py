"""Muon: momentum steps made orthogonal, for the matrices of hidden layers."""
from __future__ import annotations

import math

from .. import tensor as _t
from ..errors import TensorError, TensorValueError
from ..tensor import Tensor
from ._method import Method, scalar

__all__ = ["Muon"]


class Muon(Method):
    """Replace the momentum by the nearest matrix with equal singular values, and step along it.

    Biases, embeddings and other parameters that are not matrices want another method beside it.

    Args:
        params: two-dimensional parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        weight_decay: decoupled decay of the parameter.
        momentum: how much of the running mean gradient is kept.
        nesterov: look ahead along the momentum.
        ns_coefficients: the three coefficients of the Newton-Schulz polynomial.
        eps: smallest norm to divide by.
        ns_steps: Newton-Schulz iterations.
        adjust_lr_fn: ``"original"`` (or None) or ``"match_rms_adamw"``: factor of the rate from the shape.

    Source:
        Jordan, Muon: an optimizer for hidden layers in neural networks, 2024; Liu et al., Muon is
        scalable for LLM training, 2025 (match_rms_adamw).
    """

    _late_options = {}

    def __init__(self, params, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True,
                 ns_coefficients=(3.4445, -4.7750, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn=None):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise TensorValueError("Tensor lr must be 1-element")
        for name, value in (("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay)):
            if not 0.0 <= value:
                raise TensorValueError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise TensorValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov,
                                      ns_coefficients=ns_coefficients, eps=eps, ns_steps=ns_steps,
                                      adjust_lr_fn=adjust_lr_fn))
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise TensorValueError("Muon only supports 2D parameters whereas we found a parameter with size: "
                                           f"{p.size()}")

    def _check(self, p, grad, group):
        super()._check(p, grad, group)
        if p.is_complex():
            raise TensorError("Muon does not support complex parameters")

    def _start(self, p, grad, group):
        return {"momentum_buffer": _t.zeros_like(grad, memory_format=_t.preserve_format)}

    def _update(self, p, grad, state, group):
        lr, momentum = scalar(group["lr"]), group["momentum"]
        buf = state["momentum_buffer"]
        buf.lerp_(grad, 1 - momentum)
        update = grad.lerp(buf, momentum) if group["nesterov"] else buf
        update = orthogonalize(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, cols = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            factor = 0.2 * math.sqrt(max(rows, cols))
        else:
            factor = math.sqrt(max(1, rows / cols))
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(update, alpha=-lr * factor)


def orthogonalize(matrix, coefficients, steps, eps):
    """Bring a matrix's singular values near one by an odd polynomial, in bfloat16.

    Args:
        matrix: tensor of two dimensions.
        coefficients: a, b, c of ``a X + b (X X') X + c (X X')^2 X``.
        steps: iterations, below 100.
        eps: smallest norm to divide by.

    Returns:
        The matrix, bfloat16.
    """
    if steps >= 100:
        raise TensorValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise TensorValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.to(_t.bfloat16)
    if tall:      # the Gram matrix of the shorter side is the smaller one
        x = x.t()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = _t.addmm(x, _t.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x
