"""Rprop: each element has its own step size, and only the gradient's sign counts."""
from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorValueError
from ._method import Method, check_lr, scalar, step_counter, zeros_of

__all__ = ["Rprop"]


class Rprop(Method):
    """Lengthen an element's step while its gradient keeps its sign, shorten it when the sign turns.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: first step size, a number or a one-element tensor.
        etas: factors that shorten and lengthen.
        step_sizes: smallest and largest step.
        capturable, foreach, maximize, differentiable: see Note [Options common to all methods].

    Source:
        Riedmiller and Braun, A direct adaptive method for faster backpropagation learning, 1993.
    """

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, capturable=False, foreach=None,
                 maximize=False, differentiable=False):
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise TensorValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, dict(
            lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def _start(self, p, grad, group):
        lr = scalar(group["lr"])
        # A complex number is two real ones: each part has a step size.
        first = complex(lr, lr) if p.is_complex() else lr
        return {"step": step_counter(p, group), "prev": zeros_of(p),
                "step_size": _t.full_like(grad, first, requires_grad=False)}

    def _fused(self, group):
        shorter, longer = group["etas"]
        low, high = group["step_sizes"]
        return _t._fused_rprop(group["params"], self.state, shorter=shorter, longer=longer, low=low, high=high,
                               maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        shorter, longer = group["etas"]
        prev, step_size = state["prev"], state["step_size"]
        step_t = state["step"]
        step_t += 1
        sign = grad.detach().mul(prev.detach()).sign()      # piecewise constant: nothing to record
        turned = sign < 0
        factor = _t.ones_like(sign).masked_fill_(sign > 0, longer).masked_fill_(turned, shorter)
        step_size.mul_(factor).clamp_(*group["step_sizes"])
        grad = grad.masked_fill(turned, 0)      # an element that turned rests for one step
        p.addcmul_(grad.sign(), step_size, value=-1)
        prev.copy_(grad)
