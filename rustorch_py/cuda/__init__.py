"""CUDA devices, through cuda-python.

The back end is looked for at the first question (:func:`is_available`, a tensor on ``"cuda"``), not at import. Without a driver,
a device or cuda-python, :func:`is_available` is False and use raises an error that says what is missing.
"""
import os

from ..errors import BackendUnavailableError, DeviceError
from ..tensor._dtype import default_cuda_index

_count = None           # number of devices; None: not looked for yet
_why = None             # why there are none


def _load():
    """Look for devices once; returns their number."""
    global _count, _why
    if _count is None:
        try:
            if os.environ.get("RUSTORCH_CUDA_SOFTWARE", "0") not in ("", "0"):
                from ._software import enable
                _count = enable()
            else:
                from ._backend import start
                _count = start()
            _why = None if _count else "cuda: the driver finds no device"
        except BackendUnavailableError as error:
            _count, _why = 0, str(error)
    return _count


def _need(what):
    """Return the loaded back end's module, or raise for ``cuda.<what>``."""
    if not _load():
        raise BackendUnavailableError(f"cuda.{what}: {_why[6:] if _why.startswith('cuda: ') else _why}", op=f"cuda.{what}")
    from . import _backend
    return _backend


def _index(device, what):
    """Return the number of a device given as number, name, device or None (the current one)."""
    _need(what)
    if device is None:
        return current_device()
    if isinstance(device, int):
        index = device
    else:
        from ..tensor._dtype import device as device_type
        found = device_type(device)
        if found.type != "cuda":
            raise ValueError(f"cuda.{what}: expected a cuda device, got {found}")
        index = current_device() if found.index is None else found.index
    if not 0 <= index < _count:
        raise DeviceError(f"cuda.{what}: invalid device ordinal {index}, there are {_count} devices", op=f"cuda.{what}")
    return index


def is_available():
    """Tell whether there is a CUDA device that can be used."""
    return _load() > 0


def device_count():
    """Return the number of CUDA devices."""
    return _load()


def is_initialized():
    """Tell whether CUDA was used in this process."""
    return bool(_count)


def init():
    """Look for devices now, not at first use.

    Raises:
        BackendUnavailableError: there are none.
    """
    _need("init")


def current_device():
    """Return the number of the device that "cuda" alone means (:func:`set_device`, else RUSTORCH_CUDA_DEVICE, else 0).

    Raises:
        BackendUnavailableError: there is no device.
    """
    _need("current_device")
    return default_cuda_index()


def plug_in():
    """Register the back end if there is a device; returns why not, or None. Called by the registry of back ends."""
    return None if _load() else _why


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    if name in ("amp", "graphs", "random"):
        return import_module("." + name, __name__)
    if name == "default_generators":
        from ..tensor._random import device_generator
        return tuple([device_generator(f"cuda:{i}") for i in range(_load())])
    if name.endswith("Tensor"):
        from ..tensor._legacy import CUDA_TYPES
        if name in CUDA_TYPES:
            return CUDA_TYPES[name]
    for module in ("._runtime", ".random", ".graphs"):
        found = import_module(module, __name__)
        if name in found.__all__:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
