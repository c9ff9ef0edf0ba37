"""What a Module does about saving and loading, and how hooks are registered."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from weakref import ref

from ... import tensor as _t
from ...errors import TensorError
from ...tensor import Tensor
from ...utils.hooks import RemovableHandle
from ..parameter import Parameter, is_lazy

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


def _warn(message, category=UserWarning, stacklevel=3):
    import warnings

    warnings.warn(message, category, stacklevel=stacklevel)


class _IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What ``load_state_dict`` found missing or left over."""

    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _BoundHook:
    """A hook that gets its module as first argument without keeping the module alive."""

    def __init__(self, hook, module=None):
        self.hook = hook
        self.with_module = module is not None
        if self.with_module:
            self.module = ref(module)
        self.__name__ = getattr(hook, "__name__", type(hook).__name__)
        self.__doc__ = getattr(hook, "__doc__", None)

    def __call__(self, *args, **kwargs):
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise TensorError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self):
        state = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state):
        if state["with_module"] and state["module"] is None:
            raise TensorError("You are trying to revive the hook of a dead Module!")
        self.__init__(state["hook"], state.get("module"))


def _register(registry, hook, *extra, prepend=False):
    """Enter a hook into a registry; ``extra`` are registries that flag its id."""
    handle = RemovableHandle(registry, extra_dict=list(extra))
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


class StateDictMixin:
    """The part of Module that collects its state and takes it back."""

    def get_extra_state(self):
        """Return what else ``state_dict()`` should hold. Overridden together with ``set_extra_state``."""
        raise TensorError("get_extra_state: this module defines none; override it before calling it")

    def set_extra_state(self, state):
        """Take back what ``get_extra_state`` gave. Overridden together with it."""
        raise TensorError("set_extra_state: this module defines none; override it before calling it")

    def _register_state_dict_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after collecting; a result replaces it."""
        if getattr(hook, "_from_public_api", False):
            raise TensorError(
                "Cannot register the same function as the state dict post hook that was previously registered "
                "via register_state_dict_post_hook"
            )
        return _register(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after collecting; it must return None."""
        hook._from_public_api = True
        return _register(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook):
        """Call ``hook(module, prefix, keep_vars)`` before ``state_dict()`` collects."""
        return _register(self._state_dict_pre_hooks, hook)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        """Put this module's own parameters and buffers into ``destination``."""
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        if self._buffers:
            hidden = self._non_persistent_buffers_set
            for name, buffer in self._buffers.items():
                if buffer is not None and name not in hidden:
                    destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not StateDictMixin.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """Collect parameters and persistent buffers, by dotted name.

        Args:
            destination: a mapping to fill; a new ``OrderedDict`` if absent.
            prefix: put before each name.
            keep_vars: keep the Parameter objects instead of detached tensors.
        """
        if args:
            _warn("Positional args are being deprecated, use kwargs instead.", FutureWarning)
            if destination is None:
                destination = args[0]
            if len(args) > 1 and prefix == "":
                prefix = args[1]
            if len(args) > 2 and keep_vars is False:
                keep_vars = args[2]
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        if self._state_dict_pre_hooks:
            for hook in self._state_dict_pre_hooks.values():
                hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
        if not self._state_dict_hooks:
            return destination
        for hook in self._state_dict_hooks.values():
            out = hook(self, destination, prefix, local_metadata)
            if out is not None:
                if getattr(hook, "_from_public_api", False):
                    raise TensorError("state_dict post-hook must return None")
                destination = out
        return destination

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        return _register(self._load_state_dict_pre_hooks, _BoundHook(hook, self if with_module else None))

    def register_load_state_dict_pre_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs)`` before this module loads."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook):
        """Call ``hook(module, incompatible_keys)`` after this module loaded; it may edit the keys in place."""
        return _register(self._load_state_dict_post_hooks, hook)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Copy this module's own entries out of ``state_dict``; note what is missing, left over or wrong."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        hidden = self._non_persistent_buffers_set
        local = {k: v for k, v in self._parameters.items() if v is not None}
        if self._buffers:
            local.update((k, v) for k, v in self._buffers.items() if v is not None and k not in hidden)
        assign = local_metadata.get("assign_to_params_buffers", False)

        with _t.no_grad():
            for name, param in local.items():
                key = prefix + name
                if key not in state_dict:
                    if strict:
                        missing_keys.append(key)
                    continue
                value = state_dict[key]
                if not isinstance(value, Tensor):
                    error_msgs.append(
                        f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                        f"from checkpoint but received {type(value)}"
                    )
                    continue
                if not is_lazy(param) and value.shape != param.shape:
                    if param.dim() == 0 and value.dim() == 1 and value.shape[0] == 1:
                        value = value[0]  # scalars were once saved with one dimension
                    if value.shape != param.shape:
                        error_msgs.append(
                            f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                            f"the shape in current model is {param.shape}."
                        )
                        continue
                try:
                    if not assign:
                        param.copy_(value)
                    else:
                        if isinstance(param, Parameter):
                            if isinstance(value, Parameter):
                                value.requires_grad_(param.requires_grad)
                            else:
                                value = Parameter(value, requires_grad=param.requires_grad)
                        setattr(self, name, value)
                except Exception as error:
                    error_msgs.append(
                        f'While copying the parameter named "{key}", whose dimensions in the model are {param.size()} '
                        f"and whose dimensions in the checkpoint are {value.size()}, an exception occurred : {error.args}."
                    )

        extra_key = prefix + _EXTRA_STATE_KEY_SUFFIX
        if type(self).set_extra_state is not StateDictMixin.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)

        if strict:
            start = len(prefix)
            for key in state_dict:
                if key == extra_key or not key.startswith(prefix):
                    continue
                head, dot, _ = key[start:].partition(".")
                if head not in (self._modules if dot else local):
                    unexpected_keys.append(key)

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy parameters and buffers out of a state dict.

        Args:
            state_dict: mapping from dotted name to tensor.
            strict: raise where names are missing or left over.
            assign: put the given tensors in place of the module's own, instead of copying into them.

        Returns:
            A named tuple of ``missing_keys`` and ``unexpected_keys``.

        Raises:
            RuntimeError: names or shapes do not fit; all complaints in one message.
        """
        from collections.abc import Mapping

        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing, unexpected, errors = [], [], []
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata
        self._load_tree(state_dict, "", metadata, assign, missing, unexpected, errors)
        if strict:
            if unexpected:
                listed = ", ".join(f'"{k}"' for k in unexpected)
                errors.insert(0, f"Unexpected key(s) in state_dict: {listed}. ")
            if missing:
                listed = ", ".join(f'"{k}"' for k in missing)
                errors.insert(0, f"Missing key(s) in state_dict: {listed}. ")
        if errors:
            listed = "\n\t".join(errors)
            raise TensorError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}")
        return _IncompatibleKeys(missing, unexpected)

    def _load_tree(self, state_dict, prefix, metadata, assign, missing, unexpected, errors):
        local_metadata = {} if metadata is None else metadata.get(prefix[:-1], {})
        if assign:
            local_metadata["assign_to_params_buffers"] = assign
        self._load_from_state_dict(state_dict, prefix, local_metadata, True, missing, unexpected, errors)
        for name, child in self._modules.items():
            if child is not None:
                below = prefix + name + "."
                part = {k: v for k, v in state_dict.items() if k.startswith(below)}
                child._load_tree(part, below, metadata, assign, missing, unexpected, errors)
        if self._load_state_dict_post_hooks:
            keys = _IncompatibleKeys(missing, unexpected)
            for hook in self._load_state_dict_post_hooks.values():
                if hook(self, keys) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                        "values, if incompatible_keys need to be modified, it should be done inplace."
                    )
