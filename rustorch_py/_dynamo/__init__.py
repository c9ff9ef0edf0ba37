"""What programs take from ``torch._dynamo``: the wrapper that `compile` puts around a module, and switches. Nothing is traced."""
from types import SimpleNamespace

from ..compiler import OptimizedModule, allow_in_graph, disable, is_compiling, reset

__all__ = ["OptimizedModule", "allow_in_graph", "config", "disable", "is_compiling", "reset"]

# PyTorch's limits of recompilation and handling of its errors: programs set them; with nothing to compile nothing depends on them.
config = SimpleNamespace(suppress_errors=False, cache_size_limit=8, recompile_limit=8, verbose=False, capture_scalar_outputs=False, optimize_ddp=True)
