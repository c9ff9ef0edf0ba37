"""Graphs of calls (``torch.fx.graph``) and the Python code that they print."""
import builtins
import contextlib
import copy
import keyword
import math
import re
import types
from dataclasses import dataclass, field

from ._names import public_name, qualified_name, type_text
from .node import Node, map_arg

__all__ = ["Graph", "PythonCode", "CodeGen"]

_NOT_LETTERS = re.compile("[^0-9a-zA-Z_]+")
_SUFFIX = re.compile(r"(.*)_(\d+)$")

_SWAPPED = {"add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "floordiv": "{} // {}", "truediv": "{} / {}", "mod": "{} % {}", "pow": "{} ** {}", "lshift": "{} << {}",
            "rshift": "{} >> {}", "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}", "getitem": "{}[{}]", "matmul": "{} @ {}"}
magic_methods = {"eq": "{} == {}", "ne": "{} != {}", "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}", "ge": "{} >= {}", "pos": "+{}", "neg": "-{}", "invert": "~{}",
                 **_SWAPPED}
inplace_methods = {"iadd": "{} += {}", "iand": "{} &= {}", "ifloordiv": "{} //= {}", "ilshift": "{} <<= {}", "imod": "{} %= {}", "imul": "{} *= {}",
                   "imatmul": "{} @= {}", "ior": "{} |= {}", "ipow": "{} **= {}", "irshift": "{} >>= {}", "isub": "{} -= {}", "itruediv": "{} /= {}", "ixor": "{} ^= {}",
                   "setitem": "{}[{}] = {}"}
reflectable_magic_methods = _SWAPPED


def _custom_builtins():
    """What text of arguments may name besides Python's own words."""
    from importlib import import_module
    torch = import_module(__name__.partition(".")[0])
    return {"inf": math.inf, "nan": math.nan, "NoneType": type(None), "torch": torch, "device": torch.device}


class _Namespace:
    """Names that are unique and none of Python's."""

    def __init__(self):
        self.used, self.counts, self.names = set(), {}, {}
        self._taken = frozenset(("inf", "nan", "NoneType", "torch", "device"))

    def create_name(self, candidate, obj):
        """Return candidate, made a name of Python and numbered where it is taken; obj keeps the name it was given."""
        if obj is not None and id(obj) in self.names:
            return self.names[id(obj)][0]
        candidate = _NOT_LETTERS.sub("_", candidate) or "_unnamed"
        if candidate[0].isdigit():
            candidate = "_" + candidate
        match = _SUFFIX.match(candidate)
        base, number = (candidate, None) if match is None else (match.group(1), int(match.group(2)))
        candidate = base if number is None else f"{base}_{number}"
        number = number or self.counts.get(base, 0)
        while candidate in self.used or self._refused(candidate, obj):
            number += 1
            candidate = f"{base}_{number}"
        self.used.add(candidate)
        self.counts[base] = number
        if obj is not None:
            self.names[id(obj)] = candidate, obj
        return candidate

    def _refused(self, name, obj):
        if keyword.iskeyword(name):
            return True
        if name in builtins.__dict__:
            return obj is None or obj is not builtins.__dict__[name]
        return name in self._taken

    def rename(self, obj, name):
        """Give a node another name."""
        self.names[id(obj)] = name, obj
        self.used.add(name)


def _snake_case(text):
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", text).lower()


def _path(root, target):
    """``self.a.b``, or with getattr where a part is no name of Python."""
    out = root
    for part in target.split("."):
        out = f"{out}.{part}" if part.isidentifier() else f'getattr({out}, "{part}")'
    return out


@dataclass
class PythonCode:
    """Code of a graph: its text and the globals that the text reads."""
    src: str
    globals: dict
    _lineno_map: dict = field(default_factory=dict)


class CodeGen:
    """Print a graph as a function; a subclass may change how arguments come in and results go out."""

    def gen_fn_def(self, free_vars, maybe_return_annotation):
        """Return the line of the def."""
        if not free_vars or free_vars[0] != "self":
            free_vars = ["self", *free_vars]
        return f"def forward({', '.join(free_vars)}){maybe_return_annotation}:"

    def generate_output(self, output_args):
        """Return the line of the return."""
        return f"return {output_args!r}"

    def process_inputs(self, *args):
        return args

    def process_outputs(self, outputs):
        return outputs

    def additional_globals(self):
        """Return a list of (name, value) that the text reads besides."""
        return []

    def generate(self, nodes, root_module, namespace):
        """Return the PythonCode of nodes."""
        arguments, body, known = [], [], {}
        returned = [""]
        standard = _custom_builtins()

        def add_global(hint, obj):
            if getattr(builtins, hint, None) is obj:
                return hint
            if hint.startswith("torch.") or hint == "torch":
                known.setdefault("torch", standard["torch"])
                return hint
            name = namespace.create_name(hint.replace(".", "_"), obj)
            known.setdefault(name, obj)
            return name

        def kind_text(kind):
            if isinstance(kind, (str, type(None))):
                return type_text(kind)
            text = type_text(kind)
            return add_global(text if text.isidentifier() or text.startswith("torch.") else "_type", kind)

        def text(a):
            if isinstance(a, Node):
                return a.name
            if isinstance(a, tuple) and hasattr(a, "_fields"):
                return f"{add_global(type_text(type(a)), type(a))}({', '.join(map(text, a))})"
            if type(a) is tuple:
                return f"({', '.join(map(text, a))}{',' if len(a) == 1 else ''})"
            if isinstance(a, list):
                return f"[{', '.join(map(text, a))}]"
            if isinstance(a, dict):
                return "{" + ", ".join(f"{k!r}: {text(v)}" for k, v in a.items()) + "}"
            if isinstance(a, slice):
                return f"slice({text(a.start)}, {text(a.stop)}, {text(a.step)})"
            if isinstance(a, type) or isinstance(a, types.FunctionType) or public_name(a) is not None and callable(a):
                return add_global(type_text(a) if isinstance(a, type) else qualified_name(a), a)
            written = repr(a)
            for word in ("inf", "nan", "torch", "device"):
                if word in written:
                    known.setdefault(word, standard[word])
            return written

        def call_text(args, kwargs):
            return ", ".join([*map(text, args), *(f"{k} = {text(v)}" for k, v in kwargs.items())])

        last_read, drops = {}, {}
        for node in reversed(nodes):
            def note(n, node=node):
                if n not in last_read:
                    last_read[n] = node
                    drops.setdefault(node, []).append(n)
                return n
            map_arg(node.args, note)
            map_arg(node.kwargs, note)

        def drop(node):
            if node.op == "placeholder":
                return ""
            gone = list(drops.get(node, ())) + ([node] if not node.users else [])
            return f";  {' = '.join([*(n.name for n in gone), 'None'])}" if gone and node.op != "output" else ""

        for node in nodes:
            kind = "" if node.type is None or node.op == "placeholder" else f" : {kind_text(node.type)}"
            if node.op == "placeholder":
                annotation = "" if node.type is None else f" : {kind_text(node.type)}"
                arguments.append(f"{node.target}{annotation}{f' = {text(node.args[0])}' if node.args else ''}")
                raw = node.target.replace("*", "")
                if raw != node.name:
                    body.append(f"{node.name} = {raw}")
                continue
            if node.op == "call_method":
                line = f"{node.name}{kind} = {_path(text(node.args[0]), node.target)}({call_text(node.args[1:], node.kwargs)})"
            elif node.op == "call_function":
                name, module = getattr(node.target, "__name__", ""), getattr(node.target, "__module__", "")
                if module == "_operator" and name in magic_methods:
                    line = f"{node.name}{kind} = {magic_methods[name].format(*map(text, node.args))}"
                elif module == "_operator" and name in inplace_methods:
                    line = f"{inplace_methods[name].format(*map(text, node.args))};  {node.name}{kind} = {text(node.args[0])}"
                elif node.target is getattr and len(node.args) == 2 and isinstance(node.args[1], str) and node.args[1].isidentifier():
                    line = f"{node.name}{kind} = {_path(text(node.args[0]), node.args[1])}"
                else:
                    line = f"{node.name}{kind} = {add_global(qualified_name(node.target), node.target)}({call_text(node.args, node.kwargs)})"
            elif node.op == "call_module":
                line = f"{node.name}{kind} = {_path(root_module, node.target)}({call_text(node.args, node.kwargs)})"
            elif node.op == "get_attr":
                line = f"{node.name}{kind} = {_path(root_module, node.target)}"
            else:
                if node.type is not None:
                    returned[0] = f" -> {kind_text(node.type)}"
                line = self.generate_output(_Text(text(node.args[0])))
            body.append(line + drop(node))
        known.update(self.additional_globals())
        lines = "\n".join("    " + line for line in body or ["pass"]) + "\n    "
        return PythonCode(f"\n\n\n{self.gen_fn_def(arguments, returned[0])}\n{lines}", known)


class _Text(str):
    """Code whose repr is itself."""

    def __repr__(self):
        return str(self)


class _node_list:
    def __init__(self, graph, direction="next"):
        self.graph, self.direction = graph, direction

    def __len__(self):
        return self.graph._len

    def __iter__(self):
        root, way = self.graph._root, self.direction
        node = getattr(root, way)
        while node is not root:
            following = getattr(node, way)
            if not node._erased:
                yield node
            # what was erased or moved meanwhile leads on from where it stood
            node = getattr(node, way) if not node._erased else following

    def __reversed__(self):
        return _node_list(self.graph, "prev" if self.direction == "next" else "next")


class Graph:
    """Calls in the order in which they run: placeholders first, the output last.

    Args:
        owning_module: the GraphModule that runs the graph.
        tracer_cls: the class that traced it.

    Example:
        >>> import operator
        >>> graph = Graph()
        >>> x = graph.placeholder("x")
        >>> done = graph.output(graph.call_function(operator.add, (x, 1)))
        >>> print(graph)
        graph():
            %x : [num_users=1] = placeholder[target=x]
            %add : [num_users=1] = call_function[target=operator.add](args = (%x, 1), kwargs = {})
            return add
    """

    def __init__(self, owning_module=None, tracer_cls=None, tracer_extras=None):
        self._root = Node(self, "", "root", "", (), {})
        self._len = 0
        self._numbered = True
        self._names = _Namespace()
        self._insert = self._root.prepend
        self._owning_module = owning_module
        self._tracer_cls, self._tracer_extras = tracer_cls, tracer_extras
        self._codegen = CodeGen()
        self._transform_code = []

    @property
    def owning_module(self):
        return self._owning_module

    @owning_module.setter
    def owning_module(self, module):
        self._owning_module = module

    @property
    def nodes(self):
        """The nodes in order; may be changed while it is walked. ``reversed(graph.nodes)`` goes backwards."""
        return _node_list(self)

    # ---- order ----
    def _moved(self):
        self._numbered = False

    def _number(self):
        if not self._numbered:
            for i, node in enumerate(self.nodes):
                node._place = i
            self._numbered = True

    def inserting_before(self, n=None):
        """Let nodes be made before n, or before all, inside a ``with``; without one from now on."""
        if n is None:
            return self.inserting_after(self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert before is not in graph.")
        return _InsertPoint(self, n.prepend)

    def inserting_after(self, n=None):
        """Let nodes be made after n, or after all, inside a ``with``; without one from now on."""
        if n is None:
            return self.inserting_before(self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert after is not in graph.")
        return _InsertPoint(self, n.append)

    # ---- making nodes ----
    def _stem(self, target):
        if callable(target):
            name = getattr(target, "__name__", type(target).__name__)
        else:
            name = target[2:-2] if target.startswith("__") and target.endswith("__") and len(target) > 4 else target
        return _snake_case(name)

    def create_node(self, op, target, args=None, kwargs=None, name=None, type_expr=None):
        """Make a node where nodes are being made; :class:`Node` says what the arguments are."""
        args, kwargs = args or (), kwargs or {}
        if not isinstance(args, tuple) or not isinstance(kwargs, dict):
            raise AssertionError("create_node: args must be a tuple and kwargs a dict")
        n = Node(self, self._names.create_name(name or self._stem(target), None), op, target, args, kwargs, type_expr)
        self._names.rename(n, n.name)
        self._insert(n)
        self._len += 1
        if n.next is self._root and self._numbered:
            n._place = self._len - 1
        else:
            self._moved()
        return n

    def placeholder(self, name, type_expr=None, default_value=...):
        """Make a node for an argument."""
        return self.create_node("placeholder", name, () if default_value is ... else (default_value,), type_expr=type_expr)

    def get_attr(self, qualified_name, type_expr=None):
        """Make a node for an attribute of the module, ``"layer.weight"``."""
        module = self.owning_module
        if module is not None:
            at = module
            for part in qualified_name.split("."):
                if not hasattr(at, part):
                    import warnings
                    warnings.warn("Attempted to insert a get_attr Node with no underlying reference in the owning GraphModule! Call GraphModule.add_submodule to add "
                                  "the necessary submodule, GraphModule.add_parameter to add the necessary Parameter, or nn.Module.register_buffer to add the "
                                  "necessary buffer", stacklevel=2)
                    break
                at = getattr(at, part)
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(self, module_name, args=None, kwargs=None, type_expr=None):
        """Make a node that calls a submodule."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(self, method_name, args=None, kwargs=None, type_expr=None):
        """Make a node that calls a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(self, the_function, args=None, kwargs=None, type_expr=None, name=None):
        """Make a node that calls a function."""
        return self.create_node("call_function", the_function, args, kwargs, name=name, type_expr=type_expr)

    def output(self, result, type_expr=None):
        """Make the node that ends the graph."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node, arg_transform=lambda x: x):
        """Make a copy of another graph's node; arg_transform gives, for each node that it reads, one of this graph."""
        copied = self.create_node(node.op, node.target, map_arg(node.args, arg_transform), map_arg(node.kwargs, arg_transform), node.name, node.type)
        copied.meta = copy.copy(node.meta)
        return copied

    def graph_copy(self, g, val_map, return_output_node=False):
        """Copy all nodes of another graph but its output; returns what the output gives, in nodes of this graph.

        Args:
            g: the graph.
            val_map: dict from its nodes to this graph's; placeholders in it are not copied. It is filled.
            return_output_node: return the output's argument and g's output node.
        """
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                result = map_arg(node.args[0], lambda n: val_map[n])
                return (result, node) if return_output_node else result
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def erase_node(self, to_erase):
        """Remove a node that nobody reads."""
        if to_erase.users:
            raise RuntimeError(f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the graph: {to_erase.users}!")
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            import warnings
            warnings.warn(f"erase_node({to_erase}) on an already erased node", stacklevel=2)
            return
        to_erase._unlink()
        to_erase._erased = True
        self._len -= 1
        to_erase.args, to_erase.kwargs = (), {}
        self._moved()

    # ---- looking ----
    def output_node(self):
        """Return the output."""
        return next(n for n in reversed(self.nodes) if n.op == "output")

    def find_nodes(self, *, op, target=None, sort=True):
        """Return the nodes of an op, with a function or method of a target."""
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def python_code(self, root_module, **options):
        """Return the PythonCode of the graph; root_module: the word before attributes, ``"self"``."""
        namespace = _Namespace()
        # names of nodes stay; the text of globals takes what is left
        namespace.used.update(node.name for node in self.nodes)
        namespace.used.add(root_module)
        code = self._codegen.generate(list(self.nodes), root_module, namespace)
        if self._transform_code and self._transform_code[-1] is not None:
            code.src = "".join(self._transform_code[-1](code.src.splitlines(keepends=True)))
        return code

    def __str__(self):
        return "graph():" + "".join("\n    " + node.format_node() for node in self.nodes)

    def print_tabular(self):
        """Print the nodes as a table."""
        rows = [("opcode", "name", "target", "args", "kwargs")] + [tuple(str(v) for v in (n.op, n.name, n.target, n.args, n.kwargs)) for n in self.nodes]
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        rows.insert(1, tuple("-" * w for w in widths))
        for row in rows:
            print("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())

    def lint(self):
        """Check that the graph is whole: order, names, and what the owning module must have. Raises RuntimeError."""
        seen, names = set(), set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            for other in node._input_nodes:
                if other.graph is not self:
                    raise RuntimeError(f"Argument '{other}' of Node '{node}' does not belong to this Graph, but was used as an argument! If you are copying nodes from "
                                       "another graph, make sure to use ``arg_transform`` on node_copy() to remap values")
                if other not in seen:
                    raise RuntimeError(f"Argument '{other}' of Node '{node}' was used before it has been defined! Please check that Nodes in the graph are "
                                       f"topologically ordered\n{self}")
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                at = self.owning_module
                for i, part in enumerate(node.target.split(".")):
                    if not hasattr(at, part):
                        raise RuntimeError(f"Node {node} target {node.target} references nonexistent attribute {'.'.join(node.target.split('.')[:i + 1])} of the module")
                    at = getattr(at, part)

    # ---- changing ----
    def eliminate_dead_code(self, is_impure_node=None):
        """Remove the nodes that nobody reads and that do nothing else; returns whether there were any.

        Args:
            is_impure_node: tells of a node whether it must stay; None: :meth:`Node.is_impure`.
        """
        self.lint()
        impure = is_impure_node or (lambda n: n.is_impure())
        changed = False
        for node in reversed(self.nodes):
            if not node.users and node.op not in ("placeholder", "output") and not impure(node):
                self.erase_node(node)
                changed = True
        return changed

    def set_codegen(self, codegen):
        """Print the graph by another CodeGen."""
        self._codegen = codegen

    def process_inputs(self, *args):
        """Return arguments as the placeholders take them."""
        return self._codegen.process_inputs(*args)

    def process_outputs(self, out):
        """Return a result as the code returns it."""
        return self._codegen.process_outputs(out)

    def on_generate_code(self, make_transformer):
        """Let a function see, and change, the lines of code when they are printed.

        Args:
            make_transformer: gets the function in force, or None, and returns the new one, which maps lists of lines.
        Returns:
            a context manager that takes it back.
        """
        self._transform_code.append(make_transformer(self._transform_code[-1] if self._transform_code else None))

        @contextlib.contextmanager
        def manager():
            try:
                yield
            finally:
                self._transform_code.pop()
        return manager()

    def __deepcopy__(self, memo=None):
        g = Graph(tracer_cls=self._tracer_cls)
        values = {}
        copied = g.graph_copy(self, values, return_output_node=True)
        g._codegen = copy.deepcopy(self._codegen)
        if copied is not None:
            out = g.output(copied[0], type_expr=getattr(copied[1], "type", None))
            out.meta = copy.copy(copied[1].meta)
        if memo is not None:
            memo[id(self)] = g
            memo.update({id(old): new for old, new in values.items()})
        return g


class _InsertPoint:
    def __init__(self, graph, insert):
        self.graph, self.before = graph, graph._insert
        graph._insert = insert

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.graph._insert = self.before
