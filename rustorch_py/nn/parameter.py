"""Tensors that a module owns: ``Parameter``, ``Buffer`` and their not yet shaped forms."""

from __future__ import annotations

from .. import tensor as _t
from ..errors import TensorError, TensorTypeError, TensorValueError
from ..tensor import Tensor
from ..tensor._overrides import _disabled_torch_function_impl

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterMeta(type(Tensor)):
    """Lets a tensor subclass count as a Parameter through its ``_is_param`` mark."""

    def __instancecheck__(cls, instance):
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """Mark a tensor as a module's parameter.

    A Parameter assigned to an attribute of a Module enters its ``parameters()``.

    Args:
        data: the tensor to share storage with; an empty one if absent.
        requires_grad: whether gradients are collected (also under ``no_grad``).
    """

    __torch_function__ = _disabled_torch_function_impl

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = _t.empty(0)
        kind = type(data)
        if kind is Tensor or kind is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        if not isinstance(data, Tensor):
            raise TensorTypeError(
                f"Parameter: data must be a Tensor, got {kind.__name__}; wrap it in tensor(...) first", op="Parameter"
            )
        own = data.detach().requires_grad_(requires_grad)
        if type(own) is not kind:
            raise TensorError(
                f"Parameter: detach() of {kind.__name__} returns {type(own).__name__}; "
                "it must return its own type to serve as a Parameter",
                op="Parameter",
            )
        own._is_param = True
        return own

    def __init__(self, *args, **kwargs):
        pass  # __new__ did it all; Tensor's own constructor reads its arguments as sizes

    def __deepcopy__(self, memo):
        known = memo.get(id(self))
        if known is None:
            known = type(self)(self.data.clone(), self.requires_grad)
            extra = getattr(self, "__dict__", None)
            if extra:
                from copy import deepcopy

                known.__dict__.update(deepcopy(extra, memo))
            memo[id(self)] = known
        return known

    def __repr__(self):
        return "Parameter containing:\n" + Tensor.__repr__(self)

    def __reduce_ex__(self, protocol):
        extra = getattr(self, "__dict__", None)
        return (_rebuild_parameter, (type(self), self.data, self.requires_grad, dict(extra) if extra else None))


def _rebuild_parameter(cls, data, requires_grad, extra=None):
    """Make a parameter out of its pickled parts."""
    param = cls(data, requires_grad)
    if extra:
        param.__dict__.update(extra)
    return param


class _BufferMeta(type(Tensor)):
    """A Buffer is any tensor with the ``_is_buffer`` mark."""

    def __instancecheck__(cls, instance):
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """Mark a tensor as a module's buffer: state that is saved, moved, not trained.

    Args:
        data: the tensor to share storage with; an empty one if absent.
        persistent: whether ``state_dict()`` includes it.
    """

    __torch_function__ = _disabled_torch_function_impl

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = _t.empty(0)
        own = data.detach().requires_grad_(data.requires_grad)
        own.persistent = persistent
        own._is_buffer = True
        return own

    def __init__(self, *args, **kwargs):
        pass  # see Parameter


class UninitializedTensorMixin:
    """What a parameter or buffer without a shape may do: be moved, be materialized."""

    __torch_function__ = _disabled_torch_function_impl

    def materialize(self, shape, device=None, dtype=None):
        """Give the tensor its shape; from then on it is an ordinary parameter or buffer."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = _t.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise TensorError(
            "shape: this parameter or buffer is uninitialized and has no shape yet; "
            "run forward once (also before load_state_dict into an initialized module)",
            op="shape",
        )

    def share_memory_(self):
        """Refuse: there is no memory to share yet."""
        raise TensorError(
            "share_memory_: this parameter or buffer is uninitialized; run forward once before share_memory()",
            op="share_memory_",
        )

    def __repr__(self):
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return (type(self), (self.requires_grad,))


def _refuse(name):
    """Build a method that says why an uninitialized tensor cannot compute."""

    def method(self, *args, **kwargs):
        raise TensorValueError(
            f"{name}: attempted to use an uninitialized {type(self).__name__}; "
            "call the lazy module once with an input so that shapes become known",
            op=name,
        )

    method.__name__ = name
    return method


for _name in (
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __matmul__ __rmatmul__ __pow__ "
    "__neg__ __getitem__ __setitem__ __len__ __iter__ __float__ __int__ __bool__ add mul sub div matmul sum mean "
    "view reshape t transpose permute expand clone detach zero_ fill_ normal_ uniform_ item tolist numpy numel"
).split():
    setattr(UninitializedTensorMixin, _name, _refuse(_name))


def is_lazy(param):
    """Tell whether a parameter or buffer still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """Stand for a parameter whose shape the first forward call decides."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return Tensor._make_subclass(cls, _t.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo):
        known = memo.get(id(self))
        if known is None:
            known = memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return known


class _ShapedBuffer(Tensor):
    """A buffer that got its shape late: a Tensor in all but name (an object cannot become a plain Tensor)."""

    __torch_function__ = _disabled_torch_function_impl


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """Stand for a buffer whose shape the first forward call decides."""

    cls_to_become = _ShapedBuffer

    def __init__(self, *args, **kwargs):
        pass  # see Parameter

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        own = Tensor._make_subclass(cls, _t.empty(0, device=device, dtype=dtype), requires_grad)
        own.persistent = persistent
        own._is_buffer = True
        return own
