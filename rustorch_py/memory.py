"""The caching host allocator: switches and statistics."""
from .tensor import _cpu


def enable_memory_pool():
    """Keep freed blocks for reuse (the default)."""
    _cpu.pool_enable(True)


def disable_memory_pool():
    """Give freed blocks back to the system at once."""
    _cpu.pool_enable(False)


def memory_stats():
    """Return counters: bytes in use, their peak, bytes cached, allocations, cache hits and misses."""
    return _cpu.pool_stats()


def reset_peak_memory_stats():
    """Start measuring the peak anew."""
    _cpu.pool_reset_peak()


def empty_cache():
    """Give all cached blocks back to the system."""
    _cpu.pool_trim()
