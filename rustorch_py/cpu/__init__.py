"""The CPU as a device (``torch.cpu``): one device, whose work is done when a call returns."""
from ._stream import Event, Stream, StreamContext, current_stream, stream

__all__ = ["Event", "Stream", "StreamContext", "current_device", "current_stream", "device_count", "get_capabilities", "is_available", "is_initialized", "set_device",
           "stream", "synchronize", "amp"]


def is_available():
    """Tell whether there is a CPU: always."""
    return True


def is_initialized():
    """Tell whether the CPU is in use: always."""
    return True


def device_count():
    """Return the number of CPU devices: one."""
    return 1


def current_device():
    """Return the name of the current device."""
    return "cpu"


def set_device(device):
    """Select the CPU, the only device of its kind.

    Raises:
        DeviceError: another device is named.
    """
    _checked("set_device", device)


def synchronize(device=None):
    """Wait until the CPU's work is done; it is when a call returns."""
    if device is not None:
        _checked("synchronize", device)


def get_capabilities():
    """Return what the processor can do, as the system tells it: a read-only mapping of instruction sets to bools, the architecture, core counts."""
    from ._capabilities import capabilities
    return capabilities()


def _checked(op, given):
    from ..errors import DeviceError
    from ..tensor import device
    if device(given).type != "cpu":
        raise DeviceError(f"cpu.{op}: expected a cpu device, got '{given}'", op=op)


def __getattr__(name):
    if name == "amp":
        from importlib import import_module
        return import_module(".amp", __name__)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
