"""The contract of all optimizers: parameter groups, state, state dicts, hooks."""
from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from itertools import chain

from .. import tensor as _t
from ..errors import TensorError, TensorTypeError, TensorValueError
from ..tensor import Tensor
from ..utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_pre_hook", "register_optimizer_step_post_hook"]


ParamsT = Iterable      # for annotations: of tensors, of (name, tensor) pairs, or of dicts
StateDict = dict


class _Required:
    """Marks an option that every parameter group must give itself."""

    def __repr__(self):
        return "<required parameter>"


required = _Required()

# Hooks common to all optimizers, by handle id.
_global_optimizer_pre_hooks = OrderedDict()
_global_optimizer_post_hooks = OrderedDict()

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def _register(table, hook, prepend=False):
    handle = RemovableHandle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook):
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer.

    Returns:
        A handle; ``handle.remove()`` takes the hook out again.
    """
    return _register(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer.

    Returns:
        A handle; ``handle.remove()`` takes the hook out again.
    """
    return _register(_global_optimizer_post_hooks, hook)


def _use_grad_for_differentiable(func):
    """Wrap a step method so that it records only if the optimizer is differentiable (for own optimizers)."""
    @functools.wraps(func)
    def step(self, *args, **kwargs):
        with _t.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            return func(self, *args, **kwargs)
    return step


def _typename(obj):
    kind = type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Optimizer:
    """Base of all optimizers.

    Args:
        params: iterable of tensors, of ``(name, tensor)`` pairs, or of dicts (one per parameter
            group, with ``"params"`` and the group's own options). The order must be the same in
            every run, so sets are refused.
        defaults: options used where a group does not give its own.

    Attributes:
        state: ``defaultdict(dict)`` from parameter to what the method remembers of it.
        param_groups: list of dicts: ``"params"`` and every option.
    """

    def __init__(self, params, defaults):
        self.defaults = defaults
        for name in _HOOK_TABLES:
            setattr(self, name, OrderedDict())
        self._patch_step_function()

        if isinstance(params, Tensor):
            raise TensorTypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, "
                                  f"but got {_typename(params)}")
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise TensorValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __getstate__(self):
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name in _HOOK_TABLES:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"\nParameter Group {i}" if i else "Parameter Group 0")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"

    # -- the step and its hooks -----------------------------------------------------------------

    @staticmethod
    def profile_hook_step(func):
        """Wrap a step method so that the hooks run before and after it."""
        @functools.wraps(func)
        def wrapper(self, *args, **kwargs):
            if not (self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
                    or _global_optimizer_pre_hooks or _global_optimizer_post_hooks):
                return func(self, *args, **kwargs)
            # Hooks see the optimizer among the positional arguments, as the method does.
            args = (self, *args)
            for hook in chain(_global_optimizer_pre_hooks.values(), self._optimizer_step_pre_hooks.values()):
                result = hook(self, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise TensorError(f"{func} must return None or a tuple of (new_args, new_kwargs), "
                                          f"but got {result}.", op="Optimizer.step")
                    args, kwargs = result
            out = func(*args, **kwargs)
            for hook in chain(self._optimizer_step_post_hooks.values(), _global_optimizer_post_hooks.values()):
                hook(self, args, kwargs)
            return out

        wrapper.hooked = True
        return wrapper

    def _patch_step_function(self):
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)

    def step(self, closure=None):
        """Update the parameters once.

        Args:
            closure: callable that evaluates the model again and returns the loss.

        Returns:
            What the closure returned, or None.
        """
        raise NotImplementedError

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or fill them with zeros.

        Args:
            set_to_none: leave ``p.grad`` None (less memory; a parameter that gets no gradient is
                skipped by the next step) instead of filling it with zeros.
        """
        for group in self.param_groups:
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def register_step_pre_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new (args, kwargs)."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    # -- state dicts ----------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """Call ``hook(optimizer)`` before ``state_dict`` collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """Call ``hook(optimizer, state_dict)`` on the collected dict; it may return another one."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """Call ``hook(optimizer, state_dict)`` on a shallow copy before loading; it may return another one."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """Call ``hook(optimizer)`` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self):
        """Return the optimizer's state with parameters replaced by numbers.

        Returns:
            ``{"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}``. Parameters
            are numbered in the order of the groups. Tensors are shared, not copied.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        number = {}
        start = 0
        groups = []
        for group in self.param_groups:
            for i, p in enumerate(group["params"], start):
                number.setdefault(id(p), i)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [number[id(p)] for p in group["params"]]
            groups.append(packed)
            start += len(group["params"])
        state = {(number[id(key)] if isinstance(key, Tensor) else key): value for key, value in self.state.items()}
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    @staticmethod
    def _process_value_according_to_param_policy(param, value, param_id, param_groups, key=None):
        """Cast one loaded state tensor to its parameter's dtype and device; step counts stay as they are."""
        if key == "step":
            for group in param_groups:
                if param_id in group["params"]:
                    if group.get("capturable") or group.get("fused"):
                        return value.to(dtype=_t.float32, device=param.device)
                    break
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)

    def load_state_dict(self, state_dict):
        """Take over the state of an optimizer with the same groups.

        Parameters are matched by their place in the groups. Option values of the state dict
        replace this optimizer's own; tensors are cast to dtype and device of their parameter.

        Args:
            state_dict: what :meth:`state_dict` returned.

        Raises:
            ValueError: if the number of groups, or of parameters in one, differs.
        """
        from copy import deepcopy

        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed

        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise TensorValueError("loaded state dict has a different number of parameter groups")
        if any(len(g["params"]) != len(s["params"]) for g, s in zip(groups, saved_groups)):
            raise TensorValueError("loaded state dict contains a parameter group that doesn't match the size of "
                                   "optimizer's group")
        param_of = dict(zip(chain.from_iterable(s["params"] for s in saved_groups),
                            chain.from_iterable(g["params"] for g in groups)))

        def cast(param, value, number, key=None):
            if isinstance(value, Tensor):
                return Optimizer._process_value_according_to_param_policy(
                    param, value, number, state_dict["param_groups"], key)
            if isinstance(value, dict):
                return {k: cast(param, v, number, k) for k, v in value.items()}
            if isinstance(value, (str, bytes)):
                return value
            if hasattr(value, "__iter__"):
                return type(value)(cast(param, v, number) for v in value)
            return value

        state = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in param_of:
                state[param_of[key]] = cast(param_of[key], value, key)
            else:
                state[key] = value
        for group, saved in zip(groups, saved_groups):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # -- groups ---------------------------------------------------------------------------------

    def add_param_group(self, param_group):
        """Add one group of parameters, for instance layers thawed during training.

        Args:
            param_group: dict with ``"params"`` and the options that differ from the defaults.
        """
        if not isinstance(param_group, dict):
            raise TensorTypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TensorTypeError("optimizer parameters need to be organized in ordered collections, but the ordering "
                                  "of tensors in sets will change between runs. Please use a list instead.")
        else:
            params = list(params)

        names = [p[0] for p in params if isinstance(p, tuple)]
        if names and len(names) != len(params):
            raise TensorValueError("all optimizer params should be with/without names. Some param names are missing")
        params = [p[1] if isinstance(p, tuple) else p for p in params]
        param_group["params"] = params
        if names:
            param_group["param_names"] = names

        for p in params:
            if not isinstance(p, Tensor):
                raise TensorTypeError(f"optimizer can only optimize Tensors, but one of the params is {_typename(p)}")
            if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
                raise TensorValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise TensorValueError("parameter group didn't specify a value of required optimization parameter "
                                       f"{name}")
            param_group.setdefault(name, default)

        ids = {id(p) for p in params}
        if len(ids) != len(params):
            warnings.warn("optimizer contains a parameter group with duplicate parameters; in future, this will cause "
                          "an error; see github.com/pytorch/pytorch/issues/40967 for more information", stacklevel=3)
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                which = "with names" if "param_names" in param_group else "without names"
                raise TensorValueError("all optimizer param groups should be with/without names. cannot add param "
                                       f"group {which} to the optimizer")
            if not ids.isdisjoint(id(p) for p in group["params"]):
                raise TensorValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)
