"""Module backward hooks: two identity nodes, one around the inputs, one around the outputs."""

from __future__ import annotations

from warnings import warn

from ..autograd import Function
from ..errors import AutogradError
from ..tensor import Tensor


class _AtInputs(Function):
    """Identity; its backward hands the gradients of a module's inputs to the hooks."""

    @staticmethod
    def forward(ctx, state, *tensors):
        ctx.set_materialize_grads(False)
        ctx.state = state
        out = tuple(x.view_as(x) for x in tensors)
        ctx.mark_non_differentiable(*(o for o, x in zip(out, tensors) if not x.requires_grad))
        return out

    @staticmethod
    def backward(ctx, *grads):
        return (None, *ctx.state.on_grad_inputs(grads))


class _AtOutputs(Function):
    """Identity; its backward hands the gradients of a module's outputs to the hooks."""

    @staticmethod
    def forward(ctx, state, *tensors):
        ctx.set_materialize_grads(False)
        ctx.state = state
        out = tuple(x.view_as(x) for x in tensors)
        ctx.mark_non_differentiable(*(o for o, x in zip(out, tensors) if not x.requires_grad))
        return out

    @staticmethod
    def backward(ctx, *grads):
        return (None, *ctx.state.on_grad_outputs(grads))


_AtInputs.__name__ = _AtOutputs.__name__ = "BackwardHookFunction"        # what their nodes are called, as in PyTorch


class BackwardHook:
    """Carry one call's backward hooks from the module's outputs to its inputs.

    Args:
        module: passed to each hook as its first argument.
        hooks: called as ``hook(module, grad_input, grad_output)``.
        pre_hooks: called as ``hook(module, grad_output)``.
    """

    def __init__(self, module, hooks, pre_hooks):
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs = None
        self.n_inputs = -1
        self.input_index = None
        self.n_outputs = -1
        self.output_index = ()

    def _wrap(self, node, values):
        index = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        if not any(values[i].requires_grad for i in index):
            return values, None
        new = node.apply(self, *(values[i] for i in index))
        if isinstance(new, Tensor):
            new = (new,)
        if not any(v.requires_grad for v in new):  # gradients are switched off
            return values, None
        values = list(values)
        for i, v in zip(index, new):
            values[i] = v
        return tuple(values), index

    def wrap_inputs(self, args):
        """Return the arguments as seen through the input node."""
        values, index = self._wrap(_AtInputs, args)
        self.n_inputs = len(args)
        self.input_index = index
        return values

    def wrap_outputs(self, result):
        """Return the result (a tensor or a tuple) as seen through the output node."""
        single = isinstance(result, Tensor)
        if not single and not isinstance(result, tuple):
            return result
        values, index = self._wrap(_AtOutputs, (result,) if single else result)
        if index is not None:
            self.n_outputs = len(values)
            self.output_index = index
        return values[0] if single else values

    @staticmethod
    def _spread(index, grads, size):
        full = [None] * size
        for i, g in zip(index, grads):
            full[i] = g
        return tuple(full)

    @staticmethod
    def _as_tuple(out, size, kind, what):
        if not isinstance(out, tuple):
            out = (out,)
        if len(out) != size:
            raise AutogradError(f"{kind} returned an invalid number of {what}, got {len(out)}, but expected {size}")
        return out

    def on_grad_outputs(self, grads):
        """Run the pre-hooks; where no input needs a gradient, the hooks too."""
        full = self._spread(self.output_index, grads, self.n_outputs)
        for hook in self.pre_hooks:
            out = hook(self.module, full)
            if out is not None:
                full = self._as_tuple(out, self.n_outputs, "Backward pre hook", "grad_output")
        self.grad_outputs = full
        if self.input_index is None:
            nothing = self._spread((), (), max(self.n_inputs, 0))
            if self.hooks:
                warn(
                    "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require gradients. "
                    "See Module.register_full_backward_hook for more details.",
                    stacklevel=2,
                )
            for hook in self.hooks:
                out = hook(self.module, nothing, full)
                if out is not None and not (isinstance(out, tuple) and all(v is None for v in out)):
                    raise AutogradError(
                        "Backward hook for Modules where no input requires gradient should always return None "
                        "or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(full[i] for i in self.output_index)

    def on_grad_inputs(self, grads):
        """Run the hooks with both sides' gradients; what a hook returns replaces grad_input."""
        if self.grad_outputs is None:  # backward started inside the module
            return grads
        full = self._spread(self.input_index, grads, self.n_inputs)
        for hook in self.hooks:
            out = hook(self.module, full, self.grad_outputs)
            if out is not None:
                full = self._as_tuple(out, self.n_inputs, "Backward hook", "grad_input")
        self.grad_outputs = None
        return tuple(full[i] for i in self.input_index)
