"""Hooks into the recorded graph."""
import weakref
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import AutogradError
from ..tensor import Node, Tensor, _base_modes, _ops
from ..tensor._leaf import accumulator_of
from . import _engine
from ._function import increment_version


class GradientEdge(NamedTuple):
    """Where a gradient flows: into output ``output_nr`` of ``node``."""

    node: Node
    output_nr: int
    ownership_token: object = None


class saved_tensors_hooks:
    """Pass tensors saved for backward through ``pack(tensor)`` and read them back through ``unpack(obj)``."""

    _stack = []
    _refused = []               # messages of `disable_saved_tensors_hooks`, innermost last

    def __init__(self, pack_hook, unpack_hook):
        self.pair = (pack_hook, unpack_hook)

    def __enter__(self):
        if self._refused:
            raise AutogradError(self._refused[-1], op="saved_tensors_hooks")
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


@contextmanager
def disable_saved_tensors_hooks(error_message):
    """Refuse saved-tensor hooks inside a ``with`` block, with the given message.

    Raises:
        RuntimeError: hooks are in place already.
    """
    if saved_tensors_hooks._stack:
        raise AutogradError(error_message, op="disable_saved_tensors_hooks")
    saved_tensors_hooks._refused.append(error_message)
    try:
        yield
    finally:
        saved_tensors_hooks._refused.pop()


class _Kept:
    """One tensor saved for backward; a copy of it once its memory is written."""

    __slots__ = ("tensor", "version", "__weakref__")

    def __init__(self, tensor):
        self.tensor, self.version = tensor, tensor._version


class _Mutations:
    """What `allow_mutation_on_saved_tensors` keeps: the saved tensors by the memory that they lie in."""

    active = None

    def __init__(self):
        self.by_memory = {}

    def pack(self, tensor):
        kept = _Kept(tensor)
        self.by_memory.setdefault(tensor.untyped_storage().data_ptr(), weakref.WeakSet()).add(kept)
        return kept

    def unpack(self, kept):
        if _Mutations.active is not self:
            raise AssertionError("Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in which the graph was originally recorded.")
        if kept.tensor._version != kept.version:
            raise AutogradError("allow_mutation_on_saved_tensors: a saved tensor was written by an operator that does not announce its writes",
                                op="allow_mutation_on_saved_tensors")
        return kept.tensor

    def before_write(self, tensor):
        for kept in self.by_memory.pop(tensor.untyped_storage().data_ptr(), ()):
            kept.tensor = kept.tensor.clone()
            kept.version = kept.tensor._version

    def clear(self):
        """Forget everything."""
        self.by_memory.clear()


@contextmanager
def allow_mutation_on_saved_tensors():
    """Let tensors that were saved for backward be written inside a ``with`` block: they are copied first.

    Forward and backward must both run inside of it.

    Example:
        >>> with allow_mutation_on_saved_tensors():
        ...     a = rustorch_py.ones(2, requires_grad=True)
        ...     b = a.clone()
        ...     out = (b ** 2).sum()
        ...     _ = b.sin_()
        ...     out.backward()
        >>> a.grad
        tensor([2., 2.])
    """
    if _Mutations.active is not None:
        raise AutogradError("allow_mutation_on_saved_tensors contexts cannot be nested", op="allow_mutation_on_saved_tensors")
    state = _Mutations()
    with saved_tensors_hooks(state.pack, state.unpack):
        _Mutations.active = state
        _ops.set_write_hook(state.before_write)
        try:
            yield state
        finally:
            _ops.set_write_hook(None)
            _Mutations.active = None
            state.clear()


def get_gradient_edge(tensor):
    """Return the ``GradientEdge`` (node, output number) that the gradient of ``tensor`` flows into; a leaf's node is its AccumulateGrad."""
    if not tensor.requires_grad:
        raise AutogradError("It is not possible to get the gradient edge for a Tensor that does not require gradients", op="get_gradient_edge")
    return GradientEdge(accumulator_of(tensor) if tensor.grad_fn is None else tensor.grad_fn, tensor.output_nr)


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call ``fn`` with the gradients of all ``tensors`` when the last one is there ("all"), or with the first ("any").

    A tensor that a backward does not reach has None; the call is then made when that backward ends.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    got, run = {}, {"fired": False, "number": 0}       # of the backward that runs now

    def fire(number):
        if number == run["number"] and got:
            grads = [got.get(k) for k in range(len(tensors))]
            got.clear()
            run["fired"] = True
            fn(grads)

    def end(number):
        if mode == "all":
            fire(number)
        if number == run["number"]:
            run["fired"] = False
            run["number"] += 1

    def make(i):
        def hook(grad):
            first = not got and not run["fired"]
            if first:
                number = run["number"]
                _engine.queue_callback(lambda: end(number))
            if mode == "any":
                if first:
                    run["fired"] = True
                    fn(grad)
                return
            got[i] = grad
            if len(got) == len(tensors):
                fire(run["number"])
        return hook
    handles = [t.register_hook(make(i)) for i, t in enumerate(tensors) if mode == "all" or t.requires_grad]
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


__all__ = ["GradientEdge", "Node", "Tensor", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]
