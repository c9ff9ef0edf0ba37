"""RAdam: Adam that waits until its variance can be trusted."""
from __future__ import annotations

from .. import tensor as _t
from ._method import (Method, check_betas, check_eps, check_lr, check_nonnegative, decay, scalar, shrink,
                      step_counter, subtract_scaled, zeros_of)

__all__ = ["RAdam"]


class RAdam(Method):
    """Take plain momentum steps at first, then Adam's, scaled by how well the variance is known.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        betas: how much of each running average is kept.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient (to the step if decoupled).
        decoupled_weight_decay: shrink the parameter itself, as AdamW does.
        foreach, maximize, capturable, differentiable: see Note [Options common to all methods].

    Source:
        Liu et al., On the variance of the adaptive learning rate and beyond, 2020.
    """

    _late_options = {**Method._late_options, "decoupled_weight_decay": False}

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False,
                 *, foreach=None, maximize=False, capturable=False, differentiable=False):
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_nonnegative("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, decoupled_weight_decay=decoupled_weight_decay, differentiable=differentiable))

    def _start(self, p, grad, group):
        return {"step": step_counter(p, group), "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _fused(self, group):
        beta1, beta2 = group["betas"]
        return _t._fused_radam(group["params"], self.state, lr=scalar(group["lr"]), beta1=beta1, beta2=beta2, eps=group["eps"],
                               weight_decay=scalar(group["weight_decay"]), maximize=group["maximize"],
                               decoupled=group["decoupled_weight_decay"])

    def _update(self, p, grad, state, group):
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        step_t = state["step"]
        step_t += 1
        step = step_t.item()
        if group["decoupled_weight_decay"]:
            shrink(p, lr, group["weight_decay"])
        else:
            grad = decay(p, grad, group["weight_decay"])
        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        bias_correction2 = 1 - beta2 ** step
        update = exp_avg / (1 - beta1 ** step)
        # Length of the averaged window, at the limit and now (the paper's rho); above 5 the
        # variance of the adaptive rate is finite and can be corrected for.
        rho_limit = 2 / (1 - beta2) - 1
        rho = rho_limit - 2 * step * beta2 ** step / bias_correction2
        if rho > 5.0:
            rectify = ((rho - 4) * (rho - 2) * rho_limit / ((rho_limit - 4) * (rho_limit - 2) * rho)) ** 0.5
            denom = exp_avg_sq.sqrt().add(group["eps"])
            update = update * (bias_correction2 ** 0.5 / denom) * rectify
        subtract_scaled(p, update, lr)
