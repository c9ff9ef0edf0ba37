"""Tracing: a program is run once on proxies, and what it does with them becomes a graph (``torch.fx.symbolic_trace``)."""
import builtins
import functools
import inspect
import math
import types
import warnings

from ..nn import Module, Parameter, Sequential
from ..tensor import Tensor
from .graph import Graph
from .graph_module import GraphModule
from .proxy import ParameterProxy, Proxy, TracerBase

__all__ = ["Tracer", "symbolic_trace", "wrap", "is_fx_tracing"]

_NN = Module.__module__.rpartition(".modules")[0]         # rustorch_py.nn
_wrapped = []                                             # (globals of a module, name) of functions that are not traced into
_tracing = 0
_module_call = Module.__call__                            # a trace within another's call_module must not enter that


def is_fx_tracing():
    """Tell whether a program is being traced."""
    return _tracing > 0


class _Patcher:
    """Changes names while a program is traced, and puts them back."""

    def __init__(self):
        self.undo, self.seen = [], set()

    def put(self, space, name, value):
        self.undo.append((space, name, space.get(name), name in space))
        space[name] = value

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for space, name, value, was in reversed(self.undo):
            if was:
                space[name] = value
            else:
                del space[name]
        self.undo.clear()


def _find_proxy(*values):
    for value in values:
        if isinstance(value, Proxy):
            return value
        if isinstance(value, (list, tuple)):
            found = _find_proxy(*value)
        elif isinstance(value, dict):
            found = _find_proxy(*value.values())
        elif isinstance(value, slice):
            found = _find_proxy(value.start, value.stop, value.step)
        else:
            found = None
        if found is not None:
            return found
    return None


def _leaf(fn):
    """fn that becomes a node where it is given a traced value."""
    @functools.wraps(fn)
    def wrapped(*args, **kwargs):
        proxy = _find_proxy(args, kwargs)
        if proxy is None:
            return fn(*args, **kwargs)
        made = proxy.tracer.create_proxy("call_function", fn, args, kwargs)
        made.node.meta["is_wrapped"] = True
        return made
    wrapped._fx_leaf = True
    return wrapped


def wrap(fn_or_name):
    """Do not trace into a function: its calls become nodes. At the top of a module, by name or as a decorator.

    Args:
        fn_or_name: a function of the module, or a name in it, such as ``"len"``.
    Returns:
        the argument.

    Example:
        >>> def half(x): return x / 2
        >>> wrap("half")
        'half'
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = inspect.currentframe().f_back
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped.append((frame.f_globals, name))
    return fn_or_name


class Tracer(TracerBase):
    """Run programs on proxies.

    A subclass says what is a leaf (:meth:`is_leaf_module`), what a call of a module does (:meth:`call_module`), how values are
    made (``create_proxy``, ``create_arg``, ``proxy``).

    Args:
        autowrap_modules: modules whose functions are not traced into.
        autowrap_functions: functions that are not traced into.
        param_shapes_constant: shapes and sizes of parameters are numbers, not nodes.
    """

    def __init__(self, autowrap_modules=(math,), autowrap_functions=(), param_shapes_constant=False):
        super().__init__()
        self._leaves = {id(fn): fn for module in autowrap_modules for name, fn in module.__dict__.items() if not name.startswith("_") and callable(fn)}
        self._leaves.update({id(fn): fn for fn in autowrap_functions})
        self._spaces = [module.__dict__ for module in autowrap_modules]
        self.param_shapes_constant = param_shapes_constant
        self.root = self.graph = None
        self.submodule_paths = None
        self.tensor_attrs = {}
        self.node_to_originating_module = {}
        self.module_stack = {}

    # ---- what subclasses change ----
    def is_leaf_module(self, m, module_qualified_name):
        """Tell whether calls of a module become nodes: by default those of ``torch.nn``, but for Sequential."""
        name = type(m).__module__
        return (name == _NN or name.startswith(_NN + ".")) and not isinstance(m, Sequential)

    def path_of_module(self, mod):
        """Return the name of a module below the root. Raises NameError."""
        if self.submodule_paths is not None:
            path = self.submodule_paths.get(mod)
        else:
            path = next((name for name, m in self.root.named_modules() if m is mod), None)
        if path is None:
            raise NameError(f"module {mod} is not installed as a submodule")
        return path

    def call_module(self, m, forward, args, kwargs):
        """Called for each call of a module: a node for a leaf, else the call itself.

        Args:
            m: the module.
            forward: makes the call.
        """
        path = self.path_of_module(m)
        self.module_stack[path] = (path, type(m))
        try:
            if self.is_leaf_module(m, path):
                return self.create_proxy("call_module", path, args, kwargs)
            return forward(*args, **kwargs)
        finally:
            self.module_stack.pop(path, None)

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        if self.module_stack:
            node.meta["nn_module_stack"] = dict(self.module_stack)
        return node

    def get_fresh_qualname(self, prefix):
        """Return an attribute's name that the root does not have: prefix and a number."""
        i = 0
        while hasattr(self.root, f"{prefix}{i}"):
            i += 1
        return f"{prefix}{i}"

    def create_arg(self, a):
        """Return a value as an argument; parameters, buffers and other tensors become attributes of the root."""
        if isinstance(a, Parameter):
            for name, p in self.root.named_parameters():
                if a is p:
                    return self.create_node("get_attr", name, (), {})
            return self._constant("_param_constant", a)
        if isinstance(a, Tensor):
            for name, b in self.root.named_buffers():
                if a is b:
                    return self.create_node("get_attr", name, (), {})
            return self._constant("_tensor_constant", a)
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super().create_arg(a)

    def _constant(self, prefix, value):
        name = self.tensor_attrs.get(value)
        if name is None:
            name = self.tensor_attrs[value] = self.get_fresh_qualname(prefix)
            setattr(self.root, name, value)
        return self.create_node("get_attr", name, (), {})

    # ---- tracing ----
    def trace(self, root, concrete_args=None):
        """Run root on proxies; returns the Graph.

        Args:
            root: a module or a function.
            concrete_args: dict from names of arguments to the numbers, strings or None that they are traced for.
        """
        global _tracing
        if isinstance(root, Module):
            self.root = root
            fn = type(root).forward
            self.root_module_name = type(root).__name__
            self.submodule_paths = {}
            for name, m in root.named_modules():
                self.submodule_paths.setdefault(m, name)
            if root.__dict__.get("forward") is not None:
                inner = root.__dict__["forward"]

                def fn(self, *args, **kwargs):
                    return inner(*args, **kwargs)
                functools.update_wrapper(fn, inner)
        else:
            self.root = Module()
            fn = root
        self.graph = Graph(tracer_cls=type(self))
        self.tensor_attrs = {value: name for module in ([root] if isinstance(root, Module) else []) for name, value in self._plain_tensors(module)}
        if not isinstance(fn, types.FunctionType):
            raise AssertionError(f"trace: expected a module or a function of Python, got {type(root).__name__}")
        space = fn.__globals__
        fn, args = self.create_args_for_root(fn, isinstance(root, Module), concrete_args)
        before = {name: Module.__dict__.get(name) for name in ("__call__", "__getattribute__")}      # another tracer's, where its call_module traces
        tracer = self

        def call(mod, *args, **kwargs):
            def forward(*args, **kwargs):
                return _module_call(mod, *args, **kwargs)
            tracer._wrap_in(patcher, getattr(getattr(mod, "forward", mod), "__globals__", {}))
            return tracer.call_module(mod, forward, args, kwargs)

        def attribute(mod, name):
            value = object.__getattribute__(mod, name)
            return tracer._traced_attribute(value, proxies) if isinstance(value, Tensor) else value
        proxies = {}                                      # path of a parameter -> its proxy: one node for all its uses
        _tracing += 1
        try:
            with _Patcher() as patcher:
                Module.__call__ = call
                Module.__getattribute__ = attribute       # parameters are in the module's own dictionary
                for names, name in _wrapped:
                    value = names.get(name, getattr(builtins, name, None))
                    if value is not None and not hasattr(value, "_fx_leaf"):
                        patcher.put(names, name, _leaf(value))
                self._wrap_in(patcher, space)
                for names in self._spaces:
                    self._wrap_in(patcher, names)
                self.create_node("output", "output", (self.create_arg(fn(*args)),), {}, type_expr=getattr(fn, "__annotations__", {}).get("return"))
        finally:
            _tracing -= 1
            for name, slot in before.items():
                if slot is not None:
                    setattr(Module, name, slot)           # the slot's own descriptor: calls are as fast as before
                elif name in Module.__dict__:
                    delattr(Module, name)
        self.submodule_paths = None
        return self.graph

    def _traced_attribute(self, value, proxies):
        """A parameter, or a buffer where the tracer asks for them, as a value of the program: else what is computed of it alone is no part of the graph."""
        if isinstance(value, Parameter):
            named = self.root.named_parameters()
        elif self.proxy_buffer_attributes:
            named = self.root.named_buffers()
        else:
            return value
        name = next((name for name, p in named if p is value), None)
        if name is None:
            return value
        if name not in proxies:
            factory = (lambda node: ParameterProxy(self, node, name, value)) if self.param_shapes_constant and isinstance(value, Parameter) else None
            proxies[name] = self.create_proxy("get_attr", name, (), {}, proxy_factory_fn=factory)
        return proxies[name]

    @staticmethod
    def _plain_tensors(module):
        """(path, tensor) of tensors that are attributes, but neither parameters nor buffers."""
        for prefix, m in module.named_modules():
            for name, value in m.__dict__.items():
                if isinstance(value, Tensor) and name not in m._parameters and name not in m._buffers:
                    yield f"{prefix}.{name}" if prefix else name, value

    def _wrap_in(self, patcher, space):
        if self._leaves and id(space) not in patcher.seen:
            patcher.seen.add(id(space))
            for name, value in list(space.items()):
                if not name.startswith("_") and id(value) in self._leaves and callable(value):
                    patcher.put(space, name, _leaf(value))

    def create_args_for_root(self, root_fn, is_module, concrete_args=None):
        """Return the function and its arguments: the module, if it is one's, and a placeholder for each."""
        analysed = inspect.unwrap(root_fn)
        code = analysed.__code__
        total = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames)
        signature = inspect.signature(analysed)
        args, at = [], 0
        if is_module:
            if total == 0:
                raise RuntimeError("``self`` argument cannot be part of *args expansion!")
            args.append(self.root)
            at = 1
        given = dict(concrete_args or {}) if not isinstance(concrete_args, tuple) else dict(zip(names[at:total], concrete_args))
        for name in given:
            if name not in names[at:total]:
                raise RuntimeError(f"concrete_args: {getattr(analysed, '__qualname__', analysed)} has no argument {name!r}")

        def placeholder(name):
            parameter = signature.parameters.get(name)
            default = () if parameter is None or parameter.default is inspect.Parameter.empty else (parameter.default,)
            if name not in given:
                return self.create_proxy("placeholder", name, default if name[0] != "*" else (), {}, type_expr=analysed.__annotations__.get(name))
            value = given[name]
            if isinstance(value, (list, tuple, dict)):
                raise NotImplementedError(f"concrete_args: {name!r} is a {type(value).__name__}; give its traced parts as arguments of their own")
            out = self.create_proxy("placeholder", f"{name}_1", default, {})
            if isinstance(value, Tensor) or not isinstance(value, (bool, int, float, complex, str, type(None))):
                warnings.warn(f"Was not able to add assertion to guarantee correct input {name} to specialized function. It is up to the user to make sure that "
                              "your inputs match the inputs you specialized the function with.", stacklevel=3)
            else:
                import operator
                from .._more import _assert
                same = self.create_proxy("call_function", operator.is_ if value is None else operator.eq, (out, value), {})
                self.create_proxy("call_function", _assert, (same, f"{name} has been specialized to have value {value} but got another value"), {})
            return value
        args += [placeholder(name) for name in names[at:total]]
        more = total
        if code.co_flags & inspect.CO_VARARGS:
            args.append(placeholder("*" + names[more]))
            more += 1
        if code.co_flags & inspect.CO_VARKEYWORDS:
            args.append(placeholder("**" + names[more]))
            more += 1
        if root_fn is analysed and (code.co_kwonlyargcount or more > total):
            plain = code.replace(co_argcount=more, co_kwonlyargcount=0, co_posonlyargcount=0, co_flags=code.co_flags & ~(inspect.CO_VARARGS | inspect.CO_VARKEYWORDS))
            made = types.FunctionType(plain, root_fn.__globals__, root_fn.__name__, None, root_fn.__closure__)
            made.__annotations__ = root_fn.__annotations__
            return made, args
        return root_fn, args


def symbolic_trace(root, concrete_args=None):
    """Trace a module or a function; returns a GraphModule that does the same.

    Args:
        root: the module or function. Modules of ``torch.nn`` become nodes, others are traced into.
        concrete_args: dict from names of arguments to the values that they are traced for (flags that decide what the program does).

    Raises:
        TraceError: what the program does depends on the elements of a tensor.

    Example:
        >>> def twice(x): return x + x
        >>> traced = symbolic_trace(twice)
        >>> traced(rustorch_py.ones(2))
        tensor([2., 2.])
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
