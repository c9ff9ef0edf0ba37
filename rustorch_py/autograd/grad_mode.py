"""PyTorch's name of the switches of recording; see `rustorch_py.autograd`."""
from ..tensor import enable_grad, inference_mode, no_grad, set_grad_enabled
from ._threads import set_multithreading_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]
