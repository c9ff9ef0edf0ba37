"""CUDA: unavailable until its back end is built; every use says so."""
from ..errors import BackendUnavailableError
from ..tensor._backend import HINTS, is_registered
from ..tensor._dtype import default_cuda_index


def is_available():
    """Tell whether a CUDA back end is loaded and finds a device."""
    return is_registered(1)


def device_count():
    """Return the number of CUDA devices."""
    return 0


def current_device():
    """Return the number of the device that "cuda" alone means (RUSTORCH_CUDA_DEVICE, or 0).

    Raises:
        BackendUnavailableError: no CUDA back end is loaded.
    """
    if not is_available():
        raise BackendUnavailableError(f"cuda.current_device: {HINTS[1]}", op="cuda.current_device")
    return default_cuda_index()


def is_initialized():
    """Tell whether CUDA was used in this process."""
    return is_registered(1)


def manual_seed(seed):
    """Seed the generators of the CUDA devices; without devices there is nothing to seed."""
    int(seed)


def manual_seed_all(seed):
    """Seed the generators of all CUDA devices."""
    int(seed)


def empty_cache():
    """Give cached device memory back; without devices there is none."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name == "amp":
        from importlib import import_module
        return import_module(".amp", __name__)

    def unavailable(*args, **kwargs):
        raise BackendUnavailableError(f"cuda.{name}: {HINTS[1]}", op=f"cuda.{name}")
    unavailable.__name__ = name
    return unavailable
