"""Stochastic gradient descent with momentum."""
from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorValueError
from ..tensor import Tensor
from ._method import Method, check_fused, decay, scalar, subtract_scaled

__all__ = ["SGD"]


class SGD(Method):
    """Descend along the gradient, with momentum if asked.

    ``buf = momentum * buf + (1 - dampening) * grad`` (the first step takes the gradient itself);
    ``param -= lr * buf``, or with nesterov ``param -= lr * (grad + momentum * buf)``.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate, a number or a one-element tensor.
        momentum: how much of the last direction is kept.
        dampening: how much of the new gradient the momentum leaves out.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: look ahead along the momentum.
        maximize, foreach, differentiable, fused: see Note [Options common to all methods].

    Example:
        >>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)   # doctest: +SKIP
        >>> optimizer.zero_grad(); loss_fn(model(x), y).backward(); optimizer.step()   # doctest: +SKIP

    Source:
        Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    _late_options = {"nesterov": False, "maximize": False, "foreach": None, "differentiable": False, "fused": False}
    _complex_as_real = False
    _alphas, _numbers = ("weight_decay",), ("lr", "momentum")
    _takes_sparse = True

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *,
                 maximize=False, foreach=None, differentiable=False, fused=None):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise TensorValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise TensorValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise TensorValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise TensorValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise TensorValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
            maximize=maximize, foreach=foreach, differentiable=differentiable, fused=fused))
        check_fused(fused, foreach, differentiable)

    def _start(self, p, grad, group):
        return {"momentum_buffer": None} if group["momentum"] != 0 else {}

    def _fused(self, group):
        momentum = group["momentum"]
        return _t._fused_sgd(group["params"], self.state, lr=scalar(group["lr"]), momentum=momentum,
                             dampening=group["dampening"] if momentum else 0.0, weight_decay=scalar(group["weight_decay"]),
                             nesterov=group["nesterov"], maximize=group["maximize"])

    def _update(self, p, grad, state, group):
        momentum = group["momentum"]
        grad = decay(p, grad, group["weight_decay"])
        if momentum != 0:
            buf = state.get("momentum_buffer")
            if buf is None:
                buf = state["momentum_buffer"] = grad.detach().clone()
            else:
                buf.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(buf, alpha=momentum) if group["nesterov"] else buf
        subtract_scaled(p, grad, group["lr"])
