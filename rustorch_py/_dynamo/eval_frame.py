"""PyTorch's house of OptimizedModule."""
from ..compiler import OptimizedModule

__all__ = ["OptimizedModule"]
