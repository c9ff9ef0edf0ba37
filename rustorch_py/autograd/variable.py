"""Variable: the old name of a tensor that may require gradients."""
from ..tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, obj):
        return isinstance(obj, Tensor)


class Variable(metaclass=_VariableMeta):
    """Return a tensor of ``data`` (tensor, array, list or number) without history.

    Args:
        data: values; a tensor shares its memory.
        requires_grad: compute gradients for it; integers become the default float dtype then.
    """

    def __new__(cls, data, requires_grad=False, volatile=False):
        from .. import tensor as _t
        if not isinstance(data, Tensor):
            data = _t._make_tensor(data)
        if requires_grad and not (data.is_floating_point() or data.is_complex()):
            data = data.to(_t.get_default_dtype())
        out = data.detach()
        out.requires_grad_(requires_grad)
        return out


class _Engine:
    """The backward engine, as far as programs reach for it: ``Variable._execution_engine.queue_callback(fn)``."""

    def queue_callback(self, callback):
        """Call ``callback()`` once the backward under way has accumulated every gradient.

        Raises:
            RuntimeError: no backward is under way.
        """
        from ._engine import queue_callback
        queue_callback(callback)


Variable._execution_engine = _Engine()
