"""The Metal device, under PyTorch's name."""
from ..metal import is_available, is_built  # noqa: F401
