"""Shapes of all values of a graph, found by running it (``torch.fx.passes.shape_prop``)."""
from typing import NamedTuple

from ...tensor import Tensor, channels_last, channels_last_3d, contiguous_format
from ..interpreter import Interpreter
from ..node import map_aggregate

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What a value of a graph looked like."""
    shape: tuple
    dtype: object
    requires_grad: bool
    stride: tuple
    memory_format: object
    is_quantized: bool
    qparams: dict


def _extract_tensor_metadata(result, include_contiguity=True):
    """Return the TensorMetadata of a tensor."""
    formats = (contiguous_format, channels_last, channels_last_3d) if include_contiguity else ()
    fmt = next((f for f in formats if result.dim() == {channels_last: 4, channels_last_3d: 5}.get(f, result.dim()) and result.is_contiguous(memory_format=f)), None)
    return TensorMetadata(result.shape, result.dtype, result.requires_grad, result.stride(), fmt, False, {})


class ShapeProp(Interpreter):
    """Run a graph and note in each node's ``meta`` what its value looked like: "tensor_meta", and "type".

    Args:
        gm: the GraphModule.

    Example:
        >>> def f(x): return x.sum(1)
        >>> traced = rustorch_py.fx.symbolic_trace(f)
        >>> out = ShapeProp(traced).propagate(rustorch_py.ones(2, 3))
        >>> [tuple(n.meta["tensor_meta"].shape) for n in traced.graph.nodes]
        [(2, 3), (2,), (2,)]
    """

    def run_node(self, n):
        result = super().run_node(n)
        found = []

        def look(value):
            if isinstance(value, Tensor):
                found.append(value)
                return _extract_tensor_metadata(value)
            return value
        meta = map_aggregate(result, look)
        if found:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args):
        """Run on arguments; returns the result."""
        return super().run(*args)
