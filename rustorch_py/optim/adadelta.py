"""Adadelta: steps in the units of the parameter, from running averages only."""
from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorValueError
from ._method import (Method, check_eps, check_lr, check_nonnegative, decay, scalar, step_counter, subtract_scaled,
                      zeros_of)

__all__ = ["Adadelta"]


class Adadelta(Method):
    """Scale the gradient by the ratio of two running averages: of past steps and of past gradients.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: factor of the step, a number or a one-element tensor.
        rho: how much of the running averages is kept.
        eps: added under both roots.
        weight_decay: L2 penalty, added to the gradient.
        foreach, capturable, maximize, differentiable: see Note [Options common to all methods].

    Source:
        Zeiler, ADADELTA: an adaptive learning rate method, 2012.
    """

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None, *, capturable=False,
                 maximize=False, differentiable=False):
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise TensorValueError(f"Invalid rho value: {rho}")
        check_eps(eps)
        check_nonnegative("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize, capturable=capturable,
            foreach=foreach, differentiable=differentiable))

    def _start(self, p, grad, group):
        return {"step": step_counter(p, group), "square_avg": zeros_of(p), "acc_delta": zeros_of(p)}

    def _fused(self, group):
        return _t._fused_adadelta(group["params"], self.state, lr=scalar(group["lr"]), rho=group["rho"], eps=group["eps"],
                                  weight_decay=scalar(group["weight_decay"]), maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        rho, eps = group["rho"], group["eps"]
        step_t = state["step"]
        step_t += 1
        grad = decay(p, grad, group["weight_decay"])
        square_avg, acc_delta = state["square_avg"], state["acc_delta"]
        square_avg.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = acc_delta.add(eps).sqrt().div(square_avg.add(eps).sqrt()).mul(grad)
        acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        subtract_scaled(p, delta, group["lr"])
