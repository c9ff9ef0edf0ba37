"""Nodes of a graph (``torch.fx.node``): one call each, linked in the order in which they run."""
import builtins
import operator
import types

from ._names import qualified_name, type_text

__all__ = ["Node", "map_arg", "map_aggregate", "has_side_effect"]

Target = object             # what a node calls: a function, or the name of a method, a module, an attribute or an argument
Argument = object           # None, numbers, strings, dtypes, devices, nodes, and lists, tuples, dicts and slices of those

OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")
_side_effectful_functions = set()


def has_side_effect(fn):
    """Keep the calls of a function whose results nobody reads; returns the function, so that it can be a decorator."""
    _side_effectful_functions.add(fn)
    return fn


class immutable_list(list):
    """A list of arguments: to change it, assign ``node.args`` anew."""

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError("arguments of nodes cannot be changed in place; assign node.args, or call node.update_arg()")

    append = extend = insert = pop = remove = clear = sort = reverse = __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __hash__(self):
        return hash(tuple(self))

    def __reduce__(self):
        return immutable_list, (tuple(self),)


class immutable_dict(dict):
    """A dict of arguments: to change it, assign ``node.kwargs`` anew."""

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError("arguments of nodes cannot be changed in place; assign node.kwargs, or call node.update_kwarg()")

    pop = popitem = clear = update = setdefault = __setitem__ = __delitem__ = __ior__ = _refuse

    def __hash__(self):
        return hash(frozenset(self.items()))

    def __reduce__(self):
        return immutable_dict, (tuple(self.items()),)


def map_aggregate(a, fn):
    """Apply fn to every leaf of nested lists, tuples, dicts and slices; returns the new structure.

    Example:
        >>> map_aggregate({"a": [1, 2]}, lambda x: x + 1)
        {'a': [2, 3]}
    """
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return immutable_list(map_aggregate(x, fn) for x in a)
    if isinstance(a, dict):
        return immutable_dict((k, map_aggregate(v, fn)) for k, v in a.items())
    if isinstance(a, slice):
        return slice(map_aggregate(a.start, fn), map_aggregate(a.stop, fn), map_aggregate(a.step, fn))
    return fn(a)


def map_arg(a, fn):
    """Apply fn to every node in an argument; returns the new argument."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def _format_arg(arg):
    if isinstance(arg, list):
        return "[" + ", ".join(_format_arg(a) for a in arg) + "]"
    if isinstance(arg, tuple):
        inner = ", ".join(_format_arg(a) for a in arg)
        return f"({inner}{',' if len(arg) == 1 else ''})"
    if isinstance(arg, dict):
        return "{" + ", ".join(f"{k}: {_format_arg(v)}" for k, v in arg.items()) + "}"
    return "%" + arg.name if isinstance(arg, Node) else str(arg)


class Node:
    """A step of a graph.

    Args:
        graph: the graph it belongs to. Nodes are made by :meth:`Graph.create_node` and its siblings.
        name: the name of its value, unique in the graph.
        op: "placeholder", "get_attr", "call_function", "call_module", "call_method" or "output".
        target: what is called: a function; else a name.
        args, kwargs: arguments, with nodes for values; a method's first is the object.
        return_type: annotation of the value, or None.

    Attributes:
        users: a dict whose keys are the nodes that read this one.
        meta: a dict for whatever passes note.
        prev, next: neighbours in the order of running.
    """

    def __init__(self, graph, name, op, target, args, kwargs, return_type=None):
        if op not in OPS:
            raise AssertionError(f"Node: unknown op {op!r}; expected one of {', '.join(OPS)}")
        if op == "call_function":
            if not callable(target):
                raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target).__name__} but a Callable is expected")
        elif not isinstance(target, str):
            raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target).__name__} but a str is expected")
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type
        self._args, self._kwargs, self._input_nodes = (), immutable_dict(), {}
        self.users, self.meta = {}, {}
        self.prev = self.next = self
        self._erased = False
        self._place = 0
        self._set(args, kwargs)

    def _set(self, args, kwargs):
        for old in self._input_nodes:
            old.users.pop(self, None)
        self._input_nodes = {}

        def note(n):
            self._input_nodes.setdefault(n)
            n.users.setdefault(self)
            return n
        self._args = map_arg(tuple(args), note)
        self._kwargs = map_arg(dict(kwargs), note)

    @property
    def args(self):
        return self._args

    @args.setter
    def args(self, value):
        self._set(value, self._kwargs)

    @property
    def kwargs(self):
        return self._kwargs

    @kwargs.setter
    def kwargs(self, value):
        self._set(self._args, value)

    @property
    def all_input_nodes(self):
        """The nodes that this one reads, each once."""
        return list(self._input_nodes)

    @property
    def stack_trace(self):
        """Where the call was traced, if that was noted in ``meta``."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, value):
        self.meta["stack_trace"] = value

    # ---- order ----
    def _unlink(self):
        self.prev.next, self.next.prev = self.next, self.prev

    def prepend(self, x):
        """Move node x to just before this one."""
        if self.graph is not x.graph:
            raise AssertionError("prepend: the nodes are of different graphs")
        if x is self:
            return
        x._unlink()
        before = self.prev
        before.next, x.prev, x.next, self.prev = x, before, self, x
        self.graph._moved()

    def append(self, x):
        """Move node x to just after this one."""
        self.next.prepend(x)

    def _order(self):
        self.graph._number()
        return self._place

    def __lt__(self, other):
        return self._order() < other._order()

    def __le__(self, other):
        return self is other or self < other

    def __gt__(self, other):
        return other < self

    def __ge__(self, other):
        return self is other or other < self

    # ---- changing ----
    def update_arg(self, idx, arg):
        """Put another value at place idx of ``args``."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx, arg):
        """Put a value into ``args`` before place idx."""
        if not 0 <= idx <= len(self.args):
            raise AssertionError("insert_args index must be between 0 and len(self.args)")
        self.args = self.args[:idx] + (arg,) + self.args[idx:]

    def update_kwarg(self, key, arg):
        """Put another value at a key of ``kwargs``."""
        self.kwargs = {**self.kwargs, key: arg}

    def replace_all_uses_with(self, replace_with, delete_user_cb=lambda user: True, *, propagate_meta=False):
        """Let every reader of this node read another; returns the nodes that were changed.

        Args:
            replace_with: the node to read instead.
            delete_user_cb: told of each reader; False leaves it as it is.
            propagate_meta: copy ``meta`` too; the other node's must be empty.
        """
        if propagate_meta:
            if replace_with.meta:
                raise AssertionError("Called node.replace_all_uses_with(replace_with, propagate_meta=True), but replace_with already has .meta keys")
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def replace_input_with(self, old_input, new_input):
        """Read another node wherever this one reads old_input."""
        def other(n):
            return new_input if n is old_input else n
        self._set(map_arg(self.args, other), map_arg(self.kwargs, other))

    def is_impure(self, impure_random=True):
        """Tell whether the call must stay although nobody reads its value.

        Args:
            impure_random: count functions that draw random numbers.
        """
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            if self.target in _side_effectful_functions or self.target is operator.setitem:
                return True
            return impure_random and getattr(self.target, "__name__", "") in _RANDOM and not isinstance(self.target, types.FunctionType)
        if self.op == "call_method":
            return self.target.endswith("_") and not self.target.endswith("__")
        if self.op == "call_module":
            root = self.graph.owning_module
            if root is None:
                return True
            return bool(getattr(root.get_submodule(self.target), "is_impure", False))
        return False

    # ---- text ----
    def _pretty_print_target(self, target):
        return target if isinstance(target, str) else qualified_name(target, shown=True)

    def format_node(self, placeholder_names=None, maybe_return_typename=None):
        """Return a line of text; lists that are given take a placeholder's, or the output's, part of the graph's first line."""
        kind = f"{type_text(self.type)} " if self.type is not None else ""
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        if self.op == "placeholder":
            if placeholder_names is not None:
                placeholder_names.append(self.target + (f": {type_text(self.type)}" if self.type is not None else ""))
            return f"{head}[target={self.target}]" + (f"(default={self.args[0]})" if self.args else "")
        if self.op == "get_attr":
            return f"{head}[target={self._pretty_print_target(self.target)}]"
        if self.op == "output":
            if self.type is not None and maybe_return_typename is not None:
                maybe_return_typename[0] = f" -> {type_text(self.type)}"
            return f"return {self.args[0]}"
        return f"{head}[target={self._pretty_print_target(self.target)}](args = {_format_arg(self.args)}, kwargs = {_format_arg(self.kwargs)})"

    def __repr__(self):
        return self.name


_RANDOM = frozenset("rand randn randint randperm rand_like randn_like randint_like bernoulli multinomial normal poisson dropout alpha_dropout feature_dropout".split())
BUILTINS = frozenset(dir(builtins))
