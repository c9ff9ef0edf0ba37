"""NAdam: Adam with Nesterov's look ahead."""
from __future__ import annotations

from .. import tensor as _t
from ._method import (Method, check_betas, check_eps, check_lr, check_nonnegative, decay, scalar, shrink,
                      step_counter, subtract_quotient, zeros_of)

__all__ = ["NAdam"]


class NAdam(Method):
    """Take Adam's step from where the momentum will have led.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        betas: how much of each running average is kept.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient (to the step if decoupled).
        momentum_decay: how fast the momentum approaches ``betas[0]``.
        decoupled_weight_decay: shrink the parameter itself, as AdamW does.
        foreach, maximize, capturable, differentiable: see Note [Options common to all methods].

    Source:
        Dozat, Incorporating Nesterov momentum into Adam, 2016.
    """

    _late_options = {**Method._late_options, "decoupled_weight_decay": False}

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3,
                 decoupled_weight_decay=False, *, foreach=None, maximize=False, capturable=False,
                 differentiable=False):
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_nonnegative("weight_decay", weight_decay)
        check_nonnegative("momentum_decay", momentum_decay)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable))

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state.get(p)
                if kept and isinstance(kept["mu_product"], float):
                    kept["mu_product"] = step_counter(p, group, kept["mu_product"])

    def _start(self, p, grad, group):
        return {"step": step_counter(p, group), "mu_product": step_counter(p, group, 1.0),
                "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _fused(self, group):
        beta1, beta2 = group["betas"]
        return _t._fused_nadam(group["params"], self.state, lr=scalar(group["lr"]), beta1=beta1, beta2=beta2, eps=group["eps"],
                               weight_decay=scalar(group["weight_decay"]), momentum_decay=group["momentum_decay"], maximize=group["maximize"],
                               decoupled=group["decoupled_weight_decay"])

    def _update(self, p, grad, state, group):
        lr, momentum_decay = group["lr"], group["momentum_decay"]
        beta1, beta2 = group["betas"]
        step_t, mu_product_t = state["step"], state["mu_product"]
        step_t += 1
        step = step_t.item()
        if group["decoupled_weight_decay"]:
            shrink(p, lr, group["weight_decay"])
        else:
            grad = decay(p, grad, group["weight_decay"])
        # The momentum's schedule, mu_t and mu_{t+1}: 0.96 is the paper's constant.
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        mu_product_t *= mu
        mu_product = mu_product_t.item()
        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denom = exp_avg_sq.div(1 - beta2 ** step).sqrt().add(group["eps"])
        subtract_quotient(p, grad, denom, lr * (1.0 - mu) / (1.0 - mu_product))
        subtract_quotient(p, exp_avg, denom, lr * mu_next / (1.0 - mu_product * mu_next))
