"""PyTorch's name of the saving functions; see `rustorch_py.utils.serialization`."""
from .utils.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, load, safe_globals, save

__all__ = ["save", "load", "add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals"]
