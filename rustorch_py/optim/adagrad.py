"""Adagrad: the gradient divided by the root of the sum of all its squares."""
from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorError
from ._method import (Method, check_eps, check_fused, check_lr, check_nonnegative, decay, scalar, step_counter,
                      subtract_quotient)

__all__ = ["Adagrad"]


class Adagrad(Method):
    """Divide the gradient by the root of the sum of its squares so far.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        lr_decay: the rate falls as ``lr / (1 + (step - 1) * lr_decay)``.
        weight_decay: L2 penalty, added to the gradient.
        initial_accumulator_value: where the sum starts.
        eps: added to the denominator.
        foreach, maximize, differentiable, fused: see Note [Options common to all methods].

    Source:
        Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic
        optimization, 2011.
    """

    _late_options = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}
    _takes_sparse = True
    _alphas, _numbers = ("weight_decay",), ("eps",)

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10,
                 foreach=None, *, maximize=False, differentiable=False, fused=None):
        check_lr(lr)
        check_nonnegative("lr_decay", lr_decay)
        check_nonnegative("weight_decay", weight_decay)
        check_nonnegative("initial_accumulator_value", initial_accumulator_value)
        check_eps(eps)
        super().__init__(params, dict(
            lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, foreach=foreach, maximize=maximize,
            differentiable=differentiable, fused=fused))
        check_fused(fused, foreach, differentiable)
        # The sums exist from the start, as in PyTorch: `share_memory` is called before any step.
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self._start(p, None, group)

    def share_memory(self):
        """Move the sums to memory that worker processes share."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def _start(self, p, grad, group):
        start = self.defaults["initial_accumulator_value"]
        if p.is_complex():
            start = complex(start, start)
        total = _t.full_like(p, start, memory_format=_t.preserve_format, requires_grad=False)
        return {"step": step_counter(p, group), "sum": total}

    def _fused(self, group):
        return _t._fused_adagrad(group["params"], self.state, lr=scalar(group["lr"]), lr_decay=group["lr_decay"],
                                 weight_decay=scalar(group["weight_decay"]), eps=group["eps"],
                                 maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        step_t = state["step"]
        step_t += 1
        if grad.is_sparse:
            return self._update_rows(p, grad, state, group)
        grad = decay(p, grad, group["weight_decay"])
        total = state["sum"]
        total.addcmul_(grad, grad, value=1)
        lr = group["lr"] / (1 + (step_t.item() - 1) * group["lr_decay"])
        subtract_quotient(p, grad, total.sqrt().add(group["eps"]), lr)

    def _update_rows(self, p, grad, state, group):
        """Move what a sparse gradient names; the rest of the sum stays."""
        if scalar(group["weight_decay"]) != 0:
            raise TensorError("weight_decay option is not compatible with sparse gradients")
        grad = grad.coalesce()
        at, g = tuple(grad._indices()), grad._values()
        total = state["sum"]
        total.index_put_(at, g * g, accumulate=True)
        lr = scalar(group["lr"]) / (1 + (state["step"].item() - 1) * group["lr_decay"])
        p.index_put_(at, g / (total[at].sqrt() + group["eps"]) * -lr, accumulate=True)
