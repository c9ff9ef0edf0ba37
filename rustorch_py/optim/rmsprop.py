"""RMSprop: the gradient divided by the root of its running mean square."""
from __future__ import annotations

from .. import tensor as _t
from ._method import (Method, check_eps, check_lr, check_nonnegative, decay, scalar, step_counter,
                      subtract_quotient, subtract_scaled, zeros_of)

__all__ = ["RMSprop"]


class RMSprop(Method):
    """Divide the gradient by the root of a running average of its square.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        alpha: how much of the running average is kept.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
        momentum: how much of the last direction is kept.
        centered: divide by the running standard deviation instead.
        capturable, foreach, maximize, differentiable: see Note [Options common to all methods].

    Source:
        Tieleman and Hinton, lecture 6.5 of Neural networks for machine learning, 2012; Graves,
        Generating sequences with recurrent neural networks, 2013 (centered).
    """

    _late_options = {"momentum": 0, "centered": False, **Method._late_options}

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False,
                 capturable=False, foreach=None, maximize=False, differentiable=False):
        check_lr(lr)
        check_eps(eps)
        check_nonnegative("momentum", momentum)
        check_nonnegative("weight_decay", weight_decay)
        check_nonnegative("alpha", alpha)
        super().__init__(params, dict(
            lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay,
            capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable))

    def _start(self, p, grad, group):
        state = {"step": step_counter(p, group), "square_avg": zeros_of(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_of(p)
        if group["centered"]:
            state["grad_avg"] = zeros_of(p)
        return state

    def _fused(self, group):
        return _t._fused_rmsprop(group["params"], self.state, lr=scalar(group["lr"]), alpha=group["alpha"],
                                 eps=group["eps"], weight_decay=scalar(group["weight_decay"]),
                                 momentum=group["momentum"], centered=group["centered"], maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        alpha, momentum = group["alpha"], group["momentum"]
        step_t = state["step"]
        step_t += 1
        grad = decay(p, grad, group["weight_decay"])
        square_avg = state["square_avg"]
        square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            grad_avg = state["grad_avg"]
            grad_avg.lerp_(grad, 1 - alpha)
            square_avg = square_avg.addcmul(grad_avg, grad_avg, value=-1)
        denom = square_avg.sqrt().add(group["eps"])
        if momentum > 0:
            buf = state["momentum_buffer"]
            buf.mul_(momentum).addcdiv_(grad, denom)
            subtract_scaled(p, buf, group["lr"])
        else:
            subtract_quotient(p, grad, denom, group["lr"])
