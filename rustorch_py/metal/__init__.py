"""Metal devices, through a bundled Objective-C helper. The helper is built on macOS only.

It is looked for at the first question (:func:`is_available`, a tensor on ``"metal"`` or, PyTorch's word, ``"mps"``), not at import. Elsewhere
:func:`is_available` is False and use raises an error that says what is missing. Not run on Apple hardware yet.
"""
import os

from ..errors import BackendUnavailableError, DeviceError

HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper.dylib")
_count = None           # number of devices; None: not looked for yet
_why = None             # why there are none


def _load():
    """Look for devices once; returns their number."""
    global _count, _why
    if _count is None:
        try:
            if os.environ.get("RUSTORCH_METAL_SOFTWARE", "0") not in ("", "0"):
                from ._software import helper
                library = helper()
            elif os.path.exists(HELPER):
                from ctypes import CDLL
                try:
                    library = CDLL(HELPER)
                    library.rt_metal_calls
                except (OSError, AttributeError) as error:      # of another machine or version, or broken
                    raise BackendUnavailableError(f"metal: the helper {HELPER} cannot be used: {error}") from error
            else:
                raise BackendUnavailableError("metal: no Metal back end is loaded; it is built on macOS only")
            from ._backend import start
            _count = start(library)
            _why = None if _count else "metal: the system has no Metal device"
        except BackendUnavailableError as error:
            _count, _why = 0, str(error)
    return _count


def _need(what):
    """Return the loaded back end's module, or raise for ``metal.<what>``."""
    if not _load():
        raise BackendUnavailableError(f"metal.{what}: {_why.removeprefix('metal: ')}", op=f"metal.{what}")
    from . import _backend
    return _backend


def _index(device, what):
    """Return the number of a device given as number, name, device or None (the first one)."""
    _need(what)
    if device is None or isinstance(device, int):
        index = device or 0
    else:
        from ..tensor._dtype import device as device_type
        found = device_type(device)
        if found.type != "metal":
            raise ValueError(f"metal.{what}: expected a metal device, got {found}")
        index = found.index or 0
    if not 0 <= index < _count:
        raise DeviceError(f"metal.{what}: invalid device ordinal {index}, there are {_count} devices", op=f"metal.{what}")
    return index


def is_available():
    """Tell whether there is a Metal device that can be used."""
    return _load() > 0


def is_built():
    """Tell whether the package holds a Metal back end."""
    return os.path.exists(HELPER)


def device_count():
    """Return the number of Metal devices."""
    return _load()


def plug_in():
    """Register the back end if there is a device; returns why not, or None. Called by the registry of back ends."""
    return None if _load() else _why


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _runtime
    if name in _runtime.__all__:
        return getattr(_runtime, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
