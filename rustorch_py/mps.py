"""PyTorch's names for the Metal device."""
from .metal import commit, current_allocated_memory, device_count, driver_allocated_memory, empty_cache, is_available, recommended_max_memory, synchronize  # noqa: F401
