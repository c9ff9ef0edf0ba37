"""PyTorch's inner place of the loader's parts, which programs import from."""
from . import collate, pin_memory, worker  # noqa: F401
