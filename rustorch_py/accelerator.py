"""The accelerator of this machine, if there is one: CUDA or Metal; else none, as PyTorch answers on a machine without a GPU."""
from . import cuda as _cuda
from . import metal as _metal
from . import tensor as _t
from .errors import DeviceError

__all__ = ["current_accelerator", "current_device_idx", "current_device_index", "device_count", "device_index", "empty_cache", "is_available",
           "set_device_idx", "set_device_index", "synchronize"]


def _face():
    """The module of the accelerator's devices; CUDA's where there is none."""
    return _metal if not _cuda.is_available() and _metal.is_available() else _cuda


def is_available():
    """Tell whether there is an accelerator to compute on."""
    return _face().is_available()


def device_count():
    """Return the number of devices; 0 without an accelerator."""
    return _face().device_count()


def current_accelerator(check_available=False):
    """Return the accelerator's device without an index, or None."""
    return _t.device("metal" if _face() is _metal else "cuda") if is_available() else None


def _need():
    if not is_available():
        raise DeviceError("Cannot access accelerator device when none is available.")


def current_device_index():
    """Return the number of the current device. Raises RuntimeError without an accelerator."""
    _need()
    return _face().current_device()


def set_device_index(device, /):
    """Make a device the current one. Raises RuntimeError without an accelerator."""
    _need()
    _face().set_device(device)


def synchronize(device=None, /):
    """Wait until a device has done its work. Raises RuntimeError without an accelerator."""
    _need()
    _face().synchronize(device)


def empty_cache():
    """Give cached device memory back."""
    if is_available():
        _face().empty_cache()


class device_index:
    """Context manager that makes a device the current one; None: does nothing."""

    def __init__(self, device, /):
        self.idx, self.prev_idx = device, -1

    def __enter__(self):
        if self.idx is not None:
            self.prev_idx = current_device_index()
            set_device_index(self.idx)

    def __exit__(self, *exc):
        if self.idx is not None:
            set_device_index(self.prev_idx)


current_device_idx, set_device_idx = current_device_index, set_device_index
