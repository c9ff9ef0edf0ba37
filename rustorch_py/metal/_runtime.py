"""What a program asks of Metal devices besides tensors: memory, waiting, names. PyTorch's ``torch.mps`` has most of these names."""
from ..errors import DeviceError
from . import _index, _load, _need

__all__ = ["commit", "current_allocated_memory", "current_device", "driver_allocated_memory", "empty_cache", "get_device_name", "get_rng_state", "manual_seed",
           "max_memory_allocated", "memory_allocated", "memory_reserved", "memory_stats", "recommended_max_memory", "reset_peak_memory_stats", "seed",
           "set_device", "set_rng_state", "synchronize"]


def synchronize(device=None):
    """Wait until a device has done all its work."""
    index = _index(device, "synchronize")
    _need("synchronize").synchronize(index)


def commit(device=None):
    """Hand what was recorded to the device, without waiting for it."""
    index = _index(device, "commit")
    _need("commit").commit(index)


def current_device():
    """Return the number of the device that "metal" alone means: the first."""
    return _index(None, "current_device")


def set_device(device):
    """Make a device the current one, which only the first can be.

    Raises:
        DeviceError: it is another, or there is none of this number.
    """
    index = _index(device, "set_device")
    if index:
        raise DeviceError(f"metal.set_device: \"metal\" alone means device 0, expected 0, got {index}; name the device, as metal:{index}", op="metal.set_device")


def get_device_name(device=None):
    """Return the name of a device."""
    index = _index(device, "get_device_name")
    return _need("get_device_name").properties(index)["name"]


def recommended_max_memory(device=None):
    """Return how many bytes the device recommends to use at most."""
    index = _index(device, "recommended_max_memory")
    return _need("recommended_max_memory").properties(index)["recommended_max_memory"]


def driver_allocated_memory(device=None):
    """Return the bytes that this process has of a device, tensors' or not."""
    index = _index(device, "driver_allocated_memory")
    return _need("driver_allocated_memory").properties(index)["driver_allocated"]


def memory_stats(device=None):
    """Return the allocator's counters: bytes allocated and reserved now and at most, and how often it was asked, had a block, and got one back."""
    index = _index(device, "memory_stats")
    return _need("memory_stats").memory_stats(index)


def memory_allocated(device=None):
    """Return the bytes of a device's memory that tensors hold."""
    return memory_stats(device)["allocated"]


current_allocated_memory = memory_allocated


def max_memory_allocated(device=None):
    """Return the most bytes that tensors have held."""
    return memory_stats(device)["allocated_peak"]


def memory_reserved(device=None):
    """Return the bytes that the caching allocator has from the system."""
    return memory_stats(device)["reserved"]


def reset_peak_memory_stats(device=None):
    """Let the peaks start from what is in use now."""
    index = _index(device, "reset_peak_memory_stats")
    _need("reset_peak_memory_stats").reset_peak(index)


def empty_cache():
    """Give cached memory back to the system; without devices there is none."""
    for index in range(_load()):
        _need("empty_cache").trim(index)


# ---- random numbers --------------------------------------------------------------------------------------------------
def _generator(device, what):
    from ..tensor._random import device_generator
    return device_generator(f"metal:{_index(device, what)}")


def manual_seed(seed):
    """Seed the stream of the first device; without devices there is nothing to seed."""
    seed = int(seed)
    if _load():
        _generator(None, "manual_seed").manual_seed(seed)


def seed():
    """Seed the stream of the first device from the system's entropy."""
    if _load():
        _generator(None, "seed").seed()


def get_rng_state(device=None):
    """Return the state of a device's stream: a uint8 tensor of 16 elements on the CPU, seed and offset."""
    return _generator(device, "get_rng_state").get_state()


def set_rng_state(new_state, device=None):
    """Let a device's stream go on from a state that :func:`get_rng_state` returned."""
    _generator(device, "set_rng_state").set_state(new_state)
