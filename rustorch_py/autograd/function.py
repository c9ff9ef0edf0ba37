"""PyTorch's name of the custom functions; see `rustorch_py.autograd`."""
from ._function import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
