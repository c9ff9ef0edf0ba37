"""Hooks into the recorded graph."""
from typing import NamedTuple

from ..errors import AutogradError
from ..tensor import Node, Tensor, _base_modes
from ..tensor._leaf import accumulator_of
from ._function import increment_version


class GradientEdge(NamedTuple):
    """Where a gradient flows: into output ``output_nr`` of ``node``."""

    node: Node
    output_nr: int
    ownership_token: object = None


class saved_tensors_hooks:
    """Pass tensors saved for backward through ``pack(tensor)`` and read them back through ``unpack(obj)``."""

    _stack = []

    def __init__(self, pack_hook, unpack_hook):
        self.pair = (pack_hook, unpack_hook)

    def __enter__(self):
        self._stack.append(self.pair)
        _base_modes.set_saved_tensor_hooks(self.pair)

    def __exit__(self, *exc):
        self._stack.pop()
        _base_modes.set_saved_tensor_hooks(self._stack[-1] if self._stack else None)


class save_on_cpu(saved_tensors_hooks):
    """Keep tensors saved for backward in host memory."""

    def __init__(self, pin_memory=False, device_type="cuda"):
        def pack(t):
            return t.device, t.cpu()

        def unpack(packed):
            return packed[1].to(packed[0])
        super().__init__(pack, unpack)


def get_gradient_edge(tensor):
    """Return the ``GradientEdge`` (node, output number) that the gradient of ``tensor`` flows into; a leaf's node is its AccumulateGrad."""
    if not tensor.requires_grad:
        raise AutogradError("It is not possible to get the gradient edge for a Tensor that does not require gradients", op="get_gradient_edge")
    return GradientEdge(accumulator_of(tensor) if tensor.grad_fn is None else tensor.grad_fn, tensor.output_nr)


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call ``fn`` with the gradients of all ``tensors`` when the last one is there ("all"), or with the first ("any")."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    got, done = {}, {"any": False}

    def make(i):
        def hook(grad):
            if mode == "any":
                if not done["any"]:
                    done["any"] = True
                    fn(grad)
                return
            got[i] = grad
            if len(got) == len(tensors):
                grads = [got.get(k) for k in range(len(tensors))]
                got.clear()
                fn(grads)
        return hook
    handles = [t.register_hook(make(i)) for i, t in enumerate(tensors)]
    return _HandleGroup(handles)


class _HandleGroup:
    """Several handles removed as one."""

    def __init__(self, handles):
        self._handles = handles

    def remove(self):
        """Take all hooks out."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


__all__ = ["GradientEdge", "Node", "Tensor", "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]
