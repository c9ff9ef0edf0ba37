"""The few of PyTorch's private functions that programs call by ``torch._C``."""
from .tensor._overrides import _disabled_torch_function_impl
from .tensor import Generator, get_default_device as _get_default

__all__ = ["Generator", "_disabled_torch_function_impl", "_get_default_device", "_get_tracing_state"]


def _get_tracing_state():
    """Return what a tracer knows: None, nothing is being traced."""
    return None


def _get_default_device():
    """Return the default device as a string."""
    return str(_get_default())
