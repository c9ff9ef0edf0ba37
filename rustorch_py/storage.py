"""PyTorch's name of the storage classes; see `rustorch_py.tensor`."""
from .tensor import TypedStorage, UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
