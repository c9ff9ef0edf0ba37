"""PyTorch's name of Intel's GPUs, for which there is no back end: programs that ask are told that there is none."""
from .errors import DeviceError

__all__ = ["current_device", "device_count", "empty_cache", "is_available", "is_bf16_supported", "is_initialized", "manual_seed", "manual_seed_all",
           "seed", "seed_all", "synchronize"]


def is_available():
    """Tell whether there is an Intel GPU: no."""
    return False


def is_initialized():
    """Tell whether the device was used: no."""
    return False


def is_bf16_supported(including_emulation=True):
    """Tell whether the device computes in bfloat16: there is none."""
    return False


def device_count():
    """Return the number of devices: 0."""
    return 0


def empty_cache():
    """Give cached device memory back: there is none."""


def manual_seed(seed):
    """Seed the current device's generator, once there is a device."""


def manual_seed_all(seed):
    """Seed every device's generator."""


def seed():
    """Seed the current device's generator at random, once there is a device."""


def seed_all():
    """Seed every device's generator at random."""


def current_device():
    """Refuse: there is no device."""
    raise DeviceError("PyTorch is not linked with support for xpu devices: rustorch_py has no back end for them")


def synchronize(device=None):
    """Refuse: there is no device."""
    current_device()
