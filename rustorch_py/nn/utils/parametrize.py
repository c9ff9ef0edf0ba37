"""Parameters computed from other parameters by modules.

A parametrized tensor becomes a property of the module, computed from ``module.parametrizations.<name>``,
which holds the parametrizing modules and the original tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy

from ... import tensor as _t
from ...errors import TensorError
from ...tensor import Tensor
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

# Values kept while `cached()` is active: (id of module, name) -> tensor.
_cache_enabled = 0
_cache = {}


@contextmanager
def cached():
    """Compute every parametrized tensor only once inside this context."""
    global _cache_enabled
    _cache_enabled += 1
    try:
        yield
    finally:
        _cache_enabled -= 1
        if not _cache_enabled:
            _cache.clear()


def _register(module, name, value):
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _check_tensor(value, what):
    if not isinstance(value, Tensor):
        raise ValueError(f"{what} must return a tensor. Got {type(value).__name__}.")


def _check_like(new, old, what):
    """Refuse a result of another dtype or shape."""
    if new.dtype != old.dtype:
        raise ValueError(
            f"{what} may not change the dtype of the tensor, unless the `unsafe` flag is enabled.\n"
            f"unparametrized dtype: {old.dtype}\nparametrized dtype: {new.dtype}"
        )
    if new.shape != old.shape:
        raise ValueError(
            f"{what} may not change the shape of the tensor, unless the `unsafe` flag is enabled.\n"
            f"unparametrized shape: {old.shape}\nparametrized shape: {new.shape}"
        )


class ParametrizationList(ModuleList):
    """Hold the parametrizations of one tensor, and the original(s) they start from.

    Args:
        modules: the parametrizations, first applied first.
        original: the tensor as it was.
        unsafe: let dtype and shape change.
    """

    def __init__(self, modules, original, unsafe=False):
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach()
        with _t.no_grad():
            new = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass  # the original stays as it is: its image is the new value
        if not isinstance(new, Tensor) and not isinstance(new, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if original.dtype != new.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            if original.device != new.device:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the device.\n"
                    f"original.device: {original.device}\nright_inverse(original).device: {new.device}"
                )
            if new is not original:
                original.data = new.detach()
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                        f"Got element {i} of the sequence with type {type(part).__name__}."
                    )
                part = part.detach()
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                _register(self, f"original{i}", part.requires_grad_(original.requires_grad))
        if not unsafe:
            value = self()
            _check_tensor(value, "A parametrization")
            _check_like(value, before, "Registering a parametrization")

    def right_inverse(self, value):
        """Set the original(s) so that the parametrized tensor takes a value."""
        with _t.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise TensorError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
                parts, names = [value], ["original"]
            else:
                if not isinstance(value, Sequence):
                    raise ValueError(
                        f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}."
                    )
                if len(value) != self.ntensors:
                    raise ValueError(
                        "'right_inverse' must return a sequence of tensors of length "
                        f"{self.ntensors}. Got a sequence of length {len(value)}."
                    )
                parts, names = value, [f"original{i}" for i in range(self.ntensors)]
            for part, name in zip(parts, names):
                old = getattr(self, name)
                if part.dtype != old.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {part.dtype} "
                        f"while `{name}` has dtype {old.dtype}"
                    )
                old.data = part.detach()

    def forward(self):
        """Return the parametrized tensor."""
        if self.is_tensor:
            x = self[0](self.original)
        else:
            x = self[0](*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for i in range(1, len(self)):
            x = self[i](x)
        return x

    def __len__(self):
        return len(self._modules)


def _inject_class(module):
    """Give the module a class of its own, to carry its properties."""
    base = type(module)

    def copy_deeply(self, memo):
        known = memo.get(id(self))
        if known is not None:
            return known
        replica = self.__new__(type(self))
        memo[id(self)] = replica
        state = base.__getstate__(self)
        replica.__setstate__(deepcopy(state, memo))
        return replica

    def refuse_pickle(self):
        raise TensorError(
            "Serialization of parametrized modules is only supported through state_dict(): save and load that"
        )

    body = {"__getstate__": refuse_pickle}
    if base.__deepcopy__ is Module.__deepcopy__:
        body["__deepcopy__"] = copy_deeply
    module.__class__ = type("Parametrized" + base.__name__, (base,), body)


def _inject_property(module, name):
    """Make the name a property of the module's own class."""
    if hasattr(module, name):
        raise AssertionError(f"Module already has an attribute named '{name}'")

    def get(self):
        if not _cache_enabled:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def set(self, value):
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, set))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Compute a parameter or buffer by a module from now on; return the module.

    Args:
        module: owner of the tensor.
        tensor_name: its name.
        parametrization: module from the original to the value; its ``right_inverse`` makes assignment possible.
        unsafe: skip the checks that dtype and shape stay.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            old = getattr(module, tensor_name)
            new = parametrization(old)
            _check_tensor(new, "A parametrization")
            _check_like(new, old, "Registering a parametrization")
            if hasattr(parametrization, "right_inverse"):
                try:
                    back = parametrization.right_inverse(new)
                except NotImplementedError:
                    pass  # allowed: it only rules out assignment
                else:
                    _check_tensor(back, "parametrization.right_inverse")
                    _check_like(back, old, "The tensor returned by parametrization.right_inverse")
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        group = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = group
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def is_parametrized(module, tensor_name=None):
    """Tell whether a module (or one tensor of it) is parametrized."""
    groups = getattr(module, "parametrizations", None)
    if not isinstance(groups, ModuleDict):
        return False
    return len(groups) > 0 if tensor_name is None else tensor_name in groups


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make a tensor an ordinary one again; return the module.

    Args:
        module: owner of the tensor.
        tensor_name: its name.
        leave_parametrized: keep the computed value, otherwise the original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    group = module.parametrizations[tensor_name]
    if group.is_tensor:
        original = group.original
        if leave_parametrized:
            with _t.no_grad():
                value = getattr(module, tensor_name)
            original.data = value.detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of "
            "a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module):
    """Return the module's class without the parametrizations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Give another module the parametrizations and originals of a module; return it."""
    if is_parametrized(from_module):
        names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
        for name in names:
            if not hasattr(to_module, name):
                setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
            source = from_module.parametrizations[name]
            for parametrization in source:
                register_parametrization(to_module, name, parametrization)
            target = to_module.parametrizations[name]
            if source.is_tensor:
                target.original = source.original
            else:
                for i in range(source.ntensors):
                    setattr(target, f"original{i}", getattr(source, f"original{i}"))
    return to_module
