"""PyTorch's name of the Metal device."""
from .metal import device_count, is_available  # noqa: F401
