"""Programs as graphs that can be looked at and changed (``torch.fx``): traced, printed as Python, run node by node.

Example:
    >>> class Net(rustorch_py.nn.Module):
    ...     def forward(self, x):
    ...         return rustorch_py.relu(x) + 1
    >>> print(symbolic_trace(Net()).graph)
    graph():
        %x : [num_users=1] = placeholder[target=x]
        %relu : [num_users=1] = call_function[target=torch.relu](args = (%x,), kwargs = {})
        %add : [num_users=1] = call_function[target=operator.add](args = (%relu, 1), kwargs = {})
        return add
"""
from ._symbolic_trace import Tracer, symbolic_trace, wrap
from .graph import CodeGen, Graph
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, has_side_effect, map_arg
from .proxy import Proxy
from .subgraph_rewriter import replace_pattern

__all__ = ["symbolic_trace", "Tracer", "wrap", "Graph", "GraphModule", "Interpreter", "Transformer", "Node", "Proxy", "replace_pattern", "has_side_effect", "map_arg", "CodeGen"]


def __getattr__(name):
    if name == "passes":
        from importlib import import_module
        return import_module(".passes", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
