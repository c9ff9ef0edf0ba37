"""``Module``, the base of every layer."""

from __future__ import annotations

from collections import OrderedDict
from copy import _reconstruct, deepcopy
from copyreg import dispatch_table
from weakref import ref

from ... import tensor as _t
from ...errors import AutogradError, TensorError, UnsupportedOpError
from ...tensor import Tensor
from ..parameter import Buffer, Parameter
from . import _global_hooks
from ._call import all_named_parameters, all_parameters, answer_calls, call, set_training
from ._global_hooks import (  # noqa: F401
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_buffer_registration_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
    _global_module_registration_hooks,
    _global_parameter_registration_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from ._members import Members
from ._state import StateDictMixin, _BoundHook, _IncompatibleKeys, _register, _warn  # noqa: F401

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

def _type_name(value):
    """Name a value's type the way PyTorch's messages do."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", None) else f"{module}.{kind.__qualname__}"


def _addindent(text, spaces):
    """Indent every line of a text but the first."""
    return text.replace("\n", "\n" + " " * spaces)


def _forward_unimplemented(self, *input):
    """Compute the module's output. Every subclass defines this."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


def _parse_to(device=None, dtype=None, non_blocking=False, copy=False, *, memory_format=None, tensor=None, other=None):
    """Read the argument forms of ``to``: (device, dtype), (dtype), (tensor), each with non_blocking.

    Returns:
        (device or None, dtype or None, non_blocking, memory_format or None)
    """
    like = tensor if tensor is not None else other
    if isinstance(device, Tensor):
        like, device = device, None
    elif isinstance(device, _t.dtype):
        # to(dtype, non_blocking): what stood second is non_blocking.
        if isinstance(dtype, bool):
            non_blocking = dtype
        device, dtype = None, device
    if isinstance(dtype, bool) and like is not None:
        non_blocking, dtype = dtype, None
    if like is not None:
        return like.device, like.dtype, non_blocking, memory_format
    if device is not None and not isinstance(device, _t.device):
        device = _t.device(device)
    if dtype is not None and not isinstance(dtype, _t.dtype):
        raise TypeError(f"to: dtype must be a dtype, got {type(dtype).__name__}")
    return device, dtype, non_blocking, memory_format


# Names that Module.__setattr__ must treat apart: assigning them replaces a whole member dictionary.
_MEMBER_DICTS = ("_parameters", "_buffers", "_modules")
_SPECIAL_NAMES = frozenset((*_MEMBER_DICTS, "__dict__"))
_PLAIN = frozenset((bool, int, float, str, tuple))
_HOOK_DICTS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


_ATOMS = frozenset((bool, int, float, str, complex, type(None)))


def _copied(value, memo):
    """A deep copy of a module's attribute."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if not (kind is dict or kind is set or kind is Members or kind is OrderedDict and not value.__dict__) or value or id(value) in memo:
        return deepcopy(value, memo)
    made = memo[id(value)] = {} if kind is Members else kind()
    memo.setdefault(id(memo), []).append(value)      # as deepcopy does, so that the id stays this one's
    return made


class Module(StateDictMixin):
    """Hold parameters, buffers and child modules; subclass it and define ``forward``.

    Tensors wrapped in ``Parameter`` and modules, when assigned to attributes, are registered:
    they show in ``parameters()``, move with ``to()`` and are saved by ``state_dict()``.

    Example:
        >>> import rustorch_py as torch
        >>> class Double(torch.nn.Module):
        ...     def forward(self, x):
        ...         return 2 * x
        >>> Double()(torch.ones(2))
        tensor([2., 2.])
    """

    dump_patches = False
    _version = 1
    training: bool
    call_super_init = False
    _compiled_call_impl = None

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        own = self.__dict__
        me = (ref(self),)
        own["training"] = True
        for name in _MEMBER_DICTS:
            old = own.get(name)
            if type(old) is Members:  # __init__ ran before: start afresh
                old.detach(self)
            own[name] = members = Members()
            members._owners = me
        own["_non_persistent_buffers_set"] = set()
        own["_is_full_backward_hook"] = None
        for name in _HOOK_DICTS:
            own[name] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward = _forward_unimplemented

    # ---- registration -------------------------------------------------------------------

    def _check_name(self, kind, name, members):
        """Refuse a name that is no attribute name or is taken by something else."""
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."' + (f", got: {name}" if kind == "module" else ""))
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in members and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name, tensor, persistent=True):
        """Add a tensor that belongs to the module's state without being trained.

        Args:
            name: attribute under which it is found.
            tensor: the tensor, or None to reserve the name.
            persistent: whether ``state_dict()`` includes it.
        """
        buffers = self.__dict__.get("_buffers")
        if buffers is None:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        for hook in _global_buffer_registration_hooks.values():
            replaced = hook(self, name, tensor)
            if replaced is not None:
                tensor = replaced
        buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param):
        """Add a parameter, or None to reserve the name."""
        params = self.__dict__.get("_parameters")
        if params is None:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, params)
        if param is None:
            params[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. "
                f"To express '{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        for hook in _global_parameter_registration_hooks.values():
            replaced = hook(self, name, param)
            if replaced is not None:
                param = replaced
        params[name] = param

    def add_module(self, name, module):
        """Add a child module, or None to reserve the name."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        modules = self.__dict__.get("_modules")
        if modules is None:
            raise AttributeError("cannot assign module before Module.__init__() call")
        self._check_name("module", name, modules)
        self._set_module(modules, name, module)

    def register_module(self, name, module):
        """Add a child module: another name of ``add_module``."""
        self.add_module(name, module)

    def _set_module(self, modules, name, module):
        for hook in _global_module_registration_hooks.values():
            replaced = hook(self, name, module)
            if replaced is not None:
                module = replaced
        modules[name] = module

    # ---- lookup by path -----------------------------------------------------------------

    def get_submodule(self, target):
        """Return the module under a dotted path; the module itself for ``""``."""
        module = self
        if target == "":
            return module
        for item in target.split("."):
            if not hasattr(module, item):
                raise AttributeError(f"{module._get_name()} has no attribute `{item}`")
            module = getattr(module, item)
            if not isinstance(module, Module):
                raise AttributeError(f"`{item}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False):
        """Put a module under a dotted path.

        Args:
            target: the path.
            module: the new module.
            strict: raise unless the path exists already.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if hasattr(parent, name):
            if not isinstance(getattr(parent, name), Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        elif strict:
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        setattr(parent, name, module)

    def _get_leaf(self, target):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return module, name, getattr(module, name)

    def get_parameter(self, target):
        """Return the parameter under a dotted path."""
        _, name, value = self._get_leaf(target)
        if not isinstance(value, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return value

    def get_buffer(self, target):
        """Return the buffer under a dotted path."""
        module, name, value = self._get_leaf(target)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return value

    # ---- changing all tensors ---------------------------------------------------------------

    def _apply(self, fn, recurse=True):
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            grad = param.grad
            with _t.no_grad():
                new = fn(param)
                new_grad = None if grad is None else fn(grad)
            # The Parameter object stays; optimizers and other modules may hold it.
            if new is not param:
                if grad is not None:
                    param.grad = None
                param.data = new
                if grad is not None:
                    grad.data = new_grad
                    param.grad = grad
            elif grad is not None and new_grad is not grad:
                param.grad = new_grad.requires_grad_(grad.requires_grad)
        buffers = self._buffers
        for key, buffer in buffers.items():
            if buffer is not None:
                buffers[key] = fn(buffer)
        return self

    def apply(self, fn):
        """Call ``fn(module)`` on every submodule, then on this one; return self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def cuda(self, device=None):
        """Move parameters and buffers to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self):
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type):
        """Convert parameters and buffers to a dtype."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self):
        """Convert floating-point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self):
        """Convert floating-point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self):
        """Convert floating-point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self):
        """Convert floating-point parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def to_empty(self, *, device, recurse=True):
        """Move to a device without copying values: the tensors there are uninitialized."""
        return self._apply(lambda t: _t.empty_like(t, device=device), recurse=recurse)

    def to(self, *args, **kwargs):
        """Move and convert parameters and buffers in place; return self.

        Args:
            device: where to (or a dtype, or a tensor whose device and dtype to take).
            dtype: a floating-point or complex dtype; integer buffers keep theirs.
            non_blocking: copy asynchronously where the device can.
            memory_format: layout for 4- and 5-dimensional tensors (keyword).
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(t):
            target = dtype if dtype is not None and (t.is_floating_point() or t.is_complex()) else None
            options = {}
            if device is not None:
                options["device"] = device
            if target is not None:
                options["dtype"] = target
            if memory_format is not None and t.dim() in (4, 5):
                options["memory_format"] = memory_format
            if t.is_meta and device is not None and options["device"].type != "meta":
                raise UnsupportedOpError("Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() "
                                         "when moving module from meta to a different device.", op="Module.to")
            return t.to(non_blocking=non_blocking, **options) if options else t

        return self._apply(convert)

    # ---- hooks --------------------------------------------------------------------------------

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_output)`` before the module's backward; a result replaces grad_output."""
        return _register(self._backward_pre_hooks, hook, prepend=prepend)

    def _claim_backward(self, full):
        if self._is_full_backward_hook is (not full):
            raise AutogradError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = full

    def register_backward_hook(self, hook):
        """Call ``hook(module, grad_input, grad_output)`` at the last node of forward (older form).

        ``register_full_backward_hook`` sees the gradients of the module's own inputs; prefer it.
        """
        self._claim_backward(False)
        return _register(self._backward_hooks, hook)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_input, grad_output)`` after the module's backward.

        A tuple that the hook returns replaces ``grad_input``.
        """
        self._claim_backward(True)
        return _register(self._backward_hooks, hook, prepend=prepend)

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call ``hook(module, args)`` before forward.

        Args:
            hook: returns None, or the new arguments (with kwargs: a pair of args and kwargs).
            prepend: run before the hooks registered so far.
            with_kwargs: call ``hook(module, args, kwargs)``.
        """
        handle = _register(self._forward_pre_hooks, hook, self._forward_pre_hooks_with_kwargs, prepend=prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call ``hook(module, args, output)`` after forward; a result replaces the output.

        Args:
            hook: the function.
            prepend: run before the hooks registered so far.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: run also when forward raised.
        """
        handle = _register(
            self._forward_hooks,
            hook,
            self._forward_hooks_with_kwargs,
            self._forward_hooks_always_called,
            prepend=prepend,
        )
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def _get_backward_hooks(self):
        """Return (full, non-full) backward hooks, the global ones first."""
        full, plain = [], []
        if _global_hooks._global_is_full_backward_hook is not None:
            (full if _global_hooks._global_is_full_backward_hook else plain).extend(_global_backward_hooks.values())
        if self._is_full_backward_hook is not None:
            (full if self._is_full_backward_hook else plain).extend(self._backward_hooks.values())
        return full, plain

    def _get_backward_pre_hooks(self):
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]

    # ---- the call -----------------------------------------------------------------------------

    __call__ = _call_impl = _wrapped_call_impl = call      # compiled, below by slot; no base class, which would forbid mixins before Module

    def compile(self, *args, **kwargs):
        """Do nothing yet: calls run eagerly. Kept so that programs that compile in place run."""

    def _call_with_hooks(self, args, kwargs):
        called = set()  # ids of the always_call hooks that ran
        state = [args, kwargs, None]
        try:
            return self._run_hooked(state, called)
        except Exception:
            args, kwargs, result = state
            for group, flags, keyword_flags, whose in (
                (
                    _global_forward_hooks,
                    _global_forward_hooks_always_called,
                    _global_forward_hooks_with_kwargs,
                    "global module",
                ),
                (
                    self._forward_hooks,
                    self._forward_hooks_always_called,
                    self._forward_hooks_with_kwargs,
                    "module",
                ),
            ):
                for key, hook in group.items():
                    if key not in flags or key in called:
                        continue
                    try:
                        out = hook(self, args, kwargs, result) if key in keyword_flags else hook(self, args, result)
                        if out is not None:
                            result = out
                    except Exception as error:
                        _warn(
                            f"{whose} forward hook with ``always_call=True`` raised an exception "
                            f"that was silenced as another error was raised in forward: {error}"
                        )
            raise

    def _run_hooked(self, state, called):
        args, kwargs, result = state
        full, plain = self._get_backward_hooks()
        pre = self._get_backward_pre_hooks()

        with_kwargs = self._forward_pre_hooks_with_kwargs
        for key, hook in (*_global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
            if key in with_kwargs:
                out = hook(self, args, kwargs)
                if out is not None:
                    if not (isinstance(out, tuple) and len(out) == 2):
                        raise TensorError(
                            f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {out}."
                        )
                    args, kwargs = out
            else:
                out = hook(self, args)
                if out is not None:
                    args = out if isinstance(out, tuple) else (out,)
            state[0], state[1] = args, kwargs

        around = None
        if full or pre:
            from .._backward_hooks import BackwardHook

            around = BackwardHook(self, full, pre)
            args = around.wrap_inputs(args)

        state[2] = result = self.forward(*args, **kwargs)

        for key, hook in (*_global_forward_hooks.items(), *self._forward_hooks.items()):
            if key in self._forward_hooks_always_called or key in _global_forward_hooks_always_called:
                called.add(key)
            if key in self._forward_hooks_with_kwargs or key in _global_forward_hooks_with_kwargs:
                out = hook(self, args, kwargs, result)
            else:
                out = hook(self, args, result)
            if out is not None:
                state[2] = result = out

        if around is not None:
            if not isinstance(result, (Tensor, tuple)):
                _warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                    f"but received {type(result)}"
                )
            result = around.wrap_outputs(result)
        if plain:
            self._hook_last_node(plain, result)
        return result

    def _hook_last_node(self, hooks, result):
        """Register the older backward hooks on the node that made the (first) output."""
        while not isinstance(result, Tensor):
            if isinstance(result, dict):
                result = next(v for v in result.values() if isinstance(v, Tensor))
            else:
                result = result[0]
        if result.grad_fn is not None:
            for hook in hooks:
                result.grad_fn.register_hook(_BoundHook(hook, self))

    # ---- attributes ----------------------------------------------------------------------------

    def _bind_members(self, name, value):
        """Make ``value`` the member dictionary ``name``. See Note [Members]."""
        old = self.__dict__.get(name)
        if old is value:
            return
        if type(old) is Members:
            old.detach(self)
        if type(value) is not Members:
            value = Members(value)
        self.__dict__[name] = value
        value.attach(self)

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        for name in _MEMBER_DICTS:
            members = state.get(name)
            if members:
                for key, value in members.items():
                    if key in state and state[key] is value:
                        del state[key]
        return state

    def __deepcopy__(self, memo):
        # As copy.deepcopy copies any object; but a module's many empty dictionaries are made anew, not taken apart.
        kind = type(self)
        if kind in dispatch_table or kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__:
            how = dispatch_table[kind](self) if kind in dispatch_table else self.__reduce_ex__(4)
            return self if isinstance(how, str) else _reconstruct(self, memo, *how)
        made = memo[id(self)] = kind.__new__(kind)
        state = self.__getstate__()
        made.__setstate__({name: _copied(value, memo) for name, value in state.items()} if type(state) is dict else deepcopy(state, memo))
        return made

    def __copy__(self):
        # As copy.copy copies any object, by __getstate__ and __setstate__ where a class has its own; the others need not have mirrored
        # entries taken out and put back.
        kind = type(self)
        if kind in dispatch_table or (kind.__getstate__, kind.__setstate__) != _STATE or \
                kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__:
            how = dispatch_table[kind](self) if kind in dispatch_table else self.__reduce_ex__(4)
            return self if isinstance(how, str) else _reconstruct(self, None, *how)
        made = kind.__new__(kind)
        own = made.__dict__
        own.update(self.__dict__)
        own.pop("_compiled_call_impl", None)
        owner = ref(made)
        for name in _MEMBER_DICTS:
            own[name].share(owner)
        return made

    def __setstate__(self, state):
        own = self.__dict__
        own.update(state)
        for name in _HOOK_DICTS:
            if name not in own:
                own[name] = OrderedDict()
        own.setdefault("_non_persistent_buffers_set", set())
        own.setdefault("_is_full_backward_hook", None)
        for name in _MEMBER_DICTS:
            members = own.get(name)
            if type(members) is not Members:
                own[name] = members = Members(members or ())
            members.attach(self)

    def __getattr__(self, name):
        # Reached only where the mirror of Note [Members] has no entry.
        own = self.__dict__
        for group in _MEMBER_DICTS:
            members = own.get(group)
            if members is not None and name in members:
                return members[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)

    def __setattr__(self, name, value):
        own = self.__dict__
        params = own.get("_parameters")
        if (type(value) in _PLAIN and params is not None and name not in params and name not in own["_modules"]
                and name not in own["_buffers"] and name not in _SPECIAL_NAMES):
            super().__setattr__(name, value)
            return
        if isinstance(value, Parameter):
            if params is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            if name not in params:
                own.pop(name, None)
                self._buffers.pop(name, None)
                self._modules.pop(name, None)
                self._non_persistent_buffers_set.discard(name)
            self.register_parameter(name, value)
            return
        if params is None:
            if isinstance(value, Module):
                raise AttributeError("cannot assign module before Module.__init__() call")
            if isinstance(value, Buffer):
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            if name in _SPECIAL_NAMES:
                self._set_special(name, value)
            else:
                super().__setattr__(name, value)
            return
        if name in params:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
            return
        modules = own["_modules"]
        if isinstance(value, Module):
            if name not in modules:
                own.pop(name, None)
                self._buffers.pop(name, None)
                self._non_persistent_buffers_set.discard(name)
            self._set_module(modules, name, value)
        elif name in modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            self._set_module(modules, name, None)
        elif name in own["_buffers"] or isinstance(value, Buffer):
            self._set_buffer(name, value)
        elif name in _SPECIAL_NAMES:
            self._set_special(name, value)
        else:
            super().__setattr__(name, value)

    def _set_special(self, name, value):
        """Replace a member dictionary, or the whole ``__dict__``. See Note [Members]."""
        if name != "__dict__":
            self._bind_members(name, value)
            return
        object.__setattr__(self, name, value)
        for group in _MEMBER_DICTS:
            members = value.get(group)
            if members is not None:
                # Another module's dictionaries: shared from now on, mirrored here too.
                if type(members) is not Members:
                    value[group] = members = Members(members)
                members.attach(self)

    def _set_buffer(self, name, value):
        """Assign to an existing buffer, or register a ``Buffer`` object."""
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        if name not in self._buffers:
            self.__dict__.pop(name, None)
        if persistent:
            # Subclasses may override register_buffer without the persistent argument.
            self.register_buffer(name, value)
        else:
            self.register_buffer(name, value, False)

    def __delattr__(self, name):
        own = self.__dict__
        for group in _MEMBER_DICTS:
            members = own.get(group)
            if members is not None and name in members:
                del members[name]
                if group == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    # ---- iteration -----------------------------------------------------------------------------

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for name, value in get_members_fn(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield (module_prefix + "." + name if module_prefix else name), value

    def parameters(self, recurse=True):
        """Iterate over the parameters, each once; with ``recurse``, of all submodules too."""
        found = all_parameters(self, _WALK) if recurse else None
        if found is None:
            found = (param for _, param in self.named_parameters(recurse=recurse))
        yield from found

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Iterate over (dotted name, parameter)."""
        found = all_named_parameters(self, _WALK, prefix) if recurse and remove_duplicate else None
        if found is not None:
            yield from found
            return
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix=prefix, recurse=recurse, remove_duplicate=remove_duplicate
        )

    def buffers(self, recurse=True):
        """Iterate over the buffers, each once; with ``recurse``, of all submodules too."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Iterate over (dotted name, buffer)."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix=prefix, recurse=recurse, remove_duplicate=remove_duplicate
        )

    def children(self):
        """Iterate over the direct child modules, each once."""
        if type(self).named_children is not Module.named_children:
            for _, module in self.named_children():
                yield module
            return
        seen = set()
        for module in self._modules.values():
            if module is not None and module not in seen:
                seen.add(module)
                yield module

    def named_children(self):
        """Iterate over (name, direct child module)."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate=True):
        """Iterate over this module and all below it, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Iterate over (dotted name, module), this module first under its prefix."""
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is None:
                continue
            path = prefix + "." + name if prefix else name
            if module._modules or type(module).named_modules is not Module.named_modules:
                yield from module.named_modules(memo, path, remove_duplicate)
            elif module not in memo:      # most modules have none below them: no generator for each
                if remove_duplicate:
                    memo.add(module)
                yield path, module
                for below, child in module._modules.items():      # it may have been given some just now
                    if child is not None:
                        yield from child.named_modules(memo, f"{path}.{below}", remove_duplicate)

    # ---- modes ---------------------------------------------------------------------------------

    def train(self, mode=True):
        """Switch this module and all below it to training (or evaluation) mode; return self."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        if not set_training(self, mode, _TRAIN):
            self.training = mode
            for module in self.children():
                module.train(mode)
        return self

    def eval(self):
        """Switch to evaluation mode; return self."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Set whether the parameters collect gradients; return self."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Drop the parameters' gradients, or fill them with zeros."""
        for param in self.parameters():
            grad = param.grad
            if grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def share_memory(self):
        """Move parameters and buffers to memory that other processes can see; return self."""
        return self._apply(lambda t: t.share_memory_())

    # ---- text ----------------------------------------------------------------------------------

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """Return what stands between the parentheses of the repr, before the children."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        n_extra = len(lines)
        for name, module in self._modules.items():
            lines.append(f"({name}): " + _addindent(repr(module), 2))
        name = self._get_name()
        if not lines:
            return name + "()"
        if len(lines) == n_extra == 1:
            return f"{name}({lines[0]})"
        return name + "(\n  " + "\n  ".join(lines) + "\n)"

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def _replicate_for_data_parallel(self):
        """Make a shallow copy with member dictionaries of its own, without parameters."""
        replica = self.__new__(type(self))
        replica.__dict__.update(self.__getstate__())
        replica.__dict__["_parameters"] = Members()
        replica.__dict__["_buffers"] = Members(self._buffers)
        replica.__dict__["_modules"] = Members(self._modules)
        for name in _MEMBER_DICTS:
            replica.__dict__[name].attach(replica)
        replica._is_replica = True
        return replica


answer_calls(Module)
_STATE = (Module.__getstate__, Module.__setstate__)
_WALK = (Module.named_parameters, Module._named_members, Module.named_modules)
_TRAIN = (Module.train, Module.children, Module.named_children, Module.__setattr__, object.__getattribute__)
