"""ASGD: gradient descent that also keeps the average of its path."""
from __future__ import annotations

from .. import tensor as _t
from ..tensor import Tensor
from ._method import Method, check_lr, check_nonnegative, decay, scalar, scalar_dtype, zeros_of

__all__ = ["ASGD"]


class ASGD(Method):
    """Descend with a falling rate and average the parameters along the way (state ``"ax"``).

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        lambd: decay term.
        alpha: power of the falling rate.
        t0: step at which averaging begins.
        weight_decay: L2 penalty, added to the gradient.
        foreach, maximize, differentiable, capturable: see Note [Options common to all methods].

    Source:
        Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992.
    """

    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, foreach=None,
                 maximize=False, differentiable=False, capturable=False):
        check_lr(lr)
        check_nonnegative("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state.get(p)
                for name in ("eta", "mu") if kept else ():
                    if not isinstance(kept[name], Tensor):
                        kept[name] = _on_device(p, kept[name])

    def _start(self, p, grad, group):
        return {"step": _on_device(p, 0.0), "eta": _on_device(p, float(scalar(group["lr"]))), "mu": _on_device(p, 1.0),
                "ax": zeros_of(p)}

    def _fused(self, group):
        lambd = group["lambd"]
        return _t._fused_asgd(group["params"], self.state, lr=float(scalar(group["lr"])), lambd=float(lambd) if isinstance(lambd, int) else lambd, alpha=group["alpha"],
                              t0=group["t0"], weight_decay=scalar(group["weight_decay"]), maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        lambd, lr = group["lambd"], scalar(group["lr"])
        step_t, eta_t, mu_t, ax = state["step"], state["eta"], state["mu"], state["ax"]
        step_t += 1
        step, eta, mu = step_t.item(), eta_t.item(), mu_t.item()
        grad = decay(p, grad, group["weight_decay"])
        p.mul_(1 - lambd * eta)
        p.add_(grad, alpha=-eta)
        if mu == 1:
            ax.copy_(p)
        else:
            ax.add_(p.sub(ax).mul(mu))
        eta_t.fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
        mu_t.fill_(1 / max(1, step - group["t0"]))


def _on_device(p, value):
    return _t.full((), value, dtype=scalar_dtype(), device=p.device)
