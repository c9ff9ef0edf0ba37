"""Modules that run a graph (``torch.fx.graph_module``)."""
import copy
import itertools
import linecache
import os

from ..nn import Module, Parameter
from ..tensor import Tensor
from .graph import Graph, PythonCode

__all__ = ["GraphModule", "reduce_graph_module"]

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"
_counter = itertools.count()


def _compile(code):
    """Return the forward that a PythonCode defines; its lines show in tracebacks."""
    name = f"<eval_with_key>.{next(_counter)}"
    space = dict(code.globals)
    linecache.cache[name] = len(code.src), None, code.src.splitlines(True), name
    exec(compile(code.src, name, "exec"), space)
    return space["forward"]


def _copy_attr(from_module, to_module, target):
    """Put the attribute at a dotted path of one module into another; the modules on the way are made."""
    *path, name = target.split(".")
    for part in path:
        f, t = getattr(from_module, part), getattr(to_module, part, None)
        if f is t:
            return
        if t is None:
            t = Module()
            setattr(to_module, part, t)
        from_module, to_module = f, t
    value = getattr(from_module, name)
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        to_module.register_buffer(name, value)
    else:
        setattr(to_module, name, value)


def _assign_attr(value, to_module, target):
    """Put a value at a dotted path of a module; the modules on the way are made."""
    *path, name = target.split(".")
    for part in path:
        t = getattr(to_module, part, None)
        if t is None:
            t = Module()
            setattr(to_module, part, t)
        to_module = t
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        to_module.register_buffer(name, value)
    else:
        setattr(to_module, name, value)


class _CodeOnlyModule(Module):
    """What is left of a GraphModule in a pickle: its members and its code."""

    def __init__(self, body):
        super().__init__()
        self.__setstate__(body)                           # members are found in the module's own dictionary again: tracing sees their uses there


def reduce_graph_module(body, code, names):
    """Make a GraphModule again from a pickle: its code is traced anew.

    Args:
        body: the dict of the module.
        code: text of its forward.
        names: dict from the code's globals to what they are.
    """
    from ._symbolic_trace import Tracer

    class KeepModules(Tracer):
        def is_leaf_module(self, m, module_qualified_name):
            return True
    kept = _CodeOnlyModule({k: v for k, v in body.items() if k not in ("_graphmodule_cls_name",)})
    _CodeOnlyModule.forward = _compile(PythonCode(code, names))
    try:
        graph = KeepModules().trace(kept)
    finally:
        del _CodeOnlyModule.forward
    made = GraphModule(kept, graph, class_name=body.get("_graphmodule_cls_name", "GraphModule"))
    for key, value in body.items():
        if key not in made.__dict__:
            made.__dict__[key] = value
    made.training = kept.training
    return made


class GraphModule(Module):
    """A module whose forward is the code of a graph; after a change of the graph call :meth:`recompile`.

    Args:
        root: a module that has what the graph names, or a dict from dotted paths to that.
        graph: the graph.
        class_name: how the class is printed.

    Example:
        >>> traced = rustorch_py.fx.symbolic_trace(rustorch_py.nn.Sequential(rustorch_py.nn.ReLU()))
        >>> print(traced.code.strip())
        def forward(self, input):
            input_1 = input
            _0 = getattr(self, "0")(input_1);  input_1 = None
            return _0
    """

    def __new__(cls, *args, **kwargs):
        # each has a class of its own, whose forward its code is
        base = next(c for c in cls.__mro__ if "_own_of_one" not in c.__dict__)
        made = type(base.__name__, (base,), {"_own_of_one": True, "__module__": base.__module__, "__doc__": base.__doc__})
        return Module.__new__(made)

    def __init__(self, root, graph, class_name="GraphModule"):
        super().__init__()
        type(self).__name__ = class_name
        if isinstance(root, Module):
            if hasattr(root, "training"):
                self.training = root.training
            for key in ("meta", _USER_PRESERVED_ATTRIBUTES_KEY):
                if isinstance(getattr(root, key, None), dict):
                    self.__dict__[key] = dict(getattr(root, key))
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module"):
                    _copy_attr(root, self, node.target)
        elif isinstance(root, dict):
            wanted = [node.target for node in graph.nodes if node.op in ("get_attr", "call_module")]
            for target in wanted:
                if target not in root:
                    raise RuntimeError(f"GraphModule: the graph names {target!r}, which was not given in the dict root")
            for target in sorted(set(wanted), key=lambda t: t.count(".")):
                _assign_attr(root[target], self, target)
        else:
            raise RuntimeError(f"Unsupported type {type(root)} passed for root!")
        self.__dict__.setdefault("meta", {})
        self.graph = graph

    @property
    def graph(self):
        """The graph; assigning another recompiles."""
        return self._graph

    @graph.setter
    def graph(self, g):
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g)}")
        if g.owning_module is not None and g.owning_module is not self:
            g = copy.deepcopy(g)
        g.owning_module = self
        self.__dict__["_graph"] = g
        self.recompile()

    @property
    def code(self):
        """The Python code of forward."""
        return self.__dict__["_code"]

    def recompile(self):
        """Print the graph's code and make it forward; returns the PythonCode."""
        code = self._graph.python_code("self")
        self.__dict__["_code"], self.__dict__["_globals"] = code.src, code.globals
        type(self).forward = _compile(code)
        return code

    # ---- members ----
    def add_submodule(self, target, m):
        """Put a module at a dotted path; modules on the way are made. Returns whether that could be done."""
        *path, name = target.split(".")
        at = self
        for part in path:
            if not hasattr(at, part):
                at.add_module(part, Module())
            at = getattr(at, part)
            if not isinstance(at, Module):
                return False
        at.add_module(name, m)
        return True

    def delete_submodule(self, target):
        """Remove the module at a dotted path; returns whether there was one."""
        *path, name = target.split(".")
        at = self
        for part in path:
            at = getattr(at, part, None)
            if not isinstance(at, Module):
                return False
        if not isinstance(getattr(at, name, None), Module):
            return False
        delattr(at, name)
        return True

    def delete_all_unused_submodules(self):
        """Remove the modules that no node of the graph needs."""
        used = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used.update(".".join(parts[:i + 1]) for i in range(len(parts)))
                if node.op == "call_module":
                    found = self.get_submodule(node.target)
                    used.update(f"{node.target}.{inner}" for inner, _ in found.named_modules() if inner)
        for name in [name for name, _ in self.named_modules() if name and name not in used]:
            self.delete_submodule(name)

    def to_folder(self, folder, module_name="FxModule"):
        """Write the code and the state to a folder, which then is a package with the class.

        Args:
            folder: path; made where it is missing.
            module_name: name of the class.
        """
        from ..utils.atomic import atomic_write
        from ..utils.serialization import save
        os.makedirs(folder, exist_ok=True)
        root = __name__.partition(".")[0]
        lines = [f"import {root} as torch", f"from {root} import device, nn", "from math import inf, nan", "NoneType = type(None)", "", "", f"class {module_name}(torch.nn.Module):",
                 "    def __init__(self):", "        super().__init__()"]
        here = "torch.load(__file__.rpartition('/')[0] + "
        for name, module in self.named_children():
            save(module, os.path.join(folder, f"{name}.pt"))
            lines.append(f"        self.add_module({name!r}, {here}{'/' + name + '.pt'!r}, weights_only=False))")
        for name, value in self._parameters.items():
            lines.append(f"        self.register_parameter({name!r}, None)" if value is None else
                         f"        self.{name} = torch.nn.Parameter(torch.empty({list(value.shape)}, dtype={value.dtype}))")
        for name, value in self._buffers.items():
            lines.append(f"        self.register_buffer({name!r}, {'None' if value is None else f'torch.empty({list(value.shape)}, dtype={value.dtype})'})")
        save(self.state_dict(), os.path.join(folder, "state_dict.pt"))
        lines.append(f"        self.load_state_dict({here}'/state_dict.pt'))")
        lines += ["    " + line if line.strip() else "" for line in self.code.strip().split("\n")]
        foreign = {k: v for k, v in self._globals.items() if k not in ("torch", "device", "inf", "nan", "NoneType")}
        imports = [f"from {v.__module__} import {v.__qualname__} as {k}" for k, v in foreign.items()]

        def put(path, text):
            with atomic_write(path, "w", encoding="utf-8") as stream:
                stream.write(text)
        put(os.path.join(folder, "module.py"), "\n".join(imports + lines) + "\n")
        put(os.path.join(folder, "__init__.py"), f"from .module import {module_name}\n")

    def print_readable(self, print_output=True, **options):
        """Print the module as a class with its forward; returns the text."""
        body = self.code.strip("\n ").replace("\n", "\n    ")
        text = f"class {type(self).__name__}(torch.nn.Module):\n    {body}\n"
        for name, child in self.named_children():
            if isinstance(child, GraphModule):
                text += "\n    " + child.print_readable(False).rstrip("\n").replace("\n", "\n    ").replace(type(child).__name__, name, 1) + "\n"
        if print_output:
            print(text)
        return text

    # ---- copies ----
    def __deepcopy__(self, memo):
        fake = Module()
        memo[id(self)] = None
        fake.__dict__.update(copy.deepcopy({k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code", "_globals")}, memo))
        graph = copy.deepcopy(self._graph, {})
        return self._again(fake, graph, memo)

    def __copy__(self):
        fake = Module()
        fake.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code", "_globals")})
        return self._again(fake, copy.deepcopy(self._graph, {}), None)

    def _again(self, fake, graph, memo):
        made = GraphModule.__new__(type(self))
        if memo is not None:
            memo[id(self)] = made
        GraphModule.__init__(made, fake, graph)
        for key, value in fake.__dict__.items():
            if key not in made.__dict__ or key.endswith("_hooks") or key in ("meta", "training"):
                made.__dict__[key] = value
        return made

    def __reduce__(self):
        body = {k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code", "_globals", "_compiled_call_impl")}
        body = Module.__getstate__(self) if hasattr(Module, "__getstate__") else body
        body = {k: v for k, v in body.items() if k not in ("_graph", "_code", "_globals")}
        body["_graphmodule_cls_name"] = type(self).__name__
        return reduce_graph_module, (body, self._code, {k: v for k, v in self._globals.items() if k != "torch"})

    def __str__(self):
        return "\n".join((Module.__repr__(self), self.code, "# To see more debug info, please use `graph_module.print_readable()`"))
