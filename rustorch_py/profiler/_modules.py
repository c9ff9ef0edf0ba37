"""Which modules are running (``torch.utils.module_tracker``)."""
from __future__ import annotations

import weakref

from ..autograd import _engine
from ..autograd.graph import register_multi_grad_hook
from ..nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from ..tensor import Tensor
from ..utils._pytree import tree_flatten

__all__ = ["ModuleTracker"]


class ModuleTracker:
    """Know, inside a ``with`` block, which modules run now, forward or backward: ``parents`` holds their names, and always ``"Global"``.

    A module is named by its class, or its path from the first module that was called: ``"Net.encoder.0"``.

    Example:
        >>> layer = rustorch_py.nn.Linear(2, 2)
        >>> with ModuleTracker() as tracker:
        ...     handle = layer.register_forward_hook(lambda *_: print(sorted(tracker.parents)))
        ...     y = layer(rustorch_py.ones(1, 2))
        ['Global', 'Linear']
    """

    def __init__(self):
        self.parents = {"Global"}
        self._names = weakref.WeakKeyDictionary()
        self._walked = weakref.WeakSet()
        self._hooks, self._ends = [], False

    @property
    def is_bw(self):
        """Whether backward runs now."""
        return _engine.is_running()

    def _name(self, module):
        name = self._names.setdefault(module, type(module).__name__)
        if module not in self._walked:
            self._walked.add(module)
            for child, sub in module.named_children():
                self._names[sub] = f"{name}.{child}"
                self._name(sub)
        return name

    def _enter(self, name):
        def enter(*_):
            if _engine.is_running() and not self._ends:
                self._ends = True
                _engine.queue_callback(self._end_of_backward)
            self.parents.add(name)
        return enter

    def _leave(self, name):
        return lambda *_: self.parents.discard(name)

    def _end_of_backward(self):
        self.parents, self._ends = {"Global"}, False

    def _watch(self, values, fn):
        tensors = [t for t in tree_flatten(values)[0] if isinstance(t, Tensor) and t.requires_grad]
        if tensors:
            self._hooks.append(register_multi_grad_hook(tensors, fn))

    def _before(self, module, args):
        name = self._name(module)
        self._enter(name)()
        self._watch(args, self._leave(name))

    def _after(self, module, args, output):
        name = self._name(module)
        self._leave(name)()
        self._watch(output, self._enter(name))

    def __enter__(self):
        self._handles = [register_module_forward_pre_hook(self._before), register_module_forward_hook(self._after)]
        return self

    def __exit__(self, *exc):
        for handle in (*self._handles, *self._hooks):
            handle.remove()
        self._hooks.clear()
