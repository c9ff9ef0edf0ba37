"""PyTorch's names for the Metal device."""
from .metal import (commit, current_allocated_memory, device_count, driver_allocated_memory, empty_cache, get_rng_state, is_available, manual_seed,  # noqa: F401
                    recommended_max_memory, seed, set_rng_state, synchronize)
