"""Tensors and their operators: the ground floor.

``rustorch_py.tensor`` is both the package of all tensor functions and, called, the constructor:
``rustorch_py.tensor([1.0, 2.0])``.
"""
import sys
import types
from importlib import import_module

from . import _cpu, _dtype, _face, _overrides, _tensor  # noqa: F401
from ._base_modes import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from ._function import public as _public
from ._dtype import (channels_last, channels_last_3d, contiguous_format, device, dtype, layout, memory_format, preserve_format, strided)
from ._hooks import RemovableHandle
from ._node import Node
from ._tensor import Size, Tensor

_functions, _methods, _slots = _face.collect()
_tensor.install(_methods)
globals().update(_dtype.NAMED)
globals().update(_functions)
if "matmul" in _functions:
    _slots.setdefault("matmul", _functions["matmul"])
for _name in ("getitem", "setitem"):         # Python asks the indexed tensor only: a key may override too
    _slots[_name] = _public(_slots[_name])
for _name, _fn in _slots.items():
    _tensor.set_entry(_name, _fn)
_overrides.ready(_slots["getitem"], _slots["setitem"])
del _methods, _name, _fn


_run_row = import_module("._pointwise", __name__).run_row


def _face_names():
    """Torch-level names: dtypes and functions, without the kernels that only nn.functional shows."""
    return {**_dtype.NAMED, **{k: v for k, v in _functions.items() if k not in _face.NN_ONLY}}


def _function(name):
    """Return a torch-level function by name."""
    try:
        return _functions[name]
    except KeyError:
        raise AttributeError(f"there is no tensor function {name!r}") from None


class _CallableModule(types.ModuleType):
    """A module that can be called: ``tensor(data)`` makes a tensor."""
    __module__ = __name__.rpartition(".")[0]

    def __reduce__(self):
        return "tensor"

    def __call__(self, *args, **kwargs):
        return self._make_tensor(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
