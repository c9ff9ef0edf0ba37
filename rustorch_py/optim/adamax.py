"""Adamax: Adam with the largest recent gradient in place of the mean square."""
from __future__ import annotations

from .. import tensor as _t
from ._method import (Method, check_betas, check_eps, check_lr, check_nonnegative, decay, scalar, step_counter,
                      subtract_quotient, zeros_of)

__all__ = ["Adamax"]


class Adamax(Method):
    """Follow the running mean of the gradient, divided by its decaying maximum.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        betas: how much of the mean and of the maximum is kept.
        eps: added to the gradient's magnitude.
        weight_decay: L2 penalty, added to the gradient.
        foreach, maximize, differentiable, capturable: see Note [Options common to all methods].

    Source:
        Kingma and Ba, Adam: a method for stochastic optimization, 2015, section 7.1.
    """

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *,
                 maximize=False, differentiable=False, capturable=False):
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_nonnegative("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def _start(self, p, grad, group):
        return {"step": step_counter(p, group), "exp_avg": zeros_of(p), "exp_inf": zeros_of(p)}

    def _fused(self, group):
        beta1, beta2 = group["betas"]
        return _t._fused_adamax(group["params"], self.state, lr=scalar(group["lr"]), beta1=beta1, beta2=beta2, eps=group["eps"],
                                weight_decay=scalar(group["weight_decay"]), maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        beta1, beta2 = group["betas"]
        step_t = state["step"]
        step_t += 1
        grad = decay(p, grad, group["weight_decay"])
        exp_avg = state["exp_avg"]
        exp_avg.lerp_(grad, 1 - beta1)
        largest = _t.maximum(state["exp_inf"] * beta2, grad.abs().add(group["eps"]))
        state["exp_inf"].copy_(largest)
        subtract_quotient(p, exp_avg, largest, group["lr"] / (1 - beta1 ** step_t.item()))
