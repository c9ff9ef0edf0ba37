"""Values of a traced program (``torch.fx.proxy``): what is done with them becomes nodes."""
import dis
import inspect
import operator
import sys

from ..tensor import Size, Tensor, device, dtype, layout, memory_format
from ..tensor._function import count_overriding
from ._names import is_function
from .graph import magic_methods, reflectable_magic_methods
from .node import Node

__all__ = ["Proxy", "Attribute", "TracerBase", "GraphAppendingTracer", "TraceError"]

base_types = (str, int, float, bool, complex, dtype, Tensor, device, memory_format, layout, range, type(None), type(...))


class TraceError(ValueError):
    """The program asks a value what only a run can tell."""


_alive = 0          # proxies: while there are any, functions ask arguments for __torch_function__


class TracerBase:
    """What proxies ask: makes nodes, and says what may be an argument.

    Attributes:
        graph: the graph that grows.
        proxy_factory_fn: makes a node's proxy instead of :meth:`proxy`, where given to :meth:`create_proxy`.
    """
    graph = None
    record_stack_traces = False
    trace_asserts = False
    proxy_buffer_attributes = False

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        """Put a node into the graph; arguments are nodes already."""
        if kind == "call_function" and self.check_mutable_operations is True and getattr(target, "__name__", "").endswith("_"):
            raise RuntimeError(f"Tried to trace mutable operation {target.__name__}. FX only supports functional code")
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    check_mutable_operations = False

    def proxy(self, node):
        """Return the value of a node."""
        return Proxy(node, self)

    def create_proxy(self, kind, target, args, kwargs, name=None, type_expr=None, proxy_factory_fn=None):
        """Put a node into the graph and return its value; arguments may be proxies."""
        node_args, node_kwargs = self.create_arg(args), self.create_arg(kwargs)
        value = (proxy_factory_fn or self.proxy)(self.create_node(kind, target, node_args, node_kwargs, name, type_expr))
        if self.record_stack_traces:
            frame = self._find_user_frame()
            if frame is not None:
                value.node.stack_trace = f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}\n'
        return value

    def _find_user_frame(self):
        frame = inspect.currentframe()
        while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __name__.partition(".")[0]:
            frame = frame.f_back
        return frame

    def create_arg(self, a):
        """Return a value as an argument of a node.

        Raises:
            NotImplementedError: graphs cannot hold such a thing.
        """
        if isinstance(a, Proxy):
            return a.node
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, tuple):
            parts = [self.create_arg(x) for x in a]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts) if type(a) is Size and not any(isinstance(x, Node) for x in parts) else tuple(parts)
        if isinstance(a, list):
            return [self.create_arg(x) for x in a]
        if isinstance(a, dict):
            for key in a:
                if isinstance(key, Proxy):
                    raise RuntimeError(f"Keys for dictionaries used as an argument cannot contain a Node. Got key: {key}")
            return {k: self.create_arg(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, range):
            return range(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, (*base_types, type, Node)) or callable(a) and hasattr(a, "__name__"):
            return a
        import enum
        if isinstance(a, enum.Enum):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def to_bool(self, obj):
        """Called where a value is asked for its truth."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj):
        """Called where a value is iterated over."""
        frame = inspect.currentframe().f_back.f_back
        if frame is not None and frame.f_lasti >= 0:
            step = next((i for i in dis.get_instructions(frame.f_code, **({"adaptive": False} if sys.version_info >= (3, 11) else {})) if i.offset == frame.f_lasti), None)
            following = [i for i in dis.get_instructions(frame.f_code) if i.offset > frame.f_lasti][:1]
            for found in (step, *following):
                if found is not None and found.opname == "UNPACK_SEQUENCE":
                    return (obj[i] for i in range(found.argval))
        raise TraceError("Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as a *args or **kwargs function argument. "
                         "Only what does not depend on the elements can be traced: index the value, or unpack it to a fixed number of names.")

    def keys(self, obj):
        """Called where a value is asked for its keys, as ``**value`` does."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """A tracer that puts nodes into a graph that is there: ``Proxy(node, GraphAppendingTracer(graph))``."""

    def __init__(self, graph):
        self.graph = graph
        self.scope = None
        self.node_name_to_scope = {}


class Proxy:
    """A value of the program while it is traced: operators, methods and functions of it make nodes.

    Args:
        node: the node whose value it is.
        tracer: who makes nodes; by default they go into the node's graph.
    """

    def __init__(self, node, tracer=None):
        global _alive
        _alive += 1
        if _alive == 1:
            count_overriding(1)
        self.__dict__["tracer"] = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.__dict__["node"] = node

    def __del__(self):
        global _alive
        _alive -= 1
        if _alive == 0 and count_overriding is not None:
            count_overriding(-1)

    def __repr__(self):
        return f"Proxy({self.node.name})"

    def __getattr__(self, k):
        if k.startswith("__fx") or k in ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__"):
            raise AttributeError(k)
        return Attribute(self, k)

    def __deepcopy__(self, memo):
        out = Proxy.__new__(type(self))
        Proxy.__init__(out, self.node, self.tracer)
        return out

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self):
        return self.tracer.iter(self)

    def __abs__(self):
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def __bool__(self):
        if self.tracer.trace_asserts:
            frame = inspect.currentframe().f_back
            code = list(dis.get_instructions(frame.f_code))
            at = next((i for i, step in enumerate(code) if step.offset == frame.f_lasti), None)
            if at is not None and code[at].opname.startswith("POP_JUMP") and any(step.opname == "LOAD_ASSERTION_ERROR" for step in code[at + 1:at + 3]):
                from .._more import _assert
                self.tracer.create_proxy("call_function", _assert, (self, ""), {})
                return True
        return self.tracer.to_bool(self)

    def keys(self):
        return self.tracer.keys(self)

    def __len__(self):
        raise RuntimeError("'len' is not supported in symbolic tracing by default. If you want this call to be recorded, please call torch.fx.wrap('len') at module scope")

    def __index__(self):
        raise TraceError(f"{self.node.name}: a traced value is no number yet; it cannot be a size or an index of Python")

    @classmethod
    def __torch_function__(cls, orig_method, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tracers = {}

        def look(a):
            if isinstance(a, Proxy):
                tracers[id(a.tracer)] = a.tracer
            elif isinstance(a, (list, tuple)):
                for x in a:
                    look(x)
            elif isinstance(a, dict):
                for x in a.values():
                    look(x)
            elif isinstance(a, slice):
                look((a.start, a.stop, a.step))
        look(args)
        look(kwargs)
        if len(tracers) > 1:
            raise RuntimeError(f"Found multiple different tracers {list(tracers.values())} while trying to trace operations {orig_method}")
        tracer = next(iter(tracers.values()))
        if is_function(orig_method):
            return tracer.create_proxy("call_function", orig_method, args, kwargs)
        return tracer.create_proxy("call_method", orig_method.__name__, args, kwargs)


class ParameterProxy(Proxy):
    """A parameter whose shape is known: shape and sizes are numbers.

    Args:
        tracer: the Tracer.
        node: ``get_attr`` node.
        name: path of the parameter.
        param: the parameter.
    """

    def __init__(self, tracer, node, name, param):
        super().__init__(node, tracer)
        self.param, self.name = param, name

    def __repr__(self):
        return f"ParameterProxy({self.name})"

    @property
    def shape(self):
        return self.param.shape

    @property
    def ndim(self):
        return self.param.ndim

    def size(self, *dim):
        return self.param.size(*dim)

    def dim(self):
        return self.param.dim()

    def numel(self):
        return self.param.numel()

    def nelement(self):
        return self.param.numel()


class Attribute(Proxy):
    """An attribute of a traced value: the call of a method, or, where it is read, a node of its own."""

    def __init__(self, root, attr):
        self.__dict__["root"], self.__dict__["attr"] = root, attr
        self.__dict__["_node"] = None
        Proxy.__init__(self, root.node, root.tracer)
        del self.__dict__["node"]

    @property
    def node(self):
        if self._node is None:
            self.__dict__["_node"] = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operators():
    for name in magic_methods:
        fn = getattr(operator, name)

        def forward(self, *args, _fn=fn):
            return self.tracer.create_proxy("call_function", _fn, (self, *args), {})
        forward.__name__ = f"__{name.strip('_')}__"
        setattr(Proxy, forward.__name__, forward)
    for name in reflectable_magic_methods:
        if name == "getitem":
            continue
        fn = getattr(operator, name)

        def backward(self, rhs, _fn=fn):
            return self.tracer.create_proxy("call_function", _fn, (rhs, self), {})
        backward.__name__ = f"__r{name.strip('_')}__"
        setattr(Proxy, backward.__name__, backward)
    Proxy.__hash__ = object.__hash__


_operators()
