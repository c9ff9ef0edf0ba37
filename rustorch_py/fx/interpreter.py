"""Graphs run node by node (``torch.fx.Interpreter``), and rewritten so (``torch.fx.Transformer``)."""
import inspect

from ..nn import Module
from ._symbolic_trace import Tracer
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate, map_arg
from .proxy import Proxy

__all__ = ["Interpreter", "Transformer"]


class Interpreter:
    """Run a graph node by node; a subclass changes what a kind of node does.

    Args:
        module: the module with the graph.
        garbage_collect_values: let go of values that no later node reads.
        graph: run this graph instead of the module's.

    Attributes:
        env: dict from nodes to their values while it runs.

    Example:
        >>> traced = rustorch_py.fx.symbolic_trace(rustorch_py.nn.Sequential(rustorch_py.nn.ReLU()))
        >>> Interpreter(traced).run(rustorch_py.tensor([-1., 2.]))
        tensor([0., 2.])
    """

    def __init__(self, module, garbage_collect_values=True, graph=None):
        self.module = module
        self.submodules = dict(module.named_modules())
        self.graph = module.graph if graph is None else graph
        self.env = {}
        self.name = "Interpreter"
        self.garbage_collect_values = garbage_collect_values
        self.extra_traceback = True
        self.user_to_last_uses = {}
        if garbage_collect_values:
            seen = set()
            for node in reversed(self.graph.nodes):
                for n in node.all_input_nodes:
                    if n not in seen:
                        seen.add(n)
                        self.user_to_last_uses.setdefault(node, []).append(n)

    def run(self, *args, initial_env=None, enable_io_processing=True):
        """Run the graph.

        Args:
            *args: as the module takes them.
            initial_env: dict from nodes to values that are there already.
            enable_io_processing: let the graph's CodeGen see arguments and result.
        Returns:
            the output's value.
        """
        self.env = dict(initial_env or {})
        if enable_io_processing:
            args = self.graph.process_inputs(*args)
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                if self.extra_traceback:
                    words = f"While executing {node.format_node()}"
                    error.args = (f"{error.args[0]}\n\n{words}" if error.args and error.args[0] else words, *error.args[1:])
                    if isinstance(error, KeyError):
                        raise RuntimeError(*error.args) from error
                raise
            for gone in self.user_to_last_uses.get(node, ()):
                del self.env[gone]
            if node.op == "output":
                value = self.env[node]
                return self.graph.process_outputs(value) if enable_io_processing else value
        return None

    def boxed_run(self, args_list):
        """Run on a list of arguments, which is emptied, so that nobody else keeps them."""
        args = tuple(args_list)
        args_list.clear()
        return self.run(*args)

    def run_node(self, n):
        """Run one node by the method of its op; returns its value."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    # ---- one for each op: (target, args, kwargs) -> value ----
    def placeholder(self, target, args, kwargs):
        """Return the next argument, or the default; of ``*args``, all that are left."""
        if target.startswith("*"):
            return list(self.args_iter)
        try:
            return next(self.args_iter)
        except StopIteration:
            if args:
                return args[0]
            raise RuntimeError(f"Expected positional argument for parameter {target}, but one was not passed in!") from None

    def get_attr(self, target, args, kwargs):
        """Return an attribute of the module."""
        return self.fetch_attr(target)

    def call_function(self, target, args, kwargs):
        """Call a function."""
        return target(*args, **kwargs)

    def call_method(self, target, args, kwargs):
        """Call a method of the first argument."""
        obj, *rest = args
        return getattr(obj, target)(*rest, **kwargs)

    def call_module(self, target, args, kwargs):
        """Call a submodule."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target, args, kwargs):
        """Return the result."""
        return args[0]

    # ---- helpers ----
    def fetch_attr(self, target):
        """Return what is at a dotted path of the module."""
        at = self.module
        for i, part in enumerate(target.split(".")):
            if not hasattr(at, part):
                raise RuntimeError(f"Node referenced nonexistent target {'.'.join(target.split('.')[:i + 1])}")
            at = getattr(at, part)
        return at

    def fetch_args_kwargs_from_env(self, n):
        """Return a node's arguments with values for nodes."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args, n):
        """Return nested arguments with values for nodes."""
        def value(of):
            if of not in self.env:
                raise RuntimeError(f"Node {n} referenced nonexistent value {of}! Run Graph.lint() to diagnose such issues")
            return self.env[of]
        return map_arg(args, value)


class Transformer(Interpreter):
    """Make a new graph by running one on proxies; a subclass changes what a kind of node becomes.

    Args:
        module: the GraphModule.

    Example:
        >>> class Swap(Transformer):
        ...     def call_function(self, target, args, kwargs):
        ...         return super().call_function(rustorch_py.sigmoid if target is rustorch_py.tanh else target, args, kwargs)
        >>> def f(x): return rustorch_py.tanh(x)
        >>> Swap(rustorch_py.fx.symbolic_trace(f)).transform().code.strip().split("\\n")[1].strip()
        'sigmoid = torch.sigmoid(x);  x = None'
    """

    def __init__(self, module):
        super().__init__(module)
        self.new_graph = Graph()
        self.new_graph.set_codegen(module.graph._codegen)
        graph = self.new_graph

        class TransformerTracer(Tracer):
            def __init__(self):
                super().__init__()
                self.graph = graph
                self.root = module

            def is_leaf_module(self, m, module_qualified_name):
                return True
        self.tracer = TransformerTracer()

    def placeholder(self, target, args, kwargs):
        """Make a placeholder."""
        default = args[0] if args else inspect.Signature.empty
        return Proxy(self.new_graph.placeholder(target, default_value=... if default is inspect.Signature.empty else default), self.tracer)

    def get_attr(self, target, args, kwargs):
        """Make a node for an attribute."""
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target, args, kwargs):
        """Make a node that calls a submodule."""
        if not isinstance(target, str):
            raise AssertionError("call_module: the target must be a path")
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def call_function(self, target, args, kwargs):
        """Make a node that calls a function."""
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def call_method(self, target, args, kwargs):
        """Make a node that calls a method."""
        return self.tracer.create_proxy("call_method", target, args, kwargs)

    def transform(self):
        """Run; returns the new GraphModule."""
        result = super().run(enable_io_processing=False)
        if result is not None:
            self.new_graph.output(map_aggregate(result, lambda a: a.node if isinstance(a, Proxy) else a))
        root = self.module if isinstance(self.module, Module) else Module()
        return GraphModule(root, self.new_graph, type(self.module).__name__)
