"""SparseAdam: Adam that touches only the rows for which there is a gradient."""
from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorError, TensorValueError
from .optimizer import Optimizer

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam for gradients of few rows, as embeddings have them: the moments of the other rows do not decay.

    Args:
        params: parameters, named parameters or parameter groups; their gradients must be sparse tensors (``nn.Embedding(sparse=True)``).
        lr: learning rate, a number or a one-element tensor.
        betas: decay of the running averages of gradient and squared gradient.
        eps: added to the denominator.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option out of range, or a sparse parameter.
        RuntimeError: `step` with a gradient that is not sparse.

    Source:
        Kingma and Ba, Adam: a method for stochastic optimization, 2015, masked as PyTorch masks it.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        if isinstance(lr, _t.Tensor) and lr.numel() != 1:
            raise TensorValueError("Tensor lr must be 1-element")
        if not 0.0 < lr:
            raise TensorValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise TensorValueError(f"Invalid epsilon value: {eps}")
        for i, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise TensorValueError(f"Invalid beta parameter at index {i}: {beta}")
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, maximize=maximize))
        sparse = [[i, j] for i, group in enumerate(self.param_groups) for j, p in enumerate(group["params"]) if p.is_sparse]
        if sparse:
            raise TensorValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")

    @_t.no_grad()
    def step(self, closure=None):
        """Take one step; ``closure`` (if given) is called first and its loss returned."""
        loss = None
        if closure is not None:
            with _t.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if not p.grad.is_sparse:
                        raise TensorError("SparseAdam does not support dense gradients, please consider Adam instead")
                    self._step_one(p, group)
        return loss

    def _step_one(self, p, group):
        grad, state = p.grad, self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"] = _t.zeros_like(p, memory_format=_t.preserve_format)
            state["exp_avg_sq"] = _t.zeros_like(p, memory_format=_t.preserve_format)
        state["step"] += 1
        grad = grad.coalesce()
        at, g = tuple(grad._indices()), grad._values()
        if g.numel() == 0:
            return
        g = -g if group["maximize"] else g
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        m = mean[at]
        m = m + (g - m) * (1 - beta1)
        v = square[at]
        v = v + (g * g - v) * (1 - beta2)
        mean[at], square[at] = m, v
        size = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        p.index_put_(at, m / (v.sqrt() + group["eps"]) * -size, accumulate=True)
