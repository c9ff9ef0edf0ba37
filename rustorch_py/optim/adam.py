"""Adam: steps scaled by running averages of the gradient and of its square."""
from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorValueError
from ..tensor import Tensor
from ._method import (Method, check_betas, check_eps, check_fused, check_nonnegative, decay, needs_grad, scalar,
                      shrink, step_counter, zeros_of)

__all__ = ["Adam"]


def check_tensor_option(name, value, foreach, capturable):
    """Refuse a tensor option that has several elements or that a list-wide step cannot read."""
    if isinstance(value, Tensor):
        if foreach and not capturable:
            raise TensorValueError(f"{name} as a Tensor is not supported for capturable=False and foreach=True")
        if value.numel() != 1:
            raise TensorValueError(f"Tensor {name} must be 1-element")


class Adam(Method):
    """Follow the running mean of the gradient, divided by the root of the running mean of its square.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        betas: how much of each running average is kept, numbers or one-element tensors.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient (to the step if decoupled).
        amsgrad: divide by the largest average so far.
        foreach, maximize, capturable, differentiable, fused: see Note [Options common to all methods].
        decoupled_weight_decay: shrink the parameter itself, as AdamW does.

    Source:
        Kingma and Ba, Adam: a method for stochastic optimization, 2015; Reddi et al., On the
        convergence of Adam and beyond, 2018 (amsgrad).
    """

    _late_options = {"amsgrad": False, "maximize": False, "foreach": None, "capturable": False,
                     "differentiable": False, "decoupled_weight_decay": False, "fused": None}

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *,
                 foreach=None, maximize=False, capturable=False, differentiable=False, fused=None,
                 decoupled_weight_decay=False):
        check_tensor_option("lr", lr, foreach, capturable)
        if not 0.0 <= lr:
            raise TensorValueError(f"Invalid learning rate: {lr}")
        check_eps(eps)
        check_betas(betas)
        check_nonnegative("weight_decay", weight_decay)
        if not (all(isinstance(b, float) for b in betas) or all(isinstance(b, Tensor) for b in betas)):
            raise TensorValueError("betas must be either both floats or both Tensors")
        for i in (0, 1):
            check_tensor_option(f"betas[{i}]", betas[i], foreach, capturable)
        betas = tuple(b.squeeze() if isinstance(b, Tensor) else b for b in betas)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize,
            foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=decoupled_weight_decay))
        check_fused(fused, foreach, differentiable)

    _sparse_advice = ", please consider SparseAdam instead"

    def _start(self, p, grad, group):
        state = {"step": step_counter(p, group), "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_of(p)
        return state

    def _fused(self, group):
        beta1, beta2 = group["betas"]
        return _t._fused_adam(group["params"], self.state, lr=scalar(group["lr"]), beta1=scalar(beta1),
                              beta2=scalar(beta2), eps=group["eps"], weight_decay=scalar(group["weight_decay"]),
                              amsgrad=group["amsgrad"], maximize=group["maximize"],
                              decoupled=group["decoupled_weight_decay"])

    def _update(self, p, grad, state, group):
        lr, weight_decay = group["lr"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        if group["differentiable"] and needs_grad(lr, weight_decay, beta1, beta2):
            return self._update_meta(p, grad, state, group)
        lr, weight_decay, beta1, beta2 = scalar(lr), scalar(weight_decay), scalar(beta1), scalar(beta2)
        step_t = state["step"]
        step_t += 1
        step = step_t.item()
        if group["decoupled_weight_decay"]:
            shrink(p, lr, weight_decay)
        else:
            grad = decay(p, grad, weight_decay)
        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            # A recorded maximum saves its operands: not the one that is written next.
            largest.copy_(_t.maximum(largest.clone() if group["differentiable"] else largest, exp_avg_sq))
            exp_avg_sq = largest
        # Sums are made out of place where a recorded step saved the operand.
        denom = exp_avg_sq.sqrt().div((1 - beta2 ** step) ** 0.5).add(group["eps"])
        p.addcdiv_(exp_avg, denom, value=-lr / (1 - beta1 ** step))

    @staticmethod
    def _update_meta(p, grad, state, group):
        """Take a recorded step whose options want gradients themselves."""
        lr, weight_decay, eps = group["lr"], group["weight_decay"], group["eps"]
        beta1, beta2 = group["betas"]
        step_t = state["step"]
        step_t += 1
        step = step_t.item()
        if group["decoupled_weight_decay"]:
            shrink(p, lr, weight_decay)
        else:
            grad = decay(p, grad, weight_decay)
        exp_avg = state["exp_avg"] * beta1 + grad * (1 - beta1)
        exp_avg_sq = state["exp_avg_sq"] * beta2 + grad * grad * (1 - beta2)
        state["exp_avg"].copy_(exp_avg)
        state["exp_avg_sq"].copy_(exp_avg_sq)
        if group["amsgrad"]:
            exp_avg_sq = _t.maximum(state["max_exp_avg_sq"].clone(), exp_avg_sq)
            state["max_exp_avg_sq"].copy_(exp_avg_sq)
        denom = exp_avg_sq.sqrt() / (1 - beta2 ** step) ** 0.5 + eps
        p.sub_(exp_avg / denom * (lr / (1 - beta1 ** step)))
