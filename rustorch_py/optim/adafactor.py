"""Adafactor: Adam's scaling from row and column averages, without a full second moment."""
from __future__ import annotations

from .. import tensor as _t
from .._info import finfo
from ..errors import TensorError, TensorValueError
from ..tensor import Tensor
from ._method import Method, scalar, scalar_dtype

__all__ = ["Adafactor"]


class Adafactor(Method):
    """Divide the gradient by a rank-one estimate of its running mean square.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: bound of the relative step and factor of the weight decay.
        beta2_decay: power with which the memory of the averages grows.
        eps: smallest variance (None: the dtype's epsilon), and smallest scale of a parameter.
        d: steps longer than this (root mean square) are shortened.
        weight_decay: decoupled decay of the parameter.
        foreach, maximize: see Note [Options common to all methods].

    Source:
        Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost, 2018; as
        in PyTorch, ``lr`` stands for the paper's constant 0.01 and ``eps[0]`` enters at the end.
    """

    _late_options = {"foreach": None}

    def __init__(self, params, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, *,
                 foreach=None, maximize=False):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise TensorValueError("Tensor lr must be 1-element")
        for name, value, fits, bound in (
                ("Learning rate", lr, 0.0 <= lr, ">= 0"), ("beta2_decay", beta2_decay, beta2_decay <= 0.0, "<= 0"),
                ("epsilon1", eps[0], eps[0] is None or 0.0 <= eps[0], ">= 0"),
                ("epsilon2", eps[1], 0.0 <= eps[1], ">= 0"), ("Clipping threshold d", d, 1.0 <= d, ">= 1"),
                ("weight_decay", weight_decay, 0.0 <= weight_decay, ">= 0")):
            if not fits:
                raise TensorValueError(f"{name} should be {bound} but is: {value}")
        super().__init__(params, dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay,
                                      foreach=foreach, maximize=maximize))

    def _check(self, p, grad, group):
        super()._check(p, grad, group)
        if p.is_complex():
            raise TensorError("Adafactor does not support complex parameters")

    def _start(self, p, grad, group):
        state = {"step": _t.full((), 0.0, dtype=scalar_dtype())}
        if grad.dim() > 1:
            shape = tuple(grad.shape)
            state["row_var"] = grad.new_zeros((*shape[:-1], 1))
            state["col_var"] = grad.new_zeros((*shape[:-2], 1, shape[-1]))
        else:
            state["variance"] = _t.zeros_like(grad, memory_format=_t.preserve_format)
        return state

    def _update(self, p, grad, state, group):
        lr = scalar(group["lr"])
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = finfo(p.dtype).eps
        step_t = state["step"]
        step_t += 1
        step = step_t.item()
        one_minus_beta2 = step ** group["beta2_decay"]
        alpha = max(eps2, _root_mean_square(p)) * min(lr, 1 / step ** 0.5)
        if group["weight_decay"] != 0:
            p.mul_(1 - lr * group["weight_decay"])
        if grad.dim() > 1:
            row, col = state["row_var"], state["col_var"]
            row.lerp_(_t.norm(grad, dim=-1, keepdim=True).square().div(grad.size(-1)), one_minus_beta2)
            col.lerp_(_t.norm(grad, dim=-2, keepdim=True).square().div(grad.size(-2)), one_minus_beta2)
            variance = (row @ col).div(row.mean(dim=-2, keepdim=True).clamp(min=eps1))
        else:
            variance = state["variance"]
            variance.lerp_(grad * grad, one_minus_beta2)
        update = variance.clamp(min=eps1 * eps1).rsqrt().mul(grad)
        p.add_(update, alpha=-alpha / max(1.0, _root_mean_square(update) / group["d"]))


def _root_mean_square(x):
    return x.norm(2).item() / x.numel() ** 0.5
