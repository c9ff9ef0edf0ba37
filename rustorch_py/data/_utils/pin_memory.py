"""PyTorch's inner name of the loader's `pin_memory`."""
from ..dataloader import pin_memory  # noqa: F401
